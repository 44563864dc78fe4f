#!/usr/bin/env bash
# Boots Debian's systemd in a container, where packaging/test-systemd/checks.sh installs, uses and purges the package.
# Usage, as root: test-systemd.sh PACKAGE.deb [TEST...]; default: all tests of checks.sh.
#
# Writes go to memory.  The container has a network of its own with only a loopback interface.
# TEST_TIMEOUT sets the limit of a run in seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

limit=${TEST_TIMEOUT:-600}

fail() {
    printf 'test-systemd: %s\n' "$*" >&2
    exit 1
}

. Scripts/debian-system.sh

# If systemd runs here, it gives the container a cgroup.  Otherwise nspawn would use its caller's, which two runs would share.
enter_own_cgroup() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup{,/unified,/systemd}; do
        [[ -w $hierarchy/cgroup.procs ]] || continue
        mkdir -p "$hierarchy/$name"
        echo "$BASHPID" >"$hierarchy/$name/cgroup.procs"
    done
}

# The container ends with this script, however it ends: its mounts end with its namespaces, the rest is removed here.
# shellcheck disable=SC2317  # run by the trap
clean_up() {
    trap '' INT TERM HUP
    if [[ -n $container ]]; then
        # timeout passes the signal on, and kills after a while.
        kill -TERM "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$work" "$system.partial.$$"
    rmdir "/run/systemd/nspawn/propagate/$name" 2>/dev/null || true
    # Ends no process: only empty cgroups can be removed.
    find /sys/fs/cgroup{,/unified,/systemd}/"$name" -depth -type d -exec rmdir {} + 2>/dev/null || true
}

# An address that does not exist outside, no route to the outside, and the unified cgroup hierarchy.
boot() {
    local options=(--quiet --boot --private-network --volatile=overlay --console=read-only
        --directory="$system" --machine="$name"
        --bind-ro="$work/test:/test" --bind="$work/results:/results"
        --bind-ro="$PWD/packaging/test-systemd/checks.service:/etc/systemd/system/checks.service")
    if [[ ! -d /run/systemd/system ]]; then
        enter_own_cgroup
        options+=(--register=no --keep-unit)
    fi
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec timeout --kill-after=20 "$limit" \
        systemd-nspawn "${options[@]}" systemd.wants=checks.service
}

(($# >= 1)) || fail 'usage: test-systemd.sh PACKAGE.deb [TEST...]'
package=$1
shift
[[ -f $package ]] || fail "no $package: make deb"

check_rights

name=echo-test-$$
container=
work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_system
mkdir "$work/test" "$work/results"
cp packaging/test-systemd/*.sh "$work/test/"
cp "$package" "$work/test/echo-server.deb"
printf '%s\n' "$@" >"$work/test/selection"
: >"$work/results/log"

console=.build/test-systemd/console.log
boot >"$console" 2>&1 </dev/null &
container=$!
tail -n +1 -f --pid="$container" "$work/results/log" &
reader=$!
status=0
wait "$container" || status=$?
container=
wait "$reader" || true

if ! grep -qE '^[0-9]+ passed, [0-9]+ failed$' "$work/results/log"; then
    ((status == 124)) && fail "stopped after $limit seconds"
    fail "the container ended before the checks did (status $status), see $console: $(tail -n 3 "$console")"
fi
exit "$status"
