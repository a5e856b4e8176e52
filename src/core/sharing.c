#include "core/sharing.h"

#include "base/json.h"
#include "base/str.h"
#include "core/audit.h"
#include "core/deployment.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/payload.h"
#include "pki/hpke.h"

static bool holds_key(const char *content)
{
    static const char *const without[] = {"fullchain", "leaf", "chain", "root"};
    for (size_t i = 0; content && i < sizeof without / sizeof *without; i++)
        if (strncmp(content, without[i], strlen(without[i])) == 0)
            return false;
    return true;
}

RC sharing_taken(struct ctx *ctx, struct txn *txn, const struct q_target_by_id_row *target, struct taken_key *out)
{
    struct q_agent_connectors_row agent;
    json_auto_t *told = NULL, *parameters = NULL;
    *out = (struct taken_key){0};
    TRY(q_agent_connectors(ctx, txn, target->agent_id, &agent));
    TRY(json_read(ctx, bytes_z(agent.connectors), &told));
    TRY(json_read(ctx, bytes_z(target->parameters), &parameters));
    const json_t *list = json_object_get(told, "connectors");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i), *files = json_object_get(c, "files");
        if (!str_equal(json_string_value(json_object_get(c, "name")), target->connector))
            continue;
        out->never = str_equal(target->connector, "files"); /* others may hand the key over in ways that are not told */
        for (size_t k = 0; k < json_array_size(files); k++) {
            const json_t *f = json_array_get(files, k);
            const char *parameter = json_string_value(json_object_get(f, "parameter"));
            if (parameter && json_object_get(parameters, parameter) &&
                holds_key(json_string_value(json_object_get(f, "content")))) {
                *out = (struct taken_key){.parameter = arena_strdup(&ctx->arena, parameter)};
                return RC_OK;
            }
        }
    }
    return RC_OK;
}

RC sharing_look(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const struct q_target_by_id_row *target,
                struct shared_key *out)
{
    struct q_attempt_by_id_row a;
    struct q_sealed_key_get_row row;
    struct taken_key taken;
    bool found = false;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    *out = (struct shared_key){.spki_sha256 = a.spki_sha256, .managed = a.managed_id, .installation = core->hub_agent};
    out->elsewhere = str_equal(a.agent_id, core->hub_agent);
    if (out->elsewhere || str_equal(a.agent_id, target->agent_id))
        return RC_OK;
    TRY(sharing_taken(ctx, txn, target, &taken));
    out->elsewhere = taken.never; /* nobody gets a key that does not need it */
    if (out->elsewhere)
        return RC_OK;
    TRY(q_sealed_key_get(ctx, txn, attempt, target->agent_id, &row, &found));
    out->missing = !found;
    out->sealed = found ? row.sealed : (struct bytes){0};
    return RC_OK;
}

/* Why the key of an attempt cannot be sealed to an agent at all; NULL where it can. */
static struct rc hopeless(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, const char *agent,
                          const char **why)
{
    struct q_agent_seal_key_row maker, receiver;
    struct q_managed_by_id_row m;
    *why = NULL;
    TRY(q_agent_seal_key(ctx, txn, a->agent_id, &maker));
    TRY(q_agent_seal_key(ctx, txn, agent, &receiver));
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    if (str_equal(maker.state, "removed"))
        *why = arena_printf(&ctx->arena,
                            "its key was made by agent %s, which was removed, and is not on agent %s; make a new one with: "
                            "certwright cert renew %s",
                            maker.name, receiver.name, m.name);
    else if (!receiver.seal_key.n)
        *why = arena_printf(&ctx->arena, "agent %s has told no key that others could seal to; it needs a newer release",
                            receiver.name);
    return RC_OK;
}

/* The agents of the managed certificate that lack the key and can be sealed to. */
static struct rc receivers(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                           struct payload_receiver *out, size_t *n)
{
    struct q_managed_targets_row *targets = NULL;
    struct str_list seen = {0};
    size_t targets_n = 0;
    *n = 0;
    TRY(q_managed_targets(ctx, txn, a->managed_id, &targets, &targets_n));
    for (size_t i = 0; i < targets_n && *n < SHARING_AGENTS_MAX; i++) {
        struct shared_key key;
        struct q_agent_seal_key_row agent;
        struct q_target_by_id_row t;
        if (str_list_has(&seen, targets[i].agent_id))
            continue;
        TRY(q_target_by_id(ctx, txn, targets[i].target_id, &t));
        TRY(sharing_look(ctx, core, txn, a->id, &t, &key));
        if (!key.missing)
            continue;
        str_list_add(&ctx->arena, &seen, t.agent_id);
        TRY(q_agent_seal_key(ctx, txn, t.agent_id, &agent));
        if (agent.seal_key.n)
            out[(*n)++] = (struct payload_receiver){t.agent_id, agent.seal_key};
    }
    return RC_OK;
}

static struct rc ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_job_open_ref_row job;
    struct q_attempt_by_id_row a;
    struct q_agent_seal_key_row maker;
    struct bytes payload;
    bool open = false;
    size_t n = 0;
    TRY(q_job_open_ref(ctx, txn, attempt, "seal", &job, &open));
    if (open)
        return RC_OK;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    TRY(q_agent_seal_key(ctx, txn, a.agent_id, &maker));
    if (str_equal(maker.state, "removed"))
        return RC_OK;
    struct payload_receiver *to = arena_array(&ctx->arena, SHARING_AGENTS_MAX, sizeof *to);
    TRY(receivers(ctx, core, txn, &a, to, &n));
    if (!n)
        return RC_OK;
    TRY(payload_seal(ctx, &a, core->hub_agent, to, n, &payload));
    TRY(step_write(ctx, txn, a.managed_id, a.id, NULL, "seal", "agent %s seals the key to %zu other%s", maker.name, n,
                   n == 1 ? "" : "s"));
    return job_add(ctx, core, txn, "seal", a.agent_id, arena_printf(&ctx->arena, "attempt:%s", attempt), attempt, payload, 0);
}

RC sharing_ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    TRY(timer_arm(ctx, txn, "seal", attempt, ctx_now_s(ctx))); /* looks once more: what can never be sealed is told */
    return ask(ctx, core, txn, attempt);
}

static struct rc end_badly(struct ctx *ctx, struct core *core, struct txn *txn, const char *deployment, enum err e, const char *why,
                           int64_t retry_after_s)
{
    const struct deploy_outcome o = {.e = e, .why = why, .retry_after_s = retry_after_s};
    return deployment_ended(ctx, core, txn, deployment, &o);
}

/* What waits for the key goes on where it is there, ends where it can never be, and is asked for where it is not. */
RC sharing_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_attempt_by_id_row a;
    struct q_deployment_unsealed_row *rows = NULL;
    size_t n = 0;
    bool more = false;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    TRY(q_deployment_unsealed(ctx, txn, attempt, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_deployment_by_id_row now;
        struct q_target_by_id_row t;
        struct shared_key key;
        const char *why = NULL;
        bool wanted = false;
        TRY(q_deployment_by_id(ctx, txn, rows[i].id, &now));
        if (now.finished_at) /* one before it halted the roll-out */
            continue;
        TRY(q_target_by_id(ctx, txn, rows[i].target_id, &t));
        TRY(sharing_look(ctx, core, txn, attempt, &t, &key));
        TRY(hopeless(ctx, txn, &a, rows[i].agent_id, &why));
        TRY(deployment_wanted(ctx, txn, &now, &wanted));
        if (!wanted)
            TRY(deployment_stop(ctx, txn, now.id, now.state));
        else if (!key.missing)
            TRY(deployment_release(ctx, core, txn, rows[i].id));
        else if (why)
            TRY(end_badly(ctx, core, txn, rows[i].id, E_CONFLICT, why, 0));
        else
            more = true;
    }
    struct q_job_open_ref_row job;
    bool open = false;
    TRY(q_job_open_ref(ctx, txn, attempt, "seal", &job, &open));
    return more && !open ? ask(ctx, core, txn, attempt) : RC_OK;
}

RC sharing_sealed(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const struct sealed_for *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(q_sealed_key_set(ctx, txn, attempt, v[i].agent, v[i].sealed, ctx_now_s(ctx)));
    return sharing_due(ctx, core, txn, attempt);
}

RC sharing_failed(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, enum err e, const char *why,
                  int64_t retry_after_s)
{
    struct q_attempt_by_id_row a;
    struct q_managed_by_id_row m;
    struct q_agent_seal_key_row maker;
    struct q_deployment_unsealed_row *rows = NULL;
    size_t n = 0;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    TRY(q_managed_by_id(ctx, txn, a.managed_id, &m));
    TRY(q_agent_seal_key(ctx, txn, a.agent_id, &maker));
    TRY(q_deployment_unsealed(ctx, txn, attempt, &rows, &n));
    const bool lost = e == E_NOT_FOUND || e == E_INVALID;
    const char *words = arena_printf(&ctx->arena, "agent %s could not seal its key: %s; %s: certwright cert %s %s", maker.name, why,
                                     lost ? "a new one is made with" : "then", lost ? "renew" : "retry", m.name);
    for (size_t i = 0; i < n; i++) {
        struct q_deployment_by_id_row now;
        TRY(q_deployment_by_id(ctx, txn, rows[i].id, &now));
        if (!now.finished_at)
            TRY(end_badly(ctx, core, txn, rows[i].id, e, words, retry_after_s));
    }
    return RC_OK;
}

/* --- the keys that are sealed to */

RC sharing_key_told(struct ctx *ctx, struct txn *txn, const char *agent, struct bytes key)
{
    struct q_agent_seal_key_row row;
    if (key.n != HPKE_X25519_LEN)
        return ctx_fail(ctx, E_INVALID, "a sealing key has %d bytes, not %zu", HPKE_X25519_LEN, key.n);
    TRY(hpke_public_check(ctx, HPKE_X25519, key)); /* one that cannot be sealed to would keep the others from their keys */
    TRY(q_agent_seal_key(ctx, txn, agent, &row));
    if (!row.seal_key.n)
        return q_agent_seal_key_set(ctx, txn, agent, key);
    const bool same = bytes_equal(row.seal_key, key);
    if (same ? !row.seal_key_offered.n : bytes_equal(row.seal_key_offered, key))
        return RC_OK;
    return q_agent_seal_key_offer(ctx, txn, agent, same ? (struct bytes){0} : key);
}

RC sharing_key_accept(struct ctx *ctx, struct txn *txn, const char *agent, bool *accepted)
{
    struct q_agent_seal_key_row row;
    TRY(q_agent_seal_key(ctx, txn, agent, &row));
    *accepted = row.seal_key_offered.n != 0;
    if (!*accepted)
        return RC_OK;
    TRY(q_sealed_key_drop_agent(ctx, txn, agent));
    return q_agent_seal_key_set(ctx, txn, agent, row.seal_key_offered);
}
