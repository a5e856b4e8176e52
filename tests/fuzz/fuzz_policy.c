/* Whatever is put as a policy: read, or refused with places; and what was read answers whatever is asked. */
#include "core/policy_doc.h"
#include "core/wish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct ctx *ctx, const struct policy_doc *doc, bool by_itself)
{
    static const char *const teams[] = {"shop", "everyone"};
    static const char *names[] = {"*.shop.example.org", "10.1.2.3", "a.b"};
    static const char *issuers[] = {"ca", "le"};
    const struct wish w = {.names = {.v = names, .n = 3},
                           .issuers = {.v = issuers, .n = 2},
                           .profile = "tls-server",
                           .usage = "tls-server",
                           .validity_s = 90 * 86400,
                           .key_kind = "ec-p256",
                           .reuse_key = by_itself};
    for (unsigned act = 0; act < POLICY_ACTS; act++) {
        const struct policy_asked asked = {.act = (enum policy_act)act,
                                           .wish = &w,
                                           .by_itself = by_itself,
                                           .not_before = 1800000000 - 60 * 86400,
                                           .not_after = 1800000000 + 30 * 86400};
        struct policy_verdict v;
        policy_doc_judge(ctx, doc, &(struct policy_facts){.asked = &asked, .teams = teams, .teams_n = 2, .now = 1800000000}, &v);
        if (v.says != POLICY_ALLOWS && (v.rule == NULL || v.words == NULL))
            abort();
        if (v.says == POLICY_NEEDS && (v.approvals < 1 || by_itself))
            abort();
        if (by_itself && v.says == POLICY_FORBIDS && v.until > asked.not_after - POLICY_LAST_S)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct policy_problem *problems = NULL;
    const struct policy_named *teams = NULL;
    struct policy_doc *doc = NULL;
    size_t n = 0;
    if (size > POLICY_TEXT_MAX)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (rc_failed(policy_doc_read(&ctx, bytes_of(data, size), &problems, &n, &doc)))
        abort();
    if ((doc == NULL) != (n > 0) || n > POLICY_PROBLEMS_MAX)
        abort();
    for (size_t i = 0; i < n; i++)
        if (problems[i].words == NULL || problems[i].line < 0 || problems[i].column < 0)
            abort();
    if (doc == NULL)
        return 0;
    policy_doc_names(doc, POLICY_TEAM, &teams, &n);
    const char **ids = arena_array(&ctx.arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = teams[i].name;
    policy_doc_bind(doc, ids);
    ask(&ctx, doc, false);
    ask(&ctx, doc, true);
    policy_doc_drop(doc);
    return 0;
}
