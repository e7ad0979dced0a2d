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

version=${WATCH_VERSION:-0}
case $version in
    *[!0-9]* | 0?*)
        echo "WATCH_VERSION in stack.env is not a number: $version" >&2
        exit 1
        ;;
esac
# A secret is immutable: if the stack already has placeholders by these names, new secrets need new names. Asked before
# anything is written, because a client that cannot reach a manager must change nothing.
secrets=$(docker secret ls --format '{{.Name}}')
while echo "$secrets" | grep -q -x "watch_password_$version"; do version=$((version + 1)); done

# 24 letters, digits, - and _.
random() { head -c 18 /dev/urandom | base64 | tr '+/' '-_'; }

umask 077
password=${WATCH_PASSWORD:-page.txt} token=${WATCH_TOKEN:-token.txt}
echo "The swarm's page asks for the user and the password in $password from now on, or for the token in $token."
if [ ! -s "$password" ]; then
    echo "watch:$(random)" >"$password"
    echo "created $password: $(cat "$password")"
fi
if [ ! -s "$token" ]; then
    random >"$token"
    echo "created $token: $(cat "$token")"
fi

# The last line may lack its line break.
[ -z "$(tail -c 1 stack.env)" ] || echo >>stack.env
cat >>stack.env <<END
WATCH_PASSWORD='$password'
WATCH_PASSWORD_FILE=/run/secrets/watch_password
WATCH_TOKEN='$token'
WATCH_TOKEN_FILE=/run/secrets/watch_token
WATCH_VERSION=$version
END
