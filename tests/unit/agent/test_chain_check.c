/* Chains from a CA that lies. */
#include "../signer/signer_fixture.h"

#include "agent/relay/chain_check.h"
#include "base/encode.h"

/* A real CA of ours plays the one that lies: it is asked for the wrong things. */
struct scene {
    struct fixture *f;
    struct bytes csr, spki;
    const char **names;
};

static const char *two[] = {"dns:www.example.org", "dns:example.org"};

static struct scene scene_of(struct fixture *f)
{
    struct scene s = {.f = f, .names = two};
    struct key *key KEY_CLEANUP = NULL;
    struct name_list list;
    make_cas(f);
    assert_true(rc_ok(key_generate(&f->ctx, KEY_EC_P256, &key)) && rc_ok(name_list_parse(&f->ctx, two, 2, &list)));
    assert_true(rc_ok(csr_build(&f->ctx, key, &list, NULL, &s.csr)));
    s.spki = arena_bytes(&f->ctx.arena, key_spki(key));
    return s;
}

static struct wire_signer_issued *issued(struct scene *s, const char *id, struct bytes spki, const char **names, size_t n)
{
    struct wire_signer_issue in = issue_wish(s->f, id, "");
    in.spki = spki;
    in.dns_names = (struct wire_texts){names, n};
    return must_ask(s->f, "hub", WIRE_signer_issue, &in);
}

static struct bytes pem_of(struct scene *s, struct bytes first, struct bytes second)
{
    struct bytes ders[] = {first, second};
    struct cert_chain chain;
    struct buf b;
    buf_init_arena(&b, &s->f->ctx.arena, 65536);
    assert_true(rc_ok(cert_chain_parse_der(&s->f->ctx, ders, 2, &chain)));
    cert_chain_put_pem(&b, &chain);
    return buf_bytes(&b);
}

static void refuse(struct scene *s, struct bytes pem, const char *words)
{
    struct cert_chain chain;
    ctx_forget(&s->f->ctx);
    assert_int_equal(relay_chain_check(&s->f->ctx, pem, s->csr, s->names, 2, &chain).e, E_BAD_CERTIFICATE);
    if (strstr(ctx_why(&s->f->ctx), words) == NULL)
        print_message("%s\n", ctx_why(&s->f->ctx));
    assert_non_null(strstr(ctx_why(&s->f->ctx), words));
}

static void the_right_chain_is_taken_and_the_wrong_ones_are_not(void **state)
{
    static const char *names[] = {"www.example.org", "example.org", "evil.example"};
    struct scene s = scene_of(*state);
    struct cert_chain chain;
    struct wire_signer_issued *good = issued(&s, "a", s.spki, names, 2);
    struct bytes issuer = good->chain.v[0];
    assert_true(rc_ok(relay_chain_check(&s.f->ctx, pem_of(&s, good->certificate, issuer), s.csr, s.names, 2, &chain)));
    assert_true(relay_chain_is(&s.f->ctx, &chain, "root", ""));
    assert_false(relay_chain_is(&s.f->ctx, &chain, "issuing", ""));
    /* By the hash of a CA's key: one of the chain, or the root that is trusted and not in it. */
    struct bytes spki = bytes_of(chain.v[1].spki_sha256, 32);
    assert_true(relay_chain_is(&s.f->ctx, &chain, arena_printf(&s.f->ctx.arena, "sha256:%s", hex_str(&s.f->ctx.arena, spki)), ""));
    spki = bytes_of(chain.v[0].spki_sha256, 32);
    assert_false(relay_chain_is(&s.f->ctx, &chain, arena_printf(&s.f->ctx.arena, "sha256:%s", hex_str(&s.f->ctx.arena, spki)), ""));
    assert_false(relay_chain_is(&s.f->ctx, &chain, "sha256:zz", ""));

    struct wire_signer_issued *other = issued(&s, "b", new_spki(s.f), names, 2);
    refuse(&s, pem_of(&s, other->certificate, issuer), "another key");
    other = issued(&s, "c", s.spki, names, 1);
    refuse(&s, pem_of(&s, other->certificate, issuer), "lacks the name example.org");
    other = issued(&s, "d", s.spki, names, 3);
    refuse(&s, pem_of(&s, other->certificate, issuer), "evil.example");
    struct wire_signer_ca_show show = {.ca = "root"};
    struct wire_signer_ca *root = must_ask(s.f, "hub", WIRE_signer_ca_show, &show);
    refuse(&s, pem_of(&s, good->certificate, root->certificate), "broken");
    uint8_t *bent = arena_dup(&s.f->ctx.arena, good->certificate.p, good->certificate.n);
    bent[good->certificate.n - 1] ^= 1;
    refuse(&s, pem_of(&s, bytes_of(bent, good->certificate.n), issuer), "signature");
    refuse(&s, BYTES_LIT("no certificate at all"), "no chain");
    struct buf many;
    buf_init_arena(&many, &s.f->ctx.arena, 1 << 20);
    for (int i = 0; i < 6; i++)
        buf_put(&many, pem_of(&s, good->certificate, issuer));
    refuse(&s, buf_bytes(&many), "at most 10");
    s.f->offset += (int64_t)31 * 86400;
    refuse(&s, pem_of(&s, good->certificate, issuer), "expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNER_TEST(the_right_chain_is_taken_and_the_wrong_ones_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
