// Waiting for descriptors, for time, and for both.

#include "patch.h"

#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

// ---- Time

int64_t patch_now(void) {
    if (green_virtual_time_) return green_virtual_time_;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t patch_after(int64_t ns) {
    int64_t now = patch_now();
    return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

int64_t patch_of_timespec(const struct timespec *t) {
    return t->tv_sec >= INT64_MAX / 1000000000 ? INT64_MAX : (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

int64_t patch_of_timeval(const struct timeval *t) {
    return t->tv_sec >= INT64_MAX / 1000000000 - 1 ? INT64_MAX : (int64_t)t->tv_sec * 1000000000 + (int64_t)t->tv_usec * 1000;
}

int patch_sleep(int64_t deadline) {
    int number = errno, error = patch_hooks.sleep(deadline);
    errno = number;
    return error == ETIMEDOUT ? 0 : error;
}

int patch_end_turn(void) {
    int number = errno, error = patch_hooks.turn();
    errno = number;
    return error;
}

int patch_pause_once(patch_pause *pause, int64_t deadline) {
    enum { SHORTEST = 1000000, LONGEST = 50000000 };
    if (deadline <= patch_now()) return ETIMEDOUT;
    pause->length = pause->length == 0 ? SHORTEST : pause->length * 2 < LONGEST ? pause->length * 2 : LONGEST;
    int64_t end = patch_after(pause->length);
    return patch_sleep(end < deadline ? end : deadline);
}

// ---- Who waits for which descriptor on this OS thread.  A close ends those waits, of which epoll says nothing.

typedef struct seat {
    struct seat *next, *previous;
    green_thread *thread;
    int fd;
    int is_closed;
} seat;

enum { ROWS = 256 };  // a power of two
static _Thread_local seat *rows[ROWS] __attribute__((tls_model("initial-exec")));

static seat **row_of(int fd) { return &rows[(unsigned)fd % ROWS]; }

static void sit(seat *s, green_thread *thread, int fd) {
    seat **row = row_of(fd);
    *s = (seat){*row, NULL, thread, fd, 0};
    if (*row) (*row)->previous = s;
    *row = s;
}

static void leave(seat *s) {
    if (s->next) s->next->previous = s->previous;
    if (s->previous) s->previous->next = s->next;
    else *row_of(s->fd) = s->next;
}

// What is known of each number, until it is closed.  Shared by all OS threads, as the descriptors are.
enum { KNOWN = PATCH_KNOWN, KIND = 7, IS_WATCHED = 8 };
static _Atomic uint8_t facts[KNOWN];

// The count of changes of any mode or time limit at which the descriptor was found to block, shifted; and whether it had no limit to receive or to send.
enum { NO_RECEIVE_LIMIT = 1, NO_SEND_LIMIT = 2, MODE_BITS = 2 };
static _Atomic uint32_t modes[KNOWN];
static _Atomic uint32_t changes = 1;

void patch_modes_changed(void) { atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed); }

static void forget_facts(int fd) {
    uint8_t known = atomic_load_explicit(&facts[fd], memory_order_relaxed);
    if (!known) return;
    atomic_store_explicit(&facts[fd], 0, memory_order_relaxed);
    atomic_store_explicit(&modes[fd], 0, memory_order_relaxed);
    if (known & IS_WATCHED && green_running_) patch_hooks.forget(fd);
}

void patch_closes(int fd) {
    if (fd < 0) return;
    if (fd < KNOWN) forget_facts(fd);
    if (!green_running_) return;
    for (seat *s = *row_of(fd); s; s = s->next) {
        if (s->fd != fd || s->is_closed) continue;
        s->is_closed = 1;
        patch_hooks.closed(s->thread);
    }
}

// ---- Descriptors

// The hub watches for reading and writing.  Waiting for a hang-up, for the end of the other side's sending, or for urgent data takes an epoll set.
static int is_plain(const struct pollfd *wanted) {
    enum { READ = POLLIN | POLLRDNORM, WRITE = POLLOUT | POLLWRNORM };
    if (wanted->fd < 0) return 1;
    if (!(wanted->events & (READ | WRITE))) return 0;
    // libcurl asks for all four kinds of input at each wait, and has no use for urgent data.
    return !(wanted->events & POLLPRI) || wanted->events & POLLRDNORM;
}

static uint32_t events_for(const struct pollfd *wanted, nfds_t count, int fd) {
    uint32_t events = 0;
    for (nfds_t i = 0; i < count; i++) {
        if (wanted[i].fd == fd) events |= (uint32_t)(uint16_t)wanted[i].events;
    }
    return events;
}

// An epoll set that is readable when one of `wanted` is as asked for.  -1: the kernel has none left.
static int nested_set(const struct pollfd *wanted, nfds_t count) {
    int set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return -1;
    for (nfds_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = events_for(wanted, count, wanted[i].fd)};
        if (wanted[i].fd >= 0) epoll_ctl(set, EPOLL_CTL_ADD, wanted[i].fd, &event);  // a second time: EEXIST
    }
    return set;
}

static int waits_to_read(const struct pollfd *wanted) {
    return patch_hooks.wait_readable && wanted->fd >= 0 && wanted->fd < KNOWN && is_plain(wanted) && !(wanted->events & (POLLOUT | POLLWRNORM));
}

// From now on the hub hears of its close, unless that is another OS thread's.  Then the flag has gone, and what the hub still watches is the file before.
static void note_watched(int fd) {
    if (atomic_fetch_or_explicit(&facts[fd], IS_WATCHED, memory_order_relaxed) & IS_WATCHED) return;
    if (patch_hooks.forget) patch_hooks.forget(fd);
}

// Whether the hub hears of each close.
static int may_stay(const struct pollfd *wanted, nfds_t count) {
    if (!patch_hooks.forget) return 0;
    for (nfds_t i = 0; i < count; i++) {
        if (wanted[i].fd >= KNOWN) return 0;
    }
    for (nfds_t i = 0; i < count; i++) {
        if (wanted[i].fd >= 0) note_watched(wanted[i].fd);
    }
    return 1;
}

static int wait_seated(struct pollfd *wanted, nfds_t count, int64_t deadline) {
    int plain = 1;
    for (nfds_t i = 0; i < count; i++) plain &= is_plain(&wanted[i]);
    if (plain) return patch_hooks.wait(wanted, count, deadline, may_stay(wanted, count));
    struct pollfd question = {nested_set(wanted, count), POLLIN, 0};
    if (question.fd < 0) return errno;
    int error = patch_hooks.wait(&question, 1, deadline, 0);
    own_close(question.fd);
    return error;
}

int patch_wait(green_thread *thread, struct pollfd *wanted, nfds_t count, int64_t deadline) {
    seat few[4], *seats = few;
    if (count == 0) return patch_hooks.sleep(deadline);
    if (count == 1 && waits_to_read(wanted)) {
        note_watched(wanted->fd);
        int error = patch_hooks.wait_readable(wanted->fd, deadline);
        if (error != EBUSY) return error;
    }
    if (count > 4 && !(seats = malloc(count * sizeof *seats))) return ENOMEM;
    for (nfds_t i = 0; i < count; i++) sit(&seats[i], thread, wanted[i].fd < 0 ? -1 : wanted[i].fd);
    int error = wait_seated(wanted, count, deadline);
    for (nfds_t i = 0; i < count; i++) {
        if (seats[i].is_closed && error != ECANCELED) error = EBADF;
        leave(&seats[i]);
    }
    if (seats != few) free(seats);
    return error;
}

int patch_wait_one(green_thread *thread, int fd, short events, int64_t deadline) {
    struct pollfd one = {fd, events, 0};
    return patch_wait(thread, &one, 1, deadline);
}

static patch_kind ask_for_kind(int fd) {
    struct stat status;
    int number = errno;
    patch_kind kind = PATCH_FILE;
    if (fstat(fd, &status) == 0) {
        switch (status.st_mode & S_IFMT) {
        case S_IFREG: case S_IFDIR: case S_IFBLK: break;
        case S_IFSOCK: kind = PATCH_SOCKET; break;
        case S_IFIFO: kind = PATCH_PIPE; break;
        case S_IFCHR: kind = isatty(fd) ? PATCH_TERMINAL : PATCH_OTHER; break;
        default: kind = PATCH_OTHER;  // epoll sets, timers and so on have no type
        }
    }
    errno = number;
    return kind;
}

// FILE is not kept: a stream that is taken for a file would block the hub.
patch_kind patch_kind_of(int fd) {
    if (fd < 0 || fd >= KNOWN) return ask_for_kind(fd);
    patch_kind kind = atomic_load_explicit(&facts[fd], memory_order_relaxed) & KIND;
    if (kind == PATCH_FILE) atomic_fetch_or_explicit(&facts[fd], kind = ask_for_kind(fd), memory_order_relaxed);
    return kind;
}

int patch_unblock(int fd) {
    int number = errno, mode = own_fcntl(fd, F_GETFL);
    if (mode >= 0 && mode & O_NONBLOCK) mode = -1;
    if (mode >= 0) own_fcntl(fd, F_SETFL, mode | O_NONBLOCK);
    errno = number;
    return mode;
}

void patch_block(int fd, int mode) {
    int number = errno;
    if (mode >= 0) own_fcntl(fd, F_SETFL, mode);
    errno = number;
}

// ---- Attempts

int patch_blocks(int fd) {
    int number = errno, flags = own_fcntl(fd, F_GETFL);
    errno = number;
    return flags >= 0 && !(flags & O_NONBLOCK);
}

int64_t patch_limit(int fd, int option) {
    struct timeval time = {0};
    socklen_t length = sizeof time;
    int number = errno;
    int known = getsockopt(fd, SOL_SOCKET, option, &time, &length) == 0 && (time.tv_sec || time.tv_usec);
    errno = number;
    return known ? patch_after(patch_of_timeval(&time)) : INT64_MAX;
}

// UNKNOWN where it does not block.  That is not kept: another process may have changed it for a moment.
static int64_t first_deadline(int fd, int option) {
    uint32_t bit = option == SO_RCVTIMEO ? NO_RECEIVE_LIMIT : NO_SEND_LIMIT;
    uint32_t now = atomic_load_explicit(&changes, memory_order_relaxed) << MODE_BITS;
    uint32_t mode = fd < KNOWN ? atomic_load_explicit(&modes[fd], memory_order_relaxed) : 0;
    if ((mode & ~3u) != now) mode = now;
    if (mode & bit) return INT64_MAX;
    if (!patch_blocks(fd)) return UNKNOWN;
    int64_t limit = patch_limit(fd, option);
    // `facts` has it too, or a close would not look here.
    if (limit == INT64_MAX && fd < KNOWN && patch_kind_of(fd) != PATCH_FILE) atomic_store_explicit(&modes[fd], mode | bit, memory_order_relaxed);
    return limit;
}

int patch_wait_again(patch_operation *operation) {
    if (operation->deadline == UNKNOWN) operation->deadline = first_deadline(operation->fd, operation->option);
    if (operation->deadline == UNKNOWN) return -1;  // errno is EAGAIN
    int error = patch_wait_one(operation->thread, operation->fd, operation->events, operation->deadline);
    return error ? patch_fail(error == ETIMEDOUT ? EAGAIN : error) : 0;
}

// ---- Parts of messages

size_t patch_total(const struct iovec *parts, size_t count) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
}

void patch_skip(struct iovec **parts, size_t *count, size_t done) {
    while (*count && done >= (*parts)->iov_len) done -= (*parts)->iov_len, ++*parts, --*count;
    if (!*count) return;
    (*parts)->iov_base = (char *)(*parts)->iov_base + done;
    (*parts)->iov_len -= done;
}
