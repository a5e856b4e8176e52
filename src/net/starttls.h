/* From plain text to TLS in the protocols that begin without it: what is said before the handshake, and nothing else.
 *
 *     smtp      RFC 3207            ldap      RFC 4511 section 4.14
 *     imap      RFC 9051 section 6.2.1   postgres  PostgreSQL's SSLRequest
 *     pop3      RFC 2595 section 4  mysql     MySQL's and MariaDB's SSLRequest
 *     ftp       RFC 4217 section 4  sieve     RFC 5804 section 2.2
 *     xmpp      RFC 6120 section 5  nntp      RFC 4642
 *     rdp       X.224 with an RDP negotiation request (MS-RDPBCGR 2.2.1.1)
 */
#ifndef NET_STARTTLS_H
#define NET_STARTTLS_H

#include "base/buf.h"
#include "base/ctx.h"

enum starttls { STARTTLS_NONE, STARTTLS_SMTP, STARTTLS_IMAP, STARTTLS_POP3, STARTTLS_FTP, STARTTLS_LDAP, STARTTLS_POSTGRES,
                STARTTLS_MYSQL, STARTTLS_SIEVE, STARTTLS_XMPP, STARTTLS_NNTP, STARTTLS_RDP, STARTTLS_PROTOCOLS };

/* starttls_by_name: "" is STARTTLS_NONE; STARTTLS_PROTOCOLS where it is none. */
enum starttls starttls_by_name(const char *name);
const char *starttls_name(enum starttls protocol);
/* starttls_words names them all for a message: "smtp, imap, …". */
const char *starttls_words(struct ctx *ctx);
/* starttls_port returns where the protocol is usually spoken; 443 for STARTTLS_NONE. */
uint16_t starttls_port(enum starttls protocol);

/* One conversation, without the socket: what was heard goes in, what is to be said comes out.  All-zero with `protocol` and `peer`
 * set is one that has not begun; starttls_end gives its memory back. */
struct starttls_talk {
    enum starttls protocol;
    const char *peer;   /* for messages */
    const char *domain; /* whom XMPP asks for; NULL or "": localhost */
    struct buf heard;   /* not used yet */
    unsigned step, lines;
    bool said; /* what this step has to say was said */
    char first[4];
};

/* starttls_hear takes what came (nothing, to begin) and goes on as far as it can.  `*say` is to be sent, in the ctx's arena or
 * constant; `*ready`: the server waits for a handshake once `*say` is sent.  Fails with E_TLS where the server will not, with its
 * words; E_BAD_ANSWER where it answers what the protocol does not know, too much, or out of turn. */
RC starttls_hear(struct ctx *ctx, struct starttls_talk *t, struct bytes in, struct bytes *say, bool *ready);
void starttls_end(struct starttls_talk *t);

/* starttls_begin speaks on a connected socket that does not block until the server waits for a handshake, no longer than until
 * `deadline_ms` (clock_mono_ms).  `peer` is for messages.  E_TLS where the server will not, with its words; E_BAD_ANSWER where it
 * answers what the protocol does not know or too much; E_TIMEOUT, E_UNREACHABLE.  A server that
 * speaks out of turn, and above all one that goes on between its consent and our ClientHello, is E_BAD_ANSWER where that is there
 * in time to be seen; what comes later meets the handshake, which fails.  Nothing of it is taken as an answer. */
RC starttls_begin(struct ctx *ctx, enum starttls protocol, int fd, int64_t deadline_ms, const char *peer);

#endif
