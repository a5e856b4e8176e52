/* Requests to the hub. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "cli/cli.h"
#include "net/http_client.h"
#include "os/file.h"

#define CALL_MS    90000
#define ANSWER_MS  20000
#define ANSWER_MAX ((size_t)64 << 20)
#define TOKEN_MAX  256
#define PEM_MAX    ((size_t)256 << 10)
#define TRIES_MAX  5 /* 200 ms doubling: six seconds in all */

static const char *setting(const struct cli *cli, const char *option, const char *variable)
{
    const char *v = cli_opt(cli, option);
    if (!v)
        v = getenv(variable);
    return v && *v ? v : NULL;
}

/* The sockets looked for where none is named: that of a demonstration in this folder, and that of an installation. */
static const char *socket_find(void)
{
    static const char *const paths[] = {"var/run/admin.sock", "/run/certwright/admin.sock"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct stat st;
        if (stat(paths[i], &st) == 0 && S_ISSOCK(st.st_mode))
            return paths[i];
    }
    return NULL;
}

static struct rc token_read(struct cli *cli, const char *path)
{
    struct bytes text;
    TRY(file_read(cli->ctx, path, TOKEN_MAX, &text));
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r' || text.p[text.n - 1] == ' '))
        text.n--;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return ctx_fail(cli->ctx, E_INVALID, "%s holds more than a token", path);
    cli->token = arena_printf(&cli->ctx->arena, "Bearer %.*s", (int)text.n, (const char *)text.p);
    return RC_OK;
}

/* A key that the hub knows, instead of a token. */
static struct rc key_show(struct cli *cli)
{
    const char *cert = setting(cli, "client-cert", "CERTWRIGHT_CLIENT_CERT"),
               *key = setting(cli, "client-key", "CERTWRIGHT_CLIENT_KEY");
    struct bytes cert_pem, key_pem;
    if (!cert && !key)
        return RC_OK;
    if (!cert || !key)
        return ctx_fail(cli->ctx, E_USAGE, "--client-cert and --client-key go together");
    TRY(file_read(cli->ctx, cert, PEM_MAX, &cert_pem));
    TRY(file_read(cli->ctx, key, PEM_MAX, &key_pem));
    struct rc rc = http_client_set_certificate(cli->ctx, cli->client, cert_pem, key_pem);
    wipe((void *)(uintptr_t)key_pem.p, key_pem.n);
    return rc;
}

/* The hub is whom the user names: every address is fine. */
static const struct cidr everywhere[] = {{.base = {.len = 4}}, {.base = {.len = 16}}};

RC cli_connect(struct cli *cli)
{
    if (cli->client)
        return RC_OK;
    struct http_client_config config = {.user_agent = "certwright-cli", .grants = {everywhere, 2}};
    const char *url = setting(cli, "url", "CERTWRIGHT_URL"), *token_file = setting(cli, "token-file", "CERTWRIGHT_TOKEN_FILE");
    const char *path = setting(cli, "socket", "CERTWRIGHT_SOCKET");
    if (token_file)
        TRY(token_read(cli, token_file));
    if (url && !cli_opt(cli, "socket")) {
        struct bytes base = bytes_z(url);
        while (base.n && base.p[base.n - 1] == '/')
            base.n--;
        if (!bytes_starts_with(base, BYTES_LIT("https://")))
            return ctx_fail(cli->ctx, E_USAGE, "the URL of a hub begins with https://");
        cli->base = arena_str(&cli->ctx->arena, base);
        cli->where = cli->base;
        config.ca_file = setting(cli, "ca-file", "CERTWRIGHT_CA_FILE");
    } else {
        if (!path)
            path = socket_find();
        if (!path)
            return ctx_fail(cli->ctx, E_UNREACHABLE,
                            "no hub is found here: neither var/run/admin.sock nor /run/certwright/admin.sock is "
                            "there; name it with --socket PATH or --url URL, or start one with: certwright run hub");
        config.unix_socket = path;
        cli->base = "http://hub";
        cli->where = path;
    }
    TRY(http_client_new(cli->ctx, &config, &cli->client));
    return config.unix_socket ? RC_OK : key_show(cli);
}

static void put_span(struct buf *b, long long s)
{
    static const struct {
        long long s;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (units[i].s > 1 && (s < units[i].s || s % units[i].s))
        i++;
    buf_printf(b, "%lld%c", s / units[i].s, units[i].unit);
}

/* What the API calls "/lifetime_s" was typed as --lifetime, and in spans: words that begin with a field begin with its option. */
static const char *in_options(struct cli *cli, const char *detail, const char *field)
{
    static const struct {
        const char *member, *option;
    } others[] = {{"targets", "to"},        {"issuers", "issuer"},        {"granted", "grant"},     {"networks", "network"},
                  {"before_s", "renew-before"}, {"at_percent", "renew-at"}, {"pause_s", "wave-pause"}, {"wave_percent", "wave"},
                  {"parameters", "set"},    {"endpoints", "endpoint"},    {"windows", "window"},
                  {"method", "challenge"}};
    struct ctx *ctx = cli->ctx;
    const size_t n = strlen(field);
    const char *member = strrchr(field, '/');
    if (!n || !member || strncmp(detail, field, n) != 0 || !cli->verb)
        return detail;
    char *option = arena_strdup(&ctx->arena, member + 1);
    const size_t len = strlen(option);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (str_equal(others[i].member, member + 1))
            option = arena_strdup(&ctx->arena, others[i].option);
    if (len > 2 && str_equal(option + len - 2, "_s"))
        option[len - 2] = '\0';
    for (char *p = option; *p; p++)
        *p = *p == '_' ? '-' : *p;
    const struct cli_option *o = cli_option_of(cli->verb, option);
    if (!o)
        return detail;
    long long is, from, to;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 8192);
    buf_printf(&b, "--%s", option);
    if (o->kind == CLI_SPAN && sscanf(detail + n, " is %lld; it must be from %lld to %lld", &is, &from, &to) == 3) {
        buf_put_z(&b, " is ");
        put_span(&b, is);
        buf_put_z(&b, "; it must be from ");
        put_span(&b, from);
        buf_put_z(&b, " to ");
        put_span(&b, to);
    } else {
        buf_put_z(&b, detail + n);
    }
    return buf_z(&b);
}

/* A problem document (RFC 9457) becomes the failure it describes. */
static struct rc problem(struct cli *cli, const struct http_answer *answer)
{
    struct ctx *ctx = cli->ctx;
    json_auto_t *doc = NULL;
    if (!bytes_equal_z(bytes_z(answer->content_type), "application/problem+json") || rc_failed(json_read(ctx, answer->body, &doc)))
        return ctx_fail(ctx, E_BAD_ANSWER, "%s answered %d and not as a hub does", cli->where, answer->status);
    struct bytes type = bytes_z(cli_text(doc, "type")), prefix = bytes_z(HTTP_PROBLEM_TYPE);
    if (bytes_starts_with(type, prefix))
        bytes_skip(&type, prefix.n);
    enum err e = err_by_name(arena_str(&ctx->arena, type));
    const char *detail = cli_text(doc, "detail"), *field = cli_text(doc, "field");
    ctx->field = *field ? arena_strdup(&ctx->arena, field) : NULL;
    json_int_t retry = 0;
    const json_t *after = json_object_get(doc, "retry_after");
    if (json_is_integer(after))
        retry = json_integer_value(after);
    ctx->retry_after_s = retry;
    return ctx_fail(ctx, e == E_OK ? E_BAD_ANSWER : e, "%s", *detail ? in_options(cli, detail, field) : cli_text(doc, "title"));
}

/* lost says whether a hub that was there went away: the parent starts it anew, and the same request may be sent again. */
static bool lost(const struct cli *cli, const char *method, struct rc rc, int tries)
{
    const bool again = str_equal(method, "GET") || str_equal(method, "POST");
    if (!again || tries >= TRIES_MAX)
        return false;
    return rc.e == E_BAD_ANSWER || ((rc.e == E_UNREACHABLE || rc.e == E_SHUTTING_DOWN) && cli->answered);
}

static struct rc call(struct cli *cli, const char *method, const char *path, struct bytes in, struct http_answer *answer)
{
    struct ctx *ctx = cli->ctx;
    TRY(cli_connect(cli));
    struct http_header headers[4];
    size_t n = 0;
    if (in.n)
        headers[n++] = (struct http_header){"Content-Type", "application/json"};
    if (cli->token)
        headers[n++] = (struct http_header){"Authorization", cli->token};
    if (str_equal(method, "POST"))
        headers[n++] = (struct http_header){"Idempotency-Key", id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    const struct http_call c = {.method = method,
                                .url = arena_printf(&ctx->arena, "%s%s", cli->base, path),
                                .headers = headers,
                                .headers_n = n,
                                .body = in,
                                .total_ms = strstr(path, "wait=") ? CALL_MS : ANSWER_MS, /* a long poll, or not */
                                .body_max = ANSWER_MAX};
    struct rc rc = RC_OK;
    for (int tries = 0;; tries++) {
        rc = http_client_call(ctx, cli->client, &c, answer);
        if (rc_ok(rc) && answer->status == 503)
            rc = problem(cli, answer);
        if (!lost(cli, method, rc, tries))
            break;
        ctx_forget(ctx);
        usleep((useconds_t)(200000 << tries));
    }
    if (rc.e == E_UNREACHABLE || rc.e == E_DNS || rc.e == E_TLS || rc.e == E_IO || rc.e == E_BAD_ANSWER) {
        if (rc.e == E_TLS)
            return ctx_fail(ctx, E_UNREACHABLE,
                            "the hub at %s is not trusted; name its CA with --ca-file FILE (certwright ca export fleet)",
                            cli->where);
        /* What went wrong with a socket is said by its path; with a name the reason matters. */
        if (rc.e == E_UNREACHABLE)
            ctx_forget(ctx);
        if (*cli->where == '/' && access(cli->where, W_OK) != 0 && errno == EACCES)
            return ctx_fail(ctx, E_FORBIDDEN,
                            "%s is not for this user: run it as root or as who set the hub up, or use --url with a token",
                            cli->where);
        return ctx_fail(ctx, E_UNREACHABLE, "the hub at %s is not reachable; is it running? (certwright run hub)", cli->where);
    }
    if (rc.e == E_TIMEOUT) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_UNREACHABLE, "the hub at %s is there, but does not answer; its log may say why", cli->where);
    }
    TRY(rc);
    cli->answered = true;
    return answer->status >= 400 ? problem(cli, answer) : RC_OK;
}

RC cli_call(struct cli *cli, const char *method, const char *path, struct bytes in, json_t **out)
{
    struct http_answer answer;
    TRY(call(cli, method, path, in, &answer));
    if (out)
        TRY(json_read(cli->ctx, answer.body, out));
    return RC_OK;
}

RC cli_call_raw(struct cli *cli, const char *method, const char *path, struct bytes *out)
{
    struct http_answer answer;
    TRY(call(cli, method, path, (struct bytes){0}, &answer));
    *out = answer.body;
    return RC_OK;
}

const char *cli_path(struct cli *cli, const char *before, const char *value, const char *after)
{
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 8192);
    buf_put_z(&b, before);
    for (const char *p = value; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
            c == '~')
            buf_put_u8(&b, c);
        else
            buf_printf(&b, "%%%02X", c);
    }
    buf_put_z(&b, after);
    return buf_z(&b);
}

RC cli_all(struct cli *cli, const char *path, int64_t most, json_t **out)
{
    struct ctx *ctx = cli->ctx;
    json_t *all = json_array();
    const char *cursor = "";
    const char *join = strchr(path, '?') ? "&" : "?";
    while (all && (int64_t)json_array_size(all) < most) {
        const int64_t left = most - (int64_t)json_array_size(all);
        const char *here = arena_printf(&ctx->arena, "%s%slimit=%lld%s%s", path, join, (long long)(left < 1000 ? left : 1000),
                                        *cursor ? "&cursor=" : "", cursor);
        json_auto_t *page = NULL;
        TRY(cli_call(cli, "GET", here, (struct bytes){0}, &page));
        if (json_array_extend(all, json_object_get(page, "items")))
            return ctx_fail(ctx, E_BAD_ANSWER, "the hub's answer has no items");
        cursor = arena_strdup(&ctx->arena, cli_text(page, "next"));
        if (!*cursor)
            break;
    }
    if (!all)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the list");
    *out = all;
    return RC_OK;
}

void cli_body_begin(struct cli *cli, struct cli_body *body)
{
    buf_init_arena(&body->b, &cli->ctx->arena, (size_t)1 << 20);
    json_begin(&body->j, &body->b);
    json_open_obj(&body->j, NULL);
}

struct bytes cli_body_end(struct cli_body *body)
{
    json_close(&body->j);
    return buf_bytes(&body->b);
}

void cli_body_text(struct cli_body *body, const char *key, const char *value)
{
    if (value)
        json_put_str(&body->j, key, value);
}

void cli_body_list(struct cli_body *body, const char *key, const struct str_list *l)
{
    json_open_list(&body->j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(&body->j, NULL, l->v[i]);
    json_close(&body->j);
}
