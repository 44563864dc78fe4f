// Loads an echo server from one OS thread, and checks every byte of every answer.
//
// Each connection goes through: connect -> one message and its answer -> what the mode asks for.
//
//     steady   all connections are opened; then each keeps `depth` messages in flight
//     churn    connect, one message, close, and again: so many at a time
//     hold     all connections are opened, and stay open until standard input says something or ends
//
// What is sent is an endless text, the same for all connections, but each begins at another place: bytes that are lost, doubled or
// end up with another client do not fit.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    period = 4093,  // a prime: no size of message or buffer falls into step with it
    chunk = 64 << 10,
    events_at_once = 1024,
    opened_at_once = 64,  // less than any server's backlog: a connect that the kernel drops takes a second
    connections_per_source = 25000,
    silence_ms = 20000,
};

static enum { steady, churn, hold } mode = steady;
static int connection_count = 1;
static size_t size = 64;
static int depth = 1;
static double seconds = 1;
static bool attended = false;
static struct sockaddr_in server = {.sin_family = AF_INET};

// Twice the period at least, so that what a call sends or receives lies in one piece.
static uint8_t question[period + chunk], expected[period + chunk], answer[chunk];

struct connection {
    int descriptor;
    uint32_t start;      // where in the text
    bool watches_room;   // EPOLLOUT is asked for
    size_t partial;      // bytes of the first unfinished answer that have come
    uint64_t due, sent, received;  // bytes
    int oldest;          // the place in `times` of the first unfinished message
    int64_t *times;      // when each message in flight was sent, ns
};

static int epoll;
static struct connection *connections;
static int greeted, in_flight;
static bool measuring;
static int64_t stop_time;
static uint64_t opened, messages, longest;

static int64_t now_on(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("echo-load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static void check(int result, const char *call) {
    if (result < 0) fail("%s: %s", call, strerror(errno));
}

// MARK: Latency

// Thirty-two steps for each power of two: a value is at most 3 % above what is told.
enum { step_bits = 5, steps = 1 << step_bits };
static uint64_t histogram[64 * steps];

static void record(uint64_t nanoseconds) {
    if (nanoseconds > longest) longest = nanoseconds;
    int shift = 63 - __builtin_clzll(nanoseconds | steps) - step_bits;
    histogram[shift * steps + (int)(nanoseconds >> shift)]++;
}

/// In microseconds.
static double percentile(double share) {
    uint64_t seen = 0, wanted = (uint64_t)((double)messages * share);
    for (int shift = 0, index = 0; index < 64 * steps; index++) {
        if (index >= 2 * steps && index % steps == 0) shift++;
        seen += histogram[index];
        if (seen > wanted) return (double)((uint64_t)(index - shift * steps) << shift) / 1e3;
    }
    return 0;
}

// MARK: One connection

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    check(epoll_ctl(epoll, operation, connection->descriptor, &event), "epoll_ctl");
}

static void fail_in(struct connection *connection, const char *what) {
    fail("connection %d, byte %llu of the answer: %s", (int)(connection - connections),
         (unsigned long long)connection->received, what);
}

/// Sends as much as is due and fits.
static void send_due(struct connection *connection) {
    while (connection->sent < connection->due) {
        size_t count = connection->due - connection->sent;
        if (count > chunk) count = chunk;
        const uint8_t *text = question + (connection->start + connection->sent) % period;
        ssize_t sent = send(connection->descriptor, text, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) fail_in(connection, strerror(errno));
        connection->sent += (uint64_t)sent;
    }
    bool wants_room = connection->sent < connection->due;
    if (wants_room == connection->watches_room) return;
    connection->watches_room = wants_room;
    watch(connection, EPOLL_CTL_MOD, wants_room ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask(struct connection *connection, int place, int64_t now) {
    connection->times[place] = now;
    connection->due += size;
    in_flight++;
}

/// Connects, and sends the first message.
static void open_connection(struct connection *connection) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(descriptor, "socket");
    check(setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), "TCP_NODELAY");
    // A port closed here is not free again at once, and there are some 28,000 for each address.
    uint32_t source = (uint32_t)(mode == churn ? opened % 250 : opened / connections_per_source);
    if (source > 0 && ntohl(server.sin_addr.s_addr) >> 24 == 127) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
        check(setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int)), "NO_PORT");
        check(bind(descriptor, (struct sockaddr *)&address, sizeof address), "bind");
    }
    int64_t now = now_on(CLOCK_MONOTONIC);
    int result = connect(descriptor, (struct sockaddr *)&server, sizeof server);
    if (result < 0 && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    *connection = (struct connection){
        .descriptor = descriptor, .start = (uint32_t)(opened * 1009 % period), .times = connection->times};
    opened++;
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    ask(connection, 0, now);
    send_due(connection);
}

static void message_answered(struct connection *connection, int64_t now) {
    in_flight--;
    if (!measuring) {
        greeted++;
        return;
    }
    messages++;
    record((uint64_t)(now - connection->times[connection->oldest]));
    if (mode == churn) {
        close(connection->descriptor);
        if (now < stop_time) open_connection(connection);
        return;
    }
    if (now < stop_time) ask(connection, connection->oldest, now);
    if (++connection->oldest == depth) connection->oldest = 0;
}

static void receive(struct connection *connection) {
    ssize_t count = recv(connection->descriptor, answer, sizeof answer, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) fail_in(connection, strerror(errno));
    if (count == 0) fail_in(connection, "the server has closed the connection");
    if (connection->received + (uint64_t)count > connection->sent) fail_in(connection, "more than was asked for");
    const uint8_t *text = expected + (connection->start + connection->received) % period;
    if (memcmp(text, answer, (size_t)count) != 0) {
        for (ssize_t i = 0; text[i] == answer[i]; i++) connection->received++;
        fail_in(connection, "wrong");
    }
    connection->received += (uint64_t)count;
    connection->partial += (size_t)count;
    int64_t now = now_on(CLOCK_MONOTONIC);
    while (connection->partial >= size) {
        connection->partial -= size;
        message_answered(connection, now);
    }
    if (connection->sent < connection->due) send_due(connection);
}

// MARK: All of them

static void handle_events(void) {
    static struct epoll_event events[events_at_once];
    int ready = epoll_wait(epoll, events, events_at_once, silence_ms);
    if (ready < 0 && errno == EINTR) return;
    check(ready, "epoll_wait");
    if (ready == 0) fail("nothing has come for %d s, with %d messages in flight", silence_ms / 1000, in_flight);
    for (int i = 0; i < ready; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) send_due(connection);
        if (events[i].events & ~(uint32_t)EPOLLOUT) receive(connection);
    }
}

static void open_all(void) {
    while (greeted < connection_count) {
        while (opened < (uint64_t)connection_count && (int)opened - greeted < opened_at_once)
            open_connection(&connections[opened]);
        handle_events();
    }
}

static void measure(int64_t start) {
    for (int i = 0; i < connection_count; i++) {
        if (mode == churn) {
            open_connection(&connections[i]);
        } else {
            for (int place = 0; place < depth; place++) ask(&connections[i], place, start);
            send_due(&connections[i]);
        }
    }
    while (in_flight > 0) handle_events();
}

/// Waits for a byte on standard input, or its end.
static void wait_for_input(void) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) {}
}

static void run(void) {
    if (mode != churn) open_all();
    if (attended && mode != hold) {
        printf("connected=%d\n", greeted);
        wait_for_input();
    }
    int64_t start = now_on(CLOCK_MONOTONIC), cpu_start = now_on(CLOCK_PROCESS_CPUTIME_ID);
    stop_time = start + (int64_t)(seconds * 1e9);
    measuring = true;
    if (mode != hold) measure(start);
    double took = (double)(now_on(CLOCK_MONOTONIC) - start) / 1e9;
    double cpu = (double)(now_on(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) / 1e9;
    if (mode == hold) messages = (uint64_t)greeted;
    printf("messages=%llu seconds=%.3f messages_per_second=%.0f cpu_seconds=%.3f p50_us=%.1f p99_us=%.1f max_us=%.1f connections=%d\n",
           (unsigned long long)messages, took, mode == hold ? 0 : (double)messages / took, cpu, percentile(0.5),
           percentile(0.99), (double)longest / 1e3, connection_count);
    if (attended || mode == hold) wait_for_input();
}

// MARK: Setting up

/// Reproducible bytes of every value.
static void make_texts(bool upper) {
    uint32_t state = 2463534242;
    for (int i = 0; i < period + chunk; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        uint8_t byte = i < period ? (uint8_t)(state >> 8) : question[i - period];
        question[i] = byte;
        expected[i] = upper && byte >= 'a' && byte <= 'z' ? byte - 0x20 : byte;
    }
}

static void raise_descriptor_limit(void) {
    struct rlimit files;
    check(getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
    files.rlim_cur = files.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
    if (files.rlim_max < (rlim_t)connection_count + 16)
        fail("%d connections, but at most %llu descriptors", connection_count, (unsigned long long)files.rlim_max);
}

static _Noreturn void stop_with_usage(void) {
    fputs("usage: echo-load HOST PORT [--connections N] [--size BYTES] [--depth D] [--seconds S]\n"
          "                 [--mode steady|churn|hold] [--transform upper|echo] [--attended]\n"
          "HOST is an IPv4 address.  With --attended, it waits for a byte on standard input (or its end) twice:\n"
          "before it measures, when it has printed connected=N; and after, before it closes its connections.\n",
          stderr);
    exit(64);
}

/// Its place among `names`, which end with a null.
static int choose(const char *name, const char *const names[]) {
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0) return i;
    stop_with_usage();
}

static bool parse(int count, char **arguments) {
    static const struct option options[] = {
        {"connections", required_argument, NULL, 'c'}, {"size", required_argument, NULL, 's'},
        {"depth", required_argument, NULL, 'd'},       {"seconds", required_argument, NULL, 't'},
        {"mode", required_argument, NULL, 'm'},        {"transform", required_argument, NULL, 'x'},
        {"attended", no_argument, NULL, 'a'},          {NULL, 0, NULL, 0}};
    bool upper = true;
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) switch (option) {
        case 'c': connection_count = atoi(optarg); break;
        case 's': size = strtoul(optarg, NULL, 10); break;
        case 'd': depth = atoi(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'm': mode = choose(optarg, (const char *const[]){"steady", "churn", "hold", NULL}); break;
        case 'x': upper = choose(optarg, (const char *const[]){"upper", "echo", NULL}) == 0; break;
        case 'a': attended = true; break;
        default: stop_with_usage();
        }
    if (count - optind != 2 || connection_count < 1 || size < 1 || depth < 1 || seconds <= 0) stop_with_usage();
    if (inet_pton(AF_INET, arguments[optind], &server.sin_addr) != 1) stop_with_usage();
    server.sin_port = htons((uint16_t)atoi(arguments[optind + 1]));
    return upper;
}

int main(int count, char **arguments) {
    make_texts(parse(count, arguments));
    raise_descriptor_limit();
    setvbuf(stdout, NULL, _IOLBF, 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    check(epoll, "epoll_create1");
    connections = calloc((size_t)connection_count, sizeof *connections);
    int64_t *times = calloc((size_t)connection_count * (size_t)depth, sizeof *times);
    if (connections == NULL || times == NULL) fail("no memory for %d connections", connection_count);
    for (int i = 0; i < connection_count; i++) connections[i].times = times + (size_t)i * (size_t)depth;
    run();
}
