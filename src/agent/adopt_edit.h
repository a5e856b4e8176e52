/* What is changed in another ACME client's files so that it leaves a certificate alone, and how that is undone: whole lines, each
 * found again by what it says.  So an edit may be made, or undone, twice, and what somebody else changes in the file meanwhile
 * stays.  Where nobody does, undoing gives the file back byte for byte.
 *
 *     certbot      autorenew = False, in renewal/NAME.conf
 *     acme.sh      Le_NextRenewTime, in NAME.conf: the year 2100
 *     dehydrated   the line of domains.txt becomes a comment
 *     lego, uacme  the line of a crontab that renews this certificate becomes a comment
 *
 * Timers, scripts and the Caddyfile are people's to change: there is no such line. */
#ifndef AGENT_ADOPT_EDIT_H
#define AGENT_ADOPT_EDIT_H

#include "agent/lineage.h"

#define ADOPT_EDITS_MAX 8
#define ADOPT_LINE_MAX  4096

struct adopt_edit {
    const char *file;
    bool inserted;    /* there was no such line: `is` stands behind the line `after` ("": at the beginning) */
    struct bytes was; /* the line, without its end */
    struct bytes is, after;
};

/* adopt_edit_plan finds what is to be changed in `text`, which is `file`, for the certificate that the client calls `name`.  *n is
 * 0 where it would not be renewed anyway, as *why says. */
RC adopt_edit_plan(struct ctx *ctx, enum lineage_client client, const char *name, const char *file, struct bytes text,
                   struct adopt_edit *edits, size_t *n, const char **why);

enum adopt_edit_end {
    ADOPT_EDIT_MADE,  /* `out` is the file as it is to be */
    ADOPT_EDIT_THERE, /* it is so already */
    ADOPT_EDIT_LOST,  /* neither what it was nor what it is to be can be found: somebody changed it */
};
enum adopt_edit_end adopt_edit_make(struct ctx *ctx, const struct adopt_edit *e, struct bytes text, struct bytes *out);
enum adopt_edit_end adopt_edit_undo(struct ctx *ctx, const struct adopt_edit *e, struct bytes text, struct bytes *out);

/* adopt_setting finds KEY=value in `text`, without quotes around the value; false where it is not there or empty. */
bool adopt_setting(struct ctx *ctx, struct bytes text, const char *key, const char **value);

#endif
