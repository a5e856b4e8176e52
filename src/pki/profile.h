/* What a certificate may be for.  The last four are internal: no request can name them. */
#ifndef PKI_PROFILE_H
#define PKI_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

enum cert_profile {
    PROFILE_NONE,
    PROFILE_TLS_SERVER,      /* "tls-server" */
    PROFILE_TLS_CLIENT,      /* "tls-client" */
    PROFILE_TLS_MUTUAL,      /* "tls-mutual": both */
    PROFILE_CA_ROOT,         /* "ca-root" */
    PROFILE_CA_INTERMEDIATE, /* "ca-intermediate" */
    PROFILE_FLEET_AGENT,     /* "fleet-agent": client of the hub */
    PROFILE_FLEET_HUB,       /* "fleet-hub": server to agents and people */
    PROFILE_COUNT
};

struct profile_info {
    const char *name;
    bool internal;
    bool is_ca;
    uint32_t key_usage_ec, key_usage_rsa; /* USAGE_ bits */
    uint32_t eku;                         /* EUSAGE_ bits; 0: no such extension */
    int64_t max_validity_s;
};

const struct profile_info *profile_info(enum cert_profile profile);
const char *profile_name(enum cert_profile profile);
enum cert_profile profile_by_name(const char *name); /* PROFILE_NONE where there is none */

#endif
