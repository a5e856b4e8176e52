/* Where certificates are seen. */
#include "base/address.h"
#include "core/inventory_own.h"

const char *inventory_place_word(enum inventory_place kind)
{
    static const char *const words[] = {"tls", "file", "store", "list", "log"};
    return words[kind];
}

/* Sixteen bytes, an IPv4 address mapped (RFC 4291 section 2.5.5.2): a network is then a range of them. */
static struct bytes address_mapped(struct ctx *ctx, const struct address *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint8_t *p = arena_alloc(&ctx->arena, 16);
    if (a->len == 4)
        memcpy(p, mapped, 12);
    memcpy(p + 16 - a->len, a->ip, a->len);
    return bytes_of(p, 16);
}

static struct rc address_of(struct ctx *ctx, const char *place, struct bytes *address, int64_t *port)
{
    const char *host = NULL;
    uint16_t number = 0;
    struct address a;
    TRY(address_parse_host_port(ctx, bytes_z(place), 0, &host, &number));
    if (!address_parse(bytes_z(host), &a))
        return ctx_fail(ctx, E_INVALID, "%s is no address with a port", place);
    *address = address_mapped(ctx, &a);
    *port = number;
    return RC_OK;
}

/* Of a place that a list names, where it is one: "192.0.2.1:443", "[2001:db8::1]", "www.example.org:443". */
static void address_of_listed(struct ctx *ctx, const char *name, struct bytes *address, int64_t *port)
{
    const char *host = NULL;
    uint16_t number = 0;
    struct address a;
    const size_t n = strlen(name);
    if (address_parse(bytes_z(name), &a))
        host = name;
    else if (n > 2 && name[0] == '[' && name[n - 1] == ']')
        host = arena_str(&ctx->arena, bytes_of(name + 1, n - 2));
    else if (rc_failed(address_parse_host_port(ctx, bytes_z(name), 0, &host, &number)))
        ctx_forget(ctx);
    *port = number;
    if (host && address_parse(bytes_z(host), &a))
        *address = address_mapped(ctx, &a);
}

/* A leaf that is shown again after another one: the time before stays, and a new one begins.  Of a place that goes to and fro all
 * the time (behind it are several servers) the oldest times are one row, which counts them. */
static struct rc again(struct ctx *ctx, struct txn *txn, int64_t endpoint, int64_t leaf, int64_t at)
{
    struct q_observation_gone_row gone;
    struct q_observation_before_of_row *had = NULL;
    struct q_observation_before_put_in in = {.endpoint_id = endpoint, .certificate_id = leaf, .times = 1};
    bool back = false;
    size_t n = 0;
    TRY(q_observation_gone(ctx, txn, endpoint, leaf, at, &gone, &back));
    if (!back)
        return RC_OK;
    TRY(q_observation_before_of(ctx, txn, endpoint, leaf, INVENTORY_TIMES_MAX, &had, &n));
    if (n == INVENTORY_TIMES_MAX) {
        in.first_seen = had[0].first_seen;
        in.last_seen = had[1].last_seen;
        in.times = had[0].times + had[1].times;
        TRY(q_observation_before_put(ctx, txn, &in));
        TRY(q_observation_before_drop(ctx, txn, endpoint, leaf, had[1].first_seen));
    }
    in.first_seen = gone.first_seen;
    in.last_seen = gone.last_seen;
    in.times = 1;
    TRY(q_observation_before_put(ctx, txn, &in));
    return q_observation_again(ctx, txn, endpoint, leaf, at);
}

RC inventory_observe(struct ctx *ctx, struct core *core, struct txn *txn, const char *team_id, const struct inventory_sighting *s,
                     int64_t *endpoint_id, int64_t *unknown)
{
    int64_t ids[INVENTORY_CHAIN_MAX] = {0}, team = 0, port = 0;
    const int64_t at = s->at ? s->at : ctx_now_s(ctx);
    const size_t n = s->n < INVENTORY_CHAIN_MAX ? s->n : INVENTORY_CHAIN_MAX;
    struct bytes address = {0};
    struct q_endpoint_put_row row;
    TRY(inventory_team_number(ctx, core, txn, team_id, &team));
    if (s->kind == INVENTORY_TLS)
        TRY(address_of(ctx, s->place, &address, &port));
    else if (s->kind == INVENTORY_LIST && s->name)
        address_of_listed(ctx, s->name, &address, &port);
    for (size_t i = 0; i < n; i++) {
        struct q_certificate_find_row known;
        bool found = false;
        TRY(q_certificate_find(ctx, txn, s->chain[i], &known, &found));
        if (unknown && !found)
            ++*unknown;
        if (!found)
            continue;
        ids[i] = known.id;
        if (at > known.last_seen && at / 86400 != known.last_seen / 86400) /* not a write a sighting */
            TRY(q_certificate_seen(ctx, txn, known.id, at, known.flags));
    }
    const struct q_endpoint_put_in in = {.kind = inventory_place_word(s->kind),
                                         .place = s->place,
                                         .name = s->name ? s->name : "",
                                         .address = address,
                                         .port = port ? &port : NULL,
                                         .agent_id = s->agent_id,
                                         .team = team,
                                         .certificate_id = ids[0] ? &ids[0] : NULL,
                                         .result = s->result,
                                         .error = s->error,
                                         .options = s->options,
                                         .at = at};
    TRY(q_endpoint_put(ctx, txn, &in, &row));
    if (ids[0] && row.changed_at == at && row.first_seen < at)
        TRY(again(ctx, txn, row.id, ids[0], at));
    for (size_t i = 0; i < n; i++) {
        if (ids[i])
            TRY(q_observation_put(ctx, txn, row.id, ids[i], (int64_t)i, at));
    }
    if (n)
        TRY(q_endpoint_look_add(ctx, txn, row.id));
    if (endpoint_id)
        *endpoint_id = row.id;
    return RC_OK;
}
