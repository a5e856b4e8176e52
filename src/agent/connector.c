#include "agent/connector.h"

#include <grp.h>
#include <pwd.h>

#include "agent/find.h"
#include "agent/push_desc.h"
#include "agent/send_desc.h"
#include "base/log.h"
#include "base/yaml.h"

struct word {
    const char *word;
    int value;
};

static const struct word types[] = {{"path", PARAM_PATH},   {"command", PARAM_COMMAND}, {"user", PARAM_USER},
                                    {"group", PARAM_GROUP}, {"mode", PARAM_MODE},       {"name", PARAM_NAME},
                                    {"url", PARAM_URL},     {"host", PARAM_HOST},       {"text", PARAM_TEXT},
                                    {"number", PARAM_NUMBER}, {"word", PARAM_WORD},     {"credential", PARAM_CREDENTIAL},
                                    {NULL, 0}};
static const struct word contents[] = {{"fullchain", CONTENT_FULLCHAIN}, {"leaf", CONTENT_LEAF},         {"chain", CONTENT_CHAIN},
                                       {"key", CONTENT_KEY},             {"combined", CONTENT_COMBINED}, {"root", CONTENT_ROOT},
                                       {"leaf_der", CONTENT_LEAF_DER},   {"key_der", CONTENT_KEY_DER},   {"pkcs12", CONTENT_PKCS12},
                                       {"pkcs12_legacy", CONTENT_PKCS12_LEGACY}, {"jks", CONTENT_JKS}, {NULL, 0}};
static const struct word challenges[] = {
    {"nginx", CHALLENGE_NGINX}, {"webroot", CHALLENGE_WEBROOT}, {"listener", CHALLENGE_LISTENER}, {NULL, 0}};
static const char *const readers[] = {"nginx", NULL};

static RC read_word(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, const struct word *words, int *out)
{
    const json_t *v = json_object_get(obj, key);
    for (const struct word *w = words; json_is_string(v) && w->word != NULL; w++)
        if (strcmp(w->word, json_string_value(v)) == 0) {
            *out = w->value;
            return RC_OK;
        }
    struct buf known;
    buf_init_arena(&known, &ctx->arena, 512);
    for (const struct word *w = words; w->word != NULL; w++)
        buf_printf(&known, "%s%s", w == words ? "" : ", ", w->word);
    return yaml_fail(ctx, y, v != NULL ? v : obj, "%s must be one of %s", key, buf_z(&known));
}

static RC read_text(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, bool need, const char **out)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL && !need)
        return RC_OK;
    if (!json_is_string(v) || json_string_length(v) == 0)
        return yaml_fail(ctx, y, v != NULL ? v : obj, "%s must be a text", key);
    *out = arena_strdup(&ctx->arena, json_string_value(v));
    return RC_OK;
}

static bool mode_parse(const char *text, unsigned *out)
{
    unsigned mode = 0;
    size_t n = strlen(text);
    if (n < 3 || n > 4)
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '7')
            return false;
        mode = mode * 8 + (unsigned)(*p - '0');
    }
    *out = mode;
    return mode <= 0777;
}

const struct connector_param *connector_find(const struct connector *c, const char *name)
{
    for (size_t i = 0; i < c->n_params; i++)
        if (str_equal(c->params[i].name, name))
            return &c->params[i];
    return NULL;
}

RC connector_read_params(struct ctx *ctx, const struct yaml *y, struct connector *c)
{
    static const char *const keys[] = {"type", "required", "description", "default", NULL};
    json_t *all = json_object_get(y->root, "parameters"), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > CONNECTOR_PARAMS_MAX)
        return yaml_fail(ctx, y, all, "parameters must be at most %d names, each with its type", CONNECTOR_PARAMS_MAX);
    json_object_foreach(all, name, v) {
        struct connector_param *p = &c->params[c->n_params++];
        int type = 0;
        if (!json_is_object(v) || !str_is_name(bytes_z(name)))
            return yaml_fail(ctx, y, v, "parameter %s must hold type, required and description", name);
        TRY(yaml_only(ctx, y, v, keys));
        TRY(read_word(ctx, y, v, "type", types, &type));
        TRY(read_text(ctx, y, v, "description", false, &p->description));
        const json_t *required = json_object_get(v, "required");
        if (required != NULL && !json_is_boolean(required))
            return yaml_fail(ctx, y, required, "required must be true or false");
        p->name = arena_strdup(&ctx->arena, name);
        p->type = (enum connector_type)type;
        p->required = json_is_true(required);
        TRY(read_text(ctx, y, v, "default", false, &p->default_value));
        bool may = p->type == PARAM_COMMAND || (p->type >= PARAM_URL && p->type != PARAM_CREDENTIAL);
        if (p->default_value != NULL && (!may || p->required))
            return yaml_fail(ctx, y, v, "parameter %s cannot have a default", name);
    }
    return RC_OK;
}

/* The member `key` of a file names a parameter, which must be of `type`. */
static RC read_param_ref(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *file, const char *key,
                         enum connector_type type, bool need, const char **out)
{
    TRY(read_text(ctx, y, file, key, need, out));
    if (*out == NULL)
        return RC_OK;
    const struct connector_param *p = connector_find(c, *out);
    if (p == NULL || p->type != type)
        return yaml_fail(ctx, y, json_object_get(file, key), "%s: no parameter %s of type %s", key, *out, types[type].word);
    return RC_OK;
}

bool connector_content_has_key(enum connector_content content)
{
    return content == CONTENT_KEY || content == CONTENT_COMBINED || content == CONTENT_KEY_DER || content >= CONTENT_PKCS12;
}

/* What is under a password says where that is; nothing else does. */
static RC read_protection(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v,
                          struct connector_file *f)
{
    bool has = f->content >= CONTENT_PKCS12;
    static const char *const keys[] = {"password", "alias"};
    for (size_t i = 0; !has && i < 2; i++)
        if (json_object_get(v, keys[i]) != NULL)
            return yaml_fail(ctx, y, json_object_get(v, keys[i]), "content %s has no %s", connector_content_name(f->content),
                             keys[i]);
    TRY(read_param_ref(ctx, y, c, v, "password", PARAM_PATH, has, &f->password_param));
    return read_param_ref(ctx, y, c, v, "alias", PARAM_NAME, false, &f->alias_param);
}

static RC read_file_row(struct ctx *ctx, const struct yaml *y, struct connector *c, const json_t *v)
{
    static const char *const keys[] = {"content", "path",  "mode",     "mode_parameter",
                                       "owner",   "group", "password", "alias", NULL};
    struct connector_file *f = &c->files[c->n_files++];
    int content = 0;
    const char *mode = NULL;
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "a file must hold content and path");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_word(ctx, y, v, "content", contents, &content));
    f->content = (enum connector_content)content;
    TRY(read_param_ref(ctx, y, c, v, "path", PARAM_PATH, true, &f->path_param));
    TRY(read_param_ref(ctx, y, c, v, "owner", PARAM_USER, false, &f->owner_param));
    TRY(read_param_ref(ctx, y, c, v, "group", PARAM_GROUP, false, &f->group_param));
    TRY(read_param_ref(ctx, y, c, v, "mode_parameter", PARAM_MODE, false, &f->mode_param));
    TRY(read_text(ctx, y, v, "mode", true, &mode));
    if (!mode_parse(mode, &f->mode))
        return yaml_fail(ctx, y, json_object_get(v, "mode"), "mode must be an octal text such as \"0640\"");
    if (connector_content_has_key(f->content) && (f->mode & 0077) != 0)
        return yaml_fail(ctx, y, json_object_get(v, "mode"), "a file with a key starts readable by its owner alone (0600)");
    return read_protection(ctx, y, c, v, f);
}

static RC read_files(struct ctx *ctx, const struct yaml *y, struct connector *c)
{
    const json_t *all = json_object_get(y->root, "files"), *v;
    size_t i;
    if (all == NULL)
        return RC_OK;
    if (!json_is_array(all) || json_array_size(all) > CONNECTOR_FILES_MAX)
        return yaml_fail(ctx, y, all, "files must be a list of at most %d", CONNECTOR_FILES_MAX);
    json_array_foreach(all, i, v) TRY(read_file_row(ctx, y, c, v));
    return RC_OK;
}

/* check and reload: a command's name, or "{parameter}" of type command. */
static RC read_action(struct ctx *ctx, const struct yaml *y, struct connector *c, const char *key, const char **out)
{
    TRY(read_text(ctx, y, y->root, key, false, out));
    if (*out == NULL || **out != '{')
        return RC_OK;
    size_t n = strlen(*out);
    const char *name = n > 2 ? arena_str(&ctx->arena, bytes_of(*out + 1, n - 2)) : "";
    const struct connector_param *p = connector_find(c, name);
    if (n < 3 || (*out)[n - 1] != '}' || p == NULL || p->type != PARAM_COMMAND)
        return yaml_fail(ctx, y, json_object_get(y->root, key), "%s: no parameter %s of type command", key, name);
    if (p->default_value != NULL)
        *out = arena_printf(&ctx->arena, "%s%s", *out, p->default_value);
    return RC_OK;
}

/* Places are found by a reader made for one service, or as the description says (agent/find.h). */
static RC read_discover(struct ctx *ctx, const struct yaml *y, struct connector *c)
{
    static const char *const keys[] = {"command", "reader", NULL};
    const json_t *v = json_object_get(y->root, "discover");
    const char *reader = NULL;
    if (v == NULL)
        return RC_OK;
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "discover must hold command, and reader or parameters");
    TRY(read_text(ctx, y, v, "command", true, &c->discover_command));
    if (!str_is_name(bytes_z(c->discover_command)))
        return yaml_fail(ctx, y, json_object_get(v, "command"), "command: %s cannot name a command of agent.yaml",
                         c->discover_command);
    if (json_object_get(v, "reader") == NULL) {
        c->find = ARENA_NEW(&ctx->arena, struct find_desc);
        return find_desc_read(ctx, y, c, v, c->find);
    }
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_text(ctx, y, v, "reader", true, &reader));
    for (size_t i = 0; readers[i] != NULL; i++)
        if (strcmp(readers[i], reader) == 0)
            return RC_OK;
    return yaml_fail(ctx, y, json_object_get(v, "reader"), "no reader is named %s", reader);
}

static RC read_send(struct ctx *ctx, const struct yaml *y, struct connector *c)
{
    const json_t *v = json_object_get(y->root, "send");
    if (c->reload != NULL)
        return yaml_fail(ctx, y, v, "a description holds either reload or send");
    c->send = ARENA_NEW(&ctx->arena, struct send_desc);
    return send_desc_read(ctx, y, c, v, c->send);
}

static RC read_relay(struct ctx *ctx, const struct yaml *y, struct connector *c)
{
    const json_t *v = json_object_get(y->root, "relay");
    if (c->n_files > 0 || c->check != NULL || c->reload != NULL || c->discover_command != NULL)
        return yaml_fail(ctx, y, v, "a description holds either relay, or files, check, reload and discover");
    c->relay = ARENA_NEW(&ctx->arena, struct push_desc);
    return push_desc_read(ctx, y, c, v, c->relay);
}

static RC read_all(struct ctx *ctx, const struct yaml *y, struct connector *c)
{
    static const char *const keys[] = {"connector", "description", "discover", "parameters", "files",
                                       "check",     "reload",      "challenge", "relay", "send", NULL};
    int challenge = CHALLENGE_NONE;
    TRY(yaml_only(ctx, y, y->root, keys));
    TRY(read_text(ctx, y, y->root, "connector", true, &c->name));
    if (!str_is_name(bytes_z(c->name)))
        return yaml_fail(ctx, y, json_object_get(y->root, "connector"), "%s is not a name", c->name);
    TRY(read_text(ctx, y, y->root, "description", false, &c->description));
    TRY(connector_read_params(ctx, y, c));
    TRY(read_files(ctx, y, c));
    TRY(read_discover(ctx, y, c));
    TRY(read_action(ctx, y, c, "check", &c->check));
    TRY(read_action(ctx, y, c, "reload", &c->reload));
    if (json_object_get(y->root, "send") != NULL)
        TRY(read_send(ctx, y, c));
    if (json_object_get(y->root, "relay") != NULL)
        TRY(read_relay(ctx, y, c));
    if (json_object_get(y->root, "challenge") != NULL)
        TRY(read_word(ctx, y, y->root, "challenge", challenges, &challenge));
    c->challenge = (enum connector_challenge)challenge;
    if (c->challenge == CHALLENGE_WEBROOT && connector_find(c, "root") == NULL)
        return yaml_fail(ctx, y, y->root, "challenge webroot needs a parameter root of type path");
    return RC_OK;
}

RC connector_parse(struct ctx *ctx, const char *file, struct bytes text, struct connector *out)
{
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    *out = (struct connector){0};
    TRY(yaml_read(ctx, file, text, &y));
    if (!json_is_object(y.root))
        return ctx_fail(ctx, E_INVALID, "%s: a connector's description must hold connector, parameters and files", file);
    return read_all(ctx, &y, out);
}

/* The text of a description, as it stands on the disk now. */
static RC read_file(struct ctx *ctx, const struct agent_config *cfg, const char *name, const char **path, struct bytes *text)
{
    if (!str_is_name(bytes_z(name)) || !str_list_has(&cfg->connectors, name))
        return ctx_fail(ctx, E_NOT_GRANTED, "connector %s is not allowed on this host: add it under connectors in %s", name,
                        cfg->file);
    *path = arena_printf(&ctx->arena, "%s/%s.yaml", cfg->connectors_dir, name);
    return agent_file_trusted(ctx, *path, 65536, text);
}

static RC parse_as(struct ctx *ctx, const char *path, struct bytes text, const char *name, struct connector *out)
{
    TRY(connector_parse(ctx, path, text, out));
    if (!str_equal(out->name, name))
        return ctx_fail(ctx, E_INVALID, "%s describes connector %s, not %s", path, out->name, name);
    return RC_OK;
}

RC connector_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct connector *out)
{
    const char *path = NULL;
    struct bytes text;
    TRY(read_file(ctx, cfg, name, &path, &text));
    return parse_as(ctx, path, text, name, out);
}

/* One text, and what it says. */
struct connector_kept {
    struct ctx ctx;
    struct bytes text;
    struct connector connector;
    struct connector_kept *next;
};

/* Descriptions change with an upgrade, or under the hands of who writes one: those before stay until the end. */
#define KEPT_MAX 100

static const struct connector_kept *kept_find(struct connector_shelf *shelf, struct bytes text, const char *name)
{
    pthread_mutex_lock(&shelf->lock);
    const struct connector_kept *k = shelf->first;
    while (k != NULL && !(bytes_equal(k->text, text) && str_equal(k->connector.name, name)))
        k = k->next;
    pthread_mutex_unlock(&shelf->lock);
    return k;
}

static void kept_free(struct connector_kept *k)
{
    ctx_free(&k->ctx);
    free(k);
}

/* Two threads may keep the same: the first that is found is as good as the other. */
static void keep(struct ctx *ctx, struct connector_shelf *shelf, const char *path, struct bytes text, const char *name)
{
    struct connector_kept *k = calloc(1, sizeof *k);
    if (k == NULL)
        return;
    ctx_init(&k->ctx, ctx->clock);
    k->text = arena_bytes(&k->ctx.arena, text);
    bool kept = rc_ok(parse_as(&k->ctx, arena_strdup(&k->ctx.arena, path), k->text, name, &k->connector));
    pthread_mutex_lock(&shelf->lock);
    if ((kept = kept && shelf->n < KEPT_MAX)) {
        k->next = shelf->first;
        shelf->first = k;
        shelf->n++;
    }
    pthread_mutex_unlock(&shelf->lock);
    if (!kept)
        kept_free(k);
}

RC connector_use(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct connector *out)
{
    const struct connector_kept *k = NULL;
    const char *path = NULL;
    struct bytes text;
    TRY(read_file(ctx, cfg, name, &path, &text));
    if (cfg->shelf != NULL && (k = kept_find(cfg->shelf, text, name)) != NULL) {
        *out = k->connector;
        return RC_OK;
    }
    TRY(parse_as(ctx, path, text, name, out));
    if (cfg->shelf != NULL)
        keep(ctx, cfg->shelf, path, text, name);
    return RC_OK;
}

void connector_shelf_free(struct connector_shelf *shelf)
{
    for (struct connector_kept *k = shelf->first, *next; k != NULL; k = next) {
        next = k->next;
        kept_free(k);
    }
    shelf->first = NULL;
    pthread_mutex_destroy(&shelf->lock);
}

void connectors_tell(struct ctx *ctx, const struct agent_config *cfg)
{
    for (size_t i = 0; i < cfg->connectors.n; i++) {
        struct connector c;
        if (rc_ok(connector_load(ctx, cfg, cfg->connectors.v[i], &c)))
            continue;
        log_event(LOG_WARN_, "connector_unusable", "connector", cfg->connectors.v[i], "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
    }
}

/* Values end up as names of commands, users or in configuration: nothing that could be read as more than one word. */
static RC check_value(struct ctx *ctx, const struct agent_config *cfg, const struct connector_param *p, const char *value)
{
    const char *pointer = arena_printf(&ctx->arena, "/parameters/%s", p->name);
    const struct agent_command *command;
    const struct agent_credential *credential;
    unsigned mode;
    switch (p->type) {
    case PARAM_PATH:
        if (strlen(value) >= 4096)
            return ctx_fail_field(ctx, pointer, "the path is too long");
        ctx->field = pointer;
        TRY(agent_config_check_path(ctx, cfg, value));
        break;
    case PARAM_COMMAND:
        ctx->field = pointer;
        TRY(agent_config_command(ctx, cfg, value, &command));
        break;
    case PARAM_USER:
    case PARAM_GROUP:
        if (!str_list_has(p->type == PARAM_USER ? &cfg->users : &cfg->groups, value))
            return ctx_fail(ctx, E_NOT_GRANTED, "files may not be given to %s %s on this host: add it under %s in %s",
                            types[p->type].word, value, p->type == PARAM_USER ? "users" : "groups", cfg->file);
        break;
    case PARAM_MODE:
        if (!mode_parse(value, &mode))
            return ctx_fail_field(ctx, pointer, "%s is not an octal mode such as 0640", value);
        break;
    case PARAM_NAME:
        if (!str_is_name(bytes_z(value)))
            return ctx_fail_field(ctx, pointer, "%s is not a name", value);
        break;
    case PARAM_CREDENTIAL:
        ctx->field = pointer;
        TRY(agent_config_credential(ctx, cfg, value, &credential));
        break;
    case PARAM_URL:
    case PARAM_HOST:
    case PARAM_TEXT:
    case PARAM_NUMBER:
    case PARAM_WORD: return push_param_check(ctx, p->type, pointer, value);
    }
    ctx->field = NULL;
    return RC_OK;
}

RC connector_check_params(struct ctx *ctx, const struct agent_config *cfg, const struct connector *c, const json_t *params)
{
    const char *name;
    json_t *v;
    if (!json_is_object(params))
        return ctx_fail_field(ctx, "/parameters", "parameters must be an object");
    json_object_foreach((json_t *)(uintptr_t)params, name, v) {
        const struct connector_param *p = connector_find(c, name);
        const char *pointer = arena_printf(&ctx->arena, "/parameters/%s", name);
        if (p == NULL)
            return ctx_fail_field(ctx, pointer, "connector %s has no parameter %s", c->name, name);
        if (!json_is_string(v))
            return ctx_fail_field(ctx, pointer, "must be a text");
        if (json_string_length(v) != 0)
            TRY(check_value(ctx, cfg, p, json_string_value(v)));
    }
    for (size_t i = 0; i < c->n_params; i++)
        if (c->params[i].required && connector_param(params, c->params[i].name) == NULL)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/parameters/%s", c->params[i].name),
                                  "connector %s needs the parameter %s", c->name, c->params[i].name);
    return RC_OK;
}

const char *connector_param(const json_t *params, const char *name)
{
    const json_t *v = name != NULL ? json_object_get(params, name) : NULL;
    return json_is_string(v) && json_string_length(v) != 0 ? json_string_value(v) : NULL;
}

const char *connector_command(const json_t *params, const char *spec)
{
    char name[65];
    const char *end = spec != NULL ? strchr(spec, '}') : NULL;
    if (spec == NULL || *spec != '{')
        return spec;
    size_t n = end != NULL ? (size_t)(end - spec) - 1 : sizeof name;
    if (n >= sizeof name)
        return NULL;
    memcpy(name, spec + 1, n);
    name[n] = '\0';
    const char *given = connector_param(params, name);
    return given != NULL || end[1] == '\0' ? given : end + 1;
}

const char *connector_content_name(enum connector_content content)
{
    for (size_t i = 0; contents[i].word != NULL; i++)
        if (contents[i].value == (int)content)
            return contents[i].word;
    return "?";
}
