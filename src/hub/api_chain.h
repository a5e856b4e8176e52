/* The part of a certificate's page that is worked out when it is shown: its chains, what was said of its revocation, and what it
 * may be used for. */
#ifndef HUB_API_CHAIN_H
#define HUB_API_CHAIN_H

#include "api/types.h"
#include "core/core.h"

/* api_chains_put fills in `chains` and `revocation` of the certificate with this number and DER. */
RC api_chains_put(struct ctx *ctx, struct core *core, int64_t id, struct bytes der, struct api_certificate_shown *out);

#endif
