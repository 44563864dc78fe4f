// Sends datagrams back, one by one: what `make bench-udp` compares with.  udp-floor PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: udp-floor PORT\n"), 64;
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(descriptor, (struct sockaddr *)&own, sizeof(own)) != 0) return perror("bind"), 1;
    static char bytes[2048];
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        ssize_t count = recvfrom(descriptor, bytes, sizeof(bytes), 0, (struct sockaddr *)&peer, &length);
        if (count >= 0) sendto(descriptor, bytes, (size_t)count, 0, (struct sockaddr *)&peer, length);
    }
}
