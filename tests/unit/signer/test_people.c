/* Changes by two people: kept by the signer as they were asked, and done once, when somebody has approved their hash. */
#include "signer_fixture.h"

#include "pki/digest.h"
#include "signer/people.h"

static struct wire_signer_ceilings_set ceilings(int64_t per_hour)
{
    static const char *profiles[] = {"tls-server"};
    return (struct wire_signer_ceilings_set){
        .ca = "issuing", .max_validity_s = 86400, .per_hour = per_hour, .profiles = {profiles, 1}};
}

static int64_t per_hour(struct fixture *f)
{
    const struct wire_signer_ceilings_get in = {.ca = "issuing"};
    const struct wire_signer_ceilings *c = must_ask(f, "officer", WIRE_signer_ceilings_get, &in);
    return c->per_hour;
}

static struct wire_signer_proposals *proposals(struct fixture *f)
{
    const struct wire_signer_proposal_list in = {.id = ""};
    return must_ask(f, "hub", WIRE_signer_proposal_list, &in);
}

static enum err protect(struct fixture *f, bool on)
{
    const struct wire_signer_protect in = {.on = on};
    (void)ask(f, "officer", WIRE_signer_protect, &in);
    return f->rc.e;
}

static enum err set(struct fixture *f, int64_t per_hour)
{
    const struct wire_signer_ceilings_set in = ceilings(per_hour);
    (void)ask(f, "officer", WIRE_signer_ceilings_set, &in);
    return f->rc.e;
}

static enum err approve(struct fixture *f, const char *from, struct bytes hash, const char *who)
{
    const struct wire_signer_approve in = {.hash = hash, .approver = who, .request = "r1"};
    (void)ask(f, from, WIRE_signer_approve, &in);
    return f->rc.e;
}

static void begin(struct fixture *f)
{
    make_cas(f);
    assert_int_equal(protect(f, true), E_OK);
}

static void a_change_waits_for_somebody_else_and_is_done_once(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(set(f, 5), E_PENDING);
    assert_int_equal(set(f, 5), E_PENDING); /* the same again is the same one */
    assert_int_equal(per_hour(f), 100000);
    fixture_reopen(f);
    struct wire_signer_proposals *p = proposals(f);
    assert_int_equal(p->ids.n, 1);
    assert_string_equal(p->states.v[0], "open");
    assert_non_null(strstr(p->words.v[0], "certificates an hour: 100000 now, 5 from then on"));
    assert_int_equal(approve(f, "officer", p->hashes.v[0], "anna"), E_FORBIDDEN); /* the officer says nothing of the kind */
    assert_int_equal(approve(f, "hub", p->asked.v[0], "anna"), E_NOT_FOUND);
    assert_int_equal(approve(f, "hub", p->hashes.v[0], ""), E_INVALID);
    assert_int_equal(per_hour(f), 100000);
    assert_int_equal(approve(f, "hub", p->hashes.v[0], "anna"), E_OK);
    assert_int_equal(per_hour(f), 5);
    fixture_reopen(f);
    assert_int_equal(approve(f, "hub", p->hashes.v[0], "anna"), E_OK); /* asked again: it was done */
    p = proposals(f);
    assert_string_equal(p->states.v[0], "done");
    assert_string_equal(p->by.v[0], "anna");
    /* Once: another change since is not undone by the old approval. */
    assert_int_equal(set(f, 7), E_PENDING);
    assert_int_equal(approve(f, "hub", proposals(f)->hashes.v[0], "bert"), E_OK);
    assert_int_equal(approve(f, "hub", p->hashes.v[0], "anna"), E_OK);
    assert_int_equal(per_hour(f), 7);
}

static void two_people_are_needed_to_need_one_again(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(protect(f, true), E_OK);
    assert_int_equal(protect(f, false), E_PENDING);
    assert_int_equal(set(f, 5), E_PENDING);
    struct wire_signer_proposals *p = proposals(f);
    const size_t off = strcmp(p->changes.v[0], "changes of CAs need one person again") == 0 ? 0 : 1;
    assert_int_equal(approve(f, "hub", p->hashes.v[off], "anna"), E_OK);
    assert_int_equal(set(f, 6), E_OK);
    assert_int_equal(per_hour(f), 6);
    /* What it would change is another by now. */
    assert_int_equal(approve(f, "hub", p->hashes.v[1 - off], "anna"), E_CHANGED);
    assert_int_equal(per_hour(f), 6);
}

static void what_was_withdrawn_or_has_expired_is_not_done(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(set(f, 5), E_PENDING);
    struct wire_signer_proposals *p = proposals(f);
    const struct wire_signer_withdraw in = {.id = p->ids.v[0]}, other = {.id = "none"};
    (void)ask(f, "hub", WIRE_signer_withdraw, &in);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
    (void)ask(f, "officer", WIRE_signer_withdraw, &other);
    assert_int_equal(f->rc.e, E_NOT_FOUND);
    must_ask(f, "officer", WIRE_signer_withdraw, &in);
    must_ask(f, "officer", WIRE_signer_withdraw, &in);
    assert_int_equal(approve(f, "hub", p->hashes.v[0], "anna"), E_CONFLICT);
    assert_int_equal(set(f, 5), E_PENDING); /* another one */
    p = proposals(f);
    f->offset += PROPOSAL_LIVES + 1;
    assert_int_equal(approve(f, "hub", p->hashes.v[0], "anna"), E_CONFLICT);
    assert_string_equal(proposals(f)->states.v[0], "expired");
    assert_int_equal(per_hour(f), 100000);
}

static void nothing_is_kept_that_could_not_be_done(void **state)
{
    struct fixture *f = *state;
    begin(f);
    struct wire_signer_ceilings_set in = ceilings(5);
    in.ca = "none";
    (void)ask(f, "officer", WIRE_signer_ceilings_set, &in);
    assert_int_equal(f->rc.e, E_NOT_FOUND);
    const char *wild[] = {"*.example.org"};
    in = ceilings(5);
    in.permitted_dns = (struct wire_texts){wild, 1};
    (void)ask(f, "officer", WIRE_signer_ceilings_set, &in);
    assert_int_equal(f->rc.e, E_INVALID);
    const struct wire_signer_ca_create more = ca_wish("more", "", 0);
    (void)ask(f, "hub", WIRE_signer_ca_create, &more);
    assert_int_equal(f->rc.e, E_FORBIDDEN); /* by the hub alone neither */
    assert_int_equal(proposals(f)->ids.n, 0);
    for (int64_t i = 0; i < PROPOSALS_MAX; i++)
        assert_int_equal(set(f, i), E_PENDING);
    assert_int_equal(set(f, 100), E_CONFLICT);
}

static void proposals_live_through_a_rewritten_journal(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(set(f, 5), E_PENDING);
    assert_int_equal(approve(f, "hub", proposals(f)->hashes.v[0], "anna"), E_OK);
    assert_int_equal(set(f, 6), E_PENDING);
    assert_int_equal(state_compact(&f->ctx, f->s).e, E_OK);
    fixture_reopen(f);
    struct wire_signer_proposals *p = proposals(f);
    assert_int_equal(p->ids.n, 2);
    assert_string_equal(p->states.v[0], "open");
    assert_string_equal(p->by.v[1], "anna");
    assert_int_equal(set(f, 7), E_PENDING); /* still on */
    assert_int_equal(approve(f, "hub", p->hashes.v[0], "bert"), E_OK);
    assert_int_equal(approve(f, "hub", p->hashes.v[1], "anna"), E_OK);
    assert_int_equal(per_hour(f), 6);
    f->offset += REPLAY_S + PROPOSAL_LIVES + 1;
    assert_int_equal(state_compact(&f->ctx, f->s).e, E_OK);
    assert_int_equal(proposals(f)->ids.n, 0);
    assert_int_equal(set(f, 8), E_PENDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_waits_for_somebody_else_and_is_done_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(two_people_are_needed_to_need_one_again, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_was_withdrawn_or_has_expired_is_not_done, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_kept_that_could_not_be_done, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(proposals_live_through_a_rewritten_journal, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
