/* Which operation a path means, and that every one of them asks for a permission. */
#include "base/base_test.h"

#include "hub/api.h"

static const struct api_route *match(struct ctx *ctx, const char *method, const char *path, unsigned listener, struct bytes *params,
                                     size_t *n)
{
    const struct api_route *route = NULL;
    const char *allow = NULL;
    struct rc rc = api_match(ctx, method, path, listener, &route, params, n, &allow);
    return rc_ok(rc) ? route : NULL;
}

static void paths_name_operations(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct bytes params[API_PATH_MAX];
    size_t n = 0;
    const struct api_route *r = match(&ctx, "GET", "/api/v1/managed-certificates/www.example.org/why", API_ON_ADMIN, params, &n);
    assert_non_null(r);
    assert_string_equal(r->operation, "managed_why");
    assert_int_equal(n, 1);
    assert_bytes(params[0], "www.example.org");
    assert_string_equal(match(&ctx, "HEAD", "/api/v1/status", API_ON_HTTPS, params, &n)->operation, "status_get");
    /* What is spelled out hides what matches anything. */
    assert_string_equal(match(&ctx, "POST", "/api/v1/targets/discover", API_ON_ADMIN, params, &n)->operation, "target_discover");
    assert_string_equal(match(&ctx, "POST", "/api/v1/managed-certificates/plan", API_ON_ADMIN, params, &n)->operation,
                        "managed_plan");
    assert_string_equal(match(&ctx, "GET", "/api/v1/targets/discover", API_ON_ADMIN, params, &n)->operation, "target_get");
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api/v1",         "/api/v1/",        "/api/v1/targets/", "/api/v1/targets/a/b/c",
                                        "/api/v1/TARGETS", "//api/v1/targets"};
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct bytes params[API_PATH_MAX];
    size_t n = 0;
    const struct api_route *route = NULL;
    const char *allow = NULL;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_err(api_match(&ctx, "GET", paths[i], API_ON_ADMIN, &route, params, &n, &allow), E_NOT_FOUND);
}

static void a_wrong_method_learns_the_right_ones(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct bytes params[API_PATH_MAX];
    size_t n = 0;
    const struct api_route *route = NULL;
    const char *allow = NULL;
    assert_err(api_match(&ctx, "PUT", "/api/v1/issuers/ca", API_ON_ADMIN, &route, params, &n, &allow), E_METHOD);
    assert_non_null(strstr(allow, "GET"));
    assert_non_null(strstr(allow, "PATCH"));
    assert_non_null(strstr(allow, "DELETE"));
}

static void listeners_know_only_their_own_routes(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct bytes params[API_PATH_MAX];
    size_t n = 0;
    assert_non_null(match(&ctx, "POST", "/agent/v1/exchange", API_ON_AGENT, params, &n));
    assert_null(match(&ctx, "POST", "/agent/v1/exchange", API_ON_HTTPS, params, &n));
    assert_null(match(&ctx, "POST", "/agent/v1/exchange", API_ON_ADMIN, params, &n));
    assert_null(match(&ctx, "GET", "/api/v1/tokens", API_ON_AGENT, params, &n));
}

/* The description of the API is for everybody; a host that has not joined has nothing to show but its token; and people begin with
 * what they prove who they are by. */
static const char *const for_everybody[] = {
    "openapi_get",  "agent_fleet",     "agent_join",            "session_get",     "session_create",   "session_remove",
    "session_totp", "session_recovery", "session_passkey_begin", "session_passkey", "invitation_accept", "session_providers",
    "session_directory"};

static void every_route_asks_for_a_permission(void **state)
{
    (void)state;
    size_t public = 0;
    for (size_t i = 0; i < api_routes_n; i++) {
        const struct api_route *r = &api_routes[i];
        assert_true(*r->permission != '\0');
        public += str_equal(r->permission, "public");
        const bool agents = bytes_starts_with(bytes_z(r->path), BYTES_LIT("/agent/"));
        assert_true(agents == (r->listeners == API_ON_AGENT));
        if (str_equal(r->permission, "public")) {
            bool known = false;
            for (size_t k = 0; k < sizeof for_everybody / sizeof *for_everybody; k++)
                known = known || str_equal(r->operation, for_everybody[k]);
            assert_true(known);
        } else {
            assert_true(agents == str_equal(r->permission, "agent.work"));
        }
        /* What is about a person's session is asked with its cookie, which no other listener takes. */
        assert_true(!str_equal(r->permission, "self") || r->listeners == API_ON_HTTPS);
    }
    assert_int_equal(public, sizeof for_everybody / sizeof *for_everybody);
}

static void the_document_is_json(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    json_auto_t *doc = NULL;
    const struct packed document = api_openapi_json();
    struct buf text;
    buf_init_arena(&text, &ctx.arena, document.size);
    assert_ok(packed_unpack(&ctx, &document, &text));
    assert_ok(json_read(&ctx, buf_bytes(&text), &doc));
    assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.1.0");
}

static void what_is_damaged_is_not_handed_out(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct packed document = api_openapi_json();
    struct buf text;
    buf_init_arena(&text, &ctx.arena, document.size);
    for (unsigned i = 0; i < 3; i++) {
        struct packed bad = document;
        uint8_t *copy = arena_dup(&ctx.arena, bad.gzip.p, bad.gzip.n);
        bad.gzip.p = copy;
        if (i == 0)
            bad.gzip.n /= 2;
        else if (i == 1)
            bad.size--;
        else
            copy[bad.gzip.n / 2] ^= 1;
        assert_err(packed_unpack(&ctx, &bad, &text), E_BUG);
        ctx_forget(&ctx);
    }
    assert_int_equal(text.n, 0);
}

static void cursors_come_back_as_they_went(void **state)
{
    (void)state;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    const char *after = NULL;
    int64_t number = 0;
    assert_ok(api_cursor_read(&ctx, api_cursor_make(&ctx, "01ARZ3NDEKTSV4RRFFQ69G5FAV"), &after));
    assert_string_equal(after, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_ok(api_cursor_read_number(&ctx, api_cursor_make_number(&ctx, 42), 7, &number));
    assert_int_equal(number, 42);
    assert_ok(api_cursor_read_number(&ctx, NULL, 7, &number));
    assert_int_equal(number, 7);
    assert_err(api_cursor_read(&ctx, "not base64url!", &after), E_INVALID);
    assert_err(api_cursor_read_number(&ctx, api_cursor_make(&ctx, "x"), 7, &number), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_name_operations),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_wrong_method_learns_the_right_ones),
        cmocka_unit_test(listeners_know_only_their_own_routes),
        cmocka_unit_test(every_route_asks_for_a_permission),
        cmocka_unit_test(the_document_is_json),
        cmocka_unit_test(what_is_damaged_is_not_handed_out),
        cmocka_unit_test(cursors_come_back_as_they_went),
    };
    return cmocka_run_group_tests_name("hub/routes", tests, NULL, NULL);
}
