#!/usr/bin/env bash
# Builds .build/deb/echo-server_VERSION_ARCH.deb from the result of `make dist`, and runs lintian on it.
# debhelper needs a directory `debian` where it works, so the script copies ours.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'build-deb: %s\n' "$*" >&2
    exit 1
}

version=$(dpkg-parsechangelog -l debian/changelog -S Version)
for program in echo-server echo-client; do
    built=$(.build/dist/"$program" --version)
    [[ $built == "$program $version"* ]] || fail "version $version in debian/changelog differs from the program: $built"
done

work=.build/deb
rm -rf "$work"
mkdir -p "$work/echo-server-$version"
cp -r debian "$work/echo-server-$version/debian"
(
    export TOP=$PWD
    cd "$work/echo-server-$version"
    # No package provides Swift, so dpkg cannot check the build dependencies: Scripts/setup.sh does.
    dpkg-buildpackage --build=binary --no-check-builddeps --unsigned-changes >../build.log 2>&1
) || fail "dpkg-buildpackage fails: $(tail -n 20 "$work/build.log")"

package=$work/echo-server_${version}_$(dpkg --print-architecture).deb
lintian --allow-root --fail-on error,warning "$package"
dpkg-deb --field "$package" Package Version Architecture Depends Installed-Size
printf '%s: %s bytes\n' "$package" "$(stat -c %s "$package")"
