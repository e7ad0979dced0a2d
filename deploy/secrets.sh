#!/bin/sh
# Creates a password and a token for the swarm's page, before each deploy:
#     deploy/secrets.sh
# Every node publishes the page, which shows the whole cluster, so watch shows it to nobody without them. Unless
# stack.env names a password or a token, or says WATCH_OPEN=yes, this creates both and prints them once. Their settings
# are in secrets.env, which deploy/up.sh reads before stack.env. The edges, which ask watch for the nodes, need the token.
set -eu
cd "$(dirname "$0")/.."

# shellcheck source=/dev/null
. ./stack.env
# An earlier run may have written it, before stack.env named a password or opened the page.
rm -f secrets.env
[ -z "${WATCH_PASSWORD_FILE:-}${WATCH_TOKEN_FILE:-}" ] || exit 0
case ${WATCH_OPEN:-no} in
    no | false | off | 0) ;;
    *) exit 0 ;;
esac

# 24 letters, digits, - and _.
random() { head -c 18 /dev/urandom | base64 | tr '+/' '-_'; }

umask 077
password=${WATCH_PASSWORD:-page.txt} token=${WATCH_TOKEN:-token.txt}
if [ ! -s "$password" ]; then
    echo "watch:$(random)" >"$password"
    echo "created $password, the user and the password of the swarm's page: $(cat "$password")"
fi
if [ ! -s "$token" ]; then
    random >"$token"
    echo "created $token, the token of the swarm's page for programs: $(cat "$token")"
fi
cat >secrets.env <<END
WATCH_PASSWORD='$password'
WATCH_PASSWORD_FILE=/run/secrets/watch_password
WATCH_TOKEN='$token'
WATCH_TOKEN_FILE=/run/secrets/watch_token
END
