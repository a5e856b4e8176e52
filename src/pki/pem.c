#include "pki/pem.h"

#include "base/encode.h"

#define PEM_BLOCK_MAX ((size_t)1 << 20)

static bool take_line(struct bytes *text, struct bytes *line)
{
    if (bytes_take_line(text, line)) {
        *line = bytes_trim(*line);
        return true;
    }
    if (!text->n)
        return false;
    *line = bytes_trim(*text);
    bytes_skip(text, text->n);
    return true;
}

/* "-----BEGIN LABEL-----" */
static bool boundary(struct bytes line, struct bytes start, struct bytes *label)
{
    struct bytes dashes = BYTES_LIT("-----");
    if (!bytes_starts_with(line, start) || !bytes_ends_with(line, dashes) || line.n < start.n + dashes.n)
        return false;
    *label = bytes_of(line.p + start.n, line.n - start.n - dashes.n);
    return true;
}

struct rc pem_next(struct ctx *ctx, struct bytes *text, struct pem_block *out, bool *found)
{
    struct bytes line, end;
    *found = false;
    do {
        if (!take_line(text, &line))
            return RC_OK;
    } while (!boundary(line, BYTES_LIT("-----BEGIN "), &out->label));

    struct bytes body = *text;
    for (;;) {
        struct bytes before = *text;
        if (!take_line(text, &line))
            return ctx_fail(ctx, E_PARSE, "a PEM block has no END line");
        if (boundary(line, BYTES_LIT("-----END "), &end)) {
            body.n = (size_t)(before.p - body.p);
            break;
        }
        if (memchr(line.p ? line.p : (const uint8_t *)"", ':', line.n))
            return ctx_fail(ctx, E_PARSE, "a PEM block has headers, as old encrypted keys do: convert it with openssl pkcs8");
    }
    if (!bytes_equal(end, out->label))
        return ctx_fail(ctx, E_PARSE, "a PEM block ends under another label than it began");
    if (body.n > PEM_BLOCK_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a PEM block is larger than 1 MiB");
    if (!get_base64_pem(&ctx->arena, body, &out->der) || !out->der.n)
        return ctx_fail(ctx, E_PARSE, "a PEM block is not base64");
    *found = true;
    return RC_OK;
}

void pem_put(struct buf *b, const char *label, struct bytes der)
{
    buf_put_z(b, "-----BEGIN ");
    buf_put_z(b, label);
    buf_put_z(b, "-----\n");
    put_base64_lines(b, der);
    if (b->n && b->p[b->n - 1] != '\n')
        buf_put_u8(b, '\n');
    buf_put_z(b, "-----END ");
    buf_put_z(b, label);
    buf_put_z(b, "-----\n");
}
