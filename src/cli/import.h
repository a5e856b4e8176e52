/* Between the files of `certwright import`: from files to rows. */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "base/secret.h"
#include "cli/cli.h"

#define IMPORT_TAG_ENDS " ,;|" /* what stands between tags */
#define IMPORT_TAG_MAX  64
#define IMPORT_TAGS_MAX 100

/* What is known of one row; texts may be NULL, bytes empty. */
struct import_item {
    const char *row; /* "file" or "file:line" */
    struct bytes der, fingerprint;
    const char *place, *owner, *note, *tags;
};

/* Who takes rows, and is told of those that cannot be read.  A failure of theirs ends the reading. */
struct import_sink {
    struct cli *cli;
    struct rc (*take)(struct import_sink *sink, const struct import_item *item);
    struct rc (*wrong)(struct import_sink *sink, const char *row, const char *why);
    struct rc (*settle)(struct import_sink *sink); /* nothing of the context's memory is in use */
    bool as_csv;
    struct str_list map;     /* "field=column" */
    struct secret *password; /* of PKCS #12, as far as known; n is 0 where not */
    size_t skipped;          /* files of folders in which there is no certificate */
};

/* import_read reads a file, or a folder and all within it. */
RC import_read(struct import_sink *sink, const char *path);
/* import_csv reads the text of a file that is CSV. */
RC import_csv(struct import_sink *sink, const char *path, struct bytes text);

#endif
