#!/usr/bin/env bash
# What CI runs.  A failed step does not keep the others from running: one run shows all that is wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()

step() {
    printf '\n==> %s\n' "$*"
    "$@" </dev/null || failed+=("$*")
}

step make format-check
step make check-units
step make --keep-going test
step make docs
step make fuzz FUZZ_SECONDS=5
step Scripts/check-man.sh

if ((${#failed[@]})); then
    printf '\n'
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
printf '\nAll checks passed.\n'
