#!/usr/bin/env bash
# Guess: a non-blocking connect() to a unix socket whose queue is full gives EINPROGRESS, as TCP's does, and the socket becomes writable when the
# server has accepted a client.  A backlog of 1 holds one connection.
# Seen (Linux 6.18): EAGAIN, and the socket does not connect by itself.  poll says POLLOUT and POLLHUP at once, SO_ERROR is 0, and an
# edge-triggered epoll says nothing when there is room: only another connect() tells.  A backlog of 1 holds two.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, select, socket, sys

path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(1)

def connecting():
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    return client, errno.errorcode.get(client.connect_ex(path), "connected")

clients = [connecting() for _ in range(3)]
print(" ".join(result for _, result in clients))
last = clients[-1][0]
events = select.poll()
events.register(last, select.POLLIN | select.POLLOUT)
names = {select.POLLIN: "POLLIN", select.POLLOUT: "POLLOUT", select.POLLHUP: "POLLHUP", select.POLLERR: "POLLERR"}
print(" ".join(name for bit, name in names.items() if events.poll(0)[0][1] & bit))
print(last.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
edges = select.epoll()
edges.register(last, select.EPOLLOUT | select.EPOLLET)
edges.poll(0)
listener.accept()
print(len(edges.poll(0.5)))
print(errno.errorcode.get(last.connect_ex(path), "connected"))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py" "$work/socket")
expect "three connects at a backlog of 1" "${seen[0]}" "connected connected EAGAIN"
expect "poll of the third" "${seen[1]}" "POLLOUT POLLHUP"
expect "its SO_ERROR" "${seen[2]}" 0
expect "events within half a second of an accept" "${seen[3]}" 0
expect "a further connect of the same socket" "${seen[4]}" connected
