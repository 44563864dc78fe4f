// The first frame of a green thread, laid out as the switch leaves a suspended one.

#include "CSwitch.h"

_Thread_local green_thread *green_running_ __attribute__((tls_model("initial-exec")));
_Thread_local uint32_t green_owner_here_ __attribute__((tls_model("initial-exec")));
_Thread_local int64_t green_virtual_time_ __attribute__((tls_model("initial-exec")));

void green_start(void);  // in the assembly

#if defined(__x86_64__)

typedef struct first_frame {
    uint32_t mxcsr;
    uint16_t x87_control;
    uint16_t unused;
    void *r15, *r14;
    void *argument;                   // r13
    green_entry entry;                // r12
    void *rbx, *rbp;
    void (*resume)(void);
    void *alignment[2];               // the stack pointer is 16-aligned once `resume` was popped
} first_frame;

static void set_modes(first_frame *frame) {
    // A new green thread starts with the modes of its spawner, as a new OS thread does.
    __asm__ volatile("stmxcsr %0" : "=m"(frame->mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(frame->x87_control));
}

#elif defined(__aarch64__)

typedef struct first_frame {
    green_entry entry;                // x19
    void *argument;                   // x20
    void *x21_to_x28[8];
    void *x29;
    void (*resume)(void);             // x30
    double d8_to_d15[8];
    uint64_t fpcr;
    uint64_t alignment;
} first_frame;

static void set_modes(first_frame *frame) { __asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr)); }

#else
#error "GreenNet switches stacks on x86-64 and AArch64 only"
#endif

_Static_assert(sizeof(first_frame) % 16 == 0, "the stack pointer must stay 16-aligned at the first call");

void green_first_frame(green_thread *thread, green_entry entry) {
    uintptr_t top = (uintptr_t)thread->stack_high & ~(uintptr_t)15;
    first_frame *frame = (first_frame *)(top - sizeof(first_frame));
    *frame = (first_frame){0};
    set_modes(frame);
    frame->entry = green_sanitizer_entry(thread, entry);
    frame->argument = thread;
    frame->resume = green_start;
    thread->stack_pointer = frame;
}
