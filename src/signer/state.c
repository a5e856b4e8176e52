#include "signer/state.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "os/file.h"
#include "pki/crl.h"

#define COMPACT_AT ((int64_t)64 << 20)

static RC unreadable(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_IO, "a record of the journal (%s) cannot be read: was it written by a newer Certwright?", what);
}

/* --- records */

void ca_facts_put(struct buf *b, const struct ca_facts *f)
{
    record_put_text(b, f->name);
    record_put_text(b, f->parent);
    record_put_text(b, f->organization);
    record_put_text(b, f->common_name);
    record_put_text(b, f->own_crl_url);
    record_put_text(b, f->own_issuer_url);
    record_put_text(b, key_kind_name(f->key_kind));
    buf_put_u64(b, (uint64_t)(int64_t)f->path_length);
    buf_put_u8(b, f->external ? 1 : 0);
    buf_put_mem(b, f->digest, sizeof f->digest);
    buf_put_u64(b, (uint64_t)f->issued);
    record_put_blob(b, f->certificate);
    record_put_blob(b, f->csr);
    record_put_blob(b, f->root);
    buf_put_u8(b, (uint8_t)f->chain_n);
    for (size_t i = 0; i < f->chain_n; i++)
        record_put_blob(b, f->chain[i]);
}

static bool ca_facts_take(struct arena *a, struct bytes in, struct ca_facts *f)
{
    const char *kind = NULL;
    int64_t path_length = 0;
    uint8_t external = 0, chain_n = 0;
    if (!record_take_text(a, &in, &f->name) || !record_take_text(a, &in, &f->parent) ||
        !record_take_text(a, &in, &f->organization) || !record_take_text(a, &in, &f->common_name) ||
        !record_take_text(a, &in, &f->own_crl_url) || !record_take_text(a, &in, &f->own_issuer_url) ||
        !record_take_text(a, &in, &kind) || !record_take_i64(&in, &path_length) || !bytes_take_u8(&in, &external) ||
        !record_take_digest(&in, f->digest) || !record_take_i64(&in, &f->issued) || !record_take_blob(a, &in, &f->certificate) ||
        !record_take_blob(a, &in, &f->csr) || !record_take_blob(a, &in, &f->root) || !bytes_take_u8(&in, &chain_n) ||
        chain_n > CA_CHAIN_MAX)
        return false;
    f->key_kind = key_kind_by_name(kind);
    f->path_length = (int)path_length;
    f->external = external != 0;
    for (f->chain_n = 0; f->chain_n < chain_n; f->chain_n++)
        if (!record_take_blob(a, &in, &f->chain[f->chain_n]))
            return false;
    return in.n == 0;
}

void ceilings_put(struct buf *b, const char *ca, const struct ceilings *c)
{
    record_put_text(b, ca);
    buf_put_u64(b, (uint64_t)c->max_validity_s);
    buf_put_u64(b, (uint64_t)c->per_hour);
    record_put_list(b, &c->permitted_dns);
    record_put_list(b, &c->permitted_ip);
    record_put_list(b, &c->profiles);
}

void intent_put(struct buf *b, const struct intent *i)
{
    record_put_blob(b, i->key);
    record_put_text(b, i->request_id);
    buf_put_mem(b, i->digest, sizeof i->digest);
    record_put_text(b, i->ca);
    record_put_text(b, i->profile);
    record_put_text(b, i->subject);
    record_put_blob(b, i->serial);
    buf_put_u64(b, (uint64_t)i->not_before);
    buf_put_u64(b, (uint64_t)i->not_after);
}

RC intent_take(struct ctx *ctx, struct bytes in, struct intent *out)
{
    struct arena *a = &ctx->arena;
    if (!record_take_blob(a, &in, &out->key) || out->key.n != INDEX_KEY_LEN || !record_take_text(a, &in, &out->request_id) ||
        !record_take_digest(&in, out->digest) || !record_take_text(a, &in, &out->ca) || !record_take_text(a, &in, &out->profile) ||
        !record_take_text(a, &in, &out->subject) || !record_take_blob(a, &in, &out->serial) || out->serial.n == 0 ||
        out->serial.n > SERIAL_MAX || !record_take_i64(&in, &out->not_before) || !record_take_i64(&in, &out->not_after))
        return unreadable(ctx, "intent");
    return RC_OK;
}

void pin_put(struct buf *b, const struct pin *p)
{
    record_put_text(b, p->attempt);
    record_put_text(b, p->account);
    record_put_list(b, &p->identifiers);
    record_put_blob(b, p->spki_hash);
}

RC pin_take(struct ctx *ctx, struct bytes in, struct pin *out)
{
    struct arena *a = &ctx->arena;
    if (!record_take_text(a, &in, &out->attempt) || !record_take_text(a, &in, &out->account) ||
        !record_take_list(a, &in, &out->identifiers) || !record_take_blob(a, &in, &out->spki_hash))
        return unreadable(ctx, "pin");
    return RC_OK;
}

/* --- finding */

struct ca *state_find_ca(const struct signer *s, const char *name)
{
    for (struct ca *ca = s->cas; ca != NULL; ca = ca->next)
        if (strcmp(ca->f.name, name) == 0)
            return ca;
    return NULL;
}

RC state_ca(struct ctx *ctx, const struct signer *s, const char *name, struct ca **out)
{
    *out = state_find_ca(s, name);
    return *out != NULL ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "the signer has no CA named %s", name);
}

RC state_ca_ready(struct ctx *ctx, const struct signer *s, const char *name, struct ca **out)
{
    TRY(state_ca(ctx, s, name, out));
    if ((*out)->f.certificate.n == 0)
        return ctx_fail(ctx, E_CONFLICT, "the CA %s still waits for its certificate: import the answer to its request", name);
    return RC_OK;
}

RC state_ca_key(struct ctx *ctx, struct signer *s, struct ca *ca, const struct key **out)
{
    if (ca->key == NULL)
        TRY(keyring_load(ctx, &s->keys, KEY_CLASS_CA, ca->f.name, &ca->key));
    *out = ca->key;
    return RC_OK;
}

struct account *state_find_account(const struct signer *s, const char *name)
{
    for (struct account *a = s->accounts; a != NULL; a = a->next)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

const char *state_key_object(struct arena *a, const char *account, uint64_t slot)
{
    return slot == 0 ? account : arena_printf(a, "%s-%llu", account, (unsigned long long)slot);
}

RC state_next_key(struct ctx *ctx, struct signer *s, struct account *account, const struct key **out)
{
    if (account->next_slot == 0)
        return ctx_fail(ctx, E_CONFLICT, "no key is there to follow that of the account %s", account->name);
    if (account->next_key == NULL)
        TRY(keyring_load(ctx, &s->keys, KEY_CLASS_ACME, state_key_object(&ctx->arena, account->name, account->next_slot),
                         &account->next_key));
    *out = account->next_key;
    return RC_OK;
}

void account_keys_put(struct buf *b, const char *account, uint64_t slot, uint64_t next_slot)
{
    record_put_text(b, account);
    buf_put_u64(b, slot);
    buf_put_u64(b, next_slot);
}

RC state_account(struct ctx *ctx, struct signer *s, const char *name, struct account **out)
{
    *out = state_find_account(s, name);
    if (*out == NULL)
        return ctx_fail(ctx, E_NOT_FOUND, "the signer has no ACME account %s", name);
    if ((*out)->key == NULL)
        TRY(keyring_load(ctx, &s->keys, KEY_CLASS_ACME, state_key_object(&ctx->arena, name, (*out)->slot), &(*out)->key));
    return RC_OK;
}

RC state_serial_key(struct ctx *ctx, const char *ca, struct bytes serial, uint8_t key[INDEX_KEY_LEN])
{
    return index_key(ctx, 's', bytes_z(ca), serial, key);
}

/* --- applying */

static RC parse_chain(struct ctx *ctx, struct ca *ca)
{
    ca->cert = (struct cert){0};
    if (ca->f.certificate.n > 0)
        TRY(cert_parse(ctx, ca->f.certificate, &ca->cert));
    for (size_t i = 0; i < ca->f.chain_n; i++)
        TRY(cert_parse(ctx, ca->f.chain[i], &ca->above[i]));
    return RC_OK;
}

/* What an officer has not changed.  A CA that stands above others issues nothing else. */
static void ceilings_start(struct arena *a, struct ca *ca)
{
    static const char *const profiles[] = {"tls-server", "tls-client", "tls-mutual"};
    ca->ceilings = (struct ceilings){.max_validity_s = (int64_t)398 * 86400, .per_hour = 100000};
    if (strcmp(ca->f.name, CA_NAME_FLEET) != 0 && ca->f.path_length <= 0)
        for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
            str_list_add(a, &ca->ceilings.profiles, profiles[i]);
}

static RC apply_ca(struct signer *s, struct bytes in)
{
    struct ctx *life = &s->life;
    struct ca_facts f = {0};
    if (!ca_facts_take(&life->arena, in, &f))
        return unreadable(life, "ca");
    struct ca *ca = state_find_ca(s, f.name);
    if (ca == NULL) {
        ca = ARENA_NEW(&life->arena, struct ca);
        ca->f = f;
        ceilings_start(&life->arena, ca);
        ca->next = s->cas;
        s->cas = ca;
    }
    ca->f = f;
    return parse_chain(life, ca);
}

static RC apply_ceilings(struct signer *s, struct bytes in)
{
    struct arena *a = &s->life.arena;
    const char *name = NULL;
    struct ceilings c = {0};
    if (!record_take_text(a, &in, &name) || !record_take_i64(&in, &c.max_validity_s) || !record_take_i64(&in, &c.per_hour) ||
        !record_take_list(a, &in, &c.permitted_dns) || !record_take_list(a, &in, &c.permitted_ip) ||
        !record_take_list(a, &in, &c.profiles))
        return unreadable(&s->life, "ceilings");
    struct ca *ca = state_find_ca(s, name);
    if (ca != NULL)
        ca->ceilings = c;
    return RC_OK;
}

static RC apply_serial(struct ctx *ctx, struct signer *s, const char *ca, struct bytes serial, int64_t not_after)
{
    uint8_t key[INDEX_KEY_LEN];
    TRY(state_serial_key(ctx, ca, serial, key));
    index_put(&s->serials, key)->a = (uint64_t)not_after;
    return RC_OK;
}

static RC apply_intent(struct ctx *ctx, struct signer *s, const struct signer_record *record)
{
    struct intent i = {0};
    TRY(intent_take(ctx, record->content, &i));
    index_put(&s->requests, i.key.p)->a = record->offset + 1;
    TRY(apply_serial(ctx, s, i.ca, i.serial, i.not_after));
    struct ca *ca = state_find_ca(s, i.ca);
    if (ca == NULL)
        return RC_OK; /* a CA that signs itself: its record comes after */
    int64_t minute = record->time / 60;
    size_t at = (size_t)(minute % 60);
    if (ca->issued_in[at].minute != minute) {
        ca->issued_in[at].minute = minute;
        ca->issued_in[at].n = 0;
    }
    ca->issued_in[at].n++;
    return RC_OK;
}

static RC apply_issued(struct ctx *ctx, struct signer *s, const struct signer_record *record)
{
    struct bytes in = record->content, key;
    const char *name = NULL;
    if (!record_take_blob(&ctx->arena, &in, &key) || key.n != INDEX_KEY_LEN || !record_take_text(&ctx->arena, &in, &name))
        return unreadable(ctx, "issued");
    index_put(&s->requests, key.p)->b = record->offset + 1;
    struct ca *ca = state_find_ca(s, name);
    if (ca != NULL)
        ca->f.issued++;
    return RC_OK;
}

static void add_revoked(struct ca *ca, const struct revoked *r)
{
    if (ca->revoked_n == ca->revoked_cap) {
        size_t cap = ca->revoked_cap == 0 ? 16 : ca->revoked_cap * 2;
        struct revoked *v = reallocarray(ca->revoked, cap, sizeof *v);
        if (v == NULL)
            abort();
        ca->revoked = v;
        ca->revoked_cap = cap;
    }
    ca->revoked[ca->revoked_n++] = *r;
}

static RC apply_revoked(struct ctx *ctx, struct signer *s, struct bytes in)
{
    const char *name = NULL;
    struct bytes serial;
    struct revoked r = {0};
    if (!record_take_text(&ctx->arena, &in, &name) || !record_take_blob(&ctx->arena, &in, &serial) || serial.n > SERIAL_MAX ||
        !record_take_i64(&in, &r.at) || !bytes_take_u8(&in, &r.reason) || !record_take_i64(&in, &r.not_after))
        return unreadable(ctx, "revoked");
    uint8_t key[INDEX_KEY_LEN];
    TRY(state_serial_key(ctx, name, serial, key));
    struct index_entry *e = index_put(&s->serials, key);
    struct ca *ca = state_find_ca(s, name);
    if (ca == NULL || e->b == 1)
        return RC_OK;
    e->a = (uint64_t)r.not_after;
    e->b = 1;
    memcpy(r.serial, serial.p, serial.n);
    r.serial_n = (uint8_t)serial.n;
    add_revoked(ca, &r);
    ca->crl_stale = true;
    return RC_OK;
}

/* A certificate that expired leaves the list once it was on one made after it had expired (RFC 5280 section 3.3). */
static RC apply_crl(struct ctx *ctx, struct signer *s, struct bytes in)
{
    const char *name = NULL;
    int64_t number = 0, this_update = 0, next_update = 0;
    if (!record_take_text(&ctx->arena, &in, &name) || !record_take_i64(&in, &number) || !record_take_i64(&in, &this_update) ||
        !record_take_i64(&in, &next_update))
        return unreadable(ctx, "crl");
    struct ca *ca = state_find_ca(s, name);
    if (ca == NULL)
        return RC_OK;
    size_t kept = 0;
    for (size_t i = 0; i < ca->revoked_n; i++)
        if (ca->revoked[i].not_after >= ca->crl_this)
            ca->revoked[kept++] = ca->revoked[i];
    ca->revoked_n = kept;
    ca->crl_number = number;
    ca->crl_this = this_update;
    ca->crl_next = next_update;
    ca->crl_stale = false;
    free((void *)(uintptr_t)ca->crl.p);
    ca->crl = (struct bytes){0};
    return RC_OK;
}

static RC apply_account(struct signer *s, struct bytes in)
{
    struct arena *a = &s->life.arena;
    struct account *account = ARENA_NEW(a, struct account);
    const char *kind = NULL;
    if (!record_take_text(a, &in, &account->name) || !record_take_text(a, &in, &account->directory_url) ||
        !record_take_text(a, &in, &kind))
        return unreadable(&s->life, "account");
    account->key_kind = key_kind_by_name(kind);
    if (state_find_account(s, account->name) == NULL) {
        account->next = s->accounts;
        s->accounts = account;
    }
    return RC_OK;
}

static void key_drop(struct signer *s, struct key **key)
{
    if (*key == NULL)
        return;
    key_free(*key);
    *key = NULL;
    s->keys.keys--;
}

static RC apply_account_keys(struct signer *s, struct bytes in)
{
    const char *name = NULL;
    uint64_t slot = 0, next = 0;
    struct ctx one CTX_CLEANUP = {0};
    if (!record_take_text(&one.arena, &in, &name) || !bytes_take_u64(&in, &slot) || !bytes_take_u64(&in, &next))
        return unreadable(&s->life, "keys of an account");
    struct account *a = state_find_account(s, name);
    if (a == NULL)
        return unreadable(&s->life, "keys of an account that is not there");
    if (a->slot != slot) {
        key_drop(s, &a->key);
        if (slot == a->next_slot) {
            a->key = a->next_key;
            a->next_key = NULL;
        }
    }
    if (a->next_slot != next)
        key_drop(s, &a->next_key);
    a->slot = slot;
    a->next_slot = next;
    return RC_OK;
}

static RC apply_pin(struct ctx *ctx, struct signer *s, const struct signer_record *record)
{
    struct pin p = {0};
    TRY(pin_take(ctx, record->content, &p));
    uint8_t key[INDEX_KEY_LEN];
    TRY(index_key(ctx, 'p', bytes_z(p.attempt), (struct bytes){0}, key));
    index_put(&s->pins, key)->a = record->offset + 1;
    return RC_OK;
}

static RC apply_old_serial(struct ctx *ctx, struct signer *s, struct bytes in)
{
    const char *ca = NULL;
    struct bytes serial;
    int64_t not_after = 0;
    if (!record_take_text(&ctx->arena, &in, &ca) || !record_take_blob(&ctx->arena, &in, &serial) ||
        !record_take_i64(&in, &not_after))
        return unreadable(ctx, "serial");
    return apply_serial(ctx, s, ca, serial, not_after);
}

RC state_apply(struct ctx *ctx, struct signer *s, const struct signer_record *record)
{
    switch (record->type) {
    case RECORD_CA:
        return apply_ca(s, record->content);
    case RECORD_CEILINGS:
        return apply_ceilings(s, record->content);
    case RECORD_INTENT:
        return apply_intent(ctx, s, record);
    case RECORD_ISSUED:
        return apply_issued(ctx, s, record);
    case RECORD_REVOKED:
        return apply_revoked(ctx, s, record->content);
    case RECORD_CRL:
        return apply_crl(ctx, s, record->content);
    case RECORD_ACCOUNT:
        return apply_account(s, record->content);
    case RECORD_ACCOUNT_KEYS:
        return apply_account_keys(s, record->content);
    case RECORD_PIN:
        return apply_pin(ctx, s, record);
    case RECORD_SERIAL:
        return apply_old_serial(ctx, s, record->content);
    case RECORD_AUDIT_HEAD:
        return audit_record_apply(ctx, s, record->content);
    case RECORD_DOWNLOAD_KEY:
        return download_key_apply(ctx, s, record);
    case RECORD_DOWNLOAD_TAKEN:
        return download_taken_apply(s, record);
    case RECORD_DOWNLOAD_FORGOT:
        return download_forgot_apply(ctx, s, record);
    case RECORD_PROTECTION:
        return protection_apply(ctx, s, record->content);
    case RECORD_PROPOSAL:
        return proposal_apply(ctx, s, record->content);
    case RECORD_PROPOSAL_ENDED:
        return proposal_ended_apply(ctx, s, record->content);
    default:
        return unreadable(ctx, "unknown type");
    }
}

/* Replay reads millions of records: the arena is emptied between them. */
static RC replay_one(struct ctx *ctx, void *arg, const struct signer_record *record)
{
    (void)ctx;
    struct signer *s = arg;
    struct ctx one CTX_CLEANUP = {0};
    one.clock = s->clock;
    struct rc rc = state_apply(&one, s, record);
    if (rc_failed(rc))
        return ctx_fail(ctx, rc.e, "%s%s", ctx_why(&one), ctx_why(&s->life));
    return RC_OK;
}

static int64_t number_of(const struct crl *crl)
{
    int64_t v = 0;
    for (size_t i = 0; i < crl->number.n; i++) {
        if (v > INT64_MAX >> 8)
            return -1;
        v = v << 8 | crl->number.p[i];
    }
    return v;
}

/* The last CRL is kept as a file; one that is not the last, or not there, is made anew when somebody asks. */
static void load_crls(struct ctx *ctx, struct signer *s)
{
    for (struct ca *ca = s->cas; ca != NULL; ca = ca->next) {
        struct bytes der;
        struct crl crl;
        if (ca->crl_number == 0)
            continue;
        if (rc_failed(file_read(ctx, arena_printf(&ctx->arena, "%s/crl/%s.der", s->dir, ca->f.name), CRL_MAX, &der)) ||
            rc_failed(crl_parse(ctx, der, &crl)) || number_of(&crl) != ca->crl_number) {
            ctx_forget(ctx);
            ca->crl_stale = true;
            continue;
        }
        uint8_t *copy = malloc(der.n);
        if (copy == NULL)
            continue;
        memcpy(copy, der.p, der.n);
        ca->crl = bytes_of(copy, der.n);
    }
}

static void forget(struct signer *s)
{
    for (struct ca *ca = s->cas; ca != NULL; ca = ca->next) {
        key_free(ca->key);
        free(ca->revoked);
        free((void *)(uintptr_t)ca->crl.p);
    }
    for (struct account *a = s->accounts; a != NULL; a = a->next) {
        key_free(a->key);
        key_free(a->next_key);
    }
    key_free(s->audit.key);
    s->audit = (struct audit_state){0};
    s->cas = NULL;
    s->accounts = NULL;
    index_free(&s->requests);
    index_free(&s->serials);
    index_free(&s->pins);
    index_free(&s->downloads);
    people_forget(s);
    memset(s->taken_in, 0, sizeof s->taken_in);
    s->keys.keys = 0;
    ctx_reset(&s->life);
}

/* --- compaction */

struct compaction {
    struct signer *s;
    struct signer_journal *fresh;
    int64_t now;
    size_t waiting; /* bytes appended and not committed */
    struct buf content;
};

static RC emit(struct ctx *ctx, struct compaction *c, uint8_t type, int64_t time, struct bytes content)
{
    signer_journal_append(c->fresh, type, time, content);
    c->waiting += content.n;
    if (c->waiting < ((size_t)4 << 20))
        return RC_OK;
    c->waiting = 0;
    return signer_journal_commit(ctx, c->fresh);
}

static RC emit_serial(struct ctx *ctx, struct compaction *c, const struct intent *i, int64_t time)
{
    if (i->not_after < c->now - 86400)
        return RC_OK;
    buf_reset(&c->content);
    record_put_text(&c->content, i->ca);
    record_put_blob(&c->content, i->serial);
    buf_put_u64(&c->content, (uint64_t)i->not_after);
    return emit(ctx, c, RECORD_SERIAL, time, buf_bytes(&c->content));
}

static RC copy_one(struct ctx *ctx, void *arg, const struct signer_record *r)
{
    struct compaction *c = arg;
    struct ctx one CTX_CLEANUP = {0};
    one.clock = c->s->clock;
    bool young = r->time > c->now - REPLAY_S;
    struct rc rc = RC_OK;
    struct intent i = {0};
    if (young && (r->type == RECORD_INTENT || r->type == RECORD_ISSUED || r->type == RECORD_PIN)) {
        rc = emit(&one, c, r->type, r->time, r->content);
    } else if (r->type == RECORD_INTENT) {
        rc = intent_take(&one, r->content, &i);
        if (rc_ok(rc))
            rc = emit_serial(&one, c, &i, r->time);
    } else if (r->type == RECORD_SERIAL) {
        struct bytes in = r->content;
        if (!record_take_text(&one.arena, &in, &i.ca) || !record_take_blob(&one.arena, &in, &i.serial) ||
            !record_take_i64(&in, &i.not_after))
            rc = unreadable(&one, "serial");
        else
            rc = emit_serial(&one, c, &i, r->time);
    } else {
        bool stays = false;
        rc = download_stays(&one, c->s, r, young, &stays);
        if (rc_ok(rc) && stays)
            rc = emit(&one, c, r->type, r->time, r->content);
    }
    return rc_ok(rc) ? rc : ctx_fail(ctx, rc.e, "%s", ctx_why(&one));
}

static RC emit_crl(struct ctx *ctx, struct compaction *c, const struct ca *ca)
{
    if (ca->crl_number == 0)
        return RC_OK;
    buf_reset(&c->content);
    record_put_text(&c->content, ca->f.name);
    buf_put_u64(&c->content, (uint64_t)ca->crl_number);
    buf_put_u64(&c->content, (uint64_t)ca->crl_this);
    buf_put_u64(&c->content, (uint64_t)ca->crl_next);
    return emit(ctx, c, RECORD_CRL, c->now, buf_bytes(&c->content));
}

static RC emit_ca(struct ctx *ctx, struct compaction *c, const struct ca *ca)
{
    buf_reset(&c->content);
    ca_facts_put(&c->content, &ca->f);
    TRY(emit(ctx, c, RECORD_CA, c->now, buf_bytes(&c->content)));
    buf_reset(&c->content);
    ceilings_put(&c->content, ca->f.name, &ca->ceilings);
    return emit(ctx, c, RECORD_CEILINGS, c->now, buf_bytes(&c->content));
}

/* A CRL's record says that the revocations before it are on it: the order keeps that. */
static RC emit_revocations(struct ctx *ctx, struct compaction *c, const struct ca *ca)
{
    if (ca->crl_stale)
        TRY(emit_crl(ctx, c, ca));
    for (size_t i = 0; i < ca->revoked_n; i++) {
        const struct revoked *r = &ca->revoked[i];
        buf_reset(&c->content);
        record_put_text(&c->content, ca->f.name);
        record_put_blob(&c->content, bytes_of(r->serial, r->serial_n));
        buf_put_u64(&c->content, (uint64_t)r->at);
        buf_put_u8(&c->content, r->reason);
        buf_put_u64(&c->content, (uint64_t)r->not_after);
        TRY(emit(ctx, c, RECORD_REVOKED, r->at, buf_bytes(&c->content)));
    }
    return ca->crl_stale ? RC_OK : emit_crl(ctx, c, ca);
}

static RC emit_people(struct ctx *ctx, void *arg, enum record_type type, int64_t time, const struct buf *content)
{
    TRY(buf_status(content));
    return emit(ctx, arg, (uint8_t)type, time, buf_bytes(content));
}

static RC emit_all(struct ctx *ctx, struct compaction *c)
{
    struct signer *s = c->s;
    for (const struct account *a = s->accounts; a != NULL; a = a->next) {
        buf_reset(&c->content);
        record_put_text(&c->content, a->name);
        record_put_text(&c->content, a->directory_url);
        record_put_text(&c->content, key_kind_name(a->key_kind));
        TRY(emit(ctx, c, RECORD_ACCOUNT, c->now, buf_bytes(&c->content)));
        if (a->slot == 0 && a->next_slot == 0)
            continue;
        buf_reset(&c->content);
        account_keys_put(&c->content, a->name, a->slot, a->next_slot);
        TRY(emit(ctx, c, RECORD_ACCOUNT_KEYS, c->now, buf_bytes(&c->content)));
    }
    if (s->audit.some) {
        buf_reset(&c->content);
        audit_record_put(&c->content, &s->audit);
        TRY(emit(ctx, c, RECORD_AUDIT_HEAD, c->now, buf_bytes(&c->content)));
    }
    TRY(people_emit(ctx, s, c->now, &c->content, emit_people, c));
    for (const struct ca *ca = s->cas; ca != NULL; ca = ca->next)
        TRY(emit_ca(ctx, c, ca));
    TRY(signer_journal_walk(ctx, s->journal, copy_one, c));
    for (const struct ca *ca = s->cas; ca != NULL; ca = ca->next) {
        TRY(emit_revocations(ctx, c, ca));
        TRY(emit_ca(ctx, c, ca)); /* again: the count of what it issued as it is now */
    }
    return signer_journal_commit(ctx, c->fresh);
}

RC state_compact(struct ctx *ctx, struct signer *s)
{
    struct compaction c = {.s = s, .now = clock_unix_s(s->clock)};
    int64_t before = signer_journal_size(s->journal);
    TRY(signer_journal_rewrite(ctx, s->journal, &c.fresh));
    buf_init(&c.content, JOURNAL_FRAME_MAX);
    struct rc rc = emit_all(ctx, &c);
    buf_free(&c.content);
    if (rc_failed(rc)) {
        signer_journal_discard(c.fresh);
        return rc;
    }
    TRY(signer_journal_adopt(ctx, s->journal, c.fresh));
    forget(s);
    rc = signer_journal_walk(ctx, s->journal, replay_one, s);
    if (rc_failed(rc)) { /* half a state must not sign: a restart reads it from the start */
        log_event(LOG_ERROR_, "journal_not_read_back", "why", ctx_why(ctx), NULL);
        abort();
    }
    load_crls(ctx, s);
    int64_t after = signer_journal_size(s->journal);
    s->compact_at = after * 2 > COMPACT_AT ? after * 2 : COMPACT_AT;
    log_event(LOG_INFO_, "journal_compacted", "before", log_num(before), "after", log_num(after), NULL);
    return RC_OK;
}

/* --- opening */

static RC load_blocklists(struct ctx *ctx, struct signer *s, const char *dir)
{
    int fd FD_CLEANUP = -1;
    struct rc rc = dir == NULL || dir[0] == 0 ? rc_of(E_NOT_FOUND) : file_open_dir(ctx, dir, &fd);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    struct str_list names = {0};
    TRY(file_list(ctx, fd, &names));
    for (size_t i = 0; i < names.n; i++) {
        if (s->blocklists_n == BLOCKLISTS_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "%s holds more than %d lists of weak keys", dir, BLOCKLISTS_MAX);
        TRY(weak_list_load(ctx, arena_printf(&ctx->arena, "%s/%s", dir, names.v[i]), &s->blocklists[s->blocklists_n]));
        s->blocklists_n++;
    }
    return RC_OK;
}

static RC open_parts(struct ctx *ctx, const struct signer_config *config, struct secret *kek, struct signer *s)
{
    TRY(file_mkdirs(ctx, s->dir, 0700));
    TRY(file_mkdirs(ctx, arena_printf(&ctx->arena, "%s/crl", s->dir), 0700));
    TRY(keyring_open(ctx, "file", arena_printf(&ctx->arena, "%s/keys", s->dir), kek, &s->keys));
    TRY(load_blocklists(ctx, s, config->blocklists));
    TRY(signer_journal_open(ctx, arena_printf(&ctx->arena, "%s/journal", s->dir), replay_one, s, &s->journal));
    load_crls(ctx, s);
    int64_t size = signer_journal_size(s->journal);
    s->compact_at = size > COMPACT_AT / 2 ? size * 2 : COMPACT_AT;
    return RC_OK;
}

RC signer_open(struct ctx *ctx, const struct signer_config *config, struct secret *kek, struct signer **out)
{
    struct signer *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the signer");
    s->clock = config->clock;
    s->officer = config->officer;
    s->sandbox = config->sandbox == NULL ? "" : config->sandbox;
    s->dir = config->dir;
    ctx_init(&s->life, s->clock);
    struct rc rc = open_parts(ctx, config, kek, s);
    if (rc_failed(rc)) {
        signer_close(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

void signer_close(struct signer *s)
{
    if (s == NULL)
        return;
    forget(s);
    for (size_t i = 0; i < s->blocklists_n; i++)
        weak_list_free(s->blocklists[i]);
    signer_journal_close(s->journal);
    keyring_close(&s->keys);
    ctx_free(&s->life);
    free(s);
}
