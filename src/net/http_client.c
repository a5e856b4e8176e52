#include "net/http_client.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/str.h"
#include "base/uri.h"
#include "net/tls.h"
#include "os/library.h"

#define RETRY_AFTER_MOST_S ((int64_t)365 * 86400)
#define LINKS_MAX          32
#define HEADERS_MAX        200

#undef curl_easy_setopt
#undef curl_easy_getinfo
#define CURL_FUNCTIONS(X) \
    X(curl_easy_cleanup) \
    X(curl_easy_getinfo) \
    X(curl_easy_init) \
    X(curl_easy_perform) \
    X(curl_easy_reset) \
    X(curl_easy_setopt) \
    X(curl_easy_strerror) \
    X(curl_free) \
    X(curl_global_cleanup) \
    X(curl_global_init_mem) \
    X(curl_slist_append) \
    X(curl_slist_free_all) \
    X(curl_url) \
    X(curl_url_cleanup) \
    X(curl_url_get) \
    X(curl_url_set)

/* libcurl, loaded by http_client_load(): what is called below is in this table. */
static struct {
#define X(f) __typeof__(f) *f##_;
    CURL_FUNCTIONS(X)
#undef X
} lib;
#define curl_easy_cleanup lib.curl_easy_cleanup_
#define curl_easy_getinfo lib.curl_easy_getinfo_
#define curl_easy_init lib.curl_easy_init_
#define curl_easy_perform lib.curl_easy_perform_
#define curl_easy_reset lib.curl_easy_reset_
#define curl_easy_setopt lib.curl_easy_setopt_
#define curl_easy_strerror lib.curl_easy_strerror_
#define curl_free lib.curl_free_
#define curl_global_cleanup lib.curl_global_cleanup_
#define curl_global_init_mem lib.curl_global_init_mem_
#define curl_slist_append lib.curl_slist_append_
#define curl_slist_free_all lib.curl_slist_free_all_
#define curl_url lib.curl_url_
#define curl_url_cleanup lib.curl_url_cleanup_
#define curl_url_get lib.curl_url_get_
#define curl_url_set lib.curl_url_set_

struct handle {
    struct handle *next;
    CURL *curl;
};

struct http_client {
    struct arena arena; /* the copies of the configuration; read only after http_client_new */
    struct http_client_config config;
    struct bytes certificate_pem;
    struct secret key_pem;
    struct tls_dates dates;
    pthread_mutex_t lock; /* of the idle handles */
    struct handle *idle;
    unsigned idle_n;
};

/* One hop: what libcurl's callbacks write to. */
struct hop {
    struct ctx *ctx;
    const struct http_client *client;
    const struct http_call *call;
    struct http_headers headers;
    size_t head_n;
    unsigned sent; /* how often the request went out */
    bool cut;      /* it would have gone out a second time */
    struct buf body;
    struct address refused; /* the first address that the guard refused */
    const char *bad;        /* why the answer is not acceptable, static text */
};

/* ---- clients ---- */

RC http_client_load(struct ctx *ctx)
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
    loaded = rc_ok(rc);
    pthread_mutex_unlock(&lock);
    return rc;
}

RC http_client_new(struct ctx *ctx, const struct http_client_config *config, struct http_client **out)
{
    TRY(http_client_load(ctx));
    struct http_client *c = calloc(1, sizeof *c);
    if (!c || curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_free, wipe_realloc, strdup, calloc) != CURLE_OK) {
        free(c);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for an HTTP client");
    }
    c->config = *config;
    c->config.user_agent = arena_strdup(&c->arena, config->user_agent ? config->user_agent : "certwright");
    c->config.ca_file = arena_strdup(&c->arena, config->ca_file);
    c->dates = (struct tls_dates){ctx->clock, config->date_grace_s};
    c->config.unix_socket = arena_strdup(&c->arena, config->unix_socket);
    c->config.roots_pem = arena_bytes(&c->arena, config->roots_pem);
    if (config->grants.n)
        c->config.grants.v = arena_dup(&c->arena, config->grants.v, config->grants.n * sizeof *config->grants.v);
    if (!c->config.idle_handles)
        c->config.idle_handles = 4;
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return RC_OK;
}

RC http_client_set_certificate(struct ctx *ctx, struct http_client *client, struct bytes chain_pem, struct bytes key_pem)
{
    secret_free(&client->key_pem);
    client->certificate_pem = arena_bytes(&client->arena, chain_pem);
    return secret_from(ctx, &client->key_pem, key_pem);
}

static void handle_free(struct handle *h)
{
    curl_easy_cleanup(h->curl);
    free(h);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    while (c->idle) {
        struct handle *next = c->idle->next;
        handle_free(c->idle);
        c->idle = next;
    }
    secret_free(&c->key_pem);
    pthread_mutex_destroy(&c->lock);
    arena_free(&c->arena);
    free(c);
    curl_global_cleanup();
}

static struct handle *handle_take(struct http_client *c)
{
    pthread_mutex_lock(&c->lock);
    struct handle *h = c->idle;
    if (h) {
        c->idle = h->next;
        c->idle_n--;
    }
    pthread_mutex_unlock(&c->lock);
    if (h)
        return h;
    h = calloc(1, sizeof *h);
    if (h && !(h->curl = curl_easy_init())) {
        free(h);
        h = NULL;
    }
    return h;
}

static void handle_give(struct http_client *c, struct handle *h)
{
    /* Callbacks and pointers of this call go; open connections stay. */
    curl_easy_reset(h->curl);
    pthread_mutex_lock(&c->lock);
    bool keep = c->idle_n < c->config.idle_handles;
    if (keep) {
        h->next = c->idle;
        c->idle = h;
        c->idle_n++;
    }
    pthread_mutex_unlock(&c->lock);
    if (!keep)
        handle_free(h);
}

/* ---- callbacks ---- */

static bool granted(const struct address_grants *grants, const struct address *a)
{
    for (size_t i = 0; i < grants->n; i++)
        if (cidr_has(&grants->v[i], a))
            return true;
    return false;
}

static bool may_reach(const struct http_client_config *config, const struct address *a)
{
    return address_allowed(a, &config->grants) &&
           (!config->web_ports || a->port == 80 || a->port == 443 || granted(&config->grants, a));
}

/* The guard: asked with the very address that the socket is made for. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
    struct hop *hop = arg;
    struct address a;
    (void)purpose;
    bool allowed = hop->client->config.unix_socket
                       ? sa->family == AF_UNIX
                       : address_from_sockaddr(&sa->addr, &a) && may_reach(&hop->client->config, &a);
    if (!allowed) {
        if (hop->refused.len == 0 && sa->family != AF_UNIX)
            hop->refused = a;
        return CURL_SOCKET_BAD;
    }
    return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

/* libcurl sends a request again where a connection that was kept ends before the answer begins. */
static int before_request(void *arg, char *primary, char *local, int primary_port, int local_port)
{
    struct hop *hop = arg;
    (void)primary, (void)local, (void)primary_port, (void)local_port;
    const unsigned most = hop->call->ntlm_user ? 3 : 1; /* of which the last alone has the body */
    if (hop->sent++ < most || !hop->call->once)
        return CURL_PREREQFUNC_OK;
    hop->cut = true;
    return CURL_PREREQFUNC_ABORT;
}

static atomic_bool stopped;

void http_client_stop(void) { atomic_store(&stopped, true); }

bool http_client_stopped(void) { return atomic_load(&stopped); }

static int look_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)arg, (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&stopped); /* called at least every second */
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct hop *hop = arg;
    (void)size;
    buf_put_mem(&hop->body, data, n);
    if (rc_ok(buf_status(&hop->body)))
        return n;
    hop->bad = "the answer is larger than allowed";
    return 0;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    struct hop *hop = arg;
    struct arena *arena = &hop->ctx->arena;
    struct bytes line = bytes_of(data, n);
    (void)size;
    hop->head_n += n;
    if (hop->head_n > (hop->call->head_max ? hop->call->head_max : (size_t)64 << 10) || hop->headers.n == HEADERS_MAX) {
        hop->bad = "the answer's headers are larger than allowed";
        return 0;
    }
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (bytes_starts_with(line, BYTES_LIT("HTTP/"))) {
        hop->headers.n = 0; /* of an interim answer */
        return n;
    }
    size_t colon = bytes_find(line, BYTES_LIT(":"));
    if (colon == SIZE_MAX)
        return n;
    char *name = str_z(arena, bytes_of(line.p, colon));
    const char *value = str_z(arena, bytes_trim(bytes_of(line.p + colon + 1, line.n - colon - 1)));
    if (!name || !value) {
        hop->bad = "a header of the answer holds NUL";
        return 0;
    }
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    http_headers_add(arena, &hop->headers, name, value);
    return n;
}

/* ---- one hop ---- */

static void slist_freep(struct curl_slist **l)
{
    curl_slist_free_all(*l);
}

static bool is_one_line(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 && *s != '\t')
            return false;
    return true;
}

static bool slist_add(struct curl_slist **l, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*l, line);
    if (longer)
        *l = longer;
    return longer != NULL;
}

/* Headers that tell who we are stay with the origin they were meant for. */
static bool is_private(const char *name)
{
    return strcasecmp(name, "authorization") == 0 || strcasecmp(name, "cookie") == 0;
}

static struct rc build_headers(struct ctx *ctx, const struct http_call *call, bool same_origin, struct curl_slist **out)
{
    bool typed = false, ok = slist_add(out, "Expect:");
    for (size_t i = 0; i < call->headers_n; i++) {
        const struct http_header *h = &call->headers[i];
        if (!is_one_line(h->name) || !is_one_line(h->value) || strpbrk(h->name, ": ;") || !*h->name)
            return ctx_fail(ctx, E_INVALID, "a header to be sent holds control characters");
        typed = typed || strcasecmp(h->name, "content-type") == 0;
        if (same_origin || !is_private(h->name)) /* "Name;" is libcurl's way to send an empty value */
            ok = ok && slist_add(out, arena_printf(&ctx->arena, *h->value ? "%s: %s" : "%s;", h->name, h->value));
    }
    if (!typed)
        ok = ok && slist_add(out, "Content-Type:");
    return ok ? RC_OK : ctx_fail(ctx, E_NO_MEMORY, "no memory for the headers of a request");
}

static void set_method(CURL *curl, const struct http_call *call)
{
    const char *method = call->method ? call->method : "GET";
    if (str_equal(method, "GET")) {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    } else if (str_equal(method, "HEAD")) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else {
        if (call->body.n || str_equal(method, "POST") || str_equal(method, "PUT") || str_equal(method, "PATCH")) {
            curl_easy_setopt(curl, CURLOPT_POST, 1L);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.n ? (const char *)call->body.p : "");
        }
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    }
}

static void set_blob(CURL *curl, CURLoption option, struct bytes data)
{
    struct curl_blob blob = {.data = (void *)data.p, .len = data.n, .flags = CURL_BLOB_NOCOPY};
    curl_easy_setopt(curl, option, &blob);
}

/* libcurl asks for each new connection. */
static CURLcode prepare_tls(CURL *curl, void *ssl_ctx, void *arg)
{
    const struct http_client *c = arg;
    (void)curl;
    tls_cleanse(ssl_ctx);
    if (c->dates.grace_s)
        tls_allow_dates(ssl_ctx, &c->dates);
    return CURLE_OK;
}

static void set_tls(CURL *curl, const struct http_client *c, const struct http_call *call)
{
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)c);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, call->skip_verify ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, call->skip_verify ? 0L : 2L);
    /* Without a folder of roots, which would add the system's to the ones given, and would keep libcurl from caching them. */
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    if (c->config.ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->config.ca_file);
    if (c->config.roots_pem.n) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
        set_blob(curl, CURLOPT_CAINFO_BLOB, c->config.roots_pem);
    }
    if (c->certificate_pem.n) {
        set_blob(curl, CURLOPT_SSLCERT_BLOB, c->certificate_pem);
        set_blob(curl, CURLOPT_SSLKEY_BLOB, secret_use(&c->key_pem));
    }
}

static void set_options(CURL *curl, struct hop *hop, const char *url, struct curl_slist *headers, int64_t left_ms, char *error)
{
    const struct http_client *c = hop->client;
    int64_t connect_ms = hop->call->connect_ms > 0 ? hop->call->connect_ms : 10000;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, c->config.user_agent);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms < left_ms ? connect_ms : left_ms));
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, hop);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, hop);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, hop);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, hop);
    if (c->config.unix_socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->config.unix_socket);
    if (hop->call->ntlm_user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_NTLM);
        curl_easy_setopt(curl, CURLOPT_USERNAME, hop->call->ntlm_user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, hop->call->ntlm_password);
    }
    set_method(curl, hop->call);
    set_tls(curl, c, hop->call);
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
        return E_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return E_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return E_NO_MEMORY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return E_TLS;
    default:
        return E_BAD_ANSWER;
    }
}

/* libcurl's words may quote the server: only printable ones go on. */
static const char *printable(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    return text;
}

/* As it may be shown: some APIs want a key in the query. */
static const char *without_query(struct ctx *ctx, const char *url)
{
    size_t n = strcspn(url, "?");
    return url[n] == '\0' ? url : arena_printf(&ctx->arena, "%.*s?…", (int)n, url);
}

static struct rc explain(struct hop *hop, const char *sent, CURLcode code, char *error)
{
    struct ctx *ctx = hop->ctx;
    const char *url = without_query(ctx, sent);
    if (hop->bad)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s: %s", url, hop->bad);
    if (code == CURLE_ABORTED_BY_CALLBACK && !hop->cut)
        return ctx_fail(ctx, E_SHUTTING_DOWN, "%s: given up, for this process is to end", url);
    if (hop->cut)
        return ctx_fail(ctx, E_UNREACHABLE, "%s: the connection ended before the answer", url);
    const bool refused = hop->refused.len && (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT);
    if (refused && address_allowed(&hop->refused, &hop->client->config.grants))
        return ctx_fail(ctx, E_ADDRESS_REFUSED, "%s: only ports 80 and 443 are reached there", url);
    if (refused)
        return ctx_wrap(ctx, address_check(ctx, &hop->refused, &hop->client->config.grants), "connecting for %s", url);
    enum err e = code == CURLE_RECV_ERROR && hop->head_n ? E_BAD_ANSWER : error_of(code);
    return ctx_fail(ctx, e, "%s: %s", url, *error ? printable(error) : curl_easy_strerror(code));
}

static void read_address(struct ctx *ctx, CURL *curl, struct http_answer *out)
{
    char *ip = NULL;
    long port = 0;
    struct address a;
    out->address = "";
    if (curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &ip) != CURLE_OK || !ip || !address_parse(bytes_z(ip), &a))
        return;
    curl_easy_getinfo(curl, CURLINFO_PRIMARY_PORT, &port);
    a.port = (uint16_t)port;
    out->address = address_port_str(&ctx->arena, &a);
}

static struct rc run_hop(struct ctx *ctx, struct http_client *client, const struct http_call *call, const char *url,
                         bool same_origin, int64_t deadline_ms, struct http_answer *out)
{
    struct curl_slist *headers __attribute__((cleanup(slist_freep))) = NULL;
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *connect_to __attribute__((cleanup(slist_freep))) = NULL;
    struct hop hop = {.ctx = ctx, .client = client, .call = call};
    int64_t left = deadline_ms - clock_mono_ms();
    if (left <= 0)
        return ctx_fail(ctx, E_TIMEOUT, "%s: no time is left to ask", without_query(ctx, url));
    buf_init_arena(&hop.body, &ctx->arena, call->body_max ? call->body_max : 1 << 20);
    TRY(build_headers(ctx, call, same_origin, &headers));
    if (call->connect_to)
        connect_to = curl_slist_append(NULL, arena_printf(&ctx->arena, "::%s", address_port_str(&ctx->arena, call->connect_to)));
    struct handle *h = !call->connect_to || connect_to ? handle_take(client) : NULL;
    if (!h)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for an HTTP request");
    set_options(h->curl, &hop, url, headers, left, error);
    curl_easy_setopt(h->curl, CURLOPT_CONNECT_TO, connect_to);
    CURLcode code = curl_easy_perform(h->curl);
    long status = 0, sent = 0;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h->curl, CURLINFO_REQUEST_SIZE, &sent);
    *out = (struct http_answer){
        .status = (int)status, .headers = hop.headers, .body = buf_bytes(&hop.body), .url = url, .sent = sent > 0};
    read_address(ctx, h->curl, out);
    handle_give(client, h);
    return code == CURLE_OK ? RC_OK : explain(&hop, url, code, error);
}

/* ---- what the headers say ---- */

/* Resolves a reference (RFC 3986 section 5); NULL where it is none or leads out of http. */
static const char *resolve(struct ctx *ctx, const char *base, const char *reference)
{
    CURLU *u = curl_url();
    char *text = NULL;
    const char *out = NULL;
    if (u && strlen(reference) <= URI_MAX && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, reference, 0) == CURLUE_OK && curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK &&
        (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0))
        out = arena_strdup(&ctx->arena, text);
    curl_free(text);
    curl_url_cleanup(u);
    return out;
}

static int64_t retry_after(struct ctx *ctx, const char *value)
{
    int64_t s;
    if (!value)
        return -1;
    struct bytes text = bytes_z(value);
    if (!str_to_i64(text, &s) || s < 0) {
        if (!time_parse_http(text, &s))
            return -1;
        s -= ctx_now_s(ctx);
    }
    return s < 0 ? 0 : s > RETRY_AFTER_MOST_S ? RETRY_AFTER_MOST_S : s;
}

static const char *nonce(const char *value)
{
    if (!value || !*value || strlen(value) > 1024)
        return NULL;
    for (const char *c = value; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_'))
            return NULL;
    return value;
}

static const char *media_type(struct ctx *ctx, const char *value)
{
    struct bytes text = bytes_z(value), type;
    if (!bytes_take_until(&text, ';', &type))
        return "";
    char *out = arena_str(&ctx->arena, bytes_trim(type));
    for (char *c = out; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    return out;
}

/* The end of one link's parameters: a comma outside of quotes. */
static size_t params_end(struct bytes b)
{
    bool quoted = false;
    for (size_t i = 0; i < b.n; i++) {
        if (quoted && b.p[i] == '\\')
            i++;
        else if (b.p[i] == '"')
            quoted = !quoted;
        else if (b.p[i] == ',' && !quoted)
            return i;
    }
    return b.n;
}

static const char *link_rel(struct ctx *ctx, struct bytes params)
{
    struct bytes param, name;
    while (bytes_take_until(&params, ';', &param)) {
        if (!bytes_take_until(&param, '=', &name) || !bytes_equal_nocase(bytes_trim(name), BYTES_LIT("rel")))
            continue;
        param = bytes_trim(param);
        if (param.n >= 2 && param.p[0] == '"' && param.p[param.n - 1] == '"')
            param = bytes_of(param.p + 1, param.n - 2);
        return arena_str(&ctx->arena, param);
    }
    return "";
}

static void read_links(struct ctx *ctx, struct bytes value, struct http_answer *out)
{
    while (out->links_n < LINKS_MAX) {
        while (value.n && (value.p[0] == ',' || value.p[0] == ' ' || value.p[0] == '\t'))
            bytes_skip(&value, 1);
        size_t close = bytes_find(value, BYTES_LIT(">"));
        if (value.n == 0 || value.p[0] != '<' || close == SIZE_MAX)
            return;
        const char *reference = arena_str(&ctx->arena, bytes_of(value.p + 1, close - 1));
        bytes_skip(&value, close + 1);
        size_t end = params_end(value);
        const char *url = resolve(ctx, out->url, reference);
        if (url)
            out->links[out->links_n++] = (struct http_link){url, link_rel(ctx, bytes_of(value.p, end))};
        bytes_skip(&value, end);
    }
}

static void read_headers(struct ctx *ctx, struct http_answer *out)
{
    const char *location = http_headers_get(&out->headers, "location");
    const char *type = http_headers_get(&out->headers, "content-type");
    out->location = location ? resolve(ctx, out->url, location) : NULL;
    out->content_type = type ? media_type(ctx, type) : "";
    out->replay_nonce = nonce(http_headers_get(&out->headers, "replay-nonce"));
    out->retry_after_s = retry_after(ctx, http_headers_get(&out->headers, "retry-after"));
    out->links = arena_array(&ctx->arena, LINKS_MAX, sizeof *out->links);
    for (size_t i = 0; i < out->headers.n; i++)
        if (str_equal(out->headers.v[i].name, "link"))
            read_links(ctx, bytes_z(out->headers.v[i].value), out);
}

const char *http_answer_link(const struct http_answer *a, const char *rel)
{
    for (size_t i = 0; i < a->links_n; i++)
        if (strcasecmp(a->links[i].rel, rel) == 0)
            return a->links[i].url;
    return NULL;
}

/* ---- calls ---- */

static bool is_redirect(const struct http_answer *a)
{
    return a->status == 301 || a->status == 302 || a->status == 303 || a->status == 307 || a->status == 308;
}

/* Reads the URL by our own strict rules and hands libcurl only what came out of that. */
static struct rc check_url(struct ctx *ctx, const char *url, struct uri *uri, const char **text)
{
    struct buf b;
    struct rc rc = uri_parse(ctx, bytes_z(url), uri);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the URL to ask");
    buf_init_arena(&b, &ctx->arena, 2 * URI_MAX);
    uri_put(&b, uri);
    *text = buf_z(&b);
    return buf_status(&b);
}

RC http_client_call(struct ctx *ctx, struct http_client *client, const struct http_call *call, struct http_answer *out)
{
    int64_t deadline_ms = clock_mono_ms() + ctx_left_ms(ctx, call->total_ms > 0 ? call->total_ms : 60000);
    bool may_follow = call->redirects && (!call->method || str_equal(call->method, "GET") || str_equal(call->method, "HEAD"));
    const char *url = call->url;
    struct uri first, uri;
    for (unsigned hops = 0;; hops++) {
        TRY(check_url(ctx, url, &uri, &url));
        if (hops == 0)
            first = uri;
        else if (first.https && !uri.https && !call->skip_verify)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s redirects from https to http", call->url);
        TRY(run_hop(ctx, client, call, url, uri_same_origin(&first, &uri), deadline_ms, out));
        read_headers(ctx, out);
        if (!may_follow || !is_redirect(out))
            return RC_OK;
        if (hops == call->redirects)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s redirects more than %u times", call->url, call->redirects);
        if (!out->location)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s redirects to something that is not an http URL", call->url);
        url = out->location;
    }
}
