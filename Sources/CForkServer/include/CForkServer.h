// What echo-server and the small program that makes its children say to each other, and the calls that Swift has no words for.

#ifndef CFORKSERVER_H
#define CFORKSERVER_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/// What a child is to do with its client's socket, which comes with it.
typedef struct fork_request {
    int64_t idle_limit, write_limit;  // in nanoseconds; 0 for none
    int32_t transform;                // one of fork_transform
} fork_request;

enum fork_transform { fork_echo, fork_upper, fork_lower, fork_rot13 };

/// The descriptors that the program begins with, besides the standard ones.
enum { fork_requests = 3, fork_memory = 4 };

/// The memory that server, program and children have in common, in cells of 64 bits: the counters of the server's row, in its order; the version of all this;
/// the size of the buffer that a child receives into; and the number of the child that was made last, which the kernel writes before the child runs: the
/// server finds it there even where the program has died since.
enum {
    fork_reads = 1,
    fork_bytes_in = 2,
    fork_bytes_out = 3,
    fork_version = 61,
    fork_buffer_size = 62,
    fork_last_child = 63,
    fork_cells = 64
};

/// Of server and program, which may come from two installations.
enum { fork_current_version = 1 };

/// A file of zeroes in memory, closed on exec; -errno.
int fork_make_memory(size_t size);

/// A child's exit status is 0 where its client has ended the stream, and else the number of the error: below fork_in_send of recv, and above it of send.
/// ETIME stands for a client that was waited for in vain.
enum { fork_in_send = 128 };

/// Two sockets for requests and answers, each of which arrives whole; closed on exec.  -errno.
int fork_make_channel(int ends[2]);

/// Sends `request` and the socket, without waiting.  -errno where it did not go.
int fork_request_send(int requests, const fork_request *request, int client);

/// Waits for the next request and returns the socket of its client, closed on exec; -errno, or -EPIPE where the server has gone.
int fork_request_receive(int requests, fork_request *request);

/// fork, for a child of the server: the caller is not its parent.  -errno where there is none.  `number` gets that of the child.
pid_t fork_for_parent(int32_t *number);

/// The child's own end comes this many seconds after it was asked to finish.
enum { fork_seconds_to_finish = 3 };

/// recv, as often as a signal has interrupted it; -errno.
ssize_t fork_receive(int socket, void *bytes, size_t count);

/// recv, as often as a signal has interrupted it before `end`, by fork_now; -errno.  Each begins with the socket's own limit anew.
ssize_t fork_receive_by(int socket, void *bytes, size_t count, int64_t end);

/// send, without waiting: -EAGAIN where the socket takes nothing now, or else -errno.
ssize_t fork_send(int socket, const void *bytes, size_t count);

/// Blocks or lets in a signal.
void fork_block(int number, int is_blocked);

void fork_ignore(int number);

/// What the calling process gets when its parent ends.
void fork_signal_at_parents_end(int number);

/// SO_RCVTIMEO or SO_SNDTIMEO; 0 nanoseconds for no limit.
void fork_limit_time(int socket, int option, int64_t nanoseconds);

/// Waits for a socket that takes more; 0 where it does not within this time, of which 0 is no limit.
int fork_wait_writable(int socket, int64_t nanoseconds);

/// What the other side of a socket has not acknowledged.
int fork_unacknowledged(int socket);

/// The monotonic clock, in nanoseconds.
int64_t fork_now(void);

/// Adds to a counter that other processes add to at the same time.
void fork_count(int64_t *cell, int64_t amount);

#endif
