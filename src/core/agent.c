#include "core/agent.h"

#include <stdatomic.h>

#include "base/address.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/heard.h"
#include "core/job.h"
#include "core/result.h"
#include "core/sharing.h"
#include "core/target.h"
#include "pki/cert.h"
#include "pki/csr.h"
#include "pki/digest.h"
#include "wire/messages.h"

/* When an agent was last seen is kept to this many seconds, so that a poll costs no write. */
#define SEEN_EVERY_S 300
/* Fleet certificates are short, but longer than a hub may be away: what is enrolled is the key. */
#define FLEET_VALIDITY_S (45 * 86400)
/* Starts remembered, to notice one that comes back: none is forgotten before an agent that still runs must have called, whoever
 * starts how often meanwhile.  And how long an older process may still be on its way out. */
#define BOOTS_MAX      16
#define BOOT_KEPT_S    150
#define BOOT_OVERLAP_S 10
#define SERVICES_MAX  1000
#define SECRET_LEN    24

/* What an agent that is drained still does: it takes away what it has put. */
static const char *const last_kinds[] = {"clean", "undeploy", "forget_key", "seal", "dns_clean"};

RC agent_identity(struct ctx *ctx, struct bytes spki, const char **out)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, spki, hash));
    *out = arena_printf(&ctx->arena, "key:%s", hex_str(&ctx->arena, bytes_of(hash, sizeof hash)));
    return RC_OK;
}

RC fleet_root(struct ctx *ctx, struct core *core, struct bytes *out)
{
    const struct wire_signer_ca_show ask = {.ca = "fleet"};
    struct wire_signer_ca ca;
    TRY(wire_call_signer_ca_show(ctx, core->signer, &ask, &ca));
    *out = ca.certificate;
    return RC_OK;
}

/* --- where from, and by what name */

static struct rc networks_allow(struct ctx *ctx, const char *networks, const char *address, bool *out)
{
    json_auto_t *list = NULL;
    struct address from;
    TRY(json_read(ctx, bytes_z(networks), &list));
    *out = json_array_size(list) == 0;
    if (*out || !address_parse(bytes_z(address), &from))
        return RC_OK;
    for (size_t i = 0; i < json_array_size(list) && !*out; i++) {
        struct cidr net;
        const char *text = json_string_value(json_array_get(list, i));
        *out = text && cidr_parse(bytes_z(text), &net) && cidr_has(&net, &from);
    }
    return RC_OK;
}

/* "*" stands for anything, also nothing; the rest is itself.  Linear: the last star alone is tried anew. */
static bool pattern_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text)
        if (*pattern == '*')
            star = pattern++, from = text;
        else if (*pattern == *text)
            pattern++, text++;
        else if (star)
            pattern = star + 1, text = ++from;
        else
            return false;
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* What the token said of networks holds for as long as there is the agent. */
static struct rc at_home(struct ctx *ctx, const struct q_agent_by_identity_row *agent, const char *address)
{
    bool here = false;
    TRY(networks_allow(ctx, agent->networks, address, &here));
    return here ? RC_OK
                : ctx_fail(ctx, E_FORBIDDEN, "agent %s may not call from %s; its join token said %s", agent->name, address,
                           agent->networks);
}

/* --- joining */

struct joining {
    struct core *core;
    const struct api_agent_join *in;
    const char *address, *identity, *id, *name, *state;
    struct bytes hash;
};

static struct rc token_good(struct ctx *ctx, const struct joining *j, const struct q_join_token_by_hash_row *t)
{
    bool here = false;
    if (t->revoked_at)
        return ctx_fail(ctx, E_FORBIDDEN, "the join token %s was revoked; make another at the hub with: certwright join-token "
                        "add NAME", t->name);
    if (t->expires_at <= ctx_now_s(ctx))
        return ctx_fail(ctx, E_FORBIDDEN, "the join token %s has expired; make another at the hub with: certwright join-token "
                        "add NAME", t->name);
    TRY(networks_allow(ctx, t->networks, j->address, &here));
    if (!here)
        return ctx_fail(ctx, E_FORBIDDEN, "the join token %s is not good from %s; it is good from %s", t->name, j->address,
                        t->networks);
    if (*t->name_pattern && !pattern_matches(t->name_pattern, j->in->name))
        return ctx_fail(ctx, E_FORBIDDEN, "the join token %s is not good for an agent named %s; it is good for %s", t->name,
                        j->in->name, t->name_pattern);
    return RC_OK;
}

static struct rc enrol(struct ctx *ctx, struct txn *txn, struct joining *j, const struct q_join_token_by_hash_row *t)
{
    struct q_agent_get_row taken;
    bool found = false;
    TRY(token_good(ctx, j, t));
    TRY(q_agent_get(ctx, txn, j->in->name, t->team_id, &taken, &found));
    if (found)
        return ctx_fail(ctx, E_EXISTS, "an agent is named %s already: join with another --name, or certwright agent remove %s",
                        j->in->name, j->in->name);
    struct rc rc = q_join_token_use(ctx, txn, t->id);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_FORBIDDEN, "the join token %s was good for %lld agent%s, and used; make another at the hub "
                        "with: certwright join-token add NAME", t->name, (long long)t->uses, t->uses == 1 ? "" : "s");
    }
    TRY(rc);
    j->name = j->in->name;
    j->state = t->approval ? "pending" : "active";
    const struct q_agent_add_in in = {.id = j->id,
                                      .team_id = t->team_id,
                                      .name = j->name,
                                      .identity = j->identity,
                                      .state = j->state,
                                      .version = j->in->version,
                                      .platform = j->in->platform,
                                      .granted = t->granted,
                                      .networks = t->networks,
                                      .address = j->address,
                                      .join_token_id = t->id,
                                      .now = ctx_now_s(ctx)};
    rc = q_agent_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "an agent is named %s already, in another team", j->in->name);
    }
    TRY(rc);
    struct buf b;
    struct json_out detail;
    buf_init_arena(&b, &ctx->arena, 4096);
    json_begin(&detail, &b);
    json_open_obj(&detail, NULL);
    json_put_str(&detail, "token", t->name);
    json_put_str(&detail, "address", j->address);
    json_close(&detail);
    return audit_write(ctx, txn, "agent.join", "agent", j->id, t->team_id,
                       audit_change(ctx, (struct bytes){0}, buf_bytes(&b)));
}

static struct rc token_find(struct ctx *ctx, struct txn *txn, const struct joining *j, struct q_join_token_by_hash_row *t)
{
    bool found = false;
    TRY(q_join_token_by_hash(ctx, txn, j->hash, t, &found));
    return found ? RC_OK
                 : ctx_fail(ctx, E_UNAUTHENTICATED, "no such join token; make one at the hub with: certwright join-token add NAME");
}

/* Whoever has no token at all costs a look, and neither a transaction nor the check of a signature. */
static struct rc join_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_join_token_by_hash_row t;
    return token_find(ctx, txn, arg, &t);
}

static struct rc join_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct joining *j = arg;
    struct q_join_token_by_hash_row t;
    struct q_agent_by_identity_row known;
    bool again = false;
    TRY(token_find(ctx, txn, j, &t));
    TRY(q_agent_by_identity(ctx, txn, j->identity, &known, &again));
    if (!again)
        return enrol(ctx, txn, j, &t);
    /* The answer was lost, and the host asks again. */
    if (str_equal(known.state, "removed"))
        return ctx_fail(ctx, E_FORBIDDEN, "this key was removed from the fleet: delete the agent's folder fleet and join anew");
    if (!str_equal(known.join_token_id, t.id))
        return ctx_fail(ctx, E_EXISTS, "this host has joined already, as %s", known.name);
    TRY(at_home(ctx, &known, j->address));
    j->id = known.id;
    j->name = known.name;
    j->state = known.state;
    return RC_OK;
}

struct certified {
    const char *agent;
    int64_t ends_at;
};

static struct rc certified_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct certified *c = arg;
    return q_agent_certificate(ctx, txn, c->agent, c->ends_at);
}

static struct rc certify(struct ctx *ctx, struct core *core, struct bytes spki, struct agent_joined *out)
{
    /* Asked for again within the hour it is the same one: nobody fills the signer's journal with them. */
    const struct wire_signer_issue_fleet in = {.request_id = arena_printf(&ctx->arena, "%s-%lld", out->id,
                                                                          (long long)(ctx_now_s(ctx) / 3600)),
                                               .kind = WIRE_signer_issue_fleet_kind_agent,
                                               .id = out->id,
                                               .spki = spki,
                                               .validity_s = FLEET_VALIDITY_S};
    struct wire_signer_issued issued;
    struct cert cert;
    TRY(wire_call_signer_issue_fleet(ctx, core->signer, &in, &issued));
    TRY(cert_parse(ctx, issued.certificate, &cert));
    out->certificate = issued.certificate;
    for (size_t i = 0; i < issued.chain.n && i < sizeof out->chain / sizeof *out->chain; i++)
        out->chain[out->chain_n++] = issued.chain.v[i];
    out->not_after = cert.not_after;
    struct certified c = {out->id, cert.not_after};
    return store_write(ctx, core->store, certified_write, &c);
}

/* One line a second, whoever asks how often. */
static void refused_log(struct ctx *ctx, struct core *core, const struct api_agent_join *in, const char *address)
{
    const int64_t now = clock_mono_ms() / 1000;
    int64_t last = atomic_load(&core->refused.logged_s);
    if (last == now || !atomic_compare_exchange_strong(&core->refused.logged_s, &last, now)) {
        atomic_fetch_add(&core->refused.more, 1);
        return;
    }
    const int64_t more = atomic_exchange(&core->refused.more, 0);
    log_event(LOG_WARN_, "join_refused", "name", in->name, "address", address, "why", ctx_why(ctx), "unlogged_before",
              more ? log_num(more) : NULL, NULL);
}

static struct rc join(struct ctx *ctx, struct joining *j, struct csr *csr)
{
    const struct api_agent_join *in = j->in;
    uint8_t *hash = arena_alloc(&ctx->arena, SHA256_LEN);
    /* Commands take an id for a name. */
    if (!str_is_name(bytes_z(in->name)) || id_valid(bytes_z(in->name)))
        return ctx_fail_field(ctx, "/name",
                              "%s is no name for an agent: letters, digits, dots and dashes, and not the form of an id", in->name);
    TRY(digest_sha256(ctx, bytes_z(in->token), hash));
    j->hash = bytes_of(hash, SHA256_LEN);
    TRY(store_read(ctx, j->core->store, join_look, j));
    TRY(csr_parse(ctx, in->csr, csr));
    TRY(agent_identity(ctx, csr->spki.der, &j->identity));
    j->id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    ctx->principal = access_hub(ctx, j->core); /* whoever joins is nobody yet: the entry is the hub's, and names the token */
    return store_write(ctx, j->core->store, join_write, j);
}

RC agent_join(struct ctx *ctx, struct core *core, const struct api_agent_join *in, const char *address, struct agent_joined *out)
{
    struct csr csr;
    struct joining j = {.core = core, .in = in, .address = address};
    *out = (struct agent_joined){0};
    struct rc rc = join(ctx, &j, &csr);
    if (rc_failed(rc)) {
        refused_log(ctx, core, in, address);
        return rc;
    }
    out->id = j.id;
    out->name = j.name;
    out->state = j.state;
    heard_note(ctx, core, j.id);
    TRY(certify(ctx, core, csr.spki.der, out));
    log_event(LOG_INFO_, "agent_joined", "name", j.name, "address", address, "state", j.state, NULL);
    return RC_OK;
}

/* --- who it is, and whether it may work */

struct greeting {
    const char *identity, *address, *capabilities, *connectors;
    const struct api_agent_self *self;
    int64_t skew_s;
    struct q_agent_by_identity_row row;
    bool older, copied; /* a start before the last one: on its way out, or come back */
    const char *boots;
};

/* The agent with this identity, unless its key was removed. */
static struct rc known(struct ctx *ctx, struct txn *txn, const char *identity, struct q_agent_by_identity_row *out)
{
    bool found = false;
    TRY(q_agent_by_identity(ctx, txn, identity, out, &found));
    return found && !str_equal(out->state, "removed") ? RC_OK
                                                      : ctx_fail(ctx, E_UNAUTHENTICATED, "no agent is known as %s", identity);
}

static struct rc greeting_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct greeting *g = arg;
    return known(ctx, txn, g->identity, &g->row);
}

static struct rc may_work(struct ctx *ctx, const struct greeting *g)
{
    if (str_equal(g->row.state, "pending")) {
        ctx->retry_after_s = 30;
        return ctx_fail(ctx, E_PENDING, "agent %s awaits approval: certwright agent approve %s", g->row.name, g->row.name);
    }
    if (str_equal(g->row.state, "suspended")) {
        ctx->retry_after_s = 60;
        return ctx_fail(ctx, E_FORBIDDEN, "%s; stop one of them and let it join anew, then: certwright agent approve %s",
                        *g->row.trouble ? g->row.trouble : "this agent is suspended", g->row.name);
    }
    return at_home(ctx, &g->row, g->address);
}

/* A start that was followed by another one and comes back is another process with the same key.  Of the hub's own agent, which has
 * none, the kernel says who it is. */
static struct rc boots_look(struct ctx *ctx, struct greeting *g)
{
    json_auto_t *list = NULL;
    struct buf b;
    struct json_out j;
    const int64_t now = ctx_now_s(ctx);
    g->boots = g->row.boots;
    g->older = g->copied = false;
    if (str_equal(g->row.boot_id, g->self->boot_id) || !*g->row.boot_id)
        return RC_OK;
    TRY(json_read(ctx, bytes_z(g->row.boots), &list));
    buf_init_arena(&b, &ctx->arena, 8192);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    const size_t n = json_array_size(list);
    const int64_t oldest = n >= BOOTS_MAX ? json_integer_value(json_object_get(json_array_get(list, n - BOOTS_MAX), "until")) : 0;
    const bool crowded = oldest > now - BOOT_KEPT_S && oldest <= now; /* else the clock was elsewhere */
    for (size_t i = 0; i < n; i++) {
        const json_t *boot = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(boot, "id"));
        if (id && str_equal(id, g->self->boot_id)) {
            g->older = true;
            g->copied = json_integer_value(json_object_get(boot, "until")) < now - BOOT_OVERLAP_S;
        }
        if (i + BOOTS_MAX > n)
            json_put_value(&j, NULL, boot);
    }
    json_open_obj(&j, NULL);
    json_put_str(&j, "id", g->row.boot_id);
    json_put_int(&j, "until", now);
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    g->boots = buf_z(&b);
    const bool joined = bytes_starts_with(bytes_z(g->identity), BYTES_LIT("key:"));
    g->copied = g->copied && joined;
    if (crowded && joined && !g->older) {
        ctx->retry_after_s = 30;
        return ctx_fail(ctx, E_RATE_LIMITED, "agent %s was started more than %d times within %d seconds", g->row.name, BOOTS_MAX,
                        BOOT_KEPT_S);
    }
    return RC_OK;
}

/* What is wrong with its connectors: the first, and how many more. */
static const char *connectors_trouble(struct ctx *ctx, const struct api_agent_self *a)
{
    const char *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < a->connectors.n; i++)
        if (a->connectors.v[i].trouble && *a->connectors.v[i].trouble && !n++)
            first = arena_printf(&ctx->arena, "connector %s of agent %s cannot be used: %s", a->connectors.v[i].name, a->name,
                                 a->connectors.v[i].trouble);
    return n > 1 ? arena_printf(&ctx->arena, "%s (and %zu more)", first, n - 1) : n ? first : "";
}

static const char *scan_json(struct ctx *ctx, const struct api_agent_scan *scan)
{
    struct buf b;
    struct json_out j;
    if (!scan->networks.n)
        return "{}";
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    api_agent_scan_encode(&j, NULL, scan);
    return rc_ok(buf_status(&b)) ? buf_z(&b) : "{}";
}

static struct rc greeting_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct greeting *g = arg;
    const struct api_agent_self *a = g->self;
    TRY(known(ctx, txn, g->identity, &g->row));
    TRY(may_work(ctx, g)); /* it may have been removed or suspended since it was looked at */
    TRY(boots_look(ctx, g));
    if (g->copied) {
        const char *trouble = arena_printf(&ctx->arena, "two hosts use the key of agent %s, at %s and at %s", g->row.name,
                                           g->row.address, g->address);
        TRY(q_agent_state(ctx, txn, g->row.id, "suspended", trouble));
        return audit_write(ctx, txn, "agent.suspend", "agent", g->row.id, g->row.team_id,
                           audit_change(ctx, audit_facts(ctx, "state", g->row.state, NULL),
                                        audit_facts(ctx, "state", "suspended", "trouble", trouble, NULL)));
    }
    if (g->older)
        return RC_OK;
    const struct q_agent_seen_in in = {.id = g->row.id,
                                       .version = a->version,
                                       .platform = a->platform,
                                       .capabilities = g->capabilities,
                                       .sandbox = a->sandbox,
                                       .boot_id = a->boot_id,
                                       .boots = g->boots,
                                       .clock_skew_s = g->skew_s,
                                       .address = g->address,
                                       .now = ctx_now_s(ctx)};
    TRY(q_agent_seen(ctx, txn, &in));
    if (a->seal_key.n)
        TRY(sharing_key_told(ctx, txn, g->row.id, a->seal_key));
    if (a->scan)
        TRY(q_agent_scan_set(ctx, txn, g->row.id, scan_json(ctx, a->scan)));
    if (!a->connectors.n)
        return RC_OK;
    TRY(q_agent_trouble(ctx, txn, g->row.id, connectors_trouble(ctx, a)));
    return q_agent_connectors_set(ctx, txn, g->row.id, g->connectors);
}

/* As core/plan.c reads it. */
static struct rc connectors_json(struct ctx *ctx, const struct api_agent_self *a, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 4 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_open_list(&j, "connectors");
    for (size_t i = 0; i < a->connectors.n; i++)
        api_agent_connector_encode(&j, NULL, &a->connectors.v[i]);
    json_close(&j);
    json_open_obj(&j, "commands");
    for (size_t i = 0; i < a->commands.n; i++)
        json_put_str(&j, a->commands.v[i].name, a->commands.v[i].line);
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static const char *strings_json(struct ctx *ctx, const struct api_strings *s)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < s->n; i++)
        json_put_str(&j, NULL, s->v[i]);
    json_close(&j);
    return buf_z(&b);
}

RC agent_greet(struct ctx *ctx, struct core *core, const char *identity, const char *address, const struct api_agent_self *self)
{
    struct greeting g = {.identity = identity, .address = address, .self = self};
    g.skew_s = self->has_now_s ? self->now_s - ctx_now_s(ctx) : 0;
    TRY(store_read(ctx, core->store, greeting_look, &g));
    heard_note(ctx, core, g.row.id); /* one that awaits approval calls too */
    TRY(may_work(ctx, &g));
    if (str_equal(g.row.boot_id, self->boot_id) && str_equal(g.row.version, self->version) &&
        str_equal(g.row.sandbox, self->sandbox) && str_equal(g.row.address, address) && !self->connectors.n && !self->seal_key.n &&
        !self->scan && g.row.seen_at > ctx_now_s(ctx) - SEEN_EVERY_S)
        return RC_OK;
    g.capabilities = strings_json(ctx, &self->capabilities);
    if (self->connectors.n)
        TRY(connectors_json(ctx, self, &g.connectors));
    TRY(store_write(ctx, core->store, greeting_write, &g));
    if (!g.copied)
        return RC_OK;
    log_event(LOG_WARN_, "agent_copied", "agent", g.row.name, "address", address, "before", g.row.address, NULL);
    TRY(store_read(ctx, core->store, greeting_look, &g));
    return may_work(ctx, &g);
}

RC agent_may_call(struct ctx *ctx, struct txn *txn, const char *identity, const char *address)
{
    struct greeting g = {.identity = identity, .address = address};
    TRY(greeting_look(ctx, txn, &g));
    return may_work(ctx, &g);
}

RC agent_is_current(struct ctx *ctx, struct core *core, const char *identity, const char *boot_id, bool *out)
{
    struct greeting g = {.identity = identity};
    TRY(store_read(ctx, core->store, greeting_look, &g));
    *out = str_equal(g.row.boot_id, boot_id);
    return RC_OK;
}

/* Whether a JSON list of kinds of jobs names one; `empty` where it names none at all. */
static struct rc kinds_have(struct ctx *ctx, const char *json, const char *kind, bool *named, bool *empty)
{
    json_auto_t *list = NULL;
    TRY(json_read(ctx, bytes_z(json), &list));
    *named = false;
    *empty = json_array_size(list) == 0;
    for (size_t i = 0; i < json_array_size(list) && !*named; i++)
        *named = str_equal(json_string_value(json_array_get(list, i)), kind);
    return RC_OK;
}

bool agent_names(struct ctx *ctx, const char *capabilities, const char *kind)
{
    bool named = false, empty;
    if (rc_ok(kinds_have(ctx, capabilities, kind, &named, &empty)))
        return named;
    ctx_forget(ctx);
    return false;
}

RC agent_may_do(struct ctx *ctx, const struct q_agent_of_row *agent, const char *kind, struct agent_allows *out)
{
    bool named, empty;
    TRY(kinds_have(ctx, agent->granted, kind, &named, &empty));
    *out = (struct agent_allows){.granted = named || empty, .later = !str_equal(agent->state, "active")};
    for (size_t i = 0; i < sizeof last_kinds / sizeof *last_kinds; i++)
        if (str_equal(last_kinds[i], kind))
            *out = (struct agent_allows){.granted = true, .later = out->later && !str_equal(agent->state, "draining")};
    TRY(kinds_have(ctx, agent->capabilities, kind, &named, &empty));
    out->known = named || empty;
    return RC_OK;
}

RC agent_certificate_renew(struct ctx *ctx, struct core *core, const char *identity, const char *address, struct bytes spki,
                           struct agent_joined *out)
{
    struct greeting g = {.identity = identity};
    TRY(store_read(ctx, core->store, greeting_look, &g));
    if (str_equal(g.row.state, "pending") || str_equal(g.row.state, "suspended"))
        return ctx_fail(ctx, E_FORBIDDEN, "agent %s is %s: certwright agent approve %s", g.row.name, g.row.state, g.row.name);
    TRY(at_home(ctx, &g.row, address));
    *out = (struct agent_joined){.id = g.row.id, .name = g.row.name, .state = g.row.state};
    return certify(ctx, core, spki, out);
}

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_agent_get_row *out)
{
    bool found = false;
    TRY(q_agent_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", ref);
}

RC agent_named(struct ctx *ctx, struct txn *txn, const char *ref, const char **id)
{
    struct q_agent_get_row row;
    TRY(find(ctx, txn, ref, &row));
    *id = row.id;
    return RC_OK;
}

RC agent_meant(struct ctx *ctx, struct txn *txn, const char *ref, const char **id, const char **name)
{
    struct q_agent_first_row first;
    struct q_agent_get_row row;
    bool found = true;
    if (!ref)
        TRY(q_agent_first(ctx, txn, &first, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "no agent is there; start one with: certwright run agent");
    TRY(q_agent_get(ctx, txn, ref ? ref : first.id, access_scope(ctx), &row, &found));
    if (!found && !ref)
        return ctx_fail(ctx, E_FORBIDDEN, "say which of your team's agents is to do it: the hub's own is not one of them");
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", ref);
    *id = row.id;
    *name = row.name;
    return RC_OK;
}

/* --- what people do with agents */

struct agent_change {
    struct core *core;
    const char *ref, *permission, *state;
    bool force;
    struct q_agent_get_row row;
};

static struct rc change_find(struct ctx *ctx, struct txn *txn, struct agent_change *c)
{
    TRY(find(ctx, txn, c->ref, &c->row));
    return decide(ctx, c->core, txn, c->permission, c->row.team_id);
}

static struct rc change_state(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct agent_change *c = arg;
    TRY(change_find(ctx, txn, c));
    bool accepted = false; /* another sealing key */
    if (str_equal(c->permission, "agent.approve"))
        TRY(sharing_key_accept(ctx, txn, c->row.id, &accepted));
    if (accepted)
        TRY(audit_write(ctx, txn, "agent.approve", "agent", c->row.id, c->row.team_id,
                        audit_field(ctx, "seal_key", NULL, "accepted")));
    if (str_equal(c->row.state, c->state))
        return RC_OK;
    const bool suspended = str_equal(c->row.state, "suspended"); /* its trouble is over; what a host says of itself is not */
    TRY(q_agent_state(ctx, txn, c->row.id, c->state, suspended ? "" : c->row.trouble));
    TRY(audit_write(ctx, txn, c->permission, "agent", c->row.id, c->row.team_id,
                    audit_field(ctx, "state", c->row.state, c->state)));
    core_wake_after_commit(ctx, c->core, txn, "agent:", c->row.id);
    return change_find(ctx, txn, c);
}

RC agent_approve(struct ctx *ctx, struct core *core, const char *ref, struct q_agent_get_row *out)
{
    struct agent_change c = {.core = core, .ref = ref, .permission = "agent.approve", .state = "active"};
    TRY(store_write(ctx, core->store, change_state, &c));
    *out = c.row;
    return RC_OK;
}

static struct rc drain_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct agent_change *c = arg;
    TRY(change_find(ctx, txn, c));
    if (str_equal(c->row.state, "pending") || str_equal(c->row.state, "suspended"))
        return ctx_fail(ctx, E_CONFLICT, "agent %s does not work: it is %s", c->row.name, c->row.state);
    return change_state(ctx, txn, c);
}

RC agent_drain(struct ctx *ctx, struct core *core, const char *ref, struct q_agent_get_row *out)
{
    struct agent_change c = {.core = core, .ref = ref, .permission = "agent.drain", .state = "draining"};
    TRY(store_write(ctx, core->store, drain_write, &c));
    *out = c.row;
    return RC_OK;
}

/* What it holds or was to do ends as failed: attempts go on elsewhere, and say why. */
static struct rc jobs_end(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_agent_get_row *agent)
{
    struct q_agent_jobs_open_row *jobs = NULL;
    size_t n = 0;
    TRY(q_agent_jobs_open(ctx, txn, agent->id, 10000, &jobs, &n));
    const char *why = arena_printf(&ctx->arena, "agent %s was removed", agent->name);
    for (size_t i = 0; i < n; i++)
        TRY(job_refuse(ctx, core, txn, jobs[i].id, E_CONFLICT, why));
    return RC_OK;
}

static struct rc remove_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct agent_change *c = arg;
    struct q_agent_serves_row serves;
    struct q_agent_targets_row *targets = NULL;
    bool any = false;
    size_t n = 0;
    TRY(change_find(ctx, txn, c));
    if (!bytes_starts_with(bytes_z(c->row.identity), BYTES_LIT("key:")))
        return ctx_fail(ctx, E_CONFLICT, "%s is the hub's own agent: take it out of hub.yaml instead", c->row.name);
    TRY(q_agent_serves(ctx, txn, c->row.id, &serves, &any));
    if (any && !c->force)
        return ctx_fail(ctx, E_IN_USE, "%s serves %s by way of %s; move that first, or give its targets up with --force",
                        c->row.name, serves.managed, serves.target);
    TRY(q_agent_targets(ctx, txn, c->row.id, SERVICES_MAX, &targets, &n));
    struct str_list managed = {0};
    for (size_t i = 0; i < n; i++) {
        struct q_target_managed_by_row *by = NULL;
        size_t by_n = 0;
        TRY(q_target_managed_by(ctx, txn, targets[i].id, 100, &by, &by_n));
        for (size_t k = 0; k < by_n; k++)
            if (!str_list_has(&managed, by[k].id))
                str_list_add(&ctx->arena, &managed, by[k].id);
        TRY(target_forget(ctx, txn, targets[i].id));
    }
    TRY(jobs_end(ctx, c->core, txn, &c->row));
    for (size_t i = 0; i < managed.n; i++)
        TRY(target_settle(ctx, c->core, txn, managed.v[i]));
    TRY(q_agent_gone(ctx, txn, c->row.id));
    core_wake_after_commit(ctx, c->core, txn, "agent:", c->row.id);
    return audit_write(ctx, txn, "agent.delete", "agent", c->row.id, c->row.team_id,
                       audit_change(ctx, audit_facts(ctx, "name", c->row.name, "state", c->row.state, NULL), (struct bytes){0}));
}

RC agent_remove(struct ctx *ctx, struct core *core, const char *ref, bool force)
{
    struct agent_change c = {.core = core, .ref = ref, .permission = "agent.delete", .force = force};
    TRY(store_write(ctx, core->store, remove_write, &c));
    heard_forget(core, c.row.id);
    return RC_OK;
}

/* --- join tokens */

struct token_adding {
    struct core *core;
    const struct api_join_token_new *in;
    const char *id, *team;
    struct bytes hash;
    int64_t expires_at;
};

static struct rc token_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct token_adding *t = arg;
    TRY(access_team(ctx, txn, t->team, &t->team));
    TRY(decide(ctx, t->core, txn, "join-token.create", t->team));
    const struct q_join_token_add_in in = {.id = t->id,
                                           .team_id = t->team,
                                           .name = t->in->name,
                                           .hash = t->hash,
                                           .uses = t->in->uses,
                                           .networks = strings_json(ctx, &t->in->networks),
                                           .name_pattern = t->in->name_pattern ? t->in->name_pattern : "",
                                           .granted = strings_json(ctx, &t->in->granted),
                                           .approval = t->in->approval,
                                           .now = ctx_now_s(ctx),
                                           .expires_at = t->expires_at};
    struct rc rc = q_join_token_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a join token is named %s already (used up, revoked and expired ones keep their names): "
                        "certwright join-token list shows them; use another name, and end this one with: certwright join-token "
                        "revoke %s", t->in->name, t->in->name);
    }
    TRY(rc);
    return audit_write(ctx, txn, "join-token.create", "join-token", t->id, t->team,
                       audit_change(ctx, (struct bytes){0},
                                    audit_facts(ctx, "name", in.name, "networks:", in.networks, "name_pattern", in.name_pattern,
                                                "granted:", in.granted, "uses:", audit_number(ctx, in.uses), NULL)));
}

static struct rc check_token(struct ctx *ctx, const struct api_join_token_new *in)
{
    for (size_t i = 0; i < in->networks.n; i++) {
        struct cidr net;
        if (!cidr_parse(bytes_z(in->networks.v[i]), &net))
            return ctx_fail_field(ctx, "/networks", "%s is no network; write it as 192.0.2.0/24 or 2001:db8::/32",
                                  in->networks.v[i]);
    }
    for (size_t i = 0; i < in->granted.n; i++)
        if (!result_kind_is(in->granted.v[i]))
            return ctx_fail_field(ctx, "/granted", "%s is no kind of job; these are: %s", in->granted.v[i], result_kinds(ctx));
    return RC_OK;
}

RC join_token_add(struct ctx *ctx, struct core *core, const struct api_join_token_new *in, struct api_join_token_made *out)
{
    uint8_t raw[SHA256_LEN + SECRET_LEN], *hash = arena_alloc(&ctx->arena, SHA256_LEN);
    struct bytes root;
    struct token_adding t = {.core = core,
                             .in = in,
                             .team = in->team ? in->team : access_scope(ctx),
                             .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                             .hash = bytes_of(hash, SHA256_LEN),
                             .expires_at = ctx_now_s(ctx) + in->lifetime_s};
    TRY(check_token(ctx, in));
    TRY(fleet_root(ctx, core, &root));
    TRY(digest_sha256(ctx, root, raw));
    random_fill(raw + SHA256_LEN, SECRET_LEN);
    const char *text = arena_printf(&ctx->arena, JOIN_TOKEN_PREFIX "%s", base64url_str(&ctx->arena, bytes_of(raw, sizeof raw)));
    TRY(digest_sha256(ctx, bytes_z(text), hash));
    TRY(store_write(ctx, core->store, token_write, &t));
    *out = (struct api_join_token_made){.id = t.id, .name = in->name, .expires_at = t.expires_at, .token = text};
    return RC_OK;
}
