/* What is wrong with endpoints: how they serve what they serve. */
#include "base/encode.h"
#include "base/json.h"
#include "core/finding_rules.h"
#include "core/inventory_own.h"
#include "core/issuer_trust.h"
#include "core/look.h"

#define CHAIN_SEEN_MAX 32
#define LEAVES_MAX     2 /* of a server with two kinds of key */
#define WANTED_MAX     16
/* What is not renewed so long after it was due is not renewed. */
#define LATE_S ((int64_t)2 * 86400)

struct wanted {
    unsigned check;
    int64_t leaf; /* the certificate it is said of */
    const char *detail;
};

struct seen_endpoint {
    int64_t id, leaf;
    bool seen;   /* a chain was shown: else nothing is known anew */
    bool groups; /* it was asked which groups it takes */
    struct wanted v[WANTED_MAX];
    size_t n;
};

/* What was shown as one chain. */
struct shown {
    int64_t leaf;
    struct cert_fields *v;
    size_t n;
};

struct looking {
    struct core *core;
    struct seen_endpoint *v;
    size_t n;
};

static const unsigned own_checks[] = {CHECK_NAME_MISMATCH, CHECK_CHAIN_INCOMPLETE, CHECK_CHAIN_ORDER, CHECK_SERVED_DIFFERS,
                                      CHECK_NO_POST_QUANTUM, CHECK_NOT_RENEWING};

static void want(struct seen_endpoint *e, int64_t leaf, unsigned check, const char *detail)
{
    if (e->n < WANTED_MAX)
        e->v[e->n++] = (struct wanted){check, leaf, detail};
}

static bool issued(const struct cert_fields *issuer, const struct cert_fields *cert)
{
    if (!bytes_equal(issuer->subject.der, cert->issuer.der))
        return false;
    return !cert->aki.n || !issuer->ski.n || bytes_equal(cert->aki, issuer->ski);
}

static void look_at_order(struct seen_endpoint *e, const struct shown *s)
{
    for (size_t i = 1; i < s->n; i++)
        if (!issued(&s->v[i], &s->v[i - 1])) {
            want(e, s->leaf, CHECK_CHAIN_ORDER, "");
            return;
        }
}

/* From the leaf upwards, whatever the order: to a root, or to what is missing. */
static struct rc look_at_end(struct ctx *ctx, struct core *core, struct txn *txn, struct seen_endpoint *e,
                             const struct shown *s)
{
    const struct cert_fields *chain = s->v;
    const size_t n = s->n;
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
    want(e, s->leaf, CHECK_CHAIN_INCOMPLETE, "");
    return RC_OK;
}

static bool has_word(const json_t *texts, const char *word)
{
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        if (text && strstr(text, word))
            return true;
    }
    return false;
}

/* Decisive only where it was asked which groups it takes; what does not speak TLS 1.3 takes none of the new ones. */
static void look_at_groups(struct seen_endpoint *e, const json_t *options)
{
    const json_t *groups = json_object_get(options, "groups"), *versions = json_object_get(options, "versions");
    e->groups = json_array_size(groups) || (json_array_size(versions) && !has_word(versions, "TLSv1.3"));
    if (e->groups && !has_word(groups, "MLKEM"))
        want(e, e->leaf, CHECK_NO_POST_QUANTUM, "");
}

/* As the other client's own files tell (agent/lineage.h).  What is managed here is renewed here. */
static struct rc look_at_renewal(struct ctx *ctx, struct txn *txn, struct seen_endpoint *e, const json_t *options)
{
    const json_t *renewal = json_object_get(options, "renewal");
    const char *client = json_string_value(json_object_get(renewal, "client"));
    const char *error = json_string_value(json_object_get(renewal, "error"));
    const int64_t renew_at = json_integer_value(json_object_get(renewal, "renew_at"));
    struct q_certificate_row_row row;
    struct q_adoption_of_endpoint_row adopted;
    struct buf b;
    bool there = false, ours = false;
    if (!client)
        return RC_OK;
    TRY(q_certificate_row(ctx, txn, e->leaf, &row, &there));
    if (!there || row.flags & (CERTIFICATE_MANAGED | CERTIFICATE_SUPERSEDED))
        return RC_OK;
    TRY(q_adoption_of_endpoint(ctx, txn, e->id, &adopted, &ours));
    if (ours)
        return RC_OK;
    if (json_is_true(json_object_get(renewal, "off"))) {
        want(e, e->leaf, CHECK_NOT_RENEWING, arena_printf(&ctx->arena, "its renewal by %s is switched off", client));
    } else if (renew_at && renew_at + LATE_S < ctx_now_s(ctx)) {
        buf_init_arena(&b, &ctx->arena, 4096);
        buf_printf(&b, "%s should have renewed it on ", client);
        time_put_rfc3339(&b, renew_at);
        if (error && *error)
            buf_printf(&b, "; the last time: %s", error);
        TRY(buf_status(&b));
        want(e, e->leaf, CHECK_NOT_RENEWING, buf_z(&b));
    }
    return RC_OK;
}

/* The current chain, by what was seen at which place of it. */
static struct rc chain_of_rows(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_endpoint_look_next_row *row,
                               struct shown *out)
{
    struct q_endpoint_chain_row *rows = NULL;
    size_t n = 0;
    TRY(q_endpoint_chain(ctx, txn, row->id, row->last_seen, &rows, &n));
    *out = (struct shown){.leaf = row->certificate_id, .v = arena_array(&ctx->arena, n + 1, sizeof *out->v)};
    for (size_t i = 0; i < n; i++) {
        struct bytes der;
        /* Two looks in one second: what was shown before is no part of it. */
        if ((rows[i].position == 0) != (rows[i].id == row->certificate_id) || (out->n && rows[i].position == rows[i - 1].position))
            continue;
        if (!out->n && rows[i].position != 0)
            return RC_OK;
        TRY(certificate_der(ctx, core, rows[i].dictionary, rows[i].packed, &der));
        TRY(cert_read(ctx, der, &out->v[out->n++]));
    }
    return RC_OK;
}

static struct rc chain_of_texts(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_endpoint_look_next_row *row,
                                const json_t *texts, struct shown *out)
{
    const size_t n = json_array_size(texts) < CHAIN_SEEN_MAX ? json_array_size(texts) : CHAIN_SEEN_MAX;
    *out = (struct shown){.v = arena_array(&ctx->arena, n + 1, sizeof *out->v)};
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        struct q_certificate_shown_row c;
        struct bytes print, der;
        bool found = false;
        if (!text || !get_hex(&ctx->arena, bytes_z(text), &print))
            continue;
        TRY(q_certificate_shown(ctx, txn, row->id, print, row->last_seen, &c, &found));
        if (!found && i == 0)
            return RC_OK;
        if (!found)
            continue;
        out->leaf = i == 0 ? c.id : out->leaf;
        TRY(certificate_der(ctx, core, c.dictionary, c.packed, &der));
        TRY(cert_read(ctx, der, &out->v[out->n++]));
    }
    return RC_OK;
}

/* The chains that were shown when it was last looked at, the current one first.  Where there are two, the options name the
 * certificates of both: by their places alone nobody could say whose an intermediate one is. */
static struct rc chains_of(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_endpoint_look_next_row *row,
                           const json_t *options, struct shown out[LEAVES_MAX], size_t *n)
{
    const json_t *chains = json_object_get(options, "chains");
    *n = 0;
    for (size_t i = 0; i < LEAVES_MAX && i < json_array_size(chains); i++) {
        TRY(chain_of_texts(ctx, core, txn, row, json_array_get(chains, i), &out[*n]));
        if (out[*n].n)
            ++*n;
        if (i == 0 && out[0].leaf != row->certificate_id)
            *n = 0;
        if (i == 0 && !*n)
            break;
    }
    if (*n)
        return RC_OK;
    TRY(chain_of_rows(ctx, core, txn, row, &out[0]));
    *n = out[0].n > 0;
    return RC_OK;
}

static struct rc look_at_chain(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_endpoint_look_next_row *row,
                               const struct shown *s, struct seen_endpoint *e)
{
    struct q_certificate_superseded_row superseded;
    bool found = false;
    TRY(q_certificate_superseded(ctx, txn, s->leaf, &superseded, &found));
    if (found)
        want(e, s->leaf, CHECK_SERVED_DIFFERS,
             arena_printf(&ctx->arena, superseded.back ? "a version that %s went back from" : "an older version of %s",
                          superseded.name));
    if (*row->name && !finding_name_covered(&s->v[0], bytes_z(row->name)))
        want(e, s->leaf, CHECK_NAME_MISMATCH, arena_printf(&ctx->arena, "not for %s", row->name));
    look_at_order(e, s);
    return look_at_end(ctx, core, txn, e, s);
}

static struct rc look_at(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_endpoint_look_next_row *row,
                         struct seen_endpoint *e)
{
    struct shown shown[LEAVES_MAX];
    json_auto_t *options = NULL;
    size_t n = 0;
    *e = (struct seen_endpoint){.id = row->id, .leaf = row->certificate_id};
    if (!*row->kind || !row->certificate_id)
        return RC_OK;
    if (rc_failed(json_read(ctx, bytes_z(row->options), &options)))
        ctx_forget(ctx);
    TRY(chains_of(ctx, core, txn, row, options, shown, &n));
    if (!n)
        return RC_OK;
    e->seen = true;
    if (!str_equal(row->kind, inventory_place_word(INVENTORY_TLS)))
        return look_at_renewal(ctx, txn, e, options);
    look_at_groups(e, options);
    for (size_t i = 0; i < n; i++)
        TRY(look_at_chain(ctx, core, txn, row, &shown[i], e));
    return RC_OK;
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
    if (check == CHECK_NO_POST_QUANTUM && !e->groups)
        return certificate == e->leaf; /* as it was when it was asked */
    for (size_t i = 0; i < e->n; i++)
        if ((int64_t)e->v[i].check == check && e->v[i].leaf == certificate)
            return true;
    return false;
}

static struct rc note(struct ctx *ctx, struct core *core, struct txn *txn, const struct seen_endpoint *e)
{
    struct q_endpoint_findings_row *had = NULL;
    size_t n = 0;
    TRY(q_endpoint_look_done(ctx, txn, e->id));
    if (!e->seen)
        return RC_OK;
    TRY(q_endpoint_findings(ctx, txn, e->id, &had, &n));
    for (size_t i = 0; i < n; i++)
        if (is_own(had[i].check_number) && !is_wanted(e, had[i].check_number, had[i].certificate_id))
            TRY(inventory_finding(ctx, core, txn, had[i].certificate_id, e->id, (unsigned)had[i].check_number, false, ""));
    for (size_t i = 0; i < e->n; i++) {
        struct q_certificate_row_row row;
        bool there = false;
        TRY(q_certificate_row(ctx, txn, e->v[i].leaf, &row, &there));
        if (there)
            TRY(inventory_finding(ctx, core, txn, e->v[i].leaf, e->id, e->v[i].check, true, e->v[i].detail));
    }
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
