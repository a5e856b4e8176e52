#include "signer/ceilings.h"

#include "base/address.h"
#include "pki/der.h"
#include "signer/people.h"

/* --- name constraints of the certificates themselves */

#define GENERAL_NAME_DNS DER_CONTEXT(2)
#define GENERAL_NAME_IP  DER_CONTEXT(7)

static bool ip_within(struct bytes ip, struct bytes subtree)
{
    if (subtree.n != 2 * ip.n)
        return false;
    for (size_t i = 0; i < ip.n; i++)
        if (((ip.p[i] ^ subtree.p[i]) & subtree.p[ip.n + i]) != 0)
            return false;
    return true;
}

struct subtrees {
    bool some; /* there is at least one of the name's kind */
    bool hit;
};

static bool look(struct bytes list, const struct name *name, struct subtrees *out)
{
    *out = (struct subtrees){0};
    while (list.n > 0) {
        struct bytes subtree, value;
        uint8_t tag = 0;
        if (!der_take_tag(&list, DER_SEQUENCE, &subtree) || !der_take(&subtree, &tag, &value))
            return false;
        if (tag == GENERAL_NAME_DNS && name->kind == NAME_DNS) {
            out->some = true;
            out->hit |= name_within(bytes_z(name->text), value);
        } else if (tag == GENERAL_NAME_IP && name->kind == NAME_IP && value.n == 2 * name->ip.n) {
            out->some = true;
            out->hit |= ip_within(name->ip, value);
        }
    }
    return true;
}

static RC constrained(struct ctx *ctx, const struct cert *ca, const struct name *name)
{
    if (ca->name_constraints.n == 0)
        return RC_OK;
    struct bytes body, permitted, excluded;
    bool has_permitted = false, has_excluded = false;
    struct subtrees in = {0}, out = {0};
    if (!der_only(ca->name_constraints, DER_SEQUENCE, &body) ||
        !der_take_optional(&body, DER_CONTEXT_CONS(0), &permitted, &has_permitted) ||
        !der_take_optional(&body, DER_CONTEXT_CONS(1), &excluded, &has_excluded) || body.n > 0 ||
        (has_permitted && !look(permitted, name, &in)) || (has_excluded && !look(excluded, name, &out)))
        return ctx_fail(ctx, E_CEILING, "the name constraints of %s cannot be read", ca->subject.text);
    if ((in.some && !in.hit) || out.hit)
        return ctx_fail(ctx, E_CEILING, "the name constraints of %s do not permit %s", ca->subject.text, name->text);
    return RC_OK;
}

/* --- the signer's own */

static bool dns_permitted(const struct str_list *suffixes, const char *name)
{
    for (size_t i = 0; i < suffixes->n; i++)
        if (name_within(bytes_z(name), bytes_z(suffixes->v[i])))
            return true;
    return suffixes->n == 0;
}

/* Who limits names means that these alone are certified: addresses then need networks of their own. */
static bool ip_permitted(const struct ceilings *c, struct bytes ip)
{
    const struct str_list *networks = &c->permitted_ip;
    struct address a = {.len = (uint8_t)ip.n};
    memcpy(a.ip, ip.p, ip.n);
    for (size_t i = 0; i < networks->n; i++) {
        struct cidr net;
        if (cidr_parse(bytes_z(networks->v[i]), &net) && cidr_has(&net, &a))
            return true;
    }
    return networks->n == 0 && c->permitted_dns.n == 0;
}

RC ceilings_check_names(struct ctx *ctx, const struct ca *ca, const struct name_list *names)
{
    for (size_t i = 0; i < names->n; i++) {
        const struct name *name = &names->v[i];
        bool permitted = name->kind == NAME_DNS ? dns_permitted(&ca->ceilings.permitted_dns, name->text)
                                                : ip_permitted(&ca->ceilings, name->ip);
        if (!permitted)
            return ctx_fail(ctx, E_CEILING, "the CA %s is not permitted to issue for %s: a CA officer can change its ceilings",
                            ca->f.name, name->text);
        TRY(constrained(ctx, &ca->cert, name));
        for (size_t k = 0; k < ca->f.chain_n; k++)
            TRY(constrained(ctx, &ca->above[k], name));
    }
    return RC_OK;
}

RC ceilings_check(struct ctx *ctx, const struct ca *ca, const char *profile, const struct name_list *names, int64_t validity_s)
{
    if (!str_list_has(&ca->ceilings.profiles, profile))
        return ctx_fail(ctx, E_CEILING,
                        "the CA %s is not permitted to issue with the profile %s: a CA officer can change its ceilings", ca->f.name,
                        profile);
    if (validity_s > ca->ceilings.max_validity_s)
        return ctx_fail(ctx, E_CEILING,
                        "the CA %s is not permitted to issue for longer than %lld s (%lld asked): a CA officer can change "
                        "its ceilings",
                        ca->f.name, (long long)ca->ceilings.max_validity_s, (long long)validity_s);
    return ceilings_check_names(ctx, ca, names);
}

/* Minutes in the future count: a clock that was put back gives no second helping. */
int64_t ceilings_issued_last_hour(const struct ca *ca, int64_t now)
{
    int64_t n = 0;
    for (size_t i = 0; i < 60; i++)
        if (ca->issued_in[i].minute > now / 60 - 60)
            n += ca->issued_in[i].n;
    return n;
}

RC ceilings_count(struct ctx *ctx, struct ca *ca, int64_t now)
{
    if (ceilings_issued_last_hour(ca, now) + ca->issuing >= ca->ceilings.per_hour)
        return ctx_fail(ctx, E_CEILING, "the CA %s has issued the %lld certificates that its ceilings permit in one hour",
                        ca->f.name, (long long)ca->ceilings.per_hour);
    ca->issuing++;
    return RC_OK;
}

/* --- messages */

static struct wire_texts texts_of(const struct str_list *l)
{
    return (struct wire_texts){l->v, l->n};
}

static RC ceilings_answer(struct signer *s, struct work *w)
{
    struct wire_signer_ceilings *out = w->out;
    const struct ca *ca = w->state;
    const struct ceilings *c = &ca->ceilings;
    *out = (struct wire_signer_ceilings){
        .ca = ca->f.name,
        .max_validity_s = c->max_validity_s,
        .per_hour = c->per_hour,
        .permitted_dns = texts_of(&c->permitted_dns),
        .permitted_ip = texts_of(&c->permitted_ip),
        .profiles = texts_of(&c->profiles),
        .path_length = ca->f.path_length,
        .issued_last_hour = ceilings_issued_last_hour(ca, clock_unix_s(s->clock)),
    };
    return RC_OK;
}

RC ceilings_get_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_ceilings_get *in = w->in;
    struct ca *ca = NULL;
    TRY(state_ca(w->ctx, s, in->ca, &ca));
    w->state = ca;
    w->answer = ceilings_answer;
    return RC_OK;
}

static RC read_ceilings(struct ctx *ctx, const struct wire_signer_ceilings_set *in, struct ceilings *c)
{
    static const char *const profiles[] = {"tls-server", "tls-client", "tls-mutual"};
    *c = (struct ceilings){.max_validity_s = in->max_validity_s, .per_hour = in->per_hour};
    for (size_t i = 0; i < in->permitted_dns.n; i++) {
        struct name name;
        TRY(name_parse_dns(ctx, bytes_z(in->permitted_dns.v[i]), &name));
        if (name_is_wildcard(&name))
            return ctx_fail(ctx, E_INVALID, "%s: a suffix holds all names below it; leave out the wildcard", name.text);
        str_list_add(&ctx->arena, &c->permitted_dns, name.text);
    }
    for (size_t i = 0; i < in->permitted_ip.n; i++) {
        struct cidr net;
        if (!cidr_parse(bytes_z(in->permitted_ip.v[i]), &net))
            return ctx_fail(ctx, E_INVALID, "%s is no network like 192.0.2.0/24 or 2001:db8::/32", in->permitted_ip.v[i]);
        str_list_add(&ctx->arena, &c->permitted_ip, in->permitted_ip.v[i]);
    }
    for (size_t i = 0; i < in->profiles.n; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof profiles / sizeof profiles[0]; k++)
            known |= strcmp(in->profiles.v[i], profiles[k]) == 0;
        if (!known)
            return ctx_fail(ctx, E_INVALID, "no profile is named %s", in->profiles.v[i]);
        if (strcmp(in->ca, CA_NAME_FLEET) == 0)
            return ctx_fail(ctx, E_CEILING, "no profile can name the fleet CA");
        str_list_add(&ctx->arena, &c->profiles, in->profiles.v[i]);
    }
    return RC_OK;
}

RC ceilings_set_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_ceilings_set *in = w->in;
    struct ca *ca = NULL;
    struct ceilings c;
    TRY(state_ca(w->ctx, s, in->ca, &ca));
    TRY(read_ceilings(w->ctx, in, &c));
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)1 << 20);
    ceilings_put(&b, ca->f.name, &c);
    w->state = ca;
    w->answer = ceilings_answer;
    return work_journal(s, w, RECORD_CEILINGS, &b);
}

/* "names: any now, example.org from then on"; or a line for each that comes and goes. */
static void list_words(struct buf *out, const char *what, const char *none, const struct str_list *before,
                       const struct str_list *after)
{
    bool other = before->n != after->n;
    for (size_t i = 0; i < after->n; i++)
        other |= !str_list_has(before, after->v[i]);
    for (size_t i = 0; i < before->n; i++)
        other |= !str_list_has(after, before->v[i]);
    if (!other)
        return;
    for (size_t i = 0; i < before->n; i++)
        if (!str_list_has(after, before->v[i]))
            buf_printf(out, "%s: no longer %s\n", what, before->v[i]);
    for (size_t i = 0; i < after->n; i++)
        if (!str_list_has(before, after->v[i]))
            buf_printf(out, "%s: also %s\n", what, after->v[i]);
    if (before->n == 0)
        buf_printf(out, "%s: no longer %s\n", what, none);
    if (after->n == 0)
        buf_printf(out, "%s: from then on %s\n", what, none);
}

RC ceilings_words(struct signer *s, struct work *w, struct buf *out)
{
    const struct wire_signer_ceilings_set *in = w->in;
    struct ca *ca = NULL;
    struct ceilings c;
    TRY(state_ca(w->ctx, s, in->ca, &ca));
    TRY(read_ceilings(w->ctx, in, &c));
    const struct ceilings *now = &ca->ceilings;
    buf_printf(out, "ceilings of CA %s\n", ca->f.name);
    if (now->max_validity_s != c.max_validity_s)
        buf_printf(out, "longest validity: %lld s now, %lld s from then on\n", (long long)now->max_validity_s,
                   (long long)c.max_validity_s);
    if (now->per_hour != c.per_hour)
        buf_printf(out, "certificates an hour: %lld now, %lld from then on\n", (long long)now->per_hour, (long long)c.per_hour);
    list_words(out, "names", "any", &now->permitted_dns, &c.permitted_dns);
    list_words(out, "addresses", "any that its names leave", &now->permitted_ip, &c.permitted_ip);
    list_words(out, "profiles", "none", &now->profiles, &c.profiles);
    return RC_OK;
}
