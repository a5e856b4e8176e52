/* From plain text to TLS in the protocols that begin without it: what is said before the handshake, and nothing else.
 *
 *     smtp      RFC 3207            ldap      RFC 4511 section 4.14
 *     imap      RFC 9051 section 6.2.1   postgres  PostgreSQL's SSLRequest
 *     pop3      RFC 2595 section 4  mysql     MySQL's and MariaDB's SSLRequest
 *     ftp       RFC 4217 section 4  sieve     RFC 5804 section 2.2
 */
#ifndef NET_STARTTLS_H
#define NET_STARTTLS_H

#include "base/ctx.h"

enum starttls { STARTTLS_NONE, STARTTLS_SMTP, STARTTLS_IMAP, STARTTLS_POP3, STARTTLS_FTP, STARTTLS_LDAP, STARTTLS_POSTGRES,
                STARTTLS_MYSQL, STARTTLS_SIEVE, STARTTLS_PROTOCOLS };

/* starttls_by_name: "" is STARTTLS_NONE; STARTTLS_PROTOCOLS where it is none. */
enum starttls starttls_by_name(const char *name);
/* starttls_port returns where the protocol is usually spoken; 443 for STARTTLS_NONE. */
uint16_t starttls_port(enum starttls protocol);

/* starttls_begin speaks on a connected socket that does not block until the server waits for a handshake, no longer than until
 * `deadline_ms` (clock_mono_ms).  `peer` is for messages.  E_TLS where the server will not, with its words; E_BAD_ANSWER where it
 * answers what the protocol does not know or too much; E_TIMEOUT, E_UNREACHABLE.  Reads not a byte of what follows: a server that
 * speaks out of turn, and above all one that goes on between its consent and our ClientHello, is E_BAD_ANSWER where that is there
 * in time to be seen; what comes later meets the handshake, which fails.  Nothing of it is taken as an answer. */
RC starttls_begin(struct ctx *ctx, enum starttls protocol, int fd, int64_t deadline_ms, const char *peer);

#endif
