#!/usr/bin/env bash
# Guess: connect() to a port of 127.0.0.1 at which nothing listens is refused, each time.
# Seen (Linux 6.18): where the port lies among those that the kernel gives out to clients (32768 to 60999 by default), it may give out just that
# one.  Then the socket is connected to itself, by TCP's simultaneous open, and receives what it sends: an echo service that is not there.  The kernel
# prefers ports of the same parity as the first of the range, so that it happens about once in half as many connects as the range has ports,
# and hardly ever to a port of the other parity.
# Needs root, for a network namespace of its own.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import socket, sys

port, attempts = int(sys.argv[1]), int(sys.argv[2])
for _ in range(attempts):
    client = socket.socket()
    try:
        client.connect(("127.0.0.1", port))
        client.sendall(b"anybody there?")
        itself = client.getsockname() == client.getpeername()
        print("itself" if itself else "another", client.recv(100).decode())
        break
    except ConnectionRefusedError:
        client.close()
else:
    print("refused each time")
PYTHON
try() { unshare -n bash -c 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="40000 40199" && exec python3 "$@"' - "$work/probe.py" "$@"; }
expect "an even port of 100 even ones, 1000 connects" "$(try 40100 1000)" "itself anybody there?"
expect "an odd port, 1000 connects" "$(try 40101 1000)" "refused each time"
expect "a port outside of the range, 1000 connects" "$(try 39999 1000)" "refused each time"
