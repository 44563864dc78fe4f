#!/usr/bin/env bash
# Bulk through a TCP forwarder: PortForwarder beside socat and HAProxy in tcp mode, by turns.  forwarder.sh [ROUNDS [GIB]]
# One connection, since socat serves each of several in a process of its own.
# HAProxy is run as its tcp mode is, and once more with `option splice-auto`, which is shown and is no gate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source Benchmarks/transfers/common.bash
rounds=${1:-5} gib=${2:-4} port=21300 target=21301  # not among the ports that clients get
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# configuration OPTION: of HAProxy, with one OS thread, as the others have.
configuration() {
    printf '%s\n' global "nbthread 1" defaults "mode tcp" "timeout connect 5s" "timeout client 60s" "timeout server 60s" "$1" \
        "listen forward" "bind 127.0.0.1:$port" "server target 127.0.0.1:$target"
}
configuration "" >"$work/plain.cfg"
configuration "option splice-auto" >"$work/splice.cfg"

names=(PortForwarder socat HAProxy HAProxy-splice)
declare -A command=(
    [PortForwarder]="$release/PortForwarder $port 127.0.0.1 $target"
    [socat]="socat TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr TCP:127.0.0.1:$target"
    [HAProxy]="haproxy -db -f $work/plain.cfg"
    [HAProxy-splice]="haproxy -db -f $work/splice.cfg"
)
declare -A speeds costs
for ((round = 0; round < rounds; round++)); do
    for name in "${names[@]}"; do
        # shellcheck disable=SC2086  # a command and its arguments
        read -r speed cost < <("$programs/bulk-load" "$gib" 1 $port $target -- ${command[$name]} 2>"$work/$name.log") || true
        [[ -n ${speed:-} ]] || { printf "%s failed: " "$name" >&2; cat "$work/$name.log" >&2; exit 1; }
        speeds[$name]+=" $speed" costs[$name]+=" $cost"
        speed=
    done
done
declare -A speed_of cost_of
for name in "${names[@]}"; do
    # shellcheck disable=SC2086  # numbers
    speed_of[$name]=$(median ${speeds[$name]}) cost_of[$name]=$(median ${costs[$name]})
    printf '%-15s %6.2f GiB/s, %6.3f s of processor time a GiB\n' "$name" "${speed_of[$name]}" "${cost_of[$name]}"
done
for name in socat HAProxy; do
    gate "throughput to that of $name" "$(ratio "${speed_of[PortForwarder]}" "${speed_of[$name]}")" at-least 1.3
    gate "processor time a GiB to that of $name" "$(ratio "${cost_of[PortForwarder]}" "${cost_of[$name]}")" at-most 0.7
done
exit $failed
