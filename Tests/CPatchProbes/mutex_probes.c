// These probes need the mutexes patched too.

#include "support.h"

#include <pthread.h>

enum { THREADS = 4 };

typedef struct guarded {
    pthread_mutex_t mutex;
    int is_recursive, inside, most, entered;
} guarded;

// Twice into a recursive one.
static void enter(void *context) {
    guarded *g = context;
    int depth = g->is_recursive ? 2 : 1;
    for (int i = 0; i < depth; i++) pthread_mutex_lock(&g->mutex);
    g->entered++;
    if (++g->inside > g->most) g->most = g->inside;
    poll(NULL, 0, 2);
    g->inside--;
    for (int i = 0; i < depth; i++) pthread_mutex_unlock(&g->mutex);
}

static const char *hold_over_waits(int type) {
    guarded g = {.is_recursive = type == PTHREAD_MUTEX_RECURSIVE};
    task tasks[THREADS];
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutex_init(&g.mutex, &attributes);
    for (int i = 0; i < THREADS; i++) start(&tasks[i], enter, &g);
    for (int i = 0; i < THREADS; i++) join(&tasks[i]);
    EXPECT(g.entered == THREADS && g.most == 1);
    EXPECT(pthread_mutex_trylock(&g.mutex) == 0 && pthread_mutex_unlock(&g.mutex) == 0);
    EXPECT(pthread_mutex_destroy(&g.mutex) == 0);
    return NULL;
}

const char *probe_plain_mutex(void) { return hold_over_waits(PTHREAD_MUTEX_NORMAL); }
const char *probe_recursive_mutex(void) { return hold_over_waits(PTHREAD_MUTEX_RECURSIVE); }
const char *probe_checking_mutex(void) { return hold_over_waits(PTHREAD_MUTEX_ERRORCHECK); }

typedef struct attempt { pthread_mutex_t *mutex; int result; } attempt;
static void attempt_lock(void *context) {
    attempt *a = context;
    a->result = pthread_mutex_trylock(a->mutex);
}

static void hold_for_a_while(void *context) {
    pthread_mutex_t *mutex = context;
    pthread_mutex_lock(mutex);
    poll(NULL, 0, 30);
    pthread_mutex_unlock(mutex);
}

static struct timespec in_ms(int ms) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += (long)ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000, time.tv_nsec %= 1000000000;
    return time;
}

const char *probe_timed_mutex(void) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    task t;
    start(&t, hold_for_a_while, &mutex);
    yield();
    struct timespec soon = in_ms(5), later = in_ms(10000), past = {0}, wrong = {0, 1000000000};
    int64_t begin = now_ms();
    EXPECT(pthread_mutex_timedlock(&mutex, &soon) == ETIMEDOUT && now_ms() - begin >= 4);
    EXPECT(pthread_mutex_timedlock(&mutex, &past) == ETIMEDOUT);
    EXPECT(pthread_mutex_timedlock(&mutex, &wrong) == EINVAL);
    EXPECT(pthread_mutex_timedlock(&mutex, &later) == 0);
    EXPECT(now_ms() - begin < 5000);
    EXPECT(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_timedlock(&mutex, &past) == 0);
    EXPECT(pthread_mutex_unlock(&mutex) == 0);
    join(&t);
    return NULL;
}

const char *probe_mutex_errors(void) {
    int types[] = {PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_NORMAL};
    for (int i = 0; i < 3; i++) {
        pthread_mutex_t mutex;
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, types[i]);
        pthread_mutex_init(&mutex, &attributes);
        EXPECT(pthread_mutex_lock(&mutex) == 0);
        attempt a = {&mutex, -1};
        task t;
        start(&t, attempt_lock, &a);
        join(&t);
        EXPECT(a.result == EBUSY);
        if (types[i] == PTHREAD_MUTEX_ERRORCHECK) EXPECT(pthread_mutex_lock(&mutex) == EDEADLK);
        if (types[i] == PTHREAD_MUTEX_RECURSIVE) EXPECT(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
        EXPECT(pthread_mutex_unlock(&mutex) == 0);
        if (types[i] == PTHREAD_MUTEX_ERRORCHECK) EXPECT(pthread_mutex_unlock(&mutex) == EPERM);
        pthread_mutex_destroy(&mutex);
    }
    return NULL;
}
