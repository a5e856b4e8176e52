"""The policy: one document that says what may be asked for; its versions, what it would do, and what it says to whom."""
import datetime
import http.client
import json
import socket
from pathlib import Path

import pytest

from lib import pki, wait

ROOT = Path(__file__).resolve().parents[2]
POLICY = """version: 1
names: {shop: [shop.example.org], everyone: [example.org]}
wildcards: approve
rules:
  - name: payment
    teams: [shop]
    when: {names_under: [pay.shop.example.org]}
    approve: {count: 2, role: approver, because: payment is looked at by two}
  - name: nothing is revoked
    for: [revoke]
    forbid: call the desk
"""


def written(hub, text, name="policy.yaml"):
    path = hub.folder / name
    path.write_text(text)
    return path


def explain(hub, *argv):
    return hub.ok("policy", "explain", *argv, "-o", "json").json()


def asker(hub, role, team):
    """Somebody with a token, over the admin socket."""
    token = hub.unix("POST", "/api/v1/tokens", {"name": f"{role}-{team}", "role": role, "team": team}).json()["token"]

    def ask(method, path, body=None):
        c = http.client.HTTPConnection("hub", timeout=30)
        c.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        c.sock.connect(str(hub.admin))
        try:
            c.request(method, path, None if body is None else json.dumps(body),
                      {"Authorization": f"Bearer {token}", **({"Content-Type": "application/json"} if body is not None else {})})
            answer = c.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            c.close()
    return ask


@pytest.fixture(scope="module")
def peopled(hub_maker):
    """A hub with two teams and some certificates that nobody deploys."""
    hub = hub_maker()
    for team in ("shop", "press", "platform"):
        hub.ok("team", "add", team)
    for name, *more in (("www.shop.example.org", "--team", "shop"), ("pay.shop.example.org", "--team", "shop"), ("www.example.com", "--team", "press"),
                        ("*.example.org", "--name", "star", "--team", "press"), ("root.example.org",)):
        hub.ok("cert", "add", name, *more)
    return hub


def test_a_document_is_checked_tried_put_and_put_back(peopled):
    hub = peopled
    # Nothing is there: everything is allowed.
    assert "everything is allowed" in hub.ok("policy", "show").out
    assert explain(hub, "www.elsewhere.com") == {"verdict": "allowed", "version": 0}
    # What is wrong is told all at once, with its place; of a file that is not put.
    bad = hub.cw("policy", "check", written(hub, "version: 1\nkeys: [ec-p256, rsa-1]\nnames: {sales: [example.org]}\n"))
    assert bad.code != 0 and "line 2, column 17: rsa-1 is no kind of key" in bad.err and "sales" not in bad.err, bad
    bad = hub.cw("policy", "put", written(hub, "version: 1\nissuers: [nobody]\nnames: {sales: [example.org]}\nprofiles: x\nrules:\n  - {name: a, approve: {role: x}}\n"))
    assert bad.code != 0 and "line 3, column 9: no team is named sales" in bad.err and "3 more" in bad.err, bad
    # A trial says what it would do to what is there, and changes nothing.
    file = written(hub, POLICY)
    tried = hub.ok("policy", "check", file, "-o", "json").json()
    assert tried["looked"] == 5 and tried["problems"] == []
    assert {(r["name"], r["verdict"], r["certificates"]) for r in tried["rules"]} == {
        ("names", "forbidden", 1), ("wildcards", "approval", 1), ("payment", "approval", 1)}
    assert {(t["name"], t["verdict"], t["certificates"]) for t in tried["teams"]} == {
        ("press", "forbidden", 1), ("press", "approval", 1), ("shop", "approval", 1)}
    assert {(e["certificate"], e["rule"]) for e in tried["examples"]} == {("www.example.com", "names"), ("star", "wildcards"), ("pay.shop.example.org", "payment")}
    said = hub.ok("policy", "check", file, "--examples", "1").out
    assert "If the 5 managed certificates were asked for now" in said and said.count("payment") + said.count("star") >= 1, said
    # By pages of two, it is the same.
    pages, cursor = [], None
    while cursor is not None or not pages:
        pages.append(hub.unix("POST", "/api/v1/policy/check", {"document": POLICY, "limit": 2, **({"cursor": cursor} if cursor else {})}).json())
        cursor = pages[-1].get("next")
    assert len(pages) == 3 and sum(p["looked"] for p in pages) == 5 and sum(len(p["examples"]) for p in pages) == 3
    assert explain(hub, "www.elsewhere.com")["version"] == 0
    # In force, from the next question on.
    assert hub.ok("policy", "put", file, "--comment", "the first one").out == "Version 1 is in force.\n"
    assert hub.ok("policy", "show").out == POLICY
    assert explain(hub, "www.elsewhere.com", "--team", "press") == {
        "verdict": "forbidden", "rule": "names", "version": 1,
        "words": "www.elsewhere.com is not among the names of team everyone: example.org, with what is below them"}
    refused = hub.cw("cert", "add", "www.elsewhere.com", "--team", "press")
    assert refused.code != 0 and "not among the names of team everyone" in refused.err and hub.cw("cert", "show", "www.elsewhere.com").code == 4, refused
    refused = hub.cw("cert", "edit", "root.example.org", "--names", "root.example.org,www.elsewhere.com")
    assert refused.code != 0 and "not among the names of team everyone" in refused.err, refused
    hub.ok("cert", "renew", "www.example.com")  # what is there goes on
    assert explain(hub, "pay.shop.example.org", "--team", "shop") == {
        "verdict": "approval", "rule": "payment", "approvals": 2, "role": "approver", "version": 1, "words": "payment is looked at by two"}
    assert explain(hub, "a.shop.example.org", "--team", "shop")["verdict"] == "allowed"
    assert explain(hub, "--cert", "star")["rule"] == "wildcards" and explain(hub, "--cert", "star", "--act", "revoke")["words"] == "call the desk"
    assert "forbidden by names: " in hub.ok("policy", "explain", "x.com").out
    # A team is who was meant, whatever it is called later.
    hub.ok("team", "rename", "shop", "store")
    assert explain(hub, "pay.shop.example.org", "--team", "store")["rule"] == "payment"
    assert "no team is named shop" in hub.cw("policy", "check", file).err
    hub.ok("team", "rename", "store", "shop")
    # Two who edit: the second is told.
    second = written(hub, POLICY + "keys: [ec-p256]\n", "second.yaml")
    assert hub.ok("policy", "put", second, "--replaces", "1").out == "Version 2 is in force.\n"
    late = hub.cw("policy", "put", file, "--replaces", "1")
    assert late.code != 0 and "version 2 is in force, not 1" in late.err, late
    answer = hub.unix("PUT", "/api/v1/policy", {"document": POLICY}, {"If-Match": '"r1"'})
    assert answer.status_code == 412, answer.text
    assert hub.unix("GET", "/api/v1/policy").headers["ETag"] == '"r2"'
    assert hub.unix("PUT", "/api/v1/policy", {"document": POLICY + "keys: [ec-p256]\n"}, {"If-Match": '"r2"'}).json()["revision"] == 2  # nothing changed does nothing
    # Back to an older one: a version of its own, and all of them stay.
    assert explain(hub, "a.example.org", "--key-kind", "rsa-2048")["rule"] == "keys"
    hub.ok("policy", "put", "--version", "1")
    assert explain(hub, "a.example.org", "--key-kind", "rsa-2048")["verdict"] == "allowed"
    versions = hub.ok("policy", "versions", "-o", "json").json()
    assert [(v["version"], v["comment"], v["in_force"]) for v in versions] == [(3, "version 1 again", True), (2, "", False), (1, "the first one", False)]
    assert hub.ok("policy", "show", "--version", "2").out.endswith("keys: [ec-p256]\n") and hub.cw("policy", "show", "--version", "9").code == 4
    assert hub.unix("GET", "/api/v1/policy/versions/x").status_code == 404
    entry = next(e for e in hub.audit() if e["action"] == "policy.update")
    assert entry["object_id"] == "3" and json.loads(entry["detail"])["comment"] == "version 1 again", entry


def test_who_may_read_it_change_it_and_ask_it(peopled):
    hub = peopled
    hub.ok("policy", "put", written(hub, POLICY))
    viewer, inside, officer = asker(hub, "viewer", "everyone"), asker(hub, "viewer", "press"), asker(hub, "ca-officer", "press")
    assert viewer("GET", "/api/v1/policy")[0] == 200 and viewer("PUT", "/api/v1/policy", {"document": ""})[0] == 403
    # Within a team nobody reads what other teams are called, nor changes what holds for all; but everybody is told what it says to them.
    for ask in (inside, officer):
        assert [ask("GET", p)[0] for p in ("/api/v1/policy", "/api/v1/policy/versions", "/api/v1/policy/versions/1")] == [403] * 3
        assert ask("POST", "/api/v1/policy/check", {"document": ""})[0] == ask("PUT", "/api/v1/policy", {"document": ""})[0] == 403
        status, said = ask("POST", "/api/v1/policy/explain", {"names": ["*.example.org"]})
        assert status == 200 and said["verdict"] == "approval"
        assert ask("POST", "/api/v1/policy/explain", {"certificate": "www.shop.example.org"})[0] == 404
        assert ask("POST", "/api/v1/policy/explain", {"names": ["a.org"], "team": "shop"})[0] == 400
    status, tried = viewer("POST", "/api/v1/policy/check", {"document": POLICY})
    assert status == 200 and tried["looked"] == 5
    # The example of the manual is one that can be put.
    manual = (ROOT / "docs/POLICY.md").read_text()
    status, tried = viewer("POST", "/api/v1/policy/check", {"document": manual.split("```yaml\n")[1].split("```")[0]})
    assert status == 200 and tried["problems"] == [] and {r["name"] for r in tried["rules"]} >= {"names", "payment"}, tried


@pytest.mark.one_engine
def test_a_freeze_holds_renewals_back_and_lets_no_certificate_expire(hub):
    name = "www.example.org"
    hub.ok("cert", "add", name)

    def shown():
        return hub.show("cert", name)

    def at(text):
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")

    def move_to(when):
        hub.move_clock(int((when - pki.now()).total_seconds()))

    hub.settled(name)
    document = "version: 1\nfreezes:\n  - {name: long winter, from: 2020-01-01, to: 2060-01-01, renewals: true}\n"
    hub.ok("policy", "put", written(hub, document))
    assert explain(hub, "new.example.org")["rule"] == "freeze long winter"
    assert explain(hub, "--cert", name, "--act", "revoke")["verdict"] == "allowed"
    first = shown()
    move_to(at(first["renew_at"]) + datetime.timedelta(seconds=10))
    wait.until(lambda: "waits: held by freeze long winter" in hub.why(name), "its renewal is held back", 15)
    assert shown()["current_version"]["number"] == 1 and not any(c["type"] == "late" for c in shown()["conditions"])
    # Under another document it is looked at again; what a rule forbids ends, and that is told.
    hub.ok("policy", "put", written(hub, "version: 1\nrules:\n  - {name: retired, for: [renew], forbid: nobody needs it}\n"))
    wait.until(lambda: "rule retired of the policy forbids it (nobody needs it)" in hub.why(name), "it is forbidden", 15)
    assert any("rule retired" in p["text"] for p in hub.ok("status", "-o", "json").json()["problems"] if p["object"] == name)
    # In the last tenth of its life it goes on, freeze or not.
    hub.ok("policy", "put", "--version", "1")
    begin, end = (at(first["current_version"][k]) for k in ("not_before", "not_after"))
    move_to(end - (end - begin) / 10 + datetime.timedelta(minutes=10))
    wait.until(lambda: shown()["current_version"]["number"] == 2, "it is renewed in time", 15)
    assert "held" not in hub.why(name) and explain(hub, "new.example.org")["rule"] == "freeze long winter"
