/* JSON: a builder that writes into a struct buf, and strict reading through jansson with ceilings. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/ctx.h"

/* json_read parses one value.  Refused: duplicate keys, more than 1,000 elements deep, trailing bytes, bad UTF-8, NUL in strings.
 * The result is owned by the caller (json_auto_t or json_decref). */
RC json_read(struct ctx *ctx, struct bytes text, json_t **out);

/* Readers of members; the pointer in messages is "/key".  `need` says whether absent is an error; where absent and not needed,
 * `*out` is left alone.  null counts as absent.  Strings are copied to the arena. */
RC json_get_str(struct ctx *ctx, const json_t *obj, const char *key, bool need, const char **out);
RC json_get_int(struct ctx *ctx, const json_t *obj, const char *key, bool need, int64_t *out);
RC json_get_bool(struct ctx *ctx, const json_t *obj, const char *key, bool need, bool *out);
RC json_get_base64(struct ctx *ctx, const json_t *obj, const char *key, bool need, struct bytes *out); /* standard alphabet */
/* json_get_list / json_get_obj return borrowed references. */
RC json_get_list(struct ctx *ctx, const json_t *obj, const char *key, bool need, const json_t **out);
RC json_get_obj(struct ctx *ctx, const json_t *obj, const char *key, bool need, const json_t **out);
/* json_get_obj_text is json_get_obj as JSON text of at most 64 KiB; "{}" where it is not there. */
RC json_get_obj_text(struct ctx *ctx, const json_t *obj, const char *key, bool need, const char **out);

/* The builder.  Commas and escaping are its business; keys and values alternate in objects:
 *     struct json_out j; json_begin(&j, &buf); json_open_obj(&j, NULL); json_put_str(&j, "name", name); json_close(&j);
 * `key` is NULL inside arrays and at the top.  Errors stick in the buffer.  Strings that are not UTF-8 come out with U+FFFD;
 * control characters are escaped, also DEL and those of U+0080 to U+009F. */
struct json_out {
    struct buf *b;
    int depth;
    bool comma[32];
    char close[32];
};
void json_begin(struct json_out *j, struct buf *b);
void json_open_obj(struct json_out *j, const char *key);
void json_open_list(struct json_out *j, const char *key);
void json_close(struct json_out *j);
void json_put_str(struct json_out *j, const char *key, const char *value); /* NULL writes null */
void json_put_bytes_str(struct json_out *j, const char *key, struct bytes value);
void json_put_int(struct json_out *j, const char *key, int64_t value);
void json_put_bool(struct json_out *j, const char *key, bool value);
void json_put_null(struct json_out *j, const char *key);
void json_put_base64(struct json_out *j, const char *key, struct bytes value);
void json_put_hex(struct json_out *j, const char *key, struct bytes value);
void json_put_time(struct json_out *j, const char *key, int64_t unix_s); /* RFC 3339 */
/* json_put_raw writes text that is JSON already (made by this builder or checked by json_read). */
void json_put_raw(struct json_out *j, const char *key, struct bytes json);
void json_put_value(struct json_out *j, const char *key, const json_t *value);

#endif
