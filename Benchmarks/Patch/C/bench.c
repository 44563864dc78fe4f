#define _GNU_SOURCE
#include "CPatchBenchmarks.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

// ---- The gate

typedef int (*mutex_call)(pthread_mutex_t *);

static double time_pairs(mutex_call lock, mutex_call unlock, int count) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    double start = now_ns();
    for (int i = 0; i < count; i++) lock(&mutex), unlock(&mutex);
    return (now_ns() - start) / count;
}

double bench_mutex_patched(int count) { return time_pairs(pthread_mutex_lock, pthread_mutex_unlock, count); }

double bench_mutex_direct(int count) {
    void *library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    return time_pairs((mutex_call)dlsym(library, "pthread_mutex_lock"), (mutex_call)dlsym(library, "pthread_mutex_unlock"), count);
}

// ---- Ping-pong

typedef struct echo { int fd, rounds; } echo;

static void *echo_back(void *context) {
    echo *e = context;
    char byte;
    for (int i = 0; i < e->rounds; i++) {
        if (read(e->fd, &byte, 1) != 1 || write(e->fd, &byte, 1) != 1) abort();
    }
    return NULL;
}

double bench_ping_pong(int rounds) {
    int ends[2];
    char byte = 'x';
    pthread_t thread;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) abort();
    echo e = {ends[1], rounds};
    if (pthread_create(&thread, NULL, echo_back, &e)) abort();
    double start = now_ns();
    for (int i = 0; i < rounds; i++) {
        if (write(ends[0], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) abort();
    }
    double took = (now_ns() - start) / rounds;
    pthread_join(thread, NULL);
    close(ends[0]), close(ends[1]);
    return took;
}

// ---- libcurl's multi interface, as its documentation's epoll example uses it

typedef struct message { int kind; void *easy; union { void *any; int result; } data; } message;

static struct {
    void *(*easy)(void);
    int (*setopt)(void *, int, ...);
    void (*cleanup)(void *);
    void *(*multi)(void);
    int (*multi_setopt)(void *, int, ...);
    int (*add)(void *, void *);
    int (*remove)(void *, void *);
    int (*action)(void *, int, int, int *);
    message *(*info)(void *, int *);
    int (*multi_cleanup)(void *);
} curl;
static const char *const names[] = {"curl_easy_init", "curl_easy_setopt", "curl_easy_cleanup", "curl_multi_init", "curl_multi_setopt",
                                    "curl_multi_add_handle", "curl_multi_remove_handle", "curl_multi_socket_action", "curl_multi_info_read",
                                    "curl_multi_cleanup"};

enum {
    URL = 10002, WRITEFUNCTION = 20011, NOSIGNAL = 99, SOCKETFUNCTION = 20001, SOCKETDATA = 10002, TIMERFUNCTION = 20004, TIMERDATA = 10005,
    SOCKET_TIMEOUT = -1, POLL_IN = 1, POLL_OUT = 2, POLL_REMOVE = 4, MAX_WIDTH = 200,
};

typedef struct driver { int set; long timeout_ms; } driver;

static int watch(void *easy, int fd, int what, driver *d, void *known) {
    (void)easy, (void)known;
    struct epoll_event event = {.events = (what & POLL_IN ? EPOLLIN : 0) | (what & POLL_OUT ? EPOLLOUT : 0), .data.fd = fd};
    if (what == POLL_REMOVE) epoll_ctl(d->set, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(d->set, EPOLL_CTL_MOD, fd, &event) < 0) epoll_ctl(d->set, EPOLL_CTL_ADD, fd, &event);
    return 0;
}
static int set_timer(void *multi, long timeout_ms, driver *d) { return (void)multi, d->timeout_ms = timeout_ms, 0; }
static size_t drop(const char *bytes, size_t size, size_t count, void *context) { return (void)bytes, (void)context, size * count; }

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW);
    if (!library) abort();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) ((void **)&curl)[i] = dlsym(library, names[i]);
}

int bench_curl_multi(const char *url, int count, int width) {
    if (!curl.easy) load();
    driver d = {epoll_create1(EPOLL_CLOEXEC), -1};
    void *multi = curl.multi(), *easy[MAX_WIDTH];
    curl.multi_setopt(multi, SOCKETFUNCTION, watch), curl.multi_setopt(multi, SOCKETDATA, &d);
    curl.multi_setopt(multi, TIMERFUNCTION, set_timer), curl.multi_setopt(multi, TIMERDATA, &d);
    int begun = 0, ended = 0, failures = 0, running;
    for (; begun < width; begun++) {
        easy[begun] = curl.easy();
        curl.setopt(easy[begun], URL, url), curl.setopt(easy[begun], WRITEFUNCTION, drop), curl.setopt(easy[begun], NOSIGNAL, 1L);
        curl.add(multi, easy[begun]);
    }
    while (ended < count) {
        struct epoll_event events[64];
        int n = epoll_wait(d.set, events, 64, d.timeout_ms < 0 ? 1000 : (int)d.timeout_ms);
        if (n <= 0) curl.action(multi, SOCKET_TIMEOUT, 0, &running);
        for (int i = 0; i < n; i++) {
            int what = (events[i].events & EPOLLIN ? POLL_IN : 0) | (events[i].events & EPOLLOUT ? POLL_OUT : 0);
            curl.action(multi, events[i].data.fd, what, &running);
        }
        int left;
        for (message *m; (m = curl.info(multi, &left));) {
            void *done = m->easy;
            ended++;
            failures += m->data.result != 0;
            curl.remove(multi, done);
            if (begun++ < count) curl.add(multi, done);
        }
    }
    for (int i = 0; i < width; i++) curl.cleanup(easy[i]);
    curl.multi_cleanup(multi);
    close(d.set);
    return failures;
}
