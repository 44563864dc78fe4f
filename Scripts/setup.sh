#!/usr/bin/env bash
# Checks that Swift, libev, OpenSSL's headers and the Debian packages given as arguments are installed, and installs missing packages with apt-get.
# If nothing is missing, it needs neither apt-get nor root.
set -euo pipefail

minimum_major=6
minimum_minor=2

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

check_swift() {
    local advice="install Swift $minimum_major.$minimum_minor or later, see https://www.swift.org/install" version
    command -v swift >/dev/null || fail "no swift in PATH: $advice"
    version=$(swift --version 2>/dev/null) || fail "swift --version failed: $advice"
    [[ $version =~ Swift\ version\ ([0-9]+)\.([0-9]+) ]] || fail "swift --version printed no version: $advice"
    local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
    ((major > minimum_major || (major == minimum_major && minor >= minimum_minor))) ||
        fail "Swift $major.$minor is too old: $advice"
}

# Swift's own clang first: the build uses it too, so it must find the header and the library.
find_c_compiler() {
    local candidate
    for candidate in "$(dirname "$(readlink -f "$(command -v swift)")")/clang" clang cc gcc; do
        if command -v "$candidate"; then return; fi
    done
    fail "no C compiler in PATH: install clang or gcc"
}

has_libev() {
    printf '#include <ev.h>\nint main(void) { return ev_version_major(); }\n' |
        "$c_compiler" -x c - -lev -o "$scratch/probe" 2>/dev/null
}

# The programs are not linked with it: they load libssl.so.3 when they speak TLS.
has_openssl() {
    printf '#include <openssl/ssl.h>\nint main(void) { return SSL_VERIFY_NONE; }\n' |
        "$c_compiler" -x c - -o "$scratch/probe" 2>/dev/null
}

has_package() {
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Usage: apt ARGUMENTS...; the output of apt-get goes to a file, from which `fail` quotes.
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" \
        </dev/null >"$scratch/apt.log" 2>&1
}

install_packages() {
    command -v apt-get >/dev/null || fail "missing: $*; there is no apt-get: install them with this system's package manager"
    as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "missing: $*; neither root nor sudo: run apt-get install $* as root"
        as_root=(sudo)
        [[ -t 0 ]] || as_root+=(-n) # without a terminal, sudo cannot ask for a password
    fi
    printf 'setup: installing %s\n' "$*"
    # If the package lists are missing or old: fetch them and try again.
    if ! apt install -y --no-install-recommends "$@" &&
        ! { apt update && apt install -y --no-install-recommends "$@"; }; then
        fail "apt-get install $* failed, run it by hand; it printed: $(grep -m 1 '^E:' "$scratch/apt.log" || tail -n 1 "$scratch/apt.log")"
    fi
}

check_swift
c_compiler=$(find_c_compiler)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

missing=()
has_libev || missing+=(libev-dev)
has_openssl || missing+=(libssl-dev)
for package in "$@"; do
    has_package "$package" || missing+=("$package")
done

if ((${#missing[@]})); then
    install_packages "${missing[@]}"
    has_libev || fail "libev-dev is installed, but $c_compiler does not find ev.h or libev.so: check its search paths"
    has_openssl || fail "libssl-dev is installed, but $c_compiler does not find openssl/ssl.h: check its search paths"
fi
