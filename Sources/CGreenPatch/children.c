// Waiting for child processes, system() and pclose().

#include "patch.h"

#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

// What ends a wait for `pid`: its descriptor becomes readable at its end.  -1: any child, a child that may stop, or the kernel has no such descriptor.
static int handle_of(pid_t pid, int options) {
    if (pid <= 0 || options & (WUNTRACED | WCONTINUED)) return -1;
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

// `attempt` returns 0 where no child has changed its state yet.
static int wait_for_child(green_thread *thread, int handle, int (*attempt)(void *), void *context) {
    patch_pause pause = {0};
    int number = errno, result = 0, error = patch_turn(thread);
    while (!error && (result = attempt(context)) == 0) {
        error = handle >= 0 ? patch_wait_one(thread, handle, POLLIN, INT64_MAX) : patch_pause_once(&pause, INT64_MAX);
    }
    if (!error && result < 0) error = errno;
    if (handle >= 0) close(handle);  // the patched one: the hub watches it
    errno = error ? error : number;
    return error ? -1 : result;
}

typedef struct one_child { pid_t pid; int *status; int options; struct rusage *usage; } one_child;
static int look_at_child(void *context) {
    one_child *child = context;
    return own_wait4(child->pid, child->status, child->options | WNOHANG, child->usage);
}

PATCH(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *usage), (pid, status, options, usage)) {
    green_thread *thread = options & WNOHANG ? NULL : patch_caller();
    if (!thread) return own_wait4(pid, status, options, usage);
    one_child child = {pid, status, options, usage};
    return wait_for_child(thread, handle_of(pid, options), look_at_child, &child);
}
PATCH(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options)) { return green_wait4(pid, status, options, NULL); }
PATCH(pid_t, wait3, (int *status, int options, struct rusage *usage), (status, options, usage)) { return green_wait4(-1, status, options, usage); }
PATCH(pid_t, wait, (int *status), (status)) { return green_wait4(-1, status, 0, NULL); }

typedef struct some_child { idtype_t type; id_t id; siginfo_t *info; int options; } some_child;
static int look_at_some(void *context) {
    some_child *child = context;
    siginfo_t info = {0};
    if (own_waitid(child->type, child->id, &info, child->options | WNOHANG) < 0) return -1;
    if (info.si_pid && child->info) *child->info = info;
    return info.si_pid != 0;
}

PATCH(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options)) {
    green_thread *thread = options & WNOHANG ? NULL : patch_caller();
    if (!thread) return own_waitid(type, id, info, options);
    some_child child = {type, id, info, options};
    int handle = handle_of(type == P_PID ? (pid_t)id : 0, options & WEXITED ? options & ~WEXITED : WUNTRACED);
    return wait_for_child(thread, handle, look_at_some, &child) < 0 ? -1 : 0;
}

// ---- system()

typedef struct shell {
    patch_record record;
    int result;
    char command[];
} shell;

static void run_shell(patch_record *record) {
    shell *s = (shell *)record;
    s->result = own_system(s->command);
}

int system(const char *command) {
    if (!command || !patch_caller()) return own_system(command);
    shell *s = malloc(sizeof *s + strlen(command) + 1);
    if (!s) return patch_fail(ENOMEM);
    *s = (shell){.record = {.work = run_shell}};
    strcpy(s->command, command);
    int error = patch_offload(&s->record), result = error ? -1 : s->result;
    if (error || result < 0) errno = error ? error : s->record.number;
    patch_release(s);
    return result;
}

// ---- pclose()

typedef struct ended_stream {
    patch_record record;
    FILE *file;
    int result;
} ended_stream;

static void close_stream(patch_record *record) {
    ended_stream *s = (ended_stream *)record;
    s->result = own_pclose(s->file);
}

int pclose(FILE *file) {
    patch_closes(fileno(file));
    ended_stream *s = patch_caller() ? malloc(sizeof *s) : NULL;
    if (!s) return own_pclose(file);
    *s = (ended_stream){.record = {.work = close_stream}, .file = file};
    int error = patch_offload(&s->record), result = error ? -1 : s->result;
    if (error || result < 0) errno = error ? error : s->record.number;
    patch_release(s);
    // No OS thread could be had.
    return error == EAGAIN ? own_pclose(file) : result;
}
