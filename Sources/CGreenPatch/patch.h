// What the files of this target share: the gate, the C library's own calls, and waiting.

#ifndef PATCH_H
#define PATCH_H

#define _GNU_SOURCE
#undef _FORTIFY_SOURCE  // else <unistd.h> and the like define some of the names inline

#include "CGreenPatch.h"
#include "CSwitch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

// ---- The table of calls.  A name that is missing here is neither found nor checked.

// What the kernel has, or can be made of what it has.
#define KERNEL_CALLS(X) \
    X(accept) X(accept4) X(clock_nanosleep) X(close) X(connect) X(dup2) X(dup3) X(epoll_pwait) X(epoll_wait) X(fclose) X(fcntl) \
    X(fcntl64) X(flock) X(ioctl) X(lockf) X(lockf64) X(nanosleep) X(pclose) X(poll) X(ppoll) X(pselect) X(pthread_mutex_lock) X(pthread_mutex_timedlock) \
    X(pthread_mutex_trylock) X(pthread_mutex_unlock) X(read) X(readv) X(recv) X(recvfrom) X(recvmmsg) X(recvmsg) X(select) \
    X(send) X(sendfile) X(sendfile64) X(sendmmsg) X(sendmsg) X(sendto) X(setsockopt) X(sleep) X(splice) X(system) X(thrd_sleep) X(usleep) X(wait) X(wait3) X(wait4) \
    X(waitid) X(waitpid) X(write) X(writev)

#if __GLIBC_PREREQ(2, 35)
#define NEWER_CALLS(X) X(close_range) X(closefrom) X(epoll_pwait2)
#elif __GLIBC_PREREQ(2, 34)
#define NEWER_CALLS(X) X(close_range) X(closefrom)
#else
#define NEWER_CALLS(X)
#endif

// What only the C library has: null in a static executable.
#define LIBRARY_CALLS(X) \
    X(getaddrinfo) X(getgrgid) X(getgrgid_r) X(getgrnam) X(getgrnam_r) X(gethostbyaddr) X(gethostbyaddr_r) X(gethostbyname) \
    X(gethostbyname2) X(gethostbyname2_r) X(gethostbyname_r) X(getnameinfo) X(getpwnam) X(getpwnam_r) X(getpwuid) X(getpwuid_r)

#define CALLS(X) KERNEL_CALLS(X) NEWER_CALLS(X) LIBRARY_CALLS(X)

#define DECLARE_OWN(name) extern __typeof__(&name) own_##name;
CALLS(DECLARE_OWN)

// ---- The gate

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

// Defines a call.  Off the hub it is a load, a test and a jump; what the other half needs to save must not be saved there, hence two functions.
#define PATCH(type, name, parameters, arguments) PATCH_IF(1, type, name, parameters, arguments)

// The same, for a call that `option` has to allow.
#define PATCH_IF(option, type, name, parameters, arguments) \
    __attribute__((noinline)) static type green_##name parameters; \
    type name parameters { \
        if (LIKELY(!green_running_ || !(option))) return own_##name arguments; \
        return green_##name arguments; \
    } \
    static type green_##name parameters

/// The running green thread if this call may park it, else null: the call is the C library's then.
green_thread *patch_caller(void);

extern green_patch_hooks patch_hooks;
extern _Atomic int patch_mutexes;  // whether install() was asked for them

// ---- Waiting.  All times are in nanoseconds of the monotonic clock; INT64_MAX is never.

int64_t patch_now(void);
int64_t patch_after(int64_t ns);
int64_t patch_of_timespec(const struct timespec *t);
static inline int patch_is_valid(const struct timespec *t) { return t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < 1000000000; }
int64_t patch_of_timeval(const struct timeval *t);

/// -1 with `number` in errno.
static inline int patch_fail(int number) { errno = number; return -1; }

/// Gives the other green threads a turn now and then.  Returns 0 or ECANCELED; before the call does anything, so that no result is lost.
enum { PATCH_OPS_PER_TURN = 16 };
static inline int patch_turn(green_thread *thread) {
    int patch_end_turn(void);
    return LIKELY(++thread->ops_since_wait < PATCH_OPS_PER_TURN) ? 0 : patch_end_turn();
}

/// Parks until one of `wanted` may be ready; none was a moment ago.  Returns what the hook `wait` returns.
int patch_wait(green_thread *thread, struct pollfd *wanted, nfds_t count, int64_t deadline);
int patch_wait_one(green_thread *thread, int fd, short events, int64_t deadline);
int patch_sleep(int64_t deadline);  // 0 at the deadline, else ECANCELED

/// Of each descriptor below this number, something is known until it is closed.
enum { PATCH_KNOWN = 1 << 16 };

/// To be called before `fd` is closed: ends the waits for it on this OS thread.
void patch_closes(int fd);

/// Calls `work(record)` on another OS thread and waits for its end.  `record` is from malloc, and owned by the pool and the caller: whichever comes last
/// to `patch_release` calls `end` and frees it.  So a caller that is killed leaves at once.  Returns 0, ECANCELED or EAGAIN.
typedef struct patch_record {
    void (*work)(struct patch_record *record);
    void (*end)(struct patch_record *record);
    int number;  // errno of the work
    _Atomic int owners;
} patch_record;
int patch_offload(patch_record *record);
void patch_release(void *record);

/// Files never make a caller park.  OTHER are event descriptors, timers, devices and so on.
typedef enum patch_kind { PATCH_FILE, PATCH_SOCKET, PATCH_PIPE, PATCH_TERMINAL, PATCH_OTHER } patch_kind;
/// Asked of the kernel once for each number, until that is closed.  Keeps errno.
patch_kind patch_kind_of(int fd);

/// Whether `fd` is in blocking mode.  Keeps errno.
int patch_blocks(int fd);
/// For a call that has no flag to return at once: sets O_NONBLOCK for a moment in which no other green thread of this OS thread runs.  Returns the
/// mode to give back; -1 where `fd` does not block or is not open.  Both keep errno.
int patch_unblock(int fd);
void patch_block(int fd, int mode);
/// The end of the time limit that SO_RCVTIMEO or SO_SNDTIMEO sets; never for 0 or no socket.  Keeps errno.
int64_t patch_limit(int fd, int option);
/// To be called when any descriptor's mode or time limit was changed.
void patch_modes_changed(void);

/// A call that is tried, and tried again when its descriptor may be ready.
typedef struct patch_operation {
    green_thread *thread;
    int fd;
    short events;
    int option;        // SO_RCVTIMEO or SO_SNDTIMEO
    int number;        // errno before the call, which stays where the call succeeds
    int64_t deadline;  // UNKNOWN until the first wait
} patch_operation;

#define UNKNOWN INT64_MIN

static inline patch_operation patch_begin(green_thread *thread, int fd, short events, int option) {
    return (patch_operation){thread, fd, events, option, errno, UNKNOWN};
}
/// Waits after an EAGAIN.  0: try again.  -1 with errno: the descriptor does not block (EAGAIN), the time limit is over (EAGAIN), or the wait failed.
int patch_wait_again(patch_operation *operation);
/// After an attempt with this result: whether to try again.  If not, result and errno are the call's.
static inline int patch_again(patch_operation *operation, ssize_t result) {
    if (result >= 0) {
        errno = operation->number;
        return 0;
    }
    return errno == EAGAIN && patch_wait_again(operation) == 0;
}

/// How long to sleep between two attempts where there is nothing to wait for: 1 ms, doubled up to 50 ms.
typedef struct patch_pause { int64_t length; } patch_pause;
/// 0, or ECANCELED, or ETIMEDOUT where `deadline` has passed.
int patch_pause_once(patch_pause *pause, int64_t deadline);

// ---- Parts of messages

size_t patch_total(const struct iovec *parts, size_t count);
/// Drops the first `done` bytes.  Changes the parts.
void patch_skip(struct iovec **parts, size_t *count, size_t done);

#endif
