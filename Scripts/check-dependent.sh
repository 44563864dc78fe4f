#!/usr/bin/env bash
# Checks that a package which depends on GreenNet, as README says, resolves no other package and compiles GreenNet's own targets only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$fresh/Sources/Dependent"

cat >"$fresh/Package.swift" <<END
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Dependent",
    dependencies: [.package(name: "GreenNet", path: "$root", traits: [])],
    targets: [.executableTarget(name: "Dependent", dependencies: [.product(name: "GreenNet", package: "GreenNet")])])
END
cat >"$fresh/Sources/Dependent/Dependent.swift" <<'END'
import GreenNet

@main struct Dependent {
    static func main() throws {
        let answer = spawn { 6 * 7 }
        print(try answer.value())
    }
}
END

fail() {
    printf 'check-dependent: %s\n' "$*" >&2
    exit 1
}

packages=$(swift package --package-path "$fresh" show-dependencies --format flatlist)
[[ $packages == "$(basename "$root")" || $packages == GreenNet || -z $packages ]] || fail "resolved, besides GreenNet: $packages"
swift build --package-path "$fresh"
# The plan has folders for others too, with nothing compiled in them.
targets=$(cd "$fresh/.build/debug" && ls ./*.build/*.o | sed 's|./\([^/]*\)\.build/.*|\1|' | sort -u | tr '\n' ' ')
[[ $targets == "CDiagnostics CLinux CSwitch Dependent GreenNet " ]] || fail "compiled: $targets"
[[ $("$fresh/.build/debug/Dependent") == 42 ]] || fail "the program does not print 42"
printf 'A dependent resolves no other package, and compiles %s\n' "$targets"
