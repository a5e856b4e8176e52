/* Configuration files: YAML (libyaml) into the same tree as JSON, with the line of each value for messages.
 * A closed subset: no anchors, aliases or tags; a scalar is a string, an integer, true, false or null; duplicate keys are refused.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/json.h"

struct yaml {
    json_t *root;       /* owned; freed by yaml_free */
    struct yaml_lines *lines;
    const char *name;   /* of the file, for messages */
    /* Of one that yaml_read refused: where, from 1, and why, without the place. */
    int bad_line, bad_column;
    const char *bad_words;
};

/* yaml_read parses `text` (at most 1 MiB, 32 levels); `name` is what messages call it and must outlive the result. */
RC yaml_read(struct ctx *ctx, const char *name, struct bytes text, struct yaml *out);
/* libyaml exports a yaml_free of its own, which must not find this one in its place: hence the other name for the linker. */
void yaml_free(struct yaml *y) __asm__("base_yaml_free");
/* yaml_line returns the line (from 1) of `value`, that of its key for a member of a map; 0 where it cannot tell (all `true` of a
 * file are one value, and so are `false` and `null`); yaml_fail then names the file alone. */
int yaml_line(const struct yaml *y, const json_t *value);
/* yaml_place is yaml_line with the column: of the member `key` of `map`, or where `map` is NULL of `value`.  Both 0: it cannot
 * tell. */
void yaml_place(const struct yaml *y, const json_t *map, const char *key, const json_t *value, int *line, int *column);
/* yaml_fail is ctx_fail(E_INVALID) with "name:line: " in front. */
RC yaml_fail(struct ctx *ctx, const struct yaml *y, const json_t *value, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* yaml_only refuses members of `obj` that are not in `keys` (NULL-terminated). */
RC yaml_only(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *const *keys);

#endif
