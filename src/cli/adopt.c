/* certwright adopt WHAT...; certwright cert release NAME... */
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

#define ADOPTIONS "/api/v1/adoptions"
#define CERTS     "/api/v1/managed-certificates"
#define LOOK_MS   (120 * 1000)
#define WORK_MS   (300 * 1000)
#define MOST      1000 /* certificates of --where */

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_PLAIN},       {"CLIENT", "client", CLI_PLAIN}, {"AGENT", "agent", CLI_PLAIN},
    {"STATE", "state", CLI_PLAIN},     {"NAMES", "names", CLI_JOIN},    {"EXPIRES", "not_after", CLI_AGO},
    {"MANAGED", "managed", CLI_PLAIN},
};

static const char *keep(struct cli *cli, const char *text)
{
    return arena_strdup(&cli->ctx->arena, text);
}

/* --- which */

static bool is_client(const char *word)
{
    static const char *const clients[] = {"certbot", "acme.sh", "lego", "dehydrated", "caddy", "uacme"};
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
        if (str_equal(clients[i], word))
            return true;
    return false;
}

static bool is_fingerprint(const char *word)
{
    const size_t n = strlen(word);
    return n >= 8 && strspn(word, "0123456789abcdefABCDEF:") == n;
}

/* Has the hub begin to look; what it says is added to `ids`. */
static struct rc ask(struct cli *cli, const char *key, const char *value, struct str_list *ids)
{
    struct cli_body b;
    json_auto_t *page = NULL;
    cli_body_begin(cli, &b);
    cli_body_text(&b, key, value);
    cli_body_text(&b, "agent", cli_opt(cli, "agent"));
    TRY(cli_call(cli, "POST", ADOPTIONS, cli_body_end(&b), &page));
    const json_t *items = json_object_get(page, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *id = keep(cli, cli_text(json_array_get(items, i), "id"));
        if (!str_list_has(ids, id))
            str_list_add(&cli->ctx->arena, ids, id);
    }
    return RC_OK;
}

static struct rc ask_word(struct cli *cli, const char *word, struct str_list *ids)
{
    json_auto_t *shown = NULL;
    if (is_client(word))
        return ask(cli, "client", word, ids);
    if (!is_fingerprint(word))
        return ask(cli, "name", word, ids);
    TRY(cli_call(cli, "GET", cli_path(cli, "/api/v1/certificates/", word, ""), (struct bytes){0}, &shown));
    return ask(cli, "certificate", keep(cli, cli_text(shown, "fingerprint")), ids);
}

/* A certificate that no lineage holds is none of those meant. */
static struct rc ask_where(struct cli *cli, struct str_list *ids)
{
    json_auto_t *found = NULL;
    const char *where = cli_opt(cli, "where");
    if (!where)
        return RC_OK;
    TRY(cli_all(cli, cli_path(cli, "/api/v1/certificates?where=", where, ""), MOST + 1, &found));
    if (json_array_size(found) > MOST)
        return ctx_fail(cli->ctx, E_TOO_LARGE, "more than %d certificates are meant: narrow the filter", MOST);
    for (size_t i = 0; i < json_array_size(found); i++) {
        struct rc rc = ask(cli, "certificate", keep(cli, cli_text(json_array_get(found, i), "fingerprint")), ids);
        if (rc_failed(rc) && rc.e != E_NOT_FOUND)
            return rc;
        if (rc_failed(rc))
            ctx_forget(cli->ctx);
    }
    return ids->n ? RC_OK : ctx_fail(cli->ctx, E_NOT_FOUND, "of those certificates another ACME client has none");
}

/* --- waiting */

static struct rc fetch(struct cli *cli, const char *id, json_t **out)
{
    return cli_call(cli, "GET", cli_path(cli, ADOPTIONS "/", id, ""), (struct bytes){0}, out);
}

/* Until it is no longer `state`. */
static struct rc wait_while(struct cli *cli, const char *id, const char *state, int64_t until, json_t **out)
{
    for (;;) {
        json_auto_t *now = NULL;
        TRY(fetch(cli, id, &now));
        if (!str_equal(cli_text(now, "state"), state)) {
            *out = json_incref(now);
            return RC_OK;
        }
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "agent %s has not answered yet; it goes on: certwright adopt --list",
                            cli_text(now, "agent"));
        usleep(100 * 1000);
    }
}

static struct rc wait_all(struct cli *cli, const struct str_list *ids, const char *state, int64_t most_ms, json_t *out)
{
    const int64_t until = clock_mono_ms() + most_ms;
    for (size_t i = 0; i < ids->n; i++) {
        json_t *one = NULL;
        TRY(wait_while(cli, ids->v[i], state, until, &one));
        json_array_append_new(out, one);
    }
    return RC_OK;
}

/* --- saying */

static void say_texts(struct cli *cli, const json_t *plan, const char *key, const char *title)
{
    const json_t *list = json_object_get(plan, key);
    for (size_t i = 0; i < json_array_size(list); i++)
        cli_say(cli, "  %-9s %s", title, json_string_value(json_array_get(list, i)));
}

static const char *joined(struct cli *cli, const json_t *list)
{
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 1 << 16);
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    return buf_z(&b);
}

static void say_plan(struct cli *cli, const json_t *a)
{
    const json_t *plan = json_object_get(a, "plan"), *files = json_object_get(plan, "files"), *v;
    const json_t *services = json_object_get(plan, "services"), *edits = json_object_get(plan, "edits");
    const struct str_list wished = cli_list_opt(cli, "issuer");
    const char *issuers = joined(cli, json_object_get(a, "issuers"));
    size_t i;
    for (i = 0; i < wished.n; i++)
        issuers = arena_printf(&cli->ctx->arena, "%s%s%s", i ? issuers : "", i ? ", " : "", wished.v[i]);
    cli_say(cli, "%s (%s on %s)", cli_text(a, "name"), cli_text(a, "client"), cli_text(a, "agent"));
    cli_say(cli, "  %-9s %s", "names", joined(cli, json_object_get(a, "names")));
    cli_say(cli, "  %-9s %s", "until", cli_text(a, "not_after"));
    cli_say(cli, "  %-9s %s", "issuer", *issuers ? issuers : "none here is for its CA: name one with --issuer");
    json_array_foreach(files, i, v) cli_say(cli, "  %-9s %-9s %s%s%s  %s:%s %s", "file", cli_text(v, "content"),
                                            cli_text(v, "path"), str_equal(cli_text(v, "path"), cli_text(v, "file")) ? "" : " -> ",
                                            str_equal(cli_text(v, "path"), cli_text(v, "file")) ? "" : cli_text(v, "file"),
                                            cli_text(v, "owner"), cli_text(v, "group"), cli_text(v, "mode"));
    json_array_foreach(services, i, v) cli_say(cli, "  %-9s %s is reloaded (%s)", "service", cli_text(v, "connector"),
                                               *cli_text(v, "description") ? cli_text(v, "description") : cli_text(v, "name"));
    if (cli_opt(cli, "reload"))
        cli_say(cli, "  %-9s the command %s of its agent.yaml is run", "service", cli_opt(cli, "reload"));
    else if (!json_array_size(services))
        cli_say(cli, "  %-9s none is known to read these files: nothing is reloaded (see --reload)", "service");
    json_array_foreach(edits, i, v)
    {
        if (*cli_text(v, "was"))
            cli_say(cli, "  %-9s %s: - %s", "changes", cli_text(v, "file"), cli_text(v, "was"));
        cli_say(cli, "  %-9s %s: + %s", "changes", cli_text(v, "file"), cli_text(v, "is"));
    }
    say_texts(cli, plan, "by_hand", "by hand");
    say_texts(cli, plan, "notes", "note");
}

static void say_state(struct cli *cli, const json_t *a)
{
    const char *state = cli_text(a, "state"), *managed = cli_text(a, "managed");
    if (str_equal(state, "failed"))
        cli_say(cli, "%s (%s on %s): %s", cli_text(a, "name"), cli_text(a, "client"), cli_text(a, "agent"),
                cli_text(a, "error.text"));
    else if (str_equal(state, "adopted")) {
        cli_say(cli, "%s is managed%s%s.", managed,
                *cli_text(a, "renew_at") ? "; the certificate that is there is used until " : "", cli_text(a, "renew_at"));
        say_texts(cli, json_object_get(a, "plan"), "by_hand", "by hand");
        cli_say(cli, "  %-9s certwright cert release %s", "undo", managed);
    } else
        cli_say(cli, "%s (%s on %s): %s", cli_text(a, "name"), cli_text(a, "client"), cli_text(a, "agent"), state);
}

static struct rc print(struct cli *cli, const json_t *all)
{
    return cli->output == CLI_TABLE ? RC_OK : cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "managed");
}

static size_t count(const json_t *all, const char *state)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(all); i++)
        n += str_equal(cli_text(json_array_get(all, i), "state"), state);
    return n;
}

/* As the first that failed did. */
static struct rc outcome(struct cli *cli, const json_t *all)
{
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *a = json_array_get(all, i);
        if (str_equal(cli_text(a, "state"), "failed"))
            return ctx_fail(cli->ctx, err_by_name(cli_text(a, "error.code")), "%s of %s on %s could not be taken over: %s",
                            cli_text(a, "name"), cli_text(a, "client"), cli_text(a, "agent"), cli_text(a, "error.text"));
    }
    return RC_OK;
}

/* --- doing */

static struct rc adopt_one(struct cli *cli, const char *id)
{
    const struct str_list issuers = cli_list_opt(cli, "issuer");
    struct cli_body b;
    cli_body_begin(cli, &b);
    if (issuers.n)
        cli_body_list(&b, "issuers", &issuers);
    cli_body_text(&b, "name", cli_opt(cli, "name"));
    cli_body_text(&b, "profile", cli_opt(cli, "profile"));
    cli_body_text(&b, "reload", cli_opt(cli, "reload"));
    if (cli_has(cli, "now"))
        json_put_bool(&b.j, "now", true);
    return cli_call(cli, "POST", cli_path(cli, ADOPTIONS "/", id, "/adopt"), cli_body_end(&b), NULL);
}

/* Each for itself: what stands in the way of one does not keep the others back. */
static struct rc adopt_seen(struct cli *cli, const json_t *all, const struct str_list *ids, json_t *now)
{
    const char *why = NULL;
    enum err e = E_OK;
    for (size_t i = 0; i < ids->n; i++) {
        if (!str_equal(cli_text(json_array_get(all, i), "state"), "seen"))
            continue;
        struct rc rc = adopt_one(cli, ids->v[i]);
        if (rc_ok(rc))
            continue;
        cli_say(cli, "%s: %s", cli_text(json_array_get(all, i), "name"), ctx_why(cli->ctx));
        if (!why) {
            why = keep(cli, ctx_why(cli->ctx));
            e = rc.e;
        }
        ctx_forget(cli->ctx);
    }
    TRY(wait_all(cli, ids, "adopting", WORK_MS, now));
    for (size_t i = 0; i < json_array_size(now); i++)
        say_state(cli, json_array_get(now, i));
    TRY(print(cli, now));
    return why ? ctx_fail(cli->ctx, e, "%s", why) : outcome(cli, now);
}

static struct rc list(struct cli *cli)
{
    json_auto_t *all = NULL;
    TRY(cli_all(cli, ADOPTIONS, INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_adopt(struct cli *cli)
{
    json_auto_t *all = json_array(), *now = json_array();
    struct str_list ids = {0};
    bool yes = false;
    if (cli_has(cli, "list"))
        return list(cli);
    if (!cli->args.n && !cli_opt(cli, "where"))
        return ctx_fail(cli->ctx, E_USAGE,
                        "say which: a client (certbot, acme.sh, lego, dehydrated, caddy, uacme), the name of a "
                        "lineage, a fingerprint, or --where EXPR");
    if (!all || !now)
        return ctx_fail(cli->ctx, E_NO_MEMORY, "no memory");
    for (size_t i = 0; i < cli->args.n; i++)
        TRY(ask_word(cli, cli->args.v[i], &ids));
    TRY(ask_where(cli, &ids));
    if (cli_has(cli, "name") && ids.n > 1)
        return ctx_fail(cli->ctx, E_USAGE, "--name is for one; %zu are meant", ids.n);
    TRY(wait_all(cli, &ids, "looking", LOOK_MS, all));
    for (size_t i = 0; i < json_array_size(all); i++)
        if (str_equal(cli_text(json_array_get(all, i), "state"), "seen"))
            say_plan(cli, json_array_get(all, i));
        else
            say_state(cli, json_array_get(all, i));
    const size_t n = count(all, "seen");
    if (!n || cli_has(cli, "dry-run")) {
        if (n)
            cli_say(cli, "Nothing is changed.");
        TRY(print(cli, all));
        return outcome(cli, all);
    }
    TRY(cli_sure(cli, &yes, "Take %zu over?", n));
    return yes ? adopt_seen(cli, all, &ids, now) : RC_OK;
}

/* --- giving back */

static struct rc release_one(struct cli *cli, const char *name, json_t *all)
{
    json_auto_t *asked = NULL;
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_bool(&b.j, "keep_files", cli_has(cli, "keep-files"));
    TRY(cli_call(cli, "POST", cli_path(cli, CERTS "/", name, "/release"), cli_body_end(&b), &asked));
    json_t *now = NULL;
    TRY(wait_while(cli, keep(cli, cli_text(asked, "id")), "releasing", clock_mono_ms() + WORK_MS, &now));
    json_array_append_new(all, now);
    if (!str_equal(cli_text(now, "state"), "released"))
        return ctx_fail(cli->ctx, err_by_name(cli_text(now, "error.code")), "%s could not be given back, and stays managed: %s",
                        name, cli_text(now, "error.text"));
    cli_say(cli, "%s is given back to %s on %s.", name, cli_text(now, "client"), cli_text(now, "agent"));
    const json_t *done = json_object_get(now, "done"), *hand = json_object_get(json_object_get(now, "plan"), "by_hand");
    for (size_t i = 0; i < json_array_size(done); i++)
        cli_say(cli, "  %s", json_string_value(json_array_get(done, i)));
    if (json_array_size(hand))
        cli_say(cli, "  what was switched off by hand is to be switched on again:");
    for (size_t i = 0; i < json_array_size(hand); i++)
        cli_say(cli, "    %s", json_string_value(json_array_get(hand, i)));
    return RC_OK;
}

RC verb_cert_release(struct cli *cli)
{
    json_auto_t *all = json_array();
    if (!all)
        return ctx_fail(cli->ctx, E_NO_MEMORY, "no memory");
    for (size_t i = 0; i < cli->args.n; i++)
        TRY(release_one(cli, cli->args.v[i], all));
    return cli->output == CLI_TABLE ? RC_OK : cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}
