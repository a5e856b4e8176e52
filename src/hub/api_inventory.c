/* The inventory: certificates, where they are, what is wrong with them, and filters with a name. */
#include "base/encode.h"
#include "core/ask.h"
#include "core/collection.h"
#include "core/counter.h"
#include "core/finding_policy.h"
#include "core/remark.h"
#include "hub/api.h"
#include "hub/api_chain.h"
#include "pki/name_text.h"
#include "pki/pem.h"
#include "store/queries.h"

#define NAMES_LISTED    100 /* of each certificate of a list */
#define NAMES_SHOWN     1000
#define OTHERS_SHOWN    100
#define SEEN_SHOWN      100
#define SHOWED_SHOWN    1000
#define ALTERNATES   4 /* times that a leaf came back */
#define FINDINGS_SHOWN  1000
#define FINDINGS_OF_ONE 100 /* check */
#define FINDINGS_LOOKED 5000 /* of one check, for a page */

/* The team whose subtree is seen; NULL: all teams. */
static const char *scope_of(const struct api_call *call)
{
    const char *scope = access_scope(call->ctx);
    return str_equal(scope, call->core->team_root) ? NULL : scope;
}

/* --- certificates */

/* Names as people write them: "www.example.org", "192.0.2.1"; others with their kind. */
static struct rc names_of(struct ctx *ctx, const struct cert_fields *c, size_t most, struct api_strings *out, int64_t *total,
                          struct api_strings *others)
{
    struct bytes rest = c->san.der;
    struct cert_general_name name;
    struct str_list list = {0}, other = {0};
    *total = 0;
    while (cert_next_general_name(&rest, &name)) {
        const bool common = name.type == CERT_GENERAL_DNS || name.type == CERT_GENERAL_IP;
        struct str_list *to = common ? &list : &other;
        *total += common;
        if (to->n >= (common ? most : OTHERS_SHOWN))
            continue;
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 16384);
        name_text_put_general(&b, &name);
        TRY(buf_status(&b));
        str_list_add(&ctx->arena, to, common ? strchr(buf_z(&b), ':') + 1 : buf_z(&b)); /* without "dns:", "ip:" */
    }
    *out = api_strings_of(&list);
    if (others)
        *others = api_strings_of(&other);
    return RC_OK;
}

static struct api_strings findings_of_bits(struct ctx *ctx, const struct finding_policy *policy, int64_t bits)
{
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    struct str_list list = {0};
    for (size_t i = 0; i < n; i++)
        if (bits & ~policy->off & CHECK_BIT(checks[i].number))
            str_list_add(&ctx->arena, &list, checks[i].id);
    return api_strings_of(&list);
}

static struct api_strings tags_of(struct ctx *ctx, const char *tags)
{
    struct str_list list = {0};
    struct bytes rest = bytes_z(tags), tag;
    while (bytes_take_until(&rest, ' ', &tag))
        str_list_add(&ctx->arena, &list, arena_str(&ctx->arena, tag));
    return api_strings_of(&list);
}

static const char *source_word(int64_t source)
{
    const char *word = source > 0 ? filter_choice(FILTER_SOURCE, (unsigned)source - 1) : NULL;
    return word ? word : "other";
}

static struct rc digests_of(struct ctx *ctx, const struct ask_row *r, struct cert_hasher **hasher, struct cert_digests *out)
{
    *out = (struct cert_digests){0};
    if (!r->cert.tbs.n)
        return RC_OK;
    if (!*hasher)
        TRY(cert_hasher_new(ctx, hasher));
    return cert_digest(ctx, *hasher, &r->cert, out);
}

static struct rc certificate_out(struct ctx *ctx, const struct finding_policy *policy, const struct ask_row *r, bool pem,
                                 struct cert_hasher **hasher, struct api_certificate *out)
{
    const struct select_row *row = r->row;
    struct cert_digests digests;
    TRY(digests_of(ctx, r, hasher, &digests));
    *out = (struct api_certificate){
        .fingerprint = row->fingerprint,
        .serial = r->cert.serial,
        .subject = name_text_dn(&ctx->arena, &r->cert.subject),
        .issuer = name_text_dn(&ctx->arena, &r->cert.issuer),
        .has_names_total = true,
        .key_kind = inventory_key_word(ctx, row->key_kind, row->key_bits),
        .key_bits = row->key_bits,
        .has_key_bits = true,
        .signature = cert_signature_word((enum cert_signature)row->signature),
        .spki_sha256 = arena_bytes(&ctx->arena, bytes_of(digests.spki_sha256, SHA256_LEN)),
        .not_before = row->not_before,
        .not_after = row->not_after,
        .created_at = row->first_seen,
        .last_seen = row->last_seen,
        .has_last_seen = true,
        .managed = row->flags & CERTIFICATE_MANAGED,
        .is_ca = row->flags & CERTIFICATE_CA,
        .self_signed = row->flags & CERTIFICATE_SELF_SIGNED,
        .revoked = row->flags & CERTIFICATE_REVOKED,
        .team = row->team,
        .source = source_word(row->source),
        .findings = findings_of_bits(ctx, policy, row->findings),
        .tags = tags_of(ctx, row->tags),
        .owner = row->owner,
    };
    if (pem)
        TRY(api_pem(ctx, PEM_CERTIFICATE, r->der, &out->pem));
    return names_of(ctx, &r->cert, NAMES_LISTED, &out->names, &out->names_total, NULL);
}

struct listing {
    struct core *core;
    const char *where, *collection;
    struct ask ask;
    struct finding_policy policy;
    struct ask_page page;
    struct ask_facets facets;
};

static struct rc list_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct listing *l = arg;
    TRY(collection_where(ctx, txn, l->collection, l->where, &l->ask.where));
    TRY(finding_policy_read(ctx, txn, &l->policy));
    return ask_page(ctx, l->core, txn, &l->ask, &l->page);
}

RC api_certificate_list(struct api_call *call, struct api_certificate_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_certificate_list_query *q = call->query;
    CERT_HASHER_CLEANUP struct cert_hasher *hasher = NULL;
    struct listing l = {.core = call->core, .where = q->where, .collection = q->collection, .ask.limit = (size_t)q->limit};
    TRY(api_cursor_read(ctx, q->cursor, &l.ask.after));
    if (q->sort)
        l.ask.order = str_equal(q->sort, "expires") ? ASK_SOONEST : str_equal(q->sort, "newest") ? ASK_NEWEST : ASK_LATEST;
    TRY(store_read(ctx, call->core->store, list_read, &l));
    struct api_certificate *items = arena_array(&ctx->arena, l.page.n, sizeof *items);
    for (size_t i = 0; i < l.page.n; i++)
        TRY(certificate_out(ctx, &l.policy, &l.page.rows[i], q->pem, &hasher, &items[i]));
    out->items = (struct api_certificate_list){items, l.page.n};
    out->next = l.page.next ? api_cursor_make(ctx, l.page.next) : NULL;
    if (!scope_of(call)) { /* to others it would tell how many there are that they do not see */
        out->looked_at = l.page.looks;
        out->has_looked_at = true;
    }
    return RC_OK;
}

static struct rc facets_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct listing *l = arg;
    TRY(collection_where(ctx, txn, l->collection, l->where, &l->ask.where));
    return ask_facets(ctx, l->core, txn, l->ask.where, &l->facets);
}

RC api_certificate_facets(struct api_call *call, struct api_certificate_facets *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_certificate_facets_query *q = call->query;
    struct listing l = {.core = call->core, .where = q->where, .collection = q->collection};
    TRY(store_read(ctx, call->core->store, facets_read, &l));
    struct api_certificate_facet *facets = arena_array(&ctx->arena, l.facets.n, sizeof *facets);
    for (size_t i = 0; i < l.facets.n; i++) {
        const struct ask_facet *f = &l.facets.v[i];
        struct api_certificate_count *counts = arena_array(&ctx->arena, f->n, sizeof *counts);
        for (size_t k = 0; k < f->n; k++)
            counts[k] = (struct api_certificate_count){.key = f->v[k].key, .text = f->v[k].text, .n = f->v[k].n};
        facets[i] = (struct api_certificate_facet){.name = f->name, .counts = {counts, f->n}};
    }
    *out = (struct api_certificate_facets){.total = l.facets.total, .more = l.facets.more, .facets = {facets, l.facets.n}};
    return RC_OK;
}

/* --- one certificate */

struct showing {
    struct core *core;
    const char *digits;
    struct ask_row row;
    struct q_certificate_note_get_row note;
    struct q_observation_of_row *seen;
    size_t seen_n;
    struct q_certificate_versions_row *versions;
    size_t versions_n;
    struct api_inventory_finding *findings;
    size_t findings_n;
};

static struct rc one_find(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    return ask_one(ctx, s->core, txn, s->digits, &s->row);
}

static const char *place_of(struct ctx *ctx, const char *place, const char *name)
{
    return place && name && *name ? arena_printf(&ctx->arena, "%s (%s)", place, name) : place;
}

static struct api_inventory_finding finding_out(struct ctx *ctx, const struct finding_policy *policy,
                                                const struct check_info *check, const struct q_finding_list_row *r)
{
    return (struct api_inventory_finding){.check = check->id,
                                          .severity = check_severity_word(policy->severity[check->number]),
                                          .fingerprint = r->fingerprint,
                                          .not_after = r->not_after,
                                          .team = r->team,
                                          .endpoint = place_of(ctx, r->place, r->name),
                                          .detail = *r->detail ? r->detail : NULL,
                                          .since = r->since,
                                          .accepted = r->state != 0,
                                          .accepted_by = r->accepted_by,
                                          .reason = r->accepted_why,
                                          .has_accepted_until = r->accepted_until != NULL,
                                          .accepted_until = r->accepted_until ? *r->accepted_until : 0,
                                          .has_accepted_at = r->accepted_at != NULL,
                                          .accepted_at = r->accepted_at ? *r->accepted_at : 0};
}

static struct rc findings_read(struct ctx *ctx, struct txn *txn, struct showing *s)
{
    const int64_t id = s->row.row->id;
    struct finding_policy policy;
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    TRY(finding_policy_read(ctx, txn, &policy));
    s->findings = arena_array(&ctx->arena, FINDINGS_SHOWN, sizeof *s->findings);
    for (size_t i = 0; i < n; i++) {
        const struct q_finding_list_in in = {.check_number = checks[i].number,
                                             .scope = access_scope(ctx),
                                             .accepted = true,
                                             .before = id,
                                             .before_endpoint = INT64_MAX,
                                             .to = id,
                                             .limit = FINDINGS_OF_ONE,
                                             .now = ctx_now_s(ctx)};
        struct q_finding_list_row *rows = NULL;
        size_t rows_n = 0;
        if (!(s->row.row->findings & ~policy.off & CHECK_BIT(checks[i].number)))
            continue;
        TRY(q_finding_list(ctx, txn, &in, &rows, &rows_n));
        for (size_t k = 0; k < rows_n && s->findings_n < FINDINGS_SHOWN; k++) {
            struct api_inventory_finding *f = &s->findings[s->findings_n++];
            *f = finding_out(ctx, &policy, &checks[i], &rows[k]);
            f->words = finding_policy_words(ctx, &policy, &checks[i]);
            f->remedy = checks[i].remedy;
            f->source = checks[i].source;
        }
    }
    return RC_OK;
}

static struct rc one_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct showing *s = arg;
    bool found = false;
    TRY(ask_one(ctx, s->core, txn, s->digits, &s->row));
    const int64_t id = s->row.row->id;
    TRY(q_certificate_note_get(ctx, txn, id, &s->note, &found));
    if (!found)
        s->note = (struct q_certificate_note_get_row){0};
    TRY(q_observation_of(ctx, txn, id, access_scope(ctx), SEEN_SHOWN, &s->seen, &s->seen_n));
    TRY(q_certificate_versions(ctx, txn, id, access_scope(ctx), &s->versions, &s->versions_n));
    return findings_read(ctx, txn, s);
}

static struct api_strings defects_of(struct ctx *ctx, uint64_t defects)
{
    struct str_list list = {0};
    for (unsigned i = 0; i < CERT_DEFECT_COUNT; i++)
        if (defects >> i & 1)
            str_list_add(&ctx->arena, &list,
                         arena_printf(&ctx->arena, "%s (%s)", cert_defect_info((enum cert_defect)i)->text,
                                      cert_defect_info((enum cert_defect)i)->source));
    return api_strings_of(&list);
}

/* Bytes of a certificate that should be a URI. */
static const char *uri_of(struct ctx *ctx, struct bytes uri)
{
    return uri.n ? name_text_str(&ctx->arena, (struct cert_text){.value = uri, .tag = 22 /* IA5String */}) : NULL;
}

static struct rc lists_out(struct ctx *ctx, const struct showing *s, struct api_certificate_shown *out)
{
    struct api_certificate_seen *seen = arena_array(&ctx->arena, s->seen_n, sizeof *seen);
    struct str_list managed = {0};
    for (size_t i = 0; i < s->seen_n; i++)
        seen[i] = (struct api_certificate_seen){
            .endpoint_id = s->seen[i].endpoint_id,
            .kind = s->seen[i].kind,
            .place = s->seen[i].place,
            .name = *s->seen[i].name ? s->seen[i].name : NULL,
            .position = s->seen[i].position,
            .has_position = true,
            .first_seen = s->seen[i].first_seen,
            .last_seen = s->seen[i].last_seen,
            .now = s->seen[i].shows_now,
        };
    for (size_t i = 0; i < s->versions_n; i++)
        str_list_add(&ctx->arena, &managed,
                     arena_printf(&ctx->arena, "%s version %lld", s->versions[i].managed, (long long)s->versions[i].version));
    out->seen = (struct api_certificate_seen_list){seen, s->seen_n};
    out->findings = (struct api_inventory_finding_list){s->findings, s->findings_n};
    out->managed_by = api_strings_of(&managed);
    return names_of(ctx, &s->row.cert, NAMES_SHOWN, &out->names, &out->names_total, &out->other_names);
}

static struct rc shown(struct api_call *call, const char *digits, struct api_certificate_shown *out)
{
    struct ctx *ctx = call->ctx;
    CERT_HASHER_CLEANUP struct cert_hasher *hasher = NULL;
    struct showing s = {.core = call->core, .digits = digits};
    struct cert_digests digests;
    TRY(store_read(ctx, call->core->store, one_read, &s));
    TRY(digests_of(ctx, &s.row, &hasher, &digests));
    const struct select_row *row = s.row.row;
    const struct cert_fields *c = &s.row.cert;
    *out = (struct api_certificate_shown){
        .fingerprint = row->fingerprint,
        .sha1 = arena_bytes(&ctx->arena, bytes_of(digests.sha1, SHA1_LEN)),
        .serial = c->serial,
        .version = c->version,
        .has_version = true,
        .subject = name_text_dn(&ctx->arena, &c->subject),
        .issuer = name_text_dn(&ctx->arena, &c->issuer),
        .has_names_total = true,
        .key_kind = inventory_key_word(ctx, row->key_kind, row->key_bits),
        .key_bits = row->key_bits,
        .has_key_bits = true,
        .signature = cert_signature_word((enum cert_signature)row->signature),
        .spki_sha256 = arena_bytes(&ctx->arena, bytes_of(digests.spki_sha256, SHA256_LEN)),
        .not_before = row->not_before,
        .not_after = row->not_after,
        .lifetime_s = row->not_after - row->not_before + 1,
        .has_lifetime_s = true,
        .created_at = row->first_seen,
        .last_seen = row->last_seen,
        .has_last_seen = true,
        .managed = row->flags & CERTIFICATE_MANAGED,
        .is_ca = row->flags & CERTIFICATE_CA,
        .self_signed = row->flags & CERTIFICATE_SELF_SIGNED,
        .revoked = row->flags & CERTIFICATE_REVOKED,
        .verified = row->flags & CERTIFICATE_VERIFIED,
        .must_staple = c->must_staple,
        .scts = c->scts.n,
        .has_scts = true,
        .ocsp = uri_of(ctx, c->ocsp_uri),
        .issuer_url = uri_of(ctx, c->issuer_uri),
        .crl = uri_of(ctx, c->crl_uri),
        .defects = defects_of(ctx, c->defects),
        .team = row->team,
        .owner = s.note.owner,
        .note = s.note.note,
        .source = source_word(row->source),
        .tags = tags_of(ctx, row->tags),
    };
    TRY(api_pem(ctx, PEM_CERTIFICATE, s.row.der, &out->pem));
    TRY(api_chains_put(ctx, call->core, row->id, s.row.der, out));
    return lists_out(ctx, &s, out);
}

RC api_certificate_get(struct api_call *call, struct api_certificate_shown *out)
{
    return shown(call, call->path[0], out);
}

RC api_certificate_update(struct api_call *call, const struct api_certificate_patch *in, struct api_certificate_shown *out)
{
    const struct remark_input remark = {
        .team = in->has_team ? in->team : NULL,
        .owner = in->has_owner ? in->owner : NULL,
        .note = in->has_note ? in->note : NULL,
        .add = api_list_of(call->ctx, &in->add_tags),
        .remove = api_list_of(call->ctx, &in->remove_tags),
    };
    TRY(remark_put(call->ctx, call->core, call->path[0], &remark));
    return shown(call, call->path[0], out);
}

RC api_certificate_download(struct api_call *call)
{
    const struct api_certificate_download_query *q = call->query;
    struct showing s = {.core = call->core, .digits = call->path[0]};
    TRY(store_read(call->ctx, call->core->store, one_find, &s));
    const bool der = str_equal(q->format, "der");
    http_response_header(call->resp, "Content-Type", der ? "application/pkix-cert" : "application/x-pem-file");
    if (der)
        buf_put(&call->resp->body, s.row.der);
    else
        pem_put(&call->resp->body, PEM_CERTIFICATE, s.row.der);
    return buf_status(&call->resp->body);
}

/* --- endpoints */

struct places {
    struct select_endpoints_ask ask;
    struct select_endpoint *rows;
    size_t n;
    int64_t next;
    struct q_observation_at_row *showed;
    size_t showed_n;
};

static struct api_endpoint endpoint_out(const struct select_endpoint *e)
{
    return (struct api_endpoint){
        .id = e->id,
        .kind = e->kind,
        .place = e->place,
        .name = *e->name ? e->name : NULL,
        .team = e->team,
        .agent = e->agent,
        .fingerprint = e->fingerprint,
        .result = e->result,
        .error = e->error,
        .first_seen = e->first_seen,
        .last_seen = e->last_seen,
        .changed_at = e->changed_at,
    };
}

static struct rc places_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct places *p = arg;
    return select_endpoints(ctx, txn, &p->ask, &p->rows, &p->n, &p->next);
}

RC api_endpoint_list(struct api_call *call, struct api_endpoint_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_endpoint_list_query *q = call->query;
    struct places p = {.ask = {.scope = scope_of(call), .limit = q->limit}};
    struct select_cond *seen = NULL;
    TRY(api_cursor_read_number(ctx, q->cursor, 0, &p.ask.after));
    TRY(ask_place(ctx, q->at, &seen));
    p.ask.seen = seen;
    TRY(store_read(ctx, call->core->store, places_read, &p));
    struct api_endpoint *items = arena_array(&ctx->arena, p.n, sizeof *items);
    for (size_t i = 0; i < p.n; i++)
        items[i] = endpoint_out(&p.rows[i]);
    out->items = (struct api_endpoint_list){items, p.n};
    if (p.next)
        out->next = api_cursor_make_number(ctx, p.next);
    return RC_OK;
}

static struct rc place_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct places *p = arg;
    TRY(places_read(ctx, txn, p));
    if (!p->n)
        return ctx_fail(ctx, E_NOT_FOUND, "there is no endpoint %lld; certwright endpoint list shows them", (long long)p->ask.id);
    return q_observation_at(ctx, txn, p->ask.id, access_scope(ctx), SHOWED_SHOWN, &p->showed, &p->showed_n);
}

/* It goes to and fro: a leaf came back so many times, and what it shows now it has not shown for longer than that took. */
static bool alternates(const struct places *p)
{
    int64_t times = 0;
    const struct q_observation_at_row *now = NULL;
    for (size_t i = 0; i < p->showed_n && times < ALTERNATES; i++) {
        const struct q_observation_at_row *r = &p->showed[i];
        if (!now && !r->times && bytes_equal(r->fingerprint, p->rows[0].fingerprint))
            now = r;
        times += r->times;
        if (now && times >= ALTERNATES)
            return p->rows[0].last_seen - now->first_seen <= now->first_seen - r->first_seen;
    }
    return false;
}

RC api_endpoint_get(struct api_call *call, struct api_endpoint_shown *out)
{
    struct ctx *ctx = call->ctx;
    struct places p = {.ask = {.scope = scope_of(call), .limit = 1}};
    if (!str_to_i64(bytes_z(call->path[0]), &p.ask.id) || p.ask.id < 1)
        return ctx_fail(ctx, E_NOT_FOUND, "an endpoint is shown by its number; certwright endpoint list shows them");
    TRY(store_read(ctx, call->core->store, place_read, &p));
    struct api_endpoint_showed *showed = arena_array(&ctx->arena, p.showed_n, sizeof *showed);
    for (size_t i = 0; i < p.showed_n; i++)
        showed[i] = (struct api_endpoint_showed){.fingerprint = p.showed[i].fingerprint,
                                                 .not_after = p.showed[i].not_after,
                                                 .position = p.showed[i].position,
                                                 .first_seen = p.showed[i].first_seen,
                                                 .last_seen = p.showed[i].last_seen,
                                                 .times = p.showed[i].times ? p.showed[i].times : 1};
    *out = (struct api_endpoint_shown){.endpoint = endpoint_out(&p.rows[0]),
                                       .options = p.rows[0].options,
                                       .alternates = alternates(&p),
                                       .showed = {showed, p.showed_n}};
    return RC_OK;
}

/* --- findings */

struct finds {
    const char *check;
    bool accepted;
    struct finding_policy policy;
    int64_t limit, number, before, before_endpoint;
    struct q_counter_of_row *counts;
    size_t counts_n;
    struct api_inventory_finding *items;
    size_t n;
    const char *next;
};

static struct rc counts_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct finds *f = arg;
    TRY(finding_policy_read(ctx, txn, &f->policy));
    return q_counter_of(ctx, txn, COUNTER_FINDING, access_scope(ctx), 64, &f->counts, &f->counts_n);
}

RC api_check_list(struct api_call *call, struct api_checks *out)
{
    struct ctx *ctx = call->ctx;
    struct finds f = {0};
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    TRY(store_read(ctx, call->core->store, counts_read, &f));
    struct api_check *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct api_check){.check = checks[i].id,
                                      .severity = check_severity_word(f.policy.severity[checks[i].number]),
                                      .words = finding_policy_words(ctx, &f.policy, &checks[i]),
                                      .remedy = checks[i].remedy,
                                      .source = checks[i].source,
                                      .disabled = !finding_policy_is_on(&f.policy, &checks[i])};
        for (size_t k = 0; k < f.counts_n && !items[i].disabled; k++)
            if (str_equal(f.counts[k].key, checks[i].id))
                items[i].certificates = f.counts[k].n;
    }
    out->items = (struct api_check_list){items, n};
    return RC_OK;
}

static struct rc finds_of_check(struct ctx *ctx, struct txn *txn, struct finds *f, const struct check_info *check)
{
    struct q_finding_list_row *rows = NULL;
    struct q_finding_nth_row last = {0};
    size_t n = 0;
    bool more = false;
    TRY(q_finding_nth(ctx, txn, check->number, f->before, f->before_endpoint, FINDINGS_LOOKED - 1, &last, &more));
    if (!more)
        last = (struct q_finding_nth_row){0};
    const struct q_finding_list_in in = {.check_number = check->number,
                                         .scope = access_scope(ctx),
                                         .accepted = f->accepted,
                                         .before = f->before,
                                         .before_endpoint = f->before_endpoint,
                                         .to = last.certificate_id,
                                         .to_endpoint = last.endpoint_id,
                                         .limit = f->limit - (int64_t)f->n,
                                         .now = ctx_now_s(ctx)};
    TRY(q_finding_list(ctx, txn, &in, &rows, &n));
    for (size_t i = 0; i < n; i++)
        f->items[f->n++] = finding_out(ctx, &f->policy, check, &rows[i]);
    if ((int64_t)f->n == f->limit)
        f->next = arena_printf(&ctx->arena, "%u.%lld.%lld", check->number, (long long)rows[n - 1].certificate_id,
                               (long long)rows[n - 1].endpoint_id);
    else if (more) /* those of others, or accepted ones: a short page */
        f->next =
            arena_printf(&ctx->arena, "%u.%lld.%lld", check->number, (long long)last.certificate_id, (long long)last.endpoint_id);
    f->before = f->before_endpoint = INT64_MAX;
    return RC_OK;
}

static struct rc finds_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct finds *f = arg;
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    f->items = arena_array(&ctx->arena, (size_t)f->limit, sizeof *f->items);
    TRY(finding_policy_read(ctx, txn, &f->policy));
    for (size_t i = 0; i < n && (int64_t)f->n < f->limit && !f->next; i++)
        if (finding_policy_is_on(&f->policy, &checks[i]) && (int64_t)checks[i].number >= f->number &&
            (!f->check || str_equal(f->check, checks[i].id)))
            TRY(finds_of_check(ctx, txn, f, &checks[i]));
    return RC_OK;
}

/* "3.1200.0": check, certificate, endpoint. */
static struct rc finds_after(struct ctx *ctx, const char *text, struct finds *f)
{
    struct bytes rest = bytes_z(text), part;
    int64_t *const to[] = {&f->number, &f->before, &f->before_endpoint};
    for (size_t i = 0; *text && i < 3; i++)
        if (!bytes_take_until(&rest, '.', &part) || !str_to_i64(part, to[i]) || (i == 2 && rest.n))
            return ctx_fail_field(ctx, "/cursor", "the cursor is not one given here; start again without it");
    return RC_OK;
}

RC api_finding_list(struct api_call *call, struct api_inventory_finding_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_finding_list_query *q = call->query;
    struct finds f = {
        .check = q->check, .accepted = q->accepted, .limit = q->limit, .before = INT64_MAX, .before_endpoint = INT64_MAX};
    const char *after = NULL;
    if (q->check && !findings_check_named(q->check))
        return ctx_fail_field(ctx, "/check", "there is no check %s; certwright finding list shows them", q->check);
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(finds_after(ctx, after, &f));
    TRY(store_read(ctx, call->core->store, finds_read, &f));
    out->items = (struct api_inventory_finding_list){f.items, f.n};
    out->next = f.next ? api_cursor_make(ctx, f.next) : NULL;
    return RC_OK;
}

RC api_finding_accept(struct api_call *call, const struct api_finding_accept *in, struct api_certificate_shown *out)
{
    const struct remark_acceptance a = {
        .check = in->check, .accept = in->accept, .why = in->reason, .until = in->has_for_s ? ctx_now_s(call->ctx) + in->for_s : 0};
    TRY(remark_accept(call->ctx, call->core, in->fingerprint, &a));
    return shown(call, in->fingerprint, out);
}

/* --- collections */

static struct api_collection collection_out(const struct q_collection_list_row *r)
{
    return (struct api_collection){.id = r->id,
                                   .name = r->name,
                                   .filter = r->filter,
                                   .team_id = r->team_id,
                                   .team = r->team,
                                   .description = r->description,
                                   .revision = r->revision,
                                   .created_at = r->created_at,
                                   .updated_at = r->updated_at};
}

static struct rc collection_reply(struct api_call *call, const char *ref, struct api_collection *out)
{
    struct q_collection_list_row row;
    TRY(collection_get(call->ctx, call->core, ref, &row));
    *out = collection_out(&row);
    return RC_OK;
}

RC api_collection_list(struct api_call *call, struct api_collection_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_collection_list_query *q = call->query;
    struct q_collection_list_row *rows = NULL;
    const char *after = NULL;
    size_t n = 0;
    TRY(api_cursor_read(ctx, q->cursor, &after));
    TRY(collection_list(ctx, call->core, after, q->limit, &rows, &n));
    struct api_collection *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = collection_out(&rows[i]);
    out->items = (struct api_collection_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make(ctx, rows[n - 1].id);
    return RC_OK;
}

RC api_collection_get(struct api_call *call, struct api_collection *out)
{
    return collection_reply(call, call->path[0], out);
}

RC api_collection_create(struct api_call *call, const struct api_collection_new *in, struct api_collection *out)
{
    const struct collection_input c = {.name = in->name, .filter = in->filter, .team = in->team, .description = in->description};
    const char *id = NULL;
    TRY(collection_create(call->ctx, call->core, &c, &id));
    return collection_reply(call, id, out);
}

RC api_collection_update(struct api_call *call, const struct api_collection_patch *in, struct api_collection *out)
{
    const struct collection_input c = {.name = in->has_name ? in->name : NULL,
                                       .filter = in->has_filter ? in->filter : NULL,
                                       .description = in->has_description ? in->description : NULL};
    struct q_collection_list_row before;
    TRY(collection_get(call->ctx, call->core, call->path[0], &before));
    TRY(collection_update(call->ctx, call->core, before.id, call->has_revision ? call->revision : 0, &c));
    return collection_reply(call, before.id, out);
}

RC api_collection_remove(struct api_call *call)
{
    return collection_remove(call->ctx, call->core, call->path[0]);
}
