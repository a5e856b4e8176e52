#include "core/ask_plan.h"

#include "base/encode.h"
#include "base/str.h"
#include "core/access.h"
#include "core/finding_policy.h"
#include "pki/name_text.h"
#include "store/queries.h"

#define NAMES_LOOKS       4000 /* certificates of a name that are looked at before its terms are intersected with frequent ones */
#define ISSUERS_LOOKED_AT 2000 /* of a part of their names: an inventory with more issuers reads certificates instead */

/* The issuers that a test of their names means, where they are few. */
struct issuers {
    const struct filter *test;
    int64_t numbers[PLAN_ISSUERS_MAX];
    struct bytes hashes[PLAN_ISSUERS_MAX];
    size_t n;
    const struct issuers *next;
};

struct planner {
    struct ctx *ctx;
    struct txn *txn;
    struct plan *plan;
    struct finding_policy policy;
    const struct issuers *issuers;      /* of all tests of the filter */
    struct select_terms *terms, *names; /* of all parts; of those that the rows alone do not tell */
    bool known, more;                   /* rows tell other parts; there are terms of them too */
    const struct issuers *by;           /* those that are gone by: `issued` is kept apart for them */
    struct select_cond *issued;
    struct select_cond *dear; /* conditions that look into other tables */
    bool full;
};

static const struct issuers *issuers_of(const struct planner *p, const struct filter *f)
{
    const struct issuers *found = p->issuers;
    while (found && found->test != f)
        found = found->next;
    return found;
}

/* --- conditions of the database */

static struct select_cond *cond_new(struct ctx *ctx, enum select_test test)
{
    struct select_cond *c = ARENA_NEW(&ctx->arena, struct select_cond);
    c->kind = SELECT_TEST;
    c->test = test;
    return c;
}

static struct select_cond *cond_range(struct ctx *ctx, enum select_test test, int64_t from, int64_t to)
{
    struct select_cond *c = cond_new(ctx, test);
    c->from = from;
    c->to = to;
    return c;
}

static struct select_cond *cond_text(struct ctx *ctx, enum select_test test, const char *text)
{
    struct select_cond *c = cond_new(ctx, test);
    c->text = text;
    c->to = INT64_MAX;
    c->from = INT64_MIN;
    return c;
}

/* cond_join and terms_join make one of two; either may be NULL.  Where `b` is such a one already it takes `a` in: databases do not
 * read what is nested as deep as filters are long. */
#define JOIN(name, node)                                                                                                           \
    static struct node *name(struct ctx *ctx, enum select_kind kind, struct node *a, struct node *b)                               \
    {                                                                                                                              \
        if (!a || !b)                                                                                                              \
            return a ? a : b;                                                                                                      \
        struct node *both = b;                                                                                                     \
        if (b->kind != kind) {                                                                                                     \
            both = ARENA_NEW(&ctx->arena, struct node);                                                                            \
            both->kind = kind;                                                                                                     \
            both->first = b;                                                                                                       \
        }                                                                                                                          \
        a->next = both->first;                                                                                                     \
        both->first = a;                                                                                                           \
        return both;                                                                                                               \
    }
JOIN(cond_join, select_cond)
JOIN(terms_join, select_terms)

static struct select_cond *cond_not(struct ctx *ctx, struct select_cond *a)
{
    struct select_cond *c = ARENA_NEW(&ctx->arena, struct select_cond);
    c->kind = SELECT_NONE;
    c->first = a;
    return c;
}

static struct select_cond *cond_never(struct ctx *ctx)
{
    return cond_range(ctx, SELECT_SOURCE, -1, -1);
}

/* number_bounds: the numbers that pass a test; NE has those of EQ. */
static void number_bounds(const struct filter *f, int64_t *from, int64_t *to)
{
    const int64_t v = f->value.number;
    *from = f->op == FILTER_GT ? v + 1 : f->op == FILTER_LT || f->op == FILTER_LE ? INT64_MIN : v;
    *to = f->op == FILTER_LT ? v - 1 : f->op == FILTER_GT || f->op == FILTER_GE ? INT64_MAX : v;
}

/* As `severity` is that of the worst finding, one without findings has none. */
static struct select_cond *cond_severity(struct ctx *ctx, const struct finding_policy *policy, const struct filter *f)
{
    const enum check_severity s = (enum check_severity)f->value.number;
    struct select_cond *this_and_worse = cond_range(ctx, SELECT_FINDINGS, finding_policy_at_least(policy, s), 0);
    struct select_cond *worse =
        s == SEVERITY_CRITICAL ? cond_never(ctx)
                               : cond_range(ctx, SELECT_FINDINGS, finding_policy_at_least(policy, (enum check_severity)(s + 1)), 0);
    struct select_cond *any = cond_range(ctx, SELECT_FINDINGS, finding_policy_at_least(policy, SEVERITY_INFO), 0);
    switch (f->op) {
    case FILTER_GT:
        return worse;
    case FILTER_GE:
        return this_and_worse;
    case FILTER_LT:
        return cond_join(ctx, SELECT_ALL, any, cond_not(ctx, this_and_worse));
    case FILTER_LE:
        return cond_join(ctx, SELECT_ALL, any, cond_not(ctx, worse));
    default:
        return cond_join(ctx, SELECT_ALL, this_and_worse, cond_not(ctx, worse));
    }
}

/* "rsa-2048", "ec-p256", "ec". */
static struct select_cond *cond_key(struct ctx *ctx, const char *word)
{
    struct select_cond *any = NULL;
    for (int k = 0; k < CERT_KEY_COUNT; k++) {
        const char *kind = cert_key_word((enum cert_key_type)k);
        const size_t n = strlen(kind);
        if (str_equal(word, kind))
            return cond_range(ctx, SELECT_KEY_TYPE, k, k);
        int64_t bits = 0;
        if (!strncmp(word, kind, n) && word[n] == '-' && str_to_i64(bytes_z(word + n + 1), &bits))
            any = cond_join(ctx, SELECT_ALL, cond_range(ctx, SELECT_KEY_TYPE, k, k), cond_range(ctx, SELECT_KEY_BITS, bits, bits));
    }
    for (int c = 0; c < CERT_CURVE_COUNT && !any; c++) {
        const int64_t kind = KEY_KIND(CERT_KEY_EC, c);
        if (str_equal(word, inventory_key_word(ctx, kind, 0)))
            any = cond_range(ctx, SELECT_KEY_KIND, kind, kind);
    }
    return any ? any : cond_never(ctx);
}

/* An address as the database has it: IPv4 within IPv6, so that one order holds both. */
static struct bytes address_mapped(struct ctx *ctx, const struct cidr *net, bool last)
{
    uint8_t *out = arena_alloc(&ctx->arena, 16);
    const unsigned lead = net->base.len == 4 ? 12 : 0;
    if (lead) {
        out[10] = out[11] = 0xff;
    }
    memcpy(out + lead, net->base.ip, net->base.len);
    for (unsigned bit = lead * 8 + net->bits; last && bit < 128; bit++)
        out[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return bytes_of(out, 16);
}

static struct select_cond *cond_endpoint(struct ctx *ctx, const struct filter_value *v, bool under)
{
    if (v->net.base.len) {
        struct select_cond *c = cond_range(ctx, SELECT_SEEN_AT, v->port ? v->port : 0, v->port ? v->port : 65535);
        c->low = address_mapped(ctx, &v->net, false);
        c->high = address_mapped(ctx, &v->net, true);
        return c;
    }
    struct select_cond *host = cond_text(ctx, SELECT_SEEN_HOST, v->text);
    if (under)
        return cond_join(ctx, SELECT_ANY, cond_text(ctx, SELECT_SEEN_UNDER, v->text), host);
    struct select_cond *name = cond_text(ctx, SELECT_SEEN_NAME, v->text);
    if (v->port) {
        name->from = name->to = v->port;
        return cond_join(ctx, SELECT_ANY, name,
                         cond_text(ctx, SELECT_SEEN_NAME, arena_printf(&ctx->arena, "%s:%u", v->text, v->port)));
    }
    name = cond_join(ctx, SELECT_ANY, cond_text(ctx, SELECT_SEEN_LISTED, v->text), name);
    return cond_join(ctx, SELECT_ANY, cond_text(ctx, SELECT_SEEN_PLACE, v->text), cond_join(ctx, SELECT_ANY, host, name));
}

/* The first digits of a fingerprint: all that begin so. */
static struct select_cond *cond_print(struct ctx *ctx, const char *digits)
{
    struct select_cond *c = cond_new(ctx, SELECT_PRINT);
    char low[65], high[65];
    memset(low, '0', 64);
    memset(high, 'f', 64);
    low[64] = high[64] = 0;
    memcpy(low, digits, strlen(digits));
    memcpy(high, digits, strlen(digits));
    if (!get_hex(&ctx->arena, bytes_z(low), &c->low) || !get_hex(&ctx->arena, bytes_z(high), &c->high))
        return cond_never(ctx);
    return c;
}

static struct select_cond *cond_flag(struct ctx *ctx, const struct filter *f, int64_t bit)
{
    struct select_cond *c = cond_range(ctx, SELECT_FLAGS, bit, 0);
    return f->value.number ? c : cond_not(ctx, c);
}

static struct select_cond *cond_time(struct ctx *ctx, const struct filter *f, enum select_test test)
{
    struct filter as = *f;
    int64_t from, to;
    if (f->op == FILTER_NE)
        as.op = FILTER_EQ;
    filter_bounds(&as, ctx_now_s(ctx), &from, &to);
    return from <= to ? cond_range(ctx, test, from, to) : cond_never(ctx);
}

static struct select_cond *cond_number(struct ctx *ctx, const struct filter *f, enum select_test test)
{
    int64_t from, to;
    number_bounds(f, &from, &to);
    return cond_range(ctx, test, from, to);
}

static struct select_cond *cond_issuer(const struct planner *p, const struct filter *f)
{
    const struct issuers *of = issuers_of(p, f);
    if (of && !of->n)
        return cond_never(p->ctx);
    if (of) {
        struct select_cond *c = cond_new(p->ctx, SELECT_ISSUER);
        c->numbers = of->numbers;
        c->n = of->n;
        return c;
    }
    if (f->op == FILTER_HAS || f->field == FILTER_ISSUER)
        return NULL;
    return cond_text(p->ctx, f->field == FILTER_ISSUER_O ? SELECT_ISSUER_O : SELECT_ISSUER_CN, f->value.text);
}

/* What one test is to the database, NE as EQ; NULL where it does not know. */
static struct select_cond *cond_test(const struct planner *p, const struct filter *f)
{
    struct ctx *ctx = p->ctx;
    const struct finding_policy *policy = &p->policy;
    switch (f->field) {
    case FILTER_EXPIRES:
        return cond_time(ctx, f, SELECT_NOT_AFTER);
    case FILTER_ISSUED:
        return cond_time(ctx, f, SELECT_NOT_BEFORE);
    case FILTER_FIRST_SEEN:
        return cond_time(ctx, f, SELECT_FIRST_SEEN);
    case FILTER_LAST_SEEN:
        return cond_time(ctx, f, SELECT_LAST_SEEN);
    case FILTER_LIFETIME:
        return cond_number(ctx, f, SELECT_LIFETIME);
    case FILTER_KEY_BITS:
        return cond_number(ctx, f, SELECT_KEY_BITS);
    case FILTER_KEY:
        return cond_key(ctx, f->value.text);
    case FILTER_SIGNATURE:
        return cond_range(ctx, SELECT_SIGNATURE, f->value.number, f->value.number);
    case FILTER_SOURCE: /* its numbers begin with 1 */
        return cond_range(ctx, SELECT_SOURCE, f->value.number + 1, f->value.number + 1);
    case FILTER_MANAGED:
        /* An older version is neither: nobody who asks for either means it. */
        return cond_flag(ctx, f, CERTIFICATE_MANAGED | (f->value.number ? 0 : CERTIFICATE_SUPERSEDED));
    case FILTER_SUPERSEDED:
        return cond_flag(ctx, f, CERTIFICATE_SUPERSEDED);
    case FILTER_CA:
        return cond_flag(ctx, f, CERTIFICATE_CA);
    case FILTER_SELF_SIGNED:
        return cond_flag(ctx, f, CERTIFICATE_SELF_SIGNED);
    case FILTER_WILDCARD:
        return cond_flag(ctx, f, CERTIFICATE_WILDCARD);
    case FILTER_REVOKED:
        return cond_flag(ctx, f, CERTIFICATE_REVOKED);
    case FILTER_FINDING: {
        const struct check_info *check = findings_check_named(f->value.text);
        return check && finding_policy_is_on(policy, check) ? cond_range(ctx, SELECT_FINDINGS, CHECK_BIT(check->number), 0)
                                                            : cond_never(ctx);
    }
    case FILTER_SEVERITY:
        return cond_severity(ctx, policy, f);
    case FILTER_ISSUER:
    case FILTER_ISSUER_O:
    case FILTER_ISSUER_CN:
        return cond_issuer(p, f);
    case FILTER_FINGERPRINT:
        return strlen(f->value.text) == 2 * SHA1_LEN ? NULL : cond_print(ctx, f->value.text);
    case FILTER_TEAM:
        return cond_text(ctx, f->op == FILTER_UNDER ? SELECT_WITHIN_NAMED : SELECT_TEAM, f->value.text);
    case FILTER_TAG:
        return cond_text(ctx, SELECT_TAG, f->value.text);
    case FILTER_OWNER:
        return cond_text(ctx, SELECT_OWNER, f->value.text);
    case FILTER_UNOWNED: {
        struct select_cond *owned = cond_new(ctx, SELECT_OWNER);
        return f->value.number ? cond_not(ctx, owned) : owned;
    }
    case FILTER_ENDPOINT:
        return cond_endpoint(ctx, &f->value, f->op == FILTER_UNDER);
    case FILTER_PORT:
        return cond_number(ctx, f, SELECT_SEEN_PORT);
    default:
        return NULL;
    }
}

RC ask_place(struct ctx *ctx, const char *text, struct select_cond **out)
{
    struct filter *filter = NULL;
    *out = NULL;
    if (!text || !*text)
        return RC_OK;
    if (strpbrk(text, "\"\\"))
        return ctx_fail_field(ctx, "/at", "a host, address or network is meant, not %s", text);
    struct address address;
    const size_t before = strcspn(text, "/");
    const bool net = text[before] && address_parse(bytes_of(text, before), &address);
    const bool one = !net && (strchr(text, ':') || strchr(text, '/')); /* host:port, or a path */
    TRY(filter_parse(ctx, arena_printf(&ctx->arena, "endpoint %s \"%s\"", one ? "=" : "under", text), &filter));
    *out = cond_endpoint(ctx, &filter->value, filter->op == FILTER_UNDER);
    return RC_OK;
}

/* cond_of: the whole of a filter; NULL where a part of it is not the database's. */
static struct select_cond *cond_of(const struct planner *p, const struct filter *f)
{
    struct ctx *ctx = p->ctx;
    if (f->kind == FILTER_TEST) {
        struct select_cond *c = cond_test(p, f);
        return c && f->op == FILTER_NE ? cond_not(ctx, c) : c;
    }
    struct select_cond *all = ARENA_NEW(&ctx->arena, struct select_cond), **end = &all->first;
    all->kind = f->kind == FILTER_AND ? SELECT_ALL : f->kind == FILTER_OR ? SELECT_ANY : SELECT_NONE;
    for (const struct filter *k = f->first; k; k = k->next) {
        *end = cond_of(p, k);
        if (!*end)
            return NULL;
        end = &(*end)->next;
    }
    return all;
}

/* --- what is left for the certificates themselves */

static struct plan_part *part_bit(struct planner *p, struct select_cond *cond)
{
    struct plan_part *part = ARENA_NEW(&p->ctx->arena, struct plan_part);
    part->kind = FILTER_TEST;
    if (p->plan->bits_n == SELECT_BITS_MAX) {
        p->full = true;
        return part;
    }
    part->bit = (int)p->plan->bits_n;
    p->plan->bits[p->plan->bits_n++] = cond;
    return part;
}

/* part_of: parts of one AND or OR that the database knows are one bit. */
static struct plan_part *part_of(struct planner *p, const struct filter *f)
{
    struct select_cond *known = NULL, *cond = cond_of(p, f);
    if (cond)
        return part_bit(p, cond);
    struct plan_part *part = ARENA_NEW(&p->ctx->arena, struct plan_part), **end = &part->first;
    part->kind = f->kind;
    part->bit = -1;
    part->test = f;
    if (f->kind == FILTER_TEST) {
        p->plan->hashes |= f->field == FILTER_SPKI || f->field == FILTER_FINGERPRINT;
        return part;
    }
    for (const struct filter *k = f->first; k; k = k->next) {
        struct select_cond *c = cond_of(p, k);
        if (c) {
            known = cond_join(p->ctx, f->kind == FILTER_OR ? SELECT_ANY : SELECT_ALL, c, known);
            continue;
        }
        *end = part_of(p, k);
        end = &(*end)->next;
    }
    if (known)
        *end = part_bit(p, known);
    return part;
}

/* A word of a name, as inventory_terms() takes it: a label, or a part of it between hyphens. */
static bool label_has(struct bytes label, struct bytes word)
{
    struct bytes part;
    if (bytes_equal(label, word))
        return true;
    if (bytes_starts_with(label, BYTES_LIT("xn--")))
        return false;
    while (bytes_take_until(&label, '-', &part))
        if (bytes_equal(part, word))
            return true;
    return false;
}

static bool dns_passes(struct bytes raw, const struct filter *f, bool name_itself)
{
    struct name_text_dns dns;
    const struct bytes want = bytes_z(f->value.text);
    name_text_dns(raw, &dns);
    struct bytes name = bytes_of(dns.text, dns.n), label;
    if (f->op == FILTER_UNDER) {
        if (!bytes_ends_with(name, want))
            return false;
        return name.n == want.n || name.p[name.n - want.n - 1] == '.';
    }
    if (!name_itself)
        return false;
    if (f->op != FILTER_HAS)
        return bytes_equal(name, want);
    while (bytes_take_until(&name, '.', &label)) /* the last of several is no word */
        if ((name.n || label.n == dns.n) && label_has(label, want))
            return true;
    return false;
}

static bool general_passes(const struct cert_general_name *g, const struct filter *f)
{
    const bool same = f->op != FILTER_UNDER && f->op != FILTER_HAS;
    struct bytes v = g->value;
    size_t at;
    switch (g->type) {
    case CERT_GENERAL_DNS:
        return dns_passes(v, f, true);
    case CERT_GENERAL_IP:
        return same && f->value.net.base.len && v.n == f->value.net.base.len && !memcmp(v.p, f->value.net.base.ip, v.n);
    case CERT_GENERAL_EMAIL:
        at = bytes_find(v, BYTES_LIT("@"));
        if (same)
            return bytes_equal_nocase(v, bytes_z(f->value.text));
        return at != SIZE_MAX && bytes_skip(&v, at + 1) && dns_passes(v, f, false);
    case CERT_GENERAL_URI:
        at = bytes_find(v, BYTES_LIT("://"));
        if (at == SIZE_MAX || !bytes_skip(&v, at + 3))
            return false;
        for (size_t i = 0; i < v.n; i++)
            if (strchr("/?#:", v.p[i])) /* a NUL ends it too */
                v.n = i;
        at = bytes_find(v, BYTES_LIT("@"));
        if (at != SIZE_MAX)
            bytes_skip(&v, at + 1);
        return dns_passes(v, f, false);
    default:
        return false;
    }
}

static bool name_passes(const struct cert_fields *cert, const struct filter *f)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name g;
    while (cert_next_general_name(&rest, &g))
        if (general_passes(&g, f))
            return true;
    if (cert->san.n)
        return false;
    /* Where there are no alternative names the common name was the name. */
    return dns_passes(cert->subject.common_name.value, f, true);
}

static bool is_word_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
}

/* has_word: `word` stands in `text` with nothing of a word around it; both in small letters. */
static bool has_word(struct bytes text, struct bytes word)
{
    for (size_t at = 0; at + word.n <= text.n; at++) {
        if (memcmp(text.p + at, word.p, word.n))
            continue;
        const bool begins = at == 0 || !is_word_char(text.p[at - 1]);
        if (begins && (at + word.n == text.n || !is_word_char(text.p[at + word.n])))
            return true;
    }
    return false;
}

/* next_word takes the next word of a text in small letters. */
static bool next_word(struct bytes *text, struct bytes *word)
{
    size_t i = 0, n = 0;
    while (i < text->n && !is_word_char(text->p[i]))
        i++;
    while (i + n < text->n && is_word_char(text->p[i + n]))
        n++;
    *word = bytes_of(text->p + i, n);
    return n && bytes_skip(text, i + n);
}

/* text_passes: "=" is the text as it stands; "~" all words of the value, in any order. */
static bool text_passes(struct ctx *ctx, const char *text, const struct filter *f)
{
    if (f->op != FILTER_HAS)
        return str_equal(text, f->value.text);
    const struct bytes folded = bytes_z(inventory_fold(ctx, bytes_z(text)));
    struct bytes words = bytes_z(inventory_fold(ctx, bytes_z(f->value.text))), word;
    bool any = false;
    while (next_word(&words, &word)) {
        any = true;
        if (!has_word(folded, word))
            return false;
    }
    return any;
}

static bool hex_passes(struct ctx *ctx, struct bytes value, const struct filter *f, bool whole)
{
    const char *hex = hex_str(&ctx->arena, value);
    if (!whole)
        return !strncmp(hex, f->value.text, strlen(f->value.text));
    while (*hex == '0' && hex[1])
        hex++;
    return str_equal(hex, f->value.text);
}

/* test_passes: NE as EQ. */
static bool test_passes(struct ctx *ctx, const struct filter *f, const struct cert_fields *cert, const struct cert_digests *digests)
{
    struct arena *a = &ctx->arena;
    switch (f->field) {
    case FILTER_NAME:
        return name_passes(cert, f);
    case FILTER_ISSUER:
        return text_passes(ctx, name_text_dn(a, &cert->issuer), f);
    case FILTER_ISSUER_O:
        return text_passes(ctx, name_text_str(a, cert->issuer.organization), f);
    case FILTER_ISSUER_CN:
        return text_passes(ctx, name_text_str(a, cert->issuer.common_name), f);
    case FILTER_SUBJECT:
        return text_passes(ctx, name_text_dn(a, &cert->subject), f);
    case FILTER_SUBJECT_O:
        return text_passes(ctx, name_text_str(a, cert->subject.organization), f);
    case FILTER_SUBJECT_CN:
        return text_passes(ctx, name_text_str(a, cert->subject.common_name), f);
    case FILTER_SERIAL:
        return hex_passes(ctx, cert->serial, f, true);
    case FILTER_SPKI:
        return !digests || hex_passes(ctx, bytes_of(digests->spki_sha256, SHA256_LEN), f, false);
    case FILTER_FINGERPRINT:
        return !digests || hex_passes(ctx, bytes_of(digests->sha1, SHA1_LEN), f, false);
    default:
        return true;
    }
}

bool plan_sees(struct ctx *ctx, const struct plan_part *part, uint32_t bits, const struct cert_fields *cert,
               const struct cert_digests *digests)
{
    if (part->kind == FILTER_TEST && part->bit >= 0)
        return bits >> part->bit & 1;
    if (part->kind == FILTER_TEST)
        return test_passes(ctx, part->test, cert, digests) != (part->test->op == FILTER_NE);
    if (part->kind == FILTER_NOT)
        return !plan_sees(ctx, part->first, bits, cert, digests);
    const bool all = part->kind == FILTER_AND;
    for (part = part->first; part; part = part->next)
        if (plan_sees(ctx, part, bits, cert, digests) != all)
            return !all;
    return all;
}

/* --- terms */

static struct select_terms *term_new(struct ctx *ctx, const char *term)
{
    if (!term)
        return NULL;
    struct select_terms *t = ARENA_NEW(&ctx->arena, struct select_terms);
    t->kind = SELECT_TEST;
    t->term = term;
    return t;
}

static struct select_terms *term_of(struct ctx *ctx, const char *prefix, const char *text)
{
    return term_new(ctx, inventory_term_text(ctx, prefix, bytes_z(text)));
}

/* All words of a subject: each among its own, or those of its names. */
static struct select_terms *terms_subject(struct ctx *ctx, const struct filter *f)
{
    struct bytes words = bytes_z(inventory_fold(ctx, bytes_z(f->value.text))), word;
    struct select_terms *all = NULL;
    while (next_word(&words, &word)) {
        const char *w = arena_str(&ctx->arena, word);
        if (word.n < 2 || word.n > 100)
            continue;
        struct select_terms *one = term_of(ctx, "su:", w);
        if (f->field != FILTER_SUBJECT_O) /* a common name that is a name has its words there */
            one = terms_join(ctx, SELECT_ANY, one, term_new(ctx, inventory_term_word(ctx, word)));
        all = terms_join(ctx, SELECT_ALL, one, all);
    }
    return all;
}

static struct select_terms *terms_issuer(const struct planner *p, const struct filter *f)
{
    const struct issuers *of = issuers_of(p, f);
    struct select_terms *any = NULL;
    if (of && !of->n) /* nobody: what no certificate has */
        return term_new(p->ctx, "i:none");
    for (size_t i = 0; of && i < of->n; i++)
        any = terms_join(p->ctx, SELECT_ANY, term_of(p->ctx, "i:", hex_str(&p->ctx->arena, bytes_of(of->hashes[i].p, 8))), any);
    return any;
}

static struct select_terms *terms_name(struct ctx *ctx, const struct filter *f)
{
    const struct bytes name = bytes_z(f->value.text);
    if (f->op == FILTER_UNDER && inventory_term_under(ctx, name)) /* what lies below it, or is it */
        return terms_join(ctx, SELECT_ANY, term_new(ctx, inventory_term_under(ctx, name)),
                          term_new(ctx, inventory_term_exact(ctx, name)));
    if (f->op == FILTER_UNDER)
        return NULL;
    if (f->op == FILTER_HAS)
        return term_new(ctx, inventory_term_word(ctx, name));
    if (f->value.net.base.len)
        return term_of(ctx, "ip:", address_str(&ctx->arena, &f->value.net.base));
    if (memchr(name.p, '@', name.n))
        return term_of(ctx, "m:", f->value.text);
    return term_new(ctx, inventory_term_exact(ctx, name));
}

/* A serial number as inventory_terms() has it: whole bytes, twenty at most. */
static struct select_terms *terms_serial(struct ctx *ctx, const char *digits)
{
    const char *even = arena_printf(&ctx->arena, "%s%s", strlen(digits) % 2 ? "0" : "", digits);
    return term_new(ctx, arena_printf(&ctx->arena, "s:%.40s", even));
}

/* Terms that each certificate has which passes the filter: others may have them too.  NULL: none can be said. */
static struct rc terms_of(struct planner *p, const struct filter *f, struct select_terms **out)
{
    struct ctx *ctx = p->ctx;
    const char *text = f->value.text;
    *out = NULL;
    if (f->kind == FILTER_AND || f->kind == FILTER_OR) {
        struct select_terms *all = NULL, *one;
        for (const struct filter *k = f->first; k; k = k->next) {
            TRY(terms_of(p, k, &one));
            if (!one && f->kind == FILTER_OR)
                return RC_OK;
            all = terms_join(ctx, f->kind == FILTER_AND ? SELECT_ALL : SELECT_ANY, one, all);
        }
        *out = all;
        return RC_OK;
    }
    if (f->kind == FILTER_NOT || (f->op != FILTER_EQ && f->op != FILTER_HAS && f->op != FILTER_UNDER))
        return RC_OK;
    switch (f->field) {
    case FILTER_NAME:
        *out = terms_name(ctx, f);
        break;
    case FILTER_ISSUER:
    case FILTER_ISSUER_O:
    case FILTER_ISSUER_CN:
        *out = terms_issuer(p, f);
        break;
    case FILTER_SUBJECT_O:
    case FILTER_SUBJECT_CN:
        if (f->op == FILTER_EQ) {
            *out = term_new(ctx, inventory_term_hash(ctx, f->field == FILTER_SUBJECT_O ? "o:" : "cn:", bytes_z(text)));
            if (f->field == FILTER_SUBJECT_CN) /* one that is also a name is found by that */
                *out = terms_join(ctx, SELECT_ANY, *out, term_new(ctx, inventory_term_exact(ctx, bytes_z(text))));
            break;
        }
        *out = terms_subject(ctx, f);
        break;
    case FILTER_SUBJECT:
        if (f->op == FILTER_HAS)
            *out = terms_subject(ctx, f);
        break;
    case FILTER_SERIAL:
        *out = terms_serial(ctx, text);
        break;
    case FILTER_SPKI:
        *out = strlen(text) >= 16 ? term_new(ctx, arena_printf(&ctx->arena, "k:%.16s", text)) : NULL;
        break;
    case FILTER_FINGERPRINT:
        *out = strlen(text) == 2 * SHA1_LEN ? term_new(ctx, arena_printf(&ctx->arena, "sha1:%.16s", text)) : NULL;
        break;
    case FILTER_KEY:
        *out = term_of(ctx, "kt:", text);
        break;
    case FILTER_SIGNATURE:
        *out = term_of(ctx, "sa:", inventory_fold(ctx, bytes_z(text)));
        break;
    case FILTER_CA:
        *out = f->value.number ? term_new(ctx, "f:ca") : NULL;
        break;
    case FILTER_SELF_SIGNED:
        *out = f->value.number ? term_new(ctx, "f:selfsigned") : NULL;
        break;
    case FILTER_WILDCARD:
        *out = f->value.number ? term_new(ctx, "f:wildcard") : NULL;
        break;
    default:
        break;
    }
    return RC_OK;
}

/* --- issuers */

/* issuer_has: text_passes() of what the test asks for. */
static bool issuer_has(struct ctx *ctx, const struct q_issuer_name_first_row *row, const struct filter *f)
{
    const char *text = f->field == FILTER_ISSUER ? row->text : f->field == FILTER_ISSUER_O ? row->organization : row->common_name;
    return text_passes(ctx, text ? text : "", f);
}

/* Issuers by a name that is indexed, or by looking at all of them where they are few; `all` where no other one is meant. */
static struct rc issuers_find(struct planner *p, const struct filter *f, struct issuers *out, bool *all)
{
    struct ctx *ctx = p->ctx;
    size_t n = 0;
    *all = false;
    if (f->op != FILTER_HAS && f->field != FILTER_ISSUER) {
        struct q_issuer_name_of_row *rows = NULL;
        const char *o = f->field == FILTER_ISSUER_O ? f->value.text : NULL, *cn = o ? NULL : f->value.text;
        TRY(q_issuer_name_of(ctx, p->txn, o, cn, PLAN_ISSUERS_MAX + 1, &rows, &n));
        *all = n <= PLAN_ISSUERS_MAX && *f->value.text; /* "" also means those without */
        for (; *all && out->n < n; out->n++) {
            out->numbers[out->n] = rows[out->n].id;
            out->hashes[out->n] = rows[out->n].sha256;
        }
        return RC_OK;
    }
    struct q_issuer_name_first_row *rows = NULL;
    TRY(q_issuer_name_first(ctx, p->txn, ISSUERS_LOOKED_AT + 1, &rows, &n));
    if (n > ISSUERS_LOOKED_AT)
        return RC_OK;
    for (size_t i = 0; i < n; i++) {
        if (!issuer_has(ctx, &rows[i], f))
            continue;
        if (out->n == PLAN_ISSUERS_MAX)
            return RC_OK;
        out->numbers[out->n] = rows[i].id;
        out->hashes[out->n++] = rows[i].sha256;
    }
    *all = true;
    return RC_OK;
}

/* issuers_read finds those of all tests: they are asked for as conditions, as terms and as ways. */
static struct rc issuers_read(struct planner *p, const struct filter *f)
{
    for (const struct filter *k = f->kind == FILTER_TEST ? NULL : f->first; k; k = k->next)
        TRY(issuers_read(p, k));
    if (f->kind != FILTER_TEST || (f->field != FILTER_ISSUER && f->field != FILTER_ISSUER_O && f->field != FILTER_ISSUER_CN))
        return RC_OK;
    struct issuers *found = ARENA_NEW(&p->ctx->arena, struct issuers);
    bool all = false;
    found->test = f;
    TRY(issuers_find(p, f, found, &all));
    if (all) {
        found->next = p->issuers;
        p->issuers = found;
    }
    return RC_OK;
}

/* --- ways */

static struct plan_way *way_add(struct plan *plan, enum select_driver by)
{
    if (plan->ways_n == PLAN_WAYS_MAX - 2) /* room for teams, and for all */
        return NULL;
    struct plan_way *w = &plan->ways[plan->ways_n++];
    *w = (struct plan_way){.by = by};
    return w;
}

/* Whether few certificates are found by it at once. */
static bool found_at_once(const struct select_cond *c)
{
    if (c->kind == SELECT_ANY) {
        for (const struct select_cond *k = c->first; k; k = k->next)
            if (!found_at_once(k))
                return false;
        return true;
    }
    return c->kind == SELECT_TEST &&
           (c->test == SELECT_PRINT || (c->test >= SELECT_SEEN_AT && c->test < SELECT_SEEN_UNDER && c->test != SELECT_SEEN_PORT));
}

static int newest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static struct rc set_collect(struct planner *p, const struct select_cond *c, int64_t *ids, size_t *n)
{
    if (c->kind == SELECT_ANY) {
        for (const struct select_cond *k = c->first; k && *n <= SELECT_SET_MAX; k = k->next)
            TRY(set_collect(p, k, ids, n));
        return RC_OK;
    }
    int64_t *found = NULL;
    size_t found_n = 0;
    bool all = false;
    TRY(select_ids(p->ctx, p->txn, c, p->plan->scope, &found, &found_n, &all));
    if (!all)
        *n = SELECT_SET_MAX + 1; /* too many for a set */
    for (size_t i = 0; i < found_n && *n <= SELECT_SET_MAX; i++)
        ids[(*n)++] = found[i];
    return RC_OK;
}

static struct rc way_set(struct planner *p, const struct select_cond *c)
{
    int64_t *ids = arena_array(&p->ctx->arena, SELECT_SET_MAX + 1, sizeof *ids);
    size_t n = 0, kept = 0;
    if (!found_at_once(c))
        return RC_OK;
    TRY(set_collect(p, c, ids, &n));
    if (n > SELECT_SET_MAX)
        return RC_OK;
    qsort(ids, n, sizeof *ids, newest_first);
    for (size_t i = 0; i < n; i++)
        if (!kept || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    struct plan_way *w = way_add(p->plan, SELECT_BY_SET);
    if (w) {
        w->numbers = ids;
        w->n = kept;
    }
    return RC_OK;
}

static struct rc way_teams(struct planner *p, const char *team_id)
{
    struct q_team_numbers_row *rows = NULL;
    size_t n = 0;
    TRY(q_team_numbers(p->ctx, p->txn, team_id, SELECT_TEAMS_MAX + 1, &rows, &n));
    if (n > SELECT_TEAMS_MAX)
        return RC_OK;
    int64_t *numbers = arena_array(&p->ctx->arena, n, sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = rows[i].number;
    struct plan_way *w = way_add(p->plan, n ? SELECT_BY_WITHIN : SELECT_BY_SET); /* no team: nothing */
    if (w) {
        w->numbers = numbers;
        w->n = n;
    }
    return RC_OK;
}

static struct rc way_team_named(struct planner *p, const struct filter *f)
{
    struct q_team_by_name_row team;
    bool found = false;
    TRY(q_team_by_name(p->ctx, p->txn, f->value.text, &team, &found));
    return found ? way_teams(p, team.id) : RC_OK; /* of "=" this is more than is wanted, which does not matter */
}

/* ways_of adds the ways that one part of an AND opens; `bounds` narrow with it. */
static struct rc ways_of(struct planner *p, const struct filter *f, const struct select_cond *cond)
{
    struct plan *plan = p->plan;
    struct plan_way *w = NULL;
    if (cond)
        TRY(way_set(p, cond));
    if (f->kind != FILTER_TEST || f->op == FILTER_NE)
        return RC_OK;
    if (f->field == FILTER_TAG || f->field == FILTER_OWNER) {
        w = way_add(plan, f->field == FILTER_TAG ? SELECT_BY_TAG : SELECT_BY_OWNER);
        if (w)
            w->text = f->value.text;
    } else if (f->field == FILTER_MANAGED && f->value.number) {
        (void)way_add(plan, SELECT_BY_MANAGED);
    } else if (f->field == FILTER_FINDING) {
        const struct check_info *check = findings_check_named(f->value.text);
        w = check && finding_policy_is_on(&p->policy, check) ? way_add(plan, SELECT_BY_FINDING) : NULL;
        if (w)
            w->check = check->number;
    } else if (f->field == FILTER_TEAM) {
        return way_team_named(p, f);
    } else if (f->field == FILTER_EXPIRES) {
        int64_t from, to;
        filter_bounds(f, ctx_now_s(p->ctx), &from, &to);
        plan->from = from > plan->from ? from : plan->from;
        plan->to = to < plan->to ? to : plan->to;
        plan->bounded = true;
    }
    return RC_OK;
}

/* terms_say_all: who has the terms of this part passes it; they are the names themselves, but for the characters of an e-mail
 * address that no term has. */
static bool terms_say_all(const struct filter *f)
{
    if (f->kind == FILTER_TEST)
        return f->field == FILTER_NAME && f->op != FILTER_NE && !strchr(f->value.text, '@');
    for (const struct filter *k = f->first; k && f->kind == FILTER_OR; k = k->next)
        if (!terms_say_all(k))
            return false;
    return f->kind == FILTER_OR;
}

static void rest_add(struct planner *p, struct plan_part **all, struct plan_part *part)
{
    if (!*all) {
        *all = ARENA_NEW(&p->ctx->arena, struct plan_part);
        (*all)->kind = FILTER_AND;
        (*all)->bit = -1;
    }
    part->next = (*all)->first;
    (*all)->first = part;
}

/* is_column: a look at the row itself, which comes before those at other tables. */
static bool is_column(const struct select_cond *c)
{
    return c->kind == SELECT_NONE ? is_column(c->first) : c->kind == SELECT_TEST && c->test <= SELECT_PRINT;
}

/* issued_add keeps what issuers are asked for apart, where they are so few that they are a way: to go by it is to meet it.  Of
 * several the fewest are gone by. */
static bool issued_add(struct planner *p, const struct filter *f, struct select_cond *cond)
{
    const struct issuers *of = f->kind == FILTER_TEST && f->op != FILTER_NE ? issuers_of(p, f) : NULL;
    if (!of || !of->n || of->n > SELECT_ISSUERS_MAX)
        return false;
    p->known = true;
    if (p->by && p->by->n <= of->n) {
        p->plan->where = cond_join(p->ctx, SELECT_ALL, cond, p->plan->where);
        return true;
    }
    if (p->issued)
        p->plan->where = cond_join(p->ctx, SELECT_ALL, p->issued, p->plan->where);
    p->by = of;
    p->issued = cond;
    return true;
}

static struct rc plan_part_add(struct planner *p, const struct filter *f)
{
    struct select_terms *mine = NULL;
    struct select_cond *cond = cond_of(p, f);
    if (issued_add(p, f, cond))
        return RC_OK;
    TRY(terms_of(p, f, &mine));
    struct select_terms *again = mine ? arena_dup(&p->ctx->arena, mine, sizeof *mine) : NULL;
    p->terms = terms_join(p->ctx, SELECT_ALL, mine, p->terms);
    if (cond && again)
        p->known = p->more = true;
    else if (!cond)
        p->names = terms_join(p->ctx, SELECT_ALL, again, p->names);
    TRY(ways_of(p, f, cond));
    if (cond) {
        struct select_cond **to = is_column(cond) ? &p->plan->where : &p->dear;
        *to = cond_join(p->ctx, SELECT_ALL, cond, *to);
        return RC_OK;
    }
    struct plan_part *part = part_of(p, f), *copy = arena_dup(&p->ctx->arena, part, sizeof *part);
    rest_add(p, &p->plan->rest, part);
    if (!mine || !terms_say_all(f))
        rest_add(p, &p->plan->rest_after_terms, copy);
    return RC_OK;
}

static struct rc plan_parts(struct planner *p, const struct filter *f)
{
    if (f->kind != FILTER_AND)
        return plan_part_add(p, f);
    for (const struct filter *k = f->first; k; k = k->next)
        TRY(plan_parts(p, k));
    return RC_OK;
}

static void way_terms(struct plan *plan, const struct select_terms *terms, int64_t looks)
{
    struct plan_way *w = way_add(plan, SELECT_BY_TERMS);
    if (w) {
        w->terms = terms;
        w->looks = looks;
    }
}

static void way_issuers(struct plan *plan, const struct issuers *by)
{
    struct plan_way *w = way_add(plan, SELECT_BY_ISSUERS);
    if (w) {
        w->numbers = by->numbers;
        w->n = by->n;
    }
}

/* where_issued: what was kept apart holds on all other ways, and is looked at first. */
static void where_issued(struct planner *p)
{
    struct plan *plan = p->plan;
    plan->where_issued = plan->where;
    if (!p->issued || !plan->where) {
        plan->where = p->issued ? p->issued : plan->where;
        return;
    }
    struct select_cond *both = ARENA_NEW(&p->ctx->arena, struct select_cond);
    both->kind = SELECT_ALL;
    both->first = p->issued;
    p->issued->next = plan->where;
    plan->where = both;
}

RC plan_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct filter *filter, struct plan *out)
{
    struct planner p = {.ctx = ctx, .txn = txn, .plan = out};
    const char *scope = access_scope(ctx);
    *out = (struct plan){.from = INT64_MIN, .to = INT64_MAX, .scope = str_equal(scope, core->team_root) ? NULL : scope};
    if (filter) {
        TRY(finding_policy_read(ctx, txn, &p.policy));
        TRY(issuers_read(&p, filter));
        TRY(plan_parts(&p, filter));
    }
    out->where = cond_join(ctx, SELECT_ALL, out->where, p.dear);
    if (out->scope)
        out->where = cond_join(ctx, SELECT_ALL, cond_text(ctx, SELECT_WITHIN, scope), out->where);
    where_issued(&p);
    if (p.full)
        return ctx_fail_field(ctx, "/where", "the filter mixes too many things; split it in two");
    /* Names are rare, kinds of keys and issuers are not: to intersect what has millions costs more than to look at the row. */
    if (p.names && p.known)
        way_terms(out, p.names, NAMES_LOOKS);
    if (p.terms && (p.more || !p.names || !p.known))
        way_terms(out, p.terms, 0);
    if (p.by)
        way_issuers(out, p.by);
    if (out->scope) {
        const size_t before = out->ways_n;
        TRY(way_teams(&p, scope));
        if (out->ways_n > before) /* what others have is not gone through */
            return RC_OK;
    }
    if (!out->ways_n || out->ways[0].by != SELECT_BY_SET)
        out->ways[out->ways_n++] = (struct plan_way){.by = SELECT_BY_ID};
    return RC_OK;
}
