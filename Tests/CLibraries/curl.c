#include "load.h"

#include <sys/socket.h>

typedef struct calls {
    int (*global_init)(long);
    void *(*init)(void);
    int (*setopt)(void *, int, ...);
    int (*perform)(void *);
    int (*getinfo)(void *, int, ...);
    const char *(*strerror)(int);
    void (*cleanup)(void *);
} calls;

static calls curl;
static const char *const names[] = {"curl_global_init", "curl_easy_init",     "curl_easy_setopt",  "curl_easy_perform",
                                    "curl_easy_getinfo", "curl_easy_strerror", "curl_easy_cleanup", NULL};

enum {
    WRITEDATA = 10001, URL = 10002, OPENSOCKETDATA = 10164, WRITEFUNCTION = 20011, OPENSOCKETFUNCTION = 20163, SSL_VERIFYPEER = 64,
    SSL_VERIFYHOST = 81, NOSIGNAL = 99, RESPONSE_CODE = 0x200002,
};

int library_load_curl(library_answer *answer) {
    if (load("libcurl.so.4", names, (void **)&curl, answer) < 0) return -1;
    return curl.global_init(3);
}

static size_t keep(const char *bytes, size_t size, size_t count, void *context) {
    library_answer *answer = context;
    size_t used = strlen(answer->text), room = sizeof answer->text - 1 - used, length = size * count;
    memcpy(answer->text + used, bytes, length < room ? length : room);
    return length;
}

typedef struct address { int family, type, protocol; } address;
static int open_socket(void *context, int purpose, address *where) {
    (void)purpose;
    return *(int *)context = socket(where->family, where->type | SOCK_CLOEXEC, where->protocol);
}

static void perform(void *handle, library_answer *answer) {
    long code = 0;
    curl.setopt(handle, WRITEDATA, answer);
    int result = curl.perform(handle);
    curl.getinfo(handle, RESPONSE_CODE, &code);
    if (result) fail(answer, "curl_easy_perform", curl.strerror(result));
    else if (code != 200) fail(answer, "HTTP", answer->text);
}

void *library_curl_handle(const char *url) {
    void *handle = curl.init();
    curl.setopt(handle, URL, url);
    curl.setopt(handle, WRITEFUNCTION, keep);
    // Without, transfers that overlap restore each other's handlers of SIGPIPE.
    curl.setopt(handle, NOSIGNAL, 1L);
    curl.setopt(handle, SSL_VERIFYPEER, 0L);
    curl.setopt(handle, SSL_VERIFYHOST, 0L);
    return handle;
}
void library_curl_again(void *handle, library_answer *answer) { perform(handle, answer); }
void library_curl_end(void *handle) { curl.cleanup(handle); }

void library_curl_get(const char *url, int *fd, library_answer *answer) {
    void *handle = library_curl_handle(url);
    if (fd) curl.setopt(handle, OPENSOCKETFUNCTION, open_socket);
    if (fd) curl.setopt(handle, OPENSOCKETDATA, fd);
    perform(handle, answer);
    curl.cleanup(handle);
}
