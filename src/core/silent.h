/* Agents that stop calling, and that call again: an audit entry each, and so an event, once. */
#ifndef CORE_SILENT_H
#define CORE_SILENT_H

#include "core/core.h"

#define SILENT_LOOK_MS 5000

/* silent_tick compares who is silent (core/heard.h) with what was told, every few seconds; a hundred changes at once. */
RC silent_tick(struct ctx *ctx, struct core *core);

#endif
