// Locks of files.  Nothing says when one is free: the attempts are repeated, with pauses.

#include "patch.h"

static int repeat(int (*attempt)(int fd, int how, void *what), int fd, int how, void *what) {
    patch_pause pause = {0};
    int number = errno, error;
    while (attempt(fd, how, what) < 0) {
        if (errno != EAGAIN && errno != EACCES) return -1;
        if ((error = patch_pause_once(&pause, INT64_MAX))) return patch_fail(error);
    }
    errno = number;
    return 0;
}

static int try_flock(int fd, int operation, void *unused) { return (void)unused, own_flock(fd, operation | LOCK_NB); }
static int try_fcntl(int fd, int command, void *lock) { return own_fcntl(fd, command, lock); }
static int try_lockf(int fd, int command, void *length) { return own_lockf(fd, command, *(off_t *)length); }

PATCH(int, flock, (int fd, int operation), (fd, operation)) {
    if (operation & (LOCK_NB | LOCK_UN) || !patch_caller()) return own_flock(fd, operation);
    return repeat(try_flock, fd, operation, NULL);
}

PATCH(int, lockf, (int fd, int command, off_t length), (fd, command, length)) {
    if (command != F_LOCK || !patch_caller()) return own_lockf(fd, command, length);
    return repeat(try_lockf, fd, F_TLOCK, &length);
}
PATCH(int, lockf64, (int fd, int command, off64_t length), (fd, command, length)) { return green_lockf(fd, command, length); }

__attribute__((noinline)) static int green_fcntl(int fd, int command, void *argument) {
    if (!patch_caller()) return own_fcntl(fd, command, argument);
    return repeat(try_fcntl, fd, command == F_SETLKW ? F_SETLK : F_OFD_SETLK, argument);
}

// The third argument is an integer or an address, and passed in the same register.
#define FCNTL(name) \
    int name(int fd, int command, ...) { \
        va_list list; \
        va_start(list, command); \
        void *argument = va_arg(list, void *); \
        va_end(list); \
        if (command == F_SETLKW || command == F_OFD_SETLKW) return green_fcntl(fd, command, argument); \
        int result = own_##name(fd, command, argument); \
        if (command == F_SETFL) patch_modes_changed(); \
        return result; \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
