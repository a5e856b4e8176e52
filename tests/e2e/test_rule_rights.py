"""Rules and reports do what whoever wrote them may do then, ask people where they may not, and write to nobody who does not want it."""
import json
import re

import pytest

from lib import pki, wait
from lib.channels import PASSWORD, USER, Smtp
from test_adopt import SHOP, certbot_files, find
from test_channels import credential
from test_requests import Person, must
from test_rules import A, PAUSED, alerts, cert, channel, closed, of, opened, quiet, rule, told, whats  # noqa: F401

POLICY = "version: 1\nrules:\n  - name: one looks\n    for: [renew]\n    approve: {count: 1}\n"


def by(person, name, **spec):
    """A rule that somebody wrote."""
    return must(person("POST", "/rules", {"name": name, "spec": spec}))


def waiting(hub):
    return hub.unix("GET", "/api/v1/requests?state=waiting").json()["items"]


def noted(hub, name, text):
    return wait.until(lambda: [a for a in of(hub, name) if text in a.get("note", "")], f"the alert of {name} says: {text}", 15)[0]


def test_what_a_rule_asks_for_others_than_its_editor_decide(quiet):  # noqa: F811
    hub = quiet
    hub.ok("rule", "disable", "renewal-paused")
    assert hub.unix("PUT", "/api/v1/policy", {"document": POLICY}).status_code == 200
    edda, cora = Person(hub, "edda", ("operator", "everyone"), ("approver", "everyone")), Person(hub, "cora", ("approver", "everyone"))
    by(edda, "act", **PAUSED, steps=[{"action": "renew"}, {"notify": "team"}])
    by(edda, "found", where="not managed and name = shop.example.org", every="1h", steps=[{"action": "request", "issuer": "ca"}])
    hub.ok("cert", "pause", A, "--reason", "work")
    alert = noted(hub, "act", "waits for approval")
    wait.until(lambda: whats(hub, alert["id"]) == [("opened", "ops")], "its steps go on", 15)
    (asked,) = waiting(hub)
    assert (asked["requester"], asked["kind"], asked["rule"]) == ("rule:act", "renew", "one looks"), asked
    refused = edda.approve(asked)
    assert refused.status == 403 and "nobody decides on their own request" in refused.text, refused.text
    hub.ok("cert", "resume", A)
    assert must(cora.approve(asked))["state"] == "done"
    wait.until(lambda: hub.show("cert", A)["current_version"]["number"] == 2, "it was renewed", 15)
    # A certificate for what was found is nothing that a rule gets by itself, even where policy wants nobody to look.
    (hub.folder / "shop.pem").write_bytes(pki.pem(pki.self_signed([SHOP], days=3)[0]))
    hub.ok("import", hub.folder / "shop.pem")
    hub.move_clock(3700)
    alert = noted(hub, "found", "people decide")
    (asked,) = waiting(hub)
    assert (asked["requester"], asked["kind"], asked["object"]) == ("rule:found", "create", SHOP), asked
    assert edda.approve(asked).status == 403
    # Who asked in the end is the rule, with the rights of its editor at that time.
    hub.unix("PATCH", "/api/v1/users/edda", {"state": "disabled"})
    assert "edda has left, was disabled" in json.dumps(must(cora.approve(asked)))
    assert must(hub.unix("GET", f"/api/v1/requests/{asked['id']}"))["state"] == "failed" and hub.cw("cert", "show", SHOP).code == 4


def test_what_somebody_left_behind_goes_on_in_nobodys_name(quiet):  # noqa: F811
    hub = quiet
    hub.ok("rule", "disable", "renewal-paused")
    edda = Person(hub, "edda", ("operator", "everyone"))
    by(edda, "act", **PAUSED, steps=[{"action": "tag", "tags": ["stopped"]}, {"notify": "team"}])
    must(edda("POST", "/report-schedules", {"name": "weekly", "report": "expiry", "every_s": 3600}))
    wait.until(lambda: [n for n in told(hub) if "Expiry" in n["subject"] or "xpir" in n["subject"]], "the first report is told", 15)
    hub.ok("cert", "pause", A, "--reason", "work")
    opened(hub, "act")
    print_ = hub.show("cert", A)["current_version"]["fingerprint"]

    def tags():
        return hub.unix("GET", f"/api/v1/certificates/{print_}").json().get("tags", [])
    wait.until(lambda: tags() == ["stopped"], "the rule acts", 15)
    hub.ok("cert", "resume", A)
    closed(hub, "act")
    hub.ok("cert", "assign", print_, "--untag", "stopped")
    for grant in hub.unix("GET", "/api/v1/users/edda").json()["grants"]:
        must(hub.unix("DELETE", f"/api/v1/users/edda/grants/{grant['id']}"))
    hub.ok("cert", "pause", A, "--reason", "work")
    alert = noted(hub, "act", "user:edda has lost a right that it needs")
    wait.until(lambda: whats(hub, alert["id"]) == [("opened", "ops")], "its team is told all the same", 15)
    assert tags() == []
    hub.move_clock(3700)
    halted = wait.until(lambda: len(of(hub, "rule-halted")) == 2 and of(hub, "rule-halted"), "of both there is an alert", 15)
    assert sorted((a["object_kind"], a["object"]) for a in halted) == [("report", "weekly"), ("rule", "act")]
    status = hub.cw("status").out
    assert "rule act only tells its team" in status and "certwright rule enable act" in status, status
    assert "report weekly is not sent" in status and "certwright report unschedule weekly" in status, status
    assert "lost a right" in hub.show("rule", "act")["halted"]
    # Somebody who may takes it over; a new name alone would not do.
    must(hub.unix("PATCH", "/api/v1/rules/act", {"name": "acts"}))
    assert hub.show("rule", "acts")["halted"] and hub.show("rule", "acts")["edited_by"] == "token:of-edda"
    hub.ok("rule", "enable", "acts")
    hub.ok("report", "unschedule", "weekly")
    wait.until(lambda: not of(hub, "rule-halted"), "it is over", 15)
    hub.ok("cert", "resume", A)
    closed(hub, "act")
    hub.ok("cert", "pause", A, "--reason", "work")
    wait.until(lambda: tags() == ["stopped"], "the rule acts again", 15)


@pytest.mark.one_engine
def test_a_rule_takes_over_what_another_client_renews(make_hub):
    hub = make_hub(start=False)
    hub.host = hub.folder / "host"
    hub.host.mkdir()
    certbot_files(hub.host)
    hub.agent_settings["inventory"] = {"usual": False, "folders": [str(hub.host)]}
    hub.agent_settings["paths"] += [str(hub.host)]
    hub.write_agent()
    hub.start()
    find(hub)
    rule(hub, "whose", where=f"not managed and name = {SHOP}", steps=[{"action": "adopt"}])
    assert "which no issuer here is for" in noted(hub, "whose", "adopt did not work")["note"]
    rule(hub, "take", where=f"not managed and name = {SHOP}", steps=[{"action": "adopt", "issuer": "ca"}])
    wait.until(lambda: "autorenew = False" in (hub.host / "renewal" / f"{SHOP}.conf").read_text(), "certbot leaves it alone", 30)
    assert hub.show("cert", SHOP)["names"] == [SHOP]
    assert [e["principal"] for e in hub.audit() if e["action"] == "adoption.adopt"] == ["rule:take"]
    (hub.folder / "other.pem").write_bytes(pki.pem(pki.self_signed(["other.example.org"], days=3)[0]))
    hub.ok("import", hub.folder / "other.pem")
    rule(hub, "other", where="name = other.example.org", steps=[{"action": "adopt"}])
    noted(hub, "other", "no agent that knows how has found it")


@pytest.mark.one_engine
def test_an_address_hears_from_rules_once_it_has_said_so(make_hub):
    hub = make_hub(start=False)
    mail = Smtp(hub.folder)
    try:
        hub.agent_settings["credentials"] = credential(hub.folder, "mail-password", PASSWORD, f"127.0.0.1:{mail.port}")
        hub.agent_settings["channels"] = {"mail": {"use": "smtp", "hosts": [f"127.0.0.1:{mail.port}"], "to": ["example.org"], "roots": str(mail.roots)}}
        hub.write_agent()
        hub.start()
        story_of_an_address(hub, mail)
    finally:
        mail.stop()


def code_of(mail, address, n=1):
    text = wait.until(lambda: len(mail.to(address)) >= n and mail.to(address)[n - 1], f"a code for {address}", 20).get_body(("plain",)).get_content()
    return re.search(r"channel confirm \S+ (\d{8})", text)[1]


def story_of_an_address(hub, mail):
    sets = [f"--set={k}={v}" for k, v in {"server": f"127.0.0.1:{mail.port}", "from": "certwright@example.org", "user": USER, "password": "mail-password"}.items()]
    hub.ok("channel", "add", "ops", "--kind", "mail", "--to", "ops@example.org", *sets)
    hub.ok("channel", "confirm", "ops", code_of(mail, "ops@example.org"))
    hub.ok("rule", "disable", "renewal-paused")
    rule(hub, "up", **PAUSED, steps=[{"notify": "boss@EXAMPLE.org"}])
    rule(hub, "own", **PAUSED, steps=[{"notify": "owner"}])
    cert(hub, A)
    hub.settled(A)
    hub.ok("cert", "assign", hub.show("cert", A)["current_version"]["fingerprint"], "--owner", "boss@example.org")
    hub.ok("cert", "pause", A, "--reason", "work")
    code = code_of(mail, "boss@example.org")
    note = noted(hub, "up", "boss@example.org has not confirmed")["note"]
    assert "the team's channel was told" in note and "certwright channel confirm boss@example.org CODE" in note, note
    wait.until(lambda: [m for m in mail.to("ops@example.org") if A in m["Subject"]], "the team's channel is told instead", 20)
    both = note + noted(hub, "own", "boss@example.org")["note"]
    assert len(mail.to("boss@example.org")) == 1 and "which was sent a code" in both and "a code was sent there" in both, "one code for both"
    assert code not in json.dumps(hub.unix("GET", "/api/v1/notifications").json()) + json.dumps(hub.audit())
    # Nobody can have a stranger flooded with codes: the pause grows, whoever asks, and there is a ceiling a day.
    early = hub.cw("channel", "confirm", "boss@example.org")
    assert early.code != 0 and "another one can be in" in early.err, early
    sent = 1
    for later in (70, 80, 200, 330, 600, 900, 1800):
        hub.move_clock(later)
        sent += hub.cw("channel", "confirm", "boss@example.org").code == 0
    assert sent == 5, sent
    hub.ok("channel", "edit", "ops", "--to", "ops@example.org", "--to", "boss@example.org")  # nor by way of a channel
    assert hub.cw("channel", "confirm", "ops").code != 0
    hub.ok("channel", "edit", "ops", "--to", "ops@example.org")
    wrong = hub.cw("channel", "confirm", "boss@example.org", code)
    assert wrong.code != 0 and "no longer" in wrong.err, "a new code is the one that holds"
    hub.ok("channel", "confirm", "boss@example.org", code_of(mail, "boss@example.org", 5))
    (shown,) = hub.ok("channel", "addresses", "-o", "json").json()
    assert (shown["address"], shown["confirmed"]) == ("boss@example.org", True) and shown["asked_by"] in ("rule up", "rule own"), shown
    hub.ok("cert", "resume", A)
    closed(hub, "up")
    hub.ok("cert", "pause", A, "--reason", "again")
    wait.until(lambda: len([m for m in mail.to("boss@example.org") if "is paused" in m["Subject"]]) >= 2, "the address is told, of both rules", 20)
    # What the channel may not do is said in its words.
    mail.refuse = "550 nobody here"
    assert "550 nobody here" in hub.cw("channel", "test", "ops").err
    hub.ok("channel", "add", "far", "--kind", "mail", "--to", "x@example.net", *sets)
    why = "channel mail may not write to x@example.net"
    wait.until(lambda: why in json.dumps(hub.unix("GET", "/api/v1/notifications?channel=far").json()), "the agent refuses", 20)
    hub.ok("channel", "forget", "boss@example.org")
    assert hub.ok("channel", "addresses", "-o", "json").json() == []


@pytest.mark.one_engine
def test_so_often_within_a_time_and_no_more_lines_than_somebody_reads(quiet):  # noqa: F811
    hub = quiet
    hub.ok("rule", "disable", "renewal-paused")
    rule(hub, "often", on=PAUSED["on"], times=2, within="1h")
    if not hub.conninfo:
        rule(hub, "many", on=["issuer.failing"], digest="1h")

    def again():
        hub.ok("cert", "resume", A)
        hub.ok("cert", "pause", A, "--reason", "again")
    hub.ok("cert", "pause", A, "--reason", "work")
    hub.move_clock(2 * 3600)
    again()
    other = "b.example.org"
    cert(hub, other)
    hub.ok("cert", "pause", other, "--reason", "mark")
    hub.ok("cert", "resume", other)
    hub.ok("cert", "pause", other, "--reason", "mark")
    assert [a["object"] for a in opened(hub, "often")] == [other], "the first time of A was too long before"
    again()
    assert {a["object"] for a in opened(hub, "often", 2)} == {A, other}
    if hub.conninfo:
        return  # the entries are put into the file of SQLite
    from test_rules import storm
    for i in range(53):
        storm(hub, 1, "issuer.failing", "issuer", f"issuer-{i}")
    opened(hub, "many", 53)
    wait.until(lambda: not [a for a in of(hub, "many") if "next_at" in a], "all wait for the digest", 15)
    hub.move_clock(3 * 3600 + 60)
    (digest,) = wait.until(lambda: [n for n in told(hub) if "53 alerts of rule many" in n["subject"]], "the digest", 15)
    assert digest["text"].count("- issuer ") == 50 and "and 3 more" in digest["text"], digest["text"]
