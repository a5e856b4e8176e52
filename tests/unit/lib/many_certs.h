/* Certificates by the million, for measurements: as large and as hard to compress as real ones, made from a template without signing
 * anything.  Serial, names, dates, key bits, SCTs and signature are random; certificate `i` of a seed is always the same. */
#ifndef TESTS_MANY_CERTS_H
#define TESTS_MANY_CERTS_H

#include <stddef.h>
#include <stdint.h>

#define MANY_CERT_MAX 1400

/* many_cert makes certificate `i`; returns its length.  Its two names are many_cert_name() of it, and "www." before that.  60 % have
 * EC keys of public CAs, 25 % RSA keys of public CAs, 15 % are RSA of private CAs; all validities include `now` but 5 %, which ended. */
size_t many_cert(uint64_t seed, uint64_t i, int64_t now, uint8_t out[MANY_CERT_MAX]);
void many_cert_name(uint64_t seed, uint64_t i, char out[64]);

#endif
