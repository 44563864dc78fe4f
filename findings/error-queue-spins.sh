#!/usr/bin/env bash
# Guess: with MSG_ZEROCOPY, the kernel's notice that a buffer is free again lies in the socket's error queue and does not disturb a program that only reads and
# writes.
# Seen (libev 4.33, Linux 6.18): while such a notice is there, epoll says EPOLLERR, which libev takes for readable and writable.  A watcher for reading is
# called at each turn of the loop; recv says EAGAIN and SO_ERROR 0, and neither takes the notice away: only recvmsg with MSG_ERRQUEUE does.  What
# else lies in that queue, as time stamps of what was sent, does the same.
# What follows: on a hub, one such notice costs a whole core, without a byte or an error.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr
package libev-dev=1:4.33-1 libev4=1:4.33-1

cat >"$work/probe.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int calls, nothing;

static void readable(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop, (void)events;
    char byte;
    calls++;
    if (recv(watcher->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) nothing++;
}

static void show(struct ev_loop *loop) {
    calls = nothing = 0;
    for (int turn = 0; turn < 100; turn++) ev_run(loop, EVRUN_NOWAIT);
    printf("%d calls, %d times nothing to read\n", calls, nothing);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0) return 2;
    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) return 2;
    if (connect(client, (struct sockaddr *)&address, length) < 0 || accept(listener, NULL, NULL) < 0) return 2;
    if (setsockopt(client, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) < 0) return 2;

    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    ev_io watcher;
    ev_io_init(&watcher, readable, client, EV_READ);
    ev_io_start(loop, &watcher);
    show(loop);
    static char bytes[20000];
    if (send(client, bytes, sizeof bytes, MSG_ZEROCOPY) < 0) return 2;
    usleep(200000);
    show(loop);
    int error = 1;
    length = sizeof error;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length);
    printf("%d\n", error);
    char control[200];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(client, &message, MSG_ERRQUEUE) < 0) return 2;
    show(loop);
    return 0;
}
C
libraries="$work/root/usr/lib/x86_64-linux-gnu"
gcc -I"$work/root/usr/include" -o "$work/probe" "$work/probe.c" -L"$libraries" -lev -Wl,-rpath,"$libraries"
mapfile -t seen < <("$work/probe")
expect "100 turns of the loop, with nothing sent" "${seen[0]}" "0 calls, 0 times nothing to read"
expect "after a send with MSG_ZEROCOPY" "${seen[1]}" "100 calls, 100 times nothing to read"
expect "SO_ERROR" "${seen[2]}" 0
expect "when recvmsg has taken the notice" "${seen[3]}" "0 calls, 0 times nothing to read"
