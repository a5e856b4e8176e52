/* Configuration text: whatever is read is a tree that writes as JSON and reads back the same. */
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    if (rc_failed(yaml_read(&ctx, "fuzz", bytes_of(data, size), &y))) {
        if (!ctx_why(&ctx)[0])
            abort();
        return 0;
    }
    struct buf BUF_CLEANUP b;
    buf_init(&b, 16 << 20);
    struct json_out j;
    json_begin(&j, &b);
    json_put_value(&j, NULL, y.root);
    json_auto_t *back = NULL;
    if (rc_failed(buf_status(&b)) || rc_failed(json_read(&ctx, buf_bytes(&b), &back)) || !json_equal(back, y.root))
        abort();
    return 0;
}
