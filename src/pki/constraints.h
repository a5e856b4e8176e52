/* Inside pki/ only: name constraints (RFC 5280 section 4.2.1.10), DNS names and IP addresses. */
#ifndef PKI_CONSTRAINTS_H
#define PKI_CONSTRAINTS_H

#include "pki/cert.h"

/* constraints_permit says whether the constraints (the extension's content; empty: none) permit every DNS name and IP address of
 * `cert`; `which` gets the first that is not, in text.  Malformed constraints permit nothing. */
bool constraints_permit(struct arena *a, struct bytes constraints, const struct cert *cert, const char **which);

#endif
