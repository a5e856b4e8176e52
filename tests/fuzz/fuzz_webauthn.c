/* What an authenticator says, as anybody may send it: the first byte chooses what is read.  Nothing but what the key signed is
 * accepted, and CBOR that was read lies within what came. */
#include "pki/cbor.h"
#include "pki/webauthn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CLIENT_DATA(type)                                                                                                          \
    "{\"type\":\"" type "\",\"challenge\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"origin\":\"https://example.org\"}"

static void inside(struct bytes all, struct bytes part)
{
    if (part.n && (part.p < all.p || part.p + part.n > all.p + all.n))
        abort();
}

static void walk(struct bytes in)
{
    struct bytes rest = in;
    struct cbor item, value;
    int64_t number;
    while (cbor_take(&rest, &item)) {
        inside(in, item.data);
        (void)cbor_int(&item, &number);
        if (cbor_find_int(&item, 1, &value) || cbor_find_text(&item, "fmt", &value))
            inside(in, value.data);
    }
    inside(in, rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t challenge[WEBAUTHN_CHALLENGE_LEN];
    CTX_CLEANUP struct ctx ctx = {0};
    struct bytes in = bytes_of(data, n), cose, auth;
    struct webauthn_made made;
    struct webauthn_used used;
    uint8_t first;
    uint16_t length;
    const struct webauthn_want want = {
        .origin = "https://example.org", .rp_id = "example.org", .challenge = bytes_of(challenge, sizeof challenge)};
    ctx_init(&ctx, &clock_system);
    if (!bytes_take_u8(&in, &first))
        return 0;
    if (first == 'c') {
        walk(in);
    } else if (first == 'j') { /* client data, beside data that would do */
        (void)rc_ok(webauthn_made_read(&ctx, &want, in, BYTES_LIT("\xa0"), &made));
    } else if (first == 'm') {
        if (rc_ok(webauthn_made_read(&ctx, &want, BYTES_LIT(CLIENT_DATA("webauthn.create")), in, &made))) {
            inside(in, made.credential);
            inside(in, made.cose);
            if (!made.credential.n || !made.cose.n)
                abort();
        }
    } else if (first == 'u' && bytes_take_u16(&in, &length) && bytes_take(&in, length, &cose) && bytes_take_u16(&in, &length) &&
               bytes_take(&in, length, &auth)) {
        (void)rc_ok(webauthn_used_read(&ctx, &want, cose, BYTES_LIT(CLIENT_DATA("webauthn.get")), auth, in, &used));
    }
    return 0;
}
