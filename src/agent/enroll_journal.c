#include "agent/enroll_journal.h"

#include <sys/stat.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "os/file.h"
#include "pki/digest.h"

#define FOLDER      "enroll"
#define ENTRY_MAX   ((size_t)8 << 20)
#define HEADERS_MAX 100
#define KEPT_S      (7 * 86400)

static RC folder(struct ctx *ctx, const struct enroll_journal *j, int *fd)
{
    return file_open_dir(ctx, arena_printf(&ctx->arena, "%s/" FOLDER, j->cfg->state_dir), fd);
}

static const char *name_of(struct ctx *ctx, const struct enroll_journal *j) { return arena_printf(&ctx->arena, "%s.json", j->job); }

/* --- reading */

static RC parse_headers(struct ctx *ctx, const json_t *list, struct http_headers *out)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        const char *name = NULL;
        struct bytes value;
        TRY(json_get_str(ctx, v, "name", true, &name));
        TRY(json_get_base64(ctx, v, "value", true, &value));
        http_headers_add(&ctx->arena, out, name, arena_str(&ctx->arena, value));
    }
    return RC_OK;
}

static RC parse_said(struct ctx *ctx, const json_t *v, struct enroll_said *out)
{
    const json_t *headers = NULL;
    int64_t status = 0;
    TRY(json_get_str(ctx, v, "request", true, &out->request));
    TRY(json_get_int(ctx, v, "status", true, &status));
    TRY(json_get_int(ctx, v, "retry_after_s", true, &out->retry_after_s));
    TRY(json_get_base64(ctx, v, "body", true, &out->body));
    TRY(json_get_list(ctx, v, "headers", true, &headers));
    if (status < 100 || status > 999)
        return ctx_fail(ctx, E_INVALID, "no status");
    out->status = (int)status;
    return parse_headers(ctx, headers, &out->headers);
}

static RC parse(struct ctx *ctx, struct bytes text, struct enroll_journal *out)
{
    json_auto_t *j = NULL;
    const json_t *said = NULL, *v;
    const char *of = NULL, *state = NULL;
    size_t i;
    TRY(json_read(ctx, text, &j));
    TRY(json_get_str(ctx, j, "csr_sha256", true, &of));
    if (!str_equal(of, out->hash))
        return RC_OK;
    TRY(json_get_str(ctx, j, "asking", true, &out->asking));
    TRY(json_get_list(ctx, j, "said", true, &said));
    json_array_foreach((json_t *)(uintptr_t)said, i, v)
        if (out->n < ENROLL_SAID_MAX)
            TRY(parse_said(ctx, v, &out->said[out->n++]));
    TRY(json_get_str(ctx, j, "state", false, &state));
    TRY(json_get_str(ctx, j, "chain_pem", false, &out->answer.chain_pem));
    TRY(json_get_str(ctx, j, "reference", false, &out->answer.reference));
    TRY(json_get_int(ctx, j, "retry_after_s", false, &out->answer.retry_after_s));
    out->answered = state != NULL;
    out->answer.state = str_equal(state, "pending") ? WIRE_relay_enroll_done_state_pending : WIRE_relay_enroll_done_state_issued;
    return RC_OK;
}

static void begin(struct enroll_journal *j, const struct agent_config *cfg, const char *job, const char *hash)
{
    *j = (struct enroll_journal){.cfg = cfg, .job = job, .hash = hash, .asking = ""};
    j->answer = (struct wire_relay_enroll_done){.chain_pem = "", .reference = "", .note = ""};
}

RC enroll_journal_open(struct ctx *ctx, const struct agent_config *cfg, const char *job, struct bytes csr,
                       struct enroll_journal *out)
{
    FD_CLEANUP int dir = -1;
    uint8_t digest[SHA256_LEN];
    struct bytes text;
    if (!str_is_name(bytes_z(job)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a job", job);
    TRY(digest_sha256(ctx, csr, digest));
    const char *hash = hex_str(&ctx->arena, bytes_of(digest, sizeof digest));
    begin(out, cfg, job, hash);
    TRY(folder(ctx, out, &dir));
    struct rc rc = file_read_at(ctx, dir, name_of(ctx, out), ENTRY_MAX, &text);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    rc = parse(ctx, text, out);
    if (rc_failed(rc)) { /* what cannot be read says nothing */
        begin(out, cfg, job, hash);
        ctx_forget(ctx);
    }
    return RC_OK;
}

const struct enroll_said *enroll_journal_find(const struct enroll_journal *j, const char *request)
{
    for (size_t i = 0; i < j->n; i++)
        if (str_equal(j->said[i].request, request))
            return &j->said[i];
    return NULL;
}

/* --- writing */

static void put_said(struct json_out *j, const struct enroll_said *s)
{
    json_open_obj(j, NULL);
    json_put_str(j, "request", s->request);
    json_put_int(j, "status", s->status);
    json_put_int(j, "retry_after_s", s->retry_after_s);
    json_put_base64(j, "body", s->body);
    json_open_list(j, "headers");
    for (size_t i = 0; i < s->headers.n && i < HEADERS_MAX; i++) {
        if (str_equal(s->headers.v[i].name, "set-cookie")) /* a session is nobody's to keep */
            continue;
        json_open_obj(j, NULL);
        json_put_str(j, "name", s->headers.v[i].name);
        json_put_base64(j, "value", bytes_z(s->headers.v[i].value));
        json_close(j);
    }
    json_close(j);
    json_close(j);
}

static RC write_it(struct ctx *ctx, const struct enroll_journal *e)
{
    FD_CLEANUP int dir = -1;
    struct buf b;
    struct json_out j;
    TRY(folder(ctx, e, &dir));
    buf_init_arena(&b, &ctx->arena, ENTRY_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "csr_sha256", e->hash);
    json_put_str(&j, "asking", e->asking);
    json_open_list(&j, "said");
    for (size_t i = 0; i < e->n; i++)
        put_said(&j, &e->said[i]);
    json_close(&j);
    if (e->answered) {
        json_put_str(&j, "state", wire_relay_enroll_done_state_word(e->answer.state));
        json_put_str(&j, "chain_pem", e->answer.chain_pem);
        json_put_str(&j, "reference", e->answer.reference);
        json_put_int(&j, "retry_after_s", e->answer.retry_after_s);
    }
    json_close(&j);
    TRY(buf_status(&b));
    return file_write_atomic(ctx, dir, name_of(ctx, e), buf_bytes(&b), FILE_KEEP_UID, FILE_KEEP_GID, 0600);
}

/* Those that no job asks for any more. */
static RC tidy(struct ctx *ctx, const struct enroll_journal *j)
{
    FD_CLEANUP int dir = -1;
    struct str_list names = {0};
    TRY(folder(ctx, j, &dir));
    TRY(file_list(ctx, dir, &names));
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        if (fstatat(dir, names.v[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < ctx_now_s(ctx) - KEPT_S)
            TRY(file_remove(ctx, dir, names.v[i]));
    }
    return RC_OK;
}

RC enroll_journal_asking(struct ctx *ctx, struct enroll_journal *j, const char *request)
{
    TRY(tidy(ctx, j));
    j->asking = request;
    return write_it(ctx, j);
}

RC enroll_journal_said(struct ctx *ctx, struct enroll_journal *j, const struct enroll_said *said)
{
    if (j->n == ENROLL_SAID_MAX || said->body.n > ENROLL_BODY_MAX)
        return RC_OK;
    j->asking = "";
    j->said[j->n++] = *said;
    return write_it(ctx, j);
}

RC enroll_journal_answered(struct ctx *ctx, struct enroll_journal *j, const struct wire_relay_enroll_done *answer)
{
    j->asking = "";
    j->n = 0; /* what it was made of is not needed any more */
    j->answered = true;
    j->answer = *answer;
    return write_it(ctx, j);
}

RC enroll_journal_forget(struct ctx *ctx, struct enroll_journal *j)
{
    FD_CLEANUP int dir = -1;
    TRY(folder(ctx, j, &dir));
    begin(j, j->cfg, j->job, j->hash);
    return file_remove(ctx, dir, name_of(ctx, j));
}
