/* The inventory on both engines: what is taken is there once, is found by its terms, is counted, comes due, and goes. */
#include <fcntl.h>

#include "store/store_test.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "core/check.h"
#include "core/counter.h"
#include "core/findings.h"
#include "core/inventory.h"
#include "lib/made_cert.h"
#include "lib/many_certs.h"

/* A clock that the test moves. */
static volatile int64_t offset_s;
static const struct clock set_clock = {&offset_s};

struct world {
    struct core core;
    const char *team, *other;
};

static struct rc teams_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct world *w = arg;
    TRY(q_team_add(ctx, txn, w->team, NULL, w->team, 1));
    TRY(q_team_within_add(ctx, txn, w->team, w->team));
    TRY(q_team_add(ctx, txn, w->other, w->team, w->other, 1));
    TRY(q_team_within_add(ctx, txn, w->other, w->team));
    return q_team_within_add(ctx, txn, w->other, w->other);
}

static void world_open(struct ctx *ctx, struct store *store, struct world *w)
{
    offset_s = 0;
    ctx->clock = &set_clock;
    *w = (struct world){.core = {.store = store, .clock = &set_clock}};
    w->team = id_new(&ctx->arena, 1);
    w->other = id_new(&ctx->arena, 2);
    w->core.team_root = w->team;
    must(ctx, store_write(ctx, store, teams_make, w));
    must(ctx, inventory_open(ctx, &w->core));
}

static struct inventory_item *some(struct ctx *ctx, uint64_t seed, size_t n)
{
    struct inventory_item *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = arena_alloc(&ctx->arena, MANY_CERT_MAX);
        items[i].der = bytes_of(p, many_cert(seed, i, clock_unix_s(&clock_system), p));
    }
    return items;
}

/* Everything that follows from the rows is as the rows say. */
static void consistent(struct ctx *ctx, struct world *w)
{
    struct check_result r;
    must(ctx, check_run(ctx, &w->core, true, NULL, NULL, &r));
    for (size_t i = 0; i < r.shown_n; i++)
        print_error("%s\n", r.shown[i]);
    assert_int_equal(r.wrong, 0);
}

static void tick(struct ctx *ctx, struct world *w)
{
    bool more = true;
    while (more)
        must(ctx, inventory_tick(ctx, &w->core, &more));
}

struct asked {
    const char *term;
    int64_t id, n, found;
    const char *dimension, *key, *scope;
    struct bytes fingerprint;
    struct q_certificate_row_row row;
    struct q_certificate_der_get_row der;
    bool any;
    enum store_engine engine;
};

static struct rc term_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    struct q_certificate_term_has_row row;
    const char *quoted = a->engine == STORE_SQLITE ? arena_printf(&ctx->arena, "\"%s\"", a->term)
                                                   : arena_printf(&ctx->arena, "{\"%s\"}", a->term);
    TRY(q_certificate_term_has(ctx, txn, a->id, quoted, &row));
    a->n = row.n;
    return RC_OK;
}

static bool has_term(struct ctx *ctx, struct world *w, int64_t id, const char *term)
{
    struct asked a = {.term = term, .id = id, .engine = store_engine_of(w->core.store)};
    assert_non_null(term);
    must(ctx, store_read(ctx, w->core.store, term_read, &a));
    return a.n == 1;
}

static struct rc counter_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    TRY(q_counter_of(ctx, txn, a->dimension, a->scope, 1000, &rows, &n));
    a->n = 0;
    for (size_t i = 0; i < n; i++)
        if (str_equal(rows[i].key, a->key))
            a->n = rows[i].n;
    return RC_OK;
}

static int64_t counter(struct ctx *ctx, struct world *w, const char *scope, const char *dimension, const char *key)
{
    struct asked a = {.dimension = dimension, .key = key, .scope = scope};
    must(ctx, store_read(ctx, w->core.store, counter_read, &a));
    return a.n;
}

static struct rc row_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    bool found = false;
    TRY(inventory_find(ctx, txn, a->fingerprint, &a->id, &a->any));
    if (!a->any)
        return RC_OK;
    TRY(q_certificate_row(ctx, txn, a->id, &a->row, &found));
    return q_certificate_der_get(ctx, txn, a->id, &a->der, &found);
}

static struct asked find(struct ctx *ctx, struct world *w, struct bytes fingerprint)
{
    struct asked a = {.fingerprint = fingerprint};
    must(ctx, store_read(ctx, w->core.store, row_read, &a));
    return a;
}

/* A second time nothing is new. */
static struct rc same(struct ctx *ctx, void *arg, const struct inventory_batch *again, size_t first)
{
    const struct inventory_batch *batch = arg;
    (void)ctx;
    assert_int_equal(first, 0);
    assert_int_equal(again->n, batch->n);
    assert_int_equal(again->bad_n, batch->bad_n);
    for (size_t i = 0; i < again->n; i++) {
        assert_false(again->ready[i].fresh);
        assert_int_equal(again->ready[i].id, batch->ready[i].id);
    }
    return RC_OK;
}

static void taken(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    enum { N = 1200 };
    struct inventory_item *items = some(ctx, 5, N);
    const struct bytes bad[] = {BYTES_LIT("no certificate"), {0}, bytes_of(items[7].der.p, items[7].der.n - 1)};
    items[10].der = bad[0];
    items[11].der = bad[1];
    items[12].der = bad[2];
    items[20].der = items[19].der; /* twice in one batch */
    items[20].flags = CERTIFICATE_VERIFIED;
    const struct inventory_from from = {.source = INVENTORY_SCAN, .team_id = w.other};
    struct inventory_batch batch;
    must(ctx, inventory_take(ctx, &w.core, &from, items, N, &batch));
    assert_int_equal(batch.n, N - 4);
    assert_int_equal(batch.bad_n, 3);
    assert_int_equal(batch.bad[0].item, 10);
    for (size_t i = 0; i < batch.n; i++)
        assert_true(batch.ready[i].fresh);
    must(ctx, inventory_bulk(ctx, &w.core, &from, items, N, same, &batch));
    /* Each comes back as it was, from far fewer bytes. */
    size_t packed = 0, plain = 0;
    for (size_t i = 0; i < batch.n; i += 37) {
        const struct asked a = find(ctx, &w, batch.ready[i].fingerprint);
        const struct bytes was = items[batch.ready[i].item].der;
        struct bytes der;
        assert_true(a.any);
        must(ctx, certificate_der(ctx, &w.core, a.der.dictionary, a.der.packed, &der));
        assert_true(bytes_equal(der, was));
        packed += a.der.packed.n;
        plain += was.n;
        assert_int_equal(a.row.source, INVENTORY_SCAN);
        assert_int_equal(!!(a.row.flags & CERTIFICATE_VERIFIED), items[batch.ready[i].item].der.p == items[19].der.p);
    }
    assert_true(packed < plain * 4 / 5);
    tick(ctx, &w);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_TOTAL, ""), N - 4);
    assert_int_equal(counter(ctx, &w, w.other, COUNTER_TOTAL, ""), N - 4);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_SOURCE, "scan"), N - 4);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_KEY, "ec-p256") + counter(ctx, &w, w.team, COUNTER_KEY, "rsa-2048"), N - 4);
    consistent(ctx, &w);
    /* What was packed with a dictionary is read by a hub that starts anew. */
    inventory_close(&w.core);
    must(ctx, inventory_open(ctx, &w.core));
    consistent(ctx, &w);
    inventory_close(&w.core);
}

static void what_is_taken_is_there_once_and_comes_back_as_it_was(void **state)
{
    (void)state;
    on_both(taken);
}

static void terms(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    struct inventory_item *items = some(ctx, 6, 3);
    const struct inventory_from from = {.source = INVENTORY_IMPORT};
    struct inventory_batch batch;
    must(ctx, inventory_take(ctx, &w.core, &from, items, 3, &batch));
    for (size_t i = 0; i < 3; i++) {
        const struct inventory_ready *r = &batch.ready[i];
        char name[64];
        many_cert_name(6, r->item, name);
        const struct bytes whole = bytes_z(name);
        const char *parent = strchr(name, '.') + 1;
        assert_true(has_term(ctx, &w, r->id, inventory_term_exact(ctx, whole)));
        assert_true(has_term(ctx, &w, r->id, inventory_term_exact(ctx, bytes_z(arena_printf(&ctx->arena, "WWW.%s.", name)))));
        assert_true(has_term(ctx, &w, r->id, inventory_term_under(ctx, whole))); /* www. lies under it */
        assert_true(has_term(ctx, &w, r->id, inventory_term_under(ctx, bytes_z(parent))));
        assert_false(has_term(ctx, &w, r->id, inventory_term_exact(ctx, bytes_z(parent))));
        assert_true(has_term(ctx, &w, r->id, inventory_term_word(ctx, bytes_z("WWW"))));
        assert_true(has_term(ctx, &w, r->id, inventory_term_word(ctx, bytes_of(name, (size_t)(strchr(name, '-') - name)))));
        assert_false(has_term(ctx, &w, r->id, inventory_term_word(ctx, BYTES_LIT("nobody"))));
        assert_true(has_term(ctx, &w, r->id, inventory_term_hash(ctx, "i:", r->issuer->name.der)));
        assert_true(has_term(ctx, &w, r->id, arena_printf(&ctx->arena, "kt:%s", inventory_key_word(ctx, r->key_kind, r->key_bits))));
    }
    assert_null(inventory_term_under(ctx, BYTES_LIT("org")));
    assert_null(inventory_term_under(ctx, (struct bytes){0}));
    assert_string_equal(inventory_term_under(ctx, BYTES_LIT("*.example.org")), "org.example");
    assert_string_equal(inventory_term_exact(ctx, BYTES_LIT("*.Example.org")), "=org.example.*");
    assert_string_equal(inventory_term_word(ctx, BYTES_LIT("a b\0c\"")), "a_b_c_");
    inventory_close(&w.core);
}

/* Each of a hundred names finds it; of ten thousand the first. */
static void many_names(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    const struct inventory_from from = {.source = INVENTORY_IMPORT};
    struct inventory_batch batch;
    const char *names[1000];
    for (size_t i = 0; i < 1000; i++)
        names[i] = arena_printf(&ctx->arena, "n%zu.shop%zu.example.org", i, i);
    struct made_cert made = {
        .serial = 1, .issuer_cn = "Issuing", .names = names, .names_n = 100, .not_before = 1, .not_after = 4000000000};
    struct inventory_item items[2] = {{.der = made_cert(ctx, &made)}};
    made.serial = 2;
    made.names_n = 1000;
    items[1].der = made_cert(ctx, &made);
    must(ctx, inventory_take(ctx, &w.core, &from, items, 2, &batch));
    assert_int_equal(batch.n, 2);
    for (size_t i = 0; i < 100; i++) {
        assert_true(has_term(ctx, &w, batch.ready[0].id, inventory_term_exact(ctx, bytes_z(names[i]))));
        assert_true(has_term(ctx, &w, batch.ready[0].id, inventory_term_under(ctx, bytes_z(strchr(names[i], '.') + 1))));
        assert_true(has_term(ctx, &w, batch.ready[1].id, inventory_term_exact(ctx, bytes_z(names[i]))));
    }
    assert_false(has_term(ctx, &w, batch.ready[1].id, inventory_term_exact(ctx, bytes_z(names[999]))));
    inventory_close(&w.core);
}

static void a_certificate_is_found_by_each_of_a_hundred_names(void **state)
{
    (void)state;
    on_both(many_names);
}

static void a_certificate_is_found_by_its_names_words_key_and_issuer(void **state)
{
    (void)state;
    on_both(terms);
}

static void by_the_clock(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    enum { N = 300 };
    struct inventory_item *items = some(ctx, 8, N);
    const struct inventory_from from = {.source = INVENTORY_LOG};
    struct inventory_batch batch;
    items[0].flags = CERTIFICATE_MANAGED | CERTIFICATE_OURS;
    items[1].flags = CERTIFICATE_SUPERSEDED | CERTIFICATE_OURS; /* that it ends is no finding */
    must(ctx, inventory_take(ctx, &w.core, &from, items, N, &batch));
    tick(ctx, &w);
    const int64_t expired = counter(ctx, &w, w.team, COUNTER_FINDING, "expired");
    assert_true(expired > 0 && expired < N / 4);
    consistent(ctx, &w);
    offset_s += 100 * 86400; /* all of 90 days have ended */
    tick(ctx, &w);
    assert_true(counter(ctx, &w, w.team, COUNTER_FINDING, "expired") > N / 2);
    consistent(ctx, &w);
    offset_s += 500 * 86400; /* all have ended; most so long ago that they go */
    tick(ctx, &w);
    const int64_t left = counter(ctx, &w, w.team, COUNTER_TOTAL, "");
    assert_true(left > 0 && left < N);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_FINDING, "expired"), left - 1);
    consistent(ctx, &w);
    offset_s += 500 * 86400;
    tick(ctx, &w);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_TOTAL, ""), 2); /* what is or was ours */
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_MANAGED, ""), 1);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_SUPERSEDED, ""), 1);
    consistent(ctx, &w);
    inventory_close(&w.core);
}

static void the_clock_changes_findings_and_what_is_old_goes(void **state)
{
    (void)state;
    on_both(by_the_clock);
}

static void odd_names(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    struct inventory_item *items = some(ctx, 21, 3);
    const struct inventory_from from = {.source = INVENTORY_SCAN};
    struct inventory_batch batch;
    /* Every "www" becomes bytes that are no UTF-8, a NUL, a quote and a space. */
    const char *const odd[] = {"\xff\xc3w", "w\0\"", "' w"};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *p = (uint8_t *)(uintptr_t)items[i].der.p;
        for (size_t k = 0; k + 4 < items[i].der.n; k++)
            if (!memcmp(p + k, "www.", 4))
                memcpy(p + k, odd[i], 3);
    }
    must(ctx, inventory_take(ctx, &w.core, &from, items, 3, &batch));
    assert_int_equal(batch.n, 3);
    tick(ctx, &w);
    consistent(ctx, &w);
    inventory_close(&w.core);
}

static void bytes_that_are_no_text_do_not_keep_a_certificate_out(void **state)
{
    (void)state;
    on_both(odd_names);
}

struct changing {
    struct world *w;
    int64_t id, unknown, endpoint;
    struct bytes chain[3];
    size_t n;
    const char *result;
    struct q_endpoint_after_row *rows;
    size_t rows_n;
};

static struct rc change(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct changing *c = arg;
    TRY(inventory_assign(ctx, &c->w->core, txn, c->id, c->w->other));
    TRY(inventory_assign(ctx, &c->w->core, txn, c->id, c->w->other));
    TRY(inventory_flag(ctx, &c->w->core, txn, c->id, CERTIFICATE_MANAGED | CERTIFICATE_CA, 0));
    TRY(inventory_finding(ctx, &c->w->core, txn, c->id, 0, 24, true, "seen"));
    TRY(inventory_finding(ctx, &c->w->core, txn, c->id, c->endpoint, 24, true, "seen there"));
    return inventory_finding(ctx, &c->w->core, txn, c->id, 0, 24, false, "");
}

static struct rc change_back(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct changing *c = arg;
    TRY(inventory_flag(ctx, &c->w->core, txn, c->id, 0, CERTIFICATE_MANAGED));
    return inventory_finding(ctx, &c->w->core, txn, c->id, c->endpoint, 24, false, "");
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct changing *c = arg;
    const struct inventory_sighting s = {.kind = INVENTORY_TLS,
                                         .place = "[2001:db8::1]:8443",
                                         .name = "www.example.org",
                                         .result = c->result,
                                         .options = "{\"version\":\"1.2\"}",
                                         .chain = c->chain,
                                         .n = c->n};
    c->unknown = 0;
    TRY(inventory_observe(ctx, &c->w->core, txn, NULL, &s, &c->endpoint, &c->unknown));
    return q_endpoint_after(ctx, txn, 0, 10, &c->rows, &c->rows_n);
}

static struct rc sweep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct changing *c = arg;
    bool more = false;
    TRY(inventory_expire(ctx, &c->w->core, txn, &more));
    assert_false(more);
    return q_endpoint_after(ctx, txn, 0, 10, &c->rows, &c->rows_n);
}

static void changed(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    struct inventory_item *items = some(ctx, 9, 3);
    const struct inventory_from from = {.source = INVENTORY_HOST};
    struct inventory_batch batch;
    must(ctx, inventory_take(ctx, &w.core, &from, items, 3, &batch));
    struct changing c = {.w = &w, .id = batch.ready[0].id, .result = "ok"};
    must(ctx, store_write(ctx, store, look, &c));
    const int64_t first = c.endpoint;
    must(ctx, store_write(ctx, store, change, &c));
    tick(ctx, &w);
    assert_int_equal(counter(ctx, &w, w.other, COUNTER_TOTAL, ""), 1);
    assert_int_equal(counter(ctx, &w, w.team, COUNTER_TOTAL, ""), 3);
    assert_int_equal(counter(ctx, &w, w.other, COUNTER_MANAGED, ""), 1);
    assert_false(find(ctx, &w, batch.ready[0].fingerprint).row.flags & CERTIFICATE_CA); /* that is for the certificate to say */
    assert_true(find(ctx, &w, batch.ready[0].fingerprint).row.findings & CHECK_BIT(24));
    consistent(ctx, &w);
    must(ctx, store_write(ctx, store, change_back, &c));
    tick(ctx, &w);
    assert_false(find(ctx, &w, batch.ready[0].fingerprint).row.findings & CHECK_BIT(24));
    assert_int_equal(counter(ctx, &w, w.other, COUNTER_MANAGED, ""), 0);
    consistent(ctx, &w);

    uint8_t nobody[32] = {1};
    c.chain[0] = batch.ready[1].fingerprint;
    c.chain[1] = bytes_of(nobody, 32);
    c.chain[2] = batch.ready[2].fingerprint;
    c.n = 3;
    must(ctx, store_write(ctx, store, look, &c));
    assert_int_equal(c.unknown, 1);
    assert_int_equal(c.rows_n, 1);
    assert_int_equal(c.endpoint, first);
    c.n = 0;
    c.result = "silent";
    must(ctx, store_write(ctx, store, look, &c));
    assert_int_equal(c.endpoint, first);
    consistent(ctx, &w);
    must(ctx, store_write(ctx, store, sweep, &c));
    assert_int_equal(c.rows_n, 1);
    offset_s += INVENTORY_KEPT_S + 1;
    must(ctx, store_write(ctx, store, sweep, &c));
    assert_int_equal(c.rows_n, 0);
    consistent(ctx, &w);
    inventory_close(&w.core);
}

static void owners_findings_and_places_change_and_the_numbers_follow(void **state)
{
    (void)state;
    on_both(changed);
}

struct turning {
    struct world *w;
    struct bytes leaf;
    int64_t endpoint;
    struct q_observation_at_row *rows;
    size_t n;
};

static struct rc turn(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct turning *t = arg;
    const struct inventory_sighting s = {
        .kind = INVENTORY_TLS, .place = "192.0.2.77:443", .name = "", .result = "ok", .chain = &t->leaf, .n = 1};
    TRY(inventory_observe(ctx, &t->w->core, txn, NULL, &s, &t->endpoint, NULL));
    return q_observation_at(ctx, txn, t->endpoint, t->w->team, 100, &t->rows, &t->n);
}

/* Each look an hour after the one before. */
static void shown(struct ctx *ctx, struct turning *t, struct bytes leaf)
{
    offset_s += 3600;
    t->leaf = leaf;
    const int64_t before = ctx_now_s(ctx);
    must(ctx, store_write(ctx, t->w->core.store, turn, t));
    assert_true(bytes_equal(t->rows[0].fingerprint, leaf));
    assert_in_range(t->rows[0].last_seen, before, ctx_now_s(ctx));
}

static void to_and_fro(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct inventory_batch batch;
    const struct inventory_from from = {.source = INVENTORY_SCAN};
    world_open(ctx, store, &w);
    must(ctx, inventory_take(ctx, &w.core, &from, some(ctx, 31, 2), 2, &batch));
    const struct bytes a = batch.ready[0].fingerprint, b = batch.ready[1].fingerprint;
    struct turning t = {.w = &w};
    for (int i = 0; i < 3; i++)
        shown(ctx, &t, a);
    assert_int_equal(t.n, 1);
    const int64_t first = t.rows[0].first_seen;
    shown(ctx, &t, b);
    shown(ctx, &t, a);
    shown(ctx, &t, a);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.rows[0].first_seen, first + 4 * 3600); /* a again … */
    assert_int_equal(t.rows[0].last_seen, first + 5 * 3600);
    assert_int_equal(t.rows[0].times, 0);
    assert_int_equal(t.rows[1].first_seen, first + 3 * 3600);
    assert_int_equal(t.rows[2].first_seen, first); /* … and as it was before */
    assert_int_equal(t.rows[2].last_seen, first + 2 * 3600);
    assert_int_equal(t.rows[2].times, 1);
    assert_true(bytes_equal(t.rows[2].fingerprint, a));
    for (int i = 0; i < 50; i++)
        shown(ctx, &t, i % 2 ? a : b);
    assert_int_equal(t.n, 2 * (1 + INVENTORY_TIMES_MAX));
    int64_t times = 0;
    for (size_t i = 0; i < t.n; i++)
        times += t.rows[i].times;
    assert_int_equal(times, 51); /* each look brought one back, and one did before */
    consistent(ctx, &w);
    inventory_close(&w.core);
}

static void what_comes_back_has_a_time_of_its_own(void **state)
{
    (void)state;
    on_both(to_and_fro);
}

struct kept {
    struct world *w;
    size_t certificates, names, trusts;
};

static struct rc expire(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct kept *k = arg;
    bool more = true;
    while (more) {
        more = false;
        TRY(inventory_expire(ctx, &k->w->core, txn, &more));
    }
    struct q_issuer_name_first_row *names = NULL;
    struct q_certificate_after_row *certificates = NULL;
    struct q_issuer_trust_get_row trust;
    bool found = false;
    TRY(q_issuer_name_first(ctx, txn, 1000, &names, &k->names));
    TRY(q_certificate_after(ctx, txn, 0, 1000, &certificates, &k->certificates));
    TRY(q_issuer_trust_get(ctx, txn, BYTES_LIT("some name"), (struct bytes){0}, &trust, &found));
    k->trusts = found;
    return RC_OK;
}

static struct rc trust_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    const struct q_issuer_trust_put_in in = {.name_sha256 = BYTES_LIT("some name"), .certificate_id = 4711, .root = ""};
    return q_issuer_trust_put(ctx, txn, &in);
}

/* A name that issued nothing any more goes after a year, and how far it was believed. */
static void names(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct inventory_batch batch;
    const struct inventory_from from = {.source = INVENTORY_SCAN};
    world_open(ctx, store, &w);
    must(ctx, inventory_take(ctx, &w.core, &from, some(ctx, 9, 300), 300, &batch));
    must(ctx, store_write(ctx, store, trust_put, NULL));
    tick(ctx, &w);
    struct kept k = {.w = &w};
    must(ctx, store_write(ctx, store, expire, &k));
    const size_t all = k.names;
    assert_true(all > 0);
    const size_t others = k.certificates - 300; /* of the tests before; managed ones stay */
    assert_true(k.certificates >= 300 && others < all);
    offset_s += (int64_t)5000 * 86400;
    tick(ctx, &w);
    must(ctx, store_write(ctx, store, expire, &k));
    assert_true(k.certificates <= others);
    const size_t since = k.names; /* the last one of each went today */
    assert_true(since > others && since <= all);
    assert_int_equal(k.trusts, 0);
    offset_s += (int64_t)364 * 86400;
    must(ctx, store_write(ctx, store, expire, &k));
    assert_int_equal(k.names, since);
    offset_s += (int64_t)2 * 86400;
    must(ctx, store_write(ctx, store, expire, &k));
    assert_true(k.names <= k.certificates);
    consistent(ctx, &w);
    must(ctx, inventory_take(ctx, &w.core, &from, some(ctx, 9, 300), 300, &batch));
    tick(ctx, &w);
    consistent(ctx, &w);
    inventory_close(&w.core);
}

static void names_of_issuers_go_a_year_after_what_they_issued(void **state)
{
    (void)state;
    on_both(names);
}

static struct rc spoil(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct changing *c = arg;
    switch (c->n) {
    case 0:
        return q_certificate_findings_set(ctx, txn, c->id, CHECK_BIT(1), 0);
    case 1:
        return q_certificate_der_drop(ctx, txn, c->id);
    case 2:
        return q_counter_delta_add(ctx, txn, &(struct q_counter_delta_add_in){.day = 1, .team = 1, .dimension = "key", .key = "x", .change = 1},
                                     1);
    case 3:
        return q_observation_put(ctx, txn, 4711, c->id, 0, 1);
    case 4: /* what a day says, and not the number */
        return q_counter_carry(ctx, txn, 1000000);
    default:
        return q_certificate_team_set(ctx, txn, c->id, 99);
    }
}

static void spoilt(struct ctx *ctx, struct store *store)
{
    struct world w;
    world_open(ctx, store, &w);
    struct inventory_item *items = some(ctx, 12, 8);
    const struct inventory_from from = {.source = INVENTORY_HOST};
    struct inventory_batch batch;
    must(ctx, inventory_take(ctx, &w.core, &from, items, 8, &batch));
    tick(ctx, &w);
    consistent(ctx, &w);
    int64_t before = 0;
    for (size_t k = 0; k < 6; k++) {
        struct check_result r;
        struct changing c = {.w = &w, .id = batch.ready[k].id, .n = k};
        must(ctx, store_write(ctx, store, spoil, &c));
        must(ctx, check_run(ctx, &w.core, true, NULL, NULL, &r));
        assert_true(r.wrong > before);
        before = r.wrong;
    }
    inventory_close(&w.core);
}

static void check_sees_what_does_not_fit(void **state)
{
    (void)state;
    on_both(spoilt);
}

static void numbers_in_the_database_keep_their_meaning(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    assert_int_equal(CERT_KEY_RSA, 1);
    assert_int_equal(CERT_KEY_EC, 2);
    assert_int_equal(CERT_KEY_ED25519, 3);
    assert_int_equal(CERT_KEY_ML_DSA_44, 15);
    assert_int_equal(CERT_CURVE_P256, 3);
    assert_int_equal(CERT_CURVE_P521, 5);
    assert_int_equal(CERT_SIGNATURE_RSA_SHA256, 1);
    assert_int_equal(CERT_SIGNATURE_ECDSA_SHA384, 3);
    assert_string_equal(inventory_key_word(&ctx, KEY_KIND(CERT_KEY_EC, CERT_CURVE_BRAINPOOL_P256R1), 256), "ec-brainpoolp256r1");
    assert_string_equal(inventory_key_word(&ctx, KEY_KIND(CERT_KEY_RSA, 0), 3072), "rsa-3072");
    assert_string_equal(inventory_key_word(&ctx, KEY_KIND(CERT_KEY_ED25519, 0), 256), "ed25519");
    assert_string_equal(inventory_key_word(&ctx, 0xffffff, 0), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_there_once_and_comes_back_as_it_was),
        cmocka_unit_test(a_certificate_is_found_by_its_names_words_key_and_issuer),
        cmocka_unit_test(a_certificate_is_found_by_each_of_a_hundred_names),
        cmocka_unit_test(bytes_that_are_no_text_do_not_keep_a_certificate_out),
        cmocka_unit_test(the_clock_changes_findings_and_what_is_old_goes),
        cmocka_unit_test(owners_findings_and_places_change_and_the_numbers_follow),
        cmocka_unit_test(what_comes_back_has_a_time_of_its_own),
        cmocka_unit_test(names_of_issuers_go_a_year_after_what_they_issued),
        cmocka_unit_test(check_sees_what_does_not_fit),
        cmocka_unit_test(numbers_in_the_database_keep_their_meaning),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
