// The main queue of libdispatch, on which jobs for the main actor come, by the calls that libdispatch has for a run loop.  Weak: a program
// without libdispatch has no such queue, and needs none.

#define _GNU_SOURCE
#include "CLinux.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int _dispatch_get_main_queue_handle_4CF(void) __attribute__((weak));
extern void _dispatch_main_queue_callback_4CF(void *) __attribute__((weak));
// The queue itself, of which only this is taken for granted: it is not the same with a job in it as without.
extern const char _dispatch_main_q[] __attribute__((weak));

enum { WORDS = 32 };
static uint32_t at_start[WORDS];
static pid_t main_number;

// Before any code of the program.  libdispatch, where it is a library, has set the queue up by then.
__attribute__((constructor)) static void remember_queue(void) {
    main_number = getpid();
    if (_dispatch_main_q) memcpy(at_start, _dispatch_main_q, sizeof(at_start));
}

int green_main_queue_exists(void) {
    return _dispatch_main_q && _dispatch_get_main_queue_handle_4CF && _dispatch_main_queue_callback_4CF;
}

int green_main_queue_was_used(void) {
    uint32_t now[WORDS];
    memcpy(now, _dispatch_main_q, sizeof(now));
    if (memcmp(now, at_start, sizeof(now)) == 0) return 0;
    // Linked statically, libdispatch notes the number of the main OS thread, by its bits, after `remember_queue`.
    uint32_t number = (uint32_t)main_number;
    for (int i = 0; i < WORDS; i++) {
        if (now[i] != at_start[i] && now[i] != (at_start[i] | number)) return 1;
    }
    return 0;
}

// libdispatch stops the program where it gets no descriptor.
static int has_descriptor_left(void) {
    int descriptor = eventfd(0, EFD_CLOEXEC);
    return descriptor >= 0 && close(descriptor) == 0;
}

int green_main_queue_handle(void) { return has_descriptor_left() ? _dispatch_get_main_queue_handle_4CF() : -1; }

void green_main_queue_drain(int handle) {
    eventfd_t count;
    (void)!eventfd_read(handle, &count);
    _dispatch_main_queue_callback_4CF(NULL);
}

int green_is_main_thread(void) { return (pid_t)syscall(SYS_gettid) == getpid(); }

int green_is_single_threaded(void) { return __libc_single_threaded; }
