#!/usr/bin/env bash
# Checks the Markdown files: each relative link names a file, each #anchor a heading of that file, each path in back quotes that begins with a
# folder of this repository exists, and each link whose text is a name in back quotes, [`name`](file), leads to a file that declares the name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wrong=0

complain() {
    printf 'error: %s\n' "$*" >&2
    wrong=1
}

# Usage: text_of FILE: the file without its blocks of code.
text_of() { awk '/^ *```/ { inside = !inside; next } !inside' "$1"; }

# As GitHub makes them of headings.
anchors_of() {
    text_of "$1" | sed -n 's/^##* //p' | tr '[:upper:]' '[:lower:]' | sed -e 's/[^a-z0-9 _-]//g' -e 's/ /-/g'
}

# Usage: declares FILE NAME
declares() {
    case $1 in
    *.swift) grep -qE "(func|let|var|class|struct|enum|protocol|extension) $2\b" "$1" ;;
    *) grep -qwF -- "$2" "$1" ;;
    esac
}

# Usage: check_link FILE TEXT TARGET
check_link() {
    local file=$1 text=$2 path=${3%%#*} anchor= target
    [[ $3 == *'#'* ]] && anchor=${3#*#}
    target=$file
    [[ -z $path ]] || target=$(dirname "$file")/$path
    [[ -e $target ]] || { complain "$file: no file $3" && return; }
    [[ -z $anchor ]] || anchors_of "$target" | grep -qxF -- "$anchor" || complain "$file: no heading $3"
    if [[ $text =~ ^\`([A-Za-z_][A-Za-z0-9_]*)(\(.*\))?\`$ && -f $target ]]; then
        declares "$target" "${BASH_REMATCH[1]}" || complain "$file: no declaration of ${BASH_REMATCH[1]} in $path"
    fi
}

links=0
while read -r file; do
    while IFS=$'\t' read -r text target; do
        [[ $target != *://* && $target != mailto:* ]] || continue
        check_link "$file" "$text" "$target"
        links=$((links + 1))
    done < <(text_of "$file" | grep -oE '\[[^][]+\]\([^() ]+\)' | sed -E 's/^\[(.*)\]\((.*)\)$/\1\t\2/')
    # The paths in the library's articles are the reader's own.
    [[ $file != *.docc/* ]] || continue
    while read -r path; do
        [[ -e $path ]] || complain "$file: no file $path"
        links=$((links + 1))
    done < <(text_of "$file" | grep -oE '`(Sources|Tests|Scripts|Documentation|Benchmarks|Examples|systemd|debian|packaging|findings)/[A-Za-z0-9_./@-]+`' |
        tr -d '`')
done < <(git ls-files -co --exclude-standard '*.md')

((links)) || complain 'no links found'
((!wrong)) || exit 1
printf '%s links and paths in Markdown files, all there\n' "$links"
