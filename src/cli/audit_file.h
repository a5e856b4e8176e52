/* Exports of the audit log, read and proved without a hub (docs/AUDIT.md).
 *
 * The first line has the signed head, each further one an entry with its place and what proves it to the head (merkle_walk):
 *     {"n":17,"proof":["…"],"entry":{…}}
 * Lines may have been formatted anew: what counts is what they say.  Every line is proved as it comes: memory does not grow, and
 * the first entry that is not what was logged is known exactly. */
#ifndef CLI_AUDIT_FILE_H
#define CLI_AUDIT_FILE_H

#include "api/audit_entry.h"
#include "pki/merkle.h"

#define AUDIT_LINE_MAX ((size_t)1 << 20)

/* A signed head: `head.log` and the rest live in the arena of who read it. */
struct audit_file_head {
    struct merkle_head head;
    struct bytes signature, key;
    uint8_t key_sha256[32];
};
/* audit_file_head_read reads a head ({"head": …}, as `audit head -o json` and an export have it) and checks its signature by the
 * key that it names: E_INVALID. */
RC audit_file_head_read(struct ctx *ctx, struct bytes json, struct audit_file_head *out);

struct audit_file {
    struct audit_file_head head;
    bool begun;
    bool all;         /* nothing was left out: each place comes, from `from` on */
    int64_t from;
    int64_t lines, entries;
    struct merkle_walk walk;
    /* After the first fault: what was seen of it, and how many lines there are. */
    bool faulty, gap;
    int64_t fault_n, fault_line; /* place of the entry, and the line where it was seen */
    int64_t found_line;          /* a missing entry that came later */
    const char *fault_entry;     /* what the line says, in short */
    /* Another head that this log must extend (audit_file_after); its root is made again of the entries. */
    bool extends, extended;
    struct merkle_head after;
    size_t edge_n;
    struct {
        uint64_t leaves;
        uint8_t hash[MERKLE_LEN];
    } edge[MERKLE_PATH_MAX];
    struct ctx scratch; /* of the lines */
    char fault_text[512];
};

void audit_file_begin(struct audit_file *f, const struct clock *clock);
void audit_file_end(struct audit_file *f); /* frees */
/* audit_file_after says that the log must extend `head`, which was seen before; before the first line. */
void audit_file_after(struct audit_file *f, const struct merkle_head *head);
/* audit_file_line takes a line without its newline: E_INVALID where the file is no export, or its head is not signed.  A faulty
 * entry is told by audit_file_finish: E_INVALID with the words. */
RC audit_file_line(struct ctx *ctx, struct audit_file *f, struct bytes line);
RC audit_file_finish(struct ctx *ctx, struct audit_file *f);

#endif
