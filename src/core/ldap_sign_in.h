/* Signing in at a directory (LDAP): the name and password that it knows somebody by.
 *
 * The hub counts the try, seals the password for the relay of its own agent and waits for its answer (core/live.h).  Whom an answer
 * means, who gets an account and what groups give is as at an OpenID provider (core/provider_sign_in.h); who somebody is is what
 * stays when they are renamed there.  Unlike there a second factor is asked for here, where the directory is not said to see to it.
 */
#ifndef CORE_LDAP_SIGN_IN_H
#define CORE_LDAP_SIGN_IN_H

#include "core/sign_in.h"

/* ldap_start says whether there are directories, when the hub starts. */
RC ldap_start(struct ctx *ctx, struct core *core);

struct ldap_step {
    const char *wait_for; /* park on this key for so long and ask again; NULL: it is over */
    int64_t wait_ms;
    struct signed_in done;
};
/* ldap_sign_in goes on with one, as often as it is woken.  `parked`: the key it waited for, NULL at first; `last`: nobody waits any
 * longer. The password is wiped.  E_UNAUTHENTICATED does not say what was wrong: that is in the log. */
RC ldap_sign_in(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const char *provider, const char *name,
                const char *password, const char *parked, bool last, struct ldap_step *out);

/* ldap_test asks a directory now, for whoever may change it. */
struct api_live_answer;
struct q_identity_group_list_row;
struct ldap_tested {
    const char *wait_for;
    int64_t wait_ms;
    const struct api_live_answer *answer;
    struct q_identity_group_list_row *grants; /* what the groups of the answer give */
    size_t grants_n;
};
RC ldap_test(struct ctx *ctx, struct core *core, const char *ref, const char *address, const char *user, const char *parked,
             bool last, struct ldap_tested *out);

#endif
