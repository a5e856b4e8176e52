/* Random bytes of the kernel (getrandom), and the ids made of them. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* random_fill ends the process where the kernel has none to give: nothing sensible can go on. */
void random_fill(void *p, size_t n);
uint64_t random_u64(void);
uint64_t random_below(uint64_t bound); /* uniform in [0, bound); bound > 0 */

/* id_new returns a new id: 26 characters of Crockford base32, the first 10 the time in ms, the rest random: sorts by time. */
#define ID_LEN 26
char *id_new(struct arena *a, int64_t unix_ms);
bool id_valid(struct bytes b);

#endif
