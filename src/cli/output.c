/* Tables, JSON, CSV and names. */
#include <stdarg.h>
#include <unistd.h>

#include "cli/cli.h"
#include "os/file.h"

const json_t *cli_member(const json_t *object, const char *path)
{
    struct bytes rest = bytes_z(path), part;
    while (object && bytes_take_until(&rest, '.', &part))
        object = json_object_getn(object, (const char *)part.p, part.n);
    return object;
}

const char *cli_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(cli_member(object, path));
    return text ? text : "";
}

void cli_say(struct cli *cli, const char *fmt, ...)
{
    if (cli->output != CLI_TABLE)
        return;
    va_list ap;
    va_start(ap, fmt);
    const char *line = arena_vprintf(&cli->ctx->arena, fmt, ap);
    va_end(ap);
    puts(line);
    fflush(stdout);
}

RC cli_write_out(struct cli *cli, struct bytes data, unsigned mode)
{
    const char *path = cli_opt(cli, "out");
    if (path)
        return file_write_atomic_path(cli->ctx, path, data, FILE_KEEP_UID, FILE_KEEP_GID, (mode_t)mode);
    if (fwrite(data.p, 1, data.n, stdout) != data.n || fflush(stdout))
        return ctx_fail_errno(cli->ctx, "cannot write to standard output");
    return RC_OK;
}

/* --- values */

static void put_date(struct buf *b, int64_t at)
{
    const struct civil c = civil_from_unix(at);
    buf_printf(b, "%04lld-%02d-%02d %02d:%02d", (long long)c.year, c.month, c.day, c.hour, c.minute);
}

/* put_away says how far off a time is: "in 60 days", "3 min ago". */
static void put_away(struct buf *b, int64_t at, int64_t now)
{
    if (at == now) {
        buf_put_z(b, "now");
        return;
    }
    if (at > now)
        buf_put_z(b, "in ");
    time_put_span_ms(b, (at >= now ? at - now : now - at) * 1000);
    if (at < now)
        buf_put_z(b, " ago");
}

static void put_joined(struct buf *b, const json_t *list, bool raw)
{
    const size_t n = json_array_size(list), most = raw ? n : 4;
    for (size_t i = 0; i < n && i < most; i++) {
        buf_put_z(b, !i ? "" : raw ? " " : ", ");
        buf_put_z(b, json_string_value(json_array_get(list, i)));
    }
    if (n > most)
        buf_printf(b, " and %zu more", n - 4);
}

/* The state of a managed certificate in a word, from its conditions: what matters most first. */
static const char *state_of(const json_t *item)
{
    static const char *const order[] = {"paused", "renewing", "deploying", "failing", "untrusted", "late", "adopted"};
    const json_t *conditions = json_object_get(item, "conditions"), *c = NULL;
    bool served = false, known = false, waiting = false;
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < json_array_size(conditions); i++) {
            c = json_array_get(conditions, i);
            if (str_equal(cli_text(c, "type"), order[k]) && json_is_true(json_object_get(c, "status")))
                return order[k];
            waiting = waiting || (str_equal(cli_text(c, "type"), "waiting") && json_is_true(json_object_get(c, "status")));
            if (str_equal(cli_text(c, "type"), "served")) {
                known = true;
                served = json_is_true(json_object_get(c, "status"));
            }
        }
    return served    ? "served"
           : waiting ? "waiting"
           : known   ? "not served"
                     : json_object_get(item, "current_version") ? "issued" : "new";
}

static const char *value_text(struct cli *cli, const json_t *item, const struct cli_column *col)
{
    const json_t *v = cli_member(item, col->path);
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, (size_t)1 << 18);
    int64_t at = 0;
    if (col->format == CLI_STATE)
        return state_of(item);
    if (col->format == CLI_NAMES && json_array_size(v) == 0)
        v = cli_member(item, "subject");
    if (!v || json_is_null(v))
        return "";
    const char *text = json_string_value(v);
    const bool raw = cli->output == CLI_CSV;
    if (!raw && text && (col->format == CLI_DATE || col->format == CLI_AGO) && time_parse_rfc3339(bytes_z(text), &at)) {
        if (col->format == CLI_DATE)
            put_date(&b, at);
        else
            put_away(&b, at, ctx_now_s(cli->ctx));
    } else if (!raw && col->format == CLI_SPAN_S && json_is_integer(v))
        time_put_span_ms(&b, json_integer_value(v) * 1000);
    else if (!raw && col->format == CLI_SHORT_HEX && text)
        buf_put(&b, bytes_of(text, strlen(text) < 16 ? strlen(text) : 16));
    else if (json_is_array(v))
        put_joined(&b, v, raw);
    else if (text)
        buf_put_z(&b, text);
    else if (json_is_integer(v))
        buf_printf(&b, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        buf_put_z(&b, json_is_true(v) ? "yes" : "no");
    return buf_z(&b);
}

/* --- lists */

static void print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    putchar('\n');
}

/* What terminals show must not steer them: names and texts come from other people. */
static void print_cell(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        putchar(*p < 0x20 || *p == 0x7f ? ' ' : *p);
}

/* What a spreadsheet would take for a formula: a name in a certificate is anybody's.  Numbers may be negative. */
static bool is_formula(const char *text)
{
    if (!*text || !strchr("=+-@\t\r", *text))
        return false;
    return *text != '-' || !text[1] || text[1 + strspn(text + 1, "0123456789.")];
}

static void print_csv_cell(const char *text)
{
    const bool defuse = is_formula(text), quote = strpbrk(text, ",\"\n\r") != NULL;
    if (quote)
        putchar('"');
    if (defuse) /* an apostrophe says that it is a text */
        putchar('\'');
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            putchar('"');
        putchar(*p);
    }
    if (quote)
        putchar('"');
}

/* Characters, not bytes, make the width of a cell. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += ((unsigned char)*p & 0xc0) != 0x80;
    return n;
}

/* As members of JSON are called: "last_seen" for "LAST SEEN". */
static const char *csv_head(struct arena *a, const char *title)
{
    char *head = arena_strdup(a, title);
    for (char *p = head; *p; p++)
        *p = (char)(*p == ' ' ? '_' : *p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    return head;
}

static void print_row(const char *const *cells, const size_t *widths, size_t n, bool csv)
{
    for (size_t c = 0; c < n; c++) {
        if (csv) {
            if (c)
                putchar(',');
            print_csv_cell(cells[c]);
            continue;
        }
        print_cell(cells[c]);
        for (size_t w = width_of(cells[c]); c + 1 < n && w < widths[c] + 2; w++)
            putchar(' ');
    }
    fputs(csv ? "\r\n" : "\n", stdout);
}

/* A name alone on its line; a few things are named by a number. */
static void put_name(const json_t *object, const char *path)
{
    const json_t *name = cli_member(object, path);
    if (json_is_integer(name))
        printf("%lld\n", (long long)json_integer_value(name));
    else
        puts(cli_text(object, path));
}

static struct rc print_list(struct cli *cli, const json_t *items, const struct cli_column *columns, size_t n, const char *name_path,
                            bool begin)
{
    struct arena *a = &cli->ctx->arena;
    const size_t rows = json_array_size(items);
    if (cli->output == CLI_JSON) {
        print_json(items);
        return RC_OK;
    }
    if (cli->output == CLI_JSONL) {
        for (size_t i = 0; i < rows; i++) {
            json_dumpf(json_array_get(items, i), stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
            putchar('\n');
        }
        return RC_OK;
    }
    if (cli->output == CLI_NAME) {
        for (size_t i = 0; i < rows; i++)
            put_name(json_array_get(items, i), name_path);
        return RC_OK;
    }
    if (!rows && cli->output == CLI_TABLE) {
        puts("none");
        return RC_OK;
    }
    const char **cells = arena_array(a, (rows + 1) * n, sizeof *cells);
    size_t *widths = arena_array(a, n, sizeof *widths);
    for (size_t c = 0; c < n; c++) {
        cells[c] = cli->output == CLI_CSV ? csv_head(a, columns[c].title) : columns[c].title;
        widths[c] = width_of(cells[c]);
        for (size_t r = 0; r < rows; r++) {
            const char *text = cells[(r + 1) * n + c] = value_text(cli, json_array_get(items, r), &columns[c]);
            if (width_of(text) > widths[c])
                widths[c] = width_of(text);
        }
    }
    for (size_t r = begin ? 0 : 1; r <= rows; r++)
        print_row(&cells[r * n], widths, n, cli->output == CLI_CSV);
    return RC_OK;
}

RC cli_print_list(struct cli *cli, const json_t *items, const struct cli_column *columns, size_t n, const char *name_path)
{
    return print_list(cli, items, columns, n, name_path, true);
}

RC cli_print_more(struct cli *cli, const json_t *items, const struct cli_column *columns, size_t n, const char *name_path)
{
    return print_list(cli, items, columns, n, name_path, false);
}

/* --- one object */

static const char *plain(struct cli *cli, const json_t *v)
{
    struct arena *a = &cli->ctx->arena;
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_integer(v))
        return arena_printf(a, "%lld", (long long)json_integer_value(v));
    return json_is_boolean(v) ? (json_is_true(v) ? "yes" : "no") : "";
}

static bool is_flat_list(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++)
        if (json_is_object(json_array_get(v, i)))
            return false;
    return true;
}

static void print_text(const char *label, int indent, const char *text)
{
    printf("%*s%-*s ", indent, "", 20 - indent > 0 ? 20 - indent : 1, label);
    /* PEM and other texts of several lines stand below each other. */
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '\n' && !p[1])
            break;
        if (*p == '\n')
            printf("\n%21s", "");
        else
            putchar(*p < 0x20 || *p == 0x7f ? ' ' : *p);
    }
    putchar('\n');
}

static void print_members(struct cli *cli, const json_t *object, int indent)
{
    struct arena *a = &cli->ctx->arena;
    json_t *obj = (json_t *)(uintptr_t)object; /* iterating changes nothing */
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it)) {
        const json_t *v = json_object_iter_value(it);
        const char *raw = json_object_iter_key(it);
        if (json_is_string(v) && !*json_string_value(v))
            continue;
        char *key = arena_strdup(a, raw);
        for (char *p = key; *p; p++)
            if (*p == '_')
                *p = ' ';
        if (json_is_object(v)) {
            printf("%*s%s\n", indent, "", key);
            print_members(cli, v, indent + 2);
        } else if (json_is_array(v) && is_flat_list(v)) {
            struct buf b;
            buf_init_arena(&b, a, 65536);
            for (size_t i = 0; i < json_array_size(v); i++) {
                buf_put_z(&b, i ? ", " : "");
                buf_put_z(&b, plain(cli, json_array_get(v, i)));
            }
            print_text(key, indent, buf_z(&b));
        } else if (json_is_array(v)) {
            printf("%*s%s\n", indent, "", key);
            for (size_t i = 0; i < json_array_size(v); i++) {
                print_members(cli, json_array_get(v, i), indent + 2);
                if (i + 1 < json_array_size(v))
                    putchar('\n');
            }
        } else
            print_text(key, indent, plain(cli, v));
    }
}

RC cli_print_object(struct cli *cli, const json_t *object, const char *name_path)
{
    if (cli->output == CLI_NAME)
        put_name(object, name_path);
    else if (cli->output == CLI_JSON)
        print_json(object);
    else if (cli->output == CLI_JSONL) {
        json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else if (cli->output == CLI_CSV)
        return ctx_fail(cli->ctx, E_USAGE, "csv is for lists; use json");
    else
        print_members(cli, object, 0);
    return RC_OK;
}

RC cli_sure(struct cli *cli, bool *yes, const char *fmt, ...)
{
    char line[16] = "";
    *yes = cli_has(cli, "yes");
    if (*yes)
        return RC_OK;
    if (!isatty(STDIN_FILENO))
        return ctx_fail(cli->ctx, E_USAGE, "nobody can be asked: say --yes, or --dry-run to see what would be done");
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs(" [y/N] ", stderr);
    fflush(stderr);
    if (fgets(line, sizeof line, stdin))
        *yes = *line == 'y' || *line == 'Y';
    return RC_OK;
}
