#include "base/yaml.h"
#include "core/preflight.h"
#include "os/file.h"
#include "server/server.h"

#define CONFIG_MAX ((size_t)1 << 20)

static struct rc list(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, struct str_list *out)
{
    const json_t *l = NULL;
    TRY(json_get_list(ctx, obj, key, false, &l));
    for (size_t i = 0; l && i < json_array_size(l); i++) {
        const json_t *v = json_array_get(l, i);
        if (!json_is_string(v))
            return yaml_fail(ctx, y, v, "%s is a list of text", key);
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(v)));
    }
    return RC_OK;
}

static struct rc port(struct ctx *ctx, const struct yaml *y, const json_t *obj, int64_t *out)
{
    TRY(json_get_int(ctx, obj, "port", true, out));
    return *out >= 0 && *out <= 65535 ? RC_OK : yaml_fail(ctx, y, obj, "a port is 0 to 65535");
}

static struct rc read_https(struct ctx *ctx, const struct yaml *y, const json_t *root, struct hub_config *c)
{
    const json_t *o = NULL;
    TRY(json_get_obj(ctx, root, "https", false, &o));
    if (!o)
        return RC_OK;
    TRY(yaml_only(ctx, y, o, (const char *const[]){"address", "port", "names", "certificate", "key", "client_keys", NULL}));
    TRY(json_get_str(ctx, o, "address", true, &c->https_address));
    TRY(json_get_str(ctx, o, "certificate", false, &c->https_certificate));
    TRY(json_get_str(ctx, o, "key", false, &c->https_key));
    TRY(json_get_bool(ctx, o, "client_keys", false, &c->client_keys));
    TRY(port(ctx, y, o, &c->https_port));
    if (!c->https_certificate != !c->https_key)
        return yaml_fail(ctx, y, o, "certificate and key go together");
    return list(ctx, y, o, "names", &c->https_names);
}

static struct rc read_agents(struct ctx *ctx, const struct yaml *y, const json_t *root, struct hub_config *c)
{
    const json_t *o = NULL;
    TRY(json_get_obj(ctx, root, "agents", false, &o));
    if (!o)
        return RC_OK;
    TRY(yaml_only(ctx, y, o, (const char *const[]){"address", "port", NULL}));
    TRY(json_get_str(ctx, o, "address", true, &c->agents_address));
    return port(ctx, y, o, &c->agents_port);
}

static struct rc read_status(struct ctx *ctx, const struct yaml *y, const json_t *root, struct hub_config *c)
{
    const json_t *o = NULL;
    TRY(json_get_obj(ctx, root, "status", true, &o));
    TRY(yaml_only(ctx, y, o, (const char *const[]){"address", "port", "url", NULL}));
    TRY(json_get_str(ctx, o, "address", true, &c->status_address));
    TRY(json_get_str(ctx, o, "url", true, &c->status_url));
    return port(ctx, y, o, &c->status_port);
}

static struct rc read_audit(struct ctx *ctx, const struct yaml *y, const json_t *root, struct hub_config *c)
{
    const json_t *o = NULL;
    TRY(json_get_obj(ctx, root, "audit", false, &o));
    if (!o)
        return RC_OK;
    TRY(yaml_only(ctx, y, o, (const char *const[]){"keep_days", NULL}));
    TRY(json_get_int(ctx, o, "keep_days", false, &c->audit_keep_days));
    return c->audit_keep_days >= 0 && c->audit_keep_days <= 36500 ? RC_OK
                                                                   : yaml_fail(ctx, y, o, "keep_days is 0 (for ever) to 36500");
}

static struct rc read_backup(struct ctx *ctx, const struct yaml *y, const json_t *root, struct hub_config *c)
{
    const json_t *o = NULL;
    const char *every = NULL;
    c->backup_every_s = 86400;
    c->backup_keep = 14;
    TRY(json_get_obj(ctx, root, "backup", false, &o));
    if (!o)
        return RC_OK;
    TRY(yaml_only(ctx, y, o, (const char *const[]){"to", "every", "keep", "elsewhere", NULL}));
    TRY(json_get_bool(ctx, o, "elsewhere", false, &c->backup_elsewhere));
    TRY(json_get_str(ctx, o, "to", !c->backup_elsewhere, &c->backup_to));
    TRY(json_get_str(ctx, o, "every", false, &every));
    TRY(json_get_int(ctx, o, "keep", false, &c->backup_keep));
    if (c->backup_to && c->backup_elsewhere)
        return yaml_fail(ctx, y, o, "backup: either to a folder, or elsewhere: true, where others see to it");
    if (c->backup_to && c->backup_to[0] != '/')
        return yaml_fail(ctx, y, o, "backup: to is an absolute path");
    if (every && (!str_parse_span(bytes_z(every), &c->backup_every_s) || c->backup_every_s < 60 || c->backup_every_s > 366 * 86400))
        return yaml_fail(ctx, y, o, "backup: every is a span from 1m to a year, as 12h or 1d");
    return c->backup_keep >= 1 && c->backup_keep <= 10000 ? RC_OK : yaml_fail(ctx, y, o, "backup: keep is 1 to 10000 files");
}

static struct rc read_findings(struct ctx *ctx, const struct yaml *y, const json_t *root, struct hub_config *c)
{
    const json_t *o = NULL;
    TRY(json_get_obj(ctx, root, "findings", false, &o));
    if (o)
        TRY(yaml_only(ctx, y, o,
                      (const char *const[]){"domains", "issuers", "inner_names", "roots", "public_roots", "weak_keys", NULL}));
    if (rc_failed(finding_settings_read(ctx, o, &c->findings)))
        return yaml_fail(ctx, y, o, "%s", ctx_why(ctx));
    if (!c->findings.weak_keys)
        c->findings.weak_keys = c->blocklists;
    const char *const paths[] = {c->findings.roots, c->findings.public_roots, c->findings.weak_keys};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i] && paths[i][0] != '/')
            return yaml_fail(ctx, y, o, "findings: %s is not an absolute path", paths[i]);
    return RC_OK;
}

static struct rc read_all(struct ctx *ctx, const struct yaml *y, struct hub_config *c)
{
    const json_t *root = y->root;
    if (!json_is_object(root))
        return yaml_fail(ctx, y, root, "settings are expected here");
    TRY(yaml_only(ctx, y, root,
                  (const char *const[]){"name", "organization", "state", "run", "database", "https", "agents", "status", "kek",
                                        "blocklists", "issuers_dir", "preflight", "agent", "officer_uid", "users", "uid_base",
                                        "external_root", "permitted_dns", "findings", "audit", "backup", NULL}));
    TRY(json_get_str(ctx, root, "name", true, &c->name));
    TRY(json_get_str(ctx, root, "organization", false, &c->organization));
    TRY(json_get_str(ctx, root, "state", true, &c->state));
    TRY(json_get_str(ctx, root, "run", true, &c->run));
    TRY(json_get_str(ctx, root, "database", false, &c->database));
    TRY(json_get_str(ctx, root, "kek", false, &c->kek));
    TRY(json_get_str(ctx, root, "blocklists", false, &c->blocklists));
    TRY(json_get_str(ctx, root, "issuers_dir", false, &c->issuers_dir));
    TRY(json_get_str(ctx, root, "preflight", false, &c->preflight));
    if (c->preflight && !preflight_policy_is(c->preflight))
        return yaml_fail(ctx, y, json_object_get(root, "preflight"), "preflight is fail, warn or off");
    TRY(json_get_str(ctx, root, "agent", false, &c->agent));
    TRY(json_get_str(ctx, root, "users", false, &c->users));
    TRY(json_get_int(ctx, root, "uid_base", false, &c->uid_base));
    TRY(json_get_int(ctx, root, "officer_uid", false, &c->officer_uid));
    TRY(json_get_bool(ctx, root, "external_root", false, &c->external_root));
    TRY(list(ctx, y, root, "permitted_dns", &c->permitted_dns));
    TRY(read_https(ctx, y, root, c));
    TRY(read_findings(ctx, y, root, c));
    TRY(read_audit(ctx, y, root, c));
    TRY(read_backup(ctx, y, root, c));
    TRY(read_agents(ctx, y, root, c));
    TRY(read_status(ctx, y, root, c));
    if (c->state[0] != '/' || c->run[0] != '/')
        return yaml_fail(ctx, y, root, "state and run are absolute paths");
    return RC_OK;
}

RC hub_config_load(struct ctx *ctx, const char *path, struct hub_config *out)
{
    *out = (struct hub_config){.file = path};
    struct bytes text;
    TRY(ctx_wrap(ctx, file_read(ctx, path, CONFIG_MAX, &text), "certwright init makes the configuration"));
    struct yaml y;
    TRY(yaml_read(ctx, path, text, &y));
    struct rc rc = read_all(ctx, &y, out);
    yaml_free(&y);
    return ctx_wrap(ctx, rc, "%s", path);
}
