#!/usr/bin/env bash
# Checks that programming errors stop a program with a message, also in the installed build: optimized, with the Swift runtime linked statically.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=$(Scripts/build-static.sh Mistakes)

failed=0 count=0
while IFS=$'\t' read -r name message; do
    count=$((count + 1)) status=0
    said=$(SWIFT_BACKTRACE=enable=no timeout 20 "$program" "$name" 2>&1) || status=$?
    said=$(sed -E 's/(OS thread|descriptor) [0-9]+/\1 N/g' <<<"$said")
    # A trap; the signal depends on the processor.
    if ((status != 128 + 4 && status != 128 + 5)) || [[ $said != *"$message"* ]]; then
        printf 'FAIL: %s ends with %s and the message "%s", not "%s"\n' "$name" "$status" "$said" "$message"
        failed=$((failed + 1))
    fi
done < <("$program" --list)

printf '%s programming errors made, %s not reported as expected\n' "$count" "$failed"
((count > 20 && failed == 0))
