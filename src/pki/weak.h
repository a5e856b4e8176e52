/* Weak public keys. */
#ifndef PKI_WEAK_H
#define PKI_WEAK_H

#include "base/ctx.h"
#include "pki/spki.h"

/* A list of keys that are known to somebody else, sorted for search.  Safe to share between threads. */
struct weak_list;

/* weak_list_load reads a list: a text file with one hash in hex a line ('#' starts a comment; order does not matter), of
 *     64 digits: SHA-256 of the SubjectPublicKeyInfo
 *     40 digits: the first 20 bytes of it
 *     20 digits: the last 10 bytes of SHA-1 over "Modulus=HEX\n" (Debian's openssl-blacklist)
 * or badkeys' blocklist.dat: records of 16 bytes, the first 15 of them the start of the SHA-256 of the modulus or the point's x
 * coordinate (as a number without leading zeros), the last the number of a list. */
RC weak_list_load(struct ctx *ctx, const char *path, struct weak_list **out);
RC weak_list_parse(struct ctx *ctx, struct bytes text, struct weak_list **out);
size_t weak_list_count(const struct weak_list *list);
void weak_list_free(struct weak_list *list);

/* weak_check refuses with E_WEAK_KEY and says why: RSA under 2,048 or over 8,192 bits; an exponent that is even, under 65,537 or
 * over 2^256; a factor under 2^16; primes so close that Fermat's method finds them in 100 rounds; the fingerprint of ROCA
 * (CVE-2017-15361); a curve other than P-256 and P-384, or a point not on it; a key on one of the lists.  Other kinds of key are
 * refused with E_UNSUPPORTED. */
RC weak_check(struct ctx *ctx, struct bytes spki, const struct weak_list *const *lists, size_t n);

/* weak_look says what is wrong with a key that exists already, whatever its size: bits.  Costs up to a millisecond.  Keys of other
 * kinds, and RSA keys over 8,192 bits, have none; E_PARSE where it is no key. */
enum { WEAK_FACTOR = 1 << 0, WEAK_ROCA = 1 << 1, WEAK_FERMAT = 1 << 2, WEAK_LISTED = 1 << 3 };
RC weak_look(struct ctx *ctx, struct bytes spki, const struct weak_list *const *lists, size_t n, uint32_t *weak);

#endif
