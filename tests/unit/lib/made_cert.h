/* Certificates put together by hand: as many as a test wants, without keys and signatures. */
#ifndef TESTS_MADE_CERT_H
#define TESTS_MADE_CERT_H

#include "base/buf.h"
#include "base/ctx.h"

struct made_cert {
    uint64_t serial;                    /* not 0 */
    const char *issuer_o, *issuer_cn;   /* O may be NULL */
    const char *subject_o, *subject_cn; /* NULL: left out */
    const char *const *names;           /* DNS; "@" within makes it an e-mail address */
    size_t names_n;
    const uint8_t *ipv4; /* NULL: none */
    int64_t not_before, not_after;
    unsigned rsa_bits; /* 0: EC P-256 */
    uint64_t key;      /* two with the same have the same */
    bool is_ca;
};
/* made_cert gives its DER; in the arena. */
struct bytes made_cert(struct ctx *ctx, const struct made_cert *c);

#endif
