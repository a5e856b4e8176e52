#include "core/import.h"

#include "base/address.h"
#include "base/encode.h"
#include "base/json.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/inventory.h"
#include "core/remark.h"
#include "pki/digest.h"
#include "pki/name_text.h"
#include "store/queries.h"

#define OWNER_MAX 200
#define TEXT_MAX  3900

enum row_state { ROW_KNOWN, ROW_FRESH, ROW_CHANGED, ROW_WRONG };

/* One row, and what becomes of it. */
struct import_line {
    const struct api_import_row *in;
    struct bytes fingerprint; /* empty: a place alone */
    bool first;               /* of those with this certificate */
    const char *bad;          /* known before anything is looked up */
    const char *wrong;        /* why it cannot be taken */
    enum row_state state;
    const char *text;
};

struct importing {
    struct core *core;
    const struct api_import_chunk *in;
    struct import_line *lines;
    size_t n;
    struct inventory_batch batch;
    const char *team;
    int64_t list_id; /* the list's own endpoint; 0: not made yet */
    size_t counts[4];
};

/* --- before the write */

static const char *check(struct ctx *ctx, const struct api_import_row *r)
{
    if (!r->der.n && !r->fingerprint.n && (!r->place || !*r->place))
        return "neither a certificate nor a place";
    if (r->fingerprint.n && r->fingerprint.n != SHA256_LEN)
        return "a fingerprint is a SHA-256: 64 digits";
    for (size_t i = 0; i < r->tags.n; i++)
        if (!str_is_name(bytes_z(r->tags.v[i])))
            return arena_printf(&ctx->arena, "a tag is up to 64 letters, digits, '-', '_', '.' and ':', not %s", r->tags.v[i]);
    return NULL;
}

static struct rc prepare(struct ctx *ctx, struct importing *m)
{
    struct inventory_item *items = arena_array(&ctx->arena, m->n, sizeof *items);
    size_t *row_of = arena_array(&ctx->arena, m->n, sizeof *row_of), n = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct import_line *l = &m->lines[i];
        l->in = &m->in->rows.v[i];
        l->bad = check(ctx, l->in);
        l->fingerprint = l->in->fingerprint;
        if (l->bad || !l->in->der.n)
            continue;
        TRY(digest_sha256_new(ctx, l->in->der, &l->fingerprint));
        if (l->in->fingerprint.n && !bytes_equal(l->in->fingerprint, l->fingerprint)) {
            l->bad = "the fingerprint is another certificate's";
            continue;
        }
        row_of[n] = i;
        items[n++].der = l->in->der;
    }
    TRY(inventory_prepare(ctx, m->core, items, n, &m->batch));
    for (size_t i = 0; i < m->batch.bad_n; i++)
        m->lines[row_of[m->batch.bad[i].item]].bad = arena_printf(&ctx->arena, "no certificate: %s", m->batch.bad[i].why);
    for (size_t i = 0; i < m->batch.n; i++)
        m->lines[row_of[m->batch.ready[i].item]].first = true;
    return RC_OK;
}

static const struct inventory_ready *ready_of(const struct importing *m, struct bytes fingerprint)
{
    size_t low = 0, high = m->batch.n;
    while (low < high) {
        const size_t at = low + (high - low) / 2;
        const int order = bytes_compare(m->batch.ready[at].fingerprint, fingerprint);
        if (order == 0)
            return &m->batch.ready[at];
        if (order < 0)
            low = at + 1;
        else
            high = at;
    }
    return NULL;
}

/* --- what is said */

static void difference(struct ctx *ctx, struct import_line *l, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void difference(struct ctx *ctx, struct import_line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *more = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    l->text = l->text ? arena_printf(&ctx->arena, "%s; %s", l->text, more) : more;
    if (l->state == ROW_KNOWN)
        l->state = ROW_CHANGED;
}

static bool other(const char *said, const char *had)
{
    return said && !str_equal(said, had ? had : "");
}

static struct rc note_say(struct ctx *ctx, struct importing *m, struct txn *txn, struct import_line *l, int64_t id)
{
    struct q_certificate_note_get_row had = {0};
    bool found = false;
    if (!l->in->owner && !l->in->note)
        return RC_OK;
    if (id)
        TRY(q_certificate_note_get(ctx, txn, id, &had, &found));
    const bool owner = other(l->in->owner, had.owner), note = other(l->in->note, had.note);
    if (owner)
        difference(ctx, l, "owner %s%s%s", had.owner ? had.owner : "", had.owner ? " → " : "",
                   *l->in->owner ? l->in->owner : "nobody");
    if (note)
        difference(ctx, l, "note %.200s", *l->in->note ? l->in->note : "taken away");
    if (m->in->dry_run || (!owner && !note))
        return RC_OK;
    const char *now_owner = l->in->owner ? l->in->owner : had.owner, *now_note = l->in->note ? l->in->note : had.note;
    return q_certificate_note_put(ctx, txn,
                                  &(struct q_certificate_note_put_in){.certificate_id = id,
                                                                      .owner = now_owner && *now_owner ? now_owner : NULL,
                                                                      .note = now_note && *now_note ? now_note : NULL,
                                                                      .changed_by = ctx->principal->name,
                                                                      .now = ctx_now_s(ctx)});
}

static struct rc tags_say(struct ctx *ctx, struct importing *m, struct txn *txn, struct import_line *l, int64_t id)
{
    struct q_certificate_tags_row *have = NULL;
    size_t n = 0;
    if (l->in->tags.n && id)
        TRY(q_certificate_tags(ctx, txn, id, &have, &n));
    size_t more = 0;
    for (size_t i = 0; i < l->in->tags.n; i++) {
        size_t k = 0;
        while (k < n && !str_equal(have[k].tag, l->in->tags.v[i]))
            k++;
        if (k < n)
            continue;
        if (n + ++more > REMARK_TAGS_MAX) {
            difference(ctx, l, "tag %s is left out: a certificate has %d at most", l->in->tags.v[i], REMARK_TAGS_MAX);
            continue;
        }
        difference(ctx, l, "tag %s", l->in->tags.v[i]);
        if (!m->in->dry_run)
            TRY(q_certificate_tag_add(ctx, txn, l->in->tags.v[i], id));
    }
    return RC_OK;
}

static bool says(const struct api_import_row *r)
{
    return r->owner || r->note || r->tags.n;
}

/* What a place without a certificate is known for, until one is found there. */
static struct rc said_text(struct ctx *ctx, const struct api_import_row *r, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 17);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (r->owner && *r->owner)
        json_put_str(&j, "owner", r->owner);
    if (r->note && *r->note)
        json_put_str(&j, "note", r->note);
    if (r->tags.n) {
        json_open_list(&j, "tags");
        for (size_t i = 0; i < r->tags.n; i++)
            json_put_str(&j, NULL, r->tags.v[i]);
        json_close(&j);
    }
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

/* --- places */

/* The list's own endpoint for a place; its current certificate is the row's. */
static struct rc place_put(struct ctx *ctx, struct importing *m, struct txn *txn, struct import_line *l)
{
    const char *name = l->in->place && *l->in->place ? l->in->place : "", *said = NULL;
    struct inventory_sighting s = {.kind = INVENTORY_LIST, .place = m->in->list, .name = name, .result = "listed"};
    struct q_import_listed_row had;
    bool found = false;
    if (!*name)
        return RC_OK;
    TRY(q_import_listed(ctx, txn, m->in->list, name, m->team, &had, &found));
    if (!l->fingerprint.n) {
        TRY(said_text(ctx, l->in, &said));
        if (!found) {
            l->state = ROW_FRESH;
            difference(ctx, l, "%s", name);
        } else if (!str_equal(had.options, said)) {
            difference(ctx, l, "%s is known for something else", name);
        }
    }
    s.options = said;
    s.chain = &l->fingerprint;
    s.n = l->fingerprint.n ? 1 : 0;
    return m->in->dry_run ? RC_OK : inventory_observe(ctx, m->core, txn, m->team, &s, NULL, NULL);
}

/* A certificate without a place is in the list as a whole. */
static struct rc list_put(struct ctx *ctx, struct importing *m, struct txn *txn, int64_t certificate)
{
    if (m->in->dry_run)
        return RC_OK;
    if (!m->list_id) {
        const struct inventory_sighting s = {.kind = INVENTORY_LIST, .place = m->in->list, .name = "", .result = "listed"};
        TRY(inventory_observe(ctx, m->core, txn, m->team, &s, &m->list_id, NULL));
    }
    return q_observation_put(ctx, txn, m->list_id, certificate, 0, ctx_now_s(ctx));
}

/* "www.example.org:443", "192.0.2.1", "[2001:db8::1]:443": as an endpoint that was scanned is called, or by the name asked for. */
static struct rc shown_at(struct ctx *ctx, struct txn *txn, const char *place, struct q_import_shown_row **rows, size_t *n)
{
    const char *host = NULL, *where = place;
    struct bytes text = bytes_z(place);
    uint16_t port = 0;
    struct address a;
    *n = 0;
    if (rc_failed(address_parse_host_port(ctx, text, 443, &host, &port))) {
        ctx_forget(ctx);
        return RC_OK;
    }
    const bool with_port = bytes_ends_with(text, bytes_z(arena_printf(&ctx->arena, ":%u", port)));
    if (address_parse(bytes_z(host), &a)) {
        a.port = port;
        where = address_port_str(&ctx->arena, &a);
        host = "";
    }
    return q_import_shown(ctx, txn, where, host, with_port ? port : 0, access_scope(ctx), rows, n);
}

static struct rc place_say(struct ctx *ctx, struct importing *m, struct txn *txn, struct import_line *l)
{
    struct q_import_shown_row *rows = NULL;
    size_t n = 0;
    TRY(place_put(ctx, m, txn, l));
    if (!says(l->in))
        return RC_OK;
    TRY(shown_at(ctx, txn, l->in->place, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        const char *before = l->text;
        l->text = NULL;
        TRY(note_say(ctx, m, txn, l, rows[i].certificate_id));
        TRY(tags_say(ctx, m, txn, l, rows[i].certificate_id));
        const char *said = l->text;
        l->text = before;
        if (said) /* of which certificate: several may be there */
            difference(ctx, l, "%.12s: %s", hex_str(&ctx->arena, rows[i].fingerprint), said);
    }
    return RC_OK;
}

/* --- certificates */

static const char *described(struct ctx *ctx, struct bytes der)
{
    struct cert_fields c;
    struct bytes rest;
    struct cert_general_name name;
    if (rc_failed(cert_read(ctx, der, &c))) {
        ctx_forget(ctx);
        return "?";
    }
    rest = c.san.der;
    const char *subject = name_text_dn(&ctx->arena, &c.subject);
    while (!*subject && cert_next_general_name(&rest, &name))
        if (name.type == CERT_GENERAL_DNS)
            subject = arena_str(&ctx->arena, name.value);
    return arena_printf(&ctx->arena, "%.300s, of %.300s", *subject ? subject : "no name", name_text_dn(&ctx->arena, &c.issuer));
}

static struct rc certificate_say(struct ctx *ctx, struct importing *m, struct txn *txn, struct import_line *l)
{
    const struct inventory_ready *ready = l->in->der.n ? ready_of(m, l->fingerprint) : NULL;
    int64_t id = 0;
    bool found = false;
    TRY(inventory_find(ctx, txn, l->fingerprint, &id, &found));
    if (!found && !ready) {
        l->wrong = "a certificate with this fingerprint is not in the inventory";
        return RC_OK;
    }
    if (l->first && (m->in->dry_run ? !found : ready->fresh)) {
        l->state = ROW_FRESH;
        l->text = m->in->dry_run ? described(ctx, l->in->der) : NULL;
    } else if (found && says(l->in)) { /* of what others own nothing is said */
        struct q_certificate_get_row mine;
        TRY(q_certificate_get(ctx, txn, l->fingerprint, access_scope(ctx), &mine, &found));
        if (!found) {
            l->wrong = "the certificate is of a team that you do not see; nothing is said of it";
            return RC_OK;
        }
    }
    TRY(note_say(ctx, m, txn, l, id));
    TRY(tags_say(ctx, m, txn, l, id));
    return l->in->place && *l->in->place ? place_put(ctx, m, txn, l) : list_put(ctx, m, txn, id);
}

/* --- the write */

static struct rc told(struct ctx *ctx, struct txn *txn, const struct importing *m)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 4096);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "list", m->in->list);
    json_put_int(&j, "fresh", (int64_t)m->counts[ROW_FRESH]);
    json_put_int(&j, "changed", (int64_t)m->counts[ROW_CHANGED]);
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, "import.create", "list", "", m->team, buf_bytes(&b));
}

static struct rc put(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct importing *m = arg;
    m->list_id = 0;
    memset(m->counts, 0, sizeof m->counts);
    TRY(access_team(ctx, txn, m->in->team, &m->team));
    TRY(decide(ctx, m->core, txn, "import.create", m->team));
    const struct inventory_from from = {.source = INVENTORY_IMPORT, .team_id = m->team};
    if (!m->in->dry_run)
        TRY(inventory_put(ctx, m->core, txn, &from, &m->batch));
    for (size_t i = 0; i < m->n; i++) {
        struct import_line *l = &m->lines[i];
        l->state = ROW_KNOWN;
        l->text = NULL;
        l->wrong = l->bad;
        if (!l->wrong)
            TRY(l->fingerprint.n ? certificate_say(ctx, m, txn, l) : place_say(ctx, m, txn, l));
        if (l->wrong)
            l->state = ROW_WRONG;
        m->counts[l->state]++;
    }
    return m->in->dry_run || m->counts[ROW_FRESH] + m->counts[ROW_CHANGED] == 0 ? RC_OK : told(ctx, txn, m);
}

/* Of what is new people want to know in a dry run alone: there may be millions. */
static struct rc answer(struct ctx *ctx, const struct importing *m, struct api_import_done *out)
{
    static const char *const words[] = {"known", "new", "changed", "error"};
    struct api_import_remark *remarks = arena_array(&ctx->arena, m->n, sizeof *remarks);
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct import_line *l = &m->lines[i];
        const char *text = l->state == ROW_WRONG ? l->wrong : l->text;
        if (!text || l->state == ROW_KNOWN || (l->state != ROW_WRONG && !m->in->dry_run))
            continue;
        remarks[n++] = (struct api_import_remark){.row = l->in->row,
                                                  .verdict = words[l->state],
                                                  .fingerprint = l->fingerprint,
                                                  .text = arena_printf(&ctx->arena, "%.*s", TEXT_MAX, text)};
    }
    *out = (struct api_import_done){.fresh = (int64_t)m->counts[ROW_FRESH],
                                    .changed = (int64_t)m->counts[ROW_CHANGED],
                                    .known = (int64_t)m->counts[ROW_KNOWN],
                                    .wrong = (int64_t)m->counts[ROW_WRONG],
                                    .remarks = {remarks, n}};
    return RC_OK;
}

RC import_put(struct ctx *ctx, struct core *core, const struct api_import_chunk *in, struct api_import_done *out)
{
    struct importing m = {.core = core, .in = in, .n = in->rows.n};
    m.lines = arena_array(&ctx->arena, m.n, sizeof *m.lines);
    TRY(prepare(ctx, &m));
    TRY(in->dry_run ? store_read(ctx, core->store, put, &m) : store_write(ctx, core->store, put, &m));
    return answer(ctx, &m, out);
}
