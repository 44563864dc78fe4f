#!/usr/bin/env bash
# Guess: a server that takes all that is queued and then closes its listener loses no client; a client that was queued and not accepted is reset at once.
# Seen (Linux 6.18): with TCP_DEFER_ACCEPT (DeferAcceptSec= of a systemd socket), clients that have not sent anything yet are in no queue: accept does not
# return them, and TCP_INFO does not count them.  When the listener closes, they get no packet and stay connected; what they
# send then is answered with a reset.  One that has ended its stream without a byte is accepted at once, though it sent no data.
# What follows: a restart under this option loses silent clients, unless another process keeps the listener open.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import select, socket, struct

listener = socket.socket()
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
listener.bind(("127.0.0.1", 0))
listener.listen(5)
listener.setblocking(False)

def is_readable(of, seconds): return bool(select.select([of], [], [], seconds)[0])
def accepted(seconds):
    if not is_readable(listener, seconds): return "nobody"
    listener.accept()
    return "somebody"
def queued(): return struct.unpack_from("I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]

client = socket.create_connection(listener.getsockname())
print(accepted(0.3), queued())
ended = socket.create_connection(listener.getsockname())
ended.shutdown(socket.SHUT_WR)
print(accepted(0.3))
listener.close()
print("told" if is_readable(client, 0.5) else "told nothing")
client.send(b"hello")
is_readable(client, 1)
try: print(client.recv(1))
except ConnectionResetError: print("reset")
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "who is accepted, and queued, when a silent client is connected" "${seen[0]}" "nobody 0"
expect "and when one has ended its stream without a byte" "${seen[1]}" somebody
expect "the silent client, half a second after the listener's close" "${seen[2]}" "told nothing"
expect "when it sends" "${seen[3]}" reset
