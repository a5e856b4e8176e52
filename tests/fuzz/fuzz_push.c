/* Targets without an agent: a description of any shape is read or refused, and an answer of any shape yields values or an error. */
#include "agent/relay/push_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct push_desc desc = {.transport = "https", .family = "header"};

static const struct push_step step = {
    .name = "s",
    .reads = {{.name = "certificate", .from = {.json = "/data/tls.crt"}, .as = {{"base64"}, 1}, .optional = true},
              {.name = "fingerprint",
               .from = {.json = "/f", .find = "/list", .where = {{{"/n", "{target}"}}, 1}},
               .as = {{"fingerprint"}, 1},
               .optional = true},
              {.name = "serial", .from = {.between = {"<serial>", "</serial>"}}, .as = {{"trim"}, 1}, .optional = true},
              {.name = "tree", .from = {.json = "/{target}"}, .as = {{"tree"}, 1}, .optional = true},
              {.name = "whole", .from = {.body = true}, .as = {{"certificate"}, 1}, .optional = true}},
    .n_reads = 5,
    .message = {.json = "/message"},
    .has_message = true,
    .method = "POST",
    .path = "/{s.serial}",
    .headers = {{{"X-A", "{s.serial}"}}, 1},
    .kind = PUSH_BODY_JSON,
    .body = "{\"a\": \"{s.tree|tree}\", \"b\": \"{s.whole|list}\", \"c\": \"{s.serial|int}\", \"{s.serial|json}\": \"{s.whole}\"}",
};

static void answer(struct bytes body)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct push_session *s = calloc(1, sizeof *s);
    const struct push_answer a = {.status = 400, .body = body, .retry_after_s = -1};
    struct push_request r;
    struct push_identity id;
    if (s == NULL)
        abort();
    ctx_init(&ctx, &clock_system);
    s->desc = &desc;
    s->transport = &push_https;
    s->connector.name = "fuzz";
    if (rc_failed(push_set(&ctx, s, "target", BYTES_LIT("t/1"), false)) ||
        rc_failed(push_set(&ctx, s, "token", BYTES_LIT("secret-token"), true)))
        abort();
    if (strstr(push_words(&ctx, s, &step, &a), "secret-token") != NULL)
        abort();
    if (rc_ok(push_read(&ctx, s, &step, "see", &a, false)) && rc_ok(push_identify(&ctx, s, &id)) &&
        rc_ok(push_build(&ctx, s, &step, &r)))
        for (size_t i = 0; i < r.n_headers; i++)
            if (strpbrk(r.headers[i].value, "\r\n") != NULL || strchr(r.url, ' ') != NULL)
                abort();
    push_close(&ctx, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (data[0] != 'c') {
        answer(bytes_of(data, size));
        return 0;
    }
    CTX_CLEANUP struct ctx ctx = {0};
    struct connector c;
    ctx_init(&ctx, &clock_system);
    (void)!rc_ok(connector_parse(&ctx, "fuzz.yaml", bytes_of(data, size), &c));
    return 0;
}
