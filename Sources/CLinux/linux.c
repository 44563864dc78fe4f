// What Swift's view of glibc leaves out.

#define _GNU_SOURCE
#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL  // Linux 6.3
#define MFD_NOEXEC_SEAL 0x0008U
#endif

const char *green_errno_name(int number) { return strerrorname_np(number); }

const char *green_errno_words(int number) { return strerrordesc_np(number); }

int green_accept(int descriptor, struct sockaddr *address, socklen_t *length, int blocking) {
    return accept4(descriptor, address, length, SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK));
}

// Where they begin in their page: above the frames of `body`, below the first kilobytes.
enum { page_size = 4096, line_size = 64, first_line = 20, colours = 16 };

__attribute__((noinline)) void green_with_stack_bytes(
    size_t count, int colour, void (*body)(void *bytes, size_t count, void *context), void *context) {
    size_t place = (first_line + (unsigned)colour % colours) * line_size;
    uintptr_t here = (uintptr_t)__builtin_alloca(line_size);
    size_t all = count + line_size;
    uint8_t *bytes = __builtin_alloca(all + ((here - all - place) & (page_size - 1)));
    body((void *)(((uintptr_t)bytes + line_size - 1) & ~(uintptr_t)(line_size - 1)), count, context);
    // Not a jump: the memory is this frame's.
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

int green_signal_at_parents_end(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

// One after the other, where there is no list to read.  Up to the limit, which may be a billion: so not beyond a million, which the kernel
// gives to no process unless told otherwise (fs.nr_open).
static void close_each(int first, int last) {
    struct rlimit limit = {.rlim_cur = 1 << 20};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur > 1 << 20) limit.rlim_cur = 1 << 20;
    for (int number = first; number <= last && (rlim_t)number < limit.rlim_cur; number++) close(number);
}

// Where no descriptor is left to read the list with, the first that can go goes first.
static DIR *open_list(int first, int last) {
    DIR *list = opendir("/proc/self/fd");
    for (int number = first; !list && errno == EMFILE && number <= last; number++) {
        int is_closed = close(number) == 0;
        errno = EMFILE;
        if (is_closed) list = opendir("/proc/self/fd");
    }
    return list;
}

// By what the kernel lists.  The list is read in the order of the numbers, so that closing what was read does not disturb it.
static void close_listed(int first, int last) {
    DIR *list = open_list(first, last);
    if (!list) return close_each(first, last);
    for (struct dirent *entry; (entry = readdir(list));) {
        int number = atoi(entry->d_name);
        if (number >= first && number <= last && number != dirfd(list)) close(number);
    }
    closedir(list);
}

// A kernel before 5.9 doesn't have the call, and a sandbox may not know it.
static void close_between(int first, int last) {
    if (first <= last && close_range((unsigned)first, (unsigned)last, 0) != 0) close_listed(first, last);
}

void green_close_all_but(int lowest, const int *kept, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < lowest) continue;
        close_between(lowest, kept[i] - 1);
        lowest = kept[i] + 1;
    }
    close_between(lowest, INT_MAX);
}

// Into `end` and before it; returns where the number begins.  The C library's ways are not for a forked child.
static char *write_decimal(char *end, int number) {
    unsigned rest = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    do *--end = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0) *--end = '-';
    return end;
}

// atoi lies in a page of the C library that a forked child has not touched before: a fault takes longer than the rest of this.
static int read_decimal(const char *text) {
    int is_negative = *text == '-', value = 0;
    for (text += is_negative; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return is_negative ? -value : value;
}

void green_raise_oom_score(int amount) {
    int file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    char text[16] = {0};
    if (read(file, text, sizeof(text) - 1) > 0) {
        int wanted = read_decimal(text) + amount;
        char *end = text + sizeof(text), *start = write_decimal(end, wanted > 1000 ? 1000 : wanted);
        (void)!write(file, start, (size_t)(end - start));
    }
    close(file);
}

int green_wait(struct pollfd *wanted, size_t count, const sigset_t *mask) { return ppoll(wanted, count, NULL, mask); }

int green_process_handle(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int green_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

char **green_environment(void) { return environ; }

void green_name_thread(const void *name) { prctl(PR_SET_NAME, name); }

pid_t green_thread_number(void) { return (pid_t)syscall(SYS_gettid); }

void green_thread_name(char name[16]) {
    name[0] = 0;
    prctl(PR_GET_NAME, name);
}

int green_timer_open(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }

int green_timer_set(int descriptor, int64_t nanoseconds) {
    struct itimerspec time = {.it_value = {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &time, NULL);
}

ssize_t green_write_now(int descriptor, const void *bytes, size_t count) {
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    return pwritev2(descriptor, &part, 1, -1, RWF_NOWAIT);
}

ssize_t green_read_now(int descriptor, void *bytes, size_t count) {
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    return preadv2(descriptor, &part, 1, -1, RWF_NOWAIT);
}

const void *green_find(const void *bytes, size_t count, const void *wanted, size_t wanted_count) {
    return memmem(bytes, count, wanted, wanted_count);
}

static int fill_and_seal(int file, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(file, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -1;
        bytes += written;
        count -= (size_t)written;
    }
    return fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

int green_sealed_file(const void *bytes, size_t count) {
    int file = memfd_create("datagram", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    // An older kernel doesn't know the last flag; a newer one may insist on it.
    if (file < 0 && errno == EINVAL) file = memfd_create("datagram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0 || fill_and_seal(file, bytes, count) == 0) return file;
    int number = errno;
    close(file);
    errno = number;
    return -1;
}

ssize_t green_send_file(int descriptor, const struct sockaddr *address, socklen_t length, int file) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_name = (void *)address,
        .msg_namelen = length,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &file, sizeof(int));
    return sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// In the child, before it becomes another program.  It has its starter's memory, in which other OS threads go on: only calls that are allowed after a fork
// beside them, and no writes but to its own part of the stack.

static void reset_signals(void) {
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Sources among the numbers that streams become are copied beyond them first: each might be overwritten before it is used.
static int place_streams(const green_program *program) {
    int count = program->stream_count, sources[count + 1];
    for (int number = 0; number < count; number++) {
        sources[number] = program->streams[number];
        int is_in_the_way = sources[number] >= 0 && sources[number] < count && sources[number] != number;
        if (is_in_the_way && (sources[number] = fcntl(sources[number], F_DUPFD_CLOEXEC, count)) < 0) return -1;
    }
    for (int number = 0; number < count; number++) {
        int result = sources[number] == number ? fcntl(number, F_SETFD, 0)
                     : sources[number] >= 0    ? dup2(sources[number], number)
                                               : 0;
        if (result < 0) return -1;
    }
    return 0;
}

#ifndef CLOSE_RANGE_CLOEXEC  // Linux 5.11
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

// Not before exec: the starter hears by one of them that there is no such program.
static void close_on_exec_from(int lowest) {
    if (close_range((unsigned)lowest, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
    struct rlimit limit = {.rlim_cur = 1 << 20};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur > 1 << 20) limit.rlim_cur = 1 << 20;
    for (int number = lowest; (rlim_t)number < limit.rlim_cur; number++) fcntl(number, F_SETFD, FD_CLOEXEC);
}

// Returns where something has failed, with errno set.
static void become(const green_program *program, pid_t starter) {
    if (program->group == 1) setpgid(0, 0);
    if (program->group == 2) setsid();
    if (program->signal_at_starters_end) {
        prctl(PR_SET_PDEATHSIG, program->signal_at_starters_end);
        // It may have ended before that was arranged.
        if (getppid() != starter) _exit(127);
    }
    if (place_streams(program) < 0) return;
    close_on_exec_from(program->stream_count);
    reset_signals();
    execvpe(program->words[0], program->words, program->variables);
}

// Both ends beyond the numbers that streams become.
static int make_failure_pipe(int ends[2], int lowest) {
    int low[2];
    if (pipe2(low, O_CLOEXEC) != 0) return -1;
    for (int end = 0; end < 2; end++) ends[end] = low[end] < lowest ? fcntl(low[end], F_DUPFD_CLOEXEC, lowest) : low[end];
    int number = errno;
    for (int end = 0; end < 2; end++) {
        if (ends[end] != low[end]) close(low[end]);
    }
    if (ends[0] >= 0 && ends[1] >= 0) return 0;
    for (int end = 0; end < 2; end++) {
        if (ends[end] >= 0) close(ends[end]);
    }
    errno = number;
    return -1;
}

// vfork copies no tables of memory, which takes its time where there are many stacks.  A function of its own: what it has in registers is not
// disturbed by what the child does.
static __attribute__((noinline)) pid_t start(const green_program *program, pid_t starter, int failure) {
    pid_t pid = vfork();
    if (pid != 0) return pid;
    become(program, starter);
    int number = errno;
    ssize_t written = write(failure, &number, sizeof(number));
    _exit(written == sizeof(number) ? 127 : 126);
}

pid_t green_start_program(const green_program *program) {
    int failure[2];
    if (make_failure_pipe(failure, program->stream_count) != 0) return -errno;
    // A signal in between would run this program's handler in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t pid = start(program, getpid(), failure[1]);
    int number = pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(failure[1]);
    // Comes to its end when the child has become the program.
    while (pid > 0 && read(failure[0], &number, sizeof(number)) < 0 && errno == EINTR) {}
    close(failure[0]);
    if (number == 0) return pid;
    if (pid > 0) waitpid(pid, NULL, 0);
    return -number;
}

int green_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1); }

// Asked with more and more room: the kernel refuses a set that is smaller than its own.
int green_processor_count(void) {
    for (int room = 1024; room <= 1 << 20; room *= 2) {
        cpu_set_t *set = CPU_ALLOC(room);
        if (set == NULL) return 1;
        size_t size = CPU_ALLOC_SIZE(room);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    return 1;
}
