/* One TLS ClientHello of our own and what a server answers to it in the clear: ServerHello, Certificate, and what may follow up to
 * ServerHelloDone (RFC 5246 section 7.4).  No key is exchanged and no signature checked: what is read so is only *observed*.
 *
 * In TLS 1.3 the certificate is encrypted; there a ClientHello without a key share is answered by a HelloRetryRequest, which tells
 * suite and group (RFC 8446 section 4.1.4). */
#ifndef NET_HELLO_H
#define NET_HELLO_H

#include "base/buf.h"

#define HELLO_BYTES_MAX 65536 /* read from a server, over all records */
#define HELLO_CHAIN_MAX 16    /* certificates beyond are not looked at */
#define HELLO_ASK_MAX   1024  /* what hello_put writes at most */

enum hello_keys { HELLO_ANY_KEY, HELLO_ECDSA, HELLO_RSA };

enum hello_until {
    HELLO_UNTIL_HELLO,       /* version and suite are enough */
    HELLO_UNTIL_CERTIFICATE, /* the chain too */
    HELLO_UNTIL_DONE,        /* and all that may follow it: stapled OCSP, group, whether a client certificate is asked for */
};

struct hello_ask {
    uint16_t version;     /* the highest offered: 0x0301 … 0x0303; 0x0304: TLS 1.3 alone, without a key share */
    enum hello_keys keys; /* suites and signatures offered up to TLS 1.2: each shows its certificate of a server that has two */
    const char *sni;      /* NULL or "": none */
    bool details;         /* offer ALPN (h2, http/1.1), ask for a stapled OCSP response */
    bool post_quantum;    /* TLS 1.3: offer nothing but post-quantum groups */
    bool classic;         /* TLS 1.3: offer none of them */
};

/* hello_put writes the record; the random of a copy of it may be changed at HELLO_RANDOM_AT (32 bytes). */
#define HELLO_RANDOM_AT 11
void hello_put(struct buf *out, const struct hello_ask *ask);

enum hello_state {
    HELLO_MORE,    /* read on */
    HELLO_DONE,    /* all that was asked for is there */
    HELLO_ALERT,   /* the server ended it with the alert `alert` */
    HELLO_NOT_TLS, /* its first bytes are no TLS */
    HELLO_BAD,     /* it breaks the rules, or sends too much; `why` says it */
};

/* A reader of one server's answer.  All-zero, with `until` set, is one that has read nothing yet.  hello_free gives its memory
 * back and makes it all-zero. */
struct hello_reader {
    enum hello_until until;
    struct buf messages; /* handshake messages, one behind the other; the offsets below are in it */
    uint32_t taken;      /* bytes read */
    uint32_t at;         /* the first message not looked at */
    uint16_t left;       /* of the record that is being read */
    uint8_t record[5], record_n, alert_bytes[2], alert_n;
    uint8_t seen; /* the last message that counts */
    /* what was found */
    bool alerted; /* a warning or an alert was heard; it may be the last word */
    uint8_t alert;
    bool hello; /* a ServerHello was read: the four below are valid */
    bool retry; /* it is a HelloRetryRequest */
    uint16_t version, suite, group; /* group 0: not known */
    bool asks_certificate;
    struct hello_span {
        uint32_t at, n;
    } certificates, alpn, ocsp;
    const char *why;
};

/* hello_read takes what has come, in pieces of any size.  After another answer than HELLO_MORE nothing more is taken. */
enum hello_state hello_read(struct hello_reader *r, struct bytes in);
/* hello_chain lists the certificates as sent, spans of the reader's memory; returns how many. */
size_t hello_chain(const struct hello_reader *r, struct bytes out[HELLO_CHAIN_MAX]);
struct bytes hello_bytes(const struct hello_reader *r, struct hello_span s);
/* hello_reuse forgets everything but keeps the memory. */
void hello_reuse(struct hello_reader *r, enum hello_until until);
void hello_free(struct hello_reader *r);

/* Names as IANA has them, NULL where not known here: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"; "x25519"; "TLSv1.2". */
const char *hello_suite_name(uint16_t suite);
const char *hello_group_name(uint16_t group);
bool hello_group_is_post_quantum(uint16_t group);
const char *hello_version_name(uint16_t version);
/* hello_suite_keys says which kind of key the suite signs with; HELLO_ANY_KEY where it does not say. */
enum hello_keys hello_suite_keys(uint16_t suite);

#endif
