#include "core/finding_policy.h"

#include "base/json.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/finding_rules.h"
#include "pki/name.h"
#include "pki/name_text.h"
#include "store/queries.h"

#define DOCUMENT_MAX ((size_t)2 << 20)

/* --- reading */

static bool severity_of(const char *word, enum check_severity *out)
{
    for (int s = SEVERITY_INFO; s <= SEVERITY_CRITICAL; s++)
        if (str_equal(check_severity_word((enum check_severity)s), word)) {
            *out = (enum check_severity)s;
            return true;
        }
    return false;
}

static void usual(struct finding_policy *out)
{
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    *out = (struct finding_policy){.limits = findings_limits};
    for (size_t i = 0; i < n; i++)
        out->severity[checks[i].number] = checks[i].severity;
}

static enum check_limit limit_named(const struct check_info *check, const char *name)
{
    unsigned k = 0;
    while (k < CHECK_LIMITS && (findings_limit((enum check_limit)k)->check != check->number ||
                                !str_equal(findings_limit((enum check_limit)k)->id, name)))
        k++;
    return (enum check_limit)k;
}

static void reset(struct finding_policy *p, const struct check_info *check)
{
    p->off &= ~CHECK_BIT(check->number);
    p->severity[check->number] = check->severity;
    for (unsigned k = 0; k < CHECK_LIMITS; k++)
        if (findings_limit((enum check_limit)k)->check == check->number)
            p->limits.v[k] = findings_limits.v[k];
}

/* What another release has kept and this one does not know is passed over. */
static void rule_put(struct finding_policy *p, const struct check_info *check, const struct api_finding_rule *r)
{
    (void)severity_of(r->severity, &p->severity[check->number]);
    if (r->state)
        p->off = str_equal(r->state, "off") ? p->off | CHECK_BIT(check->number) : p->off & ~CHECK_BIT(check->number);
    for (size_t i = 0; i < r->limits.n; i++) {
        const enum check_limit k = limit_named(check, r->limits.v[i].name);
        if (k < CHECK_LIMITS)
            p->limits.v[k] = r->limits.v[i].value;
    }
}

static struct rc document_read(struct ctx *ctx, const char *text, struct api_finding_rules *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(text), &root));
    return api_finding_rules_decode(ctx, root, out);
}

static void list_take(struct ctx *ctx, const struct api_strings *from, struct str_list *to)
{
    *to = (struct str_list){0};
    for (size_t i = 0; i < from->n; i++)
        if (!str_list_has(to, from->v[i]))
            str_list_add(&ctx->arena, to, from->v[i]);
}

RC finding_policy_read(struct ctx *ctx, struct txn *txn, struct finding_policy *out)
{
    struct q_finding_policy_get_row row;
    struct api_finding_rules kept;
    bool found = false;
    usual(out);
    TRY(q_finding_policy_get(ctx, txn, &row, &found));
    if (!found)
        return RC_OK;
    TRY(ctx_wrap(ctx, document_read(ctx, row.document, &kept), "the rules of findings in the database"));
    list_take(ctx, &kept.domains, &out->domains);
    list_take(ctx, &kept.issuers, &out->issuers);
    list_take(ctx, &kept.inner_names, &out->inner_names);
    list_take(ctx, &kept.distrusted, &out->distrusted);
    for (size_t i = 0; i < kept.checks.n; i++) {
        const struct check_info *check = findings_check_named(kept.checks.v[i].check);
        if (check)
            rule_put(out, check, &kept.checks.v[i]);
    }
    out->revision = row.revision;
    out->changed_by = row.changed_by;
    out->changed_at = row.changed_at;
    return RC_OK;
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    return finding_policy_read(ctx, txn, arg);
}

RC finding_policy_show(struct ctx *ctx, struct core *core, struct finding_policy *out)
{
    return store_read(ctx, core->store, show, out);
}

/* --- asking */

bool finding_policy_is_on(const struct finding_policy *policy, const struct check_info *check)
{
    return !(policy->off & CHECK_BIT(check->number));
}

int64_t finding_policy_at_least(const struct finding_policy *policy, enum check_severity severity)
{
    int64_t bits = 0;
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    for (size_t i = 0; i < n; i++)
        if (policy->severity[checks[i].number] >= severity)
            bits |= CHECK_BIT(checks[i].number);
    return bits & ~policy->off;
}

const char *finding_policy_words(struct ctx *ctx, const struct finding_policy *policy, const struct check_info *check)
{
    struct bytes rest = bytes_z(check->words), part;
    struct buf b;
    if (bytes_find(rest, BYTES_LIT("{")) == SIZE_MAX)
        return check->words;
    buf_init_arena(&b, &ctx->arena, 4096);
    while (bytes_take_until(&rest, '{', &part)) {
        buf_put(&b, part);
        if (!bytes_take_until(&rest, '}', &part))
            break;
        const enum check_limit k = limit_named(check, arena_str(&ctx->arena, part));
        if (k < CHECK_LIMITS)
            buf_printf(&b, "%lld", (long long)policy->limits.v[k]);
    }
    return buf_z(&b);
}

struct finding_limits finding_policy_clock_limits(const struct finding_policy *policy)
{
    struct finding_limits limits = policy->limits;
    if (policy->off & CHECK_BIT(CHECK_EXPIRING_SOON)) /* then `expiring` holds until the end */
        limits.v[LIMIT_EXPIRING_SOON_DAYS] = 0;
    return limits;
}

bool finding_policy_distrusts(struct ctx *ctx, const struct finding_policy *policy, const struct cert_name *name, int64_t *from)
{
    if (policy && policy->distrusted.n) {
        const struct bytes o = bytes_z(name_text_str(&ctx->arena, name->organization)),
                           cn = bytes_z(name_text_str(&ctx->arena, name->common_name));
        for (size_t i = 0; i < policy->distrusted.n; i++) {
            const struct bytes who = bytes_z(policy->distrusted.v[i]);
            if (bytes_equal_nocase(o, who) || bytes_equal_nocase(cn, who)) {
                *from = 0;
                return true;
            }
        }
    }
    return finding_distrusted(ctx, name, from);
}

/* --- writing */

static struct api_strings strings_of(const struct str_list *list)
{
    return (struct api_strings){list->v, list->n};
}

/* What differs from the usual: the rest follows a newer release. */
static bool rule_of(struct ctx *ctx, const struct finding_policy *p, const struct check_info *check, struct api_finding_rule *out)
{
    struct api_finding_limit *limits = arena_array(&ctx->arena, CHECK_LIMITS, sizeof *limits);
    size_t n = 0;
    *out = (struct api_finding_rule){.check = check->id};
    if (!finding_policy_is_on(p, check))
        out->state = "off";
    if (p->severity[check->number] != check->severity)
        out->severity = check_severity_word(p->severity[check->number]);
    for (unsigned k = 0; k < CHECK_LIMITS; k++) {
        const struct check_limit_info *l = findings_limit((enum check_limit)k);
        if (l->check == check->number && p->limits.v[k] != l->usual)
            limits[n++] = (struct api_finding_limit){.name = l->id, .value = p->limits.v[k]};
    }
    out->limits = (struct api_finding_limit_list){limits, n};
    return out->state || out->severity || n;
}

static struct rc document_of(struct ctx *ctx, const struct finding_policy *p, const char **out)
{
    struct buf b;
    struct json_out j;
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    struct api_finding_rule *rules = arena_array(&ctx->arena, n, sizeof *rules);
    struct api_finding_rules kept = {.revision = p->revision,
                                     .domains = strings_of(&p->domains),
                                     .issuers = strings_of(&p->issuers),
                                     .inner_names = strings_of(&p->inner_names),
                                     .distrusted = strings_of(&p->distrusted),
                                     .checks = {rules, 0}};
    for (size_t i = 0; i < n; i++)
        kept.checks.n += rule_of(ctx, p, &checks[i], &rules[kept.checks.n]);
    buf_init_arena(&b, &ctx->arena, DOCUMENT_MAX);
    json_begin(&j, &b);
    api_finding_rules_encode(&j, NULL, &kept);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static bool same_list(const struct str_list *a, const struct str_list *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = str_equal(a->v[i], b->v[i]);
    return same;
}

/* Whether certificates have the same findings by both. */
static bool judges_alike(const struct finding_policy *a, const struct finding_policy *b)
{
    const struct finding_limits x = finding_policy_clock_limits(a), y = finding_policy_clock_limits(b);
    return !memcmp(&x, &y, sizeof x) && same_list(&a->domains, &b->domains) && same_list(&a->issuers, &b->issuers) &&
           same_list(&a->inner_names, &b->inner_names) && same_list(&a->distrusted, &b->distrusted);
}

static struct rc put(struct ctx *ctx, struct txn *txn, const struct finding_policy *before, struct finding_policy *now,
                     const char *file, const char *team)
{
    const char *document = NULL, *was = NULL;
    now->revision = before->revision + 1;
    TRY(document_of(ctx, before, &was));
    TRY(document_of(ctx, now, &document));
    TRY(q_finding_policy_put(ctx, txn,
                             &(struct q_finding_policy_put_in){.revision = now->revision,
                                                               .document = document,
                                                               .file = file,
                                                               .changed_by = ctx->principal->name,
                                                               .now = ctx_now_s(ctx)}));
    if (!judges_alike(before, now))
        TRY(q_finding_sweep_put(ctx, txn, "", false));
    return audit_write(ctx, txn, "finding.rule", "finding-rules", "1", team, audit_change(ctx, bytes_z(was), bytes_z(document)));
}

RC finding_policy_take(struct ctx *ctx, struct core *core, struct txn *txn, const struct finding_settings *settings)
{
    struct finding_policy said, before, now;
    struct api_finding_rules kept;
    struct q_finding_policy_get_row row;
    const char *file = NULL;
    bool found = false;
    usual(&said);
    said.domains = settings->domains;
    said.issuers = settings->issuers;
    said.inner_names = settings->inner_names;
    TRY(document_of(ctx, &said, &file));
    TRY(ctx_wrap(ctx, document_read(ctx, file, &kept), "findings in hub.yaml"));
    TRY(q_finding_policy_get(ctx, txn, &row, &found));
    if (found && str_equal(row.file, file))
        return RC_OK;
    TRY(finding_policy_read(ctx, txn, &before));
    now = before;
    now.domains = said.domains;
    now.issuers = said.issuers;
    now.inner_names = said.inner_names;
    if (!found && judges_alike(&before, &now)) /* nothing is said, and nobody has said anything */
        return RC_OK;
    const struct principal *was = ctx->principal;
    ctx->principal = access_hub(ctx, core);
    struct rc rc = put(ctx, txn, &before, &now, file, core->team_root);
    ctx->principal = was;
    return rc;
}

/* --- what people change */

struct change {
    struct core *core;
    int64_t revision;
    const struct api_finding_rules_patch *in;
};

static struct rc limits_check(struct ctx *ctx, const struct check_info *check, size_t at,
                              const struct api_finding_limit_list *limits)
{
    for (size_t i = 0; i < limits->n; i++) {
        const struct api_finding_limit *l = &limits->v[i];
        const char *field = arena_printf(&ctx->arena, "/checks/%zu/limits/%zu", at, i);
        const enum check_limit k = limit_named(check, l->name);
        if (k == CHECK_LIMITS)
            return ctx_fail_field(ctx, field, "%s has no limit %s; certwright finding rules shows which it has", check->id,
                                  l->name);
        const struct check_limit_info *info = findings_limit(k);
        if (l->value < info->least || l->value > info->most)
            return ctx_fail_field(ctx, field, "%s of %s is from %lld to %lld, not %lld", l->name, check->id, (long long)info->least,
                                  (long long)info->most, (long long)l->value);
    }
    return RC_OK;
}

static struct rc rules_put(struct ctx *ctx, const struct api_finding_rule_list *rules, struct finding_policy *p)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct api_finding_rule *r = &rules->v[i];
        const struct check_info *check = findings_check_named(r->check);
        if (!check)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/checks/%zu/check", i),
                                  "there is no check %s; certwright finding rules shows them", r->check);
        TRY(limits_check(ctx, check, i, &r->limits));
        if (str_equal(r->state, "usual"))
            reset(p, check);
        rule_put(p, check, r);
    }
    return RC_OK;
}

static struct rc domains_check(struct ctx *ctx, const struct api_strings *domains)
{
    struct name name;
    for (size_t i = 0; i < domains->n; i++)
        if (rc_failed(name_parse_dns(ctx, bytes_z(domains->v[i]), &name))) {
            ctx_forget(ctx);
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/domains/%zu", i), "%.253s is no domain such as example.org",
                                  domains->v[i]);
        }
    return RC_OK;
}

static struct rc change(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct change *c = arg;
    const struct api_finding_rules_patch *in = c->in;
    struct finding_policy before, now;
    struct q_finding_policy_get_row row;
    bool found = false;
    TRY(decide(ctx, c->core, txn, "finding.rule", c->core->team_root));
    TRY(q_finding_policy_get(ctx, txn, &row, &found));
    TRY(finding_policy_read(ctx, txn, &before));
    if (c->revision && c->revision != before.revision)
        return ctx_fail(ctx, E_CHANGED, "the rules of findings were changed meanwhile: they have revision %lld",
                        (long long)before.revision);
    now = before;
    if (in->has_domains)
        list_take(ctx, &in->domains, &now.domains);
    if (in->has_issuers)
        list_take(ctx, &in->issuers, &now.issuers);
    if (in->has_inner_names)
        list_take(ctx, &in->inner_names, &now.inner_names);
    if (in->has_distrusted)
        list_take(ctx, &in->distrusted, &now.distrusted);
    if (in->has_checks)
        TRY(rules_put(ctx, &in->checks, &now));
    const char *file = found ? row.file : NULL;
    if (!file)
        TRY(document_of(ctx, &before, &file)); /* as hub.yaml that says nothing */
    return put(ctx, txn, &before, &now, file, c->core->team_root);
}

RC finding_policy_change(struct ctx *ctx, struct core *core, int64_t revision, const struct api_finding_rules_patch *in)
{
    struct change c = {.core = core, .revision = revision, .in = in};
    TRY(domains_check(ctx, &in->domains));
    return store_write(ctx, core->store, change, &c);
}
