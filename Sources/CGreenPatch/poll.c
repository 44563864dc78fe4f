// Waiting for several descriptors: the real call with no time to wait, then a wait, then the real call again.

#include "patch.h"


void __chk_fail(void) __attribute__((noreturn));

// What follows an attempt of `result`: 1: try again.  0: `result` and errno are the answer.  At the end of the time, one more attempt is made.
static int waits_again(green_thread *thread, int result, struct pollfd *wanted, nfds_t count, int64_t *deadline, int *failed) {
    if (result != 0 || *deadline <= patch_now()) return 0;
    int number = errno, error = patch_wait(thread, wanted, count, *deadline);
    errno = number;
    if (error == ETIMEDOUT) *deadline = INT64_MIN;
    else if (error == EBADF) return 1;  // the real call says which
    else if (error) *failed = error;
    return !*failed;
}

// ---- poll

static int poll_until(green_thread *thread, struct pollfd *wanted, nfds_t count, int64_t deadline) {
    int result, failed = patch_turn(thread);
    if (failed) return patch_fail(failed);
    do result = own_poll(wanted, count, 0);
    while (waits_again(thread, result, wanted, count, &deadline, &failed));
    return failed ? patch_fail(failed) : result;
}

PATCH(int, poll, (struct pollfd *wanted, nfds_t count, int timeout), (wanted, count, timeout)) {
    green_thread *thread = patch_caller();
    if (!thread) return own_poll(wanted, count, timeout);
    return poll_until(thread, wanted, count, timeout < 0 ? INT64_MAX : timeout == 0 ? 0 : patch_after((int64_t)timeout * 1000000));
}

static int64_t end_of(const struct timespec *timeout) { return timeout ? patch_after(patch_of_timespec(timeout)) : INT64_MAX; }

// With a signal mask, a signal must end it: only the kernel does both.
PATCH(int, ppoll, (struct pollfd *wanted, nfds_t count, const struct timespec *timeout, const sigset_t *mask), (wanted, count, timeout, mask)) {
    green_thread *thread = patch_caller();
    if (!thread || mask || (timeout && !patch_is_valid(timeout))) return own_ppoll(wanted, count, timeout, mask);
    return poll_until(thread, wanted, count, end_of(timeout));
}

int __poll_chk(struct pollfd *wanted, nfds_t count, int timeout, size_t size) {
    if (size / sizeof *wanted < count) __chk_fail();
    return poll(wanted, count, timeout);
}
int __ppoll_chk(struct pollfd *wanted, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size) {
    if (size / sizeof *wanted < count) __chk_fail();
    return ppoll(wanted, count, timeout, mask);
}

// ---- select

typedef uint64_t word;
enum { BITS = 64, SETS = 3 };
static const short events_of_set[SETS] = {POLLIN, POLLOUT, POLLPRI};

// The words of a set may be more than an fd_set has: programs allocate them larger.
static short events_of(word *const sets[SETS], int fd) {
    short events = 0;
    for (int s = 0; s < SETS; s++) {
        if (sets[s] && sets[s][fd / BITS] >> (fd % BITS) & 1) events |= events_of_set[s];
    }
    return events;
}

static nfds_t list(word *const sets[SETS], int count, struct pollfd *wanted) {
    nfds_t n = 0;
    for (int fd = 0; fd < count; fd++) {
        short events = events_of(sets, fd);
        if (events && wanted) wanted[n] = (struct pollfd){fd, events, 0};
        n += events != 0;
    }
    return n;
}

static void copy(word *const to[SETS], word *const from[SETS], size_t words) {
    for (int s = 0; s < SETS; s++) {
        if (to[s] && from[s]) memcpy(to[s], from[s], words * sizeof(word));
    }
}

static int select_until(green_thread *thread, int count, word *const sets[SETS], int64_t deadline) {
    size_t words = ((size_t)count + BITS - 1) / BITS;
    nfds_t n = list(sets, count, NULL);
    word *memory = malloc(SETS * words * sizeof(word) + n * sizeof(struct pollfd) + 1);
    if (!memory) return patch_fail(ENOMEM);
    word *const asked[SETS] = {memory, memory + words, memory + 2 * words};
    struct pollfd *wanted = (struct pollfd *)(memory + SETS * words);
    list(sets, count, wanted);
    copy(asked, sets, words);
    int result, failed = patch_turn(thread);
    if (failed) free(memory);
    if (failed) return patch_fail(failed);
    do {
        copy(sets, asked, words);
        struct timeval none = {0};
        result = own_select(count, (fd_set *)sets[0], (fd_set *)sets[1], (fd_set *)sets[2], &none);
    } while (waits_again(thread, result, wanted, n, &deadline, &failed));
    free(memory);
    return failed ? patch_fail(failed) : result;
}

PATCH(int, select, (int count, fd_set *in, fd_set *out, fd_set *urgent, struct timeval *timeout), (count, in, out, urgent, timeout)) {
    green_thread *thread = patch_caller();
    if (!thread || count < 0 || (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))) return own_select(count, in, out, urgent, timeout);
    word *const sets[SETS] = {(word *)in, (word *)out, (word *)urgent};
    int64_t deadline = timeout ? patch_after(patch_of_timeval(timeout)) : INT64_MAX;
    int result = select_until(thread, count, sets, deadline);
    if (timeout) {  // Linux stores what is left
        int64_t left = deadline - patch_now();
        *timeout = left > 0 ? (struct timeval){left / 1000000000, left % 1000000000 / 1000} : (struct timeval){0};
    }
    return result;
}

PATCH(int, pselect, (int count, fd_set *in, fd_set *out, fd_set *urgent, const struct timespec *timeout, const sigset_t *mask),
      (count, in, out, urgent, timeout, mask)) {
    green_thread *thread = patch_caller();
    if (!thread || mask || count < 0 || (timeout && !patch_is_valid(timeout))) return own_pselect(count, in, out, urgent, timeout, mask);
    word *const sets[SETS] = {(word *)in, (word *)out, (word *)urgent};
    return select_until(thread, count, sets, end_of(timeout));
}

// ---- epoll

static int epoll_until(green_thread *thread, int set, struct epoll_event *events, int room, int64_t deadline) {
    struct pollfd one = {set, POLLIN, 0};
    int result, failed = patch_turn(thread);
    if (failed) return patch_fail(failed);
    do result = own_epoll_wait(set, events, room, 0);
    while (waits_again(thread, result, &one, 1, &deadline, &failed));
    return failed ? patch_fail(failed) : result;
}

PATCH(int, epoll_pwait, (int set, struct epoll_event *events, int room, int timeout, const sigset_t *mask), (set, events, room, timeout, mask)) {
    green_thread *thread = patch_caller();
    if (!thread || mask) return own_epoll_pwait(set, events, room, timeout, mask);
    return epoll_until(thread, set, events, room, timeout < 0 ? INT64_MAX : timeout == 0 ? 0 : patch_after((int64_t)timeout * 1000000));
}

PATCH(int, epoll_wait, (int set, struct epoll_event *events, int room, int timeout), (set, events, room, timeout)) {
    return green_epoll_pwait(set, events, room, timeout, NULL);
}

#if __GLIBC_PREREQ(2, 35)
PATCH(int, epoll_pwait2, (int set, struct epoll_event *events, int room, const struct timespec *timeout, const sigset_t *mask),
      (set, events, room, timeout, mask)) {
    green_thread *thread = patch_caller();
    if (!thread || mask || (timeout && !patch_is_valid(timeout))) return own_epoll_pwait2(set, events, room, timeout, mask);
    return epoll_until(thread, set, events, room, end_of(timeout));
}
#endif
