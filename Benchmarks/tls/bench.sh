#!/usr/bin/env bash
# Compares TLS of echo-server with tls-floor, a plain C epoll server on the same OpenSSL, in one run: bulk bytes and full handshakes.
#
# Usage: bench.sh [ROUNDS [SECONDS]].  Each round measures the floor, echo-server and the floor again, one after the other.  The server has one processor
# and echo-client has another.  The client works as much as the server does, so the server's own speed is what it does in a second of its processor time;
# what went over the wire in a second of the clock is printed too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

rounds=${1:-3} seconds=${2:-3}
programs=${PROGRAMS:-.build/release}
floor=.build/bench/tls-floor
work=$(mktemp -d)
server=
clean_up() { [[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$work"; }
trap clean_up EXIT

# An RSA key: signing with it costs the server most of a handshake, as with the keys that most sites have.
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=bench -addext subjectAltName=IP:127.0.0.1 -days 1 \
    -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null

start() {
    case $1 in
    floor) taskset -c 0 "$floor" "$work/certificate.pem" "$work/key.pem" 2>"$work/log" & ;;
    echo-server)
        taskset -c 0 "$programs/echo-server" --port 0 --log-format text --tls-certificate "$work/certificate.pem" \
            --tls-key "$work/key.pem" 2>"$work/log" & ;;
    esac
    server=$!
    for _ in {1..200}; do
        port=$(sed -n 's/.*listening on [^ ]*:\([0-9]*\).*/\1/p' "$work/log" | head -n 1)
        [[ -z $port ]] || return 0
        sleep 0.02
    done
    cat "$work/log" >&2
    return 1
}

stop() {
    kill -TERM "$server"
    wait "$server" 2>/dev/null || true
    server=
}

# In ticks of 10 ms.
processor_time() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$server/stat"; }

# measure SERVER MODE OPTIONS...: prints a second's worth, by the clock and by the server's processor time.
measure() {
    local mode=$2 before after
    start "$1"
    before=$(processor_time)
    taskset -c 1 "$programs/echo-client" load 127.0.0.1 "$port" --tls --tls-ca "$work/certificate.pem" --mode "$mode" \
        --duration "$seconds" "${@:3}" --json >"$work/result"
    after=$(processor_time)
    stop
    local field=messages
    [[ $mode == churn ]] || field=bytes
    awk -v field="$field" -v ticks=$((after - before)) 'match($0, "\"" field "\":[0-9]+") {
        count = substr($0, RSTART + length(field) + 3, RLENGTH - length(field) - 3)
        match($0, /"seconds":[0-9.]+/)
        time = substr($0, RSTART + 10, RLENGTH - 10)
        if (field == "bytes") count /= 1048576
        printf "%.2f %.2f\n", count / time, count / (ticks / 100)
    }' "$work/result"
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

# compare TITLE UNIT MODE OPTIONS...
compare() {
    local title=$1 unit=$2 round kind
    : >"$work/clock" && : >"$work/processor" && : >"$work/itself"
    printf '%s\n' "$title"
    for ((round = 1; round <= rounds; round++)); do
        local first ours second
        read -r -a first <<<"$(measure floor "${@:3}")"
        read -r -a ours <<<"$(measure echo-server "${@:3}")"
        read -r -a second <<<"$(measure floor "${@:3}")"
        printf '  floor %s, echo-server %s, floor %s %s a second of the clock; %s, %s, %s a second of the processor\n' \
            "${first[0]}" "${ours[0]}" "${second[0]}" "$unit" "${first[1]}" "${ours[1]}" "${second[1]}"
        for kind in 0 1; do
            awk -v a="${first[kind]}" -v b="${ours[kind]}" -v c="${second[kind]}" 'BEGIN { printf "%.3f\n", 2 * b / (a + c) }' \
                >>"$work/$([[ $kind == 0 ]] && echo clock || echo processor)"
        done
        awk -v a="${first[1]}" -v c="${second[1]}" 'BEGIN { printf "%.3f\n", c / a }' >>"$work/itself"
    done
    printf '  echo-server to the floor: %s by the clock, %s by the processor; the floor to itself: %s (medians of %s)\n' \
        "$(median <"$work/clock")" "$(median <"$work/processor")" "$(median <"$work/itself")" "$rounds"
}

compare 'bulk, 4 connections' MiB bulk --connections 4
compare 'full handshakes, 8 connections at a time' handshakes churn --connections 8
compare 'messages of 64 bytes, 50 connections' MiB steady --connections 50
