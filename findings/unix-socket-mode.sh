#!/usr/bin/env bash
# Guess: fchmod() of a unix socket changes who may connect to its path; so it is called after bind(), and until then the umask alone decides.
# Seen (Linux 6.18): after bind() it succeeds and changes nothing at the path.  Before bind() it decides the mode of the path that bind() makes, under
# the umask: the one way without a moment of looser permissions, and without the umask, which all OS threads share.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import os, socket, sys

os.umask(0o022)

def mode(name, before=None, after=None):
    path = os.path.join(sys.argv[1], name)
    with socket.socket(socket.AF_UNIX) as server:
        if before is not None: os.fchmod(server.fileno(), before)
        server.bind(path)
        if after is not None: os.fchmod(server.fileno(), after)
        return f"{os.stat(path).st_mode & 0o777:o}"

print(mode("plain"))
print(mode("before", before=0o640))
print(mode("wide", before=0o666))
print(mode("after", after=0o600))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py" "$work")
expect "umask 022" "${seen[0]}" 755
expect "fchmod 640 before bind" "${seen[1]}" 640
expect "fchmod 666 before bind" "${seen[2]}" 644
expect "fchmod 600 after bind" "${seen[3]}" 755
