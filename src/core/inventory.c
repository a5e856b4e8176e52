#include "core/inventory.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/str.h"
#include "core/counter.h"
#include "core/findings.h"
#include "core/inventory_own.h"
#include "core/look.h"
#include "pki/name_text.h"
#include "store/queries.h"
#include "store/zip.h"

#define TRAIN_LEAST 1000 /* certificates that a first dictionary is made of */
#define TRAIN_MOST  6000
#define TRAIN_BYTES ((size_t)8 << 20)
#define TRIED_ON    1000 /* those that an old and a new dictionary are compared on */
#define TRAIN_AGAIN 10   /* when the inventory has grown so many times */
#define TICK_MOST   1000
#define ISSUERS     1024 /* slots of what one batch remembers of issuers; a power of two */

struct dictionary {
    int64_t id, certificates;
    struct zip_dictionary *zip;
    struct bytes bytes; /* kept until it is in the database */
    _Atomic bool stored;
    struct dictionary *next; /* older */
};

/* --- dictionaries */

RC inventory_load(struct ctx *ctx)
{
    return zip_load(ctx);
}

static struct rc dictionary_new(struct ctx *ctx, int64_t id, int64_t certificates, struct bytes bytes, bool pack,
                                struct dictionary **out)
{
    struct dictionary *d = calloc(1, sizeof *d);
    if (!d)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a dictionary");
    d->id = id;
    d->certificates = certificates;
    struct rc rc = zip_dictionary_new(ctx, bytes, pack, &d->zip);
    if (rc_failed(rc)) {
        free(d);
        return rc;
    }
    *out = d;
    return RC_OK;
}

static void dictionary_free(struct dictionary *d)
{
    zip_dictionary_free(d->zip);
    free((void *)(uintptr_t)d->bytes.p);
    free(d);
}

/* With the lock. */
static void dictionary_link(struct inventory *inv, struct dictionary *d)
{
    d->next = atomic_load(&inv->newest);
    atomic_store(&inv->newest, d);
}

static const struct dictionary *dictionary_of(const struct inventory *inv, int64_t id)
{
    const struct dictionary *d = atomic_load(&inv->newest);
    while (d && d->id != id)
        d = d->next;
    return d;
}

struct listing {
    struct q_dictionary_list_row *rows;
    size_t n;
};

static struct rc dictionaries_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct listing *l = arg;
    return q_dictionary_list(ctx, txn, &l->rows, &l->n);
}

/* Those that the database has and we do not: of the last run, or of another hub. */
static struct rc dictionaries_load(struct ctx *ctx, struct core *core)
{
    struct inventory *inv = core->inventory;
    struct listing l = {0};
    TRY(store_read(ctx, core->store, dictionaries_read, &l));
    pthread_mutex_lock(&inv->lock);
    struct rc rc = RC_OK;
    for (size_t i = l.n; i-- && rc_ok(rc);) { /* the newest last: it packs */
        struct dictionary *d = NULL;
        if (dictionary_of(inv, l.rows[i].id))
            continue;
        rc = dictionary_new(ctx, l.rows[i].id, l.rows[i].certificates, l.rows[i].bytes, i == 0, &d);
        if (rc_failed(rc))
            break;
        atomic_store(&d->stored, true);
        dictionary_link(inv, d);
    }
    pthread_mutex_unlock(&inv->lock);
    return rc;
}

RC inventory_open(struct ctx *ctx, struct core *core)
{
    struct inventory *inv = calloc(1, sizeof *inv);
    if (!inv)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the inventory");
    pthread_mutex_init(&inv->lock, NULL);
    core->inventory = inv;
    return dictionaries_load(ctx, core);
}

void inventory_close(struct core *core)
{
    struct inventory *inv = core->inventory;
    if (!inv)
        return;
    for (struct dictionary *d = atomic_load(&inv->newest), *next; d; d = next) {
        next = d->next;
        dictionary_free(d);
    }
    pthread_mutex_destroy(&inv->lock);
    free(inv);
    core->inventory = NULL;
}

/* Trains one on some of `ders`, evenly taken.  Not enough of them, or too unlike: NULL. */
static struct rc train(struct ctx *ctx, const struct bytes *ders, size_t n, int64_t certificates, struct dictionary **out)
{
    const size_t step = n > TRAIN_MOST ? n / TRAIN_MOST : 1;
    struct buf BUF_CLEANUP all;
    buf_init(&all, TRAIN_BYTES);
    size_t *sizes = arena_array(&ctx->arena, TRAIN_MOST, sizeof *sizes);
    unsigned taken = 0;
    for (size_t i = 0; i < n && taken < TRAIN_MOST && all.n + ders[i].n <= TRAIN_BYTES; i += step) {
        buf_put(&all, ders[i]);
        sizes[taken++] = ders[i].n;
    }
    TRY(buf_status(&all));
    struct bytes bytes;
    *out = NULL;
    struct rc rc = zip_train(ctx, all.p, sizes, taken, &bytes);
    if (rc.e == E_INVALID) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    TRY(dictionary_new(ctx, clock_unix_ms(ctx->clock), certificates, bytes, true, out));
    uint8_t *kept = malloc(bytes.n);
    if (!kept)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a dictionary");
    memcpy(kept, bytes.p, bytes.n);
    (*out)->bytes = bytes_of(kept, bytes.n);
    return RC_OK;
}

/* The first one there is, where so many come at once. */
static struct rc first_dictionary(struct ctx *ctx, struct inventory *inv, const struct bytes *ders, size_t n)
{
    if (atomic_load(&inv->newest) || n < TRAIN_LEAST)
        return RC_OK;
    pthread_mutex_lock(&inv->lock);
    struct rc rc = RC_OK;
    if (!atomic_load(&inv->newest)) {
        struct dictionary *d = NULL;
        rc = train(ctx, ders, n, (int64_t)n, &d);
        if (d)
            dictionary_link(inv, d);
    }
    pthread_mutex_unlock(&inv->lock);
    return rc;
}

static void now_stored(void *arg)
{
    struct dictionary *d = arg;
    atomic_store(&d->stored, true);
}

/* One that was made of what is being written goes into the same transaction. */
static struct rc dictionaries_keep(struct ctx *ctx, struct core *core, struct txn *txn)
{
    for (struct dictionary *d = atomic_load(&core->inventory->newest); d; d = d->next) {
        struct q_dictionary_get_row row;
        bool found = false;
        if (atomic_load(&d->stored))
            continue;
        TRY(q_dictionary_get(ctx, txn, d->id, &row, &found));
        if (!found)
            TRY(q_dictionary_add(ctx, txn, d->id, d->bytes, d->certificates, ctx_now_s(ctx)));
        TRY(txn_on_commit(ctx, txn, now_stored, d));
    }
    return RC_OK;
}

struct sampling {
    struct core *core;
    struct q_certificate_der_sample_row *rows;
    size_t n;
    struct dictionary *made;
};

static struct rc sample_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct sampling *s = arg;
    return q_certificate_der_sample(ctx, txn, TRAIN_MOST + TRIED_ON, &s->rows, &s->n);
}

static struct rc made_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct sampling *s = arg;
    return q_dictionary_add(ctx, txn, s->made->id, s->made->bytes, s->made->certificates, ctx_now_s(ctx));
}

static struct rc packed_size(struct ctx *ctx, const struct dictionary *d, const struct bytes *ders, size_t n, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < n; i++) {
        struct bytes packed;
        TRY(zip_pack(ctx, d->zip, ders[i], &packed));
        *size += packed.n < ders[i].n ? packed.n : ders[i].n;
    }
    return RC_OK;
}

RC inventory_dictionary_look(struct ctx *ctx, struct core *core, int64_t certificates)
{
    struct inventory *inv = core->inventory;
    const struct dictionary *now = atomic_load(&inv->newest);
    const int64_t before = now && now->certificates > inv->looked_at ? now->certificates : inv->looked_at;
    if (certificates < TRAIN_LEAST || certificates < before * TRAIN_AGAIN)
        return RC_OK;
    inv->looked_at = certificates;
    struct sampling s = {.core = core};
    TRY(store_read(ctx, core->store, sample_read, &s));
    struct bytes *ders = arena_array(&ctx->arena, s.n, sizeof *ders);
    for (size_t i = 0; i < s.n; i++)
        TRY(certificate_der(ctx, core, s.rows[i].dictionary, s.rows[i].packed, &ders[i]));
    const size_t tried = now && s.n > 2 * TRIED_ON ? TRIED_ON : 0; /* not trained on */
    TRY(train(ctx, ders + tried, s.n - tried, certificates, &s.made));
    if (!s.made)
        return RC_OK;
    size_t old_size = 1, new_size = 0;
    if (tried) {
        TRY(packed_size(ctx, now, ders, tried, &old_size));
        TRY(packed_size(ctx, s.made, ders, tried, &new_size));
    }
    struct rc rc = RC_OK;
    if (new_size > old_size / 100 * 95 || rc_failed(rc = store_write(ctx, core->store, made_write, &s))) {
        dictionary_free(s.made);
        return rc;
    }
    atomic_store(&s.made->stored, true);
    pthread_mutex_lock(&inv->lock);
    dictionary_link(inv, s.made);
    pthread_mutex_unlock(&inv->lock);
    return RC_OK;
}

RC certificate_der(struct ctx *ctx, struct core *core, int64_t dictionary, struct bytes packed, struct bytes *der)
{
    if (!dictionary) {
        *der = packed;
        return RC_OK;
    }
    const struct dictionary *d = dictionary_of(core->inventory, dictionary);
    if (!d) { /* another hub made it just now */
        TRY(dictionaries_load(ctx, core));
        d = dictionary_of(core->inventory, dictionary);
    }
    if (!d)
        return ctx_fail(ctx, E_DATABASE,
                        "the dictionary %lld of compressed certificates is missing: restore the database from a backup",
                        (long long)dictionary);
    return zip_unpack(ctx, d->zip, packed, der);
}

/* --- preparing */

/* What a batch remembers of issuers: they are few. */
struct issuers {
    const struct inventory_issuer *v[ISSUERS];
    int64_t id[ISSUERS]; /* while it is written */
};

static size_t issuer_slot(struct bytes dn)
{
    uint64_t h = dn.n;
    for (size_t i = dn.n > 24 ? dn.n - 24 : 0; i < dn.n; i++) /* they differ at their end, in the common name */
        h = (h ^ dn.p[i]) * 0x100000001b3;
    return (h ^ h >> 31) & (ISSUERS - 1);
}

static struct rc issuer_find(struct ctx *ctx, struct issuers *known, const struct cert_name *name,
                             const struct inventory_issuer **out)
{
    const size_t i = issuer_slot(name->der);
    if (!known->v[i] || !bytes_equal(known->v[i]->name.der, name->der)) {
        struct inventory_issuer *issuer = ARENA_NEW(&ctx->arena, struct inventory_issuer);
        issuer->name = *name;
        TRY(digest_sha256(ctx, name->der, issuer->hash));
        known->v[i] = issuer;
    }
    *out = known->v[i];
    return RC_OK;
}

static int64_t flags_read(const struct cert_fields *c, const struct inventory_terms *terms)
{
    int64_t flags = 0;
    flags |= c->is_ca ? CERTIFICATE_CA : 0;
    flags |= c->self_issued ? CERTIFICATE_SELF_SIGNED : 0;
    flags |= inventory_is_wildcard(c) ? CERTIFICATE_WILDCARD : 0;
    flags |= c->extensions & EXT_POISON ? CERTIFICATE_PRECERTIFICATE : 0;
    flags |= terms->capped ? CERTIFICATE_TERMS_CAPPED : 0;
    flags |= c->defects ? CERTIFICATE_DEFECTS : 0;
    flags |= c->must_staple ? CERTIFICATE_MUST_STAPLE : 0;
    return flags;
}

int64_t inventory_due(int64_t findings_due, int64_t not_after, int64_t last_seen, int64_t flags)
{
    if (findings_due || flags & CERTIFICATE_OURS || not_after == CERT_NO_EXPIRY)
        return findings_due;
    return (not_after > last_seen ? not_after : last_seen) + INVENTORY_KEPT_S;
}

struct preparing {
    struct ctx *ctx;
    struct inventory *inv;
    struct cert_hasher *hasher;
    struct issuers *issuers;
};

/* Columns and terms of a certificate.  E_PARSE, E_TOO_LARGE: it is none. */
static struct rc read_one(const struct preparing *p, struct bytes der, int64_t flags, struct inventory_ready *r)
{
    struct ctx *ctx = p->ctx;
    struct cert_fields c;
    struct cert_digests d;
    struct inventory_terms terms;
    struct findings f;
    TRY(cert_read(ctx, der, &c));
    TRY(cert_digest(ctx, p->hasher, &c, &d));
    memcpy(r->print, d.sha256, SHA256_LEN);
    TRY(issuer_find(ctx, p->issuers, &c.issuer, &r->issuer));
    TRY(inventory_terms(ctx, &c, &d, r->issuer->hash, &terms));
    r->terms = terms.text;
    r->not_before = c.not_before;
    r->not_after = c.not_after;
    r->key_kind = KEY_KIND(c.key.type, c.key.curve);
    r->key_bits = c.key.bits;
    r->signature_kind = c.signature_type;
    r->flags = flags_read(&c, &terms) | flags;
    findings_of(&c, &(struct finding_context){.now = ctx_now_s(ctx), .flags = r->flags}, &f);
    r->findings = f.mask;
    r->due_at = f.due_at;
    return RC_OK;
}

RC inventory_read_one(struct ctx *ctx, struct bytes der, int64_t flags, struct inventory_ready *out)
{
    struct cert_hasher CERT_HASHER_CLEANUP *hasher = NULL;
    TRY(cert_hasher_new(ctx, &hasher));
    const struct preparing p = {ctx, NULL, hasher, ARENA_NEW(&ctx->arena, struct issuers)};
    *out = (struct inventory_ready){0};
    return read_one(&p, der, flags, out);
}

static struct rc pack_one(const struct preparing *p, struct bytes der, struct inventory_ready *r)
{
    const struct dictionary *d = atomic_load(&p->inv->newest);
    r->packed = der;
    r->dictionary = 0;
    if (!d)
        return RC_OK;
    struct bytes packed;
    TRY(zip_pack(p->ctx, d->zip, der, &packed));
    if (packed.n < der.n) {
        r->packed = packed;
        r->dictionary = d->id;
    }
    return RC_OK;
}

static void bad_add(struct ctx *ctx, struct inventory_batch *out, size_t item, size_t n)
{
    if (!out->bad)
        out->bad = arena_array(&ctx->arena, n, sizeof *out->bad);
    out->bad[out->bad_n++] = (struct inventory_bad){item, ctx_why(ctx)};
    ctx_forget(ctx);
}

struct order {
    uint64_t key;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;
}

/* By fingerprint, so that the index is written page by page; what is there twice goes. */
static void put_in_order(struct ctx *ctx, struct inventory_ready *ready, size_t n, struct inventory_batch *out)
{
    struct order *o = arena_array(&ctx->arena, n, sizeof *o);
    for (size_t i = 0; i < n; i++) {
        struct bytes head = bytes_of(ready[i].print, SHA256_LEN);
        bytes_take_u64(&head, &o[i].key);
        o[i].at = i;
    }
    qsort(o, n, sizeof *o, by_key);
    out->ready = arena_array(&ctx->arena, n, sizeof *out->ready);
    for (size_t i = 0; i < n; i++) {
        const struct inventory_ready *r = &ready[o[i].at];
        struct inventory_ready *last = out->n ? &out->ready[out->n - 1] : NULL;
        if (last && !memcmp(last->print, r->print, SHA256_LEN)) {
            last->flags |= r->flags;
            continue;
        }
        out->ready[out->n] = *r;
        out->ready[out->n].fingerprint = bytes_of(out->ready[out->n].print, SHA256_LEN);
        out->n++;
    }
}

RC inventory_prepare(struct ctx *ctx, struct core *core, const struct inventory_item *items, size_t n, struct inventory_batch *out)
{
    *out = (struct inventory_batch){0};
    if (n > INVENTORY_BULK_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%zu certificates at once, where %d are the most", n, INVENTORY_BULK_MAX);
    struct cert_hasher CERT_HASHER_CLEANUP *hasher = NULL;
    TRY(cert_hasher_new(ctx, &hasher));
    const struct preparing p = {ctx, core->inventory, hasher, ARENA_NEW(&ctx->arena, struct issuers)};
    struct inventory_ready *ready = arena_array(&ctx->arena, n, sizeof *ready);
    struct bytes *ders = arena_array(&ctx->arena, n, sizeof *ders);
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        struct rc rc = read_one(&p, items[i].der, items[i].flags & CERTIFICATE_KNOWN_MASK, &ready[good]);
        if (rc.e == E_PARSE || rc.e == E_TOO_LARGE) {
            bad_add(ctx, out, i, n);
            continue;
        }
        TRY(rc);
        ready[good].item = i;
        ders[good++] = items[i].der;
    }
    TRY(first_dictionary(ctx, core->inventory, ders, good));
    for (size_t i = 0; i < good; i++)
        TRY(pack_one(&p, ders[i], &ready[i]));
    put_in_order(ctx, ready, good, out);
    return RC_OK;
}

static int compare_prints(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_LEN);
}

RC inventory_choose(struct ctx *ctx, const struct api_scan_certificate_list *told, uint8_t (*prints)[SHA256_LEN], size_t prints_n,
                    struct inventory_item **items, size_t *n)
{
    *n = 0;
    *items = arena_array(&ctx->arena, told->n + 1, sizeof **items);
    qsort(prints, prints_n, sizeof *prints, compare_prints);
    for (size_t i = 0; i < told->n; i++) {
        uint8_t print[SHA256_LEN];
        TRY(digest_sha256(ctx, told->v[i].der, print));
        if (bsearch(print, prints, prints_n, sizeof *prints, compare_prints))
            (*items)[(*n)++].der = told->v[i].der;
    }
    return RC_OK;
}

/* --- writing */

const char *inventory_source_word(int64_t source)
{
    static const char *const words[] = {"other", "issued", "scan", "host", "import", "log", "fetched"};
    return source > 0 && source < (int64_t)(sizeof words / sizeof *words) ? words[source] : words[0];
}

/* What a certificate is counted under: a dimension, and a number that its key is made of. */
enum counted_by {
    BY_TOTAL, BY_ISSUER, BY_KEY, BY_SIGNATURE, BY_END, BY_SOURCE, BY_MANAGED, BY_SUPERSEDED, BY_FINDING, BY_LIFETIME, COUNTED_BY
};
#define NEVER INT64_MAX
struct counted_key {
    enum counted_by by;
    int64_t key;
};
enum { KEYS_MAX = COUNTED_BY + CHECK_NUMBER_MAX };

static size_t counted_keys(const struct counted *c, struct counted_key out[KEYS_MAX])
{
    const int64_t day = (c->not_after - (c->not_after < 0 ? 86399 : 0)) / 86400;
    size_t n = 0;
    out[n++] = (struct counted_key){BY_TOTAL, 0};
    out[n++] = (struct counted_key){BY_ISSUER, c->issuer};
    out[n++] = (struct counted_key){BY_KEY, c->key_bits << 16 | (c->key_kind & 0xffff)};
    out[n++] = (struct counted_key){BY_SIGNATURE, c->signature_kind};
    out[n++] = (struct counted_key){BY_END, c->not_after == CERT_NO_EXPIRY ? NEVER : day};
    out[n++] = (struct counted_key){BY_SOURCE, c->source};
    if (!(c->flags & CERTIFICATE_CA))
        out[n++] = (struct counted_key){BY_LIFETIME, counter_lifetime(c->not_before, c->not_after)};
    if (c->flags & CERTIFICATE_MANAGED)
        out[n++] = (struct counted_key){BY_MANAGED, 0};
    if (c->flags & CERTIFICATE_SUPERSEDED)
        out[n++] = (struct counted_key){BY_SUPERSEDED, 0};
    for (unsigned k = 1; k <= CHECK_NUMBER_MAX && c->findings >> (k - 1); k++)
        if (c->findings & CHECK_BIT(k))
            out[n++] = (struct counted_key){BY_FINDING, k};
    return n;
}

static const char *counted_text(struct ctx *ctx, enum counted_by by, int64_t key)
{
    switch (by) {
    case BY_ISSUER:
        return arena_printf(&ctx->arena, "%lld", (long long)key);
    case BY_KEY:
        return inventory_key_word(ctx, key & 0xffff, key >> 16);
    case BY_SIGNATURE:
        return cert_signature_word((enum cert_signature)key);
    case BY_END:
        return counter_month(ctx, key == NEVER ? CERT_NO_EXPIRY : key * 86400);
    case BY_SOURCE:
        return inventory_source_word(key);
    case BY_LIFETIME:
        return key ? arena_printf(&ctx->arena, "%lld", (long long)key) : "longer";
    case BY_FINDING:
        return findings_check((unsigned)key) ? findings_check((unsigned)key)->id : "other";
    default:
        return "";
    }
}

static void counted_add(struct ctx *ctx, struct counter_sum *sum, int64_t team, struct counted_key k, int64_t n)
{
    static const char *const dimensions[COUNTED_BY] = {
        [BY_TOTAL] = COUNTER_TOTAL,         [BY_ISSUER] = COUNTER_ISSUER,         [BY_KEY] = COUNTER_KEY,
        [BY_SIGNATURE] = COUNTER_SIGNATURE, [BY_END] = COUNTER_EXPIRES,           [BY_SOURCE] = COUNTER_SOURCE,
        [BY_MANAGED] = COUNTER_MANAGED,     [BY_SUPERSEDED] = COUNTER_SUPERSEDED, [BY_FINDING] = COUNTER_FINDING,
        [BY_LIFETIME] = COUNTER_LIFETIME,
    };
    counter_add(ctx, sum, team, dimensions[k.by], counted_text(ctx, k.by, k.key), n);
}

void inventory_count(struct ctx *ctx, struct counter_sum *sum, const struct counted *c, int64_t n)
{
    struct counted_key keys[KEYS_MAX];
    const size_t keys_n = counted_keys(c, keys);
    for (size_t i = 0; i < keys_n; i++)
        counted_add(ctx, sum, c->team, keys[i], n);
}

/* Very many of one team are counted by these numbers first: a text is made once in a while instead of eight times for each.  A
 * slot holds one number; another one that wants it has it written down. */
enum { SLOTS = 512 };
struct tally {
    struct {
        int64_t key, n;
    } slots[COUNTED_BY][SLOTS];
};

static void tally_slot_end(struct ctx *ctx, struct counter_sum *sum, int64_t team, struct tally *t, enum counted_by by, size_t i)
{
    if (t->slots[by][i].n)
        counted_add(ctx, sum, team, (struct counted_key){by, t->slots[by][i].key}, t->slots[by][i].n);
    t->slots[by][i].n = 0;
}

static void tally_add(struct ctx *ctx, struct counter_sum *sum, struct tally *t, const struct counted *c)
{
    struct counted_key keys[KEYS_MAX];
    const size_t keys_n = counted_keys(c, keys);
    for (size_t k = 0; k < keys_n; k++) {
        const size_t i = (uint64_t)keys[k].key * 0x9e3779b97f4a7c15 >> 55;
        static_assert(SLOTS == 1 << (64 - 55), "the upper bits are the slot");
        if (t->slots[keys[k].by][i].key != keys[k].key)
            tally_slot_end(ctx, sum, c->team, t, keys[k].by, i);
        t->slots[keys[k].by][i].key = keys[k].key;
        t->slots[keys[k].by][i].n++;
    }
}

static void tally_end(struct ctx *ctx, struct counter_sum *sum, int64_t team, struct tally *t)
{
    for (size_t by = 0; by < COUNTED_BY; by++)
        for (size_t i = 0; i < SLOTS; i++)
            tally_slot_end(ctx, sum, team, t, (enum counted_by)by, i);
}

/* The number of an issuer's Name; made where it is new. */
RC inventory_issuer_of(struct ctx *ctx, struct txn *txn, const struct inventory_issuer *issuer, int64_t *id)
{
    const struct cert_name *name = &issuer->name;
    struct q_issuer_name_find_row row;
    const struct bytes hash = bytes_of(issuer->hash, SHA256_LEN);
    bool found = false;
    TRY(q_issuer_name_find(ctx, txn, hash, &row, &found));
    if (!found) {
        const struct q_issuer_name_add_in in = {
            .sha256 = hash,
            .dn = name->der,
            .text = name_text_dn(&ctx->arena, name),
            .organization = name->organization.tag ? name_text_str(&ctx->arena, name->organization) : NULL,
            .common_name = name->common_name.tag ? name_text_str(&ctx->arena, name->common_name) : NULL};
        TRY(q_issuer_name_add(ctx, txn, &in));
        TRY(q_issuer_name_find(ctx, txn, hash, &row, &found));
    }
    *id = row.id;
    return RC_OK;
}

static struct rc issuer_of(struct ctx *ctx, struct txn *txn, struct issuers *known, const struct inventory_issuer *issuer,
                           int64_t *id)
{
    const size_t i = issuer_slot(issuer->name.der);
    if (!known->v[i] || memcmp(known->v[i]->hash, issuer->hash, SHA256_LEN)) {
        TRY(inventory_issuer_of(ctx, txn, issuer, &known->id[i]));
        known->v[i] = issuer;
    }
    *id = known->id[i];
    return RC_OK;
}

/* Seen again, or more is known of it. */
static struct rc known_update(struct ctx *ctx, struct txn *txn, struct counter_sum *sum, const struct inventory_ready *r,
                              const struct q_certificate_heads_row *row, int64_t at)
{
    const int64_t flags = row->flags | (r->flags & CERTIFICATE_KNOWN_MASK);
    const int64_t seen = at > row->last_seen ? at : row->last_seen;
    if (flags == row->flags && seen / 86400 == row->last_seen / 86400)
        return RC_OK;
    if ((flags & ~row->flags) & CERTIFICATE_MANAGED)
        counter_add(ctx, sum, row->team, COUNTER_MANAGED, "", 1);
    TRY(q_certificate_seen(ctx, txn, row->id, seen, flags));
    return (flags & ~row->flags) & CERTIFICATE_MANAGED ? look_again(ctx, txn, row->id) : RC_OK;
}

struct putting {
    const struct inventory_from *from;
    int64_t at, now, team;
    struct issuers *issuers;
    struct tally *tally; /* of what is new */
    struct counter_sum sum;
};

/* Rows of one statement. */
enum { EACH = 64 };

static struct rc rows_add(struct ctx *ctx, struct txn *txn, struct putting *p, struct inventory_ready **fresh, size_t n)
{
    struct q_certificate_add_in in[EACH];
    for (size_t i = 0; i < n; i++) {
        const struct inventory_ready *r = fresh[i];
        int64_t issuer = 0;
        TRY(issuer_of(ctx, txn, p->issuers, r->issuer, &issuer));
        in[i] = (struct q_certificate_add_in){.id = r->id,
                                              .fingerprint = r->fingerprint,
                                              .issuer_name_id = issuer,
                                              .not_before = r->not_before,
                                              .not_after = r->not_after,
                                              .seen = p->at,
                                              .key_kind = r->key_kind,
                                              .key_bits = r->key_bits,
                                              .signature_kind = r->signature_kind,
                                              .flags = r->flags,
                                              .findings = r->findings,
                                              .due_at = p->now,
                                              .team = p->team,
                                              .source = p->from->source};
        const struct counted c = {p->team,           issuer, r->not_before,  r->not_after, r->key_kind,    r->key_bits,
                                  r->signature_kind, r->flags, r->findings,  p->from->source};
        tally_add(ctx, &p->sum, p->tally, &c);
    }
    return q_certificate_add(ctx, txn, in, n);
}

static struct rc ders_add(struct ctx *ctx, struct txn *txn, struct inventory_ready **fresh, size_t n)
{
    struct q_certificate_der_add_in in[EACH];
    for (size_t i = 0; i < n; i++)
        in[i] = (struct q_certificate_der_add_in){fresh[i]->id, fresh[i]->dictionary, fresh[i]->packed};
    return q_certificate_der_add(ctx, txn, in, n);
}

static struct rc terms_add(struct ctx *ctx, struct txn *txn, struct inventory_ready **fresh, size_t n)
{
    struct q_certificate_term_add_in in[EACH];
    for (size_t i = 0; i < n; i++)
        in[i] = (struct q_certificate_term_add_in){fresh[i]->id, fresh[i]->terms};
    return q_certificate_term_add(ctx, txn, in, n);
}

/* All of it is due at once: the look at it follows, and knows when next (core/look.h). */
static struct rc dues_add(struct ctx *ctx, struct txn *txn, const struct putting *p, struct inventory_ready **fresh, size_t n)
{
    struct q_certificate_due_add_in in[EACH];
    for (size_t i = 0; i < n; i++)
        in[i] = (struct q_certificate_due_add_in){p->now, fresh[i]->id};
    return q_certificate_due_add(ctx, txn, in, n);
}

/* Check by check, as their table is ordered. */
static struct rc findings_rows(struct ctx *ctx, struct txn *txn, struct inventory_ready **fresh, size_t n, int64_t since)
{
    struct q_finding_add_in in[EACH];
    int64_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= fresh[i]->findings;
    for (unsigned check = 1; check <= CHECK_NUMBER_MAX && any >> (check - 1); check++) {
        size_t k = 0;
        for (size_t i = 0; i < n; i++) {
            if (fresh[i]->findings & CHECK_BIT(check))
                in[k++] = (struct q_finding_add_in){check, fresh[i]->id, 0, since, ""};
            if (k < EACH && i + 1 < n)
                continue;
            TRY(q_finding_add(ctx, txn, in, k));
            k = 0;
        }
    }
    return RC_OK;
}

RC inventory_findings_add(struct ctx *ctx, struct txn *txn, int64_t id, int64_t mask, int64_t since)
{
    struct inventory_ready one = {.id = id, .findings = mask}, *only = &one;
    return findings_rows(ctx, txn, &only, 1, since);
}

/* What is new, table after table: each index is then written page by page. */
static struct rc fresh_put(struct ctx *ctx, struct txn *txn, struct putting *p, struct inventory_ready **fresh, size_t n)
{
    struct q_certificate_ids_row *ids = NULL;
    size_t got = 0;
    if (!n)
        return RC_OK;
    TRY(q_certificate_ids(ctx, txn, (int64_t)n, &ids, &got));
    for (size_t i = 0; i < n; i++)
        fresh[i]->id = ids[i].id;
    p->tally = ARENA_NEW(&ctx->arena, struct tally);
    for (size_t i = 0; i < n; i += EACH)
        TRY(rows_add(ctx, txn, p, fresh + i, n - i < EACH ? n - i : EACH));
    tally_end(ctx, &p->sum, p->team, p->tally);
    for (size_t i = 0; i < n; i += EACH)
        TRY(ders_add(ctx, txn, fresh + i, n - i < EACH ? n - i : EACH));
    for (size_t i = 0; i < n; i += EACH)
        TRY(terms_add(ctx, txn, fresh + i, n - i < EACH ? n - i : EACH));
    for (size_t i = 0; i < n; i += EACH)
        TRY(dues_add(ctx, txn, p, fresh + i, n - i < EACH ? n - i : EACH));
    return findings_rows(ctx, txn, fresh, n, p->at);
}

/* Those of up to EACH that are there get their `id`. */
static struct rc known_find(struct ctx *ctx, struct txn *txn, struct putting *p, struct inventory_ready *ready, size_t n)
{
    struct q_certificate_heads_in in;
    struct bytes heads[EACH];
    struct q_certificate_heads_row *rows = NULL;
    size_t found = 0;
    static_assert(sizeof in == sizeof heads, "certificate_heads asks for EACH at once");
    for (size_t i = 0; i < EACH; i++)
        heads[i] = bytes_of(ready[i < n ? i : 0].print, 8);
    memcpy(&in, heads, sizeof in);
    TRY(q_certificate_heads(ctx, txn, &in, &rows, &found));
    for (size_t i = 0; i < n; i++)
        ready[i].fresh = true;
    for (size_t k = 0; k < found; k++)
        for (size_t i = 0; i < n; i++)
            if (bytes_equal(rows[k].fingerprint, ready[i].fingerprint)) {
                ready[i].fresh = false;
                ready[i].id = rows[k].id;
                TRY(known_update(ctx, txn, &p->sum, &ready[i], &rows[k], p->at));
            }
    return RC_OK;
}

RC inventory_team_number(struct ctx *ctx, struct core *core, struct txn *txn, const char *team_id, int64_t *number)
{
    struct q_team_number_row row;
    TRY(q_team_number(ctx, txn, team_id ? team_id : core->team_root, &row));
    *number = row.number;
    return RC_OK;
}

RC inventory_put(struct ctx *ctx, struct core *core, struct txn *txn, const struct inventory_from *from,
                 struct inventory_batch *batch)
{
    struct putting p = {
        .from = from, .now = ctx_now_s(ctx), .issuers = ARENA_NEW(&ctx->arena, struct issuers)};
    p.at = from->at ? from->at : p.now;
    struct inventory_ready **fresh = arena_array(&ctx->arena, batch->n, sizeof *fresh);
    size_t n = 0;
    TRY(inventory_team_number(ctx, core, txn, from->team_id, &p.team));
    TRY(dictionaries_keep(ctx, core, txn));
    for (size_t i = 0; i < batch->n; i += EACH)
        TRY(known_find(ctx, txn, &p, batch->ready + i, batch->n - i < EACH ? batch->n - i : EACH));
    for (size_t i = 0; i < batch->n; i++)
        if (batch->ready[i].fresh)
            fresh[n++] = &batch->ready[i];
    TRY(fresh_put(ctx, txn, &p, fresh, n));
    return counter_write(ctx, txn, &p.sum);
}

struct taking {
    struct core *core;
    const struct inventory_from *from;
    struct inventory_batch batch;
};

static struct rc put(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    return inventory_put(ctx, t->core, txn, t->from, &t->batch);
}

RC inventory_take(struct ctx *ctx, struct core *core, const struct inventory_from *from, const struct inventory_item *items,
                  size_t n, struct inventory_batch *out)
{
    TRY(inventory_prepare(ctx, core, items, n, out));
    for (size_t at = 0; at < out->n; at += INVENTORY_LIVE_MAX) {
        const size_t left = out->n - at;
        struct taking t = {core, from, {.ready = out->ready + at, .n = left < INVENTORY_LIVE_MAX ? left : INVENTORY_LIVE_MAX}};
        TRY(store_write(ctx, core->store, put, &t));
    }
    return RC_OK;
}

RC inventory_find(struct ctx *ctx, struct txn *txn, struct bytes fingerprint, int64_t *id, bool *found)
{
    struct q_certificate_find_row row;
    TRY(q_certificate_find(ctx, txn, fingerprint, &row, found));
    *id = *found ? row.id : 0;
    return RC_OK;
}
