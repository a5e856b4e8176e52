#include "agent/adopt.h"

#include "agent/connector.h"
#include "agent/discover.h"
#include "base/failpoint.h"

#define DISCOVERED_MAX ((size_t)16 << 20)
#define SERVICES_MAX   16
#define TARGETS_MAX    32

static bool is_path(const struct wire_texts *paths, const char *value)
{
    for (size_t i = 0; value != NULL && i < paths->n; i++)
        if (strcmp(paths->v[i], value) == 0)
            return true;
    return false;
}

/* The services of this host that read one of the files, as discovery finds them. */
static RC put_services(struct ctx *ctx, struct hands *h, struct story *story, const struct wire_texts *paths, struct json_out *j)
{
    BUF_CLEANUP struct buf found = {0};
    json_auto_t *root = NULL, *none = json_object();
    const json_t *target, *value;
    const char *key;
    size_t i, n = 0;
    json_open_list(j, "services");
    buf_init(&found, DISCOVERED_MAX);
    struct rc rc = none != NULL ? discover_run(ctx, h, story, none, &found) : rc_of(E_NO_MEMORY);
    if (rc_ok(rc))
        rc = json_read(ctx, buf_bytes(&found), &root);
    if (rc_failed(rc)) {
        story_add(ctx, story, "adopt", "services could not be asked: %s", ctx_why(ctx));
        ctx_forget(ctx);
    }
    json_array_foreach(json_object_get(root, "targets"), i, target)
    {
        bool uses = false;
        json_object_foreach((json_t *)(uintptr_t)json_object_get(target, "parameters"), key, value) uses |=
            is_path(paths, json_string_value(value));
        if (uses && n++ < SERVICES_MAX)
            json_put_value(j, NULL, target);
    }
    json_close(j);
    return n <= SERVICES_MAX ? RC_OK : ctx_fail(ctx, E_TOO_LARGE, "more than %d services use these files", SERVICES_MAX);
}

static RC see(struct ctx *ctx, struct hands *h, struct story *story, const char *path, struct buf *member)
{
    struct wire_apply_adopt_look in = {.path = path};
    struct wire_apply_adopt_seen seen;
    json_auto_t *root = NULL;
    const char *key;
    const json_t *value;
    struct json_out j;
    TRY(HANDS_CALL(ctx, h->apply, apply_adopt_look, &in, apply_adopt_seen, &seen));
    TRY(json_read(ctx, bytes_z(seen.json), &root));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_object_foreach(root, key, value) json_put_value(&j, key, value);
    TRY(put_services(ctx, h, story, &seen.paths, &j));
    json_close(&j);
    return buf_status(member);
}

RC adopt_job(struct ctx *ctx, struct hands *h, struct story *story, int64_t fence, const json_t *body, struct buf *member)
{
    struct wire_apply_adopt in = {.fence = fence, .digest = ""};
    struct wire_apply_done done;
    TRY(json_get_str(ctx, body, "adoption", true, &in.adoption));
    TRY(json_get_str(ctx, body, "path", true, &in.path));
    TRY(json_get_str(ctx, body, "digest", false, &in.digest));
    if (*in.digest == '\0')
        return see(ctx, h, story, in.path, member);
    if (story_dropped(story))
        return ctx_fail(ctx, E_FENCED, "the lease was given to somebody else before anything was touched");
    FAILPOINT("agent.adopt_before");
    TRY(HANDS_CALL(ctx, h->apply, apply_adopt, &in, apply_done, &done));
    FAILPOINT("agent.adopt_after");
    story_add(ctx, story, "adopt", "the files are kept as they were, and the other client leaves them alone");
    return RC_OK;
}

/* --- giving back */

struct served_by {
    const char *target, *connector;
    const json_t *params;
};

static RC read_targets(struct ctx *ctx, const json_t *body, struct served_by *out, size_t *n)
{
    const json_t *list = NULL, *row;
    size_t i;
    TRY(json_get_list(ctx, body, "targets", false, &list));
    json_array_foreach((json_t *)(uintptr_t)list, i, row)
    {
        if (*n == TARGETS_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "more than %d targets", TARGETS_MAX);
        struct served_by *t = &out[(*n)++];
        TRY(json_get_str(ctx, row, "target", true, &t->target));
        TRY(json_get_str(ctx, row, "connector", true, &t->connector));
        TRY(json_get_obj(ctx, row, "parameters", false, &t->params));
    }
    return RC_OK;
}

/* A deployment in the middle is finished, or undone, by whoever does it: it is waited for. */
static RC check_rests(struct ctx *ctx, struct hands *h, const char *target)
{
    static const char *const busy[] = {"saved", "installed", "undoing"};
    struct wire_apply_state in = {.target = target};
    struct wire_apply_state_is is;
    TRY(HANDS_CALL(ctx, h->apply, apply_state, &in, apply_state_is, &is));
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
        if (strcmp(is.step, busy[i]) == 0)
            return ctx_fail(ctx, E_BUSY, "a deployment to target %s is not finished yet", target);
    return RC_OK;
}

/* *said: there is a command that has it read them. */
static RC read_again(struct ctx *ctx, struct hands *h, const struct served_by *t, bool *said)
{
    struct connector desc;
    *said = false;
    TRY(connector_load(ctx, h->cfg, t->connector, &desc));
    const char *check = connector_command(t->params, desc.check), *reload = connector_command(t->params, desc.reload);
    if (check != NULL)
        TRY(hands_command(ctx, h, check));
    if (reload == NULL && desc.send != NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "it is told over its socket, and only what is deployed");
    *said = reload != NULL;
    return reload != NULL ? hands_command(ctx, h, reload) : RC_OK;
}

static RC give_back(struct ctx *ctx, struct hands *h, struct story *story, const struct wire_apply_release *in,
                    const struct served_by *targets, size_t n, struct json_out *j)
{
    struct wire_apply_released out;
    for (size_t i = 0; i < n; i++)
        TRY(check_rests(ctx, h, targets[i].target));
    TRY(HANDS_CALL(ctx, h->apply, apply_release, in, apply_released, &out));
    FAILPOINT("agent.release_after");
    for (size_t i = 0; i < out.done.n; i++) {
        story_add(ctx, story, "release", "%s", out.done.v[i]);
        json_put_str(j, NULL, out.done.v[i]);
    }
    for (size_t i = 0; out.changed && i < n; i++) {
        bool told;
        struct rc rc = read_again(ctx, h, &targets[i], &told);
        if (rc_ok(rc) && !told)
            continue;
        const char *said = rc_ok(rc) ? arena_printf(&ctx->arena, "%s has read its files again", targets[i].connector)
                                     : arena_printf(&ctx->arena, "%s has to read its files again by hand: %s", targets[i].connector,
                                                    words_of(ctx, bytes_z(ctx_why(ctx)), 2000));
        if (rc_failed(rc))
            ctx_forget(ctx);
        story_add(ctx, story, "release", "%s", said);
        json_put_str(j, NULL, said);
    }
    return RC_OK;
}

RC release_job(struct ctx *ctx, struct hands *h, struct story *story, int64_t fence, const json_t *body, struct buf *member)
{
    struct wire_apply_release in = {.fence = fence};
    struct served_by targets[TARGETS_MAX] = {0};
    size_t n = 0, entered = 0;
    struct rc rc = RC_OK;
    struct json_out j;
    TRY(json_get_str(ctx, body, "adoption", true, &in.adoption));
    TRY(json_get_bool(ctx, body, "keep_files", false, &in.keep_files));
    TRY(read_targets(ctx, body, targets, &n));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_open_list(&j, "done");
    while (rc_ok(rc) && entered < n) {
        rc = hands_enter(ctx, h, targets[entered].target);
        entered += rc_ok(rc);
    }
    if (rc_ok(rc))
        rc = give_back(ctx, h, story, &in, targets, n, &j);
    while (entered > 0)
        hands_leave(h, targets[--entered].target);
    json_close(&j);
    json_close(&j);
    return rc;
}
