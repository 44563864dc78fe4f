#include "CPatchProbes.h"

#include <stddef.h>

#define PROBES(X) \
    X(recv, "recv parks until something comes") \
    X(recvfrom, "recvfrom parks, and has the sender's address") \
    X(recvmsg, "recvmsg parks, and has the control data") \
    X(recvmmsg, "recvmmsg parks until as many messages have come as it has room for, or one with MSG_WAITFORONE") \
    X(sendmmsg, "sendmmsg of more than fits sends all, in a stream and in messages") \
    X(wait_for_all, "recv with MSG_WAITALL gathers all, or what came before the end") \
    X(wait_for_all_parts, "recvmsg with MSG_WAITALL fills all parts") \
    X(wait_for_all_of_datagram, "MSG_WAITALL does not join datagrams") \
    X(receive_limit, "SO_RCVTIMEO limits recv and read") \
    X(non_blocking, "a non-blocking socket answers at once") \
    X(mode_is_kept, "the mode that others see while a green thread waits is blocking") \
    X(send_large, "send of more than fits sends all") \
    X(sendmsg_large, "sendmsg of more than fits sends all") \
    X(write_large, "write of more than fits a socket writes all") \
    X(writev_large, "writev of more than fits a socket writes all") \
    X(write_large_to_pipe, "write of more than fits a pipe writes all") \
    X(writev_large_to_pipe, "writev of more than fits a pipe writes all") \
    X(pass_descriptor_with_large, "a descriptor that is sent with more than fits comes once") \
    X(send_limit, "SO_SNDTIMEO limits send and write") \
    X(accept, "accept and accept4 park until a client connects") \
    X(connect_refused, "connect to no listener is refused") \
    X(connect_to_full_listener, "connect waits for room in a unix-domain listener's queue, within SO_SNDTIMEO") \
    X(close_ends_a_wait, "close ends recv and poll of another green thread") \
    X(dup2_ends_a_wait, "dup2 ends recv of the number that it replaces") \
    X(close_of_a_copy, "close of a copy ends no wait for the other number") \
    X(reused_number, "a number that is used anew for a socket is read as one") \
    X(read_socket, "read and readv of a socket park") \
    X(read_pipe, "read and readv of a pipe park, and see its end") \
    X(read_terminal, "read of a terminal parks") \
    X(files, "files and devices are read and written as ever") \
    X(large_file, "read of a large file that is partly in memory is not short") \
    X(read_of_nothing, "read of 0 bytes leaves the datagram there") \
    X(eventfd, "read of an eventfd parks") \
    X(timerfd, "read of a timerfd parks") \
    X(sendfile, "sendfile of more than fits sends all") \
    X(splice, "splice waits for either side") \
    X(poll, "poll parks, and reports each of its entries") \
    X(poll_timeout, "poll and ppoll end in time") \
    X(poll_many, "poll waits for 40 descriptors") \
    X(poll_both_ways, "poll waits for reading and writing at once") \
    X(poll_for_hang_up, "poll for a hang-up alone does not spin over unread data") \
    X(select, "select parks, and stores the time left") \
    X(epoll, "epoll_wait and epoll_pwait park") \
    X(epoll_pwait2, "epoll_pwait2 parks, and ends in time") \
    X(sleep, "sleeps of all kinds run at the same time") \
    X(flock, "flock parks until the lock is free") \
    X(lockf, "lockf parks until another process unlocks") \
    X(record_lock, "fcntl with F_SETLKW parks until another process unlocks") \
    X(open_file_lock, "fcntl with F_OFD_SETLKW parks until another process unlocks") \
    X(wait_for_child, "wait, waitpid, wait4 and waitid park until a child ends") \
    X(wait_for_stop, "waitpid with WUNTRACED sees a child stop") \
    X(system, "system parks until the command ends") \
    X(pclose, "pclose parks until the command ends") \
    X(forked_child, "a forked child that waits does not run its parent's green threads") \
    X(signal_handler, "a signal handler on a stack of its own is not parked") \
    X(getaddrinfo, "getaddrinfo parks, and knows numbers without a look-up") \
    X(getnameinfo, "getnameinfo parks") \
    X(hosts, "gethostbyname and gethostbyname_r park") \
    X(users, "getpwnam, getgrnam and their like park")

#define MUTEX_PROBES(X) \
    X(plain_mutex, "a plain mutex that is held over a wait makes others wait") \
    X(recursive_mutex, "a recursive mutex that is held over a wait lets no other in") \
    X(checking_mutex, "a mutex with error checks that is held over a wait makes others wait") \
    X(timed_mutex, "a timed lock waits for another green thread, and no longer than its time") \
    X(mutex_errors, "mutexes report what is an error and what is busy")

#define DECLARE(name, text) const char *probe_##name(void) __attribute__((visibility("hidden")));
PROBES(DECLARE)
MUTEX_PROBES(DECLARE)

#define ENTRY(name, text) {text, 0, probe_##name},
#define MUTEX_ENTRY(name, text) {text, 1, probe_##name},
static const probe probes[] = {PROBES(ENTRY) MUTEX_PROBES(MUTEX_ENTRY)};

const probe *probe_at(int index) { return index < (int)(sizeof probes / sizeof *probes) ? &probes[index] : NULL; }
