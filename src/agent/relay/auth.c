#include "agent/relay/push.h"

#define AUTH(symbol, name, must, may) extern const struct push_auth auth_##symbol;
#include "agent/relay/auth.def"
#undef AUTH

static const struct push_auth *const families[] = {
#define AUTH(symbol, name, must, may) &auth_##symbol,
#include "agent/relay/auth.def"
#undef AUTH
};

const struct push_auth *push_auth_find(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i]->name, name) == 0)
            return families[i];
    return NULL;
}
