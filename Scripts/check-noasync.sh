#!/usr/bin/env bash
# Checks that the compiler refuses calls that wait from async code, with the messages that Tests/AsyncMisuse expects.  Needs a debug build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build --target GreenNet
folder=$(swift build --show-bin-path)
options=(-I "$folder/Modules" -I Sources/CLibev)
for target in CSwitch CDiagnostics CLinux; do
    options+=(-Xcc "-fmodule-map-file=$folder/$target.build/module.modulemap" -Xcc "-ISources/$target/include")
done
swiftc -frontend -typecheck -verify -swift-version 6 "${options[@]}" Tests/AsyncMisuse/*.swift
printf 'The compiler refuses calls that wait from async code.\n'
