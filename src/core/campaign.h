/* What is done to many certificates: bulk operations and campaigns.
 *
 *     draft ──► rehearsing ──► draft                 a certificate is issued as the first one would be, and deployed nowhere
 *       └─────► running ──► done
 *                 ├──► paused ──► running            somebody asked
 *                 └──► halted ──► running            too much failed, or who asked may do it no longer
 *     every one but done ──► cancelled               what was begun goes on
 *
 * Which certificates it is about is settled when it is made: its members.  They are worked off in slices, each within one write
 * with what is done to it, so that nothing is done twice; each is decided and policed as if it were done singly, with the rights
 * that who asked has then.  Renewals and replacements are done when the new version is served everywhere.
 *
 * A bulk operation is a campaign with one wave that begins at once and that no failure stops.  In a campaign the canaries come
 * first; a wave begins when those before it are served. */
#ifndef CORE_CAMPAIGN_H
#define CORE_CAMPAIGN_H

#include "base/str.h"
#include "core/core.h"
#include "core/revocation.h"
#include "core/wish.h"
#include "store/queries.h"

#define CAMPAIGN_MEMBERS_MAX  100000
#define CAMPAIGN_NAMED_MAX    1000 /* given by name */
#define CAMPAIGN_SLICE        100  /* members a turn */
#define CAMPAIGN_UNDER_WAY    500  /* members that are waited for at once: what fails is seen before all have begun */
#define CAMPAIGN_STOP_PERCENT 5    /* where nothing was said: of those that were begun, behind the canaries */
#define CAMPAIGNS_KEPT_S      ((int64_t)400 * 86400)

/* What the act takes; kept as JSON. */
struct campaign_params {
    const char *reason; /* pause */
    int64_t code;       /* revoke */
    enum revocation_when when;
    const char *to_team, *owner;             /* assign; NULL: as it is */
    struct str_list add, remove;             /* tag */
    const char *issuer, *key_kind, *profile; /* replace; NULL: as they are */
    int64_t canary, wave, wave_percent; /* members of the first wave; of each further one, or as part of all; 0: all the rest */
};

struct campaign_input {
    const char *kind;        /* bulk, campaign */
    const char *name;        /* NULL: one is made */
    const char *team;        /* NULL: the caller's; members lie within it */
    const char *act;         /* renew, retry, pause, resume, revoke, replace, remove, assign, tag */
    const char *where;       /* a filter; managed certificates by the certificate that they serve */
    struct str_list objects; /* instead: names or ids of managed certificates, or fingerprints */
    struct campaign_params params;
    int64_t pace, stop_failures, stop_percent;
};

/* An issuer that will be asked, and how much of its limits is used. */
struct campaign_issuer {
    const char *name;
    int64_t certificates;
    struct str_list limits; /* "300 orders in 3 h, 12 of them used" */
};
/* What policy will say to some of them: whatever it does not allow at once. */
struct campaign_verdict {
    const char *verdict;               /* forbidden, approval */
    const char *rule, *words, *role;   /* as in struct policy_verdict; words are of the first */
    int64_t approvals, until;          /* until: of a freeze */
    int64_t certificates;
    struct str_list examples;          /* the first few, by name */
};
struct campaign_impact {
    int64_t certificates, targets, endpoints;
    int64_t lasts_s; /* at least so long, as far as it can be told */
    struct q_campaign_teams_row *teams;
    size_t teams_n;
    struct campaign_issuer *issuers;
    size_t issuers_n;
    struct q_campaign_members_row *examples;
    size_t examples_n;
    /* Of a dry run. */
    int64_t judged; /* so many of them, the first, was policy asked about */
    struct campaign_verdict *verdicts;
    size_t verdicts_n;
};
/* campaign_make settles who its members are, and says what it means.  With `dry_run` nothing is kept (`id` is NULL). */
RC campaign_make(struct ctx *ctx, struct core *core, const struct campaign_input *in, bool dry_run, const char **id,
                 struct campaign_impact *out);

struct campaign_counts {
    int64_t waiting, running, done, failed;
};
struct campaign_view {
    struct q_campaign_get_row row;
    struct campaign_params params;
    struct campaign_counts sum;
    struct campaign_counts *waves; /* of each */
    size_t waves_n;
    int64_t ends_at; /* 0: not to be told */
};
#define CAMPAIGN_WAVES_MAX 1000
/* `impact` (may be NULL) is of what has not begun; else of no certificates. */
RC campaign_show(struct ctx *ctx, struct core *core, const char *kind, const char *ref, struct campaign_view *out,
                 struct campaign_impact *impact);
/* campaign_list gives those before `before` (an id; "" the newest), without their impact. */
RC campaign_list(struct ctx *ctx, struct core *core, const char *kind, const char *before, int64_t limit,
                 struct campaign_view **out, size_t *n);
/* campaign_members lists them; `state` "" is all. */
RC campaign_members(struct ctx *ctx, struct core *core, const char *kind, const char *ref, const char *state, int64_t after,
                    int64_t limit, struct q_campaign_members_row **rows, size_t *n);

/* What people say to one.  E_CONFLICT where that does not follow from how it stands.  START again does what failed once more. */
enum campaign_verb { CAMPAIGN_REHEARSE, CAMPAIGN_START, CAMPAIGN_PAUSE, CAMPAIGN_RESUME, CAMPAIGN_CANCEL };
RC campaign_say(struct ctx *ctx, struct core *core, const char *kind, const char *ref, enum campaign_verb verb);

/* campaign_troubles gives those that stopped, for status; at most `limit`. */
RC campaign_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                     void (*add)(void *arg, const char *object, const char *text, const char *remedy));

/* campaign_tick works those off that are due; `more`: there is more to do at once.  Called by schedule_tick(). */
RC campaign_tick(struct ctx *ctx, struct core *core, bool *more);
RC campaign_expire(struct ctx *ctx, struct txn *txn);

/* --- what happens to managed certificates, in its transaction: a version is served everywhere; something failed. */
RC campaign_note_served(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, int64_t version);
RC campaign_note_failed(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *why);

/* --- shared by campaign*.c */

/* campaign_asks_no_more withdraws what its members wait to have approved; they have failed, for `why`. */
RC campaign_asks_no_more(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_campaign_get_row *row,
                         const char *why);

/* campaign_page reads, and gives back the memory that it took: of many pages each has a snapshot of its own, and nobody waits. */
RC campaign_page(struct ctx *ctx, struct core *core, store_fn *fn, void *arg);

enum campaign_object { CAMPAIGN_MANAGED, CAMPAIGN_FOUND };
struct campaign_act {
    const char *word;
    const char *permission; /* what doing it singly takes */
    enum campaign_object about;
    bool waits; /* done when a new version is served */
    struct rc (*act)(struct ctx *, struct core *, struct txn *, const struct campaign_params *, const char *object);
};
const struct campaign_act *campaign_act_named(const char *word);
const char *campaign_params_text(struct ctx *ctx, const struct campaign_params *p);
RC campaign_params_read(struct ctx *ctx, const char *text, struct campaign_params *out);
/* campaign_wish puts what a replacement asks for into a wish. */
void campaign_wish(struct ctx *ctx, const struct campaign_params *p, struct wish *w);
/* campaign_policy asks policy about members, without waiting for what it takes: the first of them, where they are many. */
RC campaign_policy(struct ctx *ctx, struct core *core, const struct campaign_act *act, const struct campaign_params *p,
                   const struct q_campaign_member_add_in *members, size_t n, struct campaign_impact *out);
RC campaign_impact(struct ctx *ctx, struct txn *txn, const struct q_campaign_get_row *row, const struct campaign_params *p,
                   struct campaign_impact *out);

#endif
