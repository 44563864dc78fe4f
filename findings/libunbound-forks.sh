#!/usr/bin/env bash
# Guess: ub_resolve_async of libunbound, which gives a descriptor to watch, looks names up in this process, as its name and c-ares suggest.
# Seen (libunbound 1.17.1): without ub_ctx_async(context, 1) the first call forks a child that stays until the context is deleted.  It closes nothing of
# what the process had open.  So a listener that is closed afterwards goes on listening: clients connect and are never accepted.  With
# ub_ctx_async(context, 1) it is an OS thread.
# What follows: a service that drains would refuse new clients and does not; and the child is there, with copies of all descriptors, for code that waits for
# any child, or for the end of a stream.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package libunbound-dev=1.17.1-2+deb12u4 libunbound8=1.17.1-2+deb12u4 libevent-2.1-7=2.1.12-stable-8+deb12u1
libraries="$work/root/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$libraries"

cat >"$work/probe.c" <<'C'
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unbound.h>
#include <unistd.h>

static int answered;

static void found(void *context, int error, struct ub_result *result) {
    (void)context;
    answered = error == 0 && result->havedata;
    ub_resolve_free(result);
}

static const char *reach(struct sockaddr_in *address) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    int result = connect(client, (struct sockaddr *)address, sizeof *address);
    close(client);
    return result < 0 ? "refused" : "connected";
}

int main(int count, char **arguments) {
    (void)arguments;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 5) < 0) return 2;
    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) return 2;

    struct ub_ctx *context = ub_ctx_create();
    if (count > 1) ub_ctx_async(context, 1);  // before the zone: afterwards it is refused
    ub_ctx_zone_add(context, "test.", "static");
    ub_ctx_data_add(context, "here.test. A 127.0.0.1");  // so that nobody is asked
    if (ub_resolve_async(context, "here.test", 1, 1, NULL, found, NULL) != 0) return 2;
    struct pollfd wanted = {.fd = ub_fd(context), .events = POLLIN};
    if (poll(&wanted, 1, 5000) == 1) ub_process(context);

    siginfo_t info = {0};
    const char *child = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? "a child" : "no child";
    close(listener);
    printf("%s, %s, closed listener: %s", answered ? "answered" : "no answer", child, reach(&address));
    ub_ctx_delete(context);
    printf(", and without the context: %s\n", reach(&address));
    return 0;
}
C
gcc -I"$work/root/usr/include" -o "$work/probe" "$work/probe.c" -L"$libraries" -lunbound -Wl,-rpath-link,"$libraries"
expect "by default" "$("$work/probe")" "answered, a child, closed listener: connected, and without the context: refused"
expect "with ub_ctx_async(context, 1)" "$("$work/probe" thread)" \
    "answered, no child, closed listener: refused, and without the context: refused"
