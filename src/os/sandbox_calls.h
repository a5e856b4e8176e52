/* Inside os/ only: the filter of system calls (seccomp). */
#ifndef OS_SANDBOX_CALLS_H
#define OS_SANDBOX_CALLS_H

#include "os/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* sandbox_calls_enter sets the filter.  Calls that only an attacker makes end the process; others that are not on the list fail
 * with ENOSYS, so that the C library takes its older way. */
RC sandbox_calls_enter(struct ctx *ctx, const struct sandbox *sb);

#endif
