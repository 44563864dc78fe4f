// Preloaded into a program under test: makes its calls of the C library fail, or move fewer bytes than they could, as a test asks.
//
// The test creates the file that FAULT_SHIM names, with a record for each call, and may change it at any time; the program and its children
// map it, and count their calls in it.  Without the variable every call is passed on.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

// The layout is the tests'.
struct record {
    char name[32];
    _Atomic int32_t made;   // calls so far, by all processes
    _Atomic int32_t first;  // the number of the first call that fails, from 1; 0: no call fails
    _Atomic int32_t last;
    _Atomic int32_t every;  // of the calls from `first` to `last`, each `every`th
    _Atomic int32_t error;
    _Atomic int32_t largest;  // bytes that a call moves at most; 0: any number, -1: a random one
    _Atomic int32_t known;    // set here
    int32_t unused;
};

#define CALLS(X) \
    X(accept4) X(bind) X(close) X(close_range) X(connect) X(epoll_create) X(epoll_create1) X(epoll_ctl) X(epoll_wait) \
    X(eventfd) X(fcntl) X(fork) X(getpeername) X(getsockname) X(getsockopt) X(green_lock_held) X(ioctl) X(listen) X(madvise) X(mmap) \
    X(mprotect) X(open) X(opendir) X(pipe) X(poll) X(ppoll) X(pselect) X(pthread_create) X(pwritev2) X(read) X(recv) X(send) \
    X(sendmsg) X(sendto) X(setsockopt) X(shutdown) X(socket) X(timerfd_create) X(unlink) X(waitpid) X(write)

#define NUMBER(name) CALL_##name,
enum { CALLS(NUMBER) CALL_COUNT };
#define NAME(name) #name,
static const char *const names[] = {CALLS(NAME)};

static struct record *_Atomic records[CALL_COUNT];
static void *_Atomic originals[CALL_COUNT];

static void *original(int call) {
    if (!originals[call]) originals[call] = dlsym(RTLD_NEXT, names[call]);
    return originals[call];
}
#define ORIGINAL(name) ((__typeof__(&name))original(CALL_##name))

static void adopt(struct record *record) {
    for (int call = 0; call < CALL_COUNT; call++) {
        if (strcmp(record->name, names[call]) != 0) continue;
        record->known = 1;
        records[call] = record;
    }
}

// Uses raw system calls, since calls of the C library are counted.
__attribute__((constructor)) static void map_records(void) {
    const char *path = getenv("FAULT_SHIM");
    if (!path) return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    struct stat status;
    if (fstat(file, &status) == 0) {
        void *start = (void *)syscall(SYS_mmap, NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0L);
        size_t count = start == MAP_FAILED ? 0 : (size_t)status.st_size / sizeof(struct record);
        for (size_t i = 0; i < count; i++) adopt((struct record *)start + i);
    }
    syscall(SYS_close, file);
}

// Returns the errno with which this call must fail, or 0; and its number.
static int fault_of(int call, int *number) {
    struct record *record = records[call];
    if (!record) return 0;
    *number = atomic_fetch_add(&record->made, 1) + 1;
    int first = record->first;
    if (first == 0 || *number < first || *number > record->last) return 0;
    return (*number - first) % record->every == 0 ? record->error : 0;
}

static int fault(int call) {
    int number;
    return fault_of(call, &number);
}

static size_t length(int call, int number, size_t wanted) {
    struct record *record = records[call];
    int largest = record ? record->largest : 0;
    if (largest == 0 || wanted == 0) return wanted;
    if (largest > 0) return wanted < (size_t)largest ? wanted : (size_t)largest;
    return 1 + (uint32_t)number * 2654435761u % wanted;
}

#define FAIL(error, result) return errno = (error), (result)

#define WRAP(type, name, failure, parameters, arguments) \
    type name parameters { \
        int error = fault(CALL_##name); \
        if (error) FAIL(error, failure); \
        return ORIGINAL(name) arguments; \
    }

// A call that a signal interrupts has had its effect all the same.
#define WRAP_DONE(type, name, parameters, arguments) \
    type name parameters { \
        int error = fault(CALL_##name); \
        if (error && error != EINTR) FAIL(error, -1); \
        type result = ORIGINAL(name) arguments; \
        if (error && result >= 0) FAIL(error, -1); \
        return result; \
    }

// Calls that move bytes, and may move fewer.
#define WRAP_LENGTH(name, parameters, arguments) \
    ssize_t name parameters { \
        int number = 0; \
        int error = fault_of(CALL_##name, &number); \
        if (error) FAIL(error, -1); \
        count = length(CALL_##name, number, count); \
        return ORIGINAL(name) arguments; \
    }

#define ADDRESS struct sockaddr *restrict

WRAP(int, accept4, -1, (int d, ADDRESS address, socklen_t *restrict size, int flags), (d, address, size, flags))
WRAP(int, bind, -1, (int d, const struct sockaddr *address, socklen_t size), (d, address, size))
WRAP_DONE(int, close, (int d), (d))
WRAP(int, close_range, -1, (unsigned first, unsigned last, int flags), (first, last, flags))
WRAP_DONE(int, connect, (int d, const struct sockaddr *address, socklen_t size), (d, address, size))
WRAP(int, epoll_create, -1, (int size), (size))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int set, int what, int d, struct epoll_event *event), (set, what, d, event))
WRAP(int, epoll_wait, -1, (int set, struct epoll_event *events, int count, int time), (set, events, count, time))
WRAP(int, eventfd, -1, (unsigned value, int flags), (value, flags))
WRAP(pid_t, fork, -1, (void), ())
WRAP(int, getpeername, -1, (int d, ADDRESS address, socklen_t *restrict size), (d, address, size))
WRAP(int, getsockname, -1, (int d, ADDRESS address, socklen_t *restrict size), (d, address, size))
WRAP(int, getsockopt, -1, (int d, int level, int name, void *restrict value, socklen_t *restrict size),
     (d, level, name, value, size))
WRAP(int, listen, -1, (int d, int backlog), (d, backlog))
WRAP(int, madvise, -1, (void *start, size_t size, int advice), (start, size, advice))
WRAP(int, mprotect, -1, (void *start, size_t size, int allowed), (start, size, allowed))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(int, pipe, -1, (int ends[2]), (ends))
WRAP(int, poll, -1, (struct pollfd *wanted, nfds_t count, int time), (wanted, count, time))
WRAP(int, ppoll, -1, (struct pollfd *wanted, nfds_t count, const struct timespec *time, const sigset_t *mask),
     (wanted, count, time, mask))
WRAP(int, pselect, -1,
     (int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict bad, const struct timespec *restrict time,
      const sigset_t *restrict mask),
     (count, in, out, bad, time, mask))
WRAP(ssize_t, pwritev2, -1, (int d, const struct iovec *parts, int count, off_t offset, int flags),
     (d, parts, count, offset, flags))
WRAP_LENGTH(read, (int d, void *bytes, size_t count), (d, bytes, count))
WRAP_LENGTH(recv, (int d, void *bytes, size_t count, int flags), (d, bytes, count, flags))
WRAP_LENGTH(send, (int d, const void *bytes, size_t count, int flags), (d, bytes, count, flags))
WRAP(ssize_t, sendmsg, -1, (int d, const struct msghdr *message, int flags), (d, message, flags))
WRAP(ssize_t, sendto, -1,
     (int d, const void *bytes, size_t count, int flags, const struct sockaddr *address, socklen_t size),
     (d, bytes, count, flags, address, size))
WRAP(int, setsockopt, -1, (int d, int level, int name, const void *value, socklen_t size), (d, level, name, value, size))
WRAP(int, shutdown, -1, (int d, int how), (d, how))
WRAP(int, socket, -1, (int family, int type, int protocol), (family, type, protocol))
WRAP(int, timerfd_create, -1, (clockid_t clock, int flags), (clock, flags))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(pid_t, waitpid, -1, (pid_t pid, int *status, int options), (pid, status, options))
WRAP_LENGTH(write, (int d, const void *bytes, size_t count), (d, bytes, count))

// The server calls it, if it is there, while it holds the lock of its limits.
void green_lock_held(void) {
    int signal = fault(CALL_green_lock_held);
    if (signal) syscall(SYS_kill, syscall(SYS_getpid), signal);
}

// The program sees FAULT_DESCRIPTOR_LIMIT as its soft and hard limit.
static int pretends_limit(int resource, rlim_t *limit) {
    const char *text = resource == RLIMIT_NOFILE ? getenv("FAULT_DESCRIPTOR_LIMIT") : NULL;
    if (text) *limit = strtoull(text, NULL, 10);
    return text != NULL;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
    rlim_t pretended;
    if (!pretends_limit((int)resource, &pretended)) return (int)syscall(SYS_prlimit64, 0, resource, NULL, limit);
    limit->rlim_cur = limit->rlim_max = pretended;
    return 0;
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
    rlim_t pretended;
    if (pretends_limit((int)resource, &pretended)) return 0;
    return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

// This call returns its error instead of setting errno.
int pthread_create(
    pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*body)(void *), void *restrict argument) {
    int error = fault(CALL_pthread_create);
    return error ? error : ORIGINAL(pthread_create)(thread, attributes, body, argument);
}

// The dynamic linker may call it before symbols can be looked up.
void *mmap(void *start, size_t size, int allowed, int flags, int d, off_t offset) {
    int error = fault(CALL_mmap);
    if (error) FAIL(error, MAP_FAILED);
    return (void *)syscall(SYS_mmap, start, size, allowed, flags, d, offset);
}

// The third argument is a number or an address, or nothing.
int fcntl(int d, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int error = fault(CALL_fcntl);
    if (error) FAIL(error, -1);
    return ORIGINAL(fcntl)(d, command, argument);
}

int ioctl(int d, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int error = fault(CALL_ioctl);
    if (error) FAIL(error, -1);
    return ORIGINAL(ioctl)(d, request, argument);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    int error = fault(CALL_open);
    if (error) FAIL(error, -1);
    return ORIGINAL(open)(path, flags, mode);
}

// Newer headers give these calls other names.
int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit) __attribute__((alias("getrlimit")));
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit) __attribute__((alias("setrlimit")));
int fcntl64(int d, int command, ...) __attribute__((alias("fcntl")));
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
