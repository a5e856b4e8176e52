#include "net/deliver.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/str.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "os/library.h"

#define SETTLE_MS   100 /* how long the other side has to refuse what was sent over a stream */
#define ADDRESS_MAX 254 /* RFC 5321 section 4.5.3.1.3 */
#define LOCAL_MAX   64

#undef curl_easy_setopt
#undef curl_easy_getinfo
#define CURL_FUNCTIONS(X) \
    X(curl_easy_cleanup) \
    X(curl_easy_getinfo) \
    X(curl_easy_init) \
    X(curl_easy_perform) \
    X(curl_easy_recv) \
    X(curl_easy_send) \
    X(curl_easy_setopt) \
    X(curl_easy_strerror) \
    X(curl_global_init_mem) \
    X(curl_slist_append) \
    X(curl_slist_free_all)

static struct {
#define X(f) __typeof__(f) *f##_;
    CURL_FUNCTIONS(X)
#undef X
} lib;

RC deliver_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded;
    static const struct library_function functions[] = {
#define X(f) {#f, (void **)&lib.f##_},
        CURL_FUNCTIONS(X)
#undef X
    };
    pthread_mutex_lock(&lock);
    struct rc rc = loaded ? RC_OK : library_load(ctx, "libcurl.so.4", "libcurl4", functions, sizeof functions / sizeof *functions);
    if (rc_ok(rc) && !loaded) /* for the life of the process, as the HTTP client does for each of its own */
        loaded = lib.curl_global_init_mem_(CURL_GLOBAL_DEFAULT, malloc, wipe_free, wipe_realloc, strdup, calloc) == CURLE_OK;
    pthread_mutex_unlock(&lock);
    return rc_failed(rc) || loaded ? rc : ctx_fail(ctx, E_NO_MEMORY, "no memory for libcurl");
}

/* --- addresses */

static bool is_domain(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        const uint8_t c = b.p[i];
        const bool inner = i > 0 && i + 1 < b.n && b.p[i - 1] != '.';
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && !((c == '-' || c == '.') && inner))
            return false;
    }
    return b.n > 0;
}

bool deliver_is_address(const char *text)
{
    static const char also[] = "!#$%&'*+-/=?^_`{|}~."; /* dot-atom of RFC 5322; quoted ones are nobody's */
    const char *at = strrchr(text, '@');
    const size_t n = at ? (size_t)(at - text) : 0;
    if (n == 0 || n > LOCAL_MAX || strlen(text) > ADDRESS_MAX || text[0] == '.' || text[0] == '-' || text[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && !(c != '\0' && strchr(also, c)))
            return false;
        if (c == '.' && text[i + 1] == '.')
            return false;
    }
    return is_domain(bytes_z(at + 1));
}

/* --- one connection */

struct delivery {
    struct ctx *ctx;
    const struct deliver_to *to;
    const char *where; /* for messages */
    CURL *curl;
    struct curl_slist *recipients;
    struct bytes message;
    struct address refused;
    char last[300]; /* with what words the server refused last */
    char error[CURL_ERROR_SIZE];
};

static void delivery_end(struct delivery *d)
{
    if (d->curl)
        lib.curl_easy_cleanup_(d->curl);
    lib.curl_slist_free_all_(d->recipients);
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
    struct delivery *d = arg;
    struct address a;
    (void)purpose;
    if (!address_from_sockaddr(&sa->addr, &a) || !address_allowed(&a, &d->to->grants)) {
        if (sa->family != AF_UNIX && d->refused.len == 0)
            d->refused = a;
        return CURL_SOCKET_BAD;
    }
    return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

static int look_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t e)
{
    (void)arg, (void)a, (void)b, (void)c, (void)e;
    return http_client_stopped();
}

static size_t take_message(char *to, size_t size, size_t n, void *arg)
{
    struct delivery *d = arg;
    struct bytes piece;
    const size_t most = size * n < d->message.n ? size * n : d->message.n;
    if (!bytes_take(&d->message, most, &piece))
        return 0;
    memcpy(to, piece.p, piece.n);
    return piece.n;
}

static size_t take_line(char *data, size_t size, size_t n, void *arg)
{
    struct delivery *d = arg;
    size_t k = 0;
    if (size * n == 0 || (data[0] != '4' && data[0] != '5'))
        return size * n;
    for (size_t i = 0; i < size * n && k + 1 < sizeof d->last; i++)
        if ((unsigned char)data[i] >= 0x20 && (unsigned char)data[i] < 0x7f)
            d->last[k++] = data[i];
    d->last[k] = '\0';
    return size * n;
}

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

static CURLcode prepare_tls(CURL *curl, void *ssl_ctx, void *arg)
{
    (void)curl, (void)arg;
    tls_cleanse(ssl_ctx);
    return CURLE_OK;
}

static RC begin(struct delivery *d, const char *protocols, const char *url)
{
    const struct deliver_to *to = d->to;
    const int64_t total = ctx_left_ms(d->ctx, to->total_ms > 0 ? to->total_ms : 30000);
    TRY(deliver_load(d->ctx));
    CURL *c = d->curl = lib.curl_easy_init_();
    if (!c)
        return ctx_fail(d->ctx, E_NO_MEMORY, "no memory for a connection");
    if (total <= 0)
        return ctx_fail(d->ctx, E_TIMEOUT, "%s: no time is left", d->where);
    lib.curl_easy_setopt_(c, CURLOPT_NOSIGNAL, 1L);
    lib.curl_easy_setopt_(c, CURLOPT_ERRORBUFFER, d->error);
    lib.curl_easy_setopt_(c, CURLOPT_PROTOCOLS_STR, protocols);
    lib.curl_easy_setopt_(c, CURLOPT_PROXY, "");
    lib.curl_easy_setopt_(c, CURLOPT_URL, url);
    lib.curl_easy_setopt_(c, CURLOPT_TIMEOUT_MS, (long)total);
    lib.curl_easy_setopt_(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(total < 10000 ? total : 10000));
    lib.curl_easy_setopt_(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    lib.curl_easy_setopt_(c, CURLOPT_OPENSOCKETDATA, d);
    lib.curl_easy_setopt_(c, CURLOPT_NOPROGRESS, 0L);
    lib.curl_easy_setopt_(c, CURLOPT_XFERINFOFUNCTION, look_up);
    lib.curl_easy_setopt_(c, CURLOPT_WRITEFUNCTION, ignore);
    lib.curl_easy_setopt_(c, CURLOPT_HEADERFUNCTION, take_line);
    lib.curl_easy_setopt_(c, CURLOPT_HEADERDATA, d);
    lib.curl_easy_setopt_(c, CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
    lib.curl_easy_setopt_(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    lib.curl_easy_setopt_(c, CURLOPT_SSL_ENABLE_ALPN, 0L);
    lib.curl_easy_setopt_(c, CURLOPT_CAPATH, NULL);
    if (to->roots_pem.n) {
        struct curl_blob blob = {.data = (void *)(uintptr_t)to->roots_pem.p, .len = to->roots_pem.n, .flags = CURL_BLOB_NOCOPY};
        lib.curl_easy_setopt_(c, CURLOPT_CAINFO, NULL);
        lib.curl_easy_setopt_(c, CURLOPT_CAINFO_BLOB, &blob);
    }
    return RC_OK;
}

static enum err error_of(CURLcode code)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
        return E_INVALID;
    case CURLE_COULDNT_RESOLVE_HOST:
        return E_DNS;
    case CURLE_COULDNT_CONNECT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        return E_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return E_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return E_NO_MEMORY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return E_TLS;
    default:
        return E_BAD_ANSWER;
    }
}

/* libcurl's words may quote the server: only printable ones go on. */
static const char *words(struct delivery *d, CURLcode code)
{
    if (!*d->error)
        return lib.curl_easy_strerror_(code);
    for (char *c = d->error; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    return d->error;
}

static RC explain(struct delivery *d, CURLcode code)
{
    long status = 0;
    lib.curl_easy_getinfo_(d->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return ctx_fail(d->ctx, E_SHUTTING_DOWN, "%s: given up, for this process is to end", d->where);
    if (d->refused.len && (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT))
        return ctx_wrap(d->ctx, address_check(d->ctx, &d->refused, &d->to->grants), "connecting to %s", d->where);
    if (code == CURLE_USE_SSL_FAILED)
        return ctx_fail(d->ctx, E_TLS, "%s does not begin TLS (STARTTLS), and nothing is sent without", d->where);
    if (code == CURLE_LOGIN_DENIED)
        return ctx_fail(d->ctx, E_BAD_ANSWER, "%s refused the login: %s", d->where, *d->last ? d->last : words(d, code));
    const enum err e = error_of(code); /* that a recipient is refused is CURLE_SEND_ERROR */
    if (status >= 400 && *d->last && (e == E_BAD_ANSWER || (e == E_UNREACHABLE && code != CURLE_COULDNT_CONNECT)))
        return ctx_fail(d->ctx, status < 500 ? E_RATE_LIMITED : E_BAD_ANSWER, "%s says: %s", d->where, d->last);
    return ctx_fail(d->ctx, e, "%s: %s", d->where, words(d, code));
}

static const char *place(struct ctx *ctx, const struct deliver_to *to)
{
    return arena_printf(&ctx->arena, strchr(to->host, ':') ? "[%s]:%d" : "%s:%d", to->host, to->port);
}

/* What stands in a URL as it is. */
static bool is_host(const char *host)
{
    struct address a;
    return address_parse(bytes_z(host), &a) || is_domain(bytes_z(host));
}

/* --- mail */

static RC recipients(struct delivery *d, const struct deliver_mail *mail)
{
    if (mail->to_n == 0)
        return ctx_fail(d->ctx, E_INVALID, "a mail to nobody");
    for (size_t i = 0; i < mail->to_n; i++) {
        if (!deliver_is_address(mail->to[i]))
            return ctx_fail(d->ctx, E_INVALID, "%s is no mail address", mail->to[i]);
        struct curl_slist *longer = lib.curl_slist_append_(d->recipients, arena_printf(&d->ctx->arena, "<%s>", mail->to[i]));
        if (!longer)
            return ctx_fail(d->ctx, E_NO_MEMORY, "no memory for the recipients");
        d->recipients = longer;
    }
    return RC_OK;
}

RC deliver_mail(struct ctx *ctx, const struct deliver_to *to, const struct deliver_mail *mail)
{
    __attribute__((cleanup(delivery_end))) struct delivery d = {
        .ctx = ctx, .to = to, .where = place(ctx, to), .message = mail->message};
    const bool login = mail->user && *mail->user;
    TRY(deliver_load(ctx));
    if (!is_host(to->host) || !is_domain(bytes_z(mail->helo)) || !deliver_is_address(mail->from))
        return ctx_fail(ctx, E_INVALID, "%s, %s and %s must be a host, a host and a mail address", to->host, mail->helo,
                        mail->from);
    if (login && to->tls == DELIVER_PLAIN)
        return ctx_fail(ctx, E_INVALID, "a password is not sent to %s without TLS", d.where);
    const char *scheme = to->tls == DELIVER_TLS ? "smtps" : "smtp";
    TRY(begin(&d, "smtp,smtps", arena_printf(&ctx->arena, "%s://%s/%s", scheme, d.where, mail->helo)));
    TRY(recipients(&d, mail));
    lib.curl_easy_setopt_(d.curl, CURLOPT_USE_SSL, (long)(to->tls == DELIVER_PLAIN ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    lib.curl_easy_setopt_(d.curl, CURLOPT_MAIL_FROM, arena_printf(&ctx->arena, "<%s>", mail->from));
    lib.curl_easy_setopt_(d.curl, CURLOPT_MAIL_RCPT, d.recipients);
    lib.curl_easy_setopt_(d.curl, CURLOPT_UPLOAD, 1L);
    lib.curl_easy_setopt_(d.curl, CURLOPT_READFUNCTION, take_message);
    lib.curl_easy_setopt_(d.curl, CURLOPT_READDATA, &d);
    lib.curl_easy_setopt_(d.curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)mail->message.n);
    if (login) {
        lib.curl_easy_setopt_(d.curl, CURLOPT_USERNAME, mail->user);
        lib.curl_easy_setopt_(d.curl, CURLOPT_PASSWORD, mail->password ? mail->password : "");
    }
    const CURLcode code = lib.curl_easy_perform_(d.curl);
    return code == CURLE_OK ? RC_OK : explain(&d, code);
}

/* --- a stream */

static RC wait_for(struct delivery *d, int fd, short what)
{
    struct pollfd p = {.fd = fd, .events = what};
    const int64_t until = clock_mono_ms() + ctx_left_ms(d->ctx, 15000);
    while (poll(&p, 1, 200) <= 0) {
        if (http_client_stopped())
            return ctx_fail(d->ctx, E_SHUTTING_DOWN, "%s: given up, for this process is to end", d->where);
        if (clock_mono_ms() >= until)
            return ctx_fail(d->ctx, E_TIMEOUT, "%s takes nothing", d->where);
    }
    return RC_OK;
}

/* A server that will not have us says so after the handshake (TLS 1.3), or just ends the connection. */
static RC settle(struct delivery *d, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char said[64];
    size_t n = 0;
    while (poll(&p, 1, SETTLE_MS) > 0) {
        const CURLcode code = lib.curl_easy_recv_(d->curl, said, sizeof said, &n);
        if (code == CURLE_AGAIN)
            return RC_OK; /* a session ticket */
        if (code != CURLE_OK || n == 0)
            return ctx_fail(d->ctx, E_UNREACHABLE, "%s ended the connection while it was sent to: %s", d->where,
                            code == CURLE_OK ? "no reason was given" : words(d, code));
    }
    return RC_OK;
}

RC deliver_stream(struct ctx *ctx, const struct deliver_to *to, struct bytes data)
{
    __attribute__((cleanup(delivery_end))) struct delivery d = {.ctx = ctx, .to = to, .where = place(ctx, to)};
    curl_socket_t fd = -1;
    TRY(deliver_load(ctx));
    if (!is_host(to->host) || to->tls == DELIVER_STARTTLS)
        return ctx_fail(ctx, E_INVALID, "%s is no host to connect to", to->host);
    TRY(begin(&d, "http,https", arena_printf(&ctx->arena, "%s://%s", to->tls == DELIVER_TLS ? "https" : "http", d.where)));
    lib.curl_easy_setopt_(d.curl, CURLOPT_CONNECT_ONLY, 1L); /* nothing of HTTP is said */
    CURLcode code = lib.curl_easy_perform_(d.curl);
    if (code == CURLE_OK)
        code = lib.curl_easy_getinfo_(d.curl, CURLINFO_ACTIVESOCKET, &fd);
    if (code != CURLE_OK)
        return explain(&d, code);
    while (data.n > 0) {
        size_t n = 0;
        code = lib.curl_easy_send_(d.curl, data.p, data.n, &n);
        if (code == CURLE_AGAIN)
            TRY(wait_for(&d, fd, POLLOUT));
        else if (code != CURLE_OK)
            return explain(&d, code);
        bytes_skip(&data, n);
    }
    return settle(&d, fd);
}
