// What the three C servers share.

#ifndef FLOOR_H
#define FLOOR_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static inline _Noreturn void fail(const char *call) {
    perror(call);
    exit(1);
}

static inline void check(int result, const char *call) {
    if (result < 0) fail(call);
}

/// From `[--buffer BYTES]`, which is all that these servers take.
static inline size_t buffer_size(int count, char **arguments) {
    long size = 16384;
    if (count == 3 && strcmp(arguments[1], "--buffer") == 0) size = atol(arguments[2]);
    if ((count != 1 && count != 3) || size < 1) {
        fprintf(stderr, "usage: %s [--buffer BYTES]\n", arguments[0]);
        exit(64);
    }
    return (size_t)size;
}

/// ASCII a to z become A to Z, sixteen bytes at a time: at -O2 not every compiler makes vectors by itself.
static inline void uppercase(uint8_t *text, size_t count) {
    typedef uint8_t block __attribute__((vector_size(16), aligned(1), may_alias));
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        block *bytes = (block *)(text + i);
        *bytes ^= (block)(*bytes - 'a' < 26) & 0x20;
    }
    for (; i < count; i++)
        if ((uint8_t)(text[i] - 'a') < 26) text[i] ^= 0x20;
}

/// Listens on a port of 127.0.0.1, without delay for those who connect; on a free one where `port` is 0, which then gets its number.
static inline int listen_on(in_port_t *port, int socket_flags) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | socket_flags, 0);
    check(listener, "socket");
    check(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), "setsockopt");
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)), "setsockopt");
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t length = sizeof address;
    check(bind(listener, (struct sockaddr *)&address, length), "bind");
    check(listen(listener, 4096), "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    *port = ntohs(address.sin_port);
    return listener;
}

/// Listens on a free port, which is put into `port`, and says so.
static inline int listen_and_tell(const char *model, int socket_flags, in_port_t *port) {
    struct rlimit files;
    check(getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
    files.rlim_cur = files.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");

    *port = 0;
    int listener = listen_on(port, socket_flags);
    fprintf(stderr, "listening on 127.0.0.1:%d model=%s pid=%d\n", *port, model, (int)getpid());
    return listener;
}

/// Listens on a free port, and says so.
static inline int listen_and_say(const char *model, int socket_flags) {
    in_port_t port;
    return listen_and_tell(model, socket_flags, &port);
}

/// For an OS thread or process of its own, whose socket blocks: returns when the client has ended, or is gone.
static inline void serve_blocking(int descriptor, size_t size) {
    uint8_t buffer[size];
    ssize_t count;
    while ((count = recv(descriptor, buffer, size, 0)) > 0) {
        uppercase(buffer, (size_t)count);
        // A blocking send takes all of it, unless the client is gone.
        if (send(descriptor, buffer, (size_t)count, MSG_NOSIGNAL) != count) return;
    }
}

#endif
