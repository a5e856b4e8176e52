/* Certificates: what was issued, by fingerprint. */
#include "base/encode.h"
#include "hub/api.h"
#include "pki/digest.h"
#include "pki/pem.h"
#include "store/queries.h"

struct reading {
    struct bytes fingerprint;
    int64_t limit;
    struct q_certificate_get_row row;
    bool found;
    struct q_certificate_list_row *rows;
    size_t n;
};

static struct rc one_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_certificate_get(ctx, txn, r->fingerprint, access_scope(ctx), &r->row, &r->found);
}

static struct rc find(struct api_call *call, struct reading *r)
{
    struct ctx *ctx = call->ctx;
    if (!get_hex(&ctx->arena, bytes_z(call->path[0]), &r->fingerprint) || r->fingerprint.n != SHA256_LEN)
        return ctx_fail(ctx, E_INVALID, "a fingerprint is the SHA-256 of the certificate: 64 hexadecimal digits");
    TRY(store_read(ctx, call->core->store, one_read, r));
    return r->found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no certificate has the fingerprint %s", call->path[0]);
}

RC api_certificate_get(struct api_call *call, struct api_certificate *out)
{
    struct ctx *ctx = call->ctx;
    struct reading r = {0};
    TRY(find(call, &r));
    *out = (struct api_certificate){
        .fingerprint = r.row.fingerprint,
        .serial = r.row.serial,
        .subject = r.row.subject,
        .issuer = r.row.issuer,
        .key_kind = r.row.key_kind,
        .spki_sha256 = r.row.spki_sha256,
        .not_before = r.row.not_before,
        .not_after = r.row.not_after,
        .created_at = r.row.created_at,
    };
    TRY(api_pem(ctx, PEM_CERTIFICATE, r.row.der, &out->pem));
    return api_strings_of_json(ctx, r.row.names, &out->names);
}

RC api_certificate_download(struct api_call *call)
{
    const struct api_certificate_download_query *q = call->query;
    struct reading r = {0};
    TRY(find(call, &r));
    const bool der = str_equal(q->format, "der");
    http_response_header(call->resp, "Content-Type", der ? "application/pkix-cert" : "application/x-pem-file");
    if (der)
        buf_put(&call->resp->body, r.row.der);
    else
        pem_put(&call->resp->body, PEM_CERTIFICATE, r.row.der);
    return buf_status(&call->resp->body);
}

static struct rc list_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct reading *r = arg;
    return q_certificate_list(ctx, txn, access_scope(ctx), r->fingerprint, r->limit, &r->rows, &r->n);
}

RC api_certificate_list(struct api_call *call, struct api_certificate_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_certificate_list_query *q = call->query;
    const char *after = NULL;
    struct reading r = {.limit = q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &after));
    if (!get_hex(&ctx->arena, bytes_z(after), &r.fingerprint))
        return ctx_fail_field(ctx, "/cursor", "the cursor is not one given here; start again without it");
    TRY(store_read(ctx, call->core->store, list_read, &r));
    struct api_certificate *items = arena_array(&ctx->arena, r.n, sizeof *items);
    for (size_t i = 0; i < r.n; i++) {
        const struct q_certificate_list_row *row = &r.rows[i];
        items[i] = (struct api_certificate){
            .fingerprint = row->fingerprint,
            .serial = row->serial,
            .subject = row->subject,
            .issuer = row->issuer,
            .key_kind = row->key_kind,
            .spki_sha256 = row->spki_sha256,
            .not_before = row->not_before,
            .not_after = row->not_after,
            .created_at = row->created_at,
        };
        TRY(api_strings_of_json(ctx, row->names, &items[i].names));
    }
    out->items = (struct api_certificate_list){items, r.n};
    if ((int64_t)r.n == q->limit)
        out->next = api_cursor_make(ctx, hex_str(&ctx->arena, items[r.n - 1].fingerprint));
    return RC_OK;
}
