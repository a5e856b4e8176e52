/* DNS messages (RFC 1035 section 4): questions, answers, and TSIG (RFC 8945).
 *
 * Names are read and written by the C library (ns_name_unpack and its siblings of <arpa/nameser.h>), the part of a message that is
 * hard to read safely; what is left is a header, a question and records whose lengths are compared by struct bytes.  ldns and
 * libunbound know far more than is needed here (validation, zones, a cache), would be one more library in two processes, and ldns
 * leaves TSIG's key in freed memory.
 *
 * Names in structs are text in lower case without a final dot ("" is the root); characters that are not printed, and dots within a
 * label, are escaped as in a zone file. */
#ifndef NET_DNS_WIRE_H
#define NET_DNS_WIRE_H

#include "base/buf.h"
#include "base/ctx.h"

#define DNS_MESSAGE_MAX 65535
#define DNS_RECORDS_MAX 2000 /* in one section of an answer */
#define DNS_TEXT_MAX    1024 /* of one TXT record that is written */

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_CAA = 257,
};

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_NOTAUTH = 9,
    DNS_NOTZONE = 10,
    DNS_BADSIG = 16, /* of TSIG */
    DNS_BADKEY = 17,
    DNS_BADTIME = 18,
};

struct dns_record {
    const char *owner;
    uint16_t type;
    uint32_t ttl;
    const char *name;  /* NS, CNAME; SOA: its first server; else "" */
    struct bytes data; /* TXT: its strings as one; others: as it came */
};

struct dns_tsig {
    size_t at; /* where its record begins in the message; 0: there is none */
    const char *key, *algorithm;
    uint64_t time_s;
    uint16_t fudge_s, original_id, error;
    struct bytes mac, other;
};

struct dns_reply {
    int rcode;
    bool authoritative, truncated;
    struct dns_record *answer, *authority;
    size_t n_answer, n_authority;
    struct dns_tsig tsig;
};

/* dns_rcode_text returns "REFUSED" and so on, also of TSIG's errors. */
const char *dns_rcode_text(struct ctx *ctx, int rcode);
/* dns_name_plain says whether a name is made of labels of a-z, 0-9, '-' and '_' alone, of 253 characters at most. */
bool dns_name_plain(const char *name);
/* dns_name_within says whether `name` is `zone` or below it; everything is within "". */
bool dns_name_within(const char *name, const char *zone);
/* dns_name_parent returns the name without its first label; "" for a name of one label. */
const char *dns_name_parent(const char *name);

/* dns_put_name appends a name, not compressed.  E_INVALID where it is none. */
RC dns_put_name(struct ctx *ctx, struct buf *b, const char *name);
/* dns_put_question appends header and question.  `edns`: says that answers of 1,232 bytes are taken (RFC 6891). */
RC dns_put_question(struct ctx *ctx, struct buf *b, uint16_t id, const char *name, enum dns_type type, bool recurse, bool edns);
/* dns_put_update appends an UPDATE (RFC 2136): `add` or delete one TXT value at `name`. */
struct dns_change {
    const char *zone, *name;
    struct bytes value;
    uint32_t ttl;
    bool add;
};
RC dns_put_update(struct ctx *ctx, struct buf *b, uint16_t id, const struct dns_change *c);

/* dns_answers says whether `reply` may be the answer to `query`: same id, opcode and question, and an answer at all.  What is not,
 * on a socket for datagrams, is somebody else's and passed over. */
bool dns_answers(struct bytes query, struct bytes reply);
/* dns_reply_read reads an answer; `data` and strings live in ctx->arena.  E_BAD_ANSWER where it is none. */
RC dns_reply_read(struct ctx *ctx, struct bytes message, struct dns_reply *out);

/* A key of TSIG.  `algorithm`: "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512". */
struct dns_key {
    const char *name, *algorithm;
    struct bytes secret;
};
/* dns_sign appends the TSIG record to a whole message in `b` and gives its MAC.  E_UNSUPPORTED for another algorithm. */
RC dns_sign(struct ctx *ctx, struct buf *b, const struct dns_key *key, int64_t now_s, struct bytes *mac);
/* dns_verify checks that the answer `message` is signed with the key, for the request with this MAC, now.  E_BAD_ANSWER. */
RC dns_verify(struct ctx *ctx, struct bytes message, const struct dns_reply *reply, const struct dns_key *key,
              struct bytes request_mac, int64_t now_s);

#endif
