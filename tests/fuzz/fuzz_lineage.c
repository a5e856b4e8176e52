/* Whatever another ACME client's files hold: reading them ends without harm, and what is told of them is text of a bounded length.
 * The first byte chooses the reader. */
#include <stdlib.h>
#include <string.h>

#include "agent/lineage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
    if (text == NULL || strlen(text) > 2 * LINEAGE_TEXT_MAX + 100 || !str_is_utf8(bytes_z(text)))
        abort();
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct lineage l = {.name = "www.example.org", .settings = "", .ca = "", .error = ""};
    if (size < 1 || size > 65536)
        return 0;
    ctx_init(&ctx, &clock_system);
    const struct bytes text = bytes_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        lineage_text_certbot(&ctx, text, 1790000000, 1797776000, &l);
        break;
    case 1:
        lineage_text_certbot_log(&ctx, text, &l);
        break;
    case 2:
        lineage_text_acme_sh(&ctx, text, &l);
        break;
    case 3:
        lineage_text_dehydrated(&ctx, text, 1797776000, &l);
        break;
    default:
        l.client = data[0] % 6 == 4 ? LINEAGE_LEGO : LINEAGE_CADDY;
        lineage_text_json(&ctx, text, 1790000000, 1797776000, &l);
    }
    check(l.name);
    check(l.ca);
    check(l.error);
    return 0;
}
