#include "agent/apply/target.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "agent/apply/disk.h"
#include "agent/apply/stage.h"
#include "base/buf.h"
#include "base/encode.h"
#include "base/failpoint.h"

#define NOTE_MAX ((size_t)4 << 20)

/* A target, locked: what every step begins with. */
struct open_target {
    const char *folder, *journal;
    int lock;
    struct journal_entry last;
};

static void target_done(struct open_target *t) { disk_close(&t->lock); }
#define TARGET_CLEANUP __attribute__((cleanup(target_done)))

static void json_free(json_t **j) { json_decref(*j); }
#define JSON_CLEANUP __attribute__((cleanup(json_free)))

static const struct disk_attr private_file = {(uid_t)-1, (gid_t)-1, 0600};

static RC target_folder(struct ctx *ctx, const struct agent_config *cfg, const char *target, struct open_target *t)
{
    if (target == NULL || !str_is_name(bytes_z(target)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a target", target != NULL ? target : "nothing");
    t->folder = arena_printf(&ctx->arena, "%s/targets/%s", cfg->state_dir, target);
    t->journal = arena_printf(&ctx->arena, "%s/journal", t->folder);
    return RC_OK;
}

static RC target_open(struct ctx *ctx, const struct agent_config *cfg, const char *target, struct open_target *t)
{
    TRY(target_folder(ctx, cfg, target, t));
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/targets", cfg->state_dir), 0700));
    TRY(disk_mkdir(ctx, t->folder, 0700));
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/gen", t->folder), 0700));
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/lock", t->folder), &t->lock));
    return journal_read(ctx, t->journal, &t->last);
}

static RC refuse_old_fence(struct ctx *ctx, const struct open_target *t, const char *target, int64_t fence)
{
    if (fence >= t->last.fence)
        return RC_OK;
    return ctx_fail(ctx, E_FENCED, "target %s has been worked on under a newer lease", target);
}

/* Opens the target for the next step of a deployment that has been staged. */
static RC target_continue(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, struct open_target *t)
{
    TRY(target_open(ctx, cfg, ref->target, t));
    TRY(refuse_old_fence(ctx, t, ref->target, ref->fence));
    if (!str_equal(t->last.deployment, ref->deployment))
        return ctx_fail(ctx, E_CONFLICT, "target %s is at deployment %s, not %s", ref->target, t->last.deployment, ref->deployment);
    t->last.fence = ref->fence;
    return RC_OK;
}

static RC wrong_step(struct ctx *ctx, const struct open_target *t, const char *wish)
{
    return ctx_fail(ctx, E_CONFLICT, "deployment %s is %s: it cannot be %s", t->last.deployment, target_step_name(t->last.step),
                    wish);
}

static RC advance(struct ctx *ctx, struct open_target *t, enum target_step step)
{
    t->last.step = step;
    return journal_append(ctx, t->journal, &t->last);
}

static const char *gen_path(struct ctx *ctx, const struct open_target *t, int64_t generation, const char *name, int index)
{
    const char *folder = arena_printf(&ctx->arena, "%s/gen/%lld", t->folder, (long long)generation);
    if (name == NULL)
        return folder;
    if (index < 0)
        return arena_printf(&ctx->arena, "%s/%s", folder, name);
    return arena_printf(&ctx->arena, "%s/%s-%d", folder, name, index);
}

/* --- stage.json and saved.json */

static void put_attr(struct json_out *j, struct disk_attr a)
{
    json_put_int(j, "uid", (int64_t)a.uid);
    json_put_int(j, "gid", (int64_t)a.gid);
    json_put_int(j, "mode", (int64_t)a.mode);
}

static RC get_attr(struct ctx *ctx, const json_t *obj, struct disk_attr *out)
{
    int64_t uid = 0, gid = 0, mode = 0;
    TRY(json_get_int(ctx, obj, "uid", true, &uid));
    TRY(json_get_int(ctx, obj, "gid", true, &gid));
    TRY(json_get_int(ctx, obj, "mode", true, &mode));
    *out = (struct disk_attr){(uid_t)uid, (gid_t)gid, (unsigned)mode};
    return RC_OK;
}

static RC write_note(struct ctx *ctx, const struct open_target *t, const char *name, struct buf *b)
{
    TRY(buf_status(b));
    return disk_replace(ctx, gen_path(ctx, t, t->last.generation, name, -1), buf_bytes(b), private_file);
}

static RC read_note(struct ctx *ctx, const struct open_target *t, const char *name, json_t **out)
{
    struct bytes text;
    const char *path = gen_path(ctx, t, t->last.generation, name, -1);
    struct rc rc = disk_read(ctx, path, NOTE_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND)
        return ctx_fail(ctx, E_NOT_FOUND, "%s is gone", path);
    TRY(rc);
    rc = json_read(ctx, text, out);
    return rc_failed(rc) ? ctx_wrap(ctx, rc, "%s", path) : RC_OK;
}

static RC write_stage(struct ctx *ctx, const struct open_target *t, const struct stage_wish *wish, const struct stage *s)
{
    struct buf b;
    struct json_out j;
    TRY(disk_mkdir(ctx, gen_path(ctx, t, t->last.generation, NULL, -1), 0700));
    for (size_t i = 0; i < s->n; i++)
        TRY(disk_replace(ctx, gen_path(ctx, t, t->last.generation, "new", (int)i), s->files[i].content, private_file));
    FAILPOINT("apply.stage_files");
    buf_init_arena(&b, &ctx->arena, NOTE_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "deployment", wish->deployment);
    json_put_hex(&j, "fingerprint", s->fingerprint);
    json_put_hex(&j, "previous", s->previous);
    json_put_str(&j, "plan", wish->plan);
    json_open_list(&j, "files");
    for (size_t i = 0; i < s->n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "path", s->files[i].path);
        put_attr(&j, s->files[i].attr);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    TRY(write_note(ctx, t, "stage.json", &b));
    FAILPOINT("apply.stage_note");
    return RC_OK;
}

/* What stage.json says to be written; contents only where `contents`. */
static RC read_stage(struct ctx *ctx, const struct agent_config *cfg, const struct open_target *t, bool contents, struct stage *out)
{
    JSON_CLEANUP json_t *note = NULL;
    const json_t *files, *row;
    size_t i;
    *out = (struct stage){0};
    TRY(read_note(ctx, t, "stage.json", &note));
    TRY(json_get_list(ctx, note, "files", true, &files));
    json_array_foreach(files, i, row) {
        struct stage_file *f = &out->files[out->n];
        if (out->n++ == CONNECTOR_FILES_MAX)
            return ctx_fail(ctx, E_PARSE, "stage.json lists too many files");
        TRY(json_get_str(ctx, row, "path", true, &f->path));
        TRY(get_attr(ctx, row, &f->attr));
        TRY(agent_config_check_path(ctx, cfg, f->path)); /* agent.yaml may have changed since */
        if (contents)
            TRY(disk_read(ctx, gen_path(ctx, t, t->last.generation, "new", (int)i), DISK_FILE_MAX, &f->content, NULL));
    }
    return RC_OK;
}

/* --- the steps */

static void tell(struct ctx *ctx, const struct stage *s, const struct journal_entry *last, struct stage_result *out)
{
    *out = (struct stage_result){.generation = last->generation, .step = last->step, .missing = s->missing, .same = s->same,
                                 .fingerprint = s->fingerprint, .previous = s->previous};
    for (size_t i = 0; i < s->n; i++)
        str_list_add(&ctx->arena, &out->files, s->files[i].path);
}

static RC stage_again(struct ctx *ctx, struct open_target *t, const struct stage_wish *wish, const struct stage *s,
                      struct stage_result *out)
{
    if (!str_equal(t->last.deployment, wish->deployment))
        return ctx_fail(ctx, E_CONFLICT, "deployment %s of target %s is not finished yet", t->last.deployment, wish->target);
    t->last.fence = wish->fence;
    TRY(advance(ctx, t, t->last.step));
    tell(ctx, s, &t->last, out);
    return RC_OK;
}

RC target_stage(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage_result *out)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct stage s;
    TRY(stage_build(ctx, cfg, wish, &s));
    if (wish->dry_run) {
        struct journal_entry none = {0};
        tell(ctx, &s, &none, out);
        return RC_OK;
    }
    TRY(target_open(ctx, cfg, wish->target, &t));
    TRY(refuse_old_fence(ctx, &t, wish->target, wish->fence));
    FAILPOINT("apply.stage_begin");
    if (target_step_unfinished(t.last.step) && t.last.step != TARGET_STAGED)
        return stage_again(ctx, &t, wish, &s, out);
    /* The number of a generation that never got its journal line is used again. */
    t.last = (struct journal_entry){TARGET_STAGED, wish->deployment, wish->fence, t.last.generation + 1};
    TRY(disk_remove_tree(ctx, gen_path(ctx, &t, t.last.generation, NULL, -1)));
    TRY(write_stage(ctx, &t, wish, &s));
    TRY(advance(ctx, &t, TARGET_STAGED));
    FAILPOINT("apply.staged");
    tell(ctx, &s, &t.last, out);
    return RC_OK;
}

static RC save_old(struct ctx *ctx, const struct open_target *t, const struct stage *s)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, NOTE_MAX);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < s->n; i++) {
        struct bytes old = {0};
        struct stat st = {0};
        struct rc rc = disk_read(ctx, s->files[i].path, DISK_FILE_MAX, &old, &st);
        if (rc_failed(rc) && rc.e != E_NOT_FOUND)
            return rc;
        json_open_obj(&j, NULL);
        json_put_bool(&j, "absent", rc_failed(rc));
        put_attr(&j, (struct disk_attr){st.st_uid, st.st_gid, st.st_mode & 07777});
        json_close(&j);
        if (rc_ok(rc))
            TRY(disk_replace(ctx, gen_path(ctx, t, t->last.generation, "old", (int)i), old, private_file));
    }
    json_close(&j);
    FAILPOINT("apply.save_files");
    return write_note(ctx, t, "saved.json", &b);
}

/* All temporary files first: a disk that is full shows before any destination has changed. */
static RC write_new(struct ctx *ctx, const struct stage *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct rc rc = disk_prepare(ctx, s->files[i].path, s->files[i].content, s->files[i].attr);
        for (size_t k = 0; rc_failed(rc) && k < i; k++)
            disk_discard(s->files[k].path);
        TRY(rc);
    }
    FAILPOINT("apply.install_prepared");
    for (size_t i = 0; i < s->n; i++) {
        TRY(disk_swap(ctx, s->files[i].path));
        FAILPOINT("apply.install_one");
    }
    return RC_OK;
}

RC target_install(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct stage s;
    TRY(target_continue(ctx, cfg, ref, &t));
    if (t.last.step == TARGET_INSTALLED)
        return RC_OK;
    if (t.last.step != TARGET_STAGED && t.last.step != TARGET_SAVED)
        return wrong_step(ctx, &t, "installed");
    TRY(read_stage(ctx, cfg, &t, true, &s));
    if (t.last.step == TARGET_STAGED) {
        TRY(save_old(ctx, &t, &s));
        TRY(advance(ctx, &t, TARGET_SAVED));
        FAILPOINT("apply.saved");
    }
    TRY(write_new(ctx, &s));
    FAILPOINT("apply.install_written");
    TRY(advance(ctx, &t, TARGET_INSTALLED));
    FAILPOINT("apply.installed");
    return RC_OK;
}

static RC restore_one(struct ctx *ctx, const struct open_target *t, const struct stage_file *f, const json_t *row, size_t i)
{
    struct bytes old = {0}, now;
    struct disk_attr attr;
    struct stat st;
    bool absent = false;
    disk_discard(f->path);
    TRY(json_get_bool(ctx, row, "absent", true, &absent));
    if (absent)
        return disk_remove(ctx, f->path);
    TRY(get_attr(ctx, row, &attr));
    TRY(disk_read(ctx, gen_path(ctx, t, t->last.generation, "old", (int)i), DISK_FILE_MAX, &old, NULL));
    struct rc rc = disk_read(ctx, f->path, DISK_FILE_MAX, &now, &st);
    if (rc_failed(rc) && rc.e != E_NOT_FOUND)
        return rc;
    /* What was not reached needs no writing: so undoing works on the full disk that made it necessary. */
    if (rc_ok(rc) && bytes_equal(old, now) && st.st_uid == attr.uid && st.st_gid == attr.gid && (st.st_mode & 07777) == attr.mode)
        return RC_OK;
    return disk_replace(ctx, f->path, old, attr);
}

static RC restore_all(struct ctx *ctx, const struct agent_config *cfg, const struct open_target *t)
{
    JSON_CLEANUP json_t *saved = NULL;
    struct stage s;
    TRY(read_stage(ctx, cfg, t, false, &s));
    TRY(read_note(ctx, t, "saved.json", &saved));
    if (json_array_size(saved) != s.n)
        return ctx_fail(ctx, E_PARSE, "saved.json does not fit stage.json");
    for (size_t i = s.n; i-- > 0;) {
        TRY(restore_one(ctx, t, &s.files[i], json_array_get(saved, i), i));
        FAILPOINT("apply.rollback_one");
    }
    return RC_OK;
}

RC target_rollback(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_continue(ctx, cfg, ref, &t));
    switch (t.last.step) {
    case TARGET_STAGED: return advance(ctx, &t, TARGET_UNDONE);
    case TARGET_UNDONE: return RC_OK;
    case TARGET_SAVED:
    case TARGET_INSTALLED:
        TRY(advance(ctx, &t, TARGET_UNDOING));
        FAILPOINT("apply.rollback_begin");
        break;
    case TARGET_UNDOING: break;
    default: return wrong_step(ctx, &t, "undone");
    }
    TRY(restore_all(ctx, cfg, &t));
    FAILPOINT("apply.rollback_restored");
    TRY(advance(ctx, &t, TARGET_UNDONE));
    FAILPOINT("apply.undone");
    return RC_OK;
}

/* Old generations hold keys that nothing needs any more. */
static RC prune(struct ctx *ctx, const struct open_target *t, int64_t keep)
{
    const char *folder = arena_printf(&ctx->arena, "%s/gen", t->folder);
    struct str_list old = {0};
    DIR *dir = opendir(folder);
    const struct dirent *e;
    int64_t number;
    if (dir == NULL)
        return ctx_fail_errno(ctx, "%s", folder);
    while ((e = readdir(dir)) != NULL)
        if (str_to_i64(bytes_z(e->d_name), &number) && number != keep)
            str_list_add(&ctx->arena, &old, arena_printf(&ctx->arena, "%s/%s", folder, e->d_name));
    closedir(dir);
    for (size_t i = 0; i < old.n; i++)
        TRY(disk_remove_tree(ctx, old.v[i]));
    return RC_OK;
}

RC target_undone(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_continue(ctx, cfg, ref, &t));
    if (t.last.step == TARGET_FAILED)
        return RC_OK;
    if (t.last.step != TARGET_UNDONE)
        return wrong_step(ctx, &t, "closed");
    TRY(advance(ctx, &t, TARGET_FAILED));
    FAILPOINT("apply.failed");
    return prune(ctx, &t, -1);
}

RC target_commit(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_continue(ctx, cfg, ref, &t));
    if (t.last.step == TARGET_COMMITTED)
        return RC_OK;
    if (t.last.step != TARGET_INSTALLED)
        return wrong_step(ctx, &t, "committed");
    FAILPOINT("apply.commit_begin");
    TRY(advance(ctx, &t, TARGET_COMMITTED));
    FAILPOINT("apply.committed");
    return prune(ctx, &t, t.last.generation);
}

RC target_compare(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, bool *equal, const char **detail)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct stage s;
    *equal = true;
    *detail = "";
    TRY(target_open(ctx, cfg, ref->target, &t));
    if (!str_equal(t.last.deployment, ref->deployment))
        return ctx_fail(ctx, E_CONFLICT, "target %s is at deployment %s, not %s", ref->target, t.last.deployment, ref->deployment);
    TRY(read_stage(ctx, cfg, &t, true, &s));
    for (size_t i = 0; i < s.n && *equal; i++) {
        struct bytes now;
        struct rc rc = disk_read(ctx, s.files[i].path, DISK_FILE_MAX, &now, NULL);
        if (rc_failed(rc) && rc.e != E_NOT_FOUND)
            return rc;
        *equal = rc_ok(rc) && bytes_equal(now, s.files[i].content);
        if (!*equal)
            *detail = arena_printf(&ctx->arena, "%s %s", s.files[i].path, rc_ok(rc) ? "holds something else" : "is not there");
    }
    return RC_OK;
}

static RC get_hex_member(struct ctx *ctx, const json_t *obj, const char *key, struct bytes *out)
{
    const char *text = "";
    TRY(json_get_str(ctx, obj, key, true, &text));
    if (!get_hex(&ctx->arena, bytes_z(text), out))
        return ctx_fail(ctx, E_PARSE, "stage.json: %s is not hex", key);
    return RC_OK;
}

RC target_state(struct ctx *ctx, const struct agent_config *cfg, const char *target, struct target_state *out)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    JSON_CLEANUP json_t *note = NULL;
    const json_t *files, *row;
    size_t i;
    *out = (struct target_state){.last = {.deployment = ""}, .plan = ""};
    TRY(target_folder(ctx, cfg, target, &t));
    if (access(t.folder, F_OK) != 0)
        return RC_OK;
    TRY(target_open(ctx, cfg, target, &t));
    out->last = t.last;
    if (t.last.generation == 0 || t.last.step == TARGET_FAILED || t.last.step == TARGET_CLOSED)
        return RC_OK;
    TRY(read_note(ctx, &t, "stage.json", &note));
    TRY(json_get_str(ctx, note, "plan", true, &out->plan));
    TRY(get_hex_member(ctx, note, "fingerprint", &out->fingerprint));
    TRY(get_hex_member(ctx, note, "previous", &out->previous));
    TRY(json_get_list(ctx, note, "files", true, &files));
    json_array_foreach(files, i, row) {
        const char *path = "";
        TRY(json_get_str(ctx, row, "path", true, &path));
        str_list_add(&ctx->arena, &out->files, path);
    }
    return RC_OK;
}

RC target_unfinished(struct ctx *ctx, const struct agent_config *cfg, struct str_list *out)
{
    const char *folder = arena_printf(&ctx->arena, "%s/targets", cfg->state_dir);
    DIR *dir = opendir(folder);
    const struct dirent *e;
    struct rc rc = RC_OK;
    if (dir == NULL)
        return errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "%s", folder);
    while (rc_ok(rc) && (e = readdir(dir)) != NULL) {
        struct journal_entry last;
        if (e->d_name[0] == '.' || !str_is_name(bytes_z(e->d_name)))
            continue;
        rc = journal_read(ctx, arena_printf(&ctx->arena, "%s/%s/journal", folder, e->d_name), &last);
        if (rc_ok(rc) && target_step_unfinished(last.step))
            str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, e->d_name));
    }
    closedir(dir);
    return rc;
}

RC target_close(struct ctx *ctx, const struct agent_config *cfg, const char *target, int64_t fence)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_open(ctx, cfg, target, &t));
    TRY(refuse_old_fence(ctx, &t, target, fence));
    if (target_step_unfinished(t.last.step) && t.last.step != TARGET_STAGED)
        return ctx_fail(ctx, E_CONFLICT, "deployment %s of target %s is not finished yet", t.last.deployment, target);
    t.last.fence = fence;
    TRY(advance(ctx, &t, TARGET_CLOSED));
    FAILPOINT("apply.closed");
    return prune(ctx, &t, -1);
}
