/* Versions of the policy, and trying one before it is in force. */
#include "base/encode.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/managed.h"
#include "core/policy_own.h"
#include "pki/digest.h"

#define TRIAL_PAGE_MAX 500

struct work {
    struct core *core;
    int64_t version, before, limit;
    const int64_t *seen;
    const char *document, *comment, *after;
    struct policy_version *out;
    size_t n;
    struct policy_doc *doc;
    struct policy_problem *problems;
    size_t problems_n;
    struct policy_checked *checked;
};

/* --- what there is */

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct work *k = arg;
    struct q_policy_get_row row, now;
    bool found = false, any = false;
    TRY(access_everywhere(ctx, k->core, txn, "policy.read"));
    TRY(q_policy_get(ctx, txn, k->version, &row, &found));
    if (!found && k->version)
        return ctx_fail(ctx, E_NOT_FOUND, "the policy has no version %lld; certwright policy versions shows them",
                        (long long)k->version);
    *k->out = (struct policy_version){.document = "", .comment = "", .created_by = "", .in_force = true};
    if (!found)
        return RC_OK;
    TRY(q_policy_get(ctx, txn, 0, &now, &any));
    *k->out = (struct policy_version){.version = row.version,
                                      .document = row.document,
                                      .comment = row.comment,
                                      .created_by = row.created_by,
                                      .created_at = row.created_at,
                                      .in_force = row.version == now.version};
    return RC_OK;
}

RC policy_show(struct ctx *ctx, struct core *core, int64_t version, struct policy_version *out)
{
    struct work k = {.core = core, .version = version, .out = out};
    return store_read(ctx, core->store, show, &k);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct work *k = arg;
    struct q_policy_list_row *rows = NULL;
    struct q_policy_get_row now;
    bool any = false;
    TRY(access_everywhere(ctx, k->core, txn, "policy.read"));
    TRY(q_policy_get(ctx, txn, 0, &now, &any));
    TRY(q_policy_list(ctx, txn, k->before, k->limit, &rows, &k->n));
    k->out = arena_array(&ctx->arena, k->n, sizeof *k->out);
    for (size_t i = 0; i < k->n; i++)
        k->out[i] = (struct policy_version){.version = rows[i].version,
                                            .comment = rows[i].comment,
                                            .created_by = rows[i].created_by,
                                            .created_at = rows[i].created_at,
                                            .in_force = rows[i].version == now.version};
    return RC_OK;
}

RC policy_list(struct ctx *ctx, struct core *core, int64_t before, int64_t limit, struct policy_version **out, size_t *n)
{
    struct work k = {.core = core, .before = before, .limit = limit};
    TRY(store_read(ctx, core->store, list, &k));
    *out = k.out;
    *n = k.n;
    return RC_OK;
}

/* --- what a document names has to be there: a name that is written wrong would forbid too much, or nothing */

static void not_there(struct ctx *ctx, struct work *k, const struct policy_named *at, const char *what, const char *verb)
{
    if (k->problems_n < POLICY_PROBLEMS_MAX)
        k->problems[k->problems_n++] = (struct policy_problem){
            at->line, at->column,
            arena_printf(&ctx->arena, "no %s is named %s; certwright %s list shows them", what, at->name, verb)};
}

static struct rc named_check(struct ctx *ctx, struct txn *txn, struct work *k)
{
    const struct policy_named *names = NULL;
    size_t n = 0;
    bool found = false;
    struct q_policy_issuer_row issuer;
    struct q_policy_profile_row profile;
    struct q_role_get_row role;
    policy_doc_names(k->doc, POLICY_ISSUER, &names, &n);
    for (size_t i = 0; i < n; i++) {
        TRY(q_policy_issuer(ctx, txn, names[i].name, &issuer, &found));
        if (!found)
            not_there(ctx, k, &names[i], "issuer", "issuer");
    }
    policy_doc_names(k->doc, POLICY_PROFILE, &names, &n);
    for (size_t i = 0; i < n; i++) {
        TRY(q_policy_profile(ctx, txn, names[i].name, &profile, &found));
        if (!found)
            not_there(ctx, k, &names[i], "profile", "profile");
    }
    policy_doc_names(k->doc, POLICY_ROLE, &names, &n);
    for (size_t i = 0; i < n; i++) {
        TRY(q_role_get(ctx, txn, names[i].name, &role, &found));
        if (!found || !str_equal(role.name, names[i].name))
            not_there(ctx, k, &names[i], "role", "role");
    }
    return RC_OK;
}

/* The teams are bound to what their names mean now; *json keeps that. */
static struct rc names_bind(struct ctx *ctx, struct txn *txn, struct work *k, const char **json)
{
    const struct policy_named *teams = NULL;
    size_t n = 0;
    struct buf b;
    struct json_out j;
    policy_doc_names(k->doc, POLICY_TEAM, &teams, &n);
    const char **ids = arena_array(&ctx->arena, n + 1, sizeof *ids);
    buf_init_arena(&b, &ctx->arena, POLICY_TEXT_MAX * 8);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    for (size_t i = 0; i < n; i++) {
        struct q_policy_team_row team;
        bool found = false;
        TRY(q_policy_team(ctx, txn, teams[i].name, &team, &found));
        if (!found) {
            not_there(ctx, k, &teams[i], "team", "team");
            continue;
        }
        ids[i] = team.id;
        json_put_str(&j, teams[i].name, team.id);
    }
    json_close(&j);
    TRY(buf_status(&b));
    *json = buf_z(&b);
    policy_doc_bind(k->doc, ids);
    return named_check(ctx, txn, k);
}

static struct rc problem_fail(struct ctx *ctx, const struct policy_problem *p, size_t n)
{
    const char *more = n > 1 ? arena_printf(&ctx->arena, " (and %zu more; certwright policy check shows them)", n - 1) : "";
    return ctx_fail_field(ctx, "/document", "line %lld, column %lld: %s%s", (long long)p->line, (long long)p->column, p->words,
                          more);
}

/* --- a new version */

static struct rc put(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct work *k = arg;
    struct q_policy_get_row now = {.document = ""};
    const char *teams = NULL;
    uint8_t hash[SHA256_LEN];
    bool found = false;
    TRY(access_everywhere(ctx, k->core, txn, "policy.update"));
    TRY(q_policy_get(ctx, txn, 0, &now, &found));
    const int64_t version = found ? now.version : 0;
    if (k->seen && *k->seen != version)
        return ctx_fail(ctx, E_CHANGED, "the policy was changed meanwhile: version %lld is in force, not %lld; look at it again",
                        (long long)version, (long long)*k->seen);
    k->problems_n = 0;
    TRY(names_bind(ctx, txn, k, &teams));
    if (k->problems_n)
        return problem_fail(ctx, k->problems, k->problems_n);
    if (found && str_equal(now.document, k->document) && str_equal(now.teams, teams))
        return RC_OK; /* nothing changed does nothing */
    TRY(digest_sha256(ctx, bytes_z(arena_printf(&ctx->arena, "%s\n%s", teams, k->document)), hash));
    TRY(q_policy_add(ctx, txn,
                     &(struct q_policy_add_in){.version = version + 1,
                                               .document = k->document,
                                               .teams = teams,
                                               .hash = bytes_of(hash, sizeof hash),
                                               .comment = k->comment,
                                               .created_by = ctx->principal->name,
                                               .now = ctx_now_s(ctx)}));
    TRY(q_policy_hold_look(ctx, txn, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "policy.update", "policy", audit_number(ctx, version + 1), k->core->team_root,
                       audit_facts(ctx, "version:", audit_number(ctx, version + 1), "before:", audit_number(ctx, version),
                                   "comment", *k->comment ? k->comment : NULL, "sha256",
                                   hex_str(&ctx->arena, bytes_of(hash, sizeof hash)), NULL));
}

RC policy_put(struct ctx *ctx, struct core *core, const int64_t *seen, const char *document, const char *comment)
{
    struct work k = {.core = core, .seen = seen, .document = document, .comment = comment ? comment : ""};
    TRY(policy_doc_read(ctx, bytes_z(document), &k.problems, &k.problems_n, &k.doc));
    if (!k.doc)
        return problem_fail(ctx, k.problems, k.problems_n);
    struct rc rc = store_write(ctx, core->store, put, &k);
    policy_doc_drop(k.doc);
    return rc;
}

/* --- a trial */

static struct rc teams_above(struct ctx *ctx, struct txn *txn, const char *team, struct policy_facts *f)
{
    struct q_policy_teams_above_row *rows = NULL;
    size_t n = 0;
    TRY(q_policy_teams_above(ctx, txn, team, &rows, &n));
    const char **ids = arena_array(&ctx->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].id;
    f->teams = ids;
    f->teams_n = n;
    return RC_OK;
}

static struct rc try_on(struct ctx *ctx, struct txn *txn, struct work *k)
{
    struct policy_checked *out = k->checked;
    struct q_policy_managed_row *rows = NULL;
    struct policy_facts f = {.now = INT64_MIN};
    const char *team = NULL;
    TRY(q_policy_managed(ctx, txn, access_scope(ctx), k->after, k->limit, &rows, &out->looked));
    out->touched = arena_array(&ctx->arena, out->looked, sizeof *out->touched);
    for (size_t i = 0; i < out->looked; i++) {
        struct wish w;
        struct policy_verdict v;
        TRY(wish_decode(ctx, rows[i].wish, &w));
        if (!str_equal(team, rows[i].team_id))
            TRY(teams_above(ctx, txn, rows[i].team_id, &f));
        team = rows[i].team_id;
        f.asked = &(struct policy_asked){.act = POLICY_CREATE, .team = team, .managed = rows[i].id, .wish = &w};
        policy_doc_judge(ctx, k->doc, &f, &v);
        if (v.says != POLICY_ALLOWS)
            out->touched[out->touched_n++] = (struct policy_trial){.name = rows[i].name, .team = rows[i].team, .verdict = v};
    }
    if ((int64_t)out->looked == k->limit)
        out->next = rows[out->looked - 1].id;
    return RC_OK;
}

static struct rc check(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct work *k = arg;
    const char *teams = NULL;
    *k->checked = (struct policy_checked){0};
    TRY(access_everywhere(ctx, k->core, txn, "policy.read"));
    if (k->doc) {
        k->problems_n = 0;
        TRY(names_bind(ctx, txn, k, &teams));
    }
    k->checked->problems = k->problems;
    k->checked->problems_n = k->problems_n;
    return k->problems_n ? RC_OK : try_on(ctx, txn, k);
}

RC policy_check(struct ctx *ctx, struct core *core, const char *document, const char *after, int64_t limit,
                struct policy_checked *out)
{
    struct work k = {.core = core,
                     .document = document,
                     .after = after,
                     .limit = limit < TRIAL_PAGE_MAX ? limit : TRIAL_PAGE_MAX,
                     .checked = out};
    TRY(policy_doc_read(ctx, bytes_z(document), &k.problems, &k.problems_n, &k.doc));
    struct rc rc = access_enter(ctx, core, "managed-certificate.read"); /* what is shown is what may be seen */
    if (rc_ok(rc))
        rc = store_read(ctx, core->store, check, &k);
    policy_doc_drop(k.doc);
    return rc;
}

/* --- what it says to somebody */

struct explaining {
    struct core *core;
    enum policy_act act;
    const char *managed;
    const struct managed_input *in;
    struct policy_verdict *out;
};

static struct rc explain(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct explaining *e = arg;
    struct str_list issuers = {0}, targets = {0};
    struct q_managed_get_row row;
    struct wish w = e->in->wish;
    const char *team = NULL;
    if (e->managed) {
        TRY(managed_find(ctx, txn, e->managed, &row));
        TRY(decide(ctx, e->core, txn, "managed-certificate.read", row.team_id));
        TRY(wish_decode(ctx, row.wish, &w));
        team = row.team_id;
    } else {
        TRY(access_team(ctx, txn, e->in->team, &team));
        TRY(wish_resolve(ctx, e->core, txn, &w, &issuers, &targets));
    }
    const struct policy_asked asked = {.act = e->act, .team = team, .managed = e->managed ? row.id : NULL, .wish = &w};
    return policy_decide(ctx, e->core, txn, &asked, e->out);
}

RC policy_explain(struct ctx *ctx, struct core *core, enum policy_act act, const char *managed, const struct managed_input *in,
                  struct policy_verdict *out)
{
    struct explaining e = {.core = core, .act = act, .managed = managed, .in = in, .out = out};
    return store_read(ctx, core->store, explain, &e);
}
