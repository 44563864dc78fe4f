#!/usr/bin/env bash
# Guess: a process at its limit of descriptors that receives a message with one more gets EMFILE, and can receive it again when it has room, as accept()
# leaves a connection in the queue.  A look with MSG_PEEK hands nothing over.
# Seen (Linux 6.18): recvmsg succeeds and returns the bytes.  The descriptor is gone, which only the flag MSG_CTRUNC says; if it was the last one
# of a connection, the connection is closed.  A look with MSG_PEEK does hand over a descriptor, a new one each time.
# What follows: a program that passes connections or listeners to another process needs an answer that they have arrived, and keeps its own until then.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import os, resource, socket

def descriptors(message): return sum(len(data) // 4 for _, _, data in message[1])
def said(message):
    return f"{message[0].decode()}, {descriptors(message)} descriptors{', MSG_CTRUNC' if message[2] & socket.MSG_CTRUNC else ''}"

sender, receiver = socket.socketpair()
receiver.setblocking(False)
client, server = socket.socketpair()
socket.send_fds(sender, [b"yours"], [server.fileno()])
server.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
print(said(receiver.recvmsg(100, 1000)))
try: print(said(receiver.recvmsg(100, 1000)))
except BlockingIOError: print("nothing more")
print("end" if client.recv(1) == b"" else "data")

sender, receiver, server = None, None, None
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
sender, receiver = socket.socketpair()
socket.send_fds(sender, [b"yours"], [0])
before = len(os.listdir("/proc/self/fd"))
for _ in range(3): receiver.recvmsg(100, 1000, socket.MSG_PEEK)
print(len(os.listdir("/proc/self/fd")) - before)
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "recvmsg at the limit of descriptors" "${seen[0]}" "yours, 0 descriptors, MSG_CTRUNC"
expect "recvmsg once more" "${seen[1]}" "nothing more"
expect "the other end of the connection that was handed over" "${seen[2]}" end
expect "new descriptors after three looks with MSG_PEEK" "${seen[3]}" 3
