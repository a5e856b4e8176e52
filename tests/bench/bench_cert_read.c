/* CPU time to read a certificate for the inventory, beside OpenSSL's d2i_X509 with the same extensions decoded, in the same run:
 * over 10,000 distinct certificates as public CAs issue them, and over the roots of the system. */
#include <setjmp.h>
#include <stdarg.h>

#include <time.h>

#include "../unit/pki/cert_agree.h"
#include "../unit/pki/cert_corpus.h"
#include "base/ctx.h"
#include "pki/name_text.h"
#include "pki/pem.h"

#define LEAVES 10000
#define ROUNDS 20

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct set {
    struct bytes *v;
    size_t n, bytes;
};

static struct set make_leaves(struct arena *a)
{
    struct set s = {.v = arena_array(a, LEAVES, sizeof(struct bytes))};
    struct recipe leaf = recipe_leaf(a);
    struct bytes der = recipe_der(a, &leaf);
    const size_t serial = bytes_find(der, leaf.serial), name = bytes_find(der, BYTES_LIT("www.example.org"));
    for (; s.n < LEAVES; s.n++) {
        uint8_t *copy = arena_dup(a, der.p, der.n);
        memcpy(copy + serial + 4, &s.n, sizeof s.n);
        copy[name] = (uint8_t)('a' + s.n % 26);
        s.v[s.n] = bytes_of(copy, der.n);
        s.bytes += der.n;
    }
    return s;
}

static struct set read_roots(struct ctx *ctx)
{
    struct set s = {.v = arena_array(&ctx->arena, 1000, sizeof(struct bytes))};
    char *text = arena_alloc(&ctx->arena, 4 << 20);
    FILE *f = fopen("/etc/ssl/certs/ca-certificates.crt", "r");
    struct bytes pem = bytes_of(text, f ? fread(text, 1, 4 << 20, f) : 0);
    struct pem_block block;
    bool found;
    if (f)
        fclose(f);
    while (s.n < 1000 && rc_ok(pem_next(ctx, &pem, &block, &found)) && found) {
        s.v[s.n++] = block.der;
        s.bytes += block.der.n;
    }
    return s;
}

/* What an index wants: the fields, each attribute of both names, each alternative name in its one form. */
static size_t walk(const struct cert_fields *c, bool normalise)
{
    struct cert_attribute_cursor issuer = cert_attributes(&c->issuer), subject = cert_attributes(&c->subject);
    struct bytes rest = c->san.der;
    struct cert_general_name name;
    struct cert_attribute attribute;
    struct name_text_dns dns;
    size_t seen = 0;
    while (cert_next_attribute(&issuer, &attribute))
        seen += attribute.text.value.n;
    while (cert_next_attribute(&subject, &attribute))
        seen += attribute.text.value.n;
    while (cert_next_general_name(&rest, &name)) {
        seen += name.value.n;
        if (normalise && name.type == CERT_GENERAL_DNS) {
            name_text_dns(name.value, &dns);
            seen += dns.n;
        }
    }
    return seen;
}

static double ours(struct ctx *ctx, const struct set *s, struct cert_hasher *hasher, bool walked, bool normalise)
{
    struct cert_fields c;
    struct cert_digests d;
    size_t sum = 0;
    const size_t rounds = ROUNDS * LEAVES / s->n;
    double best = 1e9;
    for (int attempt = 0; attempt < 5; attempt++) {
        double start = cpu_us();
        for (size_t r = 0; r < rounds; r++)
            for (size_t i = 0; i < s->n; i++) {
                if (rc_failed(cert_read(ctx, s->v[i], &c)))
                    continue;
                sum += walked ? walk(&c, normalise) : c.san.n;
                if (hasher && rc_ok(cert_digest(ctx, hasher, &c, &d)))
                    sum += d.sha256[0];
            }
        double us = (cpu_us() - start) / (double)(rounds * s->n);
        best = us < best ? us : best;
    }
    if (sum == SIZE_MAX)
        puts(""); /* so that nothing of the work is left out */
    return best;
}

static double openssl(const struct set *s)
{
    const size_t n = s->n < 2000 ? s->n : 2000;
    double start = cpu_us();
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = s->v[i].p;
        X509 *x = d2i_X509(NULL, &p, (long)s->v[i].n);
        for (size_t e = 0; x && e < sizeof agree_extensions / sizeof *agree_extensions; e++) {
            const X509V3_EXT_METHOD *method = X509V3_EXT_get_nid(agree_extensions[e].nid);
            void *decoded = X509_get_ext_d2i(x, agree_extensions[e].nid, NULL, NULL);
            if (decoded && method->it)
                ASN1_item_free(decoded, ASN1_ITEM_ptr(method->it));
            else if (decoded)
                method->ext_free(decoded);
        }
        X509_free(x);
    }
    ERR_clear_error();
    return (cpu_us() - start) / (double)n;
}

static void print(struct ctx *ctx, const char *what, const struct set *s, struct cert_hasher *hasher)
{
    printf("read set=%s bytes=%zu fields_us=%.2f names_us=%.2f normalised_us=%.2f hashed_us=%.2f openssl_us=%.0f\n", what,
           s->bytes / s->n, ours(ctx, s, NULL, false, false), ours(ctx, s, NULL, true, false), ours(ctx, s, NULL, true, true),
           ours(ctx, s, hasher, true, true), openssl(s));
}

int main(void)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct cert_hasher *hasher CERT_HASHER_CLEANUP = NULL;
    ctx_init(&ctx, &clock_system);
    struct set leaves = make_leaves(&ctx.arena), roots = read_roots(&ctx);
    if (rc_failed(cert_hasher_new(&ctx, &hasher)))
        return 1;
    print(&ctx, "leaves", &leaves, hasher);
    if (roots.n)
        print(&ctx, "roots", &roots, hasher);
    return 0;
}
