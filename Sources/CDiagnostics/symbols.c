// Names for addresses of code.  The dynamic linker has the names that a file exports, which an executable seldom does; the file's own
// table has them all, unless it was stripped.

#define _GNU_SOURCE
#include "CDiagnostics.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct mapped {
    const char *bytes;
    size_t size;
} mapped;

static mapped map_file(const char *path) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return (mapped){NULL, 0};
    void *bytes = MAP_FAILED;
    if (fstat(descriptor, &status) == 0 && status.st_size > 0) {
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    close(descriptor);
    return bytes == MAP_FAILED ? (mapped){NULL, 0} : (mapped){bytes, (size_t)status.st_size};
}

static int holds(mapped file, uint64_t offset, uint64_t size) { return offset <= file.size && size <= file.size - offset; }

// The function in the file's table that holds `value`; null where there is none.
static const ElfW(Sym) *find(mapped file, const ElfW(Shdr) *table, uint64_t value) {
    if (!holds(file, table->sh_offset, table->sh_size)) return NULL;
    const ElfW(Sym) *symbols = (const void *)(file.bytes + table->sh_offset);
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && value - symbols[i].st_value < symbols[i].st_size) return &symbols[i];
    }
    return NULL;
}

// Copies the name, and returns how far `value` is from its start; -1 where there is none.
static long look_up(mapped file, uint64_t value, char *name, size_t size) {
    const ElfW(Ehdr) *header = (const void *)file.bytes;
    if (!holds(file, 0, sizeof *header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return -1;
    if (!holds(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr)))) return -1;
    const ElfW(Shdr) *sections = (const void *)(file.bytes + header->e_shoff);
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= header->e_shnum) continue;
        const ElfW(Sym) *symbol = find(file, &sections[i], value);
        const ElfW(Shdr) *names = &sections[sections[i].sh_link];
        if (!symbol || !holds(file, names->sh_offset, names->sh_size) || symbol->st_name >= names->sh_size) continue;
        strncpy(name, file.bytes + names->sh_offset + symbol->st_name, size - 1);
        name[size - 1] = 0;
        return (long)(value - symbol->st_value);
    }
    return -1;
}

int green_place_of(const void *address, green_place *place) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname) return 0;
    place->file = info.dli_fname;
    place->symbol[0] = 0;
    place->offset = (const char *)address - (const char *)info.dli_fbase;
    if (info.dli_sname && info.dli_saddr) {
        strncat(place->symbol, info.dli_sname, sizeof place->symbol - 1);
        place->offset = (const char *)address - (const char *)info.dli_saddr;
        return 1;
    }
    mapped file = map_file(info.dli_fname);
    if (!file.bytes) file = map_file("/proc/self/exe");  // named relative to where the program was started
    if (!file.bytes) return 1;
    // Code that can be loaded anywhere counts from its file's start.
    const ElfW(Ehdr) *header = (const void *)file.bytes;
    int is_fixed = holds(file, 0, sizeof *header) && header->e_type == ET_EXEC;
    uint64_t value = is_fixed ? (uint64_t)(uintptr_t)address : (uint64_t)place->offset;
    long offset = look_up(file, value, place->symbol, sizeof place->symbol);
    if (offset >= 0) place->offset = offset;
    munmap((void *)file.bytes, file.size);
    return 1;
}
