/* Keys that programs show in TLS instead of a token (core/access.h, access_client_key). */
#include "base/encode.h"
#include "core/token.h"
#include "core/user.h"
#include "hub/api.h"
#include "pki/cert.h"
#include "pki/digest.h"
#include "pki/pem.h"

#define RSA_BITS_MIN 2048

static struct rc key_of_pem(struct ctx *ctx, const char *field, const char *text, const char *label, struct bytes *der)
{
    struct bytes rest = bytes_z(text);
    struct pem_block block;
    bool found = false;
    TRY(pem_next(ctx, &rest, &block, &found));
    if (!found || !bytes_equal_z(block.label, label))
        return ctx_fail_field(ctx, field, "this is no PEM that begins with -----BEGIN %s-----", label);
    *der = block.der;
    return RC_OK;
}

static struct rc read_spki(struct ctx *ctx, const struct api_client_key_new *in, struct spki *out)
{
    struct cert cert;
    struct bytes der;
    if (!in->certificate == !in->public_key)
        return ctx_fail_field(ctx, "/certificate", "send a certificate or a public key, one of them");
    if (in->public_key) {
        TRY(key_of_pem(ctx, "/public_key", in->public_key, "PUBLIC KEY", &der));
        return spki_parse(ctx, der, out);
    }
    TRY(key_of_pem(ctx, "/certificate", in->certificate, PEM_CERTIFICATE, &der));
    TRY(cert_parse(ctx, der, &cert));
    *out = cert.spki;
    return RC_OK;
}

static bool strong(const struct spki *s)
{
    return s->kind == SPKI_ED25519 || (s->kind == SPKI_EC && s->bits >= 256) || (s->kind == SPKI_RSA && s->bits >= RSA_BITS_MIN);
}

RC api_client_key_create(struct api_call *call, const struct api_client_key_new *in, struct api_token *out)
{
    struct ctx *ctx = call->ctx;
    struct q_user_get_row user;
    struct spki spki;
    uint8_t hash[SHA256_LEN];
    struct token_made made;
    struct q_token_get_row row;
    TRY(user_get(ctx, call->core, call->path[0], &user));
    if (!call->hub->client_keys)
        return ctx_fail(ctx, E_CONFLICT,
                        "the hub does not ask for keys in TLS: set client_keys: true under https in hub.yaml, and start "
                        "it again");
    TRY(read_spki(ctx, in, &spki));
    if (!strong(&spki))
        return ctx_fail(ctx, E_WEAK_KEY, "a key is RSA of %d bits or more, on P-256 or a larger curve, or Ed25519", RSA_BITS_MIN);
    TRY(digest_sha256(ctx, spki.der, hash));
    const struct str_list scopes = api_list_of(ctx, &in->scopes);
    const struct token_input t = {.name = in->name,
                                  .role = in->role,
                                  .team = in->team,
                                  .user = user.id,
                                  .spki_sha256 = bytes_of(hash, sizeof hash),
                                  .scopes = &scopes,
                                  .lifetime_s = in->lifetime_s};
    TRY(token_create(ctx, call->core, &t, &made));
    TRY(token_get(ctx, call->core, made.id, &row));
    return api_token_out(ctx, &row, out);
}

RC api_client_key_list(struct api_call *call, struct api_client_keys *out)
{
    struct ctx *ctx = call->ctx;
    struct q_client_key_list_row *rows = NULL;
    size_t n = 0;
    TRY(token_client_keys(ctx, call->core, call->path[0], &rows, &n));
    struct api_client_key *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct api_client_key){.id = rows[i].id,
                                           .name = rows[i].name,
                                           .role = rows[i].role,
                                           .team = rows[i].team,
                                           .spki_sha256 = hex_str(&ctx->arena, rows[i].spki_sha256),
                                           .created_at = rows[i].created_at,
                                           .expires_at = rows[i].expires_at,
                                           .has_used_at = rows[i].used_at != NULL,
                                           .used_at = rows[i].used_at ? *rows[i].used_at : 0};
        if (rows[i].permissions)
            TRY(api_strings_of_json(ctx, rows[i].permissions, &items[i].scopes));
    }
    out->items = (struct api_client_key_list){items, n};
    return RC_OK;
}

RC api_client_key_remove(struct api_call *call)
{
    struct ctx *ctx = call->ctx;
    struct q_client_key_list_row *rows = NULL;
    size_t n = 0;
    TRY(token_client_keys(ctx, call->core, call->path[0], &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(rows[i].id, call->path[1]))
            return token_revoke(ctx, call->core, rows[i].id);
    return ctx_fail(ctx, E_NOT_FOUND, "no such key is enrolled; certwright client-key list USER shows them");
}
