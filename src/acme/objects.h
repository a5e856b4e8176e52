/* The resources of an ACME server (RFC 8555 section 7.1) as a client reads them: directory, order, authorization, challenge.
 *
 * Pure: text in, structures out, everything in the ctx's arena.  Every URL is checked to be http or https, at most ACME_URL_MAX
 * bytes and free of spaces and control characters; whether it may be called is the caller's business.  Readers fail with
 * E_BAD_ANSWER. */
#ifndef ACME_OBJECTS_H
#define ACME_OBJECTS_H

#include "acme/problem.h"
#include "base/str.h"

#define ACME_URL_MAX         2048
#define ACME_IDENTIFIERS_MAX 100
#define ACME_CHALLENGES_MAX  32
#define ACME_TOKEN_MAX       256
#define ACME_CONTACTS_MAX    8
#define CAA_IDENTITIES_MAX   16

struct acme_profile {
    const char *name, *description;
};

/* RFC 8555 section 7.1.1, RFC 9773 section 4, the profiles draft.  URLs that are absent are NULL. */
struct acme_directory {
    const char *new_nonce, *new_account, *new_order, *revoke_cert; /* always there */
    const char *key_change, *renewal_info;
    const char *terms_of_service, *website;
    bool external_account_required;
    struct str_list caa_identities; /* how it calls itself in CAA records (RFC 8659) */
    struct acme_profile *profiles;
    size_t n_profiles;
};
RC acme_directory_parse(struct ctx *ctx, struct bytes body, struct acme_directory *out);

/* One set of words for orders, authorizations and challenges (section 7.1.6). */
enum acme_status {
    ACME_PENDING,
    ACME_READY,
    ACME_PROCESSING,
    ACME_VALID,
    ACME_INVALID,
    ACME_DEACTIVATED,
    ACME_EXPIRED,
    ACME_REVOKED,
};
const char *acme_status_text(enum acme_status s);

/* Section 7.1.3. */
struct acme_order {
    enum acme_status status;     /* pending, ready, processing, valid or invalid */
    int64_t expires;             /* 0 where absent */
    struct str_list identifiers; /* "dns:www.example.org", lower case */
    struct str_list authorizations;
    const char *finalize;
    const char *certificate; /* NULL until valid */
    bool has_problem;
    struct acme_problem problem;
};
RC acme_order_parse(struct ctx *ctx, struct bytes body, struct acme_order *out);

/* Section 8. */
struct acme_challenge {
    const char *type;
    const char *url;
    const char *token;         /* base64url; NULL for kinds that have none */
    const char *issuer_domain; /* dns-persist-01: the first of those the record may name; NULL where none */
    enum acme_status status; /* pending, processing, valid or invalid */
    bool has_problem;
    struct acme_problem problem;
};

/* Section 7.1.4. */
struct acme_authorization {
    const char *identifier; /* "dns:…", without "*." */
    bool wildcard;
    enum acme_status status;
    int64_t expires;
    struct acme_challenge *challenges;
    size_t n_challenges;
};
RC acme_authorization_parse(struct ctx *ctx, struct bytes body, struct acme_authorization *out);
RC acme_challenge_parse(struct ctx *ctx, struct bytes body, struct acme_challenge *out);
/* acme_authorization_challenge returns the challenge of this kind, or NULL. */
const struct acme_challenge *acme_authorization_challenge(const struct acme_authorization *a, const char *type);

/* Section 7.1.2. */
struct acme_account {
    enum acme_status status; /* valid, deactivated or revoked */
    struct str_list contacts;
    const char *orders; /* NULL where absent */
};
RC acme_account_parse(struct ctx *ctx, struct bytes body, struct acme_account *out);

/* acme_url_valid is the check on URLs stated above. */
bool acme_url_valid(const char *url);
/* acme_token_valid: base64url, at least 128 bits' worth of characters, at most ACME_TOKEN_MAX (section 8.1). */
bool acme_token_valid(const char *token);

#endif
