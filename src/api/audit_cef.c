#include "api/audit_cef.h"

#include "base/address.h"
#include "base/str.h"
#include "base/version.h"

static void put(struct buf *b, const char *text, bool header)
{
    for (const char *s = text; *s; s++) {
        if (*s == '\\' || (header ? *s == '|' : *s == '='))
            buf_put_u8(b, '\\');
        if (*s == '\n' || *s == '\r')
            buf_put_z(b, *s == '\n' ? "\\n" : "\\r");
        else
            buf_put_u8(b, (uint8_t)*s);
    }
}

static void pair(struct buf *b, const char *key, const char *value)
{
    if (!*value)
        return;
    buf_printf(b, " %s=", key);
    put(b, value, false);
}

bool audit_went_bad(const struct audit_entry *e)
{
    return strstr(e->action, "fail") != NULL || strstr(e->action, "refuse") != NULL;
}

void audit_cef_put(struct buf *b, const struct audit_entry *e, int64_t place)
{
    struct address address;
    buf_put_z(b, "CEF:0|Certwright|Certwright|" CERTWRIGHT_VERSION "|");
    put(b, e->action, true);
    buf_put_u8(b, '|');
    put(b, e->action, true);
    buf_printf(b, "|%d|rt=%lld", audit_went_bad(e) ? 6 : 3, (long long)e->at * 1000);
    pair(b, "suser", e->principal);
    pair(b, address_parse(bytes_z(e->peer), &address) ? address.len == 4 ? "src" : "c6a2" : "shost", e->peer);
    if (address_parse(bytes_z(e->peer), &address) && address.len == 16)
        buf_put_z(b, " c6a2Label=Source IPv6 Address");
    pair(b, "act", e->action);
    pair(b, "cs1", e->object_kind);
    buf_put_z(b, " cs1Label=kind");
    pair(b, "cs2", e->object_id);
    buf_put_z(b, " cs2Label=object");
    pair(b, "cs3", e->team_id);
    buf_put_z(b, " cs3Label=team");
    pair(b, "cs4", e->request_id);
    buf_printf(b, " cs4Label=request cn1=%lld cn1Label=place", (long long)place);
    if (!str_equal(e->detail, "{}")) {
        buf_put_z(b, " cs5Label=detail");
        pair(b, "cs5", e->detail);
    }
}
