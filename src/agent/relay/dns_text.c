#include "agent/relay/dns_text.h"

static bool is_digit(uint8_t ch)
{
    return ch >= '0' && ch <= '9';
}

/* One character of a quoted string; false where an escape is cut off or is no byte. */
static bool take_char(struct bytes *in, uint8_t *out)
{
    if (!bytes_take_u8(in, out) || *out != '\\')
        return true;
    if (in->n >= 3 && is_digit(in->p[0]) && is_digit(in->p[1]) && is_digit(in->p[2])) {
        unsigned code = (in->p[0] - '0') * 100u + (in->p[1] - '0') * 10u + (in->p[2] - '0');
        *out = (uint8_t)code;
        return code < 256 && bytes_skip(in, 3);
    }
    return bytes_take_u8(in, out);
}

/* Compares the strings in quotes with `value`. */
static bool quoted_is(struct bytes in, struct bytes value)
{
    uint8_t ch, want;
    while (in.n > 0) {
        if (!bytes_take_u8(&in, &ch) || ch != '"')
            return false;
        while (in.n > 0 && in.p[0] != '"')
            if (!take_char(&in, &ch) || !bytes_take_u8(&value, &want) || ch != want)
                return false;
        if (!bytes_skip(&in, 1))
            return false;
        while (in.n > 0 && (in.p[0] == ' ' || in.p[0] == '\t'))
            bytes_skip(&in, 1);
    }
    return value.n == 0;
}

bool dns_text_is(struct bytes text, struct bytes value)
{
    return bytes_equal(text, value) || (text.n > 1 && text.p[0] == '"' && quoted_is(text, value));
}
