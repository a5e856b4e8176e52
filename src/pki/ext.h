/* Inside pki/ only: writing extensions (RFC 5280 section 4.2), for certificates, requests and CRLs. */
#ifndef PKI_EXT_H
#define PKI_EXT_H

#include "base/buf.h"
#include "pki/name.h"

/* ext_begin opens an Extension up to the content of extnValue; ext_end closes it. */
struct ext {
    size_t outer, value;
};
struct ext ext_begin(struct buf *b, struct bytes oid, bool critical);
void ext_end(struct buf *b, struct ext e);

void ext_put_basic_constraints(struct buf *b, bool is_ca, int path_length); /* critical; -1: no path length */
void ext_put_key_usage(struct buf *b, uint32_t flags);                      /* critical */
void ext_put_eku(struct buf *b, uint32_t flags);
void ext_put_san(struct buf *b, const struct name_list *names, bool critical);
void ext_put_ski(struct buf *b, struct bytes id);
void ext_put_aki(struct buf *b, struct bytes id);
/* ext_put_name_constraints permits the DNS names below these and, as nothing was said of addresses, excludes all of them (BR
 * 7.1.2.10.8); critical. */
void ext_put_name_constraints(struct buf *b, const struct str_list *permitted_dns);
void ext_put_crl_point(struct buf *b, const char *url);
void ext_put_issuer_url(struct buf *b, const char *url);

#endif
