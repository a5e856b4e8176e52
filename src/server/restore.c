/* certwright restore: an installation comes back from a backup.  The whole file is proved before anything is touched; what is new
 * is put beside what is there, tried, and takes its place by renames.  Until it is done a mark in the data folder keeps hubs from
 * starting, and the same command may be given again. */
#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/random.h"
#include "core/backup.h"
#include "core/backup_file.h"
#include "core/core.h"
#include "core/restore.h"
#include "os/file.h"
#include "pki/seal.h"
#include "server/server.h"
#include "signer/state.h"
#include "store/copy.h"

#define SEALED_MAX ((size_t)512 << 10)
#define CRL_GAP    1000 /* and one a second since the backup: more than can have been signed meanwhile */
#define LONGEST_MS ((int64_t)24 * 3600 * 1000)

struct restore {
    struct cli *cli;
    const char *path, *dir; /* the backup; folder of the configuration */
    const char *id;         /* of this restore: in the names of what it replaces */
    struct backup_reader *reader;
    struct backup_head head;
    json_t *manifest;
    struct secret configuration; /* JSON: name to base64 */
    struct secret kek, recovery;
    struct hub_config hub;
    bool keep_config, keep_signer;
    bool again; /* a restore that was not brought to its end */
    /* while the file is gone through */
    struct buf sealed;
    enum { NOTHING, CONFIGURATION, SIGNER, DATABASE, SEQUENCE } now;
    char sequence[BACKUP_NAME_MAX + 1];
    int fd;
    const char *fd_path;
    struct store_loader *loader;
};

/* --- reading the file */

/* First time through: nothing but the configuration is taken. */
static struct rc look_section(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail)
{
    struct restore *r = arg;
    (void)ctx;
    (void)name;
    (void)detail;
    r->now = str_equal(kind, "configuration") ? CONFIGURATION : NOTHING;
    return RC_OK;
}

static struct rc look_data(struct ctx *ctx, void *arg, struct bytes data)
{
    struct restore *r = arg;
    (void)ctx;
    if (r->now == CONFIGURATION)
        buf_put(&r->sealed, data);
    return buf_status(&r->sealed);
}

static struct rc prove(struct ctx *ctx, struct restore *r)
{
    const struct backup_visitor v = {.arg = r, .section = look_section, .data = look_data};
    TRY(backup_open(ctx, r->path, &r->head, &r->reader));
    const struct str_list files = cli_list_opt(r->cli, "recovery-key-file");
    TRY(server_recovery_key(ctx, &files, &r->recovery));
    TRY(backup_unlock(ctx, r->reader, &r->recovery));
    TRY(backup_read(ctx, r->reader, &v, &r->manifest));
    TRY(backup_secret(ctx, r->reader, BACKUP_CONFIGURATION, buf_bytes(&r->sealed), &r->configuration));
    return RC_OK;
}

/* A file of the configuration; empty where it was not saved. */
static struct rc saved(struct ctx *ctx, const struct restore *r, const char *name, struct bytes *out)
{
    json_auto_t *root = NULL;
    *out = (struct bytes){0};
    TRY(json_read(ctx, secret_use(&r->configuration), &root));
    return json_get_base64(ctx, root, name, false, out);
}

static int64_t fact(const struct restore *r, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(json_object_get(r->manifest, "facts"), name));
}

static const char *time_text(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* --- what is here */

static const char *in_state(struct ctx *ctx, const struct restore *r, const char *name)
{
    return arena_printf(&ctx->arena, "%s/%s", r->hub.state, name);
}

static const char *in_config(struct ctx *ctx, const struct restore *r, const char *name)
{
    return arena_printf(&ctx->arena, "%s/%s", r->dir, name);
}

static struct store_config database_of(struct ctx *ctx, const struct restore *r, const char *file)
{
    return (struct store_config){.engine = r->hub.database ? STORE_POSTGRES : STORE_SQLITE,
                                 .path = arena_printf(&ctx->arena, "%s/hub/%s", r->hub.state, file),
                                 .conninfo = r->hub.database,
                                 .connections = 2};
}

/* hub.yaml: of the backup, or the one that is here.  It is read from a file, so that messages name a line. */
static struct rc config_read(struct ctx *ctx, struct restore *r)
{
    const char *path = in_config(ctx, r, "hub.yaml");
    struct bytes text;
    if (r->keep_config)
        return hub_config_load(ctx, path, &r->hub);
    TRY(saved(ctx, r, "hub.yaml", &text));
    char temporary[] = "/tmp/certwright-restore-XXXXXX";
    const int fd = mkstemp(temporary);
    if (fd < 0)
        return ctx_fail_errno(ctx, "no file for hub.yaml in /tmp");
    struct rc rc = file_write_all(ctx, fd, temporary, text);
    close(fd);
    if (rc_ok(rc))
        rc = ctx_wrap(ctx, hub_config_load(ctx, temporary, &r->hub), "hub.yaml of the backup");
    unlink(temporary);
    r->hub.file = path;
    return rc;
}

static struct rc engine_check(struct ctx *ctx, const struct restore *r)
{
    const bool postgres = r->hub.database;
    if (postgres == str_equal(r->head.engine, "postgres"))
        return RC_OK;
    return ctx_fail(
        ctx, E_UNSUPPORTED,
        "the backup is of %s, and %s says that the database is %s: a backup is restored to the kind of database that it is of",
        postgres ? "SQLite" : "PostgreSQL", r->hub.file, postgres ? "PostgreSQL" : "SQLite");
}

/* Something that would be replaced; NULL where there is nothing. */
static struct rc what_is_here(struct ctx *ctx, const struct restore *r, const char **out)
{
    const char *const files[] = {r->keep_config ? NULL : in_config(ctx, r, "hub.yaml"),
                                 r->keep_signer ? NULL : in_state(ctx, r, "signer/journal"),
                                 r->hub.database ? NULL : in_state(ctx, r, "hub/certwright.db")};
    *out = NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files && !*out; i++)
        if (files[i] && !access(files[i], F_OK))
            *out = files[i];
    if (*out || !r->hub.database)
        return RC_OK;
    struct store_copied here;
    const struct store_config db = database_of(ctx, r, "certwright.db");
    TRY(store_counts(ctx, &db, &here));
    if (here.n)
        *out = "the PostgreSQL database";
    return RC_OK;
}

/* A hub that runs has its signer's journal locked. */
static struct rc nobody_runs(struct ctx *ctx, const struct restore *r)
{
    int fd FD_CLEANUP = open(in_state(ctx, r, "signer/journal"), O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return ctx_fail(ctx, E_IN_USE, "a hub runs on %s: stop it first (systemctl stop certwright-hub)", r->hub.state);
    return RC_OK;
}

static struct rc may_replace(struct ctx *ctx, struct restore *r)
{
    const char *name = cli_opt(r->cli, "name"), *here = NULL;
    r->again = !access(in_state(ctx, r, RESTORE_MARK), F_OK);
    if (cli_has(r->cli, "replace") && !(name && str_equal(name, r->head.installation)))
        return ctx_fail(ctx, E_USAGE, "--replace wants the name of the installation that comes back: --name \"%s\"",
                        r->head.installation);
    if (r->again || cli_has(r->cli, "replace"))
        return RC_OK;
    TRY(what_is_here(ctx, r, &here));
    return here ? ctx_fail(ctx, E_EXISTS,
                           "%s is there: a restore is for an empty host; to replace what is here (look with --preview first): "
                           "--replace --name \"%s\"",
                           here, r->head.installation)
                : RC_OK;
}

/* --- saying what is in it */

static int64_t rows_here(const struct store_copied *here, const char *table)
{
    for (size_t i = 0; i < here->n; i++)
        if (str_equal(here->counts[i].table, table))
            return here->counts[i].rows;
    return 0;
}

static struct rc preview(struct ctx *ctx, struct restore *r)
{
    struct cli *cli = r->cli;
    struct store_copied here = {0};
    const char *there = NULL, *table;
    json_t *rows = json_object_get(json_object_get(r->manifest, "facts"), "rows"), *n;
    if (cli->output != CLI_TABLE) {
        json_auto_t *told =
            json_pack("{s:s, s:s, s:s, s:s, s:I, s:O}", "id", r->head.id, "installation", r->head.installation, "version",
                      r->head.version, "engine", r->head.engine, "made_at", (json_int_t)r->head.made_at, "manifest", r->manifest);
        return cli_print_object(cli, told, "id");
    }
    printf("A backup of the installation %s, made at %s by Certwright %s (%s).\n", r->head.installation,
           time_text(ctx, r->head.made_at), r->head.version, r->hub.database ? "PostgreSQL" : "SQLite");
    printf("It is whole: every part has the size and the hash that it was written with.\n");
    TRY(what_is_here(ctx, r, &there));
    if (there) {
        const struct store_config db = database_of(ctx, r, "certwright.db");
        TRY(store_counts(ctx, &db, &here));
        printf("Something is here already (%s); it would be replaced only with --replace.\n", there);
    }
    printf("\n%-28s %12s%s\n", "TABLE", "IN BACKUP", there ? "         HERE" : "");
    json_object_foreach(rows, table, n)
    {
        const int64_t in = (int64_t)json_integer_value(n), now = rows_here(&here, table);
        if (!in && !now)
            continue;
        if (there)
            printf("%-28s %12lld %12lld%s\n", table, (long long)in, (long long)now, now > in ? "   fewer afterwards" : "");
        else
            printf("%-28s %12lld\n", table, (long long)in);
    }
    printf("\nNothing was changed.\n");
    return RC_OK;
}

/* --- unpacking */

static struct rc open_out(struct ctx *ctx, struct restore *r, const char *path)
{
    r->fd_path = arena_strdup(&r->cli->ctx->arena, path);
    unlink(path); /* of a restore that was not brought to its end */
    r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return r->fd >= 0 ? RC_OK : ctx_fail_errno(ctx, "%s cannot be written", path);
}

static struct rc unpack_section(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail)
{
    struct restore *r = arg;
    r->now = NOTHING;
    if (str_equal(kind, "signer") || str_equal(kind, "key")) {
        if (r->keep_signer)
            return RC_OK;
        r->now = SIGNER;
        const char *below = str_equal(kind, "key") ? "signer.restore/keys/" : "signer.restore/";
        return open_out(ctx, r, arena_printf(&ctx->arena, "%s/%s%s", r->hub.state, below, name));
    }
    if (str_equal(kind, STORE_COPY_FILE)) {
        r->now = DATABASE;
        return open_out(ctx, r, arena_printf(&ctx->arena, "%s/hub/restore.db", r->hub.state));
    }
    if (str_equal(kind, STORE_COPY_TABLE)) {
        r->now = DATABASE;
        return r->loader ? store_load_table(ctx, r->loader, name, detail)
                         : ctx_fail(ctx, E_PARSE, "a table in a backup of another kind of database");
    }
    if (str_equal(kind, STORE_COPY_SEQUENCE) && r->loader) {
        r->now = SEQUENCE;
        snprintf(r->sequence, sizeof r->sequence, "%s", name);
        return RC_OK;
    }
    return str_equal(kind, "configuration") ? RC_OK : ctx_fail(ctx, E_UNSUPPORTED, "the backup has a part of the kind %s", kind);
}

static struct rc unpack_data(struct ctx *ctx, void *arg, struct bytes data)
{
    struct restore *r = arg;
    if (r->now == NOTHING)
        return RC_OK;
    FAILPOINT("restore.unpacking");
    if (r->now == SEQUENCE)
        return store_load_sequence(ctx, r->loader, r->sequence, data);
    return r->fd >= 0 ? file_write_all(ctx, r->fd, r->fd_path, data) : store_load_row(ctx, r->loader, data);
}

static struct rc unpack_end(struct ctx *ctx, void *arg, int64_t count)
{
    struct restore *r = arg;
    (void)count;
    if (r->now == DATABASE && r->fd < 0)
        return store_load_table_end(ctx, r->loader);
    if (r->fd < 0)
        return RC_OK;
    const bool bad = fsync(r->fd);
    fd_close(&r->fd);
    return bad ? ctx_fail_errno(ctx, "%s", r->fd_path) : RC_OK;
}

static struct rc unpack(struct ctx *ctx, struct restore *r)
{
    const struct backup_visitor v = {.arg = r, .section = unpack_section, .data = unpack_data, .end = unpack_end};
    return backup_read(ctx, r->reader, &v, NULL);
}

/* All of it is one transaction: until its end, the tables are as they were made. */
static struct rc load(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct restore *r = arg;
    TRY(store_load_begin(ctx, txn, &r->loader));
    TRY(unpack(ctx, r));
    return store_load_end(ctx, r->loader);
}

static struct rc load_postgres(struct ctx *ctx, struct restore *r)
{
    struct store_config db = database_of(ctx, r, "");
    struct store *store = NULL;
    db.migrations = -1;
    TRY(store_open(ctx, &db, &store));
    struct rc rc = store_drop_all(ctx, store);
    store_close(store);
    TRY(rc);
    FAILPOINT("restore.dropped");
    db.migrations = fact(r, "migrations");
    TRY(store_open(ctx, &db, &store));
    rc = store_write(ctx, store, load, r);
    store_close(store);
    return rc;
}

static struct rc names_remove(struct ctx *ctx, const char *dir)
{
    int fd FD_CLEANUP = -1;
    struct str_list names = {0};
    TRY(file_mkdirs(ctx, dir, 0700));
    TRY(file_open_dir(ctx, dir, &fd));
    TRY(file_list(ctx, fd, &names));
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        if (!fstatat(fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) && !S_ISDIR(st.st_mode))
            TRY(file_remove(ctx, fd, names.v[i]));
    }
    return RC_OK;
}

/* The database comes to this program's tables, and to a new epoch. */
static struct rc database_ready(struct ctx *ctx, struct restore *r, struct signer_restored *to_signer)
{
    const struct store_config db = database_of(ctx, r, "restore.db");
    const char *unknown = cli_opt(r->cli, "unknown");
    struct store *store = NULL;
    const struct restore_facts facts = {.backup_id = r->head.id,
                                        .made_at = r->head.made_at,
                                        .epoch = fact(r, "epoch"),
                                        .unknown = unknown ? unknown : "keep",
                                        .signer_kept = r->keep_signer};
    TRY(store_open(ctx, &db, &store));
    struct rc rc = restore_mark(ctx, store, &facts);
    if (rc_ok(rc))
        rc = restore_audit_head(ctx, store, &to_signer->audit_size, to_signer->audit_root);
    store_close(store);
    return rc;
}

static struct rc signer_ready(struct ctx *ctx, struct restore *r, struct signer_restored *to_signer)
{
    const struct signer_config config = {
        .dir = in_state(ctx, r, r->keep_signer ? "signer" : "signer.restore"), .clock = ctx->clock, .sandbox = ""};
    const int64_t since = ctx_now_s(ctx) - r->head.made_at;
    SECRET_CLEANUP struct secret kek = {0};
    TRY(secret_from(ctx, &kek, secret_use(&r->kek)));
    to_signer->crl_gap = r->keep_signer ? 0 : CRL_GAP + (since > 0 ? since : 0);
    return signer_restored(ctx, &config, &kek, to_signer);
}

/* --- taking their places */

/* The folder of a role is that role's: what is given to it must not be a name for something else. */
static struct rc own_file(struct ctx *ctx, const char *path, uid_t uid, gid_t gid)
{
    struct stat st;
    if (geteuid() != 0)
        return RC_OK;
    int fd FD_CLEANUP = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return RC_OK;
    if (fd < 0 || fstat(fd, &st))
        return ctx_fail_errno(ctx, "%s", path);
    if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
        return ctx_fail(ctx, E_CONFLICT, "%s is not a file of its own", path);
    return fchown(fd, uid, gid) ? ctx_fail_errno(ctx, "%s", path) : RC_OK;
}

static struct rc own_folder(struct ctx *ctx, const char *path, uid_t uid, gid_t gid)
{
    int fd FD_CLEANUP = -1;
    struct str_list names = {0};
    TRY(file_open_dir(ctx, path, &fd));
    TRY(file_list(ctx, fd, &names));
    TRY(own_file(ctx, path, uid, gid));
    for (size_t i = 0; i < names.n; i++)
        TRY(own_file(ctx, arena_printf(&ctx->arena, "%s/%s", path, names.v[i]), uid, gid));
    return RC_OK;
}

static struct rc move(struct ctx *ctx, const char *from, const char *to)
{
    return rename(from, to) && errno != ENOENT ? ctx_fail_errno(ctx, "%s cannot become %s", from, to) : RC_OK;
}

/* What is replaced stays beside, until somebody deletes it. */
static struct rc aside(struct ctx *ctx, const struct restore *r, const char *path)
{
    return move(ctx, path, arena_printf(&ctx->arena, "%s.replaced-%s", path, r->id));
}

static struct rc signer_place(struct ctx *ctx, struct restore *r)
{
    uid_t uid;
    gid_t gid;
    const char *fresh = in_state(ctx, r, "signer.restore"), *to = in_state(ctx, r, "signer");
    TRY(server_owner(ctx, &r->hub, "signer", &uid, &gid));
    if (r->keep_signer)
        return own_file(ctx, in_state(ctx, r, "signer/journal"), uid, gid);
    TRY(own_folder(ctx, arena_printf(&ctx->arena, "%s/keys", fresh), uid, gid));
    TRY(own_folder(ctx, arena_printf(&ctx->arena, "%s/crl", fresh), uid, gid));
    TRY(own_folder(ctx, fresh, uid, gid));
    TRY(aside(ctx, r, to));
    return move(ctx, fresh, to);
}

static struct rc database_place(struct ctx *ctx, struct restore *r)
{
    uid_t uid;
    gid_t gid;
    const char *fresh = in_state(ctx, r, "hub/restore.db"), *to = in_state(ctx, r, "hub/certwright.db");
    TRY(server_owner(ctx, &r->hub, "hub", &uid, &gid));
    TRY(own_file(ctx, in_state(ctx, r, "hub"), uid, gid));
    if (r->hub.database)
        return RC_OK;
    TRY(own_file(ctx, fresh, uid, gid));
    static const char *const parts[] = {"", "-wal", "-shm"}; /* the log of the old one must not be taken for the new one's */
    for (size_t i = 0; i < 3; i++) {
        unlink(arena_printf(&ctx->arena, "%s%s", fresh, i ? parts[i] : "-journal"));
        TRY(aside(ctx, r, arena_printf(&ctx->arena, "%s%s", to, parts[i])));
    }
    return move(ctx, fresh, to);
}

/* A file of the configuration: another one that is there stays beside it. */
static struct rc config_file(struct ctx *ctx, const struct restore *r, const char *path, struct bytes text, mode_t mode)
{
    struct bytes here;
    const char *slash = strrchr(path, '/');
    if (slash && slash > path)
        TRY(file_mkdirs(ctx, arena_printf(&ctx->arena, "%.*s", (int)(slash - path), path), 0755));
    if (!access(path, F_OK)) {
        TRY(file_read(ctx, path, SEALED_MAX, &here));
        const bool same = bytes_equal_secret(here, text);
        wipe((uint8_t *)(uintptr_t)here.p, here.n);
        if (same)
            return RC_OK;
        TRY(aside(ctx, r, path));
    }
    return file_write_atomic_path(ctx, path, text, (uid_t)-1, (gid_t)-1, mode);
}

static struct rc config_place(struct ctx *ctx, struct restore *r)
{
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {{"hub.yaml", 0600}, {"agent.yaml", 0600}, {"kek.recovery", 0600}, {RECOVERY_PUBLIC, 0600}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct bytes text;
        const bool yaml = i < 2;
        TRY(saved(ctx, r, files[i].name, &text));
        /* The agent's file may be elsewhere: hub.yaml says where. */
        const char *path = i == 1 && r->hub.agent ? r->hub.agent : in_config(ctx, r, files[i].name);
        if (text.n && !(yaml && r->keep_config))
            TRY(config_file(ctx, r, path, text, files[i].mode));
    }
    return config_file(ctx, r, r->hub.kek ? r->hub.kek : in_config(ctx, r, "kek"), secret_use(&r->kek), 0600);
}

/* --- all of it */

static struct rc kek_find(struct ctx *ctx, struct restore *r)
{
    struct bytes wrapped;
    TRY(saved(ctx, r, "kek.recovery", &wrapped));
    if (!wrapped.n)
        return ctx_fail(ctx, E_NOT_FOUND,
                        "the backup holds no kek.recovery: it was not beside hub.yaml.  Put the key-encryption key into %s by hand",
                        in_config(ctx, r, "kek"));
    return recovery_unwrap(ctx, wrapped, &r->recovery, &r->kek);
}

static struct rc restore(struct ctx *ctx, struct restore *r)
{
    struct signer_restored to_signer = {0};
    const char *mark = in_state(ctx, r, RESTORE_MARK);
    TRY(kek_find(ctx, r));
    TRY(nobody_runs(ctx, r));
    TRY(may_replace(ctx, r));
    TRY(file_mkdirs(ctx, r->hub.state, 0711));
    TRY(file_mkdirs(ctx, in_state(ctx, r, "hub"), 0700));
    TRY(file_write_atomic_path(ctx, mark, bytes_z(r->head.id), (uid_t)-1, (gid_t)-1, 0600));
    FAILPOINT("restore.marked");
    if (!r->keep_signer) {
        TRY(names_remove(ctx, in_state(ctx, r, "signer.restore")));
        TRY(names_remove(ctx, in_state(ctx, r, "signer.restore/keys")));
        TRY(names_remove(ctx, in_state(ctx, r, "signer.restore/crl")));
    }
    static const char *const left[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 3; i++)
        unlink(arena_printf(&ctx->arena, "%s/hub/restore.db%s", r->hub.state, left[i]));
    TRY(r->hub.database ? load_postgres(ctx, r) : unpack(ctx, r));
    FAILPOINT("restore.unpacked");
    TRY(database_ready(ctx, r, &to_signer));
    TRY(signer_ready(ctx, r, &to_signer));
    FAILPOINT("restore.ready");
    TRY(signer_place(ctx, r));
    FAILPOINT("restore.signer_placed");
    TRY(database_place(ctx, r));
    TRY(config_place(ctx, r));
    FAILPOINT("restore.placed");
    if (unlink(mark))
        return ctx_fail_errno(ctx, "%s", mark);
    cli_say(r->cli,
            "%s is back as it was at %s.  Start it:  certwright run hub   (docs/BACKUP.md says what is lost, and what to look at)",
            r->head.installation, time_text(ctx, r->head.made_at));
    return RC_OK;
}

static struct rc begin(struct ctx *ctx, struct restore *r)
{
    const char *unknown = cli_opt(r->cli, "unknown"), *dir = cli_opt(r->cli, "config-dir");
    TRY(cli_one_arg(r->cli, &r->path));
    r->id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    r->dir = dir ? dir : "/etc/certwright";
    r->keep_config = cli_has(r->cli, "keep-config");
    r->keep_signer = cli_has(r->cli, "keep-signer");
    if (!r->path)
        return ctx_fail(ctx, E_USAGE, "which file?  certwright restore FILE");
    if (r->dir[0] != '/')
        return ctx_fail(ctx, E_USAGE, "--config-dir is an absolute path");
    if (unknown && !str_equal(unknown, "keep") && !str_equal(unknown, "revoke"))
        return ctx_fail(ctx, E_USAGE, "--unknown is keep or revoke");
    return prove(ctx, r);
}

static void end(struct restore *r)
{
    backup_reader_free(r->reader);
    json_decref(r->manifest);
    secret_free(&r->configuration);
    secret_free(&r->kek);
    secret_free(&r->recovery);
    buf_free(&r->sealed);
    fd_close(&r->fd);
}

RC server_restore(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    struct restore r = {.cli = cli, .fd = -1};
    ctx->deadline_ms = clock_mono_ms() + LONGEST_MS;
#ifdef CERTWRIGHT_FAILPOINTS
    failpoint_set(getenv("CERTWRIGHT_FAILPOINT"));
#endif
    buf_init(&r.sealed, SEALED_MAX);
    struct rc rc = begin(ctx, &r);
    if (rc_ok(rc))
        rc = config_read(ctx, &r);
    if (rc_ok(rc))
        rc = engine_check(ctx, &r);
    if (rc_ok(rc))
        rc = cli_has(cli, "preview") ? preview(ctx, &r) : restore(ctx, &r);
    end(&r);
    return rc;
}

RC server_verify_backup(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    struct restore r = {.cli = cli, .fd = -1};
    ctx->deadline_ms = clock_mono_ms() + LONGEST_MS;
    buf_init(&r.sealed, SEALED_MAX);
    TRY(cli_one_arg(cli, &r.path));
    struct rc rc = r.path ? prove(ctx, &r) : ctx_fail(ctx, E_USAGE, "which file?  certwright verify-backup FILE");
    if (rc_ok(rc) && cli->output != CLI_TABLE)
        rc = preview(ctx, &r);
    else if (rc_ok(rc))
        printf("%s is whole: installation %s, made at %s, %zu parts; every hash fits.\n", r.path, r.head.installation,
               time_text(ctx, r.head.made_at), json_array_size(json_object_get(r.manifest, "sections")));
    end(&r);
    return rc;
}
