#include "agent/apply/stage.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "agent/apply/content.h"
#include "agent/apply/keystore.h"
#include "agent/apply/password.h"
#include "agent/apply/push.h"
#include "pki/pem.h"

#define CHAIN_LONG 10
#define ROOTS_MAX  100

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

static RC make_parts(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct content_parts *out,
                     struct stage *leaf_of)
{
    struct cert_chain given, *chain = &out->chain;
    struct buf leaf, rest, key_pem, roots;
    TRY(cert_chain_parse_pem(ctx, bytes_z(wish->chain_pem), CHAIN_LONG, &given));
    struct rc rc = chain_order(ctx, &given, chain, NULL);
    if (rc_failed(rc) || chain->n == 0 || memcmp(chain->v[0].fingerprint, given.v[0].fingerprint, SHA256_LEN) != 0)
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificates are not a chain that begins with the leaf");
    if (*wish->attempt != '\0') /* else the key is with whoever made the request */
        TRY(keystore_load(ctx, cfg, wish->attempt, &out->key));
    if (out->key != NULL && !bytes_equal(key_spki(out->key), chain->v[0].spki.der))
        return ctx_fail(ctx, E_BAD_CERTIFICATE, "the certificate is for another key than the one made here for attempt %s",
                        wish->attempt);
    buf_init_arena(&leaf, &ctx->arena, CERT_MAX * 2);
    buf_init_arena(&rest, &ctx->arena, CERT_MAX * 2 * CHAIN_LONG);
    buf_init_arena(&key_pem, &ctx->arena, 65536);
    pem_put(&leaf, PEM_CERTIFICATE, chain->v[0].der);
    for (size_t i = 1; i < chain->n; i++)
        pem_put(&rest, PEM_CERTIFICATE, chain->v[i].der);
    if (out->key != NULL)
        TRY(key_to_pem(ctx, out->key, &key_pem));
    TRY(put_roots(ctx, wish->roots_pem, &roots));
    TRY(buf_status(&leaf));
    TRY(buf_status(&rest));
    TRY(buf_status(&key_pem));
    TRY(buf_status(&roots));
    out->leaf = buf_bytes(&leaf), out->rest = buf_bytes(&rest), out->key_pem = buf_bytes(&key_pem), out->roots = buf_bytes(&roots);
    leaf_of->fingerprint = arena_bytes(&ctx->arena, bytes_of(chain->v[0].fingerprint, SHA256_LEN));
    leaf_of->serial = arena_bytes(&ctx->arena, chain->v[0].serial);
    return RC_OK;
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

/* The password of what is under one. */
static RC password_of(struct ctx *ctx, const struct agent_config *cfg, const json_t *params, const struct connector_file *row,
                      struct secret *out)
{
    const char *file = connector_param(params, row->password_param);
    if (row->password_param == NULL)
        return RC_OK;
    if (file == NULL)
        return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/parameters/%s", row->password_param),
                              "%s is a key store under a password: %s must name the file that holds it", row->path_param,
                              row->password_param);
    return password_read(ctx, cfg, file, out);
}

static RC add_file(struct ctx *ctx, const struct agent_config *cfg, const json_t *params, const struct connector_file *row,
                   const struct content_parts *parts, struct stage *out)
{
    SECRET_CLEANUP struct secret password = {0};
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
    TRY(password_of(ctx, cfg, params, row, &password));
    TRY(content_make(ctx, parts, row->content, &password, connector_param(params, row->alias_param), &f->content));
    f->sha256 = bytes_of(hash, SHA256_LEN);
    TRY(digest_sha256(ctx, f->content, hash));
    TRY(attr_of(ctx, params, row, rc_ok(rc) ? &st : NULL, &f->attr));
    bool equal = rc_ok(rc) && bytes_equal(old, f->content);
    if (rc_ok(rc) && out->previous.n == 0)
        content_leaf(ctx, row->content, old, &password, &out->previous);
    out->missing |= rc_failed(rc);
    out->same &= equal && st.st_uid == f->attr.uid && st.st_gid == f->attr.gid &&
                 (st.st_mode & 07777) == f->attr.mode;
    out->n++;
    return RC_OK;
}

RC stage_build(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage *out)
{
    __attribute__((cleanup(json_free))) json_t *params = NULL;
    struct connector c;
    CONTENT_PARTS_CLEANUP struct content_parts parts = {0};
    *out = (struct stage){.same = true};
    TRY(connector_use(ctx, cfg, wish->connector, &c));
    TRY(json_read(ctx, bytes_z(wish->parameters), &params));
    TRY(connector_check_params(ctx, cfg, &c, params));
    TRY(make_parts(ctx, cfg, wish, &parts, out));
    if (c.relay != NULL)
        return push_stage(ctx, wish, out);
    for (size_t i = 0; i < c.n_files; i++)
        TRY(add_file(ctx, cfg, params, &c.files[i], &parts, out));
    if (out->n == 0)
        return ctx_fail(ctx, E_INVALID, "the parameters of connector %s name no file to write", c.name);
    return RC_OK;
}

RC stage_content(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, const char *word,
                 const char *passphrase, struct bytes *out)
{
    CONTENT_PARTS_CLEANUP struct content_parts parts = {0};
    SECRET_CLEANUP struct secret password = {0};
    struct stage leaf;
    TRY(make_parts(ctx, cfg, wish, &parts, &leaf));
    TRY(secret_from(ctx, &password, bytes_z(passphrase)));
    for (int i = 0; strcmp(connector_content_name((enum connector_content)i), "?") != 0; i++)
        if (strcmp(connector_content_name((enum connector_content)i), word) == 0)
            return content_make(ctx, &parts, (enum connector_content)i, &password, NULL, out);
    return ctx_fail(ctx, E_INVALID, "no content is named %s", word);
}
