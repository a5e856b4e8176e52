#include "agent/results.h"

#include <unistd.h>

#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "os/file.h"

#define RESULT_MAX ((size_t)2 << 20)

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

static RC read_back(struct ctx *ctx, struct results *r, const char *name)
{
    __attribute__((cleanup(json_free))) json_t *j = NULL;
    struct bytes text;
    const char *id;
    int64_t fence = 0;
    TRY(file_read_at(ctx, r->dirfd, name, RESULT_MAX, &text));
    TRY(json_read(ctx, text, &j));
    TRY(json_get_str(ctx, j, "id", true, &id));
    TRY(json_get_int(ctx, j, "fence", true, &fence));
    return remember(ctx, r, id, fence, arena_str(&ctx->arena, text));
}

RC results_open(struct ctx *ctx, const char *folder, struct results *out)
{
    struct str_list names = {0};
    *out = (struct results){.folder = folder, .dirfd = -1};
    TRY(file_open_dir(ctx, folder, &out->dirfd));
    TRY(file_list(ctx, out->dirfd, &names));
    for (size_t i = 0; i < names.n; i++) {
        if (file_is_temporary(names.v[i])) {
            TRY(file_remove(ctx, out->dirfd, names.v[i]));
            continue;
        }
        if (!bytes_ends_with(bytes_z(names.v[i]), BYTES_LIT(".json")))
            continue;
        if (rc_failed(read_back(ctx, out, names.v[i]))) { /* the job is leased again, and done again */
            log_event(LOG_WARN_, "result_unreadable", "file", names.v[i], "why", ctx_why(ctx), NULL);
            ctx_forget(ctx);
        }
    }
    return RC_OK;
}

void results_free(struct results *r)
{
    while (r->first != NULL) {
        struct result *next = r->first->next;
        result_free(r->first);
        r->first = next;
    }
    fd_close(&r->dirfd);
}

static const char *file_of(struct ctx *ctx, const char *id) { return arena_printf(&ctx->arena, "%s.json", id); }

RC results_add(struct ctx *ctx, struct results *r, const char *id, int64_t fence, const char *json)
{
    if (!str_is_name(bytes_z(id)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a job", id);
    FAILPOINT("agent.result_before");
    struct rc rc = file_write_atomic(ctx, r->dirfd, file_of(ctx, id), bytes_z(json), FILE_KEEP_UID, FILE_KEEP_GID, 0600);
    if (rc_failed(rc)) { /* a full disk: it is told from memory; only a kill before that makes the job run again */
        log_event(LOG_WARN_, "result_not_kept", "job", id, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
    }
    FAILPOINT("agent.result_kept");
    return remember(ctx, r, id, fence, json);
}

void results_acked(struct ctx *ctx, struct results *r, const char *id, int64_t fence)
{
    for (struct result **at = &r->first; *at != NULL; at = &(*at)->next) {
        struct result *found = *at;
        if (strcmp(found->id, id) != 0 || found->fence != fence)
            continue;
        *at = found->next;
        if (rc_failed(file_remove(ctx, r->dirfd, file_of(ctx, id))))
            ctx_forget(ctx);
        result_free(found);
        return;
    }
}
