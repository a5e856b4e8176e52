#include "net/hello.h"

#include <string.h>

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };
enum { SERVER_HELLO = 2, CERTIFICATE = 11, KEY_EXCHANGE = 12, CERTIFICATE_REQUEST = 13, SERVER_HELLO_DONE = 14,
       CERTIFICATE_STATUS = 22 };
enum { EXT_NAME = 0, EXT_STATUS = 5, EXT_GROUPS = 10, EXT_POINTS = 11, EXT_SIGNATURES = 13, EXT_ALPN = 16, EXT_MASTER = 23,
       EXT_VERSIONS = 43, EXT_SHARE = 51 };

#define RECORD_MAX 16384 /* of plain text (RFC 5246 section 6.2.1) */
#define TLS12 0x0303
#define TLS13 0x0304

/* All suites that are offered, and a few that are only named. */
static const struct suite {
    uint16_t id;
    uint8_t keys;   /* enum hello_keys */
    uint8_t ecdhe;  /* its ServerKeyExchange names a group */
    uint16_t since; /* the lowest version it is for */
    const char *name;
} suites[] = {
    {0xc02b, HELLO_ECDSA, 1, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {0xc02c, HELLO_ECDSA, 1, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {0xcca9, HELLO_ECDSA, 1, TLS12, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xc0ac, HELLO_ECDSA, 1, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"},
    {0xc023, HELLO_ECDSA, 1, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
    {0xc024, HELLO_ECDSA, 1, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
    {0xc009, HELLO_ECDSA, 1, 0x0301, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
    {0xc00a, HELLO_ECDSA, 1, 0x0301, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
    {0xc02f, HELLO_RSA, 1, TLS12, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0xc030, HELLO_RSA, 1, TLS12, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {0xcca8, HELLO_RSA, 1, TLS12, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xc027, HELLO_RSA, 1, TLS12, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
    {0xc028, HELLO_RSA, 1, TLS12, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
    {0xc013, HELLO_RSA, 1, 0x0301, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
    {0xc014, HELLO_RSA, 1, 0x0301, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
    {0x009e, HELLO_RSA, 0, TLS12, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0x009f, HELLO_RSA, 0, TLS12, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"},
    {0xccaa, HELLO_RSA, 0, TLS12, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0x0067, HELLO_RSA, 0, TLS12, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"},
    {0x006b, HELLO_RSA, 0, TLS12, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"},
    {0x0033, HELLO_RSA, 0, 0x0301, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"},
    {0x0039, HELLO_RSA, 0, 0x0301, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"},
    {0x009c, HELLO_RSA, 0, TLS12, "TLS_RSA_WITH_AES_128_GCM_SHA256"},
    {0x009d, HELLO_RSA, 0, TLS12, "TLS_RSA_WITH_AES_256_GCM_SHA384"},
    {0x003c, HELLO_RSA, 0, TLS12, "TLS_RSA_WITH_AES_128_CBC_SHA256"},
    {0x003d, HELLO_RSA, 0, TLS12, "TLS_RSA_WITH_AES_256_CBC_SHA256"},
    {0x002f, HELLO_RSA, 0, 0x0301, "TLS_RSA_WITH_AES_128_CBC_SHA"},
    {0x0035, HELLO_RSA, 0, 0x0301, "TLS_RSA_WITH_AES_256_CBC_SHA"},
    {0x000a, HELLO_RSA, 0, 0x0301, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
    {0x0005, HELLO_RSA, 0, 0x0301, "TLS_RSA_WITH_RC4_128_SHA"},
    {0x0032, HELLO_ANY_KEY, 0, 0x0301, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA"},
    {0x0038, HELLO_ANY_KEY, 0, 0x0301, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA"},
    {0x1301, HELLO_ANY_KEY, 0, TLS13, "TLS_AES_128_GCM_SHA256"},
    {0x1302, HELLO_ANY_KEY, 0, TLS13, "TLS_AES_256_GCM_SHA384"},
    {0x1303, HELLO_ANY_KEY, 0, TLS13, "TLS_CHACHA20_POLY1305_SHA256"},
    {0x1304, HELLO_ANY_KEY, 0, TLS13, "TLS_AES_128_CCM_SHA256"},
};

static const struct group {
    uint16_t id;
    bool classic, post_quantum; /* whether it is offered */
    const char *name;
} groups[] = {
    {0x11ec, false, true, "X25519MLKEM768"},  {0x11eb, false, true, "SecP256r1MLKEM768"},
    {0x11ed, false, true, "SecP384r1MLKEM1024"}, {0x6399, false, true, "X25519Kyber768Draft00"},
    {0x0201, false, true, "MLKEM768"},        {0x0202, false, true, "MLKEM1024"},
    {0x001d, true, false, "x25519"},          {0x0017, true, false, "secp256r1"},         {0x0018, true, false, "secp384r1"},
    {0x0019, true, false, "secp521r1"},       {0x001e, true, false, "x448"},              {0x001a, true, false, "brainpoolP256r1"},
    {0x001b, true, false, "brainpoolP384r1"}, {0x001c, true, false, "brainpoolP512r1"},   {0x0100, true, false, "ffdhe2048"},
    {0x0101, true, false, "ffdhe3072"},       {0x0102, true, false, "ffdhe4096"},         {0x0015, false, false, "secp224r1"},
    {0x0016, false, false, "secp256k1"},
};

/* Ed25519 and Ed448 count as ECDSA: the suites do (RFC 8422 section 2.2). */
static const struct {
    uint16_t id;
    uint8_t keys;
} signatures[] = {
    {0x0403, HELLO_ECDSA}, {0x0503, HELLO_ECDSA}, {0x0603, HELLO_ECDSA}, {0x0807, HELLO_ECDSA}, {0x0808, HELLO_ECDSA},
    {0x0804, HELLO_RSA},   {0x0805, HELLO_RSA},   {0x0806, HELLO_RSA},   {0x0809, HELLO_RSA},   {0x080a, HELLO_RSA},
    {0x080b, HELLO_RSA},   {0x0401, HELLO_RSA},   {0x0501, HELLO_RSA},   {0x0601, HELLO_RSA},   {0x0203, HELLO_ECDSA},
    {0x0201, HELLO_RSA},   {0x0402, HELLO_ANY_KEY}, {0x0202, HELLO_ANY_KEY},
};

/* ML-DSA-44, -65 and -87: offered in TLS 1.3 alone. */
static const uint16_t signatures_tls13[] = {0x0904, 0x0905, 0x0906};

#define EACH(i, table) (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)

/* --- asking */

/* Lengths are known when what they count is written. */
struct open {
    size_t at;
    unsigned bytes;
};

static struct open open_length(struct buf *b, unsigned bytes)
{
    const struct open o = {b->n, bytes};
    for (unsigned i = 0; i < bytes; i++)
        buf_put_u8(b, 0);
    return o;
}

static void close_length(struct buf *b, struct open o)
{
    if (rc_failed(buf_status(b)))
        return;
    const size_t n = b->n - o.at - o.bytes;
    for (unsigned i = 0; i < o.bytes; i++)
        b->p[o.at + i] = (uint8_t)(n >> (8 * (o.bytes - 1 - i)));
}

static struct open open_extension(struct buf *b, uint16_t type)
{
    buf_put_u16(b, type);
    return open_length(b, 2);
}

static bool offered(enum hello_keys asked, unsigned keys)
{
    return asked == HELLO_ANY_KEY || asked == keys;
}

static void put_suites(struct buf *b, const struct hello_ask *ask)
{
    const struct open list = open_length(b, 2);
    for EACH(i, suites) {
        const bool of_tls13 = suites[i].since == TLS13, fits = of_tls13 || offered(ask->keys, suites[i].keys);
        if (of_tls13 == (ask->version == TLS13) && suites[i].since <= ask->version && fits)
            buf_put_u16(b, suites[i].id);
    }
    if (ask->version < TLS13)
        buf_put_u16(b, 0x00ff); /* secure renegotiation is known here (RFC 5746 section 3.3) */
    close_length(b, list);
}

static void put_name(struct buf *b, const char *name)
{
    const struct open ext = open_extension(b, EXT_NAME), list = open_length(b, 2);
    buf_put_u8(b, 0);
    const struct open host = open_length(b, 2);
    buf_put_z(b, name);
    close_length(b, host);
    close_length(b, list);
    close_length(b, ext);
}

static void put_groups(struct buf *b, const struct hello_ask *ask)
{
    const struct open ext = open_extension(b, EXT_GROUPS), list = open_length(b, 2);
    for EACH(i, groups)
        if (ask->version == TLS13 ? (groups[i].post_quantum && !ask->classic) || (groups[i].classic && !ask->post_quantum)
                                  : groups[i].classic)
            buf_put_u16(b, groups[i].id);
    close_length(b, list);
    close_length(b, ext);
}

static void put_signatures(struct buf *b, const struct hello_ask *ask)
{
    const struct open ext = open_extension(b, EXT_SIGNATURES), list = open_length(b, 2);
    for EACH(i, signatures)
        if (offered(ask->keys, signatures[i].keys))
            buf_put_u16(b, signatures[i].id);
    for EACH(i, signatures_tls13)
        if (ask->version == TLS13)
            buf_put_u16(b, signatures_tls13[i]);
    close_length(b, list);
    close_length(b, ext);
}

static void put_extensions(struct buf *b, const struct hello_ask *ask)
{
    const struct open all = open_length(b, 2);
    if (ask->sni && *ask->sni)
        put_name(b, ask->sni);
    put_groups(b, ask);
    if (ask->version < TLS13) {
        buf_put(b, BYTES_LIT("\x00\x0b\x00\x02\x01\x00")); /* points: uncompressed */
        buf_put(b, BYTES_LIT("\x00\x17\x00\x00"));         /* extended master secret: some take nobody without it */
    }
    if (ask->version >= TLS12)
        put_signatures(b, ask);
    if (ask->details) {
        buf_put(b, BYTES_LIT("\x00\x05\x00\x05\x01\x00\x00\x00\x00"));
        buf_put(b, BYTES_LIT("\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"));
    }
    if (ask->version == TLS13) {
        buf_put(b, BYTES_LIT("\x00\x2b\x00\x03\x02\x03\x04")); /* supported_versions: TLS 1.3 */
        buf_put(b, BYTES_LIT("\x00\x33\x00\x02\x00\x00"));     /* key_share: none (RFC 8446 section 4.2.8) */
    }
    close_length(b, all);
}

void hello_put(struct buf *out, const struct hello_ask *ask)
{
    buf_put(out, BYTES_LIT("\x16\x03\x01"));
    const struct open record = open_length(out, 2);
    buf_put_u8(out, 1);
    const struct open message = open_length(out, 3);
    buf_put_u16(out, ask->version < TLS12 ? ask->version : TLS12);
    for (int i = 0; i < 4; i++)
        buf_put_u64(out, 0);
    buf_put_u8(out, 0); /* no session */
    put_suites(out, ask);
    buf_put(out, BYTES_LIT("\x01\x00")); /* no compression */
    put_extensions(out, ask);
    close_length(out, message);
    close_length(out, record);
}

/* --- reading */

static enum hello_state bad(struct hello_reader *r, const char *why)
{
    r->why = why;
    return HELLO_BAD;
}

static struct hello_span span_of(const struct hello_reader *r, struct bytes b)
{
    return (struct hello_span){b.n > 0 ? (uint32_t)(b.p - r->messages.p) : 0, (uint32_t)b.n};
}

static bool take_counted(struct bytes *in, unsigned bytes, struct bytes *out)
{
    uint32_t n = 0;
    uint16_t n16;
    uint8_t n8;
    if (bytes == 3 && bytes_take_u24(in, &n))
        return bytes_take(in, n, out);
    if (bytes == 2 && bytes_take_u16(in, &n16))
        return bytes_take(in, n16, out);
    return bytes == 1 && bytes_take_u8(in, &n8) && bytes_take(in, n8, out);
}

static bool read_extension(struct hello_reader *r, uint16_t type, struct bytes data)
{
    struct bytes list, name;
    uint16_t version;
    if (type == EXT_VERSIONS) {
        if (!bytes_take_u16(&data, &version) || data.n != 0)
            return false;
        r->version = version;
    } else if (type == EXT_SHARE) {
        if (!bytes_take_u16(&data, &r->group))
            return false;
    } else if (type == EXT_ALPN) {
        if (!take_counted(&data, 2, &list) || data.n != 0 || !take_counted(&list, 1, &name) || list.n != 0 || name.n == 0)
            return false;
        r->alpn = span_of(r, name);
    }
    return true;
}

/* SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3). */
static const char retry_random[] = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
                                   "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";

static enum hello_state read_hello(struct hello_reader *r, struct bytes m)
{
    struct bytes random, session, extensions, data;
    uint8_t compression;
    uint16_t type;
    if (!bytes_take_u16(&m, &r->version) || !bytes_take(&m, 32, &random) || !take_counted(&m, 1, &session) || session.n > 32 ||
        !bytes_take_u16(&m, &r->suite) || !bytes_take_u8(&m, &compression))
        return bad(r, "its ServerHello is cut short");
    if (r->version < 0x0300 || r->version > TLS12)
        return bad(r, "its ServerHello is of no version of TLS");
    if (m.n > 0) {
        if (!take_counted(&m, 2, &extensions) || m.n != 0)
            return bad(r, "the extensions of its ServerHello are cut short");
        while (extensions.n > 0)
            if (!bytes_take_u16(&extensions, &type) || !take_counted(&extensions, 2, &data) || !read_extension(r, type, data))
                return bad(r, "an extension of its ServerHello cannot be read");
    }
    r->retry = bytes_equal(random, bytes_of(retry_random, sizeof retry_random - 1));
    r->hello = true;
    if (r->until != HELLO_UNTIL_HELLO && (r->version > TLS12 || r->retry))
        return bad(r, "it chose a version that was not offered");
    return r->until == HELLO_UNTIL_HELLO ? HELLO_DONE : HELLO_MORE;
}

static enum hello_state read_chain(struct hello_reader *r, struct bytes m)
{
    struct bytes list, one;
    if (!take_counted(&m, 3, &list) || m.n != 0)
        return bad(r, "its Certificate message is cut short");
    if (list.n == 0)
        return bad(r, "it sent no certificate");
    const struct hello_span all = span_of(r, list);
    while (list.n > 0)
        if (!take_counted(&list, 3, &one) || one.n == 0)
            return bad(r, "a certificate of its chain is cut short");
    r->certificates = all;
    return r->until == HELLO_UNTIL_CERTIFICATE ? HELLO_DONE : HELLO_MORE;
}

static const struct suite *suite_of(uint16_t id)
{
    for EACH(i, suites)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

/* What cannot be read here is no failure: the chain is known already. */
static enum hello_state read_after_chain(struct hello_reader *r, uint8_t type, struct bytes m)
{
    const struct suite *s = suite_of(r->suite);
    struct bytes response;
    uint16_t group;
    uint8_t kind;
    if (type == CERTIFICATE_STATUS && bytes_take_u8(&m, &kind) && kind == 1 && take_counted(&m, 3, &response))
        r->ocsp = span_of(r, response);
    else if (type == KEY_EXCHANGE && s && s->ecdhe && bytes_take_u8(&m, &kind) && kind == 3 && bytes_take_u16(&m, &group))
        r->group = group;
    else if (type == CERTIFICATE_REQUEST)
        r->asks_certificate = true;
    return type == SERVER_HELLO_DONE ? HELLO_DONE : HELLO_MORE;
}

/* Messages come in the order of RFC 5246 section 7.3; a HelloRequest (type 0) means nothing here. */
static enum hello_state read_message(struct hello_reader *r, uint8_t type, struct bytes m)
{
    if (type == 0)
        return HELLO_MORE;
    const uint8_t before = r->seen;
    r->seen = type;
    if (before == 0)
        return type == SERVER_HELLO ? read_hello(r, m) : bad(r, "it does not begin with a ServerHello");
    if (before == SERVER_HELLO)
        return type == CERTIFICATE ? read_chain(r, m) : bad(r, "it goes on without a certificate");
    if (type != CERTIFICATE_STATUS && type != KEY_EXCHANGE && type != CERTIFICATE_REQUEST && type != SERVER_HELLO_DONE)
        return bad(r, "a message comes where it does not belong");
    return read_after_chain(r, type, m);
}

static enum hello_state read_messages(struct hello_reader *r)
{
    for (;;) {
        struct bytes rest = bytes_of(r->messages.p + r->at, r->messages.n - r->at), m;
        uint8_t type;
        uint32_t n;
        if (!bytes_take_u8(&rest, &type) || !bytes_take_u24(&rest, &n))
            return HELLO_MORE;
        if (n > HELLO_BYTES_MAX)
            return bad(r, "it announces a message of more than 64 KiB");
        if (!bytes_take(&rest, n, &m))
            return HELLO_MORE;
        r->at += 4 + n;
        const enum hello_state s = read_message(r, type, m);
        if (s != HELLO_MORE)
            return s;
    }
}

/* A warning is noted: servers that do not know the name say so and go on (RFC 6066 section 3). */
static enum hello_state read_alert(struct hello_reader *r, struct bytes *part)
{
    uint8_t c;
    while (bytes_take_u8(part, &c)) {
        r->alert_bytes[r->alert_n++] = c;
        if (r->alert_n < sizeof r->alert_bytes)
            continue;
        r->alert_n = 0;
        r->alert = r->alert_bytes[1];
        r->alerted = true;
        if (r->alert_bytes[0] != 1 || r->alert == 0)
            return HELLO_ALERT;
    }
    return HELLO_MORE;
}

static enum hello_state read_header(struct hello_reader *r)
{
    const uint8_t type = r->record[0];
    const bool is_tls = (type == RECORD_HANDSHAKE || type == RECORD_ALERT) && r->record[1] == 3 && r->record[2] <= 4;
    const uint16_t n = (uint16_t)(r->record[3] << 8 | r->record[4]);
    if (!is_tls)
        return r->messages.n > 0 || r->alerted ? bad(r, "a record comes where it does not belong") : HELLO_NOT_TLS;
    if (n > RECORD_MAX)
        return bad(r, "a record is longer than TLS allows");
    r->left = n;
    return HELLO_MORE;
}

static enum hello_state read_part(struct hello_reader *r, struct bytes *in)
{
    struct bytes part;
    const size_t n = in->n < r->left ? in->n : r->left;
    if (!bytes_take(in, n, &part))
        return bad(r, "a record is cut short");
    r->left = (uint16_t)(r->left - n);
    if (r->record[0] == RECORD_ALERT)
        return read_alert(r, &part);
    buf_put(&r->messages, part);
    if (rc_failed(buf_status(&r->messages)))
        return bad(r, "there is no memory for what it sends");
    return read_messages(r);
}

enum hello_state hello_read(struct hello_reader *r, struct bytes in)
{
    if (r->messages.max == 0)
        buf_init(&r->messages, HELLO_BYTES_MAX);
    if (in.n > HELLO_BYTES_MAX - r->taken)
        return bad(r, "it sends more than 64 KiB");
    r->taken += (uint32_t)in.n;
    while (in.n > 0) {
        enum hello_state s = HELLO_MORE;
        if (r->record_n < sizeof r->record) {
            bytes_take_u8(&in, &r->record[r->record_n++]);
            /* Another protocol's first words may be shorter than a header. */
            if (r->record_n == 2 && r->messages.n == 0 && !r->alerted && r->record[1] != 3)
                return HELLO_NOT_TLS;
            if (r->record_n == sizeof r->record)
                s = read_header(r);
        } else {
            s = read_part(r, &in);
        }
        if (s != HELLO_MORE)
            return s;
        if (r->record_n == sizeof r->record && r->left == 0)
            r->record_n = 0;
    }
    return HELLO_MORE;
}

size_t hello_chain(const struct hello_reader *r, struct bytes out[HELLO_CHAIN_MAX])
{
    struct bytes list = hello_bytes(r, r->certificates);
    size_t n = 0;
    while (n < HELLO_CHAIN_MAX && list.n > 0 && take_counted(&list, 3, &out[n]))
        n++;
    return n;
}

struct bytes hello_bytes(const struct hello_reader *r, struct hello_span s)
{
    return s.n > 0 ? bytes_of(r->messages.p + s.at, s.n) : (struct bytes){0};
}

void hello_reuse(struct hello_reader *r, enum hello_until until)
{
    struct buf memory = r->messages;
    buf_reset(&memory);
    *r = (struct hello_reader){.until = until, .messages = memory};
}

void hello_free(struct hello_reader *r)
{
    buf_free(&r->messages);
    *r = (struct hello_reader){0};
}

/* --- names */

const char *hello_suite_name(uint16_t suite)
{
    const struct suite *s = suite_of(suite);
    return s ? s->name : NULL;
}

enum hello_keys hello_suite_keys(uint16_t suite)
{
    const struct suite *s = suite_of(suite);
    return s ? (enum hello_keys)s->keys : HELLO_ANY_KEY;
}

const char *hello_group_name(uint16_t group)
{
    for EACH(i, groups)
        if (groups[i].id == group)
            return groups[i].name;
    return NULL;
}

bool hello_group_is_post_quantum(uint16_t group)
{
    for EACH(i, groups)
        if (groups[i].id == group)
            return groups[i].post_quantum;
    return false;
}

const char *hello_version_name(uint16_t version)
{
    static const char *const names[] = {"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    return version >= 0x0300 && version <= TLS13 ? names[version - 0x0300] : NULL;
}
