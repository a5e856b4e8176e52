/* Heads of the hub's audit log: signed one after the other, each only where it extends the one before.  The last one is in the
 * journal, so that neither a hub nor a database that was put back to an older copy can have another past signed. */
#include "base/encode.h"
#include "base/failpoint.h"
#include "signer/people.h"

/* There is one log; its name is what the key is of. */
static RC log_check(struct ctx *ctx, const char *log, struct bytes root)
{
    if (strcmp(log, MERKLE_AUDIT_LOG) != 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the signer has no log named %s", log);
    return root.n == MERKLE_LEN ? RC_OK : ctx_fail(ctx, E_INVALID, "the root of a tree has %d bytes", MERKLE_LEN);
}

/* A key that went while its heads are known would go unnoticed if another were made. */
static RC log_key(struct signer *s, struct ctx *ctx, const struct key **out)
{
    struct audit_state *a = &s->audit;
    if (a->key == NULL) {
        struct rc rc = keyring_load(ctx, &s->keys, KEY_CLASS_AUDIT, MERKLE_AUDIT_LOG, &a->key);
        if (rc.e == E_NOT_FOUND && a->has_key == 0) {
            ctx_forget(ctx);
            rc = keyring_make(ctx, &s->keys, KEY_CLASS_AUDIT, MERKLE_AUDIT_LOG, KEY_EC_P256, &a->key);
        }
        TRY(rc);
    }
    *out = a->key;
    return RC_OK;
}

void audit_record_put(struct buf *b, const struct audit_state *a)
{
    buf_put_u64(b, a->size);
    buf_put_mem(b, a->root, sizeof a->root);
    buf_put_u64(b, (uint64_t)a->at);
    record_put_blob(b, bytes_of(a->signature, a->signature_n));
    buf_put_u8(b, a->has_key);
}

RC audit_record_apply(struct ctx *ctx, struct signer *s, struct bytes in)
{
    struct audit_state *a = &s->audit;
    struct bytes signature;
    uint64_t size = 0;
    uint8_t root[MERKLE_LEN], has_key = 0;
    int64_t at = 0;
    if (!bytes_take_u64(&in, &size) || !record_take_digest(&in, root) || !record_take_i64(&in, &at) ||
        !record_take_blob(&ctx->arena, &in, &signature) || signature.n > sizeof a->signature || !bytes_take_u8(&in, &has_key))
        return ctx_fail(ctx, E_IO, "a record of the journal (audit head) cannot be read: was it written by a newer Certwright?");
    a->some = true;
    a->size = size;
    a->at = at;
    a->has_key = has_key;
    a->signature_n = (uint8_t)signature.n;
    memcpy(a->root, root, sizeof a->root);
    if (signature.n > 0)
        memcpy(a->signature, signature.p, signature.n);
    return RC_OK;
}

static RC head_answer(struct signer *s, struct work *w)
{
    struct wire_signer_audit_signed *out = w->out;
    const struct audit_state *a = &s->audit;
    const struct key *key = NULL;
    struct arena *arena = &w->ctx->arena;
    if (a->has_key > 0) {
        TRY(log_key(s, w->ctx, &key));
        out->key = arena_bytes(arena, key_spki(key));
    }
    out->size = (int64_t)a->size;
    out->root = a->some ? arena_bytes(arena, bytes_of(a->root, sizeof a->root)) : (struct bytes){0};
    out->at = a->at;
    out->signature = arena_bytes(arena, bytes_of(a->signature, a->signature_n));
    return RC_OK;
}

static RC extends(struct ctx *ctx, const struct audit_state *last, const struct wire_signer_audit_head *in)
{
    struct merkle_path path = {.n = in->proof.n};
    const char *remedy = "the database is an older copy, or its audit log was changed; see: certwright audit head";
    if (!last->some)
        return RC_OK;
    if ((uint64_t)in->size < last->size)
        return ctx_fail(ctx, E_CONFLICT, "a head of %lld entries does not extend the last one signed, of %llu: %s",
                        (long long)in->size, (unsigned long long)last->size, remedy);
    if (in->proof.n > MERKLE_PATH_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "no proof has more than %d hashes", MERKLE_PATH_MAX);
    for (size_t i = 0; i < in->proof.n; i++) {
        if (in->proof.v[i].n != MERKLE_LEN)
            return ctx_fail(ctx, E_INVALID, "a hash of a proof has %d bytes", MERKLE_LEN);
        memcpy(path.hash[i], in->proof.v[i].p, MERKLE_LEN);
    }
    struct rc rc = merkle_consistency_check(ctx, last->size, (uint64_t)in->size, last->root, in->root.p, &path);
    if (rc.e != E_INVALID)
        return rc;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_CONFLICT, "a head of %lld entries does not extend the last one signed, of %llu: %s", (long long)in->size,
                    (unsigned long long)last->size, remedy);
}

RC audit_head_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_audit_head *in = w->in;
    const struct audit_state *last = &s->audit;
    const struct key *key = NULL;
    TRY(log_check(w->ctx, in->log, in->root));
    TRY(extends(w->ctx, last, in));
    w->answer = head_answer;
    if (last->some && last->signature_n > 0 && last->size == (uint64_t)in->size)
        return RC_OK; /* asked again: the same head */
    TRY(log_key(s, w->ctx, &key));
    struct merkle_head head = {.log = MERKLE_AUDIT_LOG, .size = (uint64_t)in->size, .at = clock_unix_s(s->clock)};
    memcpy(head.root, in->root.p, sizeof head.root);
    struct buf text BUF_CLEANUP = {0}, record BUF_CLEANUP = {0};
    struct bytes signature;
    buf_init(&text, 1024);
    merkle_head_put(&text, &head);
    TRY(buf_status(&text));
    TRY(key_sign(w->ctx, key, buf_bytes(&text), &signature));
    struct audit_state next = {.some = true, .size = head.size, .at = head.at, .signature_n = (uint8_t)signature.n, .has_key = 1};
    if (signature.n > sizeof next.signature)
        return ctx_fail(w->ctx, E_BUG, "a signature of %zu bytes", signature.n);
    memcpy(next.root, head.root, sizeof next.root);
    memcpy(next.signature, signature.p, signature.n);
    buf_init(&record, 1024);
    audit_record_put(&record, &next);
    return work_journal(s, w, RECORD_AUDIT_HEAD, &record);
}

RC audit_last_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_audit_last *in = w->in;
    uint8_t none[MERKLE_LEN] = {0};
    (void)s;
    w->answer = head_answer;
    return log_check(w->ctx, in->log, bytes_of(none, sizeof none));
}

/* After the database was restored from an older copy: an officer says where the log goes on. */
RC audit_accept_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_audit_accept *in = w->in;
    struct buf record BUF_CLEANUP = {0};
    TRY(log_check(w->ctx, in->log, in->root));
    struct audit_state next = {.some = true, .size = (uint64_t)in->size, .at = clock_unix_s(s->clock), .has_key = s->audit.has_key};
    memcpy(next.root, in->root.p, sizeof next.root);
    buf_init(&record, 1024);
    audit_record_put(&record, &next);
    w->answer = head_answer;
    return work_journal(s, w, RECORD_AUDIT_HEAD, &record);
}

RC audit_accept_words(struct signer *s, struct work *w, struct buf *out)
{
    const struct wire_signer_audit_accept *in = w->in;
    buf_printf(out, "the audit log goes on from entry %lld\nthe signer has signed %llu; what is between is given up\nroot ",
               (long long)in->size, (unsigned long long)s->audit.size);
    put_hex(out, in->root);
    return RC_OK;
}
