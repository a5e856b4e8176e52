/* The families that add one header, and the one that is all data. */
#include "agent/relay/push_session.h"

#include "base/encode.h"

static RC bearer_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    buf_put_z(b, "Bearer ");
    buf_put(b, push_setting(s, "token"));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

/* RFC 7617: the user's name holds no colon. */
static RC basic_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    struct buf *plain = push_room(s, PUSH_HEADER_MAX), *b = push_room(s, PUSH_HEADER_MAX);
    struct bytes user = push_setting(s, "user");
    if (bytes_find(user, BYTES_LIT(":")) != SIZE_MAX)
        return ctx_fail(ctx, E_INVALID, "a user's name with a colon cannot be said (RFC 7617)");
    buf_put(plain, user);
    buf_put_u8(plain, ':');
    buf_put(plain, push_setting(s, "password"));
    buf_put_z(b, "Basic ");
    put_base64(b, buf_bytes(plain));
    TRY(buf_status(b));
    return push_header(ctx, s, r, "Authorization", buf_bytes(b));
}

static RC header_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    return push_header(ctx, s, r, arena_str(&ctx->arena, push_setting(s, "name")), push_setting(s, "value"));
}

static RC session_prepare(struct ctx *ctx, struct push_session *s)
{
    struct rc rc = push_steps(ctx, s, s->desc->login, s->desc->n_login, "auth");
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "logging in");
}

static RC session_sign(struct ctx *ctx, struct push_session *s, struct push_request *r)
{
    const struct push_pairs *headers = &s->desc->sign_headers;
    for (size_t i = 0; i < headers->n; i++) {
        struct bytes value;
        TRY(push_expand(ctx, s, headers->v[i].value, PUSH_PLAIN, NULL, &value));
        TRY(push_header(ctx, s, r, headers->v[i].name, value));
    }
    return push_add_query(ctx, s, &s->desc->sign_query, r);
}

static RC session_refused(struct ctx *ctx, struct push_session *s, const struct push_answer *a, bool *again)
{
    (void)a;
    *again = true;
    return session_prepare(ctx, s);
}

static RC session_leave(struct ctx *ctx, struct push_session *s)
{
    return push_steps(ctx, s, s->desc->logout, s->desc->n_logout, NULL);
}

const struct push_auth auth_none = {.name = "none"};
const struct push_auth auth_bearer = {.name = "bearer", .sign = bearer_sign};
const struct push_auth auth_basic = {.name = "basic", .sign = basic_sign};
const struct push_auth auth_header = {.name = "header", .sign = header_sign};
const struct push_auth auth_session = {
    .name = "session-login", .prepare = session_prepare, .sign = session_sign, .refused = session_refused, .leave = session_leave};
/* Their settings are read by the transport itself. */
const struct push_auth auth_ssh_key = {.name = "ssh-key"};
const struct push_auth auth_ssh_password = {.name = "ssh-password"};
