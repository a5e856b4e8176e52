#include "agent/deploy.h"

#include "agent/connector.h"
#include "agent/share.h"
#include "agent/push.h"
#include "base/encode.h"
#include "base/failpoint.h"

enum step { LOOK, STAGE, PRECHECK, INSTALL, CHECK, RELOAD, PROVE, COMMIT, UNDO, UNDO_CHECK, UNDO_RELOAD, UNDO_PROVE, UNDO_CLOSE,
            DRY, DONE, FAILED, STEPS };

struct deployment {
    struct hands *h;
    struct story *story;
    struct lease lease;
    const json_t *body;
    bool resumed; /* from the journal alone: the chain is there, not here */
    const char *id, *target, *target_name, *connector, *parameters, *attempt, *chain_pem, *roots_pem;
    const json_t *params;
    bool dry_run;
    struct endpoint ends[DEPLOY_ENDPOINTS_MAX];
    size_t n_ends;
    struct connector desc;
    const char *check, *reload; /* commands of agent.yaml; NULL: none */
    struct str_list files;
    struct push_target push;  /* where desc.relay says that there are no files */
    bool missing;             /* a destination was not there before */
    struct bytes fingerprint, previous;
    struct served served[DEPLOY_ENDPOINTS_MAX + 1];
    size_t n_served;
    bool kept;                /* committed before: there is nothing to undo */
    bool rolled_back;
    bool broken_before;
    const char *unproved;     /* undone, but the previous certificate was not seen again: what was; NULL: it was */
    struct rc why;            /* the first failure; its words are in the trail */
    enum step next;           /* a step's own word on what follows; STEPS: as the table says */
};

static RC target_call(struct ctx *ctx, struct deployment *d, uint16_t type)
{
    /* install, rollback, undone and commit are the same three fields under four names. */
    struct wire_apply_install in = {d->target, d->id, d->lease.fence};
    struct wire_apply_done done;
    _Static_assert(sizeof(struct wire_apply_install) == sizeof(struct wire_apply_commit) &&
                       sizeof(struct wire_apply_install) == sizeof(struct wire_apply_rollback) &&
                       sizeof(struct wire_apply_install) == sizeof(struct wire_apply_undone), "same fields");
    return hands_call(ctx, d->h->apply, type, &in, WIRE_apply_done, &done);
}

/* What the calls of push.h need to know of this deployment. */
static struct push_target *push_of(struct deployment *d)
{
    struct push_target *p = &d->push;
    p->h = d->h;
    p->story = d->story;
    p->target = d->target;
    p->deployment = d->id;
    p->connector = d->connector;
    p->parameters = d->parameters;
    p->fence = d->lease.fence;
    p->fingerprint = d->fingerprint;
    return p;
}

/* --- the steps */

static RC resume_other(struct ctx *ctx, struct deployment *d);

/* Where a deployment that the journal knows goes on. */
static enum step resume_at(const char *journal_step)
{
    static const struct {
        const char *name;
        enum step at;
    } rows[] = {{"staged", PRECHECK}, {"saved", INSTALL}, {"installed", CHECK}, {"undoing", UNDO}, {"undone", UNDO_CHECK}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, journal_step) == 0)
            return rows[i].at;
    return STEPS;
}

static RC do_look(struct ctx *ctx, struct deployment *d)
{
    struct wire_apply_state in = {.target = d->target};
    struct wire_apply_state_is state;
    if (d->dry_run) {
        d->next = DRY;
        return RC_OK;
    }
    TRY(HANDS_CALL(ctx, d->h->apply, apply_state, &in, apply_state_is, &state));
    if (!str_equal(state.deployment, d->id)) {
        if (resume_at(state.step) == STEPS || strcmp(state.step, "staged") == 0)
            return RC_OK;
        return resume_other(ctx, d);
    }
    d->fingerprint = state.fingerprint;
    d->previous = state.previous;
    d->files = (struct str_list){state.files.v, state.files.n, 0};
    d->push.serial = state.serial;
    d->push.keep_for = state.keep_for;
    if (d->resumed) {
        d->lease.fence = state.fence;
        d->next = resume_at(state.step);
        return RC_OK;
    }
    if (strcmp(state.step, "committed") == 0) {
        struct wire_apply_compare ask = {d->target, d->id};
        struct wire_apply_compared same;
        struct push_look look = {.is_new = true};
        TRY(HANDS_CALL(ctx, d->h->apply, apply_compare, &ask, apply_compared, &same));
        if (d->desc.relay != NULL)
            TRY(push_at_look(ctx, push_of(d), &look));
        if (same.equal && look.is_new) {
            story_add(ctx, d->story, "look", "this version is installed already");
            d->kept = true;
            d->next = RELOAD;
        }
    }
    return RC_OK;
}

/* The agent's note in the journal: the job without the chain, which apply has. */
static const char *plan_of(struct ctx *ctx, struct deployment *d)
{
    struct buf b;
    struct json_out j;
    const char *key;
    json_t *v;
    buf_init_arena(&b, &ctx->arena, (size_t)1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "job", d->lease.job);
    json_put_int(&j, "fence", d->lease.fence);
    json_open_obj(&j, "deploy");
    json_object_foreach((json_t *)(uintptr_t)d->body, key, v)
        if (strcmp(key, "chain_pem") != 0 && strcmp(key, "sealed_key") != 0)
            json_put_value(&j, key, v);
    json_close(&j);
    json_close(&j);
    return buf_z(&b);
}

static RC stage(struct ctx *ctx, struct deployment *d, bool dry, struct wire_apply_staged *out)
{
    struct wire_apply_stage in = {
        .target = d->target, .deployment = d->id, .fence = d->lease.fence, .connector = d->connector, .parameters = d->parameters,
        .attempt = d->attempt, .chain_pem = d->chain_pem, .roots_pem = d->roots_pem, .plan = plan_of(ctx, d), .dry_run = dry};
    TRY(HANDS_CALL(ctx, d->h->apply, apply_stage, &in, apply_staged, out));
    d->files = (struct str_list){out->files.v, out->files.n, 0};
    d->fingerprint = out->fingerprint;
    d->missing = out->missing;
    d->push.serial = out->serial;
    d->push.keep_for = out->keep_for;
    return RC_OK;
}

static RC do_stage(struct ctx *ctx, struct deployment *d)
{
    struct wire_apply_staged out;
    if (story_dropped(d->story))
        return ctx_fail(ctx, E_FENCED, "the lease was given to somebody else before anything was touched");
    TRY(share_open(ctx, d->h, d->attempt, d->body));
    TRY(stage(ctx, d, false, &out));
    /* A generation taken over from an earlier lease knows what was there before it began; what is there now may be ours. */
    if (strcmp(out.step, "staged") == 0)
        d->previous = out.previous;
    else
        d->next = resume_at(out.step);
    if (d->desc.relay != NULL)
        story_add(ctx, d->story, "stage", "ready to be sent");
    else
        story_add(ctx, d->story, "stage", out.same ? "the files hold this version already" : "%zu files ready", d->files.n);
    return RC_OK;
}

static RC do_dry(struct ctx *ctx, struct deployment *d)
{
    struct wire_apply_staged out;
    struct push_look look;
    TRY(stage(ctx, d, true, &out));
    d->previous = out.previous;
    if (d->desc.relay == NULL)
        return RC_OK;
    TRY(push_at_look(ctx, push_of(d), &look));
    d->previous = look.fingerprint;
    story_add(ctx, d->story, "see", "there is %s", look.what);
    return RC_OK;
}

static RC command(struct ctx *ctx, struct deployment *d, const char *name)
{
    if (name == NULL)
        return RC_OK;
    int64_t begun = clock_mono_ms();
    TRY(hands_command(ctx, d->h, name));
    story_add(ctx, d->story, "command", "%s: good (%lld ms)", name, (long long)(clock_mono_ms() - begun));
    return RC_OK;
}

/* A configuration that was broken before is not ours to mend: a reload would fail, and going on would only hide whose fault it is.
 * Where a file that it names is not there yet, that may be all that is wrong. */
static RC do_precheck(struct ctx *ctx, struct deployment *d)
{
    struct trail_entry *trail = ctx->trail;
    if (d->desc.relay != NULL)
        return push_at_begin(ctx, push_of(d), &d->previous);
    struct rc rc = command(ctx, d, d->check);
    if (rc.e != E_COMMAND_FAILED)
        return rc;
    if (!d->missing)
        return ctx_wrap(ctx, rc, "the configuration of %s was broken before; nothing was changed", d->target_name);
    story_add(ctx, d->story, "check", "not good yet, and a file that will be installed is missing: %s", ctx_why(ctx));
    ctx->trail = trail;
    d->broken_before = true;
    return RC_OK;
}

static RC do_install(struct ctx *ctx, struct deployment *d)
{
    if (story_dropped(d->story))
        return ctx_fail(ctx, E_FENCED, "the lease was given to somebody else before anything was touched");
    FAILPOINT("agent.install_before");
    if (d->desc.relay != NULL)
        TRY(push_at_install(ctx, push_of(d), &d->previous));
    TRY(target_call(ctx, d, WIRE_apply_install));
    FAILPOINT("agent.install_after");
    for (size_t i = 0; i < d->files.n; i++)
        story_add(ctx, d->story, "install", "%s", d->files.v[i]);
    return RC_OK;
}

static RC do_check(struct ctx *ctx, struct deployment *d)
{
    FAILPOINT("agent.check_before");
    return command(ctx, d, d->check);
}

/* The service takes what its files hold now: by a command, or over its socket. */
static RC take_files(struct ctx *ctx, struct deployment *d)
{
    struct wire_apply_send in = {d->target, d->id, d->lease.fence, d->connector, d->parameters};
    struct wire_apply_done done;
    int64_t begun = clock_mono_ms();
    if (d->desc.send == NULL)
        return command(ctx, d, d->reload);
    TRY(HANDS_CALL(ctx, d->h->apply, apply_send, &in, apply_done, &done));
    story_add(ctx, d->story, "send", "told over its socket (%lld ms)", (long long)(clock_mono_ms() - begun));
    return RC_OK;
}

static RC do_reload(struct ctx *ctx, struct deployment *d)
{
    FAILPOINT("agent.reload_before");
    TRY(take_files(ctx, d));
    FAILPOINT("agent.reload_after");
    return RC_OK;
}

/* The target itself says what it holds; without an endpoint that is the proof. */
static RC prove_push(struct ctx *ctx, struct deployment *d)
{
    TRY(push_at_prove(ctx, push_of(d), d->h->cfg->prove_s * 1000LL));
    if (d->n_ends > 0)
        return RC_OK;
    d->served[0] = (struct served){.at = {"", 0, "", ""}, .verdict = VERDICT_INSTALLED, .fingerprint = d->fingerprint,
        .detail = ""};
    d->n_served = 1;
    return RC_OK;
}

/* Without an endpoint the files are the proof: read back and equal. */
static RC prove_files(struct ctx *ctx, struct deployment *d)
{
    struct wire_apply_compare ask = {d->target, d->id};
    struct wire_apply_compared same;
    TRY(HANDS_CALL(ctx, d->h->apply, apply_compare, &ask, apply_compared, &same));
    d->served[0] = (struct served){.at = {"", 0, "", ""}, .verdict = VERDICT_INSTALLED, .fingerprint = d->fingerprint,
        .detail = same.detail};
    d->n_served = same.equal ? 1 : 0;
    if (!same.equal)
        return ctx_fail(ctx, E_NOT_SERVED, "%s: %s", d->target_name, same.detail);
    story_add(ctx, d->story, "prove", "the files hold the new certificate");
    return RC_OK;
}

static const char *describe(struct ctx *ctx, const struct served *s)
{
    static const char *const words[] = {
        [VERDICT_SERVED] = "shows it",          [VERDICT_UNTRUSTED] = "shows it, but clients would not trust it",
        [VERDICT_OTHER] = "shows another certificate", [VERDICT_UNREACHABLE] = "cannot be reached", [VERDICT_INSTALLED] = "has it"};
    const char *what = words[s->verdict];
    bool reason = s->detail != NULL && *s->detail != '\0' && s->verdict != VERDICT_OTHER;
    return arena_printf(&ctx->arena, "%s port %d (%s) %s%s%s", s->at.address, s->at.port, s->at.name, what, reason ? ": " : "",
                        reason ? words_of(ctx, bytes_z(s->detail), 500) : "");
}

static RC do_prove(struct ctx *ctx, struct deployment *d)
{
    bool all;
    FAILPOINT("agent.prove_before");
    if (d->desc.relay != NULL)
        TRY(prove_push(ctx, d));
    else if (d->n_ends == 0)
        return prove_files(ctx, d);
    if (d->n_ends == 0)
        return RC_OK;
    TRY(hands_prove(ctx, d->h, d->ends, d->n_ends, d->fingerprint, d->roots_pem, d->h->cfg->prove_s * 1000LL, d->served, &all));
    d->n_served = d->n_ends;
    for (size_t i = 0; i < d->n_served; i++) {
        bool shown = d->served[i].verdict == VERDICT_SERVED || d->served[i].verdict == VERDICT_UNTRUSTED;
        story_add(ctx, d->story, "prove", "%s", describe(ctx, &d->served[i]));
        if (!shown && rc_ok(d->why))
            d->why = ctx_fail(ctx, E_NOT_SERVED, "%s", describe(ctx, &d->served[i]));
    }
    return all ? RC_OK : d->why;
}

static RC do_commit(struct ctx *ctx, struct deployment *d)
{
    if (d->kept)
        return RC_OK;
    FAILPOINT("agent.commit_before");
    TRY(target_call(ctx, d, WIRE_apply_commit));
    FAILPOINT("agent.commit_after");
    return RC_OK;
}

static RC do_undo(struct ctx *ctx, struct deployment *d)
{
    if (d->kept)
        d->next = FAILED; /* committed long ago: its undoing is a deployment of its own */
    if (d->kept)
        return RC_OK;
    FAILPOINT("agent.undo_before");
    bool left = false;
    if (d->desc.relay != NULL)
        TRY(push_at_undo(ctx, push_of(d), &d->previous, &left));
    TRY(target_call(ctx, d, WIRE_apply_rollback));
    d->rolled_back = true;
    FAILPOINT("agent.undo_after");
    if (d->desc.relay == NULL)
        story_add(ctx, d->story, "undo", "the previous files are back");
    return RC_OK;
}

/* What fails after the files are back is told, but changes nothing: there is nothing else to go back to. */
static void tell_failure(struct ctx *ctx, struct deployment *d, const char *step, struct rc rc, struct trail_entry *trail)
{
    if (rc_failed(rc))
        story_add(ctx, d->story, step, "%s", ctx_why(ctx));
    ctx->trail = trail;
}

static RC do_undo_check(struct ctx *ctx, struct deployment *d)
{
    struct trail_entry *trail = ctx->trail;
    ctx->trail = NULL;
    tell_failure(ctx, d, "undo_check", command(ctx, d, d->check), trail);
    return RC_OK;
}

static RC do_undo_reload(struct ctx *ctx, struct deployment *d)
{
    struct trail_entry *trail = ctx->trail;
    ctx->trail = NULL;
    tell_failure(ctx, d, "undo_reload", take_files(ctx, d), trail);
    return RC_OK;
}

static RC do_undo_prove(struct ctx *ctx, struct deployment *d)
{
    struct trail_entry *trail = ctx->trail;
    bool all = true;
    ctx->trail = NULL;
    d->n_served = 0;
    if (d->n_ends > 0 && d->previous.n > 0) {
        struct rc rc = hands_prove(ctx, d->h, d->ends, d->n_ends, d->previous, d->roots_pem,
                                   d->broken_before ? 0 : d->h->cfg->prove_s * 1000LL, d->served, &all);
        d->n_served = rc_ok(rc) ? d->n_ends : 0;
        for (size_t i = 0; i < d->n_served; i++) {
            const char *seen = describe(ctx, &d->served[i]);
            story_add(ctx, d->story, "undo_prove", "%s (the previous certificate)", seen);
            if (d->served[i].verdict != VERDICT_SERVED && d->served[i].verdict != VERDICT_UNTRUSTED && d->unproved == NULL)
                d->unproved = seen;
        }
        tell_failure(ctx, d, "undo_prove", rc, trail);
    }
    ctx->trail = trail;
    return RC_OK;
}

static RC do_undo_close(struct ctx *ctx, struct deployment *d)
{
    FAILPOINT("agent.undo_close_before");
    TRY(target_call(ctx, d, WIRE_apply_undone));
    d->rolled_back = true; /* also where an earlier life of the agent did it */
    FAILPOINT("agent.undo_close_after");
    return RC_OK;
}

/* Nothing outside the state directory was touched: only the journal is closed. */
static RC abandon(struct ctx *ctx, struct deployment *d)
{
    struct trail_entry *trail = ctx->trail;
    struct rc rc = target_call(ctx, d, WIRE_apply_rollback);
    if (rc_ok(rc))
        rc = target_call(ctx, d, WIRE_apply_undone);
    ctx->trail = trail;
    return RC_OK;
}

static const struct {
    const char *name;
    RC (*run)(struct ctx *ctx, struct deployment *d);
    enum step ok, failed;
} table[STEPS] = {
    /*                 name           does             then         where it fails */
    [LOOK] =        {"look",        do_look,        STAGE,       FAILED},
    [STAGE] =       {"stage",       do_stage,       PRECHECK,    FAILED},
    [PRECHECK] =    {"check",       do_precheck,    INSTALL,     FAILED},
    [INSTALL] =     {"install",     do_install,     CHECK,       UNDO},
    [CHECK] =       {"check",       do_check,       RELOAD,      UNDO},
    [RELOAD] =      {"reload",      do_reload,      PROVE,       UNDO},
    [PROVE] =       {"prove",       do_prove,       COMMIT,      UNDO},
    [COMMIT] =      {"commit",      do_commit,      DONE,        FAILED},
    [UNDO] =        {"undo",        do_undo,        UNDO_CHECK,  FAILED},
    [UNDO_CHECK] =  {"undo_check",  do_undo_check,  UNDO_RELOAD, UNDO_RELOAD},
    [UNDO_RELOAD] = {"undo_reload", do_undo_reload, UNDO_PROVE,  UNDO_PROVE},
    [UNDO_PROVE] =  {"undo_prove",  do_undo_prove,  UNDO_CLOSE,  UNDO_CLOSE},
    [UNDO_CLOSE] =  {"undo_close",  do_undo_close,  FAILED,      FAILED},
    [DRY] =         {"dry_run",     do_dry,         DONE,        FAILED},
};

/* The code under which a failure is told: whether the old certificate is still there, and whose words say why. */
static struct rc final_code(enum step at, struct rc rc)
{
    if (at == UNDO)
        return rc_of(E_ROLLBACK_FAILED);
    if (rc.e == E_COMMAND_FAILED || (rc.e == E_IO && at >= INSTALL && at <= RELOAD))
        return rc_of(E_DEPLOY_FAILED);
    return rc;
}

static RC drive(struct ctx *ctx, struct deployment *d)
{
    enum step at = LOOK;
    while (at != DONE && at != FAILED) {
        d->next = STEPS;
        struct rc rc = table[at].run(ctx, d);
        if (rc_failed(rc)) {
            story_add(ctx, d->story, table[at].name, "%s", ctx_why(ctx));
            if (rc_ok(d->why) || at == UNDO || d->why.e == rc.e)
                d->why = final_code(at, rc);
            const bool untouched = at == PRECHECK || (at == INSTALL && rc.e == E_FENCED);
            if (untouched)
                TRY(abandon(ctx, d));
            at = untouched ? FAILED : table[at].failed;
        } else {
            at = d->next != STEPS ? d->next : table[at].ok;
        }
    }
    if (at == DONE)
        return RC_OK;
    if (rc_failed(d->why) && d->unproved != NULL)
        return ctx_wrap(ctx, rc_of(E_NOT_PROVED), "the previous %s, but %s", d->desc.relay != NULL ? "certificate is back" :
                        "files are back", d->unproved);
    if (rc_failed(d->why))
        return d->why;
    return ctx_fail(ctx, E_DEPLOY_FAILED, "deployment %s was undone after an interruption", d->id);
}

/* --- in and out */

static RC read_body(struct ctx *ctx, struct deployment *d)
{
    const json_t *ends = NULL;
    d->target_name = d->chain_pem = d->roots_pem = d->attempt = "";
    TRY(json_get_str(ctx, d->body, "deployment", true, &d->id));
    TRY(json_get_str(ctx, d->body, "target", true, &d->target));
    TRY(json_get_str(ctx, d->body, "target_name", false, &d->target_name));
    TRY(json_get_str(ctx, d->body, "connector", true, &d->connector));
    TRY(json_get_str(ctx, d->body, "attempt", true, &d->attempt));
    TRY(json_get_str(ctx, d->body, "chain_pem", !d->resumed, &d->chain_pem));
    TRY(json_get_str(ctx, d->body, "roots_pem", false, &d->roots_pem));
    TRY(json_get_bool(ctx, d->body, "dry_run", false, &d->dry_run));
    TRY(json_get_list(ctx, d->body, "endpoints", false, &ends));
    TRY(json_get_obj(ctx, d->body, "parameters", false, &d->params));
    TRY(json_get_obj_text(ctx, d->body, "parameters", false, &d->parameters));
    TRY(hands_read_endpoints(ctx, ends, DEPLOY_ENDPOINTS_MAX, d->ends, &d->n_ends));
    if (*d->target_name == '\0')
        d->target_name = d->target;
    TRY(connector_use(ctx, d->h->cfg, d->connector, &d->desc));
    d->check = connector_command(d->params, d->desc.check);
    d->reload = connector_command(d->params, d->desc.reload);
    return RC_OK;
}

static void put_command(struct ctx *ctx, struct deployment *d, struct json_out *j, const char *name)
{
    const struct agent_command *cmd;
    struct buf b;
    struct trail_entry *trail = ctx->trail;
    if (name == NULL)
        return;
    buf_init_arena(&b, &ctx->arena, 4000);
    buf_printf(&b, "%s:", name);
    if (rc_ok(agent_config_command(ctx, d->h->cfg, name, &cmd)))
        for (size_t i = 0; cmd->argv[i] != NULL; i++)
            buf_printf(&b, " %s", cmd->argv[i]);
    ctx->trail = trail;
    json_put_str(j, NULL, buf_z(&b));
}

static void put_member(struct ctx *ctx, struct deployment *d, struct buf *member)
{
    struct json_out j;
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    hands_put_served(&j, ctx, d->served, d->n_served);
    json_open_list(&j, "files");
    for (size_t i = 0; i < d->files.n; i++) {
        json_open_obj(&j, NULL);
        json_put_str(&j, "path", d->files.v[i]);
        json_close(&j);
    }
    json_close(&j);
    json_open_list(&j, "commands");
    put_command(ctx, d, &j, d->check);
    put_command(ctx, d, &j, d->reload);
    json_close(&j);
    json_put_bool(&j, "rolled_back", d->rolled_back);
    json_close(&j);
}

static RC run_entered(struct ctx *ctx, struct deployment *d, struct buf *member)
{
    TRY(read_body(ctx, d));
    struct rc rc = drive(ctx, d);
    put_member(ctx, d, member);
    return rc;
}

RC deploy_run(struct ctx *ctx, struct hands *h, struct story *story, struct lease lease, const json_t *body, struct buf *member)
{
    struct deployment *d = ARENA_NEW(&ctx->arena, struct deployment);
    const char *target;
    *d = (struct deployment){.h = h, .story = story, .lease = lease, .body = body};
    TRY(json_get_str(ctx, body, "target", true, &target));
    TRY(hands_enter(ctx, h, target));
    struct rc rc = run_entered(ctx, d, member);
    hands_leave(h, target);
    return rc;
}

static void json_free(json_t **j) { json_decref(*j); }

/* The part of deploy_resume that needs the target to itself. */
static RC resume_entered(struct ctx *ctx, struct hands *h, struct story *story, const char *target, struct lease *lease,
                         struct buf *member)
{
    __attribute__((cleanup(json_free))) json_t *plan = NULL;
    struct deployment *d = ARENA_NEW(&ctx->arena, struct deployment);
    struct wire_apply_state in = {.target = target};
    struct wire_apply_state_is state;
    const json_t *body;
    lease->job = "";
    TRY(HANDS_CALL(ctx, h->apply, apply_state, &in, apply_state_is, &state));
    if (resume_at(state.step) == STEPS)
        return RC_OK;
    TRY(json_read(ctx, bytes_z(state.plan), &plan));
    TRY(json_get_str(ctx, plan, "job", true, &lease->job));
    TRY(json_get_obj(ctx, plan, "deploy", true, &body));
    lease->fence = state.fence;
    story_add(ctx, story, "resume", "deployment %s at target %s was interrupted when it was %s", state.deployment, target,
              state.step);
    *d = (struct deployment){.h = h, .story = story, .lease = *lease, .body = body, .resumed = true};
    return run_entered(ctx, d, member);
}

RC deploy_resume(struct ctx *ctx, struct hands *h, struct story *story, const char *target, struct lease *lease, struct buf *member)
{
    TRY(hands_enter(ctx, h, target));
    struct rc rc = resume_entered(ctx, h, story, target, lease, member);
    hands_leave(h, target);
    return rc;
}

/* Another deployment stands unfinished at our target: it is brought to its end first, whatever that is. */
static RC resume_other(struct ctx *ctx, struct deployment *d)
{
    struct lease other;
    struct buf member;
    struct trail_entry *trail = ctx->trail;
    buf_init_arena(&member, &ctx->arena, (size_t)1 << 20);
    struct rc rc = resume_entered(ctx, d->h, d->story, d->target, &other, &member);
    if (rc.e == E_ROLLBACK_FAILED)
        return rc;
    ctx->trail = trail;
    return RC_OK;
}

RC deploy_verify(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member)
{
    struct endpoint ends[DEPLOY_ENDPOINTS_MAX];
    struct served served[DEPLOY_ENDPOINTS_MAX];
    const char *hex, *roots = "";
    const json_t *list = NULL;
    struct bytes fingerprint;
    struct json_out j;
    size_t n = 0;
    bool all;
    TRY(json_get_str(ctx, body, "fingerprint", true, &hex));
    TRY(json_get_str(ctx, body, "roots_pem", false, &roots));
    TRY(json_get_list(ctx, body, "endpoints", false, &list));
    TRY(hands_read_endpoints(ctx, list, DEPLOY_ENDPOINTS_MAX, ends, &n));
    if (!get_hex(&ctx->arena, bytes_z(hex), &fingerprint))
        return ctx_fail_field(ctx, "/fingerprint", "not hex");
    TRY(hands_prove(ctx, h, ends, n, fingerprint, roots, 0, served, &all));
    for (size_t i = 0; i < n; i++)
        story_add(ctx, story, "verify", "%s", describe(ctx, &served[i]));
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    hands_put_served(&j, ctx, served, n);
    json_close(&j);
    return RC_OK;
}
