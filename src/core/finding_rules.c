#include "core/finding_rules.h"

#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "os/file.h"
#include "pki/name_text.h"
#include "pki/pem.h"
#include "pki/weak.h"
#include "store/queries.h"
#include "wire/messages.h"

#define ROOTS_MAX 2000
#define LISTS_MAX 16

static struct rc list_read(struct ctx *ctx, const json_t *at, const char *key, struct str_list *out)
{
    const json_t *list = NULL;
    TRY(json_get_list(ctx, at, key, false, &list));
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !*text)
            return ctx_fail(ctx, E_INVALID, "findings: %s is a list of text", key);
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, text));
    }
    return RC_OK;
}

RC finding_settings_read(struct ctx *ctx, const json_t *at, struct finding_settings *out)
{
    *out = (struct finding_settings){0};
    if (!at)
        return RC_OK;
    TRY(list_read(ctx, at, "domains", &out->domains));
    TRY(list_read(ctx, at, "issuers", &out->issuers));
    TRY(list_read(ctx, at, "inner_names", &out->inner_names));
    TRY(json_get_str(ctx, at, "roots", false, &out->roots));
    TRY(json_get_str(ctx, at, "public_roots", false, &out->public_roots));
    return json_get_str(ctx, at, "weak_keys", false, &out->weak_keys);
}

/* --- reading */

struct opening {
    struct core *core;
    struct finding_rules *rules;
    const struct finding_settings *settings;
    struct known_root *known;
    struct buf said; /* what the hash is of */
};

static struct rc root_add(struct ctx *ctx, struct opening *o, const struct cert *cert, enum issuer_trust trust, bool ours)
{
    struct arena *a = &o->rules->arena;
    if (o->rules->known_n == ROOTS_MAX)
        return RC_OK;
    struct known_root *r = &o->known[o->rules->known_n++];
    TRY(digest_sha256(ctx, cert->subject.der, r->name));
    r->key_id = arena_bytes(a, cert->ski);
    r->trust = trust;
    r->subject = arena_strdup(a, cert->subject.text);
    r->ours = ours;
    buf_put(&o->said, cert->der);
    return RC_OK;
}

static struct rc roots_add(struct ctx *ctx, struct opening *o, struct bytes pem, enum issuer_trust trust)
{
    struct cert_chain certs;
    TRY(cert_chain_parse_pem(ctx, pem, ROOTS_MAX, &certs));
    for (size_t i = 0; i < certs.n; i++)
        TRY(root_add(ctx, o, &certs.v[i], trust, false));
    return RC_OK;
}

static struct rc file_roots(struct ctx *ctx, struct opening *o, const char *path, bool need, enum issuer_trust trust,
                            struct chain_roots **out)
{
    struct bytes pem;
    struct rc rc = file_read(ctx, path, FINDING_ROOTS_BYTES_MAX, &pem);
    if (rc_failed(rc) && !need) {
        log_event(LOG_WARN_, "no_system_roots", "path", path, "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(ctx_wrap(ctx, rc, "the roots of findings"));
    TRY(ctx_wrap(ctx, roots_add(ctx, o, pem, trust), "%s", path));
    return chain_roots_load(ctx, pem, false, out);
}

/* Our own CAs: each with what is above it. */
static struct rc own_cas(struct ctx *ctx, struct opening *o, struct buf *pem)
{
    static const char *const names[] = {"issuing", "fleet"};
    for (size_t i = 0; o->core->signer && i < sizeof names / sizeof *names; i++) {
        const struct wire_signer_ca_show ask = {.ca = names[i]};
        struct wire_signer_ca ca;
        TRY(wire_call_signer_ca_show(ctx, o->core->signer, &ask, &ca));
        for (size_t k = 0; k < ca.chain.n + 2; k++) {
            const struct bytes der = k == 0 ? ca.certificate : k == 1 ? ca.root : ca.chain.v[k - 2];
            struct cert cert;
            if (!der.n) /* it waits for an external root */
                continue;
            TRY(cert_parse(ctx, der, &cert));
            TRY(root_add(ctx, o, &cert, ISSUER_PRIVATE, k == 0));
            pem_put(pem, "CERTIFICATE", der);
        }
    }
    return RC_OK;
}

/* Ours: what the file holds, and the CAs of this installation. */
static struct rc own_roots(struct ctx *ctx, struct opening *o, const char *path)
{
    struct bytes file = {0};
    struct buf all;
    buf_init_arena(&all, &ctx->arena, 2 * FINDING_ROOTS_BYTES_MAX);
    if (path) {
        TRY(ctx_wrap(ctx, file_read(ctx, path, FINDING_ROOTS_BYTES_MAX, &file), "the roots of findings"));
        TRY(ctx_wrap(ctx, roots_add(ctx, o, file, ISSUER_PRIVATE), "%s", path));
    }
    buf_put(&all, file);
    buf_put_u8(&all, '\n');
    TRY(own_cas(ctx, o, &all));
    TRY(buf_status(&all));
    return o->rules->known_n && all.n > 1 ? chain_roots_load(ctx, buf_bytes(&all), false, &o->rules->own_roots) : RC_OK;
}

static struct rc weak_read(struct ctx *ctx, struct finding_rules *rules, const char *dir)
{
    int fd FD_CLEANUP = -1;
    struct str_list names = {0};
    struct buf said;
    buf_init_arena(&said, &ctx->arena, 1 << 16);
    rules->weak = arena_array(&rules->arena, LISTS_MAX, sizeof *rules->weak);
    struct rc rc = dir && *dir ? file_open_dir(ctx, dir, &fd) : rc_of(E_NOT_FOUND);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
    } else {
        TRY(rc);
        TRY(file_list(ctx, fd, &names));
    }
    for (size_t i = 0; i < names.n; i++) {
        if (i == LISTS_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "%s holds more than %d lists of weak keys", dir, LISTS_MAX);
        TRY(weak_list_load(ctx, arena_printf(&ctx->arena, "%s/%s", dir, names.v[i]), &rules->weak[i]));
        rules->weak_n++;
        buf_put_z(&said, arena_printf(&ctx->arena, "%s %zu\n", names.v[i], weak_list_count(rules->weak[i])));
    }
    TRY(buf_status(&said));
    return digest_sha256(ctx, buf_bytes(&said), rules->keys_hash);
}

static int by_name(const void *a, const void *b)
{
    const struct known_root *x = a, *y = b;
    const int order = memcmp(x->name, y->name, SHA256_LEN);
    return order ? order : bytes_compare(x->key_id, y->key_id);
}

static struct rc rules_read(struct ctx *ctx, struct opening *o, const struct finding_settings *s)
{
    struct finding_rules *rules = o->rules;
    size_t checks;
    (void)findings_checks(&checks);
    buf_init_arena(&o->said, &ctx->arena, 4 * FINDING_ROOTS_BYTES_MAX);
    buf_put_z(&o->said, arena_printf(&ctx->arena, "%zu checks\n", checks)); /* a release with new ones looks at everything */
    o->known = arena_array(&rules->arena, ROOTS_MAX, sizeof *o->known);
    TRY(file_roots(ctx, o, s->public_roots ? s->public_roots : FINDING_ROOTS_SYSTEM, s->public_roots != NULL, ISSUER_PUBLIC,
                   &rules->public_roots));
    TRY(own_roots(ctx, o, s->roots));
    qsort(o->known, rules->known_n, sizeof *o->known, by_name);
    rules->known = o->known;
    TRY(buf_status(&o->said));
    TRY(digest_sha256(ctx, buf_bytes(&o->said), rules->rules_hash));
    return weak_read(ctx, rules, s->weak_keys);
}

static struct rc rules_note(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct opening *o = arg;
    const struct finding_rules *rules = o->rules;
    const struct bytes said = bytes_of(rules->rules_hash, SHA256_LEN), keys = bytes_of(rules->keys_hash, SHA256_LEN);
    struct q_finding_rules_get_row row;
    bool found = false;
    TRY(finding_policy_take(ctx, o->core, txn, o->settings));
    TRY(q_finding_rules_get(ctx, txn, &row, &found));
    if (found && bytes_equal(row.rules, said) && bytes_equal(row.keys, keys))
        return RC_OK;
    TRY(q_finding_sweep_put(ctx, txn, "", found && !bytes_equal(row.keys, keys)));
    return q_finding_rules_put(ctx, txn, said, keys);
}

RC finding_rules_open(struct ctx *ctx, struct core *core, const struct finding_settings *settings)
{
    struct finding_rules *rules = calloc(1, sizeof *rules);
    if (!rules)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the rules of findings");
    struct opening o = {.core = core, .rules = rules, .settings = settings};
    core->rules = rules;
    TRY(rules_read(ctx, &o, settings));
    return store_write(ctx, core->store, rules_note, &o);
}

void finding_rules_close(struct core *core)
{
    struct finding_rules *rules = core->rules;
    if (!rules)
        return;
    for (size_t i = 0; i < rules->weak_n; i++)
        weak_list_free(rules->weak[i]);
    chain_roots_free(rules->public_roots);
    chain_roots_free(rules->own_roots);
    arena_free(&rules->arena);
    free(rules);
    core->rules = NULL;
}

/* --- asking */

const struct known_root *finding_rules_root(const struct finding_rules *rules, const uint8_t name[SHA256_LEN], struct bytes key_id)
{
    size_t low = 0, high = rules ? rules->known_n : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (memcmp(rules->known[middle].name, name, SHA256_LEN) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; rules && low < rules->known_n && !memcmp(rules->known[low].name, name, SHA256_LEN); low++)
        if (!key_id.n || !rules->known[low].key_id.n || bytes_equal(rules->known[low].key_id, key_id))
            return &rules->known[low];
    return NULL;
}

bool finding_rules_own_ca(const struct finding_rules *rules, const uint8_t name[SHA256_LEN], struct bytes key_id)
{
    for (size_t i = 0; rules && i < rules->known_n; i++)
        if (rules->known[i].ours && !memcmp(rules->known[i].name, name, SHA256_LEN) && bytes_equal(rules->known[i].key_id, key_id))
            return true;
    return false;
}

static bool below(struct bytes name, struct bytes domain)
{
    if (name.n == domain.n)
        return bytes_equal_nocase(name, domain);
    return name.n > domain.n && name.p[name.n - domain.n - 1] == '.' &&
           bytes_equal_nocase(bytes_of(name.p + name.n - domain.n, domain.n), domain);
}

bool finding_rules_ours(struct ctx *ctx, const struct finding_policy *policy, const struct cert_fields *cert, const char **name)
{
    struct bytes rest = cert->san.der;
    struct cert_general_name g;
    while (cert_next_general_name(&rest, &g)) {
        struct name_text_dns dns;
        if (g.type != CERT_GENERAL_DNS)
            continue;
        name_text_dns(g.value, &dns);
        for (size_t i = 0; i < policy->domains.n; i++)
            if (below(bytes_of(dns.text, dns.n), bytes_z(policy->domains.v[i]))) {
                *name = arena_strdup(&ctx->arena, dns.text);
                return true;
            }
    }
    return false;
}

bool finding_rules_allowed(struct ctx *ctx, const struct finding_policy *policy, const struct cert_name *issuer)
{
    const char *o = name_text_str(&ctx->arena, issuer->organization), *cn = name_text_str(&ctx->arena, issuer->common_name);
    for (size_t i = 0; i < policy->issuers.n; i++) {
        const struct bytes allowed = bytes_z(policy->issuers.v[i]);
        if (bytes_equal_nocase(bytes_z(o), allowed) || bytes_equal_nocase(bytes_z(cn), allowed))
            return true;
    }
    return false;
}

static const struct {
    const char *common_name;
    int64_t from;
    const char *source;
} distrusted[] = {
#define DISTRUST(common_name, from, source) {common_name, from, source},
#include "core/distrust.def"
#undef DISTRUST
};

bool finding_distrusted(struct ctx *ctx, const struct cert_name *name, int64_t *from)
{
    const char *cn = name_text_str(&ctx->arena, name->common_name);
    for (size_t i = 0; i < sizeof distrusted / sizeof *distrusted; i++)
        if (str_equal(distrusted[i].common_name, cn)) {
            *from = distrusted[i].from;
            return true;
        }
    return false;
}
