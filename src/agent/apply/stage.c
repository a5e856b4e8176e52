#include "agent/apply/stage.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "agent/apply/keystore.h"
#include "agent/apply/push.h"
#include "pki/cert.h"
#include "pki/chain.h"
#include "pki/pem.h"

#define CHAIN_LONG 10
#define ROOTS_MAX  100

/* The pieces that contents are made of. */
struct pieces {
    struct bytes leaf, chain, key, roots; /* PEM */
};

static void json_free(json_t **j) { json_decref(*j); }

/* Written anew, not as it came: a file of root's holds certificates and nothing else. */
static RC put_roots(struct ctx *ctx, const char *pem, struct buf *out)
{
    struct cert_chain roots = {0};
    buf_init_arena(out, &ctx->arena, CERT_MAX * 2 * ROOTS_MAX);
    if (*pem != '\0')
        TRY(cert_chain_parse_pem(ctx, bytes_z(pem), ROOTS_MAX, &roots));
    for (size_t i = 0; i < roots.n; i++)
        pem_put(out, PEM_CERTIFICATE, roots.v[i].der);
    return RC_OK;
}

static RC make_pieces(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct pieces *out,
                      struct stage *leaf_of)
{
    struct cert_chain given, chain;
    struct buf leaf, rest, key_pem, roots;
    KEY_CLEANUP struct key *key = NULL;
    TRY(cert_chain_parse_pem(ctx, bytes_z(wish->chain_pem), CHAIN_LONG, &given));
    struct rc rc = chain_order(ctx, &given, &chain, NULL);
    if (rc_failed(rc) || chain.n == 0 || memcmp(chain.v[0].fingerprint, given.v[0].fingerprint, SHA256_LEN) != 0)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificates are not a chain that begins with the leaf");
    if (*wish->attempt != '\0') /* else the key is with whoever made the request */
        TRY(keystore_load(ctx, cfg, wish->attempt, &key));
    if (key != NULL && !bytes_equal(key_spki(key), chain.v[0].spki.der))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate is for another key than the one made here for attempt %s",
                        wish->attempt);
    buf_init_arena(&leaf, &ctx->arena, CERT_MAX * 2);
    buf_init_arena(&rest, &ctx->arena, CERT_MAX * 2 * CHAIN_LONG);
    buf_init_arena(&key_pem, &ctx->arena, 65536);
    pem_put(&leaf, PEM_CERTIFICATE, chain.v[0].der);
    for (size_t i = 1; i < chain.n; i++)
        pem_put(&rest, PEM_CERTIFICATE, chain.v[i].der);
    if (key != NULL)
        TRY(key_to_pem(ctx, key, &key_pem));
    TRY(put_roots(ctx, wish->roots_pem, &roots));
    TRY(buf_status(&leaf));
    TRY(buf_status(&rest));
    TRY(buf_status(&key_pem));
    TRY(buf_status(&roots));
    *out = (struct pieces){buf_bytes(&leaf), buf_bytes(&rest), buf_bytes(&key_pem), buf_bytes(&roots)};
    leaf_of->fingerprint = arena_bytes(&ctx->arena, bytes_of(chain.v[0].fingerprint, SHA256_LEN));
    leaf_of->serial = arena_bytes(&ctx->arena, chain.v[0].serial);
    return RC_OK;
}

/* Where the key is elsewhere, what holds one cannot be made. */
static RC check_keyless(struct ctx *ctx, const struct pieces *p, enum connector_content what)
{
    static const char *const without[] = {"fullchain", "leaf", "chain", "root"};
    const char *name = connector_content_name(what);
    bool holds = p->key.n == 0;
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        holds = holds && strncmp(name, without[i], strlen(without[i])) != 0;
    return holds ? ctx_fail(ctx, E_INVALID, "content %s holds the key, which is with whoever made the request", name) : RC_OK;
}

static struct bytes content_of(struct ctx *ctx, const struct pieces *p, enum connector_content what)
{
    struct bytes parts[3] = {{0}};
    struct buf b;
    switch (what) {
    case CONTENT_FULLCHAIN: parts[0] = p->leaf, parts[1] = p->chain; break;
    case CONTENT_LEAF: parts[0] = p->leaf; break;
    case CONTENT_CHAIN: parts[0] = p->chain; break;
    case CONTENT_KEY: parts[0] = p->key; break;
    case CONTENT_COMBINED: parts[0] = p->key, parts[1] = p->leaf, parts[2] = p->chain; break;
    case CONTENT_ROOT: parts[0] = p->roots; break;
    }
    buf_init_arena(&b, &ctx->arena, DISK_FILE_MAX);
    for (size_t i = 0; i < 3; i++)
        buf_put(&b, parts[i]);
    return buf_bytes(&b);
}

static RC user_id(struct ctx *ctx, const char *name, uid_t *out)
{
    char room[16384];
    struct passwd pw, *found = NULL;
    int why = getpwnam_r(name, &pw, room, sizeof room, &found);
    if (found == NULL)
        return ctx_fail(ctx, why != 0 ? E_IO : E_NOT_FOUND, "no user is named %s on this host", name);
    *out = pw.pw_uid;
    return RC_OK;
}

static RC group_id(struct ctx *ctx, const char *name, gid_t *out)
{
    char room[16384];
    struct group gr, *found = NULL;
    int why = getgrnam_r(name, &gr, room, sizeof room, &found);
    if (found == NULL)
        return ctx_fail(ctx, why != 0 ? E_IO : E_NOT_FOUND, "no group is named %s on this host", name);
    *out = gr.gr_gid;
    return RC_OK;
}

/* Stated by parameters, else as the file there has it, else the description's. */
static RC attr_of(struct ctx *ctx, const json_t *params, const struct connector_file *row, const struct stat *old,
                  struct disk_attr *out)
{
    const char *owner = connector_param(params, row->owner_param), *group = connector_param(params, row->group_param);
    const char *mode = connector_param(params, row->mode_param);
    *out = (struct disk_attr){geteuid(), getegid(), row->mode};
    if (old != NULL)
        *out = (struct disk_attr){old->st_uid, old->st_gid, old->st_mode & 0777};
    if (owner != NULL)
        TRY(user_id(ctx, owner, &out->uid));
    if (group != NULL)
        TRY(group_id(ctx, group, &out->gid));
    if (mode != NULL)
        out->mode = (unsigned)strtoul(mode, NULL, 8); /* checked by connector_check_params */
    return RC_OK;
}

/* The leaf in a file that was there; nothing where it holds none. */
static void note_previous(struct ctx *ctx, struct bytes old, struct stage *out)
{
    struct cert_chain chain;
    if (out->previous.n != 0)
        return;
    if (rc_ok(cert_chain_parse_pem(ctx, old, 32, &chain)))
        out->previous = arena_bytes(&ctx->arena, bytes_of(chain.v[0].fingerprint, SHA256_LEN));
    else
        ctx_forget(ctx);
}

static RC add_file(struct ctx *ctx, const struct agent_config *cfg, const json_t *params, const struct connector_file *row,
                   const struct pieces *pieces, struct stage *out)
{
    const char *path = connector_param(params, row->path_param);
    struct stage_file *f = &out->files[out->n];
    struct bytes old = {0};
    struct stat st;
    if (path == NULL)
        return RC_OK;
    TRY(disk_resolve(ctx, path, &f->path));
    TRY(agent_config_check_path(ctx, cfg, f->path)); /* again: a link may have led elsewhere */
    for (size_t i = 0; i < out->n; i++)
        if (strcmp(out->files[i].path, f->path) == 0)
            return ctx_fail(ctx, E_INVALID, "two contents would go to %s", path);
    struct rc rc = disk_read(ctx, f->path, DISK_FILE_MAX, &old, &st);
    if (rc_failed(rc) && rc.e != E_NOT_FOUND)
        return rc;
    uint8_t *hash = arena_alloc(&ctx->arena, SHA256_LEN);
    TRY(check_keyless(ctx, pieces, row->content));
    f->content = content_of(ctx, pieces, row->content);
    f->sha256 = bytes_of(hash, SHA256_LEN);
    TRY(digest_sha256(ctx, f->content, hash));
    TRY(attr_of(ctx, params, row, rc_ok(rc) ? &st : NULL, &f->attr));
    if (rc_ok(rc) && (row->content == CONTENT_FULLCHAIN || row->content == CONTENT_LEAF || row->content == CONTENT_COMBINED))
        note_previous(ctx, old, out);
    out->missing |= rc_failed(rc);
    out->same &= rc_ok(rc) && bytes_equal(old, f->content) && st.st_uid == f->attr.uid && st.st_gid == f->attr.gid &&
                 (st.st_mode & 07777) == f->attr.mode;
    out->n++;
    return RC_OK;
}

RC stage_build(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage *out)
{
    __attribute__((cleanup(json_free))) json_t *params = NULL;
    struct connector c;
    struct pieces pieces;
    *out = (struct stage){.same = true};
    TRY(connector_load(ctx, cfg, wish->connector, &c));
    TRY(json_read(ctx, bytes_z(wish->parameters), &params));
    TRY(connector_check_params(ctx, cfg, &c, params));
    TRY(make_pieces(ctx, cfg, wish, &pieces, out));
    if (c.relay != NULL)
        return push_stage(ctx, wish, out);
    for (size_t i = 0; i < c.n_files; i++)
        TRY(add_file(ctx, cfg, params, &c.files[i], &pieces, out));
    if (out->n == 0)
        return ctx_fail(ctx, E_INVALID, "the parameters of connector %s name no file to write", c.name);
    return RC_OK;
}

RC stage_content(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, const char *word,
                 const char *passphrase, struct bytes *out)
{
    struct pieces pieces;
    struct stage leaf;
    (void)passphrase;
    TRY(make_pieces(ctx, cfg, wish, &pieces, &leaf));
    for (int i = 0; strcmp(connector_content_name((enum connector_content)i), "?") != 0; i++)
        if (strcmp(connector_content_name((enum connector_content)i), word) == 0) {
            TRY(check_keyless(ctx, &pieces, (enum connector_content)i));
            *out = content_of(ctx, &pieces, (enum connector_content)i);
            return RC_OK;
        }
    return ctx_fail(ctx, E_INVALID, "no content is named %s", word);
}
