#include "load.h"

static struct {
    void *(*connect)(const char *);
    int (*status)(void *);
    char *(*message)(void *);
    void *(*exec)(void *, const char *);
    int (*result_status)(void *);
    char *(*value)(void *, int, int);
    void (*clear)(void *);
    void (*finish)(void *);
} pq;
static const char *const names[] = {"PQconnectdb", "PQstatus", "PQerrorMessage", "PQexec", "PQresultStatus", "PQgetvalue", "PQclear", "PQfinish", NULL};
enum { TUPLES_OK = 2 };

int library_load_postgres(library_answer *answer) { return load("libpq.so.5", names, (void **)&pq, answer); }

void library_postgres(const char *connection, const char *query, library_answer *answer) {
    void *c = pq.connect(connection);
    if (pq.status(c) != 0) {
        fail(answer, "PQconnectdb", pq.message(c));
    } else {
        void *result = pq.exec(c, query);
        if (pq.result_status(result) != TUPLES_OK) fail(answer, "PQexec", pq.message(c));
        else snprintf(answer->text, sizeof answer->text, "%s", pq.value(result, 0, 0));
        pq.clear(result);
    }
    pq.finish(c);
}
