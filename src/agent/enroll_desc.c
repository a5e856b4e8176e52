#include "agent/enroll_desc.h"

#include "agent/push_reader.h"

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

static const char *const section_keys[] = {"base", "auth", "wait_s", "test", "enroll", "collect", "revoke", NULL};
static const struct push_document document = {.what = "issuer",
                                              .name = "issuer",
                                              .section = "enroll",
                                              .must = "base, auth, test and enroll",
                                              .keys = section_keys,
                                              .taken = taken};

RC enroll_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct enroll_desc *out)
{
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    struct push_reader r = {.y = &y, .arg = out, .name_wrong = enroll_name_wrong};
    const json_t *section = NULL;
    *out = (struct enroll_desc){0};
    TRY(yaml_read(ctx, file, text, &y));
    TRY(push_document_head(ctx, &y, &document, &out->issuer));
    TRY(push_document_section(ctx, &document, &out->issuer, &r, &section));
    const json_t *wait = json_object_get(section, "wait_s");
    if (wait != NULL && (!json_is_integer(wait) || json_integer_value(wait) < 1 || json_integer_value(wait) > 86400))
        return yaml_fail(ctx, &y, wait, "wait_s must be a number from 1 to 86400");
    out->wait_s = wait != NULL ? (int)json_integer_value(wait) : 60;
    return read_lists(ctx, &r, section, out);
}

RC enroll_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct enroll_desc *out)
{
    const struct agent_enroll *row;
    struct bytes text;
    const char *path = NULL;
    TRY(agent_config_enroll(ctx, cfg, name, &row));
    TRY(push_document_text(ctx, &document, cfg->enroll_dir, name, &path, &text));
    TRY(enroll_desc_parse(ctx, path, text, out));
    if (!str_equal(out->issuer.name, name))
        return ctx_fail(ctx, E_INVALID, "%s describes issuer %s, not %s", path, out->issuer.name, name);
    return RC_OK;
}
