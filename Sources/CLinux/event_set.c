#define _GNU_SOURCE
#include "event_set.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

static int or_error(int result) { return result < 0 ? -errno : result; }

int green_event_set(void) { return or_error(epoll_create1(EPOLL_CLOEXEC)); }

int green_event_bell(void) { return or_error(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)); }

int green_event_timer(void) { return or_error(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }

int green_event_timer_set(int timer, int64_t nanoseconds) {
    struct itimerspec time = {.it_value = {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    return or_error(timerfd_settime(timer, 0, &time, NULL));
}

int green_event_control(
    int set, enum green_event_operation operation, int descriptor, uint64_t number, enum green_event_mode mode) {
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    struct epoll_event event = {
        .events = EPOLLIN | (mode == green_event_once ? EPOLLONESHOT : mode == green_event_edge ? EPOLLET : 0),
        .data.u64 = number};
    return or_error(epoll_ctl(set, operations[operation], descriptor, &event));
}

int green_event_wait(int set, int milliseconds, uint64_t *number) {
    struct epoll_event event;
    int count;
    do {
        count = epoll_wait(set, &event, 1, milliseconds);
    } while (count < 0 && errno == EINTR);
    if (count > 0) *number = event.data.u64;
    return or_error(count);
}
