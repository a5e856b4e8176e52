/* What the signer knows: its CAs, accounts, pins and requests.  All of it comes from the journal: state_apply() is run on each
 * record once it is on the disk, and on all of them when the signer starts, so that both ways end in the same state.  One thread.
 */
#ifndef SIGNER_STATE_H
#define SIGNER_STATE_H

#include "base/ctx.h"
#include "pki/cert.h"
#include "pki/merkle.h"
#include "pki/weak.h"
#include "signer/index.h"
#include "signer/journal.h"
#include "signer/keyring.h"
#include "signer/record.h"

#define CA_NAME_FLEET  "fleet" /* the CA of agents and hub: no profile can name it (invariant 4) */
#define CA_CHAIN_MAX   7       /* above an issuer; an answer holds the issuer too */
#define SERIAL_MAX     20
#define BLOCKLISTS_MAX 8

/* Requests can be replayed this long; attempts live for days. */
#define REPLAY_S ((int64_t)30 * 86400)

/* ceilings.h */
struct ceilings {
    int64_t max_validity_s;
    int64_t per_hour;
    struct str_list permitted_dns, permitted_ip; /* empty: any */
    struct str_list profiles;                    /* "tls-server" …; empty: none */
};

struct revoked {
    uint8_t serial[SERIAL_MAX];
    uint8_t serial_n;
    uint8_t reason;
    int64_t at, not_after;
};

/* What RECORD_CA holds. */
struct ca_facts {
    const char *name, *parent, *organization, *common_name;
    const char *own_crl_url, *own_issuer_url; /* go into the certificates that it issues */
    enum key_kind key_kind;
    int path_length; /* -1: none stated */
    bool external;
    uint8_t digest[32]; /* of the request that made it */
    int64_t issued;
    struct bytes certificate, csr, root; /* empty where there is none */
    struct bytes chain[CA_CHAIN_MAX];    /* those above it, without the root where there is one above */
    size_t chain_n;
};

struct ca {
    struct ca_facts f;
    struct cert cert; /* of f.certificate; valid where that is not empty */
    struct cert above[CA_CHAIN_MAX];
    struct key *key; /* NULL until it was used */
    struct ceilings ceilings;
    struct {
        int64_t minute; /* since 1970 */
        int64_t n;
    } issued_in[60];
    int64_t issuing; /* in the batch that is being worked on */
    struct revoked *revoked;
    size_t revoked_n, revoked_cap;
    int64_t crl_number, crl_this, crl_next; /* of the last that was begun */
    bool crl_stale;                         /* something was revoked since */
    struct bytes crl;                       /* heap; empty where it has to be made anew */
    struct ca *next;
};

struct account {
    const char *name, *directory_url;
    enum key_kind key_kind;
    struct key *key; /* NULL until it was used */
    /* Numbers of its keys: they are objects of their own.  0: the first one; as next: there is none. */
    uint64_t slot, next_slot;
    struct key *next_key; /* NULL until it was used */
    struct account *next;
};

/* The last head of the audit log (signer/audit.c). */
struct audit_state {
    bool some; /* there is one */
    uint64_t size;
    uint8_t root[MERKLE_LEN];
    int64_t at;
    uint8_t signature[128];
    uint8_t signature_n; /* 0: an officer said where the log goes on */
    uint8_t has_key;     /* the log's key was made */
    struct key *key;     /* NULL until it was used */
};

struct signer {
    struct ctx life; /* its arena holds what lives as long as the state */
    const struct clock *clock;
    const char *dir;
    uid_t officer; /* who, besides root, may use the officer's socket */
    const char *sandbox;
    struct keyring keys;
    struct signer_journal *journal;
    int64_t compact_at; /* size of the journal at which it is rewritten */
    struct weak_list *blocklists[BLOCKLISTS_MAX];
    size_t blocklists_n;
    struct ca *cas;
    struct account *accounts;
    struct audit_state audit;
    /* Keys that were handed out, by the minute, and in the batch that is being worked on (download.c). */
    struct {
        int64_t minute; /* since 1970 */
        int64_t n;
    } taken_in[60];
    int64_t taking;
    /* Changes by two people (people.h): the newest proposal first; ended ones stay for a while. */
    bool protect_on;
    int64_t protect_since; /* 0: never told anything */
    struct proposal *proposals;
    /* requests: a = intent's record, b = result's, each offset + 1.  serials: a = not after, b = 1 where revoked.
     * pins: a = record's offset + 1, b = highest fence seen since the start.
     * downloads: a = record's offset + 1, or 0 for a key that was never made, b = 1 where it was forgotten. */
    struct index requests, serials, pins, downloads;
};

struct signer_config {
    const char *dir;        /* state folder, made where it is missing; must live as long */
    const char *blocklists; /* folder with lists of weak keys; NULL or not there: none */
    uid_t officer;
    const struct clock *clock;
    const char *sandbox;
};

/* signer_open reads the state; the key-encryption key is taken over from `kek`.  The signer is on the heap. */
RC signer_open(struct ctx *ctx, const struct signer_config *config, struct secret *kek, struct signer **out);
void signer_close(struct signer *s); /* NULL is fine */

/* signer_restored readies a folder that came out of a backup, or stays beside a database that did (copy.c): CRL numbers rise by a
 * gap, for lists with those that follow may be out in the world, and the audit log goes on where the database's does.  The keys are
 * tried: E_CRYPTO where they are of another key-encryption key. */
struct signer_restored {
    int64_t crl_gap;
    uint64_t audit_size; /* of the newest head that the database knows; 0: of none */
    uint8_t audit_root[MERKLE_LEN];
};
RC signer_restored(struct ctx *ctx, const struct signer_config *config, struct secret *kek, const struct signer_restored *r);

/* state_apply takes in one record that is on the disk. */
RC state_apply(struct ctx *ctx, struct signer *s, const struct signer_record *record);
/* state_compact rewrites the journal without what nobody can ask for any more, and reads the state anew from it. */
RC state_compact(struct ctx *ctx, struct signer *s);

/* state_ca finds a CA (E_NOT_FOUND); state_ca_ready also wants its certificate to be there (E_CONFLICT). */
struct ca *state_find_ca(const struct signer *s, const char *name);
RC state_ca(struct ctx *ctx, const struct signer *s, const char *name, struct ca **out);
RC state_ca_ready(struct ctx *ctx, const struct signer *s, const char *name, struct ca **out);
/* state_ca_key lends the CA's private key. */
RC state_ca_key(struct ctx *ctx, struct signer *s, struct ca *ca, const struct key **out);
RC state_account(struct ctx *ctx, struct signer *s, const char *name, struct account **out);
/* state_next_key lends the key that is to follow (E_CONFLICT: there is none); state_key_object names a key of the account. */
RC state_next_key(struct ctx *ctx, struct signer *s, struct account *account, const struct key **out);
const char *state_key_object(struct arena *a, const char *account, uint64_t slot);
void account_keys_put(struct buf *b, const char *account, uint64_t slot, uint64_t next_slot);
struct account *state_find_account(const struct signer *s, const char *name);

/* Keys of the index. */
RC state_serial_key(struct ctx *ctx, const char *ca, struct bytes serial, uint8_t key[INDEX_KEY_LEN]);

/* The records' content.  Readers fail with E_IO: the journal's checksums held, so what cannot be read is another program's. */
void ca_facts_put(struct buf *b, const struct ca_facts *f);
void ceilings_put(struct buf *b, const char *ca, const struct ceilings *c);
struct intent {
    struct bytes key; /* of the requests' index */
    const char *request_id;
    uint8_t digest[32]; /* of what was asked */
    const char *ca, *profile, *subject;
    struct bytes serial;
    int64_t not_before, not_after;
};
void intent_put(struct buf *b, const struct intent *i);
RC intent_take(struct ctx *ctx, struct bytes content, struct intent *out);
struct pin {
    const char *attempt, *account;
    struct str_list identifiers; /* "dns:…", normalised and sorted */
    struct bytes spki_hash;      /* empty until the key is made */
};
void audit_record_put(struct buf *b, const struct audit_state *a); /* audit.c */
RC audit_record_apply(struct ctx *ctx, struct signer *s, struct bytes content);
RC download_key_apply(struct ctx *ctx, struct signer *s, const struct signer_record *record); /* download.c */
RC download_taken_apply(struct signer *s, const struct signer_record *record);
RC download_forgot_apply(struct ctx *ctx, struct signer *s, const struct signer_record *record);
/* download_stays says whether a record of a key is still needed when the journal is rewritten. */
RC download_stays(struct ctx *ctx, struct signer *s, const struct signer_record *record, bool young, bool *stays);
RC protection_apply(struct ctx *ctx, struct signer *s, struct bytes content); /* people.c */
RC proposal_apply(struct ctx *ctx, struct signer *s, struct bytes content);
RC proposal_ended_apply(struct ctx *ctx, struct signer *s, struct bytes content);
void people_forget(struct signer *s);
/* people_emit gives what of it stays when the journal is rewritten. */
typedef RC people_emit_fn(struct ctx *ctx, void *arg, enum record_type type, int64_t time, const struct buf *content);
RC people_emit(struct ctx *ctx, const struct signer *s, int64_t now, struct buf *b, people_emit_fn *emit, void *arg);
void pin_put(struct buf *b, const struct pin *p);
RC pin_take(struct ctx *ctx, struct bytes content, struct pin *out);

#endif
