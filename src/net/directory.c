#include "net/directory.h"

#include <errno.h>
#include <ldap.h>
#include <openldap.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/uri.h"
#include "net/dns.h"
#include "net/tls_internal.h"
#include "os/library.h"

#define CONNECT_MS 5000 /* one address that is silent leaves time for the next */

#define LDAP_FUNCTIONS(X)                                                                                                          \
    X(ldap_init_fd)                                                                                                                \
    X(ldap_set_option)                                                                                                             \
    X(ldap_get_option)                                                                                                             \
    X(ldap_unbind_ext)                                                                                                             \
    X(ldap_start_tls)                                                                                                              \
    X(ldap_result)                                                                                                                 \
    X(ldap_parse_result)                                                                                                           \
    X(ldap_sasl_bind)                                                                                                              \
    X(ldap_search_ext)                                                                                                             \
    X(ldap_abandon_ext)                                                                                                            \
    X(ldap_first_entry)                                                                                                            \
    X(ldap_next_entry)                                                                                                             \
    X(ldap_get_dn)                                                                                                                 \
    X(ldap_get_values_len)                                                                                                         \
    X(ldap_value_free_len)                                                                                                         \
    X(ldap_count_values_len)                                                                                                       \
    X(ldap_msgfree)                                                                                                                \
    X(ldap_memfree)                                                                                                                \
    X(ldap_err2string)                                                                                                             \
    X(ldap_control_find)                                                                                                           \
    X(ldap_control_free)                                                                                                           \
    X(ldap_controls_free)                                                                                                          \
    X(ldap_create_passwordpolicy_control)                                                                                          \
    X(ldap_parse_passwordpolicy_control)                                                                                           \
    X(ldap_passwordpolicy_err2txt)                                                                                                 \
    X(ldap_str2dn)                                                                                                                 \
    X(ldap_dn2str)                                                                                                                 \
    X(ldap_dnfree)
#define LBER_FUNCTIONS(X)                                                                                                          \
    X(ber_sockbuf_add_io)                                                                                                          \
    X(ber_sockbuf_ctrl)

static struct {
#define X(f) __typeof__(f) *f##_;
    LDAP_FUNCTIONS(X)
    LBER_FUNCTIONS(X)
#undef X
    bool loaded;
} lib;

/* --- loading */

static struct rc load_both(struct ctx *ctx)
{
    static const struct library_function of_ldap[] = {
#define X(f) {#f, (void **)&lib.f##_},
        LDAP_FUNCTIONS(X)
#undef X
    };
    static const struct library_function of_lber[] = {
#define X(f) {#f, (void **)&lib.f##_},
        LBER_FUNCTIONS(X)
#undef X
    };
    const size_t ldap_n = sizeof of_ldap / sizeof *of_ldap, lber_n = sizeof of_lber / sizeof *of_lber;
    const char *const others[][2] = {{"libldap.so.2", "liblber.so.2"}, {"libldap_r-2.4.so.2", "liblber-2.4.so.2"}};
    struct rc rc = library_load(ctx, "libldap-2.5.so.0", "libldap-2.5-0", of_ldap, ldap_n);
    if (rc_ok(rc))
        return library_load(ctx, "liblber-2.5.so.0", "libldap-2.5-0", of_lber, lber_n);
    for (size_t i = 0; i < sizeof others / sizeof *others && rc_failed(rc); i++) { /* releases 2.6 and 2.4 */
        ctx_forget(ctx);
        rc = library_load(ctx, others[i][0], "libldap2", of_ldap, ldap_n);
        if (rc_ok(rc))
            rc = library_load(ctx, others[i][1], "libldap2", of_lber, lber_n);
    }
    return rc;
}

void directory_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!lib.loaded) {
        setenv("LDAPNOINIT", "1", 1); /* what ldap.conf and the environment say is not for us */
        lib.loaded = rc_ok(load_both(ctx));
        ctx_forget(ctx);
    }
    pthread_mutex_unlock(&lock);
}

/* --- addresses */

RC directory_server_read(struct ctx *ctx, const char *url, struct directory_server *out)
{
    const struct bytes text = bytes_z(url);
    const bool tls = bytes_starts_with(text, BYTES_LIT("ldaps://"));
    struct bytes rest = text;
    if ((!tls && !bytes_starts_with(text, BYTES_LIT("ldap://"))) || !bytes_skip(&rest, tls ? 8 : 7))
        return ctx_fail(ctx, E_INVALID, "%s does not begin with ldaps:// or ldap://", url);
    if (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    *out = (struct directory_server){.tls = tls, .usual = tls ? 636 : 389};
    return address_parse_host_port(ctx, rest, out->usual, &out->host, &out->port);
}

void directory_filter_put(struct buf *b, struct bytes value)
{
    for (size_t i = 0; i < value.n; i++) {
        const uint8_t c = value.p[i];
        if (c < 0x20 || c >= 0x7f || strchr("*()\\", c))
            buf_printf(b, "\\%02x", c);
        else
            buf_put_u8(b, c);
    }
}

/* --- the connection: bytes and time are counted here */

struct directory {
    int fd;
    SSL *ssl; /* NULL: not yet */
    LDAP *ld;
    const char *peer;
    int64_t deadline_ms;
    size_t received;
    const char *why; /* the connection is broken, in words */
};

static bool ready(struct directory *d, short events, int64_t until_ms)
{
    for (;;) {
        const int64_t left = until_ms - clock_mono_ms();
        struct pollfd fd = {.fd = d->fd, .events = events};
        const int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (n > 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        d->why = n == 0 ? "does not answer in time" : "cannot be heard";
        errno = ETIMEDOUT;
        return false;
    }
}

static ber_slen_t broken(struct directory *d, const char *why)
{
    if (!d->why)
        d->why = why;
    errno = ECONNRESET;
    return -1;
}

/* What OpenSSL waits for; false: nothing more comes of it. */
static bool again(struct directory *d, int n)
{
    const int e = SSL_get_error(d->ssl, n);
    return (e == SSL_ERROR_WANT_READ && ready(d, POLLIN, d->deadline_ms)) ||
           (e == SSL_ERROR_WANT_WRITE && ready(d, POLLOUT, d->deadline_ms));
}

static ber_slen_t io_read(Sockbuf_IO_Desc *io, void *p, ber_len_t n)
{
    struct directory *d = io->sbiod_pvt;
    const int most = n < 65536 ? (int)n : 65536;
    int got;
    if (d->received >= DIRECTORY_BYTES_MAX)
        return broken(d, "says more than is listened to");
    if (d->ssl) {
        ERR_clear_error();
        while ((got = SSL_read(d->ssl, p, most)) <= 0 && again(d, got))
            ;
        ERR_clear_error();
    } else {
        while ((got = (int)recv(d->fd, p, (size_t)most, 0)) < 0 && (errno == EAGAIN || errno == EINTR) &&
               ready(d, POLLIN, d->deadline_ms))
            ;
    }
    if (got <= 0)
        return broken(d, "closed the connection");
    d->received += (size_t)got;
    return got;
}

static ber_slen_t io_write(Sockbuf_IO_Desc *io, void *p, ber_len_t n)
{
    struct directory *d = io->sbiod_pvt;
    const int most = n < 65536 ? (int)n : 65536;
    int sent;
    if (d->ssl) {
        ERR_clear_error();
        while ((sent = SSL_write(d->ssl, p, most)) <= 0 && again(d, sent))
            ;
        ERR_clear_error();
    } else {
        while ((sent = (int)send(d->fd, p, (size_t)most, MSG_NOSIGNAL)) < 0 && (errno == EAGAIN || errno == EINTR) &&
               ready(d, POLLOUT, d->deadline_ms))
            ;
    }
    if (sent <= 0)
        return broken(d, "closed the connection");
    wipe(p, (size_t)sent); /* libldap's own copy of the password: it gives that back as it is, and reads it no more */
    return sent;
}

static int io_setup(Sockbuf_IO_Desc *io, void *arg)
{
    io->sbiod_pvt = arg;
    return 0;
}

static int io_nothing(Sockbuf_IO_Desc *io)
{
    (void)io;
    return 0;
}

static int io_ctrl(Sockbuf_IO_Desc *io, int option, void *arg)
{
    const struct directory *d = io->sbiod_pvt;
    (void)arg;
    return option == LBER_SB_OPT_DATA_READY ? d->ssl && SSL_pending(d->ssl) > 0 : 0;
}

static const Sockbuf_IO ours = {io_setup, io_nothing, io_ctrl, io_read, io_write, io_nothing};

static struct rc connect_to(struct ctx *ctx, struct directory *d, const struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t n = address_to_sockaddr(a, &sa), error_n = sizeof(int);
    int error = 0;
    const int64_t until = clock_mono_ms() + CONNECT_MS;
    d->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return ctx_fail_errno(ctx, "making a socket");
    if (connect(d->fd, (struct sockaddr *)&sa, n) == 0)
        return RC_OK;
    if (errno == EINPROGRESS && ready(d, POLLOUT, until < d->deadline_ms ? until : d->deadline_ms)) {
        if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &error_n) == 0 && error == 0)
            return RC_OK;
        errno = error ? error : errno;
    }
    return ctx_fail(ctx, E_UNREACHABLE, "connecting to %s: %s", address_port_str(&ctx->arena, a), strerrordesc_np(errno));
}

/* The guard is asked with the very address that is connected to. */
static struct rc connect_any(struct ctx *ctx, struct directory *d, const struct directory_server *s,
                             const struct address_grants *grants)
{
    struct dns_answer found;
    struct rc rc = RC_OK;
    TRY(dns_resolve(ctx, s->host, s->port, &found));
    for (size_t i = 0; i < found.n; i++) {
        ctx_forget(ctx);
        rc = address_check(ctx, &found.v[i], grants);
        if (rc_ok(rc))
            rc = connect_to(ctx, d, &found.v[i]);
        if (rc_ok(rc) || clock_mono_ms() >= d->deadline_ms)
            return rc;
        if (d->fd >= 0)
            close(d->fd);
        d->fd = -1;
        d->why = NULL;
    }
    return rc;
}

static struct rc handshake(struct ctx *ctx, struct directory *d, const struct directory_server *s, const struct tls_trust *trust)
{
    __attribute__((cleanup(tls_ctx_freep))) SSL_CTX *settings = SSL_CTX_new(TLS_client_method());
    struct address literal;
    if (!settings || SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set1_verify_cert_store(settings, trust->store) != 1 || !(d->ssl = SSL_new(settings)))
        return tls_fail(ctx, E_NO_MEMORY, "preparing TLS");
    tls_cleanse(settings);
    SSL_set_verify(d->ssl, SSL_VERIFY_PEER, NULL);
    const bool is_address = address_parse(bytes_z(s->host), &literal);
    X509_VERIFY_PARAM *want = SSL_get0_param(d->ssl);
    X509_VERIFY_PARAM_set_hostflags(want, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if ((is_address ? X509_VERIFY_PARAM_set1_ip_asc(want, s->host) : X509_VERIFY_PARAM_set1_host(want, s->host, 0)) != 1 ||
        (!is_address && SSL_set_tlsext_host_name(d->ssl, s->host) != 1) || SSL_set_fd(d->ssl, d->fd) != 1)
        return tls_fail(ctx, E_NO_MEMORY, "preparing TLS");
    int n;
    ERR_clear_error();
    while ((n = SSL_connect(d->ssl)) <= 0 && again(d, n))
        ;
    if (n == 1)
        return RC_OK;
    const long verdict = SSL_get_verify_result(d->ssl);
    if (verdict != X509_V_OK) {
        ERR_clear_error();
        return ctx_fail(ctx, E_TLS, "the certificate of %s is not one to be trusted: %s", d->peer,
                        X509_verify_cert_error_string(verdict));
    }
    return d->why ? ctx_fail(ctx, E_UNREACHABLE, "%s %s", d->peer, d->why)
                  : tls_fail(ctx, E_TLS, arena_printf(&ctx->arena, "the handshake with %s", d->peer));
}

/* --- what it answers */

static const char *words(struct ctx *ctx, const char *text)
{
    char *out = arena_printf(&ctx->arena, "%.600s", text);
    for (char *p = out; *p; p++)
        *p = (uint8_t)*p < 0x20 || (uint8_t)*p > 0x7e ? ' ' : *p;
    return out;
}

/* Active Directory puts why somebody is not let in into the diagnostic, as a number. */
static const char *active_directory(const char *text)
{
    static const struct {
        const char *data, *means;
    } rows[] = {{"data 525,", ": there is nobody of this name"},
                {"data 52e,", ": name or password are wrong"},
                {"data 530,", ": not at this time"},
                {"data 531,", ": not from this host"},
                {"data 532,", ": the password has expired"},
                {"data 533,", ": the account is disabled"},
                {"data 568,", ": in too many groups"},
                {"data 701,", ": the account has expired"},
                {"data 773,", ": the password has to be changed first"},
                {"data 775,", ": the account is locked"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strstr(text, rows[i].data))
            return rows[i].means;
    return "";
}

static struct rc said(struct ctx *ctx, const struct directory *d, enum err e, int code, const char *diagnostic)
{
    const char *more = diagnostic && *diagnostic ? words(ctx, diagnostic) : "";
    if (d->why)
        return ctx_fail(ctx, E_UNREACHABLE, "%s %s", d->peer, d->why);
    return ctx_fail(ctx, e, "%s says: %s (%d)%s%s%s", d->peer, lib.ldap_err2string_(code), code, *more ? ": " : "", more,
                    active_directory(more));
}

static enum err err_of(int code)
{
    switch (code) {
    case LDAP_TIMEOUT:
        return E_TIMEOUT;
    case LDAP_SERVER_DOWN:
    case LDAP_CONNECT_ERROR:
    case LDAP_BUSY:
    case LDAP_UNAVAILABLE:
        return E_UNREACHABLE;
    case LDAP_FILTER_ERROR:
        return E_INVALID;
    default:
        return E_BAD_ANSWER;
    }
}

static int code_of(const struct directory *d)
{
    int code = LDAP_SERVER_DOWN;
    lib.ldap_get_option_(d->ld, LDAP_OPT_RESULT_CODE, &code);
    return code ? code : LDAP_SERVER_DOWN;
}

/* Waits for all of an answer; the caller frees it. */
static struct rc answer(struct ctx *ctx, struct directory *d, int id, LDAPMessage **out)
{
    const int64_t left = d->deadline_ms - clock_mono_ms();
    struct timeval most = {.tv_sec = left > 0 ? left / 1000 : 0, .tv_usec = left > 0 ? left % 1000 * 1000 : 1};
    const int kind = lib.ldap_result_(d->ld, id, LDAP_MSG_ALL, &most, out);
    if (kind > 0)
        return RC_OK;
    if (kind == 0)
        return ctx_fail(ctx, E_TIMEOUT, "%s does not answer in time", d->peer);
    return said(ctx, d, E_UNREACHABLE, code_of(d), NULL);
}

/* --- opening */

static struct rc start_tls(struct ctx *ctx, struct directory *d)
{
    LDAPMessage *m = NULL;
    char *diagnostic = NULL;
    int id = 0, code = lib.ldap_start_tls_(d->ld, NULL, NULL, &id);
    if (code != LDAP_SUCCESS)
        return said(ctx, d, E_UNREACHABLE, code, NULL);
    TRY(answer(ctx, d, id, &m));
    const int parsed = lib.ldap_parse_result_(d->ld, m, &code, NULL, &diagnostic, NULL, NULL, 1);
    struct rc rc = parsed == LDAP_SUCCESS && code == LDAP_SUCCESS
                       ? RC_OK
                       : ctx_wrap(ctx, said(ctx, d, E_TLS, parsed ? parsed : code, diagnostic), "StartTLS");
    lib.ldap_memfree_(diagnostic);
    return rc;
}

static struct rc prepare(struct ctx *ctx, struct directory *d, const struct directory_server *s, const struct tls_trust *trust)
{
    Sockbuf *sb = NULL;
    const int version = LDAP_VERSION3;
    ber_len_t most = DIRECTORY_MESSAGE_MAX;
    if (lib.ldap_init_fd_(d->fd, LDAP_PROTO_EXT, "ldap://directory", &d->ld) != LDAP_SUCCESS || !d->ld)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to speak LDAP");
    if (lib.ldap_get_option_(d->ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS || !sb ||
        lib.ber_sockbuf_add_io_(sb, (Sockbuf_IO *)(uintptr_t)&ours, LBER_SBIOD_LEVEL_PROVIDER, d) != 0 ||
        lib.ber_sockbuf_ctrl_(sb, LBER_SB_OPT_SET_MAX_INCOMING, &most) < 0 ||
        lib.ldap_set_option_(d->ld, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
        lib.ldap_set_option_(d->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS)
        return ctx_fail(ctx, E_BUG, "libldap does not take its settings");
    if (!s->tls)
        TRY(start_tls(ctx, d));
    d->received = 0;
    return handshake(ctx, d, s, trust);
}

RC directory_open(struct ctx *ctx, const struct directory_server *server, const struct tls_trust *trust,
                  const struct address_grants *grants, int64_t deadline_ms, struct directory **out)
{
    if (!lib.loaded)
        return ctx_fail(ctx, E_UNSUPPORTED,
                        "libldap was not there when this agent started; install it with: apt install "
                        "libldap-2.5-0, and start the agent anew");
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a connection");
    d->fd = -1;
    d->deadline_ms = deadline_ms;
    d->peer = arena_printf(&ctx->arena, "%s:%u", server->host, server->port);
    struct rc rc = connect_any(ctx, d, server, grants);
    if (rc_ok(rc))
        rc = prepare(ctx, d, server, trust);
    if (rc_ok(rc))
        *out = d;
    else
        directory_close(d);
    return rc;
}

void directory_close(struct directory *d)
{
    if (!d)
        return;
    if (d->ld)
        lib.ldap_unbind_ext_(d->ld, NULL, NULL);
    SSL_free(d->ssl);
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

/* --- binding */

/* What its password policy says, where it says anything (draft-behera-ldap-password-policy). */
static LDAPPasswordPolicyError policy_of(const struct directory *d, LDAPControl **controls)
{
    LDAPPasswordPolicyError error = PP_noError;
    ber_int_t expires = 0, grace = 0;
    LDAPControl *c = controls ? lib.ldap_control_find_(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, NULL) : NULL;
    return c && lib.ldap_parse_passwordpolicy_control_(d->ld, c, &expires, &grace, &error) == LDAP_SUCCESS ? error : PP_noError;
}

static struct rc bound(struct ctx *ctx, const struct directory *d, LDAPMessage *m)
{
    LDAPControl **controls = NULL;
    char *diagnostic = NULL;
    int code = LDAP_OTHER;
    const int parsed = lib.ldap_parse_result_(d->ld, m, &code, NULL, &diagnostic, NULL, &controls, 1);
    const LDAPPasswordPolicyError policy = parsed == LDAP_SUCCESS ? policy_of(d, controls) : PP_noError;
    const char *more = policy != PP_noError ? lib.ldap_passwordpolicy_err2txt_(policy) : diagnostic;
    const bool no = code == LDAP_INVALID_CREDENTIALS || code == LDAP_NO_SUCH_OBJECT || code == LDAP_INSUFFICIENT_ACCESS ||
                    code == LDAP_INAPPROPRIATE_AUTH || code == LDAP_UNWILLING_TO_PERFORM || code == LDAP_CONSTRAINT_VIOLATION;
    struct rc rc = RC_OK;
    if (parsed != LDAP_SUCCESS || code != LDAP_SUCCESS)
        rc = said(ctx, d, no ? E_UNAUTHENTICATED : err_of(code), parsed ? parsed : code, more);
    else if (policy == PP_changeAfterReset || policy == PP_passwordExpired || policy == PP_accountLocked)
        rc = ctx_fail(ctx, E_UNAUTHENTICATED, "%s says: %s", d->peer, words(ctx, more));
    lib.ldap_memfree_(diagnostic);
    lib.ldap_controls_free_(controls);
    return rc;
}

RC directory_bind(struct ctx *ctx, struct directory *d, const char *dn, const struct secret *password)
{
    LDAPMessage *m = NULL;
    LDAPControl *policy = NULL;
    int id = 0;
    const struct bytes text = secret_use(password);
    if (!*dn || text.n == 0)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "without a name and a password nothing is proved");
    if (lib.ldap_create_passwordpolicy_control_(d->ld, &policy) != LDAP_SUCCESS)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to speak LDAP");
    policy->ldctl_iscritical = 0;
    LDAPControl *controls[] = {policy, NULL};
    struct berval value = {.bv_len = text.n, .bv_val = (char *)(uintptr_t)text.p};
    const int code = lib.ldap_sasl_bind_(d->ld, dn, LDAP_SASL_SIMPLE, &value, controls, NULL, &id);
    lib.ldap_control_free_(policy);
    if (code != LDAP_SUCCESS)
        return said(ctx, d, err_of(code), code, NULL);
    TRY(answer(ctx, d, id, &m));
    return bound(ctx, d, m);
}

/* --- looking */

static struct rc values_of(struct ctx *ctx, const struct directory *d, LDAPMessage *entry, struct directory_attribute *out)
{
    struct berval **v = lib.ldap_get_values_len_(d->ld, entry, out->name);
    const int n = v ? lib.ldap_count_values_len_(v) : 0;
    if (n > DIRECTORY_VALUES_MAX) {
        lib.ldap_value_free_len_(v);
        return ctx_fail(ctx, E_TOO_LARGE, "%s has more than %d values of %s", d->peer, DIRECTORY_VALUES_MAX, out->name);
    }
    out->v = arena_array(&ctx->arena, (size_t)n + 1, sizeof *out->v);
    for (int i = 0; i < n; i++)
        if (v[i]->bv_len <= DIRECTORY_VALUE_MAX)
            out->v[out->n++] = arena_bytes(&ctx->arena, bytes_of(v[i]->bv_val, v[i]->bv_len));
    if (v)
        lib.ldap_value_free_len_(v);
    return RC_OK;
}

static struct rc entry_read(struct ctx *ctx, const struct directory *d, LDAPMessage *m, const char *const *attributes, size_t n,
                            struct directory_entry *out)
{
    char *dn = lib.ldap_get_dn_(d->ld, m);
    if (!dn)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s gives an entry without a name", d->peer);
    out->dn = arena_strdup(&ctx->arena, dn);
    lib.ldap_memfree_(dn);
    out->attributes = arena_array(&ctx->arena, n + 1, sizeof *out->attributes);
    for (size_t i = 0; i < n; i++) {
        out->attributes[i].name = attributes[i];
        TRY(values_of(ctx, d, m, &out->attributes[i]));
    }
    return RC_OK;
}

static struct rc entries_read(struct ctx *ctx, const struct directory *d, LDAPMessage *all, const char *const *attributes,
                              size_t attributes_n, size_t most, struct directory_entry **out, size_t *n)
{
    char *diagnostic = NULL;
    int code = LDAP_OTHER;
    const int parsed = lib.ldap_parse_result_(d->ld, all, &code, NULL, &diagnostic, NULL, NULL, 0);
    struct rc rc = RC_OK;
    if (parsed != LDAP_SUCCESS || (code != LDAP_SUCCESS && code != LDAP_SIZELIMIT_EXCEEDED && code != LDAP_NO_SUCH_OBJECT))
        rc = said(ctx, d, err_of(code), parsed ? parsed : code, diagnostic);
    lib.ldap_memfree_(diagnostic);
    TRY(rc);
    *out = arena_array(&ctx->arena, most + 1, sizeof **out);
    for (LDAPMessage *m = lib.ldap_first_entry_(d->ld, all); m; m = lib.ldap_next_entry_(d->ld, m)) {
        if (*n == most || code == LDAP_SIZELIMIT_EXCEEDED)
            return ctx_fail(ctx, E_TOO_LARGE, "%s has more than %zu entries that fit", d->peer, most);
        TRY(entry_read(ctx, d, m, attributes, attributes_n, &(*out)[(*n)++]));
    }
    return RC_OK;
}

RC directory_find(struct ctx *ctx, struct directory *d, const char *base, const char *filter, const char *const *attributes,
                  size_t attributes_n, size_t most, struct directory_entry **out, size_t *n)
{
    LDAPMessage *all = NULL;
    int id = 0;
    const char **wanted = arena_array(&ctx->arena, attributes_n + 2, sizeof *wanted);
    memcpy(wanted, attributes, attributes_n * sizeof *wanted);
    if (!attributes_n)
        wanted[0] = LDAP_NO_ATTRS;
    *n = 0;
    const int code = lib.ldap_search_ext_(d->ld, base, LDAP_SCOPE_SUBTREE, filter, (char **)(uintptr_t)wanted, 0, NULL, NULL, NULL,
                                          (int)most + 1, &id);
    if (code == LDAP_FILTER_ERROR)
        return ctx_fail(ctx, E_INVALID, "%s is not a filter (RFC 4515)", words(ctx, filter));
    if (code != LDAP_SUCCESS)
        return said(ctx, d, err_of(code), code, NULL);
    TRY(answer(ctx, d, id, &all));
    struct rc rc = entries_read(ctx, d, all, attributes, attributes_n, most, out, n);
    lib.ldap_msgfree_(all);
    return rc;
}

const char *directory_name_plain(struct ctx *ctx, const char *dn)
{
    LDAPDN parts = NULL;
    char *text = NULL, *out = NULL;
    if (!lib.loaded || lib.ldap_str2dn_(dn, &parts, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS)
        return NULL;
    if (lib.ldap_dn2str_(parts, &text, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && text) {
        out = arena_strdup(&ctx->arena, text);
        for (char *p = out; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    lib.ldap_memfree_(text);
    lib.ldap_dnfree_(parts);
    return out;
}
