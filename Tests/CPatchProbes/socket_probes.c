#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/uio.h>
#include <sys/un.h>

static void limit(int fd, int option, int ms) {
    struct timeval time = {ms / 1000, ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, option, &time, sizeof time);
}

// ---- Receiving

const char *probe_recv(void) {
    pair p = sockets(SOCK_STREAM);
    say s = {p.ends[1], "hello"};
    task t;
    char bytes[16];
    start(&t, say_later, &s);
    errno = 77;
    EXPECT(recv(p.ends[0], bytes, sizeof bytes, 0) == 5);
    EXPECT(errno == 77);
    EXPECT(memcmp(bytes, "hello", 5) == 0);
    join(&t);
    close_pair(p);
    return NULL;
}

const char *probe_recvfrom(void) {
    pair p = sockets(SOCK_DGRAM);
    struct sockaddr_un own = {.sun_family = AF_UNIX};  // no name: the kernel chooses one
    struct sockaddr_un address;
    socklen_t length = sizeof address;
    EXPECT(bind(p.ends[1], (struct sockaddr *)&own, sizeof(sa_family_t)) == 0);
    say s = {p.ends[1], "hello"};
    task t;
    char bytes[16];
    start(&t, say_later, &s);
    EXPECT(recvfrom(p.ends[0], bytes, sizeof bytes, 0, (struct sockaddr *)&address, &length) == 5);
    EXPECT(length > sizeof(sa_family_t));
    join(&t);
    close_pair(p);
    return NULL;
}

static void pass_descriptor(void *context) {
    pair *p = context;
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &p->ends[1], sizeof(int));
    poll(NULL, 0, 3);
    if (sendmsg(p->ends[1], &message, 0) != 1) abort();
}

const char *probe_recvmsg(void) {
    pair p = sockets(SOCK_STREAM);
    task t;
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    start(&t, pass_descriptor, &p);
    EXPECT(recvmsg(p.ends[0], &message, 0) == 1);
    EXPECT(message.msg_controllen > 0 && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS);
    int passed;
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof passed);
    EXPECT(close(passed) == 0);
    join(&t);
    close_pair(p);
    return NULL;
}

static void say_three_times(void *context);

const char *probe_recvmmsg(void) {
    enum { COUNT = 3 };
    pair p = sockets(SOCK_DGRAM);
    say s = {p.ends[1], "hello"};
    task t;
    char bytes[COUNT + 1][16];
    struct iovec parts[COUNT + 1];
    struct mmsghdr messages[COUNT + 1] = {0};
    for (int i = 0; i <= COUNT; i++) {
        parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    start(&t, say_three_times, &s);
    errno = 77;
    EXPECT(recvmmsg(p.ends[0], messages, COUNT, 0, NULL) == COUNT && errno == 77);
    for (int i = 0; i < COUNT; i++) EXPECT(messages[i].msg_len == 5 && !memcmp(bytes[i], "hello", 5));
    join(&t);
    start(&t, say_three_times, &s);
    EXPECT(recvmmsg(p.ends[0], messages, COUNT + 1, MSG_WAITFORONE, NULL) >= 1);
    join(&t);
    while (recvmmsg(p.ends[0], messages, COUNT + 1, MSG_DONTWAIT, NULL) > 0) {}
    EXPECT(errno == EAGAIN);
    // Its time is over when the first has come.
    start(&t, say_three_times, &s);
    struct timespec time = {0, 1};
    EXPECT(recvmmsg(p.ends[0], messages, COUNT + 1, 0, &time) >= 1 && time.tv_sec == 0 && time.tv_nsec == 0);
    join(&t);
    limit(p.ends[0], SO_RCVTIMEO, 20);
    while (recvmmsg(p.ends[0], messages, COUNT + 1, 0, NULL) > 0) {}
    EXPECT(errno == EAGAIN);
    close_pair(p);
    return NULL;
}

static void say_three_times(void *context) {
    for (int i = 0; i < 3; i++) say_later(context);
}

const char *probe_wait_for_all(void) {
    pair p = sockets(SOCK_STREAM);
    say s = {p.ends[1], "hello"};
    task t;
    char bytes[16];
    start(&t, say_three_times, &s);
    EXPECT(recv(p.ends[0], bytes, 12, MSG_WAITALL) == 12);
    EXPECT(memcmp(bytes, "hellohellohe", 12) == 0);
    join(&t);
    shutdown(p.ends[1], SHUT_WR);
    EXPECT(recv(p.ends[0], bytes, 12, MSG_WAITALL) == 3);  // what had come before the end
    EXPECT(recv(p.ends[0], bytes, 12, MSG_WAITALL) == 0);
    close_pair(p);
    return NULL;
}

const char *probe_wait_for_all_parts(void) {
    pair p = sockets(SOCK_STREAM);
    say s = {p.ends[1], "hello"};
    task t;
    char first[4], second[9];
    struct iovec parts[2] = {{first, sizeof first}, {second, sizeof second}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    start(&t, say_three_times, &s);
    EXPECT(recvmsg(p.ends[0], &message, MSG_WAITALL) == 13);
    EXPECT(memcmp(first, "hell", 4) == 0 && memcmp(second, "ohellohel", 9) == 0);
    EXPECT(parts[0].iov_base == first && parts[0].iov_len == 4);
    join(&t);
    close_pair(p);
    return NULL;
}

const char *probe_wait_for_all_of_datagram(void) {
    pair p = sockets(SOCK_DGRAM);
    say s = {p.ends[1], "hello"};
    task t;
    char bytes[16];
    start(&t, say_three_times, &s);
    EXPECT(recv(p.ends[0], bytes, sizeof bytes, MSG_WAITALL) == 5);
    join(&t);
    close_pair(p);
    return NULL;
}

const char *probe_receive_limit(void) {
    pair p = sockets(SOCK_STREAM);
    char byte;
    limit(p.ends[0], SO_RCVTIMEO, 20);
    int64_t begin = now_ms();
    EXPECT(recv(p.ends[0], &byte, 1, 0) == -1 && errno == EAGAIN);
    EXPECT(now_ms() - begin >= 19);
    begin = now_ms();
    EXPECT(read(p.ends[0], &byte, 1) == -1 && errno == EAGAIN);
    EXPECT(now_ms() - begin >= 19);
    close_pair(p);
    return NULL;
}

const char *probe_non_blocking(void) {
    pair p = sockets(SOCK_STREAM);
    char byte, *large = calloc(1, 4 << 20);
    EXPECT(recv(p.ends[0], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    fcntl(p.ends[0], F_SETFL, O_NONBLOCK), fcntl(p.ends[1], F_SETFL, O_NONBLOCK);
    EXPECT(recv(p.ends[0], &byte, 1, 0) == -1 && errno == EAGAIN);
    EXPECT(recv(p.ends[0], &byte, 1, MSG_WAITALL) == -1 && errno == EAGAIN);
    EXPECT(read(p.ends[0], &byte, 1) == -1 && errno == EAGAIN);
    ssize_t sent = send(p.ends[1], large, 4 << 20, 0);
    EXPECT(sent > 0 && sent < 4 << 20);
    while (write(p.ends[1], large, 4 << 20) > 0) continue;
    EXPECT(errno == EAGAIN);
    EXPECT(send(p.ends[1], large, 1 << 20, 0) == -1 && errno == EAGAIN);
    free(large);
    close_pair(p);
    return NULL;
}

static void look_at_mode(void *context) {
    pair *p = context;
    poll(NULL, 0, 3);
    char mode = fcntl(p->ends[0], F_GETFL) & O_NONBLOCK ? 'n' : 'b';
    if (write(p->ends[1], &mode, 1) != 1) abort();
}

const char *probe_mode_is_kept(void) {
    pair p = sockets(SOCK_STREAM);
    task t;
    char mode;
    start(&t, look_at_mode, &p);
    EXPECT(recv(p.ends[0], &mode, 1, 0) == 1 && mode == 'b');
    join(&t);
    close_pair(p);
    return NULL;
}

// ---- Sending

enum { LARGE = 3 << 20 };

static const char *send_large(int type, ssize_t (*send_it)(int fd, char *bytes, size_t size)) {
    pair p = type ? sockets(type) : open_pipe();
    char *bytes = malloc(LARGE);
    drain d = {p.ends[0], LARGE, 0};
    task t;
    fill(bytes, LARGE);
    start(&t, drain_slowly, &d);
    errno = 77;
    EXPECT(send_it(p.ends[1], bytes, LARGE) == LARGE);
    EXPECT(errno == 77);
    join(&t);
    EXPECT(d.is_right);
    free(bytes);
    close_pair(p);
    return NULL;
}

static ssize_t by_send(int fd, char *bytes, size_t size) { return send(fd, bytes, size, 0); }
static ssize_t by_write(int fd, char *bytes, size_t size) { return write(fd, bytes, size); }
static ssize_t by_writev(int fd, char *bytes, size_t size) {
    struct iovec parts[3] = {{bytes, 1}, {bytes + 1, size / 2}, {bytes + 1 + size / 2, size - size / 2 - 1}};
    return writev(fd, parts, 3);
}
static ssize_t by_sendmsg(int fd, char *bytes, size_t size) {
    struct iovec parts[3] = {{bytes, 1}, {bytes + 1, size / 2}, {bytes + 1 + size / 2, size - size / 2 - 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    return sendmsg(fd, &message, 0);
}
const char *probe_send_large(void) { return send_large(SOCK_STREAM, by_send); }
const char *probe_sendmsg_large(void) { return send_large(SOCK_STREAM, by_sendmsg); }
const char *probe_write_large(void) { return send_large(SOCK_STREAM, by_write); }
const char *probe_writev_large(void) { return send_large(SOCK_STREAM, by_writev); }
const char *probe_write_large_to_pipe(void) { return send_large(0, by_write); }
const char *probe_writev_large_to_pipe(void) { return send_large(0, by_writev); }

// Receives all, and counts the descriptors that come with it.
typedef struct collector { int fd, descriptors; size_t size; } collector;
static void collect(void *context) {
    collector *c = context;
    char *bytes = malloc(50000), control[CMSG_SPACE(sizeof(int))];
    for (size_t got = 0; got < c->size;) {
        struct iovec part = {bytes, 50000};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(c->fd, &message, 0);
        if (n <= 0) abort();
        got += (size_t)n;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (!header) continue;
        c->descriptors++;
        int passed;
        memcpy(&passed, CMSG_DATA(header), sizeof passed);
        close(passed);
    }
    free(bytes);
}

const char *probe_pass_descriptor_with_large(void) {
    pair p = sockets(SOCK_STREAM);
    char *bytes = calloc(1, LARGE), control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {bytes, LARGE};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &p.ends[0], sizeof(int));
    collector c = {p.ends[0], 0, LARGE};
    task t;
    start(&t, collect, &c);
    EXPECT(sendmsg(p.ends[1], &message, 0) == LARGE);
    EXPECT(message.msg_iov == &part && message.msg_iovlen == 1 && message.msg_controllen == sizeof control);
    join(&t);
    EXPECT(c.descriptors == 1);
    free(bytes);
    close_pair(p);
    return NULL;
}

const char *probe_send_limit(void) {
    pair p = sockets(SOCK_STREAM);
    char *large = calloc(1, LARGE);
    limit(p.ends[1], SO_SNDTIMEO, 20);
    int64_t begin = now_ms();
    ssize_t sent = send(p.ends[1], large, LARGE, 0);
    EXPECT(sent > 0 && sent < LARGE && now_ms() - begin >= 19);
    EXPECT(send(p.ends[1], large, LARGE, 0) == -1 && errno == EAGAIN);
    EXPECT(write(p.ends[1], large, LARGE) == -1 && errno == EAGAIN);
    free(large);
    close_pair(p);
    return NULL;
}

// ---- Connecting and accepting

static int listen_here(struct sockaddr_in *address) {
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)address, length) < 0 || listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *)address, &length) < 0) abort();
    return fd;
}

static void connect_later(void *context) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    poll(NULL, 0, 3);
    if (connect(fd, context, sizeof(struct sockaddr_in)) < 0 || send(fd, "hi", 2, 0) != 2) abort();
    close(fd);
}

const char *probe_accept(void) {
    struct sockaddr_in address, peer;
    socklen_t length = sizeof peer;
    int listener = listen_here(&address), connection;
    char bytes[4];
    task t;
    start(&t, connect_later, &address);
    EXPECT((connection = accept(listener, (struct sockaddr *)&peer, &length)) >= 0);
    EXPECT(!(fcntl(listener, F_GETFL) & O_NONBLOCK) && !(fcntl(connection, F_GETFL) & O_NONBLOCK));
    EXPECT(length == sizeof peer && peer.sin_family == AF_INET);
    EXPECT(recv(connection, bytes, 4, MSG_WAITALL) == 2);
    join(&t);
    close(connection);
    start(&t, connect_later, &address);
    EXPECT((connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    EXPECT(fcntl(connection, F_GETFL) & O_NONBLOCK);
    join(&t);
    close(connection), close(listener);
    return NULL;
}

const char *probe_connect_refused(void) {
    struct sockaddr_in address;
    int listener = listen_here(&address), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    close(listener);
    EXPECT(connect(fd, (struct sockaddr *)&address, sizeof address) == -1 && errno == ECONNREFUSED);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EXPECT(connect(fd, (struct sockaddr *)&address, sizeof address) == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    close(fd);
    return NULL;
}

typedef struct full_listener { struct sockaddr_un address; socklen_t length; int listener, first; } full_listener;

static full_listener make_full(void) {
    full_listener f = {.address = {.sun_family = AF_UNIX}, .length = sizeof f.address};
    f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f.listener, (struct sockaddr *)&f.address, sizeof(sa_family_t)) < 0 || listen(f.listener, 0) < 0) abort();
    getsockname(f.listener, (struct sockaddr *)&f.address, &f.length);
    f.first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(f.first, (struct sockaddr *)&f.address, f.length) < 0) abort();
    return f;
}

static void accept_later(void *context) {
    poll(NULL, 0, 5);
    close(accept(((full_listener *)context)->listener, NULL, NULL));
}

const char *probe_connect_to_full_listener(void) {
    full_listener f = make_full();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    limit(fd, SO_SNDTIMEO, 20);
    EXPECT(connect(fd, (struct sockaddr *)&f.address, f.length) == -1 && errno == EAGAIN);
    task t;
    start(&t, accept_later, &f);
    limit(fd, SO_SNDTIMEO, 0);
    EXPECT(connect(fd, (struct sockaddr *)&f.address, f.length) == 0);
    join(&t);
    close(fd), close(f.first), close(f.listener);
    return NULL;
}

// ---- Closing

typedef struct closing { int fd, by_dup; } closing;
static void close_later(void *context) {
    closing *c = context;
    poll(NULL, 0, 3);
    if (!c->by_dup) close(c->fd);
    else dup2(c->by_dup, c->fd);
}

const char *probe_close_ends_a_wait(void) {
    pair p = sockets(SOCK_STREAM);
    closing c = {p.ends[0], 0};
    char byte;
    task t;
    start(&t, close_later, &c);
    EXPECT(recv(p.ends[0], &byte, 1, 0) == -1 && errno == EBADF);
    join(&t);
    close(p.ends[1]);
    p = sockets(SOCK_STREAM);
    c = (closing){p.ends[0], 0};
    struct pollfd wanted = {p.ends[0], POLLIN, 0};
    start(&t, close_later, &c);
    EXPECT(poll(&wanted, 1, -1) == 1 && wanted.revents == POLLNVAL);
    join(&t);
    close(p.ends[1]);
    return NULL;
}

const char *probe_dup2_ends_a_wait(void) {
    pair p = sockets(SOCK_STREAM);
    closing c = {p.ends[0], open("/dev/null", O_RDWR | O_CLOEXEC)};
    char byte;
    task t;
    start(&t, close_later, &c);
    EXPECT(recv(p.ends[0], &byte, 1, 0) == -1 && errno == EBADF);
    join(&t);
    close(c.by_dup);
    close_pair(p);
    return NULL;
}

const char *probe_close_of_a_copy(void) {
    pair p = sockets(SOCK_STREAM);
    closing c = {dup(p.ends[0]), 0};
    say s = {p.ends[1], "x"};
    char byte;
    task closer, speaker;
    start(&closer, close_later, &c);
    start(&speaker, say_later, &s);
    EXPECT(recv(p.ends[0], &byte, 1, 0) == 1);
    join(&closer), join(&speaker);
    close_pair(p);
    return NULL;
}

const char *probe_reused_number(void) {
    pair p = open_pipe();
    int number = p.ends[0];
    say s = {p.ends[1], "x"};
    char bytes[8];
    task t;
    start(&t, say_later, &s);
    EXPECT(read(number, bytes, 1) == 1);
    join(&t);
    close_pair(p);
    pair q = sockets(SOCK_STREAM);
    EXPECT(dup2(q.ends[0], number) == number);
    s = (say){q.ends[1], "hello"};
    start(&t, say_later, &s);
    EXPECT(read(number, bytes, 8) == 5);
    join(&t);
    if (number != q.ends[0] && number != q.ends[1]) close(number);
    close_pair(q);
    return NULL;
}

// ---- Several messages

static const char *send_messages(int type, size_t size) {
    enum { COUNT = 40 };
    pair p = sockets(type);
    char *bytes = malloc(COUNT * size);
    fill(bytes, COUNT * size);
    struct iovec parts[COUNT];
    struct mmsghdr messages[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) {
        parts[i] = (struct iovec){bytes + (size_t)i * size, size};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    drain d = {p.ends[0], COUNT * size, 0};
    task t;
    start(&t, drain_slowly, &d);
    errno = 77;
    EXPECT(sendmmsg(p.ends[1], messages, COUNT, 0) == COUNT && errno == 77);
    for (int i = 0; i < COUNT; i++) EXPECT(messages[i].msg_len == size);
    join(&t);
    EXPECT(d.is_right);
    EXPECT(sendmmsg(-1, messages, COUNT, 0) == -1 && errno == EBADF);
    free(bytes);
    close_pair(p);
    return NULL;
}

const char *probe_sendmmsg(void) {
    const char *failure = send_messages(SOCK_STREAM, 20000);
    return failure ? failure : send_messages(SOCK_SEQPACKET, 1000);
}
