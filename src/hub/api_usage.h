/* What a certificate may be used for, as its page tells it: key usages, policies, key identifiers. */
#ifndef HUB_API_USAGE_H
#define HUB_API_USAGE_H

#include "api/types.h"
#include "core/core.h"

RC api_usage_put(struct ctx *ctx, struct bytes der, struct api_certificate_shown *out);

#endif
