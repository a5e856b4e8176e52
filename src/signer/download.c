/* Keys of certificates that people download.  Each is made for one attempt of one managed certificate and for nothing else; it
 * leaves with a certificate that is of this key, and every time it does is in the journal before. */
#include "base/encode.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "pki/csr.h"
#include "pki/digest.h"
#include "pki/jks.h"
#include "pki/pkcs12.h"
#include "signer/work.h"

/* Of all keys together: a hub that was taken over must not empty the folder in one night unseen. */
#define DOWNLOADS_PER_HOUR 500

#define CONTENT_MAX ((size_t)256 << 10)
#define PASSPHRASE_LEN 20

struct download {
    const char *attempt, *managed;
    uint8_t digest[32];        /* of the request that made it */
    struct bytes spki_sha256;
};

/* --- the journal's records */

static RC unreadable(struct ctx *ctx)
{
    return ctx_fail(ctx, E_IO, "the journal's record of a key for download cannot be read");
}

static void download_put(struct buf *b, const struct download *d)
{
    record_put_text(b, d->attempt);
    record_put_text(b, d->managed);
    buf_put_mem(b, d->digest, sizeof d->digest);
    record_put_blob(b, d->spki_sha256);
}

static RC download_take(struct ctx *ctx, struct bytes in, struct download *out)
{
    struct arena *a = &ctx->arena;
    if (!record_take_text(a, &in, &out->attempt) || !record_take_text(a, &in, &out->managed) ||
        !record_take_digest(&in, out->digest) || !record_take_blob(a, &in, &out->spki_sha256))
        return unreadable(ctx);
    return RC_OK;
}

static RC key_of(struct ctx *ctx, const char *attempt, uint8_t key[INDEX_KEY_LEN])
{
    return index_key(ctx, 'd', bytes_z(attempt), (struct bytes){0}, key);
}

static RC entry_of(struct ctx *ctx, struct signer *s, const struct signer_record *record, struct index_entry **out)
{
    struct bytes in = record->content;
    const char *attempt = NULL;
    uint8_t key[INDEX_KEY_LEN];
    if (!record_take_text(&ctx->arena, &in, &attempt))
        return unreadable(ctx);
    TRY(key_of(ctx, attempt, key));
    *out = index_put(&s->downloads, key);
    return RC_OK;
}

RC download_key_apply(struct ctx *ctx, struct signer *s, const struct signer_record *record)
{
    struct index_entry *e = NULL;
    TRY(entry_of(ctx, s, record, &e));
    e->a = record->offset + 1;
    return RC_OK;
}

RC download_forgot_apply(struct ctx *ctx, struct signer *s, const struct signer_record *record)
{
    struct index_entry *e = NULL;
    TRY(entry_of(ctx, s, record, &e));
    e->b = 1;
    return RC_OK;
}

RC download_taken_apply(struct signer *s, const struct signer_record *record)
{
    const int64_t minute = record->time / 60;
    const size_t at = (size_t)(minute % 60);
    if (s->taken_in[at].minute != minute) {
        s->taken_in[at].minute = minute;
        s->taken_in[at].n = 0;
    }
    s->taken_in[at].n++;
    return RC_OK;
}

/* What is kept of a key that is gone is kept as long as something may ask for it once more. */
RC download_stays(struct ctx *ctx, struct signer *s, const struct signer_record *record, bool young, bool *stays)
{
    struct index_entry *e = NULL;
    *stays = false;
    if (record->type == RECORD_DOWNLOAD_TAKEN)
        *stays = young;
    if (record->type != RECORD_DOWNLOAD_KEY && record->type != RECORD_DOWNLOAD_FORGOT)
        return RC_OK;
    TRY(entry_of(ctx, s, record, &e));
    *stays = young || !e->b;
    return RC_OK;
}

/* download_find: `found` is false where the attempt has no key; one that was forgotten is E_CONFLICT. */
static RC download_find(struct ctx *ctx, struct signer *s, const char *attempt, struct download *out, bool *found)
{
    uint8_t key[INDEX_KEY_LEN];
    struct signer_record record;
    *found = false;
    TRY(key_of(ctx, attempt, key));
    const struct index_entry *e = index_find(&s->downloads, key);
    if (e == NULL)
        return RC_OK;
    if (e->b)
        return ctx_fail(ctx, E_CONFLICT, "the key of attempt %s was destroyed", attempt);
    TRY(signer_journal_read(ctx, s->journal, e->a - 1, &record));
    *found = true;
    return download_take(ctx, record.content, out);
}

/* The key; the caller's to free, so that none stays in memory. */
static RC key_borrow(struct ctx *ctx, struct signer *s, const char *attempt, struct key **out)
{
    TRY(keyring_load(ctx, &s->keys, KEY_CLASS_DOWNLOAD, attempt, out));
    s->keys.keys--;
    return RC_OK;
}

/* --- making */

static RC digest_of(struct ctx *ctx, const struct wire_signer_download_make *in, uint8_t out[32])
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)1 << 16);
    record_put_text(&b, in->managed);
    record_put_text(&b, in->key_kind);
    record_put_text(&b, in->common_name);
    record_put_text(&b, in->reuse);
    for (size_t i = 0; i < in->names.n; i++)
        record_put_text(&b, in->names.v[i]);
    TRY(buf_status(&b));
    return digest_sha256(ctx, buf_bytes(&b), out);
}

/* The key of an earlier attempt, where it is still there and of the right kind. */
static RC key_again(struct ctx *ctx, struct signer *s, const struct wire_signer_download_make *in, enum key_kind kind,
                    struct key **out)
{
    struct download before;
    bool found = false;
    if (in->reuse[0] == 0)
        return RC_OK;
    struct rc rc = download_find(ctx, s, in->reuse, &before, &found);
    if (rc.e == E_CONFLICT || (rc_ok(rc) && !found)) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    if (strcmp(before.managed, in->managed) != 0)
        return ctx_fail(ctx, E_FORBIDDEN, "the key of attempt %s is of another managed certificate", in->reuse);
    TRY(key_borrow(ctx, s, in->reuse, out));
    if (key_kind_of(*out) != kind) {
        key_free(*out);
        *out = NULL;
    }
    return RC_OK;
}

static RC make_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_download_make *in = w->in;
    struct wire_signer_download_made *out = w->out;
    struct key *key KEY_CLEANUP = NULL;
    struct name_list names = {0};
    TRY(name_list_parse(w->ctx, in->names.v, in->names.n, &names));
    TRY(key_borrow(w->ctx, s, in->attempt, &key));
    return csr_build(w->ctx, key, &names, in->common_name[0] != 0 ? in->common_name : NULL, &out->csr);
}

RC download_make_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_download_make *in = w->in;
    struct ctx *ctx = w->ctx;
    const enum key_kind kind = key_kind_by_name(in->key_kind);
    struct key *key KEY_CLEANUP = NULL;
    struct download d = {.attempt = in->attempt, .managed = in->managed}, before;
    struct name_list names = {0};
    uint8_t spki[SHA256_LEN];
    bool found = false;
    if (!str_is_name(bytes_z(in->attempt)) || !str_is_name(bytes_z(in->managed)))
        return ctx_fail(ctx, E_INVALID, "a key for download needs its attempt and its managed certificate");
    if (kind == KEY_OTHER)
        return ctx_fail(ctx, E_UNSUPPORTED, "no key is of kind %s", in->key_kind);
    TRY(name_list_parse(ctx, in->names.v, in->names.n, &names));
    if (names.n == 0)
        return ctx_fail(ctx, E_INVALID, "a key for download needs the names that its request is for");
    TRY(digest_of(ctx, in, d.digest));
    TRY(download_find(ctx, s, in->attempt, &before, &found));
    w->answer = make_answer;
    if (found && memcmp(before.digest, d.digest, sizeof d.digest) != 0)
        return ctx_fail(ctx, E_CONFLICT, "the key of attempt %s was made for something else", in->attempt);
    if (found)
        return RC_OK;
    TRY(key_again(ctx, s, in, kind, &key));
    if (key != NULL) {
        TRY(keyring_keep(ctx, &s->keys, KEY_CLASS_DOWNLOAD, in->attempt, key));
    } else {
        TRY(keyring_make(ctx, &s->keys, KEY_CLASS_DOWNLOAD, in->attempt, kind, &key));
        s->keys.keys--;
    }
    TRY(digest_sha256(ctx, key_spki(key), spki));
    d.spki_sha256 = bytes_of(spki, sizeof spki);
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 4096);
    download_put(&b, &d);
    return work_journal(s, w, RECORD_DOWNLOAD_KEY, &b);
}

/* --- handing out */

/* Minutes in the future count: a clock that was put back gives no second helping. */
static RC may_take(struct ctx *ctx, struct signer *s)
{
    const int64_t now = clock_unix_s(s->clock);
    int64_t n = s->taking;
    for (size_t i = 0; i < 60; i++)
        if (s->taken_in[i].minute > now / 60 - 60)
            n += s->taken_in[i].n;
    if (n >= DOWNLOADS_PER_HOUR)
        return ctx_fail(ctx, E_CEILING, "the signer has handed out the %d keys that it hands out in one hour: wait",
                        DOWNLOADS_PER_HOUR);
    s->taking++;
    return RC_OK;
}

/* Without what looks like something else in print: 31 characters, 99 bits. */
static RC passphrase_make(struct ctx *ctx, struct secret *out)
{
    static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";
    TRY(secret_new(ctx, out, PASSPHRASE_LEN));
    uint8_t *p = secret_fill(out);
    for (size_t i = 0; i < PASSPHRASE_LEN; i++)
        p[i] = (uint8_t)alphabet[random_below(sizeof alphabet - 1)];
    return RC_OK;
}

static RC content_put(struct ctx *ctx, const struct wire_signer_download_take *in, const struct container *c, struct buf *b)
{
    switch (in->format) {
    case WIRE_signer_download_take_format_pem:
        TRY(key_to_pem(ctx, c->key, b));
        cert_chain_put_pem(b, c->chain);
        return RC_OK;
    case WIRE_signer_download_take_format_jks:
        return jks_build(ctx, c, b);
    default:
        return pkcs12_build(ctx, PKCS12_MODERN, c, b);
    }
}

static RC take_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_download_take *in = w->in;
    struct wire_signer_download_taken *out = w->out;
    struct key *key KEY_CLEANUP = NULL;
    struct secret content SECRET_CLEANUP = {0}, passphrase SECRET_CLEANUP = {0};
    struct buf b BUF_CLEANUP = {0};
    w->ctx->arena.wipe = true; /* parts of the file pass through it */
    TRY(key_borrow(w->ctx, s, in->attempt, &key));
    if (in->format != WIRE_signer_download_take_format_pem)
        TRY(passphrase_make(w->ctx, &passphrase));
    buf_init_secret(&b, CONTENT_MAX);
    const struct container c = {.key = key, .chain = w->state, .alias = in->alias, .password = &passphrase};
    TRY(content_put(w->ctx, in, &c, &b));
    TRY(buf_status(&b));
    TRY(secret_from(w->ctx, &content, buf_bytes(&b)));
    out->content = content;
    out->passphrase = passphrase;
    content = passphrase = (struct secret){0};
    return RC_OK;
}

RC download_take_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_download_take *in = w->in;
    struct ctx *ctx = w->ctx;
    struct cert_chain *chain = ARENA_NEW(&ctx->arena, struct cert_chain);
    struct download d;
    bool found = false;
    TRY(download_find(ctx, s, in->attempt, &d, &found));
    if (!found || strcmp(d.managed, in->managed) != 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the signer keeps no key of attempt %s of that managed certificate", in->attempt);
    TRY(cert_chain_parse_der(ctx, in->chain.v, in->chain.n, chain));
    if (chain->n == 0 || !bytes_equal(bytes_of(chain->v[0].spki_sha256, SHA256_LEN), d.spki_sha256))
        return ctx_fail(ctx, E_CONFLICT, "the certificate is not of the key of attempt %s", in->attempt);
    TRY(may_take(ctx, s));
    w->state = chain;
    w->answer = take_answer;
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 4096);
    record_put_text(&b, in->attempt);
    record_put_text(&b, wire_signer_download_take_format_word(in->format));
    return work_journal(s, w, RECORD_DOWNLOAD_TAKEN, &b);
}

/* --- forgetting: the journal knows first; a crash in between leaves a file that nobody gets, and that goes with the next asking */

static RC forget_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_download_forget *in = w->in;
    return keyring_destroy(w->ctx, &s->keys, KEY_CLASS_DOWNLOAD, in->attempt);
}

RC download_forget_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_download_forget *in = w->in;
    uint8_t key[INDEX_KEY_LEN];
    if (!str_is_name(bytes_z(in->attempt)))
        return ctx_fail(w->ctx, E_INVALID, "\"%s\" cannot name an attempt", in->attempt);
    TRY(key_of(w->ctx, in->attempt, key));
    w->answer = forget_answer;
    const struct index_entry *e = index_find(&s->downloads, key);
    if (e != NULL && e->b)
        return RC_OK;
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 4096);
    record_put_text(&b, in->attempt);
    return work_journal(s, w, RECORD_DOWNLOAD_FORGOT, &b);
}
