/* certwright init: a new installation's configuration, its key-encryption key, and the recovery key, shown once. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/encode.h"
#include "base/random.h"
#include "os/file.h"
#include "pki/digest.h"
#include "pki/hpke.h"
#include "pki/name.h"
#include "pki/seal.h"
#include "server/server.h"

struct init {
    const char *dir, *name, *organization, *state, *run, *database, *address, *users, *link_code;
    int64_t https_port, agents_port, status_port, uid_base;
    bool external_root;
    struct str_list permitted_dns, names;
};

void yaml_put_text(struct buf *b, const char *key, const char *value)
{
    struct json_out j;
    buf_put_z(b, key);
    buf_put_z(b, ": ");
    json_begin(&j, b); /* JSON's escaping in double quotes is YAML's too */
    json_put_str(&j, NULL, value);
    buf_put_z(b, "\n");
}

static void put_words(struct buf *b, const char *key, const struct str_list *l)
{
    struct json_out j;
    buf_put_z(b, key);
    buf_put_z(b, ": ");
    json_begin(&j, b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(&j, NULL, l->v[i]);
    json_close(&j);
    buf_put_z(b, "\n");
}

static struct rc write_new(struct ctx *ctx, const char *path, struct bytes text, mode_t mode)
{
    if (!access(path, F_OK))
        return ctx_fail(ctx, E_EXISTS,
                        "%s is there already; an installation is set up once (name another folder with --config-dir)", path);
    return file_write_atomic_path(ctx, path, text, (uid_t)-1, (gid_t)-1, mode);
}

/* Where CAs are described ready-made: beside the connectors, as both are installed. */
static const char *issuers_beside(struct ctx *ctx, const char *connectors)
{
    const char *slash = strrchr(connectors, '/');
    return arena_printf(&ctx->arena, "%.*s/issuers", slash ? (int)(slash - connectors) : 0, connectors);
}

static struct rc hub_yaml(struct ctx *ctx, const struct init *in, const char *connectors)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    buf_put_z(&b, "# The hub.  server/server.h and docs/OPERATIONS.md describe every setting.\n");
    yaml_put_text(&b, "name", in->name);
    if (in->organization)
        yaml_put_text(&b, "organization", in->organization);
    yaml_put_text(&b, "state", in->state);
    yaml_put_text(&b, "run", in->run);
    if (in->database)
        yaml_put_text(&b, "database", in->database);
    yaml_put_text(&b, "kek", arena_printf(&ctx->arena, "%s/kek", in->dir));
    yaml_put_text(&b, "agent", arena_printf(&ctx->arena, "%s/agent.yaml", in->dir));
    if (connectors)
        yaml_put_text(&b, "issuers_dir", issuers_beside(ctx, connectors));
    if (in->users)
        yaml_put_text(&b, "users", in->users);
    if (in->uid_base)
        buf_printf(&b, "uid_base: %lld\n", (long long)in->uid_base);
    if (in->external_root)
        buf_put_z(&b, "external_root: true\n");
    if (in->permitted_dns.n)
        put_words(&b, "permitted_dns", &in->permitted_dns);
    buf_put_z(&b, "https:\n");
    yaml_put_text(&b, "  address", in->address);
    buf_printf(&b, "  port: %lld\n", (long long)in->https_port);
    put_words(&b, "  names", &in->names);
    if (in->agents_port)
        buf_put_z(&b, "agents:\n");
    if (in->agents_port)
        yaml_put_text(&b, "  address", in->address);
    if (in->agents_port)
        buf_printf(&b, "  port: %lld\n", (long long)in->agents_port);
    buf_put_z(&b, "status:\n");
    yaml_put_text(&b, "  address", in->address);
    buf_printf(&b, "  port: %lld\n", (long long)in->status_port);
    yaml_put_text(&b, "  url", arena_printf(&ctx->arena, "http://%s:%lld", in->names.v[0], (long long)in->status_port));
    TRY(buf_status(&b));
    /* A connection string may hold a password. */
    return write_new(ctx, arena_printf(&ctx->arena, "%s/hub.yaml", in->dir), buf_bytes(&b), in->database ? 0600 : 0644);
}

static struct rc agent_yaml(struct ctx *ctx, const struct init *in, const char *connectors)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    buf_put_z(&b, AGENT_YAML_HEAD);
    yaml_put_text(&b, "hub", arena_printf(&ctx->arena, "%s/agent.sock", in->run));
    yaml_put_text(&b, "state", arena_printf(&ctx->arena, "%s/agent", in->state));
    yaml_put_text(&b, "connectors_dir", connectors);
    buf_put_z(&b, AGENT_YAML_GRANTS);
    TRY(buf_status(&b));
    return write_new(ctx, arena_printf(&ctx->arena, "%s/agent.yaml", in->dir), buf_bytes(&b), 0644);
}

/* The key-encryption key, and a copy of it that only the recovery key opens. */
static struct rc keys_make(struct ctx *ctx, const struct init *in, struct secret *recovery)
{
    SECRET_CLEANUP struct secret kek = {0};
    TRY(seal_key_new(ctx, &kek));
    TRY(recovery_key_new(ctx, recovery));
    struct bytes wrapped;
    TRY(recovery_wrap(ctx, &kek, recovery, &wrapped));
    TRY(write_new(ctx, arena_printf(&ctx->arena, "%s/kek.recovery", in->dir), wrapped, 0600));
    TRY(server_recovery_public(ctx, in->dir, recovery));
    return write_new(ctx, arena_printf(&ctx->arena, "%s/kek", in->dir), secret_use(&kek), 0600);
}

/* Only for who makes backups: whoever has it can write a file that opens with the recovery key. */
RC server_recovery_public(struct ctx *ctx, const char *dir, const struct secret *recovery)
{
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    TRY(recovery_hpke(ctx, recovery, &key));
    const char *text = arena_printf(&ctx->arena, "%s\n", hex_str(&ctx->arena, hpke_key_public(key)));
    const char *path = arena_printf(&ctx->arena, "%s/" RECOVERY_PUBLIC, dir);
    return file_write_atomic_path(ctx, path, bytes_z(text), (uid_t)-1, (gid_t)-1, 0600);
}

/* An installation of an older release: what backups are encrypted to is made known. */
static struct rc backup_key(struct ctx *ctx, const char *dir)
{
    SECRET_CLEANUP struct secret text = {0}, kek = {0};
    struct bytes wrapped;
    TRY(file_read(ctx, arena_printf(&ctx->arena, "%s/kek.recovery", dir), 4096, &wrapped));
    TRY(server_recovery_key(ctx, NULL, &text));
    TRY(recovery_unwrap(ctx, wrapped, &text, &kek)); /* it is the one of this installation */
    TRY(server_recovery_public(ctx, dir, &text));
    printf("%s/" RECOVERY_PUBLIC " is written; restart the hub.\n", dir);
    return RC_OK;
}

/* The way back where the key-encryption key is lost. */
static struct rc recover(struct ctx *ctx, const char *dir)
{
    SECRET_CLEANUP struct secret text = {0}, kek = {0};
    struct bytes wrapped;
    const char *path = arena_printf(&ctx->arena, "%s/kek", dir);
    TRY(file_read(ctx, arena_printf(&ctx->arena, "%s/kek.recovery", dir), 4096, &wrapped));
    TRY(server_recovery_key(ctx, NULL, &text));
    TRY(recovery_unwrap(ctx, wrapped, &text, &kek));
    TRY(write_new(ctx, path, secret_use(&kek), 0600));
    printf("%s is back.\n", path);
    return RC_OK;
}

/* The code of the one-time link: the hub finds its hash at the first start and takes it once. */
static struct rc link_make(struct ctx *ctx, struct init *in)
{
    uint8_t raw[24], hash[SHA256_LEN];
    random_fill(raw, sizeof raw);
    in->link_code = base64url_str(&ctx->arena, bytes_of(raw, sizeof raw));
    TRY(digest_sha256(ctx, bytes_z(in->link_code), hash));
    TRY(file_mkdirs(ctx, arena_printf(&ctx->arena, "%s/hub", in->state), 0700));
    const char *text = hex_str(&ctx->arena, bytes_of(hash, sizeof hash));
    return file_write_atomic_path(ctx, arena_printf(&ctx->arena, "%s/hub/sign-in", in->state), bytes_z(text), (uid_t)-1, (gid_t)-1,
                                  0600);
}

static const char *or(const char *given, const char *else_)
{
    return given ? given : else_;
}

static struct rc options(struct cli *cli, struct init *in)
{
    char host[256] = "localhost";
    if (gethostname(host, sizeof host - 1))
        snprintf(host, sizeof host, "localhost");
    *in = (struct init){.dir = or(cli_opt(cli, "config-dir"), "/etc/certwright"),
                        .name = or(cli_opt(cli, "name"), host),
                        .organization = cli_opt(cli, "organization"),
                        .state = or(cli_opt(cli, "state"), "/var/lib/certwright"),
                        .run = or(cli_opt(cli, "run-dir"), "/run/certwright"),
                        .database = cli_opt(cli, "database"),
                        .address = or(cli_opt(cli, "address"), "0.0.0.0"),
                        .users = cli_opt(cli, "users"),
                        .https_port = cli_number(cli, "https-port", 8443),
                        .agents_port = cli_number(cli, "agents-port", 8444),
                        .status_port = cli_number(cli, "status-port", 8080),
                        .uid_base = cli_number(cli, "uid-base", 0),
                        .external_root = cli_has(cli, "external-root"),
                        .permitted_dns = cli_list_opt(cli, "permit-dns"),
                        .names = cli_list_opt(cli, "hostname")};
    if (!in->names.n)
        str_list_add(&cli->ctx->arena, &in->names, arena_strdup(&cli->ctx->arena, host));
    in->name = arena_strdup(&cli->ctx->arena, in->name);
    if (!in->users && !in->uid_base && geteuid() == 0)
        in->users = "certwright";
    if (in->dir[0] != '/' || in->state[0] != '/' || in->run[0] != '/')
        return ctx_fail(cli->ctx, E_USAGE, "--config-dir, --state and --run-dir are absolute paths");
    struct address address;
    if (!address_parse(bytes_z(in->address), &address))
        return ctx_fail(cli->ctx, E_USAGE, "--address %s is no IP address of this host", in->address);
    for (size_t i = 0; i < in->names.n; i++) {
        struct name name;
        if (rc_failed(name_parse(cli->ctx, bytes_z(in->names.v[i]), &name)))
            return ctx_fail(cli->ctx, E_USAGE, "--hostname %s is no host name", in->names.v[i]);
    }
    if (in->https_port < 0 || in->https_port > 65535 || in->agents_port < 0 || in->agents_port > 65535 || in->status_port < 1 ||
        in->status_port > 65535)
        return ctx_fail(cli->ctx, E_USAGE, "a port is 1 to 65535");
    return RC_OK;
}

RC server_init(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    struct init in;
    size_t parts = 0;
    TRY(options(cli, &in));
    TRY(server_recovery_parts(cli, "recovery-parts", &parts));
    if (cli_has(cli, "recover"))
        return recover(ctx, in.dir);
    if (cli_has(cli, "backup-key"))
        return backup_key(ctx, in.dir);
    TRY(file_mkdirs(ctx, in.dir, 0755));
    TRY(file_mkdirs(ctx, in.state, 0711));
    SECRET_CLEANUP struct secret recovery = {0};
    TRY(hub_yaml(ctx, &in, cli_opt(cli, "connectors-dir")));
    TRY(agent_yaml(ctx, &in, or(cli_opt(cli, "connectors-dir"), "/usr/share/certwright/connectors")));
    TRY(keys_make(ctx, &in, &recovery));
    TRY(link_make(ctx, &in));
    const struct bytes text = secret_use(&recovery);
    const bool usual = str_equal(in.dir, "/etc/certwright");
    printf("Set up in %s.\n\n", in.dir);
    if (parts)
        TRY(server_recovery_show(ctx, &recovery, parts));
    else
        printf("Recovery key (shown this once; write it down and keep it away from this host):\n\n    %.*s\n\n", (int)text.n,
               (const char *)text.p);
    printf("It opens %s/kek.recovery, a copy of the key that every secret here is sealed with.\n\n"
           "Start:    certwright run hub%s%s%s\n",
           in.dir, usual ? "" : " --config ", usual ? "" : in.dir,
           usual ? "   (or: systemctl enable --now certwright-hub)" : "/hub.yaml");
    if (in.https_port)
        printf("Sign in:  https://%s:%lld/sign-in?code=%s   (once, within a day of the first start)\n", in.names.v[0],
               (long long)in.https_port, in.link_code);
    if (in.external_root)
        printf("Then:     certwright ca export issuing --what csr --out FILE   gives the request for your root CA;\n"
               "          certwright ca import issuing --chain FILE   takes its answer.\n");
    return fflush(stdout) ? ctx_fail(ctx, E_IO, "the recovery key could not be shown") : RC_OK;
}
