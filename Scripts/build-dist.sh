#!/usr/bin/env bash
# Builds the programs, with the Swift runtime linked statically, and their completions into .build/dist, for installing and packaging; and echo-fork-server,
# which the server starts.  Checks that the programs need only libc and libev.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=(echo-server echo-client)
# A build directory of its own: builds with other flags would rebuild each other's files.
scratch=.build/package
dist=.build/dist

fail() {
    printf 'build-dist: %s\n' "$*" >&2
    exit 1
}

# Swift's static runtime names libstdc++ by itself, as -lstdc++, so no flag for the static one is heard.  But the linker takes the
# first directory that has the library in any form, and this one has only the archive.
archives=$PWD/$scratch/archives
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
make_archives() {
    local archive
    archive=$("$clang" -print-file-name=libstdc++.a)
    [[ -f $archive ]] || fail "$clang finds no libstdc++.a: install the C++ library's development files (libstdc++-12-dev)"
    mkdir -p "$archives"
    ln -sf "$archive" "$archives/"
}

# The module and the object that stand in for the toolchain's FoundationEssentials; the source says why.
essentials=$PWD/$scratch/essentials
make_essentials() {
    local source=Scripts/essentials/FoundationEssentials.swift
    [[ $essentials/FoundationEssentials.o -nt $source ]] && return
    # Swift builds the parser anew only where its own sources or options have changed.
    rm -rf "$scratch"/*/release/ArgumentParser.build
    mkdir -p "$essentials"
    swiftc -O -whole-module-optimization -parse-as-library -swift-version 6 -module-name FoundationEssentials \
        -emit-module -emit-module-path "$essentials/FoundationEssentials.swiftmodule" -c "$source" -o "$essentials/FoundationEssentials.o"
}

# -disable-concrete-...: types are made by direct calls and not from their mangled names, for which the runtime would go through all conformances.
# The programs are position-independent, as Debian's are: a service on the network gives no attacker addresses to rely on.  A fixed address would save 36,000
# relocations, 100 page faults and 350 KiB a process.
# --icf=safe: functions with the same instructions become one.
# --section-ordering-file: what a child of --model process runs lies together, so that a few page faults bring it instead of thirty.
build() {
    swift build -c release --scratch-path "$scratch" --static-swift-stdlib --disable-local-rpath --product "$1" \
        -Xswiftc "-I$essentials" -Xlinker "$essentials/FoundationEssentials.o" \
        -Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors \
        -Xswiftc -Xfrontend -Xswiftc -function-sections -Xcc -ffunction-sections \
        -Xswiftc -Xclang-linker -Xswiftc -static-libgcc -Xlinker "-L$archives" -Xlinker -z -Xlinker now \
        -Xlinker --icf=safe \
        -Xlinker --section-ordering-file -Xlinker "$PWD/Scripts/link-order.txt"
}

# Each client of --model process costs a fork of this program: as Embedded Swift, without the runtime, and with the C library inside, it is small and has few
# mappings.  The package's build makes the same program for tests, with the runtime.  Where it lies is left to chance too.
build_fork_server() {
    local objects=$PWD/$scratch/fork-server module
    mkdir -p "$objects"
    for module in CForkServer CUppercase; do
        printf 'module %s { header "%s" export * }\n' "$module" "$PWD/Sources/$module/include/$module.h"
    done >"$objects/module.modulemap"
    swiftc -O -whole-module-optimization -parse-as-library -swift-version 6 -enable-experimental-feature Embedded \
        -module-name EchoForkServer -I "$objects" -c Sources/EchoForkServer/*.swift -o "$objects/swift.o"
    "$clang" -O2 -fPIE -fuse-ld=lld -static-pie -Wl,--gc-sections,-z,now \
        -ISources/CForkServer/include -ISources/CUppercase/include \
        -o "$objects/echo-fork-server" "$objects/swift.o" Sources/CForkServer/*.c Sources/CUppercase/*.c
    install -m 755 "$objects/echo-fork-server" "$dist/echo-fork-server"
}

# The dynamic loader and libm belong to libc.
check_libraries() {
    local others
    others=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc|libm|libev|ld-linux.*)\.so\.[0-9]+$' || true)
    [[ -z $others ]] || fail "$1 needs more than libc and libev: ${others//$'\n'/ }"
}

# Shells source these scripts and never run them: remove the line that names the interpreter.
make_completions() {
    local shell
    for shell in bash zsh fish; do
        mkdir -p "$dist/completions/$shell"
        "$dist/$1" --generate-completion-script "$shell" | sed '1{/^#!/d}' >"$dist/completions/$shell/$1"
    done
}

make_archives
make_essentials
mkdir -p "$dist"
for program in "${programs[@]}"; do
    build "$program"
    # Into a new file, since a program may be running from the old one.
    install -m 755 "$scratch/release/$program" "$dist/$program"
    check_libraries "$dist/$program"
    make_completions "$program"
done
build_fork_server
