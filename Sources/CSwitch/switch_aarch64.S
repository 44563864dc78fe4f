// The switch for AArch64, AAPCS64.
//
// Kept for the suspended side: x19-x30, d8-d15 (the low halves of v8-v15, as the ABI asks), FPCR and the stack pointer.

#if defined(__aarch64__)

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SWITCH green_switch_registers   /* sanitizer.c's green_switch calls it */
#else
#define SWITCH green_switch
#endif

    .text

// void green_switch(green_thread *from /* x0 */, green_thread *to /* x1 */)
// What is stored here, green_first_frame lays out by hand: keep both in step.
    .globl SWITCH
    .hidden SWITCH
    .type SWITCH, %function
    .p2align 4
SWITCH:
    .cfi_startproc
    hint #34                    // bti c
    sub sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]               // from->stack_pointer
.Lresume:
    ldr x10, [x1]               // to->stack_pointer
    mov sp, x10
    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10               // slow: only where it differs
1:  ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    .cfi_adjust_cfa_offset -176
    // The processor predicts returns by the calls before them, whatever the stack.  Most switches resume a green thread at the
    // place where another one left, so that these are its calls too: not only this return is foreseen, but the returns of all callers.
    // Where a first frame waits, no calls were made yet, and the calls before are kept for the green thread that comes back to them.
    adr x10, green_start
    cmp x10, x30
    b.eq green_start
    ret
    .cfi_endproc
    .size SWITCH, .-SWITCH

// Where the first switch arrives: x19 holds the entry, x20 its argument.
// The entry returns, with all its calls, so that the green thread that is resumed finds its own calls the last ones.
    .globl green_start
    .hidden green_start
    .type green_start, %function
    .p2align 4
green_start:
    .cfi_startproc
    .cfi_undefined x30          // the outermost frame: unwinders stop here
    mov x29, xzr                // and so do unwinders that follow frame pointers
    mov x0, x20
    blr x19
    mov x1, x0                  // runs in its place; no switch comes back here
    mrs x9, fpcr
    b .Lresume
    .cfi_endproc
    .size green_start, .-green_start

#endif

    .section .note.GNU-stack, "", %progbits
