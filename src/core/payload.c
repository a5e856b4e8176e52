#include "core/payload.h"

#include "base/encode.h"
#include "pki/pem.h"

/* Every payload is one object; PAYLOAD_MAX bounds it (a chain and its roots are the largest part). */
#define PAYLOAD_MAX ((size_t)512 << 10)

struct payload {
    struct buf b;
    struct json_out j;
};

static void payload_open(struct ctx *ctx, struct payload *p)
{
    buf_init_arena(&p->b, &ctx->arena, PAYLOAD_MAX);
    json_begin(&p->j, &p->b);
    json_open_obj(&p->j, NULL);
}

static struct rc payload_close(struct payload *p, struct bytes *out)
{
    json_close(&p->j);
    TRY(buf_status(&p->b));
    *out = buf_bytes(&p->b);
    return RC_OK;
}

static void put_strings(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

static void put_optional(struct json_out *j, const char *key, const char *value)
{
    if (value && *value)
        json_put_str(j, key, value);
}

RC payload_key(struct ctx *ctx, const char *managed, const char *attempt, const struct wish *w, const char *reuse_attempt,
               struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "certificate", managed);
    json_put_str(&p.j, "attempt", attempt);
    json_put_str(&p.j, "key_kind", w->key_kind);
    put_strings(&p.j, "names", &w->names);
    put_optional(&p.j, "common_name", w->common_name);
    put_optional(&p.j, "reuse_attempt", reuse_attempt);
    return payload_close(&p, out);
}

static bool is_ip(const char *name)
{
    for (const char *s = name; *s; s++)
        if (*s == ':')
            return true;
    size_t n = strspn(name, "0123456789.");
    return n == strlen(name);
}

RC payload_order(struct ctx *ctx, const struct q_attempt_by_id_row *a, const struct wish *w, const struct payload_issuer *i,
                 bool finish, const struct q_challenge_list_row *challenges, size_t n, const struct str_list *methods,
                 struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "attempt", a->id);
    json_put_str(&p.j, "account", i->account);
    json_put_str(&p.j, "directory_url", i->directory_url);
    put_optional(&p.j, "ca_roots_pem", i->ca_roots_pem);
    put_optional(&p.j, "account_url", i->account_url);
    put_strings(&p.j, "contacts", &i->contacts);
    put_strings(&p.j, "granted_networks", &i->networks);
    json_put_bool(&p.j, "terms_agreed", i->terms_agreed);
    json_open_list(&p.j, "identifiers");
    for (size_t k = 0; k < w->names.n; k++)
        json_put_str(&p.j, NULL, arena_printf(&ctx->arena, "%s:%s", is_ip(w->names.v[k]) ? "ip" : "dns", w->names.v[k]));
    json_close(&p.j);
    if (methods->n)
        put_strings(&p.j, "methods", methods);
    json_put_base64(&p.j, "csr", a->csr);
    put_optional(&p.j, "order_url", a->order_url);
    put_optional(&p.j, "finalize_url", a->finalize_url);
    put_optional(&p.j, "profile", w->acme_profile ? w->acme_profile : i->acme_profile);
    put_optional(&p.j, "preferred_chain", w->preferred_chain ? w->preferred_chain : i->preferred_chain);
    put_optional(&p.j, "replaces", i->replaces);
    json_put_str(&p.j, "phase", finish ? "finish" : "start");
    json_open_list(&p.j, "challenges");
    for (size_t k = 0; k < n; k++) {
        json_open_obj(&p.j, NULL);
        json_put_str(&p.j, "identifier", challenges[k].identifier);
        json_put_str(&p.j, "url", challenges[k].url);
        json_put_str(&p.j, "authorization_url", challenges[k].authorization_url);
        json_close(&p.j);
    }
    json_close(&p.j);
    return payload_close(&p, out);
}

RC payload_challenge(struct ctx *ctx, const char *attempt, const struct q_challenge_list_row *c, const char *account_url,
                     const char *value, struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "attempt", attempt);
    json_put_str(&p.j, "url", c->url);
    json_put_str(&p.j, "identifier", c->identifier);
    json_put_str(&p.j, "token", c->token);
    json_put_str(&p.j, "key_authorization", c->key_authorization);
    json_put_str(&p.j, "method", c->method);
    json_put_raw(&p.j, "via", bytes_z(c->via));
    if (str_equal(c->method, "dns-account-01") || str_equal(c->method, "dns-persist-01"))
        put_optional(&p.j, "account_url", account_url);
    put_optional(&p.j, "value", value);
    return payload_close(&p, out);
}

RC payload_dns_test(struct ctx *ctx, const char *provider, const char *parameters, const char *zone, struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "provider", provider);
    json_put_raw(&p.j, "parameters", bytes_z(parameters));
    json_put_str(&p.j, "zone", zone);
    return payload_close(&p, out);
}

static void put_target(struct json_out *j, const struct q_target_by_id_row *t)
{
    json_put_str(j, "target", t->id);
    json_put_str(j, "target_name", t->name);
    json_put_str(j, "connector", t->connector);
    json_put_raw(j, "parameters", bytes_z(t->parameters));
    json_put_raw(j, "endpoints", bytes_z(t->endpoints));
}

RC payload_deploy(struct ctx *ctx, const char *deployment, const struct q_target_by_id_row *t, const char *attempt,
                  int64_t version, struct bytes der, const char *chain_pem, const char *roots_pem, const struct wish *w,
                  struct bytes previous, const struct shared_key *key, struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "deployment", deployment);
    put_target(&p.j, t);
    json_put_str(&p.j, "attempt", key->elsewhere ? "" : attempt);
    json_put_int(&p.j, "version", version);
    struct buf pem;
    buf_init_arena(&pem, &ctx->arena, PAYLOAD_MAX);
    pem_put(&pem, "CERTIFICATE", der);
    buf_put_z(&pem, chain_pem);
    TRY(buf_status(&pem));
    json_put_str(&p.j, "chain_pem", buf_z(&pem));
    put_optional(&p.j, "roots_pem", roots_pem);
    put_strings(&p.j, "names", &w->names);
    if (previous.n)
        json_put_hex(&p.j, "previous_fingerprint", previous);
    if (key->sealed.n) {
        json_open_obj(&p.j, "sealed_key");
        json_put_str(&p.j, "installation", key->installation);
        json_put_str(&p.j, "certificate", key->managed);
        json_put_str(&p.j, "agent", t->agent_id);
        json_put_hex(&p.j, "spki_sha256", key->spki_sha256);
        json_put_base64(&p.j, "sealed", key->sealed);
        json_close(&p.j);
    }
    return payload_close(&p, out);
}

RC payload_seal(struct ctx *ctx, const struct q_attempt_by_id_row *a, const char *installation, const struct payload_receiver *to,
                size_t n, struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "attempt", a->id);
    json_put_str(&p.j, "certificate", a->managed_id);
    json_put_str(&p.j, "installation", installation);
    json_put_hex(&p.j, "spki_sha256", a->spki_sha256);
    json_open_list(&p.j, "receivers");
    for (size_t i = 0; i < n; i++) {
        json_open_obj(&p.j, NULL);
        json_put_str(&p.j, "agent", to[i].agent);
        json_put_hex(&p.j, "seal_key", to[i].seal_key);
        json_close(&p.j);
    }
    json_close(&p.j);
    return payload_close(&p, out);
}

RC payload_verify(struct ctx *ctx, const struct q_target_by_id_row *t, const struct wish *w, struct bytes fingerprint,
                  const char *roots_pem, struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    put_target(&p.j, t);
    put_strings(&p.j, "names", &w->names);
    json_put_hex(&p.j, "fingerprint", fingerprint);
    put_optional(&p.j, "roots_pem", roots_pem);
    return payload_close(&p, out);
}

RC payload_renewal_info(struct ctx *ctx, const struct payload_issuer *i, const struct bytes *certificates, size_t n,
                        struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, "directory_url", i->directory_url);
    put_optional(&p.j, "ca_roots_pem", i->ca_roots_pem);
    put_strings(&p.j, "granted_networks", &i->networks);
    if (n > 0)
        json_put_base64(&p.j, "certificate", certificates[0]); /* what an agent of an earlier release reads */
    json_open_list(&p.j, "certificates");
    for (size_t k = 0; k < n; k++)
        json_put_base64(&p.j, NULL, certificates[k]);
    json_close(&p.j);
    return payload_close(&p, out);
}

RC payload_ref(struct ctx *ctx, const char *key, const char *value, struct bytes *out)
{
    struct payload p;
    payload_open(ctx, &p);
    json_put_str(&p.j, key, value);
    return payload_close(&p, out);
}
