// Calls on sockets, pipes and files that take structures and macros which Swift doesn't see.  Each makes its call again after a signal, and returns -errno
// where the kernel refuses.

#ifndef CLINUX_SOCKETS_H
#define CLINUX_SOCKETS_H

#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

/// Whether both descriptors refer to the same open file: 1, 0, or -EBADF.
/// Before Linux 6.10 by the file's own number, which all of the kernel's nameless files, such as eventfd's, share.
int green_same_file(int one, int other);

/// socketpair: two stream sockets, non-blocking and closed on exec.
int green_socket_pair(int ends[2]);

/// setsockopt of an option that is a text, such as SO_BINDTODEVICE, which is number 25.
int green_set_text_option(int descriptor, int level, int name, const char *text);

/// SO_PEERCRED: process, user and group of the other side of a unix socket.
int green_peer_credentials(int descriptor, int32_t credentials[3]);

/// The most descriptors in one message (SCM_MAX_FD).
enum { green_most_descriptors = 253 };

/// sendmsg with SCM_RIGHTS: how many of the bytes were taken, and with the first of them the descriptors.
ssize_t green_send_descriptors(int socket, const void *bytes, size_t count, const int *descriptors, size_t how_many);

/// What came with the bytes of `green_receive_descriptors`.
typedef struct green_passed {
    size_t count;   // descriptors that are open here now, closed on exec
    int were_lost;  // there were more than `room`, or than this process may have
} green_passed;

/// recvmsg with SCM_RIGHTS: how many bytes came; up to `room` descriptors go into `descriptors`, and any others are closed.
ssize_t green_receive_descriptors(int socket, void *bytes, size_t size, int *descriptors, size_t room, green_passed *passed);

// MARK: Bulk

/// A pipe with room for about `size` bytes, if the kernel gives as much; both ends non-blocking and closed on exec.  Returns its room.
int green_bulk_pipe(int ends[2], int size);

/// splice from a socket into a pipe: how many bytes, 0 at the end of the stream.  Where nothing has come, it waits only if the socket blocks.
ssize_t green_splice_in(int socket, int pipe, size_t count);

/// splice from a pipe to a socket: how many bytes.  A peer that is gone is EPIPE, never SIGPIPE, which the call itself would raise: it has no MSG_NOSIGNAL.
/// With `more`, further bytes follow at once.
ssize_t green_splice_out(int pipe, int socket, size_t count, int more);

/// sendfile from `offset` on: how many bytes, 0 at the end of the file.  SIGPIPE as with `green_splice_out`.
ssize_t green_send_file_part(int socket, int file, off_t offset, size_t count);

/// Opens a file for reading, closed on exec; a pipe or a device does not make it wait.
int green_open_to_read(const char *path);

// MARK: Datagrams

/// One datagram of a batch.
typedef struct green_datagram {
    uint8_t *bytes;
    size_t length;
    struct sockaddr_storage address;
    socklen_t address_length;
    int is_truncated;
    /// AF_INET or AF_INET6 where the address of this machine is known, else 0: what it came to, or is to come from.
    int local_family;
    struct in6_addr local;  // of IPv4, the first four bytes
} green_datagram;

/// Datagrams, with the structures that recvmmsg and sendmmsg need, in one piece of memory.
typedef struct green_batch green_batch;

/// With room for `capacity` datagrams of `size` bytes; null where there is no memory.
green_batch *green_batch_make(size_t capacity, size_t size);
void green_batch_free(green_batch *batch);
green_datagram *green_batch_at(green_batch *batch, size_t index);

/// recvmmsg: how many have come, into the first places.
ssize_t green_batch_receive(int socket, green_batch *batch);

/// sendmmsg: how many of the datagrams `first ..< last` were taken.  With `segments`, those that follow each other, for the same address and of one
/// length, go to the kernel as one, which cuts it up (UDP_SEGMENT).
ssize_t green_batch_send(int socket, green_batch *batch, size_t first, size_t last, int segments);

/// recvfrom: the datagram's whole length, which may be more than `size`.
ssize_t green_receive_from(int socket, void *bytes, size_t size, struct sockaddr *address, socklen_t *length);

#endif
