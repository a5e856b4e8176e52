/* The inventory: every certificate there is, found or issued, once.
 *
 * A certificate is a narrow row (table certificate), its DER beside it (compressed with a dictionary of the inventory's own), terms
 * that it is found by, findings, and numbers that are counted.  What is not a column is read from the DER again when it is shown.
 *
 * Taking has two halves.  inventory_prepare() reads, hashes, compresses and makes terms: any thread, no database.  inventory_put()
 * writes: within a write closure, as often as that runs.  inventory_take() does both. */
#ifndef CORE_INVENTORY_H
#define CORE_INVENTORY_H

#include "api/types.h"
#include "core/core.h"
#include "pki/cert_read.h"

#define INVENTORY_LIVE_MAX 5000  /* certificates of one write while people wait for others */
#define INVENTORY_BULK_MAX 50000 /* of one write of an import */
#define INVENTORY_TERMS_MAX 512  /* of one certificate: CERTIFICATE_TERMS_CAPPED says that there would be more */
#define INVENTORY_TERM_MAX 260   /* bytes of a term: a longer one is left out */

/* Bits of certificate.flags.  Those up to CERTIFICATE_MUST_STAPLE are read from it; the others are what we know of it. */
enum {
    CERTIFICATE_CA = 1 << 0,
    CERTIFICATE_SELF_SIGNED = 1 << 1,   /* issuer and subject are the same */
    CERTIFICATE_WILDCARD = 1 << 2,
    CERTIFICATE_MANAGED = 1 << 3,       /* the current version of a managed certificate */
    CERTIFICATE_REVOKED = 1 << 4,
    CERTIFICATE_VERIFIED = 1 << 5,      /* somebody proved in a full handshake that they have its key */
    CERTIFICATE_PRECERTIFICATE = 1 << 6,
    CERTIFICATE_TERMS_CAPPED = 1 << 7,  /* has more names than terms are kept for: the first ones find it */
    CERTIFICATE_DEFECTS = 1 << 8,       /* breaks a rule of its format: cert_read() says which */
    CERTIFICATE_MUST_STAPLE = 1 << 9,
    CERTIFICATE_LOOKED = 1 << 10,       /* all checks have been made once, those that take long as well (core/look.h) */
    CERTIFICATE_OURS = 1 << 11,         /* is, or was, a version of a managed certificate */
    CERTIFICATE_SUPERSEDED = 1 << 12,   /* another version took its place, or nothing ever served it: that it ends is no harm */
    CERTIFICATE_DEPTH = 15 << 16,       /* of an issuer that was fetched: how far above what was found (core/outside.h) */
};
#define CERTIFICATE_DEPTH_SHIFT 16
#define CERTIFICATE_KNOWN_MASK                                                                                                     \
    (CERTIFICATE_MANAGED | CERTIFICATE_REVOKED | CERTIFICATE_VERIFIED | CERTIFICATE_OURS | CERTIFICATE_SUPERSEDED |                \
     CERTIFICATE_DEPTH)

/* certificate.key_kind and certificate.signature_kind: numbers of pki/cert_algs.def, which never change there (a test holds
 * them). */
#define KEY_KIND(type, curve) ((int64_t)(curve) << 8 | (type))
#define KEY_KIND_TYPE(kind) ((enum cert_key_type)((kind) & 0xff))
#define KEY_KIND_CURVE(kind) ((enum cert_curve)((kind) >> 8))

/* certificate.source: who brought it first.  Numbers are in the database: never reused. */
enum inventory_source {
    INVENTORY_ISSUED = 1, /* to a managed certificate */
    INVENTORY_SCAN = 2,   /* seen in the network */
    INVENTORY_HOST = 3,   /* found by an agent on its host */
    INVENTORY_IMPORT = 4, /* of a list */
    INVENTORY_LOG = 5,    /* of a certificate transparency log */
    INVENTORY_FETCHED = 6, /* an issuer's, from where certificates say that it is (core/outside.h) */
};

const char *inventory_source_word(int64_t source); /* "issued", "scan", "host", "import", "log", "fetched"; "other" */

struct inventory; /* of struct core: dictionaries, contexts of zstd; shared by all threads */

/* inventory_load loads libzstd: before the sandbox.  inventory_open reads what is kept in memory; core_start() calls it. */
RC inventory_load(struct ctx *ctx);
RC inventory_open(struct ctx *ctx, struct core *core);
void inventory_close(struct core *core);

/* --- terms */

/* The terms of a certificate, of what is in it alone, and so for good: words of [a-z0-9.\-_:=*@] and bytes above 127, each once.
 *
 *     =org.example.www               each DNS name, turned around; =org.example.* for *.example.org
 *     org.example                    what it lies under, down to two labels
 *     www  some-shop  some  shop     words: each label but the last, and its parts between hyphens
 *     ip:192.0.2.1  ip:2001:db8::1   addresses, as address_put() writes them
 *     m:who@example.org              e-mail addresses, in small letters; their domain as a DNS name's
 *     u:example.org                  host of a URI; its domain as a DNS name's
 *     k:HEX16                        first 8 bytes of the SPKI's SHA-256
 *     s:HEX                          serial number, leading zeros left out (no more than 20 bytes)
 *     sha1:HEX16                     first 8 bytes of the SHA-1
 *     i:HEX16                        first 8 bytes of the SHA-256 of the issuer's Name (issuer_name.sha256)
 *     n:HEX16                        of a CA: first 8 bytes of the SHA-256 of its own Name, by which what it issued names it
 *     kt:rsa kt:rsa-2048 kt:ec kt:ec-p256   key; the word as inventory_key_word() gives it
 *     sa:sha256withrsaencryption     signature
 *     o:HEX16  cn:HEX16              SHA-256 of subject's O, and of its CN unless that is one of the names; inventory_fold()ed
 *     su:word                        words of subject's attributes, unless its CN is one of the names
 *     f:ca f:selfsigned f:wildcard f:precertificate f:defect
 */
struct inventory_terms {
    const char *text; /* separated by one space */
    unsigned n;
    bool capped;
};
/* inventory_terms is in the arena. `digests` are of this certificate, `issuer_sha256` of its issuer's Name. */
RC inventory_terms(struct ctx *ctx, const struct cert_fields *cert, const struct cert_digests *digests,
                   const uint8_t issuer_sha256[SHA256_LEN], struct inventory_terms *out);

/* The parts, for those who search.  All are in the arena; NULL where nothing can be found by it.
 * inventory_term_under: names below `name`, not it: at least two labels.  inventory_term_exact: `name`, also with "*.".
 * inventory_term_word: a word as it stands in names.  inventory_term_text: any other text behind its prefix ("m:", "kt:", …), where
 * '_' stands for what no term has.
 * inventory_term_hash: `prefix` ("o:", "cn:", "i:", "n:") and the hash of `value`.  */
const char *inventory_term_under(struct ctx *ctx, struct bytes name);
const char *inventory_term_exact(struct ctx *ctx, struct bytes name);
const char *inventory_term_word(struct ctx *ctx, struct bytes word);
const char *inventory_term_text(struct ctx *ctx, const char *prefix, struct bytes text);
const char *inventory_term_hash(struct ctx *ctx, const char *prefix, struct bytes value);
bool inventory_is_wildcard(const struct cert_fields *cert);
/* inventory_fold: ASCII in small letters, spaces at the ends left out. */
const char *inventory_fold(struct ctx *ctx, struct bytes text);
/* "rsa-2048", "ec-p256", "ed25519", "other"; of columns key_kind and key_bits. */
const char *inventory_key_word(struct ctx *ctx, int64_t key_kind, int64_t key_bits);

/* --- taking */

struct inventory_item {
    struct bytes der;
    uint32_t flags; /* of CERTIFICATE_KNOWN_MASK: added to what is known */
};

/* The Name of an issuer, once a batch. */
struct inventory_issuer {
    struct cert_name name;
    uint8_t hash[SHA256_LEN]; /* of its DER */
};

/* One certificate made ready.  Bytes are in the arena of inventory_prepare(), DER where it came from. */
struct inventory_ready {
    size_t item;                 /* index of what was given */
    struct bytes fingerprint;    /* SHA-256 */
    uint8_t print[SHA256_LEN];
    struct bytes packed;         /* DER as it is kept */
    int64_t dictionary;
    const struct inventory_issuer *issuer;
    const char *terms;
    int64_t not_before, not_after, key_kind, key_bits, signature_kind, flags;
    int64_t findings, due_at;    /* as far as it tells alone (core/findings.h) */
    /* Of inventory_put(): */
    int64_t id;
    bool fresh;                  /* was not there */
};

struct inventory_bad { /* what is no certificate */
    size_t item;
    const char *why;
};

/* Ready certificates in the order of their fingerprints, each once. */
struct inventory_batch {
    struct inventory_ready *ready;
    size_t n;
    struct inventory_bad *bad;
    size_t bad_n;
};

/* Who brings them. */
struct inventory_from {
    enum inventory_source source;
    const char *team_id; /* of what is new; NULL: the root team */
    int64_t at;          /* when it was seen; 0: now */
};

/* inventory_prepare reads `items`; what cannot be read is in `bad`, and is no failure.  More than INVENTORY_BULK_MAX are
 * E_TOO_LARGE.  The first time there are enough of them and no dictionary is there, one is made of them (and kept by
 * inventory_put()). */
RC inventory_prepare(struct ctx *ctx, struct core *core, const struct inventory_item *items, size_t n, struct inventory_batch *out);
/* inventory_choose keeps of certificates that an agent told those that it also says it saw: `prints` are the `prints_n`
 * fingerprints of these, sorted on return. */
RC inventory_choose(struct ctx *ctx, const struct api_scan_certificate_list *told, uint8_t (*prints)[SHA256_LEN], size_t prints_n,
                    struct inventory_item **items, size_t *n);
/* inventory_put writes a batch and fills in `id` and `fresh`.  What is known gets its flags and last_seen (written once a day at
 * most). Idempotent. */
RC inventory_put(struct ctx *ctx, struct core *core, struct txn *txn, const struct inventory_from *from,
                 struct inventory_batch *batch);
/* inventory_take: both, in writes of INVENTORY_LIVE_MAX.  Not inside of a write. */
RC inventory_take(struct ctx *ctx, struct core *core, const struct inventory_from *from, const struct inventory_item *items,
                  size_t n, struct inventory_batch *out);

/* inventory_bulk takes very many: it prepares INVENTORY_BULK_MAX while the ones before them are being written.  `each` (may be
 * NULL) gets every batch once it is durable, in their order; `first` is the index of its first item.  A failure ends it: what was
 * given to `each` is there. */
typedef struct rc inventory_each_fn(struct ctx *ctx, void *arg, const struct inventory_batch *batch, size_t first);
RC inventory_bulk(struct ctx *ctx, struct core *core, const struct inventory_from *from, const struct inventory_item *items,
                  size_t n, inventory_each_fn *each, void *arg);

/* --- where they are */

enum inventory_place { INVENTORY_TLS, INVENTORY_FILE, INVENTORY_STORE, INVENTORY_LIST, INVENTORY_AT_LOG };
const char *inventory_place_word(enum inventory_place kind); /* "tls", … as column endpoint.kind has it */

struct inventory_sighting {
    enum inventory_place kind;
    const char *place;         /* "192.0.2.1:443", "[2001:db8::1]:443"; "web1:/etc/ssl/a.pem"; name of a list */
    const char *name;          /* SNI, alias; "" */
    const char *agent_id;      /* who looked; NULL */
    const char *result;        /* "ok", or how it failed ("silent", "refused", "alert", …) */
    const char *error;         /* NULL */
    const char *options;       /* JSON object of what was negotiated; NULL: not told */
    const struct bytes *chain; /* fingerprints in the order shown, the leaf first; n is 0 where it failed */
    size_t n;
    int64_t at;                /* 0: now */
};
#define INVENTORY_CHAIN_MAX 32 /* those behind are left out */
#define INVENTORY_TIMES_MAX 8  /* that a leaf was shown before, and another one after it; of more the oldest are one */

/* inventory_observe notes what was looked at: the endpoint's row, and which certificates it showed first and last when.
 * Fingerprints that the inventory does not have are passed over and counted in `unknown` (may be NULL): take them first.  An
 * endpoint that failed keeps the certificate it had.  Idempotent.  `endpoint_id` may be NULL. */
RC inventory_observe(struct ctx *ctx, struct core *core, struct txn *txn, const char *team_id, const struct inventory_sighting *s,
                     int64_t *endpoint_id, int64_t *unknown);

/* --- showing */

/* certificate_der gives the DER of what table certificate_der holds; in the arena.  E_DATABASE where it is damaged. */
RC certificate_der(struct ctx *ctx, struct core *core, int64_t dictionary, struct bytes packed, struct bytes *der);

/* inventory_find looks for a certificate by its fingerprint. */
RC inventory_find(struct ctx *ctx, struct txn *txn, struct bytes fingerprint, int64_t *id, bool *found);

/* inventory_assign gives certificates to a team, counters included. */
RC inventory_assign(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, const char *team_id);
/* inventory_flag sets and clears bits of CERTIFICATE_KNOWN_MASK. */
RC inventory_flag(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, int64_t set, int64_t clear);
/* inventory_version says what has become of a version of a managed certificate (number 0, or one that is not there: nothing). */
enum inventory_version {
    VERSION_CURRENT,
    VERSION_SUPERSEDED,
    VERSION_LEFT, /* it is managed no more, and may be served all the same */
};
RC inventory_version(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, int64_t number,
                     enum inventory_version what);
/* inventory_finding opens (`holds`) or closes a finding of a certificate, or of an endpoint that shows it (endpoint_id not 0): the
 * row, the bit, and the counters.  `detail` may be "".  Idempotent. */
RC inventory_finding(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, int64_t endpoint_id, unsigned check,
                     bool holds, const char *detail);

/* --- what goes on by itself */

/* inventory_tick does what is due: findings that the clock changes, deltas folded, certificates to be read again, a better
 * dictionary.  True in `more` where it stopped at its ceiling.  Called by schedule_tick(). */
RC inventory_tick(struct ctx *ctx, struct core *core, bool *more);

/* Retention: what ended and was not seen for so long goes, with all that was known of it, unless it is managed. */
#define INVENTORY_KEPT_S ((int64_t)400 * 86400)
/* inventory_expire takes a turn at what is not due by itself: endpoints not looked at and days of counters, so old; names of
 * issuers of which nothing was here for a year.  Once a day it goes through all; `more`: there is more to do at once. */
RC inventory_expire(struct ctx *ctx, struct core *core, struct txn *txn, bool *more);

#endif
