// Running over the end of a green thread's stack touches its guard.  The handler names the green thread, its depth and the size of its stack,
// which the bare "Segmentation fault" would not, and lets the process die as it would have.
//
// A function whose frame is larger than the guard can touch memory beyond the guard first: the top of another green thread's stack.  That is no fault, and
// cannot be reported.

#define _GNU_SOURCE
#include "backtrace.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#endif

enum { ALTERNATE_STACK_BYTES = 64 * 1024, FRAMES = 32 };

static struct sigaction previous_segv, previous_bus;

static void say(const char *text, size_t length) {
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, text, length);
        if (n <= 0) return;
        text += n;
        length -= (size_t)n;
    }
}

typedef struct fault {
    uintptr_t stack_pointer, frame_pointer;
} fault;

static fault fault_of(const ucontext_t *context) {
#if defined(__x86_64__)
    const greg_t *saved = context->uc_mcontext.gregs;
    return (fault){(uintptr_t)saved[REG_RSP], (uintptr_t)saved[REG_RBP]};
#else
    return (fault){context->uc_mcontext.sp, context->uc_mcontext.regs[29]};
#endif
}

// How deep it was: as many calls as frame pointers show, and bytes.
static void describe_depth(const green_thread *thread, fault fault, char *text, size_t size) {
    int calls = green_count_frames(fault.frame_pointer, fault.stack_pointer, green_stack_of(thread, (green_bounds){0, 0}));
    size_t used = (uintptr_t)thread->stack_high - fault.stack_pointer;
    if (calls > 0) snprintf(text, size, "%d calls deep, with %zu KiB", calls, used / 1024);
    else snprintf(text, size, "with %zu KiB", used / 1024);
}

#if HAVE_BACKTRACE
typedef struct trace {
    void *frames[FRAMES];
    int count;
} trace;

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *argument) {
    trace *trace = argument;
    uintptr_t pc = _Unwind_GetIP(context);
    if (pc == 0 || trace->count == FRAMES) return _URC_END_OF_STACK;
    trace->frames[trace->count++] = (void *)pc;
    return _URC_NO_REASON;
}

// glibc's backtrace loads libgcc_s.so.1 for itself, also into a program that is linked with libgcc statically: five more mappings, which each fork copies.
static void collect_frames(trace *trace) {
    trace->count = 0;
    _Unwind_Backtrace(add_frame, trace);
}
#endif

// snprintf is not on POSIX's list of what a handler may call; glibc's allocates nothing for integers and short strings, and the
// process is about to end anyway.
static void report(const green_thread *thread, fault fault) {
    char line[512], depth[64];
    describe_depth(thread, fault, depth, sizeof depth);
    size_t pages = ((size_t)((char *)thread->stack_high - (char *)thread->slot) + 4095) / 4096;  // the record lies above
    int length = snprintf(line, sizeof line,
                          "GreenNet: green thread %llu%s%.200s%s overflowed its stack of %zu KiB, %s in use: "
                          "recursion too deep, or too much on the stack. spawn(stackSize:) or Hub.defaultStackSize makes it larger. "
                          "Backtrace, innermost first:\n",
                          (unsigned long long)thread->id, thread->name ? " (" : "", thread->name ? thread->name : "",
                          thread->name ? ")" : "", pages * 4, depth);
    say(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
#if HAVE_BACKTRACE
    trace trace;
    collect_frames(&trace);
    backtrace_symbols_fd(trace.frames, trace.count, STDERR_FILENO);
#endif
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    const green_thread *thread = green_running();
    char *address = info->si_addr;
    int sent = info->si_code <= 0;  // by kill or the like: there is no address, and nothing that would fault again
    if (!sent && thread && thread->slot && address >= (char *)thread->slot && address < (char *)thread->stack_low) report(thread, fault_of(context));
    // Not ours, or ours and reported: fault again under whatever handled it before (Swift's backtracer, a sanitizer, the default).
    sigaction(signal, signal == SIGSEGV ? &previous_segv : &previous_bus, NULL);
    if (sent) raise(signal);  // blocked here, so it comes once this handler has returned
}

static void install(void) {
#if HAVE_BACKTRACE
    trace trace;
    collect_frames(&trace);  // the unwinder sorts its tables now: a handler must not
#endif
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
}

void *green_overflow_watch(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && !(current.ss_flags & SS_DISABLE)) return NULL;  // a sanitizer's or the user's own
    void *memory = mmap(NULL, ALTERNATE_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    stack_t alternate = {.ss_sp = memory, .ss_size = ALTERNATE_STACK_BYTES};
    sigaltstack(&alternate, NULL);
    return memory;
}

void green_overflow_unwatch(void *alternate_stack) {
    if (!alternate_stack) return;
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    munmap(alternate_stack, ALTERNATE_STACK_BYTES);
}
