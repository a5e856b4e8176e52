/* Issuers and profiles. */
#ifndef CORE_ISSUER_H
#define CORE_ISSUER_H

#include "core/core.h"
#include "core/issuer_budget.h"
#include "core/issuer_policy.h"
#include "core/payload.h"
#include "core/rehearsal.h"
#include "store/queries.h"

/* What an issuer is set to; kept as JSON in its row. */
struct issuer_settings {
    const char *kind;            /* "ca": our own, in the signer; "acme"; "enroll", "manual" (core/enroll.h) */
    const char *protocol, *parameters; /* "enroll": its description on the agent's host, and what goes into it (JSON) */
    const char *ca;              /* the signer's name of it */
    const char *directory_url;
    const char
        *ca_roots_pem; /* roots that the ACME server's own certificate and the issued chain are trusted by, besides the system's */
    struct str_list contacts;    /* "mailto:…" */
    bool terms_agreed;
    const char *acme_profile;
    const char *preferred_chain; /* common name of a root, or "sha256:" and hexadecimal */
    const char *eab_kid;         /* of the external account binding; its key is in the row, sealed */
    bool drafts;                 /* dns-account-01 and dns-persist-01 may be used */
    const char *preflight;       /* fail, warn, off; NULL: the installation's (core/preflight.h) */
    const char *challenge_method; /* NULL: "auto" (core/solver.h) */
    const char *challenge_via;   /* "listener", "webroot", "target" */
    const char *challenge_agent; /* name or id: whose listener or webroot answers; NULL: the one that talks to the CA */
    const char *webroot;
    const char *agent;           /* name of the agent that relays and answers; NULL: the default */
    struct str_list networks;    /* CIDR ranges that this issuer's addresses may lie in besides public ones */
    struct issuer_policy policy; /* published limits, when another issuer is asked instead */
};
void issuer_settings_encode(struct buf *b, const struct issuer_settings *s);
RC issuer_settings_decode(struct ctx *ctx, const char *kind, const char *json, struct issuer_settings *out);

/* preferred_chain_check refuses what names no chain. */
RC preferred_chain_check(struct ctx *ctx, const char *text);

struct issuer_view {
    const char *id, *name, *team_id, *account_url, *last_error;
    struct issuer_settings settings;
    int64_t failures, retry_at, revision, created_at, updated_at;
    int64_t failing_since, standby_at;
    const char *standby_error;
    struct budget_view *budget; /* of issuer_show alone, as what follows */
    size_t budget_n;
    struct rehearsal_view rehearsal;
    struct str_list standby_names; /* for which it could not issue */
};
/* What comes with the settings and is never shown again; members may be NULL. */
struct issuer_secrets {
    const char *eab_key;     /* base64url; of settings->eab_kid */
    const char *account_key; /* PEM or JWK; of issuer_create alone */
};
RC issuer_create(struct ctx *ctx, struct core *core, const char *name, const char *team, const struct issuer_settings *s,
                 const struct issuer_secrets *secrets, const char **id);
RC issuer_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct issuer_settings *s,
                 const struct issuer_secrets *secrets);
/* issuer_check does what issuer_update would, and changes nothing. */
RC issuer_check(struct ctx *ctx, struct core *core, const char *ref, const struct issuer_settings *s);
RC issuer_remove(struct ctx *ctx, struct core *core, const char *ref, size_t *records);
RC issuer_show(struct ctx *ctx, struct core *core, const char *ref, struct issuer_view *out);
RC issuer_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct issuer_view **out, size_t *n);

/* issuer_account_keep keeps the URL of an ACME account: it is where the directory is (E_BAD_ANSWER), as the signer will insist. */
RC issuer_account_keep(struct ctx *ctx, struct txn *txn, const char *issuer, const char *url);
/* --- for jobs, in a transaction */
RC issuer_for_job(struct ctx *ctx, struct txn *txn, const char *id, struct issuer_settings *settings, struct payload_issuer *out);
RC issuer_agent(struct ctx *ctx, struct txn *txn, const struct issuer_settings *s, const char **agent);
/* Who answers a challenge, and how (JSON: connector and parameters).  issuer_via is that for `how` of an issuer ("listener",
 * "webroot"), or for `target`, which may be NULL. */
RC issuer_challenge_via(struct ctx *ctx, struct txn *txn, const struct issuer_settings *s, const char *managed,
                        const char *attempt_agent, const char **agent, const char **via);
struct q_target_by_id_row;
RC issuer_via(struct ctx *ctx, const struct issuer_settings *s, const char *how, const struct q_target_by_id_row *target,
              const char **via);
/* The roots that chains of an issuer are verified with, PEM; "" where the system's do. */
RC issuer_roots(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char **pem);

/* issuer_revoke_job has the issuer told of a revocation: by our own signer, or by an agent that speaks ACME. */
RC issuer_revoke_job(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char *managed, struct bytes der,
                     struct bytes serial, int64_t reason);

/* issuer_thumbprint asks the signer for the thumbprint of the account key of an ACME issuer (RFC 7638).  Not inside a transaction.
 */
RC issuer_thumbprint(struct ctx *ctx, struct core *core, const char *issuer, const char **out);

/* Profiles: what certificates are for, and how long they live when our own CA issues them. */
struct profile_settings {
    const char *usage;           /* tls-server, tls-client, tls-mutual */
    struct str_list key_kinds;   /* allowed; the first is the default */
    int64_t validity_s;
    bool common_name;            /* whether the subject carries the first name by default */
};
void profile_settings_encode(struct buf *b, const struct profile_settings *s);
RC profile_settings_decode(struct ctx *ctx, const char *json, struct profile_settings *out);
struct profile_view {
    const char *id, *name, *team_id;
    struct profile_settings settings;
    int64_t revision, created_at, updated_at;
};
RC profile_create(struct ctx *ctx, struct core *core, const char *name, const char *team, const struct profile_settings *s,
                  const char **id);
RC profile_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct profile_settings *s);
RC profile_remove(struct ctx *ctx, struct core *core, const char *ref);
RC profile_show(struct ctx *ctx, struct core *core, const char *ref, struct profile_view *out);
RC profile_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct profile_view **out, size_t *n);

#endif
