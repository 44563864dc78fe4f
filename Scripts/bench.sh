#!/usr/bin/env bash
# Compares echo-server's models by `echo-client compare`, whose options it takes, and writes the figures into README.md, between the lines
# that say so.  The page with the plots is .build/bench/models.html.  Needs the release build: `make bench` makes it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

page=.build/bench/models.html
begin='<!-- figures: begin, written by make bench -->'
end='<!-- figures: end -->'

mkdir -p "$(dirname "$page")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for line in "$begin" "$end"; do
    (($(grep -cxF -- "$line" README.md) == 1)) || { printf 'bench: README.md has not one line "%s"\n' "$line" >&2 && exit 1; }
done

.build/release/echo-client compare --markdown --html "$page" "$@" >"$scratch/figures"

awk -v begin="$begin" -v end="$end" -v figures="$scratch/figures" '
    $0 == end { writes_figures = 0 }
    !writes_figures { print }
    $0 == begin {
        writes_figures = 1
        print ""
        while ((getline line <figures) > 0) print line
        print ""
    }' README.md >"$scratch/README.md"
# Into the same file, so that its owner and mode stay.
cat "$scratch/README.md" >README.md
printf 'README.md has the figures now; the plots are in %s\n' "$page"
