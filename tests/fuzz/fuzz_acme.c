/* What an ACME server may answer: the first byte says as which resource the rest is read.  Whatever is accepted keeps the promises
 * that its header makes. */

#include "acme/ari.h"
#include "acme/dns_proof.h"
#include "acme/objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_problem(struct ctx *ctx, const struct acme_problem *p)
{
    must(p->n_sub <= ACME_SUBPROBLEMS_MAX && strlen(p->detail) <= ACME_TEXT_MAX);
    for (const char *c = acme_problem_text(ctx, p); *c != 0; c++)
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
    must(acme_problem_err(p, 400) != E_OK && acme_problem_err(p, 500) != E_OK);
}

static void check_order(const struct acme_order *o)
{
    must(o->identifiers.n <= ACME_IDENTIFIERS_MAX && o->authorizations.n <= ACME_IDENTIFIERS_MAX);
    must(acme_url_valid(o->finalize) && (o->certificate == NULL || acme_url_valid(o->certificate)));
    for (size_t i = 0; i < o->authorizations.n; i++)
        must(acme_url_valid(o->authorizations.v[i]));
}

static void check_authorization(const struct acme_authorization *a)
{
    must(a->n_challenges <= ACME_CHALLENGES_MAX && a->identifier != NULL);
    for (size_t i = 0; i < a->n_challenges; i++)
        must(acme_url_valid(a->challenges[i].url) && (a->challenges[i].token == NULL || acme_token_valid(a->challenges[i].token)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    if (n == 0)
        return 0;
    struct bytes body = bytes_of(data + 1, n - 1);
    struct acme_problem problem;
    struct acme_directory directory;
    struct acme_order order;
    struct acme_authorization authorization;
    struct acme_challenge challenge;
    struct acme_ari ari;
    struct acme_account account;
    struct acme_persist persist;
    const char *text;
    ctx_init(&ctx, &clock_system);
    switch (data[0]) {
    case 'p':
        acme_problem_parse(&ctx, body, &problem);
        check_problem(&ctx, &problem);
        break;
    case 'd':
        if (rc_ok(acme_directory_parse(&ctx, body, &directory)))
            must(acme_url_valid(directory.new_nonce) && acme_url_valid(directory.new_order));
        break;
    case 'o':
        if (rc_ok(acme_order_parse(&ctx, body, &order)))
            check_order(&order);
        break;
    case 'a':
        if (rc_ok(acme_authorization_parse(&ctx, body, &authorization)))
            check_authorization(&authorization);
        break;
    case 'c':
        if (rc_ok(acme_challenge_parse(&ctx, body, &challenge)) && challenge.has_problem)
            check_problem(&ctx, &challenge.problem);
        break;
    case 'r':
        if (rc_ok(acme_ari_parse(&ctx, body, &ari)))
            must(ari.end > ari.start);
        break;
    case 'k':
        if (rc_ok(acme_account_parse(&ctx, body, &account)))
            must(account.contacts.n <= ACME_CONTACTS_MAX && (account.orders == NULL || acme_url_valid(account.orders)));
        break;
    case 't':
        text = arena_str(&ctx.arena, body);
        if (rc_ok(acme_persist_parse(&ctx, text, &persist)))
            must(persist.issuer_domain[0] != 0 && persist.account_url != NULL);
        break;
    default:
        break;
    }
    return 0;
}
