# Sourced by the scripts: a temporary directory, pinned packages in it, and `expect`.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package NAME=VERSION ...: Debian packages, unpacked below $work/root; the system's own stay as they are.
package() {
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$@" && for file in ./*.deb; do dpkg-deb -x "$file" root; done && rm -f ./*.deb)
}

# expect NAME SEEN WANTED: fails where they differ.
expect() {
    printf '%s: %s\n' "$1" "$2"
    if [[ $2 != "$3" ]]; then
        printf 'CHANGED: %s was "%s"\n' "$1" "$3" >&2
        exit 1
    fi
}

# parser_package: a Swift package with swift-argument-parser 1.8.2 in $work, whose program `probe` is the Swift on standard input.
parser_package() {
    mkdir -p "$work/Sources/probe"
    cat >"$work/Sources/probe/Probe.swift"
    cat >"$work/Package.swift" <<'SWIFT'
// swift-tools-version: 6.0
import PackageDescription
let package = Package(
    name: "probe", dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")],
    targets: [.executableTarget(name: "probe", dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")])])
SWIFT
}

# build_package CONFIGURATION: builds it; where that fails, shows the end of the output and ends the script.
build_package() {
    swift build --package-path "$work" -c "$1" >"$work/log" 2>&1 || {
        tail -n 5 "$work/log" >&2
        exit 1
    }
}
