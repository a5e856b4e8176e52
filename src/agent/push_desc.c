#include "agent/push_reader.h"

#define TREE_DEPTH 16

static const char *const list_names[] = {"see", "install", "undo", "login", "logout", "test", "zone", "add", "remove",
                                         "enroll", "collect", "revoke", "send"};

static const char *const filters[] = {"base64", "base64lines", "base64url", "hex",   "url",  "json", "xml",
                                      "raw",    "upper",       "lower",     "int",   "bool", "tree", "null",
                                      "list",   "nonl",        "segments",  "range", "totp", "angles", NULL};
static const char *const conversions[] = {"base64", "base64url", "hex", "tree", "trim", "cookie", "certificate", "pkcs7",
                                          "join", "fingerprint", NULL};
static const char *const facts[] = {"fingerprint", "serial", "id", "deployment", "target", "passphrase", NULL};
static const char *const methods_https[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", NULL};
static const char *const methods_ssh[] = {"READ", "WRITE", "KEEP", "RESTORE", "RUN", NULL};

struct family {
    const char *name, *must, *may;
};
static const struct family families[] = {
#define AUTH(symbol, name, must, may) {name, must, may},
#include "agent/relay/auth.def"
#undef AUTH
};

static bool one_of(const char *const *words, struct bytes word)
{
    for (; *words != NULL; words++)
        if (bytes_equal_z(word, *words))
            return true;
    return false;
}

static const char *words_text(struct ctx *ctx, const char *const *words)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1024);
    for (size_t i = 0; words[i] != NULL; i++)
        buf_printf(&b, "%s%s", i == 0 ? "" : ", ", words[i]);
    return buf_z(&b);
}

/* Letters, digits, '-' and '_', a letter first: no dot, which separates a step's name from a value's. */
static bool is_word(struct bytes b)
{
    if (b.n == 0 || b.n > 64 || !((b.p[0] | 0x20) >= 'a' && (b.p[0] | 0x20) <= 'z'))
        return false;
    for (size_t i = 1; i < b.n; i++) {
        uint8_t ch = b.p[i];
        if (!((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') && !(ch >= '0' && ch <= '9') && ch != '-' && ch != '_')
            return false;
    }
    return true;
}

/* --- templates */

bool push_template_next(struct bytes *rest, struct bytes *literal, struct bytes *name, struct bytes *filter, const char **bad)
{
    struct bytes inside;
    *bad = NULL;
    *literal = *name = *filter = (struct bytes){0};
    if (rest->n == 0)
        return false;
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '{' && rest->p[n] != '}')
        n++;
    if (n > 0)
        return bytes_take(rest, n, literal);
    if (rest->n > 1 && rest->p[1] == rest->p[0]) { /* "{{" and "}}" */
        *literal = bytes_of(rest->p, 1);
        return bytes_skip(rest, 2);
    }
    if (rest->p[0] == '}') {
        *bad = "a } without its {: write }} for the character";
        return false;
    }
    for (n = 1; n < rest->n && rest->p[n] != '}' && rest->p[n] != '{';)
        n++;
    if (n == rest->n || rest->p[n] != '}') {
        *bad = "a { without its }: write {{ for the character";
        return false;
    }
    inside = bytes_of(rest->p + 1, n - 1);
    bytes_skip(rest, n + 1);
    if (!bytes_take_until(&inside, '|', name) || name->n == 0) {
        *bad = "{} names nothing";
        return false;
    }
    *filter = inside;
    return true;
}

static bool is_content(struct bytes name)
{
    for (int i = 0; i < 64; i++) {
        const char *word = connector_content_name((enum connector_content)i);
        if (strcmp(word, "?") == 0)
            return false;
        if (bytes_equal_z(name, word))
            return true;
    }
    return false;
}

bool push_reader_has(const struct push_step *steps, size_t n, const char *step, struct bytes name)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < steps[i].n_reads; k++)
            if ((step == NULL || str_equal(steps[i].name, step)) && bytes_equal_z(name, steps[i].reads[k].name))
                return true;
    return false;
}

static bool is_identity(struct bytes name)
{
    return bytes_equal_z(name, "fingerprint") || bytes_equal_z(name, "serial") || bytes_equal_z(name, "id");
}

static void note_content(struct ctx *ctx, struct push_desc *d, struct bytes name)
{
    const char *word = arena_str(&ctx->arena, name);
    for (size_t i = 0; i < d->contents.n; i++)
        if (strcmp(d->contents.v[i], word) == 0)
            return;
    if (d->contents.n < PUSH_PAIRS_MAX)
        d->contents.v[d->contents.n++] = word;
}

/* NULL where the name may be used here, else why not. */
static const char *name_wrong(struct ctx *ctx, struct push_reader *r, struct bytes name)
{
    struct bytes rest = name, step;
    struct push_desc *d = r->d;
    size_t dot = bytes_find(name, BYTES_LIT("."));
    if (dot == SIZE_MAX) {
        if (connector_find(r->c, arena_str(&ctx->arena, name)) != NULL)
            return NULL;
        if (bytes_equal_z(name, "passphrase") && r->list == STEPS_INSTALL)
            note_content(ctx, d, name); /* made with the contents it belongs to */
        if (one_of(facts, name))
            return bytes_equal_z(name, "passphrase") && r->list != STEPS_INSTALL ? "is there in install alone" : NULL;
        if (!is_content(name))
            return "is no parameter, content or fact";
        if (r->list != STEPS_INSTALL)
            return "is a content of the new certificate, which only install has";
        note_content(ctx, d, name);
        return NULL;
    }
    bytes_take_until(&rest, '.', &step);
    if (bytes_equal_z(step, "auth"))
        return strcmp(d->family, "session-login") != 0 || r->list == STEPS_LOGIN ||
                       push_reader_has(d->login, d->n_login, NULL, rest)
                   ? NULL
                   : "is read by no step of login";
    if (bytes_equal_z(step, "see")) {
        if (r->list == STEPS_LOGIN || r->list == STEPS_LOGOUT)
            return "is not known at login";
        if (r->list != STEPS_SEE && is_identity(rest))
            return NULL;
        return (r->list == STEPS_SEE ? push_reader_has(r->steps, r->n, NULL, rest) : push_reader_has(d->see, d->n_see, NULL, rest))
                   ? NULL
                   : "is read by no step of see";
    }
    if (bytes_equal_z(step, "before")) {
        if (r->list != STEPS_INSTALL && r->list != STEPS_UNDO)
            return "is known in install and undo alone";
        return is_identity(rest) || push_reader_has(d->see, d->n_see, NULL, rest) ? NULL : "is read by no step of see";
    }
    return push_reader_has(r->steps, r->n, arena_str(&ctx->arena, step), rest) ? NULL : "is read by no step before this one";
}

RC push_reader_template(struct ctx *ctx, struct push_reader *r, const json_t *node, const char *what, const char *text)
{
    struct bytes rest = bytes_z(text), literal, name, list, filter;
    const char *bad;
    if (rest.n > PUSH_TEMPLATE_MAX)
        return yaml_fail(ctx, r->y, node, "%s is longer than %d bytes", what, PUSH_TEMPLATE_MAX);
    while (push_template_next(&rest, &literal, &name, &list, &bad)) {
        if (name.n == 0)
            continue;
        const char *wrong = r->name_wrong(ctx, r, name);
        if (wrong != NULL)
            return yaml_fail(ctx, r->y, node, "%s: {%.*s} %s", what, (int)name.n, (const char *)name.p, wrong);
        while (bytes_take_until(&list, '|', &filter))
            if (!one_of(filters, filter))
                return yaml_fail(ctx, r->y, node, "%s: no filter is named %.*s; there are %s", what, (int)filter.n,
                                 (const char *)filter.p, words_text(ctx, filters));
    }
    return bad == NULL ? RC_OK : yaml_fail(ctx, r->y, node, "%s: %s", what, bad);
}

/* --- small readers */

/* A text, also where YAML sees a number or a truth value. */
static RC take_text(struct ctx *ctx, const struct push_reader *r, const json_t *obj, const char *key, bool need, const char **out)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL && !need)
        return RC_OK;
    if (json_is_integer(v))
        *out = arena_printf(&ctx->arena, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        *out = json_is_true(v) ? "true" : "false";
    else if (json_is_string(v))
        *out = arena_strdup(&ctx->arena, json_string_value(v));
    else
        return yaml_fail(ctx, r->y, v != NULL ? v : obj, "%s must be a text", key);
    return RC_OK;
}

static RC take_template(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, bool need, const char **out)
{
    TRY(take_text(ctx, r, obj, key, need, out));
    return *out == NULL ? RC_OK : push_reader_template(ctx, r, json_object_get(obj, key), key, *out);
}

static RC take_pairs(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, struct push_pairs *out)
{
    json_t *all = json_object_get(obj, key);
    const char *name;
    json_t *v;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > PUSH_PAIRS_MAX)
        return yaml_fail(ctx, r->y, all, "%s must be at most %d names, each with a text", key, PUSH_PAIRS_MAX);
    json_object_foreach(all, name, v)
    {
        struct push_pair *p = &out->v[out->n++];
        p->name = arena_strdup(&ctx->arena, name);
        TRY(take_template(ctx, r, all, name, true, &p->value));
    }
    return RC_OK;
}

static RC take_texts(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, const char *const *words,
                     struct push_texts *out)
{
    json_t *all = json_object_get(obj, key), *v;
    size_t i;
    if (all == NULL)
        return RC_OK;
    if (!json_is_array(all) || json_array_size(all) > PUSH_PAIRS_MAX)
        return yaml_fail(ctx, r->y, all, "%s must be a list of at most %d texts", key, PUSH_PAIRS_MAX);
    json_array_foreach(all, i, v)
    {
        if (!json_is_string(v) && !json_is_integer(v) && !json_is_boolean(v))
            return yaml_fail(ctx, r->y, all, "%s must be a list of texts", key);
        const char *text = json_is_string(v)    ? arena_strdup(&ctx->arena, json_string_value(v))
                           : json_is_integer(v) ? arena_printf(&ctx->arena, "%lld", (long long)json_integer_value(v))
                           : json_is_true(v)    ? "true"
                                                : "false";
        if (words != NULL && !one_of(words, bytes_z(text)))
            return yaml_fail(ctx, r->y, all, "%s: %s is none of %s", key, text, words_text(ctx, words));
        out->v[out->n++] = text;
    }
    return RC_OK;
}

static RC take_statuses(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, struct push_statuses *out)
{
    json_t *all = json_object_get(obj, key), *v;
    size_t i;
    if (all == NULL)
        return RC_OK;
    if (!json_is_array(all) || json_array_size(all) > PUSH_STATUSES_MAX)
        return yaml_fail(ctx, r->y, all, "%s must be a list of at most %d numbers", key, PUSH_STATUSES_MAX);
    json_array_foreach(all, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 599)
            return yaml_fail(ctx, r->y, all, "%s must be a list of numbers from 0 to 599", key);
        out->v[out->n++] = (int)json_integer_value(v);
    }
    return RC_OK;
}

static RC take_seconds(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, int most, int *out)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL)
        return RC_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > most)
        return yaml_fail(ctx, r->y, v, "%s must be a number from 1 to %d", key, most);
    *out = (int)json_integer_value(v);
    return RC_OK;
}

/* --- a step */

static RC take_marks(struct ctx *ctx, struct push_reader *r, const json_t *v, const char *key, const char **out)
{
    struct push_texts marks = {0};
    if (json_object_get(v, key) == NULL)
        return RC_OK;
    TRY(take_texts(ctx, r, v, key, NULL, &marks));
    if (marks.n != 2 || *marks.v[0] == '\0' || *marks.v[1] == '\0')
        return yaml_fail(ctx, r->y, json_object_get(v, key), "%s must be two texts", key);
    for (size_t i = 0; i < 2; i++)
        TRY(push_reader_template(ctx, r, json_object_get(v, key), key, out[i] = marks.v[i]));
    return RC_OK;
}

static RC read_from(struct ctx *ctx, struct push_reader *r, const json_t *v, struct push_from *out)
{
    const json_t *body = json_object_get(v, "body");
    TRY(take_template(ctx, r, v, "json", false, &out->json));
    TRY(take_template(ctx, r, v, "find", false, &out->find));
    TRY(take_text(ctx, r, v, "header", false, &out->header));
    TRY(take_pairs(ctx, r, v, "where", &out->where));
    TRY(take_template(ctx, r, v, "value", false, &out->value));
    TRY(take_text(ctx, r, v, "txt", false, &out->txt));
    TRY(take_marks(ctx, r, v, "between", out->between));
    TRY(take_marks(ctx, r, v, "every", out->every));
    TRY(take_text(ctx, r, v, "element", false, &out->element));
    TRY(take_text(ctx, r, v, "attribute", false, &out->attribute));
    TRY(take_text(ctx, r, v, "children", false, &out->children));
    if (body != NULL && !json_is_true(body))
        return yaml_fail(ctx, r->y, body, "body can be true alone");
    out->body = body != NULL;
    int ways = (out->json != NULL) + (out->header != NULL) + (out->between[0] != NULL || out->every[0] != NULL) + out->body +
               (out->value != NULL) + (out->element != NULL);
    if (ways != 1)
        return yaml_fail(ctx, r->y, v, "one of json, header, between, body and value, or element, must say where it is");
    if ((out->attribute != NULL) + (out->children != NULL) != (out->element != NULL))
        return yaml_fail(ctx, r->y, v, "element goes with attribute or children");
    if ((out->find != NULL) != (out->where.n > 0) && (out->find == NULL || out->txt == NULL))
        return yaml_fail(ctx, r->y, v, "find goes with where and json");
    if ((out->find != NULL || out->txt != NULL) && out->json == NULL)
        return yaml_fail(ctx, r->y, v, "find goes with where and json");
    if (out->txt != NULL && (r->list != STEPS_SEE || r->name_wrong == name_wrong))
        return yaml_fail(ctx, r->y, v, "txt is for see of a DNS provider");
    return RC_OK;
}

static RC read_reads(struct ctx *ctx, struct push_reader *r, const json_t *obj, struct push_step *s)
{
    static const char *const keys[] = {"json",  "find", "where",    "header",  "between", "body",      "txt",      "every",
                                       "value", "as",   "optional", "default", "element", "attribute", "children", NULL};
    json_t *all = json_object_get(obj, "read"), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > PUSH_READS_MAX)
        return yaml_fail(ctx, r->y, all, "read must be at most %d names, each with where it is", PUSH_READS_MAX);
    json_object_foreach(all, name, v)
    {
        struct push_read *read = &s->reads[s->n_reads];
        const json_t *optional = json_object_get(v, "optional");
        if (!json_is_object(v) || !is_word(bytes_z(name)))
            return yaml_fail(ctx, r->y, v, "read: %s must be a word, with where it is", name);
        TRY(yaml_only(ctx, r->y, v, keys));
        read->name = arena_strdup(&ctx->arena, name);
        TRY(read_from(ctx, r, v, &read->from));
        TRY(take_texts(ctx, r, v, "as", conversions, &read->as));
        TRY(take_template(ctx, r, v, "default", false, &read->default_value));
        if (optional != NULL && !json_is_boolean(optional))
            return yaml_fail(ctx, r->y, optional, "optional must be true or false");
        read->optional = json_is_true(optional) || read->default_value != NULL;
        s->n_reads++;
    }
    return RC_OK;
}

static RC check_tree(struct ctx *ctx, struct push_reader *r, const json_t *node, json_t *v, int depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > TREE_DEPTH)
        return yaml_fail(ctx, r->y, node, "the body is more than %d levels deep", TREE_DEPTH);
    if (json_is_string(v))
        return push_reader_template(ctx, r, v, "json", json_string_value(v));
    if (json_is_object(v))
        json_object_foreach(v, key, member)
        {
            TRY(push_reader_template(ctx, r, node, "json", key));
            TRY(check_tree(ctx, r, node, member, depth + 1));
        }
    else if (json_is_array(v))
        json_array_foreach(v, i, member) TRY(check_tree(ctx, r, node, member, depth + 1));
    return RC_OK;
}

RC push_reader_tree(struct ctx *ctx, struct push_reader *r, json_t *tree, const char **out)
{
    struct buf b;
    struct json_out j;
    TRY(check_tree(ctx, r, tree, tree, 0));
    buf_init_arena(&b, &ctx->arena, 65536);
    json_begin(&j, &b);
    json_put_value(&j, NULL, tree);
    *out = buf_z(&b);
    return buf_status(&b);
}

static RC read_parts(struct ctx *ctx, struct push_reader *r, json_t *list, struct push_step *s)
{
    static const char *const keys[] = {"name", "filename", "type", "text", NULL};
    json_t *v;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) > PUSH_PAIRS_MAX)
        return yaml_fail(ctx, r->y, list, "multipart must be a list of at most %d parts", PUSH_PAIRS_MAX);
    json_array_foreach(list, i, v)
    {
        struct push_part *p = &s->parts[s->n_parts++];
        if (!json_is_object(v))
            return yaml_fail(ctx, r->y, v, "a part must hold name and text");
        TRY(yaml_only(ctx, r->y, v, keys));
        TRY(take_template(ctx, r, v, "name", true, &p->name));
        TRY(take_template(ctx, r, v, "filename", false, &p->filename));
        TRY(take_template(ctx, r, v, "type", false, &p->type));
        TRY(take_template(ctx, r, v, "text", true, &p->text));
    }
    return RC_OK;
}

static RC read_body(struct ctx *ctx, struct push_reader *r, const json_t *obj, struct push_step *s)
{
    static const char *const keys[] = {"json", "text", "form", "multipart", NULL};
    const json_t *v = json_object_get(obj, "body");
    if (v == NULL)
        return RC_OK;
    if (!json_is_object(v) || json_object_size(v) != 1)
        return yaml_fail(ctx, r->y, v, "body must hold one of json, text, form and multipart");
    TRY(yaml_only(ctx, r->y, v, keys));
    json_t *tree = json_object_get(v, "json");
    if (tree != NULL) {
        s->kind = PUSH_BODY_JSON;
        TRY(push_reader_tree(ctx, r, tree, &s->body));
    } else if (json_object_get(v, "text") != NULL) {
        s->kind = PUSH_BODY_TEXT;
        TRY(take_template(ctx, r, v, "text", true, &s->body));
    } else if (json_object_get(v, "form") != NULL) {
        s->kind = PUSH_BODY_FORM;
        TRY(take_pairs(ctx, r, v, "form", &s->form));
    } else {
        s->kind = PUSH_BODY_MULTIPART;
        TRY(read_parts(ctx, r, json_object_get(v, "multipart"), s));
    }
    return RC_OK;
}

static RC take_value_name(struct ctx *ctx, struct push_reader *r, const json_t *v, const char *key, const char **out)
{
    TRY(take_text(ctx, r, v, key, false, out));
    const char *wrong = *out != NULL ? r->name_wrong(ctx, r, bytes_z(*out)) : NULL;
    return wrong == NULL ? RC_OK : yaml_fail(ctx, r->y, v, "%s: %s %s", key, *out, wrong);
}

static RC read_when(struct ctx *ctx, struct push_reader *r, const json_t *obj, struct push_step *s)
{
    static const char *const keys[] = {"before", "now", "set", "unset", NULL};
    static const char *const states[] = {"new", "previous", "absent", NULL};
    const json_t *v = json_object_get(obj, "when");
    const char *before = NULL;
    if (v == NULL)
        return RC_OK;
    if (!json_is_object(v))
        return yaml_fail(ctx, r->y, v, "when must hold before, now, set or unset");
    TRY(yaml_only(ctx, r->y, v, keys));
    TRY(take_text(ctx, r, v, "before", false, &before));
    TRY(take_text(ctx, r, v, "now", false, &s->now));
    TRY(take_value_name(ctx, r, v, "set", &s->set));
    TRY(take_value_name(ctx, r, v, "unset", &s->unset));
    if (before != NULL && strcmp(before, "present") != 0 && strcmp(before, "absent") != 0)
        return yaml_fail(ctx, r->y, v, "before must be present or absent");
    if (before != NULL)
        s->before = strcmp(before, "present") == 0 ? PUSH_WAS_PRESENT : PUSH_WAS_ABSENT;
    if (before != NULL && r->list != STEPS_INSTALL && r->list != STEPS_UNDO)
        return yaml_fail(ctx, r->y, v, "before is known in install and undo alone");
    if (s->now != NULL && (r->list != STEPS_UNDO || !one_of(states, bytes_z(s->now))))
        return yaml_fail(ctx, r->y, v, "now is for undo: one of %s", words_text(ctx, states));
    return RC_OK;
}

static RC read_answer(struct ctx *ctx, struct push_reader *r, const json_t *obj, struct push_step *s)
{
    static const char *const poll_keys[] = {"json", "between", "done", "failed", "every_s", "most_s", NULL};
    static const char *const fail_keys[] = {"json", "between", "element", "attribute", "is", "not", "unless", NULL};
    static const char *const conflict_keys[] = {"json", "between", "body", "has", NULL};
    static const char *const message_keys[] = {"json", "between", NULL};
    const json_t *poll = json_object_get(obj, "poll"), *fail = json_object_get(obj, "fail_if"), *message;
    const json_t *conflict = json_object_get(obj, "conflict_if");
    message = json_object_get(obj, "message");
    if (poll != NULL) {
        TRY(yaml_only(ctx, r->y, poll, poll_keys));
        TRY(read_from(ctx, r, poll, &s->poll));
        TRY(take_texts(ctx, r, poll, "done", NULL, &s->poll_done));
        TRY(take_texts(ctx, r, poll, "failed", NULL, &s->poll_failed));
        s->poll_every_s = 2;
        s->poll_most_s = 60;
        TRY(take_seconds(ctx, r, poll, "every_s", 60, &s->poll_every_s));
        TRY(take_seconds(ctx, r, poll, "most_s", 300, &s->poll_most_s));
        if (s->poll_done.n == 0)
            return yaml_fail(ctx, r->y, poll, "poll must say in `done` what it waits for");
        if (strcmp(s->method, "GET") != 0)
            return yaml_fail(ctx, r->y, poll, "only a GET can be asked again and again");
        s->has_poll = true;
    }
    if (fail != NULL) {
        TRY(yaml_only(ctx, r->y, fail, fail_keys));
        TRY(read_from(ctx, r, fail, &s->fail_if));
        TRY(take_texts(ctx, r, fail, "is", NULL, &s->fail_is));
        TRY(take_texts(ctx, r, fail, "not", NULL, &s->fail_not));
        TRY(take_texts(ctx, r, fail, "unless", NULL, &s->fail_unless));
        s->fail_there = json_object_get(fail, "unless") != NULL;
        if ((s->fail_is.n > 0) + (s->fail_not.n > 0) + s->fail_there != 1)
            return yaml_fail(ctx, r->y, fail, "fail_if must hold one of is, not and unless");
        s->has_fail_if = true;
    }
    if (conflict != NULL) {
        TRY(yaml_only(ctx, r->y, conflict, conflict_keys));
        TRY(read_from(ctx, r, conflict, &s->conflict_if));
        TRY(take_text(ctx, r, conflict, "has", true, &s->conflict_has));
        s->has_conflict_if = true;
    }
    if (message != NULL) {
        TRY(yaml_only(ctx, r->y, message, message_keys));
        TRY(read_from(ctx, r, message, &s->message));
        s->has_message = true;
    }
    return RC_OK;
}

/* A header's name is a token (RFC 9110 section 5.1), and not one of those that are ours. */
static RC check_headers(struct ctx *ctx, struct push_reader *r, const json_t *obj, const struct push_pairs *headers)
{
    static const char *const ours[] = {"host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade",
                                       NULL};
    for (size_t i = 0; i < headers->n; i++) {
        struct bytes name = bytes_z(headers->v[i].name);
        bool good = is_word(name);
        for (size_t k = 0; ours[k] != NULL; k++)
            good = good && !bytes_equal_nocase(name, bytes_z(ours[k]));
        if (!good)
            return yaml_fail(ctx, r->y, obj, "%s cannot be a header here", headers->v[i].name);
    }
    return RC_OK;
}

static const char *const changing[] = {"WRITE", "KEEP", "RESTORE", "PUT", "DELETE", "PATCH", NULL};

static bool is_look(const struct push_reader *r)
{
    return r->list == STEPS_SEE || r->list == STEPS_TEST || r->list == STEPS_ZONE;
}

/* A look that takes several requests: for each member of a list, or page by page. */
static RC read_several(struct ctx *ctx, struct push_reader *r, const json_t *v, struct push_step *s)
{
    static const char *const keys[] = {"query", "json", "header", NULL};
    const json_t *pages = json_object_get(v, "pages"), *next = json_object_get(v, "next");
    const json_t *more = pages != NULL ? pages : next;
    if ((more != NULL || s->over != NULL) && (!is_look(r) || r->name_wrong == name_wrong || strcmp(s->method, "GET") != 0))
        return yaml_fail(ctx, r->y, v, "over, pages and next are for a GET of a DNS provider's see and zone");
    if ((pages != NULL) + (next != NULL) + (s->over != NULL) > 1)
        return yaml_fail(ctx, r->y, v, "a step has one of over, pages and next");
    if ((more != NULL || s->over != NULL) && (s->n_reads == 0 || !s->reads[0].optional))
        return yaml_fail(ctx, r->y, v, "over, pages and next go on until the first read finds something: it must be optional");
    if (more == NULL)
        return RC_OK;
    TRY(yaml_only(ctx, r->y, more, keys));
    TRY(take_text(ctx, r, more, "query", true, &s->more_query));
    s->more_counts = pages != NULL;
    return read_from(ctx, r, more, &s->more);
}

static RC read_request(struct ctx *ctx, struct push_reader *r, const json_t *v, struct push_step *s)
{
    const char *const *methods = strcmp(r->d->transport, "ssh") == 0 ? methods_ssh : methods_https;
    TRY(take_text(ctx, r, v, "method", true, &s->method));
    if (!one_of(methods, bytes_z(s->method)))
        return yaml_fail(ctx, r->y, json_object_get(v, "method"), "method must be one of %s", words_text(ctx, methods));
    TRY(take_template(ctx, r, v, "path", false, &s->path));
    TRY(take_template(ctx, r, v, "url", false, &s->url));
    TRY(take_template(ctx, r, v, "mode", false, &s->mode));
    if ((s->path != NULL) == (s->url != NULL) || (s->url != NULL && methods == methods_ssh))
        return yaml_fail(ctx, r->y, v, "a step needs a path, or over https a url instead");
    if (s->path != NULL && methods == methods_https && s->path[0] != '/' && s->path[0] != '\0')
        return yaml_fail(ctx, r->y, json_object_get(v, "path"), "path must begin with /");
    if (s->path != NULL && methods == methods_https && r->d->base == NULL)
        return yaml_fail(ctx, r->y, v, "a path needs `base`");
    if (s->mode != NULL && (methods != methods_ssh || strcmp(s->method, "WRITE") != 0))
        return yaml_fail(ctx, r->y, v, "mode is for WRITE over ssh");
    if (is_look(r) && one_of(changing, bytes_z(s->method)))
        return yaml_fail(ctx, r->y, v, "%s must not change anything: no %s", list_names[r->list], s->method);
    TRY(take_pairs(ctx, r, v, "query", &s->query));
    TRY(take_pairs(ctx, r, v, "headers", &s->headers));
    TRY(check_headers(ctx, r, v, &s->headers));
    return read_body(ctx, r, v, s);
}

static RC read_step(struct ctx *ctx, struct push_reader *r, const json_t *v, struct push_step *s)
{
    static const char *const keys[] = {"name",    "when", "method",  "path",    "url",      "mode",        "query",
                                       "headers", "body", "expect",  "absent",  "conflict", "conflict_if", "done",
                                       "read",    "poll", "fail_if", "message", "over",     "pages",       "next", NULL};
    static const char *const taken[] = {"see", "before", "auth", "zone", NULL};
    if (!json_is_object(v))
        return yaml_fail(ctx, r->y, v, "a step of %s must hold method and path", list_names[r->list]);
    TRY(yaml_only(ctx, r->y, v, keys));
    s->line = yaml_line(r->y, json_object_get(v, "method"));
    TRY(take_text(ctx, r, v, "name", false, &s->name));
    if (s->name != NULL && (!is_word(bytes_z(s->name)) || one_of(taken, bytes_z(s->name))))
        return yaml_fail(ctx, r->y, v, "%s cannot name a step", s->name);
    TRY(read_when(ctx, r, v, s));
    TRY(take_value_name(ctx, r, v, "over", &s->over));
    r->member = s->over != NULL;
    TRY(read_request(ctx, r, v, s));
    TRY(take_statuses(ctx, r, v, "expect", &s->expect));
    TRY(take_statuses(ctx, r, v, "absent", &s->absent));
    TRY(take_statuses(ctx, r, v, "conflict", &s->conflict));
    TRY(take_statuses(ctx, r, v, "done", &s->done));
    if (s->absent.n > 0 && r->list != STEPS_SEE)
        return yaml_fail(ctx, r->y, v, "absent is for see; for a request that found nothing to do write `done`");
    TRY(read_reads(ctx, r, v, s));
    TRY(read_several(ctx, r, v, s));
    TRY(read_answer(ctx, r, v, s));
    r->member = false;
    return RC_OK;
}

RC push_reader_steps(struct ctx *ctx, struct push_reader *r, const json_t *obj, enum push_steps list, struct push_step **out,
                     size_t *n)
{
    const char *key = list_names[list];
    json_t *all = json_object_get(obj, key), *v;
    size_t i;
    bool one = json_is_object(all); /* login and logout may be one step */
    if (all == NULL)
        return list == STEPS_LOGOUT ? RC_OK : yaml_fail(ctx, r->y, obj, "%s is missing", key);
    size_t count = one ? 1 : json_array_size(all);
    if ((!one && !json_is_array(all)) || count == 0 || count > PUSH_STEPS_MAX)
        return yaml_fail(ctx, r->y, all, "%s must be a list of 1 to %d steps", key, PUSH_STEPS_MAX);
    *out = arena_array(&ctx->arena, count, sizeof **out);
    r->list = list;
    r->steps = *out;
    r->n = 0;
    if (one)
        TRY(read_step(ctx, r, all, &(*out)[r->n++]));
    else
        json_array_foreach(all, i, v)
        {
            TRY(read_step(ctx, r, v, &(*out)[i]));
            r->n++; /* what a step reads is for those after it */
        }
    *n = r->n;
    return RC_OK;
}

/* --- the section */

static bool has_word(const char *words, const char *word)
{
    struct bytes rest = bytes_z(words), one;
    while (bytes_take_until(&rest, ' ', &one))
        if (bytes_equal_z(one, word))
            return true;
    return false;
}

static const char *pair_value(const struct push_pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    return NULL;
}

static RC add_setting(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key)
{
    if (r->d->settings.n == PUSH_PAIRS_MAX)
        return yaml_fail(ctx, r->y, obj, "more than %d settings", PUSH_PAIRS_MAX);
    struct push_pair *p = &r->d->settings.v[r->d->settings.n++];
    p->name = arena_strdup(&ctx->arena, key);
    return take_template(ctx, r, obj, key, true, &p->value);
}

static RC read_session(struct ctx *ctx, struct push_reader *r, const json_t *v)
{
    static const char *const keys[] = {"family", "login", "sign", "logout", NULL};
    static const char *const sign_keys[] = {"headers", "query", NULL};
    const json_t *sign = json_object_get(v, "sign");
    TRY(yaml_only(ctx, r->y, v, keys));
    TRY(push_reader_steps(ctx, r, v, STEPS_LOGIN, &r->d->login, &r->d->n_login));
    if (!json_is_object(sign))
        return yaml_fail(ctx, r->y, v, "sign must hold headers or query");
    TRY(yaml_only(ctx, r->y, sign, sign_keys));
    r->list = STEPS_LOGOUT; /* what login has read is there */
    TRY(take_pairs(ctx, r, sign, "headers", &r->d->sign_headers));
    TRY(take_pairs(ctx, r, sign, "query", &r->d->sign_query));
    TRY(check_headers(ctx, r, sign, &r->d->sign_headers));
    return push_reader_steps(ctx, r, v, STEPS_LOGOUT, &r->d->logout, &r->d->n_logout);
}

RC push_reader_auth(struct ctx *ctx, struct push_reader *r, const json_t *section)
{
    json_t *auth = json_object_get(section, "auth"), *v;
    const struct family *f = NULL;
    const char *key;
    if (!json_is_object(auth))
        return yaml_fail(ctx, r->y, auth != NULL ? auth : section, "auth must hold family and its settings");
    TRY(take_text(ctx, r, auth, "family", true, &r->d->family));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].name, r->d->family) == 0)
            f = &families[i];
    if (f == NULL) {
        const char *names[sizeof families / sizeof *families + 1] = {NULL};
        for (size_t i = 0; i < sizeof families / sizeof *families; i++)
            names[i] = families[i].name;
        return yaml_fail(ctx, r->y, auth, "no family is named %s; there are %s", r->d->family, words_text(ctx, names));
    }
    if (strcmp(f->name, "session-login") == 0)
        return read_session(ctx, r, auth);
    json_object_foreach(auth, key, v)
    {
        if (strcmp(key, "family") == 0)
            continue;
        if (!has_word(f->must, key) && !has_word(f->may, key))
            return yaml_fail(ctx, r->y, v, "family %s has no setting %s; it has %s %s", f->name, key, f->must, f->may);
        TRY(add_setting(ctx, r, auth, key));
    }
    struct bytes rest = bytes_z(f->must), word;
    while (bytes_take_until(&rest, ' ', &word))
        if (pair_value(&r->d->settings, arena_str(&ctx->arena, word)) == NULL)
            return yaml_fail(ctx, r->y, auth, "family %s needs %.*s", f->name, (int)word.n, (const char *)word.p);
    return RC_OK;
}

RC push_reader_parameters(struct ctx *ctx, const struct push_reader *r, const json_t *section, const char *const *taken)
{
    bool credential = false;
    const char *who = taken == facts ? "a target without an agent" : "a DNS provider";
    for (size_t i = 0; i < r->c->n_params; i++) {
        const struct connector_param *p = &r->c->params[i];
        credential |= p->type == PARAM_CREDENTIAL;
        if (p->type < PARAM_NAME)
            return yaml_fail(ctx, r->y, section, "parameter %s: %s has no paths, commands and users of this host", p->name, who);
        if (one_of(taken, bytes_z(p->name)) || (taken == facts && is_content(bytes_z(p->name))) || !is_word(bytes_z(p->name)))
            return yaml_fail(ctx, r->y, section, "parameter %s must have another name: that one means something in templates",
                             p->name);
    }
    /* Where a credential may be sent is what binds a private key to its destination. */
    return credential ? RC_OK : yaml_fail(ctx, r->y, section, "%s needs a parameter of type credential", who);
}

RC push_desc_read(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct push_desc *out)
{
    static const char *const keys[] = {"transport", "base", "host",    "port", "user", "host_key",
                                       "auth",      "see",  "install", "undo", NULL};
    static const char *const transports[] = {"https", "ssh", NULL};
    static const char *const ssh[] = {"host", "port", "user", "host_key", NULL};
    struct push_reader r = {.y = y, .c = c, .d = out, .list = STEPS_LOGOUT, .name_wrong = name_wrong};
    *out = (struct push_desc){.transport = "https", .family = ""};
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "relay must hold auth, see, install and undo");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(push_reader_parameters(ctx, &r, v, facts));
    TRY(take_text(ctx, &r, v, "transport", false, &out->transport));
    if (!one_of(transports, bytes_z(out->transport)))
        return yaml_fail(ctx, y, v, "transport must be one of %s", words_text(ctx, transports));
    TRY(take_template(ctx, &r, v, "base", false, &out->base));
    bool over_ssh = strcmp(out->transport, "ssh") == 0;
    for (size_t i = 0; ssh[i] != NULL; i++) {
        if (over_ssh != (json_object_get(v, ssh[i]) != NULL))
            return yaml_fail(ctx, y, v, over_ssh ? "transport ssh needs %s" : "%s is for transport ssh", ssh[i]);
        if (over_ssh)
            TRY(add_setting(ctx, &r, v, ssh[i]));
    }
    if (over_ssh && out->base != NULL)
        return yaml_fail(ctx, y, v, "base is for transport https");
    TRY(push_reader_auth(ctx, &r, v));
    TRY(push_reader_steps(ctx, &r, v, STEPS_SEE, &out->see, &out->n_see));
    if (!push_reader_has(out->see, out->n_see, NULL, BYTES_LIT("certificate")) &&
        !push_reader_has(out->see, out->n_see, NULL, BYTES_LIT("fingerprint")) &&
        !push_reader_has(out->see, out->n_see, NULL, BYTES_LIT("serial")))
        return yaml_fail(ctx, y, json_object_get(v, "see"), "see must read certificate, fingerprint or serial");
    TRY(push_reader_steps(ctx, &r, v, STEPS_INSTALL, &out->install, &out->n_install));
    return push_reader_steps(ctx, &r, v, STEPS_UNDO, &out->undo, &out->n_undo);
}
