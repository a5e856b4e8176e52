#include "agent/relay/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh2.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "agent/relay/sftp.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "base/secret.h"
#include "base/str.h"
#include "net/dns.h"
#include "os/library.h"
#include "pki/digest.h"

#if LIBSSH2_VERSION_NUM >= 0x010b01 /* Debian 13's calls the older one deprecated */
#define SET_CALLBACK(X) X(libssh2_session_callback_set2)
#define set_receive(session, f) lib.libssh2_session_callback_set2_(session, LIBSSH2_CALLBACK_RECV, (libssh2_cb_generic *)(f))
#else
#define SET_CALLBACK(X) X(libssh2_session_callback_set)
#define set_receive(session, f) lib.libssh2_session_callback_set_(session, LIBSSH2_CALLBACK_RECV, (void *)(f))
#endif
#define LIBSSH2_FUNCTIONS(X)                                                                                                       \
    X(libssh2_channel_close)                                                                                                       \
    X(libssh2_channel_eof)                                                                                                         \
    X(libssh2_channel_free)                                                                                                        \
    X(libssh2_channel_get_exit_signal)                                                                                             \
    X(libssh2_channel_get_exit_status)                                                                                             \
    X(libssh2_channel_handle_extended_data2)                                                                                       \
    X(libssh2_channel_open_ex)                                                                                                     \
    X(libssh2_channel_process_startup)                                                                                             \
    X(libssh2_channel_read_ex)                                                                                                     \
    X(libssh2_channel_send_eof)                                                                                                    \
    X(libssh2_channel_wait_closed)                                                                                                 \
    X(libssh2_channel_write_ex)                                                                                                    \
    X(libssh2_free)                                                                                                                \
    X(libssh2_init)                                                                                                                \
    SET_CALLBACK(X)                                                                                                                \
    X(libssh2_session_block_directions)                                                                                            \
    X(libssh2_session_disconnect_ex)                                                                                               \
    X(libssh2_session_free)                                                                                                        \
    X(libssh2_session_handshake)                                                                                                   \
    X(libssh2_session_hostkey)                                                                                                     \
    X(libssh2_session_init_ex)                                                                                                     \
    X(libssh2_session_last_error)                                                                                                  \
    X(libssh2_session_method_pref)                                                                                                 \
    X(libssh2_session_set_blocking)                                                                                                \
    X(libssh2_userauth_password_ex)                                                                                                \
    X(libssh2_userauth_publickey_frommemory)

/* libssh2, loaded by ssh_load(): what is called below is in this table. */
static struct {
#define X(f) __typeof__(f) *f##_;
    LIBSSH2_FUNCTIONS(X)
#undef X
} lib;

#define OPEN_MS  30000 /* connecting, greeting and login */
#define FILE_MS  60000 /* one file */
#define RUN_MS   300000
#define SLICE_MS 500 /* how soon ssh_stop() is noticed */

struct ssh {
    struct arena arena; /* for what messages name */
    const char *peer;   /* "web1.example.org port 22" */
    int fd;
    LIBSSH2_SESSION *session;
    size_t memory;       /* what libssh2 holds */
    int64_t deadline_ms; /* of the operation that is going on */
    size_t greeted;      /* bytes received before the login was over */
    bool logged_in;
    bool broken;              /* nothing more can be said */
    LIBSSH2_CHANNEL *channel; /* of SFTP; NULL: not opened */
    struct sftp sftp;
};

/* --- loading */

RC ssh_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded;
    static const struct library_function functions[] = {
#define X(f) {#f, (void **)&lib.f##_},
        LIBSSH2_FUNCTIONS(X)
#undef X
    };
    pthread_mutex_lock(&lock);
    struct rc rc = loaded ? RC_OK : library_load(ctx, "libssh2.so.1", "libssh2-1", functions, sizeof functions / sizeof *functions);
    if (rc_ok(rc) && !loaded && lib.libssh2_init_(0) != 0)
        rc = ctx_fail(ctx, E_NO_MEMORY, "libssh2 cannot be started");
    loaded = rc_ok(rc);
    pthread_mutex_unlock(&lock);
    return rc;
}

static atomic_bool stopped;

void ssh_stop(void)
{
    atomic_store(&stopped, true);
}

/* --- libssh2's memory: bounded, and wiped when it is given back, for keys pass through */

union piece {
    size_t n;
    max_align_t align;
};

static void *take(size_t n, void **abstract)
{
    struct ssh *s = *abstract;
    if (n > SSH_MEMORY_MAX || s->memory + n > SSH_MEMORY_MAX)
        return NULL;
    union piece *p = malloc(sizeof *p + n);
    if (p == NULL)
        return NULL;
    p->n = n;
    s->memory += n;
    return p + 1;
}

static void give(void *at, void **abstract)
{
    struct ssh *s = *abstract;
    if (at == NULL)
        return;
    union piece *p = (union piece *)at - 1;
    s->memory -= p->n;
    wipe(p, sizeof *p + p->n);
    free(p);
}

static void *take_again(void *at, size_t n, void **abstract)
{
    void *to = take(n, abstract);
    if (to == NULL || at == NULL)
        return to;
    size_t had = ((union piece *)at - 1)->n;
    memcpy(to, at, had < n ? had : n);
    give(at, abstract);
    return to;
}

/* libssh2 asks for more as long as there is more: a server that floods it with words before the greeting would hold it for good. */
static ssize_t receive(libssh2_socket_t fd, void *at, size_t n, int flags, void **abstract)
{
    struct ssh *s = *abstract;
    if (clock_mono_ms() >= s->deadline_ms || atomic_load(&stopped))
        return -EAGAIN; /* wait_fd() says why */
    if (!s->logged_in && s->greeted > SSH_GREETING_MAX)
        return -EMSGSIZE;
    ssize_t got = recv(fd, at, n, flags);
    if (got > 0 && !s->logged_in)
        s->greeted += (size_t)got;
    return got < 0 ? -errno : got;
}

/* --- waiting and failing */

static RC wait_fd(struct ctx *ctx, struct ssh *s, short events)
{
    for (;;) {
        int64_t left = s->deadline_ms - clock_mono_ms();
        struct pollfd fd = {.fd = s->fd, .events = events};
        if (atomic_load(&stopped))
            return ctx_fail(ctx, E_SHUTTING_DOWN, "stopped while waiting for %s", s->peer);
        if (left <= 0) {
            s->broken = true;
            return ctx_fail(ctx, E_TIMEOUT, "%s did not answer in time", s->peer);
        }
        int n = poll(&fd, 1, (int)(left < SLICE_MS ? left : SLICE_MS));
        if (n > 0)
            return RC_OK;
        if (n < 0 && errno != EINTR)
            return ctx_fail_errno(ctx, "waiting for %s", s->peer);
    }
}

static RC wait_turn(struct ctx *ctx, struct ssh *s)
{
    int way = lib.libssh2_session_block_directions_(s->session);
    short events =
        (short)((way & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0) | (way & LIBSSH2_SESSION_BLOCK_INBOUND ? POLLIN : 0));
    return wait_fd(ctx, s, events != 0 ? events : POLLIN);
}

static void begin(struct ctx *ctx, struct ssh *s, int64_t most_ms)
{
    s->deadline_ms = clock_mono_ms() + ctx_left_ms(ctx, most_ms);
}

/* libssh2's own words, which may hold the server's. */
static const char *words(struct ctx *ctx, struct ssh *s)
{
    char *text = NULL;
    int n = 0;
    lib.libssh2_session_last_error_(s->session, &text, &n, 0);
    if (text == NULL || n <= 0)
        return "no reason given";
    char *out = arena_str(&ctx->arena, bytes_of(text, n < 200 ? (size_t)n : 200));
    for (char *p = out; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    return out;
}

static RC failed(struct ctx *ctx, struct ssh *s, int code, const char *doing)
{
    s->broken = true;
    if (!s->logged_in && s->greeted > SSH_GREETING_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s says more than %zu bytes before the login: is that an SSH server?", s->peer,
                        SSH_GREETING_MAX);
    switch (code) {
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_BANNER_RECV:
        return ctx_fail(ctx, E_UNREACHABLE, "%s closed the connection %s", s->peer, doing);
    case LIBSSH2_ERROR_KEX_FAILURE:
    case LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE:
    case LIBSSH2_ERROR_METHOD_NONE:
        return ctx_fail(ctx, E_UNSUPPORTED,
                        "%s and Certwright have no algorithms in common (%s): its sshd must offer curve25519-sha256 or "
                        "ecdh-sha2-nistp256, a host key of type Ed25519 or ECDSA, aes256-ctr or aes128-ctr, and hmac-sha2-256",
                        s->peer, words(ctx, s));
    case LIBSSH2_ERROR_ALLOC:
        return ctx_fail(ctx, E_BAD_ANSWER, "%s needs more than %zu bytes of memory %s", s->peer, SSH_MEMORY_MAX, doing);
    default:
        return ctx_fail(ctx, E_BAD_ANSWER, "%s: %s (%d) %s", s->peer, words(ctx, s), code, doing);
    }
}

/* DRIVE calls `call` until it has an answer; negative ones are failures. */
#define DRIVE(ctx, s, doing, call)                                                                                                 \
    do {                                                                                                                           \
        int drive_;                                                                                                                \
        while ((drive_ = (call)) == LIBSSH2_ERROR_EAGAIN)                                                                          \
            TRY(wait_turn(ctx, s));                                                                                                \
        if (drive_ < 0)                                                                                                            \
            return failed(ctx, s, drive_, doing);                                                                                  \
    } while (0)

static RC usable(struct ctx *ctx, const struct ssh *s)
{
    return s->broken ? ctx_fail(ctx, E_UNREACHABLE, "the connection to %s is broken", s->peer) : RC_OK;
}

/* --- connecting */

static RC connect_to(struct ctx *ctx, struct ssh *s, const struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t n = address_to_sockaddr(a, &sa), error_n = sizeof(int);
    int error = 0;
    s->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return ctx_fail_errno(ctx, "making a socket");
    if (connect(s->fd, (struct sockaddr *)&sa, n) == 0)
        return RC_OK;
    if (errno == EINPROGRESS) {
        TRY(wait_fd(ctx, s, POLLOUT));
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &error_n) == 0 && error == 0)
            return RC_OK;
        errno = error != 0 ? error : errno;
    }
    return ctx_fail(ctx, E_UNREACHABLE, "connecting to %s: %s", address_port_str(&ctx->arena, a), strerrordesc_np(errno));
}

/* The guard is asked with the very address that is connected to. */
static RC connect_any(struct ctx *ctx, struct ssh *s, const struct ssh_config *c)
{
    struct dns_answer found;
    struct rc rc = RC_OK;
    TRY(dns_resolve(ctx, c->host, c->port, &found));
    for (size_t i = 0; i < found.n; i++) {
        ctx_forget(ctx);
        rc = address_check(ctx, &found.v[i], &c->grants);
        if (rc_ok(rc))
            rc = connect_to(ctx, s, &found.v[i]);
        if (rc_ok(rc) || rc.e == E_TIMEOUT || rc.e == E_SHUTTING_DOWN)
            return rc;
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
    }
    return rc;
}

static RC prefer(struct ctx *ctx, struct ssh *s)
{
    static const struct {
        int what;
        const char *list;
    } rows[] = {
        {LIBSSH2_METHOD_KEX,
         "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
         "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"},
        {LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"},
        {LIBSSH2_METHOD_CRYPT_CS, "aes256-ctr,aes192-ctr,aes128-ctr"},
        {LIBSSH2_METHOD_CRYPT_SC, "aes256-ctr,aes192-ctr,aes128-ctr"},
        {LIBSSH2_METHOD_MAC_CS, "hmac-sha2-512,hmac-sha2-256"},
        {LIBSSH2_METHOD_MAC_SC, "hmac-sha2-512,hmac-sha2-256"},
        {LIBSSH2_METHOD_COMP_CS, "none"},
        {LIBSSH2_METHOD_COMP_SC, "none"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (lib.libssh2_session_method_pref_(s->session, rows[i].what, rows[i].list) != 0)
            return ctx_fail(ctx, E_UNSUPPORTED, "libssh2 does not know any of %s: %s", rows[i].list, words(ctx, s));
    return RC_OK;
}

/* --- the host's key */

static bool is_fingerprint(struct bytes pin)
{
    bool ok = pin.n == 50 && bytes_starts_with(pin, BYTES_LIT("SHA256:"));
    for (size_t i = 7; i < pin.n && ok; i++) {
        uint8_t c = pin.p[i];
        ok = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    }
    return ok;
}

/* Before anything is sent: a pin that cannot match is told as what it is. */
static RC check_pins(struct ctx *ctx, const struct ssh_config *c)
{
    struct bytes rest = bytes_z(c->host_keys), pin;
    size_t n = 0;
    for (; bytes_take_until(&rest, ' ', &pin); n++)
        if (!is_fingerprint(pin) || n == SSH_HOST_KEYS_MAX)
            return ctx_fail(ctx, E_INVALID,
                            "the host key of %s is not pinned by fingerprints such as "
                            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU (ssh-keygen -l -f KEY.pub on the host shows them), "
                            "with one space between several",
                            c->host);
    return n > 0 ? RC_OK : ctx_fail(ctx, E_INVALID, "no host key is pinned for %s", c->host);
}

static const char *type_name(int type)
{
    switch (type) {
    case LIBSSH2_HOSTKEY_TYPE_ED25519:
        return "Ed25519";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_256:
        return "ECDSA P-256";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_384:
        return "ECDSA P-384";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_521:
        return "ECDSA P-521";
    default:
        return "unknown";
    }
}

static RC check_host_key(struct ctx *ctx, struct ssh *s, const struct ssh_config *c)
{
    uint8_t hash[SHA256_LEN];
    size_t n = 0;
    int type = LIBSSH2_HOSTKEY_TYPE_UNKNOWN;
    const char *key = lib.libssh2_session_hostkey_(s->session, &n, &type);
    if (key == NULL || n == 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s showed no host key", s->peer);
    TRY(digest_sha256(ctx, bytes_of(key, n), hash));
    char *text = base64_str(&ctx->arena, bytes_of(hash, sizeof hash));
    text[strcspn(text, "=")] = '\0';
    const char *shown = arena_printf(&ctx->arena, "SHA256:%s", text);
    struct bytes rest = bytes_z(c->host_keys), pin;
    while (bytes_take_until(&rest, ' ', &pin))
        if (bytes_equal_z(pin, shown))
            return RC_OK;
    s->broken = true;
    return ctx_fail(ctx, E_PEER_IDENTITY,
                    "%s shows the %s host key %s, pinned is %s: nothing was sent.  Where the host was given this key on "
                    "purpose (ssh-keygen -l on the host itself shows it), write it into the target's host_key; else somebody is in "
                    "between",
                    s->peer, type_name(type), shown, c->host_keys);
}

/* --- logging in */

/* What libssh2 may sign with: with an RSA key it would use SHA-1. */
static RC check_key(struct ctx *ctx, const struct ssh_config *c)
{
    static const uint8_t ec[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}, ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
    struct bytes text = c->key, body = {0};
    bool good = bytes_find(text, BYTES_LIT("-----BEGIN EC PRIVATE KEY-----")) != SIZE_MAX;
    size_t from = bytes_find(text, BYTES_LIT(" PRIVATE KEY-----")), to;
    if (!good && from != SIZE_MAX) {
        bytes_skip(&text, from + 17);
        to = bytes_find(text, BYTES_LIT("-----END"));
        if (to == SIZE_MAX || !get_base64_pem(&ctx->arena, bytes_of(text.p, to), &body))
            body = (struct bytes){0};
        bool openssh = bytes_starts_with(body, BYTES_LIT("openssh-key-v1"));
        good = openssh ? bytes_find(body, BYTES_LIT("ssh-ed25519")) != SIZE_MAX ||
                             bytes_find(body, BYTES_LIT("ecdsa-sha2-nistp")) != SIZE_MAX
                       : bytes_find(body, bytes_of(ec, sizeof ec)) != SIZE_MAX ||
                             bytes_find(body, bytes_of(ed25519, sizeof ed25519)) != SIZE_MAX;
        wipe((void *)(uintptr_t)body.p, body.n);
    }
    return good ? RC_OK
                : ctx_fail(ctx, E_INVALID,
                           "the key for the login at %s is not an Ed25519 or ECDSA private key: make one with "
                           "ssh-keygen -t ed25519",
                           c->host);
}

/* libssh2 wants strings. */
static RC with_nul(struct ctx *ctx, struct bytes in, struct secret *out)
{
    TRY(secret_new(ctx, out, in.n + 1));
    if (in.n > 0)
        memcpy(secret_fill(out), in.p, in.n);
    return RC_OK;
}

static int show_key(struct ssh *s, const struct ssh_config *c, const char *passphrase)
{
    return lib.libssh2_userauth_publickey_frommemory_(s->session, c->user, strlen(c->user), NULL, 0, (const char *)c->key.p,
                                                      c->key.n, passphrase);
}

static int show_password(struct ssh *s, const struct ssh_config *c)
{
    return lib.libssh2_userauth_password_ex_(s->session, c->user, (unsigned)strlen(c->user), (const char *)c->password.p,
                                             (unsigned)c->password.n, NULL);
}

static RC log_in(struct ctx *ctx, struct ssh *s, const struct ssh_config *c)
{
    SECRET_CLEANUP struct secret passphrase = {0};
    int code;
    TRY(with_nul(ctx, c->passphrase, &passphrase));
    const char *text = c->passphrase.n > 0 ? (const char *)secret_use(&passphrase).p : NULL;
    while ((code = c->key.n > 0 ? show_key(s, c, text) : show_password(s, c)) == LIBSSH2_ERROR_EAGAIN)
        TRY(wait_turn(ctx, s));
    if (code == 0)
        return RC_OK;
    if (code == LIBSSH2_ERROR_FILE || code == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED)
        return ctx_fail(ctx, E_INVALID, "the key for the login at %s cannot be read: %s; does it have a passphrase?", s->peer,
                        words(ctx, s));
    if (code == LIBSSH2_ERROR_AUTHENTICATION_FAILED || code == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED ||
        code == LIBSSH2_ERROR_PASSWORD_EXPIRED || code == LIBSSH2_ERROR_PUBLICKEY_UNRECOGNIZED)
        return ctx_fail(ctx, E_FORBIDDEN, "%s does not let %s in with this %s (%s): %s", s->peer, c->user,
                        c->key.n > 0 ? "key" : "password", words(ctx, s),
                        c->key.n > 0 ? "add its public half to the user's authorized_keys" : "correct it, or use a key");
    return failed(ctx, s, code, "at the login");
}

static RC open_all(struct ctx *ctx, struct ssh *s, const struct ssh_config *c)
{
    begin(ctx, s, OPEN_MS);
    TRY(connect_any(ctx, s, c));
    s->session = lib.libssh2_session_init_ex_(take, give, take_again, s);
    if (s->session == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a session with %s", s->peer);
    lib.libssh2_session_set_blocking_(s->session, 0);
    set_receive(s->session, receive);
    TRY(prefer(ctx, s));
    DRIVE(ctx, s, "before the greeting was over", lib.libssh2_session_handshake_(s->session, s->fd));
    TRY(check_host_key(ctx, s, c));
    TRY(log_in(ctx, s, c));
    s->logged_in = true;
    return RC_OK;
}

RC ssh_open(struct ctx *ctx, const struct ssh_config *c, struct ssh **out)
{
    *out = NULL;
    TRY(check_pins(ctx, c));
    if (c->key.n > 0)
        TRY(check_key(ctx, c));
    else if (c->password.n == 0 || c->password.n > 1024)
        return ctx_fail(ctx, E_INVALID, "neither a key nor a password is given for the login at %s", c->host);
    if (*c->user == '\0' || strlen(c->user) > 128)
        return ctx_fail(ctx, E_INVALID, "no user is given for the login at %s", c->host);
    TRY(ssh_load(ctx));
    struct ssh *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a session with %s", c->host);
    s->fd = -1;
    s->peer = arena_printf(&s->arena, "%s port %u", c->host, c->port);
    struct rc rc = open_all(ctx, s, c);
    if (rc_ok(rc))
        *out = s;
    else
        ssh_close(s);
    return rc;
}

void ssh_close(struct ssh *s)
{
    if (s == NULL)
        return;
    sftp_free(&s->sftp);
    if (s->session != NULL) {
        if (!s->broken)
            lib.libssh2_session_disconnect_ex_(s->session, SSH_DISCONNECT_BY_APPLICATION, "done", "");
        shutdown(s->fd, SHUT_RDWR); /* what libssh2 still wants to say is not waited for */
        for (int i = 0; i < 100 && lib.libssh2_session_free_(s->session) == LIBSSH2_ERROR_EAGAIN; i++)
            ;
    }
    if (s->fd >= 0)
        close(s->fd);
    arena_free(&s->arena);
    free(s);
}

/* --- channels */

static RC open_channel(struct ctx *ctx, struct ssh *s, LIBSSH2_CHANNEL **out)
{
    static const char type[] = "session";
    while ((*out = lib.libssh2_channel_open_ex_(s->session, type, sizeof type - 1, LIBSSH2_CHANNEL_WINDOW_DEFAULT,
                                                LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0)) == NULL) {
        int code = lib.libssh2_session_last_error_(s->session, NULL, NULL, 0);
        if (code != LIBSSH2_ERROR_EAGAIN)
            return failed(ctx, s, code, "opening a channel");
        TRY(wait_turn(ctx, s));
    }
    return RC_OK;
}

static int start(LIBSSH2_CHANNEL *ch, const char *how, const char *what)
{
    return lib.libssh2_channel_process_startup_(ch, how, (unsigned)strlen(how), what, (unsigned)strlen(what));
}

/* --- files */

static RC sftp_put(struct ctx *ctx, void *arg, struct bytes data)
{
    struct ssh *s = arg;
    while (data.n > 0) {
        ssize_t n = lib.libssh2_channel_write_ex_(s->channel, 0, (const char *)data.p, data.n);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return failed(ctx, s, (int)n, "in the middle of a file");
        if (n <= 0)
            TRY(wait_turn(ctx, s));
        else
            bytes_skip(&data, (size_t)n);
    }
    return RC_OK;
}

static RC sftp_get(struct ctx *ctx, void *arg, uint8_t *out, size_t n)
{
    struct ssh *s = arg;
    while (n > 0) {
        ssize_t got = lib.libssh2_channel_read_ex_(s->channel, 0, (char *)out, n);
        if (got < 0 && got != LIBSSH2_ERROR_EAGAIN)
            return failed(ctx, s, (int)got, "in the middle of a file");
        if (got == 0 && lib.libssh2_channel_eof_(s->channel)) {
            s->broken = true;
            return ctx_fail(ctx, E_UNREACHABLE,
                            "%s ended the file transfer: does its sshd have the subsystem sftp, and may the user use "
                            "it?",
                            s->peer);
        }
        if (got <= 0) {
            TRY(wait_turn(ctx, s));
        } else {
            out += got;
            n -= (size_t)got;
        }
    }
    return RC_OK;
}

static RC files_open(struct ctx *ctx, struct ssh *s)
{
    TRY(open_channel(ctx, s, &s->channel));
    while (lib.libssh2_channel_handle_extended_data2_(s->channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE) == LIBSSH2_ERROR_EAGAIN)
        TRY(wait_turn(ctx, s));
    DRIVE(ctx, s, "starting SFTP, which its sshd must offer as a subsystem", start(s->channel, "subsystem", "sftp"));
    return sftp_open(ctx, &s->sftp, (struct sftp_io){sftp_put, sftp_get, s});
}

/* An answer that is only half read cannot be followed by another question. */
static RC files_end(struct ssh *s, struct rc rc)
{
    s->broken |= rc.e == E_BAD_ANSWER || rc.e == E_TIMEOUT;
    return rc;
}

static RC files(struct ctx *ctx, struct ssh *s)
{
    TRY(usable(ctx, s));
    begin(ctx, s, FILE_MS);
    if (s->channel != NULL)
        return RC_OK;
    struct rc rc = files_open(ctx, s);
    s->broken |= rc_failed(rc);
    return rc;
}

RC ssh_read(struct ctx *ctx, struct ssh *s, const char *path, size_t max, struct buf *out, bool *found)
{
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(files(ctx, s));
    return files_end(s, sftp_read(ctx, &s->sftp, path, max, out, found));
}

RC ssh_write(struct ctx *ctx, struct ssh *s, const char *path, struct bytes data, int mode)
{
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(files(ctx, s));
    return files_end(s, sftp_write(ctx, &s->sftp, path, data, mode));
}

RC ssh_keep(struct ctx *ctx, struct ssh *s, const char *path, const char *tag)
{
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(files(ctx, s));
    return files_end(s, sftp_keep(ctx, &s->sftp, path, tag));
}

RC ssh_restore(struct ctx *ctx, struct ssh *s, const char *path, const char *tag)
{
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(files(ctx, s));
    return files_end(s, sftp_restore(ctx, &s->sftp, path, tag));
}

/* --- commands */

/* One turn of feeding and reading; *moved says whether anything happened. */
static RC exchange(struct ctx *ctx, struct ssh *s, LIBSSH2_CHANNEL *ch, struct bytes *input, struct buf *out, struct buf *err,
                   bool *moved)
{
    char piece[8192];
    *moved = false;
    if (input->n > 0) {
        ssize_t n = lib.libssh2_channel_write_ex_(ch, 0, (const char *)input->p, input->n);
        if (n == LIBSSH2_ERROR_CHANNEL_CLOSED || n == LIBSSH2_ERROR_CHANNEL_EOF_SENT) {
            input->n = 0; /* the command ended without reading it */
        } else if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) {
            return failed(ctx, s, (int)n, "while a command ran");
        } else if (n > 0) {
            bytes_skip(input, (size_t)n);
            *moved = true;
        }
    }
    for (int stream = 0; stream < 2; stream++) {
        ssize_t n = lib.libssh2_channel_read_ex_(ch, stream == 0 ? 0 : SSH_EXTENDED_DATA_STDERR, piece, sizeof piece);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return failed(ctx, s, (int)n, "while a command ran");
        if (n <= 0)
            continue;
        *moved = true;
        if (stream == 0 && out->n + (size_t)n > SSH_OUTPUT_MAX) {
            s->broken = true;
            return ctx_fail(ctx, E_BAD_ANSWER, "%s: the command says more than %zu bytes", s->peer, SSH_OUTPUT_MAX);
        }
        if (stream == 0)
            buf_put_mem(out, piece, (size_t)n);
        else if (err->n + (size_t)n <= SSH_ERRORS_MAX)
            buf_put_mem(err, piece, (size_t)n);
    }
    wipe(piece, sizeof piece);
    return buf_status(out);
}

static RC converse(struct ctx *ctx, struct ssh *s, LIBSSH2_CHANNEL *ch, struct bytes input, struct buf *out, struct buf *err)
{
    bool said_all = false, moved;
    for (;;) {
        TRY(exchange(ctx, s, ch, &input, out, err, &moved));
        if (input.n == 0 && !said_all) {
            int code = lib.libssh2_channel_send_eof_(ch);
            if (code < 0 && code != LIBSSH2_ERROR_EAGAIN && code != LIBSSH2_ERROR_CHANNEL_CLOSED)
                return failed(ctx, s, code, "while a command ran");
            said_all = code != LIBSSH2_ERROR_EAGAIN;
        }
        if (!moved && lib.libssh2_channel_eof_(ch))
            return RC_OK;
        if (!moved)
            TRY(wait_turn(ctx, s));
        else if (clock_mono_ms() >= s->deadline_ms) /* a flood is not waited for */
            TRY(wait_fd(ctx, s, POLLIN));
    }
}

static RC finish(struct ctx *ctx, struct ssh *s, LIBSSH2_CHANNEL *ch, int *exit)
{
    char *signal = NULL;
    size_t n = 0;
    DRIVE(ctx, s, "after a command", lib.libssh2_channel_close_(ch));
    DRIVE(ctx, s, "after a command", lib.libssh2_channel_wait_closed_(ch));
    *exit = lib.libssh2_channel_get_exit_status_(ch);
    lib.libssh2_channel_get_exit_signal_(ch, &signal, &n, NULL, NULL, NULL, NULL);
    if (signal != NULL) {
        *exit = 128;
        lib.libssh2_free_(s->session, signal);
    }
    return RC_OK;
}

static RC run_in(struct ctx *ctx, struct ssh *s, LIBSSH2_CHANNEL *ch, const char *line, struct bytes input, struct buf *out,
                 struct buf *err, int *exit)
{
    DRIVE(ctx, s, "starting a command", start(ch, "exec", line));
    TRY(converse(ctx, s, ch, input, out, err));
    return finish(ctx, s, ch, exit);
}

RC ssh_run(struct ctx *ctx, struct ssh *s, const char *line, struct bytes input, struct buf *out, struct buf *err, int *exit)
{
    LIBSSH2_CHANNEL *ch;
    if (*line == '\0' || strlen(line) > SSH_LINE_MAX)
        return ctx_fail(ctx, E_INVALID, "a command line must have 1 to %d bytes", SSH_LINE_MAX);
    TRY(usable(ctx, s));
    begin(ctx, s, RUN_MS);
    TRY(open_channel(ctx, s, &ch));
    struct rc rc = run_in(ctx, s, ch, line, input, out, err, exit);
    s->broken |= rc_failed(rc); /* its channel may still be open */
    if (!s->broken)
        for (int i = 0; i < 100 && lib.libssh2_channel_free_(ch) == LIBSSH2_ERROR_EAGAIN; i++)
            if (rc_failed(wait_turn(ctx, s)))
                break;
    return rc;
}

RC ssh_put_word(struct ctx *ctx, struct bytes value, struct buf *out)
{
    bool ok = value.n > 0 && strchr("-@+", value.p[0]) == NULL;
    for (size_t i = 0; i < value.n && ok; i++) {
        uint8_t c = value.p[i];
        ok = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("._-/:@+", c) != NULL);
    }
    if (!ok)
        return ctx_fail(ctx, E_INVALID,
                        "a value for a command line on the host must be one word of letters, digits and ._-/:@+, not "
                        "beginning with -, @ or +");
    buf_put(out, value);
    return buf_status(out);
}
