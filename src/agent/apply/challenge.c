#include "agent/apply/challenge.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "agent/apply/disk.h"
#include "agent/nginx_conf.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "pki/digest.h"

#define RECORD_MAX ((size_t)1 << 20)
#define CONF_MAX 64

static void json_free(json_t **j) { json_decref(*j); }
#define JSON_CLEANUP __attribute__((cleanup(json_free)))

/* One at a time: two challenges may edit one configuration. */
static RC challenges_lock(struct ctx *ctx, const struct agent_config *cfg, int *lock)
{
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/challenges", cfg->state_dir), 0700));
    return disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), "challenges", lock);
}

static RC record_path(struct ctx *ctx, const struct agent_config *cfg, const char *token, const char **out)
{
    uint8_t hash[SHA256_LEN]; /* a token may be longer than a file's name */
    TRY(digest_sha256(ctx, bytes_z(token), hash));
    *out = arena_printf(&ctx->arena, "%s/challenges/%s.json", cfg->state_dir, hex_str(&ctx->arena, bytes_of(hash, sizeof hash)));
    return RC_OK;
}

static bool is_base64url(const char *s, bool dot)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= 'A' && s[i] <= 'Z') && !(s[i] >= '0' && s[i] <= '9') && s[i] != '-' &&
            s[i] != '_' && !(dot && s[i] == '.'))
            return false;
    return n > 0 && n <= (dot ? 512 : 200);
}

static RC record_write(struct ctx *ctx, const char *path, const struct challenge_wish *wish, const struct str_list *files,
                       const struct str_list *folders)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, RECORD_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "token", wish->token);
    json_put_str(&j, "key_authorization", wish->key_authorization);
    json_put_str(&j, "identifier", wish->identifier);
    json_put_str(&j, "connector", wish->connector);
    if (wish->method != NULL && *wish->method != '\0')
        json_put_str(&j, "method", wish->method);
    json_put_int(&j, "put_at", ctx_now_s(ctx));
    json_open_list(&j, "files");
    for (size_t i = 0; i < files->n; i++)
        json_put_str(&j, NULL, files->v[i]);
    json_close(&j);
    json_open_list(&j, "folders");
    for (size_t i = 0; i < folders->n; i++)
        json_put_str(&j, NULL, folders->v[i]);
    json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    return disk_replace(ctx, path, buf_bytes(&b), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600});
}

/* --- webroot: a file, and the folders to it where they were not there */

static RC webroot_put(struct ctx *ctx, const struct agent_config *cfg, const struct challenge_wish *wish, const json_t *params,
                      const char *record)
{
    static const char *const below[] = {"", "/.well-known", "/.well-known/acme-challenge"};
    const char *root, *made[3];
    struct str_list files = {0}, folders = {0};
    TRY(disk_resolve(ctx, connector_param(params, "root"), &root));
    for (size_t i = 0; i < 3; i++) {
        made[i] = arena_printf(&ctx->arena, "%s%s", root, below[i]);
        if (i > 0 && access(made[i], F_OK) != 0)
            str_list_add(&ctx->arena, &folders, made[i]);
    }
    const char *file = arena_printf(&ctx->arena, "%s/%s", made[2], wish->token);
    TRY(agent_config_check_path(ctx, cfg, file));
    str_list_add(&ctx->arena, &files, file);
    TRY(record_write(ctx, record, wish, &files, &folders));
    FAILPOINT("apply.challenge_recorded");
    for (size_t i = 0; i < folders.n; i++)
        TRY(disk_mkdir(ctx, folders.v[i], 0755)); /* a web server of another user must get in */
    return disk_replace(ctx, file, bytes_z(wish->key_authorization), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0644});
}

/* --- nginx: a marked line in each server block */

struct edit {
    const char *file; /* links followed */
    int line;
};

static RC nginx_edit_file(struct ctx *ctx, const struct challenge_wish *wish, const struct edit *edits, size_t n, const char *file)
{
    struct bytes text;
    struct stat st;
    size_t offsets[CONF_MAX], count = 0;
    struct rc rc = disk_read(ctx, file, DISK_FILE_MAX, &text, &st);
    if (rc.e == E_NOT_FOUND)
        return ctx_fail(ctx, E_CHANGED, "%s is gone", file);
    TRY(rc);
    for (size_t i = 0; i < n; i++)
        if (strcmp(edits[i].file, file) == 0)
            TRY(nginx_block_offset(ctx, file, text, edits[i].line, &offsets[count++]));
    /* From the last to the first, so that the earlier offsets stay right. */
    while (count > 0) {
        size_t last = 0;
        struct buf b;
        for (size_t i = 1; i < count; i++)
            last = offsets[i] > offsets[last] ? i : last;
        buf_init_arena(&b, &ctx->arena, DISK_FILE_MAX);
        TRY(nginx_challenge_insert(ctx, text, offsets[last], wish->token, wish->key_authorization, &b));
        text = buf_bytes(&b);
        offsets[last] = offsets[--count];
    }
    TRY(disk_replace(ctx, file, text, (struct disk_attr){st.st_uid, st.st_gid, st.st_mode & 07777}));
    FAILPOINT("apply.challenge_edited");
    return RC_OK;
}

static RC nginx_put(struct ctx *ctx, const struct agent_config *cfg, const struct challenge_wish *wish, const char *record)
{
    struct edit edits[CONF_MAX];
    struct str_list files = {0}, none = {0};
    if (wish->n_conf == 0 || wish->n_conf > CONF_MAX)
        return ctx_fail(ctx, E_INVALID, "the challenge names %zu server blocks of nginx, not 1 to %d", wish->n_conf, CONF_MAX);
    for (size_t i = 0; i < wish->n_conf; i++) {
        TRY(disk_resolve(ctx, wish->conf_files[i], &edits[i].file));
        TRY(agent_config_check_path(ctx, cfg, edits[i].file));
        edits[i].line = (int)wish->conf_lines[i];
        bool seen = false;
        for (size_t k = 0; k < i; k++) /* a file that is included twice shows each block twice */
            seen |= strcmp(edits[k].file, edits[i].file) == 0 && edits[k].line == edits[i].line;
        if (seen)
            return ctx_fail(ctx, E_INVALID, "the server block at %s:%d is named twice", edits[i].file, edits[i].line);
        if (!str_list_has(&files, edits[i].file))
            str_list_add(&ctx->arena, &files, edits[i].file);
    }
    TRY(record_write(ctx, record, wish, &files, &none));
    FAILPOINT("apply.challenge_recorded");
    for (size_t i = 0; i < files.n; i++)
        TRY(nginx_edit_file(ctx, wish, edits, wish->n_conf, files.v[i]));
    return RC_OK;
}

static RC nginx_clean_file(struct ctx *ctx, const struct agent_config *cfg, const char *token, const char *file, bool *changed)
{
    struct bytes text;
    struct stat st;
    struct buf b;
    *changed = true; /* also when it is gone from the file already: nobody knows whether the server has read it since */
    TRY(agent_config_check_path(ctx, cfg, file));
    TRY(disk_discard(ctx, file));
    struct rc rc = disk_read(ctx, file, DISK_FILE_MAX, &text, &st);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    buf_init_arena(&b, &ctx->arena, DISK_FILE_MAX);
    if (nginx_challenge_remove(text, token, &b) == 0)
        return RC_OK;
    TRY(buf_status(&b));
    return disk_replace(ctx, file, buf_bytes(&b), (struct disk_attr){st.st_uid, st.st_gid, st.st_mode & 07777});
}

RC challenge_put(struct ctx *ctx, const struct agent_config *cfg, const struct challenge_wish *wish)
{
    __attribute__((cleanup(disk_close))) int lock = -1;
    JSON_CLEANUP json_t *params = NULL;
    struct str_list none = {0};
    struct connector c;
    struct stat st;
    const char *record;
    if (!is_base64url(wish->token, false) || !is_base64url(wish->key_authorization, true))
        return ctx_fail(ctx, E_INVALID, "the token or key authorization is not base64url (RFC 8555 section 8.3)");
    TRY(connector_load(ctx, cfg, wish->connector, &c));
    TRY(json_read(ctx, bytes_z(wish->parameters), &params));
    if (c.challenge != CHALLENGE_NGINX) /* nginx is told its blocks; the parameters are those of a deployment */
        TRY(connector_check_params(ctx, cfg, &c, params));
    TRY(challenges_lock(ctx, cfg, &lock));
    TRY(record_path(ctx, cfg, wish->token, &record));
    if (stat(record, &st) == 0)
        return ctx_fail(ctx, E_EXISTS, "challenge %s is in place already: remove it first", wish->token);
    switch (c.challenge) {
    case CHALLENGE_WEBROOT: return webroot_put(ctx, cfg, wish, params, record);
    case CHALLENGE_NGINX: return nginx_put(ctx, cfg, wish, record);
    case CHALLENGE_LISTENER: return record_write(ctx, record, wish, &none, &none);
    case CHALLENGE_NONE: break;
    }
    return ctx_fail(ctx, E_UNSUPPORTED, "connector %s cannot answer challenges", c.name);
}

static RC list_of(struct ctx *ctx, const json_t *record, const char *key, struct str_list *out)
{
    const json_t *list, *v;
    size_t i;
    TRY(json_get_list(ctx, record, key, true, &list));
    json_array_foreach(list, i, v)
        if (json_is_string(v))
            str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(v)));
    return RC_OK;
}

/* Webroot files are ours alone; a configuration of nginx has our lines in it.  The record does not say which connector's kind it
 * was when agent.yaml has dropped the connector since, so the files tell: ours ends in the token. */
static RC remove_file(struct ctx *ctx, const struct agent_config *cfg, const char *token, const char *file, bool *changed)
{
    const char *ours = arena_printf(&ctx->arena, "/.well-known/acme-challenge/%s", token);
    if (!bytes_ends_with(bytes_z(file), bytes_z(ours)))
        return nginx_clean_file(ctx, cfg, token, file, changed);
    TRY(agent_config_check_path(ctx, cfg, file));
    TRY(disk_discard(ctx, file));
    return disk_remove(ctx, file);
}

RC challenge_remove(struct ctx *ctx, const struct agent_config *cfg, const char *token, bool forget, bool *changed,
                    const char **connector)
{
    __attribute__((cleanup(disk_close))) int lock = -1;
    JSON_CLEANUP json_t *record = NULL;
    struct str_list files = {0}, folders = {0};
    struct bytes text;
    const char *path;
    *changed = false;
    *connector = "";
    TRY(challenges_lock(ctx, cfg, &lock));
    TRY(record_path(ctx, cfg, token, &path));
    struct rc rc = disk_read(ctx, path, RECORD_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    TRY(json_read(ctx, text, &record));
    TRY(json_get_str(ctx, record, "connector", true, connector));
    TRY(list_of(ctx, record, "files", &files));
    TRY(list_of(ctx, record, "folders", &folders));
    for (size_t i = 0; i < files.n; i++) {
        TRY(remove_file(ctx, cfg, token, files.v[i], changed));
        FAILPOINT("apply.challenge_removed_one");
    }
    for (size_t i = folders.n; i-- > 0;)
        rmdir(folders.v[i]); /* stays where somebody else uses it by now */
    FAILPOINT("apply.challenge_removed");
    return forget ? disk_remove(ctx, path) : RC_OK;
}

static RC list_one(struct ctx *ctx, const char *path, struct challenge_list *out)
{
    JSON_CLEANUP json_t *record = NULL;
    struct challenge_record r = {.identifier = "", .method = ""};
    struct bytes text;
    struct rc rc = disk_read(ctx, path, RECORD_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    TRY(json_read(ctx, text, &record));
    TRY(json_get_str(ctx, record, "token", true, &r.token));
    TRY(json_get_str(ctx, record, "key_authorization", true, &r.key_authorization));
    TRY(json_get_str(ctx, record, "connector", true, &r.connector));
    TRY(json_get_str(ctx, record, "identifier", false, &r.identifier));
    TRY(json_get_str(ctx, record, "method", false, &r.method));
    TRY(json_get_int(ctx, record, "put_at", true, &r.put_at));
    if (out->n == out->cap) {
        size_t cap = out->cap == 0 ? 16 : out->cap * 2;
        struct challenge_record *bigger = arena_array(&ctx->arena, cap, sizeof *bigger);
        if (out->n != 0)
            memcpy(bigger, out->v, out->n * sizeof *bigger);
        out->v = bigger;
        out->cap = cap;
    }
    out->v[out->n++] = r;
    return RC_OK;
}

RC challenge_list(struct ctx *ctx, const struct agent_config *cfg, struct challenge_list *out)
{
    const char *folder = arena_printf(&ctx->arena, "%s/challenges", cfg->state_dir);
    DIR *dir = opendir(folder);
    const struct dirent *e;
    struct rc rc = RC_OK;
    *out = (struct challenge_list){0};
    if (dir == NULL)
        return errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "%s", folder);
    while (rc_ok(rc) && out->n < 10000 && (e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.' && bytes_ends_with(bytes_z(e->d_name), BYTES_LIT(".json")))
            rc = list_one(ctx, arena_printf(&ctx->arena, "%s/%s", folder, e->d_name), out);
    closedir(dir);
    return rc;
}
