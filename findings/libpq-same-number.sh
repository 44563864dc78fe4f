#!/usr/bin/env bash
# Guess: while PQconnectPoll is at work, another value of PQsocket() says that libpq has another socket, as its manual warns; the same value, that it has
# not.
# Seen (libpq 15, Linux 6.18): where the first of two hosts refuses, it closes its socket and opens another, which gets the same number, and waits for the
# same: to be able to write.  The epoll set has forgotten the old one.  A libev watcher that goes by the number and is left as it is never fires again:
# the connect hangs, and only where the first host is down.
# What follows: a watcher is made anew for each step, with ev_io_init or ev_io_set, whatever the number.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr
package libpq-dev=15.20-0+deb12u1 libpq5=15.20-0+deb12u1 libldap-2.5-0=2.5.13+dfsg-5 libsasl2-2=2.1.28+dfsg-10+deb12u1 \
    libgssapi-krb5-2=1.20.1-2+deb12u5 libkrb5-3=1.20.1-2+deb12u5 libk5crypto3=1.20.1-2+deb12u5 libkrb5support0=1.20.1-2+deb12u5 \
    libkeyutils1=1.6.3-2 libssl3=3.0.22-1~deb12u2 libev-dev=1:4.33-1 libev4=1:4.33-1
libraries="$work/root/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$libraries"

cat >"$work/probe.c" <<'C'
#include <ev.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static PGconn *connection;
static PostgresPollingStatusType status = PGRES_POLLING_WRITING;
static int number = -1;
static ino_t file;
static int anew;

static void ready(struct ev_loop *loop, ev_io *watcher, int events);

static void watch(struct ev_loop *loop, ev_io *watcher) {
    struct stat now;
    if (fstat(PQsocket(connection), &now) < 0) exit(2);
    if (number == PQsocket(connection) && file != now.st_ino) puts("another socket, the same number");
    int events = status == PGRES_POLLING_READING ? EV_READ : EV_WRITE;
    // As one who goes by the number does.
    if (anew || number != PQsocket(connection) || watcher->events != events) {
        ev_io_stop(loop, watcher);
        if (anew || number != PQsocket(connection)) ev_io_init(watcher, ready, PQsocket(connection), events);
        else ev_io_modify(watcher, events);
        ev_io_start(loop, watcher);
    }
    number = PQsocket(connection), file = now.st_ino;
}

static void ready(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)events;
    status = PQconnectPoll(connection);
    if (status == PGRES_POLLING_OK || status == PGRES_POLLING_FAILED) {
        puts(status == PGRES_POLLING_OK ? "connected" : PQerrorMessage(connection));
        ev_break(loop, EVBREAK_ALL);
    } else {
        watch(loop, watcher);
    }
}

static void late(struct ev_loop *loop, ev_timer *timer, int events) {
    (void)timer, (void)events;
    puts("nothing for 2 s");
    ev_break(loop, EVBREAK_ALL);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    anew = strcmp(arguments[1], "anew") == 0;
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    ev_io watcher;
    ev_timer timer;
    ev_init(&watcher, ready);
    connection = PQconnectStart(arguments[2]);
    watch(loop, &watcher);
    ev_timer_init(&timer, late, 2., 0.);
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
    PQfinish(connection);
    return 0;
}
C
cat >"$work/servers.py" <<'PYTHON'
import socket, struct, subprocess, sys, threading

def serve(listener):
    kept = []
    while True:
        client = listener.accept()[0]
        client.recv(1000)
        client.sendall(b"R" + struct.pack("!ii", 8, 0) + b"K" + struct.pack("!iii", 12, 1, 1) + b"Z" + struct.pack("!i", 5) + b"I")
        kept.append(client)

down, up = socket.socket(), socket.socket()
for host in (down, up): host.bind(("127.0.0.1", 0))
up.listen(5)
threading.Thread(target=serve, args=(up,), daemon=True).start()
ports = f"{down.getsockname()[1]},{up.getsockname()[1]}"
hosts = f"hostaddr=127.0.0.1,127.0.0.1 port={ports} user=u dbname=d sslmode=disable gssencmode=disable"
for way in ("number", "anew"):
    seen = subprocess.run([sys.argv[1], way, hosts], capture_output=True, text=True, timeout=10).stdout.split("\n")
    print(", ".join(line for line in seen if line))
PYTHON
gcc -I"$work/root/usr/include" -I"$work/root/usr/include/postgresql" -o "$work/probe" "$work/probe.c" -L"$libraries" -lpq -lev \
    -Wl,-rpath-link,"$libraries"
mapfile -t seen < <(python3 "$work/servers.py" "$work/probe")
expect "a watcher that is made anew where the number changes" "${seen[0]}" "another socket, the same number, nothing for 2 s"
expect "a watcher that is made anew each time" "${seen[1]}" "another socket, the same number, connected"
