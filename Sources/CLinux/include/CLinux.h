// Calls that Swift doesn't see, since they are GNU's or Linux's and not POSIX's, or take a variable number of arguments.

#ifndef CLINUX_H
#define CLINUX_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/// strerrorname_np: errno's name, such as "ECONNRESET"; null for a number that has none.
const char *green_errno_name(int number);

/// strerrordesc_np: what errno means, such as "Connection reset by peer", in no language but English; null for a number that has none.
const char *green_errno_words(int number);

/// accept4, closed on exec.  -1 with errno set.
int green_accept(int descriptor, struct sockaddr *address, socklen_t *length, int blocking);

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

/// Whatever else is open from `lowest` on, the program that is started doesn't get.
int green_spawn_closing_from(posix_spawn_file_actions_t *actions, int lowest);

/// The program that is started is the leader of a session and a process group of its own.
int green_spawn_in_new_session(posix_spawnattr_t *attributes);

/// `environ`, which Swift can't see without a race.
char **green_environment(void);

/// A program to be started: as posix_spawn does it, which can't arrange that the program ends with its starter.
typedef struct green_program {
    char **words;      // the program's name or path, its arguments, null
    char **variables;  // its environment, null
    int streams[3];    // become standard input, output and error; -1 leaves the starter's own
    /// Sent to it by the kernel when the OS thread that has started it ends, however that ends; 0 for none.
    int signal_at_starters_end;
    /// A group of its own: what a terminal sends is not for it.
    int has_own_group;
} green_program;

/// Returns its id, or -errno where it can't be started.  It has no signal blocked or caught, and what the starter ignores is ignored.
/// From any OS thread: nothing happens between fork and exec that another one could be in the middle of.
pid_t green_start_program(const green_program *program);

/// prctl(PR_SET_CHILD_SUBREAPER): children of children whose parents have ended become this process's.
int green_adopt_orphans(void);

/// prctl(PR_SET_NAME): the calling OS thread's name, of which 15 bytes count.
void green_name_thread(const void *name);

/// timerfd_create on the monotonic clock, non-blocking and closed on exec.  -1 with errno set.
int green_timer_open(void);

/// timerfd_settime: readable from that moment on, and not before, whatever it was set to last.
int green_timer_set(int descriptor, int64_t nanoseconds);

/// pwritev2(RWF_NOWAIT): what a blocking descriptor takes at once, without making it non-blocking for all who share it.
/// -1 with errno set; EOPNOTSUPP where this kind of file can't say.
ssize_t green_write_now(int descriptor, const void *bytes, size_t count);

/// memfd_create and F_ADD_SEALS: a file in memory that nobody can change any more.  -1 with errno set.
int green_sealed_file(const void *bytes, size_t count);

/// An empty datagram that hands `file` over.  The macros that lay out SCM_RIGHTS are not for Swift.  -1 with errno set.
ssize_t green_send_file(int descriptor, const struct sockaddr *address, socklen_t length, int file);

#endif
