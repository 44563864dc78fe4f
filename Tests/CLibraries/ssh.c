#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

static int run(void *session, int fd, const char *user, const char *public_key, const char *private_key, const char *command, library_answer *answer) {
    enum { WINDOW = 2 << 20, PACKET = 32768 };
    if (ssh.handshake(session, fd)) return -1;
    if (ssh.authenticate(session, user, (unsigned)strlen(user), public_key, private_key, NULL)) return -1;
    void *channel = ssh.open(session, "session", 7, WINDOW, PACKET, NULL, 0);
    if (!channel) return -1;
    int result = ssh.start(channel, "exec", 4, command, (unsigned)strlen(command));
    if (result == 0 && ssh.read(channel, 0, answer->text, sizeof answer->text - 1) < 0) result = -1;
    ssh.free_channel(channel);
    return result;
}

void library_ssh(int port, const char *user, const char *public_key, const char *private_key, const char *command, library_answer *answer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    void *session = ssh.session(NULL, NULL, NULL, NULL);
    char *why = NULL;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(answer, "connect", strerror(errno));
    else if (run(session, fd, user, public_key, private_key, command, answer)) ssh.last_error(session, &why, NULL, 0), fail(answer, "libssh2", why);
    ssh.disconnect(session, 11, "end", "");
    ssh.free_session(session);
    close(fd);
}
