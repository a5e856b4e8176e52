/* Shared libraries that only some processes need, loaded by those alone.
 *
 * libcurl and libpq bring some thirty libraries with them (Kerberos, LDAP, GnuTLS, SSH …).  Processes that speak neither HTTP nor
 * PostgreSQL, the signer and apply above all, are smaller, start sooner and expose less without them. */
#ifndef OS_LIBRARY_H
#define OS_LIBRARY_H

#include "base/ctx.h"

struct library_function {
    const char *name;
    void **at; /* where its address goes */
};

/* library_load loads `soname`, of the Debian package `package`, and finds `functions`.  Before the sandbox is entered; for the
 * life of the process.  E_UNSUPPORTED names the package to install. */
RC library_load(struct ctx *ctx, const char *soname, const char *package, const struct library_function *functions, size_t n);

#endif
