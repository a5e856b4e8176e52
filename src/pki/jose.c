#include "pki/jose.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "pki/der.h"
#include "pki/digest.h"
#include "pki/key_der.h"

#define JWK_MAX 4096
#define JWS_MAX ((size_t)256 << 10)
#define COMPACT_MAX (64 << 10)
#define JWKS_MAX 64

static size_t coordinate_len(const struct key *key)
{
    return key_kind_of(key) == KEY_EC_P384 ? 48 : 32;
}

const char *jose_alg(const struct key *key)
{
    switch (key_kind_of(key)) {
    case KEY_EC_P256: return "ES256";
    case KEY_EC_P384: return "ES384";
    default: return "RS256";
    }
}

/* --- JWK */

struct rc jose_jwk(struct ctx *ctx, const struct key *key, const char **out)
{
    const struct spki *s = key_public(key);
    struct arena *a = &ctx->arena;
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, a, JWK_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (s->kind == SPKI_EC) {
        size_t n = coordinate_len(key);
        json_put_str(&j, "crv", s->curve);
        json_put_str(&j, "kty", "EC");
        json_put_str(&j, "x", base64url_str(a, bytes_of(s->key.p + 1, n)));
        json_put_str(&j, "y", base64url_str(a, bytes_of(s->key.p + 1 + n, n)));
    } else {
        json_put_str(&j, "e", base64url_str(a, s->exponent));
        json_put_str(&j, "kty", "RSA");
        json_put_str(&j, "n", base64url_str(a, s->modulus));
    }
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc get_base64url_member(struct ctx *ctx, const json_t *obj, const char *key, struct bytes *out)
{
    const char *text = NULL;
    TRY(json_get_str(ctx, obj, key, true, &text));
    if (!get_base64url(&ctx->arena, bytes_z(text), out) || !out->n)
        return ctx_fail(ctx, E_PARSE, "\"%s\" is not base64url", key);
    return RC_OK;
}

static struct rc spki_from_jwk(struct ctx *ctx, const json_t *jwk, struct bytes *spki)
{
    const char *kty = NULL, *crv = NULL;
    TRY(json_get_str(ctx, jwk, "kty", true, &kty));
    if (str_equal(kty, "RSA")) {
        struct bytes n, e;
        TRY(get_base64url_member(ctx, jwk, "n", &n));
        TRY(get_base64url_member(ctx, jwk, "e", &e));
        return key_der_put_rsa_spki(ctx, n, e, spki);
    }
    TRY(json_get_str(ctx, jwk, "crv", true, &crv));
    bool p256 = str_equal(crv, "P-256");
    size_t n = p256 ? 32 : 48;
    if (!str_equal(kty, "EC") || (!p256 && !str_equal(crv, "P-384")))
        return ctx_fail(ctx, E_UNSUPPORTED, "a JWK of another kind than RSA, EC P-256 and EC P-384");
    struct bytes x, y;
    uint8_t point[EC_POINT_MAX] = {4};
    TRY(get_base64url_member(ctx, jwk, "x", &x));
    TRY(get_base64url_member(ctx, jwk, "y", &y));
    if (x.n != n || y.n != n)
        return ctx_fail(ctx, E_PARSE, "a coordinate of the JWK is not %zu bytes long", n);
    memcpy(point + 1, x.p, n);
    memcpy(point + 1 + n, y.p, n);
    return key_der_put_ec_spki(ctx, p256 ? KEY_EC_P256 : KEY_EC_P384, bytes_of(point, 1 + 2 * n), spki);
}

static struct rc key_from_json(struct ctx *ctx, const json_t *jwk, struct key **out)
{
    struct bytes spki;
    *out = NULL;
    TRY(spki_from_jwk(ctx, jwk, &spki));
    return key_from_spki(ctx, spki, out);
}

struct rc jose_key_from_jwk(struct ctx *ctx, struct bytes jwk, struct key **out)
{
    json_auto_t *root = NULL;
    *out = NULL;
    TRY(json_read(ctx, jwk, &root));
    return key_from_json(ctx, root, out);
}

static struct rc private_numbers(struct ctx *ctx, const json_t *jwk, struct key_numbers *k)
{
    static const char *const members[RSA_NUMBERS] = {"n", "e", "d", "p", "q", "dp", "dq", "qi"};
    const char *kty = NULL, *crv = NULL;
    TRY(json_get_str(ctx, jwk, "kty", true, &kty));
    *k = (struct key_numbers){.kind = KEY_RSA_2048};
    for (size_t i = 0; str_equal(kty, "RSA") && i < RSA_NUMBERS; i++)
        TRY(get_base64url_member(ctx, jwk, members[i], &k->rsa[i]));
    if (str_equal(kty, "RSA"))
        return RC_OK;
    TRY(json_get_str(ctx, jwk, "crv", true, &crv));
    k->kind = str_equal(crv, "P-256") ? KEY_EC_P256 : str_equal(crv, "P-384") ? KEY_EC_P384 : KEY_OTHER;
    if (!str_equal(kty, "EC") || k->kind == KEY_OTHER)
        return ctx_fail(ctx, E_UNSUPPORTED, "a JWK of another kind than RSA, EC P-256 and EC P-384");
    TRY(get_base64url_member(ctx, jwk, "d", &k->scalar));
    return k->scalar.n == (k->kind == KEY_EC_P256 ? 32 : 48) ? RC_OK : ctx_fail(ctx, E_PARSE, "d of the JWK has a wrong length");
}

struct rc jose_private_from_jwk(struct ctx *ctx, struct bytes text, struct key **out)
{
    json_auto_t *root = NULL;
    struct key_numbers numbers = {0};
    struct secret der SECRET_CLEANUP = {0};
    struct buf b BUF_CLEANUP = {0};
    *out = NULL;
    TRY(json_read(ctx, text, &root));
    struct rc rc = private_numbers(ctx, root, &numbers);
    if (rc_ok(rc)) {
        buf_init_secret(&b, JWK_MAX * 2);
        key_der_put_private(&numbers, &b);
        rc = buf_status(&b);
    }
    if (rc_ok(rc))
        rc = secret_from(ctx, &der, buf_bytes(&b));
    for (size_t i = 0; i < RSA_NUMBERS; i++)
        if (numbers.rsa[i].n > 0)
            wipe((void *)(uintptr_t)numbers.rsa[i].p, numbers.rsa[i].n);
    if (numbers.scalar.n > 0)
        wipe((void *)(uintptr_t)numbers.scalar.p, numbers.scalar.n);
    TRY(rc);
    return key_from_pkcs8(ctx, &der, out);
}

struct rc jose_thumbprint(struct ctx *ctx, const struct key *key, const char **out)
{
    uint8_t hash[SHA256_LEN];
    const char *jwk;
    TRY(jose_jwk(ctx, key, &jwk));
    TRY(digest_sha256(ctx, bytes_z(jwk), hash));
    *out = base64url_str(&ctx->arena, bytes_of(hash, sizeof hash));
    return RC_OK;
}

struct rc jose_key_authorization(struct ctx *ctx, const struct key *key, struct bytes token, const char **out)
{
    const char *thumbprint;
    TRY(jose_thumbprint(ctx, key, &thumbprint));
    *out = arena_printf(&ctx->arena, "%s.%s", arena_str(&ctx->arena, token), thumbprint);
    return RC_OK;
}

/* --- signing */

/* Takes a JWS's parts together; `signing_input` is PROTECTED "." PAYLOAD. */
static struct rc put_jws(struct ctx *ctx, struct buf *out, const char *protected, const char *payload, struct bytes signature)
{
    struct json_out j;
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    json_put_str(&j, "protected", protected);
    json_put_str(&j, "payload", payload);
    json_put_str(&j, "signature", base64url_str(&ctx->arena, signature));
    json_close(&j);
    return buf_status(out);
}

static struct bytes signing_input(struct ctx *ctx, const char *protected, const char *payload)
{
    return bytes_z(arena_printf(&ctx->arena, "%s.%s", protected, payload));
}

/* The DER of an ECDSA signature as R and S side by side (RFC 7518 section 3.4), and back. */
static struct rc to_raw(struct ctx *ctx, const struct key *key, struct bytes der, struct bytes *out)
{
    struct bytes body, r, s;
    size_t n = coordinate_len(key);
    uint8_t *p = arena_alloc(&ctx->arena, 2 * n);
    if (!der_only(der, DER_SEQUENCE, &body) || !der_take_unsigned(&body, &r) || !der_take_unsigned(&body, &s) || body.n ||
        r.n > n || s.n > n)
        return ctx_fail(ctx, E_CRYPTO, "an ECDSA signature is malformed");
    memcpy(p + n - r.n, r.p, r.n);
    memcpy(p + 2 * n - s.n, s.p, s.n);
    *out = bytes_of(p, 2 * n);
    return RC_OK;
}

static struct rc from_raw(struct ctx *ctx, const struct key *key, struct bytes raw, struct bytes *out)
{
    size_t n = coordinate_len(key);
    struct buf b;
    if (raw.n != 2 * n)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the signature has a wrong length");
    buf_init_arena(&b, &ctx->arena, 256);
    size_t outer = der_begin(&b, DER_SEQUENCE);
    der_put_unsigned(&b, bytes_of(raw.p, n));
    der_put_unsigned(&b, bytes_of(raw.p + n, n));
    der_end(&b, outer);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

static struct rc protected_header(struct ctx *ctx, const char *alg, const char *jwk, const struct jose_header *h, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 16384);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "alg", alg);
    if (h->kid)
        json_put_str(&j, "kid", h->kid);
    else if (jwk)
        json_put_raw(&j, "jwk", bytes_z(jwk));
    if (h->nonce)
        json_put_str(&j, "nonce", h->nonce);
    if (h->url)
        json_put_str(&j, "url", h->url);
    json_close(&j);
    TRY(buf_status(&b));
    *out = base64url_str(&ctx->arena, buf_bytes(&b));
    return RC_OK;
}

struct rc jose_sign(struct ctx *ctx, const struct key *key, const struct jose_header *header, struct bytes payload, struct buf *out)
{
    const char *jwk = NULL, *protected, *payload_text = base64url_str(&ctx->arena, payload);
    struct bytes signature;
    if (!header->kid)
        TRY(jose_jwk(ctx, key, &jwk));
    TRY(protected_header(ctx, jose_alg(key), jwk, header, &protected));
    TRY(key_sign(ctx, key, signing_input(ctx, protected, payload_text), &signature));
    if (key_public(key)->kind == SPKI_EC)
        TRY(to_raw(ctx, key, signature, &signature));
    return put_jws(ctx, out, protected, payload_text, signature);
}

struct rc jose_eab(struct ctx *ctx, const struct key *account, const char *kid, const struct secret *mac_key, const char *url,
                   struct buf *out)
{
    const struct jose_header header = {.kid = kid, .url = url};
    uint8_t mac[SHA256_LEN];
    const char *jwk, *protected;
    TRY(jose_jwk(ctx, account, &jwk));
    TRY(protected_header(ctx, "HS256", NULL, &header, &protected));
    const char *payload = base64url_str(&ctx->arena, bytes_z(jwk));
    TRY(digest_hmac_sha256(ctx, secret_use(mac_key), signing_input(ctx, protected, payload), mac));
    return put_jws(ctx, out, protected, payload, bytes_of(mac, sizeof mac));
}

/* --- verifying */

struct jws {
    const char *protected, *payload;
    struct bytes signature;
    struct jose_message message;
};

static struct rc read_protected(struct ctx *ctx, struct jws *w)
{
    json_auto_t *header = NULL;
    const json_t *jwk = NULL;
    struct bytes text;
    if (!get_base64url(&ctx->arena, bytes_z(w->protected), &text))
        return ctx_fail(ctx, E_PARSE, "the protected header of the JWS is not base64url");
    TRY(json_read(ctx, text, &header));
    TRY(json_get_str(ctx, header, "alg", true, &w->message.alg));
    TRY(json_get_str(ctx, header, "kid", false, &w->message.kid));
    TRY(json_get_str(ctx, header, "nonce", false, &w->message.nonce));
    TRY(json_get_str(ctx, header, "url", false, &w->message.url));
    TRY(json_get_obj(ctx, header, "jwk", false, &jwk));
    if (json_object_get(header, "crit"))
        return ctx_fail(ctx, E_UNSUPPORTED, "the JWS has critical header members");
    if (jwk) {
        struct buf b;
        struct json_out j;
        buf_init_arena(&b, &ctx->arena, JWK_MAX);
        json_begin(&j, &b);
        json_put_value(&j, NULL, jwk);
        TRY(buf_status(&b));
        w->message.jwk = buf_z(&b);
    }
    return RC_OK;
}

static struct rc read_jws(struct ctx *ctx, struct bytes text, struct jws *w)
{
    json_auto_t *root = NULL;
    *w = (struct jws){0};
    if (text.n > JWS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a JWS of %zu bytes is larger than %zu", text.n, JWS_MAX);
    TRY(json_read(ctx, text, &root));
    TRY(json_get_str(ctx, root, "protected", true, &w->protected));
    TRY(json_get_str(ctx, root, "payload", true, &w->payload));
    TRY(get_base64url_member(ctx, root, "signature", &w->signature));
    if (!get_base64url(&ctx->arena, bytes_z(w->payload), &w->message.payload))
        return ctx_fail(ctx, E_PARSE, "the payload of the JWS is not base64url");
    return read_protected(ctx, w);
}

/* The key decides which algorithm there is (RFC 8725 section 3.1). */
static struct rc check_signature(struct ctx *ctx, const struct jws *w, const struct key *key)
{
    struct bytes signature = w->signature;
    if (!str_equal(w->message.alg, jose_alg(key)))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the JWS names another algorithm than its key's");
    if (key_public(key)->kind == SPKI_EC)
        TRY(from_raw(ctx, key, signature, &signature));
    if (rc_failed(key_verify_own(ctx, key, signing_input(ctx, w->protected, w->payload), signature)))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the signature of the JWS is wrong");
    return RC_OK;
}

struct rc jose_verify(struct ctx *ctx, struct bytes jws, const struct key *key, struct jose_message *out)
{
    KEY_CLEANUP struct key *own = NULL;
    struct jws w;
    TRY(read_jws(ctx, jws, &w));
    if (!key) {
        if (!w.message.jwk)
            return ctx_fail(ctx, E_UNAUTHENTICATED, "the JWS carries no key");
        TRY(jose_key_from_jwk(ctx, bytes_z(w.message.jwk), &own));
        key = own;
    }
    TRY(check_signature(ctx, &w, key));
    *out = w.message;
    return RC_OK;
}

/* --- compact */

static struct rc read_compact(struct ctx *ctx, struct bytes token, struct jws *w)
{
    struct bytes rest = token, protected, payload;
    *w = (struct jws){0};
    if (token.n > COMPACT_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a token of %zu bytes is larger than %d", token.n, COMPACT_MAX);
    if (!bytes_take_until(&rest, '.', &protected) || !bytes_take_until(&rest, '.', &payload))
        return ctx_fail(ctx, E_PARSE, "the token is not three parts with dots between them");
    w->protected = arena_str(&ctx->arena, protected);
    w->payload = arena_str(&ctx->arena, payload);
    if (strlen(w->protected) != protected.n || !get_base64url(&ctx->arena, payload, &w->message.payload) ||
        !get_base64url(&ctx->arena, rest, &w->signature))
        return ctx_fail(ctx, E_PARSE, "a part of the token is not base64url");
    return read_protected(ctx, w);
}

static bool member_is(const json_t *obj, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(obj, key));
    return text && str_equal(text, value);
}

/* Whether a key of the set may be the one that is meant: what is for something else, or of a kind that we do not have, is not. */
static bool key_is_meant(struct ctx *ctx, const json_t *jwk, const struct jose_message *m, struct key **out)
{
    if (!json_is_object(jwk) || (json_object_get(jwk, "use") && !member_is(jwk, "use", "sig")) ||
        (json_object_get(jwk, "alg") && !member_is(jwk, "alg", m->alg)) || (m->kid && !member_is(jwk, "kid", m->kid)))
        return false;
    if (rc_failed(key_from_json(ctx, jwk, out))) {
        ctx_forget(ctx);
        return false;
    }
    const struct spki *s = key_public(*out);
    if (s->kind == SPKI_EC || s->bits >= 2048)
        return true;
    key_free(*out);
    *out = NULL;
    return false;
}

struct rc jose_verify_compact(struct ctx *ctx, struct bytes token, struct bytes jwks, struct jose_message *out)
{
    json_auto_t *set = NULL;
    const json_t *keys = NULL;
    struct jws w;
    TRY(read_compact(ctx, token, &w));
    TRY(json_read(ctx, jwks, &set));
    TRY(json_get_list(ctx, set, "keys", true, &keys));
    if (json_array_size(keys) > JWKS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a key set of more than %d keys", JWKS_MAX);
    struct rc rc = ctx_fail(ctx, E_NOT_FOUND, "no key of the set is the token's%s%s", w.message.kid ? ": " : "",
                            w.message.kid ? w.message.kid : "");
    for (size_t i = 0; i < json_array_size(keys) && rc_failed(rc); i++) {
        KEY_CLEANUP struct key *key = NULL;
        if (!key_is_meant(ctx, json_array_get(keys, i), &w.message, &key))
            continue;
        ctx_forget(ctx);
        rc = check_signature(ctx, &w, key);
    }
    TRY(rc);
    *out = w.message;
    return RC_OK;
}

struct rc jose_verify_hs256(struct ctx *ctx, struct bytes jws, struct bytes mac_key, struct jose_message *out)
{
    struct jws w;
    uint8_t mac[SHA256_LEN];
    TRY(read_jws(ctx, jws, &w));
    TRY(digest_hmac_sha256(ctx, mac_key, signing_input(ctx, w.protected, w.payload), mac));
    if (!str_equal(w.message.alg, "HS256") || !bytes_equal_secret(w.signature, bytes_of(mac, sizeof mac)))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the MAC of the JWS is wrong");
    *out = w.message;
    return RC_OK;
}
