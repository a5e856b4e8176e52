/* Registered domains, as CAs count by them: "example.co.uk" for "www.example.co.uk", by the Public Suffix List. */
#ifndef CORE_REGISTERED_DOMAIN_H
#define CORE_REGISTERED_DOMAIN_H

#include "base/ctx.h"

/* registered_domain_load loads libpsl and its list (the newer of the library's own and the system's): before the sandbox, by the
 * hub alone. */
RC registered_domain_load(struct ctx *ctx);
/* registered_domain returns the registered domain of a name as certificates have it (A-labels, perhaps a wildcard); an IPv4 address
 * is its own, an IPv6 address its /64; a public suffix itself, or any name where the list is not loaded, stands for itself. */
const char *registered_domain(struct ctx *ctx, const char *name);

#endif
