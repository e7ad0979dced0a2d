#!/bin/sh
# Makes the swarm's page ask for a password, before each deploy:
#     deploy/secrets.sh
# Every node publishes the page, which shows the whole cluster. Unless stack.env has a password or a token for it, or
# says WATCH_OPEN=yes, this creates both, names their files in stack.env, and prints them once. Edges with
# NODES=swarm://... need the token.
set -eu
cd "$(dirname "$0")/.."

# shellcheck source=/dev/null
. ./stack.env
if [ -n "${WATCH_PASSWORD_FILE:-}${WATCH_TOKEN_FILE:-}" ] || [ "${WATCH_OPEN:-}" = yes ]; then exit 0; fi

# 24 letters, digits, - and _.
random() { head -c 18 /dev/urandom | base64 | tr '+/' '-_'; }

umask 077
password=${WATCH_PASSWORD:-page.txt} token=${WATCH_TOKEN:-token.txt}
[ -s "$password" ] || echo "watch:$(random)" >"$password"
[ -s "$token" ] || random >"$token"

# A secret is immutable: if the stack already has these, without content, new ones need a new name.
version=${WATCH_VERSION:-0}
while docker secret inspect "watch_password_$version" >/dev/null 2>&1; do version=$((version + 1)); done

# The last line may lack its line break.
[ -z "$(tail -c 1 stack.env)" ] || echo >>stack.env
cat >>stack.env <<END
WATCH_PASSWORD=$password
WATCH_PASSWORD_FILE=/run/secrets/watch_password
WATCH_TOKEN=$token
WATCH_TOKEN_FILE=/run/secrets/watch_token
WATCH_VERSION=$version
END
echo "The swarm's page asks for a password from now on; user and password are in $password: $(cat "$password")"
echo "Programs send the token in $token instead: $(cat "$token")"
