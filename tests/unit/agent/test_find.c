/* Places found by description: what is said where, what holds around it, and what is passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/find.h"

struct look {
    struct ctx ctx;
    struct connector c;
    struct find_place *places;
    size_t n;
    struct rc rc;
};

static void look_done(struct look *l) { ctx_free(&l->ctx); }
#define LOOK __attribute__((cleanup(look_done))) struct look

static void look(struct look *l, const char *description, const char *text)
{
    *l = (struct look){0};
    ctx_init(&l->ctx, &clock_system);
    const char *all = arena_printf(&l->ctx.arena,
                                   "connector: x\nparameters: {c: {type: path}, k: {type: path}, n: {type: name}}\ndiscover:\n"
                                   "  command: d\n%s",
                                   description);
    if (rc_failed(connector_parse(&l->ctx, "x.yaml", bytes_z(all), &l->c)))
        fail_msg("%s", ctx_why(&l->ctx));
    l->rc = find_places(&l->ctx, &l->c, l->c.find, bytes_z(text), &l->places, &l->n);
}

/* "c=/a k=/b | name name | address:port starttls …" for each place, a line each. */
static const char *told(struct look *l)
{
    struct buf b;
    buf_init_arena(&b, &l->ctx.arena, 65536);
    if (rc_failed(l->rc))
        return ctx_why(&l->ctx);
    for (const struct find_place *p = l->places; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->n_params; i++)
            buf_printf(&b, "%s%s=%s", i > 0 ? " " : "", p->names_of[i], p->values[i]);
        buf_put_z(&b, " |");
        for (size_t i = 0; i < p->names.n; i++)
            buf_printf(&b, " %s", p->names.v[i]);
        buf_put_z(&b, " |");
        for (size_t i = 0; i < p->n_ends; i++)
            buf_printf(&b, " %s:%d%s%s", p->ends[i].address, p->ends[i].port, *p->ends[i].starttls != '\0' ? "/" : "",
                       p->ends[i].starttls);
        buf_put_z(&b, "\n");
    }
    return buf_z(&b);
}

#define FLAT "  parameters: {c: cert, k: key}\n"

static void what_stands_in_a_configuration_is_found(void **state)
{
    static const struct {
        const char *description, *text, *says;
    } rows[] = {
        /* Words, quotes, comments, the last line without its end. */
        {FLAT, "cert /a\nkey /b", "c=/a k=/b | |\n"},
        {FLAT, "cert \"/a b\" # no\n#key /x\n  key '/it''s'\n", "c=/a b k=/its | |\n"},
        {FLAT, "cert /a\n", ""},
        {FLAT, "CERT /a\nkey /b\n", ""},
        {"  text: {nocase: true}\n" FLAT, "CERT /a\r\nKey /b\r\n", "c=/a k=/b | |\n"},
        /* Paths that would have to be worked out are not offered, nor two contents in one file. */
        {FLAT, "cert ${dir}/a\nkey /b\n", ""},
        {FLAT, "cert /x/../a\nkey /b\n", ""},
        {FLAT, "cert a\nkey /b\n", ""},
        {FLAT, "cert /a\nkey /a\n", ""},
        {"  parameters: [{c: cert, k: key}, {c: cert}]\n", "cert /a\nkey /a\n", "c=/a | |\n"},
        {"  base: dir\n" FLAT, "dir /etc\ncert a\nkey tls/b\n", "c=/etc/a k=/etc/tls/b | |\n"},
        {"  base: [dir, \"=/usr\"]\n" FLAT, "cert a\nkey tls/b\n", "c=/usr/a k=/usr/tls/b | |\n"},
        /* Keys and values. */
        {"  text: {assign: \"=\"}\n" FLAT, "cert=/a\nkey  =  \"/b=c\"\n", "c=/a k=/b=c | |\n"},
        {"  text: {assign: \":\"}\n" FLAT, "cert: /a\nkey: /b\n", "c=/a k=/b | |\n"},
        {"  text: {assign: \"=\"}\n" FLAT, "cert = </a\nkey = file:/b;\n", "c=/a k=/b | |\n"},
        {"  text: {options: true}\n" FLAT, "it would start with:\n--cert=/a --x --key=/b\n", "c=/a k=/b | |\n"},
        {"  text: {assign: \"=\", continued: indent}\n  parameters: {c: chain 2, k: chain 1}\n", "chain = /k,\n   /c\n",
         "c=/c k=/k | |\n"},
        {"  text: {continued: backslash}\n" FLAT, "cert \\\n /a\nkey /b\\\n", "c=/a k=/b | |\n"},
        /* Conditions. */
        {"  when: {tls: [\"on\", \"yes\"]}\n" FLAT, "cert /a\nkey /b\n", ""},
        {"  when: {tls: [\"on\", \"yes\"]}\n" FLAT, "tls no\ncert /a\nkey /b\n", ""},
        {"  when: {tls: [\"on\", \"yes\"]}\n" FLAT, "tls YES\ncert /a\nkey /b\n", "c=/a k=/b | |\n"},
        {"  when: {tls: null}\n" FLAT, "tls whatever\ncert /a\nkey /b\n", "c=/a k=/b | |\n"},
        /* Blocks: what the place does not say holds from around it; what is in no block of this kind is not its own. */
        {"  text: {blocks: angle}\n  places: [V]\n" FLAT, "cert /a\n<V x>\nkey /b\n</V>\n<V y>\n</V>\n", "c=/a k=/b | |\n"},
        {"  text: {blocks: angle}\n  places: [V]\n  through: [If]\n" FLAT, "<V x>\n<If y>\ncert /a\n</If>\n<No>\nkey /x\n</No>\nkey /b\n</V>\n",
         "c=/a k=/b | |\n"},
        {"  text: {blocks: brace, assign: \"=\"}\n  places: [h]\n" FLAT, "h == \"x{}\" { cert = /a\nkey = /b }\nh {cert=/c}\n", "c=/a k=/b | |\n"},
        {"  text: {headings: [g, f]}\n  places: [b]\n  base: g/base\n  parameters: {c: b crt}\n  listen: [{at: b 1}]\n",
         "g\n base /e\nf one\n b :1 ssl crt x crt y\n b :2 ssl crt x\n", "c=/e/x | | 127.0.0.1:1 127.0.0.1:2\nc=/e/y | | 127.0.0.1:1\n"},
        {"  places: [b]\n  parameters: {c: b crt}\n", "b :1 crt /x\nb :2\n", "c=/x | |\n"},
        {"  text: {blocks: angle}\n  places: [V]\n  alone: true\n" FLAT, "cert /a\nkey /b\n<V x>\nkey /c\n</V>\n", "c=/a k=/b | |\n"},
        /* Several of each belong together in their order; one too few is nothing to be offered. */
        {FLAT, "cert /a\ncert /b\nkey /c\nkey /d\n", "c=/a k=/c | |\nc=/b k=/d | |\n"},
        {FLAT, "cert /a\ncert /b\nkey /c\n", "c=/a k=/c | |\n"},
        /* A folder stands for what is said to be in it. */
        {"  parameters: {c: cert}\n", "cert /d/\n# there is /d/x:\n# there is /d/y:\n# there is /d/e/z:\n# there is /dd/z:\n",
         "c=/d/x | |\nc=/d/y | |\n"},
        /* Configurations of their own. */
        {"  base: dir\n  parameters: {c: cert}\n", "# configuration begins /1:\ndir /x\ncert a\n# configuration begins /2:\ndir /y\ncert a\n",
         "c=/x/a | |\nc=/y/a | |\n"},
        /* Names. */
        {"  names: [name]\n" FLAT,
         "cert /a\nkey /b\nname a.example.org. https://b.example.org:443/ *.c.example.org _ localhost ~x d..e x*.f.g -h.i a.example.org\n",
         "c=/a k=/b | a.example.org b.example.org *.c.example.org |\n"},
        /* Addresses. */
        {"  listen: [{at: l}]\n" FLAT,
         "cert /a\nkey /b\nl *:1 [::]:1 [::]:2 *:2 :3 4 ipv4@10.0.0.1:5,ipv6@[::1]:6 unix@/x /run/x.sock h.example.org:7 0 99999 1.2.3.4:0 "
         "a/b:8 https://w.example.org:9/\n",
         "c=/a k=/b | | 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 127.0.0.1:4 10.0.0.1:5 ::1:6 h.example.org:7 w.example.org:9\n"},
        {"  listen: [{port: p, address: a, starttls: smtp}, {port: \"=465\", when: {w: null}}, {port: q, otherwise: true}]\n" FLAT,
         "cert /a\nkey /b\np 25\nq 1\na 127.0.0.1 -::1 10.0.0.1,::\n",
         "c=/a k=/b | | 127.0.0.1:25/smtp 10.0.0.1:25/smtp\n"},
        {"  listen: [{port: p}, {port: q, otherwise: true}]\n" FLAT, "cert /a\nkey /b\nq 1\n", "c=/a k=/b | | 127.0.0.1:1\n"},
        /* URLs of a scheme, with and without a port, and several in one word. */
        {"  text: {assign: \":=\"}\n  listen: [{at: s, scheme: ldap, usual: 389, starttls: ldap}, {at: s, scheme: ldaps, usual: 636}]\n" FLAT,
         "cert: /a\nkey: /b\ns=\"ldap:/// ldapi:/// LDAPS://10.0.0.1 ldap://[::1]:1/ ldaps://h.example.org:2/ ldap://h:x\"\n",
         "c=/a k=/b | | 127.0.0.1:389/ldap ::1:1/ldap 10.0.0.1:636 h.example.org:2\n"},
        /* Conditions of a set, what is not said, and what it can do without. */
        {"  parameters: [{when: {t: [\"1\", \"\"]}, c: cert, perhaps: {k: key, n: name}}, {k: cert}]\n",
         "# configuration begins /1:\ncert /a\n# configuration begins /2:\nt 1\ncert /b\nkey /c\nname x\n"
         "# configuration begins /3:\nt 2\ncert /d\nkey /e\n",
         "c=/a | |\nc=/b k=/c n=x | |\nk=/d | |\n"},
        /* Words that are made of others. */
        {"  base: \"={folder}/x\"\n  parameters: {c: cert, k: \"={c.stem}.key\"}\n",
         "# configuration begins /e/f/g.conf:\ncert a.pem b.pem /c.d/no /.hidden .h\n",
         "c=/e/f/x/a.pem k=/e/f/x/a.key | |\nc=/e/f/x/b.pem k=/e/f/x/b.key | |\nc=/c.d/no k=/c.d/no.key | |\nc=/.hidden k=/.hidden.key | "
         "|\nc=/e/f/x/.h k=/e/f/x/.h.key | |\n"},
        {"  parameters: {c: cert, k: \"={folder.up}/k/{c.name}\"}\n", "# configuration begins /e/f/g.conf:\ncert /a/b.pem\n",
         "c=/a/b.pem k=/e/k/b.pem | |\n"},
        {"  parameters: {c: cert, k: \"={folder.up}/k/{c.name}\"}\n", "# configuration begins /g.conf:\ncert /a/b.pem\n", ""},
        {"  parameters: {c: cert, k: \"={folder}/k\"}\n", "cert /a/b.pem\n", ""},
        {"  text: {assign: \"=\", commas: true}\n  parameters: {c: certs}\n", "certs=/a,/b , \"/c,d\",,/e,\n,\n",
         "c=/a | |\nc=/b | |\nc=/c,d | |\nc=/e | |\n"},
        /* Blocks by the beginning of their names. */
        {"  text: {blocks: brace, assign: \"=\"}\n  places: [\"local*\"]\n  through: [\"cert*\"]\n  alone: true\n  names: [id]\n"
         "  parameters: {c: [certs, file]}\n",
         "conn { local_addrs = 1\n local-1 { certs = /a, /b\n id = g.example.org }\n local { cert1 { file = /c }\n}\nremote { certs = /d }\n}\n",
         "c=/a | g.example.org |\nc=/b | g.example.org |\nc=/c | |\n"},
        /* Lists of files, with options and names. */
        {"  text: {headings: [g, f]}\n  places: [b]\n  base: g/base\n  listed: {files: b crt-list, parameter: c}\n  parameters: {c: b crt}\n"
         "  listen: [{at: b 1}]\n",
         "# configuration begins /1:\ng\n base /e\nf one\n b :1 ssl crt x crt-list /l\n b :2 crt-list /none\n# configuration begins /l:\n"
         "# a list\ny.pem [alpn h2 verify none] *.example.org !no.example.org\n/z.pem a.example.org [x]\nx\n$y\n",
         "c=/e/x | | 127.0.0.1:1\nc=/e/y.pem | *.example.org | 127.0.0.1:1\nc=/z.pem | a.example.org | 127.0.0.1:1\n"},
        /* JSON; what is linked to a place is about it. */
#define LINKED "  text: {format: json}\n  places: [load]\n  through: [match, sel]\n  linked: {tags: any}\n  names: [sni]\n  listen: [{at: listen}]\n"
        {LINKED "  parameters: {c: certificate, k: key}\n",
         "{\"s\":{\"a\":{\"listen\":[\":1\",\"tcp/10.0.0.1:2\",\"udp/:3\",\"unix//x\"],\"p\":[{\"match\":{\"sni\":[\"a.example.org\"]},\"sel\":{\"any\":[\"t0\"]}},{}]},"
         "\"b\":{\"listen\":[\":4\"],\"p\":[{}, [[{\"sel\":{\"any\":\"t1\"}}]]]}},\"load\":[{\"certificate\":\"/a\",\"key\":\"/b\",\"tags\":[\"t0\"]},"
         "{\"certificate\":\"/c\",\"key\":\"/d\",\"tags\":[\"t1\", 5, null, true, 1.5]},{\"certificate\":\"/e\",\"key\":\"/f\"}]}",
         "c=/a k=/b | a.example.org | 127.0.0.1:1 10.0.0.1:2\nc=/c k=/d | | 127.0.0.1:4\nc=/e k=/f | |\n"},
        {"  text: {format: json}\n" FLAT, "# configuration begins /x:\n\n{\"cert\": [\"/a\"],\n\"key\": \"/b\"}\n# there is /y:\n", "c=/a k=/b | |\n"},
        {"  text: {format: json}\n" FLAT, "", ""},
        {"  text: {format: json}\n  places: [\"x\"]\n" FLAT, "[{\"cert\": \"/a\", \"x\": {\"key\": \"/b\"}}]", "c=/a k=/b | |\n"},
        /* XML. */
        {"  text: {format: xml}\n  places: [C]\n  when: {on: [\"true\"]}\n  listen: [{port: port, address: address}]\n" FLAT,
         "\xef\xbb\xbf<?xml version='1.0'?>\n<!DOCTYPE S SYSTEM \"a>b\">\n<S port='8005'><!-- <C on='true' cert='/x' key='/y'/> -->\n"
         "<n port=\"1\" on = 'true' address='10.0.0.1'>text &amp; <h>\n<C\tcert=\"/a&#32;&lt;&#x62;&quot;\"\n key='/b'/></h></n>"
         "<![CDATA[<C on='true' cert='/x' key='/y'/>]]><n on='false'><C cert='/c' key='/d'/></n><ns:C/></S>\n\n",
         "c=/a <b\" k=/b | | 10.0.0.1:1\n"},
        {"  text: {format: xml}\n  places: [c]\n" FLAT, "<C cert='/a' key='/b'/>", ""},
        {"  text: {format: xml, nocase: true}\n  places: [c]\n" FLAT, "<C Cert='/a' KEY='/b'/>", "c=/a k=/b | |\n"},
        /* What is not closed, or closed too often. */
        {"  text: {blocks: angle}\n  places: [V]\n" FLAT, "</V>\n</V>\n<V\ncert \"/a\nkey /b\n<>\n<", "c=/a k=/b | |\n"},
        {"  text: {blocks: brace}\n" FLAT, "}}\ncert /a }\nkey /b\n{ {", "c=/a k=/b | |\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        LOOK l;
        look(&l, rows[i].description, rows[i].text);
        if (strcmp(told(&l), rows[i].says) != 0)
            fail_msg("row %zu:\n%s\n---\n%s--- should be\n%s--- but is\n%s", i, rows[i].description, rows[i].text, rows[i].says,
                     told(&l));
    }
}

/* n times `line`. */
static const char *many(struct ctx *ctx, const char *begin, const char *line, size_t n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, (size_t)64 << 20);
    buf_put_z(&b, begin);
    for (size_t i = 0; i < n; i++)
        buf_put_z(&b, line);
    return buf_z(&b);
}

static void what_is_too_much_is_refused_and_ends_soon(void **state)
{
    static const struct {
        const char *description, *begin, *line;
        size_t n;
        const char *says;
    } rows[] = {
        {FLAT, "", "x\n", CONFIG_LINES_MAX + 1, "lines"},
        {FLAT, "", "x ", CONFIG_WORDS_MAX + 1, "words"},
        {"  text: {blocks: brace}\n" FLAT, "", "a {\n", CONFIG_DEPTH_MAX + 1, "deep"},
        {"  text: {blocks: angle}\n" FLAT, "", "<a>\n", CONFIG_DEPTH_MAX + 1, "deep"},
        {"  text: {format: xml}\n" FLAT, "", "<a>", CONFIG_DEPTH_MAX + 1, "deep"},
        {"  text: {format: xml}\n" FLAT, "<b>", "<a/>", CONFIG_LINES_MAX, "lines"},
        {"  places: [v]\n  listed: {files: v, parameter: c}\n  parameters: {c: w}\n", "# configuration begins /a:\nv /l\n# configuration begins /l:\n",
         "/x\n", 30000, "too large"},
        {FLAT, "", "# configuration begins /x:\n", CONFIG_ROOTS_MAX + 1, "configurations"},
        {"  places: [v]\n" FLAT, "", "v\n", 30000, "too large"},
        {"  places: [v]\n" FLAT, "", "x\nv\n", 19000, "too large"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        LOOK l;
        ctx_init(&ctx, &clock_system);
        look(&l, rows[i].description, many(&ctx, rows[i].begin, rows[i].line, rows[i].n));
        assert_int_equal(l.rc.e, E_TOO_LARGE);
        if (strstr(ctx_why(&l.ctx), rows[i].says) == NULL)
            fail_msg("row %zu: %s", i, ctx_why(&l.ctx));
    }
}

static void a_document_that_is_not_well_formed_is_refused_with_its_line(void **state)
{
    static const char *const bad[] = {
        "<a>", "</a>", "<a></b>", "<a><b></a></b>", "<a", "<a x>", "<a x=1/>", "<a x='1/>", "<a x='1'y='2'/>", "<a x='<'/>", "<a x='&y;'/>",
        "<a x='&'/>", "<a x='&#0;'/>", "<a x='&#xd800;'/>", "<a x='&#x110000;'/>", "<a x='&#;'/>", "<a x='&#1a;'/>", "<a x='&#xffffffffff;'/>",
        "<1/>", "< a/>", "<!-- x", "<![CDATA[ x", "<? x", "<!DOCTYPE a", "<!DOCTYPE a [<!ENTITY x \"y\">]><a/>", "<a x='\xff'/>", "<a / >",
    };
    static const char *const json[] = {"{", "{}x", "{\"a\":1,\"a\":2}", "nothing", "{\"a\":\"\\u0000\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        LOOK l;
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        look(&l, "  text: {format: xml}\n" FLAT, arena_printf(&ctx.arena, "# configuration begins /s.xml:\n<s/>\n%s", bad[i]));
        if (l.rc.e != E_PARSE || strstr(ctx_why(&l.ctx), "/s.xml, line ") == NULL)
            fail_msg("%s: %s", bad[i], told(&l));
    }
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
        LOOK l;
        look(&l, "  text: {format: json}\n" FLAT, json[i]);
        if (rc_ok(l.rc))
            fail_msg("%s is taken", json[i]);
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct str_list beside;
    struct config_text *texts;
    size_t n;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_int_equal(config_text_read(&ctx, &(struct config_syntax){0}, bytes_of("a\0b", 3), &texts, &n, &beside).e, E_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_in_a_configuration_is_found),
        cmocka_unit_test(what_is_too_much_is_refused_and_ends_soon),
        cmocka_unit_test(a_document_that_is_not_well_formed_is_refused_with_its_line),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
