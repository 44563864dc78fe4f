#!/usr/bin/env bash
# Builds GreenNet's documentation into .build/docs/GreenNet.doccarchive.  Errors: a warning, a public declaration without a comment, and an example in
# README or an article that does not compile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

catalogue=Sources/GreenNet/GreenNet.docc
output=.build/docs
symbols=$output/symbols
archive=$output/GreenNet.doccarchive

fail() {
    printf 'docs: %s\n' "$*" >&2
    exit 1
}

swift build --target GreenNet
swift build --target GreenTLS
products=$(swift build --show-bin-path)
target=$(swift -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)".*/\1/p')
# The options to import GreenNet and GreenTLS.
modules=(
    -I "$products/Modules" -Xcc -ISources/CSwitch/include
    -Xcc "-fmodule-map-file=$products/CSwitch.build/module.modulemap"
    -Xcc "-fmodule-map-file=$products/CDiagnostics.build/module.modulemap"
    -Xcc "-fmodule-map-file=$products/CLinux.build/module.modulemap"
    -Xcc -fmodule-map-file=Sources/CLibev/module.modulemap
    -Xcc "-fmodule-map-file=$products/COpenSSL.build/module.modulemap"
)

extract_symbols() {
    swift-symbolgraph-extract -module-name GreenNet "${modules[@]}" -target "$target" \
        -minimum-access-level public -skip-synthesized-members -output-dir "$symbols"
}

# Each Swift block of README and of the articles that imports a module is a whole program.
check_examples() {
    local article example mode
    rm -rf "$output/examples"
    for article in README.md "$catalogue"/*.md; do
        mkdir -p "$output/examples/$(basename "$article" .md)"
        awk -v directory="$output/examples/$(basename "$article" .md)" '
            /^```swift$/ { file = sprintf("%s/%d.swift", directory, ++count); next }
            /^```$/ { file = "" }
            file { print > file }
        ' "$article"
    done
    for example in "$output"/examples/*/*.swift; do
        grep -q '^import' "$example" || continue # a part of Package.swift
        mode=()
        grep -q '^@main' "$example" && mode=(-parse-as-library)
        swiftc -typecheck "${mode[@]}" -swift-version 6 -warnings-as-errors "${modules[@]}" "$example" || fail "$example does not compile"
    done
}

convert() {
    docc convert "$catalogue" --additional-symbol-graph-dir "$symbols" --output-path "$archive" --warnings-as-errors \
        --fallback-display-name GreenNet --fallback-bundle-identifier GreenNet \
        --experimental-documentation-coverage --coverage-summary-level detailed >"$output/coverage" && return
    # docc writes its complaints there too.
    cat "$output/coverage" >&2
    fail 'docc has complaints'
}

# docc lists each symbol with its kind and whether it has a comment.  swift-format's rule leaves out the cases of an enumeration and the requirements of a
# protocol.  The compiler makes init(rawValue:).
check_comments() {
    local bare
    bare=$(awk -F'|' '$3 ~ /false/ && $2 !~ /CollectionGroup|Article/ && !/init\(rawValue:\)/ { print "  " $NF }' "$output/coverage")
    [[ -z $bare ]] || fail $'public declarations without a comment:\n'"$bare"
}

rm -rf "$output"
mkdir -p "$symbols"
extract_symbols
check_examples
convert
check_comments
printf 'The documentation is in %s; `docc preview %s --additional-symbol-graph-dir %s` shows it.\n' \
    "$archive" "$catalogue" "$symbols"
