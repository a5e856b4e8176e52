#include "agent/lineage.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply/disk.h"

#define LOG_MAX      ((size_t)4 << 20) /* certbot's: the log of one run */
#define SCHEDULE_MAX 500               /* files of one folder */

const char *lineage_client_name(enum lineage_client client)
{
    static const char *const names[] = {"certbot", "acme.sh", "lego", "dehydrated", "caddy", "uacme"};
    return names[client];
}

/* A path in its pieces: "/a/b/c/file" is dir "/a/b/c", folder "c", up "/a/b". */
struct place {
    const char *path, *dir, *file, *folder, *up;
};

static bool split(struct ctx *ctx, const char *path, struct place *out)
{
    const char *file = strrchr(path, '/'), *folder;
    if (file == NULL || file == path)
        return false;
    out->path = path;
    out->file = file + 1;
    out->dir = arena_printf(&ctx->arena, "%.*s", (int)(file - path), path);
    folder = strrchr(out->dir, '/');
    out->folder = folder + 1;
    out->up = arena_printf(&ctx->arena, "%.*s", (int)(folder - out->dir), out->dir);
    return true;
}

static bool there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool folder_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends(const char *text, const char *end)
{
    return bytes_ends_with(bytes_z(text), bytes_z(end));
}

static const char *parent(struct ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? arena_printf(&ctx->arena, "%.*s", (int)(slash - path), path) : "";
}

static const char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static const char *certbot_conf(struct ctx *ctx, const struct place *p)
{
    return arena_printf(&ctx->arena, "%s/renewal/%s.conf", parent(ctx, p->up), p->folder);
}

static enum lineage_part look_certbot(struct ctx *ctx, const struct place *p)
{
    const char *of = folder_of(p->up);
    if ((strcmp(of, "live") != 0 && strcmp(of, "archive") != 0) ||
        !folder_there(arena_printf(&ctx->arena, "%s/renewal", parent(ctx, p->up))))
        return LINEAGE_NO;
    return *of == 'l' && strcmp(p->file, "fullchain.pem") == 0 ? LINEAGE_IS : LINEAGE_BESIDE;
}

/* The domain that a folder of acme.sh is named after: "www.example.org_ecc" holds an EC key. */
static const char *acme_sh_name(struct ctx *ctx, const struct place *p)
{
    const size_t n = strlen(p->folder);
    return arena_printf(&ctx->arena, "%.*s", (int)(ends(p->folder, "_ecc") ? n - 4 : n), p->folder);
}

static const char *acme_sh_conf(struct ctx *ctx, const struct place *p)
{
    return arena_printf(&ctx->arena, "%s/%s.conf", p->dir, acme_sh_name(ctx, p));
}

static enum lineage_part look_acme_sh(struct ctx *ctx, const struct place *p)
{
    if (!ends(p->file, ".cer") || !there(acme_sh_conf(ctx, p)))
        return LINEAGE_NO;
    return strcmp(p->file, "fullchain.cer") == 0 ? LINEAGE_IS : LINEAGE_BESIDE;
}

static const char *json_beside(struct ctx *ctx, const struct place *p, const char *end)
{
    return arena_printf(&ctx->arena, "%s/%.*s.json", p->dir, (int)(strlen(p->file) - strlen(end)), p->file);
}

/* Both keep NAME.json beside NAME.crt: Caddy in a folder NAME below one of the CA, lego in one folder for all. */
static enum lineage_part look_json(struct ctx *ctx, const struct place *p, bool caddy)
{
    static const char *const suffixes[] = {".issuer.crt", ".crt", ".pem"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (!ends(p->file, suffixes[i]) || !there(json_beside(ctx, p, suffixes[i])))
            continue;
        const size_t n = strlen(p->file) - strlen(suffixes[i]);
        const bool own = strncmp(p->file, p->folder, n) == 0 && p->folder[n] == '\0' &&
                         strcmp(folder_of(parent(ctx, p->up)), "certificates") == 0;
        if (own != caddy || (!caddy && strcmp(p->folder, "certificates") != 0))
            return LINEAGE_NO;
        return strcmp(suffixes[i], ".crt") == 0 ? LINEAGE_IS : LINEAGE_BESIDE;
    }
    return LINEAGE_NO;
}

static enum lineage_part look_lego(struct ctx *ctx, const struct place *p) { return look_json(ctx, p, false); }
static enum lineage_part look_caddy(struct ctx *ctx, const struct place *p) { return look_json(ctx, p, true); }

/* "fullchain-1700000000.pem": what the link fullchain.pem leads to. */
static bool dated(const char *file, const char *stem)
{
    const size_t n = strlen(stem);
    size_t i = n + 1;
    if (strncmp(file, stem, n) != 0 || file[n] != '-' || !isdigit((unsigned char)file[i]))
        return false;
    while (isdigit((unsigned char)file[i]))
        i++;
    return strcmp(file + i, ".pem") == 0;
}

static enum lineage_part look_dehydrated(struct ctx *ctx, const struct place *p)
{
    static const char *const stems[] = {"fullchain", "cert", "chain"};
    char to[256];
    ssize_t n = readlink(arena_printf(&ctx->arena, "%s/fullchain.pem", p->dir), to, sizeof to - 1);
    if (n <= 0)
        return LINEAGE_NO;
    to[n] = '\0';
    if (!dated(to, "fullchain"))
        return LINEAGE_NO;
    if (strcmp(p->file, "fullchain.pem") == 0)
        return LINEAGE_IS;
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++)
        if (dated(p->file, stems[i]) || (strncmp(p->file, stems[i], strlen(stems[i])) == 0 &&
                                         strcmp(p->file + strlen(stems[i]), ".pem") == 0))
            return LINEAGE_BESIDE;
    return LINEAGE_NO;
}

static enum lineage_part look_uacme(struct ctx *ctx, const struct place *p)
{
    return strcmp(p->file, "cert.pem") == 0 && there(arena_printf(&ctx->arena, "%s/private/%s/key.pem", p->up, p->folder))
               ? LINEAGE_IS
               : LINEAGE_NO;
}

/* --- reading */

/* An unreadable file of theirs is a thing to be told, not a failure of ours. */
static struct bytes text_at(struct ctx *ctx, const char *path, size_t max, bool need, struct lineage *out)
{
    struct bytes text = {0};
    struct rc rc = disk_read(ctx, path, max, &text, NULL);
    if (rc_ok(rc))
        return text;
    if (need)
        out->error = rc.e == E_NOT_FOUND ? arena_printf(&ctx->arena, "%s is not there: nothing renews it", path)
                                         : arena_printf(&ctx->arena, "%.*s", LINEAGE_TEXT_MAX, ctx_why(ctx));
    ctx_forget(ctx);
    return (struct bytes){0};
}

static int64_t changed_at(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mtime : 0;
}

struct life {
    int64_t not_before, not_after;
};

static void read_certbot(struct ctx *ctx, const struct place *p, struct life life, struct lineage *out)
{
    static const char log[] = "/var/log/letsencrypt/letsencrypt.log"; /* where another is used, its path is in no file */
    out->settings = certbot_conf(ctx, p);
    const struct bytes text = text_at(ctx, out->settings, LINEAGE_FILE_MAX, true, out);
    if (text.n == 0) {
        out->off = *out->error == '\0' || strstr(out->error, "not there") != NULL;
        return;
    }
    lineage_text_certbot(ctx, text, life.not_before, life.not_after, out);
    if (strcmp(parent(ctx, p->up), "/etc/letsencrypt") != 0)
        return;
    lineage_text_certbot_log(ctx, text_at(ctx, log, LOG_MAX, false, out), out);
    if (*out->error != '\0')
        out->error_at = changed_at(log);
}

static void read_acme_sh(struct ctx *ctx, const struct place *p, struct life life, struct lineage *out)
{
    (void)life;
    out->settings = acme_sh_conf(ctx, p);
    out->name = acme_sh_name(ctx, p);
    lineage_text_acme_sh(ctx, text_at(ctx, out->settings, LINEAGE_FILE_MAX, true, out), out);
}

static void read_json(struct ctx *ctx, const struct place *p, struct life life, struct lineage *out)
{
    out->settings = json_beside(ctx, p, ".crt");
    out->name = arena_printf(&ctx->arena, "%.*s", (int)(strlen(p->file) - 4), p->file);
    const struct bytes text = text_at(ctx, out->settings, LINEAGE_FILE_MAX, true, out);
    if (*out->error == '\0')
        lineage_text_json(ctx, text, life.not_before, life.not_after, out);
}

static void read_dehydrated(struct ctx *ctx, const struct place *p, struct life life, struct lineage *out)
{
    const char *own = arena_printf(&ctx->arena, "%s/config", p->dir);
    const char *paths[] = {arena_printf(&ctx->arena, "%s/config", parent(ctx, p->up)), "/etc/dehydrated/config"};
    struct bytes text = {0};
    for (size_t i = 0; i < sizeof paths / sizeof *paths && *out->settings == '\0'; i++)
        if (there(paths[i])) {
            out->settings = paths[i];
            text = text_at(ctx, paths[i], LINEAGE_FILE_MAX, true, out);
        }
    lineage_text_dehydrated(ctx, text, life.not_after, out);
    if (!there(own))
        return;
    struct lineage mine = *out; /* what stands for this certificate alone goes before what stands for all */
    const struct bytes more = text_at(ctx, own, LINEAGE_FILE_MAX, true, &mine);
    lineage_text_dehydrated(ctx, more, life.not_after, &mine);
    if (bytes_find(more, BYTES_LIT("RENEW_DAYS")) < more.n)
        out->renew_at = mine.renew_at;
    out->ca = mine.ca;
    out->settings = own;
}

static void read_uacme(struct ctx *ctx, const struct place *p, struct life life, struct lineage *out)
{
    (void)ctx;
    (void)p;
    out->renew_at = life.not_after - 30 * 86400; /* unless its command line says otherwise; it keeps no file of that */
}

static const struct {
    enum lineage_part (*look)(struct ctx *, const struct place *);
    void (*read)(struct ctx *, const struct place *, struct life, struct lineage *);
} clients[] = {
    [LINEAGE_CERTBOT] = {look_certbot, read_certbot}, [LINEAGE_ACME_SH] = {look_acme_sh, read_acme_sh},
    [LINEAGE_LEGO] = {look_lego, read_json},          [LINEAGE_DEHYDRATED] = {look_dehydrated, read_dehydrated},
    [LINEAGE_CADDY] = {look_caddy, read_json},        [LINEAGE_UACME] = {look_uacme, read_uacme},
};

enum lineage_part lineage_look(struct ctx *ctx, const char *path, enum lineage_client *client)
{
    struct place p;
    if (!split(ctx, path, &p))
        return LINEAGE_NO;
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
        const enum lineage_part part = clients[i].look(ctx, &p);
        *client = (enum lineage_client)i;
        if (part != LINEAGE_NO)
            return part;
    }
    return LINEAGE_NO;
}

RC lineage_read(struct ctx *ctx, const char *path, enum lineage_client client, int64_t not_before, int64_t not_after,
                struct lineage *out)
{
    struct place p;
    if (!split(ctx, path, &p))
        return ctx_fail(ctx, E_BUG, "%s is no path of a file", path);
    *out = (struct lineage){.client = client, .name = p.folder, .settings = "", .ca = "", .error = ""};
    clients[client].read(ctx, &p, (struct life){not_before, not_after}, out);
    return RC_OK;
}

/* --- what runs them */

/* Links in the first make a timer or a service be started; the others are crontabs, or folders of them. */
static const char *const schedule_paths[] = {
    "/etc/systemd/system/timers.target.wants", "/etc/systemd/system/multi-user.target.wants",
    "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.weekly", "/etc/crontab",
    "/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs", NULL,
};

const char *const *lineage_schedule_paths(void) { return schedule_paths; }

/* A word of its own: "lego" is in "/usr/bin/lego --days", and not in "legolas". */
static bool names(struct bytes line, const char *word)
{
    const size_t n = strlen(word);
    for (size_t at; (at = bytes_find(line, bytes_z(word))) < line.n; bytes_skip(&line, at + n))
        if ((at == 0 || !isalnum(line.p[at - 1])) && (at + n == line.n || !isalnum(line.p[at + n])))
            return true;
    return false;
}

static void look_at_crontab(struct ctx *ctx, const char *shown, const char *path, struct lineage_schedules *out)
{
    struct bytes text, line;
    const bool is_script = strstr(shown, "ly/") != NULL; /* /etc/cron.daily/… */
    if (rc_failed(disk_read(ctx, path, LINEAGE_FILE_MAX, &text, NULL))) {
        ctx_forget(ctx);
        return;
    }
    while (text.n > 0) {
        if (!bytes_take_line(&text, &line)) {
            line = text;
            text = (struct bytes){0};
        }
        line = bytes_trim(line);
        for (size_t i = 0; i < LINEAGE_CLIENTS && line.n > 0 && *line.p != '#'; i++) {
            if (!names(line, lineage_client_name((enum lineage_client)i)))
                continue;
            if (*out->by[i] == '\0')
                out->by[i] = shown;
            if (!is_script && !str_list_has(&out->crontabs[i], shown))
                str_list_add(&ctx->arena, &out->crontabs[i], shown);
        }
    }
}

static void look_at_wanted(const char *shown, const char *file, struct lineage_schedules *out)
{
    for (size_t i = 0; i < LINEAGE_CLIENTS; i++)
        if (*out->by[i] == '\0' && names(bytes_z(file), lineage_client_name((enum lineage_client)i)))
            out->by[i] = shown;
}

static void close_dir(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

static void look_into(struct ctx *ctx, const char *root, const char *folder, struct lineage_schedules *out)
{
    __attribute__((cleanup(close_dir))) DIR *d = opendir(arena_printf(&ctx->arena, "%s%s", root, folder));
    const struct dirent *e;
    int n = 0;
    while (d != NULL && n < SCHEDULE_MAX && (e = readdir(d)) != NULL) {
        if (*e->d_name == '.')
            continue;
        n++;
        const char *shown = arena_printf(&ctx->arena, "%s/%s", folder, e->d_name);
        if (ends(folder, ".wants"))
            look_at_wanted(shown, e->d_name, out);
        else
            look_at_crontab(ctx, shown, arena_printf(&ctx->arena, "%s%s", root, shown), out);
    }
}

void lineage_schedules(struct ctx *ctx, const char *root, struct lineage_schedules *out)
{
    *out = (struct lineage_schedules){0};
    for (size_t i = 0; i < LINEAGE_CLIENTS; i++)
        out->by[i] = "";
    for (size_t i = 0; schedule_paths[i] != NULL; i++) {
        const char *path = arena_printf(&ctx->arena, "%s%s", root, schedule_paths[i]);
        if (folder_there(path))
            look_into(ctx, root, schedule_paths[i], out);
        else if (there(path))
            look_at_crontab(ctx, schedule_paths[i], path, out);
    }
}
