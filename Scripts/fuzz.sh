#!/usr/bin/env bash
# Fuzzes the parsers of bytes from outside (Fuzz/*.swift) with the toolchain's libFuzzer.
#
# Usage: fuzz.sh [SECONDS [TARGET...]]; default: 600 seconds for each target.  An input that makes a target fail is left in .build/fuzz, and its name
# printed; FUZZ_TARGET=TARGET .build/fuzz/fuzz FILE runs it again.  New inputs of the corpus are in .build/fuzz too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-600}
shift || true
targets=("$@")
((${#targets[@]})) || targets=(request configuration setting activation address log lines delimited frames value tls proxy listen fault)
[[ $seconds =~ ^[1-9][0-9]*$ ]] || {
    echo "fuzz: '$seconds' is not a number of seconds" >&2
    exit 64
}

out=.build/fuzz
mkdir -p "$out"
swift build

# Compiles the server's sources again, in one module with the targets, and links the objects of the build above.
built=.build/debug
# What is `package` in the modules is visible to modules of the same package name: SwiftPM takes the directory's, as an identifier.
package=$(basename "$PWD" | tr 'A-Z' 'a-z' | sed 's/[^a-z0-9]/_/g; s/^[0-9]/_/')
# All but the server's: a folder may still have the object of a source file that is gone, and the list has not.
mapfile -t objects < <(grep -v '/EchoServer.build/' "$built/echo-server.product/Objects.LinkFileList")
headers=()
for module in CSwitch CDiagnostics CLinux CArguments CForkServer CUppercase COpenSSL; do
    headers+=(-I "Sources/$module/include" -Xcc "-fmodule-map-file=$PWD/$built/$module.build/module.modulemap")
done
find Sources/EchoServer -name '*.swift' ! -name EchoServerCommand.swift -print0 |
    xargs -0 swiftc -Onone -g -sanitize=fuzzer -parse-as-library -swift-version 6 -module-name EchoServer \
        -package-name "$package" -I "$built/Modules" -I Sources/CLibev "${headers[@]}" \
        Fuzz/*.swift "${objects[@]}" -lev -o "$out/fuzz"

# The certificate of the target tls, with its key.
export FUZZ_CERTIFICATE=$PWD/$out/certificate.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=fuzz -days 30 -keyout "$out/key.pem" \
    -out "$FUZZ_CERTIFICATE" 2>/dev/null
cat "$out/key.pem" >>"$FUZZ_CERTIFICATE"

failed=()
for target in "${targets[@]}"; do
    found=$out/$target
    mkdir -p "$found"
    if FUZZ_TARGET=$target SWIFT_BACKTRACE=enable=no "$out/fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
        -artifact_prefix="$out/$target-" -print_final_stats=0 "$found" "Fuzz/Corpus/$target" >"$out/$target.log" 2>&1; then
        printf 'ok: %s: %s\n' "$target" "$(grep -m 1 '^Done' "$out/$target.log")"
    else
        printf 'FAILED: %s\n' "$target"
        tail -n 30 "$out/$target.log" | sed 's/^/    /'
        failed+=("$target")
    fi
done
((${#failed[@]} == 0))
