#include "agent/discover.h"

#include "agent/connector.h"
#include "agent/find.h"

#define TARGETS_MAX 4096
#define NAMES_MAX 100
#define ENDPOINTS_MAX 64

static bool is_concrete(const char *name)
{
    return *name != '\0' && strchr("_~*.", *name) == NULL && name[strlen(name) - 1] != '*';
}

static bool is_wildcard(const char *name) { return strncmp(name, "*.", 2) == 0; }

static bool has_pair(const struct nginx_server *s, const struct nginx_pair *pair)
{
    for (size_t i = 0; i < s->n_pairs; i++)
        if (strcmp(s->pairs[i].certificate, pair->certificate) == 0 && strcmp(s->pairs[i].key, pair->key) == 0)
            return true;
    return false;
}

static bool has_ssl(const struct nginx_server *s)
{
    for (size_t i = 0; i < s->n_listens; i++)
        if (s->listens[i].ssl)
            return true;
    return false;
}

/* "*:443" and "[::]:443" are one listener to a client on this host; the IPv4 one is asked. */
static bool doubled(const struct nginx_server *s, size_t at)
{
    for (size_t i = 0; i < s->n_listens; i++)
        if (i != at && s->listens[i].ssl && s->listens[i].port == s->listens[at].port && strcmp(s->listens[at].address,
                                                                                                "::") == 0 &&
            strcmp(s->listens[i].address, "0.0.0.0") == 0)
            return true;
    return false;
}

static void put_endpoints(struct json_out *j, const struct nginx_server *s, size_t *count)
{
    const char *name = "";
    for (size_t i = 0; i < s->names.n && *name == '\0'; i++)
        if (is_concrete(s->names.v[i]))
            name = s->names.v[i];
    for (size_t i = 0; i < s->n_listens && *count < ENDPOINTS_MAX; i++) {
        const char *address = s->listens[i].address;
        if (!s->listens[i].ssl || doubled(s, i))
            continue;
        json_open_obj(j, NULL);
        json_put_str(j, "address", strcmp(address, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(address, "::") == 0 ? "::1" : address);
        json_put_int(j, "port", s->listens[i].port);
        json_put_str(j, "name", name);
        json_close(j);
        (*count)++;
    }
}

static void put_target(struct ctx *ctx, struct json_out *j, const char *connector, const struct nginx_conf *conf, size_t first,
                       const struct nginx_pair *pair)
{
    struct str_list names = {0};
    size_t count = 0;
    for (size_t i = first; i < conf->n; i++)
        for (size_t k = 0; has_pair(&conf->servers[i], pair) && k < conf->servers[i].names.n && names.n < NAMES_MAX; k++) {
            const char *name = conf->servers[i].names.v[k];
            if ((is_concrete(name) || is_wildcard(name)) && !str_list_has(&names, name))
                str_list_add(&ctx->arena, &names, name);
        }
    const char *slash = strrchr(pair->certificate, '/');
    json_open_obj(j, NULL);
    json_put_str(j, "connector", connector);
    json_put_str(j, "name", names.n > 0 ? names.v[0] : slash + 1);
    json_open_obj(j, "parameters");
    json_put_str(j, "certificate", pair->certificate);
    json_put_str(j, "key", pair->key);
    json_close(j);
    json_open_list(j, "endpoints");
    for (size_t i = first; i < conf->n; i++)
        if (has_pair(&conf->servers[i], pair))
            put_endpoints(j, &conf->servers[i], &count);
    json_close(j);
    json_open_list(j, "names");
    for (size_t i = 0; i < names.n; i++)
        json_put_str(j, NULL, names.v[i]);
    json_close(j);
    json_put_str(j, "description", arena_printf(&ctx->arena, "%s:%d", conf->servers[first].file, conf->servers[first].line));
    json_close(j);
}

void discover_put_nginx(struct ctx *ctx, struct json_out *j, const char *connector, const struct nginx_conf *conf)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->n; i++)
        for (size_t k = 0; has_ssl(&conf->servers[i]) && k < conf->servers[i].n_pairs && count < TARGETS_MAX; k++) {
            const struct nginx_pair *pair = &conf->servers[i].pairs[k];
            bool told = false;
            for (size_t b = 0; b < i && !told; b++)
                told = has_ssl(&conf->servers[b]) && has_pair(&conf->servers[b], pair);
            if (told)
                continue;
            put_target(ctx, j, connector, conf, i, pair);
            count++;
        }
}

static void put_place_params(struct ctx *ctx, const struct hands *h, struct json_out *j, const struct connector *c,
                             const char *instance, const struct find_place *p)
{
    json_open_obj(j, "parameters");
    for (size_t i = 0; i < p->n_params; i++)
        json_put_str(j, p->names_of[i], p->values[i]);
    for (size_t i = 0; *instance != '\0' && i < c->n_params; i++) {
        const struct connector_param *param = &c->params[i];
        const struct agent_command *cmd;
        if (param->type != PARAM_COMMAND || param->default_value == NULL)
            continue;
        const char *own = arena_printf(&ctx->arena, "%s.%s", param->default_value, instance);
        if (rc_ok(agent_config_command(ctx, h->cfg, own, &cmd)))
            json_put_str(j, param->name, own);
        else
            ctx_forget(ctx);
    }
    json_close(j);
}

static void put_place(struct ctx *ctx, const struct hands *h, struct json_out *j, const struct connector *c, const char *instance,
                      const struct find_place *p)
{
    const char *slash = p->n_params > 0 ? strrchr(p->values[0], '/') : NULL, *sni = "";
    const char *file = slash != NULL && slash[1] != '\0' ? slash + 1 : c->name;
    for (size_t i = 0; i < p->names.n && *sni == '\0'; i++)
        if (is_concrete(p->names.v[i]))
            sni = p->names.v[i];
    json_open_obj(j, NULL);
    json_put_str(j, "connector", c->name);
    json_put_str(j, "name", p->names.n > 0 ? p->names.v[0] : arena_printf(&ctx->arena, "%.200s", file));
    put_place_params(ctx, h, j, c, instance, p);
    json_open_list(j, "endpoints");
    for (size_t i = 0; i < p->n_ends; i++) {
        json_open_obj(j, NULL);
        json_put_str(j, "address", p->ends[i].address);
        json_put_int(j, "port", p->ends[i].port);
        json_put_str(j, "name", sni);
        if (*p->ends[i].starttls != '\0')
            json_put_str(j, "starttls", p->ends[i].starttls);
        json_close(j);
    }
    json_close(j);
    json_open_list(j, "names");
    for (size_t i = 0; i < p->names.n; i++)
        json_put_str(j, NULL, p->names.v[i]);
    json_close(j);
    if (*p->file != '\0')
        json_put_str(j, "description", p->line > 0 ? arena_printf(&ctx->arena, "%.900s:%d", p->file, p->line)
                                                   : arena_printf(&ctx->arena, "%.900s", p->file));
    json_close(j);
}

void discover_put_places(struct ctx *ctx, const struct hands *h, struct json_out *j, const struct connector *c,
                         const char *instance, const struct find_place *places)
{
    for (const struct find_place *p = places; p != NULL; p = p->next)
        put_place(ctx, h, j, c, instance, p);
}

/* What a second command prints belongs to the same configuration: files that it reads begin none of their own. */
static RC add_also(struct ctx *ctx, struct hands *h, const struct connector *c, const char *instance, struct bytes *dump)
{
    const struct agent_command *known;
    struct bytes rest, line;
    struct buf all;
    if (c->find->also == NULL)
        return RC_OK;
    const char *command = arena_printf(&ctx->arena, "%s%s%s", c->find->also, *instance != '\0' ? "." : "", instance);
    if (rc_failed(agent_config_command(ctx, h->cfg, command, &known))) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(hands_output(ctx, h, command, &rest));
    buf_init_arena(&all, &ctx->arena, dump->n + 2 * rest.n + 2);
    buf_put(&all, *dump);
    buf_put_u8(&all, '\n');
    while (rest.n > 0) {
        if (!bytes_take_line(&rest, &line)) {
            line = rest;
            rest = (struct bytes){0};
        }
        if (bytes_starts_with(line, BYTES_LIT(CONFIG_MARK_BEGINS))) {
            bytes_skip(&line, sizeof CONFIG_MARK_BEGINS - 1);
            buf_put_z(&all, CONFIG_MARK_FILE);
        }
        buf_put(&all, line);
        buf_put_u8(&all, '\n');
    }
    TRY(buf_status(&all));
    *dump = buf_bytes(&all);
    return RC_OK;
}

/* One command that prints a configuration.  `instance` is what its name says beyond the description's, "" for that one itself. */
static RC ask_command(struct ctx *ctx, struct hands *h, const struct connector *c, const char *command, const char *instance,
                      struct json_out *j)
{
    struct find_place *places = NULL;
    struct bytes dump;
    size_t n = 0;
    TRY(hands_output(ctx, h, command, &dump));
    if (c->find == NULL) {
        struct nginx_conf conf;
        TRY(nginx_conf_read(ctx, dump, &conf)); /* the one reader there is; connector.c refuses others */
        discover_put_nginx(ctx, j, c->name, &conf);
        return RC_OK;
    }
    TRY(add_also(ctx, h, c, instance, &dump));
    TRY(find_places(ctx, c, c->find, dump, &places, &n));
    discover_put_places(ctx, h, j, c, instance, places);
    return RC_OK;
}

/* Commands "NAME.INSTANCE" print the configurations of further instances on this host. */
static RC ask_connector(struct ctx *ctx, struct hands *h, struct story *story, const char *name, struct json_out *j)
{
    struct connector desc;
    size_t asked = 0;
    TRY(connector_load(ctx, h->cfg, name, &desc));
    if (desc.discover_command == NULL)
        return RC_OK;
    size_t n = strlen(desc.discover_command);
    for (size_t i = 0; i < h->cfg->n_commands; i++) {
        const char *command = h->cfg->commands[i].name;
        if (strncmp(command, desc.discover_command, n) != 0 || (command[n] != '\0' && command[n] != '.'))
            continue;
        struct rc rc = ask_command(ctx, h, &desc, command, command[n] == '.' ? command + n + 1 : "", j);
        if (rc_failed(rc))
            return ctx_wrap(ctx, rc, "%s", command);
        asked++;
    }
    if (asked == 0)
        story_add(ctx, story, "discover", "%s: its places are found once commands of %s has %s", name, h->cfg->file,
                  desc.discover_command);
    return RC_OK;
}

RC discover_run(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member)
{
    const json_t *list = NULL, *v;
    struct str_list names = {0};
    struct json_out j;
    size_t i, failed = 0;
    TRY(json_get_list(ctx, body, "connectors", false, &list));
    json_array_foreach(list, i, v)
        if (json_is_string(v))
            str_list_add(&ctx->arena, &names, arena_strdup(&ctx->arena, json_string_value(v)));
    if (names.n == 0)
        names = h->cfg->connectors;
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_open_list(&j, "targets");
    struct rc last = RC_OK;
    for (i = 0; i < names.n; i++) {
        struct rc rc = ask_connector(ctx, h, story, names.v[i], &j);
        if (rc_ok(rc))
            continue;
        story_add(ctx, story, "discover", "%s: %s", names.v[i], ctx_why(ctx));
        last = rc;
        failed++;
    }
    json_close(&j);
    json_close(&j);
    if (failed > 0 && failed == names.n)
        return last;
    ctx_forget(ctx);
    return RC_OK;
}
