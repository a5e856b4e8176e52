/* Other ACME clients' lineages: what each client's own files say of its renewal, in the form that the client writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lineage.h"
#include "os/file.h"

#define DAY    INT64_C(86400)
#define BEFORE (INT64_C(1790000000))
#define AFTER  (BEFORE + 90 * DAY)

/* A folder of its own, with the memory of one test. */
struct place {
    struct ctx ctx;
    char dir[64];
};

static int drop_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

static void place_done(struct place *p)
{
    assert_int_equal(nftw(p->dir, drop_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    ctx_free(&p->ctx);
}
#define PLACE __attribute__((cleanup(place_done))) struct place

static void place_make(struct place *p)
{
    *p = (struct place){.dir = "/tmp/cw-lineage-XXXXXX"};
    ctx_init(&p->ctx, &clock_system);
    assert_non_null(mkdtemp(p->dir));
}

static const char *put(struct place *p, const char *name, const char *text)
{
    const char *path = arena_printf(&p->ctx.arena, "%s/%s", p->dir, name), *slash = strrchr(path, '/');
    const char *folder = arena_printf(&p->ctx.arena, "%.*s", (int)(slash - path), path);
    if (rc_failed(file_mkdirs(&p->ctx, folder, 0755)) ||
        rc_failed(file_write_atomic_path(&p->ctx, path, bytes_z(text), FILE_KEEP_UID, FILE_KEEP_GID, 0644)))
        fail_msg("%s", ctx_why(&p->ctx));
    return path;
}

static struct lineage read_it(struct place *p, const char *path, enum lineage_client expected)
{
    enum lineage_client client = LINEAGE_CLIENTS;
    struct lineage out;
    assert_int_equal(lineage_look(&p->ctx, path, &client), LINEAGE_IS);
    assert_string_equal(lineage_client_name(client), lineage_client_name(expected));
    assert_true(rc_ok(lineage_read(&p->ctx, path, client, BEFORE, AFTER, &out)));
    return out;
}

static enum lineage_part part_of(struct place *p, const char *path)
{
    enum lineage_client client;
    return lineage_look(&p->ctx, path, &client);
}

static void certbot_says_when_and_whether(void **state)
{
    static const struct {
        const char *conf;
        int64_t before_s; /* the end */
        bool off;
    } rows[] = {
        {"# renew_before_expiry = 30 days\nversion = 2.1.0\n[renewalparams]\nserver = https://ca.example/dir\n", 30 * DAY, false},
        {"version = 4.0.0\n[renewalparams]\nserver = https://ca.example/dir\n", 30 * DAY, false},
        {"renew_before_expiry = 10 days\nversion = 4.1.1\n[renewalparams]\nserver = https://ca.example/dir\nautorenew = True\n",
         10 * DAY, false},
        {"renew_before_expiry=36 hours\n[renewalparams]\nserver = https://ca.example/dir\nautorenew = False\n", 36 * 3600, true},
        {"renew_before_expiry = 2 months\nserver = https://ca.example/dir\n", 60 * DAY, false},
    };
    PLACE p;
    (void)state;
    place_make(&p);
    const char *cert = put(&p, "le/live/www/fullchain.pem", "x");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put(&p, "le/renewal/www.conf", rows[i].conf);
        const struct lineage l = read_it(&p, cert, LINEAGE_CERTBOT);
        if (l.renew_at != AFTER - rows[i].before_s || l.off != rows[i].off || strcmp(l.ca, "https://ca.example/dir") != 0 ||
            strcmp(l.name, "www") != 0 || *l.error != '\0')
            fail_msg("row %zu: %lld before the end, off %d, \"%s\", \"%s\"", i, (long long)(AFTER - l.renew_at), l.off, l.ca,
                     l.error);
    }
    assert_int_equal(part_of(&p, put(&p, "le/live/www/cert.pem", "x")), LINEAGE_BESIDE);
    assert_int_equal(part_of(&p, put(&p, "le/archive/www/fullchain1.pem", "x")), LINEAGE_BESIDE);
    /* Of six days half are left; nobody renews what has no file. */
    struct lineage l = {.name = "www", .error = ""};
    lineage_text_certbot(&p.ctx, BYTES_LIT("version = 5.0.0\n"), BEFORE, BEFORE + 6 * DAY, &l);
    assert_int_equal(l.renew_at, BEFORE + 3 * DAY);
    lineage_text_certbot(&p.ctx, BYTES_LIT("version = 4.0.0\n"), BEFORE, BEFORE + 60 * DAY, &l);
    assert_int_equal(l.renew_at, BEFORE + 40 * DAY);
    lineage_text_certbot(&p.ctx, BYTES_LIT("version = 3.3.0\n"), BEFORE, BEFORE + 60 * DAY, &l);
    assert_int_equal(l.renew_at, BEFORE + 30 * DAY);
    assert_int_equal(unlink(arena_printf(&p.ctx.arena, "%s/le/renewal/www.conf", p.dir)), 0);
    l = read_it(&p, cert, LINEAGE_CERTBOT);
    assert_true(l.off);
    assert_non_null(strstr(l.error, "renewal/www.conf is not there: nothing renews it"));
}

static void the_last_failure_in_certbots_log_is_told(void **state)
{
    static const char log[] =
        "2026-11-01 03:00:01,123:ERROR:certbot._internal.renewal:Failed to renew certificate www with error: the first\n"
        "2026-11-01 03:00:02,123:ERROR:certbot._internal.renewal:Failed to renew certificate www.example with error: another's\n"
        "2026-11-01 03:00:03,123:ERROR:certbot._internal.renewal:Failed to renew certificate www with error: "
        "Some challenges have failed.\n"
        "2026-11-01 03:00:04,123:DEBUG:certbot._internal.renewal:Traceback was:\n";
    CTX_CLEANUP struct ctx ctx;
    struct lineage l = {.name = "www", .error = ""};
    (void)state;
    ctx_init(&ctx, &clock_system);
    lineage_text_certbot_log(&ctx, bytes_z(log), &l);
    assert_string_equal(l.error, "Some challenges have failed.");
    l = (struct lineage){.name = "else", .error = ""};
    lineage_text_certbot_log(&ctx, bytes_z(log), &l);
    assert_string_equal(l.error, "");
}

static void acme_sh_says_its_next_time(void **state)
{
    PLACE p;
    (void)state;
    place_make(&p);
    put(&p, ".acme.sh/www.example.org_ecc/www.example.org.conf",
        "Le_Domain='www.example.org'\nLe_Alt='no'\nLe_API='https://acme-v02.api.letsencrypt.org/directory'\n"
        "Le_ReloadCmd='__ACME_BASE64__START_c3lzdGVtY3Rs__ACME_BASE64__END_'\nLe_NextRenewTimeStr='2026-12-24T00:00:00Z'\n"
        "Le_NextRenewTime='1798070400'\n");
    const char *cert = put(&p, ".acme.sh/www.example.org_ecc/fullchain.cer", "x");
    struct lineage l = read_it(&p, cert, LINEAGE_ACME_SH);
    assert_int_equal(l.renew_at, 1798070400);
    assert_string_equal(l.name, "www.example.org");
    assert_string_equal(l.ca, "https://acme-v02.api.letsencrypt.org/directory");
    assert_int_equal(part_of(&p, put(&p, ".acme.sh/www.example.org_ecc/ca.cer", "x")), LINEAGE_BESIDE);
    assert_int_equal(part_of(&p, put(&p, ".acme.sh/other/ca.cer", "x")), LINEAGE_NO);
    static const char wrapped[] = "Le_Domain='__ACME_BASE64__START_d3d3__ACME_BASE64__END_'\nLe_NextRenewTime='-5'\n";
    lineage_text_acme_sh(&p.ctx, bytes_z(wrapped), &l);
    assert_string_equal(l.name, "www");
    assert_int_equal(l.renew_at, 0);
}

static void lego_says_for_whom_and_whence(void **state)
{
    PLACE p;
    (void)state;
    place_make(&p);
    put(&p, "lego/certificates/_.example.org.json",
        "{\"domain\": \"*.example.org\", \"certUrl\": \"https://ca.example:14000/certZ/1\", "
        "\"certStableUrl\": \"https://ca.example:14000/certZ/1\"}");
    const struct lineage l = read_it(&p, put(&p, "lego/certificates/_.example.org.crt", "x"), LINEAGE_LEGO);
    assert_string_equal(l.name, "*.example.org");
    assert_string_equal(l.ca, "https://ca.example:14000");
    assert_int_equal(l.renew_at, 0); /* its command line says when */
    assert_int_equal(part_of(&p, put(&p, "lego/certificates/_.example.org.issuer.crt", "x")), LINEAGE_BESIDE);
    assert_int_equal(part_of(&p, put(&p, "elsewhere/a.crt", "x")), LINEAGE_NO);
}

static void caddy_says_the_time_that_it_has_chosen(void **state)
{
    PLACE p;
    (void)state;
    place_make(&p);
    const char *json = "certificates/ca-dir/www.example.org/www.example.org.json";
    put(&p, json, "{\"sans\":[\"www.example.org\"],\"issuer_data\":{\"url\":\"https://ca.example/1\","
                  "\"ca\":\"https://ca.example/dir\",\"renewal_info\":{\"suggestedWindow\":{\"start\":\"2026-12-01T00:00:00Z\",\"end\":\"2026-12-02T00:00:00Z\"},"
                  "\"_selectedTime\":\"2026-12-01T12:00:00.123456789Z\"}}}");
    const char *cert = put(&p, "certificates/ca-dir/www.example.org/www.example.org.crt", "x");
    struct lineage l = read_it(&p, cert, LINEAGE_CADDY);
    assert_int_equal(l.renew_at, 1796126400);
    assert_string_equal(l.ca, "https://ca.example/dir");
    assert_string_equal(l.name, "www.example.org");
    put(&p, json, "{\"sans\":[\"www.example.org\"]}");
    l = read_it(&p, cert, LINEAGE_CADDY);
    assert_int_equal(l.renew_at, AFTER - 30 * DAY);
}

static void dehydrated_and_uacme_are_known_by_their_files(void **state)
{
    PLACE p;
    (void)state;
    place_make(&p);
    put(&p, "dh/config", "CA=\"letsencrypt-test\"\n# RENEW_DAYS=\"99\"\nRENEW_DAYS=\"20\"\n");
    put(&p, "dh/certs/www/fullchain-1700000000.pem", "x");
    const char *link = arena_printf(&p.ctx.arena, "%s/dh/certs/www/fullchain.pem", p.dir);
    assert_int_equal(symlink("fullchain-1700000000.pem", link), 0);
    struct lineage l = read_it(&p, link, LINEAGE_DEHYDRATED);
    assert_int_equal(l.renew_at, AFTER - 20 * DAY);
    assert_string_equal(l.ca, "letsencrypt-test");
    put(&p, "dh/certs/www/config", "RENEW_DAYS=5\n");
    l = read_it(&p, link, LINEAGE_DEHYDRATED);
    assert_int_equal(l.renew_at, AFTER - 5 * DAY);
    assert_string_equal(l.ca, "letsencrypt-test");
    assert_int_equal(part_of(&p, put(&p, "dh/certs/www/cert-1600000000.pem", "x")), LINEAGE_BESIDE);
    put(&p, "ua/private/www/key.pem", "x");
    l = read_it(&p, put(&p, "ua/www/cert.pem", "x"), LINEAGE_UACME);
    assert_int_equal(l.renew_at, AFTER - 30 * DAY);
    assert_string_equal(l.name, "www");
}

/* What stands in the way is told; a pipe is not waited for. */
static void settings_that_cannot_be_read_are_told(void **state)
{
    PLACE p;
    (void)state;
    place_make(&p);
    const char *cert = put(&p, "le/live/www/fullchain.pem", "x");
    const char *conf = arena_printf(&p.ctx.arena, "%s/le/renewal/www.conf", p.dir);
    put(&p, "le/renewal/other.conf", "");
    assert_int_equal(mkfifo(conf, 0600), 0);
    assert_non_null(strstr(read_it(&p, cert, LINEAGE_CERTBOT).error, "not a regular file"));
    assert_int_equal(unlink(conf), 0);
    assert_int_equal(symlink(conf, conf), 0);
    assert_true(*read_it(&p, cert, LINEAGE_CERTBOT).error != '\0');
    assert_int_equal(unlink(conf), 0);
    put(&p, "le/renewal/www.conf", "x");
    assert_int_equal(truncate(conf, 1 << 30), 0);
    assert_non_null(strstr(read_it(&p, cert, LINEAGE_CERTBOT).error, "larger than"));
    put(&p, "lego/certificates/a.json", "{\"domain\": ");
    assert_string_equal(read_it(&p, put(&p, "lego/certificates/a.crt", "x"), LINEAGE_LEGO).error, "its settings are no JSON");
}

static void what_runs_a_client_is_found(void **state)
{
    PLACE p;
    struct lineage_schedules s;
    (void)state;
    place_make(&p);
    lineage_schedules(&p.ctx, p.dir, &s);
    for (size_t i = 0; i < LINEAGE_CLIENTS; i++)
        assert_string_equal(s.by[i], "");
    put(&p, "etc/systemd/system/timers.target.wants/snap.certbot.renew.timer", "");
    put(&p, "etc/systemd/system/multi-user.target.wants/caddy.service", "");
    put(&p, "etc/cron.d/certs", "# 0 0 * * * root dehydrated -c\n0 3 * * * root /usr/bin/lego --path /x renew --days 30\n");
    put(&p, "var/spool/cron/crontabs/root", "12 0 * * * \"/root/.acme.sh\"/acme.sh --cron > /dev/null\n0 0 * * * legolas uacmes xdehydrated\n");
    lineage_schedules(&p.ctx, p.dir, &s);
    assert_string_equal(s.by[LINEAGE_CERTBOT], "/etc/systemd/system/timers.target.wants/snap.certbot.renew.timer");
    assert_string_equal(s.by[LINEAGE_CADDY], "/etc/systemd/system/multi-user.target.wants/caddy.service");
    assert_string_equal(s.by[LINEAGE_LEGO], "/etc/cron.d/certs");
    assert_string_equal(s.by[LINEAGE_ACME_SH], "/var/spool/cron/crontabs/root");
    assert_string_equal(s.by[LINEAGE_DEHYDRATED], "");
    assert_string_equal(s.by[LINEAGE_UACME], "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(certbot_says_when_and_whether), cmocka_unit_test(the_last_failure_in_certbots_log_is_told),
        cmocka_unit_test(acme_sh_says_its_next_time), cmocka_unit_test(lego_says_for_whom_and_whence),
        cmocka_unit_test(caddy_says_the_time_that_it_has_chosen), cmocka_unit_test(dehydrated_and_uacme_are_known_by_their_files),
        cmocka_unit_test(settings_that_cannot_be_read_are_told), cmocka_unit_test(what_runs_a_client_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
