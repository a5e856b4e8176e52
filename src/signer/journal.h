/* The signer's journal: an append-only file of records, written in frames.  A frame is what one signer_journal_commit() wrote: it
 * is there whole or not at all, so a crash in the middle of a write loses only what nobody was told.
 *
 * Frame:  "CWJ1" | length of what follows the head | sequence (8) | CRC-32C of length, sequence and content (4) | records
 * Record: type (1) | length (4) | time, seconds since 1970 UTC (8) | content.   All numbers big-endian.
 *
 * One thread, and one process: the file is locked. */
#ifndef SIGNER_JOURNAL_H
#define SIGNER_JOURNAL_H

#include "base/buf.h"
#include "base/ctx.h"

struct signer_journal;

struct signer_record {
    uint8_t type;
    int64_t time;
    uint64_t offset; /* in the file: names the record for signer_journal_read() */
    struct bytes content;
};

#define JOURNAL_FRAME_MAX ((size_t)64 << 20)

typedef RC (*signer_journal_replay_fn)(struct ctx *ctx, void *arg, const struct signer_record *record);

/* signer_journal_open opens or makes the file and gives every record to `replay`, oldest first (content valid during the call).  A
 * torn frame at the end is cut off; a damaged frame with good ones behind it is E_IO: that is no crash, and the signer must not go
 * on as if what follows had never been.  E_IN_USE where another process has it. */
RC signer_journal_open(struct ctx *ctx, const char *path, signer_journal_replay_fn replay, void *arg, struct signer_journal **out);
void signer_journal_close(struct signer_journal *j); /* NULL is fine */

/* signer_journal_append adds a record to the next frame and returns its offset, valid once signer_journal_commit() succeeded. */
uint64_t signer_journal_append(struct signer_journal *j, uint8_t type, int64_t time, struct bytes content);
bool signer_journal_pending(const struct signer_journal *j);
/* signer_journal_commit writes the frame and waits until it is on the disk.  On failure nothing of it is there and the frame is
 * dropped: E_DISK_FULL, or E_IO.  After a failed fsync the file's state is not known: the journal refuses everything until it is
 * opened again. */
RC signer_journal_commit(struct ctx *ctx, struct signer_journal *j);
/* signer_journal_read reads one record back; its content is in the arena. */
RC signer_journal_read(struct ctx *ctx, const struct signer_journal *j, uint64_t offset, struct signer_record *out);
/* signer_journal_walk gives every record on the disk to `fn`, oldest first. */
RC signer_journal_walk(struct ctx *ctx, const struct signer_journal *j, signer_journal_replay_fn fn, void *arg);
/* signer_journal_page gives records to `fn` from record `*skip` of the frame at byte `*frame` on, until it sets `*full` (that
 * record is given, and is the last one), or there are no more; the two then say where to go on.  E_INVALID where no frame is
 * there. */
RC signer_journal_page(struct ctx *ctx, const struct signer_journal *j, uint64_t *frame, uint64_t *skip,
                       signer_journal_replay_fn fn, void *arg, bool *full);
/* signer_journal_copy reads bytes as they are; signer_journal_generation tells one file from the one that took its place. */
RC signer_journal_copy(struct ctx *ctx, const struct signer_journal *j, uint64_t offset, size_t n, struct bytes *out);
int64_t signer_journal_generation(const struct signer_journal *j);
int64_t signer_journal_size(const struct signer_journal *j);

/* Compaction: signer_journal_rewrite opens an empty file beside the journal; the caller appends and commits what is still needed;
 * then signer_journal_adopt puts it in the journal's place (rename), and `fresh` is gone.  On failure, or signer_journal_discard,
 * the old one stays. */
RC signer_journal_rewrite(struct ctx *ctx, const struct signer_journal *j, struct signer_journal **fresh);
RC signer_journal_adopt(struct ctx *ctx, struct signer_journal *j, struct signer_journal *fresh);
void signer_journal_discard(struct signer_journal *fresh);

#endif
