// Mutexes, where install() was asked for them.
//
// To the C library all green threads of an OS thread are one owner.  A plain mutex that one of them holds while it is parked would stop the OS thread
// for ever, and a recursive one would let the others in.  Here a green thread tries, and parks between its attempts; for the kinds of mutexes that
// know their owner, a table knows the green thread.

#include "patch.h"

#include <stdatomic.h>
#include <sys/syscall.h>

_Atomic int patch_mutexes;

typedef struct holder {
    struct holder *next;
    const pthread_mutex_t *mutex;
    const green_thread *thread;
} holder;

enum { ROWS = 64 };
static _Thread_local holder *rows[ROWS] __attribute__((tls_model("initial-exec")));
static _Thread_local int own_id __attribute__((tls_model("initial-exec")));

static holder **find(const pthread_mutex_t *mutex) {
    holder **h = &rows[((uintptr_t)mutex >> 4) % ROWS];
    while (*h && (*h)->mutex != mutex) h = &(*h)->next;
    return h;
}

// Robust mutexes, and those that are shared between processes or lend priority, are left alone.  PTHREAD_MUTEX_NORMAL, set explicitly, has a bit that
// forbids lock elision.
enum { TYPE = 3, ELISION = 256, NO_ELISION = 512 };
static int is_simple(const pthread_mutex_t *mutex) { return !(mutex->__data.__kind & ~(TYPE | ELISION | NO_ELISION)); }
static int knows_owner(const pthread_mutex_t *mutex) {
    int kind = mutex->__data.__kind & TYPE;
    return kind == PTHREAD_MUTEX_RECURSIVE_NP || kind == PTHREAD_MUTEX_ERRORCHECK_NP;
}

static int is_this_os_threads(const pthread_mutex_t *mutex) {
    if (!own_id) own_id = (int)syscall(SYS_gettid);
    return __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED) == own_id;
}

// By another green thread of this OS thread.  One that was locked before the install counts as the caller's.
static int is_held_by_other(const pthread_mutex_t *mutex, const green_thread *thread) {
    holder *h = is_this_os_threads(mutex) ? *find(mutex) : NULL;
    return h && h->thread != thread;
}

static void note_holder(const pthread_mutex_t *mutex, const green_thread *thread) {
    holder **row = find(mutex), *h = *row ? NULL : malloc(sizeof *h);
    if (!h) return;
    *h = (holder){NULL, mutex, thread};
    *row = h;
}

static void forget_holder(const pthread_mutex_t *mutex) {
    holder **row = find(mutex), *h = *row;
    if (!h) return;
    *row = h->next;
    free(h);
}

static int try_lock(pthread_mutex_t *mutex, const green_thread *thread) {
    if (!knows_owner(mutex)) return own_pthread_mutex_trylock(mutex);
    if (is_held_by_other(mutex, thread)) return EBUSY;
    int result = own_pthread_mutex_trylock(mutex);
    if (result == 0) note_holder(mutex, thread);
    return result;
}

// A lock cannot fail because its caller was killed: it goes on, and lets the others run.
static void pause_between_attempts(int64_t *length) {
    enum { SHORTEST = 50000, LONGEST = 1000000 };
    int number = errno;
    if (*length == 0 || patch_hooks.sleep(patch_after(*length)) == ECANCELED) patch_hooks.turn();
    *length = *length == 0 ? SHORTEST : *length < LONGEST ? *length * 2 : LONGEST;
    errno = number;
}

// The caller has it already, which the C library reports.
static int is_callers_error(const pthread_mutex_t *mutex, const green_thread *thread) {
    return (mutex->__data.__kind & TYPE) == PTHREAD_MUTEX_ERRORCHECK_NP && is_this_os_threads(mutex) && !is_held_by_other(mutex, thread);
}

PATCH_IF(patch_mutexes, int, pthread_mutex_lock, (pthread_mutex_t *mutex), (mutex)) {
    green_thread *thread = patch_caller();
    if (!thread || !is_simple(mutex) || is_callers_error(mutex, thread)) return own_pthread_mutex_lock(mutex);
    int64_t length = 0;
    int result;
    while ((result = try_lock(mutex, thread)) == EBUSY) pause_between_attempts(&length);
    return result;
}

static int64_t left_until(const struct timespec *end) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return patch_of_timespec(end) - patch_of_timespec(&now);
}

PATCH_IF(patch_mutexes, int, pthread_mutex_timedlock, (pthread_mutex_t *mutex, const struct timespec *end), (mutex, end)) {
    green_thread *thread = patch_caller();
    if (!thread || !is_simple(mutex) || is_callers_error(mutex, thread)) return own_pthread_mutex_timedlock(mutex, end);
    int64_t length = 0;
    int result;
    while ((result = try_lock(mutex, thread)) == EBUSY) {
        if (!patch_is_valid(end)) return EINVAL;
        if (left_until(end) <= 0) return ETIMEDOUT;
        pause_between_attempts(&length);
    }
    return result;
}

PATCH_IF(patch_mutexes, int, pthread_mutex_trylock, (pthread_mutex_t *mutex), (mutex)) {
    green_thread *thread = patch_caller();
    return thread && is_simple(mutex) ? try_lock(mutex, thread) : own_pthread_mutex_trylock(mutex);
}

PATCH_IF(patch_mutexes, int, pthread_mutex_unlock, (pthread_mutex_t *mutex), (mutex)) {
    int is_last = is_simple(mutex) && knows_owner(mutex) && mutex->__data.__count <= 1 && is_this_os_threads(mutex);
    if (is_last) forget_holder(mutex);
    return own_pthread_mutex_unlock(mutex);
}
