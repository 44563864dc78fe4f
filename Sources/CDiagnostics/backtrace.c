// Backtraces by frame pointers, which Swift keeps: of a suspended green thread from what the switch has saved.
// Bounded by the stack, so that code without frame pointers can end one but not break it.

#define _GNU_SOURCE
#include "backtrace.h"

#include <pthread.h>

__attribute__((no_sanitize("address", "thread"))) int green_walk(uintptr_t fp, green_bounds stack, void **frames, int count, int limit) {
    while (count < limit && fp % sizeof(void *) == 0 && fp >= stack.low && fp + 2 * sizeof(void *) <= stack.high) {
        void **frame = (void **)fp;
        if (!frame[1]) break;
        frames[count++] = frame[1];
        if ((uintptr_t)frame[0] <= fp) break;  // outwards only
        fp = (uintptr_t)frame[0];
    }
    return count;
}

void green_start(void);  // in the assembly: the outermost frame is called by it

__attribute__((no_sanitize("address", "thread"))) static int count_chain(uintptr_t fp, green_bounds stack) {
    int count = 0;
    while (fp % sizeof(void *) == 0 && fp >= stack.low && fp + 2 * sizeof(void *) <= stack.high) {
        const uintptr_t *frame = (const uintptr_t *)fp;
        count++;
        // Code without frame pointers leaves anything in the register, which may look like a frame.
        if (!frame[0]) return frame[1] - (uintptr_t)green_start < 64 ? count : 0;
        if (frame[0] <= fp) break;  // outwards only
        fp = frame[0];
    }
    return 0;
}

// As far as the frames of a few functions without frame pointers reach: malloc and what it calls.
enum { SEARCHED_BYTES = 8 << 10 };

int green_count_frames(uintptr_t fp, uintptr_t sp, green_bounds stack) {
    int count = count_chain(fp, stack);
    uintptr_t begin = sp > stack.low ? sp & ~(sizeof(void *) - 1) : stack.low;
    for (uintptr_t at = begin; !count && at < begin + SEARCHED_BYTES && at < stack.high; at += sizeof(void *)) count = count_chain(at, stack);
    return count;
}

green_bounds green_own_stack(void) {
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &size);
        pthread_attr_destroy(&attributes);
    }
    return (green_bounds){(uintptr_t)low, (uintptr_t)low + size};
}

green_bounds green_stack_of(const green_thread *thread, green_bounds os_thread) {
    if (!thread || !thread->slot) return os_thread;
    return (green_bounds){(uintptr_t)thread->stack_low, (uintptr_t)thread->stack_high};
}

int green_backtrace(const green_thread *thread, void **frames, int limit) {
    if (limit < 1) return 0;
    void **saved = thread->stack_pointer;
    frames[0] = saved[SAVED_PC];
    return green_walk((uintptr_t)saved[SAVED_FP], green_stack_of(thread, green_own_stack()), frames, 1, limit);
}
