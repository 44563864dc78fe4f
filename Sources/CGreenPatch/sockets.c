// recv, send and their like; connect and accept.

#include "patch.h"


void __chk_fail(void) __attribute__((noreturn));

// ---- Receiving

static int wants_all(int fd, int flags) {
    int type = 0;
    socklen_t length = sizeof type;
    if (!(flags & MSG_WAITALL) || flags & MSG_PEEK) return 0;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

// MSG_WAITALL: until all has come, the stream has ended, the time limit is over or an error has come.  Changes the parts.
static ssize_t receive_all(green_thread *thread, int fd, struct msghdr *message, int flags) {
    patch_operation operation = patch_begin(thread, fd, POLLIN, SO_RCVTIMEO);
    size_t size = patch_total(message->msg_iov, message->msg_iovlen), got = 0;
    ssize_t result;
    do {
        result = own_recvmsg(fd, message, (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
        if (result <= 0) continue;
        got += (size_t)result;
        patch_skip(&message->msg_iov, &message->msg_iovlen, (size_t)result);
    } while ((result > 0 && got < size) || (result < 0 && patch_again(&operation, result)));
    if (got) errno = operation.number;
    return got ? (ssize_t)got : result;
}

PATCH(ssize_t, recvfrom, (int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length),
      (fd, bytes, size, flags, address, length)) {
    green_thread *thread = patch_caller();
    if (!thread || flags & MSG_DONTWAIT) return own_recvfrom(fd, bytes, size, flags, address, length);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    if (wants_all(fd, flags)) {  // a stream has no addresses
        struct iovec part = {bytes, size};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (length) *length = 0;
        return receive_all(thread, fd, &message, flags);
    }
    patch_operation operation = patch_begin(thread, fd, POLLIN, SO_RCVTIMEO);
    ssize_t result;
    do result = own_recvfrom(fd, bytes, size, flags | MSG_DONTWAIT, address, length);
    while (patch_again(&operation, result));
    return result;
}

PATCH(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags)) {
    return green_recvfrom(fd, bytes, size, flags, NULL, NULL);
}

static ssize_t receive_whole_message(green_thread *thread, int fd, struct msghdr *message, int flags) {
    struct iovec *copy = malloc((size_t)message->msg_iovlen * sizeof *copy + 1);
    if (!copy) return patch_fail(ENOMEM);
    memcpy(copy, message->msg_iov, message->msg_iovlen * sizeof *copy);
    struct msghdr rest = *message;
    rest.msg_iov = copy;
    ssize_t result = receive_all(thread, fd, &rest, flags);
    message->msg_namelen = rest.msg_namelen, message->msg_controllen = rest.msg_controllen, message->msg_flags = rest.msg_flags;
    free(copy);
    return result;
}

PATCH(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags)) {
    green_thread *thread = patch_caller();
    if (!thread || flags & MSG_DONTWAIT) return own_recvmsg(fd, message, flags);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    // Control data comes with the bytes that it was sent with: one attempt would overwrite another's.
    if (!message->msg_controllen && wants_all(fd, flags)) return receive_whole_message(thread, fd, message, flags);
    patch_operation operation = patch_begin(thread, fd, POLLIN, SO_RCVTIMEO);
    ssize_t result;
    do result = own_recvmsg(fd, message, flags | MSG_DONTWAIT);
    while (patch_again(&operation, result));
    return result;
}

// As the kernel does, it looks at the time only when a message has come.
static int receive_messages(green_thread *thread, int fd, struct mmsghdr *messages, unsigned count, int flags, int64_t end) {
    patch_operation operation = patch_begin(thread, fd, POLLIN, SO_RCVTIMEO);
    unsigned got = 0;
    int result;
    do {
        result = own_recvmmsg(fd, messages + got, count - got, (flags & ~MSG_WAITFORONE) | MSG_DONTWAIT, NULL);
        if (result > 0) got += (unsigned)result;
        if (got && (flags & MSG_WAITFORONE || end <= patch_now())) break;
    } while ((result > 0 && got < count) || (result < 0 && patch_again(&operation, result)));
    if (got) errno = operation.number;
    return got ? (int)got : result;
}

PATCH(int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout), (fd, messages, count, flags, timeout)) {
    green_thread *thread = patch_caller();
    if (!thread || flags & MSG_DONTWAIT || count == 0 || (timeout && !patch_is_valid(timeout))) return own_recvmmsg(fd, messages, count, flags, timeout);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    int64_t end = timeout ? patch_after(patch_of_timespec(timeout)) : INT64_MAX;
    int result = receive_messages(thread, fd, messages, count, flags, end);
    if (timeout && result > 0) {  // Linux stores what is left
        int64_t left = end - patch_now();
        *timeout = left > 0 ? (struct timespec){left / 1000000000, left % 1000000000} : (struct timespec){0};
    }
    return result;
}

ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags) {
    if (size > room) __chk_fail();
    return recv(fd, bytes, size, flags);
}
ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *address, socklen_t *length) {
    if (size > room) __chk_fail();
    return recvfrom(fd, bytes, size, flags, address, length);
}

// ---- Sending.  A send that blocks sends all; it is short only where the time limit or an error ends it.

// Changes the parts.
static ssize_t send_all(green_thread *thread, int fd, struct msghdr *message, int flags) {
    patch_operation operation = patch_begin(thread, fd, POLLOUT, SO_SNDTIMEO);
    size_t size = patch_total(message->msg_iov, message->msg_iovlen), sent = 0;
    ssize_t result;
    do {
        result = own_sendmsg(fd, message, flags | MSG_DONTWAIT);
        if (result < 0) continue;
        sent += (size_t)result;
        if (sent < size && operation.deadline == UNKNOWN && !patch_blocks(fd)) break;
        patch_skip(&message->msg_iov, &message->msg_iovlen, (size_t)result);
        message->msg_control = NULL, message->msg_controllen = 0;  // goes with the first byte
    } while ((result >= 0 && sent < size) || (result < 0 && patch_again(&operation, result)));
    if (result >= 0 || sent) errno = operation.number;
    return sent ? (ssize_t)sent : result;
}

PATCH(ssize_t, sendto, (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length),
      (fd, bytes, size, flags, to, length)) {
    green_thread *thread = patch_caller();
    if (!thread || flags & MSG_DONTWAIT) return own_sendto(fd, bytes, size, flags, to, length);
    int error = patch_turn(thread), number = errno;
    if (error) return patch_fail(error);
    ssize_t sent = own_sendto(fd, bytes, size, flags | MSG_DONTWAIT, to, length);
    if (sent == (ssize_t)size || (sent < 0 && errno != EAGAIN)) return sent;
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (!patch_blocks(fd)) return sent;
    errno = number;
    struct iovec part = {(char *)bytes + done, size - done};
    struct msghdr message = {.msg_name = (void *)to, .msg_namelen = to ? length : 0, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t rest = send_all(thread, fd, &message, flags);
    if (rest < 0) return done ? (ssize_t)done : -1;
    return (ssize_t)done + rest;
}

PATCH(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags)) {
    return green_sendto(fd, bytes, size, flags, NULL, 0);
}

PATCH(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags)) {
    green_thread *thread = patch_caller();
    if (!thread || flags & MSG_DONTWAIT) return own_sendmsg(fd, message, flags);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    struct iovec *copy = malloc((size_t)message->msg_iovlen * sizeof *copy + 1);
    if (!copy) return patch_fail(ENOBUFS);
    memcpy(copy, message->msg_iov, message->msg_iovlen * sizeof *copy);
    struct msghdr rest = *message;
    rest.msg_iov = copy;
    ssize_t result = send_all(thread, fd, &rest, flags);
    free(copy);
    return result;
}

// Those that are cut into messages go together, as long as there is room; in a stream, each is sent as a whole.
PATCH(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags)) {
    if (!patch_caller() || flags & MSG_DONTWAIT) return own_sendmmsg(fd, messages, count, flags);
    int type = SOCK_STREAM, number = errno;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type});
    unsigned sent = 0;
    while (sent < count) {
        int result = type == SOCK_STREAM ? -1 : own_sendmmsg(fd, messages + sent, count - sent, flags | MSG_DONTWAIT);
        if (result > 0) sent += (unsigned)result;
        if (result > 0) continue;
        ssize_t one = green_sendmsg(fd, &messages[sent].msg_hdr, flags);
        if (one < 0) break;
        messages[sent++].msg_len = (unsigned)one;
    }
    if (sent || count == 0) errno = number;
    return sent || count == 0 ? (int)sent : -1;
}

// ---- Connecting and accepting

static int connect_at_once(int fd, const struct sockaddr *address, socklen_t length) {
    int mode = patch_unblock(fd), result = own_connect(fd, address, length);
    patch_block(fd, mode);
    return result;
}

static int wait_until_connected(green_thread *thread, int fd) {
    int error = patch_wait_one(thread, fd, POLLOUT, patch_limit(fd, SO_SNDTIMEO));
    if (error) return patch_fail(error == ETIMEDOUT ? EINPROGRESS : error);  // the kernel's answer to SO_SNDTIMEO
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -1;
    return error ? patch_fail(error) : 0;
}

PATCH(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length)) {
    green_thread *thread = patch_caller();
    if (!thread || !patch_blocks(fd)) return own_connect(fd, address, length);
    int error = patch_turn(thread), number = errno, result;
    if (error) return patch_fail(error);
    patch_pause pause = {0};
    int64_t limit = UNKNOWN;
    while ((result = connect_at_once(fd, address, length)) < 0 && errno == EAGAIN) {
        // A unix-domain socket whose listener has a full queue: there is no event to wait for.
        if (limit == UNKNOWN) limit = patch_limit(fd, SO_SNDTIMEO);
        if ((error = patch_pause_once(&pause, limit))) return patch_fail(error == ETIMEDOUT ? EAGAIN : error);
    }
    if (result < 0 && errno == EINPROGRESS) result = wait_until_connected(thread, fd);
    if (result == 0) errno = number;
    return result;
}

static int accept_at_once(int fd, struct sockaddr *address, socklen_t *length, int kind) {
    struct pollfd one = {fd, POLLIN, 0};
    if (own_poll(&one, 1, 0) == 0) return patch_fail(EAGAIN);
    int mode = patch_unblock(fd), result = own_accept4(fd, address, length, kind);
    patch_block(fd, mode);
    return result;
}

PATCH(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int kind), (fd, address, length, kind)) {
    green_thread *thread = patch_caller();
    if (!thread || !patch_blocks(fd)) return own_accept4(fd, address, length, kind);
    int error = patch_turn(thread), result;
    if (error) return patch_fail(error);
    patch_operation operation = patch_begin(thread, fd, POLLIN, SO_RCVTIMEO);
    do result = accept_at_once(fd, address, length, kind);
    while (patch_again(&operation, result));
    return result;
}

PATCH(int, accept, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length)) {
    return green_accept4(fd, address, length, 0);
}
