#include "agent/apply/journal.h"

#include "agent/apply/disk.h"
#include "base/failpoint.h"

#define JOURNAL_MAX ((size_t)64 << 20)
#define JOURNAL_LONG ((uint64_t)256 << 10)

static const char *const step_names[TARGET_STEPS] = {"",        "staged", "saved",  "installed", "committed",
                                                     "undoing", "undone", "failed", "closed"};

const char *target_step_name(enum target_step step) { return step < TARGET_STEPS ? step_names[step] : ""; }

enum target_step target_step_by_name(const char *name)
{
    for (unsigned i = 0; i < TARGET_STEPS; i++)
        if (strcmp(step_names[i], name) == 0)
            return (enum target_step)i;
    return TARGET_STEPS;
}

bool target_step_unfinished(enum target_step step)
{
    return step == TARGET_STAGED || step == TARGET_SAVED || step == TARGET_INSTALLED || step == TARGET_UNDOING ||
           step == TARGET_UNDONE;
}

static void json_free(json_t **j) { json_decref(*j); }

void journal_free(struct journal *j)
{
    json_decref(j->stage);
    json_decref(j->saved);
    j->stage = j->saved = NULL;
}

static void keep(json_t **slot, json_t *line, const char *member)
{
    if (*slot == NULL)
        *slot = json_incref(json_object_get(line, member));
}

/* Lines are taken from the last to the first: `newer` says that one was taken.  False in `*more` where none before it counts. */
static RC take_line(struct ctx *ctx, struct journal *j, struct bytes text, bool newer, bool *more)
{
    __attribute__((cleanup(json_free))) json_t *line = NULL;
    struct journal_entry e;
    const char *step = "", *deployment = "";
    struct rc rc = json_read(ctx, text, &line);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "%s", j->path);
    TRY(json_get_str(ctx, line, "step", true, &step));
    TRY(json_get_str(ctx, line, "deployment", true, &deployment));
    TRY(json_get_int(ctx, line, "fence", true, &e.fence));
    TRY(json_get_int(ctx, line, "generation", true, &e.generation));
    e.deployment = arena_strdup(&ctx->arena, deployment);
    e.step = target_step_by_name(step);
    if (e.step == TARGET_STEPS)
        return ctx_fail(ctx, E_PARSE, "%s: no step is named %s", j->path, step);
    *more = target_step_unfinished(e.step);
    if (newer && !*more)
        return RC_OK; /* the end of the deployment before */
    if (!newer)
        j->last = e;
    keep(&j->stage, line, "stage");
    keep(&j->saved, line, "saved");
    *more &= e.step != TARGET_STAGED || j->stage == NULL;
    return RC_OK;
}

/* Takes the last line off `text`; false where there is none. */
static bool last_line(struct bytes *text, struct bytes *line)
{
    while (text->n > 0 && text->p[text->n - 1] == '\n')
        text->n--;
    size_t from = text->n;
    while (from > 0 && text->p[from - 1] != '\n')
        from--;
    *line = bytes_of(text->p + from, text->n - from);
    text->n = from;
    return line->n > 0;
}

RC journal_read(struct ctx *ctx, const char *path, struct journal *out)
{
    struct bytes text, line;
    bool more = true, newer = false;
    *out = (struct journal){.path = path, .last = {.step = TARGET_NEW, .deployment = ""}};
    struct rc rc = disk_read(ctx, path, JOURNAL_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    out->exists = true;
    while (text.n > 0 && text.p[text.n - 1] != '\n') /* a torn end */
        text.n--;
    for (; rc_ok(rc) && more && last_line(&text, &line); newer = true)
        rc = take_line(ctx, out, line, newer, &more);
    if (rc_failed(rc))
        journal_free(out);
    return rc;
}

static RC put_line(struct ctx *ctx, const struct journal *journal, const char *member, struct bytes carries, struct buf *b)
{
    const struct journal_entry *e = &journal->last;
    struct json_out j;
    buf_init_arena(b, &ctx->arena, JOURNAL_MAX);
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "at_ms", clock_unix_ms(ctx->clock));
    json_put_str(&j, "step", target_step_name(e->step));
    json_put_str(&j, "deployment", e->deployment);
    json_put_int(&j, "fence", e->fence);
    json_put_int(&j, "generation", e->generation);
    if (carries.n > 0)
        json_put_raw(&j, member, carries);
    json_close(&j);
    buf_put_u8(b, '\n');
    return buf_status(b);
}

RC journal_append(struct ctx *ctx, const struct journal *j, const char *member, struct bytes carries, bool lazy)
{
    struct buf b;
    struct stat st;
    const bool ends = !target_step_unfinished(j->last.step);
    TRY(put_line(ctx, j, member, carries, &b));
    FAILPOINT("apply.journal_before");
    /* What is grown by then is empty lines, and the one that ended the deployment before. */
    if (j->last.step == TARGET_STAGED && stat(j->path, &st) == 0 && (uint64_t)st.st_size > JOURNAL_LONG)
        TRY(disk_replace(ctx, j->path, buf_bytes(&b), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600}));
    else
        TRY(disk_append(ctx, j->path, buf_bytes(&b), ends ? DISK_APPEND_LAST : lazy ? DISK_APPEND_LAZY : DISK_APPEND));
    FAILPOINT("apply.journal_after");
    return RC_OK;
}
