// Calls that close a descriptor: waits for it end with EBADF, as they would never end otherwise.

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
