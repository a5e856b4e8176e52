#include "core/shared_answer.h"

#include "acme/dns_proof.h"
#include "base/str.h"

static const char *name_of(const char *identifier)
{
    return strncmp(identifier, "dns:", 4) == 0 ? identifier + 4 : identifier;
}

/* The record's name follows from method and account; with the same key authorization they are the same. */
static struct rc value_of(struct ctx *ctx, const char *name, const char *key_authorization, const char **out)
{
    struct acme_dns_proof proof;
    TRY(acme_dns_proof(ctx, "dns-01", name, NULL, key_authorization, &proof));
    *out = proof.value;
    return RC_OK;
}

static struct rc is_same(struct ctx *ctx, const struct shared_answer *a, const struct q_challenge_open_at_row *c, bool *same)
{
    const char *value = NULL;
    *same = false;
    if (str_equal(c->attempt_id, a->owner) || !str_equal(c->method, a->method))
        return RC_OK;
    if (!a->provider) {
        *same = !c->provider_id && str_equal(c->agent_id, a->agent) && str_equal(c->via, a->via) && str_equal(c->token, a->token) &&
                str_equal(c->key_authorization, a->key_authorization);
        return RC_OK;
    }
    if (!str_equal(c->provider_id, a->provider))
        return RC_OK;
    TRY(value_of(ctx, name_of(a->identifier), c->key_authorization, &value));
    *same = str_equal(value, a->value);
    return RC_OK;
}

RC shared_answer_needed(struct ctx *ctx, struct txn *txn, const struct shared_answer *a, bool *needed)
{
    struct shared_answer mine = *a;
    struct q_challenge_open_at_row *rows = NULL;
    struct q_managed_challenge_holding_row held;
    size_t n = 0;
    *needed = false;
    if (mine.provider && !mine.value)
        TRY(value_of(ctx, name_of(mine.identifier), mine.key_authorization, &mine.value));
    TRY(q_challenge_open_at(ctx, txn, mine.identifier, &rows, &n));
    for (size_t i = 0; i < n && !*needed; i++)
        TRY(is_same(ctx, &mine, &rows[i], needed));
    if (*needed || !mine.provider || !str_equal(mine.method, "dns-01"))
        return RC_OK;
    return q_managed_challenge_holding(ctx, txn, mine.owner, mine.provider, name_of(mine.identifier), mine.value, &held, needed);
}
