#include "core/backup_file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/random.h"
#include "base/str.h"
#include "os/file.h"
#include "pki/hpke.h"
#include "pki/seal.h"
#include "pki/stream.h"
#include "store/zip.h"

#define MAGIC   BYTES_LIT("CWBACKUP\x01")
#define LAST    0x80000000u
#define KEY_MAX 1024

/* --- the head */

static struct bytes head_json(struct ctx *ctx, const struct backup_head *h)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, BACKUP_HEAD_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "format", BACKUP_FORMAT);
    json_put_str(&j, "id", h->id);
    json_put_str(&j, "installation", h->installation);
    json_put_str(&j, "version", h->version);
    json_put_str(&j, "engine", h->engine);
    json_put_int(&j, "made_at", h->made_at);
    json_close(&j);
    return buf_bytes(&b);
}

static struct rc head_read(struct ctx *ctx, struct bytes text, struct backup_head *out)
{
    json_auto_t *root = NULL;
    int64_t format = 0;
    TRY(json_read(ctx, text, &root));
    TRY(json_get_int(ctx, root, "format", true, &format));
    if (format != BACKUP_FORMAT)
        return ctx_fail(ctx, E_UNSUPPORTED, "a backup of format %lld: a newer Certwright reads it", (long long)format);
    TRY(json_get_str(ctx, root, "id", true, &out->id));
    TRY(json_get_str(ctx, root, "installation", true, &out->installation));
    TRY(json_get_str(ctx, root, "version", true, &out->version));
    TRY(json_get_str(ctx, root, "engine", true, &out->engine));
    return json_get_int(ctx, root, "made_at", true, &out->made_at);
}

/* --- writing */

struct section {
    char *kind, *name;
    int64_t count, bytes;
    uint8_t sha256[SHA256_LEN];
    struct section *next;
};

static void sections_free(struct section *s)
{
    while (s) {
        struct section *next = s->next;
        free(s->kind);
        free(s->name);
        free(s);
        s = next;
    }
}

static struct rc section_new(struct ctx *ctx, const char *kind, const char *name, struct section **out)
{
    struct section *s = calloc(1, sizeof *s);
    if (s) {
        s->kind = strdup(kind);
        s->name = strdup(name);
    }
    if (!s || !s->kind || !s->name) {
        sections_free(s);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a backup");
    }
    *out = s;
    return RC_OK;
}

struct backup_writer {
    char *path;
    int fd;
    int64_t written;
    bool ended;
    struct secret key;
    struct stream stream;
    struct zip_dictionary *zip;
    struct hasher *hash;
    struct buf block, sealed;
    struct section *sections, **last, *now;
};

static struct rc put(struct ctx *ctx, struct backup_writer *w, struct bytes data)
{
    TRY(file_write_all(ctx, w->fd, w->path, data));
    w->written += (int64_t)data.n;
    return RC_OK;
}

/* A context of its own for a block: what a block needs is given back with it. */
static struct rc block_out_in(struct ctx *one, struct backup_writer *w, size_t n, bool last)
{
    struct bytes packed;
    TRY(zip_pack(one, w->zip, bytes_of(w->block.p, n), &packed));
    buf_reset(&w->sealed);
    buf_put_u32(&w->sealed, (uint32_t)(packed.n + STREAM_TAG_LEN) | (last ? LAST : 0));
    TRY(stream_seal(one, &w->stream, packed, last, &w->sealed));
    TRY(buf_status(&w->sealed));
    return put(one, w, buf_bytes(&w->sealed));
}

static struct rc block_out(struct ctx *ctx, struct backup_writer *w, size_t n, bool last)
{
    struct ctx CTX_CLEANUP one;
    ctx_init(&one, ctx->clock);
    struct rc rc = block_out_in(&one, w, n, last);
    if (rc_failed(rc))
        return ctx_fail(ctx, rc.e, "%s", ctx_why(&one));
    buf_drop_front(&w->block, n);
    return RC_OK;
}

static struct rc record(struct ctx *ctx, struct backup_writer *w, char tag, struct bytes content)
{
    buf_put_u8(&w->block, (uint8_t)tag);
    buf_put_u32(&w->block, (uint32_t)content.n);
    while (content.n) {
        const size_t room = w->block.n < BACKUP_BLOCK ? BACKUP_BLOCK - w->block.n : 0, n = content.n < room ? content.n : room;
        buf_put(&w->block, bytes_of(content.p, n));
        bytes_skip(&content, n);
        TRY(buf_status(&w->block));
        if (w->block.n >= BACKUP_BLOCK)
            TRY(block_out(ctx, w, BACKUP_BLOCK, false));
    }
    return buf_status(&w->block);
}

static struct rc begin(struct ctx *ctx, struct backup_writer *w, const struct backup_head *head, struct bytes recovery)
{
    const struct bytes text = head_json(ctx, head);
    struct bytes hash, sealed;
    uint8_t lengths[4];
    TRY(zip_load(ctx));
    TRY(zip_dictionary_new(ctx, (struct bytes){0}, true, &w->zip));
    TRY(hasher_new(ctx, &w->hash));
    TRY(seal_key_new(ctx, &w->key));
    w->stream.key = &w->key;
    TRY(digest_sha256_new(ctx, text, &hash));
    TRY(hpke_seal(ctx, recovery, BACKUP_INFO, hash, &w->key, &sealed));
    TRY(put(ctx, w, MAGIC));
    for (int i = 0; i < 2; i++) {
        const struct bytes part = i ? sealed : text;
        for (int k = 0; k < 4; k++)
            lengths[k] = (uint8_t)(part.n >> (24 - 8 * k));
        TRY(put(ctx, w, bytes_of(lengths, 4)));
        TRY(put(ctx, w, part));
    }
    return RC_OK;
}

RC backup_write(struct ctx *ctx, const char *path, const struct backup_head *head, struct bytes recovery,
                struct backup_writer **out)
{
    struct backup_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a backup");
    }
    w->last = &w->sections;
    buf_init_secret(&w->block, 2 * BACKUP_BLOCK);
    buf_init(&w->sealed, 4 * BACKUP_BLOCK);
    w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct rc rc = w->fd < 0 ? ctx_fail_errno(ctx, "the backup %s cannot be made", path) : begin(ctx, w, head, recovery);
    if (rc_failed(rc)) {
        backup_writer_free(w);
        return rc;
    }
    *out = w;
    return RC_OK;
}

RC backup_section(struct ctx *ctx, struct backup_writer *w, const char *kind, const char *name, const char *detail)
{
    struct buf b BUF_CLEANUP = {0};
    struct json_out j;
    buf_init(&b, BACKUP_RECORD_MAX);
    TRY(section_new(ctx, kind, name, &w->now));
    *w->last = w->now;
    w->last = &w->now->next;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "kind", kind);
    json_put_str(&j, "name", name);
    if (detail)
        json_put_str(&j, "detail", detail);
    json_close(&j);
    TRY(buf_status(&b));
    return record(ctx, w, 'S', buf_bytes(&b));
}

RC backup_data(struct ctx *ctx, struct backup_writer *w, struct bytes data)
{
    if (data.n > BACKUP_RECORD_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "%zu bytes are too many for one record of a backup", data.n);
    w->now->bytes += (int64_t)data.n;
    TRY(hasher_add(ctx, w->hash, data));
    return record(ctx, w, 'D', data);
}

RC backup_section_end(struct ctx *ctx, struct backup_writer *w, int64_t count)
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 64);
    w->now->count = count;
    TRY(hasher_end(ctx, w->hash, w->now->sha256));
    buf_put_u64(&b, (uint64_t)count);
    buf_put_u64(&b, (uint64_t)w->now->bytes);
    buf_put_mem(&b, w->now->sha256, SHA256_LEN);
    return record(ctx, w, 'E', buf_bytes(&b));
}

RC backup_write_end(struct ctx *ctx, struct backup_writer *w, struct bytes facts, int64_t *bytes)
{
    struct buf b BUF_CLEANUP = {0};
    struct json_out j;
    buf_init(&b, BACKUP_RECORD_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_open_list(&j, "sections");
    for (const struct section *s = w->sections; s; s = s->next) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "kind", s->kind);
        json_put_str(&j, "name", s->name);
        json_put_int(&j, "count", s->count);
        json_put_int(&j, "bytes", s->bytes);
        json_put_hex(&j, "sha256", bytes_of(s->sha256, SHA256_LEN));
        json_close(&j);
    }
    json_close(&j);
    json_put_raw(&j, "facts", facts);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(record(ctx, w, 'M', buf_bytes(&b)));
    TRY(block_out(ctx, w, w->block.n, true));
    FAILPOINT("backup.before_sync");
    if (fsync(w->fd))
        return ctx_fail_errno(ctx, "the backup %s cannot be brought to the disk", w->path);
    w->ended = true;
    *bytes = w->written;
    return RC_OK;
}

void backup_writer_free(struct backup_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0) {
        close(w->fd);
        if (!w->ended)
            unlink(w->path);
    }
    zip_dictionary_free(w->zip);
    hasher_free(w->hash);
    secret_free(&w->key);
    buf_free(&w->block);
    buf_free(&w->sealed);
    sections_free(w->sections);
    free(w->path);
    free(w);
}

/* --- the records */

struct backup_parser {
    struct backup_visitor v;
    struct buf in;
    struct hasher *hash;
    struct section *sections, **last, *now;
    size_t sections_n;
    struct buf manifest;
    bool some;
};

RC backup_parser_new(struct ctx *ctx, const struct backup_visitor *v, struct backup_parser **out)
{
    struct backup_parser *p = calloc(1, sizeof *p);
    if (!p)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to read a backup");
    p->v = v ? *v : (struct backup_visitor){0};
    p->last = &p->sections;
    buf_init_secret(&p->in, (size_t)BACKUP_RECORD_MAX + 4 * BACKUP_BLOCK);
    buf_init(&p->manifest, BACKUP_RECORD_MAX);
    struct rc rc = hasher_new(ctx, &p->hash);
    if (rc_failed(rc)) {
        backup_parser_free(p);
        return rc;
    }
    *out = p;
    return RC_OK;
}

void backup_parser_free(struct backup_parser *p)
{
    if (!p)
        return;
    hasher_free(p->hash);
    buf_free(&p->in);
    buf_free(&p->manifest);
    sections_free(p->sections);
    free(p);
}

static struct rc torn(struct ctx *ctx, const char *why)
{
    return ctx_fail(ctx, E_PARSE, "the backup is not made of what it should be: %s", why);
}

/* A name becomes a file's: one component, of letters that mean nothing to a file system. */
static bool is_proper(const char *name)
{
    const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:*-";
    const size_t n = strlen(name);
    return n && n <= BACKUP_NAME_MAX && name[0] != '.' && strspn(name, letters) == n;
}

static struct rc section_in(struct ctx *ctx, struct backup_parser *p, struct bytes content)
{
    json_auto_t *root = NULL;
    const char *kind = NULL, *name = NULL, *detail = NULL;
    if (p->now || p->some || p->sections_n++ == BACKUP_SECTIONS_MAX)
        return torn(ctx, "a section begins where none may");
    TRY(json_read(ctx, content, &root));
    TRY(json_get_str(ctx, root, "kind", true, &kind));
    TRY(json_get_str(ctx, root, "name", true, &name));
    TRY(json_get_str(ctx, root, "detail", false, &detail));
    if (!is_proper(kind) || !is_proper(name))
        return torn(ctx, "a section has no proper name");
    TRY(section_new(ctx, kind, name, &p->now));
    *p->last = p->now;
    p->last = &p->now->next;
    return p->v.section ? p->v.section(ctx, p->v.arg, kind, name, detail) : RC_OK;
}

static struct rc end_in(struct ctx *ctx, struct backup_parser *p, struct bytes content)
{
    struct section *s = p->now;
    uint64_t count = 0, bytes = 0;
    struct bytes hash;
    if (!s || !bytes_take_u64(&content, &count) || !bytes_take_u64(&content, &bytes) || !bytes_take(&content, SHA256_LEN, &hash) ||
        content.n || count > INT64_MAX)
        return torn(ctx, "a section ends where none may");
    TRY(hasher_end(ctx, p->hash, s->sha256));
    s->count = (int64_t)count;
    if ((int64_t)bytes != s->bytes || !bytes_equal(hash, bytes_of(s->sha256, SHA256_LEN)))
        return ctx_fail(ctx, E_CRYPTO, "%s %s of the backup is not what was written", s->kind, s->name);
    p->now = NULL;
    return p->v.end ? p->v.end(ctx, p->v.arg, s->count) : RC_OK;
}

static struct rc record_in(struct ctx *ctx, struct backup_parser *p, uint8_t tag, struct bytes content)
{
    switch (tag) {
    case 'S':
        return section_in(ctx, p, content);
    case 'D':
        if (!p->now)
            return torn(ctx, "data of no section");
        p->now->bytes += (int64_t)content.n;
        TRY(hasher_add(ctx, p->hash, content));
        return p->v.data ? p->v.data(ctx, p->v.arg, content) : RC_OK;
    case 'E':
        return end_in(ctx, p, content);
    case 'M':
        if (p->now || p->some)
            return torn(ctx, "a manifest where none may be");
        p->some = true;
        buf_put(&p->manifest, content);
        return buf_status(&p->manifest);
    default:
        return torn(ctx, "a record of no kind");
    }
}

RC backup_parse(struct ctx *ctx, struct backup_parser *p, struct bytes data)
{
    struct bytes rest, content;
    buf_put(&p->in, data);
    TRY(buf_status(&p->in));
    rest = buf_bytes(&p->in);
    for (;;) {
        struct bytes at = rest;
        uint8_t tag = 0;
        uint32_t n = 0;
        if (!bytes_take_u8(&at, &tag) || !bytes_take_u32(&at, &n))
            break;
        if (n > BACKUP_RECORD_MAX)
            return torn(ctx, "a record that is too long");
        if (!bytes_take(&at, n, &content))
            break;
        TRY(record_in(ctx, p, tag, content));
        rest = at;
    }
    buf_drop_front(&p->in, p->in.n - rest.n);
    return RC_OK;
}

/* What the manifest says of a section is what came. */
static struct rc agrees(struct ctx *ctx, const json_t *told, const struct section *s)
{
    const char *kind = NULL, *name = NULL, *sha256 = NULL;
    int64_t count = -1, bytes = -1;
    struct buf b BUF_CLEANUP = {0};
    struct json_out j;
    TRY(json_get_str(ctx, told, "kind", true, &kind));
    TRY(json_get_str(ctx, told, "name", true, &name));
    TRY(json_get_int(ctx, told, "count", true, &count));
    TRY(json_get_int(ctx, told, "bytes", true, &bytes));
    TRY(json_get_str(ctx, told, "sha256", true, &sha256));
    buf_init(&b, 256);
    json_begin(&j, &b);
    json_put_hex(&j, NULL, bytes_of(s->sha256, SHA256_LEN));
    const char *hex = arena_printf(&ctx->arena, "\"%s\"", sha256);
    if (!str_equal(kind, s->kind) || !str_equal(name, s->name) || count != s->count || bytes != s->bytes ||
        !str_equal(hex, buf_z(&b)))
        return ctx_fail(ctx, E_CRYPTO, "%s %s is not what the manifest says", s->kind, s->name);
    return RC_OK;
}

RC backup_parse_end(struct ctx *ctx, struct backup_parser *p, json_t **manifest)
{
    const json_t *list = NULL;
    json_auto_t *root = NULL;
    size_t i = 0;
    if (!p->some || p->in.n || p->now)
        return torn(ctx, "it has no end");
    TRY(json_read(ctx, buf_bytes(&p->manifest), &root));
    TRY(json_get_list(ctx, root, "sections", true, &list));
    const struct section *s = p->sections;
    for (; s && i < json_array_size(list); s = s->next, i++)
        TRY(agrees(ctx, json_array_get(list, i), s));
    if (s || i != json_array_size(list))
        return torn(ctx, "the manifest names other sections");
    if (manifest)
        *manifest = json_incref(root);
    return RC_OK;
}

/* --- reading */

struct backup_reader {
    char *path;
    int fd;
    off_t blocks_at;
    struct backup_head head;
    uint8_t head_sha256[SHA256_LEN];
    uint8_t sealed[KEY_MAX];
    size_t sealed_n;
    struct hpke_key *recovery;
    struct secret key;
    struct zip_dictionary *zip;
};

/* Reads exactly so many bytes; a file that ends before is E_PARSE. */
static struct rc take(struct ctx *ctx, struct backup_reader *r, void *to, size_t n, size_t *got)
{
    size_t have = 0;
    while (have < n) {
        const ssize_t k = read(r->fd, (uint8_t *)to + have, n - have);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return ctx_fail_errno(ctx, "%s cannot be read", r->path);
        if (k == 0)
            break;
        have += (size_t)k;
    }
    if (got)
        *got = have;
    return have == n || got ? RC_OK : ctx_fail(ctx, E_PARSE, "%s is cut off: it is not a whole backup", r->path);
}

static struct rc take_counted(struct ctx *ctx, struct backup_reader *r, void *to, size_t max, size_t *n)
{
    uint8_t length[4];
    uint32_t v = 0;
    TRY(take(ctx, r, length, sizeof length, NULL));
    struct bytes b = bytes_of(length, sizeof length);
    if (!bytes_take_u32(&b, &v) || v > max)
        return ctx_fail(ctx, E_PARSE, "%s is no backup of Certwright", r->path);
    *n = v;
    return take(ctx, r, to, v, NULL);
}

static struct rc opened(struct ctx *ctx, struct backup_reader *r, struct backup_head *head)
{
    uint8_t magic[16], text[BACKUP_HEAD_MAX];
    size_t n = 0, got = 0;
    TRY(take(ctx, r, magic, MAGIC.n, &got));
    if (got != MAGIC.n || memcmp(magic, MAGIC.p, MAGIC.n) != 0)
        return ctx_fail(ctx, E_PARSE, "%s is no backup of Certwright", r->path);
    TRY(take_counted(ctx, r, text, sizeof text, &n));
    TRY(digest_sha256(ctx, bytes_of(text, n), r->head_sha256));
    TRY(ctx_wrap(ctx, head_read(ctx, bytes_of(text, n), head), "%s", r->path));
    TRY(take_counted(ctx, r, r->sealed, sizeof r->sealed, &r->sealed_n));
    r->head = *head;
    r->blocks_at = lseek(r->fd, 0, SEEK_CUR);
    return r->blocks_at < 0 ? ctx_fail_errno(ctx, "%s is not a file", r->path) : RC_OK;
}

RC backup_open(struct ctx *ctx, const char *path, struct backup_head *head, struct backup_reader **out)
{
    struct backup_reader *r = calloc(1, sizeof *r);
    if (!r || !(r->path = strdup(path))) {
        free(r);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to read a backup");
    }
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    struct rc rc = r->fd < 0 ? ctx_fail_errno(ctx, "%s cannot be opened", path) : opened(ctx, r, head);
    if (rc_failed(rc)) {
        backup_reader_free(r);
        return rc;
    }
    *out = r;
    return RC_OK;
}

RC backup_unlock(struct ctx *ctx, struct backup_reader *r, const struct secret *recovery_key)
{
    TRY(recovery_hpke(ctx, recovery_key, &r->recovery));
    struct rc rc =
        hpke_open(ctx, r->recovery, BACKUP_INFO, bytes_of(r->head_sha256, SHA256_LEN), bytes_of(r->sealed, r->sealed_n), &r->key);
    if (rc_ok(rc) && r->key.n == STREAM_KEY_LEN) {
        TRY(zip_load(ctx));
        return zip_dictionary_new(ctx, (struct bytes){0}, false, &r->zip);
    }
    struct buf at;
    buf_init_arena(&at, &ctx->arena, 64);
    time_put_rfc3339(&at, r->head.made_at);
    ctx_forget(ctx);
    return ctx_fail(
        ctx, E_CRYPTO,
        "this recovery key does not open %s, a backup of the installation %s made at %s: it is another installation's, or "
        "the head of the file was changed",
        r->path, r->head.installation, buf_z(&at));
}

RC backup_secret(struct ctx *ctx, struct backup_reader *r, struct bytes aad, struct bytes sealed, struct secret *out)
{
    return hpke_open(ctx, r->recovery, BACKUP_INFO, aad, sealed, out);
}

static struct rc block_in(struct ctx *one, struct backup_reader *r, struct stream *stream, uint8_t *room,
                          struct backup_parser *parser)
{
    uint8_t length[4] = {0};
    uint32_t n = 0;
    size_t got = 0;
    struct bytes packed, plain, b = bytes_of(length, sizeof length);
    TRY(take(one, r, length, sizeof length, &got));
    if (got != sizeof length || !bytes_take_u32(&b, &n) || (n & ~LAST) > 2 * BACKUP_BLOCK)
        return ctx_fail(one, E_CRYPTO, "%s is cut off or damaged after %u blocks", r->path, stream->next);
    TRY(take(one, r, room, n & ~LAST, &got));
    if (got != (n & ~LAST))
        return ctx_fail(one, E_CRYPTO, "%s is cut off after %u blocks", r->path, stream->next);
    TRY(ctx_wrap(one, stream_open(one, stream, bytes_of(room, got), n & LAST, &packed), "%s", r->path));
    TRY(zip_unpack(one, r->zip, packed, &plain));
    return backup_parse(one, parser, plain);
}

static struct rc read_all(struct ctx *ctx, struct backup_reader *r, struct backup_parser *parser, uint8_t *room)
{
    struct stream stream = {.key = &r->key};
    if (lseek(r->fd, r->blocks_at, SEEK_SET) < 0)
        return ctx_fail_errno(ctx, "%s", r->path);
    while (!stream.ended) {
        struct ctx CTX_CLEANUP one;
        ctx_init(&one, ctx->clock);
        one.principal = ctx->principal;
        struct rc rc = block_in(&one, r, &stream, room, parser);
        if (rc_failed(rc))
            return ctx_fail(ctx, rc.e, "%s", ctx_why(&one));
    }
    size_t more = 0;
    TRY(take(ctx, r, room, 1, &more));
    return more ? ctx_fail(ctx, E_CRYPTO, "%s goes on behind its end", r->path) : RC_OK;
}

RC backup_read(struct ctx *ctx, struct backup_reader *r, const struct backup_visitor *v, json_t **manifest)
{
    struct backup_parser *parser = NULL;
    uint8_t *room = malloc(2 * BACKUP_BLOCK);
    if (!room)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to read a backup");
    struct rc rc = backup_parser_new(ctx, v, &parser);
    if (rc_ok(rc))
        rc = read_all(ctx, r, parser, room);
    if (rc_ok(rc))
        rc = backup_parse_end(ctx, parser, manifest);
    backup_parser_free(parser);
    free(room);
    return rc;
}

void backup_reader_free(struct backup_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    hpke_key_free(r->recovery);
    secret_free(&r->key);
    zip_dictionary_free(r->zip);
    free(r->path);
    free(r);
}
