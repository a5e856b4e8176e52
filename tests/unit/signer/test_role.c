/* The signer as it really runs: a role of a parent, with its own user id, in its sandbox.  A role named "hub" asks it for one of
 * everything; an officer comes over the socket. */
#include "signer_fixture.h"

#include <signal.h>

#include "base/log.h"
#include "os/file.h"
#include "os/parent.h"
#include "signer/signer.h"

#define FIRST_UID 41300

/* --- the hub's part */

static RC certificates(struct ctx *ctx, struct wire_peer *signer)
{
    struct wire_signer_ca_create root = ca_wish("root", "", 1), issuing = ca_wish("issuing", "root", 0);
    struct wire_signer_ca ca;
    struct wire_signer_issued issued;
    struct wire_signer_revoked revoked;
    struct wire_signer_crl_made crl;
    struct key *key KEY_CLEANUP = NULL;
    struct cert cert;
    static const char *names[] = {"www.example.org"};
    TRY(wire_call_signer_ca_create(ctx, signer, &root, &ca));
    TRY(wire_call_signer_ca_create(ctx, signer, &issuing, &ca));
    TRY(key_generate(ctx, KEY_EC_P256, &key));
    struct wire_signer_issue issue = {
        .request_id = "a1", .ca = "issuing", .spki = key_spki(key), .dns_names = {names, 1}, .validity_s = 86400};
    TRY(wire_call_signer_issue(ctx, signer, &issue, &issued));
    TRY(cert_parse(ctx, issued.certificate, &cert));
    struct wire_signer_revoke revoke = {.request_id = "r1", .ca = "issuing", .serial = cert.serial, .reason = 1};
    TRY(wire_call_signer_revoke(ctx, signer, &revoke, &revoked));
    return wire_call_signer_crl(ctx, signer, &(struct wire_signer_crl){.ca = "issuing"}, &crl);
}

static RC acme(struct ctx *ctx, struct wire_peer *signer)
{
    struct wire_signer_acme_account account = {.account = "acc", .directory_url = "https://ca.example/dir", .key_kind = "ec-p256"};
    struct wire_signer_acme_key key;
    struct wire_signer_acme_signed body;
    TRY(wire_call_signer_acme_account(ctx, signer, &account, &key));
    struct wire_signer_acme_sign sign = {.account = "acc",
                                         .operation = WIRE_signer_acme_sign_operation_new_account,
                                         .nonce = "bm9uY2U",
                                         .url = "https://ca.example/a",
                                         .terms_agreed = true};
    return wire_call_signer_acme_sign(ctx, signer, &sign, &body);
}

static RC hub_enter(struct ctx *ctx, struct role_env *env)
{
    struct wire_peer *signer = role_peer(env, "signer");
    struct wire_signer_healthy health;
    TRY(certificates(ctx, signer));
    TRY(acme(ctx, signer));
    TRY(wire_call_signer_health(ctx, signer, &(struct wire_signer_health){0}, &health));
    if (strstr(health.sandbox, "seccomp") == NULL)
        return ctx_fail(ctx, E_SANDBOX, "the signer runs in \"%s\"", health.sandbox);
    role_ready(env, "done");
    role_wait_stop(env);
    return RC_OK;
}

static const struct role roles[] = {
    {.name = "signer", .confine = signer_confine, .enter = signer_run},
    {.name = "hub", .enter = hub_enter},
};

/* --- the parent, in a child of the test */

struct run {
    struct ctx ctx;
    char dir[64];
    const char *socket, *kek, *config;
    int words;
};

static void ready(void *arg)
{
    dprintf(((struct run *)arg)->words, "ready");
}

static void run_parent(struct run *r)
{
    struct parent_user user = {.uid_base = FIRST_UID};
    struct parent_role plan_roles[] = {
        {.name = "signer",
         .user = user,
         .config = bytes_z(r->config),
         .credentials = {SIGNER_CREDENTIAL},
         .listeners = {SIGNER_LISTENER}},
        {.name = "hub", .user = user, .peers = {"signer"}},
    };
    struct parent_listener listener = {
        .name = SIGNER_LISTENER, .path = r->socket, .mode = 0600, .uid = FILE_KEEP_UID, .gid = FILE_KEEP_GID};
    struct parent_credential kek = {.name = SIGNER_CREDENTIAL, .path = r->kek};
    struct parent_plan plan = {.roles = plan_roles,
                               .n_roles = 2,
                               .listeners = &listener,
                               .n_listeners = 1,
                               .credentials = &kek,
                               .n_credentials = 1,
                               .log_least = LOG_WARN_,
                               .on_ready = ready,
                               .arg = r};
    struct rc rc = parent_run(&r->ctx, &plan);
    if (rc_failed(rc))
        dprintf(r->words, "%s", ctx_why(&r->ctx));
    exit(rc_failed(rc) ? 1 : 0);
}

static void make_folder(struct run *r)
{
    struct arena *a = &r->ctx.arena;
    snprintf(r->dir, sizeof r->dir, "/tmp/cw-signer-role-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(chmod(r->dir, 0755), 0);
    const char *state = arena_printf(a, "%s/state", r->dir);
    assert_int_equal(mkdir(state, 0700), 0);
    if (getuid() == 0)
        assert_int_equal(chown(state, FIRST_UID, FIRST_UID), 0);
    r->socket = arena_printf(a, "%s/signer.sock", r->dir);
    r->kek = arena_printf(a, "%s/kek", r->dir);
    r->config = arena_printf(a, "{\"state\":\"%s\",\"officer_uid\":%u}", state, (unsigned)getuid());
    assert_true(rc_ok(file_write_atomic_path(&r->ctx, r->kek,
                                             BYTES_LIT("00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n"),
                                             FILE_KEEP_UID, FILE_KEEP_GID, 0600)));
}

static void the_signer_works_in_its_sandbox(void **state)
{
    (void)state;
    struct run r = {.words = -1};
    int words[2], status = 0;
    char text[2048] = "";
    ctx_init(&r.ctx, &clock_system);
    make_folder(&r);
    assert_int_equal(pipe(words), 0);
    fflush(NULL);
    pid_t parent = fork();
    if (parent == 0) {
        r.words = words[1];
        run_parent(&r);
    }
    close(words[1]);
    assert_true(read(words[0], text, sizeof text - 1) > 0);
    assert_string_equal(text, "ready");
    struct wire_peer *officer = NULL;
    struct wire_signer_cas cas;
    struct wire_signer_ceilings out;
    struct wire_signer_ceilings_set set = {.ca = "issuing", .max_validity_s = 86400, .per_hour = 10};
    assert_true(rc_ok(wire_connect(&r.ctx, r.socket, "officer", "signer", &officer)));
    assert_true(rc_ok(wire_call_signer_ca_list(&r.ctx, officer, &(struct wire_signer_ca_list){0}, &cas)));
    assert_int_equal(cas.names.n, 2);
    assert_true(rc_ok(wire_call_signer_ceilings_set(&r.ctx, officer, &set, &out)));
    assert_int_equal(out.issued_last_hour, 1);
    wire_peer_free(officer);
    kill(parent, SIGTERM);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    nftw(r.dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    ctx_free(&r.ctx);
}

int main(int argc, char **argv)
{
    if (role_asked(argc, argv))
        return role_main(roles, 2, argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signer_works_in_its_sandbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
