#!/usr/bin/env bash
# Guess: swift-argument-parser reads a command's declaration a few times before it parses; an option group inside another group costs one more step each time.
# Seen (swift-argument-parser 1.8.2): in a debug build each reading of a declaration is preceded by checks that read it three more times, and so is that of each group
# in it.  A group around the groups multiplies the readings by four: 42, 162 and 642 times for an option in one, two and three groups, at each start of the program.
# A release build leaves the checks out: it is twice, however deep.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

parser_package <<'SWIFT'
import ArgumentParser

nonisolated(unsafe) var made = 0

struct Group: ParsableArguments {
    @Option var port: Int?
    init() { made += 1 }
}
struct Around: ParsableArguments { @OptionGroup var inner: Group }
struct AroundThat: ParsableArguments { @OptionGroup var inner: Around }

struct One: ParsableCommand { @OptionGroup var inner: Group }
struct Two: ParsableCommand { @OptionGroup var inner: Around }
struct Three: ParsableCommand { @OptionGroup var inner: AroundThat }

@main struct Probe {
    static func main() throws {
        let commands: [any ParsableCommand.Type] = [One.self, Two.self, Three.self]
        let counts = try commands.map { command in
            made = 0
            _ = try command.parseAsRoot([])
            return String(made)
        }
        print(counts.joined(separator: " "))
    }
}
SWIFT
probe() {
    build_package "$1"
    "$work/.build/$1/probe"
}
expect 'debug: times that a group is made in one, two and three groups' "$(probe debug)" '42 162 642'
expect 'release: the same' "$(probe release)" '2 2 2'
