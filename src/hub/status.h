/* What anybody may fetch over plain HTTP: CRLs (RFC 5280 section 4.2.1.13), CA certificates (section 4.2.2.1), health. */
#ifndef HUB_STATUS_H
#define HUB_STATUS_H

#include "hub/hub.h"

/* status_handle answers /crl/NAME.crl (application/pkix-crl) and /ca/NAME.cer (application/pkix-cert). */
RC status_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp);
/* status_health answers /healthz (we run) and /readyz (database and signer answer too, and we do not drain). */
RC status_health(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp);
/* status_forget drops what is kept of a CA, so that the next request asks the signer: after a revocation. */
void status_forget(struct hub *hub, const char *ca);
/* status_free gives back what is kept. */
void status_free(struct hub *hub);

#endif
