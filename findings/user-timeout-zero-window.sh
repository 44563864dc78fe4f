#!/usr/bin/env bash
# Guess: TCP_USER_TIMEOUT ends a connection whose other side has gone: one that answers each probe and just does not read for a while keeps it.  It is
# about data, so that connect() is not concerned.
# Seen (Linux 6.18): while the other side's window is closed, the time runs, though its kernel acknowledges each probe; then the connection ends with
# ETIMEDOUT, and what was queued is lost.  The same time bounds connect().
# What follows: with this option, at a server or a proxy (HAProxy's tcp-ut), a client that pauses for longer than that is cut off.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, select, socket, time

def took(began): return "1 to 5 s" if 0.9 < time.monotonic() - began < 5 else f"{time.monotonic() - began:.1f} s"

def show(milliseconds):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        sender = socket.create_connection(listener.getsockname())
        reader = listener.accept()[0]
    if milliseconds: sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    sender.setblocking(False)
    try:
        while True: sender.send(bytes(65536))
    except BlockingIOError:
        pass
    events = select.poll()
    events.register(sender, 0)
    began = time.monotonic()
    if not events.poll(3000): return print("lives")
    print(errno.errorcode[sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], took(began))

show(0)
show(1000)
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    clients = [socket.socket() for _ in range(2)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())  # the second finds the queue full, and its SYN is dropped
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
    began = time.monotonic()
    print(errno.errorcode[client.connect_ex(listener.getsockname())], took(began))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "3 s with a peer that does not read" "${seen[0]}" lives
expect "the same with TCP_USER_TIMEOUT of 1 s" "${seen[1]}" "ETIMEDOUT 1 to 5 s"
expect "connect() that gets no answer, with TCP_USER_TIMEOUT of 1 s" "${seen[2]}" "ETIMEDOUT 1 to 5 s"
