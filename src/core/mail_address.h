/* Addresses of mail that a rule or a report writes to and that stand in no channel: nobody hears anything there, but for a
 * code, before they have said once that they want to.  Who does: whoever brings the code that was sent there (once a team: it
 * holds for the teams within it), and whoever signed in with an identity provider that vouched for this address.
 *
 * However many rules, channels and people want a code sent to an address, it gets one, then one after a minute, two, four …,
 * no more than MAIL_CODES_DAY a day; and all addresses together MAIL_CODES_HOUR an hour. */
#ifndef CORE_MAIL_ADDRESS_H
#define CORE_MAIL_ADDRESS_H

#include "core/notify.h"

#define MAIL_CODE_DIGITS 8
#define MAIL_CODE_FOR_S  86400
#define MAIL_CODE_TRIES  10
#define MAIL_CODE_PAUSE_S 60
#define MAIL_CODES_DAY   5
#define MAIL_CODES_HOUR  200

/* mail_address_plain checks one and writes its domain in lower case; NULL: it is none. */
const char *mail_address_plain(struct ctx *ctx, const char *text);

/* mail_code_may counts a code that is about to be sent to an address: *wait_s 0.  Else it may not be sent for so long. */
RC mail_code_may(struct ctx *ctx, struct txn *txn, const char *address, int64_t *wait_s);
/* mail_code_new makes one: its text, and the hash that is kept for `of` (a channel or team) and the address. */
const char *mail_code_new(struct ctx *ctx);
RC mail_code_hash(struct ctx *ctx, const char *of, const char *address, const char *code, struct bytes *out);
/* mail_code_good: somebody has brought a code that was sent to this address; the pauses begin anew. */
RC mail_code_good(struct ctx *ctx, struct txn *txn, const char *address);

/* mail_address_channel finds over which channel `w->to` is told.  Where it is told over none *channel is NULL, *words say why to
 * people, and a code was sent there if one could be. */
RC mail_address_channel(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *w, const char **channel,
                        const char **words);
/* mail_address_hears: something may be told there still. */
RC mail_address_hears(struct ctx *ctx, struct txn *txn, const char *team, const char *address, bool *out);

/* --- for people */
RC mail_address_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                     struct q_mail_address_list_row **rows, size_t *n);
/* mail_address_confirm takes the code of an address: E_INVALID at /code where it is not, or no longer, that of it.  Code NULL: a
 * new one is sent; E_RATE_LIMITED says when that can be. */
RC mail_address_confirm(struct ctx *ctx, struct core *core, const char *address, const char *code);
/* mail_address_forget: nothing is written there any more, until it is confirmed anew. */
RC mail_address_forget(struct ctx *ctx, struct core *core, const char *address);
/* mail_address_expire: retention, of what was sent to addresses long ago. */
RC mail_address_expire(struct ctx *ctx, struct txn *txn, bool *more);

#endif
