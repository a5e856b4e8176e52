/* Keys as JWKs (RFC 7517), as people bring those of their accounts, signed requests, and the tokens of identity providers: what is
 * accepted can be used. */

#include "pki/id_token.h"
#include "pki/jose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    KEY_CLEANUP struct key *key = NULL;
    struct jose_message message;
    const char *jwk = NULL;
    if (n == 0)
        return 0;
    struct bytes body = bytes_of(data + 1, n - 1);
    ctx_init(&ctx, &clock_system);
    struct rc rc = RC_OK;
    switch (data[0]) {
    case 's':
        rc = jose_private_from_jwk(&ctx, body, &key);
        break;
    case 'p':
        rc = jose_key_from_jwk(&ctx, body, &key);
        break;
    case 'c': {
        static const char set[] =
            "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
            "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
        const struct id_token_expect expect = {.issuer = "joe", .client_id = "us", .nonce = "n", .groups = "groups"};
        struct id_token token;
        if (rc_ok(jose_verify_compact(&ctx, body, bytes_z(set), &message)) && !str_equal(message.alg, "ES256"))
            abort();
        if (rc_ok(id_token_verify(&ctx, body, bytes_z(set), &expect, &token)))
            abort(); /* nobody has the key any more */
        return 0;
    }
    case 'k': /* the set of keys is a stranger's too */
        if (rc_ok(jose_verify_compact(&ctx, BYTES_LIT("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ.AA"), body, &message)))
            abort();
        return 0;
    case 'j':
        if (rc_ok(jose_verify(&ctx, body, NULL, &message)) && message.jwk == NULL)
            abort();
        return 0;
    default:
        return 0;
    }
    if (rc_ok(rc) && (key == NULL || rc_failed(jose_jwk(&ctx, key, &jwk)) || key_is_private(key) != (data[0] == 's')))
        abort();
    return 0;
}
