/* What CA officers change, at the signer's own socket. */
#ifndef CLI_CA_H
#define CLI_CA_H

#include "cli/cli.h"
#include "wire/messages.h"

/* cli_officer_change asks the signer for a change.  Where two people are needed for it, the signer keeps it, the hub is to ask for
 * the other's approval, and this is E_PENDING. */
RC cli_officer_change(struct cli *cli, struct wire_peer *signer, uint16_t type, const void *in, uint16_t reply, void *out);

#endif
