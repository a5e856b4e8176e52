"""What goes wrong in a fleet: clocks that are days off, targets that go while they are worked on, answers that come twice."""
import json
import os
import signal
import socket
import ssl
import time

import pytest

from lib import pki, process, wait
from lib.remote import token

WWW = "www.example.org"
DAY = 86400


def add_target(hub, agent, name="site"):
    hub.ok("target", "add", name, "--agent", agent.name, "--connector", "files", "--set", f"combined={agent.files}/site.pem")


def fingerprint(agent):
    path = agent.files / "site.pem"
    return pki.fingerprint(pki.read_chain(path.read_text())[0]) if path.exists() else None


@pytest.mark.parametrize("days", [2, -2])
def test_an_agent_whose_clock_is_two_days_off_works_and_says_so(make_hub, make_remote, days):
    hub = make_hub()
    web = make_remote(hub, "web1", start=False)
    web.move_clock(days * DAY)
    web.start()
    add_target(hub, web)
    hub.ok("cert", "add", WWW, "--to", "site")
    assert fingerprint(web) == hub.show("cert", WWW)["current_version"]["fingerprint"]
    assert abs(web.shown()["clock_skew_s"] - days * DAY) < 60
    problems = [p["text"] for p in hub.ok("status", "-o", "json").json()["problems"]]
    assert any(f"the clock of agent web1 is 172" in p and ("fast" if days > 0 else "slow") in p for p in problems), problems


def test_a_target_that_is_removed_while_it_is_worked_on(make_hub, make_remote):
    """What was begun ends as it would have; then the target is left alone, and nothing goes on and on."""
    hub = make_hub()
    web = make_remote(hub, "web1")
    add_target(hub, web)
    hub.ok("cert", "add", WWW, "--to", "site")
    first = fingerprint(web)
    web.stop()
    web.start(failpoint="agent:agent.install_before=stop")
    hub.ok("cert", "renew", WWW, "--no-wait")
    agent = web.pids()["agent"]
    wait.until(lambda: process.state(agent) == "T", "the deployment is in the middle", 15)
    assert "serves" in hub.cw("target", "remove", "site").err
    hub.ok("cert", "remove", WWW)
    hub.ok("target", "remove", "site")
    os.kill(agent, signal.SIGCONT)
    wait.until(lambda: not [j for j in hub.jobs() if "finished_at" not in j], "nothing is left to do", 20)
    assert fingerprint(web) not in (None, first), "it was in the agent's hands already, and ended well"
    assert [j["state"] for j in hub.jobs() if j["kind"] == "undeploy"] == ["done"]
    assert hub.ok("status", "-o", "json").json()["problems"] == []
    assert not hub.ok("target", "list", "-o", "json").json()


def ask(hub, agent, body):
    """One exchange in the agent's name, with its key."""
    ctx = ssl.create_default_context(cafile=str(agent.state / "fleet/root.pem"))
    ctx.check_hostname = False
    pair = agent.folder / "pair.pem"
    pair.write_bytes((agent.state / "fleet/key.pem").read_bytes() + (agent.state / "fleet/certificate.pem").read_bytes())
    ctx.load_cert_chain(pair)
    pair.unlink()
    text = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", hub.agents_port), timeout=10) as raw, ctx.wrap_socket(raw) as s:
        s.sendall(b"POST /agent/v1/exchange HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(text) + text)
        answer = b""
        while part := s.recv(65536):
            answer += part
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def test_an_old_answer_that_comes_again_changes_nothing(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    other = make_remote(hub, "web2")
    add_target(hub, web)
    hub.ok("cert", "add", WWW, "--to", "site")
    hub.settled(WWW)
    web.stop()
    before, audit = hub.show("cert", WWW), len(hub.audit())
    key = next(j for j in hub.jobs() if j["kind"] == "key")
    deploy = next(j for j in hub.jobs() if j["kind"] == "deploy")
    me = {"name": "web1", "version": "0", "platform": "test", "boot_id": "replay", "sandbox": ""}
    served = {"rolled_back": False, "served": [{"address": "", "port": 1, "name": "", "verdict": "untrusted", "fingerprint": "00" * 32}]}
    results = [{"id": key["id"], "fence": key["fence"], "ok": False, "error": {"code": "io", "text": "again"}, "steps": []},
               {"id": deploy["id"], "fence": deploy["fence"], "ok": True, "steps": [], "deploy": served},
               {"id": deploy["id"], "fence": deploy["fence"] + 1, "ok": True, "steps": [], "deploy": served},
               {"id": "01m7yycs7vpsk661z8jea5gqe0", "fence": 1, "ok": True, "steps": []}]
    for agent in (web, other):  # its own answers again, and in another agent's name
        if agent is other:
            other.stop()
        for result in results:
            reply = ask(hub, agent, {"agent": me, "results": [result], "progress": [], "holding": [], "capacity": 0, "wait_s": 0})
            assert [d["id"] for d in reply.get("dropped", [])] == [result["id"]] and reply["jobs"] == [], reply
    after = hub.show("cert", WWW)
    assert {k: v for k, v in after.items() if k != "updated_at"} == {k: v for k, v in before.items() if k != "updated_at"}
    assert len(hub.audit()) == audit


def test_key_order_challenge_and_deployment_by_four_agents(make_hub, make_remote, pebble):
    """Each part of an attempt is done by another host: what one of them knows, the others are told by the hub alone."""
    hub = make_hub()
    maker = make_remote(hub, "keys", "--grant", "key", share_keys=True)
    caller = make_remote(hub, "orders", "--grant", "order", networks={"relay": ["127.0.0.0/8"], "probe": []})
    answerer = make_remote(hub, "answers", "--grant", "present", http01={"address": "127.0.0.1", "port": hub.http_port})
    server = make_remote(hub, "serves", "--grant", "deploy,verify", share_keys=True)
    hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--agree", "--roots", pebble.all_roots, "--grant", "127.0.0.0/8", "--agent", "orders", "--via",
           "listener", "--challenge-agent", "answers")
    add_target(hub, server)
    hub.ok("cert", "add", WWW, "--issuer", "pebble", "--to", "site", "--key-agent", "keys")
    assert fingerprint(server) == hub.show("cert", WWW)["current_version"]["fingerprint"]
    done = {(j["kind"], j["agent"]) for j in hub.jobs() if j["state"] == "done"}
    assert {("key", "keys"), ("order", "orders"), ("present", "answers"), ("clean", "answers"), ("seal", "keys"), ("deploy", "serves")} <= done, done
    hub.ok("cert", "renew", WWW)
    assert fingerprint(server) == hub.show("cert", WWW)["current_version"]["fingerprint"]
    for agent in (caller, answerer, maker):
        assert not list(agent.files.iterdir())


def test_asking_again_and_again_for_a_certificate_gives_the_same_one(make_hub, make_remote):
    """Else anybody who has joined once could fill the signer's journal."""
    hub = make_hub()
    hour = 3600 - int(time.time()) % 3600 + 60  # early in an hour, so that none ends in between
    hub.move_clock(hour)
    text = token(hub, "again")
    web = make_remote(hub, "web1", join=False, start=False)
    assert web.join(text).code == 0

    def written():
        return hub.ok("ca", "show", "fleet", "-o", "json").json()["issued"]
    before, first = written(), (web.state / "fleet/certificate.pem").read_bytes()
    for _ in range(5):
        assert web.join(text).code == 0
    assert (web.state / "fleet/certificate.pem").read_bytes() == first and written() == before
    hub.move_clock(hour + 3600)
    assert web.join(text).code == 0 and written() > before


def test_a_host_that_claims_everybodys_names_gets_none_of_them(make_hub, make_remote):
    hub = make_hub()
    evil = make_remote(hub, "evil", start=False)
    me = {"name": "evil", "version": "0", "platform": "test", "boot_id": "evil", "sandbox": "", "capabilities": ["key", "deploy", "discover"]}

    def exchange(**more):
        return ask(hub, evil, {"agent": me, "results": [], "progress": [], "holding": [], "capacity": 8, "wait_s": 0, **more})
    hub.ok("target", "discover", "--agent", "evil", "--no-wait")
    job = next(j for j in exchange()["jobs"] if j["kind"] == "discover")
    lies = [{"connector": "files", "name": name, "parameters": {"combined": f"{evil.files}/{i}"}, "endpoints": [], "names": ["*.example.org"]}
            for i, name in enumerate(["nginx", "files", "host1:nginx", "a b", "../x"])]
    exchange(results=[{"id": job["id"], "fence": job["fence"], "ok": True, "steps": [], "discover": {"targets": lies}}])
    names = [t["name"] for t in hub.ok("target", "list", "-o", "json").json()]
    assert len(names) == 5 and all(n.startswith("evil:") for n in names), names
    for to in ("nginx", "files", "host1:nginx", "host1:files"):
        done = hub.cw("cert", "add", WWW, "--to", to)
        assert done.code == 4 and "no target is named" in done.err, done
    assert not hub.ok("cert", "list", "-o", "json").json()


def test_invented_starts_hide_no_copy(make_hub, make_remote):
    """A copy that is another start each time it calls does not drive out the one that was there first."""
    hub = make_hub()
    web = make_remote(hub, "web1", start=False)

    def call(boot, wait_s=0):
        me = {"name": "web1", "version": "0", "platform": "test", "boot_id": boot, "sandbox": "", "capabilities": ["deploy"]}
        return ask(hub, web, {"agent": me, "results": [], "progress": [], "holding": [], "capacity": 0, "wait_s": wait_s})
    began = time.monotonic()
    assert "agent_id" in call("first", wait_s=20) and time.monotonic() - began < 10, "who has no room waits for nothing"
    answers = [call(f"invented-{i}") for i in range(20)]
    assert "agent_id" in answers[0] and "was started more than" in answers[-1]["detail"]
    hub.move_clock(15)  # later than an older process may still be on its way out
    assert "two hosts use the key of agent web1" in call("first")["detail"]


def test_what_an_order_tells_is_kept_to_a_ceiling(make_hub, make_remote, pebble):
    hub = make_hub()
    web = make_remote(hub, "orders", start=False)
    hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--agree", "--roots", pebble.all_roots, "--grant", "127.0.0.0/8", "--agent", "orders", "--via",
           "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", "--no-wait")
    me = {"name": "orders", "version": "0", "platform": "test", "boot_id": "talker", "sandbox": "", "capabilities": ["order"]}

    def exchange(**more):
        return ask(hub, web, {"agent": me, "results": [], "progress": [], "holding": [], "capacity": 8, "wait_s": 0, **more})
    job = wait.until(lambda: next((j for j in exchange()["jobs"] if j["kind"] == "order"), None), "there is an order", 10)
    held = {"id": job["id"], "fence": job["fence"]}
    for i in range(12):
        steps = [{"at_ms": 1000 * i + k, "step": "talk", "text": "x" * 900} for k in range(200)]
        exchange(progress=[{**held, "steps": steps}], holding=[held], capacity=0)
    told, after = 0, 0
    while items := hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after={after}").json()["items"]:
        told += sum(e["step"] == "talk" for e in items)
        after = items[-1]["seq"]
    assert 1900 < told <= 2000, told
