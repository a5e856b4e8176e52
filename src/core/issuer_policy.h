/* What is agreed with an issuer besides how to speak with it: its published limits, and when another one is asked instead.  Kept as
 * `policy` in its settings; a preset (core/preset.h) fills it in. */
#ifndef CORE_ISSUER_POLICY_H
#define CORE_ISSUER_POLICY_H

#include "base/ctx.h"
#include "base/json.h"

/* The next issuer of a certificate's list is asked after so many failures in a row, or where this one could not be asked so long.
 */
#define FAILOVER_AFTER    3
#define FAILOVER_WITHIN_S (6 * 3600)
/* One that has no certificate yet serves nothing while it waits. */
#define FAILOVER_NEW_S    900

#define ISSUER_LIMITS_MAX 16
/* Uses are kept as long as the longest window may be. */
#define ISSUER_WINDOW_MAX_S (31 * 86400)

/* At most `count` in any `window_s`.  CAs that refill a bucket little by little allow as much or more: we never overstep. */
struct issuer_limit {
    const char *kind; /* account: orders; names: certificates of exactly these names; domain: certificates with a name below one
                       * registered domain; failure: failed validations of one name */
    int64_t count, window_s;
    const char *exempt; /* none; renewal: of the same names; ari: renewals that say what they replace (RFC 9773) */
};

struct issuer_policy {
    const char *preset;      /* where it comes from; NULL: nowhere */
    const char *staging_url; /* directory for rehearsals; NULL: none */
    int64_t after, within_s, new_within_s; /* 0: as above */
    bool no_rehearsal;       /* nobody rehearses with it by itself, though it stands by and has a staging directory */
    struct issuer_limit *limits;
    size_t limits_n;
};

void issuer_policy_encode(struct json_out *j, const char *key, const struct issuer_policy *p);
/* issuer_policy_decode reads what issuer_policy_encode wrote; without `obj` there is nothing agreed. */
RC issuer_policy_decode(struct ctx *ctx, const json_t *obj, struct issuer_policy *out);
/* issuer_policy_check refuses what makes no sense; messages name the field. */
RC issuer_policy_check(struct ctx *ctx, const struct issuer_policy *p);

static inline int64_t issuer_policy_after(const struct issuer_policy *p)
{
    return p->after > 0 ? p->after : FAILOVER_AFTER;
}
static inline int64_t issuer_policy_within_s(const struct issuer_policy *p)
{
    return p->within_s > 0 ? p->within_s : FAILOVER_WITHIN_S;
}
static inline int64_t issuer_policy_new_s(const struct issuer_policy *p)
{
    const int64_t s = p->new_within_s > 0 ? p->new_within_s : FAILOVER_NEW_S;
    return s < issuer_policy_within_s(p) ? s : issuer_policy_within_s(p);
}

#endif
