/* Text of the names in a certificate: for people, for indexes and for searching.  Whatever bytes stand in a name, the text is valid
 * UTF-8 without control characters or marks that turn its direction: what is no character is written as "\" and two hexadecimal
 * digits a byte, and a backslash itself as "\5c", so that nothing is lost and nothing can be forged. */
#ifndef PKI_NAME_TEXT_H
#define PKI_NAME_TEXT_H

#include "pki/cert_read.h"

#define NAME_TEXT_MAX       4096 /* a name's text ends soon after it, with "…" */
#define NAME_TEXT_VALUE_MAX 1024 /* bytes of one value that are shown */

/* name_text_put_dn appends a Name as RFC 4514 has it: last attribute first, "CN=www.example.org,O=Example,C=DE".  An attribute that
 * has no name is written with its OID, and its value, like one that is no string, as "#" and its DER. */
void name_text_put_dn(struct buf *b, const struct cert_name *name);
/* name_text_put_value appends one value: name_text_str is the same in the arena, "" where the attribute is absent.  So the
 * organization of the issuer is name_text_str(a, cert.issuer.organization). */
void name_text_put_value(struct buf *b, struct cert_text text);
const char *name_text_str(struct arena *a, struct cert_text text);
const char *name_text_dn(struct arena *a, const struct cert_name *name);
/* name_text_put_general appends "dns:www.example.org", "ip:192.0.2.7", "email:…", "uri:…", "dn:CN=…", "oid:1.2.3", and for other
 * kinds their OID and what stands there: "other:1.3.6.1.4.1.311.20.2.3=user@example.org", "x400:#…", "edi:#…". */
void name_text_put_general(struct buf *b, const struct cert_general_name *name);

/* A DNS name as indexes have it: ASCII in lower case, without the dot at its end.  What is no DNS name is kept all the same. */
#define NAME_TEXT_DNS_MAX 511
struct name_text_dns {
    uint16_t n;
    bool wildcard; /* begins with "*." */
    bool valid;    /* as name_dns_valid() has it, wildcard included */
    bool cut;      /* longer than there is room for */
    char text[NAME_TEXT_DNS_MAX + 1];
};
void name_text_dns(struct bytes raw, struct name_text_dns *out);

#endif
