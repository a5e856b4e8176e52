#include "lib/many_certs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Random numbers that a place has for itself (splitmix64). */
struct dice {
    uint64_t s;
};

static uint64_t roll(struct dice *d)
{
    uint64_t z = d->s += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static struct dice dice_of(uint64_t seed, uint64_t i, uint64_t what)
{
    struct dice d = {seed * 0x100000001b3 ^ i * 0x9e3779b97f4a7c15 ^ what << 56};
    roll(&d);
    return d;
}

/* Written from the end to the front, so that each length is known when its header is written. */
struct back {
    uint8_t *begin, *p;
};

static void put(struct back *b, const void *data, size_t n)
{
    b->p -= n;
    memcpy(b->p, data, n);
}

static void put_random(struct back *b, struct dice *d, size_t n)
{
    while (n) {
        const uint64_t v = roll(d);
        const size_t k = n < 8 ? n : 8;
        put(b, &v, k);
        n -= k;
    }
}

/* The header of what was written since `end`. */
static void head(struct back *b, uint8_t tag, const uint8_t *end)
{
    const size_t n = (size_t)(end - b->p);
    if (n < 128) {
        *--b->p = (uint8_t)n;
    } else {
        *--b->p = (uint8_t)n;
        if (n < 256) {
            *--b->p = 0x81;
        } else {
            *--b->p = (uint8_t)(n >> 8);
            *--b->p = 0x82;
        }
    }
    *--b->p = tag;
}

static void put_text(struct back *b, uint8_t tag, const char *text)
{
    const uint8_t *end = b->p;
    put(b, text, strlen(text));
    head(b, tag, end);
}

static void put_attribute(struct back *b, uint8_t type, uint8_t tag, const char *text)
{
    const uint8_t oid[] = {0x06, 3, 0x55, 0x04, type};
    const uint8_t *end = b->p;
    put_text(b, tag, text);
    put(b, oid, sizeof oid);
    head(b, 0x30, end);
    head(b, 0x31, end);
}

static void put_time(struct back *b, int64_t at)
{
    struct tm tm;
    char text[80];
    const time_t t = (time_t)at;
    gmtime_r(&t, &tm);
    snprintf(text, sizeof text, "%02d%02d%02d%02d%02d%02dZ", tm.tm_year % 100, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    put_text(b, 0x17, text);
}

static void put_extension(struct back *b, const uint8_t *end, const uint8_t *oid, size_t oid_n)
{
    head(b, 0x04, end);
    put(b, oid, oid_n);
    head(b, 0x30, end);
}
#define EXTENSION(b, end, ...) \
    do { \
        const uint8_t oid_[] = {__VA_ARGS__}; \
        put_extension(b, end, oid_, sizeof oid_); \
    } while (0)

/* A positive INTEGER of `n` random bytes. */
static void put_number(struct back *b, struct dice *d, size_t n)
{
    const uint8_t *end = b->p;
    put_random(b, d, n);
    *b->p = (uint8_t)((*b->p & 0x3f) | 0x40);
    head(b, 0x02, end);
}

static const char *const tlds[] = {"com", "org", "net", "de", "io", "co.uk", "dev", "example"};
static const char *const words[] = {"shop", "mail", "api",  "portal", "intranet", "git",   "wiki",  "login", "static", "cdn",  "crm",   "erp",
                                    "test", "dev",  "prod", "stage",  "billing",  "cloud", "files", "media", "search", "news", "store", "vpn"};
#define PICK(d, a) ((a)[roll(d) % (sizeof(a) / sizeof *(a))])

void many_cert_name(uint64_t seed, uint64_t i, char out[64])
{
    struct dice d = dice_of(seed, i, 1);
    const uint64_t r = roll(&d), domain = (r & 0xffff) * (r >> 16 & 0xffff) >> 17; /* some domains have many, most have few */
    const char *word = PICK(&d, words), *other = PICK(&d, words);
    struct dice own = dice_of(seed, domain, 2);
    snprintf(out, 64, "%s-%llx.%s.%s%llu.%s", word, (unsigned long long)(i & 0xffffffff), other, PICK(&own, words),
             (unsigned long long)domain, PICK(&own, tlds));
}

enum kind { EC_PUBLIC, RSA_PUBLIC, RSA_PRIVATE };

static void put_issuer(struct back *b, enum kind kind, unsigned ca)
{
    char cn[32], o[32];
    const uint8_t *end = b->p;
    snprintf(o, sizeof o, kind == RSA_PRIVATE ? "Private Trust %u" : "Public Trust %u", ca / 4);
    snprintf(cn, sizeof cn, kind == EC_PUBLIC ? "E%u" : "R%u", ca);
    put_attribute(b, 3, 0x0c, cn);
    put_attribute(b, 10, 0x0c, o);
    put_attribute(b, 6, 0x13, "US");
    head(b, 0x30, end);
}

static void put_algorithm(struct back *b, enum kind kind)
{
    static const uint8_t rsa[] = {0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 0x05, 0};
    static const uint8_t ec[] = {0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3};
    if (kind == RSA_PRIVATE)
        put(b, rsa, sizeof rsa);
    else
        put(b, ec, sizeof ec);
}

static void put_signature(struct back *b, struct dice *d, enum kind kind)
{
    const uint8_t *end = b->p;
    if (kind == RSA_PRIVATE) {
        put_random(b, d, 256);
    } else {
        put_number(b, d, 48);
        put_number(b, d, 48);
        head(b, 0x30, end);
    }
    *--b->p = 0;
    head(b, 0x03, end);
}

static void put_key(struct back *b, struct dice *d, enum kind kind)
{
    const uint8_t *end = b->p;
    if (kind == EC_PUBLIC) {
        static const uint8_t p256[] = {0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
        put_random(b, d, 64);
        *--b->p = 4;
        *--b->p = 0;
        head(b, 0x03, end);
        put(b, p256, sizeof p256);
    } else {
        static const uint8_t rsa[] = {0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0}, e[] = {2, 3, 1, 0, 1};
        put(b, e, sizeof e);
        const uint8_t *n = b->p;
        put_random(b, d, 256);
        *b->p |= 0x80;
        b->p[255] |= 1;
        *--b->p = 0;
        head(b, 0x02, n);
        head(b, 0x30, end);
        *--b->p = 0;
        head(b, 0x03, end);
        put(b, rsa, sizeof rsa);
    }
    head(b, 0x30, end);
}

/* Two of v1, whose logs are a dozen. */
static void put_scts(struct back *b, struct dice *d, int64_t at)
{
    const uint8_t *end = b->p;
    for (unsigned k = 0; k < 2; k++) {
        const uint8_t *sct = b->p, *signature = b->p;
        struct dice log = dice_of(7, roll(d) % 12, 3);
        put_number(b, d, 32);
        put_number(b, d, 32);
        head(b, 0x30, signature);
        const size_t n = (size_t)(signature - b->p);
        const uint8_t after[] = {0, 0, 4, 3, (uint8_t)(n >> 8), (uint8_t)n}; /* no extensions; SHA-256, ECDSA */
        put(b, after, sizeof after);
        const uint64_t ms = (uint64_t)at * 1000 + roll(d) % 1000;
        for (unsigned i = 0; i < 8; i++)
            *--b->p = (uint8_t)(ms >> 8 * i);
        put_random(b, &log, 32);
        *--b->p = 0;
        const size_t all = (size_t)(sct - b->p);
        *--b->p = (uint8_t)all;
        *--b->p = (uint8_t)(all >> 8);
    }
    const size_t list = (size_t)(end - b->p);
    *--b->p = (uint8_t)list;
    *--b->p = (uint8_t)(list >> 8);
    head(b, 0x04, end);
    EXTENSION(b, end, 0x06, 10, 0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2);
}

static void put_access(struct back *b, enum kind kind, unsigned ca)
{
    static const uint8_t ocsp[] = {6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1}, issuers[] = {6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2};
    const uint8_t *end = b->p;
    char url[64];
    snprintf(url, sizeof url, "http://%s%u.i.trust.example/", kind == EC_PUBLIC ? "e" : "r", ca);
    put_text(b, 0x86, url);
    put(b, issuers, sizeof issuers);
    head(b, 0x30, end);
    const uint8_t *one = b->p;
    snprintf(url, sizeof url, "http://%s%u.o.trust.example", kind == EC_PUBLIC ? "e" : "r", ca);
    put_text(b, 0x86, url);
    put(b, ocsp, sizeof ocsp);
    head(b, 0x30, one);
    head(b, 0x30, end);
    EXTENSION(b, end, 6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 1);
}

static void put_extensions(struct back *b, struct dice *d, enum kind kind, unsigned ca, const char *name, int64_t from)
{
    static const uint8_t usage[] = {0x30, 14, 6, 3, 0x55, 0x1d, 15, 1, 1, 0xff, 4, 4, 3, 2, 7, 0x80};
    static const uint8_t purposes[] = {0x30, 29, 6,    3, 0x55, 0x1d, 37, 4, 22, 0x30, 20, 6, 8, 0x2b, 6, 1,
                                       5,    5,  7,    3, 1,    6,    8,  0x2b, 6, 1, 5, 5, 7, 3, 2};
    static const uint8_t basic[] = {0x30, 12, 6, 3, 0x55, 0x1d, 19, 1, 1, 0xff, 4, 2, 0x30, 0};
    static const uint8_t policy[] = {0x30, 19, 6, 3, 0x55, 0x1d, 32, 4, 12, 0x30, 10, 0x30, 8, 6, 6, 0x67, 0x81, 0x0c, 1, 2, 1};
    const uint8_t *end = b->p;
    char text[80];
    if (kind != RSA_PRIVATE)
        put_scts(b, d, from);
    put(b, policy, sizeof policy);
    const uint8_t *one = b->p;
    snprintf(text, sizeof text, "www.%s", name);
    put_text(b, 0x82, text);
    put_text(b, 0x82, name);
    head(b, 0x30, one);
    EXTENSION(b, one, 6, 3, 0x55, 0x1d, 17);
    put_access(b, kind, ca);
    one = b->p;
    struct dice key = dice_of(11, ca * 4 + kind, 4);
    put_random(b, &key, 20);
    head(b, 0x80, one);
    head(b, 0x30, one);
    EXTENSION(b, one, 6, 3, 0x55, 0x1d, 35);
    one = b->p;
    put_random(b, d, 20);
    head(b, 0x04, one);
    EXTENSION(b, one, 6, 3, 0x55, 0x1d, 14);
    put(b, basic, sizeof basic);
    put(b, purposes, sizeof purposes);
    put(b, usage, sizeof usage);
    head(b, 0x30, end);
    head(b, 0xa3, end);
}

size_t many_cert(uint64_t seed, uint64_t i, int64_t now, uint8_t out[MANY_CERT_MAX])
{
    static const uint8_t version[] = {0xa0, 3, 2, 1, 2};
    static const int64_t days[] = {90, 90, 90, 90, 199, 398};
    struct dice d = dice_of(seed, i, 0);
    struct back b = {out, out + MANY_CERT_MAX};
    const uint64_t share = roll(&d) % 100;
    const enum kind kind = share < 60 ? EC_PUBLIC : share < 85 ? RSA_PUBLIC : RSA_PRIVATE;
    const unsigned ca = (unsigned)(roll(&d) % 40);
    const int64_t life = PICK(&d, days) * 86400, left = (int64_t)(roll(&d) % (uint64_t)life);
    const int64_t end_at = roll(&d) % 20 ? now + left : now - left / 4 - 1, from = end_at - life + 1;
    char name[64];
    many_cert_name(seed, i, name);
    const uint8_t *end = b.p;
    put_signature(&b, &d, kind);
    put_algorithm(&b, kind);
    const uint8_t *tbs = b.p, *one;
    put_extensions(&b, &d, kind, ca, name, from);
    put_key(&b, &d, kind == EC_PUBLIC ? EC_PUBLIC : RSA_PUBLIC);
    one = b.p;
    put_attribute(&b, 3, 0x0c, name);
    head(&b, 0x30, one);
    one = b.p;
    put_time(&b, end_at);
    put_time(&b, from);
    head(&b, 0x30, one);
    put_issuer(&b, kind, ca);
    put_algorithm(&b, kind);
    put_number(&b, &d, 17);
    put(&b, version, sizeof version);
    head(&b, 0x30, tbs);
    head(&b, 0x30, end);
    const size_t n = (size_t)(end - b.p);
    memmove(out, b.p, n);
    return n;
}
