/* Akamai: https://techdocs.akamai.com/developer/docs/authenticate-with-edgegrid */
#include "agent/relay/auth_hmac.h"

#include "base/encode.h"

static RC put_mac(struct ctx *ctx, struct bytes key, struct bytes data, struct buf *out)
{
    uint8_t mac[SHA256_LEN];
    TRY(digest_hmac_sha256(ctx, key, data, mac));
    put_base64(out, bytes_of(mac, sizeof mac));
    wipe(mac, sizeof mac);
    return buf_status(out);
}

RC edgegrid_sign(struct ctx *ctx, const struct canon *in, struct bytes client_token, struct bytes client_secret,
                 struct bytes access_token, size_t body_max, struct buf *out)
{
    struct buf key BUF_CLEANUP = {0}, text BUF_CLEANUP = {0};
    struct civil t = civil_from_unix(in->now_s);
    uint8_t hash[SHA256_LEN];
    const char *date =
        arena_printf(&ctx->arena, "%04d%02d%02dT%02d:%02d:%02d+0000", (int)t.year, t.month, t.day, t.hour, t.minute, t.second);
    buf_init_secret(&key, 64);
    buf_init_secret(&text, CANON_TEXT_MAX);
    buf_put_z(out, "EG1-HMAC-SHA256 client_token=");
    buf_put(out, client_token);
    buf_put_z(out, ";access_token=");
    buf_put(out, access_token);
    buf_printf(out, ";timestamp=%s;nonce=%s;", date, in->nonce);
    buf_printf(&text, "%s\thttps\t%s\t%s%s%s\t\t", in->method, in->host, in->path, in->query != NULL ? "?" : "",
               in->query != NULL ? in->query : "");
    if (strcmp(in->method, "POST") == 0 && in->body.n > 0) {
        TRY(digest_sha256(ctx, bytes_of(in->body.p, in->body.n < body_max ? in->body.n : body_max), hash));
        put_base64(&text, bytes_of(hash, sizeof hash));
    }
    buf_put_u8(&text, '\t');
    buf_put(&text, buf_bytes(out));
    TRY(buf_status(&text));
    TRY(put_mac(ctx, client_secret, bytes_z(date), &key));
    buf_put_z(out, "signature=");
    return put_mac(ctx, buf_bytes(&key), buf_bytes(&text), out);
}

static RC sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct canon c;
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    TRY(canon_of(ctx, r, &c));
    TRY(edgegrid_sign(ctx, &c, push_setting(s, "client_token"), push_setting(s, "client_secret"), push_setting(s, "access_token"),
                      EDGEGRID_BODY_MAX, b));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

const struct push_auth auth_edgegrid = {.name = "edgegrid", .sign = sign};
