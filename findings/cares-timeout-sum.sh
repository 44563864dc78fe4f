#!/usr/bin/env bash
# Guess: c-ares told to take 100 ms and three tries gives up after 300 ms; a further server makes no difference to that, or shares it.
# Seen (c-ares 1.18.1): each try takes twice as long as the one before, and each server has all tries: 700 ms with one silent server, 1400 ms with
# two.  By that, its default of 5 s and 4 tries is 75 s for each server, where the C library's own is 10.
# What follows: a look-up by c-ares needs a deadline of its own, and ares_cancel() at its end.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package libc-ares-dev=1.18.1-3 libc-ares2=1.18.1-3
libraries="$work/root/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$libraries"

cat >"$work/probe.c" <<'C'
#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

static int over;

static void done(void *context, int status, int timeouts, struct hostent *host) {
    (void)context, (void)host;
    printf("%s, %d tries", status == ARES_ETIMEOUT ? "no answer" : ares_strerror(status), timeouts);
    over = 1;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    ares_channel channel;
    struct ares_options options;
    memset(&options, 0, sizeof options);
    options.timeout = 100;
    options.tries = 3;
    options.flags = ARES_FLAG_NOSEARCH;
    if (ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS) != ARES_SUCCESS) return 2;
    if (ares_set_servers_ports_csv(channel, arguments[1]) != ARES_SUCCESS) return 2;
    double began = now();
    ares_gethostbyname(channel, "name.example", AF_INET, done, NULL);
    while (!over) {
        fd_set readable, writable;
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        int highest = ares_fds(channel, &readable, &writable);
        struct timeval time;
        select(highest, &readable, &writable, NULL, ares_timeout(channel, NULL, &time));
        ares_process(channel, &readable, &writable);
    }
    int tenths = (int)((now() - began) * 10);
    printf(", %d.%d s\n", tenths / 10, tenths % 10);
    ares_destroy(channel);
    return 0;
}
C
cat >"$work/silent.py" <<'PYTHON'
import socket, subprocess, sys

silent = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for server in silent: server.bind(("127.0.0.1", 0))
servers = [f"127.0.0.1:{server.getsockname()[1]}" for server in silent]
for count in (1, 2):
    print(subprocess.run([sys.argv[1], ",".join(servers[:count])], capture_output=True, text=True, timeout=10).stdout, end="")
PYTHON
gcc -I"$work/root/usr/include" -o "$work/probe" "$work/probe.c" -L"$libraries" -lcares
mapfile -t seen < <(python3 "$work/silent.py" "$work/probe")
expect "100 ms and 3 tries, with a silent server" "${seen[0]}" "no answer, 3 tries, 0.7 s"
expect "with two" "${seen[1]}" "no answer, 6 tries, 1.4 s"
