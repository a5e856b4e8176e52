/* What another way to prove names would mean for the certificates of an issuer. */
#ifndef CORE_ISSUER_PROOF_H
#define CORE_ISSUER_PROOF_H

#include "core/issuer.h"

/* issuer_unproved says in words which certificates could be proved to an issuer as it was and could not be with the settings `now`;
 * `out` stays empty where there are none. */
RC issuer_unproved(struct ctx *ctx, struct core *core, const char *id, const char *name, const struct issuer_settings *was,
                   const struct issuer_settings *now, struct str_list *out);

#endif
