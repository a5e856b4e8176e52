/* Reads what `nginx -T` prints, far enough to know the server blocks, and edits one thing: the answer of an http-01 challenge.
 *
 * The grammar is that of nginx's ngx_conf_file.c: words, quoted words, ';', '{', '}', '#'.  Includes are followed among the files
 * of
 * the dump.  Lua blocks are skipped.  Values with variables ("$ssl_server_name") are not usable as files and are left out. */
#ifndef AGENT_NGINX_CONF_H
#define AGENT_NGINX_CONF_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/str.h"

struct nginx_listen {
    const char *address; /* "0.0.0.0" for all IPv4, "::" for all, a name or an IP address without brackets */
    int port;
    bool ssl;
    bool default_server;
};

struct nginx_pair {
    const char *certificate, *key; /* absolute */
};

struct nginx_server {
    const char *file; /* where the block opens */
    int line;         /* of its word "server" */
    bool http;        /* false: stream or mail */
    struct str_list names;
    struct nginx_listen *listens;
    size_t n_listens;
    struct nginx_pair *pairs; /* its own, else those of the block around it */
    size_t n_pairs;
};

struct nginx_conf {
    struct nginx_server *servers;
    size_t n;
};

#define NGINX_SERVERS_MAX 20000

/* nginx_conf_read reads a whole dump.  E_PARSE with file and line where it is not nginx's grammar. */
RC nginx_conf_read(struct ctx *ctx, struct bytes dump, struct nginx_conf *out);

/* nginx_server_named says whether requests for `name` may come to this block by its server_name (exact, wildcard; any regex). */
bool nginx_server_named(const struct nginx_server *s, const char *name);
/* nginx_find_http01 returns the blocks in which a plain request for `name` to `port` may end: those named so, else the default
 * blocks.  Empty where nginx does not listen there. */
const struct nginx_server **nginx_find_http01(struct ctx *ctx, const struct nginx_conf *c, const char *name, int port, size_t *n);

/* nginx_block_offset finds, in one file's text, the server block whose word "server" stands on `line`: the offset after its '{'. */
RC nginx_block_offset(struct ctx *ctx, const char *file, struct bytes text, int line, size_t *offset);

/* nginx_challenge_insert appends `text` to `out` with one marked line at `offset` that answers the challenge before anything else
 * in the block: rewrite directives run in the order they stand in, so it comes before a redirect too.  Token and key authorization
 * must be base64url and '.', checked here. */
RC nginx_challenge_insert(struct ctx *ctx, struct bytes text, size_t offset, const char *token, const char *key_authorization,
                          struct buf *out);
/* nginx_challenge_remove appends `text` without the marked lines of `token`, byte for byte as it was before them; the count of
 * lines
 * taken out is returned. */
size_t nginx_challenge_remove(struct bytes text, const char *token, struct buf *out);

#endif
