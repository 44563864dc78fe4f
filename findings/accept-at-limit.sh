#!/usr/bin/env bash
# Guess: accept() of a non-blocking listener without a waiting client gives EAGAIN, whatever else; EMFILE comes when there is a client and no descriptor for it.
# Seen (Linux 6.18): at the descriptor limit it gives EMFILE even without a waiting client: the kernel takes a descriptor before it looks at the queue.  An accept loop
# that asks until EAGAIN then pauses, and reports a shortage, after the last client that got a descriptor.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, os, resource, socket

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(5)
listener.setblocking(False)

def accepted():
    try:
        return listener.accept() and "a client"
    except OSError as error:
        return errno.errorcode[error.errno]

print(accepted())
# The lowest number that is free is the limit: no further descriptor can be had.
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(accepted())
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "nobody waits" "${seen[0]}" EAGAIN
expect "nobody waits, at the descriptor limit" "${seen[1]}" EMFILE
