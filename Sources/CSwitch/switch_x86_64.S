// The switch for x86-64, System V ABI.
//
// Kept for the suspended side: rbx rbp r12-r15, MXCSR, the x87 control word and the stack pointer.  All else is the
// caller's to save, as at any call.  Swift's own registers (r13 self, r14 async context, r12 error) are among those kept.
// There is no SHSTK note on purpose: a shadow stack would have to be switched too, so the loader must turn it off.

#if defined(__x86_64__)

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SWITCH green_switch_registers   /* sanitizer.c's green_switch calls it */
#else
#define SWITCH green_switch
#endif

    .text

// void green_switch(green_thread *from /* rdi */, green_thread *to /* rsi */)
// What is pushed here, green_first_frame lays out by hand: keep both in step.
    .globl SWITCH
    .hidden SWITCH
    .type SWITCH, @function
    .p2align 4
SWITCH:
    .cfi_startproc
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %ecx
    movq %rsp, (%rdi)           // from->stack_pointer
.Lresume:
    movq (%rsi), %rsp           // to->stack_pointer
    // Loading the floating point modes costs more than all the rest: do it only where they differ.
    cmpl (%rsp), %eax
    jne 2f
1:  cmpw 4(%rsp), %cx
    jne 3f
4:  addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    // The processor predicts returns by the calls before them, whatever the stack.  Most switches resume a green thread at the
    // place where another one left, so that these are its calls too: not only this return is foreseen, but the returns of all callers.
    // Where a first frame waits, no calls were made yet, and the calls before are kept for the green thread that comes back to them.
    leaq green_start(%rip), %rdx
    cmpq %rdx, (%rsp)
    je 5f
    ret
5:  addq $8, %rsp
    jmp green_start
2:  ldmxcsr (%rsp)
    jmp 1b
3:  fldcw 4(%rsp)
    jmp 4b
    .cfi_endproc
    .size SWITCH, .-SWITCH

// Where the first switch arrives: r12 holds the entry, r13 its argument.  The stack pointer is 16-aligned here, as the ABI
// asks for just before a call; off by 8 it would work until the first aligned vector store.
// The entry returns, with all its calls, so that the green thread that is resumed finds its own calls the last ones.
    .globl green_start
    .hidden green_start
    .type green_start, @function
    .p2align 4
green_start:
    .cfi_startproc
    .cfi_undefined rip          // the outermost frame: unwinders stop here
    xorl %ebp, %ebp             // and so do unwinders that follow frame pointers
    movq %r13, %rdi
    call *%r12
    movq %rax, %rsi             // runs in its place; no switch comes back here
    stmxcsr -8(%rsp)
    fnstcw -4(%rsp)
    movl -8(%rsp), %eax
    movzwl -4(%rsp), %ecx
    jmp .Lresume
    .cfi_endproc
    .size green_start, .-green_start

#endif

    .section .note.GNU-stack, "", %progbits
