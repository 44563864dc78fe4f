// Looking up hosts, users and groups.  The C library reads files and asks servers for them, with calls of its own that are not patched.
//
// The definitions are weak: in a static executable the C library's own replace them where the program needs those, and nothing is patched.

#include "patch.h"


#define WEAK __attribute__((weak))

// ---- getaddrinfo

typedef struct lookup {
    patch_record record;
    char *node, *service;
    struct addrinfo hints, *list;
    int code;
} lookup;

static void look_up(patch_record *record) {
    lookup *l = (lookup *)record;
    l->code = own_getaddrinfo(l->node, l->service, &l->hints, &l->list);
}

static void end_lookup(patch_record *record) {
    lookup *l = (lookup *)record;
    if (l->list) freeaddrinfo(l->list);
    free(l->node), free(l->service);
}

// What getaddrinfo takes for no hints.
static const struct addrinfo no_hints = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};

static int look_up_elsewhere(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    lookup *l = calloc(1, sizeof *l);
    if (!l) return EAI_MEMORY;
    *l = (lookup){.record = {.work = look_up, .end = end_lookup}, .node = strdup(node), .service = service ? strdup(service) : NULL, .hints = *hints};
    int error = patch_offload(&l->record), code = error ? EAI_SYSTEM : l->code;
    if (code == EAI_SYSTEM) errno = error ? error : l->record.number;
    if (code == 0) *list = l->list, l->list = NULL;
    patch_release(l);
    return code;
}

WEAK int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    if (!own_getaddrinfo) return patch_fail(ENOSYS), EAI_SYSTEM;
    if (!node || (hints && hints->ai_flags & AI_NUMERICHOST) || !patch_caller()) return own_getaddrinfo(node, service, hints, list);
    // A number needs no look-up, and so no other OS thread.
    struct addrinfo numeric = hints ? *hints : no_hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    int code = own_getaddrinfo(node, service, &numeric, list);
    return code == EAI_NONAME ? look_up_elsewhere(node, service, hints ? hints : &no_hints, list) : code;
}

// ---- getnameinfo

typedef struct naming {
    patch_record record;
    struct sockaddr_storage address;
    socklen_t length;
    char *host, *service;
    socklen_t host_size, service_size;
    int flags, code;
} naming;

static void name(patch_record *record) {
    naming *n = (naming *)record;
    n->code = own_getnameinfo((struct sockaddr *)&n->address, n->length, n->host, n->host_size, n->service, n->service_size, n->flags);
}
static void end_naming(patch_record *record) { free(((naming *)record)->host), free(((naming *)record)->service); }

WEAK int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service, socklen_t service_size, int flags) {
    if (!own_getnameinfo) return patch_fail(ENOSYS), EAI_SYSTEM;
    naming *n = host && host_size && !(flags & NI_NUMERICHOST) && length <= sizeof n->address && patch_caller() ? calloc(1, sizeof *n) : NULL;
    if (!n) return own_getnameinfo(address, length, host, host_size, service, service_size, flags);
    *n = (naming){.record = {.work = name, .end = end_naming}, .length = length, .flags = flags, .host_size = host_size};
    memcpy(&n->address, address, length);
    n->host = calloc(1, host_size);
    if (service && service_size) n->service = calloc(1, service_size), n->service_size = service_size;
    int error = patch_offload(&n->record), code = error ? EAI_SYSTEM : n->code;
    if (code == EAI_SYSTEM) errno = error ? error : n->record.number;
    if (code == 0) strcpy(host, n->host);
    if (code == 0 && n->service) strcpy(service, n->service);
    patch_release(n);
    return code;
}

// ---- Entries of databases: hosts, users, groups.  Each has a call that fills the caller's buffer, and one that returns memory of the C library's.

typedef union entry { struct hostent host; struct passwd user; struct group group; } entry;

// One look-up.
typedef struct query {
    patch_record record;
    int (*ask)(struct query *query);
    char *key;        // a copy
    uint64_t number;  // the key where it is no text, or its length
    int family;       // of a host
    char *buffer;
    size_t size;
    entry entry;
    void *found;  // `entry`, or null
    int result, host_error;
} query;

static void ask(patch_record *record) {
    query *q = (query *)record;
    q->result = q->ask(q);
}

// The entry's addresses lie in the buffer, which moves.
static char *moved(char *address, ptrdiff_t by) { return address ? address + by : NULL; }
static char **moved_list(char **list, ptrdiff_t by) {
    list = (char **)moved((char *)list, by);
    for (char **one = list; one && *one; one++) *one = moved(*one, by);
    return list;
}
static void move_host(entry *e, ptrdiff_t by) {
    e->host.h_name = moved(e->host.h_name, by);
    e->host.h_aliases = moved_list(e->host.h_aliases, by);
    e->host.h_addr_list = moved_list(e->host.h_addr_list, by);
}
static void move_user(entry *e, ptrdiff_t by) {
    e->user.pw_name = moved(e->user.pw_name, by), e->user.pw_passwd = moved(e->user.pw_passwd, by);
    e->user.pw_gecos = moved(e->user.pw_gecos, by), e->user.pw_dir = moved(e->user.pw_dir, by), e->user.pw_shell = moved(e->user.pw_shell, by);
}
static void move_group(entry *e, ptrdiff_t by) {
    e->group.gr_name = moved(e->group.gr_name, by), e->group.gr_passwd = moved(e->group.gr_passwd, by);
    e->group.gr_mem = moved_list(e->group.gr_mem, by);
}

typedef struct database {
    int (*ask)(query *query);
    void (*move)(entry *entry, ptrdiff_t by);
    size_t entry_size;
} database;

static int ask_host(query *q) {
    return own_gethostbyname2_r(q->key, q->family, &q->entry.host, q->buffer, q->size, (struct hostent **)&q->found, &q->host_error);
}
static int ask_address(query *q) {
    return own_gethostbyaddr_r(q->key, (socklen_t)q->number, q->family, &q->entry.host, q->buffer, q->size, (struct hostent **)&q->found, &q->host_error);
}
static int ask_user_name(query *q) { return own_getpwnam_r(q->key, &q->entry.user, q->buffer, q->size, (struct passwd **)&q->found); }
static int ask_user(query *q) { return own_getpwuid_r((uid_t)q->number, &q->entry.user, q->buffer, q->size, (struct passwd **)&q->found); }
static int ask_group_name(query *q) { return own_getgrnam_r(q->key, &q->entry.group, q->buffer, q->size, (struct group **)&q->found); }
static int ask_group(query *q) { return own_getgrgid_r((gid_t)q->number, &q->entry.group, q->buffer, q->size, (struct group **)&q->found); }

static const database hosts = {ask_host, move_host, sizeof(struct hostent)}, addresses = {ask_address, move_host, sizeof(struct hostent)},
    user_names = {ask_user_name, move_user, sizeof(struct passwd)}, users = {ask_user, move_user, sizeof(struct passwd)},
    group_names = {ask_group_name, move_group, sizeof(struct group)}, groups = {ask_group, move_group, sizeof(struct group)};

typedef struct key { const void *bytes; size_t length; uint64_t number; int family; } key;
static key named(const char *text) { return (key){.bytes = text, .length = strlen(text) + 1}; }
static key numbered(uint64_t number) { return (key){.number = number}; }

// Fills `found` and `buffer`.  Returns 0 with `*result` null where there is none; else an errno.
static int query_into(const database *d, key k, void *found, char *buffer, size_t size, void *result, int *host_error) {
    // Aligned as the caller's, for it holds addresses; the key is behind it.
    size_t shift = (uintptr_t)buffer % 16;
    query *q = calloc(1, sizeof *q + shift + size + k.length);
    *(void **)result = NULL;
    if (!q) return ENOMEM;
    *q = (query){.record = {.work = ask}, .ask = d->ask, .number = k.length ? k.length : k.number, .family = k.family, .size = size};
    q->buffer = (char *)(q + 1) + shift, q->key = q->buffer + size;
    if (k.length) memcpy(q->key, k.bytes, k.length);
    int error = patch_offload(&q->record), code = error ? error : q->result;
    if (!error && host_error) *host_error = q->host_error;
    if (error && host_error) *host_error = NETDB_INTERNAL;
    if (!code && q->found) {
        memcpy(buffer, q->buffer, size);
        d->move(&q->entry, buffer - q->buffer);
        memcpy(found, &q->entry, d->entry_size);
        *(void **)result = found;
    }
    patch_release(q);
    return code;
}

// ---- As the caller's buffer is filled

#define QUERY_R(name, parameters, arguments, d, k) \
    WEAK int name parameters { \
        if (!own_##name) return ENOSYS; \
        return patch_caller() ? query_into(&d, k, found, buffer, size, result, NULL) : own_##name arguments; \
    }
#define HOST_R(name, parameters, arguments, d, k) \
    WEAK int name parameters { \
        if (!own_##name) return ENOSYS; \
        return patch_caller() ? query_into(&d, k, found, buffer, size, result, host_error) : own_##name arguments; \
    }
#define FILLED(type) type *found, char *buffer, size_t size, type **result
#define FILLED_HOST FILLED(struct hostent), int *host_error

static key host_named(const char *name, int family) { return (key){.bytes = name, .length = strlen(name) + 1, .family = family}; }
static key host_at(const void *address, socklen_t length, int family) { return (key){.bytes = address, .length = length, .family = family}; }

QUERY_R(getpwnam_r, (const char *name, FILLED(struct passwd)), (name, found, buffer, size, result), user_names, named(name))
QUERY_R(getpwuid_r, (uid_t id, FILLED(struct passwd)), (id, found, buffer, size, result), users, numbered(id))
QUERY_R(getgrnam_r, (const char *name, FILLED(struct group)), (name, found, buffer, size, result), group_names, named(name))
QUERY_R(getgrgid_r, (gid_t id, FILLED(struct group)), (id, found, buffer, size, result), groups, numbered(id))
HOST_R(gethostbyname_r, (const char *name, FILLED_HOST), (name, found, buffer, size, result, host_error), hosts, host_named(name, AF_INET))
HOST_R(gethostbyname2_r, (const char *name, int family, FILLED_HOST), (name, family, found, buffer, size, result, host_error), hosts, host_named(name, family))
HOST_R(gethostbyaddr_r, (const void *address, socklen_t length, int family, FILLED_HOST),
       (address, length, family, found, buffer, size, result, host_error), addresses, host_at(address, length, family))

// ---- As memory of the C library's is returned: here, of the OS thread's, until its next call.

typedef struct answer { entry entry; char *buffer; size_t size; } answer;
enum { HOST, USER, GROUP, ANSWERS };

static pthread_key_t answers_key;
static void free_answers(void *answers) {
    for (int i = 0; i < ANSWERS; i++) free(((answer *)answers)[i].buffer);
    free(answers);
}
static void make_answers_key(void) { pthread_key_create(&answers_key, free_answers); }

static answer *answer_of(int kind) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_answers_key);
    answer *answers = pthread_getspecific(answers_key);
    if (!answers && (answers = calloc(ANSWERS, sizeof *answers))) pthread_setspecific(answers_key, answers);
    return answers ? &answers[kind] : NULL;
}

// On a green thread.  Others may look up while this one waits: the buffer is its own until it has the answer.
static void *query_for(int kind, const database *d, key k) {
    void *result = NULL;
    int code = ERANGE, host_error = 0;
    entry found;
    for (size_t size = 1024; code == ERANGE && size <= 16 << 20; size *= 4) {
        char *buffer = malloc(size);
        answer *a = answer_of(kind);
        code = buffer && a ? query_into(d, k, &found, buffer, size, &result, &host_error) : ENOMEM;
        if (result) {
            free(a->buffer);
            *a = (answer){found, buffer, size};
            result = &a->entry;
        } else {
            free(buffer);
        }
    }
    if (kind == HOST && !result) h_errno = host_error;
    if (code) errno = code;
    return result;
}

#define QUERY(name, type, parameters, arguments, kind, d, k) \
    WEAK type *name parameters { \
        if (!own_##name) return errno = ENOSYS, NULL; \
        return patch_caller() ? query_for(kind, &d, k) : own_##name arguments; \
    }

QUERY(getpwnam, struct passwd, (const char *name), (name), USER, user_names, named(name))
QUERY(getpwuid, struct passwd, (uid_t id), (id), USER, users, numbered(id))
QUERY(getgrnam, struct group, (const char *name), (name), GROUP, group_names, named(name))
QUERY(getgrgid, struct group, (gid_t id), (id), GROUP, groups, numbered(id))
QUERY(gethostbyname, struct hostent, (const char *name), (name), HOST, hosts, host_named(name, AF_INET))
QUERY(gethostbyname2, struct hostent, (const char *name, int family), (name, family), HOST, hosts, host_named(name, family))
QUERY(gethostbyaddr, struct hostent, (const void *address, socklen_t length, int family), (address, length, family), HOST, addresses,
      host_at(address, length, family))
