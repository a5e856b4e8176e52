#include "net/dns_wire.h"

#include <arpa/nameser.h>
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "pki/hmac.h"

#define HEADER_LEN     12
#define CLASS_IN       1
#define CLASS_NONE     254
#define CLASS_ANY      255
#define TYPE_OPT       41
#define TYPE_TSIG      250
#define UDP_MAX        1232
#define OPCODE_UPDATE  5
#define FLAG_QR        0x8000
#define FLAG_AA        0x0400
#define FLAG_TC        0x0200
#define FLAG_RD        0x0100
#define FUDGE_S        300
#define OPCODE(flags)  (((flags) >> 11) & 15)

const char *dns_rcode_text(struct ctx *ctx, int rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR",  "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
    if (rcode >= 0 && rcode < (int)(sizeof names / sizeof *names))
        return names[rcode];
    return rcode == DNS_BADSIG    ? "BADSIG"
           : rcode == DNS_BADKEY  ? "BADKEY"
           : rcode == DNS_BADTIME ? "BADTIME"
           : rcode == 22          ? "BADTRUNC"
                                  : arena_printf(&ctx->arena, "error %d", rcode);
}

/* --- names */

bool dns_name_plain(const char *name)
{
    size_t label = 0, n = strlen(name);
    if (n == 0 || n > 253)
        return false;
    for (size_t i = 0; i <= n; i++) {
        char c = name[i];
        if (c == '.' || c == '\0') {
            if (label == 0 || label > 63)
                return false;
            label = 0;
        } else {
            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
                return false;
            label++;
        }
    }
    return true;
}

bool dns_name_within(const char *name, const char *zone)
{
    const size_t n = strlen(name), z = strlen(zone);
    return z == 0 || (n >= z && strcmp(name + n - z, zone) == 0 && (n == z || name[n - z - 1] == '.'));
}

const char *dns_name_parent(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot != NULL ? dot + 1 : "";
}

static RC name_to_wire(struct ctx *ctx, const char *name, uint8_t out[NS_MAXCDNAME], size_t *n)
{
    if (strlen(name) >= NS_MAXDNAME || ns_name_pton(*name != '\0' ? name : ".", out, NS_MAXCDNAME) < 0)
        return ctx_fail(ctx, E_INVALID, "\"%.300s\" is not a domain name", name);
    int skip = 0;
    const unsigned char *p = out;
    if (ns_name_skip(&p, out + NS_MAXCDNAME) != 0)
        skip = -1;
    *n = (size_t)(p - out);
    return skip == 0 ? RC_OK : ctx_fail(ctx, E_INVALID, "\"%.300s\" is not a domain name", name);
}

RC dns_put_name(struct ctx *ctx, struct buf *b, const char *name)
{
    uint8_t wire[NS_MAXCDNAME];
    size_t n;
    TRY(name_to_wire(ctx, name, wire, &n));
    buf_put_mem(b, wire, n);
    return RC_OK;
}

/* Takes a name at the cursor, which lies in `whole`; compression may lead anywhere before it. */
static bool take_name(struct ctx *ctx, struct bytes whole, struct bytes *at, const char **out)
{
    uint8_t wire[NS_MAXCDNAME];
    char text[NS_MAXDNAME];
    int used = ns_name_unpack(whole.p, at->p + at->n, at->p, wire, sizeof wire);
    if (used < 0 || !bytes_skip(at, (size_t)used) || ns_name_ntop(wire, text, sizeof text) < 0)
        return false;
    char *name = arena_strdup(&ctx->arena, strcmp(text, ".") == 0 ? "" : text);
    for (char *c = name; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
    *out = name;
    return true;
}

/* --- questions */

static void put_header(struct buf *b, uint16_t id, uint16_t flags, uint16_t authority, uint16_t additional)
{
    const uint16_t header[] = {id, flags, 1, 0, authority, additional};
    for (size_t i = 0; i < 6; i++)
        buf_put_u16(b, header[i]);
}

RC dns_put_question(struct ctx *ctx, struct buf *b, uint16_t id, const char *name, enum dns_type type, bool recurse, bool edns)
{
    put_header(b, id, recurse ? FLAG_RD : 0, 0, edns ? 1 : 0);
    TRY(dns_put_name(ctx, b, name));
    buf_put_u16(b, (uint16_t)type);
    buf_put_u16(b, CLASS_IN);
    if (edns) {
        buf_put_u8(b, 0);
        buf_put_u16(b, TYPE_OPT);
        buf_put_u16(b, UDP_MAX);
        buf_put_u32(b, 0);
        buf_put_u16(b, 0);
    }
    return buf_status(b);
}

RC dns_put_update(struct ctx *ctx, struct buf *b, uint16_t id, const struct dns_change *c)
{
    struct bytes left = c->value, part;
    const size_t strings = (left.n + 254) / 255;
    if (left.n == 0 || left.n > DNS_TEXT_MAX)
        return ctx_fail(ctx, E_INVALID, "a value of %zu bytes cannot be written to a TXT record: 1 to %d", left.n, DNS_TEXT_MAX);
    put_header(b, id, OPCODE_UPDATE << 11, 1, 0);
    TRY(dns_put_name(ctx, b, c->zone));
    buf_put_u16(b, DNS_SOA);
    buf_put_u16(b, CLASS_IN);
    TRY(dns_put_name(ctx, b, c->name));
    buf_put_u16(b, DNS_TXT);
    buf_put_u16(b, c->add ? CLASS_IN : CLASS_NONE); /* RFC 2136 section 2.5.4 */
    buf_put_u32(b, c->add ? c->ttl : 0);
    buf_put_u16(b, (uint16_t)(left.n + strings));
    while (left.n > 0) {
        bytes_take(&left, left.n < 255 ? left.n : 255, &part);
        buf_put_u8(b, (uint8_t)part.n);
        buf_put(b, part);
    }
    return buf_status(b);
}

/* --- answers */

bool dns_answers(struct bytes query, struct bytes reply)
{
    struct bytes q = query, r = reply, question, echoed;
    uint16_t qid, rid, qflags, rflags, qd, rd;
    if (!bytes_take_u16(&q, &qid) || !bytes_take_u16(&r, &rid) || !bytes_take_u16(&q, &qflags) || !bytes_take_u16(&r, &rflags) ||
        !bytes_take_u16(&q, &qd) || !bytes_take_u16(&r, &rd) || !bytes_skip(&q, 6) || !bytes_skip(&r, 6))
        return false;
    if (rid != qid || (rflags & FLAG_QR) == 0 || OPCODE(rflags) != OPCODE(qflags))
        return false;
    if (rd == 0) /* a server that could not or would not read the question, or an answer to an UPDATE */
        return (rflags & 15) != 0 || OPCODE(rflags) == OPCODE_UPDATE;
    const unsigned char *end = q.p;
    if (rd != 1 || ns_name_skip(&end, q.p + q.n) != 0 || !bytes_take(&q, (size_t)(end - q.p) + 4, &question) ||
        !bytes_take(&r, question.n, &echoed))
        return false;
    return bytes_equal_nocase(question, echoed);
}

static bool read_txt(struct ctx *ctx, struct bytes data, struct bytes *out)
{
    struct buf b;
    uint8_t n;
    struct bytes part;
    buf_init_arena(&b, &ctx->arena, DNS_MESSAGE_MAX);
    while (data.n > 0) {
        if (!bytes_take_u8(&data, &n) || !bytes_take(&data, n, &part))
            return false;
        buf_put(&b, part);
    }
    *out = buf_bytes(&b);
    return rc_ok(buf_status(&b));
}

static bool read_tsig(struct ctx *ctx, struct bytes whole, const char *owner, struct bytes data, struct dns_tsig *t)
{
    uint16_t high, mac_n, other_n;
    uint32_t low;
    t->key = owner;
    if (!take_name(ctx, whole, &data, &t->algorithm) || !bytes_take_u16(&data, &high) || !bytes_take_u32(&data, &low) ||
        !bytes_take_u16(&data, &t->fudge_s) || !bytes_take_u16(&data, &mac_n) || !bytes_take(&data, mac_n, &t->mac) ||
        !bytes_take_u16(&data, &t->original_id) || !bytes_take_u16(&data, &t->error) || !bytes_take_u16(&data, &other_n) ||
        !bytes_take(&data, other_n, &t->other) || data.n != 0)
        return false;
    t->time_s = ((uint64_t)high << 32) | low;
    return true;
}

struct raw {
    const char *owner;
    uint16_t type, class;
    uint32_t ttl;
    struct bytes data;
};

static bool take_record(struct ctx *ctx, struct bytes whole, struct bytes *at, struct raw *out)
{
    uint16_t n;
    return take_name(ctx, whole, at, &out->owner) && bytes_take_u16(at, &out->type) && bytes_take_u16(at, &out->class) &&
           bytes_take_u32(at, &out->ttl) && bytes_take_u16(at, &n) && bytes_take(at, n, &out->data);
}

/* A record's data is its own; names in it may lead back into the message. */
static bool keep_record(struct ctx *ctx, struct bytes whole, const struct raw *raw, struct dns_record *out)
{
    struct bytes data = raw->data;
    *out = (struct dns_record){.owner = raw->owner, .type = raw->type, .ttl = raw->ttl, .name = ""};
    if (raw->type == DNS_TXT)
        return read_txt(ctx, data, &out->data);
    out->data = arena_bytes(&ctx->arena, data);
    if (raw->type == DNS_NS || raw->type == DNS_CNAME)
        return take_name(ctx, whole, &data, &out->name) && data.n == 0;
    if (raw->type == DNS_SOA)
        return take_name(ctx, whole, &data, &out->name);
    if (raw->type == DNS_A)
        return data.n == 4;
    return raw->type != DNS_AAAA || data.n == 16;
}

static bool take_section(struct ctx *ctx, struct bytes whole, struct bytes *at, size_t count, struct dns_record **out, size_t *n)
{
    *n = 0;
    *out = NULL;
    if (count > DNS_RECORDS_MAX || count > at->n / 11 + 1) /* the shortest record has eleven bytes */
        return false;
    *out = arena_array(&ctx->arena, count + 1, sizeof **out);
    for (size_t i = 0; i < count; i++) {
        struct raw raw;
        if (!take_record(ctx, whole, at, &raw))
            return false;
        if (raw.class == CLASS_IN && !keep_record(ctx, whole, &raw, &(*out)[(*n)++]))
            return false;
    }
    return true;
}

static bool take_additional(struct ctx *ctx, struct bytes whole, struct bytes *at, size_t count, struct dns_reply *out)
{
    for (size_t i = 0; i < count; i++) {
        struct raw raw;
        size_t begins = whole.n - at->n;
        if (!take_record(ctx, whole, at, &raw))
            return false;
        if (raw.type == TYPE_OPT)
            out->rcode |= (int)(raw.ttl >> 24) << 4;
        if (raw.type != TYPE_TSIG)
            continue;
        if (i + 1 != count || raw.class != CLASS_ANY || raw.ttl != 0 || !read_tsig(ctx, whole, raw.owner, raw.data, &out->tsig))
            return false;
        out->tsig.at = begins;
    }
    return true;
}

RC dns_reply_read(struct ctx *ctx, struct bytes message, struct dns_reply *out)
{
    const struct bytes whole = arena_bytes(&ctx->arena, message);
    struct bytes at = whole;
    uint16_t id, flags, counts[4] = {0};
    const char *name;
    *out = (struct dns_reply){0};
    bool good = bytes_take_u16(&at, &id) && bytes_take_u16(&at, &flags);
    for (size_t i = 0; i < 4; i++)
        good = good && bytes_take_u16(&at, &counts[i]);
    good = good && (flags & FLAG_QR) != 0 && counts[0] <= 1;
    if (good && counts[0] == 1)
        good = take_name(ctx, whole, &at, &name) && bytes_skip(&at, 4);
    if (!good)
        return ctx_fail(ctx, E_BAD_ANSWER, "what it says is no answer of DNS");
    out->rcode = flags & 15;
    out->authoritative = (flags & FLAG_AA) != 0;
    out->truncated = (flags & FLAG_TC) != 0;
    if (out->truncated) /* what there is of it is asked for again over TCP */
        return RC_OK;
    if (!take_section(ctx, whole, &at, counts[1], &out->answer, &out->n_answer) ||
        !take_section(ctx, whole, &at, counts[2], &out->authority, &out->n_authority) ||
        counts[3] > DNS_RECORDS_MAX || !take_additional(ctx, whole, &at, counts[3], out))
        return ctx_fail(ctx, E_BAD_ANSWER, "its answer is malformed");
    return RC_OK;
}

/* --- TSIG (RFC 8945) */

static const char *hash_of(const char *algorithm)
{
    static const char *const known[][2] = {
        {"hmac-sha224", "SHA224"}, {"hmac-sha256", "SHA256"}, {"hmac-sha384", "SHA384"}, {"hmac-sha512", "SHA512"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i][0], algorithm) == 0)
            return known[i][1];
    return NULL;
}

static void put_time(struct buf *b, uint64_t time_s, uint16_t fudge_s)
{
    buf_put_u16(b, (uint16_t)(time_s >> 32));
    buf_put_u32(b, (uint32_t)time_s);
    buf_put_u16(b, fudge_s);
}

static RC lower_name(struct ctx *ctx, const char *name, const char **out)
{
    size_t n = strlen(name);
    char *copy = arena_strdup(&ctx->arena, name);
    for (size_t i = 0; i < n; i++)
        copy[i] = (char)tolower((unsigned char)copy[i]);
    if (n > 1 && copy[n - 1] == '.')
        copy[n - 1] = '\0';
    *out = copy;
    return n > 0 ? RC_OK : ctx_fail(ctx, E_INVALID, "the TSIG key has no name");
}

/* What the MAC is made of (section 4.3), after the message. */
static RC put_variables(struct ctx *ctx, struct buf *b, const struct dns_tsig *t)
{
    TRY(dns_put_name(ctx, b, t->key));
    buf_put_u16(b, CLASS_ANY);
    buf_put_u32(b, 0);
    TRY(dns_put_name(ctx, b, t->algorithm));
    put_time(b, t->time_s, t->fudge_s);
    buf_put_u16(b, t->error);
    buf_put_u16(b, (uint16_t)t->other.n);
    buf_put(b, t->other);
    return buf_status(b);
}

static RC mac_of(struct ctx *ctx, const struct dns_key *key, struct bytes data, uint8_t out[HMAC_MAX], size_t *n)
{
    const char *hash = hash_of(key->algorithm);
    if (hash == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "TSIG with %s is not known: use hmac-sha256 or hmac-sha512", key->algorithm);
    return hmac_make(ctx, hash, key->secret, data, out, n);
}

RC dns_sign(struct ctx *ctx, struct buf *b, const struct dns_key *key, int64_t now_s, struct bytes *mac)
{
    struct dns_tsig t = {.algorithm = key->algorithm, .time_s = (uint64_t)now_s, .fudge_s = FUDGE_S};
    struct buf signed_part;
    uint8_t code[HMAC_MAX];
    size_t n;
    TRY(lower_name(ctx, key->name, &t.key));
    buf_init_arena(&signed_part, &ctx->arena, 2 * DNS_MESSAGE_MAX);
    buf_put(&signed_part, buf_bytes(b));
    TRY(put_variables(ctx, &signed_part, &t));
    TRY(mac_of(ctx, key, buf_bytes(&signed_part), code, &n));
    *mac = arena_bytes(&ctx->arena, bytes_of(code, n));
    struct buf name; /* of the algorithm: its length is part of the record's */
    buf_init_arena(&name, &ctx->arena, NS_MAXCDNAME);
    TRY(dns_put_name(ctx, &name, t.algorithm));
    TRY(dns_put_name(ctx, b, t.key));
    buf_put_u16(b, TYPE_TSIG);
    buf_put_u16(b, CLASS_ANY);
    buf_put_u32(b, 0);
    buf_put_u16(b, (uint16_t)(name.n + 8 + 2 + n + 6));
    buf_put(b, buf_bytes(&name));
    put_time(b, t.time_s, t.fudge_s);
    buf_put_u16(b, (uint16_t)n);
    buf_put(b, *mac);
    buf_put(b, bytes_of(b->p, 2)); /* the original id */
    buf_put_u16(b, 0);
    buf_put_u16(b, 0);
    TRY(buf_status(b));
    uint16_t count = (uint16_t)((b->p[10] << 8 | b->p[11]) + 1);
    b->p[10] = (uint8_t)(count >> 8);
    b->p[11] = (uint8_t)count;
    return RC_OK;
}

RC dns_verify(struct ctx *ctx, struct bytes message, const struct dns_reply *reply, const struct dns_key *key,
              struct bytes request_mac, int64_t now_s)
{
    const struct dns_tsig *t = &reply->tsig;
    const char *name;
    struct buf b;
    uint8_t code[HMAC_MAX];
    size_t n;
    TRY(lower_name(ctx, key->name, &name));
    if (t->at < HEADER_LEN || t->at > message.n)
        return ctx_fail(ctx, E_BAD_ANSWER, "its answer is not signed");
    if (strcmp(t->key, name) != 0 || strcmp(t->algorithm, key->algorithm) != 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "its answer is signed with another key");
    buf_init_arena(&b, &ctx->arena, 2 * DNS_MESSAGE_MAX);
    buf_put_u16(&b, (uint16_t)request_mac.n);
    buf_put(&b, request_mac);
    const size_t head = b.n;
    buf_put(&b, bytes_of(message.p, t->at));
    TRY(buf_status(&b));
    uint16_t count = (uint16_t)((b.p[head + 10] << 8 | b.p[head + 11]) - 1);
    b.p[head] = (uint8_t)(t->original_id >> 8);
    b.p[head + 1] = (uint8_t)t->original_id;
    b.p[head + 10] = (uint8_t)(count >> 8);
    b.p[head + 11] = (uint8_t)count;
    TRY(put_variables(ctx, &b, t));
    TRY(mac_of(ctx, key, buf_bytes(&b), code, &n));
    if (!bytes_equal_secret(bytes_of(code, n), t->mac))
        return ctx_fail(ctx, E_BAD_ANSWER, "its answer is not signed with the key %s", key->name);
    uint64_t now = (uint64_t)now_s, apart = now > t->time_s ? now - t->time_s : t->time_s - now;
    if (apart > FUDGE_S && t->error != DNS_BADTIME)
        return ctx_fail(ctx, E_BAD_ANSWER, "its clock differs from this host's by %llu seconds", (unsigned long long)apart);
    return RC_OK;
}
