/* When an issuer is left alone, what it lets us ask for, and what descriptions of CAs may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/issuer_budget.h"
#include "core/issuer_health.h"
#include "core/preset.h"
#include "core/registered_domain.h"

static volatile int64_t moved_s;
static const struct clock clock_moved = {&moved_s};

#define TEAM   "01team"
#define ISSUER "01issuer"
#define OTHER  "01other"

static struct rc rows(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    TRY(q_team_add(ctx, txn, TEAM, NULL, "root", 1));
    const char *const ids[] = {ISSUER, OTHER};
    for (size_t i = 0; i < 2; i++) {
        const struct q_issuer_add_in in = {
            .id = ids[i], .team_id = TEAM, .name = i ? "other" : "ca1", .kind = "acme", .settings = "{}", .now = 1};
        TRY(q_issuer_add(ctx, txn, &in));
    }
    return RC_OK;
}

/* A fresh SQLite with two issuers. */
static void with_store(void (*test)(struct ctx *ctx, struct store *store))
{
    char path[] = "/tmp/cw-failover-XXXXXX", more[64];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    CTX_CLEANUP struct ctx ctx;
    ctx_init(&ctx, &clock_moved);
    struct store *store = NULL;
    const struct store_config config = {.engine = STORE_SQLITE, .path = path};
    if (rc_failed(store_open(&ctx, &config, &store)) || rc_failed(store_write(&ctx, store, rows, NULL)))
        fail_msg("%s", ctx_why(&ctx));
    test(&ctx, store);
    store_close(store);
    const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(more, sizeof more, "%s%s", path, ends[i]);
        unlink(more);
    }
}

static void must(struct ctx *ctx, struct rc rc)
{
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(ctx));
}

/* --- the breaker */

static struct rc fails(struct ctx *ctx, struct txn *txn, void *arg)
{
    return issuer_note_failure(ctx, txn, ISSUER, false, "it burns", *(int64_t *)arg);
}

static struct rc works(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    return issuer_note_answer(ctx, txn, ISSUER);
}

static struct rc stands(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_issuer_health_row h;
    const struct issuer_policy p = {0};
    TRY(q_issuer_health(ctx, txn, ISSUER, &h));
    return issuer_verdict_of(ctx, &h, &p, arg);
}

static struct issuer_verdict verdict(struct ctx *ctx, struct store *store)
{
    struct issuer_verdict v;
    must(ctx, store_read(ctx, store, stands, &v));
    return v;
}

static void fail_once(struct ctx *ctx, struct store *store, int64_t retry_after_s)
{
    must(ctx, store_write(ctx, store, fails, &retry_after_s));
}

static int64_t alone(struct ctx *ctx, struct store *store)
{
    const struct issuer_verdict v = verdict(ctx, store);
    return v.until ? v.until - ctx_now_s(ctx) : 0;
}

static void breaker(struct ctx *ctx, struct store *store)
{
    struct issuer_verdict v;
    fail_once(ctx, store, 0);
    fail_once(ctx, store, 0);
    assert_int_equal(alone(ctx, store), 0);
    assert_false(verdict(ctx, store).trial);
    fail_once(ctx, store, 0);
    v = verdict(ctx, store);
    assert_in_range(v.until - ctx_now_s(ctx), 47, 73);
    assert_non_null(strstr(v.why, "ca1 is failing since "));
    assert_non_null(strstr(v.why, "(3 times): it burns"));
    /* Many that were under way say the same: it is not left alone for longer. */
    for (int i = 0; i < 50; i++)
        fail_once(ctx, store, 0);
    assert_in_range(alone(ctx, store), 47, 73);
    moved_s += 80;
    assert_true(verdict(ctx, store).trial);
    fail_once(ctx, store, 0);
    assert_in_range(alone(ctx, store), 95, 145);
    for (int i = 0; i < 10; i++) {
        moved_s += 5000;
        fail_once(ctx, store, 0);
    }
    assert_in_range(alone(ctx, store), 2879, 4321);
    must(ctx, store_write(ctx, store, works, NULL));
    v = verdict(ctx, store);
    assert_true(v.until == 0 && !v.trial && !*v.why);
}

static void the_breaker_opens_after_three_failures_and_longer_each_time(void **state)
{
    (void)state;
    with_store(breaker);
}

static void retry_after(struct ctx *ctx, struct store *store)
{
    fail_once(ctx, store, 7200);
    assert_in_range(alone(ctx, store), 7200, 7231);
    fail_once(ctx, store, 9000); /* it asks for more, meanwhile */
    assert_in_range(alone(ctx, store), 8990, 9001);
    fail_once(ctx, store, 60);
    assert_in_range(alone(ctx, store), 8980, 9001);
}

struct taken {
    const char *step; /* NULL: an order is taken; else what fails now */
    bool trial;
};

static struct rc takes(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct taken *t = arg;
    const struct q_attempt_by_id_row a = {.id = "01trial", .issuer_id = ISSUER};
    if (t->step)
        return issuer_note_failure(ctx, txn, ISSUER, str_equal(t->step, "issue"), "it burns", 3600);
    if (t->trial)
        TRY(q_issuer_trial(ctx, txn, ISSUER, a.id, ctx_now_s(ctx)));
    return issuer_note_taken(ctx, txn, &a);
}

static void order_taken(struct ctx *ctx, struct store *store)
{
    struct taken order = {.step = "order"}, issue = {.step = "issue"}, other = {0}, trial = {.trial = true};
    must(ctx, store_write(ctx, store, takes, &order));
    assert_in_range(alone(ctx, store), 3600, 3631);
    must(ctx, store_write(ctx, store, takes, &other));
    assert_int_equal(alone(ctx, store), 0);
    /* One that fails at issuing is not believed for taking orders, whatever else it fails at. */
    must(ctx, store_write(ctx, store, takes, &issue));
    moved_s += 4000;
    must(ctx, store_write(ctx, store, takes, &order));
    moved_s += 4000;
    must(ctx, store_write(ctx, store, takes, &other));
    assert_true(verdict(ctx, store).trial);
    must(ctx, store_write(ctx, store, takes, &trial));
    assert_in_range(alone(ctx, store), 58, 61); /* and then another one may try */
    moved_s += 70;
    assert_true(verdict(ctx, store).trial);
    must(ctx, store_write(ctx, store, works, NULL));
    assert_false(verdict(ctx, store).trial);
}

static void an_order_that_is_taken_closes_the_breaker_where_orders_were_the_trouble(void **state)
{
    (void)state;
    with_store(order_taken);
}

static void one_word_of_the_ca_is_enough(void **state)
{
    (void)state;
    with_store(retry_after);
}

static void a_failed_validation_is_no_fault_of_the_ca(void **state)
{
    (void)state;
    assert_false(issuer_is_fault(E_CHALLENGE_FAILED) || issuer_is_fault(E_RATE_LIMITED) || issuer_is_fault(E_ISSUER_REFUSED) ||
                 issuer_is_fault(E_NOT_GRANTED));
    assert_true(issuer_is_fault(E_UNREACHABLE) && issuer_is_fault(E_ISSUER_FAILED) && issuer_is_fault(E_BAD_CERTIFICATE));
}

/* --- the budget */

struct order {
    const char *issuer, *attempt, *names[4];
    bool renewal, replaces, take, back;
    int64_t until;
    const char *why;
};

static struct issuer_limit limits[] = {{"account", 4, 10800, "renewal"},
                                       {"names", 2, 7 * 86400, "ari"},
                                       {"domain", 3, 7 * 86400, "renewal"},
                                       {"failure", 2, 3600, "none"}};
static const struct issuer_policy policy = {.limits = limits, .limits_n = 4};

static struct rc order_run(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    struct str_list names = {0};
    for (size_t i = 0; i < 4 && o->names[i]; i++)
        str_list_add(&ctx->arena, &names, o->names[i]);
    const struct budget_ask ask = {
        .issuer = o->issuer ? o->issuer : ISSUER, .names = &names, .renewal = o->renewal, .replaces = o->replaces};
    TRY(budget_look(ctx, txn, &policy, &ask, &o->until, &o->why));
    if (o->take)
        TRY(budget_take(ctx, txn, &policy, &ask, o->attempt));
    if (o->back)
        TRY(budget_give_back(ctx, txn, o->attempt, true));
    return RC_OK;
}

static struct order asked(struct ctx *ctx, struct store *store, struct order o)
{
    must(ctx, store_write(ctx, store, order_run, &o));
    return o;
}

static struct rc name_fails(struct ctx *ctx, struct txn *txn, void *arg)
{
    return budget_note_failure(ctx, txn, ISSUER, "x", arg);
}

static void budget(struct ctx *ctx, struct store *store)
{
    struct order o;
    const int64_t began = ctx_now_s(ctx);
    asked(ctx, store, (struct order){.attempt = "1", .names = {"a.example.org", "b.example.org"}, .take = true});
    moved_s += 100;
    asked(ctx, store, (struct order){.attempt = "2", .names = {"b.example.org", "a.example.org"}, .take = true});
    /* The set counts in any order; what frees it first is the oldest. */
    o = asked(ctx, store, (struct order){.names = {"b.example.org", "a.example.org"}});
    assert_in_range(o.until, began + 7 * 86400, began + 7 * 86400 + 5);
    assert_string_equal(o.why, "2 certificates of exactly these names in 7 days");
    assert_int_equal(asked(ctx, store, (struct order){.names = {"a.example.org"}}).until, 0);
    assert_int_equal(asked(ctx, store, (struct order){.issuer = OTHER, .names = {"b.example.org", "a.example.org"}}).until, 0);
    /* A renewal of the same names counts where it does not say what it replaces. */
    o = asked(ctx, store, (struct order){.names = {"b.example.org", "a.example.org"}, .renewal = true});
    assert_true(o.until > 0);
    o = asked(ctx, store, (struct order){.names = {"b.example.org", "a.example.org"}, .renewal = true, .replaces = true});
    assert_int_equal(o.until, 0);
    /* Domains, by the list of public suffixes; a wildcard is below its own. */
    asked(ctx, store, (struct order){.attempt = "3", .names = {"*.example.org", "www.example.net"}, .take = true});
    o = asked(ctx, store, (struct order){.names = {"new.www.example.org"}});
    assert_string_equal(o.why, "3 certificates below example.org in 7 days");
    assert_int_equal(asked(ctx, store, (struct order){.names = {"example.net"}}).until, 0);
    /* What got no certificate used none up, but was an order. */
    asked(ctx, store, (struct order){.attempt = "3", .names = {"x.example.com"}, .back = true});
    assert_int_equal(asked(ctx, store, (struct order){.names = {"new.www.example.org"}}).until, 0);
    asked(ctx, store, (struct order){.attempt = "4", .names = {"y.example.com"}, .take = true});
    o = asked(ctx, store, (struct order){.names = {"z.example.com"}});
    assert_string_equal(o.why, "4 orders of the account in 3 hours");
    moved_s += 10801;
    assert_int_equal(asked(ctx, store, (struct order){.names = {"z.example.com"}}).until, 0);
    /* Names that fail. */
    char bad[] = "bad.example.com";
    must(ctx, store_write(ctx, store, name_fails, bad));
    must(ctx, store_write(ctx, store, name_fails, bad));
    o = asked(ctx, store, (struct order){.names = {"good.example.com", "bad.example.com"}});
    assert_string_equal(o.why, "2 failed validations of bad.example.com in 1 hour");
    assert_int_equal(asked(ctx, store, (struct order){.names = {"good.example.com"}}).until, 0);
}

static void published_limits_are_counted_as_cas_do(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_moved);
    must(&ctx, registered_domain_load(&ctx));
    with_store(budget);
}

static void registered_domains_are_as_the_list_says(void **state)
{
    static const char *const rows_[][2] = {{"www.example.org", "example.org"},
                                           {"a.b.example.co.uk", "example.co.uk"},
                                           {"*.example.co.uk", "example.co.uk"},
                                           {"someone.github.io", "someone.github.io"},
                                           {"co.uk", "co.uk"},
                                           {"localhost", "localhost"},
                                           {"192.0.2.7", "192.0.2.7"},
                                           {"2001:db8:1:2:3::9", "2001:db8:1:2::/64"},
                                           {"www.xn--bcher-kva.example", "xn--bcher-kva.example"}};
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_moved);
    must(&ctx, registered_domain_load(&ctx));
    for (size_t i = 0; i < sizeof rows_ / sizeof *rows_; i++)
        assert_string_equal(registered_domain(&ctx, rows_[i][0]), rows_[i][1]);
}

/* --- descriptions of CAs */

#define HEAD "title: X\ndirectory: https://ca.example/dir\neab: none\nas_of: \"2026-11-21\"\n"

static void descriptions_that_are_wrong_are_refused_by_line(void **state)
{
    static const struct {
        const char *text, *words;
    } rows_[] = {
        {"[]", "is a map"},
        {"title: X\n", "directory"},
        {HEAD "colour: red\n", "colour"},
        {"title: X\ndirectory: http://ca.example/dir\neab: none\nas_of: \"2026-11-21\"\n", "https://"},
        {"title: X\ndirectory: https://ca.example/dir\neab: perhaps\nas_of: \"2026-11-21\"\n", "eab is"},
        {HEAD "limits:\n  - {kind: account, count: 3, window: soon}\n", "window"},
        {HEAD "limits:\n  - {kind: account, count: 0, window: 3h}\n", "above 0"},
        {HEAD "limits:\n  - {kind: planet, count: 1, window: 3h}\n", "account, names, domain"},
        {HEAD "limits:\n  - {kind: account, count: 1, window: 90d}\n", "31 days"},
        {HEAD "limits:\n  - {kind: account, count: 1, window: 3h, exempt: me}\n", "exempt"},
        {HEAD "profiles: [1]\n", "texts"},
        {"title: X\ndirectory: https://ca.example/dir\neab: none\nas_of: \"2026-11-21 or so\"\n", "longer than 10"},
    };
    CTX_CLEANUP struct ctx ctx;
    struct issuer_preset p;
    (void)state;
    ctx_init(&ctx, &clock_moved);
    must(&ctx, preset_parse(&ctx, "x", BYTES_LIT(HEAD "limits:\n  - {kind: domain, count: 50, window: 7d, exempt: ari}\n"), &p));
    assert_int_equal(p.limits_n, 1);
    assert_int_equal(p.limits[0].window_s, 7 * 86400);
    for (size_t i = 0; i < sizeof rows_ / sizeof *rows_; i++) {
        struct rc rc = preset_parse(&ctx, "x", bytes_z(rows_[i].text), &p);
        if (rc_ok(rc) || !strstr(ctx_why(&ctx), rows_[i].words))
            fail_msg("row %zu: %s", i, rc_ok(rc) ? "taken" : ctx_why(&ctx));
        ctx_forget(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_breaker_opens_after_three_failures_and_longer_each_time),
        cmocka_unit_test(one_word_of_the_ca_is_enough),
        cmocka_unit_test(an_order_that_is_taken_closes_the_breaker_where_orders_were_the_trouble),
        cmocka_unit_test(a_failed_validation_is_no_fault_of_the_ca),
        cmocka_unit_test(published_limits_are_counted_as_cas_do),
        cmocka_unit_test(registered_domains_are_as_the_list_says),
        cmocka_unit_test(descriptions_that_are_wrong_are_refused_by_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
