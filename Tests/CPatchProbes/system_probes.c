#include "support.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

// ---- Locks of files

static int temporary_file(void) {
    char path[] = "/tmp/patch-probe-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    unlink(path);
    return fd;
}

static void unlock_later(void *context) {
    poll(NULL, 0, 5);
    flock(*(int *)context, LOCK_UN);
}

const char *probe_flock(void) {
    int one = temporary_file(), other;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", one);
    EXPECT((other = open(path, O_RDWR | O_CLOEXEC)) >= 0);
    EXPECT(flock(one, LOCK_EX) == 0 && flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    task t;
    start(&t, unlock_later, &one);
    errno = 77;
    EXPECT(flock(other, LOCK_EX) == 0 && errno == 77);
    join(&t);
    close(one), close(other);
    return NULL;
}

// Record locks are a process's: a child holds one until its pipe is closed.
static pid_t hold_lock(int fd, pair p) {
    pid_t pid = fork();
    if (pid) return pid;
    char byte;
    close(p.ends[1]);
    if (lockf(fd, F_TLOCK, 0) < 0) _exit(1);
    _exit(read(p.ends[0], &byte, 1) == 1 && read(p.ends[0], &byte, 1) == 0 ? 0 : 2);
}

static void hang_up_later(void *context) {
    poll(NULL, 0, 5);
    close(*(int *)context);
}

static const char *lock_after_child(int (*lock)(int fd)) {
    int fd = temporary_file(), status;
    pair p = open_pipe();
    pid_t pid = hold_lock(fd, p);
    EXPECT(pid > 0);
    for (int i = 0; i < 2000 && lockf(fd, F_TEST, 0) == 0; i++) usleep(1000);
    EXPECT(write(p.ends[1], "x", 1) == 1);
    task t;
    start(&t, hang_up_later, &p.ends[1]);
    EXPECT(lock(fd) == 0);
    join(&t);
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    close(fd), close(p.ends[0]);
    return NULL;
}

static int by_lockf(int fd) { return lockf(fd, F_LOCK, 0); }
static int by_fcntl(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLKW, &lock);
}
static int by_open_file(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLKW, &lock);
}
const char *probe_lockf(void) { return lock_after_child(by_lockf); }
const char *probe_record_lock(void) { return lock_after_child(by_fcntl); }
const char *probe_open_file_lock(void) { return lock_after_child(by_open_file); }

// ---- Children

// It exits when a green thread of its parent closes a pipe.
typedef struct child { pid_t pid; pair pipe; task hang_up; } child;

static void begin_child(child *c, int status) {
    char byte;
    c->pipe = open_pipe();
    c->pid = fork();
    if (c->pid == 0) {
        close(c->pipe.ends[1]);
        _exit(read(c->pipe.ends[0], &byte, 1) == 0 ? status : 99);
    }
    start(&c->hang_up, hang_up_later, &c->pipe.ends[1]);
}

static void end_child(child *c) {
    join(&c->hang_up);
    close(c->pipe.ends[0]);
}

const char *probe_wait_for_child(void) {
    int status = 0;
    child c;
    begin_child(&c, 7);
    errno = 77;
    EXPECT(waitpid(c.pid, &status, 0) == c.pid && WEXITSTATUS(status) == 7 && errno == 77);
    end_child(&c);
    begin_child(&c, 8);
    EXPECT(wait(&status) == c.pid && WEXITSTATUS(status) == 8);
    end_child(&c);
    struct rusage usage = {.ru_maxrss = 0};
    begin_child(&c, 9);
    EXPECT(wait4(c.pid, &status, 0, &usage) == c.pid && WEXITSTATUS(status) == 9 && usage.ru_maxrss > 0);
    end_child(&c);
    EXPECT(waitpid(c.pid, &status, 0) == -1 && errno == ECHILD);
    siginfo_t info;
    begin_child(&c, 10);
    EXPECT(waitid(P_PID, (id_t)c.pid, &info, WEXITED) == 0 && info.si_pid == c.pid && info.si_status == 10);
    end_child(&c);
    return NULL;
}

const char *probe_wait_for_stop(void) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(3);
    }
    EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    kill(pid, SIGCONT);
    EXPECT(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    return NULL;
}

static void count_ticks(void *context) {
    int *ticks = context;
    for (int i = 0; i < 3; i++) poll(NULL, 0, 1), ++*ticks;
}

const char *probe_system(void) {
    int ticks = 0;
    task t;
    start(&t, count_ticks, &ticks);
    EXPECT(WEXITSTATUS(system("sleep 0.05; exit 3")) == 3);
    EXPECT(ticks > 0);
    join(&t);
    EXPECT(system(NULL) != 0);
    return NULL;
}

const char *probe_pclose(void) {
    int ticks = 0;
    task t;
    FILE *file = popen("sleep 0.05; exit 3", "r");
    EXPECT(file);
    start(&t, count_ticks, &ticks);
    EXPECT(WEXITSTATUS(pclose(file)) == 3);
    EXPECT(ticks > 0);
    join(&t);
    return NULL;
}

// A child that waits must not run the green threads of its parent, of which it has copies.
static void die_in_child(void *context) {
    pid_t *parent = context;
    poll(NULL, 0, 1);
    if (getpid() != *parent) _exit(66);
}

const char *probe_forked_child(void) {
    pid_t parent = getpid();
    int status;
    task t;
    start(&t, die_in_child, &parent);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(10000);
        poll(NULL, 0, 1);
        _exit(5);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
    join(&t);
    return NULL;
}

// ---- Signals

static volatile sig_atomic_t has_run, ran_meanwhile;
static void note_run(void *context) { (void)context, has_run = 1; }
static void sleep_in_handler(int number) {
    (void)number;
    has_run = 0;
    usleep(5000);
    ran_meanwhile = has_run;
}

const char *probe_signal_handler(void) {
    enum { SIZE = 64 << 10 };
    stack_t before, own = {.ss_sp = malloc(SIZE), .ss_size = SIZE};
    struct sigaction action = {.sa_handler = sleep_in_handler, .sa_flags = SA_ONSTACK}, old;
    EXPECT(sigaltstack(&own, &before) == 0 && sigaction(SIGUSR2, &action, &old) == 0);
    task t;
    start(&t, note_run, NULL);
    ran_meanwhile = 1;
    raise(SIGUSR2);
    EXPECT(!ran_meanwhile);
    join(&t);
    EXPECT(has_run);
    sigaction(SIGUSR2, &old, NULL);
    sigaltstack(&before, NULL);
    free(own.ss_sp);
    return NULL;
}

// ---- Names

const char *probe_getaddrinfo(void) {
    struct addrinfo *list = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    EXPECT(getaddrinfo("127.0.0.1", "80", &hints, &list) == 0);
    EXPECT(((struct sockaddr_in *)list->ai_addr)->sin_port == htons(80));
    freeaddrinfo(list);
    EXPECT(getaddrinfo("localhost", NULL, &hints, &list) == 0);
    EXPECT(((struct sockaddr_in *)list->ai_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    freeaddrinfo(list);
    EXPECT(getaddrinfo("localhost", NULL, NULL, &list) == 0);
    freeaddrinfo(list);
    hints.ai_flags = AI_NUMERICHOST;
    EXPECT(getaddrinfo("localhost", NULL, &hints, &list) == EAI_NONAME);
    return NULL;
}

const char *probe_getnameinfo(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char host[64], service[32];
    EXPECT(getnameinfo((struct sockaddr *)&address, sizeof address, host, sizeof host, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    EXPECT(strcmp(host, "127.0.0.1") == 0 && strcmp(service, "80") == 0);
    EXPECT(getnameinfo((struct sockaddr *)&address, sizeof address, host, sizeof host, service, sizeof service, NI_NUMERICSERV) == 0);
    EXPECT(strncmp(host, "localhost", 9) == 0 || strlen(host) > 0);
    char small[2];
    EXPECT(getnameinfo((struct sockaddr *)&address, sizeof address, small, sizeof small, NULL, 0, 0) == EAI_OVERFLOW);
    return NULL;
}

const char *probe_hosts(void) {
    struct hostent *found = gethostbyname("localhost"), entry, *result;
    EXPECT(found && found->h_addrtype == AF_INET && *(in_addr_t *)found->h_addr_list[0] == htonl(INADDR_LOOPBACK));
    char buffer[2048];
    int error;
    EXPECT(gethostbyname_r("localhost", &entry, buffer + 1, sizeof buffer - 1, &result, &error) == 0 && result == &entry);
    EXPECT((char *)entry.h_addr_list > buffer && (char *)entry.h_addr_list < buffer + sizeof buffer);
    EXPECT(*(in_addr_t *)entry.h_addr_list[0] == htonl(INADDR_LOOPBACK) && entry.h_addr_list[1] == NULL);
    EXPECT(gethostbyname_r("localhost", &entry, buffer, 8, &result, &error) == ERANGE && !result);
    EXPECT(gethostbyname("no-such-name.invalid") == NULL && h_errno != 0);
    return NULL;
}

const char *probe_users(void) {
    struct passwd *user = getpwuid(0), entry, *result;
    EXPECT(user && strcmp(user->pw_name, "root") == 0 && user->pw_uid == 0);
    EXPECT((user = getpwnam("root")) && strcmp(user->pw_dir, "/root") == 0);
    EXPECT(getpwnam("no-such-user") == NULL);
    char buffer[2048];
    EXPECT(getpwnam_r("root", &entry, buffer, sizeof buffer, &result) == 0 && result == &entry && entry.pw_shell > buffer);
    EXPECT(getpwuid_r(0, &entry, buffer, 4, &result) == ERANGE && !result);
    EXPECT(getpwnam_r("no-such-user", &entry, buffer, sizeof buffer, &result) == 0 && !result);
    struct group *group = getgrnam("root"), group_entry, *group_result;
    EXPECT(group && group->gr_gid == 0 && group->gr_mem);
    EXPECT(getgrgid_r(0, &group_entry, buffer, sizeof buffer, &group_result) == 0 && strcmp(group_entry.gr_name, "root") == 0);
    return NULL;
}
