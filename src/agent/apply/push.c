#include "agent/apply/push.h"

#include "agent/push_desc.h"
#include "agent/push_seal.h"
#include "base/encode.h"
#include "base/random.h"

#define PASSPHRASE_LEN 32

RC push_stage(struct ctx *ctx, const struct stage_wish *wish, struct stage *out)
{
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    SECRET_CLEANUP struct secret raw = {0};
    TRY(hpke_key_new(ctx, HPKE_X25519, &key));
    TRY(hpke_key_to(ctx, key, &raw));
    out->relay = true;
    out->same = false; /* the relay knows */
    out->connector = wish->connector;
    out->attempt = wish->attempt;
    out->chain_pem = wish->chain_pem;
    out->roots_pem = wish->roots_pem;
    out->keep_for = arena_bytes(&ctx->arena, hpke_key_public(key));
    out->keep_key = arena_bytes(&ctx->arena, secret_use(&raw));
    return RC_OK;
}

void push_journal_put(struct json_out *j, const struct stage *s)
{
    json_open_obj(j, "relay");
    json_put_str(j, "connector", s->connector);
    json_put_str(j, "attempt", s->attempt);
    json_put_str(j, "chain_pem", s->chain_pem);
    json_put_str(j, "roots_pem", s->roots_pem);
    json_put_base64(j, "keep_for", s->keep_for);
    json_put_base64(j, "keep_key", s->keep_key);
    json_close(j);
}

RC push_journal_get(struct ctx *ctx, const json_t *line, struct stage *out)
{
    const json_t *obj = NULL;
    TRY(json_get_obj(ctx, line, "relay", false, &obj));
    if (obj == NULL)
        return RC_OK;
    out->relay = true;
    TRY(json_get_str(ctx, obj, "connector", true, &out->connector));
    TRY(json_get_str(ctx, obj, "attempt", true, &out->attempt));
    TRY(json_get_str(ctx, obj, "chain_pem", true, &out->chain_pem));
    TRY(json_get_str(ctx, obj, "roots_pem", true, &out->roots_pem));
    TRY(json_get_base64(ctx, obj, "keep_for", true, &out->keep_for));
    return json_get_base64(ctx, obj, "keep_key", true, &out->keep_key);
}

/* Letters and digits alone: some products take nothing else. */
static void make_passphrase(char out[PASSPHRASE_LEN + 1])
{
    static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    for (size_t i = 0; i < PASSPHRASE_LEN; i++)
        out[i] = letters[random_below(sizeof letters - 1)];
    out[PASSPHRASE_LEN] = '\0';
}

static RC put_contents(struct ctx *ctx, const struct agent_config *cfg, const struct stage *s, struct json_out *j)
{
    struct connector c;
    char passphrase[PASSPHRASE_LEN + 1];
    const struct stage_wish wish = {
        .connector = s->connector, .attempt = s->attempt, .chain_pem = s->chain_pem, .roots_pem = s->roots_pem};
    TRY(connector_load(ctx, cfg, s->connector, &c));
    if (c.relay == NULL)
        return ctx_fail(ctx, E_CONFLICT, "the description of connector %s has changed: it writes files now", s->connector);
    make_passphrase(passphrase);
    json_open_obj(j, "contents");
    for (size_t i = 0; i < c.relay->contents.n; i++) {
        const char *word = c.relay->contents.v[i];
        struct bytes content = bytes_of(passphrase, PASSPHRASE_LEN);
        if (strcmp(word, "passphrase") != 0)
            TRY(stage_content(ctx, cfg, &wish, word, passphrase, &content));
        json_put_base64(j, word, content);
    }
    json_close(j);
    wipe(passphrase, sizeof passphrase);
    return RC_OK;
}

/* The member as it was kept; nothing where none was. */
static void put_member(struct json_out *j, const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    if (v != NULL)
        json_put_value(j, key, v);
}

RC push_sealed(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, const struct stage *s,
               struct bytes kept, bool contents, struct bytes public, struct bytes *out)
{
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    SECRET_CLEANUP struct secret raw = {0}, plain = {0};
    BUF_CLEANUP struct buf b = {0};
    json_auto_t *root = NULL;
    struct json_out j;
    TRY(secret_from(ctx, &raw, s->keep_key));
    TRY(hpke_key_from(ctx, HPKE_X25519, &raw, &key));
    TRY(push_unseal(ctx, PUSH_TO_APPLY, key, ref->target, ref->deployment, kept, &plain));
    TRY(json_read(ctx, secret_use(&plain), &root));
    buf_init_secret(&b, HPKE_PLAIN_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    put_member(&j, root, "identity");
    put_member(&j, root, "before");
    if (contents)
        TRY(put_contents(ctx, cfg, s, &j));
    json_close(&j);
    struct rc rc = buf_status(&b);
    if (rc_failed(rc))
        return ctx_fail(ctx, E_TOO_LARGE, "what target %s needs is over the limit of %d bytes", ref->target, HPKE_PLAIN_MAX);
    return push_seal(ctx, PUSH_TO_RELAY, public, ref->target, ref->deployment, buf_bytes(&b), out);
}
