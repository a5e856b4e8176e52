/* Descriptions of issuers that are no ACME CA (enroll/NAME.yaml, root-owned): how a request becomes a certificate, as data.
 *
 *     issuer: vault-pki
 *     description: HashiCorp Vault or OpenBao, secrets engine PKI
 *     parameters:                  # as of connectors without an agent on their host; at least one credential
 *       token: {type: credential, required: true, description: …}
 *     enroll:
 *       base: "{server}/v1"
 *       auth: {family: header, name: X-Vault-Token, value: "{token}"}
 *       wait_s: 60                 # how long until a request that somebody has to approve is asked about again, where the
 *                                  # answer does not say (Retry-After)
 *       test:    [steps]           # a harmless call
 *       enroll:  [steps]           # must read `certificate`; may read `chain`, `reference`, and `refused`: why, in its words
 *       collect: [steps]           # where enroll read a reference and no certificate: asks again; reads as enroll
 *       revoke:  [steps]
 *
 * The steps are those of agent/push_desc.h.  Names in them: {csr} (PEM), {csr_der}, {names} (joined by commas), {dns_names},
 * {ip_names}, {first_name}, {reference} (collect), {serial}, {serial_colons}, {reason} (a number of RFC 5280), {certificate}
 * (revoke). A closed schema: anything else is refused with file, line and reason.  The hub sends only values of the parameters. */
#ifndef AGENT_ENROLL_DESC_H
#define AGENT_ENROLL_DESC_H

#include "agent/push_desc.h"

struct enroll_desc {
    struct connector issuer; /* name, description and parameters; relay: base and auth, without steps */
    struct push_step *test, *enroll, *collect, *revoke;
    size_t n_test, n_enroll, n_collect, n_revoke; /* collect and revoke may have none */
    int wait_s;
};

/* enroll_desc_parse reads a description; `file` is for messages. */
RC enroll_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct enroll_desc *out);
/* enroll_desc_load reads that of `name` from the folder beside the connectors; E_NOT_GRANTED where agent.yaml does not name it in
 * `enroll`. */
RC enroll_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct enroll_desc *out);

#endif
