/* Signing in: a password and a second factor, or a passkey alone.
 *
 * What goes wrong is told in one way, whether the account is there or not, and takes as long.  Each step is: count the try (a
 * transaction), look at the proof (no transaction; hashing a password takes its time, so few do it at once), take it (a transaction
 * that looks again at everything it rests on).  Core keeps no proof: passwords as Argon2id, secrets of authenticator apps sealed
 * for the signer, which looks at their codes itself, of the rest hashes. */
#ifndef CORE_SIGN_IN_H
#define CORE_SIGN_IN_H

#include "base/secret.h"
#include "core/session.h"
#include "core/sign_in_throttle.h"
#include "pki/webauthn.h"

/* How many passwords are hashed at once, how many of them of strangers, and how many callers wait for it. */
#define SIGN_IN_HASHES           2
#define SIGN_IN_HASHES_STRANGERS 1
#define SIGN_IN_WAITING          24

/* sign_in_open makes what the hub needs in memory; sign_in_close frees it. */
RC sign_in_open(struct ctx *ctx, struct core *core);
void sign_in_close(struct core *core);

/* What a step ends with: the session as it is now, and what the browser is to keep. */
struct signed_in {
    struct session session;
    const char *cookie;           /* of the session, new with each step */
    const char *device;           /* the device's cookie, where it had none and is signed in now; else NULL */
    bool totp, passkey, recovery; /* what there is to show as a second factor */
};

RC sign_in_password(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const char *name, const char *password,
                    struct signed_in *out);
/* The second factor of a session that waits for it; on one that is signed in a code proves anew who is there. */
RC sign_in_totp(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s, const char *code,
                struct signed_in *out);
RC sign_in_recovery(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s, const char *code,
                    struct signed_in *out);
/* sign_in_confirm is the password once more, of somebody who is signed in. */
RC sign_in_confirm(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                   const char *password, struct signed_in *out);

/* What is known of a site: where the browser is. */
struct sign_in_site {
    const char *origin, *rp_id; /* rp_id is NULL where people use an address: no passkeys then */
};
/* sign_in_challenge makes what an authenticator has to sign: for `purpose` "use" of a session, or of nobody yet (NULL); "make". */
#define SIGN_IN_CHALLENGE_S            300
#define SIGN_IN_CHALLENGES_PER_ADDRESS 200
RC sign_in_challenge(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                     const char *purpose, struct bytes *challenge);
struct passkey_answer {
    struct bytes credential, client_data, authenticator_data, signature;
};
/* sign_in_passkey signs in with a passkey alone (`s` is NULL: it has to verify its user), or is the second factor of `s`. */
RC sign_in_passkey(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                   const struct sign_in_site *site, const struct passkey_answer *answer, struct signed_in *out);

/* sign_in_out ends a session. */
RC sign_in_out(struct ctx *ctx, struct core *core, const struct session *s);

/* --- inside core */

/* What somebody can sign in with. */
struct sign_in_account {
    const char *id, *team, *name, *password; /* password: what is kept of it, or NULL */
    bool active;                             /* a person, and not disabled */
    bool totp, passkey, recovery;
};
RC sign_in_account_get(struct ctx *ctx, struct txn *txn, const char *id, struct sign_in_account *out, bool *found);
/* sign_in_hash and sign_in_check hash passwords, when it is their turn (E_BUSY where too many wait).  The text is wiped. */
RC sign_in_hash(struct ctx *ctx, struct core *core, const char *password, const char **kept);
RC sign_in_check(struct ctx *ctx, struct core *core, const char *kept, const char *password, bool known, bool *fits, bool *weak);
/* sign_in_password_fits says whether a new password is good enough: E_INVALID at the field. */
#define PASSWORD_CHARACTERS_MIN 12
RC sign_in_password_fits(struct ctx *ctx, const char *name, const char *password);
/* sign_in_act_as makes somebody the one who acts, for the audit. */
void sign_in_act_as(struct ctx *ctx, const struct core *core, const char *user, const char *name, const char *team);
/* sign_in_step gives a session its next cookie and stage, for what was shown (`by`: "totp"); one that is signed in now makes its
 * place known. */
RC sign_in_step(struct ctx *ctx, struct txn *txn, const struct sign_in_from *from, const struct session *s,
                enum session_stage stage, const char *user, const char *by, struct signed_in *out);
/* sign_in_totp_look asks the signer which step a code is of; 0: none that may be taken. */
RC sign_in_totp_look(struct ctx *ctx, struct core *core, const char *user, struct bytes sealed, const char *code, int64_t last,
                     int64_t *step);
/* sign_in_recovery_hash is what is kept of a recovery code; letters in any case, with or without hyphens. */
#define RECOVERY_CODES        10
#define RECOVERY_CODE_LETTERS 16
RC sign_in_recovery_hash(struct ctx *ctx, const char *user, const char *code, struct bytes *hash);
/* sign_in_challenge_read finds the challenge that a client's data is about. */
RC sign_in_challenge_read(struct ctx *ctx, struct bytes client_data, struct bytes *challenge, struct bytes *hash);
/* sign_in_expire removes what has ended; of the schedule. */
RC sign_in_expire(struct ctx *ctx, struct txn *txn);

#endif
