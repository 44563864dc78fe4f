#include "support.h"

static probe_hub hub;
void probe_set_hub(const probe_hub *given) { hub = *given; }

const char *probe_failure(const char *file, int line, const char *condition, int number) {
    static char text[400];
    snprintf(text, sizeof text, "%s:%d: not so: %s; errno %d (%s)", file, line, condition, number, strerror(number));
    return text;
}

static void run_task(void *context) {
    task *t = context;
    t->body(t->context);
    t->done = 1;
}
void start(task *t, void (*body)(void *), void *context) {
    *t = (task){body, context, 0};
    hub.spawn(run_task, t);
}
void yield(void) { hub.yield(); }
void join(task *t) {
    while (!t->done) {
        hub.yield();
        if (!t->done) poll(NULL, 0, 1);
    }
}

int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

pair sockets(int type) {
    pair p;
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p.ends) < 0) abort();
    return p;
}
pair open_pipe(void) {
    pair p;
    if (pipe2(p.ends, O_CLOEXEC) < 0) abort();
    return p;
}
void close_pair(pair p) { close(p.ends[0]), close(p.ends[1]); }

void say_later(void *context) {
    say *s = context;
    poll(NULL, 0, 3);
    if (write(s->fd, s->text, strlen(s->text)) < 0) abort();
}

void fill(char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(i * 7 + i / 251);
}
int is_filled(const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (char)(i * 7 + i / 251)) return 0;
    }
    return 1;
}

void drain_slowly(void *context) {
    drain *d = context;
    char *bytes = malloc(d->size);
    size_t got = 0;
    poll(NULL, 0, 3);
    while (got < d->size) {
        ssize_t n = read(d->fd, bytes + got, d->size - got < 50000 ? d->size - got : 50000);
        if (n <= 0) break;
        got += (size_t)n;
        yield();
    }
    d->is_right = got == d->size && is_filled(bytes, got);
    free(bytes);
}
