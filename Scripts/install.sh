#!/usr/bin/env bash
# Puts what `make dist` has built into the file system, or takes it out again: install.sh install|uninstall.
# DESTDIR, PREFIX and the other places come from the environment; `make install` sets them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=.build/dist
bin=$PREFIX/bin

usage() {
    printf 'usage: DESTDIR=... PREFIX=... %s install|uninstall\n' "$0" >&2
    exit 64
}

# Usage: place MODE FILE TARGET; every file that belongs to an installation goes through here, in both directions.
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

# The units name programs and settings by their paths.  A link is a second name of a unit.
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

# Settings are their owner's: an installation does not overwrite them, and takes out only what was never changed.
place_settings() {
    local target=$DESTDIR$2
    if [[ -e $target ]] && ! cmp -s "$1" "$target"; then
        printf 'left as it is: %s\n' "$target"
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
for page in packaging/man/*.[1-9]; do
    place 644 "$page" "$MANDIR/man${page##*.}/${page##*/}"
done
for unit in systemd/*.service systemd/*.socket; do
    place_unit "$unit"
done
place 644 systemd/socket-activated.conf "$DOCDIR/examples/socket-activated.conf"
place 644 packaging/echo-server.sysusers "$SYSUSERSDIR/echo-server.conf"
place_settings systemd/echo-server.default "$SYSCONFDIR/default/echo-server"

# No other package has files there.
if [[ $action == uninstall ]]; then rmdir "$DESTDIR$DOCDIR/examples" "$DESTDIR$DOCDIR" 2>/dev/null || true; fi
if [[ $action == install && -z $DESTDIR ]]; then
    printf 'Installed.  To serve now and after each boot: systemd-sysusers; systemctl daemon-reload; systemctl enable --now echo-server\n'
fi
