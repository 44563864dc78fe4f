// The kernel's event sets (epoll), and what rings in them: Swift's import of glibc has neither their functions nor their structures.  Each function makes its call
// again after a signal, and returns -errno where the kernel refuses.

#ifndef CLINUX_EVENT_SET_H
#define CLINUX_EVENT_SET_H

#include <stdint.h>

/// epoll_create1: a set, closed on exec.
int green_event_set(void);

/// eventfd: a counter of which each read takes one; non-blocking and closed on exec.
int green_event_bell(void);

/// timerfd_create: a timer that can be read once its time has come; non-blocking and closed on exec.
int green_event_timer(void);

/// timerfd_settime: the timer rings once, `nanoseconds` from now, and not at an earlier time that it had.
int green_event_timer_set(int timer, int64_t nanoseconds);

enum green_event_operation { green_event_add, green_event_again, green_event_remove };

/// How often a set reports what can be read: to each wait; to one wait, and again after `green_event_again`; to one wait, and again when more has come.
enum green_event_mode { green_event_always, green_event_once, green_event_edge };

/// epoll_ctl: whether `set` reports `descriptor`, as `number`, where it can be read.
int green_event_control(
    int set, enum green_event_operation operation, int descriptor, uint64_t number, enum green_event_mode mode);

/// epoll_wait, for `milliseconds` at most, or without end where that is -1: 1 and the number of what can be read, or 0.
int green_event_wait(int set, int milliseconds, uint64_t *number);

#endif
