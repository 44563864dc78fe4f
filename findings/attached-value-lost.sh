#!/usr/bin/env bash
# Guess: an option of swift-argument-parser with `defaultAsFlag`, whose value may be left out, takes the value of `--banner=hello`: the value is attached, so that
# it can be nothing else.
# Seen (swift-argument-parser 1.8.2): with the default strategy it does so only where no option that the command knows follows.  Before one, the attached value is
# dropped without an error, and the option has the value for a bare `--banner`.  With `parsing: .next` it is taken in both places.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

mkdir -p "$work/Sources/probe"
cat >"$work/Package.swift" <<'SWIFT'
// swift-tools-version: 6.0
import PackageDescription
let package = Package(
    name: "probe", dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")],
    targets: [.executableTarget(name: "probe", dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")])])
SWIFT
cat >"$work/Sources/probe/Probe.swift" <<'SWIFT'
import ArgumentParser

@main struct Probe: ParsableCommand {
    @Option(defaultAsFlag: "bare") var scanned: String?
    @Option(defaultAsFlag: "bare", parsing: .next) var next: String?
    @Option var port: Int?

    func run() { print(scanned ?? next ?? "absent") }
}
SWIFT
swift build --package-path "$work" >"$work/log" 2>&1 || {
    tail -n 5 "$work/log" >&2
    exit 1
}
probe() { "$work/.build/debug/probe" "$@"; }

expect 'attached, at the end' "$(probe --scanned=hello)" hello
expect 'attached, before a known option' "$(probe --scanned=hello --port 1)" bare
expect 'attached, read as the next word' "$(probe --next=hello --port 1)" hello
expect 'without a value' "$(probe --next --port 1)" bare
