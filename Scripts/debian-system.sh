# A minimal Debian in a directory, for scripts that try the package in it: to be sourced, in the package's directory, with `fail` defined.
# It is made by debootstrap once and never changed after: whoever uses it puts what they write somewhere else.
# MIRROR says where Debian is taken from; by default, from where apt takes it here.
# shellcheck shell=bash

release=bookworm
packages=systemd,systemd-sysv,dbus,libev4,netcat-openbsd,procps
# Another list of packages is another system.
system=$PWD/.build/test-systemd/$release-$(cksum <<<"$packages" | cut -d ' ' -f 1)

# The mirror that apt uses here, where this is Debian.
mirror() {
    local uri
    if command -v apt-get >/dev/null; then
        # shellcheck disable=SC2016  # apt-get expands it
        uri=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $release" 'Origin: Debian' | head -n 1)
    fi
    printf '%s\n' "${uri:-http://deb.debian.org/debian}"
}

# Whether this process may do all that needs root, or why not.  In many containers, root may not mount.
check_rights() {
    ((EUID == 0)) || fail 'can not run here: needs root'
    unshare --mount --pid --net --fork --kill-child true 2>/dev/null ||
        fail 'can not run here: root may not make namespaces (in a container, only a privileged one can do this)'
}

# Makes the system unless it is there.  It has its name only when it is complete; until then what debootstrap mounts and runs is in
# namespaces of its own, and goes with them, however it ends.
make_system() {
    [[ ! -d $system ]] || return 0
    local from=${MIRROR:-$(mirror)} partial=$system.partial.$$
    printf 'Making a Debian in %s from %s\n' "$system" "$from"
    mkdir -p "${system%/*}"
    if ! unshare --mount --pid --fork --kill-child --mount-proc \
        debootstrap --variant=minbase --include="$packages" "$release" "$partial" "$from" >"$system.log" 2>&1; then
        rm -rf --one-file-system "$partial"
        fail "debootstrap fails, see $system.log: $(tail -n 1 "$system.log")"
    fi
    mv -T "$partial" "$system"
}
