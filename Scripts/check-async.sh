#!/usr/bin/env bash
# Checks that green threads and async code give the same values in the installed build: optimized, with the Swift runtime linked statically.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=$(Scripts/build-static.sh AsyncPrograms)

failed=0 count=0
while read -r name; do
    count=$((count + 1))
    said=$(timeout 60 "$program" "$name" 2>&1) || said+=" (status $?)"
    # Messages of GreenNet may come before.
    if [[ ${said##*$'\n'} != ok ]]; then
        printf 'FAIL: %s: %s\n' "$name" "$said"
        failed=$((failed + 1))
    fi
done < <("$program" --list)

printf '%s async programs run, %s with wrong values\n' "$count" "$failed"
((count > 2 && failed == 0))
