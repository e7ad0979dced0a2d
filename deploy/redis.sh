#!/bin/sh
# Starts one of the replicated Redis servers in the role that the sentinels know.
#
# A master that comes back must not continue beside the one that took over, and one that comes back with an
# empty disk would wipe its replicas, which copy whatever their master has. So it asks the sentinels first.
# Variables:
#     SELF       its own host and port, as the others reach it: redis-1:6379
#     FIRST      host and port of the master of a system that has never run
#     SENTINELS  hosts and ports, separated by spaces
#     MASTER     the sentinels' name for the master
# Passes its arguments to redis-server. Needs redis-cli, getent and timeout; runs in busybox.
set -eu

# host:port -> "address port"; a name may take a moment to resolve
resolve() {
    until address=$(getent hosts "${1%:*}"); do sleep 1; done
    echo "${address%% *} ${1##*:}"
}

# ask HOST:PORT COMMAND...
ask() {
    sentinel=$1
    shift
    timeout 2 redis-cli -h "${sentinel%:*}" -p "${sentinel##*:}" "$@" 2>/dev/null
}

# Sets role to the arguments that make this server master or replica.
decide() {
    mine=0 others=0 fresh=0 all=0
    for one in $SENTINELS; do
        all=$((all + 1))
        named=$(ask "$one" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER" | tr '\n' ' ') || continue
        named=${named% }
        case $named in
            "$own") mine=$((mine + 1)) ;;
            [0-9a-f]*.*\ [0-9]* | *:*\ [0-9]*) others=$((others + 1)) other=$named ;;
            *) continue ;;
        esac
        # A sentinel that has seen a replica knows that data exists elsewhere.
        [ -n "$(ask "$one" SENTINEL REPLICAS "$MASTER")" ] || fresh=$((fresh + 1))
    done
    most=$((all / 2 + 1))
    if [ "$others" -ge "$most" ]; then
        role="--replicaof $other"
    elif [ "$mine" -ge "$most" ] && { [ -e appendonlydir ] || [ "$fresh" -ge "$most" ]; }; then
        role=
    else
        # Too few answer, they disagree, or this server is empty and they have yet to promote another.
        return 1
    fi
}

# Healthy while it waits: an unhealthy task is restarted, and its name does not resolve, not even for itself.
touch waiting
own=$(resolve "$SELF")
until decide; do
    echo "waiting for the sentinels: $mine name this server, $others another"
    sleep 1
done
rm waiting
echo "starting as ${role:-master}"
# shellcheck disable=SC2086 # the role is several words
exec redis-server --port "${SELF##*:}" \
    --replica-announce-ip "${own% *}" --replica-announce-port "${own#* }" $role "$@"
