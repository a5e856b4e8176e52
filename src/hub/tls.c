/* What the hub's HTTPS listener presents.  Its key is made at each start and lives in memory only; its certificate is of the fleet
 * CA, good for a few days and made anew daily.  Or both come from files that somebody (the loop itself, perhaps) replaces. */
#include <sys/stat.h>

#include "base/log.h"
#include "base/random.h"
#include "core/agent.h"
#include "hub/hub.h"
#include "net/tls.h"
#include "os/file.h"
#include "pki/cert.h"
#include "pki/key.h"
#include "pki/pem.h"
#include "wire/messages.h"

#define OWN_VALIDITY_S (4 * 86400)
#define OWN_RENEW_S    86400
#define FILE_MAX_      ((size_t)1 << 20)
#define CHAIN_MAX      9

/* `clients`: the root that client certificates are verified with; empty for none. */
static struct rc make_own(struct ctx *ctx, struct hub *hub, struct bytes clients, struct tls_server_ctx **out)
{
    const struct hub_tls_settings *s = hub->tls;
    struct key *key KEY_CLEANUP = NULL;
    TRY(key_generate(ctx, KEY_EC_P256, &key));
    const struct wire_signer_issue_fleet in = {
        .request_id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
        .kind = WIRE_signer_issue_fleet_kind_hub,
        .id = "hub",
        .spki = key_spki(key),
        .dns_names = {.v = (const char **)(uintptr_t)s->dns_names, .n = s->dns_names_n},
        .ip_addresses = {.v = (struct bytes *)(uintptr_t)s->ip_addresses, .n = s->ip_addresses_n},
        .validity_s = OWN_VALIDITY_S,
    };
    struct wire_signer_issued issued;
    TRY(ctx_wrap(ctx, wire_call_signer_issue_fleet(ctx, hub->core->signer, &in, &issued), "asking for the hub's own certificate"));
    struct bytes chain[CHAIN_MAX] = {issued.certificate};
    size_t n = 1;
    for (size_t i = 0; i < issued.chain.n && n < CHAIN_MAX; i++)
        chain[n++] = issued.chain.v[i];
    return tls_server_new(ctx, key, chain, n, &clients, clients.n ? 1 : 0, out);
}

RC hub_tls_fleet(struct ctx *ctx, struct hub *hub, struct tls_server_ctx **out)
{
    struct bytes root;
    TRY(fleet_root(ctx, hub->core, &root));
    if (!hub->fleet_root_pem) {
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 65536);
        pem_put(&b, PEM_CERTIFICATE, root);
        TRY(buf_status(&b));
        hub->fleet_root_pem = strdup(buf_z(&b));
    }
    TRY(make_own(ctx, hub, root, out));
    hub->fleet_renew_at = ctx_now_s(ctx) + OWN_RENEW_S;
    return RC_OK;
}

static int64_t newest(const struct hub_tls_settings *s)
{
    struct stat a, b;
    if (stat(s->certificate_file, &a) || stat(s->key_file, &b))
        return 0;
    const int64_t x = a.st_mtim.tv_sec * 1000000000LL + a.st_mtim.tv_nsec, y = b.st_mtim.tv_sec * 1000000000LL + b.st_mtim.tv_nsec;
    return x > y ? x : y;
}

static struct rc load_files(struct ctx *ctx, struct hub *hub, struct tls_server_ctx **out)
{
    const struct hub_tls_settings *s = hub->tls;
    const int64_t mtime = newest(s);
    struct bytes pem;
    TRY(file_read(ctx, s->certificate_file, FILE_MAX_, &pem));
    struct cert_chain certs;
    TRY(ctx_wrap(ctx, cert_chain_parse_pem(ctx, pem, CHAIN_MAX, &certs), "reading %s", s->certificate_file));
    int fd FD_CLEANUP = open(s->key_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ctx_fail_errno(ctx, "cannot open %s", s->key_file);
    struct secret text SECRET_CLEANUP = {0};
    TRY(file_read_secret(ctx, fd, s->key_file, FILE_MAX_, &text));
    struct key *key KEY_CLEANUP = NULL;
    TRY(ctx_wrap(ctx, key_from_pem(ctx, &text, &key), "reading %s", s->key_file));
    struct bytes chain[CHAIN_MAX];
    for (size_t i = 0; i < certs.n; i++)
        chain[i] = certs.v[i].der;
    TRY(tls_server_new(ctx, key, chain, certs.n, NULL, 0, out));
    hub->tls_not_after = certs.v[0].not_after;
    hub->tls_files_mtime = mtime;
    return RC_OK;
}

RC hub_tls_make(struct ctx *ctx, struct hub *hub, struct tls_server_ctx **out)
{
    if (hub->tls->certificate_file && hub->tls->key_file)
        return load_files(ctx, hub, out);
    TRY(make_own(ctx, hub, (struct bytes){0}, out));
    hub->tls_not_after = ctx_now_s(ctx) + OWN_VALIDITY_S;
    hub->tls_renew_at = ctx_now_s(ctx) + OWN_RENEW_S;
    return RC_OK;
}

static struct rc fleet_tick(struct ctx *ctx, struct hub *hub)
{
    struct tls_server_ctx *made = NULL;
    if (!hub->fleet || ctx_now_s(ctx) < hub->fleet_renew_at)
        return RC_OK;
    TRY(hub_tls_fleet(ctx, hub, &made));
    http_server_set_tls(hub->fleet, made);
    tls_server_unref(made);
    return RC_OK;
}

RC hub_tls_tick(struct ctx *ctx, struct hub *hub)
{
    const struct hub_tls_settings *s = hub->tls;
    TRY(fleet_tick(ctx, hub));
    if (!hub->server || !s)
        return RC_OK;
    const bool files = s->certificate_file && s->key_file;
    if (files ? newest(s) == hub->tls_files_mtime : ctx_now_s(ctx) < hub->tls_renew_at)
        return RC_OK;
    struct tls_server_ctx *made = NULL;
    /* What is presented now stays until there is something better: files are replaced one after the other, key and certificate may
     * not fit for a moment. */
    TRY(hub_tls_make(ctx, hub, &made));
    http_server_set_tls(hub->server, made);
    tls_server_unref(made);
    log_event(LOG_INFO_, "hub_certificate_swapped", "not_after", log_num(hub->tls_not_after), NULL);
    return RC_OK;
}
