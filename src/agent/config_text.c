#include "agent/config_text.h"

#include <strings.h>

#include "agent/config_formats.h"
#include "base/buf.h"

struct config_reader {
    struct ctx *ctx;
    const struct config_syntax *syntax;
    struct config_text *texts;
    size_t n_texts;
    struct config_line *at; /* the block that is open */
    int depth;
    const char *file;
    int number;
    size_t lines;
    struct str_list words; /* of the line that is being read */
    const char *ends, *first_ends; /* what ends a word besides blanks; the first word */
    size_t n_words;
};

/* --- the tree */

static RC begin_text(struct config_reader *r, const char *file)
{
    if (r->n_texts == CONFIG_ROOTS_MAX)
        return ctx_fail(r->ctx, E_TOO_LARGE, "more than %d configurations", CONFIG_ROOTS_MAX);
    struct config_text *t = &r->texts[r->n_texts++];
    *t = (struct config_text){.syntax = r->syntax, .file = file, .root = {.file = file, .block = true}};
    r->at = &t->root;
    r->depth = 0;
    r->file = file;
    r->number = 0;
    return RC_OK;
}

static RC add_line(struct config_reader *r, struct config_line **out)
{
    if (r->n_texts == 0)
        TRY(begin_text(r, ""));
    if (r->lines++ == CONFIG_LINES_MAX)
        return ctx_fail(r->ctx, E_TOO_LARGE, "the configuration has more than %d lines", CONFIG_LINES_MAX);
    struct config_line *l = ARENA_NEW(&r->ctx->arena, struct config_line);
    *l = (struct config_line){.words = r->words.v, .n = r->words.n, .file = r->file, .number = r->number, .parent = r->at};
    r->words = (struct str_list){0};
    if (r->at->last != NULL)
        r->at->last->next = l;
    else
        r->at->first = l;
    r->at->last = l;
    *out = l;
    return RC_OK;
}

static void close_block(struct config_reader *r)
{
    if (r->at != NULL && r->at->parent != NULL) {
        r->at = r->at->parent;
        r->depth--;
    }
}

static RC open_block(struct config_reader *r)
{
    struct config_line *l;
    if (r->depth == CONFIG_DEPTH_MAX)
        return ctx_fail(r->ctx, E_TOO_LARGE, "%s:%d: blocks are more than %d deep", r->file, r->number, CONFIG_DEPTH_MAX);
    TRY(add_line(r, &l));
    l->block = true;
    r->at = l;
    r->depth++;
    return RC_OK;
}

bool config_word_is(const struct config_syntax *syntax, const char *word, const char *name)
{
    return (syntax->nocase ? strcasecmp(word, name) : strcmp(word, name)) == 0;
}

static bool is_heading(const struct config_reader *r, const char *word)
{
    for (size_t i = 0; i < r->syntax->headings.n; i++)
        if (config_word_is(r->syntax, word, r->syntax->headings.v[i]))
            return true;
    return false;
}

/* "--key=value" or "--key". */
static RC put_option(struct config_reader *r, const char *word)
{
    struct config_line *l;
    struct bytes rest = bytes_z(word), key;
    if (strncmp(word, "--", 2) != 0)
        return RC_OK;
    bytes_skip(&rest, 2);
    if (!bytes_take_until(&rest, '=', &key))
        return RC_OK;
    char *name = arena_str(&r->ctx->arena, key);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    r->words = (struct str_list){0};
    str_list_add(&r->ctx->arena, &r->words, name);
    str_list_add(&r->ctx->arena, &r->words, arena_str(&r->ctx->arena, rest));
    return add_line(r, &l);
}

/* The words gathered so far are a line. */
static RC end_line(struct config_reader *r)
{
    struct config_line *l;
    struct str_list words = r->words;
    if (words.n == 0)
        return RC_OK;
    if (r->syntax->options) {
        for (size_t i = 0; i < words.n; i++)
            TRY(put_option(r, words.v[i]));
        r->words = (struct str_list){0};
        return RC_OK;
    }
    if (!is_heading(r, words.v[0]))
        return add_line(r, &l);
    while (r->depth > 0)
        close_block(r);
    return open_block(r);
}

/* --- words */

/* Takes one word off the line.  Quotes may stand anywhere in it; one that is not closed ends with the line. */
static const char *take_word(struct config_reader *r, struct bytes *line, const char *ends)
{
    char quote = '\0', *word = NULL;
    size_t n = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) { /* first how long it is */
        word = pass == 1 ? arena_alloc(&r->ctx->arena, n + 1) : NULL;
        for (n = at = 0, quote = '\0'; at < line->n; at++) {
            char c = (char)line->p[at];
            bool escaped = c == '\\' && at + 1 < line->n && quote != '\'';
            if (!escaped && quote == '\0' && (c == ' ' || c == '\t' || strchr(ends, c) != NULL))
                break;
            if (!escaped && quote == '\0' && (c == '"' || c == '\'')) {
                quote = c;
                continue;
            }
            if (!escaped && c == quote) {
                quote = '\0';
                continue;
            }
            if (escaped)
                c = (char)line->p[++at];
            if (word != NULL)
                word[n] = c;
            n++;
        }
    }
    bytes_skip(line, at);
    return word;
}

static RC add_word(struct config_reader *r, const char *word)
{
    if (r->n_words++ == CONFIG_WORDS_TOTAL)
        return ctx_fail(r->ctx, E_TOO_LARGE, "the configuration has more than %d words", CONFIG_WORDS_TOTAL);
    if (r->words.n == CONFIG_WORDS_MAX)
        return ctx_fail(r->ctx, E_TOO_LARGE, "%s:%d: more than %d words", r->file, r->number, CONFIG_WORDS_MAX);
    str_list_add(&r->ctx->arena, &r->words, word);
    return RC_OK;
}

/* The sign between a key and its value; "==", "=~" and "=>" are none. */
static bool take_assign(struct config_reader *r, struct bytes *line)
{
    if (r->syntax->assign == NULL || r->words.n != 1 || line->n == 0 || strchr(r->syntax->assign, line->p[0]) == NULL)
        return false;
    if (line->n > 1 && line->p[0] == '=' && strchr("=~>", line->p[1]) != NULL)
        return false;
    bytes_skip(line, 1);
    return true;
}

/* A brace, which ends a line wherever it stands. */
static RC take_brace(struct config_reader *r, struct bytes *line, bool *taken)
{
    *taken = r->syntax->blocks == CONFIG_BLOCKS_BRACE && line->n > 0 && (line->p[0] == '{' || line->p[0] == '}');
    if (!*taken)
        return RC_OK;
    bool opens = line->p[0] == '{';
    bytes_skip(line, 1);
    if (opens)
        return open_block(r);
    TRY(end_line(r));
    close_block(r);
    return RC_OK;
}

static void skip_blanks(struct bytes *line)
{
    while (line->n > 0 && (line->p[0] == ' ' || line->p[0] == '\t'))
        bytes_skip(line, 1);
}

static RC read_words(struct config_reader *r, struct bytes line)
{
    const char *comment = r->syntax->comment != NULL ? r->syntax->comment : "#";
    bool assigned = false;
    for (;;) {
        bool brace;
        skip_blanks(&line);
        if (line.n == 0 || strchr(comment, line.p[0]) != NULL)
            return end_line(r);
        TRY(take_brace(r, &line, &brace));
        if (brace || (!assigned && take_assign(r, &line))) {
            assigned = !brace;
            continue;
        }
        struct bytes before = line;
        const char *word = take_word(r, &line, r->words.n == 0 ? r->first_ends : r->ends);
        if (line.n == before.n) { /* it begins with what ends a word */
            bytes_skip(&line, 1);
            continue;
        }
        TRY(add_word(r, word));
    }
}

/* "<Name words>" opens a block, "</Name>" closes it. */
static RC read_angle(struct config_reader *r, struct bytes line)
{
    bool closes = line.n > 1 && line.p[1] == '/';
    if (closes) {
        close_block(r);
        return RC_OK;
    }
    bytes_skip(&line, 1);
    line = bytes_trim(line);
    if (line.n > 0 && line.p[line.n - 1] == '>')
        line.n--;
    for (;;) {
        skip_blanks(&line);
        if (line.n == 0)
            break;
        TRY(add_word(r, take_word(r, &line, "")));
    }
    return r->words.n > 0 ? open_block(r) : RC_OK;
}

/* --- lines */

static const char *mark(struct config_reader *r, struct bytes line, const char *sign)
{
    struct bytes s = bytes_z(sign);
    if (!bytes_starts_with(line, s))
        return NULL;
    bytes_skip(&line, s.n);
    line = bytes_trim(line);
    if (line.n > 0 && line.p[line.n - 1] == ':')
        line.n--;
    return str_z(&r->ctx->arena, line);
}

static RC take_mark(struct config_reader *r, struct bytes line, struct str_list *beside, bool *taken)
{
    const char *file = mark(r, line, CONFIG_MARK_BEGINS);
    *taken = file != NULL;
    if (*taken)
        return begin_text(r, file);
    if ((file = mark(r, line, CONFIG_MARK_THERE)) != NULL) {
        if (beside->n == CONFIG_LINES_MAX)
            return ctx_fail(r->ctx, E_TOO_LARGE, "more than %d files beside the configuration", CONFIG_LINES_MAX);
        str_list_add(&r->ctx->arena, beside, file);
    } else if ((file = mark(r, line, CONFIG_MARK_FILE)) != NULL || (file = mark(r, line, CONFIG_MARK_APACHE)) != NULL) {
        r->file = file;
        r->number = 0;
    }
    *taken = file != NULL;
    return RC_OK;
}

static bool is_mark(struct bytes line)
{
    return bytes_starts_with(line, BYTES_LIT(CONFIG_MARK_BEGINS)) || bytes_starts_with(line, BYTES_LIT(CONFIG_MARK_FILE)) ||
           bytes_starts_with(line, BYTES_LIT(CONFIG_MARK_THERE));
}

static bool goes_on(const struct config_reader *r, struct bytes line, struct bytes rest)
{
    switch (r->syntax->continued) {
    case CONFIG_CONTINUED_NO: return false;
    case CONFIG_CONTINUED_BACKSLASH: return line.n > 0 && line.p[line.n - 1] == '\\';
    case CONFIG_CONTINUED_INDENT: return rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\t');
    }
    return false;
}

/* --- what readers of documents call */

struct ctx *config_reader_ctx(struct config_reader *r) { return r->ctx; }

RC config_put_word(struct config_reader *r, const char *word) { return add_word(r, word); }

RC config_put_line(struct config_reader *r)
{
    struct config_line *l;
    return add_line(r, &l);
}

RC config_open(struct config_reader *r) { return open_block(r); }

void config_close(struct config_reader *r) { close_block(r); }

const char *config_open_name(const struct config_reader *r) { return r->depth > 0 ? r->at->words[0] : NULL; }

void config_next_line(struct config_reader *r) { r->number++; }

RC config_refuse(struct config_reader *r, const char *why)
{
    return ctx_fail(r->ctx, E_PARSE, "%s%sline %d: %s", r->file, *r->file != '\0' ? ", " : "", r->number, why);
}

/* A document: as far as the next mark, or all that there is. */
static RC read_document(struct config_reader *r, struct bytes document)
{
    size_t blank = 0;
    while (blank < document.n && strchr(" \t\r\n", document.p[blank]) != NULL)
        blank++;
    if (blank == document.n)
        return RC_OK;
    if (r->n_texts == 0)
        TRY(begin_text(r, ""));
    r->number = r->syntax->format == CONFIG_XML ? 1 : 0; /* JSON's reader does not say where it is */
    return r->syntax->format == CONFIG_XML ? config_xml_read(r, document) : config_json_read(r, document);
}

static bool next_line(struct bytes *text, struct bytes *line)
{
    if (bytes_take_line(text, line))
        return true;
    *line = *text;
    *text = (struct bytes){0};
    return line->n > 0;
}

static RC read_line(struct config_reader *r, struct bytes line, struct bytes *rest)
{
    struct buf joined;
    int more = 0;
    buf_init_arena(&joined, &r->ctx->arena, (size_t)8 << 20);
    while (goes_on(r, line, *rest)) {
        if (r->syntax->continued == CONFIG_CONTINUED_BACKSLASH)
            line.n--;
        buf_put(&joined, line);
        buf_put_u8(&joined, ' ');
        more++;
        if (!next_line(rest, &line))
            line = (struct bytes){0};
    }
    if (more > 0) {
        buf_put(&joined, line);
        TRY(buf_status(&joined));
        line = buf_bytes(&joined);
    }
    struct bytes trimmed = bytes_trim(line);
    struct rc rc = r->syntax->blocks == CONFIG_BLOCKS_ANGLE && trimmed.n > 1 && trimmed.p[0] == '<' ? read_angle(r, trimmed)
                                                                                                    : read_words(r, trimmed);
    r->number += more;
    return rc;
}

/* Documents have marks between them as other files do. */
static RC read_documents(struct config_reader *r, struct bytes text, struct str_list *beside)
{
    struct bytes line, document = text;
    while (next_line(&text, &line)) {
        bool taken;
        if (!is_mark(line))
            continue;
        TRY(read_document(r, bytes_of(document.p, (size_t)(line.p - document.p))));
        TRY(take_mark(r, line, beside, &taken));
        document = text;
    }
    return read_document(r, document);
}

RC config_text_read(struct ctx *ctx, const struct config_syntax *syntax, struct bytes text, struct config_text **out, size_t *n,
                    struct str_list *beside)
{
    struct config_reader r = {.ctx = ctx, .syntax = syntax, .file = ""};
    struct bytes line;
    *beside = (struct str_list){0};
    *n = 0;
    r.ends = arena_printf(&ctx->arena, "%s%s", syntax->blocks == CONFIG_BLOCKS_BRACE ? "{}" : "", syntax->commas ? "," : "");
    r.first_ends = arena_printf(&ctx->arena, "%s%s", r.ends, syntax->assign != NULL ? syntax->assign : "");
    r.texts = arena_array(&ctx->arena, CONFIG_ROOTS_MAX, sizeof *r.texts);
    if (memchr(text.p != NULL ? text.p : (const uint8_t *)"", '\0', text.n) != NULL)
        return ctx_fail(ctx, E_PARSE, "the configuration holds a NUL byte: this is no text");
    if (syntax->format != CONFIG_LINES)
        TRY(read_documents(&r, text, beside));
    while (syntax->format == CONFIG_LINES && next_line(&text, &line)) {
        bool taken;
        r.number++;
        TRY(take_mark(&r, line, beside, &taken));
        if (!taken)
            TRY(read_line(&r, line, &text));
    }
    *out = r.texts;
    *n = r.n_texts;
    return RC_OK;
}
