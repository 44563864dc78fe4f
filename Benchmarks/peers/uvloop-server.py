"""asyncio's protocol (callbacks) on uvloop.  It has its own buffer, whatever --buffer says.  TERM ends it."""

import asyncio
import os
import sys

import uvloop


class Upper(asyncio.Protocol):
    def connection_made(self, transport):  # with TCP_NODELAY, as uvloop always has it
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())


async def main():
    server = await asyncio.get_running_loop().create_server(Upper, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on 127.0.0.1:{port} model=uvloop pid={os.getpid()}", file=sys.stderr, flush=True)
    await server.serve_forever()


uvloop.install()
asyncio.run(main())
