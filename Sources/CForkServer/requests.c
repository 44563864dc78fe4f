#define _GNU_SOURCE
#include "CForkServer.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

typedef union rights {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
} rights;

#define RETRYING(call) \
    ({ \
        ssize_t result; \
        do result = (call); \
        while (result < 0 && errno == EINTR); \
        result < 0 ? -errno : result; \
    })

ssize_t fork_receive(int socket, void *bytes, size_t count) { return RETRYING(recv(socket, bytes, count, 0)); }

ssize_t fork_receive_by(int socket, void *bytes, size_t count, int64_t end) {
    ssize_t result;
    do result = recv(socket, bytes, count, 0);
    while (result < 0 && errno == EINTR && fork_now() < end);
    return result < 0 ? -errno : result;
}

ssize_t fork_send(int socket, const void *bytes, size_t count) {
    return RETRYING(send(socket, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT));
}

int fork_make_memory(size_t size) {
    int file = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return -errno;
    if (ftruncate(file, (off_t)size) == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) return file;
    int number = errno;
    close(file);
    return -number;
}

int fork_make_channel(int ends[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
}

int fork_request_send(int requests, const fork_request *request, int client) {
    rights control = {0};
    struct iovec part = {.iov_base = (void *)request, .iov_len = sizeof(*request)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &client, sizeof(int));
    ssize_t sent = RETRYING(sendmsg(requests, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
    return sent < 0 ? (int)sent : 0;
}

int fork_request_receive(int requests, fork_request *request) {
    rights control;
    struct iovec part = {.iov_base = request, .iov_len = sizeof(*request)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t count = RETRYING(recvmsg(requests, &message, MSG_CMSG_CLOEXEC));
    if (count < 0) return (int)count;
    if (count == 0) return -EPIPE;
    // The descriptor was dropped, say, where this process may have no more.
    if (message.msg_controllen < sizeof(control) || control.header.cmsg_type != SCM_RIGHTS) return -EMFILE;
    int client;
    memcpy(&client, CMSG_DATA(&control.header), sizeof(int));
    return client;
}

// Not the C library's: that has no flags.  One OS thread calls it, so nothing is to be put in order in the child.
pid_t fork_for_parent(int32_t *number) {
    long pid = syscall(SYS_clone, (unsigned long)(CLONE_PARENT | CLONE_PARENT_SETTID), 0, number, 0, 0);
    return pid < 0 ? -errno : (pid_t)pid;
}

void fork_count(int64_t *cell, int64_t amount) { __atomic_fetch_add(cell, amount, __ATOMIC_RELEASE); }

void fork_block(int number, int is_blocked) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, number);
    sigprocmask(is_blocked ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

void fork_ignore(int number) { signal(number, SIG_IGN); }

void fork_signal_at_parents_end(int number) { prctl(PR_SET_PDEATHSIG, number); }

void fork_limit_time(int socket, int option, int64_t nanoseconds) {
    if (nanoseconds == 0) return;
    struct timeval limit = {.tv_sec = nanoseconds / 1000000000, .tv_usec = nanoseconds % 1000000000 / 1000};
    setsockopt(socket, SOL_SOCKET, option, &limit, sizeof(limit));
}

int fork_wait_writable(int socket, int64_t nanoseconds) {
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    struct pollfd wanted = {.fd = socket, .events = POLLOUT};
    return ppoll(&wanted, 1, nanoseconds > 0 ? &limit : NULL, NULL) != 0;
}

int fork_unacknowledged(int socket) {
    int count = 0;
    return ioctl(socket, SIOCOUTQ, &count) < 0 ? -1 : count;
}

int64_t fork_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
