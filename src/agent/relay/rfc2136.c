#include "agent/relay/rfc2136.h"

#include "acme/dns_proof.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "net/dns.h"
#include "net/dns_query.h"

#define DNS_PORT 53
#define TTL_S    60
#define TTL_MAX  86400
#define MOST_S   120 /* until the secondary servers have it: NOTIFY is quick, a refresh is not */

static void json_free(json_t **j) { json_decref(*j); }
#define JSON_CLEANUP __attribute__((cleanup(json_free)))

struct update {
    const struct agent_config *cfg;
    const struct address_grants *grants;
    const struct wire_relay_dns *in;
    const char *host, *server; /* as given: without and with port */
    uint16_t port;
    struct dns_key key;
    int64_t ttl;
};

/* --- parameters */

static RC read_ttl(struct ctx *ctx, const char *text, int64_t *ttl)
{
    if (!str_to_i64(bytes_z(text), ttl) || *ttl < 0 || *ttl > TTL_MAX)
        return ctx_fail_field(ctx, "/parameters/ttl", "%s is not a number of seconds from 0 to %d", text, TTL_MAX);
    return RC_OK;
}

static RC read_parameters(struct ctx *ctx, const json_t *params, struct update *u, const char **credential)
{
    static const char *const known[] = {"server", "key", "algorithm", "secret", "ttl"};
    const char *ttl = NULL, *name;
    const json_t *v;
    *credential = NULL;
    u->key.algorithm = "hmac-sha256";
    u->ttl = TTL_S;
    json_object_foreach((json_t *)params, name, v)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(name, known[i]) == 0;
        if (!found)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/parameters/%s", name),
                                  "rfc2136 has no parameter %s: server, key, algorithm, secret, ttl", name);
    }
    TRY(json_get_str(ctx, params, "server", true, &u->server));
    TRY(json_get_str(ctx, params, "key", true, &u->key.name));
    TRY(json_get_str(ctx, params, "algorithm", false, &u->key.algorithm));
    TRY(json_get_str(ctx, params, "secret", true, credential));
    TRY(json_get_str(ctx, params, "ttl", false, &ttl));
    if (ttl != NULL && *ttl != '\0')
        TRY(read_ttl(ctx, ttl, &u->ttl));
    if (*u->key.algorithm == '\0')
        u->key.algorithm = "hmac-sha256";
    return address_parse_host_port(ctx, bytes_z(u->server), DNS_PORT, &u->host, &u->port);
}

static const char *lower(struct ctx *ctx, const char *s)
{
    char *copy = arena_strdup(&ctx->arena, s);
    for (char *c = copy; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
    return copy;
}

static RC read_secret(struct ctx *ctx, const struct update *u, const struct credential_files *files, const char *credential,
                      struct secret *out)
{
    const struct agent_credential *row;
    SECRET_CLEANUP struct secret text = {0};
    struct bytes key;
    TRY(agent_config_credential(ctx, u->cfg, credential, &row));
    if (!agent_credential_reaches(row, lower(ctx, u->host), u->port, DNS_PORT))
        return ctx_fail(ctx, E_NOT_GRANTED, "credential %s may not be used with %s: add \"%s:%d\" to its hosts in %s", credential,
                        u->server, u->host, u->port, u->cfg->file);
    TRY(credential_read(ctx, u->cfg, files, row, &text));
    if (!get_base64(&ctx->arena, secret_use(&text), &key) || key.n == 0)
        return ctx_fail(ctx, E_NOT_GRANTED,
                        "credential %s is not the secret of a TSIG key: base64, as it stands in the DNS server's configuration",
                        credential);
    return secret_from(ctx, out, key);
}

/* --- what the server says */

static const char *clock_words(struct ctx *ctx, const struct dns_tsig *t)
{
    struct bytes other = t->other;
    uint16_t high;
    uint32_t low;
    if (!bytes_take_u16(&other, &high) || !bytes_take_u32(&other, &low))
        return "";
    int64_t theirs = (int64_t)high << 32 | low, apart = theirs - ctx_now_s(ctx);
    return arena_printf(&ctx->arena, " by %lld s", (long long)(apart < 0 ? -apart : apart));
}

static RC refused(struct ctx *ctx, const struct update *u, const char *zone, const struct dns_reply *r)
{
    const char *word = dns_rcode_text(ctx, r->rcode), *name = u->in->verb == WIRE_relay_dns_verb_test ? zone : u->in->name;
    if (r->tsig.at > 0 && r->tsig.error == DNS_BADKEY)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s says BADKEY: it has no TSIG key %s with %s: check key and algorithm", u->server,
                        u->key.name, u->key.algorithm);
    if (r->tsig.at > 0 && r->tsig.error == DNS_BADSIG)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s says BADSIG: its secret for TSIG key %s is another one than this credential's",
                        u->server, u->key.name);
    if (r->tsig.at > 0 && r->tsig.error == DNS_BADTIME)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s says BADTIME: its clock and this host's differ%s: set them right", u->server,
                        clock_words(ctx, &r->tsig));
    if (r->rcode == DNS_REFUSED)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s says REFUSED: allow TSIG key %s to change %s in zone %s (BIND: update-policy, Knot: "
                        "acl with action update)", u->server, u->key.name, name, zone);
    if (r->rcode == DNS_NOTAUTH || r->rcode == DNS_NOTZONE)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s says %s: it is not the primary server of zone %s, or does not take this key for it: "
                        "name the primary as server", u->server, word, zone);
    return ctx_fail(ctx, E_BAD_ANSWER, "%s says %s to a change of %s in zone %s", u->server, word, name, zone);
}

/* A change, or (NULL) the question for the SOA, at the first of the server's addresses that takes connections. */
static RC ask_server(struct ctx *ctx, const struct update *u, const struct dns_change *change, struct dns_reply *out)
{
    struct dns_answer found;
    struct trail_entry *trail = ctx->trail;
    struct rc rc = RC_OK;
    bool allowed = false;
    TRY(dns_resolve(ctx, u->host, u->port, &found));
    for (size_t i = 0; i < found.n; i++) {
        if (!address_allowed(&found.v[i], u->grants))
            continue;
        allowed = true;
        ctx->trail = trail;
        rc = change != NULL ? dns_update(ctx, &found.v[i], u->grants, &u->key, change, out)
                            : dns_ask_signed(ctx, &found.v[i], u->grants, &u->key, u->in->zone, DNS_SOA, out);
        if (rc.e != E_UNREACHABLE && rc.e != E_TIMEOUT)
            return rc;
    }
    return allowed ? rc : address_check(ctx, &found.v[0], u->grants);
}

static RC send_update(struct ctx *ctx, const struct update *u, const char *zone, const char *name, const char *value, bool add,
                      struct dns_reply *out)
{
    const struct dns_change change = {.zone = zone, .name = name, .value = bytes_z(value), .ttl = (uint32_t)u->ttl, .add = add};
    return ask_server(ctx, u, &change, out);
}

/* --- the verbs */

/* Deleting what is not there changes nothing, but only who may delete gets a yes. */
static RC test(struct ctx *ctx, const struct update *u, struct wire_relay_dns_done *out)
{
    struct dns_reply reply;
    const char *zone = NULL;
    TRY(ask_server(ctx, u, NULL, &reply));
    if (reply.rcode != DNS_NOERROR && reply.rcode != DNS_NXDOMAIN)
        return refused(ctx, u, u->in->zone, &reply);
    for (size_t i = 0; i < reply.n_answer + reply.n_authority; i++) {
        const struct dns_record *r = i < reply.n_answer ? &reply.answer[i] : &reply.authority[i - reply.n_answer];
        if (r->type == DNS_SOA && dns_name_within(u->in->zone, r->owner))
            zone = r->owner;
    }
    if (zone == NULL || !reply.authoritative)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s does not hold a zone with %s: name the zone's primary server", u->server,
                        u->in->zone);
    const char *name = arena_printf(&ctx->arena, "_acme-challenge.%s", u->in->zone);
    TRY(send_update(ctx, u, zone, name, "certwright-test", false, &reply));
    if (reply.rcode == DNS_NOERROR)
        out->what = arena_printf(&ctx->arena, "key %.80s may change %.120s", u->key.name, name);
    else if (reply.rcode == DNS_REFUSED && reply.tsig.error == 0)
        out->what = arena_printf(&ctx->arena, "key %.80s is known for zone %.80s, but may not change %.100s (REFUSED)", u->key.name,
                                 zone, name);
    else
        return refused(ctx, u, zone, &reply);
    return RC_OK;
}

static RC change(struct ctx *ctx, const struct update *u, struct wire_relay_dns_done *out)
{
    const bool add = u->in->verb == WIRE_relay_dns_verb_add;
    struct dns_reply reply;
    TRY(send_update(ctx, u, u->in->zone, u->in->name, u->in->value, add, &reply));
    if (reply.rcode != DNS_NOERROR)
        return refused(ctx, u, u->in->zone, &reply);
    FAILPOINT("relay.rfc2136_changed");
    out->what = add ? "added" : "taken away";
    out->most_s = MOST_S;
    return RC_OK;
}

static RC check_wish(struct ctx *ctx, const struct agent_config *cfg, const struct wire_relay_dns *in)
{
    const struct agent_dns *row;
    const bool test_only = in->verb == WIRE_relay_dns_verb_test;
    const char *name = test_only && in->name[0] == '\0' ? in->zone : in->name;
    if (!dns_name_plain(in->zone) || !dns_name_plain(name) || !dns_name_within(name, in->zone))
        return ctx_fail(ctx, E_INVALID, "%s in zone %s is no name whose records can be changed", name, in->zone);
    if (!test_only && !acme_dns_value_is(in->value))
        return ctx_fail(ctx, E_INVALID, "the value for %s is not one of an ACME challenge", name);
    return agent_config_dns(ctx, cfg, in->provider, name, &row);
}

RC rfc2136_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
               const struct address_grants *grants, const struct wire_relay_dns *in, struct wire_relay_dns_done *out)
{
    JSON_CLEANUP json_t *params = NULL;
    SECRET_CLEANUP struct secret secret = {0};
    struct update u = {.cfg = cfg, .grants = grants, .in = in};
    const char *credential;
    ctx->arena.wipe = true; /* the key is in it for a while */
    *out = (struct wire_relay_dns_done){.what = ""};
    TRY(check_wish(ctx, cfg, in));
    TRY(json_read(ctx, bytes_z(in->parameters), &params));
    TRY(read_parameters(ctx, params, &u, &credential));
    TRY(read_secret(ctx, &u, files, credential, &secret));
    u.key.secret = secret_use(&secret);
    struct rc rc = in->verb == WIRE_relay_dns_verb_test ? test(ctx, &u, out) : change(ctx, &u, out);
    if (rc_ok(rc))
        return rc;
    if (in->verb == WIRE_relay_dns_verb_test)
        return ctx_wrap(ctx, rc, "trying TSIG key %s", u.key.name);
    const char *doing = in->verb == WIRE_relay_dns_verb_add ? "adding" : "taking away";
    return ctx_wrap(ctx, rc, "%s a value at %s by RFC 2136", doing, in->name);
}
