// What speaks when something is wrong: the report of a stack that has overflowed, the frames of green threads, the names of
// their functions, and a look at an OS thread from another one.  Swift cannot: most of it runs in signal handlers.

#ifndef CDIAGNOSTICS_H
#define CDIAGNOSTICS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "CSwitch.h"

/// Installs the handler that names a green thread whose stack has overflowed (once a process) and an alternate signal stack
/// for this OS thread, without which nothing could run.  Returns the alternate stack to free later, or null.
void *green_overflow_watch(void);
void green_overflow_unwatch(void *alternate_stack);

typedef struct green_bounds {
    uintptr_t low, high;
} green_bounds;

/// The stack of the OS thread that calls, as pthread_getattr_np has it: without the guard, and for the first OS thread as large as the limit (`ulimit -s`)
/// lets it grow.  Both 0 where that is not known, for want of /proc.  Reads /proc/self/maps on the first OS thread.
green_bounds green_own_stack(void);

/// Stores the return addresses of a suspended green thread, innermost first; returns how many.  Called on its hub's OS thread.
int green_backtrace(const green_thread *thread, void **frames, int limit);

enum { GREEN_LOOK_FRAMES = 64 };

/// What an OS thread was doing at one moment: the green thread that ran on it (0: none), and its frames, innermost first; none where they can't be had.
typedef struct green_look {
    uint64_t id;
    char name[64];
    uint64_t futex;  // where it sleeps until another one wakes it: the address; else 0
    int count;
    void *frames[GREEN_LOOK_FRAMES];
} green_look;

/// An OS thread that can be looked at.
typedef struct green_look_target {
    pthread_t thread;
    pid_t number;
    green_thread *const *running;  // where it keeps which green thread runs
    uintptr_t stack_low, stack_high;
} green_look_target;

/// Makes the OS thread that calls one that can be looked at while it lives.
void green_look_prepare(green_look_target *target);

/// What changes when an OS thread goes on.
typedef struct green_activity {
    int runs;         // or has work to do; else it sleeps in the kernel
    uint64_t sleeps;  // how many times it has begun to sleep
    uint64_t id;      // of the green thread that runs; 0: not known
} green_activity;

/// Returns 0 where the kernel doesn't say, for want of /proc.  From any OS thread.
int green_look_activity(const green_look_target *target, green_activity *activity);

/// Looks at what `target` does.  A target that sleeps notices nothing; a target that runs is interrupted by a signal (SIGURG).  Without /proc,
/// both are.
/// Returns 0 where nothing is known of it.  From any OS thread; takes 100 ms at most.
int green_look_take(const green_look_target *target, green_look *look);

/// Looks at the green threads of `target` that are suspended, at most `limit`; where `inside`, a return address, isn't null, only at green threads
/// inside the function that holds it.  Returns how many.  While `target` runs one of them only, from any OS thread.
int green_look_suspended(const green_look_target *target, const void *inside, green_look *looks, int limit);

/// Whether the pthread_mutex_t at `mutex` is held by `target` itself.
int green_look_owns(const green_look_target *target, uint64_t mutex);

/// Where an address of the program's code lies: the file, and the function, empty where none is known; how far into that, or else into the file.
typedef struct green_place {
    const char *file;  // not to be freed
    char symbol[1024];
    long offset;
} green_place;

/// Returns 0 where the address is in no file.
int green_place_of(const void *address, green_place *place);

#endif
