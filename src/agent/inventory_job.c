#include "agent/inventory_job.h"

#include "agent/discover.h"
#include "base/failpoint.h"

#define DISCOVERED_MAX ((size_t)16 << 20)

struct named {
    struct str_list files, services;
    bool more;
};

static void name_file(struct ctx *ctx, struct named *n, const char *file, const char *service)
{
    if (file == NULL || *file != '/' || strlen(file) > 4000 || strstr(file, "/../") != NULL)
        return;
    for (size_t i = 0; i < n->files.n; i++)
        if (strcmp(n->files.v[i], file) == 0)
            return;
    if (n->files.n == INVENTORY_FILES_MAX) {
        n->more = true;
        return;
    }
    str_list_add(&ctx->arena, &n->files, arena_strdup(&ctx->arena, file));
    str_list_add(&ctx->arena, &n->services, arena_strdup(&ctx->arena, service));
}

/* What services of this host serve, as discovery finds it: every parameter that is a path.  A file without a certificate is left
 * out by whoever reads it. */
static RC ask_services(struct ctx *ctx, struct hands *h, struct story *story, struct named *n)
{
    BUF_CLEANUP struct buf found = {0};
    json_auto_t *root = NULL, *none = json_object();
    const json_t *target, *value;
    const char *key;
    size_t i;
    buf_init(&found, DISCOVERED_MAX);
    struct rc rc = none != NULL ? discover_run(ctx, h, story, none, &found) : rc_of(E_NO_MEMORY);
    if (rc_ok(rc))
        rc = json_read(ctx, buf_bytes(&found), &root);
    if (rc_failed(rc)) { /* the folders can be looked at all the same */
        story_add(ctx, story, "inventory", "services could not be asked: %s", ctx_why(ctx));
        ctx_forget(ctx);
        return RC_OK;
    }
    json_array_foreach(json_object_get(root, "targets"), i, target) {
        const char *service = json_string_value(json_object_get(target, "connector"));
        json_object_foreach((json_t *)(uintptr_t)json_object_get(target, "parameters"), key, value)
            name_file(ctx, n, json_string_value(value), service != NULL ? service : "");
    }
    return RC_OK;
}

/* The hub gets what apply wrote as it stands: it must be one value of JSON, lest it says more in this agent's name. */
static RC hand_over(struct ctx *ctx, struct story *story, const char *json)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(json), &root));
    if (!json_is_object(root))
        return ctx_fail(ctx, E_BAD_ANSWER, "what was found on the host is no object");
    FAILPOINT("agent.inventory_batch");
    return story_hand_over_as(ctx, story, "inventory", json);
}

struct counted {
    int64_t looked, told;
    bool more;
};

static RC batches(struct ctx *ctx, struct hands *h, struct story *story, const struct named *n, struct counted *sum)
{
    struct wire_apply_hosts in = {.files = {n->files.v, n->files.n}, .services = {n->services.v, n->services.n}, .after = ""};
    do {
        CTX_CLEANUP struct ctx turn; /* a batch is megabytes */
        struct wire_apply_hosts_are out;
        ctx_init(&turn, ctx->clock);
        struct rc rc = HANDS_CALL(&turn, h->apply, apply_hosts, &in, apply_hosts_are, &out);
        if (rc_ok(rc) && (out.told > 0 || *out.after == '\0'))
            rc = hand_over(&turn, story, out.json);
        if (rc_failed(rc))
            return ctx_fail(ctx, rc.e, "%s", ctx_why(&turn));
        sum->looked += out.looked;
        sum->told += out.told;
        in.after = arena_strdup(&ctx->arena, out.after);
        sum->more = *in.after != '\0' && sum->looked >= INVENTORY_LOOKED_MAX;
        if (story_dropped(story))
            return ctx_fail(ctx, E_FENCED, "the hub has taken the job back");
    } while (*in.after != '\0' && !sum->more);
    return RC_OK;
}

RC inventory_job(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member)
{
    struct named n = {0};
    struct counted sum = {0};
    struct json_out j;
    bool services = true;
    TRY(json_get_bool(ctx, body, "services", false, &services));
    for (size_t i = 0; i < h->cfg->n_inventory_stores; i++)
        name_file(ctx, &n, h->cfg->inventory_stores[i].file, "keystore");
    if (services)
        TRY(ask_services(ctx, h, story, &n));
    if (n.more)
        story_add(ctx, story, "inventory", "services name more than %d files: those behind are left out", INVENTORY_FILES_MAX);
    TRY(batches(ctx, h, story, &n, &sum));
    if (sum.more)
        story_add(ctx, story, "inventory", "%d files were looked at: what is behind them is left out; name fewer folders",
                  INVENTORY_LOOKED_MAX);
    story_add(ctx, story, "inventory", "%lld files looked at, %lld told", (long long)sum.looked, (long long)sum.told);
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_put_int(&j, "looked", sum.looked);
    json_put_int(&j, "told", sum.told);
    json_put_bool(&j, "more", sum.more || n.more);
    json_close(&j);
    return RC_OK;
}
