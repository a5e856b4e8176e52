/* What jobs carry: the JSON of each kind, as openapi/certwright.yaml describes it. */
#ifndef CORE_PAYLOAD_H
#define CORE_PAYLOAD_H

#include "core/sharing.h"
#include "core/wish.h"
#include "store/queries.h"

struct payload_issuer {
    const char *account, *directory_url, *ca_roots_pem, *account_url;
    struct str_list contacts, networks;
    bool terms_agreed;
    const char *acme_profile, *preferred_chain;
    const char *replaces; /* of an order (RFC 9773) */
};

RC payload_key(struct ctx *ctx, const char *managed, const char *attempt, const struct wish *w, const char *reuse_attempt,
               struct bytes *out); /* reuse_attempt: NULL for a new key */
RC payload_order(struct ctx *ctx, const struct q_attempt_by_id_row *a, const struct wish *w, const struct payload_issuer *i,
                 bool finish, const struct q_challenge_list_row *challenges, size_t n, const struct str_list *methods,
                 struct bytes *out); /* methods: of each name, empty for http-01 */
/* payload_challenge is of jobs present and clean; `value`: the record itself, instead of the key authorization. */
RC payload_challenge(struct ctx *ctx, const char *attempt, const struct q_challenge_list_row *c, const char *account_url,
                     const char *value, struct bytes *out);
RC payload_dns_test(struct ctx *ctx, const char *provider, const char *parameters, const char *zone, struct bytes *out);
RC payload_deploy(struct ctx *ctx, const char *deployment, const struct q_target_by_id_row *t, const char *attempt,
                  int64_t version, struct bytes der, const char *chain_pem, const char *roots_pem, const struct wish *w,
                  struct bytes previous, const struct shared_key *key, struct bytes *out);
/* payload_seal asks for the key of an attempt, sealed to each of these agents. */
struct payload_receiver {
    const char *agent;
    struct bytes seal_key;
};
RC payload_seal(struct ctx *ctx, const struct q_attempt_by_id_row *a, const char *installation, const struct payload_receiver *to,
                size_t n, struct bytes *out);
RC payload_verify(struct ctx *ctx, const struct q_target_by_id_row *t, const struct wish *w, struct bytes fingerprint,
                  const char *roots_pem, struct bytes *out);
/* payload_ref is an object of one text. */
RC payload_ref(struct ctx *ctx, const char *key, const char *value, struct bytes *out);
RC payload_renewal_info(struct ctx *ctx, const struct payload_issuer *i, const struct bytes *certificates, size_t n,
                        struct bytes *out);

#endif
