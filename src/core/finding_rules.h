/* What findings are made by, beside the checks and what people set (core/finding_policy.h): who is believed, which keys are known.
 *
 * Of `findings` in hub.yaml; read once, and constant after it.  The hub notes what it made its findings by: where that has changed,
 * everything is looked at again, slice by slice. */
#ifndef CORE_FINDING_RULES_H
#define CORE_FINDING_RULES_H

#include "base/json.h"
#include "base/str.h"
#include "core/core.h"
#include "core/finding_policy.h"
#include "pki/chain.h"

#define FINDING_ROOTS_SYSTEM    "/etc/ssl/certs/ca-certificates.crt"
#define FINDING_ROOTS_BYTES_MAX ((size_t)8 << 20)

struct finding_settings {
    struct str_list domains, issuers, inner_names; /* the first state of the policy */
    const char *roots;           /* file in PEM: believed by us */
    const char *public_roots;    /* file in PEM: believed by browsers; NULL: FINDING_ROOTS_SYSTEM */
    const char *weak_keys;       /* folder with lists of known keys (pki/weak.h); NULL: none */
};
/* finding_settings_read takes them from a JSON object; `at` is NULL where there is none. */
RC finding_settings_read(struct ctx *ctx, const json_t *at, struct finding_settings *out);

/* A root: its Name's SHA-256 and key identifier are what certificates name. */
struct known_root {
    uint8_t name[SHA256_LEN];
    struct bytes key_id;
    enum issuer_trust trust;
    const char *subject;
    bool ours; /* of this installation's own CAs: what they revoke is known here */
};

struct finding_rules {
    struct arena arena;
    struct chain_roots *public_roots, *own_roots; /* NULL: none */
    const struct known_root *known;
    size_t known_n;
    struct weak_list **weak;
    size_t weak_n;
    uint8_t rules_hash[SHA256_LEN], keys_hash[SHA256_LEN];
};

/* finding_rules_open reads the files and the roots of the hub's own issuers, puts the rules into `core`, and has everything looked
 * at again where they are others than before.  A file that cannot be read is a failure that names it; the system's may be absent.
 */
RC finding_rules_open(struct ctx *ctx, struct core *core, const struct finding_settings *settings);
void finding_rules_close(struct core *core);

/* finding_rules_root finds a root; `key_id` empty: any of that name.  NULL: none. */
const struct known_root *finding_rules_root(const struct finding_rules *rules, const uint8_t name[SHA256_LEN], struct bytes key_id);
/* finding_rules_own_ca: certificates of an issuer with this Name and key are signed by our own signer. */
bool finding_rules_own_ca(const struct finding_rules *rules, const uint8_t name[SHA256_LEN], struct bytes key_id);
/* finding_rules_ours: one of the names is one of our domains or below it; `name` (in the arena) gets it. */
bool finding_rules_ours(struct ctx *ctx, const struct finding_policy *policy, const struct cert_fields *cert, const char **name);
bool finding_rules_allowed(struct ctx *ctx, const struct finding_policy *policy, const struct cert_name *issuer);

/* Issuers that browsers believe no more, or only for what is older (core/distrust.def). */
bool finding_distrusted(struct ctx *ctx, const struct cert_name *name, int64_t *from);

#endif
