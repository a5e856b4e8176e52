#include "core/filter.h"

#include <string.h>

#include "base/str.h"
#include "pki/cert_read.h"

static const struct {
    const char *word, *text;
    enum filter_type type;
} fields[FILTER_FIELDS] = {
#define FIELD(ident, word, type, text) {word, text, FILTER_TYPE_##type},
#include "api/filter_fields.def"
#undef FIELD
};

static const char *const op_words[FILTER_OPS] = {"=", "!=", "<", "<=", ">", ">=", "~", "under"};

#define OP(op)    (1u << FILTER_##op)
#define OPS_SAME  (OP(EQ) | OP(NE))
#define OPS_ORDER (OPS_SAME | OP(LT) | OP(LE) | OP(GT) | OP(GE))

/* By type: the operators, and what a value is for people. */
static const struct {
    unsigned ops;
    const char *value;
} types[FILTER_TYPES] = {
    [FILTER_TYPE_NAME] = {OPS_SAME | OP(HAS) | OP(UNDER), "a name"},
    [FILTER_TYPE_TIME] = {OPS_ORDER, "a time (30d, now, 2026-12-31)"},
    [FILTER_TYPE_PAST] = {OPS_ORDER, "a time (-30d, now, 2026-12-31)"},
    [FILTER_TYPE_SPAN] = {OPS_ORDER, "a length of time (90d, 12h)"},
    [FILTER_TYPE_NUMBER] = {OPS_ORDER, "a number"},
    [FILTER_TYPE_TEXT] = {OPS_SAME | OP(HAS), "a text"},
    [FILTER_TYPE_KEY] = {OPS_SAME, "a kind of key (rsa-2048, ec-p256)"},
    [FILTER_TYPE_CHOICE] = {OPS_SAME, "a word"},
    [FILTER_TYPE_RANK] = {OPS_ORDER, "a word"},
    [FILTER_TYPE_HEX] = {OPS_SAME, "hexadecimal digits"},
    [FILTER_TYPE_FLAG] = {OPS_SAME, "true or false"},
    [FILTER_TYPE_LABEL] = {OPS_SAME, "a name"},
    [FILTER_TYPE_TREE] = {OPS_SAME | OP(UNDER), "a name"},
    [FILTER_TYPE_PLACE] = {OPS_SAME | OP(UNDER), "a host, address or network"},
};

const char *filter_field_word(enum filter_field field)
{
    return fields[field].word;
}

const char *filter_field_text(enum filter_field field)
{
    return fields[field].text;
}

enum filter_type filter_field_type(enum filter_field field)
{
    return fields[field].type;
}

/* A word of `list`, which ends with NULL. */
static const char *listed(const char *const *list, unsigned index)
{
    for (unsigned i = 0; i < index && *list; i++)
        list++;
    return *list;
}

const char *filter_choice(enum filter_field field, unsigned index)
{
    static const char *const severities[] = {"info", "warning", "error", "critical", NULL}; /* enum check_severity */
    static const char *const sources[] = {"issued", "scan",    "host", "import",
                                          "log",    "fetched", NULL}; /* enum inventory_source, less 1 */
    static const char *const checks[] = {
#define CHECK(number, name, id, severity, words, remedy, source, when) id,
#include "core/checks.def"
#undef CHECK
        NULL};
    switch (field) {
    case FILTER_FINDING:
        return listed(checks, index);
    case FILTER_SEVERITY:
        return listed(severities, index);
    case FILTER_SOURCE:
        return listed(sources, index);
    case FILTER_SIGNATURE:
        return index < CERT_SIGNATURE_COUNT ? cert_signature_word((enum cert_signature)index) : NULL;
    default:
        return NULL;
    }
}

/* --- words of the text */

enum token { END, WORD, QUOTED, OPERATOR, OPEN, CLOSE, COMMA };

struct reader {
    struct ctx *ctx;
    const char *text;
    size_t n, at;      /* behind the token */
    unsigned column;   /* of `at`, in characters */
    enum token token;  /* the one that comes next */
    unsigned here;     /* its column */
    const char *value; /* WORD and OPERATOR as they stand; QUOTED without quotes and backslashes */
    unsigned tests;
};

#define FAIL(r, column, ...) fail_at((r), (column), arena_printf(&(r)->ctx->arena, __VA_ARGS__))

static struct rc fail_at(struct reader *r, unsigned column, const char *what)
{
    return ctx_fail_field(r->ctx, "/where", "column %u: %s", column, what);
}

static void step(struct reader *r)
{
    r->column += ((uint8_t)r->text[r->at] & 0xc0) != 0x80;
    r->at++;
}

static struct rc quoted(struct reader *r)
{
    const char quote = r->text[r->at];
    char *out = arena_alloc(&r->ctx->arena, r->n - r->at + 1);
    size_t n = 0;
    for (step(r); r->at < r->n && r->text[r->at] != quote; step(r)) {
        if (r->text[r->at] == '\\' && r->at + 1 < r->n)
            step(r);
        out[n++] = r->text[r->at];
    }
    if (r->at == r->n)
        return FAIL(r, r->here, "the quote that begins here has no end");
    step(r);
    r->token = QUOTED;
    r->value = out;
    return RC_OK;
}

static bool ends_word(char c)
{
    return (uint8_t)c <= ' ' || strchr("()=!<>~,\"'", c);
}

/* next looks at what follows. */
static struct rc next(struct reader *r)
{
    while (r->at < r->n && strchr(" \t\r\n", r->text[r->at]))
        step(r);
    r->here = r->column;
    r->value = "";
    if (r->at == r->n) {
        r->token = END;
        return RC_OK;
    }
    const size_t from = r->at;
    const char c = r->text[from];
    if (c == '"' || c == '\'')
        return quoted(r);
    if (c == '(' || c == ')' || c == ',') {
        r->token = c == '(' ? OPEN : c == ')' ? CLOSE : COMMA;
        step(r);
    } else if (strchr("=!<>~", c)) {
        r->token = OPERATOR;
        step(r);
        if (c != '~' && r->at < r->n && r->text[r->at] == '=')
            step(r);
    } else {
        r->token = WORD;
        while (r->at < r->n && !ends_word(r->text[r->at]))
            step(r);
        if (r->at == from)
            return FAIL(r, r->here, "a control character stands here");
    }
    r->value = arena_str(&r->ctx->arena, bytes_of(r->text + from, r->at - from));
    return RC_OK;
}

static bool is_word(const struct reader *r, const char *word)
{
    return r->token == WORD && bytes_equal_nocase(bytes_z(r->value), bytes_z(word));
}

/* shown is the token as a message names it, cut where it is long. */
static const char *shown(struct reader *r)
{
    if (r->token == END)
        return "the end";
    size_t n = strlen(r->value);
    const bool cut = n > 40;
    if (cut)
        for (n = 40; n && ((uint8_t)r->value[n] & 0xc0) == 0x80;)
            n--;
    return arena_printf(&r->ctx->arena, "\"%.*s%s\"", (int)n, r->value, cut ? "…" : "");
}

/* --- the nearest word there is */

static size_t distance(const char *a, const char *b)
{
    size_t row[40], na = strlen(a), nb = strlen(b);
    if (na >= 40 || nb >= 40)
        return 99;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t same = corner + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));
            const size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = same < other ? same : other;
        }
    }
    return row[nb];
}

/* What people write for a field out of habit. */
static const char *habit(const char *word)
{
    static const struct {
        const char *theirs, *ours;
    } rows[] = {
        {"not_after", "expires"},  {"notafter", "expires"},
        {"expiry", "expires"},     {"not_before", "issued"},
        {"notbefore", "issued"},   {"san", "name"},
        {"dns", "name"},           {"domain", "name"},
        {"host", "endpoint"},      {"address", "endpoint"},
        {"ip", "endpoint"},        {"sha256", "fingerprint"},
        {"sha1", "fingerprint"},   {"thumbprint", "fingerprint"},
        {"cn", "subject.cn"},      {"o", "subject.o"},
        {"bits", "key.bits"},      {"algorithm", "key"},
        {"check", "finding"},      {"validity", "lifetime"},
        {"pin", "spki"},           {"seen", "last_seen"},
        {"endpoint.port", "port"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (bytes_equal_nocase(bytes_z(word), bytes_z(rows[i].theirs)))
            return rows[i].ours;
    return NULL;
}

struct nearest {
    const char *word, *best;
    size_t distance;
};

static void nearer(struct nearest *s, const char *candidate)
{
    const size_t d = distance(s->word, candidate), most = strlen(s->word) < 5 ? 1 : 2;
    if (d <= most && (!s->best || d < s->distance)) {
        s->best = candidate;
        s->distance = d;
    }
}

static struct rc unknown_field(struct reader *r)
{
    struct nearest s = {.word = r->value, .best = habit(r->value)};
    struct buf all;
    for (unsigned f = 0; f < FILTER_FIELDS && !habit(r->value); f++)
        nearer(&s, fields[f].word);
    if (s.best)
        return FAIL(r, r->here, "there is no field %s; did you mean %s?", shown(r), s.best);
    buf_init_arena(&all, &r->ctx->arena, 2048);
    for (unsigned f = 0; f < FILTER_FIELDS; f++)
        buf_printf(&all, "%s%s", f ? ", " : "", fields[f].word);
    return FAIL(r, r->here, "there is no field %s; there are %s", shown(r), buf_z(&all));
}

static struct rc unknown_choice(struct reader *r, enum filter_field field)
{
    struct nearest s = {.word = r->value};
    struct buf all;
    unsigned n = 0;
    for (; filter_choice(field, n); n++)
        nearer(&s, filter_choice(field, n));
    if (s.best)
        return FAIL(r, r->here, "%s is never %s; did you mean %s?", fields[field].word, shown(r), s.best);
    buf_init_arena(&all, &r->ctx->arena, 4096);
    for (unsigned i = 0; i < n && i < 40; i++)
        buf_printf(&all, "%s%s", i ? ", " : "", filter_choice(field, i));
    return FAIL(r, r->here, "%s is never %s; it is one of %s%s", fields[field].word, shown(r), buf_z(&all), n > 40 ? ", …" : "");
}

/* --- values */

static struct rc bad_value(struct reader *r, enum filter_field field)
{
    return FAIL(r, r->here, "%s is compared with %s, not with %s", fields[field].word, types[fields[field].type].value, shown(r));
}

static bool two_digits(const char *p, int *out)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *out = (p[0] - '0') * 10 + p[1] - '0';
    return true;
}

/* "2026", "2026-12", "2026-12-31": the first and the last second of it. */
static bool read_period(const char *text, int64_t *from, int64_t *to)
{
    const size_t n = strlen(text);
    int century, year, month = 1, day = 1;
    if ((n != 4 && n != 7 && n != 10) || !two_digits(text, &century) || !two_digits(text + 2, &year) ||
        (n > 4 && (text[4] != '-' || !two_digits(text + 5, &month))) || (n > 7 && (text[7] != '-' || !two_digits(text + 8, &day))))
        return false;
    struct civil c = {.year = century * 100 + year, .month = month, .day = day};
    if (!civil_to_unix(&c, from))
        return false;
    if (n == 10) {
        *to = *from + 86399;
        return true;
    }
    if (n == 4 || ++c.month == 13) {
        c.month = 1;
        c.year++;
    }
    if (!civil_to_unix(&c, to))
        return false;
    --*to;
    return true;
}

#define SPAN_MAX (INT64_C(1000) * 365 * 86400) /* sums with it stay far from the ends of int64_t */

static bool read_span(struct bytes text, int64_t *out)
{
    return str_parse_span(text, out) && *out <= SPAN_MAX;
}

/* "+30d", "-12h". */
static bool read_offset(struct bytes text, int64_t *out)
{
    if (!text.n || (text.p[0] != '+' && text.p[0] != '-'))
        return false;
    const bool back = text.p[0] == '-';
    if (!bytes_skip(&text, 1) || !read_span(text, out))
        return false;
    *out = back ? -*out : *out;
    return true;
}

static struct rc read_time(struct reader *r, enum filter_field field, struct filter_value *v)
{
    const struct bytes text = bytes_z(r->value);
    struct bytes after = text;
    int64_t s = 0;
    if (read_period(r->value, &v->from, &v->to))
        return next(r);
    if (time_parse_rfc3339(text, &s)) {
        v->from = v->to = s;
        return next(r);
    }
    v->relative = true;
    if (is_word(r, "now")) { /* "now + 30d" may be three words */
        TRY(next(r));
        struct bytes sign = bytes_z(r->value);
        if (r->token == WORD && (bytes_equal_z(sign, "+") || bytes_equal_z(sign, "-"))) {
            const bool back = bytes_equal_z(sign, "-");
            TRY(next(r));
            if (r->token != WORD || !read_span(bytes_z(r->value), &s))
                return FAIL(r, r->here, "behind \"now %s\" comes a length of time (30d, 12h), not %s", back ? "-" : "+", shown(r));
            v->from = v->to = back ? -s : s;
            return next(r);
        }
        if (r->token == WORD && read_offset(sign, &s)) {
            v->from = v->to = s;
            return next(r);
        }
        return RC_OK;
    }
    if (bytes_starts_with(text, BYTES_LIT("now")) && bytes_skip(&after, 3) && read_offset(after, &s)) {
        v->from = v->to = s;
        return next(r);
    }
    if (!read_offset(text, &s)) {
        if (!read_span(text, &s) || strspn(r->value, "0123456789") == strlen(r->value))
            return bad_value(r, field);
        if (fields[field].type == FILTER_TYPE_PAST && s)
            return FAIL(r, r->here, "%s lies behind us: write -%s, or now+%s if you mean it", fields[field].word, r->value,
                        r->value);
    }
    v->from = v->to = s;
    return next(r);
}

static const char *lower(struct ctx *ctx, const char *text)
{
    char *out = arena_strdup(&ctx->arena, text);
    for (char *p = out; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
    return out;
}

/* Digits without the colons and spaces that other tools put between them; NULL where it is something else. */
static const char *read_hex(struct ctx *ctx, const char *text)
{
    char *out = arena_alloc(&ctx->arena, strlen(text) + 1);
    size_t n = 0;
    if (text[0] == '0' && (text[1] | 0x20) == 'x')
        text += 2;
    for (; *text; text++) {
        if (*text == ':' || *text == ' ')
            continue;
        const char c = *text >= 'A' && *text <= 'F' ? (char)(*text | 0x20) : *text;
        if (!strchr("0123456789abcdef", c))
            return NULL;
        out[n++] = c;
    }
    return n ? out : NULL;
}

static struct rc read_hex_value(struct reader *r, enum filter_field field, struct filter_value *v)
{
    v->text = read_hex(r->ctx, r->value);
    if (!v->text)
        return bad_value(r, field);
    const size_t n = strlen(v->text);
    if (field == FILTER_SERIAL) {
        while (v->text[0] == '0' && v->text[1])
            v->text++;
    } else if (n < 8 || n > 64) {
        return FAIL(r, r->here, "%s has 64 hexadecimal digits; the first 8 of them at least", fields[field].word);
    }
    return next(r);
}

static struct rc read_choice(struct reader *r, enum filter_field field, struct filter_value *v)
{
    char *under = arena_strdup(&r->ctx->arena, r->value);
    for (char *p = under; field == FILTER_FINDING && *p; p++) /* weak-hash is as good */
        *p = *p == '-' ? '_' : *p;
    for (unsigned i = 0; filter_choice(field, i); i++)
        if (bytes_equal_nocase(bytes_z(under), bytes_z(filter_choice(field, i)))) {
            v->number = i;
            v->text = filter_choice(field, i);
            return next(r);
        }
    return unknown_choice(r, field);
}

static struct rc read_flag(struct reader *r, enum filter_field field, struct filter_value *v)
{
    if (!is_word(r, "true") && !is_word(r, "false") && !is_word(r, "yes") && !is_word(r, "no"))
        return bad_value(r, field);
    v->number = is_word(r, "true") || is_word(r, "yes");
    return next(r);
}

/* ".example.org" and "*.example.org" mean what is below example.org, too. */
static struct bytes below(struct bytes name)
{
    while (bytes_starts_with(name, BYTES_LIT(".")) || bytes_starts_with(name, BYTES_LIT("*.")))
        (void)bytes_skip(&name, name.p[0] == '*' ? 2 : 1);
    return name;
}

/* A word of a name holds neither dots nor what separates words. */
static struct rc read_name(struct reader *r, enum filter_field field, enum filter_op op, struct filter_value *v)
{
    struct bytes text = bytes_z(lower(r->ctx, r->value));
    while (text.n > 1 && text.p[text.n - 1] == '.')
        text.n--;
    if (op == FILTER_UNDER)
        text = below(text);
    v->text = arena_str(&r->ctx->arena, text);
    if (!text.n)
        return bad_value(r, field);
    if (op == FILTER_HAS && strpbrk(v->text, ".*@"))
        return FAIL(r, r->here, "a word of a name has no %c in it; \"name = %s\" or \"name under …\" ask for more",
                    *strpbrk(v->text, ".*@"), v->text);
    if (op == FILTER_UNDER && field == FILTER_NAME && strpbrk(v->text, "*@/"))
        return bad_value(r, field);
    if (op == FILTER_EQ || op == FILTER_NE)
        if (address_parse(text, &v->net.base))
            v->net.bits = (uint8_t)(v->net.base.len * 8);
    return next(r);
}

static struct rc read_place(struct reader *r, enum filter_field field, enum filter_op op, struct filter_value *v)
{
    const char *host = NULL;
    struct bytes text = bytes_z(lower(r->ctx, r->value));
    if (cidr_parse(text, &v->net)) {
        v->text = arena_str(&r->ctx->arena, text);
        if (v->net.bits < v->net.base.len * 8 && op != FILTER_UNDER)
            return FAIL(r, r->here, "a network is asked for by \"%s under %s\"", fields[field].word, v->text);
        return next(r);
    }
    if (memchr(text.p, '/', text.n) && op == FILTER_UNDER)
        return FAIL(r, r->here, "%s is no network; bits behind the prefix must be zero, as in 10.0.0.0/16", shown(r));
    if (op == FILTER_UNDER)
        text = below(text);
    if (!text.n)
        return bad_value(r, field);
    v->text = arena_str(&r->ctx->arena, text);
    if (op != FILTER_UNDER && memchr(text.p, ':', text.n)) { /* host:port; anything else is the place of another kind, as it is */
        uint16_t port = 0;
        if (rc_ok(address_parse_host_port(r->ctx, text, 0, &host, &port))) {
            v->text = host;
            v->port = port;
            if (address_parse(bytes_z(host), &v->net.base))
                v->net.bits = (uint8_t)(v->net.base.len * 8);
        } else {
            ctx_forget(r->ctx);
        }
    }
    if (!v->port) /* a path keeps its letters */
        v->text = strchr(r->value, '/') ? r->value : v->text;
    return next(r);
}

static bool all_digits(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == 0 && strlen(s) < 6;
}

/* key_word_ok: a kind alone, or with its size or curve. */
static bool key_word_ok(const char *word)
{
    for (unsigned k = 0; k < CERT_KEY_COUNT; k++) {
        const char *kind = cert_key_word((enum cert_key_type)k);
        const size_t n = strlen(kind);
        if (!strcmp(word, kind) || (!strncmp(word, kind, n) && word[n] == '-' && all_digits(word + n + 1)))
            return true;
    }
    return !strncmp(word, "ec-", 3) && word[3] != 0;
}

static struct rc read_value(struct reader *r, enum filter_field field, enum filter_op op, struct filter_value *v)
{
    if (r->token != WORD && r->token != QUOTED)
        return FAIL(r, r->here, "behind \"%s %s\" comes %s, not %s", fields[field].word, op_words[op],
                    types[fields[field].type].value, shown(r));
    const size_t n = strlen(r->value);
    if (n > FILTER_VALUE_MAX)
        return FAIL(r, r->here, "a value has %d bytes at most; this one has %zu", FILTER_VALUE_MAX, n);
    if (n == 0)
        return FAIL(r, r->here, "there is nothing between the quotes");
    v->text = r->value;
    switch (fields[field].type) {
    case FILTER_TYPE_NAME:
        return read_name(r, field, op, v);
    case FILTER_TYPE_TIME:
    case FILTER_TYPE_PAST:
        return read_time(r, field, v);
    case FILTER_TYPE_SPAN:
        if (!read_span(bytes_z(r->value), &v->number) || all_digits(r->value))
            return bad_value(r, field);
        break;
    case FILTER_TYPE_NUMBER:
        if (!all_digits(r->value))
            return bad_value(r, field);
        (void)str_to_i64(bytes_z(r->value), &v->number);
        break;
    case FILTER_TYPE_CHOICE:
    case FILTER_TYPE_RANK:
        return read_choice(r, field, v);
    case FILTER_TYPE_HEX:
        return read_hex_value(r, field, v);
    case FILTER_TYPE_FLAG:
        return read_flag(r, field, v);
    case FILTER_TYPE_PLACE:
        return read_place(r, field, op, v);
    case FILTER_TYPE_KEY:
        v->text = lower(r->ctx, r->value);
        if (!key_word_ok(v->text))
            return bad_value(r, field);
        break;
    default:
        break;
    }
    return next(r);
}

/* --- the grammar */

static struct rc read_or(struct reader *r, unsigned depth, struct filter **out);

static struct filter *node(struct reader *r, enum filter_kind kind, unsigned column)
{
    struct filter *f = ARENA_NEW(&r->ctx->arena, struct filter);
    f->kind = kind;
    f->column = column;
    return f;
}

static struct rc new_test(struct reader *r, enum filter_field field, enum filter_op op, unsigned column, struct filter **out)
{
    if (++r->tests > FILTER_TESTS_MAX)
        return FAIL(r, column, "a filter has %d tests at most", FILTER_TESTS_MAX);
    *out = node(r, FILTER_TEST, column);
    (*out)->field = field;
    (*out)->op = op;
    return RC_OK;
}

/* `field in (a, b)` is `field = a or field = b`. */
static struct rc read_in(struct reader *r, enum filter_field field, unsigned column, struct filter **out)
{
    TRY(next(r));
    if (r->token != OPEN)
        return FAIL(r, r->here, "behind \"in\" comes a list (a, b, …), not %s", shown(r));
    struct filter *any = node(r, FILTER_OR, column), **end = &any->first;
    do {
        TRY(next(r));
        TRY(new_test(r, field, FILTER_EQ, r->here, end));
        TRY(read_value(r, field, FILTER_EQ, &(*end)->value));
        end = &(*end)->next;
    } while (r->token == COMMA);
    if (r->token != CLOSE)
        return FAIL(r, r->here, "the list behind \"in\" goes on with a comma or ends with ), not with %s", shown(r));
    *out = any->first->next ? any : any->first;
    return next(r);
}

static const char *ops_text(struct reader *r, enum filter_type type)
{
    struct buf b;
    buf_init_arena(&b, &r->ctx->arena, 256);
    for (unsigned op = 0; op < FILTER_OPS; op++)
        if (types[type].ops & 1u << op)
            buf_printf(&b, "%s ", op_words[op]);
    buf_put_z(&b, "in");
    return buf_z(&b);
}

/* read_op: false where no operator follows. */
static bool read_op(const struct reader *r, enum filter_op *out)
{
    static const struct {
        const char *word;
        enum filter_op op;
    } rows[] = {{"=", FILTER_EQ}, {"==", FILTER_EQ}, {"!=", FILTER_NE}, {"<", FILTER_LT},     {"<=", FILTER_LE},
                {">", FILTER_GT}, {">=", FILTER_GE}, {"~", FILTER_HAS}, {"word", FILTER_HAS}, {"under", FILTER_UNDER}};
    for (size_t i = 0; (r->token == OPERATOR || r->token == WORD) && i < sizeof rows / sizeof *rows; i++)
        if (bytes_equal_nocase(bytes_z(r->value), bytes_z(rows[i].word))) {
            *out = rows[i].op;
            return true;
        }
    return false;
}

static bool ends_test(const struct reader *r)
{
    return r->token == END || r->token == CLOSE || is_word(r, "and") || is_word(r, "or");
}

/* An older version is neither managed nor not managed, so what is not managed is asked by the test itself. */
static struct filter *not_managed(struct filter *managed)
{
    managed->op = FILTER_EQ;
    managed->value.number = !managed->value.number;
    return managed;
}

static struct rc read_test(struct reader *r, struct filter **out)
{
    const unsigned column = r->here;
    enum filter_op op = FILTER_EQ;
    unsigned f = 0;
    if (r->token != WORD || ends_test(r))
        return FAIL(r, column, "a field, \"not\" or ( is expected here, not %s", shown(r));
    while (f < FILTER_FIELDS && !is_word(r, fields[f].word))
        f++;
    if (f == FILTER_FIELDS)
        return unknown_field(r);
    const enum filter_field field = (enum filter_field)f;
    const enum filter_type type = fields[field].type;
    TRY(next(r));
    if (type == FILTER_TYPE_FLAG && ends_test(r)) {
        TRY(new_test(r, field, FILTER_EQ, column, out));
        (*out)->value.number = 1;
        return RC_OK;
    }
    if (is_word(r, "in"))
        return read_in(r, field, column, out);
    if (!read_op(r, &op))
        return FAIL(r, r->here, "behind \"%s\" comes one of %s, not %s", fields[field].word, ops_text(r, type), shown(r));
    if (!(types[type].ops & 1u << op))
        return FAIL(r, r->here, "\"%s\" is not compared by %s; it has %s", fields[field].word, shown(r), ops_text(r, type));
    TRY(next(r));
    TRY(new_test(r, field, op, column, out));
    TRY(read_value(r, field, op, &(*out)->value));
    if (field == FILTER_MANAGED && op == FILTER_NE)
        *out = not_managed(*out);
    return RC_OK;
}

static struct rc read_factor(struct reader *r, unsigned depth, struct filter **out)
{
    const unsigned column = r->here;
    if (depth > FILTER_DEPTH_MAX)
        return FAIL(r, column, "parentheses and \"not\" go %d deep at most", FILTER_DEPTH_MAX);
    if (is_word(r, "not")) {
        TRY(next(r));
        struct filter *not = node(r, FILTER_NOT, column);
        TRY(read_factor(r, depth + 1, &not->first));
        *out = not;
        if (not->first->kind == FILTER_TEST && not->first->field == FILTER_MANAGED)
            *out = not_managed(not->first);
        return RC_OK;
    }
    if (r->token != OPEN)
        return read_test(r, out);
    TRY(next(r));
    TRY(read_or(r, depth + 1, out));
    if (r->token != CLOSE)
        return FAIL(r, r->here, "the parenthesis of column %u is closed here by ), or \"and\" or \"or\" goes on; not %s", column,
                    shown(r));
    return next(r);
}

/* read_row reads one or more, with `word` between them. */
static struct rc read_row(struct reader *r, enum filter_kind kind, unsigned depth, struct filter **out)
{
    const char *word = kind == FILTER_AND ? "and" : "or";
    struct filter *all = node(r, kind, r->here), **end = &all->first;
    for (;;) {
        if (kind == FILTER_AND)
            TRY(read_factor(r, depth, end));
        else
            TRY(read_row(r, FILTER_AND, depth, end));
        end = &(*end)->next;
        if (!is_word(r, word))
            break;
        TRY(next(r));
    }
    *out = all->first->next ? all : all->first;
    return RC_OK;
}

static struct rc read_or(struct reader *r, unsigned depth, struct filter **out)
{
    return read_row(r, FILTER_OR, depth, out);
}

RC filter_parse(struct ctx *ctx, const char *text, struct filter **out)
{
    struct reader r = {.ctx = ctx, .text = text ? text : "", .column = 1};
    *out = NULL;
    r.n = strlen(r.text);
    if (r.n > FILTER_TEXT_MAX)
        return ctx_fail_field(ctx, "/where", "a filter has %d bytes at most; this one has %zu", FILTER_TEXT_MAX, r.n);
    if (!str_is_utf8(bytes_z(r.text)))
        return ctx_fail_field(ctx, "/where", "the filter is not UTF-8");
    TRY(next(&r));
    if (r.token == END)
        return RC_OK;
    TRY(read_or(&r, 0, out));
    if (r.token == CLOSE)
        return FAIL(&r, r.here, "no parenthesis is open that could be closed here");
    if (r.token != END)
        return FAIL(&r, r.here, "\"and\" or \"or\" is expected here, not %s", shown(&r));
    return RC_OK;
}

/* --- as text */

static void put_time(struct buf *b, const struct filter_value *v)
{
    if (v->relative) {
        buf_put_z(b, "now");
        if (v->from)
            buf_printf(b, "%s%llds", v->from < 0 ? "-" : "+", v->from < 0 ? -(long long)v->from : (long long)v->from);
        return;
    }
    const struct civil c = civil_from_unix(v->from);
    const int64_t s = v->to - v->from;
    if (!s)
        time_put_rfc3339(b, v->from);
    else if (s < 86400)
        buf_printf(b, "%04lld-%02d-%02d", (long long)c.year, c.month, c.day);
    else if (s < 32 * 86400)
        buf_printf(b, "%04lld-%02d", (long long)c.year, c.month);
    else
        buf_printf(b, "%04lld", (long long)c.year);
}

static void put_quoted(struct buf *b, const char *text)
{
    buf_put_u8(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_put_u8(b, '\\');
        buf_put_u8(b, (uint8_t)*text);
    }
    buf_put_u8(b, '"');
}

static void put_value(struct ctx *ctx, struct buf *b, const struct filter *f)
{
    const struct filter_value *v = &f->value;
    switch (fields[f->field].type) {
    case FILTER_TYPE_TIME:
    case FILTER_TYPE_PAST:
        put_time(b, v);
        break;
    case FILTER_TYPE_SPAN:
        buf_printf(b, "%llds", (long long)v->number);
        break;
    case FILTER_TYPE_NUMBER:
        buf_printf(b, "%lld", (long long)v->number);
        break;
    case FILTER_TYPE_FLAG:
        buf_put_z(b, v->number ? "true" : "false");
        break;
    case FILTER_TYPE_PLACE:
        put_quoted(b, v->port ? arena_printf(&ctx->arena, strchr(v->text, ':') ? "[%s]:%u" : "%s:%u", v->text, v->port) : v->text);
        break;
    default:
        put_quoted(b, v->text);
    }
}

static void put_filter(struct ctx *ctx, struct buf *b, const struct filter *f, bool inside)
{
    if (f->kind == FILTER_TEST) {
        buf_printf(b, "%s %s ", fields[f->field].word, op_words[f->op]);
        put_value(ctx, b, f);
        return;
    }
    if (f->kind == FILTER_NOT) {
        buf_put_z(b, "not ");
        put_filter(ctx, b, f->first, true);
        return;
    }
    buf_put_z(b, inside ? "(" : "");
    for (const struct filter *c = f->first; c; c = c->next) {
        put_filter(ctx, b, c, true);
        if (c->next)
            buf_put_z(b, f->kind == FILTER_AND ? " and " : " or ");
    }
    buf_put_z(b, inside ? ")" : "");
}

const char *filter_text(struct ctx *ctx, const struct filter *f)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, (size_t)16 * FILTER_TEXT_MAX);
    if (f)
        put_filter(ctx, &b, f, false);
    return buf_z(&b);
}

void filter_bounds(const struct filter *test, int64_t now, int64_t *from, int64_t *to)
{
    const struct filter_value *v = &test->value;
    const int64_t first = v->from + (v->relative ? now : 0), last = v->to + (v->relative ? now : 0);
    *from = INT64_MIN;
    *to = INT64_MAX;
    switch (test->op) {
    case FILTER_LT:
        *to = first - 1;
        break;
    case FILTER_LE:
        *to = last;
        break;
    case FILTER_GT:
        *from = last + 1;
        break;
    case FILTER_GE:
        *from = first;
        break;
    default:
        *from = first;
        *to = last;
    }
}
