/* The file of a backup: one stream of sections, compressed, encrypted to the installation's recovery key, with a manifest at its
 * end.
 *
 *     "CWBACKUP" 01 | length (4) and head (JSON, in the clear: which installation, when) | length (4) and the file's key, sealed
 *     (HPKE, pki/hpke.h) with the hash of the head as associated data | blocks
 *     block: length of what follows (4; its highest bit: the last one) | a chunk of pki/stream.h, of which the plain text is up to
 *     BACKUP_BLOCK bytes of records, compressed (store/zip.h)
 *     record: 'S' a section begins (JSON: kind, name, detail) | 'D' data of it | 'E' it ends: count, bytes (8 each), SHA-256
 *     | 'M' the manifest (JSON); each with its length (4) in front of its content.  All numbers big-endian.
 *
 * A section is a file in pieces, or a table with a row in each 'D' (store/copy.h). */
#ifndef CORE_BACKUP_FILE_H
#define CORE_BACKUP_FILE_H

#include "base/json.h"
#include "base/secret.h"
#include "core/core.h"

#define BACKUP_FORMAT       1
#define BACKUP_BLOCK        ((size_t)256 << 10)
#define BACKUP_RECORD_MAX   ((uint32_t)64 << 20)
#define BACKUP_HEAD_MAX     4096
#define BACKUP_NAME_MAX     200
#define BACKUP_SECTIONS_MAX 100000

struct backup_head {
    const char *id, *installation, *version, *engine; /* engine: "sqlite", "postgres" */
    int64_t made_at;
};

/* --- writing */

struct backup_writer;
/* backup_write makes the file (0600, none may be there) for whoever has the recovery key that `recovery` is the public half of. */
RC backup_write(struct ctx *ctx, const char *path, const struct backup_head *head, struct bytes recovery,
                struct backup_writer **out);
RC backup_section(struct ctx *ctx, struct backup_writer *w, const char *kind, const char *name, const char *detail);
RC backup_data(struct ctx *ctx, struct backup_writer *w, struct bytes data);
RC backup_section_end(struct ctx *ctx, struct backup_writer *w, int64_t count);
/* backup_write_end adds the manifest with `facts` (a JSON object) in it, and brings the file to the disk; `bytes` is its size.  The
 * writer is then to be freed, as after a failure: backup_writer_free (NULL is fine) removes a file that was not ended. */
RC backup_write_end(struct ctx *ctx, struct backup_writer *w, struct bytes facts, int64_t *bytes);
void backup_writer_free(struct backup_writer *w);

/* --- reading */

/* What is called for each record; any may be NULL. */
struct backup_visitor {
    void *arg;
    RC (*section)(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail);
    RC (*data)(struct ctx *ctx, void *arg, struct bytes data);
    RC (*end)(struct ctx *ctx, void *arg, int64_t count);
};

struct backup_reader;
/* backup_open reads the head: E_PARSE where the file is no backup. */
RC backup_open(struct ctx *ctx, const char *path, struct backup_head *head, struct backup_reader **out);
/* backup_unlock: E_CRYPTO where the recovery key is another's, E_INVALID where it is none. */
RC backup_unlock(struct ctx *ctx, struct backup_reader *r, const struct secret *recovery_key);
/* backup_secret opens what was sealed to the recovery key apart from the file (hpke_seal with BACKUP_INFO and `aad`). */
#define BACKUP_INFO BYTES_LIT("certwright backup")
RC backup_secret(struct ctx *ctx, struct backup_reader *r, struct bytes aad, struct bytes sealed, struct secret *out);
/* backup_read goes through all of it, as often as it is called; `v` may be NULL: it only proves that everything is there and as it
 * was written.  E_CRYPTO where bytes were changed or are missing; then part of it may have been visited: look first, then act. */
RC backup_read(struct ctx *ctx, struct backup_reader *r, const struct backup_visitor *v, json_t **manifest);
void backup_reader_free(struct backup_reader *r); /* NULL is fine */

/* The records by themselves. */
struct backup_parser;
RC backup_parser_new(struct ctx *ctx, const struct backup_visitor *v, struct backup_parser **out);
RC backup_parse(struct ctx *ctx, struct backup_parser *p, struct bytes data);
/* backup_parse_end: the stream has ended; the manifest must have come, and agree with what came. */
RC backup_parse_end(struct ctx *ctx, struct backup_parser *p, json_t **manifest);
void backup_parser_free(struct backup_parser *p);

#endif
