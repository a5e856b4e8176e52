/* Inside the reader of dns_desc.h only: the member `records` of a section `dns`. */
#ifndef AGENT_DNS_RECORDS_H
#define AGENT_DNS_RECORDS_H

#include "agent/dns_desc.h"
#include "agent/push_reader.h"

/* dns_records_read reads it where `see` reads records, and refuses it where not.  The steps are read already. */
RC dns_records_read(struct ctx *ctx, struct push_reader *r, const json_t *section, struct dns_desc *d);

#endif
