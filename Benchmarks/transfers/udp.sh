#!/usr/bin/env bash
# A UDP echo: `Datagram` with batches beside a loop of recvfrom and sendto in C, by turns.  udp.sh [ROUNDS [SECONDS]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source Benchmarks/transfers/common.bash
rounds=${1:-5} seconds=${2:-2} port=21210

# Server and clients share one CPU, with a real-time policy where that is permitted: the one that runs keeps it until it waits.  Else each datagram wakes the
# server, the time goes into that, and both servers find one datagram at a time, as if there were no load.
load=(taskset -c "$(($(nproc) - 1))" "$programs/udp-load")
if chrt -f 1 true 2>/dev/null; then load=(chrt -f 1 "${load[@]}"); fi

# compare CLIENTS WINDOW SIZE
compare() {
    local green=() floor=() cost speed lost
    for ((round = 0; round < rounds; round++)); do
        read -r cost speed lost < <("${load[@]}" "$seconds" "$1" "$2" "$3" $port -- "$release/DatagramEcho" $port)
        green+=("$cost")
        read -r cost speed lost < <("${load[@]}" "$seconds" "$1" "$2" "$3" $port -- "$programs/udp-floor" $port)
        floor+=("$cost")
    done
    printf '%3d clients, %2d datagrams of %4d bytes at once: Datagram %5.0f ns, C %5.0f ns a datagram\n' "$1" "$2" "$3" \
        "$(median "${green[@]}")" "$(median "${floor[@]}")"
    gate "  processor time to that of recvfrom and sendto" "$(ratio "$(median "${green[@]}")" "$(median "${floor[@]}")")" at-most 0.8
}

compare 1 32 100
compare 8 16 100
compare 8 16 1200
exit $failed
