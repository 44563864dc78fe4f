// PhotonLibOS with a coroutine for each connection, on one OS thread; its engine is epoll, or io_uring with --engine io_uring.  TERM ends it.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <photon/common/alog.h>
#include <photon/net/socket.h>
#include <photon/photon.h>

using namespace photon;

static void uppercase(unsigned char *text, ssize_t count) {
    for (ssize_t i = 0; i < count; i++) text[i] ^= (unsigned char)(text[i] - 'a') < 26 ? 0x20 : 0;
}

struct Service {
    size_t size = 16384;

    int serve(net::ISocketStream *socket) {
        socket->setsockopt<int>(IPPROTO_TCP, TCP_NODELAY, 1);
        std::unique_ptr<unsigned char[]> buffer(new unsigned char[size]);  // not zeroed: only what is used is touched
        while (true) {
            ssize_t count = socket->recv(buffer.get(), size);
            if (count <= 0) return 0;
            uppercase(buffer.get(), count);
            if (socket->write(buffer.get(), count) != count) return 0;
        }
    }
};

static int fail(const char *what) {
    perror(what);
    return 71;
}

int main(int count, char **arguments) {
    Service service;
    bool has_ring = false;
    for (int i = 1; i + 1 < count; i += 2) {
        if (!strcmp(arguments[i], "--buffer")) service.size = atol(arguments[i + 1]);
        if (!strcmp(arguments[i], "--engine")) has_ring = !strcmp(arguments[i + 1], "io_uring");
    }
    set_log_output_level(ALOG_ERROR);
    PhotonOptions options;
    options.use_pooled_stack_allocator = true;
    if (init(has_ring ? INIT_EVENT_IOURING : INIT_EVENT_EPOLL, INIT_IO_NONE, options) != 0) return fail("init");
    net::ISocketServer *server = has_ring ? net::new_iouring_tcp_server() : net::new_tcp_socket_server();
    if (!server || server->bind_v4localhost(0) != 0 || server->listen(4096) != 0) return fail("listen");
    fprintf(stderr, "listening on 127.0.0.1:%d model=photon pid=%d\n", server->getsockname().port, getpid());
    server->set_handler({&service, &Service::serve});
    return server->start_loop(true);
}
