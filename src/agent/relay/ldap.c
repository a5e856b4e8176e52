#include "agent/relay/ldap.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/str.h"
#include "net/directory.h"
#include "pki/hpke.h"

#define SEALED_INFO BYTES_LIT("certwright live question v1")
#define GROUPS_MOST 1000 /* that somebody is in */
#define GROUPS_TOLD 200
#define TEXT_MOST   256

struct relay_live_key {
    pthread_mutex_t lock;
    struct hpke_key *key;
};

struct relay_live_key *relay_live_key_new(void)
{
    struct relay_live_key *k = calloc(1, sizeof *k);
    if (k != NULL)
        pthread_mutex_init(&k->lock, NULL);
    return k;
}

void relay_live_key_free(struct relay_live_key *k)
{
    if (k == NULL)
        return;
    hpke_key_free(k->key);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

RC relay_live_key_give(struct ctx *ctx, struct relay_live_key *k, struct wire_relay_live_key_is *out)
{
    struct rc rc = RC_OK;
    pthread_mutex_lock(&k->lock);
    if (k->key == NULL)
        rc = hpke_key_new(ctx, HPKE_X25519, &k->key);
    if (rc_ok(rc))
        out->public = arena_bytes(&ctx->arena, hpke_key_public(k->key));
    pthread_mutex_unlock(&k->lock);
    return rc;
}

/* One look: at most one of these at a time. */
struct look {
    const struct wire_relay_ldap *in;
    const struct agent_credential *row;
    struct secret service; /* the password of bind_name */
    int64_t deadline_ms;
    struct directory *d;
};

static RC unseal(struct ctx *ctx, struct relay_live_key *k, const struct wire_relay_ldap *in, struct secret *out)
{
    pthread_mutex_lock(&k->lock);
    const struct hpke_key *key = k->key; /* made once, and stays */
    pthread_mutex_unlock(&k->lock);
    if (key == NULL)
        return ctx_fail(ctx, E_CRYPTO, "the relay was started anew");
    return hpke_open(ctx, key, SEALED_INFO, bytes_z(in->id), in->sealed, out);
}

/* --- reaching a server */

static RC open_one(struct ctx *ctx, const struct agent_config *cfg, const struct address_grants *grants, const char *url,
                   int64_t deadline_ms, const struct tls_trust *trust, struct look *l)
{
    struct directory_server server;
    TRY(directory_server_read(ctx, url, &server));
    if (!agent_credential_reaches(l->row, server.host, server.port, server.usual))
        return ctx_fail(ctx, E_NOT_GRANTED, "passwords may not be sent to %s:%u: add it to the hosts of the credential %s in %s",
                        server.host, server.port, l->row->name, cfg->file);
    TRY(directory_open(ctx, &server, trust, grants, deadline_ms, &l->d));
    if (*l->in->bind_name == '\0')
        return RC_OK;
    struct rc rc = directory_bind(ctx, l->d, l->in->bind_name, &l->service);
    if (rc.e != E_UNAUTHENTICATED)
        return rc;
    const char *why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return ctx_fail(ctx, E_BAD_ANSWER, "%s lets us look at nothing as %s: %s", url, l->in->bind_name,
                    why); /* not the person is refused */
}

static bool try_next(enum err e)
{
    return e == E_UNREACHABLE || e == E_TIMEOUT || e == E_DNS;
}

static RC open_any(struct ctx *ctx, const struct agent_config *cfg, const struct address_grants *grants,
                   const struct tls_trust *trust, struct look *l, struct wire_relay_ldap_done *out)
{
    struct rc rc = ctx_fail(ctx, E_INVALID, "the directory has no address");
    const char *why = "";
    for (size_t i = 0; i < l->in->urls.n; i++) {
        const int64_t now = clock_mono_ms(), share = (l->deadline_ms - now) / (int64_t)(l->in->urls.n - i);
        ctx_forget(ctx);
        rc = open_one(ctx, cfg, grants, l->in->urls.v[i], i + 1 < l->in->urls.n ? now + share : l->deadline_ms, trust, l);
        out->server = l->in->urls.v[i];
        if (rc_ok(rc) || !try_next(rc.e))
            return rc;
        directory_close(l->d);
        l->d = NULL;
        why = arena_printf(&ctx->arena, "%s%s%s", why, *why != '\0' ? "; " : "", ctx_why(ctx));
    }
    ctx_forget(ctx);
    return ctx_fail(ctx, rc.e, "%.900s", why);
}

/* --- whom it knows */

/* A filter in which {user} and {dn} are what they are, and nothing more. */
static RC filter_of(struct ctx *ctx, const char *pattern, const char *user, const char *dn, const char **out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 32768);
    for (const char *p = pattern; *p != '\0';) {
        const bool is_user = strncmp(p, "{user}", 6) == 0, is_dn = strncmp(p, "{dn}", 4) == 0;
        if (is_user || is_dn)
            directory_filter_put(&b, bytes_z(is_user ? user : dn));
        else
            buf_put_u8(&b, (uint8_t)*p);
        p += is_user ? 6 : is_dn ? 4 : 1;
    }
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static bool printable(struct bytes v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < 0x20 || v.p[i] == 0x7f)
            return false;
    return v.n > 0;
}

static const char *text_of(struct ctx *ctx, struct bytes v)
{
    return v.n <= TEXT_MOST && printable(v) && str_is_utf8(v) ? arena_str(&ctx->arena, v) : "";
}

static const char *first_text(struct ctx *ctx, const struct directory_attribute *a)
{
    return a->n > 0 ? text_of(ctx, a->v[0]) : "";
}

/* objectGUID, as Active Directory itself shows it: three numbers, the least byte first, then eight bytes. */
static const char *guid(struct ctx *ctx, const uint8_t *p)
{
    return arena_printf(&ctx->arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", p[3], p[2], p[1], p[0],
                        p[5], p[4], p[7], p[6], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]);
}

static const char *const usual_subjects[] = {"entryUUID", "objectGUID", "ipaUniqueID", "nsUniqueId"};

/* What stays when somebody is renamed or moved. */
static RC subject_of(struct ctx *ctx, const struct directory_attribute *a, size_t n, const char **out)
{
    *out = "";
    for (size_t i = 0; i < n && **out == '\0'; i++) {
        if (a[i].n == 0)
            continue;
        if (a[i].n > 1)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s has several values: it does not say who somebody is", a[i].name);
        if (strcmp(a[i].name, "objectGUID") == 0)
            *out = a[i].v[0].n == 16 ? guid(ctx, a[i].v[0].p) : "";
        else
            *out = text_of(ctx, a[i].v[0]);
    }
    return **out != '\0' ? RC_OK
                         : ctx_fail(ctx, E_BAD_ANSWER,
                                    "their entry has no %s that the directory lets us see: who they are must not hang on a "
                                    "name that changes",
                                    n == 1 ? a[0].name : "entryUUID or objectGUID");
}

/* --- groups */

static void group_told(struct ctx *ctx, struct str_list *l, const char *name)
{
    if (l->n < GROUPS_TOLD && !str_list_has(l, name))
        str_list_add(&ctx->arena, l, name);
}

/* Those that mean something, however they are spelled; then others, as far as there is room. */
static void groups_pick(struct ctx *ctx, const struct wire_relay_ldap *in, const struct str_list *all, struct str_list *out)
{
    const char **plain = arena_array(&ctx->arena, all->n + 1, sizeof *plain);
    for (size_t i = 0; i < all->n; i++)
        plain[i] = directory_name_plain(ctx, all->v[i]);
    for (size_t k = 0; k < in->groups.n; k++) {
        const char *want = directory_name_plain(ctx, in->groups.v[k]);
        for (size_t i = 0; i < all->n; i++)
            if (strcmp(all->v[i], in->groups.v[k]) == 0 || (want != NULL && plain[i] != NULL && strcmp(want, plain[i]) == 0))
                group_told(ctx, out, in->groups.v[k]);
    }
    for (size_t i = 0; i < all->n; i++) {
        bool meant = false;
        for (size_t k = 0; k < in->groups.n && !meant; k++) {
            const char *want = directory_name_plain(ctx, in->groups.v[k]);
            meant = want != NULL && plain[i] != NULL && strcmp(want, plain[i]) == 0;
        }
        if (!meant && strlen(all->v[i]) <= TEXT_MOST)
            group_told(ctx, out, all->v[i]);
    }
}

static RC groups_of(struct ctx *ctx, const struct look *l, const char *dn, const struct directory_attribute *attribute,
                    struct str_list *out)
{
    struct str_list all = {0};
    for (size_t i = 0; attribute != NULL && i < attribute->n; i++)
        if (printable(attribute->v[i]) && str_is_utf8(attribute->v[i]))
            str_list_add(&ctx->arena, &all, arena_str(&ctx->arena, attribute->v[i]));
    if (*l->in->group_filter != '\0') {
        struct directory_entry *found = NULL;
        size_t n = 0;
        const char *filter = NULL;
        TRY(filter_of(ctx, l->in->group_filter, l->in->user, dn, &filter));
        struct rc rc = directory_find(ctx, l->d, *l->in->group_base != '\0' ? l->in->group_base : l->in->base, filter, NULL, 0,
                                      GROUPS_MOST, &found, &n);
        TRY(ctx_wrap(ctx, rc, "looking for their groups"));
        for (size_t i = 0; i < n; i++)
            str_list_add(&ctx->arena, &all, found[i].dn);
    }
    groups_pick(ctx, l->in, &all, out);
    return RC_OK;
}

/* --- one person */

static RC person(struct ctx *ctx, const struct look *l, struct wire_relay_ldap_done *out)
{
    const struct wire_relay_ldap *in = l->in;
    const char *attributes[8] = {in->login_attribute, in->name_attribute, in->mail_attribute}, *filter = NULL;
    size_t n = 3, found_n = 0;
    struct directory_entry *found = NULL;
    struct str_list groups = {0};
    const size_t group_at = n;
    if (*in->group_attribute != '\0')
        attributes[n++] = in->group_attribute;
    const size_t subject_at = n;
    if (*in->subject_attribute != '\0')
        attributes[n++] = in->subject_attribute;
    else
        for (size_t i = 0; i < 4; i++)
            attributes[n++] = usual_subjects[i];
    TRY(filter_of(ctx, in->user_filter, in->user, "", &filter));
    struct rc rc = directory_find(ctx, l->d, in->base, filter, attributes, n, 2, &found, &found_n);
    if (rc.e == E_TOO_LARGE || found_n > 1) {
        ctx_forget(ctx);
        out->state = WIRE_relay_ldap_done_state_several;
        return RC_OK;
    }
    TRY(rc);
    out->state = WIRE_relay_ldap_done_state_absent;
    if (found_n == 0)
        return RC_OK;
    const struct directory_attribute *a = found[0].attributes;
    if (strlen(found[0].dn) > 2048)
        return ctx_fail(ctx, E_TOO_LARGE, "the name of their entry is longer than 2048 bytes");
    out->dn = found[0].dn;
    out->login = first_text(ctx, &a[0]);
    out->name = first_text(ctx, &a[1]);
    out->mail = first_text(ctx, &a[2]);
    TRY(subject_of(ctx, &a[subject_at], n - subject_at, &out->subject));
    TRY(groups_of(ctx, l, found[0].dn, subject_at > group_at ? &a[group_at] : NULL, &groups));
    out->groups = (struct wire_texts){groups.v, groups.n};
    out->state = WIRE_relay_ldap_done_state_found;
    return RC_OK;
}

static RC show(struct ctx *ctx, const struct look *l, const struct secret *password, struct wire_relay_ldap_done *out)
{
    struct rc rc = directory_bind(ctx, l->d, out->dn, password);
    if (rc.e == E_UNAUTHENTICATED) {
        out->why = arena_printf(&ctx->arena, "%.900s", ctx_why(ctx));
        ctx_forget(ctx);
        out->state = WIRE_relay_ldap_done_state_wrong;
        return RC_OK;
    }
    if (rc_ok(rc))
        out->state = WIRE_relay_ldap_done_state_good;
    return rc;
}

/* Who is not there is asked for as somebody who is: how long it takes tells nobody who has an account. */
static void show_nobody(struct ctx *ctx, const struct look *l, const struct secret *password)
{
    const char *dn = arena_printf(&ctx->arena, "cn=nobody%s%s", *l->in->base != '\0' ? "," : "", l->in->base);
    struct str_list groups = {0};
    struct rc rc = groups_of(ctx, l, dn, NULL, &groups);
    if (rc_ok(rc))
        rc = directory_bind(ctx, l->d, dn, password);
    if (rc_failed(rc))
        ctx_forget(ctx);
}

static void trust_free(struct tls_trust **t)
{
    tls_trust_free(*t);
}

static void look_end(struct look *l)
{
    directory_close(l->d);
    secret_free(&l->service);
}

RC relay_ldap_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files, struct relay_live_key *key,
                  const struct address_grants *grants, const struct wire_relay_ldap *in, struct wire_relay_ldap_done *out)
{
    SECRET_CLEANUP struct secret password = {0};
    __attribute__((cleanup(trust_free))) struct tls_trust *trust = NULL;
    __attribute__((cleanup(look_end))) struct look l = {.in = in, .deadline_ms = clock_mono_ms() + in->left_ms};
    *out = (struct wire_relay_ldap_done){.why = "", .server = "", .dn = "", .subject = "", .login = "", .name = "", .mail = ""};
    if (in->sealed.n > 0)
        TRY(unseal(ctx, key, in, &password));
    TRY(agent_config_credential(ctx, cfg, in->credential, &l.row));
    if (*in->bind_name != '\0')
        TRY(credential_read(ctx, cfg, files, l.row, &l.service));
    TRY(tls_trust_new(ctx, *in->ca_pem == '\0', bytes_z(in->ca_pem), &trust));
    TRY(open_any(ctx, cfg, grants, trust, &l, out));
    if (*in->user == '\0') { /* whether the directory answers, no more */
        out->state = WIRE_relay_ldap_done_state_absent;
        return RC_OK;
    }
    TRY(person(ctx, &l, out));
    if (in->sealed.n > 0 && out->state == WIRE_relay_ldap_done_state_found)
        return show(ctx, &l, &password, out);
    if (in->sealed.n > 0)
        show_nobody(ctx, &l, &password);
    return RC_OK;
}
