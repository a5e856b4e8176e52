#include "agent/apply/hosts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply/disk.h"
#include "agent/apply/password.h"
#include "agent/lineage.h"
#include "base/json.h"
#include "pki/cert_read.h"
#include "pki/digest.h"
#include "pki/jks.h"
#include "pki/pem.h"
#include "pki/pkcs12.h"

#define BATCH_CERTS 1900                /* of 2,000 that the API takes; one file brings 32 */
#define BATCH_FULL  ((size_t)900 << 10) /* with one more file it is still below HOSTS_BATCH_JSON */

/* Additions of this host to what it trusts. */
static const char *const stores[] = {"/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source", "/etc/pki/trust/anchors",
                                     "/etc/ca-certificates/trust-source"};
/* Made of them and of the system's roots, again and again. */
static const char *const system_made[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/java",    "/etc/ssl/ca-bundle.pem",         "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted",        "/etc/pki/java",          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/nssdb",
    "/etc/ca-certificates/extracted",     "/etc/pki/tls/cert.pem",  "/etc/ssl/certs/ca-bundle.crt",
};
/* Of files with such a name it is told when they cannot be read. */
static const char *const suffixes[] = {".pem", ".crt", ".cer", ".cert", ".der", ".p12", ".pfx", ".jks", ".keystore", ".p7b"};

static bool below(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool hosts_store(const char *path)
{
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++)
        if (below(path, stores[i]))
            return true;
    return false;
}

static bool is_system_made(const char *path)
{
    for (size_t i = 0; i < sizeof system_made / sizeof *system_made; i++)
        if (strcmp(path, system_made[i]) == 0)
            return true;
    return false;
}

static bool ends(const char *path, const char *end) { return bytes_ends_with(bytes_z(path), bytes_z(end)); }

static bool looks_like_one(const char *path)
{
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (ends(path, suffixes[i]))
            return true;
    return false;
}

/* "5ad8a5d6.0": a link of OpenSSL's to a file beside it. */
static bool is_hashed(const char *name)
{
    size_t i = 0;
    while (isxdigit((unsigned char)name[i]))
        i++;
    return i == 8 && name[i] == '.' && isdigit((unsigned char)name[i + 1]);
}

struct looking {
    const struct agent_config *cfg;
    const struct hosts_ask *ask;
    const char **given; /* ask->files, sorted */
    uint8_t *room;      /* HOSTS_FILE_MAX + 1 bytes: a file, which may hold keys; wiped */
    struct buf files, certs;
    struct json_out files_j, certs_j;
    uint8_t (*sent)[SHA256_LEN]; /* certificates of this batch */
    size_t n_sent, read;
    int64_t looked, told;
    char last[PATH_MAX + 32]; /* the position behind what is done */
    const char *root;
    size_t root_number;
    bool full;
};

/* What one file holds. */
struct holding {
    struct bytes der[HOSTS_CERTS_MAX];
    size_t n, left_out;
    const char *state; /* "ok", "unreadable", "too_large", "not_granted", "bad_file", "locked", "gone" */
    const char *detail, *format;
};

static void hold(struct ctx *ctx, struct holding *h, struct bytes der, const char *format)
{
    struct cert_fields fields;
    if (rc_failed(cert_read(ctx, der, &fields))) {
        h->detail = arena_printf(&ctx->arena, "a certificate in it cannot be read: %.200s", ctx_why(ctx));
        ctx_forget(ctx);
        return;
    }
    h->format = format;
    if (h->n < HOSTS_CERTS_MAX)
        h->der[h->n++] = der;
    else
        h->left_out++;
}

/* Only the blocks that are certificates are decoded: a key beside them stays where it is. */
static void read_pem(struct ctx *ctx, struct bytes text, struct holding *h)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    for (size_t at; (at = bytes_find(text, bytes_z(begin))) < text.n;) {
        struct pem_block block;
        bool found = false;
        bytes_skip(&text, at);
        const size_t n = bytes_find(text, bytes_z(end));
        if (n > text.n) {
            h->detail = "a certificate in it has no end";
            return;
        }
        struct bytes one = bytes_of(text.p, n + sizeof end - 1);
        struct rc rc = pem_next(ctx, &one, &block, &found);
        if (rc_ok(rc) && found)
            hold(ctx, h, block.der, "pem");
        else
            h->detail = "a certificate in it is damaged";
        if (rc_failed(rc))
            ctx_forget(ctx);
        bytes_skip(&text, n + sizeof end - 1);
    }
}

/* Logs and scripts quote certificates: a file with another name than theirs must begin as OpenSSL's tools write them. */
static bool begins_as_pem(struct bytes file)
{
    static const char *const begins[] = {"-----BEGIN ", "Certificate:", "Bag Attributes", "subject=", "issuer="};
    while (file.n > 0 && isspace(*file.p))
        bytes_skip(&file, 1);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (bytes_starts_with(file, bytes_z(begins[i])))
            return true;
    return false;
}

static const struct agent_store *store_of(const struct agent_config *cfg, const char *path)
{
    for (size_t i = 0; i < cfg->n_inventory_stores; i++)
        if (strcmp(cfg->inventory_stores[i].file, path) == 0)
            return &cfg->inventory_stores[i];
    return NULL;
}

static void locked(struct ctx *ctx, struct holding *h, const char *why)
{
    h->state = "locked";
    h->detail = arena_printf(&ctx->arena, "%.300s", why);
}

static void read_keystore(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct bytes file, bool jks,
                          struct holding *h)
{
    SECRET_CLEANUP struct secret password = {0};
    const struct agent_store *store = store_of(cfg, path);
    struct cert_chain chain = {0};
    struct pkcs12 p12 = {0};
    if (store == NULL) {
        locked(ctx, h, "a key store: name it in agent.yaml, inventory: stores: [{file: …, passphrase: …}]");
        return;
    }
    h->format = jks ? "jks" : "pkcs12";
    struct rc rc = password_read_given(ctx, store->passphrase, &password);
    if (rc_ok(rc))
        rc = jks ? jks_read(ctx, file, &password, &chain, NULL) : pkcs12_read(ctx, file, &password, &p12, NULL);
    if (rc_failed(rc)) {
        locked(ctx, h, ctx_why(ctx));
        ctx_forget(ctx);
        return;
    }
    if (!jks)
        chain = p12.certs;
    for (size_t i = 0; i < chain.n; i++) /* the leaf first */
        if (!jks && i == 0)
            hold(ctx, h, chain.v[p12.leaf].der, "pkcs12");
        else
            hold(ctx, h, chain.v[!jks && i <= p12.leaf ? i - 1 : i].der, jks ? "jks" : "pkcs12");
}

/* `named`: a service says that this is a certificate. */
static void read_content(struct ctx *ctx, const struct agent_config *cfg, const char *path, bool named, struct bytes file,
                         struct holding *h)
{
    static const uint8_t jks[] = {0xfe, 0xed, 0xfe, 0xed};
    struct cert_fields fields;
    if (bytes_starts_with(file, bytes_of(jks, sizeof jks)))
        read_keystore(ctx, cfg, path, file, true, h);
    else if (file.n > 0 && *file.p == 0x30 && rc_ok(cert_read(ctx, file, &fields)))
        hold(ctx, h, file, "der");
    else if (file.n > 0 && *file.p == 0x30 && (ends(path, ".p12") || ends(path, ".pfx") || store_of(cfg, path) != NULL))
        read_keystore(ctx, cfg, path, file, false, h);
    else if (named || looks_like_one(path) || begins_as_pem(file))
        read_pem(ctx, file, h);
    ctx_forget(ctx);
    if (h->n == 0 && h->detail != NULL && strcmp(h->state, "ok") == 0)
        h->state = "bad_file";
}

static void say(struct holding *h, const char *state, const char *detail)
{
    h->state = state;
    h->detail = detail;
}

/* The whole of a regular file into l->room; never waits for a pipe, never follows what changed meanwhile. */
static bool slurp(struct looking *l, const char *real, struct holding *h, struct bytes *out)
{
    __attribute__((cleanup(disk_close))) int fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    struct stat st;
    size_t n = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        say(h, errno == ENOENT ? "gone" : "unreadable", strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        say(h, "unreadable", "it is not a regular file");
        return false;
    }
    while (st.st_size <= (off_t)HOSTS_FILE_MAX && n <= HOSTS_FILE_MAX) {
        ssize_t got = read(fd, l->room + n, HOSTS_FILE_MAX + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            say(h, "unreadable", strerror(errno));
            return false;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    l->read += n;
    if (st.st_size > (off_t)HOSTS_FILE_MAX || n > HOSTS_FILE_MAX) {
        say(h, "too_large", "it has more than 1 MiB");
        return false;
    }
    *out = bytes_of(l->room, n);
    return true;
}

static void put_renewal(struct ctx *ctx, struct looking *l, const char *path, enum lineage_client client, struct bytes leaf,
                        const struct lineage_schedules *schedules)
{
    struct json_out *j = &l->files_j;
    struct cert_fields fields;
    struct lineage is;
    if (rc_failed(cert_read(ctx, leaf, &fields)) || fields.is_ca ||
        rc_failed(lineage_read(ctx, path, client, fields.not_before, fields.not_after, &is))) {
        ctx_forget(ctx);
        return;
    }
    json_open_obj(j, "renewal");
    json_put_str(j, "client", lineage_client_name(client));
    json_put_bytes_str(j, "name", bytes_of(is.name, strnlen(is.name, 253)));
    json_put_str(j, "settings", is.settings);
    json_put_bytes_str(j, "ca", bytes_of(is.ca, strnlen(is.ca, 512)));
    json_put_int(j, "renew_at", is.renew_at > 0 && is.renew_at < CERT_NO_EXPIRY ? is.renew_at : 0);
    json_put_bool(j, "off", is.off);
    json_put_str(j, "schedule", schedules->by[client]);
    json_put_bytes_str(j, "error", bytes_z(is.error));
    json_put_int(j, "error_at", is.error_at > 0 ? is.error_at : 0);
    json_close(j);
}

static RC put_certificate(struct ctx *ctx, struct looking *l, struct bytes der)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, der, hash));
    json_put_hex(&l->files_j, NULL, bytes_of(hash, sizeof hash));
    for (size_t i = 0; i < l->n_sent; i++)
        if (memcmp(l->sent[i], hash, sizeof hash) == 0)
            return RC_OK;
    memcpy(l->sent[l->n_sent++], hash, sizeof hash);
    json_open_obj(&l->certs_j, NULL);
    json_put_base64(&l->certs_j, "der", der);
    json_close(&l->certs_j);
    return RC_OK;
}

static RC put_file(struct ctx *ctx, struct looking *l, const char *path, const char *service, const struct holding *h,
                   enum lineage_part part, enum lineage_client client, const struct lineage_schedules *schedules)
{
    struct json_out *j = &l->files_j;
    json_open_obj(j, NULL);
    json_put_str(j, "path", path);
    json_put_str(j, "kind", hosts_store(path) ? "store" : "file");
    json_put_str(j, "state", h->state);
    if (h->left_out > 0)
        json_put_str(j, "detail", arena_printf(&ctx->arena, "%zu more certificates are in it", h->left_out));
    else if (h->detail != NULL)
        json_put_bytes_str(j, "detail", bytes_z(h->detail));
    json_put_str(j, "format", h->format);
    json_put_str(j, "service", service);
    json_open_list(j, "fingerprints");
    for (size_t i = 0; i < h->n; i++)
        TRY(put_certificate(ctx, l, h->der[i]));
    json_close(j);
    if (part != LINEAGE_NO && h->n > 0)
        put_renewal(ctx, l, path, client, h->der[0], schedules);
    json_close(j);
    l->told++;
    return RC_OK;
}

static bool granted(const struct agent_config *cfg, const char *path)
{
    for (size_t i = 0; i < cfg->inventory_folders.n; i++)
        if (below(path, cfg->inventory_folders.v[i]))
            return true;
    return agent_config_path_allowed(cfg, path) || store_of(cfg, path) != NULL;
}

/* A path of somebody's making that is not UTF-8 has no place in JSON: it is passed over. */
static bool tellable(const char *path) { return strlen(path) <= 1000 && str_is_utf8(bytes_z(path)); }

static RC look_at(struct ctx *ctx, struct looking *l, const char *path, const char *service,
                  const struct lineage_schedules *schedules)
{
    char real[PATH_MAX];
    struct holding h = {.state = "ok", .format = ""};
    struct bytes content = {0};
    enum lineage_client client = LINEAGE_CERTBOT;
    const bool walked = *service == '\0';
    enum lineage_part part;
    if (!tellable(path))
        return RC_OK;
    l->looked++;
    part = lineage_look(ctx, path, &client);
    if (walked && part == LINEAGE_BESIDE)
        return RC_OK;
    if (realpath(path, real) == NULL)
        say(&h, errno == ENOENT ? "gone" : "unreadable", strerror(errno));
    else if (walked && l->root != NULL && !below(real, l->root))
        return RC_OK; /* it lies elsewhere, and is told there if it may be */
    else if (!granted(l->cfg, real))
        say(&h, "not_granted", arena_printf(&ctx->arena, "%.900s may not be read: add its folder to agent.yaml, inventory: folders",
                                            real));
    else if (slurp(l, real, &h, &content))
        read_content(ctx, l->cfg, path, !walked, content, &h);
    if (h.n == 0 && walked && (strcmp(h.state, "ok") == 0 || strcmp(h.state, "gone") == 0 || !looks_like_one(path)))
        return RC_OK; /* no certificate is in it, or would be expected there */
    if (h.n == 0 && strcmp(h.state, "ok") == 0)
        return RC_OK; /* a key, parameters: services name those too */
    return put_file(ctx, l, path, service, &h, part, client, schedules);
}

/* One file, in memory of its own: there may be very many. */
static RC look(struct ctx *ctx, struct looking *l, const char *path, const char *service, const struct lineage_schedules *schedules)
{
    CTX_CLEANUP struct ctx turn;
    ctx_init(&turn, ctx->clock);
    const size_t used = l->read;
    struct rc rc = look_at(&turn, l, path, service, schedules);
    wipe(l->room, l->read - used < HOSTS_FILE_MAX + 1 ? l->read - used : HOSTS_FILE_MAX + 1);
    if (rc_failed(rc))
        return ctx_fail(ctx, rc.e, "%s: %s", path, ctx_why(&turn));
    if (!tellable(path))
        return RC_OK;
    snprintf(l->last, sizeof l->last, "%zu:%s", l->root_number, path);
    l->full = l->looked >= HOSTS_BATCH_FILES || l->read >= HOSTS_BATCH_READ || l->n_sent >= BATCH_CERTS ||
              l->files.n + l->certs.n >= BATCH_FULL;
    return RC_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool is_given(const struct looking *l, const char *path)
{
    return bsearch(&path, l->given, l->ask->n, sizeof *l->given, by_text) != NULL;
}

static void close_dir(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

/* The names in a folder, sorted: by them a walk is gone on with. */
static bool list(struct ctx *ctx, const char *folder, struct str_list *out)
{
    __attribute__((cleanup(close_dir))) DIR *d = opendir(folder);
    const struct dirent *e;
    bool all = true;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || is_hashed(e->d_name))
            continue;
        if (out->n == HOSTS_ENTRIES_MAX) {
            all = false;
            break;
        }
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, e->d_name));
    }
    if (out->n > 0)
        qsort(out->v, out->n, sizeof *out->v, by_text);
    return all;
}

/* A folder with more than can be looked at: it is told in its own name. */
static RC tell_folder(struct ctx *ctx, struct looking *l, const char *folder, const struct lineage_schedules *schedules)
{
    struct holding h = {.format = ""};
    say(&h, "too_large", arena_printf(&ctx->arena, "more than %d files: the rest is left out", HOSTS_ENTRIES_MAX));
    return put_file(ctx, l, folder, "", &h, LINEAGE_NO, LINEAGE_CERTBOT, schedules);
}

/* `from` is where the batch before ended, below `folder`; NULL: nothing of it is done. */
static RC walk(struct ctx *ctx, struct looking *l, const char *folder, const char *from, int depth,
               const struct lineage_schedules *schedules)
{
    struct str_list names = {0};
    struct bytes begin = {0}, rest = {0};
    if (depth > HOSTS_DEPTH_MAX)
        return RC_OK;
    if (!list(ctx, folder, &names) && from == NULL && tellable(folder))
        TRY(tell_folder(ctx, l, folder, schedules));
    if (from != NULL) {
        rest = bytes_z(from + strlen(folder) + 1);
        bytes_take_until(&rest, '/', &begin);
    }
    for (size_t i = 0; i < names.n && !l->full; i++) {
        const char *path = arena_printf(&ctx->arena, "%s/%s", folder, names.v[i]);
        const int order = from != NULL ? bytes_compare(bytes_z(names.v[i]), begin) : 1;
        struct stat st;
        if (order < 0 || (order == 0 && rest.n == 0) || strlen(path) >= PATH_MAX || is_system_made(path) || lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            TRY(walk(ctx, l, path, order == 0 ? from : NULL, depth + 1, schedules));
        else if ((S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) && !is_given(l, path))
            TRY(look(ctx, l, path, "", schedules));
    }
    return RC_OK;
}

/* Files that are named come first, then the folders: one root a number. */
static RC look_all(struct ctx *ctx, struct looking *l)
{
    struct lineage_schedules schedules;
    const struct str_list *folders = &l->cfg->inventory_folders;
    const char *colon = strchr(l->ask->after, ':');
    size_t first = 0;
    if (*l->ask->after != '\0') {
        uint64_t number = 0;
        if (colon == NULL || !str_to_u64(bytes_of(l->ask->after, (size_t)(colon - l->ask->after)), &number) ||
            number > l->ask->n + folders->n)
            return ctx_fail(ctx, E_INVALID, "%s is no position in the folders of this host", l->ask->after);
        first = (size_t)number;
    }
    lineage_schedules(ctx, "", &schedules);
    for (l->root_number = first; l->root_number < l->ask->n + folders->n && !l->full; l->root_number++) {
        const bool again = colon != NULL && l->root_number == first;
        if (l->root_number < l->ask->n) {
            if (!again)
                TRY(look(ctx, l, l->ask->files[l->root_number], l->ask->services[l->root_number], &schedules));
        } else {
            char real[PATH_MAX];
            const char *folder = folders->v[l->root_number - l->ask->n];
            if (realpath(folder, real) == NULL)
                continue;
            l->root = real;
            const bool on = again && below(colon + 1, folder) && strlen(colon + 1) > strlen(folder);
            struct rc rc = walk(ctx, l, folder, on ? colon + 1 : NULL, 0, &schedules);
            l->root = NULL;
            TRY(rc);
        }
        if (l->full)
            break;
    }
    return RC_OK;
}

static RC batch_end(struct ctx *ctx, struct looking *l, struct hosts_batch *out)
{
    struct buf all;
    struct json_out j;
    json_close(&l->files_j);
    json_close(&l->certs_j);
    TRY(buf_status(&l->files));
    TRY(buf_status(&l->certs));
    buf_init_arena(&all, &ctx->arena, HOSTS_BATCH_JSON);
    json_begin(&j, &all);
    json_open_obj(&j, NULL);
    json_put_raw(&j, "files", buf_bytes(&l->files));
    json_put_raw(&j, "certificates", buf_bytes(&l->certs));
    json_close(&j);
    TRY(buf_status(&all));
    *out = (struct hosts_batch){.json = buf_z(&all),
                                .after = l->full ? arena_strdup(&ctx->arena, l->last) : "",
                                .looked = l->looked,
                                .told = l->told,
                                .certificates = (int64_t)l->n_sent};
    return RC_OK;
}

static void looking_done(struct looking *l)
{
    if (l->room != NULL)
        wipe(l->room, HOSTS_FILE_MAX + 1);
    free(l->room);
}

RC hosts_look(struct ctx *ctx, const struct agent_config *cfg, const struct hosts_ask *ask, struct hosts_batch *out)
{
    __attribute__((cleanup(looking_done))) struct looking l = {.cfg = cfg, .ask = ask};
    l.room = calloc(1, HOSTS_FILE_MAX + 1);
    if (l.room == NULL)
        return rc_of(E_NO_MEMORY);
    l.given = arena_array(&ctx->arena, ask->n + 1, sizeof *l.given);
    for (size_t i = 0; i < ask->n; i++)
        l.given[i] = ask->files[i];
    qsort(l.given, ask->n, sizeof *l.given, by_text);
    l.sent = arena_array(&ctx->arena, BATCH_CERTS + HOSTS_CERTS_MAX, sizeof *l.sent);
    buf_init_arena(&l.files, &ctx->arena, HOSTS_BATCH_JSON);
    buf_init_arena(&l.certs, &ctx->arena, HOSTS_BATCH_JSON);
    json_begin(&l.files_j, &l.files);
    json_open_list(&l.files_j, NULL);
    json_begin(&l.certs_j, &l.certs);
    json_open_list(&l.certs_j, NULL);
    TRY(look_all(ctx, &l));
    return batch_end(ctx, &l, out);
}
