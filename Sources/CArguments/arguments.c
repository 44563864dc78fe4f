// Swift does not hand main's arguments on: `CommandLine.arguments` reads /proc/self/cmdline, is empty where that is not mounted, and replaces
// bytes that are not UTF-8.  glibc gives them to each constructor, in programs that are linked statically too.

#include "CArguments.h"

#include <sys/auxv.h>

static int count;
static char **arguments;

__attribute__((constructor)) static void keep_arguments(int argc, char **argv) {
    count = argc;
    arguments = argv;
}

int program_argument_count(void) { return count; }

char *const *program_arguments(void) { return arguments; }

const char *program_path(void) {
    const char *path = (const char *)getauxval(AT_EXECFN);
    return path ? path : arguments[0];
}
