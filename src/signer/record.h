/* What the journal's records hold: their types, and reading and writing their fields. */
#ifndef SIGNER_RECORD_H
#define SIGNER_RECORD_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/str.h"

/* The number is in every journal that was ever written: never reuse one. */
enum record_type {
    RECORD_CA = 1,       /* a CA as it now is; replaces the one before */
    RECORD_CEILINGS = 2, /* of a CA; replaces those before */
    RECORD_INTENT = 3,   /* a certificate is about to be signed */
    RECORD_ISSUED = 4,   /* it was: the certificate */
    RECORD_REVOKED = 5,
    RECORD_CRL = 6,     /* a CRL's number, before it is signed */
    RECORD_ACCOUNT = 7, /* an ACME account key */
    RECORD_PIN = 8,     /* what an attempt may ask of an ACME CA; replaces the one before */
    RECORD_SERIAL = 9,      /* left of INTENT and ISSUED once they are too old to be replayed */
    RECORD_ACCOUNT_KEYS = 10, /* which of its keys an ACME account uses, and which is to follow */
    RECORD_AUDIT_HEAD = 11,   /* the last head of the audit log; replaces the one before */
    RECORD_DOWNLOAD_KEY = 12,    /* a key that people may download was made (download.c) */
    RECORD_DOWNLOAD_TAKEN = 13,  /* it was handed out */
    RECORD_DOWNLOAD_FORGOT = 14, /* it was destroyed; also of one that was never made */
    RECORD_PROTECTION = 15,      /* whether officers' changes need two people (people.h); replaces the one before */
    RECORD_PROPOSAL = 16,        /* a change that waits for the second one */
    RECORD_PROPOSAL_ENDED = 17,  /* it was done, with who approved it; or withdrawn */
};

void record_put_text(struct buf *b, const char *s); /* NULL as "" */
void record_put_blob(struct buf *b, struct bytes data);
void record_put_list(struct buf *b, const struct str_list *l);

/* The readers copy into the arena; false where the bytes end early. */
bool record_take_text(struct arena *a, struct bytes *in, const char **out);
bool record_take_blob(struct arena *a, struct bytes *in, struct bytes *out);
bool record_take_list(struct arena *a, struct bytes *in, struct str_list *out);
bool record_take_i64(struct bytes *in, int64_t *out);
bool record_take_digest(struct bytes *in, uint8_t out[32]);

#endif
