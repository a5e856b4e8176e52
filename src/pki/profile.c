#include "pki/profile.h"

#include "base/str.h"
#include "pki/cert.h"

#define DAY ((int64_t)86400)

/* Servers: 825 days is what Apple's systems accept from private CAs at most.  RSA servers may still be asked for an RSA key
 * exchange by old clients, hence key encipherment. */
static const struct profile_info profiles[PROFILE_COUNT] = {
    [PROFILE_NONE] = {.name = "none", .internal = true},
    [PROFILE_TLS_SERVER] = {"tls-server", false, false, USAGE_DIGITAL_SIGNATURE, USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT,
                            EKU_SERVER, 825 * DAY},
    [PROFILE_TLS_CLIENT] = {"tls-client", false, false, USAGE_DIGITAL_SIGNATURE, USAGE_DIGITAL_SIGNATURE, EKU_CLIENT, 1830 * DAY},
    [PROFILE_TLS_MUTUAL] = {"tls-mutual", false, false, USAGE_DIGITAL_SIGNATURE, USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT,
                            EKU_SERVER | EKU_CLIENT, 825 * DAY},
    [PROFILE_CA_ROOT] = {"ca-root", true, true, USAGE_CERT_SIGN | USAGE_CRL_SIGN, USAGE_CERT_SIGN | USAGE_CRL_SIGN, 0, 18263 * DAY},
    [PROFILE_CA_INTERMEDIATE] = {"ca-intermediate", true, true, USAGE_CERT_SIGN | USAGE_CRL_SIGN, USAGE_CERT_SIGN | USAGE_CRL_SIGN,
                                 0, 18263 * DAY},
    [PROFILE_FLEET_AGENT] = {"fleet-agent", true, false, USAGE_DIGITAL_SIGNATURE, USAGE_DIGITAL_SIGNATURE, EKU_CLIENT, 366 * DAY},
    [PROFILE_FLEET_HUB] = {"fleet-hub", true, false, USAGE_DIGITAL_SIGNATURE, USAGE_DIGITAL_SIGNATURE, EKU_SERVER, 366 * DAY},
};

const struct profile_info *profile_info(enum cert_profile profile)
{
    return &profiles[(unsigned)profile < PROFILE_COUNT ? profile : PROFILE_NONE];
}

const char *profile_name(enum cert_profile profile)
{
    return profile_info(profile)->name;
}

enum cert_profile profile_by_name(const char *name)
{
    for (unsigned i = PROFILE_NONE + 1; i < PROFILE_COUNT; i++)
        if (str_equal(profiles[i].name, name))
            return (enum cert_profile)i;
    return PROFILE_NONE;
}
