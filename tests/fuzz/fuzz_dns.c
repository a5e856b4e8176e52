/* What a DNS server may answer, on any bytes: read or refused, ceilings hold, names are text, signatures are not believed. */
#include <stdint.h>

#include "net/dns_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_name(const char *name)
{
    if (strlen(name) > 1024)
        abort();
    for (; *name != '\0'; name++)
        if ((uint8_t)*name < 0x20 || (uint8_t)*name > 0x7e || (*name >= 'A' && *name <= 'Z'))
            abort();
}

static void check_records(const struct dns_record *v, size_t n)
{
    if (n > DNS_RECORDS_MAX)
        abort();
    for (size_t i = 0; i < n; i++) {
        check_name(v[i].owner);
        check_name(v[i].name);
        if (v[i].data.n > DNS_MESSAGE_MAX || (v[i].type == DNS_A && v[i].data.n != 4) || (v[i].type == DNS_AAAA && v[i].data.n != 16))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    const struct dns_key key = {"certwright", "hmac-sha256", BYTES_LIT("a secret nobody knows")};
    const struct bytes message = bytes_of(data, n);
    struct dns_reply reply;
    struct buf query;
    if (n > DNS_MESSAGE_MAX)
        return 0;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&query, &ctx.arena, DNS_MESSAGE_MAX);
    if (rc_failed(dns_put_question(&ctx, &query, 4711, "_acme-challenge.www.example.org", DNS_TXT, false, true)))
        abort();
    (void)dns_answers(buf_bytes(&query), message);
    if (rc_ok(dns_reply_read(&ctx, message, &reply))) {
        check_records(reply.answer, reply.n_answer);
        check_records(reply.authority, reply.n_authority);
        if (reply.tsig.at != 0) {
            check_name(reply.tsig.key);
            check_name(reply.tsig.algorithm);
        }
        if (rc_ok(dns_verify(&ctx, message, &reply, &key, BYTES_LIT("the MAC of the request"), 1800000000)))
            abort();
    }
    return 0;
}
