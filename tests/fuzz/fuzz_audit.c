/* Whatever an export holds: its lines are read to the end, a fault is told in words, and what is proved once is proved however the
 * lines are formatted. */
#include "cli/audit_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rc read_all(struct ctx *ctx, struct audit_file *f, struct bytes in)
{
    struct bytes line;
    while (in.n) {
        if (!bytes_take_line(&in, &line)) {
            line = in;
            in.n = 0;
        }
        const int64_t proved = f->entries;
        TRY(audit_file_line(ctx, f, line));
        if (f->entries > proved + 1 || (f->begun && f->entries > (int64_t)f->head.head.size))
            abort();
    }
    return audit_file_finish(ctx, f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct audit_file f;
    CTX_CLEANUP struct ctx ctx = {0};
    struct audit_file_head head;
    struct bytes first, rest = bytes_of(data, size);
    ctx_init(&ctx, &clock_system);
    audit_file_begin(&f, &clock_system);
    if (rc_failed(read_all(&ctx, &f, rest)) && !*ctx_why(&ctx))
        abort();
    audit_file_end(&f);
    ctx_forget(&ctx);
    if (!bytes_take_line(&rest, &first))
        first = rest;
    if (rc_ok(audit_file_head_read(&ctx, first, &head))) {
        /* It is its own past. */
        audit_file_begin(&f, &clock_system);
        audit_file_after(&f, &head.head);
        struct rc rc = read_all(&ctx, &f, bytes_of(data, size));
        if (rc_ok(rc) && !f.extended)
            abort();
        audit_file_end(&f);
    }
    return 0;
}
