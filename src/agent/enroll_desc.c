#include "agent/enroll_desc.h"

#include "agent/push_reader.h"

#define DESCRIPTION_MAX ((size_t)64 << 10)

static const char *const of_request[] = {"csr", "csr_der", "names", "dns_names", "ip_names", "first_name", NULL};
static const char *const of_collect[] = {"csr", "csr_der", "names", "dns_names", "ip_names", "first_name", "reference", NULL};
static const char *const of_revoke[] = {"serial", "serial_colons", "reason", "certificate", NULL};
/* What a parameter cannot be called. */
static const char *const taken[] = {"csr",       "csr_der", "names",         "dns_names", "ip_names",    "first_name",
                                    "reference", "serial",  "serial_colons", "reason",    "certificate", NULL};

static bool one_of(const char *const *words, struct bytes word)
{
    for (; *words != NULL; words++)
        if (bytes_equal_z(word, *words))
            return true;
    return false;
}

static const char *plain_wrong(const struct push_reader *r, struct bytes name)
{
    const char *const *known = r->list == STEPS_ENROLL    ? of_request
                               : r->list == STEPS_COLLECT ? of_collect
                               : r->list == STEPS_REVOKE  ? of_revoke
                                                          : NULL;
    if (known == NULL)
        return "is no parameter";
    return one_of(known, name) ? NULL : "is no parameter, and nothing that is known here";
}

static const char *enroll_name_wrong(struct ctx *ctx, struct push_reader *r, struct bytes name)
{
    struct bytes rest = name, step;
    if (bytes_find(name, BYTES_LIT(".")) == SIZE_MAX)
        return connector_find(r->c, arena_str(&ctx->arena, name)) != NULL ? NULL : plain_wrong(r, name);
    bytes_take_until(&rest, '.', &step);
    if (bytes_equal_z(step, "auth")) {
        bool known = strcmp(r->d->family, "session-login") != 0 || r->list == STEPS_LOGIN ||
                     push_reader_has(r->d->login, r->d->n_login, NULL, rest);
        return known ? NULL : "is read by no step of login";
    }
    return push_reader_has(r->steps, r->n, arena_str(&ctx->arena, step), rest) ? NULL : "is read by no step before this one";
}

static RC read_lists(struct ctx *ctx, struct push_reader *r, const json_t *section, struct enroll_desc *d)
{
    TRY(push_reader_steps(ctx, r, section, STEPS_TEST, &d->test, &d->n_test));
    TRY(push_reader_steps(ctx, r, section, STEPS_ENROLL, &d->enroll, &d->n_enroll));
    if (json_object_get(section, "collect") != NULL)
        TRY(push_reader_steps(ctx, r, section, STEPS_COLLECT, &d->collect, &d->n_collect));
    if (json_object_get(section, "revoke") != NULL)
        TRY(push_reader_steps(ctx, r, section, STEPS_REVOKE, &d->revoke, &d->n_revoke));
    if (!push_reader_has(d->n_collect > 0 ? d->collect : d->enroll, d->n_collect > 0 ? d->n_collect : d->n_enroll, NULL,
                         BYTES_LIT("certificate")))
        return yaml_fail(ctx, r->y, section, "%s must read the certificate", d->n_collect > 0 ? "collect" : "enroll");
    return RC_OK;
}

static RC read_section(struct ctx *ctx, const struct yaml *y, const json_t *v, struct enroll_desc *d)
{
    static const char *const keys[] = {"base", "auth", "wait_s", "test", "enroll", "collect", "revoke", NULL};
    struct push_desc *relay = ARENA_NEW(&ctx->arena, struct push_desc);
    struct push_reader r = {.y = y, .c = &d->issuer, .d = relay, .arg = d, .list = STEPS_LOGOUT, .name_wrong = enroll_name_wrong};
    const json_t *base = json_object_get(v, "base"), *wait = json_object_get(v, "wait_s");
    *relay = (struct push_desc){.transport = "https", .family = ""};
    d->issuer.relay = relay;
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v != NULL ? v : y->root, "enroll must hold base, auth, test and enroll");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(push_reader_parameters(ctx, &r, v, taken));
    if (!json_is_string(base))
        return yaml_fail(ctx, y, base != NULL ? base : v, "base must be a text");
    relay->base = arena_strdup(&ctx->arena, json_string_value(base));
    TRY(push_reader_template(ctx, &r, base, "base", relay->base));
    TRY(push_reader_auth(ctx, &r, v));
    if (strncmp(relay->family, "ssh-", 4) == 0)
        return yaml_fail(ctx, y, json_object_get(v, "auth"), "family %s is for SSH", relay->family);
    if (wait != NULL && (!json_is_integer(wait) || json_integer_value(wait) < 1 || json_integer_value(wait) > 86400))
        return yaml_fail(ctx, y, wait, "wait_s must be a number from 1 to 86400");
    d->wait_s = wait != NULL ? (int)json_integer_value(wait) : 60;
    return read_lists(ctx, &r, v, d);
}

static RC read_all(struct ctx *ctx, const struct yaml *y, struct enroll_desc *d)
{
    static const char *const keys[] = {"issuer", "description", "parameters", "enroll", NULL};
    const json_t *name = json_object_get(y->root, "issuer"), *text = json_object_get(y->root, "description");
    TRY(yaml_only(ctx, y, y->root, keys));
    if (!json_is_string(name) || !str_is_name(bytes_z(json_string_value(name))))
        return yaml_fail(ctx, y, name != NULL ? name : y->root, "issuer must be a name");
    if (text != NULL && !json_is_string(text))
        return yaml_fail(ctx, y, text, "description must be a text");
    d->issuer.name = arena_strdup(&ctx->arena, json_string_value(name));
    d->issuer.description = text != NULL ? arena_strdup(&ctx->arena, json_string_value(text)) : NULL;
    TRY(connector_read_params(ctx, y, &d->issuer));
    return read_section(ctx, y, json_object_get(y->root, "enroll"), d);
}

RC enroll_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct enroll_desc *out)
{
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    *out = (struct enroll_desc){0};
    TRY(yaml_read(ctx, file, text, &y));
    if (!json_is_object(y.root))
        return ctx_fail(ctx, E_INVALID, "%s: the description of an issuer must hold issuer, parameters and enroll", file);
    return read_all(ctx, &y, out);
}

RC enroll_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct enroll_desc *out)
{
    struct bytes text;
    if (!str_is_name(bytes_z(name)))
        return ctx_fail(ctx, E_INVALID, "%s is not the name of an issuer's description", name);
    const struct agent_enroll *row;
    TRY(agent_config_enroll(ctx, cfg, name, &row));
    const char *path = arena_printf(&ctx->arena, "%s/%s.yaml", cfg->enroll_dir, name);
    struct rc rc = agent_file_trusted(ctx, path, DESCRIPTION_MAX, &text);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the description of issuer %s", name);
    TRY(enroll_desc_parse(ctx, path, text, out));
    if (!str_equal(out->issuer.name, name))
        return ctx_fail(ctx, E_INVALID, "%s describes issuer %s, not %s", path, out->issuer.name, name);
    return RC_OK;
}
