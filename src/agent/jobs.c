#include "agent/jobs.h"

#include "agent/adopt.h"
#include "agent/discover.h"
#include "agent/inventory_job.h"
#include "agent/preflight.h"
#include "agent/present.h"
#include "agent/present_dns.h"
#include "agent/relay_link.h"
#include "agent/scan.h"
#include "agent/share.h"
#include "base/failpoint.h"

struct work {
    struct hands *h;
    struct story *story;
    const struct job *job;
    struct buf *member;
};

static RC key_run(struct ctx *ctx, const struct work *w)
{
    struct wire_apply_key_make in = {.common_name = "", .reuse_attempt = ""};
    struct wire_apply_key out;
    const json_t *names, *v;
    struct str_list list = {0};
    struct json_out j;
    size_t i;
    TRY(json_get_str(ctx, w->job->body, "attempt", true, &in.attempt));
    TRY(json_get_str(ctx, w->job->body, "key_kind", true, &in.key_kind));
    TRY(json_get_str(ctx, w->job->body, "common_name", false, &in.common_name));
    TRY(json_get_str(ctx, w->job->body, "reuse_attempt", false, &in.reuse_attempt));
    TRY(json_get_list(ctx, w->job->body, "names", true, &names));
    json_array_foreach(names, i, v)
        if (json_is_string(v))
            str_list_add(&ctx->arena, &list, json_string_value(v));
    in.names = (struct wire_texts){list.v, list.n};
    TRY(HANDS_CALL(ctx, w->h->apply, apply_key_make, &in, apply_key, &out));
    story_add(ctx, w->story, "key", "%s key and request made on this host", in.key_kind);
    json_begin(&j, w->member);
    json_open_obj(&j, NULL);
    json_put_base64(&j, "csr", out.csr);
    json_put_hex(&j, "spki_sha256", out.spki_sha256);
    json_close(&j);
    return RC_OK;
}

static RC forget_key_run(struct ctx *ctx, const struct work *w)
{
    struct wire_apply_key_forget in = {0};
    struct wire_apply_done out;
    TRY(json_get_str(ctx, w->job->body, "attempt", true, &in.attempt));
    return HANDS_CALL(ctx, w->h->apply, apply_key_forget, &in, apply_done, &out);
}

/* What rules may start has a name of its own kind: those for services are not among it. */
static RC program_run(struct ctx *ctx, const struct work *w)
{
    const char *name = "";
    TRY(json_get_str(ctx, w->job->body, "name", true, &name));
    if (strncmp(name, "rule-", 5) != 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "rules start commands whose name begins with rule-, not %s", name);
    return hands_command(ctx, w->h, name);
}

/* In DNS or on this host. */
static RC in_dns(struct ctx *ctx, const struct work *w, bool *yes)
{
    const char *method = "http-01";
    TRY(json_get_str(ctx, w->job->body, "method", false, &method));
    *yes = present_dns_method(method);
    return RC_OK;
}

static RC present_job(struct ctx *ctx, const struct work *w)
{
    bool dns;
    TRY(in_dns(ctx, w, &dns));
    return dns ? present_dns_run(ctx, w->h, w->story, w->job->body) : present_run(ctx, w->h, w->story, w->job->body);
}

static RC dns_test_job(struct ctx *ctx, const struct work *w)
{
    return present_dns_test(ctx, w->h, w->story, w->job->body, w->member);
}

static RC clean_job(struct ctx *ctx, const struct work *w)
{
    const char *token;
    bool dns;
    TRY(in_dns(ctx, w, &dns));
    if (dns)
        return present_dns_clean(ctx, w->h, w->story, w->job->body);
    TRY(json_get_str(ctx, w->job->body, "token", true, &token));
    return present_clean(ctx, w->h, w->story, token);
}

static RC deploy_job(struct ctx *ctx, const struct work *w)
{
    return deploy_run(ctx, w->h, w->story, (struct lease){w->job->id, w->job->fence}, w->job->body, w->member);
}

static RC verify_job(struct ctx *ctx, const struct work *w) { return deploy_verify(ctx, w->h, w->story, w->job->body, w->member); }

static RC discover_job(struct ctx *ctx, const struct work *w) { return discover_run(ctx, w->h, w->story, w->job->body, w->member); }

static RC undeploy_job(struct ctx *ctx, const struct work *w)
{
    struct wire_apply_close in = {.fence = w->job->fence};
    struct wire_apply_done out;
    TRY(json_get_str(ctx, w->job->body, "target", true, &in.target));
    TRY(hands_enter(ctx, w->h, in.target));
    struct rc rc = HANDS_CALL(ctx, w->h->apply, apply_close, &in, apply_done, &out);
    hands_leave(w->h, in.target);
    return rc;
}

static RC seal_job(struct ctx *ctx, const struct work *w) { return share_seal(ctx, w->h, w->story, w->job->body, w->member); }

static RC preflight_job(struct ctx *ctx, const struct work *w) { return preflight_run(ctx, w->h, w->job, w->member); }

static RC scan_run(struct ctx *ctx, const struct work *w) { return scan_job(ctx, w->h, w->story, w->job->body, w->member); }

static RC inventory_run(struct ctx *ctx, const struct work *w)
{
    return inventory_job(ctx, w->h, w->story, w->job->body, w->member);
}

static RC adopt_run(struct ctx *ctx, const struct work *w)
{
    return adopt_job(ctx, w->h, w->story, w->job->fence, w->job->body, w->member);
}

static RC release_run(struct ctx *ctx, const struct work *w)
{
    return release_job(ctx, w->h, w->story, w->job->fence, w->job->body, w->member);
}

static RC relay_run(struct ctx *ctx, const struct work *w) { return relay_job(ctx, w->h, w->story, w->job, w->member); }

static const struct {
    const char *kind;
    RC (*run)(struct ctx *ctx, const struct work *w);
} kinds[] = {
    {"key", key_run},
    {"present", present_job},
    {"clean", clean_job},
    {"deploy", deploy_job},
    {"verify", verify_job},
    {"discover", discover_job},
    {"undeploy", undeploy_job},
    {"forget_key", forget_key_run},
    {"program", program_run},
    {"seal", seal_job},
    {"dns_test", dns_test_job},
    {"dns_present", present_job},
    {"dns_persist", present_job},
    {"dns_clean", clean_job},
    {"order", relay_run},
    {"acme_revoke", relay_run},
    {"acme_info", relay_run},
    {"renewal_info", relay_run},
    {"enroll", relay_run},
    {"enroll_revoke", relay_run},
    {"acme_account", relay_run},
    {"preflight", preflight_job},
    {"scan", scan_run},
    {"inventory", inventory_run},
    {"adopt", adopt_run},
    {"release", release_run},
    {"fetch_issuer", relay_run},
    {"revocation", relay_run},
    {"notify", relay_run},
    {"audit_stream", relay_run},
    {"oidc_look", relay_run},
    {"oidc_exchange", relay_run},
};

bool jobs_relayed(const char *kind, const json_t *body)
{
    const char *method = json_string_value(json_object_get(body, "method"));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].run == relay_run || kinds[i].run == preflight_job || kinds[i].run == scan_run ||
                   kinds[i].run == inventory_run ||
                   (kinds[i].run == present_job && method != NULL && present_dns_method(method));
    return false;
}

const char *const *jobs_kinds(void)
{
    static const char *const names[] = {"key",      "present", "clean",       "deploy",    "verify",       "discover", "undeploy",
                                        "forget_key", "program", "seal", "dns_test", "dns_present", "dns_persist", "dns_clean",
                                        "order",   "acme_revoke", "acme_info", "renewal_info", "enroll", "enroll_revoke",
                                        "acme_account", "preflight", "scan", "inventory", "adopt", "release", "fetch_issuer",
                                        "revocation", "notify", "oidc_look", "oidc_exchange",
                                        "audit_stream", NULL};
    return names;
}

RC jobs_run(struct ctx *ctx, struct hands *h, struct story *story, const struct job *job, struct buf *member)
{
    struct work w = {h, story, job, member};
    FAILPOINT("agent.job_begin");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, job->kind) == 0) {
            const bool notes = kinds[i].run == present_job || kinds[i].run == clean_job;
            if (notes) /* before, for those who look meanwhile; after, for those who looked too early */
                atomic_store(&h->noted, true);
            struct rc rc = kinds[i].run(ctx, &w);
            if (notes)
                atomic_store(&h->noted, true);
            FAILPOINT("agent.job_end");
            return rc;
        }
    return ctx_fail(ctx, E_UNSUPPORTED, "this agent does not know jobs of kind %s: upgrade it", job->kind);
}

void jobs_put_result(struct ctx *ctx, struct buf *out, const char *id, int64_t fence, const char *kind, struct rc rc,
                     struct story *story,
                     const struct buf *member)
{
    struct json_out j;
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    json_put_str(&j, "id", id);
    json_put_int(&j, "fence", fence);
    json_put_bool(&j, "ok", rc_ok(rc));
    if (rc_failed(rc)) {
        json_open_obj(&j, "error");
        json_put_str(&j, "code", err_info(rc.e)->name);
        json_put_str(&j, "text", words_of(ctx, bytes_z(ctx_why(ctx)), 3900));
        if (ctx->retry_after_s > 0)
            json_put_int(&j, "retry_after_s", ctx->retry_after_s < 31622400 ? ctx->retry_after_s : 31622400);
        json_close(&j);
    }
    story_put(story, &j, false);
    if (member->n > 0 && rc_ok(buf_status(member)))
        json_put_raw(&j, kind, buf_bytes(member));
    json_close(&j);
}
