/* Base64 (RFC 4648 sections 4 and 5), base32, hex, and text within markup. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/arena.h"
#include "base/buf.h"

void put_base64(struct buf *b, struct bytes data);       /* padded, one line */
void put_base64_lines(struct buf *b, struct bytes data); /* lines of 64, as PEM wants */
void put_base64url(struct buf *b, struct bytes data);    /* not padded (RFC 7515) */
void put_hex(struct buf *b, struct bytes data);          /* lower case */
void put_markup(struct buf *b, struct bytes text);       /* for HTML and XML: & < > " ' as references */

/* The readers are strict (no white space but for get_base64_pem, right padding, unused bits zero) and allocate in `a`. */
bool get_base64(struct arena *a, struct bytes text, struct bytes *out);
bool get_base64_pem(struct arena *a, struct bytes text, struct bytes *out); /* white space between characters is skipped */
bool get_base64url(struct arena *a, struct bytes text, struct bytes *out);
bool get_hex(struct arena *a, struct bytes text, struct bytes *out);

char *hex_str(struct arena *a, struct bytes data);
char *base64_str(struct arena *a, struct bytes data);
char *base64url_str(struct arena *a, struct bytes data);

#endif
