#!/bin/sh
# Waits until the stack runs as deployed: each service has all its replicas, and no update is in progress.
# Run it on a manager:
#     deploy/wait.sh [SECONDS [STACK]]      defaults: 60 per node, at least 300; stackdemo
# After that time it fails and lists what is missing. It fails at once if an update is paused or rolled back.
set -eu

# Edges are updated one after the other. Each takes up to 30 s to drain, a few seconds to start and become healthy, and
# then a delay of 10 s.
nodes=$(docker node ls --quiet | wc -l)
by_default=$((nodes > 5 ? nodes * 60 : 300))
seconds=${1:-$by_default} stack=${2:-stackdemo}
of_stack=label=com.docker.stack.namespace=$stack
end=$(($(date +%s) + seconds))

# Prints what is still missing, one line each.
missing() {
    docker service ls --filter "$of_stack" --format '{{.Name}} {{.Replicas}}' | while read -r name replicas _; do
        [ "${replicas%/*}" = "${replicas#*/}" ] || echo "$name: $replicas"
    done
    echo "$updates" | grep -e ' updating' -e ' rollback_started' || true
}

# An update begins a moment after its deploy, so the state must hold for a few seconds.
held=0
while [ "$held" -lt 4 ]; do
    services=$(docker service ls --quiet --filter "$of_stack")
    [ -n "$services" ] || { echo "there is no stack $stack" >&2; exit 1; }
    # shellcheck disable=SC2086 # one word for each service
    updates=$(docker service inspect \
        --format '{{.Spec.Name}}{{with .UpdateStatus}} {{.State}} {{.Message}}{{end}}' $services)
    if echo "$updates" | grep -e ' paused' -e ' rollback_paused' -e ' rollback_completed' >&2; then
        exit 1
    fi
    wanted=$(missing)
    if [ -z "$wanted" ]; then held=$((held + 1)); else held=0; fi
    if [ "$(date +%s)" -ge "$end" ]; then
        echo "still missing after $seconds s:" "$wanted" >&2
        docker stack ps --no-trunc --filter desired-state=running \
            --format '{{.Name}} on {{.Node}}: {{.CurrentState}} {{.Error}}' "$stack" | grep -v ': Running' >&2
        exit 1
    fi
    sleep 1
done
