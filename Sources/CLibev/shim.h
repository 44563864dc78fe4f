// libev's watcher set-up is made of C macros, which Swift does not import.  Each function here stands for one of them.

#ifndef CLIBEV_SHIM_H
#define CLIBEV_SHIM_H

#include <ev.h>

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

static inline void green_set_priority(void *watcher, int priority) { ev_set_priority((ev_watcher *)watcher, priority); }
static inline int green_io_is_active(const ev_io *watcher) { return ev_is_active(watcher); }
static inline int green_timer_is_active(const ev_timer *watcher) { return ev_is_active(watcher); }

#endif
