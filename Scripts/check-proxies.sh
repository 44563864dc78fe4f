#!/usr/bin/env bash
# Checks the examples of packaging/haproxy, nginx and ipvs as an operator would install them: each program of Debian's packages reads its file.
# Needs no root once the packages are there.  Usage: check-proxies.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf 'check-proxies: %s\n' "$*" >&2
    exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

read_by_haproxy() { haproxy -c -f /etc/haproxy/haproxy.cfg -f "$1"; }

# nginx -t opens its log and its file of the pid.
read_by_nginx() {
    printf 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\npid %s/pid;\nerror_log stderr;\nevents {}\ninclude %s;\n' "$scratch" "$(realpath "$1")" >"$scratch/nginx.conf"
    nginx -t -c "$scratch/nginx.conf"
}

read_by_keepalived() { keepalived -t -f "$(realpath "$1")"; }

# Usage: check PROGRAM FILE WORD: PROGRAM reads FILE, and refuses it when WORD is misspelt.
check() {
    local program=$1 file=$2 word=$3
    "read_by_$program" "$file" >"$scratch/log" 2>&1 || fail "$program refuses $file: $(<"$scratch/log")"
    sed "s/$word/${word}x/" "$file" >"$scratch/wrong"
    ! cmp -s "$file" "$scratch/wrong" || fail "$file has no $word"
    ! "read_by_$program" "$scratch/wrong" >/dev/null 2>&1 || fail "$program takes a file with the word ${word}x"
    printf 'ok: %s reads %s\n' "$program" "$file"
}

check haproxy packaging/haproxy/echo-server.cfg send-proxy-v2
check nginx packaging/nginx/echo-server.conf proxy_half_close
check keepalived packaging/ipvs/keepalived.conf inhibit_on_failure
