#include "core/scan_part.h"

#include "api/types.h"
#include "base/json.h"
#include "base/str.h"

#define PLACES_MAX (UINT64_C(1) << 48)

struct scan_part_target {
    const char *name; /* "": none is asked for */
    struct cidr net;  /* base.len 0: addresses of the name */
};

/* --- the sorted lists */

static int compare(const void *a_, const void *b_)
{
    const struct scan_part_target *a = a_, *b = b_;
    int c = strcmp(a->name, b->name);
    if (c == 0)
        c = (a->net.base.len > b->net.base.len) - (a->net.base.len < b->net.base.len);
    if (c == 0)
        c = memcmp(a->net.base.ip, b->net.base.ip, a->net.base.len);
    return c ? c : (a->net.bits > b->net.bits) - (a->net.bits < b->net.bits); /* the larger first */
}

static bool within(const struct scan_part_target *outer, const struct scan_part_target *t)
{
    return str_equal(outer->name, t->name) && (cidr_has(&outer->net, &t->net.base) || (!outer->net.base.len && !t->net.base.len));
}

static void sort(struct scan_part_target *v, size_t *n)
{
    size_t kept = 0;
    if (*n)
        qsort(v, *n, sizeof *v, compare);
    for (size_t i = 0; i < *n; i++)
        if (!kept || !within(&v[kept - 1], &v[i]))
            v[kept++] = v[i];
    *n = kept;
}

static bool has(const struct scan_part_target *v, size_t n, const char *name, const struct address *a)
{
    const struct scan_part_target key = {.name = name, .net = {.base = *a, .bits = 255}};
    size_t low = 0, high = n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (compare(&v[mid], &key) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && within(&v[low - 1], &key);
}

/* --- reading */

const char *scan_part_name(struct ctx *ctx, const char *name)
{
    struct bytes b = bytes_z(name ? name : "");
    if (b.n > 1 && b.p[b.n - 1] == '.')
        b.n--;
    char *out = arena_str(&ctx->arena, b);
    for (char *p = out; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    return out;
}

static bool target_read(struct ctx *ctx, const char *text, struct scan_part_target *out)
{
    struct bytes rest = bytes_z(text), name = {0};
    const size_t at = bytes_find(rest, BYTES_LIT("@"));
    *out = (struct scan_part_target){.name = ""};
    if (at != SIZE_MAX) {
        name = bytes_of(rest.p, at);
        bytes_skip(&rest, at + 1);
    }
    if (cidr_parse(rest, &out->net)) {
        out->name = scan_part_name(ctx, arena_str(&ctx->arena, name));
        return true;
    }
    out->net = (struct cidr){0};
    out->name = scan_part_name(ctx, text);
    return at == SIZE_MAX && *text;
}

static void list_read(struct ctx *ctx, const struct api_strings *texts, struct scan_part_target **out, size_t *n)
{
    *out = arena_array(&ctx->arena, texts->n + 1, sizeof **out);
    *n = 0;
    for (size_t i = 0; i < texts->n; i++)
        *n += target_read(ctx, texts->v[i], &(*out)[*n]);
    sort(*out, n);
}

static uint64_t ports_read(struct scan_part *p, const struct api_strings *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        struct bytes rest = bytes_z(texts->v[i]), number = rest;
        int64_t port = 0;
        if (bytes_find(rest, BYTES_LIT("/")) != SIZE_MAX)
            (void)bytes_take_until(&rest, '/', &number);
        if (str_to_i64(number, &port) && port >= 1 && port <= 65535)
            p->ports[port / 8] = (uint8_t)(p->ports[port / 8] | 1 << port % 8);
    }
    return texts->n ? texts->n : 1;
}

/* As the agent counts: each as often as it was named. */
static void measure(struct ctx *ctx, struct scan_part *p, const struct api_strings *targets, uint64_t ports)
{
    uint64_t names = 0, addresses = 0;
    for (size_t i = 0; i < targets->n; i++) {
        struct scan_part_target t;
        const bool good = target_read(ctx, targets->v[i], &t);
        const unsigned bits = t.net.base.len * 8u - t.net.bits;
        names += good && !t.net.base.len;
        if (t.net.base.len && addresses < PLACES_MAX)
            addresses += UINT64_C(1) << (bits < 48 ? bits : 48);
    }
    const uint64_t places = addresses + names * SCAN_NAME_PLACES;
    p->positions = addresses + names > PLACES_MAX / ports ? PLACES_MAX : (addresses + names) * ports;
    p->places = places > PLACES_MAX / ports ? PLACES_MAX : places * ports;
}

static struct rc granted_read(struct ctx *ctx, const char *text, struct scan_part *p)
{
    json_auto_t *root = NULL;
    const json_t *list = NULL, *v;
    size_t i;
    TRY(json_read(ctx, bytes_z(text), &root));
    TRY(json_get_list(ctx, root, "networks", false, &list));
    p->granted = arena_array(&ctx->arena, json_array_size(list) + 1, sizeof *p->granted);
    json_array_foreach((json_t *)(uintptr_t)list, i, v) if (json_is_string(v))
        p->granted_n += cidr_parse(bytes_z(json_string_value(v)), &p->granted[p->granted_n]);
    return RC_OK;
}

RC scan_part_read(struct ctx *ctx, const char *payload, const char *granted, struct scan_part **out)
{
    json_auto_t *root = NULL;
    struct api_job_scan job;
    struct scan_part *p = arena_alloc(&ctx->arena, sizeof *p);
    *p = (struct scan_part){0};
    TRY(json_read(ctx, bytes_z(payload), &root));
    TRY(api_job_scan_decode(ctx, root, &job));
    p->id = job.scan;
    p->both_keys = job.both_keys;
    p->details = job.details;
    p->verify = job.verify;
    list_read(ctx, &job.targets, &p->targets, &p->targets_n);
    list_read(ctx, &job.exclude, &p->exclude, &p->exclude_n);
    measure(ctx, p, &job.targets, ports_read(p, &job.ports));
    TRY(granted_read(ctx, granted, p));
    *out = p;
    return RC_OK;
}

/* --- asking */

bool scan_part_resolves(const struct scan_part *p, const char *name)
{
    return *name && has(p->targets, p->targets_n, name, &(struct address){0});
}

bool scan_part_has(const struct scan_part *p, const struct address *a, int64_t port, const char *name)
{
    if (port < 1 || port > 65535 || !(p->ports[port / 8] >> port % 8 & 1) || has(p->exclude, p->exclude_n, "", a))
        return false;
    if (has(p->targets, p->targets_n, name, a))
        return true;
    bool granted = false;
    for (size_t i = 0; i < p->granted_n && !granted; i++)
        granted = cidr_grants(&p->granted[i], a);
    return granted && scan_part_resolves(p, name);
}
