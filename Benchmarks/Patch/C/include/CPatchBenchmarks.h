// What the benchmarks of GreenPatch are compared with, in C.

#ifndef CPATCHBENCHMARKS_H
#define CPATCHBENCHMARKS_H

#include <stdint.h>

/// Nanoseconds of a lock and an unlock of a mutex: through the program's own names, and straight to the C library.
double bench_mutex_patched(int count);
double bench_mutex_direct(int count);

/// Nanoseconds of a round of ping-pong by read and write over a socket pair, between two OS threads.
double bench_ping_pong(int rounds);

/// `count` GETs of `url` by libcurl's multi interface with epoll, `width` at a time, over connections that stay open.  Returns the number of failures.
int bench_curl_multi(const char *url, int count, int width);

#endif
