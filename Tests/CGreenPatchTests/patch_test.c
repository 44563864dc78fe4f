// CGreenPatch without Swift around it, so that it can also be run for AArch64 under an emulator, in a static executable, and with a kernel that
// refuses RWF_NOWAIT.
//
//     make test-patch

#define _GNU_SOURCE
#include "CPatchProbes.h"
#include "CSwitch.h"
#include "hub.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TIME_LIMIT_S = 100 };

// As Linux before 6.4 answers for a pipe, and before 6.5 for a socket.
static int refuse_nowait(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_preadv2, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int failed;
static const char *only;

// A static executable has none of the C library's look-ups but getaddrinfo.
static int is_missing(const char *name) {
    if (dlsym(RTLD_DEFAULT, "getpid")) return 0;
    return strstr(name, "getnameinfo") || strstr(name, "gethostbyname") || strstr(name, "getpwnam");
}

static void run_probes(void *with_mutexes) {
    const probe *p;
    for (int i = 0; (p = probe_at(i)); i++) {
        if ((only && !strstr(p->name, only)) || is_missing(p->name) || (p->needs_mutexes && !with_mutexes)) continue;
        printf("%s: ", p->name);
        fflush(stdout);  // a forked child must not print it again
        const char *failure = p->run();
        printf("%s\n", failure ? failure : "ok");
        failed += failure != NULL;
    }
}

static void check(int holds, const char *text) {
    printf("%s: %s\n", text, holds ? "ok" : "FAILED");
    failed += !holds;
}

static int ticks;
static void tick(void *unused) { (void)unused, ticks++; }

// What must not park, though it is called on a hub.
static void call_without_parking(void *unused) {
    (void)unused;
    ticks = 0;
    hub_spawn(tick, NULL);
    usleep(1000);
    check(ticks == 0, "Without an install all calls are the C library's");
    hub_yield();
}

int main(int count, char **words) {
    alarm(TIME_LIMIT_S);
    int is_old = count > 1 && !strcmp(words[1], "--without-nowait");
    only = count > 1 + is_old ? words[1 + is_old] : NULL;
    if (is_old && refuse_nowait()) return perror("seccomp"), 77;
    probe_set_hub(&(probe_hub){hub_spawn, hub_yield});
    hub_run(call_without_parking, NULL);
    green_patch_install(&hub_hooks, 0);
    const char *library, *missing = green_patch_missing(&library);
    if (missing) printf("%s\n", missing);
    check(!missing, "Each call leads to the patch");
    hub_run(run_probes, NULL);
    green_patch_install(&hub_hooks, GREEN_PATCH_MUTEXES);
    hub_run(run_probes, &failed);
    green_patch_uninstall();
    hub_run(call_without_parking, NULL);
    printf("%d failed\n", failed);
    return failed != 0;
}
