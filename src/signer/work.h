/* One request on its way through a batch (signer.c).
 *
 * begin   checks it and puts its intent into the journal, or answers it at once;
 *         … the batch's intents reach the disk together, and the state takes them in …
 * sign    does what needs a key, and puts the result into the journal (NULL: nothing of the kind);
 *         … the results reach the disk together, and the state takes them in …
 * answer  fills in the answer from the state (NULL: done already).
 *
 * What fails on the way is answered with its error; a failed write fails every request that had something in it. */
#ifndef SIGNER_WORK_H
#define SIGNER_WORK_H

#include "signer/state.h"
#include "wire/messages.h"

struct work_record {
    struct signer_record record;
    struct work_record *next;
};

struct work {
    struct ctx *ctx;
    uint16_t type;
    const char *from; /* role of who asks: "hub" or "officer" */
    uid_t uid;        /* of an officer */
    bool dry, would;  /* dry: nothing is written, and `would` says whether something would have been (people.c) */
    const void *in;   /* struct of the message */
    void *out;        /* struct of its answer, zeroed */
    struct rc rc;     /* the result */

    RC (*sign)(struct signer *s, struct work *w);
    RC (*answer)(struct signer *s, struct work *w);
    void *state;
    struct work_record *records, *last; /* appended, not yet taken in */
};

/* work_journal puts a record into the next frame; it becomes part of the state when it is on the disk. */
RC work_journal(struct signer *s, struct work *w, enum record_type type, const struct buf *content);

/* signer_work does a batch: works[i].rc tells how each ended, works[i].out its answer. */
void signer_work(struct signer *s, struct work *works, size_t n);

/* The messages, by subject: each is the `begin` of one message. */
RC ca_create_begin(struct signer *s, struct work *w);
RC ca_import_begin(struct signer *s, struct work *w);
RC ca_show_begin(struct signer *s, struct work *w);
RC ca_list_begin(struct signer *s, struct work *w);
RC issue_begin(struct signer *s, struct work *w);
RC issue_fleet_begin(struct signer *s, struct work *w);
RC revoke_begin(struct signer *s, struct work *w);
RC crl_begin(struct signer *s, struct work *w);
RC ceilings_get_begin(struct signer *s, struct work *w);
RC ceilings_set_begin(struct signer *s, struct work *w);
RC acme_account_begin(struct signer *s, struct work *w);
RC acme_change_key_begin(struct signer *s, struct work *w);
RC acme_pin_begin(struct signer *s, struct work *w);
RC acme_sign_begin(struct signer *s, struct work *w);
RC acme_keyauth_begin(struct signer *s, struct work *w);
RC audit_head_begin(struct signer *s, struct work *w);
RC audit_last_begin(struct signer *s, struct work *w);
RC audit_accept_begin(struct signer *s, struct work *w);
RC seal_begin(struct signer *s, struct work *w);
RC totp_check_begin(struct signer *s, struct work *w);
RC copy_list_begin(struct signer *s, struct work *w);
RC copy_read_begin(struct signer *s, struct work *w);
RC history_begin(struct signer *s, struct work *w);
RC download_make_begin(struct signer *s, struct work *w);
RC download_take_begin(struct signer *s, struct work *w);
RC download_forget_begin(struct signer *s, struct work *w);
RC protect_begin(struct signer *s, struct work *w);
RC protection_get_begin(struct signer *s, struct work *w);
RC proposal_list_begin(struct signer *s, struct work *w);
RC approve_begin(struct signer *s, struct work *w);
RC withdraw_begin(struct signer *s, struct work *w);

#endif
