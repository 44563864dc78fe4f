// Sleeping.  A sleep is never interrupted by a signal; a killed green thread's ends with ECANCELED.

#include "patch.h"

static int is_valid(const struct timespec *t) { return t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < 1000000000; }

// 0, or ECANCELED with what is left.
static int sleep_for(int64_t ns, struct timespec *left) {
    int64_t end = patch_after(ns);
    int error = patch_sleep(end);
    int64_t rest = end - patch_now();
    if (error && left) *left = rest > 0 ? (struct timespec){rest / 1000000000, rest % 1000000000} : (struct timespec){0};
    return error;
}

PATCH(int, nanosleep, (const struct timespec *length, struct timespec *left), (length, left)) {
    if (!patch_caller() || !is_valid(length)) return own_nanosleep(length, left);
    int error = sleep_for(patch_of_timespec(length), left);
    return error ? patch_fail(error) : 0;
}

PATCH(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *length, struct timespec *left), (clock, flags, length, left)) {
    int has_timer = clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME;
    if (!patch_caller() || !has_timer || !is_valid(length)) return own_clock_nanosleep(clock, flags, length, left);
    int64_t ns = patch_of_timespec(length);
    if (!(flags & TIMER_ABSTIME)) return sleep_for(ns, left);
    struct timespec time;
    clock_gettime(clock, &time);
    int64_t now = patch_of_timespec(&time);
    return patch_sleep(clock == CLOCK_MONOTONIC ? ns : ns > now ? patch_after(ns - now) : 0);
}

PATCH(int, usleep, (useconds_t length), (length)) {
    if (!patch_caller()) return own_usleep(length);
    int error = sleep_for((int64_t)length * 1000, NULL);
    return error ? patch_fail(error) : 0;
}

// 0 also where it was cut short: a loop that sleeps for what is left would not end.
PATCH(unsigned, sleep, (unsigned seconds), (seconds)) {
    if (!patch_caller()) return own_sleep(seconds);
    sleep_for((int64_t)seconds * 1000000000, NULL);
    return 0;
}

PATCH(int, thrd_sleep, (const struct timespec *length, struct timespec *left), (length, left)) {
    if (!patch_caller() || !is_valid(length)) return own_thrd_sleep(length, left);
    return sleep_for(patch_of_timespec(length), left) ? -2 : 0;
}
