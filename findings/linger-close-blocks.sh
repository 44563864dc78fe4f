#!/usr/bin/env bash
# Guess: close() of a socket that is non-blocking returns at once, as every call on it does, whatever SO_LINGER says.
# Seen (Linux 6.18): with SO_LINGER set to some seconds, close() waits for so long for the other side's kernel to take what was sent, O_NONBLOCK or not,
# and returns 0 at the end all the same.  An accepted TCP socket has SO_LINGER from its listener.
# What follows: one such close stops all green threads of the hub.  The option is not for sockets of an event loop, their listeners included.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import socket, struct
from time import monotonic

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
listener.bind(("127.0.0.1", 0))
listener.listen(1)

def time_of_close(lingers):
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    if not lingers: server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    server.setblocking(False)
    try:
        while True: server.send(bytes(65536))
    except BlockingIOError:
        pass
    began = monotonic()
    server.close()
    return monotonic() - began

for lingers in (False, True):
    print("at once" if (time := time_of_close(lingers)) < 1 else "2 s later" if 1.9 < time < 4 else time)
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "close() of a non-blocking socket whose peer does not read" "${seen[0]}" "at once"
expect "the same, accepted from a listener with SO_LINGER of 2 s" "${seen[1]}" "2 s later"
