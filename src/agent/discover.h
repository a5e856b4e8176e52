/* Finding where certificates are served on this host: job "discover". */
#ifndef AGENT_DISCOVER_H
#define AGENT_DISCOVER_H

#include "agent/connector.h"
#include "agent/hands.h"
#include "agent/nginx_conf.h"

/* discover_run asks each connector of `body` (all that are allowed where it names none) and writes {"targets": […]}.  A connector
 * that
 * finds nothing or fails is told in the story; the others go on. */
RC discover_run(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member);
/* discover_put_nginx writes one target for each pair of files: its server blocks' names and TLS listeners. */
void discover_put_nginx(struct ctx *ctx, struct json_out *j, const char *connector, const struct nginx_conf *conf);
/* discover_put_places writes one target for each place (agent/find.h).  Where `instance` is not "", a parameter of type command
 * whose default is D is D.instance, if agent.yaml has such a command. */
struct find_place;
void discover_put_places(struct ctx *ctx, const struct hands *h, struct json_out *j, const struct connector *c,
                         const char *instance, const struct find_place *places);

#endif
