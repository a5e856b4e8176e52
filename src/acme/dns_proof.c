#include "acme/dns_proof.h"

#include "base/encode.h"
#include "base/str.h"
#include "pki/digest.h"

#define LABEL_BYTES 10 /* of the hash of the account's URL */

/* Base32 (RFC 4648 section 6) in lower case; ten bytes need no padding. */
static RC put_account_label(struct ctx *ctx, const char *account_url, struct buf *b)
{
    uint8_t hash[SHA256_LEN];
    unsigned bits = 0, have = 0;
    if (account_url == NULL || account_url[0] == 0)
        return ctx_fail(ctx, E_BUG, "dns-account-01 without the URL of the account");
    TRY(digest_sha256(ctx, bytes_z(account_url), hash));
    buf_put_u8(b, '_');
    for (size_t i = 0; i < LABEL_BYTES; i++) {
        bits = bits << 8 | hash[i];
        for (have += 8; have >= 5; have -= 5)
            buf_put_u8(b, (uint8_t)"abcdefghijklmnopqrstuvwxyz234567"[bits >> (have - 5) & 31]);
    }
    buf_put_u8(b, '.');
    return buf_status(b);
}

RC acme_dns_proof(struct ctx *ctx, const char *method, const char *name, const char *account_url, const char *key_authorization,
                  struct acme_dns_proof *out)
{
    uint8_t hash[SHA256_LEN];
    struct buf owner;
    *out = (struct acme_dns_proof){.value = key_authorization};
    buf_init_arena(&owner, &ctx->arena, 512);
    if (str_equal(method, ACME_DNS_PERSIST)) {
        buf_put_z(&owner, "_validation-persist.");
        out->stays = true;
    } else if (str_equal(method, "dns-01") || str_equal(method, "dns-account-01")) {
        if (str_equal(method, "dns-account-01"))
            TRY(put_account_label(ctx, account_url, &owner));
        buf_put_z(&owner, "_acme-challenge.");
        TRY(digest_sha256(ctx, bytes_z(key_authorization), hash));
        out->value = base64url_str(&ctx->arena, bytes_of(hash, sizeof hash));
    } else {
        return ctx_fail(ctx, E_UNSUPPORTED, "%s is not proved in DNS", method);
    }
    buf_put_z(&owner, name);
    TRY(buf_status(&owner));
    out->owner = buf_z(&owner);
    return RC_OK;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"

bool acme_dns_value_is(const char *value)
{
    static const char account[] = "; accounturi=https://";
    const size_t n = strlen(value), issuer = strspn(value, LETTERS ".");
    if (n == 0 || n > ACME_DNS_VALUE_MAX)
        return false;
    if (strspn(value, LETTERS "_") == n)
        return true;
    return issuer > 0 && strncmp(value + issuer, account, sizeof account - 1) == 0 && strspn(value, LETTERS "_.;=:/ ?%~+@,") == n;
}

/* The text is of parts that semicolons end (RFC 8659 section 4.2): none may stand in a value, nor white space. */
static bool plain(const char *s)
{
    for (; *s != 0; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == ';')
            return false;
    return true;
}

RC acme_persist_value(struct ctx *ctx, const char *issuer_domain, const char *account_url, bool wildcard, int64_t until,
                      const char **out)
{
    size_t n = strlen(issuer_domain);
    if (n == 0 || n > 253 || !plain(issuer_domain))
        return ctx_fail(ctx, E_BAD_ANSWER, "the CA names no domain that a persistent record could name as its issuer");
    if (account_url == NULL || account_url[0] == 0 || !plain(account_url))
        return ctx_fail(ctx, E_BAD_ANSWER, "the account's URL cannot stand in a persistent record");
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    buf_printf(&b, "%s; accounturi=%s", issuer_domain, account_url);
    if (wildcard)
        buf_put_z(&b, "; policy=wildcard");
    if (until > 0)
        buf_printf(&b, "; persistUntil=%lld", (long long)until);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

RC acme_persist_parse(struct ctx *ctx, const char *value, struct acme_persist *out)
{
    struct bytes rest = bytes_z(value), part, name;
    *out = (struct acme_persist){0};
    for (bool first = true, more = true; more; first = false) {
        more = bytes_take_until(&rest, ';', &part);
        part = bytes_trim(more ? part : rest);
        struct bytes text = part;
        if (first)
            out->issuer_domain = arena_str(&ctx->arena, part);
        else if (!bytes_take_until(&text, '=', &name))
            continue;
        else if (bytes_equal_z(name, "accounturi"))
            out->account_url = arena_str(&ctx->arena, text);
        else if (bytes_equal_z(name, "policy"))
            out->wildcard = bytes_equal_z(text, "wildcard");
        else if (bytes_equal_z(name, "persistUntil") && !str_to_i64(text, &out->until))
            return ctx_fail(ctx, E_PARSE, "persistUntil of a persistent record is no number");
    }
    if (out->issuer_domain[0] == 0 || out->account_url == NULL)
        return ctx_fail(ctx, E_PARSE, "a persistent record names no issuer or no account");
    return RC_OK;
}
