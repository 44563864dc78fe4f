// Calls that Swift doesn't see, since they are GNU's or Linux's and not POSIX's, or take a variable number of arguments.

#ifndef CLINUX_H
#define CLINUX_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "event_set.h"
#include "sockets.h"

/// strerrorname_np: errno's name, such as "ECONNRESET"; null for a number that has none.
const char *green_errno_name(int number);

/// strerrordesc_np: what errno means, such as "Connection reset by peer", in no language but English; null for a number that has none.
const char *green_errno_words(int number);

/// accept4, closed on exec.  -1 with errno set.
int green_accept(int descriptor, struct sockaddr *address, socklen_t *length, int blocking);

/// Calls `body` with `count` bytes of the calling OS thread's stack.  The first of them lies on the page of `body`'s frame, at a place that differs by some cache lines
/// from one `colour` to the next.
void green_with_stack_bytes(size_t count, int colour, void (*body)(void *bytes, size_t count, void *context), void *context);

/// prctl(PR_SET_PDEATHSIG): the kernel sends `signal` to this process when the OS thread that forked it ends, however it ends.
int green_signal_at_parents_end(int signal);

/// close_range around `kept`, which is in ascending order: closes every other descriptor from `lowest` on.
void green_close_all_but(int lowest, const int *kept, size_t count);

/// Raises this process's own oom_score_adj by `amount`, to 1000 at most, so that the kernel, out of memory, kills it before others.  For a
/// forked child: allocates nothing.  Where the kernel refuses, nothing changes.
void green_raise_oom_score(int amount);

/// ppoll for ever, with `mask` as the signal mask meanwhile.  -1 with errno set.
int green_wait(struct pollfd *wanted, size_t count, const sigset_t *mask);

/// pidfd_open: readable once the process has ended, and closed on exec.  -1 with errno set; ENOSYS before Linux 5.3.
int green_process_handle(pid_t process);

/// pipe2, closed on exec.  -1 with errno set.
int green_pipe(int ends[2]);

/// `environ`, which Swift can't see without a race.
char **green_environment(void);

/// A program to be started.  posix_spawn can't arrange that the program ends with its starter.
typedef struct green_program {
    char **words;        // the program's name, which is looked up in PATH, or its path; its arguments; null
    char **variables;    // its environment, null
    const int *streams;  // become its descriptors 0, 1 and so on; -1 leaves the starter's own.  It gets no others
    int stream_count;
    /// Sent to it by the kernel when the OS thread that has started it ends, however that ends; 0 for none.
    int signal_at_starters_end;
    int group;  // 0: the starter's; 1: a process group of its own; 2: a session of its own too
} green_program;

/// Returns its id, or -errno where it can't be started.  It has no signal blocked, caught or ignored.  From any OS thread, which waits until the program runs, while the
/// others go on.
pid_t green_start_program(const green_program *program);

/// prctl(PR_SET_CHILD_SUBREAPER): children of children whose parents have ended become this process's.
int green_adopt_orphans(void);

/// prctl(PR_SET_NAME): the calling OS thread's name, of which 15 bytes count.
void green_name_thread(const void *name);

/// gettid: the calling OS thread's number.
pid_t green_thread_number(void);

/// prctl(PR_GET_NAME): the calling OS thread's name, 15 bytes at most and a zero byte.
void green_thread_name(char name[16]);

/// timerfd_create on the monotonic clock, non-blocking and closed on exec.  -1 with errno set.
int green_timer_open(void);

/// timerfd_settime: readable from that moment on, and not before, whatever it was set to last.
int green_timer_set(int descriptor, int64_t nanoseconds);

/// pwritev2(RWF_NOWAIT): what a blocking descriptor takes at once, without making it non-blocking for all who share it.
/// -1 with errno set; EOPNOTSUPP where this kind of file can't say.
ssize_t green_write_now(int descriptor, const void *bytes, size_t count);

/// preadv2(RWF_NOWAIT): what can be read at once from a blocking descriptor, without making it non-blocking for all who share it.  -1 with errno set; EOPNOTSUPP
/// where this kind of file can't say.
ssize_t green_read_now(int descriptor, void *bytes, size_t count);

/// memmem: where `wanted` begins in `bytes`; null where it does not.  In linear time.
const void *green_find(const void *bytes, size_t count, const void *wanted, size_t wanted_count);

/// memfd_create and F_ADD_SEALS: a file in memory that cannot be changed any more.  -1 with errno set.
int green_sealed_file(const void *bytes, size_t count);

/// An empty datagram that hands `file` over.  The macros that lay out SCM_RIGHTS are not for Swift.  -1 with errno set.
ssize_t green_send_file(int descriptor, const struct sockaddr *address, socklen_t length, int file);

/// Whether the program has libdispatch, and with it a main queue.
int green_main_queue_exists(void);

/// Whether a job was ever put into it.  A few nanoseconds; only where it exists.
int green_main_queue_was_used(void);

/// A descriptor that is readable when the main OS thread is to call `green_main_queue_drain`; it belongs to libdispatch.  -1: there is no descriptor left.
int green_main_queue_handle(void);

/// Runs the jobs that are in it.  On the main OS thread.
void green_main_queue_drain(int handle);

/// Whether the calling OS thread is the process's first one.
int green_is_main_thread(void);

/// False once the process has started a second OS thread.
int green_is_single_threaded(void);

/// How many processors the calling OS thread may run on; 1 where the kernel does not say.
int green_processor_count(void);

// Between processes that share memory.

/// The calling process, by its number, the time of its start, and the program that it executes: never 0, and below 1 << 63.  System calls at the first time only,
/// and in a forked child again.
uint64_t green_process_identity(void);

/// The number in an identity.
pid_t green_process_of(uint64_t identity);

/// Whether that process has not ended, and executes the same program still.
int green_process_is_alive(uint64_t identity);

/// A socket that others wake this process by, and its number among all of the machine; non-blocking and closed on exec.  -errno where there is none.
int green_bell_open(uint32_t *number);

/// Opens the socket that this process rings with, while there is a descriptor for it; a ring that needs one opens it otherwise.
void green_bell_prepare(void);

/// The same in a forked child, where its parent had one.
void green_bell_prepare_child(void);

/// Makes that socket readable.  -ECONNREFUSED where it was closed, by the end of its process for instance; -EAGAIN where it is readable already.  Another error,
/// such as -EMFILE, where this process can't ring now.
int green_bell_ring(uint32_t number);

/// Takes one ring away; it may be readable still.
void green_bell_drain(int bell);

/// A file in memory of that size, zeroed, whose size can't be changed any more; closed on exec.  -errno.
int green_shared_memory_make(uint64_t size);

/// Its size; 0 where it is another kind of file, -EBADF where it is not open.
int64_t green_shared_memory_size(int file);

/// The namespace in which the numbers of processes hold; 0 where it can't be found out.
uint64_t green_pid_namespace(void);

#endif
