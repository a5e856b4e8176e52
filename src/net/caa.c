#include "net/caa.h"

#include <ctype.h>

#define CRITICAL   0x80
#define PARAMS_MAX 32
#define SHOWN_MAX  5 /* CAs named in a text */

static bool alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool same(struct bytes a, const char *z)
{
    return a.n == strlen(z) && strncasecmp((const char *)a.p, z, a.n) == 0;
}

/* --- where they are */

RC caa_climb(struct ctx *ctx, const char *name, caa_look *look, void *arg, const char **at, struct bytes **records, size_t *n)
{
    *at = NULL;
    *n = 0;
    *records = arena_array(&ctx->arena, CAA_RECORDS_MAX, sizeof **records);
    for (; *name != '\0'; name = dns_name_parent(name)) {
        struct dns_reply reply;
        TRY(look(ctx, arg, name, &reply));
        if (reply.rcode != DNS_NOERROR && reply.rcode != DNS_NXDOMAIN)
            return ctx_fail(ctx, E_DNS, "the CAA records of %s cannot be read: the resolver says %s", name,
                            dns_rcode_text(ctx, reply.rcode));
        for (size_t i = 0; i < reply.n_answer; i++) {
            if (reply.answer[i].type != DNS_CAA)
                continue;
            if (*n == CAA_RECORDS_MAX)
                return ctx_fail(ctx, E_TOO_LARGE, "%s has more than %d CAA records", name, CAA_RECORDS_MAX);
            (*records)[(*n)++] = reply.answer[i].data;
        }
        if (*n > 0) {
            *at = name;
            return RC_OK;
        }
    }
    return RC_OK;
}

/* --- one of them (RFC 8659 section 4.1) */

struct record {
    bool critical;
    struct bytes tag, value;
};

static bool read_record(struct bytes data, struct record *out)
{
    uint8_t flags, n;
    if (!bytes_take_u8(&data, &flags) || !bytes_take_u8(&data, &n) || n == 0 || !bytes_take(&data, n, &out->tag))
        return false;
    for (size_t i = 0; i < out->tag.n; i++)
        if (!alnum(out->tag.p[i]))
            return false;
    out->critical = (flags & CRITICAL) != 0;
    out->value = data;
    return true;
}

/* The value of issue and issuewild (section 4.2). */
struct grant {
    struct bytes issuer; /* empty: nobody */
    struct {
        struct bytes tag, value;
    } params[PARAMS_MAX];
    size_t n_params;
};

static void skip_space(struct bytes *at)
{
    while (at->n > 0 && (at->p[0] == ' ' || at->p[0] == '\t'))
        bytes_skip(at, 1);
}

/* Letters, digits and hyphens between them; `dots`: several of these. */
static bool take_labels(struct bytes *at, bool dots, struct bytes *out)
{
    const struct bytes from = *at;
    size_t n = 0;
    while (n < from.n && (alnum(from.p[n]) || from.p[n] == '-' || (dots && from.p[n] == '.'))) {
        const bool edge = n == 0 || from.p[n - 1] == '.';
        if (!alnum(from.p[n]) && (edge || (from.p[n] == '.' && from.p[n - 1] == '-')))
            return false;
        n++;
    }
    if (n > 0 && !alnum(from.p[n - 1]))
        return false;
    return bytes_take(at, n, out);
}

static bool take_param(struct bytes *at, struct grant *out)
{
    struct bytes tag;
    size_t n = 0;
    if (!take_labels(at, false, &tag) || tag.n == 0)
        return false;
    skip_space(at);
    if (at->n == 0 || at->p[0] != '=' || out->n_params == PARAMS_MAX)
        return false;
    bytes_skip(at, 1);
    skip_space(at);
    while (n < at->n && at->p[n] > 0x20 && at->p[n] < 0x7f && at->p[n] != ';')
        n++;
    out->params[out->n_params].tag = tag;
    return bytes_take(at, n, &out->params[out->n_params++].value);
}

static bool read_grant(struct bytes value, struct grant *out)
{
    *out = (struct grant){0};
    skip_space(&value);
    if (!take_labels(&value, true, &out->issuer))
        return false;
    skip_space(&value);
    while (value.n > 0) {
        if (value.p[0] != ';')
            return false;
        bytes_skip(&value, 1);
        skip_space(&value);
        if (value.n == 0)
            return true;
        if (!take_param(&value, out))
            return false;
        skip_space(&value);
    }
    return true;
}

/* --- what they mean for one CA */

static bool is_ours(const struct grant *g, const struct caa_ask *ask)
{
    for (size_t i = 0; i < ask->identities->n; i++)
        if (same(g->issuer, ask->identities->v[i]))
            return true;
    return false;
}

static bool method_listed(struct bytes list, const char *method)
{
    struct bytes one;
    while (bytes_take_until(&list, ',', &one))
        if (same(one, method))
            return true;
    return false;
}

/* RFC 8657: both may be there; what other parameters mean is between the CA and its customers. */
static enum caa_verdict judge_params(struct ctx *ctx, const struct grant *g, const struct caa_ask *ask, const char **why)
{
    enum caa_verdict v = CAA_ALLOWS;
    size_t accounts = 0;
    for (size_t i = 0; i < g->n_params; i++) {
        const char *value = arena_str(&ctx->arena, g->params[i].value);
        if (same(g->params[i].tag, "accounturi")) {
            if (++accounts > 1) {
                *why = "name two accounts in one record (accounturi), which allows none";
                return CAA_FORBIDS;
            }
            if (*ask->account_url != '\0' && !str_equal(value, ask->account_url)) {
                *why = arena_printf(&ctx->arena, "allow the account %s alone; ours is %s", value, ask->account_url);
                return CAA_FORBIDS;
            }
            if (*ask->account_url == '\0') {
                *why = arena_printf(&ctx->arena, "allow the account %s alone, and we have none with this CA yet", value);
                v = CAA_UNCLEAR;
            }
        } else if (same(g->params[i].tag, "validationmethods") && !method_listed(g->params[i].value, ask->method)) {
            *why = arena_printf(&ctx->arena, "allow the validation methods %s alone, not %s", value, ask->method);
            return CAA_FORBIDS;
        }
    }
    return v;
}

static bool is_known(struct bytes tag)
{
    static const char *const known[] = {"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (same(tag, known[i]))
            return true;
    return false;
}

/* "ca1.example, ca2.example", with those that are no names left out. */
static const char *others(struct ctx *ctx, const struct grant *g, size_t n)
{
    struct buf b;
    size_t shown = 0;
    buf_init_arena(&b, &ctx->arena, 4096);
    for (size_t i = 0; i < n; i++) {
        if (g[i].issuer.n == 0)
            continue;
        if (shown == SHOWN_MAX) {
            buf_put_z(&b, " …");
            break;
        }
        buf_put_z(&b, shown++ > 0 ? ", " : "");
        buf_put(&b, bytes_of(g[i].issuer.p, g[i].issuer.n < 253 ? g[i].issuer.n : 253));
    }
    return buf_z(&b);
}

static const char *ourselves(struct ctx *ctx, const struct caa_ask *ask)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    for (size_t i = 0; i < ask->identities->n && i < SHOWN_MAX; i++)
        buf_printf(&b, "%s%.253s", i > 0 ? ", " : "", ask->identities->v[i]);
    return buf_z(&b);
}

static enum caa_verdict judge_grants(struct ctx *ctx, const struct grant *g, size_t n, const struct caa_ask *ask, const char *tag,
                                     const char **why)
{
    enum caa_verdict best = CAA_FORBIDS;
    const char *names = others(ctx, g, n), *our_why = NULL;
    if (*names == '\0') {
        *why = arena_printf(&ctx->arena, "let no CA issue (%s \";\")", tag);
        return CAA_FORBIDS;
    }
    if (ask->identities->n == 0) {
        *why = arena_printf(&ctx->arena,
                            "let %s issue; whether that is this CA is not known, as its directory does not say how it is "
                            "called there (caaIdentities)",
                            names);
        return CAA_UNCLEAR;
    }
    for (size_t i = 0; i < n && best != CAA_ALLOWS; i++) {
        const char *words = NULL;
        if (g[i].issuer.n == 0 || !is_ours(&g[i], ask))
            continue;
        const enum caa_verdict v = judge_params(ctx, &g[i], ask, &words);
        if (v < best || our_why == NULL) {
            best = v;
            our_why = words;
        }
    }
    *why = best == CAA_ALLOWS ? ""
           : our_why != NULL  ? our_why
                              : arena_printf(&ctx->arena, "let %s issue, and this CA is %s: add 0 %s \"%s\"", names,
                                             ourselves(ctx, ask), tag, ask->identities->v[0]);
    return best;
}

enum caa_verdict caa_judge(struct ctx *ctx, const struct bytes *records, size_t n, const struct caa_ask *ask, const char **why)
{
    struct grant *usual = arena_array(&ctx->arena, n + 1, sizeof *usual), *wild = arena_array(&ctx->arena, n + 1, sizeof *wild);
    size_t n_usual = 0, n_wild = 0;
    *why = "";
    for (size_t i = 0; i < n; i++) {
        struct record r;
        if (!read_record(records[i], &r)) {
            *why = "are malformed";
            return CAA_FORBIDS;
        }
        if (r.critical && !is_known(r.tag)) {
            *why = arena_printf(&ctx->arena, "have the critical property %s, which CAs do not know",
                                arena_str(&ctx->arena, bytes_of(r.tag.p, r.tag.n < 64 ? r.tag.n : 64)));
            return CAA_FORBIDS;
        }
        struct grant *g = same(r.tag, "issue") ? &usual[n_usual++] : same(r.tag, "issuewild") ? &wild[n_wild++] : NULL;
        if (g != NULL && !read_grant(r.value, g))
            *g = (struct grant){0};
    }
    if (ask->wildcard && n_wild > 0)
        return judge_grants(ctx, wild, n_wild, ask, "issuewild", why);
    return n_usual > 0 ? judge_grants(ctx, usual, n_usual, ask, "issue", why) : CAA_ALLOWS;
}
