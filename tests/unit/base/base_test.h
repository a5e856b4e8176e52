/* What every test of base/ needs. */
#ifndef UNIT_BASE_TEST_H
#define UNIT_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ctx.h"

#define assert_ok(expr) assert_string_equal(err_info((expr).e)->name, "ok")
#define assert_err(expr, code) assert_string_equal(err_info((expr).e)->name, err_info(code)->name)
#define assert_bytes(b, text)                                                  \
    do {                                                                       \
        const struct bytes bytes_ = (b);                                       \
        assert_int_equal(bytes_.n, sizeof(text) - 1);                          \
        assert_memory_equal(bytes_.n ? (const char *)bytes_.p : "", text, bytes_.n); \
    } while (0)

#endif
