#include "pki/signed_by.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "pki/cert.h"

static X509 *x509_of(struct bytes der)
{
    const unsigned char *p = der.p;
    return der.n && der.n <= CERT_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;
}

bool cert_signed_by(struct bytes cert, struct bytes issuer)
{
    X509 *a = x509_of(cert), *b = x509_of(issuer);
    EVP_PKEY *key = b != NULL ? X509_get0_pubkey(b) : NULL;
    const bool signed_by = a != NULL && key != NULL && EVP_PKEY_get_bits(key) <= SIGNED_BY_BITS_MAX && X509_verify(a, key) == 1;
    X509_free(a);
    X509_free(b);
    ERR_clear_error();
    return signed_by;
}
