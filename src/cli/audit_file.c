#include "cli/audit_file.h"

#include <string.h>

#include "base/encode.h"
#include "base/str.h"
#include "pki/digest.h"
#include "pki/key.h"

#define SCRATCH_LINES 64
#define HASH_TEXT     44 /* 32 bytes in base64 */

/* --- heads */

static struct rc take_head(struct ctx *ctx, const json_t *root, struct audit_file_head *out)
{
    const json_t *h = NULL;
    const char *at = NULL;
    struct bytes hash = {0};
    int64_t size = 0;
    TRY(json_get_obj(ctx, root, "head", true, &h));
    TRY(json_get_str(ctx, h, "log", true, &out->head.log));
    TRY(json_get_int(ctx, h, "size", true, &size));
    TRY(json_get_str(ctx, h, "at", true, &at));
    TRY(json_get_base64(ctx, h, "root", true, &hash));
    TRY(json_get_base64(ctx, h, "signature", true, &out->signature));
    TRY(json_get_base64(ctx, h, "key", true, &out->key));
    if (size < 1 || hash.n != MERKLE_LEN || !str_equal(out->head.log, MERKLE_AUDIT_LOG) ||
        !time_parse_rfc3339(bytes_z(at), &out->head.at))
        return ctx_fail(ctx, E_INVALID, "this is no head of an audit log");
    out->head.size = (uint64_t)size;
    memcpy(out->head.root, hash.p, MERKLE_LEN);
    return digest_sha256(ctx, out->key, out->key_sha256);
}

static struct rc check_head(struct ctx *ctx, const struct audit_file_head *h)
{
    struct key *key KEY_CLEANUP = NULL;
    struct buf text;
    buf_init_arena(&text, &ctx->arena, 1024);
    merkle_head_put(&text, &h->head);
    TRY(buf_status(&text));
    struct rc rc = key_from_spki(ctx, h->key, &key);
    if (rc_ok(rc))
        rc = key_verify_own(ctx, key, buf_bytes(&text), h->signature);
    if (rc_ok(rc))
        return RC_OK;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_INVALID, "the head is not what was signed: its size, root, time, signature or key was changed");
}

RC audit_file_head_read(struct ctx *ctx, struct bytes json, struct audit_file_head *out)
{
    json_auto_t *root = NULL;
    *out = (struct audit_file_head){0};
    TRY(json_read(ctx, json, &root));
    TRY(take_head(ctx, root, out));
    return check_head(ctx, out);
}

/* --- the file */

void audit_file_begin(struct audit_file *f, const struct clock *clock)
{
    memset(f, 0, sizeof *f);
    ctx_init(&f->scratch, clock);
}

void audit_file_end(struct audit_file *f)
{
    ctx_free(&f->scratch);
}

void audit_file_after(struct audit_file *f, const struct merkle_head *head)
{
    f->extends = true;
    f->after = *head;
}

static struct rc first_line(struct ctx *ctx, struct audit_file *f, struct bytes line)
{
    json_auto_t *root = NULL;
    const char *what = "";
    int64_t version = 0;
    struct rc rc = json_read(ctx, line, &root);
    if (rc_ok(rc))
        rc = json_get_str(ctx, root, "certwright", false, &what);
    if (rc_failed(rc) || !str_equal(what, "audit-export")) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_INVALID, "the first line is not that of an export; make one: certwright audit export --out FILE");
    }
    TRY(json_get_int(ctx, root, "version", true, &version));
    if (version != 1)
        return ctx_fail(ctx, E_UNSUPPORTED, "an export of version %lld needs a newer certwright", (long long)version);
    TRY(json_get_bool(ctx, root, "all", true, &f->all));
    TRY(json_get_int(ctx, root, "from", true, &f->from));
    TRY(take_head(ctx, root, &f->head));
    TRY(check_head(ctx, &f->head));
    if (f->from < 0 || (uint64_t)f->from > f->head.head.size)
        return ctx_fail(ctx, E_INVALID, "the export begins at %lld, which the log does not have", (long long)f->from);
    merkle_walk_begin(&f->walk, f->head.head.size, f->head.head.root);
    f->walk.next = (uint64_t)f->from;
    f->begun = true;
    return RC_OK;
}

/* A line, read.  `entry` is its text. */
struct line {
    int64_t n;
    struct bytes entry;
    struct merkle_path path;
};

static bool take_word(struct bytes *in, struct bytes word)
{
    return bytes_starts_with(*in, word) && bytes_skip(in, word.n);
}

static int sextet(uint8_t c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* The 32 bytes of 44 characters, without memory of their own: there is one of these for each entry. */
static bool take_hash(struct bytes text, uint8_t out[MERKLE_LEN])
{
    uint32_t bits = 0;
    size_t n = 0;
    if (text.n != HASH_TEXT || text.p[HASH_TEXT - 1] != '=')
        return false;
    for (size_t i = 0; i < HASH_TEXT - 1; i++) {
        const int v = sextet(text.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 0)
            continue;
        const unsigned left = i % 4 == 1 ? 4 : i % 4 == 2 ? 2 : 0;
        if (n == MERKLE_LEN)
            return false;
        out[n++] = (uint8_t)(bits >> left);
    }
    return n == MERKLE_LEN && (bits & 3) == 0;
}

/* As the hub writes lines.  The text of the entry is all that is left: that it is one entry and nothing else, its hash proves. */
static bool line_as_written(struct bytes in, struct line *out)
{
    struct bytes digits = {.p = in.p}, hash;
    out->path.n = 0;
    if (!take_word(&in, BYTES_LIT("{\"n\":")))
        return false;
    for (digits.p = in.p; in.n && in.p[0] >= '0' && in.p[0] <= '9'; bytes_skip(&in, 1))
        digits.n++;
    if (!str_to_i64(digits, &out->n) || !take_word(&in, BYTES_LIT(",\"proof\":[")))
        return false;
    while (!take_word(&in, BYTES_LIT("]"))) {
        if ((out->path.n && !take_word(&in, BYTES_LIT(","))) || out->path.n == MERKLE_PATH_MAX ||
            !take_word(&in, BYTES_LIT("\"")) || !bytes_take(&in, HASH_TEXT, &hash) ||
            !take_hash(hash, out->path.hash[out->path.n]) || !take_word(&in, BYTES_LIT("\"")))
            return false;
        out->path.n++;
    }
    if (!take_word(&in, BYTES_LIT(",\"entry\":")) || in.n < 2 || in.p[in.n - 1] != '}')
        return false;
    out->entry = bytes_of(in.p, in.n - 1);
    return true;
}

static struct rc line_any(struct ctx *ctx, struct bytes text, struct line *out)
{
    json_auto_t *root = NULL;
    const json_t *proof = NULL, *entry = NULL;
    struct audit_entry e;
    struct buf b;
    TRY(json_read(ctx, text, &root));
    TRY(json_get_int(ctx, root, "n", true, &out->n));
    TRY(json_get_list(ctx, root, "proof", true, &proof));
    TRY(json_get_obj(ctx, root, "entry", true, &entry));
    if (json_array_size(proof) > MERKLE_PATH_MAX || json_object_size(root) != 3)
        return ctx_fail(ctx, E_INVALID, "no line of an export");
    for (out->path.n = 0; out->path.n < json_array_size(proof); out->path.n++) {
        const json_t *h = json_array_get(proof, out->path.n);
        if (!json_is_string(h) || !take_hash(bytes_of(json_string_value(h), json_string_length(h)), out->path.hash[out->path.n]))
            return ctx_fail(ctx, E_INVALID, "no hash");
    }
    TRY(audit_entry_take(ctx, entry, &e));
    buf_init_arena(&b, &ctx->arena, AUDIT_ENTRY_MAX);
    audit_entry_put(&b, &e);
    TRY(buf_status(&b));
    out->entry = buf_bytes(&b);
    return RC_OK;
}

/* What the line of a fault says, for people. */
static void fault_at(struct audit_file *f, int64_t n, const struct line *l)
{
    struct ctx *ctx = &f->scratch;
    json_auto_t *json = NULL;
    struct audit_entry e;
    f->faulty = true;
    f->fault_n = n;
    f->fault_line = f->lines;
    f->fault_entry = "";
    if (l && rc_ok(json_read(ctx, l->entry, &json)) && rc_ok(audit_entry_take(ctx, json, &e))) {
        snprintf(f->fault_text, sizeof f->fault_text, " (there is now: %.64s by %.128s on %.32s %.64s)", e.action, e.principal,
                 e.object_kind, e.object_id);
        f->fault_entry = f->fault_text;
    }
    ctx_forget(ctx);
}

/* The tree as it was at the size of another head. */
static struct rc edge_add(struct ctx *ctx, struct audit_file *f, const uint8_t leaf[MERKLE_LEN])
{
    uint8_t h[MERKLE_LEN];
    uint64_t leaves = 1;
    memcpy(h, leaf, MERKLE_LEN);
    for (; f->edge_n && f->edge[f->edge_n - 1].leaves == leaves; leaves *= 2)
        TRY(merkle_node(ctx, f->edge[--f->edge_n].hash, h, h));
    f->edge[f->edge_n].leaves = leaves;
    memcpy(f->edge[f->edge_n++].hash, h, MERKLE_LEN);
    if (f->walk.next != f->after.size)
        return RC_OK;
    size_t i = f->edge_n - 1;
    memcpy(h, f->edge[i].hash, MERKLE_LEN);
    while (i-- > 0)
        TRY(merkle_node(ctx, f->edge[i].hash, h, h));
    if (memcmp(h, f->after.root, MERKLE_LEN) != 0)
        return ctx_fail(ctx, E_INVALID,
                        "this log does not extend the other head: its first %llu entries are not those that were there then",
                        (unsigned long long)f->after.size);
    f->extended = true;
    return RC_OK;
}

static struct rc entry_line(struct ctx *ctx, struct audit_file *f, struct bytes text)
{
    struct ctx *scratch = &f->scratch;
    struct line l;
    uint8_t leaf[MERKLE_LEN];
    bool proved = false;
    if (f->lines % SCRATCH_LINES == 0)
        ctx_reset(scratch);
    const bool as_written = line_as_written(text, &l);
    if (!as_written && rc_failed(line_any(scratch, text, &l))) {
        ctx_forget(scratch);
        if (!f->faulty)
            fault_at(f, (int64_t)f->walk.next, NULL);
        return RC_OK;
    }
    if (f->faulty) { /* only how the file goes on */
        if (f->gap && l.n == f->fault_n && !f->found_line)
            f->found_line = f->lines;
        return RC_OK;
    }
    if (f->all && l.n > (int64_t)f->walk.next && l.n < (int64_t)f->walk.size) {
        f->gap = true;
        fault_at(f, (int64_t)f->walk.next, NULL);
        return RC_OK;
    }
    if (l.n < (int64_t)f->walk.next || l.n >= (int64_t)f->walk.size) {
        fault_at(f, l.n, &l);
        return RC_OK;
    }
    TRY(merkle_leaf(ctx, l.entry, leaf));
    TRY(merkle_walk_check(ctx, &f->walk, (uint64_t)l.n, leaf, &l.path, &proved));
    if (!proved && as_written && rc_ok(line_any(scratch, text, &l))) {
        TRY(merkle_leaf(ctx, l.entry, leaf));
        TRY(merkle_walk_check(ctx, &f->walk, (uint64_t)l.n, leaf, &l.path, &proved));
    }
    ctx_forget(scratch);
    if (!proved) {
        fault_at(f, l.n, &l);
        return RC_OK;
    }
    f->entries++;
    return f->extends && !f->extended && f->all && f->from == 0 ? edge_add(ctx, f, leaf) : RC_OK;
}

RC audit_file_line(struct ctx *ctx, struct audit_file *f, struct bytes line)
{
    f->lines++;
    return f->begun ? entry_line(ctx, f, line) : first_line(ctx, f, line);
}

static struct rc tell_fault(struct ctx *ctx, const struct audit_file *f)
{
    const long long n = f->fault_n, line = f->fault_line, should = (long long)f->head.head.size - f->from;
    const long long there = f->lines - 1;
    if (f->gap && f->found_line)
        return ctx_fail(ctx, E_INVALID, "entry %lld is out of its place: it stands in line %lld instead of line %lld", n,
                        (long long)f->found_line, line);
    if (f->gap)
        return ctx_fail(ctx, E_INVALID, "entry %lld was removed: line %lld goes on with a later one", n, line);
    if (n < (int64_t)f->walk.next || n >= (int64_t)f->walk.size)
        return ctx_fail(ctx, E_INVALID, "line %lld was put in: an entry %lld %s%s", line, n,
                        n < (int64_t)f->walk.next ? "was there before" : "is beyond the head", f->fault_entry);
    if (f->all && there > should)
        return ctx_fail(ctx, E_INVALID, "line %lld was put in, or those after it were: it is not entry %lld%s", line, n,
                        f->fault_entry);
    if (f->all && there < should)
        return ctx_fail(ctx, E_INVALID, "entry %lld was removed, or changed: line %lld is not what was logged there%s", n, line,
                        f->fault_entry);
    return ctx_fail(ctx, E_INVALID, "entry %lld was changed: line %lld is not what was logged%s", n, line, f->fault_entry);
}

RC audit_file_finish(struct ctx *ctx, struct audit_file *f)
{
    if (!f->begun)
        return ctx_fail(ctx, E_INVALID, "the file is empty");
    if (f->faulty)
        return tell_fault(ctx, f);
    if (f->all && f->walk.next < f->walk.size)
        return ctx_fail(ctx, E_INVALID, "entry %llu was removed, and all after it: the head has %llu entries",
                        (unsigned long long)f->walk.next, (unsigned long long)f->walk.size);
    if (f->extends && f->after.size > f->head.head.size)
        return ctx_fail(ctx, E_INVALID, "the other head has %llu entries, this log fewer: it is older, or does not extend it",
                        (unsigned long long)f->after.size);
    if (f->extends && !f->extended)
        return ctx_fail(ctx, E_INVALID,
                        "only an export of all entries, from the first on, shows that it extends another head; ask "
                        "the hub instead: certwright audit head --since FILE");
    return RC_OK;
}
