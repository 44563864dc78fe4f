// The floor for TLS: what it costs where nothing stands between epoll, OpenSSL and the program.  One OS thread, level-triggered, OpenSSL on the sockets
// themselves.  Usage: tls-floor CERTIFICATE KEY.  TERM ends it.

#include "../floor.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum { events_at_once = 1024, accepts_at_once = 64, size = 65536 };

/// A client, and what is owed to it and did not fit into the kernel's buffer.  While something is owed, nothing more is read.
struct connection {
    int descriptor;
    SSL *session;
    bool is_ready;
    uint32_t events;
    uint8_t *owed;
    size_t owed_count;
};

static int epoll;
static SSL_CTX *context;
static uint8_t buffer[size];

static void watch(struct connection *connection, uint32_t events) {
    if (connection->events == events) return;
    struct epoll_event event = {.events = events, .data.ptr = connection};
    check(epoll_ctl(epoll, connection->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, connection->descriptor, &event), "epoll_ctl");
    connection->events = events;
}

static void end(struct connection *connection) {
    if (connection->is_ready) SSL_shutdown(connection->session);
    SSL_free(connection->session);
    close(connection->descriptor);
    free(connection->owed);
    free(connection);
}

/// Whether the connection goes on: `result` is what a call of OpenSSL has returned.
static bool waits(struct connection *connection, int result) {
    switch (SSL_get_error(connection->session, result)) {
    case SSL_ERROR_WANT_READ: watch(connection, EPOLLIN); return true;
    case SSL_ERROR_WANT_WRITE: watch(connection, EPOLLOUT); return true;
    default: connection->is_ready = false; end(connection); return false;
    }
}

/// Whether all of it is sent, and the connection goes on.
static bool send_all(struct connection *connection, const uint8_t *bytes, size_t count) {
    ERR_clear_error();
    size_t sent = 0;
    int result = SSL_write_ex(connection->session, bytes, count, &sent);
    if (result == 1) return true;
    if (connection->owed == NULL) {
        connection->owed = malloc(count);
        if (connection->owed == NULL) fail("malloc");
        memcpy(connection->owed, bytes, count);
        connection->owed_count = count;
    }
    waits(connection, result);
    return false;
}

static void answer(struct connection *connection) {
    if (!connection->is_ready) {
        ERR_clear_error();
        int result = SSL_accept(connection->session);
        if (result != 1) { waits(connection, result); return; }
        connection->is_ready = true;
        watch(connection, EPOLLIN);
    }
    if (connection->owed != NULL) {
        if (!send_all(connection, connection->owed, connection->owed_count)) return;
        free(connection->owed);
        connection->owed = NULL;
        watch(connection, EPOLLIN);
    }
    // To the end: what OpenSSL has read ahead makes no event.
    while (1) {
        size_t count = 0, more = 0;
        ERR_clear_error();
        int result = SSL_read_ex(connection->session, buffer, size, &count);
        if (result != 1) {
            if (SSL_get_error(connection->session, result) == SSL_ERROR_ZERO_RETURN) { end(connection); return; }
            waits(connection, result);
            return;
        }
        // As many records as there are, so that one send follows.
        while (count < size && SSL_read_ex(connection->session, buffer + count, size - count, &more) == 1) count += more;
        uppercase(buffer, count);
        if (!send_all(connection, buffer, count)) return;
    }
}

static void accept_some(int listener) {
    for (int turn = 0; turn < accepts_at_once; turn++) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)) return;
        check(descriptor, "accept4");
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) fail("calloc");
        connection->descriptor = descriptor;
        connection->session = SSL_new(context);
        if (connection->session == NULL || SSL_set_fd(connection->session, descriptor) != 1) fail("SSL_new");
        SSL_set_accept_state(connection->session);
        watch(connection, EPOLLIN);
    }
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s CERTIFICATE KEY\n", arguments[0]);
        return 64;
    }
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // One read for many records, as a server that wants speed has it.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, size);
    if (SSL_CTX_use_certificate_chain_file(context, arguments[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, arguments[2], SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    check(epoll, "epoll_create1");
    struct connection listener = {.descriptor = listen_and_say("c-tls", SOCK_NONBLOCK)};
    watch(&listener, EPOLLIN);
    while (1) {
        static struct epoll_event events[events_at_once];
        int ready = epoll_wait(epoll, events, events_at_once, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == &listener) accept_some(listener.descriptor); else answer(connection);
        }
    }
}
