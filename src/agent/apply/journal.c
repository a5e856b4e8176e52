#include "agent/apply/journal.h"

#include "agent/apply/disk.h"
#include "base/failpoint.h"
#include "base/json.h"

#define JOURNAL_MAX ((size_t)1 << 20)
#define JOURNAL_LONG ((size_t)64 << 10)

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

static RC entry_parse(struct ctx *ctx, const char *path, struct bytes line, struct journal_entry *out)
{
    __attribute__((cleanup(json_free))) json_t *j = NULL;
    const char *step = "";
    struct rc rc = json_read(ctx, line, &j);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "%s", path);
    TRY(json_get_str(ctx, j, "step", true, &step));
    TRY(json_get_str(ctx, j, "deployment", true, &out->deployment));
    TRY(json_get_int(ctx, j, "fence", true, &out->fence));
    TRY(json_get_int(ctx, j, "generation", true, &out->generation));
    out->step = target_step_by_name(step);
    if (out->step == TARGET_STEPS)
        return ctx_fail(ctx, E_PARSE, "%s: no step is named %s", path, step);
    return RC_OK;
}

RC journal_read(struct ctx *ctx, const char *path, struct journal_entry *out)
{
    struct bytes text, line, last = {0};
    *out = (struct journal_entry){.step = TARGET_NEW, .deployment = ""};
    struct rc rc = disk_read(ctx, path, JOURNAL_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    while (bytes_take_line(&text, &line))
        last = line;
    return last.n == 0 ? RC_OK : entry_parse(ctx, path, last, out);
}

RC journal_append(struct ctx *ctx, const char *path, const struct journal_entry *e)
{
    struct buf b;
    struct json_out j;
    struct stat st;
    buf_init_arena(&b, &ctx->arena, 4096);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "at_ms", clock_unix_ms(ctx->clock));
    json_put_str(&j, "step", target_step_name(e->step));
    json_put_str(&j, "deployment", e->deployment);
    json_put_int(&j, "fence", e->fence);
    json_put_int(&j, "generation", e->generation);
    json_close(&j);
    buf_put_u8(&b, '\n');
    TRY(buf_status(&b));
    FAILPOINT("apply.journal_before");
    /* A journal that has grown long begins anew with this entry: the last one is all that counts. */
    if (stat(path, &st) == 0 && (uint64_t)st.st_size > JOURNAL_LONG)
        TRY(disk_replace(ctx, path, buf_bytes(&b), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600}));
    else
        TRY(disk_append(ctx, path, buf_bytes(&b)));
    FAILPOINT("apply.journal_after");
    return RC_OK;
}
