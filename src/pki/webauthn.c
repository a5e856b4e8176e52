#include "pki/webauthn.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "pki/cbor.h"
#include "pki/digest.h"
#include "pki/key.h"
#include "pki/key_der.h"

#define FLAG_PRESENT    0x01
#define FLAG_VERIFIED   0x04
#define FLAG_CREDENTIAL 0x40 /* attested credential data is included */
#define FLAG_EXTENSIONS 0x80

/* COSE (RFC 9052, RFC 9053, RFC 8230) */
#define COSE_KTY 1
#define COSE_ALG 3
#define COSE_EC2 2
#define COSE_RSA 3
#define COSE_CRV -1 /* of EC2; n of RSA */
#define COSE_X   -2 /* of EC2; e of RSA */
#define COSE_Y   -3
#define ES384    (-35)

#define ECDSA_SHA256 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define ECDSA_SHA384 "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
#define RSA_SHA256   "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"

static const struct algorithm {
    int64_t alg, kty, curve;
    enum key_kind kind;
    size_t number; /* of x and y */
    struct bytes signature;
} algorithms[] = {
    {WEBAUTHN_ES256, COSE_EC2, 1, KEY_EC_P256, 32, BYTES_LIT(ECDSA_SHA256)},
    {ES384, COSE_EC2, 2, KEY_EC_P384, 48, BYTES_LIT(ECDSA_SHA384)},
    {WEBAUTHN_RS256, COSE_RSA, 0, KEY_OTHER, 0, BYTES_LIT(RSA_SHA256)},
};

/* --- keys */

static bool find_int(const struct cbor *map, int64_t key, int64_t *out)
{
    struct cbor v;
    return cbor_find_int(map, key, &v) && cbor_int(&v, out);
}

static bool find_bytes(const struct cbor *map, int64_t key, struct bytes *out)
{
    struct cbor v;
    if (!cbor_find_int(map, key, &v) || v.kind != CBOR_BYTES)
        return false;
    *out = v.data;
    return true;
}

static struct rc ec_spki(struct ctx *ctx, const struct cbor *map, const struct algorithm *a, struct bytes *spki)
{
    struct bytes x, y;
    int64_t curve;
    uint8_t point[1 + 2 * 48] = {4};
    if (!find_int(map, COSE_CRV, &curve) || curve != a->curve || !find_bytes(map, COSE_X, &x) || !find_bytes(map, COSE_Y, &y) ||
        x.n != a->number || y.n != a->number)
        return ctx_fail(ctx, E_PARSE, "the passkey's key is no point of its curve");
    memcpy(point + 1, x.p, x.n);
    memcpy(point + 1 + x.n, y.p, y.n);
    return key_der_put_ec_spki(ctx, a->kind, bytes_of(point, 1 + 2 * a->number), spki);
}

static struct rc rsa_spki(struct ctx *ctx, const struct cbor *map, struct bytes *spki)
{
    struct bytes n, e;
    if (!find_bytes(map, COSE_CRV, &n) || !find_bytes(map, COSE_X, &e) || n.n < 256 || n.n > 512 || e.n < 1 || e.n > 8 || !n.p[0] ||
        !e.p[0])
        return ctx_fail(ctx, E_PARSE, "the passkey's RSA key is not of 2048 to 4096 bits");
    return key_der_put_rsa_spki(ctx, n, e, spki);
}

static struct rc key_read(struct ctx *ctx, struct bytes cose, const struct algorithm **out, struct key **key)
{
    struct cbor map;
    int64_t kty, alg;
    struct bytes spki;
    *key = NULL;
    if (cose.n > WEBAUTHN_COSE_MAX || !cbor_only(cose, &map) || !find_int(&map, COSE_KTY, &kty) || !find_int(&map, COSE_ALG, &alg))
        return ctx_fail(ctx, E_PARSE, "the passkey's key is no COSE key");
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        const struct algorithm *a = &algorithms[i];
        if (a->alg != alg || a->kty != kty)
            continue;
        *out = a;
        TRY(a->kty == COSE_EC2 ? ec_spki(ctx, &map, a, &spki) : rsa_spki(ctx, &map, &spki));
        return key_from_spki(ctx, spki, key);
    }
    return ctx_fail(ctx, E_INVALID, "the passkey's algorithm (COSE %lld) is none of ES256, ES384, RS256", (long long)alg);
}

static struct rc verify(struct ctx *ctx, struct bytes cose, struct bytes authenticator_data, struct bytes client_data,
                        struct bytes signature)
{
    KEY_CLEANUP struct key *key = NULL;
    const struct algorithm *a = NULL;
    TRY(key_read(ctx, cose, &a, &key));
    uint8_t *text = arena_alloc(&ctx->arena, authenticator_data.n + SHA256_LEN);
    memcpy(text, authenticator_data.p, authenticator_data.n);
    TRY(digest_sha256(ctx, client_data, text + authenticator_data.n));
    return ctx_wrap(ctx, key_verify(ctx, key, a->signature, bytes_of(text, authenticator_data.n + SHA256_LEN), signature),
                    "the passkey's signature");
}

/* --- what both answers hold */

static struct rc client_data_check(struct ctx *ctx, const struct webauthn_want *want, const char *type, struct bytes text)
{
    json_auto_t *root = NULL;
    const char *have_type = NULL, *challenge = NULL, *origin = NULL;
    struct bytes raw;
    bool cross = false;
    if (text.n > WEBAUTHN_CLIENT_DATA_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "clientDataJSON is longer than %d bytes", WEBAUTHN_CLIENT_DATA_MAX);
    TRY(json_read(ctx, text, &root));
    TRY(json_get_str(ctx, root, "type", true, &have_type));
    TRY(json_get_str(ctx, root, "challenge", true, &challenge));
    TRY(json_get_str(ctx, root, "origin", true, &origin));
    TRY(json_get_bool(ctx, root, "crossOrigin", false, &cross));
    if (!str_equal(have_type, type))
        return ctx_fail(ctx, E_INVALID, "the passkey's answer is of type %.32s, not %s", have_type, type);
    if (!get_base64url(&ctx->arena, bytes_z(challenge), &raw) || !bytes_equal_secret(raw, want->challenge))
        return ctx_fail(ctx, E_INVALID, "the passkey's answer is to another challenge");
    if (!str_equal(origin, want->origin) || cross)
        return ctx_fail(ctx, E_INVALID, "the passkey was used at %.256s, not at %s", origin, want->origin);
    return RC_OK;
}

struct auth_data {
    uint8_t flags;
    uint32_t count;
    struct bytes credential, cose; /* where FLAG_CREDENTIAL is set */
    struct bytes aaguid;
};

static bool take_credential(struct bytes *in, struct auth_data *out)
{
    uint16_t n;
    struct cbor key;
    if (!bytes_take(in, 16, &out->aaguid) || !bytes_take_u16(in, &n) || n == 0 || n > WEBAUTHN_CREDENTIAL_MAX ||
        !bytes_take(in, n, &out->credential))
        return false;
    const uint8_t *start = in->p;
    if (!cbor_take(in, &key) || key.kind != CBOR_MAP)
        return false;
    out->cose = bytes_of(start, (size_t)(in->p - start));
    return out->cose.n <= WEBAUTHN_COSE_MAX;
}

static struct rc auth_data_read(struct ctx *ctx, const struct webauthn_want *want, struct bytes in, struct auth_data *out)
{
    struct bytes rp;
    struct cbor extensions;
    uint8_t id[SHA256_LEN];
    *out = (struct auth_data){0};
    const bool head = bytes_take(&in, SHA256_LEN, &rp) && bytes_take_u8(&in, &out->flags) && bytes_take_u32(&in, &out->count);
    const bool rest = head && (!(out->flags & FLAG_CREDENTIAL) || take_credential(&in, out)) &&
                      (!(out->flags & FLAG_EXTENSIONS) || (cbor_take(&in, &extensions) && extensions.kind == CBOR_MAP));
    if (!rest || in.n)
        return ctx_fail(ctx, E_PARSE, "the authenticator's data cannot be read");
    TRY(digest_sha256(ctx, bytes_z(want->rp_id), id));
    if (!bytes_equal(rp, bytes_of(id, sizeof id)))
        return ctx_fail(ctx, E_INVALID, "the passkey is for another site than %s", want->rp_id);
    if (!(out->flags & FLAG_PRESENT))
        return ctx_fail(ctx, E_INVALID, "the authenticator did not ask its user");
    if (want->user_verified && !(out->flags & FLAG_VERIFIED))
        return ctx_fail(ctx, E_INVALID, "the authenticator did not verify its user by PIN, finger or face; set that up on it");
    return RC_OK;
}

/* --- made */

static struct rc attestation_check(struct ctx *ctx, struct bytes fmt, const struct cbor *statement, struct bytes cose,
                                   struct bytes authenticator_data, struct bytes client_data)
{
    struct cbor x5c, sig, alg;
    KEY_CLEANUP struct key *key = NULL;
    const struct algorithm *a = NULL;
    int64_t stated;
    if (bytes_equal_z(fmt, "none") && statement->n == 0)
        return key_read(ctx, cose, &a, &key); /* one that can be used */
    if (!bytes_equal_z(fmt, "packed") || cbor_find_text(statement, "x5c", &x5c))
        return ctx_fail(ctx, E_INVALID, "an attestation came that was not asked for");
    TRY(key_read(ctx, cose, &a, &key));
    if (!cbor_find_text(statement, "sig", &sig) || sig.kind != CBOR_BYTES || !cbor_find_text(statement, "alg", &alg) ||
        !cbor_int(&alg, &stated) || stated != a->alg)
        return ctx_fail(ctx, E_PARSE, "the attestation cannot be read");
    return verify(ctx, cose, authenticator_data, client_data, sig.data);
}

RC webauthn_made_read(struct ctx *ctx, const struct webauthn_want *want, struct bytes client_data, struct bytes attestation,
                      struct webauthn_made *out)
{
    struct cbor object, fmt, statement, data;
    struct auth_data auth;
    *out = (struct webauthn_made){0};
    TRY(client_data_check(ctx, want, "webauthn.create", client_data));
    if (attestation.n > WEBAUTHN_OBJECT_MAX || !cbor_only(attestation, &object) || !cbor_find_text(&object, "fmt", &fmt) ||
        fmt.kind != CBOR_TEXT || !cbor_find_text(&object, "attStmt", &statement) || statement.kind != CBOR_MAP ||
        !cbor_find_text(&object, "authData", &data) || data.kind != CBOR_BYTES)
        return ctx_fail(ctx, E_PARSE, "the attestation object cannot be read");
    TRY(auth_data_read(ctx, want, data.data, &auth));
    if (!(auth.flags & FLAG_CREDENTIAL))
        return ctx_fail(ctx, E_INVALID, "the authenticator made no passkey");
    TRY(attestation_check(ctx, fmt.data, &statement, auth.cose, data.data, client_data));
    *out = (struct webauthn_made){
        .credential = auth.credential, .cose = auth.cose, .count = auth.count, .user_verified = (auth.flags & FLAG_VERIFIED) != 0};
    return RC_OK;
}

/* --- used */

RC webauthn_used_read(struct ctx *ctx, const struct webauthn_want *want, struct bytes cose, struct bytes client_data,
                      struct bytes authenticator_data, struct bytes signature, struct webauthn_used *out)
{
    struct auth_data auth;
    *out = (struct webauthn_used){0};
    TRY(client_data_check(ctx, want, "webauthn.get", client_data));
    if (authenticator_data.n > WEBAUTHN_OBJECT_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the authenticator's data is longer than %d bytes", WEBAUTHN_OBJECT_MAX);
    TRY(auth_data_read(ctx, want, authenticator_data, &auth));
    TRY(verify(ctx, cose, authenticator_data, client_data, signature));
    *out = (struct webauthn_used){.count = auth.count, .user_verified = (auth.flags & FLAG_VERIFIED) != 0};
    return RC_OK;
}

bool webauthn_count_fits(uint32_t kept, uint32_t now)
{
    return (kept == 0 && now == 0) || now > kept;
}
