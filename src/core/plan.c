/* Dry runs: what managed_create would do, told without doing anything. */
#include "base/encode.h"
#include "core/access.h"
#include "core/hold.h"
#include "core/managed.h"
#include "core/issuer.h"
#include "core/request.h"
#include "core/rollout.h"
#include "core/solver.h"

struct planning {
    struct core *core;
    const struct managed_input *in;
    struct plan_step *steps;
    size_t n, cap;
};

static void plan_add(struct ctx *ctx, struct planning *p, const char *what, const char *detail)
{
    if (p->n == p->cap) {
        const size_t cap = p->cap ? p->cap * 2 : 16;
        struct plan_step *steps = arena_array(&ctx->arena, cap, sizeof *steps);
        if (p->n)
            memcpy(steps, p->steps, p->n * sizeof *steps);
        p->steps = steps;
        p->cap = cap;
    }
    p->steps[p->n++] = (struct plan_step){what, detail};
}

static const char *text(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

/* "nginx-check", or "{check}usual": what the parameter names, else what is usual. */
static void plan_command(struct ctx *ctx, struct planning *p, const json_t *parameters, const json_t *commands, const char *spec)
{
    const size_t n = spec ? strlen(spec) : 0;
    const char *name = spec;
    const char *end = n > 2 && spec[0] == '{' ? strchr(spec, '}') : NULL;
    if (end) {
        name = text(parameters, arena_str(&ctx->arena, bytes_of(spec + 1, (size_t)(end - spec) - 1)));
        if (!name || !*name)
            name = end + 1;
    }
    if (!name || !*name)
        return;
    const char *line = text(commands, name);
    plan_add(ctx, p, "command", arena_printf(&ctx->arena, "%s: %s", name, line ? line : "not on the host's list (agent.yaml)"));
}

/* What is said over the service's socket: "set ssl cert {combined} <<" with what the parameters say. */
static void plan_sends(struct ctx *ctx, struct planning *p, const json_t *parameters, const json_t *connector)
{
    const json_t *sends = json_object_get(connector, "sends");
    const char *parameter = text(connector, "socket"), *socket = parameter ? text(parameters, parameter) : NULL;
    for (size_t i = 0; i < json_array_size(sends); i++) {
        const char *step = json_string_value(json_array_get(sends, i));
        struct bytes rest = bytes_z(step), part;
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 1 << 16);
        buf_printf(&b, "over %s: ", socket ? socket : "its socket");
        while (rest.n > 0) {
            const size_t n = bytes_find(rest, BYTES_LIT("{"));
            bytes_take(&rest, n == SIZE_MAX ? rest.n : n, &part);
            buf_put(&b, part);
            if (n == SIZE_MAX || !bytes_skip(&rest, 1) || !bytes_take_until(&rest, '}', &part))
                break;
            const char *value = text(parameters, arena_str(&ctx->arena, part));
            buf_put_z(&b, value ? value : "…");
        }
        plan_add(ctx, p, "send", buf_z(&b));
    }
}

static struct rc plan_target(struct ctx *ctx, struct txn *txn, struct planning *p, const struct q_target_by_id_row *t)
{
    struct q_agent_connectors_row agent;
    TRY(q_agent_connectors(ctx, txn, t->agent_id, &agent));
    json_auto_t *told = NULL, *parameters = NULL;
    TRY(json_read(ctx, bytes_z(agent.connectors), &told));
    TRY(json_read(ctx, bytes_z(t->parameters), &parameters));
    const json_t *list = json_object_get(told, "connectors"), *commands = json_object_get(told, "commands"), *connector = NULL;
    for (size_t i = 0; i < json_array_size(list) && !connector; i++)
        if (str_equal(text(json_array_get(list, i), "name"), t->connector))
            connector = json_array_get(list, i);
    if (!connector)
        plan_add(ctx, p, "target",
                 arena_printf(&ctx->arena, "%s: its agent has not told what connector %s does there", t->name, t->connector));
    plan_command(ctx, p, parameters, commands, text(connector, "check"));
    const json_t *files = json_object_get(connector, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i);
        const char *parameter = text(f, "parameter"), *path = parameter ? text(parameters, parameter) : NULL;
        if (path && *path)
            plan_add(ctx, p, "file", arena_printf(&ctx->arena, "%s (%s)", path, text(f, "content")));
    }
    plan_command(ctx, p, parameters, commands, text(connector, "check"));
    plan_command(ctx, p, parameters, commands, text(connector, "reload"));
    plan_sends(ctx, p, parameters, connector);
    const char *transport = text(connector, "transport"), *host = text(parameters, "server");
    if (!host)
        host = text(parameters, "host");
    if (transport)
        plan_add(ctx, p, "send",
                 arena_printf(&ctx->arena, "%s: over %s%s%s, as connector %s says", t->name, transport, host ? " to " : "",
                              host ? host : "", t->connector));
    int64_t until = 0, closes = 0;
    const char *why = NULL;
    TRY(hold_look(ctx, txn, t->id, t->windows, "", &until, &closes, &why));
    if (until) {
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 64);
        time_put_rfc3339(&b, until);
        plan_add(ctx, p, "window",
                 arena_printf(&ctx->arena, "%s is changed in its maintenance window, from %s on", t->name, buf_z(&b)));
    }
    json_auto_t *ends = NULL;
    TRY(json_read(ctx, bytes_z(t->endpoints), &ends));
    for (size_t i = 0; i < json_array_size(ends); i++) {
        const json_t *e = json_array_get(ends, i);
        plan_add(ctx, p, "prove",
                 arena_printf(&ctx->arena, "a handshake with %s port %lld for %s%s%s; else what was there is put back",
                              text(e, "address"), (long long)json_integer_value(json_object_get(e, "port")), text(e, "name"),
                              text(e, "starttls") ? " after STARTTLS of " : "", text(e, "starttls") ? text(e, "starttls") : ""));
    }
    if (!json_array_size(ends))
        plan_add(ctx, p, "prove",
                 arena_printf(&ctx->arena, "%s: %s; else what was there is put back", t->name,
                              transport ? "the target is asked what it holds" : "the files are read back"));
    return RC_OK;
}

static void plan_waves(struct ctx *ctx, struct planning *p, const struct wish *w)
{
    int64_t canary = 0, size = 0, number = 0;
    if (!rollout_sizes(w, (int64_t)w->targets.n, &canary, &size))
        return;
    for (size_t i = 0; i < w->targets.n;) {
        const int64_t most = number ? size : canary;
        struct buf names;
        buf_init_arena(&names, &ctx->arena, 1 << 18);
        for (int64_t k = 0; k < most && i < w->targets.n; k++, i++)
            buf_printf(&names, "%s%s", k ? ", " : "", w->targets.v[i]);
        plan_add(ctx, p, "wave",
                 arena_printf(&ctx->arena, "%lld: %s%s", (long long)++number, buf_z(&names),
                              i < w->targets.n ? "; the next one once it is proved" : ""));
    }
}

/* How the first issuer is shown that the names are ours. */
static struct rc plan_proofs(struct ctx *ctx, struct txn *txn, struct planning *p, const struct wish *w,
                             const struct str_list *issuers, const struct str_list *targets)
{
    const char *team = NULL;
    struct solver_owner owner;
    struct q_issuer_by_id_row row;
    struct issuer_settings s;
    struct str_list methods = {0};
    TRY(access_team(ctx, txn, p->in->team, &team));
    TRY(solver_check(ctx, txn, team, w, issuers, targets));
    TRY(solver_owner_wished(ctx, txn, team, w, targets, &owner));
    TRY(q_issuer_by_id(ctx, txn, issuers->v[0], &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    TRY(solver_methods(ctx, txn, &owner, row.name, &s, &w->names, &methods));
    for (size_t i = 0; i < methods.n; i++) {
        struct q_dns_answering_row by = {0};
        bool found = false;
        if (solver_is_dns(methods.v[i]))
            TRY(solver_provider(ctx, txn, &owner, w->names.v[i], &by, &found));
        plan_add(ctx, p, "challenge",
                 arena_printf(&ctx->arena, "%s is proved by %s%s%s", w->names.v[i], methods.v[i],
                              found ? " with DNS provider " : "", found ? by.name : ""));
    }
    return RC_OK;
}

static struct rc plan_policy(struct ctx *ctx, struct txn *txn, struct planning *p, const struct wish *w)
{
    struct policy_asked asked = {.act = POLICY_CREATE, .wish = w};
    const char *says = NULL;
    TRY(access_team(ctx, txn, p->in->team, &asked.team));
    TRY(request_says(ctx, p->core, txn, &asked, &says));
    if (says)
        plan_add(ctx, p, "policy", says);
    return RC_OK;
}

static struct rc plan(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct planning *p = arg;
    p->n = 0;
    TRY(decide(ctx, p->core, txn, "managed-certificate.create", NULL));
    struct wish w = p->in->wish;
    struct str_list issuers = {0}, targets = {0};
    TRY(wish_resolve(ctx, p->core, txn, &w, &issuers, &targets));
    TRY(targets_free(ctx, txn, "", &targets));
    TRY(plan_policy(ctx, txn, p, &w));
    plan_add(ctx, p, "key",
             w.csr.n ? "none is made: it is with whoever made the request"
             : w.download
                 ? arena_printf(&ctx->arena, "the signer makes an %s key and keeps it, sealed, to be downloaded", w.key_kind)
                     : arena_printf(&ctx->arena, "make an %s key where it will be served%s", w.key_kind,
                                    w.reuse_key ? ", or use the one there" : ""));
    struct buf names;
    buf_init_arena(&names, &ctx->arena, 1 << 16);
    for (size_t i = 0; i < w.names.n; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", w.names.v[i]);
    plan_add(ctx, p, "issue", arena_printf(&ctx->arena, "ask %s for %s", w.issuers.v[0], buf_z(&names)));
    TRY(plan_proofs(ctx, txn, p, &w, &issuers, &targets));
    plan_waves(ctx, p, &w);
    for (size_t i = 0; i < targets.n; i++) {
        struct q_target_by_id_row t;
        TRY(q_target_by_id(ctx, txn, targets.v[i], &t));
        TRY(plan_target(ctx, txn, p, &t));
    }
    return RC_OK;
}

RC managed_plan(struct ctx *ctx, struct core *core, const struct managed_input *in, struct plan_step **steps, size_t *n)
{
    struct planning p = {.core = core, .in = in};
    TRY(store_read(ctx, core->store, plan, &p));
    *steps = p.steps;
    *n = p.n;
    return RC_OK;
}
