/* Who may do what: sets of permissions, the built-in roles, several teams as one, and decide() itself. */
#include "store/store_test.h"

#include "core/access.h"
#include "core/role.h"
#include "core/scope.h"

#define ROOT  "01m0000000000000000000root"
#define SHOP  "01m0000000000000000000shop"
#define EU    "01m000000000000000000000eu"
#define PRESS "01m000000000000000000press"
#define SALES "01m000000000000000000sales"

static struct permission_set set_of(const char *pattern)
{
    struct permission_set s = {0};
    assert_true(permission_set_match(pattern, &s));
    return s;
}

static void patterns_mean_permissions(void **state)
{
    struct permission_set all = set_of("*"), reads = set_of("*.read"), one = set_of("certificate.read"),
                          nouns = set_of("certificate.*");
    size_t bit;
    (void)state;
    assert_null(permission_beyond(&reads, &all));
    assert_non_null(permission_beyond(&all, &reads));
    assert_null(permission_beyond(&one, &reads));
    assert_null(permission_beyond(&one, &nouns));
    assert_true(api_permission_find("certificate.export", &bit) && permission_in(&nouns, bit) && !permission_in(&reads, bit));
    assert_true(api_permission_find("managed-certificate.read", &bit) && !permission_in(&nouns, bit));
    assert_true(permission_set_match("-certificate.*", &nouns) && !permission_beyond(&nouns, &(struct permission_set){0}));
    assert_false(permission_set_match("certificate.", &nouns));
    assert_false(permission_set_match("cert*", &nouns));
    assert_false(permission_set_match("nothing.*", &nouns));
    for (size_t i = 0; i < PERMISSIONS_N; i++) /* sorted, and found */
        assert_true(api_permission_find(api_permissions[i], &bit) && bit == i &&
                    (!i || strcmp(api_permissions[i - 1], api_permissions[i]) < 0));
    assert_false(api_permission_find("", &bit) || api_permission_find("zzz.zzz", &bit) || api_permission_find("agent.work", &bit));
}

static void what_is_kept_is_read_by_another_build(void **state)
{
    static const char *const closed[] = {"issuer.read", "issuer.update"}, *const open[] = {"issuer.update"},
                             *const wrong[] = {"issuer.reed"};
    CTX_CLEANUP struct ctx ctx;
    struct permission_set s, again;
    (void)state;
    ctx_init(&ctx, &clock_system);
    must(&ctx, permission_set_read(&ctx, "[\"certificate.read\", \"moon.visit\", 7, \"target.read\"]", "a test", &s));
    assert_string_equal(permission_set_json(&ctx, &s), "[\"certificate.read\",\"target.read\"]");
    must(&ctx, permission_set_read(&ctx, permission_set_json(&ctx, &s), "a test", &again));
    assert_memory_equal(&s, &again, sizeof s);
    assert_true(rc_failed(permission_set_read(&ctx, "[", "a test", &s)));
    must(&ctx, permission_set_of(&ctx, closed, 2, "/permissions", &s));
    assert_int_equal(permission_set_of(&ctx, open, 1, "/permissions", &s).e, E_INVALID);
    assert_string_equal(ctx.field, "/permissions/0");
    assert_int_equal(permission_set_of(&ctx, wrong, 1, "/permissions", &s).e, E_INVALID);
}

static void several_teams_have_one_id_whatever_their_order(void **state)
{
    const char *a[] = {SHOP, PRESS}, *b[] = {PRESS, SHOP, PRESS}, *c[] = {SHOP, SALES}, *one[] = {SHOP, SHOP},
               *all[] = {SHOP, ROOT};
    const char *ida, *idb, *idc, *id;
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    must(&ctx, scope_of_teams(&ctx, ROOT, a, 2, &ida));
    must(&ctx, scope_of_teams(&ctx, ROOT, b, 3, &idb));
    must(&ctx, scope_of_teams(&ctx, ROOT, c, 2, &idc));
    assert_string_equal(ida, idb);
    assert_string_not_equal(ida, idc);
    assert_true(scope_is_several(ida) && strlen(ida) == strlen(ROOT) && !scope_is_several(SHOP) && !scope_is_several("shop"));
    must(&ctx, scope_of_teams(&ctx, ROOT, one, 2, &id));
    assert_string_equal(id, SHOP);
    must(&ctx, scope_of_teams(&ctx, ROOT, all, 2, &id));
    assert_string_equal(id, ROOT);
    must(&ctx, scope_of_teams(&ctx, ROOT, all, 0, &id));
    assert_null(id);
}

/* --- decide() */

static struct rc teams_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    static const char *const teams[][3] = {
        {ROOT, NULL, NULL}, {SHOP, ROOT, NULL}, {EU, SHOP, ROOT}, {PRESS, ROOT, NULL}, {SALES, ROOT, NULL}};
    (void)arg;
    for (size_t i = 0; i < sizeof teams / sizeof *teams; i++) {
        TRY(q_team_add(ctx, txn, teams[i][0], teams[i][1], teams[i][0], 1));
        for (size_t k = 0; k < 3 && teams[i][k]; k++)
            TRY(q_team_within_add(ctx, txn, teams[i][0], teams[i][k]));
    }
    TRY(role_start(ctx, txn));
    TRY(role_start(ctx, txn)); /* at the next start nothing changes */
    TRY(q_user_add(
        ctx, txn,
        &(struct q_user_add_in){
            .id = "anna", .team_id = ROOT, .kind = "person", .name = "anna", .display_name = "", .email = "", .now = 1}));
    static const char *const grants[][3] = {{"g1", "viewer", SHOP}, {"g2", "operator", PRESS}, {"g3", "auditor", PRESS}};
    for (size_t i = 0; i < 3; i++) {
        struct q_role_get_row role;
        bool found = false;
        TRY(q_role_get(ctx, txn, grants[i][1], &role, &found));
        assert_true(found && role.built_in && role.revision == 1);
        TRY(q_grant_add(ctx, txn,
                        &(struct q_grant_add_in){.id = grants[i][0],
                                                 .user_id = "anna",
                                                 .role_id = role.id,
                                                 .team_id = grants[i][2],
                                                 .source = "local",
                                                 .created_by = "test",
                                                 .now = 1}));
    }
    return RC_OK;
}

static struct rc scopes_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    return scopes_of_user(ctx, arg, txn, "anna");
}

struct asked {
    struct core *core;
    const char *action, *team;
    struct rc rc;
};

static struct rc ask(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    a->rc = decide(ctx, a->core, txn, a->action, a->team);
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc sign_in(struct ctx *ctx, struct txn *txn, void *arg)
{
    return access_user(ctx, arg, txn, "anna", &ctx->principal);
}

static struct rc scopes_end(struct ctx *ctx, struct txn *txn, void *arg)
{
    return scopes_due(ctx, arg, txn, "all");
}

static struct rc revoke_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    return q_user_grants_end(ctx, txn, "anna");
}

static struct rc scopes_old(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_scopes_unused_row *rows = NULL;
    return q_scopes_unused(ctx, txn, INT64_MAX, 100, &rows, arg);
}

/* Scopes end a day after the last grant that needed them. */
static void scopes_come_and_go(struct ctx *ctx, struct core *core)
{
    static const volatile int64_t one_day = 86400, two_days = 2 * 86400;
    static const struct clock tomorrow = {.offset_s = &one_day}, then = {.offset_s = &two_days};
    size_t before = 0, n = 0;
    must(ctx, store_read(ctx, core->store, scopes_old, &before));
    assert_int_equal(before, 1); /* what both roles have; the rest is of one team */
    ctx->clock = &tomorrow;
    must(ctx, store_write(ctx, core->store, scopes_end, core));
    must(ctx, store_read(ctx, core->store, scopes_old, &n));
    assert_int_equal(n, before);
    must(ctx, store_write(ctx, core->store, revoke_all, NULL));
    ctx->clock = &then;
    must(ctx, store_write(ctx, core->store, scopes_end, core));
    must(ctx, store_read(ctx, core->store, scopes_old, &n));
    assert_int_equal(n, 0);
    ctx->clock = &clock_system;
}

static void grants_decide(struct ctx *ctx, struct store *store)
{
    static const struct {
        const char *action, *team;
        enum err e;
    } rows[] = {
        {"certificate.read", NULL, E_OK},  {"certificate.read", SHOP, E_OK},         {"certificate.read", EU, E_OK},
        {"certificate.read", PRESS, E_OK}, {"certificate.read", SALES, E_NOT_FOUND}, {"certificate.read", ROOT, E_NOT_FOUND},
        {"target.update", PRESS, E_OK},    {"target.update", SHOP, E_NOT_FOUND},     {"audit.read", PRESS, E_OK},
        {"audit.read", EU, E_NOT_FOUND},   {"user.grant", NULL, E_FORBIDDEN},        {"user.grant", SALES, E_FORBIDDEN},
        {"agent.work", NULL, E_FORBIDDEN}, {"moon.visit", SHOP, E_FORBIDDEN},
    };
    struct core core = {.store = store, .clock = &clock_system, .team_root = ROOT};
    must(ctx, store_write(ctx, store, teams_make, NULL));
    must(ctx, store_read(ctx, store, sign_in, &core));
    struct asked a = {.core = &core, .action = "certificate.read", .team = SHOP};
    must(ctx, store_read(ctx, store, ask, &a));
    assert_int_equal(a.rc.e, E_NOT_FOUND); /* a scope that was not made shows nothing */
    must(ctx, store_write(ctx, store, scopes_make, &core));
    for (int cached = 0; cached < 2; cached++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            a = (struct asked){.core = &core, .action = rows[i].action, .team = rows[i].team};
            must(ctx, store_read(ctx, store, ask, &a));
            if (a.rc.e != rows[i].e)
                fail_msg("%s in %s: %s", rows[i].action, rows[i].team ? rows[i].team : "-", err_info(a.rc.e)->name);
        }
        core.roles = core.roles ? core.roles : role_cache_new();
        must(ctx, store_read(ctx, store, sign_in, &core));
    }
    role_cache_free(core.roles);
    core.roles = NULL;
    scopes_come_and_go(ctx, &core);
    ctx->principal = NULL;
    must(ctx, store_read(ctx, store, ask, &a));
    assert_int_equal(a.rc.e, E_UNAUTHENTICATED);
}

static void grants_decide_on_both_engines(void **state)
{
    (void)state;
    on_both(grants_decide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_permissions),
        cmocka_unit_test(what_is_kept_is_read_by_another_build),
        cmocka_unit_test(several_teams_have_one_id_whatever_their_order),
        cmocka_unit_test(grants_decide_on_both_engines),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
