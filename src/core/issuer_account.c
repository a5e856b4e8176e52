#include "core/issuer_account.h"

#include "base/encode.h"
#include "base/json.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/job.h"
#include "core/managed.h"
#include "wire/messages.h"

static const char *const verbs[] = {"show", "renew", "rollover", "update", "deactivate"};

static bool new_key(const char *verb)
{
    return str_equal(verb, "renew") || str_equal(verb, "rollover");
}

struct asking {
    struct core *core;
    const char *ref, *verb;
    struct q_issuer_get_row row;
    struct issuer_settings settings;
    struct account_view *out;
};

static struct rc find(struct ctx *ctx, struct txn *txn, struct asking *a)
{
    bool found = false;
    TRY(q_issuer_get(ctx, txn, a->ref, access_scope(ctx), &a->row, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s; certwright issuer list shows them", a->ref);
    if (!str_equal(a->row.kind, "acme"))
        return ctx_fail(ctx, E_CONFLICT, "%s is of kind %s: accounts are what ACME CAs have", a->row.name, a->row.kind);
    return issuer_settings_decode(ctx, a->row.kind, a->row.settings, &a->settings);
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    TRY(find(ctx, txn, a));
    return decide(ctx, a->core, txn, "issuer.update", a->row.team_id);
}

static void put_list(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

static struct rc payload(struct ctx *ctx, const struct asking *a, struct bytes *out)
{
    const struct issuer_settings *s = &a->settings;
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "verb", a->verb);
    json_put_str(&j, "account", a->row.id);
    json_put_str(&j, "directory_url", s->directory_url);
    if (a->row.account_url)
        json_put_str(&j, "account_url", a->row.account_url);
    if (s->ca_roots_pem)
        json_put_str(&j, "ca_roots_pem", s->ca_roots_pem);
    put_list(&j, "granted_networks", &s->networks);
    put_list(&j, "contacts", &s->contacts);
    json_put_bool(&j, "terms_agreed", s->terms_agreed);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static struct rc ask(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct q_issuer_account_get_row before;
    struct buf detail;
    struct json_out j;
    struct bytes body;
    const char *agent = NULL;
    bool found = false;
    TRY(look(ctx, txn, a));
    TRY(q_issuer_account_get(ctx, txn, a->row.id, &before, &found));
    if (found && str_equal(before.state, "asked") && before.asked_at > ctx_now_s(ctx) - 900)
        return ctx_fail(ctx, E_BUSY, "the CA of %s is being asked already (%s)", a->row.name, before.verb);
    TRY(issuer_agent(ctx, txn, &a->settings, &agent));
    TRY(payload(ctx, a, &body));
    TRY(q_issuer_account_asked(ctx, txn, a->row.id, a->verb, ctx_now_s(ctx)));
    TRY(job_add(ctx, a->core, txn, "acme_account", agent, arena_printf(&ctx->arena, "account:%s", a->row.id), a->row.id, body, 0));
    if (str_equal(a->verb, "show"))
        return RC_OK;
    buf_init_arena(&detail, &ctx->arena, 256);
    json_begin(&j, &detail);
    json_open_obj(&j, NULL);
    json_put_str(&j, "verb", a->verb);
    json_close(&j);
    return audit_write(ctx, txn, "issuer.account", "issuer", a->row.id, a->row.team_id,
                       audit_change(ctx, (struct bytes){0}, buf_bytes(&detail)));
}

/* The key that shall follow is there before the job is: nobody else needs to make it. */
static struct rc change_key(struct ctx *ctx, struct core *core, const char *issuer, enum wire_signer_acme_change_key_step step)
{
    const struct wire_signer_acme_change_key in = {.account = issuer, .step = step};
    struct wire_signer_acme_key key;
    return wire_call_signer_acme_change_key(ctx, core->signer, &in, &key);
}

RC issuer_account_ask(struct ctx *ctx, struct core *core, const char *ref, const char *verb)
{
    struct asking a = {.core = core, .ref = ref, .verb = verb};
    const char *thumbprint = NULL;
    bool known = false;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        known = known || str_equal(verbs[i], verb);
    if (!known)
        return ctx_fail_field(ctx, "/verb", "nothing is done with an account by the word %s", verb);
    TRY(store_read(ctx, core->store, look, &a));
    TRY(issuer_thumbprint(ctx, core, a.row.id, &thumbprint)); /* the signer has a key for it */
    if (new_key(verb))
        TRY(change_key(ctx, core, a.row.id, WIRE_signer_acme_change_key_step_next));
    return store_write(ctx, core->store, ask, &a);
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct q_issuer_account_get_row r;
    bool found = false;
    TRY(decide(ctx, a->core, txn, "issuer.read", NULL));
    TRY(find(ctx, txn, a));
    TRY(q_issuer_account_get(ctx, txn, a->row.id, &r, &found));
    *a->out = (struct account_view){.verb = "show", .state = "never", .account_url = a->row.account_url};
    if (!found)
        return RC_OK;
    *a->out = (struct account_view){.verb = r.verb,
                                    .state = r.state,
                                    .asked_at = r.asked_at,
                                    .answered_at = r.answered_at ? *r.answered_at : 0,
                                    .account_url = a->row.account_url,
                                    .status = r.status,
                                    .contacts = r.contacts,
                                    .profiles = r.profiles,
                                    .terms_of_service = r.terms_of_service,
                                    .error_code = r.error_code,
                                    .error = r.error};
    return RC_OK;
}

RC issuer_account_show(struct ctx *ctx, struct core *core, const char *ref, struct account_view *out)
{
    struct asking a = {.core = core, .ref = ref, .out = out};
    return store_read(ctx, core->store, show, &a);
}

RC issuer_account_take(struct ctx *ctx, struct core *core, const char *issuer, const char *verb)
{
    return new_key(verb) ? change_key(ctx, core, issuer, WIRE_signer_acme_change_key_step_take) : RC_OK;
}

RC issuer_account_said(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char *verb,
                       const struct account_said *said)
{
    const struct q_issuer_account_said_in in = {.issuer_id = issuer,
                                                .status = said->status,
                                                .contacts = said->contacts,
                                                .profiles = said->profiles,
                                                .terms_of_service = said->terms_of_service,
                                                .now = ctx_now_s(ctx)};
    TRY(q_issuer_account_said(ctx, txn, &in));
    if (said->account_url)
        TRY(issuer_account_keep(ctx, txn, issuer, said->account_url));
    if (!str_equal(verb, "renew"))
        return RC_OK;
    /* What had stopped for want of an account goes on. */
    struct q_managed_paused_by_account_row *m = NULL;
    size_t n = 0;
    TRY(q_managed_paused_by_account(ctx, txn, issuer, &m, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(q_managed_resume(ctx, txn, m[i].id, ctx_now_s(ctx)));
        TRY(step_write(ctx, txn, m[i].id, NULL, NULL, "resumed", "the issuer has another account: goes on"));
        TRY(managed_reconcile(ctx, core, txn, m[i].id, "retry", false));
    }
    return RC_OK;
}

RC issuer_offers(struct ctx *ctx, struct txn *txn, const char *issuer, const char *name, const char *profile)
{
    struct q_issuer_account_get_row r;
    json_auto_t *list = NULL;
    struct buf b;
    bool found = false;
    TRY(q_issuer_account_get(ctx, txn, issuer, &r, &found));
    if (!found || !r.profiles)
        return RC_OK;
    TRY(json_read(ctx, bytes_z(r.profiles), &list));
    buf_init_arena(&b, &ctx->arena, (size_t)16 << 10);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (str_equal(one, profile))
            return RC_OK;
        buf_printf(&b, "%s%s", i ? ", " : "", one ? one : "");
    }
    return ctx_fail_field(ctx, "/acme_profile",
                          "the CA of %s offers no profile \"%s\"; it offers %s (ask it again: certwright issuer account %s)", name,
                          profile, b.n && rc_ok(buf_status(&b)) ? buf_z(&b) : "none", name);
}

RC issuer_account_failed(struct ctx *ctx, struct txn *txn, const char *issuer, enum err e, const char *why)
{
    return q_issuer_account_failed(ctx, txn, issuer, err_info(e)->name, why, ctx_now_s(ctx));
}

RC issuer_seal_eab(struct ctx *ctx, struct core *core, const char *issuer, const char *key, struct bytes *sealed)
{
    struct wire_signer_seal in = {.class = WIRE_signer_seal_class_eab_key, .object = issuer};
    struct wire_signer_sealed out;
    struct bytes text = bytes_z(key), plain;
    while (text.n > 0 && text.p[text.n - 1] == '=')
        text.n--;
    if (!get_base64url(&ctx->arena, text, &plain) || plain.n < 16 || plain.n > 512)
        return ctx_fail_field(ctx, "/eab/key", "the key of the binding is base64url, as the CA shows it, of 16 to 512 bytes");
    struct rc rc = secret_from(ctx, &in.plain, plain);
    wipe((void *)(uintptr_t)plain.p, plain.n);
    wipe((void *)(uintptr_t)key, strlen(key));
    if (rc_ok(rc))
        rc = wire_call_signer_seal(ctx, core->signer, &in, &out);
    secret_free(&in.plain);
    TRY(rc);
    *sealed = out.sealed;
    return RC_OK;
}

RC issuer_import_key(struct ctx *ctx, struct core *core, const char *issuer, const char *directory_url, const char *text)
{
    struct wire_signer_acme_account in = {.account = issuer, .directory_url = directory_url, .key_kind = ""};
    struct wire_signer_acme_key key;
    TRY(secret_from(ctx, &in.import, bytes_z(text)));
    wipe((void *)(uintptr_t)text, strlen(text));
    struct rc rc = wire_call_signer_acme_account(ctx, core->signer, &in, &key);
    secret_free(&in.import);
    return rc;
}
