#!/bin/sh
# Deploys the stack with the variables in stack.env, and waits until it runs so. On a manager:
#     deploy/up.sh [SECONDS]      60 for each node, 300 at least
set -eu
cd "$(dirname "$0")/.."

# They go with every deploy: one that is left out falls back to its default. This one may stand before the command, to
# deploy all but those who count.
web=${WEB_REPLICAS:-}
set -a
# shellcheck source=/dev/null
. ./stack.env
[ -z "$web" ] || WEB_REPLICAS=$web
set +a
# By default each deploy looks what redis:7-alpine means today, and would restart all three Redis at once
# when that is something new.
docker stack deploy --resolve-image changed --compose-file stack.yml stackdemo
exec deploy/wait.sh "$@"
