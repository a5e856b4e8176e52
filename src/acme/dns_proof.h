/* Where the proof of a DNS challenge stands and what it says: dns-01 (RFC 8555 section 8.4), dns-account-01
 * (draft-ietf-acme-dns-account-label), dns-persist-01 (draft-ietf-acme-dns-persist). */
#ifndef ACME_DNS_PROOF_H
#define ACME_DNS_PROOF_H

#include "base/ctx.h"

#define ACME_DNS_PERSIST "dns-persist-01"

struct acme_dns_proof {
    const char *owner; /* name of the TXT record, no final dot */
    const char *value; /* its text */
    bool stays;        /* the record is not taken away when the order is over */
};

/* acme_dns_proof says both for `method`; `name` is the identifier without "dns:" and "*.".  account_url is needed for
 * dns-account-01 alone; of dns-persist-01 key_authorization is the text itself (acme_persist_value).  E_UNSUPPORTED for other
 * methods. */
RC acme_dns_proof(struct ctx *ctx, const char *method, const char *name, const char *account_url, const char *key_authorization,
                  struct acme_dns_proof *out);

/* acme_dns_value_is says whether a text can be such a value: letters, digits, '-' and '_'; or a record that persists, which names
 * its issuer and an account (a URL of letters, digits and "-_.~:/?%+@,=") first.  So that whoever may have a TXT record written
 * publishes no SPF, DKIM, DMARC or proof for others with it; and with nothing that quotes, escapes or ends a value in any format.
 */
#define ACME_DNS_VALUE_MAX 255 /* one character-string (RFC 1035 section 3.3.14) */
bool acme_dns_value_is(const char *value);

struct acme_persist {
    const char *issuer_domain, *account_url;
    bool wildcard;
    int64_t until; /* 0: no end */
};
/* acme_persist_parse reads what acme_persist_value() makes. */
RC acme_persist_parse(struct ctx *ctx, const char *value, struct acme_persist *out);
/* acme_persist_value makes the text of a dns-persist-01 record: who issues, for which account, for names below too (wildcard), and
 * until when (seconds since 1970; 0: no end).  E_BAD_ANSWER where issuer_domain is no name. */
RC acme_persist_value(struct ctx *ctx, const char *issuer_domain, const char *account_url, bool wildcard, int64_t until,
                      const char **out);

#endif
