#!/usr/bin/env bash
# Runs the benchmarks' harness briefly on the given echo-server and one peer, and checks that everything is measured, not how fast it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server=${1:?Usage: Scripts/check-bench.sh ECHO-SERVER}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
problems=0

complain() {
    printf 'FAIL: %s\n' "$*"
    problems=$((problems + 1))
}

# Usage: expect ROWS FILE: FILE has ROWS measurements, each above 0.
expect() {
    local rows
    rows=$(tail -n +2 "$results/$2" | wc -l)
    ((rows == $1)) || complain "$2 has $rows measurements, not $1"
    # A name may have a comma.
    if tail -n +2 "$results/$2" | sed 's/"[^"]*"/name/' | cut -d, -f 4 | grep -vqE '^[0-9.]*[1-9]'; then complain "$2: a measurement is 0"; fi
}

# The floor, again, libev, the three models: with three loads on one CPU.
Benchmarks/peers.sh --rounds 1 --seconds 0.1 --loads "4x2 bulk churn" --apart-loads "" --extras hold --crowd 20 --policy other \
    --only '^(C libev|green|thread|process)$' --server "$server" --results "$results" >"$results/output" 2>&1 ||
    complain "peers.sh ended with status $?"
if grep -qE '^(Missing|Failed):' "$results/output"; then complain "a server is missing or failed"; fi
expect 19 peers.csv # bulk has the floor's other buffer too
expect 5 peers-memory.csv

if ((problems > 0)); then
    cat "$results/output"
    exit 1
fi
