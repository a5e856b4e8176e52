#include "pki/chain.h"

#include <pthread.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "pki/alg.h"

ALG_DEFINE_CLEANUP(X509, X509_free);
ALG_DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free);

#define CHAIN_MAX 16
#define ROOTS_MAX 10000

struct chain_roots {
    X509_STORE *store;
};

static const char *const verdict_names[] = {
    [CHAIN_TRUSTED] = "trusted",
    [CHAIN_EMPTY] = "empty",
    [CHAIN_UNKNOWN_ISSUER] = "unknown-issuer",
    [CHAIN_SELF_SIGNED] = "self-signed",
    [CHAIN_EXPIRED] = "expired",
    [CHAIN_NOT_YET_VALID] = "not-yet-valid",
    [CHAIN_WRONG_NAME] = "wrong-name",
    [CHAIN_BAD_SIGNATURE] = "bad-signature",
    [CHAIN_WRONG_USE] = "wrong-use",
    [CHAIN_CONSTRAINED] = "constrained",
    [CHAIN_WEAK] = "weak",
    [CHAIN_INVALID] = "invalid",
};

const char *chain_verdict_name(enum chain_verdict verdict)
{
    return (size_t)verdict < sizeof verdict_names / sizeof *verdict_names ? verdict_names[verdict] : "invalid";
}

/* --- roots */

/* The system's, loaded with the first use: about 140 certificates, some milliseconds. */
static struct chain_roots system_roots;
static pthread_once_t system_once = PTHREAD_ONCE_INIT;

static void load_system(void)
{
    X509_STORE *store = X509_STORE_new();
    if (store && X509_STORE_set_default_paths(store) != 1) {
        X509_STORE_free(store);
        store = NULL;
    }
    system_roots.store = store;
}

struct rc chain_roots_system(struct ctx *ctx, const struct chain_roots **out)
{
    pthread_once(&system_once, load_system);
    if (!system_roots.store)
        return alg_fail(ctx, E_IO, "the system's CA certificates cannot be loaded; is the package ca-certificates installed?");
    *out = &system_roots;
    return RC_OK;
}

static X509 *to_x509(const struct cert *c)
{
    const uint8_t *p = c->der.p;
    return d2i_X509(NULL, &p, (long)c->der.n);
}

static struct rc add_roots(struct ctx *ctx, X509_STORE *store, struct bytes pem)
{
    struct cert_chain certs;
    TRY(cert_chain_parse_pem(ctx, pem, ROOTS_MAX, &certs));
    for (size_t i = 0; i < certs.n; i++) {
        X509 *x ALG_CLEANUP(X509) = to_x509(&certs.v[i]);
        /* OpenSSL reads the extensions at the first use, and threads that share the roots would do so side by side: now, and once.
         */
        if (!x || X509_check_purpose(x, -1, 0) < 0 || X509_STORE_add_cert(store, x) != 1)
            return alg_fail(ctx, E_PARSE, "a root certificate cannot be used");
    }
    return RC_OK;
}

struct rc chain_roots_load(struct ctx *ctx, struct bytes pem, bool with_system, struct chain_roots **out)
{
    CHAIN_ROOTS_CLEANUP struct chain_roots *roots = calloc(1, sizeof *roots);
    *out = NULL;
    if (!roots || !(roots->store = X509_STORE_new()))
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for root certificates");
    if (with_system && X509_STORE_set_default_paths(roots->store) != 1)
        return alg_fail(ctx, E_IO, "the system's CA certificates cannot be loaded; is the package ca-certificates installed?");
    if (pem.n)
        TRY(add_roots(ctx, roots->store, pem));
    *out = roots;
    roots = NULL;
    return RC_OK;
}

void chain_roots_free(struct chain_roots *roots)
{
    if (!roots)
        return;
    X509_STORE_free(roots->store);
    free(roots);
}

void chain_roots_freep(struct chain_roots **roots)
{
    chain_roots_free(*roots);
    *roots = NULL;
}

/* --- order */

static bool issued(const struct cert *issuer, const struct cert *c)
{
    if (!bytes_equal(issuer->subject.der, c->issuer.der))
        return false;
    return !c->aki.n || !issuer->ski.n || bytes_equal(c->aki, issuer->ski);
}

static bool same(const struct cert *a, const struct cert *b)
{
    return bytes_equal(a->der, b->der);
}

/* The one that issued none of the others. */
static size_t find_leaf(const struct cert_chain *in)
{
    for (size_t i = 0; i < in->n; i++) {
        bool is_issuer = false;
        for (size_t k = 0; k < in->n; k++)
            is_issuer = is_issuer || (!same(&in->v[k], &in->v[i]) && issued(&in->v[i], &in->v[k]));
        if (!is_issuer)
            return i;
    }
    return in->n;
}

struct rc chain_order(struct ctx *ctx, const struct cert_chain *in, struct cert_chain *out, struct cert *root)
{
    bool used[CHAIN_MAX] = {false};
    *out = (struct cert_chain){.v = arena_array(&ctx->arena, CHAIN_MAX, sizeof *out->v)};
    if (root)
        *root = (struct cert){0};
    if (!in->n || in->n > CHAIN_MAX)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "a chain has 1 to %d certificates, not %zu", CHAIN_MAX, in->n);
    size_t at = find_leaf(in);
    if (at == in->n)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificates issue each other in a circle");
    while (at < in->n) {
        used[at] = true;
        if (out->n && cert_is_self_issued(&in->v[at])) {
            if (root)
                *root = in->v[at];
        } else {
            out->v[out->n++] = in->v[at];
        }
        size_t next = 0;
        while (next < in->n && (used[next] || !issued(&in->v[next], &in->v[at])))
            next++;
        at = next;
    }
    for (size_t i = 0; i < in->n; i++) {
        bool repeated = false;
        for (size_t k = 0; k < i; k++)
            repeated = repeated || same(&in->v[k], &in->v[i]);
        if (!used[i] && !repeated)
            return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate of %s does not belong to the chain",
                            *in->v[i].subject.text ? in->v[i].subject.text : "an empty subject");
    }
    return RC_OK;
}

/* --- verification */

static const struct {
    int code; /* X509_V_ERR_ */
    enum chain_verdict verdict;
    const char *text;
} verdicts[] = {
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, CHAIN_UNKNOWN_ISSUER, "no certificate in it leads to a root that is believed"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, CHAIN_UNKNOWN_ISSUER, "no certificate in it leads to a root that is believed"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, CHAIN_UNKNOWN_ISSUER, "the issuer of the first certificate is not in the chain"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, CHAIN_UNKNOWN_ISSUER, "it ends in a root that is not believed"},
    {X509_V_ERR_CERT_UNTRUSTED, CHAIN_UNKNOWN_ISSUER, "it ends in a root that is not believed"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, CHAIN_SELF_SIGNED, "the certificate is self-signed and not believed"},
    {X509_V_ERR_CERT_HAS_EXPIRED, CHAIN_EXPIRED, "a certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, CHAIN_NOT_YET_VALID, "a certificate is not valid yet"},
    {X509_V_ERR_HOSTNAME_MISMATCH, CHAIN_WRONG_NAME, "the certificate is not for this name"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, CHAIN_WRONG_NAME, "the certificate is not for this address"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, CHAIN_BAD_SIGNATURE, "a signature is wrong"},
    {X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE, CHAIN_BAD_SIGNATURE, "a signature is wrong"},
    {X509_V_ERR_INVALID_PURPOSE, CHAIN_WRONG_USE, "a certificate may not be used for this (key usage or extended key usage)"},
    {X509_V_ERR_INVALID_CA, CHAIN_WRONG_USE, "a certificate that is no CA issued another"},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, CHAIN_WRONG_USE, "the chain is longer than a CA's path length allows"},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, CHAIN_WRONG_USE, "an issuer may not sign certificates"},
    {X509_V_ERR_PERMITTED_VIOLATION, CHAIN_CONSTRAINED, "a CA's name constraints do not permit the name"},
    {X509_V_ERR_EXCLUDED_VIOLATION, CHAIN_CONSTRAINED, "a CA's name constraints exclude the name"},
    {X509_V_ERR_EE_KEY_TOO_SMALL, CHAIN_WEAK, "the key is too short"},
    {X509_V_ERR_CA_KEY_TOO_SMALL, CHAIN_WEAK, "a CA's key is too short"},
    {X509_V_ERR_CA_MD_TOO_WEAK, CHAIN_WEAK, "a signature uses a hash that is broken"},
};

static void set_result(struct ctx *ctx, X509_STORE_CTX *c, const struct cert_chain *chain, struct chain_result *out)
{
    int code = X509_STORE_CTX_get_error(c);
    out->at = X509_STORE_CTX_get_error_depth(c);
    out->verdict = CHAIN_INVALID;
    out->text = arena_strdup(&ctx->arena, X509_verify_cert_error_string(code));
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        if (verdicts[i].code == code) {
            out->verdict = verdicts[i].verdict;
            out->text = verdicts[i].text;
        }
    }
    if (out->verdict == CHAIN_UNKNOWN_ISSUER && chain->n)
        out->text = arena_printf(&ctx->arena, "%s (issuer: %s)", out->text, chain->v[chain->n - 1].issuer.text);
}

static int purpose_of(enum chain_use use)
{
    static const int purposes[] = {X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_ANY};
    return purposes[use];
}

static bool configure(X509_STORE_CTX *c, const char *host, int64_t now, enum chain_use use, int level)
{
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(c);
    uint8_t ip[16];
    size_t n = 0;
    X509_VERIFY_PARAM_set_time(p, (time_t)now);
    X509_VERIFY_PARAM_set_depth(p, CHAIN_MAX);
    X509_VERIFY_PARAM_set_auth_level(p, level);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set_purpose(p, purpose_of(use)) != 1)
        return false;
    if (!host)
        return true;
    if (ip_parse(bytes_z(host), ip, &n))
        return X509_VERIFY_PARAM_set1_ip(p, ip, n) == 1;
    return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}

static void free_stack(STACK_OF(X509) **stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

/* 112 bits: no SHA-1, no RSA under 2,048. */
#define LEVEL_FOR_CLIENTS 2

struct verifying {
    const struct chain_roots *roots;
    const struct cert_chain *chain;
    size_t most;
    const char *host;
    int64_t now;
    enum chain_use use;
    int level;
};

/* What OpenSSL went through, whatever came of it. */
static struct rc copy_built(struct ctx *ctx, X509_STORE_CTX *c, struct bytes **built, size_t *n)
{
    STACK_OF(X509) *got = X509_STORE_CTX_get0_chain(c);
    const int count = got ? sk_X509_num(got) : 0;
    *built = arena_array(&ctx->arena, count > 0 ? (size_t)count : 1, sizeof **built);
    *n = 0;
    for (int i = 0; i < count; i++) {
        uint8_t *der = NULL;
        int size = i2d_X509(sk_X509_value(got, i), &der);
        if (size <= 0)
            return alg_fail(ctx, E_CRYPTO, "a certificate of a chain could not be written");
        (*built)[(*n)++] = arena_bytes(&ctx->arena, bytes_of(der, (size_t)size));
        OPENSSL_free(der);
    }
    return RC_OK;
}

static struct rc verify(struct ctx *ctx, const struct verifying *v, struct chain_result *out, struct bytes **built, size_t *built_n)
{
    const struct cert_chain *chain = v->chain;
    X509 *leaf ALG_CLEANUP(X509) = NULL;
    __attribute__((cleanup(free_stack))) STACK_OF(X509) *others = sk_X509_new_null();
    X509_STORE_CTX *c ALG_CLEANUP(X509_STORE_CTX) = X509_STORE_CTX_new();
    *out = (struct chain_result){.verdict = CHAIN_EMPTY, .text = "no certificate was shown", .at = -1};
    if (!chain->n)
        return RC_OK;
    if (!others || !c)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to verify a chain");
    for (size_t i = 0; i < chain->n && i < v->most; i++) {
        X509 *x = to_x509(&chain->v[i]);
        if (x && i == 0) {
            leaf = x;
        } else if (!x || sk_X509_push(others, x) <= 0) {
            X509_free(x);
            *out = (struct chain_result){.verdict = CHAIN_INVALID, .text = "a certificate cannot be read by OpenSSL", .at = (int)i};
            ERR_clear_error();
            return RC_OK;
        }
    }
    if (X509_STORE_CTX_init(c, v->roots->store, leaf, others) != 1 || !configure(c, v->host, v->now, v->use, v->level))
        return alg_fail(ctx, E_CRYPTO, "a chain could not be verified");
    int verified = X509_verify_cert(c);
    if (verified == 1)
        *out = (struct chain_result){.verdict = CHAIN_TRUSTED, .text = "", .at = -1};
    else
        set_result(ctx, c, chain, out);
    struct rc rc = built ? copy_built(ctx, c, built, built_n) : RC_OK;
    ERR_clear_error();
    return rc;
}

struct rc chain_verify(struct ctx *ctx, const struct chain_roots *roots, const struct cert_chain *chain, const char *host,
                       int64_t now, enum chain_use use, struct chain_result *out)
{
    const struct verifying v = {roots, chain, CHAIN_MAX, host, now, use, LEVEL_FOR_CLIENTS};
    return verify(ctx, &v, out, NULL, NULL);
}

struct rc chain_build(struct ctx *ctx, const struct chain_roots *roots, const struct cert_chain *chain, int64_t now,
                      enum chain_use use, struct bytes **built, size_t *n, struct chain_result *out)
{
    const struct verifying v = {roots, chain, CHAIN_BUILD_MAX, NULL, now, use, 0};
    *n = 0;
    *built = NULL;
    return verify(ctx, &v, out, built, n);
}
