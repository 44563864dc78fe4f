#!/usr/bin/env bash
# Guess: whether a server still listens at the path of a unix socket can only be told by connecting to it, which gives that server a connection; and
# one that is bound and about to listen can be told from one whose server has died.
# Seen (Linux 6.18): a stream connect gives ECONNREFUSED in both cases, before listen() and after the server's death.  Connecting a *datagram* socket
# to the path tells them apart and disturbs no server: EPROTOTYPE while any stream socket is bound there, ECONNREFUSED when none is.
# Abstract names have no such answer: each type of socket has names of its own there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, socket, sys

def answer(kind, path):
    with socket.socket(socket.AF_UNIX, kind) as client:
        return errno.errorcode.get(client.connect_ex(path), "connected")

def both(path):
    return answer(socket.SOCK_DGRAM, path) + " " + answer(socket.SOCK_STREAM, path)

path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
print(both(path))
server.listen(5)
datagram = answer(socket.SOCK_DGRAM, path)
server.setblocking(False)
try:
    server.accept()
    print(datagram, "a connection")
except BlockingIOError:
    print(datagram, "no connection")
server.close()
print(both(path))
named = socket.socket(socket.AF_UNIX)
named.bind("\0" + path)
named.listen(5)
print(answer(socket.SOCK_DGRAM, "\0" + path))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py" "$work/socket")
expect "bound, not listening yet: datagram, stream" "${seen[0]}" "EPROTOTYPE ECONNREFUSED"
expect "listening: datagram, and what the server got" "${seen[1]}" "EPROTOTYPE no connection"
expect "its server is gone: datagram, stream" "${seen[2]}" "ECONNREFUSED ECONNREFUSED"
expect "an abstract name that is listened on: datagram" "${seen[3]}" ECONNREFUSED
