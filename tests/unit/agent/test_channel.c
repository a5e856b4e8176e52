/* Channels: descriptions that are shipped and those with mistakes, how mails and syslog messages are written, what may be sent where.
 *
 * Given arguments it is what tests/e2e/test_channels.py drives the engine with: `unit_agent_test_channel AGENT.YAML` reads messages
 * from its standard input, a JSON object a line, and writes what came of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/channel_desc.h"
#include "agent/relay/auth_hmac.h"
#include "agent/relay/channel.h"
#include "agent/relay/notice.h"
#include "api/audit_entry.h"
#include "net/deliver.h"
#include "net/http_client.h"

#define HEAD                                                                                                                       \
    "channel: x\nparameters:\n  server: {type: url, required: true}\n  token: {type: credential, required: true}\nnotify:\n"       \
    "  base: \"{server}\"\n  auth: {family: bearer, token: \"{token}\"}\n"

static void shipped_descriptions_are_good(void **state)
{
    static const char *const names[] = {"webhook",  "slack",     "teams",    "mattermost", "discord", "ntfy",
                                        "telegram", "pagerduty", "opsgenie", "servicenow", "jira"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct channel_desc d;
        const struct agent_config cfg = {.file = "agent.yaml", .channels_dir = "channels"};
        ctx_init(&ctx, &clock_system);
        if (rc_failed(channel_desc_load(&ctx, &cfg, names[i], &d)))
            fail_msg("%s", ctx_why(&ctx));
        assert_true(d.n_send > 0);
    }
}

static void mistakes_are_told_with_their_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[]\n", "must hold channel, parameters and notify"},
        {"channel: a/b\n", "x.yaml:1: channel must be a name"},
        {"channel: x\nnotify: {}\n", "needs a parameter of type credential"},
        {"channel: x\nparameters: {key: {type: credential}}\nnotify: {}\n", "parameter key must have another name"},
        {HEAD, "send is missing"},
        {HEAD "  send: []\n", "send must be a list"},
        {HEAD "  test: []\n", "test is not a setting here"},
        {HEAD "  send: [{method: POST, path: \"/{nothing}\"}]\n", "{nothing} is no parameter, and nothing that is known of a notification"},
        {HEAD "  send: [{method: POST, path: \"/{a.id}\"}]\n", "{a.id} is read by no step before this one"},
        {HEAD "  send: [{method: POST, path: /a, when: {set: nothing}}]\n", "nothing that is known of a notification"},
        {HEAD "  send: [{method: RUN, path: /a}]\n", "method must be one of GET"},
        {"channel: x\nparameters:\n  t: {type: credential}\nnotify:\n  base: \"{text}\"\n", "{text} is no parameter"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct channel_desc d;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_failed(channel_desc_parse(&ctx, "x.yaml", bytes_z(bad[i].text), &d)));
        if (strstr(ctx_why(&ctx), bad[i].says) == NULL)
            fail_msg("row %zu is told as: %s", i, ctx_why(&ctx));
    }
}

/* The example of the specification's own libraries. */
static void webhooks_are_signed_as_the_standard_says(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct buf b;
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (int i = 0; i < 2; i++) {
        const char *secret = i ? "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" : "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        buf_init_arena(&b, &ctx.arena, 256);
        assert_true(rc_ok(webhook_sign(&ctx, bytes_z(secret), BYTES_LIT("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                                       BYTES_LIT("{\"test\": 2432232314}"), &b)));
        assert_string_equal(buf_z(&b), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
    assert_int_equal(webhook_sign(&ctx, BYTES_LIT("whsec_c2hvcnQ="), BYTES_LIT("i"), 1, BYTES_LIT(""), &b).e, E_NOT_GRANTED);
    assert_int_equal(webhook_sign(&ctx, BYTES_LIT("whsec_!"), BYTES_LIT("i"), 1, BYTES_LIT(""), &b).e, E_NOT_GRANTED);
}

static void names_that_anybody_chose_stay_text(void **state)
{
    static const struct {
        const char *text, *lines, *line;
    } rows[] = {
        {"plain", "plain", "plain"},
        {"a\nb", "a\nb", "a b"},
        {"a\r\nBcc: x", "a\nBcc: x", "a  Bcc: x"},
        {"\033[31mred\033[0m", " [31mred [0m", " [31mred [0m"},
        {"a\xc2\x9b" "31m", "a 31m", "a 31m"},                   /* CSI in one character */
        {"moc.\xe2\x80\xae" "evil", "moc. evil", "moc. evil"},   /* turned around */
        {"a\xff" "b\xc3", "a?b?", "a?b?"},
        {"\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x92", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x92", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x92"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        ctx_init(&ctx, &clock_system);
        assert_string_equal(notice_clean(&ctx, rows[i].text, 100, true), rows[i].lines);
        assert_string_equal(notice_clean(&ctx, rows[i].text, 100, false), rows[i].line);
    }
    CTX_CLEANUP struct ctx ctx = {0};
    ctx_init(&ctx, &clock_system);
    assert_string_equal(notice_clean(&ctx, "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", 8, true), "\xc3\xbc\xc3\xbc…");
}

static struct wire_relay_notify example(void)
{
    return (struct wire_relay_notify){.channel = "x",
                                      .parameters = "{}",
                                      .id = "n1",
                                      .key = "a1",
                                      .at = 784111777,
                                      .subject = "critical: \"www\"\r\nBcc: everybody@example.net\r\n\r\n<script>",
                                      .text = "one\n.\n\033[31mtwo <b>&\r\n",
                                      .url = "https://hub.example.org/alerts/a1",
                                      .severity = "critical",
                                      .state = "opened",
                                      .object_kind = "endpoint",
                                      .object_id = "e1",
                                      .object_name = "a\"]\\ b",
                                      .team = "web"};
}

static void a_mail_has_the_headers_that_we_write_and_no_other(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct wire_relay_notify in = example();
    struct notice n;
    struct buf b;
    const char *to[] = {"ops@example.org", "o'neil+x@example.org"};
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(notice_of(&ctx, &in, &n)));
    buf_init_arena(&b, &ctx.arena, 1 << 18);
    assert_true(rc_ok(mail_message(&ctx, &n, "mail", "certwright@example.org", (struct wire_texts){to, 2}, &b)));
    const char *text = buf_z(&b), *end = strstr(text, "\r\n\r\n");
    const char *head = arena_printf(&ctx.arena, "%.*s\r\n", (int)(end - text), text);
    assert_non_null(strstr(head, "Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n"));
    assert_non_null(strstr(head, "\r\nFrom: Certwright <certwright@example.org>\r\nTo: ops@example.org,\r\n o'neil+x@example.org\r\n"));
    assert_non_null(strstr(head, "\r\nSubject: critical: \"www\"  Bcc: everybody@example.net    <script>\r\n"));
    assert_non_null(strstr(head, "\r\nMessage-ID: <n1@example.org>\r\nReferences: <a1@example.org>\r\nAuto-Submitted: auto-generated\r\n"));
    assert_null(strstr(head, "\nBcc"));
    for (const char *c = text; *c != '\0'; c++) /* lines end with CR LF, are short, and no byte is more than ASCII */
        assert_true((uint8_t)*c < 0x7f && (*c != '\n' || c[-1] == '\r') && (*c != '\r' || c[1] == '\n'));
    assert_null(strstr(text, "\r\n.\r\n"));
    in.subject = "Zertifikat f\xc3\xbcr b\xc3\xbc\x63her.example l\xc3\xa4uft ab und wird nicht mehr erneuert, seit drei Tagen schon";
    assert_true(rc_ok(notice_of(&ctx, &in, &n)));
    buf_init_arena(&b, &ctx.arena, 1 << 18);
    assert_true(rc_ok(mail_message(&ctx, &n, "mail", "certwright@example.org", (struct wire_texts){to, 1}, &b)));
    const char *subject = strstr(buf_z(&b), "Subject: =?UTF-8?B?");
    assert_non_null(subject);
    assert_true(strcspn(subject, "\r") <= 76 + strlen("Subject: ") && strstr(subject, "\r\n =?UTF-8?B?") != NULL);
    to[0] = "ops@example.org>\r\nRCPT TO:<x@example.net";
    assert_int_equal(mail_message(&ctx, &n, "mail", "certwright@example.org", (struct wire_texts){to, 1}, &b).e, E_INVALID);
    assert_int_equal(mail_message(&ctx, &n, "mail", "certwright@example.org\r\nX: y", (struct wire_texts){to + 1, 1}, &b).e, E_INVALID);
    in.id = "a>\r\nX: y";
    assert_int_equal(notice_of(&ctx, &in, &n).e, E_INVALID);
}

static void addresses_are_told_from_other_texts(void **state)
{
    static const char *const good[] = {"a@b", "ops@example.org", "a.b+c_d-e@x-1.example.org", "o'neil@example.org"};
    static const char *const bad[] = {"", "a", "@b", "a@", "a b@c", "a@b c", "a@b@c d", "<a@b>", "a@b>", "a@b\r\nX", "-a@b", ".a@b", "a.@b", "a..b@c",
                                      "a@.b", "a@b.", "a@b..c", "a@-b", "a,b@c", "\"a\"@b", "\xc3\xbc@b", "a@[127.0.0.1]"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!deliver_is_address(good[i]))
            fail_msg("%s is one", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (deliver_is_address(bad[i]))
            fail_msg("%s is none", bad[i]);
}

static void a_syslog_message_is_one_of_rfc_5424(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct wire_relay_notify in = example();
    struct notice n;
    struct buf b;
    (void)state;
    ctx_init(&ctx, &clock_system);
    in.subject = "critical: x";
    in.text = "one\ntwo";
    assert_true(rc_ok(notice_of(&ctx, &in, &n)));
    buf_init_arena(&b, &ctx.arena, 8192);
    assert_true(rc_ok(syslog_message(&ctx, &n, "hub 1", 16, &b)));
    assert_string_equal(buf_z(&b),
                        "<130>1 1994-11-06T08:49:37Z hub?1 certwright - opened [certwright@32473 id=\"n1\" key=\"a1\" severity=\"critical\" "
                        "kind=\"endpoint\" object=\"a\\\"\\]\\\\ b\" team=\"web\" url=\"https://hub.example.org/alerts/a1\"] "
                        "\xef\xbb\xbf" "critical: x: one two");
}

static void an_entry_of_the_audit_log_is_one_message_however_long(void **state)
{
    CTX_CLEANUP struct ctx ctx = {0};
    char detail[20000] = "{\"a\":\"|=\\n";
    struct buf b;
    const struct audit_entry e = {.at = 784111777,
                                  .principal = "user:a\"]\\",
                                  .peer = "192.0.2.1",
                                  .action = "sign-in.fail",
                                  .object_kind = "user",
                                  .object_id = "u\n1",
                                  .team_id = "t",
                                  .request_id = "",
                                  .detail = detail};
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&b, &ctx.arena, 8192);
    assert_true(rc_ok(syslog_entry(&ctx, &e, 7, false, "hub 1", 13, &b)));
    assert_string_equal(buf_z(&b), "<108>1 1994-11-06T08:49:37Z hub?1 certwright - sign-in.fail [certwright@32473 place=\"7\" "
                                   "principal=\"user:a\\\"\\]\\\\\" action=\"sign-in.fail\" kind=\"user\" object=\"u 1\" team=\"t\" "
                                   "from=\"192.0.2.1\"] \xef\xbb\xbfsign-in.fail user u 1 by user:a\"]\\: {\"a\":\"|=\\n");
    buf_init_arena(&b, &ctx.arena, 8192);
    assert_true(rc_ok(syslog_entry(&ctx, &e, 7, true, "hub 1", 13, &b)));
    assert_non_null(strstr(buf_z(&b), "] CEF:0|Certwright|Certwright|"));
    assert_non_null(strstr(buf_z(&b), "|sign-in.fail|sign-in.fail|6|rt=784111777000 suser=user:a\"]\\\\ src=192.0.2.1 "));
    assert_non_null(strstr(buf_z(&b), " cs2=u\\n1 cs2Label=object "));
    assert_non_null(strstr(buf_z(&b), " cn1=7 cn1Label=place cs5Label=detail cs5={\"a\":\"|\\=\\\\n"));
    for (size_t i = strlen(detail); i + 3 < sizeof detail; i += 2) /* of two bytes: the cut is between characters */
        memcpy(detail + i, "\xc3\xa9", 2);
    for (int odd = 0; odd < 2; odd++) {
        buf_init_arena(&b, &ctx.arena, 8192);
        assert_true(rc_ok(syslog_entry(&ctx, &e, 7, true, odd ? "hub 1" : "hub", 13, &b)));
        assert_true(b.n >= 8190 && b.n <= 8192 && str_is_utf8(buf_bytes(&b)));
    }
}

static void what_fails_does_not_tell_the_address_that_is_a_secret(void **state)
{
    static const struct {
        const char *text, *hidden;
    } rows[] = {
        {"nothing", "nothing"},
        {"https://hooks.slack.com/services/T0/B0/secret: no route", "https://hooks.slack.com/…: no route"},
        {"step: POST https://a.example/bot1:x/send?k=v", "step: POST https://a.example/…"},
        {"https://a.example: x and http://b.example/ y", "https://a.example: x and http://b.example y"},
        {"to \"https://a.example/x\" z", "to \"https://a.example/…\" z"},
        {"https://a.example?sig=secret no", "https://a.example/… no"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        ctx_init(&ctx, &clock_system);
        if (strcmp(channel_hide(&ctx, rows[i].text), rows[i].hidden) != 0)
            fail_msg("%s", channel_hide(&ctx, rows[i].text));
    }
}

#define WHERE "channels:\n  mail: {use: smtp, hosts: [\"mail.example.org:25\", smtp.example.org], to: [example.org], parameters: {from: c@example.org}}\n" \
              "  log: {use: syslog, hosts: [\"127.0.0.1:514\", log.example.org]}\n  slack: {}\n"

static const char *refusal(const char *channel, const char *parameters, const char *to, enum err e)
{
    static char why[1000];
    CTX_CLEANUP struct ctx ctx = {0};
    struct agent_config cfg;
    struct credential_files files = {0};
    struct wire_relay_notified out;
    const struct address_grants grants = {0};
    struct wire_relay_notify in = example();
    ctx_init(&ctx, &clock_system);
    in.channel = channel;
    in.parameters = parameters;
    in.to = (struct wire_texts){&to, *to != '\0'};
    if (rc_failed(agent_config_parse(&ctx, "agent.yaml", BYTES_LIT("channels_dir: /nowhere\n" WHERE), &cfg)))
        fail_msg("%s", ctx_why(&ctx));
    struct rc rc = relay_notify_run(&ctx, &cfg, &files, &grants, &in, &out);
    snprintf(why, sizeof why, "%s", ctx_why(&ctx));
    if (rc.e != e)
        fail_msg("error %d: %s", (int)rc.e, why);
    return why;
}

static void only_what_agent_yaml_grants_is_done(void **state)
{
    (void)state;
    const char *mail = "{\"server\": \"smtp.example.org\"}";
    refusal("other", "{}", "", E_NOT_GRANTED);
    refusal("slack", "{}", "", E_NOT_FOUND); /* its description is not there */
    refusal("slack", "{}", "a@example.org", E_INVALID);
    refusal("mail", mail, "", E_INVALID);
    assert_non_null(strstr(refusal("mail", mail, "a@example.com", E_NOT_GRANTED), "may not write to a@example.com"));
    assert_non_null(strstr(refusal("mail", mail, "a@xexample.org", E_NOT_GRANTED), "may not write to"));
    assert_non_null(strstr(refusal("mail", "{\"server\": \"mail.example.org\"}", "a@example.org", E_NOT_GRANTED), "may not connect to"));
    assert_non_null(strstr(refusal("mail", "{\"server\": \"evil.example\"}", "a@example.org", E_NOT_GRANTED), "port 587"));
    assert_non_null(strstr(refusal("mail", "{\"server\": \"smtp.example.org\", \"from\": \"x@y\"}", "a@example.org", E_NOT_GRANTED),
                           "parameter from of channel mail must be c@example.org here"));
    refusal("mail", "{\"server\": \"smtp.example.org\", \"other\": \"x\"}", "a@example.org", E_INVALID);
    refusal("mail", "{\"server\": \"smtp.example.org\", \"tls\": \"perhaps\"}", "a@example.org", E_INVALID);
    refusal("mail", "{\"server\": \"smtp.example.org\", \"user\": \"x\"}", "a@example.org", E_INVALID);
    refusal("mail", "{\"server\": \"smtp.example.org\", \"user\": \"x\", \"password\": \"none\"}", "a@example.org", E_NOT_GRANTED);
    refusal("mail", "[]", "a@example.org", E_INVALID);
    refusal("log", "{\"server\": \"tls://other.example\"}", "", E_NOT_GRANTED);
    assert_non_null(strstr(refusal("log", "{\"server\": \"tcp://log.example.org:6514\"}", "", E_INVALID), "is not this host"));
    refusal("log", "{\"server\": \"udp://127.0.0.1:514\"}", "", E_ADDRESS_REFUSED); /* networks: relay does not grant it */
    refusal("log", "{\"server\": \"ftp://127.0.0.1\"}", "", E_INVALID);
    refusal("log", "{\"server\": \"udp://127.0.0.1:514\", \"facility\": \"24\"}", "", E_INVALID);
}

static void rows_of_agent_yaml_say_what_they_need(void **state)
{
    static const struct {
        const char *row, *says;
    } bad[] = {
        {"[]", "must hold what it uses"},
        {"{other: 1}", "other is not a setting"},
        {"{use: smtp, to: [example.org]}", "hosts must say where it may connect"},
        {"{use: smtp, hosts: [a]}", "to must say whom"},
        {"{use: smtp, hosts: [a], to: [\"*\", \"b c\"]}", "is not the name"},
        {"{use: syslog, hosts: [a], to: [b]}", "to is for smtp"},
        {"{use: slack, hosts: [a]}", "are those of its credential"},
        {"{use: slack, roots: /x}", "are those of its credential"},
        {"{use: smtp, hosts: [a], to: [b], roots: x}", "roots must be an absolute path"},
        {"{use: \"../x\"}", "use must be"},
        {"{parameters: []}", "parameters must be texts"},
        {"{parameters: {a: 1}}", "parameter a must be a text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct agent_config cfg;
        ctx_init(&ctx, &clock_system);
        const char *text = arena_printf(&ctx.arena, "channels:\n  x: %s\n", bad[i].row);
        assert_int_equal(agent_config_parse(&ctx, "agent.yaml", bytes_z(text), &cfg).e, E_INVALID);
        if (strstr(ctx_why(&ctx), bad[i].says) == NULL)
            fail_msg("%s: %s", bad[i].row, ctx_why(&ctx));
    }
}

/* --- the driver */

static RC drive(struct ctx *ctx, const struct agent_config *cfg, const char *line, struct wire_relay_notified *out)
{
    json_auto_t *root = NULL;
    struct credential_files files = {0};
    struct cidr *nets = arena_array(&ctx->arena, cfg->relay_networks.n + 1, sizeof *nets);
    struct wire_relay_notify in = example();
    const json_t *to = NULL, *v;
    struct str_list list = {0};
    size_t i;
    for (i = 0; i < cfg->relay_networks.n; i++)
        assert_true(cidr_parse(bytes_z(cfg->relay_networks.v[i]), &nets[i]));
    const struct address_grants grants = {nets, cfg->relay_networks.n};
    TRY(json_read(ctx, bytes_z(line), &root));
    TRY(json_get_obj_text(ctx, root, "parameters", false, &in.parameters));
    TRY(json_get_str(ctx, root, "channel", true, &in.channel));
    TRY(json_get_str(ctx, root, "id", false, &in.id));
    TRY(json_get_str(ctx, root, "key", false, &in.key));
    TRY(json_get_str(ctx, root, "state", false, &in.state));
    TRY(json_get_str(ctx, root, "subject", false, &in.subject));
    TRY(json_get_str(ctx, root, "text", false, &in.text));
    TRY(json_get_str(ctx, root, "object_name", false, &in.object_name));
    TRY(json_get_str(ctx, root, "url", false, &in.url));
    TRY(json_get_list(ctx, root, "to", false, &to));
    json_array_foreach(to, i, v) str_list_add(&ctx->arena, &list, arena_strdup(&ctx->arena, json_string_value(v)));
    in.to = (struct wire_texts){list.v, list.n};
    in.at = ctx_now_s(ctx);
    ctx->deadline_ms = clock_mono_ms() + 30000;
    return relay_notify_run(ctx, cfg, &files, &grants, &in, out);
}

static int drive_all(const char *path)
{
    static char line[70000];
    CTX_CLEANUP struct ctx ctx;
    struct agent_config cfg;
    ctx_init(&ctx, &clock_system);
    if (rc_failed(agent_config_load(&ctx, path, &cfg)) || rc_failed(http_client_load(&ctx))) {
        fprintf(stderr, "%s\n", ctx_why(&ctx));
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        CTX_CLEANUP struct ctx one;
        struct wire_relay_notified out = {.what = ""};
        ctx_init(&one, &clock_system);
        struct rc rc = drive(&one, &cfg, line, &out);
        json_auto_t *says = json_pack("{s:s, s:s, s:s, s:I}", "error", rc_ok(rc) ? "" : err_info(rc.e)->name, "why", ctx_why(&one), "what",
                                      out.what, "retry_after_s", (json_int_t)one.retry_after_s);
        char *text = json_dumps(says, JSON_COMPACT);
        puts(text != NULL ? text : "{}");
        free(text);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_descriptions_are_good),
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(webhooks_are_signed_as_the_standard_says),
        cmocka_unit_test(names_that_anybody_chose_stay_text),
        cmocka_unit_test(a_mail_has_the_headers_that_we_write_and_no_other),
        cmocka_unit_test(addresses_are_told_from_other_texts),
        cmocka_unit_test(a_syslog_message_is_one_of_rfc_5424),
        cmocka_unit_test(an_entry_of_the_audit_log_is_one_message_however_long),
        cmocka_unit_test(what_fails_does_not_tell_the_address_that_is_a_secret),
        cmocka_unit_test(only_what_agent_yaml_grants_is_done),
        cmocka_unit_test(rows_of_agent_yaml_say_what_they_need),
    };
    if (argc > 1)
        return drive_all(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
