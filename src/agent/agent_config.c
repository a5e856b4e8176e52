#include "agent/agent_config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/yaml.h"

#define CONFIG_MAX ((size_t)1 << 20)
#define LIST_MAX 1000

static const char *const top_keys[] = {"name",     "hub",    "state",  "connectors_dir", "connectors", "paths", "users",
                                       "groups",   "networks", "commands", "http01",       "workers",    "prove_s", "rest_s",
                                       "credentials", "uid_base", "share_keys",
                                       "dns", "resolvers", "dns_dir", "enroll", "enroll_dir", "channels", "channels_dir",
                                       "tls_alpn", "trust_anchors", "scan", "inventory", NULL};

/* What is true where the file is silent. */
static struct agent_config defaults(const char *file)
{
    return (struct agent_config){
        .file = file,
        .hub_socket = "/run/certwright/agent.sock",
        .state_dir = "/var/lib/certwright/agent",
        .connectors_dir = "/usr/share/certwright/connectors",
        .http01_address = "0.0.0.0",
        .http01_port = 80,
        .tls_alpn_address = "0.0.0.0",
        .workers = 8,
        .prove_s = 15,
        .scan_rate = 500,
        .rest_s = 60,
    };
}

static RC read_string(struct ctx *ctx, const struct yaml *y, const char *key, const char **out)
{
    const json_t *v = json_object_get(y->root, key);
    if (v == NULL)
        return RC_OK;
    if (!json_is_string(v) || json_string_length(v) == 0)
        return yaml_fail(ctx, y, v, "%s must be a text", key);
    *out = arena_strdup(&ctx->arena, json_string_value(v));
    return RC_OK;
}

static RC read_int(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, int least, int most, int *out)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL)
        return RC_OK;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return yaml_fail(ctx, y, v, "%s must be a number from %d to %d", key, least, most);
    *out = (int)json_integer_value(v);
    return RC_OK;
}

static RC read_bool(struct ctx *ctx, const struct yaml *y, const char *key, bool *out)
{
    const json_t *v = json_object_get(y->root, key);
    if (v != NULL && !json_is_boolean(v))
        return yaml_fail(ctx, y, v, "%s must be true or false", key);
    *out = v != NULL ? json_is_true(v) : *out;
    return RC_OK;
}

static RC read_list(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, struct str_list *out)
{
    const json_t *list = json_object_get(obj, key), *v;
    size_t i;
    if (list == NULL)
        return RC_OK;
    if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
        return yaml_fail(ctx, y, list, "%s must be a list of at most %d texts", key, LIST_MAX);
    json_array_foreach(list, i, v) {
        if (!json_is_string(v) || json_string_length(v) == 0)
            return yaml_fail(ctx, y, list, "%s must be a list of texts", key);
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(v)));
    }
    return RC_OK;
}

/* An absolute path whose elements are plain: nothing in it can lead elsewhere as text. */
static bool path_is_plain(const char *path)
{
    struct bytes rest = bytes_z(path), part;
    uint8_t slash;
    if (!bytes_take_u8(&rest, &slash) || slash != '/' || rest.n == 0)
        return false;
    while (bytes_take_until(&rest, '/', &part))
        if (part.n == 0 || bytes_equal_z(part, ".") || bytes_equal_z(part, ".."))
            return false;
    return path[strlen(path) - 1] != '/';
}

static RC read_paths(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    TRY(read_list(ctx, y, y->root, "paths", &c->paths));
    for (size_t i = 0; i < c->paths.n; i++) {
        char *p = arena_strdup(&ctx->arena, c->paths.v[i]);
        size_t n = strlen(p);
        if (n > 1 && p[n - 1] == '/')
            p[n - 1] = '\0';
        if (!path_is_plain(p))
            return yaml_fail(ctx, y, json_object_get(y->root, "paths"), "paths: %s is not an absolute path below /", p);
        c->paths.v[i] = p;
    }
    return RC_OK;
}

static RC read_argv(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *list, const char *const **out)
{
    size_t n = json_array_size(list), i;
    const json_t *v;
    if (!json_is_array(list) || n == 0 || n > 64)
        return yaml_fail(ctx, y, list, "command %s must be a list: a program and its arguments", name);
    const char **argv = arena_array(&ctx->arena, n + 1, sizeof *argv);
    json_array_foreach(list, i, v) {
        if (json_is_integer(v))
            argv[i] = arena_printf(&ctx->arena, "%lld", (long long)json_integer_value(v));
        else if (json_is_string(v))
            argv[i] = arena_strdup(&ctx->arena, json_string_value(v));
        else
            return yaml_fail(ctx, y, list, "command %s must be a list of texts", name);
    }
    if (!path_is_plain(argv[0]))
        return yaml_fail(ctx, y, list, "command %s must begin with the absolute path of a program", name);
    *out = argv;
    return RC_OK;
}

static RC read_reading(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *v, struct agent_command *cmd)
{
    static const char *const keys[] = {"read", "include", "list", "together", "timeout_s", NULL};
    struct agent_reading *r = ARENA_NEW(&ctx->arena, struct agent_reading);
    const struct str_list *lists[] = {&r->files, &r->list};
    const json_t *together = json_object_get(v, "together");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_list(ctx, y, v, "read", &r->files));
    TRY(read_list(ctx, y, v, "include", &r->include));
    TRY(read_list(ctx, y, v, "list", &r->list));
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < lists[i]->n; k++)
            if (!path_is_plain(lists[i]->v[k]))
                return yaml_fail(ctx, y, v, "command %s: %s is not an absolute path", name, lists[i]->v[k]);
    if (together != NULL && !json_is_boolean(together))
        return yaml_fail(ctx, y, together, "together must be true or false");
    r->together = json_is_true(together);
    const char **argv = arena_array(&ctx->arena, r->files.n + 2, sizeof *argv);
    argv[0] = "read";
    for (size_t i = 0; i < r->files.n; i++)
        argv[i + 1] = r->files.v[i];
    cmd->argv = argv;
    cmd->reading = r;
    return RC_OK;
}

static RC read_command(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *v, struct agent_command *cmd)
{
    static const char *const keys[] = {"run", "user", "timeout_s", NULL};
    *cmd = (struct agent_command){.name = arena_strdup(&ctx->arena, name), .timeout_s = 30};
    if (!str_is_name(bytes_z(name)))
        return yaml_fail(ctx, y, v, "%s is not a name", name);
    if (json_is_array(v))
        return read_argv(ctx, y, name, v, &cmd->argv);
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "command %s must be a list, or run, user and timeout_s", name);
    const json_t *user = json_object_get(v, "user"), *run = json_object_get(v, "run");
    if (run == NULL && json_object_get(v, "read") != NULL)
        return read_reading(ctx, y, name, v, cmd);
    if (run == NULL)
        return yaml_fail(ctx, y, v, "command %s says nothing to run", name);
    TRY(yaml_only(ctx, y, v, keys));
    if (user != NULL && !json_is_string(user))
        return yaml_fail(ctx, y, user, "user must be a text");
    cmd->user = user != NULL ? arena_strdup(&ctx->arena, json_string_value(user)) : NULL;
    TRY(read_int(ctx, y, v, "timeout_s", 1, 3600, &cmd->timeout_s));
    return read_argv(ctx, y, name, run, &cmd->argv);
}

static RC read_commands(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    json_t *all = json_object_get(y->root, "commands"), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > LIST_MAX)
        return yaml_fail(ctx, y, all, "commands must be names, each with a list");
    c->commands = arena_array(&ctx->arena, json_object_size(all) + 1, sizeof *c->commands);
    json_object_foreach(all, name, v) TRY(read_command(ctx, y, name, v, &c->commands[c->n_commands++]));
    return RC_OK;
}

static RC read_credential(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *v, struct agent_credential *out)
{
    static const char *const keys[] = {"file", "hosts", "roots", "paths", "host_keys", NULL};
    const json_t *file = json_object_get(v, "file"), *roots = json_object_get(v, "roots");
    if (!str_is_name(bytes_z(name)) || !json_is_object(v))
        return yaml_fail(ctx, y, v, "credential %s must hold file, hosts and perhaps roots and paths", name);
    TRY(yaml_only(ctx, y, v, keys));
    *out = (struct agent_credential){.name = arena_strdup(&ctx->arena, name)};
    if (!json_is_string(file) || !path_is_plain(json_string_value(file)))
        return yaml_fail(ctx, y, file != NULL ? file : v, "credential %s: file must be an absolute path", name);
    if (roots != NULL && (!json_is_string(roots) || !path_is_plain(json_string_value(roots))))
        return yaml_fail(ctx, y, roots, "credential %s: roots must be an absolute path", name);
    out->file = arena_strdup(&ctx->arena, json_string_value(file));
    out->roots = roots != NULL ? arena_strdup(&ctx->arena, json_string_value(roots)) : NULL;
    TRY(read_list(ctx, y, v, "hosts", &out->hosts));
    if (out->hosts.n == 0)
        return yaml_fail(ctx, y, v, "credential %s: hosts must say where it may be sent, e.g. [vault.example.org:8200]", name);
    TRY(read_list(ctx, y, v, "paths", &out->paths));
    TRY(read_list(ctx, y, v, "host_keys", &out->host_keys));
    for (size_t i = 0; i < out->paths.n; i++)
        if (!path_is_plain(out->paths.v[i]))
            return yaml_fail(ctx, y, v, "credential %s: paths: %s is not an absolute path", name, out->paths.v[i]);
    return RC_OK;
}

static RC read_credentials(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    json_t *all = json_object_get(y->root, "credentials"), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > AGENT_CREDENTIALS_MAX)
        return yaml_fail(ctx, y, all, "credentials must be at most %d names, each with file and hosts", AGENT_CREDENTIALS_MAX);
    c->credentials = arena_array(&ctx->arena, json_object_size(all) + 1, sizeof *c->credentials);
    json_object_foreach(all, name, v) TRY(read_credential(ctx, y, name, v, &c->credentials[c->n_credentials++]));
    return RC_OK;
}

/* A list of domains, lower case and without the final dot. */
static RC read_domains(struct ctx *ctx, const struct yaml *y, const json_t *v, const char *key, const char *row,
                       struct str_list *out)
{
    struct str_list given = {0};
    TRY(read_list(ctx, y, v, key, &given));
    for (size_t i = 0; i < given.n; i++) {
        char *zone = arena_strdup(&ctx->arena, given.v[i]);
        size_t n = strlen(zone);
        if (n > 1 && zone[n - 1] == '.')
            zone[--n] = '\0';
        for (char *s = zone; *s != '\0'; s++)
            *s = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
        if (n > 253 || strspn(zone, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != n || zone[0] == '.')
            return yaml_fail(ctx, y, v, "%s: %s is not the name of a zone", row, given.v[i]);
        str_list_add(&ctx->arena, out, zone);
    }
    return RC_OK;
}

static RC read_dns_zones(struct ctx *ctx, const struct yaml *y, const json_t *v, struct agent_dns *out)
{
    TRY(read_domains(ctx, y, v, "zones", out->provider, &out->zones));
    if (out->zones.n == 0)
        return yaml_fail(ctx, y, v, "dns %s: zones must say below which names it may change records, e.g. [example.org]",
                         out->provider);
    return RC_OK;
}

static RC read_dns_row(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *v, struct agent_dns *out)
{
    static const char *const keys[] = {"zones", "program", "cleanup", "protocol", "user", "timeout_s", "publish_s", NULL};
    static const char *const protocols[] = {"certwright", "lego", "certbot"};
    const json_t *program = json_object_get(v, "program"), *cleanup = json_object_get(v, "cleanup");
    const json_t *protocol = json_object_get(v, "protocol"), *user = json_object_get(v, "user");
    if (!str_is_name(bytes_z(name)) || !json_is_object(v))
        return yaml_fail(ctx, y, v, "dns %s must hold zones, and perhaps a program", name);
    TRY(yaml_only(ctx, y, v, keys));
    *out = (struct agent_dns){.provider = arena_strdup(&ctx->arena, name), .timeout_s = 120};
    TRY(read_dns_zones(ctx, y, v, out));
    TRY(read_int(ctx, y, v, "publish_s", 1, 3600, &out->publish_s));
    if (program == NULL && (cleanup != NULL || protocol != NULL || user != NULL || json_object_get(v, "timeout_s") != NULL))
        return yaml_fail(ctx, y, v, "dns %s: cleanup, protocol, user and timeout_s go with a program", name);
    if (program == NULL)
        return RC_OK;
    if (user != NULL && !json_is_string(user))
        return yaml_fail(ctx, y, user, "user must be a text");
    out->user = user != NULL ? arena_strdup(&ctx->arena, json_string_value(user)) : NULL;
    TRY(read_int(ctx, y, v, "timeout_s", 1, 3600, &out->timeout_s));
    TRY(read_argv(ctx, y, name, program, &out->program));
    for (size_t i = 0; json_is_string(protocol) && i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i], json_string_value(protocol)) == 0)
            out->protocol = protocols[i];
    if (out->protocol == NULL)
        return yaml_fail(ctx, y, v, "dns %s: protocol must be certwright, lego or certbot", name);
    if ((cleanup != NULL) != (strcmp(out->protocol, "certbot") == 0))
        return yaml_fail(ctx, y, v, "dns %s: cleanup is the second hook of protocol certbot, and needed there", name);
    return cleanup != NULL ? read_argv(ctx, y, name, cleanup, &out->cleanup) : RC_OK;
}

static RC read_dns(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    json_t *all = json_object_get(y->root, "dns"), *v;
    const char *name;
    TRY(read_list(ctx, y, y->root, "resolvers", &c->resolvers));
    TRY(read_list(ctx, y, y->root, "trust_anchors", &c->trust_anchors));
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > AGENT_DNS_MAX)
        return yaml_fail(ctx, y, all, "dns must be at most %d names, each with zones", AGENT_DNS_MAX);
    c->dns = arena_array(&ctx->arena, json_object_size(all) + 1, sizeof *c->dns);
    json_object_foreach(all, name, v) TRY(read_dns_row(ctx, y, name, v, &c->dns[c->n_dns++]));
    return RC_OK;
}

/* Where a listener of our own listens. */
static RC read_listener(struct ctx *ctx, const struct yaml *y, const char *key, const char **address, int *port)
{
    static const char *const keys[] = {"port", "address", NULL};
    const json_t *section = json_object_get(y->root, key);
    if (section == NULL)
        return RC_OK;
    if (!json_is_object(section))
        return yaml_fail(ctx, y, section, "%s must hold port and address", key);
    TRY(yaml_only(ctx, y, section, keys));
    TRY(read_int(ctx, y, section, "port", 1, 65535, port));
    const json_t *text = json_object_get(section, "address");
    if (text != NULL && !json_is_string(text))
        return yaml_fail(ctx, y, text, "address must be a text");
    if (text != NULL)
        *address = arena_strdup(&ctx->arena, json_string_value(text));
    return RC_OK;
}

static RC read_enroll_row(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *v, struct agent_enroll *out)
{
    static const char *const keys[] = {"names", "parameters", NULL};
    const json_t *fixed = json_object_get(v, "parameters"), *names = json_object_get(v, "names"), *value;
    const char *key;
    if (!str_is_name(bytes_z(name)) || !json_is_object(v))
        return yaml_fail(ctx, y, v, "enroll %s must hold names, and perhaps parameters", name);
    TRY(yaml_only(ctx, y, v, keys));
    *out = (struct agent_enroll){.protocol = arena_strdup(&ctx->arena, name)};
    if (json_array_size(names) == 1 && str_equal(json_string_value(json_array_get(names, 0)), "*"))
        str_list_add(&ctx->arena, &out->names, "*");
    else
        TRY(read_domains(ctx, y, v, "names", out->protocol, &out->names));
    if (out->names.n == 0)
        return yaml_fail(ctx, y, v, "enroll %s: names must say what may be asked for, e.g. [example.org], or [\"*\"]", name);
    if (fixed != NULL && !json_is_object(fixed))
        return yaml_fail(ctx, y, fixed, "enroll %s: parameters must be texts by name", name);
    json_object_foreach((json_t *)(uintptr_t)fixed, key, value)
    {
        if (!json_is_string(value))
            return yaml_fail(ctx, y, fixed, "enroll %s: parameter %s must be a text", name, key);
        str_list_add(&ctx->arena, &out->keys, arena_strdup(&ctx->arena, key));
        str_list_add(&ctx->arena, &out->values, arena_strdup(&ctx->arena, json_string_value(value)));
    }
    return RC_OK;
}

static RC read_enroll(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    json_t *all = json_object_get(y->root, "enroll"), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > AGENT_DNS_MAX)
        return yaml_fail(ctx, y, all, "enroll must be at most %d names, each with names", AGENT_DNS_MAX);
    c->enroll = arena_array(&ctx->arena, json_object_size(all) + 1, sizeof *c->enroll);
    json_object_foreach(all, name, v) TRY(read_enroll_row(ctx, y, name, v, &c->enroll[c->n_enroll++]));
    return RC_OK;
}

static RC read_fixed(struct ctx *ctx, const struct yaml *y, const char *row, const json_t *v, struct str_list *keys,
                     struct str_list *values)
{
    const json_t *fixed = json_object_get(v, "parameters"), *value;
    const char *key;
    if (fixed != NULL && !json_is_object(fixed))
        return yaml_fail(ctx, y, fixed, "%s: parameters must be texts by name", row);
    json_object_foreach((json_t *)(uintptr_t)fixed, key, value)
    {
        if (!json_is_string(value))
            return yaml_fail(ctx, y, fixed, "%s: parameter %s must be a text", row, key);
        str_list_add(&ctx->arena, keys, arena_strdup(&ctx->arena, key));
        str_list_add(&ctx->arena, values, arena_strdup(&ctx->arena, json_string_value(value)));
    }
    return RC_OK;
}

static RC read_channel(struct ctx *ctx, const struct yaml *y, const char *name, const json_t *v, struct agent_channel *out)
{
    static const char *const keys[] = {"use", "hosts", "to", "roots", "parameters", NULL};
    const json_t *use = json_object_get(v, "use"), *roots = json_object_get(v, "roots"), *to = json_object_get(v, "to");
    if (!str_is_name(bytes_z(name)) || !json_is_object(v))
        return yaml_fail(ctx, y, v, "channel %s must hold what it uses and its limits; {} for a description of this name", name);
    TRY(yaml_only(ctx, y, v, keys));
    *out = (struct agent_channel){.name = arena_strdup(&ctx->arena, name), .use = arena_strdup(&ctx->arena, name)};
    if (use != NULL && (!json_is_string(use) || !str_is_name(bytes_z(json_string_value(use)))))
        return yaml_fail(ctx, y, use, "channel %s: use must be smtp, syslog or the name of a description", name);
    if (use != NULL)
        out->use = arena_strdup(&ctx->arena, json_string_value(use));
    if (roots != NULL && (!json_is_string(roots) || !path_is_plain(json_string_value(roots))))
        return yaml_fail(ctx, y, roots, "channel %s: roots must be an absolute path", name);
    out->roots = roots != NULL ? arena_strdup(&ctx->arena, json_string_value(roots)) : NULL;
    TRY(read_list(ctx, y, v, "hosts", &out->hosts));
    if (json_array_size(to) == 1 && str_equal(json_string_value(json_array_get(to, 0)), "*"))
        str_list_add(&ctx->arena, &out->to, "*");
    else
        TRY(read_domains(ctx, y, v, "to", out->name, &out->to));
    const bool mail = str_equal(out->use, "smtp"), direct = mail || str_equal(out->use, "syslog");
    if (direct != (out->hosts.n > 0) || (!direct && out->roots != NULL))
        return yaml_fail(ctx, y, v, direct ? "channel %s: hosts must say where it may connect, e.g. [\"mail.example.org:587\"]"
                                           : "channel %s: hosts and roots are those of its credential", name);
    if (mail != (out->to.n > 0))
        return yaml_fail(ctx, y, v, mail ? "channel %s: to must say whom it may write to, e.g. [example.org], or [\"*\"]"
                                         : "channel %s: to is for smtp", name);
    return read_fixed(ctx, y, out->name, v, &out->keys, &out->values);
}

static RC read_channels(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    json_t *all = json_object_get(y->root, "channels"), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > AGENT_DNS_MAX)
        return yaml_fail(ctx, y, all, "channels must be at most %d names", AGENT_DNS_MAX);
    c->channels = arena_array(&ctx->arena, json_object_size(all) + 1, sizeof *c->channels);
    json_object_foreach(all, name, v) TRY(read_channel(ctx, y, name, v, &c->channels[c->n_channels++]));
    return RC_OK;
}

static RC read_sections(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    static const char *const net_keys[] = {"probe", "relay", "outside", NULL};
    const json_t *net = json_object_get(y->root, "networks");
    if (net != NULL) {
        if (!json_is_object(net))
            return yaml_fail(ctx, y, net, "networks must hold probe, relay and outside");
        TRY(yaml_only(ctx, y, net, net_keys));
        TRY(read_list(ctx, y, net, "probe", &c->probe_networks));
        TRY(read_list(ctx, y, net, "relay", &c->relay_networks));
        TRY(read_list(ctx, y, net, "outside", &c->outside_networks));
    }
    TRY(read_listener(ctx, y, "http01", &c->http01_address, &c->http01_port));
    if (json_object_get(y->root, "tls_alpn") != NULL)
        c->tls_alpn_port = 443;
    return read_listener(ctx, y, "tls_alpn", &c->tls_alpn_address, &c->tls_alpn_port);
}

/* "443" or "8000-8999"; a number of YAML is as good as a text. */
static bool read_ports(struct bytes text, int64_t *first, int64_t *last)
{
    struct bytes rest = text, low;
    if (!bytes_take_until(&rest, '-', &low) || !str_to_i64(low, first) || *first < 1)
        return false;
    *last = *first;
    return (low.n == text.n || str_to_i64(rest, last)) && *last >= *first && *last <= 65535;
}

bool agent_config_scan_port(const struct agent_config *c, uint16_t port)
{
    int64_t first, last;
    for (size_t i = 0; i < c->scan_ports.n; i++)
        if (read_ports(bytes_z(c->scan_ports.v[i]), &first, &last) && port >= first && port <= last)
            return true;
    return c->scan_ports.n == 0;
}

static RC read_scan_ports(struct ctx *ctx, const struct yaml *y, const json_t *list, struct agent_config *c)
{
    const json_t *v;
    size_t i;
    int64_t first, last;
    if (list != NULL && (!json_is_array(list) || json_array_size(list) > LIST_MAX))
        return yaml_fail(ctx, y, list, "ports must be a list of at most %d ports", LIST_MAX);
    json_array_foreach(list, i, v) {
        const char *text = json_is_integer(v) ? arena_printf(&ctx->arena, "%lld", (long long)json_integer_value(v))
                                              : arena_strdup(&ctx->arena, json_string_value(v));
        if (text == NULL || !read_ports(bytes_z(text), &first, &last))
            return yaml_fail(ctx, y, list, "ports must be numbers such as 443, or ranges such as 8000-8999");
        str_list_add(&ctx->arena, &c->scan_ports, text);
    }
    return RC_OK;
}

static RC read_scan(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    static const char *const keys[] = {"networks", "ports", "rate", NULL};
    const json_t *scan = json_object_get(y->root, "scan");
    struct cidr net;
    if (scan == NULL)
        return RC_OK;
    if (!json_is_object(scan))
        return yaml_fail(ctx, y, scan, "scan must hold networks, ports and rate");
    TRY(yaml_only(ctx, y, scan, keys));
    TRY(read_list(ctx, y, scan, "networks", &c->scan_networks));
    for (size_t i = 0; i < c->scan_networks.n; i++)
        if (!cidr_parse(bytes_z(c->scan_networks.v[i]), &net))
            return yaml_fail(ctx, y, json_object_get(scan, "networks"), "scan: networks: %s is not a network such as 192.0.2.0/24",
                             c->scan_networks.v[i]);
    TRY(read_scan_ports(ctx, y, json_object_get(scan, "ports"), c));
    return read_int(ctx, y, scan, "rate", 1, 1000000, &c->scan_rate);
}

/* Where certificates usually lie: the system's, services', other ACME clients'. */
#define FOLDERS_MAX 64
static const char *const usual_folders[] = {
    "/etc/ssl", "/etc/pki", "/etc/letsencrypt", "/etc/certificates", "/etc/nginx", "/etc/apache2", "/etc/httpd", "/etc/haproxy",
    "/etc/postfix", "/etc/dovecot", "/etc/exim4", "/etc/openldap", "/etc/ldap", "/etc/lego", "/var/lib/lego", "/etc/dehydrated",
    "/var/lib/dehydrated", "/etc/acme.sh", "/root/.acme.sh", "/root/.lego", "/var/lib/acme", "/var/lib/caddy",
    "/usr/local/share/ca-certificates", "/etc/ca-certificates/trust-source",
};

static bool lies_below(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* One that lies below another is walked with that. */
static void add_folder(struct ctx *ctx, struct agent_config *c, const char *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->inventory_folders.n; i++)
        if (lies_below(folder, c->inventory_folders.v[i]))
            return;
    for (size_t i = 0; i < c->inventory_folders.n; i++)
        if (!lies_below(c->inventory_folders.v[i], folder))
            c->inventory_folders.v[kept++] = c->inventory_folders.v[i];
    c->inventory_folders.n = kept;
    str_list_add(&ctx->arena, &c->inventory_folders, folder);
}

static RC read_store(struct ctx *ctx, const struct yaml *y, const json_t *v, struct agent_store *out)
{
    static const char *const keys[] = {"file", "passphrase", NULL};
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "inventory: stores: each must hold file and passphrase");
    TRY(yaml_only(ctx, y, v, keys));
    const char *file = json_string_value(json_object_get(v, "file")), *pass = json_string_value(json_object_get(v, "passphrase"));
    if (file == NULL || pass == NULL || !path_is_plain(file) || !path_is_plain(pass))
        return yaml_fail(ctx, y, v, "inventory: stores: file and passphrase must be absolute paths of files");
    *out = (struct agent_store){arena_strdup(&ctx->arena, file), arena_strdup(&ctx->arena, pass)};
    return RC_OK;
}

static RC read_inventory(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    static const char *const keys[] = {"folders", "usual", "stores", NULL};
    const json_t *inventory = json_object_get(y->root, "inventory"), *usual, *list, *v;
    struct str_list given = {0};
    size_t i;
    if (inventory != NULL && !json_is_object(inventory))
        return yaml_fail(ctx, y, inventory, "inventory must hold folders, usual and stores");
    if (inventory != NULL)
        TRY(yaml_only(ctx, y, inventory, keys));
    usual = json_object_get(inventory, "usual");
    list = json_object_get(inventory, "stores");
    if (usual != NULL && !json_is_boolean(usual))
        return yaml_fail(ctx, y, usual, "inventory: usual must be true or false");
    TRY(read_list(ctx, y, inventory, "folders", &given));
    if (given.n > FOLDERS_MAX)
        return yaml_fail(ctx, y, json_object_get(inventory, "folders"), "inventory: folders names more than %d", FOLDERS_MAX);
    for (i = 0; i < given.n; i++) {
        if (!path_is_plain(given.v[i]))
            return yaml_fail(ctx, y, json_object_get(inventory, "folders"),
                             "inventory: folders: %s is not an absolute path below /", given.v[i]);
        add_folder(ctx, c, given.v[i]);
    }
    for (i = 0; !json_is_false(usual) && i < sizeof usual_folders / sizeof *usual_folders; i++)
        add_folder(ctx, c, usual_folders[i]);
    if (list != NULL && (!json_is_array(list) || json_array_size(list) > AGENT_STORES_MAX))
        return yaml_fail(ctx, y, list, "inventory: stores must be a list of at most %d", AGENT_STORES_MAX);
    c->inventory_stores = arena_array(&ctx->arena, json_array_size(list) + 1, sizeof *c->inventory_stores);
    json_array_foreach(list, i, v)
        TRY(read_store(ctx, y, v, &c->inventory_stores[c->n_inventory_stores++]));
    return RC_OK;
}

static RC read_hub(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    const char *hub = c->hub_socket;
    TRY(read_string(ctx, y, "hub", &hub));
    c->hub_socket = *hub == '/' ? hub : NULL;
    c->hub_url = c->hub_socket == NULL ? hub : NULL;
    if (c->hub_url != NULL && (strncmp(hub, "https://", 8) != 0 || strpbrk(hub + 8, "/?#@ ") != NULL || hub[8] == '\0'))
        return yaml_fail(ctx, y, json_object_get(y->root, "hub"),
                         "hub must be the path of a socket, or a URL such as https://hub.example.org:8444");
    return RC_OK;
}

static RC read_all(struct ctx *ctx, const struct yaml *y, struct agent_config *c)
{
    if (!json_is_object(y->root))
        return ctx_fail(ctx, E_INVALID, "%s: must be a list of settings, not a list or a single value", c->file);
    TRY(yaml_only(ctx, y, y->root, top_keys));
    TRY(read_string(ctx, y, "name", &c->name));
    TRY(read_hub(ctx, y, c));
    TRY(read_string(ctx, y, "state", &c->state_dir));
    TRY(read_string(ctx, y, "connectors_dir", &c->connectors_dir));
    TRY(read_string(ctx, y, "dns_dir", &c->dns_dir));
    TRY(read_string(ctx, y, "enroll_dir", &c->enroll_dir));
    TRY(read_string(ctx, y, "channels_dir", &c->channels_dir));
    TRY(read_list(ctx, y, y->root, "connectors", &c->connectors));
    TRY(read_list(ctx, y, y->root, "users", &c->users));
    TRY(read_list(ctx, y, y->root, "groups", &c->groups));
    TRY(read_int(ctx, y, y->root, "workers", 1, 64, &c->workers));
    TRY(read_int(ctx, y, y->root, "prove_s", 1, 300, &c->prove_s));
    TRY(read_int(ctx, y, y->root, "rest_s", 0, 86400, &c->rest_s));
    TRY(read_int(ctx, y, y->root, "uid_base", 1, 1 << 30, &c->uid_base));
    TRY(read_bool(ctx, y, "share_keys", &c->share_keys));
    TRY(read_paths(ctx, y, c));
    TRY(read_sections(ctx, y, c));
    TRY(read_scan(ctx, y, c));
    TRY(read_inventory(ctx, y, c));
    TRY(read_credentials(ctx, y, c));
    TRY(read_dns(ctx, y, c));
    TRY(read_enroll(ctx, y, c));
    TRY(read_channels(ctx, y, c));
    return read_commands(ctx, y, c);
}

RC agent_config_parse(struct ctx *ctx, const char *file, struct bytes text, struct agent_config *out)
{
    char host[65] = {0};
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    TRY(yaml_read(ctx, file, text, &y));
    *out = defaults(arena_strdup(&ctx->arena, file));
    TRY(read_all(ctx, &y, out));
    /* Beside the connectors, as all are installed. */
    const char *slash = strrchr(out->connectors_dir, '/');
    const int n = slash != NULL ? (int)(slash - out->connectors_dir) : 0;
    if (out->dns_dir == NULL)
        out->dns_dir = arena_printf(&ctx->arena, "%.*s/dns", n, out->connectors_dir);
    if (out->enroll_dir == NULL)
        out->enroll_dir = arena_printf(&ctx->arena, "%.*s/enroll", n, out->connectors_dir);
    if (out->channels_dir == NULL)
        out->channels_dir = arena_printf(&ctx->arena, "%.*s/channels", n, out->connectors_dir);
    if (out->name == NULL)
        out->name = gethostname(host, sizeof host - 1) == 0 ? arena_strdup(&ctx->arena, host) : "agent";
    return RC_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

RC agent_file_trusted(struct ctx *ctx, const char *path, size_t max, struct bytes *out)
{
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return ctx_fail_errno(ctx, "%s", path);
    if (fstat(fd, &st) != 0)
        return ctx_fail_errno(ctx, "%s", path);
    if (!S_ISREG(st.st_mode))
        return ctx_fail(ctx, E_NOT_GRANTED, "%s is not a regular file", path);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "%s decides what runs on this host, but others may change it: chown root, chmod go-w",
                        path);
    if ((uint64_t)st.st_size > max)
        return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %zu bytes", path, max);
    struct buf b;
    buf_init_arena(&b, &ctx->arena, max);
    for (;;) {
        uint8_t *room = buf_reserve(&b, 4096);
        if (room == NULL)
            return ctx_fail(ctx, E_TOO_LARGE, "%s is larger than %zu bytes", path, max);
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ctx_fail_errno(ctx, "reading %s", path);
        if (n == 0)
            break;
        buf_commit(&b, (size_t)n);
    }
    *out = buf_bytes(&b);
    return RC_OK;
}

RC agent_config_load(struct ctx *ctx, const char *path, struct agent_config *out)
{
    struct bytes text;
    TRY(agent_file_trusted(ctx, path, CONFIG_MAX + 4096, &text));
    return agent_config_parse(ctx, path, text, out);
}

RC agent_config_command(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_command **out)
{
    for (size_t i = 0; i < c->n_commands; i++)
        if (str_equal(c->commands[i].name, name)) {
            *out = &c->commands[i];
            return RC_OK;
        }
    return ctx_fail(ctx, E_NOT_GRANTED, "no command is named %s on this host: add it under commands in %s", name, c->file);
}

/* Whether `name` is `zone` or below it. */
static bool is_within(const char *name, const char *zone)
{
    const size_t n = strlen(name), z = strlen(zone);
    return n >= z && strcmp(name + n - z, zone) == 0 && (n == z || name[n - z - 1] == '.');
}

RC agent_config_enroll(struct ctx *ctx, const struct agent_config *c, const char *protocol, const struct agent_enroll **out)
{
    for (size_t i = 0; i < c->n_enroll; i++)
        if (str_equal(c->enroll[i].protocol, protocol)) {
            *out = &c->enroll[i];
            return RC_OK;
        }
    return ctx_fail(ctx, E_NOT_GRANTED, "issuer %s is not allowed on this host: add it to enroll in %s", protocol, c->file);
}

RC agent_enroll_check(struct ctx *ctx, const struct agent_config *c, const struct agent_enroll *row, const char *identifier)
{
    const char *name = strncmp(identifier, "dns:", 4) == 0 ? identifier + 4 : NULL;
    if (name != NULL && strncmp(name, "*.", 2) == 0)
        name += 2;
    for (size_t i = 0; i < row->names.n; i++)
        if (strcmp(row->names.v[i], "*") == 0 || (name != NULL && is_within(name, row->names.v[i])))
            return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED, "issuer %s may not be asked for %s from this host: add it to its names under enroll in %s",
                    row->protocol, strchr(identifier, ':') + 1, c->file);
}

RC agent_config_dns(struct ctx *ctx, const struct agent_config *c, const char *provider, const char *name,
                    const struct agent_dns **out)
{
    for (size_t i = 0; i < c->n_dns; i++) {
        if (!str_equal(c->dns[i].provider, provider))
            continue;
        for (size_t k = 0; k < c->dns[i].zones.n; k++)
            if (is_within(name, c->dns[i].zones.v[k])) {
                *out = &c->dns[i];
                return RC_OK;
            }
        return ctx_fail(ctx, E_NOT_GRANTED, "records of %s may not be changed with %s from this host: add its zone to dns in %s",
                        name, provider, c->file);
    }
    return ctx_fail(ctx, E_NOT_GRANTED, "DNS provider %s is not allowed on this host: add it to dns in %s", provider, c->file);
}

RC agent_config_credential(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_credential **out)
{
    for (size_t i = 0; i < c->n_credentials; i++)
        if (str_equal(c->credentials[i].name, name)) {
            *out = &c->credentials[i];
            return RC_OK;
        }
    return ctx_fail(ctx, E_NOT_GRANTED, "no credential is named %s on this host: add it under credentials in %s", name, c->file);
}

static bool hosts_have(const struct str_list *hosts, const char *host, uint16_t port, uint16_t usual)
{
    for (size_t i = 0; i < hosts->n; i++) {
        const char *row = hosts->v[i], *colon = strrchr(row, ':');
        struct bytes name = bytes_z(row);
        uint64_t at = usual;
        bool v6 = row[0] == '[' || (colon != NULL && strchr(row, ':') != colon);
        if (row[0] == '[' && colon != NULL && colon[-1] == ']' && str_to_u64(bytes_z(colon + 1), &at))
            name = bytes_of(row + 1, (size_t)(colon - row) - 2);
        else if (row[0] == '[' && name.n > 2)
            name = bytes_of(row + 1, name.n - 2);
        else if (!v6 && colon != NULL && str_to_u64(bytes_z(colon + 1), &at))
            name.n = (size_t)(colon - row);
        if (at != port)
            continue;
        if (bytes_equal_nocase(name, bytes_z(host)))
            return true;
        if (name.n > 2 && name.p[0] == '*' && name.p[1] == '.' && strlen(host) >= name.n) {
            struct bytes suffix = bytes_of(name.p + 1, name.n - 1), end = bytes_of(host + strlen(host) - suffix.n, suffix.n);
            if (bytes_equal_nocase(suffix, end))
                return true;
        }
    }
    return false;
}

bool agent_credential_reaches(const struct agent_credential *c, const char *host, uint16_t port, uint16_t usual)
{
    return hosts_have(&c->hosts, host, port, usual);
}

RC agent_config_channel(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_channel **out)
{
    for (size_t i = 0; i < c->n_channels; i++)
        if (str_equal(c->channels[i].name, name)) {
            *out = &c->channels[i];
            return RC_OK;
        }
    return ctx_fail(ctx, E_NOT_GRANTED, "nobody may be told over %s from this host: add it to channels in %s", name, c->file);
}

RC agent_channel_reaches(struct ctx *ctx, const struct agent_config *c, const struct agent_channel *row, const char *host,
                         uint16_t port)
{
    const uint16_t usual = str_equal(row->use, "smtp") ? 587 : 6514;
    if (hosts_have(&row->hosts, host, port, usual))
        return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED, "channel %s may not connect to %s port %d: add it to its hosts under channels in %s",
                    row->name, host, port, c->file);
}

RC agent_channel_writes(struct ctx *ctx, const struct agent_config *c, const struct agent_channel *row, const char *address)
{
    const char *at = strrchr(address, '@');
    char *domain = arena_strdup(&ctx->arena, at != NULL ? at + 1 : "");
    for (char *s = domain; *s != '\0'; s++)
        *s = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
    for (size_t i = 0; i < row->to.n; i++)
        if (str_equal(row->to.v[i], "*") || is_within(domain, row->to.v[i]))
            return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED,
                    "channel %s may not write to %s from this host: add its domain to its `to` under channels in %s", row->name,
                    address, c->file);
}

static bool is_below(const struct str_list *paths, const char *path)
{
    if (!path_is_plain(path))
        return false;
    for (size_t i = 0; i < paths->n; i++) {
        size_t n = strlen(paths->v[i]);
        if (strncmp(path, paths->v[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
            return true;
    }
    return false;
}

bool agent_config_path_allowed(const struct agent_config *c, const char *path) { return is_below(&c->paths, path); }
bool agent_credential_opens(const struct agent_credential *c, const char *path) { return is_below(&c->paths, path); }

RC agent_config_check_path(struct ctx *ctx, const struct agent_config *c, const char *path)
{
    if (agent_config_path_allowed(c, path))
        return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED, "%s is not below a path granted on this host: add its folder under paths in %s", path,
                    c->file);
}
