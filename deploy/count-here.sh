#!/bin/sh
# Prints the count in the data of a Redis server that may not run, for deploy/count.sh, which runs it in a container
# with the server's volume at /from and an empty folder at /copy. If the data is damaged or incomplete, it tells what
# can be read, and fails: a count that may be too low must not pass for the count.
set -eu

# Lets Redis read the copy. Prints the count; fails if it cannot, and leaves its log in log.
count() {
    rm -f count
    (
        until redis-cli -s socket EXISTS hits | grep -q '^[01]'; do sleep 0.1; done
        redis-cli -s socket GET hits >count.new
        mv count.new count
        redis-cli -s socket SHUTDOWN NOSAVE
    ) >/dev/null 2>&1 &
    reader=$!
    redis-server --port 0 --unixsocket socket --appendonly yes --save "" >log 2>&1 || true
    kill $reader 2>/dev/null || true
    wait
    cat count 2>/dev/null
}

# Copies the data in the folder $1, and fails if there is none. Sets $lost if a part cannot be copied, because of a bad
# disk or for want of memory: Redis would take a file that ends early for one whose last command is torn.
copy() {
    rm -rf ./*
    lost=
    for data in appendonlydir appendonly.aof; do
        [ ! -e "$1/$data" ] || cp -r "$1/$data" . || lost="a part of $data cannot be read or copied"
    done
    [ -n "$lost" ] || [ -n "$(find . -type f)" ]
}

# Prints what Redis would take for no data, or for less than there was.
gap() {
    [ -d appendonlydir ] || return 0
    [ -n "$(find appendonlydir -name '*.manifest' -size +0)" ] || echo "the manifest is missing or empty"
    find appendonlydir -name '*.base.rdb' -size 0 | sed 's/$/ is empty/'
}

# Cuts the files of the copy where they become unreadable, and leaves out those behind.
cut_off() (
    [ -d appendonlydir ] || { trim appendonly.aof; return; }
    cd appendonlydir || return
    files=$(ls)
    rm -f ./*.manifest
    # The base is intact or useless, and without it the increments count from nothing.
    base=$(echo "$files" | sed -n 's/^appendonly\.aof\.\([0-9]*\)\.base\..*/\1/p' | sort -n | tail -n 1)
    [ -n "$base" ] && [ -s "$(echo appendonly.aof."$base".base.*)" ] || return
    echo "file $(echo appendonly.aof."$base".base.*) seq $base type b" >manifest
    for number in $(echo "$files" | sed -n 's/^appendonly\.aof\.\([0-9]*\)\.incr\.aof$/\1/p' | sort -n); do
        # Those with a lower number are older than the base.
        [ "$number" -lt "$base" ] || increments="${increments:-} $number"
    done
    for number in ${increments:-}; do
        file=appendonly.aof.$number.incr.aof
        # An increment that nothing was written to yet.
        [ -s "$file" ] || continue
        size=$(wc -c <"$file")
        trim "$file" || break
        echo "file $file seq $number type i" >>manifest
        [ "$size" = "$(wc -c <"$file")" ] || break
    done
    mv manifest appendonly.aof.manifest
)

trim() {
    was=$(wc -c <"$1")
    if ! echo y | redis-check-aof --fix "$1" >fix 2>&1; then
        echo "nothing in $1 can be read" >&2
        return 1
    fi
    now=$(wc -c <"$1")
    [ "$was" -eq "$now" ] || echo "$((now)) of $((was)) bytes of $1 can be read" >&2
}

# Tells what is wrong with the data in the copy, and which count can still be read.
tell() {
    echo "$1" >&2
    if cut_off && found=$(count) && [ -n "$found" ]; then
        echo "the count in what can be read is $found; later numbers may be missing" >&2
    else
        echo "no count can be read" >&2
    fi
}

cd /copy
if copy /from; then
    wrong=${lost:-$(gap)}
    if [ -n "$wrong" ]; then
        tell "the data is damaged: $wrong"
    elif ! found=$(count); then
        tell "the data is damaged: $(sed -n 's/: make a backup.*//; s/^.* # \(..*\)/\1/p' log | tail -n 1)"
    elif [ -e /from/copying ]; then
        echo "this server has not finished copying the master's data; the count in its part is ${found:-unknown}" >&2
    else
        echo "$found"
        exit
    fi
else
    echo "there is no data" >&2
fi
# What redis.sh has set aside.
for aside in /from/damaged-*; do
    if copy "$aside"; then
        tell "${aside#/from/} has earlier data, which is damaged: $(head -n 1 "$aside/why")"
    fi
done
exit 1
