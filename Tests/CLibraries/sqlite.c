#include "load.h"

static struct {
    int (*open)(const char *, void **, int, const char *);
    int (*busy_timeout)(void *, int);
    int (*exec)(void *, const char *, void *, void *, void *);
    const char *(*message)(void *);
    int (*close)(void *);
} sqlite;
static const char *const names[] = {"sqlite3_open_v2", "sqlite3_busy_timeout", "sqlite3_exec", "sqlite3_errmsg", "sqlite3_close", NULL};
enum { READWRITE = 2, CREATE = 4, FULLMUTEX = 0x10000, BUSY_TIMEOUT_MS = 20000 };

int library_load_sqlite(library_answer *answer) { return load("libsqlite3.so.0", names, (void **)&sqlite, answer); }

void *library_sqlite_open(const char *path) {
    void *connection = NULL;
    sqlite.open(path, &connection, READWRITE | CREATE | FULLMUTEX, NULL);
    sqlite.busy_timeout(connection, BUSY_TIMEOUT_MS);
    return connection;
}
void library_sqlite_execute(void *connection, const char *statement, library_answer *answer) {
    if (sqlite.exec(connection, statement, NULL, NULL, NULL)) fail(answer, "sqlite3_exec", sqlite.message(connection));
}
void library_sqlite_close(void *connection) { sqlite.close(connection); }

void library_sqlite(const char *path, const char *statement, library_answer *answer) {
    void *connection = library_sqlite_open(path);
    library_sqlite_execute(connection, statement, answer);
    library_sqlite_close(connection);
}
