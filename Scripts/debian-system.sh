# A minimal Debian in a directory, for scripts that test the package in it.  Source this file in the package's directory, with `fail` defined.
# debootstrap makes the system once; a script that uses it writes elsewhere.
# MIRROR is the mirror to download Debian from (default: the one that apt uses here).
# shellcheck shell=bash

release=bookworm
packages=systemd,systemd-sysv,dbus,libev4,libssl3,netcat-openbsd,procps
# The name depends on the list of packages.
system=$PWD/.build/test-systemd/$release-$(cksum <<<"$packages" | cut -d ' ' -f 1)

# The mirror that apt uses here, if this is Debian.
mirror() {
    local uri
    if command -v apt-get >/dev/null; then
        # shellcheck disable=SC2016  # apt-get expands it
        uri=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $release" 'Origin: Debian' | head -n 1)
    fi
    printf '%s\n' "${uri:-http://deb.debian.org/debian}"
}

# Fails if this process may not do what needs root.  In many containers, root may not mount.
check_rights() {
    ((EUID == 0)) || fail 'cannot run here: needs root'
    unshare --mount --pid --net --fork --kill-child true 2>/dev/null ||
        fail 'cannot run here: root may not make namespaces (a container must be privileged)'
}

# Makes the system unless it exists.  The directory gets its name when it is complete.  debootstrap mounts and runs in namespaces of its own, which
# remove everything however it ends.
make_system() {
    [[ ! -d $system ]] || return 0
    local from=${MIRROR:-$(mirror)} partial=$system.partial.$$
    printf 'Making a Debian in %s from %s\n' "$system" "$from"
    mkdir -p "${system%/*}"
    if ! unshare --mount --pid --fork --kill-child --mount-proc \
        debootstrap --variant=minbase --include="$packages" "$release" "$partial" "$from" >"$system.log" 2>&1; then
        rm -rf --one-file-system "$partial"
        fail "debootstrap failed, see $system.log: $(tail -n 1 "$system.log")"
    fi
    mv -T "$partial" "$system"
}
