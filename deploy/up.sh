#!/bin/sh
# Deploys the stack with the variables in stack.env, and waits until it runs. Run it on a manager:
#     deploy/up.sh [SECONDS]      default: 60 per node, at least 300
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
version TLS_VERSION "${TLS_CERT:-deploy/no-certificate.pem}"
version WATCH_CONFIG_VERSION "${WATCH_CONFIG:-deploy/watch.toml}"
version WATCH_SMTP_VERSION "${WATCH_SMTP:-deploy/no-secret.txt}"
version WATCH_SMS_VERSION "${WATCH_SMS:-deploy/no-secret.txt}"
version WATCH_WEBHOOK_VERSION "${WATCH_WEBHOOK:-deploy/no-secret.txt}"
version WATCH_HEARTBEAT_VERSION "${WATCH_HEARTBEAT:-deploy/no-secret.txt}"
version WATCH_PASSWORD_VERSION "${WATCH_PASSWORD:-deploy/no-secret.txt}"
version WATCH_TOKEN_VERSION "${WATCH_TOKEN:-deploy/no-secret.txt}"

# By default, each deploy resolves redis:7-alpine again, and would restart all three Redis servers at once if the tag
# points to a new image.
docker stack deploy --resolve-image changed --compose-file stack.yml stackdemo
exec deploy/wait.sh "$@"
