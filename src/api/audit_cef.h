/* An audit entry as a line of ArcSight's Common Event Format, version 0, for a SIEM: exports (cli/audit.c) and streams
 * (agent/relay/channel_syslog.c). */
#ifndef API_AUDIT_CEF_H
#define API_AUDIT_CEF_H

#include "api/audit_entry.h"

/* audit_cef_put writes it without an end of line: ends of lines within are escaped, and empty fields left out.  What is long, the
 * detail, comes last. */
void audit_cef_put(struct buf *b, const struct audit_entry *e, int64_t place);
/* audit_went_bad: what the entry tells did not work, or was refused. */
bool audit_went_bad(const struct audit_entry *e);

#endif
