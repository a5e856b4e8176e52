#include "core/report.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/access.h"
#include "core/counter.h"
#include "core/findings.h"
#include "store/queries.h"

#define KEYS_MOST   1000
#define SHOWN_MOST  50 /* issuers, teams */
#define TREND_DAYS  90
#define MONTHS_MOST 24
#define SOON_DAYS   30

struct making {
    const char *scope;
    const struct report_kind *kind;
    struct report *out;
};

/* --- tables */

static struct report_table *table(struct ctx *ctx, struct report *r, const char *title, const char *note)
{
    struct report_table *all = arena_array(&ctx->arena, r->tables_n + 1, sizeof *all);
    if (r->tables_n)
        memcpy(all, r->tables, r->tables_n * sizeof *all);
    r->tables = all;
    all[r->tables_n] = (struct report_table){.title = title, .note = note};
    return &all[r->tables_n++];
}

static void column(struct report_table *t, const char *name, bool number)
{
    t->columns[t->columns_n].name = name;
    t->columns[t->columns_n++].number = number;
}

/* The cells of a new row. */
static const char **row(struct ctx *ctx, struct report_table *t)
{
    if (t->rows == t->rows_max) {
        const size_t max = t->rows_max ? 2 * t->rows_max : 32;
        const char **more = arena_array(&ctx->arena, max * t->columns_n, sizeof *more);
        if (t->rows)
            memcpy(more, t->cells, t->rows * t->columns_n * sizeof *more);
        t->cells = more;
        t->rows_max = max;
    }
    return &t->cells[t->rows++ * t->columns_n];
}

static const char *number(struct ctx *ctx, int64_t n)
{
    return arena_printf(&ctx->arena, "%lld", (long long)n);
}

static const char *share(struct ctx *ctx, int64_t part, int64_t whole)
{
    const int64_t per_mille = whole > 0 ? (part * 1000 + whole / 2) / whole : 0;
    return arena_printf(&ctx->arena, "%lld.%lld", (long long)(per_mille / 10), (long long)(per_mille % 10));
}

static const char *day_text(struct ctx *ctx, int64_t day)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, day * 86400);
    return arena_str(&ctx->arena, bytes_of(buf_bytes(&b).p, 10));
}

/* --- numbers */

static struct rc sum_of(struct ctx *ctx, struct txn *txn, const struct making *m, const char *dimension, const char *key,
                        int64_t *n)
{
    struct q_counter_of_row *rows = NULL;
    size_t rows_n = 0;
    *n = 0;
    TRY(q_counter_of(ctx, txn, dimension, m->scope, KEYS_MOST, &rows, &rows_n));
    for (size_t i = 0; i < rows_n; i++)
        if (str_equal(rows[i].key, key))
            *n = rows[i].n;
    return RC_OK;
}

static const char *as_it_is(struct ctx *ctx, struct txn *txn, const char *key)
{
    (void)ctx;
    (void)txn;
    return key;
}

static const char *issuer_text(struct ctx *ctx, struct txn *txn, const char *key)
{
    struct q_issuer_name_get_row r;
    int64_t id = 0;
    bool found = false;
    if (str_to_i64(bytes_z(key), &id) && rc_ok(q_issuer_name_get(ctx, txn, id, &r, &found)) && found)
        return r.text;
    return "(not read yet)";
}

static const char *finding_text(struct ctx *ctx, struct txn *txn, const char *key)
{
    const struct check_info *c = findings_check_named(key);
    (void)ctx;
    (void)txn;
    return c ? c->words : "";
}

/* A table of one dimension: its keys, how many, and how large a part of `whole` that is. */
static struct rc by(struct ctx *ctx, struct txn *txn, struct making *m, const char *dimension, const char *title, const char *what,
                    const char *(*text)(struct ctx *, struct txn *, const char *), size_t most, int64_t whole)
{
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    int64_t rest = 0;
    TRY(q_counter_of(ctx, txn, dimension, m->scope, KEYS_MOST, &rows, &n));
    struct report_table *t = table(ctx, m->out, title, NULL);
    column(t, what, false);
    column(t, "certificates", true);
    column(t, "percent", true);
    for (size_t i = 0; i < n; i++) {
        if (i >= most) {
            rest += rows[i].n;
            continue;
        }
        const char **cells = row(ctx, t);
        cells[0] = text(ctx, txn, rows[i].key);
        cells[1] = number(ctx, rows[i].n);
        cells[2] = share(ctx, rows[i].n, whole);
    }
    if (rest) {
        const char **cells = row(ctx, t);
        cells[0] = "(others)";
        cells[1] = number(ctx, rest);
        cells[2] = share(ctx, rest, whole);
    }
    return RC_OK;
}

static struct rc findings_table(struct ctx *ctx, struct txn *txn, struct making *m, const char *title, const char *const *only)
{
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    TRY(q_counter_of(ctx, txn, COUNTER_FINDING, m->scope, KEYS_MOST, &rows, &n));
    struct report_table *t = table(ctx, m->out, title, NULL);
    column(t, "finding", false);
    column(t, "severity", false);
    column(t, "certificates", true);
    column(t, "words", false);
    for (size_t i = 0; i < n; i++) {
        const struct check_info *c = findings_check_named(rows[i].key);
        bool wanted = !only;
        for (const char *const *o = only; o && *o; o++)
            wanted |= str_equal(*o, rows[i].key);
        if (!wanted || !c)
            continue;
        const char **cells = row(ctx, t);
        cells[0] = rows[i].key;
        cells[1] = check_severity_word(c->severity);
        cells[2] = number(ctx, rows[i].n);
        cells[3] = finding_text(ctx, txn, rows[i].key);
    }
    return RC_OK;
}

static struct rc totals(struct ctx *ctx, struct txn *txn, struct making *m, int64_t *all, int64_t *managed, int64_t *superseded)
{
    TRY(sum_of(ctx, txn, m, COUNTER_TOTAL, "", all));
    TRY(sum_of(ctx, txn, m, COUNTER_SUPERSEDED, "", superseded));
    return sum_of(ctx, txn, m, COUNTER_MANAGED, "", managed);
}

/* --- the reports */

static struct rc of_inventory(struct ctx *ctx, struct txn *txn, struct making *m)
{
    int64_t all = 0, managed = 0, superseded = 0;
    TRY(totals(ctx, txn, m, &all, &managed, &superseded));
    struct report_table *t = table(ctx, m->out, "In all", NULL);
    column(t, "what", false);
    column(t, "certificates", true);
    column(t, "percent", true);
    const struct {
        const char *what;
        int64_t n;
    } rows[] = {{"all", all}, {"managed here", managed}, {"older versions of these", superseded},
                {"not managed here", all - managed - superseded}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char **cells = row(ctx, t);
        cells[0] = rows[i].what;
        cells[1] = number(ctx, rows[i].n);
        cells[2] = share(ctx, rows[i].n, all);
    }
    TRY(by(ctx, txn, m, COUNTER_SOURCE, "By how they were found first", "source", as_it_is, SHOWN_MOST, all));
    TRY(by(ctx, txn, m, COUNTER_ISSUER, "By issuer", "issuer", issuer_text, SHOWN_MOST, all));
    TRY(by(ctx, txn, m, COUNTER_KEY, "By key", "key", as_it_is, SHOWN_MOST, all));
    return findings_table(ctx, txn, m, "Findings", NULL);
}

/* Months as counters have them: "2026-11", in order of time where sorted as text. */
static const struct q_counter_of_row *month_of(const struct q_counter_of_row *rows, size_t n, const char *month)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(rows[i].key, month))
            return &rows[i];
    return NULL;
}

static const char *month_after(struct ctx *ctx, const char *month)
{
    int64_t year = 0, number = 0;
    struct bytes y = bytes_of(month, 4), mm = bytes_of(month + 5, 2);
    if (*mm.p == '0')
        mm = bytes_of(mm.p + 1, 1);
    if (!str_to_i64(y, &year) || !str_to_i64(mm, &number))
        return month;
    return arena_printf(&ctx->arena, "%04lld-%02lld", (long long)(number == 12 ? year + 1 : year),
                        (long long)(number == 12 ? 1 : number + 1));
}

static struct rc of_expiry(struct ctx *ctx, struct txn *txn, struct making *m)
{
    static const char *const ends[] = {"expired", "expiring", "expiring_soon", "not_renewing", NULL};
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    int64_t before = 0, listed = 0, all = 0, never = 0;
    const char *month = counter_month(ctx, ctx_now_s(ctx)), *first = month;
    TRY(findings_table(ctx, txn, m, "What ends, and what does not renew", ends));
    TRY(q_counter_of(ctx, txn, COUNTER_EXPIRES, m->scope, KEYS_MOST, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        all += rows[i].n;
        if (str_equal(rows[i].key, counter_month(ctx, CERT_NO_EXPIRY)))
            never += rows[i].n;
        else if (strcmp(rows[i].key, first) < 0)
            before += rows[i].n;
    }
    struct report_table *t = table(ctx, m->out, "By the month in which they end",
                                   "Each certificate as it is now: those that are managed are renewed before.");
    column(t, "month", false);
    column(t, "certificates", true);
    for (int i = 0; i < MONTHS_MOST; i++, month = month_after(ctx, month)) {
        const struct q_counter_of_row *r = month_of(rows, n, month);
        const char **cells = row(ctx, t);
        cells[0] = month;
        cells[1] = number(ctx, r ? r->n : 0);
        listed += r ? r->n : 0;
    }
    const struct {
        const char *what;
        int64_t n;
    } rest[] = {{"before", before}, {"later", all - before - never - listed}, {"never", never}};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        const char **cells = row(ctx, t);
        cells[0] = rest[i].what;
        cells[1] = number(ctx, rest[i].n);
    }
    return RC_OK;
}

/* How a dimension changed each of the last days: of one key, or of all but one. */
static struct rc days_add(struct ctx *ctx, struct txn *txn, const struct making *m, const char *dimension, const char *key,
                          const char *but, int64_t since, int64_t *days)
{
    struct q_counter_of_row *keys = NULL;
    size_t keys_n = 0;
    TRY(q_counter_of(ctx, txn, dimension, m->scope, KEYS_MOST, &keys, &keys_n));
    for (size_t k = 0; k < keys_n; k++) {
        struct q_counter_days_row *rows = NULL;
        size_t n = 0;
        if (key ? !str_equal(keys[k].key, key) : str_equal(keys[k].key, but))
            continue;
        TRY(q_counter_days(ctx, txn, dimension, keys[k].key, m->scope, since, &rows, &n));
        for (size_t i = 0; i < n; i++)
            if (rows[i].day >= since && rows[i].day < since + TREND_DAYS)
                days[rows[i].day - since] += rows[i].n;
    }
    return RC_OK;
}

static struct rc of_trends(struct ctx *ctx, struct txn *txn, struct making *m)
{
    static const struct {
        const char *name, *dimension, *key, *but;
    } of[] = {{"certificates", COUNTER_TOTAL, "", NULL},        {"managed", COUNTER_MANAGED, "", NULL},
              {"issued", COUNTER_ATTEMPT, "issued", NULL},      {"attempts_failed", COUNTER_ATTEMPT, NULL, "issued"},
              {"deployed", COUNTER_DEPLOYMENT, "served", NULL}, {"deployments_failed", COUNTER_DEPLOYMENT, NULL, "served"}};
    enum { N = sizeof of / sizeof *of, STOCKS = 2 }; /* the first two are how many there are, the others what happened */
    const int64_t since = ctx_now_s(ctx) / 86400 - TREND_DAYS + 1;
    int64_t *days[N], left[STOCKS];
    struct report_table *t =
        table(ctx, m->out, "By day", "Certificates and managed: how many there were at its end; the others: what happened on it.");
    column(t, "day", false);
    for (size_t i = 0; i < N; i++) {
        days[i] = arena_array(&ctx->arena, TREND_DAYS, sizeof *days[i]);
        memset(days[i], 0, TREND_DAYS * sizeof *days[i]);
        column(t, of[i].name, true);
        TRY(days_add(ctx, txn, m, of[i].dimension, of[i].key, of[i].but, since, days[i]));
    }
    int64_t superseded;
    TRY(totals(ctx, txn, m, &left[0], &left[1], &superseded));
    for (size_t s = 0; s < STOCKS; s++)
        for (size_t d = TREND_DAYS; d-- > 0;) {
            const int64_t change = days[s][d];
            days[s][d] = left[s];
            left[s] -= change;
        }
    for (size_t d = 0; d < TREND_DAYS; d++) {
        const char **cells = row(ctx, t);
        cells[0] = day_text(ctx, since + (int64_t)d);
        for (size_t i = 0; i < N; i++)
            cells[1 + i] = number(ctx, days[i][d]);
    }
    return RC_OK;
}

struct of_team {
    const char *name;
    int64_t n[6]; /* all, managed, what is wrong, superseded */
};

static struct rc teams_read(struct ctx *ctx, struct txn *txn, const struct making *m, struct of_team **out, size_t *n)
{
    static const struct {
        const char *dimension, *key;
    } of[] = {{COUNTER_TOTAL, ""},
              {COUNTER_MANAGED, ""},
              {COUNTER_FINDING, "expired"},
              {COUNTER_FINDING, "expiring"},
              {COUNTER_FINDING, "not_managed"},
              {COUNTER_SUPERSEDED, ""}};
    *out = arena_array(&ctx->arena, SHOWN_MOST, sizeof **out);
    *n = 0;
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
        struct q_counter_teams_row *rows = NULL;
        size_t rows_n = 0;
        TRY(q_counter_teams_of(ctx, txn, of[k].dimension, of[k].key, m->scope, KEYS_MOST, &rows, &rows_n));
        for (size_t i = 0; i < rows_n; i++) {
            size_t at = 0;
            while (at < *n && !str_equal((*out)[at].name, rows[i].name))
                at++;
            if (at == *n && (k || *n == SHOWN_MOST))
                continue;
            if (at == *n)
                (*out)[(*n)++] = (struct of_team){.name = rows[i].name};
            (*out)[at].n[k] = rows[i].n;
        }
    }
    return RC_OK;
}

static struct rc of_owners(struct ctx *ctx, struct txn *txn, struct making *m)
{
    struct of_team *teams = NULL;
    size_t n = 0;
    TRY(teams_read(ctx, txn, m, &teams, &n));
    struct report_table *t = table(ctx, m->out, "By the team that owns them", "The largest first; each without those within it.");
    static const char *const names[] = {"certificates", "managed", "expired", "expiring", "not_managed"};
    column(t, "team", false);
    for (size_t k = 0; k < 5; k++)
        column(t, names[k], true);
    for (size_t i = 0; i < n; i++) {
        const char **cells = row(ctx, t);
        cells[0] = teams[i].name;
        for (size_t k = 0; k < 5; k++)
            cells[1 + k] = number(ctx, teams[i].n[k]);
    }
    return RC_OK;
}

static struct rc of_automation(struct ctx *ctx, struct txn *txn, struct making *m)
{
    static const char *const wrong[] = {"not_managed", "not_renewing", "served_differs", NULL};
    struct of_team *teams = NULL;
    int64_t all = 0, managed = 0, superseded = 0;
    size_t n = 0;
    TRY(totals(ctx, txn, m, &all, &managed, &superseded));
    all -= superseded;
    TRY(teams_read(ctx, txn, m, &teams, &n));
    struct report_table *t =
        table(ctx, m->out, "Managed here, of all that is known", "Older versions of what is managed here are not counted.");
    column(t, "team", false);
    column(t, "certificates", true);
    column(t, "managed", true);
    column(t, "percent", true);
    const char **cells = row(ctx, t);
    cells[0] = "(all)";
    cells[1] = number(ctx, all);
    cells[2] = number(ctx, managed);
    cells[3] = share(ctx, managed, all);
    for (size_t i = 0; i < n; i++) {
        cells = row(ctx, t);
        cells[0] = teams[i].name;
        const int64_t in_use = teams[i].n[0] - teams[i].n[5];
        cells[1] = number(ctx, in_use);
        cells[2] = number(ctx, teams[i].n[1]);
        cells[3] = share(ctx, teams[i].n[1], in_use);
    }
    return findings_table(ctx, txn, m, "What is not automatic yet", wrong);
}

static int64_t of_last(const int64_t *days, int64_t last)
{
    int64_t n = 0;
    for (int64_t d = TREND_DAYS - last; d < TREND_DAYS; d++)
        n += days[d];
    return n;
}

static struct rc failures_of(struct ctx *ctx, struct txn *txn, struct making *m, const char *dimension, const char *good,
                             const char *title, const char *what)
{
    const int64_t since = ctx_now_s(ctx) / 86400 - TREND_DAYS + 1;
    struct q_counter_of_row *keys = NULL;
    size_t n = 0;
    TRY(q_counter_of(ctx, txn, dimension, m->scope, KEYS_MOST, &keys, &n));
    struct report_table *t = table(ctx, m->out, title, NULL);
    column(t, what, false);
    column(t, "last_30_days", true);
    column(t, "last_90_days", true);
    column(t, "ever", true);
    column(t, "words", false);
    for (size_t i = 0; i < n; i++) {
        int64_t days[TREND_DAYS] = {0};
        TRY(days_add(ctx, txn, m, dimension, keys[i].key, NULL, since, days));
        const char **cells = row(ctx, t);
        cells[0] = keys[i].key;
        cells[1] = number(ctx, of_last(days, SOON_DAYS));
        cells[2] = number(ctx, of_last(days, TREND_DAYS));
        cells[3] = number(ctx, keys[i].n);
        cells[4] = str_equal(keys[i].key, good) ? "went well" : err_info(err_by_name(keys[i].key))->text;
        if (str_equal(dimension, COUNTER_DEPLOYMENT) && !str_equal(keys[i].key, good))
            cells[4] = "";
    }
    return RC_OK;
}

static struct rc of_failures(struct ctx *ctx, struct txn *txn, struct making *m)
{
    TRY(failures_of(ctx, txn, m, COUNTER_ATTEMPT, "issued", "Attempts to have a certificate issued, by what became of them",
                    "result"));
    return failures_of(ctx, txn, m, COUNTER_DEPLOYMENT, "served", "Deployments, by what became of them", "result");
}

static struct rc of_lifetimes(struct ctx *ctx, struct txn *txn, struct making *m)
{
    static const struct {
        const char *key, *text;
    } steps[] = {{"47", "47 days or less: as public CAs may issue from 2029-03-15"},
                 {"100", "48 to 100 days: as public CAs may issue from 2027-03-15"},
                 {"200", "101 to 200 days: as public CAs may issue from 2026-03-15"},
                 {"398", "201 to 398 days: as public CAs issued before"},
                 {"longer", "longer: private, or against the rules"}};
    static const char *const wrong[] = {"lifetime_too_long", NULL};
    struct q_counter_of_row *rows = NULL;
    size_t n = 0;
    int64_t all = 0;
    TRY(q_counter_of(ctx, txn, COUNTER_LIFETIME, m->scope, KEYS_MOST, &rows, &n));
    for (size_t i = 0; i < n; i++)
        all += rows[i].n;
    struct report_table *t = table(ctx, m->out, "By how long they are valid", "Certificates of CAs are not counted here.");
    column(t, "days", false);
    column(t, "certificates", true);
    column(t, "percent", true);
    column(t, "words", false);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        const struct q_counter_of_row *r = month_of(rows, n, steps[s].key);
        const char **cells = row(ctx, t);
        cells[0] = steps[s].key;
        cells[1] = number(ctx, r ? r->n : 0);
        cells[2] = share(ctx, r ? r->n : 0, all);
        cells[3] = steps[s].text;
    }
    return findings_table(ctx, txn, m, "Against the limit of their date of issue", wrong);
}

static struct rc of_crypto(struct ctx *ctx, struct txn *txn, struct making *m)
{
    static const char *const weak[] = {"weak_hash",    "short_key", "weak_exponent",   "roca", "fermat", "known_key", "shared_key",
                                       "small_factor", "malformed", "no_post_quantum", NULL};
    int64_t all = 0;
    TRY(sum_of(ctx, txn, m, COUNTER_TOTAL, "", &all));
    TRY(by(ctx, txn, m, COUNTER_KEY, "Keys", "key", as_it_is, SHOWN_MOST, all));
    TRY(by(ctx, txn, m, COUNTER_SIGNATURE, "Signatures", "signature", as_it_is, SHOWN_MOST, all));
    return findings_table(ctx, txn, m, "Weaknesses, and who offers no post-quantum key exchange", weak);
}

/* --- which there are */

static const struct report_kind kinds[] = {
    {"inventory", "Inventory", "what there is: by source, issuer, key and finding"},
    {"expiry", "Expiry forecast", "what ends in which month, and what does not renew"},
    {"trends", "Issuance and renewal", "certificates, issued and failed, deployed and failed, by day for 90 days"},
    {"automation", "Automation", "which part is managed, by team, and what is not automatic yet"},
    {"failures", "Failures by cause", "what became of attempts and deployments"},
    {"owners", "Owners", "certificates by team, and what is wrong with them"},
    {"lifetimes", "Lifetimes", "how many keep the limits of 398, 200, 100 and 47 days"},
    {"crypto", "Cryptography", "keys, signatures, weaknesses, readiness for post-quantum key exchange"},
};
static struct rc (*const makers[])(struct ctx *, struct txn *, struct making *) = {
    of_inventory, of_expiry, of_trends, of_automation, of_failures, of_owners, of_lifetimes, of_crypto};
_Static_assert(sizeof makers / sizeof *makers == sizeof kinds / sizeof *kinds, "each has its maker");

const struct report_kind *report_kinds(size_t *n)
{
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}

RC report_make_in(struct ctx *ctx, struct txn *txn, const char *name, const char *team, struct report *out)
{
    struct making m = {.scope = access_scope(ctx), .out = out};
    struct q_team_get_row row;
    struct buf names;
    bool found = false;
    buf_init_arena(&names, &ctx->arena, 1024);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        buf_printf(&names, "%s%s", i ? ", " : "", kinds[i].name);
        if (str_equal(kinds[i].name, name))
            m.kind = &kinds[i];
    }
    if (!m.kind)
        return ctx_fail(ctx, E_NOT_FOUND, "there is no report %s; there are %s", name, buf_z(&names));
    if (team)
        TRY(access_team(ctx, txn, team, &m.scope));
    TRY(q_team_get(ctx, txn, m.scope, m.scope, &row, &found));
    *out = (struct report){
        .name = m.kind->name, .title = m.kind->title, .team = found ? row.name : "(several teams)", .at = ctx_now_s(ctx)};
    return makers[m.kind - kinds](ctx, txn, &m);
}

struct asking {
    const char *name, *team;
    struct report *out;
};

static struct rc make(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct asking *a = arg;
    return report_make_in(ctx, txn, a->name, a->team, a->out);
}

RC report_make(struct ctx *ctx, struct core *core, const char *name, const char *team, struct report *out)
{
    struct asking a = {name, team, out};
    return store_read(ctx, core->store, make, &a);
}
