/* Values of the parameters that only a section `relay` knows: they end up in addresses, paths, headers and command lines. */
#include "agent/push_desc.h"
#include "base/address.h"
#include "base/uri.h"

static bool is_host(const char *value)
{
    struct address a;
    size_t n = strlen(value);
    if (address_parse(bytes_z(value), &a))
        return true;
    for (size_t i = 0; i < n; i++) {
        char ch = value[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!letter && ch != '-' && ch != '_' && !(ch == '.' && i > 0 && value[i - 1] != '.'))
            return false;
    }
    return n > 0 && n <= 253 && value[0] != '-';
}

static bool is_text(const char *value)
{
    if (strlen(value) > 1024 || !str_is_utf8(bytes_z(value)))
        return false;
    for (const char *p = value; *p != '\0'; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static bool is_plain_word(const char *value)
{
    size_t n = strlen(value);
    for (const char *p = value; *p != '\0'; p++)
        if (!((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') && !(*p >= '0' && *p <= '9') && strchr("._-", *p) == NULL)
            return false;
    return n > 0 && n <= 253 && strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
}

RC push_param_check(struct ctx *ctx, enum connector_type type, const char *pointer, const char *value)
{
    struct uri uri;
    int64_t number;
    switch (type) {
    case PARAM_URL:
        if (rc_failed(uri_parse(ctx, bytes_z(value), &uri)) || !uri.https || uri.query != NULL)
            return ctx_fail_field(ctx, pointer, "%s is not an https:// URL without a query", value);
        break;
    case PARAM_HOST:
        if (!is_host(value))
            return ctx_fail_field(ctx, pointer, "%s is neither a host name nor an address", value);
        break;
    case PARAM_TEXT:
        if (!is_text(value))
            return ctx_fail_field(ctx, pointer, "must be a text of at most 1024 bytes without control characters");
        break;
    case PARAM_NUMBER:
        if (!str_to_i64(bytes_z(value), &number) || number < 0 || number > INT32_MAX)
            return ctx_fail_field(ctx, pointer, "%s is not a number from 0 to %d", value, INT32_MAX);
        break;
    case PARAM_WORD:
        if (!is_plain_word(value))
            return ctx_fail_field(ctx, pointer, "%s is not a word of letters, digits, '.', '_' and '-'", value);
        break;
    default:
        return ctx_fail(ctx, E_BUG, "no parameter of type %d is checked here", (int)type);
    }
    return RC_OK;
}
