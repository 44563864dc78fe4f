// The floor: what a message costs where nothing stands between epoll and the program.  One OS thread, level-triggered, one buffer
// for all connections.  With `--processes N` first, as many processes, each with a listener of its own on the same port.  TERM ends it.

#include "floor.h"
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

enum { events_at_once = 1024, accepts_at_once = 64, reads_at_once = 16 };

/// A client, and what is owed to it and did not fit into the kernel's buffer.  While something is owed, nothing more is read.
struct connection {
    int descriptor;
    uint8_t *owed;
    size_t owed_count, owed_sent;
};

static int epoll;
static uint8_t *buffer;
static size_t size;

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    check(epoll_ctl(epoll, operation, connection->descriptor, &event), "epoll_ctl");
}

static void end(struct connection *connection) {
    close(connection->descriptor);
    free(connection->owed);
    free(connection);
}

/// How many bytes the kernel took, 0 where it has no room, -1 where the client is gone.
static ssize_t send_some(int descriptor, const uint8_t *bytes, size_t count) {
    ssize_t sent = send(descriptor, bytes, count, MSG_NOSIGNAL);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static void owe(struct connection *connection, const uint8_t *bytes, size_t count) {
    connection->owed = malloc(count);
    if (connection->owed == NULL) fail("malloc");
    memcpy(connection->owed, bytes, count);
    connection->owed_count = count;
    connection->owed_sent = 0;
    watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
}

static void pay(struct connection *connection) {
    ssize_t sent = send_some(
        connection->descriptor, connection->owed + connection->owed_sent, connection->owed_count - connection->owed_sent);
    if (sent < 0) return end(connection);
    connection->owed_sent += (size_t)sent;
    if (connection->owed_sent < connection->owed_count) return;
    free(connection->owed);
    connection->owed = NULL;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

static void answer(struct connection *connection) {
    for (int turn = 0; turn < reads_at_once; turn++) {
        ssize_t count = recv(connection->descriptor, buffer, size, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) return end(connection);
        uppercase(buffer, (size_t)count);
        ssize_t sent = send_some(connection->descriptor, buffer, (size_t)count);
        if (sent < 0) return end(connection);
        if (sent < count) return owe(connection, buffer + sent, (size_t)(count - sent));
        if ((size_t)count < size) return;  // the socket is empty: another recv would only say so
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
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/// Takes `--processes N` away from the arguments.
static int process_count(int *count, char **arguments) {
    if (*count < 3 || strcmp(arguments[1], "--processes") != 0) return 1;
    int processes = atoi(arguments[2]);
    if (processes < 1 || processes > 64) {
        fprintf(stderr, "%s: --processes is 1 to 64\n", arguments[0]);
        exit(64);
    }
    *count -= 2;
    for (int i = 1; i < *count; i++) arguments[i] = arguments[i + 2];
    return processes;
}

/// Returns the listener of this process: of the first, or of one that it has forked, which ends with it.
static int listen_in(int processes) {
    in_port_t port;
    int listener = listen_and_tell("c-epoll", SOCK_NONBLOCK, &port);
    for (int number = 1; number < processes; number++) {
        pid_t child = fork();
        check(child, "fork");
        if (child > 0) continue;
        check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
        close(listener);
        return listen_on(&port, SOCK_NONBLOCK);
    }
    return listener;
}

int main(int count, char **arguments) {
    int processes = process_count(&count, arguments);
    size = buffer_size(count, arguments);
    buffer = malloc(size);
    struct connection listener = {.descriptor = listen_in(processes)};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    check(epoll, "epoll_create1");
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    while (1) {
        static struct epoll_event events[events_at_once];
        int ready = epoll_wait(epoll, events, events_at_once, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == &listener)
                accept_some(listener.descriptor);
            else if (connection->owed != NULL)
                pay(connection);
            else
                answer(connection);
        }
    }
}
