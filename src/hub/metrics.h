/* What Prometheus scrapes: text of its exposition format 0.0.4, made anew for every request, of what the caller may see. */
#ifndef HUB_METRICS_H
#define HUB_METRICS_H

#include "base/buf.h"

/* A family is begun with its type ("gauge", "counter") and its help, a sentence; its samples follow.  Names are
 * certwright_<thing>_<unit>, those of counters end in _total.  A sample has one label, whose value may be any text, or none
 * (NULL). */
void metric_family(struct buf *b, const char *name, const char *type, const char *help);
void metric_sample(struct buf *b, const char *name, const char *label, const char *value, int64_t n);
void metric_seconds(struct buf *b, const char *name, int64_t us);

#endif
