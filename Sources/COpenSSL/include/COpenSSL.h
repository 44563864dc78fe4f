#ifndef COPENSSL_H
#define COPENSSL_H

// OpenSSL 3's declarations, and the way to its functions.
//
// Nothing here is linked with OpenSSL: libssl.so.3 is loaded when TLS is used first.  Linked, it would cost each start of a program a millisecond and half a
// megabyte of memory, in every forked process again, whether it uses TLS or not: OpenSSL's tables are full of addresses, which the loader writes at the start.

#if !__has_include(<openssl/ssl.h>)
#error "OpenSSL's headers are missing: install libssl-dev (apt-get install libssl-dev)"
#endif

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if OPENSSL_VERSION_MAJOR != 3
#error "OpenSSL 3 is needed: its functions are looked up in libssl.so.3"
#endif

// Every function that is used.  Those that are macros in the headers are called by the function behind them.
#define GREEN_OPENSSL_FUNCTIONS(X) \
    X(OPENSSL_init_ssl) X(ERR_clear_error) X(ERR_peek_error) X(ERR_peek_last_error) X(ERR_reason_error_string) \
    X(BIO_new) X(BIO_free) X(BIO_meth_new) X(BIO_meth_set_read_ex) X(BIO_meth_set_write_ex) X(BIO_meth_set_ctrl) \
    X(BIO_set_data) X(BIO_get_data) X(BIO_set_init) X(BIO_set_flags) X(BIO_clear_flags) X(BIO_new_mem_buf) \
    X(BIO_s_mem) X(BIO_ctrl) X(TLS_method) X(SSL_CTX_new) X(SSL_CTX_free) X(SSL_CTX_up_ref) X(SSL_CTX_ctrl) \
    X(SSL_CTX_set_options) X(SSL_CTX_set_verify) X(SSL_CTX_set_default_verify_paths) X(SSL_CTX_get_cert_store) \
    X(SSL_CTX_use_certificate) X(SSL_CTX_use_PrivateKey) X(SSL_CTX_check_private_key) X(SSL_CTX_set_client_CA_list) \
    X(SSL_CTX_set_alpn_protos) X(SSL_CTX_set_alpn_select_cb) X(SSL_CTX_set_session_id_context) \
    X(SSL_CTX_sess_set_new_cb) X(SSL_CTX_set_cipher_list) X(SSL_CTX_set_num_tickets) X(SSL_select_next_proto) X(SSL_new) X(SSL_free) X(SSL_ctrl) \
    X(SSL_set_bio) X(SSL_set_accept_state) X(SSL_set_connect_state) X(SSL_set1_host) X(SSL_set_hostflags) \
    X(SSL_get0_param) X(X509_VERIFY_PARAM_set1_ip_asc) X(SSL_do_handshake) X(SSL_read_ex) X(SSL_write_ex) X(SSL_pending) \
    X(SSL_shutdown) X(SSL_get_error) X(SSL_get_shutdown) X(SSL_set_shutdown) X(SSL_key_update) X(SSL_get_verify_result) X(SSL_get_version) \
    X(SSL_get_current_cipher) X(SSL_CIPHER_get_name) X(SSL_get0_alpn_selected) X(SSL_session_reused) \
    X(SSL_get1_peer_certificate) X(SSL_set_session) X(SSL_get1_session) X(SSL_set_ex_data) X(SSL_get_ex_data) X(SSL_SESSION_free) \
    X(SSL_SESSION_is_resumable) X(SSL_SESSION_get_protocol_version) X(SSL_SESSION_up_ref) X(X509_free) X(X509_up_ref) X(X509_get_subject_name) \
    X(X509_get_issuer_name) X(X509_get_ext_d2i) X(X509_get0_notAfter) X(X509_get0_notBefore) X(X509_NAME_print_ex) X(X509_digest) \
    X(X509_STORE_add_cert) X(X509_verify_cert_error_string) X(ASN1_TIME_to_tm) X(ASN1_STRING_get0_data) \
    X(ASN1_STRING_length) X(OPENSSL_sk_num) X(OPENSSL_sk_value) X(OPENSSL_sk_push) X(OPENSSL_sk_new_null) X(GENERAL_NAMES_free) \
    X(X509_STORE_CTX_get_ex_data) X(SSL_get_ex_data_X509_STORE_CTX_idx) X(X509_STORE_CTX_get0_cert) \
    X(X509_NAME_dup) X(PEM_read_bio_X509) X(PEM_read_bio_PrivateKey) X(EVP_PKEY_free) X(EVP_sha256) X(EVP_Digest)

struct green_openssl {
#define GREEN_OPENSSL_FIELD(name) __typeof__(name) *_Nonnull name;
    GREEN_OPENSSL_FUNCTIONS(GREEN_OPENSSL_FIELD)
#undef GREEN_OPENSSL_FIELD
};

/// OpenSSL's functions; NULL where libssl.so.3 can't be loaded, and then `green_openssl_failure` says why.  Loads it at the first call.  From any OS thread.
const struct green_openssl *_Nullable green_openssl(void);
const char *_Nullable green_openssl_failure(void);

// Macros that Swift can't see.
static const uint64_t GREEN_TLS_OPTIONS = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION;
static const long GREEN_TLS_MODES = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY;
static const unsigned GREEN_TLS_NAME_CHECKS = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
/// As RFC 2253 has it, with letters outside ASCII as they are.
static const unsigned long GREEN_TLS_NAME_FORMAT = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
static const int GREEN_TLS_FATAL_OFFSET = SSL_AD_REASON_OFFSET;
static inline int green_tls_library(unsigned long error) { return ERR_GET_LIB(error); }
static inline int green_tls_reason(unsigned long error) { return ERR_GET_REASON(error); }

/// The two ends of a connection's records, in memory.  OpenSSL takes from `input`, which belongs to the caller, and appends to `output`.
struct green_tls_wire {
    const uint8_t *_Nullable input;
    size_t input_count;
    /// From `green_tls_take_buffer`; NULL while there is nothing.
    uint8_t *_Nullable output;
    size_t output_count;
    size_t output_capacity;
    /// A session that the server has offered for later; owned until it is taken.
    SSL_SESSION *_Nullable new_session;
    /// The other side's certificate, where it was refused: OpenSSL does not keep it.  Owned.
    X509 *_Nullable refused;
};

/// Makes a BIO over `wire`, which has to outlive it.  NULL where memory is short.
BIO *_Nullable green_tls_bio(struct green_tls_wire *_Nonnull wire);
/// Makes `session` put what it is offered into `wire`.
void green_tls_watch_sessions(SSL_CTX *_Nonnull context);
/// For `SSL_CTX_set_verify`: notes a certificate that is refused, and changes nothing.
int green_tls_note_refused(int is_accepted, X509_STORE_CTX *_Nullable check);
/// False where memory is short.
bool green_tls_attach(SSL *_Nonnull session, struct green_tls_wire *_Nonnull wire);

/// For `SSL_CTX_set_alpn_select_cb`: `argument` is a `green_tls_protocols`.  The server's order counts.
struct green_tls_protocols {
    unsigned count;
    uint8_t list[];
};
void green_tls_select_protocols(SSL_CTX *_Nonnull context, struct green_tls_protocols *_Nonnull protocols);

/// For `PEM_read_bio_PrivateKey`: sets the bool at `was_asked` and gives no passphrase.
int green_tls_no_passphrase(char *_Nullable buffer, int size, int is_writing, void *_Nullable was_asked);

// Buffers of an OS thread, which its connections use by turns: one that waits to receive holds none.

enum {
    /// Plain bytes that are turned into records at a time: four records.
    GREEN_TLS_CHUNK = 4 * 16384,
    /// A buffer for the records of a chunk: OpenSSL adds less than 512 bytes to each.
    GREEN_TLS_BUFFER = GREEN_TLS_CHUNK + 4 * 512,
};

/// Of `GREEN_TLS_BUFFER` bytes.  NULL where memory is short.
uint8_t *_Nullable green_tls_take_buffer(void);
/// Of the given capacity: others than `GREEN_TLS_BUFFER` are freed.
void green_tls_give_back(uint8_t *_Nonnull buffer, size_t capacity);
/// The OS thread's one buffer for what was received, of `GREEN_TLS_CHUNK` bytes.  NULL where memory is short.
uint8_t *_Nullable green_tls_received(void);

#endif
