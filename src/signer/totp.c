#include "pki/totp.h"
#include "signer/work.h"

RC totp_check_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_totp_check *in = w->in;
    struct wire_signer_totp_checked *out = w->out;
    SECRET_CLEANUP struct secret key = {0};
    TRY(keyring_unseal(w->ctx, &s->keys, wire_signer_seal_class_word(WIRE_signer_seal_class_totp_secret), in->object, in->sealed,
                       &key));
    return totp_check(w->ctx, &key, bytes_z(in->code), clock_unix_s(s->clock), in->after, &out->step);
}
