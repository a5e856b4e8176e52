#include "signer/people.h"

#include "base/failpoint.h"
#include "base/random.h"
#include "pki/digest.h"

#define SHOWN_MAX 80
#define BODY_MAX  ((size_t)1 << 20)

/* --- records */

static void proposal_put(struct buf *b, const struct proposal *p)
{
    record_put_text(b, p->id);
    record_put_text(b, p->message);
    record_put_blob(b, p->body);
    buf_put_mem(b, p->asked, sizeof p->asked);
    buf_put_mem(b, p->hash, sizeof p->hash);
    record_put_text(b, p->change);
    record_put_text(b, p->words);
    buf_put_u64(b, (uint64_t)p->uid);
    buf_put_u64(b, (uint64_t)p->at);
    buf_put_u64(b, (uint64_t)p->expires_at);
}

static void ended_put(struct buf *b, const struct proposal *p, enum proposal_state state, const char *by, const char *request,
                      int64_t at)
{
    record_put_text(b, p->id);
    buf_put_u8(b, (uint8_t)state);
    record_put_text(b, by);
    record_put_text(b, request);
    buf_put_u64(b, (uint64_t)at);
}

static void protection_put(struct buf *b, bool on, int64_t since)
{
    buf_put_u8(b, on ? 1 : 0);
    buf_put_u64(b, (uint64_t)since);
}

static RC unreadable(struct ctx *ctx, const char *what)
{
    return ctx_fail(ctx, E_IO, "a record of the journal (%s) cannot be read: was it written by a newer Certwright?", what);
}

static struct proposal *find(const struct signer *s, const char *id)
{
    for (struct proposal *p = s->proposals; p != NULL; p = p->next)
        if (strcmp(p->id, id) == 0)
            return p;
    return NULL;
}

static void proposal_free(struct proposal *p)
{
    arena_free(&p->arena);
    free(p);
}

RC protection_apply(struct ctx *ctx, struct signer *s, struct bytes in)
{
    uint8_t on = 0;
    int64_t since = 0;
    if (!bytes_take_u8(&in, &on) || !record_take_i64(&in, &since))
        return unreadable(ctx, "protection");
    s->protect_on = on != 0;
    s->protect_since = since;
    return RC_OK;
}

RC proposal_apply(struct ctx *ctx, struct signer *s, struct bytes in)
{
    struct proposal *p = calloc(1, sizeof *p);
    if (p == NULL)
        abort();
    struct arena *a = &p->arena;
    if (!record_take_text(a, &in, &p->id) || !record_take_text(a, &in, &p->message) || !record_take_blob(a, &in, &p->body) ||
        !record_take_digest(&in, p->asked) || !record_take_digest(&in, p->hash) || !record_take_text(a, &in, &p->change) ||
        !record_take_text(a, &in, &p->words) || !record_take_i64(&in, &p->uid) || !record_take_i64(&in, &p->at) ||
        !record_take_i64(&in, &p->expires_at)) {
        proposal_free(p);
        return unreadable(ctx, "proposal");
    }
    if (find(s, p->id) != NULL) {
        proposal_free(p);
        return RC_OK;
    }
    p->next = s->proposals;
    s->proposals = p;
    return RC_OK;
}

RC proposal_ended_apply(struct ctx *ctx, struct signer *s, struct bytes in)
{
    const char *id = NULL, *by = NULL, *request = NULL;
    uint8_t state = 0;
    int64_t at = 0;
    if (!record_take_text(&ctx->arena, &in, &id) || !bytes_take_u8(&in, &state) || !record_take_text(&ctx->arena, &in, &by) ||
        !record_take_text(&ctx->arena, &in, &request) || !record_take_i64(&in, &at) ||
        (state != PROPOSAL_DONE && state != PROPOSAL_WITHDRAWN))
        return unreadable(ctx, "end of a proposal");
    struct proposal *p = find(s, id);
    if (p == NULL)
        return RC_OK;
    p->state = (enum proposal_state)state;
    p->by = arena_strdup(&p->arena, by);
    p->request = arena_strdup(&p->arena, request);
    p->ended_at = at;
    return RC_OK;
}

void people_forget(struct signer *s)
{
    for (struct proposal *p = s->proposals, *next; p != NULL; p = next) {
        next = p->next;
        proposal_free(p);
    }
    s->proposals = NULL;
    s->protect_on = false;
    s->protect_since = 0;
}

static bool is_open(const struct proposal *p, int64_t now)
{
    return p->state == PROPOSAL_OPEN && now < p->expires_at;
}

/* The oldest first, as they were made; those that ended long ago are left out. */
static RC emit_from(struct ctx *ctx, const struct proposal *p, int64_t now, struct buf *b, people_emit_fn *emit, void *arg)
{
    if (p == NULL)
        return RC_OK;
    TRY(emit_from(ctx, p->next, now, b, emit, arg));
    const bool ended = p->state != PROPOSAL_OPEN;
    if ((ended ? p->ended_at : p->expires_at) < now - REPLAY_S)
        return RC_OK;
    struct proposal kept = *p;
    if (!is_open(p, now))
        kept.body = (struct bytes){0};
    buf_reset(b);
    proposal_put(b, &kept);
    TRY(emit(ctx, arg, RECORD_PROPOSAL, p->at, b));
    if (!ended)
        return RC_OK;
    buf_reset(b);
    ended_put(b, p, p->state, p->by, p->request, p->ended_at);
    return emit(ctx, arg, RECORD_PROPOSAL_ENDED, p->ended_at, b);
}

RC people_emit(struct ctx *ctx, const struct signer *s, int64_t now, struct buf *b, people_emit_fn *emit, void *arg)
{
    if (s->protect_since > 0) {
        buf_reset(b);
        protection_put(b, s->protect_on, s->protect_since);
        TRY(emit(ctx, arg, RECORD_PROTECTION, s->protect_since, b));
    }
    return emit_from(ctx, s->proposals, now, b, emit, arg);
}

/* --- words */

static RC protect_words(struct signer *s, struct work *w, struct buf *out)
{
    const struct wire_signer_protect *in = w->in;
    (void)s;
    buf_put_z(out, in->on ? "changes of CAs need two people"
                          : "changes of CAs need one person again\n"
                            "from then on root on the signer's host changes them alone");
    return RC_OK;
}

static const struct subject {
    const char *message;
    RC (*words)(struct signer *s, struct work *w, struct buf *out); /* the first line says what is changed */
} subjects[] = {
    {"signer_ca_import", ca_import_words},
    {"signer_ceilings_set", ceilings_words},
    {"signer_audit_accept", audit_accept_words},
    {"signer_protect", protect_words},
};

/* What a certificate is called comes from outside: a line stays a line. */
static RC words_of(struct signer *s, struct work *w, const char *message, const char **out)
{
    struct buf b;
    RC (*words)(struct signer *, struct work *, struct buf *) = NULL;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (strcmp(subjects[i].message, message) == 0)
            words = subjects[i].words;
    if (words == NULL)
        return ctx_fail(w->ctx, E_UNSUPPORTED, "this release does not know proposals of kind %s; withdraw it", message);
    buf_init_arena(&b, &w->ctx->arena, PROPOSAL_WORDS + 1);
    TRY(words(s, w, &b));
    if (rc_failed(buf_status(&b)) || b.n >= PROPOSAL_WORDS)
        return ctx_fail(w->ctx, E_TOO_LARGE, "that changes more than somebody can read; change it in several steps");
    char *text = arena_str(&w->ctx->arena, buf_bytes(&b));
    for (char *p = text; *p != 0; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
            *p = '?';
    *out = text;
    return RC_OK;
}

/* What was asked: the message's name, a zero byte and its body.  What is approved: that, and all the rest of its proposal. */
static RC digest_of(struct ctx *ctx, const struct proposal *p, bool whole, uint8_t out[32])
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, BODY_MAX + 2 * PROPOSAL_WORDS);
    if (whole) {
        record_put_text(&b, p->id);
        record_put_text(&b, p->words);
        buf_put_u64(&b, (uint64_t)p->uid);
        buf_put_u64(&b, (uint64_t)p->expires_at);
    }
    buf_put_mem(&b, p->message, strlen(p->message) + 1);
    buf_put(&b, p->body);
    TRY(buf_status(&b));
    return digest_sha256(ctx, buf_bytes(&b), out);
}

/* --- proposing */

static RC kept_answer(struct signer *s, struct work *w)
{
    const struct proposal *p = find(s, w->state);
    FAILPOINT("signer.people_kept");
    if (p == NULL)
        return ctx_fail(w->ctx, E_BUG, "a proposal that was not kept");
    return ctx_fail(w->ctx, E_PENDING, "kept as proposal %s until somebody else has approved it (%s): certwright ca proposals",
                    p->id, p->change);
}

/* Nothing is kept that could not be done now. */
static RC would_change(struct signer *s, struct work *w, people_begin_fn *begin, bool *out)
{
    w->dry = true;
    w->would = false;
    struct rc rc = begin(s, w);
    w->dry = false;
    *out = w->would;
    return rc;
}

static const char *first_line(struct arena *a, const char *words)
{
    return arena_printf(a, "%.*s", (int)strcspn(words, "\n"), words);
}

RC people_keep(struct signer *s, struct work *w, people_begin_fn *begin)
{
    const struct wire_codec *codec = wire_codec_of(w->type);
    const int64_t now = clock_unix_s(s->clock);
    struct proposal p = {.message = codec->name, .uid = (int64_t)w->uid, .at = now, .expires_at = now + PROPOSAL_LIVES};
    struct buf body BUF_CLEANUP = {0}, record BUF_CLEANUP = {0};
    bool change = false;
    size_t open = 0;
    TRY(would_change(s, w, begin, &change));
    if (!change)
        return RC_OK;
    buf_init(&body, BODY_MAX);
    TRY(codec->encode(w->ctx, w->in, &body));
    TRY(buf_status(&body));
    p.body = buf_bytes(&body);
    TRY(words_of(s, w, p.message, &p.words));
    p.change = first_line(&w->ctx->arena, p.words);
    TRY(digest_of(w->ctx, &p, false, p.asked));
    w->answer = kept_answer;
    for (const struct proposal *o = s->proposals; o != NULL; o = o->next) {
        if (!is_open(o, now))
            continue;
        open++;
        if (memcmp(o->asked, p.asked, sizeof p.asked) == 0 && strcmp(o->words, p.words) == 0) {
            w->state = arena_strdup(&w->ctx->arena, o->id);
            return RC_OK;
        }
    }
    if (open >= PROPOSALS_MAX)
        return ctx_fail(w->ctx, E_CONFLICT, "%d proposals are open already; withdraw what is not wanted: certwright ca proposals",
                        PROPOSALS_MAX);
    p.id = id_new(&w->ctx->arena, clock_unix_ms(s->clock));
    TRY(digest_of(w->ctx, &p, true, p.hash));
    w->state = (void *)(uintptr_t)p.id;
    buf_init(&record, BODY_MAX + 2 * PROPOSAL_WORDS);
    proposal_put(&record, &p);
    return work_journal(s, w, RECORD_PROPOSAL, &record);
}

/* --- messages */

static RC protection_answer(struct signer *s, struct work *w)
{
    struct wire_signer_protection *out = w->out;
    *out = (struct wire_signer_protection){.on = s->protect_on, .since = s->protect_since};
    return RC_OK;
}

RC protection_get_begin(struct signer *s, struct work *w)
{
    return protection_answer(s, w);
}

RC protect_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_protect *in = w->in;
    struct buf b BUF_CLEANUP = {0};
    w->answer = protection_answer;
    if (in->on == s->protect_on)
        return RC_OK;
    buf_init(&b, 64);
    protection_put(&b, in->on, clock_unix_s(s->clock));
    return work_journal(s, w, RECORD_PROTECTION, &b);
}

static const char *state_name(const struct proposal *p, int64_t now)
{
    return p->state == PROPOSAL_DONE        ? "done"
           : p->state == PROPOSAL_WITHDRAWN ? "withdrawn"
           : now < p->expires_at            ? "open"
                                            : "expired";
}

static void show(struct wire_signer_proposals *out, struct arena *a, const struct proposal *p, int64_t now)
{
    const size_t i = out->ids.n++;
    out->hashes.n = out->asked.n = out->changes.n = out->words.n = out->states.n = out->uids.n = out->times.n = out->expires.n =
        out->ended.n = out->by.n = out->requests.n = out->ids.n;
    out->ids.v[i] = arena_strdup(a, p->id);
    out->hashes.v[i] = arena_bytes(a, bytes_of(p->hash, sizeof p->hash));
    out->asked.v[i] = arena_bytes(a, bytes_of(p->asked, sizeof p->asked));
    out->changes.v[i] = arena_printf(a, "%.1000s", p->change);
    out->words.v[i] = arena_strdup(a, p->words);
    out->states.v[i] = state_name(p, now);
    out->uids.v[i] = p->uid;
    out->times.v[i] = p->at;
    out->expires.v[i] = p->expires_at;
    out->ended.v[i] = p->ended_at;
    out->by.v[i] = arena_printf(a, "%.1024s", p->by == NULL ? "" : p->by);
    out->requests.v[i] = arena_printf(a, "%.64s", p->request == NULL ? "" : p->request);
}

RC proposal_list_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_proposal_list *in = w->in;
    struct wire_signer_proposals *out = w->out;
    struct arena *a = &w->ctx->arena;
    const int64_t now = clock_unix_s(s->clock);
    *out = (struct wire_signer_proposals){0};
    const char ***texts[] = {&out->ids.v, &out->changes.v, &out->words.v, &out->states.v, &out->by.v, &out->requests.v};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_array(a, SHOWN_MAX, sizeof **texts[i]);
    struct bytes **blobs[] = {&out->hashes.v, &out->asked.v};
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++)
        *blobs[i] = arena_array(a, SHOWN_MAX, sizeof **blobs[i]);
    int64_t **numbers[] = {&out->uids.v, &out->times.v, &out->expires.v, &out->ended.v};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = arena_array(a, SHOWN_MAX, sizeof **numbers[i]);
    for (int open = 1; open >= 0; open--)
        for (const struct proposal *p = s->proposals; p != NULL && out->ids.n < SHOWN_MAX; p = p->next)
            if (is_open(p, now) == (open == 1) && (in->id[0] == 0 || strcmp(in->id, p->id) == 0))
                show(out, a, p, now);
    return RC_OK;
}

static RC approved_answer(struct signer *s, struct work *w)
{
    struct wire_signer_approved *out = w->out;
    const struct proposal *p = find(s, w->state);
    FAILPOINT("signer.people_done");
    if (p == NULL)
        return ctx_fail(w->ctx, E_BUG, "a proposal that is not there");
    *out = (struct wire_signer_approved){
        .id = arena_strdup(&w->ctx->arena, p->id), .change = arena_printf(&w->ctx->arena, "%.1000s", p->change), .at = p->ended_at};
    return RC_OK;
}

/* The message that is kept is done as if it came now; what it writes and the end of its proposal are one frame. */
static RC carry_out(struct signer *s, struct work *w, const struct proposal *p, const struct buf *ended)
{
    uint16_t type = 0;
    people_begin_fn *begin = people_row(p->message, &type);
    const struct wire_codec *codec = begin == NULL ? NULL : wire_codec_of(type);
    const void *in = w->in;
    void *out = w->out;
    const char *words = NULL;
    if (codec == NULL)
        return ctx_fail(w->ctx, E_UNSUPPORTED, "this release does not know proposals of kind %s; withdraw it", p->message);
    void *kept = arena_alloc(&w->ctx->arena, codec->size);
    TRY(codec->decode(w->ctx, p->body, kept));
    w->in = kept;
    w->out = arena_alloc(&w->ctx->arena, wire_codec_of(codec->reply)->size);
    struct rc rc = words_of(s, w, p->message, &words);
    if (rc_ok(rc) && strcmp(words, p->words) != 0)
        rc = ctx_fail(w->ctx, E_CHANGED, "%s: what it would change is another by now; withdraw proposal %s and begin again",
                      p->change, p->id);
    if (rc_ok(rc))
        rc = begin(s, w);
    w->in = in;
    w->out = out;
    TRY(rc);
    if (w->sign != NULL)
        return ctx_fail(w->ctx, E_BUG, "%s cannot be done at once", p->message);
    w->state = arena_strdup(&w->ctx->arena, p->id);
    w->answer = approved_answer;
    return work_journal(s, w, RECORD_PROPOSAL_ENDED, ended);
}

RC approve_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_approve *in = w->in;
    const int64_t now = clock_unix_s(s->clock);
    const struct proposal *p = s->proposals;
    struct buf ended BUF_CLEANUP = {0};
    while (p != NULL && !bytes_equal(in->hash, bytes_of(p->hash, sizeof p->hash)))
        p = p->next;
    if (p == NULL)
        return ctx_fail(w->ctx, E_NOT_FOUND, "no proposal that the signer keeps has this hash");
    w->state = arena_strdup(&w->ctx->arena, p->id);
    w->answer = approved_answer;
    if (p->state == PROPOSAL_DONE)
        return RC_OK;
    if (p->state == PROPOSAL_WITHDRAWN)
        return ctx_fail(w->ctx, E_CONFLICT, "proposal %s was withdrawn by %s", p->id, p->by);
    if (now >= p->expires_at)
        return ctx_fail(w->ctx, E_CONFLICT, "proposal %s has expired; begin again", p->id);
    if (in->approver[0] == 0)
        return ctx_fail(w->ctx, E_INVALID, "who approved it?");
    buf_init(&ended, 8192);
    ended_put(&ended, p, PROPOSAL_DONE, in->approver, in->request, now);
    TRY(buf_status(&ended));
    return carry_out(s, w, p, &ended);
}

RC withdraw_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_withdraw *in = w->in;
    const struct proposal *p = find(s, in->id);
    struct buf b BUF_CLEANUP = {0};
    if (p == NULL)
        return ctx_fail(w->ctx, E_NOT_FOUND, "the signer keeps no proposal %s", in->id);
    if (p->state == PROPOSAL_WITHDRAWN)
        return RC_OK;
    if (p->state == PROPOSAL_DONE)
        return ctx_fail(w->ctx, E_CONFLICT, "proposal %s was done already, approved by %s", p->id, p->by);
    buf_init(&b, 8192);
    ended_put(&b, p, PROPOSAL_WITHDRAWN, arena_printf(&w->ctx->arena, "uid %lld", (long long)w->uid), "", clock_unix_s(s->clock));
    return work_journal(s, w, RECORD_PROPOSAL_ENDED, &b);
}
