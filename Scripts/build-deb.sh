#!/usr/bin/env bash
# Builds .build/deb/echo-server_VERSION_ARCH.deb from what `make dist` has built, and has lintian look at it.
# debhelper wants its directory `debian` in the place where it works, so that is a copy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'build-deb: %s\n' "$*" >&2
    exit 1
}

version=$(dpkg-parsechangelog -l debian/changelog -S Version)
for program in echo-server echo-client; do
    built=$(.build/dist/"$program" --version)
    [[ $built == "$program $version"* ]] || fail "debian/changelog says $version, the program: $built"
done

work=.build/deb
rm -rf "$work"
mkdir -p "$work/echo-server-$version"
cp -r debian "$work/echo-server-$version/debian"
(
    export TOP=$PWD
    cd "$work/echo-server-$version"
    # Swift itself comes from no package, so dpkg can't check for all that the build needs: Scripts/setup.sh does.
    dpkg-buildpackage --build=binary --no-check-builddeps --unsigned-changes >../build.log 2>&1
) || fail "dpkg-buildpackage fails: $(tail -n 20 "$work/build.log")"

package=$work/echo-server_${version}_$(dpkg --print-architecture).deb
lintian --allow-root --fail-on error,warning "$package"
dpkg-deb --field "$package" Package Version Architecture Depends Installed-Size
printf '%s: %s bytes\n' "$package" "$(stat -c %s "$package")"
