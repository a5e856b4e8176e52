/* Any bytes to the opener of sealed keys; the first byte chooses the suite.  The receiver's keys are those of RFC 9180 Appendix A,
 * so that the corpus holds messages that open. */
#include "base/encode.h"
#include "pki/hpke.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char x25519[] = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";
    static const char p256[] = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2";
    CTX_CLEANUP struct ctx ctx = {0};
    SECRET_CLEANUP struct secret raw = {0}, out = {0};
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    struct bytes hex = {0}, in = bytes_of(data, n), info = {0}, aad = {0};
    uint8_t first;
    ctx_init(&ctx, &clock_system);
    if (!bytes_take_u8(&in, &first))
        return 0;
    struct hpke_suite suite = {first & 4 ? HPKE_P256 : HPKE_X25519, (enum hpke_aead)(first & 3)};
    check(get_hex(&ctx.arena, bytes_z("4f6465206f6e2061204772656369616e2055726e"), &info));
    check(get_hex(&ctx.arena, bytes_z("436f756e742d30"), &aad));
    check(get_hex(&ctx.arena, bytes_z(suite.kem == HPKE_P256 ? p256 : x25519), &hex));
    check(rc_ok(secret_from(&ctx, &raw, hex)) && rc_ok(hpke_key_from(&ctx, suite.kem, &raw, &key)));
    if (rc_ok(hpke_open_with(&ctx, suite, key, info, aad, in, &out)))
        check(out.n < in.n);
    else
        check(!out.locked_);
    (void)rc_ok(hpke_public_check(&ctx, suite.kem, in));
    return 0;
}
