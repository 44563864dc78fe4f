#!/usr/bin/env bash
# Checks the systemd units: whether they are valid (`systemd-analyze verify`), and how exposed they are (`systemd-analyze security`; 10 is not sandboxed
# at all).  Needs no running systemd.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# In tenths, as --threshold expects.
highest_score=15
highest_score_activated=5

if ! command -v systemd-analyze >/dev/null; then
    if ! command -v apt-get >/dev/null; then
        echo 'check-units: no systemd-analyze here, and no apt-get to install it with: THE UNITS ARE NOT CHECKED' >&2
        exit 0
    fi
    Scripts/setup.sh systemd
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# Usage: copy_units DIRECTORY.  `verify` needs programs that exist, and does not check them.
copy_units() {
    mkdir "$1"
    cp --no-dereference systemd/*.service systemd/*.socket "$1"
    find "$1" -name '*.service' -type f -exec sed -i 's|=/usr/bin/echo-server|=/bin/true|; s|=/bin/kill|=/bin/true|' {} +
}

# Usage: check WHAT COMMAND...  Shows the command's output only if it fails.
check() {
    local what=$1
    shift
    if "$@" >"$scratch/output" 2>&1 && [[ $what == score* || ! -s $scratch/output ]]; then
        printf 'ok: %s%s\n' "$what" "$(sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/: \1/p' "$scratch/output")"
    else
        printf 'FAILED: %s\n' "$what"
        sed 's/^/    /' "$scratch/output"
        failed=1
    fi
}

# Usage: score WHAT THRESHOLD UNIT
score() {
    check "score of $1" systemd-analyze security --no-pager --offline=true --threshold="$2" "$3"
}

plain=$scratch/plain
activated=$scratch/activated
copy_units "$plain"
copy_units "$activated"
mkdir "$activated/echo-server.service.d"
cp systemd/socket-activated.conf "$activated/echo-server.service.d/"

for directory in "$plain" "$activated"; do
    for unit in echo-server.service echo-server.socket echo-server-admin.socket echo-server@.service echo-server-inetd.socket; do
        check "$unit (${directory##*/})" systemd-analyze verify --man=no "$directory/$unit"
    done
done
score echo-server.service "$highest_score" "$plain/echo-server.service"
score 'echo-server.service with its sockets passed in' "$highest_score_activated" "$activated/echo-server.service"
score echo-server@.service "$highest_score_activated" "$plain/echo-server@.service"

exit "$failed"
