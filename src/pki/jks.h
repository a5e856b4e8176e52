/* JKS, the key store of Java before version 9 (sun.security.provider.JavaKeyStore, version 2): one key with its chain.
 *
 * Its protection is SHA-1 and no more: one round of it guards the password.  It is here for programs that read nothing else; others
 * are better served with PKCS #12 (pki/pkcs12.h). */
#ifndef PKI_JKS_H
#define PKI_JKS_H

#include "pki/container.h"

/* jks_build appends the file; the alias is written in lower case, as keytool does.  The entry's date is the leaf's notBefore. */
RC jks_build(struct ctx *ctx, const struct container *what, struct buf *out);

/* jks_read reads the first entry that holds a key: its chain, leaf first; the certificates point into `file`.  Versions 1 and 2, at
 * most CONTAINER_MAX bytes.  E_FORBIDDEN where the digest at the end does not fit (another password, or a damaged file).  `key`: as
 * for pkcs12_read(). */
RC jks_read(struct ctx *ctx, struct bytes file, const struct secret *password, struct cert_chain *out, struct key **key);

/* jks_certificates gives all certificates of all entries, unread, pointing into `file`: JKS does not encrypt them, so no password
 * is asked for and the digest at the end proves nothing.  At most JKS_CERTS_MAX (E_TOO_LARGE), and one at least (E_NOT_FOUND). */
#define JKS_CERTS_MAX 1000
RC jks_certificates(struct ctx *ctx, struct bytes file, struct bytes **ders, size_t *n);
/* jks_is: it begins as JKS does. */
bool jks_is(struct bytes file);

#endif
