#include "os/library.h"

#include <dlfcn.h>

RC library_load(struct ctx *ctx, const char *soname, const char *package, const struct library_function *functions, size_t n)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "%s; install it with: apt install %s", dlerror(), package);
    for (size_t i = 0; i < n; i++) {
        *functions[i].at = dlsym(library, functions[i].name);
        if (*functions[i].at == NULL)
            return ctx_fail(ctx, E_UNSUPPORTED, "%s is too old: it lacks %s", soname, functions[i].name);
    }
    return RC_OK;
}
