/* Passwords are kept as Argon2id (RFC 9106) makes them, in its own text form with the parameters in it. */
#ifndef PKI_PASSWORD_H
#define PKI_PASSWORD_H

#include "base/ctx.h"
#include "base/secret.h"

#define PASSWORD_BYTES_MAX 1024
/* What a new hash costs: a pass more than what OWASP asks for at least (19 MiB, two passes); one lane, so that no thread is
 * started. */
#define PASSWORD_MEMORY_KIB 19456
#define PASSWORD_PASSES     3

/* password_hash makes the text to be kept.  It takes PASSWORD_MEMORY_KIB of memory and a few tenths of a second: bound how many
 * run. */
RC password_hash(struct ctx *ctx, const struct secret *password, const char **kept);
/* password_check says whether a password is the one that was kept, and whether what is kept should be made anew, for its parameters
 * are below today's.  E_BUG where `kept` is no such text, or would cost more than four times what is made here. */
RC password_check(struct ctx *ctx, const char *kept, const struct secret *password, bool *fits, bool *weak);

#endif
