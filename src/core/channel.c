#include "core/channel.h"

#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/audit_stream.h"
#include "core/job.h"
#include "core/mail_address.h"
#include "core/notify.h"

#define LIFE_EVERY_S  86400
#define LIFE          "channel-life"
#define DEAD_TOLD_S   (7 * 86400)
#define PARAMETERS    32
#define PARAMETER_MAX 2048

struct channel_change {
    struct core *core;
    const char *ref, *id, *team, *code;
    const struct channel_input *in;
    struct str_list addresses;
    int64_t revision;
    bool good;               /* the code was one */
    int64_t waits, wait_s;   /* addresses whose next code has to wait, and how long the first of them */
    size_t sent;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_channel_get_row *out)
{
    bool found = false;
    TRY(q_channel_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no channel is named %s; certwright channel list shows them", ref);
}

RC channel_ref(struct ctx *ctx, struct txn *txn, const char *ref, const char **id, const char **team)
{
    struct q_channel_get_row row;
    TRY(find(ctx, txn, ref, &row));
    *id = row.id;
    *team = row.team_id;
    return RC_OK;
}

/* --- what is wished */

/* The domain is written in lower case, so that nobody is there twice; the agent's relay looks at all of it when it writes there
 * (net/deliver.h). */
static struct rc addresses_of(struct ctx *ctx, const struct str_list *given, struct str_list *out)
{
    if (given->n > CHANNEL_ADDRESSES_MAX)
        return ctx_fail_field(ctx, "/addresses", "at most %d addresses; make another channel for the rest", CHANNEL_ADDRESSES_MAX);
    for (size_t i = 0; i < given->n; i++) {
        const char *address = mail_address_plain(ctx, given->v[i]);
        if (!address)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/addresses/%zu", i), "%s is no mail address", given->v[i]);
        if (!str_list_has(out, address))
            str_list_add(&ctx->arena, out, address);
    }
    return RC_OK;
}

static struct rc kind_check(struct ctx *ctx, const char *kind)
{
    return str_is_name(bytes_z(kind))
               ? RC_OK
               : ctx_fail_field(ctx, "/kind", "name a row of channels in the agent's agent.yaml, such as mail or slack");
}

static struct rc agent_of(struct ctx *ctx, struct txn *txn, const char *ref, const char **id)
{
    const char *name = NULL;
    struct rc rc = agent_meant(ctx, txn, ref, id, &name);
    if (rc_failed(rc))
        ctx->field = "/agent";
    return rc;
}

static struct rc told(struct ctx *ctx, const char *kind, const char *agent, const char *parameters, bool usual, bool daily,
                      const struct str_list *addresses, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "kind", kind);
    json_put_str(&j, "agent", agent);
    json_put_raw(&j, "parameters", bytes_z(parameters));
    json_put_bool(&j, "usual", usual);
    json_put_bool(&j, "daily", daily);
    json_open_list(&j, "addresses");
    for (size_t i = 0; i < addresses->n; i++)
        json_put_str(&j, NULL, addresses->v[i]);
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

/* --- addresses */

/* *wait_s: it was not sent, since another was so short a time ago. */
static struct rc code_send(struct ctx *ctx, struct core *core, struct txn *txn, const char *channel, const char *name,
                           const char *team, const char *address, int64_t *wait_s)
{
    const char *code = mail_code_new(ctx);
    TRY(mail_code_may(ctx, txn, address, wait_s));
    if (*wait_s)
        return RC_OK;
    const struct notify_what what = {.subject = arena_printf(&ctx->arena, "Confirm that %s tells you of certificates", name),
                                     .text = arena_printf(&ctx->arena,
                                                          "Somebody wishes that channel %s of Certwright at %s writes to %s.\n\n"
                                                          "If you want that, say so with this code within a day:\n\n"
                                                          "    certwright channel confirm %s {code}\n\n"
                                                          "If not, nothing else comes here.",
                                                          name, core->name, address, name),
                                     .severity = "info",
                                     .state = "confirm",
                                     .object_kind = "channel",
                                     .object_id = channel,
                                     .object_name = name,
                                     .team = team};
    const struct notify_row row = {.what = &what, .channel = channel, .recipient = address, .code = code};
    struct bytes hash;
    TRY(mail_code_hash(ctx, channel, address, code, &hash));
    TRY(q_channel_code_set(ctx, txn, channel, address, hash, ctx_now_s(ctx) + MAIL_CODE_FOR_S));
    return notify_row(ctx, core, txn, &row);
}

/* Those that are new hear of it; those that are not wished any more hear nothing more. */
static struct rc addresses_keep(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *name,
                                const char *team, const struct str_list *wished, struct str_list *had)
{
    struct q_channel_address_list_row *have = NULL;
    size_t n = 0;
    int64_t wait_s = 0; /* `channel confirm` tells of it */
    *had = (struct str_list){0};
    TRY(q_channel_address_list(ctx, txn, id, &have, &n));
    for (size_t i = 0; i < n; i++) {
        str_list_add(&ctx->arena, had, have[i].address);
        if (wished && !str_list_has(wished, have[i].address))
            TRY(q_channel_address_drop(ctx, txn, id, have[i].address));
    }
    for (size_t i = 0; wished && i < wished->n; i++)
        if (!str_list_has(had, wished->v[i])) {
            TRY(q_channel_address_add(ctx, txn, id, wished->v[i]));
            TRY(code_send(ctx, core, txn, id, name, team, wished->v[i], &wait_s));
        }
    return RC_OK;
}

static struct rc confirm(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct channel_change *c = arg;
    struct q_channel_get_row row;
    struct q_channel_address_list_row *to = NULL;
    struct bytes hash;
    size_t n = 0;
    c->good = true;
    c->waits = c->wait_s = 0;
    c->sent = 0;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "channel.update", row.team_id));
    TRY(q_channel_address_list(ctx, txn, row.id, &to, &n));
    for (size_t i = 0; i < n; i++) {
        if (to[i].confirmed_at)
            continue;
        if (!c->code) {
            int64_t wait_s = 0;
            TRY(code_send(ctx, c->core, txn, row.id, row.name, row.team_id, to[i].address, &wait_s));
            c->sent += !wait_s;
            c->waits += wait_s > 0;
            c->wait_s = wait_s && (!c->wait_s || wait_s < c->wait_s) ? wait_s : c->wait_s;
            continue;
        }
        TRY(mail_code_hash(ctx, row.id, to[i].address, c->code, &hash));
        const bool open = to[i].code_hash.n && to[i].code_until && *to[i].code_until >= ctx_now_s(ctx);
        if (!open || to[i].code_tries >= MAIL_CODE_TRIES || !bytes_equal_secret(hash, to[i].code_hash))
            continue;
        TRY(q_channel_confirmed(ctx, txn, row.id, to[i].address, ctx_now_s(ctx)));
        TRY(mail_code_good(ctx, txn, to[i].address));
        return audit_write(ctx, txn, "channel.confirm", "channel", row.id, row.team_id,
                           audit_facts(ctx, "address", to[i].address, NULL));
    }
    if (!c->code && !c->sent)
        return RC_OK;
    if (!c->code)
        return audit_write(ctx, txn, "channel.confirm", "channel", row.id, row.team_id, audit_facts(ctx, "sent", "codes", NULL));
    c->good = false; /* counted, so committed */
    return q_channel_code_tried(ctx, txn, row.id);
}

RC channel_confirm(struct ctx *ctx, struct core *core, const char *ref, const char *code)
{
    struct channel_change c = {.core = core, .ref = ref, .code = code};
    TRY(store_write(ctx, core->store, confirm, &c));
    if (c.waits && !c.sent)
        return ctx_fail(ctx, E_RATE_LIMITED, "a code was sent a short time ago; the next one can be in %lld seconds",
                        (long long)c.wait_s);
    return c.good ? RC_OK
                  : ctx_fail_field(ctx, "/code",
                                   "the code is not, or no longer, that of an address that waits for one; a new one is sent by: "
                                   "certwright channel confirm %s", ref);
}

/* --- making and changing */

static struct rc parameters_check(struct ctx *ctx, const char *text)
{
    json_auto_t *all = NULL;
    const char *key;
    json_t *v;
    TRY(json_read(ctx, bytes_z(text), &all));
    if (json_object_size(all) > PARAMETERS)
        return ctx_fail_field(ctx, "/parameters", "at most %d parameters", PARAMETERS);
    json_object_foreach(all, key, v)
    {
        if (!json_is_string(v) || json_string_length(v) > PARAMETER_MAX)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/parameters/%s", key), "must be a text of at most %d bytes",
                                  PARAMETER_MAX);
    }
    return RC_OK;
}

static struct rc life_arm(struct ctx *ctx, struct txn *txn, const char *id, bool daily)
{
    return daily ? timer_arm(ctx, txn, LIFE, id, ctx_now_s(ctx) + LIFE_EVERY_S) : timer_clear(ctx, txn, LIFE, id);
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct channel_change *c = arg;
    const char *agent = NULL, *parameters = c->in->parameters ? c->in->parameters : "{}";
    struct bytes detail;
    struct str_list none;
    TRY(access_team(ctx, txn, c->team, &c->team));
    TRY(decide(ctx, c->core, txn, "channel.create", c->team));
    TRY(agent_of(ctx, txn, c->in->agent, &agent));
    const struct q_channel_add_in in = {.id = c->id,
                                        .team_id = c->team,
                                        .name = c->in->name,
                                        .kind = c->in->kind,
                                        .agent_id = agent,
                                        .parameters = parameters,
                                        .usual = c->in->usual != 0,
                                        .daily = c->in->daily > 0,
                                        .now = ctx_now_s(ctx)};
    struct rc rc = q_channel_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a channel named %s is there already; change it with: certwright channel edit %s",
                        c->in->name, c->in->name);
    }
    TRY(rc);
    TRY(addresses_keep(ctx, c->core, txn, c->id, c->in->name, c->team, &c->addresses, &none));
    TRY(life_arm(ctx, txn, c->id, in.daily));
    TRY(told(ctx, in.kind, agent, parameters, in.usual, in.daily, &c->addresses, &detail));
    return audit_write(ctx, txn, "channel.create", "channel", c->id, c->team, audit_change(ctx, (struct bytes){0}, detail));
}

RC channel_create(struct ctx *ctx, struct core *core, const struct channel_input *in, const char **id)
{
    struct channel_change c = {.core = core,
                               .in = in,
                               .team = in->team ? in->team : access_scope(ctx),
                               .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(kind_check(ctx, in->kind));
    TRY(addresses_of(ctx, &in->addresses, &c.addresses));
    if (in->parameters)
        TRY(parameters_check(ctx, in->parameters));
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct channel_change *c = arg;
    struct q_channel_get_row row;
    struct bytes before, after;
    struct str_list had;
    const char *agent = NULL;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "channel.update", row.team_id));
    TRY(audit_stream_channel(ctx, c->core, txn, row.id, false));
    TRY(agent_of(ctx, txn, c->in->agent ? c->in->agent : row.agent_id, &agent));
    const struct q_channel_update_in in = {.id = row.id,
                                           .kind = c->in->kind ? c->in->kind : row.kind,
                                           .agent_id = agent,
                                           .parameters = c->in->parameters ? c->in->parameters : row.parameters,
                                           .usual = c->in->usual < 0 ? row.usual : c->in->usual > 0,
                                           .daily = c->in->daily < 0 ? row.daily : c->in->daily > 0,
                                           .revision = c->revision ? c->revision : row.revision,
                                           .now = ctx_now_s(ctx)};
    TRY(q_channel_update(ctx, txn, &in));
    TRY(addresses_keep(ctx, c->core, txn, row.id, row.name, row.team_id, c->in->has_addresses ? &c->addresses : NULL, &had));
    if (in.daily != row.daily)
        TRY(life_arm(ctx, txn, row.id, in.daily));
    TRY(told(ctx, row.kind, row.agent_id, row.parameters, row.usual, row.daily, &had, &before));
    TRY(told(ctx, in.kind, agent, in.parameters, in.usual, in.daily, c->in->has_addresses ? &c->addresses : &had, &after));
    return audit_write(ctx, txn, "channel.update", "channel", row.id, row.team_id, audit_change(ctx, before, after));
}

RC channel_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct channel_input *in)
{
    struct channel_change c = {.core = core, .ref = ref, .in = in, .revision = revision};
    if (in->kind)
        TRY(kind_check(ctx, in->kind));
    TRY(addresses_of(ctx, &in->addresses, &c.addresses));
    if (in->parameters)
        TRY(parameters_check(ctx, in->parameters));
    return store_write(ctx, core->store, update, &c);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct channel_change *c = arg;
    struct q_channel_get_row row;
    struct bytes before;
    struct str_list had;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "channel.delete", row.team_id));
    TRY(audit_stream_channel(ctx, c->core, txn, row.id, true));
    TRY(addresses_keep(ctx, c->core, txn, row.id, row.name, row.team_id, &(struct str_list){0}, &had));
    TRY(told(ctx, row.kind, row.agent_id, row.parameters, row.usual, row.daily, &had, &before));
    TRY(notify_drop(ctx, txn, row.id));
    TRY(timer_clear(ctx, txn, LIFE, row.id));
    TRY(q_channel_remove(ctx, txn, row.id, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "channel.delete", "channel", row.id, row.team_id, audit_change(ctx, before, (struct bytes){0}));
}

RC channel_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct channel_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

/* --- trying it */

static struct rc test(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct channel_change *c = arg;
    struct q_channel_get_row row;
    struct q_channel_address_list_row *to = NULL;
    size_t n = 0, good = 0;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "channel.test", row.team_id));
    TRY(q_channel_address_list(ctx, txn, row.id, &to, &n));
    for (size_t i = 0; i < n; i++)
        good += to[i].confirmed_at != NULL;
    if (n && !good)
        return ctx_fail(ctx, E_INVALID,
                        "no address of channel %s is confirmed yet, and nothing else goes there before: certwright channel "
                        "confirm %s CODE", row.name, row.name);
    const struct notify_what what = {.subject = arena_printf(&ctx->arena, "Test of channel %s", row.name),
                                     .text = arena_printf(&ctx->arena,
                                                          "Somebody tries whether channel %s of Certwright at %s works.  It does: "
                                                          "there is nothing to do.", row.name, c->core->name),
                                     .severity = "info",
                                     .state = "test",
                                     .object_kind = "channel",
                                     .object_id = row.id,
                                     .object_name = row.name,
                                     .team = row.team_id};
    const struct notify_row one = {.what = &what, .id = c->id, .channel = row.id, .only_once = true};
    TRY(notify_row(ctx, c->core, txn, &one));
    return audit_write(ctx, txn, "channel.test", "channel", row.id, row.team_id, audit_facts(ctx, "notification", c->id, NULL));
}

RC channel_test(struct ctx *ctx, struct core *core, const char *ref, const char **id)
{
    struct channel_change c = {.core = core, .ref = ref, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, test, &c));
    *id = c.id;
    return RC_OK;
}

RC channel_life_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_channel_by_id_row c;
    bool found = false;
    TRY(q_channel_by_id(ctx, txn, id, &c, &found));
    if (!found || c.removed_at || !c.daily)
        return RC_OK;
    const struct notify_what what = {.subject = arena_printf(&ctx->arena, "Certwright at %s is at work", core->name),
                                     .text = arena_printf(&ctx->arena,
                                                          "This comes once a day over channel %s.  When it does not, see whether "
                                                          "Certwright runs: certwright status", c.name),
                                     .severity = "info",
                                     .state = "alive",
                                     .object_kind = "channel",
                                     .object_id = c.id,
                                     .object_name = c.name,
                                     .team = c.team_id};
    const struct notify_row one = {.what = &what, .channel = c.id};
    TRY(notify_row(ctx, core, txn, &one));
    return timer_arm(ctx, txn, LIFE, id, ctx_now_s(ctx) + LIFE_EVERY_S);
}

/* --- how it stands */

struct reading {
    struct core *core;
    const char *ref, *after;
    int64_t limit;
    struct channel_view *views;
    size_t n;
};

static struct rc view_of(struct ctx *ctx, struct txn *txn, const struct q_channel_get_row *row, struct channel_view *out)
{
    out->row = *row;
    return q_channel_address_list(ctx, txn, row->id, &out->addresses, &out->addresses_n);
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    struct q_channel_get_row row;
    TRY(find(ctx, txn, r->ref, &row));
    TRY(decide(ctx, r->core, txn, "channel.read", row.team_id));
    return view_of(ctx, txn, &row, r->views);
}

RC channel_show(struct ctx *ctx, struct core *core, const char *ref, struct channel_view *out)
{
    struct reading r = {.core = core, .ref = ref, .views = out};
    return store_read(ctx, core->store, show, &r);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    struct q_channel_get_row *rows = NULL;
    TRY(decide(ctx, r->core, txn, "channel.read", NULL));
    TRY(q_channel_list(ctx, txn, access_scope(ctx), r->after ? r->after : "", r->limit, &rows, &r->n));
    r->views = arena_array(&ctx->arena, r->n, sizeof *r->views);
    for (size_t i = 0; i < r->n; i++)
        TRY(view_of(ctx, txn, &rows[i], &r->views[i]));
    return RC_OK;
}

RC channel_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct channel_view **out, size_t *n)
{
    struct reading r = {.core = core, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &r));
    *out = r.views;
    *n = r.n;
    return RC_OK;
}

RC channel_arrived(struct ctx *ctx, struct txn *txn, const char *id)
{
    struct q_channel_by_id_row c;
    bool found = false;
    TRY(q_channel_by_id(ctx, txn, id, &c, &found));
    if (!found)
        return RC_OK;
    TRY(q_channel_good(ctx, txn, id, ctx_now_s(ctx)));
    return c.failing_since && !c.removed_at
               ? audit_write(ctx, txn, "channel.healthy", "channel", id, c.team_id, audit_facts(ctx, "name", c.name, NULL))
               : RC_OK;
}

RC channel_failed(struct ctx *ctx, struct txn *txn, const char *id, enum err e, const char *why, bool lost)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_channel_by_id_row c;
    bool found = false;
    TRY(q_channel_by_id(ctx, txn, id, &c, &found));
    if (!found || c.removed_at)
        return RC_OK;
    const bool fails = c.failing_since || lost || c.failures + 1 >= CHANNEL_FAILS;
    const int64_t since = c.failing_since ? *c.failing_since : now;
    const struct q_channel_bad_in in = {
        .id = id, .failing_since = fails ? &since : NULL, .error_code = err_info(e)->name, .error = why ? why : "?", .now = now};
    TRY(q_channel_bad(ctx, txn, &in));
    return fails && !c.failing_since ? audit_write(ctx, txn, "channel.failing", "channel", id, c.team_id,
                                                   audit_facts(ctx, "name", c.name, "error", in.error, NULL))
                                     : RC_OK;
}

RC channel_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_channel_trouble_row *bad = NULL;
    struct q_notification_dead_count_row *dead = NULL;
    size_t n = 0;
    TRY(q_channel_trouble(ctx, txn, access_scope(ctx), limit, &bad, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(bad[i].agent_state, "removed"))
            add(arg, bad[i].name,
                arena_printf(&ctx->arena, "channel %s tells by agent %s, which was removed", bad[i].name, bad[i].agent),
                arena_printf(&ctx->arena, "certwright channel edit %s --agent AGENT", bad[i].name));
        else
            add(arg, bad[i].name,
                arena_printf(&ctx->arena, "channel %s delivers nothing: %s", bad[i].name, bad[i].error ? bad[i].error : "?"),
                arena_printf(&ctx->arena,
                             "mend it (certwright channel edit; or channels and credentials in agent.yaml on %s, then restart its "
                             "agent), then: certwright channel test %s", bad[i].agent, bad[i].name));
    TRY(q_notification_dead_count(ctx, txn, access_scope(ctx), ctx_now_s(ctx) - DEAD_TOLD_S, limit, &dead, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, dead[i].channel,
            arena_printf(&ctx->arena, "channel %s: %lld notification%s did not arrive", dead[i].channel, (long long)dead[i].n,
                         dead[i].n == 1 ? "" : "s"),
            "certwright channel notifications --state dead; sent once more by: certwright channel resend ID");
    return RC_OK;
}
