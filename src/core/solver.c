#include "core/solver.h"

#include "core/access.h"
#include "core/agent.h"
#include "pki/name.h"

static const struct method {
    const char *name;
    bool dns;
} methods[] = {
    {"http-01", false}, {"tls-alpn-01", false}, {"dns-01", true}, {"dns-account-01", true}, {"dns-persist-01", true},
};

bool solver_is_dns(const char *method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (str_equal(methods[i].name, method))
            return methods[i].dns;
    return false;
}

const char *solver_pick(const char *asked, const struct solver_name *name, const char **why)
{
    const bool automatic = !asked || str_equal(asked, "auto");
    const char *method = !automatic                         ? asked
                         : name->wildcard                   ? "dns-01"
                         : name->ip                         ? "http-01"
                         : name->unserved && name->provided ? "dns-01"
                                                            : "http-01";
    *why = NULL;
    if (name->wildcard && !solver_is_dns(method))
        *why = "a wildcard can be proved in DNS alone";
    else if (name->ip && solver_is_dns(method))
        *why = "an IP address cannot be proved in DNS";
    else if (solver_is_dns(method) && !name->provided)
        *why = "no DNS provider answers for it";
    else if (name->unserved && str_equal(method, "http-01"))
        *why = "http-01 is to be answered where it is served, and it has no target";
    return *why ? NULL : method;
}

RC solver_owner_of(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, struct solver_owner *out)
{
    struct q_managed_by_id_row m;
    struct q_managed_targets_row *targets = NULL;
    size_t n = 0;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    TRY(q_managed_targets(ctx, txn, m.rehearses ? m.rehearses : m.id, &targets, &n));
    *out = (struct solver_owner){.team = m.team_id, .targets = n > 0};
    str_list_add(&ctx->arena, &out->agents, a->agent_id);
    return RC_OK;
}

static const char *base_of(const char *name)
{
    return strncmp(name, "*.", 2) == 0 ? name + 2 : name;
}

/* The hub's own agent makes the keys of whatever names no other: a grant to it would be one to every team. */
static struct rc agents_granted(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, struct str_list *out)
{
    struct q_agent_first_row own;
    bool found = false;
    *out = (struct str_list){0};
    if (owner->agents.n)
        TRY(q_agent_first(ctx, txn, &own, &found));
    for (size_t i = 0; i < owner->agents.n; i++)
        if (!found || !str_equal(owner->agents.v[i], own.id))
            str_list_add(&ctx->arena, out, owner->agents.v[i]);
    if (!out->n)
        str_list_add(&ctx->arena, out, "");
    return RC_OK;
}

/* The first of those who answer for a zone that may do so for the name: they come with the fewest failures first. */
static struct rc answering(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const struct str_list *agents,
                           const char *zone, const char *name, struct q_dns_answering_row *out, bool *found)
{
    for (size_t k = 0; k < agents->n && !*found; k++) {
        struct q_dns_answering_row *rows = NULL;
        size_t n = 0;
        TRY(q_dns_answering(ctx, txn, zone, owner->team, agents->v[k], &rows, &n));
        for (size_t i = 0; i < n && !*found; i++) {
            if (*rows[i].under && !name_within(bytes_z(name), bytes_z(rows[i].under)))
                continue;
            if (!rows[i].above || !out->id)
                *out = rows[i];
            *found = !rows[i].above;
        }
    }
    return RC_OK;
}

RC solver_provider(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *name,
                   struct q_dns_answering_row *out, bool *found)
{
    struct str_list agents;
    *found = false;
    *out = (struct q_dns_answering_row){0};
    TRY(agents_granted(ctx, txn, owner, &agents));
    for (const char *zone = base_of(name); zone && *zone && !*found;) {
        TRY(answering(ctx, txn, owner, &agents, zone, base_of(name), out, found));
        zone = strchr(zone, '.');
        if (zone)
            zone++;
    }
    return RC_OK;
}

RC solver_ungranted(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *name,
                    const struct q_dns_answering_row *above, const char **out)
{
    struct q_team_name_row team;
    *out = arena_printf(&ctx->arena,
                        "no DNS provider answers for it; enter one: certwright dns add NAME --provider PROVIDER --agent AGENT "
                        "--zone %s, or have one granted",
                        base_of(name));
    if (!above->id)
        return RC_OK;
    TRY(q_team_name(ctx, txn, owner->team, &team));
    *out = arena_printf(&ctx->arena,
                        "DNS provider %s of a team above could answer for it, but is not granted to team %s: certwright dns grant "
                        "%s --team %s --under %s",
                        above->name, team.name, above->name, team.name, base_of(name));
    return RC_OK;
}

/* What to do about a name that cannot be proved. */
static struct rc unproved(struct ctx *ctx, const char *issuer, const struct issuer_settings *s, const char *name,
                          const struct solver_name *n, const char *why, const char *ungranted)
{
    const bool dns = n->wildcard || solver_is_dns(s->challenge_method);
    if (dns && !n->ip && !n->provided)
        return ctx_fail(ctx, E_CONFLICT, "%s: %s", name, ungranted);
    if (n->unserved && !n->wildcard)
        return ctx_fail(ctx, E_CONFLICT,
                        "%s: %s; name one with --to, or let issuer %s have a listener (certwright issuer edit %s --via listener); "
                        "for dns-01: %s",
                        name, why, issuer, issuer, ungranted);
    return ctx_fail(ctx, E_CONFLICT,
                    "%s: %s, and issuer %s proves names by %s; let it choose: certwright issuer edit %s --challenge auto", name,
                    why, issuer, s->challenge_method, issuer);
}

RC solver_methods(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *issuer,
                  const struct issuer_settings *s, const struct str_list *names, struct str_list *out)
{
    bool usual = true;
    *out = (struct str_list){0};
    if (!str_equal(s->kind, "acme"))
        return RC_OK;
    for (size_t i = 0; i < names->n; i++) {
        uint8_t ip[16];
        size_t ip_n = 0;
        struct q_dns_answering_row provider = {0};
        const char *why = NULL, *ungranted = NULL;
        struct solver_name n = {.wildcard = base_of(names->v[i]) != names->v[i],
                                .ip = ip_parse(bytes_z(names->v[i]), ip, &ip_n),
                                .unserved = !owner->targets && (!s->challenge_via || str_equal(s->challenge_via, "target"))};
        if (!n.ip && (n.wildcard || n.unserved || solver_is_dns(s->challenge_method)))
            TRY(solver_provider(ctx, txn, owner, names->v[i], &provider, &n.provided));
        const char *method = solver_pick(s->challenge_method, &n, &why);
        if (!method) {
            TRY(solver_ungranted(ctx, txn, owner, names->v[i], &provider, &ungranted));
            return unproved(ctx, issuer, s, names->v[i], &n, why, ungranted);
        }
        usual = usual && str_equal(method, "http-01");
        str_list_add(&ctx->arena, out, method);
    }
    if (usual) /* what agents of older releases do anyway */
        *out = (struct str_list){0};
    return RC_OK;
}

static bool same_base(struct ctx *ctx, const char *a, const char *b)
{
    struct name x, y;
    const char *kinds[] = {"dns:", "ip:"};
    for (size_t i = 0; i < 2; i++) {
        a += strncmp(a, kinds[i], strlen(kinds[i])) == 0 ? strlen(kinds[i]) : 0;
        b += strncmp(b, kinds[i], strlen(kinds[i])) == 0 ? strlen(kinds[i]) : 0;
    }
    const bool parsed = rc_ok(name_parse(ctx, bytes_z(base_of(a)), &x)) && rc_ok(name_parse(ctx, bytes_z(base_of(b)), &y));
    if (!parsed)
        ctx_forget(ctx);
    return parsed && name_equal(&x, &y);
}

RC solver_was_asked(struct ctx *ctx, const char *payload, const char *identifier, const char *type)
{
    json_auto_t *root = NULL;
    const json_t *names = NULL, *asked = NULL;
    TRY(json_read(ctx, bytes_z(payload), &root));
    TRY(json_get_list(ctx, root, "identifiers", true, &names));
    TRY(json_get_list(ctx, root, "methods", false, &asked));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        const char *method = json_string_value(json_array_get(asked, i));
        if (name && same_base(ctx, name, identifier) && str_equal(method ? method : "http-01", type))
            return RC_OK;
    }
    return ctx_fail(ctx, E_BAD_ANSWER, "the agent took a challenge of type %s for %s, which was not asked for", type, identifier);
}

RC solver_owner_wished(struct ctx *ctx, struct txn *txn, const char *team, const struct wish *w, const struct str_list *targets,
                       struct solver_owner *out)
{
    const char *maker = NULL;
    *out = (struct solver_owner){.team = team, .targets = targets->n > 0};
    if (w->key_agent) {
        TRY(agent_named(ctx, txn, w->key_agent, &maker));
        str_list_add(&ctx->arena, &out->agents, maker);
        return RC_OK;
    }
    for (size_t i = 0; i < targets->n; i++) {
        struct q_target_by_id_row t;
        TRY(q_target_by_id(ctx, txn, targets->v[i], &t));
        if (!str_list_has(&out->agents, t.agent_id))
            str_list_add(&ctx->arena, &out->agents, t.agent_id);
    }
    return RC_OK;
}

RC solver_check(struct ctx *ctx, struct txn *txn, const char *team, const struct wish *w, const struct str_list *issuers,
                const struct str_list *targets)
{
    struct solver_owner owner;
    TRY(solver_owner_wished(ctx, txn, team, w, targets, &owner));
    for (size_t i = 0; i < issuers->n; i++) {
        struct q_issuer_by_id_row row;
        struct issuer_settings s;
        struct str_list ignored;
        TRY(q_issuer_by_id(ctx, txn, issuers->v[i], &row));
        TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
        TRY(solver_methods(ctx, txn, &owner, row.name, &s, &w->names, &ignored));
    }
    return RC_OK;
}

static bool is_below(const struct str_list *names, const struct str_list *zones)
{
    for (size_t i = 0; i < names->n; i++)
        for (size_t k = 0; k < zones->n; k++)
            if (name_within(bytes_z(names->v[i]), bytes_z(zones->v[k])))
                return true;
    return false;
}

static struct rc still_proves(struct ctx *ctx, struct txn *txn, const struct q_managed_acme_row *m, const struct wish *w)
{
    struct q_managed_issuers_row *i = NULL;
    struct q_managed_targets_row *t = NULL;
    struct str_list issuers = {0}, targets = {0};
    size_t n = 0;
    TRY(q_managed_issuers(ctx, txn, m->id, &i, &n));
    for (size_t k = 0; k < n; k++)
        str_list_add(&ctx->arena, &issuers, i[k].issuer_id);
    TRY(q_managed_targets(ctx, txn, m->id, &t, &n));
    for (size_t k = 0; k < n; k++)
        str_list_add(&ctx->arena, &targets, t[k].target_id);
    return solver_check(ctx, txn, m->team_id, w, &issuers, &targets);
}

/* `first` is the one that is not among those of `before`; NULL there: none is known. */
static struct rc unproved_below(struct ctx *ctx, struct txn *txn, const struct str_list *zones, const struct str_list *before,
                                struct str_list *ids, const struct q_managed_acme_row **first)
{
    struct q_managed_acme_row *rows = NULL;
    size_t n = 0;
    *first = NULL;
    TRY(q_managed_acme(ctx, txn, &rows, &n));
    for (size_t i = 0; i < n && !*first; i++) {
        struct wish w;
        TRY(wish_decode(ctx, rows[i].wish, &w));
        struct rc rc = is_below(&w.names, zones) ? still_proves(ctx, txn, &rows[i], &w) : RC_OK;
        if (rc.e != E_CONFLICT) {
            TRY(rc);
            continue;
        }
        ctx_forget(ctx);
        str_list_add(&ctx->arena, ids, rows[i].id);
        if (before && !str_list_has(before, rows[i].id))
            *first = &rows[i];
    }
    return RC_OK;
}

RC solver_unproved(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *zones, struct str_list *ids)
{
    const struct q_managed_acme_row *first = NULL;
    const struct principal *caller = ctx->principal;
    *ids = (struct str_list){0};
    ctx->principal = access_hub(ctx, core); /* they may be of teams that the caller does not see */
    struct rc rc = unproved_below(ctx, txn, zones, NULL, ids, &first);
    ctx->principal = caller;
    return rc;
}

RC solver_still_proves(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *zones,
                       const struct str_list *before)
{
    struct q_team_is_within_row within;
    struct str_list ids = {0};
    const struct q_managed_acme_row *first = NULL;
    const struct principal *caller = ctx->principal;
    bool seen = false;
    ctx->principal = access_hub(ctx, core);
    struct rc rc = unproved_below(ctx, txn, zones, before, &ids, &first);
    ctx->principal = caller;
    TRY(rc);
    if (!first)
        return RC_OK;
    TRY(q_team_is_within(ctx, txn, first->team_id, access_scope(ctx), &within, &seen));
    return ctx_fail(ctx, E_IN_USE, "%s could not be renewed without it", seen ? first->name : "a certificate of another team");
}

static struct rc via_dns(struct ctx *ctx, const char *provider, const char *parameters, const struct str_list *within,
                         const char **via)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 19);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "connector", provider);
    if (parameters)
        json_put_raw(&j, "parameters", bytes_z(parameters));
    if (within->n)
        json_open_list(&j, "within");
    for (size_t i = 0; i < within->n; i++)
        json_put_str(&j, NULL, within->v[i]);
    if (within->n)
        json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    *via = buf_z(&b);
    return RC_OK;
}

RC solver_via_dns(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const struct q_dns_answering_row *by,
                  const char **via)
{
    struct str_list within = {0}, agents;
    TRY(agents_granted(ctx, txn, owner, &agents));
    if (*by->under)
        str_list_add(&ctx->arena, &within, by->under);
    for (size_t k = 0; *by->under && k < agents.n; k++) {
        struct q_dns_reach_row *rows = NULL;
        size_t n = 0;
        TRY(q_dns_reach(ctx, txn, by->id, owner->team, agents.v[k], &rows, &n));
        for (size_t i = 0; i < n; i++)
            if (!str_list_has(&within, rows[i].name))
                str_list_add(&ctx->arena, &within, rows[i].name);
    }
    return via_dns(ctx, by->provider, by->parameters, &within, via);
}

RC solver_choose(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const struct issuer_settings *s,
                 const struct q_attempt_by_id_row *a, const char *method, const char *identifier, struct solver_choice *out)
{
    struct q_dns_answering_row p;
    bool found = false;
    const char *name = strncmp(identifier, "dns:", 4) == 0 ? identifier + 4 : identifier;
    *out = (struct solver_choice){0};
    if (!solver_is_dns(method)) {
        struct issuer_settings how = *s;
        if (str_equal(method, "tls-alpn-01")) /* by a listener of the agent's own, whatever answers HTTP */
            how.challenge_via = "listener";
        return issuer_challenge_via(ctx, txn, &how, a->managed_id, a->agent_id, &out->agent, &out->via);
    }
    TRY(solver_provider(ctx, txn, owner, name, &p, &found));
    if (!found) {
        const char *ungranted = NULL;
        TRY(solver_ungranted(ctx, txn, owner, name, &p, &ungranted));
        return ctx_fail(ctx, E_CONFLICT, "%s cannot be proved in DNS any more: %s", name, ungranted);
    }
    out->agent = p.agent_id;
    out->provider = p.id;
    return solver_via_dns(ctx, txn, owner, &p, &out->via);
}

RC solver_via_now(struct ctx *ctx, struct txn *txn, const char *provider, const char *agent, const char *via, const char **out)
{
    struct q_dns_provider_by_id_row p;
    json_auto_t *was = NULL;
    const char *connector = NULL;
    const json_t *list = NULL, *v;
    struct str_list within = {0};
    size_t i;
    bool found = false;
    *out = via;
    if (!provider)
        return RC_OK;
    TRY(q_dns_provider_by_id(ctx, txn, provider, &p, &found));
    TRY(json_read(ctx, bytes_z(via), &was));
    TRY(json_get_str(ctx, was, "connector", true, &connector));
    TRY(json_get_list(ctx, was, "within", false, &list));
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
        if (json_is_string(v))
            str_list_add(&ctx->arena, &within, arena_strdup(&ctx->arena, json_string_value(v)));
    const bool same = found && !p.removed_at && str_equal(p.agent_id, agent) && str_equal(p.provider, connector);
    return same ? via_dns(ctx, p.provider, p.parameters, &within, out) : RC_OK;
}

const char *solver_lane(struct ctx *ctx, const char *provider, const char *identifier, const char *ref)
{
    const char *name = strncmp(identifier, "dns:", 4) == 0 ? identifier + 4 : identifier;
    return provider ? arena_printf(&ctx->arena, "dns:%s:%s", provider, base_of(name))
                    : arena_printf(&ctx->arena, "challenge:%s", ref);
}
