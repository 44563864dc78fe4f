#!/usr/bin/env bash
# Guess: SO_PEERCRED shows a client of a unix socket which process serves it: the one that has accepted the connection, and its user.
# Seen (Linux 6.18): it shows the process that called listen() last before the client connected, even if that process has passed the socket on: at a socket that systemd passes in, systemd, as root.  A further listen() by the server puts its own name there, for
# later connections.
# What follows: a client that checks the server's user gets another user's under socket activation and after a change of user.
# Needs root, for another user.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import os, socket, struct

listener = socket.socket(socket.AF_UNIX)
listener.bind("\0" + str(os.getpid()))
listener.listen(5)
is_ready, ready = socket.socketpair()

def serve():
    connection = listener.accept()[0]
    connection.send(b"served")
    connection.recv(1)  # until the client has looked

server = os.fork()
if server == 0:
    os.setuid(65534)
    serve()
    listener.listen(5)
    ready.send(b".")
    serve()
    os._exit(0)

def peer():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(listener.getsockname())
        client.recv(100)
        pid, user, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return f"{'the server' if pid == server else 'who made the socket' if pid == os.getpid() else pid}, user {user}"

print(peer())
is_ready.recv(1)
print(peer())
os.waitpid(server, 0)
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "the peer of a client, by SO_PEERCRED" "${seen[0]}" "who made the socket, user 0"
expect "when the server has called listen() again" "${seen[1]}" "the server, user 65534"
