#include "agent/nginx_conf.h"

#include <fnmatch.h>

#define DEPTH_MAX 32
#define WORDS_MAX 512
#define FILES_MAX 5000
#define VISITS_MAX 100000 /* directives that includes may unfold to, against files that include each other */

struct conf_file {
    const char *name;
    struct bytes text;
};

struct reader {
    struct ctx *ctx;
    struct conf_file *files;
    size_t n_files;
    const char *prefix; /* folder of the main file */
    struct nginx_conf *out;
    size_t cap;
    size_t visits;
};

/* A position in one file. */
struct place {
    const char *file;
    struct bytes text;
    size_t at;
    int line;
};

/* One directive: words, then ';' or '{', or the end of a block or file. */
struct directive {
    const char *words[WORDS_MAX];
    size_t n;
    int line;
    char end; /* ';', '{', '}' or 0 at the end of the file */
};

/* What a block hands down to those inside. */
struct scope {
    const char *name; /* "", "http", "stream", "server" … */
    bool http;
    struct nginx_pair *pairs; /* arrays of PAIRS_MAX */
    size_t n_certs, n_keys;
    bool own; /* pairs are this block's own, not inherited */
    struct nginx_server *server;
};
#define PAIRS_MAX 16
#define LISTENS_MAX 64

static RC fail_at(struct ctx *ctx, const struct place *p, const char *what)
{
    return ctx_fail(ctx, E_PARSE, "%s:%d: %s", p->file, p->line, what);
}

static int peek(const struct place *p) { return p->at < p->text.n ? p->text.p[p->at] : -1; }

static int next(struct place *p)
{
    int c = peek(p);
    if (c == '\n')
        p->line++;
    if (c >= 0)
        p->at++;
    return c;
}

static bool is_space(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static void skip_blank(struct place *p)
{
    for (;;) {
        while (is_space(peek(p)))
            next(p);
        if (peek(p) != '#')
            return;
        while (peek(p) >= 0 && peek(p) != '\n')
            next(p);
    }
}

/* A backslash takes the next character as it is, but for \t, \r and \n; in names the others keep theirs as nginx does. */
static void take_escaped(struct place *p, struct buf *b)
{
    int c = next(p);
    switch (c) {
    case 't': buf_put_u8(b, '\t'); break;
    case 'r': buf_put_u8(b, '\r'); break;
    case 'n': buf_put_u8(b, '\n'); break;
    case '"':
    case '\'':
    case '\\': buf_put_u8(b, (uint8_t)c); break;
    case -1: break;
    default: buf_put_u8(b, '\\'), buf_put_u8(b, (uint8_t)c); break;
    }
}

static RC take_quoted(struct ctx *ctx, struct place *p, struct buf *b)
{
    int quote = next(p), c;
    while ((c = next(p)) >= 0 && c != quote) {
        if (c == '\\')
            take_escaped(p, b);
        else
            buf_put_u8(b, (uint8_t)c);
    }
    return c == quote ? RC_OK : fail_at(ctx, p, "a quoted word does not end");
}

static void take_plain(struct place *p, struct buf *b)
{
    for (;;) {
        int c = peek(p);
        if (c < 0 || is_space(c) || c == ';')
            return;
        if (c == '{' && !(b->n > 0 && b->p[b->n - 1] == '$')) /* "${name}" belongs to the word */
            return;
        next(p);
        if (c == '\\')
            take_escaped(p, b);
        else
            buf_put_u8(b, (uint8_t)c);
    }
}

static RC take_word(struct ctx *ctx, struct place *p, const char **out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 65536);
    if (peek(p) == '"' || peek(p) == '\'')
        TRY(take_quoted(ctx, p, &b));
    else
        take_plain(p, &b);
    TRY(buf_status(&b));
    *out = str_z(&ctx->arena, buf_bytes(&b));
    return *out != NULL ? RC_OK : fail_at(ctx, p, "a word holds a NUL");
}

static RC take_directive(struct ctx *ctx, struct place *p, struct directive *d)
{
    d->n = 0;
    for (;;) {
        skip_blank(p);
        if (d->n == 0)
            d->line = p->line;
        int c = peek(p);
        if (c < 0 || c == ';' || c == '{' || (c == '}' && d->n == 0)) {
            if (c < 0 && d->n != 0)
                return fail_at(ctx, p, "a directive does not end");
            if (c == '{' && d->n == 0)
                return fail_at(ctx, p, "a block without a name");
            d->end = c < 0 ? '\0' : (char)next(p);
            return RC_OK;
        }
        if (d->n == WORDS_MAX)
            d->n--; /* a very long map: the words behind are not of interest, but their end is */
        TRY(take_word(ctx, p, &d->words[d->n]));
        d->n++;
    }
}

/* Lua in braces is not nginx's grammar: count braces outside strings and comments. */
static RC skip_lua(struct ctx *ctx, struct place *p)
{
    int depth = 1, c;
    while (depth > 0 && (c = next(p)) >= 0) {
        if (c == '"' || c == '\'') {
            int inner;
            while ((inner = next(p)) >= 0 && inner != c && inner != '\n')
                if (inner == '\\')
                    next(p);
        } else if (c == '-' && peek(p) == '-') {
            while (peek(p) >= 0 && peek(p) != '\n')
                next(p);
        } else if (c == '{' || c == '}') {
            depth += c == '{' ? 1 : -1;
        }
    }
    return depth == 0 ? RC_OK : fail_at(ctx, p, "a Lua block does not end");
}

static bool is_lua(const struct directive *d)
{
    return d->n > 0 && bytes_ends_with(bytes_z(d->words[0]), BYTES_LIT("_by_lua_block"));
}

static const char *full_path(struct reader *r, const char *path)
{
    return *path == '/' ? path : arena_printf(&r->ctx->arena, "%s/%s", r->prefix, path);
}

static void add_pair_half(struct reader *r, struct scope *s, const char *path, bool is_key)
{
    if (strchr(path, '$') != NULL || strncmp(path, "data:", 5) == 0 || strncmp(path, "engine:", 7) == 0)
        return;
    if (!s->own) {
        s->pairs = arena_array(&r->ctx->arena, PAIRS_MAX, sizeof *s->pairs);
        s->n_certs = s->n_keys = 0;
        s->own = true;
    }
    size_t *n = is_key ? &s->n_keys : &s->n_certs;
    if (*n < PAIRS_MAX) {
        struct nginx_pair *pair = &s->pairs[(*n)++];
        if (is_key)
            pair->key = full_path(r, path);
        else
            pair->certificate = full_path(r, path);
    }
}

/* "80", "*:80", "192.0.2.1:80", "[::]:80", "name", "unix:/path" (left out). */
static void add_listen(struct reader *r, struct nginx_server *s, const struct directive *d)
{
    if (d->n < 2 || strncmp(d->words[1], "unix:", 5) == 0 || s->n_listens == LISTENS_MAX)
        return;
    struct bytes text = bytes_z(d->words[1]), host, port;
    int64_t number = 80;
    struct nginx_listen l = {.address = "0.0.0.0"};
    if (text.n > 0 && text.p[0] == '[') {
        bytes_skip(&text, 1);
        if (!bytes_take_until(&text, ']', &host))
            return;
        port = text.n > 0 && text.p[0] == ':' ? bytes_of(text.p + 1, text.n - 1) : (struct bytes){0};
    } else if (str_to_i64(text, &number)) {
        host = (struct bytes){0};
        port = text;
    } else if (bytes_take_until(&text, ':', &host)) {
        port = text;
    } else {
        return;
    }
    if (port.n != 0 && !str_to_i64(port, &number))
        return;
    if (number < 1 || number > 65535)
        return;
    if (host.n != 0 && !bytes_equal_z(host, "*"))
        l.address = arena_str(&r->ctx->arena, host);
    l.port = (int)number;
    for (size_t i = 2; i < d->n; i++) {
        l.ssl |= strcmp(d->words[i], "ssl") == 0 || strcmp(d->words[i], "quic") == 0;
        l.default_server |= strcmp(d->words[i], "default_server") == 0 || strcmp(d->words[i], "default") == 0;
    }
    s->listens[s->n_listens++] = l;
}

static RC server_open(struct reader *r, const struct place *p, const struct directive *d, struct scope *s)
{
    if (r->out->n == NGINX_SERVERS_MAX)
        return fail_at(r->ctx, p, "too many server blocks");
    if (r->out->n == r->cap) {
        size_t cap = r->cap == 0 ? 16 : r->cap * 2;
        struct nginx_server *bigger = arena_array(&r->ctx->arena, cap, sizeof *bigger);
        if (r->out->n != 0)
            memcpy(bigger, r->out->servers, r->out->n * sizeof *bigger);
        r->out->servers = bigger;
        r->cap = cap;
    }
    /* Built beside the list, which may move; server_close copies it in. */
    s->server = ARENA_NEW(&r->ctx->arena, struct nginx_server);
    *s->server = (struct nginx_server){.file = p->file, .line = d->line, .http = s->http};
    s->server->listens = arena_array(&r->ctx->arena, LISTENS_MAX + 1, sizeof *s->server->listens);
    return RC_OK;
}

static void server_close(struct reader *r, const struct scope *s)
{
    struct nginx_server *v = s->server;
    if (v->n_listens == 0)
        v->listens[v->n_listens++] = (struct nginx_listen){.address = "0.0.0.0", .port = 80};
    v->pairs = s->pairs;
    v->n_pairs = s->n_certs < s->n_keys ? s->n_certs : s->n_keys;
    r->out->servers[r->out->n++] = *v;
}

static RC read_block(struct reader *r, struct place *p, struct scope *s, int depth, bool is_file);

/* Includes name files or patterns; those of the dump are the ones nginx found. */
static RC read_include(struct reader *r, const struct place *p, const char *pattern, struct scope *s, int depth)
{
    const char *full = full_path(r, pattern);
    if (depth >= DEPTH_MAX)
        return fail_at(r->ctx, p, "includes are nested too deeply");
    for (size_t i = 0; i < r->n_files; i++)
        if (strcmp(full, r->files[i].name) == 0 || fnmatch(full, r->files[i].name, FNM_PATHNAME) == 0) {
            struct place inner = {r->files[i].name, r->files[i].text, 0, 1};
            TRY(read_block(r, &inner, s, depth + 1, true));
        }
    return RC_OK;
}

static RC read_simple(struct reader *r, const struct place *p, const struct directive *d, struct scope *s, int depth)
{
    const char *word = d->words[0];
    bool in_server = s->server != NULL && strcmp(s->name, "server") == 0;
    if (strcmp(word, "include") == 0 && d->n == 2)
        return read_include(r, p, d->words[1], s, depth);
    if (strcmp(word, "ssl_certificate") == 0 && d->n == 2)
        add_pair_half(r, s, d->words[1], false);
    if (strcmp(word, "ssl_certificate_key") == 0 && d->n == 2)
        add_pair_half(r, s, d->words[1], true);
    if (in_server && strcmp(word, "listen") == 0)
        add_listen(r, s->server, d);
    for (size_t i = 1; in_server && strcmp(word, "server_name") == 0 && i < d->n; i++)
        str_list_add(&r->ctx->arena, &s->server->names, d->words[i]);
    return RC_OK;
}

static RC open_block(struct reader *r, struct place *p, const struct directive *d, const struct scope *s, int depth)
{
    const char *name = d->words[0];
    struct scope inner = *s;
    if (is_lua(d))
        return skip_lua(r->ctx, p);
    if (depth >= DEPTH_MAX)
        return fail_at(r->ctx, p, "blocks are nested too deeply");
    inner.name = name;
    inner.own = false;
    if (strcmp(name, "http") == 0)
        inner.http = true;
    bool is_server = strcmp(name, "server") == 0 && d->n == 1 && s->server == NULL &&
                     (strcmp(s->name, "http") == 0 || strcmp(s->name, "stream") == 0 || strcmp(s->name, "mail") == 0);
    if (is_server)
        TRY(server_open(r, p, d, &inner));
    TRY(read_block(r, p, &inner, depth + 1, false));
    if (is_server)
        server_close(r, &inner);
    return RC_OK;
}

static RC read_block(struct reader *r, struct place *p, struct scope *s, int depth, bool is_file)
{
    struct directive *d = ARENA_NEW(&r->ctx->arena, struct directive);
    for (;;) {
        TRY(take_directive(r->ctx, p, d));
        if (++r->visits > VISITS_MAX)
            return fail_at(r->ctx, p, "the configuration is too large");
        if (d->end == '\0' || d->end == '}') {
            if ((d->end == '\0') != is_file)
                return fail_at(r->ctx, p, is_file ? "a '}' too many" : "a block does not end");
            return RC_OK;
        }
        if (d->n == 0)
            continue; /* a lone ';' */
        if (d->end == '{')
            TRY(open_block(r, p, d, s, depth));
        else
            TRY(read_simple(r, p, d, s, depth));
    }
}

#define DUMP_HEAD "# configuration file "

static bool take_head(struct bytes line, struct bytes *name)
{
    if (!bytes_starts_with(line, BYTES_LIT(DUMP_HEAD)) || line.p[line.n - 1] != ':')
        return false;
    *name = bytes_of(line.p + strlen(DUMP_HEAD), line.n - strlen(DUMP_HEAD) - 1);
    return name->n > 0 && name->p[0] == '/';
}

/* Splits the dump at its heads. */
static RC split_files(struct reader *r, struct bytes dump)
{
    struct bytes rest = dump, line, name;
    struct conf_file *file = NULL;
    r->files = arena_array(&r->ctx->arena, FILES_MAX, sizeof *r->files);
    while (rest.n > 0) {
        if (!bytes_take_line(&rest, &line)) {
            line = rest;
            rest = bytes_of(rest.p + rest.n, 0);
        }
        if (take_head(line, &name)) {
            if (r->n_files == FILES_MAX)
                return ctx_fail(r->ctx, E_TOO_LARGE, "nginx -T names more than %d files", FILES_MAX);
            file = &r->files[r->n_files++];
            file->name = str_z(&r->ctx->arena, name);
            if (file->name == NULL)
                return ctx_fail(r->ctx, E_PARSE, "nginx -T names a file with a NUL");
            file->text = bytes_of(rest.p, 0);
        } else if (file != NULL) {
            file->text.n = (size_t)(rest.p - file->text.p);
        }
    }
    if (r->n_files == 0)
        return ctx_fail(r->ctx, E_PARSE, "the output holds no configuration file: is the command `nginx -T`?");
    return RC_OK;
}

RC nginx_conf_read(struct ctx *ctx, struct bytes dump, struct nginx_conf *out)
{
    struct reader r = {.ctx = ctx, .out = out};
    struct scope top = {.name = ""};
    *out = (struct nginx_conf){0};
    TRY(split_files(&r, dump));
    const char *slash = strrchr(r.files[0].name, '/');
    r.prefix = arena_str(&ctx->arena, bytes_of(r.files[0].name, (size_t)(slash - r.files[0].name)));
    struct place p = {r.files[0].name, r.files[0].text, 0, 1};
    return read_block(&r, &p, &top, 0, true);
}

static bool name_fits(const char *pattern, const char *name)
{
    size_t p = strlen(pattern), n = strlen(name);
    if (*pattern == '~')
        return true;
    if (p == n && bytes_equal_nocase(bytes_z(pattern), bytes_z(name)))
        return true;
    if (*pattern == '.') /* ".example.org": itself and everything below */
        return (p == n + 1 && bytes_equal_nocase(bytes_z(pattern + 1), bytes_z(name))) ||
               (n > p && bytes_equal_nocase(bytes_z(pattern), bytes_z(name + n - p)));
    if (p > 1 && pattern[0] == '*' && pattern[1] == '.')
        return n >= p && bytes_equal_nocase(bytes_z(pattern + 1), bytes_z(name + n - p + 1));
    if (p > 1 && pattern[p - 1] == '*' && pattern[p - 2] == '.')
        return n > p - 1 && bytes_equal_nocase(bytes_of(pattern, p - 1), bytes_of(name, p - 1));
    return false;
}

bool nginx_server_named(const struct nginx_server *s, const char *name)
{
    for (size_t i = 0; i < s->names.n; i++)
        if (name_fits(s->names.v[i], name))
            return true;
    return false;
}

static const struct nginx_listen *listen_on(const struct nginx_server *s, int port)
{
    for (size_t i = 0; s->http && i < s->n_listens; i++)
        if (s->listens[i].port == port && !s->listens[i].ssl)
            return &s->listens[i];
    return NULL;
}

/* Whether an earlier block already is the default of each address that this one listens on. */
static bool is_default(const struct nginx_conf *c, size_t at, int port)
{
    for (size_t i = 0; i < c->servers[at].n_listens; i++) {
        const struct nginx_listen *l = &c->servers[at].listens[i];
        bool first = true;
        if (l->port != port || l->ssl)
            continue;
        if (l->default_server)
            return true;
        for (size_t k = 0; k < at && first; k++)
            for (size_t j = 0; j < c->servers[k].n_listens; j++)
                first &= !(c->servers[k].listens[j].port == port && strcmp(c->servers[k].listens[j].address, l->address) == 0);
        if (first)
            return true;
    }
    return false;
}

const struct nginx_server **nginx_find_http01(struct ctx *ctx, const struct nginx_conf *c, const char *name, int port, size_t *n)
{
    const struct nginx_server **found = arena_array(&ctx->arena, c->n + 1, sizeof *found);
    bool by_name = false;
    *n = 0;
    for (size_t i = 0; i < c->n; i++)
        by_name |= listen_on(&c->servers[i], port) != NULL && nginx_server_named(&c->servers[i], name);
    for (size_t i = 0; i < c->n; i++) {
        const struct nginx_server *s = &c->servers[i];
        if (listen_on(s, port) != NULL && (by_name ? nginx_server_named(s, name) : is_default(c, i, port)))
            found[(*n)++] = s;
    }
    return found;
}

/* The words of one file, without following includes: only braces and lines are of interest. */
RC nginx_block_offset(struct ctx *ctx, const char *file, struct bytes text, int line, size_t *offset)
{
    struct place p = {file, text, 0, 1};
    struct directive *d = ARENA_NEW(&ctx->arena, struct directive);
    for (;;) {
        TRY(take_directive(ctx, &p, d));
        if (d->end == '\0')
            return ctx_fail(ctx, E_CHANGED, "%s has no server block on line %d any more", file, line);
        if (d->end != '{')
            continue;
        if (d->line == line && d->n == 1 && strcmp(d->words[0], "server") == 0) {
            *offset = p.at;
            return RC_OK;
        }
        if (is_lua(d))
            TRY(skip_lua(ctx, &p));
    }
}

/* The marker ends the line; "+" after it says that the line's own end was put there too. */
#define MARK " # certwright "

static bool is_plain_token(const char *s, bool dot)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++)
        if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') && !(*s >= '0' && *s <= '9') && *s != '-' && *s != '_' &&
            !(dot && *s == '.'))
            return false;
    return true;
}

RC nginx_challenge_insert(struct ctx *ctx, struct bytes text, size_t offset, const char *token, const char *key_authorization,
                          struct buf *out)
{
    if (!is_plain_token(token, false) || !is_plain_token(key_authorization, true))
        return ctx_fail(ctx, E_INVALID, "the token or key authorization is not base64url (RFC 8555 section 8.3)");
    if (offset > text.n)
        return ctx_fail(ctx, E_BUG, "offset %zu of %zu", offset, text.n);
    bool ends_line = offset < text.n && (text.p[offset] == '\n' || text.p[offset] == '\r');
    buf_put(out, bytes_of(text.p, offset));
    buf_printf(out, "\n    if ($uri = \"/.well-known/acme-challenge/%s\") { return 200 \"%s\"; }" MARK "%s%s", token,
               key_authorization, token, ends_line ? "" : "+\n");
    buf_put(out, bytes_of(text.p + offset, text.n - offset));
    return buf_status(out);
}

/* What stands between the newline before `at` and `at`. */
static struct bytes line_before(struct bytes text, size_t at)
{
    size_t start = at;
    while (start > 0 && text.p[start - 1] != '\n')
        start--;
    return bytes_of(text.p + start, at - start);
}

/* The line behind a newline, without its own end. */
static struct bytes line_after(struct bytes text, size_t newline)
{
    size_t end = newline + 1;
    while (end < text.n && text.p[end] != '\n')
        end++;
    if (end > newline + 1 && text.p[end - 1] == '\r')
        end--;
    return bytes_of(text.p + newline + 1, end - newline - 1);
}

size_t nginx_challenge_remove(struct bytes text, const char *token, struct buf *out)
{
    char plain[512], joined[512];
    size_t removed = 0, kept = 0;
    snprintf(plain, sizeof plain, MARK "%s", token);
    snprintf(joined, sizeof joined, MARK "%s+", token);
    for (size_t at = 0; at < text.n; at++) {
        if (text.p[at] != '\n')
            continue;
        struct bytes line = line_after(text, at), before = line_before(text, at);
        bool split = bytes_ends_with(line, bytes_z(joined));
        if (!split && !bytes_ends_with(line, bytes_z(plain)))
            continue;
        buf_put(out, bytes_of(text.p + kept, at - kept));
        kept = at + 1 + line.n;
        removed++;
        /* Our line took the place of nothing: what followed the '{' goes back there, but never into a comment; where that comment
         * is
         * the mark of another challenge, that line ends what is ours from now on. */
        if (split && bytes_find(before, BYTES_LIT("#")) == SIZE_MAX)
            kept += kept < text.n ? 1 : 0;
        else if (split && bytes_find(before, BYTES_LIT(MARK)) != SIZE_MAX)
            buf_put_u8(out, '+');
        at = kept - 1;
    }
    buf_put(out, bytes_of(text.p + kept, text.n - kept));
    return removed;
}
