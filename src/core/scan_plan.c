#include "core/scan_plan.h"

#include "base/json.h"
#include "core/heard.h"
#include "core/scan.h"
#include "net/starttls.h"
#include "pki/name.h"

#define SCANNERS_MAX 10000
#define PORTS_MAX    1000

/* --- agents */

static struct rc texts(struct ctx *ctx, const json_t *root, const char *key, struct str_list *out)
{
    const json_t *list = NULL, *v;
    size_t i;
    TRY(json_get_list(ctx, root, key, false, &list));
    json_array_foreach((json_t *)(uintptr_t)list, i, v) if (json_is_string(v))
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(v)));
    return RC_OK;
}

static struct rc scanner_read(struct ctx *ctx, const char *id, const char *name, const char *text, struct scanner *out)
{
    json_auto_t *root = NULL;
    struct str_list networks = {0};
    *out = (struct scanner){.id = id, .name = name};
    TRY(json_read(ctx, bytes_z(text), &root));
    TRY(texts(ctx, root, "networks", &networks));
    TRY(texts(ctx, root, "ports", &out->ports));
    out->networks = arena_array(&ctx->arena, networks.n, sizeof *out->networks);
    for (size_t i = 0; i < networks.n; i++)
        out->networks_n += cidr_parse(bytes_z(networks.v[i]), &out->networks[out->networks_n]);
    return RC_OK;
}

static bool is_away(const struct ctx *ctx, struct core *core, const char *id, int64_t row)
{
    const int64_t now = ctx_now_s(ctx), at = core->heard ? heard_at(core, id, 0) : row;
    return at < now - HEARD_AWAY_S || at > now + HEARD_AWAY_S; /* before the clock was set back */
}

/* Of the scan's teams, not of who begins it: the schedule sees all of them. */
static struct rc scanners_named(struct ctx *ctx, struct core *core, struct txn *txn, const struct api_strings *names,
                                const char *scope, struct scan_plan *p)
{
    p->v = arena_array(&ctx->arena, names->n, sizeof *p->v);
    for (size_t i = 0; i < names->n; i++) {
        struct q_agent_scan_row row;
        struct q_agent_get_row agent;
        bool found = false;
        TRY(q_agent_get(ctx, txn, names->v[i], scope, &agent, &found));
        if (!found) {
            struct rc rc = ctx_fail(ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", names->v[i]);
            ctx->field = arena_printf(&ctx->arena, "/spec/agents/%zu", i);
            return rc;
        }
        size_t k = 0;
        while (k < p->n && !str_equal(p->v[k].id, agent.id))
            k++;
        if (k < p->n)
            continue;
        TRY(q_agent_scan(ctx, txn, agent.id, &row));
        TRY(scanner_read(ctx, agent.id, agent.name, row.scan, &p->v[p->n]));
        p->v[p->n++].away = is_away(ctx, core, agent.id, agent.seen_at);
    }
    return RC_OK;
}

static struct rc scanners_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *scope, struct scan_plan *p)
{
    struct q_agent_scanners_row *rows = NULL;
    size_t n = 0;
    TRY(q_agent_scanners(ctx, txn, scope, SCANNERS_MAX, &rows, &n));
    p->v = arena_array(&ctx->arena, n, sizeof *p->v);
    for (size_t i = 0; i < n; i++) {
        TRY(scanner_read(ctx, rows[i].id, rows[i].name, rows[i].scan, &p->v[p->n]));
        p->v[p->n++].away = is_away(ctx, core, rows[i].id, rows[i].seen_at);
    }
    return p->n
               ? RC_OK
               : ctx_fail(
                     ctx, E_NOT_GRANTED,
                     "no agent lets anything be scanned: name the networks under scan in the agent.yaml of one, and start it anew");
}

/* --- ports */

static bool port_of(struct bytes text, int64_t *out)
{
    return str_to_i64(text, out) && *out >= 1 && *out <= 65535;
}

static struct rc port_add(struct ctx *ctx, const char *text, struct str_list *out)
{
    struct bytes rest = bytes_z(text), number = bytes_z(text);
    int64_t first = 0, last = 0;
    const char *after = "";
    if (bytes_find(rest, BYTES_LIT("/")) != SIZE_MAX && bytes_take_until(&rest, '/', &number))
        after = arena_str(&ctx->arena, rest);
    if (starttls_by_name(after) == STARTTLS_PROTOCOLS)
        return ctx_fail_field(ctx, "/spec/ports", "%.40s: what is spoken there is none of %s", text, starttls_words(ctx));
    struct bytes range = number, low;
    bool good = port_of(number, &first);
    last = first;
    if (bytes_find(number, BYTES_LIT("-")) != SIZE_MAX && bytes_take_until(&range, '-', &low))
        good = port_of(low, &first) && port_of(range, &last) && first <= last;
    if (!good)
        return ctx_fail_field(ctx, "/spec/ports", "%.40s is no port such as 443, 8000-8010 or 25/smtp", text);
    for (int64_t p = first; p <= last; p++) {
        const char *one = arena_printf(&ctx->arena, "%lld%s%s", (long long)p, *after ? "/" : "", after);
        if (str_list_has(out, one))
            continue;
        if (out->n == PORTS_MAX)
            return ctx_fail_field(ctx, "/spec/ports", "at most %d ports; make another scan for the rest", PORTS_MAX);
        str_list_add(&ctx->arena, out, one);
    }
    return RC_OK;
}

static struct rc ports_of(struct ctx *ctx, const struct api_strings *given, struct str_list *out)
{
    for (size_t i = 0; i < given->n; i++)
        TRY(port_add(ctx, given->v[i], out));
    if (!out->n)
        TRY(port_add(ctx, "443", out));
    if (!given->n)
        TRY(port_add(ctx, "8443", out));
    return RC_OK;
}

/* As agent_config_scan_port() decides at the agent. */
static bool may_port(const struct scanner *s, const char *text)
{
    struct bytes rest = bytes_z(text), number = rest;
    int64_t port = 0, first, last;
    if (bytes_find(rest, BYTES_LIT("/")) != SIZE_MAX)
        (void)bytes_take_until(&rest, '/', &number);
    (void)str_to_i64(number, &port);
    for (size_t i = 0; i < s->ports.n; i++) {
        struct bytes range = bytes_z(s->ports.v[i]), low;
        if (bytes_find(range, BYTES_LIT("-")) == SIZE_MAX) {
            if (str_to_i64(range, &first) && port == first)
                return true;
        } else if (bytes_take_until(&range, '-', &low) && str_to_i64(low, &first) && str_to_i64(range, &last) && port >= first &&
                   port <= last)
            return true;
    }
    return s->ports.n == 0;
}

static struct rc ports_check(struct ctx *ctx, struct scan_plan *p, bool named)
{
    size_t kept = 0;
    const char *port = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const char *refused = NULL;
        for (size_t k = 0; k < p->ports.n && !refused; k++)
            if (!may_port(&p->v[i], p->ports.v[k]))
                refused = p->ports.v[k];
        if (refused && named)
            return ctx_fail(ctx, E_NOT_GRANTED, "agent %s may not scan port %s: add it to ports under scan in its agent.yaml",
                            p->v[i].name, refused);
        if (refused)
            port = refused;
        else
            p->v[kept++] = p->v[i];
    }
    p->n = kept;
    return kept ? RC_OK
                : ctx_fail(ctx, E_NOT_GRANTED, "no agent may scan port %s: add it to ports under scan in the agent.yaml of one",
                           port);
}

/* --- targets */

struct dividing {
    const struct api_scan_spec *spec;
    struct scan_plan *plan;
    struct scanner **may; /* who may ask the target looked at */
    size_t may_n, turn;
    bool named;
};

static const char *networks_text(struct ctx *ctx, const struct scanner *s)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 400);
    for (size_t i = 0; i < s->networks_n && b.n < 200; i++) {
        buf_printf(&b, "%s", i ? ", " : "");
        address_put(&b, &s->networks[i].base);
        buf_printf(&b, "/%d", s->networks[i].bits);
    }
    return s->networks_n ? buf_z(&b) : "nothing";
}

static bool nearer(const struct scanner *a, const struct scanner *b)
{
    return a->away != b->away ? b->away : a->bits > b->bits;
}

/* Of several, those that call: a part of one that is away would wait for it. */
static void leave_out_away(struct dividing *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->may_n; i++)
        if (!d->may[i]->away)
            d->may[n++] = d->may[i];
    if (n)
        d->may_n = n;
}

/* Whether the agent's own list holds it; NULL is a name, whose addresses nobody knows yet.  `bits` are those of its network. */
static bool permits(const struct scanner *s, const struct cidr *net, unsigned *bits)
{
    bool holds = false;
    *bits = 0;
    for (size_t k = 0; k < s->networks_n; k++)
        if (!net || (s->networks[k].base.len == net->base.len && s->networks[k].bits <= net->bits &&
                     cidr_grants(&s->networks[k], &net->base))) {
            holds = true;
            if (net && s->networks[k].bits > *bits)
                *bits = s->networks[k].bits;
        }
    return holds;
}

/* Those whose own list holds `net`; where nobody was named, one of them: the one whose network is smallest, for it is nearest, and
 * who calls comes before who is away. */
static struct rc may_ask(struct ctx *ctx, struct dividing *d, const struct cidr *net, const char *text)
{
    d->may_n = 0;
    for (size_t i = 0; i < d->plan->n; i++) {
        struct scanner *s = &d->plan->v[i];
        const bool holds = permits(s, net, &s->bits);
        s->may |= holds;
        if (holds && (d->named || !d->may_n))
            d->may[d->may_n++] = s;
        else if (holds && nearer(s, d->may[0]))
            d->may[0] = s;
    }
    leave_out_away(d);
    if (d->may_n)
        return RC_OK;
    if (d->named && d->plan->n == 1)
        return ctx_fail(
            ctx, E_NOT_GRANTED,
            "agent %s may not scan %s: its agent.yaml permits %s; add it to networks under scan there, and start the agent anew",
            d->plan->v[0].name, text, networks_text(ctx, &d->plan->v[0]));
    return ctx_fail(ctx, E_NOT_GRANTED,
                    "no agent may scan %s: add it to networks under scan in the agent.yaml of one, and start that anew", text);
}

static struct rc target_put(struct ctx *ctx, struct scanner *s, const char *text)
{
    if (s->targets.n == SCAN_TARGETS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "more than %d targets for agent %s: take larger networks, or several scans",
                        SCAN_TARGETS_MAX, s->name);
    str_list_add(&ctx->arena, &s->targets, text);
    return RC_OK;
}

static const char *net_text(struct ctx *ctx, const struct cidr *net)
{
    return net->bits == net->base.len * 8 ? address_str(&ctx->arena, &net->base)
                                          : arena_printf(&ctx->arena, "%s/%d", address_str(&ctx->arena, &net->base), net->bits);
}

/* A network is asked for its own name, else for those of the scan, else for none. */
static struct rc net_put(struct ctx *ctx, const struct dividing *d, struct scanner *s, const struct cidr *net, const char *name)
{
    const char *text = net_text(ctx, net);
    if (name)
        return target_put(ctx, s, arena_printf(&ctx->arena, "%s@%s", name, text));
    for (size_t i = 0; i < d->spec->names.n; i++)
        TRY(target_put(ctx, s, arena_printf(&ctx->arena, "%s@%s", d->spec->names.v[i], text)));
    return d->spec->names.n ? RC_OK : target_put(ctx, s, text);
}

static void bit_set(struct cidr *net, unsigned at)
{
    net->base.ip[at / 8] = (uint8_t)(net->base.ip[at / 8] | 0x80 >> at % 8);
}

/* Cut into as many pieces of one size as there are agents, or the next power of two. */
static struct rc net_divide(struct ctx *ctx, struct dividing *d, const struct cidr *net, const char *name)
{
    const unsigned whole = net->base.len * 8u;
    unsigned cut = 0;
    while ((size_t)1 << cut < d->may_n && net->bits + cut < whole)
        cut++;
    for (size_t i = 0; i < (size_t)1 << cut; i++) {
        struct cidr piece = *net;
        piece.bits = (uint8_t)(net->bits + cut);
        for (unsigned k = 0; k < cut; k++)
            if (i >> k & 1)
                bit_set(&piece, piece.bits - 1u - k);
        TRY(net_put(ctx, d, d->may[d->turn++ % d->may_n], &piece, name));
    }
    return RC_OK;
}

static struct rc target_add(struct ctx *ctx, struct dividing *d, size_t at)
{
    const char *text = d->spec->targets.v[at], *host = NULL;
    struct bytes rest = bytes_z(text), before;
    struct cidr net;
    struct name name;
    if (cidr_parse(rest, &net)) {
        TRY(may_ask(ctx, d, &net, text));
        return net_divide(ctx, d, &net, NULL);
    }
    if (bytes_find(rest, BYTES_LIT("@")) != SIZE_MAX && bytes_take_until(&rest, '@', &before) && cidr_parse(rest, &net)) {
        if (rc_ok(name_parse_dns(ctx, before, &name))) {
            TRY(may_ask(ctx, d, &net, text));
            return net_divide(ctx, d, &net, name.text);
        }
    } else if (bytes_find(bytes_z(text), BYTES_LIT("/")) == SIZE_MAX && rc_ok(name_parse_dns(ctx, bytes_z(text), &name))) {
        host = name.text;
    }
    if (!host) {
        ctx_forget(ctx);
        return ctx_fail_field(
            ctx, arena_printf(&ctx->arena, "/spec/targets/%zu", at),
            "%.300s is no network such as 192.0.2.0/24 (without bits behind its length), address, name or name@network", text);
    }
    TRY(may_ask(ctx, d, NULL, text));
    return target_put(ctx, d->may[d->turn++ % d->may_n], host);
}

/* An agent counts to there (SCAN_TOTAL_MAX of agent/probe/scan_space.h), and nobody lives to see the end of more. */
#define ENDPOINTS_MAX_BITS 40

static struct rc sizes_check(struct ctx *ctx, const struct api_scan_spec *spec, size_t ports)
{
    const uint64_t most = UINT64_C(1) << ENDPOINTS_MAX_BITS;
    const uint64_t each = (spec->names.n ? spec->names.n : 1) * (ports ? ports : 1);
    uint64_t all = 0;
    for (size_t i = 0; i < spec->targets.n; i++) {
        struct bytes rest = bytes_z(spec->targets.v[i]), before;
        struct cidr net;
        if (!cidr_parse(rest, &net) && !(bytes_take_until(&rest, '@', &before) && cidr_parse(rest, &net)))
            continue;
        const unsigned bits = net.base.len * 8u - net.bits;
        if (bits <= ENDPOINTS_MAX_BITS && (UINT64_C(1) << bits) <= most / each)
            all += (UINT64_C(1) << bits) * each;
        else
            all = most + 1;
        if (all > most)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/spec/targets/%zu", i),
                                  "%.300s is too large: one scan asks at most 2^%d endpoints; name addresses or smaller networks",
                                  spec->targets.v[i], ENDPOINTS_MAX_BITS);
    }
    return RC_OK;
}

static struct rc names_check(struct ctx *ctx, const struct api_scan_spec *spec)
{
    struct cidr net;
    struct name name;
    for (size_t i = 0; i < spec->exclude.n; i++)
        if (!cidr_parse(bytes_z(spec->exclude.v[i]), &net))
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/spec/exclude/%zu", i),
                                  "%.64s, to be left alone, is no network such as 192.0.2.0/24, and no address",
                                  spec->exclude.v[i]);
    for (size_t i = 0; i < spec->names.n; i++)
        if (rc_failed(name_parse_dns(ctx, bytes_z(spec->names.v[i]), &name))) {
            ctx_forget(ctx);
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/spec/names/%zu", i), "%.253s is no name to be asked for",
                                  spec->names.v[i]);
        }
    return RC_OK;
}

RC scan_plan_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct api_scan_spec *spec, const char *scope,
                  struct scan_plan *out)
{
    *out = (struct scan_plan){0};
    struct dividing d = {.spec = spec, .plan = out, .named = spec->agents.n > 0};
    if (!spec->targets.n)
        return ctx_fail_field(ctx, "/spec/targets", "say what to scan: networks, addresses or names");
    TRY(names_check(ctx, spec));
    TRY(ports_of(ctx, &spec->ports, &out->ports));
    TRY(sizes_check(ctx, spec, out->ports.n));
    TRY(d.named ? scanners_named(ctx, core, txn, &spec->agents, scope, out) : scanners_of(ctx, core, txn, scope, out));
    TRY(ports_check(ctx, out, d.named));
    d.may = arena_array(&ctx->arena, out->n, sizeof(struct scanner *));
    for (size_t i = 0; i < spec->targets.n; i++)
        TRY(target_add(ctx, &d, i));
    for (size_t i = 0; d.named && i < out->n; i++)
        if (!out->v[i].may)
            return ctx_fail(ctx, E_NOT_GRANTED, "agent %s may scan none of this: its agent.yaml permits %s", out->v[i].name,
                            networks_text(ctx, &out->v[i]));
    return RC_OK;
}

/* --- going on with a part */

/* As the plan has written it: a network, name@network or a name. */
static bool permits_target(const struct scanner *s, const char *text)
{
    struct bytes rest = bytes_z(text), before;
    struct cidr net;
    unsigned bits;
    if (bytes_find(rest, BYTES_LIT("@")) != SIZE_MAX)
        (void)bytes_take_until(&rest, '@', &before);
    return permits(s, cidr_parse(rest, &net) ? &net : NULL, &bits);
}

static bool permits_part(const struct scanner *s, const struct api_scan_spec *spec, const struct api_strings *targets)
{
    for (size_t i = 0; i < spec->ports.n; i++)
        if (!may_port(s, spec->ports.v[i]))
            return false;
    for (size_t i = 0; i < targets->n; i++)
        if (!permits_target(s, targets->v[i]))
            return false;
    return true;
}

RC scan_plan_other(struct ctx *ctx, struct core *core, struct txn *txn, const struct api_scan_spec *spec, const char *scope,
                   const struct api_strings *targets, const char *agent, const char **id, const char **name, bool *there)
{
    struct scan_plan p = {0};
    *id = *name = NULL;
    *there = false;
    struct rc rc =
        spec->agents.n ? scanners_named(ctx, core, txn, &spec->agents, scope, &p) : scanners_of(ctx, core, txn, scope, &p);
    if (rc.e == E_NOT_FOUND || rc.e == E_NOT_GRANTED) { /* nobody is left */
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    for (size_t i = 0; i < p.n; i++) {
        const struct scanner *s = &p.v[i];
        if (str_equal(s->id, agent)) {
            *there = s->networks_n > 0;
        } else if (!*id && !s->away && permits_part(s, spec, targets)) {
            *id = s->id;
            *name = s->name;
        }
    }
    return RC_OK;
}
