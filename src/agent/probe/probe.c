#include "agent/probe/probe.h"

#include <pthread.h>

#include "agent/probe/alpn.h"
#include "agent/probe/dns.h"
#include "agent/probe/preflight.h"
#include "agent/probe/responder.h"
#include "agent/probe/scan_serve.h"
#include "base/failpoint.h"
#include "net/dns.h"
#include "net/dnssec.h"
#include "net/handshake.h"
#include "net/http_client.h"
#include "pki/digest.h"
#include "wire/messages.h"

#define PROBE_THREADS 12 /* each scan has one of them waiting */
#define TRUSTS_MAX 16

/* The system's roots and those of jobs, by their hash: reading them takes longer than a handshake. */
struct trust {
    uint8_t hash[SHA256_LEN];
    struct tls_trust *trust;
};

struct probe {
    const struct agent_config *cfg;
    const char *sandbox;
    struct address_grants grants;
    struct http_client *http;
    struct responder *responder;
    struct scans *scans;
    struct alpn *alpn; /* NULL where agent.yaml has no tls_alpn */
    pthread_mutex_t lock; /* over trusts */
    struct trust trusts[TRUSTS_MAX];
    size_t n_trusts;
};

/* Kept for good while there is room; over that `*own` is set and the caller frees it. */
static RC trust_for(struct ctx *ctx, struct probe *p, const char *roots_pem, struct tls_trust **out, bool *own)
{
    uint8_t hash[SHA256_LEN];
    struct rc rc = RC_OK;
    *own = false;
    *out = NULL;
    TRY(digest_sha256(ctx, bytes_z(roots_pem), hash));
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n_trusts && *out == NULL; i++)
        if (memcmp(p->trusts[i].hash, hash, SHA256_LEN) == 0)
            *out = p->trusts[i].trust;
    if (*out == NULL) {
        rc = tls_trust_new(ctx, true, bytes_z(roots_pem), out);
        *own = p->n_trusts == TRUSTS_MAX;
        if (rc_ok(rc) && !*own) {
            struct trust *t = &p->trusts[p->n_trusts++];
            memcpy(t->hash, hash, SHA256_LEN);
            t->trust = *out;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static RC shake(struct ctx *ctx, struct probe *p, const struct wire_probe_endpoint *m, struct handshake_result *res)
{
    struct dns_answer addresses;
    struct tls_trust *trust;
    struct rc rc = RC_OK;
    bool own;
    const enum starttls starttls = starttls_by_name(m->starttls);
    if (starttls == STARTTLS_PROTOCOLS)
        return ctx_fail(ctx, E_UNSUPPORTED, "this agent does not know STARTTLS of %s: upgrade it", m->starttls);
    TRY(dns_resolve(ctx, m->address, (uint16_t)m->port, &addresses));
    TRY(trust_for(ctx, p, m->roots_pem, &trust, &own));
    for (size_t i = 0; i < addresses.n; i++) {
        const char *name = *m->name != '\0' ? m->name : m->address;
        struct address literal;
        struct handshake_request req = {.address = addresses.v[i],
                                        .grants = &p->grants,
                                        .name = name,
                                        .sni = address_parse(bytes_z(name), &literal) ? NULL : name,
                                        .starttls = starttls,
                                        .timeout_ms = m->timeout_ms};
        rc = handshake_probe(ctx, trust, &req, res);
        if (rc.e != E_UNREACHABLE && rc.e != E_TIMEOUT)
            break;
    }
    if (own)
        tls_trust_free(trust);
    return rc;
}

static const char *short_why(struct ctx *ctx)
{
    const char *why = ctx_why(ctx);
    return strlen(why) < 4000 ? why : arena_str(&ctx->arena, bytes_of(why, 4000));
}

static RC on_endpoint(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_probe_endpoint *m = in;
    struct wire_probe_seen *o = out;
    struct handshake_result res = {0};
    int64_t begun = clock_mono_ms();
    FAILPOINT("probe.endpoint");
    struct rc rc = shake(ctx, arg, m, &res);
    *o = (struct wire_probe_seen){.detail = "", .took_ms = clock_mono_ms() - begun};
    if (rc_failed(rc)) {
        o->detail = short_why(ctx);
        return RC_OK;
    }
    o->reached = true;
    if (res.chain_n > 0)
        TRY(digest_sha256_new(ctx, res.chain[0], &o->fingerprint));
    o->trusted = res.verdict == HANDSHAKE_TRUSTED;
    o->detail = o->trusted || res.why == NULL ? "" : res.why;
    return RC_OK;
}

static RC on_http(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct probe *p = arg;
    const struct wire_probe_http *m = in;
    struct wire_probe_http_seen *o = out;
    struct http_answer answer;
    bool v6 = strchr(m->address, ':') != NULL;
    struct http_header host = {"Host", m->host};
    struct http_call call = {
        .url = arena_printf(&ctx->arena, v6 ? "http://[%s]:%d%s" : "http://%s:%d%s", m->address, (int)m->port, m->path),
        .headers = &host, .headers_n = 1, .total_ms = m->timeout_ms, .connect_ms = m->timeout_ms, .body_max = 4096};
    FAILPOINT("probe.http");
    struct rc rc = http_client_call(ctx, p->http, &call, &answer);
    *o = (struct wire_probe_http_seen){.detail = ""};
    if (rc_failed(rc)) {
        o->detail = short_why(ctx);
        return RC_OK;
    }
    o->status = answer.status;
    o->body = answer.body;
    return RC_OK;
}

static RC on_challenge_put(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_probe_challenge_put *m = in;
    (void)out;
    return responder_put(ctx, ((struct probe *)arg)->responder, m->token, m->key_authorization);
}

static RC on_challenge_remove(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_probe_challenge_remove *m = in;
    (void)ctx;
    (void)out;
    struct probe *p = arg;
    responder_remove(p->responder, m->token);
    if (p->alpn != NULL)
        alpn_remove(p->alpn, m->token);
    return RC_OK;
}

static RC on_alpn_put(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct probe *p = arg;
    const struct wire_probe_alpn_put *m = in;
    (void)out;
    if (p->alpn == NULL)
        return ctx_fail(ctx, E_NOT_GRANTED, "%s does not let this host answer tls-alpn-01", p->cfg->file);
    return alpn_put(ctx, p->alpn, m->identifier, m->token, m->key_authorization);
}

static RC on_dns_zone(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct probe *p = arg;
    FAILPOINT("probe.dns_zone");
    return probe_dns_find(ctx, p->cfg, &p->grants, ((const struct wire_probe_dns_zone *)in)->name, out);
}

static RC on_dns_txt(struct ctx *ctx, void *arg, const void *in, void *out)
{
    return probe_dns_look(ctx, &((struct probe *)arg)->grants, in, out);
}

static RC on_preflight(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct probe *p = arg;
    struct preflight_with with = {.cfg = p->cfg, .grants = &p->grants, .http = p->http};
    struct tls_trust *trust;
    bool own;
    FAILPOINT("probe.preflight");
    TRY(trust_for(ctx, p, "", &trust, &own));
    with.trust = trust;
    struct rc rc = probe_preflight(ctx, &with, in, out);
    if (own)
        tls_trust_free(trust);
    return rc;
}

static RC on_scan_begin(struct ctx *ctx, void *arg, const void *in, void *out)
{
    FAILPOINT("probe.scan_begin");
    return scans_begin(ctx, ((struct probe *)arg)->scans, in, out);
}

static RC on_scan_next(struct ctx *ctx, void *arg, const void *in, void *out)
{
    FAILPOINT("probe.scan_next");
    return scans_next(ctx, ((struct probe *)arg)->scans, in, out);
}

static RC on_scan_stop(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    scans_stop(((struct probe *)arg)->scans, ((const struct wire_probe_scan_stop *)in)->scan);
    return RC_OK;
}

static RC on_health(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_probe_healthy *o = out;
    (void)ctx;
    (void)in;
    o->sandbox = ((struct probe *)arg)->sandbox;
    return RC_OK;
}

static const struct wire_route routes[] = {
    {WIRE_probe_endpoint, on_endpoint},
    {WIRE_probe_http, on_http},
    {WIRE_probe_challenge_put, on_challenge_put},
    {WIRE_probe_challenge_remove, on_challenge_remove},
    {WIRE_probe_alpn_put, on_alpn_put},
    {WIRE_probe_dns_zone, on_dns_zone},
    {WIRE_probe_dns_txt, on_dns_txt},
    {WIRE_probe_preflight, on_preflight},
    {WIRE_probe_scan_begin, on_scan_begin},
    {WIRE_probe_scan_next, on_scan_next},
    {WIRE_probe_scan_stop, on_scan_stop},
    {WIRE_probe_health, on_health},
};

static RC grants_of(struct ctx *ctx, const struct agent_config *cfg, struct address_grants *out)
{
    struct cidr *v = arena_array(&ctx->arena, cfg->probe_networks.n + 1, sizeof *v);
    for (size_t i = 0; i < cfg->probe_networks.n; i++)
        if (!cidr_parse(bytes_z(cfg->probe_networks.v[i]), &v[i]))
            return ctx_fail(ctx, E_INVALID, "%s: networks: probe: %s is not a network such as 192.0.2.0/24", cfg->file,
                            cfg->probe_networks.v[i]);
    *out = (struct address_grants){v, cfg->probe_networks.n};
    return RC_OK;
}

/* Whoever asks at these ports comes from outside. */
static bool is_open(void *arg)
{
    const struct probe *p = arg;
    return (p->responder != NULL && responder_port(p->responder) != 0) || (p->alpn != NULL && alpn_port(p->alpn) != 0);
}

static void probe_free(struct probe *p)
{
    scans_free(p->scans);
    responder_free(p->responder);
    alpn_free(p->alpn);
    http_client_free(p->http);
    for (size_t i = 0; i < p->n_trusts; i++)
        tls_trust_free(p->trusts[i].trust);
    pthread_mutex_destroy(&p->lock);
}

RC probe_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const char *sandbox, unsigned threads)
{
    __attribute__((cleanup(probe_free))) struct probe p = {.cfg = cfg, .sandbox = sandbox, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct address listen;
    TRY(grants_of(ctx, cfg, &p.grants));
    if (!address_parse(bytes_z(cfg->http01_address), &listen))
        return ctx_fail(ctx, E_INVALID, "%s: http01: address: %s is not an IP address", cfg->file, cfg->http01_address);
    listen.port = (uint16_t)cfg->http01_port;
    TRY(http_client_new(ctx, &(struct http_client_config){.grants = p.grants}, &p.http));
    TRY(scans_new(ctx, cfg, &p.scans));
    TRY(responder_new(ctx, listen, &p.responder));
    if (cfg->tls_alpn_port != 0) {
        if (!address_parse(bytes_z(cfg->tls_alpn_address), &listen))
            return ctx_fail(ctx, E_INVALID, "%s: tls_alpn: address: %s is not an IP address", cfg->file, cfg->tls_alpn_address);
        listen.port = (uint16_t)cfg->tls_alpn_port;
        TRY(alpn_new(ctx, listen, &p.alpn));
    }
    wire_server_holds(server, is_open, &p);
    struct rc rc = wire_serve(ctx, server, routes, sizeof routes / sizeof *routes, threads, &p);
    wire_server_holds(server, NULL, NULL);
    return rc;
}

RC probe_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    static const char *const roots[] = {"/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates"};
    (void)env;
    TRY(http_client_load(ctx));
    dnssec_load(ctx);
    sandbox_allow(sb, DNSSEC_ROOT_KEY, SANDBOX_READ | SANDBOX_OPTIONAL);
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        sandbox_allow(sb, roots[i], SANDBOX_READ | SANDBOX_OPTIONAL);
    sb->may |= SANDBOX_CONNECT_TCP | SANDBOX_UDP | SANDBOX_BIND_TCP;
    return RC_OK;
}

RC probe_enter(struct ctx *ctx, struct role_env *env)
{
    struct agent_config cfg;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    role_ready(env, role_sandbox_state(env));
    return probe_serve(ctx, role_server(env), &cfg, role_sandbox_state(env), PROBE_THREADS);
}
