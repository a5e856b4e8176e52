#include "agent/results.h"

#include <errno.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "os/file.h"

#define LOG_NAME "log"
#define LOG_MAX ((size_t)256 << 20)
#define LOG_LONG ((uint64_t)4 << 20) /* then it is begun anew */

static void result_free(struct result *r)
{
    free(r->id);
    free(r->json);
    free(r);
}

static RC remember(struct ctx *ctx, struct results *r, const char *id, int64_t fence, const char *json)
{
    struct result *fresh = calloc(1, sizeof *fresh), **at = &r->first;
    if (fresh == NULL || (fresh->id = strdup(id)) == NULL || (fresh->json = strdup(json)) == NULL) {
        if (fresh != NULL)
            result_free(fresh);
        return ctx_fail(ctx, E_NO_MEMORY, "the result of job %s", id);
    }
    fresh->fence = fence;
    fresh->n = strlen(json);
    while (*at != NULL) {
        if (strcmp((*at)->id, id) == 0 && (*at)->fence > fence) { /* what was done under a newer lease is what counts */
            result_free(fresh);
            return RC_OK;
        }
        if (strcmp((*at)->id, id) == 0) {
            struct result *old = *at;
            *at = old->next;
            result_free(old);
        } else {
            at = &(*at)->next;
        }
    }
    *at = fresh;
    return RC_OK;
}

static void json_free(json_t **j) { json_decref(*j); }

static bool forget(struct results *r, const char *id, int64_t fence)
{
    for (struct result **at = &r->first; *at != NULL; at = &(*at)->next) {
        struct result *found = *at;
        if (strcmp(found->id, id) != 0 || found->fence != fence)
            continue;
        *at = found->next;
        result_free(found);
        return true;
    }
    return false;
}

/* A line is a result, or {"acked": ID, "fence": N}. */
static RC take_line(struct ctx *ctx, struct results *r, struct bytes line)
{
    __attribute__((cleanup(json_free))) json_t *j = NULL;
    const char *id = NULL, *acked = NULL;
    int64_t fence = 0;
    TRY(json_read(ctx, line, &j));
    TRY(json_get_int(ctx, j, "fence", true, &fence));
    TRY(json_get_str(ctx, j, "acked", false, &acked));
    if (acked != NULL) {
        forget(r, acked, fence);
        return RC_OK;
    }
    TRY(json_get_str(ctx, j, "id", true, &id));
    return remember(ctx, r, id, fence, arena_str(&ctx->arena, line));
}

/* Begins the log anew with what still counts, and opens it. */
static RC rewrite(struct ctx *ctx, struct results *r)
{
    BUF_CLEANUP struct buf text;
    buf_init(&text, LOG_MAX);
    for (const struct result *one = r->first; one != NULL; one = one->next) {
        buf_put(&text, bytes_of(one->json, one->n));
        buf_put_u8(&text, '\n');
    }
    TRY(buf_status(&text));
    TRY(file_write_atomic(ctx, r->dirfd, LOG_NAME, buf_bytes(&text), FILE_KEEP_UID, FILE_KEEP_GID, 0600));
    fd_close(&r->fd);
    r->fd = openat(r->dirfd, LOG_NAME, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    r->size = text.n;
    return r->fd >= 0 ? RC_OK : ctx_fail_errno(ctx, "%s/" LOG_NAME, r->folder);
}

RC results_open(struct ctx *ctx, const char *folder, struct results *out)
{
    struct bytes text, line;
    *out = (struct results){.folder = folder, .dirfd = -1, .fd = -1};
    TRY(file_open_dir(ctx, folder, &out->dirfd));
    struct rc rc = file_read_at(ctx, out->dirfd, LOG_NAME, LOG_MAX, &text);
    if (rc_failed(rc) && rc.e != E_NOT_FOUND)
        return rc;
    if (rc_failed(rc))
        ctx_forget(ctx);
    while (rc_ok(rc) && bytes_take_line(&text, &line)) { /* an end that a kill has torn has no newline */
        if (rc_ok(take_line(ctx, out, line)))
            continue;
        log_event(LOG_WARN_, "result_unreadable", "why", ctx_why(ctx), NULL); /* the job is leased again, and done again */
        ctx_forget(ctx);
    }
    return rewrite(ctx, out);
}

void results_free(struct results *r)
{
    while (r->first != NULL) {
        struct result *next = r->first->next;
        result_free(r->first);
        r->first = next;
    }
    fd_close(&r->fd);
    fd_close(&r->dirfd);
}

/* A full disk: what was written of the line is taken back, so that the next one begins on its own. */
static RC append(struct ctx *ctx, struct results *r, struct bytes line)
{
    struct rc rc = file_write_all(ctx, r->fd, LOG_NAME, line);
    if (rc_ok(rc))
        r->size += line.n;
    else if (ftruncate(r->fd, (off_t)r->size) != 0)
        log_event(LOG_WARN_, "result_torn", "why", strerror(errno), NULL);
    return rc;
}

RC results_add(struct ctx *ctx, struct results *r, const char *id, int64_t fence, const char *json)
{
    if (!str_is_name(bytes_z(id)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a job", id);
    FAILPOINT("agent.result_before");
    struct rc rc = append(ctx, r, bytes_z(arena_printf(&ctx->arena, "%s\n", json)));
    if (rc_failed(rc)) { /* it is told from memory; only a kill before that makes the job run again */
        log_event(LOG_WARN_, "result_not_kept", "job", id, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
    }
    FAILPOINT("agent.result_kept");
    return remember(ctx, r, id, fence, json);
}

void results_acked(struct ctx *ctx, struct results *r, const char *id, int64_t fence)
{
    struct rc rc = RC_OK;
    if (!forget(r, id, fence))
        return;
    if (r->first == NULL && ftruncate(r->fd, 0) == 0)
        r->size = 0;
    else if (r->size > LOG_LONG)
        rc = rewrite(ctx, r);
    else
        rc = append(ctx, r, bytes_z(arena_printf(&ctx->arena, "{\"acked\":\"%s\",\"fence\":%lld}\n", id, (long long)fence)));
    if (rc_failed(rc)) /* it is told once more after the next start, and the hub knows it */
        ctx_forget(ctx);
}

void results_sync(struct results *r)
{
    if (fdatasync(r->fd) != 0)
        log_event(LOG_WARN_, "results_not_synced", "why", strerror(errno), NULL);
}
