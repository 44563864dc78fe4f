#!/usr/bin/env bash
# build-static.sh PROGRAM: builds it as installed programs are, optimized and with the Swift runtime linked statically, and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=.build/static
swift build -c release --static-swift-stdlib --scratch-path "$scratch" --product "$1" \
    -Xswiftc -Xclang-linker -Xswiftc -static-libgcc -Xlinker --icf=safe >&2
printf '%s\n' "$scratch/release/$1"
