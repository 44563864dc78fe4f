// read, write and their like: for sockets, pipes, terminals, devices and files alike.
//
// RWF_NOWAIT makes one attempt of them, in one system call.  Linux before 6.5 refuses it for sockets (before 6.4 for pipes), as every Linux does for
// terminals and some devices: the call is made as usual then, once poll says that it will not wait.

#include "patch.h"

#include <limits.h>

void __chk_fail(void) __attribute__((noreturn));

// The most that the kernel moves in one call; more in a part of readv and writev is an error there, and none in read and write.
enum { LARGEST = 0x7ffff000 };
static size_t clip(size_t size) { return size < LARGEST ? size : LARGEST; }

static int is_refused(ssize_t result) { return result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS); }

static int may_wait(int fd, short events) {
    struct pollfd one = {fd, events, 0};
    int number = errno, result = own_poll(&one, 1, 0);
    errno = number;
    return result == 0;
}

// ---- Reading

// Not `readv` for one part: devices without it get more than one call.
static ssize_t read_plainly(int fd, const struct iovec *parts, int count) {
    return count == 1 ? own_read(fd, parts->iov_base, parts->iov_len) : own_readv(fd, parts, count);
}

static ssize_t read_when_ready(patch_operation *operation, const struct iovec *parts, int count) {
    // A socket may have another reader, who is faster.  A read of nothing must leave the datagram there.
    if (patch_kind_of(operation->fd) == PATCH_SOCKET && patch_total(parts, (size_t)count) > 0) {
        struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
        ssize_t result;
        do result = own_recvmsg(operation->fd, &message, MSG_DONTWAIT);
        while (patch_again(operation, result));
        return result;
    }
    while (may_wait(operation->fd, POLLIN) && patch_blocks(operation->fd)) {
        errno = EAGAIN;
        if (patch_wait_again(operation) < 0) return -1;
    }
    errno = operation->number;
    return read_plainly(operation->fd, parts, count);
}

static ssize_t read_parts(green_thread *thread, int fd, const struct iovec *parts, int count) {
    patch_operation operation = patch_begin(thread, fd, POLLIN, SO_RCVTIMEO);
    ssize_t result;
    do {
        result = preadv2(fd, parts, count, -1, RWF_NOWAIT);
        if (is_refused(result)) return read_when_ready(&operation, parts, count);
        // Not in memory: the disk is waited for, as ever.
        if (result < 0 && errno == EAGAIN && patch_kind_of(fd) == PATCH_FILE) return read_plainly(fd, parts, count);
    } while (patch_again(&operation, result));
    return result;
}

// Of a file, a part may be in memory and the rest not: a read that blocks is not short then.
static ssize_t read_rest(int fd, char *bytes, size_t size, ssize_t done) {
    if (done <= 0 || (size_t)done == size || patch_kind_of(fd) != PATCH_FILE) return done;
    int number = errno;
    ssize_t rest = own_read(fd, bytes + done, size - (size_t)done);
    errno = number;
    return rest > 0 ? done + rest : done;
}

PATCH(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size)) {
    green_thread *thread = patch_caller();
    if (!thread) return own_read(fd, bytes, size);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    struct iovec part = {bytes, clip(size)};
    return read_rest(fd, bytes, part.iov_len, read_parts(thread, fd, &part, 1));
}

PATCH(ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count)) {
    green_thread *thread = patch_caller();
    if (!thread || patch_kind_of(fd) == PATCH_FILE) return own_readv(fd, parts, count);
    int error = patch_turn(thread);
    return error ? patch_fail(error) : read_parts(thread, fd, parts, count);
}

ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room) {
    if (size > room) __chk_fail();
    return read(fd, bytes, size);
}

// ---- Writing.  A write that blocks writes all.

static ssize_t write_plainly(int fd, const struct iovec *parts, size_t count) {
    return count == 1 ? own_write(fd, parts->iov_base, parts->iov_len) : own_writev(fd, parts, (int)count);
}

// One attempt where RWF_NOWAIT is refused.
static ssize_t write_if_ready(patch_operation *operation, struct iovec *parts, size_t count) {
    int fd = operation->fd;
    patch_kind kind = patch_kind_of(fd);
    if (kind == PATCH_SOCKET) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        return own_sendmsg(fd, &message, MSG_DONTWAIT);
    }
    if (may_wait(fd, POLLOUT) && patch_blocks(fd)) return patch_fail(EAGAIN);
    errno = operation->number;
    // A device may take each write for a message.
    if (kind == PATCH_FILE || kind == PATCH_OTHER) return write_plainly(fd, parts, count);
    // A pipe or a terminal that can be written to takes as much as this without waiting; more is not promised.
    while (count > 1 && parts->iov_len == 0) parts++, count--;
    return own_write(fd, parts->iov_base, parts->iov_len < PIPE_BUF ? parts->iov_len : PIPE_BUF);
}

static ssize_t write_once(patch_operation *operation, struct iovec *parts, size_t count) {
    ssize_t result = pwritev2(operation->fd, parts, (int)count, -1, RWF_NOWAIT);
    if (is_refused(result)) return write_if_ready(operation, parts, count);
    // The file system would wait, as ever.
    if (result < 0 && errno == EAGAIN && patch_kind_of(operation->fd) == PATCH_FILE) return write_plainly(operation->fd, parts, count);
    return result;
}

// Changes the parts.
static ssize_t write_all(green_thread *thread, int fd, struct iovec *parts, size_t count) {
    patch_operation operation = patch_begin(thread, fd, POLLOUT, SO_SNDTIMEO);
    size_t size = patch_total(parts, count), sent = 0;
    ssize_t result;
    do {
        result = write_once(&operation, parts, count);
        if (result < 0) continue;
        sent += (size_t)result;
        if (result == 0 || (sent < size && operation.deadline == UNKNOWN && !patch_blocks(fd))) break;
        patch_skip(&parts, &count, (size_t)result);
    } while ((result > 0 && sent < size) || (result < 0 && patch_again(&operation, result)));
    if (result >= 0 || sent) errno = operation.number;
    return sent ? (ssize_t)sent : result;
}

PATCH(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size)) {
    green_thread *thread = patch_caller();
    if (!thread) return own_write(fd, bytes, size);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    struct iovec part = {(void *)bytes, clip(size)};
    return write_all(thread, fd, &part, 1);
}

PATCH(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count)) {
    green_thread *thread = patch_caller();
    struct iovec *copy = thread && count > 0 && count <= IOV_MAX ? malloc((size_t)count * sizeof *copy) : NULL;
    if (!copy) return own_writev(fd, parts, count);
    int error = patch_turn(thread);
    memcpy(copy, parts, (size_t)count * sizeof *copy);
    ssize_t result = error ? patch_fail(error) : write_all(thread, fd, copy, (size_t)count);
    free(copy);
    return result;
}

// ---- From one descriptor to another

PATCH(ssize_t, sendfile, (int to, int from, off_t *offset, size_t size), (to, from, offset, size)) {
    green_thread *thread = patch_caller();
    if (!thread || !patch_blocks(to) || patch_kind_of(to) == PATCH_FILE) return own_sendfile(to, from, offset, size);
    int error = patch_turn(thread);
    if (error) return patch_fail(error);
    patch_operation operation = patch_begin(thread, to, POLLOUT, SO_SNDTIMEO);
    size_t sent = 0;
    ssize_t result;
    do {
        int mode = patch_unblock(to);
        result = own_sendfile(to, from, offset, size - sent);
        patch_block(to, mode);
        if (result > 0) sent += (size_t)result;
    } while ((result > 0 && sent < size) || (result < 0 && patch_again(&operation, result)));
    if (result >= 0 || sent) errno = operation.number;
    return sent ? (ssize_t)sent : result;
}

PATCH(ssize_t, sendfile64, (int to, int from, off64_t *offset, size_t size), (to, from, offset, size)) {
    return green_sendfile(to, from, offset, size);
}

// The two descriptors are waited for one after the other: the pipe may be the one that is full or empty.
static int wait_for_splice(green_thread *thread, int from, int to) {
    int error = may_wait(from, POLLIN) ? patch_wait_one(thread, from, POLLIN, INT64_MAX) : 0;
    if (!error && may_wait(to, POLLOUT)) error = patch_wait_one(thread, to, POLLOUT, INT64_MAX);
    return error ? patch_fail(error) : 0;
}

PATCH(ssize_t, splice, (int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags),
      (from, from_offset, to, to_offset, size, flags)) {
    green_thread *thread = patch_caller();
    if (!thread || flags & SPLICE_F_NONBLOCK) return own_splice(from, from_offset, to, to_offset, size, flags);
    int error = patch_turn(thread), number = errno;
    if (error) return patch_fail(error);
    for (;;) {
        if (wait_for_splice(thread, from, to) < 0) return -1;
        errno = number;
        int from_mode = patch_unblock(from), to_mode = patch_unblock(to);
        ssize_t result = own_splice(from, from_offset, to, to_offset, size, flags | SPLICE_F_NONBLOCK);
        patch_block(to, to_mode), patch_block(from, from_mode);
        if (result >= 0 || errno != EAGAIN || from_mode < 0 || to_mode < 0) return result;
    }
}
