/* Lineages of other ACME clients: whose certificate a file is, and how its renewal stands, as far as that client's own files tell.
 *
 *     certbot      BASE/live/NAME/fullchain.pem      BASE/renewal/NAME.conf, the log of its last run
 *     acme.sh      BASE/NAME[_ecc]/fullchain.cer     NAME.conf beside it
 *     lego         BASE/certificates/NAME.crt        NAME.json beside it
 *     dehydrated   BASE/NAME/fullchain.pem, a link   config beside it, above BASE, in /etc/dehydrated
 *     Caddy        BASE/CA/NAME/NAME.crt             NAME.json beside it
 *     uacme        BASE/NAME/cert.pem                BASE/private/NAME/key.pem
 *
 * Everything is only read.  What a file says is somebody else's: each is at most LINEAGE_FILE_MAX bytes, and one that cannot be
 * read is told in `error`. */
#ifndef AGENT_LINEAGE_H
#define AGENT_LINEAGE_H

#include "base/ctx.h"
#include "base/str.h"

#define LINEAGE_FILE_MAX ((size_t)1 << 18)
#define LINEAGE_TEXT_MAX 500 /* bytes of an error that is told */

enum lineage_client {
    LINEAGE_CERTBOT,
    LINEAGE_ACME_SH,
    LINEAGE_LEGO,
    LINEAGE_DEHYDRATED,
    LINEAGE_CADDY,
    LINEAGE_UACME,
    LINEAGE_CLIENTS
};
const char *lineage_client_name(enum lineage_client client); /* "certbot", "acme.sh" … */

struct lineage {
    enum lineage_client client;
    const char *name;
    const char *settings; /* path of what says how it is renewed; "" */
    const char *ca;       /* URL of the directory; "" */
    int64_t renew_at;     /* when the client renews it, the next time that it runs; 0: its files do not say */
    bool off;             /* its renewal is switched off there */
    const char *error;    /* what went wrong the last time; "" */
    int64_t error_at;     /* 0: not known */
};

enum lineage_part {
    LINEAGE_NO,     /* the file is of none */
    LINEAGE_BESIDE, /* it is of one that has another file to be known by: an old version, the chain alone */
    LINEAGE_IS,     /* by this file it is known */
};

/* lineage_look says what the file at `path` is, by its name and its neighbours; `client` where it is of a lineage. */
enum lineage_part lineage_look(struct ctx *ctx, const char *path, enum lineage_client *client);
/* lineage_read reads the rest; `not_before` and `not_after` are of the certificate that the file holds. */
RC lineage_read(struct ctx *ctx, const char *path, enum lineage_client client, int64_t not_before, int64_t not_after,
                struct lineage *out);

/* What runs the clients on this host: for each the path of a systemd timer that is enabled, of a service (Caddy), or of a crontab
 * with a line that names it; "" where none was found.  `root` is before all paths: "" but in tests. */
struct lineage_schedules {
    const char *by[LINEAGE_CLIENTS];
    struct str_list crontabs[LINEAGE_CLIENTS]; /* all crontabs proper (not scripts that cron starts) with such a line */
};
void lineage_schedules(struct ctx *ctx, const char *root, struct lineage_schedules *out);
/* The folders and files it looks at, NULL-terminated. */
const char *const *lineage_schedule_paths(void);

/* The readers of the texts alone. They fill `renew_at`, `off`, `ca`, `name` and `error` as far as the text tells. */
void lineage_text_certbot(struct ctx *ctx, struct bytes conf, int64_t not_before, int64_t not_after, struct lineage *out);
void lineage_text_certbot_log(struct ctx *ctx, struct bytes log, struct lineage *out);
void lineage_text_acme_sh(struct ctx *ctx, struct bytes conf, struct lineage *out);
void lineage_text_dehydrated(struct ctx *ctx, struct bytes conf, int64_t not_after, struct lineage *out);
/* lineage_text_json: of lego and of Caddy. */
void lineage_text_json(struct ctx *ctx, struct bytes json, int64_t not_before, int64_t not_after, struct lineage *out);

#endif
