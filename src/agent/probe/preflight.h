/* What stands between one name and its certificate, looked at before anything is ordered: is it in DNS, does CAA let this CA issue,
 * does DNSSEC hold, is our answer seen where the CA will look for it.
 *
 * Each check ends with a verdict in words.  "unknown" is a check that failed itself (no resolver answers, a network that is not
 * granted, no time): it says nothing about the name.  All of it ends within timeout_ms, whatever the peers do. */
#ifndef AGENT_PROBE_PREFLIGHT_H
#define AGENT_PROBE_PREFLIGHT_H

#include "agent/agent_config.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "wire/messages.h"

enum preflight_verdict { PREFLIGHT_OK, PREFLIGHT_WARN, PREFLIGHT_FAIL, PREFLIGHT_UNKNOWN };

struct preflight_with {
    const struct agent_config *cfg;
    const struct address_grants *grants;
    struct http_client *http;
    const struct tls_trust *trust;
};
RC probe_preflight(struct ctx *ctx, const struct preflight_with *with, const struct wire_probe_preflight *in,
                   struct wire_probe_preflight_done *out);

/* preflight_redirect says whether a CA would follow a redirect of a challenge to `url`, and why not. */
struct uri;
bool preflight_redirect(struct ctx *ctx, const char *url, struct uri *out, const char **why);

#endif
