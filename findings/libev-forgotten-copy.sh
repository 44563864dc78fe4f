#!/usr/bin/env bash
# Guess: a watcher is stopped and its descriptor closed, as libev asks; then nothing of it is left in the epoll set, whatever copies of the descriptor
# another process, or this one, still has.
# Seen (libev 4.33, Linux 6.18): stopping makes no system call, and closing takes the descriptor out only when it was the last copy.  So its events still
# come.  libev sees that they are stale, tries EPOLL_CTL_DEL, which fails with EBADF, for the number is closed; and makes a new epoll set and adds
# every other descriptor to it, at the next iteration: a call for each of them, for each such event before it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr
package libev-dev=1:4.33-1 libev4=1:4.33-1 strace=6.1-0.1

cat >"$work/probe.c" <<'C'
#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

static void called(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop, (void)watcher, (void)events;
    _exit(1);
}

int main(void) {
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    static ev_io others[100], watcher;
    int pair[2];
    for (int index = 0; index < 100; index++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return 2;
        ev_io_init(&others[index], called, pair[0], EV_READ);
        ev_io_start(loop, &others[index]);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return 2;
    ev_io_init(&watcher, called, pair[0], EV_READ);
    ev_io_start(loop, &watcher);
    ev_run(loop, EVRUN_NOWAIT);

    int copy = dup(pair[0]);
    ev_io_stop(loop, &watcher);
    close(pair[0]);
    if (copy < 0 || write(pair[1], "x", 1) != 1) return 2;
    ev_run(loop, EVRUN_NOWAIT);
    ev_run(loop, EVRUN_NOWAIT);
    return 0;
}
C
libraries=$(dirname "$(find "$work/root" -name 'libev.so.4')")
gcc -I"$work/root/usr/include" -o "$work/probe" "$work/probe.c" -L"$libraries" -lev -Wl,-rpath,"$libraries"
"$work/root/usr/bin/strace" -qq -e trace=epoll_create1,epoll_ctl -o "$work/trace" "$work/probe"
count() { grep -c "$1" "$work/trace" || true; }
expect "epoll sets made, where one was asked for" "$(count '^epoll_create1.* = [0-9]')" 2
expect "descriptors added, where there are 101" "$(count EPOLL_CTL_ADD)" 201
expect "stale descriptors taken out, in vain" "$(count 'EPOLL_CTL_DEL.*EBADF')" 1
