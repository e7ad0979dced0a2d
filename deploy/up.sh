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
. ./stack.env
[ -z "$web" ] || WEB_REPLICAS=$web
set +a
# By default, each deploy resolves redis:7-alpine again, and would restart all three Redis servers at once if the tag
# points to a new image.
docker stack deploy --resolve-image changed --compose-file stack.yml stackdemo
exec deploy/wait.sh "$@"
