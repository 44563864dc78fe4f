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

enum { PID_BITS = 22, START_BITS = 41 };

static _Atomic uint64_t own_identity;
static _Atomic int own_sender = -1;

// Both are the parent's.
static void forget_after_fork(void) {
    atomic_store_explicit(&own_identity, 0, memory_order_relaxed);
    atomic_store_explicit(&own_sender, -1, memory_order_relaxed);
}

static pthread_once_t fork_is_watched = PTHREAD_ONCE_INIT;
static void watch_fork(void) { pthread_atfork(NULL, NULL, forget_after_fork); }

// Field 22 of /proc/PID/stat, in ticks since the machine's start.  0 where there is no such file.
static uint64_t start_of(pid_t pid) {
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count <= 0) return 0;
    text[count] = 0;
    // The second field is the name, which may have any characters in it.
    char *field = strrchr(text, ')');
    for (int number = 2; field && number < 22; number++) field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) & ((1ULL << START_BITS) - 1) : 0;
}

uint64_t green_process_identity(void) {
    uint64_t identity = atomic_load_explicit(&own_identity, memory_order_relaxed);
    if (identity) return identity;
    pthread_once(&fork_is_watched, watch_fork);
    pid_t pid = getpid();
    identity = (uint64_t)pid | start_of(pid) << PID_BITS;
    atomic_store_explicit(&own_identity, identity, memory_order_relaxed);
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

int green_process_is_alive(uint64_t identity) {
    pid_t pid = green_process_of(identity);
    if (has_ended(pid)) return 0;
    // The number may be another process's by now.
    uint64_t start = identity >> PID_BITS, now = start_of(pid);
    return !start || !now || start == now;
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

static int sender(void) {
    int socket_now = atomic_load_explicit(&own_sender, memory_order_acquire);
    if (socket_now >= 0) return socket_now;
    pthread_once(&fork_is_watched, watch_fork);
    int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return -1;
    int expected = -1;
    if (atomic_compare_exchange_strong(&own_sender, &expected, made)) return made;
    close(made);
    return expected;
}

int green_bell_ring(uint32_t number) {
    struct sockaddr_un address;
    socklen_t length = bell_address(&address, number);
    ssize_t result;
    do result = sendto(sender(), "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, length);
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
