/* Whatever the records of a backup hold: they are read to the end or refused in words, no name leaves its folder, data has its
 * section, and how the bytes are cut into pieces makes no difference. */
#include "core/backup_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    int64_t sections, bytes, ends;
    bool open;
};

static struct rc section(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail)
{
    struct seen *s = arg;
    (void)ctx;
    (void)kind;
    (void)detail;
    if (s->open || !*name || name[0] == '.' || strchr(name, '/') || strlen(name) > BACKUP_NAME_MAX)
        abort();
    s->open = true;
    s->sections++;
    return RC_OK;
}

static struct rc piece(struct ctx *ctx, void *arg, struct bytes bytes)
{
    struct seen *s = arg;
    (void)ctx;
    if (!s->open)
        abort();
    s->bytes += (int64_t)bytes.n;
    return RC_OK;
}

static struct rc end(struct ctx *ctx, void *arg, int64_t count)
{
    struct seen *s = arg;
    (void)ctx;
    if (!s->open || count < 0)
        abort();
    s->open = false;
    s->ends++;
    return RC_OK;
}

static bool read_in(struct bytes data, size_t step, struct seen *seen)
{
    const struct backup_visitor v = {.arg = seen, .section = section, .data = piece, .end = end};
    CTX_CLEANUP struct ctx ctx = {0};
    struct backup_parser *p = NULL;
    ctx_init(&ctx, &clock_system);
    struct rc rc = backup_parser_new(&ctx, &v, &p);
    while (rc_ok(rc) && data.n) {
        const size_t n = data.n < step ? data.n : step;
        rc = backup_parse(&ctx, p, bytes_of(data.p, n));
        bytes_skip(&data, n);
    }
    if (rc_ok(rc))
        rc = backup_parse_end(&ctx, p, NULL);
    if (rc_failed(rc) && !*ctx_why(&ctx))
        abort();
    backup_parser_free(p);
    return rc_ok(rc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, pieces = {0};
    const bool one = read_in(bytes_of(data, size), size + 1, &whole), other = read_in(bytes_of(data, size), 7, &pieces);
    if (one != other || whole.sections != pieces.sections || whole.bytes != pieces.bytes || whole.ends != pieces.ends)
        abort();
    return 0;
}
