/* How everything is. */
#include "base/version.h"
#include "core/status.h"
#include "hub/api.h"

RC api_status_get(struct api_call *call, struct api_status *out)
{
    struct ctx *ctx = call->ctx;
    struct status st;
    TRY(core_status(ctx, call->core, &st));
    struct api_status_problem *items = arena_array(&ctx->arena, st.n + 1, sizeof *items);
    size_t n = 0;
    for (size_t i = 0; i < st.n; i++)
        items[n++] = (struct api_status_problem){
            .object = st.problems[i].object, .text = st.problems[i].text, .command = st.problems[i].remedy};
    if (call->hub->sandbox && bytes_starts_with(bytes_z(call->hub->sandbox), BYTES_LIT("none")))
        items[n++] = (struct api_status_problem){.object = "hub",
                                                 .text = "the roles run without a sandbox (--no-sandbox)",
                                                 .command = "start certwright without --no-sandbox"};
    *out = (struct api_status){.text = st.text,
                               .healthy = !n,
                               .problems = {items, n},
                               .version = CERTWRIGHT_VERSION,
                               .sandbox = call->hub->sandbox,
                               .started_at = call->hub->started_at};
    return RC_OK;
}
