/* Requests signed with an HMAC or a hash, as makers of APIs have devised it, each by its own published rules.  Here as functions of
 * a request, its time and its nonce; `out` comes empty and gets the value of the header that proves it. */
#ifndef AGENT_RELAY_AUTH_HMAC_H
#define AGENT_RELAY_AUTH_HMAC_H

#include "agent/relay/auth_canon.h"

/* Akamai EdgeGrid (EG1-HMAC-SHA256): Authorization.  No headers are signed; of bodies only that of a POST, its beginning. */
#define EDGEGRID_BODY_MAX ((size_t)128 << 10)
RC edgegrid_sign(struct ctx *ctx, const struct canon *in, struct bytes client_token, struct bytes client_secret,
                 struct bytes access_token, size_t body_max, struct buf *out);

/* OVHcloud: X-Ovh-Signature ("$1$" and SHA-1).  `url` as it is sent. */
RC ovh_sign(struct ctx *ctx, const char *method, const char *url, struct bytes body, int64_t now_s, struct bytes application_secret,
            struct bytes consumer_key, struct buf *out);

/* DNS Made Easy: x-dnsme-hmac, HMAC-SHA1 of x-dnsme-requestDate. */
RC dnsme_sign(struct ctx *ctx, struct bytes date, struct bytes secret_key, struct buf *out);

/* Tencent Cloud, TC3-HMAC-SHA256: Authorization; signs Content-Type, Host and X-TC-Action. */
RC tc3_sign(struct ctx *ctx, const struct canon *in, struct bytes secret_id, struct bytes secret_key, const char *service,
            struct buf *out);

/* Alibaba Cloud, ACS3-HMAC-SHA256: Authorization; signs Host, Content-Type and all X-Acs-…, which `in` has already. */
RC aliyun_sign(struct ctx *ctx, const struct canon *in, struct bytes access_key, struct bytes secret_key, struct buf *out);

/* Huawei Cloud, SDK-HMAC-SHA256: Authorization; signs Host and all headers of `in`, X-Sdk-Date among them. */
RC huawei_sign(struct ctx *ctx, const struct canon *in, struct bytes access_key, struct bytes secret_key, struct buf *out);

/* Standard Webhooks: webhook-signature, "v1," and base64. */
RC webhook_sign(struct ctx *ctx, struct bytes secret, struct bytes id, int64_t now_s, struct bytes body, struct buf *out);

#endif
