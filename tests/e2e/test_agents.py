"""Agents on other hosts: joining with a token, working over mutual TLS, and what goes wrong with either."""
import socket
import time

import pytest

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
    assert "was good for 1 agent, and used" in refused(hub, host(), "once2", once)
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
    assert "is no kind of job" in hub.cw("join-token", "add", "bad", "--grant", "everything").err


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
