#include "pki/cert_read_der.h"

/* Found by length and last byte first: OIDs of one family differ there. */
struct row {
    struct bytes oid;
    const char *word;
    uint32_t value; /* bits, or the hash */
};

static const struct row keys[] = {
    [CERT_KEY_OTHER] = {{0}, "other", 0},
#define KEY(name, word, bits, oid) [CERT_KEY_##name] = {BYTES_LIT(oid), word, bits},
#include "pki/cert_algs.def"
};

static const struct row curves[] = {
    [CERT_CURVE_NONE] = {{0}, "", 0},
    [CERT_CURVE_OTHER] = {{0}, "other", 0},
    [CERT_CURVE_EXPLICIT] = {{0}, "explicit", 0},
#define CURVE(name, word, bits, oid) [CERT_CURVE_##name] = {BYTES_LIT(oid), word, bits},
#include "pki/cert_algs.def"
};

static const struct row signatures[] = {
    [CERT_SIGNATURE_OTHER] = {{0}, "other", CERT_HASH_NONE},
#define SIGNATURE(name, word, hash, oid) [CERT_SIGNATURE_##name] = {BYTES_LIT(oid), word, CERT_HASH_##hash},
#include "pki/cert_algs.def"
};

static const struct row hashes[] = {
    [CERT_HASH_NONE] = {{0}, "", 0},
    [CERT_HASH_MD2] = {BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x02\x02"), "MD2", 0},
    [CERT_HASH_MD4] = {BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x02\x04"), "MD4", 0},
    [CERT_HASH_MD5] = {BYTES_LIT("\x2a\x86\x48\x86\xf7\x0d\x02\x05"), "MD5", 0},
    [CERT_HASH_SHA1] = {BYTES_LIT("\x2b\x0e\x03\x02\x1a"), "SHA-1", 0},
    [CERT_HASH_SHA224] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x04"), "SHA-224", 0},
    [CERT_HASH_SHA256] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x01"), "SHA-256", 0},
    [CERT_HASH_SHA384] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x02"), "SHA-384", 0},
    [CERT_HASH_SHA512] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x03"), "SHA-512", 0},
    [CERT_HASH_SHA3_224] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x07"), "SHA3-224", 0},
    [CERT_HASH_SHA3_256] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x08"), "SHA3-256", 0},
    [CERT_HASH_SHA3_384] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x09"), "SHA3-384", 0},
    [CERT_HASH_SHA3_512] = {BYTES_LIT("\x60\x86\x48\x01\x65\x03\x04\x02\x0a"), "SHA3-512", 0},
    [CERT_HASH_RIPEMD160] = {BYTES_LIT("\x2b\x24\x03\x02\x01"), "RIPEMD-160", 0},
    [CERT_HASH_SM3] = {BYTES_LIT("\x2a\x81\x1c\xcf\x55\x01\x83\x11"), "SM3", 0},
    [CERT_HASH_GOST94] = {BYTES_LIT("\x2a\x85\x03\x02\x02\x09"), "GOST 34.11-94", 0},
    [CERT_HASH_STREEBOG256] = {BYTES_LIT("\x2a\x85\x03\x07\x01\x01\x02\x02"), "Streebog-256", 0},
    [CERT_HASH_STREEBOG512] = {BYTES_LIT("\x2a\x85\x03\x07\x01\x01\x02\x03"), "Streebog-512", 0},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))
_Static_assert(COUNT(keys) == CERT_KEY_COUNT && COUNT(curves) == CERT_CURVE_COUNT && COUNT(signatures) == CERT_SIGNATURE_COUNT &&
                   COUNT(hashes) == CERT_HASH_COUNT,
               "each table has a row for each of its kind");

static size_t find(const struct row *rows, size_t n, size_t first, struct bytes oid)
{
    if (!oid.n)
        return 0;
    for (size_t i = first; i < n; i++)
        if (rows[i].oid.n == oid.n && rows[i].oid.p[oid.n - 1] == oid.p[oid.n - 1] && bytes_equal(rows[i].oid, oid))
            return i;
    return 0;
}

enum cert_key_type cert_key_by_oid(struct bytes oid, uint32_t *bits)
{
    size_t i = find(keys, COUNT(keys), 1, oid);
    *bits = keys[i].value;
    return (enum cert_key_type)i;
}

enum cert_curve cert_curve_by_oid(struct bytes oid, uint32_t *bits)
{
    size_t i = find(curves, COUNT(curves), CERT_CURVE_EXPLICIT + 1, oid);
    *bits = curves[i].value;
    return i ? (enum cert_curve)i : CERT_CURVE_OTHER;
}

enum cert_signature cert_signature_by_oid(struct bytes oid, enum cert_hash *hash)
{
    size_t i = find(signatures, COUNT(signatures), 1, oid);
    *hash = (enum cert_hash)signatures[i].value;
    return (enum cert_signature)i;
}

enum cert_hash cert_hash_by_oid(struct bytes oid)
{
    return (enum cert_hash)find(hashes, COUNT(hashes), 1, oid);
}

const char *cert_key_word(enum cert_key_type type)
{
    return keys[(size_t)type < COUNT(keys) ? type : CERT_KEY_OTHER].word;
}

const char *cert_curve_word(enum cert_curve curve)
{
    return curves[(size_t)curve < COUNT(curves) ? curve : CERT_CURVE_OTHER].word;
}

const char *cert_signature_word(enum cert_signature signature)
{
    return signatures[(size_t)signature < COUNT(signatures) ? signature : CERT_SIGNATURE_OTHER].word;
}

const char *cert_hash_word(enum cert_hash hash)
{
    return hashes[(size_t)hash < COUNT(hashes) ? hash : CERT_HASH_NONE].word;
}

static const struct cert_defect_info defects[] = {
#define DEFECT(name, word, text, source) [CERT_DEFECT_##name] = {word, text, source},
#include "pki/cert_defects.def"
#undef DEFECT
};
_Static_assert(CERT_DEFECT_COUNT <= 64, "each defect has a bit");

const struct cert_defect_info *cert_defect_info(enum cert_defect defect)
{
    return &defects[(size_t)defect < COUNT(defects) ? defect : 0];
}
