/* Certificates in files: PEM, DER, PKCS #7, PKCS #12, JKS, and folders of them. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli/import.h"
#include "os/file.h"
#include "pki/jks.h"
#include "pki/pem.h"
#include "pki/pkcs12.h"
#include "pki/pkcs7.h"

#define FILE_MAX_BYTES ((size_t)1 << 30)
#define DEPTH_MAX      32
#define ASKED_MAX      3

#define IMPORT_PKCS7_MAX 1000 /* certificates in one structure */

enum found { FOUND_NOTHING, FOUND_SOMETHING };

/* --- the kinds of file */

static struct rc one(struct import_sink *s, const char *row, struct bytes der)
{
    const struct import_item item = {.row = row, .der = der};
    return s->take(s, &item);
}

static struct rc chain_take(struct import_sink *s, const char *row, const struct cert_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++)
        TRY(one(s, row, chain->v[i].der));
    return RC_OK;
}

static struct rc all_take(struct import_sink *s, const char *row, const struct bytes *ders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(one(s, row, ders[i]));
    return RC_OK;
}

static struct rc refused(struct import_sink *s, const char *row)
{
    const char *why = arena_strdup(&s->cli->ctx->arena, ctx_why(s->cli->ctx));
    ctx_forget(s->cli->ctx);
    return s->wrong(s, row, why);
}

static struct rc pkcs7(struct import_sink *s, const char *row, struct bytes der)
{
    struct bytes *ders = NULL;
    size_t n = 0;
    struct rc rc = pkcs7_ders(s->cli->ctx, der, IMPORT_PKCS7_MAX, &ders, &n);
    return rc_ok(rc) ? all_take(s, row, ders, n) : refused(s, row);
}

/* Key stores of servers and trust stores alike; their passphrase guards the keys alone, which are not looked at. */
static struct rc jks(struct import_sink *s, const char *row, struct bytes file)
{
    struct bytes *ders = NULL;
    size_t n = 0;
    struct rc rc = jks_certificates(s->cli->ctx, file, &ders, &n);
    return rc_ok(rc) ? all_take(s, row, ders, n) : refused(s, row);
}

/* Asks on the terminal, which need not be standard input. */
static struct rc ask(struct cli *cli, const char *path, struct secret *out)
{
    struct termios before, quiet;
    uint8_t line[CONTAINER_PASSWORD_MAX + 2];
    FD_CLEANUP int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &before))
        return cli_has(cli, "password-file")
                   ? ctx_fail(cli->ctx, E_INVALID, "the passphrase in %s does not open it", cli_opt(cli, "password-file"))
                   : ctx_fail(cli->ctx, E_INVALID,
                              "is under a passphrase, and there is no terminal to ask for it: give a file with --password-file");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(tty, TCSAFLUSH, &quiet); /* first: what is typed after the question counts */
    dprintf(tty, "Passphrase of %s: ", path);
    const ssize_t n = read(tty, line, sizeof line);
    tcsetattr(tty, TCSAFLUSH, &before);
    dprintf(tty, "\n");
    secret_free(out);
    struct rc rc = n > 1 ? secret_from(cli->ctx, out, bytes_of(line, (size_t)n - 1))
                         : ctx_fail(cli->ctx, E_INVALID, "no passphrase was given");
    explicit_bzero(line, sizeof line);
    return rc;
}

static struct rc pkcs12(struct import_sink *s, const char *row, struct bytes der)
{
    struct pkcs12 p = {0};
    struct rc rc = ctx_fail(s->cli->ctx, E_FORBIDDEN, "the passphrase is another one");
    if (s->password->n)
        rc = pkcs12_read(s->cli->ctx, der, s->password, &p, NULL);
    for (int asked = 0; rc.e == E_FORBIDDEN && asked < ASKED_MAX; asked++) {
        ctx_forget(s->cli->ctx);
        rc = ask(s->cli, row, s->password);
        if (rc_failed(rc))
            break;
        rc = pkcs12_read(s->cli->ctx, der, s->password, &p, NULL);
    }
    return rc_ok(rc) ? chain_take(s, row, &p.certs) : refused(s, row);
}

/* The blocks that hold certificates; what else is in the file (keys above all) is passed over unread. */
static struct rc pem(struct import_sink *s, const char *path, struct bytes text, enum found *found)
{
    static const char *const labels[] = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "CMS"};
    for (size_t at; (at = bytes_find(text, BYTES_LIT("-----BEGIN "))) != SIZE_MAX;) {
        struct bytes block;
        struct pem_block b;
        bool any = false;
        bytes_skip(&text, at);
        block = text;
        bytes_skip(&text, 11);
        size_t k = 0;
        while (k < sizeof labels / sizeof *labels &&
               (!bytes_starts_with(text, bytes_z(labels[k])) ||
                !bytes_starts_with(bytes_of(text.p + strlen(labels[k]), text.n - strlen(labels[k])), BYTES_LIT("-----"))))
            k++;
        if (k == sizeof labels / sizeof *labels)
            continue;
        *found = FOUND_SOMETHING;
        if (rc_failed(pem_next(s->cli->ctx, &block, &b, &any)) || !any) {
            TRY(refused(s, path));
            continue;
        }
        text = block;
        if (k == 2 && b.der.n > 4 && b.der.p[0] == 0x30 && b.der.p[1] == 0x82) { /* OpenSSL's own words of trust stand behind it */
            const size_t whole = 4 + ((size_t)b.der.p[2] << 8 | b.der.p[3]);
            b.der.n = whole < b.der.n ? whole : b.der.n;
        }
        TRY(k < 3 ? one(s, path, b.der) : pkcs7(s, path, b.der));
        TRY(s->settle(s));
    }
    return RC_OK;
}

/* What stands first within the outer SEQUENCE tells them apart: a SEQUENCE (the TBSCertificate), a type's OID, version 3. */
static struct rc der(struct import_sink *s, const char *path, struct bytes data, enum found *found)
{
    if (jks_is(data)) {
        *found = FOUND_SOMETHING;
        return jks(s, path, data);
    }
    if (data.n < 8 || data.p[0] != 0x30)
        return RC_OK;
    const size_t head = data.p[1] < 0x80 ? 2 : data.p[1] == 0x80 ? 2 : 2 + (data.p[1] & 0x7fu);
    if (head > 6 || head + 3 > data.n)
        return RC_OK;
    const uint8_t *first = data.p + head;
    *found = FOUND_SOMETHING;
    if (first[0] == 0x30)
        return one(s, path, data);
    if (first[0] == 0x06)
        return pkcs7(s, path, data);
    if (first[0] == 0x02 && first[1] == 1 && first[2] == 3)
        return pkcs12(s, path, data);
    *found = FOUND_NOTHING;
    return RC_OK;
}

/* --- files and folders */

static bool ends_with(const char *path, const char *with)
{
    const size_t n = strlen(path), m = strlen(with);
    return n > m && strcasecmp(path + n - m, with) == 0;
}

static struct rc file_read_heap(struct cli *cli, const char *path, size_t n, uint8_t **out, size_t *got)
{
    FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC);
    *got = 0;
    *out = NULL;
    if (fd < 0)
        return ctx_fail_errno(cli->ctx, "%s cannot be read", path);
    if (!(*out = malloc(n + 1)))
        return ctx_fail(cli->ctx, E_NO_MEMORY, "%s", path);
    while (*got < n) {
        const ssize_t more = read(fd, *out + *got, n - *got);
        if (more < 0)
            return ctx_fail_errno(cli->ctx, "%s cannot be read", path);
        if (more == 0)
            break;
        *got += (size_t)more;
    }
    return RC_OK;
}

static struct rc contents(struct import_sink *s, const char *path, struct bytes data, bool named)
{
    enum found found = FOUND_NOTHING;
    if (s->as_csv || (named && ends_with(path, ".csv")))
        return import_csv(s, path, data);
    TRY(bytes_find(data, BYTES_LIT("-----BEGIN ")) != SIZE_MAX ? pem(s, path, data, &found) : der(s, path, data, &found));
    if (found == FOUND_NOTHING && named)
        return s->wrong(s, path, "there is no certificate in it; of CSV say --as csv");
    s->skipped += found == FOUND_NOTHING;
    return RC_OK;
}

static struct rc file(struct import_sink *s, const char *path, size_t n, bool named)
{
    uint8_t *data = NULL;
    size_t got = 0;
    if (n > FILE_MAX_BYTES)
        return s->wrong(s, path, "is larger than 1 GiB: split it");
    struct rc rc = file_read_heap(s->cli, path, n, &data, &got);
    if (rc_ok(rc))
        rc = contents(s, path, bytes_of(data, got), named);
    else
        rc = refused(s, path);
    free(data);
    TRY(rc);
    return s->settle(s);
}

static struct rc entry(struct import_sink *s, const char *path, unsigned depth);

static struct rc folder(struct import_sink *s, const char *path, unsigned depth)
{
    struct dirent **names = NULL;
    struct rc rc = RC_OK;
    if (depth == DEPTH_MAX)
        return s->wrong(s, path, "lies too deep");
    const int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        rc = ctx_fail_errno(s->cli->ctx, "the folder cannot be read");
        return rc_failed(rc) ? refused(s, path) : rc;
    }
    for (int i = 0; i < n; i++) {
        char *below = NULL;
        if (rc_ok(rc) && names[i]->d_name[0] != '.' && asprintf(&below, "%s/%s", path, names[i]->d_name) > 0)
            rc = entry(s, below, depth + 1);
        free(below);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* Folders that are only pointed to are left out: they would be read twice, or for ever. */
static struct rc entry(struct import_sink *s, const char *path, unsigned depth)
{
    struct stat st, link;
    if (stat(path, &st)) {
        struct rc rc = ctx_fail_errno(s->cli->ctx, "cannot be read");
        return rc_failed(rc) ? refused(s, path) : rc;
    }
    if (S_ISDIR(st.st_mode))
        return depth > 0 && lstat(path, &link) == 0 && S_ISLNK(link.st_mode) ? RC_OK : folder(s, path, depth);
    if (S_ISREG(st.st_mode))
        return file(s, path, (size_t)st.st_size, depth == 0);
    return depth == 0 ? s->wrong(s, path, "is no file and no folder") : RC_OK;
}

RC import_read(struct import_sink *sink, const char *path)
{
    return entry(sink, path, 0);
}
