/* The command line: a client of the API (openapi/certwright.yaml) over the hub's admin socket or HTTPS.
 *
 * verbs.def is the table of nouns, verbs and options; a noun is a file.  A verb's function does one thing with struct cli and
 * returns; cli_main() prints what went wrong and turns it into the exit code of base/errors.def. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <pthread.h>

#include "base/json.h"
#include "base/str.h"

struct http_client;
struct cli;

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_LIST, CLI_NUMBER, CLI_SPAN };
enum cli_output { CLI_TABLE, CLI_JSON, CLI_CSV, CLI_NAME, CLI_JSONL, CLI_PEM, CLI_TENABLE, CLI_RAPID7, CLI_QUALYS };

struct cli_noun {
    const char *noun, *text;
};
struct cli_verb {
    const char *noun, *verb;
    struct rc (*run)(struct cli *cli);
    const char *arguments, *text;
};
struct cli_option {
    const char *noun, *verb, *name, *value;
    enum cli_kind kind;
    const char *text;
};
extern const struct cli_noun cli_nouns[];
extern const struct cli_verb cli_verbs[];
extern const struct cli_option cli_options[];
extern const size_t cli_nouns_n, cli_verbs_n, cli_options_n;

/* An option as given. */
struct cli_value {
    const struct cli_option *option;
    const char *text;
    int64_t number;
};

/* What the bare verbs that are more than a client do; the program's main() knows them. */
struct cli_hooks {
    struct rc (*init)(struct cli *cli);
    struct rc (*run)(struct cli *cli);
    struct rc (*join)(struct cli *cli);
    struct rc (*check)(struct cli *cli);
    struct rc (*restore)(struct cli *cli);
    struct rc (*verify_backup)(struct cli *cli);
    struct rc (*recovery_split)(struct cli *cli);
};

struct cli {
    struct ctx *ctx;
    const struct cli_hooks *hooks;
    const struct cli_verb *verb;
    const char *noun_asked;      /* what help is about */
    struct str_list args;
    struct cli_value *values;
    size_t values_n;
    enum cli_output output;
    bool tty;                    /* standard output is a terminal */
    struct http_client *client;
    const char *base;            /* "http://hub" */
    const char *token;           /* "Bearer …", NULL on the admin socket */
    const char *where;           /* how messages call the hub */
    bool answered;               /* the hub has answered before: it is there, and worth another try when it goes away */
};

/* cli_main runs the command of argv and returns the exit code. */
int cli_main(int argc, char **argv, const struct cli_hooks *hooks);

/* --- options.c */
/* cli_option_of finds an option of a verb's own by its name; NULL where it has none. */
const struct cli_option *cli_option_of(const struct cli_verb *verb, const char *name);
/* cli_parse finds the verb and reads its options: E_USAGE with what is wrong and what to type instead. */
RC cli_parse(struct cli *cli, int argc, char **argv);
/* cli_opt returns the text of an option, NULL where it was not given; cli_has whether it was. */
const char *cli_opt(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);
int64_t cli_number(const struct cli *cli, const char *name, int64_t if_absent);
/* cli_list_opt collects an option that may come again, split at commas. */
struct str_list cli_list_opt(struct cli *cli, const char *name);
/* cli_opt_file reads the file that an option names; NULL where it was not given. */
RC cli_opt_file(struct cli *cli, const char *name, const char **text);
const struct cli_verb *cli_verb_find(const char *noun, const char *verb);
bool cli_noun_is(const char *word);

/* --- client.c: one request.  `in` is JSON or empty; `out` may be NULL, and is the caller's to free (json_auto_t).  A problem
 * document becomes the failure that it describes; a hub that is not there E_UNREACHABLE.  A hub that goes away in the middle (it is
 * restarted by its parent) is asked again for some seconds: what is read, and what carries the same Idempotency-Key. */
RC cli_call(struct cli *cli, const char *method, const char *path, struct bytes in, json_t **out);
RC cli_call_raw(struct cli *cli, const char *method, const char *path, struct bytes *out);
/* cli_path joins a path and a value that is percent-encoded: "/api/v1/issuers/" "x" "/why". */
const char *cli_path(struct cli *cli, const char *before, const char *value, const char *after);
/* cli_all fetches every page of a list (at most `most` items) as one array. */
RC cli_all(struct cli *cli, const char *path, int64_t most, json_t **out);
/* cli_connect makes the client; cli_call does so by itself. */
RC cli_connect(struct cli *cli);

/* --- output.c */
enum cli_format {
    CLI_PLAIN, CLI_DATE, CLI_AGO, CLI_YES, CLI_JOIN, CLI_SPAN_S, CLI_SHORT_HEX, CLI_STATE,
    CLI_NAMES, /* of a certificate; its subject where it has none */
};
struct cli_column {
    const char *title, *path; /* members, with dots: "current_version.not_after" */
    enum cli_format format;
};
/* cli_print_list prints an array as the output asked for says; names are `name_path`. */
RC cli_print_list(struct cli *cli, const json_t *items, const struct cli_column *columns, size_t n, const char *name_path);
/* cli_print_more is the same for the next page of what was begun: without titles, and not as one JSON array. */
RC cli_print_more(struct cli *cli, const json_t *items, const struct cli_column *columns, size_t n, const char *name_path);
/* cli_print_object prints one object: a line a member. */
RC cli_print_object(struct cli *cli, const json_t *object, const char *name_path);
const json_t *cli_member(const json_t *object, const char *path);
const char *cli_text(const json_t *object, const char *path); /* "" where it is not there */
/* cli_say prints a line for people: to standard output, not in the other outputs. */
void cli_say(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* cli_sure asks a question on the terminal ("Take 3 over?"): whether the answer is yes.  --yes answers it; where nobody can be
 * asked E_USAGE says so. */
RC cli_sure(struct cli *cli, bool *yes, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* cli_write_file writes to the file of --out, or to standard output. */
RC cli_write_out(struct cli *cli, struct bytes data, unsigned mode);

/* --- follow.c: the steps of a managed certificate as they come */
struct cli_follow {
    const char *id, *name;
    int64_t after;      /* the last step not to be shown */
    int64_t started_ms; /* elapsed times count from here */
};
/* cli_follow_from finds where the story of one stands. */
RC cli_follow_from(struct cli *cli, const char *ref, struct cli_follow *f);
/* cli_follow shows steps until nothing is under way.  It fails as what was waited for did.  Ctrl-C leaves, and says how to go
 * on. */
RC cli_follow(struct cli *cli, struct cli_follow *f);

/* Between the two, Ctrl-C prints `hint` and leaves with exit code 130: what was begun goes on at the hub. */
struct cli_leaver {
    const char *hint;
    pthread_t thread;
};
RC cli_leaver_start(struct cli *cli, struct cli_leaver *l, const char *hint);
void cli_leaver_stop(struct cli_leaver *l);

/* --- requests: a body is built with a struct json_out */
struct cli_body {
    struct buf b;
    struct json_out j;
};
void cli_body_begin(struct cli *cli, struct cli_body *body);
struct bytes cli_body_end(struct cli_body *body);
void cli_body_text(struct cli_body *body, const char *key, const char *value);      /* left out where NULL */
void cli_body_list(struct cli_body *body, const char *key, const struct str_list *l);

/* cli_body_parameters puts --set KEY=VALUE into "parameters"; those that are not named stay as `before` has them (NULL: a new
 * object), and KEY= takes one away. */
RC cli_body_parameters(struct cli *cli, struct cli_body *body, const json_t *before);

/* --- ca.c: the signer's own socket, for a CA officer (--signer-socket) */
struct wire_peer;
RC cli_officer(struct cli *cli, struct wire_peer **out);
void cli_officer_free(struct wire_peer **p);

/* --- what most nouns share */
/* cli_one_arg gives the only argument, NULL where there is none. */
RC cli_one_arg(struct cli *cli, const char **out);
RC cli_show_at(struct cli *cli, const char *before);
RC cli_remove_each(struct cli *cli, const char *before);

#define NOUN(noun, text)
#define OPTION(noun, verb, name, value, kind, text)
#define VERB(noun, verb, function, arguments, text) struct rc function(struct cli *cli);
#include "cli/verbs.def"
#undef NOUN
#undef OPTION
#undef VERB

#endif
