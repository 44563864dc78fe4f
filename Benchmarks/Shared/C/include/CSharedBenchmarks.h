#ifndef CSHAREDBENCHMARKS_H
#define CSHAREDBENCHMARKS_H

/// Sends 8 bytes to a forked child over a socket pair and gets them back, `count` times.  Returns the nanoseconds of one hand-over, or -1.
double socket_pair_handover(long count);

#endif
