/* Answers of http-01 challenges (RFC 8555 section 8.3) on this host, each with a record in state_dir/challenges that is written
 * before
 * anything else is touched and removed last: what a killed process left behind is known, and taken away again. */
#ifndef AGENT_APPLY_CHALLENGE_H
#define AGENT_APPLY_CHALLENGE_H

#include "agent/connector.h"

struct challenge_wish {
    const char *token, *key_authorization, *identifier;
    const char *connector;
    const char *parameters;        /* JSON object of strings */
    const char *const *conf_files; /* nginx: where each server block opens … */
    const int64_t *conf_lines;     /* … and on which line */
    size_t n_conf;
    const char *method; /* "" or NULL: http-01 */
};

struct challenge_record {
    const char *token, *key_authorization, *connector, *identifier;
    const char *method; /* "": http-01 */
    int64_t put_at;
};
struct challenge_list {
    struct challenge_record *v;
    size_t n, cap;
};

RC challenge_put(struct ctx *ctx, const struct agent_config *cfg, const struct challenge_wish *wish);
/* challenge_remove takes away exactly what was put; no record: nothing to do, connector "".  `changed`: a configuration held it, so
 * its server must read it again.  The record itself goes only with `forget`, so that a kill before that reload is not forgotten. */
RC challenge_remove(struct ctx *ctx, const struct agent_config *cfg, const char *token, bool forget, bool *changed,
                    const char **connector);
RC challenge_list(struct ctx *ctx, const struct agent_config *cfg, struct challenge_list *out);

#endif
