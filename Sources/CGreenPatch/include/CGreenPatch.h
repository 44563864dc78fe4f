// The C library's blocking calls, defined under their own names: the linker gives these definitions to the program and to every library that
// it loads.  On a green thread such a call parks the green thread; anywhere else it is the C library's own.
//
// Swift cannot define them: most are called before Swift's runtime is ready, some are variadic, and each must be a few instructions where it only
// passes the call on.

#ifndef CGREENPATCH_H
#define CGREENPATCH_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/// What the hub does for a call that has to wait.  Each is called on the running green thread, and returns 0 or an errno.  Deadlines are in
/// nanoseconds of the monotonic clock; INT64_MAX is none.
typedef struct green_patch_hooks {
    /// Parks until one of `wanted` may be ready.  ETIMEDOUT: the deadline has passed.  ECANCELED: the green thread was killed, or its time limit is
    /// over.  EBADF: `closed` was called for it, or `forget` for one of them.  With `may_stay` they may stay watched afterwards, until `forget`.
    int (*wait)(struct pollfd *wanted, size_t count, int64_t deadline, int may_stay);
    /// The same for reading one descriptor, which may stay watched.  EBUSY: use `wait`.  May be null.
    int (*wait_readable)(int fd, int64_t deadline);
    /// ETIMEDOUT, as a rule; or ECANCELED.
    int (*sleep)(int64_t deadline);
    /// Lets the other green threads run first.  ECANCELED as above.
    int (*turn)(void);
    /// Calls `work(record)` on another OS thread, and waits for its end.  ECANCELED: `work` may be running still, or never begin.  EAGAIN: no OS thread.
    /// `release(record)` is called once, on any OS thread, when `work` has returned or will never begin.
    int (*offload)(void (*work)(void *record), void (*release)(void *record), void *record);
    /// Ends the `wait` of another green thread with EBADF.
    void (*closed)(void *thread);
    /// Called before `fd`, which may stay watched, is closed.  Ends waits for it with EBADF.  Null where none stays watched.
    void (*forget)(int fd);
} green_patch_hooks;

enum { GREEN_PATCH_MAIN = 1, GREEN_PATCH_MUTEXES = 2 };

/// From now on green threads of all hubs park; with GREEN_PATCH_MAIN main green threads too.
void green_patch_install(const green_patch_hooks *hooks, int options);

/// From now on all calls are the C library's.  A call that waits already ends as it would have.
void green_patch_uninstall(void);

/// GREEN_PATCH_... of the last install; -1 where it is not in effect.
int green_patch_options(void);

/// The name of a patched call that does not lead here when the program, or the loaded library whose path is stored in `library`, calls it; null where all do.
/// `library` is null for the program, and a path that is valid while that library is loaded.
const char *green_patch_missing(const char **library);

/// Whether this process was forked from one that had installed GreenPatch, and the calling OS thread still has its parent's hub.
int green_patch_in_child(void);

#endif
