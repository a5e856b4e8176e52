/* JSON: what is read and written by the builder reads back the same; any bytes at all make a valid string. */
#include "base/json.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct buf BUF_CLEANUP b;
    buf_init(&b, (size + 16) * 8);
    struct json_out j;

    json_begin(&j, &b);
    json_put_bytes_str(&j, NULL, bytes_of(data, size));
    json_error_t error;
    json_auto_t *text = json_loadb((const char *)b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!text || (str_is_utf8(bytes_of(data, size)) &&
                  !bytes_equal(bytes_of(data, size), bytes_of(json_string_value(text), json_string_length(text)))))
        abort();

    json_auto_t *v = NULL, *back = NULL;
    if (rc_failed(json_read(&ctx, bytes_of(data, size), &v)))
        return 0;
    buf_reset(&b);
    json_begin(&j, &b);
    json_put_value(&j, NULL, v);
    if (rc_failed(buf_status(&b)) || rc_failed(json_read(&ctx, buf_bytes(&b), &back)) || !json_equal(v, back))
        abort();
    return 0;
}
