// Whether a call may park its caller, and what install() sets.

#include "patch.h"

#include <stdatomic.h>

green_patch_hooks patch_hooks;
static _Atomic int installed;  // 0, or 1 + GREEN_PATCH_...
static _Atomic int in_child;
static green_thread *_Atomic parents;  // the green thread that called fork()

static void after_fork_in_child(void) {
    in_child = 1;
    parents = green_running_;
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

void green_patch_install(const green_patch_hooks *hooks, int options) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    patch_hooks = *hooks;
    in_child = 0;
    patch_mutexes = options & GREEN_PATCH_MUTEXES;
    installed = 1 + options;
}
void green_patch_uninstall(void) { installed = 0; }
int green_patch_options(void) { return in_child ? -1 : installed - 1; }
int green_patch_in_child(void) { return in_child && parents && parents->scheduler && green_running_ && green_running_->scheduler == parents->scheduler; }

static _Thread_local uintptr_t own_low, own_high;  // the OS thread's stack

static void find_own_stack(void) {
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &size);
        pthread_attr_destroy(&attributes);
    }
    own_low = (uintptr_t)low, own_high = own_low + size;
}

static int is_on_stack_of(const green_thread *thread) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (thread->slot) return here >= (uintptr_t)thread->stack_low && here < (uintptr_t)thread->stack_high;
    if (!own_high) find_own_stack();
    return here >= own_low && here < own_high;
}

green_thread *patch_caller(void) {
    green_thread *thread = green_running_;
    int how = atomic_load_explicit(&installed, memory_order_relaxed);
    // The hub itself has no body.  A forked child must not run its parent's green threads.
    if (!thread || !how || !thread->body || atomic_load_explicit(&in_child, memory_order_relaxed)) return NULL;
    if (!thread->slot && !((how - 1) & GREEN_PATCH_MAIN)) return NULL;
    // A signal handler on a stack of its own, and a library that has switched to a stack of its own, are not parked.
    return is_on_stack_of(thread) ? thread : NULL;
}
