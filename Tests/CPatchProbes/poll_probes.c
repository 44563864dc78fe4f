#include "support.h"

#include <sys/epoll.h>
#include <sys/select.h>
#include <threads.h>

const char *probe_poll(void) {
    pair p = sockets(SOCK_STREAM);
    struct pollfd wanted[3] = {{-1, POLLIN, 0}, {p.ends[0], POLLIN, 0}, {p.ends[0], POLLIN | POLLPRI, 0}};
    say s = {p.ends[1], "x"};
    task t;
    start(&t, say_later, &s);
    errno = 77;
    EXPECT(poll(wanted, 3, -1) == 2 && errno == 77);
    EXPECT(wanted[0].revents == 0 && wanted[1].revents == POLLIN && wanted[2].revents == POLLIN);
    join(&t);
    close_pair(p);
    return NULL;
}

const char *probe_poll_timeout(void) {
    pair p = sockets(SOCK_STREAM);
    struct pollfd wanted = {p.ends[0], POLLIN, 0};
    int64_t begin = now_ms();
    EXPECT(poll(&wanted, 1, 20) == 0 && now_ms() - begin >= 19);
    EXPECT(poll(&wanted, 1, 0) == 0);
    begin = now_ms();
    EXPECT(poll(NULL, 0, 20) == 0 && now_ms() - begin >= 19);
    struct timespec time = {0, 20000000};
    begin = now_ms();
    EXPECT(ppoll(&wanted, 1, &time, NULL) == 0 && now_ms() - begin >= 19);
    wanted.fd = p.ends[1] + 100;
    EXPECT(poll(&wanted, 1, -1) == 1 && wanted.revents == POLLNVAL);
    close_pair(p);
    return NULL;
}

const char *probe_poll_many(void) {
    enum { MANY = 40 };
    pair p[MANY];
    struct pollfd wanted[MANY];
    for (int i = 0; i < MANY; i++) p[i] = sockets(SOCK_STREAM), wanted[i] = (struct pollfd){p[i].ends[0], POLLIN, 0};
    say s = {p[31].ends[1], "x"};
    task t;
    start(&t, say_later, &s);
    EXPECT(poll(wanted, MANY, -1) == 1 && wanted[31].revents == POLLIN);
    join(&t);
    for (int i = 0; i < MANY; i++) close_pair(p[i]);
    return NULL;
}

const char *probe_poll_both_ways(void) {
    pair p = sockets(SOCK_STREAM);
    struct pollfd wanted = {p.ends[0], POLLIN | POLLOUT, 0};
    EXPECT(poll(&wanted, 1, -1) == 1 && wanted.revents == POLLOUT);
    char *large = calloc(1, 4 << 20);
    while (send(p.ends[0], large, 4 << 20, MSG_DONTWAIT) > 0) continue;
    free(large);
    say s = {p.ends[1], "x"};
    task t;
    start(&t, say_later, &s);
    EXPECT(poll(&wanted, 1, -1) == 1 && wanted.revents == POLLIN);
    join(&t);
    close_pair(p);
    return NULL;
}

static void shut_later(void *context) {
    poll(NULL, 0, 3);
    shutdown(*(int *)context, SHUT_WR);
}

static int64_t processor_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// There are unread data: a wait for reading would end at once, again and again.
const char *probe_poll_for_hang_up(void) {
    pair p = sockets(SOCK_STREAM);
    task t;
    EXPECT(send(p.ends[1], "x", 1, 0) == 1);
    struct pollfd wanted = {p.ends[0], POLLRDHUP, 0};
    int64_t begin = processor_ms();
    EXPECT(poll(&wanted, 1, 100) == 0 && processor_ms() - begin < 60);
    start(&t, shut_later, &p.ends[1]);
    EXPECT(poll(&wanted, 1, -1) == 1 && wanted.revents == POLLRDHUP);
    join(&t);
    wanted.events = 0;
    EXPECT(poll(&wanted, 1, 20) == 0);
    close_pair(p);
    return NULL;
}

const char *probe_select(void) {
    pair p = sockets(SOCK_STREAM);
    fd_set in, out;
    FD_ZERO(&in);
    FD_SET(p.ends[0], &in);
    FD_ZERO(&out);
    say s = {p.ends[1], "x"};
    task t;
    start(&t, say_later, &s);
    struct timeval time = {10, 0};
    EXPECT(select(p.ends[0] + 1, &in, &out, NULL, &time) == 1 && FD_ISSET(p.ends[0], &in));
    EXPECT(time.tv_sec == 9 && time.tv_usec > 0);
    join(&t);
    FD_SET(p.ends[0], &out);
    EXPECT(select(p.ends[0] + 1, &in, &out, NULL, NULL) == 2);
    char byte;
    EXPECT(recv(p.ends[0], &byte, 1, 0) == 1);
    time = (struct timeval){0, 20000};
    int64_t begin = now_ms();
    EXPECT(select(p.ends[0] + 1, &in, NULL, NULL, &time) == 0 && !FD_ISSET(p.ends[0], &in) && now_ms() - begin >= 19);
    EXPECT(time.tv_sec == 0 && time.tv_usec == 0);
    struct timespec limit = {0, 5000000};
    EXPECT(pselect(0, NULL, NULL, NULL, &limit, NULL) == 0);
    EXPECT(select(-1, NULL, NULL, NULL, &time) == -1 && errno == EINVAL);
    close_pair(p);
    return NULL;
}

const char *probe_epoll(void) {
    pair p = sockets(SOCK_STREAM);
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 5}, events[4];
    epoll_ctl(set, EPOLL_CTL_ADD, p.ends[0], &event);
    EXPECT(epoll_wait(set, events, 4, 0) == 0);
    EXPECT(epoll_wait(set, events, 4, 5) == 0);
    say s = {p.ends[1], "x"};
    task t;
    start(&t, say_later, &s);
    EXPECT(epoll_wait(set, events, 4, -1) == 1 && events[0].data.fd == 5);
    EXPECT(epoll_pwait(set, events, 4, -1, NULL) == 1);
    EXPECT(epoll_wait(set, events, 0, -1) == -1 && errno == EINVAL);
    join(&t);
    close(set);
    close_pair(p);
    return NULL;
}

const char *probe_epoll_pwait2(void) {
#if __GLIBC_PREREQ(2, 35)
    pair p = sockets(SOCK_STREAM);
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 5}, events[4];
    epoll_ctl(set, EPOLL_CTL_ADD, p.ends[0], &event);
    struct timespec none = {0}, time = {0, 5000000}, wrong = {0, 1000000000};
    EXPECT(epoll_pwait2(set, events, 4, &none, NULL) == 0);
    int64_t begin = now_ms();
    EXPECT(epoll_pwait2(set, events, 4, &time, NULL) == 0 && now_ms() - begin >= 4);
    // A kernel before 5.11 and an emulator have no such call, to which a wrong time is left.
    EXPECT(epoll_pwait2(set, events, 4, &wrong, NULL) == -1 && (errno == EINVAL || errno == ENOSYS));
    say s = {p.ends[1], "x"};
    task t;
    start(&t, say_later, &s);
    EXPECT(epoll_pwait2(set, events, 4, NULL, NULL) == 1 && events[0].data.fd == 5);
    join(&t);
    close(set);
    close_pair(p);
#endif
    return NULL;
}

// ---- Sleeping

static void sleep_20_ms(void *context) {
    struct timespec time = {0, 20000000}, until;
    switch (*(int *)context) {
    case 0: usleep(20000); break;
    case 1: nanosleep(&time, NULL); break;
    case 2: clock_nanosleep(CLOCK_REALTIME, 0, &time, NULL); break;
    case 3: thrd_sleep(&time, NULL); break;
    case 4:
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 20000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}

const char *probe_sleep(void) {
    enum { KINDS = 5, EACH = 20 };
    task tasks[KINDS * EACH];
    int kinds[KINDS * EACH];
    int64_t begin = now_ms();
    for (int i = 0; i < KINDS * EACH; i++) kinds[i] = i % KINDS, start(&tasks[i], sleep_20_ms, &kinds[i]);
    for (int i = 0; i < KINDS * EACH; i++) join(&tasks[i]);
    int64_t took = now_ms() - begin;
    EXPECT(took >= 19);
    EXPECT(took < 20 * EACH * 3 / 4);  // those of one kind would take 400 one after the other
    struct timespec wrong = {0, 1000000000};
    EXPECT(nanosleep(&wrong, NULL) == -1 && errno == EINVAL);
    EXPECT(clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, NULL) == EINVAL);
    EXPECT(sleep(0) == 0);
    return NULL;
}
