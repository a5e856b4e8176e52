/* certwright export, certwright apply: the whole wish as files.  What a file does not name stays as it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/yaml.h"
#include "cli/desired.h"
#include "cli/yaml_out.h"
#include "os/file.h"

#define FILES_MAX  1000
#define POLICY_MAX ((size_t)1 << 18)

/* --- export */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of an object's members, sorted: files that are the same when nothing has changed. */
static const char **sorted(struct ctx *ctx, const json_t *object, size_t *n)
{
    const char **names = arena_array(&ctx->arena, json_object_size(object) + 1, sizeof *names), *key;
    json_t *v;
    *n = 0;
    json_object_foreach((json_t *)object, key, v) names[(*n)++] = arena_strdup(&ctx->arena, key);
    qsort(names, *n, sizeof *names, by_name);
    return names;
}

/* Teams in the order in which they can be made. */
static size_t depth_of(const json_t *teams, const char *name)
{
    size_t depth = 0;
    for (const json_t *t; depth < 64 && (t = json_object_get(teams, name)); depth++)
        name = cli_text(t, "team");
    return depth;
}

static void by_depth(const json_t *teams, const char **names, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k && depth_of(teams, names[k]) < depth_of(teams, names[k - 1]); k--) {
            const char *other = names[k];
            names[k] = names[k - 1];
            names[k - 1] = other;
        }
}

static struct rc export_kind(struct cli *cli, const struct desired_kind *kind, const json_t *teams, struct buf *b, size_t *many)
{
    json_auto_t *there = NULL, *kept = NULL, *items = json_array();
    size_t n = 0;
    TRY(desired_read(cli, kind, teams, false, &there, &kept));
    const char **names = sorted(cli->ctx, there, &n);
    if (str_equal(kind->key, "teams"))
        by_depth(there, names, n);
    for (size_t i = 0; i < n; i++)
        if (!json_is_true(json_object_get(kept, names[i])))
            json_array_append(items, json_object_get(there, names[i]));
    *many = json_array_size(items);
    if (*many)
        yaml_out_list(b, kind->key, items);
    return buf_status(b);
}

/* As it was written, with its comments. */
static struct rc export_policy(struct cli *cli, const char *dir)
{
    const char *path = arena_printf(&cli->ctx->arena, "%s/" DESIRED_POLICY, dir);
    json_auto_t *now = NULL;
    struct rc rc = cli_call(cli, "GET", DESIRED_POLICY_PATH, (struct bytes){0}, &now);
    if (rc.e == E_FORBIDDEN) {
        ctx_forget(cli->ctx);
        fputs("certwright: the policy is left out: you may not see it\n", stderr);
        return RC_OK;
    }
    TRY(rc);
    if (!*cli_text(now, "document")) {
        unlink(path);
        return RC_OK;
    }
    TRY(file_write_atomic_path(cli->ctx, path, bytes_z(cli_text(now, "document")), (uid_t)-1, (gid_t)-1, 0644));
    cli_say(cli, "%-40s version %lld", path, (long long)json_integer_value(json_object_get(now, "revision")));
    return RC_OK;
}

RC verb_export(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *dir = cli_opt(cli, "out");
    json_auto_t *teams = NULL;
    TRY(desired_teams(cli, &teams));
    if (dir)
        TRY(file_mkdirs(ctx, dir, 0755));
    for (size_t i = 0; i < desired_kinds_n; i++) {
        struct buf b;
        size_t many = 0;
        buf_init_arena(&b, &ctx->arena, (size_t)1 << 28);
        struct rc rc = export_kind(cli, &desired_kinds[i], teams, &b, &many);
        if (rc.e == E_FORBIDDEN) { /* what somebody may not see is not theirs to keep */
            ctx_forget(ctx);
            fprintf(stderr, "certwright: %s are left out: you may not see them\n", desired_kinds[i].key);
            continue;
        }
        TRY(rc);
        const char *path = dir ? arena_printf(&ctx->arena, "%s/%s.yaml", dir, desired_kinds[i].key) : NULL;
        if (!dir && many)
            TRY(file_write_all(ctx, STDOUT_FILENO, "standard output", buf_bytes(&b)));
        if (!dir)
            continue;
        /* A file of another day must not bring back what is gone. */
        if (many)
            TRY(file_write_atomic_path(ctx, path, buf_bytes(&b), (uid_t)-1, (gid_t)-1, 0644));
        else
            unlink(path);
        if (many)
            cli_say(cli, "%-40s %zu", path, many);
    }
    return dir ? export_policy(cli, dir) : RC_OK;
}

/* --- what is wished for */

struct wished {
    const char *policy; /* the document; NULL: no file has one */
    json_t *items[32];  /* by kind: name to object; NULL: no file speaks of the kind */
    json_t *from[32];   /* likewise: name to "file:line" */
};

static void wished_free(struct wished *w)
{
    for (size_t i = 0; i < desired_kinds_n; i++) {
        json_decref(w->items[i]);
        json_decref(w->from[i]);
    }
}

static struct rc take_item(struct cli *cli, struct wished *w, size_t k, const struct yaml *y, json_t *item)
{
    const struct desired_kind *kind = &desired_kinds[k];
    struct ctx *ctx = cli->ctx;
    const char *key, *name;
    json_t *v;
    if (!json_is_object(item))
        return yaml_fail(ctx, y, item, "each of %s is a map that begins with its name", kind->key);
    name = json_string_value(json_object_get(item, "name"));
    if (!name || !*name)
        return yaml_fail(ctx, y, item, "a %s needs a name", kind->one);
    json_object_foreach(item, key, v)
    {
        if (desired_hidden(kind, key))
            return yaml_fail(ctx, y, v, "%s of %s %s does not belong into a file that others read: set it by certwright %s", key,
                             kind->one, name, str_equal(kind->one, "issuer") ? "issuer add or issuer edit" : "itself");
        if (!api_schema_field(kind->made, key))
            return yaml_fail(ctx, y, v, "a %s has no %s", kind->one, key);
    }
    const char *before = json_string_value(json_object_get(w->from[k], name));
    if (before)
        return yaml_fail(ctx, y, item, "%s %s is in %s already", kind->one, name, before);
    json_object_set(w->items[k], name, item);
    json_object_set_new(w->from[k], name, json_sprintf("%s:%d", y->name, yaml_line(y, item)));
    return RC_OK;
}

static struct rc take(struct cli *cli, struct wished *w, const struct yaml *y)
{
    const char *key;
    json_t *list, *item;
    size_t i;
    if (json_is_null(y->root))
        return RC_OK;
    if (!json_is_object(y->root))
        return yaml_fail(cli->ctx, y, y->root, "a map of lists is expected: certificates, issuers, …");
    json_object_foreach(y->root, key, list)
    {
        size_t k = 0;
        while (k < desired_kinds_n && !str_equal(desired_kinds[k].key, key))
            k++;
        if (k == desired_kinds_n)
            return yaml_fail(cli->ctx, y, list,
                             "%s is no kind of object; there are teams, roles, profiles, dns_providers, issuers, targets, "
                             "collections, channels, rules and certificates",
                             key);
        if (!json_is_array(list))
            return yaml_fail(cli->ctx, y, list, "%s is a list", key);
        if (!w->items[k]) {
            w->items[k] = json_object();
            w->from[k] = json_object();
        }
        json_array_foreach(list, i, item) TRY(take_item(cli, w, k, y, item));
    }
    return RC_OK;
}

static struct rc take_file(struct cli *cli, struct wished *w, const char *path)
{
    struct bytes text;
    struct yaml y = {0};
    TRY(file_read(cli->ctx, path, (size_t)1 << 20, &text));
    struct rc rc = yaml_read(cli->ctx, path, text, &y);
    if (rc_ok(rc))
        rc = take(cli, w, &y);
    yaml_free(&y);
    return rc;
}

static bool ends_as_yaml(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && *name != '.' && (str_equal(dot, ".yaml") || str_equal(dot, ".yml")) && !str_equal(name, DESIRED_POLICY);
}

static struct rc take_path(struct cli *cli, struct wished *w, const char *path)
{
    struct ctx *ctx = cli->ctx;
    struct stat st;
    if (stat(path, &st))
        return ctx_fail(ctx, E_NOT_FOUND, "%s cannot be read: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return take_file(cli, w, path);
    struct str_list names = {0};
    int fd = -1;
    TRY(file_open_dir(ctx, path, &fd));
    struct rc rc = file_list(ctx, fd, &names);
    close(fd);
    TRY(rc);
    if (names.n > FILES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%s holds more than %d files", path, FILES_MAX);
    qsort(names.v, names.n, sizeof *names.v, by_name);
    size_t some = 0;
    for (size_t i = 0; i < names.n; i++)
        if (str_equal(names.v[i], DESIRED_POLICY)) {
            struct bytes text;
            TRY(file_read(ctx, arena_printf(&ctx->arena, "%s/%s", path, names.v[i]), POLICY_MAX, &text));
            w->policy = arena_str(&ctx->arena, text);
            some++;
        } else if (ends_as_yaml(names.v[i])) {
            TRY(take_file(cli, w, arena_printf(&ctx->arena, "%s/%s", path, names.v[i])));
            some++;
        }
    return some ? RC_OK : ctx_fail(ctx, E_INVALID, "%s holds no file that ends with .yaml", path);
}

/* --- what is to be done */

enum act { ADD, CHANGE, REMOVE };

struct step {
    enum act act;
    const struct desired_kind *kind;
    const char *name;
    json_t *before, *after; /* CHANGE: of the fields that differ; ADD: after, REMOVE: before is all of it.  Owned */
};

struct plan {
    struct step *v;
    size_t n, max, by[3];
};

static void plan_free(struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        json_decref(p->v[i].before);
        json_decref(p->v[i].after);
    }
}

static void plan_add(struct ctx *ctx, struct plan *p, struct step s)
{
    if (p->n == p->max) {
        struct step *more = arena_array(&ctx->arena, p->max ? 2 * p->max : 64, sizeof *more);
        if (p->n)
            memcpy(more, p->v, p->n * sizeof *more);
        p->v = more;
        p->max = p->max ? 2 * p->max : 64;
    }
    p->v[p->n++] = s;
    p->by[s.act]++;
}

/* Whether what is there is as wished: of an object, in the members that the wish names. */
static bool is_as(const json_t *wish, const json_t *there, bool exact)
{
    const char *key;
    json_t *v;
    if (!json_is_object(wish) || !json_is_object(there) || exact)
        return json_equal(wish, there) || (json_is_null(wish) && !there) ||
               (json_is_array(wish) && !json_array_size(wish) && !there);
    json_object_foreach((json_t *)wish, key, v) if (!is_as(v, json_object_get(there, key), false)) return false;
    return true;
}

static struct rc compare(struct cli *cli, const struct wished *w, size_t k, const char *name, const json_t *wish,
                         const json_t *there, struct plan *p)
{
    const struct desired_kind *kind = &desired_kinds[k];
    json_auto_t *before = json_object(), *after = json_object();
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)wish, key, v)
    {
        const struct api_field *f = api_schema_field(kind->made, key);
        json_t *is = json_object_get(there, key);
        const bool unsaid =
            !is && (f->flags & API_DEFAULT) &&
            (json_is_boolean(v)   ? json_is_true(v) == (f->initial != 0)
             : json_is_integer(v) ? json_integer_value(v) == f->initial
                                  : json_is_string(v) && f->initial_text && str_equal(json_string_value(v), f->initial_text));
        json_auto_t *said = kind->whole && f->ref && json_is_object(v) ? desired_said(f->ref, v) : json_incref(v);
        if (unsaid || is_as(said, is, f->type == API_MAP || kind->whole))
            continue;
        const bool movable = str_equal(kind->key, "teams") && str_equal(key, "team");
        if (!movable && !api_schema_field(kind->patch, key))
            return ctx_fail(cli->ctx, E_CONFLICT, "%s: %s of %s %s cannot be changed; remove it, and apply again",
                            cli_text(w->from[k], name), key, kind->one, name);
        json_object_set(after, key, v);
        if (is)
            json_object_set(before, key, is);
    }
    if (json_object_size(after))
        plan_add(cli->ctx, p,
                 (struct step){CHANGE, kind, arena_strdup(&cli->ctx->arena, name), json_incref(before), json_incref(after)});
    return RC_OK;
}

static struct rc plan_kind(struct cli *cli, const struct wished *w, size_t k, const json_t *teams, struct plan *p,
                           struct plan *gone)
{
    const struct desired_kind *kind = &desired_kinds[k];
    struct ctx *ctx = cli->ctx;
    json_auto_t *there = NULL, *kept = NULL;
    size_t n = 0;
    if (!w->items[k])
        return RC_OK;
    TRY(desired_read(cli, kind, teams, true, &there, &kept));
    const char **names = sorted(ctx, w->items[k], &n);
    const bool is_team = str_equal(kind->key, "teams");
    if (is_team)
        by_depth(w->items[k], names, n);
    for (size_t i = 0; i < n; i++) {
        json_t *wish = json_object_get(w->items[k], names[i]), *is = json_object_get(there, names[i]);
        if (is)
            TRY(compare(cli, w, k, names[i], wish, is, p));
        else
            plan_add(ctx, p, (struct step){ADD, kind, names[i], NULL, json_incref(wish)});
    }
    if (!cli_has(cli, "prune"))
        return RC_OK;
    names = sorted(ctx, there, &n);
    if (is_team)
        by_depth(there, names, n);
    for (size_t i = 0; i < n; i++)
        if (!json_object_get(w->items[k], names[i]) && !json_object_get(kept, names[i]))
            plan_add(ctx, gone, (struct step){REMOVE, kind, names[i], json_incref(json_object_get(there, names[i])), NULL});
    return RC_OK;
}

/* Not taken away where no file has one. */
static struct rc plan_policy(struct cli *cli, const struct wished *w, struct plan *p)
{
    static const struct desired_kind policy = {.key = "policy", .one = "policy", .path = DESIRED_POLICY_PATH};
    json_auto_t *now = NULL;
    if (!w->policy)
        return RC_OK;
    TRY(cli_call(cli, "GET", DESIRED_POLICY_PATH, (struct bytes){0}, &now));
    if (str_equal(w->policy, cli_text(now, "document")))
        return RC_OK;
    plan_add(cli->ctx, p,
             (struct step){CHANGE, &policy, DESIRED_POLICY, json_pack("{s:O}", "revision", json_object_get(now, "revision")),
                           json_pack("{s:s}", "document", w->policy)});
    return RC_OK;
}

static struct rc plan_make(struct cli *cli, const struct wished *w, struct plan *p)
{
    struct plan gone = {0};
    json_auto_t *teams = NULL;
    TRY(desired_teams(cli, &teams));
    for (size_t k = 0; k < desired_kinds_n; k++) {
        struct rc rc = RC_OK;
        if (str_equal(desired_kinds[k].key, "certificates")) /* it names teams and issuers, and is about these */
            rc = plan_policy(cli, w, p);
        if (rc_ok(rc))
            rc = plan_kind(cli, w, k, teams, p, &gone);
        if (rc_failed(rc)) {
            plan_free(&gone);
            return rc;
        }
    }
    while (gone.n) /* from what needs others to what others need */
        plan_add(cli->ctx, p, gone.v[--gone.n]);
    return RC_OK;
}

/* --- showing it */

static const char *short_text(struct ctx *ctx, const json_t *v)
{
    if (!v)
        return "(nothing)";
    char *text = json_is_string(v) ? strdup(json_string_value(v)) : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *out = !text || strlen(text) > 200 || strchr(text, '\n') ? "(long)" : arena_strdup(&ctx->arena, text);
    free(text);
    return out;
}

static void show(struct cli *cli, const struct step *s)
{
    static const char signs[] = "+~-";
    const char *key;
    json_t *v;
    cli_say(cli, "%c %s %s", signs[s->act], s->kind->one, s->name);
    if (s->act == REMOVE)
        return;
    json_object_foreach(s->after, key, v)
    {
        const char *text = short_text(cli->ctx, v);
        if (str_equal(key, "name"))
            continue;
        if (s->act == ADD)
            cli_say(cli, "      %s: %s", key, text);
        else
            cli_say(cli, "      %s: %s -> %s", key, short_text(cli->ctx, json_object_get(s->before, key)), text);
    }
}

static struct rc show_json(struct cli *cli, const struct plan *p, const json_t *results)
{
    static const char *const acts[] = {"add", "change", "remove"};
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &cli->ctx->arena, (size_t)1 << 28);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < p->n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "act", acts[p->v[i].act]);
        json_put_str(&j, "kind", p->v[i].kind->key);
        json_put_str(&j, "name", p->v[i].name);
        if (p->v[i].before)
            json_put_value(&j, "before", p->v[i].before);
        if (p->v[i].after)
            json_put_value(&j, "after", p->v[i].after);
        if (results)
            json_put_str(&j, "result", json_string_value(json_array_get(results, i)));
        json_close(&j);
    }
    json_close(&j);
    buf_put_z(&b, "\n");
    TRY(buf_status(&b));
    return file_write_all(cli->ctx, STDOUT_FILENO, "standard output", buf_bytes(&b));
}

/* --- doing it */

static struct rc policy_do(struct cli *cli, const struct step *s)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_value(&b.j, "document", json_object_get(s->after, "document"));
    json_put_value(&b.j, "replaces", json_object_get(s->before, "revision"));
    return cli_call(cli, "PUT", s->kind->path, cli_body_end(&b), NULL);
}

static struct rc step_do(struct cli *cli, const struct step *s, const char **result)
{
    const char *at = cli_path(cli, arena_printf(&cli->ctx->arena, "%s/", s->kind->path), s->name, "");
    json_auto_t *body = s->act == REMOVE ? NULL : json_object(), *answer = NULL;
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &cli->ctx->arena, (size_t)1 << 20);
    *result = "done";
    if (!s->kind->made)
        return policy_do(cli, s);
    if (s->act == REMOVE)
        return cli_call(cli, "DELETE", at, (struct bytes){0}, NULL);
    json_object_update(body, s->after);
    if (s->act == CHANGE && json_object_get(body, "team")) { /* only teams themselves move */
        json_object_set(body, "parent", json_object_get(body, "team"));
        json_object_del(body, "team");
    }
    json_begin(&j, &b);
    json_put_value(&j, NULL, body);
    TRY(buf_status(&b));
    TRY(cli_call(cli, s->act == ADD ? "POST" : "PATCH", s->act == ADD ? s->kind->path : at, buf_bytes(&b), &answer));
    if (json_object_get(answer, "needs")) /* policy wants somebody's approval: what was asked for is a request now */
        *result = arena_printf(&cli->ctx->arena, "waits for approval: certwright request show %s", cli_text(answer, "id"));
    return RC_OK;
}

static struct rc plan_do(struct cli *cli, const struct plan *p, json_t *results)
{
    for (size_t i = 0; i < p->n; i++) {
        const char *result = NULL;
        struct rc rc = step_do(cli, &p->v[i], &result);
        if (rc_failed(rc)) {
            const char *why = arena_strdup(&cli->ctx->arena, ctx_why(cli->ctx));
            ctx_forget(cli->ctx);
            return ctx_fail(cli->ctx, rc.e, "%s %s: %s (%zu of %zu were done; apply goes on from there when it is mended)",
                            p->v[i].kind->one, p->v[i].name, why, i, p->n);
        }
        show(cli, &p->v[i]);
        if (!str_equal(result, "done"))
            cli_say(cli, "      %s", result);
        json_array_append_new(results, json_string(result));
    }
    return RC_OK;
}

RC verb_apply(struct cli *cli)
{
    struct wished w = {0};
    struct plan p = {0};
    json_auto_t *results = json_array();
    const struct str_list files = cli_list_opt(cli, "file");
    const bool dry = cli_has(cli, "dry-run");
    if (!files.n || cli->args.n)
        return ctx_fail(cli->ctx, E_USAGE,
                        "which files? certwright apply --file wish/ --dry-run; certwright export --out wish/ writes them");
    struct rc rc = RC_OK;
    for (size_t i = 0; i < files.n && rc_ok(rc); i++)
        rc = take_path(cli, &w, files.v[i]);
    if (rc_ok(rc))
        rc = plan_make(cli, &w, &p);
    if (rc_ok(rc) && dry)
        for (size_t i = 0; i < p.n; i++)
            show(cli, &p.v[i]);
    bool yes = false;
    if (rc_ok(rc) && !dry && p.by[REMOVE])
        rc = cli_sure(cli, &yes, "%zu will be removed. Go on?", p.by[REMOVE]);
    else
        yes = !dry;
    if (rc_ok(rc) && yes)
        rc = plan_do(cli, &p, results);
    if (rc_ok(rc) && !dry && !yes)
        cli_say(cli, "nothing was changed");
    else if (rc_ok(rc))
        cli_say(cli, p.n ? "%s: %zu added, %zu changed, %zu removed" : "%s: nothing to do", dry ? "would be" : "done", p.by[ADD],
                p.by[CHANGE], p.by[REMOVE]);
    if (rc_ok(rc) && cli->output == CLI_JSON)
        rc = show_json(cli, &p, yes ? results : NULL);
    plan_free(&p);
    wished_free(&w);
    return rc;
}
