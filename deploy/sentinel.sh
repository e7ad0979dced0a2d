#!/bin/sh
# Starts one of the sentinels. From its first start on it keeps its state and its votes in a file of its own:
# a sentinel that forgets its vote can vote twice. Variables:
#     SELF    its own host and port, as the others reach it: sentinel-1:26379
#     FIRST   host and port of the master of a system that has never run
#     MASTER  the sentinels' name for the master
#     DOWN_AFTER, FAILOVER_TIMEOUT  in milliseconds
# It announces addresses, never names: a name look-up would block the sentinel when it matters most.
set -eu

# host -> address; a name may take a moment to resolve
resolve() {
    until address=$(getent hosts "${1%:*}"); do sleep 1; done
    echo "${address%% *}"
}

if [ ! -s sentinel.conf ]; then
    own=$(resolve "$SELF") leader=$(resolve "$FIRST")
    cat >sentinel.new <<END
port ${SELF##*:}
sentinel announce-ip $own
sentinel announce-port ${SELF##*:}
sentinel monitor $MASTER $leader ${FIRST##*:} 2
sentinel down-after-milliseconds $MASTER ${DOWN_AFTER:-2000}
sentinel failover-timeout $MASTER ${FAILOVER_TIMEOUT:-10000}
sentinel parallel-syncs $MASTER 1
END
    mv sentinel.new sentinel.conf
fi
exec redis-server sentinel.conf --sentinel --protected-mode no
