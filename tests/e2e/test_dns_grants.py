"""Whom a DNS provider answers for: its own team, and to whom it was granted; and what goes when a grant is taken back.  The DNS is a
real Knot, the CA the small peer of lib/acme_peer.py, which knows dns-persist-01."""
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import wait
from lib.acme_peer import AcmePeer
from lib.knot import Knot
from test_dns_core import environment, provider, run, sql, teams, token, value

STAYS = "_validation-persist.s.example.org"


@pytest.fixture(scope="module")
def knot():
    folder = Path(tempfile.mkdtemp(prefix="cw-knot-", dir="/tmp"))
    server = Knot(folder, "example.org")
    yield server.start()
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def peer(http_port, knot):
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    made = AcmePeer(folder, http_port)
    made.txt, made.types = knot.txt, ("dns-01",)
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def world(knot, peer, hub_maker, engine):
    """A hub whose own team has a DNS provider, and teams below that were granted nothing."""
    hub = hub_maker(start=False)
    hub.engine = engine
    hub.agent_settings.update(knot.settings(hub.folder / "tsig"))
    hub.write_agent()
    hub.start()
    hub.ok("issuer", "add", "peer", "--acme", peer.directory, "--agree", "--roots", peer.roots, "--grant", "127.0.0.0/8", "--drafts",
           "--challenge", "dns-01")
    hub.teams = teams(hub, "shop", "press")
    provider(hub, knot, "own")
    return hub


def shop(world, *more):
    return ["s.example.org", "--team", world.teams["shop"], "--issuer", "peer", *more]


def test_a_certificate_of_a_team_below_is_proved_with_a_grant_alone(world, peer):
    grant = "certwright dns grant own --team shop --under s.example.org"
    for more in ([], ["--dry-run"]):
        refused = world.cw("cert", "add", *shop(world, *more))
        assert refused.code == 1 and "is not granted to team shop" in refused.err and grant in refused.err, refused
    assert world.https("POST", "/api/v1/challenges", {"name": "s.example.org", "value": value()}, token=token(world, "shop")).json()["detail"].endswith(grant)
    done = world.cw(*grant.split()[1:])
    assert done.code == 0, done
    world.ok("cert", "add", *shop(world), timeout=60)
    env = environment(world, world.ok("token", "add", "hooks", "--role", "challenges", "--team", "shop").out.strip())
    ident = run(["certwright", "challenge", "present", "s.example.org", value()], env).stdout.strip()
    assert run(["certwright", "challenge", "clean", ident], env).returncode == 0
    assert "may not do" in run(["certwright", "cert", "list"], env).stdout
    assert world.cw("token", "add", "nobodys", "--team", "nobody").code == 2
    refused = world.cw("cert", "add", "www.example.org", *shop(world)[1:])
    assert refused.code == 1 and "--team shop --under www.example.org" in refused.err, "no further than the grant"
    world.ok("dns", "revoke", "own", "--team", "shop")
    assert world.cw("cert", "renew", "s.example.org", timeout=60).code != 0
    assert grant in world.why("s.example.org")


def test_a_record_that_stays_goes_with_the_grant(world, peer, knot):
    peer.types = ("dns-persist-01",)
    world.ok("issuer", "edit", "peer", "--challenge", "dns-persist-01")
    world.ok("dns", "grant", "own", "--team", "shop", "--under", "s.example.org")
    world.ok("cert", "renew", "s.example.org", timeout=60)
    wait.until(lambda: world.settled("s.example.org", 30)["state"] == "done", "it is renewed", 30)
    assert len(knot.txt(STAYS)) == 1
    # Of two grants the other one still holds.
    world.ok("dns", "grant", "own", "--team", "shop", "--under", "example.org")
    assert "taken away" not in world.ok("dns", "revoke", "own", "--under", "example.org").out
    assert len(knot.txt(STAYS)) == 1
    # Where it cannot be taken away that is told, and it is tried again.
    world.ok("dns", "edit", "own", "--set", "secret=withdrawn", "--no-test")
    assert "1 record of dns-persist-01 is being taken away" in world.ok("dns", "revoke", "own", "--team", "shop").out
    wait.until(lambda: f"the record {STAYS}, which proves it to peer, is being taken away" in world.cw("status").out, "it is told", 20)
    assert len(knot.txt(STAYS)) == 1
    world.ok("dns", "edit", "own", "--set", "secret=tsig")
    sql(world, "UPDATE timer SET due_at = 1 WHERE kind = 'persist'")  # as a day later
    wait.until(lambda: knot.txt(STAYS) == [] and STAYS not in world.cw("status").out, "it is gone", 20)
    assert {"persistent-record.revoke", "persistent-record.delete"} <= {e["action"] for e in world.audit()}
    # The same where the certificate goes.
    world.ok("dns", "grant", "own", "--team", "shop", "--under", "s.example.org")
    world.ok("cert", "renew", "s.example.org", timeout=60)
    wait.until(lambda: len(knot.txt(STAYS)) == 1, "it is written again", 20)
    world.settled("s.example.org", 30)
    world.ok("cert", "remove", "s.example.org")
    wait.until(lambda: knot.txt(STAYS) == [], "it is gone", 20)
    peer.types = ("dns-01",)
    world.ok("issuer", "edit", "peer", "--challenge", "dns-01")


def test_records_that_stay_go_with_their_issuer_and_their_story_is_told(world, peer, knot):
    peer.types = ("dns-persist-01",)
    world.ok("issuer", "add", "leaving", "--acme", peer.directory, "--agree", "--roots", peer.roots, "--grant", "127.0.0.0/8", "--drafts",
             "--challenge", "dns-persist-01")
    world.ok("cert", "add", "v.example.org", "--issuer", "leaving", timeout=60)
    stays = "_validation-persist.v.example.org"
    assert len(knot.txt(stays)) == 1
    sql(world, "UPDATE persist_record SET until_at = until_at - 350 * 86400 WHERE name = 'v.example.org'")
    sql(world, "UPDATE timer SET due_at = 1 WHERE kind = 'persist'")
    told = lambda: [s["text"] for s in world.unix("GET", "/api/v1/managed-certificates/v.example.org/events?after=0").json()["items"] if s["step"] == "persist"]  # noqa: E731
    wait.until(lambda: any(stays in t for t in told()), "it is written anew, and that is told", 20)
    world.ok("cert", "edit", "v.example.org", "--issuer", "peer", "--no-wait")
    world.ok("cert", "remove", "v.example.org")
    wait.until(lambda: knot.txt(stays) == [], "nobody needs it", 20)
    # One that is still there when its issuer goes.
    world.ok("cert", "add", "v.example.org", "--name", "again", "--issuer", "leaving", timeout=60)
    sql(world, "UPDATE managed_issuer SET issuer_id = (SELECT id FROM issuer WHERE name = 'peer') WHERE issuer_id = (SELECT id FROM issuer WHERE name = 'leaving')")
    assert len(knot.txt(stays)) == 1
    assert "1 record of dns-persist-01, which lets its account have certificates, is being taken away" in world.ok("issuer", "remove", "leaving").out
    wait.until(lambda: knot.txt(stays) == [], "it is gone", 20)
    world.ok("cert", "remove", "again")
    peer.types = ("dns-01",)


def test_what_two_have_in_place_goes_with_the_last(world, peer, knot):
    both, one, text = "_acme-challenge.s.example.org", "/api/v1/challenges", value()
    made = {}
    for team in ("shop", "press"):
        world.ok("dns", "grant", "own", "--team", team, "--under", "s.example.org")
        made[team] = token(world, team), world.https("POST", one, {"name": "s.example.org", "value": text}, token=token(world, team)).json()["id"]
    state = lambda t: world.https("GET", f"{one}/{made[t][1]}", token=made[t][0]).json()  # noqa: E731
    wait.until(lambda: state("shop")["state"] == state("press")["state"] == "presented", "it is shown for both", 20)
    world.https("DELETE", f"{one}/{made['shop'][1]}", token=made["shop"][0])
    assert state("shop")["state"] == "cleaned" and "somebody else needs the same" in state("shop")["story"][-1]
    assert knot.txt(both) == [text]
    world.https("DELETE", f"{one}/{made['press'][1]}", token=made["press"][0])
    wait.until(lambda: knot.txt(both) == [], "it went with the last", 20)
    # Two orders that the CA gave the same challenge.
    peer.hold = peer.same = True
    for name in ("first", "second"):
        world.ok("cert", "add", "s.example.org", "--name", name, "--issuer", "peer", "--no-wait")
        wait.until(lambda: "presented" in [s["step"] for s in world.unix("GET", f"/api/v1/managed-certificates/{name}/events?after=0").json()["items"]],
                   "it is shown", 20)
    assert len(knot.txt(both)) == 1
    world.ok("cert", "remove", "first")
    peer.hold = peer.same = False
    wait.until(lambda: world.settled("second", 30)["state"] == "done", "the other one is issued", 30)
    wait.until(lambda: knot.txt(both) == [], "it went with the last", 20)
    world.ok("cert", "remove", "second")
    for team in ("shop", "press"):
        world.ok("dns", "revoke", "own", "--team", team)


def test_a_grant_to_the_hubs_own_agent_would_be_one_to_all(world):
    refused = world.cw("dns", "grant", "own", "--agent", "host1", "--under", "s.example.org")
    assert refused.code == 3 and "every team would have it" in refused.err and "--team TEAM" in refused.err, refused
    # One of before this was refused counts for nothing.
    ident = sql(world, "SELECT id FROM dns_provider WHERE name = 'own'").strip()
    host = sql(world, "SELECT id FROM agent WHERE name = 'host1'").strip()
    sql(world, f"INSERT INTO dns_grant (id, provider_id, agent_id, under, created_at) VALUES ('00000000000000000000000001', '{ident}', '{host}', 'example.org', 1)")
    refused = world.cw("cert", "add", "t.example.org", *shop(world)[1:])
    assert refused.code == 1 and "is not granted to team shop" in refused.err, refused
    world.ok("dns", "revoke", "own", "--agent", "host1")


def test_clients_on_an_agents_host_have_what_is_granted_to_it(world, make_remote, knot):
    """certbot on web7, with a token that is good for the names granted to web7 and for nothing else."""
    web = make_remote(world, "web7")
    wait.until(lambda: "hub_reached" in web.life(), "the agent has reached the hub")
    world.ok("dns", "grant", "own", "--agent", "web7", "--under", "web7.example.org")
    text = world.ok("token", "add", "hooks-web7", "--agent", "web7").out.strip()
    env, shown = environment(world, text), value()
    done = run(["certwright", "challenge", "present", "web7.example.org", shown], env)
    assert done.returncode == 0, done.stdout
    assert knot.txt("_acme-challenge.web7.example.org") == [shown]
    story = " ".join(world.show("challenge", done.stdout.strip())["story"])
    assert "value at _acme-challenge.web7.example.org in zone example.org: added with rfc2136" in story and "shows it" in story, story
    other = world.ok("challenge", "present", "other.example.org", value()).out.strip()
    listed = run(["certwright", "challenge", "list"], env)
    assert "web7.example.org" in listed.stdout and "other.example.org" not in listed.stdout
    for call, word in ((("challenge", "present", "www.example.org", value()), "certwright dns grant PROVIDER --agent web7 --under www.example.org"),
                       (("challenge", "clean", other), "no challenge"), (("dns", "list"), "may not do"), (("token", "add", "more"), "may not do"),
                       (("cert", "list"), "may not do")):
        done = run(["certwright", *call], env)
        assert done.returncode != 0 and word in done.stdout, done.stdout
    assert run(["certwright", "challenge", "clean", "web7.example.org", shown], env).returncode == 0
    assert knot.txt("_acme-challenge.web7.example.org") == []
    world.ok("challenge", "clean", other)
    assert "web7" in world.ok("token", "list").out
    # A certificate whose key that agent makes is answered for by the hub's agent, which has the credential.
    target = f"files-of-{web.name}"
    world.ok("target", "add", target, "--agent", "web7", "--connector", "files", "--set", f"fullchain={web.files}/site.pem", "--set", f"key={web.files}/site.key")
    world.ok("cert", "add", "web7.example.org", "--team", world.teams["press"], "--to", target, "--issuer", "peer", timeout=60)
    assert "BEGIN CERTIFICATE" in (web.files / "site.pem").read_text()
    world.ok("dns", "revoke", "own", "--agent", "web7")
    assert run(["certwright", "challenge", "present", "web7.example.org", value()], env).returncode != 0
    world.ok("agent", "remove", "web7", "--force")
    assert "unknown, revoked or expired" in run(["certwright", "challenge", "list"], env).stdout


def test_a_host_without_a_resolver_is_told_which(world, make_remote, knot):
    settings = knot.settings(world.folder / "tsig")
    blind = make_remote(world, "blind", **{**settings, "resolvers": ["127.0.0.1:9"]})
    wait.until(lambda: "hub_reached" in blind.life(), "the agent has reached the hub")
    done = world.cw("dns", "add", "blind", "--provider", "rfc2136", "--agent", "blind", "--zone", "example.org", *knot.parameters)
    assert done.code != 0 and "no DNS resolver of blind answers when asked for example.org: 127.0.0.1:9" in done.err, done
    world.ok("dns", "remove", "blind")
