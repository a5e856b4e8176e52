#include "agent/run/dns.h"

#include <sys/stat.h>
#include <unistd.h>

#include "acme/dns_proof.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "net/dns_wire.h"
#include "os/file.h"
#include "os/spawn.h"

#define ARGV_MAX   64
#define OUTPUT_MAX 4096

struct call {
    const struct agent_dns *row;
    const struct wire_run_dns *in;
    const char *argv[ARGV_MAX + 4];
    size_t argc;
    const char *env[12];
    size_t n_env;
    struct bytes input;
};

static bool is_test(const struct call *c) { return c->in->verb == WIRE_run_dns_verb_test; }
static bool is_clean(const struct call *c) { return c->in->verb == WIRE_run_dns_verb_clean; }

static void add_arg(struct call *c, const char *arg) { c->argv[c->argc++] = arg; }

static void add_env(struct ctx *ctx, struct call *c, const char *name, const char *value)
{
    c->env[c->n_env++] = arena_printf(&ctx->arena, "%s=%s", name, value);
}

/* --- the protocols */

static RC as_certwright(struct ctx *ctx, struct call *c)
{
    struct buf b;
    struct json_out j;
    add_arg(c, is_test(c) ? "test" : is_clean(c) ? "clean" : "present");
    buf_init_arena(&b, &ctx->arena, 65536);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "zone", c->in->zone);
    if (!is_test(c)) {
        json_put_str(&j, "name", c->in->name);
        json_put_str(&j, "value", c->in->value);
        json_put_str(&j, "domain", c->in->domain);
    }
    json_close(&j);
    buf_put_u8(&b, '\n');
    c->input = buf_bytes(&b);
    return buf_status(&b);
}

static RC as_lego(struct ctx *ctx, struct call *c)
{
    add_arg(c, is_clean(c) ? "cleanup" : "present");
    add_arg(c, arena_printf(&ctx->arena, "%s.", c->in->name));
    add_arg(c, c->in->value);
    return RC_OK;
}

/* As certbot does it. */
static const char *trimmed(struct ctx *ctx, const char *said)
{
    size_t n;
    said += strspn(said, " \t\r\n");
    for (n = strlen(said); n > 0 && strchr(" \t\r\n", said[n - 1]) != NULL;)
        n--;
    return arena_str(&ctx->arena, bytes_of(said, n));
}

/* The hook makes the record's name of the domain.  Where that is an alias, or the value of another method, it would write it
 * elsewhere. */
static RC as_certbot(struct ctx *ctx, struct call *c)
{
    static const char prefix[] = "_acme-challenge.";
    const size_t n = sizeof prefix - 1;
    if (strncmp(c->in->name, prefix, n) != 0)
        return ctx_fail(ctx, E_UNSUPPORTED, "a certbot hook can only write below _acme-challenge, not %s: use protocol certwright",
                        c->in->name);
    const char *domain = c->in->name + n;
    add_env(ctx, c, "CERTBOT_DOMAIN", domain);
    add_env(ctx, c, "CERTBOT_VALIDATION", c->in->value);
    add_env(ctx, c, "CERTBOT_REMAINING_CHALLENGES", "0");
    add_env(ctx, c, "CERTBOT_ALL_DOMAINS", domain);
    if (is_clean(c))
        add_env(ctx, c, "CERTBOT_AUTH_OUTPUT", trimmed(ctx, c->in->said));
    return RC_OK;
}

static const struct {
    const char *name;
    RC (*fill)(struct ctx *ctx, struct call *c);
} protocols[] = {{"certwright", as_certwright}, {"lego", as_lego}, {"certbot", as_certbot}};

/* --- starting it */

/* Nobody but root may change what root starts. */
static RC check_program(struct ctx *ctx, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return ctx_fail_errno(ctx, "%s", path);
    if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "%s is not a program: chmod +x", path);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "%s is started by this agent, but others may change it: chown root, chmod go-w", path);
    return RC_OK;
}

/* Hooks are shell scripts, more often than not, and many run as root: nothing gets to them that a shell would read as more than a
 * word. */
static RC check_wish(struct ctx *ctx, const struct wire_run_dns *in)
{
    if (in->verb == WIRE_run_dns_verb_test)
        return dns_name_plain(in->zone) ? RC_OK : ctx_fail(ctx, E_INVALID, "\"%s\" is no name of a zone", in->zone);
    if (!dns_name_plain(in->name) || !dns_name_plain(in->zone) || !dns_name_plain(in->domain))
        return ctx_fail(ctx, E_INVALID, "%s in zone %s is no name whose records can be changed", in->name, in->zone);
    if (!acme_dns_value_is(in->value))
        return ctx_fail(ctx, E_INVALID, "the value for %s is not one of an ACME challenge", in->name);
    return RC_OK;
}

/* A pipe that takes what fits and lets go of the rest: nobody reads it before the program has ended. */
static RC open_aside(struct ctx *ctx, int fds[2])
{
    return pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 ? RC_OK : ctx_fail_errno(ctx, "a pipe for a program");
}

static struct bytes read_aside(struct ctx *ctx, int fd)
{
    uint8_t *room = arena_alloc(&ctx->arena, OUTPUT_MAX);
    ssize_t n = read(fd, room, OUTPUT_MAX);
    return bytes_of(room, n > 0 ? (size_t)n : 0);
}

/* What the first hook of certbot prints goes to the second one; what it says on standard error does not, but is told where it
 * fails. */
static RC start_hook(struct ctx *ctx, struct spawn *s, struct spawn_result *res)
{
    FD_CLEANUP int from = -1, to = -1;
    int fds[2];
    struct buf both;
    TRY(open_aside(ctx, fds));
    from = fds[0];
    to = fds[1];
    s->err_fd = to;
    TRY(spawn_run(ctx, s, res));
    if (res->exit_code == 0)
        return RC_OK;
    buf_init_arena(&both, &ctx->arena, 2 * OUTPUT_MAX + 1);
    buf_put(&both, res->out);
    buf_put(&both, read_aside(ctx, from));
    res->out = buf_bytes(&both);
    return RC_OK;
}

static RC start(struct ctx *ctx, struct call *c, struct wire_run_done *out)
{
    struct spawn s = {.argv = c->argv, .env = c->env, .in = c->input, .timeout_ms = (int64_t)c->row->timeout_s * 1000,
                      .keep_end = true, .max_out = OUTPUT_MAX};
    struct spawn_result res;
    const char *who = arena_printf(&ctx->arena, "the program of DNS provider %s", c->row->provider);
    TRY(spawn_as(ctx, &s, c->row->user, who));
    FAILPOINT("run.dns");
    TRY(c->row->cleanup != NULL ? start_hook(ctx, &s, &res) : spawn_run(ctx, &s, &res));
    *out = (struct wire_run_done){.exit_code = res.exit_code, .signal = res.signal, .timed_out = res.timed_out, .output = res.out,
                                  .took_ms = res.took_ms};
    return RC_OK;
}

static RC call_program(struct ctx *ctx, struct call *c, struct wire_run_done *out)
{
    const char *const *program = is_clean(c) && c->row->cleanup != NULL ? c->row->cleanup : c->row->program;
    const bool speaks_test = strcmp(c->row->protocol, "certwright") == 0;
    for (size_t i = 0; program[i] != NULL; i++) {
        if (i == ARGV_MAX)
            return ctx_fail(ctx, E_INVALID, "the program has more than %d arguments", ARGV_MAX);
        add_arg(c, program[i]);
    }
    TRY(check_program(ctx, program[0]));
    if (c->row->cleanup != NULL)
        TRY(check_program(ctx, c->row->cleanup[0]));
    if (is_test(c) && !speaks_test) {
        const char *text = arena_printf(&ctx->arena, "%s is there; what it may do shows with the first challenge", program[0]);
        *out = (struct wire_run_done){.output = bytes_z(text)};
        return RC_OK;
    }
    add_env(ctx, c, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    add_env(ctx, c, "LANG", "C.UTF-8");
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i].name, c->row->protocol) == 0) {
            TRY(protocols[i].fill(ctx, c));
            return start(ctx, c, out);
        }
    return ctx_fail(ctx, E_BUG, "no protocol is named %s", c->row->protocol);
}

RC run_dns(struct ctx *ctx, const struct agent_config *cfg, const struct wire_run_dns *in, struct wire_run_done *out)
{
    struct call *c = ARENA_NEW(&ctx->arena, struct call);
    *c = (struct call){.in = in};
    TRY(agent_config_dns(ctx, cfg, in->provider, in->verb == WIRE_run_dns_verb_test ? in->zone : in->name, &c->row));
    if (c->row->program == NULL)
        return ctx_fail(ctx, E_NOT_GRANTED, "DNS provider %s has no program in %s", in->provider, cfg->file);
    TRY(check_wish(ctx, in));
    struct rc rc = call_program(ctx, c, out);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "the program of DNS provider %s", in->provider);
}
