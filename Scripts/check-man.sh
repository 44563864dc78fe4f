#!/usr/bin/env bash
# Compares the man pages with --help: each page and its synopsis have every option and subcommand of --help, and no other.
# Usage: check-man.sh [DIRECTORY]; DIRECTORY has the programs (default: .build/debug).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=${1:-.build/debug}
wrong=0

complain() {
    printf 'check-man: %s\n' "$*" >&2
    wrong=1
}

help_of() { "$programs/$1" "${@:2}" --help </dev/null; }

subcommands_of_help() {
    help_of "$1" | sed -nE '/^SUBCOMMANDS:/,/^$/s/^  ([a-z-]+) .*/\1/p'
}

options_of_help() {
    local subcommand
    {
        help_of "$1"
        for subcommand in $(subcommands_of_help "$1"); do help_of "$1" "$subcommand"; done
    } | sed -nE 's/^  (-[a-zA-Z], )?(--[a-z-]+).*/\2/p' | sort -u
}

# Usage: options_of_page PAGE [SECTION]: the options in the lists of the page, or in that section.
options_of_page() {
    if (($# == 1)); then
        grep -E '^\.It .*Fl ' "$1"
    else
        sed -n "/^\.Sh $2/,/^\.Sh [^S]/p" "$1"
    fi | grep -oE 'Fl -[a-z-]+' | sed 's/Fl -/--/' | sort -u
}

subcommands_of_page() {
    sed -n '/^\.Sh DESCRIPTION/,/^\.Sh OPTIONS/s/^\.It Cm //p' "$1" | sort
}

# Usage: compare NAME EXPECTED ACTUAL, sorted lists
compare() {
    local missing surplus
    missing=$(comm -23 <(echo "$2") <(echo "$3"))
    surplus=$(comm -13 <(echo "$2") <(echo "$3"))
    [[ -z $missing ]] || complain "$1 lacks ${missing//$'\n'/ }"
    [[ -z $surplus ]] || complain "$1 has ${surplus//$'\n'/ }, which --help does not have"
}

lint() {
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning "$1" || complain "$1: see the warnings above"
    elif command -v groff >/dev/null; then
        [[ -z $(groff -mandoc -ww -z "$1" 2>&1 | tee /dev/stderr) ]] || complain "$1: see the warnings above"
    fi
}

for page in packaging/man/*.[1-9]; do
    program=$(basename "${page%.*}")
    options=$(options_of_help "$program")
    compare "$page" "$options" "$(options_of_page "$page")"
    compare "$page, synopsis," "$options" "$(options_of_page "$page" SYNOPSIS)"
    subcommands=$(subcommands_of_help "$program")
    if [[ -n $subcommands ]]; then
        compare "$page" "$(printf '%s\n' "$subcommands" help | sort)" "$(subcommands_of_page "$page")"
    fi
    lint "$page"
done
exit "$wrong"
