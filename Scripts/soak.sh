#!/usr/bin/env bash
# Runs all kinds of clients against each model for some minutes, while child processes are killed (Tests/EndToEndTests/Soak).  Fails if memory grows or if
# anything is left behind at the end.
#
# Usage: soak.sh [MINUTES [SEED]]; default: 10 minutes for each model, seed 1.  A page and a summary for each model are left in .build/soak.
# SOAK_MODEL, in the environment, selects one model by its options: "green", "--model process --pool-size 4".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:-10}
seed=${2:-1}
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ && $seed =~ ^[0-9]+$ ]] || {
    echo "soak: MINUTES and SEED must be numbers, not '$minutes' and '$seed'" >&2
    exit 64
}

out=$PWD/.build/soak
rm -rf "$out"
mkdir -p "$out"
build=(-c release -Xswiftc -enable-testing --scratch-path .build/testable)
swift build --build-tests "${build[@]}"
status=0
SOAK_MINUTES=$minutes SOAK_SEED=$seed SOAK_OUTPUT=$out GREENNET_LONG_TESTS=1 \
    swift test --skip-build --no-parallel --disable-xctest "${build[@]}" --filter 'SoakTests|PauseTests' </dev/null || status=$?
printf '\nIn %s:\n' "$out"
cat "$out"/*.txt
exit "$status"
