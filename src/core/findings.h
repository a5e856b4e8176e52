/* What is wrong with a certificate, as far as it tells alone: the checks of core/checks.def that hold, and when the clock changes
 * that next.  Pure functions: who calls them writes it down (core/inventory.h). */
#ifndef CORE_FINDINGS_H
#define CORE_FINDINGS_H

#include "pki/cert_read.h"

enum check_severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_CRITICAL };
enum check_when { WHEN_ARRIVAL, WHEN_CLOCK, WHEN_DEEP, WHEN_OBSERVATION, WHEN_KNOWN, WHEN_ANSWER };
/* What is known of who issued a certificate: which rules are for it. */
enum issuer_trust { ISSUER_NOT_KNOWN, ISSUER_PRIVATE, ISSUER_PUBLIC };

enum check_number {
#define CHECK(number, name, id, severity, words, remedy, source, when) CHECK_##name = number,
#include "core/checks.def"
#undef CHECK
};
#define CHECK_NUMBER_MAX 62
#define CHECK_BIT(number) (INT64_C(1) << ((number) - 1))

struct check_info {
    unsigned number;
    const char *id;
    enum check_severity severity;
    const char *words, *remedy, *source;
    enum check_when when;
};
/* findings_check gives the check of a number; NULL where there is none.  findings_check_named the same by its id.  findings_checks
 * gives all, in the order of their numbers. */
const struct check_info *findings_check(unsigned number);
const struct check_info *findings_check_named(const char *id);
const struct check_info *findings_checks(size_t *n);
const char *check_severity_word(enum check_severity severity); /* "info", "warning", "error", "critical" */

/* The numbers that checks judge by; findings_limits are the usual ones. */
enum check_limit {
#define LIMIT(name, check, id, usual, least, most, words) LIMIT_##name,
#include "core/check_limits.def"
#undef LIMIT
    CHECK_LIMITS
};
struct check_limit_info {
    unsigned check;
    const char *id;
    int64_t usual, least, most;
    const char *words;
};
struct finding_limits {
    int64_t v[CHECK_LIMITS];
};
const struct check_limit_info *findings_limit(enum check_limit limit);
extern const struct finding_limits findings_limits;

/* What is known beside the certificate itself. */
struct finding_context {
    int64_t now;
    int64_t flags; /* CERTIFICATE_ bits of core/inventory.h */
    enum issuer_trust trust;
    const char *const *inner; /* ends of names that exist only inside, besides those that nobody has */
    size_t inner_n;
    const struct finding_limits *limits; /* NULL: the usual ones */
};

struct findings {
    int64_t mask;   /* CHECK_BIT()s of checks whose `when` is ARRIVAL or CLOCK */
    int64_t due_at; /* when the clock changes them next; 0: never */
};
/* finding_is_leaf: no CA, or one that has names of hosts, as many servers' own self-signed certificates do. */
bool finding_is_leaf(const struct cert_fields *cert);
void findings_of(const struct cert_fields *cert, const struct finding_context *context, struct findings *out);
/* findings_own: the bits that findings_of() decides; the others are left as they are. */
int64_t findings_own(void);
/* findings_by_clock is the same for what depends on the clock alone, findings_clock(): no DER is needed. */
void findings_by_clock(int64_t not_before, int64_t not_after, int64_t now, const struct finding_limits *limits,
                       struct findings *out);
int64_t findings_clock(void);

/* findings_deep looks at the key itself: the checks of WHEN DEEP.  Up to a millisecond.  E_PARSE where the key is none. */
struct weak_list;
RC findings_deep(struct ctx *ctx, const struct cert_fields *cert, const struct weak_list *const *lists, size_t n, int64_t *mask);
int64_t findings_of_keys(void); /* the bits that findings_deep() decides */

/* finding_name_covered: a client that asks for `name` accepts the certificate's names (RFC 9525 section 6.3: the alternative names
 * alone, a wildcard for one whole label; an address by its bytes). */
bool finding_name_covered(const struct cert_fields *cert, struct bytes name);
/* finding_names_differ: each of the two has a name that the other one lacks. */
bool finding_names_differ(const struct cert_fields *a, const struct cert_fields *b);

#endif
