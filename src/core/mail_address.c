#include "core/mail_address.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "pki/digest.h"

#define DAY_S  86400
#define HOUR_S 3600
#define SHIFTS 20
#define KEPT_S (30 * DAY_S)
#define SLICE  1000

const char *mail_address_plain(struct ctx *ctx, const char *text)
{
    const char *at = strrchr(text, '@');
    if (!at || at == text || !at[1] || strlen(text) > 254)
        return NULL;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("<>,;:\"\\()[]", *c))
            return NULL;
    char *plain = arena_strdup(&ctx->arena, text);
    for (char *c = plain + (at - text); *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
    return plain;
}

/* --- codes */

static int64_t pause_after(int64_t in_a_row)
{
    return in_a_row ? (int64_t)MAIL_CODE_PAUSE_S << (in_a_row - 1 < SHIFTS ? in_a_row - 1 : SHIFTS) : 0;
}

RC mail_code_may(struct ctx *ctx, struct txn *txn, const char *address, int64_t *wait_s)
{
    const int64_t now = ctx_now_s(ctx), hour = now / HOUR_S;
    struct q_mail_code_row code = {0};
    struct q_mail_code_hour_row all;
    bool found = false;
    TRY(q_mail_code(ctx, txn, address, &code, &found));
    TRY(q_mail_code_hour(ctx, txn, &all));
    const bool same_day = found && now < code.day_at + DAY_S;
    int64_t next = found ? code.sent_at + pause_after(code.in_a_row) : now;
    if (same_day && code.day_n >= MAIL_CODES_DAY && next < code.day_at + DAY_S)
        next = code.day_at + DAY_S;
    if (all.hour == hour && all.n >= MAIL_CODES_HOUR && next < (hour + 1) * HOUR_S)
        next = (hour + 1) * HOUR_S;
    *wait_s = next > now ? next - now : 0;
    if (*wait_s)
        return RC_OK;
    const struct q_mail_code_put_in in = {.address = address,
                                          .now = now,
                                          .in_a_row = same_day ? code.in_a_row + 1 : 1,
                                          .day_at = same_day ? code.day_at : now,
                                          .day_n = same_day ? code.day_n + 1 : 1};
    TRY(q_mail_code_put(ctx, txn, &in));
    return q_mail_code_hour_put(ctx, txn, hour, all.hour == hour ? all.n + 1 : 1);
}

const char *mail_code_new(struct ctx *ctx)
{
    return arena_printf(&ctx->arena, "%0*llu", MAIL_CODE_DIGITS, (unsigned long long)random_below(100000000));
}

RC mail_code_hash(struct ctx *ctx, const char *of, const char *address, const char *code, struct bytes *out)
{
    return digest_sha256_new(ctx, bytes_z(arena_printf(&ctx->arena, "%s %s %s", of, address, code)), out);
}

RC mail_code_good(struct ctx *ctx, struct txn *txn, const char *address)
{
    return q_mail_code_good(ctx, txn, address);
}

static const char *span(struct ctx *ctx, int64_t s)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_span_ms(&b, s * 1000);
    return buf_z(&b);
}

/* --- telling */

/* send_code sends one over a channel of the team, where there is one and a pause is over; *words say what came of it. */
static struct rc send_code(struct ctx *ctx, struct core *core, struct txn *txn, const char *team, const char *asked_by,
                           const char *address, int64_t *wait_s, const char **words)
{
    struct q_channel_mails_row channel;
    struct bytes hash;
    bool found = false;
    *wait_s = 0;
    TRY(q_channel_mails(ctx, txn, team, &channel, &found));
    if (!found) {
        *words = "and no channel of the team, or of one above it, sends mail";
        return RC_OK;
    }
    TRY(mail_code_may(ctx, txn, address, wait_s));
    if (*wait_s) {
        *words = arena_printf(&ctx->arena, "and the next code can be sent there in %s", span(ctx, *wait_s));
        return RC_OK;
    }
    const char *code = mail_code_new(ctx);
    const struct notify_what what = {
        .subject = arena_printf(&ctx->arena, "Confirm that %s tells you of certificates", core->name),
        .text = arena_printf(&ctx->arena,
                             "Somebody wishes that Certwright at %s writes to %s (%s).\n\n"
                             "If you want that, say so with this code within a day:\n\n"
                             "    certwright channel confirm %s {code}\n\n"
                             "If not, nothing else comes here.",
                             core->name, address, asked_by, address),
        .severity = "info",
        .state = "confirm",
        .object_kind = "address",
        .object_name = address,
        .team = team};
    const struct notify_row row = {.what = &what, .channel = channel.id, .recipient = address, .code = code};
    TRY(mail_code_hash(ctx, team, address, code, &hash));
    TRY(q_mail_address_code(ctx, txn, team, address, hash, ctx_now_s(ctx) + MAIL_CODE_FOR_S));
    TRY(notify_row(ctx, core, txn, &row));
    *words = "and a code was sent there";
    return RC_OK;
}

RC mail_address_hears(struct ctx *ctx, struct txn *txn, const char *team, const char *address, bool *out)
{
    struct q_mail_address_good_row good;
    struct q_channel_of_address_row channel;
    struct q_user_by_verified_row user;
    TRY(q_channel_of_address(ctx, txn, team, address, &channel, out));
    if (!*out)
        TRY(q_mail_address_good(ctx, txn, team, address, &good, out));
    return *out ? RC_OK : q_user_by_verified(ctx, txn, address, &user, out);
}

RC mail_address_channel(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *w, const char **channel,
                        const char **words)
{
    const char *address = mail_address_plain(ctx, w->to), *asks = w->asks_team ? w->asks_team : w->team, *more = NULL;
    const char *by = w->asks ? w->asks : "a report";
    struct q_channel_of_address_row of;
    struct q_channel_mails_row mails;
    struct q_mail_address_get_row row;
    int64_t wait_s = 0;
    bool found = false, hears = false;
    *channel = *words = NULL;
    if (!address) {
        *words = arena_printf(&ctx->arena, "%s is no address of mail: the team's channel was told", w->to);
        return RC_OK;
    }
    TRY(q_channel_of_address(ctx, txn, w->team, address, &of, &found));
    if (found) {
        *channel = of.id;
        return RC_OK;
    }
    TRY(mail_address_hears(ctx, txn, w->team, address, &hears));
    if (hears) {
        TRY(q_channel_mails(ctx, txn, w->team, &mails, &found));
        *channel = found ? mails.id : NULL;
        *words = found ? NULL : arena_printf(&ctx->arena, "no channel sends mail to %s: the team's channel was told", address);
        return RC_OK;
    }
    TRY(q_mail_address_add(ctx, txn, asks, address, by, ctx_now_s(ctx)));
    TRY(q_mail_address_get(ctx, txn, asks, address, &row, &found));
    if (found && row.code_until && *row.code_until > ctx_now_s(ctx) && row.code_tries < MAIL_CODE_TRIES)
        more = "which was sent a code";
    else
        TRY(send_code(ctx, core, txn, asks, by, address, &wait_s, &more));
    *words = arena_printf(&ctx->arena,
                          "%s has not confirmed that it wants to hear from here, %s: the team's channel was told; "
                          "certwright channel confirm %s CODE",
                          address, more, address);
    return RC_OK;
}

/* --- for people */

struct change {
    struct core *core;
    const char *address, *code, *after;
    int64_t limit, wait_s;
    struct q_mail_address_list_row *rows;
    size_t n;
    bool good;
    const char *words;
};

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    return q_mail_address_list(ctx, txn, access_scope(ctx), c->after, c->limit, &c->rows, &c->n);
}

RC mail_address_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_mail_address_list_row **rows,
                     size_t *n)
{
    struct change c = {.core = core, .after = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}

static struct rc of_caller(struct ctx *ctx, struct txn *txn, struct change *c)
{
    const char *plain = mail_address_plain(ctx, c->address);
    if (plain)
        TRY(q_mail_address_of(ctx, txn, access_scope(ctx), plain, &c->rows, &c->n));
    return plain && c->n ? RC_OK
                         : ctx_fail(ctx, E_NOT_FOUND,
                                    "no rule or report of yours has written to %s yet; certwright channel addresses shows them",
                                    c->address);
}

static struct rc confirm(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    const int64_t now = ctx_now_s(ctx);
    c->good = false;
    c->wait_s = 0;
    TRY(of_caller(ctx, txn, c));
    for (size_t i = 0; i < c->n; i++) {
        const struct q_mail_address_list_row *r = &c->rows[i];
        struct bytes hash;
        TRY(decide(ctx, c->core, txn, "channel.update", r->team_id));
        if (r->confirmed_at)
            continue;
        if (!c->code) {
            TRY(send_code(ctx, c->core, txn, r->team_id, r->asked_by, r->address, &c->wait_s, &c->words));
            TRY(audit_write(ctx, txn, "address.confirm", "address", r->address, r->team_id,
                            audit_facts(ctx, "sent", c->wait_s ? NULL : "a code", NULL)));
            continue;
        }
        TRY(mail_code_hash(ctx, r->team_id, r->address, c->code, &hash));
        const bool open = r->code_hash.n && r->code_until && *r->code_until >= now && r->code_tries < MAIL_CODE_TRIES;
        if (!open || !bytes_equal_secret(hash, r->code_hash)) {
            TRY(q_mail_address_tried(ctx, txn, r->team_id, r->address));
            continue;
        }
        c->good = true;
        TRY(q_mail_address_confirmed(ctx, txn, r->team_id, r->address, now));
        TRY(mail_code_good(ctx, txn, r->address));
        TRY(audit_write(ctx, txn, "address.confirm", "address", r->address, r->team_id,
                        audit_facts(ctx, "address", r->address, NULL)));
    }
    return RC_OK;
}

RC mail_address_confirm(struct ctx *ctx, struct core *core, const char *address, const char *code)
{
    struct change c = {.core = core, .address = address, .code = code};
    TRY(store_write(ctx, core->store, confirm, &c));
    if (!code && c.wait_s)
        return ctx_fail(ctx, E_RATE_LIMITED, "a code was sent to %s; another one can be in %s", address, span(ctx, c.wait_s));
    return !code || c.good ? RC_OK
                           : ctx_fail_field(ctx, "/code",
                                            "the code is not, or no longer, that of %s; a new one is sent by: certwright channel "
                                            "confirm %s", address, address);
}

static struct rc forget(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(of_caller(ctx, txn, c));
    for (size_t i = 0; i < c->n; i++) {
        const struct q_mail_address_list_row *r = &c->rows[i];
        TRY(decide(ctx, c->core, txn, "channel.update", r->team_id));
        TRY(q_mail_address_forget(ctx, txn, r->team_id, r->address));
        TRY(audit_write(ctx, txn, "address.forget", "address", r->address, r->team_id,
                        audit_facts(ctx, "address", r->address, NULL)));
    }
    return RC_OK;
}

RC mail_address_forget(struct ctx *ctx, struct core *core, const char *address)
{
    struct change c = {.core = core, .address = address};
    return store_write(ctx, core->store, forget, &c);
}

RC mail_address_expire(struct ctx *ctx, struct txn *txn, bool *more)
{
    struct q_mail_code_expire_row *rows = NULL;
    size_t n = 0;
    TRY(q_mail_code_expire(ctx, txn, ctx_now_s(ctx) - KEPT_S, SLICE, &rows, &n));
    *more |= n == SLICE;
    return RC_OK;
}
