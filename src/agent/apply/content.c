#include "agent/apply/content.h"

#include "agent/apply/disk.h"
#include "pki/jks.h"
#include "pki/pkcs12.h"

#define CHAIN_OLD_MAX 32 /* certificates in a file that was there */
#define ALIAS "certwright"

void content_parts_free(struct content_parts *p)
{
    key_freep(&p->key);
}

static RC put_container(struct ctx *ctx, const struct content_parts *p, enum connector_content what, const struct secret *password,
                        const char *alias, struct buf *b)
{
    const struct container c = {p->key, &p->chain, alias != NULL ? alias : ALIAS, password};
    if (password == NULL)
        return ctx_fail(ctx, E_INVALID, "content %s needs a password", connector_content_name(what));
    if (what == CONTENT_JKS)
        return jks_build(ctx, &c, b);
    return pkcs12_build(ctx, what == CONTENT_PKCS12_LEGACY ? PKCS12_LEGACY : PKCS12_MODERN, &c, b);
}

static RC put_key_der(struct ctx *ctx, const struct key *key, struct buf *b)
{
    SECRET_CLEANUP struct secret pkcs8 = {0};
    TRY(key_to_pkcs8(ctx, key, &pkcs8));
    buf_put(b, secret_use(&pkcs8));
    return RC_OK;
}

RC content_make(struct ctx *ctx, const struct content_parts *p, enum connector_content what, const struct secret *password,
                const char *alias, struct bytes *out)
{
    struct bytes parts[3] = {{0}};
    struct buf b;
    if (p->key == NULL && connector_content_has_key(what))
        return ctx_fail(ctx, E_INVALID, "content %s holds the key, which is with whoever made the request",
                        connector_content_name(what));
    buf_init_arena(&b, &ctx->arena, DISK_FILE_MAX);
    switch (what) {
    case CONTENT_FULLCHAIN: parts[0] = p->leaf, parts[1] = p->rest; break;
    case CONTENT_LEAF: parts[0] = p->leaf; break;
    case CONTENT_CHAIN: parts[0] = p->rest; break;
    case CONTENT_KEY: parts[0] = p->key_pem; break;
    case CONTENT_COMBINED: parts[0] = p->key_pem, parts[1] = p->leaf, parts[2] = p->rest; break;
    case CONTENT_ROOT: parts[0] = p->roots; break;
    case CONTENT_LEAF_DER: parts[0] = p->chain.v[0].der; break;
    case CONTENT_KEY_DER: TRY(put_key_der(ctx, p->key, &b)); break;
    case CONTENT_PKCS12:
    case CONTENT_PKCS12_LEGACY:
    case CONTENT_JKS: TRY(put_container(ctx, p, what, password, alias, &b)); break;
    }
    for (size_t i = 0; i < 3; i++)
        buf_put(&b, parts[i]);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

static RC find_leaf(struct ctx *ctx, enum connector_content what, struct bytes old, const struct secret *password,
                    struct cert_chain *chain, size_t *leaf)
{
    struct pkcs12 p = {0};
    *leaf = 0;
    if (what == CONTENT_LEAF_DER)
        return cert_chain_parse_der(ctx, &old, 1, chain);
    if (what < CONTENT_PKCS12)
        return cert_chain_parse_pem(ctx, old, CHAIN_OLD_MAX, chain);
    if (password == NULL)
        return rc_of(E_NOT_FOUND);
    if (bytes_starts_with(old, BYTES_LIT("\xfe\xed\xfe\xed"))) /* a file may have been converted, under the same name */
        return jks_read(ctx, old, password, chain, NULL);
    TRY(pkcs12_read(ctx, old, password, &p, NULL));
    *chain = p.certs;
    *leaf = p.leaf;
    return RC_OK;
}

void content_leaf(struct ctx *ctx, enum connector_content what, struct bytes old, const struct secret *password, struct bytes *out)
{
    struct cert_chain chain = {0};
    size_t leaf;
    *out = (struct bytes){0};
    if (what == CONTENT_CHAIN || what == CONTENT_KEY || what == CONTENT_ROOT || what == CONTENT_KEY_DER)
        return;
    if (rc_ok(find_leaf(ctx, what, old, password, &chain, &leaf)) && leaf < chain.n)
        *out = arena_bytes(&ctx->arena, bytes_of(chain.v[leaf].fingerprint, SHA256_LEN));
    else
        ctx_forget(ctx);
}
