#!/bin/sh
# Starts one of the sentinels. From its first start on it keeps its state and its votes in a file of its own:
# a sentinel that forgets its vote can vote twice. Variables:
#     SELF    its own host and port, as the others reach it: sentinel-1:26379
#     FIRST   host and port of the master of a system that has never run
#     MASTER  the sentinels' name for the master
#     DOWN_AFTER, FAILOVER_TIMEOUT  in milliseconds
# It announces addresses, never names: a name look-up would block the sentinel when it matters most.
#
# Beside the sentinel, a loop keeps a failover possible (see "What a sentinel alone would not survive" in
# docs/counting.md). It asks only its own sentinel, and ends with it. Needs redis-cli, getent, timeout and awk; runs in
# busybox.
set -eu

normal=${DOWN_AFTER:-2000}

# host -> address; a name may take a moment to resolve
resolve() {
    until address=$(getent hosts "${1%:*}"); do sleep 1; done
    echo "${address%% *}"
}

# Runs the commands on standard input, one a line.
ask() {
    timeout 2 redis-cli -h 127.0.0.1 -p "${SELF##*:}" 2>/dev/null
}

# Prints the current down-after-milliseconds and the one that makes a complete replica eligible.
#
# Sentinel promotes no replica whose link was lost more than ten times down-after before it found the master down
# (sentinelSelectSlave in sentinel.c), because others may have got more. After TILT or a restart it finds the master down
# so late that this excludes every replica, for ever. Here the link's age does not matter, because the replicas can be
# compared: all that are known answer, have lost this master, and have the same history. What was acknowledged is on at
# least one of them, so the one that is furthest has it, and Sentinel prefers that one. down-after is raised just enough
# for its link, and for a master that is down to less than the time of its silence, so that it remains down.
ages() {
    printf 'SENTINEL MASTER %s\nSENTINEL INFO-CACHE %s\n' "$MASTER" "$MASTER" | ask | tr -d '\r' |
        awk -v name="$MASTER" -v normal="$normal" '
            # First the fields of the master: names and values alternate.
            !cached && NR % 2 && $0 == name { cached = 1; next }
            !cached { if (NR % 2) key = $0; else master[key] = $0; next }
            # Then the master and each replica: the age of its INFO in milliseconds, and the INFO.
            /^[0-9]+$/ { servers++; age[servers] = $0; next }
            { colon = index($0, ":"); info[servers, substr($0, 1, colon - 1)] = substr($0, colon + 1) }

            # Whether all known replicas, two at least, answer, have lost the master, and have the same history.
            function comparable(    i) {
                for (i = 2; i <= servers; i++) {
                    if (age[i] > 5000 || info[i, "role"] != "slave") return 0
                    if (info[i, "master_host"] != master["ip"] || info[i, "master_port"] != master["port"]) return 0
                    if (info[i, "master_link_status"] != "down" || info[i, "master_sync_in_progress"] != 0) return 0
                    if (info[i, "master_replid"] == "" || info[i, "master_replid"] != info[2, "master_replid"]) return 0
                }
                return servers >= 3 && servers == master["num-slaves"] + 1
            }

            # For how many seconds the replica that is furthest has had no link, or the last of several to lose it.
            function best(    i, offset, down, furthest, since) {
                furthest = since = -1
                for (i = 2; i <= servers; i++) {
                    offset = info[i, "slave_repl_offset"] + 0
                    down = info[i, "master_link_down_since_seconds"] + 0
                    if (offset > furthest || (offset == furthest && down < since)) since = down
                    if (offset > furthest) furthest = offset
                }
                return since
            }

            function wanted(now,    excess, raised, silent) {
                if (!comparable()) return normal
                # The age is in whole seconds, and a second or more passes before the election.
                excess = best() * 1000 + 2000 - master["s-down-time"]
                if (excess <= 10 * now) return now
                # More than a tenth, because the age grows during TILT, and until the master has been silent that long.
                raised = int((excess + 5000) / 9)
                silent = master["last-ping-sent"] > 0 ? master["last-ping-sent"] : master["last-ok-ping-reply"]
                return raised < silent + 0 || master["flags"] !~ /s_down/ ? raised : now
            }

            END {
                now = master["down-after-milliseconds"] + 0
                if (cached && now) print now, wanted(now)
            }'
}

# The wall clock less the time since boot, in seconds: changes only when the clock is set.
clock() {
    read -r uptime _ </proc/uptime
    echo $(($(date +%s) - ${uptime%.*}))
}

# Runs until the process $1, the sentinel, ends.
attend() {
    until [ "$(echo PING | ask)" = PONG ]; do
        sleep 1
        kill -0 "$1" 2>/dev/null || return 0
    done
    # A sentinel that was paused for two seconds does nothing for 30 s (TILT), which is for clocks that take long to
    # settle. This is long enough for fresh answers. Redis before 7.0 has no such command.
    echo "SENTINEL DEBUG TILT-PERIOD $((2 * normal + 1000))" | ask >/dev/null || true
    before=$(clock)
    while sleep 1 && kill -0 "$1" 2>/dev/null; do
        after=$(clock) || continue
        if [ "$after" -lt $((before - 10)) ]; then
            # Its timestamps are in the future: until then it sends no pings, and finds nothing down.
            echo "the clock was set back by $((before - after)) s: restarting the sentinel"
            kill "$1"
            return
        fi
        before=$after
        # Empty if the sentinel did not answer. This loop must not end while the sentinel runs.
        pair=$(ages) || continue
        [ "${pair% *}" != "${pair#* }" ] || continue
        echo "down-after-milliseconds: ${pair% *} -> ${pair#* }"
        echo "SENTINEL SET $MASTER down-after-milliseconds ${pair#* }" | ask >/dev/null || true
    done
}

if [ ! -s sentinel.conf ]; then
    own=$(resolve "$SELF") leader=$(resolve "$FIRST")
    cat >sentinel.new <<END
port ${SELF##*:}
sentinel announce-ip $own
sentinel announce-port ${SELF##*:}
sentinel monitor $MASTER $leader ${FIRST##*:} 2
sentinel down-after-milliseconds $MASTER $normal
sentinel failover-timeout $MASTER ${FAILOVER_TIMEOUT:-10000}
sentinel parallel-syncs $MASTER 1
END
    mv sentinel.new sentinel.conf
fi
# $$ remains the process of this script, which becomes the sentinel.
attend $$ &
exec redis-server sentinel.conf --sentinel --protected-mode no
