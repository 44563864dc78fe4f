#!/usr/bin/env bash
# Checks that the pages of the course show the programs as they are, and, after Scripts/course.sh, what they print; with --write, makes it so.
#
# A page has the lines `<!-- file PATH -->` and `<!-- output NAME -->` before what is checked, and `<!-- end -->` behind it.  An output whose first line has the
# word `varies` behind the name is not compared.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pages=Sources/GreenNet/GreenNet.docc/Course
wrong=0

# Usage: filled PAGE [all]: the page with the listings of now, and with all also with the outputs that vary.
filled() {
    awk -v all="${2:-}" '
        function show(language, path) {
            if ((getline line < path) < 0) { isKept = 1; return }
            print "```" language
            do print line; while ((getline line < path) > 0)
            print "```"
            close(path)
        }
        /^<!-- end -->$/ { isKept = 1 }
        !inside || isKept { print }
        /^<!-- end -->$/ { inside = 0; next }
        /^<!-- (file|output) .* -->$/ {
            inside = 1
            isKept = 0
            if ($2 == "file") show("swift", $3)
            else if ($4 == "varies" && all == "") isKept = 1
            else show("", ".build/course/" $3)
        }
    ' "$1"
}

for page in "$pages"/*.md; do
    if [[ ${1:-} == --write ]]; then
        filled "$page" all >"$page.new"
        mv "$page.new" "$page"
    elif ! filled "$page" | diff -u "$page" - >&2; then
        printf 'error: %s shows another program or output: run make course, and Scripts/course-pages.sh --write\n' "$page" >&2
        wrong=1
    fi
done

# Each example has its page.
for directory in Examples/*/; do
    name=$(basename "$directory")
    grep -qs "^@main" "$directory"*.swift || continue
    grep -q "^<!-- file ${directory}$name.swift -->$" "$pages/Course-$name.md" 2>/dev/null || {
        printf 'error: %s has no page Course-%s.md with its program\n' "$directory" "$name" >&2
        wrong=1
    }
done
exit "$wrong"
