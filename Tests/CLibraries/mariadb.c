#include "load.h"

static struct {
    void *(*init)(void *);
    void *(*connect)(void *, const char *, const char *, const char *, const char *, unsigned, const char *, unsigned long);
    int (*query)(void *, const char *);
    void *(*store)(void *);
    char **(*fetch)(void *);
    void (*free_result)(void *);
    const char *(*error)(void *);
    void (*close)(void *);
} my;
static const char *const names[] = {"mysql_init",      "mysql_real_connect", "mysql_query", "mysql_store_result", "mysql_fetch_row",
                                    "mysql_free_result", "mysql_error",        "mysql_close", NULL};

int library_load_mariadb(library_answer *answer) {
    if (load("libmariadb.so.3", names, (void **)&my, answer) < 0) return -1;
    void *first = my.init(NULL);  // initializes the library
    my.close(first);
    return 0;
}

void library_mariadb(int port, const char *query, library_answer *answer) {
    void *c = my.init(NULL), *result = NULL;
    char **row;
    if (!my.connect(c, "127.0.0.1", "root", "", NULL, (unsigned)port, NULL, 0)) fail(answer, "mysql_real_connect", my.error(c));
    else if (my.query(c, query) || !(result = my.store(c))) fail(answer, "mysql_query", my.error(c));
    else if ((row = my.fetch(result)) && row[0]) snprintf(answer->text, sizeof answer->text, "%s", row[0]);
    if (result) my.free_result(result);
    my.close(c);
}
