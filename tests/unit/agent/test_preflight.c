/* Which redirects of a challenge a CA follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/probe/preflight.h"
#include "base/uri.h"

static const struct {
    const char *url;
    bool followed;
    const char *why;
} redirects[] = {
    {"https://www.example.org/.well-known/acme-challenge/x", true, ""},
    {"http://www.example.org:80/.well-known/acme-challenge/x", true, ""},
    {"http://www.example.org:443/x", true, ""},
    {"https://other.example.net/x?y=1", true, ""},
    {"https://www.example.org:8443/x", false, "ports 80 and 443"},
    {"http://www.example.org:8080/x", false, "ports 80 and 443"},
    {"http://192.0.2.7/x", false, "IP address"},
    {"https://[2001:db8::7]/x", false, "IP address"},
    {"http://2130706433/x", false, "no URL"},
    {"http://user@www.example.org/x", false, "no URL"},
    {"ftp://www.example.org/x", false, "no URL"},
    {"", false, "no URL"},
};

static void test_redirects_that_a_ca_follows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof redirects / sizeof *redirects; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct uri u;
        const char *why = "";
        ctx_init(&ctx, &clock_system);
        if (preflight_redirect(&ctx, redirects[i].url, &u, &why) != redirects[i].followed || strstr(why, redirects[i].why) == NULL)
            fail_msg("%s: \"%s\"", redirects[i].url, why);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_redirects_that_a_ca_follows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
