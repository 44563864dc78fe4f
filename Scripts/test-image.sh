#!/usr/bin/env bash
# Builds the image of the Dockerfile with podman, which needs no daemon, and runs it as a cluster would: as its own user, with a root that is read-only, without
# capabilities, with limits of memory and processes.  Needs root.  Usage: test-image.sh
#
# The base images have the names that the Dockerfile says.  They are made here, with debootstrap and this machine's Swift, so that no registry is asked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'test-image: %s\n' "$*" >&2
    exit 1
}

. Scripts/debian-system.sh
check_rights

state=$PWD/.build/test-image
image=localhost/echo-server:test
# Of all layers, as a registry would send them.
most_megabytes=40
mkdir -p "$state"
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")

# Limits of descriptors and processes are said, since podman's own are higher than a process without CAP_SYS_RESOURCE may set.
run_options=(--ulimit nofile=1024:1024 --ulimit nproc=1000:1000)

# At most `limit` seconds.
podman() {
    timeout --foreground "${limit:-1500}" podman --root "$state/store" --runroot "$state/run" --storage-driver overlay --runtime runc --cgroup-manager cgroupfs "$@"
}

base_name() { sed -n "s/^ARG $1=//p" Dockerfile; }

# Usage: make_base NAME PACKAGES; without documentation and translations, as the real images of Debian are.
make_base() {
    podman image exists "$1" && return
    local root=$state/base
    printf 'Making %s\n' "$1"
    rm -rf --one-file-system "$root"
    unshare --mount --pid --fork --kill-child --mount-proc \
        debootstrap --variant=minbase ${2:+--include="$2"} "$release" "$root" "${MIRROR:-$(mirror)}" >"$state/debootstrap.log" 2>&1 ||
        fail "debootstrap failed, see $state/debootstrap.log: $(tail -n 1 "$state/debootstrap.log")"
    printf 'path-exclude %s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' >"$root/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "$root"/usr/share/{doc,man,locale}/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
    tar -C "$root" -c . | podman import --change "ENV PATH=/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin" - "$1" >/dev/null
    rm -rf --one-file-system "$root"
}

# Directories in which git has copies of packages, by its settings on this machine.
package_mirrors() {
    git config --get-regexp 'url\..*\.insteadof' | sed 's/^url\.//; s/\.insteadof .*//' | sort -u | while read -r place; do
        [[ ! -d $place ]] || printf '%s\n' "--volume=$place:$place:ro"
    done
}

git_settings() {
    git config --get-regexp 'url\..*\.insteadof' | while read -r key value; do
        git config --file "$state/gitconfig" --add "${key#.}" "$value"
    done
    git config --file "$state/gitconfig" --add safe.directory '*'
}

build_image() {
    rm -f "$state/gitconfig"
    git_settings
    local mirrors
    mapfile -t mirrors < <(package_mirrors)
    podman build --format docker --pull=never --network host "${run_options[@]}" --volume "$toolchain:/toolchain:ro" \
        --volume "$state/gitconfig:/etc/gitconfig:ro" "${mirrors[@]}" --tag "$image" . >"$state/build.log" 2>&1 ||
        fail "the build failed, see $state/build.log: $(tail -n 3 "$state/build.log")"
}

check_size() {
    local bytes
    bytes=$(podman save --format docker-archive "$image" 2>/dev/null | gzip -6 | wc -c)
    printf 'size: %d.%d MB packed\n' $((bytes / 1000000)) $((bytes % 1000000 / 100000))
    ((bytes <= most_megabytes * 1000000)) || fail "the image has $bytes bytes, packed; $most_megabytes MB are the most"
}

container=
stop_container() {
    [[ -z $container ]] || podman rm --force --time 0 "$container" >/dev/null 2>&1 || true
}
trap stop_container EXIT

# Usage: start OPTIONS OF echo-server; in a network of its own, with nothing but loopback.
# Without systemd podman says that it will not check the health by itself.
start() {
    container=$(podman run --detach --read-only --read-only-tmpfs=false --cap-drop=all --security-opt no-new-privileges --memory 64m --pids-limit 100 --network none \
        "${run_options[@]}" "$image" "$@" 2>"$state/run.log") || fail "the image does not start with $*: $(<"$state/run.log")"
}

inside() { podman exec "$container" "$@"; }

# As the cluster would: until the check of the image succeeds, at most ten seconds.
until_healthy() {
    local second
    for second in {1..20}; do
        ! podman healthcheck run "$container" >/dev/null 2>&1 || return 0
        sleep 0.5
    done
    fail "not healthy after $((second / 2)) seconds with $1: $(podman logs "$container" 2>&1 | tail -n 3)"
}

# Usage: process FILE: of process 1 in the container, whose image has few tools
process() { cat "/proc/$(podman inspect --format '{{.State.Pid}}' "$container")/$1"; }

check_identity() {
    grep -qE '^Uid:\s65532\s65532' <(process status) || fail "process 1 is not of the user 65532: $(process status | grep Uid)"
    grep -qE '^CapEff:\s0+$' <(process status) || fail "process 1 has capabilities: $(process status | grep CapEff)"
    grep -qE '^[^ ]+ / [^ ]+ ro[, ]' <(process mounts) || fail "the root is not read-only: $(process mounts | grep ' / ')"
    ! inside sh -c ': >/tmp/written' 2>/dev/null || fail 'a file can be written'
}

check_limits() {
    local place memory
    place=$(process cgroup | sed -n 's,^[0-9]*:memory:/,,p; s,^0::/,,p' | head -n 1)
    memory=$(cat "/sys/fs/cgroup/memory/$place/memory.limit_in_bytes" "/sys/fs/cgroup/$place/memory.max" 2>/dev/null | head -n 1 || true)
    [[ $memory == 67108864 ]] || fail "the memory is not limited to 64 MiB, but to '$memory'"
}

check_end() {
    local begin=$SECONDS status
    podman kill --signal TERM "$container" >/dev/null
    status=$(limit=15 podman wait "$container") || fail "$1 goes on after TERM"
    [[ $status == 0 ]] || fail "$1 ends with status $status after TERM: $(podman logs "$container" 2>&1 | tail -n 3)"
    printf 'ok: %s, ended %d seconds after TERM\n' "$1" $((SECONDS - begin))
}

# Usage: check_model OPTIONS OF echo-server
check_model() {
    local answer
    start "$@"
    until_healthy "$*"
    check_identity
    check_limits
    answer=$(printf 'hello\n' | podman exec --interactive "$container" echo-client 127.0.0.1 8080) || true
    [[ $answer == HELLO ]] || fail "$* answers '$answer' to 'hello'"
    inside echo-client load --connections 20 --duration 1 127.0.0.1 8080 >/dev/null || fail "$* does not serve 20 connections"
    check_end "$*"
    stop_container
    container=
}

make_base "docker.io/library/debian:$(base_name DEBIAN)" ''
make_base "docker.io/library/swift:$(base_name SWIFT)" \
    ca-certificates,git,libc6-dev,libgcc-12-dev,libstdc++-12-dev,libcurl4,libedit2,libncurses6,libsqlite3-0,libxml2,libz3-4,tzdata,zlib1g-dev,libpython3.11
build_image
check_size
check_model --model green
check_model --model green --workers 2
check_model --model thread
check_model --model process
check_model --model process --pool-size 20
printf 'The image serves.\n'
