// What Swift cannot do for green threads: switch stacks, start a first frame, keep a thread-local pointer,
// tell the sanitizers, install guards, and speak from a signal handler when a stack has overflowed.
//
// One slot of a slab, addresses growing upwards:
//
//     slot           stack_low                                     record           slot + stack size
//      | guard pages  | <- the stack grows this way ............... | green_thread    | colour |
//
// The record lies at the top of its own stack, so that a wake-up touches one page.  Each record is shifted down by a
// few cache lines (its colour): stacks at a power-of-two stride would else put their hot lines in the same cache sets.

#ifndef CGREENCONTEXT_H
#define CGREENCONTEXT_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/// Parked green threads in the order in which they came, linked through `next` and `previous`.
typedef struct green_wait_queue {
    struct green_thread *first;
    struct green_thread *last;
} green_wait_queue;

/// The record of a green thread.  It is laid out in C because the assembly, the overflow handler and Swift share it, and
/// because Swift promises no layout.  Owned by the hub named in it; touched only on that hub's OS thread.
typedef struct green_thread {
    // Line 0: all that a wake-up and a switch touch.
    void *stack_pointer;         // valid only while suspended; the assembly knows that it comes first
    struct green_thread *next;   // in the ready queue or in `queue`; a thread is never in both
    void *hub;                   // HubState
    green_wait_queue *queue;     // it stands in, or null
    int64_t waiting_since;       // the beginning of the loop's pass in which the wait under way began, ns
    int64_t scope_deadline;      // the nearest of the enclosing time limits; INT64_MAX: none
    uint8_t state;               // GreenState
    uint8_t wake;                // Wake: why the last wait ended
    uint8_t cancelled;           // killed: every wait throws from now on
    uint8_t shields;             // depth of `shielded`, in which neither a kill nor an enclosing time limit is felt
    uint16_t turns;              // operations done since the last wait (fairness)
    uint8_t wait_kind;           // WaitKind of the wait under way or of the last one
    uint8_t started;             // the body has begun
    uint64_t wait_detail;        // what `wait_kind` speaks of: an id, or the address of a descriptor, a lock or an item

    // Line 1: spawning, waiting in a queue or with a deadline, joining.
    int64_t deadline;               // of the wait under way, ns on the monotonic clock; INT64_MAX: none
    struct green_thread *previous;  // in `queue` only
    void *body;                     // AnyGreenlet, retained until the end; null: the hub's own
    intptr_t timer;                 // its place in the hub's DeadlineQueue, counted from 1; 0: none
    void *scopes;                   // innermost TimeoutScope
    green_wait_queue joiners;       // those who wait for the end
    struct green_thread *all_next;  // every living green thread of the hub, for dumps

    // Line 2: cold.
    struct green_thread *all_previous;
    uint64_t id;
    char *name;         // owned, from strdup; null: only the id
    void *slot;         // where the guard begins; null: an OS thread's own stack
    void *stack_low;    // lowest usable address
    void *stack_high;   // one past the highest usable address
    void *sanitizer;    // AddressSanitizer's fake stack or ThreadSanitizer's fiber
    struct green_thread *(*entry)(void *);  // the sanitizers' builds only
} green_thread;

// The green thread that runs on this OS thread; null until a hub was made here.  Swift has no thread-local variables of
// constant initial value.  Initial-exec: one load, and a green thread never leaves its OS thread, so that a cached
// address stays right.
extern _Thread_local green_thread *green_running_ __attribute__((tls_model("initial-exec")));

static inline green_thread *green_running(void) { return green_running_; }
static inline void green_set_running(green_thread *thread) { green_running_ = thread; }

// What this OS thread takes for the time, in nanoseconds, where a hub with a virtual clock runs on it; 0: the clock's.
extern _Thread_local int64_t green_virtual_time_ __attribute__((tls_model("initial-exec")));

static inline int64_t green_virtual_time(void) { return green_virtual_time_; }
static inline void green_set_virtual_time(int64_t nanoseconds) { green_virtual_time_ = nanoseconds; }

/// Suspends `from`, which is running, and resumes `to`.  Returns when somebody resumes `from`.
/// Kept: x86-64 rbx rbp r12-r15, MXCSR, x87 control word; AArch64 x19-x30, d8-d15, FPCR.
void green_switch(green_thread *from, green_thread *to);

/// Has the processor fetch the cache line of `address`, while something else is done.  It never faults, whatever the address.
static inline void green_prefetch(const void *address) { __builtin_prefetch(address, 1); }

/// Has it fetch what `thread`, whose record is near already, will touch when it goes on: the innermost of its frames, as many lines as
/// those of a connection that waits to receive lie in, and what it waits for.
static inline void green_prefetch_work(const green_thread *thread) {
    for (int line = 0; line < 10; line++) __builtin_prefetch((const char *)thread->stack_pointer + 64 * line, 1);
    __builtin_prefetch((const void *)thread->wait_detail, 1);
}

/// What a green thread does.  Returns, at its end, who is resumed in its place; its stack may be reused as soon as that one runs.
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

/// Maps address space for stacks, touched lazily, and stores where it begins.  Returns 0, or errno where the kernel refuses.
int green_stacks_map(size_t bytes, void **low);
void green_stacks_unmap(void *low, size_t bytes);

/// Makes `bytes` from `low` untouchable.  Returns 0 or errno.
int green_guard_install(void *low, size_t bytes, green_guard_kind kind);

/// Gives the pages back to the kernel; the addresses (and guards) stay.
void green_stack_discard(void *low, size_t bytes);

/// Installs the handler that names a green thread whose stack has overflowed (once a process) and an alternate signal stack
/// for this OS thread, without which nothing could run.  Returns the alternate stack to free later, or null.
void *green_overflow_watch(void);
void green_overflow_unwatch(void *alternate_stack);

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

/// Returns 0 where the kernel doesn't tell, for want of /proc.  From any OS thread.
int green_look_activity(const green_look_target *target, green_activity *activity);

/// Looks at what `target` does.  One that sleeps notices nothing; one that runs is interrupted by a signal (SIGURG).  Where /proc does not tell,
/// both are.
/// Returns 0 where nothing is known of it.  From any OS thread; takes 100 ms at most.
int green_look_take(const green_look_target *target, green_look *look);

/// Looks at the green threads of `target` that are suspended, at most `limit`; at those only that are inside the function which holds the return
/// address `inside`, where it isn't null.  Returns how many.  While `target` runs one of them only, from any OS thread.
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

// Calls that Swift doesn't see, since they are GNU's or Linux's and not POSIX's, or take a variable number of arguments.

/// strerrorname_np: errno's name, such as "ECONNRESET"; null for a number that has none.
const char *green_errno_name(int number);

/// strerrordesc_np: what errno means, such as "Connection reset by peer", in no language but English; null for a number that has none.
const char *green_errno_words(int number);

/// accept4, closed on exec.  -1 with errno set.
int green_accept(int descriptor, struct sockaddr *address, socklen_t *length, int blocking);

/// prctl(PR_SET_PDEATHSIG): the kernel sends `signal` to this process when the OS thread that forked it ends, however it ends.
int green_signal_at_parents_end(int signal);

/// close_range around `kept`, which is in ascending order: closes every other descriptor from `lowest` on.
void green_close_all_but(int lowest, const int *kept, size_t count);

/// Raises this process's own oom_score_adj by `amount`, to 1000 at most, so that the kernel, out of memory, kills it before others.  For a
/// forked child: allocates nothing.  Where the kernel refuses, nothing changes.
void green_raise_oom_score(int amount);

/// ppoll for ever, with `mask` as the signal mask meanwhile.  -1 with errno set.
int green_wait(struct pollfd *wanted, size_t count, const sigset_t *mask);

/// pidfd_open: readable once the process has ended, and closed on exec.  -1 with errno set; ENOSYS before Linux 5.3.
int green_process_handle(pid_t process);

/// Whatever else is open from `lowest` on, the program that is started doesn't get.
int green_spawn_closing_from(posix_spawn_file_actions_t *actions, int lowest);

/// The program that is started is the leader of a session and a process group of its own.
int green_spawn_in_new_session(posix_spawnattr_t *attributes);

/// `environ`, which Swift can't see without a race.
char **green_environment(void);

/// A program to be started: as posix_spawn does it, which can't arrange that the program ends with its starter.
typedef struct green_program {
    char **words;      // the program's name or path, its arguments, null
    char **variables;  // its environment, null
    int streams[3];    // become standard input, output and error; -1 leaves the starter's own
    /// Sent to it by the kernel when the OS thread that has started it ends, however that ends; 0 for none.
    int signal_at_starters_end;
    /// A group of its own: what a terminal sends is not for it.
    int has_own_group;
} green_program;

/// Returns its id, or -errno where it can't be started.  It has no signal blocked or caught, and what the starter ignores is ignored.
/// From any OS thread: nothing happens between fork and exec that another one could be in the middle of.
pid_t green_start_program(const green_program *program);

/// prctl(PR_SET_CHILD_SUBREAPER): children of children whose parents have ended become this process's.
int green_adopt_orphans(void);

/// timerfd_create on the monotonic clock, non-blocking and closed on exec.  -1 with errno set.
int green_timer_open(void);

/// timerfd_settime: readable from that moment on, and not before, whatever it was set to last.
int green_timer_set(int descriptor, int64_t nanoseconds);

/// pwritev2(RWF_NOWAIT): what a blocking descriptor takes at once, without making it non-blocking for all who share it.
/// -1 with errno set; EOPNOTSUPP where this kind of file can't say.
ssize_t green_write_now(int descriptor, const void *bytes, size_t count);

/// memfd_create and F_ADD_SEALS: a file in memory that nobody can change any more.  -1 with errno set.
int green_sealed_file(const void *bytes, size_t count);

/// An empty datagram that hands `file` over.  The macros that lay out SCM_RIGHTS are not for Swift.  -1 with errno set.
ssize_t green_send_file(int descriptor, const struct sockaddr *address, socklen_t length, int file);

#endif
