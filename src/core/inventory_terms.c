/* What certificates are found by. */
#include "base/address.h"
#include "base/encode.h"
#include "base/str.h"
#include "core/inventory.h"
#include "pki/name_text.h"

#define LABELS_MAX        128
#define WORDS_MAX         24 /* of one certificate's names: a list of a hundred names is found by the names themselves */
#define SUBJECT_WORDS_MAX 12

/* One space before each term but the first; each once. */
struct terms {
    struct buf out;
    size_t begin; /* of the term that is being written */
    struct {
        size_t at, n;
    } v[INVENTORY_TERMS_MAX];
    unsigned n, words, subject_words;
    bool capped;
};

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static void put_char(struct buf *out, uint8_t c, bool utf8)
{
    if (c >= 'A' && c <= 'Z')
        c |= 0x20;
    buf_put_u8(out, (is_letter(c) && (c < 0x80 || utf8)) || (c && strchr(".-_:=*@", c)) ? c : '_');
}

/* A name may hold any bytes; a database takes UTF-8 alone. */
static void put_text(struct buf *out, struct bytes text)
{
    bool high = false;
    for (size_t i = 0; i < text.n; i++)
        high |= text.p[i] >= 0x80;
    const bool utf8 = high && str_is_utf8(text);
    for (size_t i = 0; i < text.n; i++)
        put_char(out, text.p[i], utf8);
}

static void term_begin(struct terms *t, const char *prefix)
{
    t->begin = t->out.n;
    buf_put_z(&t->out, t->n ? " " : "");
    buf_put_z(&t->out, prefix);
}

/* False where it was left out. */
static bool term_end(struct terms *t)
{
    const size_t at = t->begin + (t->n > 0), n = t->out.n - at;
    bool keep = n > 0 && n <= INVENTORY_TERM_MAX;
    for (unsigned i = 0; i < t->n && keep; i++)
        keep = t->v[i].n != n || memcmp(t->out.p + t->v[i].at, t->out.p + at, n);
    if (keep && t->n == INVENTORY_TERMS_MAX) {
        t->capped = true;
        keep = false;
    }
    if (!keep) {
        t->out.n = t->begin;
        return false;
    }
    t->v[t->n].at = at;
    t->v[t->n++].n = n;
    return true;
}

static void term_add(struct terms *t, const char *prefix, struct bytes text)
{
    term_begin(t, prefix);
    put_text(&t->out, text);
    term_end(t);
}

static void term_hex(struct terms *t, const char *prefix, struct bytes data)
{
    term_begin(t, prefix);
    put_hex(&t->out, data);
    term_end(t);
}

/* --- names */

struct labels {
    struct bytes v[LABELS_MAX]; /* as they stand: www, example, org */
    size_t n;
};

static void labels_of(struct bytes name, struct labels *out)
{
    struct bytes label;
    out->n = 0;
    while (out->n < LABELS_MAX && bytes_take_until(&name, '.', &label))
        out->v[out->n++] = label;
}

/* The last `k` labels, the last first. */
static void put_reversed(struct buf *out, const struct labels *l, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        if (i)
            buf_put_u8(out, '.');
        put_text(out, l->v[l->n - 1 - i]);
    }
}

static void word_add(struct terms *t, struct bytes word)
{
    if (word.n < 2 || t->words >= WORDS_MAX)
        return;
    term_begin(t, "");
    put_text(&t->out, word);
    t->words += term_end(t);
}

static void words_of(struct terms *t, struct bytes label)
{
    word_add(t, label);
    if (bytes_starts_with(label, BYTES_LIT("xn--")) || bytes_find(label, BYTES_LIT("-")) == SIZE_MAX)
        return;
    struct bytes part;
    while (bytes_take_until(&label, '-', &part))
        word_add(t, part);
}

/* What a name lies under, down to two labels; with `itself`, the name too. */
static void suffixes_add(struct terms *t, const struct labels *l, bool itself)
{
    for (size_t k = 2; k < l->n + itself; k++) {
        term_begin(t, "");
        put_reversed(&t->out, l, k);
        term_end(t);
    }
}

static void dns_add(struct terms *t, struct bytes raw)
{
    struct name_text_dns name;
    struct labels l;
    name_text_dns(raw, &name);
    labels_of(bytes_of(name.text, name.n), &l);
    if (!l.n)
        return;
    term_begin(t, "=");
    put_reversed(&t->out, &l, l.n);
    term_end(t);
    suffixes_add(t, &l, false);
    for (size_t i = 0; i < l.n - (l.n > 1); i++)
        words_of(t, l.v[i]);
}

/* What lies behind the @ of an e-mail address, or the host of a URI. */
static void domain_add(struct terms *t, struct bytes domain)
{
    struct name_text_dns name;
    struct labels l;
    name_text_dns(domain, &name);
    labels_of(bytes_of(name.text, name.n), &l);
    if (l.n)
        suffixes_add(t, &l, true);
}

static void email_add(struct terms *t, struct bytes email)
{
    term_add(t, "m:", email);
    const size_t at = bytes_find(email, BYTES_LIT("@"));
    if (at != SIZE_MAX)
        domain_add(t, bytes_of(email.p + at + 1, email.n - at - 1));
}

static void uri_add(struct terms *t, struct bytes uri)
{
    const size_t scheme = bytes_find(uri, BYTES_LIT("://"));
    if (scheme == SIZE_MAX)
        return;
    struct bytes host = bytes_of(uri.p + scheme + 3, uri.n - scheme - 3);
    for (size_t i = 0; i < host.n; i++)
        if (strchr("/?#:", host.p[i])) /* a NUL ends it too */
            host.n = i;
    const size_t user = bytes_find(host, BYTES_LIT("@"));
    if (user != SIZE_MAX)
        bytes_skip(&host, user + 1);
    term_add(t, "u:", host);
    domain_add(t, host);
}

static void ip_add(struct terms *t, struct bytes value)
{
    struct address a = {.len = (uint8_t)value.n};
    if (value.n != 4 && value.n != 16)
        return;
    memcpy(a.ip, value.p, value.n);
    term_begin(t, "ip:");
    address_put(&t->out, &a);
    term_end(t);
}

/* True where the common name is among the names. */
static bool names_add(struct terms *t, const struct cert_fields *cert)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name name;
    bool common = false;
    while (cert_next_general_name(&rest, &name)) {
        switch (name.type) {
        case CERT_GENERAL_DNS:
            common |= bytes_equal_nocase(name.value, cert->subject.common_name.value);
            dns_add(t, name.value);
            break;
        case CERT_GENERAL_IP:
            ip_add(t, name.value);
            break;
        case CERT_GENERAL_EMAIL:
            email_add(t, name.value);
            break;
        case CERT_GENERAL_URI:
            uri_add(t, name.value);
            break;
        default:
            break;
        }
        if (t->capped) /* no more room: ten thousand names are not looked at in vain */
            return common;
    }
    /* Where it has no alternative name the common name was the name, and still is what people look for. */
    struct name_text_dns dns;
    name_text_dns(cert->subject.common_name.value, &dns);
    if (!cert->san.n && dns.valid) {
        dns_add(t, cert->subject.common_name.value);
        return true;
    }
    return common;
}

/* --- subjects */

static void hash_add(struct ctx *ctx, struct terms *t, const char *prefix, struct cert_text text)
{
    const char *term = text.tag ? inventory_term_hash(ctx, prefix, bytes_z(name_text_str(&ctx->arena, text))) : NULL;
    if (term)
        term_add(t, "", bytes_z(term));
}

static void subject_words(struct terms *t, struct bytes text)
{
    for (size_t i = 0, begin = 0; i <= text.n; i++) {
        uint8_t c = i < text.n ? text.p[i] : ' ';
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        if (is_letter(c))
            continue;
        if (i - begin >= 2 && t->subject_words < SUBJECT_WORDS_MAX) {
            term_begin(t, "su:");
            put_text(&t->out, bytes_of(text.p + begin, i - begin));
            t->subject_words += term_end(t);
        }
        begin = i + 1;
    }
}

static void subject_add(struct ctx *ctx, struct terms *t, const struct cert_fields *cert, bool common)
{
    struct cert_attribute_cursor at = cert_attributes(&cert->subject);
    struct cert_attribute a;
    hash_add(ctx, t, "o:", cert->subject.organization);
    if (!common)
        hash_add(ctx, t, "cn:", cert->subject.common_name);
    for (unsigned n = 0; n < 16 && cert_next_attribute(&at, &a); n++)
        if (a.type == CERT_ATTRIBUTE_EMAIL)
            email_add(t, a.text.value);
        else if (!(common && a.type == CERT_ATTRIBUTE_CN) && a.type != CERT_ATTRIBUTE_C)
            subject_words(t, bytes_z(name_text_str(&ctx->arena, a.text)));
}

/* --- all */

RC inventory_terms(struct ctx *ctx, const struct cert_fields *cert, const struct cert_digests *digests,
                   const uint8_t issuer_sha256[SHA256_LEN], struct inventory_terms *out)
{
    struct terms t = {.n = 0};
    struct buf BUF_CLEANUP room;
    buf_init(&room, (size_t)INVENTORY_TERMS_MAX * (INVENTORY_TERM_MAX + 1) + 2 * CERT_READ_MAX);
    buf_reserve(&room, 2000);
    t.out = room;
    struct bytes serial = cert->serial;
    while (serial.n > 1 && !*serial.p)
        bytes_skip(&serial, 1);
    if (serial.n > 20)
        serial.n = 20;
    term_hex(&t, "k:", bytes_of(digests->spki_sha256, 8));
    term_hex(&t, "s:", serial);
    term_hex(&t, "sha1:", bytes_of(digests->sha1, 8));
    term_hex(&t, "i:", bytes_of(issuer_sha256, 8));
    const char *key = inventory_key_word(ctx, KEY_KIND(cert->key.type, cert->key.curve), cert->key.bits);
    term_add(&t, "kt:", bytes_z(cert_key_word(cert->key.type)));
    term_add(&t, "kt:", bytes_z(key));
    term_add(&t, "sa:", bytes_z(cert_signature_word(cert->signature_type)));
    if (cert->is_ca) {
        uint8_t subject[SHA256_LEN];
        TRY(digest_sha256(ctx, cert->subject.der, subject));
        term_hex(&t, "n:", bytes_of(subject, 8));
        term_add(&t, "f:", BYTES_LIT("ca"));
    }
    if (cert->self_issued)
        term_add(&t, "f:", BYTES_LIT("selfsigned"));
    if (cert->extensions & EXT_POISON)
        term_add(&t, "f:", BYTES_LIT("precertificate"));
    if (cert->defects)
        term_add(&t, "f:", BYTES_LIT("defect"));
    if (inventory_is_wildcard(cert))
        term_add(&t, "f:", BYTES_LIT("wildcard"));
    const bool common = names_add(&t, cert);
    subject_add(ctx, &t, cert, common);
    room = t.out; /* it may have moved */
    TRY(buf_status(&room));
    *out = (struct inventory_terms){arena_str(&ctx->arena, buf_bytes(&room)), t.n, t.capped};
    return RC_OK;
}

bool inventory_is_wildcard(const struct cert_fields *cert)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name name;
    while (cert_next_general_name(&rest, &name))
        if (name.type == CERT_GENERAL_DNS && bytes_starts_with(name.value, BYTES_LIT("*.")))
            return true;
    return !cert->san.n && bytes_starts_with(cert->subject.common_name.value, BYTES_LIT("*."));
}

/* --- the parts, for those who search */

static const char *finish(struct buf *out)
{
    return rc_ok(buf_status(out)) && out->n && out->n <= INVENTORY_TERM_MAX ? buf_z(out) : NULL;
}

const char *inventory_term_under(struct ctx *ctx, struct bytes name)
{
    struct name_text_dns dns;
    struct labels l;
    struct buf out;
    name_text_dns(name, &dns);
    labels_of(bytes_of(dns.text, dns.n), &l);
    const bool wild = l.n && bytes_equal_z(l.v[0], "*");
    if (l.n < 2 + (size_t)wild)
        return NULL;
    buf_init_arena(&out, &ctx->arena, 4096);
    put_reversed(&out, &l, l.n - wild);
    return finish(&out);
}

const char *inventory_term_exact(struct ctx *ctx, struct bytes name)
{
    struct name_text_dns dns;
    struct labels l;
    struct buf out;
    name_text_dns(name, &dns);
    labels_of(bytes_of(dns.text, dns.n), &l);
    if (!l.n)
        return NULL;
    buf_init_arena(&out, &ctx->arena, 4096);
    buf_put_u8(&out, '=');
    put_reversed(&out, &l, l.n);
    return finish(&out);
}

const char *inventory_term_word(struct ctx *ctx, struct bytes word)
{
    struct buf out;
    if (word.n < 2)
        return NULL;
    buf_init_arena(&out, &ctx->arena, 4096);
    put_text(&out, word);
    return finish(&out);
}

const char *inventory_term_text(struct ctx *ctx, const char *prefix, struct bytes text)
{
    struct buf out;
    buf_init_arena(&out, &ctx->arena, 8192);
    buf_put_z(&out, prefix);
    put_text(&out, text);
    return finish(&out);
}

const char *inventory_fold(struct ctx *ctx, struct bytes text)
{
    struct bytes trimmed = bytes_trim(text);
    char *s = arena_str(&ctx->arena, trimmed);
    for (size_t i = 0; i < trimmed.n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] |= 0x20;
    return s;
}

const char *inventory_term_hash(struct ctx *ctx, const char *prefix, struct bytes value)
{
    uint8_t hash[SHA256_LEN];
    const bool name = *prefix == 'i' || *prefix == 'n'; /* of bytes, not of a text */
    const struct bytes of = name ? value : bytes_z(inventory_fold(ctx, value));
    if (!of.n || rc_failed(digest_sha256(ctx, of, hash)))
        return NULL;
    return arena_printf(&ctx->arena, "%s%s", prefix, hex_str(&ctx->arena, bytes_of(hash, 8)));
}

const char *inventory_key_word(struct ctx *ctx, int64_t key_kind, int64_t key_bits)
{
    const enum cert_key_type type = KEY_KIND_TYPE(key_kind);
    const enum cert_curve curve = KEY_KIND_CURVE(key_kind);
    const char *word = type < CERT_KEY_COUNT ? cert_key_word(type) : "other";
    if (type == CERT_KEY_EC) {
        char *s = arena_printf(&ctx->arena, "ec-%s",
                               curve > CERT_CURVE_NONE && curve < CERT_CURVE_COUNT ? cert_curve_word(curve) : "other"),
             *to = s + 3;
        for (const char *from = to; *from; from++)
            if (*from != '-')
                *to++ = (char)(*from >= 'A' && *from <= 'Z' ? *from | 0x20 : *from);
        *to = 0;
        return s;
    }
    const bool sized = type == CERT_KEY_RSA || type == CERT_KEY_RSA_PSS || type == CERT_KEY_DSA || type == CERT_KEY_DH ||
                       type == CERT_KEY_DHX || type == CERT_KEY_RSA_OAEP;
    return sized ? arena_printf(&ctx->arena, "%s-%lld", word, (long long)key_bits) : word;
}
