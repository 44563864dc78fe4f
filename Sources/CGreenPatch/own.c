// The C library's own calls, to which ours pass on what they do not park for.
//
// Found by dlsym, so that pthread_cancel still ends them and other preloaded libraries still see them.  Until then, and in a static executable, where
// dlsym finds nothing, they are system calls.

#include "patch.h"

#include <dlfcn.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

// ---- As system calls.  Only those that x86-64 and AArch64 both have.

static int raw_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    return (int)syscall(SYS_accept4, fd, address, length, flags);
}
static int raw_accept(int fd, struct sockaddr *address, socklen_t *length) { return raw_accept4(fd, address, length, 0); }
static int raw_close(int fd) { return (int)syscall(SYS_close, fd); }
static int raw_connect(int fd, const struct sockaddr *address, socklen_t length) { return (int)syscall(SYS_connect, fd, address, length); }
static int raw_dup3(int from, int to, int flags) { return (int)syscall(SYS_dup3, from, to, flags); }
static int raw_dup2(int from, int to) {
    if (from == to) return syscall(SYS_fcntl, from, F_GETFD) < 0 ? -1 : to;
    return raw_dup3(from, to, 0);
}
static int raw_fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return (int)syscall(SYS_fcntl, fd, command, argument);
}
#define raw_fcntl64 raw_fcntl
static int raw_ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    return (int)syscall(SYS_ioctl, fd, request, argument);
}
static int raw_setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
    return (int)syscall(SYS_setsockopt, fd, level, option, value, length);
}
static int raw_flock(int fd, int operation) { return (int)syscall(SYS_flock, fd, operation); }

static int raw_lockf(int fd, int command, off_t length) {
    struct flock lock = {.l_type = command == F_ULOCK ? F_UNLCK : F_WRLCK, .l_whence = SEEK_CUR, .l_len = length};
    if (command != F_TEST) return raw_fcntl(fd, command == F_LOCK ? F_SETLKW : F_SETLK, &lock);
    if (raw_fcntl(fd, F_GETLK, &lock) < 0) return -1;
    return lock.l_type == F_UNLCK || lock.l_pid == getpid() ? 0 : patch_fail(EACCES);
}
#define raw_lockf64 raw_lockf

static int raw_clock_nanosleep(clockid_t clock, int flags, const struct timespec *length, struct timespec *left) {
    return syscall(SYS_clock_nanosleep, clock, flags, length, left) < 0 ? errno : 0;
}
static int raw_nanosleep(const struct timespec *length, struct timespec *left) { return (int)syscall(SYS_nanosleep, length, left); }
static int raw_thrd_sleep(const struct timespec *length, struct timespec *left) {
    return raw_nanosleep(length, left) == 0 ? 0 : errno == EINTR ? -1 : -2;
}
static int raw_usleep(useconds_t length) {
    struct timespec time = {length / 1000000, length % 1000000 * 1000};
    return raw_nanosleep(&time, NULL);
}
static unsigned raw_sleep(unsigned seconds) {
    struct timespec time = {seconds, 0};
    return raw_nanosleep(&time, &time) == 0 ? 0 : (unsigned)time.tv_sec;
}

enum { SIGNAL_SET_SIZE = 8 };  // the kernel's sigset_t

static int raw_ppoll(struct pollfd *wanted, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
    struct timespec copy = timeout ? *timeout : (struct timespec){0};  // the kernel stores what is left
    return (int)syscall(SYS_ppoll, wanted, count, timeout ? &copy : NULL, mask, SIGNAL_SET_SIZE);
}
static int raw_poll(struct pollfd *wanted, nfds_t count, int timeout) {
    struct timespec time = {timeout / 1000, timeout % 1000 * 1000000};
    return raw_ppoll(wanted, count, timeout < 0 ? NULL : &time, NULL);
}
static int raw_pselect(int count, fd_set *in, fd_set *out, fd_set *urgent, const struct timespec *timeout, const sigset_t *mask) {
    struct timespec copy = timeout ? *timeout : (struct timespec){0};
    struct { const sigset_t *mask; size_t size; } signals = {mask, SIGNAL_SET_SIZE};
    return (int)syscall(SYS_pselect6, count, in, out, urgent, timeout ? &copy : NULL, &signals);
}
static int raw_select(int count, fd_set *in, fd_set *out, fd_set *urgent, struct timeval *timeout) {
    struct timespec time = timeout ? (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000} : (struct timespec){0};
    int result = (int)syscall(SYS_pselect6, count, in, out, urgent, timeout ? &time : NULL, NULL);
    if (timeout) *timeout = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
    return result;
}
static int raw_epoll_pwait(int set, struct epoll_event *events, int room, int timeout, const sigset_t *mask) {
    return (int)syscall(SYS_epoll_pwait, set, events, room, timeout, mask, SIGNAL_SET_SIZE);
}
static int raw_epoll_wait(int set, struct epoll_event *events, int room, int timeout) { return raw_epoll_pwait(set, events, room, timeout, NULL); }

#if __GLIBC_PREREQ(2, 35)
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
static int raw_epoll_pwait2(int set, struct epoll_event *events, int room, const struct timespec *timeout, const sigset_t *mask) {
    return (int)syscall(SYS_epoll_pwait2, set, events, room, timeout, mask, SIGNAL_SET_SIZE);
}
#endif

static ssize_t raw_read(int fd, void *bytes, size_t size) { return syscall(SYS_read, fd, bytes, size); }
static ssize_t raw_readv(int fd, const struct iovec *parts, int count) { return syscall(SYS_readv, fd, parts, (long)count); }
static ssize_t raw_write(int fd, const void *bytes, size_t size) { return syscall(SYS_write, fd, bytes, size); }
static ssize_t raw_writev(int fd, const struct iovec *parts, int count) { return syscall(SYS_writev, fd, parts, (long)count); }
static ssize_t raw_recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length) {
    return syscall(SYS_recvfrom, fd, bytes, size, flags, address, length);
}
static ssize_t raw_recv(int fd, void *bytes, size_t size, int flags) { return raw_recvfrom(fd, bytes, size, flags, NULL, NULL); }
static ssize_t raw_recvmsg(int fd, struct msghdr *message, int flags) { return syscall(SYS_recvmsg, fd, message, flags); }
static ssize_t raw_sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
    return syscall(SYS_sendto, fd, bytes, size, flags, address, length);
}
static ssize_t raw_send(int fd, const void *bytes, size_t size, int flags) { return raw_sendto(fd, bytes, size, flags, NULL, 0); }
static ssize_t raw_sendmsg(int fd, const struct msghdr *message, int flags) { return syscall(SYS_sendmsg, fd, message, flags); }
static int raw_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
    return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}
static int raw_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
    return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}
static ssize_t raw_sendfile(int to, int from, off_t *offset, size_t size) { return syscall(SYS_sendfile, to, from, offset, size); }
#define raw_sendfile64 raw_sendfile
static ssize_t raw_splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags) {
    return syscall(SYS_splice, from, from_offset, to, to_offset, size, flags);
}

static pid_t raw_wait4(pid_t pid, int *status, int options, struct rusage *usage) {
    return (pid_t)syscall(SYS_wait4, pid, status, options, usage);
}
static pid_t raw_waitpid(pid_t pid, int *status, int options) { return raw_wait4(pid, status, options, NULL); }
static pid_t raw_wait3(int *status, int options, struct rusage *usage) { return raw_wait4(-1, status, options, usage); }
static pid_t raw_wait(int *status) { return raw_wait4(-1, status, 0, NULL); }
static int raw_waitid(idtype_t type, id_t id, siginfo_t *info, int options) { return (int)syscall(SYS_waitid, type, id, info, options, NULL); }

// Without the signals that the C library's blocks meanwhile.
static int raw_system(const char *command) {
    char *words[] = {"sh", "-c", (char *)command, NULL};
    pid_t pid;
    int status, error = command ? posix_spawn(&pid, "/bin/sh", NULL, NULL, words, environ) : 0;
    if (!command) return 1;
    if (error) return patch_fail(error);
    return raw_waitpid(pid, &status, 0) == pid ? status : -1;
}

// Called before any constructor.  Those with two underscores are a static executable's only.
#define RAW_MUTEX(name) \
    extern int __pthread_mutex_##name(pthread_mutex_t *mutex) __attribute__((weak)); \
    static int raw_pthread_mutex_##name(pthread_mutex_t *mutex) { \
        if (__pthread_mutex_##name) return __pthread_mutex_##name(mutex); \
        find_own(); \
        return own_pthread_mutex_##name(mutex); \
    }
static void find_own(void);
RAW_MUTEX(lock)
RAW_MUTEX(trylock)
RAW_MUTEX(unlock)

static int raw_pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *end) {
    find_own();
    if (own_pthread_mutex_timedlock != raw_pthread_mutex_timedlock) return own_pthread_mutex_timedlock(mutex, end);
    int result;
    while ((result = raw_pthread_mutex_trylock(mutex)) == EBUSY) {
        struct timespec now, pause = {0, 1000000};
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec)) return ETIMEDOUT;
        raw_nanosleep(&pause, NULL);
    }
    return result;
}

extern int _IO_fclose(FILE *file);  // the same under a name that is not patched
#define raw_fclose _IO_fclose
#define raw_pclose _IO_fclose  // what the C library's does

#if __GLIBC_PREREQ(2, 34)
static int raw_close_range(unsigned first, unsigned last, int flags) { return (int)syscall(SYS_close_range, first, last, flags); }
static void raw_closefrom(int first) { raw_close_range((unsigned)first, ~0u, 0); }
#endif

#define DEFINE_RAW(name) __typeof__(&name) own_##name = raw_##name;
KERNEL_CALLS(DEFINE_RAW)
NEWER_CALLS(DEFINE_RAW)
#define DEFINE_NULL(name) __typeof__(&name) own_##name;
LIBRARY_CALLS(DEFINE_NULL)

// ---- As the C library makes them

// A sanitizer's, which this target's definitions would else replace.
#define DECLARE_INTERCEPTOR(name) extern __typeof__(name) __interceptor_##name __attribute__((weak));
CALLS(DECLARE_INTERCEPTOR)

// Before any other constructor of the program.
__attribute__((constructor(101))) static void find_own(void) {
#define FIND(name) \
    do { \
        void *found = __interceptor_##name ? (void *)__interceptor_##name : dlsym(RTLD_NEXT, #name); \
        if (found) own_##name = (__typeof__(&name))found; \
    } while (0);
    CALLS(FIND)
}
