/* Whatever a configuration looks like: reading it ends without harm, and a challenge put into any server block it shows goes away
 * again without a trace. */
#include "agent/nginx_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct ctx *ctx, struct bytes text, int line)
{
    BUF_CLEANUP struct buf with, without;
    size_t at;
    buf_init(&with, (size_t)1 << 20);
    buf_init(&without, (size_t)1 << 20);
    if (rc_failed(nginx_block_offset(ctx, "fuzz", text, line, &at)) ||
        rc_failed(nginx_challenge_insert(ctx, text, at, "Fuzz-token_0", "Fuzz-token_0.key", &with)))
        return;
    if (nginx_challenge_remove(buf_bytes(&with), "Fuzz-token_0", &without) != 1)
        abort();
    /* Where a comment may stand before it on its line, a line end is left behind rather than anything swallowed. */
    size_t grown = without.n - text.n;
    if (grown > (bytes_find(text, BYTES_LIT("#")) == SIZE_MAX ? 0 : 1) || (grown == 0 && !bytes_equal(buf_bytes(&without), text)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct nginx_conf conf;
    struct bytes text = bytes_of(data, size);
    if (size > 65536)
        return 0;
    ctx_init(&ctx, &clock_system);
    if (rc_ok(nginx_conf_read(&ctx, text, &conf)))
        for (size_t i = 0; i < conf.n; i++) {
            size_t n;
            for (size_t k = 0; k < conf.servers[i].n_pairs; k++)
                if (conf.servers[i].pairs[k].certificate[0] != '/' || conf.servers[i].pairs[k].key[0] != '/')
                    abort();
            nginx_find_http01(&ctx, &conf, "www.example.org", 80, &n);
        }
    if (bytes_find(text, BYTES_LIT("# certwright Fuzz-token_0")) == SIZE_MAX)
        for (int line = 1; line < 20; line++)
            round_trip(&ctx, text, line);
    return 0;
}
