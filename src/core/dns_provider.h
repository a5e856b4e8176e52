/* DNS providers: who answers dns-01 challenges below which zones, by which agent.
 *
 * A provider is a row of `dns` in agent.yaml of its agent, with parameters and zones.  Credentials are on that host and are only
 * named in parameters: the database holds none.  Its credential is tried when it is made or changed, and daily (job "dns_test", one
 * a zone); one that fails is kept and told, and asked after others for the same zone.
 *
 * A provider answers for certificates of its own team; a grant lets another team (and those within it), or certificates whose key
 * an agent makes, have answers below a name, without a look at the provider. */
#ifndef CORE_DNS_PROVIDER_H
#define CORE_DNS_PROVIDER_H

#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

#define DNS_ZONES_MAX  64
#define DNS_GRANTS_MAX 1000

struct dns_provider_input {
    const char *name, *team; /* of a new one; team NULL: the caller's */
    const char *provider;    /* NULL (update): as it is */
    const char *agent;       /* name or id; NULL: the default one (update: as it is) */
    const char *parameters;  /* JSON object of strings; NULL: none (update: as they are) */
    struct str_list zones;   /* empty (update): as they are */
    bool no_test;
};
struct dns_provider_view {
    struct q_dns_provider_get_row row;
    struct q_dns_zone_list_row *zones;
    size_t zones_n;
    struct q_dns_grant_list_row *grants;
    size_t grants_n;
};
RC dns_provider_create(struct ctx *ctx, struct core *core, const struct dns_provider_input *in, const char **id);
RC dns_provider_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct dns_provider_input *in);
/* dns_provider_remove refuses (E_IN_USE) where answers are still in DNS, or a certificate could not be renewed without it, unless
 * it is forced: what was left behind is then forgotten. */
RC dns_provider_remove(struct ctx *ctx, struct core *core, const char *ref, bool force);
RC dns_provider_show(struct ctx *ctx, struct core *core, const char *ref, struct dns_provider_view *out);
RC dns_provider_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct dns_provider_view **out,
                     size_t *n);
/* dns_provider_test tries the credential now; the result is seen in the zones. */
RC dns_provider_test(struct ctx *ctx, struct core *core, const char *ref);
/* dns_provider_sweep has everything taken away again that was left behind, or waits to be; returns how much. */
RC dns_provider_sweep(struct ctx *ctx, struct core *core, const char *ref, size_t *n);

/* dns_grant_add gives it to a team or an agent (one of the two, by name or id), below a name within its zones; once more is no
 * failure.  E_FORBIDDEN for the hub's own agent, which makes keys for every team. */
RC dns_grant_add(struct ctx *ctx, struct core *core, const char *ref, const char *team, const char *agent, const char *under,
                 const char **id);
/* dns_grant_remove takes a grant back.  Records that stay (core/persist.h) and are nobody's any more go; returns how many. */
RC dns_grant_remove(struct ctx *ctx, struct core *core, const char *ref, const char *grant, size_t *records);

/* --- what follows from jobs and timers, in their transactions */
/* One try of a credential: `error_code` NULL where it was good. */
struct dns_tried {
    const char *zone, *error_code, *error, *may;
    int64_t expires_at; /* 0: not known */
};
RC dns_provider_tried(struct ctx *ctx, struct txn *txn, const char *id, const struct dns_tried *t);
/* dns_test_due tries a credential: daily, and when an answer could not be put there, so that status tells and another provider for
 * the zone is preferred. */
RC dns_test_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);

/* dns_provider_troubles calls `add` for credentials that fail or end soon, and for what was left behind. */
RC dns_provider_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                         void (*add)(void *arg, const char *object, const char *text, const char *remedy));

/* dns_name_of reads a name as people write it ("*.", "_acme-challenge." and the final dot are taken off): E_INVALID at `field`. */
RC dns_name_of(struct ctx *ctx, const char *field, const char *text, const char **out);

#endif
