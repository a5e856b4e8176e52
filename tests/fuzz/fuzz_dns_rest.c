/* DNS providers: a description of any shape is read or refused; whatever a provider says is at a name, others' values go back as
 * they came and ours is in no set that it was taken out of. */
#include "agent/relay/dns_set.h"
#include "agent/relay/dns_text.h"
#include "agent/relay/dns_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OURS "DGyRejmCefe7v4NfDGDKfA_-pXq0m5bUoO7ndL7Vq-0"

static const struct push_desc desc = {.transport = "https", .family = "header"};
static const struct connector provider = {.name = "fuzz"};
static const struct push_wish wish = {.description = &provider};
static const struct wire_relay_dns in = {.verb = WIRE_relay_dns_verb_add, .name = "_acme-challenge.example.org", .value = OURS};

static const struct dns_desc forms[] = {
    {.each = "\"{item}\"", .item_pointer = "", .has_values = true},
    {.each = "{\"content\": \"\\\"{item}\\\"\"}", .item_pointer = "/content", .has_values = true},
    {.each = "{\"value\": [\"{item}\"]}", .item_pointer = "/value/0", .has_values = true},
    {.each_text = "<Value>{item|xml}</Value>", .item_pointer = "", .has_values = true},
};

static const struct push_step steps[] = {
    {.reads = {{.name = "values", .from = {.json = "/v"}, .as = {{"tree"}, 1}, .optional = true}}, .n_reads = 1},
    {.reads = {{.name = "values",
                .from = {.json = "/v", .find = "/l", .where = {{{"/n", "{name}"}}, 1}},
                .as = {{"tree"}, 1},
                .optional = true}},
     .n_reads = 1},
    {.reads = {{.name = "values", .from = {.every = {"<V>", "</V>"}}, .optional = true}}, .n_reads = 1},
    {.reads = {{.name = "values", .from = {.between = {"<S>", "</S>"}, .every = {"<V>", "</V>"}}, .optional = true}}, .n_reads = 1},
    {.reads = {{.name = "id", .from = {.json = "/id", .find = "/l", .txt = "/t"}, .optional = true}}, .n_reads = 1},
};

/* All records of a zone, as XML. */
static const struct dns_desc whole = {
    .has_records = true,
    .records = {.ours = {{{"N", "{name}"}, {"T", "TXT"}, {"A", "{value}"}}, 3},
                .same = {{"N", "T"}, 2},
                .text = "A",
                .send = {{{"Host", "N"}, {"Kind", "T"}, {"Data", "A"}}, 3},
                .only = {{"T", {{"A", "MX", "TXT"}, 3}}, {"I", {{NULL}, 0}}},
                .n_only = 2,
                .must = {{"e", {{"NONE"}, 1}}},
                .n_must = 1},
};
static const struct push_step zone_step = {
    .reads = {{.name = "records", .from = {.element = "Z", .children = "h"}}, {.name = "e", .from = {.element = "Z", .attribute = "E"}}},
    .n_reads = 2};

/* What is sent has no byte but those of a form, and ours once. */
static void look_at_zone(struct ctx *ctx, struct push_session *s)
{
    struct dns_zone zone;
    struct bytes was, values, others;
    size_t more;
    bool there;
    if (rc_failed(dns_zone_read(ctx, s, &whole, &in, &zone, &there)))
        return;
    push_get(s, "was", &was);
    push_get(s, "values", &values);
    push_get(s, "others", &others);
    const struct bytes *all[] = {&was, &values, &others};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < all[k]->n; i++)
            if (all[k]->p[i] <= ' ' || all[k]->p[i] > '~' || memchr("<>\"'+#", all[k]->p[i], 6) != NULL)
                abort();
    size_t ours = bytes_find(values, BYTES_LIT("=" OURS));
    if (ours == SIZE_MAX || !bytes_starts_with(values, others) || (!there && !bytes_equal(was, others)) ||
        dns_zone_lost(ctx, &zone, &zone, &more) != NULL || more != 0)
        abort();
}

/* The number of members of a set as JSON, and how many of them are ours. */
static size_t count(struct ctx *ctx, struct push_session *s, const char *name, size_t *ours)
{
    json_auto_t *list = NULL;
    struct bytes text;
    size_t i;
    json_t *v;
    *ours = 0;
    push_get(s, name, &text);
    if (text.n == 0)
        return 0;
    if (rc_failed(json_read(ctx, text, &list)) || !json_is_array(list))
        abort();
    json_array_foreach(list, i, v) *ours += json_is_string(v) && dns_text_is(bytes_z(json_string_value(v)), bytes_z(OURS));
    return json_array_size(list);
}

static void look(struct ctx *ctx, struct push_session *s, const struct dns_desc *d)
{
    size_t ours_was, ours_others, ours_values, was, others, values;
    bool there;
    if (rc_failed(dns_set_read(ctx, s, d, &in, &there)) || d->each_text != NULL || d->item_pointer[0] != '\0')
        return;
    was = count(ctx, s, "was", &ours_was);
    others = count(ctx, s, "others", &ours_others);
    values = count(ctx, s, "values", &ours_values);
    if (ours_others != 0 || ours_values != 1 || values != others + 1 || was != others + ours_was || there != (ours_was > 0))
        abort();
}

static void answer(struct bytes body, size_t form, size_t step)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct push_session *s = calloc(1, sizeof *s);
    const struct push_answer a = {.status = 200, .body = body, .retry_after_s = -1};
    if (s == NULL)
        abort();
    ctx_init(&ctx, &clock_system);
    s->desc = &desc;
    s->wish = &wish;
    s->transport = &push_https;
    s->connector.name = "fuzz";
    if (rc_failed(push_set(&ctx, s, "value", BYTES_LIT(OURS), false)) ||
        rc_failed(push_set(&ctx, s, "name", bytes_z(in.name), false)))
        abort();
    if (step == sizeof steps / sizeof *steps) {
        if (rc_ok(push_read(&ctx, s, &zone_step, "see", &a, false)))
            look_at_zone(&ctx, s);
    } else if (rc_ok(push_read(&ctx, s, &steps[step], "see", &a, false)))
        look(&ctx, s, &forms[form]);
    push_close(&ctx, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (data[0] != 'p') {
        answer(bytes_of(data + 1, size - 1), data[0] % (sizeof forms / sizeof *forms),
               data[0] / 8 % (sizeof steps / sizeof *steps + 1));
        return 0;
    }
    CTX_CLEANUP struct ctx ctx = {0};
    struct dns_desc d;
    ctx_init(&ctx, &clock_system);
    (void)!rc_ok(dns_desc_parse(&ctx, "fuzz.yaml", bytes_of(data, size), &d));
    return 0;
}
