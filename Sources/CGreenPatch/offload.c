// Calls that wait inside the C library, where nothing can be patched, are made on another OS thread.

#include "patch.h"

#include <stdatomic.h>

static void work(void *context) {
    patch_record *record = context;
    record->work(record);
    record->number = errno;
}

void patch_release(void *context) {
    patch_record *record = context;
    if (atomic_fetch_sub(&record->owners, 1) != 1) return;
    if (record->end) record->end(record);
    free(record);
}

int patch_offload(patch_record *record) {
    record->owners = 2;
    int number = errno, error = patch_hooks.offload(work, patch_release, record);
    errno = number;
    return error;
}
