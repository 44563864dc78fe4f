#!/usr/bin/env bash
# Installs the result of `make dist`, or removes it again.  Usage: install.sh install|uninstall.
# DESTDIR, PREFIX and the other directories are in the environment; `make install` sets them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=.build/dist
bin=$PREFIX/bin

usage() {
    printf 'usage: DESTDIR=... PREFIX=... %s install|uninstall\n' "$0" >&2
    exit 64
}

# Usage: place MODE FILE TARGET: installs or removes one file.
place() {
    local mode=$1 file=$2 target=$DESTDIR$3
    if [[ $action == install ]]; then
        install -D -m "$mode" "$file" "$target"
    else
        remove "$target"
    fi
}

remove() {
    [[ -e $1 || -L $1 ]] || return 0
    rm -f "$1"
    printf 'removed %s\n' "$1"
}

place_program() {
    place 755 "$dist/$1" "$bin/$1"
    if [[ $action == install && -n $STRIP ]]; then "$STRIP" --strip-all "$DESTDIR$bin/$1"; fi
}

# echo-server finds it there, relative to itself.
place_fork_server() {
    local target=$PREFIX/libexec/echo-server/echo-fork-server
    place 755 "$dist/echo-fork-server" "$target"
    if [[ $action == install && -n $STRIP ]]; then "$STRIP" --strip-all "$DESTDIR$target"; fi
}

# The units contain paths of programs and settings.  A symbolic link is a second name of a unit.
place_unit() {
    local target=$UNITDIR/${1##*/}
    if [[ -L $1 && $action == install ]]; then
        mkdir -p "$DESTDIR$UNITDIR"
        cp -P "$1" "$DESTDIR$target"
    else
        place 644 "$1" "$target"
        if [[ $action == install ]]; then sed -i "s,/usr/bin/echo-,$bin/echo-,; s,/etc/default/,$SYSCONFDIR/default/," "$DESTDIR$target"; fi
    fi
}

# Settings that were changed are neither overwritten nor removed.
place_settings() {
    local target=$DESTDIR$2
    if [[ -e $target ]] && ! cmp -s "$1" "$target"; then
        printf 'kept, because it was changed: %s\n' "$target"
    else
        place 644 "$1" "$2"
    fi
}

(($# == 1)) || usage
action=$1
[[ $action == install || $action == uninstall ]] || usage

for program in echo-server echo-client; do
    place_program "$program"
    place 644 "$dist/completions/bash/$program" "$BASHDIR/$program"
    place 644 "$dist/completions/zsh/$program" "$ZSHDIR/_$program"
    place 644 "$dist/completions/fish/$program" "$FISHDIR/$program.fish"
done
place_fork_server
for page in packaging/man/*.[1-9]; do
    place 644 "$page" "$MANDIR/man${page##*.}/${page##*/}"
done
for unit in systemd/*.service systemd/*.socket; do
    place_unit "$unit"
done
place 644 systemd/socket-activated.conf "$DOCDIR/examples/socket-activated.conf"
for example in haproxy/echo-server.cfg nginx/echo-server.conf ipvs/keepalived.conf \
    kubernetes/{deployment,disruption-budget,network-policy,service}.yaml; do
    place 644 "packaging/$example" "$DOCDIR/examples/$example"
done
place 644 packaging/echo-server.sysusers "$SYSUSERSDIR/echo-server.conf"
place_settings systemd/echo-server.default "$SYSCONFDIR/default/echo-server"

# These directories are this package's own.
if [[ $action == uninstall ]]; then
    rmdir "$DESTDIR$PREFIX/libexec/echo-server" 2>/dev/null || true
    rmdir "$DESTDIR$DOCDIR"/examples/{haproxy,nginx,ipvs,kubernetes} "$DESTDIR$DOCDIR/examples" "$DESTDIR$DOCDIR" 2>/dev/null || true
fi
if [[ $action == install && -z $DESTDIR ]]; then
    printf 'Installed.  To start the service now and at each boot: systemd-sysusers; systemctl daemon-reload; systemctl enable --now echo-server\n'
fi
