#include "agent/probe/scan_batch.h"

#include "base/json.h"
#include "pki/digest.h"

#define FULL_BYTES    ((size_t)256 << 10)
#define ITEMS_MAX     1900 /* of a list of the API: 2,000 */
#define PART_MAX      ((size_t)900 << 10)
#define OCSP_MAX      16384
#define REMEMBERED    32768 /* certificates */

struct scan_batch {
    struct buf certificates, observations; /* elements of the two lists */
    size_t certificates_n, observations_n;
    uint8_t (*sent)[SHA256_LEN]; /* by the first bytes of the fingerprint: one that is forgotten is sent again */
};

struct scan_batch *scan_batch_new(void)
{
    struct scan_batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->sent = calloc(REMEMBERED, sizeof *b->sent);
    if (b->sent == NULL) {
        free(b);
        return NULL;
    }
    buf_init(&b->certificates, PART_MAX);
    buf_init(&b->observations, PART_MAX);
    return b;
}

void scan_batch_free(struct scan_batch *b)
{
    if (b == NULL)
        return;
    buf_free(&b->certificates);
    buf_free(&b->observations);
    free(b->sent);
    free(b);
}

bool scan_batch_is_full(const struct scan_batch *b)
{
    return b->certificates.n + b->observations.n >= FULL_BYTES || b->observations_n >= ITEMS_MAX || b->certificates_n >= ITEMS_MAX;
}

static bool is_new(struct scan_batch *b, const uint8_t print[SHA256_LEN])
{
    uint8_t *slot = b->sent[(print[0] << 8 | print[1]) % REMEMBERED];
    if (memcmp(slot, print, SHA256_LEN) == 0)
        return false;
    memcpy(slot, print, SHA256_LEN);
    return true;
}

static void put_certificate(struct scan_batch *b, struct bytes der)
{
    struct json_out j;
    if (b->certificates_n++ > 0)
        buf_put_u8(&b->certificates, ',');
    json_begin(&j, &b->certificates);
    json_open_obj(&j, NULL);
    json_put_base64(&j, "der", der);
    json_close(&j);
}

static void put_chain(struct ctx *ctx, struct scan_batch *b, struct json_out *j, const struct scan_chain *c)
{
    json_open_obj(j, NULL);
    json_open_list(j, "fingerprints");
    for (size_t i = 0; i < c->n; i++) {
        uint8_t print[SHA256_LEN];
        if (rc_failed(digest_sha256(ctx, c->v[i], print)))
            continue;
        json_put_hex(j, NULL, bytes_of(print, sizeof print));
        if (is_new(b, print))
            put_certificate(b, c->v[i]);
    }
    json_close(j);
    const char *const texts[][2] = {{"version", c->version}, {"cipher", c->cipher}, {"group", c->group}};
    for (size_t i = 0; i < 3; i++)
        if (*texts[i][1] != '\0')
            json_put_str(j, texts[i][0], texts[i][1]);
    json_close(j);
}

static void put_texts(struct json_out *j, const char *key, const char *const *v, size_t n)
{
    if (n == 0)
        return;
    json_open_list(j, key);
    for (size_t i = 0; i < n; i++)
        json_put_str(j, NULL, v[i]);
    json_close(j);
}

static void put_tls(struct ctx *ctx, struct scan_batch *b, struct json_out *j, const struct scan_result *r)
{
    json_open_list(j, "chains");
    for (size_t i = 0; i < r->chains_n; i++)
        put_chain(ctx, b, j, &r->chains[i]);
    json_close(j);
    if (r->verified)
        json_put_bool(j, "verified", true);
    if (bytes_equal_z(r->alpn, "h2") || bytes_equal_z(r->alpn, "http/1.1")) /* nothing else was offered, whatever it says */
        json_put_bytes_str(j, "alpn", r->alpn);
    if (r->ocsp.n > 0 && r->ocsp.n <= OCSP_MAX)
        json_put_base64(j, "ocsp", r->ocsp);
    if (r->asks_certificate)
        json_put_bool(j, "asks_certificate", true);
}

void scan_batch_add(struct ctx *ctx, struct scan_batch *b, const struct scan_result *r, int64_t now_s)
{
    struct json_out j;
    const bool silent = r->state == SCAN_SILENT || r->state == SCAN_REFUSED || r->state == SCAN_UNREACHABLE;
    if (silent && !r->single)
        return;
    if (b->observations_n++ > 0)
        buf_put_u8(&b->observations, ',');
    json_begin(&j, &b->observations);
    json_open_obj(&j, NULL);
    json_put_str(&j, "address", r->address.len > 0 ? address_str(&ctx->arena, &r->address) : "");
    json_put_int(&j, "port", r->address.port);
    if (*r->name != '\0')
        json_put_str(&j, "name", r->name);
    if (r->starttls != STARTTLS_NONE)
        json_put_str(&j, "starttls", starttls_name(r->starttls));
    json_put_int(&j, "seen_at", now_s);
    json_put_str(&j, "state", scan_state_name(r->state));
    if (r->state == SCAN_ALERT)
        json_put_int(&j, "alert", r->alert);
    if (*r->detail != '\0')
        json_put_str(&j, "detail", r->detail);
    json_put_int(&j, "took_ms", r->took_ms);
    if (r->state == SCAN_TLS)
        put_tls(ctx, b, &j, r);
    put_texts(&j, "versions", r->versions, r->versions_n); /* known of some that show no certificate too */
    put_texts(&j, "groups", r->groups, r->groups_n);
    json_close(&j);
}

static void put_counts(struct json_out *j, const struct scan_counts *c)
{
    json_put_int(j, "probed", (int64_t)c->probed);
    json_put_int(j, "found", (int64_t)c->found);
    json_put_int(j, "silent", (int64_t)c->silent);
    json_put_int(j, "refused", (int64_t)c->refused);
    json_put_int(j, "failed", (int64_t)c->failed);
    json_put_int(j, "skipped", (int64_t)c->skipped);
    json_put_int(j, "connections", (int64_t)c->connections);
}

RC scan_batch_take(struct ctx *ctx, struct scan_batch *b, const struct scan_batch_head *head, struct buf *out)
{
    struct json_out j;
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    json_put_str(&j, "scan", head->scan);
    json_put_str(&j, "batch", head->id);
    json_put_int(&j, "position", (int64_t)head->position);
    json_put_int(&j, "total", (int64_t)head->total);
    put_counts(&j, &head->counts);
    json_put_int(&j, "rate", head->rate);
    json_open_list(&j, "certificates");
    json_put_raw(&j, NULL, buf_bytes(&b->certificates));
    json_close(&j);
    json_open_list(&j, "observations");
    json_put_raw(&j, NULL, buf_bytes(&b->observations));
    json_close(&j);
    json_close(&j);
    const bool failed = rc_failed(buf_status(&b->certificates)) || rc_failed(buf_status(&b->observations)) ||
                        rc_failed(buf_status(out));
    buf_reset(&b->certificates);
    buf_reset(&b->observations);
    b->certificates_n = b->observations_n = 0;
    return failed ? ctx_fail(ctx, E_TOO_LARGE, "what was found in %s is too much for one message", head->scan) : RC_OK;
}
