#include "agent/run/read.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config_text.h"

struct reading {
    struct ctx *ctx;
    const struct agent_reading *what;
    struct buf *out;
    size_t files;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static RC slurp(struct reading *r, const char *path, struct buf *text)
{
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return ctx_fail_errno(r->ctx, "%s", path);
    if (!S_ISREG(st.st_mode))
        return ctx_fail(r->ctx, E_INVALID, "%s is not a regular file", path);
    for (;;) {
        uint8_t *room = buf_reserve(text, 4096);
        ssize_t n = room != NULL ? read(fd, room, 4096) : 0;
        if (room == NULL)
            return ctx_fail(r->ctx, E_TOO_LARGE, "%s is larger than %zu bytes", path, text->max);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ctx_fail_errno(r->ctx, "reading %s", path);
        if (n == 0)
            return RC_OK;
        buf_commit(text, (size_t)n);
    }
}

static void glob_done(glob_t *g) { globfree(g); }

/* The regular files that a pattern names, sorted; a folder stands for what is in it. */
static RC expand(struct reading *r, const char *pattern, struct str_list *out)
{
    __attribute__((cleanup(glob_done))) glob_t g = {0};
    int got = glob(pattern, 0, NULL, &g);
    if (got == GLOB_NOSPACE)
        return ctx_fail(r->ctx, E_NO_MEMORY, "%s names too many files", pattern);
    for (size_t i = 0; got == 0 && i < g.gl_pathc; i++) {
        struct stat st;
        if (stat(g.gl_pathv[i], &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && strpbrk(g.gl_pathv[i], "*?[\\") == NULL) {
            __attribute__((cleanup(glob_done))) glob_t in = {0};
            if (glob(arena_printf(&r->ctx->arena, "%s/*", g.gl_pathv[i]), 0, NULL, &in) != 0)
                continue;
            for (size_t k = 0; k < in.gl_pathc && out->n <= READ_FILES_MAX; k++)
                if (stat(in.gl_pathv[k], &st) == 0 && S_ISREG(st.st_mode))
                    str_list_add(&r->ctx->arena, out, arena_strdup(&r->ctx->arena, in.gl_pathv[k]));
        } else if (S_ISREG(st.st_mode)) {
            str_list_add(&r->ctx->arena, out, arena_strdup(&r->ctx->arena, g.gl_pathv[i]));
        }
        if (out->n > READ_FILES_MAX)
            return ctx_fail(r->ctx, E_TOO_LARGE, "%s names more than %d files", pattern, READ_FILES_MAX);
    }
    return RC_OK;
}

static void put_mark(struct reading *r, const char *sign, const char *file)
{
    buf_put_z(r->out, sign);
    buf_put_z(r->out, file);
    buf_put_z(r->out, ":\n");
}

/* The pattern that an include names: the rest of the line without quotes; NULL where it is none. */
static const char *included(struct reading *r, const char *file, struct bytes line)
{
    struct bytes rest = bytes_trim(line), word;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t' && rest.p[n] != '=')
        n++;
    word = bytes_of(rest.p, n);
    bool ours = false;
    for (size_t i = 0; i < r->what->include.n && !ours; i++)
        ours = bytes_equal_nocase(word, bytes_z(r->what->include.v[i]));
    if (!ours || n == rest.n)
        return NULL;
    bytes_skip(&rest, n);
    rest = bytes_trim(rest);
    if (rest.n > 0 && rest.p[0] == '=')
        bytes_skip(&rest, 1);
    rest = bytes_trim(rest);
    if (rest.n > 1 && (rest.p[0] == '"' || rest.p[0] == '\'')) {
        size_t end = 1;
        while (end < rest.n && rest.p[end] != rest.p[0])
            end++;
        rest = bytes_of(rest.p + 1, end - 1);
    }
    if (rest.n == 0 || rest.n > 4000 || memchr(rest.p, '\0', rest.n) != NULL)
        return NULL;
    const char *path = arena_str(&r->ctx->arena, rest);
    if (*path == '/')
        return path;
    return arena_printf(&r->ctx->arena, "%.*s/%s", (int)(strrchr(file, '/') - file), file, path);
}

static RC put_file(struct reading *r, const char *path, int depth)
{
    struct buf text;
    struct bytes rest, line;
    int number = 0;
    if (r->files++ == READ_FILES_MAX)
        return ctx_fail(r->ctx, E_TOO_LARGE, "more than %d files are to be read", READ_FILES_MAX);
    if (depth > READ_DEPTH_MAX)
        return ctx_fail(r->ctx, E_TOO_LARGE, "%s: files include each other more than %d deep", path, READ_DEPTH_MAX);
    buf_init_arena(&text, &r->ctx->arena, r->out->max);
    TRY(slurp(r, path, &text));
    for (rest = buf_bytes(&text); rest.n > 0; number++) {
        if (!bytes_take_line(&rest, &line)) {
            line = rest;
            rest = (struct bytes){0};
        }
        const char *pattern = included(r, path, line);
        struct str_list more = {0};
        if (pattern == NULL) {
            buf_put(r->out, line);
            buf_put_u8(r->out, '\n');
            continue;
        }
        TRY(expand(r, pattern, &more));
        for (size_t i = 0; i < more.n; i++) {
            put_mark(r, CONFIG_MARK_FILE, more.v[i]);
            TRY(put_file(r, more.v[i], depth + 1));
        }
        put_mark(r, CONFIG_MARK_FILE, path);
    }
    return buf_status(r->out);
}

RC read_files(struct ctx *ctx, const struct agent_reading *what, struct buf *out)
{
    struct reading r = {ctx, what, out, 0};
    struct str_list files = {0}, beside = {0};
    for (size_t i = 0; i < what->files.n; i++)
        TRY(expand(&r, what->files.v[i], &files));
    for (size_t i = 0; i < what->list.n; i++)
        TRY(expand(&r, what->list.v[i], &beside));
    if (files.n == 0 && what->files.n > 0)
        return ctx_fail(ctx, E_NOT_FOUND, "there is no file %s", what->files.v[0]);
    for (size_t i = 0; i < files.n; i++) {
        put_mark(&r, !what->together || i == 0 ? CONFIG_MARK_BEGINS : CONFIG_MARK_FILE, files.v[i]);
        TRY(put_file(&r, files.v[i], 0));
    }
    for (size_t i = 0; i < beside.n; i++)
        put_mark(&r, CONFIG_MARK_THERE, beside.v[i]);
    struct rc rc = buf_status(out);
    return rc_ok(rc) ? rc : ctx_fail(ctx, E_TOO_LARGE, "the files are larger than %zu bytes together", out->max);
}
