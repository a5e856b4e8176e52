/* Lists that are brought in: certificates, places where some are, and what people know of them.
 *
 * A row has a certificate (or names one by its fingerprint), a place, or both.  What is said of it (owner, note, tags) is kept with
 * the certificate; of a place without one with the certificates that are served there now, and at the list's own endpoint (kind
 * list: place the list, name the place).  A row that cannot be taken is told and does not keep the others back.  The same rows
 * again change nothing. */
#ifndef CORE_IMPORT_H
#define CORE_IMPORT_H

#include "api/types.h"
#include "core/core.h"

#define IMPORT_ROWS_MAX 1000

/* import_put takes rows, in one write; with in->dry_run it only says what would be. */
RC import_put(struct ctx *ctx, struct core *core, const struct api_import_chunk *in, struct api_import_done *out);

#endif
