/* Keys as JWKs (RFC 7517), as people bring those of their accounts, and signed requests: what is accepted can be used. */

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
