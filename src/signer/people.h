/* Changes by two people.  While the signer is told so, what a CA officer changes is kept as a proposal: the message as it was
 * asked, under the hash of it, with the signer's own words.  It is done when the hub says that somebody approved that hash; exactly
 * once, for the change and the end of its proposal stand in one frame of the journal.  An officer alone changes nothing then, and a
 * hub alone neither: it can approve what is kept here, and bring nothing. */
#ifndef SIGNER_PEOPLE_H
#define SIGNER_PEOPLE_H

#include "signer/work.h"

#define PROPOSALS_MAX  16 /* open ones */
#define PROPOSAL_LIVES ((int64_t)7 * 86400)
#define PROPOSAL_WORDS 60000

enum proposal_state { PROPOSAL_OPEN, PROPOSAL_DONE, PROPOSAL_WITHDRAWN };

struct proposal {
    struct arena arena;       /* of all that follows */
    const char *id, *message; /* name of the message */
    struct bytes body;        /* of the message; empty once it has ended */
    uint8_t asked[32];        /* hash of message and body: the same change has the same */
    uint8_t hash[32];         /* of the id and all of it: what is approved */
    const char *change, *words;
    int64_t uid, at, expires_at;
    enum proposal_state state;
    const char *by, *request; /* who approved, and the hub's request; or "uid N", who took it back */
    int64_t ended_at;
    struct proposal *next; /* an older one */
};

/* people_keep: an officer's change is kept instead of done; `begin` is how it would be.  Called where two people are needed. */
typedef RC people_begin_fn(struct signer *s, struct work *w);
RC people_keep(struct signer *s, struct work *w, people_begin_fn *begin);
/* people_row finds how a message that officers change something with is done (signer.c); NULL: it is none. */
people_begin_fn *people_row(const char *message, uint16_t *type);

/* How words are made of a change: of the state before it and of the message.  By subject. */
RC ceilings_words(struct signer *s, struct work *w, struct buf *out);
RC ca_import_words(struct signer *s, struct work *w, struct buf *out);
RC audit_accept_words(struct signer *s, struct work *w, struct buf *out);

#endif
