/* Installing files at a target, step by step; each step can be done again after kill -9, and each refuses lower fences (E_FENCED).
 * What a target's journal holds says journal.h. */
#ifndef AGENT_APPLY_TARGET_H
#define AGENT_APPLY_TARGET_H

#include "agent/apply/journal.h"
#include "agent/connector.h"
#include "pki/digest.h"

struct stage_wish {
    const char *target, *deployment;
    int64_t fence;
    const char *connector;
    const char *parameters; /* JSON object of strings */
    const char *attempt;    /* names the key */
    const char *chain_pem;  /* leaf first */
    const char *roots_pem;
    const char *plan; /* kept as it is */
    bool dry_run;
};

struct stage_result {
    int64_t generation;
    enum target_step step;
    struct str_list files;
    bool missing; /* at least one destination is not there yet */
    bool same;    /* every destination holds the wanted content already */
    struct bytes fingerprint, previous; /* SHA-256 of the leaf wanted, and of the one there; empty where there is none */
    struct bytes serial;                /* of the leaf */
    struct bytes keep_for;              /* a target without an agent: public key for target_save() */
};

struct target_state {
    struct journal_entry last;
    const char *plan; /* "" where there is no generation */
    struct str_list files;
    struct bytes fingerprint, previous, serial, keep_for;
};

/* A step of one deployment under one lease. */
struct target_ref {
    const char *target, *deployment;
    int64_t fence;
};

RC target_stage(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage_result *out);
RC target_install(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref);
RC target_rollback(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref);
/* target_check only refuses: an old lease (E_FENCED), another deployment (E_CONFLICT). */
RC target_check(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref);
RC target_undone(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref);
/* For targets without an agent on their host, see wire/hands.def: apply_save, apply_undo_begin, apply_seal. */
RC target_save(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, struct bytes previous,
               struct bytes kept);
RC target_undo_begin(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref);
RC target_seal(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, struct bytes public, bool contents,
               struct bytes *out);
RC target_commit(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref);
RC target_compare(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, bool *equal, const char **detail);
RC target_state(struct ctx *ctx, const struct agent_config *cfg, const char *target, struct target_state *out);
RC target_unfinished(struct ctx *ctx, const struct agent_config *cfg, struct str_list *out);
RC target_close(struct ctx *ctx, const struct agent_config *cfg, const char *target, int64_t fence);

#endif
