// Whether the program's and the loaded libraries' calls lead to this target's definitions.
//
// A version script of the program may hide them from libraries; dlopen with RTLD_DEEPBIND makes a library prefer the C library's.  In a static executable
// the linker has bound all calls, and there is nothing to ask.

#include "patch.h"

#include <dlfcn.h>
#include <link.h>

#if defined(__x86_64__)
enum { OF_CALL = R_X86_64_JUMP_SLOT, OF_ADDRESS = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { OF_CALL = R_AARCH64_JUMP_SLOT, OF_ADDRESS = R_AARCH64_GLOB_DAT };
#endif

typedef struct call { const char *name; void *ours; } call;
#define ENTRY(name) {#name, (void *)name},
static const call calls[] = {CALLS(ENTRY)};
enum { CALL_COUNT = sizeof calls / sizeof *calls };

static const call *find(const char *name) {
    for (int i = 0; i < CALL_COUNT; i++) {
        if (calls[i].name[0] == name[0] && !strcmp(calls[i].name, name)) return &calls[i];
    }
    return NULL;
}

typedef struct misled { const char *name, *library; } misled;

// A slot that was not used yet leads into the object itself, which asks the dynamic linker at the first call.
static int is_inside(const struct dl_phdr_info *object, const void *address) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t offset = (uintptr_t)address - object->dlpi_addr - part->p_vaddr;
        if (part->p_type == PT_LOAD && offset < part->p_memsz) return 1;
    }
    return 0;
}

typedef struct tables { const ElfW(Sym) *symbols; const char *names; const ElfW(Rela) *relocations[2]; size_t sizes[2]; } tables;

static tables tables_of(const struct dl_phdr_info *object) {
    tables t = {0};
    const ElfW(Dyn) *entry = NULL;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC) entry = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    }
    for (; entry && entry->d_tag != DT_NULL; entry++) {
        // The dynamic linker has made addresses of these offsets, save in the kernel's own object.
        void *address = (void *)(entry->d_un.d_ptr < object->dlpi_addr ? entry->d_un.d_ptr + object->dlpi_addr : entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_SYMTAB: t.symbols = address; break;
        case DT_STRTAB: t.names = address; break;
        case DT_RELA: t.relocations[0] = address; break;
        case DT_RELASZ: t.sizes[0] = entry->d_un.d_val; break;
        case DT_JMPREL: t.relocations[1] = address; break;
        case DT_PLTRELSZ: t.sizes[1] = entry->d_un.d_val; break;
        }
    }
    return t;
}

static int look_at(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    tables t = tables_of(object);
    if (!t.symbols || !t.names) return 0;
    for (int table = 0; table < 2; table++) {
        for (size_t i = 0; t.relocations[table] && i < t.sizes[table] / sizeof(ElfW(Rela)); i++) {
            const ElfW(Rela) *r = &t.relocations[table][i];
            unsigned type = ELF64_R_TYPE(r->r_info);
            const ElfW(Sym) *symbol = &t.symbols[ELF64_R_SYM(r->r_info)];
            if ((type != OF_CALL && type != OF_ADDRESS) || symbol->st_shndx != SHN_UNDEF) continue;
            const call *c = find(t.names + symbol->st_name);
            void *target = c ? *(void **)(object->dlpi_addr + r->r_offset) : NULL;
            if (!c || !target || target == c->ours || is_inside(object, target)) continue;
            *(misled *)context = (misled){c->name, object->dlpi_name};
            return 1;
        }
    }
    return 0;
}

const char *green_patch_missing(const char **library) {
    *library = NULL;
    if (!dlsym(RTLD_DEFAULT, "getpid")) return NULL;
    for (int i = 0; i < CALL_COUNT; i++) {
        if (dlsym(RTLD_DEFAULT, calls[i].name) != calls[i].ours) return calls[i].name;
    }
    misled first = {0};
    if (dl_iterate_phdr(look_at, &first)) *library = first.library;
    return first.name;
}
