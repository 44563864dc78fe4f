#define _GNU_SOURCE
#include "hub.h"
#include "CSwitch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 128, WANTED = 64, STACK_SIZE = 256 << 10 };
typedef enum state { FREE, READY, WAITING } state;

typedef struct worker {
    green_thread record;  // first: the hooks get its address
    void *stack;
    state state;
    void (*body)(void *);
    void *context;
    struct pollfd *wanted;
    size_t count;
    int64_t deadline;
    int result;
} worker;

static worker workers[THREADS];
static green_thread loop;
static worker *current(void) { return (worker *)green_running_; }

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void switch_to(green_thread *to) {
    green_thread *from = green_running_;
    green_running_ = to;
    green_switch(from, to);
}

static green_thread *run_body(void *thread) {
    worker *w = thread;
    w->body(w->context);
    w->state = FREE;
    green_running_ = &loop;
    return &loop;
}

void hub_spawn(void (*body)(void *), void *context) {
    worker *w = workers;
    while (w->state != FREE) {
        if (++w == workers + THREADS) abort();
    }
    if (!w->stack) w->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->body = body, w->context = context, w->state = READY;
    w->record = (green_thread){.body = w, .slot = w->stack, .stack_low = w->stack, .stack_high = (char *)w->stack + STACK_SIZE};
    green_sanitizer_made(&w->record);
    green_first_frame(&w->record, run_body);
}

// ---- The hooks

static int park(struct pollfd *wanted, size_t count, int64_t deadline) {
    worker *w = current();
    w->wanted = wanted, w->count = count, w->deadline = deadline, w->state = WAITING;
    switch_to(&loop);
    w->record.ops_since_wait = 0;
    return w->result;
}

static int wait_for(struct pollfd *wanted, size_t count, int64_t deadline, int may_stay) {
    (void)may_stay;
    return park(wanted, count, deadline);
}

static int pause_until(int64_t deadline) { return park(NULL, 0, deadline); }

void hub_yield(void) {
    current()->record.ops_since_wait = 0;
    current()->state = READY;
    switch_to(&loop);
}

static int end_turn(void) { return hub_yield(), 0; }

typedef struct job { void (*work)(void *), (*release)(void *), *record; _Atomic int is_done; } job;

static void *do_job(void *context) {
    job *j = context;
    j->work(j->record);
    j->release(j->record);
    j->is_done = 1;
    return NULL;
}

static int offload(void (*work)(void *), void (*release)(void *), void *record) {
    job j = {work, release, record, 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_job, &j)) return EAGAIN;
    while (!j.is_done) pause_until(now() + 1000000);
    pthread_join(thread, NULL);
    return 0;
}

static void wake(worker *w, int result) { w->result = result, w->state = READY; }
static void end_wait(void *thread) { wake(thread, EBADF); }

const green_patch_hooks hub_hooks = {.wait = wait_for, .sleep = pause_until, .turn = end_turn, .offload = offload, .closed = end_wait};

// ---- The loop

static int run_ready(void) {
    int ran = 0;
    for (worker *w = workers; w < workers + THREADS; w++) {
        if (w->state != READY) continue;
        switch_to(&w->record);
        if (w->state == FREE) green_sanitizer_freed(&w->record);
        ran = 1;
    }
    return ran;
}

static void wait_for_events(void) {
    struct pollfd all[WANTED];
    size_t n = 0;
    int64_t first = INT64_MAX;
    for (worker *w = workers; w < workers + THREADS; w++) {
        if (w->state != WAITING) continue;
        if (w->deadline < first) first = w->deadline;
        if (n + w->count > WANTED) abort();
        memcpy(all + n, w->wanted, w->count * sizeof *all);
        n += w->count;
    }
    int64_t left = first - now();
    struct timespec time = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
    syscall(SYS_ppoll, all, n, first == INT64_MAX ? NULL : &time, NULL, 8);
    n = 0;
    for (worker *w = workers; w < workers + THREADS; w++) {
        if (w->state != WAITING) continue;
        int is_ready = 0;
        for (size_t i = 0; i < w->count; i++) is_ready |= all[n + i].revents;
        n += w->count;
        if (is_ready) wake(w, 0);
        else if (w->deadline <= now()) wake(w, ETIMEDOUT);
    }
}

static _Thread_local int has_ended;
static struct { void (*body)(void *); void *context; } first;
static void run_first(void *unused) {
    (void)unused;
    first.body(first.context);
    has_ended = 1;
}

void hub_run(void (*body)(void *), void *context) {
    first.body = body, first.context = context;
    has_ended = 0;
    green_sanitizer_main(&loop);
    green_running_ = &loop;
    hub_spawn(run_first, NULL);
    while (!has_ended) {
        if (!run_ready() && !has_ended) wait_for_events();
    }
    green_running_ = NULL;
}
