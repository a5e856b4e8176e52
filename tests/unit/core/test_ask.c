/* Asking the inventory, held against a model: what a filter means is said a second time here, in the simplest way, and every answer
 * of both engines, over all pages and in every order, has to be the same. */
#include "core/ask.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/random.h"
#include "core/access.h"
#include "core/remark.h"
#include "lib/made_cert.h"
#include "pki/digest.h"
#include "store/sql.h"
#include "store/store_test.h"

#define CERTS 700
#define DAY   86400
#define ROOT  "01J0000000000000000000ROOT"
#define SHOPS "01J000000000000000000SHOPS"
#define FUNDS "01J000000000000000000FUNDS"

struct model {
    struct made_cert made;
    const char *names[4];
    uint8_t ip[4];
    struct bytes der, print;
    int64_t now;
    const char *team, *tag, *owner;
    const char *place, *sni, *place_team; /* where it was seen, and by whom */
    bool managed, revoked;
};
static struct model models[CERTS];

/* --- the world */

static uint32_t seed = 4711;
static uint32_t roll(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static const char *const words[] = {"www", "shop", "mail", "api", "shop-old", "intern", "a", "xn--bcher-kva"};
static const char *const domains[] = {"example.org", "example.com", "shop.example.org", "badexample.org", "test"};
static const char *const people[] = {"who", "a+b", "a_b"};
static const char *const organizations[] = {"Let's Encrypt", "Big \"CA\", Inc.", "let's encrypt"};

static void world_make(struct ctx *ctx)
{
    const int64_t now = ctx_now_s(ctx);
    for (size_t i = 0; i < CERTS; i++) {
        struct model *m = &models[i];
        *m = (struct model){.now = now, .managed = roll(10) == 0, .revoked = roll(20) == 0};
        m->made = (struct made_cert){.serial = 1 + i + (uint64_t)roll(1000) * 100000, .names = m->names};
        m->made.names_n = roll(4);
        for (size_t k = 0; k < m->made.names_n; k++)
            m->names[k] = roll(9) == 0   ? arena_printf(&ctx->arena, "%s@%s", people[roll(3)], domains[roll(5)])
                          : roll(6) == 0 ? arena_printf(&ctx->arena, "*.%s", domains[roll(5)])
                                         : arena_printf(&ctx->arena, "%s.%s", words[roll(8)], domains[roll(5)]);
        if (roll(5) == 0) {
            memcpy(m->ip, (uint8_t[]){10, 1, (uint8_t)roll(3), (uint8_t)roll(3)}, 4);
            m->made.ipv4 = m->ip;
        }
        m->made.issuer_o = roll(6) == 0 ? NULL : organizations[roll(3)];
        m->made.issuer_cn = arena_printf(&ctx->arena, "Issuing %u", roll(12));
        m->made.subject_o = roll(3) ? NULL : roll(2) ? "Example Shops AG" : "example shops ag";
        m->made.subject_cn = roll(4) == 0 ? arena_printf(&ctx->arena, "%s.%s", words[roll(8)], domains[roll(4)]) : NULL;
        m->made.not_before = now - (int64_t)roll(400) * DAY - DAY / 2; /* the clock goes on meanwhile */
        m->made.not_after = m->made.not_before + (int64_t)(10 + roll(5) * 97) * DAY - 1;
        m->made.rsa_bits = roll(3) == 0 ? 1024 + roll(2) * 1024 : 0;
        m->made.key = roll(100);
        m->made.is_ca = roll(15) == 0;
        m->team = roll(4) == 0 ? "funds" : roll(3) == 0 ? "shops" : "root";
        m->tag = roll(12) == 0 ? "red" : NULL;
        m->owner = roll(14) == 0 ? "Alice & Co" : NULL;
        if (roll(4) == 0) {
            m->place = arena_printf(&ctx->arena, "10.0.%u.%u:%d", roll(3), roll(250), roll(2) ? 443 : 8443);
            m->sni = roll(2) ? "www.example.org" : "";
            m->place_team = roll(3) == 0 ? FUNDS : roll(2) ? SHOPS : ROOT;
        }
        m->der = made_cert(ctx, &m->made);
        uint8_t *print = arena_alloc(&ctx->arena, SHA256_LEN);
        must(ctx, digest_sha256(ctx, m->der, print));
        m->print = bytes_of(print, SHA256_LEN);
    }
}

struct world {
    struct core *core;
    struct inventory_batch batch;
    const char *team;
};

static struct rc teams(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    const char *const rows[][3] = {{ROOT, NULL, "root"}, {SHOPS, ROOT, "shops"}, {FUNDS, SHOPS, "funds"}};
    for (size_t i = 0; i < 3; i++) {
        TRY(q_team_add(ctx, txn, rows[i][0], rows[i][1], rows[i][2], 1));
        for (size_t k = 0; k <= i; k++)
            TRY(q_team_within_add(ctx, txn, rows[i][0], rows[k][0]));
    }
    return RC_OK;
}

/* Endpoints of hosts and lists, and how they are found. */
static const struct inventory_sighting not_scanned[] = {
    {.kind = INVENTORY_FILE, .place = "web7:/etc/ssl/a.pem", .result = "ok"},
    {.kind = INVENTORY_STORE, .place = "web7:/etc/ssl/b.p12", .name = "alias", .result = "ok"},
    {.kind = INVENTORY_FILE, .place = "web77:/etc/ssl/a.pem", .result = "ok"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "172.16.5.5:8443", .result = "listed"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "172.16.5.6", .result = "listed"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "[2001:db8:77::7]", .result = "listed"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "[2001:db8:77::8]:636", .result = "listed"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "a.listed.test:444", .result = "listed"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "listed.test", .result = "listed"},
    {.kind = INVENTORY_LIST, .place = "sheet", .name = "rack 7, left", .result = "listed"},
};
static const struct {
    const char *at;
    size_t n;
} at_rows[] = {
    {"web7", 2}, {"web77", 1}, {"web", 0}, {"WEB7", 2}, {"web7:/etc/ssl/a.pem", 1},
    {"172.16.0.0/16", 2}, {"172.16.5.5", 1}, {"172.16.5.6", 1}, {"172.16.5.5:8443", 1}, {"172.16.5.5:443", 0},
    {"2001:db8:77::/64", 2}, {"[2001:db8:77::8]:636", 1}, {"listed.test", 2}, {"a.listed.test", 1}, {"a.listed.test:444", 1},
    {"a.listed.test:443", 0}, {"isted.test", 0}, {"sheet", 0},
};

static struct rc put_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct world *w = arg;
    for (size_t i = 0; i < CERTS; i++) {
        const struct model *m = &models[i];
        const struct inventory_item item = {
            .der = m->der, .flags = (m->managed ? CERTIFICATE_MANAGED : 0) | (m->revoked ? CERTIFICATE_REVOKED : 0)};
        const char *team = str_equal(m->team, "root") ? ROOT : str_equal(m->team, "shops") ? SHOPS : FUNDS;
        const struct inventory_from from = {.source = i % 2 ? INVENTORY_SCAN : INVENTORY_IMPORT, .team_id = team};
        struct inventory_batch batch;
        TRY(inventory_prepare(ctx, w->core, &item, 1, &batch));
        TRY(inventory_put(ctx, w->core, txn, &from, &batch));
        if (batch.n != 1)
            return ctx_fail(ctx, E_BUG, "certificate %zu: %s", i, batch.bad_n ? batch.bad[0].why : "?");
        const int64_t id = batch.ready[0].id;
        if (m->tag)
            TRY(q_certificate_tag_add(ctx, txn, m->tag, id));
        if (m->owner)
            TRY(q_certificate_note_put(
                ctx, txn,
                &(struct q_certificate_note_put_in){.certificate_id = id, .owner = m->owner, .changed_by = "test", .now = 1}));
        if (m->place)
            TRY(inventory_observe(
                ctx, w->core, txn, m->place_team,
                &(struct inventory_sighting){
                    .kind = INVENTORY_TLS, .place = m->place, .name = m->sni, .result = "ok", .chain = &m->print, .n = 1},
                NULL, NULL));
    }
    for (size_t i = 0; i < sizeof not_scanned / sizeof *not_scanned; i++)
        TRY(inventory_observe(ctx, w->core, txn, ROOT, &not_scanned[i], NULL, NULL));
    return RC_OK;
}

/* --- the same filters, as simple as can be */

static bool name_is(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->made.names_n; i++)
        if (str_equal(m->names[i], name))
            return true;
    return !m->made.names_n && !m->made.ipv4 && str_equal(m->made.subject_cn, name);
}

static bool ends(const char *text, const char *end)
{
    const size_t n = text ? strlen(text) : 0, k = strlen(end);
    return n >= k && str_equal(text + n - k, end) && (n == k || strchr(".@", text[n - k - 1]));
}

static bool name_under(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->made.names_n; i++)
        if (ends(m->names[i], name))
            return true;
    return !m->made.names_n && !m->made.ipv4 && ends(m->made.subject_cn, name);
}

static bool first_label_has(const char *name, const char *word)
{
    const size_t n = strcspn(name, ".");
    if (strchr(name, '@'))
        return false;
    return (n == strlen(word) && !strncmp(name, word, n)) || (str_equal(word, "shop") && !strncmp(name, "shop-old.", 9)) ||
           (str_equal(word, "shop") && strstr(name, ".shop."));
}

static bool name_has(const struct model *m, const char *word)
{
    for (size_t i = 0; i < m->made.names_n; i++)
        if (first_label_has(m->names[i], word))
            return true;
    return !m->made.names_n && !m->made.ipv4 && m->made.subject_cn && first_label_has(m->made.subject_cn, word);
}

static bool m_under(const struct model *m)
{
    return name_under(m, "example.org");
}
static bool m_under_shop(const struct model *m)
{
    return name_under(m, "shop.example.org");
}
static bool m_under_test(const struct model *m)
{
    return name_under(m, "test");
}
static bool m_www(const struct model *m)
{
    return name_is(m, "www.example.org");
}
static bool m_star(const struct model *m)
{
    return name_is(m, "*.example.org");
}
static bool m_mail(const struct model *m)
{
    return name_is(m, "who@example.org");
}
static bool m_plus(const struct model *m)
{
    return name_is(m, "a+b@example.org");
}
static bool m_line(const struct model *m)
{
    return name_is(m, "a_b@example.org");
}
static bool m_ip(const struct model *m)
{
    return m->made.ipv4 && m->ip[2] == 1 && m->ip[3] == 2;
}
static bool m_word(const struct model *m)
{
    return name_has(m, "shop");
}
static bool m_soon(const struct model *m)
{
    return m->made.not_after < m->now + 30 * DAY;
}
static bool m_narrow(const struct model *m)
{
    return m->made.not_after > m->now && m->made.not_after < m->now + 9 * DAY;
}
static bool m_issued(const struct model *m)
{
    return m->made.not_before >= m->now - 50 * DAY;
}
static bool m_long(const struct model *m)
{
    return m->made.not_after - m->made.not_before + 1 > 398 * DAY;
}
static bool m_le(const struct model *m)
{
    return str_equal(m->made.issuer_o, "Let's Encrypt");
}
static bool m_big(const struct model *m)
{
    return str_equal(m->made.issuer_o, "Big \"CA\", Inc.");
}
static bool m_cn(const struct model *m)
{
    return str_equal(m->made.issuer_cn, "Issuing 3");
}
static bool m_issuer_word(const struct model *m)
{
    return m->made.issuer_o && strcasecmp(m->made.issuer_o, "Let's Encrypt") == 0;
}
static bool m_so(const struct model *m)
{
    return str_equal(m->made.subject_o, "Example Shops AG");
}
static bool m_so_word(const struct model *m)
{
    return m->made.subject_o != NULL;
}
static bool m_rsa(const struct model *m)
{
    return m->made.rsa_bits > 0;
}
static bool m_rsa1024(const struct model *m)
{
    return m->made.rsa_bits == 1024;
}
static bool m_ec(const struct model *m)
{
    return m->made.rsa_bits == 0;
}
static bool m_managed(const struct model *m)
{
    return m->managed;
}
static bool m_revoked(const struct model *m)
{
    return m->revoked;
}
static bool m_ca(const struct model *m)
{
    return m->made.is_ca;
}
static bool m_funds(const struct model *m)
{
    return str_equal(m->team, "funds");
}
static bool m_shops(const struct model *m)
{
    return !str_equal(m->team, "root");
}
static bool m_tag(const struct model *m)
{
    return m->tag;
}
static bool m_owner(const struct model *m)
{
    return m->owner;
}
static bool m_scan(const struct model *m)
{
    return (m - models) % 2;
}
static bool m_serial(const struct model *m)
{
    return m->made.serial == models[7].made.serial;
}
static bool m_print(const struct model *m)
{
    return !memcmp(m->print.p, models[9].print.p, 5);
}
static bool m_expired(const struct model *m)
{
    return m->made.not_after < m->now;
}
/* Who asks, and whether they may know where it was seen. */
static const char *seer = ROOT;
static bool seen(const struct model *m)
{
    return m->place && (str_equal(seer, ROOT) || str_equal(m->place_team, seer) || str_equal(m->place_team, FUNDS));
}
static bool m_net(const struct model *m)
{
    return seen(m) && !strncmp(m->place, "10.0.1.", 7);
}
static bool m_one_net(const struct model *m)
{
    return seen(m) && !strncmp(m->place, "10.0.2.2", 8) && strchr(m->place, ':') - m->place == 9;
}
static bool m_at_8443(const struct model *m)
{
    return seen(m) && ends(m->place, "8443") ? true : seen(m) && strstr(m->place, ":8443");
}
static bool m_sni(const struct model *m)
{
    return seen(m) && *m->sni;
}
static bool m_all(const struct model *m)
{
    return m != NULL;
}
static bool m_nothing(const struct model *m)
{
    return m == NULL;
}
static bool m_key(const struct model *m)
{
    return m->made.key == models[3].made.key && m->made.rsa_bits == models[3].made.rsa_bits;
}

static const struct {
    const char *text;
    bool (*passes)(const struct model *m);
} tests_of[] = {
    {"name under example.org", m_under},
    {"name under shop.example.org", m_under_shop},
    {"name under test", m_under_test},
    {"name = www.example.org", m_www},
    {"name = *.example.org", m_star},
    {"name = who@example.org", m_mail},
    {"name = a+b@example.org", m_plus},
    {"name = 'A_b@example.org'", m_line},
    {"name = 10.1.1.2", m_ip},
    {"name ~ shop", m_word},
    {"expires < 30d", m_soon},
    {"(expires > now and expires < 9d)", m_narrow},
    {"issued >= -50d", m_issued},
    {"lifetime > 398d", m_long},
    {"issuer.o = \"Let's Encrypt\"", m_le},
    {"issuer.o = 'Big \"CA\", Inc.'", m_big},
    {"issuer.cn = \"Issuing 3\"", m_cn},
    {"issuer ~ \"encrypt let\"", m_issuer_word},
    {"issuer ~ issuing", m_all},
    {"subject.o = \"Example Shops AG\"", m_so},
    {"subject.o ~ shops", m_so_word},
    {"key = rsa", m_rsa},
    {"key = rsa-1024", m_rsa1024},
    {"(key.bits <= 1024 and key.bits > 512)", m_rsa1024},
    {"key = ec-p256", m_ec},
    {"signature != ecdsa-with-SHA256", m_nothing},
    {"managed", m_managed},
    {"revoked", m_revoked},
    {"ca", m_ca},
    {"team = funds", m_funds},
    {"team under shops", m_shops},
    {"tag = red", m_tag},
    {"owner = \"Alice & Co\"", m_owner},
    {"source = scan", m_scan},
    {"finding = expired", m_expired},
    {"endpoint under 10.0.1.0/24", m_net},
    {"port = 8443", m_at_8443},
    {"(endpoint under 10.0.2.20/30 or endpoint under 10.0.2.24/30 or endpoint under 10.0.2.28/31)", m_one_net},
    {"endpoint = www.example.org", m_sni},
    {"endpoint under example.org", m_sni},
    {"issuer.o = Nobody", m_nothing},
    {"name under nowhere.example", m_nothing},
};
#define TESTS_OF (sizeof tests_of / sizeof *tests_of)

/* --- held against each other */

static char wrong[8192];

static const struct model *model_of(struct bytes print)
{
    for (size_t i = 0; i < CERTS; i++)
        if (bytes_equal(models[i].print, print))
            return &models[i];
    return NULL;
}

struct asked {
    struct core *core;
    struct ask ask;
    struct ask_page page;
};

static struct rc page_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    return ask_page(ctx, a->core, txn, &a->ask, &a->page);
}

/* Reads all pages; says what is wrong with them. */
static void held(struct ctx *ctx, struct core *core, const char *where, const bool *expected, enum ask_order order, size_t limit)
{
    struct asked a = {.core = core, .ask = {.where = where, .order = order, .limit = limit}};
    bool seen[CERTS] = {false};
    int64_t last_id = INT64_MAX, last_end = order == ASK_LATEST ? INT64_MAX : INT64_MIN;
    size_t pages = 0;
    do {
        must(ctx, store_read(ctx, core->store, page_read, &a));
        if (++pages > 2 * CERTS + 10)
            fail_msg("%s: does not end", where);
        for (size_t i = 0; i < a.page.n; i++) {
            const struct select_row *row = a.page.rows[i].row;
            const struct model *m = model_of(row->fingerprint);
            assert_non_null(m);
            if (!bytes_equal(a.page.rows[i].der, m->der))
                fail_msg("%s: the DER is another one", where);
            if (seen[m - models])
                fail_msg("%s (order %d, limit %zu): certificate %td comes twice", where, order, limit, m - models);
            seen[m - models] = true;
            if (order == ASK_NEWEST && row->id >= last_id)
                fail_msg("%s: not the newest first", where);
            if ((order == ASK_SOONEST && row->not_after < last_end) || (order == ASK_LATEST && row->not_after > last_end))
                fail_msg("%s: not in the order of their ends", where);
            last_id = row->id;
            last_end = row->not_after;
        }
        a.ask.after = a.page.next;
    } while (a.page.next);
    for (size_t i = 0; i < CERTS; i++)
        if (seen[i] != expected[i]) {
            snprintf(wrong, sizeof wrong, "%s (order %d, limit %zu): certificate %zu is %s", where, order, limit, i,
                     seen[i] ? "there, and should not be" : "not there");
            fail_msg("%s; names %s %s %s, CN %s, issuer %s", wrong, models[i].names[0], models[i].names[1], models[i].names[2],
                     models[i].made.subject_cn, models[i].made.issuer_o);
        }
}

static bool visible(const struct model *m, const char *team)
{
    return str_equal(team, ROOT) || (str_equal(team, SHOPS) ? m_shops(m) : m_funds(m));
}

/* Some words of a filter, and what it means. */
static const char *filter_made(struct ctx *ctx, unsigned depth, bool *expected)
{
    if (depth == 0 || roll(3) == 0) {
        const size_t t = roll(TESTS_OF);
        for (size_t i = 0; i < CERTS; i++)
            expected[i] = tests_of[t].passes(&models[i]);
        return tests_of[t].text;
    }
    bool left[CERTS], right[CERTS];
    const char *a = filter_made(ctx, depth - 1, left);
    if (roll(4) == 0) {
        for (size_t i = 0; i < CERTS; i++)
            expected[i] = !left[i];
        return arena_printf(&ctx->arena, "not (%s)", a);
    }
    const char *b = filter_made(ctx, depth - 1, right);
    const bool all = roll(3) > 0;
    for (size_t i = 0; i < CERTS; i++)
        expected[i] = all ? left[i] && right[i] : left[i] || right[i];
    return arena_printf(&ctx->arena, "(%s) %s (%s)", a, all ? "and" : "or", b);
}

static void ask_all(struct ctx *ctx, struct core *core)
{
    static const char *const seers[] = {ROOT, ROOT, SHOPS, FUNDS};
    const bool soak = getenv("CERTWRIGHT_SOAK") != NULL;
    bool expected[CERTS];
    for (size_t k = 0; k < TESTS_OF + (soak ? 4000 : 80); k++) {
        struct ctx one;
        ctx_init(&one, &clock_system);
        const char *team = k < TESTS_OF ? ROOT : seers[roll(4)], *where = NULL;
        const struct principal p = {.kind = PRINCIPAL_TOKEN, .id = "t", .name = "token:t", .team = team, .role = "administrator"};
        one.principal = &p;
        seer = team;
        if (k < TESTS_OF) {
            where = tests_of[k].text;
            for (size_t i = 0; i < CERTS; i++)
                expected[i] = tests_of[k].passes(&models[i]);
        } else {
            where = filter_made(&one, 1 + roll(3), expected);
        }
        for (size_t i = 0; i < CERTS; i++)
            expected[i] = expected[i] && visible(&models[i], team);
        held(&one, core, where, expected, (enum ask_order)roll(4), k % 5 == 0 ? 1000 : 7 + roll(60));
        ctx_free(&one);
    }
    seer = ROOT;
    (void)ctx;
}

/* The longest and deepest that a filter may be. */
static void ask_long(struct ctx *ctx, struct core *core)
{
    static const struct {
        const char *begin, *each, *end;
        int n;
    } rows[] = {{"not ca", " or not endpoint under a%d.b or subject ~ x", "", 21},
                {"(ca or not ca)", " and (subject ~ q%d or not endpoint under x%d)", "", 20},
                {"name ~ a", " and name ~ x%d", "", 60},
                {"", "not ", "ca", 31},
                {"", "not (subject ~ x and ", "port = 8443", 15},
                {"", "(subject ~ x or not (endpoint under a%d.b and ", "tag = red", 10},
                {"", "(name = a%d or (name = b%d and ", "name = c", 15}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        struct asked a = {.core = core, .ask = {.limit = 100}};
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 4096);
        buf_put_z(&b, rows[k].begin);
        size_t open = 0;
        for (int i = 0; i < rows[k].n; i++)
            for (const char *at = rows[k].each; *at; at++) {
                open += *at == '(';
                open -= *at == ')';
                if (*at != '%')
                    buf_put_u8(&b, (uint8_t)*at);
                else if (*++at == 'd')
                    buf_printf(&b, "%d", i);
            }
        buf_put_z(&b, rows[k].end);
        for (size_t i = 0; i < open; i++)
            buf_put_z(&b, ")");
        a.ask.where = buf_z(&b);
        must(ctx, buf_status(&b));
        must(ctx, store_read(ctx, core->store, page_read, &a));
    }
}

static struct rc others_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    struct ask_facets f;
    struct ask_row row;
    int64_t managed = 0, counted = 0;
    for (size_t i = 0; i < CERTS; i++)
        managed += models[i].managed;
    TRY(ask_facets(ctx, a->core, txn, "key.bits > 0", &f));
    assert_int_equal(f.total, CERTS);
    assert_false(f.more);
    for (size_t i = 0; i < f.n; i++) {
        int64_t sum = 0;
        for (size_t k = 0; k < f.v[i].n; k++) {
            sum += f.v[i].v[k].n;
            if (str_equal(f.v[i].name, "managed") && str_equal(f.v[i].v[k].key, "true"))
                counted = f.v[i].v[k].n;
        }
        if (!str_equal(f.v[i].name, "finding"))
            assert_int_equal(sum, CERTS);
    }
    assert_int_equal(counted, managed);
    TRY(ask_facets(ctx, a->core, txn, NULL, &f));
    assert_int_equal(f.total, CERTS);
    /* The first digits of a fingerprint are enough. */
    const char *hex = hex_str(&ctx->arena, models[11].print);
    TRY(ask_one(ctx, a->core, txn, arena_printf(&ctx->arena, "%.9s", hex), &row));
    assert_true(bytes_equal(row.row->fingerprint, models[11].print));
    assert_int_equal(ask_one(ctx, a->core, txn, arena_printf(&ctx->arena, "%.7s", hex), &row).e, E_INVALID);
    assert_int_equal(ask_one(ctx, a->core, txn, "0000000000", &row).e, E_NOT_FOUND);
    assert_int_equal(ask_one(ctx, a->core, txn, "zz", &row).e, E_INVALID);
    /* Endpoints, by network and for those who may see them; the one of the last certificate. */
    struct select_cond *at = NULL;
    struct select_endpoint *endpoints = NULL;
    size_t places = 0, of_funds = 0, n = 0;
    int64_t next = 0;
    for (size_t i = 0; i < CERTS; i++) {
        bool again = !models[i].place || strncmp(models[i].place, "10.0.1.", 7) != 0;
        for (size_t k = 0; k < i && !again; k++)
            again = str_equal(models[k].place, models[i].place) && str_equal(models[k].sni, models[i].sni) &&
                    str_equal(models[k].place_team, models[i].place_team);
        places += !again;
        of_funds += !again && str_equal(models[i].place_team, FUNDS);
    }
    for (size_t i = 0; i < sizeof at_rows / sizeof *at_rows; i++) {
        TRY(ask_place(ctx, at_rows[i].at, &at));
        TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.scope = ROOT, .seen = at, .limit = 1000}, &endpoints, &n,
                             &next));
        if (n != at_rows[i].n)
            fail_msg("%s: %zu, not %zu", at_rows[i].at, n, at_rows[i].n);
    }
    TRY(ask_place(ctx, "10.0.1.0/24", &at));
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.seen = at, .limit = 1000}, &endpoints, &n, &next));
    assert_int_equal(n, places);
    assert_int_equal(next, 0);
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.scope = ROOT, .seen = at, .limit = 1000}, &endpoints, &n,
                         &next));
    assert_int_equal(n, places);
    for (size_t i = 0; i < n; i++)
        assert_true(!strncmp(endpoints[i].place, "10.0.1.", 7) && (i == 0 || endpoints[i].id < endpoints[i - 1].id));
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.scope = FUNDS, .seen = at, .limit = 1000}, &endpoints, &n,
                         &next));
    assert_int_equal(n, of_funds);
    assert_true(of_funds > 0 && of_funds < places);
    TRY(ask_place(ctx, "www.example.org:443", &at));
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.seen = at, .limit = 1000}, &endpoints, &n, &next));
    assert_true(n > 0 && endpoints[0].port == 443 && str_equal(endpoints[0].name, "www.example.org"));
    TRY(ask_place(ctx, "example.org", &at));
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.seen = at, .after = endpoints[0].id, .limit = 1}, &endpoints, &n,
                         &next));
    assert_int_equal(n, 1);
    assert_int_equal(ask_place(ctx, "10.0.0.1/8", &at).e, E_INVALID);
    assert_int_equal(ask_place(ctx, "x\" or ca", &at).e, E_INVALID);
    ctx_forget(ctx);
    /* A foreign cursor. */
    struct ask_page page;
    assert_int_equal(ask_page(ctx, a->core, txn, &(struct ask){.after = "x1.2", .limit = 1}, &page).e, E_INVALID);
    assert_int_equal(ask_page(ctx, a->core, txn, &(struct ask){.after = "n1", .limit = 1}, &page).e, E_INVALID);
    assert_int_equal(ask_page(ctx, a->core, txn, &(struct ask){.after = "n1.0", .order = ASK_SOONEST, .limit = 1}, &page).e,
                     E_INVALID);
    assert_int_equal(ask_page(ctx, a->core, txn, &(struct ask){.where = "name =", .limit = 1}, &page).e, E_INVALID);
    ctx_forget(ctx);
    return RC_OK;
}

/* Tests with values that are only known now. */
static void ask_values(struct ctx *ctx, struct core *core)
{
    bool expected[CERTS];
    struct cert_fields cert;
    struct cert_digests digests;
    CERT_HASHER_CLEANUP struct cert_hasher *hasher = NULL;
    must(ctx, cert_hasher_new(ctx, &hasher));
    must(ctx, cert_read(ctx, models[3].der, &cert));
    must(ctx, cert_digest(ctx, hasher, &cert, &digests));
    const struct {
        const char *text;
        bool (*passes)(const struct model *m);
    } rows[] = {
        {arena_printf(&ctx->arena, "serial = %llx", (unsigned long long)models[7].made.serial), m_serial},
        {arena_printf(&ctx->arena, "fingerprint = %.10s", hex_str(&ctx->arena, models[9].print)), m_print},
        {arena_printf(&ctx->arena, "spki = %s", hex_str(&ctx->arena, bytes_of(digests.spki_sha256, SHA256_LEN))), m_key},
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        for (size_t i = 0; i < CERTS; i++)
            expected[i] = rows[k].passes(&models[i]);
        held(ctx, core, rows[k].text, expected, ASK_ANY, 50);
    }
    for (size_t i = 0; i < CERTS; i++)
        expected[i] = i == 3;
    held(ctx, core, arena_printf(&ctx->arena, "fingerprint = %s", hex_str(&ctx->arena, bytes_of(digests.sha1, SHA1_LEN))), expected,
         ASK_ANY, 50);
}

static void answers(struct ctx *ctx, struct store *store)
{
    struct core core = {.store = store, .clock = &clock_system, .team_root = ROOT};
    const struct principal p = {.kind = PRINCIPAL_TOKEN, .id = "t", .name = "token:t", .team = ROOT, .role = "administrator"};
    struct world w = {.core = &core};
    struct asked a = {.core = &core};
    bool more = true;
    ctx->principal = &p;
    seed = 4711;
    must(ctx, inventory_load(ctx));
    must(ctx, store_write(ctx, store, teams, NULL));
    must(ctx, inventory_open(ctx, &core));
    world_make(ctx);
    must(ctx, store_write(ctx, store, put_all, &w));
    while (more)
        must(ctx, inventory_tick(ctx, &core, &more));
    ask_all(ctx, &core);
    ask_values(ctx, &core);
    ask_long(ctx, &core);
    must(ctx, store_read(ctx, store, others_read, &a));
    inventory_close(&core);
}

static void every_answer_is_that_of_the_model(void **state)
{
    (void)state;
    on_both(answers);
}

/* --- what others have is not gone through, and nothing without an end */

/* The writer's thread is not the test's: it says what is wrong. */
#define HOLDS(what)                                                                                                                \
    do {                                                                                                                           \
        if (!(what))                                                                                                               \
            return ctx_fail(ctx, E_BUG, "line %d: not so: %s", __LINE__, #what);                                                   \
    } while (0)

static struct rc run(struct ctx *ctx, struct txn *txn, const char *sql)
{
    static const uint8_t types[] = {SQL_BLOB};
    const struct sql_value some = sql_blob(BYTES_LIT("12345678"));
    const struct sql_query q = {
        .name = "test", .sqlite = sql, .params = types, .column_names = "", .params_n = strstr(sql, "$1") != NULL};
    return sql_run_text(ctx, txn, &q, &some, NULL, NULL);
}

#define MANY 45000

static struct rc many_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    TRY(teams(ctx, txn, arg));
    TRY(run(ctx, txn,
            "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 45000) "
            "INSERT INTO endpoint (kind, place, name, team, result, options, first_seen, last_seen, changed_at) "
            "SELECT 'tls', 'p' || i, CASE WHEN i = 3 THEN 'a.rare.example' WHEN i % 4 = 0 THEN 'common.example' ELSE 'h' || i || "
            "'.example.org' END, "
            "(SELECT number FROM team WHERE name = CASE WHEN i % 1000 = 7 THEN 'shops' ELSE 'root' END), 'ok', '{}', 1, 1, 1 "
            "FROM s"));
    TRY(run(ctx, txn,
            "INSERT INTO certificate (id, fingerprint, issuer_name_id, not_before, not_after, first_seen, last_seen, key_kind, "
            "key_bits, signature_kind, flags, findings, due_at, team, source) SELECT number, $1, 0, 1, 1, 1, 1, 1, 1, "
            "1, 0, 1, 0, number, 1 FROM team"));
    TRY(run(ctx, txn,
            "INSERT INTO observation (endpoint_id, certificate_id, position, first_seen, last_seen) "
            "SELECT id, CASE WHEN id = 44000 THEN 2 ELSE 1 END, 0, 1, 1 FROM endpoint"));
    return run(ctx, txn,
               "INSERT INTO finding (check_number, certificate_id, endpoint_id, since, state, detail) "
               "SELECT 1, (SELECT number FROM team WHERE name = CASE WHEN e.id % 3 = 0 THEN 'root' ELSE 'shops' END), e.id, 1, 0, "
               "e.place FROM endpoint e");
}

/* Page by page, as far as `most` pages go. */
static struct rc pages_of(struct ctx *ctx, struct txn *txn, struct select_endpoints_ask ask, int most, size_t *all, bool *more)
{
    struct select_endpoint *rows = NULL;
    size_t n = 0;
    int64_t last = INT64_MAX;
    *all = 0;
    for (int i = 0; i < most; i++) {
        TRY(select_endpoints(ctx, txn, &ask, &rows, &n, &ask.after));
        for (size_t k = 0; k < n; last = rows[k++].id)
            HOLDS(rows[k].id < last);
        *all += n;
        *more = ask.after != 0;
        if (!ask.after)
            break;
    }
    return RC_OK;
}

static struct rc many_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct select_cond *rare = NULL;
    struct select_endpoint *rows = NULL;
    struct select_cond name = {
        .kind = SELECT_TEST, .test = SELECT_SEEN_NAME, .text = "common.example", .from = INT64_MIN, .to = INT64_MAX};
    size_t n = 0;
    bool more = false;
    int64_t next = 0, *ids = NULL;
    (void)arg;
    /* Few certificates at very many endpoints: not all endpoints were looked at, and so there may be others. */
    TRY(select_ids(ctx, txn, &name, NULL, &ids, &n, &more));
    HOLDS(!more && n == 0);
    name.text = "a.rare.example";
    TRY(select_ids(ctx, txn, &name, NULL, &ids, &n, &more));
    HOLDS(more && n == 1 && ids[0] == 1);
    TRY(select_ids(ctx, txn, &name, SHOPS, &ids, &n, &more));
    HOLDS(more && n == 0);
    TRY(ask_place(ctx, "rare.example", &rare));
    TRY(pages_of(ctx, txn, (struct select_endpoints_ask){.limit = 1000}, 46, &n, &more));
    HOLDS(n == MANY && !more);
    /* The oldest of all comes with the third page. */
    TRY(pages_of(ctx, txn, (struct select_endpoints_ask){.seen = rare, .limit = 50}, 2, &n, &more));
    HOLDS(n == 0 && more);
    TRY(pages_of(ctx, txn, (struct select_endpoints_ask){.seen = rare, .limit = 50}, 3, &n, &more));
    HOLDS(n == 1 && !more);
    /* A team's own are found at once among those of others, by their index. */
    TRY(pages_of(ctx, txn, (struct select_endpoints_ask){.scope = SHOPS, .limit = 50}, 1, &n, &more));
    HOLDS(n == 45 && !more);
    TRY(pages_of(ctx, txn, (struct select_endpoints_ask){.scope = SHOPS, .seen = rare, .limit = 50}, 1, &n, &more));
    HOLDS(n == 0 && !more);
    TRY(pages_of(ctx, txn, (struct select_endpoints_ask){.scope = SHOPS, .limit = 20}, 9, &n, &more));
    HOLDS(n == 45 && !more);
    /* One by its number, for those who may see it. */
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.id = 1007, .scope = SHOPS, .limit = 1}, &rows, &n, &next));
    HOLDS(n == 1 && rows[0].id == 1007 && str_equal(rows[0].team, "shops"));
    TRY(select_endpoints(ctx, txn, &(struct select_endpoints_ask){.id = 1008, .scope = SHOPS, .limit = 1}, &rows, &n, &next));
    HOLDS((int64_t)(n) == 0);
    return RC_OK;
}

static struct rc findings_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_finding_list_row *rows = NULL;
    struct q_finding_nth_row last = {0};
    struct q_finding_of_row *of = NULL;
    bool more = false;
    size_t n = 0;
    struct q_finding_list_in in = {
        .check_number = 1, .scope = SHOPS, .before = INT64_MAX, .before_endpoint = INT64_MAX, .limit = 1000, .now = 1};
    (void)arg;
    /* At endpoints of others nothing is said, also of a certificate of one's own. */
    TRY(q_finding_list(ctx, txn, &in, &rows, &n));
    HOLDS((int64_t)(n) == 30); /* of 45 endpoints a third shows one of another team */
    for (size_t i = 0; i < n; i++)
        HOLDS(rows[i].endpoint_id % 1000 == 7 && rows[i].place && str_equal(rows[i].team, "shops"));
    TRY(q_finding_of(ctx, txn, 1, rows[0].certificate_id, SHOPS, 1, &of, &n));
    HOLDS((int64_t)(n) == 30);
    TRY(q_finding_of(ctx, txn, 1, rows[0].certificate_id, FUNDS, 1, &of, &n));
    HOLDS((int64_t)(n) == 0);
    /* In slices. */
    TRY(q_finding_nth(ctx, txn, 1, INT64_MAX, INT64_MAX, 4999, &last, &more));
    HOLDS(more);
    in.to = last.certificate_id;
    in.to_endpoint = last.endpoint_id;
    TRY(q_finding_list(ctx, txn, &in, &rows, &n));
    HOLDS(n > 0 && n < 30 && rows[n - 1].endpoint_id >= last.endpoint_id);
    const size_t first = n;
    in = (struct q_finding_list_in){
        .check_number = 1, .scope = SHOPS, .before = in.to, .before_endpoint = in.to_endpoint, .limit = 1000, .now = 1};
    TRY(q_finding_list(ctx, txn, &in, &rows, &n));
    HOLDS((int64_t)(first + n) == 30);
    TRY(q_finding_nth(ctx, txn, 1, INT64_MAX, INT64_MAX, MANY, &last, &more));
    HOLDS(!more);
    return RC_OK;
}

static struct rc accept_theirs(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_finding_list_row *rows = NULL;
    size_t n = 0;
    const struct q_finding_list_in in = {
        .check_number = 1, .scope = ROOT, .before = INT64_MAX, .before_endpoint = INT64_MAX, .limit = 100000, .now = 1};
    (void)arg;
    for (int64_t id = 1; id <= 3; id++)
        TRY(q_finding_accept(ctx, txn,
                             &(struct q_finding_accept_in){.check_number = 1, .certificate_id = id, .scope = SHOPS, .state = 1}));
    TRY(q_finding_list(ctx, txn, &in, &rows, &n));
    HOLDS((int64_t)(n) == MANY - 45);
    return RC_OK;
}

static struct rc many_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    TRY(many_put(ctx, txn, arg));
    TRY(many_read(ctx, txn, arg));
    TRY(findings_read(ctx, txn, arg));
    TRY(accept_theirs(ctx, txn, arg));
    return ctx_fail(ctx, E_CONFLICT, "all went well"); /* and is taken back */
}

static void many(struct ctx *ctx, struct store *store)
{
    assert_true(rc_failed(store_write(ctx, store, many_all, NULL)));
    assert_string_equal(ctx_why(ctx), "all went well");
}

static void what_others_have_costs_and_tells_nothing(void **state)
{
    (void)state;
    on_both(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_others_have_costs_and_tells_nothing),
                                       cmocka_unit_test(every_answer_is_that_of_the_model)};
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
