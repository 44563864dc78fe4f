#!/usr/bin/env bash
# Guess: a pipe of 64 KiB takes 64 KiB by splice(), so that a splice of less says that the socket had no more.
# Seen (Linux 6.18): its room is counted in slots, one for each piece that the sender has sent: of a hundred bytes that came one by one over a unix socket, splice moves
# 16, and then says EAGAIN, as it does for an empty socket.  A read of the same socket gets all hundred.
# What follows: EAGAIN says that the socket is empty only if the pipe is; empty the pipe before each splice into it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import ctypes, errno, fcntl, os, socket

library = ctypes.CDLL(None, use_errno=True)

def splice(source, sink, count):
    moved = library.splice(source, None, sink, None, ctypes.c_size_t(count), 2)
    return moved if moved >= 0 else errno.errorcode[ctypes.get_errno()]

def hundred_pieces():
    sender, receiver = socket.socketpair()
    receiver.setblocking(False)
    for _ in range(100): sender.send(b"x")
    return sender, receiver

reading, writing = os.pipe2(os.O_NONBLOCK)
print(fcntl.fcntl(writing, 1032))  # F_GETPIPE_SZ
sender, receiver = hundred_pieces()
print(splice(receiver.fileno(), writing, 65536), splice(receiver.fileno(), writing, 65536))
print(len(os.read(reading, 65536)), splice(receiver.fileno(), writing, 65536))
sender, receiver = hundred_pieces()
print(len(receiver.recv(65536)))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "the pipe's room in bytes" "${seen[0]}" 65536
expect "two splices of a hundred pieces of one byte" "${seen[1]}" "16 EAGAIN"
expect "what the pipe has, and a splice after it was read" "${seen[2]}" "16 16"
expect "recv of a hundred pieces" "${seen[3]}" 100
