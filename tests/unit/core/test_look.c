/* Looking at what came: what needs to know more than the certificate says, on both engines. */
#include "store/store_test.h"

#include <sys/stat.h>

#include "pki/pki_test.h"

#include "base/random.h"
#include "core/access.h"
#include "core/check.h"
#include "core/finding_rules.h"
#include "core/inventory.h"
#include "core/issuer_trust.h"
#include "core/look.h"
#include "os/file.h"
#include "pki/pem.h"

static volatile int64_t offset_s;
static const struct clock set_clock = {&offset_s};

struct world {
    struct core core;
    struct test_ca root, good, bad, own, stray, entrust;
    const char *dir;
    struct finding_settings settings;
    int64_t now;
};

static void file_put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static const char *pem_file(const struct world *w, const char *name, const struct test_ca *ca)
{
    struct buf b;
    const char *path = arena_printf(&test_ctx.arena, "%s/%s", w->dir, name);
    buf_init_arena(&b, &test_ctx.arena, 1 << 16);
    pem_put(&b, "CERTIFICATE", ca->der);
    file_put(path, buf_z(&b));
    return path;
}

static struct rc team_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    const char *team = ((struct world *)arg)->core.team_root;
    TRY(q_team_add(ctx, txn, team, NULL, team, 1));
    return q_team_within_add(ctx, txn, team, team);
}

static void world_open(struct ctx *ctx, struct store *store, struct world *w)
{
    offset_s = 0;
    ctx->clock = &set_clock;
    *w = (struct world){.core = {.store = store, .clock = &set_clock}, .now = ctx_now_s(ctx)};
    char dir[] = "/tmp/cw-look-XXXXXX";
    assert_non_null(mkdtemp(dir));
    w->dir = arena_strdup(&test_ctx.arena, dir);
    w->core.team_root = id_new(&ctx->arena, 1);
    must(ctx, store_write(ctx, store, team_make, w));
    must(ctx, inventory_open(ctx, &w->core));
    test_ca_new(&w->root, NULL, KEY_EC_P256, "Public root", w->now);
    test_ca_new(&w->good, &w->root, KEY_EC_P256, "Good CA", w->now);
    test_ca_new(&w->bad, &w->root, KEY_EC_P256, "Bad CA", w->now);
    test_ca_new(&w->own, NULL, KEY_EC_P256, "Own root", w->now);
    test_ca_new(&w->stray, NULL, KEY_EC_P256, "Nobody knows", w->now);
    test_ca_new(&w->entrust, NULL, KEY_EC_P256, "Entrust Root Certification Authority - G2", w->now);
    w->settings.public_roots = pem_file(w, "public.pem", &w->root);
    w->settings.roots = pem_file(w, "own.pem", &w->own);
    w->settings.weak_keys = arena_printf(&test_ctx.arena, "%s/weak", w->dir);
    assert_int_equal(mkdir(w->settings.weak_keys, 0700), 0);
    str_list_add(&test_ctx.arena, &w->settings.domains, "ours.org");
    str_list_add(&test_ctx.arena, &w->settings.issuers, "good ca");
    must(ctx, finding_rules_open(ctx, &w->core, &w->settings));
}

static void world_close(struct world *w)
{
    struct test_ca *const all[] = {&w->root, &w->good, &w->bad, &w->own, &w->stray, &w->entrust};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        key_free(all[i]->key);
    finding_rules_close(&w->core);
    inventory_close(&w->core);
    unlink(arena_printf(&test_ctx.arena, "%s/list", w->settings.weak_keys));
    rmdir(w->settings.weak_keys);
    unlink(w->settings.public_roots);
    unlink(w->settings.roots);
    rmdir(w->dir);
}

static void tick(struct ctx *ctx, struct world *w)
{
    bool more = true;
    while (more)
        must(ctx, inventory_tick(ctx, &w->core, &more));
    struct check_result r;
    must(ctx, check_run(ctx, &w->core, true, NULL, NULL, &r));
    for (size_t i = 0; i < r.shown_n; i++)
        print_error("%s\n", r.shown[i]);
    assert_int_equal(r.wrong, 0);
}

struct asked {
    struct world *w;
    struct bytes fingerprint;
    struct q_certificate_row_row row;
    int64_t set, clear;
    const struct inventory_sighting *sighting;
    const struct bytes *also; /* fingerprints of another chain */
    size_t also_n;
    struct bytes der;
    struct issuer_chains chains;
};

static struct bytes fingerprint(struct bytes der)
{
    struct bytes out;
    assert_ok(digest_sha256_new(&test_ctx, der, &out));
    return out;
}

static struct rc row_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    int64_t id = 0;
    bool found = false;
    TRY(inventory_find(ctx, txn, a->fingerprint, &id, &found));
    assert_true(found);
    return q_certificate_row(ctx, txn, id, &a->row, &found);
}

static struct q_certificate_row_row row_of(struct ctx *ctx, struct world *w, struct bytes der)
{
    struct asked a = {.w = w, .fingerprint = fingerprint(der)};
    must(ctx, store_read(ctx, w->core.store, row_read, &a));
    return a.row;
}

static bool holds(struct ctx *ctx, struct world *w, struct bytes der, unsigned check)
{
    return (row_of(ctx, w, der).findings & CHECK_BIT(check)) != 0;
}

static void take(struct ctx *ctx, struct world *w, const struct bytes *ders, size_t n)
{
    const struct inventory_from from = {.source = INVENTORY_SCAN};
    struct inventory_batch batch;
    struct inventory_item *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i].der = ders[i];
    must(ctx, inventory_take(ctx, &w->core, &from, items, n, &batch));
    assert_int_equal(batch.bad_n, 0);
    tick(ctx, w);
}

/* With a key of its own, or the one given. */
static struct bytes leaf(struct world *w, const struct test_ca *ca, const char *name, const struct key *key)
{
    struct key *own = NULL;
    if (!key)
        assert_ok(key_generate(&test_ctx, KEY_EC_P256, &own));
    struct cert_intent intent = test_leaf(ca, key ? key : own, &name, 1, w->now);
    struct bytes der = test_issue(&intent, ca->key, w->now);
    key_free(own);
    return der;
}

static void issuers(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    const struct bytes www = leaf(&w, &w.good, "www.elsewhere.org", NULL), inner = leaf(&w, &w.own, "a.elsewhere.org", NULL),
                       lost = leaf(&w, &w.stray, "b.elsewhere.org", NULL), old = leaf(&w, &w.entrust, "c.elsewhere.org", NULL);
    take(ctx, &w, (struct bytes[]){www, inner, lost, old}, 4);
    /* The issuer's certificate is not there: the root alone is known by settings. */
    assert_true(holds(ctx, &w, www, CHECK_UNKNOWN_ISSUER));
    assert_false(holds(ctx, &w, inner, CHECK_UNKNOWN_ISSUER));
    assert_true(holds(ctx, &w, lost, CHECK_UNKNOWN_ISSUER));
    assert_true(holds(ctx, &w, old, CHECK_DISTRUSTED_ISSUER));
    assert_false(holds(ctx, &w, www, CHECK_DISTRUSTED_ISSUER));
    assert_true(row_of(ctx, &w, www).flags & CERTIFICATE_LOOKED);
    /* It comes, and what it issued is looked at again; a root that nobody believes makes nothing better. */
    take(ctx, &w, (struct bytes[]){w.good.der, w.stray.der}, 2);
    assert_false(holds(ctx, &w, www, CHECK_UNKNOWN_ISSUER));
    assert_true(holds(ctx, &w, lost, CHECK_UNKNOWN_ISSUER));
    assert_false(holds(ctx, &w, w.good.der, CHECK_UNKNOWN_ISSUER));
    /* The root becomes one of ours. */
    const struct finding_settings before = w.settings;
    w.settings.roots = pem_file(&w, "own.pem", &w.stray);
    finding_rules_close(&w.core);
    must(ctx, finding_rules_open(ctx, &w.core, &w.settings));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, lost, CHECK_UNKNOWN_ISSUER));
    assert_true(holds(ctx, &w, inner, CHECK_UNKNOWN_ISSUER));
    assert_false(holds(ctx, &w, www, CHECK_UNKNOWN_ISSUER));
    w.settings = before;
    world_close(&w);
}

static void an_issuer_is_known_when_it_comes_and_then_what_it_issued(void **state)
{
    (void)state;
    on_both(issuers);
}

static struct rc flag(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    int64_t id = 0;
    bool found = false;
    TRY(inventory_find(ctx, txn, a->fingerprint, &id, &found));
    return inventory_flag(ctx, &a->w->core, txn, id, a->set, a->clear);
}

static void ours(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    const struct bytes good = leaf(&w, &w.good, "www.ours.org", NULL), rogue = leaf(&w, &w.bad, "shop.ours.org", NULL),
                       other = leaf(&w, &w.bad, "www.notours.org", NULL), inner = leaf(&w, &w.good, "db.inside.org", NULL);
    take(ctx, &w, (struct bytes[]){w.good.der, w.bad.der, good, rogue, other, inner}, 6);
    assert_false(holds(ctx, &w, good, CHECK_ROGUE));
    assert_true(holds(ctx, &w, rogue, CHECK_ROGUE));
    assert_false(holds(ctx, &w, other, CHECK_ROGUE));
    assert_true(holds(ctx, &w, good, CHECK_UNMANAGED));
    assert_false(holds(ctx, &w, w.bad.der, CHECK_UNMANAGED));
    assert_false(holds(ctx, &w, inner, CHECK_INTERNAL_NAME));
    /* One that names an allowed issuer and its key, and that another key signed. */
    struct test_ca false_ca = w.good;
    false_ca.key = w.bad.key;
    const struct bytes forged = leaf(&w, &false_ca, "login.ours.org", NULL);
    take(ctx, &w, &forged, 1);
    assert_true(holds(ctx, &w, forged, CHECK_ROGUE));
    /* Managed: somebody knows of it. */
    struct asked a = {.w = &w, .fingerprint = fingerprint(rogue), .set = CERTIFICATE_MANAGED | CERTIFICATE_OURS};
    must(ctx, store_write(ctx, store, flag, &a));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, rogue, CHECK_ROGUE));
    assert_false(holds(ctx, &w, rogue, CHECK_UNMANAGED));
    a.clear = a.set;
    a.set = 0;
    must(ctx, store_write(ctx, store, flag, &a));
    tick(ctx, &w);
    assert_true(holds(ctx, &w, rogue, CHECK_ROGUE));
    /* Other rules: everything is looked at again. */
    str_list_add(&test_ctx.arena, &w.settings.issuers, "Bad CA");
    str_list_add(&test_ctx.arena, &w.settings.inner_names, "inside.org");
    finding_rules_close(&w.core);
    must(ctx, finding_rules_open(ctx, &w.core, &w.settings));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, rogue, CHECK_ROGUE));
    assert_true(holds(ctx, &w, inner, CHECK_INTERNAL_NAME));
    assert_false(holds(ctx, &w, good, CHECK_INTERNAL_NAME));
    /* What has ended is no rogue, and needs nobody. */
    offset_s += 200 * 86400;
    tick(ctx, &w);
    assert_true(holds(ctx, &w, good, CHECK_EXPIRED));
    assert_false(holds(ctx, &w, good, CHECK_UNMANAGED));
    world_close(&w);
}

static void whose_names_and_which_rules(void **state)
{
    (void)state;
    on_both(ours);
}

static void keys(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct key *shared = NULL, *renewed = NULL;
    struct cert c;
    world_open(ctx, store, &w);
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &shared));
    assert_ok(key_generate(&test_ctx, KEY_EC_P256, &renewed));
    const struct bytes a = leaf(&w, &w.good, "a.example.org", shared), b = leaf(&w, &w.good, "b.example.org", shared),
                       first = leaf(&w, &w.good, "c.example.org", renewed), again = leaf(&w, &w.good, "c.example.org", renewed);
    take(ctx, &w, (struct bytes[]){a, first}, 2);
    assert_false(holds(ctx, &w, a, CHECK_SHARED_KEY));
    take(ctx, &w, (struct bytes[]){b, again}, 2);
    assert_true(holds(ctx, &w, a, CHECK_SHARED_KEY));
    assert_true(holds(ctx, &w, b, CHECK_SHARED_KEY));
    assert_false(holds(ctx, &w, first, CHECK_SHARED_KEY));
    assert_false(holds(ctx, &w, again, CHECK_SHARED_KEY));
    /* A list of known keys that is new concerns what is there already. */
    assert_ok(cert_parse(&test_ctx, first, &c));
    struct bytes spki;
    assert_ok(digest_sha256_new(&test_ctx, c.spki.der, &spki));
    file_put(arena_printf(&test_ctx.arena, "%s/list", w.settings.weak_keys),
             arena_printf(&test_ctx.arena, "%s\n", hex_str(&test_ctx.arena, spki)));
    finding_rules_close(&w.core);
    must(ctx, finding_rules_open(ctx, &w.core, &w.settings));
    tick(ctx, &w);
    assert_true(holds(ctx, &w, first, CHECK_KNOWN_KEY));
    assert_true(holds(ctx, &w, again, CHECK_KNOWN_KEY));
    assert_false(holds(ctx, &w, a, CHECK_KNOWN_KEY));
    assert_true(holds(ctx, &w, a, CHECK_SHARED_KEY));
    key_free(shared);
    key_free(renewed);
    world_close(&w);
}

static void keys_are_looked_at_with_those_that_have_them(void **state)
{
    (void)state;
    on_both(keys);
}

static struct rc observe(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    int64_t unknown = 0, endpoint = 0;
    TRY(inventory_observe(ctx, &a->w->core, txn, NULL, a->sighting, &endpoint, &unknown));
    assert_int_equal(unknown, 0);
    for (size_t i = 0; i < a->also_n; i++) {
        int64_t id = 0;
        bool found = false;
        TRY(inventory_find(ctx, txn, a->also[i], &id, &found));
        assert_true(found);
        TRY(q_observation_put(ctx, txn, endpoint, id, (int64_t)i, ctx_now_s(ctx)));
    }
    return RC_OK;
}

#define OBSERVED                                                                                                                   \
    (CHECK_BIT(CHECK_NAME_MISMATCH) | CHECK_BIT(CHECK_CHAIN_INCOMPLETE) | CHECK_BIT(CHECK_CHAIN_ORDER) |                           \
     CHECK_BIT(CHECK_SERVED_DIFFERS) | CHECK_BIT(CHECK_NO_POST_QUANTUM))

/* A server with two kinds of key: each of its two chains is judged, by its own certificates. */
static void two_leaves(struct ctx *ctx, struct world *w)
{
    const struct bytes first = leaf(w, &w->good, "two.example.org", NULL), other = leaf(w, &w->bad, "two.example.org", NULL),
                       wrong = leaf(w, &w->bad, "three.example.org", NULL);
    take(ctx, w, (struct bytes[]){first, other, wrong}, 3);
    const struct {
        struct bytes chains[2][3];
        int64_t want[2];
    } rows[] = {
        {{{first, w->good.der}, {other, w->bad.der}}, {0, 0}},
        {{{first, w->good.der}, {other}}, {0, CHECK_BIT(CHECK_CHAIN_INCOMPLETE)}},
        {{{first}, {other, w->bad.der}}, {CHECK_BIT(CHECK_CHAIN_INCOMPLETE), 0}},
        {{{other, w->bad.der}, {first, w->good.der}}, {0, 0}},
        {{{first, w->good.der}, {wrong, w->good.der}},
         {0, CHECK_BIT(CHECK_NAME_MISMATCH) | CHECK_BIT(CHECK_CHAIN_INCOMPLETE) | CHECK_BIT(CHECK_CHAIN_ORDER)}},
        {{{first, w->good.der}, {other, w->bad.der}}, {0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf options;
        struct bytes prints[2][3];
        size_t n[2] = {0};
        buf_init_arena(&options, &test_ctx.arena, 4096);
        for (size_t c = 0; c < 2; c++) {
            buf_put_z(&options, c ? "],[" : "{\"chains\":[[");
            for (; n[c] < 3 && rows[i].chains[c][n[c]].n; n[c]++) {
                prints[c][n[c]] = fingerprint(rows[i].chains[c][n[c]]);
                buf_printf(&options, "%s\"%s\"", n[c] ? "," : "", hex_str(&test_ctx.arena, prints[c][n[c]]));
            }
        }
        buf_put_z(&options, "]]}");
        offset_s += 10;
        struct inventory_sighting s = {.kind = INVENTORY_TLS, .place = "192.0.2.2:443", .name = "two.example.org", .result = "ok",
                                       .options = buf_z(&options), .chain = prints[0], .n = n[0]};
        struct asked a = {.w = w, .sighting = &s, .also = prints[1], .also_n = n[1]};
        must(ctx, store_write(ctx, w->core.store, observe, &a));
        tick(ctx, w);
        for (size_t c = 0; c < 2; c++) {
            const int64_t is = row_of(ctx, w, rows[i].chains[c][0]).findings & OBSERVED;
            if (is != rows[i].want[c])
                fail_msg("row %zu, chain %zu: %llx, not %llx", i, c, (unsigned long long)is, (unsigned long long)rows[i].want[c]);
        }
        assert_int_equal(i == 5 ? row_of(ctx, w, wrong).findings & OBSERVED : 0, 0);
    }
}

static void endpoints(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    const struct bytes www = leaf(&w, &w.good, "www.example.org", NULL), own = leaf(&w, &w.stray, "own.example.org", NULL);
    take(ctx, &w, (struct bytes[]){w.root.der, w.good.der, w.bad.der, w.stray.der, www, own}, 6);
    const struct {
        struct bytes chain[4];
        size_t n;
        const char *name, *options;
        int64_t want;
    } rows[] = {
        {{www, w.good.der}, 2, "www.example.org", "{\"groups\":[\"X25519MLKEM768\",\"X25519\"]}", 0},
        {{www, w.good.der}, 2, "other.example.org", NULL, CHECK_BIT(CHECK_NAME_MISMATCH)},
        {{www, w.good.der, w.root.der}, 3, "WWW.example.org.", NULL, 0},
        {{www}, 1, "", NULL, CHECK_BIT(CHECK_CHAIN_INCOMPLETE)},
        {{www, w.bad.der}, 2, "", NULL, CHECK_BIT(CHECK_CHAIN_INCOMPLETE) | CHECK_BIT(CHECK_CHAIN_ORDER)},
        {{www, w.root.der, w.good.der}, 3, "", NULL, CHECK_BIT(CHECK_CHAIN_ORDER)},
        {{www, w.good.der, w.bad.der}, 3, "", NULL, CHECK_BIT(CHECK_CHAIN_ORDER)},
        {{www, w.good.der}, 2, "", "{\"groups\":[\"X25519\",\"P-256\"]}", CHECK_BIT(CHECK_NO_POST_QUANTUM)},
        {{www, w.good.der}, 2, "", "{\"version\":\"TLSv1.3\"}", CHECK_BIT(CHECK_NO_POST_QUANTUM)}, /* not asked: as it was */
        {{www, w.good.der}, 2, "", "{\"versions\":[\"TLSv1.2\",\"TLSv1.3\"],\"groups\":[\"X25519MLKEM768\"]}", 0},
        {{www, w.good.der}, 2, "", "{\"versions\":[\"TLSv1.2\",\"TLSv1.3\"]}", 0}, /* which groups it did not say */
        {{www, w.good.der}, 2, "", "{\"versions\":[\"TLSv1.1\",\"TLSv1.2\"]}", CHECK_BIT(CHECK_NO_POST_QUANTUM)},
        {{www, w.good.der}, 2, "", "{\"groups\":[\"X25519MLKEM768\"]}", 0},
        {{own}, 1, "", NULL, 0}, /* a root of somebody's own is not sent */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes prints[4];
        for (size_t k = 0; k < rows[i].n; k++)
            prints[k] = fingerprint(rows[i].chain[k]);
        const struct inventory_sighting s = {.kind = INVENTORY_TLS,
                                             .place = "192.0.2.1:443",
                                             .name = rows[i].name,
                                             .result = "tls",
                                             .options = rows[i].options ? rows[i].options : "{}",
                                             .chain = prints,
                                             .n = rows[i].n};
        struct asked a = {.w = &w, .sighting = &s};
        offset_s += 10;
        must(ctx, store_write(ctx, store, observe, &a));
        tick(ctx, &w);
        const int64_t is = row_of(ctx, &w, rows[i].chain[0]).findings & OBSERVED;
        if (is != rows[i].want)
            fail_msg("row %zu: %llx, not %llx", i, (unsigned long long)is, (unsigned long long)rows[i].want);
        if (!*rows[i].name)
            continue;
        /* A place with another name is another endpoint.  When it shows something else, what was wrong with the first goes. */
        const struct bytes another = fingerprint(w.stray.der);
        struct inventory_sighting next = s;
        next.chain = &another;
        next.n = 1;
        a.sighting = &next;
        offset_s += 10;
        must(ctx, store_write(ctx, store, observe, &a));
        tick(ctx, &w);
        assert_int_equal(row_of(ctx, &w, rows[i].chain[0]).findings & OBSERVED, 0);
        assert_int_equal(row_of(ctx, &w, w.stray.der).findings & OBSERVED, CHECK_BIT(CHECK_NAME_MISMATCH));
    }
    two_leaves(ctx, &w);
    /* Two looks within one second, and each certificate shown: the last one counts. */
    const struct bytes both[] = {fingerprint(www), fingerprint(own)};
    for (size_t i = 0; i < 4; i++) {
        const struct inventory_sighting s = {.kind = INVENTORY_TLS,
                                             .place = "192.0.2.1:443",
                                             .name = "third.example.org",
                                             .result = "tls",
                                             .chain = &both[i % 2],
                                             .n = 1,
                                             .at = w.now + 5000};
        struct asked a = {.w = &w, .sighting = &s};
        must(ctx, store_write(ctx, store, observe, &a));
        tick(ctx, &w);
        assert_int_equal(!!(row_of(ctx, &w, www).findings & CHECK_BIT(CHECK_NAME_MISMATCH)), i % 2 == 0);
        assert_int_equal(!!(row_of(ctx, &w, own).findings & CHECK_BIT(CHECK_NAME_MISMATCH)), i % 2 == 1);
    }
    world_close(&w);
}

/* What another client's own files tell of a certificate on a host. */
static void renewals(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    const struct bytes www = leaf(&w, &w.good, "www.example.org", NULL), print = fingerprint(www);
    take(ctx, &w, (struct bytes[]){w.good.der, www}, 2);
    const struct {
        const char *more; /* behind the client */
        int64_t late_s;   /* renew_at lies so far back; 0: not told */
        bool want;
    } rows[] = {
        {"", 0, false},
        {",\"off\":true", 0, true},
        {",\"error\":\"connection refused\"", 86400, false}, /* it may run tomorrow */
        {",\"error\":\"connection refused\"", 3 * 86400, true},
        {"", -86400, false}, /* renewed since */
        {"", 3 * 86400, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char options[256];
        offset_s += 10;
        snprintf(options, sizeof options, "{\"renewal\":{\"client\":\"certbot\",\"renew_at\":%lld%s}}",
                 rows[i].late_s ? (long long)(ctx_now_s(ctx) - rows[i].late_s) : 0LL, rows[i].more);
        const struct inventory_sighting s = {.kind = INVENTORY_FILE,
                                             .place = "web1:/etc/letsencrypt/live/www/fullchain.pem",
                                             .result = "ok",
                                             .options = options,
                                             .chain = &print,
                                             .n = 1};
        struct asked a = {.w = &w, .sighting = &s};
        must(ctx, store_write(ctx, store, observe, &a));
        tick(ctx, &w);
        if (!!(row_of(ctx, &w, www).findings & CHECK_BIT(CHECK_NOT_RENEWING)) != rows[i].want)
            fail_msg("row %zu", i);
    }
    world_close(&w);
}

static void an_endpoint_is_judged_by_what_it_shows_now(void **state)
{
    (void)state;
    on_both(endpoints);
}

static void a_client_that_does_not_renew_is_told(void **state)
{
    (void)state;
    on_both(renewals);
}

static struct rc chains_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    return issuer_chains_of(ctx, &a->w->core, txn, a->der, &a->chains);
}

/* Another certificate of `ca` (name and key), by another root. */
static struct bytes cross_sign(struct world *w, const struct test_ca *ca, const struct test_ca *by)
{
    struct cert_intent intent = test_intent(PROFILE_CA_INTERMEDIATE, w->now);
    intent.organization = "Test";
    intent.common_name = ca->cert.subject.common_name;
    intent.spki = key_spki(ca->key);
    intent.not_after = w->now + 2000 * (int64_t)86400;
    intent.issuer = &by->cert;
    intent.path_length = 0;
    intent.crl_url = "http://ca.example.org/root.crl";
    intent.issuer_url = "http://ca.example.org/root.crt";
    return test_issue(&intent, by->key, w->now);
}

static void chains(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    const struct bytes www = leaf(&w, &w.good, "www.example.org", NULL);
    const struct bytes crossed = cross_sign(&w, &w.good, &w.stray), mine = cross_sign(&w, &w.good, &w.own);
    take(ctx, &w, &mine, 1);
    take(ctx, &w, (struct bytes[]){w.root.der, w.good.der, w.stray.der, crossed, www}, 5);
    struct asked a = {.w = &w, .der = www};
    must(ctx, store_read(ctx, store, chains_read, &a));
    assert_int_equal(a.chains.n, 3);
    assert_false(a.chains.capped);
    const struct issuer_chain *v = a.chains.v;
    assert_int_equal(v[0].trust, ISSUER_PUBLIC);
    assert_string_equal(v[0].verdict, "trusted");
    assert_int_equal(v[0].n, 3);
    assert_non_null(strstr(v[0].root, "Public root"));
    assert_int_equal(v[1].trust, ISSUER_PRIVATE); /* its root is configured, and not in the inventory */
    assert_int_equal(v[1].n, 2);
    assert_true(v[1].whole);
    assert_non_null(strstr(v[1].root, "Own root"));
    assert_int_equal(v[2].trust, ISSUER_NOT_KNOWN);
    assert_string_equal(v[2].verdict, "unknown-issuer");
    assert_non_null(strstr(v[2].root, "Nobody knows"));
    /* A CA that claims the name and the key identifier, and did not sign: OpenSSL says so. */
    struct test_ca false_root;
    test_ca_new(&false_root, NULL, KEY_EC_P256, "Good CA", w.now);
    const struct bytes forged = leaf(&w, &false_root, "forged.example.org", NULL);
    take(ctx, &w, &forged, 1);
    assert_true(holds(ctx, &w, forged, CHECK_UNKNOWN_ISSUER)); /* the key identifier is another one */
    key_free(false_root.key);
    /* Browsers believe another root now: what we believe ourselves is left. */
    w.settings.public_roots = pem_file(&w, "public.pem", &w.entrust);
    finding_rules_close(&w.core);
    must(ctx, finding_rules_open(ctx, &w.core, &w.settings));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, www, CHECK_UNKNOWN_ISSUER));
    must(ctx, store_read(ctx, store, chains_read, &a));
    assert_int_equal(a.chains.v[0].trust, ISSUER_PRIVATE);
    world_close(&w);
}

static void all_chains_are_found_and_the_best_is_first(void **state)
{
    (void)state;
    on_both(chains);
}

/* Its name and its key identifier, and a key that is another. */
static struct bytes fake_of(struct world *w, const struct test_ca *ca)
{
    struct test_ca other;
    struct bytes der;
    test_ca_new(&other, &w->stray, KEY_EC_P256, ca->cert.subject.common_name, w->now);
    der = arena_bytes(&test_ctx.arena, other.der);
    const size_t at = bytes_find(der, other.cert.ski);
    assert_true(at != SIZE_MAX && other.cert.ski.n == ca->cert.ski.n);
    memcpy((uint8_t *)(uintptr_t)der.p + at, ca->cert.ski.p, ca->cert.ski.n);
    key_free(other.key);
    return der;
}

static void fakes(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct bytes many[ISSUER_SAME_MAX + 4];
    const size_t n = sizeof many / sizeof *many;
    world_open(ctx, store, &w);
    for (size_t i = 0; i < n; i++)
        many[i] = fake_of(&w, &w.good);
    take(ctx, &w, many, n);
    const struct bytes www = leaf(&w, &w.good, "www.example.org", NULL);
    take(ctx, &w, (struct bytes[]){www, w.good.der}, 2);
    struct asked a = {.w = &w, .der = www};
    must(ctx, store_read(ctx, store, chains_read, &a));
    assert_string_equal(a.chains.v[0].verdict, "trusted");
    assert_int_equal(a.chains.v[0].trust, ISSUER_PUBLIC);
    world_close(&w);
}

static void many_fakes_that_came_first_do_not_hide_the_true_issuer(void **state)
{
    (void)state;
    on_both(fakes);
}

static struct rc change(struct ctx *ctx, struct world *w, int64_t revision, const struct api_finding_rules_patch *in)
{
    const struct principal *was = ctx->principal;
    ctx->principal = access_hub(ctx, &w->core);
    struct rc rc = finding_policy_change(ctx, &w->core, revision, in);
    ctx->principal = was;
    return rc;
}

static struct rc rule(struct ctx *ctx, struct world *w, struct api_finding_rule r, const char *limit, int64_t value)
{
    struct api_finding_limit l = {.name = limit, .value = value};
    r.limits = (struct api_finding_limit_list){&l, limit != NULL};
    return change(ctx, w, 0, &(struct api_finding_rules_patch){.has_checks = true, .checks = {&r, 1}});
}

static void policy(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct finding_policy p;
    const char *bad[] = {"bad CA"}, *both[] = {"good ca", "bad ca"};
    world_open(ctx, store, &w);
    const struct bytes good = leaf(&w, &w.good, "www.ours.org", NULL), rogue = leaf(&w, &w.bad, "shop.ours.org", NULL);
    take(ctx, &w, (struct bytes[]){w.good.der, w.bad.der, good, rogue}, 4);
    assert_true(holds(ctx, &w, rogue, CHECK_ROGUE));
    assert_false(holds(ctx, &w, rogue, CHECK_EXPIRING));
    /* Other numbers: looked at again, and due at other times. */
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "expiring"}, "percent", 100));
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "expiring"}, "days", 3650));
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "short_key"}, "ec_bits", 384));
    assert_false(holds(ctx, &w, rogue, CHECK_EXPIRING));
    tick(ctx, &w);
    assert_true(holds(ctx, &w, rogue, CHECK_EXPIRING));
    assert_true(holds(ctx, &w, rogue, CHECK_SHORT_KEY));
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "expiring", .state = "usual"}, NULL, 0));
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "short_key", .state = "usual"}, NULL, 0));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, rogue, CHECK_EXPIRING));
    assert_false(holds(ctx, &w, rogue, CHECK_SHORT_KEY));
    /* Whom we do not believe: an intermediate, and a root. */
    must(ctx, change(ctx, &w, 0, &(struct api_finding_rules_patch){.has_distrusted = true, .distrusted = {bad, 1}}));
    tick(ctx, &w);
    assert_true(holds(ctx, &w, rogue, CHECK_DISTRUSTED_ISSUER));
    assert_false(holds(ctx, &w, good, CHECK_DISTRUSTED_ISSUER));
    bad[0] = "public root";
    must(ctx, change(ctx, &w, 0, &(struct api_finding_rules_patch){.has_distrusted = true, .distrusted = {bad, 1}}));
    tick(ctx, &w);
    assert_true(holds(ctx, &w, good, CHECK_DISTRUSTED_ISSUER));
    must(ctx, change(ctx, &w, 0, &(struct api_finding_rules_patch){.has_distrusted = true}));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, good, CHECK_DISTRUSTED_ISSUER));
    /* It outlives a start with the same hub.yaml, and gives way to what that says anew. */
    must(ctx, change(ctx, &w, 0, &(struct api_finding_rules_patch){.has_issuers = true, .issuers = {both, 2}}));
    finding_rules_close(&w.core);
    must(ctx, finding_rules_open(ctx, &w.core, &w.settings));
    tick(ctx, &w);
    assert_false(holds(ctx, &w, rogue, CHECK_ROGUE));
    str_list_add(&test_ctx.arena, &w.settings.domains, "others.org");
    finding_rules_close(&w.core);
    must(ctx, finding_rules_open(ctx, &w.core, &w.settings));
    tick(ctx, &w);
    assert_true(holds(ctx, &w, rogue, CHECK_ROGUE));
    /* What is only said of them needs no look. */
    must(ctx, finding_policy_show(ctx, &w.core, &p));
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "rogue", .state = "off", .severity = "info"}, NULL, 0));
    must(ctx, rule(ctx, &w, (struct api_finding_rule){.check = "wildcard", .severity = "critical"}, NULL, 0));
    assert_int_equal(change(ctx, &w, p.revision, &(struct api_finding_rules_patch){.has_issuers = true}).e, E_CHANGED);
    ctx_forget(ctx);
    must(ctx, finding_policy_show(ctx, &w.core, &p));
    assert_false(finding_policy_at_least(&p, SEVERITY_INFO) & CHECK_BIT(CHECK_ROGUE));
    assert_true(finding_policy_at_least(&p, SEVERITY_CRITICAL) & CHECK_BIT(CHECK_WILDCARD));
    assert_false(finding_policy_at_least(&p, SEVERITY_CRITICAL) & CHECK_BIT(CHECK_EXPIRING));
    assert_string_equal(finding_policy_words(ctx, &p, findings_check(CHECK_SHORT_KEY)),
                        "its key is too short: RSA and DSA under 2048 bits, elliptic curves under 224");
    assert_true(holds(ctx, &w, rogue, CHECK_ROGUE));
    /* What cannot be. */
    assert_int_equal(rule(ctx, &w, (struct api_finding_rule){.check = "no_such"}, NULL, 0).e, E_INVALID);
    assert_int_equal(rule(ctx, &w, (struct api_finding_rule){.check = "rogue"}, "days", 3).e, E_INVALID);
    assert_int_equal(rule(ctx, &w, (struct api_finding_rule){.check = "expiring"}, "percent", 101).e, E_INVALID);
    ctx_forget(ctx);
    world_close(&w);
}

static void what_people_set_of_the_checks(void **state)
{
    (void)state;
    on_both(policy);
}

static int up(void **state)
{
    pki_setup(state);
    return pg_up(state);
}

static int down(void **state)
{
    pki_teardown(state);
    return pg_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issuer_is_known_when_it_comes_and_then_what_it_issued),
        cmocka_unit_test(whose_names_and_which_rules),
        cmocka_unit_test(what_people_set_of_the_checks),
        cmocka_unit_test(keys_are_looked_at_with_those_that_have_them),
        cmocka_unit_test(an_endpoint_is_judged_by_what_it_shows_now),
        cmocka_unit_test(a_client_that_does_not_renew_is_told),
        cmocka_unit_test(all_chains_are_found_and_the_best_is_first),
        cmocka_unit_test(many_fakes_that_came_first_do_not_hide_the_true_issuer),
    };
    return cmocka_run_group_tests(tests, up, down);
}
