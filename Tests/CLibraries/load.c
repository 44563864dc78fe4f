#include "load.h"

void fail(library_answer *answer, const char *what, const char *why) {
    answer->has_failed = 1;
    snprintf(answer->error, sizeof answer->error, "%s: %s", what, why ? why : "?");
}

int load(const char *file, const char *const *names, void **calls, library_answer *answer) {
    // Not RTLD_DEEPBIND, which would lead the library's calls past the program's definitions.
    void *library = dlopen(file, RTLD_NOW);
    if (!library) return fail(answer, file, dlerror()), -1;
    for (int i = 0; names[i]; i++) {
        if (!(calls[i] = dlsym(library, names[i]))) return fail(answer, file, dlerror()), -1;
    }
    return 0;
}
