#include "core/backup.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/backup_file.h"
#include "core/job.h"
#include "os/file.h"
#include "store/copy.h"
#include "store/queries.h"
#include "wire/messages.h"

#define KEPT_FOR_S      3600 /* one that was asked for, until it is fetched */
#define TRIES           3    /* the signer rewrote its journal meanwhile */
#define PIECE           ((int64_t)512 << 10)
#define SIGNER_MS       20000
#define RETRY_S         600
#define ROWS_KEPT_S     ((int64_t)400 * BACKUP_DAY_S)
#define TEMPORARY       ".unfinished"
#define REMEDY_RECOVERY "certwright init --backup-key makes it known, with the recovery key"

/* --- asking */

struct asking {
    struct core *core;
    const char *id, *by;
    const struct q_backup_get_row *one;
    struct q_backup_get_row row, *rows;
    struct q_backup_times_row times;
    int64_t limit;
    size_t n;
    bool found, claimed;
    /* how it ended */
    const char *state, *place, *error;
    int64_t bytes;
    bool scheduled;
};

static struct rc ask(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    TRY(access_everywhere(ctx, a->core, txn, "backup.create"));
    TRY(q_backup_add(ctx, txn, &(struct q_backup_add_in){.id = a->id, .state = "asked", .asked_by = a->by, .now = ctx_now_s(ctx)}));
    return audit_write(ctx, txn, "backup.create", "backup", a->id, a->core->team_root, (struct bytes){0});
}

static struct rc may_be_made(struct ctx *ctx, const struct core *core)
{
    if (!core->backup || !core->backup->recovery.n)
        return ctx_fail(ctx, E_CONFLICT,
                        "no backup can be made: the hub does not know whom to encrypt it to (recovery.pub); " REMEDY_RECOVERY);
    return RC_OK;
}

RC backup_ask(struct ctx *ctx, struct core *core, const char **id)
{
    struct asking a = {.core = core, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)), .by = ctx->principal->name};
    TRY(may_be_made(ctx, core));
    TRY(store_write(ctx, core->store, ask, &a));
    *id = a.id;
    return RC_OK;
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    TRY(access_everywhere(ctx, a->core, txn, "backup.create"));
    if (a->id)
        return q_backup_get(ctx, txn, a->id, &a->row, &a->found);
    return q_backup_list(ctx, txn, a->limit, &a->rows, &a->n);
}

RC backup_show(struct ctx *ctx, struct core *core, const char *id, struct q_backup_get_row *out)
{
    struct asking a = {.core = core, .id = id};
    TRY(store_read(ctx, core->store, show, &a));
    *out = a.row;
    return a.found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "there is no backup %s", id);
}

RC backup_list(struct ctx *ctx, struct core *core, int64_t limit, struct q_backup_get_row **rows, size_t *n)
{
    struct asking a = {.core = core, .limit = limit};
    TRY(store_read(ctx, core->store, show, &a));
    *rows = a.rows;
    *n = a.n;
    return RC_OK;
}

static const char *scratch_file(struct ctx *ctx, const struct core *core, const char *id)
{
    return arena_printf(&ctx->arena, "%s/%s%s", core->backup->scratch, id, BACKUP_SUFFIX);
}

RC backup_piece(struct ctx *ctx, struct core *core, const char *id, int64_t offset, size_t most, struct bytes *out)
{
    struct q_backup_get_row row;
    TRY(backup_show(ctx, core, id, &row));
    if (!str_equal(row.state, "done") || row.scheduled)
        return ctx_fail(ctx, E_CONFLICT, "the backup %s is %s", id, row.scheduled ? "in the folder of hub.yaml" : row.state);
    const int fd = open(scratch_file(ctx, core, row.id), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the backup %s was not fetched within an hour, and has gone", id);
    uint8_t *p = arena_alloc(&ctx->arena, most + 1);
    const ssize_t n = pread(fd, p, most, (off_t)offset);
    close(fd);
    if (n < 0)
        return ctx_fail_errno(ctx, "the backup %s cannot be read", id);
    *out = bytes_of(p, (size_t)n);
    return RC_OK;
}

/* --- making one */

struct making {
    struct core *core;
    struct backup_writer *w;
    struct store_copied copied;
    int64_t keys;
};

static struct rc section(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail)
{
    return backup_section(ctx, ((struct making *)arg)->w, kind, name, detail);
}

static struct rc may_go_on(struct ctx *ctx, const struct making *m)
{
    return m->core->backup_stop ? ctx_fail(ctx, E_SHUTTING_DOWN, "the hub was stopped while the backup was made") : RC_OK;
}

static struct rc data(struct ctx *ctx, void *arg, struct bytes bytes)
{
    struct making *m = arg;
    TRY(may_go_on(ctx, m));
    return backup_data(ctx, m->w, bytes);
}

static struct rc end(struct ctx *ctx, void *arg, int64_t count)
{
    return backup_section_end(ctx, ((struct making *)arg)->w, count);
}

/* One piece of a file of the signer's; a context of its own, for there are many. */
static struct rc signer_piece(struct ctx *ctx, struct making *m, const struct wire_signer_copy_read *in, size_t *n)
{
    struct ctx CTX_CLEANUP one;
    struct wire_signer_copied out;
    ctx_init(&one, ctx->clock);
    one.deadline_ms = clock_mono_ms() + SIGNER_MS;
    TRY(may_go_on(ctx, m));
    struct rc rc = wire_call_signer_copy_read(&one, m->core->signer, in, &out);
    if (rc_ok(rc))
        rc = backup_data(&one, m->w, out.data);
    *n = rc_ok(rc) ? out.data.n : 0;
    return rc_ok(rc) ? RC_OK : ctx_fail(ctx, rc.e, "%s", ctx_why(&one));
}

static struct rc signer_journal_out(struct ctx *ctx, struct making *m, const struct wire_signer_copy *copy)
{
    TRY(backup_section(ctx, m->w, "signer", "journal", NULL));
    for (int64_t at = 0; at < copy->journal;) {
        const int64_t left = copy->journal - at;
        const struct wire_signer_copy_read in = {
            .generation = copy->generation, .file = "", .offset = at, .bytes = left < PIECE ? left : PIECE};
        size_t n = 0;
        TRY(signer_piece(ctx, m, &in, &n));
        at += (int64_t)n;
    }
    return backup_section_end(ctx, m->w, copy->journal);
}

static struct rc signer_out(struct ctx *ctx, struct making *m)
{
    const struct wire_signer_copy_list ask_list = {0};
    struct wire_signer_copy copy;
    ctx->deadline_ms = clock_mono_ms() + SIGNER_MS;
    struct rc rc = wire_call_signer_copy_list(ctx, m->core->signer, &ask_list, &copy);
    ctx->deadline_ms = 0;
    TRY(rc);
    TRY(signer_journal_out(ctx, m, &copy));
    for (size_t i = 0; i < copy.files.n; i++) {
        const struct wire_signer_copy_read in = {.generation = copy.generation, .file = copy.files.v[i], .bytes = PIECE};
        size_t n = 0;
        TRY(backup_section(ctx, m->w, "key", copy.files.v[i], NULL));
        TRY(signer_piece(ctx, m, &in, &n));
        TRY(backup_section_end(ctx, m->w, (int64_t)n));
    }
    m->keys = (int64_t)copy.files.n;
    return RC_OK;
}

static struct rc facts_of(struct ctx *ctx, const struct making *m, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "migrations", m->copied.migrations);
    json_put_int(&j, "epoch", m->core->epoch);
    json_put_int(&j, "keys", m->keys);
    json_open_obj(&j, "rows");
    for (size_t i = 0; i < m->copied.n; i++)
        json_put_int(&j, m->copied.counts[i].table, m->copied.counts[i].rows);
    json_close(&j);
    json_close(&j);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

static struct rc write_parts(struct ctx *ctx, struct making *m, int64_t *bytes)
{
    const struct backup_settings *s = m->core->backup;
    const struct store_copy_to to = {.arg = m, .section = section, .data = data, .end = end};
    struct bytes facts;
    TRY(backup_section(ctx, m->w, "configuration", "sealed", NULL));
    TRY(backup_data(ctx, m->w, s->configuration));
    TRY(backup_section_end(ctx, m->w, (int64_t)s->configuration.n));
    TRY(store_copy(ctx, m->core->store, arena_printf(&ctx->arena, "%s/copy.db", s->scratch), &to, &m->copied));
    TRY(signer_out(ctx, m));
    TRY(facts_of(ctx, m, &facts));
    return backup_write_end(ctx, m->w, facts, bytes);
}

static struct rc write_once(struct ctx *ctx, struct core *core, const char *path, const struct backup_head *head, int64_t *bytes)
{
    struct making m = {.core = core};
    unlink(path);
    TRY(backup_write(ctx, path, head, core->backup->recovery, &m.w));
    struct rc rc = write_parts(ctx, &m, bytes);
    backup_writer_free(m.w);
    return rc;
}

/* Written beside, renamed when it is whole. */
static struct rc write_file(struct ctx *ctx, struct core *core, const char *dir, const char *name, const char *id, int64_t *bytes)
{
    const struct backup_head head = {.id = id,
                                     .installation = core->name,
                                     .version = core->backup->version,
                                     .engine = store_engine_of(core->store) == STORE_POSTGRES ? "postgres" : "sqlite",
                                     .made_at = ctx_now_s(ctx)};
    const char *unfinished = arena_printf(&ctx->arena, ".%s" TEMPORARY, name);
    const char *path = arena_printf(&ctx->arena, "%s/%s", dir, unfinished);
    struct rc rc = RC_OK;
    for (int i = 0; i < TRIES; i++) {
        rc = write_once(ctx, core, path, &head, bytes);
        if (rc.e != E_CHANGED && rc.e != E_NOT_FOUND)
            break;
        if (i + 1 < TRIES)
            ctx_forget(ctx);
    }
    TRY(rc);
    int fd FD_CLEANUP = -1;
    TRY(file_open_dir(ctx, dir, &fd));
    return file_rename(ctx, fd, unfinished, name);
}

/* --- which, and what becomes of them */

/* "certwright-NAME-20261122T030000Z.cwbackup": in the order of their time. */
static const char *prefix_of(struct ctx *ctx, const struct core *core)
{
    char *p = arena_printf(&ctx->arena, "certwright-%.64s-", core->name);
    for (char *c = p; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", *c))
            *c = '-';
    return p;
}

static const char *name_of(struct ctx *ctx, const struct core *core)
{
    struct buf at, b;
    buf_init_arena(&at, &ctx->arena, 64);
    buf_init_arena(&b, &ctx->arena, 256);
    time_put_rfc3339(&at, ctx_now_s(ctx));
    buf_put_z(&b, prefix_of(ctx, core));
    for (const char *c = buf_z(&at); *c; c++)
        if (*c != '-' && *c != ':')
            buf_put_u8(&b, (uint8_t)*c);
    buf_put_z(&b, BACKUP_SUFFIX);
    return buf_z(&b);
}

static struct rc keep_newest(struct ctx *ctx, struct core *core)
{
    const char *prefix = prefix_of(ctx, core);
    struct str_list names = {0}, ours = {0};
    int fd FD_CLEANUP = -1;
    TRY(file_open_dir(ctx, core->backup->dir, &fd));
    TRY(file_list(ctx, fd, &names));
    for (size_t i = 0; i < names.n; i++)
        if (bytes_starts_with(bytes_z(names.v[i]), bytes_z(prefix)) && bytes_ends_with(bytes_z(names.v[i]), bytes_z(BACKUP_SUFFIX)))
            str_list_add(&ctx->arena, &ours, names.v[i]);
    for (size_t i = 0; i + (size_t)core->backup->keep < ours.n; i++)
        TRY(file_remove(ctx, fd, ours.v[i]));
    return RC_OK;
}

/* Files that were asked for and not fetched, and what a hub that ended left. */
static struct rc sweep(struct ctx *ctx, struct core *core, const char *dir, bool all)
{
    struct str_list names = {0};
    int fd FD_CLEANUP = -1;
    TRY(file_open_dir(ctx, dir, &fd));
    TRY(file_list(ctx, fd, &names));
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        const bool half = bytes_ends_with(bytes_z(names.v[i]), bytes_z(TEMPORARY));
        const bool ours = str_equal(dir, core->backup->scratch) || (half && names.v[i][0] == '.');
        if (!ours || fstatat(fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
            continue;
        if (all || st.st_mtime < time(NULL) - KEPT_FOR_S)
            TRY(file_remove(ctx, fd, names.v[i]));
    }
    return RC_OK;
}

static struct rc cut(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct q_timer_get_row timer;
    bool found = false;
    (void)arg;
    TRY(q_backup_cut(ctx, txn, ctx_now_s(ctx), ctx_now_s(ctx)));
    TRY(q_timer_get(ctx, txn, "backup", "all", &timer, &found));
    return found ? RC_OK : timer_arm(ctx, txn, "backup", "all", ctx_now_s(ctx) + 600);
}

RC backup_start(struct ctx *ctx, struct core *core)
{
    const struct backup_settings *s = core->backup;
    TRY(file_mkdirs(ctx, s->scratch, 0700));
    TRY(sweep(ctx, core, s->scratch, true));
    if (s->dir)
        TRY(sweep(ctx, core, s->dir, true));
    return store_write(ctx, core->store, cut, NULL);
}

static struct rc next(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    TRY(q_backup_asked(ctx, txn, &a->row, &a->found));
    return q_backup_times(ctx, txn, &a->times);
}

static struct rc claim(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    if (a->found)
        return q_backup_running(ctx, txn, a->id);
    return q_backup_add(
        ctx, txn,
        &(struct q_backup_add_in){.id = a->id, .state = "running", .scheduled = 1, .asked_by = "hub", .now = ctx_now_s(ctx)});
}

static struct rc ended(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct asking *a = arg;
    const bool good = str_equal(a->state, "done");
    const int64_t now = ctx_now_s(ctx);
    TRY(q_backup_ended(
        ctx, txn,
        &(struct q_backup_ended_in){
            .id = a->id, .state = a->state, .now = now, .bytes = good ? &a->bytes : NULL, .place = a->place, .error = a->error}));
    TRY(q_backup_trim(ctx, txn, now - ROWS_KEPT_S));
    return audit_write(ctx, txn, good ? "backup.made" : "backup.failed", "backup", a->id, a->core->team_root,
                       audit_facts(ctx, "asked_by", a->by, "file", a->place, "bytes:", good ? audit_number(ctx, a->bytes) : NULL,
                                   "error", a->error, NULL));
}

/* Whether one on schedule is to begin now; one that failed is tried again a while later. */
static bool is_due(const struct core *core, const struct q_backup_times_row *t, int64_t now)
{
    const struct backup_settings *s = core->backup;
    const int64_t retry = s->every_s / 4 < RETRY_S ? s->every_s / 4 : RETRY_S;
    return s->dir && s->recovery.n && (t->scheduled_at == 0 || now >= t->scheduled_at + s->every_s || now < t->scheduled_at) &&
           (t->tried_at == t->scheduled_at || now >= t->tried_at + retry || now < t->tried_at);
}

RC backup_work(struct ctx *ctx, struct core *core, bool *did)
{
    const struct backup_settings *s = core->backup;
    struct asking a = {.core = core};
    ctx->principal = access_hub(ctx, core);
    TRY(store_read(ctx, core->store, next, &a));
    *did = a.found || is_due(core, &a.times, ctx_now_s(ctx));
    if (!*did)
        return sweep(ctx, core, s->scratch, false);
    a.id = a.found ? a.row.id : id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    a.by = a.found ? a.row.asked_by : "hub";
    struct rc rc = store_write(ctx, core->store, claim, &a);
    if (rc.e == E_CHANGED) { /* another hub makes it */
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    const char *dir = a.found ? s->scratch : s->dir;
    a.place = a.found ? arena_printf(&ctx->arena, "%s%s", a.id, BACKUP_SUFFIX) : name_of(ctx, core);
    rc = write_file(ctx, core, dir, a.place, a.id, &a.bytes);
    if (rc_ok(rc) && !a.found)
        rc = keep_newest(ctx, core);
    a.state = rc_ok(rc) ? "done" : "failed";
    if (rc_failed(rc)) {
        a.error = arena_printf(&ctx->arena, "%.2000s", ctx_why(ctx));
        log_event(LOG_WARN_, "backup_failed", "why", a.error, NULL);
        ctx_forget(ctx);
    }
    return store_write(ctx, core->store, ended, &a);
}

/* --- being old */

static bool is_old(const struct core *core, int64_t good_at, int64_t created_at, int64_t now)
{
    const int64_t from = good_at > created_at ? good_at : created_at;
    return core->backup && core->backup->dir && now - from > 2 * core->backup->every_s;
}

RC backup_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_backup_times_row times;
    struct q_backup_told_row told;
    struct q_installation_get_row row;
    bool found = false;
    TRY(q_backup_times(ctx, txn, &times));
    TRY(q_backup_told(ctx, txn, &told));
    TRY(q_installation_get(ctx, txn, &row, &found));
    if (is_old(core, times.good_at, row.created_at, now) && now - told.told_at >= BACKUP_DAY_S - 60) {
        TRY(q_backup_told_set(ctx, txn, now));
        TRY(audit_write(ctx, txn, "backup.old", "installation", core->name, core->team_root,
                        audit_facts(ctx, "name", core->name, "last_good_at:", audit_number(ctx, times.good_at), NULL)));
    }
    return timer_arm(ctx, txn, "backup", ref, now + 600);
}

struct looking {
    struct q_backup_times_row times;
    struct q_installation_get_row row;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    bool found = false;
    TRY(q_backup_times(ctx, txn, &l->times));
    return q_installation_get(ctx, txn, &l->row, &found);
}

RC backup_last(struct ctx *ctx, struct core *core, int64_t *at)
{
    struct looking l = {0};
    TRY(store_read(ctx, core->store, look, &l));
    *at = l.times.good_at;
    return RC_OK;
}

RC backup_troubles(struct ctx *ctx, struct core *core, void *arg,
                   void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    const int64_t now = ctx_now_s(ctx);
    struct looking l = {0};
    struct buf span;
    if (!core->backup)
        return RC_OK;
    TRY(store_read(ctx, core->store, look, &l));
    buf_init_arena(&span, &ctx->arena, 64);
    time_put_span_ms(&span, (now - l.times.good_at) * 1000);
    if (core->backup->dir && !core->backup->recovery.n)
        add(arg, "backup", "hub.yaml wants backups, but the hub does not know whom to encrypt them to (recovery.pub)",
            REMEDY_RECOVERY);
    else if (is_old(core, l.times.good_at, l.row.created_at, now))
        add(arg, "backup",
            l.times.good_at ? arena_printf(&ctx->arena, "the last good backup is %s old", buf_z(&span))
                            : "no backup has succeeded yet",
            "certwright backup --list says why; look at the folder of hub.yaml (backup: to)");
    else if (!core->backup->dir && !core->backup->elsewhere && now - l.row.created_at > BACKUP_GRACE_S &&
             now - l.times.good_at > BACKUP_GRACE_S)
        add(arg, "backup",
            l.times.good_at ? arena_printf(&ctx->arena, "no backups are configured, and the last one is %s old", buf_z(&span))
                            : "there is no backup of this installation",
            "backup: {to: DIR} in hub.yaml, or {elsewhere: true} where others see to it (docs/BACKUP.md)");
    return RC_OK;
}
