#include "agent/relay/sftp.h"

#include "base/failpoint.h"
#include "base/str.h"

/* Section 3 of the draft. */
enum {
    FXP_INIT = 1,
    FXP_VERSION = 2,
    FXP_OPEN = 3,
    FXP_CLOSE = 4,
    FXP_READ = 5,
    FXP_WRITE = 6,
    FXP_LSTAT = 7,
    FXP_FSETSTAT = 10,
    FXP_REMOVE = 13,
    FXP_STAT = 17,
    FXP_RENAME = 18,
    FXP_STATUS = 101,
    FXP_HANDLE = 102,
    FXP_DATA = 103,
    FXP_ATTRS = 105,
    FXP_EXTENDED = 200,
    FXP_EXTENDED_REPLY = 201,
};
enum { FX_OK = 0, FX_EOF = 1, FX_NO_SUCH_FILE = 2, FX_PERMISSION_DENIED = 3, FX_FAILURE = 4, FX_OP_UNSUPPORTED = 8 };
enum { FXF_READ = 1, FXF_WRITE = 2, FXF_CREAT = 8, FXF_EXCL = 0x20 };
enum { ATTR_SIZE = 1, ATTR_OWNER = 2, ATTR_MODE = 4, ATTR_TIMES = 8 };

#define CHUNK      ((size_t)32 << 10) /* of a file, in one packet: what every server takes */
#define HANDLE_MAX 256
#define TAG_MAX    128
#define KEPT_MAX   ((size_t)1 << 20) /* of a file that is kept as a copy */

struct attrs {
    uint32_t flags, uid, gid, mode;
    uint64_t size;
};

/* An open file: the server's name of it. */
struct handle {
    uint8_t p[HANDLE_MAX];
    size_t n;
};

static struct bytes handle_bytes(const struct handle *h)
{
    return bytes_of(h->p, h->n);
}

/* --- packets */

static void begin(struct sftp *f, uint8_t type)
{
    buf_reset(&f->out);
    buf_put_u32(&f->out, 0); /* the length, when it is known */
    buf_put_u8(&f->out, type);
    buf_put_u32(&f->out, ++f->id);
}

static void put_str(struct sftp *f, struct bytes b)
{
    buf_put_u32(&f->out, (uint32_t)b.n);
    buf_put(&f->out, b);
}

static bool take_str(struct bytes *in, struct bytes *out)
{
    uint32_t n;
    struct bytes rest = *in;
    if (!bytes_take_u32(&rest, &n) || !bytes_take(&rest, n, out))
        return false;
    *in = rest;
    return true;
}

static RC bad(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_BAD_ANSWER, "the host's SFTP server sent %s", what);
}

static RC flush(struct ctx *ctx, struct sftp *f)
{
    TRY(buf_status(&f->out));
    size_t n = f->out.n - 4;
    for (int i = 0; i < 4; i++)
        f->out.p[i] = (uint8_t)(n >> (24 - 8 * i));
    return f->io.put(ctx, f->io.arg, buf_bytes(&f->out));
}

static RC receive(struct ctx *ctx, struct sftp *f, uint8_t *type, struct bytes *body)
{
    uint8_t head[5];
    uint32_t n;
    TRY(f->io.get(ctx, f->io.arg, head, sizeof head));
    struct bytes b = bytes_of(head, sizeof head);
    (void)bytes_take_u32(&b, &n);
    *type = head[4];
    if (n < 1 || n - 1 > SFTP_PACKET_MAX)
        return bad(ctx, n < 1 ? "an empty packet"
                              : "a packet over the limit, or its login shell prints something of its own "
                                "before the protocol begins");
    n--;
    buf_reset(&f->in);
    uint8_t *at = buf_reserve(&f->in, n + 1);
    TRY(buf_status(&f->in));
    TRY(f->io.get(ctx, f->io.arg, at, n));
    buf_commit(&f->in, n);
    *body = buf_bytes(&f->in);
    return RC_OK;
}

/* Sends what begin() began and returns the answer to it, after its id. */
static RC call(struct ctx *ctx, struct sftp *f, uint8_t *type, struct bytes *body)
{
    uint32_t id;
    TRY(flush(ctx, f));
    TRY(receive(ctx, f, type, body));
    if (!bytes_take_u32(body, &id) || id != f->id)
        return bad(ctx, "an answer to another question");
    return RC_OK;
}

/* The words of a status, printable; section 7. */
static const char *words_of(struct ctx *ctx, struct bytes rest)
{
    struct bytes text;
    if (!take_str(&rest, &text) || text.n == 0)
        return "no reason given";
    if (text.n > 200)
        text.n = 200;
    char *out = arena_str(&ctx->arena, text);
    for (size_t i = 0; i < text.n; i++)
        if (out[i] < 0x20 || out[i] > 0x7e)
            out[i] = '?';
    return out;
}

static RC full_or(struct ctx *ctx, struct sftp *f, const char *path, const char *doing, const char *words);

/* A status that is not good, as an error. */
static RC refused(struct ctx *ctx, struct sftp *f, uint32_t code, struct bytes rest, const char *doing, const char *path)
{
    const char *words = words_of(ctx, rest);
    if (code == FX_NO_SUCH_FILE)
        return ctx_fail(ctx, E_NOT_FOUND, "%s %s on the host: %s", doing, path, words);
    if (code == FX_PERMISSION_DENIED)
        return ctx_fail(ctx, E_FORBIDDEN, "%s %s on the host: %s; give the user of the login that right there", doing, path, words);
    return full_or(ctx, f, path, doing, words);
}

/* Sends and takes a status; *code is what it says, E_BAD_ANSWER where it is none. */
static RC ask(struct ctx *ctx, struct sftp *f, uint32_t *code, struct bytes *rest)
{
    uint8_t type;
    TRY(call(ctx, f, &type, rest));
    if (type != FXP_STATUS || !bytes_take_u32(rest, code))
        return bad(ctx, "something else than a status");
    return RC_OK;
}

/* Sends and expects that it worked. */
static RC must(struct ctx *ctx, struct sftp *f, const char *doing, const char *path)
{
    uint32_t code;
    struct bytes rest;
    TRY(ask(ctx, f, &code, &rest));
    return code == FX_OK ? RC_OK : refused(ctx, f, code, rest, doing, path);
}

/* --- the greeting */

void sftp_free(struct sftp *f)
{
    buf_free(&f->in);
    buf_free(&f->out);
    *f = (struct sftp){0};
}

RC sftp_open(struct ctx *ctx, struct sftp *f, struct sftp_io io)
{
    uint8_t type;
    uint32_t version;
    struct bytes body, name, value;
    *f = (struct sftp){.io = io};
    buf_init_secret(&f->in, SFTP_PACKET_MAX + 64);
    buf_init_secret(&f->out, CHUNK + SFTP_PATH_MAX * 2 + 1024);
    buf_put_u32(&f->out, 0);
    buf_put_u8(&f->out, FXP_INIT);
    buf_put_u32(&f->out, 3);
    TRY(flush(ctx, f));
    TRY(receive(ctx, f, &type, &body));
    if (type != FXP_VERSION || !bytes_take_u32(&body, &version))
        return bad(ctx, "no greeting: its login shell may print something of its own before the protocol begins");
    if (version != 3)
        return ctx_fail(ctx, E_UNSUPPORTED, "the host's SFTP server speaks version %u, not 3", version);
    while (take_str(&body, &name) && take_str(&body, &value)) {
        f->fsync |= bytes_equal_z(name, "fsync@openssh.com") && bytes_equal_z(value, "1");
        f->posix_rename |= bytes_equal_z(name, "posix-rename@openssh.com") && bytes_equal_z(value, "1");
        f->hardlink |= bytes_equal_z(name, "hardlink@openssh.com") && bytes_equal_z(value, "1");
        f->statvfs |= bytes_equal_z(name, "statvfs@openssh.com") && bytes_equal_z(value, "2");
    }
    return RC_OK;
}

RC sftp_check_path(struct ctx *ctx, struct bytes path)
{
    bool ok = path.n > 1 && path.n <= SFTP_PATH_MAX && path.p[0] == '/';
    for (size_t i = 0; i < path.n && ok; i++)
        ok = path.p[i] >= 0x20 && path.p[i] != 0x7f;
    struct bytes rest = path, part;
    bytes_skip(&rest, 1);
    while (ok && bytes_take_until(&rest, '/', &part))
        ok = part.n > 0 && !bytes_equal_z(part, ".") && !bytes_equal_z(part, "..");
    if (!ok || path.p[path.n - 1] == '/')
        return ctx_fail(ctx, E_INVALID, "%.*s is not an absolute path of at most %d bytes without \".\" and \"..\"",
                        path.n > 200 ? 200 : (int)path.n, path.n > 0 ? (const char *)path.p : "", SFTP_PATH_MAX);
    return RC_OK;
}

/* --- pieces */

static bool take_attrs(struct bytes *in, struct attrs *out)
{
    uint32_t size_high, size_low;
    *out = (struct attrs){0};
    if (!bytes_take_u32(in, &out->flags))
        return false;
    if (out->flags & ATTR_SIZE) {
        if (!bytes_take_u32(in, &size_high) || !bytes_take_u32(in, &size_low))
            return false;
        out->size = (uint64_t)size_high << 32 | size_low;
    }
    if ((out->flags & ATTR_OWNER) && (!bytes_take_u32(in, &out->uid) || !bytes_take_u32(in, &out->gid)))
        return false;
    return !(out->flags & ATTR_MODE) || bytes_take_u32(in, &out->mode);
}

static RC stat_of(struct ctx *ctx, struct sftp *f, const char *path, bool follow, struct attrs *out, bool *found)
{
    uint8_t type;
    uint32_t code;
    struct bytes body;
    begin(f, follow ? FXP_STAT : FXP_LSTAT);
    put_str(f, bytes_z(path));
    TRY(call(ctx, f, &type, &body));
    *found = type == FXP_ATTRS;
    *out = (struct attrs){0};
    if (type == FXP_ATTRS)
        return take_attrs(&body, out) ? RC_OK : bad(ctx, "attributes that cannot be read");
    if (type != FXP_STATUS || !bytes_take_u32(&body, &code))
        return bad(ctx, "something else than attributes");
    return code == FX_NO_SUCH_FILE ? RC_OK : refused(ctx, f, code, body, "looking at", path);
}

static RC open_file(struct ctx *ctx, struct sftp *f, const char *path, uint32_t flags, struct handle *out, bool *found)
{
    uint8_t type;
    uint32_t code;
    struct bytes body, name;
    begin(f, FXP_OPEN);
    put_str(f, bytes_z(path));
    buf_put_u32(&f->out, flags);
    buf_put_u32(&f->out, ATTR_MODE);
    buf_put_u32(&f->out, 0600);
    TRY(call(ctx, f, &type, &body));
    if (found != NULL)
        *found = type == FXP_HANDLE;
    if (type == FXP_HANDLE) {
        if (!take_str(&body, &name) || name.n > HANDLE_MAX)
            return bad(ctx, "a handle over the limit");
        memcpy(out->p, name.p, name.n);
        out->n = name.n;
        return RC_OK;
    }
    if (type != FXP_STATUS || !bytes_take_u32(&body, &code))
        return bad(ctx, "something else than a handle");
    if (found != NULL && code == FX_NO_SUCH_FILE)
        return RC_OK;
    return refused(ctx, f, code, body, flags & FXF_WRITE ? "making" : "opening", path);
}

static RC close_file(struct ctx *ctx, struct sftp *f, const struct handle *h, const char *path)
{
    begin(f, FXP_CLOSE);
    put_str(f, handle_bytes(h));
    return must(ctx, f, "closing", path);
}

/* Gone, or was not there. */
static RC remove_file(struct ctx *ctx, struct sftp *f, const char *path)
{
    uint32_t code;
    struct bytes rest;
    begin(f, FXP_REMOVE);
    put_str(f, bytes_z(path));
    TRY(ask(ctx, f, &code, &rest));
    return code == FX_OK || code == FX_NO_SUCH_FILE ? RC_OK : refused(ctx, f, code, rest, "removing", path);
}

/* Over what is there.  Plain SFTP cannot do that in one step: a moment without the file is better than none replaced, for undo puts
 * back what was kept. */
static RC rename_over(struct ctx *ctx, struct sftp *f, const char *from, const char *to)
{
    if (f->posix_rename) {
        begin(f, FXP_EXTENDED);
        put_str(f, BYTES_LIT("posix-rename@openssh.com"));
    } else {
        TRY(remove_file(ctx, f, to));
        begin(f, FXP_RENAME);
    }
    put_str(f, bytes_z(from));
    put_str(f, bytes_z(to));
    return must(ctx, f, "replacing", to);
}

static const char *joined(struct ctx *ctx, const char *path, const char *suffix)
{
    return arena_printf(&ctx->arena, "%s%s", path, suffix);
}

static const char *folder_of(struct ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL || slash == path ? "/" : arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path)));
}

/* "Failure" is all that a server says of a full disk: the file system's own numbers tell. */
static RC full_or(struct ctx *ctx, struct sftp *f, const char *path, const char *doing, const char *words)
{
    uint8_t type;
    uint64_t field[5]; /* f_bsize, f_frsize, f_blocks, f_bfree, f_bavail */
    struct bytes body;
    if (!f->statvfs)
        return ctx_fail(ctx, E_IO, "%s %s on the host: %s", doing, path, words);
    begin(f, FXP_EXTENDED);
    put_str(f, BYTES_LIT("statvfs@openssh.com"));
    put_str(f, bytes_z(folder_of(ctx, path)));
    TRY(call(ctx, f, &type, &body));
    bool known = type == FXP_EXTENDED_REPLY;
    for (size_t i = 0; i < 5 && known; i++)
        known = bytes_take_u64(&body, &field[i]);
    if (known && field[2] > 0 && field[4] == 0)
        return ctx_fail(ctx, E_DISK_FULL, "%s %s on the host: its disk is full", doing, path);
    return ctx_fail(ctx, E_IO, "%s %s on the host: %s", doing, path, words);
}

/* --- reading */

static RC read_all(struct ctx *ctx, struct sftp *f, const struct handle *h, const char *path, size_t max, struct buf *out)
{
    uint64_t at = 0;
    for (;;) {
        uint8_t type;
        uint32_t code;
        struct bytes body, data;
        begin(f, FXP_READ);
        put_str(f, handle_bytes(h));
        buf_put_u64(&f->out, at);
        buf_put_u32(&f->out, CHUNK);
        TRY(call(ctx, f, &type, &body));
        if (type == FXP_STATUS && bytes_take_u32(&body, &code))
            return code == FX_EOF ? RC_OK : refused(ctx, f, code, body, "reading", path);
        if (type != FXP_DATA || !take_str(&body, &data) || data.n == 0 || data.n > CHUNK)
            return bad(ctx, "something else than the file's content");
        at += data.n;
        if (at > max)
            return ctx_fail(ctx, E_TOO_LARGE, "%s on the host is larger than %zu bytes", path, max);
        buf_put(out, data);
        TRY(buf_status(out));
    }
}

RC sftp_read(struct ctx *ctx, struct sftp *f, const char *path, size_t max, struct buf *out, bool *found)
{
    struct handle h;
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(open_file(ctx, f, path, FXF_READ, &h, found));
    if (!*found)
        return RC_OK;
    struct rc rc = read_all(ctx, f, &h, path, max, out), closed = close_file(ctx, f, &h, path);
    return rc_failed(rc) ? rc : closed;
}

/* --- writing */

static RC set_owner(struct ctx *ctx, struct sftp *f, const struct handle *h, const struct attrs *a, const char *path)
{
    begin(f, FXP_FSETSTAT);
    put_str(f, handle_bytes(h));
    buf_put_u32(&f->out, ATTR_OWNER);
    buf_put_u32(&f->out, a->uid);
    buf_put_u32(&f->out, a->gid);
    return must(ctx, f, "giving its owner to the new file for", path);
}

static RC set_mode(struct ctx *ctx, struct sftp *f, const struct handle *h, uint32_t mode, const char *path)
{
    begin(f, FXP_FSETSTAT);
    put_str(f, handle_bytes(h));
    buf_put_u32(&f->out, ATTR_MODE);
    buf_put_u32(&f->out, mode);
    return must(ctx, f, "setting the mode of the new file for", path);
}

static RC write_data(struct ctx *ctx, struct sftp *f, const struct handle *h, struct bytes data, const char *path)
{
    struct bytes piece;
    for (uint64_t at = 0; data.n > 0; at += piece.n) {
        (void)bytes_take(&data, data.n < CHUNK ? data.n : CHUNK, &piece);
        begin(f, FXP_WRITE);
        put_str(f, handle_bytes(h));
        buf_put_u64(&f->out, at);
        put_str(f, piece);
        TRY(must(ctx, f, "writing the new file for", path));
    }
    return RC_OK;
}

static RC sync_file(struct ctx *ctx, struct sftp *f, const struct handle *h, const char *path)
{
    if (!f->fsync)
        return RC_OK;
    begin(f, FXP_EXTENDED);
    put_str(f, BYTES_LIT("fsync@openssh.com"));
    put_str(f, handle_bytes(h));
    return must(ctx, f, "syncing the new file for", path);
}

static RC fill(struct ctx *ctx, struct sftp *f, const struct handle *h, const char *path, const struct attrs *old, bool replaces,
               struct bytes data, int mode)
{
    struct attrs mine;
    bool found;
    if (replaces && (old->flags & ATTR_OWNER)) {
        TRY(stat_of(ctx, f, joined(ctx, path, ".certwright-new"), false, &mine, &found));
        if (found && (mine.flags & ATTR_OWNER) && (mine.uid != old->uid || mine.gid != old->gid))
            TRY(set_owner(ctx, f, h, old, path));
    }
    TRY(write_data(ctx, f, h, data, path));
    if (mode < 0)
        mode = replaces && (old->flags & ATTR_MODE) ? (int)(old->mode & 0777) : 0600;
    TRY(set_mode(ctx, f, h, (uint32_t)mode, path));
    return sync_file(ctx, f, h, path);
}

RC sftp_write(struct ctx *ctx, struct sftp *f, const char *path, struct bytes data, int mode)
{
    struct handle h;
    struct attrs old;
    bool replaces;
    TRY(sftp_check_path(ctx, bytes_z(path)));
    const char *temporary = joined(ctx, path, ".certwright-new");
    TRY(stat_of(ctx, f, path, true, &old, &replaces));
    if (replaces && (old.flags & ATTR_MODE) && (old.mode & 0170000) != 0100000)
        return ctx_fail(ctx, E_INVALID, "%s on the host is no file", path);
    TRY(remove_file(ctx, f, temporary)); /* of a run that was killed */
    TRY(open_file(ctx, f, temporary, FXF_WRITE | FXF_CREAT | FXF_EXCL, &h, NULL));
    struct rc rc = fill(ctx, f, &h, path, &old, replaces, data, mode);
    struct rc closed = close_file(ctx, f, &h, path);
    if (rc_ok(rc))
        rc = closed;
    FAILPOINT("relay.sftp_write_before_rename");
    if (rc_ok(rc))
        rc = rename_over(ctx, f, temporary, path);
    if (rc_failed(rc)) {
        struct trail_entry *trail = ctx->trail;
        if (rc_failed(remove_file(ctx, f, temporary)))
            ctx->trail = trail; /* the first failure tells more */
    }
    return rc;
}

/* --- what is kept for undo */

/* PATH.previous-of: "TAG present" or "TAG absent", one line. */
static RC read_note(struct ctx *ctx, struct sftp *f, const char *path, const char *tag, bool *ours, bool *present)
{
    BUF_CLEANUP struct buf b = {0};
    bool found;
    buf_init(&b, 512);
    TRY(sftp_read(ctx, f, joined(ctx, path, ".previous-of"), 512, &b, &found));
    *present = bytes_equal_z(buf_bytes(&b), arena_printf(&ctx->arena, "%s present\n", tag));
    *ours = *present || bytes_equal_z(buf_bytes(&b), arena_printf(&ctx->arena, "%s absent\n", tag));
    return RC_OK;
}

static RC link_or_copy(struct ctx *ctx, struct sftp *f, const char *path, const char *to, bool *present)
{
    if (f->hardlink) {
        uint32_t code;
        struct bytes rest;
        begin(f, FXP_EXTENDED);
        put_str(f, BYTES_LIT("hardlink@openssh.com"));
        put_str(f, bytes_z(path));
        put_str(f, bytes_z(to));
        TRY(ask(ctx, f, &code, &rest));
        *present = code == FX_OK;
        if (code == FX_OK || code == FX_NO_SUCH_FILE)
            return RC_OK;
        /* File systems without hard links: a copy does as well. */
    }
    BUF_CLEANUP struct buf b = {0};
    struct attrs a;
    buf_init_secret(&b, KEPT_MAX);
    TRY(stat_of(ctx, f, path, true, &a, present));
    if (!*present)
        return RC_OK;
    TRY(sftp_read(ctx, f, path, KEPT_MAX, &b, present));
    return sftp_write(ctx, f, to, buf_bytes(&b), a.flags & ATTR_MODE ? (int)(a.mode & 0777) : 0600);
}

static RC check_tag(struct ctx *ctx, const char *tag)
{
    size_t n = strlen(tag);
    for (size_t i = 0; i < n; i++)
        if (!((tag[i] | 0x20) >= 'a' && (tag[i] | 0x20) <= 'z') && !(tag[i] >= '0' && tag[i] <= '9') && tag[i] != '-')
            n = 0;
    return n > 0 && n <= TAG_MAX ? RC_OK : ctx_fail(ctx, E_BUG, "%s is not the name of a state", tag);
}

RC sftp_keep(struct ctx *ctx, struct sftp *f, const char *path, const char *tag)
{
    bool ours, present;
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(check_tag(ctx, tag));
    TRY(read_note(ctx, f, path, tag, &ours, &present));
    if (ours)
        return RC_OK;
    const char *note = joined(ctx, path, ".previous-of"), *kept = joined(ctx, path, ".previous");
    /* Without the note, what lies there means nothing: a run that is killed between these steps begins again. */
    TRY(remove_file(ctx, f, note));
    TRY(remove_file(ctx, f, kept));
    TRY(link_or_copy(ctx, f, path, kept, &present));
    FAILPOINT("relay.sftp_keep_before_note");
    return sftp_write(ctx, f, note, bytes_z(arena_printf(&ctx->arena, "%s %s\n", tag, present ? "present" : "absent")), 0600);
}

static RC put_back(struct ctx *ctx, struct sftp *f, const char *kept, const char *path)
{
    struct attrs was, is;
    bool found, there;
    TRY(stat_of(ctx, f, kept, false, &was, &found));
    if (!found) /* put back by a run that was killed before it could remove the note */
        return RC_OK;
    TRY(stat_of(ctx, f, path, false, &is, &there));
    if (there && (was.flags & is.flags & ATTR_OWNER) &&
        (was.uid != is.uid || was.gid != is.gid)) { /* a copy, which is the login's */
        BUF_CLEANUP struct buf b = {0};
        buf_init_secret(&b, KEPT_MAX);
        TRY(sftp_read(ctx, f, kept, KEPT_MAX, &b, &found));
        TRY(sftp_write(ctx, f, path, buf_bytes(&b), was.flags & ATTR_MODE ? (int)(was.mode & 0777) : -1));
    } else {
        TRY(rename_over(ctx, f, kept, path));
    }
    return remove_file(ctx, f, kept); /* after rename() too, which does nothing with two names of one file */
}

RC sftp_restore(struct ctx *ctx, struct sftp *f, const char *path, const char *tag)
{
    bool ours, present;
    TRY(sftp_check_path(ctx, bytes_z(path)));
    TRY(check_tag(ctx, tag));
    TRY(read_note(ctx, f, path, tag, &ours, &present));
    if (!ours)
        return RC_OK;
    TRY(present ? put_back(ctx, f, joined(ctx, path, ".previous"), path) : remove_file(ctx, f, path));
    FAILPOINT("relay.sftp_restore_before_note");
    return remove_file(ctx, f, joined(ctx, path, ".previous-of"));
}
