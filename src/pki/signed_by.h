/* Whether one certificate's key made the signature of another: any algorithm that OpenSSL has, also those that are not believed any
 * more, for this tells who issued what was found, not whether it is to be trusted. */
#ifndef PKI_SIGNED_BY_H
#define PKI_SIGNED_BY_H

#include "base/ctx.h"

#define SIGNED_BY_BITS_MAX 16384 /* of the key: a larger one has signed nothing */

/* cert_signed_by: false also where one of them cannot be read. */
bool cert_signed_by(struct bytes cert, struct bytes issuer);

#endif
