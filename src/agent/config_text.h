/* Reads the configuration of a service as lines of words, far enough to find things in it: what discovery by description stands on.
 *
 * Made for the ways in which most services write: a directive and its words on a line, "key = value", blocks in angle brackets
 * (Apache, ProFTPD) or braces (lighttpd, Dovecot), sections that a heading begins (HAProxy), options of a command line (MariaDB).
 * What it cannot make sense of it passes over: nothing is changed because of it, places are offered.  Only ceilings are errors.
 * A configuration that is a document, in JSON or XML, is read into the same tree, and must be well-formed. */
#ifndef AGENT_CONFIG_TEXT_H
#define AGENT_CONFIG_TEXT_H

#include "base/ctx.h"
#include "base/str.h"

enum config_format { CONFIG_LINES, CONFIG_JSON, CONFIG_XML }; /* documents: agent/config_formats.h */
enum config_blocks { CONFIG_BLOCKS_NONE, CONFIG_BLOCKS_ANGLE, CONFIG_BLOCKS_BRACE };
enum config_continued { CONFIG_CONTINUED_NO, CONFIG_CONTINUED_BACKSLASH, CONFIG_CONTINUED_INDENT };

struct config_syntax {
    enum config_format format;  /* of documents nothing below but nocase counts */
    const char *comment;        /* each of its characters begins a comment where a word could begin; NULL: "#" */
    const char *assign;         /* the first of its characters after the first word stands for a blank; NULL: none */
    enum config_blocks blocks;
    struct str_list headings;   /* first words that begin a section, which ends at the next */
    enum config_continued continued;
    bool options;               /* every word "--key=value" is a line of its own; '_' counts as '-' in keys */
    bool commas;                /* they part words as blanks do */
    bool nocase;                /* directives in any case */
};

/* A line, or the head of a block with what stands in it. */
struct config_line {
    const char **words;
    size_t n;
    const char *file; /* "": the command's output */
    int number;
    bool block;
    struct config_line *parent; /* NULL for the root, which has no words */
    struct config_line *first, *last, *next;
};

/* One configuration: the text of one root file and what it includes, or the whole output of a command. */
struct config_text {
    const struct config_syntax *syntax;
    const char *file; /* of the root; "": none */
    struct config_line root;
};

#define CONFIG_LINES_MAX 200000
#define CONFIG_WORDS_MAX 1000 /* a line */
#define CONFIG_WORDS_TOTAL 1000000
#define CONFIG_DEPTH_MAX 64
#define CONFIG_ROOTS_MAX 256

/* Marks between files, as run's own reading of files writes them (agent/run/read.h); the second is nginx's, the third Apache's.
 *     # configuration begins FILE:       a configuration of its own
 *     # configuration file FILE:         from here on lines of FILE
 *     # In file: FILE
 *     # there is FILE                    a file beside the configuration */
#define CONFIG_MARK_BEGINS "# configuration begins "
#define CONFIG_MARK_FILE   "# configuration file "
#define CONFIG_MARK_APACHE "# In file: "
#define CONFIG_MARK_THERE  "# there is "

/* config_text_read reads `text` into one or more configurations; `beside` are the files that are said to be there. */
RC config_text_read(struct ctx *ctx, const struct config_syntax *syntax, struct bytes text, struct config_text **out, size_t *n,
                    struct str_list *beside);
/* config_word_is says whether `word` is the directive `name` in this syntax. */
bool config_word_is(const struct config_syntax *syntax, const char *word, const char *name);

#endif
