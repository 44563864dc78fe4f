// Blocking calls of C libraries, as a program that has never heard of green threads makes them.
//
// The libraries are loaded when they are first used: this package builds and tests without them, and without their headers.  Types and constants are
// declared by hand; they are part of the libraries' binary interfaces, which do not change.

#ifndef CLIBRARIES_H
#define CLIBRARIES_H

#include <stddef.h>

/// What went wrong, and what came back.
typedef struct library_answer {
    char error[256];  // empty: nothing
    char text[64];
    int has_failed;
} library_answer;

/// Loads the library, which must be done once, before green threads use it.  0, or -1 with the loader's words in `answer`.
int library_load_curl(library_answer *answer);
int library_load_redis(library_answer *answer);
int library_load_postgres(library_answer *answer);
int library_load_mariadb(library_answer *answer);
int library_load_ssh(library_answer *answer);
int library_load_sqlite(library_answer *answer);

/// GET by libcurl's easy interface.  `fd`, where it is not null, is the connection's socket once there is one.  `text` is the beginning of the body.
void library_curl_get(const char *url, int *fd, library_answer *answer);
/// The same with a handle that is kept, and with it its connection.
void *library_curl_handle(const char *url);
void library_curl_again(void *handle, library_answer *answer);
void library_curl_end(void *handle);

/// One connection and one command with hiredis; `text` is the reply's text, or empty.
void library_redis(int port, const char *command, library_answer *answer);

/// One connection and one query with libpq; `text` is the first field of the first row.
void library_postgres(const char *connection, const char *query, library_answer *answer);

/// The same with MariaDB's client library, as root over TCP.
void library_mariadb(int port, const char *query, library_answer *answer);

/// A session of libssh2 that the server has let in; and one command in it: `text` is what the command prints.
typedef struct library_session library_session;
library_session *library_ssh_open(int port, const char *user, const char *public_key, const char *private_key, library_answer *answer);
void library_ssh_run(library_session *session, const char *command, library_answer *answer);
void library_ssh_close(library_session *session);

/// One connection to a database file, and one statement, which waits for other writers, with SQLite.
void library_sqlite(const char *path, const char *statement, library_answer *answer);

/// A connection to a database file that several green threads share.
void *library_sqlite_open(const char *path);
void library_sqlite_execute(void *connection, const char *statement, library_answer *answer);
void library_sqlite_close(void *connection);

#endif
