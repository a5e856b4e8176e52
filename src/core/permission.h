/* Sets of permissions.  They are kept as lists of names: which bit stands for a name is this build's own affair. */
#ifndef CORE_PERMISSION_H
#define CORE_PERMISSION_H

#include "api/permissions.h"
#include "base/ctx.h"
#include "base/str.h"

static inline bool permission_in(const struct permission_set *s, size_t bit)
{
    return s->bits[bit / 64] >> (bit % 64) & 1;
}
static inline void permission_add(struct permission_set *s, size_t bit)
{
    s->bits[bit / 64] |= (uint64_t)1 << (bit % 64);
}
struct permission_set permission_both(const struct permission_set *a, const struct permission_set *b); /* what is in both */
void permission_join(struct permission_set *to, const struct permission_set *more);
/* permission_beyond names the first of `s` that is not in `limit`; NULL where there is none. */
const char *permission_beyond(const struct permission_set *s, const struct permission_set *limit);

/* permission_set_read reads a list that was kept.  What this build does not know is skipped, with a line of the log. */
RC permission_set_read(struct ctx *ctx, const char *json, const char *whose, struct permission_set *out);
/* permission_set_of makes the set of names that somebody asks for: E_INVALID at `field` where one is not known, or where something
 * may be changed that may not be read (issuer.update without issuer.read). */
RC permission_set_of(struct ctx *ctx, const char *const *names, size_t n, const char *field, struct permission_set *out);
/* permission_set_match adds what a pattern of core/roles.def means: a permission, "noun.*", "*.verb" or "*"; a '-' before it takes
 * away.  False where it means nothing. */
bool permission_set_match(const char *pattern, struct permission_set *s);

struct str_list permission_set_names(struct ctx *ctx, const struct permission_set *s);
const char *permission_set_json(struct ctx *ctx, const struct permission_set *s);

#endif
