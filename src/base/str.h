/* Strings: reading numbers, names and words out of bytes. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/arena.h"
#include "base/bytes.h"

bool str_equal(const char *a, const char *b); /* NULL equals only NULL */
/* str_to_i64 / str_to_u64 read a whole decimal number: no spaces, no sign (but '-' for i64), no overflow, nothing after it. */
bool str_to_i64(struct bytes text, int64_t *out);
bool str_to_u64(struct bytes text, uint64_t *out);
/* str_z copies bytes to a string; NULL where they hold a NUL. */
char *str_z(struct arena *a, struct bytes b);
bool str_is_utf8(struct bytes b);
/* str_is_name says whether it can name an object here: 1-64 of [a-z0-9._:*-] in any case, first a letter, digit or '*'. */
bool str_is_name(struct bytes b);
/* str_parse_span reads "90s", "15m", "12h", "30d", "2w" or plain seconds. */
bool str_parse_span(struct bytes text, int64_t *seconds);

/* A list of strings in an arena. */
struct str_list {
    const char **v;
    size_t n, cap;
};
void str_list_add(struct arena *a, struct str_list *l, const char *s);
bool str_list_has(const struct str_list *l, const char *s);

#endif
