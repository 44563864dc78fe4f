// bulk-load GIB CONNECTIONS PORT TARGET-PORT -- FORWARDER ARGUMENT ...
//
// Starts a forwarder that passes connections at PORT on to TARGET-PORT, where a child of this program listens; sends GIB GiB through it, over
// CONNECTIONS at once, and waits until all of it has arrived.  Prints GiB a second, and the forwarder's processor time for a GiB in seconds, its children's
// with it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { most_connections = 64, piece = 1 << 20 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sockaddr_in address(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listening(int port) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in own = address(port);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(descriptor, (struct sockaddr *)&own, sizeof(own)) != 0 || listen(descriptor, 64) != 0) perror("listen"), exit(1);
    return descriptor;
}

static int connected(int port) {
    struct sockaddr_in other = address(port);
    for (int attempt = 0; attempt < 500; attempt++) {
        int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(descriptor, (struct sockaddr *)&other, sizeof(other)) == 0) return descriptor;
        close(descriptor);
        usleep(20000);
    }
    fprintf(stderr, "the forwarder does not listen\n");
    exit(1);
}

// Takes all that comes, to the end of each stream, and answers with how much that was.  MSG_TRUNC: the bytes are dropped in the kernel.
static void sink(int listener) {
    for (;;) {
        int descriptor = accept(listener, NULL, NULL);
        if (descriptor < 0 || fork() != 0) {
            close(descriptor);
            continue;
        }
        close(listener);
        long long total = 0;
        for (ssize_t count; (count = recv(descriptor, NULL, 1 << 22, MSG_TRUNC)) > 0;) total += count;
        if (write(descriptor, &total, sizeof(total)) != sizeof(total)) _exit(1);
        _exit(0);
    }
}

static long long send_all(int descriptor, int file, long long total) {
    for (long long left = total; left > 0;) {
        off_t offset = 0;
        ssize_t count = sendfile(descriptor, file, &offset, left < piece ? (size_t)left : piece);
        if (count <= 0) return perror("sendfile"), -1;
        left -= count;
    }
    shutdown(descriptor, SHUT_WR);
    long long arrived = -1;
    return recv(descriptor, &arrived, sizeof(arrived), MSG_WAITALL) == sizeof(arrived) ? arrived : -1;
}

int main(int argc, char **argv) {
    if (argc < 7 || strcmp(argv[5], "--") != 0) return fprintf(stderr, "usage: see the source\n"), 64;
    double gib = atof(argv[1]);
    int connections = atoi(argv[2]), port = atoi(argv[3]), target = atoi(argv[4]);
    if (connections < 1 || connections > most_connections) return 64;
    int listener = listening(target);
    pid_t drain = fork();
    if (drain == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        sink(listener);
    }
    close(listener);  // before this program's last words, at which the next run begins
    pid_t forwarder = fork();
    if (forwarder == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        execvp(argv[6], argv + 6);
        _exit(127);
    }
    int file = memfd_create("bytes", MFD_CLOEXEC);
    if (ftruncate(file, piece) != 0) return 1;
    void *bytes = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    memset(bytes, 'x', piece);
    int descriptors[most_connections];
    for (int i = 0; i < connections; i++) descriptors[i] = connected(port);
    long long each = (long long)(gib * (1 << 30)) / connections;
    double start = now();
    for (int i = 0; i < connections; i++)
        if (fork() == 0) _exit(send_all(descriptors[i], file, each) == each ? 0 : 1);
    int failed = 0, status, is_over = 0;
    struct rusage usage, other;
    for (int ended = 0; ended < connections;) {
        pid_t child = wait4(-1, &status, 0, &other);
        if (child < 0) break;
        if (child == forwarder) {  // socat ends with its one connection
            usage = other;
            is_over = 1;
            continue;
        }
        failed |= status;
        ended++;
    }
    double taken = now() - start;
    if (!is_over) {
        kill(forwarder, SIGTERM);
        wait4(forwarder, &status, 0, &usage);
    }
    kill(drain, SIGKILL);
    waitpid(drain, &status, 0);  // the next run listens at the same port
    if (failed) return fprintf(stderr, "not all bytes have arrived\n"), 1;
    double processor = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%.3f %.3f\n", (double)each * connections / (1 << 30) / taken, processor / ((double)each * connections / (1 << 30)));
    return 0;
}
