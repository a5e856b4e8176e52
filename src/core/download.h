/* Keys that people download: made and kept by the signer (signer/download.c), one an attempt, for managed certificates that were
 * wished so (wish.download).  Each is destroyed with its attempt where that led to nothing, a month after another version took its
 * place, when somebody says so, and with its managed certificate. */
#ifndef CORE_DOWNLOAD_H
#define CORE_DOWNLOAD_H

#include "base/secret.h"
#include "core/attempt.h"
#include "core/core.h"
#include "store/queries.h"

/* What is handed out.  The caller frees it with downloaded_free(). */
struct downloaded {
    int64_t version;
    const char *file; /* a name for it */
    struct secret content, passphrase; /* the latter empty with pem */
};
void downloaded_free(struct downloaded *d); /* wipes */
#define DOWNLOADED_CLEANUP __attribute__((cleanup(downloaded_free)))

/* download_take hands out key and chain of a version (0: the current one) as "pem", "pkcs12" or "jks".  That it was asked for is in
 * the audit log before the signer is.  E_PENDING where policy wants it approved first (core/request.h); E_CONFLICT where the key is
 * elsewhere or was destroyed. */
RC download_take(struct ctx *ctx, struct core *core, const char *ref, int64_t version, const char *format, struct downloaded *out);
/* download_allow is what approval of a request of kind export leads to (core/request.h): who asked may take it once within
 * DOWNLOAD_ALLOWED_S.  In a transaction. */
#define DOWNLOAD_ALLOWED_S 86400
RC download_allow(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, int64_t version, const char *format);
/* download_forget has the key of a version (0: the current one) destroyed; one that is gone already is fine. */
RC download_forget(struct ctx *ctx, struct core *core, const char *ref, int64_t version);

/* --- within what others change */

/* download_begins notes that the signer makes a key for the attempt. */
RC download_begins(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt);
/* download_made asks the signer for the key of an attempt (again: the same one), and gives a request signed with it.  Not in a
 * transaction. */
RC download_made(struct ctx *ctx, struct core *core, const struct q_attempt_by_id_row *a, const char *reuse, struct bytes *csr);
/* download_superseded sets when the keys of all versions but the one that `attempt` made are destroyed. */
RC download_superseded(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt);
RC download_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt);
/* download_drop destroys the key of an attempt, where it has one that is kept; download_drop_all those of a managed certificate. */
RC download_drop(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const char *why);
RC download_drop_all(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *why);

/* download_words says how the key of a version stands: whether it is there, in a sentence; NULL: there is none here. */
RC download_words(struct ctx *ctx, struct txn *txn, const char *name, int64_t version, const char *attempt, bool *there,
                  const char **words);

#endif
