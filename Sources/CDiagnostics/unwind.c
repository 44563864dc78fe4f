// Frames of code that does not run meanwhile, by the tables that compilers write for exceptions (.eh_frame): C libraries keep no frame pointers, and in the
// middle of a system call the kernel reports two registers only.  Where the tables don't help, the frame pointers do that Swift keeps.

#include "unwind.h"

#include <string.h>

// libgcc's.
struct dwarf_eh_bases {
    void *tbase, *dbase, *func;
};
extern const void *_Unwind_Find_FDE(void *pc, struct dwarf_eh_bases *bases);

// In the numbering of the tables.
#if defined(__x86_64__)
enum { FRAME_POINTER = 6, STACK_POINTER = 7, RETURN_ADDRESS = 16 };
#else
enum { FRAME_POINTER = 29, STACK_POINTER = 31, RETURN_ADDRESS = 30 };
#endif

typedef enum where { UNCHANGED, IN_FRAME, UNKNOWN, NONE } where;

/// Where a frame has the register of its caller.
typedef struct place {
    where where;
    long offset;  // from the frame's address
} place;

/// How to get from a frame to its caller's, at one place of the code.
typedef struct rules {
    int base;  // the register that the frame's address counts from; -1: it is computed
    long offset;
    place frame_pointer, return_address;
} rules;

typedef struct reader {
    const uint8_t *at, *end;
} reader;

static uint8_t byte(reader *r) { return r->at < r->end ? *r->at++ : 0; }

static uint64_t fixed(reader *r, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value |= (uint64_t)byte(r) << 8 * i;
    return value;
}

static uint64_t number(reader *r) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t next = byte(r);
        value |= (uint64_t)(next & 0x7f) << shift;
        if (!(next & 0x80)) break;
    }
    return value;
}

static int64_t signed_number(reader *r) {
    uint64_t value = 0;
    int shift = 0;
    uint8_t next;
    do {
        next = byte(r);
        value |= (uint64_t)(next & 0x7f) << shift;
        shift += 7;
    } while (next & 0x80 && shift < 64);
    return (int64_t)(next & 0x40 && shift < 64 ? value | ~0ull << shift : value);
}

static void skip(reader *r, uint64_t count) { r->at = count < (uint64_t)(r->end - r->at) ? r->at + count : r->end; }

/// What an entry of the table has in common with others.
typedef struct common {
    long code_unit, data_unit;
    reader instructions;
    uint8_t pointer_encoding;
    int has_augmentation;
} common;

static reader entry(const uint8_t *start) {
    uint32_t length;
    memcpy(&length, start, sizeof length);
    return (reader){start + 4, start + 4 + length};
}

// Returns 0 where it is of a kind that isn't known here.
static int read_common(const uint8_t *start, common *common) {
    reader r = entry(start);
    skip(&r, 4);
    uint8_t version = byte(&r);
    const char *augmentation = (const char *)r.at;
    while (byte(&r)) {}
    common->code_unit = (long)number(&r);
    common->data_unit = (long)signed_number(&r);
    if (version == 1) byte(&r); else number(&r);
    common->pointer_encoding = 0;
    common->has_augmentation = augmentation[0] == 'z';
    if (augmentation[0] && !common->has_augmentation) return 0;
    if (common->has_augmentation) {
        uint64_t size = number(&r);
        const uint8_t *after = r.at + size;
        for (const char *letter = augmentation + 1; *letter; letter++) {
            if (*letter == 'R') {
                common->pointer_encoding = byte(&r);
            } else if (*letter == 'P') {
                static const int sizes[16] = {8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8, 0, 0, 0};
                skip(&r, (uint64_t)sizes[byte(&r) & 15]);
            } else if (*letter == 'L') {
                byte(&r);
            }
        }
        r.at = after;
    }
    common->instructions = r;
    return 1;
}

static void set(rules *rules, uint64_t reg, place place) {
    if (reg == FRAME_POINTER) rules->frame_pointer = place;
    if (reg == RETURN_ADDRESS) rules->return_address = place;
}

static void restore(rules *now, const rules *initial, uint64_t reg) {
    if (reg == FRAME_POINTER) now->frame_pointer = initial->frame_pointer;
    if (reg == RETURN_ADDRESS) now->return_address = initial->return_address;
}

enum { REMEMBERED = 8 };

// Follows the instructions up to `target` bytes of code.
static void run(reader r, const common *common, uint64_t target, rules *rules, const struct rules *initial) {
    struct rules remembered[REMEMBERED];
    int depth = 0;
    uint64_t code = 0;
    while (r.at < r.end) {
        uint8_t op = byte(&r);
        uint64_t reg = op & 0x3f;
        switch (op >> 6 ? op & 0xc0 : op) {
        case 0x40: code += reg * (uint64_t)common->code_unit; break;
        case 0x80: set(rules, reg, (place){IN_FRAME, (long)number(&r) * common->data_unit}); break;
        case 0xc0: restore(rules, initial, reg); break;
        case 0x02: code += fixed(&r, 1) * (uint64_t)common->code_unit; break;
        case 0x03: code += fixed(&r, 2) * (uint64_t)common->code_unit; break;
        case 0x04: code += fixed(&r, 4) * (uint64_t)common->code_unit; break;
        case 0x05: reg = number(&r); set(rules, reg, (place){IN_FRAME, (long)number(&r) * common->data_unit}); break;
        case 0x06: restore(rules, initial, number(&r)); break;
        case 0x07: set(rules, number(&r), (place){NONE, 0}); break;
        case 0x08: set(rules, number(&r), (place){UNCHANGED, 0}); break;
        case 0x09: reg = number(&r); number(&r); set(rules, reg, (place){UNKNOWN, 0}); break;
        case 0x0a: if (depth < REMEMBERED) remembered[depth++] = *rules; break;
        case 0x0b: if (depth > 0) *rules = remembered[--depth]; break;
        case 0x0c: rules->base = (int)number(&r); rules->offset = (long)number(&r); break;
        case 0x0d: rules->base = (int)number(&r); break;
        case 0x0e: rules->offset = (long)number(&r); break;
        case 0x0f: rules->base = -1; skip(&r, number(&r)); break;
        case 0x10: case 0x16: reg = number(&r); skip(&r, number(&r)); set(rules, reg, (place){UNKNOWN, 0}); break;
        case 0x11: reg = number(&r); set(rules, reg, (place){IN_FRAME, (long)signed_number(&r) * common->data_unit}); break;
        case 0x12: rules->base = (int)number(&r); rules->offset = (long)signed_number(&r) * common->data_unit; break;
        case 0x13: rules->offset = (long)signed_number(&r) * common->data_unit; break;
        case 0x14: case 0x15: reg = number(&r); number(&r); set(rules, reg, (place){UNKNOWN, 0}); break;
        case 0x00: case 0x2d: break;
        case 0x2e: number(&r); break;
        default: rules->base = -1; return;
        }
        if (code > target) return;
    }
}

static int rules_at(uintptr_t pc, rules *found) {
    struct dwarf_eh_bases bases;
    const uint8_t *start = _Unwind_Find_FDE((void *)pc, &bases);
    if (!start) return 0;
    reader r = entry(start);
    const uint8_t *common_start = r.at;
    common_start -= (int32_t)fixed(&r, 4);
    common common;
    if (!read_common(common_start, &common)) return 0;
    static const int sizes[16] = {8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8, 0, 0, 0};
    skip(&r, 2 * (uint64_t)sizes[common.pointer_encoding & 15]);
    if (common.has_augmentation) skip(&r, number(&r));
    rules initial = {-1, 0, {UNCHANGED, 0}, {UNCHANGED, 0}};
    run(common.instructions, &common, UINT64_MAX, &initial, &initial);
    *found = initial;
    run(r, &common, pc - (uintptr_t)bases.func, found, &initial);
    return 1;
}

uintptr_t green_function_of(uintptr_t pc) {
    struct dwarf_eh_bases bases = {NULL, NULL, NULL};
    return _Unwind_Find_FDE((void *)pc, &bases) ? (uintptr_t)bases.func : 0;
}

// MARK: Where the tables don't help

// Returns 0 where the stack has no such word.
static int load(const green_still_stack *stack, uintptr_t address, uintptr_t *word) {
    if (address % sizeof(void *) || address < stack->low || address + sizeof(void *) > stack->high) return 0;
    memcpy(word, stack->bytes + (address - stack->low), sizeof *word);
    return 1;
}

// Whether code returns there: it lies in a function, behind a call.
static int is_return_address(uintptr_t address) {
    if (address < 4096 || !green_function_of(address - 1)) return 0;
#if defined(__x86_64__)
    const uint8_t *after = (const uint8_t *)address;
    if (after[-5] == 0xe8) return 1;
    for (int size = 2; size <= 7; size++) {
        if (after[-size] == 0xff && (after[1 - size] >> 3 & 7) == 2) return 1;
    }
    return 0;
#else
    uint32_t before;
    memcpy(&before, (const void *)(address - 4), sizeof before);
    return (before & 0xfc000000) == 0x94000000 || (before & 0xfffffc1f) == 0xd63f0000;
#endif
}

// Whether a frame pointer may point to `address`: a chain of frames begins there that ends as the stack does.
static int begins_chain(const green_still_stack *stack, uintptr_t address) {
    for (int length = 0;; length++) {
        uintptr_t outer, back;
        int is_frame = load(stack, address, &outer) && load(stack, address + sizeof(void *), &back) && is_return_address(back);
        if (is_frame && outer == 0) return 1;
        // The outermost frames of an OS thread are C's, which keeps no frame pointer.
        if (!is_frame || outer <= address) return length + is_frame > 1;
        address = outer;
    }
}

// How far above the stack pointer the function that begins at `code` has its frame pointer, by its first instructions; -1 where these say nothing of it.
static long frame_size(const uint8_t *code) {
#if defined(__x86_64__)
    if (memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0) code += 4;  // endbr64
    if (memcmp(code, "\x55\x48\x89\xe5", 4) != 0) return -1;   // push %rbp; mov %rsp, %rbp
    code += 4;
    long pushed = 0;
    for (;; pushed += 8) {
        if (code[0] == 0x41 && (code[1] & 0xf8) == 0x50) code += 2;  // push %r8 to %r15
        else if ((code[0] & 0xf8) == 0x50) code += 1;                // push %rax to %rdi
        else break;
    }
    int32_t size = 0;
    if (memcmp(code, "\x48\x83\xec", 3) == 0) size = (int8_t)code[3];                       // sub $size, %rsp
    else if (memcmp(code, "\x48\x81\xec", 3) == 0) memcpy(&size, code + 3, sizeof size);
    return pushed + size;
#else
    uint32_t instruction;
    long size = -1;
    for (int i = 0; i < 16; i++) {
        memcpy(&instruction, code + 4 * i, sizeof instruction);
        long operand = (long)(instruction >> 10 & 0xfff) << (instruction & 1 << 22 ? 12 : 0);
        if ((instruction & 0xff8003ff) == 0x910003fd) size = operand;                      // add x29, sp, #operand
        else if (size >= 0 && (instruction & 0xff8003ff) == 0xd10003ff) size += operand;  // sub sp, sp, #operand
        else if ((instruction & 0x7c000000) == 0x14000000) break;                          // b, bl
    }
    return size;
#endif
}

// Where the frame pointer of the function that holds `pc` points to.  What earlier calls have left on the stack looks like frames too, so the first
// that does is taken only where the function's own code doesn't say.
static uintptr_t find_chain(const green_still_stack *stack, uintptr_t from, uintptr_t pc) {
    const uint8_t *function = (const uint8_t *)green_function_of(pc);
    long size = function ? frame_size(function) : -1;
    if (size >= 0 && begins_chain(stack, from + (uintptr_t)size)) return from + (uintptr_t)size;
    for (uintptr_t address = from; address < stack->high; address += sizeof(void *)) {
        if (begins_chain(stack, address)) return address;
    }
    return 0;
}

// MARK: Walking

// Goes to the caller's frame.  Returns 0 at the outermost.
static int go_out(const green_still_stack *stack, green_registers *now, uintptr_t pc) {
    rules rules;
    int known = rules_at(pc, &rules) && (rules.base == STACK_POINTER || rules.base == FRAME_POINTER);
    if (known && rules.return_address.where == NONE) return 0;
    known = known && rules.return_address.where == IN_FRAME;
    if (!(known && rules.base == STACK_POINTER) && !now->frame_pointer) {
        now->frame_pointer = find_chain(stack, now->stack_pointer, pc);
        if (!now->frame_pointer) return 0;
    }
    if (!known) rules = (struct rules){FRAME_POINTER, 2 * sizeof(void *), {IN_FRAME, -2 * (long)sizeof(void *)}, {IN_FRAME, -(long)sizeof(void *)}};
    uintptr_t frame = (rules.base == STACK_POINTER ? now->stack_pointer : now->frame_pointer) + (uintptr_t)rules.offset;
    if (frame <= now->stack_pointer && rules.base == FRAME_POINTER) return 0;
    if (!load(stack, frame + (uintptr_t)rules.return_address.offset, &now->pc) || !now->pc) return 0;
    if (rules.frame_pointer.where == IN_FRAME) {
        if (!load(stack, frame + (uintptr_t)rules.frame_pointer.offset, &now->frame_pointer)) return 0;
    } else if (rules.frame_pointer.where != UNCHANGED) {
        now->frame_pointer = 0;
    }
    now->stack_pointer = frame;
    return 1;
}

int green_unwind(const green_still_stack *stack, green_registers now, void **frames, int limit) {
    int count = 0;
    do {
        frames[count++] = (void *)now.pc;
        // A call may be the last thing that a function does.
    } while (count < limit && go_out(stack, &now, count > 1 ? now.pc - 1 : now.pc));
    return count;
}
