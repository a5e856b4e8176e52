/* The policy document: what is refused and where, what each rule and limit says both ways, freezes at their edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/policy_doc.h"
#include "core/wish.h"
#include "core/zone.h"

#define DAY 86400
#define NOW 1800000000 /* 2027-01-15T08:00:00Z */

/* --- what is wrong with a document, and where */

static void what_is_wrong_is_told_with_its_place(void **state)
{
    static const struct {
        const char *document, *place, *words;
    } rows[] = {
        {"version: 2", "1:1", "version: 1"},
        {"keys: [ec-p256]", "1:1", "begins with version: 1"},
        {"version: 1\nkey: [ec-p256]\n", "2:1", "key is not a setting"},
        {"version: 1\nkeys: [ec-p256, rsa-1024]\n", "2:17", "rsa-1024 is no kind of key"},
        {"version: 1\nnames:\n  shop: [shop.example.org, 'x y']\n", "3:28", "x y is no domain"},
        {"version: 1\nnames:\n  shop: ['*.example.org']\n", "3:10", "is no domain"},
        {"version: 1\nnames:\n  shop: [10.1.0.1/16]\n", "3:10", "is no domain"},
        {"version: 1\nwildcards: maybe\n", "2:1", "say forbid, approve or allow"},
        {"version: 1\nowner: yes\n", "2:1", "required or optional"},
        {"version: 1\nmax_validity: long\n", "2:1", "written like 90d"},
        {"version: 1\nmax_validity: 90\n", "2:1", "written like 90d"},
        {"version: 1\nrenewal: {from_percent: 5}\n", "2:11", "from 10 to 95"},
        {"version: 1\nrenewal: {from_percent: 80, to_percent: 20}\n", "2:1", "ends before it begins"},
        {"version: 1\nrules: {}\n", "2:1", "rules is a list"},
        {"version: 1\nrules:\n  - forbid: no\n", "3:5", "needs a name"},
        {"version: 1\nrules:\n  - name: a\n", "3:5", "says one of"},
        {"version: 1\nrules:\n  - name: a\n    forbid: no\n    allow: true\n", "3:5", "says one of"},
        {"version: 1\nrules:\n  - name: a\n    allow: false\n", "4:5", "allow: true"},
        {"version: 1\nrules:\n  - name: a\n    for: [delete]\n    forbid: no\n", "4:11", "create, change"},
        {"version: 1\nrules:\n  - name: a\n    for: []\n    forbid: no\n", "4:5", "for names nothing"},
        {"version: 1\nrules:\n  - name: a\n    teams: []\n    forbid: no\n", "4:5", "names no team"},
        {"version: 1\nrules:\n  - name: a\n    when: {}\n    forbid: no\n", "4:5", "says nothing"},
        {"version: 1\nrules:\n  - name: a\n    when: {name: x}\n    forbid: no\n", "4:12", "nothing that when can ask"},
        {"version: 1\nrules:\n  - name: a\n    when: {keys: []}\n    forbid: no\n", "4:12", "says nothing"},
        {"version: 1\nrules:\n  - name: a\n    when: {wildcard: 1}\n    forbid: no\n", "4:12", "true or false"},
        {"version: 1\nrules:\n  - name: a\n    approve: {count: 0}\n", "4:15", "from 1 to 10"},
        {"version: 1\nrules:\n  - name: a\n    approve: {who: me}\n", "4:15", "count, role and because"},
        {"version: 1\nrules:\n  - name: a\n    forbid: ''\n", "4:5", "text of 1 to 500"},
        {"version: 1\nrules:\n  - name: a\n    forbid: x\n  - name: a\n    forbid: y\n", "5:5", "two rules are called a"},
        {"version: 1\nfreezes:\n  - name: f\n    from: 2026-12-24\n", "3:5", "from and to"},
        {"version: 1\nfreezes:\n  - name: f\n    from: 2026-12-24\n    to: 2026-12-23\n", "3:5", "ends before"},
        {"version: 1\nfreezes:\n  - name: f\n    from: 2026-13-24\n    to: 2026-12-23\n", "4:5", "a time is written"},
        {"version: 1\nfreezes:\n  - name: f\n    from: 2026-12-24 25:00\n    to: 2026-12-30\n", "4:5", "a time is written"},
        {"version: 1\nfreezes:\n  - name: f\n    from: 2026-12-24 Nowhere/City\n    to: 2026-12-30\n", "4:5", "no time zone"},
        {"version: 1\nfreezes:\n  - name: f\n    from: 2026-12-24 ../etc\n    to: 2026-12-30\n", "4:5", "no time zone"},
        {"version: 1\nversion: 1\n", "2:1", "twice"},
        {"version: 1\nkeys: [ec-p256\n", "3:1", "expected"},
        {"version: 1\nkeys: *a\n", "2:7", "aliases"},
        {"- a\n", "1:1", "is a map"},
    };
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_problem *problems = NULL;
        struct policy_doc *doc = NULL;
        size_t n = 0;
        assert_true(rc_ok(policy_doc_read(&ctx, bytes_z(rows[i].document), &problems, &n, &doc)));
        if (doc || !n)
            fail_msg("taken: %s", rows[i].document);
        const char *place = arena_printf(&ctx.arena, "%lld:%lld", (long long)problems[0].line, (long long)problems[0].column);
        if (strcmp(place, rows[i].place) != 0 || !strstr(problems[0].words, rows[i].words))
            fail_msg("%s\nis told as %s: %s", rows[i].document, place, problems[0].words);
    }
}

static void all_problems_are_told_at_once_and_ceilings_hold(void **state)
{
    struct policy_problem *problems = NULL;
    struct policy_doc *doc = NULL;
    size_t n = 0;
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(policy_doc_read(&ctx, bytes_z("version: 1\na: 1\nkeys: [x, y]\nwildcards: no\n"), &problems, &n, &doc)));
    assert_null(doc);
    assert_int_equal(n, 4);
    struct buf b;
    buf_init_arena(&b, &ctx.arena, 1 << 20);
    buf_put_z(&b, "version: 1\nkeys: [");
    for (int i = 0; i < 1001; i++)
        buf_put_z(&b, "ec-p256, ");
    buf_put_z(&b, "x]\n");
    assert_true(rc_ok(policy_doc_read(&ctx, buf_bytes(&b), &problems, &n, &doc)));
    assert_true(n == 1 && strstr(problems[0].words, "more than 1000"));
    buf_init_arena(&b, &ctx.arena, 1 << 20);
    buf_put_z(&b, "version: 1\nnames:\n  a: [a.org]\nissuers:\n");
    for (int i = 0; i < 900; i++)
        buf_printf(&b, "  t%d: [i%d, j%d, k%d]\n", i, i, i, i);
    assert_true(rc_ok(policy_doc_read(&ctx, buf_bytes(&b), &problems, &n, &doc)));
    assert_true(n == POLICY_PROBLEMS_MAX && strstr(problems[0].words, "more than 2000 names"));
    char *large = arena_alloc(&ctx.arena, POLICY_TEXT_MAX + 1);
    memset(large, ' ', POLICY_TEXT_MAX + 1);
    assert_int_equal(policy_doc_read(&ctx, bytes_of((uint8_t *)large, POLICY_TEXT_MAX + 1), &problems, &n, &doc).e, E_TOO_LARGE);
    ctx_forget(&ctx);
}

/* --- what a document says */

/* Teams are known by their names; "shop-eu" lies in "shop", and all in "everyone". */
static struct policy_doc *read_doc(struct ctx *ctx, const char *text)
{
    struct policy_problem *problems = NULL;
    const struct policy_named *teams = NULL;
    struct policy_doc *doc = NULL;
    size_t n = 0;
    assert_true(rc_ok(policy_doc_read(ctx, bytes_z(text), &problems, &n, &doc)));
    if (!doc)
        fail_msg("%s\nline %lld: %s", text, (long long)problems[0].line, problems[0].words);
    policy_doc_names(doc, POLICY_TEAM, &teams, &n);
    const char **ids = arena_array(&ctx->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = teams[i].name;
    policy_doc_bind(doc, ids);
    return doc;
}

static size_t teams_of(const char *team, const char *out[4])
{
    size_t n = 0;
    if (strcmp(team, "shop-eu") == 0)
        out[n++] = "shop-eu", team = "shop";
    if (strcmp(team, "everyone") != 0)
        out[n++] = team;
    out[n++] = "everyone";
    return n;
}

static const char *told(struct ctx *ctx, const struct policy_verdict *v)
{
    switch (v->says) {
    case POLICY_FORBIDS:
        return arena_printf(&ctx->arena, "forbids: %s", v->rule);
    case POLICY_NEEDS:
        return arena_printf(&ctx->arena, "needs %lld%s%s: %s", (long long)v->approvals, v->role ? " " : "", v->role ? v->role : "",
                            v->rule);
    default:
        return v->rule ? arena_printf(&ctx->arena, "allows: %s", v->rule) : "allows";
    }
}

static const char *judged(struct ctx *ctx, const char *text, const char *team, struct policy_asked asked, int64_t now)
{
    const char *teams[4];
    struct policy_verdict v;
    struct policy_doc *doc = read_doc(ctx, text);
    const struct policy_facts f = {.asked = &asked, .teams = teams, .teams_n = teams_of(team, teams), .now = now};
    policy_doc_judge(ctx, doc, &f, &v);
    policy_doc_drop(doc);
    if (v.says != POLICY_ALLOWS)
        assert_true(v.words && *v.words);
    return told(ctx, &v);
}

static int64_t number_of(const char *s)
{
    int64_t n = 0;
    assert_true(str_to_i64(bytes_z(s), &n));
    return n;
}

/* A wish in one line: names, and what of the rest is not as usual. */
static struct wish wish_of(struct ctx *ctx, const char *names)
{
    struct wish w = {.profile = "tls-server", .usage = "tls-server", .validity_s = 90 * DAY, .key_kind = "ec-p256", .canary = -1};
    struct bytes rest = bytes_z(names), one;
    while (rest.n) {
        if (!bytes_take_until(&rest, ' ', &one)) {
            one = rest;
            rest = (struct bytes){0};
        }
        const char *s = arena_str(&ctx->arena, one);
        if (strncmp(s, "issuer=", 7) == 0)
            str_list_add(&ctx->arena, &w.issuers, s + 7);
        else if (strncmp(s, "key=", 4) == 0)
            w.key_kind = s + 4;
        else if (strncmp(s, "profile=", 8) == 0)
            w.profile = s + 8;
        else if (strncmp(s, "days=", 5) == 0)
            w.validity_s = number_of(s + 5) * DAY;
        else if (strncmp(s, "at=", 3) == 0)
            w.renew_percent = number_of(s + 3);
        else if (strncmp(s, "before=", 7) == 0)
            w.renew_before_s = number_of(s + 7) * DAY;
        else if (strcmp(s, "reuse") == 0)
            w.reuse_key = true;
        else if (strcmp(s, "download") == 0)
            w.download = true;
        else if (strcmp(s, "csr") == 0)
            w.csr = BYTES_LIT("csr");
        else
            str_list_add(&ctx->arena, &w.names, s);
    }
    if (!w.issuers.n)
        str_list_add(&ctx->arena, &w.issuers, "ca");
    return w;
}

#define RULE(when, then) "version: 1\nrules:\n  - name: r\n    " when "\n    " then "\n"
#define WHEN(what)       RULE("when: {" what "}", "forbid: no")

static void each_limit_and_each_condition_says_both(void **state)
{
    static const struct {
        const char *document, *team, *wish, *said;
    } rows[] = {
        {"", "shop", "a.org", "allows"},
        {"# nothing\n", "shop", "a.org", "allows"},
        {"version: 1", "shop", "a.org", "allows"},
        /* names: the nearest team's list */
        {"version: 1\nnames: {shop: [shop.org]}", "shop", "shop.org a.shop.org *.shop.org", "allows"},
        {"version: 1\nnames: {shop: [shop.org]}", "shop", "a.shop.org myshop.org", "forbids: names"},
        {"version: 1\nnames: {shop: [Shop.org.]}", "shop", "a.shop.org", "allows"},
        {"version: 1\nnames: {shop: [.shop.org]}", "shop-eu", "b.org", "forbids: names"},
        {"version: 1\nnames: {shop: [shop.org]}", "press", "b.org", "allows"},
        {"version: 1\nnames: {shop: [shop.org], shop-eu: [shop.eu]}", "shop-eu", "a.shop.eu", "allows"},
        {"version: 1\nnames: {shop: [shop.org], shop-eu: [shop.eu]}", "shop-eu", "a.shop.org", "forbids: names"},
        {"version: 1\nnames: {shop: [shop.org], everyone: []}", "press", "a.shop.org", "forbids: names"},
        {"version: 1\nnames: {shop: [shop.org], everyone: []}", "shop", "a.shop.org", "allows"},
        {"version: 1\nnames: [org]", "press", "a.shop.org", "allows"},
        {"version: 1\nnames: org", "press", "a.shop.com", "forbids: names"},
        {"version: 1\nnames: [org, 10.1.0.0/16, '2001:db8::/32']", "press", "10.1.2.3 2001:db8::7 a.org", "allows"},
        {"version: 1\nnames: [org, 10.1.0.0/16]", "press", "10.2.2.3", "forbids: names"},
        {"version: 1\nnames: [org]", "press", "10.2.2.3", "forbids: names"},
        /* the other limits */
        {"version: 1\nissuers: [ca, le]", "shop", "a.org issuer=le issuer=ca", "allows"},
        {"version: 1\nissuers: [ca, le]", "shop", "a.org issuer=ca issuer=other", "forbids: issuers"},
        {"version: 1\nissuers: {shop: [le], everyone: [ca]}", "shop", "a.org issuer=ca", "forbids: issuers"},
        {"version: 1\nkeys: [ec-p256, ec-p384]", "shop", "a.org", "allows"},
        {"version: 1\nkeys: [ec-p384]", "shop", "a.org", "forbids: keys"},
        {"version: 1\nprofiles: {shop: tls-server}", "shop", "a.org", "allows"},
        {"version: 1\nprofiles: {shop: tls-server}", "shop", "a.org profile=long", "forbids: profiles"},
        {"version: 1\nmax_validity: 90d", "shop", "a.org", "allows"},
        {"version: 1\nmax_validity: 47d", "shop", "a.org", "forbids: max_validity"},
        {"version: 1\nmax_validity: {everyone: 47d, shop: 100d}", "shop", "a.org", "allows"},
        {"version: 1\nwildcards: forbid", "shop", "a.org *.b.org", "forbids: wildcards"},
        {"version: 1\nwildcards: forbid", "shop", "a.org", "allows"},
        {"version: 1\nwildcards: approve", "shop", "*.b.org", "needs 1: wildcards"},
        {"version: 1\nwildcards: {everyone: forbid, shop: allow}", "shop", "*.b.org", "allows"},
        {"version: 1\nkey_reuse: forbid", "shop", "a.org reuse", "forbids: key_reuse"},
        {"version: 1\nkey_reuse: forbid", "shop", "a.org", "allows"},
        {"version: 1\ncsr: approve", "shop", "a.org csr", "needs 1: csr"},
        {"version: 1\ncsr: approve", "shop", "a.org", "allows"},
        {"version: 1\nkey_download: forbid", "shop", "a.org download", "forbids: key_download"},
        {"version: 1\nkey_download: forbid", "shop", "a.org", "allows"},
        {WHEN("key_download: true"), "shop", "a.org download", "forbids: r"},
        {WHEN("key_download: true"), "shop", "a.org", "allows"},
        {"version: 1\nowner: required", "everyone", "a.org", "forbids: owner"},
        {"version: 1\nowner: required", "shop", "a.org", "allows"},
        {"version: 1\nowner: optional", "everyone", "a.org", "allows"},
        {"version: 1\nrenewal: {from_percent: 60, to_percent: 70}", "shop", "a.org", "allows"},
        {"version: 1\nrenewal: {from_percent: 60, to_percent: 70}", "shop", "a.org days=6", "forbids: renewal"},
        {"version: 1\nrenewal: {from_percent: 60}", "shop", "a.org at=59", "forbids: renewal"},
        {"version: 1\nrenewal: {from_percent: 60}", "shop", "a.org at=60", "allows"},
        {"version: 1\nrenewal: {to_percent: 70}", "shop", "a.org at=70", "allows"},
        {"version: 1\nrenewal: {to_percent: 70}", "shop", "a.org before=20", "forbids: renewal"},
        {"version: 1\nrenewal: {to_percent: 70}", "shop", "a.org before=30", "allows"},
        /* one that forbids goes before one that wants approval, wherever it stands */
        {"version: 1\nwildcards: approve\nkey_reuse: forbid", "shop", "*.a.org reuse", "forbids: key_reuse"},
        {"version: 1\nwildcards: approve\ncsr: approve", "shop", "*.a.org csr", "needs 1: wildcards"},
        /* what rules ask about */
        {WHEN("names_under: [a.org]"), "shop", "x.org b.a.org", "forbids: r"},
        {WHEN("names_under: [a.org]"), "shop", "x.org", "allows"},
        {WHEN("names_outside: [a.org]"), "shop", "a.org x.org", "forbids: r"},
        {WHEN("names_outside: [a.org]"), "shop", "a.org b.a.org", "allows"},
        {WHEN("names_over: 2"), "shop", "a.org b.org c.org", "forbids: r"},
        {WHEN("names_over: 2"), "shop", "a.org b.org", "allows"},
        {WHEN("wildcard: true"), "shop", "*.a.org", "forbids: r"},
        {WHEN("wildcard: true"), "shop", "a.org", "allows"},
        {WHEN("wildcard: false"), "shop", "a.org", "forbids: r"},
        {WHEN("issuers: [le]"), "shop", "a.org issuer=ca issuer=le", "forbids: r"},
        {WHEN("issuers: le"), "shop", "a.org", "allows"},
        {WHEN("issuers_except: [le, ca]"), "shop", "a.org issuer=ca issuer=x", "forbids: r"},
        {WHEN("issuers_except: [le, ca]"), "shop", "a.org issuer=ca issuer=le", "allows"},
        {WHEN("keys: [rsa-2048]"), "shop", "a.org key=rsa-2048", "forbids: r"},
        {WHEN("keys: [rsa-2048]"), "shop", "a.org", "allows"},
        {WHEN("keys_except: [ec-p256]"), "shop", "a.org key=rsa-2048", "forbids: r"},
        {WHEN("keys_except: [ec-p256]"), "shop", "a.org", "allows"},
        {WHEN("profiles: [long]"), "shop", "a.org profile=long", "forbids: r"},
        {WHEN("profiles: [long]"), "shop", "a.org", "allows"},
        {WHEN("profiles_except: [tls-server]"), "shop", "a.org profile=long", "forbids: r"},
        {WHEN("profiles_except: [tls-server]"), "shop", "a.org", "allows"},
        {WHEN("validity_over: 90d"), "shop", "a.org days=91", "forbids: r"},
        {WHEN("validity_over: 90d"), "shop", "a.org", "allows"},
        {WHEN("key_reuse: true"), "shop", "a.org reuse", "forbids: r"},
        {WHEN("key_reuse: true"), "shop", "a.org", "allows"},
        {WHEN("csr: true"), "shop", "a.org csr", "forbids: r"},
        {WHEN("csr: true"), "shop", "a.org", "allows"},
        {WHEN("without_owner: true"), "everyone", "a.org", "forbids: r"},
        {WHEN("without_owner: true"), "shop", "a.org", "allows"},
        {WHEN("wildcard: true, keys: [rsa-2048]"), "shop", "*.a.org", "allows"}, /* all of it has to hold */
        {RULE("teams: [shop]", "forbid: no"), "shop-eu", "a.org", "forbids: r"},
        {RULE("teams: [shop]", "forbid: no"), "press", "a.org", "allows"},
        {RULE("teams: [shop-eu]", "forbid: no"), "shop", "a.org", "allows"},
        {RULE("for: [revoke]", "forbid: no"), "shop", "a.org", "allows"},
        {RULE("for: [create]", "approve: true"), "shop", "a.org", "needs 1: r"},
        {RULE("for: create", "approve: {count: 2, role: approver, because: it is so}"), "shop", "a.org", "needs 2 approver: r"},
        /* the first rule that fits; an exception from the limits, and what is none */
        {"version: 1\nrules:\n  - {name: a, when: {names_under: [x.org]}, allow: true}\n  - {name: b, forbid: no}\n", "shop",
         "x.org", "allows: a"},
        {"version: 1\nrules:\n  - {name: a, when: {names_under: [x.org]}, allow: true}\n  - {name: b, forbid: no}\n", "shop",
         "y.org", "forbids: b"},
        {"version: 1\nkeys: [ec-p384]\nrules:\n  - {name: a, allow: true}\n", "shop", "x.org", "allows: a"},
        {"version: 1\nkeys: [ec-p384]\nrules:\n  - {name: a, approve: true}\n", "shop", "x.org", "forbids: keys"},
        {"version: 1\nwildcards: approve\nrules:\n  - {name: a, approve: {count: 3}}\n", "shop", "*.x.org", "needs 3: a"},
    };
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct wish w = wish_of(&ctx, rows[i].wish);
        const char *said = judged(&ctx, rows[i].document, rows[i].team, (struct policy_asked){.wish = &w}, NOW);
        if (strcmp(said, rows[i].said) != 0)
            fail_msg("%s\n%s: %s\nsays %s, not %s", rows[i].document, rows[i].team, rows[i].wish, said, rows[i].said);
    }
}

static void limits_hold_for_what_is_made_or_changed_and_rules_for_what_they_name(void **state)
{
    static const char limits[] = "version: 1\nkeys: [ec-p384]\n",
                      rule[] = RULE("for: [renew, revoke, export, rollback]", "approve: {count: 2}");
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const struct wish w = wish_of(&ctx, "a.org");
    for (unsigned act = 0; act < POLICY_ACTS; act++) {
        const struct policy_asked asked = {.act = (enum policy_act)act, .wish = &w};
        assert_string_equal(judged(&ctx, limits, "shop", asked, NOW), act <= POLICY_CHANGE ? "forbids: keys" : "allows");
        assert_string_equal(judged(&ctx, rule, "shop", asked, NOW), act <= POLICY_CHANGE ? "allows" : "needs 2: r");
    }
    /* Nobody is asked for what is due by itself; what is forbidden is forbidden. */
    const struct policy_asked due = {.act = POLICY_RENEW, .wish = &w, .by_itself = true, .not_before = NOW, .not_after = NOW + DAY};
    assert_string_equal(judged(&ctx, rule, "shop", due, NOW), "allows");
    assert_string_equal(judged(&ctx, RULE("for: [renew]", "forbid: no"), "shop", due, NOW), "forbids: r");
}

/* --- freezes */

#define FREEZE(more) "version: 1\nfreezes:\n  - name: f\n    from: 2027-01-10 18:00 Europe/Berlin\n    to: 2027-01-20\n" more

/* Of January 2027, UTC. */
static int64_t at(int64_t day, int64_t hour)
{
    return (zone_days(2027, 1, (int)day) * 24 + hour) * 3600;
}

static void a_freeze_holds_from_its_first_second_to_its_last(void **state)
{
    static const struct {
        const char *more, *team;
        enum policy_act act;
        int64_t day, hour, plus_s;
        const char *said;
    } rows[] = {
        {"", "shop", POLICY_CREATE, 10, 17, -1, "allows"}, /* Berlin is an hour ahead of UTC in January */
        {"", "shop", POLICY_CREATE, 10, 17, 0, "forbids: freeze f"},
        {"", "shop", POLICY_CHANGE, 15, 0, 0, "forbids: freeze f"},
        {"", "shop", POLICY_RENEW, 15, 0, 0, "forbids: freeze f"},
        {"", "shop", POLICY_REVOKE, 15, 0, 0, "allows"},
        {"", "shop", POLICY_EXPORT, 15, 0, 0, "allows"},
        {"", "shop", POLICY_CREATE, 21, 0, -1, "forbids: freeze f"}, /* the day that is named is part of it */
        {"", "shop", POLICY_CREATE, 21, 0, 0, "allows"},
        {"    teams: [shop]\n", "shop-eu", POLICY_CREATE, 15, 0, 0, "forbids: freeze f"},
        {"    teams: [shop]\n", "press", POLICY_CREATE, 15, 0, 0, "allows"},
        {"    except: [shop]\n", "shop-eu", POLICY_CREATE, 15, 0, 0, "allows"},
        {"    except: [shop]\n", "press", POLICY_CREATE, 15, 0, 0, "forbids: freeze f"},
        {"rules:\n  - {name: a, allow: true}\n", "press", POLICY_CREATE, 15, 0, 0, "forbids: freeze f"},
    };
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const struct wish w = wish_of(&ctx, "a.org");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *document = arena_printf(&ctx.arena, FREEZE("%s"), rows[i].more);
        const char *said = judged(&ctx, document, rows[i].team, (struct policy_asked){.act = rows[i].act, .wish = &w},
                                  at(rows[i].day, rows[i].hour) + rows[i].plus_s);
        if (strcmp(said, rows[i].said) != 0)
            fail_msg("row %zu: %s, not %s", i, said, rows[i].said);
    }
    /* RFC 3339 means the same second. */
    const struct policy_asked asked = {.act = POLICY_CREATE, .wish = &w};
    static const char exact[] =
        "version: 1\nfreezes:\n  - {name: f, from: '2027-01-10T17:00:00Z', to: '2027-01-10T19:00:00+01:00'}\n";
    assert_string_equal(judged(&ctx, exact, "shop", asked, at(10, 18) - 1), "forbids: freeze f");
    assert_string_equal(judged(&ctx, exact, "shop", asked, at(10, 18)), "allows");
}

static int64_t held_until(struct ctx *ctx, const char *document, int64_t lifetime, int64_t left, int64_t now)
{
    const char *teams[4];
    struct policy_verdict v;
    const struct wish w = wish_of(ctx, "a.org");
    const struct policy_asked due = {
        .act = POLICY_RENEW, .wish = &w, .by_itself = true, .not_before = now + left - lifetime, .not_after = now + left};
    struct policy_doc *doc = read_doc(ctx, document);
    policy_doc_judge(ctx, doc,
                     &(struct policy_facts){.asked = &due, .teams = teams, .teams_n = teams_of("shop", teams), .now = now}, &v);
    policy_doc_drop(doc);
    assert_int_equal(v.says, v.until ? POLICY_FORBIDS : POLICY_ALLOWS);
    return v.until;
}

static void no_freeze_lets_a_certificate_expire(void **state)
{
    static const char goes_on[] = FREEZE(""), holds[] = FREEZE("    renewals: true\n");
    const int64_t now = at(15, 0), end = at(21, 0);
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_int_equal(held_until(&ctx, goes_on, 90 * DAY, 30 * DAY, now), 0); /* renewals go on where it does not say so */
    assert_int_equal(held_until(&ctx, holds, 90 * DAY, 30 * DAY, now), end);
    assert_int_equal(held_until(&ctx, holds, 90 * DAY, 12 * DAY, now), now + 3 * DAY); /* until its last tenth, 9 days */
    assert_int_equal(held_until(&ctx, holds, 90 * DAY, 9 * DAY + 1, now), now + 1);
    assert_int_equal(held_until(&ctx, holds, 90 * DAY, 9 * DAY, now), 0);
    assert_int_equal(held_until(&ctx, holds, 6 * DAY, 3 * DAY + 60, now), now + 60); /* or its last three days */
    assert_int_equal(held_until(&ctx, holds, 6 * DAY, 3 * DAY, now), 0);
    assert_int_equal(held_until(&ctx, holds, DAY, DAY, now), 0);
    assert_int_equal(held_until(&ctx, holds, 90 * DAY, 30 * DAY, end), 0);
}

/* --- the example in the manual */

static const char *example(struct ctx *ctx)
{
    char *text = arena_alloc(&ctx->arena, 65536);
    FILE *f = fopen("docs/POLICY.md", "re"); /* tests run at the top of the tree */
    assert_non_null(f);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    char *begin = strstr(text, "```yaml\n"), *end = begin ? strstr(begin + 8, "```") : NULL;
    assert_non_null(end);
    *end = 0;
    return begin + 8;
}

static void the_example_of_the_manual_says_what_the_manual_says(void **state)
{
    static const struct {
        const char *team, *wish;
        enum policy_act act;
        const char *said;
    } rows[] = {
        {"shop", "www.shop.example.org", POLICY_CREATE, "allows"},
        {"shop", "www.example.org", POLICY_CREATE, "forbids: names"},
        {"shop-eu", "www.shop.example.net key=rsa-2048", POLICY_CREATE, "forbids: keys"},
        {"shop", "*.shop.example.org", POLICY_CREATE, "forbids: wildcards"},
        {"platform", "*.example.org 10.20.3.4", POLICY_CREATE, "needs 1: wildcards"},
        {"press", "press.example.com", POLICY_CREATE, "forbids: names"},
        {"everyone", "a.example.org", POLICY_CREATE, "forbids: names"},
        {"platform", "lb.example.org key=rsa-2048", POLICY_CREATE, "allows: the old load balancer"},
        {"platform", "lb2.example.org key=rsa-2048", POLICY_CREATE, "forbids: keys"},
        {"shop", "pay.shop.example.org", POLICY_CHANGE, "needs 2 approver: payment"},
        {"shop", "pay.shop.example.org reuse", POLICY_CHANGE, "forbids: key_reuse"},
        {"platform", "a.test.example.org issuer=le", POLICY_CREATE, "forbids: no test names outside"},
        {"shop", "www.shop.example.org", POLICY_REVOKE, "needs 1: revocation needs a second pair of eyes"},
        {"shop", "www.shop.example.org at=90", POLICY_CREATE, "forbids: renewal"},
    };
    CTX_CLEANUP struct ctx ctx;
    (void)state;
    ctx_init(&ctx, &clock_system);
    const char *text = example(&ctx);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct wish w = wish_of(&ctx, rows[i].wish);
        const char *said = judged(&ctx, text, rows[i].team, (struct policy_asked){.act = rows[i].act, .wish = &w}, NOW);
        if (strcmp(said, rows[i].said) != 0)
            fail_msg("%s: %s: says %s, not %s", rows[i].team, rows[i].wish, said, rows[i].said);
    }
    const struct wish w = wish_of(&ctx, "www.shop.example.org");
    assert_string_equal(judged(&ctx, text, "shop", (struct policy_asked){.wish = &w}, at(3, 12)),
                        "forbids: freeze end of the year");
    assert_string_equal(judged(&ctx, text, "platform", (struct policy_asked){.wish = &w}, at(3, 12)), "allows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
        cmocka_unit_test(all_problems_are_told_at_once_and_ceilings_hold),
        cmocka_unit_test(each_limit_and_each_condition_says_both),
        cmocka_unit_test(limits_hold_for_what_is_made_or_changed_and_rules_for_what_they_name),
        cmocka_unit_test(a_freeze_holds_from_its_first_second_to_its_last),
        cmocka_unit_test(no_freeze_lets_a_certificate_expire),
        cmocka_unit_test(the_example_of_the_manual_says_what_the_manual_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
