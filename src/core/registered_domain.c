/* libpsl5 (Debian main) rather than a copy of the list in the source: the list changes every week, Debian carries both the library
 * and the list (package publicsuffix) as security-relevant data, and libcurl depends on it, so it is installed with us anyway. Only
 * the hub counts by domain, so only the hub loads it. */
#include "core/registered_domain.h"

#include <arpa/inet.h>
#include <libpsl.h>

#include "base/str.h"
#include "os/library.h"

static struct {
    psl_ctx_t *(*latest)(const char *file);
    const char *(*registrable)(const psl_ctx_t *list, const char *domain);
    const psl_ctx_t *list; /* for the life of the process */
} psl;

RC registered_domain_load(struct ctx *ctx)
{
    const struct library_function functions[] = {
        {"psl_latest", (void **)&psl.latest},
        {"psl_registrable_domain", (void **)&psl.registrable},
    };
    if (psl.list)
        return RC_OK;
    TRY(library_load(ctx, "libpsl.so.5", "libpsl5", functions, sizeof functions / sizeof *functions));
    psl.list = psl.latest("/usr/share/publicsuffix/public_suffix_list.dafsa");
    return psl.list
               ? RC_OK
               : ctx_fail(ctx, E_UNSUPPORTED, "libpsl has no list of public suffixes; install it with: apt install publicsuffix");
}

const char *registered_domain(struct ctx *ctx, const char *name)
{
    struct in6_addr six;
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    if (inet_pton(AF_INET6, name, &six) == 1) {
        char text[INET6_ADDRSTRLEN];
        memset(six.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &six, text, sizeof text);
        return arena_printf(&ctx->arena, "%s/64", text);
    }
    struct in_addr four;
    if (!psl.list || inet_pton(AF_INET, name, &four) == 1)
        return arena_strdup(&ctx->arena, name);
    const char *found = psl.registrable(psl.list, name);
    return arena_strdup(&ctx->arena, found ? found : name);
}
