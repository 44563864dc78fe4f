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
