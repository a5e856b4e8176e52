/* A directory's server (LDAP, RFC 4511), asked for people: always over TLS, no longer than until a deadline, and with ceilings on
 * what it may say.  The protocol is libldap's, loaded by whoever needs it; addresses, TLS and time are ours.  Referrals are not
 * followed. */
#ifndef NET_DIRECTORY_H
#define NET_DIRECTORY_H

#include "base/address.h"
#include "base/ctx.h"
#include "base/secret.h"
#include "net/tls.h"

#define DIRECTORY_BYTES_MAX   ((size_t)4 << 20) /* that a server may send over one connection */
#define DIRECTORY_MESSAGE_MAX ((size_t)1 << 20)
#define DIRECTORY_VALUES_MAX  5000 /* of one attribute */
#define DIRECTORY_VALUE_MAX   4096 /* longer ones are left out */

/* directory_load loads libldap, of the life of the process, before the sandbox is entered.  Where that fails, so does
 * directory_open, and says why. */
void directory_load(struct ctx *ctx);

/* ldaps://HOST[:PORT]: TLS from the start.  ldap://HOST[:PORT]: StartTLS before anything else is said (RFC 4511 section 4.14). */
struct directory_server {
    const char *host;
    uint16_t port, usual;
    bool tls;
};
RC directory_server_read(struct ctx *ctx, const char *url, struct directory_server *out);

/* directory_filter_put writes a value into a filter so that it is nothing but a value (RFC 4515 section 3). */
void directory_filter_put(struct buf *b, struct bytes value);

struct directory;
/* directory_open connects and shakes hands; the server's certificate has to be of `server->host` and of `trust`. */
RC directory_open(struct ctx *ctx, const struct directory_server *server, const struct tls_trust *trust,
                  const struct address_grants *grants, int64_t deadline_ms, struct directory **out);
void directory_close(struct directory *d); /* NULL is fine */
static inline void directory_closep(struct directory **d)
{
    directory_close(*d);
}
#define DIRECTORY_CLEANUP __attribute__((cleanup(directory_closep)))

/* directory_bind fails with E_UNAUTHENTICATED and the directory's words where it does not let them in; also where it does, but only
 * to set another password.  Without a name or without a password it is not asked: that would be no proof (RFC 4513 section 5.1.2).
 */
RC directory_bind(struct ctx *ctx, struct directory *d, const char *dn, const struct secret *password);

struct directory_attribute {
    const char *name; /* as asked for */
    struct bytes *v;
    size_t n;
};
struct directory_entry {
    const char *dn;
    struct directory_attribute *attributes; /* one place each of those asked for */
};
/* directory_find looks at `base` and below it.  Of more than `most` entries that fit E_TOO_LARGE is the answer. */
RC directory_find(struct ctx *ctx, struct directory *d, const char *base, const char *filter, const char *const *attributes,
                  size_t attributes_n, size_t most, struct directory_entry **out, size_t *n);

/* directory_name_plain writes a distinguished name as all of its spellings are written, in lower case; NULL: it is none. */
const char *directory_name_plain(struct ctx *ctx, const char *dn);

#endif
