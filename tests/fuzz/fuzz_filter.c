/* Whatever is asked for certificates: read or refused, and what is written of it reads as the same. */
#include "core/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct filter *f, unsigned depth)
{
    int64_t from, to;
    if (depth > 3 * (FILTER_DEPTH_MAX + 2))
        abort();
    if (f->kind == FILTER_TEST) {
        if (filter_field_type(f->field) == FILTER_TYPE_TIME || filter_field_type(f->field) == FILTER_TYPE_PAST)
            filter_bounds(f, 1800000000, &from, &to);
        return;
    }
    if (f->first == NULL || (f->kind == FILTER_NOT && f->first->next))
        abort();
    for (f = f->first; f; f = f->next)
        check(f, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct filter *f = NULL, *again = NULL;
    if (size > FILTER_TEXT_MAX + 16 || memchr(data, 0, size) != NULL)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (rc_failed(filter_parse(&ctx, arena_str(&ctx.arena, bytes_of(data, size)), &f))) {
        if (ctx.trail == NULL || ctx.field == NULL)
            abort();
        return 0;
    }
    if (f == NULL)
        return 0;
    check(f, 0);
    const char *text = filter_text(&ctx, f);
    if (strlen(text) > FILTER_TEXT_MAX) /* what it writes may be longer than what it reads */
        return 0;
    if (rc_failed(filter_parse(&ctx, text, &again)) || strcmp(filter_text(&ctx, again), text) != 0)
        abort();
    return 0;
}
