#include "store/select.h"

#include "base/buf.h"
#include "store/sql.h"

#define TEXT_MAX ((size_t)256 << 10)
#define DEEP     8 /* of conditions: up to here they come in their order */

/* A query being put together.  Numbers of ours stand in the text, all else is a parameter. */
struct maker {
    struct ctx *ctx;
    bool postgres;
    struct buf b;
    struct sql_value params[SQL_PARAMS_MAX];
    uint8_t types[SQL_PARAMS_MAX];
    unsigned n;
    bool full;
    const char *scope; /* endpoints of this team and its subtree are seen; NULL: all */
};

static void maker_begin(struct maker *m, struct ctx *ctx, const struct txn *txn)
{
    *m = (struct maker){.ctx = ctx, .postgres = txn->engine == &sql_postgres};
    buf_init_arena(&m->b, &ctx->arena, TEXT_MAX);
}

static void put(struct maker *m, const char *sql)
{
    buf_put_z(&m->b, sql);
}

static void put_number(struct maker *m, int64_t v)
{
    if (v == INT64_MIN) /* has no literal */
        v++;
    buf_printf(&m->b, v < 0 ? "(%lld)" : "%lld", (long long)v);
}

static void put_value(struct maker *m, struct sql_value v)
{
    if (m->n == SQL_PARAMS_MAX) {
        m->full = true;
        return;
    }
    m->params[m->n] = v;
    m->types[m->n++] = (uint8_t)v.type;
    buf_printf(&m->b, m->postgres ? "$%u" : "?%u", m->n);
}

/* One that is said again at once is no value more. */
static void put_text(struct maker *m, const char *text)
{
    if (m->n && m->types[m->n - 1] == SQL_TEXT && m->params[m->n - 1].b.p == (const uint8_t *)text) {
        buf_printf(&m->b, m->postgres ? "$%u" : "?%u", m->n);
        return;
    }
    put_value(m, sql_text(text));
}

static void put_numbers(struct maker *m, const int64_t *v, size_t n)
{
    put(m, "(");
    for (size_t i = 0; i < n; i++) {
        put(m, i ? "," : "");
        put_number(m, v[i]);
    }
    put(m, n ? ")" : "NULL)");
}

static struct rc maker_run(struct maker *m, struct txn *txn, const char *name, const uint8_t *columns, unsigned columns_n,
                           sql_row_fn *row, void *arg)
{
    if (m->full)
        return ctx_fail(m->ctx, E_TOO_LARGE, "the filter has too many values for one question; take some away");
    TRY(buf_status(&m->b));
    const struct sql_query q = {.name = name,
                                .sqlite = buf_z(&m->b),
                                .params = m->types,
                                .columns = columns,
                                .column_names = "",
                                .params_n = (uint8_t)m->n,
                                .columns_n = (uint8_t)columns_n};
    return sql_run_text(m->ctx, txn, &q, m->params, row, arg);
}

/* --- conditions */

/* put_range: `expr` between two numbers, of which either may be missing. */
static void put_range(struct maker *m, const char *expr, int64_t from, int64_t to)
{
    if (from == to) {
        buf_printf(&m->b, "%s = ", expr);
        put_number(m, from);
        return;
    }
    put(m, "(");
    if (from != INT64_MIN) {
        buf_printf(&m->b, "%s >= ", expr);
        put_number(m, from);
    }
    put(m, from != INT64_MIN && to != INT64_MAX ? " AND " : "");
    if (to != INT64_MAX) {
        buf_printf(&m->b, "%s <= ", expr);
        put_number(m, to);
    }
    put(m, from == INT64_MIN && to == INT64_MAX ? "1 = 1)" : ")");
}

/* put_scope: an endpoint `e` is of the teams that are seen.  "+" keeps it from choosing the way. */
static void put_scope(struct maker *m)
{
    if (!m->scope)
        return;
    put(m, " AND +e.team IN (SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE w.ancestor_id = ");
    put_text(m, m->scope);
    put(m, ")");
}

/* put_endpoint: what an endpoint `e` has to be; a test, or one of several. */
static void put_endpoint(struct maker *m, const struct select_cond *c)
{
    if (c->kind == SELECT_ANY) {
        put(m, "(");
        for (const struct select_cond *k = c->first; k; k = k->next) {
            put_endpoint(m, k);
            put(m, k->next ? " OR " : ")");
        }
        return;
    }
    switch (c->test) {
    case SELECT_SEEN_AT:
        put(m, "e.address >= ");
        put_value(m, sql_blob(c->low));
        put(m, " AND e.address <= ");
        put_value(m, sql_blob(c->high));
        put(m, " AND ");
        put_range(m, c->from > 0 ? "e.port" : "COALESCE(e.port, 0)", c->from, c->to);
        break;
    case SELECT_SEEN_PLACE:
        put(m, "e.kind IN ('tls', 'file', 'store', 'list', 'log') AND e.place = "); /* as its index begins */
        put_text(m, c->text);
        break;
    case SELECT_SEEN_NAME:
        put(m, "e.name <> '' AND e.name = ");
        put_text(m, c->text);
        put(m, " AND ");
        put_range(m, "COALESCE(e.port, 0)", c->from, c->to);
        break;
    case SELECT_SEEN_HOST: /* "host:…": ';' is what follows ':' */
        put(m, "e.kind IN ('file', 'store') AND e.place >= ");
        put_text(m, c->text);
        put(m, " || ':'");
        put(m, " AND e.place < ");
        put_text(m, c->text);
        put(m, " || ';'");
        break;
    case SELECT_SEEN_LISTED:
        put(m, "e.kind = 'list' AND e.name <> '' AND e.name >= ");
        put_text(m, c->text);
        put(m, " || ':'");
        put(m, " AND e.name < ");
        put_text(m, c->text);
        put(m, " || ';'");
        break;
    case SELECT_SEEN_UNDER: /* the end of a text of as many characters; where a list names it with a port, of what is before */
        put(m, "(e.name = ");
        put_text(m, c->text);
        put(m, " OR substr(e.name, length(e.name) - length(");
        put_text(m, c->text);
        put(m, ")) = '.' || ");
        put_text(m, c->text);
        put(m, " OR (e.kind = 'list' AND e.port IS NOT NULL AND (e.name = ");
        put_text(m, c->text);
        put(m, " || ':' || CAST(e.port AS TEXT) OR substr(e.name, length(e.name) - length(");
        put_text(m, c->text);
        put(m, ") - length(CAST(e.port AS TEXT)) - 1) = '.' || ");
        put_text(m, c->text);
        put(m, " || ':' || CAST(e.port AS TEXT))))");
        break;
    default:
        put_range(m, "e.port", c->from, c->to);
    }
}

static void put_test(struct maker *m, const struct select_cond *c)
{
    static const char *const ranges[SELECT_TESTS] = {
        [SELECT_NOT_AFTER] = "c.not_after",
        [SELECT_NOT_BEFORE] = "c.not_before",
        [SELECT_FIRST_SEEN] = "c.first_seen",
        [SELECT_LAST_SEEN] = "c.last_seen",
        [SELECT_LIFETIME] = "c.not_after - c.not_before + 1", /* both are part of it */
        [SELECT_KEY_BITS] = "c.key_bits",
        [SELECT_KEY_TYPE] = "(c.key_kind & 255)",
        [SELECT_KEY_KIND] = "c.key_kind",
        [SELECT_SIGNATURE] = "c.signature_kind",
        [SELECT_SOURCE] = "c.source",
    };
    if (ranges[c->test]) {
        put_range(m, ranges[c->test], c->from, c->to);
        return;
    }
    switch (c->test) {
    case SELECT_FLAGS:
    case SELECT_FINDINGS:
        put(m, c->test == SELECT_FLAGS ? "(c.flags & " : "(c.findings & ");
        put_number(m, c->from);
        put(m, ") <> 0");
        break;
    case SELECT_ISSUER:
        put(m, "c.issuer_name_id IN ");
        put_numbers(m, c->numbers, c->n);
        break;
    case SELECT_PRINT:
        put(m, "(substr(c.fingerprint, 1, 8) >= ");
        put_value(m, sql_blob(bytes_of(c->low.p, c->low.n < 8 ? c->low.n : 8)));
        put(m, " AND substr(c.fingerprint, 1, 8) <= ");
        put_value(m, sql_blob(bytes_of(c->high.p, c->high.n < 8 ? c->high.n : 8)));
        put(m, " AND c.fingerprint >= ");
        put_value(m, sql_blob(c->low));
        put(m, " AND c.fingerprint <= ");
        put_value(m, sql_blob(c->high));
        put(m, ")");
        break;
    case SELECT_ISSUER_O:
    case SELECT_ISSUER_CN:
        put(m, c->test == SELECT_ISSUER_O
                   ? "COALESCE((SELECT i.organization FROM issuer_name i WHERE i.id = c.issuer_name_id), '') = "
                   : "COALESCE((SELECT i.common_name FROM issuer_name i WHERE i.id = c.issuer_name_id), '') = ");
        put_text(m, c->text);
        break;
    case SELECT_TEAM:
        put(m, "c.team IN (SELECT t.number FROM team t WHERE t.name = ");
        put_text(m, c->text);
        put(m, ")");
        break;
    case SELECT_WITHIN:
        put(m, "c.team IN (SELECT t.number FROM team_within w JOIN team t ON t.id = w.team_id WHERE w.ancestor_id = ");
        put_text(m, c->text);
        put(m, ")");
        break;
    case SELECT_WITHIN_NAMED:
        put(m, "c.team IN (SELECT t.number FROM team a JOIN team_within w ON w.ancestor_id = a.id JOIN team t ON t.id = w.team_id "
               "WHERE a.name = ");
        put_text(m, c->text);
        put(m, ")");
        break;
    case SELECT_TAG:
        put(m, "EXISTS (SELECT 1 FROM certificate_tag g WHERE g.certificate_id = c.id AND g.tag = ");
        put_text(m, c->text);
        put(m, ")");
        break;
    case SELECT_OWNER:
        put(m, "EXISTS (SELECT 1 FROM certificate_note n WHERE n.certificate_id = c.id AND n.owner IS NOT NULL");
        if (c->text) {
            put(m, " AND n.owner = ");
            put_text(m, c->text);
        }
        put(m, ")");
        break;
    default:
        put(m, "EXISTS (SELECT 1 FROM observation o JOIN endpoint e ON e.id = o.endpoint_id WHERE o.certificate_id = c.id AND ");
        put_endpoint(m, c);
        put_scope(m);
        put(m, ")");
    }
}

static unsigned cond_depth(const struct select_cond *c)
{
    unsigned most = 0;
    for (const struct select_cond *k = c->kind == SELECT_TEST ? NULL : c->first; k; k = k->next) {
        const unsigned depth = cond_depth(k);
        most = depth > most ? depth : most;
    }
    return most + 1;
}

/* put_cond: what is nested deep comes first of its like.  A parser keeps what stands before it until the end, and SQLite's keeps a
 * hundred things. */
static void put_cond(struct maker *m, const struct select_cond *c)
{
    const struct select_cond *first = c->first;
    unsigned most = DEEP;
    if (c->kind == SELECT_TEST) {
        put_test(m, c);
        return;
    }
    for (const struct select_cond *k = c->first; k; k = k->next) {
        const unsigned depth = cond_depth(k);
        if (depth > most) {
            most = depth;
            first = k;
        }
    }
    put(m, c->kind == SELECT_NONE ? "NOT (" : "(");
    put_cond(m, first);
    for (const struct select_cond *k = c->first; k; k = k->next) {
        if (k == first)
            continue;
        put(m, c->kind == SELECT_ALL ? " AND " : " OR ");
        put_cond(m, k);
    }
    put(m, ")");
}

/* --- terms */

/* A term has no quotes in it, but who knows. */
static void match_term(struct buf *b, const char *term)
{
    buf_put_u8(b, '"');
    for (; *term; term++) {
        if (*term == '"')
            buf_put_u8(b, '"');
        buf_put_u8(b, (uint8_t)*term);
    }
    buf_put_u8(b, '"');
}

static unsigned terms_depth(const struct select_terms *t)
{
    unsigned most = 0;
    for (const struct select_terms *k = t->kind == SELECT_TEST ? NULL : t->first; k; k = k->next) {
        const unsigned depth = terms_depth(k);
        most = depth > most ? depth : most;
    }
    return most + 1;
}

/* match_text: the deepest first, as in put_cond. */
static void match_text(struct buf *b, const struct select_terms *t)
{
    const struct select_terms *first = t->first;
    unsigned most = 0;
    if (t->kind == SELECT_TEST) {
        match_term(b, t->term);
        return;
    }
    for (const struct select_terms *k = t->first; k; k = k->next) {
        const unsigned depth = terms_depth(k);
        if (depth > most) {
            most = depth;
            first = k;
        }
    }
    buf_put_u8(b, '(');
    match_text(b, first);
    for (const struct select_terms *k = t->first; k; k = k->next) {
        if (k == first)
            continue;
        buf_put_z(b, t->kind == SELECT_ALL ? " AND " : " OR ");
        match_text(b, k);
    }
    buf_put_u8(b, ')');
}

/* terms_rare: a name, a number or a hash, which few certificates have.  PostgreSQL knows nothing of such terms one by one: it takes
 * them for frequent, and goes through all certificates, newest first, until it has found enough. */
static bool terms_rare(const struct select_terms *t)
{
    if (t->kind == SELECT_TEST)
        return strchr(t->term, '.') || *t->term == '=' || !strncmp(t->term, "s:", 2) || !strncmp(t->term, "k:", 2) ||
               !strncmp(t->term, "sha1:", 5);
    const bool all = t->kind == SELECT_ALL;
    for (const struct select_terms *k = t->first; k; k = k->next)
        if (terms_rare(k) == all)
            return all;
    return !all;
}

static void put_terms_postgres(struct maker *m, const struct select_terms *t)
{
    if (t->kind == SELECT_TEST) {
        put(m, "t.terms @> ARRAY[");
        put_text(m, t->term);
        put(m, "]");
        return;
    }
    put(m, "(");
    for (const struct select_terms *k = t->first; k; k = k->next) {
        put_terms_postgres(m, k);
        if (k->next)
            put(m, t->kind == SELECT_ALL ? " AND " : " OR ");
    }
    put(m, ")");
}

static void put_terms(struct maker *m, const struct select_terms *t)
{
    if (m->postgres) {
        put_terms_postgres(m, t);
        return;
    }
    struct buf b;
    buf_init_arena(&b, &m->ctx->arena, TEXT_MAX);
    match_text(&b, t);
    put(m, "certificate_term MATCH ");
    put_value(m, (struct sql_value){.type = SQL_TEXT, .b = buf_bytes(&b)});
}

/* --- drivers */

/* What gives the numbers: the table with its column, and what else holds there. */
struct source {
    const char *from, *id;
    bool is_certificate; /* the table is certificate c itself */
    bool by_key;         /* in the order of not_after */
};

static struct source source_of(const struct maker *m, const struct select_ask *ask)
{
    switch (ask->by) {
    case SELECT_BY_TERMS:
        return m->postgres ? (struct source){.from = "certificate_term t", .id = "t.certificate_id"}
                           : (struct source){.from = "certificate_term t", .id = "t.rowid"};
    case SELECT_BY_FINDING:
        return (struct source){.from = "finding t", .id = "t.certificate_id"};
    case SELECT_BY_TAG:
        return (struct source){.from = "certificate_tag t", .id = "t.certificate_id"};
    case SELECT_BY_OWNER:
        return (struct source){.from = "certificate_note t", .id = "t.certificate_id"};
    case SELECT_BY_NOT_AFTER:
    case SELECT_BY_LAST:
        return (struct source){.from = "certificate c", .id = "c.id", .is_certificate = true, .by_key = true};
    default:
        return (struct source){.from = "certificate c", .id = "c.id", .is_certificate = true};
    }
}

/* put_own: what the driver itself asks for. */
static void put_own(struct maker *m, const struct select_ask *ask)
{
    switch (ask->by) {
    case SELECT_BY_TERMS:
        put_terms(m, ask->terms);
        break;
    case SELECT_BY_FINDING:
        put(m, "t.check_number = ");
        put_number(m, ask->check);
        break;
    case SELECT_BY_TAG:
        put(m, "t.tag = ");
        put_text(m, ask->text);
        break;
    case SELECT_BY_OWNER:
        put(m, "t.owner IS NOT NULL AND t.owner = ");
        put_text(m, ask->text);
        break;
    case SELECT_BY_MANAGED: /* as the index certificate_managed has it */
        put(m, "(c.flags & 8) <> 0");
        break;
    case SELECT_BY_NOT_AFTER:
    case SELECT_BY_LAST:
        put_range(m, "c.not_after", ask->from, ask->to);
        break;
    case SELECT_BY_SET:
        put(m, "c.id IN ");
        put_numbers(m, ask->ids, ask->n);
        break;
    default:
        put(m, "1 = 1");
    }
}

static void put_after(struct maker *m, const struct select_ask *ask, const struct source *s)
{
    if (!ask->after)
        return;
    if (s->by_key) {
        put(m, ask->by == SELECT_BY_LAST ? " AND (c.not_after, c.id) < (" : " AND (c.not_after, c.id) > (");
        put_number(m, ask->after_key);
        put(m, ", ");
    } else {
        buf_printf(&m->b, " AND %s < (", s->id);
    }
    put_number(m, ask->after_id);
    put(m, ")");
}

/* put_within: certificates or endpoints of some teams, newest first: each team's own order is an index, and they are merged. */
static void put_within(struct maker *m, const char *table, const int64_t *teams, size_t n, int64_t after, int64_t limit)
{
    put(m, "(SELECT x.id FROM (");
    for (size_t i = 0; i < n; i++) {
        put(m, i ? " UNION ALL SELECT * FROM (" : "SELECT * FROM (");
        buf_printf(&m->b, "SELECT id FROM %s WHERE team = ", table);
        put_number(m, teams[i]);
        if (after) {
            put(m, " AND id < ");
            put_number(m, after);
        }
        put(m, " ORDER BY id DESC LIMIT ");
        put_number(m, limit);
        buf_printf(&m->b, ") t%zu", i);
    }
    put(m, ") x ORDER BY x.id DESC LIMIT ");
    put_number(m, limit);
    put(m, ") t");
}

/* put_issuers: the same of some issuers.  All are one SELECT with its order, so that they are merged as they are read: where the
 * first fifty are enough, no more are. */
static void put_issuers(struct maker *m, const struct select_ask *ask)
{
    put(m, "(");
    for (size_t i = 0; i < ask->n; i++) {
        put(m, i ? " UNION ALL " : "");
        put(m, m->postgres ? "(" : "");
        put(m, "SELECT id FROM certificate WHERE issuer_name_id = ");
        put_number(m, ask->issuers[i]);
        if (ask->after) {
            put(m, " AND id < ");
            put_number(m, ask->after_id);
        }
        if (m->postgres) { /* it would read all of them and sort them */
            put(m, " ORDER BY id DESC LIMIT ");
            put_number(m, ask->limit);
            put(m, ")");
        }
    }
    put(m, " ORDER BY id DESC LIMIT ");
    put_number(m, ask->limit);
    put(m, ") t");
}

static void put_bits(struct maker *m, const struct select_ask *ask)
{
    if (ask->where) {
        put(m, "CASE WHEN ");
        put_cond(m, ask->where);
        put(m, " THEN 1 ELSE 0 END");
    } else {
        put(m, "1");
    }
    put(m, ask->bits_n ? ", " : ", 0");
    for (size_t i = 0; i < ask->bits_n; i++) {
        put(m, i ? " + CASE WHEN " : "CASE WHEN ");
        put_cond(m, ask->bits[i]);
        buf_printf(&m->b, " THEN %d ELSE 0 END", 1 << i);
    }
}

/* Rows of select_run. */
struct taking {
    const struct select_ask *ask;
    struct select_answer *out;
    struct sql_many hits;
    bool stopped;
};

static struct rc take_hit(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    struct taking *t = arg;
    t->out->seen++;
    t->out->last_id = row[0].i;
    t->out->last_key = row[1].i;
    if (!row[2].i)
        return RC_OK;
    struct select_hit *hit = sql_many_add(ctx, &t->hits, sizeof *hit);
    *hit = (struct select_hit){.id = row[0].i, .key = row[1].i, .bits = (uint32_t)row[3].i};
    if (t->ask->tally) {
        struct select_tally *tally = ARENA_NEW(&ctx->arena, struct select_tally);
        *tally = (struct select_tally){.issuer_name_id = row[4].i,
                                       .not_after = row[5].i,
                                       .key_kind = row[6].i,
                                       .key_bits = row[7].i,
                                       .signature = row[8].i,
                                       .flags = row[9].i,
                                       .findings = row[10].i,
                                       .source = row[11].i,
                                       .team = row[12].i};
        hit->tally = tally;
    }
    t->stopped = (int64_t)t->hits.n >= t->ask->most;
    return t->stopped ? rc_of(E_BUSY) : RC_OK; /* ends it; read by select_run */
}

RC select_run(struct ctx *ctx, struct txn *txn, const struct select_ask *ask, struct select_answer *out)
{
    static const uint8_t columns[] = {SQL_I64, SQL_I64, SQL_I64, SQL_I64, SQL_I64, SQL_I64, SQL_I64,
                                      SQL_I64, SQL_I64, SQL_I64, SQL_I64, SQL_I64, SQL_I64};
    struct maker m;
    *out = (struct select_answer){.last_id = ask->after_id, .last_key = ask->after_key};
    if (ask->by == SELECT_BY_SET && !ask->n) {
        out->end = true;
        return RC_OK;
    }
    maker_begin(&m, ctx, txn);
    m.scope = ask->scope;
    const struct source s = source_of(&m, ask);
    const bool issuers = ask->by == SELECT_BY_ISSUERS, within = issuers || ask->by == SELECT_BY_WITHIN;
    const bool distinct = ask->by == SELECT_BY_FINDING, needs_row = ask->where || ask->bits_n || ask->tally;
    put(&m, distinct ? "SELECT DISTINCT " : "SELECT ");
    put(&m, within ? "t.id, " : s.id);
    put(&m, within ? "0, " : s.by_key ? ", c.not_after, " : ", 0, ");
    put_bits(&m, ask);
    if (ask->tally)
        put(&m, ", c.issuer_name_id, c.not_after, c.key_kind, c.key_bits, c.signature_kind, c.flags, c.findings, c.source, c.team");
    put(&m, " FROM ");
    if (issuers)
        put_issuers(&m, ask);
    else if (within)
        put_within(&m, "certificate", ask->teams, ask->n, ask->after ? ask->after_id : 0, ask->limit);
    else
        put(&m, s.from);
    if ((within || !s.is_certificate) && needs_row) /* in this order, whatever the planner believes */
        buf_printf(&m.b, " %s certificate c ON c.id = %s", m.postgres ? "JOIN" : "CROSS JOIN", within ? "t.id" : s.id);
    if (!within) {
        put(&m, " WHERE ");
        put_own(&m, ask);
        put_after(&m, ask, &s);
    }
    if (!within || m.postgres) { /* SQLite would sort once more what is in order, and read all of it first */
        put(&m, " ORDER BY ");
        if (s.by_key)
            put(&m, ask->by == SELECT_BY_LAST ? "c.not_after DESC, c.id DESC" : "c.not_after, c.id");
        else
            buf_printf(&m.b, "%s%s DESC", within ? "t.id" : s.id, /* "+ 0": by the index of terms, and sorted */
                       m.postgres && ask->by == SELECT_BY_TERMS && terms_rare(ask->terms) ? " + 0" : "");
        put(&m, " LIMIT ");
        put_number(&m, ask->limit);
    }
    struct taking t = {.ask = ask, .out = out};
    struct rc rc = maker_run(&m, txn, "select_run", columns, ask->tally ? sizeof columns : 4, take_hit, &t);
    if (rc_failed(rc) && !t.stopped)
        return rc;
    out->hits = t.hits.rows;
    out->n = t.hits.n;
    out->end = !t.stopped && out->seen < ask->limit;
    return RC_OK;
}

/* --- few that are found at once */

struct numbers {
    struct sql_many v;
};

static struct rc take_number(struct ctx *ctx, void *arg, const struct sql_value *row)
{
    struct numbers *all = arg;
    *(int64_t *)sql_many_add(ctx, &all->v, sizeof(int64_t)) = row[0].i;
    return RC_OK;
}

/* The endpoints that meet a condition, whoever sees them; one more than SELECT_SET_MAX at most. */
static struct rc endpoint_ids(struct ctx *ctx, struct txn *txn, const struct select_cond *cond, struct numbers *out)
{
    static const uint8_t columns[] = {SQL_I64};
    struct maker m;
    maker_begin(&m, ctx, txn);
    put(&m, "SELECT e.id FROM endpoint e WHERE ");
    put_endpoint(&m, cond);
    put(&m, " LIMIT ");
    put_number(&m, SELECT_SET_MAX + 1);
    return maker_run(&m, txn, "select_places", columns, 1, take_number, out);
}

RC select_ids(struct ctx *ctx, struct txn *txn, const struct select_cond *cond, const char *scope, int64_t **ids, size_t *n,
              bool *all)
{
    static const uint8_t columns[] = {SQL_I64};
    struct maker m;
    struct numbers places = {0}, found = {0};
    *ids = NULL;
    *n = 0;
    if (cond->test != SELECT_PRINT)
        TRY(endpoint_ids(ctx, txn, cond, &places));
    *all = places.v.n <= SELECT_SET_MAX;
    if (!*all)
        return RC_OK;
    maker_begin(&m, ctx, txn);
    m.scope = scope;
    if (cond->test == SELECT_PRINT) {
        put(&m, "SELECT c.id FROM certificate c WHERE ");
        put_test(&m, cond);
    } else {
        put(&m, "SELECT DISTINCT o.certificate_id AS id FROM endpoint e JOIN observation o ON o.endpoint_id = e.id WHERE e.id IN ");
        put_numbers(&m, places.v.rows, places.v.n);
        put_scope(&m);
    }
    put(&m, " ORDER BY 1 DESC LIMIT ");
    put_number(&m, SELECT_SET_MAX + 1);
    TRY(maker_run(&m, txn, "select_ids", columns, 1, take_number, &found));
    *all = found.v.n <= SELECT_SET_MAX;
    if (!*all)
        return RC_OK;
    *ids = found.v.rows;
    *n = found.v.n;
    return RC_OK;
}

/* --- rows */

static const char *text_or(struct ctx *ctx, const struct sql_value *v, const char *none)
{
    return v->type == SQL_NULL ? none : sql_copy_text(ctx, v);
}

static struct rc take_row(struct ctx *ctx, void *arg, const struct sql_value *v)
{
    struct select_row *r = sql_many_add(ctx, arg, sizeof *r);
    *r = (struct select_row){
        .id = v[0].i,
        .fingerprint = sql_copy_blob(ctx, &v[1]),
        .issuer_name_id = v[2].i,
        .not_before = v[3].i,
        .not_after = v[4].i,
        .first_seen = v[5].i,
        .last_seen = v[6].i,
        .key_kind = v[7].i,
        .key_bits = v[8].i,
        .signature = v[9].i,
        .flags = v[10].i,
        .findings = v[11].i,
        .source = v[12].i,
        .team = text_or(ctx, &v[13], ""),
        .tags = text_or(ctx, &v[14], ""),
        .owner = text_or(ctx, &v[15], NULL),
        .dictionary = v[16].i,
        .der = sql_copy_blob(ctx, &v[17]),
    };
    return RC_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct select_row *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

RC select_rows(struct ctx *ctx, struct txn *txn, const int64_t *ids, size_t n, bool der, struct select_row **rows, size_t *got)
{
    static const uint8_t columns[] = {SQL_I64,
                                      SQL_BLOB,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_TEXT | SQL_MAY_BE_NULL,
                                      SQL_TEXT | SQL_MAY_BE_NULL,
                                      SQL_TEXT | SQL_MAY_BE_NULL,
                                      SQL_I64 | SQL_MAY_BE_NULL,
                                      SQL_BLOB | SQL_MAY_BE_NULL};
    struct maker m;
    struct sql_many all = {0};
    *got = 0;
    *rows = NULL;
    if (!n)
        return RC_OK;
    maker_begin(&m, ctx, txn);
    put(&m, "SELECT c.id, c.fingerprint, c.issuer_name_id, c.not_before, c.not_after, c.first_seen, c.last_seen, c.key_kind, "
            "c.key_bits, c.signature_kind, c.flags, c.findings, c.source, (SELECT t.name FROM team t WHERE t.number = c.team), "
            "(SELECT ");
    put(&m, m.postgres ? "string_agg(g.tag, ' ' ORDER BY g.tag)" : "group_concat(g.tag, ' ')");
    put(&m, " FROM certificate_tag g WHERE g.certificate_id = c.id), "
            "(SELECT n.owner FROM certificate_note n WHERE n.certificate_id = c.id), ");
    put(&m, der ? "d.dictionary, d.der FROM certificate c JOIN certificate_der d ON d.id = c.id WHERE c.id IN "
                : "0, NULL FROM certificate c WHERE c.id IN ");
    put_numbers(&m, ids, n);
    TRY(maker_run(&m, txn, "select_rows", columns, sizeof columns, take_row, &all));
    struct select_row *sorted = all.rows;
    if (all.n)
        qsort(sorted, all.n, sizeof *sorted, by_id);
    struct select_row *out = arena_array(&ctx->arena, n, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        const struct select_row key = {.id = ids[i]};
        const struct select_row *found = all.n ? bsearch(&key, sorted, all.n, sizeof *sorted, by_id) : NULL;
        if (found)
            out[(*got)++] = *found;
    }
    *rows = out;
    return RC_OK;
}

/* --- endpoints */

static struct rc take_endpoint(struct ctx *ctx, void *arg, const struct sql_value *v)
{
    struct select_endpoint *e = sql_many_add(ctx, arg, sizeof *e);
    *e = (struct select_endpoint){
        .id = v[0].i,
        .kind = sql_copy_text(ctx, &v[1]),
        .place = sql_copy_text(ctx, &v[2]),
        .name = sql_copy_text(ctx, &v[3]),
        .port = v[4].type == SQL_NULL ? 0 : v[4].i,
        .first_seen = v[5].i,
        .last_seen = v[6].i,
        .changed_at = v[7].i,
        .result = sql_copy_text(ctx, &v[8]),
        .error = sql_copy_text(ctx, &v[9]),
        .options = sql_copy_text(ctx, &v[10]),
        .agent = sql_copy_text(ctx, &v[11]),
        .team = text_or(ctx, &v[12], ""),
        .fingerprint = sql_copy_blob(ctx, &v[13]),
    };
    return RC_OK;
}

/* Endpoints that are looked for: newest first, `answer` as of certificates. */
struct places {
    struct ctx *ctx;
    struct txn *txn;
    const struct select_endpoints_ask *ask;
    int64_t *teams; /* those that are seen, where they are few; NULL: look at each */
    size_t teams_n;
    int64_t *ids; /* what `seen` finds, where that is little; NULL: look at each */
    size_t ids_n;
    int64_t *found;
    size_t n;
    int64_t after, looked;
    bool end;
};

/* Whether an index leads to the endpoints of a condition. */
static bool is_indexed(const struct select_cond *c)
{
    for (const struct select_cond *k = c->kind == SELECT_ANY ? c->first : NULL; k; k = k->next)
        if (!is_indexed(k))
            return false;
    return c->kind == SELECT_ANY || (c->test != SELECT_SEEN_UNDER && c->test != SELECT_SEEN_PORT);
}

/* places_begin finds what is few: it is the way then. */
static struct rc places_begin(struct places *p)
{
    static const uint8_t columns[] = {SQL_I64};
    const struct select_cond *seen = p->ask->seen;
    struct maker m;
    struct numbers teams = {0}, ids = {0};
    if (p->ask->id) {
        p->ids = arena_array(&p->ctx->arena, 1, sizeof *p->ids);
        p->ids[p->ids_n++] = p->ask->id;
        return RC_OK;
    }
    if (seen && is_indexed(seen)) {
        TRY(endpoint_ids(p->ctx, p->txn, seen, &ids));
        if (ids.v.n <= SELECT_SET_MAX) {
            p->ids = ids.v.n ? ids.v.rows : arena_array(&p->ctx->arena, 1, sizeof *p->ids);
            p->ids_n = ids.v.n;
            return RC_OK;
        }
    }
    if (!p->ask->scope)
        return RC_OK;
    maker_begin(&m, p->ctx, p->txn);
    put(&m, "SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE s.number IS NOT NULL AND w.ancestor_id = ");
    put_text(&m, p->ask->scope);
    put(&m, " LIMIT ");
    put_number(&m, SELECT_TEAMS_MAX + 1);
    TRY(maker_run(&m, p->txn, "select_teams", columns, 1, take_number, &teams));
    if (teams.v.n && teams.v.n <= SELECT_TEAMS_MAX) {
        p->teams = teams.v.rows;
        p->teams_n = teams.v.n;
    }
    return RC_OK;
}

/* places_look looks at `chunk` more. */
static struct rc places_look(struct places *p, int64_t chunk)
{
    static const uint8_t columns[] = {SQL_I64, SQL_I64, SQL_I64, SQL_I64};
    const struct select_endpoints_ask *ask = p->ask;
    struct maker m;
    maker_begin(&m, p->ctx, p->txn);
    m.scope = p->teams ? NULL : ask->scope;
    put(&m, "SELECT e.id, 0, ");
    if (m.scope || ask->seen) {
        put(&m, "CASE WHEN ");
        if (ask->seen)
            put_endpoint(&m, ask->seen);
        else
            put(&m, "1 = 1");
        put_scope(&m);
        put(&m, " THEN 1 ELSE 0 END, 0 FROM ");
    } else {
        put(&m, "1, 0 FROM ");
    }
    if (p->teams)
        put_within(&m, "endpoint", p->teams, p->teams_n, p->after, chunk);
    put(&m, p->teams
                ? m.postgres ? " JOIN endpoint e ON e.id = t.id WHERE 1 = 1" : " CROSS JOIN endpoint e ON e.id = t.id WHERE 1 = 1"
                : "endpoint e WHERE 1 = 1");
    if (p->ids) {
        put(&m, " AND e.id IN ");
        put_numbers(&m, p->ids, p->ids_n);
    }
    if (p->after) {
        buf_printf(&m.b, " AND %s < ", p->teams ? "t.id" : "e.id");
        put_number(&m, p->after);
    }
    buf_printf(&m.b, " ORDER BY %s DESC LIMIT ", p->teams ? "t.id" : "e.id");
    put_number(&m, chunk);
    struct select_answer answer = {.last_id = p->after};
    const struct select_ask most = {.most = ask->limit - (int64_t)p->n};
    struct taking t = {.ask = &most, .out = &answer};
    struct rc rc = maker_run(&m, p->txn, "select_places", columns, 4, take_hit, &t);
    if (rc_failed(rc) && !t.stopped)
        return rc;
    const struct select_hit *hits = t.hits.rows;
    for (size_t i = 0; i < t.hits.n; i++)
        p->found[p->n++] = hits[i].id;
    p->after = answer.last_id;
    p->looked += answer.seen;
    p->end = !t.stopped && answer.seen < chunk;
    return RC_OK;
}

RC select_endpoints(struct ctx *ctx, struct txn *txn, const struct select_endpoints_ask *ask, struct select_endpoint **rows,
                    size_t *n, int64_t *next)
{
    static const uint8_t columns[] = {SQL_I64,
                                      SQL_TEXT,
                                      SQL_TEXT,
                                      SQL_TEXT,
                                      SQL_I64 | SQL_MAY_BE_NULL,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_I64,
                                      SQL_TEXT,
                                      SQL_TEXT | SQL_MAY_BE_NULL,
                                      SQL_TEXT,
                                      SQL_TEXT | SQL_MAY_BE_NULL,
                                      SQL_TEXT | SQL_MAY_BE_NULL,
                                      SQL_BLOB | SQL_MAY_BE_NULL};
    struct places p = {.ctx = ctx, .txn = txn, .ask = ask, .after = ask->after};
    struct maker m;
    struct sql_many all = {0};
    *rows = NULL;
    *n = 0;
    *next = 0;
    p.found = arena_array(&ctx->arena, (size_t)ask->limit, sizeof *p.found);
    TRY(places_begin(&p));
    int64_t chunk = ask->limit + 1 > 250 ? ask->limit + 1 : 250;
    while (!p.end && (int64_t)p.n < ask->limit && p.looked < SELECT_LOOKS) {
        const int64_t left = SELECT_LOOKS - p.looked;
        TRY(places_look(&p, chunk < left ? chunk : left));
        chunk = chunk < 4000 ? chunk * 2 : chunk;
    }
    *next = p.end ? 0 : p.after;
    if (!p.n)
        return RC_OK;
    maker_begin(&m, ctx, txn);
    put(&m, "SELECT e.id, e.kind, e.place, e.name, e.port, e.first_seen, e.last_seen, e.changed_at, e.result, e.error, e.options, "
            "a.name, "
            "(SELECT t.name FROM team t WHERE t.number = e.team), (SELECT c.fingerprint FROM certificate c WHERE c.id = "
            "e.certificate_id) "
            "FROM endpoint e LEFT JOIN agent a ON a.id = e.agent_id WHERE e.id IN ");
    put_numbers(&m, p.found, p.n);
    put(&m, " ORDER BY e.id DESC");
    TRY(maker_run(&m, txn, "select_endpoints", columns, sizeof columns, take_endpoint, &all));
    *rows = all.rows;
    *n = all.n;
    return RC_OK;
}
