// The floor under `--model process`: a forked child for each connection, with blocking calls, and nothing else.  TERM ends it,
// and the children with it.

#include "floor.h"
#include <signal.h>
#include <sys/prctl.h>

int main(int count, char **arguments) {
    size_t size = buffer_size(count, arguments);
    signal(SIGCHLD, SIG_IGN);  // the kernel reaps
    int listener = listen_and_say("c-fork", 0);
    while (1) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == ECONNABORTED || errno == EINTR) continue;
            fail("accept4");
        }
        pid_t child = fork();
        check(child, "fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            close(listener);
            serve_blocking(descriptor, size);
            _exit(0);
        }
        close(descriptor);
    }
}
