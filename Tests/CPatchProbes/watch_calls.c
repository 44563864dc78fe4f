// Counts the event loop's calls of epoll_ctl: the linker leads them here, and not to the C library.

#define _GNU_SOURCE
#include "CPatchProbes.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int calls;

int probe_watch_calls(void) { return calls; }

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event) {
    calls++;
    return (int)syscall(SYS_epoll_ctl, set, operation, fd, event);
}
