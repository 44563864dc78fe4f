#!/usr/bin/env bash
# Checks that each test and each suite exists that the tables of Documentation/faults.md, gevent.md and python.md and SECURITY.md name in their last column.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tables=(Documentation/faults.md Documentation/gevent.md Documentation/python.md SECURITY.md)
wrong=0

# Usage: named_in FILE: the names in back quotes in the last column that have blanks or end in Tests, without commands and Swift code.
named_in() {
    awk -F'|' '/^\| / { print $(NF-1) }' "$1" | grep -oE '`[^`]+`' | grep -E ' |Tests`$' | grep -vE '^`(make|catch) ' | tr -d '`' | sort -u
}

tests=$({
    # The formatter puts a long name on a line of its own.
    grep -rhoE --include='*.swift' '(func |^ +)`[^`]+`\(' Tests | sed -E 's/^[^`]*//; s/\($//' | tr -d '`'
    grep -rhoE --include='*.swift' '(struct|class|enum) [A-Za-z]+Tests\b' Tests | sed 's/^.* //'
} | sort -u)

for table in "${tables[@]}"; do
    named=$(named_in "$table")
    missing=$(comm -23 <(printf '%s\n' "$named") <(printf '%s\n' "$tests"))
    if [[ -z $named ]]; then
        printf 'error: %s names no test\n' "$table" >&2
        wrong=1
    elif [[ -n $missing ]]; then
        printf 'error: %s names tests that do not exist:\n%s\n' "$table" "$missing" >&2
        wrong=1
    else
        printf '%s: %s tests named, all there\n' "$table" "$(wc -l <<<"$named")"
    fi
done
exit "$wrong"
