/* Scans within the hand `probe`: a thread each, asked for what they have found.
 *
 * A scan that nobody asks stands still: its batch is taken, and the hub has it, before the next one grows.  One that nobody has
 * asked for SCAN_ORPHAN_MS ends. */
#ifndef AGENT_PROBE_SCAN_SERVE_H
#define AGENT_PROBE_SCAN_SERVE_H

#include "agent/agent_config.h"
#include "wire/messages.h"

#define SCANS_MAX      4
#define SCAN_ORPHAN_MS (15 * 60 * 1000)

struct scans;
RC scans_new(struct ctx *ctx, const struct agent_config *cfg, struct scans **out);
void scans_free(struct scans *s);

/* scans_begin fails with E_NOT_GRANTED where agent.yaml grants no networks or not the port, E_BUSY where SCANS_MAX run. */
RC scans_begin(struct ctx *ctx, struct scans *s, const struct wire_probe_scan_begin *in, struct wire_probe_scan_begun *out);
/* scans_next fails with E_NOT_FOUND where it is not known, and with what the scan failed with. */
RC scans_next(struct ctx *ctx, struct scans *s, const struct wire_probe_scan_next *in, struct wire_probe_scan_batch *out);
void scans_stop(struct scans *s, const char *scan);

#endif
