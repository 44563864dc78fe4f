// The words of Swift's concurrency runtime, and the exclusivity records, at a switch.

#define _GNU_SOURCE
#include "CSwitch.h"

#include <link.h>

static green_words none;        // never written: what is zero is not restored
static void *no_accesses;

_Thread_local green_words *green_words_ __attribute__((tls_model("initial-exec"))) = &none;
// The first of the exclusivity records of this OS thread, a list.
static _Thread_local void **accesses __attribute__((tls_model("initial-exec"))) = &no_accesses;
// Those of all others, while the set of a task is in place.
static _Thread_local void *common_accesses __attribute__((tls_model("initial-exec")));

_Thread_local unsigned char green_apart_ __attribute__((tls_model("initial-exec")));

// The set of all gives way to that of a task, and comes back.
static void set_apart(void *own) {
    common_accesses = *accesses;
    *accesses = own;
    green_apart_ = 1;
}

static void *set_common(void) {
    void *own = *accesses;
    *accesses = common_accesses;
    green_apart_ = 0;
    return own;
}

void green_words_adopt(green_words *words, void **first_access) {
    green_words_ = words ? words : &none;
    accesses = first_access ? first_access : &no_accesses;
    common_accesses = NULL;
}

void green_words_leave(green_thread *thread) {
    thread->flags |= GREEN_HOLDS_WORDS;
    if (green_apart_) {
        thread->accesses = set_common();
        thread->flags |= GREEN_IS_APART;
    }
    thread->words = *green_words_;
    *green_words_ = (green_words){0};
}

void green_words_return(green_thread *thread) {
    if (thread->flags & GREEN_IS_APART) set_apart(thread->accesses);
    thread->flags &= (uint8_t)~(GREEN_HOLDS_WORDS | GREEN_IS_APART);
    *green_words_ = thread->words;
}

int green_accesses_begin(void) {
    if (green_apart_) return 0;
    set_apart(NULL);
    return 1;
}

void green_accesses_end(void) { set_common(); }

static void move_to_stack_of(green_thread *thread, const green_thread *other) {
    thread->slot = other->slot;
    thread->stack_low = other->stack_low;
    thread->stack_high = other->stack_high;
    thread->sanitizer = other->sanitizer;
}

void green_call_enter(green_thread *thread, green_thread *caller, green_thread *callee) {
    move_to_stack_of(caller, thread);
    move_to_stack_of(thread, callee);
    if (callee->words.executor) {
        *green_words_ = callee->words;
        set_apart(callee->accesses);
    }
    green_switch(caller, callee);
    move_to_stack_of(thread, caller);
}

void green_call_leave(green_thread *caller, green_thread *callee) {
    callee->words = *green_words_;
    callee->accesses = set_common();
    *green_words_ = (green_words){0};
    green_switch(callee, caller);
}

typedef struct block_list {
    green_tls_block *blocks;
    int room, count;
} block_list;

static int add_block(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    block_list *list = context;
    for (int i = 0; i < info->dlpi_phnum && info->dlpi_tls_data; i++) {
        if (info->dlpi_phdr[i].p_type != PT_TLS || list->count == list->room) continue;
        list->blocks[list->count++] = (green_tls_block){info->dlpi_tls_data, info->dlpi_phdr[i].p_memsz};
    }
    return 0;
}

int green_tls_blocks(green_tls_block *blocks, int room) {
    block_list list = {blocks, room, 0};
    dl_iterate_phdr(add_block, &list);
    return list.count;
}
