/* TXT values as APIs write them: as they are, or in the quotes of a zone file. */
#ifndef AGENT_RELAY_DNS_TEXT_H
#define AGENT_RELAY_DNS_TEXT_H

#include "base/bytes.h"

/* dns_text_is says whether `text` is `value`: as it is, or as one or several strings in quotes, with the escapes \X and \DDD (RFC
 * 1035 section 5.1), whose contents follow each other. */
bool dns_text_is(struct bytes text, struct bytes value);

#endif
