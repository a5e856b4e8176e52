/* The wish of a managed certificate: what its next version shall be.  Kept as JSON in the row, and copied into each attempt. */
#ifndef CORE_WISH_H
#define CORE_WISH_H

#include "base/json.h"
#include "base/str.h"

struct wish {
    struct str_list names;      /* normalised: A-labels, lower case; IP addresses as text */
    const char *common_name;    /* NULL: empty subject */
    const char *profile;        /* name */
    const char *usage;          /* tls-server, tls-client, tls-mutual: of the profile */
    int64_t validity_s;         /* of the profile; what our own CA is asked for */
    const char *key_kind;
    bool reuse_key;
    struct bytes csr;           /* DER (RFC 2986): the key is elsewhere, with whoever made it; empty: a key is made */
    bool download;              /* the signer makes the key, and people download it (core/download.h) */
    struct str_list issuers;    /* names, in order */
    int64_t renew_percent;      /* of the lifetime at which it is renewed; 0: two thirds, or half below ten days */
    int64_t renew_before_s;     /* this long before its end instead; 0: by the fraction */
    const char *acme_profile;    /* instead of the issuer's */
    const char *preferred_chain; /* likewise */
    const char *key_agent; /* name: the agent that makes the key; NULL: the one where it is served first.  Not part of the hash */
    struct str_list targets;    /* names; not part of the hash: new targets deploy, they do not re-issue */
    const char *bad_name;       /* drop, split; NULL: fail (core/bad_name.h).  Not part of the hash */
    const char *preflight;      /* fail, warn, off; NULL: the issuer's (core/preflight.h).  Not part of the hash */
    int64_t canary;             /* targets of the first wave of a roll-out; 0: none; -1: one where there are more than three */
    int64_t wave, wave_percent; /* targets of each further wave, or as part of all; both 0: all the rest */
    int64_t wave_pause_s;       /* between two waves */
};

void wish_encode(struct buf *b, const struct wish *w);
RC wish_decode(struct ctx *ctx, const char *json, struct wish *out);
/* wish_hash is the SHA-256 of what a new version is needed for when it changes: names, subject, profile, key, issuers. */
RC wish_hash(struct ctx *ctx, const struct wish *w, struct bytes *out);
/* wish_check normalises the names and refuses what no certificate can have; messages name the field. */
RC wish_check(struct ctx *ctx, struct wish *w);

#endif
