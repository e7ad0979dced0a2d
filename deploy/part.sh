#!/bin/sh
# Prints stack.yml with only these services, for a deploy that leaves all others alone:
#     deploy/part.sh redis-1
# Its names of files are relative to the folder of stack.yml. A service from which others inherit remains as a template.
set -eu

awk -v wanted=" $* " '
    /^ *#/ { next }
    /^[a-z]/ {
        if (within) printf "%sservices:\n%s", templates, services
        within = $0 == "services:"
        if (within) next
    }
    !within { print; next }
    /^  [a-z]/ {
        name = $1
        sub(/:.*/, "", name)
        indent = index(wanted, " " name " ") ? "  " : /&/ ? "x-" : ""
        sub(/^  /, indent)
    }
    indent == "  " { services = services $0 "\n" }
    indent == "x-" { templates = templates $0 "\n" }
' "$(dirname "$0")/../stack.yml"
