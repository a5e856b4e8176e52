/* The values of the API as C structs, and the one decoder and encoder that work on all of them.
 *
 * tools/gen-openapi.py makes from each schema of openapi/certwright.yaml a struct, a table of its fields and two functions that
 * call what is here.  How a schema becomes C:
 *     string                       const char *, NULL where absent
 *     string, format byte or hex   struct bytes, empty where absent
 *     string, format date-time     int64_t, seconds since 1970 UTC
 *     integer, boolean             int64_t, bool
 *     array                        struct { const T *v; size_t n; }
 *     map of strings               a struct of its own name, like struct api_map
 *     object                       the struct itself where it is required; else a pointer, NULL where absent
 * An optional integer or date without a default has a flag beside it, `has_x`; so have all optional fields of a schema marked
 * x-patch, and those marked x-nullable, where `has_x` with a NULL (or with `null_x`) means that null was sent. */
#ifndef API_CODEC_H
#define API_CODEC_H

#include "base/json.h"

struct api_strings {
    const char *const *v;
    size_t n;
};
struct api_ints {
    const int64_t *v;
    size_t n;
};
struct api_blobs {
    const struct bytes *v;
    size_t n;
};
struct api_pair {
    const char *name;
    const char *value;
};
struct api_map {
    const struct api_pair *v;
    size_t n;
};
/* api_map_get returns the value of `name`, or NULL. */
const char *api_map_get(const struct api_map *m, const char *name);
void api_map_encode(struct json_out *j, const char *key, const struct api_map *m);

enum api_type { API_STR, API_BYTES, API_HEX, API_TIME, API_INT, API_BOOL, API_OBJECT, API_POINTER, API_MAP, API_LIST };
enum api_format { API_ANY, API_ID, API_NAME, API_DNS_NAME };
enum {
    API_REQUIRED = 1,
    API_NULLABLE = 2,
    API_MULTILINE = 4, /* line ends and tabs are fine */
    API_TEXT = 8,      /* words of somebody else: any characters, cut at the ceiling instead of refused */
    API_DEFAULT = 16,
};
#define API_NONE UINT32_MAX

/* One field of a schema.  For a list everything but the flags describes its items. */
struct api_field {
    const char *name;
    const struct api_schema *ref;   /* of objects */
    const char *const *words;       /* the values allowed, NULL-terminated; NULL for any */
    int64_t min, max;               /* of integers */
    int64_t initial;                /* API_DEFAULT: of integers and booleans */
    const char *initial_text;       /* API_DEFAULT: of strings */
    uint32_t offset, has, null;     /* where the value and its flags lie in the struct; API_NONE */
    uint32_t bytes_min, bytes_max;  /* length of strings as they travel; of a map's values */
    uint32_t items_max;             /* of lists and maps */
    uint8_t type, item, format, flags;
};

struct api_schema {
    const char *name;
    const struct api_field *fields;
    size_t fields_n;
    size_t size;       /* of the struct */
    bool skip_unknown; /* fields that are not known are skipped instead of refused */
};

/* api_decode fills `out` from `value`.  E_INVALID with ctx->field, a JSON pointer, and words that name the field: unknown field,
 * wrong type, out of range, too long, not one of the values allowed.  Everything is copied to the arena. */
RC api_decode(struct ctx *ctx, const struct api_schema *schema, const json_t *value, void *out);
/* api_decode_text sets one field from the text of a query parameter: strings, integers, booleans, dates and hex. */
RC api_decode_text(struct ctx *ctx, const struct api_schema *schema, const char *name, const char *text, void *out);
/* api_defaults sets the fields that have a default; api_decode does it too. */
void api_defaults(const struct api_schema *schema, void *out);
/* api_encode writes `in` as an object.  Optional fields that are absent are left out; a required string that is NULL is "". */
void api_encode(struct json_out *j, const char *key, const struct api_schema *schema, const void *in);
/* api_schema_field returns the field called `name`, or NULL. */
const struct api_field *api_schema_field(const struct api_schema *schema, const char *name);

#endif
