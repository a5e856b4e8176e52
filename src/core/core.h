/* The domain: what managed certificates are, how attempts and deployments go on, who may do what.
 *
 * Everything here is straight-line code on a worker thread.  A function that changes something does it in one write closure
 * (store_write): state, the job that follows and the audit entry commit together (invariant 6).  Nothing here opens a connection,
 * except that the signer is asked over its socket, never inside a transaction. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/ctx.h"
#include "store/store.h"

struct wire_peer;
struct heard;
struct inventory;
struct finding_rules;
struct sign_in;
struct live;
struct role_cache;
struct backup_settings;
struct policy_cache;

/* One a hub; shared by its threads, constant after core_start(). */
struct core {
    struct store *store;
    struct wire_peer *signer;
    const struct clock *clock;
    const char *name;        /* of the installation */
    const char *status_url;  /* "http://host:port": where CRLs and CA certificates are published */
    const char *url;         /* "https://host:port": of this hub, for people; NULL: it has none */
    int64_t epoch;           /* high part of every fence */
    const char *presets_dir; /* CAs that are described ready-made */
    const char *preflight;   /* fail, warn, off: where neither certificate nor issuer say (core/preflight.h); NULL: fail */
    const char *team_root;   /* id of the team that holds everything */
    const char *hub_agent;   /* id of the row that stands for the hub itself: jobs it does alone */
    /* Called after a commit for every key that something may wait on ("agent:ID", "managed:ID"); any thread. */
    void (*wake)(void *arg, const char *key);
    void *wake_arg;
    int64_t campaign_rest_until_ms; /* monotonic; of the thread of the schedule (core/campaign.h) */
    /* Called when our own CA `ca` has revoked: what is published of it is old.  May be NULL; `arg` is wake_arg. */
    void (*revoked)(void *arg, const char *ca);
    struct heard *heard; /* when agents called (core/heard.h); NULL: as their rows say */
    struct inventory *inventory; /* what of the inventory is in memory (core/inventory.h) */
    struct finding_rules *rules; /* what findings are made by (core/finding_rules.h); NULL: the checks alone */
    struct role_cache *roles; /* permissions of the roles that were read (core/role.h); NULL: made out each time */
    struct policy_cache *policy; /* the policy in force, parsed (core/policy.h); NULL: read each time */
    struct sign_in *sign_in; /* who hashes passwords now (core/sign_in.h) */
    struct live *live; /* what the hub's own agent is asked while somebody waits (core/live.h) */
    _Atomic bool backup_stop; /* the hub ends: one that is being made is given up */
    const struct backup_settings *backup; /* core/backup.h; NULL: backups are not this hub's */
    /* Joins that were refused: one line of log a second, with how many there were since (core/agent.c). */
    struct {
        _Atomic int64_t logged_s, more;
    } refused;
    /* What the hub has seen of itself (core/watch.h). */
    struct {
        _Atomic int64_t back_s;  /* the clock is behind the latest time known */
        int64_t back_since_ms, next_ms, silent_ms; /* monotonic; of the one thread that looks */
        _Atomic int64_t lost;    /* certificates that the signer has issued and does not know of */
        int64_t foreign;         /* issued by the signer before the database was made */
    } watch;
    /* The audit log's sequencer (core/audit_log.h). */
    struct {
        int64_t keep_s;               /* entries older go; 0: none do */
        _Atomic int alarm;            /* enum audit_alarm */
        _Atomic int64_t signed_size;  /* entries of the last head that the signer knows of */
        int64_t look_ms, rest_until_ms; /* monotonic; of the one thread that folds */
        char holder[32];
    } audit;
};

/* core_start makes the rows that every installation has (root team, the hub's own row, built-in profiles, the fleet CA and the
 * issuing CA with its issuer "ca") where they are missing, and fills the ids above.  `common_name` names the CAs at the first
 * start.  Safe to call again after a crash at any point. */
struct core_settings {
    const char *name;
    const char *status_url;
    const char *organization;
    bool external_root;      /* the issuing CA waits for a certificate of somebody else's root */
    const char *const *permitted_dns; /* name constraints of the issuing CA; NULL for none */
    size_t permitted_dns_n;
    const char *agent_name;  /* name of the hub's own agent, usually the host's */
    const char *agent_identity; /* "unix:UID" */
};
RC core_start(struct ctx *ctx, struct core *core, const struct core_settings *settings);

/* core_wake_after_commit wakes whoever waits for `prefix``id` once the transaction has committed. */
void core_wake_after_commit(struct ctx *ctx, struct core *core, struct txn *txn, const char *prefix, const char *id);

/* What wakes the schedule before its next tick, as a prefix with "". */
#define CORE_SCHEDULE_KEY "schedule"

/* fence_make joins the installation's epoch and a number within a lane. */
#define FENCE_EPOCH_SHIFT 40
static inline int64_t fence_make(int64_t epoch, int64_t number) { return (epoch << FENCE_EPOCH_SHIFT) | number; }

#endif
