#include "core/policy.h"

#include <pthread.h>

#include "base/json.h"
#include "core/policy_own.h"
#include "store/queries.h"

/* --- the document in force, parsed.  By its hash, not by its version alone: a database that was put back to an older copy counts
 * versions a second time. */
struct policy_cache {
    pthread_mutex_t lock;
    struct policy_doc *doc;
};

struct policy_cache *policy_cache_new(void)
{
    struct policy_cache *c = calloc(1, sizeof *c);
    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

void policy_cache_free(struct policy_cache *c)
{
    if (c)
        policy_doc_drop(c->doc);
    free(c);
}

static struct policy_doc *cached(struct policy_cache *c, int64_t version, struct bytes hash)
{
    struct policy_doc *doc = NULL;
    if (!c)
        return NULL;
    pthread_mutex_lock(&c->lock);
    if (c->doc && c->doc->version == version && bytes_equal(bytes_of(c->doc->hash, sizeof c->doc->hash), hash))
        doc = policy_doc_keep(c->doc);
    pthread_mutex_unlock(&c->lock);
    return doc;
}

static void keep(struct policy_cache *c, struct policy_doc *doc)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    struct policy_doc *old = c->doc;
    c->doc = policy_doc_keep(doc);
    pthread_mutex_unlock(&c->lock);
    policy_doc_drop(old);
}

static struct rc teams_bind(struct ctx *ctx, const char *json, struct policy_doc *doc)
{
    const struct policy_named *teams = NULL;
    json_auto_t *ids = NULL;
    size_t n = 0;
    TRY(json_read(ctx, bytes_z(json), &ids));
    policy_doc_names(doc, POLICY_TEAM, &teams, &n);
    const char **of = arena_array(&ctx->arena, n + 1, sizeof *of);
    for (size_t i = 0; i < n; i++)
        of[i] = json_string_value(json_object_get(ids, teams[i].name));
    policy_doc_bind(doc, of);
    return RC_OK;
}

static struct rc doc_load(struct ctx *ctx, struct core *core, struct txn *txn, struct policy_doc **out)
{
    struct q_policy_get_row row;
    struct policy_problem *problems = NULL;
    size_t n = 0;
    bool found = false;
    TRY(q_policy_get(ctx, txn, 0, &row, &found));
    if (!found || row.hash.n != SHA256_LEN)
        return ctx_fail(ctx, E_BUG, "the policy in force is not there");
    TRY(policy_doc_read(ctx, bytes_z(row.document), &problems, &n, out));
    if (!*out) /* of a newer release: what it says is not known, so nothing is done */
        return ctx_fail(ctx, E_CONFLICT,
                        "version %lld of the policy, which is in force, is not understood by this release: line %lld: %s",
                        (long long)row.version, (long long)problems[0].line, problems[0].words);
    (*out)->version = row.version;
    memcpy((*out)->hash, row.hash.p, SHA256_LEN);
    struct rc rc = teams_bind(ctx, row.teams, *out);
    if (rc_ok(rc))
        keep(core->policy, *out);
    else
        policy_doc_drop(*out);
    return rc;
}

RC policy_decide(struct ctx *ctx, struct core *core, struct txn *txn, const struct policy_asked *asked, struct policy_verdict *out)
{
    struct q_policy_in_force_row *rows = NULL;
    size_t n = 0, teams = 0;
    *out = (struct policy_verdict){.says = POLICY_ALLOWS};
    TRY(q_policy_in_force(ctx, txn, asked->team, &rows, &n));
    if (!n)
        return RC_OK;
    struct policy_doc *doc = cached(core->policy, rows[0].version, rows[0].hash);
    if (!doc)
        TRY(doc_load(ctx, core, txn, &doc));
    const char **ids = arena_array(&ctx->arena, n, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        if (rows[i].team_id)
            ids[teams++] = rows[i].team_id;
    policy_doc_judge(ctx, doc, &(struct policy_facts){.asked = asked, .teams = ids, .teams_n = teams, .now = ctx_now_s(ctx)}, out);
    policy_doc_drop(doc);
    out->version = rows[0].version;
    return RC_OK;
}
