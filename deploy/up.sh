#!/bin/sh
# Deploys the stack with the variables in stack.env, and waits until it runs. Run it on a manager:
#     deploy/up.sh [SECONDS]      default: 60 per node, at least 300
# If Redis or its sentinels change, it first replaces them one at a time, which takes about six minutes; run it then on
# a manager with one of the Redis servers.
# The first run creates a password for the swarm's page: see deploy/secrets.sh.
set -eu
cd "$(dirname "$0")/.."

deploy/secrets.sh

# Every deploy needs all variables, because a missing one falls back to its default. WEB_REPLICAS from the environment
# takes precedence, for a deploy without replicas of web.
web=${WEB_REPLICAS:-}
set -a
# shellcheck source=/dev/null
[ ! -e secrets.env ] || . ./secrets.env
# shellcheck source=/dev/null
. ./stack.env
[ -z "$web" ] || WEB_REPLICAS=$web
set +a

# A secret or a config is immutable, so its name ends with a digest of its content: a changed file is a new secret, and
# an unchanged one leaves its services alone. The digest reveals nothing new: a user who may list the names may also run
# a task that reads the content.
version() {
    sum=$(sha256sum -- "$2")
    export "$1=$(printf '%.12s' "$sum")"
}
version REDIS_SH_VERSION deploy/redis.sh
version SENTINEL_SH_VERSION deploy/sentinel.sh
version TLS_VERSION "${TLS_CERT:-deploy/no-certificate.pem}"
version WATCH_CONFIG_VERSION "${WATCH_CONFIG:-deploy/watch.toml}"
version WATCH_SMTP_VERSION "${WATCH_SMTP:-deploy/no-secret.txt}"
version WATCH_SMS_VERSION "${WATCH_SMS:-deploy/no-secret.txt}"
version WATCH_WEBHOOK_VERSION "${WATCH_WEBHOOK:-deploy/no-secret.txt}"
version WATCH_HEARTBEAT_VERSION "${WATCH_HEARTBEAT:-deploy/no-secret.txt}"
version WATCH_PASSWORD_VERSION "${WATCH_PASSWORD:-deploy/no-secret.txt}"
version WATCH_TOKEN_VERSION "${WATCH_TOKEN:-deploy/no-secret.txt}"

# Redis and its sentinels are six services, which a deploy would update all at once, whereas a Redis server must not
# stop before the one that stopped last is in sync again. So a digest of all that makes them is a label of each.
group="redis-1 redis-2 redis-3 sentinel-1 sentinel-2 sentinel-3"
# shellcheck disable=SC2086 # several services
digest=$({ deploy/part.sh $group && cat deploy/redis.sh deploy/sentinel.sh; } | sha256sum)
REDIS_DIGEST=$(printf '%.12s' "$digest")
export REDIS_DIGEST

# By default, each deploy resolves redis:7-alpine again, and would restart all three Redis servers at once if the tag
# points to a new image.
deploy() { docker stack deploy --resolve-image changed --compose-file "$1" stackdemo; }

of_service() { docker service inspect --format "$2" "stackdemo_$1"; }

# Waits until all Redis servers and sentinels are in sync.
whole() {
    tries=0
    until error=$(deploy/count.sh whole 2>&1); do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || { echo "$1, but not all are in sync: $error" >&2; exit 1; }
        sleep 1
    done
}

existing=$(docker service ls --filter label=com.docker.stack.namespace=stackdemo --format '{{.Name}}')
for service in $group; do
    echo "$existing" | grep -q -x "stackdemo_$service" || continue
    [ "$(of_service "$service" '{{index .Spec.Labels "stackdemo.redis"}}')" != "$REDIS_DIGEST" ] || continue
    whole "Redis or its sentinels change, and $service must not stop before"
    tasks=$(of_service "$service" '{{json .Spec.TaskTemplate}}')
    deploy/part.sh "$service" | deploy -
    [ "$tasks" != "$(of_service "$service" '{{json .Spec.TaskTemplate}}')" ] || continue
    echo "replacing $service"
    state='' seconds=0
    until [ "$state" = completed ]; do
        sleep 1
        seconds=$((seconds + 1))
        [ "$seconds" -lt 600 ] || { echo "$service is not replaced after $seconds s" >&2; exit 1; }
        state=$(of_service "$service" '{{with .UpdateStatus}}{{.State}}{{end}}')
        case $state in
            paused | rollback_*) echo "$service does not start as deployed: $state" >&2; exit 1 ;;
        esac
    done
    whole "$service is replaced"
done

deploy stack.yml
exec deploy/wait.sh "$@"
