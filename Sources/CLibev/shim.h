// libev's watcher set-up is made of C macros, which Swift does not import.  Each function here stands for one of them.

#ifndef CLIBEV_SHIM_H
#define CLIBEV_SHIM_H

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

typedef void (*green_io_callback)(struct ev_loop *loop, ev_io *watcher, int events);
typedef void (*green_timer_callback)(struct ev_loop *loop, ev_timer *watcher, int events);
typedef void (*green_async_callback)(struct ev_loop *loop, ev_async *watcher, int events);
typedef void (*green_signal_callback)(struct ev_loop *loop, ev_signal *watcher, int events);

static inline void green_io_init(ev_io *watcher, green_io_callback callback, int descriptor, int events) {
    ev_io_init(watcher, callback, descriptor, events);
}

// `ev_io_set` makes libev ask the kernel about the descriptor whatever it knows of it; this leaves out the flag that says so.
static inline void green_io_init_known(ev_io *watcher, green_io_callback callback, int descriptor, int events) {
    ev_init(watcher, callback);
    watcher->fd = descriptor;
    watcher->events = events;
}

static inline void green_timer_init(ev_timer *watcher, green_timer_callback callback) {
    ev_timer_init(watcher, callback, 0., 0.);
}

/// The watcher must not be active.
static inline void green_timer_set(ev_timer *watcher, double after) { ev_timer_set(watcher, after, 0.); }

static inline void green_async_init(ev_async *watcher, green_async_callback callback) {
    ev_async_init(watcher, callback);
}

static inline void green_signal_init(ev_signal *watcher, green_signal_callback callback, int number) {
    ev_signal_init(watcher, callback, number);
}

static inline void green_async_ignore(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop, (void)watcher, (void)events;
}

static inline void green_leave_pending(struct ev_loop *loop) { (void)loop; }

/// What a loop has beside libev's own.
typedef struct green_bell {
    ev_async async;        // rings where the loop must not sleep
    const ev_async *jobs;  // by which other OS threads wake it; null: none do
    int epoll;             // the descriptor that libev waits for; -1: not known
    int64_t nap_end;       // see green_nap; INT64_MAX: no nap
    int has_napped;        // its OS thread's timers are exact
} green_bell;

static inline int green_async_is_pending(const ev_async *watcher) { return ev_async_pending(watcher); }

// Sleeps until there is an event, or the moment `nap_end` on the monotonic clock, which is near: libev's own sleep is of whole milliseconds.  A signal that has
// come since libev has looked ends its sleep at once, and this one not.
static inline void green_nap(struct ev_loop *loop, green_bell *bell) {
    // No descriptor tells of a job that came before libev has asked for it.
    if (bell->jobs && green_async_is_pending(bell->jobs)) return;
    struct timespec now, left = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t moment = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    // A moment in the past may be so far away that the difference is no number.
    if (bell->nap_end > moment) left = (struct timespec){(bell->nap_end - moment) / 1000000000, (bell->nap_end - moment) % 1000000000};
    // By default the kernel lets each sleep be 50 us late, to wake several OS threads together.
    if (!bell->has_napped) prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0), bell->has_napped = 1;
    struct pollfd events = {.fd = bell->epoll, .events = POLLIN};
    if (ppoll(&events, 1, &left, NULL) == 0) ev_async_send(loop, &bell->async);
}

// libev finds out that the kernel does not watch a descriptor when it is about to sleep, and reports it only after it has slept.
static inline void green_before_sleep(struct ev_loop *loop) {
    green_bell *bell = (green_bell *)ev_userdata(loop);
    if (ev_pending_count(loop) > 0) {
        ev_async_send(loop, &bell->async);
    } else if (bell->nap_end != INT64_MAX) {
        green_nap(loop, bell);
    }
}

static inline void green_io_ignore(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop, (void)watcher, (void)events;
}

// Whether `epoll` is a set of the kernel's in which `descriptor` is.
static inline int green_is_watched(int epoll, int descriptor) {
    struct epoll_event none = {0};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &none) != 0) return errno == EEXIST;
    epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &none);
    return 0;
}

// libev has no call for its descriptor.  So it watches another one, and then the set is searched for in which that is; nearly always it has a number shortly before.
// In a hub that is made where no descriptor is left for that, times are of whole milliseconds.
static inline int green_find_epoll(struct ev_loop *loop) {
    int probe = eventfd(0, EFD_CLOEXEC), found = -1;
    if (probe < 0) return -1;
    ev_io watcher;
    ev_io_init(&watcher, green_io_ignore, probe, EV_READ);
    ev_io_start(loop, &watcher);
    ev_run(loop, EVRUN_NOWAIT);
    for (int number = probe - 1; number >= 0 && found < 0; number--) {
        if (green_is_watched(number, probe)) found = number;
    }
    ev_io_stop(loop, &watcher);
    close(probe);
    return found;
}

/// Makes libev open and watch now what signals and other OS threads wake the loop by, which it does at the first use else.  Zero where the
/// kernel refuses: libev would stop the program for want of the descriptor, and never hear of anything where it is not watched.
///
/// The loop must be new: a descriptor that the kernel does not watch is the one thing that can be pending then.  It keeps `bell`, which this call fills.
static inline int green_loop_prepare(struct ev_loop *loop, green_bell *bell) {
    int probe = eventfd(0, EFD_CLOEXEC);
    if (probe < 0) return 0;
    close(probe);
    *bell = (green_bell){.epoll = -1, .nap_end = INT64_MAX};
    ev_async_init(&bell->async, green_async_ignore);
    ev_async_start(loop, &bell->async);
    ev_set_invoke_pending_cb(loop, green_leave_pending);
    ev_run(loop, EVRUN_NOWAIT);
    int is_watched = ev_pending_count(loop) == 0;
    if (is_watched) bell->epoll = green_find_epoll(loop);
    ev_set_invoke_pending_cb(loop, ev_invoke_pending);
    ev_set_userdata(loop, bell);
    ev_set_loop_release_cb(loop, green_before_sleep, 0);
    return is_watched;
}

static inline void green_set_priority(void *watcher, int priority) { ev_set_priority((ev_watcher *)watcher, priority); }
static inline int green_io_is_active(const ev_io *watcher) { return ev_is_active(watcher); }
static inline int green_io_is_pending(const ev_io *watcher) { return ev_is_pending(watcher); }
static inline int green_signal_is_active(const ev_signal *watcher) { return ev_is_active(watcher); }

#endif
