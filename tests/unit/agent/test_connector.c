/* Connector descriptions: every kind of mistake is refused with file, line and reason; and those that come along have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "agent/connector.h"
#include "agent/find.h"
#include "agent/send_desc.h"

#define P "connector: x\nparameters: {p: {type: path, required: true}, q: {type: path}, c: {type: command}, u: {type: user}}\n"
#define D P "discover:\n  command: d\n"
#define S P "files: [{content: leaf, path: p, mode: \"0644\"}]\nsend:\n"

static const struct {
    const char *text, *says; /* what the message holds; "x.yaml:LINE" first where a line can be told */
} mistakes[] = {
    /* No YAML, or none of ours. */
    {"connector: [\n", "x.yaml:2"},
    {"connector: x\n\tfiles: []\n", "x.yaml:2"},
    {"connector: x\nconnector: y\n", "x.yaml:2: "},
    {"a: &a [x, x]\nb: [*a, *a]\n", "x.yaml:1: "},
    {"connector: !!str x\n", "x.yaml:1: "},
    {"connector: x\n---\nconnector: y\n", "x.yaml:2: "},
    {"- connector\n", "x.yaml: a connector's description must hold"},
    {"", "x.yaml"},
    {"connector: \"\\xff\\x00\"\n", "x.yaml:1"},
    /* The top. */
    {"connector: x\nrun: [/bin/sh]\n", "x.yaml:2: run is not a setting here"},
    {"description: x\n", "connector must be a text"},
    {"connector: 7\n", "x.yaml:1: connector must be a text"},
    {"connector: a/b\n", "x.yaml:1: a/b is not a name"},
    {"connector: x\ndescription: [x]\n", "x.yaml:2: description must be a text"},
    /* Parameters. */
    {"connector: x\nparameters: [p]\n", "x.yaml:2: parameters must be at most 32 names"},
    {"connector: x\nparameters: {p: path}\n", "x.yaml:2: parameter p must hold type"},
    {"connector: x\nparameters: {p: {type: argv}}\n", "x.yaml:2: type must be one of path, command"},
    {"connector: x\nparameters: {p: {}}\n", "x.yaml:2: type must be one of"},
    {"connector: x\nparameters: {p: {type: path, required: maybe}}\n", "x.yaml:2: required must be true or false"},
    {"connector: x\nparameters: {p: {type: path, value: /x}}\n", "x.yaml:2: value is not a setting here"},
    {"connector: x\nparameters: {p: {type: path, default: /x}}\n", "x.yaml:2: parameter p cannot have a default"},
    {"connector: x\nparameters: {p: {type: command, required: true, default: y}}\n", "x.yaml:2: parameter p cannot have a default"},
    {"connector: x\nparameters: {\"p q\": {type: path}}\n", "x.yaml:2: parameter p q must hold"},
    {"connector: x\nparameters:\n  p: {type: path}\n  p: {type: user}\n", "x.yaml:4: "},
    /* Files. */
    {P "files: {content: leaf}\n", "x.yaml:3: files must be a list"},
    {P "files: [leaf]\n", "x.yaml:3: a file must hold content and path"},
    {P "files:\n  - {content: wrong, path: p, mode: \"0644\"}\n", "x.yaml:4: content must be one of"},
    {P "files:\n  - {content: leaf, path: z, mode: \"0644\"}\n", "x.yaml:4: path: no parameter z of type path"},
    {P "files:\n  - {content: leaf, path: u, mode: \"0644\"}\n", "x.yaml:4: path: no parameter u of type path"},
    {P "files:\n  - {content: leaf, path: p, owner: p, mode: \"0644\"}\n", "x.yaml:4: owner: no parameter p of type user"},
    {P "files:\n  - {content: leaf, path: p}\n", "x.yaml:4: mode must be a text"},
    {P "files:\n  - {content: leaf, path: p, mode: 420}\n", "x.yaml:4: mode must be a text"},
    {P "files:\n  - {content: leaf, path: p, mode: \"rw\"}\n", "x.yaml:4: mode must be an octal text"},
    {P "files:\n  - {content: leaf, path: p, mode: \"4755\"}\n", "x.yaml:4: mode must be an octal text"},
    {P "files:\n  - {content: key, path: p, mode: \"0640\"}\n", "x.yaml:4: a file with a key starts readable by its owner alone"},
    {P "files:\n  - {content: combined, path: p, mode: \"0644\"}\n", "x.yaml:4: a file with a key"},
    {P "files:\n  - {content: pkcs12, path: p, password: p, mode: \"0644\"}\n", "x.yaml:4: a file with a key"},
    {P "files:\n  - {content: key_der, path: p, mode: \"0644\"}\n", "x.yaml:4: a file with a key"},
    {P "files:\n  - {content: jks, path: p, mode: \"0600\"}\n", "x.yaml:4: password must be a text"},
    {P "files:\n  - {content: jks, path: p, password: u, mode: \"0600\"}\n", "x.yaml:4: password: no parameter u of type path"},
    {P "files:\n  - {content: jks, path: p, password: p, alias: p, mode: \"0600\"}\n", "x.yaml:4: alias: no parameter p of type name"},
    {P "files:\n  - {content: key, path: p, password: p, mode: \"0600\"}\n", "x.yaml:4: content key has no password"},
    {P "files:\n  - {content: leaf_der, path: p, alias: p, mode: \"0600\"}\n", "x.yaml:4: content leaf_der has no alias"},
    {P "files:\n  - {content: leaf, path: p, mode: \"0644\", run: x}\n", "x.yaml:4: run is not a setting here"},
    /* Check, reload, challenge. */
    {P "check: [/bin/sh]\n", "x.yaml:3: check must be a text"},
    {P "check: \"{p}\"\n", "x.yaml:3: check: no parameter p of type command"},
    {P "reload: \"{c\"\n", "x.yaml:3: reload: no parameter"},
    {P "challenge: dns\n", "x.yaml:3: challenge must be one of nginx, webroot, listener"},
    {P "challenge: webroot\n", "challenge webroot needs a parameter root"},
    /* Discover. */
    {P "discover: d\n", "x.yaml:3: discover must hold command"},
    {P "discover: {reader: nginx}\n", "x.yaml:3: command must be a text"},
    {P "discover: {command: [/bin/ls], reader: nginx}\n", "x.yaml:3: command must be a text"},
    {P "discover: {command: \"/bin/ls -l\", reader: nginx}\n", "x.yaml:3: command: /bin/ls -l cannot name a command"},
    {P "discover: {command: d, reader: none}\n", "x.yaml:3: no reader is named none"},
    {P "discover: {command: d, reader: nginx, text: {}}\n", "x.yaml:3: text is not a setting here"},
    {P "discover: {command: d}\n", "x.yaml:3: discover needs parameters"},
    {D "  parameters: p\n", "x.yaml:5: parameters must be at most"},
    {D "  parameters: []\n", "x.yaml:5: parameters must be at most"},
    {D "  parameters: [{p: a}, {p: a}, {p: a}, {p: a}, {p: a}]\n", "x.yaml:5: parameters must be at most 4 choices"},
    {D "  parameters: {z: a}\n", "x.yaml:5: parameters: no parameter z of type path or name"},
    {D "  parameters: {c: a}\n", "x.yaml:5: parameters: no parameter c of type path or name"},
    {D "  parameters: {q: a}\n", "x.yaml:5: parameters: p is required, but nothing says where it is found"},
    {D "  parameters: {p: \"\"}\n", "x.yaml:5: p must say where it is found"},
    {D "  parameters: {p: 7}\n", "x.yaml:5: p must be a text, or a list"},
    {D "  parameters: {p: [a, 7]}\n", "x.yaml:5: p must be a list of texts"},
    {D "  parameters: {p: [a, a, a, a, a, a, a, a, a]}\n", "x.yaml:5: p must be a text, or a list of at most 8"},
    {D "  parameters: {p: a b c}\n", "x.yaml:5: p: a b c is no directive with at most one word after it"},
    {D "  parameters: {p: a/b/c}\n", "x.yaml:5: p: a/b/c is no directive"},
    {D "  parameters: {p: /b}\n", "x.yaml:5: p: /b is no directive"},
    {D "  parameters: {p: a 0}\n", "x.yaml:5: p: the words of a are counted from 1"},
    {D "  parameters: {p: a 100}\n", "x.yaml:5: p: the words of a are counted from 1"},
    {D "  parameters: {p: a}\n  text: words\n", "x.yaml:6: text must say how"},
    {D "  parameters: {p: a}\n  text: {block: angle}\n", "x.yaml:6: block is not a setting here"},
    {D "  parameters: {p: a}\n  text: {blocks: square}\n", "x.yaml:6: blocks must be one of none, angle, brace"},
    {D "  parameters: {p: a}\n  text: {continued: yes}\n", "x.yaml:6: continued must be one of no, backslash, indent"},
    {D "  parameters: {p: a}\n  text: {comment: \"\"}\n", "x.yaml:6: comment must be one to four signs"},
    {D "  parameters: {p: a}\n  text: {comment: a}\n", "x.yaml:6: comment must be made of"},
    {D "  parameters: {p: a}\n  text: {assign: \" \"}\n", "x.yaml:6: assign must be made of"},
    {D "  parameters: {p: a}\n  text: {nocase: 1}\n", "x.yaml:6: nocase must be true or false"},
    {D "  parameters: {p: a}\n  text: {headings: frontend}\n", "x.yaml:6: headings must be a list"},
    {D "  parameters: {p: a}\n  text: {headings: [a], blocks: angle}\n", "x.yaml:6: a configuration has headings or blocks"},
    {D "  parameters: {p: a}\n  places: V\n", "x.yaml:6: places must be a list"},
    {D "  parameters: {p: a}\n  places: [[V]]\n", "x.yaml:6: places must be a list of words"},
    {D "  parameters: {p: a}\n  alone: x\n", "x.yaml:6: alone must be true or false"},
    {D "  parameters: {p: a}\n  through: []\n", "x.yaml:6: through must be a list of one to 16"},
    {D "  parameters: {p: a}\n  when: on\n", "x.yaml:6: when must be at most 8 directives"},
    {D "  parameters: {p: a}\n  when: {a b c: [x]}\n", "x.yaml:6: when: a b c is no directive"},
    {D "  parameters: {p: a}\n  when: {a: x}\n", "x.yaml:6: a must be a list"},
    {D "  parameters: {p: a}\n  base: {a: b}\n", "x.yaml:6: base must be a text"},
    {D "  parameters: {p: a}\n  names: []\n", "x.yaml:6: names must be a text, or a list"},
    {D "  parameters: {p: a}\n  listen: a\n", "x.yaml:6: listen must be a list"},
    {D "  parameters: {p: a}\n  listen: [a]\n", "x.yaml:6: a row of listen must hold at, or port"},
    {D "  parameters: {p: a}\n  text: {format: toml}\n", "x.yaml:6: format must be one of lines, json, xml"},
    {D "  parameters: {p: a}\n  text: {format: json, comment: \"#\"}\n", "x.yaml:6: of a document (json, xml) nothing else is to be said but nocase"},
    {D "  parameters: {p: \"={q}\"}\n", "x.yaml:5: ={q}: in braces there can be folder"},
    {D "  parameters: {p: \"={folder\"}\n", "x.yaml:5: ={folder: in braces"},
    {D "  parameters: {p: \"={q.stem}\", q: a}\n", "x.yaml:5: ={q.stem}: in braces"},
    {D "  parameters: {q: a, p: \"={q.root}\"}\n", "x.yaml:5: ={q.root}: in braces"},
    {D "  parameters: {p: a}\n  base: \"={p}\"\n", "x.yaml:6: ={p}: in braces"},
    {D "  parameters: {p: a, when: b}\n", "x.yaml:5: when must be at most 8 directives"},
    {D "  parameters: {when: {a: [b]}}\n", "x.yaml:5: parameters must name what makes it a place"},
    {D "  parameters: {p: a, perhaps: {z: b}}\n", "x.yaml:5: parameters: no parameter z"},
    {D "  parameters: {p: a, perhaps: b}\n", "x.yaml:5: parameters must be at most"},
    {D "  parameters: {perhaps: {p: a}}\n", "x.yaml:5: parameters must name what makes it a place"},
    {D "  parameters: {p: a}\n  linked: a\n", "x.yaml:6: linked must hold one pair"},
    {D "  parameters: {p: a}\n  linked: {a: b, c: d}\n", "x.yaml:6: linked must hold one pair"},
    {D "  parameters: {p: a}\n  linked: {a: b 2}\n", "x.yaml:6: linked: what names the place is one directive"},
    {D "  parameters: {p: a}\n  listed: a\n", "x.yaml:6: listed must hold files and parameter"},
    {D "  parameters: {p: a}\n  listed: {files: a, parameter: u}\n", "x.yaml:6: listed must hold files, where they are named"},
    {D "  parameters: {p: a}\n  listed: {parameter: p}\n", "x.yaml:6: listed must hold files, where they are named"},
    {D "  parameters: {p: a}\n  also: [/bin/ls]\n", "x.yaml:6: also must name a second command"},
    {D "  parameters: {p: a}\n  text: {format: json}\n  also: e\n", "x.yaml:7: also must name a second command"},
    {D "  parameters: {p: a}\n  listen:\n    - {port: a, scheme: ldap}\n", "x.yaml:7: scheme must be the beginning"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, scheme: 1}\n", "x.yaml:7: scheme must be the beginning"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, usual: 1}\n", "x.yaml:7: usual must be the port"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, scheme: x, usual: 65536}\n", "x.yaml:7: usual must be the port"},
    {D "  parameters: {p: a}\n  listen:\n    - {address: a}\n", "x.yaml:7: a row of listen holds either at, or port"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, port: b}\n", "x.yaml:7: a row of listen holds either at, or port"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, address: b}\n", "x.yaml:7: a row of listen holds either at, or port"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, starttls: gopher}\n", "x.yaml:7: starttls: no such protocol"},
    {D "  parameters: {p: a}\n  listen:\n    - {at: a, proto: smtp}\n", "x.yaml:7: proto is not a setting here"},
    {D "  parameters: {p: a}\n  run: x\n", "x.yaml:6: run is not a setting here"},
    /* Send. */
    {P "send: x\n", "x.yaml:3: send must hold socket and steps"},
    {S "  steps: [{text: a}]\n", "socket must name a required parameter of type path"},
    {S "  socket: q\n  steps: [{text: a}]\n", "x.yaml:5: socket must name a required parameter of type path"},
    {S "  socket: u\n  steps: [{text: a}]\n", "x.yaml:5: socket must name a required parameter of type path"},
    {S "  socket: p\n", "steps must be a list of one to 16"},
    {S "  socket: p\n  steps: []\n", "x.yaml:6: steps must be a list of one to 16"},
    {S "  socket: p\n  steps: [a]\n", "x.yaml:6: a step of send must hold text"},
    {S "  socket: p\n  steps:\n    - {expect: a}\n", "x.yaml:7: text must be what is sent"},
    {S "  socket: p\n  steps:\n    - {text: a, expect: 7}\n", "x.yaml:7: expect must be a text"},
    {S "  socket: p\n  steps:\n    - {text: a, wait: 7}\n", "x.yaml:7: wait is not a setting here"},
    {S "  socket: p\n  steps:\n    - {text: \"a {z}\"}\n", "x.yaml:7: text: no parameter z"},
    {S "  socket: p\n  steps:\n    - {text: \"a {file:q}\"}\n", "x.yaml:7: text: {file:q}: the description writes no such file"},
    {S "  socket: p\n  steps:\n    - {text: \"a {p\"}\n", "x.yaml:7: text: a brace is not closed"},
    {S "  socket: p\n  steps:\n    - {text: \"a {}\"}\n", "x.yaml:7: text: a brace is not closed"},
    {S "  socket: p\n  run: x\n", "x.yaml:6: run is not a setting here"},
    {P "reload: r\nsend: {socket: p, steps: [{text: a}]}\n", "x.yaml:4: a description holds either reload or send"},
};

static void every_mistake_is_refused_with_file_line_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct connector c;
        ctx_init(&ctx, &clock_system);
        struct rc rc = connector_parse(&ctx, "x.yaml", bytes_z(mistakes[i].text), &c);
        if (rc.e != E_INVALID)
            fail_msg("row %zu is error %d, not E_INVALID (%s):\n%s", i, (int)rc.e, ctx_why(&ctx), mistakes[i].text);
        if (strstr(ctx_why(&ctx), mistakes[i].says) == NULL || strstr(ctx_why(&ctx), "x.yaml") == NULL)
            fail_msg("row %zu:\n%s\nsays: %s\nshould: %s", i, mistakes[i].text, ctx_why(&ctx), mistakes[i].says);
    }
}

/* n times `one`, with the number in it, between begin and end. */
static const char *many(struct ctx *ctx, const char *begin, const char *fmt, size_t n, const char *end)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, (size_t)4 << 20);
    buf_put_z(&b, begin);
    for (size_t i = 0; i < n; i++) {
        size_t at = strcspn(fmt, "%");
        buf_printf(&b, "%.*s", (int)at, fmt);
        if (fmt[at] == '%')
            buf_printf(&b, "%zu%s", i, fmt + at + 1);
    }
    buf_put_z(&b, end);
    return buf_z(&b);
}

static void what_is_too_much_is_refused(void **state)
{
    static const struct {
        const char *begin, *one;
        size_t n;
        const char *end, *says;
    } rows[] = {
        {"connector: x\nparameters:\n", "  p%: {type: path}\n", CONNECTOR_PARAMS_MAX + 1, "", "parameters must be at most"},
        {P "files:\n", "  - {content: leaf, path: p, mode: \"0644\"}\n", CONNECTOR_FILES_MAX + 1, "", "files must be a list of at most"},
        {D "  parameters: {p: a}\n  listen:\n", "    - {at: a}\n", FIND_LISTENS_MAX + 1, "", "listen must be a list of at most"},
        {D "  parameters: {p: a}\n  when:\n", "    w%: [a]\n", FIND_TEXTS_MAX + 1, "", "when must be at most"},
        {S "  socket: p\n  steps:\n", "    - {text: a}\n", SEND_STEPS_MAX + 1, "", "steps must be a list of one to"},
        {S "  socket: p\n  steps:\n    - {text: ", "a", SEND_TEXT_MAX + 1, "}\n", "text must be what is sent"},
        {"connector: x\nx: ", "[", 100, "", "x.yaml:2"},
        {"connector: x\ndescription: ", "aaaaaaaaaaaaaaaa", (1 << 20) / 16, "\n", "x.yaml"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct connector c;
        ctx_init(&ctx, &clock_system);
        const char *text = many(&ctx, rows[i].begin, rows[i].one, rows[i].n, rows[i].end);
        assert_true(rc_failed(connector_parse(&ctx, "x.yaml", bytes_z(text), &c)));
        if (strstr(ctx_why(&ctx), rows[i].says) == NULL)
            fail_msg("row %zu says: %s", i, ctx_why(&ctx));
    }
}

static void all_that_come_along_are_good(void **state)
{
    DIR *dir = opendir("connectors");
    const struct dirent *e;
    size_t n = 0;
    (void)state;
    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        CTX_CLEANUP struct ctx ctx;
        struct bytes text;
        struct connector c;
        struct bytes name = bytes_z(e->d_name);
        if (!bytes_ends_with(name, BYTES_LIT(".yaml")))
            continue;
        ctx_init(&ctx, &clock_system);
        const char *path = arena_printf(&ctx.arena, "connectors/%s", e->d_name);
        if (rc_failed(agent_file_trusted(&ctx, path, 65536, &text)) || rc_failed(connector_parse(&ctx, path, text, &c)))
            fail_msg("%s", ctx_why(&ctx));
        name.n -= 5;
        assert_true(bytes_equal_z(name, c.name));
        n++;
    }
    closedir(dir);
    assert_true(n >= 9);
}

static void a_command_is_the_one_named_or_its_default(void **state)
{
    static const struct {
        const char *params, *spec, *is;
    } rows[] = {
        {"{}", NULL, NULL},
        {"{}", "fixed", "fixed"},
        {"{}", "{c}", NULL},
        {"{\"c\":\"\"}", "{c}", NULL},
        {"{\"c\":\"mine\"}", "{c}", "mine"},
        {"{}", "{c}usual", "usual"},
        {"{\"c\":\"mine\"}", "{c}usual", "mine"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        json_t *params = NULL;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_ok(json_read(&ctx, bytes_z(rows[i].params), &params)));
        assert_true(str_equal(connector_command(params, rows[i].spec), rows[i].is));
        json_decref(params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_refused_with_file_line_and_reason),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(all_that_come_along_are_good),
        cmocka_unit_test(a_command_is_the_one_named_or_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
