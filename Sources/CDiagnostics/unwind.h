// Walks a stack that was copied.

#include <stddef.h>
#include <stdint.h>

/// What was copied of a stack.
typedef struct green_still_stack {
    uintptr_t low, high;  // where it was
    const char *bytes;
} green_still_stack;

typedef struct green_registers {
    uintptr_t pc, stack_pointer;
    uintptr_t frame_pointer;  // 0: not known
} green_registers;

/// Stores `now.pc` and the return addresses, innermost first; returns how many.  Not for signal handlers.
int green_unwind(const green_still_stack *stack, green_registers now, void **frames, int limit);

/// Where the function begins that holds `pc`; 0 where none is known.
uintptr_t green_function_of(uintptr_t pc);
