#include "agent/apply/adopt_look.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "base/encode.h"
#include "pki/cert.h"
#include "pki/digest.h"

#define SEEN_MAX           ((size_t)16 << 20)
#define CHAIN_MAX          32
#define SCHEDULE_LINES_MAX 5

static bool granted(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct adopt_plan *l)
{
    if (agent_config_path_allowed(cfg, path))
        return true;
    if (!str_list_has(&l->missing, path))
        str_list_add(&ctx->arena, &l->missing, path);
    return false;
}

const char *adopt_folder(struct ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path))) : "";
}

/* The file where its links lead; its path is granted at both ends, and it is a regular one. */
static RC add_file(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l, const char *content, const char *path)
{
    struct adopt_file *f = &l->files[l->n_files];
    struct stat st;
    const char *real;
    struct rc rc = disk_resolve(ctx, path, &real);
    if (rc.e == E_NOT_FOUND || (rc_ok(rc) && lstat(real, &st) != 0 && errno == ENOENT)) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    const bool may = granted(ctx, cfg, path, l);
    if (!granted(ctx, cfg, real, l) || !may)
        return RC_OK; /* told of all at once */
    for (size_t i = 0; i < l->n_files; i++)
        if (strcmp(l->files[i].real, real) == 0)
            return RC_OK;
    *f = (struct adopt_file){.content = content, .path = path, .real = real};
    TRY(disk_read(ctx, real, DISK_FILE_MAX, &f->data, &st));
    f->attr = (struct disk_attr){st.st_uid, st.st_gid, st.st_mode & 07777};
    l->n_files++;
    return RC_OK;
}

struct named {
    const char *content, *name;
};

/* Files beside each other; `stem` is what comes before a name that begins with a dot. */
static RC add_beside(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l, const char *dir, const char *stem,
                     const struct named *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(add_file(ctx, cfg, l, names[i].content,
                     arena_printf(&ctx->arena, "%s/%s%s", dir, *names[i].name == '.' ? stem : "", names[i].name)));
    return RC_OK;
}
#define BESIDE(names) names, sizeof names / sizeof *names

/* acme.sh copies what it has to where a service reads it, if it was told where: then those are the files. */
static RC acme_sh_files(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l, const char *dir, struct bytes conf)
{
    static const struct named copies[] = {{"key", "Le_RealKeyPath"},
                                          {"leaf", "Le_RealCertPath"},
                                          {"chain", "Le_RealCACertPath"},
                                          {"fullchain", "Le_RealFullChainPath"}};
    static const struct named own[] = {{"key", ".key"}, {"leaf", ".cer"}, {"chain", "ca.cer"}, {"fullchain", "fullchain.cer"}};
    const char *path, *slash = strrchr(dir, '/') + 1;
    const size_t stem = strlen(slash) - (bytes_ends_with(bytes_z(slash), BYTES_LIT("_ecc")) ? 4 : 0);
    bool copied = false;
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
        if (adopt_setting(ctx, conf, copies[i].name, &path) && *path == '/') {
            TRY(add_file(ctx, cfg, l, copies[i].content, path));
            copied = true;
        }
    return copied ? RC_OK : add_beside(ctx, cfg, l, dir, arena_str(&ctx->arena, bytes_of(slash, stem)), BESIDE(own));
}

static RC lineage_files(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l, const char *path, struct bytes conf)
{
    static const struct named pems[] = {
        {"key", "privkey.pem"}, {"leaf", "cert.pem"}, {"chain", "chain.pem"}, {"fullchain", "fullchain.pem"}};
    static const struct named lego[] = {{"key", ".key"}, {"fullchain", ".crt"}, {"chain", ".issuer.crt"}, {"combined", ".pem"}};
    static const struct named caddy[] = {{"key", ".key"}, {"fullchain", ".crt"}};
    const char *dir = adopt_folder(ctx, path), *file = path + strlen(dir) + 1;
    const char *stem = arena_str(&ctx->arena, bytes_of(file, strlen(file) - (strlen(file) > 4 ? 4 : 0))); /* "NAME.crt" */
    switch (l->is.client) {
    case LINEAGE_CERTBOT:
    case LINEAGE_DEHYDRATED:
        return add_beside(ctx, cfg, l, dir, "", BESIDE(pems));
    case LINEAGE_ACME_SH:
        return acme_sh_files(ctx, cfg, l, dir, conf);
    case LINEAGE_LEGO:
        return add_beside(ctx, cfg, l, dir, stem, BESIDE(lego));
    case LINEAGE_CADDY:
        return add_beside(ctx, cfg, l, dir, stem, BESIDE(caddy));
    case LINEAGE_UACME:
        TRY(add_file(ctx, cfg, l, "key",
                     arena_printf(&ctx->arena, "%s/private/%s/key.pem", adopt_folder(ctx, dir), strrchr(dir, '/') + 1)));
        return add_file(ctx, cfg, l, "fullchain", path);
    case LINEAGE_CLIENTS:
        break;
    }
    return ctx_fail(ctx, E_BUG, "%s is of no client", path);
}

/* --- the other client's renewal */

/* Where dehydrated has its list: as its configuration says, beside it, or where Debian has it. */
static const char *domains_txt(struct ctx *ctx, const char *path)
{
    const char *base = adopt_folder(ctx, adopt_folder(ctx, adopt_folder(ctx, path))), *said = NULL;
    const char *confs[] = {arena_printf(&ctx->arena, "%s/config", base), "/etc/dehydrated/config"};
    struct stat st;
    for (size_t i = 0; i < sizeof confs / sizeof *confs; i++) {
        struct bytes text;
        if (rc_failed(disk_read(ctx, confs[i], LINEAGE_FILE_MAX, &text, NULL))) {
            ctx_forget(ctx);
            continue;
        }
        if (adopt_setting(ctx, text, "DOMAINS_TXT", &said)) {
            static const char *const variables[] = {"${BASEDIR}", "$BASEDIR"};
            for (size_t k = 0; k < sizeof variables / sizeof *variables; k++)
                if (strncmp(said, variables[k], strlen(variables[k])) == 0)
                    said = arena_printf(&ctx->arena, "%s%s", base, said + strlen(variables[k]));
            if (*said == '/')
                return said;
        }
        const char *beside = arena_printf(&ctx->arena, "%s/domains.txt", adopt_folder(ctx, confs[i]));
        if (stat(beside, &st) == 0)
            return beside;
    }
    return arena_printf(&ctx->arena, "%s/domains.txt", base);
}

static RC plan_edits(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l, const char *file)
{
    struct bytes text;
    const char *real, *why = "";
    struct rc rc = disk_resolve(ctx, file, &real);
    if (rc_ok(rc))
        rc = disk_read(ctx, real, LINEAGE_FILE_MAX, &text, NULL);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        str_list_add(&ctx->arena, &l->notes, arena_printf(&ctx->arena, "%s is not there: nothing renews it", file));
        return RC_OK;
    }
    TRY(rc);
    TRY(adopt_edit_plan(ctx, l->is.client, l->is.name, real, text, l->edits, &l->n_edits, &why));
    if (*why != '\0')
        str_list_add(&ctx->arena, &l->notes, why);
    if (l->n_edits > 0 && (!granted(ctx, cfg, real, l) || !granted(ctx, cfg, file, l)))
        l->n_edits = 0;
    return RC_OK;
}

/* Commands are of others, and hold what they like: passwords, tokens.  What is sent to the hub is what cannot be one. */
static bool is_harmless(struct bytes command)
{
    static const char *const words[] = {"pass", "token", "secret", "hmac", "auth", "cred"};
    size_t run = 0;
    for (size_t i = 0; i < command.n; i++) {
        const uint8_t c = command.p[i];
        if (!isalnum(c) && memchr(" \t./_-*,;&|><[]", c, 15) == NULL)
            return false;
        run = isalnum(c) ? run + 1 : 0;
        if (run > 20)
            return false;
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (command.n - i >= strlen(words[k]) &&
                bytes_equal_nocase(bytes_of(command.p + i, strlen(words[k])), bytes_z(words[k])))
                return false;
    }
    return true;
}

static const char *shown(struct ctx *ctx, struct bytes command, const char *file)
{
    size_t n = 0;
    if (is_harmless(command))
        return str_z(&ctx->arena, command);
    while (n < command.n && command.p[n] != ' ' && command.p[n] != '\t')
        n++;
    return arena_printf(&ctx->arena, "%.*s ... (the rest, which may hold secrets, is in %s)",
                        is_harmless(bytes_of(command.p, n)) ? (int)n : 0, (const char *)command.p, file);
}

static bool names_word(struct bytes line, const char *word)
{
    return bytes_find(line, bytes_z(word)) < line.n && *bytes_trim(line).p != '#';
}

/* What has to be taken away by hand, in words: the lines of a crontab that start the client, or its timer. */
static void by_hand(struct ctx *ctx, struct adopt_plan *l)
{
    struct lineage_schedules by;
    const char *client = lineage_client_name(l->is.client), *at;
    struct bytes text, line;
    size_t n = 0;
    if (l->is.client == LINEAGE_CADDY) {
        str_list_add(&ctx->arena, &l->by_hand,
                     arena_printf(&ctx->arena, "in the Caddyfile, where %s is served: tls %s %s; then: caddy reload", l->is.name,
                                  l->n_files > 1 ? l->files[1].path : "CERTIFICATE", l->n_files > 0 ? l->files[0].path : "KEY"));
        return;
    }
    lineage_schedules(ctx, "", &by);
    at = by.by[l->is.client];
    if (*at == '\0') {
        str_list_add(&ctx->arena, &l->by_hand,
                     arena_printf(&ctx->arena,
                                  "whatever starts %s for %s must not any more: no timer and no crontab of this host "
                                  "was found that does",
                                  client, l->is.name));
        return;
    }
    if (strstr(at, ".wants/") != NULL) {
        str_list_add(&ctx->arena, &l->by_hand,
                     arena_printf(&ctx->arena, "%s starts %s: take %s out of what it does, or: systemctl disable --now %s", at,
                                  client, l->is.name, strrchr(at, '/') + 1));
        return;
    }
    if (rc_failed(disk_read(ctx, at, LINEAGE_FILE_MAX, &text, NULL))) {
        ctx_forget(ctx);
        text = (struct bytes){0};
    }
    while (n < SCHEDULE_LINES_MAX && (bytes_take_line(&text, &line) || (line = text, text = (struct bytes){0}, line.n > 0)))
        if (line.n > 0 && line.n <= 400 && str_is_utf8(line) && names_word(line, client)) {
            str_list_add(&ctx->arena, &l->by_hand,
                         arena_printf(&ctx->arena, "remove from %s: %s", at, shown(ctx, line, at)));
            n++;
        }
    if (n == 0)
        str_list_add(&ctx->arena, &l->by_hand,
                     arena_printf(&ctx->arena, "remove what starts %s for %s from %s", client, l->is.name, at));
}

/* What the client did after a renewal, and will not do any more. */
static void note_hooks(struct ctx *ctx, struct adopt_plan *l, struct bytes conf)
{
    static const char *const keys[LINEAGE_CLIENTS][3] = {[LINEAGE_CERTBOT] = {"renew_hook", "post_hook", "pre_hook"},
                                                         [LINEAGE_ACME_SH] = {"Le_ReloadCmd", "Le_RenewHook", "Le_PostHook"}};
    const char *value;
    for (size_t i = 0; i < 3 && keys[l->is.client][i] != NULL; i++)
        if (adopt_setting(ctx, conf, keys[l->is.client][i], &value) && strlen(value) < 400 && str_is_utf8(bytes_z(value)))
            str_list_add(&ctx->arena, &l->notes,
                         arena_printf(&ctx->arena, "%s ran this, which is not run any more (%s): %s",
                                      lineage_client_name(l->is.client), keys[l->is.client][i],
                                      shown(ctx, bytes_z(value), l->is.settings)));
}

/* The lines of crontabs that start the client for this certificate, where they may be written; else they are told, and how they
 * may be. */
static RC plan_crontabs(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l)
{
    struct lineage_schedules by;
    lineage_schedules(ctx, "", &by);
    const struct str_list *files = &by.crontabs[l->is.client];
    for (size_t i = 0; i < files->n && l->n_edits == 0; i++) {
        struct bytes text;
        const char *real, *why;
        struct rc rc = disk_resolve(ctx, files->v[i], &real);
        if (rc_ok(rc))
            rc = disk_read(ctx, real, LINEAGE_FILE_MAX, &text, NULL);
        if (rc_ok(rc))
            rc = adopt_edit_plan(ctx, l->is.client, l->is.name, real, text, l->edits, &l->n_edits, &why);
        if (rc_failed(rc)) {
            ctx_forget(ctx);
            l->n_edits = 0;
        } else if (l->n_edits > 0 && (!agent_config_path_allowed(cfg, real) || !agent_config_path_allowed(cfg, files->v[i]))) {
            l->n_edits = 0;
            str_list_add(&ctx->arena, &l->notes,
                         arena_printf(&ctx->arena, "with \"%s\" among the paths of %s its line there is switched off for you", real,
                                      cfg->file));
            return RC_OK;
        }
    }
    return RC_OK;
}

static RC plan_off(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l, const char *path)
{
    switch (l->is.client) {
    case LINEAGE_CERTBOT:
    case LINEAGE_ACME_SH:
        TRY(plan_edits(ctx, cfg, l, l->is.settings));
        return l->n_edits == 0 ? adopt_earlier(ctx, cfg, l) : RC_OK;
    case LINEAGE_DEHYDRATED:
        TRY(plan_edits(ctx, cfg, l, domains_txt(ctx, path)));
        if (l->n_edits == 0)
            TRY(adopt_earlier(ctx, cfg, l));
        if (l->n_edits == 0 && l->missing.n == 0)
            by_hand(ctx, l);
        return RC_OK;
    case LINEAGE_LEGO:
    case LINEAGE_UACME:
        TRY(plan_crontabs(ctx, cfg, l));
        if (l->n_edits == 0)
            TRY(adopt_earlier(ctx, cfg, l));
        if (l->n_edits == 0)
            by_hand(ctx, l);
        return RC_OK;
    default:
        by_hand(ctx, l);
        return RC_OK;
    }
}

/* --- looking */

/* The longest folder that all have in common, where it is more than a folder of the root's; else the first of them. */
static const char *common_folder(struct ctx *ctx, const struct str_list *paths)
{
    const char *common = adopt_folder(ctx, paths->v[0]);
    for (size_t i = 1; i < paths->n; i++)
        while (*common != '\0' && (strncmp(paths->v[i], common, strlen(common)) != 0 || paths->v[i][strlen(common)] != '/'))
            common = adopt_folder(ctx, common);
    return *common == '\0' || strchr(common + 1, '/') == NULL ? adopt_folder(ctx, paths->v[0]) : common;
}

static void put(struct buf *b, struct bytes value)
{
    buf_printf(b, "%zu:", value.n);
    buf_put(b, value);
}

/* Of everything that was seen: what is done later is done to that. */
static RC digest_of(struct ctx *ctx, struct adopt_plan *l)
{
    struct bytes hash;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, SEEN_MAX);
    for (size_t i = 0; i < l->n_files; i++) {
        const struct adopt_file *f = &l->files[i];
        put(&b, bytes_z(f->content));
        put(&b, bytes_z(f->real));
        put(&b, f->data);
        buf_printf(&b, "%d %d %o;", (int)f->attr.uid, (int)f->attr.gid, f->attr.mode);
    }
    for (size_t i = 0; i < l->n_edits; i++) {
        put(&b, bytes_z(l->edits[i].file));
        put(&b, l->edits[i].was);
        put(&b, l->edits[i].is);
    }
    TRY(buf_status(&b));
    TRY(digest_sha256_new(ctx, buf_bytes(&b), &hash));
    l->digest = hex_str(&ctx->arena, hash);
    return RC_OK;
}

RC adopt_see(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct adopt_plan *l)
{
    enum lineage_client client;
    struct cert_chain chain = {0};
    struct bytes conf = {0};
    size_t key = 0, cert = 0;
    *l = (struct adopt_plan){0};
    if (*path != '/' || strstr(path, "/../") != NULL || lineage_look(ctx, path, &client) != LINEAGE_IS)
        return ctx_fail(ctx, E_NOT_FOUND, "%s is no lineage of another ACME client (any more)", path);
    TRY(lineage_read(ctx, path, client, 0, 0, &l->is));
    if (*l->is.settings != '\0' && rc_failed(disk_read(ctx, l->is.settings, LINEAGE_FILE_MAX, &conf, NULL)))
        ctx_forget(ctx);
    TRY(lineage_files(ctx, cfg, l, path, conf));
    TRY(plan_off(ctx, cfg, l, path));
    note_hooks(ctx, l, conf);
    if (l->missing.n > 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "%s may not be written on this host: add \"%s\" to paths in %s, and restart the agent",
                        l->missing.v[0], common_folder(ctx, &l->missing), cfg->file);
    for (size_t i = 0; i < l->n_files; i++) {
        key += strcmp(l->files[i].content, "key") == 0;
        if (strcmp(l->files[i].content, "fullchain") == 0 || (strcmp(l->files[i].content, "leaf") == 0 && cert == 0)) {
            cert++;
            TRY(cert_chain_parse_pem(ctx, l->files[i].data, CHAIN_MAX, &chain));
        }
    }
    if (key == 0 || cert == 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the %s of %s is not where %s keeps it", key == 0 ? "key" : "certificate", path,
                        lineage_client_name(client));
    l->leaf = chain.v[0].der;
    return digest_of(ctx, l);
}

static const char *user_name(struct ctx *ctx, uid_t uid)
{
    char room[16384];
    struct passwd pw, *found = NULL;
    return getpwuid_r(uid, &pw, room, sizeof room, &found) == 0 && found != NULL ? arena_strdup(&ctx->arena, pw.pw_name)
                                                                                 : arena_printf(&ctx->arena, "%u", (unsigned)uid);
}

static const char *group_name(struct ctx *ctx, gid_t gid)
{
    char room[16384];
    struct group gr, *found = NULL;
    return getgrgid_r(gid, &gr, room, sizeof room, &found) == 0 && found != NULL ? arena_strdup(&ctx->arena, gr.gr_name)
                                                                                 : arena_printf(&ctx->arena, "%u", (unsigned)gid);
}

void adopt_put_texts(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_bytes_str(j, NULL, bytes_z(l->v[i]));
    json_close(j);
}

static void put_look(struct ctx *ctx, const struct adopt_plan *l, const char *path, struct json_out *j)
{
    json_put_str(j, "client", lineage_client_name(l->is.client));
    json_put_bytes_str(j, "name", bytes_of(l->is.name, strnlen(l->is.name, 253)));
    json_put_bytes_str(j, "path", bytes_z(path));
    json_put_bytes_str(j, "ca", bytes_of(l->is.ca, strnlen(l->is.ca, 512)));
    json_put_base64(j, "leaf", l->leaf);
    json_open_list(j, "files");
    for (size_t i = 0; i < l->n_files; i++) {
        const struct adopt_file *f = &l->files[i];
        json_open_obj(j, NULL);
        json_put_str(j, "content", f->content);
        json_put_bytes_str(j, "path", bytes_z(f->path));
        json_put_bytes_str(j, "file", bytes_z(f->real));
        json_put_str(j, "owner", user_name(ctx, f->attr.uid));
        json_put_str(j, "group", group_name(ctx, f->attr.gid));
        json_put_str(j, "mode", arena_printf(&ctx->arena, "%04o", f->attr.mode));
        json_close(j);
    }
    json_close(j);
    json_open_list(j, "edits");
    for (size_t i = 0; i < l->n_edits; i++) {
        json_open_obj(j, NULL);
        json_put_bytes_str(j, "file", bytes_z(l->edits[i].file));
        json_put_bytes_str(j, "was", l->edits[i].was);
        json_put_bytes_str(j, "is", l->edits[i].is);
        json_close(j);
    }
    json_close(j);
    adopt_put_texts(j, "by_hand", &l->by_hand);
    adopt_put_texts(j, "notes", &l->notes);
    json_put_str(j, "digest", l->digest);
}

RC adopt_look(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct adopt_seen *out)
{
    struct adopt_plan l;
    struct json_out j;
    struct buf b;
    TRY(adopt_see(ctx, cfg, path, &l));
    *out = (struct adopt_seen){0};
    buf_init_arena(&b, &ctx->arena, ADOPT_SEEN_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    put_look(ctx, &l, path, &j);
    json_close(&j);
    TRY(buf_status(&b));
    out->json = buf_z(&b);
    for (size_t i = 0; i < l.n_files; i++) {
        str_list_add(&ctx->arena, &out->paths, l.files[i].path);
        if (!str_list_has(&out->paths, l.files[i].real))
            str_list_add(&ctx->arena, &out->paths, l.files[i].real);
    }
    return RC_OK;
}
