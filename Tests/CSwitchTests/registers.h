// Assembly for the tests: it fills every register that a call must keep, and reads the stack pointer with which a green thread
// starts.  Compilers neither promise to leave such registers alone nor allow the frame pointer as an operand.

#ifndef REGISTERS_H
#define REGISTERS_H

#include "CSwitch.h"

/// Fills register i of the kept ones with `seed + i`, switches from `from` to `to`, and once resumed returns a mask of the
/// registers that hold something else.  To its own caller it keeps them all.
uint64_t registers_survive(green_thread *from, green_thread *to, uint64_t seed);

/// A green_entry that jumps to entry_seen with the stack pointer it found.
green_thread *entry_in_assembly(void *argument);
green_thread *entry_seen(void *argument, void *stack_pointer) __attribute__((used));

#if defined(__x86_64__)

// The stack at a function's entry: the return address has just been pushed.
enum { STACK_POINTER_AT_ENTRY = 8 };

#define KEPT_REGISTERS(X) X(0, rbx) X(1, rbp) X(2, r12) X(3, r13) X(4, r14) X(5, r15)
#define STACK_POINTER_NAME "rsp"
#define STACK_POINTER_BIT 6

#define FILL(i, reg) "lea " #i "(%rdx), %" #reg "\n"
#define COMPARE(i, reg)             \
    "lea " #i "(%rcx), %rdx\n"      \
    "cmp %rdx, %" #reg "\n"         \
    "setne %dl\n"                   \
    "movzbl %dl, %edx\n"            \
    "shl $" #i ", %edx\n"           \
    "or %edx, %eax\n"

__asm__(
    ".text\n"
    ".globl registers_survive\n"
    ".type registers_survive, @function\n"
    "registers_survive:\n"
    "push %rbx\n"
    "push %rbp\n"
    "push %r12\n"
    "push %r13\n"
    "push %r14\n"
    "push %r15\n"
    "sub $24, %rsp\n"
    "mov %rdx, (%rsp)\n"
    "mov %rsp, 8(%rsp)\n"
    KEPT_REGISTERS(FILL)
    "call green_switch\n"
    "mov (%rsp), %rcx\n"
    "xor %eax, %eax\n"
    "cmp 8(%rsp), %rsp\n"
    "setne %al\n"
    "shl $6, %eax\n"
    KEPT_REGISTERS(COMPARE)
    "add $24, %rsp\n"
    "pop %r15\n"
    "pop %r14\n"
    "pop %r13\n"
    "pop %r12\n"
    "pop %rbp\n"
    "pop %rbx\n"
    "ret\n"
    ".size registers_survive, .-registers_survive\n"

    ".globl entry_in_assembly\n"
    ".type entry_in_assembly, @function\n"
    "entry_in_assembly:\n"
    "mov %rsp, %rsi\n"
    "jmp entry_seen\n"
    ".size entry_in_assembly, .-entry_in_assembly\n");

#undef FILL
#undef COMPARE

// The rounding modes of the SSE unit (bits 0-1) and of the x87 (bits 2-3).
static inline void set_float_modes(unsigned modes) {
    uint32_t mxcsr;
    uint16_t control;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(control));
    mxcsr = (mxcsr & ~0x6000u) | (modes & 3) << 13;
    control = (uint16_t)((control & ~0xC00u) | (modes >> 2) << 10);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr) : "memory");
    __asm__ volatile("fldcw %0" : : "m"(control) : "memory");
}

static inline unsigned float_modes(void) {
    uint32_t mxcsr;
    uint16_t control;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr) : : "memory");
    __asm__ volatile("fnstcw %0" : "=m"(control) : : "memory");
    return (mxcsr >> 13 & 3) | (control >> 10 & 3u) << 2;
}

#elif defined(__aarch64__)

enum { STACK_POINTER_AT_ENTRY = 0 };

#define KEPT_INTEGERS(X) \
    X(0, x19) X(1, x20) X(2, x21) X(3, x22) X(4, x23) X(5, x24) X(6, x25) X(7, x26) X(8, x27) X(9, x28) X(10, x29)
#define KEPT_DOUBLES(X) X(11, d8) X(12, d9) X(13, d10) X(14, d11) X(15, d12) X(16, d13) X(17, d14) X(18, d15)
#define KEPT_REGISTERS(X) KEPT_INTEGERS(X) KEPT_DOUBLES(X)
#define STACK_POINTER_NAME "sp"
#define STACK_POINTER_BIT 19

#define FILL(i, reg) "add " #reg ", x2, #" #i "\n"
#define FILL_DOUBLE(i, reg)         \
    "add x9, x2, #" #i "\n"         \
    "fmov " #reg ", x9\n"
#define COMPARE(i, reg)             \
    "add x10, x9, #" #i "\n"        \
    "cmp " #reg ", x10\n"           \
    "cset x11, ne\n"                \
    "orr x0, x0, x11, lsl #" #i "\n"
#define COMPARE_DOUBLE(i, reg)      \
    "fmov x12, " #reg "\n"          \
    COMPARE(i, x12)

__asm__(
    ".text\n"
    ".globl registers_survive\n"
    ".type registers_survive, %function\n"
    ".p2align 2\n"
    "registers_survive:\n"
    "sub sp, sp, #176\n"
    "stp x19, x20, [sp, #0]\n"
    "stp x21, x22, [sp, #16]\n"
    "stp x23, x24, [sp, #32]\n"
    "stp x25, x26, [sp, #48]\n"
    "stp x27, x28, [sp, #64]\n"
    "stp x29, x30, [sp, #80]\n"
    "stp d8, d9, [sp, #96]\n"
    "stp d10, d11, [sp, #112]\n"
    "stp d12, d13, [sp, #128]\n"
    "stp d14, d15, [sp, #144]\n"
    "mov x9, sp\n"
    "stp x2, x9, [sp, #160]\n"
    KEPT_INTEGERS(FILL)
    KEPT_DOUBLES(FILL_DOUBLE)
    "bl green_switch\n"
    "ldp x9, x10, [sp, #160]\n"
    "mov x11, sp\n"
    "cmp x11, x10\n"
    "cset x0, ne\n"
    "lsl x0, x0, #19\n"
    KEPT_INTEGERS(COMPARE)
    KEPT_DOUBLES(COMPARE_DOUBLE)
    "ldp x19, x20, [sp, #0]\n"
    "ldp x21, x22, [sp, #16]\n"
    "ldp x23, x24, [sp, #32]\n"
    "ldp x25, x26, [sp, #48]\n"
    "ldp x27, x28, [sp, #64]\n"
    "ldp x29, x30, [sp, #80]\n"
    "ldp d8, d9, [sp, #96]\n"
    "ldp d10, d11, [sp, #112]\n"
    "ldp d12, d13, [sp, #128]\n"
    "ldp d14, d15, [sp, #144]\n"
    "add sp, sp, #176\n"
    "ret\n"
    ".size registers_survive, .-registers_survive\n"

    ".globl entry_in_assembly\n"
    ".type entry_in_assembly, %function\n"
    ".p2align 2\n"
    "entry_in_assembly:\n"
    "hint #34\n"
    "mov x1, sp\n"
    "b entry_seen\n"
    ".size entry_in_assembly, .-entry_in_assembly\n");

#undef FILL
#undef FILL_DOUBLE
#undef COMPARE
#undef COMPARE_DOUBLE

// FPCR's rounding mode (bits 0-1), flush to zero (bit 2) and default NaN (bit 3).
static inline void set_float_modes(unsigned modes) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr = (fpcr & ~(UINT64_C(15) << 22)) | (uint64_t)(modes & 3) << 22 | (uint64_t)(modes >> 2) << 24;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr) : "memory");
}

static inline unsigned float_modes(void) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr) : : "memory");
    return fpcr >> 22 & 15;
}

#endif

#define REGISTER_NAME(i, reg) #reg,
static const char *const register_names[] = {KEPT_REGISTERS(REGISTER_NAME) STACK_POINTER_NAME};
#undef REGISTER_NAME
enum { REGISTERS = sizeof register_names / sizeof *register_names };
_Static_assert(REGISTERS == STACK_POINTER_BIT + 1, "the stack pointer's bit follows the others");

#endif
