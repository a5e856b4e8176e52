"""kill -9 at named points of the loop: it completes by itself, with one certificate, one key, and the right one served.

`make soak` sets CERTWRIGHT_SOAK and gets all of them on both engines; `make test` all of the loop on SQLite, and some of the rest."""
import os

import pytest

from lib import wait

WWW = "www.example.org"

# role:point, "@N" at its Nth passing: the first start makes the CAs, asks for them, and has the hub's own certificate signed.
POINTS = [
    *(f"hub:store.{when}_commit@{n}" for n in range(17, 24) for when in ("before", "after")),
    "signer:signer.intent_written@10", "signer:signer.signed@3", "signer:signer.result_written@10", "signer:signer.before_answer@10",
    "agent:agent.exchange_before", "agent:agent.exchange_after", "agent:agent.job_begin", "agent:agent.result_before",
    "agent:agent.result_kept", "agent:agent.install_before", "agent:agent.install_after", "agent:agent.reload_after",
    "agent:agent.prove_before", "agent:agent.commit_before", "agent:agent.commit_after",
    "apply:apply.key_made", "apply:apply.key_stored", "apply:apply.staged", "apply:apply.saved",
    "apply:apply.install_one", "apply:apply.installed", "apply:apply.commit_begin", "apply:apply.committed",
    "run:run.before", "run:run.after", "probe:probe.endpoint",
]
UNDO = ["agent:agent.undo_before", "agent:agent.undo_after", "agent:agent.undo_close_before", "apply:apply.rollback_begin",
        "apply:apply.rollback_one", "apply:apply.rollback_restored", "apply:apply.undone"]
if not os.environ.get("CERTWRIGHT_SOAK"):
    POINTS = POINTS[5:9] + POINTS[14:]
    UNDO = UNDO[4:6]
    if os.environ.get("CERTWRIGHT_TEST_DB") == "postgres":
        POINTS, UNDO = POINTS[::5], UNDO[:1]


def issued(hub):
    return hub.ok("ca", "show", "issuing", "-o", "json").json()["issued"]


def served_everywhere(hub):
    done = hub.cw("cert", "show", WWW, "-o", "json")
    if done.code:
        return None
    cert = done.json()
    fine = [c for c in cert["conditions"] if c["type"] == "served" and c["status"]]
    return cert if fine and hub.settled(WWW)["state"] != "working" else None


@pytest.mark.parametrize("point", POINTS)
def test_the_loop_completes_after_kill_9(nginx, make_hub, point):
    hub = make_hub(nginx=nginx, start=False).start(failpoint=f"{point}=kill")
    # The first commits are of the start itself; one more of these some day must not make a difference here.
    wait.until(lambda: hub.cw("target", "discover").code == 0, "the hub answers", 20)
    hub.cw("cert", "add", WWW, "--to", "nginx", timeout=30)
    cert = wait.until(lambda: served_everywhere(hub), "the loop completes", 30)
    assert f" failpoint name={point.split(':')[1].split('@')[0]} " in hub.text()
    assert cert["current_version"]["number"] == 1 and issued(hub) == 1
    assert len(hub.ok("cert", "attempts", WWW, "-o", "json").json()) == 1
    assert len(list((hub.state / "agent" / "keys").glob("*.key"))) == 1
    nginx.shows(cert["current_version"]["fingerprint"])
    assert hub.ok("status", "-o", "json").json()["healthy"]


@pytest.mark.parametrize("point", UNDO)
def test_the_roll_back_completes_after_kill_9(nginx, make_hub, point):
    """A reload that keeps the old certificate is undone; killed in the middle of that, it is undone all the same."""
    hub = make_hub(nginx=nginx, start=False)
    hub.agent_settings["commands"]["nginx-reload"] = ["/bin/true"]
    hub.write_agent()
    before = nginx.block.cert.read_bytes(), nginx.block.key.read_bytes()
    hub.start(failpoint=f"{point}=kill")
    hub.ok("target", "discover")
    hub.cw("cert", "add", WWW, "--to", "nginx", timeout=90)
    wait.until(lambda: hub.settled(WWW, 60)["state"] == "failed", "the deployment is undone", 90)
    assert f" failpoint name={point.split(':')[1]} " in hub.text()
    assert (nginx.block.cert.read_bytes(), nginx.block.key.read_bytes()) == before
    assert WWW in hub.ok("status").out
