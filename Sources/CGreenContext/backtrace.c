// Backtraces by frame pointers, which Swift keeps: of a suspended green thread from what the switch has saved, and of a running OS
// thread from a signal that interrupts it.  Bounded by the stack, so that code without frame pointers can end one but not break it.

#define _GNU_SOURCE
#include "CGreenContext.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

typedef struct bounds {
    uintptr_t low, high;
} bounds;

__attribute__((no_sanitize("address", "thread"))) static int walk(uintptr_t fp, bounds stack, void **frames, int count, int limit) {
    while (count < limit && fp % sizeof(void *) == 0 && fp >= stack.low && fp + 2 * sizeof(void *) <= stack.high) {
        void **frame = (void **)fp;
        if (!frame[1]) break;
        frames[count++] = frame[1];
        if ((uintptr_t)frame[0] <= fp) break;  // outwards only
        fp = (uintptr_t)frame[0];
    }
    return count;
}

// Of the OS thread that calls.
static bounds own_stack(void) {
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &size);
        pthread_attr_destroy(&attributes);
    }
    return (bounds){(uintptr_t)low, (uintptr_t)low + size};
}

// A green thread's own; the record of an OS thread's stack has no slot.
static bounds stack_of(const green_thread *thread, bounds os_thread) {
    if (!thread || !thread->slot) return os_thread;
    return (bounds){(uintptr_t)thread->stack_low, (uintptr_t)thread->stack_high};
}

// As the switch has pushed them: see the assembly.
#if defined(__x86_64__)
enum { SAVED_FP = 6, SAVED_PC = 7 };
#else
enum { SAVED_FP = 10, SAVED_PC = 11 };
#endif

int green_backtrace(const green_thread *thread, void **frames, int limit) {
    if (limit < 1) return 0;
    void **saved = thread->stack_pointer;
    frames[0] = saved[SAVED_PC];
    return walk((uintptr_t)saved[SAVED_FP], stack_of(thread, own_stack()), frames, 1, limit);
}

// MARK: A running one

enum { IDLE, ASKED, ANSWERED };

// Guarded by `one_at_a_time`, and by `stage` towards the handler.
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int stage;
static green_sample *wanted;
static bounds wanted_stack;

// Ignored by default and hardly used, so that one which comes late does no harm.
enum { SAMPLING_SIGNAL = SIGURG };

static void answer(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    if (atomic_load(&stage) != ASKED) return;
    const ucontext_t *interrupted = context;
#if defined(__x86_64__)
    uintptr_t pc = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP], fp = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RBP];
#else
    uintptr_t pc = interrupted->uc_mcontext.pc, fp = interrupted->uc_mcontext.regs[29];
#endif
    const green_thread *thread = green_running();
    wanted->id = thread ? thread->id : 0;
    wanted->name[0] = 0;
    if (thread && thread->name) strncat(wanted->name, thread->name, sizeof wanted->name - 1);
    wanted->frames[0] = (void *)pc;
    wanted->count = walk(fp, stack_of(thread, wanted_stack), wanted->frames, 1, GREEN_SAMPLE_FRAMES);
    atomic_store(&stage, ANSWERED);
}

static void install(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SAMPLING_SIGNAL, &action, NULL);
}

void green_sample_prepare(green_sample_target *target) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    // Threads of some libraries block all signals, and those that they start inherit it.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SAMPLING_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    bounds stack = own_stack();
    *target = (green_sample_target){pthread_self(), stack.low, stack.high};
}

int green_sample_take(const green_sample_target *target, green_sample *sample) {
    pthread_mutex_lock(&one_at_a_time);
    wanted = sample;
    wanted_stack = (bounds){target->stack_low, target->stack_high};
    atomic_store(&stage, ASKED);
    int sent = pthread_kill(target->thread, SAMPLING_SIGNAL) == 0;
    for (int turn = 0; sent && turn < 200 && atomic_load(&stage) == ASKED; turn++) {
        nanosleep(&(struct timespec){.tv_nsec = 500 * 1000}, NULL);
    }
    // Whoever answers from now on finds that nobody asks.
    int expected = ASKED;
    int answered = !atomic_compare_exchange_strong(&stage, &expected, IDLE);
    pthread_mutex_unlock(&one_at_a_time);
    return answered;
}
