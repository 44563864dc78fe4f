// What Swift cannot do for green threads: switch stacks, start a first frame, keep a thread-local pointer, tell the
// sanitizers, and install guards.
//
// One slot of a slab, addresses growing upwards:
//
//     slot           stack_low                                     record           slot + stack size
//      | guard pages  | <- the stack grows this way ............... | green_thread    | colour |
//
// The record lies at the top of its own stack, so that a wake-up touches one page.  Each record is shifted down by a
// few cache lines (its colour): stacks at a power-of-two stride would else put their hot lines in the same cache sets.

#ifndef CSWITCH_H
#define CSWITCH_H

#include <stddef.h>
#include <stdint.h>

#include "SwiftRuntime.h"

/// Parked green threads in the order in which they came, linked through `next` and `previous`.
typedef struct green_wait_queue {
    struct green_thread *first;
    struct green_thread *last;
} green_wait_queue;

/// What Swift's concurrency runtime keeps for each OS thread, side by side in its thread-local block: here each green thread has its own.
/// Nothing sets them but the runtime, and the switch.
typedef struct green_words {
    void *task;      // the task that runs
    void *executor;  // the executor that it runs on, as the innermost frame of the runtime that runs a job has it
    void *locals;    // the task-locals that are bound outside of any task
} green_words;

/// The record of a green thread.  It is laid out in C because the assembly, the overflow handler and Swift share it, and
/// because Swift promises no layout.  Owned by the scheduler named in it; touched only on that scheduler's OS thread.
///
/// Four cache lines, in the order of how often they are touched.  Of a green thread that has long been parked no line is in a cache: what a
/// wake-up, the ready queue and a switch need lies in the first line, so that a message fetches one line of the record, and that one ahead of time.
typedef struct green_thread {
    // Line 0: all that a wake-up and a switch touch.
    void *stack_pointer;         // valid only while suspended; first, for the assembly
    struct green_thread *next;   // in the ready queue or in `queue`, never in both; among the free stacks once it has ended
    void *scheduler;             // Scheduler.Fields
    green_wait_queue *queue;     // that it is in; null: in none
    int64_t waiting_since;       // the beginning of the loop's pass in which the wait under way began, ns
    int64_t scope_deadline;      // the nearest of the enclosing time limits; INT64_MAX: none
    uint8_t state;               // GreenState
    uint8_t wake;                // Wake: why the last wait ended
    uint8_t cancelled;           // killed: every wait throws from now on
    uint8_t shields;             // depth of `shielded`, in which neither a kill nor an enclosing time limit is felt
    uint16_t ops_since_wait;     // operations done since the last wait (fairness)
    uint8_t wait_kind;           // WaitKind of the wait under way or of the last one
    uint8_t flags;               // GREEN_STARTED, GREEN_HOLDS_WORDS
    uint64_t wait_detail;        // an id, a number or an address: WaitKind says what for each kind.  Prefetched as an address, whatever it is

    // Line 1: spawning, waiting in a queue or with a deadline, joining.
    int64_t deadline;               // of the wait under way, ns on the monotonic clock; INT64_MAX: none
    struct green_thread *previous;  // in `queue` only
    void *body;                     // AnyGreenlet, retained until the end; null: the hub's own
    intptr_t deadline_place;        // its place in the hub's DeadlineQueue, counted from 1; 0: none
    void *scopes;                   // innermost TimeoutScope
    green_wait_queue joiners;       // green threads that wait for its end
    struct green_thread *older;     // all of the hub that have not ended form a list, for dumps

    // Line 2: cold.  Set at the spawn, read by dumps, backtraces and the overflow handler.
    struct green_thread *younger;
    uint64_t id;
    char *name;         // owned, from strdup; null: only the id
    void *slot;         // where the guard begins; null: an OS thread's own stack
    void *stack_low;    // lowest usable address
    void *stack_high;   // one past the highest usable address
    void *sanitizer;    // AddressSanitizer's fake stack or ThreadSanitizer's fiber
    struct green_thread *(*entry)(void *);  // the sanitizers' builds only

    // Line 3: only where GREEN_HOLDS_WORDS is set, while it is suspended.
    struct green_words words;
    void *accesses;  // the exclusivity records of the task that it runs, with GREEN_IS_APART
} green_thread;

enum {
    GREEN_STARTED = 1,      // the body has begun
    GREEN_HOLDS_WORDS = 2,  // `words` are to be put in place when it goes on
    GREEN_IS_APART = 4,     // and `accesses`
};

// The green thread that runs on this OS thread; null until a hub was made here.  Swift has no thread-local variables of
// constant initial value.  Initial-exec: one load, and a green thread never leaves its OS thread, so that a cached
// address stays right.
extern _Thread_local green_thread *green_running_ __attribute__((tls_model("initial-exec")));

static inline green_thread *green_running(void) { return green_running_; }
static inline void green_set_running(green_thread *thread) { green_running_ = thread; }

// The number of this OS thread among those that ever had a hub; 0 until it has one, and the same for good from then on.
extern _Thread_local uint32_t green_owner_here_ __attribute__((tls_model("initial-exec")));

static inline uint32_t green_owner_here(void) { return green_owner_here_; }
static inline void green_set_owner_here(uint32_t number) { green_owner_here_ = number; }

// What this OS thread takes for the time, in nanoseconds, where a hub with a virtual clock runs on it; 0: the clock's.
extern _Thread_local int64_t green_virtual_time_ __attribute__((tls_model("initial-exec")));

static inline int64_t green_virtual_time(void) { return green_virtual_time_; }
static inline void green_set_virtual_time(int64_t nanoseconds) { green_virtual_time_ = nanoseconds; }

// Where the runtime has these words for this OS thread; a block of zeros until they were found, so that a switch need not ask.
extern _Thread_local green_words *green_words_ __attribute__((tls_model("initial-exec")));

// The exclusivity records of a task are in place: see green_accesses_begin.
extern _Thread_local unsigned char green_apart_ __attribute__((tls_model("initial-exec")));

/// Whether the green thread that runs has any of them set, or records of its own: then a switch away has to take them along.
static inline int green_words_held(void) {
    const green_words *words = green_words_;
    return green_apart_ | (((uintptr_t)words->task | (uintptr_t)words->executor | (uintptr_t)words->locals) != 0);
}

/// Whether it runs as a task.
static inline int green_runs_task(void) {
    const green_words *words = green_words_;
    return ((uintptr_t)words->task | (uintptr_t)words->executor) != 0;
}

static inline green_words *green_words_here(void) { return green_words_; }

/// From now on the words of this OS thread are taken to be `words`, and its set of exclusivity records to begin at `accesses`.
/// Null: not known.
void green_words_adopt(green_words *words, void **accesses);

/// Takes the words of `thread`, which runs and is about to be left, out of the runtime's hands.
void green_words_leave(green_thread *thread);
/// Puts them back once it goes on.
void green_words_return(green_thread *thread);

/// What runs as a task has exclusivity records of its own: the runtime moves those of a task out of the OS thread's set and back again,
/// and takes all of the set for the task's that was not there at its beginning.  Returns whether `green_accesses_end` is to be called.
int green_accesses_begin(void);
void green_accesses_end(void);

/// Has `thread`, which runs, and no task with it, go on with the stack and the words of `callee`, under its own record.  Returns when
/// `green_call_leave` is called there.  `caller` keeps what belongs to the stack that is left.
///
/// `callee` was prepared by `green_first_frame`, or left by `green_call_leave` in the middle of a task.
void green_call_enter(green_thread *thread, green_thread *caller, green_thread *callee);
/// Returns when the green thread, or another one, enters again.
void green_call_leave(green_thread *caller, green_thread *callee);

/// The thread-local memory of one loaded object, of the OS thread that calls.
typedef struct green_tls_block {
    void *low;
    size_t size;
} green_tls_block;

/// Stores those of all loaded objects, at most `room`, and returns how many.
int green_tls_blocks(green_tls_block *blocks, int room);

/// The stack pointer of the function that calls: Swift cannot read it, and the address of a variable is no substitute, for the optimizer moves
/// variables and AddressSanitizer keeps them elsewhere.
static inline void *green_stack_pointer(void) {
    void *pointer;
#if defined(__x86_64__)
    __asm__ volatile("movq %%rsp, %0" : "=r"(pointer));
#else
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
#endif
    return pointer;
}

/// Suspends `from`, which is running, and resumes `to`.  Returns when another switch resumes `from`.
/// Kept: x86-64 rbx rbp r12-r15, MXCSR, x87 control word; AArch64 x19-x30, d8-d15, FPCR.
void green_switch(green_thread *from, green_thread *to);

/// In a loop that waits for another OS thread: leaves the processor's other thread more of it.
static inline void green_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

/// Has the processor fetch the cache line of `address`, while something else is done.  It never faults, whatever the address.
static inline void green_prefetch(const void *address) { __builtin_prefetch(address, 1); }

/// The frames of a green thread that waits to receive, from the switch up to the handler, lie in this many cache lines in release
/// builds.  A test measures them, and fails when they grow beyond.
enum { GREEN_PREFETCHED_LINES = 7 };

/// Has it fetch what `thread`, whose record is near already, will touch when it goes on: the innermost of its frames, and what it waits for.
static inline void green_prefetch_work(const green_thread *thread) {
    for (int line = 0; line < GREEN_PREFETCHED_LINES; line++) __builtin_prefetch((const char *)thread->stack_pointer + 64 * line, 1);
    __builtin_prefetch((const void *)thread->wait_detail, 1);
}

/// What a green thread does.  Returns, at its end, the green thread that is resumed in its place; its stack may be reused as soon as that one runs.
typedef green_thread *(*green_entry)(void *thread);

/// Lays out the first frame of `thread` at `stack_high`: the first switch to it calls `entry(thread)`.
void green_first_frame(green_thread *thread, green_entry entry);

/// What the sanitizers hold for a green thread; nothing in other builds.  Called on the hub's OS thread: `made` before the first
/// frame, `main` for the OS thread's own stack, `freed` once another green thread runs.
green_entry green_sanitizer_entry(green_thread *thread, green_entry entry);
void green_sanitizer_made(green_thread *thread);
void green_sanitizer_main(green_thread *thread);
void green_sanitizer_freed(green_thread *thread);

/// For ThreadSanitizer, which doesn't see what Swift's mutex does where it has to wait: this OS thread has locked `lock` (an address of
/// its own), or is about to unlock it.
void green_sanitizer_locked(void *lock);
void green_sanitizer_unlocking(void *lock);

/// 0: none, 1: address, 2: thread.  Tests scale themselves down by it.
int green_sanitizer(void);

typedef enum green_guard_kind {
    GREEN_GUARD_BEST = 0,      // madvise where the kernel has it, else mprotect
    GREEN_GUARD_MADVISE = 1,   // Linux 6.13 and later: no mapping of its own
    GREEN_GUARD_MPROTECT = 2,  // two mappings a stack: vm.max_map_count ends it near 32,000 stacks
} green_guard_kind;

/// What one page of the kernel's page tables covers.  Linux frees such a page, since 6.14, when all of these addresses are given back at once
/// and no guard lies among them.
enum { GREEN_BLOCK_BYTES = 2 << 20 };

/// Maps address space for stacks, touched lazily, and stores where it begins: at a multiple of `GREEN_BLOCK_BYTES`.  Returns 0, or errno where
/// the kernel refuses.
int green_stacks_map(size_t bytes, void **low);
void green_stacks_unmap(void *low, size_t bytes);

/// Makes `bytes` from `low` untouchable.  Returns 0 or errno.
int green_guard_install(void *low, size_t bytes, green_guard_kind kind);

/// Takes the guards among `bytes` from `low` away, which were installed as `kind`.  Returns 0 or errno.
int green_guard_remove(void *low, size_t bytes, green_guard_kind kind);

/// Gives the pages back to the kernel; the addresses (and guards) stay.
void green_stack_discard(void *low, size_t bytes);

#endif
