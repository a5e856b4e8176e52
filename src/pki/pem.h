/* PEM (RFC 7468). */
#ifndef PKI_PEM_H
#define PKI_PEM_H

#include "base/buf.h"
#include "base/ctx.h"

/* One block; label points into the text, der into the arena. */
struct pem_block {
    struct bytes label; /* "CERTIFICATE" */
    struct bytes der;
};

/* pem_next takes the next block from the front of `text`, skipping what stands between blocks; `found` is false at the end.
 * Blocks with headers (RFC 1421, old encrypted keys) and blocks over 1 MiB are refused. */
RC pem_next(struct ctx *ctx, struct bytes *text, struct pem_block *out, bool *found);
void pem_put(struct buf *b, const char *label, struct bytes der);
#define PEM_CERTIFICATE "CERTIFICATE"
#define PEM_REQUEST "CERTIFICATE REQUEST"
#define PEM_KEY "PRIVATE KEY"
#define PEM_CRL "X509 CRL"

#endif
