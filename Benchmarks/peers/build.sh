#!/usr/bin/env bash
# Usage: Benchmarks/peers/build.sh PEER; builds it into .build/peers, and prints the command that runs it.
# Installs what it needs: Debian's packages, and PyPI's into an environment below .build.  Where that fails it says why, in one line.
# Photon's sources are fetched from GitHub, unless PHOTON names a directory that has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

sources=Benchmarks/peers
built=.build/peers
peer=${1:?Usage: Benchmarks/peers/build.sh PEER}
mkdir -p "$built"
log=$built/$peer.log

# The first complaint in the log, else its last line.
fail() {
    local line
    line=$(grep -m 1 -iE '(^|[^a-z])(error|fails|no module|not found)' "$log" || tail -n 1 "$log")
    printf '%s: %s\n' "$1" "${line:-no reason given}" >&2
    exit 1
}

install() { Scripts/setup.sh "$@" >"$log" 2>&1 || fail "can't be installed"; }
build() { "$@" >>"$log" 2>&1 || fail "can't be built"; }

# Usage: first_of COMMAND...; the first one that is here.
first_of() {
    local program
    for program in "$@"; do
        if command -v "$program"; then return; fi
    done
    fail "none of $* is here"
}

# Usage: python PACKAGE; the interpreter of an environment that has it from PyPI, else Debian's.
python() {
    local own=$built/python/bin/python
    [[ -x $own ]] || python3 -m venv "$built/python" >>"$log" 2>&1 || rm -rf "$built/python"
    if [[ -x $own ]] && { "$own" -c "import $1" || "$own" -m pip install -q "$1"; } >>"$log" 2>&1; then
        echo "$own"
    else
        install "python3-$1"
        echo /usr/bin/python3
    fi
}

# Usage: tokio SOURCES TARGET; builds them with Debian's tokio.
tokio() {
    install librust-tokio-dev
    command -v cargo >/dev/null || install cargo
    # A copy, for cargo writes a lock file beside the sources.
    rm -rf "$2-source" && cp -r "$1" "$2-source"
    build cargo build --release --offline --config 'source.crates-io.replace-with="debian"' \
        --config 'source.debian.directory="/usr/share/cargo/registry"' --manifest-path "$2-source/Cargo.toml" --target-dir "$2"
}

# Photon as a library, of a version that this program was written for.
photon() {
    local sources=${PHOTON:-$built/photon-source} version=v0.9.4
    install cmake make g++ libssl-dev libaio-dev liburing-dev zlib1g-dev
    [[ -d $sources ]] || build git clone -q --depth 1 --branch "$version" https://github.com/alibaba/PhotonLibOS "$sources"
    build cmake -S "$sources" -B "$built/photon-library" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ \
        -DPHOTON_ENABLE_URING=ON -DPHOTON_ENABLE_LIBCURL=OFF
    build cmake --build "$built/photon-library" --target photon_static --parallel "$(nproc)"
    build g++ -std=c++17 -O3 -I"$sources/include" -o "$built/photon" Benchmarks/peers/photon.cpp \
        "$built/photon-library/output/libphoton_sole.a" -lssl -lcrypto -laio -luring -lz -lresolv -ldl -pthread
}

: >"$log"
case $peer in
    libev)
        compiler=$(first_of cc gcc clang)
        build "$compiler" -std=c11 -O2 -Wall -Wextra -o "$built/libev" "$sources/libev.c" -lev
        echo "$built/libev"
        ;;
    asio)
        install libboost-context-dev libboost-coroutine-dev
        command -v c++ g++ clang++ >/dev/null || install g++
        compiler=$(first_of c++ g++ clang++)
        build "$compiler" -std=c++17 -O3 -DBOOST_COROUTINES_NO_DEPRECATION_WARNING -o "$built/asio" "$sources/asio.cpp" \
            -lboost_coroutine -lboost_context -pthread
        echo "$built/asio"
        ;;
    photon)
        photon
        echo "$built/photon"
        ;;
    photon-uring)
        photon
        echo "$built/photon --engine io_uring"
        ;;
    go)
        command -v go >/dev/null || install golang-go
        build go build -o "$built/go" "$sources/net.go"
        echo "$built/go"
        ;;
    tokio)
        tokio "$sources/tokio" "$built/tokio"
        echo "$built/tokio/release/tokio-server"
        ;;
    nio)
        build swift build -c release --package-path "$sources/nio" --scratch-path "$built/nio"
        echo "$built/nio/release/nio-server"
        ;;
    micro-go)
        command -v go >/dev/null || install golang-go
        build go build -o "$built/micro-go" Benchmarks/micro/micro.go
        echo "$built/micro-go"
        ;;
    micro-tokio)
        tokio Benchmarks/micro/tokio "$built/micro-tokio"
        echo "$built/micro-tokio/release/micro"
        ;;
    micro-gevent)
        interpreter=$(python gevent)
        echo "$interpreter Benchmarks/micro/micro.py"
        ;;
    gevent | uvloop)
        interpreter=$(python "$peer")
        echo "$interpreter $sources/$peer-server.py"
        ;;
    *)
        printf 'no such peer: %s\n' "$peer" >&2
        exit 64
        ;;
esac
