/* What is handed over and not asked for, over libcurl: a mail to a submission server (SMTP, RFC 5321), bytes to a stream (TCP,
 * TLS).
 *
 * The addresses connected to are checked by the guard of base/address.h at connect; no proxy of the environment is used. */
#ifndef NET_DELIVER_H
#define NET_DELIVER_H

#include "base/address.h"

enum deliver_tls {
    DELIVER_STARTTLS, /* RFC 3207, and nothing without it */
    DELIVER_TLS,      /* from the first byte (RFC 8314) */
    DELIVER_PLAIN,
};

struct deliver_to {
    const char *host; /* name or address */
    uint16_t port;
    enum deliver_tls tls;
    struct address_grants grants;
    struct bytes roots_pem; /* empty: the system's */
    int64_t total_ms;       /* 0: 30,000; never later than the ctx's deadline */
};

struct deliver_mail {
    const char *helo; /* how we call ourselves */
    const char *from; /* addresses without < and > */
    const char *const *to;
    size_t to_n;
    const char *user, *password; /* NULL: not logged in; never sent without TLS */
    struct bytes message;        /* RFC 5322: lines end with CR LF */
};

/* deliver_load loads libcurl: a role calls it before it enters its sandbox. */
RC deliver_load(struct ctx *ctx);

/* deliver_mail succeeds where the server has taken the message for all recipients.  Fails with E_INVALID, E_ADDRESS_REFUSED, E_DNS,
 * E_UNREACHABLE, E_TLS (also where it offers none), E_TIMEOUT, E_RATE_LIMITED (it says 4xx: later), E_BAD_ANSWER (5xx, with its
 * words). */
RC deliver_mail(struct ctx *ctx, const struct deliver_to *to, const struct deliver_mail *mail);
/* deliver_stream connects, sends, and ends the connection in order; where the other side ends it first that is a failure. */
RC deliver_stream(struct ctx *ctx, const struct deliver_to *to, struct bytes data);

/* deliver_is_address: a mail address (local@domain) that can stand in an SMTP command and a header as it is. */
bool deliver_is_address(const char *text);

#endif
