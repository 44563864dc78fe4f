// libev as its manual has it: a callback for each descriptor, and one buffer for all.  TERM ends it.

#include "../floor.h"
#include <ev.h>

/// A client, and what is owed to it.  One of its two watchers is active.
struct connection {
    ev_io readable, writable;
    uint8_t *owed;
    size_t owed_count, owed_sent;
};

static uint8_t *buffer;
static size_t size;

static void end(struct ev_loop *loop, struct connection *connection) {
    ev_io_stop(loop, &connection->readable);
    ev_io_stop(loop, &connection->writable);
    close(connection->readable.fd);
    free(connection->owed);
    free(connection);
}

static void owe(struct ev_loop *loop, struct connection *connection, const uint8_t *bytes, size_t count) {
    connection->owed = malloc(count);
    if (connection->owed == NULL) fail("malloc");
    memcpy(connection->owed, bytes, count);
    connection->owed_count = count;
    connection->owed_sent = 0;
    ev_io_stop(loop, &connection->readable);
    ev_io_start(loop, &connection->writable);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)events;
    struct connection *connection = watcher->data;
    ssize_t sent = send(
        watcher->fd, connection->owed + connection->owed_sent, connection->owed_count - connection->owed_sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return end(loop, connection);
    connection->owed_sent += (size_t)sent;
    if (connection->owed_sent < connection->owed_count) return;
    free(connection->owed);
    connection->owed = NULL;
    ev_io_stop(loop, &connection->writable);
    ev_io_start(loop, &connection->readable);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)events;
    struct connection *connection = watcher->data;
    ssize_t count = recv(watcher->fd, buffer, size, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return end(loop, connection);
    uppercase(buffer, (size_t)count);
    ssize_t sent = send(watcher->fd, buffer, (size_t)count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return end(loop, connection);
    if (sent < 0) sent = 0;
    if (sent < count) owe(loop, connection, buffer + sent, (size_t)(count - sent));
}

static void on_connect(struct ev_loop *loop, ev_io *listener, int events) {
    (void)events;
    int descriptor;
    while ((descriptor = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) fail("calloc");
        ev_io_init(&connection->readable, on_readable, descriptor, EV_READ);
        ev_io_init(&connection->writable, on_writable, descriptor, EV_WRITE);
        connection->readable.data = connection->writable.data = connection;
        ev_io_start(loop, &connection->readable);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) fail("accept4");
}

int main(int count, char **arguments) {
    size = buffer_size(count, arguments);
    buffer = malloc(size);
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (buffer == NULL || loop == NULL) fail("ev_default_loop");
    ev_io listener;
    ev_io_init(&listener, on_connect, listen_and_say("libev", SOCK_NONBLOCK), EV_READ);
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
}
