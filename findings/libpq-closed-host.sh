#!/usr/bin/env bash
# Guess: libpq with several hosts goes on to the next one wherever a host can't be used before the login.
# Seen (libpq 15): it does where a host refuses, and where it is silent for connect_timeout.  Where a host accepts and closes, libpq gives up, and the
# others are not tried.
# What follows: that is what a proxy makes of a server that is down (see proxies-hide-resets.sh), so that the list of hosts behind proxies fails with
# its first one.  A program tries the hosts one by one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package libpq5=15.20-0+deb12u1 libldap-2.5-0=2.5.13+dfsg-5 libsasl2-2=2.1.28+dfsg-10+deb12u1 libgssapi-krb5-2=1.20.1-2+deb12u5 \
    libkrb5-3=1.20.1-2+deb12u5 libk5crypto3=1.20.1-2+deb12u5 libkrb5support0=1.20.1-2+deb12u5 libkeyutils1=1.6.3-2 libssl3=3.0.22-1~deb12u2
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"

cat >"$work/probe.py" <<'PYTHON'
import ctypes, socket, struct, threading

library = ctypes.CDLL("libpq.so.5")
library.PQconnectdb.restype = ctypes.c_void_p
library.PQstatus.argtypes = library.PQfinish.argtypes = [ctypes.c_void_p]

def good(client):
    client.recv(1000)
    client.sendall(b"R" + struct.pack("!ii", 8, 0) + b"K" + struct.pack("!iii", 12, 1, 1) + b"Z" + struct.pack("!i", 5) + b"I")
    client.recv(1000)

def closes(client): client.recv(1000)
def is_silent(client): client.recv(1000), client.recv(1000)

def serving(behaviour):
    """The port, and a list with an element for each client."""
    listener, clients = socket.socket(), []
    listener.bind(("127.0.0.1", 0))
    def serve():
        while True:
            with listener.accept()[0] as client:
                clients.append(behaviour)
                behaviour(client)
    if behaviour:
        listener.listen(5)
        threading.Thread(target=serve, daemon=True).start()
    kept.append(listener)
    return listener.getsockname()[1], clients

kept = []
for behaviour in (None, is_silent, closes):
    first, _ = serving(behaviour)
    second, clients = serving(good)
    where = f"hostaddr=127.0.0.1,127.0.0.1 port={first},{second} connect_timeout=2 user=u dbname=d sslmode=disable gssencmode=disable"
    connection = library.PQconnectdb(where.encode())
    print("connected" if library.PQstatus(connection) == 0 else "failed", len(clients))
    library.PQfinish(connection)
PYTHON
mapfile -t seen < <(timeout 20 python3 "$work/probe.py")
expect "the first of two hosts refuses: outcome, clients of the second" "${seen[0]}" "connected 1"
expect "it accepts and is silent" "${seen[1]}" "connected 1"
expect "it accepts and closes" "${seen[2]}" "failed 0"
