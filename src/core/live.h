/* Live questions: what somebody waits for that the hub itself cannot ask, for it opens no connection.  The hub's own agent waits
 * for them (POST /agent/v1/live) and answers at once.
 *
 * They are in memory alone.  A password that belongs to one is sealed to the relay's key where it is taken (RFC 9180): what the
 * table holds opens nowhere else, and nothing is left when either process dies.  Who waits is parked on live_key(). */
#ifndef CORE_LIVE_H
#define CORE_LIVE_H

#include "base/secret.h"
#include "core/core.h"

#define LIVE_MOST         64
#define LIVE_PER_ADDRESS  16
#define LIVE_AT_ONCE      8     /* that the agent has: half of its relay's threads, the rest is for what certificates need */
#define LIVE_MS           15000 /* from asking to the answer */
#define LIVE_QUESTION_MAX ((size_t)128 << 10)
#define LIVE_ANSWER_MAX   ((size_t)256 << 10)

struct api_live_answer;
struct api_live_question;

RC live_open(struct ctx *ctx, struct core *core);
void live_close(struct core *core);

/* live_want says that there may be questions from now on: the agent is told at its next exchange, and waits for them then. */
void live_want(struct core *core);
bool live_wanted(const struct core *core);
/* live_news is true once for each life of an agent: it has to be told now, not when its long poll ends. */
bool live_news(struct core *core, const char *boot);

/* live_ready says whether an agent waits; until then one parks on LIVE_READY. */
#define LIVE_READY "live:ready"
bool live_ready(struct core *core);

/* live_ask keeps a question: `question` is without id, password and time.  `note` is given back with the answer.  E_BUSY where
 * there are too many, of all or of `address`; or where no agent waits. */
RC live_ask(struct ctx *ctx, struct core *core, const char *address, const struct secret *password,
            const struct api_live_question *question, const char *note, const char **id);
const char *live_key(struct ctx *ctx, const char *id);
/* live_look takes an answer: *out is NULL while there is none.  `last`: nobody waits any longer, and it is forgotten.  E_BUSY where
 * the agent died over it or did not take it, E_TIMEOUT where nothing was answered in time; otherwise the error that was answered,
 * in its words. */
RC live_look(struct ctx *ctx, struct core *core, const char *id, bool last, const struct api_live_answer **out, const char **note);

/* --- the agent's side */

/* live_take hands out what nobody has taken yet, as long as the agent has no more than LIVE_AT_ONCE: strangers who sign in where a
 * directory is silent must not stop what renews.  What another life of the agent has taken is lost, and who waits for it is told.
 */
RC live_take(struct ctx *ctx, struct core *core, const char *boot, struct bytes seal_key, struct api_live_question **out,
             size_t *n);
/* live_answered keeps an answer for whoever waits; one that nobody waits for is dropped. */
RC live_answered(struct ctx *ctx, struct core *core, const char *boot, struct bytes seal_key, const struct api_live_answer *answer);
#define LIVE_AGENT "live:agent" /* what the agent parks on */

#endif
