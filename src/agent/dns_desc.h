/* Descriptions of DNS providers: how one TXT value is added to a zone and taken away, as data (dns/NAME.yaml, root-owned).
 *
 *     provider: example
 *     description: Example DNS
 *     parameters:                          # as of connectors without an agent on their host; at least one credential
 *       token: {type: credential, required: true, description: …}
 *     dns:
 *       base: "{server}/v1"
 *       auth: {family: bearer, token: "{token}"}
 *       below: "{domain}"                  # where the requests do not name the record: the name that they change
 *       publish: {first_s: 5, most_s: 120} # how long until the provider's servers show a change
 *       test:   [steps]                    # a harmless call; may read `expires` and `scope`
 *       zone:   [steps]                    # what the others need to know of the zone
 *       see:    [steps]                    # reads `id` of our value, or `values`: all at the name, or `records`: all of the zone
 *       each:   {content: "{item}"}        # with values: how ours is written as a member of them
 *       records: {…}                       # with records: see struct dns_records
 *       add:    [steps]
 *       remove: [steps]
 *
 * The steps are those of agent/push_desc.h; docs/DNS.md describes all of it.  A closed schema: anything else is refused with file,
 * line and reason.  The hub sends only values of the parameters. */
#ifndef AGENT_DNS_DESC_H
#define AGENT_DNS_DESC_H

#include "agent/push_desc.h"

/* A provider that replaces a whole zone: what a record looks like, and how all are sent as members of a form, numbered from 1. */
struct dns_records {
    struct push_pairs ours; /* our record: member → template; each record must have all of these members */
    struct push_texts same; /* a record is ours where these are the same, without regard to case, and … */
    const char *text;       /* … this member is the value */
    struct push_pairs send; /* name in the form → member */
    struct dns_allowed {
        const char *name;
        struct push_texts values; /* templates; none: anything */
    } only[PUSH_PAIRS_MAX], must[PUSH_PAIRS_MAX]; /* only: other members, or what those of `ours` may be; must: what `see` reads */
    size_t n_only, n_must;
};

struct dns_desc {
    struct connector provider; /* name, description and parameters; relay: base and auth, without steps */
    struct push_step *test, *zone, *see, *add, *remove;
    size_t n_test, n_zone, n_see, n_add, n_remove;
    bool has_id, has_values;  /* what see reads; none of the three: the provider tells nothing */
    bool has_records;
    struct dns_records records;
    const char *each;         /* JSON text of the tree, whose texts are templates with {item} */
    const char *each_text;    /* instead: the set is written as text, this for each value; NULL: as a JSON list */
    const char *item_pointer; /* where {item} is in `each` (RFC 6901); "": it is `each` itself */
    const char *below; /* template: the record must be at or below this name; NULL: the requests name it */
    int first_s, most_s;
};

/* dns_desc_parse reads a description; `file` is for messages. */
RC dns_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct dns_desc *out);
/* dns_desc_load reads that of `name` from agent.yaml's folder of them.  Whether it is granted is asked with agent_config_dns(). */
RC dns_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct dns_desc *out);

#endif
