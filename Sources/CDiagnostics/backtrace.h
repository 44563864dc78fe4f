// Frames by frame pointers, for the files here.

#include "CDiagnostics.h"

/// Stores return addresses from `count` on, up to `limit`; returns how many there are then.  For signal handlers too.
int green_walk(uintptr_t fp, green_bounds stack, void **frames, int count, int limit);

/// How many functions with frame pointers are active on the stack of a green thread, the innermost of which may have none; 0 where they do not lead to the
/// outermost one.  For signal handlers too.
int green_count_frames(uintptr_t fp, uintptr_t sp, green_bounds stack);

/// A green thread's own; the record of an OS thread's stack has no slot.
green_bounds green_stack_of(const green_thread *thread, green_bounds os_thread);

// As the switch has pushed them, in words: see the assembly.
#if defined(__x86_64__)
enum { SAVED_FP = 6, SAVED_PC = 7, SAVED_WORDS = 8 };
#else
enum { SAVED_FP = 10, SAVED_PC = 11, SAVED_WORDS = 22 };
#endif
