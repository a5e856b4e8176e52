/* certwright ca …: the CAs are shown by the hub; their ceilings are changed at the signer itself, by a CA officer. */
#include <sys/stat.h>

#include "base/encode.h"
#include "cli/ca.h"
#include "cli/cli.h"
#include "cli/request.h"
#include "os/file.h"
#include "pki/cert.h"
#include "pki/digest.h"
#include "wire/messages.h"

#define CAS       "/api/v1/cas"
#define PROPOSALS "/api/v1/ca-proposals"
#define CHAIN_MAX 8

RC verb_ca_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},
                                              {"SUBJECT", "subject", CLI_PLAIN},
                                              {"EXPIRES", "not_after", CLI_AGO},
                                              {"ISSUED", "issued", CLI_PLAIN}};
    json_auto_t *page = NULL;
    TRY(cli_call(cli, "GET", CAS, (struct bytes){0}, &page));
    return cli_print_list(cli, json_object_get(page, "items"), shown, sizeof shown / sizeof *shown, "name");
}

RC verb_ca_show(struct cli *cli)
{
    return cli_show_at(cli, CAS "/");
}

RC verb_ca_export(struct cli *cli)
{
    static const struct {
        const char *what, *field;
    } kinds[] = {{"certificate", "certificate_pem"}, {"chain", "chain_pem"}, {"root", "root_pem"}, {"csr", "csr_pem"}};
    const char *what = cli_opt(cli, "what") ? cli_opt(cli, "what") : "certificate", *field = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_equal(kinds[i].what, what))
            field = kinds[i].field;
    if (!field)
        return ctx_fail(cli->ctx, E_USAGE, "--what is certificate, chain, root or csr");
    json_auto_t *ca = NULL;
    TRY(cli_call(cli, "GET", cli_path(cli, CAS "/", cli->args.v[0], ""), (struct bytes){0}, &ca));
    const char *pem = cli_text(ca, field);
    /* A root of its own is its certificate. */
    if (!*pem && str_equal(what, "root"))
        pem = cli_text(ca, "certificate_pem");
    if (!*pem)
        return ctx_fail(cli->ctx, E_NOT_FOUND, "the CA %s has no %s", cli->args.v[0], what);
    return cli_write_out(cli, bytes_z(pem), 0644);
}

/* --- at the signer's own socket */

void cli_officer_free(struct wire_peer **p)
{
    if (*p)
        wire_peer_free(*p);
}

RC cli_officer(struct cli *cli, struct wire_peer **out)
{
    static const char *const places[] = {"var/run/officer.sock", "/run/certwright/officer.sock"};
    const char *path = cli_opt(cli, "signer-socket");
    struct stat st;
    if (!path)
        path = getenv("CERTWRIGHT_SIGNER_SOCKET");
    for (size_t i = 0; !path && i < sizeof places / sizeof *places; i++)
        if (stat(places[i], &st) == 0)
            path = places[i];
    if (!path)
        return ctx_fail(cli->ctx, E_UNREACHABLE, "no signer is found here; name its officer socket with --signer-socket PATH");
    return ctx_wrap(cli->ctx, wire_connect(cli->ctx, path, "officer", "signer", out), "the signer at %s", path);
}

/* --- changes that two people are needed for */

/* Has the hub ask for approval of what the signer keeps.  It is kept whatever becomes of this: the same command again, or ca ask.
 */
static struct rc ask_for(struct cli *cli, const char *proposal, const char *comment)
{
    struct cli_body b;
    json_auto_t *request = NULL;
    const char *result = NULL;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "comment", comment);
    TRY(cli_call(cli, "POST", cli_path(cli, PROPOSALS "/", proposal, "/ask"), cli_body_end(&b), &request));
    return cli_request_wait(cli, request, &result);
}

static struct rc asked_hash(struct ctx *ctx, uint16_t type, const void *in, uint8_t out[SHA256_LEN])
{
    const struct wire_codec *codec = wire_codec_of(type);
    struct buf b;
    buf_init_arena(&b, &ctx->arena, codec->max + 256);
    buf_put_mem(&b, codec->name, strlen(codec->name) + 1);
    TRY(codec->encode(ctx, in, &b));
    TRY(buf_status(&b));
    return digest_sha256(ctx, buf_bytes(&b), out);
}

RC cli_officer_change(struct cli *cli, struct wire_peer *signer, uint16_t type, const void *in, uint16_t reply, void *out)
{
    struct ctx *ctx = cli->ctx;
    const struct wire_signer_proposal_list all = {.id = ""};
    struct wire_signer_proposals p;
    uint8_t asked[SHA256_LEN];
    struct rc rc = wire_call(ctx, signer, type, in, reply, out);
    if (rc.e != E_PENDING)
        return rc;
    ctx_forget(ctx);
    TRY(asked_hash(ctx, type, in, asked));
    TRY(wire_call_signer_proposal_list(ctx, signer, &all, &p));
    const char *id = NULL;
    for (size_t i = 0; i < p.ids.n && !id; i++)
        if (bytes_equal(p.asked.v[i], bytes_of(asked, sizeof asked)) && str_equal(p.states.v[i], "open")) {
            id = p.ids.v[i];
            cli_say(cli, "The signer keeps this until somebody else has approved it, as proposal %s:\n%s", id, p.words.v[i]);
        }
    if (!id)
        return ctx_fail(ctx, E_BAD_ANSWER, "the signer kept a proposal and does not show it; see: certwright ca proposals");
    rc = ask_for(cli, id, cli_opt(cli, "comment"));
    if (rc_ok(rc)) /* approved meanwhile: what is so now is not known here */
        return ctx_fail(ctx, E_PENDING, "the signer is told of the approval of proposal %s: certwright ca proposals", id);
    if (rc.e == E_PENDING)
        return rc;
    return ctx_wrap(
        ctx, rc, "proposal %s is kept, and nobody was asked for approval yet; when that is mended: certwright ca ask %s", id, id);
}

static struct rc proposals_at_signer(struct cli *cli, json_t **out)
{
    struct ctx *ctx = cli->ctx;
    struct wire_peer *signer __attribute__((cleanup(cli_officer_free))) = NULL;
    const struct wire_signer_proposal_list all = {.id = ""};
    struct wire_signer_proposals p;
    struct cli_body b;
    TRY(cli_officer(cli, &signer));
    TRY(wire_call_signer_proposal_list(ctx, signer, &all, &p));
    cli_body_begin(cli, &b);
    json_open_list(&b.j, "items");
    for (size_t i = 0; i < p.ids.n; i++) {
        json_open_obj(&b.j, NULL);
        json_put_str(&b.j, "id", p.ids.v[i]);
        json_put_str(&b.j, "state", p.states.v[i]);
        json_put_str(&b.j, "change", p.changes.v[i]);
        json_put_str(&b.j, "words", p.words.v[i]);
        json_put_int(&b.j, "uid", p.uids.v[i]);
        json_put_str(&b.j, "hash", hex_str(&ctx->arena, p.hashes.v[i]));
        json_put_time(&b.j, "created_at", p.times.v[i]);
        json_put_time(&b.j, "expires_at", p.expires.v[i]);
        json_put_str(&b.j, "by", p.by.v[i]);
        json_put_str(&b.j, "request", p.requests.v[i]);
        json_close(&b.j);
    }
    json_close(&b.j);
    return json_read(ctx, cli_body_end(&b), out);
}

RC verb_ca_proposals(struct cli *cli)
{
    static const struct cli_column shown[] = {{"ID", "id", CLI_PLAIN},       {"STATE", "state", CLI_PLAIN},
                                              {"CHANGE", "change", CLI_PLAIN}, {"BY UID", "uid", CLI_PLAIN},
                                              {"APPROVED BY", "by", CLI_PLAIN}, {"REQUEST", "request", CLI_PLAIN},
                                              {"PROPOSED", "created_at", CLI_DATE}, {"EXPIRES", "expires_at", CLI_AGO}};
    json_auto_t *page = NULL;
    if (cli_has(cli, "signer-socket"))
        TRY(proposals_at_signer(cli, &page));
    else
        TRY(cli_call(cli, "GET", PROPOSALS, (struct bytes){0}, &page));
    return cli_print_list(cli, json_object_get(page, "items"), shown, sizeof shown / sizeof *shown, "id");
}

RC verb_ca_ask(struct cli *cli)
{
    const char *id = NULL;
    TRY(cli_one_arg(cli, &id));
    return id ? ask_for(cli, id, cli_opt(cli, "comment")) : ctx_fail(cli->ctx, E_USAGE, "which one?  certwright ca proposals");
}

RC verb_ca_withdraw(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    struct wire_signer_withdraw in = {0};
    struct wire_signer_done done;
    struct wire_peer *signer __attribute__((cleanup(cli_officer_free))) = NULL;
    TRY(cli_one_arg(cli, &in.id));
    if (!in.id)
        return ctx_fail(ctx, E_USAGE, "which one?  certwright ca proposals");
    TRY(cli_officer(cli, &signer));
    TRY(wire_call_signer_withdraw(ctx, signer, &in, &done));
    cli_say(cli, "Proposal %s is withdrawn: nothing is done, whoever approves it.", in.id);
    /* The hub looks, and ends its request.  Where it is away the approval of that request leads to nothing. */
    struct rc rc = ask_for(cli, in.id, NULL);
    if (rc.e == E_CONFLICT || rc.e == E_UNREACHABLE) {
        ctx_forget(ctx);
        return RC_OK;
    }
    return rc;
}

RC verb_ca_protect(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *what = cli->args.n ? cli->args.v[0] : "";
    struct wire_peer *signer __attribute__((cleanup(cli_officer_free))) = NULL;
    struct wire_signer_protection p;
    const bool on = str_equal(what, "on");
    if (*what && !on && !str_equal(what, "off"))
        return ctx_fail(ctx, E_USAGE, "certwright ca protect [on|off]");
    TRY(cli_officer(cli, &signer));
    if (*what) {
        const struct wire_signer_protect in = {.on = on};
        TRY(cli_officer_change(cli, signer, WIRE_signer_protect, &in, WIRE_signer_protection, &p));
    } else {
        const struct wire_signer_protection_get in = {0};
        TRY(wire_call_signer_protection_get(ctx, signer, &in, &p));
    }
    cli_say(cli, p.on ? "Changes of CAs need two people: who changes something here, and somebody with the permission ca.approve."
                      : "Changes of CAs need one person: root of this host.");
    return RC_OK;
}

/* --- ceilings, and the answer of an external root */

static void put_ceilings(struct cli *cli, const struct wire_signer_ceilings *c)
{
    const struct str_list none = {0};
    const struct str_list dns = {.v = c->permitted_dns.v, .n = c->permitted_dns.n},
                          ip = {.v = c->permitted_ip.v, .n = c->permitted_ip.n},
                          profiles = {.v = c->profiles.v, .n = c->profiles.n};
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "ca", c->ca);
    json_put_int(&b.j, "max_validity_s", c->max_validity_s);
    json_put_int(&b.j, "per_hour", c->per_hour);
    cli_body_list(&b, "permitted_dns", c->permitted_dns.n ? &dns : &none);
    cli_body_list(&b, "permitted_ip", c->permitted_ip.n ? &ip : &none);
    cli_body_list(&b, "profiles", &profiles);
    json_put_int(&b.j, "path_length", c->path_length);
    json_put_int(&b.j, "issued_last_hour", c->issued_last_hour);
    json_auto_t *shown = NULL;
    struct rc rc = json_read(cli->ctx, cli_body_end(&b), &shown);
    if (rc_ok(rc))
        rc = cli_print_object(cli, shown, "ca");
    if (rc_failed(rc))
        puts(ctx_why(cli->ctx));
}

/* "any" stands for no limit: an empty list. */
static struct wire_texts limit(struct cli *cli, const char *option, struct wire_texts now)
{
    if (!cli_has(cli, option))
        return now;
    struct str_list l = cli_list_opt(cli, option);
    if (l.n == 1 && str_equal(l.v[0], "any"))
        l.n = 0;
    return (struct wire_texts){l.v, l.n};
}

RC verb_ca_ceilings(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    static const char *const changes[] = {"max-validity", "per-hour", "permit-dns", "permit-ip", "profile"};
    bool change = false;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        change |= cli_has(cli, changes[i]);
    if (!change && !cli_has(cli, "signer-socket")) {
        /* Reading needs no officer: the hub may ask too. */
        json_auto_t *ca = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, CAS "/", cli->args.v[0], ""), (struct bytes){0}, &ca));
        return cli_print_object(cli, json_object_get(ca, "ceilings"), "name");
    }
    struct wire_peer *signer __attribute__((cleanup(cli_officer_free))) = NULL;
    TRY(cli_officer(cli, &signer));
    const struct wire_signer_ceilings_get get = {.ca = cli->args.v[0]};
    struct wire_signer_ceilings now;
    TRY(wire_call_signer_ceilings_get(ctx, signer, &get, &now));
    if (change) {
        const struct wire_signer_ceilings_set set = {
            .ca = cli->args.v[0],
            .max_validity_s = cli_number(cli, "max-validity", now.max_validity_s),
            .per_hour = cli_number(cli, "per-hour", now.per_hour),
            .permitted_dns = limit(cli, "permit-dns", now.permitted_dns),
            .permitted_ip = limit(cli, "permit-ip", now.permitted_ip),
            .profiles = limit(cli, "profile", now.profiles),
        };
        TRY(cli_officer_change(cli, signer, WIRE_signer_ceilings_set, &set, WIRE_signer_ceilings, &now));
    }
    put_ceilings(cli, &now);
    return RC_OK;
}

RC verb_ca_import(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *pem = NULL;
    TRY(cli_opt_file(cli, "chain", &pem));
    if (!pem)
        return ctx_fail(ctx, E_USAGE, "name the root's answer with --chain FILE");
    struct cert_chain chain;
    TRY(ctx_wrap(ctx, cert_chain_parse_pem(ctx, bytes_z(pem), CHAIN_MAX, &chain), "reading %s", cli_opt(cli, "chain")));
    struct bytes ders[CHAIN_MAX];
    for (size_t i = 0; i < chain.n; i++)
        ders[i] = chain.v[i].der;
    struct wire_peer *signer __attribute__((cleanup(cli_officer_free))) = NULL;
    TRY(cli_officer(cli, &signer));
    const struct wire_signer_ca_import in = {.ca = cli->args.v[0], .chain = {ders, chain.n}};
    struct wire_signer_ca ca;
    TRY(cli_officer_change(cli, signer, WIRE_signer_ca_import, &in, WIRE_signer_ca, &ca));
    cli_say(cli, "The CA %s is ready: %s; restart the hub, so that its issuer trusts the new root.", ca.ca,
            chain.v[0].subject.text);
    return RC_OK;
}
