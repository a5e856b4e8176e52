/* The section `discover` of a connector's description: how the places of a service are found in its own configuration, as data.
 *
 *     discover:
 *       command: apache-dump             # of agent.yaml: prints the configuration, or reads its files
 *       text: {blocks: angle, nocase: true, comment: "#", assign: "=", continued: backslash, headings: [frontend],
 *              options: false, commas: false}
 *       places: [VirtualHost]            # blocks or directives that are places of their own, besides the configuration as a whole
 *       alone: false                     # whether a place takes nothing from what is around it
 *       through: [IfModule]              # blocks that are no more than a condition: what stands in them stands around them
 *       when: {SSLEngine: ["on"]}        # what must be said there, in any case; no list: that it is said
 *       parameters: {certificate: SSLCertificateFile, key: SSLCertificateKeyFile}   # or a list of such, the first that fits
 *       base: ServerRoot                 # the folder of paths that are not absolute
 *       names: [ServerName, ServerAlias]
 *       listen:
 *         - {at: [VirtualHost, Listen]}
 *         - {port: Port, address: Bind, starttls: smtp, when: {…}, otherwise: true}   # where no row above finds one
 *         - {at: SLAPD_URLS, scheme: ldap, usual: 389}       # URLs of this scheme alone; the port of those that name none
 *       linked: {tags: any_tag}          # names and listeners also stand around each any_tag that has a word of the place's tags
 *       listed: {files: bind crt-list, parameter: combined}   # files: a line has the parameter's value first, then names
 *       also: slapd-listen               # a second command of agent.yaml, if it has it: what that prints follows
 *
 * A value is found by one text or a list of texts, of which the first that finds something counts:
 *     Directive          its words
 *     Directive 2        its second word
 *     Directive after    each word that follows the word `after`
 *     Block/Directive …  wherever in the configuration such a block has it
 *     "=word"            the word itself; in it {folder} is the folder of the configuration, {folder.up} the one above, and in a
 *                        parameter {P} the value of a parameter before it, {P.name} its file name, {P.stem} it without the suffix
 * `text: {format: json}` or xml: agent/config_formats.h.  A name of places and through that ends in * stands for all that begin so.
 * A set of parameters may have a `when` of its own, and parameters that it can do without under `perhaps`.  "" among the words of a
 * `when`: or it is not said.
 * Where a place does not say it, what is around it does.  Each place is offered once, whoever shares its files; a parameter with
 * several words makes several places.  Names and endpoints are a help: a place without them is offered all the same. */
#ifndef AGENT_FIND_H
#define AGENT_FIND_H

#include "agent/config_text.h"
#include "agent/connector.h"
#include "base/yaml.h"

#define FIND_TEXTS_MAX 8
#define FIND_SETS_MAX 4
#define FIND_LISTENS_MAX 16
#define FIND_PLACES_MAX 4096
#define FIND_NAMES_MAX 100
#define FIND_ENDS_MAX 64

enum find_how { FIND_ALL, FIND_POSITION, FIND_AFTER, FIND_LITERAL };
struct find_text {
    const char *block, *directive; /* block: NULL: here or around */
    enum find_how how;
    size_t position;
    const char *word; /* FIND_AFTER, FIND_LITERAL */
};
struct find_value {
    struct find_text v[FIND_TEXTS_MAX];
    size_t n;
};
struct find_when {
    struct find_value what;
    struct str_list is; /* empty: anything; "": not said */
};
struct find_whens {
    struct find_when v[FIND_TEXTS_MAX];
    size_t n;
};
struct find_param {
    const char *name;
    bool perhaps; /* the place is one without it as well */
    struct find_value value;
};
struct find_set {
    struct find_param v[FIND_TEXTS_MAX];
    size_t n;
    struct find_whens when;
};
struct find_listen {
    struct find_value at, port, address;
    const char *starttls; /* "": TLS from the start */
    const char *scheme;   /* "": anything */
    int usual;            /* 0: none */
    bool otherwise;       /* only where no row above says where it listens */
    struct find_whens when;
};
struct find_desc {
    struct config_syntax syntax;
    struct str_list places, through;
    bool alone;
    struct find_whens when;
    struct find_set sets[FIND_SETS_MAX];
    size_t n_sets;
    struct find_value base, names;
    struct find_value linked_here, linked_there; /* n 0: none; there: one directive */
    struct find_value listed;                    /* n 0: none */
    const char *listed_param;
    const char *also; /* NULL: none */
    struct find_listen listen[FIND_LISTENS_MAX];
    size_t n_listen;
};

/* find_desc_read reads `v`, the member "discover" of the description `c`, whose parameters are read already.  `command` is not its
 * business. */
RC find_desc_read(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct find_desc *out);

struct find_end {
    const char *address;
    int port;
    const char *starttls;
};
struct find_place {
    const char *file;   /* where it stands; "": the command's output */
    int line;
    const char *names_of[FIND_TEXTS_MAX], *values[FIND_TEXTS_MAX]; /* parameters */
    size_t n_params;
    struct str_list names;
    struct find_end ends[FIND_ENDS_MAX];
    size_t n_ends;
    struct find_place *next;
};

/* find_places reads what the command printed and appends the places in it to `*out`, each with other parameters than the rest. */
RC find_places(struct ctx *ctx, const struct connector *c, const struct find_desc *d, struct bytes text, struct find_place **out,
               size_t *n);

#endif
