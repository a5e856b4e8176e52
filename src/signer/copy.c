/* What a backup needs of the signer's folder, and what a database that was restored from one has to hear of it.  The keys go out as
 * they are on the disk: sealed under the key-encryption key, which the hub does not have. */
#include "os/file.h"
#include "signer/work.h"

#define KEY_FILE_MAX ((size_t)1 << 20)
#define FILES_MAX    20000
#define PAGE_MAX     100

RC copy_list_begin(struct signer *s, struct work *w)
{
    struct wire_signer_copy *out = w->out;
    struct str_list names = {0};
    int fd FD_CLEANUP = -1;
    TRY(file_open_dir(w->ctx, s->keys.dir, &fd));
    TRY(file_list(w->ctx, fd, &names));
    /* What is in the journal is on the disk: records of this batch are not, and so not in its size. */
    *out =
        (struct wire_signer_copy){.generation = signer_journal_generation(s->journal), .journal = signer_journal_size(s->journal)};
    out->files.v = arena_array(&w->ctx->arena, names.n + 1, sizeof *out->files.v);
    for (size_t i = 0; i < names.n; i++)
        if (!file_is_temporary(names.v[i]))
            out->files.v[out->files.n++] = names.v[i];
    return out->files.n <= FILES_MAX ? RC_OK : ctx_fail(w->ctx, E_TOO_LARGE, "the signer has %zu keys", out->files.n);
}

RC copy_read_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_copy_read *in = w->in;
    struct wire_signer_copied *out = w->out;
    if (in->generation != signer_journal_generation(s->journal))
        return ctx_fail(w->ctx, E_CHANGED, "the signer's journal was rewritten meanwhile");
    if (in->file[0] == 0)
        return signer_journal_copy(w->ctx, s->journal, (uint64_t)in->offset, (size_t)in->bytes, &out->data);
    int fd FD_CLEANUP = -1;
    TRY(file_open_dir(w->ctx, s->keys.dir, &fd));
    if (strchr(in->file, '/') != NULL || in->file[0] == '.')
        return ctx_fail(w->ctx, E_INVALID, "\"%s\" is no key of the signer", in->file);
    return file_read_at(w->ctx, fd, in->file, KEY_FILE_MAX, &out->data);
}

/* --- what was issued and revoked */

struct page {
    struct signer *s;
    int64_t since;
    struct wire_signer_history_page *out;
    bool *full;
};

static void put(struct page *p, bool revoked, const char *ca, const char *request, struct bytes data, int64_t at, int64_t reason)
{
    struct wire_signer_history_page *out = p->out;
    const size_t n = out->cas.n;
    out->revoked.v[n] = revoked ? 1 : 0;
    out->cas.v[n] = ca;
    out->requests.v[n] = request;
    out->data.v[n] = data;
    out->times.v[n] = at;
    out->reasons.v[n] = reason;
    out->revoked.n = out->cas.n = out->requests.n = out->data.n = out->times.n = out->reasons.n = n + 1;
    *p->full = n + 1 == PAGE_MAX;
}

static RC issued(struct ctx *ctx, struct page *p, const struct signer_record *r)
{
    struct arena *a = &ctx->arena;
    struct bytes in = r->content, key, certificate;
    const char *ca = NULL, *request = "";
    struct signer_record record;
    struct intent intent = {0};
    if (!record_take_blob(a, &in, &key) || key.n != INDEX_KEY_LEN || !record_take_text(a, &in, &ca) ||
        !record_take_blob(a, &in, &certificate))
        return ctx_fail(ctx, E_IO, "a record of the journal (issued) cannot be read");
    const struct index_entry *e = index_find(&p->s->requests, key.p);
    if (e != NULL && e->a != 0) {
        TRY(signer_journal_read(ctx, p->s->journal, e->a - 1, &record));
        TRY(intent_take(ctx, record.content, &intent));
        request = intent.request_id;
    }
    put(p, false, ca, request, certificate, r->time, 0);
    return RC_OK;
}

static RC revoked(struct ctx *ctx, struct page *p, const struct signer_record *r)
{
    struct arena *a = &ctx->arena;
    struct bytes in = r->content, serial;
    const char *ca = NULL;
    int64_t at = 0;
    uint8_t reason = 0;
    if (!record_take_text(a, &in, &ca) || !record_take_blob(a, &in, &serial) || serial.n > SERIAL_MAX ||
        !record_take_i64(&in, &at) || !bytes_take_u8(&in, &reason))
        return ctx_fail(ctx, E_IO, "a record of the journal (revoked) cannot be read");
    put(p, true, ca, "", serial, at, reason);
    return RC_OK;
}

static RC one(struct ctx *ctx, void *arg, const struct signer_record *r)
{
    struct page *p = arg;
    if (r->time < p->since)
        return RC_OK;
    return r->type == RECORD_ISSUED ? issued(ctx, p, r) : r->type == RECORD_REVOKED ? revoked(ctx, p, r) : RC_OK;
}

RC history_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_history *in = w->in;
    struct wire_signer_history_page *out = w->out;
    struct arena *a = &w->ctx->arena;
    bool full = false;
    struct page p = {.s = s, .since = in->since, .out = out, .full = &full};
    uint64_t frame = (uint64_t)in->frame, skip = (uint64_t)in->skip;
    *out = (struct wire_signer_history_page){0};
    out->revoked.v = arena_array(a, PAGE_MAX, sizeof *out->revoked.v);
    out->cas.v = arena_array(a, PAGE_MAX, sizeof *out->cas.v);
    out->requests.v = arena_array(a, PAGE_MAX, sizeof *out->requests.v);
    out->data.v = arena_array(a, PAGE_MAX, sizeof *out->data.v);
    out->times.v = arena_array(a, PAGE_MAX, sizeof *out->times.v);
    out->reasons.v = arena_array(a, PAGE_MAX, sizeof *out->reasons.v);
    TRY(signer_journal_page(w->ctx, s->journal, &frame, &skip, one, &p, &full));
    out->frame = (int64_t)frame;
    out->skip = (int64_t)skip;
    out->more = full;
    return RC_OK;
}

/* --- after a restore */

static RC crl_on(struct ctx *ctx, struct signer *s, const struct ca *ca, int64_t gap)
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 4096);
    record_put_text(&b, ca->f.name);
    buf_put_u64(&b, (uint64_t)(ca->crl_number + gap));
    buf_put_u64(&b, (uint64_t)ca->crl_this);
    buf_put_u64(&b, (uint64_t)ca->crl_next);
    TRY(buf_status(&b));
    signer_journal_append(s->journal, RECORD_CRL, clock_unix_s(s->clock), buf_bytes(&b));
    (void)ctx;
    return RC_OK;
}

static RC log_on(struct signer *s, const struct signer_restored *r)
{
    struct buf b BUF_CLEANUP = {0};
    struct audit_state next = {.some = true, .size = r->audit_size, .at = clock_unix_s(s->clock), .has_key = s->audit.has_key};
    memcpy(next.root, r->audit_root, sizeof next.root);
    buf_init(&b, 1024);
    audit_record_put(&b, &next);
    TRY(buf_status(&b));
    signer_journal_append(s->journal, RECORD_AUDIT_HEAD, clock_unix_s(s->clock), buf_bytes(&b));
    return RC_OK;
}

RC signer_restored(struct ctx *ctx, const struct signer_config *config, struct secret *kek, const struct signer_restored *r)
{
    struct signer *s = NULL;
    const struct key *key = NULL;
    struct ca *fleet = NULL;
    TRY(signer_open(ctx, config, kek, &s));
    struct rc rc = state_ca(ctx, s, CA_NAME_FLEET, &fleet);
    if (rc_ok(rc)) /* that the keys open is known before anything takes the place of anything */
        rc = state_ca_key(ctx, s, fleet, &key);
    for (const struct ca *ca = s->cas; ca != NULL && rc_ok(rc); ca = ca->next)
        if (ca->crl_number > 0 && r->crl_gap > 0)
            rc = crl_on(ctx, s, ca, r->crl_gap);
    if (rc_ok(rc) && s->audit.some)
        rc = log_on(s, r);
    if (rc_ok(rc))
        rc = signer_journal_commit(ctx, s->journal);
    signer_close(s);
    return rc;
}
