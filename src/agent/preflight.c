#include "agent/preflight.h"

#include "agent/present.h"
#include "base/address.h"
#include "base/failpoint.h"

#define NAMES_MAX 100
#define NAME_MS   9000 /* for one of them */
#define TEXT_MAX  900

static const char *const verdicts[] = {"ok", "warn", "fail", "unknown"};
enum { OK, WARN, FAIL, UNKNOWN };

struct preflight {
    struct hands *h;
    const json_t *body;
    struct json_out *j;
    struct wire_texts identities;
    const char *account_url;
    bool caa, caa_alone, public_ca;
    int64_t until;
};

static RC get_texts(struct ctx *ctx, const json_t *body, const char *key, struct wire_texts *out)
{
    const json_t *list = NULL, *v;
    struct str_list l = {0};
    size_t i;
    TRY(json_get_list(ctx, body, key, false, &list));
    json_array_foreach(list, i, v) if (json_is_string(v)) str_list_add(&ctx->arena, &l, json_string_value(v));
    *out = (struct wire_texts){l.v, l.n};
    return RC_OK;
}

static void put(struct ctx *ctx, const struct preflight *p, const char *name, const char *check, size_t verdict, const char *text)
{
    json_open_obj(p->j, NULL);
    json_put_str(p->j, "name", name);
    json_put_str(p->j, "check", check);
    json_put_str(p->j, "verdict", verdicts[verdict < 4 ? verdict : UNKNOWN]);
    json_put_str(p->j, "text", words_of(ctx, bytes_z(text), TEXT_MAX));
    json_close(p->j);
}

static bool is_ours(struct rc rc)
{
    return err_info(rc.e)->category == CAT_RESOURCE || err_info(rc.e)->category == CAT_BUG || rc.e == E_TIMEOUT;
}

/* --- the CA */

static void put_texts(struct json_out *j, const char *key, struct wire_texts v)
{
    json_open_list(j, key);
    for (size_t i = 0; i < v.n; i++)
        json_put_str(j, NULL, v.v[i]);
    json_close(j);
}

/* Before the findings, for CAA is judged by what the directory says. */
static RC read_directory(struct ctx *ctx, struct preflight *p, const char **failed)
{
    struct wire_relay_acme_info in = {.directory_url = "", .ca_roots_pem = ""};
    struct wire_relay_acme_info_done out;
    TRY(json_get_str(ctx, p->body, "directory_url", false, &in.directory_url));
    TRY(json_get_str(ctx, p->body, "ca_roots_pem", false, &in.ca_roots_pem));
    TRY(get_texts(ctx, p->body, "granted_networks", &in.granted_networks));
    if (*in.directory_url == '\0')
        return RC_OK;
    p->caa = true;
    p->public_ca = in.granted_networks.n == 0;
    struct rc rc = wire_call_relay_acme_info(ctx, p->h->relay, &in, &out);
    if (rc_failed(rc)) {
        *failed = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
        return RC_OK;
    }
    p->identities = out.caa_identities;
    json_open_obj(p->j, "directory");
    if (*out.terms_of_service != '\0')
        json_put_str(p->j, "terms_of_service", out.terms_of_service);
    json_put_bool(p->j, "has_ari", out.has_ari);
    json_put_bool(p->j, "external_account_required", out.external_account_required);
    put_texts(p->j, "profiles", out.profiles);
    put_texts(p->j, "caa_identities", out.caa_identities);
    json_close(p->j);
    return RC_OK;
}

/* --- an issuer that is no ACME CA */

static RC try_issuer(struct ctx *ctx, const struct preflight *p, const json_t *names)
{
    struct wire_relay_enroll in = {.verb = WIRE_relay_enroll_verb_test, .job = "", .protocol = "", .reference = ""};
    struct wire_relay_enroll_done out;
    struct str_list asked = {0};
    const json_t *v;
    size_t i;
    TRY(json_get_str(ctx, p->body, "protocol", true, &in.protocol));
    TRY(json_get_obj_text(ctx, p->body, "parameters", true, &in.parameters));
    json_array_foreach(names, i, v)
    {
        struct address literal;
        const char *name = NULL;
        TRY(json_get_str(ctx, v, "name", true, &name));
        str_list_add(&ctx->arena, &asked,
                     arena_printf(&ctx->arena, "%s:%s", address_parse(bytes_z(name), &literal) ? "ip" : "dns", name));
    }
    in.identifiers = (struct wire_texts){asked.v, asked.n};
    struct rc rc = wire_call_relay_enroll(ctx, p->h->relay, &in, &out);
    put(ctx, p, "", "issuer", rc_ok(rc) ? OK : is_ours(rc) ? UNKNOWN : FAIL,
        rc_ok(rc) ? "it answers, and takes the credential" : ctx_why(ctx));
    ctx_forget(ctx);
    return RC_OK;
}

/* --- one name */

struct one {
    const char *name; /* "*.example.org" */
    const char *base; /* without "*." */
    const char *method, *token, *key_authorization;
    const json_t *via;
};

static RC read_one(struct ctx *ctx, const json_t *v, struct one *out)
{
    *out = (struct one){.token = ""};
    TRY(json_get_str(ctx, v, "name", true, &out->name));
    TRY(json_get_str(ctx, v, "method", true, &out->method));
    TRY(json_get_str(ctx, v, "token", false, &out->token));
    TRY(json_get_obj(ctx, v, "via", false, &out->via));
    out->base = strncmp(out->name, "*.", 2) == 0 ? out->name + 2 : out->name;
    out->key_authorization = arena_printf(&ctx->arena, "%s.preflight", out->token);
    return RC_OK;
}

/* As the job "present" would: a token of our own, for nobody but the probe. */
static RC present_one(struct ctx *ctx, const struct preflight *p, struct story *story, const struct one *o)
{
    struct buf b;
    struct json_out j;
    json_auto_t *body = NULL;
    struct address literal;
    buf_init_arena(&b, &ctx->arena, 1 << 17);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "token", o->token);
    json_put_str(&j, "key_authorization", o->key_authorization);
    json_put_str(&j, "identifier",
                 arena_printf(&ctx->arena, "%s:%s", address_parse(bytes_z(o->base), &literal) ? "ip" : "dns", o->base));
    json_put_str(&j, "method", o->method);
    json_put_value(&j, "via", o->via);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(json_read(ctx, buf_bytes(&b), &body));
    return present_run(ctx, p->h, story, body);
}

/* A probe that dies takes its listener with it: the answer is put in place once more for the next one. */
static void probe_one(struct ctx *ctx, const struct preflight *p, struct story *story, const struct one *o, bool answered)
{
    const int64_t left = p->until - clock_mono_ms();
    const struct wire_probe_preflight in = {.name = o->base,
                                            .wildcard = o->base != o->name,
                                            .method = o->method,
                                            .caa = p->caa,
                                            .caa_alone = p->caa_alone,
                                            .public_ca = p->public_ca,
                                            .identities = p->identities,
                                            .account_url = p->account_url,
                                            .token = answered ? o->token : "",
                                            .key_authorization = answered ? o->key_authorization : "",
                                            .timeout_ms = left < 1         ? 1
                                                          : left < NAME_MS ? left
                                                                           : NAME_MS};
    struct wire_probe_preflight_done done;
    struct rc rc = wire_call_probe_preflight(ctx, p->h->probe, &in, &done);
    if (rc.e == E_UNREACHABLE) {
        ctx_forget(ctx);
        rc = answered ? present_one(ctx, p, story, o) : RC_OK;
        if (rc_ok(rc))
            rc = HANDS_CALL(ctx, p->h->probe, probe_preflight, &in, probe_preflight_done, &done);
    }
    if (rc_failed(rc)) {
        put(ctx, p, o->name, "probe", UNKNOWN, ctx_why(ctx));
        ctx_forget(ctx);
        return;
    }
    for (size_t i = 0; i < done.checks.n && i < done.texts.n && i < done.verdicts.n; i++)
        put(ctx, p, o->name, done.checks.v[i], (size_t)done.verdicts.v[i], done.texts.v[i]);
}

static void look_at(struct ctx *ctx, const struct preflight *p, const struct one *o)
{
    struct story story; /* its own: that an answer comes and goes again is no step of the attempt */
    const bool answers = o->via != NULL && *o->token != '\0';
    if (clock_mono_ms() >= p->until) {
        put(ctx, p, o->name, "time", UNKNOWN, "not looked at, for the other names took all the time there is");
        return;
    }
    story_init(&story);
    struct rc rc = answers ? present_one(ctx, p, &story, o) : RC_OK;
    if (rc_failed(rc)) {
        put(ctx, p, o->name, "answer", is_ours(rc) ? UNKNOWN : FAIL,
            arena_printf(&ctx->arena, "the answer to the challenge cannot be put in place: %s", ctx_why(ctx)));
        ctx_forget(ctx);
    }
    FAILPOINT("agent.preflight_presented");
    probe_one(ctx, p, &story, o, answers && rc_ok(rc));
    if (answers && rc_failed(present_clean(ctx, p->h, &story, o->token))) {
        put(ctx, p, o->name, "answer", WARN,
            arena_printf(&ctx->arena, "the answer to the challenge cannot be taken away again: %s", ctx_why(ctx)));
        ctx_forget(ctx);
    }
    story_free(&story);
}

RC preflight_run(struct ctx *ctx, struct hands *h, const struct job *job, struct buf *member)
{
    struct json_out j;
    struct preflight p = {.h = h, .body = job->body, .j = &j, .account_url = "", .until = clock_mono_ms() + PREFLIGHT_MS};
    const json_t *names, *v;
    const char *failed = NULL;
    size_t i;
    TRY(json_get_list(ctx, job->body, "names", true, &names));
    TRY(json_get_str(ctx, job->body, "account_url", false, &p.account_url));
    TRY(json_get_bool(ctx, job->body, "caa_alone", false, &p.caa_alone));
    if (json_array_size(names) > NAMES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a preflight of more than %d names", NAMES_MAX);
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    TRY(read_directory(ctx, &p, &failed));
    json_open_list(&j, "findings");
    if (failed != NULL)
        put(ctx, &p, "", "directory", FAIL, failed);
    const bool other = json_object_get(job->body, "protocol") != NULL;
    if (other)
        TRY(try_issuer(ctx, &p, names));
    json_array_foreach(names, i, v)
    {
        if (other)
            break;
        struct one o;
        TRY(read_one(ctx, v, &o));
        look_at(ctx, &p, &o);
    }
    json_close(&j);
    json_close(&j);
    return buf_status(member);
}
