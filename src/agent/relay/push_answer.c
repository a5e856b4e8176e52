#include "agent/relay/push_session.h"

#include "agent/relay/dns_text.h"
#include "agent/relay/push_xml.h"
#include "base/encode.h"
#include "pki/pkcs7.h"
#include "pki/cert.h"
#include "pki/pem.h"

#define CHAIN_MAX 32
#define EVERY_MAX 1000
#define WORDS_MAX 300
#define CODE_SHORT 11 /* longer than this with digits or signs in it is taken for a code, and not shown */
#define CODE_LONG  40

/* --- where a value is */

/* One step of a JSON pointer (RFC 6901 section 4): "~1" is '/', "~0" is '~'. */
static char *unescape(struct ctx *ctx, struct bytes token)
{
    char *out = arena_str(&ctx->arena, token), *to = out;
    for (const char *p = out; *p != '\0'; p++) {
        bool escaped = *p == '~' && (p[1] == '0' || p[1] == '1');
        *to++ = !escaped ? *p : p[1] == '0' ? '~' : '/';
        p += escaped;
    }
    *to = '\0';
    return out;
}

static const json_t *walk(struct ctx *ctx, const json_t *v, struct bytes pointer)
{
    struct bytes token;
    uint8_t slash;
    while (v != NULL && bytes_take_u8(&pointer, &slash)) {
        size_t n = 0;
        uint64_t index;
        while (n < pointer.n && pointer.p[n] != '/')
            n++;
        bytes_take(&pointer, n, &token);
        if (slash != '/')
            return NULL;
        if (json_is_array(v))
            v = str_to_u64(token, &index) ? json_array_get(v, index) : NULL;
        else
            v = json_object_get(v, unescape(ctx, token));
    }
    return v;
}

/* A value as text: strings, numbers and truth values; the rest only as a tree. */
static RC text_of(struct ctx *ctx, struct push_session *s, const json_t *v, bool tree, struct bytes *out, bool *found)
{
    struct buf *b = push_room(s, PUSH_VALUE_MAX);
    struct json_out j;
    *found = v != NULL && !json_is_null(v);
    if (!*found)
        return RC_OK;
    if (json_is_string(v) && !tree)
        buf_put(b, bytes_of(json_string_value(v), json_string_length(v)));
    else if (json_is_object(v) && !tree)
        return ctx_fail(ctx, E_BAD_ANSWER, "a value that should be a text is an object");
    else if (json_is_array(v) && !tree)
        return ctx_fail(ctx, E_BAD_ANSWER, "a value that should be a text is a list");
    else {
        json_begin(&j, b);
        json_put_value(&j, NULL, v);
    }
    *out = buf_bytes(b);
    return buf_status(b);
}

bool push_text_at(struct ctx *ctx, const json_t *root, const char *pointer, struct bytes *out)
{
    const json_t *v = walk(ctx, root, bytes_z(pointer));
    if (!json_is_string(v))
        return false;
    *out = bytes_of(json_string_value(v), json_string_length(v));
    return true;
}

/* Whether the TXT value at `pointer` is the one that this session is about. */
static bool is_ours(struct ctx *ctx, const struct push_session *s, const char *pointer, const json_t *member)
{
    struct bytes value, text;
    push_get(s, "value", &value);
    return push_text_at(ctx, member, pointer, &text) && dns_text_is(text, value);
}

static RC fits(struct ctx *ctx, struct push_session *s, const struct push_from *from, const json_t *member, bool *yes)
{
    const struct push_pairs *where = &from->where;
    *yes = from->txt == NULL || is_ours(ctx, s, from->txt, member);
    for (size_t i = 0; i < where->n && *yes; i++) {
        struct bytes wanted, is = {0};
        bool found = false;
        TRY(push_expand(ctx, s, where->v[i].value, PUSH_PLAIN, NULL, &wanted));
        const json_t *v = walk(ctx, member, bytes_z(where->v[i].name));
        if (!json_is_object(v) && !json_is_array(v))
            TRY(text_of(ctx, s, v, false, &is, &found));
        *yes = found && bytes_equal(is, wanted);
    }
    return RC_OK;
}

static RC find_member(struct ctx *ctx, struct push_session *s, const struct push_from *from, const json_t *root, const json_t **out)
{
    struct bytes pointer;
    const char *key;
    json_t *member;
    size_t i;
    bool yes = false;
    TRY(push_expand(ctx, s, from->find, PUSH_POINTER, NULL, &pointer));
    json_t *all = (json_t *)(uintptr_t)walk(ctx, root, pointer);
    *out = NULL;
    /* With DNS "it is not there" is a fact that is acted on: it must have been said. */
    if (s->wish != NULL && s->wish->description != NULL && !json_is_array(all) && !json_is_object(all))
        return ctx_fail(ctx, E_BAD_ANSWER, "the answer has no list at %s%s", *from->find != '\0' ? from->find : "its top",
                        json_is_null(all) ? " (it is null)" : "");
    if (json_is_array(all))
        json_array_foreach(all, i, member)
        {
            TRY(fits(ctx, s, from, member, &yes));
            if (yes) {
                *out = member;
                return RC_OK;
            }
        }
    else if (json_is_object(all))
        json_object_foreach(all, key, member)
        {
            TRY(fits(ctx, s, from, member, &yes));
            if (yes) {
                *out = member;
                return RC_OK;
            }
        }
    return RC_OK;
}

static RC find_json(struct ctx *ctx, struct push_session *s, const struct push_from *from, const struct push_answer *a, bool tree,
                    struct bytes *out, bool *found)
{
    json_auto_t *root = NULL;
    struct bytes pointer;
    *found = false;
    struct trail_entry *trail = ctx->trail;
    struct rc rc = json_read(ctx, a->body, &root);
    if (rc_failed(rc) && from->txt != NULL)
        return ctx_wrap(ctx, rc_of(E_BAD_ANSWER), "the answer should be JSON");
    if (rc_failed(rc)) {
        ctx->trail = trail;
        return RC_OK; /* no JSON: nothing is there */
    }
    const json_t *at = root;
    TRY(push_expand(ctx, s, from->json, PUSH_POINTER, NULL, &pointer));
    if (from->find != NULL)
        TRY(find_member(ctx, s, from, root, &at));
    else if (from->txt != NULL && !is_ours(ctx, s, from->txt, root))
        return RC_OK;
    return text_of(ctx, s, at == NULL ? NULL : walk(ctx, at, pointer), tree, out, found);
}

/* What is between two marks; `rest` is what comes after it. */
static RC take_between(struct ctx *ctx, struct push_session *s, const char *const marks[2], struct bytes *rest, struct bytes *out,
                       bool *found)
{
    struct bytes mark[2];
    *found = false;
    for (size_t i = 0; i < 2; i++)
        TRY(push_expand(ctx, s, marks[i], PUSH_PLAIN, NULL, &mark[i]));
    size_t first = bytes_find(*rest, mark[0]);
    if (mark[0].n == 0 || mark[1].n == 0 || first == SIZE_MAX)
        return RC_OK;
    bytes_skip(rest, first + mark[0].n);
    size_t last = bytes_find(*rest, mark[1]);
    if (last == SIZE_MAX)
        return RC_OK;
    *found = true;
    *out = bytes_of(rest->p, last);
    bytes_skip(rest, last + mark[1].n);
    return RC_OK;
}

/* The five entities of XML, and the quotes by number; anything else stays. */
static void put_without_entities(struct buf *b, struct bytes in)
{
    static const struct {
        const char *entity;
        char is;
    } entities[] = {{"&quot;", '"'}, {"&amp;", '&'}, {"&lt;", '<'},  {"&gt;", '>'},
                    {"&apos;", '\''}, {"&#34;", '"'}, {"&#39;", '\''}};
    while (in.n > 0) {
        size_t n = 1, i = 0;
        uint8_t ch = in.p[0];
        for (; ch == '&' && i < sizeof entities / sizeof *entities; i++)
            if (in.n >= strlen(entities[i].entity) && memcmp(in.p, entities[i].entity, strlen(entities[i].entity)) == 0) {
                ch = (uint8_t)entities[i].is;
                n = strlen(entities[i].entity);
                break;
            }
        buf_put_u8(b, ch);
        bytes_skip(&in, n);
    }
}

static RC find_every(struct ctx *ctx, struct push_session *s, const char *const marks[2], struct bytes in, struct bytes *out)
{
    struct buf *b = push_room(s, PUSH_VALUE_MAX);
    struct json_out j;
    bool found = true;
    struct bytes one;
    json_begin(&j, b);
    json_open_list(&j, NULL);
    for (unsigned n = 0;; n++) {
        TRY(take_between(ctx, s, marks, &in, &one, &found));
        if (!found)
            break;
        if (n == EVERY_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "the answer holds more than %d values", EVERY_MAX);
        struct buf *plain = push_room(s, PUSH_VALUE_MAX);
        put_without_entities(plain, one);
        TRY(buf_status(plain));
        json_put_bytes_str(&j, NULL, buf_bytes(plain));
    }
    json_close(&j);
    *out = buf_bytes(b);
    return buf_status(b);
}

static RC find_xml(struct ctx *ctx, struct push_session *s, const struct push_from *from, const struct push_answer *a,
                   struct bytes *out, bool *found)
{
    struct buf *b = push_room(s, PUSH_VALUE_MAX);
    if (from->attribute != NULL)
        TRY(push_xml_attribute(ctx, a->body, from->element, from->attribute, b, found));
    else
        TRY(push_xml_children(ctx, a->body, from->element, from->children, b, found));
    *out = buf_bytes(b);
    return RC_OK;
}

RC push_find(struct ctx *ctx, struct push_session *s, const struct push_from *from, const struct push_answer *a, bool tree,
             struct bytes *out, bool *found)
{
    *found = false;
    *out = (struct bytes){0};
    if (from->value != NULL) {
        *found = true;
        return push_expand(ctx, s, from->value, PUSH_PLAIN, NULL, out);
    }
    if (from->json != NULL)
        return find_json(ctx, s, from, a, tree, out, found);
    if (from->element != NULL)
        return find_xml(ctx, s, from, a, out, found);
    if (from->header != NULL) {
        const char *value = a->headers != NULL ? http_headers_get(a->headers, from->header) : NULL;
        *found = value != NULL;
        *out = bytes_z(value);
        return RC_OK;
    }
    if (from->body) {
        *found = true;
        *out = a->body;
        return RC_OK;
    }
    struct bytes rest = a->body;
    *found = true;
    if (from->between[0] != NULL)
        TRY(take_between(ctx, s, from->between, &rest, out, found));
    return from->every[0] != NULL && *found ? find_every(ctx, s, from->every, from->between[0] != NULL ? *out : a->body, out)
                                            : RC_OK;
}

/* --- conversions */

static bool read_chain(struct ctx *ctx, struct bytes in, struct cert_chain *out)
{
    struct trail_entry *trail = ctx->trail;
    bool pem = bytes_find(in, BYTES_LIT("-----BEGIN")) != SIZE_MAX;
    struct rc rc = pem ? cert_chain_parse_pem(ctx, in, CHAIN_MAX, out) : cert_chain_parse_der(ctx, &in, 1, out);
    ctx->trail = trail;
    return rc_ok(rc) && out->n > 0;
}

/* Fingerprints as products write them: "SHA256/ab:cd", "AB CD", "ab-cd". */
static struct bytes plain_hex(struct ctx *ctx, struct bytes in)
{
    size_t slash = bytes_find(in, BYTES_LIT("/"));
    struct buf b;
    if (slash != SIZE_MAX)
        bytes_skip(&in, slash + 1);
    buf_init_arena(&b, &ctx->arena, in.n + 1);
    for (size_t i = 0; i < in.n; i++) {
        uint8_t ch = in.p[i];
        if (ch >= 'A' && ch <= 'F')
            ch = (uint8_t)(ch + 32);
        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))
            buf_put_u8(&b, ch);
        else if (memchr(": -\n", ch, 4) == NULL)
            return (struct bytes){0};
    }
    return buf_bytes(&b);
}

/* The texts of a JSON list, a line each. */
static bool join_texts(struct ctx *ctx, struct push_session *s, struct bytes in, struct bytes *out)
{
    struct trail_entry *trail = ctx->trail;
    struct buf *b = push_room(s, PUSH_VALUE_MAX);
    json_auto_t *list = NULL;
    const json_t *v;
    size_t i;
    bool good = rc_ok(json_read(ctx, in, &list)) && json_is_array(list);
    ctx->trail = trail;
    json_array_foreach(list, i, v)
    {
        good = good && json_is_string(v);
        if (good) {
            buf_put(b, bytes_of(json_string_value(v), json_string_length(v)));
            buf_put_u8(b, '\n');
        }
    }
    *out = buf_bytes(b);
    return good && rc_ok(buf_status(b));
}

static RC convert(struct ctx *ctx, struct push_session *s, const char *how, struct bytes *value)
{
    struct cert_chain chain;
    struct bytes out;
    bool good = true;
    if (strcmp(how, "base64") == 0)
        good = get_base64_pem(&ctx->arena, *value, &out);
    else if (strcmp(how, "base64url") == 0)
        good = get_base64url(&ctx->arena, *value, &out);
    else if (strcmp(how, "hex") == 0)
        good = get_hex(&ctx->arena, *value, &out);
    else if (strcmp(how, "fingerprint") == 0)
        out = plain_hex(ctx, *value);
    else if (strcmp(how, "trim") == 0) {
        out = *value;
        while (out.n > 0 && memchr(" \t\r\n", out.p[0], 4) != NULL)
            bytes_skip(&out, 1);
        while (out.n > 0 && memchr(" \t\r\n", out.p[out.n - 1], 4) != NULL)
            out.n--;
    } else if (strcmp(how, "cookie") == 0) { /* of Set-Cookie: "name=value", without attributes (RFC 6265 section 5.2) */
        out = *value;
        bytes_take_until(value, ';', &out);
        out = bytes_trim(out);
    } else if (strcmp(how, "join") == 0) {
        good = join_texts(ctx, s, *value, &out);
    } else if (strcmp(how, "pkcs7") == 0 && (good = rc_ok(pkcs7_certificates(ctx, *value, &chain)))) {
        struct buf *pem = push_room(s, PUSH_VALUE_MAX);
        cert_chain_put_pem(pem, &chain);
        out = buf_bytes(pem);
    } else if (strcmp(how, "certificate") == 0 && (good = read_chain(ctx, *value, &chain))) {
        struct buf *pem = push_room(s, PUSH_VALUE_MAX);
        pem_put(pem, PEM_CERTIFICATE, chain.v[0].der);
        out = buf_bytes(pem);
    } else
        out = *value; /* tree: done when it was found */
    if (!good)
        return ctx_fail(ctx, E_BAD_ANSWER, "is not %s", how);
    *value = out;
    return RC_OK;
}

static bool is_tree(const struct push_read *r)
{
    for (size_t i = 0; i < r->as.n; i++)
        if (strcmp(r->as.v[i], "tree") == 0)
            return true;
    return false;
}

static RC read_one(struct ctx *ctx, struct push_session *s, const struct push_read *r, const struct push_answer *a, bool lenient,
                   struct bytes *out)
{
    bool found = false, dns = s->wish != NULL && s->wish->description != NULL;
    if (!lenient || !dns) /* a provider's "no such name" says nothing more */
        TRY(push_find(ctx, s, &r->from, a, is_tree(r), out, &found));
    found = found && !(lenient && r->from.value != NULL);
    if (!found && !r->optional && !lenient)
        return ctx_fail(ctx, E_BAD_ANSWER, "is not there");
    if (!found)
        *out = (struct bytes){0};
    if (!found)
        return r->default_value != NULL ? push_expand(ctx, s, r->default_value, PUSH_PLAIN, NULL, out) : RC_OK;
    for (size_t i = 0; i < r->as.n && out->n > 0; i++)
        TRY(convert(ctx, s, r->as.v[i], out));
    return RC_OK;
}

RC push_read(struct ctx *ctx, struct push_session *s, const struct push_step *step, const char *prefix, const struct push_answer *a,
             bool lenient)
{
    for (size_t i = 0; i < step->n_reads; i++) {
        const struct push_read *r = &step->reads[i];
        struct bytes value;
        struct rc rc = read_one(ctx, s, r, a, lenient, &value);
        if (rc_failed(rc))
            return ctx_wrap(ctx, rc, "%s in the answer", r->name);
        if (prefix != NULL)
            TRY(push_set(ctx, s, arena_printf(&ctx->arena, "%s.%s", prefix, r->name), value, true));
        if (step->name != NULL && (prefix == NULL || strcmp(prefix, step->name) != 0))
            TRY(push_set(ctx, s, arena_printf(&ctx->arena, "%s.%s", step->name, r->name), value, true));
    }
    return RC_OK;
}

/* --- which certificate */

static const char *hash_of(struct ctx *ctx, struct bytes value)
{
    uint8_t hash[SHA256_LEN] = {0};
    if (rc_failed(digest_sha256(ctx, value, hash)))
        ctx_forget(ctx);
    return hex_str(&ctx->arena, bytes_of(hash, sizeof hash));
}

static const char *no_zeros(const char *hex)
{
    while (*hex == '0')
        hex++;
    return hex;
}

RC push_identify(struct ctx *ctx, struct push_session *s, struct push_identity *out)
{
    struct bytes certificate, fingerprint, serial;
    struct cert_chain chain;
    *out = (struct push_identity){"", "", ""};
    push_get(s, "see.certificate", &certificate);
    push_get(s, "see.fingerprint", &fingerprint);
    push_get(s, "see.serial", &serial);
    if (certificate.n > 0 && read_chain(ctx, certificate, &chain)) {
        out->fingerprint = hex_str(&ctx->arena, bytes_of(chain.v[0].fingerprint, SHA256_LEN));
        out->serial = no_zeros(cert_serial_text(&ctx->arena, &chain.v[0]));
    } else if (certificate.n > 0) {
        out->other = hash_of(ctx, certificate); /* not a certificate, but something that somebody put there */
    } else if (fingerprint.n > 0) {
        struct bytes hex = plain_hex(ctx, fingerprint);
        if (hex.n != (size_t)2 * SHA256_LEN)
            return ctx_fail(ctx, E_BAD_ANSWER, "the fingerprint in the answer is not one of SHA-256");
        out->fingerprint = arena_str(&ctx->arena, hex);
    } else if (serial.n > 0) {
        struct bytes hex = plain_hex(ctx, serial);
        if (hex.n == 0)
            return ctx_fail(ctx, E_BAD_ANSWER, "the serial number in the answer is not in hex");
        out->serial = no_zeros(arena_str(&ctx->arena, hex));
    }
    return RC_OK;
}

/* --- its words */

bool push_repeats_secret(const struct push_session *s, struct bytes text)
{
    if (bytes_find(text, BYTES_LIT("PRIVATE KEY")) != SIZE_MAX)
        return true;
    for (size_t i = 0; i < s->n_values; i++) {
        struct bytes v = s->values[i].value;
        /* What an answer said is mostly no secret: only what is long enough to hold a key counts. */
        bool said = strchr(s->values[i].name, '.') != NULL && strncmp(s->values[i].name, "auth.", 5) != 0;
        if (s->values[i].secret && v.n >= (said ? 64 : 4) && v.n <= text.n && bytes_find(text, v) != SIZE_MAX)
            return true;
    }
    return false;
}

/* A key or password that was sent in some encoding (base64, hex, percent) comes back as a long run without spaces that is no word:
 * it has digits or signs in it, or never ends. */
static bool is_code(struct bytes run)
{
    bool signs = false;
    for (size_t i = 0; i < run.n; i++)
        signs = signs || strchr("0123456789+/=_%", run.p[i]) != NULL;
    return run.n > CODE_LONG || (run.n > CODE_SHORT && signs);
}

static void put_words(struct buf *b, struct bytes text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_%-\\";
    for (size_t i = 0; i < text.n && b->n < WORDS_MAX;) {
        size_t n = 0;
        while (i + n < text.n && text.p[i + n] != 0 && strchr(alphabet, text.p[i + n]) != NULL)
            n++;
        if (n > 0 && is_code(bytes_of(text.p + i, n)))
            buf_put_z(b, "…");
        else
            for (size_t k = 0; k < n && b->n < WORDS_MAX; k++)
                buf_put_u8(b, text.p[i + k]);
        i += n;
        if (n == 0) {
            buf_put_u8(b, text.p[i] >= 0x20 && text.p[i] != 0x7f ? text.p[i] : ' ');
            i++;
        }
    }
}

const char *push_words(struct ctx *ctx, struct push_session *s, const struct push_step *step, const struct push_answer *a)
{
    struct bytes text = a->body;
    struct trail_entry *trail = ctx->trail;
    struct buf b;
    bool found = false;
    if (step->has_message && (rc_failed(push_find(ctx, s, &step->message, a, false, &text, &found)) || !found))
        text = a->body;
    ctx->trail = trail;
    if (push_repeats_secret(s, a->body))
        return "(its answer repeats a secret and is not shown)";
    buf_init_arena(&b, &ctx->arena, WORDS_MAX + 8);
    put_words(&b, text);
    while (b.n > 0 && !str_is_utf8(buf_bytes(&b)) && b.n + 4 > WORDS_MAX)
        b.p[--b.n] = '\0'; /* not in the middle of a character */
    return b.n == 0 ? "nothing more" : str_is_utf8(buf_bytes(&b)) ? buf_z(&b) : "(its words are not UTF-8)";
}
