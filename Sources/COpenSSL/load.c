#include "COpenSSL.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static struct green_openssl functions;
static bool is_loaded;
static char failure[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    // Its symbols stay apart from the program's.  It is never unloaded.
    void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(failure, sizeof failure, "%s", dlerror());
        return;
    }
    // Finds those of libcrypto too, which libssl needs.
#define GREEN_OPENSSL_LOOK_UP(name) \
    *(void **)&functions.name = dlsym(library, #name); \
    if (functions.name == NULL) { \
        snprintf(failure, sizeof failure, "libssl.so.3 has no " #name); \
        return; \
    }
    GREEN_OPENSSL_FUNCTIONS(GREEN_OPENSSL_LOOK_UP)
    // Without its clean-up at exit: other OS threads may be inside OpenSSL then.
    if (!functions.OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL)) {
        snprintf(failure, sizeof failure, "OpenSSL can't be initialised");
        return;
    }
    is_loaded = true;
}

const struct green_openssl *green_openssl(void) {
    pthread_once(&once, load);
    return is_loaded ? &functions : NULL;
}

const char *green_openssl_failure(void) { return failure; }
