#include "core/download.h"

#include "core/access.h"
#include "core/audit.h"
#include "core/inventory.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/policy.h"
#include "core/request.h"
#include "pki/cert.h"
#include "pki/pem.h"
#include "wire/messages.h"

/* The key of a version that another one took the place of is kept so long: whoever downloads has that much time to follow. */
#define SUPERSEDED_KEPT_S ((int64_t)30 * 86400)

#define ALIAS_MAX 64
#define CHAIN_MAX 8 /* of signer_download_take */

static const struct format {
    const char *name, *ending;
    enum wire_signer_download_take_format format;
} formats[] = {
    {"pem", ".pem", WIRE_signer_download_take_format_pem},
    {"pkcs12", ".p12", WIRE_signer_download_take_format_pkcs12},
    {"jks", ".jks", WIRE_signer_download_take_format_jks},
};

void downloaded_free(struct downloaded *d)
{
    secret_free(&d->content);
    secret_free(&d->passphrase);
}

/* --- within what others change */

RC download_begins(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt)
{
    return q_download_key_add(ctx, txn, attempt, managed, ctx_now_s(ctx));
}

RC download_made(struct ctx *ctx, struct core *core, const struct q_attempt_by_id_row *a, const char *reuse, struct bytes *csr)
{
    struct wish w;
    struct wire_signer_download_made made;
    TRY(wish_decode(ctx, a->wish, &w));
    const struct wire_signer_download_make ask = {.attempt = a->id,
                                                  .managed = a->managed_id,
                                                  .key_kind = w.key_kind,
                                                  .names = {w.names.v, w.names.n},
                                                  .common_name = w.common_name ? w.common_name : "",
                                                  .reuse = reuse ? reuse : ""};
    TRY(wire_call_signer_download_make(ctx, core->signer, &ask, &made));
    *csr = made.csr;
    return RC_OK;
}

RC download_superseded(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt)
{
    struct q_download_key_kept_row *keys = NULL;
    size_t n = 0;
    TRY(q_download_key_kept(ctx, txn, managed, &keys, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_timer_get_row t;
        bool armed = false;
        TRY(q_timer_get(ctx, txn, "download", keys[i].attempt_id, &t, &armed));
        if (!armed && !str_equal(keys[i].attempt_id, attempt))
            TRY(timer_arm(ctx, txn, "download", keys[i].attempt_id, ctx_now_s(ctx) + SUPERSEDED_KEPT_S));
    }
    return RC_OK;
}

/* One that was gone back to meanwhile stays; the next version sets the time anew. */
RC download_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt)
{
    struct q_attempt_by_id_row a;
    struct q_managed_by_id_row m;
    struct q_version_get_row v;
    bool found = false;
    TRY(q_attempt_by_id(ctx, txn, attempt, &a));
    TRY(q_managed_by_id(ctx, txn, a.managed_id, &m));
    if (m.version)
        TRY(q_version_get(ctx, txn, m.id, m.version, &v, &found));
    if (found && str_equal(v.attempt_id, attempt))
        return RC_OK;
    return download_drop(ctx, core, txn, attempt, "another version took its place a month ago");
}

RC download_drop(struct ctx *ctx, struct core *core, struct txn *txn, const char *attempt, const char *why)
{
    struct q_download_key_get_row key;
    bool found = false;
    TRY(q_download_key_get(ctx, txn, attempt, &key, &found));
    if (!found || !str_equal(key.state, "kept"))
        return RC_OK;
    TRY(q_download_key_leaves(ctx, txn, attempt, why, ctx_now_s(ctx)));
    TRY(timer_clear(ctx, txn, "download", attempt));
    return job_add(ctx, core, txn, "destroy_key", core->hub_agent, arena_printf(&ctx->arena, "attempt:%s", attempt), attempt,
                   BYTES_LIT("{}"), 0);
}

RC download_drop_all(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *why)
{
    struct q_download_key_kept_row *keys = NULL;
    size_t n = 0;
    TRY(q_download_key_kept(ctx, txn, managed, &keys, &n));
    for (size_t i = 0; i < n; i++)
        TRY(download_drop(ctx, core, txn, keys[i].attempt_id, why));
    return RC_OK;
}

RC download_words(struct ctx *ctx, struct txn *txn, const char *name, int64_t version, const char *attempt, bool *there,
                  const char **words)
{
    struct q_download_key_get_row key;
    bool found = false;
    *words = NULL;
    TRY(q_download_key_get(ctx, txn, attempt, &key, &found));
    if (!found)
        return RC_OK;
    *there = str_equal(key.state, "kept");
    *words = *there
                 ? arena_printf(&ctx->arena, "version %lld is ready to be downloaded%s: certwright cert export-key %s",
                                (long long)version, key.taken ? " (again)" : "", name)
                 : arena_printf(&ctx->arena,
                                "the key of version %lld was destroyed (%s); another is made with: certwright cert renew %s",
                                (long long)version, key.why ? key.why : "", name);
    return RC_OK;
}

/* --- handing out */

struct handing {
    struct core *core;
    const char *ref, *format;
    int64_t version;
    const char *managed, *team, *name, *attempt, *why;
    const char *chain_pem;
    struct bytes leaf;
};

/* The version that is meant, and how its key stands. */
static struct rc key_find(struct ctx *ctx, struct txn *txn, struct handing *h, struct q_version_get_row *v,
                          struct q_download_key_get_row *key)
{
    struct q_managed_get_row row;
    bool found = false;
    TRY(managed_find(ctx, txn, h->ref, &row));
    TRY(decide(ctx, h->core, txn, "private-key.export", row.team_id));
    h->managed = row.id;
    h->team = row.team_id;
    h->name = row.name;
    const int64_t number = h->version ? h->version : row.version;
    if (!number)
        return ctx_fail(ctx, E_NOT_FOUND, "%s has no certificate yet", row.name);
    TRY(q_version_get(ctx, txn, row.id, number, v, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "%s has no version %lld", row.name, (long long)number);
    h->version = number;
    h->attempt = v->attempt_id;
    TRY(q_download_key_get(ctx, txn, v->attempt_id, key, &found));
    if (found)
        return RC_OK;
    return ctx_fail(ctx, E_CONFLICT,
                    "the key of version %lld of %s was not made for download: it is where it is served, or with whoever made the "
                    "request; the certificate is had with: certwright cert export %s",
                    (long long)number, row.name, row.name);
}

/* Who it is that asked and that comes back for it: a person, whatever they sign in with, or who else has no account. */
static const char *person_of(const struct ctx *ctx)
{
    const struct principal *p = ctx->principal;
    return !p ? "" : p->user ? p->user : p->id;
}

/* What approvals are for: this version in this form, once, for whoever asks. */
static struct rc gate(struct ctx *ctx, struct txn *txn, const struct handing *h)
{
    struct q_managed_by_id_row m;
    struct wish w;
    struct buf b;
    struct json_out j;
    TRY(q_managed_by_id(ctx, txn, h->managed, &m));
    TRY(wish_decode(ctx, m.wish, &w));
    buf_init_arena(&b, &ctx->arena, 256);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "version", h->version);
    json_put_str(&j, "format", h->format);
    json_put_str(&j, "person", person_of(ctx)); /* what somebody else asks for is another request */
    json_close(&j);
    const struct request_wanted wanted = {
        .kind = "export",
        .asked = {.act = POLICY_EXPORT, .team = h->team, .managed = h->managed, .wish = &w},
        .name = h->name,
        .payload = buf_bytes(&b),
    };
    return request_gate(ctx, h->core, txn, &wanted);
}

/* What policy forbids by now nobody gets, whoever approved it. */
static struct rc gate_or_grant(struct ctx *ctx, struct txn *txn, const struct handing *h)
{
    const struct q_download_grant_get_in in = {.managed_id = h->managed,
                                               .version = h->version,
                                               .format = h->format,
                                               .person = person_of(ctx),
                                               .now = ctx_now_s(ctx)};
    struct q_download_grant_get_row grant;
    struct q_managed_by_id_row m;
    struct policy_verdict v;
    struct wish w;
    bool granted = false;
    TRY(q_download_grant_get(ctx, txn, &in, &grant, &granted));
    if (!granted)
        return gate(ctx, txn, h);
    TRY(q_managed_by_id(ctx, txn, h->managed, &m));
    TRY(wish_decode(ctx, m.wish, &w));
    const struct policy_asked asked = {.act = POLICY_EXPORT, .team = h->team, .managed = h->managed, .wish = &w};
    TRY(policy_decide(ctx, h->core, txn, &asked, &v));
    if (v.says == POLICY_FORBIDS)
        return gate(ctx, txn, h);
    const struct q_download_grant_spend_in spend = {
        .managed_id = in.managed_id, .version = in.version, .format = in.format, .person = in.person, .now = in.now};
    return q_download_grant_spend(ctx, txn, &spend);
}

static struct rc must_be_kept(struct ctx *ctx, const struct handing *h, const struct q_download_key_get_row *key)
{
    return str_equal(key->state, "kept")
               ? RC_OK
               : ctx_fail(ctx, E_CONFLICT,
                          "the key of version %lld of %s was destroyed (%s); another is made with: certwright cert renew %s",
                          (long long)h->version, h->name, key->why ? key->why : "", h->name);
}

/* Noted before it happens: no key is out that nobody knows of. */
static struct rc taken(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct handing *h = arg;
    struct q_version_get_row v;
    struct q_download_key_get_row key;
    struct q_chain_get_row chain;
    TRY(key_find(ctx, txn, h, &v, &key));
    TRY(must_be_kept(ctx, h, &key));
    TRY(gate_or_grant(ctx, txn, h));
    TRY(q_chain_get(ctx, txn, v.chain_sha256, &chain));
    TRY(certificate_der(ctx, h->core, v.dictionary, v.packed, &h->leaf));
    h->chain_pem = chain.pem;
    const char *who = ctx->principal ? ctx->principal->name : "";
    TRY(q_download_key_taken(ctx, txn, h->attempt, who, ctx_now_s(ctx)));
    TRY(step_write(ctx, txn, h->managed, NULL, NULL, "downloaded", "the private key of version %lld is handed out to %s as %s",
                   (long long)h->version, who, h->format));
    return audit_write(ctx, txn, "certificate.export-key", "managed-certificate", h->managed, h->team,
                       audit_facts(ctx, "version:", audit_number(ctx, h->version), "format", h->format, NULL));
}

static struct rc not_taken(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct handing *h = arg;
    TRY(step_write(ctx, txn, h->managed, NULL, NULL, "downloaded", "it was not handed out: %s", h->why));
    return audit_write(ctx, txn, "certificate.export-key-failed", "managed-certificate", h->managed, h->team,
                       audit_facts(ctx, "version:", audit_number(ctx, h->version), "why", h->why, NULL));
}

static struct rc ask_signer(struct ctx *ctx, const struct handing *h, const struct format *format, struct downloaded *out)
{
    struct cert_chain above = {0};
    struct bytes chain[CHAIN_MAX] = {h->leaf};
    struct wire_signer_download_taken got = {0};
    size_t n = 1;
    if (*h->chain_pem)
        TRY(cert_chain_parse_pem(ctx, bytes_z(h->chain_pem), CHAIN_MAX - 1, &above));
    for (size_t i = 0; i < above.n; i++)
        chain[n++] = above.v[i].der;
    const struct wire_signer_download_take ask = {.attempt = h->attempt,
                                                  .managed = h->managed,
                                                  .format = format->format,
                                                  .chain = {chain, n},
                                                  .alias = arena_printf(&ctx->arena, "%.*s", ALIAS_MAX, h->name)};
    TRY(wire_call_signer_download_take(ctx, h->core->signer, &ask, &got));
    out->content = got.content;
    out->passphrase = got.passphrase;
    return RC_OK;
}

/* A name for the file that no shell and no file system stumbles over. */
static const char *file_name(struct ctx *ctx, const char *name, const char *ending)
{
    char *out = arena_printf(&ctx->arena, "%.*s%s", ALIAS_MAX, name, ending);
    for (char *p = out; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || (p > out && strchr(".-", *p))))
            *p = '_';
    return out;
}

RC download_take(struct ctx *ctx, struct core *core, const char *ref, int64_t version, const char *format, struct downloaded *out)
{
    const struct format *f = NULL;
    struct handing h = {.core = core, .ref = ref, .version = version, .format = format};
    *out = (struct downloaded){0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (str_equal(formats[i].name, format))
            f = &formats[i];
    if (!f)
        return ctx_fail_field(ctx, "/format", "a key is downloaded as pem, pkcs12 or jks, not as %s", format);
    TRY(request_write(ctx, core->store, taken, &h));
    struct rc rc = ask_signer(ctx, &h, f, out);
    if (rc_failed(rc)) {
        h.why = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
        TRY(store_write(ctx, core->store, not_taken, &h));
        return ctx_fail(ctx, rc.e, "%s", h.why);
    }
    out->version = h.version;
    out->file = file_name(ctx, h.name, f->ending);
    return RC_OK;
}

RC download_allow(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, int64_t version, const char *format)
{
    struct handing h = {.core = core, .ref = ref, .version = version, .format = format};
    struct q_version_get_row v;
    struct q_download_key_get_row key;
    bool holds = false;
    TRY(key_find(ctx, txn, &h, &v, &key));
    TRY(must_be_kept(ctx, &h, &key));
    /* To ask stands for nothing here: who may not download keys would be given what they cannot take. */
    TRY(access_has(ctx, core, txn, "private-key.export", h.team, &holds));
    if (!holds)
        return ctx_fail(ctx, E_FORBIDDEN, "%s may not download keys (private-key.export)",
                        ctx->principal ? ctx->principal->name : "who asks");
    TRY(gate(ctx, txn, &h));
    const struct q_download_grant_set_in in = {.managed_id = h.managed,
                                               .version = h.version,
                                               .format = h.format,
                                               .person = person_of(ctx),
                                               .ends_at = ctx_now_s(ctx) + DOWNLOAD_ALLOWED_S};
    TRY(q_download_grant_set(ctx, txn, &in));
    return step_write(ctx, txn, h.managed, NULL, NULL, "approved", "%s may download the key of version %lld once, within a day",
                      ctx->principal ? ctx->principal->name : "", (long long)h.version);
}

static struct rc forgotten(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct handing *h = arg;
    struct q_version_get_row v;
    struct q_download_key_get_row key;
    TRY(key_find(ctx, txn, h, &v, &key));
    if (!str_equal(key.state, "kept"))
        return RC_OK;
    const char *who = ctx->principal ? ctx->principal->name : "somebody";
    TRY(download_drop(ctx, h->core, txn, h->attempt, arena_printf(&ctx->arena, "%s said so", who)));
    TRY(step_write(ctx, txn, h->managed, NULL, NULL, "key", "the key of version %lld is destroyed", (long long)h->version));
    core_wake_after_commit(ctx, h->core, txn, "managed:", h->managed);
    return audit_write(ctx, txn, "certificate.forget-key", "managed-certificate", h->managed, h->team,
                       audit_facts(ctx, "version:", audit_number(ctx, h->version), NULL));
}

RC download_forget(struct ctx *ctx, struct core *core, const char *ref, int64_t version)
{
    struct handing h = {.core = core, .ref = ref, .version = version};
    return store_write(ctx, core->store, forgotten, &h);
}
