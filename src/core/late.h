/* A managed certificate that was not renewed in time: told once, when less than a tenth of its life is left. */
#ifndef CORE_LATE_H
#define CORE_LATE_H

#include "core/core.h"

/* late_arm sets the timer "late" for a version that has become the current one. */
RC late_arm(struct ctx *ctx, struct txn *txn, const char *managed, int64_t not_before, int64_t not_after);
/* late_due is that timer: it writes the event certificate.late, or waits on where there is a newer version. */
RC late_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed);

#endif
