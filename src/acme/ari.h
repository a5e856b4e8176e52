/* ACME Renewal Information (RFC 9773). */
#ifndef ACME_ARI_H
#define ACME_ARI_H

#include "base/json.h"

/* acme_ari_id makes the unique identifier of a certificate (section 4.1): base64url of the keyIdentifier of its AKI, a dot,
 * base64url of the content octets of its serial number, with the leading zero octet where DER has one. */
const char *acme_ari_id(struct arena *a, struct bytes aki, struct bytes serial);

/* acme_ari_url appends the identifier to the directory's renewalInfo URL (section 4.1). */
const char *acme_ari_url(struct arena *a, const char *renewal_info, const char *id);

struct acme_ari {
    int64_t start, end;          /* the suggested window; end is after start */
    const char *explanation_url; /* NULL where none */
};
/* acme_ari_parse reads a RenewalInfo object (section 4.2).  Fails with E_BAD_ANSWER, also where the window is empty. */
RC acme_ari_parse(struct ctx *ctx, struct bytes body, struct acme_ari *out);

/* acme_ari_retry bounds what Retry-After asks for (section 4.3.1): between one minute and one day; six hours where it is absent (<
 * 0). */
int64_t acme_ari_retry(int64_t retry_after_s);

#endif
