// Running over the end of a green thread's stack touches its guard.  The handler names the green thread and the size of its stack, which
// the bare "Segmentation fault" would not, and lets the process die as it would have.

#define _GNU_SOURCE
#include "CDiagnostics.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
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

// snprintf is not on POSIX's list of what a handler may call; glibc's allocates nothing for integers and short strings, and the
// process is about to end anyway.
static void report(const green_thread *thread) {
    char line[512];
    size_t pages = ((size_t)((char *)thread->stack_high - (char *)thread->slot) + 4095) / 4096;  // the record lies above
    int length = snprintf(line, sizeof line,
                          "GreenNet: green thread %llu%s%.200s%s overflowed its stack of %zu KiB; "
                          "recursion too deep, or too much on the stack. Backtrace, innermost first:\n",
                          (unsigned long long)thread->id, thread->name ? " (" : "", thread->name ? thread->name : "",
                          thread->name ? ")" : "", pages * 4);
    say(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
#if HAVE_BACKTRACE
    void *frames[FRAMES];
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
#endif
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    const green_thread *thread = green_running();
    char *address = info->si_addr;
    int sent = info->si_code <= 0;  // by kill or the like: there is no address, and nothing that would fault again
    if (!sent && thread && thread->slot && address >= (char *)thread->slot && address < (char *)thread->stack_low) report(thread);
    // Not ours, or ours and reported: fault again under whatever handled it before (Swift's backtracer, a sanitizer, the default).
    sigaction(signal, signal == SIGSEGV ? &previous_segv : &previous_bus, NULL);
    if (sent) raise(signal);  // blocked here, so it comes once this handler has returned
}

static void install(void) {
#if HAVE_BACKTRACE
    void *frame;
    backtrace(&frame, 1);  // loads the unwinder now: a handler must not
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
