/* CPU time of the signer for one P-256 certificate (key checks, building, lint, two journal records, signature), beside the same
 * number of bare signatures in the same run.  Waiting for the disk is not CPU time. */
#include "../unit/signer/signer_fixture.h"

#include <sys/resource.h>

#define ROUNDS 2048
#define BATCH  64

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec * 1e6 + (double)u.ru_utime.tv_usec;
}

int main(void)
{
    void *state = NULL;
    fixture_setup(&state);
    struct fixture *f = state;
    make_cas(f);
    static struct wire_signer_issue wishes[ROUNDS];
    static struct wire_signer_issued outs[BATCH];
    for (size_t i = 0; i < ROUNDS; i++)
        wishes[i] = issue_wish(f, arena_printf(&f->ctx.arena, "r%zu", i), "www.example.org");
    double start = cpu_us();
    for (size_t i = 0; i < ROUNDS; i += BATCH) {
        struct ctx ctxs[BATCH];
        struct work works[BATCH];
        for (size_t k = 0; k < BATCH; k++) {
            ctx_init(&ctxs[k], &f->clock);
            outs[k] = (struct wire_signer_issued){0};
            works[k] =
                (struct work){.ctx = &ctxs[k], .type = WIRE_signer_issue, .from = "hub", .in = &wishes[i + k], .out = &outs[k]};
        }
        signer_work(f->s, works, BATCH);
        for (size_t k = 0; k < BATCH; k++) {
            if (rc_failed(works[k].rc))
                printf("%s\n", ctx_why(&ctxs[k]));
            ctx_free(&ctxs[k]);
        }
    }
    double issue = (cpu_us() - start) / ROUNDS;
    struct key *key KEY_CLEANUP = NULL;
    assert_true(rc_ok(key_generate(&f->ctx, KEY_EC_P256, &key)));
    uint8_t tbs[500] = {1};
    start = cpu_us();
    for (size_t i = 0; i < ROUNDS; i++) {
        struct bytes signature;
        assert_true(rc_ok(key_sign(&f->ctx, key, bytes_of(tbs, sizeof tbs), &signature)));
    }
    double sign = (cpu_us() - start) / ROUNDS;
    printf("signer: %.1f us of CPU an issuance (P-256, batches of %d); %.1f us a bare signature\n", issue, BATCH, sign);
    fixture_teardown(&state);
    return 0;
}
