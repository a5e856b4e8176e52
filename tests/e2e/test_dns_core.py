"""DNS providers in the hub: wildcards and what stands beside them, whom a provider is granted to, challenges of other clients, and
credentials that fail.  The DNS is a real Knot that takes signed updates, the CA a Pebble that asks it."""
import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from lib import pki, wait
from lib.hub import PROGRAM
from lib.knot import Knot
from lib.pebble import Pebble

APEX, WILDCARD, OWN = "example.org", "*.example.org", "_acme-challenge.example.org"
THEIRS = "somebody else's"


@pytest.fixture(scope="module")
def knot():
    folder = Path(tempfile.mkdtemp(prefix="cw-knot-", dir="/tmp"))
    server = Knot(folder, "example.org", "example.net")
    server.write_zone("example.org", f'_acme-challenge TXT "{THEIRS}"')
    yield server.start()
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def ca(knot, http_port):
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    server = Pebble(folder, http_port, nonce_reject=0, dns=knot).start() # a refused nonce is too much for Debian's certbot
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def world(knot, ca, hub_maker, nginx_maker, engine):
    """A hub with a DNS provider of its own team, teams below it, and an issuer that asks Knot."""
    nginx = nginx_maker()
    hub = hub_maker(nginx=nginx, start=False)
    hub.nginx, hub.engine = nginx, engine
    hub.agent_settings.update(knot.settings(hub.folder / "tsig"))
    hub.write_agent()
    hub.start()
    hub.ok("target", "discover")
    hub.ok("issuer", "add", "pebble", "--acme", ca.directory, "--agree", "--roots", ca.all_roots, "--grant", "127.0.0.0/8", "--via", "listener")
    hub.teams = teams(hub, "shop", "press", "strangers")
    return hub


def sql(hub, text):
    """Teams are not made by the API yet."""
    if hub.engine:
        return hub.engine.sql(text, hub.database)
    db = sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=10)
    with db:
        rows = db.executescript(text) if ";" in text else db.execute(text)
        out = "\n".join("|".join(str(c) for c in r) for r in rows)
    db.close()
    return out


def teams(hub, *names):
    root = sql(hub, "SELECT id FROM team").strip()
    for i, name in enumerate(names):
        ident = root[:-1] + "XYZ"[i] if root[-1] not in "XYZ" else root[:-1] + "abc"[i]
        sql(hub, f"INSERT INTO team (id, parent_id, name, created_at, number) SELECT '{ident}', '{root}', '{name}', 1, MAX(number) + 1 FROM team;"
                 f"INSERT INTO team_within (team_id, ancestor_id) VALUES ('{ident}', '{ident}'), ('{ident}', '{root}')")
    return dict(line.split("|") for line in sql(hub, "SELECT name, id FROM team").split())


def token(hub, team):
    made = hub.unix("POST", "/api/v1/tokens", {"name": f"of-{team}-{os.urandom(4).hex()}", "team": hub.teams[team]})
    assert made.status_code == 201, made.text
    return made.json()["token"]


def provider(hub, knot, name, *more, zone="example.org", code=0):
    done = hub.cw("dns", "add", name, "--provider", "rfc2136", "--zone", zone, *knot.parameters, *more)
    assert done.code == code, done
    return done


def value(begin=b""):
    return base64.urlsafe_b64encode(begin + os.urandom(32 - len(begin))).decode().rstrip("=")


def as_found(knot):
    wait.until(lambda: knot.txt(OWN) == [THEIRS], "only what others have put there is there", 20)


def test_a_wildcard_needs_a_provider_before_a_key_is_made(world, knot):
    done = world.cw("cert", "add", WILDCARD, "--to", "nginx", "--issuer", "pebble")
    assert done.code == 1 and "certwright dns add" in done.err and "--zone example.org" in done.err, done
    assert not [j for j in world.jobs() if j["kind"] == "key"]
    assert world.cw("cert", "show", WILDCARD).code != 0

    done = provider(world, knot, "own")
    assert "example.org: the credential is good" in done.out
    shown = world.show("dns", "own")
    assert shown["state"] == "good" and shown["agent"] == "host1" and shown["zones"][0]["tried_at"]
    assert knot.secret not in json.dumps(shown)
    # One that works no more is an alert without any configuration, and one that works again closes it.
    knot.stop()
    assert world.cw("dns", "test", "own").code != 0
    of_own = "/api/v1/alerts?state={}&object=own"
    (alert,) = wait.until(lambda: world.unix("GET", of_own.format("open")).json()["items"], "there is an alert", 15)
    assert (alert["rule"], alert["event"]) == ("credential-failing", "dns-provider.failing"), alert
    knot.start()
    world.ok("dns", "test", "own")
    wait.until(lambda: world.unix("GET", of_own.format("closed")).json()["items"], "it is over", 15)

    for more, word in ((["--zone", "no_zone"], "no_zone"), (["--zone", "example.org", "--agent", "nobody"], "nobody"), (["--zone", "1.2.3.4"], "1.2.3.4")):
        done = world.cw("dns", "add", "bad", "--provider", "rfc2136", *more)
        assert done.code in (2, 4) and word in done.err, done
    assert world.unix("POST", "/api/v1/dns-providers/own/grants", {"team": "shop", "agent": "host1", "under": APEX}).status_code == 400
    assert world.unix("POST", "/api/v1/dns-providers/own/grants", {"team": "shop", "under": "example.edu"}).json()["field"] == "/under"

    plan = world.ok("cert", "add", APEX, WILDCARD, "--to", "nginx", "--issuer", "pebble", "--dry-run").out
    assert f"{WILDCARD} is proved by dns-01 with DNS provider own" in plan and f"{APEX} is proved by http-01" in plan


def test_wildcard_and_apex_in_one_certificate_are_served(world, knot, ca):
    world.ok("issuer", "edit", "pebble", "--challenge", "dns-01")
    assert world.show("issuer", "pebble")["challenge"] == {"method": "dns-01", "via": "listener"}
    done = world.ok("cert", "add", WILDCARD, APEX, "--name", "both", "--to", "www.example.org",
                    "--issuer", "pebble", timeout=60)
    assert "value at _acme-challenge.example.org" in done.out, done
    world.nginx.shows(world.show("cert", "both")["current_version"]["fingerprint"])
    good, words = pki.trusted(world.nginx.https_port, ca.all_roots)
    assert good, words
    as_found(knot)


def test_two_attempts_for_apex_and_wildcard_at_once_leave_nothing(world, knot):
    for name in (APEX, WILDCARD):
        world.ok("cert", "add", name, "--issuer", "pebble", "--no-wait")
    for name in (APEX, WILDCARD):
        assert world.settled(name, 60)["state"] == "done", world.why(name)
        assert world.show("cert", name)["current_version"]
    as_found(knot)
    world.ok("issuer", "edit", "pebble", "--challenge", "auto")


def environment(hub, team_token, **more):
    """Of a client on another host: the hub's URL, a token of its team, and nothing of the DNS."""
    (hub.folder / "team-token").write_text(team_token)
    return {"PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}", "HOME": str(hub.folder), "CERTWRIGHT_URL": hub.base,
            "CERTWRIGHT_TOKEN_FILE": str(hub.folder / "team-token"), "CERTWRIGHT_CA_FILE": str(hub.fleet_roots), **more}


def run(argv, env):
    return subprocess.run([str(a) for a in argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)


def certbot(hub, ca, knot, team_token):
    folder = hub.folder / "certbot"
    return run(["certbot", "certonly", "--manual", "-n", "--agree-tos", "--register-unsafely-without-email", "--server", ca.directory,
                "--preferred-challenges", "dns", "--config-dir", folder, "--work-dir", folder, "--logs-dir", folder, "-d", "*.shop.example.net",
                "--manual-auth-hook", 'certwright challenge present "$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"',
                "--manual-cleanup-hook", 'certwright challenge clean "$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"'],
               environment(hub, team_token, REQUESTS_CA_BUNDLE=str(ca.roots)))


def lego(hub, ca, knot, team_token):
    script = hub.folder / "certwright-lego"
    script.write_text('#!/bin/sh\ncase $1 in\npresent) exec certwright challenge present "$2" "$3" ;;\n'
                      'cleanup) exec certwright challenge clean "$2" "$3" ;;\nesac\n')
    script.chmod(0o755)
    return run(["lego", "--server", ca.directory, "--accept-tos", "--email", "ops@example.org", "--dns", "exec", "--dns.disable-cp", "--dns.resolvers",
                f"{knot.address}:53", "--path", hub.folder / "lego", "-d", "shop.example.net", "run"],
               environment(hub, team_token, LEGO_CA_CERTIFICATES=str(ca.roots), EXEC_PATH=str(script), EXEC_POLLING_INTERVAL="1"))


def test_a_grant_lets_another_team_in_and_nobody_else(world, knot, ca):
    """Challenges of certbot, lego and others: with a token of the team, without a look at the credential."""
    provider(world, knot, "press-dns", "--team", world.teams["press"], zone="example.net")
    world.ok("dns", "grant", "press-dns", "--team", "shop", "--under", "shop.example.net")
    shop, strangers = token(world, "shop"), token(world, "strangers")
    text = value()

    made = world.https("POST", "/api/v1/challenges", {"name": "*.shop.example.net", "value": text}, token=shop)
    assert made.status_code == 201, made.text
    ident = made.json()["id"]
    again = world.https("POST", "/api/v1/challenges", {"name": "_acme-challenge.Shop.example.net.", "value": text}, token=shop)
    assert again.json()["id"] == ident, "the same once more is the one there is"

    def state():
        return world.https("GET", f"/api/v1/challenges/{ident}", token=shop).json()["state"]
    wait.until(lambda: state() == "presented", "the challenge is shown", 20)
    assert knot.txt("_acme-challenge.shop.example.net") == [text]

    for whose, name in ((strangers, "www.example.org"), (shop, "example.org"), (strangers, "shop.example.net"), (shop, "example.net"), (shop, "other.example.net"), (shop, "oldshop.example.net")):
        refused = world.https("POST", "/api/v1/challenges", {"name": name, "value": value()}, token=whose)
        assert refused.status_code == 403, (name, refused.text)
    assert world.https("GET", f"/api/v1/challenges/{ident}", token=strangers).status_code == 404
    assert world.https("DELETE", f"/api/v1/challenges/{ident}", token=strangers).status_code == 404
    assert world.https("GET", "/api/v1/dns-providers", token=shop).json()["items"] == [], "who is granted it does not see it"
    bad = world.https("POST", "/api/v1/challenges", {"name": "shop.example.net", "value": "v=spf1 -all"}, token=shop)
    assert bad.status_code == 400 and bad.json()["field"] == "/value"

    assert world.https("DELETE", f"/api/v1/challenges/{ident}", token=shop).status_code == 204
    wait.until(lambda: state() == "cleaned", "the challenge is taken away", 20)
    assert knot.txt("_acme-challenge.shop.example.net") == []

    for client in (certbot, lego) if os.environ.get("CERTWRIGHT_SOAK") else (certbot,):
        done = client(world, ca, knot, shop)
        assert done.returncode == 0, done.stdout
        assert knot.txt("_acme-challenge.shop.example.net") == []

    world.ok("dns", "revoke", "press-dns", "--team", "shop")
    assert world.https("POST", "/api/v1/challenges", {"name": "shop.example.net", "value": value()}, token=shop).status_code == 403
    assert {"dns-provider.create", "dns-provider.grant", "dns-provider.revoke", "challenge.create", "challenge.delete"} <= {e["action"] for e in world.audit()}


def test_an_alias_leads_no_further_than_the_grant(world, knot):
    """Who has shop.example.net can make names below it aliases of any other name in the zone."""
    world.ok("dns", "grant", "press-dns", "--team", "shop", "--under", "shop.example.net")
    shop, victim = token(world, "shop"), "_acme-challenge.bank.example.net"
    knot.put("example.net", "_acme-challenge.sly.shop", "5", "CNAME", f"{victim}.")
    knot.put("example.net", "_acme-challenge.good.shop", "5", "CNAME", "proofs.shop.example.net.")

    def present(name):
        made = world.https("POST", "/api/v1/challenges", {"name": name, "value": value()}, token=shop)
        assert made.status_code == 201, made.text
        return wait.until(lambda: next((c for c in [world.https("GET", f"/api/v1/challenges/{made.json()['id']}", token=shop).json()]
                                        if c["state"] != "presenting"), None), f"{name} is settled", 20)
    sly = present("sly.shop.example.net")
    assert knot.txt(victim) == []
    assert sly["state"] == "failed" and f"--under {victim}" in sly["last_error"]["text"], sly
    good = present("good.shop.example.net")
    assert good["state"] == "presented" and knot.txt("proofs.shop.example.net") == [good["value"]]
    assert world.https("DELETE", f"/api/v1/challenges/{good['id']}", token=shop).status_code == 204
    wait.until(lambda: knot.txt("proofs.shop.example.net") == [], "it is taken away", 20)
    world.ok("dns", "revoke", "press-dns", "--team", "shop")


def test_the_agents_of_other_teams_do_nothing_for_a_team(world, knot):
    """Whoever may say what an agent is to do has its credentials and folders: a provider, issuer or target of a team works by an
    agent of that team, also where none is named."""
    press = token(world, "press")
    zones, parameters = ["example.org", "example.net"], world.show("dns", "press-dns")["parameters"]
    for body in ({}, {"agent": "host1"}):
        made = world.https("POST", "/api/v1/dns-providers", {"name": "sly", "provider": "rfc2136", "zones": zones, "parameters": parameters, **body}, token=press)
        assert made.status_code in (403, 404) and made.json()["field"] == "/agent", made.text
        made = world.https("POST", "/api/v1/issuers", {"name": "sly", "kind": "enroll", "protocol": "est", "parameters": parameters, **body}, token=press)
        assert made.status_code in (403, 404) and made.json()["field"] == "/agent", made.text
        made = world.https("POST", "/api/v1/targets", {"name": "sly", "connector": "nginx", "parameters": {}, **body}, token=press)
        assert made.status_code in (403, 404), made.text
    widened = world.https("PATCH", "/api/v1/dns-providers/press-dns", {"zones": zones}, token=press)
    assert widened.status_code == 404 and widened.json()["field"] == "/agent", widened.text


def test_hooks_present_and_clean(world, knot):
    """As certbot's manual hooks and lego's exec provider call it: name and value, and nothing else is known at the end."""
    text = value(b"\xf8") # begins with a hyphen
    world.ok("challenge", "present", "_acme-challenge.www.example.org.", text)
    assert knot.txt("_acme-challenge.www.example.org") == [text]
    world.ok("challenge", "clean", "_acme-challenge.www.example.org.", text)
    assert knot.txt("_acme-challenge.www.example.org") == []


def test_credentials_are_tried_daily_and_forgotten_challenges_taken_away(world, knot):
    def tries():
        return sum(j["kind"] == "dns_test" and j["state"] == "done" for j in world.jobs())
    before = tries()
    world.ok("challenge", "present", "forgotten.example.org", value())
    sql(world, "UPDATE timer SET due_at = 1 WHERE kind IN ('dns-test', 'challenge')") # as a day later
    wait.until(lambda: tries() > before, "the credential is tried again")
    wait.until(lambda: knot.txt("_acme-challenge.forgotten.example.org") == [], "the challenge is taken away")


def test_what_a_certificate_left_behind_is_swept(world, knot, ca):
    """The credential is withdrawn between the answer and its taking away."""
    at = "_acme-challenge.behind.example.org"
    world.ok("issuer", "edit", "pebble", "--challenge", "dns-01")
    world.ok("cert", "add", "behind.example.org", "--issuer", "pebble", "--no-wait")
    wait.until(lambda: knot.txt(at), "the answer is there", 20, 0.005)
    ca.child.send_signal(signal.SIGSTOP)
    try:
        world.ok("dns", "edit", "own", "--set", "secret=withdrawn", "--no-test")
    finally:
        ca.child.send_signal(signal.SIGCONT)
    assert world.settled("behind.example.org", 30)["state"] == "done", world.why("behind.example.org")
    wait.until(lambda: "behind.example.org: the answer to a dns-01 challenge for dns:behind.example.org was left behind" in world.cw("status").out,
               "status tells what was left behind", 20)
    assert knot.txt(at)
    assert world.cw("dns", "remove", "own").code == 1
    world.ok("dns", "edit", "own", "--set", "secret=tsig")
    world.ok("dns", "sweep", "own")
    wait.until(lambda: not knot.txt(at) and "left behind" not in world.cw("status").out, "it is taken away", 20)
    assert "nothing is left behind" in world.ok("dns", "sweep", "own").out
    world.ok("issuer", "edit", "pebble", "--challenge", "auto")


def test_an_attempt_whose_provider_went_away_ends_with_that_word(world, knot, ca):
    ca.child.send_signal(signal.SIGSTOP)
    try:
        world.ok("cert", "add", "*.gone.example.org", "--issuer", "pebble", "--no-wait")
        wait.until(lambda: any(j["kind"] == "order" and j["state"] == "leased" for j in world.jobs()), "the order waits for the CA")
        world.ok("dns", "remove", "own", "--force")
    finally:
        ca.child.send_signal(signal.SIGCONT)
    assert world.settled("*.gone.example.org", 30)["state"] == "failed"
    assert "cannot be proved in DNS any more: no DNS provider answers for it" in world.why("*.gone.example.org")
    world.ok("cert", "remove", "*.gone.example.org")
    provider(world, knot, "own")


def test_a_credential_that_fails_is_told_and_what_is_left_behind_is_swept(world, knot):
    good, text = (world.folder / "tsig").read_text(), value()
    ident = world.ok("challenge", "present", "left.example.org", text).out.strip()
    (world.folder / "tsig").write_text(base64.b64encode(bytes(32)).decode())
    done = world.cw("dns", "test", "own")
    assert done.code == 6 and "its credential failed for example.org" in done.err and "BADSIG" in done.err, done
    (world.folder / "tsig").write_text(good)
    world.ok("dns", "test", "own")
    world.ok("dns", "edit", "own", "--set", "secret=withdrawn", "--no-test")
    done = world.cw("challenge", "present", "fails.example.org", value())
    assert done.code == 3 and "withdrawn" in done.err, done

    def told():
        status = world.cw("status").out
        return "DNS provider own: its credential failed" in status and "certwright dns test own" in status
    wait.until(told, "an answer that cannot be put there has the credential tried")

    assert world.cw("challenge", "clean", ident).code == 3
    status = world.cw("status").out
    assert "left.example.org was left behind" in status and "certwright dns sweep own" in status, status
    refused = world.cw("dns", "remove", "own")
    assert refused.code == 1 and "--force" in refused.err, "what is left behind is not forgotten"

    world.ok("dns", "edit", "own", "--set", "secret=tsig")
    assert "1 record is being taken away" in world.ok("dns", "sweep", "own").out
    wait.until(lambda: knot.txt("_acme-challenge.left.example.org") == [], "it is taken away", 20)
    wait.until(lambda: "DNS provider" not in world.cw("status").out and "left behind" not in world.cw("status").out, "all is well", 10)
    sql(world, f"UPDATE dns_zone SET expires_at = {int(time.time()) + 10 * 86400 + 60}")
    assert "its credential for example.org ends in 10 days" in world.cw("status").out

    refused = world.cw("dns", "remove", "own")
    assert refused.code == 1 and "could not be renewed without it" in refused.err, refused
    provider(world, knot, "second")
    world.ok("dns", "remove", "own")
