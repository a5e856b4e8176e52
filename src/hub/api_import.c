/* Lists that are brought into the inventory. */
#include "core/import.h"
#include "hub/api.h"

RC api_import_put(struct api_call *call, const struct api_import_chunk *in, struct api_import_done *out)
{
    return import_put(call->ctx, call->core, in, out);
}
