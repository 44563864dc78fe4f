#!/usr/bin/env bash
# All checks of CI.  After a failed step the others still run.  The end repeats the errors of each failed step.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
logs=$(mktemp -d)
ahead=
trap 'rm -rf "$logs"; [[ -z $ahead ]] || kill "$ahead" 2>/dev/null || true' EXIT

step() {
    printf '\n==> %s\n' "$*"
    "$@" </dev/null 2>&1 | tee "$logs/${*//\//-}" || failed+=("$*")
}

# How an error begins: in swift-testing, compilers and make, the sanitizers, and our scripts.
findings() {
    grep -aE '✘|error:|warning:|Error [0-9]+$|Sanitizer|Fatal|^not ok|^FAIL|were stopped' "$1" | grep -av 'known issue' |
        cut -c 1-400 | awk '!seen[$0]++' | tail -n 40
}

step make format-check
step Scripts/check-layers.sh
step make check-units
step Scripts/check-dependent.sh
step make setup
step swift build --build-tests
# Most tests wait for something: meanwhile the later steps' programs are built.  What fails there fails again in its own step, which tells it.
nice -n 19 make build-ahead </dev/null >/dev/null 2>&1 &
ahead=$!
step make --keep-going test
step make test-libraries
step make course
step Scripts/course-pages.sh
step make test-operators
step make check-kubernetes
step make check-proxies
step Scripts/check-mistakes.sh
step Scripts/check-async.sh
step Scripts/check-noasync.sh
step make test-async
step make test-bench
step make docs
step make fuzz FUZZ_SECONDS=5
step Scripts/check-man.sh
step Scripts/check-tables.sh
step Scripts/check-links.sh

for step in "${failed[@]}"; do
    printf '\nFAILED: %s\n' "$step"
    findings "$logs/${step//\//-}" || tail -n 40 "$logs/${step//\//-}"
done
if ((${#failed[@]})); then exit 1; fi
printf '\nAll checks passed.\n'
