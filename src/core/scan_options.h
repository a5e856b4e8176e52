/* What was negotiated at an endpoint, as column endpoint.options keeps it: a JSON object. */
#ifndef CORE_SCAN_OPTIONS_H
#define CORE_SCAN_OPTIONS_H

#include "api/types.h"
#include "core/scan_part.h"

/* What is known of the endpoint. */
struct scan_options_before {
    const char *options; /* NULL: it was never looked at */
    bool same;           /* the leaf it showed is the one it shows now */
};

/* scan_options gives them after an observation.  What this scan did not ask (versions, groups, ALPN, stapling without details, the
 * proof of the key without verify, the second chain with one key) stays as it was.  `out` is NULL where nothing is known anew. */
RC scan_options(struct ctx *ctx, const struct scan_part *part, const struct api_observation *o,
                const struct scan_options_before *before, const char **out);
/* scan_options_needs_before: whether anything of what was there may stay. */
bool scan_options_needs_before(const struct scan_part *part, const struct api_observation *o);

#endif
