/* What people sign in with: setting it up and taking it away, by themselves.
 *
 * All of it wants a session that is signed in and fresh (session_fresh), or one that has to set up its first second factor
 * (SESSION_ENROL).  The last second factor stays. */
#ifndef CORE_SIGN_IN_FACTOR_H
#define CORE_SIGN_IN_FACTOR_H

#include "core/sign_in.h"

/* factor_password sets another password: the old one is asked for where there is one.  Every other session ends. */
RC factor_password(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s, const char *old,
                   const char *password, struct signed_in *out);

/* factor_totp_begin makes the secret of an authenticator app, which counts for nothing until factor_totp_confirm was shown a code.
 * `text` is base32, `uri` the same as otpauth:// for a QR code. */
RC factor_totp_begin(struct ctx *ctx, struct core *core, const struct session *s, const char **text, const char **uri);
RC factor_totp_confirm(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                       const char *code, struct signed_in *out);
RC factor_totp_remove(struct ctx *ctx, struct core *core, const struct session *s);

struct passkey {
    const char *id, *name, *rp_id, *transports; /* transports: JSON list */
    struct bytes credential;
    int64_t created_at, used_at; /* used_at: 0 where it was not yet */
};
#define PASSKEYS_PER_USER 20
RC factor_passkeys(struct ctx *ctx, struct core *core, const char *user, struct passkey **out, size_t *n);
struct passkey_new {
    const char *name, *transports;
    struct bytes client_data, attestation;
};
/* factor_passkey_add takes the answer to a challenge for "make"; a session that had to set up a factor is signed in by it. */
RC factor_passkey_add(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                      const struct sign_in_site *site, const struct passkey_new *in, const char **id, struct signed_in *out);
RC factor_passkey_remove(struct ctx *ctx, struct core *core, const struct session *s, const char *id);

/* factor_recovery makes RECOVERY_CODES new codes, shown this once; those before are good no more. */
RC factor_recovery(struct ctx *ctx, struct core *core, const struct session *s, const char *codes[RECOVERY_CODES]);

/* --- invitations: the one way to a first password (sign_in_invite.c) */

#define INVITATION_S (7 * 86400)
#define SIGN_IN_LINK_ROLE                                                                                                          \
    "sign-in-link" /* of the token that the link of `certwright init` is: no role, so that it may do nothing */
struct invitation_made {
    const char *name, *code; /* whose, and what the link holds: shown this once */
    int64_t expires_at;
};
/* invitation_create gives a person a link: good once, for seven days, and the one before no more.  Not for who has a password, nor
 * for who may do more than the principal.  user_reset takes everything away that somebody signs in with, ends their sessions, and
 * gives a link: for the owner on the admin socket alone. */
RC invitation_create(struct ctx *ctx, struct core *core, const char *ref, struct invitation_made *out);
RC user_reset(struct ctx *ctx, struct core *core, const char *ref, struct invitation_made *out);
/* invitation_narrow is called when somebody may do more, invitation_narrow_role when a role becomes another: whoever else made the
 * links of those it is about could become more than they are themselves, so these are good no more. */
RC invitation_narrow(struct ctx *ctx, struct txn *txn, const char *user);
RC invitation_narrow_role(struct ctx *ctx, struct txn *txn, const char *role_id);
/* invitation_accept sets the password of whoever the code is for; what follows is a second factor.  The code of `certwright init`
 * makes the first administrator, who is then called `name`; elsewhere `name` may be NULL, and is not looked at. */
RC invitation_accept(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const char *code, const char *name,
                     const char *password, struct signed_in *out);
/* factor_reset takes everything away that somebody signs in with, and ends their sessions. */
RC factor_reset(struct ctx *ctx, struct txn *txn, const char *user);

#endif
