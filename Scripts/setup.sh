#!/usr/bin/env bash
# Makes sure that what the build needs is here: Swift, libev, and the Debian packages named as arguments.
# Installs what is missing with apt-get.  Where nothing is missing, neither apt-get nor root is needed.
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
    version=$(swift --version 2>/dev/null) || fail "swift --version fails: $advice"
    [[ $version =~ Swift\ version\ ([0-9]+)\.([0-9]+) ]] || fail "swift --version names no version: $advice"
    local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
    ((major > minimum_major || (major == minimum_major && minor >= minimum_minor))) ||
        fail "Swift $major.$minor is too old: $advice"
}

# Swift's own clang first: it reads the header and links the library in the build too, so it knows where they must lie.
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

has_package() {
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Usage: apt ARGUMENTS...; what apt-get says stays in a file, for `fail` to quote from.
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" \
        </dev/null >"$scratch/apt.log" 2>&1
}

install_packages() {
    command -v apt-get >/dev/null || fail "$* missing, and no apt-get here: install the same by this system's own means"
    as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "$* missing, no root and no sudo: have root run apt-get install $*"
        as_root=(sudo)
        [[ -t 0 ]] || as_root+=(-n) # nobody is there to type a password
    fi
    printf 'setup: installing %s\n' "$*"
    # The lists of packages may be missing or old: fetch them and try once more.
    if ! apt install -y --no-install-recommends "$@" &&
        ! { apt update && apt install -y --no-install-recommends "$@"; }; then
        fail "apt-get install $* fails, do it by hand; it says: $(grep -m 1 '^E:' "$scratch/apt.log" || tail -n 1 "$scratch/apt.log")"
    fi
}

check_swift
c_compiler=$(find_c_compiler)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

missing=()
has_libev || missing+=(libev-dev)
for package in "$@"; do
    has_package "$package" || missing+=("$package")
done

if ((${#missing[@]})); then
    install_packages "${missing[@]}"
    has_libev || fail "libev-dev is installed, yet $c_compiler finds no ev.h or no libev.so: see its search paths"
fi
