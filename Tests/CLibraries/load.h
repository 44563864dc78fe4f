#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include "CLibraries.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#pragma GCC visibility push(hidden)

/// Keeps the text as the answer's error.
void fail(library_answer *answer, const char *what, const char *why);

/// Loads `file`, and stores the addresses of `names` in `calls`, which ends with null.
int load(const char *file, const char *const *names, void **calls, library_answer *answer);

#pragma GCC visibility pop

#endif
