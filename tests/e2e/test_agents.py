"""Agents on other hosts: joining with a token, working over mutual TLS, and what goes wrong with either."""
import json
import socket
import time
from datetime import datetime

import pytest
import requests

from lib import pki, wait
from lib.remote import Remote, token

WWW = "www.example.org"
MONTH = 30 * 86400


def serve(hub, agent, name=WWW, *more):
    """A target of files on the agent's host, and a certificate for it."""
    target = f"files-of-{agent.name}"
    hub.ok("target", "add", target, "--agent", agent.name, "--connector", "files", "--set", f"fullchain={agent.files}/site.pem", "--set",
           f"key={agent.files}/site.key")
    return hub.cw("cert", "add", name, "--to", target, *more)


def trouble(hub):
    return {p["object"]: p["text"] for p in hub.ok("status", "-o", "json").json()["problems"]}


def test_a_host_joins_and_keeps_a_certificate(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    wait.until(lambda: "hub_reached" in web.life(), "the agent has reached the hub")
    shown = web.shown()
    assert shown["state"] == "active" and shown["address"] == "127.0.0.1" and abs(shown["clock_skew_s"]) < 5
    assert serve(hub, web).code == 0
    assert "BEGIN CERTIFICATE" in (web.files / "site.pem").read_text()
    assert (web.files / "site.key").stat().st_mode & 0o777 == 0o600
    assert [s["target"] for s in web.shown()["services"]] == ["files-of-web1"]
    assert any(e["action"] == "agent.join" for e in hub.audit())
    # The same once more, with the answer lost: the same agent, and no use more.
    web.stop()
    hub.ok("cert", "remove", WWW)
    assert web.start().shown()["id"] == shown["id"]


@pytest.fixture(scope="module")
def home(hub_maker):
    return hub_maker()


def refused(hub, folder, name, text, *, code=3, url=None):
    done = Remote(hub, folder, name).join(text, url=url)
    assert done.code == code, done
    return done.err


def test_a_token_is_good_for_what_it_says(home, tmp_path_factory):
    hub = home

    def host():
        return tmp_path_factory.mktemp("host")
    once = token(hub, "once")
    first = Remote(hub, host(), "once1")
    assert first.join(once).code == 0
    assert first.join(once).code == 0, "the same host again, as after a lost answer"
    assert "was good for 1 agent, and used; make another at the hub with: certwright join-token add NAME" in refused(hub, host(), "once2", once)
    again = hub.cw("join-token", "add", "once")
    assert again.code == 1 and "certwright join-token revoke once" in again.err
    assert "is named once1 already" in refused(hub, host(), "once1", token(hub, "name-taken"), code=1)
    assert "expired" in refused_later(hub, host(), token(hub, "short", "--lifetime", "60"))
    hub.ok("join-token", "add", "ended", "--out", hub.folder / "ended")
    assert (hub.folder / "ended").stat().st_mode & 0o777 == 0o600
    hub.ok("join-token", "revoke", "ended")
    assert "was revoked" in refused(hub, host(), "web", (hub.folder / "ended").read_text().strip())
    assert "is not good from 127.0.0.1" in refused(hub, host(), "web", token(hub, "elsewhere", "--network", "192.0.2.0/24,2001:db8::/32"))
    assert "is not good for an agent named db1" in refused(hub, host(), "db1", token(hub, "web-only", "--name-pattern", "web*"))
    unknown = once[:-3] + ("AAA" if not once.endswith("AAA") else "BBB")
    assert "no such join token" in refused(hub, host(), "web", unknown)
    assert "this is no join token" in refused(hub, host(), "web", "cwt_abc", code=2)
    done = Remote(hub, host(), "web").join("")
    assert done.code == 2 and "no join token came" in done.err
    by_hand = Remote(hub, host(), "by-hand")
    assert hub.cw("join", by_hand.url, "--config", by_hand.etc / "agent.yaml", "--name", "by-hand", input=token(hub, "by-hand") + "\n").code == 0
    # Commands take an id for a name: an agent that is called like another one's id would be taken for it.
    assert "not the form of an id" in refused(hub, host(), first.shown()["id"], token(hub, "as-an-id"), code=2)
    assert "is no kind of job" in hub.cw("join-token", "add", "bad", "--grant", "everything").err


def test_a_join_that_comes_to_nothing_leaves_nothing_and_says_why(home, tmp_path_factory):
    hub, good = home, token(home, "good")
    for url, words in ((hub.base, "it answers 404"), (f"https://127.0.0.1:{hub.status_port}", "wrong version number"),
                       (f"https://127.0.0.1:{wait.free_port()}", "connect")):
        host = tmp_path_factory.mktemp("host")
        done = Remote(hub, host, "web").join(good, url=url)  # agent.yaml is there, and names another hub
        assert done.code != 0 and "write \"hub: " in done.err
        done = hub.cw("join", url, "--config", host / "new/agent.yaml", "--state", host / "new/state", "--name", "web", input=good)
        assert done.code != 0 and words in done.err and "the agents' port of hub.yaml (setting \"agents\", 8444)" in done.err, done
        assert not (host / "new/state").exists() and not (host / "new/agent.yaml").exists()
    host = tmp_path_factory.mktemp("host")
    revoked = token(hub, "revoked")
    hub.ok("join-token", "revoke", "revoked")
    for text in (revoked, revoked[:-2] + "AA"):
        assert hub.cw("join", hub.agents_url, "--config", host / "new/agent.yaml", "--state", host / "new/state", "--name", "web", input=text).code == 3
        assert not (host / "new/state").exists(), list((host / "new").rglob("*"))
    # A token on the command line is known to all by now.
    for argv in (["join", hub.agents_url, good], ["join", hub.agents_url, "--token", good], ["join", hub.agents_url, f"--token={good}"]):
        done = hub.cw(*argv)
        assert done.code == 2 and good not in done.err + done.out and "certwright join-token revoke NAME" in done.err, done
    assert hub.token not in (done := hub.cw("status", "--token", hub.token)).err and "certwright token revoke" in done.err


def test_strangers_with_bad_tokens_fill_no_log(home):
    before = home.text()
    body = json.dumps({"token": "cwj_" + "A" * 75, "name": "x", "csr": "AAAA", "version": "0", "platform": "x"}).encode()
    with requests.Session() as s:
        s.trust_env, s.verify = False, str(home.fleet_roots)
        for _ in range(60):
            answer = s.post(home.agents_url + "/agent/v1/join", data=body, headers={"Content-Type": "application/json"}, timeout=10)
            assert answer.status_code == 401 and answer.headers["Connection"] == "close" and "no such join token" in answer.text
    assert home.text()[len(before):].count(" join_refused ") < 10


def refused_later(hub, folder, text):
    hub.move_clock(3600)
    try:
        return refused(hub, folder, "late", text)
    finally:
        hub.move_clock(0)


def test_a_token_of_another_hub_sends_nothing(home, make_hub, tmp_path):
    """A host that is led to a wrong hub learns so from the token, before the token leaves it."""
    other, before = make_hub(), home.text()
    err = refused(home, tmp_path, "web", token(other, "theirs"))
    assert "is not the hub that made this token" in err and "nothing was sent" in err
    assert "agent/v1/join" not in home.text()[len(before):]


def test_one_who_has_not_joined_gets_nothing(home):
    """No certificate, one of our own making, and one of the other CA: each may look at the fleet's root and join, and no more."""
    def ask(ctx, path, body=b"{}"):
        with socket.create_connection(("127.0.0.1", home.agents_port), timeout=10) as raw, ctx.wrap_socket(raw, server_hostname="localhost") as s:
            s.sendall(b"POST %s HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (path, len(body)) + body)
            answer = b""
            while part := s.recv(65536):
                answer += part
        return int(answer.split()[1]), answer
    bare = home.tls()
    for path in (b"/agent/v1/exchange", b"/agent/v1/acme/sign", b"/agent/v1/certificate"):
        assert ask(bare, path)[0] == 401
    cert, key = pki.self_signed(["agent"])
    pair = home.folder / "own.pem"
    pair.write_bytes(pki.key_pem(key) + pki.pem(cert))
    own = home.tls()
    own.load_cert_chain(pair)
    status, answer = ask(own, b"/agent/v1/exchange")
    assert status == 401 and b"self-signed" in answer.replace(b"self signed", b"self-signed")
    for path in (b"/api/v1/agents", b"/api/v1/status"):
        assert ask(bare, path)[0] == 404, "people's API is not here"


def test_one_that_awaits_approval_works_once_it_is_approved(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1", "--approval")
    wait.until(lambda: "awaits approval" in trouble(hub).get("web1", ""), "status says that somebody has to approve it")
    assert "awaits approval" in wait.until(lambda: web.life() if "hub_away" in web.life() else None, "the agent says so too")
    hub.ok("agent", "approve", "web1")
    web.restart()
    assert serve(hub, web).code == 0
    assert trouble(hub) == {}


def test_a_copied_identity_is_noticed(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    wait.until(lambda: "hub_reached" in web.life(), "the agent has reached the hub")
    twin = make_remote(hub, "web1", copy_of=web)
    wait.until(lambda: "hub_reached" in twin.life(), "the copy works for a while")
    hub.move_clock(400)  # later than an older process may still be on its way out

    def noticed():
        hub.ok("target", "discover", "--agent", "web1", "--no-wait")  # either of the two does it, and says who it is
        return "two hosts use the key of agent web1" in trouble(hub).get("web1", "")
    wait.until(noticed, "the hub has noticed", 5, 0.2)
    assert web.shown()["state"] == "suspended"
    done = serve(hub, web, WWW, "--no-wait")
    assert done.code == 0 and not (web.files / "site.pem").exists() and not (twin.files / "site.pem").exists()
    twin.stop()
    hub.ok("agent", "approve", "web1")
    web.restart()
    wait.until(lambda: (web.files / "site.pem").exists(), "the one that is left goes on", 20)


def test_an_agent_that_stops_is_told_of_within_two_minutes(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    wait.until(lambda: "hub_reached" in web.life(), "the agent has reached the hub")
    hub.move_clock(90)
    hub.ok("target", "discover", "--agent", "web1")
    seen = datetime.fromisoformat(web.shown()["last_seen"]).timestamp()
    assert time.time() + 90 - seen < 30, "when it was heard is known to the second, though its row is written seldom"
    assert trouble(hub) == {}
    web.stop()
    assert serve(hub, web, WWW, "--no-wait").code == 0
    hub.move_clock(90 + 125)  # the hub's own agent calls within 25 s
    assert trouble(hub)["web1"].startswith("agent web1 has been silent for 2 minutes")
    assert "waiting for agent web1, last heard 2 minutes ago" in hub.ok("cert", "why", WWW).out
    web.move_clock(90 + 125)
    web.start()
    wait.until(lambda: "web1" not in trouble(hub), "it is heard again")


def test_a_connector_that_cannot_be_used_is_told_at_once(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1", connectors=["files", "nginks"])
    words = "connector nginks of agent web1 cannot be used: "
    wait.until(lambda: trouble(hub).get("web1", "").startswith(words), "status says so")
    assert web.shown()["trouble"].startswith(words) and " connector_unusable connector=nginks " in web.life()
    done = hub.cw("target", "add", "x", "--agent", "web1", "--connector", "nginks")
    assert done.code == 2 and words in done.err, done
    hub.ok("agent", "drain", "web1")
    hub.ok("agent", "approve", "web1")
    assert trouble(hub)["web1"].startswith(words), "what a host says of itself outlasts what people do with it"
    web.stop()
    web.agent_settings["connectors"] = ["files"]
    web.write_agent()
    web.start()
    wait.until(lambda: trouble(hub) == {}, "it is mended")


def test_what_failed_on_a_host_is_forgotten_with_it(make_hub, make_remote):
    hub = make_hub()
    web1, web2 = make_remote(hub, "web1"), make_remote(hub, "web2")
    assert serve(hub, web1).code == 0
    hub.ok("target", "add", "elsewhere", "--agent", "web2", "--connector", "files", "--set", "fullchain=/nowhere/site.pem")
    done = hub.cw("target", "add", "twice", "--agent", "web2", "--connector", "files", "--set", "fullchain=/nowhere/site.pem")
    assert done.code == 1 and "target elsewhere is at that place already" in done.err
    done = hub.cw("target", "add", "elsewhere", "--agent", "web2", "--connector", "files", "--set", "fullchain=/elsewhere/site.pem")
    assert done.code == 1 and "a target is named elsewhere already" in done.err
    assert hub.cw("cert", "edit", WWW, "--to", "files-of-web1,elsewhere").code != 0
    assert "not below a path granted on web2" in trouble(hub)[WWW], trouble(hub)
    assert "this host" not in hub.ok("cert", "steps", WWW).out
    web2.stop()
    hub.ok("cert", "renew", WWW, "--no-wait")
    wait.until(lambda: hub.show("cert", WWW)["current_version"]["number"] == 2, "there is another version")
    hub.ok("agent", "remove", "web2", "--force")
    wait.until(lambda: trouble(hub) == {}, "nothing is left of it")
    assert hub.settled(WWW)["state"] == "done"


def test_what_was_not_granted_is_not_given(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1", "--grant", "verify,discover")
    done = serve(hub, web)
    assert done.code != 0 and "was not granted jobs of kind key" in done.err, done


def test_a_drained_agent_takes_nothing_new(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    wait.until(lambda: "hub_reached" in web.life(), "the agent has reached the hub")
    hub.ok("agent", "drain", "web1")
    assert serve(hub, web, WWW, "--no-wait").code == 0
    time.sleep(1)
    assert not (web.files / "site.pem").exists() and web.shown()["state"] == "draining"
    hub.ok("agent", "approve", "web1")
    wait.until(lambda: (web.files / "site.pem").exists(), "it goes on", 10)
    assert hub.cw("agent", "remove", "web1").code == 1, "it serves something"
    hub.ok("agent", "remove", "web1", "--force")
    assert [a["name"] for a in hub.ok("agent", "list", "-o", "json").json()] == ["host1"]
    wait.until(lambda: "no agent is known" in web.life(), "its key is not taken any more", 40)
    assert "removed from the fleet" in web.join(token(hub, "again")).err


def test_its_certificate_renews_itself(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    ends = web.shown()["certificate_ends_at"]
    web.stop()
    hub.move_clock(2 * MONTH)  # the hub and the agent were away for longer than the certificate was good
    web.move_clock(2 * MONTH)
    web.start()
    wait.until(lambda: web.shown()["certificate_ends_at"] > ends, "there is another one", 20)
    assert serve(hub, web).code == 0
    assert (web.state / "fleet/key.pem").stat().st_mode & 0o777 == 0o600
