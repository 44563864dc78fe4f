#!/usr/bin/env bash
# Guess: after shutdown(SHUT_RD) recv() returns what had come before and then the end, for good; the other side notices nothing.  It is so for TCP and unix
# sockets alike.
# Seen (Linux 6.18): TCP's recv returns 0 where nothing is there, and yet what comes later, when it comes: data after the end of the stream.  The
# other side notices nothing.  A unix socket keeps the end an end, but from then on the other side's send fails with EPIPE (and SIGPIPE).
# What follows: a program that ends a TCP stream so must itself remember the end; over a unix socket a client that is still writing gets an error.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, select, socket

def answer(call, *arguments):
    try:
        result = call(*arguments)
        return (result.decode() or "end") if isinstance(result, bytes) else "sent"
    except OSError as error:
        return errno.errorcode[error.errno]

def show(ours, theirs):
    theirs.send(b"before")
    select.select([ours], [], [], 1)
    ours.shutdown(socket.SHUT_RD)
    first = [answer(ours.recv, 100), answer(ours.recv, 100)]
    sent = answer(theirs.send, b"after")
    # poll says readable all the time, so that only recv tells when it has come.
    later = "end"
    for _ in range(1000):
        later = answer(ours.recv, 100)
        if sent != "sent" or later != "end": break
    print(*first, "/", sent, "/", later, answer(ours.recv, 100))

with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = socket.create_connection(listener.getsockname())
    show(listener.accept()[0], client)
show(*socket.socketpair())
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "TCP: recv, recv / the peer's send / recv, recv" "${seen[0]}" "before end / sent / after end"
expect "unix: recv, recv / the peer's send / recv, recv" "${seen[1]}" "before end / EPIPE / end end"
