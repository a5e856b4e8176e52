#include "agent/apply/target.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "agent/apply/disk.h"
#include "agent/apply/push.h"
#include "agent/apply/stage.h"
#include "base/buf.h"
#include "base/encode.h"
#include "base/failpoint.h"

#define NOTE_MAX ((size_t)48 << 20)
#define JOURNAL_SUFFIX ".journal"

/* A target, locked: what every step begins with. */
struct open_target {
    int lock;
    struct journal journal;
};

static void target_done(struct open_target *t)
{
    journal_free(&t->journal);
    disk_close(&t->lock);
}
#define TARGET_CLEANUP __attribute__((cleanup(target_done)))

static const struct bytes nothing;

static RC journal_path(struct ctx *ctx, const struct agent_config *cfg, const char *target, const char **out)
{
    if (target == NULL || !str_is_name(bytes_z(target)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a target", target != NULL ? target : "nothing");
    *out = arena_printf(&ctx->arena, "%s/targets/%s" JOURNAL_SUFFIX, cfg->state_dir, target);
    return RC_OK;
}

static RC target_open(struct ctx *ctx, const struct agent_config *cfg, const char *target, struct open_target *t)
{
    const char *path = NULL;
    TRY(journal_path(ctx, cfg, target, &path));
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), target, &t->lock));
    return journal_read(ctx, path, &t->journal);
}

static RC refuse_old_fence(struct ctx *ctx, const struct open_target *t, const char *target, int64_t fence)
{
    if (fence >= t->journal.last.fence)
        return RC_OK;
    return ctx_fail(ctx, E_FENCED,
                    "target %s has been worked on under a newer lease; where the hub's database is an old copy, try again: it has "
                    "learnt it now",
                    target);
}

/* Opens the target for the next step of a deployment that has been staged. */
static RC target_continue(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, struct open_target *t)
{
    TRY(target_open(ctx, cfg, ref->target, t));
    TRY(refuse_old_fence(ctx, t, ref->target, ref->fence));
    if (!str_equal(t->journal.last.deployment, ref->deployment))
        return ctx_fail(ctx, E_CONFLICT, "target %s is at deployment %s, not %s", ref->target, t->journal.last.deployment,
                        ref->deployment);
    t->journal.last.fence = ref->fence;
    return RC_OK;
}

RC target_check(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    return target_continue(ctx, cfg, ref, &t);
}

static RC wrong_step(struct ctx *ctx, const struct open_target *t, const char *wish)
{
    return ctx_fail(ctx, E_CONFLICT, "deployment %s is %s: it cannot be %s", t->journal.last.deployment,
                    target_step_name(t->journal.last.step), wish);
}

/* The next step, with nothing new to be kept. */
static RC advance(struct ctx *ctx, struct open_target *t, enum target_step step)
{
    t->journal.last.step = step;
    return journal_append(ctx, &t->journal, NULL, nothing, false);
}

/* The last step: with it go all keys that were kept until here.  `carries` is what is still told of the deployment. */
static RC finish(struct ctx *ctx, struct open_target *t, enum target_step step, struct bytes carries)
{
    t->journal.last.step = step;
    return journal_append(ctx, &t->journal, "stage", carries, false);
}

/* --- what the lines carry */

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

static RC get_hex_member(struct ctx *ctx, const json_t *obj, const char *key, struct bytes *out)
{
    const char *text = "";
    TRY(json_get_str(ctx, obj, key, true, &text));
    if (!get_hex(&ctx->arena, bytes_z(text), out))
        return ctx_fail(ctx, E_PARSE, "the journal of a target: %s is not hex", key);
    return RC_OK;
}

/* The line of a deployment that has ended says the same without plan and contents: what is compared later is their hash. */
static RC put_stage(struct ctx *ctx, const struct stage *s, const char *plan, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, NOTE_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_hex(&j, "fingerprint", s->fingerprint);
    json_put_hex(&j, "previous", s->previous);
    json_put_hex(&j, "serial", s->serial);
    if (plan != NULL)
        json_put_str(&j, "plan", plan);
    if (plan != NULL && s->relay)
        push_journal_put(&j, s);
    json_open_list(&j, "files");
    for (size_t i = 0; i < s->n; i++) {
        const struct stage_file *f = &s->files[i];
        json_open_obj(&j, NULL);
        json_put_str(&j, "path", f->path);
        put_attr(&j, f->attr);
        if (plan != NULL)
            json_put_base64(&j, "content", f->content);
        json_put_hex(&j, "sha256", f->sha256);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

static RC get_stage(struct ctx *ctx, const struct agent_config *cfg, const struct open_target *t, struct stage *out)
{
    const json_t *files, *row, *stage = t->journal.stage;
    size_t i;
    *out = (struct stage){0};
    if (stage == NULL)
        return ctx_fail(ctx, E_NOT_FOUND, "%s does not say what was staged", t->journal.path);
    TRY(get_hex_member(ctx, stage, "fingerprint", &out->fingerprint));
    TRY(get_hex_member(ctx, stage, "previous", &out->previous));
    if (json_object_get(stage, "serial") != NULL) /* journals of the first release have none */
        TRY(get_hex_member(ctx, stage, "serial", &out->serial));
    TRY(push_journal_get(ctx, stage, out));
    if (json_is_object(t->journal.saved))
        TRY(get_hex_member(ctx, t->journal.saved, "previous", &out->previous));
    TRY(json_get_list(ctx, stage, "files", true, &files));
    json_array_foreach(files, i, row) {
        struct stage_file *f = &out->files[out->n];
        if (out->n++ == CONNECTOR_FILES_MAX)
            return ctx_fail(ctx, E_PARSE, "%s lists too many files", t->journal.path);
        TRY(json_get_str(ctx, row, "path", true, &f->path));
        TRY(get_attr(ctx, row, &f->attr));
        TRY(get_hex_member(ctx, row, "sha256", &f->sha256));
        TRY(agent_config_check_path(ctx, cfg, f->path)); /* agent.yaml may have changed since */
        if (target_step_unfinished(t->journal.last.step))
            TRY(json_get_base64(ctx, row, "content", true, &f->content));
    }
    return RC_OK;
}

/* --- the steps */

static void tell(struct ctx *ctx, const struct stage *s, const struct journal_entry *last, struct stage_result *out)
{
    *out = (struct stage_result){.generation = last->generation, .step = last->step, .missing = s->missing, .same = s->same,
                                 .fingerprint = s->fingerprint, .previous = s->previous, .serial = s->serial,
                                 .keep_for = s->keep_for};
    for (size_t i = 0; i < s->n; i++)
        str_list_add(&ctx->arena, &out->files, s->files[i].path);
}

static RC stage_again(struct ctx *ctx, struct open_target *t, const struct stage_wish *wish, struct stage *s,
                      struct stage_result *out)
{
    if (!str_equal(t->journal.last.deployment, wish->deployment))
        return ctx_fail(ctx, E_CONFLICT, "deployment %s of target %s is not finished yet", t->journal.last.deployment,
                        wish->target);
    t->journal.last.fence = wish->fence;
    TRY(advance(ctx, t, t->journal.last.step)); /* the fence */
    tell(ctx, s, &t->journal.last, out);
    if (s->relay) { /* the key that was made then is the one */
        TRY(push_journal_get(ctx, t->journal.stage, s));
        out->keep_for = s->keep_for;
    }
    return RC_OK;
}

RC target_stage(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage_result *out)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct bytes carries;
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
    if (target_step_unfinished(t.journal.last.step) && t.journal.last.step != TARGET_STAGED)
        return stage_again(ctx, &t, wish, &s, out);
    t.journal.last = (struct journal_entry){TARGET_STAGED, wish->deployment, wish->fence, t.journal.last.generation + 1};
    TRY(put_stage(ctx, &s, wish->plan, &carries));
    if (!t.journal.exists)
        TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/targets", cfg->state_dir), 0700));
    TRY(journal_append(ctx, &t.journal, "stage", carries, false));
    FAILPOINT("apply.staged");
    tell(ctx, &s, &t.journal.last, out);
    return RC_OK;
}

static RC save_old(struct ctx *ctx, const struct stage *s, struct bytes *out)
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
        json_put_base64(&j, "content", old);
        json_close(&j);
    }
    json_close(&j);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

static bool same_folder(const char *a, const char *b)
{
    size_t n = (size_t)(strrchr(a, '/') - a);
    return n == (size_t)(strrchr(b, '/') - b) && strncmp(a, b, n) == 0;
}

/* All temporary files first: a disk that is full shows before any destination has changed. */
static RC write_new(struct ctx *ctx, const struct stage *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct rc rc = disk_prepare(ctx, s->files[i].path, s->files[i].content, s->files[i].attr);
        for (size_t k = 0; rc_failed(rc) && k < i; k++)
            if (rc_failed(disk_discard(ctx, s->files[k].path))) /* the first failure says why */
                break;
        TRY(rc);
    }
    FAILPOINT("apply.install_prepared");
    for (size_t i = 0; i < s->n; i++) {
        TRY(disk_swap(ctx, s->files[i].path));
        FAILPOINT("apply.install_one");
    }
    for (size_t i = 0; i < s->n; i++)
        if (i == 0 || !same_folder(s->files[i].path, s->files[i - 1].path))
            TRY(disk_fsync_parent(ctx, s->files[i].path));
    return RC_OK;
}

RC target_install(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct bytes carries;
    struct stage s;
    TRY(target_continue(ctx, cfg, ref, &t));
    if (t.journal.last.step == TARGET_INSTALLED)
        return RC_OK;
    if (t.journal.last.step != TARGET_STAGED && t.journal.last.step != TARGET_SAVED)
        return wrong_step(ctx, &t, "installed");
    TRY(get_stage(ctx, cfg, &t, &s));
    if (s.relay)
        return t.journal.last.step == TARGET_SAVED ? advance(ctx, &t, TARGET_INSTALLED) : wrong_step(ctx, &t, "installed");
    if (t.journal.last.step == TARGET_STAGED) {
        TRY(save_old(ctx, &s, &carries));
        t.journal.last.step = TARGET_SAVED;
        TRY(journal_append(ctx, &t.journal, "saved", carries, false));
        FAILPOINT("apply.saved");
    }
    TRY(write_new(ctx, &s));
    FAILPOINT("apply.install_written");
    t.journal.last.step = TARGET_INSTALLED;
    TRY(journal_append(ctx, &t.journal, NULL, nothing, true)); /* where it is lost, the same is written again */
    FAILPOINT("apply.installed");
    return RC_OK;
}

static RC restore_one(struct ctx *ctx, const struct stage_file *f, const json_t *row)
{
    struct bytes old = {0}, now;
    struct disk_attr attr;
    struct stat st;
    bool absent = false;
    TRY(disk_discard(ctx, f->path));
    TRY(json_get_bool(ctx, row, "absent", true, &absent));
    if (absent)
        return disk_remove(ctx, f->path);
    TRY(get_attr(ctx, row, &attr));
    TRY(json_get_base64(ctx, row, "content", true, &old));
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
    const json_t *saved = t->journal.saved;
    struct stage s;
    TRY(get_stage(ctx, cfg, t, &s));
    if (s.relay)
        return RC_OK; /* the relay did it */
    if (saved == NULL || json_array_size(saved) != s.n)
        return ctx_fail(ctx, E_PARSE, "%s: what was saved does not fit what was staged", t->journal.path);
    for (size_t i = s.n; i-- > 0;) {
        TRY(restore_one(ctx, &s.files[i], json_array_get(saved, i)));
        FAILPOINT("apply.rollback_one");
    }
    return RC_OK;
}

RC target_rollback(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_continue(ctx, cfg, ref, &t));
    switch (t.journal.last.step) {
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

RC target_save(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, struct bytes previous,
               struct bytes kept)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct json_out j;
    struct stage s;
    struct buf b;
    TRY(target_continue(ctx, cfg, ref, &t));
    TRY(get_stage(ctx, cfg, &t, &s));
    if (!s.relay || (t.journal.last.step != TARGET_STAGED && t.journal.last.step != TARGET_SAVED))
        return wrong_step(ctx, &t, "saved");
    buf_init_arena(&b, &ctx->arena, NOTE_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_hex(&j, "previous", previous);
    json_put_base64(&j, "kept", kept);
    json_close(&j);
    TRY(buf_status(&b));
    t.journal.last.step = TARGET_SAVED;
    TRY(journal_append(ctx, &t.journal, "saved", buf_bytes(&b), false));
    FAILPOINT("apply.push_saved");
    return RC_OK;
}

RC target_undo_begin(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_continue(ctx, cfg, ref, &t));
    switch (t.journal.last.step) {
    case TARGET_SAVED:
    case TARGET_INSTALLED: return advance(ctx, &t, TARGET_UNDOING);
    case TARGET_UNDOING:
    case TARGET_UNDONE: return RC_OK;
    default: return wrong_step(ctx, &t, "undone");
    }
}

RC target_seal(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, struct bytes public, bool contents,
               struct bytes *out)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct bytes kept = {0};
    struct stage s;
    TRY(target_continue(ctx, cfg, ref, &t));
    TRY(get_stage(ctx, cfg, &t, &s));
    if (!s.relay || !json_is_object(t.journal.saved))
        return wrong_step(ctx, &t, "sent");
    TRY(json_get_base64(ctx, t.journal.saved, "kept", true, &kept));
    return push_sealed(ctx, cfg, ref, &s, kept, contents, public, out);
}

RC target_undone(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_continue(ctx, cfg, ref, &t));
    if (t.journal.last.step == TARGET_FAILED)
        return RC_OK;
    if (t.journal.last.step != TARGET_UNDONE)
        return wrong_step(ctx, &t, "closed");
    TRY(finish(ctx, &t, TARGET_FAILED, nothing));
    FAILPOINT("apply.failed");
    return RC_OK;
}

RC target_commit(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct bytes carries;
    struct stage s;
    TRY(target_continue(ctx, cfg, ref, &t));
    if (t.journal.last.step == TARGET_COMMITTED)
        return RC_OK;
    if (t.journal.last.step != TARGET_INSTALLED)
        return wrong_step(ctx, &t, "committed");
    FAILPOINT("apply.commit_begin");
    TRY(get_stage(ctx, cfg, &t, &s));
    TRY(put_stage(ctx, &s, NULL, &carries));
    TRY(finish(ctx, &t, TARGET_COMMITTED, carries));
    FAILPOINT("apply.committed");
    return RC_OK;
}

RC target_compare(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, bool *equal, const char **detail)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct stage s;
    *equal = true;
    *detail = "";
    TRY(target_open(ctx, cfg, ref->target, &t));
    if (!str_equal(t.journal.last.deployment, ref->deployment))
        return ctx_fail(ctx, E_CONFLICT, "target %s is at deployment %s, not %s", ref->target, t.journal.last.deployment,
                        ref->deployment);
    TRY(get_stage(ctx, cfg, &t, &s));
    for (size_t i = 0; i < s.n && *equal; i++) {
        struct bytes now;
        uint8_t hash[SHA256_LEN] = {0};
        struct rc rc = disk_read(ctx, s.files[i].path, DISK_FILE_MAX, &now, NULL);
        if (rc_failed(rc) && rc.e != E_NOT_FOUND)
            return rc;
        if (rc_ok(rc))
            TRY(digest_sha256(ctx, now, hash));
        *equal = rc_ok(rc) && bytes_equal(bytes_of(hash, sizeof hash), s.files[i].sha256);
        if (!*equal)
            *detail = arena_printf(&ctx->arena, "%s %s", s.files[i].path, rc_ok(rc) ? "holds something else" : "is not there");
    }
    return RC_OK;
}

RC target_state(struct ctx *ctx, const struct agent_config *cfg, const char *target, struct target_state *out)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    struct stage s;
    *out = (struct target_state){.last = {.deployment = ""}, .plan = ""};
    TRY(target_open(ctx, cfg, target, &t));
    out->last = t.journal.last;
    if (t.journal.stage == NULL)
        return RC_OK;
    TRY(get_stage(ctx, cfg, &t, &s));
    out->fingerprint = s.fingerprint;
    out->previous = s.previous;
    out->serial = s.serial;
    out->keep_for = s.keep_for;
    for (size_t i = 0; i < s.n; i++)
        str_list_add(&ctx->arena, &out->files, arena_strdup(&ctx->arena, s.files[i].path));
    if (target_step_unfinished(t.journal.last.step))
        TRY(json_get_str(ctx, t.journal.stage, "plan", true, &out->plan));
    out->plan = arena_strdup(&ctx->arena, out->plan); /* the journal is forgotten here */
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
        struct bytes name = bytes_z(e->d_name);
        struct journal j;
        if (!bytes_ends_with(name, BYTES_LIT(JOURNAL_SUFFIX)) || !str_is_name(name))
            continue;
        rc = journal_read(ctx, arena_printf(&ctx->arena, "%s/%s", folder, e->d_name), &j);
        if (rc_failed(rc))
            break;
        name.n -= strlen(JOURNAL_SUFFIX);
        if (target_step_unfinished(j.last.step))
            str_list_add(&ctx->arena, out, arena_str(&ctx->arena, name));
        journal_free(&j);
    }
    closedir(dir);
    return rc;
}

RC target_close(struct ctx *ctx, const struct agent_config *cfg, const char *target, int64_t fence)
{
    TARGET_CLEANUP struct open_target t = {.lock = -1};
    TRY(target_open(ctx, cfg, target, &t));
    TRY(refuse_old_fence(ctx, &t, target, fence));
    if (target_step_unfinished(t.journal.last.step) && t.journal.last.step != TARGET_STAGED)
        return ctx_fail(ctx, E_CONFLICT, "deployment %s of target %s is not finished yet", t.journal.last.deployment, target);
    t.journal.last.fence = fence;
    if (!t.journal.exists)
        return RC_OK;
    TRY(finish(ctx, &t, TARGET_CLOSED, nothing));
    FAILPOINT("apply.closed");
    return RC_OK;
}
