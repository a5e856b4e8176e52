#include "agent/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/exchange.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/version.h"
#include "os/file.h"
#include "pki/cert.h"
#include "pki/csr.h"
#include "pki/digest.h"

#define KEY_FILE    "key.pem"
#define CHAIN_FILE  "certificate.pem"
#define ROOT_FILE   "root.pem"
#define PEM_MAX_    ((size_t)65536)
#define TOKEN_BEGIN "cwj_"
#define AGENTS_PORT "the agents' port of hub.yaml (setting \"agents\", 8444)"
#define SECRET_LEN  24 /* bytes of a join token behind the fingerprint of the fleet CA */

/* A host may be days off and still has its certificates: the hub's own is good for four days and lives in its memory alone. */
#define CLOCK_GRACE_S (3 * 86400)

/* Which hub it is was decided on this host: every address is fine. */
static const struct cidr everywhere[] = {{.base = {.len = 4}}, {.base = {.len = 16}}};

void fleet_free(struct fleet *f)
{
    secret_free(&f->key_pem);
}

const char *agent_platform(struct ctx *ctx)
{
    struct utsname u;
    return uname(&u) == 0 ? arena_printf(&ctx->arena, "%.30s %.40s %.30s", u.sysname, u.release, u.machine) : "unknown";
}

/* --- what is on disk */

static RC read_key(struct ctx *ctx, int dir, struct secret *out)
{
    FD_CLEANUP int fd = openat(dir, KEY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ctx_fail_errno(ctx, KEY_FILE);
    return file_read_secret(ctx, fd, KEY_FILE, PEM_MAX_, out);
}

static RC take_chain(struct ctx *ctx, struct fleet *f, struct bytes pem)
{
    struct cert_chain chain;
    TRY(cert_chain_parse_pem(ctx, pem, 9, &chain));
    if (chain.n == 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "there is no fleet certificate in it");
    f->chain_pem = pem;
    f->not_before = chain.v[0].not_before;
    f->not_after = chain.v[0].not_after;
    return RC_OK;
}

RC fleet_open(struct ctx *ctx, const struct agent_config *cfg, struct fleet *out)
{
    FD_CLEANUP int dir = -1;
    struct bytes chain;
    *out = (struct fleet){.dir = arena_printf(&ctx->arena, "%s/fleet", cfg->state_dir)};
    struct rc rc = file_open_dir(ctx, out->dir, &dir);
    if (rc_ok(rc))
        rc = file_read_at(ctx, dir, CHAIN_FILE, PEM_MAX_, &chain);
    if (rc.e == E_NOT_FOUND)
        return ctx_fail(ctx, E_NOT_FOUND, "this host has not joined %s; run: certwright join %s --token-file FILE", cfg->hub_url,
                        cfg->hub_url);
    TRY(rc);
    TRY(file_read_at(ctx, dir, ROOT_FILE, PEM_MAX_, &out->root_pem));
    TRY(take_chain(ctx, out, chain));
    return ctx_wrap(ctx, read_key(ctx, dir, &out->key_pem), "%s", out->dir);
}

RC fleet_client(struct ctx *ctx, const struct fleet *f, struct http_client **out)
{
    const struct http_client_config config = {.user_agent = "certwright-agent",
                                              .grants = {everywhere, 2},
                                              .roots_pem = f->root_pem,
                                              .date_grace_s = CLOCK_GRACE_S,
                                              .idle_handles = 2};
    TRY(http_client_new(ctx, &config, out));
    struct rc rc = http_client_set_certificate(ctx, *out, f->chain_pem, secret_use(&f->key_pem));
    if (rc_failed(rc)) {
        http_client_free(*out);
        *out = NULL;
    }
    return rc;
}

/* --- the certificate renews itself */

bool fleet_renew_due(const struct fleet *f, int64_t now)
{
    return now < f->not_before || now > f->not_after - (f->not_after - f->not_before) / 3;
}

/* The answer to join and to a renewal. */
static RC take_answer(struct ctx *ctx, struct bytes answer, struct fleet *f, struct fleet_joined *joined)
{
    json_auto_t *reply = NULL;
    const char *pem = NULL;
    TRY(json_read(ctx, answer, &reply));
    TRY(json_get_str(ctx, reply, "certificate_pem", true, &pem));
    TRY(json_get_str(ctx, reply, "name", true, &joined->name));
    TRY(json_get_str(ctx, reply, "state", true, &joined->state));
    return take_chain(ctx, f, bytes_z(pem));
}

static RC keep(struct ctx *ctx, const struct fleet *f, const char *name, struct bytes content)
{
    FD_CLEANUP int dir = -1;
    struct stat st;
    TRY(file_open_dir(ctx, f->dir, &dir));
    if (fstat(dir, &st) != 0)
        return ctx_fail_errno(ctx, "%s", f->dir);
    const bool root = geteuid() == 0;
    return file_write_atomic(ctx, dir, name, content, root ? st.st_uid : FILE_KEEP_UID, root ? st.st_gid : FILE_KEEP_GID, 0600);
}

RC fleet_renew(struct ctx *ctx, struct fleet *f, struct http_client *http, const char *hub)
{
    struct bytes answer;
    struct fleet_joined joined;
    TRY(exchange_post(ctx, http, hub, "/agent/v1/certificate", (struct bytes){0}, &answer));
    TRY(take_answer(ctx, answer, f, &joined));
    return keep(ctx, f, CHAIN_FILE, f->chain_pem);
}

/* --- joining */

/* Whom to believe is said by the token alone: the hub may be asked over a connection that proves nothing. */
static RC ask_root(struct ctx *ctx, const char *hub, const uint8_t expected[SHA256_LEN], struct bytes *root_pem)
{
    struct http_client *http = NULL;
    struct http_answer answer;
    json_auto_t *reply = NULL;
    const char *pem = NULL;
    struct cert_chain root;
    uint8_t hash[SHA256_LEN];
    TRY(http_client_new(ctx, &(struct http_client_config){.user_agent = "certwright-agent", .grants = {everywhere, 2}}, &http));
    const struct http_call call = {
        .url = arena_printf(&ctx->arena, "%s/agent/v1/fleet", hub), .skip_verify = true, .body_max = PEM_MAX_, .total_ms = 20000};
    struct rc rc = http_client_call(ctx, http, &call, &answer);
    http_client_free(http);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "%s is not where a hub takes agents; that is " AGENTS_PORT, hub);
    if (answer.status != 200)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s is not where a hub takes agents (it answers %d); that is " AGENTS_PORT, hub,
                        answer.status);
    rc = json_read(ctx, answer.body, &reply);
    if (rc_ok(rc))
        rc = json_get_str(ctx, reply, "root_pem", true, &pem);
    if (rc_ok(rc))
        rc = cert_chain_parse_pem(ctx, bytes_z(pem), 1, &root);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "%s does not answer as a hub does; agents call " AGENTS_PORT, hub);
    if (root.n != 1)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s names no fleet CA", hub);
    TRY(digest_sha256(ctx, root.v[0].der, hash));
    if (memcmp(hash, expected, SHA256_LEN) != 0)
        return ctx_fail(ctx, E_UNAUTHENTICATED,
                        "%s is not the hub that made this token: its fleet CA is %s, the token's is %s; nothing was sent to it",
                        hub, hex_str(&ctx->arena, bytes_of(hash, SHA256_LEN)),
                        hex_str(&ctx->arena, bytes_of(expected, SHA256_LEN)));
    struct buf b;
    buf_init_arena(&b, &ctx->arena, PEM_MAX_);
    cert_chain_put_pem(&b, &root);
    *root_pem = buf_bytes(&b);
    return buf_status(&b);
}

static RC token_read(struct ctx *ctx, struct bytes token, struct bytes *fleet_sha256)
{
    struct bytes raw, text = token;
    if (!bytes_starts_with(text, BYTES_LIT(TOKEN_BEGIN)) || !bytes_skip(&text, strlen(TOKEN_BEGIN)) ||
        !get_base64url(&ctx->arena, text, &raw) || raw.n != SHA256_LEN + SECRET_LEN)
        return ctx_fail(ctx, E_INVALID, "this is no join token; make one at the hub with: certwright join-token add NAME");
    *fleet_sha256 = bytes_of(raw.p, SHA256_LEN);
    return RC_OK;
}

/* The key of an earlier try is taken again: the hub then knows that it is the same host. */
static RC key_for(struct ctx *ctx, struct fleet *f, struct key **out)
{
    FD_CLEANUP int dir = -1;
    TRY(file_open_dir(ctx, f->dir, &dir));
    struct rc rc = read_key(ctx, dir, &f->key_pem);
    if (rc_ok(rc))
        return ctx_wrap(ctx, key_from_pem(ctx, &f->key_pem, out), "%s/" KEY_FILE, f->dir);
    if (rc.e != E_NOT_FOUND)
        return rc;
    ctx_forget(ctx);
    TRY(key_generate(ctx, KEY_EC_P256, out));
    struct buf pem BUF_CLEANUP;
    buf_init_secret(&pem, PEM_MAX_);
    TRY(key_to_pem(ctx, *out, &pem));
    TRY(buf_status(&pem));
    TRY(keep(ctx, f, KEY_FILE, buf_bytes(&pem)));
    return secret_from(ctx, &f->key_pem, buf_bytes(&pem));
}

static struct bytes join_body(struct ctx *ctx, struct bytes token, const char *name, struct bytes csr)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 65536);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_bytes_str(&j, "token", token);
    json_put_str(&j, "name", name);
    json_put_base64(&j, "csr", csr);
    json_put_str(&j, "version", CERTWRIGHT_VERSION);
    json_put_str(&j, "platform", agent_platform(ctx));
    json_close(&j);
    return buf_bytes(&b);
}

RC fleet_join(struct ctx *ctx, const struct agent_config *cfg, const char *hub, struct bytes token, const char *name,
              struct fleet_joined *out)
{
    KEY_CLEANUP struct key *key = NULL;
    FLEET_CLEANUP struct fleet f = {.dir = arena_printf(&ctx->arena, "%s/fleet", cfg->state_dir)};
    struct http_client *http = NULL;
    struct name placeholder; /* a request has a name; the hub looks at the key alone */
    struct name_list names = {0};
    struct bytes expected, csr, answer;
    TRY(token_read(ctx, token, &expected));
    TRY(ask_root(ctx, hub, expected.p, &f.root_pem));
    TRY(file_mkdirs(ctx, f.dir, 0711));
    TRY(key_for(ctx, &f, &key));
    TRY(name_parse_dns(ctx, BYTES_LIT("agent.invalid"), &placeholder));
    name_list_add(&ctx->arena, &names, placeholder);
    TRY(csr_build(ctx, key, &names, NULL, &csr));
    const struct http_client_config config = {
        .user_agent = "certwright-agent", .grants = {everywhere, 2}, .roots_pem = f.root_pem, .date_grace_s = CLOCK_GRACE_S};
    TRY(http_client_new(ctx, &config, &http));
    struct rc rc = exchange_post(ctx, http, hub, "/agent/v1/join", join_body(ctx, token, name, csr), &answer);
    http_client_free(http);
    TRY(rc);
    TRY(take_answer(ctx, answer, &f, out));
    TRY(keep(ctx, &f, ROOT_FILE, f.root_pem));
    return keep(ctx, &f, CHAIN_FILE, f.chain_pem);
}

void fleet_undo_join(struct ctx *ctx, const struct agent_config *cfg)
{
    const char *fleet = arena_printf(&ctx->arena, "%s/fleet", cfg->state_dir);
    unlink(arena_printf(&ctx->arena, "%s/" KEY_FILE, fleet));
    if (rmdir(fleet) == 0)
        rmdir(cfg->state_dir); /* where nothing else is in it */
}
