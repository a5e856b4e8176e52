#include "acme/objects.h"

static const char *const status_words[] = {
    [ACME_PENDING] = "pending", [ACME_READY] = "ready",     [ACME_PROCESSING] = "processing",
    [ACME_VALID] = "valid",     [ACME_INVALID] = "invalid", [ACME_DEACTIVATED] = "deactivated",
    [ACME_EXPIRED] = "expired", [ACME_REVOKED] = "revoked",
};
#define N_STATUS (sizeof status_words / sizeof status_words[0])
#define BIT(s)   (1U << (s))

const char *acme_status_text(enum acme_status s)
{
    return (size_t)s < N_STATUS ? status_words[s] : "?";
}

bool acme_url_valid(const char *url)
{
    size_t n = strlen(url);
    if (n > ACME_URL_MAX || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)url[i] <= 0x20 || (unsigned char)url[i] >= 0x7f)
            return false;
    return true;
}

bool acme_token_valid(const char *token)
{
    size_t n = strlen(token);
    if (n < 22 || n > ACME_TOKEN_MAX)
        return false;
    for (const char *p = token; *p != 0; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
            return false;
    return true;
}

/* Whatever is wrong inside the other side's answer is E_BAD_ANSWER to us. */
static RC bad(struct ctx *ctx, struct rc rc, const char *what)
{
    if (rc_ok(rc))
        return rc;
    rc = ctx_wrap(ctx, rc, "the CA's %s cannot be used", what);
    (void)rc;
    return rc_of(E_BAD_ANSWER);
}

static RC read_object(struct ctx *ctx, struct bytes body, json_t **out)
{
    TRY(json_read(ctx, body, out));
    if (!json_is_object(*out))
        return ctx_fail(ctx, E_BAD_ANSWER, "not a JSON object");
    return RC_OK;
}

static RC get_url(struct ctx *ctx, const json_t *obj, const char *key, bool need, const char **out)
{
    const char *url = NULL;
    TRY(json_get_str(ctx, obj, key, need, &url));
    if (url != NULL && url[0] == 0 && !need)
        url = NULL;
    if (url != NULL && !acme_url_valid(url))
        return ctx_fail(ctx, E_BAD_ANSWER, "%s is not a URL of at most %d bytes", key, ACME_URL_MAX);
    *out = url;
    return RC_OK;
}

static RC get_status(struct ctx *ctx, const json_t *obj, unsigned allowed, enum acme_status *out)
{
    const char *word = NULL;
    TRY(json_get_str(ctx, obj, "status", true, &word));
    for (size_t i = 0; i < N_STATUS; i++)
        if ((allowed & BIT(i)) != 0 && strcmp(word, status_words[i]) == 0) {
            *out = (enum acme_status)i;
            return RC_OK;
        }
    return ctx_fail(ctx, E_BAD_ANSWER, "the status is not one that RFC 8555 section 7.1.6 knows");
}

static RC get_time(struct ctx *ctx, const json_t *obj, const char *key, int64_t *out)
{
    const char *text = NULL;
    TRY(json_get_str(ctx, obj, key, false, &text));
    if (text != NULL && !time_parse_rfc3339(bytes_z(text), out))
        return ctx_fail(ctx, E_BAD_ANSWER, "%s is not a date (RFC 3339)", key);
    return RC_OK;
}

static RC identifier(struct ctx *ctx, const json_t *obj, const char **out)
{
    const char *type = NULL, *value = NULL;
    TRY(json_get_str(ctx, obj, "type", true, &type));
    TRY(json_get_str(ctx, obj, "value", true, &value));
    if (strlen(type) > 16 || strlen(value) == 0 || strlen(value) > 253)
        return ctx_fail(ctx, E_BAD_ANSWER, "an identifier is empty or too long");
    char *s = arena_printf(&ctx->arena, "%s:%s", type, value);
    for (char *p = s; *p != 0; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return ctx_fail(ctx, E_BAD_ANSWER, "an identifier holds characters that no name has");
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    *out = s;
    return RC_OK;
}

static void get_problem(struct ctx *ctx, const json_t *obj, bool *has, struct acme_problem *out)
{
    const json_t *p = json_object_get(obj, "error");
    *has = json_is_object(p);
    if (*has)
        acme_problem_from_json(ctx, p, out);
}

/* --- directory */

static void read_profiles(struct ctx *ctx, const json_t *meta, struct acme_directory *d)
{
    const json_t *profiles = json_object_get(meta, "profiles");
    size_t n = json_object_size(profiles);
    if (n == 0 || n > 64)
        return;
    d->profiles = arena_array(&ctx->arena, n, sizeof *d->profiles);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)profiles, name, value)
    {
        if (strlen(name) > 128 || d->n_profiles == n)
            continue;
        const char *text = json_string_value(value);
        d->profiles[d->n_profiles++] = (struct acme_profile){.name = arena_strdup(&ctx->arena, name),
                                                             .description = arena_strdup(&ctx->arena, text == NULL ? "" : text)};
    }
}

static void read_caa_identities(struct ctx *ctx, const json_t *meta, struct acme_directory *d)
{
    const json_t *list = json_object_get(meta, "caaIdentities");
    for (size_t i = 0; i < json_array_size(list) && d->caa_identities.n < CAA_IDENTITIES_MAX; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        const size_t n = text != NULL ? strlen(text) : 0;
        if (n > 0 && n < 254 && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == n)
            str_list_add(&ctx->arena, &d->caa_identities, arena_strdup(&ctx->arena, text));
    }
}

static RC directory_fields(struct ctx *ctx, const json_t *root, struct acme_directory *d)
{
    TRY(get_url(ctx, root, "newNonce", true, &d->new_nonce));
    TRY(get_url(ctx, root, "newAccount", true, &d->new_account));
    TRY(get_url(ctx, root, "newOrder", true, &d->new_order));
    TRY(get_url(ctx, root, "revokeCert", true, &d->revoke_cert));
    TRY(get_url(ctx, root, "keyChange", false, &d->key_change));
    TRY(get_url(ctx, root, "renewalInfo", false, &d->renewal_info));
    const json_t *meta = NULL;
    TRY(json_get_obj(ctx, root, "meta", false, &meta));
    if (meta == NULL)
        return RC_OK;
    /* Things to read for people: a strange one is left out, not an error. */
    if (rc_failed(get_url(ctx, meta, "termsOfService", false, &d->terms_of_service)) ||
        rc_failed(get_url(ctx, meta, "website", false, &d->website)))
        ctx_forget(ctx);
    TRY(json_get_bool(ctx, meta, "externalAccountRequired", false, &d->external_account_required));
    read_profiles(ctx, meta, d);
    read_caa_identities(ctx, meta, d);
    return RC_OK;
}

RC acme_directory_parse(struct ctx *ctx, struct bytes body, struct acme_directory *out)
{
    *out = (struct acme_directory){0};
    json_auto_t *root = NULL;
    struct rc rc = read_object(ctx, body, &root);
    if (rc_ok(rc))
        rc = directory_fields(ctx, root, out);
    return bad(ctx, rc, "directory");
}

/* --- order */

static RC order_fields(struct ctx *ctx, const json_t *root, struct acme_order *o)
{
    TRY(get_status(ctx, root, BIT(ACME_PENDING) | BIT(ACME_READY) | BIT(ACME_PROCESSING) | BIT(ACME_VALID) | BIT(ACME_INVALID),
                   &o->status));
    TRY(get_time(ctx, root, "expires", &o->expires));
    TRY(get_url(ctx, root, "finalize", true, &o->finalize));
    TRY(get_url(ctx, root, "certificate", false, &o->certificate));
    const json_t *ids = NULL, *authz = NULL;
    TRY(json_get_list(ctx, root, "identifiers", true, &ids));
    TRY(json_get_list(ctx, root, "authorizations", true, &authz));
    if (json_array_size(ids) > ACME_IDENTIFIERS_MAX || json_array_size(authz) > ACME_IDENTIFIERS_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "more than %d identifiers or authorizations", ACME_IDENTIFIERS_MAX);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = NULL;
        TRY(identifier(ctx, json_array_get(ids, i), &id));
        str_list_add(&ctx->arena, &o->identifiers, id);
    }
    for (size_t i = 0; i < json_array_size(authz); i++) {
        const char *url = json_string_value(json_array_get(authz, i));
        if (url == NULL || !acme_url_valid(url))
            return ctx_fail(ctx, E_BAD_ANSWER, "an authorization is not a URL of at most %d bytes", ACME_URL_MAX);
        str_list_add(&ctx->arena, &o->authorizations, arena_strdup(&ctx->arena, url));
    }
    get_problem(ctx, root, &o->has_problem, &o->problem);
    return RC_OK;
}

RC acme_order_parse(struct ctx *ctx, struct bytes body, struct acme_order *out)
{
    *out = (struct acme_order){0};
    json_auto_t *root = NULL;
    struct rc rc = read_object(ctx, body, &root);
    if (rc_ok(rc))
        rc = order_fields(ctx, root, out);
    return bad(ctx, rc, "order");
}

/* --- authorization and challenge */

static RC challenge_fields(struct ctx *ctx, const json_t *obj, struct acme_challenge *c)
{
    TRY(json_get_str(ctx, obj, "type", true, &c->type));
    TRY(get_url(ctx, obj, "url", true, &c->url));
    TRY(get_status(ctx, obj, BIT(ACME_PENDING) | BIT(ACME_PROCESSING) | BIT(ACME_VALID) | BIT(ACME_INVALID), &c->status));
    const char *token = NULL;
    TRY(json_get_str(ctx, obj, "token", false, &token));
    if (strlen(c->type) > 64)
        return ctx_fail(ctx, E_BAD_ANSWER, "a challenge's type is too long");
    if (token != NULL && !acme_token_valid(token))
        return ctx_fail(ctx, E_BAD_ANSWER, "a challenge's token is not one (RFC 8555 section 8.1)");
    c->token = token;
    const char *domain = json_string_value(json_array_get(json_object_get(obj, "issuer-domain-names"), 0));
    if (domain != NULL && strlen(domain) > 0 && strlen(domain) <= 253)
        c->issuer_domain = arena_strdup(&ctx->arena, domain);
    get_problem(ctx, obj, &c->has_problem, &c->problem);
    return RC_OK;
}

static RC authorization_fields(struct ctx *ctx, const json_t *root, struct acme_authorization *a)
{
    TRY(get_status(ctx, root,
                   BIT(ACME_PENDING) | BIT(ACME_VALID) | BIT(ACME_INVALID) | BIT(ACME_DEACTIVATED) | BIT(ACME_EXPIRED) |
                       BIT(ACME_REVOKED),
                   &a->status));
    TRY(get_time(ctx, root, "expires", &a->expires));
    TRY(json_get_bool(ctx, root, "wildcard", false, &a->wildcard));
    const json_t *id = NULL, *list = NULL;
    TRY(json_get_obj(ctx, root, "identifier", true, &id));
    TRY(identifier(ctx, id, &a->identifier));
    TRY(json_get_list(ctx, root, "challenges", true, &list));
    size_t n = json_array_size(list);
    if (n > ACME_CHALLENGES_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "more than %d challenges", ACME_CHALLENGES_MAX);
    a->challenges = arena_array(&ctx->arena, n + 1, sizeof *a->challenges);
    for (size_t i = 0; i < n; i++)
        TRY(challenge_fields(ctx, json_array_get(list, i), &a->challenges[a->n_challenges++]));
    return RC_OK;
}

RC acme_authorization_parse(struct ctx *ctx, struct bytes body, struct acme_authorization *out)
{
    *out = (struct acme_authorization){0};
    json_auto_t *root = NULL;
    struct rc rc = read_object(ctx, body, &root);
    if (rc_ok(rc))
        rc = authorization_fields(ctx, root, out);
    return bad(ctx, rc, "authorization");
}

RC acme_challenge_parse(struct ctx *ctx, struct bytes body, struct acme_challenge *out)
{
    *out = (struct acme_challenge){0};
    json_auto_t *root = NULL;
    struct rc rc = read_object(ctx, body, &root);
    if (rc_ok(rc))
        rc = challenge_fields(ctx, root, out);
    return bad(ctx, rc, "challenge");
}

const struct acme_challenge *acme_authorization_challenge(const struct acme_authorization *a, const char *type)
{
    for (size_t i = 0; i < a->n_challenges; i++)
        if (strcmp(a->challenges[i].type, type) == 0)
            return &a->challenges[i];
    return NULL;
}

/* --- account */

static RC account_fields(struct ctx *ctx, const json_t *root, struct acme_account *a)
{
    const json_t *contacts = NULL;
    TRY(get_status(ctx, root, BIT(ACME_VALID) | BIT(ACME_DEACTIVATED) | BIT(ACME_REVOKED), &a->status));
    TRY(get_url(ctx, root, "orders", false, &a->orders));
    TRY(json_get_list(ctx, root, "contact", false, &contacts));
    for (size_t i = 0; i < json_array_size(contacts) && i < ACME_CONTACTS_MAX; i++) {
        const char *text = json_string_value(json_array_get(contacts, i));
        if (text == NULL || strlen(text) > 320 || !str_is_utf8(bytes_z(text)) || strpbrk(text, "\r\n\t") != NULL)
            return ctx_fail(ctx, E_BAD_ANSWER, "a contact is not a URL of at most 320 bytes");
        str_list_add(&ctx->arena, &a->contacts, arena_strdup(&ctx->arena, text));
    }
    return RC_OK;
}

RC acme_account_parse(struct ctx *ctx, struct bytes body, struct acme_account *out)
{
    *out = (struct acme_account){0};
    json_auto_t *root = NULL;
    struct rc rc = read_object(ctx, body, &root);
    if (rc_ok(rc))
        rc = account_fields(ctx, root, out);
    return bad(ctx, rc, "account");
}
