/* Scans once and prints what is found, a line an endpoint: for the figures of tools/bench_scan.py, and to look at a server by hand.
 *
 *     scan_once [-a] [-b] [-d] [-v] [-r RATE] [-n IN_FLIGHT] [-c CONNECT_MS] [-t ANSWER_MS] [-q] PORT[/PROTOCOL] TARGET…
 *     -a tell all; -b both keys; -d details; -v verify; -q the sums alone */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/probe/scan.h"

struct options {
    bool all, quiet;
};

static bool print(void *arg, const struct scan_result *r)
{
    const struct options *o = arg;
    ARENA_CLEANUP struct arena a = {0};
    if (o->quiet || (!o->all && r->state != SCAN_TLS))
        return true;
    printf("%s %s %s", address_port_str(&a, &r->address), *r->name ? r->name : "-", scan_state_name(r->state));
    if (r->state == SCAN_ALERT)
        printf(" %d", r->alert);
    for (size_t i = 0; i < r->chains_n; i++) {
        const struct scan_chain *c = &r->chains[i];
        size_t n = 0;
        for (size_t k = 0; k < c->n; k++)
            n += c->v[k].n;
        printf(" [%zu certificates, %zu bytes, %s %s %s]", c->n, n, c->version, c->cipher, c->group);
    }
    for (size_t i = 0; i < r->versions_n; i++)
        printf(" %s", r->versions[i]);
    for (size_t i = 0; i < r->groups_n; i++)
        printf(" %s", r->groups[i]);
    if (r->alpn.n > 0)
        printf(" alpn=%s", arena_str(&a, r->alpn));
    printf("%s%s%s %s\n", r->ocsp.n > 0 ? " ocsp" : "", r->asks_certificate ? " asks" : "", r->verified ? " verified" : "",
           r->detail);
    return true;
}

int main(int argc, char **argv)
{
    CTX_CLEANUP struct ctx ctx;
    struct options o = {0};
    struct cidr all[3];
    struct scan_port port;
    struct scan_spec spec = {.granted = all, .granted_n = 3, .ports = &port, .ports_n = 1, .seed = 1};
    struct scan *scan;
    struct rusage use;
    ctx_init(&ctx, &clock_system);
    for (int c; (c = getopt(argc, argv, "abdvqr:n:c:t:h:")) != -1;) {
        spec.both_keys = spec.both_keys || c == 'b';
        spec.details = spec.details || c == 'd';
        spec.verify = spec.verify || c == 'v';
        o.all = o.all || c == 'a';
        o.quiet = o.quiet || c == 'q';
        if (c == 'r')
            spec.rate = (unsigned)strtoul(optarg, NULL, 10);
        if (c == 'n')
            spec.in_flight = (unsigned)strtoul(optarg, NULL, 10);
        if (c == 'h')
            spec.per_host = (unsigned)strtoul(optarg, NULL, 10);
        if (c == 'c')
            spec.connect_ms = (int)strtol(optarg, NULL, 10);
        if (c == 't')
            spec.answer_ms = (int)strtol(optarg, NULL, 10);
    }
    struct scan_target *targets = arena_array(&ctx.arena, (size_t)argc, sizeof *targets);
    struct rc rc = optind + 1 < argc ? scan_port_parse(&ctx, argv[optind], &port) : ctx_fail(&ctx, E_USAGE, "PORT TARGET…");
    for (int i = optind + 1; rc_ok(rc) && i < argc; i++)
        rc = scan_target_parse(&ctx, argv[i], &targets[spec.targets_n++]);
    spec.targets = targets;
    if (!cidr_parse(BYTES_LIT("0.0.0.0/0"), &all[0]) || !cidr_parse(BYTES_LIT("::/0"), &all[1]) ||
        !cidr_parse(BYTES_LIT("::1/128"), &all[2]))
        return 1;
    const int64_t begin = clock_mono_us();
    if (rc_ok(rc))
        rc = scan_new(&ctx, &spec, &scan);
    while (rc_ok(rc) && !scan_is_done(scan))
        rc = scan_run(&ctx, scan, clock_mono_ms() + 1000, print, &o);
    if (rc_failed(rc)) {
        fprintf(stderr, "%s\n", ctx_why(&ctx));
        return 1;
    }
    const struct scan_counts n = scan_counts(scan);
    const double s = (double)(clock_mono_us() - begin) / 1e6;
    getrusage(RUSAGE_SELF, &use);
    const double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
                       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    printf("probed %lu found %lu silent %lu refused %lu failed %lu skipped %lu connections %lu seconds %.3f cpu_us %.2f rss_kib "
           "%ld\n", n.probed, n.found, n.silent, n.refused, n.failed, n.skipped, n.connections, s,
           cpu / (double)(n.probed ? n.probed : 1), use.ru_maxrss);
    scan_free(scan);
    return 0;
}
