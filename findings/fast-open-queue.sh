#!/usr/bin/env bash
# Guess: TCP_FASTOPEN on a listener takes the length of its queue as listen() takes the backlog: a number above net.core.somaxconn is kept, and the smaller of the
# two counts at each connection, so that a later, larger somaxconn helps.
# Seen (Linux 6.18): it is cut to the somaxconn of the moment, without an error, and getsockopt shows what is left.  A somaxconn that is raised afterwards
# changes nothing for that listener.
# What follows: raise net.core.somaxconn before the service starts, and read the option back to know the queue.
# Needs root: it sets somaxconn in a network namespace of its own.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

cat >"$work/probe.c" <<'C'
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

static void show(int listener) {
    int length = 0;
    socklen_t size = sizeof length;
    getsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &length, &size);
    printf("%d ", length);
}

static void set_most(int most) {
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "w");
    fprintf(file, "%d", most);
    fclose(file);
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), length = 60000;
    listen(listener, 5);
    set_most(100);
    printf("%s ", setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &length, sizeof length) < 0 ? "refused" : "taken");
    show(listener);
    set_most(4096);
    show(listener);
    return 0;
}
C
cc -o "$work/probe" "$work/probe.c"
expect 'a length of 60000 with somaxconn 100, read back, and read once more with somaxconn 4096' "$(unshare --net "$work/probe")" 'taken 100 100 '
