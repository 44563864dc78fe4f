#!/usr/bin/env bash
# Guess: the descriptor that ZeroMQ gives for a socket (ZMQ_FD) is readable as long as a message is there, as that of any socket.
# Seen (ZeroMQ 4.3.4): it becomes readable when something has changed.  Once a message is received, it is silent, with two further messages there, which
# ZMQ_EVENTS tells.
# What follows: wait, receive one, wait again stops for good with messages in hand.  After each call on the socket, ZMQ_EVENTS is asked before one
# waits.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package libzmq3-dev=4.3.4-6 libzmq5=4.3.4-6 libpgm-5.3-0=5.3.128~dfsg-2 libnorm1=1.5.9+dfsg-2 libsodium23=1.0.18-1+deb12u1
libraries="$work/root/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$libraries"

cat >"$work/probe.c" <<'C'
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

static int option(void *socket, int name) {
    int value;
    size_t size = sizeof value;
    return zmq_getsockopt(socket, name, &value, &size) == 0 ? value : -1;
}

int main(void) {
    void *context = zmq_ctx_new();
    void *receiver = zmq_socket(context, ZMQ_PULL), *sender = zmq_socket(context, ZMQ_PUSH);
    char endpoint[100], byte;
    size_t length = sizeof endpoint;
    if (zmq_bind(receiver, "tcp://127.0.0.1:*") < 0 || zmq_getsockopt(receiver, ZMQ_LAST_ENDPOINT, endpoint, &length) < 0) return 2;
    if (zmq_connect(sender, endpoint) < 0) return 2;
    for (int count = 0; count < 3; count++) zmq_send(sender, "x", 1, 0);
    usleep(500000);

    struct pollfd wanted = {.fd = option(receiver, ZMQ_FD), .events = POLLIN};
    int received = 0;
    while (poll(&wanted, 1, 500) == 1)
        if (zmq_recv(receiver, &byte, 1, ZMQ_DONTWAIT) == 1) received++;
    printf("%d\n%s\n", received, option(receiver, ZMQ_EVENTS) & ZMQ_POLLIN ? "ZMQ_POLLIN" : "nothing");
    while (zmq_recv(receiver, &byte, 1, ZMQ_DONTWAIT) == 1) received++;
    printf("%d\n", received);
    zmq_close(sender);
    zmq_close(receiver);
    zmq_ctx_term(context);
    return 0;
}
C
gcc -I"$work/root/usr/include" -o "$work/probe" "$work/probe.c" -L"$libraries" -lzmq -Wl,-rpath-link,"$libraries"
mapfile -t seen < <("$work/probe")
expect "of 3 messages, received by waiting for the descriptor before each" "${seen[0]}" 1
expect "what ZMQ_EVENTS says then" "${seen[1]}" ZMQ_POLLIN
expect "received in all, when nobody waits any more" "${seen[2]}" 3
