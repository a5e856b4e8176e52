#include "acme/problem.h"

#include "base/str.h"

static const char prefix[] = "urn:ietf:params:acme:error:";

/* RFC 8555 section 6.7, RFC 9773 section 7.4 and the profiles draft.  What is not here follows the HTTP status. */
static const struct {
    const char *type;
    enum err e;
} known[] = {
    {"accountDoesNotExist", E_ISSUER_REFUSED},
    {"alreadyReplaced", E_ISSUER_REFUSED},
    {"alreadyRevoked", E_ISSUER_REFUSED},
    {"badCSR", E_ISSUER_REFUSED},
    {"badNonce", E_ISSUER_FAILED},
    {"badPublicKey", E_ISSUER_REFUSED},
    {"badRevocationReason", E_ISSUER_REFUSED},
    {"badSignatureAlgorithm", E_ISSUER_REFUSED},
    {"caa", E_CHALLENGE_FAILED},
    {"compound", E_ISSUER_REFUSED},
    {"connection", E_CHALLENGE_FAILED},
    {"dns", E_CHALLENGE_FAILED},
    {"externalAccountRequired", E_ISSUER_REFUSED},
    {"incorrectResponse", E_CHALLENGE_FAILED},
    {"invalidContact", E_ISSUER_REFUSED},
    {"invalidProfile", E_ISSUER_REFUSED},
    {"malformed", E_ISSUER_REFUSED},
    {"orderNotReady", E_ISSUER_FAILED},
    {"rateLimited", E_RATE_LIMITED},
    {"rejectedIdentifier", E_ISSUER_REFUSED},
    {"serverInternal", E_ISSUER_FAILED},
    {"tls", E_CHALLENGE_FAILED},
    {"unauthorized", E_ISSUER_REFUSED},
    {"unsupportedContact", E_ISSUER_REFUSED},
    {"unsupportedIdentifier", E_ISSUER_REFUSED},
    {"userActionRequired", E_ISSUER_REFUSED},
};

/* The cut never splits a UTF-8 sequence. */
static const char *clean(struct ctx *ctx, const char *s, size_t max)
{
    if (s == NULL)
        return "";
    size_t n = strlen(s);
    if (n > max) {
        n = max;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    }
    char *out = arena_dup(&ctx->arena, s, n + 1);
    out[n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            out[i] = '?';
    return out;
}

static const char *text_of(struct ctx *ctx, const json_t *obj, const char *key, size_t max)
{
    return clean(ctx, json_string_value(json_object_get(obj, key)), max);
}

static const char *type_of(struct ctx *ctx, const json_t *obj)
{
    const char *type = text_of(ctx, obj, "type", 256);
    return strncmp(type, prefix, sizeof prefix - 1) == 0 ? type + sizeof prefix - 1 : type;
}

static const char *identifier_of(struct ctx *ctx, const json_t *obj)
{
    const json_t *id = json_object_get(obj, "identifier");
    const char *value = text_of(ctx, id, "value", 255);
    return value[0] == 0 ? "" : arena_printf(&ctx->arena, "%s:%s", text_of(ctx, id, "type", 32), value);
}

void acme_problem_from_json(struct ctx *ctx, const json_t *obj, struct acme_problem *out)
{
    *out = (struct acme_problem){.type = type_of(ctx, obj), .detail = text_of(ctx, obj, "detail", ACME_TEXT_MAX)};
    const json_t *status = json_object_get(obj, "status");
    if (json_is_integer(status) && json_integer_value(status) >= 100 && json_integer_value(status) <= 599)
        out->status = (int)json_integer_value(status);
    const json_t *subs = json_object_get(obj, "subproblems");
    size_t n = json_array_size(subs);
    if (n > ACME_SUBPROBLEMS_MAX)
        n = ACME_SUBPROBLEMS_MAX;
    if (n == 0)
        return;
    out->sub = arena_array(&ctx->arena, n, sizeof *out->sub);
    for (size_t i = 0; i < n; i++) {
        const json_t *sub = json_array_get(subs, i);
        out->sub[out->n_sub++] = (struct acme_subproblem){
            .type = type_of(ctx, sub), .detail = text_of(ctx, sub, "detail", ACME_TEXT_MAX), .identifier = identifier_of(ctx, sub)};
    }
}

void acme_problem_parse(struct ctx *ctx, struct bytes body, struct acme_problem *out)
{
    json_auto_t *root = NULL;
    if (rc_ok(json_read(ctx, body, &root)) && json_is_object(root)) {
        acme_problem_from_json(ctx, root, out);
        return;
    }
    ctx_forget(ctx);
    *out = (struct acme_problem){.type = "", .detail = ""};
    struct bytes line = body, first;
    if (bytes_take_line(&line, &first))
        line = first;
    if (line.n > 200)
        line.n = 200;
    char *s = arena_str(&ctx->arena, line);
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7e)
            s[i] = '?';
    out->detail = s;
}

bool acme_problem_is(const struct acme_problem *p, const char *type)
{
    return p->type != NULL && strcmp(p->type, type) == 0;
}

static void put_pair(struct buf *b, const char *type, const char *detail)
{
    buf_put_z(b, type);
    if (type[0] != 0 && detail[0] != 0)
        buf_put_z(b, ": ");
    buf_put_z(b, detail);
}

void acme_problem_put(struct buf *b, const struct acme_problem *p)
{
    const char *type = p->type == NULL ? "" : p->type, *detail = p->detail == NULL ? "" : p->detail;
    if (type[0] == 0 && detail[0] == 0)
        buf_put_z(b, "no reason given");
    put_pair(b, type, detail);
    for (size_t i = 0; i < p->n_sub; i++) {
        buf_put_z(b, i == 0 ? " (" : "; ");
        if (p->sub[i].identifier[0] != 0) {
            buf_put_z(b, p->sub[i].identifier);
            buf_put_z(b, ": ");
        }
        put_pair(b, p->sub[i].type, p->sub[i].detail);
    }
    if (p->n_sub > 0)
        buf_put_z(b, ")");
}

const char *acme_problem_text(struct ctx *ctx, const struct acme_problem *p)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    acme_problem_put(&b, p);
    return buf_z(&b);
}

enum err acme_problem_err(const struct acme_problem *p, int status)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (acme_problem_is(p, known[i].type))
            return known[i].e;
    if (status == 429)
        return E_RATE_LIMITED;
    if (status >= 400 && status < 500 && status != 408)
        return E_ISSUER_REFUSED;
    return E_ISSUER_FAILED;
}
