#include "agent/relay/relay.h"

#include <pthread.h>

#include "agent/relay/channel.h"
#include "agent/relay/dns.h"
#include "agent/relay/enroll.h"
#include "agent/relay/ldap.h"
#include "agent/relay/oidc.h"
#include "agent/relay/outside.h"
#include "agent/relay/push_serve.h"
#include "agent/relay/rfc2136.h"
#include "agent/relay/ssh.h"
#include "net/directory.h"
#include "pki/digest.h"

#define RELAY_THREADS 16 /* an order waits for its CA most of the time */
#define CLIENTS_MAX   16

/* One HTTP client for each set of roots and networks: connections are used again. */
struct client {
    uint8_t hash[SHA256_LEN];
    struct http_client *http;
};

struct relay {
    const struct agent_config *cfg;
    const struct relay_agent *agent;
    const char *sandbox;
    pthread_mutex_t lock; /* over clients */
    struct client clients[CLIENTS_MAX];
    size_t n_clients;
    struct credential_files credentials;
    struct push_keys *push_keys;
    struct relay_live_key *live_key;
    struct dns_locks *dns_locks;
    struct relay_memory *memory;
    struct outside outside;
};

/* --- what a job may reach */

static bool inside(const struct cidr *small, const struct cidr *large)
{
    return small->bits >= large->bits && cidr_has(large, &small->base);
}

static RC host_grants(struct ctx *ctx, const struct agent_config *cfg, const char *key, const struct str_list *list,
                      struct cidr **out)
{
    struct cidr *host = arena_array(&ctx->arena, list->n + 1, sizeof *host);
    for (size_t i = 0; i < list->n; i++)
        if (!cidr_parse(bytes_z(list->v[i]), &host[i]))
            return ctx_fail(ctx, E_INVALID, "%s: networks: %s: %s is not a network such as 192.0.2.0/24", cfg->file, key,
                            list->v[i]);
    *out = host;
    return RC_OK;
}

/* The host's own list is the limit (invariant 5); the issuer may narrow it to what its CA needs. */
static RC grants_of(struct ctx *ctx, const struct agent_config *cfg, struct wire_texts asked, struct address_grants *out)
{
    size_t n = 0;
    struct cidr *host = NULL;
    struct cidr *both = arena_array(&ctx->arena, asked.n + 1, sizeof *both);
    TRY(host_grants(ctx, cfg, "relay", &cfg->relay_networks, &host));
    if (asked.n == 0) {
        *out = (struct address_grants){host, cfg->relay_networks.n};
        return RC_OK;
    }
    for (size_t i = 0; i < asked.n; i++) {
        bool granted = false;
        if (!cidr_parse(bytes_z(asked.v[i]), &both[n]))
            return ctx_fail(ctx, E_INVALID, "%s is not a network such as 192.0.2.0/24", asked.v[i]);
        for (size_t k = 0; k < cfg->relay_networks.n; k++)
            granted |= inside(&both[n], &host[k]);
        n += granted;
    }
    *out = (struct address_grants){both, n};
    return RC_OK;
}

static RC client_new(struct ctx *ctx, const struct relay *r, const char *roots_pem, struct wire_texts networks,
                     struct http_client **out)
{
    struct http_client_config config = {.roots_pem = bytes_z(roots_pem), .idle_handles = RELAY_THREADS};
    TRY(grants_of(ctx, r->cfg, networks, &config.grants));
    return http_client_new(ctx, &config, out);
}

static RC client_hash(struct ctx *ctx, const char *roots_pem, struct wire_texts networks, uint8_t out[SHA256_LEN])
{
    BUF_CLEANUP struct buf b = {0};
    buf_init(&b, (size_t)128 << 10);
    buf_put_z(&b, roots_pem);
    for (size_t i = 0; i < networks.n; i++) {
        buf_put_u8(&b, 0);
        buf_put_z(&b, networks.v[i]);
    }
    TRY(buf_status(&b));
    return digest_sha256(ctx, buf_bytes(&b), out);
}

/* Kept for good while there is room; over that `*own` is set and the caller frees it. */
static RC client_for(struct ctx *ctx, struct relay *r, const char *roots_pem, struct wire_texts networks, struct http_client **out,
                     bool *own)
{
    uint8_t hash[SHA256_LEN];
    struct rc rc = RC_OK;
    *out = NULL;
    *own = false;
    TRY(client_hash(ctx, roots_pem, networks, hash));
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n_clients && *out == NULL; i++)
        if (memcmp(r->clients[i].hash, hash, SHA256_LEN) == 0)
            *out = r->clients[i].http;
    if (*out == NULL) {
        rc = client_new(ctx, r, roots_pem, networks, out);
        *own = rc_ok(rc) && r->n_clients == CLIENTS_MAX;
        if (rc_ok(rc) && !*own) {
            struct client *c = &r->clients[r->n_clients++];
            memcpy(c->hash, hash, SHA256_LEN);
            c->http = *out;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* --- messages */

#define WITH_CLIENT(call)                                                                                                          \
    struct relay *r = arg;                                                                                                         \
    bool own = false;                                                                                                              \
    struct relay_job job = {.agent = r->agent};                                                                                    \
    TRY(client_for(ctx, r, m->ca_roots_pem, m->granted_networks, &job.http, &own));                                                \
    job.memory = own ? NULL : r->memory; /* another client may be where this one was */                                            \
    struct rc rc = (call);                                                                                                         \
    if (own)                                                                                                                       \
        http_client_free(job.http);                                                                                                \
    return rc

static RC on_order(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_relay_order *m = in;
    WITH_CLIENT(relay_do_order(ctx, &job, m, out));
}

static RC on_revoke(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_relay_acme_revoke *m = in;
    (void)out;
    WITH_CLIENT(relay_do_revoke(ctx, &job, m));
}

static RC on_account(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_relay_acme_account *m = in;
    WITH_CLIENT(relay_do_account(ctx, &job, m, out));
}

static RC on_info(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_relay_acme_info *m = in;
    WITH_CLIENT(relay_do_info(ctx, &job, m, out));
}

static RC on_fetch_issuer(struct ctx *ctx, void *arg, const void *in, void *out)
{
    return outside_fetch_issuer(ctx, &((struct relay *)arg)->outside, in, out);
}

static RC on_revocation(struct ctx *ctx, void *arg, const void *in, void *out)
{
    return outside_revocation(ctx, &((struct relay *)arg)->outside, in, out);
}

static RC on_renewal_info(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_relay_renewal_info *m = in;
    WITH_CLIENT(relay_do_renewal_info(ctx, &job, m, out));
}

static RC on_push_key(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)in;
    return push_keys_give(ctx, ((struct relay *)arg)->push_keys, out);
}

static RC on_push(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    return push_serve(ctx, r->cfg, &r->credentials, r->push_keys, in, out);
}

static RC on_dns(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    struct address_grants grants;
    TRY(grants_of(ctx, r->cfg, (struct wire_texts){0}, &grants));
    if (strcmp(((const struct wire_relay_dns *)in)->provider, RFC2136) == 0)
        return rfc2136_run(ctx, r->cfg, &r->credentials, &grants, in, out);
    return relay_dns_run(ctx, r->cfg, &r->credentials, r->dns_locks, in, out);
}

static RC on_enroll(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    return relay_enroll_run(ctx, r->cfg, &r->credentials, in, out);
}

static RC on_oidc(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    struct address_grants grants;
    TRY(grants_of(ctx, r->cfg, (struct wire_texts){0}, &grants));
    return relay_oidc_run(ctx, r->cfg, &r->credentials, &grants, in, out);
}

static RC on_live_key(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)in;
    return relay_live_key_give(ctx, ((struct relay *)arg)->live_key, out);
}

static RC on_ldap(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    struct address_grants grants;
    TRY(grants_of(ctx, r->cfg, (struct wire_texts){0}, &grants));
    return relay_ldap_run(ctx, r->cfg, &r->credentials, r->live_key, &grants, in, out);
}

static RC on_notify(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    struct address_grants grants;
    TRY(grants_of(ctx, r->cfg, (struct wire_texts){0}, &grants));
    return relay_notify_run(ctx, r->cfg, &r->credentials, &grants, in, out);
}

static RC on_stream(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct relay *r = arg;
    struct address_grants grants;
    TRY(grants_of(ctx, r->cfg, (struct wire_texts){0}, &grants));
    return relay_stream_run(ctx, r->cfg, &grants, in, out);
}

static RC on_health(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_relay_healthy *o = out;
    (void)ctx;
    (void)in;
    o->sandbox = ((struct relay *)arg)->sandbox;
    return RC_OK;
}

static const struct wire_route routes[] = {
    {WIRE_relay_order, on_order},
    {WIRE_relay_acme_revoke, on_revoke},
    {WIRE_relay_acme_info, on_info},
    {WIRE_relay_renewal_info, on_renewal_info},
    {WIRE_relay_acme_account, on_account},
    {WIRE_relay_fetch_issuer, on_fetch_issuer},
    {WIRE_relay_revocation, on_revocation},
    {WIRE_relay_push_key, on_push_key},
    {WIRE_relay_push, on_push},
    {WIRE_relay_enroll, on_enroll},
    {WIRE_relay_oidc, on_oidc},
    {WIRE_relay_live_key, on_live_key},
    {WIRE_relay_ldap, on_ldap},
    {WIRE_relay_dns, on_dns},
    {WIRE_relay_health, on_health},
    {WIRE_relay_notify, on_notify},
    {WIRE_relay_stream, on_stream},
};

static void relay_free(struct relay *r)
{
    for (size_t i = 0; i < r->n_clients; i++)
        http_client_free(r->clients[i].http);
    push_keys_free(r->push_keys);
    relay_live_key_free(r->live_key);
    dns_locks_free(r->dns_locks);
    relay_memory_free(r->memory);
    http_client_free(r->outside.http);
    crl_memory_free(r->outside.crls);
    pthread_mutex_destroy(&r->lock);
}

/* URLs of certificates are anybody's: what CAs, services and devices are granted is not granted to them. */
static RC outside_open(struct ctx *ctx, const struct agent_config *cfg, struct outside *o)
{
    struct cidr *host = NULL;
    TRY(host_grants(ctx, cfg, "outside", &cfg->outside_networks, &host));
    const struct http_client_config config = {
        .grants = {host, cfg->outside_networks.n}, .web_ports = true, .idle_handles = RELAY_THREADS};
    TRY(http_client_new(ctx, &config, &o->http));
    o->crls = crl_memory_new();
    return o->crls != NULL ? RC_OK : ctx_fail(ctx, E_NO_MEMORY, "no memory for the relay");
}

RC relay_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const struct relay_agent *agent,
               const struct credential_files *credentials, const char *sandbox, unsigned threads)
{
    __attribute__((cleanup(relay_free))) struct relay r = {
        .cfg = cfg, .agent = agent, .sandbox = sandbox, .lock = PTHREAD_MUTEX_INITIALIZER, .push_keys = push_keys_new(),
        .dns_locks = dns_locks_new(), .memory = relay_memory_new(), .live_key = relay_live_key_new()};
    if (r.push_keys == NULL || r.live_key == NULL || r.dns_locks == NULL || r.memory == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the relay");
    if (credentials != NULL)
        r.credentials = *credentials;
    struct address_grants grants;
    TRY(grants_of(ctx, cfg, (struct wire_texts){0}, &grants)); /* a mistake in agent.yaml is told at the start */
    TRY(outside_open(ctx, cfg, &r.outside));
    return wire_serve(ctx, server, routes, sizeof routes / sizeof *routes, threads, &r);
}

/* --- the role */

static RC ask_to_sign(struct ctx *ctx, void *arg, const struct wire_relay_sign *in, const char **body)
{
    struct wire_relay_signed out;
    TRY(wire_call_relay_sign(ctx, arg, in, &out));
    *body = out.body;
    return RC_OK;
}

/* News that does not arrive is told by the job's result. */
static void tell(struct ctx *ctx, void *arg, const struct wire_relay_progress *in)
{
    if (rc_failed(wire_notify_relay_progress(ctx, arg, in)))
        ctx_forget(ctx);
}

RC relay_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    static const char *const roots[] = {"/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates",
                                        "/usr/local/share/ca-certificates"};
    struct agent_config cfg;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    TRY(http_client_load(ctx));
    directory_load(ctx);
    if (cfg.n_credentials > 0)
        TRY(ssh_load(ctx));
    sandbox_allow(sb, cfg.connectors_dir, SANDBOX_READ | SANDBOX_OPTIONAL);
    sandbox_allow(sb, cfg.dns_dir, SANDBOX_READ | SANDBOX_OPTIONAL);
    sandbox_allow(sb, cfg.enroll_dir, SANDBOX_READ | SANDBOX_OPTIONAL);
    sandbox_allow(sb, arena_printf(&ctx->arena, "%s/enroll", cfg.state_dir), SANDBOX_READ | SANDBOX_WRITE);
    TRY(channel_confine(ctx, sb, &cfg));
    TRY(credential_confine(ctx, env, sb, &cfg));
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        sandbox_allow(sb, roots[i], SANDBOX_READ | SANDBOX_OPTIONAL);
    sb->may |= SANDBOX_CONNECT_TCP | SANDBOX_UDP;
    return RC_OK;
}

/* An order goes on where it was: a CA that does not answer must not hold up the end. */
static void give_up(void *arg)
{
    (void)arg;
    http_client_stop();
    ssh_stop();
}

RC relay_enter(struct ctx *ctx, struct role_env *env)
{
    json_set_alloc_funcs(malloc, wipe_free); /* keys and tokens pass through this role as JSON */
    struct agent_config cfg;
    struct credential_files credentials;
    struct relay_agent agent = {.sign = ask_to_sign, .progress = tell, .arg = role_peer(env, "agent")};
    if (agent.arg == NULL)
        return ctx_fail(ctx, E_BUG, "the plan gives the relay no way to the agent");
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    credential_enter(env, &cfg, &credentials);
    role_ready(env, role_sandbox_state(env));
    role_on_stop(env, give_up, NULL);
    struct rc rc = relay_serve(ctx, role_server(env), &cfg, &agent, &credentials, role_sandbox_state(env), RELAY_THREADS);
    role_on_stop(env, NULL, NULL);
    return rc;
}
