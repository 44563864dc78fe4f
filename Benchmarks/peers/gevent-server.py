"""gevent's StreamServer with a greenlet for each connection.  TERM ends it."""

import os
import socket
import sys

from gevent.server import StreamServer

size = int(sys.argv[2]) if sys.argv[1:2] == ["--buffer"] else 16384


def serve(connection, address):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while data := connection.recv(size):
            connection.sendall(data.upper())
    except ConnectionError:
        pass


server = StreamServer(("127.0.0.1", 0), serve, backlog=4096)
server.start()
print(f"listening on 127.0.0.1:{server.server_port} model=gevent pid={os.getpid()}", file=sys.stderr, flush=True)
server.serve_forever()
