/* Whatever another ACME client's file holds: an edit that is made twice is made once, and undoing it gives the file back byte for
 * byte. The first byte chooses the client. */
#include <stdlib.h>

#include "agent/adopt_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes make_all(struct ctx *ctx, const struct adopt_edit *e, size_t n, struct bytes text)
{
    for (size_t i = 0; i < n; i++) {
        struct bytes out = text;
        if (adopt_edit_make(ctx, &e[i], text, &out) == ADOPT_EDIT_LOST)
            abort();
        text = out;
    }
    return text;
}

static struct bytes undo_all(struct ctx *ctx, const struct adopt_edit *e, size_t n, struct bytes text)
{
    for (size_t i = n; i-- > 0;) {
        struct bytes out = text;
        if (adopt_edit_undo(ctx, &e[i], text, &out) == ADOPT_EDIT_LOST)
            abort();
        text = out;
    }
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum lineage_client clients[] = {LINEAGE_CERTBOT, LINEAGE_ACME_SH, LINEAGE_DEHYDRATED};
    CTX_CLEANUP struct ctx ctx = {0};
    struct adopt_edit edits[ADOPT_EDITS_MAX] = {0};
    const char *why = NULL;
    size_t n = 0;
    if (size < 1 || size > 65536)
        return 0;
    ctx_init(&ctx, &clock_system);
    const struct bytes text = bytes_of(data + 1, size - 1);
    if (rc_failed(adopt_edit_plan(&ctx, clients[data[0] % 3], "a.example.org", "/f", text, edits, &n, &why)))
        return 0;
    const struct bytes made = make_all(&ctx, edits, n, text);
    if (!bytes_equal(make_all(&ctx, edits, n, made), made))
        abort();
    const struct bytes undone = undo_all(&ctx, edits, n, made);
    if (!bytes_equal(undone, text) || !bytes_equal(undo_all(&ctx, edits, n, undone), text))
        abort();
    return 0;
}
