/* Steps over SSH (agent/relay/push.h): READ, WRITE, KEEP and RESTORE a file, RUN a command. */
#include "agent/relay/push_session.h"
#include "agent/relay/ssh.h"
#include "base/str.h"

#define STATUS_NOT_THERE 404

/* Settings are texts with a NUL after them, which is not counted; one inside would cut them short. */
static RC setting(struct ctx *ctx, const struct push_session *s, const char *name, const char **out)
{
    struct bytes value = push_setting(s, name);
    *out = value.n == 0 ? "" : str_z(&ctx->arena, value);
    return *out != NULL ? RC_OK : ctx_fail(ctx, E_INVALID, "%s of the host holds a NUL", name);
}

/* The fingerprints that the target names, as far as agent.yaml allows them. */
static RC allowed_keys(struct ctx *ctx, const struct push_session *s, const char *host, const char **keys)
{
    struct bytes rest = bytes_z(*keys), pin;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1024);
    while (bytes_take_until(&rest, ' ', &pin)) {
        bool good = true;
        for (size_t i = 0; i < s->n_credentials; i++) {
            const struct str_list *l = &s->credentials[i]->host_keys;
            good &= l->n == 0 || str_list_has(l, arena_str(&ctx->arena, pin));
        }
        if (good && b.n > 0)
            buf_put_u8(&b, ' ');
        if (good)
            buf_put(&b, pin);
    }
    TRY(buf_status(&b));
    if (b.n == 0 && **keys != '\0')
        return ctx_fail(ctx, E_NOT_GRANTED, "host_key of the target at %s, %s, is none of the host_keys of its credential in %s",
                        host, *keys, s->host->cfg->file);
    *keys = buf_z(&b);
    return RC_OK;
}

/* A key that signs gives nothing away to a wrong host; a password does.  The hub's word for who the host is would not be enough. */
static RC password_pinned(struct ctx *ctx, const struct push_session *s, struct bytes password)
{
    for (size_t i = 0; password.n > 0 && i < s->n_credentials; i++)
        if (s->credentials[i]->host_keys.n == 0)
            return ctx_fail(ctx, E_NOT_GRANTED, "a password is sent over SSH only to hosts whose keys this host knows itself: add "
                            "host_keys (ssh-keygen -l on that host shows them) to credential %s in %s",
                            s->credentials[i]->name, s->host->cfg->file);
    return RC_OK;
}

static RC ssh_transport_open(struct ctx *ctx, struct push_session *s)
{
    struct ssh_config c = {.key = push_setting(s, "key"),
                           .passphrase = push_setting(s, "passphrase"),
                           .password = push_setting(s, "password"),
                           .grants = push_grants(s)};
    struct bytes port = push_setting(s, "port");
    struct ssh *connection;
    int64_t number = 22;
    TRY(setting(ctx, s, "host", &c.host));
    TRY(setting(ctx, s, "user", &c.user));
    TRY(setting(ctx, s, "host_key", &c.host_keys));
    if (port.n > 0 && (!str_to_i64(port, &number) || number < 1 || number > 65535))
        return ctx_fail(ctx, E_INVALID, "the port of %s is not a number from 1 to 65535", c.host);
    c.port = (uint16_t)number;
    TRY(push_check_host(ctx, s, c.host, c.port));
    TRY(password_pinned(ctx, s, c.password));
    TRY(allowed_keys(ctx, s, c.host, &c.host_keys));
    TRY(ssh_open(ctx, &c, &connection));
    push_set_state(s, connection);
    return RC_OK;
}

static void ssh_transport_close(struct push_session *s)
{
    ssh_close(push_state(s));
    push_set_state(s, NULL);
}

static RC read_mode(struct ctx *ctx, const char *text, int *out)
{
    *out = -1;
    if (text == NULL || *text == '\0')
        return RC_OK;
    int mode = 0;
    size_t n = strlen(text);
    for (size_t i = 0; i < n && mode >= 0 && mode <= 0777; i++)
        mode = text[i] >= '0' && text[i] <= '7' ? mode * 8 + (text[i] - '0') : -1;
    if (n < 3 || n > 4 || mode < 0 || mode > 0777 || (mode & 2) != 0)
        return ctx_fail(ctx, E_INVALID, "%s is not the mode of a file that only its owner and group may write, such as 0640", text);
    *out = mode;
    return RC_OK;
}

/* The state that KEEP keeps is named by the certificate that was seen before anything was changed: the same at each repeat, in
 * undo, and in a later deployment that finds what this one left half done. */
static const char *tag_of(struct ctx *ctx, const struct push_session *s)
{
    struct bytes before;
    return push_get(s, "before.fingerprint", &before) && before.n > 0 ? str_z(&ctx->arena, before) : "none";
}

static RC do_read(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    struct buf *b = push_room(s, PUSH_BODY_MAX);
    bool found;
    TRY(push_check_path(ctx, s, r->url));
    TRY(ssh_read(ctx, push_state(s), r->url, PUSH_BODY_MAX, b, &found));
    out->status = found ? 0 : STATUS_NOT_THERE;
    out->body = buf_bytes(b);
    return RC_OK;
}

static RC do_write(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    int mode;
    (void)out;
    TRY(push_check_path(ctx, s, r->url));
    TRY(read_mode(ctx, r->mode, &mode));
    return ssh_write(ctx, push_state(s), r->url, r->body, mode);
}

static RC do_keep(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    (void)out;
    TRY(push_check_path(ctx, s, r->url));
    return ssh_keep(ctx, push_state(s), r->url, tag_of(ctx, s));
}

static RC do_restore(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    (void)out;
    TRY(push_check_path(ctx, s, r->url));
    return ssh_restore(ctx, push_state(s), r->url, tag_of(ctx, s));
}

static RC do_run(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    struct buf *b = push_room(s, SSH_OUTPUT_MAX + SSH_ERRORS_MAX + 1), *errors = push_room(s, SSH_ERRORS_MAX);
    TRY(ssh_run(ctx, push_state(s), r->url, r->body, b, errors, &out->status));
    if (out->status != 0 && errors->n > 0) { /* why it failed is told to people: what it complained of comes first */
        buf_put_u8(errors, '\n');
        buf_put(errors, buf_bytes(b));
        out->body = buf_bytes(errors);
        return RC_OK;
    }
    out->body = buf_bytes(b);
    return buf_status(b);
}

static const struct {
    const char *method;
    RC (*call)(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out);
} methods[] = {
    {"READ", do_read}, {"WRITE", do_write}, {"KEEP", do_keep}, {"RESTORE", do_restore}, {"RUN", do_run},
};

static RC ssh_transport_send(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    *out = (struct push_answer){.retry_after_s = -1};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].method, r->method) == 0)
            return methods[i].call(ctx, s, r, out);
    return ctx_fail(ctx, E_BUG, "%s is nothing that SSH does", r->method);
}

/* A path is checked as a whole when it is complete (sftp_check_path). */
static RC ssh_transport_put_value(struct ctx *ctx, const char *method, struct bytes value, struct buf *out)
{
    if (strcmp(method, "RUN") == 0)
        return ssh_put_word(ctx, value, out);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x20 || value.p[i] == 0x7f)
            return ctx_fail(ctx, E_INVALID, "a path on the host cannot hold control characters");
    buf_put(out, value);
    return buf_status(out);
}

const struct push_transport push_ssh = {.name = "ssh",
                                        .open = ssh_transport_open,
                                        .send = ssh_transport_send,
                                        .close = ssh_transport_close,
                                        .put_value = ssh_transport_put_value};
