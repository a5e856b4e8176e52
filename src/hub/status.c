#include "hub/status.h"

#include "base/log.h"
#include "base/str.h"
#include "store/store.h"
#include "wire/messages.h"

/* How long an answer is given from memory before the signer is asked again: it makes a new CRL when one is due. */
#define CRL_KEPT_S 60
#define CA_KEPT_S  3600

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct rc ask_crl(struct ctx *ctx, struct hub *hub, const char *ca, struct bytes *out, int64_t *kept_s)
{
    const struct wire_signer_crl in = {.ca = ca};
    struct wire_signer_crl_made made;
    TRY(wire_call_signer_crl(ctx, hub->core->signer, &in, &made));
    *out = made.crl;
    *kept_s = least(CRL_KEPT_S, made.next_update - ctx_now_s(ctx));
    return RC_OK;
}

static struct rc ask_ca(struct ctx *ctx, struct hub *hub, const char *ca, struct bytes *out, int64_t *kept_s)
{
    const struct wire_signer_ca_show in = {.ca = ca};
    struct wire_signer_ca made;
    TRY(wire_call_signer_ca_show(ctx, hub->core->signer, &in, &made));
    if (!made.certificate.n)
        return ctx_fail(ctx, E_NOT_FOUND, "the CA %s has no certificate yet", ca);
    *out = made.certificate;
    *kept_s = CA_KEPT_S;
    return RC_OK;
}

static const struct kind {
    const char *prefix, *suffix, *media;
    struct rc (*ask)(struct ctx *, struct hub *, const char *, struct bytes *, int64_t *);
} kinds[] = {
    {"/crl/", ".crl", "application/pkix-crl", ask_crl},
    {"/ca/", ".cer", "application/pkix-cert", ask_ca},
};

/* cached copies what is kept under a name to the arena, while it is fresh. */
static bool cached(struct ctx *ctx, struct hub *hub, const char *name, int64_t now, struct bytes *out)
{
    bool found = false;
    pthread_mutex_lock(&hub->published_lock);
    for (size_t i = 0; i < hub->published_n && !found; i++)
        if (str_equal(hub->published[i].name, name) && hub->published[i].fresh_until > now) {
            *out = arena_bytes(&ctx->arena, bytes_of(hub->published[i].data, hub->published[i].n));
            found = true;
        }
    pthread_mutex_unlock(&hub->published_lock);
    return found;
}

static void keep(struct hub *hub, const char *name, struct bytes data, int64_t fresh_until)
{
    uint8_t *copy = malloc(data.n ? data.n : 1);
    if (!copy)
        return;
    memcpy(copy, data.p, data.n);
    pthread_mutex_lock(&hub->published_lock);
    struct hub_published *slot = NULL;
    for (size_t i = 0; i < hub->published_n && !slot; i++)
        if (str_equal(hub->published[i].name, name))
            slot = &hub->published[i];
    if (!slot && hub->published_n < HUB_PUBLISHED_MAX)
        slot = &hub->published[hub->published_n++];
    if (slot) {
        free(slot->data);
        snprintf(slot->name, sizeof slot->name, "%s", name);
        slot->data = copy;
        slot->n = data.n;
        slot->fresh_until = fresh_until;
    } else {
        free(copy);
    }
    pthread_mutex_unlock(&hub->published_lock);
}

RC status_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp)
{
    if (!str_equal(req->method, "GET") && !str_equal(req->method, "HEAD"))
        return ctx_fail(ctx, E_METHOD, "only GET is answered here");
    struct bytes path = bytes_z(req->path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        struct bytes prefix = bytes_z(k->prefix), suffix = bytes_z(k->suffix), name = path;
        if (!bytes_starts_with(path, prefix) || !bytes_ends_with(path, suffix) || path.n <= prefix.n + suffix.n)
            continue;
        bytes_skip(&name, prefix.n);
        const struct bytes file = name;
        name.n -= suffix.n;
        if (!str_is_name(name))
            break;
        const char *key = arena_str(&ctx->arena, file);
        const int64_t now = ctx_now_s(ctx);
        struct bytes data;
        int64_t kept_s = 0;
        if (!cached(ctx, hub, key, now, &data)) {
            TRY(k->ask(ctx, hub, arena_str(&ctx->arena, name), &data, &kept_s));
            keep(hub, key, data, now + kept_s);
        }
        resp->status = 200;
        http_response_header(resp, "Content-Type", k->media);
        http_response_header(resp, "Cache-Control", arena_printf(&ctx->arena, "public, max-age=%d", CRL_KEPT_S));
        buf_put(&resp->body, data);
        return buf_status(&resp->body);
    }
    return ctx_fail(ctx, E_NOT_FOUND, "there is nothing at %s", req->path);
}

void status_forget(struct hub *hub, const char *ca)
{
    char name[sizeof hub->published[0].name];
    snprintf(name, sizeof name, "%s.crl", ca);
    pthread_mutex_lock(&hub->published_lock);
    for (size_t i = 0; i < hub->published_n; i++)
        if (str_equal(hub->published[i].name, name))
            hub->published[i].fresh_until = 0;
    pthread_mutex_unlock(&hub->published_lock);
}

void status_free(struct hub *hub)
{
    for (size_t i = 0; i < hub->published_n; i++)
        free(hub->published[i].data);
    hub->published_n = 0;
}

/* --- health */

static struct rc nothing(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)ctx;
    (void)txn;
    (void)arg;
    return RC_OK;
}

static struct rc ready(struct ctx *ctx, struct hub *hub)
{
    if (atomic_load(&hub->draining))
        return ctx_fail(ctx, E_SHUTTING_DOWN, "shutting down");
    TRY(store_read(ctx, hub->core->store, nothing, NULL));
    const char *trouble = store_trouble(ctx, hub->core->store);
    if (trouble)
        return ctx_fail(ctx, E_DATABASE, "the database cannot be written: %s", trouble);
    const struct wire_signer_health in = {0};
    struct wire_signer_healthy out;
    ctx->deadline_ms = clock_mono_ms() + 2000;
    return wire_call_signer_health(ctx, hub->core->signer, &in, &out);
}

RC status_health(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp)
{
    struct rc rc = str_equal(req->path, "/readyz") ? ready(ctx, hub) : RC_OK;
    if (rc_failed(rc))
        log_event(LOG_WARN_, "not_ready", "why", ctx_why(ctx), NULL);
    resp->status = rc_ok(rc) ? 200 : 503;
    http_response_header(resp, "Content-Type", "text/plain; charset=utf-8");
    /* Why is in the log: anybody may read this page. */
    buf_put_z(&resp->body, rc_ok(rc) ? "ok\n" : "not ready\n");
    return buf_status(&resp->body);
}
