// What Swift's view of glibc leaves out.

#define _GNU_SOURCE
#include "CGreenContext.h"

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

const char *green_errno_name(int number) { return strerrorname_np(number); }

int green_accept(int descriptor, struct sockaddr *address, socklen_t *length, int blocking) {
    return accept4(descriptor, address, length, SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK));
}

int green_signal_at_parents_end(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

void green_close_all_but(int lowest, const int *kept, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < lowest) continue;
        if (kept[i] > lowest) close_range((unsigned)lowest, (unsigned)kept[i] - 1, 0);
        lowest = kept[i] + 1;
    }
    close_range((unsigned)lowest, ~0U, 0);
}

int green_wait_readable(int descriptor, const sigset_t *mask) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    return ppoll(&wanted, 1, NULL, mask);
}
