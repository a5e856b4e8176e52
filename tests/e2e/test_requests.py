"""Requests: who wants something that policy wants approved asks, others approve, and then it is done, with the rights of who asked."""
import concurrent.futures
import http.client
import json
import socket

import pytest

from lib import wait

POLICY = """version: 1
rules:
  - name: payment
    when: {names_under: [pay.example.org]}
    approve: {count: 2, role: approver, because: payment is looked at by two}
  - name: one looks
    for: [create, change, renew, revoke]
    when: {names_under: [one.example.org]}
    approve: {count: 1}
  - name: never
    when: {names_under: [never.example.org]}
    forbid: nobody has these names; take one below one.example.org
"""
DAY = 86400


class Person:
    """Somebody with an account and a token of it, over the admin socket."""

    def __init__(self, hub, name, *grants, kind="person"):
        self.hub, self.name = hub, name
        must(hub.unix("POST", "/api/v1/users", {"name": name, "kind": kind}))
        for role, team in grants:
            must(hub.unix("POST", f"/api/v1/users/{name}/grants", {"role": role, "team": team}))
        self.token = must(hub.unix("POST", "/api/v1/tokens", {"name": f"of-{name}", "user": name}))["token"]
        self.file = hub.folder / f"{name}.token"
        self.file.write_text(self.token)

    def __call__(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("hub", timeout=60)
        c.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        c.sock.connect(str(self.hub.admin))
        try:
            headers = {"Authorization": f"Bearer {self.token}", **(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
            c.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
            answer = c.getresponse()
            answer.text = answer.read().decode()
            return answer
        finally:
            c.close()

    def json(self, path):
        return must(self("GET", path))

    def cw(self, *argv):
        return self.hub.cw(*argv, env={"CERTWRIGHT_TOKEN_FILE": str(self.file)})

    def approve(self, request, **more):
        return self("POST", f"/requests/{request['id']}/approve", {"hash": request["hash"], **more})


def must(answer, *status):
    code = answer.status_code if hasattr(answer, "status_code") else answer.status
    assert code in (status or (200, 201, 202, 204)), (code, answer.text)
    return json.loads(answer.text) if answer.text else None


def put_policy(hub, text):
    must(hub.unix("PUT", "/api/v1/policy", {"document": text}))


@pytest.fixture(scope="module")
def office(hub_maker):
    """A hub with two teams, their people and a policy."""
    hub = hub_maker()
    for team in ("shop", "press"):
        hub.ok("team", "add", team)
    put_policy(hub, POLICY)
    hub.anna = Person(hub, "anna", ("requester", "shop"))
    hub.bert, hub.cora = Person(hub, "bert", ("approver", "shop")), Person(hub, "cora", ("approver", "everyone"))
    hub.dora = Person(hub, "dora", ("approver", "press"), ("requester", "press"))
    hub.both = Person(hub, "both", ("operator", "shop"), ("approver", "shop"))
    hub.robot = Person(hub, "robot", ("approver", "shop"), kind="service")
    must(hub.unix("POST", "/api/v1/roles", {"name": "asker", "permissions": ["request.create", "request.read"]}))
    hub.only = Person(hub, "only", ("asker", "shop"), ("viewer", "shop"))
    return hub


def wish(hub, name, **more):
    """A certificate for the files connector."""
    target = must(hub.unix("POST", "/api/v1/targets", {"name": f"t-{name}", "connector": "files", "team": "shop",
                                                       "parameters": {"fullchain": f"{hub.files}/{name}.pem"}}))
    return {"names": [name], "targets": [target["name"]], **more}


def ask(person, name, **more):
    return must(person("POST", "/managed-certificates", {"names": [name], **more}), 202)


def served(hub, name):
    hub.settled(name)
    return "BEGIN CERTIFICATE" in (hub.files / f"{name}.pem").read_text()


def test_who_asks_is_heard_when_others_have_approved(office):
    name, anna = "a.pay.example.org", office.anna
    answer = anna("POST", "/managed-certificates", wish(office, name), {"Idempotency-Key": "k1"})
    asked = must(answer, 202)
    assert answer.headers["Location"] == f"/api/v1/requests/{asked['id']}"
    assert (asked["state"], asked["needs"], asked["missing"], asked["role"], asked["rule"]) == ("waiting", 2, 2, "approver", "payment"), asked
    assert asked["wanted"]["names"] == [name] and asked["mine"] and not asked["my_turn"] and asked["approvers"] == ["bert", "both", "cora"], asked
    # The same again is the same, with its key and without.
    again = anna("POST", "/managed-certificates", {"names": [name], "targets": [f"t-{name}"]}, {"Idempotency-Key": "k1"})
    assert must(again, 202)["id"] == asked["id"]
    assert ask(anna, name, targets=[f"t-{name}"])["id"] == asked["id"]
    assert office.unix("GET", f"/api/v1/managed-certificates/{name}").status_code == 404
    # Not who asked, not a program, not another team, not for something else.
    assert must(anna.approve(asked), 403)["detail"].startswith("nobody decides on their own request")
    assert "not a person" in must(office.robot.approve(asked), 403)["detail"]
    assert must(office.dora("GET", f"/requests/{asked['id']}"), 404) and must(office.dora.approve(asked), 404)
    assert office.dora.json("/requests")["items"] == [] and office.dora.json("/requests?my_turn=true")["items"] == []
    assert must(office.bert.approve({**asked, "hash": "00" * 32}), 412) and must(office.bert("POST", f"/requests/{asked['id']}/approve", {}), 400)
    assert [r["id"] for r in office.bert.json("/requests?my_turn=true")["items"]] == [asked["id"]]
    half = must(office.bert.approve(asked, comment="looks fine"))
    assert (half["state"], half["approvals"], half["missing"], half["my_turn"]) == ("waiting", 1, 1, False), half
    assert must(office.bert.approve(asked), 409) and office.bert.json("/requests?my_turn=true")["items"] == []
    # Nor who made the token of a team that it was asked with.
    spare = must(office.cora("POST", "/tokens", {"name": "shop-ci", "team": "shop"}), 403) and must(office.unix("POST", "/api/v1/tokens", {"name": "shop-ci", "team": "shop"}))
    by = office.https("POST", "/api/v1/managed-certificates", {"names": ["ci.one.example.org"]}, token=spare["token"])
    ci = must(by, 202)
    assert office.unix("POST", f"/api/v1/requests/{ci['id']}/approve", {"hash": ci["hash"]}).status_code == 403
    assert office.unix("POST", f"/api/v1/requests/{asked['id']}/approve", {"hash": ci["hash"]}).status_code == 412
    must(office.bert("POST", f"/requests/{ci['id']}/refuse", {}))
    # It waits through anything.
    office.kill()
    office.start()
    assert anna.json(f"/requests/{asked['id']}")["approvals"] == 1
    done = must(office.cora.approve(asked))
    assert done["state"] == "done" and [s["who"] for s in done["said"]] == ["token:of-bert", "token:of-cora"], done
    assert served(office, name)
    made = next(e for e in office.audit() if e["action"] == "managed-certificate.create")
    assert made["principal"] == "token:of-anna" and json.loads(made["detail"])["approved_by"] == "token:of-bert, token:of-cora", made
    assert done["result_id"] == office.show("cert", name)["id"] and must(office.cora.approve(asked), 409)
    # On the command line.
    assert [r["id"] for r in anna.json("/requests?mine=true&state=done")["items"]] == [asked["id"]]
    out = anna.cw("cert", "add", "b.one.example.org", "--no-wait")
    assert out.code == 5 and "b.one.example.org waits for approval by 1: certwright request show" in out.err, out
    one = out.err.split()[-1]
    assert "who may: bert, both, cora" in anna.cw("request", "show", one).out
    assert office.bert.cw("request", "approve", one, "--comment", "yes").code == 0
    waited = anna.cw("request", "show", one, "--wait")
    assert waited.code == 0 and "create b.one.example.org: done" in waited.out, waited
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(office.anna.cw, "cert", "add", "w.one.example.org", "--wait")
        turn = wait.until(lambda: office.bert.json("/requests?my_turn=true")["items"], "it is asked for", 15)
        assert must(office.bert.approve(turn[0]))["state"] == "done"
        assert waits.result(30).code == 0 and "w.one.example.org" in waits.result().out, waits.result()
    kinds = wait.until(lambda: {(e["event"], e.get("object")) for e in office.https("GET", "/api/v1/events?limit=1000").json()["items"]} >=
                       {("request.create", name), ("request.done", name)}, "it is told", 15)
    assert kinds


def test_what_is_forbidden_is_said_with_its_remedy_and_what_is_allowed_is_done(office):
    wrong = must(office.anna("POST", "/managed-certificates", {"names": ["x.never.example.org"]}), 403)
    assert wrong["type"].endswith("policy") and "rule never: nobody has these names; take one below one.example.org" in wrong["detail"], wrong
    must(office.anna("POST", "/requests", {"kind": "create", "certificate": {"names": ["x.never.example.org"]}}), 403)
    plan = must(office.anna("POST", "/managed-certificates/plan", {"names": ["x.pay.example.org"]}))
    assert any(s["what"] == "policy" and "2 of approver" in s["detail"] for s in plan["steps"]), plan
    # Asked for and allowed is done at once; but not for one who may only ask, or who wants it looked at.
    done = must(office.anna("POST", "/requests", {"kind": "create", "certificate": {"names": ["free.example.org"]}}), 201)
    assert (done["state"], done["needs"]) == ("done", 0) and office.show("cert", "free.example.org")["id"] == done["result_id"]
    assert must(office.only("POST", "/managed-certificates", {"names": ["free2.example.org"]}), 403)
    asked = must(office.only("POST", "/requests", {"kind": "create", "certificate": {"names": ["free2.example.org"]}}), 201)
    assert (asked["state"], asked["needs"]) == ("waiting", 1), asked
    assert must(office.bert.approve(asked))["state"] == "done" and office.show("cert", "free2.example.org")["team"] == "shop"
    out = office.anna.cw("cert", "add", "free3.example.org", "--ask", "--comment", "please", "--no-wait")
    assert out.code == 5 and office.anna.json("/requests?mine=true")["items"][0]["comment"] == "please", out
    # Renewal, change and revocation by hand.
    office.settled("b.one.example.org")
    for method, path, body, kind in (("POST", "/renew", None, "renew"), ("PATCH", "", {"names": ["b.one.example.org", "c.one.example.org"]}, "change"),
                                     ("POST", "/revoke", {"reason": 9}, "revoke")):
        waits = must(office.both(method, f"/managed-certificates/b.one.example.org{path}", body), 202)
        assert waits["kind"] == kind and waits["object"] == "b.one.example.org", waits
        if kind == "change":
            assert waits["before"]["names"] == ["b.one.example.org"] and len(waits["wanted"]["names"]) == 2
        assert must(office.bert.approve(waits))["state"] == "done"
        office.settled("b.one.example.org")
    assert office.show("cert", "b.one.example.org")["names"] == ["b.one.example.org", "c.one.example.org"]
    # What was changed meanwhile by somebody else is not undone by an older request.
    old, new = (must(office.both("PATCH", "/managed-certificates/b.one.example.org", {"renewal": {"at_percent": p}}), 202) for p in (50, 60))
    assert must(office.bert.approve(new))["state"] == "done"
    failed = must(office.bert.approve(old))
    assert failed["state"] == "failed" and failed["error_code"] == "changed" and "ask again" in failed["error"], failed
    versions = must(office.unix("GET", "/api/v1/managed-certificates/b.one.example.org/versions"))["items"]
    assert len(versions) >= 3 and any("revoked_at" in v for v in versions), versions


def test_an_approval_is_for_what_was_seen_and_for_who_may_still(office):
    asked = ask(office.anna, "e.pay.example.org")
    must(office.bert.approve(asked))
    assert must(office.bert("PUT", f"/requests/{asked['id']}", {"certificate": {"names": ["f.pay.example.org"]}}), 403)
    edited = must(office.anna("PUT", f"/requests/{asked['id']}", {"certificate": {"names": ["e.pay.example.org", "f.pay.example.org"]}}))
    assert edited["hash"] != asked["hash"] and edited["approvals"] == 0 and edited["missing"] == 2 and not edited["said"][0]["counts"], edited
    assert must(office.cora.approve(asked), 412)
    must(office.bert.approve(edited))
    # What it was changed to needs nobody: it is done.
    free = ask(office.anna, "d.one.example.org")["id"]
    assert must(office.anna("PUT", f"/requests/{free}", {"certificate": {"names": ["free4.example.org"]}}))["state"] == "done"
    assert office.show("cert", "free4.example.org") and office.unix("GET", "/api/v1/managed-certificates/d.one.example.org").status_code == 404
    # Its profile is another by now: what was approved is not what would be done.
    must(office.unix("POST", "/api/v1/profiles", {"name": "short", "usage": "tls-server", "validity_s": 10 * DAY, "team": "shop"}))
    short = ask(office.anna, "g.one.example.org", profile="short")
    must(office.unix("PATCH", "/api/v1/profiles/short", {"validity_s": 20 * DAY}))
    assert "its profile was changed" in must(office.bert.approve(short), 412)["detail"]
    now = office.bert.json(f"/requests/{short['id']}")
    assert now["state"] == "waiting" and now["hash"] != short["hash"] and now["wanted"]["validity_s"] == 20 * DAY and now["my_turn"], now
    assert must(office.bert("POST", f"/requests/{short['id']}/refuse", {"comment": "too long"}))["state"] == "refused"
    assert must(office.cora.approve(now), 409)
    # Bert's approval counts no more than Bert; Anna's wish no more than Anna.
    grant = must(office.unix("GET", "/api/v1/users/bert"))["grants"][0]["id"]
    must(office.unix("DELETE", f"/api/v1/users/bert/grants/{grant}"))
    assert must(office.cora.approve(edited))["approvals"] == 1
    must(office.unix("POST", "/api/v1/users/bert/grants", {"role": "approver", "team": "shop"}))
    token = must(office.unix("POST", "/api/v1/tokens", {"name": "gone", "user": "anna"}))
    person = office.anna.token, token["token"]
    office.anna.token = person[1]
    other = ask(office.anna, "h.one.example.org")
    office.anna.token = person[0]
    must(office.unix("DELETE", "/api/v1/tokens/gone"))
    failed = must(office.bert.approve(other))
    assert failed["state"] == "failed" and "revoked" in failed["error"], failed
    assert office.unix("GET", "/api/v1/managed-certificates/h.one.example.org").status_code == 404
    # Somebody who stands for another is that other one, once; never for who asked.
    erik = Person(office, "erik", ("viewer", "press"), ("viewer", "shop"))
    assert must(erik.approve(edited), 403)
    until = "2100-01-01T00:00:00Z"
    assert must(office.bert("PUT", "/delegations", {"to": "erik", "until": until}), 400)
    assert office.bert.cw("request", "delegate", "erik", "--for", "5d").code == 0
    assert [d["name"] for d in erik.json("/delegations")["others"]] == ["bert"]
    turn = [r["id"] for r in erik.json("/requests?my_turn=true")["items"]]
    assert edited["id"] in turn, turn
    # With a token that is for reading nothing is approved, in nobody's stead.
    reads = must(office.unix("POST", "/api/v1/tokens", {"name": "erik-reads", "user": "erik", "role": "viewer"}))["token"]
    whole, erik.token = erik.token, reads
    assert must(erik.approve(edited, on_behalf_of="bert"), 403)
    erik.token = whole
    done = must(erik.approve(edited, on_behalf_of="bert"))
    assert done["state"] == "done" and done["said"][-1]["on_behalf_of"] == "bert", done
    assert must(office.anna("POST", f"/requests/{asked['id']}/withdraw", {}), 409)


BACK = POLICY + """  - {name: no way back, for: [rollback], when: {names_under: [forward.roll.example.org]}, forbid: forward alone}
  - {name: eyes on going back, for: [rollback], when: {names_under: [roll.example.org]}, approve: {count: 1}}
  - {name: revoked by approvers, for: [revoke], when: {names_under: [roll.example.org]}, approve: {count: 1, role: approver}}
  - {name: renewed by officers, for: [renew], when: {names_under: [roll.example.org]}, approve: {count: 1, role: ca-officer}}
"""


def test_going_back_another_try_and_what_is_superseded_are_asked_for(office):
    name, forward, both, bert = "a.roll.example.org", "forward.roll.example.org", office.both, office.bert
    olga = Person(office, "olga", ("ca-officer", "shop"))

    def act(person, verb, of=name, body=None, status=202):
        return must(person("POST", f"/managed-certificates/{of}/{verb}", body), status)

    def number():
        return office.show("cert", name)["current_version"]["number"]

    def renewed(*names):
        for n in names:
            must(office.unix("POST", f"/api/v1/managed-certificates/{n}/renew"))
        for n in names:
            office.settled(n)
    for n in (name, forward):
        must(office.unix("POST", "/api/v1/managed-certificates", {"names": [n], "team": "shop"}))
        office.settled(n)
    renewed(name, forward)
    put_policy(office, BACK)
    assert "rule no way back: forward alone" in act(both, "rollback", forward, {}, 403)["detail"]
    assert act(both, "rollback", name, {"version": 7}, 404), "nobody is asked for what cannot be"
    asked = act(both, "rollback", name, {})
    assert (asked["kind"], asked["wanted"]["version"], asked["rule"]) == ("rollback", 1, "eyes on going back"), asked
    # Another one is current by now: it is another thing that is asked for, and is approved anew.
    put_policy(office, POLICY)
    renewed(name)
    put_policy(office, BACK)
    assert must(bert.approve(asked), 412) and number() == 3
    asked = both.json(f"/requests/{asked['id']}")
    assert asked["state"] == "waiting" and must(bert.approve(asked))["state"] == "done" and number() == 1
    # Another try is a renewal by hand, with --now too.
    retry, now, again = act(both, "retry"), act(both, "now"), act(both, "retry")
    assert retry["kind"] == now["kind"] == "retry" and retry["id"] == again["id"] != now["id"] and retry["role"] == "ca-officer", (retry, now)
    assert must(bert.approve(retry), 403) and must(olga.approve(retry))["state"] == "done"
    failed = must(olga.approve(now))
    assert failed["state"] == "failed" and "maintenance window" in failed["error"], failed
    # What is superseded is revoked and renewed: both have to be met; a key that is lost is revoked.
    lost = act(both, "revoke", forward, {"reason": 1})
    assert lost["role"] == "approver" and must(bert.approve(lost))["state"] == "done", lost
    asked = act(both, "revoke", name, {"reason": 4})
    assert asked["role"] == "approver" and must(olga.approve(asked), 403)
    half = must(bert.approve(asked))
    assert (half["state"], half["role"], half["rule"]) == ("waiting", "ca-officer", "renewed by officers"), half
    done = must(olga.approve(half))
    assert done["state"] == "done" and [s["counts"] for s in done["said"]] == [True, True], done
    office.settled(name)
    assert number() == 4


def test_what_a_bulk_operation_asked_for_is_withdrawn_with_it(office):
    names = [f"{c}.many.example.org" for c in "ab"]
    for n in names:
        must(office.unix("POST", "/api/v1/managed-certificates", {"names": [n], "team": "shop"}))
        office.settled(n)
    put_policy(office, POLICY + "  - {name: eyes, for: [renew], when: {names_under: [many.example.org]}, approve: {count: 1}}\n")
    dry = office.both.cw("cert", "bulk", "renew", *names, "--dry-run")
    assert f"policy: 2 wait for approval by 1 (eyes: 1 has to approve): {names[0]}, {names[1]}\n" in dry.out, dry
    assert office.both.cw("cert", "bulk", "renew", *names, "--name", "many", "--yes", "--no-wait").code == 0

    def members():
        return office.both.json("/bulk/many/members")["items"]
    wait.until(lambda: [m["state"] for m in members()] == ["running"] * 2, "both wait for approval", 15)
    own, shared = (m["why"].split()[-1] for m in members())
    assert must(office.anna("POST", f"/managed-certificates/{names[1]}/renew"), 202)["id"] == shared, "somebody else wants the same"
    seen = office.bert.json(f"/requests/{own}")
    must(office.both("POST", "/bulk/many/cancel"))
    gone = office.bert.json(f"/requests/{own}")
    assert (gone["state"], gone["error"]) == ("withdrawn", "many was cancelled") and must(office.bert.approve(seen), 409), gone
    assert [(m["state"], m["why"]) for m in members()][0] == ("failed", "many was cancelled")
    still = office.bert.json(f"/requests/{shared}")
    assert still["state"] == "waiting" and must(office.bert.approve(still))["state"] == "done"
    assert office.show("cert", names[0])["current_version"]["number"] == 1


def test_nobody_approves_what_they_asked_for_with_a_service_account(office):
    may = [f"{noun}.{verb}" for noun in ("token", "request", "managed-certificate") for verb in ("create", "read")]
    must(office.unix("POST", "/api/v1/roles", {"name": "maker", "permissions": may}))
    amos = Person(office, "amos", ("maker", "shop"), ("approver", "shop"))
    must(office.unix("POST", "/api/v1/users", {"name": "robot2", "kind": "service", "team": "shop"}))
    must(office.unix("POST", "/api/v1/users/robot2/grants", {"role": "maker", "team": "shop"}))
    made = {"user": "robot2", "role": "maker", "team": "shop"}
    own, asked = amos.token, []
    for i in (1, 2):  # with a token that he made, and with one that this token made
        amos.token = must(amos("POST", "/tokens", {"name": f"robot2-{i}", **made}))["token"]
        asked.append(ask(amos, f"s{i}.one.example.org"))
    assert asked[1]["requester"] == "token:robot2-2", asked
    amos.token = own
    for one in asked:
        assert "own request" in must(amos.approve(one), 403)["detail"]
    assert must(office.bert.approve(asked[1]))["state"] == "done"


def test_two_approvals_at_once_are_two_and_it_is_done_once(office):
    asked = [ask(office.anna, f"r{i}.pay.example.org") for i in range(4)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda job: job[0].approve(job[1]), [(p, r) for r in asked for p in (office.bert, office.cora, office.bert)]))
    codes = sorted(a.status for a in answers)
    assert set(codes) <= {200, 409} and codes.count(200) == 8, [(a.status, a.text[:120]) for a in answers]
    for r in asked:
        now = office.anna.json(f"/requests/{r['id']}")
        assert now["state"] == "done" and sorted(s["who"] for s in now["said"]) == ["token:of-bert", "token:of-cora"], now
    assert sum(e["action"] == "managed-certificate.create" and json.loads(e["detail"]).get("request") in {r["id"] for r in asked} for e in office.audit()) == 4
    # Two who ask for the same at once have one request.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        same = list(pool.map(lambda _: ask(office.anna, "same.pay.example.org")["id"], range(4)))
    assert len(set(same)) == 1, same


def test_who_does_not_decide_is_reminded_and_then_it_is_over(office):
    asked = ask(office.anna, "late.pay.example.org")
    mine = ask(office.anna, "back.pay.example.org")
    assert must(office.anna("POST", f"/requests/{mine['id']}/withdraw", {"comment": "not needed"}))["state"] == "withdrawn"
    assert must(office.anna("POST", f"/requests/{asked['id']}/comments", {"comment": "any news?"}))["said"][0]["comment"] == "any news?"
    assert must(office.only("POST", f"/requests/{asked['id']}/comments", {"comment": "me too"})) and \
        must(Person(office, "frida", ("viewer", "shop"))("POST", f"/requests/{asked['id']}/comments", {"comment": "I look"}), 403)

    def told(action):
        return [e for e in office.audit() if e["action"] == action and e["object_id"] == asked["id"]]
    office.move_clock(DAY + 60)
    wait.until(lambda: told("request.reminder"), "a reminder", 15)
    office.move_clock(15 * DAY)
    wait.until(lambda: office.anna.json(f"/requests/{asked['id']}")["state"] == "expired", "it expires", 15)
    assert len(told("request.reminder")) == 1 and told("request.expire") and must(office.bert.approve(asked), 409)
