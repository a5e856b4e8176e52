#include "agent/probe/dns.h"

#include "base/random.h"
#include "net/dns_query.h"
#include "os/file.h"

#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_CONF_MAX ((size_t)64 << 10)
#define NAMES_MAX       13 /* servers of one zone that are asked for their addresses */
#define DETAIL_MAX      280
#define FIND_MS         60000 /* for a whole search, */
#define ASK_MS          10000 /* and one question of it */
#define LOOK_ALL_MS     15000
#define LOOK_MS         2500
#define DNS_PORT        53

/* A name on its way to the zone that holds it. */
struct search {
    struct ctx *ctx;
    const struct agent_config *cfg;
    const struct address_grants *grants;
    struct address *resolvers;
    size_t n_resolvers;
    const char *name;
    const char *zone;
    int64_t until_ms;
    struct address servers[DNS_SERVERS_MAX]; /* of the zone */
    const char *server_names[DNS_SERVERS_MAX];
    size_t n;
};

RC probe_dns_resolvers(struct ctx *ctx, const struct agent_config *cfg, struct address **out, size_t *n)
{
    struct bytes text = {0};
    if (cfg->resolvers.n == 0) {
        struct rc rc = file_read(ctx, RESOLV_CONF, RESOLV_CONF_MAX, &text);
        if (rc_failed(rc) && rc.e != E_NOT_FOUND)
            return rc;
        if (rc_failed(rc))
            ctx_forget(ctx);
        return dns_resolvers(ctx, text, out, n);
    }
    *out = arena_array(&ctx->arena, cfg->resolvers.n, sizeof **out);
    *n = 0;
    for (size_t i = 0; i < cfg->resolvers.n && *n < DNS_SERVERS_MAX; i++) {
        const char *host;
        uint16_t port;
        TRY(address_parse_host_port(ctx, bytes_z(cfg->resolvers.v[i]), DNS_PORT, &host, &port));
        if (!address_parse(bytes_z(host), &(*out)[*n]))
            return ctx_fail(ctx, E_INVALID, "%s: resolvers: %s is not an IP address", cfg->file, cfg->resolvers.v[i]);
        (*out)[(*n)++].port = port;
    }
    return RC_OK;
}

static RC ask_in_time(struct search *s, struct dns_ask *ask, struct dns_reply *out)
{
    const int64_t left = s->until_ms - clock_mono_ms();
    if (left <= 0)
        return ctx_fail(s->ctx, E_TIMEOUT, "no time is left to ask for %s", ask->name);
    ask->timeout_ms = left < ASK_MS ? left : ASK_MS;
    return dns_ask(s->ctx, ask, out);
}

static const char *resolvers_text(const struct search *s)
{
    struct buf b;
    buf_init_arena(&b, &s->ctx->arena, 4096);
    for (size_t i = 0; i < s->n_resolvers; i++)
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", address_port_str(&s->ctx->arena, &s->resolvers[i]));
    return rc_ok(buf_status(&b)) && b.n > 0 ? buf_z(&b) : "none is named";
}

static RC ask_resolvers(struct search *s, const char *name, enum dns_type type, struct dns_reply *out)
{
    struct dns_ask ask = {.servers = s->resolvers, .n = s->n_resolvers, .name = name, .type = type, .recurse = true};
    struct rc rc = ask_in_time(s, &ask, out);
    return rc_ok(rc) ? rc
                     : ctx_wrap(s->ctx, rc,
                                "no DNS resolver of this host answers when asked for %s: %s (resolvers in %s, else "
                                "/etc/resolv.conf)",
                                name, resolvers_text(s), s->cfg->file);
}

/* --- the zone above a name, as the resolvers see it */

static const struct dns_record *find_record(const struct dns_record *v, size_t n, enum dns_type type, const char *within)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].type == (uint16_t)type && (within == NULL || dns_name_within(within, v[i].owner)))
            return &v[i];
    return NULL;
}

/* The SOA comes as the answer at the top of a zone and beside the answer below it (RFC 2308); some resolvers leave it out there, so
 * go up, a label at a time. */
static RC zone_above(struct search *s, const char *name)
{
    const char *at = name;
    int rcode = DNS_NOERROR;
    for (; *at != '\0' && strchr(at, '.') != NULL; at = dns_name_parent(at)) {
        struct dns_reply reply;
        TRY(ask_resolvers(s, at, DNS_SOA, &reply));
        rcode = reply.rcode;
        const struct dns_record *soa = find_record(reply.answer, reply.n_answer, DNS_SOA, at);
        if (soa == NULL)
            soa = find_record(reply.authority, reply.n_authority, DNS_SOA, at);
        if (soa != NULL && *soa->owner != '\0') {
            s->zone = soa->owner;
            return RC_OK;
        }
    }
    if (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN)
        return ctx_fail(s->ctx, E_DNS, "the DNS resolver of this host says %s when asked for the zone of %s: check resolvers in %s",
                        dns_rcode_text(s->ctx, rcode), name, s->cfg->file);
    return ctx_fail(s->ctx, E_DNS, "no zone is found that holds %s: is the domain registered, and delegated to its servers?", name);
}

/* --- the servers of a zone */

static void keep_server(struct search *s, const char *server_name, struct bytes ip)
{
    struct address a = {.len = (uint8_t)ip.n, .port = DNS_PORT};
    memcpy(a.ip, ip.p, ip.n);
    for (size_t i = 0; i < s->n; i++)
        if (s->servers[i].len == a.len && memcmp(s->servers[i].ip, a.ip, a.len) == 0)
            return;
    if (s->n == DNS_SERVERS_MAX)
        return;
    s->server_names[s->n] = server_name;
    s->servers[s->n++] = a;
}

static void find_addresses(struct search *s, const char *server_name)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA};
    for (size_t t = 0; t < 2; t++) {
        struct dns_reply reply;
        struct trail_entry *trail = s->ctx->trail;
        if (rc_failed(ask_resolvers(s, server_name, types[t], &reply))) {
            s->ctx->trail = trail;
            continue;
        }
        for (size_t i = 0; i < reply.n_answer; i++)
            if (reply.answer[i].type == (uint16_t)types[t])
                keep_server(s, server_name, reply.answer[i].data);
    }
}

static RC servers_named(struct search *s, const struct dns_record *v, size_t n)
{
    size_t names = 0;
    s->n = 0;
    for (size_t i = 0; i < n && names < NAMES_MAX; i++)
        if (v[i].type == DNS_NS && strcmp(v[i].owner, s->zone) == 0) {
            find_addresses(s, v[i].name);
            names++;
        }
    if (names == 0)
        return ctx_fail(s->ctx, E_DNS, "no servers are found for the zone %s", s->zone);
    return s->n > 0 ? RC_OK : ctx_fail(s->ctx, E_DNS, "the servers of the zone %s have no addresses", s->zone);
}

static RC servers_of_zone(struct search *s)
{
    struct dns_reply reply;
    TRY(ask_resolvers(s, s->zone, DNS_NS, &reply));
    return servers_named(s, reply.answer, reply.n_answer);
}

/* --- what the zone's servers say */

static RC ask_servers(struct search *s, const char *name, struct dns_reply *out)
{
    struct dns_ask ask = {.servers = s->servers, .n = s->n, .grants = s->grants, .name = name, .type = DNS_CNAME};
    return ask_in_time(s, &ask, out);
}

static const struct dns_record *alias_of(const struct dns_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_answer; i++)
        if (reply->answer[i].type == DNS_CNAME && strcmp(reply->answer[i].owner, name) == 0)
            return &reply->answer[i];
    return NULL;
}

/* An alias for every name there (RFC 4592) no longer holds for this one once it has a record of its own: a name that surely is not
 * there tells. */
static RC alias_for_all(struct search *s, const struct dns_record *alias, bool *yes)
{
    struct dns_reply reply;
    const char *other = arena_printf(&s->ctx->arena, "_cw%08x.%s", (unsigned)random_u64(), dns_name_parent(s->name));
    *yes = false;
    if (s->n == 0)
        return RC_OK;
    TRY(ask_servers(s, other, &reply));
    const struct dns_record *same = alias_of(&reply, other);
    *yes = same != NULL && strcmp(same->name, alias->name) == 0;
    return RC_OK;
}

/* One step of the search.  `*moved`: an alias or a delegation led on. */
static RC follow(struct search *s, const struct dns_reply *reply, bool *moved, bool *aliased)
{
    const struct dns_record *alias = alias_of(reply, s->name), *ns;
    bool for_all = false;
    *moved = *aliased = false;
    if (alias != NULL)
        TRY(alias_for_all(s, alias, &for_all));
    if (for_all)
        return RC_OK;
    if (alias != NULL) {
        if (!dns_name_plain(alias->name))
            return ctx_fail(s->ctx, E_DNS, "%s is an alias of \"%s\", a name that cannot hold a challenge", s->name, alias->name);
        s->name = alias->name;
        *moved = *aliased = true;
        return RC_OK;
    }
    if (reply->rcode != DNS_NOERROR && reply->rcode != DNS_NXDOMAIN)
        return ctx_fail(s->ctx, E_DNS, "the servers of the zone %s say %s when asked for %s", s->zone,
                        dns_rcode_text(s->ctx, reply->rcode), s->name);
    const struct dns_record *soa = find_record(reply->authority, reply->n_authority, DNS_SOA, s->name);
    if (soa != NULL && dns_name_within(soa->owner, s->zone)) { /* the same servers may hold the zone below as well */
        *moved = strcmp(soa->owner, s->zone) != 0;
        s->zone = soa->owner;
        return *moved ? servers_of_zone(s) : RC_OK;
    }
    ns = find_record(reply->authority, reply->n_authority, DNS_NS, s->name);
    if (!reply->authoritative && ns != NULL && dns_name_within(ns->owner, s->zone) && strcmp(ns->owner, s->zone) != 0) {
        s->zone = ns->owner;
        *moved = true;
        return servers_named(s, reply->authority, reply->n_authority);
    }
    if (reply->authoritative)
        return RC_OK;
    return ctx_fail(s->ctx, E_DNS, "the servers of the zone %s do not answer for %s: is it delegated to them?", s->zone, s->name);
}

/* From the zone above the name, by its servers, to the zone that holds it.  `*aliased`: to another name. */
static RC descend(struct search *s, bool *aliased)
{
    bool moved = true;
    for (int i = 0; moved && i < DNS_ALIASES_MAX; i++) {
        struct dns_reply reply;
        TRY(ask_servers(s, s->name, &reply));
        TRY(follow(s, &reply, &moved, aliased));
        if (*aliased)
            return RC_OK;
    }
    return moved ? ctx_fail(s->ctx, E_DNS, "%s is delegated more than %d times", s->name, DNS_ALIASES_MAX) : RC_OK;
}

/* Their servers cannot be asked: what the resolvers know must do. */
static RC descend_blindly(struct search *s, bool *aliased)
{
    struct dns_reply reply;
    bool moved;
    s->n = 0;
    TRY(ask_resolvers(s, s->name, DNS_CNAME, &reply));
    reply.authoritative = true;
    const struct dns_record *soa = find_record(reply.authority, reply.n_authority, DNS_SOA, s->name);
    if (soa != NULL)
        s->zone = soa->owner;
    reply.n_authority = 0;
    return follow(s, &reply, &moved, aliased);
}

static RC search_once(struct search *s, bool *aliased, const char **why)
{
    struct trail_entry *trail = s->ctx->trail;
    *aliased = false;
    *why = "";
    /* Not the name itself: a resolver would remember that it is not there. */
    TRY(zone_above(s, strchr(dns_name_parent(s->name), '.') != NULL ? dns_name_parent(s->name) : s->name));
    TRY(servers_of_zone(s));
    struct rc rc = descend(s, aliased);
    if (rc.e != E_TIMEOUT && rc.e != E_UNREACHABLE)
        return rc;
    *why = ctx_why(s->ctx);
    s->ctx->trail = trail;
    return descend_blindly(s, aliased);
}

static const char *cut(struct ctx *ctx, const char *text, size_t max)
{
    return strlen(text) <= max ? text : arena_str(&ctx->arena, bytes_of(text, max));
}

RC probe_dns_find(struct ctx *ctx, const struct agent_config *cfg, const struct address_grants *grants, const char *name,
                  struct wire_probe_dns_zone_is *out)
{
    struct search *s = ARENA_NEW(&ctx->arena, struct search);
    bool aliased = true;
    const char *why = "";
    *s = (struct search){.ctx = ctx, .cfg = cfg, .grants = grants, .name = name, .until_ms = clock_mono_ms() + FIND_MS};
    if (!dns_name_plain(name))
        return ctx_fail(ctx, E_INVALID, "\"%s\" is not a name that a challenge can be at", name);
    TRY(probe_dns_resolvers(ctx, cfg, &s->resolvers, &s->n_resolvers));
    for (int i = 0; aliased && i <= DNS_ALIASES_MAX; i++)
        TRY(search_once(s, &aliased, &why));
    if (aliased)
        return ctx_fail(ctx, E_DNS, "%s is an alias of an alias more than %d times, or of itself", name, DNS_ALIASES_MAX);
    out->target = s->name;
    out->zone = s->zone;
    out->detail = cut(ctx, why, 4000);
    out->servers = (struct wire_texts){arena_array(&ctx->arena, s->n + 1, sizeof(char *)), s->n};
    out->server_names = (struct wire_texts){s->server_names, s->n};
    for (size_t i = 0; i < s->n; i++)
        out->servers.v[i] = address_port_str(&ctx->arena, &s->servers[i]);
    return RC_OK;
}

/* --- who shows the value */

static const char *what_it_says(struct ctx *ctx, const struct dns_reply *reply, size_t others)
{
    if (reply->rcode != DNS_NOERROR)
        return dns_rcode_text(ctx, reply->rcode);
    if (others == 0)
        return "it has no such record";
    return arena_printf(&ctx->arena, "it has %zu other value%s", others, others == 1 ? "" : "s");
}

static RC look_at(struct ctx *ctx, const struct address_grants *grants, const char *server, const struct wire_probe_dns_txt *in,
                  int64_t *state, const char **detail)
{
    struct address a;
    const char *host;
    struct dns_reply reply;
    size_t others = 0;
    TRY(address_parse_host_port(ctx, bytes_z(server), DNS_PORT, &host, &a.port));
    const uint16_t port = a.port;
    if (!address_parse(bytes_z(host), &a))
        return ctx_fail(ctx, E_INVALID, "%s is not an address", server);
    a.port = port;
    const struct dns_ask ask = {.servers = &a, .n = 1, .grants = grants, .name = in->name, .type = DNS_TXT, .timeout_ms = LOOK_MS};
    TRY(dns_ask(ctx, &ask, &reply));
    *state = 0;
    for (size_t i = 0; i < reply.n_answer; i++) {
        const struct dns_record *r = &reply.answer[i];
        if (r->type != DNS_TXT || strcmp(r->owner, in->name) != 0)
            continue;
        if (bytes_equal_z(r->data, in->value))
            *state = 1;
        else
            others++;
    }
    *detail = *state == 1 ? "" : what_it_says(ctx, &reply, others);
    return RC_OK;
}

RC probe_dns_look(struct ctx *ctx, const struct address_grants *grants, const struct wire_probe_dns_txt *in,
                  struct wire_probe_dns_txt_seen *out)
{
    const size_t n = in->servers.n;
    const int64_t until = clock_mono_ms() + LOOK_ALL_MS;
    out->states = (struct wire_numbers){arena_array(&ctx->arena, n + 1, sizeof(int64_t)), n};
    out->details = (struct wire_texts){arena_array(&ctx->arena, n + 1, sizeof(char *)), n};
    if (!dns_name_plain(in->name))
        return ctx_fail(ctx, E_INVALID, "\"%s\" is not a name that a challenge can be at", in->name);
    for (size_t i = 0; i < n; i++) {
        struct trail_entry *trail = ctx->trail;
        ctx->trail = NULL;
        if (clock_mono_ms() >= until) {
            out->states.v[i] = 2;
            out->details.v[i] = "not asked: those before it took too long";
        } else if (rc_failed(look_at(ctx, grants, in->servers.v[i], in, &out->states.v[i], &out->details.v[i]))) {
            out->states.v[i] = 2;
            out->details.v[i] = cut(ctx, ctx_why(ctx), DETAIL_MAX);
        }
        ctx->trail = trail;
    }
    return RC_OK;
}
