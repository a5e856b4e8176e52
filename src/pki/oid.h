/* The object identifiers that this project knows, as the content of their DER. */
#ifndef PKI_OID_H
#define PKI_OID_H

#include "base/bytes.h"

/* Public keys and curves (RFC 5480, RFC 8017, RFC 8410) */
#define OID_RSA BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
#define OID_RSA_PSS BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")
#define OID_EC BYTES_LIT("\x2a\x86\x48\xce\x3d\x02\x01")
#define OID_P256 BYTES_LIT("\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define OID_P384 BYTES_LIT("\x2b\x81\x04\x00\x22")
#define OID_P521 BYTES_LIT("\x2b\x81\x04\x00\x23")
#define OID_ED25519 BYTES_LIT("\x2b\x65\x70")

/* Signatures */
#define OID_RSA_SHA256 BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
#define OID_RSA_SHA384 BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c")
#define OID_RSA_SHA512 BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d")
#define OID_ECDSA_SHA256 BYTES_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x02")
#define OID_ECDSA_SHA384 BYTES_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x03")
#define OID_ECDSA_SHA512 BYTES_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x04")

/* Extensions (RFC 5280 section 4.2) */
#define OID_SKI BYTES_LIT("\x55\x1d\x0e")
#define OID_KEY_USAGE BYTES_LIT("\x55\x1d\x0f")
#define OID_SAN BYTES_LIT("\x55\x1d\x11")
#define OID_BASIC_CONSTRAINTS BYTES_LIT("\x55\x1d\x13")
#define OID_CRL_NUMBER BYTES_LIT("\x55\x1d\x14")
#define OID_CRL_SCOPE BYTES_LIT("\x55\x1d\x1c") /* issuing distribution point */
#define OID_CRL_REASON BYTES_LIT("\x55\x1d\x15")
#define OID_NAME_CONSTRAINTS BYTES_LIT("\x55\x1d\x1e")
#define OID_CRL_POINTS BYTES_LIT("\x55\x1d\x1f")
#define OID_POLICIES BYTES_LIT("\x55\x1d\x20")
#define OID_AKI BYTES_LIT("\x55\x1d\x23")
#define OID_EKU BYTES_LIT("\x55\x1d\x25")
#define OID_AIA BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x01\x01")
#define OID_SCT_LIST BYTES_LIT("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02")
#define OID_ACME_IDENTIFIER BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x01\x1f") /* RFC 8737 */
#define OID_TLS_FEATURE BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x01\x18")

#define OID_AIA_OCSP BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x30\x01")
#define OID_AIA_ISSUER BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x30\x02")

/* Extended key usages */
#define OID_EKU_ANY BYTES_LIT("\x55\x1d\x25\x00")
#define OID_EKU_SERVER BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x03\x01")
#define OID_EKU_CLIENT BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x03\x02")
#define OID_EKU_CODE BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x03\x03")
#define OID_EKU_EMAIL BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x03\x04")
#define OID_EKU_TIME BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x03\x08")
#define OID_EKU_OCSP BYTES_LIT("\x2b\x06\x01\x05\x05\x07\x03\x09")

/* Name attributes (RFC 4519) */
#define OID_CN BYTES_LIT("\x55\x04\x03")
#define OID_SERIAL_NUMBER BYTES_LIT("\x55\x04\x05")
#define OID_COUNTRY BYTES_LIT("\x55\x04\x06")
#define OID_LOCALITY BYTES_LIT("\x55\x04\x07")
#define OID_STATE BYTES_LIT("\x55\x04\x08")
#define OID_STREET BYTES_LIT("\x55\x04\x09")
#define OID_ORGANIZATION BYTES_LIT("\x55\x04\x0a")
#define OID_UNIT BYTES_LIT("\x55\x04\x0b")
#define OID_DC BYTES_LIT("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19")
#define OID_UID BYTES_LIT("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01")
#define OID_EMAIL BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01")

/* PKCS #10 (RFC 2985 section 5.4.2) */
#define OID_EXTENSION_REQUEST BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")

/* PKCS #12 (RFC 7292, RFC 5652, RFC 8018), and the protection of JKS */
#define OID_DATA BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")
#define OID_ENCRYPTED_DATA BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06")
#define OID_PBKDF2 BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c")
#define OID_PBES2 BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d")
#define OID_PBE_SHA1_3DES BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03")
#define OID_BAG_KEY BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01")
#define OID_BAG_SHROUDED_KEY BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02")
#define OID_BAG_CERT BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03")
#define OID_FRIENDLY_NAME BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14")
#define OID_LOCAL_KEY_ID BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x15")
#define OID_X509_CERTIFICATE BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01")
#define OID_JKS_KEY BYTES_LIT("\x2b\x06\x01\x04\x01\x2a\x02\x11\x01\x01")

#endif
