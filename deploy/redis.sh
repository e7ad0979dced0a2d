#!/bin/sh
# Starts one of the replicated Redis servers in the role that the sentinels know.
#
# A master that comes back must not continue beside the one that took over, and one that comes back with an
# empty disk would wipe its replicas, which copy whatever their master has. So it asks the sentinels first.
#
# If Redis cannot read its data and a majority of the sentinels name another master, which has data, the data is kept
# in damaged-TIME (the two newest), and the server copies the master's. A server that has to copy everything is
# unreachable until the copy is complete and on disk: the sentinels must not promote it before.
# Variables:
#     SELF       its own host and port, as the others reach it: redis-1:6379
#     FIRST      host and port of the master of a system that has never run
#     SENTINELS  hosts and ports, separated by spaces
#     MASTER     the sentinels' name for the master
# Passes its arguments to redis-server. Needs redis-cli, getent and timeout; runs in busybox.
set -eu
trap 'exit 143' TERM

# host:port -> "address port"; a name may take a moment to resolve
resolve() {
    # Not longer than the script itself, which waits for it.
    until address=$(getent hosts "${1%:*}"); do
        kill -0 $$ 2>/dev/null || exit
        sleep 1
    done
    echo "${address%% *} ${1##*:}"
}

# ask HOST:PORT COMMAND...
ask() {
    asked=$1
    shift
    timeout 2 redis-cli -h "${asked%:*}" -p "${asked##*:}" "$@" 2>/dev/null
}

# Counts the sentinels that name this server, those that name the master $other, and those that know no replica.
poll() {
    mine=0 fresh=0 all=0 answers=
    for one in $SENTINELS; do
        all=$((all + 1))
        named=$(ask "$one" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER" | tr '\n' ' ') || continue
        named=${named% }
        case $named in
            "$own") mine=$((mine + 1)) ;;
            [0-9a-f]*.*\ [0-9]* | *:*\ [0-9]*) answers="$answers$named
" ;;
            *) continue ;;
        esac
        # A sentinel that has seen a replica knows that data exists elsewhere. One that does not answer may have.
        if known=$(ask "$one" SENTINEL REPLICAS "$MASTER") && [ -z "$known" ]; then fresh=$((fresh + 1)); fi
    done
    most=$((all / 2 + 1)) others=0 other=
    [ -z "$answers" ] || read -r others other <<END
$(printf %s "$answers" | sort | uniq -c | sort -rn | head -n 1)
END
}

# What this version of Redis reads: one file before 7.0, a folder since. A newer one converts an older one's file.
find_data() {
    case $(redis-server --version) in
        *v=[1-6].*) data=appendonly.aof ;;
        *) data=appendonlydir ;;
    esac
    [ -e $data ] || [ ! -e appendonly.aof ] || data=appendonly.aof
}
is_there() { [ -s $data ] && [ -n "$(ls -A $data)" ]; }

# Prints what Redis would take for no data, or for less than there was.
gap() {
    [ -d $data ] || return 0
    [ -n "$(find $data -name '*.manifest' -size +0)" ] || echo "the manifest in $data is missing or empty"
    find $data -name '*.base.rdb' -size 0 | sed 's/$/ is empty/'
}

# load FOLDER OPTION...    Lets Redis read the data in FOLDER, without a port. Fails if it cannot: then $said has its
# log. As a replica, it does not even delete expired keys.
load() {
    (
        cd "$1"
        while :; do
            case $(redis-cli -s loading.sock PING 2>/dev/null) in
                '' | *LOADING*) sleep 0.1 ;;
                *) break ;;
            esac
        done
        kill "$(cat loading.pid)"
    ) >/dev/null 2>&1 &
    stopper=$! folder=$PWD/$1
    shift
    code=0
    said=$(timeout 600 redis-server "$@" --dir "$folder" --port 0 --unixsocket loading.sock --pidfile loading.pid \
        --logfile '' --replicaof 127.0.0.1 1 2>&1) || code=$?
    kill $stopper 2>/dev/null || true
    wait
    rm -f "$folder/loading.sock" "$folder/loading.pid"
    # Killed by someone else, such as the kernel for want of memory, it has judged nothing. An error is 1, a crash more.
    case $code in 1 | 132 | 134 | 135 | 136 | 139) return 1 ;; esac
}

# Prints why Redis cannot read the data, if so. Reading it takes a while, so it is tried only after a run that did not
# end properly: the file with the process's number is still there. That includes a run that failed to read it.
damage() {
    is_there || return 0
    found=$(gap)
    if [ -z "$found" ] && [ -e redis.pid ] && ! load . "$@"; then
        found=$(echo "$said" | sed -n 's/: make a backup.*//; s/^.* # \(..*\)/\1/p' |
            grep -v -e 'oO0OoO0' -e 'version=' -e 'Configuration loaded' -e initialized -e overcommit | tail -n 1)
        found=${found:-its process ended with status $code}
        mkdir -p empty
        if ! load empty "$@"; then
            # Not because of the data.
            echo "redis-server does not even start without data: $said" >&2
            found=
        fi
        rm -rf empty
    fi
    echo "$found"
}

# Whether the data is all that this server had.
holds() { is_there && [ ! -e copying ] && [ -z "$damaged" ]; }

# Whether the master that the sentinels name has what this server lacks. Sets $why otherwise.
is_well() {
    about=$(ask "${other% *}:${other##* }" INFO) || about=
    why=
    case $about in
        *role:master*) ;;
        *role:*) why="which is no master" ;;
        *) why="which does not answer" ;;
    esac
    case $about in *loading:1*) why="which is still reading its own data" ;; esac
    case ${why:-$about} in which* | *db[0-9]*:keys=*) ;; *) why="which has no data" ;; esac
    [ -z "$why" ]
}

# Keeps the damaged data, and at most one other.
set_aside() {
    # shellcheck disable=SC2012 # our own names
    ls -d damaged-* 2>/dev/null | sort -r | tail -n +2 | while read -r old; do rm -rf "$old"; done
    aside=damaged-$(date -u +%Y%m%dT%H%M%SZ)
    # In this order: a crash in between leaves data that counts as incomplete.
    { touch copying && mkdir -p "$aside" && mv $data "$aside/" && echo "$damaged" >"$aside/why"; } || return 1
    echo "cannot read the data: $damaged"
    echo "it is kept in $aside; $others of $all sentinels name the master $other, from which it is copied"
    damaged=
}

# Sets role to the arguments that make this server master or replica. Otherwise sets $why to what it waits for.
decide() {
    poll
    role=
    why="the sentinels: $mine name this server, $others another"
    if [ "$others" -ge "$most" ]; then
        role="--replicaof $other"
        [ -n "$damaged" ] || return 0
        # A damaged copy is better than none.
        is_well || { why="a master to copy from, because it cannot read its data ($damaged): the sentinels name \
$other, $why"; return 1; }
        set_aside || { why="a disk to which it can write"; return 1; }
    elif [ "$mine" -ge "$most" ]; then
        holds && return 0
        [ -z "$damaged" ] || { why="the sentinels to name another master, because it cannot read its data ($damaged)"
            return 1; }
        # Empty: if data exists elsewhere, they have yet to promote another.
        [ ! -e copying ] && [ "$fresh" -ge "$most" ]
    else
        # Too few answer, or they disagree.
        return 1
    fi
}

# local COMMAND...    asks the server that is unreachable
local_cli() { timeout 2 redis-cli -s copying.sock "$@" 2>/dev/null; }

# Runs beside a server that has to copy everything. Opens its port as soon as it has, and tells it meanwhile if the
# sentinels, who cannot reach it, name another master.
finish_copy() {
    copied_from=$other
    while kill -0 $$ 2>/dev/null; do
        sleep 1
        about=$(local_cli INFO) || continue
        case $about in
            *aof_rewrite_in_progress:1* | *aof_rewrite_scheduled:1* | *aof_last_bgrewrite_status:err*) ;;
            *master_link_status:up*)
                rm -f copying
                echo "has copied all data"
                # A start with the data needs none of this.
                [ "$(local_cli CONFIG SET port "$port")" = OK ] || local_cli SHUTDOWN
                rm -f waiting
                return
                ;;
        esac
        poll
        if [ "$others" -lt "$most" ] || [ "$other" = "$copied_from" ]; then continue; fi
        # shellcheck disable=SC2086 # address and port
        if [ "$(local_cli REPLICAOF $other)" = OK ]; then
            copied_from=$other
            echo "copies from $other"
        fi
    done
}

# Healthy while it waits: an unhealthy task is restarted, and its name does not resolve, not even for itself.
touch waiting
rm -f copying.sock
own=$(resolve "$SELF")
find_data
damaged=$(damage "$@")
# To judge an older version's file, Redis has converted it.
find_data
until decide; do
    echo "waiting for $why"
    sleep 1
done

echo "starting as ${role:-master}"
# shellcheck disable=SC2086 # the role is several words
set -- --port "${SELF##*:}" --pidfile redis.pid \
    --replica-announce-ip "${own% *}" --replica-announce-port "${own#* }" $role "$@"
if [ -n "$role" ] && ! holds; then
    touch copying
    before=
    for word in "$@"; do
        [ "$before" != --port ] || port=$word
        before=$word
    done
    set -- "$@" --port 0 --unixsocket copying.sock
    finish_copy &
else
    rm waiting
fi
exec redis-server "$@"
