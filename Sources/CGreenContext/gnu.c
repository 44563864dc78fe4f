// What glibc declares for GNU programs only.

#define _GNU_SOURCE
#include "CGreenContext.h"

#include <string.h>
#include <sys/socket.h>

const char *green_errno_name(int number) { return strerrorname_np(number); }

int green_accept(int descriptor, struct sockaddr *address, socklen_t *length) {
    return accept4(descriptor, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
