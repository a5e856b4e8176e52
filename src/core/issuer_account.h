/* The account of an ACME issuer: asked about, renewed, given another key, ended (RFC 8555 section 7.3). */
#ifndef CORE_ISSUER_ACCOUNT_H
#define CORE_ISSUER_ACCOUNT_H

#include "base/secret.h"
#include "core/core.h"
#include "core/issuer.h"

struct account_view {
    const char *verb, *state; /* state "never": nobody has asked yet */
    int64_t asked_at, answered_at;
    const char *account_url, *status, *contacts, *profiles, *terms_of_service; /* lists are JSON */
    const char *error_code, *error;
};

/* issuer_account_ask has an agent do one verb: show, renew (another account, with another key), rollover (another key), update (the
 * contacts of the settings), deactivate.  The answer is read with issuer_account_show. */
RC issuer_account_ask(struct ctx *ctx, struct core *core, const char *ref, const char *verb);
RC issuer_account_show(struct ctx *ctx, struct core *core, const char *ref, struct account_view *out);

/* What the CA said.  issuer_account_take makes the key that the CA has taken the account's; outside the transaction. */
struct account_said {
    const char *account_url, *status, *contacts, *profiles, *terms_of_service; /* lists are JSON */
};
RC issuer_account_take(struct ctx *ctx, struct core *core, const char *issuer, const char *verb);
RC issuer_account_said(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char *verb,
                       const struct account_said *said);
RC issuer_account_failed(struct ctx *ctx, struct txn *txn, const char *issuer, enum err e, const char *why);

/* issuer_offers refuses a profile that the CA did not name when it was asked last; where nobody has asked, the order tells. */
RC issuer_offers(struct ctx *ctx, struct txn *txn, const char *issuer, const char *name, const char *profile);

/* issuer_seal_eab has the signer seal the key of an external account binding, which is base64url, for one issuer (its id).  This
 * and issuer_import_key wipe the text. */
RC issuer_seal_eab(struct ctx *ctx, struct core *core, const char *issuer, const char *key, struct bytes *sealed);
/* issuer_import_key gives the signer the private key of an account that is there, before the issuer is made. */
RC issuer_import_key(struct ctx *ctx, struct core *core, const char *issuer, const char *directory_url, const char *text);

#endif
