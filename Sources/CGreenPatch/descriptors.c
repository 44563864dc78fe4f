// Calls that close a descriptor: waits for it end with EBADF, as they would never end otherwise.  And calls that change how long it blocks.

#include "patch.h"

// On any stack of the OS thread: the hub closes descriptors too, and the number may have another owner by the time that a woken green thread runs.
#define CLOSING(name, parameters, arguments, closed) \
    int name parameters { \
        patch_closes(closed); \
        return own_##name arguments; \
    }

CLOSING(close, (int fd), (fd), fd)
CLOSING(dup2, (int from, int to), (from, to), from == to ? -1 : to)
CLOSING(dup3, (int from, int to, int flags), (from, to, flags), to)
CLOSING(fclose, (FILE *file), (file), fileno(file))

#if __GLIBC_PREREQ(2, 34)
int close_range(unsigned first, unsigned last, int flags) {
    int closes = !(flags & CLOSE_RANGE_CLOEXEC);
    for (unsigned fd = first; closes && fd <= last && fd < PATCH_KNOWN; fd++) patch_closes((int)fd);
    return own_close_range(first, last, flags);
}
void closefrom(int first) {
    for (int fd = first < 0 ? 0 : first; fd < PATCH_KNOWN; fd++) patch_closes(fd);
    own_closefrom(first);
}
#endif

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    int result = own_ioctl(fd, request, argument);
    if (request == FIONBIO) patch_modes_changed();
    return result;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
    int result = own_setsockopt(fd, level, option, value, length);
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) patch_modes_changed();
    return result;
}
