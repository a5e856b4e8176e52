#include "core/adopt_own.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/heard.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/solver.h"
#include "core/target.h"
#include "pki/cert.h"
#include "pki/digest.h"

#define LINEAGES_MAX  1000
#define LINEAGE_AGE_S (3 * 86400) /* one that was not seen for so long is gone; agents look daily */
#define FILES_MAX     5

/* --- looking */

struct looking {
    struct core *core;
    const struct api_adoption_new *in;
    struct str_list ids;
};

static struct rc payload_of(struct ctx *ctx, const char *id, const char *path, const char *digest, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "adoption", id);
    json_put_str(&j, "path", path);
    if (digest)
        json_put_str(&j, "digest", digest);
    json_close(&j);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

RC adoption_job(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *agent, const char *id,
                const char *path, struct bytes payload)
{
    struct bytes hash;
    TRY(digest_sha256_new(ctx, bytes_z(path), &hash));
    const char *lane = arena_printf(&ctx->arena, "adoption:%s:%.32s", agent, hex_str(&ctx->arena, hash));
    return job_add(ctx, core, txn, kind, agent, lane, id, payload, 0);
}

bool adoption_open(const char *state)
{
    return str_equal(state, "looking") || str_equal(state, "adopting") || str_equal(state, "adopted") ||
           str_equal(state, "releasing");
}

/* Nobody is told to look after the hub's own agent: the hub starts it again. */
RC adoption_away(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent_id, const char **why)
{
    struct q_agent_get_row agent;
    struct buf b;
    bool found = false;
    *why = NULL;
    TRY(q_agent_get(ctx, txn, agent_id, core->team_root, &agent, &found));
    if (!found || bytes_starts_with(bytes_z(agent.identity), BYTES_LIT("unix:")) ||
        !heard_away(ctx, core, agent.id, agent.seen_at))
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 1024);
    buf_printf(&b, "agent %s has not called since ", agent.name);
    time_put_rfc3339(&b, heard_at(core, agent.id, agent.seen_at));
    buf_put_z(&b, ", so nothing on its host can be done: start it there (systemctl start certwright-agent) and do this again");
    TRY(buf_status(&b));
    *why = buf_z(&b);
    return RC_OK;
}

/* A new look at what is not ours; what was seen, has failed, or was given back is forgotten for it. */
static struct rc begin(struct ctx *ctx, struct txn *txn, struct looking *l, const struct q_lineage_list_row *e, const char *client,
                       const char *name)
{
    const char *path = strstr(e->place, ":/"), *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    struct q_adoption_at_row there;
    struct bytes payload;
    bool found = false;
    if (!path++)
        return RC_OK;
    TRY(q_adoption_at(ctx, txn, e->agent_id, path, &there, &found));
    if (found && adoption_open(there.state)) {
        str_list_add(&ctx->arena, &l->ids, there.id);
        return RC_OK;
    }
    TRY(decide(ctx, l->core, txn, "adoption.create", e->team_id));
    if (!agent_names(ctx, e->capabilities, "release"))
        return ctx_fail(ctx, E_UNSUPPORTED, "agent %s is too old to take over what is on its host: upgrade it", e->agent);
    if (found)
        TRY(q_adoption_drop(ctx, txn, there.id));
    const struct q_adoption_add_in add = {.id = id,
                                          .team_id = e->team_id,
                                          .agent_id = e->agent_id,
                                          .endpoint_id = e->endpoint_id,
                                          .path = path,
                                          .client = client,
                                          .name = name,
                                          .created_by = ctx->principal ? ctx->principal->name : "hub",
                                          .now = ctx_now_s(ctx)};
    TRY(q_adoption_add(ctx, txn, &add));
    const char *away = NULL;
    TRY(adoption_away(ctx, l->core, txn, e->agent_id, &away));
    if (away) { /* nobody waits for it; the lineages of other hosts are looked at */
        TRY(adoption_move(ctx, txn, id, "looking", "failed", E_UNREACHABLE, away));
    } else {
        TRY(payload_of(ctx, id, path, NULL, &payload));
        TRY(adoption_job(ctx, l->core, txn, "adopt", e->agent_id, id, path, payload));
    }
    TRY(audit_write(ctx, txn, "adoption.look", "adoption", id, e->team_id,
                    audit_facts(ctx, "client", client, "name", name, "agent", e->agent, "path", path, NULL)));
    str_list_add(&ctx->arena, &l->ids, id);
    return RC_OK;
}

static struct rc begin_where_asked(struct ctx *ctx, struct txn *txn, struct looking *l, const struct q_lineage_list_row *e)
{
    json_auto_t *options = NULL;
    if (rc_failed(json_read(ctx, bytes_z(e->options), &options))) {
        ctx_forget(ctx);
        return RC_OK;
    }
    const json_t *renewal = json_object_get(options, "renewal");
    const char *client = json_string_value(json_object_get(renewal, "client"));
    const char *name = json_string_value(json_object_get(renewal, "name"));
    if (!client || !name || (l->in->client && !str_equal(client, l->in->client)) || (l->in->name && !str_equal(name, l->in->name)))
        return RC_OK;
    return begin(ctx, txn, l, e, arena_strdup(&ctx->arena, client), arena_strdup(&ctx->arena, name));
}

/* What narrows the list; what it lets through is looked at again. */
static const char *like_of(struct ctx *ctx, const struct api_adoption_new *in)
{
    return in->client ? arena_printf(&ctx->arena, "%%\"renewal\":{\"client\":\"%s\"%%", in->client) : "%\"renewal\":{%";
}

static struct rc lineages(struct ctx *ctx, struct txn *txn, const struct api_adoption_new *in, const char *agent,
                          struct q_lineage_list_row **rows, size_t *n)
{
    const int64_t since = ctx_now_s(ctx) - LINEAGE_AGE_S;
    struct bytes print;
    int64_t id = 0;
    bool found = false;
    if (!in->certificate) {
        const struct q_lineage_list_in ask = {
            .scope = access_scope(ctx), .like = like_of(ctx, in), .agent = agent, .since = since, .limit = LINEAGES_MAX + 1};
        return q_lineage_list(ctx, txn, &ask, rows, n);
    }
    if (!get_hex(&ctx->arena, bytes_z(in->certificate), &print) || print.n != SHA256_LEN)
        return ctx_fail_field(ctx, "/certificate", "give the whole SHA-256, 64 hexadecimal digits");
    TRY(inventory_find(ctx, txn, print, &id, &found));
    *n = 0;
    const struct q_lineage_of_certificate_in ask = {
        .scope = access_scope(ctx), .certificate_id = id, .agent = agent, .since = since, .limit = LINEAGES_MAX + 1};
    return found ? q_lineage_of_certificate(ctx, txn, &ask, rows, n) : RC_OK;
}

static struct rc look_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    struct q_lineage_list_row *rows = NULL;
    const char *agent = "", *agent_name = NULL;
    size_t n = 0;
    l->ids = (struct str_list){0};
    TRY(decide(ctx, l->core, txn, "adoption.create", NULL));
    if (l->in->agent)
        TRY(agent_meant(ctx, txn, l->in->agent, &agent, &agent_name));
    TRY(lineages(ctx, txn, l->in, agent, &rows, &n));
    if (n > LINEAGES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "more than %d lineages: name an agent", LINEAGES_MAX);
    for (size_t i = 0; i < n; i++)
        TRY(begin_where_asked(ctx, txn, l, &rows[i]));
    if (!l->ids.n)
        return ctx_fail(ctx, E_NOT_FOUND, "no lineage of %s%s%s is known%s%s; look again with: certwright agent inventory %s",
                        l->in->client ? l->in->client : "another ACME client", l->in->name ? " named " : "",
                        l->in->name ? l->in->name : "", agent_name ? " on the host of agent " : "", agent_name ? agent_name : "",
                        agent_name ? agent_name : "NAME-OF-AN-AGENT");
    return RC_OK;
}

RC adoption_look(struct ctx *ctx, struct core *core, const struct api_adoption_new *in, struct str_list *out)
{
    struct looking l = {.core = core, .in = in};
    if (!in->client && !in->name && !in->certificate)
        return ctx_fail_field(ctx, "/client", "say which: a client, the name of a lineage, or a certificate");
    TRY(store_write(ctx, core->store, look_write, &l));
    *out = l.ids;
    return RC_OK;
}

/* --- showing */

RC adoption_plan(struct ctx *ctx, const char *json, struct adoption_view *v)
{
    json_auto_t *root = NULL;
    struct name_list names = {0};
    struct cert leaf;
    TRY(json_read(ctx, bytes_z(json), &root));
    if (!json_object_size(root))
        return RC_OK;
    TRY(api_job_adopted_decode(ctx, root, &v->plan));
    TRY(cert_parse(ctx, v->plan.leaf, &leaf));
    TRY(cert_names(ctx, &leaf, &names));
    for (size_t i = 0; i < names.n; i++)
        str_list_add(&ctx->arena, &v->names, names.v[i].text);
    v->fingerprint = hex_str(&ctx->arena, bytes_of(leaf.fingerprint, SHA256_LEN));
    v->not_after = leaf.not_after;
    v->seen = true;
    return RC_OK;
}

/* The issuers whose directory it is from: nobody is moved to another CA by oversight. */
static struct rc issuers_of(struct ctx *ctx, struct txn *txn, struct adoption_view *v)
{
    struct q_issuer_get_row *rows = NULL;
    size_t n = 0;
    if (!v->seen || !v->plan.ca || !*v->plan.ca)
        return RC_OK;
    TRY(q_issuer_list(ctx, txn, access_scope(ctx), "", 1000, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct issuer_settings s;
        TRY(issuer_settings_decode(ctx, rows[i].kind, rows[i].settings, &s));
        if (str_equal(s.directory_url, v->plan.ca))
            str_list_add(&ctx->arena, &v->issuers, rows[i].name);
    }
    return RC_OK;
}

struct showing {
    struct core *core;
    const char *id, *before;
    int64_t limit;
    struct adoption_view *v;
    size_t n;
};

static struct rc view_of(struct ctx *ctx, struct txn *txn, const struct q_adoption_get_row *row, struct adoption_view *v)
{
    *v = (struct adoption_view){.row = *row};
    TRY(adoption_plan(ctx, row->plan, v));
    return issuers_of(ctx, txn, v);
}

static struct rc find(struct ctx *ctx, struct txn *txn, const char *id, struct q_adoption_get_row *row)
{
    bool found = false;
    TRY(q_adoption_get(ctx, txn, id, access_scope(ctx), row, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no adoption has the id %s", id);
}

static struct rc show_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    struct q_adoption_get_row row, *rows = &row;
    s->n = 1;
    if (s->id)
        TRY(find(ctx, txn, s->id, &row));
    else
        TRY(q_adoption_list(ctx, txn, access_scope(ctx), s->before, s->limit, &rows, &s->n));
    s->v = arena_array(&ctx->arena, s->n + 1, sizeof *s->v);
    for (size_t i = 0; i < s->n; i++)
        TRY(view_of(ctx, txn, &rows[i], &s->v[i]));
    return RC_OK;
}

RC adoption_show(struct ctx *ctx, struct core *core, const char *id, struct adoption_view *out)
{
    struct showing s = {.core = core, .id = id};
    TRY(store_read(ctx, core->store, show_read, &s));
    *out = s.v[0];
    return RC_OK;
}

RC adoption_list(struct ctx *ctx, struct core *core, const char *before, int64_t limit, struct adoption_view **out, size_t *n)
{
    struct showing s = {.core = core, .before = *before ? before : "~", .limit = limit}; /* '~' is behind all ids */
    TRY(store_read(ctx, core->store, show_read, &s));
    *out = s.v;
    *n = s.n;
    return RC_OK;
}

/* --- taking over */

struct adopting {
    struct core *core;
    const char *id;
    const struct api_adoption_wish *in;
    struct adoption_view v;
    struct str_list targets; /* ids */
    const char *last;        /* name of the last of them */
    const char *own;         /* the target that is made for it; NULL: none */
};

RC adoption_move(struct ctx *ctx, struct txn *txn, const char *id, const char *was, const char *to, enum err e, const char *why)
{
    const struct q_adoption_state_in in = {.id = id,
                                           .was = was,
                                           .state = to,
                                           .error_code = e != E_OK ? err_info(e)->name : NULL,
                                           .error = e != E_OK ? why : NULL,
                                           .now = ctx_now_s(ctx)};
    return q_adoption_state(ctx, txn, &in);
}

static bool service_names(const struct api_job_adopted *plan, const char *path, const char *real)
{
    for (size_t i = 0; i < plan->services.n; i++) {
        const struct api_parameters *p = &plan->services.v[i].parameters;
        for (size_t k = 0; k < p->n; k++)
            if (str_equal(p->v[k].value, path) || str_equal(p->v[k].value, real))
                return true;
    }
    return false;
}

/* The services' own targets, as discovery would make them. */
static struct rc service_targets(struct ctx *ctx, struct txn *txn, struct adopting *a)
{
    const struct api_job_adopted *plan = &a->v.plan;
    struct target_input *found = NULL;
    TRY(result_targets(ctx, plan->services.v, plan->services.n, &found));
    TRY(target_found(ctx, a->core, txn, a->v.row.agent_id, found, plan->services.n));
    for (size_t i = 0; i < plan->services.n; i++) {
        const char *id = NULL, *name = NULL;
        TRY(target_at(ctx, txn, a->v.row.agent_id, found[i].connector, found[i].parameters, &id, &name));
        if (!id)
            return ctx_fail(ctx, E_CONFLICT, "the %s target of %s is gone; look again", found[i].connector, plan->name);
        if (!str_list_has(&a->targets, id))
            str_list_add(&ctx->arena, &a->targets, id);
        if (!a->last || strcmp(name, a->last) > 0)
            a->last = name;
    }
    return RC_OK;
}

static const char *plain(struct ctx *ctx, const char *name)
{
    char *s = arena_printf(&ctx->arena, "%.120s", name);
    for (char *c = s; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr(".-_", *c)))
            *c = '-';
    return s;
}

/* The files that no service names, where there are any.  Its name comes behind those of the services, whose targets go first: they
 * answer challenges, and prove. */
static struct rc files_target(struct ctx *ctx, struct txn *txn, struct adopting *a)
{
    const struct api_job_adopted *plan = &a->v.plan;
    struct target_input t = {.connector = "files", .description = arena_printf(&ctx->arena, "adopted from %s", plan->client)};
    struct json_out j;
    struct buf b;
    size_t n = 0;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    for (size_t i = 0; i < plan->files.n && i < FILES_MAX; i++)
        if (!service_names(plan, plan->files.v[i].path, plan->files.v[i].file)) {
            json_put_str(&j, plan->files.v[i].content, plan->files.v[i].path);
            n++;
        }
    if (a->in->reload)
        json_put_str(&j, "reload", a->in->reload);
    json_close(&j);
    TRY(buf_status(&b));
    if (!n && a->in->reload)
        return ctx_fail_field(ctx, "/reload", "services of that host name all files of %s, and are reloaded themselves",
                              plan->name);
    if (!n)
        return RC_OK;
    t.parameters = buf_z(&b);
    t.name = arena_printf(&ctx->arena, "%s-files-%.6s",
                          a->last ? plain(ctx, a->last) : plain(ctx, arena_printf(&ctx->arena, "%s-%s", plan->client, plan->name)),
                          a->id + 20);
    TRY(target_put(ctx, a->core, txn, &t, a->v.row.agent_id, a->v.row.agent, a->v.row.team_id, &a->own));
    str_list_add(&ctx->arena, &a->targets, a->own);
    return RC_OK;
}

/* Where no service of the host can answer for a name, it is told now and not at its first renewal. */
static struct rc provable(struct ctx *ctx, struct txn *txn, const struct adopting *a, const struct managed_input *m)
{
    struct solver_owner owner = {.team = a->v.row.team_id, .targets = a->v.plan.services.n > 0};
    str_list_add(&ctx->arena, &owner.agents, a->v.row.agent_id);
    for (size_t i = 0; i < m->wish.issuers.n; i++) {
        struct q_issuer_get_row row;
        struct issuer_settings s;
        struct str_list ignored;
        bool found = false;
        TRY(q_issuer_get(ctx, txn, m->wish.issuers.v[i], access_scope(ctx), &row, &found));
        if (!found)
            continue; /* the wish says so */
        TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
        TRY(solver_methods(ctx, txn, &owner, row.name, &s, &m->wish.names, &ignored));
    }
    return RC_OK;
}

/* The lineage's name; with the agent's where another one has it already. */
static struct rc name_of(struct ctx *ctx, struct txn *txn, const struct adopting *a, const char **out)
{
    struct q_managed_get_row there;
    const char *name = a->v.plan.name;
    bool found = false;
    *out = a->in->name;
    if (*out || !str_is_name(bytes_z(name)))
        return RC_OK;
    TRY(q_managed_get(ctx, txn, name, a->core->team_root, &there, &found));
    if (found)
        name = arena_printf(&ctx->arena, "%s-%s", name, a->v.row.agent);
    *out = str_is_name(bytes_z(name)) ? name : a->v.plan.name;
    return RC_OK;
}

static struct rc wish_of(struct ctx *ctx, struct txn *txn, const struct adopting *a, struct managed_input *m)
{
    const struct api_adoption_wish *in = a->in;
    struct cert leaf;
    TRY(cert_parse(ctx, a->v.plan.leaf, &leaf));
    if (!a->v.names.n)
        return ctx_fail(ctx, E_UNSUPPORTED, "the certificate of %s has no name that can be asked for", a->v.plan.name);
    const char *kind = key_kind_name(leaf.spki.key_kind);
    *m = (struct managed_input){.team = a->v.row.team_id,
                                .wish = {.names = a->v.names, .profile = in->profile, .targets = a->targets}};
    if (key_kind_by_name(kind) != KEY_OTHER)
        m->wish.key_kind = kind;
    for (size_t i = 0; i < in->issuers.n; i++)
        str_list_add(&ctx->arena, &m->wish.issuers, in->issuers.v[i]);
    if (!in->issuers.n)
        m->wish.issuers = a->v.issuers;
    if (!m->wish.issuers.n)
        return ctx_fail_field(ctx, "/issuers",
                              "%s of %s is from %s, which no issuer here is for; say who shall issue it: --issuer NAME "
                              "(certwright issuer list shows them)",
                              a->v.plan.name, a->v.plan.client,
                              a->v.plan.ca && *a->v.plan.ca ? a->v.plan.ca : "a CA that its files do not name");
    TRY(name_of(ctx, txn, a, &m->name));
    /* One after the other: files that belong together, or that several services read, are not written by two at once. */
    if (a->targets.n > 1)
        m->wish.canary = m->wish.wave = 1;
    return RC_OK;
}

static struct rc adopt_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct adopting *a = arg;
    struct q_adoption_get_row row;
    struct managed_input m;
    struct bytes payload;
    const char *managed = NULL, *away = NULL;
    a->targets = (struct str_list){0};
    a->own = a->last = NULL;
    TRY(find(ctx, txn, a->id, &row));
    TRY(decide(ctx, a->core, txn, "adoption.create", row.team_id));
    TRY(decide(ctx, a->core, txn, "target.create", row.team_id));
    if (!str_equal(row.state, "seen"))
        return ctx_fail(ctx, E_CONFLICT, "%s of %s is %s%s%s", row.name, row.client, row.state, row.managed ? ": " : "",
                        row.managed ? row.managed
                        : row.error ? row.error
                                    : "");
    TRY(adoption_away(ctx, a->core, txn, row.agent_id, &away));
    if (away)
        return ctx_fail(ctx, E_UNREACHABLE, "%s", away);
    TRY(view_of(ctx, txn, &row, &a->v));
    TRY(service_targets(ctx, txn, a));
    TRY(files_target(ctx, txn, a));
    TRY(wish_of(ctx, txn, a, &m));
    TRY(provable(ctx, txn, a, &m));
    TRY(managed_add(ctx, a->core, txn, &m, arena_printf(&ctx->arena, "being taken over from %s", row.client), &managed));
    TRY(q_adoption_managed(ctx, txn, a->id, managed, a->own));
    TRY(adoption_move(ctx, txn, a->id, "seen", "adopting", E_OK, NULL));
    struct q_managed_by_id_row made;
    TRY(q_managed_by_id(ctx, txn, managed, &made));
    TRY(q_adoption_hold_set(ctx, txn, a->id, a->in->now ? 0 : 1, made.wish_hash));
    TRY(payload_of(ctx, a->id, row.path, a->v.plan.digest, &payload));
    TRY(adoption_job(ctx, a->core, txn, "adopt", row.agent_id, a->id, row.path, payload));
    return audit_write(ctx, txn, "adoption.adopt", "adoption", a->id, row.team_id,
                       audit_facts(ctx, "client", row.client, "name", row.name, "agent", row.agent, "path", row.path,
                                   "managed-certificate", managed, NULL));
}

RC adoption_adopt(struct ctx *ctx, struct core *core, const char *id, const struct api_adoption_wish *in)
{
    struct adopting a = {.core = core, .id = id, .in = in};
    return store_write(ctx, core->store, adopt_write, &a);
}
