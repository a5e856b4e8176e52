"""Channels: mail to a server that wants STARTTLS and a login, syslog over TLS, services over HTTPS that check every call (lib/channels.py).
The ways themselves are driven without a hub, by the unit test's own driver (tests/unit/agent/test_channel.c)."""
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import wait
from lib.channels import PASSWORD, SECRET, SERVICES, USER, PagerDuty, Slack, Smtp, Syslog, Telegram, Webhook
from lib.hub import PROGRAM, ROOT
from lib.push import Refused

DRIVER = Path(PROGRAM).parent / "unit_agent_test_channel"
NASTY = 'critical: "www"\r\nBcc: x@example.net <!channel> @here \x1b[31m{"a": 1} \u202etxt'
PLAIN = 'critical: "www"  Bcc: x@example.net <!channel> @here  [31m{"a": 1}  txt'
TEXT = 'one\n"two" \\ {id} {{x}} </b>\x07\x9b31m\n'


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def servers():
    """What is put here is stopped at the end."""
    made = []
    yield made
    for server in made:
        server.stop()


def credential(folder, name, text, *hosts, roots=None):
    file = folder / f"{name}.secret"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return {name: {"file": str(file), "hosts": list(hosts), **({"roots": str(roots)} if roots else {})}}


class Relay:
    def __init__(self, folder, credentials, channels, networks=("127.0.0.0/8",)):
        self.config = folder / f"agent{len(list(folder.glob('agent*')))}.yaml"
        self.config.write_text(json.dumps({"name": "h", "state": str(folder), "channels_dir": str(ROOT / "channels"), "credentials": credentials,
                                           "networks": {"relay": list(networks)}, "channels": channels}))
        self.config.chmod(0o600)

    def run(self, *messages):
        lines = "".join(json.dumps(m) + "\n" for m in messages)
        done = subprocess.run([str(DRIVER), str(self.config)], input=lines, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(x) for x in done.stdout.splitlines()]

    def ok(self, *messages):
        said = self.run(*messages)
        assert [s["error"] for s in said] == [""] * len(messages), said
        return said


def rows_of(folder, service):
    rows = {}
    for name, text in service.credentials().items():
        rows.update(credential(folder, f"{service.name}-{name}".replace("_", "-"), text, f"127.0.0.1:{service.port}", roots=service.roots))
    return rows


@pytest.mark.one_engine
def test_every_service_is_told_in_its_own_way_whatever_a_name_holds(folder, servers):
    for kind in SERVICES:
        service = kind(folder)
        servers.append(service)
        relay = Relay(folder, rows_of(folder, service), {kind.name: {}})
        told = {"channel": kind.name, "parameters": service.parameters(), "subject": NASTY, "text": TEXT, "object_name": NASTY}
        relay.ok(told, {**told, "id": "n2", "state": "resolved", "subject": "over", "text": "again good"}, {**told, "id": "n3", "key": "a2", "url": "javascript:alert(1)"})
        assert not service.wrong, service.wrong
        state, subject, text, key = service.got[0]
        assert subject == PLAIN or PLAIN.startswith(subject.rstrip("…")), (kind, subject)
        assert text.rstrip() == 'one\n"two" \\ {id} {{x}} </b>  31m', (kind, text)
        assert key in ("a1", "") and state in ("opened", "")
        if hasattr(service, "open"):  # one incident a matter: closed with it, or noted there
            assert len(service.got) == (3 if isinstance(service, PagerDuty) else 2), service.got
            assert [k for k, _ in getattr(service, "notes", [("a1", "")])] == ["a1"] and "a2" in service.open
            assert ("a1" in service.open) == hasattr(service, "notes")
        else:
            assert [g[1] for g in service.got][1] == "over" and len(service.got) == 3
        assert "javascript" not in str([c.body for c in service.calls]), "a link leads to web pages alone"
        if kind is Webhook:
            assert [c.headers["webhook-id"] for c in service.calls] == ["n1", "n2", "n3"]


@pytest.mark.one_engine
def test_what_a_service_refuses_is_told_without_the_secret_and_nothing_leaves_for_elsewhere(folder, servers):
    slack, telegram, webhook = Slack(folder), Telegram(folder), Webhook(folder)
    servers += [slack, telegram, webhook]
    rows = {**rows_of(folder, slack), **rows_of(folder, telegram), **rows_of(folder, webhook)}
    relay = Relay(folder, rows, {"slack": {}, "telegram": {}, "webhook": {}, "pinned": {"use": "webhook", "parameters": {"url": "https://hooks.example.org/in"}}})
    to = {s.name: {"channel": s.name, "parameters": s.parameters()} for s in (slack, telegram, webhook)}

    def refusing(*more):
        def look(call):
            raise Refused(*more)
        return [look]
    for service in (slack, telegram, webhook):
        for status, body, headers, error in [(403, {"description": "no"}, None, "bad_answer"), (500, b"oops", None, "bad_answer"),
                                             (429, {"description": "slow down"}, {"Retry-After": 3600}, "rate_limited"),
                                             (302, b"", {"Location": service.credentials().get("webhook", "https://login.example/")}, "bad_answer")]:
            service.before = refusing(status, body, headers)
            (said,) = relay.run(to[service.name])
            assert said["error"] == error and service.name in said["why"] and "0123456789" not in said["why"], said
            assert said["retry_after_s"] == (3600 if status == 429 else 0)
        service.before = [lambda call: "drop"]
        (said,) = relay.run(to[service.name])
        assert said["error"] and "0123456789" not in said["why"], said
        service.before = []
    for said in Relay(folder, rows, {"slack": {}, "telegram": {}}, networks=()).run(to["slack"], to["telegram"]):
        assert said["error"] == "address_refused" and "not granted" in said["why"] and "0123456789" not in said["why"], said
    told = len(webhook.calls)
    # The hub chooses the address: where the secret may go is agent.yaml's word, and a service of the host or a cloud's is not reached.
    for url, error in [("https://evil.example/in", "not_granted"), (f"https://localhost:{webhook.port}/in", "not_granted"),
                       ("http://127.0.0.1/in", "invalid"), ("https://169.254.169.254/latest", "not_granted")]:
        (said,) = relay.run({**to["webhook"], "parameters": {**webhook.parameters(), "url": url}})
        assert said["error"] == error, (url, said)
    row = {**rows, **credential(folder, "webhook-secret", SECRET, "169.254.169.254", "127.0.0.1")}
    (said,) = Relay(folder, row, {"webhook": {}}).run({**to["webhook"], "parameters": {**webhook.parameters(), "url": "https://169.254.169.254/latest"}})
    assert said["error"] == "address_refused", said
    (said,) = relay.run({"channel": "pinned", "parameters": webhook.parameters()})
    assert said["error"] == "not_granted" and "must be https://hooks.example.org/in here" in said["why"], said
    assert len(webhook.calls) == told


@pytest.mark.one_engine
def test_mail_goes_with_tls_alone_and_syslog_over_tls_or_to_this_host(folder, servers):
    good, plain, wrapped, log = Smtp(folder), Smtp(folder, "none", False, "plain"), Smtp(folder, "tls", True, "wrapped"), Syslog(folder)
    servers += [good, plain, wrapped, log]
    rows = credential(folder, "mail", PASSWORD, f"127.0.0.1:{good.port}", f"127.0.0.1:{wrapped.port}")
    hosts = [f"127.0.0.1:{s.port}" for s in (good, plain, wrapped)]
    mail = {"use": "smtp", "hosts": hosts, "to": ["example.org"]}
    relay = Relay(folder, rows, {"good": {**mail, "roots": str(good.roots)}, "wrapped": {**mail, "roots": str(wrapped.roots)}, "strange": {**mail, "roots": str(wrapped.roots)},
                                 "log": {"use": "syslog", "hosts": [f"127.0.0.1:{log.tls}", f"127.0.0.1:{log.udp}"], "roots": str(log.roots)},
                                 "strange-log": {"use": "syslog", "hosts": [f"127.0.0.1:{log.tls}"], "roots": str(good.roots)}})
    wish = {"server": f"127.0.0.1:{good.port}", "from": "certwright@example.org", "user": USER, "password": "mail"}
    told = {"channel": "good", "parameters": wish, "to": ["ops@example.org", "dba@example.org"], "subject": NASTY, "text": TEXT + ".\n..\n"}
    relay.ok(told, {**told, "channel": "wrapped", "parameters": {**wish, "server": f"127.0.0.1:{wrapped.port}", "tls": "tls"}, "subject": "Zertifikat für bücher.example: läuft ab und wird nicht erneuert 🔒"})
    for server, subject in [(good, PLAIN), (wrapped, "Zertifikat für bücher.example: läuft ab und wird nicht erneuert 🔒")]:
        ((sender, to, m),) = server.mails
        assert (sender, to) == ("certwright@example.org", ["dba@example.org", "ops@example.org"]) and server.logins == [("PLAIN", True, True)] or server.logins[0][1]
        assert m["Subject"] == subject and m["Message-ID"] == "<n1@example.org>" and m["References"] == "<a1@example.org>" and not m["Bcc"]
        assert m["Auto-Submitted"] == "auto-generated" and m.get_content_type() == "multipart/alternative" and not m.defects
        text, html = (p.get_content() for p in m.iter_parts())
        assert 'one\n"two" \\ {id} {{x}} </b>  31m\n.\n..\n' in text.replace("\r\n", "\n") and "https://hub.example.org/alerts/a1" in text
        assert "&lt;/b&gt;" in html and "</b>" not in html and "&lt;!channel&gt;" in html or server is wrapped
    failed = relay.run({**told, "parameters": {**wish, "server": f"127.0.0.1:{plain.port}", "user": "", "password": ""}},
                       {**told, "parameters": {k: v for k, v in {**wish, "server": f"127.0.0.1:{plain.port}"}.items() if k not in ("user", "password")}},
                       {**told, "channel": "strange"}, {**told, "parameters": {**wish, "user": "other"}},
                       {**told, "parameters": {**wish, "tls": "none"}}, {**told, "to": ["x@example.net"]})
    assert [f["error"] for f in failed][1:] == ["tls", "tls", "bad_answer", "invalid", "not_granted"] and failed[0]["error"], failed
    assert "STARTTLS" in failed[1]["why"] and "535" in failed[3]["why"] and not plain.mails, failed
    good.refuse = "451 later"
    plain_wish = {k: v for k, v in {**wish, "server": f"127.0.0.1:{plain.port}", "tls": "none"}.items() if k not in ("user", "password")}
    said = relay.run(told, {**told, "parameters": plain_wish})
    assert said[0]["error"] == "rate_limited" and "451 later" in said[0]["why"] and not said[1]["error"] and len(plain.mails) == 1, said
    syslog = {"channel": "log", "subject": NASTY, "text": TEXT, "object_name": 'a"]\\ b', "parameters": {"server": f"tls://127.0.0.1:{log.tls}"}}
    relay.ok(syslog, {**syslog, "id": "n2", "state": "resolved", "parameters": {"server": f"udp://127.0.0.1:{log.udp}", "facility": "4"}})
    one, two = wait.until(lambda: (lambda m: m if len(m) == 2 else None)(sorted(log.messages(), key=lambda m: m["msgid"])), "both messages", 15)
    assert (one["app"], one["msgid"], one["host"], int(one["pri"])) == ("certwright", "opened", "h", 16 * 8 + 2) and int(two["pri"]) == 4 * 8 + 5
    assert PLAIN + ': one "two" \\ {id} {{x}} </b>  31m' in one["msg"] and 'id="n1" key="a1"' in one["sd"] and 'object="a\\"\\]\\\\ b"' in one["sd"], one
    (said,) = relay.run({**syslog, "channel": "strange-log"})
    assert said["error"] == "tls", said


def events(hub, after=0):
    return [(e["event"], e.get("object")) for e in hub.unix("GET", f"/api/v1/events?limit=500&after={after}").json()["items"]]


def later(hub, seconds):
    """The agent waits for what was due when it asked: something that is due now has it ask again."""
    hub.move_clock(seconds)
    hub.unix("POST", "/api/v1/channels/hook/test")


def notifications(hub, **query):
    return hub.unix("GET", "/api/v1/notifications?" + "&".join(f"{k}={v}" for k, v in query.items())).json()["items"]


@pytest.mark.one_engine
def test_people_are_told_once_they_want_it_and_what_fails_is_told_elsewhere(make_hub, folder, servers):
    mail, hook = Smtp(folder), Webhook(folder)
    servers += [mail, hook]
    rows = {**credential(folder, "mail-password", PASSWORD, f"127.0.0.1:{mail.port}"), **rows_of(folder, hook)}
    hub = make_hub(credentials=rows, channels={"mail": {"use": "smtp", "hosts": [f"127.0.0.1:{mail.port}"], "to": ["example.org"], "roots": str(mail.roots)}, "webhook": {}})
    sets = [f"--set={k}={v}" for k, v in {"server": f"127.0.0.1:{mail.port}", "from": "certwright@example.org", "user": USER, "password": "mail-password"}.items()]
    hub.ok("channel", "add", "ops", "--kind", "mail", "--to", "ops@EXAMPLE.org", "--daily", *sets)
    # Nothing but a code goes to an address before it is confirmed; the code is in the mail alone.
    wait.until(lambda: mail.to("ops@example.org"), "the code has come", 20)
    code = re.search(r"channel confirm ops (\d{8})", mail.to("ops@example.org")[0].get_body(("plain",)).get_content())[1]
    assert hub.show("channel", "ops")["state"] == "unconfirmed"
    assert "no address of channel ops is confirmed" in hub.cw("channel", "test", "ops").err
    assert hub.cw("channel", "confirm", "ops", "00000000" if code != "00000000" else "1").code != 0
    assert code not in json.dumps(notifications(hub)) + json.dumps(hub.audit())
    hub.ok("channel", "confirm", "ops", code)
    assert hub.cw("channel", "confirm", "ops", code).code != 0, "a code is good once"
    assert "works" in hub.ok("channel", "test", "ops").out
    assert [m["Subject"] for m in mail.to("ops@example.org")] == ["Confirm that ops tells you of certificates", "Test of channel ops"]
    # One that does not work says so at once, and keeps the others from nothing.
    hub.ok("channel", "add", "hook", "--kind", "webhook", *(f"--set={k}={v}" for k, v in hook.parameters().items()), "--daily")
    assert "works" in hub.ok("channel", "test", "hook").out and not hook.wrong, hook.wrong
    mail.refuse = "550 nobody here"
    done = hub.cw("channel", "test", "ops")
    assert done.code != 0 and "550 nobody here" in done.err, done
    hook.off_s = 10 * 86400
    # A day later both have a sign of life to tell; the hook's comes, the mail's is tried again until it works, and is the same.
    later(hub, 86400 + 60)
    (alive,) = wait.until(lambda: [n for n in notifications(hub, channel="ops") if n["what"] == "alive" and n["tries"] == 1], "the sign of life was tried", 20)
    wait.until(lambda: [g for g in hook.got if g[0] == "alive"], "the hook has its own", 20)
    assert alive["state"] == "waiting" and alive["last_error"]["code"] == "bad_answer"
    later(hub, 86400 + 180)
    wait.until(lambda: ("channel.failing", "ops") in events(hub), "it is told that the channel fails", 20)
    wait.until(lambda: [g for g in hook.got if g[0] == "opened" and "ops" in g[1]], "the other channel tells it", 20)
    assert "channel ops delivers nothing" in hub.ok("status").out + hub.cw("status").err
    mail.refuse = None
    later(hub, 86400 + 1000)
    wait.until(lambda: ("channel.healthy", "ops") in events(hub), "it works again", 20)
    (sent,) = notifications(hub, channel="ops", state="sent", limit=1)
    assert (sent["id"], sent["what"]) == (alive["id"], "alive") and mail.to("ops@example.org")[-1]["X-Certwright-Notification"] == alive["id"]
    # What nobody takes for a day is dead, and is sent again when somebody says so.
    mail.stop()
    days = 3
    later(hub, days * 86400)
    wait.until(lambda: [n for n in notifications(hub, channel="ops", state="waiting") if n["tries"]], "the next one is tried", 20)
    later(hub, (days + 2) * 86400)
    (dead,) = wait.until(lambda: [n for n in notifications(hub, channel="ops", state="dead") if n["what"] == "alive"], "it is dead", 20)
    assert dead["last_error"]["code"] in ("unreachable", "timeout") and "did not arrive" in hub.cw("status").out
    mail.start()
    hub.ok("channel", "resend", dead["id"])
    wait.until(lambda: [m for m in mail.to("ops@example.org") if m["X-Certwright-Notification"] == dead["id"]], "it comes after all", 20)
    wait.until(lambda: not [n for n in notifications(hub, state="dead") if n["id"] == dead["id"]], "and is no dead letter any more", 20)
    hub.ok("channel", "edit", "ops", "--to", "dba@example.org")
    assert hub.show("channel", "ops")["state"] == "unconfirmed"
    hub.ok("channel", "remove", "ops")
    assert [c["name"] for c in hub.ok("channel", "list", "-o", "json").json()] == ["hook"] and PASSWORD not in hub.text()


def test_another_team_neither_sees_nor_hears(make_hub, folder, servers):
    hook = Webhook(folder)
    servers.append(hook)
    hub = make_hub(credentials=rows_of(folder, hook), channels={"webhook": {}})
    sets = [f"--set={k}={v}" for k, v in hook.parameters().items()]
    for team in ("blue", "red"):
        hub.ok("team", "add", team)
    agent = hub.unix("GET", "/api/v1/agents").json()["items"][0]["name"]
    hub.ok("channel", "add", "blues", "--kind", "webhook", "--team", "blue", "--agent", agent, *sets)
    hub.ok("channel", "test", "blues")
    other = hub.unix("POST", "/api/v1/tokens", {"name": "red", "team": "red", "role": "operator"}).json()["token"]
    own = hub.unix("POST", "/api/v1/tokens", {"name": "blue", "team": "blue", "role": "operator"}).json()["token"]
    told = notifications(hub)[0]["id"]
    for method, url, body in [("GET", "/api/v1/channels/blues", None), ("PATCH", "/api/v1/channels/blues", {"daily": True}), ("POST", "/api/v1/channels/blues/test", None),
                              ("POST", "/api/v1/channels/blues/confirm", {}), ("DELETE", "/api/v1/channels/blues", None),
                              ("GET", f"/api/v1/notifications/{told}", None), ("POST", f"/api/v1/notifications/{told}/send", None)]:
        assert hub.https(method, url, body, token=other).status_code == 404, (method, url)
    for url in ("/api/v1/channels", "/api/v1/notifications", "/api/v1/notifications?channel=blues"):
        assert hub.https("GET", url, token=other).json()["items"] == [] and len(hub.https("GET", url, token=own).json()["items"]) == 1


@pytest.mark.one_engine
def test_what_was_told_when_its_agent_died_is_told_again_with_the_same_id(make_hub, folder, servers):
    hook = Webhook(folder)
    servers.append(hook)
    hook.off_s = 600
    hub = make_hub(start=False, credentials=rows_of(folder, hook), channels={"webhook": {}})
    hub.start(failpoint="agent:agent.notify_told=kill")
    hub.ok("channel", "add", "hook", "--kind", "webhook", *(f"--set={k}={v}" for k, v in hook.parameters().items()))
    told = hub.unix("POST", "/api/v1/channels/hook/test").json()["id"]
    wait.until(lambda: hook.got, "it was told", 20)
    hub.move_clock(90)  # the lease of the one that died is over
    wait.until(lambda: [n for n in notifications(hub) if (n["id"], n["state"]) == (told, "sent")], "the hub knows", 30)
    assert [c.headers["webhook-id"] for c in hook.calls] == [told] * 2 and not hook.wrong, hook.wrong
