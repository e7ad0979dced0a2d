#!/bin/sh
# Prints the count, checks how safe it is, and raises it. Run it on a node with one of the stack's Redis servers:
#     deploy/count.sh              prints the count; fails if it is unknown
#     deploy/count.sh whole        the same; fails unless all three Redis servers and sentinels are in sync
#     deploy/count.sh here         prints the count in this node's volume, whether or not its Redis runs; if its data is
#                                  damaged, tells what can be read, and fails
#     deploy/count.sh raise N      raises the count to at least N on two Redis servers; never lowers it
#     deploy/count.sh save FILE [here]    writes the count to FILE, unless FILE holds a greater one
# The count goes to standard output, everything else to standard error.
set -eu

stack=${STACK:-stackdemo} what=${1:-read} number=${2:-0}
case $what:$number in
    save:0 | save:) echo "save: name a file" >&2; exit 2 ;;
    save:*)
        case ${3:-read} in read | here) ;; *) echo "save: the only option is 'here'" >&2; exit 2 ;; esac
        file=$2
        count=$("$0" "${3:-read}")
        # A count that restarted from 0 must not overwrite the count to restore.
        saved=$(cat "$file" 2>/dev/null || true)
        case $saved in *[!0-9]*) echo "$file does not hold a number" >&2; exit 1 ;; esac
        [ "${count:=0}" -ge "${saved:-0}" ] || { echo "$file keeps $saved: $count is less" >&2; exit 0; }
        echo "$count" >"$file.new"
        exec mv "$file.new" "$file"
        ;;
    read:0 | whole:0 | here:0) ;;
    raise:*[!0-9]* | raise:) echo "raise: not a number: $number" >&2; exit 2 ;;
    raise:*) ;;
    *) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
esac

if [ "$what" = here ]; then
    # The image of the server is already on this node.
    image=$(docker ps --all --filter "volume=${stack}_redis" --format '{{.Image}}' | head -n 1)
    # Reads a copy of the data, because the server may be waiting for the sentinels or may not run at all.
    exec docker run --rm --interactive --network none --user 999:1000 --tmpfs /copy:mode=1777 \
        --volume "${stack}_redis:/from:ro" "${image:-redis:7-alpine}" sh -eu <"$(dirname "$0")/count-here.sh"
fi

container=$(docker ps --quiet --filter "name=^${stack}_sentinel-" | head -n 1)
[ -n "$container" ] || { echo "no sentinel of $stack runs on this node" >&2; exit 1; }
exec docker exec --interactive "$container" sh -eu -s "$what" "$number" <<'END'
what=$1 number=$2

# ask N    prints the master that sentinel N names, as "address port "
ask() {
    timeout 2 redis-cli -h "sentinel-$1" -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME counter 2>/dev/null |
        grep '^[0-9a-f]' | tr '\n' ' '
}
one=$(ask 1 || true) two=$(ask 2 || true) three=$(ask 3 || true)
for named in "$one" "$two"; do
    sentinels=0
    for its in "$one" "$two" "$three"; do
        [ -z "$its" ] || [ "$its" != "$named" ] || sentinels=$((sentinels + 1))
    done
    [ "$sentinels" -lt 2 ] || break
done
[ "$sentinels" -ge 2 ] || { echo "no two sentinels name the same master" >&2; exit 1; }
# shellcheck disable=SC2086 # two words
set -- $named
address=$1 port=$2
master() { timeout 5 redis-cli -h "$address" -p "$port" "$@"; }

# The number of replicas that keep up, as the master counts them for min-replicas-to-write.
replicas=$(master INFO replication | sed -n 's/^min_slaves_good_slaves:\([0-9]*\).*/\1/p')
echo "master $address:$port, replicas ${replicas:=0}, sentinels $sentinels" >&2
[ "$replicas" -ge 1 ] || { echo "no replica keeps up with the master" >&2; exit 1; }
if [ "$what" = raise ]; then
    # WAIT counts the replicas that have the writes of its own connection.
    printf '%s\n' "EVAL \"if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then \
return redis.call('SET', KEYS[1], ARGV[1]) end return redis.call('INCRBY', KEYS[1], 0)\" 1 hits $number" \
        "WAIT 1 5000" | master | { read -r _ && read -r held && [ "$held" -ge 1 ]; } ||
        { echo "no replica has it yet: try again" >&2; exit 1; }
fi
count=$(master GET hits)
echo "${count:=0}"
[ "$what" != raise ] || [ "$count" -ge "$number" ]
[ "$what" != whole ] || { [ "$replicas" = 2 ] && [ "$sentinels" = 3 ]; }
END
