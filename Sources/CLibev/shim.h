// libev's watcher set-up is made of C macros, which Swift does not import.  Each function here stands for one of them.

#ifndef CLIBEV_SHIM_H
#define CLIBEV_SHIM_H

#include <ev.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef void (*green_io_callback)(struct ev_loop *loop, ev_io *watcher, int events);
typedef void (*green_timer_callback)(struct ev_loop *loop, ev_timer *watcher, int events);
typedef void (*green_async_callback)(struct ev_loop *loop, ev_async *watcher, int events);
typedef void (*green_signal_callback)(struct ev_loop *loop, ev_signal *watcher, int events);

static inline void green_io_init(ev_io *watcher, green_io_callback callback, int descriptor, int events) {
    ev_io_init(watcher, callback, descriptor, events);
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

// libev finds out that the kernel does not watch a descriptor when it is about to sleep, and reports it only after it has slept.
static inline void green_before_sleep(struct ev_loop *loop) {
    if (ev_pending_count(loop) > 0) ev_async_send(loop, (ev_async *)ev_userdata(loop));
}

/// Makes libev open and watch now what signals and other OS threads wake the loop by, which it does at the first use else.  Zero where the
/// kernel refuses: libev would stop the program for want of the descriptor, and never hear of anything where it is not watched.
///
/// The loop must be new: a descriptor that the kernel does not watch is the one thing that can be pending then.  It keeps `bell`.
static inline int green_loop_prepare(struct ev_loop *loop, ev_async *bell) {
    int probe = eventfd(0, EFD_CLOEXEC);
    if (probe < 0) return 0;
    close(probe);
    ev_async_init(bell, green_async_ignore);
    ev_async_start(loop, bell);
    ev_set_invoke_pending_cb(loop, green_leave_pending);
    ev_run(loop, EVRUN_NOWAIT);
    ev_set_invoke_pending_cb(loop, ev_invoke_pending);
    ev_set_userdata(loop, bell);
    ev_set_loop_release_cb(loop, green_before_sleep, 0);
    return ev_pending_count(loop) == 0;
}

static inline void green_set_priority(void *watcher, int priority) { ev_set_priority((ev_watcher *)watcher, priority); }
static inline int green_io_is_active(const ev_io *watcher) { return ev_is_active(watcher); }
static inline int green_io_is_pending(const ev_io *watcher) { return ev_is_pending(watcher); }
static inline int green_signal_is_active(const ev_signal *watcher) { return ev_is_active(watcher); }

#endif
