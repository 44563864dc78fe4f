#!/usr/bin/env bash
# Checks that a program's mistakes stop it with words also where it is built as programs are installed: optimised, with Swift's runtime inside.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=.build/static
swift build -c release --static-swift-stdlib --scratch-path "$scratch" --product Mistakes
program=$scratch/release/Mistakes

failed=0 count=0
while IFS=$'\t' read -r name message; do
    count=$((count + 1)) status=0
    said=$(SWIFT_BACKTRACE=enable=no timeout 20 "$program" "$name" 2>&1) || status=$?
    # A trap, by whatever instruction the processor has for it.
    if ((status != 128 + 4 && status != 128 + 5)) || [[ $said != *"$message"* ]]; then
        printf 'FAIL: %s ends with %s and says "%s", not "%s"\n' "$name" "$status" "$said" "$message"
        failed=$((failed + 1))
    fi
done < <("$program" --list)

printf '%s mistakes made, %s of them not as they should be\n' "$count" "$failed"
((count > 20 && failed == 0))
