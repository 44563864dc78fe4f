// AddressSanitizer keeps the bounds of the stack that runs, ThreadSanitizer a shadow call stack for it.  Both need a call
// at each switch.  In other builds green_switch is the assembly itself and the rest is empty.

#include "CSwitch.h"

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer) || defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#endif

#if ADDRESS_SANITIZER || THREAD_SANITIZER
void green_switch_registers(green_thread *from, green_thread *to);
#endif

#if ADDRESS_SANITIZER

void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom_old, size_t *size_old);
void __asan_unpoison_memory_region(void const volatile *low, size_t size);

// Set before each switch: whom the resumed side has left behind.
static _Thread_local green_thread *left;

__attribute__((no_sanitize("address"))) static void resumed(green_thread *self) {
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(self->sanitizer, &bottom, &size);
    if (left && !left->stack_low) {  // an OS thread's own stack: only the sanitizer has its bounds
        left->stack_low = (void *)bottom;
        left->stack_high = (char *)bottom + size;
    }
}

__attribute__((no_sanitize("address"))) void green_switch(green_thread *from, green_thread *to) {
    left = from;
    __sanitizer_start_switch_fiber(&from->sanitizer, to->stack_low, (char *)to->stack_high - (char *)to->stack_low);
    green_switch_registers(from, to);
    resumed(from);
}

// The outermost frame of a green thread: before and after it, no instrumented code runs on that stack.
__attribute__((no_sanitize("address"))) static green_thread *enter(void *argument) {
    green_thread *self = argument;
    resumed(self);
    green_thread *next = self->entry(self);
    left = self;
    // Null: the fake frames of this stack are freed, for no switch comes back to them.
    __sanitizer_start_switch_fiber(NULL, next->stack_low, (char *)next->stack_high - (char *)next->stack_low);
    return next;
}

green_entry green_sanitizer_entry(green_thread *thread, green_entry entry) {
    thread->entry = entry;
    return enter;
}
void green_sanitizer_made(green_thread *thread) {
    // A thread that was left here for ever, suspended, has left the red zones of its frames behind.
    size_t bytes = (char *)thread->stack_high - (char *)thread->stack_low;
    __asan_unpoison_memory_region(thread->stack_low, bytes);
}
void green_sanitizer_main(green_thread *thread) { (void)thread; }
void green_sanitizer_freed(green_thread *thread) { (void)thread; }
void green_sanitizer_locked(void *lock) { (void)lock; }
void green_sanitizer_unlocking(void *lock) { (void)lock; }
int green_sanitizer(void) { return 1; }

#elif THREAD_SANITIZER

void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *address);
void __tsan_release(void *address);

// Uninstrumented: the function that switches would else pop its frame from the other fiber's shadow stack.
#define UNINSTRUMENTED __attribute__((disable_sanitizer_instrumentation))

UNINSTRUMENTED void green_switch(green_thread *from, green_thread *to) {
    __tsan_switch_to_fiber(to->sanitizer, 0);
    green_switch_registers(from, to);
}

UNINSTRUMENTED static green_thread *enter(void *argument) {
    green_thread *self = argument;
    green_thread *next = self->entry(self);
    __tsan_switch_to_fiber(next->sanitizer, 0);
    return next;
}

green_entry green_sanitizer_entry(green_thread *thread, green_entry entry) {
    thread->entry = entry;
    return enter;
}
void green_sanitizer_made(green_thread *thread) {
    thread->sanitizer = __tsan_create_fiber(0);
}
void green_sanitizer_main(green_thread *thread) { thread->sanitizer = __tsan_get_current_fiber(); }
void green_sanitizer_freed(green_thread *thread) {
    if (thread->sanitizer) __tsan_destroy_fiber(thread->sanitizer);
    thread->sanitizer = NULL;
}
void green_sanitizer_locked(void *lock) { __tsan_acquire(lock); }
void green_sanitizer_unlocking(void *lock) { __tsan_release(lock); }
int green_sanitizer(void) { return 2; }

#else

green_entry green_sanitizer_entry(green_thread *thread, green_entry entry) {
    (void)thread;
    return entry;
}
void green_sanitizer_made(green_thread *thread) { (void)thread; }
void green_sanitizer_main(green_thread *thread) { (void)thread; }
void green_sanitizer_freed(green_thread *thread) { (void)thread; }
void green_sanitizer_locked(void *lock) { (void)lock; }
void green_sanitizer_unlocking(void *lock) { (void)lock; }
int green_sanitizer(void) { return 0; }

#endif
