/* One notification as the relay tells it: cut to size, in plain characters, whoever chose its words. */
#ifndef AGENT_RELAY_NOTICE_H
#define AGENT_RELAY_NOTICE_H

#include "agent/agent_config.h"
#include "agent/relay/credential.h"
#include "base/address.h"
#include "base/json.h"
#include "wire/messages.h"

#define NOTICE_SUBJECT_MAX  250 /* bytes, as all of these */
#define NOTICE_HEADLINE_MAX 120
#define NOTICE_TEXT_MAX     8192
#define NOTICE_SHORT_MAX    1400

struct notice {
    const struct wire_relay_notify *in;
    const char *id, *key, *time;    /* time: RFC 3339 */
    const char *subject, *headline; /* one line each; headline: the same, shorter */
    const char *text, *brief;       /* lines; brief: the same, shorter */
    const char *url;                /* "" where it is none of http */
    const char *severity, *state, *object_kind, *object_id, *object_name, *team;
    int level; /* 1 information … 4 critical */
    bool resolved;
};

/* notice_of cleans what came: control characters, those that turn the direction of text, and bytes that are no UTF-8 go. */
RC notice_of(struct ctx *ctx, const struct wire_relay_notify *in, struct notice *out);
/* notice_clean does it for one text: at most `max` bytes, whole characters; newlines stay where `lines` says so. */
const char *notice_clean(struct ctx *ctx, const char *text, size_t max, bool lines);

/* What the ways over which it goes have in common. */
struct notice_way {
    const struct agent_config *cfg;
    const struct credential_files *files;
    const struct agent_channel *row;
    const struct address_grants *grants;
    const json_t *parameters; /* with those of agent.yaml */
};
/* notice_parameters fails where there is another one than `known` (NULL-terminated), or one is no text. */
RC notice_parameters(struct ctx *ctx, const struct notice_way *w, const char *const *known);
/* notice_roots reads the row's roots; empty where it has none. */
RC notice_roots(struct ctx *ctx, const struct notice_way *w, struct bytes *out);

/* channel_mail sends it by SMTP; channel_syslog as a message of RFC 5424. */
RC channel_mail(struct ctx *ctx, const struct notice_way *w, const struct notice *n, const char **what);
RC channel_syslog(struct ctx *ctx, const struct notice_way *w, const struct notice *n, const char **what);
/* channel_stream sends entries of the audit log in their order, over one connection. */
RC channel_stream(struct ctx *ctx, const struct notice_way *w, const struct wire_relay_stream *in, const char **what);

/* mail_message writes the message (RFC 5322, multipart/alternative) and syslog_message the line: for tests. */
RC mail_message(struct ctx *ctx, const struct notice *n, const char *channel, const char *from, struct wire_texts to,
                struct buf *out);
RC syslog_message(struct ctx *ctx, const struct notice *n, const char *host, int facility, struct buf *out);
struct audit_entry;
RC syslog_entry(struct ctx *ctx, const struct audit_entry *e, int64_t place, bool cef, const char *host, int facility,
                struct buf *out);

#endif
