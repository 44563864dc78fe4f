#include "CCurl.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int (*global_init)(long);
    void *(*init)(void);
    int (*setopt)(void *, int, ...);
    int (*perform)(void *);
    int (*getinfo)(void *, int, ...);
    const char *(*strerror)(int);
    void (*cleanup)(void *);
    void *(*url)(void);
    int (*url_set)(void *, int, const char *, unsigned);
    int (*url_get)(void *, int, char **, unsigned);
    void (*url_cleanup)(void *);
    void (*free)(void *);
} curl;

static const char *const names[] = {"curl_global_init",   "curl_easy_init",    "curl_easy_setopt", "curl_easy_perform",
                                    "curl_easy_getinfo",  "curl_easy_strerror", "curl_easy_cleanup", "curl_url",
                                    "curl_url_set",       "curl_url_get",      "curl_url_cleanup", "curl_free"};

int curl_load(const char **failure) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW);
    for (size_t i = 0; library && i < sizeof names / sizeof *names; i++) {
        if (!(((void **)&curl)[i] = dlsym(library, names[i]))) library = NULL;
    }
    if (!library) return *failure = dlerror(), -1;
    enum { ALL = 3 };
    return curl.global_init(ALL) ? (*failure = "libcurl has not begun", -1) : 0;
}

enum {
    FOLLOW = 52, MAXREDIRS = 68, NOSIGNAL = 99, WRITEDATA = 10001, URL = 10002, ERRORBUFFER = 10010, USERAGENT = 10018, CAINFO = 10065,
    PROTOCOLS = 10318, REDIRECT_PROTOCOLS = 10319, WRITEFUNCTION = 20011, RESPONSE_CODE = 0x200002, REDIRECT_URL = 0x10001f,
};

typedef struct body { curl_page *page; size_t longest; int is_too_long; } body;

/// Anything but `length` ends the transfer.
static size_t keep(const char *bytes, size_t size, size_t count, void *context) {
    body *body = context;
    size_t length = size * count;
    body->is_too_long = length > body->longest - body->page->length;
    char *grown = body->is_too_long ? NULL : realloc(body->page->body, body->page->length + length + 1);
    if (!grown) return 0;
    memcpy(grown + body->page->length, bytes, length);
    body->page->body = grown;
    body->page->length += length;
    return length;
}

void curl_get(const char *url, long redirects, size_t longest, const char *authorities, curl_page *page) {
    char error[256] = "";
    body body = {page, longest, 0};
    void *handle = curl.init();
    curl.setopt(handle, URL, url);
    // Not file:, nor any other that a server could send its reader to.
    curl.setopt(handle, PROTOCOLS, "http,https");
    curl.setopt(handle, REDIRECT_PROTOCOLS, "http,https");
    curl.setopt(handle, FOLLOW, redirects > 0 ? 1L : 0L);
    curl.setopt(handle, MAXREDIRS, redirects);
    curl.setopt(handle, USERAGENT, "greennet-crawler");
    if (authorities) curl.setopt(handle, CAINFO, authorities);
    curl.setopt(handle, WRITEFUNCTION, keep);
    curl.setopt(handle, WRITEDATA, &body);
    curl.setopt(handle, ERRORBUFFER, error);
    // Without, transfers that overlap restore each other's handlers of SIGPIPE.
    curl.setopt(handle, NOSIGNAL, 1L);
    int result = curl.perform(handle);
    char *redirect = NULL;
    curl.getinfo(handle, RESPONSE_CODE, &page->status);
    curl.getinfo(handle, REDIRECT_URL, &redirect);
    if (redirect) page->redirect = strdup(redirect);
    if (result) page->failure = strdup(body.is_too_long ? "the body is too long" : *error ? error : curl.strerror(result));
    curl.cleanup(handle);
}

char *curl_join(const char *base, const char *link) {
    enum { WHOLE = 0, FRAGMENT = 9 };
    void *url = curl.url();
    char *text = NULL, *copy = NULL;
    if (!curl.url_set(url, WHOLE, base, 0) && !curl.url_set(url, WHOLE, link, 0) && !curl.url_set(url, FRAGMENT, NULL, 0)) {
        if (!curl.url_get(url, WHOLE, &text, 0)) copy = strdup(text);
        curl.free(text);
    }
    curl.url_cleanup(url);
    return copy;
}
