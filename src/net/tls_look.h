/* A handshake by OpenSSL without a socket, for looking at a server: bytes go in, bytes come out.  It stops once the chain is there,
 * before a key is confirmed, or is carried through; then the server has proved that it has the key.  For servers that do not answer
 * to the ClientHello of net/hello.h, above all those that speak TLS 1.3 alone, where the certificate is encrypted.
 *
 * Nothing is verified: old, weak and expired are to be seen too, and nothing secret is sent. */
#ifndef NET_TLS_LOOK_H
#define NET_TLS_LOOK_H

#include "base/buf.h"
#include "base/ctx.h"
#include "net/hello.h"

struct tls_looks; /* what all looks share */
RC tls_looks_new(struct ctx *ctx, struct tls_looks **out);
void tls_looks_free(struct tls_looks *all);
/* tls_looks_post_quantum: whether the OpenSSL that is there has ML-KEM (3.5 has), so that servers which take nothing else can be
 * looked at; tls_looks_library is its version: "3.0.17". */
bool tls_looks_post_quantum(const struct tls_looks *all);
const char *tls_looks_library(void);

struct tls_look_ask {
    const char *sni;      /* NULL or "": none */
    enum hello_keys keys; /* signatures and suites offered */
    bool whole;           /* carry it through */
    bool details;         /* offer ALPN, ask for a stapled OCSP response */
};

enum tls_look_state { TLS_LOOK_MORE, TLS_LOOK_DONE, TLS_LOOK_FAILED };

struct tls_look;
/* tls_look_new returns NULL where there is no memory, or the name cannot be sent. */
struct tls_look *tls_look_new(struct tls_looks *all, const struct tls_look_ask *ask);
void tls_look_free(struct tls_look *l);
/* tls_look_feed takes what came (nothing, to begin); `*say` is to be sent and valid until the next call.  More than
 * HELLO_BYTES_MAX fails. */
enum tls_look_state tls_look_feed(struct tls_look *l, struct bytes in, struct bytes *say);

/* What was seen; valid as long as the look, complete after TLS_LOOK_DONE. */
size_t tls_look_chain(const struct tls_look *l, struct bytes out[HELLO_CHAIN_MAX]);
enum hello_keys tls_look_keys(const struct tls_look *l); /* of the leaf */
const char *tls_look_version(const struct tls_look *l);  /* "TLSv1.3" */
const char *tls_look_cipher(const struct tls_look *l);
const char *tls_look_group(const struct tls_look *l); /* "" where not known */
struct bytes tls_look_alpn(const struct tls_look *l);
struct bytes tls_look_ocsp(const struct tls_look *l);
bool tls_look_asks(const struct tls_look *l); /* for a client certificate, as far as was seen */
/* tls_look_alert is the alert that the server sent, -1 for none; tls_look_why says in words why it failed. */
int tls_look_alert(const struct tls_look *l);
const char *tls_look_why(const struct tls_look *l);

#endif
