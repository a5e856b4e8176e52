#include "agent/adopt_edit.h"

#include <ctype.h>

#include "base/buf.h"

#define ADOPTED "# adopted by certwright: "

/* The next line, without its end. */
static bool next_line(struct bytes *text, struct bytes *line)
{
    if (text->n == 0)
        return false;
    const uint8_t *end = memchr(text->p, '\n', text->n);
    *line = bytes_of(text->p, end != NULL ? (size_t)(end - text->p) : text->n);
    bytes_skip(text, line->n + (end != NULL));
    return true;
}

static struct bytes trim(struct bytes b)
{
    while (b.n > 0 && isspace(b.p[b.n - 1]))
        b.n--;
    return bytes_trim(b);
}

/* The value of "key = value"; a comment has none. */
static bool value_of(struct bytes line, const char *key, struct bytes *value)
{
    struct bytes rest = trim(line), name;
    if (rest.n == 0 || *rest.p == '#' || memchr(rest.p, '=', rest.n) == NULL || !bytes_take_until(&rest, '=', &name) ||
        !bytes_equal_z(bytes_trim(name), key))
        return false;
    *value = bytes_trim(rest);
    if (value->n > 1 && (*value->p == '\'' || *value->p == '"') && value->p[value->n - 1] == *value->p)
        *value = bytes_of(value->p + 1, value->n - 2);
    return true;
}

bool adopt_setting(struct ctx *ctx, struct bytes text, const char *key, const char **value)
{
    struct bytes line, v, last = {0};
    while (next_line(&text, &line))
        if (value_of(line, key, &v))
            last = v;
    if (last.n == 0 || last.n > ADOPT_LINE_MAX)
        return false;
    *value = str_z(&ctx->arena, last);
    return *value != NULL;
}

static struct adopt_edit *add(struct adopt_edit *edits, size_t *n, struct adopt_edit e)
{
    edits[*n] = e;
    return &edits[(*n)++];
}

/* Replaces the line of a setting, or puts it behind `after`. */
static RC plan_setting(struct ctx *ctx, const char *key, const char *file, struct bytes text, const char *is, struct bytes after,
                       struct adopt_edit *edits, size_t *n)
{
    struct bytes line, value;
    struct adopt_edit e = {.file = file, .inserted = true, .is = bytes_z(is), .after = after};
    while (next_line(&text, &line))
        if (value_of(line, key, &value)) {
            if (!e.inserted)
                return ctx_fail(ctx, E_UNSUPPORTED, "%s has %s twice: leave one of them", file, key);
            e.inserted = false;
            e.was = line;
        }
    if (e.was.n > ADOPT_LINE_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%s: the line %s is longer than %d bytes", file, key, ADOPT_LINE_MAX);
    add(edits, n, e);
    return RC_OK;
}

static RC plan_certbot(struct ctx *ctx, const char *name, const char *file, struct bytes text, struct adopt_edit *edits, size_t *n,
                       const char **why)
{
    struct bytes all = text, line, head = {0}, value;
    (void)name;
    while (next_line(&all, &line)) {
        if (bytes_equal_z(trim(line), "[renewalparams]"))
            head = line;
        if (value_of(line, "autorenew", &value) && bytes_equal_nocase(value, BYTES_LIT("false"))) {
            *why = "its renewal was switched off there already";
            return RC_OK;
        }
    }
    if (head.n == 0 || head.n > ADOPT_LINE_MAX)
        return ctx_fail(ctx, E_UNSUPPORTED, "%s has no section [renewalparams]: is it of certbot?", file);
    return plan_setting(ctx, "autorenew", file, text, "autorenew = False", head, edits, n);
}

static RC plan_acme_sh(struct ctx *ctx, const char *name, const char *file, struct bytes text, struct adopt_edit *edits, size_t *n,
                       const char **why)
{
    (void)name;
    TRY(plan_setting(ctx, "Le_NextRenewTime", file, text, "Le_NextRenewTime='4102444800'", (struct bytes){0}, edits, n));
    if (!edits[0].inserted && bytes_equal(edits[0].was, edits[0].is)) {
        *why = "its renewal was switched off there already";
        *n = 0;
    }
    return RC_OK;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_word(struct bytes *line, struct bytes *word)
{
    size_t n = 0;
    while (line->n > 0 && is_space(*line->p))
        bytes_skip(line, 1);
    while (n < line->n && !is_space(line->p[n]))
        n++;
    return n > 0 && bytes_take(line, n, word);
}

/* "example.org www.example.org > alias": it is called by its alias, or else by the first name. */
static bool line_is_of(struct bytes line, const char *name)
{
    struct bytes word, first = {0}, before = {0};
    const uint8_t *comment = line.n > 0 ? memchr(line.p, '#', line.n) : NULL;
    if (comment != NULL)
        line.n = (size_t)(comment - line.p);
    while (next_word(&line, &word)) {
        if (bytes_equal_z(before, ">"))
            first = word;
        else if (first.n == 0)
            first = word;
        before = word;
    }
    return first.n > 0 && bytes_equal_nocase(first, bytes_z(name));
}

/* Where a line that says `what` begins; SIZE_MAX where none does. */
static size_t find(struct bytes text, struct bytes what)
{
    const uint8_t *begin = text.p;
    struct bytes line;
    while (next_line(&text, &line))
        if (bytes_equal(line, what))
            return (size_t)(line.p - begin);
    return SIZE_MAX;
}

/* The line becomes a comment. */
static RC comment_out(struct ctx *ctx, const char *name, const char *file, struct bytes all, struct bytes line,
                      struct adopt_edit *edits, size_t *n)
{
    if (line.n > ADOPT_LINE_MAX || *n == ADOPT_EDITS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%s: too many lines, or too long ones, name %s", file, name);
    const struct bytes is = bytes_z(arena_printf(&ctx->arena, ADOPTED "%.*s", (int)line.n, (const char *)line.p));
    if (is.n != line.n + sizeof ADOPTED - 1)
        return ctx_fail(ctx, E_UNSUPPORTED, "%s is no text", file);
    if (find(all, is) != SIZE_MAX) /* which of the two would come back? */
        return ctx_fail(ctx, E_UNSUPPORTED, "%s has the line \"%s\" already: remove it", file, (const char *)is.p);
    add(edits, n, (struct adopt_edit){.file = file, .was = line, .is = is});
    return RC_OK;
}

static RC plan_dehydrated(struct ctx *ctx, const char *name, const char *file, struct bytes text, struct adopt_edit *edits,
                          size_t *n, const char **why)
{
    const struct bytes all = text;
    struct bytes line;
    while (next_line(&text, &line)) {
        if (!line_is_of(line, name))
            continue;
        TRY(comment_out(ctx, name, file, all, line, edits, n));
    }
    if (*n == 0)
        *why = arena_printf(&ctx->arena, "%s has no line for it", file);
    return RC_OK;
}

/* A word without quotes around it. */
static bool next_argument(struct bytes *line, struct bytes *word)
{
    if (!next_word(line, word))
        return false;
    while (word->n > 1 && (*word->p == '\'' || *word->p == '"') && word->p[word->n - 1] == *word->p)
        *word = bytes_of(word->p + 1, word->n - 2);
    return true;
}

static struct bytes base_name(struct bytes path)
{
    const uint8_t *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
    return slash != NULL ? bytes_of(slash + 1, (size_t)(path.p + path.n - slash - 1)) : path;
}

/* The certificate that a line of a crontab renews: of lego the first of its domains, of uacme what follows "issue".  False where it
 * starts the client not at all, or more than once: then the rest of it is not ours to switch off. */
static bool cron_line_of(struct bytes line, enum lineage_client client, struct bytes *name)
{
    struct bytes word;
    size_t programs = 0;
    bool is_next = false, after_option = false; /* --path /etc/lego is no program */
    *name = (struct bytes){0};
    if (trim(line).n == 0 || *trim(line).p == '#')
        return false;
    while (next_argument(&line, &word)) {
        if (is_next && name->n == 0)
            *name = word;
        is_next = false;
        if (!after_option && bytes_equal_z(base_name(word), lineage_client_name(client)))
            programs++;
        else if (programs > 0 && client == LINEAGE_LEGO)
            is_next = bytes_equal_z(word, "-d") || bytes_equal_z(word, "--domains");
        else if (programs > 0)
            is_next = bytes_equal_z(word, "issue");
        static const char with_value[] = "--domains=";
        if (client == LINEAGE_LEGO && name->n == 0 && word.n > sizeof with_value - 1 &&
            memcmp(word.p, with_value, sizeof with_value - 1) == 0)
            *name = bytes_of(word.p + sizeof with_value - 1, word.n - (sizeof with_value - 1));
        after_option = word.n > 0 && *word.p == '-';
    }
    return programs == 1 && name->n > 0;
}

static RC plan_cron(struct ctx *ctx, enum lineage_client client, const char *called, const char *file, struct bytes text,
                    struct adopt_edit *edits, size_t *n, const char **why)
{
    const struct bytes all = text;
    struct bytes line, name;
    while (next_line(&text, &line))
        if (cron_line_of(line, client, &name) && bytes_equal_nocase(name, bytes_z(called)))
            TRY(comment_out(ctx, called, file, all, line, edits, n));
    if (*n == 0)
        *why = arena_printf(&ctx->arena, "%s has no line for it alone", file);
    return RC_OK;
}

static RC plan_lego(struct ctx *ctx, const char *name, const char *file, struct bytes text, struct adopt_edit *edits, size_t *n,
                    const char **why)
{
    return plan_cron(ctx, LINEAGE_LEGO, name, file, text, edits, n, why);
}

static RC plan_uacme(struct ctx *ctx, const char *name, const char *file, struct bytes text, struct adopt_edit *edits, size_t *n,
                     const char **why)
{
    return plan_cron(ctx, LINEAGE_UACME, name, file, text, edits, n, why);
}

RC adopt_edit_plan(struct ctx *ctx, enum lineage_client client, const char *name, const char *file, struct bytes text,
                   struct adopt_edit *edits, size_t *n, const char **why)
{
    static struct rc (*const plans[LINEAGE_CLIENTS])(struct ctx *, const char *, const char *, struct bytes, struct adopt_edit *,
                                                     size_t *, const char **) = {
        [LINEAGE_CERTBOT] = plan_certbot, [LINEAGE_ACME_SH] = plan_acme_sh, [LINEAGE_DEHYDRATED] = plan_dehydrated,
        [LINEAGE_LEGO] = plan_lego, [LINEAGE_UACME] = plan_uacme};
    *n = 0;
    *why = "";
    return plans[client] != NULL ? plans[client](ctx, name, file, text, edits, n, why) : RC_OK;
}

/* `text` with what stands at `at`, `n` bytes, replaced. */
static struct bytes spliced(struct ctx *ctx, struct bytes text, size_t at, size_t n, struct bytes by, bool newline)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, text.n + by.n + 2);
    buf_put(&b, bytes_of(text.p, at));
    buf_put(&b, by);
    if (newline)
        buf_put_u8(&b, '\n');
    buf_put(&b, bytes_of(text.p + at + n, text.n - at - n));
    return buf_bytes(&b);
}

enum adopt_edit_end adopt_edit_make(struct ctx *ctx, const struct adopt_edit *e, struct bytes text, struct bytes *out)
{
    size_t at = e->inserted ? SIZE_MAX : find(text, e->was);
    if (at != SIZE_MAX) {
        *out = spliced(ctx, text, at, e->was.n, e->is, false);
        return ADOPT_EDIT_MADE;
    }
    if (find(text, e->is) != SIZE_MAX)
        return ADOPT_EDIT_THERE;
    if (!e->inserted)
        return ADOPT_EDIT_LOST;
    at = e->after.n > 0 ? find(text, e->after) : 0;
    if (at == SIZE_MAX)
        return ADOPT_EDIT_LOST;
    at += e->after.n;
    if (e->after.n > 0 && at == text.n) /* its line has no end */
        *out = spliced(ctx, text, at, 0, bytes_z(arena_printf(&ctx->arena, "\n%.*s", (int)e->is.n, (const char *)e->is.p)), false);
    else
        *out = spliced(ctx, text, at + (e->after.n > 0), 0, e->is, true);
    return ADOPT_EDIT_MADE;
}

enum adopt_edit_end adopt_edit_undo(struct ctx *ctx, const struct adopt_edit *e, struct bytes text, struct bytes *out)
{
    const size_t at = find(text, e->is);
    if (at == SIZE_MAX)
        return e->inserted || find(text, e->was) != SIZE_MAX ? ADOPT_EDIT_THERE : ADOPT_EDIT_LOST;
    if (!e->inserted)
        *out = spliced(ctx, text, at, e->is.n, e->was, false);
    else if (at + e->is.n < text.n)
        *out = spliced(ctx, text, at, e->is.n + 1, (struct bytes){0}, false);
    else /* the last line, without an end: the one before it had none */
        *out = spliced(ctx, text, at > 0 ? at - 1 : 0, e->is.n + (at > 0), (struct bytes){0}, false);
    return ADOPT_EDIT_MADE;
}
