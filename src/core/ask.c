#include "core/ask.h"

#include "base/encode.h"
#include "core/access.h"
#include "core/ask_plan.h"
#include "core/counter.h"
#include "core/finding_policy.h"
#include "store/queries.h"

#define TRY_LOOKS    250 /* how far each way is gone to find the best */
#define CHUNK_MAX    4000
#define FEW_LOOKS    4000 /* certificates that are put in order here, where their rows say all */
#define ROWS_AT_ONCE 64
#define PAGE_BYTES   ((size_t)8 << 20) /* of DER: a page of large certificates is short */

/* One question under way. */
struct asking {
    struct ctx *ctx;
    struct core *core;
    struct txn *txn;
    struct plan plan;
    enum ask_order order; /* once it is chosen */
    size_t want;
    int64_t looks, reads; /* left */
    int64_t looked;
    bool after;
    int64_t after_id, after_key;
    bool tally; /* facets are made of what is found */
};

/* What a way has led to. */
struct found {
    struct select_hit *hits;
    size_t n, cap;
    int64_t looked;
    int64_t last_id, last_key; /* to go on after */
    bool any_last, end;
};

static void found_add(struct ctx *ctx, struct found *f, const struct select_hit *hit)
{
    if (f->n == f->cap) {
        const size_t cap = f->cap ? 2 * f->cap : 64;
        struct select_hit *v = arena_array(&ctx->arena, cap, sizeof *v);
        if (f->n)
            memcpy(v, f->hits, f->n * sizeof *v);
        f->hits = v;
        f->cap = cap;
    }
    f->hits[f->n++] = *hit;
}

static struct rc row_read(struct ctx *ctx, struct core *core, const struct select_row *row, struct ask_row *out)
{
    *out = (struct ask_row){.row = row};
    TRY(certificate_der(ctx, core, row->dictionary, row->der, &out->der));
    if (rc_failed(cert_read(ctx, out->der, &out->cert))) {
        ctx_forget(ctx);
        out->cert = (struct cert_fields){.der = out->der};
    }
    return RC_OK;
}

/* rows_of reads the rows of some hits, with their DER, into the memory of `ctx`; those that are gone are left out. */
static struct rc rows_of(struct asking *a, struct ctx *ctx, const struct select_hit *hits, size_t n, struct ask_row *rows,
                         size_t *got)
{
    int64_t ids[ROWS_AT_ONCE];
    struct select_row *read = NULL;
    for (size_t i = 0; i < n; i++)
        ids[i] = hits[i].id;
    TRY(select_rows(ctx, a->txn, ids, n, true, &read, got));
    for (size_t i = 0; i < *got; i++)
        TRY(row_read(ctx, a->core, &read[i], &rows[i]));
    return RC_OK;
}

static struct rc sift_some(struct asking *a, struct ctx *ctx, const struct plan_part *rest, const struct select_hit *hits, size_t n,
                           struct cert_hasher *hasher, struct found *out)
{
    struct ask_row rows[ROWS_AT_ONCE];
    size_t got = 0, at = 0;
    TRY(rows_of(a, ctx, hits, n, rows, &got));
    for (size_t i = 0; i < n && at < got; i++) {
        struct cert_digests digests;
        if (rows[at].row->id != hits[i].id) /* gone meanwhile */
            continue;
        const struct cert_fields *cert = &rows[at++].cert;
        if (hasher && cert->tbs.n)
            TRY(cert_digest(ctx, hasher, cert, &digests));
        if (plan_sees(ctx, rest, hits[i].bits, cert, hasher && cert->tbs.n ? &digests : NULL))
            found_add(a->ctx, out, &hits[i]);
    }
    return RC_OK;
}

/* sift lets those of `hits` through that the certificates themselves say pass.  What it reads is given back at once: somebody else
 * made these certificates, and may have made them large. */
static struct rc sift(struct asking *a, const struct plan_part *rest, const struct select_hit *hits, size_t n,
                      struct cert_hasher **hasher, struct found *out)
{
    if (a->plan.hashes && !*hasher)
        TRY(cert_hasher_new(a->ctx, hasher));
    CTX_CLEANUP struct ctx own;
    ctx_init(&own, a->ctx->clock);
    own.principal = a->ctx->principal;
    for (size_t i = 0; i < n; i += ROWS_AT_ONCE) {
        struct rc rc = sift_some(a, &own, rest, hits + i, n - i < ROWS_AT_ONCE ? n - i : ROWS_AT_ONCE, *hasher, out);
        if (rc_failed(rc))
            return ctx_fail(a->ctx, rc.e, "%s", ctx_why(&own));
        ctx_reset(&own);
        own.principal = a->ctx->principal;
    }
    return RC_OK;
}

static struct rc go_on(struct asking *a, const struct select_ask *q, const struct plan_part *rest, struct cert_hasher **hasher,
                       struct found *out)
{
    struct select_answer answer;
    TRY(select_run(a->ctx, a->txn, q, &answer));
    out->looked += answer.seen;
    a->looks -= answer.seen;
    a->looked += answer.seen;
    out->end = answer.end;
    out->any_last = true;
    out->last_id = answer.last_id;
    out->last_key = answer.last_key;
    if (rest) {
        a->reads -= (int64_t)answer.n;
        return sift(a, rest, answer.hits, answer.n, hasher, out);
    }
    for (size_t i = 0; i < answer.n; i++)
        found_add(a->ctx, out, &answer.hits[i]);
    return RC_OK;
}

/* way_ask is a question along a way, from its beginning. */
static struct select_ask way_ask(const struct asking *a, const struct plan_way *way)
{
    return (struct select_ask){
        .by = way->by,
        .terms = way->terms,
        .text = way->text,
        .check = way->check,
        .from = a->plan.from,
        .to = a->plan.to,
        .ids = way->by == SELECT_BY_SET ? way->numbers : NULL,
        .teams = way->by == SELECT_BY_WITHIN ? way->numbers : NULL,
        .issuers = way->by == SELECT_BY_ISSUERS ? way->numbers : NULL,
        .n = way->n,
        .scope = a->plan.scope,
    };
}

/* rest_of: what the certificates themselves are asked on a way. */
static const struct plan_part *rest_of(const struct asking *a, const struct plan_way *way)
{
    return way->by == SELECT_BY_TERMS ? a->plan.rest_after_terms : a->plan.rest;
}

/* way_go goes on along a way until `want` are found, it ends, or `looks` more certificates were looked at. */
static struct rc way_go(struct asking *a, const struct plan_way *way, size_t want, int64_t looks, struct found *out)
{
    CERT_HASHER_CLEANUP struct cert_hasher *hasher = NULL;
    const bool by_key = way->by == SELECT_BY_NOT_AFTER || way->by == SELECT_BY_LAST;
    const struct plan_part *rest = rest_of(a, way);
    struct select_ask q = way_ask(a, way);
    q.where = way->by == SELECT_BY_ISSUERS ? a->plan.where_issued : a->plan.where;
    q.bits = a->plan.bits;
    q.bits_n = a->plan.bits_n;
    q.tally = a->tally;
    q.after = a->after || out->any_last;
    q.after_id = out->any_last ? out->last_id : a->after_id;
    q.after_key = out->any_last ? out->last_key : a->after_key;
    if (by_key && a->after && !out->any_last && a->order == ASK_ANY)
        q.after = false;
    int64_t more = 1; /* where few of those that were read pass, more are read at once */
    int64_t chunk = (int64_t)want * 4 < 256 ? 256 : (int64_t)want * 4;
    while (out->n < want && !out->end && looks > 0 && a->looks > 0 && (!rest || a->reads > 0)) {
        const int64_t before = out->looked;
        q.limit = chunk < looks ? chunk : looks;
        q.most = (int64_t)(want - out->n) * (rest ? more : 1);
        if (q.most > SELECT_SET_MAX) /* as many as can be read at once */
            q.most = SELECT_SET_MAX;
        more = more < 64 ? more * 2 : more;
        TRY(go_on(a, &q, rest, &hasher, out));
        q.after = true;
        q.after_id = out->last_id;
        q.after_key = out->last_key;
        looks -= out->looked - before;
        chunk = chunk * 2 < CHUNK_MAX ? chunk * 2 : CHUNK_MAX;
    }
    if (out->n > want) { /* those behind are found again */
        out->n = want;
        out->end = false;
        out->last_id = out->hits[want - 1].id;
        out->last_key = out->hits[want - 1].key;
    }
    return RC_OK;
}

/* --- choosing */

static bool is_done(const struct asking *a, const struct found *f)
{
    return f->end || f->n >= a->want;
}

/* The way with the most found of what was looked at. */
static size_t best_of(const struct found *tried, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if ((double)tried[i].n * (double)tried[best].looked > (double)tried[best].n * (double)tried[i].looked)
            best = i;
    return best;
}

/* choose tries ways and goes on with the best.  `ways` are all of one order, or the first page's. */
static struct rc choose(struct asking *a, const struct plan_way *ways, size_t n, struct found *out, size_t *chosen)
{
    struct found *tried = arena_array(&a->ctx->arena, n, sizeof *tried);
    *chosen = 0;
    for (size_t i = 0; i < n && n > 1; i++) {
        TRY(way_go(a, &ways[i], a->want, ways[i].looks ? ways[i].looks : TRY_LOOKS, &tried[i]));
        if (is_done(a, &tried[i])) {
            *chosen = i;
            *out = tried[i];
            return RC_OK;
        }
    }
    a->looks = ASK_LOOKS;
    a->reads = ASK_READ_LOOKS;
    *chosen = best_of(tried, n);
    *out = tried[*chosen];
    return way_go(a, &ways[*chosen], a->want, ASK_LOOKS, out);
}

static int soonest_first(const void *x, const void *y)
{
    const struct select_hit *a = x, *b = y;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* way_ends: no more than `most` certificates lie on it.  Their rows are not looked at. */
static struct rc way_ends(struct asking *a, const struct plan_way *way, int64_t most, bool *ends)
{
    struct select_ask q = way_ask(a, way);
    struct select_answer answer;
    q.limit = q.most = most + 1;
    TRY(select_run(a->ctx, a->txn, &q, &answer));
    *ends = answer.end;
    return RC_OK;
}

/* few finds all there are where they are so few that they can be put in order here; false where they are not. */
static struct rc few(struct asking *a, struct found *out, bool *all)
{
    const struct asking as = *a;
    *all = false;
    a->after = false; /* in their own order they begin with the first */
    a->tally = true;
    for (size_t i = 0; i < a->plan.ways_n && !*all; i++) {
        const struct plan_way *way = &a->plan.ways[i];
        const int64_t most = way->by == SELECT_BY_TERMS && !rest_of(a, way) ? FEW_LOOKS : SELECT_SET_MAX;
        bool ends = false;
        if (way->by != SELECT_BY_ID)
            TRY(way_ends(a, way, most, &ends));
        if (!ends)
            continue;
        *out = (struct found){0};
        TRY(way_go(a, way, (size_t)most + 1, most + 1, out));
        *all = out->end;
    }
    a->after = as.after;
    a->tally = as.tally;
    if (!*all) {
        a->looks = as.looks;
        a->reads = as.reads;
        return RC_OK;
    }
    const size_t got = out->n;
    size_t kept = 0;
    for (size_t i = 0; i < got; i++)
        out->hits[i].key = out->hits[i].tally->not_after;
    if (got)
        qsort(out->hits, got, sizeof *out->hits, soonest_first);
    for (size_t i = 0; i < got / 2 && a->order == ASK_LATEST; i++) {
        const struct select_hit swap = out->hits[i];
        out->hits[i] = out->hits[got - 1 - i];
        out->hits[got - 1 - i] = swap;
    }
    const struct select_hit after = {.id = a->after_id, .key = a->after_key};
    for (size_t i = 0; i < got; i++) {
        const int order = soonest_first(&out->hits[i], &after);
        if (!a->after || (a->order == ASK_LATEST ? order < 0 : order > 0))
            out->hits[kept++] = out->hits[i];
    }
    out->n = kept < a->want ? kept : a->want;
    out->end = kept <= a->want;
    out->any_last = out->n > 0;
    if (out->n) {
        out->last_id = out->hits[out->n - 1].id;
        out->last_key = out->hits[out->n - 1].key;
    }
    return RC_OK;
}

static struct rc search(struct asking *a, struct found *out)
{
    struct plan_way ways[PLAN_WAYS_MAX + 1];
    size_t n = 0, chosen = 0;
    const struct plan_way by_end = {.by = a->order == ASK_LATEST ? SELECT_BY_LAST : SELECT_BY_NOT_AFTER};
    if (a->plan.ways_n && a->plan.ways[0].by == SELECT_BY_SET && a->order <= ASK_NEWEST) {
        a->order = ASK_NEWEST;
        return way_go(a, &a->plan.ways[0], a->want, ASK_LOOKS, out);
    }
    if (a->order >= ASK_SOONEST) {
        bool all = false;
        TRY(few(a, out, &all));
        *out = all ? *out : (struct found){0};
        return all ? RC_OK : way_go(a, &by_end, a->want, ASK_LOOKS, out);
    }
    for (size_t i = 0; i < a->plan.ways_n; i++) {
        const bool everything = a->plan.ways[i].by == SELECT_BY_ID, last = i + 1 == a->plan.ways_n;
        if (last && a->plan.bounded && a->order == ASK_ANY)
            ways[n++] = by_end;
        if (!everything || !n || a->plan.rest || a->plan.where)
            ways[n++] = a->plan.ways[i];
    }
    TRY(choose(a, ways, n, out, &chosen));
    a->order = ways[chosen].by == SELECT_BY_NOT_AFTER ? ASK_SOONEST : ASK_NEWEST;
    return RC_OK;
}

/* --- pages */

/* "n123" or "e123.1800000000": the order, and the last one. */
static struct rc after_read(struct asking *a, const char *text)
{
    int64_t id = 0, key = 0;
    if (!text || !*text)
        return RC_OK;
    struct bytes rest = bytes_z(text + 1), number;
    const enum ask_order order = *text == 'n' ? ASK_NEWEST : *text == 'e' ? ASK_SOONEST : *text == 'l' ? ASK_LATEST : ASK_ANY;
    const bool good =
        order != ASK_ANY && bytes_take_until(&rest, '.', &number) && str_to_i64(number, &id) && str_to_i64(rest, &key);
    if (!good || (a->order != ASK_ANY && a->order != order))
        return ctx_fail_field(a->ctx, "/cursor", "the cursor is not one given here; start again without it");
    a->order = order;
    a->after = true;
    a->after_id = id;
    a->after_key = key;
    return RC_OK;
}

static const char *after_text(struct asking *a, const struct found *f)
{
    static const char letters[] = {[ASK_NEWEST] = 'n', [ASK_SOONEST] = 'e', [ASK_LATEST] = 'l'};
    return arena_printf(&a->ctx->arena, "%c%lld.%lld", letters[a->order], (long long)f->last_id, (long long)f->last_key);
}

static struct rc asking_begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *where, struct asking *a)
{
    struct filter *filter = NULL;
    *a = (struct asking){.ctx = ctx, .core = core, .txn = txn, .looks = ASK_LOOKS, .reads = ASK_READ_LOOKS};
    TRY(filter_parse(ctx, where, &filter));
    return plan_make(ctx, core, txn, filter, &a->plan);
}

/* page_rows reads what was found, as far as there is room for it. */
static struct rc page_rows(struct asking *a, struct found *f, struct ask_page *out)
{
    size_t bytes = 0;
    out->rows = arena_array(&a->ctx->arena, f->n, sizeof *out->rows);
    for (size_t i = 0; i < f->n; i += ROWS_AT_ONCE) {
        size_t got = 0;
        const size_t n = f->n - i < ROWS_AT_ONCE ? f->n - i : ROWS_AT_ONCE;
        TRY(rows_of(a, a->ctx, f->hits + i, n, out->rows + out->n, &got));
        for (size_t k = 0; k < got; k++)
            bytes += out->rows[out->n++].der.n;
        if (bytes > PAGE_BYTES && i + n < f->n) { /* those behind come with the next page */
            f->last_id = f->hits[i + n - 1].id;
            f->last_key = f->hits[i + n - 1].key;
            f->any_last = true;
            f->end = false;
            break;
        }
    }
    return RC_OK;
}

RC ask_page(struct ctx *ctx, struct core *core, struct txn *txn, const struct ask *ask, struct ask_page *out)
{
    struct asking a;
    struct found found = {0};
    *out = (struct ask_page){0};
    TRY(asking_begin(ctx, core, txn, ask->where, &a));
    a.order = ask->order;
    a.want = ask->limit < 1 ? 1 : ask->limit > ASK_LIMIT_MAX ? ASK_LIMIT_MAX : ask->limit;
    TRY(after_read(&a, ask->after));
    TRY(search(&a, &found));
    TRY(page_rows(&a, &found, out));
    out->looks = a.looked;
    out->next = found.end || !found.any_last ? NULL : after_text(&a, &found);
    return RC_OK;
}

RC ask_one(struct ctx *ctx, struct core *core, struct txn *txn, const char *digits, struct ask_row *out)
{
    struct ask_page page;
    const size_t n = strlen(digits);
    for (size_t i = 0; i < n; i++)
        if (!strchr("0123456789abcdefABCDEF:", digits[i]))
            return ctx_fail(ctx, E_INVALID, "a fingerprint is hexadecimal digits, the SHA-256 of the certificate; not %s", digits);
    if (n < 8 || n > 95)
        return ctx_fail(ctx, E_INVALID, "a fingerprint has 64 hexadecimal digits; give the first 8 of them at least");
    const struct ask ask = {.where = arena_printf(&ctx->arena, "fingerprint = \"%s\"", digits), .limit = 3};
    TRY(ask_page(ctx, core, txn, &ask, &page));
    if (!page.n)
        return ctx_fail(ctx, E_NOT_FOUND, "no certificate has the fingerprint %s", digits);
    if (page.n > 1)
        return ctx_fail(ctx, E_CONFLICT, "several certificates have a fingerprint that begins with %s: %s, %s%s; give more digits",
                        digits, hex_str(&ctx->arena, page.rows[0].row->fingerprint),
                        hex_str(&ctx->arena, page.rows[1].row->fingerprint), page.n > 2 ? ", …" : "");
    *out = page.rows[0];
    return RC_OK;
}

/* --- facets */

/* Numbers first: texts are only made of those that differ. */
struct tally {
    struct ctx *ctx;
    struct number_count {
        int64_t key, n;
    } * v;
    size_t n, cap;
};

static void count(struct tally *t, int64_t key)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].key == key) {
            t->v[i].n++;
            return;
        }
    if (t->n == t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 16;
        struct number_count *v = arena_array(&t->ctx->arena, cap, sizeof *v);
        if (t->n)
            memcpy(v, t->v, t->n * sizeof *v);
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = (struct number_count){.key = key, .n = 1};
}

static void facet_add(struct ctx *ctx, struct ask_facet *f, const char *key, int64_t n)
{
    if (!f->v)
        f->v = arena_array(&ctx->arena, ASK_FACET_ROWS, sizeof *f->v);
    for (size_t i = 0; i < f->n; i++)
        if (str_equal(f->v[i].key, key)) {
            f->v[i].n += n;
            return;
        }
    if (f->n < ASK_FACET_ROWS)
        f->v[f->n++] = (struct ask_count){.key = key, .text = key, .n = n};
}

static int largest_first(const void *x, const void *y)
{
    const struct ask_count *a = x, *b = y;
    return a->n != b->n ? (a->n > b->n ? -1 : 1) : strcmp(a->key, b->key);
}

/* Months are in their order, all else by number. */
static int by_key(const void *x, const void *y)
{
    return strcmp(((const struct ask_count *)x)->key, ((const struct ask_count *)y)->key);
}

/* A number of table issuer_name becomes its text. */
static struct rc issuer_texts(struct ctx *ctx, struct txn *txn, struct ask_facet *facet)
{
    for (size_t i = 0; i < facet->n; i++) {
        struct q_issuer_name_get_row row;
        bool found = false;
        int64_t id = 0;
        if (str_to_i64(bytes_z(facet->v[i].key), &id))
            TRY(q_issuer_name_get(ctx, txn, id, &row, &found));
        facet->v[i].text = found ? row.text : "?";
        facet->v[i].key = facet->v[i].text;
    }
    return RC_OK;
}

/* Those of checks that are on. */
static struct rc finding_texts(struct ctx *ctx, struct txn *txn, struct ask_facet *facet)
{
    struct finding_policy policy;
    size_t n = 0;
    TRY(finding_policy_read(ctx, txn, &policy));
    for (size_t i = 0; i < facet->n; i++) {
        const struct check_info *check = findings_check_named(facet->v[i].key);
        if (check && !finding_policy_is_on(&policy, check))
            continue;
        facet->v[n] = facet->v[i];
        facet->v[n++].text = check ? finding_policy_words(ctx, &policy, check) : facet->v[i].key;
    }
    facet->n = n;
    return RC_OK;
}

static void finish(struct ask_facet *facet, bool keys)
{
    if (facet->n)
        qsort(facet->v, facet->n, sizeof *facet->v, largest_first);
    if (facet->n > ASK_FACET_KEYS)
        facet->n = ASK_FACET_KEYS;
    if (keys && facet->n)
        qsort(facet->v, facet->n, sizeof *facet->v, by_key);
}

enum { ISSUER, KEY, SIGNATURE, FINDING, TEAM, SOURCE, MANAGED, EXPIRES };
static const char *const facet_names[ASK_FACETS] = {"issuer", "key",    "signature", "finding",
                                                    "team",   "source", "managed",   "expires"};

static struct rc facets_end(struct ctx *ctx, struct txn *txn, struct ask_facets *out)
{
    out->n = ASK_FACETS;
    for (size_t i = 0; i < ASK_FACETS; i++) {
        out->v[i].name = facet_names[i];
        finish(&out->v[i], i == EXPIRES);
    }
    TRY(finding_texts(ctx, txn, &out->v[FINDING]));
    return issuer_texts(ctx, txn, &out->v[ISSUER]);
}

static const char *team_text(struct ctx *ctx, struct txn *txn, int64_t number)
{
    struct q_team_of_number_row row;
    bool found = false;
    if (rc_ok(q_team_of_number(ctx, txn, number, &row, &found)) && found)
        return row.name;
    ctx_forget(ctx);
    return "?";
}

static const char *facet_key(struct ctx *ctx, struct txn *txn, size_t facet, int64_t v)
{
    switch (facet) {
    case KEY:
        return inventory_key_word(ctx, v & 0xffff, v >> 16);
    case SIGNATURE:
        return cert_signature_word((enum cert_signature)v);
    case FINDING:
        return findings_check((unsigned)v) ? findings_check((unsigned)v)->id : "?";
    case TEAM:
        return team_text(ctx, txn, v);
    case SOURCE:
        return v > 0 && filter_choice(FILTER_SOURCE, (unsigned)v - 1) ? filter_choice(FILTER_SOURCE, (unsigned)v - 1) : "other";
    case MANAGED:
        return v ? "true" : "false";
    case EXPIRES:
        return counter_month(ctx, v);
    default:
        return arena_printf(&ctx->arena, "%lld", (long long)v);
    }
}

/* A day of the month that stands for all of it. */
static int64_t month_of(int64_t at)
{
    if (at == CERT_NO_EXPIRY)
        return at;
    const struct civil c = civil_from_unix(at), first = {.year = c.year, .month = c.month, .day = 1};
    int64_t out = at;
    (void)civil_to_unix(&first, &out);
    return out;
}

static void count_row(struct tally *t, const struct select_tally *row)
{
    count(&t[ISSUER], row->issuer_name_id);
    count(&t[KEY], row->key_bits << 16 | (row->key_kind & 0xffff));
    count(&t[SIGNATURE], row->signature);
    for (int bit = 0; bit < 63; bit++)
        if (row->findings >> bit & 1)
            count(&t[FINDING], bit + 1);
    count(&t[TEAM], row->team);
    count(&t[SOURCE], row->source);
    if (!(row->flags & CERTIFICATE_SUPERSEDED)) /* an older version is neither, as in a filter */
        count(&t[MANAGED], (row->flags & CERTIFICATE_MANAGED) != 0);
    count(&t[EXPIRES], month_of(row->not_after));
}

static struct rc facets_of_rows(struct ctx *ctx, struct core *core, struct txn *txn, const char *where, struct ask_facets *out)
{
    struct asking a;
    struct found found = {0};
    struct tally t[ASK_FACETS];
    TRY(asking_begin(ctx, core, txn, where, &a));
    a.want = ASK_FACET_ROWS;
    a.tally = true;
    TRY(search(&a, &found));
    for (size_t i = 0; i < ASK_FACETS; i++)
        t[i] = (struct tally){.ctx = ctx};
    for (size_t i = 0; i < found.n; i++)
        count_row(t, found.hits[i].tally);
    for (size_t i = 0; i < ASK_FACETS; i++)
        for (size_t k = 0; k < t[i].n; k++)
            facet_add(ctx, &out->v[i], facet_key(ctx, txn, i, t[i].v[k].key), t[i].v[k].n);
    out->total = (int64_t)found.n;
    out->more = !found.end;
    return facets_end(ctx, txn, out);
}

static struct rc facet_counted(struct ctx *ctx, struct txn *txn, const char *dimension, struct ask_facet *facet)
{
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    TRY(q_counter_of(ctx, txn, dimension, access_scope(ctx), ASK_FACET_KEYS, &rows, &n));
    facet->v = arena_array(&ctx->arena, n, sizeof *facet->v);
    for (size_t i = 0; i < n; i++)
        facet->v[facet->n++] = (struct ask_count){.key = rows[i].key, .text = rows[i].key, .n = rows[i].n};
    return RC_OK;
}

static struct rc facets_counted(struct ctx *ctx, struct txn *txn, struct ask_facets *out)
{
    static const struct {
        int facet;
        const char *dimension;
    } rows[] = {{ISSUER, COUNTER_ISSUER},   {KEY, COUNTER_KEY},       {SIGNATURE, COUNTER_SIGNATURE},
                {FINDING, COUNTER_FINDING}, {SOURCE, COUNTER_SOURCE}, {EXPIRES, COUNTER_EXPIRES}};
    struct ask_facet total = {0}, managed = {0}, superseded = {0};
    struct q_counter_teams_row *teams = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        TRY(facet_counted(ctx, txn, rows[i].dimension, &out->v[rows[i].facet]));
    TRY(facet_counted(ctx, txn, COUNTER_TOTAL, &total));
    TRY(facet_counted(ctx, txn, COUNTER_MANAGED, &managed));
    TRY(facet_counted(ctx, txn, COUNTER_SUPERSEDED, &superseded));
    out->total = total.n ? total.v[0].n : 0;
    const int64_t ours = managed.n ? managed.v[0].n : 0, neither = superseded.n ? superseded.v[0].n : 0;
    if (ours)
        facet_add(ctx, &out->v[MANAGED], "true", ours);
    if (out->total > ours + neither)
        facet_add(ctx, &out->v[MANAGED], "false", out->total - ours - neither);
    TRY(q_counter_teams(ctx, txn, COUNTER_TOTAL, access_scope(ctx), ASK_FACET_KEYS, &teams, &n));
    for (size_t i = 0; i < n; i++)
        facet_add(ctx, &out->v[TEAM], teams[i].name, teams[i].n);
    return facets_end(ctx, txn, out);
}

RC ask_facets(struct ctx *ctx, struct core *core, struct txn *txn, const char *where, struct ask_facets *out)
{
    struct filter *filter = NULL;
    *out = (struct ask_facets){0};
    TRY(filter_parse(ctx, where, &filter));
    return filter ? facets_of_rows(ctx, core, txn, where, out) : facets_counted(ctx, txn, out);
}
