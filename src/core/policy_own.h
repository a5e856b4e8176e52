/* What a policy document is once it is read: between policy_doc.c, which reads it, and policy_judge.c, which asks it. */
#ifndef CORE_POLICY_OWN_H
#define CORE_POLICY_OWN_H

#include "core/policy_doc.h"
#include "pki/digest.h"

#define POLICY_EVERYBODY (-1) /* instead of a team's place in the list of teams */

/* Names, with all that is below them. */
struct policy_suffix {
    const char *text;
    size_t n;
    bool ip; /* a network instead */
    struct cidr net;
};
struct policy_suffixes {
    struct policy_suffix *v;
    size_t n;
};

/* Places in the list of teams. */
struct policy_teams {
    int *v;
    size_t n;
};

enum policy_tri { POLICY_UNSAID, POLICY_YES, POLICY_NO };

/* All that is said has to hold. */
struct policy_when {
    struct policy_suffixes under, outside;
    int64_t names_over;   /* 0: unsaid */
    int64_t validity_over;
    enum policy_tri wildcard, key_reuse, csr, download, without_owner;
    struct str_list issuers, issuers_except, keys, keys_except, profiles, profiles_except;
};

struct policy_rule {
    const char *name;
    unsigned acts; /* a bit for each enum policy_act */
    struct policy_teams teams; /* none: everybody */
    struct policy_when when;
    enum policy_says says;
    const char *words; /* NULL: made of the name */
    int64_t approvals;
    const char *role;
};

enum policy_limit {
    POLICY_LIMIT_NAMES, POLICY_LIMIT_ISSUERS, POLICY_LIMIT_KEYS, POLICY_LIMIT_PROFILES, POLICY_LIMIT_VALIDITY,
    POLICY_LIMIT_WILDCARDS, POLICY_LIMIT_REUSE, POLICY_LIMIT_CSR, POLICY_LIMIT_DOWNLOAD, POLICY_LIMIT_OWNER, POLICY_LIMITS
};

/* A limit as it is for one team, or for everybody. */
struct policy_bound {
    int team;
    struct policy_suffixes names;
    struct str_list words;
    int64_t number;          /* seconds */
    enum policy_says says;
};
struct policy_bounds {
    struct policy_bound *v;
    size_t n;
};

struct policy_freeze {
    const char *name;
    int64_t from, to;
    struct policy_teams teams, except;
    bool renewals;
};

struct policy_nouns {
    struct policy_named *v;
    size_t n, cap;
};

struct policy_doc {
    struct arena arena;
    _Atomic int users;
    int64_t version;
    uint8_t hash[SHA256_LEN]; /* of it and of what its teams mean: what it is known by (policy.c) */
    struct policy_nouns names[POLICY_NOUNS];
    const char **team_ids; /* as names[POLICY_TEAM]; NULL: not bound */
    struct policy_rule *rules;
    size_t rules_n;
    struct policy_bounds limits[POLICY_LIMITS];
    int64_t renew_from, renew_to; /* percent of the lifetime; 0: unsaid */
    struct policy_freeze *freezes;
    size_t freezes_n;
};

extern const char *const policy_acts[POLICY_ACTS];
extern const char *const policy_limit_names[POLICY_LIMITS];

#endif
