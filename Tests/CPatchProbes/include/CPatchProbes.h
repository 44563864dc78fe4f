// One probe for each promise about a call of the C library that parks.  A probe runs on a green thread, with GreenPatch installed, and needs other green
// threads to get on: where a call blocks the OS thread instead, the probe hangs.  `Tests/CGreenPatchTests` runs them on a hub in C, which an emulator and a
// static executable can run too; `Tests/GreenPatchTests` runs them on the hub of GreenNet.

#ifndef CPATCHPROBES_H
#define CPATCHPROBES_H

/// What the hub does for the probes.
typedef struct probe_hub {
    void (*spawn)(void (*body)(void *), void *context);
    void (*yield)(void);
} probe_hub;

typedef struct probe {
    const char *name;
    /// Whether mutexes must be patched too.
    int needs_mutexes;
    /// Null where all is as it should be, else what is not.
    const char *(*run)(void);
} probe;

/// Null behind the last one.
const probe *probe_at(int index);
void probe_set_hub(const probe_hub *hub);

/// How often epoll_ctl was called so far.
int probe_watch_calls(void);

#endif
