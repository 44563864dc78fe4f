#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int (*init)(int);
    void *(*session)(void *, void *, void *, void *);
    int (*handshake)(void *, int);
    int (*authenticate)(void *, const char *, unsigned, const char *, const char *, const char *);
    void *(*open)(void *, const char *, unsigned, unsigned, unsigned, const char *, unsigned);
    int (*start)(void *, const char *, unsigned, const char *, unsigned);
    ssize_t (*read)(void *, int, char *, size_t);
    int (*free_channel)(void *);
    int (*last_error)(void *, char **, int *, int);
    int (*disconnect)(void *, int, const char *, const char *);
    int (*free_session)(void *);
} ssh;
static const char *const names[] = {"libssh2_init",            "libssh2_session_init_ex",        "libssh2_session_handshake", "libssh2_userauth_publickey_fromfile_ex",
                                    "libssh2_channel_open_ex", "libssh2_channel_process_startup", "libssh2_channel_read_ex",   "libssh2_channel_free",
                                    "libssh2_session_last_error", "libssh2_session_disconnect_ex", "libssh2_session_free", NULL};

int library_load_ssh(library_answer *answer) {
    if (load("libssh2.so.1", names, (void **)&ssh, answer) < 0) return -1;
    return ssh.init(0);
}

struct library_session {
    int fd;
    void *ssh;
};

static void fail_in(library_session *session, library_answer *answer) {
    char *why = NULL;
    ssh.last_error(session->ssh, &why, NULL, 0);
    fail(answer, "libssh2", why);
}

library_session *library_ssh_open(int port, const char *user, const char *public_key, const char *private_key, library_answer *answer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    library_session *session = malloc(sizeof *session);
    *session = (library_session){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ssh.session(NULL, NULL, NULL, NULL)};
    if (connect(session->fd, (struct sockaddr *)&address, sizeof address) < 0) fail(answer, "connect", strerror(errno));
    else if (ssh.handshake(session->ssh, session->fd) || ssh.authenticate(session->ssh, user, (unsigned)strlen(user), public_key, private_key, NULL))
        fail_in(session, answer);
    return session;
}

static int run(void *session, const char *command, library_answer *answer) {
    enum { WINDOW = 2 << 20, PACKET = 32768 };
    void *channel = ssh.open(session, "session", 7, WINDOW, PACKET, NULL, 0);
    if (!channel) return -1;
    int result = ssh.start(channel, "exec", 4, command, (unsigned)strlen(command));
    if (result == 0 && ssh.read(channel, 0, answer->text, sizeof answer->text - 1) < 0) result = -1;
    ssh.free_channel(channel);
    return result;
}

void library_ssh_run(library_session *session, const char *command, library_answer *answer) {
    if (run(session->ssh, command, answer)) fail_in(session, answer);
}

void library_ssh_close(library_session *session) {
    ssh.disconnect(session->ssh, 11, "end", "");
    ssh.free_session(session->ssh);
    close(session->fd);
    free(session);
}
