#include "agent/apply/dns_note.h"

#include <dirent.h>
#include <errno.h>

#include "agent/apply/disk.h"
#include "base/json.h"

#define NOTE_MAX ((size_t)1 << 20)
#define LIST_MAX 10000

static void json_free(json_t **j) { json_decref(*j); }
#define JSON_CLEANUP __attribute__((cleanup(json_free)))

static const char *folder_of(struct ctx *ctx, const struct agent_config *cfg)
{
    return arena_printf(&ctx->arena, "%s/dns", cfg->state_dir);
}

static bool is_key(const char *key)
{
    return strlen(key) == 64 && strspn(key, "0123456789abcdef") == 64;
}

static RC note_path(struct ctx *ctx, const struct agent_config *cfg, const char *key, const char **out)
{
    if (!is_key(key))
        return ctx_fail(ctx, E_INVALID, "\"%s\" is not the key of a note", key);
    *out = arena_printf(&ctx->arena, "%s/%s.json", folder_of(ctx, cfg), key);
    return RC_OK;
}

RC dns_note_put(struct ctx *ctx, const struct agent_config *cfg, const struct wire_apply_dns_note *note)
{
    const struct {
        const char *key, *value;
    } fields[] = {{"provider", note->provider}, {"parameters", note->parameters}, {"zone", note->zone}, {"name", note->name},
                  {"domain", note->domain},     {"value", note->value},           {"said", note->said}};
    struct buf b;
    struct json_out j;
    const char *path;
    TRY(note_path(ctx, cfg, note->key, &path));
    TRY(disk_mkdir(ctx, folder_of(ctx, cfg), 0700));
    buf_init_arena(&b, &ctx->arena, NOTE_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "put_at", ctx_now_s(ctx));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_put_str(&j, fields[i].key, fields[i].value);
    json_close(&j);
    TRY(buf_status(&b));
    return disk_replace(ctx, path, buf_bytes(&b), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600});
}

RC dns_note_get(struct ctx *ctx, const struct agent_config *cfg, const char *key, struct wire_apply_dns_noted_is *out)
{
    JSON_CLEANUP json_t *note = NULL;
    struct bytes text;
    const char *path;
    TRY(note_path(ctx, cfg, key, &path));
    struct rc rc = disk_read(ctx, path, NOTE_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    TRY(json_read(ctx, text, &note));
    TRY(json_get_int(ctx, note, "put_at", true, &out->put_at_s));
    TRY(json_get_str(ctx, note, "provider", true, &out->provider));
    TRY(json_get_str(ctx, note, "parameters", true, &out->parameters));
    TRY(json_get_str(ctx, note, "zone", true, &out->zone));
    TRY(json_get_str(ctx, note, "name", true, &out->name));
    TRY(json_get_str(ctx, note, "domain", true, &out->domain));
    TRY(json_get_str(ctx, note, "value", true, &out->value));
    TRY(json_get_str(ctx, note, "said", true, &out->said));
    out->found = true;
    return RC_OK;
}

RC dns_note_forget(struct ctx *ctx, const struct agent_config *cfg, const char *key)
{
    const char *path;
    TRY(note_path(ctx, cfg, key, &path));
    return disk_remove(ctx, path);
}

RC dns_note_list(struct ctx *ctx, const struct agent_config *cfg, struct wire_apply_dns_keys *out)
{
    const char *folder = folder_of(ctx, cfg);
    struct str_list keys = {0};
    const struct dirent *e;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "%s", folder);
    while (keys.n < LIST_MAX && (e = readdir(dir)) != NULL) {
        size_t n = strlen(e->d_name);
        if (n == 64 + 5 && strcmp(e->d_name + 64, ".json") == 0)
            str_list_add(&ctx->arena, &keys, arena_str(&ctx->arena, bytes_of(e->d_name, 64)));
    }
    closedir(dir);
    out->keys = (struct wire_texts){arena_array(&ctx->arena, keys.n + 1, sizeof(char *)), 0};
    out->put_at_s = (struct wire_numbers){arena_array(&ctx->arena, keys.n + 1, sizeof(int64_t)), 0};
    for (size_t i = 0; i < keys.n; i++) {
        struct wire_apply_dns_noted_is note = {0};
        if (!is_key(keys.v[i]))
            continue;
        TRY(dns_note_get(ctx, cfg, keys.v[i], &note));
        if (!note.found)
            continue;
        out->keys.v[out->keys.n++] = keys.v[i];
        out->put_at_s.v[out->put_at_s.n++] = note.put_at_s;
    }
    return RC_OK;
}
