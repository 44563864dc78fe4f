// One call of libcurl's, made as a program that has never heard of green threads makes it.  In C, since `curl_easy_setopt` takes any type.
//
// The library is loaded when it is used first: the package builds without it, and without its headers.  Its constants are part of its binary interface.

#ifndef CCURL_H
#define CCURL_H

#include <stddef.h>

/// What a request has brought.  All pointers are to be freed.
typedef struct curl_page {
    char *body;
    size_t length;
    long status;
    /// Where the answer sends its reader, as a whole URL; null where it sends none.
    char *redirect;
    /// Why there is no whole answer; null where there is one.
    char *failure;
} curl_page;

/// 0, or -1 where the library can't be loaded; to be called once, before all others.
int curl_load(const char **failure);

/// GET over HTTP or HTTPS, following at most `redirects` of them.  A body of more than `longest` bytes is a failure.  `authorities` is a file with the
/// certificates to trust, or null for those of the system.
void curl_get(const char *url, long redirects, size_t longest, const char *authorities, curl_page *page);

/// `link` as a whole URL, as it stands in the page at `base`, without what is behind a #; to be freed.  Null where it is none.
char *curl_join(const char *base, const char *link);

#endif
