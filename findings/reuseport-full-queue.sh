#!/usr/bin/env bash
# Guess: where several sockets listen on one port by SO_REUSEPORT and the queue of one is full, the kernel gives new connections to the others.
# Seen (Linux 6.18): it chooses by the addresses and ports of the client alone.  Those that fall to the full one get no answer, each time they ask again,
# while the other has room: about half of them, with two.
# What follows: a worker that is stopped, busy, or at its limit and does not accept blocks its share of the clients, however idle the others are.  One
# listener that all workers share has no such shares.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import select, socket, time

def listening(port, backlog):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    listener.setblocking(False)
    return listener

full = listening(0, 0)
idle = listening(full.getsockname()[1], 200)
clients = []
for _ in range(100):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(idle.getsockname())
    clients.append(client)
time.sleep(1.5)  # the first SYN is sent again after a second
connected = len(select.select([], clients, [], 0)[1])
accepted = 0
try:
    while True:
        idle.accept()
        accepted += 1
except BlockingIOError:
    pass
print("some" if 10 <= 100 - connected <= 90 else connected)
print(connected - accepted)
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "of 100 clients, between 10 and 90 get no answer" "${seen[0]}" some
expect "connected, but not to the idle listener: the full one's queue" "${seen[1]}" 1
