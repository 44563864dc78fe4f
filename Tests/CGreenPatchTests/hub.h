// A small hub for CGreenPatch's own tests: green threads that take turns, and poll where all wait.

#ifndef HUB_H
#define HUB_H

#include "CGreenPatch.h"

/// Runs `body` on a green thread, and all that it spawns, until the first has ended.
void hub_run(void (*body)(void *), void *context);
void hub_spawn(void (*body)(void *), void *context);
void hub_yield(void);

extern const green_patch_hooks hub_hooks;

#endif
