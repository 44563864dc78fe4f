// The stack switch, first frames, guards and the overflow report, without Swift around them, so that they can also be run
// for AArch64 under an emulator and in sanitizers' builds.
//
//     make test-switch

#define _GNU_SOURCE
#include "CDiagnostics.h"
#include "CLinux.h"
#include "registers.h"
#include "../../Sources/CDiagnostics/backtrace.h"
#include "../../Sources/CDiagnostics/unwind.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

enum { TIME_LIMIT_S = 100, CHILD_TIME_LIMIT_S = 20 };

// ---- Checks

static int passed, failed, failures_here;
static const char *skipped_because;

#define CHECK(left, op, right)                                                                                  \
    do {                                                                                                        \
        long long left_ = (long long)(left), right_ = (long long)(right);                                       \
        if (!(left_ op right_)) complain(__FILE__, __LINE__, #left " " #op " " #right, left_, right_);          \
    } while (0)

static void complain(const char *file, int line, const char *what, long long left, long long right) {
    failures_here++;
    printf("\n  %s:%d: not so: %s; left %lld (0x%llx), right %lld (0x%llx)", file, line, what, left,
           (unsigned long long)left, right, (unsigned long long)right);
    fflush(stdout);
}

static void run(const char *name, void (*test)(void)) {
    failures_here = 0;
    skipped_because = NULL;
    printf("%s: ", name);
    fflush(stdout);  // a crash must not hide which test it was; a forked child must not print it again
    test();
    if (failures_here) {
        failed++;
        printf("\n  FAILED\n");
    } else if (skipped_because) {
        printf("skipped: %s\n", skipped_because);
    } else {
        passed++;
        printf("ok\n");
    }
    fflush(stdout);
}

// ---- Green threads for the tests

static green_thread os_thread;  // the record of the main OS thread

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

// One guard page and a stack that has room for a sanitizer's frames and for printf.
static size_t slot_bytes(void) { return page() + 28 * 1024 > 2 * page() ? 32 * 1024 : 2 * page(); }

// The record lies at the top of its stack, as in a slab.
static green_thread *record_in(void *slot) {
    return (green_thread *)((char *)slot + slot_bytes() - (sizeof(green_thread) + 63) / 64 * 64);
}

static green_thread *lay_out(void *slot) {
    green_thread *thread = record_in(slot);
    memset(thread, 0, sizeof *thread);
    thread->slot = slot;
    thread->stack_low = (char *)slot + page();
    thread->stack_high = thread;
    return thread;
}

static void must(int error, const char *what) {
    if (error == 0) return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(2);
}

static char *map(size_t bytes) {
    void *low = NULL;
    must(green_stacks_map(bytes, &low), "mapping stacks");
    return low;
}

static char *map_slots(int count, green_guard_kind kind) {
    char *low = map((size_t)count * slot_bytes());
    for (int i = 0; i < count; i++) must(green_guard_install(low + (size_t)i * slot_bytes(), page(), kind), "a guard");
    return low;
}

static void *map_slot(void) { return map_slots(1, GREEN_GUARD_BEST); }

static void prepare(green_thread *thread, green_entry entry) {
    green_sanitizer_made(thread);
    green_first_frame(thread, entry);
}

static green_thread *spawn(green_entry entry) {
    green_thread *thread = lay_out(map_slot());
    prepare(thread, entry);
    return thread;
}

static void retire(green_thread *thread) {
    green_sanitizer_freed(thread);
    green_stacks_unmap(thread->slot, slot_bytes());
}

// ---- Children that are meant to die

typedef struct death {
    int signal, status;     // one of them is -1
    char said[16 * 1024];   // what it wrote to its standard error
} death;

static void child(int standard_error, void (*body)(void *), void *argument) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    alarm(CHILD_TIME_LIMIT_S);
    dup2(standard_error, STDERR_FILENO);
    body(argument);
    _exit(0);
}

static void read_all(int descriptor, char *text, size_t size) {
    size_t length = 0;
    char rest[512];
    for (;;) {
        size_t room = size - 1 - length;
        ssize_t n = read(descriptor, room ? text + length : rest, room ? room : sizeof rest);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        if (room) length += (size_t)n;
    }
    text[length] = 0;
}

static death *in_child(void (*body)(void *), void *argument) {
    static death result;
    memset(&result, 0, sizeof result);
    int ends[2], status = 0;
    if (pipe(ends) != 0) exit(2);
    pid_t pid = fork();
    if (pid < 0) exit(2);
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], body, argument);
    }
    close(ends[1]);
    read_all(ends[0], result.said, sizeof result.said);
    close(ends[0]);
    waitpid(pid, &status, 0);
    result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return &result;
}

static int sanitizers_own_the_faults(void) {
    if (green_sanitizer() == 0) return 0;
    skipped_because = "a sanitizer handles faults itself";
    return 1;
}

// ---- Registers

enum { ROUNDS = 1000 };

static uint64_t seed_of(int round) { return (uint64_t)(round + 1) * UINT64_C(0x9E3779B97F4A7C15); }

static uint64_t lost_in_thread;

static green_thread *other_side(void *argument) {
    for (int round = 0; round < ROUNDS; round++) lost_in_thread |= registers_survive(argument, &os_thread, ~seed_of(round));
    return &os_thread;
}

static void check_none_lost(const char *side, uint64_t lost) {
    for (int i = 0; i < REGISTERS; i++) {
        if (!(lost >> i & 1)) continue;
        failures_here++;
        printf("\n  %s lost %s", side, register_names[i]);
    }
}

static void registers_are_kept(void) {
    green_thread *thread = spawn(other_side);
    uint64_t lost_here = 0;
    lost_in_thread = 0;
    for (int round = 0; round <= ROUNDS; round++) lost_here |= registers_survive(&os_thread, thread, seed_of(round));
    check_none_lost("the OS thread", lost_here);
    check_none_lost("the green thread", lost_in_thread);
    retire(thread);
}

// ---- Floating point modes

enum { MODES = 16 };
static unsigned modes_of_thread;  // what the OS thread asks for
static int modes_wrong_in_thread;

static green_thread *keep_modes(void *argument) {
    for (;;) {
        unsigned wanted = modes_of_thread;
        set_float_modes(wanted);
        green_switch(argument, &os_thread);
        modes_wrong_in_thread += float_modes() != wanted;
    }
    return NULL;
}

static void modes_are_per_thread(void) {
    green_thread *thread = spawn(keep_modes);
    modes_wrong_in_thread = 0;
    int wrong_here = 0;
    // Every pair, for the switch reloads each mode only where it differs.
    for (unsigned here = 0; here < MODES; here++) {
        for (unsigned there = 0; there < MODES; there++) {
            set_float_modes(here);
            modes_of_thread = there;
            green_switch(&os_thread, thread);
            wrong_here += float_modes() != here;
        }
    }
    set_float_modes(0);
    CHECK(wrong_here, ==, 0);
    CHECK(modes_wrong_in_thread, ==, 0);
    retire(thread);
}

static unsigned modes_at_start;

static green_thread *note_modes(void *argument) {
    (void)argument;
    modes_at_start = float_modes();
    return &os_thread;
}

static green_thread *change_modes(void *argument) {
    (void)argument;
    set_float_modes(modes_of_thread);
    return &os_thread;
}

static void modes_end_with_their_thread(void) {
    for (unsigned modes = 0; modes < MODES; modes++) {
        green_thread *thread = spawn(change_modes);
        modes_of_thread = modes;
        set_float_modes(modes ^ 15);
        green_switch(&os_thread, thread);
        unsigned here = float_modes();
        set_float_modes(0);
        CHECK(here, ==, modes ^ 15);
        retire(thread);
    }
}

static void modes_start_as_the_spawners(void) {
    for (unsigned modes = 0; modes < MODES; modes++) {
        set_float_modes(modes);
        green_thread *thread = spawn(note_modes);
        set_float_modes(modes ^ 15);
        green_switch(&os_thread, thread);
        unsigned here = float_modes();
        set_float_modes(0);
        CHECK(modes_at_start, ==, modes);
        CHECK(here, ==, modes ^ 15);
        retire(thread);
    }
}

// ---- The first frame

static struct {
    void *argument, *stack_pointer, *local, *outer_frame, *fiber;
} seen;

// The fiber that the sanitizers take to be running.  Null in other builds.
void *__tsan_get_current_fiber(void) __attribute__((weak));

static void *current_fiber(void) { return __tsan_get_current_fiber ? __tsan_get_current_fiber() : NULL; }

static void *fiber_of(const green_thread *thread) { return green_sanitizer() == 2 ? thread->sanitizer : NULL; }

static void check_sanitizer_knows_the_os_thread(void) {
    CHECK(current_fiber(), ==, fiber_of(&os_thread));
    if (green_sanitizer() != 1) return;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    CHECK((uintptr_t)os_thread.stack_low, <, here);
    CHECK((uintptr_t)os_thread.stack_high, >, here);
}

green_thread *entry_seen(void *argument, void *stack_pointer) {
    volatile char local = 0;  // one byte: on a misaligned stack anything larger might crash before the check
    seen.argument = argument;
    seen.stack_pointer = stack_pointer;
    seen.local = (void *)&local;
    seen.fiber = current_fiber();
    return &os_thread;
}

static void first_frame_is_as_the_abi_asks(void) {
    // Colours shift a stack's top by cache lines; other tops must at least not trap.
    static const size_t below[] = {0, 64, 128, 8, 16, 24, 1};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        green_thread *thread = lay_out(map_slot());
        thread->stack_high = (char *)thread - below[i];
        prepare(thread, entry_in_assembly);
        memset(&seen, 0, sizeof seen);
        green_switch(&os_thread, thread);
        CHECK(((uintptr_t)seen.stack_pointer + STACK_POINTER_AT_ENTRY) % 16, ==, 0);
        CHECK(seen.argument, ==, thread);
        CHECK(seen.fiber, ==, fiber_of(thread));
        check_sanitizer_knows_the_os_thread();
        CHECK((uintptr_t)seen.stack_pointer, <=, (uintptr_t)thread->stack_high);
        CHECK((uintptr_t)seen.stack_pointer, >, (uintptr_t)thread->stack_low);
        if (green_sanitizer() != 1) {  // AddressSanitizer may keep locals elsewhere
            CHECK((uintptr_t)seen.local, <, (uintptr_t)thread->stack_high);
            CHECK((uintptr_t)seen.local, >, (uintptr_t)thread->stack_low);
        }
        retire(thread);
    }
}

static __attribute__((noinline)) green_thread *note_outer_frame(void *argument) {
    (void)argument;
    seen.outer_frame = *(void **)__builtin_frame_address(0);
    return &os_thread;
}

static void frame_pointers_end(void) {
    if (green_sanitizer() == 1) {
        skipped_because = "AddressSanitizer's entry stands in between";
        return;
    }
    green_thread *thread = spawn(note_outer_frame);
    seen.outer_frame = &seen;
    green_switch(&os_thread, thread);
    CHECK(seen.outer_frame, ==, 0);
    retire(thread);
}

enum { FRAMES = 256 };
static void *frames[FRAMES];
static volatile int frame_count;

static __attribute__((noinline)) int trace_below(volatile int depth) {
    frame_count = depth == 0 ? backtrace(frames, FRAMES) : trace_below(depth - 1);
    return frame_count;
}

static int unwound;

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *argument) {
    (void)context;
    (void)argument;
    return ++unwound < FRAMES ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static green_thread *trace(void *argument) {
    (void)argument;
    trace_below(5);
    unwound = 0;
    _Unwind_Backtrace(count_frame, NULL);  // unlike backtrace, it never gives up on a frame that leads to itself
    return &os_thread;
}

void green_start(void);  // the outermost frame, in the assembly

static void backtraces_end(void) {
    void *warm_up;
    backtrace(&warm_up, 1);  // loads the unwinder, which needs more stack than the green thread has
    green_thread *thread = spawn(trace);
    frame_count = 0;
    green_switch(&os_thread, thread);
    CHECK(frame_count, >=, 7);  // six of trace_below and the outermost, at the least
    CHECK(frame_count, <, 64);
    CHECK(unwound, >=, 2);
    CHECK(unwound, <, 64);
    // Some unwinders report a last return address of null.
    if (frame_count > 1 && !frames[frame_count - 1]) frame_count--;
    uintptr_t outermost = frame_count > 0 ? (uintptr_t)frames[frame_count - 1] : 0;
    CHECK(outermost, >, (uintptr_t)green_start);
    CHECK(outermost, <, (uintptr_t)green_start + 64);
    retire(thread);
}

// ---- Many threads

enum { TURNS = 5 };
static int turns_taken, locals_damaged;

static green_thread *in_the_ring(void *argument) {
    green_thread *self = argument;
    volatile uint64_t mine[16];
    for (int i = 0; i < 16; i++) mine[i] = self->id * 16 + (uint64_t)i;
    for (int turn = 0; turn < TURNS; turn++) {
        turns_taken++;
        green_switch(self, self->next);
        for (int i = 0; i < 16; i++) locals_damaged += mine[i] != self->id * 16 + (uint64_t)i;
    }
    return self->next;
}

static int many(void) {
    static const int by_sanitizer[] = {10000, 1000, 100};  // a fiber of ThreadSanitizer is a whole thread's worth of memory
    return by_sanitizer[green_sanitizer()];
}

// One pass over a slab: every stack gets a thread, each thread switches to the next, and all leave for ever.
static void run_ring(char *slab, int count) {
    green_thread *last = &os_thread;
    for (int i = 0; i < count; i++) {
        green_thread *thread = lay_out(slab + (size_t)i * slot_bytes());
        thread->id = (uint64_t)i + 1;
        prepare(thread, in_the_ring);
        last = last->next = thread;
    }
    last->next = &os_thread;
    turns_taken = locals_damaged = 0;
    for (int turn = 0; turn <= TURNS; turn++) green_switch(&os_thread, os_thread.next);
    CHECK(turns_taken, ==, count * TURNS);
    CHECK(locals_damaged, ==, 0);
    for (int i = 0; i < count; i++) green_sanitizer_freed(record_in(slab + (size_t)i * slot_bytes()));
}

static void ten_thousand_take_turns(void) {
    int count = many();
    char *slab = map_slots(count, GREEN_GUARD_BEST);
    run_ring(slab, count);
    run_ring(slab, count);  // on stacks as the first threads left them
    for (int i = 0; i < count; i++) green_stack_discard(slab + (size_t)i * slot_bytes() + page(), slot_bytes() - page());
    run_ring(slab, count);
    green_stacks_unmap(slab, (size_t)count * slot_bytes());
}

static int left_for_ever;

static green_thread *leave(void *argument) {
    volatile int local[16] = {0};  // AddressSanitizer's red zones around it are left behind too
    local[left_for_ever % 16] = 1;
    left_for_ever += local[left_for_ever % 16];
    if (left_for_ever % 2) green_switch(argument, &os_thread);  // suspended, and then never resumed: no less free
    return &os_thread;
}

static void left_stacks_are_free(void) {
    void *slot = map_slot();
    green_thread *thread = NULL;
    left_for_ever = 0;
    for (int i = 0; i < 100; i++) {
        thread = lay_out(slot);
        green_sanitizer_made(thread);
        // The thread must not need anything that the thread before it left on the stack.
        memset(thread->stack_low, 0xA5, (size_t)((char *)thread->stack_high - (char *)thread->stack_low));
        green_first_frame(thread, leave);
        green_switch(&os_thread, thread);
        green_sanitizer_freed(thread);
    }
    CHECK(left_for_ever, ==, 100);
    green_stacks_unmap(slot, slot_bytes());
}

// ---- Guards

static void write_to(void *address) { *(volatile char *)address = 1; }

static void read_from(void *address) { (void)*(volatile char *)address; }

static void check_deadly(char *low, size_t bytes) {
    if (green_sanitizer() != 0) return;  // a sanitizer handles faults itself
    CHECK(in_child(write_to, low)->signal, ==, SIGSEGV);
    CHECK(in_child(read_from, low)->signal, ==, SIGSEGV);
    CHECK(in_child(write_to, low + bytes - 1)->signal, ==, SIGSEGV);
}

static int can_guard(green_guard_kind kind) {
    void *probe = map(page());
    int error = green_guard_install(probe, page(), kind);
    green_stacks_unmap(probe, page());
    if (error == EINVAL) skipped_because = "this kernel (or emulator) has no such guards";
    return error != EINVAL;
}

static void guards_hold(green_guard_kind kind) {
    size_t guard = 2 * page(), stack = 6 * page();
    char *low = map(guard + stack), *usable = low + guard;
    memset(low, 7, guard + stack);
    CHECK(green_guard_install(low, guard, kind), ==, 0);
    CHECK(usable[0], ==, 7);  // the memory above is untouched
    check_deadly(low, guard);

    green_stack_discard(low, guard + stack);
    int nonzero = 0;
    for (size_t i = 0; i < stack; i++) nonzero += usable[i] != 0;
    CHECK(nonzero, ==, 0);
    check_deadly(low, guard);

    usable[0] = 9;
    CHECK(usable[0], ==, 9);
    green_stacks_unmap(low, guard + stack);
}

static void guards_by_madvise(void) {
    if (can_guard(GREEN_GUARD_MADVISE)) guards_hold(GREEN_GUARD_MADVISE);
}

static void guards_by_mprotect(void) { guards_hold(GREEN_GUARD_MPROTECT); }

static void guards_of_the_best_kind(void) { guards_hold(GREEN_GUARD_BEST); }

// ---- Overflow

static volatile int endless = 1;

static __attribute__((noinline)) int recurse(int depth) {
    volatile char frame[100];
    frame[0] = (char)depth;
    if (!endless) return 0;
    return recurse(depth + 1) + frame[0];  // the addition: no tail call
}

static green_thread *recurse_for_ever(void *argument) {
    (void)argument;
    recurse(0);
    return &os_thread;
}

typedef struct fault {
    green_entry entry;
    green_guard_kind guard;
    char *name;
    int neighbour;  // -1, 1: whose guard `target` is
} fault;

enum { ID = 4711 };

static char *volatile target;

static void fault_in_green_thread(void *argument) {
    const fault *wanted = argument;
    green_overflow_watch();
    char *slots = map_slots(3, wanted->guard);
    green_thread *thread = lay_out(slots + slot_bytes());  // with a neighbour on each side
    if (wanted->neighbour) target = (char *)thread->slot + wanted->neighbour * (ptrdiff_t)slot_bytes();
    thread->id = ID;
    thread->name = wanted->name;
    prepare(thread, wanted->entry);
    green_set_running(thread);
    green_switch(&os_thread, thread);
}

// How many lines of the backtrace name an address within recurse.
static int frames_in_recurse(const char *text) {
    int count = 0;
    while ((text = strstr(text, "[0x"))) {
        uintptr_t address = strtoull(++text, NULL, 16);
        count += address > (uintptr_t)recurse && address < (uintptr_t)recurse + 512;
    }
    return count;
}

// All of the stack is in use.  The calls are counted where frame pointers lead to the outermost one, which -O2 leaves out on x86-64.
static void check_depth(const char *line, int kib) {
    int calls = 0, used = 0;
    const char *rest = strchr(line, ',');
    if (rest && sscanf(rest, ", %d calls deep, with %d KiB in use", &calls, &used) != 2) sscanf(rest, ", with %d KiB in use", &used);
    CHECK(used, >, kib - 24);
    CHECK(used, <=, kib);
#ifndef __OPTIMIZE__
    CHECK(calls, >, kib / 8);
#endif
    CHECK(calls, <, kib * 1024 / 16);
}

static void check_report(green_guard_kind guard, char *name) {
    fault wanted = {recurse_for_ever, guard, name, 0};
    const death *end = in_child(fault_in_green_thread, &wanted);
    char expected[200];
    int kib = (int)(slot_bytes() / 1024);  // the requested size: guard and record included
    snprintf(expected, sizeof expected, "green thread %d%s%s%s overflowed its stack of %d KiB", ID, name ? " (" : "",
             name ? name : "", name ? ")" : "", kib);
    const char *line = strstr(end->said, expected);
    CHECK(end->signal, ==, SIGSEGV);
    CHECK(line, !=, NULL);
    CHECK(frames_in_recurse(line ? line : ""), >=, 5);
    check_depth(line ? line : "", kib);
    if (!line) printf("\n  expected \"%s\", it said \"%s\"", expected, end->said);
}

static void overflow_is_reported(void) {
    if (sanitizers_own_the_faults()) return;
    check_report(GREEN_GUARD_MPROTECT, "deep diver");
    check_report(GREEN_GUARD_MPROTECT, NULL);
    check_report(GREEN_GUARD_BEST, "deep diver");
}

static void *recurse_on_an_os_thread(void *argument) {
    fault_in_green_thread(argument);
    return NULL;
}

static void on_a_second_os_thread(void *argument) {
    pthread_t thread;
    green_overflow_watch();
    if (pthread_create(&thread, NULL, recurse_on_an_os_thread, argument) == 0) pthread_join(thread, NULL);
}

static void overflow_on_another_os_thread(void) {
    if (sanitizers_own_the_faults()) return;
    fault wanted = {recurse_for_ever, GREEN_GUARD_MPROTECT, "second", 0};
    const death *end = in_child(on_a_second_os_thread, &wanted);
    CHECK(end->signal, ==, SIGSEGV);
    CHECK(strstr(end->said, "(second) overflowed"), !=, NULL);
}

static green_thread *write_to_target(void *argument) {
    (void)argument;
    *target = 1;
    return &os_thread;
}

static void other_faults_are_not_overflows(void) {
    if (sanitizers_own_the_faults()) return;
    for (int neighbour = -1; neighbour <= 1; neighbour++) {
        target = NULL;
        fault wanted = {write_to_target, GREEN_GUARD_MPROTECT, "shallow", neighbour};
        const death *end = in_child(fault_in_green_thread, &wanted);
        CHECK(end->signal, ==, SIGSEGV);
        CHECK(strstr(end->said, "overflow"), ==, NULL);
    }
}

enum { HANDLED = 42 };

static void handle(int signal) {
    (void)signal;
    _exit(HANDLED);
}

static void fault_under_an_earlier_handler(void *argument) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    fault_in_green_thread(argument);
}

static void earlier_handlers_get_their_turn(void) {
    if (sanitizers_own_the_faults()) return;
    fault overflow = {recurse_for_ever, GREEN_GUARD_MPROTECT, "deep diver", 0};
    const death *end = in_child(fault_under_an_earlier_handler, &overflow);
    CHECK(end->status, ==, HANDLED);
    CHECK(strstr(end->said, "overflowed"), !=, NULL);
    fault null_pointer = {write_to_target, GREEN_GUARD_MPROTECT, "shallow", 0};
    CHECK(in_child(fault_under_an_earlier_handler, &null_pointer)->status, ==, HANDLED);
}

static void send_segv(void *argument) {
    (void)argument;
    green_overflow_watch();
    kill(getpid(), SIGSEGV);
}

static void sent_signals_are_not_swallowed(void) {
    if (sanitizers_own_the_faults()) return;
    const death *end = in_child(send_segv, NULL);
    CHECK(end->signal, ==, SIGSEGV);
    CHECK(strstr(end->said, "overflow"), ==, NULL);
}

static int alternate_stack_on(void) {
    stack_t current;
    sigaltstack(NULL, &current);
    return !(current.ss_flags & SS_DISABLE);
}

static void *watch_and_unwatch(void *argument) {
    int had_one = alternate_stack_on();  // a sanitizer's stack
    void *first = green_overflow_watch();
    CHECK(first != NULL, ==, !had_one);
    CHECK(alternate_stack_on(), ==, 1);
    CHECK(green_overflow_watch(), ==, NULL);  // an existing stack is used, and is not ours to free
    green_overflow_unwatch(first);
    CHECK(alternate_stack_on(), ==, had_one);
    green_overflow_unwatch(NULL);
    return argument;
}

static void alternate_stacks_come_and_go(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, watch_and_unwatch, NULL), ==, 0);
    pthread_join(thread, NULL);
}

// ---- The rest

static pthread_barrier_t together;

static void *see_own_running(void *argument) {
    green_thread own = {0};
    void *before = green_running();
    green_set_running(&own);
    pthread_barrier_wait(&together);  // both have set their stacks
    int wrong = before != NULL || green_running() != &own;
    pthread_barrier_wait(&together);
    *(int *)argument = wrong;
    return NULL;
}

static void running_is_thread_local(void) {
    pthread_t threads[2];
    int wrong[2] = {-1, -1};
    pthread_barrier_init(&together, NULL, 2);
    green_set_running(&os_thread);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, see_own_running, &wrong[i]), ==, 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    CHECK(wrong[0], ==, 0);
    CHECK(wrong[1], ==, 0);
    CHECK(green_running(), ==, &os_thread);
    green_set_running(NULL);
    CHECK(green_running(), ==, NULL);
    pthread_barrier_destroy(&together);
}

static void check_errno_name(int number, const char *expected) {
    const char *name = green_errno_name(number);
    CHECK(name != NULL && strcmp(name, expected) == 0, ==, 1);
}

static void errnos_have_names(void) {
    check_errno_name(ECONNRESET, "ECONNRESET");
    check_errno_name(EPIPE, "EPIPE");
    CHECK(green_errno_name(123456), ==, NULL);
    CHECK(green_errno_name(-1), ==, NULL);
}

// ---- Looking at another OS thread

static green_look_target sleeper;
static green_look look;
static sem_t prepared;
static int slept;

static __attribute__((noinline)) void leave_frames(int depth) {
    volatile char local[40];
    local[0] = (char)depth;
    if (depth > 0) leave_frames(depth - 1);
    local[1] = local[0];
}

static void (*stop)(void);

// Its frame lies where the other frames were, and overwrites few of them.
static __attribute__((noinline)) void stop_in_large_frame(void) {
    volatile char large[3000];
    __asm__ volatile("" : : "r"(large) : "memory");
    stop();
    __asm__ volatile("" : : "r"(large) : "memory");
}

static __attribute__((noinline)) void stop_deeper(void) {
    leave_frames(20);
    stop_in_large_frame();
    __asm__ volatile("" : : : "memory");
}

static int index_of_frame(uintptr_t function) {
    for (int i = 0; i < look.count; i++) {
        if (green_function_of((uintptr_t)look.frames[i] - 1) == function) return i;
    }
    return -1;
}

static void check_frames(uintptr_t outermost) {
    int innermost = index_of_frame((uintptr_t)stop_in_large_frame);
    CHECK(innermost, >=, 0);
    CHECK(index_of_frame((uintptr_t)stop_deeper), ==, innermost + 1);
    CHECK(index_of_frame(outermost), ==, innermost + 2);
    CHECK(index_of_frame((uintptr_t)leave_frames), ==, -1);
}

static green_thread *stopped;

static void switch_back(void) { green_switch(stopped, &os_thread); }

static green_thread *stop_in_green_thread(void *argument) {
    (void)argument;
    stop_deeper();
    return &os_thread;
}

static void frames_are_found_without_a_frame_pointer(void) {
    stopped = spawn(stop_in_green_thread);
    stop = switch_back;
    green_switch(&os_thread, stopped);
    void **saved = stopped->stack_pointer;
    green_still_stack stack = {(uintptr_t)saved, (uintptr_t)stopped->stack_high, (const char *)saved};
    for (int is_known = 0; is_known < 2; is_known++) {
        green_registers registers = {(uintptr_t)saved[SAVED_PC], (uintptr_t)(saved + SAVED_WORDS), is_known ? (uintptr_t)saved[SAVED_FP] : 0};
        look.count = green_unwind(&stack, registers, look.frames, GREEN_LOOK_FRAMES);
        check_frames((uintptr_t)stop_in_green_thread);
    }
    green_switch(&os_thread, stopped);
    retire(stopped);
}

static void sleep_here(void) { slept = nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL); }

static void *sleep_for_a_look(void *argument) {
    green_set_running(argument);
    green_look_prepare(&sleeper);
    sem_post(&prepared);
    stop = sleep_here;
    stop_deeper();
    return NULL;
}

static void sleepers_are_not_disturbed(void) {
    static char name[] = "sleeper";
    green_thread own = {.id = 9, .name = name};
    pthread_t thread;
    CHECK(sem_init(&prepared, 0, 0), ==, 0);
    CHECK(pthread_create(&thread, NULL, sleep_for_a_look, &own), ==, 0);
    while (sem_wait(&prepared)) continue;
    green_activity activity = {0};
    int known, tries = 0;
    do usleep(1000);
    while ((known = green_look_activity(&sleeper, &activity)) && activity.runs && ++tries < 100);
    int done = known && green_look_take(&sleeper, &look);
    pthread_join(thread, NULL);
    if (!known || activity.runs || !look.count || !green_function_of((uintptr_t)look.frames[0])) {
        skipped_because = "the machine is too busy, or emulated: its kernel tells of another stack";
        return;
    }
    CHECK(done, ==, 1);
    CHECK(slept, ==, 0);
    CHECK(look.id, ==, 9);
    CHECK(strcmp(look.name, name), ==, 0);
    check_frames((uintptr_t)sleep_for_a_look);
}

// ---- The runtime's words

static green_words words_here;
static void *first_access;

static int address_a, address_b, address_c;

static void words_go_with_their_thread(void) {
    green_words_adopt(&words_here, &first_access);
    green_thread one = {0}, two = {0};
    CHECK(green_words_held(), ==, 0);
    words_here = (green_words){NULL, NULL, &address_a};
    first_access = &address_c;
    CHECK(green_words_held(), ==, 1);
    CHECK(green_runs_task(), ==, 0);
    green_words_leave(&one);
    CHECK(green_words_held(), ==, 0);
    // What runs no task has its exclusivity records among those of all.
    CHECK(first_access, ==, &address_c);
    words_here = (green_words){&address_b, &address_b, NULL};
    CHECK(green_runs_task(), ==, 1);
    green_words_leave(&two);
    green_words_return(&one);
    CHECK(words_here.locals, ==, &address_a);
    CHECK(one.flags & GREEN_HOLDS_WORDS, ==, 0);
    green_words_leave(&one);
    green_words_return(&two);
    CHECK(words_here.task, ==, &address_b);
    CHECK(words_here.locals, ==, NULL);
    words_here = (green_words){0};
    green_words_adopt(NULL, NULL);
}

static void tasks_have_their_own_accesses(void) {
    green_words_adopt(&words_here, &first_access);
    green_thread task = {0};
    first_access = &address_a;
    CHECK(green_accesses_begin(), ==, 1);
    CHECK(first_access, ==, NULL);
    words_here.executor = &address_b;
    first_access = &address_b;
    CHECK(green_accesses_begin(), ==, 0);  // it has its own already
    green_words_leave(&task);
    CHECK(first_access, ==, &address_a);
    first_access = &address_c;  // another green thread has changed the set of all
    green_words_return(&task);
    CHECK(first_access, ==, &address_b);
    words_here = (green_words){0};
    green_accesses_end();
    CHECK(first_access, ==, &address_c);
    first_access = NULL;
    green_words_adopt(NULL, NULL);
}

// A block of Dispatch's main queue runs apart, and as no task.
static void what_is_apart_is_taken_along_without_words(void) {
    green_words_adopt(&words_here, &first_access);
    green_thread block = {0};
    first_access = &address_a;
    CHECK(green_accesses_begin(), ==, 1);
    CHECK(green_words_held(), ==, 1);
    first_access = &address_b;
    green_words_leave(&block);
    CHECK(first_access, ==, &address_a);
    CHECK(green_words_held(), ==, 0);
    first_access = NULL;  // the access that was open has ended meanwhile
    green_words_return(&block);
    CHECK(first_access, ==, &address_b);
    green_accesses_end();
    CHECK(first_access, ==, NULL);
    green_words_adopt(NULL, NULL);
}

static green_thread call_caller, *call_callee;
static int calls_made;
static void *stack_in_call;

static green_thread *serve_calls(void *argument) {
    (void)argument;
    green_accesses_begin();
    words_here = (green_words){&address_b, &address_b, NULL};  // as a task that begins here
    for (int i = 0; i < 3; i++) {
        calls_made++;
        stack_in_call = os_thread.stack_low;
        green_call_leave(&call_caller, call_callee);
        CHECK(words_here.task, ==, &address_b);
    }
    words_here = (green_words){0};
    green_accesses_end();
    return &call_caller;
}

static void calls_change_the_stack_and_the_words(void) {
    green_words_adopt(&words_here, &first_access);
    char *slab = map_slots(1, GREEN_GUARD_BEST);
    call_callee = lay_out(slab);
    prepare(call_callee, serve_calls);
    void *own = os_thread.stack_low, *callees = call_callee->stack_low;
    for (int i = 1; i <= 3; i++) {
        green_call_enter(&os_thread, &call_caller, call_callee);
        CHECK(calls_made, ==, i);
        CHECK(stack_in_call, ==, callees);
        CHECK(green_words_held(), ==, 0);
        if (own || !green_sanitizer()) CHECK(os_thread.stack_low, ==, own);  // AddressSanitizer's build learns it at the first switch
    }
    green_call_enter(&os_thread, &call_caller, call_callee);  // to its end
    CHECK(calls_made, ==, 3);
    CHECK(green_words_held(), ==, 0);
    green_sanitizer_freed(call_callee);
    green_stacks_unmap(slab, slot_bytes());
    green_words_adopt(NULL, NULL);
}

static void own_memory_is_listed(void) {
    static _Thread_local int here = 7;
    green_tls_block blocks[64];
    int count = green_tls_blocks(blocks, 64), found = 0;
    for (int i = 0; i < count; i++) found += (char *)&here >= (char *)blocks[i].low && (char *)&here < (char *)blocks[i].low + blocks[i].size;
    CHECK(found, ==, here == 7);
}

int main(void) {
    alarm(TIME_LIMIT_S);
    green_sanitizer_main(&os_thread);
    // First: a misaligned first frame might crash any other test.
    run("A first frame has its argument, an aligned stack pointer and lies within its stack", first_frame_is_as_the_abi_asks);
    run("Callee-saved registers and the stack pointer are kept over a switch", registers_are_kept);
    run("Floating point modes are each green thread's own", modes_are_per_thread);
    run("A new green thread starts with its spawner's floating point modes", modes_start_as_the_spawners);
    run("Floating point modes that a green thread leaves behind at its end affect no other", modes_end_with_their_thread);
    run("A chain of frame pointers ends at the first frame", frame_pointers_end);
    run("A backtrace in a green thread ends at its first frame", backtraces_end);
    run("A stack can be used anew as soon as its thread has left for ever", left_stacks_are_free);
    run("Ten thousand green threads (fewer with a sanitizer) take turns on a slab, and others after them", ten_thousand_take_turns);
    run("The runtime's words go with the green thread that has set them", words_go_with_their_thread);
    run("A task has exclusivity records of its own", tasks_have_their_own_accesses);
    run("What has exclusivity records of its own takes them along without words", what_is_apart_is_taken_along_without_words);
    run("A call on another stack has that stack's words, and comes back", calls_change_the_stack_and_the_words);
    run("The thread-local memory of the program is listed", own_memory_is_listed);
    run("Guards by madvise kill, survive a discard, and leave the rest alone", guards_by_madvise);
    run("Guards by mprotect kill, survive a discard, and leave the rest alone", guards_by_mprotect);
    run("Guards of the best kind kill, survive a discard, and leave the rest alone", guards_of_the_best_kind);
    run("An overflow names the green thread, its id and its stack's size, and kills", overflow_is_reported);
    run("An overflow is reported on another OS thread too", overflow_on_another_os_thread);
    run("A null pointer, or a neighbour's guard, kills without talk of overflow", other_faults_are_not_overflows);
    run("A fault is passed on to the handler that was there before", earlier_handlers_get_their_turn);
    run("A SIGSEGV that was sent still kills", sent_signals_are_not_swallowed);
    run("An alternate signal stack is installed where there is none, and taken back", alternate_stacks_come_and_go);
    run("The running green thread is each OS thread's own", running_is_thread_local);
    run("Frames are found where the frame pointer isn't known, and those left on the stack don't count", frames_are_found_without_a_frame_pointer);
    run("An OS thread that sleeps is looked at and not disturbed", sleepers_are_not_disturbed);
    run("Errnos have names, and other numbers none", errnos_have_names);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
