/* What a certificate is for: DNS names and IP addresses, checked and in one form.
 *
 * DNS names are lower case, without a final dot, made of A-labels (RFC 5890): letters, digits and hyphens, labels of 1-63, at most
 * 253 characters, no underscore (CA/Browser Forum BR 7.1.2.7.12), last label not all digits.  A wildcard stands only as the whole
 * leftmost label, before at least two others.  Names written with other letters are refused with a word on how to write them. */
#ifndef PKI_NAME_H
#define PKI_NAME_H

#include "base/ctx.h"
#include "base/str.h"

enum name_kind { NAME_DNS, NAME_IP };

struct name {
    enum name_kind kind;
    const char *text; /* "www.example.org", "192.0.2.7", "2001:db8::1" (RFC 5952) */
    struct bytes ip;  /* 4 or 16 bytes; empty for a DNS name */
};

/* A set of names in the order in which they were added; memory is the arena's. */
struct name_list {
    struct name *v;
    size_t n, cap;
};

/* name_parse reads "www.Example.org", "192.0.2.7", "2001:db8::1", or the same with "dns:" or "ip:" in front. */
RC name_parse(struct ctx *ctx, struct bytes text, struct name *out);
/* name_parse_dns wants a DNS name; name_parse_ip makes a name of 4 or 16 bytes. */
RC name_parse_dns(struct ctx *ctx, struct bytes text, struct name *out);
RC name_parse_ip(struct ctx *ctx, struct bytes ip, struct name *out);
/* name_normalize returns the one text form of what name_parse() reads. */
RC name_normalize(struct ctx *ctx, const char *text, const char **out);
/* name_prefixed returns "dns:www.example.org" or "ip:192.0.2.7". */
const char *name_prefixed(struct arena *a, const struct name *name);
bool name_is_wildcard(const struct name *name);
bool name_equal(const struct name *a, const struct name *b);

/* name_list_add leaves out what is there already.  name_list_parse reads a list of texts. */
void name_list_add(struct arena *a, struct name_list *list, struct name name);
RC name_list_parse(struct ctx *ctx, const char *const *texts, size_t n, struct name_list *out);
bool name_list_has(const struct name_list *list, const struct name *name);
bool name_list_same(const struct name_list *a, const struct name_list *b); /* as sets */

/* name_dns_valid says whether bytes are a DNS name as above, in any case (`wildcard`: also one with a wildcard). */
bool name_dns_valid(struct bytes text, bool wildcard);
/* name_covers says whether the name in a certificate covers a host (RFC 9525 section 6.3): letters in any case, a wildcard stands
 * for exactly one label.  The host is never a wildcard itself. */
bool name_covers(struct bytes pattern, struct bytes host);
/* name_within says whether a DNS name lies in a permitted subtree (RFC 5280 section 4.2.1.10): equal, or with labels in front.
 * A wildcard counts as its domain; an empty subtree holds everything; a leading dot of the subtree is ignored. */
bool name_within(struct bytes dns, struct bytes subtree);

/* ip_parse reads an address in text; false where it is none.  ip_text writes one (RFC 5952); "" for other lengths than 4 and 16. */
bool ip_parse(struct bytes text, uint8_t out[16], size_t *n);
#define IP_TEXT_MAX 46
const char *ip_text(struct arena *a, struct bytes ip);

#endif
