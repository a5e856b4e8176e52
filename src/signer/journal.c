#include "signer/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"

#define FRAME_HEAD  20
#define RECORD_HEAD 13

static const uint8_t magic[4] = {'C', 'W', 'J', '1'};

struct signer_journal {
    int fd;
    bool broken; /* an fsync failed, or a half written frame could not be cut off */
    char *path;
    uint64_t size, sequence; /* bytes on disk; sequence of the next frame */
    struct buf frame;        /* records of the next frame */
    uint32_t crc_table[256];
};

/* CRC-32C (Castagnoli), reflected. */
static void crc_init(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f63b78U : 0);
        table[i] = c;
    }
}

static uint32_t crc_add(const struct signer_journal *j, uint32_t crc, struct bytes data)
{
    for (size_t i = 0; i < data.n; i++)
        crc = (crc >> 8) ^ j->crc_table[(crc ^ data.p[i]) & 0xff];
    return crc;
}

static uint32_t frame_crc(const struct signer_journal *j, struct bytes numbers, struct bytes content)
{
    return ~crc_add(j, crc_add(j, ~0U, numbers), content);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

/* read_at reads exactly `n` bytes; false at the end of the file or on an error (errno 0 at the end). */
static bool read_at(int fd, uint64_t offset, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t got = pread(fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0)
                errno = 0;
            return false;
        }
        p += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_at(int fd, uint64_t offset, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

struct frame_head {
    uint32_t length;
    uint64_t sequence;
    uint32_t crc;
};

static bool parse_head(const uint8_t raw[FRAME_HEAD], struct frame_head *out)
{
    struct bytes b = bytes_of(raw, FRAME_HEAD);
    if (memcmp(raw, magic, sizeof magic) != 0 || !bytes_skip(&b, sizeof magic))
        return false;
    return bytes_take_u32(&b, &out->length) && bytes_take_u64(&b, &out->sequence) && bytes_take_u32(&b, &out->crc) &&
           out->length > 0 && out->length <= JOURNAL_FRAME_MAX;
}

/* frame_at reads the frame at `offset` into `content`; false where there is no good one. */
static bool frame_at(const struct signer_journal *j, uint64_t offset, uint64_t end, struct frame_head *head, struct buf *content)
{
    uint8_t raw[FRAME_HEAD];
    if (end - offset < FRAME_HEAD || !read_at(j->fd, offset, raw, sizeof raw) || !parse_head(raw, head) ||
        head->length > end - offset - FRAME_HEAD)
        return false;
    buf_reset(content);
    uint8_t *p = buf_reserve(content, head->length);
    if (p == NULL || !read_at(j->fd, offset + FRAME_HEAD, p, head->length))
        return false;
    buf_commit(content, head->length);
    return frame_crc(j, bytes_of(raw + 4, 12), buf_bytes(content)) == head->crc;
}

/* A good frame behind a bad one: what is between was damaged after it had been written. */
static bool good_frame_after(const struct signer_journal *j, uint64_t offset, uint64_t end, struct buf *content)
{
    enum { STEP = 65536 };
    uint8_t window[STEP + 3];
    for (uint64_t at = offset; at < end; at += STEP) {
        size_t n = end - at < sizeof window ? (size_t)(end - at) : sizeof window;
        if (!read_at(j->fd, at, window, n))
            return false;
        struct frame_head head;
        for (size_t i = 0; i + 4 <= n && i < STEP; i++)
            if (memcmp(window + i, magic, sizeof magic) == 0 && frame_at(j, at + i, end, &head, content) &&
                head.sequence >= j->sequence)
                return true;
    }
    return false;
}

static bool take_record(struct bytes *rest, uint64_t *offset, struct signer_record *out)
{
    struct bytes b = *rest;
    uint32_t n = 0;
    uint64_t time = 0;
    if (!bytes_take_u8(&b, &out->type) || !bytes_take_u32(&b, &n) || !bytes_take_u64(&b, &time) ||
        !bytes_take(&b, n, &out->content))
        return false;
    out->time = (int64_t)time;
    out->offset = *offset;
    *offset += RECORD_HEAD + (uint64_t)n;
    *rest = b;
    return true;
}

static RC replay_frame(struct ctx *ctx, const struct signer_journal *j, uint64_t at, struct bytes content,
                       signer_journal_replay_fn replay, void *arg)
{
    uint64_t offset = at + FRAME_HEAD;
    struct signer_record record;
    while (content.n > 0) {
        if (!take_record(&content, &offset, &record))
            return ctx_fail(ctx, E_IO, "%s: the frame at byte %llu is not made of records", j->path, (unsigned long long)at);
        if (replay != NULL)
            TRY(replay(ctx, arg, &record));
    }
    return RC_OK;
}

static RC cut_tail(struct ctx *ctx, struct signer_journal *j, uint64_t end, struct buf *content)
{
    if (good_frame_after(j, j->size + 1, end, content))
        return ctx_fail(
            ctx, E_IO,
            "%s is damaged at byte %llu with good frames behind it: restore it from a backup; the signer does not go on "
            "without what is missing",
            j->path, (unsigned long long)j->size);
    log_event(LOG_WARN_, "journal_tail_cut", "path", j->path, "at", log_num((long long)j->size), "bytes",
              log_num((long long)(end - j->size)), NULL);
    if (ftruncate(j->fd, (off_t)j->size) != 0 || fsync(j->fd) != 0)
        return ctx_fail_errno(ctx, "the torn end of %s cannot be cut off", j->path);
    return RC_OK;
}

static RC replay_all(struct ctx *ctx, struct signer_journal *j, signer_journal_replay_fn replay, void *arg)
{
    struct stat st;
    if (fstat(j->fd, &st) != 0)
        return ctx_fail_errno(ctx, "%s cannot be examined", j->path);
    uint64_t end = (uint64_t)st.st_size;
    struct buf content BUF_CLEANUP = {0};
    buf_init(&content, JOURNAL_FRAME_MAX);
    while (j->size < end) {
        struct frame_head head;
        bool good = frame_at(j, j->size, end, &head, &content);
        if (good && j->size > 0 && head.sequence != j->sequence)
            return ctx_fail(ctx, E_IO, "%s: the frame at byte %llu is out of sequence: restore the journal from a backup", j->path,
                            (unsigned long long)j->size);
        if (!good)
            return cut_tail(ctx, j, end, &content);
        TRY(replay_frame(ctx, j, j->size, buf_bytes(&content), replay, arg));
        j->size += FRAME_HEAD + (uint64_t)head.length;
        j->sequence = head.sequence + 1;
    }
    return RC_OK;
}

static RC sync_parent(struct ctx *ctx, const char *path)
{
    char *dir = dirname(arena_strdup(&ctx->arena, path));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        struct rc rc = ctx_fail_errno(ctx, "the folder %s cannot be synced", dir);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    close(fd);
    return RC_OK;
}

static RC signer_journal_make(struct ctx *ctx, const char *path, int flags, struct signer_journal **out)
{
    struct signer_journal *j = calloc(1, sizeof *j);
    char *copy = strdup(path);
    if (j == NULL || copy == NULL) {
        free(j);
        free(copy);
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the journal");
    }
    j->path = copy;
    j->sequence = 1;
    buf_init(&j->frame, JOURNAL_FRAME_MAX);
    crc_init(j->crc_table);
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (j->fd < 0) {
        struct rc rc = ctx_fail_errno(ctx, "the journal %s cannot be opened", path);
        signer_journal_close(j);
        return rc;
    }
    *out = j;
    return RC_OK;
}

RC signer_journal_open(struct ctx *ctx, const char *path, signer_journal_replay_fn replay, void *arg, struct signer_journal **out)
{
    struct signer_journal *j = NULL;
    TRY(signer_journal_make(ctx, path, 0, &j));
    struct rc rc = RC_OK;
    if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
        rc = ctx_fail(ctx, E_IN_USE, "%s is in use: another signer runs on the same folder", path);
    if (rc_ok(rc))
        rc = replay_all(ctx, j, replay, arg);
    if (rc_ok(rc))
        rc = sync_parent(ctx, path);
    if (rc_failed(rc)) {
        signer_journal_close(j);
        return rc;
    }
    *out = j;
    return RC_OK;
}

void signer_journal_close(struct signer_journal *j)
{
    if (j == NULL)
        return;
    if (j->fd >= 0)
        close(j->fd);
    buf_free(&j->frame);
    free(j->path);
    free(j);
}

uint64_t signer_journal_append(struct signer_journal *j, uint8_t type, int64_t time, struct bytes content)
{
    if (j->frame.n == 0) {
        static const uint8_t room[FRAME_HEAD];
        buf_put_mem(&j->frame, room, sizeof room);
    }
    uint64_t offset = j->size + j->frame.n;
    buf_put_u8(&j->frame, type);
    buf_put_u32(&j->frame, (uint32_t)content.n);
    buf_put_u64(&j->frame, (uint64_t)time);
    buf_put(&j->frame, content);
    return offset;
}

bool signer_journal_pending(const struct signer_journal *j)
{
    return j->frame.n > 0;
}

/* A disk that tests make full. */
static RC write_may_fail(struct ctx *ctx)
{
    (void)ctx;
    FAILPOINT_ERROR(ctx, "signer.journal_write");
    return RC_OK;
}

RC signer_journal_commit(struct ctx *ctx, struct signer_journal *j)
{
    if (j->frame.n == 0 && rc_ok(buf_status(&j->frame)))
        return RC_OK;
    struct rc rc = buf_status(&j->frame);
    if (j->broken)
        rc = ctx_fail(ctx, E_IO, "%s failed before: nothing is signed until the signer was started again", j->path);
    else if (rc_failed(rc))
        rc = ctx_fail(ctx, E_TOO_LARGE, "more than %zu bytes for one frame of the journal", JOURNAL_FRAME_MAX);
    if (rc_ok(rc))
        rc = write_may_fail(ctx);
    size_t n = j->frame.n;
    if (rc_ok(rc)) {
        uint8_t *p = j->frame.p;
        memcpy(p, magic, sizeof magic);
        put32(p + 4, (uint32_t)(n - FRAME_HEAD));
        put64(p + 8, j->sequence);
        put32(p + 16, frame_crc(j, bytes_of(p + 4, 12), bytes_of(p + FRAME_HEAD, n - FRAME_HEAD)));
        if (!write_at(j->fd, j->size, p, n)) {
            rc = ctx_fail_errno(ctx, "the journal %s cannot be written, so nothing is signed", j->path);
            if (ftruncate(j->fd, (off_t)j->size) != 0)
                j->broken = true;
        } else if (fdatasync(j->fd) != 0) {
            rc = ctx_fail_errno(ctx, "the journal %s cannot be brought to the disk, so nothing is signed", j->path);
            j->broken = true;
        }
    }
    buf_reset(&j->frame);
    TRY(rc);
    j->size += n;
    j->sequence++;
    return RC_OK;
}

RC signer_journal_read(struct ctx *ctx, const struct signer_journal *j, uint64_t offset, struct signer_record *out)
{
    uint8_t head[RECORD_HEAD] = {0};
    struct bytes b = bytes_of(head, sizeof head);
    uint32_t n = 0;
    uint64_t time = 0;
    if (offset > j->size || j->size - offset < RECORD_HEAD || !read_at(j->fd, offset, head, sizeof head) ||
        !bytes_take_u8(&b, &out->type) || !bytes_take_u32(&b, &n) || !bytes_take_u64(&b, &time) ||
        n > j->size - offset - RECORD_HEAD)
        return ctx_fail(ctx, E_IO, "%s: no record at byte %llu", j->path, (unsigned long long)offset);
    uint8_t *p = arena_alloc(&ctx->arena, n + (size_t)1);
    if (!read_at(j->fd, offset + RECORD_HEAD, p, n))
        return ctx_fail_errno(ctx, "%s cannot be read at byte %llu", j->path, (unsigned long long)offset);
    out->time = (int64_t)time;
    out->offset = offset;
    out->content = bytes_of(p, n);
    return RC_OK;
}

RC signer_journal_walk(struct ctx *ctx, const struct signer_journal *j, signer_journal_replay_fn fn, void *arg)
{
    struct buf content BUF_CLEANUP = {0};
    buf_init(&content, JOURNAL_FRAME_MAX);
    for (uint64_t at = 0; at < j->size;) {
        struct frame_head head;
        if (!frame_at(j, at, j->size, &head, &content))
            return ctx_fail(ctx, E_IO, "%s cannot be read at byte %llu", j->path, (unsigned long long)at);
        TRY(replay_frame(ctx, j, at, buf_bytes(&content), fn, arg));
        at += FRAME_HEAD + (uint64_t)head.length;
    }
    return RC_OK;
}

RC signer_journal_page(struct ctx *ctx, const struct signer_journal *j, uint64_t *frame, uint64_t *skip,
                       signer_journal_replay_fn fn, void *arg, bool *full)
{
    struct buf content BUF_CLEANUP = {0};
    buf_init(&content, JOURNAL_FRAME_MAX);
    while (*frame < j->size && !*full) {
        struct frame_head head;
        if (!frame_at(j, *frame, j->size, &head, &content))
            return ctx_fail(ctx, E_INVALID, "%s has no frame at byte %llu", j->path, (unsigned long long)*frame);
        struct bytes rest = buf_bytes(&content);
        uint64_t offset = *frame + FRAME_HEAD, n = 0;
        struct signer_record record;
        for (; rest.n > 0 && !*full; n++) {
            if (!take_record(&rest, &offset, &record))
                return ctx_fail(ctx, E_IO, "%s: the frame at byte %llu is not made of records", j->path,
                                (unsigned long long)*frame);
            if (n >= *skip)
                TRY(fn(ctx, arg, &record));
        }
        *skip = rest.n > 0 ? n : 0;
        if (rest.n == 0)
            *frame += FRAME_HEAD + (uint64_t)head.length;
    }
    return RC_OK;
}

RC signer_journal_copy(struct ctx *ctx, const struct signer_journal *j, uint64_t offset, size_t n, struct bytes *out)
{
    if (offset > j->size || n > j->size - offset)
        return ctx_fail(ctx, E_INVALID, "%s has no bytes %llu and after", j->path, (unsigned long long)offset);
    uint8_t *p = arena_alloc(&ctx->arena, n + 1);
    if (!read_at(j->fd, offset, p, n))
        return ctx_fail_errno(ctx, "%s cannot be read at byte %llu", j->path, (unsigned long long)offset);
    *out = bytes_of(p, n);
    return RC_OK;
}

int64_t signer_journal_generation(const struct signer_journal *j)
{
    struct stat st;
    return fstat(j->fd, &st) == 0 ? (int64_t)st.st_ino : 0;
}

int64_t signer_journal_size(const struct signer_journal *j)
{
    return (int64_t)j->size;
}

RC signer_journal_rewrite(struct ctx *ctx, const struct signer_journal *j, struct signer_journal **fresh)
{
    const char *path = arena_printf(&ctx->arena, "%s.new", j->path);
    TRY(signer_journal_make(ctx, path, O_TRUNC, fresh));
    if (flock((*fresh)->fd, LOCK_EX | LOCK_NB) != 0) {
        signer_journal_close(*fresh);
        return ctx_fail(ctx, E_IN_USE, "%s is in use", path);
    }
    (*fresh)->sequence = j->sequence;
    return RC_OK;
}

RC signer_journal_adopt(struct ctx *ctx, struct signer_journal *j, struct signer_journal *fresh)
{
    if (fsync(fresh->fd) != 0 || rename(fresh->path, j->path) != 0) {
        struct rc rc = ctx_fail_errno(ctx, "%s cannot take the place of %s", fresh->path, j->path);
        signer_journal_discard(fresh);
        return rc;
    }
    close(j->fd);
    j->fd = fresh->fd;
    j->size = fresh->size;
    j->sequence = fresh->sequence;
    fresh->fd = -1;
    signer_journal_close(fresh);
    struct rc rc = sync_parent(ctx, j->path);
    if (rc_failed(rc))
        j->broken = true; /* after a crash the old file might be there again, without what comes now */
    return rc;
}

void signer_journal_discard(struct signer_journal *fresh)
{
    if (fresh == NULL)
        return;
    if (unlink(fresh->path) != 0)
        log_event(LOG_WARN_, "journal_rewrite_left", "path", fresh->path, NULL);
    signer_journal_close(fresh);
}
