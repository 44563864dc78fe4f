// Calls on sockets, pipes and files for Swift: see sockets.h.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef F_DUPFD_QUERY  // Linux 6.10
#define F_DUPFD_QUERY 1027
#endif
#ifndef UDP_SEGMENT  // Linux 4.18
#define UDP_SEGMENT 103
#endif

#define RETRYING(call) \
    ({ \
        ssize_t result; \
        do result = (call); \
        while (result < 0 && errno == EINTR); \
        result < 0 ? -errno : result; \
    })

int green_same_file(int one, int other) {
    int answer = fcntl(one, F_DUPFD_QUERY, other);
    if (answer >= 0) return answer;
    if (errno == EBADF) return -EBADF;
    struct stat first, second;
    if (fstat(one, &first) != 0 || fstat(other, &second) != 0) return -errno;
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

int green_socket_pair(int ends[2]) {
    return (int)RETRYING(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
}

int green_set_text_option(int descriptor, int level, int name, const char *text) {
    return (int)RETRYING(setsockopt(descriptor, level, name, text, (socklen_t)strlen(text)));
}

int green_peer_credentials(int descriptor, int32_t credentials[3]) {
    struct ucred peer;
    socklen_t length = sizeof(peer);
    int result = (int)RETRYING(getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    if (result == 0) {
        credentials[0] = peer.pid;
        credentials[1] = (int32_t)peer.uid;
        credentials[2] = (int32_t)peer.gid;
    }
    return result;
}

// MARK: Passing descriptors

ssize_t green_send_descriptors(int socket, const void *bytes, size_t count, const int *descriptors, size_t how_many) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(green_most_descriptors * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(how_many * sizeof(int)),
    };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(how_many * sizeof(int));
    memcpy(CMSG_DATA(rights), descriptors, how_many * sizeof(int));
    return RETRYING(sendmsg(socket, &message, MSG_NOSIGNAL));
}

// Of one SCM_RIGHTS message; what has no room is closed.
static void take_rights(const struct cmsghdr *rights, int *descriptors, size_t room, green_passed *passed) {
    size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int descriptor;
        memcpy(&descriptor, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
        if (passed->count < room) {
            descriptors[passed->count++] = descriptor;
        } else {
            close(descriptor);
            passed->were_lost = 1;
        }
    }
}

ssize_t green_receive_descriptors(int socket, void *bytes, size_t size, int *descriptors, size_t room, green_passed *passed) {
    // Room for all that one message can have, whatever `room` is, and for the sender's credentials.
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(green_most_descriptors * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    *passed = (green_passed){0};
    ssize_t result;
    do {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        result = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    passed->were_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            take_rights(header, descriptors, room, passed);
    }
    return result;
}

// MARK: Bulk

int green_bulk_pipe(int ends[2], int size) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -errno;
    // Refused where the user's pipes take as much memory already as they may (pipe-user-pages-soft): it works with less.
    int room = fcntl(ends[1], F_SETPIPE_SZ, size);
    if (room < 0) room = fcntl(ends[1], F_GETPIPE_SZ);
    return room > 0 ? room : 4096;
}

ssize_t green_splice_in(int socket, int pipe, size_t count) {
    return RETRYING(splice(socket, NULL, pipe, NULL, count, SPLICE_F_MOVE));
}

// SIGPIPE kept back from this OS thread, and taken away again where the call has raised it.
typedef struct held_signal {
    sigset_t pipe, before;
    int was_pending;
} held_signal;

static void hold_pipe_signal(held_signal *held) {
    sigemptyset(&held->pipe);
    sigaddset(&held->pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &held->pipe, &held->before);
    held->was_pending = 0;
    sigset_t pending;
    if (sigismember(&held->before, SIGPIPE) && sigpending(&pending) == 0) held->was_pending = sigismember(&pending, SIGPIPE);
}

static ssize_t release_pipe_signal(const held_signal *held, ssize_t result) {
    struct timespec none = {0};
    if (result == -EPIPE && !held->was_pending) {
        while (sigtimedwait(&held->pipe, NULL, &none) < 0 && errno == EINTR) {}
    }
    pthread_sigmask(SIG_SETMASK, &held->before, NULL);
    return result;
}

ssize_t green_splice_out(int pipe, int socket, size_t count, int more) {
    held_signal held;
    hold_pipe_signal(&held);
    unsigned flags = SPLICE_F_MOVE | (more ? SPLICE_F_MORE : 0);
    return release_pipe_signal(&held, RETRYING(splice(pipe, NULL, socket, NULL, count, flags)));
}

ssize_t green_send_file_part(int socket, int file, off_t offset, size_t count) {
    held_signal held;
    hold_pipe_signal(&held);
    return release_pipe_signal(&held, RETRYING(sendfile(socket, file, &offset, count)));
}

int green_open_to_read(const char *path) {
    return (int)RETRYING(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

// MARK: Datagrams

struct green_batch {
    size_t capacity, size;
    green_datagram *datagrams;
    // For receiving: always the same, but for what the kernel writes there.
    struct mmsghdr *arrivals;
    struct iovec *rooms;
    // For sending.
    struct mmsghdr *headers;
    struct iovec *parts;
    // Of each message that is sent: how many datagrams it has, and the length that the kernel cuts at.
    size_t *counts;
    // Of each that comes or is sent: the local address, and in one that is sent, the length of a segment.
    union green_control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
    } *controls;
};

green_batch *green_batch_make(size_t capacity, size_t size) {
    green_batch *batch = calloc(1, sizeof(*batch));
    if (!batch) return NULL;
    *batch = (green_batch){
        .capacity = capacity,
        .size = size,
        .datagrams = calloc(capacity, sizeof(green_datagram)),
        .arrivals = calloc(capacity, sizeof(struct mmsghdr)),
        .rooms = calloc(capacity, sizeof(struct iovec)),
        .headers = calloc(capacity, sizeof(struct mmsghdr)),
        .parts = calloc(capacity, sizeof(struct iovec)),
        .counts = calloc(capacity, sizeof(size_t)),
        .controls = calloc(capacity, sizeof(union green_control)),
    };
    uint8_t *bytes = calloc(capacity, size);
    int has_all = bytes && batch->datagrams && batch->arrivals && batch->rooms && batch->headers && batch->parts &&
                  batch->counts && batch->controls;
    if (!has_all) {
        free(bytes);
        if (batch->datagrams) batch->datagrams[0].bytes = NULL;
        green_batch_free(batch);
        return NULL;
    }
    for (size_t i = 0; i < capacity; i++) {
        batch->datagrams[i].bytes = bytes + i * size;
        batch->rooms[i] = (struct iovec){.iov_base = bytes + i * size, .iov_len = size};
        batch->arrivals[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->datagrams[i].address,
            .msg_namelen = sizeof(batch->datagrams[i].address),
            .msg_iov = &batch->rooms[i],
            .msg_iovlen = 1,
            .msg_control = &batch->controls[i],
            .msg_controllen = sizeof(batch->controls[i]),
        };
    }
    return batch;
}

void green_batch_free(green_batch *batch) {
    if (batch->datagrams) free(batch->datagrams[0].bytes);
    free(batch->datagrams);
    free(batch->arrivals);
    free(batch->rooms);
    free(batch->headers);
    free(batch->parts);
    free(batch->counts);
    free(batch->controls);
    free(batch);
}

green_datagram *green_batch_at(green_batch *batch, size_t index) { return &batch->datagrams[index]; }

// What IP_PKTINFO and IPV6_RECVPKTINFO tell.  A multicast address can't be where an answer comes from; of IPv4, the kernel names another one then.
static void note_local(green_datagram *datagram, struct msghdr *message) {
    datagram->local_family = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof(info));
            datagram->local_family = AF_INET;
            memcpy(&datagram->local, &info.ipi_spec_dst, sizeof(info.ipi_spec_dst));
        } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof(info));
            if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) datagram->local_family = AF_INET6;
            datagram->local = info.ipi6_addr;
        }
    }
}

ssize_t green_batch_receive(int socket, green_batch *batch) {
    ssize_t count = RETRYING(recvmmsg(socket, batch->arrivals, (unsigned)batch->capacity, MSG_DONTWAIT, NULL));
    for (ssize_t i = 0; i < count; i++) {
        struct msghdr *header = &batch->arrivals[i].msg_hdr;
        batch->datagrams[i].length = batch->arrivals[i].msg_len;
        batch->datagrams[i].address_length = header->msg_namelen;
        batch->datagrams[i].is_truncated = (header->msg_flags & MSG_TRUNC) != 0;
        note_local(&batch->datagrams[i], header);
        header->msg_namelen = sizeof(batch->datagrams[i].address);
        header->msg_controllen = sizeof(batch->controls[i]);
    }
    return count;
}

// What the kernel takes as one: before Linux 6.9 64 segments, and never more than a datagram's length.
enum { most_segments = 64, most_segment_bytes = 65000 };

static int has_same_ends(const green_datagram *one, const green_datagram *other) {
    size_t local = one->local_family == AF_INET6 ? sizeof(struct in6_addr) : one->local_family == AF_INET ? sizeof(struct in_addr) : 0;
    return one->address_length == other->address_length && memcmp(&one->address, &other->address, one->address_length) == 0 &&
           one->local_family == other->local_family && memcmp(&one->local, &other->local, local) == 0;
}

// How many datagrams from `first` on can go as one: all as long as the first, but for a last one, which may be shorter.
static size_t run_length(const green_batch *batch, size_t first, size_t last) {
    const green_datagram *head = &batch->datagrams[first];
    size_t length = head->length, total = length, count = 1;
    if (length == 0) return 1;
    while (first + count < last && count < most_segments) {
        const green_datagram *next = &batch->datagrams[first + count];
        total += next->length;
        if (next->length == 0 || next->length > length || total > most_segment_bytes || !has_same_ends(head, next)) break;
        count++;
        if (next->length < length) break;
    }
    return count;
}

// Behind what the control part of `message` has already.
static void add_control(struct msghdr *message, int level, int type, const void *data, size_t size) {
    struct cmsghdr *header = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);
    *header = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)};
    memcpy(CMSG_DATA(header), data, size);
    message->msg_controllen += CMSG_SPACE(size);
}

static void add_local(struct msghdr *message, const green_datagram *datagram) {
    if (datagram->local_family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, &datagram->local, sizeof(info.ipi_spec_dst));
        add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (datagram->local_family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr = datagram->local};
        add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

ssize_t green_batch_send(int socket, green_batch *batch, size_t first, size_t last, int segments) {
    size_t messages = 0;
    for (size_t i = first; i < last;) {
        size_t count = segments ? run_length(batch, i, last) : 1;
        for (size_t k = i; k < i + count; k++)
            batch->parts[k] = (struct iovec){.iov_base = batch->datagrams[k].bytes, .iov_len = batch->datagrams[k].length};
        struct msghdr *message = &batch->headers[messages].msg_hdr;
        *message = (struct msghdr){
            .msg_name = &batch->datagrams[i].address,
            .msg_namelen = batch->datagrams[i].address_length,
            .msg_iov = &batch->parts[i],
            .msg_iovlen = count,
            .msg_control = &batch->controls[messages],
        };
        add_local(message, &batch->datagrams[i]);
        uint16_t length = (uint16_t)batch->datagrams[i].length;
        if (count > 1) add_control(message, IPPROTO_UDP, UDP_SEGMENT, &length, sizeof(length));
        batch->counts[messages++] = count;
        i += count;
    }
    ssize_t taken = RETRYING(sendmmsg(socket, batch->headers, (unsigned)messages, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (taken < 0) return taken;
    ssize_t sum = 0;
    for (ssize_t i = 0; i < taken; i++) sum += (ssize_t)batch->counts[i];
    return sum;
}

ssize_t green_receive_from(int socket, void *bytes, size_t size, struct sockaddr *address, socklen_t *length) {
    socklen_t room = *length;
    return RETRYING((*length = room, recvfrom(socket, bytes, size, MSG_DONTWAIT | MSG_TRUNC, address, length)));
}
