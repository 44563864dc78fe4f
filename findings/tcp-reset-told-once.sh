#!/usr/bin/env bash
# Guess: once the other side has reset a connection, each call on it says so: the sender gets an error, and the receiver gets ECONNRESET, never
# the orderly end of the stream.
# Seen (Linux 6.18): ECONNRESET is said once, to whichever call comes first: recv, send, or getsockopt(SO_ERROR).  From then on recv returns 0, which
# is the orderly end, after what had come before the reset.  So where one thread sends and another receives, the sender takes the error, and the
# receiver takes a stream that was cut off for a whole one.
# What follows: a receiver that gets the end asks what the sender got, or counts bytes.  Reading SO_ERROR takes the error away from the other calls.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, select, socket, struct

def answer(call, *arguments):
    try:
        result = call(*arguments)
        return (result.decode() or "end") if isinstance(result, bytes) else errno.errorcode.get(result, str(result))
    except OSError as error:
        return errno.errorcode[error.errno]

def connection_that_is_reset():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
    client.send(b"half")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    events = select.poll()
    events.register(server, 0)
    events.poll(1000)
    return server

receives = connection_that_is_reset()
print(*(answer(receives.recv, 100) for _ in range(3)))
sends = connection_that_is_reset()
print(answer(sends.send, b"x"), "/", *(answer(sends.recv, 100) for _ in range(2)))
asks = connection_that_is_reset()
print(answer(asks.getsockopt, socket.SOL_SOCKET, socket.SO_ERROR), "/", *(answer(asks.recv, 100) for _ in range(2)))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "recv, recv, recv" "${seen[0]}" "half ECONNRESET end"
expect "send / recv, recv" "${seen[1]}" "ECONNRESET / half end"
expect "SO_ERROR / recv, recv" "${seen[2]}" "ECONNRESET / half end"
