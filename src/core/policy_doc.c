/* Reading a policy document: strict, and with the place of everything that is wrong. */
#include "core/policy_doc.h"

#include "base/yaml.h"
#include "core/policy_own.h"
#include "core/zone.h"
#include "pki/name.h"
#include "pki/spki.h"

#define RULES_MAX     500
#define FREEZES_MAX   200
#define ITEMS_MAX     1000
#define NOUNS_MAX     2000
#define WORDS_MAX     500
#define CALLED_MAX    64
#define APPROVALS_MAX 10

const char *const policy_acts[POLICY_ACTS] = {"create", "change", "renew", "revoke", "export", "rollback"};

const char *const policy_limit_names[POLICY_LIMITS] = {
    [POLICY_LIMIT_NAMES] = "names",
    [POLICY_LIMIT_ISSUERS] = "issuers",
    [POLICY_LIMIT_KEYS] = "keys",
    [POLICY_LIMIT_PROFILES] = "profiles",
    [POLICY_LIMIT_VALIDITY] = "max_validity",
    [POLICY_LIMIT_WILDCARDS] = "wildcards",
    [POLICY_LIMIT_REUSE] = "key_reuse",
    [POLICY_LIMIT_CSR] = "csr",
    [POLICY_LIMIT_DOWNLOAD] = "key_download",
    [POLICY_LIMIT_OWNER] = "owner",
};

struct reader {
    struct ctx *ctx;
    struct yaml y;
    struct policy_doc *doc;
    struct arena *a; /* of the document */
    struct policy_problem *problems;
    size_t n;
};

/* A value, and how it is found again. */
struct at {
    const json_t *v, *map; /* `map` NULL: in a list */
    const char *key;
    const struct at *in;
};

static void place(const struct reader *r, const struct at *at, int *line, int *column)
{
    *line = *column = 0;
    for (; at && !*line; at = at->in)
        yaml_place(&r->y, at->map, at->key, at->v, line, column);
}

static void problem(struct reader *r, int line, int column, const char *words)
{
    if (r->n < POLICY_PROBLEMS_MAX)
        r->problems[r->n++] = (struct policy_problem){line, column, words};
}

__attribute__((format(printf, 3, 4))) static void wrong(struct reader *r, const struct at *at, const char *fmt, ...)
{
    int line, column;
    va_list ap;
    if (r->n == POLICY_PROBLEMS_MAX) /* finding the place takes long where there is much */
        return;
    va_start(ap, fmt);
    const char *words = arena_vprintf(&r->ctx->arena, fmt, ap);
    va_end(ap);
    place(r, at, &line, &column);
    problem(r, line, column, words);
}

/* --- single values */

static const char *text(struct reader *r, const struct at *at, size_t max)
{
    const char *s = json_string_value(at->v);
    if (!s || !*s || strlen(s) > max) {
        wrong(r, at, "%s%shas to be text of 1 to %zu bytes", at->key ? at->key : "", at->key ? " " : "it ", max);
        return NULL;
    }
    return arena_strdup(r->a, s);
}

static bool number(struct reader *r, const struct at *at, int64_t least, int64_t most, int64_t *out)
{
    const int64_t n = json_integer_value(at->v);
    if (!json_is_integer(at->v) || n < least || n > most) {
        wrong(r, at, "%s has to be a number from %lld to %lld", at->key, (long long)least, (long long)most);
        return false;
    }
    *out = n;
    return true;
}

static void tri(struct reader *r, const struct at *at, enum policy_tri *out)
{
    if (!json_is_boolean(at->v))
        wrong(r, at, "%s is true or false", at->key);
    else
        *out = json_is_true(at->v) ? POLICY_YES : POLICY_NO;
}

static void span(struct reader *r, const struct at *at, int64_t *out)
{
    const char *s = json_string_value(at->v);
    if (!s || !str_parse_span(bytes_z(s), out) || *out < 60)
        wrong(r, at, "a span is written like 90d, 12h or 47d");
}

/* What a document names is noted once, and looked up by whoever keeps it; its place in the list. */
static int noun(struct reader *r, const struct at *at, enum policy_noun kind)
{
    struct policy_nouns *l = &r->doc->names[kind];
    const char *name = text(r, at, CALLED_MAX);
    int line, column;
    if (!name)
        return POLICY_EVERYBODY;
    for (size_t i = 0; i < l->n; i++)
        if (str_equal(l->v[i].name, name))
            return (int)i;
    if (l->n == NOUNS_MAX) {
        wrong(r, at, "more than %d names of teams, or of issuers, profiles or roles", NOUNS_MAX);
        return POLICY_EVERYBODY;
    }
    if (l->n == l->cap) {
        const size_t cap = l->cap ? l->cap * 2 : 16;
        struct policy_named *v = arena_array(r->a, cap, sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    place(r, at, &line, &column);
    l->v[l->n] = (struct policy_named){name, line, column};
    return (int)l->n++;
}

/* --- lists */

/* How many there are; one that is not in a list is a list of itself. */
static size_t items(struct reader *r, const struct at *at)
{
    const size_t n = json_is_array(at->v) ? json_array_size(at->v) : 1;
    if (n <= ITEMS_MAX)
        return n;
    wrong(r, at, "more than %d of them", ITEMS_MAX);
    return 0;
}

static struct at item(const struct at *at, size_t i)
{
    return json_is_array(at->v) ? (struct at){.v = json_array_get(at->v, i), .key = at->key, .in = at} : *at;
}

static void suffix(struct reader *r, const struct at *at, struct policy_suffixes *to)
{
    const char *s = json_string_value(at->v);
    struct policy_suffix out = {0};
    struct name name;
    if (s && cidr_parse(bytes_z(s), &out.net)) {
        out.ip = true;
        out.text = arena_strdup(r->a, s);
        to->v[to->n++] = out;
        return;
    }
    if (!s || rc_failed(name_parse_dns(r->ctx, bytes_z(*s == '.' ? s + 1 : s), &name)) || name_is_wildcard(&name)) {
        ctx_forget(r->ctx);
        wrong(r, at, "%s%.253s is no domain such as shop.example.org, and no network such as 10.1.0.0/16", s ? "" : "this",
              s ? s : "");
        return;
    }
    out.text = arena_strdup(r->a, name.text);
    out.n = strlen(out.text);
    to->v[to->n++] = out;
}

static void suffixes(struct reader *r, const struct at *at, struct policy_suffixes *out)
{
    const size_t n = items(r, at);
    out->v = arena_array(r->a, n + 1, sizeof *out->v);
    for (size_t i = 0; i < n; i++) {
        const struct at one = item(at, i);
        suffix(r, &one, out);
    }
}

static void key_kinds(struct reader *r, const struct at *at, struct str_list *out)
{
    for (size_t i = 0, n = items(r, at); i < n; i++) {
        const struct at one = item(at, i);
        const char *s = text(r, &one, CALLED_MAX);
        if (s && key_kind_by_name(s) == KEY_OTHER)
            wrong(r, &one, "%s is no kind of key; ec-p256, ec-p384, rsa-2048, rsa-3072 and rsa-4096 are", s);
        else if (s)
            str_list_add(r->a, out, s);
    }
}

static void nouns(struct reader *r, const struct at *at, enum policy_noun kind, struct str_list *out)
{
    for (size_t i = 0, n = items(r, at); i < n; i++) {
        const struct at one = item(at, i);
        const int k = noun(r, &one, kind);
        if (k >= 0)
            str_list_add(r->a, out, r->doc->names[kind].v[k].name);
    }
}

static void teams(struct reader *r, const struct at *at, struct policy_teams *out)
{
    const size_t n = items(r, at);
    out->v = arena_array(r->a, n + 1, sizeof *out->v);
    for (size_t i = 0; i < n; i++) {
        const struct at one = item(at, i);
        const int k = noun(r, &one, POLICY_TEAM);
        if (k >= 0)
            out->v[out->n++] = k;
    }
    if (!out->n)
        wrong(r, at, "%s names no team", at->key);
}

/* --- when */

enum kind { K_SUFFIXES, K_NUMBER, K_SPAN, K_TRI, K_ISSUERS, K_KEYS, K_PROFILES };

static const struct {
    const char *key;
    enum kind kind;
    size_t to;
} whens[] = {
    {"names_under", K_SUFFIXES, offsetof(struct policy_when, under)},
    {"names_outside", K_SUFFIXES, offsetof(struct policy_when, outside)},
    {"names_over", K_NUMBER, offsetof(struct policy_when, names_over)},
    {"wildcard", K_TRI, offsetof(struct policy_when, wildcard)},
    {"issuers", K_ISSUERS, offsetof(struct policy_when, issuers)},
    {"issuers_except", K_ISSUERS, offsetof(struct policy_when, issuers_except)},
    {"keys", K_KEYS, offsetof(struct policy_when, keys)},
    {"keys_except", K_KEYS, offsetof(struct policy_when, keys_except)},
    {"profiles", K_PROFILES, offsetof(struct policy_when, profiles)},
    {"profiles_except", K_PROFILES, offsetof(struct policy_when, profiles_except)},
    {"validity_over", K_SPAN, offsetof(struct policy_when, validity_over)},
    {"key_reuse", K_TRI, offsetof(struct policy_when, key_reuse)},
    {"csr", K_TRI, offsetof(struct policy_when, csr)},
    {"key_download", K_TRI, offsetof(struct policy_when, download)},
    {"without_owner", K_TRI, offsetof(struct policy_when, without_owner)},
};

static void when_one(struct reader *r, const struct at *at, size_t k, struct policy_when *out)
{
    void *to = (char *)out + whens[k].to;
    if (json_is_array(at->v) && !json_array_size(at->v)) {
        wrong(r, at, "%s says nothing: leave it out, or name one", at->key);
        return;
    }
    switch (whens[k].kind) {
    case K_SUFFIXES:
        suffixes(r, at, to);
        break;
    case K_NUMBER:
        (void)number(r, at, 1, 100, to);
        break;
    case K_SPAN:
        span(r, at, to);
        break;
    case K_TRI:
        tri(r, at, to);
        break;
    case K_ISSUERS:
        nouns(r, at, POLICY_ISSUER, to);
        break;
    case K_KEYS:
        key_kinds(r, at, to);
        break;
    case K_PROFILES:
        nouns(r, at, POLICY_PROFILE, to);
        break;
    }
}

/* The members of a map, in their order. */
#define EACH_MEMBER(map_, member)                                                                                                  \
    for (void *it_ = json_object_iter((json_t *)(uintptr_t)(map_)->v); it_;                                                        \
         it_ = json_object_iter_next((json_t *)(uintptr_t)(map_)->v, it_))                                                         \
        for (struct at member = {json_object_iter_value(it_), (map_)->v, json_object_iter_key(it_), (map_)}, *once_ = &member;     \
             once_; once_ = NULL)

static bool is_map(struct reader *r, const struct at *at, const char *what)
{
    if (!json_is_object(at->v))
        wrong(r, at, "%s is a map", what);
    return json_is_object(at->v);
}

static void when(struct reader *r, const struct at *at, struct policy_when *out)
{
    if (!is_map(r, at, "when"))
        return;
    if (!json_object_size(at->v))
        wrong(r, at, "when says nothing: leave it out, and the rule fits always");
    EACH_MEMBER(at, m)
    {
        size_t k = 0;
        while (k < sizeof whens / sizeof *whens && !str_equal(whens[k].key, m.key))
            k++;
        if (k < sizeof whens / sizeof *whens)
            when_one(r, &m, k, out);
        else
            wrong(r, &m, "%.64s is nothing that when can ask about", m.key);
    }
}

/* --- rules */

enum policy_act policy_act_named(const char *word)
{
    unsigned k = 0;
    while (k < POLICY_ACTS && !str_equal(policy_acts[k], word))
        k++;
    return (enum policy_act)k;
}

static void acts(struct reader *r, const struct at *at, unsigned *out)
{
    *out = 0;
    for (size_t i = 0, n = items(r, at); i < n; i++) {
        const struct at one = item(at, i);
        const enum policy_act act = policy_act_named(json_string_value(one.v));
        if (act == POLICY_ACTS)
            wrong(r, &one, "a rule is for create, change, renew, revoke, export or rollback");
        else
            *out |= 1U << act;
    }
    if (!*out && json_is_array(at->v) && !json_array_size(at->v))
        wrong(r, at, "for names nothing: leave it out, and the rule is for create and change");
}

static void approve(struct reader *r, const struct at *at, struct policy_rule *out)
{
    out->says = POLICY_NEEDS;
    out->approvals = 1;
    if (json_is_true(at->v))
        return;
    if (!is_map(r, at, "approve"))
        return;
    EACH_MEMBER(at, m)
    {
        if (str_equal(m.key, "count"))
            (void)number(r, &m, 1, APPROVALS_MAX, &out->approvals);
        else if (str_equal(m.key, "role")) {
            const int k = noun(r, &m, POLICY_ROLE);
            out->role = k >= 0 ? r->doc->names[POLICY_ROLE].v[k].name : NULL;
        } else if (str_equal(m.key, "because"))
            out->words = text(r, &m, WORDS_MAX);
        else
            wrong(r, &m, "%.64s is not a setting here: count, role and because are", m.key);
    }
}

static void rule(struct reader *r, const struct at *at, struct policy_rule *out)
{
    unsigned said = 0;
    *out = (struct policy_rule){.acts = 1U << POLICY_CREATE | 1U << POLICY_CHANGE};
    if (!is_map(r, at, "a rule"))
        return;
    EACH_MEMBER(at, m)
    {
        if (str_equal(m.key, "name"))
            out->name = text(r, &m, CALLED_MAX);
        else if (str_equal(m.key, "for"))
            acts(r, &m, &out->acts);
        else if (str_equal(m.key, "teams"))
            teams(r, &m, &out->teams);
        else if (str_equal(m.key, "when"))
            when(r, &m, &out->when);
        else if (str_equal(m.key, "forbid") && ++said) {
            out->says = POLICY_FORBIDS;
            out->words = text(r, &m, WORDS_MAX);
        } else if (str_equal(m.key, "approve") && ++said)
            approve(r, &m, out);
        else if (str_equal(m.key, "allow") && ++said) {
            out->says = POLICY_ALLOWS;
            if (!json_is_true(m.v))
                wrong(r, &m, "a rule says allow: true, or something else");
        } else
            wrong(r, &m, "%.64s is not a setting of a rule: name, for, teams, when, and forbid, approve or allow are", m.key);
    }
    if (!json_object_get(at->v, "name"))
        wrong(r, at, "a rule needs a name, by which people are told of it");
    if (said != 1)
        wrong(r, at, "a rule says one of forbid, approve and allow");
}

/* The list at a key: its items, or nothing. */
static size_t list(struct reader *r, const struct at *at, size_t most)
{
    if (!json_is_array(at->v)) {
        wrong(r, at, "%s is a list", at->key);
        return 0;
    }
    if (json_array_size(at->v) <= most)
        return json_array_size(at->v);
    wrong(r, at, "more than %zu %s", most, at->key);
    return 0;
}

static void rules(struct reader *r, const struct at *at)
{
    const size_t n = list(r, at, RULES_MAX);
    r->doc->rules = arena_array(r->a, n + 1, sizeof *r->doc->rules);
    for (size_t i = 0; i < n; i++) {
        const struct at one = item(at, i);
        struct policy_rule *out = &r->doc->rules[r->doc->rules_n];
        rule(r, &one, out);
        for (size_t k = 0; k < r->doc->rules_n; k++)
            if (out->name && str_equal(r->doc->rules[k].name, out->name))
                wrong(r, &one, "two rules are called %s", out->name);
        r->doc->rules_n++;
    }
}

/* --- freezes: "2026-12-18", "2026-12-18 18:00", both with a zone of the system behind them, or RFC 3339. */

static bool digits(struct bytes b, size_t n, int *out)
{
    int64_t v;
    if (b.n != n || !str_to_i64(b, &v) || v < 0)
        return false;
    *out = (int)v;
    return true;
}

/* The local time that is written, without its zone; *whole: a day. */
static bool local_time(struct bytes day, struct bytes clock, int64_t *out, bool *whole)
{
    struct civil c = {0};
    int year = 0;
    *whole = !clock.n;
    if (day.n != 10 || day.p[4] != '-' || day.p[7] != '-' || !digits(bytes_of(day.p, 4), 4, &year) ||
        !digits(bytes_of(day.p + 5, 2), 2, &c.month) || !digits(bytes_of(day.p + 8, 2), 2, &c.day))
        return false;
    if (clock.n && (clock.n != 5 || clock.p[2] != ':' || !digits(bytes_of(clock.p, 2), 2, &c.hour) ||
                    !digits(bytes_of(clock.p + 3, 2), 2, &c.minute)))
        return false;
    c.year = year;
    return civil_to_unix(&c, out);
}

static void moment(struct reader *r, const struct at *at, bool end, int64_t *out)
{
    const char *s = json_string_value(at->v);
    struct bytes rest = bytes_z(s ? s : ""), day, clock = {0}, next;
    struct zone z = {0};
    bool whole = false;
    *out = 0;
    if (s && time_parse_rfc3339(rest, out))
        return;
    if (!bytes_take_until(&rest, ' ', &day)) {
        day = rest;
        rest = (struct bytes){0};
    }
    if (rest.n && rest.p[0] >= '0' && rest.p[0] <= '9') {
        if (bytes_take_until(&rest, ' ', &next))
            clock = next;
        else {
            clock = rest;
            rest = (struct bytes){0};
        }
    }
    if (!local_time(day, clock, out, &whole)) {
        wrong(r, at, "a time is written like 2026-12-18, 2026-12-18 18:00 or 2026-12-18 18:00 Europe/Berlin");
        return;
    }
    if (whole && end) /* the day is part of it */
        *out += 86400;
    const char *zone = rest.n ? str_z(&r->ctx->arena, rest) : NULL;
    if (!zone || str_equal(zone, "UTC"))
        return;
    if (rc_failed(zone_load(r->ctx, zone, &z))) {
        const char *why = ctx_why(r->ctx);
        ctx_forget(r->ctx);
        wrong(r, at, "%s", why);
        return;
    }
    *out = zone_to_utc(&z, *out, end);
}

static void freeze(struct reader *r, const struct at *at, struct policy_freeze *out)
{
    *out = (struct policy_freeze){0};
    if (!is_map(r, at, "a freeze"))
        return;
    const size_t before = r->n;
    EACH_MEMBER(at, m)
    {
        enum policy_tri renewals = POLICY_UNSAID;
        if (str_equal(m.key, "name"))
            out->name = text(r, &m, CALLED_MAX);
        else if (str_equal(m.key, "from"))
            moment(r, &m, false, &out->from);
        else if (str_equal(m.key, "to"))
            moment(r, &m, true, &out->to);
        else if (str_equal(m.key, "teams"))
            teams(r, &m, &out->teams);
        else if (str_equal(m.key, "except"))
            teams(r, &m, &out->except);
        else if (str_equal(m.key, "renewals")) {
            tri(r, &m, &renewals);
            out->renewals = renewals == POLICY_YES;
        } else
            wrong(r, &m, "%.64s is not a setting of a freeze: name, from, to, teams, except and renewals are", m.key);
    }
    if (!json_object_get(at->v, "name") || !json_object_get(at->v, "from") || !json_object_get(at->v, "to"))
        wrong(r, at, "a freeze has a name, from and to");
    else if (r->n == before && out->to <= out->from)
        wrong(r, at, "the freeze ends before it begins");
}

static void freezes(struct reader *r, const struct at *at)
{
    const size_t n = list(r, at, FREEZES_MAX);
    r->doc->freezes = arena_array(r->a, n + 1, sizeof *r->doc->freezes);
    for (size_t i = 0; i < n; i++) {
        const struct at one = item(at, i);
        freeze(r, &one, &r->doc->freezes[r->doc->freezes_n++]);
    }
}

/* --- limits */

static void says(struct reader *r, const struct at *at, enum policy_says *out)
{
    const char *s = json_string_value(at->v);
    if (str_equal(s, "forbid"))
        *out = POLICY_FORBIDS;
    else if (str_equal(s, "approve"))
        *out = POLICY_NEEDS;
    else if (str_equal(s, "allow"))
        *out = POLICY_ALLOWS;
    else
        wrong(r, at, "say forbid, approve or allow");
}

static void bound(struct reader *r, const struct at *at, enum policy_limit limit, struct policy_bound *out)
{
    switch (limit) {
    case POLICY_LIMIT_NAMES:
        suffixes(r, at, &out->names);
        break;
    case POLICY_LIMIT_ISSUERS:
        nouns(r, at, POLICY_ISSUER, &out->words);
        break;
    case POLICY_LIMIT_KEYS:
        key_kinds(r, at, &out->words);
        break;
    case POLICY_LIMIT_PROFILES:
        nouns(r, at, POLICY_PROFILE, &out->words);
        break;
    case POLICY_LIMIT_VALIDITY:
        span(r, at, &out->number);
        break;
    case POLICY_LIMIT_OWNER:
        if (str_equal(json_string_value(at->v), "required"))
            out->says = POLICY_FORBIDS;
        else if (!str_equal(json_string_value(at->v), "optional"))
            wrong(r, at, "owner is required or optional");
        break;
    default:
        says(r, at, &out->says);
    }
}

static void limit(struct reader *r, const struct at *at, enum policy_limit limit)
{
    struct policy_bounds *to = &r->doc->limits[limit];
    if (!json_is_object(at->v)) {
        to->v = arena_array(r->a, 1, sizeof *to->v);
        to->v[to->n++] = (struct policy_bound){.team = POLICY_EVERYBODY};
        bound(r, at, limit, to->v);
        return;
    }
    if (json_object_size(at->v) > ITEMS_MAX) {
        wrong(r, at, "more than %d teams", ITEMS_MAX);
        return;
    }
    to->v = arena_array(r->a, json_object_size(at->v) + 1, sizeof *to->v);
    EACH_MEMBER(at, m)
    {
        /* The team is the key; found by its place, as the value of a list would be. */
        json_auto_t *key = json_string(m.key);
        const struct at team = {.v = key, .map = m.map, .key = m.key, .in = at};
        struct policy_bound *b = &to->v[to->n++];
        *b = (struct policy_bound){.team = noun(r, &team, POLICY_TEAM)};
        bound(r, &m, limit, b);
    }
}

static void renewal(struct reader *r, const struct at *at)
{
    if (!is_map(r, at, "renewal"))
        return;
    EACH_MEMBER(at, m)
    {
        if (str_equal(m.key, "from_percent"))
            (void)number(r, &m, 10, 95, &r->doc->renew_from);
        else if (str_equal(m.key, "to_percent"))
            (void)number(r, &m, 10, 95, &r->doc->renew_to);
        else
            wrong(r, &m, "%.64s is not a setting here: from_percent and to_percent are", m.key);
    }
    if (r->doc->renew_from && r->doc->renew_to && r->doc->renew_to < r->doc->renew_from)
        wrong(r, at, "renewal ends before it begins");
}

/* --- the whole */

static void member(struct reader *r, const struct at *at)
{
    if (str_equal(at->key, "version")) {
        if (!json_is_integer(at->v) || json_integer_value(at->v) != 1)
            wrong(r, at, "this release reads version: 1");
        return;
    }
    for (unsigned k = 0; k < POLICY_LIMITS; k++)
        if (str_equal(at->key, policy_limit_names[k])) {
            limit(r, at, (enum policy_limit)k);
            return;
        }
    if (str_equal(at->key, "rules"))
        rules(r, at);
    else if (str_equal(at->key, "freezes"))
        freezes(r, at);
    else if (str_equal(at->key, "renewal"))
        renewal(r, at);
    else
        wrong(r, at, "%.64s is not a setting of a policy", at->key);
}

static struct rc read_all(struct reader *r, struct bytes document)
{
    struct rc rc = yaml_read(r->ctx, "policy", document, &r->y);
    if (rc_failed(rc)) {
        if (!r->y.bad_words) /* no memory */
            return rc;
        ctx_forget(r->ctx);
        problem(r, r->y.bad_line, r->y.bad_column, r->y.bad_words);
        return RC_OK;
    }
    const struct at root = {.v = r->y.root};
    if (is_map(r, &root, "a policy")) {
        EACH_MEMBER(&root, m)
        member(r, &m);
        if (json_object_size(root.v) && !json_object_get(root.v, "version"))
            problem(r, 1, 1, "a policy begins with version: 1");
    }
    yaml_free(&r->y);
    return RC_OK;
}

RC policy_doc_read(struct ctx *ctx, struct bytes document, struct policy_problem **problems, size_t *n, struct policy_doc **out)
{
    struct reader r = {.ctx = ctx, .problems = arena_array(&ctx->arena, POLICY_PROBLEMS_MAX, sizeof(struct policy_problem))};
    *problems = r.problems;
    *out = NULL;
    *n = 0;
    if (document.n > POLICY_TEXT_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a policy has at most %zu bytes", POLICY_TEXT_MAX);
    r.doc = calloc(1, sizeof *r.doc);
    if (!r.doc)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to read a policy");
    r.doc->users = 1;
    r.a = &r.doc->arena;
    struct rc rc = read_all(&r, document);
    *n = r.n;
    if (rc_failed(rc) || r.n)
        policy_doc_drop(r.doc);
    else
        *out = r.doc;
    return rc;
}

struct policy_doc *policy_doc_keep(struct policy_doc *doc)
{
    doc->users++;
    return doc;
}

void policy_doc_drop(struct policy_doc *doc)
{
    if (!doc || --doc->users)
        return;
    arena_free(&doc->arena);
    free(doc);
}

void policy_doc_names(const struct policy_doc *doc, enum policy_noun noun, const struct policy_named **out, size_t *n)
{
    *out = doc->names[noun].v;
    *n = doc->names[noun].n;
}

void policy_doc_bind(struct policy_doc *doc, const char *const *ids)
{
    const size_t n = doc->names[POLICY_TEAM].n;
    doc->team_ids = arena_array(&doc->arena, n + 1, sizeof *doc->team_ids);
    for (size_t i = 0; i < n; i++)
        doc->team_ids[i] = arena_strdup(&doc->arena, ids[i]);
}
