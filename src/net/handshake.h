/* The proof that a certificate is served: a complete TLS handshake with an address, and what the server showed in it.
 *
 * The handshake is completed, so the server has proved that it holds the key of the leaf.  The chain is not required to verify: the
 * result says whether it does. */
#ifndef NET_HANDSHAKE_H
#define NET_HANDSHAKE_H

#include "base/address.h"
#include "net/starttls.h"
#include "net/tls.h"

enum handshake_keys { HANDSHAKE_ANY_KEY, HANDSHAKE_ECDSA, HANDSHAKE_RSA };

enum handshake_verdict {
    HANDSHAKE_TRUSTED, /* the chain ends at a root given, is valid now, and the name is in the leaf */
    HANDSHAKE_WRONG_NAME,
    HANDSHAKE_EXPIRED, /* a certificate of the chain */
    HANDSHAKE_NOT_YET_VALID,
    HANDSHAKE_SELF_SIGNED,      /* the leaf, and not among the roots */
    HANDSHAKE_CHAIN_INCOMPLETE, /* an issuer is missing */
    HANDSHAKE_UNKNOWN_ROOT,
    HANDSHAKE_INVALID, /* signature, purpose, constraints, strength …: see why */
};

struct handshake_request {
    struct address address;              /* with port */
    const struct address_grants *grants; /* NULL grants nothing */
    const char *sni;                     /* NULL sends none */
    const char *name;                    /* name or IP address to look for in the leaf; NULL: that of sni, or no check */
    const char *const *alpn;             /* protocols offered, NULL-terminated; NULL offers none */
    enum handshake_keys keys;            /* offer only signatures of this kind: shows each certificate of a dual server */
    enum starttls starttls;              /* what is spoken before the handshake */
    int64_t timeout_ms;                  /* for connect and handshake together; 0: 10,000; never later than the ctx's deadline */
};

#define HANDSHAKE_BYTES_MAX 65536 /* read from a server, over all messages */
#define HANDSHAKE_CHAIN_MAX 16

struct handshake_result {
    struct bytes chain[HANDSHAKE_CHAIN_MAX]; /* DER, as sent, leaf first */
    size_t chain_n;
    const char *version; /* "TLSv1.3" */
    const char *cipher;
    const char *group; /* "x25519"; "" where not known */
    const char *alpn;  /* chosen protocol, "" for none */
    struct bytes ocsp; /* stapled OCSP response (RFC 6066), empty where none */
    enum handshake_verdict verdict;
    const char *why; /* the verdict in words: "self-signed certificate" */
    int64_t connect_ms, handshake_ms;
};

/* handshake_probe connects and shakes hands; everything in the result lives in the ctx's arena.  Fails with E_ADDRESS_REFUSED,
 * E_UNREACHABLE, E_TIMEOUT, E_TLS (with the alert's name) or E_BAD_ANSWER. */
RC handshake_probe(struct ctx *ctx, const struct tls_trust *trust, const struct handshake_request *req,
                   struct handshake_result *out);
const char *handshake_verdict_name(enum handshake_verdict v); /* "trusted", "wrong_name", … */

#endif
