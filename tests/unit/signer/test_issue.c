/* Certificates from intent: what is issued, what is refused, and what a replay gets. */
#include "signer_fixture.h"

#include "base/encode.h"
#include "pki/chain.h"
#include "signer/ceilings.h"

static struct wire_signer_issued *issue(struct fixture *f, const struct wire_signer_issue *in)
{
    return must_ask(f, "hub", WIRE_signer_issue, in);
}

static void an_issued_certificate_is_believed_for_its_name(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue in = issue_wish(f, "a1", "www.example.org");
    struct wire_signer_issued *out = issue(f, &in);
    assert_int_equal(out->chain.n, 1);
    struct cert cert = read_cert(f, out->certificate);
    assert_true(bytes_equal(cert.spki.der, in.spki));
    assert_int_equal(cert.not_after - cert.not_before + 1, in.validity_s);
    assert_true(cert.not_before <= ctx_now_s(&f->ctx));
    assert_string_equal(cert.crl_urls[0], "http://pki.example.org/own.crl");
    assert_string_equal(cert.issuer_url, "http://pki.example.org/own.cer");
    struct bytes ders[] = {out->certificate, out->chain.v[0]};
    struct cert_chain chain, top;
    struct wire_signer_ca_show show = {.ca = "issuing"};
    struct wire_signer_ca *ca = must_ask(f, "hub", WIRE_signer_ca_show, &show);
    struct buf pem BUF_CLEANUP = {0};
    buf_init(&pem, 65536);
    assert_true(rc_ok(cert_chain_parse_der(&f->ctx, ders, 2, &chain)));
    assert_true(rc_ok(cert_chain_parse_der(&f->ctx, &ca->root, 1, &top)));
    cert_chain_put_pem(&pem, &top);
    struct chain_roots *roots CHAIN_ROOTS_CLEANUP = NULL;
    struct chain_result result;
    assert_true(rc_ok(chain_roots_load(&f->ctx, buf_bytes(&pem), false, &roots)));
    assert_true(rc_ok(chain_verify(&f->ctx, roots, &chain, "www.example.org", ctx_now_s(&f->ctx), CHAIN_FOR_SERVER, &result)));
    assert_string_equal(result.text, "");
    assert_int_equal(ca->issued, 1);
}

static void a_replay_gets_the_same_bytes_also_after_a_restart(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue in = issue_wish(f, "a1", "www.example.org");
    struct wire_signer_issued *first = issue(f, &in), *again = issue(f, &in);
    assert_false(first->replayed);
    assert_true(again->replayed);
    assert_true(bytes_equal(first->certificate, again->certificate));
    struct bytes kept = arena_bytes(&f->ctx.arena, first->certificate);
    fixture_reopen(f);
    again = issue(f, &in);
    assert_true(again->replayed);
    assert_true(bytes_equal(kept, again->certificate));
    assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    again = issue(f, &in);
    assert_true(bytes_equal(kept, again->certificate));
}

static void a_request_id_is_good_for_one_certificate(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue in = issue_wish(f, "a1", "www.example.org"), other = issue_wish(f, "a1", "mail.example.org");
    issue(f, &in);
    ask(f, "hub", WIRE_signer_issue, &other);
    assert_int_equal(f->rc.e, E_CONFLICT);
}

/* Runs one request in a process that dies at the failpoint. */
static void die_at(struct fixture *f, const char *failpoint, uint16_t type, const void *in)
{
    signer_close(f->s);
    f->s = NULL;
    pid_t child = fork();
    if (child == 0) {
        fixture_open(f);
        failpoint_set(failpoint);
        ask(f, "hub", type, in);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture_open(f);
}

static void killed_anywhere_it_finishes_what_it_began_with_the_same_serial(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue in = issue_wish(f, "a1", "www.example.org");
    die_at(f, "signer.intent_written=kill", WIRE_signer_issue, &in);
    assert_int_equal(f->s->serials.n, 3); /* root, issuing, and the one that was begun */
    die_at(f, "signer.signed=kill", WIRE_signer_issue, &in);
    assert_int_equal(f->s->serials.n, 3);
    die_at(f, "signer.result_written=kill", WIRE_signer_issue, &in);
    assert_int_equal(f->s->serials.n, 3);
    struct wire_signer_issued *out = issue(f, &in);
    assert_true(out->replayed);
    struct cert cert = read_cert(f, out->certificate);
    uint8_t key[INDEX_KEY_LEN];
    assert_true(rc_ok(state_serial_key(&f->ctx, "issuing", cert.serial, key)));
    assert_non_null(index_find(&f->s->serials, key));
    assert_int_equal(state_find_ca(f->s, "issuing")->f.issued, 1);
}

static void a_full_disk_refuses_to_sign_and_says_so(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue in = issue_wish(f, "a1", "www.example.org");
    failpoint_set("signer.journal_write=disk_full");
    struct wire_signer_issued *out = ask(f, "hub", WIRE_signer_issue, &in);
    assert_int_equal(f->rc.e, E_DISK_FULL);
    assert_int_equal(out->certificate.n, 0);
    failpoint_set("signer.journal_write@2=disk_full"); /* the intent fits, the result does not */
    out = ask(f, "hub", WIRE_signer_issue, &in);
    assert_int_equal(f->rc.e, E_DISK_FULL);
    assert_int_equal(out->certificate.n, 0);
    failpoint_set(NULL);
    issue(f, &in);
    assert_int_equal(f->s->serials.n, 3);
}

static void refuse(struct fixture *f, const struct wire_signer_issue *in, enum err e)
{
    ask(f, "hub", WIRE_signer_issue, in);
    if (f->rc.e != e)
        print_message("%s: %s\n", err_info(f->rc.e)->name, ctx_why(&f->ctx));
    assert_int_equal(f->rc.e, e);
}

static struct wire_signer_ceilings_set *ceilings(struct fixture *f)
{
    static const char *profiles[] = {"tls-server"};
    struct wire_signer_ceilings_set *in = ARENA_NEW(&f->ctx.arena, struct wire_signer_ceilings_set);
    *in = (struct wire_signer_ceilings_set){
        .ca = "issuing", .max_validity_s = (int64_t)90 * 86400, .per_hour = 1000, .profiles = {profiles, 1}};
    return in;
}

static void each_ceiling_holds_and_only_an_officer_changes_it(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    static const char *suffixes[] = {"example.org"}, *networks[] = {"192.0.2.0/24"};
    struct wire_signer_ceilings_set *in = ceilings(f);
    in->permitted_dns = (struct wire_texts){suffixes, 1};
    in->permitted_ip = (struct wire_texts){networks, 1};
    ask(f, "hub", WIRE_signer_ceilings_set, in);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
    must_ask(f, "officer", WIRE_signer_ceilings_set, in);
    fixture_reopen(f);

    struct wire_signer_issue w = issue_wish(f, "n1", "www.example.com");
    refuse(f, &w, E_CEILING);
    w = issue_wish(f, "n2", "badexample.org");
    refuse(f, &w, E_CEILING);
    w = issue_wish(f, "n3", "*.example.org");
    issue(f, &w);

    struct bytes outside = BYTES_LIT("\xc0\x00\x03\x01"), inside = BYTES_LIT("\xc0\x00\x02\x01");
    w = issue_wish(f, "i1", "www.example.org");
    w.ip_addresses = (struct wire_blobs){&outside, 1};
    refuse(f, &w, E_CEILING);
    w.ip_addresses = (struct wire_blobs){&inside, 1};
    issue(f, &w);

    w = issue_wish(f, "v1", "www.example.org");
    w.validity_s = (int64_t)90 * 86400 + 1;
    refuse(f, &w, E_CEILING);
    w = issue_wish(f, "p1", "www.example.org");
    w.profile = WIRE_signer_issue_profile_tls_mutual;
    refuse(f, &w, E_CEILING);
    w = issue_wish(f, "f1", "www.example.org");
    w.ca = CA_NAME_FLEET;
    refuse(f, &w, E_CEILING);
    w.ca = "root"; /* stands above others: no profile */
    refuse(f, &w, E_CEILING);
}

static void certificates_an_hour_are_counted_across_restarts_and_clocks(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_ceilings_set *in = ceilings(f);
    in->per_hour = 2;
    f->offset += 8000;
    must_ask(f, "officer", WIRE_signer_ceilings_set, in);
    struct wire_signer_issue a = issue_wish(f, "a", "a.example.org"), b = issue_wish(f, "b", "b.example.org"),
                             c = issue_wish(f, "c", "c.example.org");
    issue(f, &a);
    fixture_reopen(f);
    issue(f, &b);
    refuse(f, &c, E_CEILING);
    issue(f, &a); /* a replay is no new one */
    f->offset -= 7200;
    refuse(f, &c, E_CEILING);
    f->offset += 7200 + 3700;
    issue(f, &c);
}

static void a_batch_stays_within_the_ceiling_of_the_hour(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_ceilings_set *in = ceilings(f);
    in->per_hour = 3;
    must_ask(f, "officer", WIRE_signer_ceilings_set, in);
    struct wire_signer_issue wishes[5];
    struct wire_signer_issued outs[5] = {0};
    struct work works[5];
    int good = 0;
    for (int i = 0; i < 5; i++) {
        wishes[i] = issue_wish(f, arena_printf(&f->ctx.arena, "r%d", i), "www.example.org");
        works[i] = (struct work){.ctx = &f->ctx, .type = WIRE_signer_issue, .from = "hub", .in = &wishes[i], .out = &outs[i]};
    }
    signer_work(f->s, works, 5);
    for (int i = 0; i < 5; i++)
        good += rc_ok(works[i].rc);
    assert_int_equal(good, 3);
}

static void the_same_request_twice_in_a_batch_is_one_certificate(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue wish = issue_wish(f, "r", "www.example.org");
    struct wire_signer_issued outs[3] = {0};
    struct work works[3];
    for (int i = 0; i < 3; i++)
        works[i] = (struct work){.ctx = &f->ctx, .type = WIRE_signer_issue, .from = "hub", .in = &wish, .out = &outs[i]};
    signer_work(f->s, works, 3);
    for (int i = 0; i < 3; i++)
        assert_true(rc_ok(works[i].rc) && bytes_equal(outs[i].certificate, outs[0].certificate));
    assert_true(outs[1].replayed && outs[2].replayed);
}

static void name_constraints_bind_the_ca_and_what_it_issues(void **state)
{
    struct fixture *f = *state;
    static const char *corp[] = {"corp.example"};
    make_ca(f, "root", "", 2);
    struct wire_signer_ca_create in = ca_wish("middle", "root", 1), below = ca_wish("issuing", "middle", 0);
    in.permitted_dns = (struct wire_texts){corp, 1};
    must_ask(f, "hub", WIRE_signer_ca_create, &in);
    must_ask(f, "hub", WIRE_signer_ca_create, &below);
    struct wire_signer_issue w = issue_wish(f, "n1", "www.example.org");
    refuse(f, &w, E_CEILING);
    w = issue_wish(f, "n2", "www.corp.example");
    struct wire_signer_issued *out = issue(f, &w);
    assert_int_equal(out->chain.n, 2);
}

static void path_lengths_are_kept(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_ca_create below = ca_wish("below", "issuing", 0), long_one = ca_wish("long", "root", 1),
                                 fleet = ca_wish("under-fleet", CA_NAME_FLEET, 0);
    ask(f, "hub", WIRE_signer_ca_create, &below);
    assert_int_equal(f->rc.e, E_CEILING);
    ask(f, "hub", WIRE_signer_ca_create, &long_one);
    assert_int_equal(f->rc.e, E_CEILING);
    make_ca(f, CA_NAME_FLEET, "", 0);
    ask(f, "hub", WIRE_signer_ca_create, &fleet);
    assert_int_equal(f->rc.e, E_CEILING);
}

static void weak_keys_are_refused(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    /* RSA with 1,024 bits: 30819f 300d 06092a864886f70d0101010500 03818d00 308189 02818100 …  0203010001 */
    uint8_t spki[162] = {0x30, 0x81, 0x9f, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
                         0x01, 0x05, 0x00, 0x03, 0x81, 0x8d, 0x00, 0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00};
    for (int i = 29; i < 157; i++)
        spki[i] = (uint8_t)(0xc1 + 7 * i);
    static const uint8_t exponent[5] = {0x02, 0x03, 0x01, 0x00, 0x01};
    memcpy(spki + 157, exponent, sizeof exponent);
    spki[29] |= 0x80;
    spki[156] |= 1;
    struct wire_signer_issue w = issue_wish(f, "w1", "www.example.org");
    w.spki = bytes_of(spki, sizeof spki);
    refuse(f, &w, E_WEAK_KEY);
}

static void strange_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue w = issue_wish(f, "", "www.example.org");
    refuse(f, &w, E_INVALID);
    w = issue_wish(f, "s1", "www..example.org");
    refuse(f, &w, E_INVALID);
    w = issue_wish(f, "s2", "www.example.org");
    w.common_name = "other.example.org";
    refuse(f, &w, E_POLICY);
    w = issue_wish(f, "s3", "www.example.org");
    w.dns_names.n = 0;
    refuse(f, &w, E_LINT);
    w = issue_wish(f, "s4", "www.example.org");
    w.ca = "nobody";
    refuse(f, &w, E_NOT_FOUND);
}

static void fleet_certificates_come_from_the_fleet_ca_alone(void **state)
{
    struct fixture *f = *state;
    make_ca(f, CA_NAME_FLEET, "", 0);
    static const char *names[] = {"hub.example.org"};
    struct wire_signer_issue_fleet hub = {.request_id = "h1",
                                          .kind = WIRE_signer_issue_fleet_kind_hub,
                                          .id = "hub",
                                          .spki = new_spki(f),
                                          .dns_names = {names, 1},
                                          .validity_s = (int64_t)90 * 86400};
    struct wire_signer_issue_fleet agent = {.request_id = "g1",
                                            .kind = WIRE_signer_issue_fleet_kind_agent,
                                            .id = "web1",
                                            .spki = new_spki(f),
                                            .validity_s = (int64_t)90 * 86400};
    struct wire_signer_issued *out = must_ask(f, "hub", WIRE_signer_issue_fleet, &hub);
    struct cert cert = read_cert(f, out->certificate);
    assert_true(cert_covers(&cert, BYTES_LIT("hub.example.org")));
    assert_int_equal(out->chain.n, 0);
    out = must_ask(f, "hub", WIRE_signer_issue_fleet, &agent);
    cert = read_cert(f, out->certificate);
    assert_int_equal(cert.eku, EKU_CLIENT);
    assert_string_equal(cert.subject.common_name, "web1");
    agent.request_id = "g2";
    agent.dns_names = (struct wire_texts){names, 1};
    ask(f, "hub", WIRE_signer_issue_fleet, &agent);
    assert_int_equal(f->rc.e, E_CEILING);
}

static void an_end_beyond_the_cas_own_is_brought_back_to_it(void **state)
{
    struct fixture *f = *state;
    struct wire_signer_ca_create root = ca_wish("issuing", "", 0);
    root.validity_s = (int64_t)20 * 86400;
    must_ask(f, "hub", WIRE_signer_ca_create, &root);
    struct wire_signer_issue w = issue_wish(f, "a1", "www.example.org");
    struct wire_signer_issued *out = issue(f, &w);
    struct cert cert = read_cert(f, out->certificate);
    assert_int_equal(cert.not_after, state_find_ca(f->s, "issuing")->cert.not_after);
    f->offset += (int64_t)20 * 86400;
    w = issue_wish(f, "a2", "www.example.org");
    refuse(f, &w, E_CONFLICT);
}

static void old_requests_leave_the_journal_and_their_serials_stay(void **state)
{
    struct fixture *f = *state;
    make_cas(f);
    struct wire_signer_issue old = issue_wish(f, "old", "www.example.org"), young = issue_wish(f, "young", "www.example.org");
    old.validity_s = (int64_t)90 * 86400;
    struct wire_signer_issued *out = issue(f, &old);
    struct cert cert = read_cert(f, out->certificate);
    f->offset += (int64_t)31 * 86400;
    out = issue(f, &young);
    struct bytes kept = arena_bytes(&f->ctx.arena, out->certificate);
    assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    fixture_reopen(f);
    uint8_t key[INDEX_KEY_LEN];
    assert_true(rc_ok(index_key(&f->ctx, 'i', BYTES_LIT("old"), (struct bytes){0}, key)));
    assert_null(index_find(&f->s->requests, key));
    struct wire_signer_revoke revoke = {.request_id = "v", .ca = "issuing", .serial = cert.serial, .reason = 4};
    must_ask(f, "hub", WIRE_signer_revoke, &revoke);
    assert_true(bytes_equal(issue(f, &young)->certificate, kept));
    assert_int_equal(state_find_ca(f->s, "issuing")->f.issued, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNER_TEST(an_issued_certificate_is_believed_for_its_name),
        SIGNER_TEST(a_replay_gets_the_same_bytes_also_after_a_restart),
        SIGNER_TEST(a_request_id_is_good_for_one_certificate),
        SIGNER_TEST(killed_anywhere_it_finishes_what_it_began_with_the_same_serial),
        SIGNER_TEST(a_full_disk_refuses_to_sign_and_says_so),
        SIGNER_TEST(each_ceiling_holds_and_only_an_officer_changes_it),
        SIGNER_TEST(certificates_an_hour_are_counted_across_restarts_and_clocks),
        SIGNER_TEST(a_batch_stays_within_the_ceiling_of_the_hour),
        SIGNER_TEST(the_same_request_twice_in_a_batch_is_one_certificate),
        SIGNER_TEST(name_constraints_bind_the_ca_and_what_it_issues),
        SIGNER_TEST(path_lengths_are_kept),
        SIGNER_TEST(weak_keys_are_refused),
        SIGNER_TEST(strange_requests_are_refused),
        SIGNER_TEST(fleet_certificates_come_from_the_fleet_ca_alone),
        SIGNER_TEST(an_end_beyond_the_cas_own_is_brought_back_to_it),
        SIGNER_TEST(old_requests_leave_the_journal_and_their_serials_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
