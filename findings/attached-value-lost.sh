#!/usr/bin/env bash
# Guess: an option of swift-argument-parser with `defaultAsFlag`, whose value may be left out, takes the value of `--banner=hello`: the value is attached, so that
# it can be nothing else.
# Seen (swift-argument-parser 1.8.2): with the default strategy it does so only where no option that the command knows follows.  Before one, the attached value is
# dropped without an error, and the option has the value for a bare `--banner`.  With `parsing: .next` it is taken in both places.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

parser_package <<'SWIFT'
import ArgumentParser

@main struct Probe: ParsableCommand {
    @Option(defaultAsFlag: "bare") var scanned: String?
    @Option(defaultAsFlag: "bare", parsing: .next) var next: String?
    @Option var port: Int?

    func run() { print(scanned ?? next ?? "absent") }
}
SWIFT
build_package debug
probe() { "$work/.build/debug/probe" "$@"; }

expect 'attached, at the end' "$(probe --scanned=hello)" hello
expect 'attached, before a known option' "$(probe --scanned=hello --port 1)" bare
expect 'attached, read as the next word' "$(probe --next=hello --port 1)" hello
expect 'without a value' "$(probe --next --port 1)" bare
