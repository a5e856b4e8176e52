#include "core/days.h"

#include "base/str.h"
#include "core/access.h"
#include "core/counter.h"
#include "core/findings.h"

#define KEYS_MOST 1000 /* a key is looked for among so many, the most frequent ones */

_Static_assert(DAYS_MOST == COUNTER_DAYS_KEPT, "numbers are kept as long as they can be asked for");

struct asking {
    const struct days_ask *ask;
    struct days *out;
};

static bool has_no_key(const char *dimension)
{
    return str_equal(dimension, COUNTER_TOTAL) || str_equal(dimension, COUNTER_MANAGED) || str_equal(dimension, COUNTER_SUPERSEDED);
}

static bool is_dimension(const char *text)
{
    static const char *const all[] = {COUNTER_TOTAL,   COUNTER_ISSUER,     COUNTER_KEY,     COUNTER_SIGNATURE, COUNTER_FINDING,
                                      COUNTER_MANAGED, COUNTER_SUPERSEDED, COUNTER_EXPIRES, COUNTER_SOURCE,    COUNTER_LIFETIME};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_equal(all[i], text))
            return true;
    return false;
}

/* People name an issuer; the counter has the number of its Name. */
static struct rc is_key(struct ctx *ctx, struct txn *txn, const struct days_ask *ask, const char *key, bool *is)
{
    struct q_issuer_name_get_row row;
    int64_t id = 0;
    *is = str_equal(key, ask->key);
    if (!str_equal(ask->of, COUNTER_ISSUER) || !str_to_i64(bytes_z(key), &id))
        return RC_OK;
    TRY(q_issuer_name_get(ctx, txn, id, &row, is));
    *is = *is && str_equal(row.text, ask->key);
    return RC_OK;
}

static struct rc read_days(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    const char *scope = access_scope(ctx), *key = NULL;
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    if (a->ask->team)
        TRY(access_team(ctx, txn, a->ask->team, &scope));
    TRY(q_counter_of(ctx, txn, a->ask->of, scope, KEYS_MOST, &rows, &n));
    for (size_t i = 0; i < n && !key; i++) {
        bool is = false;
        TRY(is_key(ctx, txn, a->ask, rows[i].key, &is));
        if (is) {
            key = rows[i].key;
            a->out->now = rows[i].n;
        }
    }
    if (!key && str_equal(a->ask->of, COUNTER_ISSUER))
        return ctx_fail_field(ctx, "/key",
                              "no certificate has that issuer, or %d others have more; see: certwright cert list --facets",
                              KEYS_MOST);
    const int64_t since = ctx_now_s(ctx) / 86400 - a->ask->days + 1;
    return q_counter_days(ctx, txn, a->ask->of, key ? key : a->ask->key, scope, since, &a->out->v, &a->out->n);
}

RC days_of(struct ctx *ctx, struct core *core, const struct days_ask *ask, struct days *out)
{
    struct days_ask asked = *ask;
    struct asking a = {.ask = &asked, .out = out};
    *out = (struct days){0};
    if (!is_dimension(asked.of))
        return ctx_fail_field(
            ctx, "/of",
            "there are numbers of total, issuer, key, signature, finding, managed, expires, source, lifetime; not of %s", asked.of);
    if (has_no_key(asked.of))
        asked.key = "";
    else if (!asked.key || !*asked.key)
        return ctx_fail_field(ctx, "/key", "which %s? certwright cert list --facets names them", asked.of);
    if (str_equal(asked.of, COUNTER_FINDING) && !findings_check_named(asked.key))
        return ctx_fail_field(ctx, "/key", "there is no check %s; certwright finding list shows them", asked.key);
    return store_read(ctx, core->store, read_days, &a);
}
