/* What the audit log costs: the CPU time to prove an export of a million entries, beside hashing the same bytes alone, and what an entry
 * costs where it is written (its text and the hash of its leaf). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/encode.h"
#include "cli/audit_file.h"
#include "pki/digest.h"
#include "pki/key.h"

#define ENTRIES ((uint64_t)1000000)
#define LEVELS  21

/* Every hash of the tree, level by level. */
static uint8_t (*levels[LEVELS])[MERKLE_LEN];

static struct rc node_of(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN])
{
    (void)ctx, (void)arg;
    memcpy(out, levels[level][index], MERKLE_LEN);
    return RC_OK;
}

static void must(struct ctx *ctx, struct rc rc)
{
    if (rc_ok(rc))
        return;
    fprintf(stderr, "%s\n", ctx_why(ctx));
    exit(1);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void entry_put(struct buf *b, uint64_t i)
{
    char object[32], request[33];
    snprintf(object, sizeof object, "01m7zz%020llu", (unsigned long long)i);
    snprintf(request, sizeof request, "%032llx", (unsigned long long)(i * 0x9e3779b97f4a7c15u));
    const struct audit_entry e = {.at = 1764000000 + (int64_t)i,
                                  .principal = "token:deploy",
                                  .peer = "192.0.2.17",
                                  .action = "managed-certificate.update",
                                  .object_kind = "managed-certificate",
                                  .object_id = object,
                                  .team_id = "01m7zzbemwfjc38smzp52fa6hb",
                                  .request_id = request,
                                  .detail = "{\"after\":{\"validity_s\":4060800},\"before\":{\"validity_s\":7776000}}"};
    audit_entry_put(b, &e);
}

static void grow(struct ctx *ctx)
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, AUDIT_ENTRY_MAX);
    for (unsigned level = 0; level < LEVELS; level++)
        levels[level] = malloc(((ENTRIES >> level) + 1) * MERKLE_LEN);
    const double from = cpu_s();
    for (uint64_t i = 0; i < ENTRIES; i++) {
        buf_reset(&b);
        entry_put(&b, i);
        must(ctx, merkle_leaf(ctx, buf_bytes(&b), levels[0][i]));
    }
    printf("audit: an entry's text and hash %.2f us\n", (cpu_s() - from) * 1e6 / (double)ENTRIES);
    for (unsigned level = 1; level < LEVELS; level++)
        for (uint64_t i = 0; i < ENTRIES >> level; i++)
            must(ctx, merkle_node(ctx, levels[level - 1][i * 2], levels[level - 1][i * 2 + 1], levels[level][i]));
}

static void head_line(struct ctx *ctx, struct buf *out, uint8_t root[MERKLE_LEN])
{
    struct key *key KEY_CLEANUP = NULL;
    struct merkle_head head = {.log = MERKLE_AUDIT_LOG, .size = ENTRIES, .at = 1765000000};
    struct buf text;
    struct bytes signature;
    struct json_out j;
    memcpy(head.root, root, MERKLE_LEN);
    buf_init_arena(&text, &ctx->arena, 1024);
    merkle_head_put(&text, &head);
    must(ctx, key_generate(ctx, KEY_EC_P256, &key));
    must(ctx, key_sign(ctx, key, buf_bytes(&text), &signature));
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    json_put_str(&j, "certwright", "audit-export");
    json_put_int(&j, "version", 1);
    json_put_bool(&j, "all", true);
    json_put_int(&j, "from", 0);
    json_open_obj(&j, "head");
    json_put_str(&j, "log", head.log);
    json_put_int(&j, "size", (int64_t)head.size);
    json_put_base64(&j, "root", bytes_of(root, MERKLE_LEN));
    json_put_time(&j, "at", head.at);
    json_put_base64(&j, "signature", signature);
    json_put_base64(&j, "key", key_spki(key));
    json_close(&j);
    json_close(&j);
    buf_put_u8(out, '\n');
}

static void export_make(struct ctx *ctx, struct buf *out)
{
    uint8_t root[MERKLE_LEN];
    struct merkle_walk walk;
    struct merkle_path path;
    must(ctx, merkle_root(ctx, node_of, NULL, ENTRIES, root));
    head_line(ctx, out, root);
    merkle_walk_begin(&walk, ENTRIES, root);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        must(ctx, merkle_walk_path(ctx, &walk, node_of, NULL, i, &path));
        buf_printf(out, "{\"n\":%llu,\"proof\":[", (unsigned long long)i);
        for (size_t k = 0; k < path.n; k++) {
            buf_put_z(out, k ? ",\"" : "\"");
            put_base64(out, bytes_of(path.hash[k], MERKLE_LEN));
            buf_put_u8(out, '"');
        }
        buf_put_z(out, "],\"entry\":");
        entry_put(out, i);
        buf_put_z(out, "}\n");
    }
    must(ctx, buf_status(out));
}

int main(void)
{
    static struct audit_file f;
    struct ctx ctx CTX_CLEANUP = {0};
    struct buf out BUF_CLEANUP = {0};
    ctx_init(&ctx, &clock_system);
    buf_init(&out, (size_t)2 << 30);
    grow(&ctx);
    export_make(&ctx, &out);
    uint8_t all[MERKLE_LEN];
    double from = cpu_s();
    must(&ctx, digest_sha256(&ctx, buf_bytes(&out), all));
    const double hashing = cpu_s() - from;
    from = cpu_s();
    audit_file_begin(&f, &clock_system);
    struct bytes rest = buf_bytes(&out), line;
    while (bytes_take_line(&rest, &line))
        must(&ctx, audit_file_line(&ctx, &f, line));
    must(&ctx, audit_file_finish(&ctx, &f));
    printf("audit: an export of %lld entries (%zu MB) is proved in %.2f s of CPU; hashing its bytes alone takes %.2f s\n",
           (long long)f.entries, out.n >> 20, cpu_s() - from, hashing);
    audit_file_end(&f);
    return 0;
}
