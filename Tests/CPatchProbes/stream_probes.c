#include "support.h"

#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static const char *read_hello(pair p) {
    say s = {p.ends[1], "hello"};
    task t;
    char bytes[16];
    start(&t, say_later, &s);
    errno = 77;
    EXPECT(read(p.ends[0], bytes, sizeof bytes) == 5);
    EXPECT(errno == 77 && memcmp(bytes, "hello", 5) == 0);
    join(&t);
    struct iovec parts[2] = {{bytes, 2}, {bytes + 2, 14}};
    start(&t, say_later, &s);
    EXPECT(readv(p.ends[0], parts, 2) == 5);
    join(&t);
    return NULL;
}

const char *probe_read_socket(void) {
    pair p = sockets(SOCK_STREAM);
    const char *failure = read_hello(p);
    close_pair(p);
    return failure;
}

const char *probe_read_pipe(void) {
    pair p = open_pipe();
    const char *failure = read_hello(p);
    if (failure) return failure;
    char byte;
    close(p.ends[1]);
    EXPECT(read(p.ends[0], &byte, 1) == 0);
    close(p.ends[0]);
    return NULL;
}

const char *probe_read_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT(terminal >= 0);
    say s = {master, "hello\n"};
    task t;
    char bytes[16];
    start(&t, say_later, &s);
    EXPECT(read(terminal, bytes, sizeof bytes) == 6);
    join(&t);
    EXPECT(write(terminal, "back", 4) == 4);
    close(terminal), close(master);
    return NULL;
}

const char *probe_files(void) {
    char path[] = "/tmp/patch-probe-XXXXXX", bytes[16];
    int fd = mkstemp(path);
    EXPECT(fd >= 0 && unlink(path) == 0);
    EXPECT(write(fd, "hello", 5) == 5 && lseek(fd, 0, SEEK_SET) == 0);
    EXPECT(read(fd, bytes, sizeof bytes) == 5 && read(fd, bytes, sizeof bytes) == 0);
    struct iovec part = {"more", 4};
    EXPECT(writev(fd, &part, 1) == 4 && lseek(fd, 0, SEEK_CUR) == 9);
    close(fd);
    EXPECT(read(-1, bytes, 1) == -1 && errno == EBADF);
    EXPECT(write(-1, bytes, 1) == -1 && errno == EBADF);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT(read(fd, bytes, 1) == 0 && write(fd, bytes, 16) == 16);
    close(fd);
    return NULL;
}

// Larger than a read that was short because of what was in memory, and of what a device may take for a message.
const char *probe_large_file(void) {
    enum { SIZE = 5 << 20 };
    char path[] = "/tmp/patch-probe-XXXXXX", *bytes = malloc(SIZE);
    int fd = mkstemp(path);
    EXPECT(fd >= 0 && unlink(path) == 0);
    fill(bytes, SIZE);
    EXPECT(write(fd, bytes, SIZE) == SIZE && fdatasync(fd) == 0);
    posix_fadvise(fd, 1 << 20, 2 << 20, POSIX_FADV_DONTNEED);
    memset(bytes, 0, SIZE);
    EXPECT(lseek(fd, 0, SEEK_SET) == 0 && read(fd, bytes, SIZE) == SIZE && is_filled(bytes, SIZE));
    free(bytes);
    close(fd);
    return NULL;
}

const char *probe_read_of_nothing(void) {
    pair p = sockets(SOCK_DGRAM);
    char bytes[16];
    EXPECT(send(p.ends[1], "hello", 5, 0) == 5);
    EXPECT(read(p.ends[0], bytes, 0) == 0);
    EXPECT(read(p.ends[0], bytes, sizeof bytes) == 5);
    close_pair(p);
    return NULL;
}

static void count_up(void *context) {
    poll(NULL, 0, 3);
    eventfd_write(*(int *)context, 3);
}

const char *probe_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t value = 0;
    task t;
    start(&t, count_up, &fd);
    EXPECT(read(fd, &value, sizeof value) == sizeof value && value == 3);
    join(&t);
    close(fd);
    return NULL;
}

const char *probe_timerfd(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    uint64_t value = 0;
    struct itimerspec time = {.it_value = {0, 5000000}};
    timerfd_settime(fd, 0, &time, NULL);
    EXPECT(read(fd, &value, sizeof value) == sizeof value && value == 1);
    close(fd);
    return NULL;
}

const char *probe_sendfile(void) {
    enum { SIZE = 3 << 20 };
    char path[] = "/tmp/patch-probe-XXXXXX", *bytes = malloc(SIZE);
    int fd = mkstemp(path);
    fill(bytes, SIZE);
    EXPECT(fd >= 0 && unlink(path) == 0 && write(fd, bytes, SIZE) == SIZE);
    pair p = sockets(SOCK_STREAM);
    drain d = {p.ends[0], SIZE, 0};
    task t;
    off_t offset = 0;
    start(&t, drain_slowly, &d);
    EXPECT(sendfile(p.ends[1], fd, &offset, SIZE) == SIZE && offset == SIZE);
    join(&t);
    EXPECT(d.is_right);
    EXPECT(!(fcntl(p.ends[1], F_GETFL) & O_NONBLOCK));
    EXPECT(sendfile(p.ends[1], fd, &offset, 1) == 0);  // the end of the file
    free(bytes);
    close(fd);
    close_pair(p);
    return NULL;
}

const char *probe_splice(void) {
    pair p = open_pipe(), q = sockets(SOCK_STREAM);
    say s = {q.ends[1], "hello"};
    task t;
    char bytes[16];
    start(&t, say_later, &s);
    EXPECT(splice(q.ends[0], NULL, p.ends[1], NULL, 100, 0) == 5);  // the socket is empty first
    join(&t);
    EXPECT(read(p.ends[0], bytes, sizeof bytes) == 5);
    s.fd = p.ends[1];
    start(&t, say_later, &s);
    EXPECT(splice(p.ends[0], NULL, q.ends[0], NULL, 100, 0) == 5);  // the pipe is empty first
    join(&t);
    EXPECT(recv(q.ends[1], bytes, sizeof bytes, 0) == 5);
    EXPECT(splice(p.ends[0], NULL, q.ends[0], NULL, 100, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN);
    close_pair(p);
    close_pair(q);
    return NULL;
}
