/* Campaigns without their certificates: slices, two hubs at one of them, what halts one, how long they are kept; and a revocation
 * that waits in vain. */
#include <pthread.h>

#include "store/store_test.h"

#include "core/access.h"
#include "core/campaign.h"
#include "core/revocation.h"

#define ROOT "01m0000000000000000000root"
#define MANY 250

static volatile int64_t moved_s;
static const struct clock clock_moved = {&moved_s};

static const char *managed_id(struct ctx *ctx, int i)
{
    return arena_printf(&ctx->arena, "01m00000000000000000000%03d", i);
}

static struct rc rows_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    static const char wish[] =
        "{\"names\":[\"www.example.org\"],\"profile\":\"tls-server\",\"key_kind\":\"ec-p256\",\"reuse_key\":false,"
        "\"issuers\":[\"ca\"],\"usage\":\"tls-server\",\"validity_s\":1,\"renew_percent\":0,"
        "\"renew_before_s\":0,\"targets\":[]}";
    (void)arg;
    TRY(q_team_add(ctx, txn, ROOT, NULL, "everyone", 1));
    TRY(q_team_within_add(ctx, txn, ROOT, ROOT));
    for (int i = 0; i < MANY; i++) {
        const struct q_managed_add_in in = {.id = managed_id(ctx, i),
                                            .team_id = ROOT,
                                            .name = arena_printf(&ctx->arena, "c%d", i),
                                            .wish = wish,
                                            .wish_hash = bytes_z("h"),
                                            .first_name = "www.example.org",
                                            .now = 1};
        TRY(q_managed_add(ctx, txn, &in));
    }
    return RC_OK;
}

/* A campaign as campaign_make leaves it, of the first `n`. */
struct made {
    const char *id, *kind, *act;
    int n, canary;
    int64_t stop_failures, stop_percent;
};

static struct rc campaign_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct made *m = arg;
    const struct campaign_params params = {.reason = "a test"};
    const int64_t now = ctx_now_s(ctx);
    const struct q_campaign_add_in in = {.id = m->id,
                                         .kind = m->kind,
                                         .name = m->id,
                                         .team_id = ROOT,
                                         .act = m->act,
                                         .filter = "",
                                         .params = campaign_params_text(ctx, &params),
                                         .state = "running",
                                         .asker_kind = PRINCIPAL_OWNER,
                                         .asker_id = "uid:0",
                                         .asker = "root",
                                         .waves = m->canary ? 2 : 1,
                                         .total = m->n,
                                         .stop_failures = m->stop_failures,
                                         .stop_percent = m->stop_percent,
                                         .now = now,
                                         .started_at = &now};
    struct q_campaign_member_add_in *members = arena_array(&ctx->arena, (size_t)m->n, sizeof *members);
    TRY(q_campaign_add(ctx, txn, &in));
    for (int i = 0; i < m->n; i++)
        members[i] = (struct q_campaign_member_add_in){.campaign_id = m->id,
                                                       .number = i + 1,
                                                       .object = managed_id(ctx, i),
                                                       .managed_id = managed_id(ctx, i),
                                                       .name = arena_printf(&ctx->arena, "c%d", i),
                                                       .team_id = ROOT,
                                                       .wave = i < m->canary || !m->canary ? 1 : 2,
                                                       .at = now};
    return q_campaign_member_add(ctx, txn, members, (size_t)m->n);
}

static void turn(struct ctx *ctx, struct core *core, bool *more)
{
    *more = false;
    core->campaign_rest_until_ms = 0;
    must(ctx, campaign_tick(ctx, core, more));
}

static struct campaign_view seen(struct ctx *ctx, struct core *core, const char *kind, const char *id)
{
    struct campaign_view v;
    must(ctx, campaign_show(ctx, core, kind, id, &v, NULL));
    return v;
}

static void more_than_a_slice(struct ctx *ctx, struct core *core)
{
    struct made m = {.id = "pauses", .kind = "bulk", .act = "pause", .n = MANY};
    int64_t done = 0;
    bool more = true;
    int turns = 0;
    must(ctx, store_write(ctx, core->store, campaign_put, &m));
    for (; more; turns++) {
        turn(ctx, core, &more);
        const struct campaign_view v = seen(ctx, core, "bulk", m.id);
        assert_in_range(v.sum.done - done, 0, CAMPAIGN_SLICE);
        assert_int_equal(v.sum.waiting + v.sum.done, MANY);
        done = v.sum.done;
    }
    assert_int_equal(done, MANY);
    assert_string_equal(seen(ctx, core, "bulk", m.id).row.state, "done");
    assert_in_range(turns, 4, 6);
}

/* --- two hubs on one database */

struct hub {
    pthread_t id;
    struct core core;
    bool failed;
};

static void *works(void *arg)
{
    struct hub *h = arg;
    CTX_CLEANUP struct ctx ctx;
    ctx_init(&ctx, &clock_moved);
    ctx.principal = access_hub(&ctx, &h->core);
    bool more = true;
    for (int i = 0; i < 100 && more && !h->failed; i++) {
        more = false;
        h->core.campaign_rest_until_ms = 0;
        h->failed = rc_failed(campaign_tick(&ctx, &h->core, &more));
    }
    return NULL;
}

static struct rc pauses_count(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_audit_list_row *rows = NULL;
    size_t n = 0, *count = arg;
    const struct q_audit_by_action_in in = {
        .scope = ROOT, .before = INT64_MAX, .action = "managed-certificate.pause", .until = INT64_MAX, .limit = 10 * MANY};
    TRY(q_audit_by_action(ctx, txn, &in, &rows, &n));
    *count = n;
    return RC_OK;
}

static void each_is_done_once(struct ctx *ctx, struct core *core)
{
    struct made m = {.id = "again", .kind = "bulk", .act = "pause", .n = MANY};
    struct hub hubs[2] = {{.core = *core}, {.core = *core}};
    size_t count = 0;
    must(ctx, store_write(ctx, core->store, campaign_put, &m));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&hubs[i].id, NULL, works, &hubs[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(hubs[i].id, NULL);
        assert_false(hubs[i].failed);
    }
    bool more = true;
    while (more) /* what one left because the other was at it */
        turn(ctx, core, &more);
    const struct campaign_view v = seen(ctx, core, "bulk", m.id);
    assert_string_equal(v.row.state, "done");
    assert_int_equal(v.sum.done, MANY);
    must(ctx, store_read(ctx, core->store, pauses_count, &count));
    assert_int_equal(count, 2 * MANY); /* with those of before */
}

/* --- what halts one */

static struct rc unpause(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++)
        TRY(q_managed_resume(ctx, txn, managed_id(ctx, i), ctx_now_s(ctx)));
    return RC_OK;
}

struct standing {
    const char *id;
    int done, failed, running;
};

static struct rc standing_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct standing *s = arg;
    int64_t number = 1;
    TRY(q_campaign_wave(ctx, txn, s->id, 1, ctx_now_s(ctx)));
    for (int i = 0; i < s->done + s->failed + s->running; i++) {
        const char *to = i < s->done ? "done" : i < s->done + s->failed ? "failed" : "running";
        const struct q_campaign_member_set_in in = {
            .campaign_id = s->id, .number = number++, .from = "waiting", .to = to, .why = "", .above = 1, .at = ctx_now_s(ctx)};
        TRY(q_campaign_member_set(ctx, txn, &in));
    }
    return RC_OK;
}

/* Behind the canaries: all of these have one, which was done.  Members of the wave are all begun. */
static void what_halts_it(struct ctx *ctx, struct core *core)
{
    static const struct {
        int64_t failures, percent;
        int done, failed, running;
        const char *why; /* NULL: it goes on */
    } rows[] = {
        {2, 0, 5, 1, 4, NULL},
        {2, 0, 5, 2, 3, "2 failed"},
        {2, 0, 0, 5, 5, "5 failed"},
        {0, 20, 5, 1, 4, NULL},
        {0, 20, 4, 2, 4, "2 of 10 failed"},
        {0, 20, 1, 1, 0, "1 of 2 failed"},
        {0, 0, 1, 8, 1, NULL},
        {3, 50, 3, 2, 5, NULL},
        {3, 50, 1, 2, 1, "2 of 4 failed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made m = {.id = arena_printf(&ctx->arena, "halts-%zu", i),
                         .kind = "campaign",
                         .act = "renew",
                         .n = rows[i].done + rows[i].failed + rows[i].running,
                         .canary = 1,
                         .stop_failures = rows[i].failures,
                         .stop_percent = rows[i].percent};
        struct standing s = {m.id, rows[i].done, rows[i].failed, rows[i].running};
        bool more = false;
        must(ctx, store_write(ctx, core->store, campaign_put, &m));
        must(ctx, store_write(ctx, core->store, standing_put, &s));
        turn(ctx, core, &more);
        const struct campaign_view v = seen(ctx, core, "campaign", m.id);
        if (rows[i].why ? !str_equal(v.row.state, "halted") || !str_equal(v.row.why, rows[i].why)
                        : !str_equal(v.row.state, "running"))
            fail_msg("row %zu: %s %s", i, v.row.state, v.row.why);
        must(ctx, campaign_say(ctx, core, "campaign", m.id, CAMPAIGN_CANCEL));
    }
}

static struct rc expire(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    return campaign_expire(ctx, txn);
}

static void kept_for_a_while(struct ctx *ctx, struct core *core)
{
    struct made open = {.id = "open", .kind = "campaign", .act = "renew", .n = 2};
    struct campaign_view *all = NULL;
    size_t before = 0, n = 0;
    must(ctx, store_write(ctx, core->store, campaign_put, &open));
    must(ctx, campaign_list(ctx, core, "campaign", "", 100, &all, &before));
    moved_s += CAMPAIGNS_KEPT_S - 60;
    must(ctx, store_write(ctx, core->store, expire, NULL));
    must(ctx, campaign_list(ctx, core, "campaign", "", 100, &all, &n));
    assert_int_equal(n, before);
    moved_s += 120;
    for (int i = 0; i < 2; i++) /* ten at a time */
        must(ctx, store_write(ctx, core->store, expire, NULL));
    must(ctx, campaign_list(ctx, core, "campaign", "", 100, &all, &n));
    assert_int_equal(n, 1);
    assert_string_equal(all[0].row.id, "open");
    must(ctx, campaign_list(ctx, core, "bulk", "", 100, &all, &n));
    assert_int_equal(n, 0);
}

/* --- what is revoked once it is replaced, and is not */

static struct rc revocation_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    const int64_t now = ctx_now_s(ctx);
    const struct q_revocation_add_in in = {
        .managed_id = managed_id(ctx, 0), .number = 0, .reason = 4, .asker = "root", .until = now + REVOCATION_WAITS_S, .now = now};
    (void)arg;
    return q_revocation_add(ctx, txn, &in);
}

static struct rc revocation_look(struct ctx *ctx, struct txn *txn, void *arg)
{
    return revocation_due(ctx, arg, txn, managed_id(ctx, 0));
}

struct waits {
    size_t revocations, told;
};

static struct rc waits_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct waits *w = arg;
    struct q_revocation_of_row *rows = NULL;
    struct q_step_list_row *steps = NULL;
    size_t n = 0;
    TRY(q_revocation_of(ctx, txn, managed_id(ctx, 0), &rows, &w->revocations));
    TRY(q_step_list(ctx, txn, managed_id(ctx, 0), 0, 100, &steps, &n));
    w->told = 0;
    for (size_t i = 0; i < n; i++)
        w->told += strstr(steps[i].text, "it could not be replaced in time") != NULL;
    return RC_OK;
}

static void what_is_not_replaced_is_not_revoked(struct ctx *ctx, struct core *core)
{
    struct waits w;
    must(ctx, store_write(ctx, core->store, revocation_put, NULL));
    moved_s += REVOCATION_WAITS_S - 60;
    must(ctx, store_write(ctx, core->store, revocation_look, core));
    must(ctx, store_read(ctx, core->store, waits_read, &w));
    assert_true(w.revocations == 1 && w.told == 0);
    moved_s += 120;
    must(ctx, store_write(ctx, core->store, revocation_look, core));
    must(ctx, store_read(ctx, core->store, waits_read, &w));
    assert_true(w.revocations == 0 && w.told == 1);
}

static void wakes(void *arg, const char *key)
{
    (void)arg;
    (void)key;
}

static void all(struct ctx *ctx, struct store *store)
{
    struct core core = {.store = store, .clock = &clock_moved, .team_root = ROOT, .wake = wakes};
    ctx->clock = &clock_moved;
    must(ctx, store_write(ctx, store, rows_make, NULL));
    ctx->principal = access_owner(ctx, &core, 0);
    more_than_a_slice(ctx, &core);
    each_is_done_once(ctx, &core);
    must(ctx, store_write(ctx, store, unpause, NULL));
    what_halts_it(ctx, &core);
    kept_for_a_while(ctx, &core);
    what_is_not_replaced_is_not_revoked(ctx, &core);
    ctx->principal = NULL;
    ctx->clock = &clock_system;
}

static void campaigns_on_both_engines(void **state)
{
    (void)state;
    on_both(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(campaigns_on_both_engines)};
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
