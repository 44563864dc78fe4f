#ifndef SUPPORT_H
#define SUPPORT_H

#define _GNU_SOURCE
#include "CPatchProbes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

/// Ends a probe with a text where the condition does not hold.
#define EXPECT(condition) \
    do { \
        if (!(condition)) return probe_failure(__FILE__, __LINE__, #condition, errno); \
    } while (0)
const char *probe_failure(const char *file, int line, const char *condition, int number);

/// A green thread of a probe, which must `join` it.
typedef struct task {
    void (*body)(void *);
    void *context;
    int done;
} task;
void start(task *t, void (*body)(void *), void *context);
void join(task *t);
void yield(void);

int64_t now_ms(void);

/// A pair of connected unix-domain sockets, or a pipe: `ends[0]` is read.
typedef struct pair { int ends[2]; } pair;
pair sockets(int type);
pair open_pipe(void);
void close_pair(pair p);

/// Writes `text` to `fd` after the other green threads have run; `context` is a `say`.
typedef struct say { int fd; const char *text; } say;
void say_later(void *context);

/// Bytes that tell their place.
void fill(char *bytes, size_t size);
int is_filled(const char *bytes, size_t size);

/// Reads `size` bytes from `fd` in pieces, and checks them: the slow other side of a large write.
typedef struct drain { int fd; size_t size; int is_right; } drain;
void drain_slowly(void *context);

#pragma GCC visibility pop

#endif
