// What processes that share memory need of each other: who they are, whether they live, and a way to wake one that sleeps.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL  // Linux 6.3
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// MARK: Identity

enum { PID_BITS = 22, START_BITS = 32, IMAGE_BITS = 9 };

// What is this process's own, and not that of a forked child.  In one piece and zero at first, so that all lies in one page.
static struct {
    _Atomic uint64_t identity;
    // 1 more than its number.
    _Atomic int sender;
    // In a forked child: its parent had a socket to ring with.
    int parent_could_ring;
} own;

// Writes only what differs: a child has a copy of each page that it writes to.
static void forget_after_fork(void) {
    int could_ring = atomic_load_explicit(&own.sender, memory_order_relaxed) > 0;
    if (own.parent_could_ring != could_ring) own.parent_could_ring = could_ring;
    if (atomic_load_explicit(&own.identity, memory_order_relaxed)) atomic_store_explicit(&own.identity, 0, memory_order_relaxed);
    if (could_ring) atomic_store_explicit(&own.sender, 0, memory_order_relaxed);
}

static pthread_once_t fork_is_watched = PTHREAD_ONCE_INIT;
static void watch_fork(void) { pthread_atfork(NULL, NULL, forget_after_fork); }

// The beginning of a file of the kernel's; 0 where there is none.
static int read_text(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = read(file, text, size - 1);
    close(file);
    if (count <= 0) return 0;
    text[count] = 0;
    return 1;
}

// By how many ticks the starts that this process reads are moved: /proc shows them in the reader's time namespace.  False where that can't be found out, which
// includes a process that has a namespace for its children and is not in it.
static int find_clock_offset(int64_t *ticks) {
    struct stat own, of_children;
    char text[256];
    long long seconds = 0;
    long nanoseconds = 0;
    *ticks = 0;
    // Before Linux 5.6, or without a clock of its own for each namespace.
    if (stat("/proc/self/ns/time", &own) != 0) return errno == ENOENT;
    if (stat("/proc/self/ns/time_for_children", &of_children) != 0 || own.st_ino != of_children.st_ino) return 0;
    if (!read_text("/proc/self/timens_offsets", text, sizeof text)) return 0;
    char *line = strstr(text, "boottime");
    if (!line || sscanf(line, "boottime %lld %ld", &seconds, &nanoseconds) != 2) return 0;
    int64_t each_second = sysconf(_SC_CLK_TCK);
    *ticks = seconds * each_second + nanoseconds * each_second / 1000000000;
    return 1;
}

static _Atomic int64_t clock_offset;
static _Atomic int knows_clock_offset;

// When a process has started, in ticks since the machine's start, and where the stack of the program that it executes begins, which is another place after each
// exec.  0 for what the kernel does not show.
typedef struct life {
    uint64_t start;
    unsigned image;
} life;

static life life_of(pid_t pid) {
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    life life = {0, 0};
    if (!read_text(path, text, sizeof text)) return life;
    // The second field is the name, which may have any characters in it.
    char *field = strrchr(text, ')');
    for (int number = 2; field && number < 28; number++) {
        field = strchr(field + 1, ' ');
        if (!field || number + 1 != 22 || !atomic_load(&knows_clock_offset)) continue;
        life.start = (strtoull(field + 1, NULL, 10) - (uint64_t)atomic_load(&clock_offset)) & ((1ULL << START_BITS) - 1);
    }
    uint64_t stack = field ? strtoull(field + 1, NULL, 10) : 0;
    // Other users see a 0, or for some programs a 1 at most.
    if (stack > 1) life.image = 1 + (unsigned)((stack >> 4) * 0x9e3779b97f4a7c15ULL >> 32) % ((1u << IMAGE_BITS) - 1);
    return life;
}

uint64_t green_process_identity(void) {
    uint64_t identity = atomic_load_explicit(&own.identity, memory_order_relaxed);
    if (identity) return identity;
    pthread_once(&fork_is_watched, watch_fork);
    int64_t offset;
    int is_known = find_clock_offset(&offset);
    atomic_store(&clock_offset, offset);
    atomic_store(&knows_clock_offset, is_known);
    pid_t pid = getpid();
    life now = life_of(pid);
    identity = (uint64_t)pid | now.start << PID_BITS | (uint64_t)now.image << (PID_BITS + START_BITS);
    atomic_store_explicit(&own.identity, identity, memory_order_relaxed);
    return identity;
}

pid_t green_process_of(uint64_t identity) { return (pid_t)(identity & ((1ULL << PID_BITS) - 1)); }

// A zombie has ended, too.  Where the kernel has no descriptor left to ask by, only one that was waited for counts as ended.
static int has_ended(pid_t pid) {
    int handle = (int)syscall(SYS_pidfd_open, pid, 0);
    if (handle < 0) return errno == ESRCH || (kill(pid, 0) < 0 && errno == ESRCH);
    struct pollfd question = {.fd = handle, .events = POLLIN};
    int result = poll(&question, 1, 0);
    close(handle);
    return result > 0;
}

// What is not known of one of them counts as the same.
static int is_same_life(life known, life now) {
    uint64_t difference = (now.start - known.start + 1) & ((1ULL << START_BITS) - 1);
    // A namespace's clock may be off by a part of a tick.
    if (known.start && now.start && difference > 2) return 0;
    return !known.image || !now.image || known.image == now.image;
}

int green_process_is_alive(uint64_t identity) {
    green_process_identity();
    pid_t pid = green_process_of(identity);
    if (has_ended(pid)) return 0;
    // The number may be another process's by now, or the process may have become another program.
    life known = {
        .start = identity >> PID_BITS & ((1ULL << START_BITS) - 1),
        .image = (unsigned)(identity >> (PID_BITS + START_BITS)),
    };
    return is_same_life(known, life_of(pid));
}

// MARK: Bells

static socklen_t bell_address(struct sockaddr_un *address, uint32_t number) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    char name[8];
    snprintf(name, sizeof name, "%05x", (unsigned)number & 0xfffff);
    memcpy(address->sun_path + 1, name, 5);
    return offsetof(struct sockaddr_un, sun_path) + 6;
}

int green_bell_open(uint32_t *number) {
    int bell = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bell < 0) return -errno;
    // With no name, the kernel finds one that is free: a zero byte and five hexadecimal digits.
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof address;
    int failed = bind(bell, (struct sockaddr *)&address, sizeof(sa_family_t)) != 0
                 || getsockname(bell, (struct sockaddr *)&address, &length) != 0;
    int error = failed ? errno : EPROTO;
    if (!failed && length == offsetof(struct sockaddr_un, sun_path) + 6) {
        char name[6] = {0};
        memcpy(name, address.sun_path + 1, 5);
        *number = (uint32_t)strtoul(name, NULL, 16);
        return bell;
    }
    close(bell);
    return -error;
}

// -errno where there is none.
static int sender(void) {
    int known = atomic_load_explicit(&own.sender, memory_order_acquire);
    if (known > 0) return known - 1;
    pthread_once(&fork_is_watched, watch_fork);
    int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return -errno;
    int expected = 0;
    if (atomic_compare_exchange_strong(&own.sender, &expected, made + 1)) return made;
    close(made);
    return expected - 1;
}

void green_bell_prepare(void) { (void)sender(); }

void green_bell_prepare_child(void) {
    if (own.parent_could_ring) (void)sender();
}

int green_bell_ring(uint32_t number) {
    int socket_now = sender();
    if (socket_now < 0) return socket_now;
    struct sockaddr_un address;
    socklen_t length = bell_address(&address, number);
    ssize_t result;
    do result = sendto(socket_now, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

void green_bell_drain(int bell) {
    char byte;
    (void)!recv(bell, &byte, 1, MSG_DONTWAIT);
}

// MARK: Memory

static const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int green_shared_memory_make(uint64_t size) {
    int file = memfd_create("GreenNet", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    // An older kernel doesn't know the last flag; a newer one may insist on it.
    if (file < 0 && errno == EINVAL) file = memfd_create("GreenNet", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return -errno;
    // A participant that made it shorter would end all others by SIGBUS.
    if (ftruncate(file, (off_t)size) == 0 && fcntl(file, F_ADD_SEALS, sealed) == 0) return file;
    int error = errno;
    close(file);
    return -error;
}

int64_t green_shared_memory_size(int file) {
    int seals = fcntl(file, F_GET_SEALS);
    if (seals < 0) return errno == EBADF ? -EBADF : 0;
    struct stat status;
    if ((seals & sealed) != sealed || fstat(file, &status) != 0) return 0;
    return (int64_t)status.st_size;
}

uint64_t green_pid_namespace(void) {
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? (uint64_t)status.st_ino : 0;
}
