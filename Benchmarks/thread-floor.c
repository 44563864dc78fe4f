// The floor under `--model thread`: an OS thread for each connection, with blocking calls, and nothing else.  TERM ends it.

#include "floor.h"
#include <pthread.h>

static size_t size;

static void *serve(void *argument) {
    int descriptor = (int)(intptr_t)argument;
    serve_blocking(descriptor, size);
    close(descriptor);
    return NULL;
}

int main(int count, char **arguments) {
    size = buffer_size(count, arguments);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // As in echo-server, and room for the buffer, of which only what is used is touched.
    pthread_attr_setstacksize(&attributes, (256 << 10) + size);
    int listener = listen_and_say("c-thread", 0);
    while (1) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == ECONNABORTED || errno == EINTR) continue;
            fail("accept4");
        }
        pthread_t thread;
        errno = pthread_create(&thread, &attributes, serve, (void *)(intptr_t)descriptor);
        if (errno != 0) fail("pthread_create");
    }
}
