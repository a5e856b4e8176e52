#include "agent/apply/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/apply/adopt_look.h"
#include "base/failpoint.h"

#define RECORD_MAX ((size_t)16 << 20)

static void json_free(json_t **j)
{
    json_decref(*j);
}
#define JSON_CLEANUP __attribute__((cleanup(json_free)))

struct record {
    const char *path;
    const char *state; /* "": there is none */
    int64_t fence;
    struct adopt_file files[ADOPT_FILES_MAX];
    size_t n_files;
    struct adopt_edit edits[ADOPT_EDITS_MAX];
    size_t n_edits;
    struct str_list done;
    bool changed, keep_files;
};

static RC record_path(struct ctx *ctx, const struct agent_config *cfg, const char *id, const char **out)
{
    if (id == NULL || !str_is_name(bytes_z(id)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name an adoption", id != NULL ? id : "nothing");
    *out = arena_printf(&ctx->arena, "%s/adoptions/%s", cfg->state_dir, id);
    return RC_OK;
}

static RC read_file(struct ctx *ctx, const json_t *row, struct adopt_file *f)
{
    int64_t uid = 0, gid = 0, mode = 0;
    TRY(json_get_str(ctx, row, "path", true, &f->path));
    TRY(json_get_str(ctx, row, "file", true, &f->real));
    TRY(json_get_int(ctx, row, "uid", true, &uid));
    TRY(json_get_int(ctx, row, "gid", true, &gid));
    TRY(json_get_int(ctx, row, "mode", true, &mode));
    f->attr = (struct disk_attr){(uid_t)uid, (gid_t)gid, (unsigned)mode};
    f->path = arena_strdup(&ctx->arena, f->path);
    f->real = arena_strdup(&ctx->arena, f->real);
    return json_get_base64(ctx, row, "content", true, &f->data);
}

static RC read_edit(struct ctx *ctx, const json_t *row, struct adopt_edit *e)
{
    TRY(json_get_str(ctx, row, "file", true, &e->file));
    e->file = arena_strdup(&ctx->arena, e->file);
    TRY(json_get_bool(ctx, row, "inserted", true, &e->inserted));
    TRY(json_get_base64(ctx, row, "was", true, &e->was));
    TRY(json_get_base64(ctx, row, "is", true, &e->is));
    return json_get_base64(ctx, row, "after", true, &e->after);
}

static RC record_read(struct ctx *ctx, const struct agent_config *cfg, const char *id, int64_t fence, struct record *r)
{
    JSON_CLEANUP json_t *root = NULL;
    struct bytes text;
    const json_t *list, *row;
    size_t i;
    *r = (struct record){.state = ""};
    TRY(record_path(ctx, cfg, id, &r->path));
    struct rc rc = disk_read(ctx, r->path, RECORD_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND) {
        r->fence = fence;
        return RC_OK;
    }
    TRY(rc);
    TRY(json_read(ctx, text, &root));
    TRY(json_get_str(ctx, root, "state", true, &r->state));
    r->state = arena_strdup(&ctx->arena, r->state);
    TRY(json_get_int(ctx, root, "fence", true, &r->fence));
    TRY(json_get_bool(ctx, root, "changed", true, &r->changed));
    TRY(json_get_bool(ctx, root, "keep_files", true, &r->keep_files));
    if (fence < r->fence)
        return ctx_fail(ctx, E_FENCED, "adoption %s has been worked on under a newer lease", id);
    r->fence = fence;
    TRY(json_get_list(ctx, root, "files", true, &list));
    json_array_foreach((json_t *)(uintptr_t)list, i, row) if (r->n_files < ADOPT_FILES_MAX)
        TRY(read_file(ctx, row, &r->files[r->n_files++]));
    TRY(json_get_list(ctx, root, "edits", true, &list));
    json_array_foreach((json_t *)(uintptr_t)list, i, row) if (r->n_edits < ADOPT_EDITS_MAX)
        TRY(read_edit(ctx, row, &r->edits[r->n_edits++]));
    TRY(json_get_list(ctx, root, "done", true, &list));
    json_array_foreach((json_t *)(uintptr_t)list, i, row) if (json_is_string(row))
        str_list_add(&ctx->arena, &r->done, arena_strdup(&ctx->arena, json_string_value(row)));
    return RC_OK;
}

/* Without the contents once they are not needed any more. */
static RC record_write(struct ctx *ctx, struct record *r, const char *state)
{
    const bool all = strcmp(state, "released") != 0;
    struct json_out j;
    struct buf b;
    r->state = state;
    buf_init_arena(&b, &ctx->arena, RECORD_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "state", state);
    json_put_int(&j, "fence", r->fence);
    json_put_bool(&j, "changed", r->changed);
    json_put_bool(&j, "keep_files", r->keep_files);
    json_open_list(&j, "files");
    for (size_t i = 0; all && i < r->n_files; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "path", r->files[i].path);
        json_put_str(&j, "file", r->files[i].real);
        json_put_int(&j, "uid", (int64_t)r->files[i].attr.uid);
        json_put_int(&j, "gid", (int64_t)r->files[i].attr.gid);
        json_put_int(&j, "mode", (int64_t)r->files[i].attr.mode);
        json_put_base64(&j, "content", r->files[i].data);
        json_close(&j);
    }
    json_close(&j);
    json_open_list(&j, "edits");
    for (size_t i = 0; all && i < r->n_edits; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "file", r->edits[i].file);
        json_put_bool(&j, "inserted", r->edits[i].inserted);
        json_put_base64(&j, "was", r->edits[i].was);
        json_put_base64(&j, "is", r->edits[i].is);
        json_put_base64(&j, "after", r->edits[i].after);
        json_close(&j);
    }
    json_close(&j);
    adopt_put_texts(&j, "done", &r->done);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(disk_mkdir(ctx, adopt_folder(ctx, r->path), 0700));
    return disk_replace(ctx, r->path, buf_bytes(&b), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600});
}

static bool same_lineage(const struct record *r, const struct adopt_plan *l)
{
    for (size_t i = 0; i < r->n_files; i++)
        for (size_t k = 0; k < l->n_files; k++)
            if (strcmp(r->files[i].path, l->files[k].path) == 0)
                return true;
    return false;
}

RC adopt_earlier(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l)
{
    const char *folder = arena_printf(&ctx->arena, "%s/adoptions", cfg->state_dir);
    DIR *dir = opendir(folder);
    const struct dirent *e;
    if (dir == NULL)
        return errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "%s", folder);
    while (l->earlier == NULL && (e = readdir(dir)) != NULL) {
        struct record r;
        if (!str_is_name(bytes_z(e->d_name)))
            continue;
        if (rc_failed(record_read(ctx, cfg, e->d_name, INT64_MAX, &r))) {
            ctx_forget(ctx);
            continue;
        }
        if (r.n_edits == 0 || !same_lineage(&r, l))
            continue;
        memcpy(l->edits, r.edits, sizeof r.edits);
        l->n_edits = r.n_edits;
        l->earlier = r.path;
        str_list_add(&ctx->arena, &l->notes,
                     arena_printf(&ctx->arena, "an earlier adoption of it (%s) did so, and the hub does not know of it: was its "
                                  "database restored?  That is undone with this one", e->d_name));
    }
    closedir(dir);
    return RC_OK;
}

/* --- the steps */

/* The file keeps its owner and mode; a path that has become a link meanwhile is refused (disk.h). */
static RC edit_file(struct ctx *ctx, const struct agent_config *cfg, const struct adopt_edit *e, bool undo,
                    enum adopt_edit_end *end)
{
    struct bytes text, out = {0};
    struct stat st;
    TRY(agent_config_check_path(ctx, cfg, e->file)); /* agent.yaml may have changed since */
    struct rc rc = disk_read(ctx, e->file, LINEAGE_FILE_MAX, &text, &st);
    *end = ADOPT_EDIT_LOST;
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    *end = undo ? adopt_edit_undo(ctx, e, text, &out) : adopt_edit_make(ctx, e, text, &out);
    if (*end != ADOPT_EDIT_MADE)
        return RC_OK;
    return disk_replace(ctx, e->file, out, (struct disk_attr){st.st_uid, st.st_gid, st.st_mode & 07777});
}

static RC undo_edits(struct ctx *ctx, const struct agent_config *cfg, struct record *r)
{
    for (size_t i = r->n_edits; i-- > 0;) {
        const struct adopt_edit *e = &r->edits[i];
        enum adopt_edit_end end;
        TRY(edit_file(ctx, cfg, e, true, &end));
        if (end == ADOPT_EDIT_LOST)
            str_list_add(&ctx->arena, &r->done,
                         arena_printf(&ctx->arena, "%s was changed by somebody else meanwhile; put the line back by hand: %.*s",
                                      e->file, (int)e->was.n, (const char *)e->was.p));
        else
            str_list_add(&ctx->arena, &r->done,
                         arena_printf(&ctx->arena, "%s is as it was: it is renewed from there again", e->file));
        FAILPOINT("apply.release_edit");
    }
    return RC_OK;
}

static RC make_edits(struct ctx *ctx, const struct agent_config *cfg, struct record *r)
{
    for (size_t i = 0; i < r->n_edits; i++) {
        enum adopt_edit_end end;
        TRY(edit_file(ctx, cfg, &r->edits[i], false, &end));
        if (end == ADOPT_EDIT_LOST)
            return ctx_fail(ctx, E_CHANGED, "%s was changed meanwhile; look at it again", r->edits[i].file);
        FAILPOINT_ERROR(ctx, "apply.adopt_edit");
    }
    return RC_OK;
}

/* certbot writes its renewal's settings anew when it is done with one: what is edited meanwhile would be lost.  It keeps a lock
 * while it runs, which is there only then; *lock is kept from it. */
static RC client_rests(struct ctx *ctx, const char *path, int *lock)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    enum lineage_client client;
    if (lineage_look(ctx, path, &client) != LINEAGE_IS || client != LINEAGE_CERTBOT)
        return RC_OK;
    const char *base = adopt_folder(ctx, adopt_folder(ctx, adopt_folder(ctx, path)));
    *lock = open(arena_printf(&ctx->arena, "%s/.certbot.lock", base), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (*lock >= 0 && fcntl(*lock, F_SETLK, &all) != 0 && (errno == EAGAIN || errno == EACCES))
        return ctx_fail(ctx, E_BUSY, "certbot is running (%s/.certbot.lock is locked): try again once it has ended", base);
    return RC_OK;
}

static RC begin(struct ctx *ctx, const struct agent_config *cfg, struct record *r, const char *path, const char *digest,
                int *client)
{
    struct adopt_plan l;
    TRY(client_rests(ctx, path, client));
    TRY(adopt_see(ctx, cfg, path, &l));
    if (strcmp(l.digest, digest) != 0)
        return ctx_fail(ctx, E_CHANGED, "%s is not as it was shown any more; look at it again", path);
    memcpy(r->files, l.files, sizeof l.files);
    memcpy(r->edits, l.edits, sizeof l.edits);
    r->n_files = l.n_files;
    r->n_edits = l.n_edits;
    TRY(record_write(ctx, r, "adopting"));
    FAILPOINT("apply.adopt_kept");
    return l.earlier != NULL ? disk_remove(ctx, l.earlier) : RC_OK; /* it is in this one */
}

/* What failed in the middle is undone; where that fails as well, the record stays for who asks to release it. */
static void undo_half(struct ctx *ctx, const struct agent_config *cfg, struct record *r)
{
    struct trail_entry *trail = ctx->trail;
    ctx->trail = NULL;
    if (rc_ok(undo_edits(ctx, cfg, r)) && rc_ok(disk_remove(ctx, r->path)))
        FAILPOINT("apply.adopt_undone");
    ctx->trail = trail;
}

RC adopt_begin(struct ctx *ctx, const struct agent_config *cfg, const char *id, int64_t fence, const char *path, const char *digest)
{
    __attribute__((cleanup(disk_close))) int lock = -1, client = -1;
    struct record r;
    TRY(record_path(ctx, cfg, id, &r.path));
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), id, &lock));
    TRY(record_read(ctx, cfg, id, fence, &r));
    if (strcmp(r.state, "adopted") == 0)
        return RC_OK;
    if (*r.state != '\0' && strcmp(r.state, "adopting") != 0)
        return ctx_fail(ctx, E_CONFLICT, "adoption %s is %s", id, r.state);
    if (*r.state == '\0')
        TRY(begin(ctx, cfg, &r, path, digest, &client));
    struct rc rc = make_edits(ctx, cfg, &r);
    if (rc_failed(rc)) {
        undo_half(ctx, cfg, &r);
        return rc;
    }
    FAILPOINT("apply.adopt_edited");
    TRY(record_write(ctx, &r, "adopted"));
    FAILPOINT("apply.adopted");
    return RC_OK;
}

/* What a file holds before it is given back, for the case that another one cannot be. */
struct had {
    bool same;     /* as it was when it was adopted */
    bool there, replaced;
    struct bytes data;
    struct disk_attr attr;
};

static RC look_at(struct ctx *ctx, const struct agent_config *cfg, const struct adopt_file *f, struct had *had)
{
    struct stat st;
    *had = (struct had){0};
    TRY(agent_config_check_path(ctx, cfg, f->real));
    struct rc rc = disk_read(ctx, f->real, DISK_FILE_MAX, &had->data, &st);
    if (rc_failed(rc) && rc.e != E_NOT_FOUND)
        return rc;
    had->there = rc_ok(rc);
    if (had->there)
        had->attr = (struct disk_attr){st.st_uid, st.st_gid, st.st_mode & 07777};
    had->same = had->there && bytes_equal(had->data, f->data) && had->attr.uid == f->attr.uid && had->attr.gid == f->attr.gid &&
                had->attr.mode == f->attr.mode;
    return RC_OK;
}

/* Its client made itself newer files meanwhile, and had its links lead there: what was kept is of use to nobody any more. */
static bool leads_elsewhere(struct ctx *ctx, const struct adopt_file *f)
{
    const char *real;
    if (rc_ok(disk_resolve(ctx, f->path, &real)))
        return strcmp(real, f->real) != 0;
    ctx_forget(ctx);
    return false;
}

static RC give_back(struct ctx *ctx, const struct agent_config *cfg, struct record *r, struct had *had)
{
    r->done = (struct str_list){0};
    for (size_t i = 0; i < r->n_files; i++)
        if (leads_elsewhere(ctx, &r->files[i]))
            str_list_add(&ctx->arena, &r->done,
                         arena_printf(&ctx->arena,
                                      "%s does not lead to %s any more, for it was renewed meanwhile: it stays as it is",
                                      r->files[i].path, r->files[i].real));
    for (size_t i = 0; !r->keep_files && i < r->n_files; i++) {
        TRY(look_at(ctx, cfg, &r->files[i], &had[i]));
        if (!had[i].same) {
            TRY(disk_replace(ctx, r->files[i].real, r->files[i].data, r->files[i].attr));
            had[i].replaced = true;
        }
        str_list_add(&ctx->arena, &r->done, arena_printf(&ctx->arena, "%s holds what it held before", r->files[i].path));
        FAILPOINT_ERROR(ctx, "apply.release_file");
    }
    return undo_edits(ctx, cfg, r);
}

/* It stays adopted, as it was; where that fails as well, what was begun is finished once it is released again. */
static void keep_all(struct ctx *ctx, const struct agent_config *cfg, struct record *r, const struct had *had)
{
    struct trail_entry *trail = ctx->trail;
    ctx->trail = NULL;
    struct rc rc = make_edits(ctx, cfg, r);
    for (size_t i = 0; rc_ok(rc) && i < r->n_files; i++)
        if (had[i].replaced)
            rc = had[i].there ? disk_replace(ctx, r->files[i].real, had[i].data, had[i].attr) : disk_remove(ctx, r->files[i].real);
    r->done = (struct str_list){0};
    r->changed = r->keep_files = false;
    if (rc_ok(rc) && rc_ok(record_write(ctx, r, "adopted")))
        FAILPOINT("apply.release_undone");
    ctx->trail = trail;
}

RC adopt_release(struct ctx *ctx, const struct agent_config *cfg, const char *id, int64_t fence, bool keep_files,
                 struct str_list *done, bool *changed)
{
    __attribute__((cleanup(disk_close))) int lock = -1;
    struct record r;
    TRY(record_path(ctx, cfg, id, &r.path));
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), id, &lock));
    TRY(record_read(ctx, cfg, id, fence, &r));
    if (*r.state == '\0')
        return ctx_fail(ctx, E_NOT_FOUND,
                        "this agent keeps nothing of adoption %s: its state is another one.  Put back by hand what was "
                        "changed, and stop managing it: certwright cert remove",
                        id);
    if (strcmp(r.state, "released") != 0) {
        const bool whole = strcmp(r.state, "adopted") == 0;
        struct had had[ADOPT_FILES_MAX] = {0};
        if (strcmp(r.state, "releasing") != 0) /* else what was begun is finished: no file of this, and one of that */
            r.keep_files = keep_files || !whole; /* nothing was installed before it was adopted */
        for (size_t i = 0; whole && i < r.n_files; i++)
            r.keep_files |= leads_elsewhere(ctx, &r.files[i]);
        for (size_t i = 0; !r.keep_files && i < r.n_files; i++) {
            TRY(look_at(ctx, cfg, &r.files[i], &had[i]));
            r.changed |= !had[i].same;
        }
        for (size_t i = 0; i < r.n_edits; i++) /* agent.yaml may have changed since */
            TRY(agent_config_check_path(ctx, cfg, r.edits[i].file));
        TRY(record_write(ctx, &r, "releasing"));
        FAILPOINT("apply.release_begun");
        struct rc rc = give_back(ctx, cfg, &r, had);
        if (rc_failed(rc)) {
            if (whole)
                keep_all(ctx, cfg, &r, had);
            return rc;
        }
        FAILPOINT("apply.release_given");
        TRY(record_write(ctx, &r, "released"));
        FAILPOINT("apply.released");
    }
    *done = r.done;
    *changed = r.changed;
    return RC_OK;
}
