/* Oracle Cloud Infrastructure: https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm */
#include "agent/relay/auth_rsa.h"

#include "base/encode.h"

static bool has_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

static const char *lower_method(const char *method)
{
    static const struct {
        const char *upper, *lower;
    } names[] = {{"GET", "get"}, {"HEAD", "head"}, {"POST", "post"}, {"PUT", "put"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].upper, method) == 0)
            return names[i].lower;
    return method;
}

static const char *value_of(const struct canon *in, const char *name)
{
    const char *value = canon_header(in, name);
    return value != NULL ? value : "";
}

RC oci_put_text(const struct canon *in, struct buf *out)
{
    buf_printf(out, "date: %s\n(request-target): %s %s%s%s\nhost: %s", value_of(in, "date"), lower_method(in->method), in->path,
               in->query != NULL ? "?" : "", in->query != NULL ? in->query : "", in->host);
    if (has_body(in->method))
        buf_printf(out, "\ncontent-length: %zu\ncontent-type: %s\nx-content-sha256: %s", in->body.n, value_of(in, "content-type"),
                   value_of(in, "x-content-sha256"));
    return buf_status(out);
}

RC oci_sign(struct ctx *ctx, const struct canon *in, const char *key_id, const struct key *key, struct buf *out)
{
    struct buf text BUF_CLEANUP = {0};
    struct bytes signature;
    buf_init_secret(&text, CANON_TEXT_MAX);
    TRY(oci_put_text(in, &text));
    if (key_public(key)->kind != SPKI_RSA)
        return ctx_fail(ctx, E_UNSUPPORTED, "the credential's key is not RSA, which Oracle wants");
    TRY(key_sign(ctx, key, buf_bytes(&text), &signature));
    buf_printf(
        out, "Signature version=\"1\",headers=\"date (request-target) host%s\",keyId=\"%s\",algorithm=\"rsa-sha256\",signature=\"",
        has_body(in->method) ? " content-length content-type x-content-sha256" : "", key_id);
    put_base64(out, signature);
    buf_put_u8(out, '"');
    return buf_status(out);
}

static RC put_body_headers(struct ctx *ctx, struct push_session *s, struct push_request *r, const struct canon *c)
{
    struct buf hash;
    uint8_t sha[SHA256_LEN];
    buf_init_arena(&hash, &ctx->arena, 64);
    TRY(digest_sha256(ctx, r->body, sha));
    put_base64(&hash, bytes_of(sha, sizeof sha));
    TRY(buf_status(&hash));
    if (canon_header(c, "content-type") == NULL)
        TRY(push_header(ctx, s, r, "Content-Type", BYTES_LIT("application/json")));
    return push_header(ctx, s, r, "X-Content-SHA256", buf_bytes(&hash));
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    SECRET_CLEANUP struct secret pem = {0};
    KEY_CLEANUP struct key *key = NULL;
    struct canon c;
    struct buf *b = push_room(s, PUSH_HEADER_MAX), date;
    buf_init_arena(&date, &ctx->arena, 64);
    TRY(canon_of(ctx, r, &c));
    TRY(secret_from(ctx, &pem, push_setting(s, "key")));
    struct rc rc = key_from_pem(ctx, &pem, &key);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the credential must be the API key of Oracle as PEM, not encrypted");
    time_put_http(&date, c.now_s);
    TRY(push_header(ctx, s, r, "Date", buf_bytes(&date)));
    if (has_body(r->method))
        TRY(put_body_headers(ctx, s, r, &c));
    c.n_headers = r->n_headers;
    const char *key_id =
        arena_printf(&ctx->arena, "%s/%s/%s", arena_str(&ctx->arena, push_setting(s, "tenancy")),
                     arena_str(&ctx->arena, push_setting(s, "user")), arena_str(&ctx->arena, push_setting(s, "fingerprint")));
    TRY(oci_sign(ctx, &c, key_id, key, b));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

const struct push_auth auth_oci = {.name = "oci", .sign = sign};
