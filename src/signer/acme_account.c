/* ACME account keys: pinned to the directory they were made for, and each attempt to what the hub stated for it (invariant 3). */
#include "base/encode.h"
#include "base/json.h"
#include "base/uri.h"
#include "pki/csr.h"
#include "pki/jose.h"
#include "signer/work.h"

#define BODY_MAX 65536

/* --- accounts */

static RC account_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_account *in = w->in;
    struct wire_signer_acme_key *out = w->out;
    struct account *account = NULL;
    TRY(state_account(w->ctx, s, in->account, &account));
    TRY(jose_jwk(w->ctx, account->key, &out->jwk));
    return jose_thumbprint(w->ctx, account->key, &out->thumbprint);
}

/* A key that another client made for an account that is there. */
static RC take_import(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_account *in, enum key_kind *kind)
{
    struct key *key KEY_CLEANUP = NULL;
    struct bytes text = bytes_trim(secret_use(&in->import));
    struct rc rc = text.n > 0 && text.p[0] == '{' ? jose_private_from_jwk(ctx, text, &key) : key_from_pem(ctx, &in->import, &key);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the account's key is neither PEM nor a private JWK that can be used");
    *kind = key_kind_of(key);
    if (*kind != KEY_EC_P256 && *kind != KEY_EC_P384 && key_public(key)->kind != SPKI_RSA)
        return ctx_fail(ctx, E_UNSUPPORTED, "the account's key is neither RSA nor EC P-256 or P-384");
    /* Its numbers may not belong together: it proves itself. */
    struct bytes proof = BYTES_LIT("certwright"), signature;
    TRY(key_sign(ctx, key, proof, &signature));
    rc = key_verify_own(ctx, key, proof, signature);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the account's key is broken");
    return keyring_keep(ctx, &s->keys, KEY_CLASS_ACME, in->account, key);
}

RC acme_account_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_account *in = w->in;
    struct uri uri;
    enum key_kind kind = in->key_kind[0] == 0 ? KEY_EC_P256 : key_kind_by_name(in->key_kind);
    if (!str_is_name(bytes_z(in->account)))
        return ctx_fail(w->ctx, E_INVALID, "\"%s\" cannot name an account", in->account);
    if (kind == KEY_OTHER)
        return ctx_fail(w->ctx, E_INVALID, "no kind of key is named %s", in->key_kind);
    TRY(uri_parse(w->ctx, bytes_z(in->directory_url), &uri));
    if (!uri.https)
        return ctx_fail(w->ctx, E_INVALID, "the directory of an ACME CA has an https:// URL (RFC 8555 section 6.1)");
    w->answer = account_answer;
    const struct account *there = state_find_account(s, in->account);
    if (there != NULL) {
        if (strcmp(there->directory_url, in->directory_url) != 0)
            return ctx_fail(w->ctx, E_EXISTS, "the account %s is pinned to %s", in->account, there->directory_url);
        if (secret_use(&in->import).n > 0)
            return ctx_fail(w->ctx, E_EXISTS, "the account %s has a key already", in->account);
        return RC_OK;
    }
    if (secret_use(&in->import).n > 0) {
        TRY(take_import(w->ctx, s, in, &kind));
    } else {
        struct key *key = NULL;
        TRY(keyring_make(w->ctx, &s->keys, KEY_CLASS_ACME, in->account, kind, &key));
        key_free(key);
        s->keys.keys--;
    }
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 8192);
    record_put_text(&b, in->account);
    record_put_text(&b, in->directory_url);
    record_put_text(&b, key_kind_name(kind));
    return work_journal(s, w, RECORD_ACCOUNT, &b);
}

/* --- another key for an account */

static RC next_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_change_key *in = w->in;
    struct wire_signer_acme_key *out = w->out;
    struct account *account = NULL;
    const struct key *key = NULL;
    TRY(state_account(w->ctx, s, in->account, &account));
    TRY(state_next_key(w->ctx, s, account, &key));
    TRY(jose_jwk(w->ctx, key, &out->jwk));
    return jose_thumbprint(w->ctx, key, &out->thumbprint);
}

/* What the journal no longer names is destroyed; a crash in between leaves it to the next change. */
static RC change_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_change_key *in = w->in;
    struct wire_signer_acme_key *out = w->out;
    struct account *account = NULL;
    TRY(state_account(w->ctx, s, in->account, &account));
    for (uint64_t slot = account->slot; slot-- > 0 && slot + 3 > account->slot;)
        TRY(keyring_destroy(w->ctx, &s->keys, KEY_CLASS_ACME, state_key_object(&w->ctx->arena, account->name, slot)));
    TRY(keyring_destroy(w->ctx, &s->keys, KEY_CLASS_ACME,
                        state_key_object(&w->ctx->arena, account->name, account->slot + 1)));
    TRY(jose_jwk(w->ctx, account->key, &out->jwk));
    return jose_thumbprint(w->ctx, account->key, &out->thumbprint);
}

RC acme_change_key_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_change_key *in = w->in;
    struct account *account = NULL;
    struct buf b BUF_CLEANUP = {0};
    const bool next = in->step == WIRE_signer_acme_change_key_step_next;
    TRY(state_account(w->ctx, s, in->account, &account));
    w->answer = next ? next_answer : change_answer;
    if (next == (account->next_slot != 0))
        return RC_OK;
    buf_init(&b, 1024);
    if (next) {
        struct key *key = NULL;
        const enum key_kind kind = account->key_kind == KEY_OTHER ? KEY_EC_P256 : account->key_kind;
        TRY(keyring_make(w->ctx, &s->keys, KEY_CLASS_ACME, state_key_object(&w->ctx->arena, account->name, account->slot + 1), kind,
                         &key));
        key_free(key);
        s->keys.keys--;
        account_keys_put(&b, account->name, account->slot, account->slot + 1);
    } else if (in->step == WIRE_signer_acme_change_key_step_take) {
        account_keys_put(&b, account->name, account->next_slot, 0);
    } else {
        account_keys_put(&b, account->name, account->slot, 0);
    }
    return work_journal(s, w, RECORD_ACCOUNT_KEYS, &b);
}

RC acme_keyauth_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_keyauth *in = w->in;
    struct wire_signer_acme_keyauth_made *out = w->out;
    struct account *account = NULL;
    TRY(state_account(w->ctx, s, in->account, &account));
    for (const char *p = in->token; *p != 0; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
            return ctx_fail(w->ctx, E_INVALID, "a token is base64url (RFC 8555 section 8.1)");
    if (in->token[0] == 0)
        return ctx_fail(w->ctx, E_INVALID, "the token is empty");
    return jose_key_authorization(w->ctx, account->key, bytes_z(in->token), &out->key_authorization);
}

RC seal_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_seal *in = w->in;
    struct wire_signer_sealed *out = w->out;
    return keyring_seal(w->ctx, &s->keys, wire_signer_seal_class_word(in->class), in->object, &in->plain, &out->sealed);
}

/* --- pins */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static RC read_identifiers(struct ctx *ctx, struct wire_texts in, struct name_list *names, struct str_list *sorted)
{
    *names = (struct name_list){0};
    *sorted = (struct str_list){0};
    for (size_t i = 0; i < in.n; i++) {
        struct name name;
        TRY(name_parse(ctx, bytes_z(in.v[i]), &name));
        name_list_add(&ctx->arena, names, name);
    }
    if (names->n == 0)
        return ctx_fail(ctx, E_INVALID, "no identifier");
    for (size_t i = 0; i < names->n; i++)
        str_list_add(&ctx->arena, sorted, name_prefixed(&ctx->arena, &names->v[i]));
    qsort(sorted->v, sorted->n, sizeof *sorted->v, compare_texts);
    return RC_OK;
}

static bool same_texts(const struct str_list *a, const struct str_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    return true;
}

/* find_pin: `entry` is NULL where the attempt has none. */
static RC find_pin(struct ctx *ctx, struct signer *s, const char *attempt, struct index_entry **entry, struct pin *out)
{
    uint8_t key[INDEX_KEY_LEN];
    struct signer_record record;
    *out = (struct pin){0};
    TRY(index_key(ctx, 'p', bytes_z(attempt), (struct bytes){0}, key));
    *entry = index_find(&s->pins, key);
    if (*entry == NULL)
        return RC_OK;
    TRY(signer_journal_read(ctx, s->journal, (*entry)->a - 1, &record));
    return pin_take(ctx, record.content, out);
}

RC acme_pin_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_pin *in = w->in;
    struct name_list names;
    struct pin pin = {.attempt = in->attempt, .account = in->account, .spki_hash = in->csr_spki_hash}, there;
    struct index_entry *entry = NULL;
    if (in->attempt[0] == 0)
        return ctx_fail(w->ctx, E_INVALID, "a pin needs an attempt");
    if (pin.spki_hash.n != 0 && pin.spki_hash.n != 32)
        return ctx_fail(w->ctx, E_INVALID, "csr_spki_hash is a SHA-256 hash of 32 bytes");
    if (state_find_account(s, in->account) == NULL)
        return ctx_fail(w->ctx, E_NOT_FOUND, "the signer has no ACME account %s", in->account);
    TRY(read_identifiers(w->ctx, in->identifiers, &names, &pin.identifiers));
    TRY(find_pin(w->ctx, s, in->attempt, &entry, &there));
    if (entry != NULL) {
        bool key_fits = there.spki_hash.n == 0 || pin.spki_hash.n == 0 || bytes_equal(there.spki_hash, pin.spki_hash);
        if (strcmp(there.account, pin.account) != 0 || !same_texts(&there.identifiers, &pin.identifiers) || !key_fits)
            return ctx_fail(w->ctx, E_CONFLICT, "the attempt %s is pinned to something else", in->attempt);
        if (there.spki_hash.n > 0 || pin.spki_hash.n == 0)
            return RC_OK;
    }
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 65536);
    pin_put(&b, &pin);
    return work_journal(s, w, RECORD_PIN, &b);
}

/* --- signing */

static RC check_pinned(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_sign *in, struct pin *pin)
{
    struct index_entry *entry = NULL;
    TRY(find_pin(ctx, s, in->attempt, &entry, pin));
    if (entry == NULL)
        return ctx_fail(ctx, E_CEILING, "the attempt \"%s\" is not pinned", in->attempt);
    if (strcmp(pin->account, in->account) != 0)
        return ctx_fail(ctx, E_CEILING, "the attempt %s is pinned to another account", in->attempt);
    if (in->fence < 0 || (uint64_t)in->fence < entry->b)
        return ctx_fail(ctx, E_FENCED, "the attempt %s is in other hands since", in->attempt);
    entry->b = (uint64_t)in->fence;
    return RC_OK;
}

static RC put_new_order(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_sign *in, struct json_out *j)
{
    struct pin pin;
    struct name_list names;
    struct str_list sorted;
    TRY(check_pinned(ctx, s, in, &pin));
    TRY(read_identifiers(ctx, in->identifiers, &names, &sorted));
    if (!same_texts(&sorted, &pin.identifiers))
        return ctx_fail(ctx, E_CEILING, "the order asks for other names than those that the attempt %s is pinned to", in->attempt);
    json_open_list(j, "identifiers");
    for (size_t i = 0; i < names.n; i++) {
        json_open_obj(j, NULL);
        json_put_str(j, "type", names.v[i].kind == NAME_DNS ? "dns" : "ip");
        json_put_str(j, "value", names.v[i].text);
        json_close(j);
    }
    json_close(j);
    if (in->replaces[0] != 0)
        json_put_str(j, "replaces", in->replaces);
    if (in->profile[0] != 0)
        json_put_str(j, "profile", in->profile);
    return RC_OK;
}

static RC put_finalize(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_sign *in, struct json_out *j)
{
    struct pin pin;
    struct csr csr;
    struct name_list names = {0};
    TRY(check_pinned(ctx, s, in, &pin));
    TRY(csr_parse(ctx, in->csr, &csr));
    if (!bytes_equal(pin.spki_hash, bytes_of(csr.spki_sha256, sizeof csr.spki_sha256)))
        return ctx_fail(ctx, E_CEILING, "the request is for another key than the one that the attempt %s is pinned to",
                        in->attempt);
    TRY(name_list_parse(ctx, pin.identifiers.v, pin.identifiers.n, &names));
    if (!name_list_same(&csr.names, &names))
        return ctx_fail(ctx, E_CEILING, "the request names other hosts than those that the attempt %s is pinned to", in->attempt);
    json_put_str(j, "csr", base64url_str(&ctx->arena, in->csr));
    return RC_OK;
}

static RC put_contacts(struct ctx *ctx, const struct wire_signer_acme_sign *in, struct json_out *j)
{
    if (in->contacts.n == 0 && in->operation == WIRE_signer_acme_sign_operation_new_account)
        return RC_OK;
    json_open_list(j, "contact");
    for (size_t i = 0; i < in->contacts.n; i++) {
        if (strncmp(in->contacts.v[i], "mailto:", 7) != 0)
            return ctx_fail(ctx, E_INVALID, "a contact is a mailto: URL, not %s", in->contacts.v[i]);
        json_put_str(j, NULL, in->contacts.v[i]);
    }
    json_close(j);
    return RC_OK;
}

static RC put_account(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_sign *in, const struct key *key,
                      struct json_out *j)
{
    if (in->only_existing && in->operation == WIRE_signer_acme_sign_operation_new_account) {
        json_put_bool(j, "onlyReturnExisting", true);
        return RC_OK;
    }
    if (in->terms_agreed)
        json_put_bool(j, "termsOfServiceAgreed", true);
    TRY(put_contacts(ctx, in, j));
    if (in->eab_key.n == 0 || in->operation != WIRE_signer_acme_sign_operation_new_account)
        return RC_OK;
    struct secret mac SECRET_CLEANUP = {0};
    struct buf eab;
    buf_init_arena(&eab, &ctx->arena, 16384);
    TRY(keyring_unseal(ctx, &s->keys, wire_signer_seal_class_word(WIRE_signer_seal_class_eab_key), in->account, in->eab_key, &mac));
    TRY(jose_eab(ctx, key, in->eab_kid, &mac, in->url, &eab));
    TRY(buf_status(&eab));
    json_put_raw(j, "externalAccountBinding", buf_bytes(&eab));
    return RC_OK;
}

/* RFC 8555 section 7.3.5: the new key signs for which account and old key it shall be. */
static RC put_key_change(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_sign *in, struct account *account,
                         struct buf *out)
{
    const struct key *next = NULL;
    const struct jose_header header = {.url = in->url};
    const char *old = NULL;
    struct buf payload;
    struct json_out j;
    TRY(state_next_key(ctx, s, account, &next));
    TRY(jose_jwk(ctx, account->key, &old));
    buf_init_arena(&payload, &ctx->arena, 8192);
    json_begin(&j, &payload);
    json_open_obj(&j, NULL);
    json_put_str(&j, "account", in->kid);
    json_put_raw(&j, "oldKey", bytes_z(old));
    json_close(&j);
    TRY(buf_status(&payload));
    return jose_sign(ctx, next, &header, buf_bytes(&payload), out);
}

static RC put_payload(struct ctx *ctx, struct signer *s, const struct wire_signer_acme_sign *in, const struct key *key,
                      struct buf *out)
{
    struct json_out j;
    struct pin pin;
    struct rc rc = RC_OK;
    if (in->operation == WIRE_signer_acme_sign_operation_get)
        return RC_OK; /* POST-as-GET has no payload */
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    switch (in->operation) {
    case WIRE_signer_acme_sign_operation_new_account:
    case WIRE_signer_acme_sign_operation_update_account:
        rc = put_account(ctx, s, in, key, &j);
        break;
    case WIRE_signer_acme_sign_operation_deactivate_account:
        json_put_str(&j, "status", "deactivated");
        break;
    case WIRE_signer_acme_sign_operation_new_order:
        rc = put_new_order(ctx, s, in, &j);
        break;
    case WIRE_signer_acme_sign_operation_challenge:
        rc = check_pinned(ctx, s, in, &pin);
        break;
    case WIRE_signer_acme_sign_operation_finalize:
        rc = put_finalize(ctx, s, in, &j);
        break;
    case WIRE_signer_acme_sign_operation_revoke:
        json_put_str(&j, "certificate", base64url_str(&ctx->arena, in->certificate));
        json_put_int(&j, "reason", in->reason);
        break;
    case WIRE_signer_acme_sign_operation_get:
    case WIRE_signer_acme_sign_operation_key_change:
        break;
    }
    TRY(rc);
    json_close(&j);
    return buf_status(out);
}

static RC check_url(struct ctx *ctx, const struct account *account, const char *what, const char *url)
{
    struct uri directory, other;
    TRY(uri_parse(ctx, bytes_z(account->directory_url), &directory));
    TRY(uri_parse(ctx, bytes_z(url), &other));
    if (!uri_same_origin(&directory, &other))
        return ctx_fail(ctx, E_CEILING, "the %s %s is not at %s, which the account %s is pinned to", what, url,
                        account->directory_url, account->name);
    return RC_OK;
}

RC acme_sign_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_acme_sign *in = w->in;
    struct wire_signer_acme_signed *out = w->out;
    struct ctx *ctx = w->ctx;
    struct account *account = NULL;
    bool new_account = in->operation == WIRE_signer_acme_sign_operation_new_account;
    TRY(state_account(ctx, s, in->account, &account));
    TRY(check_url(ctx, account, "URL", in->url));
    if (new_account != (in->kid[0] == 0))
        return ctx_fail(ctx, E_INVALID, "an account's URL belongs to every request but the one that makes the account");
    if (!new_account)
        TRY(check_url(ctx, account, "account URL", in->kid));
    struct jose_header header = {.kid = new_account ? NULL : in->kid, .nonce = in->nonce, .url = in->url};
    struct buf payload, body;
    const struct key *key = account->key;
    if (in->next_key && new_account)
        TRY(state_next_key(ctx, s, account, &key));
    buf_init_arena(&payload, &ctx->arena, BODY_MAX);
    buf_init_arena(&body, &ctx->arena, BODY_MAX);
    if (in->operation == WIRE_signer_acme_sign_operation_key_change)
        TRY(put_key_change(ctx, s, in, account, &payload));
    else
        TRY(put_payload(ctx, s, in, key, &payload));
    TRY(jose_sign(ctx, key, &header, buf_bytes(&payload), &body));
    TRY(buf_status(&body));
    out->body = buf_z(&body);
    return RC_OK;
}
