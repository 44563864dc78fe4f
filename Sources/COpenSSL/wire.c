#include "COpenSSL.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// MARK: The BIO

static int read_input(BIO *bio, char *buffer, size_t room, size_t *count) {
    const struct green_openssl *openssl = green_openssl();
    struct green_tls_wire *wire = openssl->BIO_get_data(bio);
    openssl->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    *count = room < wire->input_count ? room : wire->input_count;
    if (*count == 0) {
        openssl->BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return 0;
    }
    memcpy(buffer, wire->input, *count);
    wire->input += *count;
    wire->input_count -= *count;
    return 1;
}

static bool make_room(struct green_tls_wire *wire, size_t count) {
    if (wire->output == NULL) {
        wire->output = green_tls_take_buffer();
        if (wire->output == NULL) return false;
        wire->output_capacity = GREEN_TLS_BUFFER;
        wire->output_count = 0;
    }
    if (count <= wire->output_capacity - wire->output_count) return true;
    size_t capacity = 2 * (wire->output_count + count);
    uint8_t *larger = realloc(wire->output, capacity);
    if (larger == NULL) return false;
    wire->output = larger;
    wire->output_capacity = capacity;
    return true;
}

static int write_output(BIO *bio, const char *bytes, size_t size, size_t *count) {
    const struct green_openssl *openssl = green_openssl();
    struct green_tls_wire *wire = openssl->BIO_get_data(bio);
    openssl->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (!make_room(wire, size)) return 0;
    memcpy(wire->output + wire->output_count, bytes, size);
    wire->output_count += size;
    *count = size;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void) {
    const struct green_openssl *openssl = green_openssl();
    method = openssl->BIO_meth_new(BIO_TYPE_SOURCE_SINK, "green stream");
    if (method == NULL) return;
    openssl->BIO_meth_set_read_ex(method, read_input);
    openssl->BIO_meth_set_write_ex(method, write_output);
    openssl->BIO_meth_set_ctrl(method, control);
}

BIO *green_tls_bio(struct green_tls_wire *wire) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    const struct green_openssl *openssl = green_openssl();
    BIO *bio = method == NULL ? NULL : openssl->BIO_new(method);
    if (bio == NULL) return NULL;
    openssl->BIO_set_data(bio, wire);
    openssl->BIO_set_init(bio, 1);
    return bio;
}

// MARK: Callbacks

// 0 is the index that OpenSSL itself keeps for its user.
bool green_tls_attach(SSL *session, struct green_tls_wire *wire) {
    return green_openssl()->SSL_set_ex_data(session, 0, wire) == 1;
}

static int keep_session(SSL *session, SSL_SESSION *offered) {
    struct green_tls_wire *wire = green_openssl()->SSL_get_ex_data(session, 0);
    if (wire == NULL) return 0;
    if (wire->new_session != NULL) green_openssl()->SSL_SESSION_free(wire->new_session);
    wire->new_session = offered;
    return 1;
}

void green_tls_watch_sessions(SSL_CTX *context) { green_openssl()->SSL_CTX_sess_set_new_cb(context, keep_session); }

int green_tls_note_refused(int is_accepted, X509_STORE_CTX *check) {
    const struct green_openssl *openssl = green_openssl();
    if (is_accepted || check == NULL) return is_accepted;
    SSL *session = openssl->X509_STORE_CTX_get_ex_data(check, openssl->SSL_get_ex_data_X509_STORE_CTX_idx());
    struct green_tls_wire *wire = session == NULL ? NULL : openssl->SSL_get_ex_data(session, 0);
    X509 *certificate = openssl->X509_STORE_CTX_get0_cert(check);
    if (wire != NULL && wire->refused == NULL && certificate != NULL && openssl->X509_up_ref(certificate)) wire->refused = certificate;
    return is_accepted;
}

static int select_protocol(
    SSL *session, const unsigned char **chosen, unsigned char *length, const unsigned char *offered, unsigned count, void *argument) {
    (void)session;
    struct green_tls_protocols *own = argument;
    int result = green_openssl()->SSL_select_next_proto((unsigned char **)chosen, length, own->list, own->count, offered, count);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void green_tls_select_protocols(SSL_CTX *context, struct green_tls_protocols *protocols) {
    green_openssl()->SSL_CTX_set_alpn_select_cb(context, select_protocol, protocols);
}

int green_tls_no_passphrase(char *buffer, int size, int is_writing, void *was_asked) {
    (void)buffer, (void)size, (void)is_writing;
    *(bool *)was_asked = true;
    return -1;
}

// MARK: The buffers of an OS thread

enum { MOST_FREE = 4 };

struct buffers {
    uint8_t *received;
    uint8_t *free[MOST_FREE];
    unsigned free_count;
};

static _Thread_local struct buffers *buffers;
static pthread_key_t key;

static void free_buffers(void *address) {
    struct buffers *own = address;
    free(own->received);
    while (own->free_count > 0) free(own->free[--own->free_count]);
    free(own);
    buffers = NULL;
}

static void make_key(void) { pthread_key_create(&key, free_buffers); }

static struct buffers *own_buffers(void) {
    if (buffers != NULL) return buffers;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    buffers = calloc(1, sizeof *buffers);
    if (buffers != NULL) pthread_setspecific(key, buffers);
    return buffers;
}

uint8_t *green_tls_take_buffer(void) {
    struct buffers *own = own_buffers();
    if (own != NULL && own->free_count > 0) return own->free[--own->free_count];
    return malloc(GREEN_TLS_BUFFER);
}

void green_tls_give_back(uint8_t *buffer, size_t capacity) {
    struct buffers *own = own_buffers();
    if (capacity == GREEN_TLS_BUFFER && own != NULL && own->free_count < MOST_FREE) {
        own->free[own->free_count++] = buffer;
    } else {
        free(buffer);
    }
}

uint8_t *green_tls_received(void) {
    struct buffers *own = own_buffers();
    if (own == NULL) return NULL;
    if (own->received == NULL) own->received = malloc(GREEN_TLS_CHUNK);
    return own->received;
}
