#include "agent/find.h"

#include <strings.h>

#include "base/encode.h"

#define VALUES_MAX 256
#define LOOKED_AT_MAX 20000          /* blocks and directives that could be places */
#define LINES_SEEN_MAX 20000000ULL /* over all of them: a fraction of a second */

struct found;
struct finder {
    struct ctx *ctx;
    const struct connector *connector;
    const struct find_desc *desc;
    const struct config_text *text, *texts;
    size_t n_texts;
    const struct str_list *beside;
    struct find_place **out;
    size_t *n;
    struct arena *scratch;  /* of the place that is looked at */
    struct found *values;   /* one a parameter */
    const struct find_set *set; /* whose parameters before `set_at` are in `values`; NULL: no parameter is looked for */
    size_t set_at;
    const char *listed;     /* the value of desc->listed_param, from a line of a list; NULL: as the place says */
    uint64_t *seen, *looked;
};

/* What was found for one value, and whether the place says it itself. */
struct found {
    const char *v[VALUES_MAX];
    size_t n;
    bool own;
};

/* "name" or "beginning*". */
static bool is_called(const struct config_syntax *syntax, const char *word, const char *name)
{
    size_t n = strlen(name);
    if (name[n - 1] != '*')
        return config_word_is(syntax, word, name);
    return (syntax->nocase ? strncasecmp(word, name, n - 1) : strncmp(word, name, n - 1)) == 0;
}

static bool listed(const struct find_desc *d, const struct str_list *list, const struct config_line *l)
{
    for (size_t i = 0; l->n > 0 && i < list->n; i++)
        if (is_called(&d->syntax, l->words[0], list->v[i]))
            return true;
    return false;
}

/* --- values */

static void add(struct found *f, const char *word)
{
    if (f->n < VALUES_MAX)
        f->v[f->n++] = word;
}

/* The folder a path is in; "" where it says none. */
static struct bytes folder_of(struct bytes path)
{
    while (path.n > 0 && path.p[path.n - 1] != '/')
        path.n--;
    if (path.n > 1)
        path.n--;
    return path;
}

/* A file name without what begins at its last dot. */
static struct bytes stem_of(struct bytes path)
{
    size_t n = path.n;
    while (n > 1 && path.p[n - 1] != '.' && path.p[n - 1] != '/')
        n--;
    return n > 1 && path.p[n - 1] == '.' && path.p[n - 2] != '/' ? bytes_of(path.p, n - 1) : path;
}

/* What `name` in braces stands for; `*of` is the parameter that it is about, NULL: none.  Empty: nothing. */
static struct bytes braced(const struct finder *f, struct bytes name, size_t i, const struct found **of)
{
    struct bytes folder = folder_of(bytes_z(f->text->file));
    *of = NULL;
    if (bytes_equal_z(name, "folder"))
        return folder;
    if (bytes_equal_z(name, "folder.up"))
        return folder.n > 1 ? folder_of(folder) : (struct bytes){0};
    for (size_t k = 0; f->set != NULL && k < f->set_at; k++) {
        struct bytes param = bytes_z(f->set->v[k].name), rest = name;
        if (!bytes_starts_with(name, param) || !bytes_skip(&rest, param.n) || (rest.n > 0 && rest.p[0] != '.'))
            continue;
        *of = &f->values[k];
        struct bytes value = i < (*of)->n ? bytes_z((*of)->v[i]) : (struct bytes){0}, last = value;
        if (bytes_equal_z(rest, ".name") && value.n > 0)
            bytes_skip(&last, folder_of(value).n + (folder_of(value).n > 1 ? 1 : 0));
        return bytes_equal_z(rest, ".stem") ? stem_of(value) : last;
    }
    return (struct bytes){0};
}

/* A "=word": as many words as the parameter in it has, where there is one. */
static void take_literal(const struct finder *f, const char *word, struct found *out)
{
    size_t count = 1;
    if (strchr(word, '{') == NULL) {
        add(out, word);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes rest = bytes_z(word), part;
        struct buf b;
        bool whole = true;
        buf_init_arena(&b, f->scratch, 8192);
        while (rest.n > 0) {
            const struct found *of;
            size_t n = bytes_find(rest, BYTES_LIT("{"));
            bytes_take(&rest, n == SIZE_MAX ? rest.n : n, &part);
            buf_put(&b, part);
            if (n == SIZE_MAX)
                break;
            bytes_skip(&rest, 1);
            bytes_take_until(&rest, '}', &part);
            struct bytes value = braced(f, part, i, &of);
            whole &= value.n > 0;
            buf_put(&b, value);
            if (of != NULL) {
                count = of->n;
                out->own = true;
            }
        }
        add(out, whole && rc_ok(buf_status(&b)) ? arena_str(f->scratch, buf_bytes(&b)) : "");
    }
}

static void take_words(const struct finder *f, const struct find_text *t, const struct config_line *l, struct found *out)
{
    if (l->n == 0 || !config_word_is(&f->desc->syntax, l->words[0], t->directive))
        return;
    for (size_t i = 1; i < l->n; i++)
        if (t->how == FIND_ALL || (t->how == FIND_POSITION && i == t->position) ||
            (t->how == FIND_AFTER && i > 1 && config_word_is(&f->desc->syntax, l->words[i - 1], t->word)))
            add(out, l->words[i]);
}

/* What stands in a block itself, and in blocks that are mere conditions. */
static void take_block(const struct finder *f, const struct find_text *t, const struct config_line *block, struct found *out)
{
    for (const struct config_line *l = block->first; l != NULL && *f->seen < LINES_SEEN_MAX; l = l->next) {
        ++*f->seen;
        if (l->block && listed(f->desc, &f->desc->through, l))
            take_block(f, t, l, out);
        else if (!listed(f->desc, &f->desc->places, l)) /* what another place says is its own */
            take_words(f, t, l, out);
    }
}

static void take_anywhere(const struct finder *f, const struct find_text *t, const struct config_line *block, struct found *out)
{
    for (const struct config_line *l = block->first; l != NULL && *f->seen < LINES_SEEN_MAX; l = l->next) {
        ++*f->seen;
        if (l->block && l->n > 0 && config_word_is(&f->desc->syntax, l->words[0], t->block))
            take_block(f, t, l, out);
        if (l->block)
            take_anywhere(f, t, l, out);
    }
}

/* One text at a place: in its own head and block, then in each block around it. */
static void find_text(const struct finder *f, const struct find_text *t, const struct config_line *place, struct found *out)
{
    *out = (struct found){0};
    if (t->how == FIND_LITERAL)
        take_literal(f, t->word, out);
    else if (t->block != NULL)
        take_anywhere(f, t, &f->text->root, out);
    for (const struct config_line *l = place; t->directive != NULL && t->block == NULL && l != NULL && out->n == 0; l = l->parent) {
        take_words(f, t, l, out);
        take_block(f, t, l, out);
        out->own = l == place;
        if (f->desc->alone)
            break;
    }
}

static void find_value(const struct finder *f, const struct find_value *v, const struct config_line *place, struct found *out)
{
    *out = (struct found){0};
    for (size_t i = 0; i < v->n && out->n == 0; i++)
        find_text(f, &v->v[i], place, out);
}

static bool holds(const struct finder *f, const struct find_whens *all, const struct config_line *place)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct find_when *w = &all->v[i];
        struct found said;
        bool good = false;
        find_value(f, &w->what, place, &said);
        for (size_t m = 0; said.n == 0 && m < w->is.n; m++)
            good |= *w->is.v[m] == '\0';
        for (size_t k = 0; k < said.n && !good; k++) {
            good = w->is.n == 0;
            for (size_t m = 0; m < w->is.n && !good; m++)
                good = strcasecmp(said.v[k], w->is.v[m]) == 0;
        }
        if (!good)
            return false;
    }
    return true;
}

/* --- paths */

/* Commas that part a list, the sign of a file to be read (Dovecot), a scheme (OpenSSL's). */
static const char *bare(const struct finder *f, const char *word)
{
    struct bytes b = bytes_z(word);
    if (b.n > 0 && b.p[0] == '<')
        bytes_skip(&b, 1);
    if (bytes_starts_with(b, BYTES_LIT("file:")))
        bytes_skip(&b, 5);
    while (b.n > 0 && (b.p[b.n - 1] == ',' || b.p[b.n - 1] == ';'))
        b.n--;
    return arena_str(f->scratch, b);
}

/* An absolute path without anything that another would have to work out; NULL where it cannot be made one. */
static const char *path_of(const struct finder *f, const struct config_line *place, const char *word)
{
    const char *path = bare(f, word);
    struct found base;
    if (*path == '\0' || strpbrk(path, "$%*?\n\r\t\\") != NULL || strlen(path) >= 4096 || !str_is_utf8(bytes_z(path)))
        return NULL;
    if (*path != '/') {
        find_value(f, &f->desc->base, place, &base);
        const char *folder = base.n > 0 ? bare(f, base.v[0]) : "";
        size_t n = strlen(folder);
        if (*folder != '/')
            return NULL;
        path = arena_printf(f->scratch, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", path);
    }
    struct bytes rest = bytes_z(path), part;
    bytes_skip(&rest, 1);
    while (bytes_take_until(&rest, '/', &part))
        if ((part.n == 0 && rest.n > 0) || bytes_equal_z(part, ".") || bytes_equal_z(part, ".."))
            return NULL;
    return path;
}

/* A folder stands for the files that are said to be in it. */
static void add_path(const struct finder *f, const char *path, struct found *out)
{
    size_t n = strlen(path), before = out->n;
    if (n > 1 && path[n - 1] == '/')
        n--;
    for (size_t i = 0; i < f->beside->n; i++) {
        const char *file = f->beside->v[i];
        if (strncmp(file, path, n) == 0 && file[n] == '/' && strchr(file + n + 1, '/') == NULL && file[n + 1] != '\0')
            add(out, file);
    }
    if (out->n == before && path[strlen(path) - 1] != '/')
        add(out, path);
}

static void find_param(const struct finder *f, const struct find_param *p, const struct config_line *place, struct found *out)
{
    struct found raw;
    if (f->listed != NULL && p->name == f->desc->listed_param)
        raw = (struct found){.v = {f->listed}, .n = 1, .own = true};
    else
        find_value(f, &p->value, place, &raw);
    *out = (struct found){.own = raw.own};
    bool is_path = connector_find(f->connector, p->name)->type == PARAM_PATH;
    for (size_t i = 0; i < raw.n; i++) {
        const char *path = is_path ? path_of(f, place, raw.v[i]) : NULL;
        if (path != NULL)
            add_path(f, path, out);
        else if (!is_path && str_is_name(bytes_z(raw.v[i])))
            add(out, raw.v[i]);
    }
}

/* --- endpoints and names */

static bool is_number(struct bytes b, int *out)
{
    uint64_t n;
    if (!str_to_u64(b, &n) || n > 65535)
        return false;
    *out = (int)n;
    return true;
}

/* What a client on this host connects to; NULL where nothing says so. */
static const char *client_address(const struct finder *f, struct bytes address)
{
    if (address.n > 1 && address.p[0] == '[' && address.p[address.n - 1] == ']')
        address = bytes_of(address.p + 1, address.n - 2);
    if (address.n == 0 || bytes_equal_z(address, "*") || bytes_equal_z(address, "0.0.0.0") || bytes_equal_z(address, "_default_"))
        return "127.0.0.1";
    if (bytes_equal_z(address, "::") || bytes_equal_z(address, "::*"))
        return "::1";
    for (size_t i = 0; i < address.n; i++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_", address.p[i]) == NULL ||
            address.p[i] == '\0')
            return NULL;
    return address.n <= 253 && address.p[0] != '-' ? arena_str(f->scratch, address) : NULL;
}

/* False where it is nothing that can be connected to. */
static bool add_end(const struct finder *f, struct find_place *p, const char *address, int port, const char *starttls)
{
    if (address == NULL || port == 0)
        return false;
    for (size_t i = 0; i < p->n_ends; i++) {
        struct find_end *e = &p->ends[i];
        if (e->port != port || strcmp(e->starttls, starttls) != 0)
            continue;
        if (strcmp(e->address, address) == 0 || (strcmp(address, "::1") == 0 && strcmp(e->address, "127.0.0.1") == 0))
            return true;
        if (strcmp(e->address, "::1") == 0 && strcmp(address, "127.0.0.1") == 0) {
            e->address = "127.0.0.1"; /* "*:443" and "[::]:443" are one listener to a client here; the IPv4 one is asked */
            return true;
        }
    }
    if (p->n_ends < FIND_ENDS_MAX)
        p->ends[p->n_ends++] = (struct find_end){arena_strdup(&f->ctx->arena, address), port, starttls};
    return true;
}

/* "ADDRESS:PORT", ":PORT", "PORT", "[V6]:PORT", "ipv4@…", "https://…"; sockets of files are passed over. */
static bool add_listener(const struct finder *f, struct find_place *p, struct bytes one, const struct find_listen *row)
{
    size_t at = bytes_find(one, BYTES_LIT("@")), scheme = bytes_find(one, BYTES_LIT("://"));
    int port = row->usual;
    if (*row->scheme != '\0' && (scheme == SIZE_MAX || !bytes_equal_nocase(bytes_of(one.p, scheme), bytes_z(row->scheme))))
        return false;
    if (scheme != SIZE_MAX)
        bytes_skip(&one, scheme + 3);
    else if (at != SIZE_MAX && (bytes_starts_with(one, BYTES_LIT("ipv4@")) || bytes_starts_with(one, BYTES_LIT("ipv6@"))))
        bytes_skip(&one, at + 1);
    else if (bytes_starts_with(one, BYTES_LIT("tcp/"))) /* as Caddy writes it */
        bytes_skip(&one, 4);
    while (one.n > 0 && one.p[one.n - 1] == '/')
        one.n--;
    if (is_number(one, &port))
        return add_end(f, p, "127.0.0.1", port, row->starttls);
    size_t colon = one.n;
    while (colon > 0 && one.p[colon - 1] != ':' && one.p[colon - 1] != ']')
        colon--;
    bool named = colon > 0 && one.p[colon - 1] == ':';
    if (named ? !is_number(bytes_of(one.p + colon, one.n - colon), &port) : row->usual == 0)
        return false;
    return add_end(f, p, client_address(f, bytes_of(one.p, named ? colon - 1 : one.n)), port, row->starttls);
}

/* Several stand with commas or blanks between them. */
static bool add_listeners(const struct finder *f, struct find_place *p, const char *word, const struct find_listen *row)
{
    struct bytes rest = bytes_z(word), some, one;
    bool any = false;
    while (bytes_take_until(&rest, ',', &some))
        while (bytes_take_until(&some, ' ', &one))
            any |= one.n > 0 && add_listener(f, p, one, row);
    return any;
}

static bool add_ports(const struct finder *f, struct find_place *p, const struct config_line *place, const struct find_listen *row)
{
    struct found ports, addresses;
    bool any = false;
    find_value(f, &row->port, place, &ports);
    find_value(f, &row->address, place, &addresses);
    if (addresses.n == 0)
        add(&addresses, "*");
    for (size_t i = 0; i < ports.n; i++) {
        int port = 0;
        struct bytes rest, one;
        if (!is_number(bytes_z(bare(f, ports.v[i])), &port))
            continue;
        for (size_t k = 0; k < addresses.n; k++)
            for (rest = bytes_z(addresses.v[k]); bytes_take_until(&rest, ',', &one);)
                any |= add_end(f, p, client_address(f, bytes_trim(one)), port, row->starttls);
    }
    return any;
}

static void add_ends(const struct finder *f, struct find_place *p, const struct config_line *place)
{
    bool any = false;
    for (size_t i = 0; i < f->desc->n_listen; i++) {
        const struct find_listen *row = &f->desc->listen[i];
        if ((row->otherwise && any) || !holds(f, &row->when, place))
            continue;
        if (row->port.n > 0)
            any |= add_ports(f, p, place, row);
        bool said = false;
        for (size_t k = 0; k < row->at.n && !said; k++) {
            struct found at;
            find_text(f, &row->at.v[k], place, &at);
            for (size_t m = 0; m < at.n; m++)
                said |= add_listeners(f, p, at.v[m], row);
        }
        any |= said;
    }
}

/* A DNS name or a wildcard, without scheme, port and dot at the end. */
static const char *name_of(const struct finder *f, const char *word)
{
    struct bytes b = bytes_z(bare(f, word));
    size_t scheme = bytes_find(b, BYTES_LIT("://")), colon;
    if (scheme != SIZE_MAX)
        bytes_skip(&b, scheme + 3);
    if ((colon = bytes_find(b, BYTES_LIT(":"))) != SIZE_MAX)
        b.n = colon;
    if (b.n > 0 && b.p[b.n - 1] == '.')
        b.n--;
    struct bytes name = b;
    if (bytes_starts_with(name, BYTES_LIT("*.")))
        bytes_skip(&name, 2);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '\0' || strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-", name.p[i]) == NULL)
            return NULL;
    return name.n > 0 && b.n <= 253 && name.p[0] != '.' && name.p[0] != '-' && bytes_find(name, BYTES_LIT("..")) == SIZE_MAX &&
                   bytes_find(name, BYTES_LIT(".")) != SIZE_MAX
               ? arena_str(f->scratch, b)
               : NULL;
}

static void add_name(const struct finder *f, struct find_place *p, const char *word)
{
    const char *name = p->names.n < FIND_NAMES_MAX ? name_of(f, word) : NULL;
    if (name != NULL && !str_list_has(&p->names, name))
        str_list_add(&f->ctx->arena, &p->names, arena_strdup(&f->ctx->arena, name));
}

static void add_names(const struct finder *f, struct find_place *p, const struct config_line *place)
{
    for (size_t i = 0; i < f->desc->names.n; i++) {
        struct found said;
        find_text(f, &f->desc->names.v[i], place, &said);
        for (size_t k = 0; k < said.n; k++)
            add_name(f, p, said.v[k]);
    }
}

/* Where a directive elsewhere names the place: what stands around that is about the place as well. */
static void add_linked(const struct finder *f, struct find_place *p, const struct found *words, const struct config_line *block)
{
    const char *there = f->desc->linked_there.v[0].directive;
    for (const struct config_line *l = block->first; l != NULL && *f->seen < LINES_SEEN_MAX; l = l->next) {
        bool named = false;
        ++*f->seen;
        if (l->block) {
            add_linked(f, p, words, l);
            continue;
        }
        for (size_t i = 1; l->n > 0 && i < l->n && !named && config_word_is(&f->desc->syntax, l->words[0], there); i++)
            for (size_t k = 0; k < words->n && !named; k++)
                named = strcmp(l->words[i], words->v[k]) == 0;
        if (named) {
            add_names(f, p, l->parent);
            add_ends(f, p, l->parent);
        }
    }
}

/* --- places */

static struct find_place *known_place(const struct finder *f, const struct find_place *like)
{
    for (struct find_place *p = *f->out; p != NULL; p = p->next) {
        bool same = p->n_params == like->n_params;
        for (size_t i = 0; i < p->n_params && same; i++)
            same = strcmp(p->names_of[i], like->names_of[i]) == 0 && strcmp(p->values[i], like->values[i]) == 0;
        if (same)
            return p;
    }
    return NULL;
}

static RC add_place(const struct finder *f, const struct config_line *place, const struct find_place *like, struct find_place **out)
{
    struct find_place *p = known_place(f, like);
    if (p == NULL) {
        if (*f->n == FIND_PLACES_MAX)
            return ctx_fail(f->ctx, E_TOO_LARGE, "more than %d places", FIND_PLACES_MAX);
        p = ARENA_NEW(&f->ctx->arena, struct find_place);
        *p = *like;
        for (size_t i = 0; i < p->n_params; i++)
            p->values[i] = arena_strdup(&f->ctx->arena, like->values[i]);
        struct find_place **end = f->out;
        while (*end != NULL)
            end = &(*end)->next;
        *end = p;
        (*f->n)++;
    }
    add_names(f, p, place);
    add_ends(f, p, place);
    if (f->desc->linked_here.n > 0) {
        struct found words;
        find_value(f, &f->desc->linked_here, place, &words);
        add_linked(f, p, &words, &f->text->root);
    }
    *out = p;
    return RC_OK;
}

/* The i-th of a parameter; what is said once, around the place or as the only one of the first, holds for all. */
static const char *nth(const struct found *all, size_t i)
{
    return i < all->n ? all->v[i] : all->n == 1 && !all->own ? all->v[0] : NULL;
}

/* `*last`: the place that was added last, NULL where the set does not fit. */
static RC try_set(const struct finder *of, const struct find_set *set, const struct config_line *place, struct find_place **last)
{
    struct finder own = *of, *f = &own;
    struct found *all = f->values;
    size_t most = 0;
    *last = NULL;
    if (!holds(f, &set->when, place))
        return RC_OK;
    own.set = set;
    for (size_t k = 0; k < set->n; k++) {
        own.set_at = k;
        find_param(f, &set->v[k], place, &all[k]);
        if (all[k].n == 0 && !set->v[k].perhaps)
            return RC_OK;
        most = all[k].n > most ? all[k].n : most;
    }
    for (size_t i = 0; i < most; i++) {
        struct find_place like = {.file = place->file, .line = place->number, };
        bool whole = true, distinct = true;
        for (size_t k = 0; k < set->n; k++) {
            const char *value = nth(&all[k], i);
            whole &= value != NULL || set->v[k].perhaps;
            if (value == NULL)
                continue;
            for (size_t m = 0; m < like.n_params; m++)
                distinct &= strcmp(like.values[m], value) != 0;
            like.names_of[like.n_params] = set->v[k].name;
            like.values[like.n_params++] = value;
        }
        if (!whole || !distinct) /* two contents in one file: another choice may say so */
            continue;
        TRY(add_place(f, place, &like, last));
    }
    return RC_OK;
}

static RC try_sets(const struct finder *f, const struct config_line *place, struct find_place **last)
{
    *last = NULL;
    for (size_t i = 0; i < f->desc->n_sets && *last == NULL; i++)
        TRY(try_set(f, &f->desc->sets[i], place, last));
    return RC_OK;
}

/* A line of a list: the file, then names, with options in brackets between; "!name" is one that it is not for. */
static RC look_at_listed(const struct finder *of, const struct config_line *place, const struct config_line *l)
{
    struct finder f = *of;
    struct find_place *p;
    bool options = false;
    f.listed = l->words[0];
    TRY(try_sets(&f, place, &p));
    for (size_t i = 1; p != NULL && i < l->n; i++) {
        size_t n = strlen(l->words[i]);
        options |= l->words[i][0] == '[';
        if (!options)
            add_name(&f, p, l->words[i]); /* with ! in front it is no name */
        if (n > 0 && l->words[i][n - 1] == ']')
            options = false;
    }
    return RC_OK;
}

static RC look_through_list(const struct finder *f, const struct config_line *place, const char *file,
                            const struct config_line *block)
{
    for (const struct config_line *l = block->first; l != NULL; l = l->next) {
        bool ours = !l->block && l->n > 0 && strcmp(l->file, file) == 0;
        if (++*f->seen >= LINES_SEEN_MAX || (ours && ++*f->looked > LOOKED_AT_MAX))
            return ctx_fail(f->ctx, E_TOO_LARGE, "%s is too large to be searched", file);
        if (l->block)
            TRY(look_through_list(f, place, file, l));
        if (ours)
            TRY(look_at_listed(f, place, l));
    }
    return RC_OK;
}

static RC look_at_lists(const struct finder *f, const struct config_line *place)
{
    struct found *files = arena_array(f->scratch, 1, sizeof *files);
    find_value(f, &f->desc->listed, place, files);
    for (size_t i = 0; i < files->n; i++) {
        const char *file = path_of(f, place, files->v[i]);
        for (size_t k = 0; file != NULL && k < f->n_texts; k++)
            TRY(look_through_list(f, place, file, &f->texts[k].root));
    }
    return RC_OK;
}

static RC look_at(const struct finder *f, const struct config_line *place)
{
    struct find_place *last;
    if (++*f->looked > LOOKED_AT_MAX || *f->seen >= LINES_SEEN_MAX)
        return ctx_fail(f->ctx, E_TOO_LARGE, "%s:%d: the configuration is too large to be searched", place->file, place->number);
    arena_reset(f->scratch);
    if (!holds(f, &f->desc->when, place))
        return RC_OK;
    TRY(try_sets(f, place, &last));
    return f->desc->listed.n > 0 ? look_at_lists(f, place) : RC_OK;
}

static RC look_into(const struct finder *f, const struct config_line *block)
{
    for (const struct config_line *l = block->first; l != NULL; l = l->next) {
        if (listed(f->desc, &f->desc->places, l))
            TRY(look_at(f, l));
        if (l->block)
            TRY(look_into(f, l));
    }
    return RC_OK;
}

RC find_places(struct ctx *ctx, const struct connector *c, const struct find_desc *d, struct bytes text, struct find_place **out,
               size_t *n)
{
    struct config_text *texts;
    struct str_list beside;
    size_t count;
    uint64_t seen = 0, looked = 0;
    ARENA_CLEANUP struct arena scratch = {0};
    TRY(config_text_read(ctx, &d->syntax, text, &texts, &count, &beside));
    struct found *values = arena_array(&ctx->arena, FIND_TEXTS_MAX, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        struct finder f = {.ctx = ctx, .connector = c, .desc = d, .text = &texts[i], .texts = texts, .n_texts = count,
                           .beside = &beside, .out = out, .n = n, .scratch = &scratch, .values = values, .seen = &seen,
                           .looked = &looked};
        TRY(look_at(&f, &texts[i].root));
        TRY(look_into(&f, &texts[i].root));
    }
    return RC_OK;
}
