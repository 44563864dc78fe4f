#!/usr/bin/env bash
# Guess: poll says that a unix stream socket is writable exactly while a send would take something.
# Seen (Linux 6.18): it says so only while at most a quarter of the buffer is in use.  A sender that polls first stops there, though three quarters are
# free; one that sends first fills the buffer, and is woken when the receiver has taken three quarters of it.
# What follows: a C library that polls before each send moves a fraction of what it could.  A receiver that waits until FIONREAD says that a whole
# message of, say, 64 KiB is there waits for ever for such a sender.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import select, socket

sender, receiver = socket.socketpair()
sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 106496)  # which the kernel doubles: its default
sender.setblocking(False)
events = select.poll()
events.register(sender, select.POLLOUT)

polled = 0
while events.poll(0):
    polled += sender.send(bytes(1024))
more = 0
try:
    while True: more += sender.send(bytes(1024))
except BlockingIOError:
    pass
taken = 0
while not events.poll(0):
    taken += len(receiver.recv(1024))
print(polled // 1024)
print(more // 1024)
print(taken // 1024)
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "KiB sent while poll says writable" "${seen[0]}" 24
expect "KiB that send takes after that" "${seen[1]}" 69
expect "KiB of these 93 that are received before poll says writable again" "${seen[2]}" 70
