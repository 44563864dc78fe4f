#!/usr/bin/env bash
# Guess: SO_REUSEADDR lets a server listen on a port without a listener, whatever connections there are or have been.
# Seen (Linux 6.18): it counts only where the other socket has it too.  Connections of the server before have it from their listener.  A client whose
# connection got the port from the kernel has not: as long as that connection is there, and for a minute after it as TIME_WAIT, bind says EADDRINUSE.
# What follows: a service whose port lies in net.ipv4.ip_local_port_range (32768 to 60999 by default) fails to start now and then.  It takes another
# port, or net.ipv4.ip_local_reserved_ports.
# Needs root, for a network namespace of its own.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import errno, socket

def listening(port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
        server.listen(5)
        return server
    except OSError as error:
        return errno.errorcode[error.errno]

def outcome(port):
    server = listening(port)
    if isinstance(server, str): return server
    server.close()
    return "listens"

def end(first, second):
    first.close()
    second.recv(1)
    second.close()

other = listening(7)
client = socket.create_connection(other.getsockname())
served = other.accept()[0]
port = client.getsockname()[1]
print(port, outcome(port))
end(client, served)
print(outcome(port))

server = listening(8)
client = socket.socket()
client.bind(("127.0.0.1", 9))
client.connect(server.getsockname())
served = server.accept()[0]
server.close()
print(outcome(8))
end(served, client)
print(outcome(8))
print(open("/proc/net/tcp").read().count(" 06 "))
PYTHON
mapfile -t seen < <(unshare -n bash -c 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="40000 40000" && exec python3 "$1"' - "$work/probe.py")
expect "the port of a client's connection" "${seen[0]}" "40000 EADDRINUSE"
expect "when the client has closed it" "${seen[1]}" EADDRINUSE
expect "the port of a connection that an earlier server accepted" "${seen[2]}" listens
expect "when that server has closed it" "${seen[3]}" listens
expect "connections in TIME_WAIT" "${seen[4]}" 2
