// Address space for stacks, and their guards.

#define _GNU_SOURCE
#include "CSwitch.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13; the C library's headers are older
#define MADV_GUARD_REMOVE 103
#endif

static void *map(size_t bytes) {
    // NORESERVE: nearly all of it is never touched, and must not count against what the kernel will promise.
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
}

// Where the kernel has not aligned it by itself, as it does since Linux 6.7: a larger piece, of which both ends go back.
static void *map_aligned(size_t bytes) {
    char *start = map(bytes + GREEN_BLOCK_BYTES);
    if (start == MAP_FAILED) return start;
    size_t before = -(uintptr_t)start % GREEN_BLOCK_BYTES;
    if (before > 0) munmap(start, before);
    munmap(start + before + bytes, GREEN_BLOCK_BYTES - before);
    return start + before;
}

int green_stacks_map(size_t bytes, void **low) {
    void *start = map(bytes);
    if (start != MAP_FAILED && (uintptr_t)start % GREEN_BLOCK_BYTES != 0) {
        munmap(start, bytes);
        start = map_aligned(bytes);
    }
    if (start == MAP_FAILED) return errno;
    // A huge page would make eight idle stacks resident at the first touch of one.
    madvise(start, bytes, MADV_NOHUGEPAGE);
    *low = start;
    return 0;
}

void green_stacks_unmap(void *low, size_t bytes) { munmap(low, bytes); }

void green_stack_discard(void *low, size_t bytes) { madvise(low, bytes, MADV_DONTNEED); }

// The kernel reads the set before it looks at `how`, which is nonsense here: the call changes nothing, and fails by EFAULT only
// where `low` is untouchable.
static int untouchable(const void *low) {
    return syscall(SYS_rt_sigprocmask, -1, low, NULL, 8) == -1 && errno == EFAULT;
}

// qemu's user mode takes unknown advice for a mere hint: it reports success and does nothing.  So the first guard has
// to prove itself.
static int guard_by_madvise(void *low, size_t bytes) {
    static _Atomic int proven;
    if (madvise(low, bytes, MADV_GUARD_INSTALL) != 0) return errno;
    if (!atomic_load(&proven)) {
        if (!untouchable(low)) return EINVAL;  // as a kernel without it says
        atomic_store(&proven, 1);
    }
    return 0;
}

static _Atomic int madvise_unknown;

static int uses_madvise(green_guard_kind kind) {
    return kind == GREEN_GUARD_MADVISE || (kind == GREEN_GUARD_BEST && !atomic_load(&madvise_unknown));
}

int green_guard_install(void *low, size_t bytes, green_guard_kind kind) {
    if (uses_madvise(kind)) {
        int error = guard_by_madvise(low, bytes);
        if (error != EINVAL || kind == GREEN_GUARD_MADVISE) return error;
        atomic_store(&madvise_unknown, 1);
    }
    return mprotect(low, bytes, PROT_NONE) == 0 ? 0 : errno;
}

int green_guard_remove(void *low, size_t bytes, green_guard_kind kind) {
    int result = uses_madvise(kind) ? madvise(low, bytes, MADV_GUARD_REMOVE) : mprotect(low, bytes, PROT_READ | PROT_WRITE);
    return result == 0 ? 0 : errno;
}
