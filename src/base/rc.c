#include "base/rc.h"

#include <string.h>
#include <strings.h>

static const struct err_info infos[E_COUNT] = {
#define ERROR(name, word, category, retryable, http, acme, exit, text)                                                             \
    [E_##name] = {word, category, retryable, http, acme, exit, text},
#include "base/errors.def"
#undef ERROR
};

const struct err_info *err_info(enum err e)
{
    return (unsigned)e < E_COUNT ? &infos[e] : &infos[E_BUG];
}

enum err err_by_name(const char *name)
{
    for (unsigned i = 0; name && i < E_COUNT; i++)
        if (!strcasecmp(infos[i].name, name))
            return (enum err)i;
    return E_BUG;
}
