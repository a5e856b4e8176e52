/* What is wrong with endpoints: how they serve what they serve. */
#include "base/json.h"
#include "core/finding_rules.h"
#include "core/inventory_own.h"
#include "core/issuer_trust.h"
#include "core/look.h"

#define CHAIN_SEEN_MAX 32
#define WANTED_MAX     8
/* What is not renewed so long after it was due is not renewed. */
#define LATE_S ((int64_t)2 * 86400)

struct wanted {
    unsigned check;
    const char *detail;
};

struct seen_endpoint {
    int64_t id, leaf;
    bool seen; /* a chain was shown: else nothing is known anew */
    struct wanted v[WANTED_MAX];
    size_t n;
};

struct looking {
    struct core *core;
    struct seen_endpoint *v;
    size_t n;
};

static const unsigned own_checks[] = {CHECK_NAME_MISMATCH, CHECK_CHAIN_INCOMPLETE, CHECK_CHAIN_ORDER, CHECK_SERVED_DIFFERS,
                                      CHECK_NO_POST_QUANTUM, CHECK_NOT_RENEWING};

static void want(struct seen_endpoint *e, unsigned check, const char *detail)
{
    if (e->n < WANTED_MAX)
        e->v[e->n++] = (struct wanted){check, detail};
}

static bool issued(const struct cert_fields *issuer, const struct cert_fields *cert)
{
    if (!bytes_equal(issuer->subject.der, cert->issuer.der))
        return false;
    return !cert->aki.n || !issuer->ski.n || bytes_equal(cert->aki, issuer->ski);
}

static void look_at_order(struct seen_endpoint *e, const struct cert_fields *chain, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!issued(&chain[i], &chain[i - 1])) {
            want(e, CHECK_CHAIN_ORDER, "");
            return;
        }
}

/* From the leaf upwards, whatever the order: to a root, or to what is missing. */
static struct rc look_at_end(struct ctx *ctx, struct core *core, struct txn *txn, struct seen_endpoint *e,
                             const struct cert_fields *chain, size_t n)
{
    bool used[CHAIN_SEEN_MAX] = {true}, known = false, root = false;
    size_t at = 0;
    for (;;) {
        uint8_t name[SHA256_LEN];
        size_t next = 0;
        if (chain[at].self_issued)
            return RC_OK;
        TRY(digest_sha256(ctx, chain[at].issuer.der, name));
        if (finding_rules_root(core->rules, name, chain[at].aki))
            return RC_OK;
        while (next < n && (used[next] || !issued(&chain[next], &chain[at])))
            next++;
        if (next == n)
            break;
        used[next] = true;
        at = next;
    }
    TRY(issuer_known(ctx, core, txn, &chain[at], &known, &root));
    if (root || (!known && !(at == 0 && chain[0].issuer_uri.n)))
        return RC_OK; /* a root of somebody's own need not be sent; and of what nobody knows nothing is said */
    want(e, CHECK_CHAIN_INCOMPLETE, "");
    return RC_OK;
}

/* Decisive only where it was asked which groups it takes. */
static void look_at_groups(struct seen_endpoint *e, const json_t *options)
{
    const json_t *groups = json_object_get(options, "groups");
    bool post_quantum = false;
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const char *group = json_string_value(json_array_get(groups, i));
        post_quantum |= group && strstr(group, "MLKEM") != NULL;
    }
    if (json_array_size(groups) && !post_quantum)
        want(e, CHECK_NO_POST_QUANTUM, "");
}

/* As the other client's own files tell (agent/lineage.h).  What is managed here is renewed here. */
static struct rc look_at_renewal(struct ctx *ctx, struct txn *txn, struct seen_endpoint *e, const json_t *options)
{
    const json_t *renewal = json_object_get(options, "renewal");
    const char *client = json_string_value(json_object_get(renewal, "client"));
    const char *error = json_string_value(json_object_get(renewal, "error"));
    const int64_t renew_at = json_integer_value(json_object_get(renewal, "renew_at"));
    struct q_certificate_row_row row;
    struct buf b;
    bool there = false;
    if (!client)
        return RC_OK;
    TRY(q_certificate_row(ctx, txn, e->leaf, &row, &there));
    if (!there || row.flags & CERTIFICATE_MANAGED)
        return RC_OK;
    if (json_is_true(json_object_get(renewal, "off"))) {
        want(e, CHECK_NOT_RENEWING, arena_printf(&ctx->arena, "its renewal by %s is switched off", client));
    } else if (renew_at && renew_at + LATE_S < ctx_now_s(ctx)) {
        buf_init_arena(&b, &ctx->arena, 4096);
        buf_printf(&b, "%s should have renewed it on ", client);
        time_put_rfc3339(&b, renew_at);
        if (error && *error)
            buf_printf(&b, "; the last time: %s", error);
        TRY(buf_status(&b));
        want(e, CHECK_NOT_RENEWING, buf_z(&b));
    }
    return RC_OK;
}

static struct rc look_at_options(struct ctx *ctx, struct txn *txn, struct seen_endpoint *e,
                                 const struct q_endpoint_look_next_row *row)
{
    json_auto_t *options = NULL;
    if (rc_failed(json_read(ctx, bytes_z(row->options), &options))) {
        ctx_forget(ctx);
        return RC_OK;
    }
    if (!str_equal(row->kind, inventory_place_word(INVENTORY_TLS)))
        return look_at_renewal(ctx, txn, e, options);
    look_at_groups(e, options);
    return RC_OK;
}

static struct rc look_at(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_endpoint_look_next_row *row,
                         struct seen_endpoint *e)
{
    struct q_endpoint_chain_row *rows = NULL;
    size_t n = 0;
    *e = (struct seen_endpoint){.id = row->id, .leaf = row->certificate_id};
    if (!*row->kind || !row->certificate_id)
        return RC_OK;
    TRY(q_endpoint_chain(ctx, txn, row->id, row->last_seen, &rows, &n));
    struct cert_fields *chain = arena_array(&ctx->arena, n ? n : 1, sizeof *chain);
    size_t rows_n = n;
    n = 0;
    for (size_t i = 0; i < rows_n; i++) {
        struct bytes der;
        /* Two looks in one second: what was shown before is no part of it. */
        if ((rows[i].position == 0) != (rows[i].id == row->certificate_id) || (n && rows[i].position == rows[i - 1].position))
            continue;
        TRY(certificate_der(ctx, core, rows[i].dictionary, rows[i].der, &der));
        TRY(cert_read(ctx, der, &chain[n++]));
        if (n == 1 && rows[i].position != 0)
            return RC_OK;
    }
    if (!n)
        return RC_OK;
    e->seen = true;
    TRY(look_at_options(ctx, txn, e, row));
    if (!str_equal(row->kind, inventory_place_word(INVENTORY_TLS)))
        return RC_OK;
    struct q_certificate_superseded_row superseded;
    bool found = false;
    TRY(q_certificate_superseded(ctx, txn, row->certificate_id, &superseded, &found));
    if (found)
        want(e, CHECK_SERVED_DIFFERS, arena_printf(&ctx->arena, "an older version of %s", superseded.name));
    if (*row->name && !finding_name_covered(&chain[0], bytes_z(row->name)))
        want(e, CHECK_NAME_MISMATCH, arena_printf(&ctx->arena, "not for %s", row->name));
    look_at_order(e, chain, n);
    return look_at_end(ctx, core, txn, e, chain, n);
}

static struct rc read_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *k = arg;
    struct q_endpoint_look_next_row *rows = NULL;
    size_t n = 0;
    TRY(q_endpoint_look_next(ctx, txn, LOOK_MOST, &rows, &n));
    k->v = arena_array(&ctx->arena, n, sizeof *k->v);
    for (k->n = 0; k->n < n; k->n++)
        TRY(look_at(ctx, k->core, txn, &rows[k->n], &k->v[k->n]));
    return RC_OK;
}

static bool is_own(int64_t check)
{
    for (size_t i = 0; i < sizeof own_checks / sizeof *own_checks; i++)
        if ((int64_t)own_checks[i] == check)
            return true;
    return false;
}

static bool is_wanted(const struct seen_endpoint *e, int64_t check, int64_t certificate)
{
    for (size_t i = 0; i < e->n; i++)
        if ((int64_t)e->v[i].check == check)
            return certificate == e->leaf;
    return false;
}

static struct rc note(struct ctx *ctx, struct core *core, struct txn *txn, const struct seen_endpoint *e)
{
    struct q_endpoint_findings_row *had = NULL;
    size_t n = 0;
    TRY(q_endpoint_look_done(ctx, txn, e->id));
    if (!e->seen)
        return RC_OK;
    struct q_certificate_row_row row;
    bool there = false;
    TRY(q_certificate_row(ctx, txn, e->leaf, &row, &there));
    TRY(q_endpoint_findings(ctx, txn, e->id, &had, &n));
    for (size_t i = 0; i < n; i++)
        if (is_own(had[i].check_number) && !is_wanted(e, had[i].check_number, had[i].certificate_id))
            TRY(inventory_finding(ctx, core, txn, had[i].certificate_id, e->id, (unsigned)had[i].check_number, false, ""));
    for (size_t i = 0; there && i < e->n; i++)
        TRY(inventory_finding(ctx, core, txn, e->leaf, e->id, e->v[i].check, true, e->v[i].detail));
    return RC_OK;
}

static struct rc note_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *k = arg;
    for (size_t i = 0; i < k->n; i++)
        TRY(note(ctx, k->core, txn, &k->v[i]));
    return RC_OK;
}

RC look_endpoints(struct ctx *ctx, struct core *core, bool *more)
{
    struct looking k = {.core = core};
    TRY(store_read(ctx, core->store, read_all, &k));
    *more |= k.n == LOOK_MOST;
    return store_write(ctx, core->store, note_all, &k);
}
