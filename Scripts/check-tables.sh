#!/usr/bin/env bash
# Looks whether each test that Documentation/faults.md names, in the last column of its tables, is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

named=$(awk -F'|' '/^\| / && $(NF-1) !~ /^ (Test|---) $/ { print $(NF-1) }' Documentation/faults.md | grep -oE '`[^`]+`' | sort -u)
missing=$(comm -23 <(printf '%s\n' "$named") <(grep -rhoE --include='*.swift' 'func `[^`]+`' Tests | sed 's/^func //' | sort -u))

if [[ -z $named ]]; then
    printf 'error: Documentation/faults.md names no test\n' >&2
    exit 1
fi
if [[ -n $missing ]]; then
    printf 'error: Documentation/faults.md names tests that are not there:\n%s\n' "$missing" >&2
    exit 1
fi
printf '%s tests named, all there\n' "$(wc -l <<<"$named")"
