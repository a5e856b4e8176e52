/* Whatever a list holds: read record by record to its end, fields within their ceilings, and always further on. */
#include "base/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct bytes fields[CSV_FIELDS_MAX];
    struct csv csv = csv_begin(bytes_of(data, size));
    bool found = true;
    ctx_init(&ctx, &clock_system);
    for (size_t left = csv.rest.n, n = 0; found; left = csv.rest.n) {
        const struct rc rc = csv_next(&ctx, &csv, fields, &n, &found);
        if (found && csv.rest.n >= left)
            abort();
        if (rc_failed(rc)) {
            if (ctx.trail == NULL || !found)
                abort();
            ctx_forget(&ctx);
            continue;
        }
        if (n > CSV_FIELDS_MAX || (found && n == 0))
            abort();
        size_t all = 0;
        for (size_t i = 0; i < n; i++) {
            if (fields[i].n > CSV_FIELD_MAX)
                abort();
            for (size_t k = 0; k < fields[i].n; k++)
                all += fields[i].p[k];
        }
        if (all == SIZE_MAX)
            abort();
    }
    return 0;
}
