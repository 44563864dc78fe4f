// What an OS thread is doing, seen from another one.
//
// While the kernel lets it sleep in a call, it is not disturbed: `poll`, `nanosleep` and others would end with EINTR at any signal that is handled.
// The kernel says where its stack is, and the stack does not change.  Only while it runs, a signal stops it for a moment.

#define _GNU_SOURCE
#include "backtrace.h"
#include "unwind.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static green_bounds stack_of_target(const green_look_target *target) { return (green_bounds){target->stack_low, target->stack_high}; }

// MARK: What the kernel says

// Returns how many bytes there were, or -1; a zero follows them.
static ssize_t read_file(const green_look_target *target, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)target->number, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t count = read(file, text, size - 1);
    close(file);
    text[count < 0 ? 0 : count] = 0;
    return count;
}

// The memory of the process, which can be read without a fault though it goes meanwhile.  Returns how many bytes there were.
static size_t peek(int memory, uintptr_t address, void *bytes, size_t size) {
    ssize_t count = memory < 0 || address > INT64_MAX ? -1 : pread(memory, bytes, size, (off_t)address);
    return count < 0 ? 0 : (size_t)count;
}

static int open_memory(void) { return open("/proc/self/mem", O_RDONLY | O_CLOEXEC); }

// The record of the green thread that runs there; returns 0 where none is known.
static int peek_running(int memory, const green_look_target *target, green_thread *record) {
    green_thread *running = NULL;
    return peek(memory, (uintptr_t)target->running, &running, sizeof running) == sizeof running && running
        && peek(memory, (uintptr_t)running, record, sizeof *record) == sizeof *record;
}

static void name_after(int memory, const green_thread *record, green_look *look) {
    look->id = record->id;
    memset(look->name, 0, sizeof look->name);
    if (record->name) peek(memory, (uintptr_t)record->name, look->name, sizeof look->name - 1);
}

int green_look_activity(const green_look_target *target, green_activity *activity) {
    char text[4096];
    if (read_file(target, "status", text, sizeof text) <= 0) return 0;
    const char *state = strstr(text, "\nState:\t"), *sleeps = strstr(text, "\nvoluntary_ctxt_switches:\t");
    if (!state || !sleeps) return 0;
    *activity = (green_activity){.runs = state[strlen("\nState:\t")] == 'R', .sleeps = strtoull(strchr(sleeps, '\t'), NULL, 10)};
    int memory = open_memory();
    green_thread record;
    if (peek_running(memory, target, &record)) activity->id = record.id;
    if (memory >= 0) close(memory);
    return 1;
}

static int is_same(green_activity a, green_activity b) { return a.runs == b.runs && a.sleeps == b.sleeps && a.id == b.id; }

// MARK: Of one that sleeps

enum { STILL_BYTES = 256 << 10 };

// How much is to be copied of a stack.
static size_t still_size(green_bounds stack, uintptr_t stack_pointer) {
    if (stack_pointer < stack.low || stack_pointer >= stack.high) return 0;
    size_t size = stack.high - stack_pointer;
    return size < STILL_BYTES ? size : STILL_BYTES;
}

// Frames of a stack that does not change meanwhile.
static int unwind_copy(int memory, green_bounds stack, green_registers now, void **frames) {
    size_t size = still_size(stack, now.stack_pointer);
    char *bytes = malloc(size + 1);
    size = bytes ? peek(memory, now.stack_pointer, bytes, size) : 0;
    green_still_stack still = {now.stack_pointer, now.stack_pointer + size, bytes};
    int count = green_unwind(&still, now, frames, GREEN_LOOK_FRAMES);
    free(bytes);
    return count;
}

// Returns 0 where the kernel doesn't say.
static int look_at_sleeper(int memory, const green_look_target *target, green_look *look) {
    green_thread record;
    if (!peek_running(memory, target, &record)) return 0;
    name_after(memory, &record, look);
    char text[256];
    if (read_file(target, "syscall", text, sizeof text) <= 0) return 0;
    char *sp = NULL, *pc = strrchr(text, ' '), *next = text;
    if (!pc) return 0;  // it runs
    *pc++ = 0;
    sp = strrchr(text, ' ');
    if (!sp) return 0;
    long call = strtol(text, &next, 10);
    look->futex = call == SYS_futex ? strtoull(next, NULL, 16) : 0;
    green_registers now = {strtoull(pc, NULL, 16), strtoull(sp + 1, NULL, 16), 0};
    look->count = unwind_copy(memory, green_stack_of(&record, stack_of_target(target)), now, look->frames);
    return 1;
}

// MARK: Of one that runs

enum { IDLE, ASKED, ANSWERING, ANSWERED };

/// What the handler is to fill in.
typedef struct question {
    pthread_t who;
    green_bounds os_stack;
    green_look *look;
    green_registers registers;
    char *bytes;  // of the stack, from the stack pointer on
    size_t size;
} question;

// Guarded by `one_at_a_time`, and by `stage` towards the handler.
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int stage;
static question asked;

// Ignored by default and hardly used, so that one which comes late does no harm.
enum { LOOKING_SIGNAL = SIGURG };

// Not memcpy: the sanitizers would look what is copied.
__attribute__((no_sanitize("address", "thread"))) static void copy_words(uintptr_t from, char *to, size_t size) {
    for (size_t i = 0; i < size / sizeof(uintptr_t); i++) ((volatile uintptr_t *)to)[i] = ((const volatile uintptr_t *)from)[i];
}

// Takes a copy only: to unwind takes locks of the linker, which may be held here.
static void answer(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    int expected = ASKED;
    if (!atomic_compare_exchange_strong(&stage, &expected, ANSWERING)) return;
    if (!pthread_equal(asked.who, pthread_self())) {
        // It was for an earlier question.
        atomic_store(&stage, ASKED);
        return;
    }
    const ucontext_t *interrupted = context;
#if defined(__x86_64__)
    const greg_t *saved = interrupted->uc_mcontext.gregs;
    asked.registers = (green_registers){(uintptr_t)saved[REG_RIP], (uintptr_t)saved[REG_RSP], (uintptr_t)saved[REG_RBP]};
#else
    const mcontext_t *saved = &interrupted->uc_mcontext;
    asked.registers = (green_registers){saved->pc, saved->sp, saved->regs[29]};
#endif
    const green_thread *thread = green_running();
    asked.look->id = thread ? thread->id : 0;
    asked.look->name[0] = 0;
    if (thread && thread->name) strncat(asked.look->name, thread->name, sizeof asked.look->name - 1);
    asked.size = still_size(green_stack_of(thread, asked.os_stack), asked.registers.stack_pointer);
    copy_words(asked.registers.stack_pointer, asked.bytes, asked.size);
    atomic_store(&stage, ANSWERED);
}

static void install(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(LOOKING_SIGNAL, &action, NULL);
}

static void pause_briefly(long nanoseconds) { nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL); }

static int ask(const green_look_target *target) {
    atomic_store(&stage, ASKED);
    int sent = pthread_kill(target->thread, LOOKING_SIGNAL) == 0;
    for (int turn = 0; sent && turn < 200 && atomic_load(&stage) == ASKED; turn++) pause_briefly(500 * 1000);
    while (atomic_load(&stage) != ANSWERED) {
        // A handler that begins from now on finds no question.
        int expected = ASKED;
        if (atomic_compare_exchange_strong(&stage, &expected, IDLE)) return 0;
        pause_briefly(500 * 1000);
    }
    return 1;
}

static int look_by_signal(const green_look_target *target, green_look *look) {
    char *bytes = malloc(STILL_BYTES);
    if (!bytes) return 0;
    pthread_mutex_lock(&one_at_a_time);
    asked = (question){.who = target->thread, .os_stack = stack_of_target(target), .look = look, .bytes = bytes};
    int answered = ask(target);
    question answer = asked;
    pthread_mutex_unlock(&one_at_a_time);
    if (answered) {
        green_still_stack still = {answer.registers.stack_pointer, answer.registers.stack_pointer + answer.size, bytes};
        look->count = green_unwind(&still, answer.registers, look->frames, GREEN_LOOK_FRAMES);
    }
    free(bytes);
    return answered;
}

// MARK: Looking

void green_look_prepare(green_look_target *target) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    // OS threads of some libraries block all signals, and the OS threads that they start inherit the mask.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, LOOKING_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    green_bounds stack = green_own_stack();
    *target = (green_look_target){pthread_self(), (pid_t)syscall(SYS_gettid), &green_running_, stack.low, stack.high};
}

// One that sleeps now and then is caught asleep.
enum { ATTEMPTS = 20 };

int green_look_take(const green_look_target *target, green_look *look) {
    *look = (green_look){0};
    green_activity before, after;
    if (!green_look_activity(target, &before)) return look_by_signal(target, look);
    int memory = open_memory(), done = 0;
    // To one that has given up its rights, such as a server that was started as root, the kernel doesn't show its own memory.
    if (memory < 0) return look_by_signal(target, look);
    for (int turn = 0; turn < ATTEMPTS && !done; turn++) {
        if (before.runs) pause_briefly(1000 * 1000);
        int seen = !before.runs && look_at_sleeper(memory, target, look);
        if (!green_look_activity(target, &after)) break;
        // Awake and asleep again meanwhile, it had another stack.
        done = is_same(before, after) && (before.runs ? look_by_signal(target, look) : seen);
        if (!before.runs && !seen && is_same(before, after)) break;
        before = after;
    }
    green_thread record;
    if (!done) look->count = 0;
    if (!done && peek_running(memory, target, &record)) {
        // It doesn't answer, or is never still: at least it has a name.
        name_after(memory, &record, look);
        done = 1;
    }
    if (memory >= 0) close(memory);
    return done;
}

// MARK: Suspended green threads

static int look_at_suspended(int memory, const green_look_target *target, const green_thread *record, green_look *look) {
    enum { READY, RUNNING, PARKED };  // as GreenState
    uintptr_t saved[SAVED_WORDS];
    if (!(record->flags & GREEN_STARTED) || (record->state != READY && record->state != PARKED)) return 0;
    if (peek(memory, (uintptr_t)record->stack_pointer, saved, sizeof saved) != sizeof saved) return 0;
    name_after(memory, record, look);
    green_registers now = {saved[SAVED_PC], (uintptr_t)record->stack_pointer + sizeof saved, saved[SAVED_FP]};
    look->count = unwind_copy(memory, green_stack_of(record, stack_of_target(target)), now, look->frames);
    return 1;
}

static int has_function(const green_look *look, uintptr_t function) {
    for (int i = 0; i < look->count; i++) {
        if (green_function_of((uintptr_t)look->frames[i] - 1) == function) return 1;
    }
    return 0;
}

int green_look_suspended(const green_look_target *target, const void *inside, green_look *looks, int limit) {
    uintptr_t function = inside ? green_function_of((uintptr_t)inside - 1) : 0;
    int memory = open_memory(), count = 0;
    green_thread running, record;
    if (peek_running(memory, target, &running)) {
        // All living ones are in one list, of which it is one.
        for (int direction = 0; direction < 2; direction++) {
            record = running;
            while (count < limit) {
                green_thread *next = direction ? record.younger : record.older;
                if (!next || peek(memory, (uintptr_t)next, &record, sizeof record) != sizeof record) break;
                if (!look_at_suspended(memory, target, &record, &looks[count])) continue;
                if (!function || has_function(&looks[count], function)) count++;
            }
        }
    }
    if (memory >= 0) close(memory);
    return count;
}

int green_look_owns(const green_look_target *target, uint64_t mutex) {
    struct { int lock; unsigned count; int owner; } words;
    int memory = open_memory();
    int known = mutex && peek(memory, mutex, &words, sizeof words) == sizeof words;
    if (memory >= 0) close(memory);
    return known && words.owner == target->number;
}
