/* Which way a name is proved, and who answers for it in DNS. */
#include "store/store_test.h"

#include "core/solver.h"

static void the_issuer_and_the_name_say_which_way(void **state)
{
    static const struct {
        const char *asked;
        struct solver_name name; /* wildcard, ip, unserved, provided */
        const char *method;      /* NULL: refused */
    } rows[] = {
        {NULL, {false, false, false, false}, "http-01"},
        {"auto", {false, false, false, false}, "http-01"},
        {"auto", {false, false, false, true}, "http-01"}, /* what works today stays */
        {"auto", {true, false, false, true}, "dns-01"},
        {"auto", {true, false, false, false}, NULL},
        {"auto", {false, false, true, true}, "dns-01"},
        {"auto", {false, false, true, false}, NULL},
        {"auto", {false, true, false, false}, "http-01"},
        {"auto", {false, true, true, false}, NULL},
        {"http-01", {false, false, true, true}, NULL},
        {"http-01", {false, false, false, true}, "http-01"},
        {"http-01", {true, false, false, true}, NULL},
        {"dns-01", {false, false, false, true}, "dns-01"},
        {"dns-01", {true, false, false, true}, "dns-01"},
        {"dns-01", {false, false, false, false}, NULL},
        {"dns-01", {false, true, false, false}, NULL},
        {"tls-alpn-01", {false, false, false, false}, "tls-alpn-01"},
        {"tls-alpn-01", {false, true, false, false}, "tls-alpn-01"},
        {"tls-alpn-01", {true, false, false, true}, NULL},
        {"dns-account-01", {true, false, false, true}, "dns-account-01"},
        {"dns-persist-01", {true, false, false, true}, "dns-persist-01"},
        {"dns-persist-01", {true, false, false, false}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = NULL, *method = solver_pick(rows[i].asked, &rows[i].name, &why);
        if (!str_equal(method, rows[i].method) || !method != (why != NULL))
            fail_msg("row %zu: %s (%s)", i, method ? method : "refused", why ? why : "");
    }
}

/* root > shop > checkout, root > press; an agent that is there, one that was removed. */
static struct rc people(struct ctx *ctx, struct txn *txn, void *arg)
{
    static const char *const teams[][3] = {
        {"root", NULL, NULL}, {"shop", "root", NULL}, {"checkout", "shop", "root"}, {"press", "root", NULL}};
    static const struct {
        const char *id, *team, *agent;
        const char *zones[3];
    } providers[] = {
        {"p-root", "root", "web1", {"example.org", "example.net", NULL}},
        {"p-shop", "shop", "web1", {"shop.example.org", NULL, NULL}},
        {"p-two", "root", "web1", {"example.net", NULL, NULL}},
        {"p-gone", "root", "gone", {"example.com", NULL, NULL}},
        {"p-press", "press", "web1", {"example.edu", NULL, NULL}},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof teams / sizeof *teams; i++) {
        TRY(q_team_add(ctx, txn, teams[i][0], teams[i][1], teams[i][0], 1));
        for (size_t k = 0; k < 3 && teams[i][k]; k++)
            TRY(q_team_within_add(ctx, txn, teams[i][0], teams[i][k]));
    }
    for (size_t i = 0; i < 3; i++) {
        const char *name = i == 2 ? "own" : i ? "gone" : "web1";
        const struct q_agent_add_in in = {.id = name,
                                          .team_id = "root",
                                          .name = name,
                                          .identity = i == 2 ? "unix:0" : name,
                                          .state = i == 1 ? "removed" : "active",
                                          .version = "1",
                                          .platform = "",
                                          .granted = "[]",
                                          .networks = "[]",
                                          .address = "",
                                          .join_token_id = "",
                                          .now = 1};
        TRY(q_agent_add(ctx, txn, &in));
    }
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        const struct q_dns_provider_add_in in = {.id = providers[i].id,
                                                 .team_id = providers[i].team,
                                                 .name = providers[i].id,
                                                 .provider = "rfc2136",
                                                 .agent_id = providers[i].agent,
                                                 .parameters = "{}",
                                                 .now = 1};
        TRY(q_dns_provider_add(ctx, txn, &in));
        for (size_t k = 0; providers[i].zones[k]; k++)
            TRY(q_dns_zone_add(ctx, txn, providers[i].zones[k], providers[i].id));
    }
    TRY(q_dns_zone_bad(ctx, txn,
                       &(struct q_dns_zone_bad_in){
                           .zone = "example.net", .provider_id = "p-root", .error_code = "denied", .error = "no", .now = 1}));
    TRY(q_dns_grant_add(ctx, txn,
                        &(struct q_dns_grant_add_in){
                            .id = "g1", .provider_id = "p-press", .team_id = "shop", .under = "news.example.edu", .now = 1}));
    TRY(q_dns_grant_add(ctx, txn,
                        &(struct q_dns_grant_add_in){
                            .id = "g2", .provider_id = "p-press", .agent_id = "web1", .under = "blog.example.edu", .now = 1}));
    return q_dns_grant_add(ctx, txn,
                           &(struct q_dns_grant_add_in){
                               .id = "g3", .provider_id = "p-press", .agent_id = "own", .under = "own.example.edu", .now = 1});
}

struct asked {
    const char *team, *agent, *name;
    char got[32];
};

static struct rc ask(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    struct solver_owner owner = {.team = a->team};
    struct q_dns_answering_row row;
    bool found = false;
    if (a->agent)
        str_list_add(&ctx->arena, &owner.agents, a->agent);
    TRY(solver_provider(ctx, txn, &owner, a->name, &row, &found));
    snprintf(a->got, sizeof a->got, "%s", found ? row.id : "");
    return RC_OK;
}

static void who_answers(struct ctx *ctx, struct store *store)
{
    static const struct {
        const char *team, *agent, *name, *by;
    } rows[] = {
        {"root", NULL, "example.org", "p-root"},
        {"root", NULL, "*.example.org", "p-root"},
        {"root", NULL, "a.b.c.example.org", "p-root"},
        {"root", NULL, "notexample.org", ""},
        {"root", NULL, "org", ""},
        {"shop", NULL, "www.example.org", ""},          /* that of a team above needs a grant */
        {"shop", NULL, "*.shop.example.org", "p-shop"}, /* the longest zone wins */
        {"checkout", NULL, "*.shop.example.org", ""},
        {"root", NULL, "*.shop.example.org", "p-root"},     /* that of a team below is not asked */
        {"press", NULL, "pay.shop.example.org", ""},
        {"root", NULL, "www.example.net", "p-two"}, /* of two the one that failed less */
        {"root", NULL, "www.example.com", ""},      /* its agent was removed */
        {"press", NULL, "www.example.edu", "p-press"},
        {"root", NULL, "www.example.edu", ""},
        {"shop", NULL, "news.example.edu", "p-press"}, /* granted, also to those within */
        {"checkout", NULL, "*.news.example.edu", "p-press"},
        {"shop", NULL, "oldnews.example.edu", ""},
        {"shop", NULL, "www.example.edu", ""},
        {"root", "web1", "www.blog.example.edu", "p-press"},
        {"root", "web1", "news.example.edu", ""},
        {"root", "gone", "www.blog.example.edu", ""},
        {"root", "own", "www.own.example.edu", ""}, /* makes keys for every team */
    };
    must(ctx, store_write(ctx, store, people, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked a = {.team = rows[i].team, .agent = rows[i].agent, .name = rows[i].name};
        must(ctx, store_read(ctx, store, ask, &a));
        if (strcmp(a.got, rows[i].by) != 0)
            fail_msg("%s for team %s: %s, should be %s", rows[i].name, rows[i].team, a.got, rows[i].by);
    }
}

static struct rc methods_of(struct ctx *ctx, struct txn *txn, void *arg)
{
    static const struct {
        const char *method, *via, *team, *names[4], *list;
        bool targets;
    } rows[] = {
        {NULL, NULL, "root", {"example.org", "www.example.org"}, "", true},
        {NULL, NULL, "root", {"example.org", "*.example.org"}, "http-01 dns-01 ", true},
        {NULL, NULL, "root", {"example.org", "192.0.2.1", "www.example.com"}, "", true},
        {NULL, NULL, "root", {"example.org", "www.example.net"}, "dns-01 dns-01 ", false},
        {NULL, NULL, "root", {"example.org", "192.0.2.1"}, NULL, false},
        {NULL, NULL, "root", {"www.example.com"}, NULL, false},
        {NULL, "listener", "root", {"example.org"}, "", false},
        {"dns-01", NULL, "root", {"example.org", "www.example.org"}, "dns-01 dns-01 ", true},
        {"tls-alpn-01", NULL, "root", {"www.example.com", "2001:db8::1"}, "tls-alpn-01 tls-alpn-01 ", true},
        {NULL, NULL, "root", {"*.example.com"}, NULL, true},
        {NULL, NULL, "shop", {"*.example.edu"}, NULL, true},
        {"http-01", NULL, "root", {"*.example.org"}, NULL, true},
        {"dns-01", NULL, "root", {"192.0.2.1"}, NULL, true},
        {"dns-01", NULL, "root", {"www.example.com"}, NULL, true},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct solver_owner owner = {.team = rows[i].team, .targets = rows[i].targets};
        const struct issuer_settings s = {.kind = "acme", .challenge_method = rows[i].method, .challenge_via = rows[i].via};
        struct str_list names = {0}, got = {0};
        struct buf b;
        for (size_t k = 0; k < 4 && rows[i].names[k]; k++)
            str_list_add(&ctx->arena, &names, rows[i].names[k]);
        struct rc rc = solver_methods(ctx, txn, &owner, "le", &s, &names, &got);
        if (rc_failed(rc)) {
            if (rows[i].list || rc.e != E_CONFLICT || !strstr(ctx_why(ctx), "certwright "))
                fail_msg("row %zu: %s", i, ctx_why(ctx));
            ctx_forget(ctx);
            continue;
        }
        buf_init_arena(&b, &ctx->arena, 1000);
        for (size_t k = 0; k < got.n; k++)
            buf_printf(&b, "%s ", got.v[k]);
        if (!rows[i].list || strcmp(buf_z(&b), rows[i].list) != 0)
            fail_msg("row %zu: %s", i, buf_z(&b));
    }
    return RC_OK;
}

static void how_each_name_is_proved(struct ctx *ctx, struct store *store)
{
    must(ctx, store_read(ctx, store, methods_of, NULL));
}

static void ask_both(struct ctx *ctx, struct store *store)
{
    who_answers(ctx, store);
    how_each_name_is_proved(ctx, store);
}

static void the_longest_zone_of_the_team_and_its_grants_answers(void **state)
{
    (void)state;
    on_both(ask_both);
}

static void two_challenges_of_a_name_queue_in_one_lane(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_string_equal(solver_lane(&ctx, "p1", "dns:example.org", "a"), solver_lane(&ctx, "p1", "dns:*.example.org", "b"));
    assert_string_not_equal(solver_lane(&ctx, "p1", "dns:example.org", "a"), solver_lane(&ctx, "p1", "dns:www.example.org", "a"));
    assert_string_not_equal(solver_lane(&ctx, NULL, "dns:example.org", "a"), solver_lane(&ctx, NULL, "dns:example.org", "b"));
}

/* The agent that relays says which challenges it took: it must not choose, least of all a record that lets somebody else's account in. */
static void only_challenges_that_were_asked_for_are_answered(void **state)
{
    static const char both[] = "{\"identifiers\": [\"dns:*.example.org\", \"dns:www.example.org\", \"ip:192.0.2.1\"], "
                               "\"methods\": [\"dns-01\", \"http-01\", \"tls-alpn-01\"]}";
    static const char none[] = "{\"identifiers\": [\"dns:www.example.org\"]}";
    static const struct {
        const char *payload, *identifier, *type;
        enum err e;
    } rows[] = {
        {both, "dns:example.org", "dns-01", E_OK},
        {both, "dns:www.example.org", "http-01", E_OK},
        {both, "ip:192.0.2.1", "tls-alpn-01", E_OK},
        {both, "dns:example.org", "dns-persist-01", E_BAD_ANSWER},
        {both, "dns:www.example.org", "dns-01", E_BAD_ANSWER},
        {both, "dns:other.example.org", "http-01", E_BAD_ANSWER},
        {both, "dns:www.example.org", "dns-99", E_BAD_ANSWER},
        {none, "dns:www.example.org", "http-01", E_OK},
        {none, "dns:www.example.org", "dns-persist-01", E_BAD_ANSWER},
    };
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ctx_forget(&ctx);
        assert_int_equal(solver_was_asked(&ctx, rows[i].payload, rows[i].identifier, rows[i].type).e, rows[i].e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_challenges_that_were_asked_for_are_answered),
        cmocka_unit_test(the_issuer_and_the_name_say_which_way),
        cmocka_unit_test(the_longest_zone_of_the_team_and_its_grants_answers),
        cmocka_unit_test(two_challenges_of_a_name_queue_in_one_lane),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
