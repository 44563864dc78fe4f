// udp-load SECONDS CLIENTS WINDOW SIZE PORT -- SERVER ARGUMENT ...
//
// Starts an echo server for datagrams, and has each of CLIENTS sockets send WINDOW datagrams of SIZE bytes, wait for their answers, and so on.  Each
// answer is compared with what was sent.  Prints the server's processor time for an answered datagram in nanoseconds, and how many there were a second.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { most_clients = 256, most_window = 256, most_size = 1400 };

static struct mmsghdr out[most_window], in[most_window];
static struct iovec out_parts[most_window], in_parts[most_window];
static char out_bytes[most_window][most_size], in_bytes[most_window][2048];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int connected(int port) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(descriptor, (struct sockaddr *)&server, sizeof(server)) != 0) exit(1);
    return descriptor;
}

// Sends until the server answers.
static void await_server(int client) {
    for (int attempt = 0; attempt < 500; attempt++) {
        struct pollfd wanted = {.fd = client, .events = POLLIN};
        char byte;
        send(client, "", 1, 0);
        if (poll(&wanted, 1, 20) == 1 && recv(client, &byte, 1, MSG_DONTWAIT) == 1) {
            usleep(50000);
            while (recv(client, &byte, 1, MSG_DONTWAIT) >= 0) {}
            return;
        }
        usleep(10000);  // before the server is bound, an error is there at once
    }
    fprintf(stderr, "the server does not answer\n");
    exit(1);
}

// Each once, in any order; the first two bytes are the number.
static int receive_all(int client, int window, int size) {
    int missing = window;
    while (missing > 0) {
        struct pollfd wanted = {.fd = client, .events = POLLIN};
        if (poll(&wanted, 1, 200) == 0) return window - missing;
        int count = recvmmsg(client, in, (unsigned)window, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            unsigned number = (unsigned char)in_bytes[i][0];
            if (in[i].msg_len != (unsigned)size || number >= (unsigned)window ||
                memcmp(in_bytes[i], out_bytes[number], (size_t)size) != 0) {
                fprintf(stderr, "an answer differs from what was sent\n");
                exit(1);
            }
        }
        if (count > 0) missing -= count;
    }
    return window;
}

int main(int argc, char **argv) {
    if (argc < 8 || strcmp(argv[6], "--") != 0) return fprintf(stderr, "usage: see the source\n"), 64;
    double seconds = atof(argv[1]);
    int clients = atoi(argv[2]), window = atoi(argv[3]), size = atoi(argv[4]), port = atoi(argv[5]);
    if (clients < 1 || clients > most_clients || window < 1 || window > most_window || size < 2 || size > most_size) return 64;
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[7], argv + 7);
        _exit(127);
    }
    int descriptors[most_clients];
    for (int i = 0; i < clients; i++) descriptors[i] = connected(port);
    await_server(descriptors[0]);
    for (int i = 0; i < window; i++) {
        memset(out_bytes[i], 'a' + i % 26, (size_t)size);
        out_bytes[i][0] = (char)i;
        out_parts[i] = (struct iovec){out_bytes[i], (size_t)size};
        in_parts[i] = (struct iovec){in_bytes[i], sizeof(in_bytes[i])};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
    }
    double start = now(), end = start + seconds;
    long answered = 0, lost = 0;
    while (now() < end) {
        for (int i = 0; i < clients; i++)
            for (int sent = 0; sent < window;) {
                int count = sendmmsg(descriptors[i], out + sent, (unsigned)(window - sent), 0);
                if (count < 0 && errno != ECONNREFUSED) return perror("sendmmsg"), 1;
                if (count > 0) sent += count;
            }
        for (int i = 0; i < clients; i++) {
            int count = receive_all(descriptors[i], window, size);
            answered += count;
            lost += window - count;
        }
    }
    double taken = now() - start;
    kill(server, SIGKILL);
    int status;
    struct rusage usage;
    wait4(server, &status, 0, &usage);
    double processor = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%.1f %.0f %ld\n", processor / (double)answered * 1e9, (double)answered / taken, lost);
    return 0;
}
