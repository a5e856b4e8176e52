"""Changes of CAs by two people: the signer keeps what its officer wants until somebody else has approved it at the hub."""
import json

import pytest

from lib import wait
from test_requests import Person, must


@pytest.fixture(scope="module")
def office(hub_maker):
    hub = hub_maker()
    hub.olga, hub.bert = Person(hub, "olga", ("ca-officer", "everyone")), Person(hub, "bert", ("ca-officer", "everyone"))
    hub.cora = Person(hub, "cora", ("approver", "everyone"))
    hub.ok("ca", "protect", "on")
    return hub


def per_hour(hub):
    return hub.ok("ca", "ceilings", "issuing", "-o", "json").json()["per_hour"]


def proposals(hub, *more):
    return hub.ok("ca", "proposals", "-o", "json", *more).json()


def wants(person, n, code=5):
    """The person is root of the signer's host, and asks the hub with their own token."""
    done = person.cw("ca", "ceilings", "issuing", "--per-hour", n, "--comment", "for the move")
    assert done.code == code, done
    return done


def request_of(hub, state="waiting"):
    return [r for r in must(hub.unix("GET", f"/api/v1/requests?state={state}"))["items"] if r["kind"] == "ca"]


def test_a_ceiling_is_changed_by_two_people(office):
    hub, before = office, per_hour(office)
    wants(office.olga, 5)
    (kept,), (request,) = proposals(hub), request_of(hub)
    assert proposals(hub, "--signer-socket", hub.officer)[0]["hash"] == kept["hash"] and kept["state"] == "open", kept
    assert f"certificates an hour: {before} now, 5 from then on" in request["wanted"]["change"] == kept["words"]
    assert (request["needs"], request["object"], request["comment"]) == (1, "ceilings of CA issuing", "for the move")
    shown = hub.olga.cw("request", "show", request["id"]).out
    assert "certificates an hour" in shown and "who may: bert" in shown and "rule :" not in shown, shown
    wants(office.olga, 5)
    assert len(proposals(hub)) == len(request_of(hub)) == 1, "the same again is the same"
    # Not who asked, not who approves certificates, not root, and not something else than was seen.
    assert must(hub.olga.approve(request), 403)["detail"].startswith("nobody decides on their own request")
    must(hub.cora.approve(request), 403)
    assert must(hub.unix("POST", f"/api/v1/requests/{request['id']}/approve", {"hash": request["hash"]}), 403)
    must(hub.bert("POST", f"/requests/{request['id']}/approve", {"hash": kept["hash"]}), 412)
    assert per_hour(hub) == before
    must(hub.bert.approve(request))
    wait.until(lambda: per_hour(hub) == 5, "the signer does it")
    done = wait.until(lambda: request_of(hub, "done"), "the request is done")[0]
    (kept,) = proposals(hub)
    assert (kept["state"], kept["by"], kept["request"]) == ("done", "token:of-bert", done["id"]), kept
    changed = next(e for e in hub.audit() if e["action"] == "ca.changed")
    assert json.loads(changed["detail"])["approved_by"] == "token:of-bert" and changed["object_id"] == done["id"], changed


def test_what_root_alone_asked_for_takes_two_others(office):
    hub, n = office, per_hour(office)
    assert hub.cw("ca", "ceilings", "issuing", "--per-hour", n + 1).code == 5
    (request,) = request_of(hub)
    assert request["needs"] == 2
    must(hub.olga.approve(request))
    assert request_of(hub)[0]["missing"] == 1 and per_hour(hub) == n
    must(hub.bert.approve(request))
    wait.until(lambda: per_hour(hub) == n + 1, "two have approved")


def test_what_is_withdrawn_or_expired_is_not_done(office):
    hub, n = office, per_hour(office)
    wants(hub.olga, n + 10)
    (request,), kept = request_of(hub), proposals(hub)[0]
    assert hub.olga.cw("ca", "withdraw", kept["id"]).code == 0
    assert must(hub.unix("GET", f"/api/v1/requests/{request['id']}"))["state"] == "withdrawn"
    # Withdrawn where the hub was not told: the approval leads to nothing, and says why.
    wants(hub.olga, n + 11)
    (request,), kept = request_of(hub), proposals(hub)[0]
    assert hub.cw("ca", "withdraw", kept["id"], env={"CERTWRIGHT_SOCKET": "/nowhere"}).code == 0
    must(hub.bert.approve(request))
    failed = wait.until(lambda: request_of(hub, "failed"), "it could not be done")[0]
    assert "was withdrawn by uid" in failed["error"] and failed["error_code"] == "conflict", failed
    wants(hub.olga, n + 12)
    (request,), kept = request_of(hub), proposals(hub)[0]
    hub.move_clock(7 * 86400 + 60)
    try:
        wait.until(lambda: must(hub.unix("GET", f"/api/v1/requests/{request['id']}"))["state"] == "expired", "the request expires", 20)
        assert next(p for p in proposals(hub) if p["id"] == kept["id"])["state"] == "expired"
        assert hub.olga.cw("ca", "ask", kept["id"]).code != 0
    finally:
        hub.move_clock(0)
    hub.cw("ca", "withdraw", kept["id"])
    assert per_hour(hub) == n


def test_one_person_is_enough_again_when_two_say_so(office):
    hub, n = office, per_hour(office)
    assert hub.olga.cw("ca", "protect", "off").code == 5 and "two people" in hub.ok("ca", "protect").out
    (request,) = [r for r in request_of(hub) if "one person again" in r["object"]]
    must(hub.bert.approve(request))
    wait.until(lambda: "one person: root" in hub.ok("ca", "protect").out, "it is off")
    wants(hub.olga, n + 20, code=0)
    assert per_hour(hub) == n + 20
    hub.ok("ca", "protect", "on")


def asked_of(ask):
    """The answer of a hub that may be killed over it."""
    try:
        return ask()
    except OSError:
        return None


@pytest.mark.one_engine
@pytest.mark.parametrize("point", ["signer:signer.people_kept", "signer:signer.people_done", "hub:core.ca_change_told"])
def test_kill_9_between_two_steps_doubles_and_loses_nothing(office, point):
    hub, n = office, per_hour(office)
    hub.restart(failpoint=f"{point}=kill")
    hub.may_die = True
    if hub.olga.cw("ca", "ceilings", "issuing", "--per-hour", n + 1).code != 5:
        wait.until(lambda: hub.olga.cw("ca", "ceilings", "issuing", "--per-hour", n + 1).code == 5, "it is kept, and asked for")
    (request,) = request_of(hub)
    assert len([p for p in proposals(hub) if p["state"] == "open"]) == 1
    asked_of(lambda: hub.bert.approve(request))
    wait.until(lambda: [r for r in asked_of(lambda: request_of(hub, "done")) or [] if r["id"] == request["id"]], "it is done, and noted")
    assert per_hour(hub) == n + 1
    assert f" failpoint name={point.split(':')[1]} " in hub.text()
    assert len([e for e in hub.audit() if e["action"] == "ca.changed" and e["object_id"] == request["id"]]) == 1
