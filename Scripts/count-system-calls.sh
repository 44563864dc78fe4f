#!/usr/bin/env bash
# Counts the system calls of echo-server for MESSAGES messages (default: 100,000) on one connection, one at a time.
# Needs strace, and the release build (`make build`).
set -euo pipefail
cd "$(dirname "$0")/.."
messages=${1:-100000}
programs=.build/release
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

"$programs/echo-server" --port 0 2>"$work/log" &
server=$!
until grep -q 'listening on' "$work/log"; do kill -0 "$server"; done
port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/log")

strace -c -U name,calls,errors -o "$work/calls" -p "$server" 2>"$work/strace" &
tracer=$!
until grep -q attached "$work/strace"; do kill -0 "$tracer"; done

exec 3<>"/dev/tcp/127.0.0.1/$port"
for ((i = 0; i < messages; i++)); do
    printf 'message\n' >&3
    read -r answer <&3
    [ "$answer" = MESSAGE ] || { echo "expected MESSAGE, got '$answer'" >&2; exit 1; }
done
exec 3>&-
kill "$server"
wait "$server" "$tracer" || true
echo "$messages messages:"
cat "$work/calls"
