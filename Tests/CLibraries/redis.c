#include "load.h"

typedef struct context { int err; char errstr[128]; int fd; } context;
typedef struct reply { int type; long long integer; size_t length; char *text; } reply;
enum { ERROR_REPLY = 6 };

static struct {
    context *(*connect)(const char *, int);
    reply *(*command)(context *, const char *, ...);
    void (*free_reply)(void *);
    void (*free_context)(context *);
} redis;
static const char *const names[] = {"redisConnect", "redisCommand", "freeReplyObject", "redisFree", NULL};

int library_load_redis(library_answer *answer) { return load("libhiredis.so.0.14", names, (void **)&redis, answer); }

void library_redis(int port, const char *command, library_answer *answer) {
    context *c = redis.connect("127.0.0.1", port);
    if (!c || c->err) {
        fail(answer, "redisConnect", c ? c->errstr : NULL);
    } else {
        reply *r = redis.command(c, command);
        if (!r) fail(answer, "redisCommand", c->errstr);
        else if (r->type == ERROR_REPLY) fail(answer, "reply", r->text);
        else if (r->text) snprintf(answer->text, sizeof answer->text, "%s", r->text);
        if (r) redis.free_reply(r);
    }
    if (c) redis.free_context(c);
}
