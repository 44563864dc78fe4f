#!/usr/bin/env bash
# Guess: a datagram socket on which sendto() says EAGAIN is reported by poll and epoll as soon as there is room, and not before.
# Seen (Linux 6.18): a unix socket that is not connected counts as writable all the time, though the queue of its receiver is full (11 datagrams, by
# net.unix.max_dgram_qlen 10): a loop of sendto and poll spins.  A connected one waits as expected.
# What follows: a sender that is not connected has to ask again after a pause, or connect first.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import os, select, socket

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind("\0finding-%d" % os.getpid())

def sender(connected):
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    if connected: sender.connect(receiver.getsockname())
    return sender

def is_writable(sender):
    poll = select.poll()
    poll.register(sender, select.POLLOUT)
    return "writable" if poll.poll(0) else "waits"

free, bound = sender(False), sender(True)
print(is_writable(free), is_writable(bound))
try:
    while True: free.sendto(b"x", receiver.getsockname())
except BlockingIOError as error:
    print(os.strerror(error.errno))
print(is_writable(free), is_writable(bound))
receiver.recv(1)
print(is_writable(free), is_writable(bound))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "an empty queue: not connected, connected" "${seen[0]}" "writable writable"
expect "sendto to a full queue" "${seen[1]}" "Resource temporarily unavailable"
expect "a full queue: not connected, connected" "${seen[2]}" "writable waits"
expect "after one was received: not connected, connected" "${seen[3]}" "writable writable"
