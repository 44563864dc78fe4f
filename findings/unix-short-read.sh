#!/usr/bin/env bash
# Guess: a recv() that returns less than it was asked for has emptied a stream socket, and MSG_WAITALL returns all that was asked for; descriptors that
# travel along with the bytes make no difference to a receiver that does not ask for them.
# Seen (Linux 6.18): on a unix socket recv stops behind each message that carries a descriptor, MSG_WAITALL too, though more is there.  With SO_PASSCRED
# (PassCredentials= of a systemd socket), it stops wherever another process has written.  An accepted socket has that option from its listener,
# though unix sockets inherit no other one of the usual ones, as SO_OOBINLINE.
# What follows: only EAGAIN says that the socket is empty.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import os, socket

def received(receiver):
    parts = []
    receiver.setblocking(False)
    try:
        while True: parts.append(receiver.recv(100).decode())
    except BlockingIOError:
        return " ".join(parts)

def with_descriptor():
    receiver, sender = socket.socketpair()
    sender.send(b"a")
    socket.send_fds(sender, [b"b"], [0])
    sender.send(b"c")
    sender.send(b"d")
    return receiver, sender

receiver, sender = with_descriptor()
print(received(receiver))
receiver, sender = with_descriptor()
print(receiver.recv(4, socket.MSG_WAITALL).decode())
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind("\0" + str(os.getpid()))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    listener.listen(1)
    sender = socket.socket(socket.AF_UNIX)
    sender.connect(listener.getsockname())
    receiver = listener.accept()[0]
print(*(receiver.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_PASSCRED, socket.SO_OOBINLINE)))

def from_two_processes(receiver, sender):
    sender.send(b"a")
    child = os.fork()
    if child == 0:
        sender.send(b"b")
        os._exit(0)
    os.waitpid(child, 0)
    sender.send(b"c")
    return received(receiver)

print(from_two_processes(*socket.socketpair()))
print(from_two_processes(receiver, sender))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "recv(100) by recv(100), of a, b with a descriptor, c, d" "${seen[0]}" "ab cd"
expect "recv(4, MSG_WAITALL) of these" "${seen[1]}" ab
expect "SO_PASSCRED and SO_OOBINLINE of a socket whose listener has them" "${seen[2]}" "1 0"
expect "recv(100) by recv(100), of a, b from another process, c" "${seen[3]}" abc
expect "the same with SO_PASSCRED" "${seen[4]}" "a b c"
