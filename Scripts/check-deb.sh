#!/usr/bin/env bash
# Checks a Debian package of echo-server: its files, the libraries its programs need, and that it installs in a minimal Debian, serves there,
# and leaves nothing behind when it is purged.  The last needs root.  Usage: check-deb.sh PACKAGE.deb
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'check-deb: %s\n' "$*" >&2
    exit 1
}

. Scripts/debian-system.sh

expected_files() {
    cat <<'FILES'
/etc/default/echo-server
/lib/systemd/system/echo-server-admin.socket
/lib/systemd/system/echo-server-inetd.socket
/lib/systemd/system/echo-server-inetd@.service
/lib/systemd/system/echo-server.service
/lib/systemd/system/echo-server.socket
/lib/systemd/system/echo-server@.service
/usr/bin/echo-client
/usr/bin/echo-server
/usr/lib/sysusers.d/echo-server.conf
/usr/libexec/echo-server/echo-fork-server
/usr/share/bash-completion/completions/echo-client
/usr/share/bash-completion/completions/echo-server
/usr/share/doc/echo-server/changelog.gz
/usr/share/doc/echo-server/copyright
/usr/share/doc/echo-server/examples/haproxy/echo-server.cfg
/usr/share/doc/echo-server/examples/ipvs/keepalived.conf
/usr/share/doc/echo-server/examples/kubernetes/deployment.yaml
/usr/share/doc/echo-server/examples/kubernetes/disruption-budget.yaml
/usr/share/doc/echo-server/examples/kubernetes/network-policy.yaml
/usr/share/doc/echo-server/examples/kubernetes/service.yaml
/usr/share/doc/echo-server/examples/nginx/echo-server.conf
/usr/share/doc/echo-server/examples/socket-activated.conf
/usr/share/fish/vendor_completions.d/echo-client.fish
/usr/share/fish/vendor_completions.d/echo-server.fish
/usr/share/lintian/overrides/echo-server
/usr/share/man/man1/echo-client.1.gz
/usr/share/man/man8/echo-server.8.gz
/usr/share/zsh/vendor-completions/_echo-client
/usr/share/zsh/vendor-completions/_echo-server
FILES
}

# As `dpkg -c` lists them: mode, owner, size, date, time, name, and the target of a link.
check_files() {
    local listing
    listing=$(dpkg -c "$package")
    # Later systems have the units below /usr.
    diff <(expected_files) <(awk '$1 !~ /^d/ { sub(/^\./, "", $6); print $6 }' <<<"$listing" | sed 's,^/usr/lib/systemd/,/lib/systemd/,' | sort) ||
        fail 'the files (right) are not those expected (left)'
    ! awk '$2 != "root/root" || ($1 !~ /^l/ && $1 ~ /s|t|^.....w|^........w/)' <<<"$listing" | grep . ||
        fail 'these files are not owned by root, or others may write to them, or they are setuid'
}

check_libraries() {
    local needed program
    dpkg -x "$package" "$work/files"
    for program in "$work"/files/usr/bin/*; do
        # The dynamic loader and libm belong to libc.
        needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc\.so\.6|libm\.so\.6|libev\.so\.4|ld-linux.*)$' || true)
        [[ -z $needed ]] || fail "${program##*/} needs ${needed//$'\n'/ }"
    done
    rm -r "$work/files"
}

# MARK: In the system

# All paths except those of apt and dpkg, and the content of the files of settings and users.
paths() {
    find / -xdev \( -path /proc -o -path /tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path '/var/lib/dpkg/*-old' \) -prune -o -print | sort
    find /etc -xdev -type f ! -name '*-' -exec cksum {} + | sort
}

eventually() {
    local _
    for _ in {1..200}; do
        if "$@"; then return; fi
        sleep 0.05
    done
    return 1
}

# There may be no network here, not even a loopback interface.
serve() {
    echo-server --unix-socket /tmp/socket 2>/tmp/log &
    eventually echo-client ping --unix-socket /tmp/socket >/dev/null 2>&1 || { cat /tmp/log && return 1; }
    [[ $(printf 'hello\n' | echo-client --unix-socket /tmp/socket) == HELLO ]] && kill -TERM $! && wait $!
}

try_package() {
    paths >/tmp/before
    apt-get install -y /tmp/echo-server.deb >/tmp/apt 2>&1 || { cat /tmp/apt && fail 'apt cannot install it'; }
    echo 'ok: installed'
    ! ldd /usr/bin/echo-server /usr/bin/echo-client | grep -E 'not found|libswift|libstdc|libFoundation' || fail 'a library is missing'
    getent passwd echo-server >/dev/null || fail 'the user echo-server is missing'
    serve || fail 'it does not serve'
    echo 'ok: serves in a minimal system'
    apt-get purge -y echo-server >/tmp/apt 2>&1 || { cat /tmp/apt && fail 'apt cannot purge it'; }
    diff /tmp/before <(paths) || fail 'the purge left something behind, or removed too much'
    echo 'ok: purged, nothing left behind'
}

# The system is read only.  Writes go to memory and end with these namespaces.
in_system() {
    mount -t tmpfs tmpfs "$work"
    mkdir "$work"/{root,upper,work}
    mount -t overlay overlay -o "lowerdir=$system,upperdir=$work/upper,workdir=$work/work" "$work/root"
    mount -t proc proc "$work/root/proc"
    cp "$package" "$work/root/tmp/echo-server.deb"
    exec chroot "$work/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        /bin/bash -euo pipefail -c "$(declare -f fail paths eventually serve try_package); try_package"
}

# shellcheck disable=SC2317  # run by the trap
clean_up() { rm -rf --one-file-system "$work" "$system.partial.$$"; }

(($# == 1)) || fail 'usage: check-deb.sh PACKAGE.deb'
package=$1
[[ -f $package ]] || fail "no $package: make deb"
work=$(mktemp -d)
trap clean_up EXIT

check_files
echo 'ok: the files are those expected'
check_libraries
echo 'ok: the programs need libc and libev only; libssl.so.3 is loaded for TLS'
check_rights
make_system
export package work system
timeout --kill-after=5 120 unshare --mount --pid --net --ipc --fork --kill-child \
    bash -euo pipefail -c "$(declare -f in_system fail paths eventually serve try_package); in_system"
