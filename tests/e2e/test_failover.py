"""Several CAs in order, what each lets us ask for, and one bad name of many.  CA 1 is Pebble or one that lies, CA 2 Caddy's
acme_server, an implementation of its own."""
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from lib import pki, wait
from lib.caddy_ca import CaddyCa
from lib.dns import Dns
from lib.hub import ROOT
from lib.lying_ca import LyingCa
from lib.pebble import Pebble

WWW = "www.example.org"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="port 80 and a mount namespace")


def folder():
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    path.chmod(0o755)
    return path


@pytest.fixture
def liar():
    where = folder()
    ca = LyingCa(where)
    yield ca
    ca.stop()
    shutil.rmtree(where)


def acme(hub, name, ca, *more):
    hub.ok("issuer", "add", name, "--acme", ca.directory, "--agree", "--roots", getattr(ca, "all_roots", ca.roots), "--grant", "127.0.0.0/8",
           "--via", "listener", *more)


def steps(hub, name, step):
    return [s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{name}/events?after=0").json()["items"] if s["step"] == step]


def version(hub, name=WWW):
    return hub.show("cert", name).get("current_version", {"number": 0})


def audited(hub, action):
    return [e for e in hub.audit() if e["action"] == action]


def waits(hub, name):
    return hub.unix("GET", f"/api/v1/managed-certificates/{name}/events?after=-1").json()["state"] == "waiting"


# What a CA says when it fails, and what of it people must read.  The relay tries again for some seconds where nothing but the number
# of the answer tells that it may pass.
FAULTS = [("page new", "no URL for the order"), pytest.param("broken new", "500", marks=pytest.mark.soak)]


@pytest.fixture
def two(make_hub):
    """A hub, Pebble and Caddy that find every name at an address of 127.0.0.0/8, where the agent's listener has port 80."""
    address = f"127.77.{random.randint(1, 254)}.{random.randint(1, 254)}"
    where = [folder(), folder()]
    dns = Dns(address)
    hub = make_hub(http01={"address": address, "port": 80})
    first = Pebble(where[0], 80, sleep=2, dns=dns).start()
    second = CaddyCa(where[1], address, [WWW]).start()
    yield hub, first, second
    first.close()
    second.stop()
    for path in where:
        shutil.rmtree(path)


@root_only
@pytest.mark.one_engine
def test_ca_2_issues_when_ca_1_dies_in_the_middle_of_an_order_and_ca_1_is_asked_again_later(two):
    hub, first, second = two
    acme(hub, "first", first, "--failover-after", "1")
    acme(hub, "second", second)
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
    hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "first,second", "--no-wait")
    wait.until(lambda: steps(hub, WWW, "ordered"), "CA 1 has the order", 10)
    first.child.send_signal(signal.SIGKILL)
    first.child.wait()
    wait.until(lambda: version(hub)["number"] == 1, "CA 2 issues", 30)
    hub.settled(WWW)
    leaf = pki.read_chain((hub.files / "a.pem").read_bytes())[0]
    assert "Caddy" in leaf.issuer.rfc4514_string() and version(hub)["issuer"] == "second"
    assert "first is failing since" in steps(hub, WWW, "failover")[0] and "second is asked instead" in steps(hub, WWW, "failover")[0]
    assert hub.show("issuer", "first")["state"] == "waiting" and "first" in hub.cw("status").out
    assert len(audited(hub, "issuer.failing")) == 1 and len(audited(hub, "issuer.failover")) == 1
    assert "is served" in hub.why()
    # It is back, with other roots and no memory; the next renewal is the trial.
    first.start()
    hub.ok("issuer", "edit", "first", "--roots", first.all_roots)
    hub.move_clock(7 * 3600)
    wait.until(lambda: version(hub)["number"] == 2, "it is renewed", 30)
    assert version(hub)["issuer"] == "first" and hub.show("issuer", "first")["state"] == "ready"
    assert len(audited(hub, "issuer.healthy")) == 1


@pytest.mark.parametrize("lie,words", FAULTS)
def test_a_ca_that_fails_is_left_alone_by_all_and_tried_by_one(hub, liar, lie, words):
    acme(hub, "only", liar, "--failover-after", "1")
    liar.lie = lie
    hub.ok("cert", "add", "a.example.org", "--issuer", "only", "--no-wait")
    wait.until(lambda: hub.show("issuer", "only")["state"] == "waiting", "it has failed", 20)
    asked = liar.asked.count("new")
    for name in ("b.example.org", "c.example.org"):
        hub.ok("cert", "add", name, "--issuer", "only", "--no-wait")
        assert waits(hub, name)
        assert "only is failing since" in hub.why(name) and "not before" in hub.why(name) and words in hub.why(name)
    hub.ok("cert", "add", "d.example.org")
    assert liar.asked.count("new") == asked and not hub.unix("GET", "/api/v1/managed-certificates/b.example.org/attempts").json()["items"]
    # Half open: the one under way asks once more, and when that works the others do.
    liar.lie = None
    hub.move_clock(100)
    hub.ok("cert", "add", "e.example.org")
    for name in "abc":
        wait.until(lambda: version(hub, f"{name}.example.org")["number"] == 1, f"{name} is issued", 30)
    assert hub.show("issuer", "only")["state"] == "ready" and liar.asked.count("new") == asked + 3
    assert len(audited(hub, "issuer.failing")) == 1 and len(audited(hub, "issuer.healthy")) == 1


def test_a_ca_that_takes_an_order_again_is_well_whatever_becomes_of_the_answer_to_its_challenge(hub, liar):
    """The trial hangs on a target's agent that is away: nobody waits for that."""
    acme(hub, "only", liar, "--failover-after", "1")
    liar.lie = "page new"
    hub.ok("cert", "add", "a.example.org", "--issuer", "only", "--no-wait")
    wait.until(lambda: hub.show("issuer", "only")["state"] == "waiting", "it has failed", 20)
    hub.ok("cert", "add", "b.example.org", "--issuer", "only", "--no-wait")
    liar.lie = "pending"
    hub.move_clock(100)
    hub.ok("cert", "add", "c.example.org")  # a poll that waits does not see that the clock was moved
    wait.until(lambda: hub.show("issuer", "only")["state"] == "ready", "it has taken an order", 20)
    assert version(hub, "a.example.org")["number"] == version(hub, "b.example.org")["number"] == 0
    assert len(audited(hub, "issuer.healthy")) == 1


def test_a_ca_that_fails_at_issuing_is_not_believed_for_taking_orders(hub, liar):
    acme(hub, "only", liar, "--failover-after", "1")
    liar.lie = "page finalize"
    hub.ok("cert", "add", "a.example.org", "--issuer", "only", "--no-wait")
    wait.until(lambda: hub.show("issuer", "only")["state"] == "waiting", "it has failed", 20)
    hub.move_clock(100)
    hub.ok("cert", "add", "b.example.org")
    wait.until(lambda: hub.show("issuer", "only")["failures"] > 1, "the trial has failed", 20)
    assert not audited(hub, "issuer.healthy")


def test_a_long_retry_after_is_waited_for_and_nobody_hammers(hub, liar):
    acme(hub, "only", liar)
    liar.lie = "down new"
    hub.cw("cert", "add", "a.example.org", "--issuer", "only")
    hub.ok("cert", "add", "b.example.org", "--issuer", "only", "--no-wait")
    hub.ok("cert", "add", "c.example.org")
    hub.move_clock(3600)
    wait.until(lambda: waits(hub, "b.example.org"), "b waits", 5)
    assert liar.asked.count("new") == 1
    assert "maintenance until noon" in hub.why("a.example.org") and "maintenance until noon" in hub.why("b.example.org")
    liar.lie = None
    hub.move_clock(7300)
    for name in "ab":
        wait.until(lambda: version(hub, f"{name}.example.org")["number"] == 1, f"{name} is issued", 60)
    assert liar.asked.count("new") == 3


def test_a_retry_after_that_is_too_long_has_the_next_ca_asked_at_once(hub, liar):
    acme(hub, "only", liar, "--failover-within", "1h")
    liar.lie = "down new"
    done = hub.cw("cert", "add", WWW, "--issuer", "only,ca")
    assert done.code == 0, done
    assert version(hub)["issuer"] == "ca" and "ca is asked instead" in done.out
    assert "only is failing since" in steps(hub, WWW, "failover")[0]


def test_a_new_certificate_does_not_wait_long_for_its_first_choice(hub, liar):
    acme(hub, "first", liar, "--limit", "account=1/3h", "--failover-new", "11m")
    hub.ok("cert", "add", "a.example.org", "--issuer", "first")
    hub.ok("cert", "add", "b.example.org", "--issuer", "first,ca")
    assert version(hub, "b.example.org")["issuer"] == "ca"
    assert "issued by ca (the limit of first is reached: 1 order of the account in 3 hours; ca is asked instead)" in hub.why("b.example.org")
    hub.ok("issuer", "edit", "first", "--limit", "account=1/10m")
    assert hub.show("issuer", "first")["failover"] == {"after": 3, "within_s": 21600, "new_within_s": 660}
    hub.ok("cert", "add", "c.example.org", "--issuer", "first,ca", "--no-wait")
    assert waits(hub, "c.example.org") and "asked instead" not in hub.why("c.example.org")
    # Somebody else was first: the time that it has waited already counts.
    hub.move_clock(400)
    hub.ok("issuer", "edit", "first", "--limit", "account=1/16m")
    wait.until(lambda: "ca is asked instead before that" in hub.why("c.example.org"), "it says how long it waits", 10)
    hub.move_clock(680)
    wait.until(lambda: version(hub, "c.example.org")["number"] == 1, "it waits no longer", 20)
    assert version(hub, "c.example.org")["issuer"] == "ca" and liar.asked.count("new") == 1


def test_a_limit_that_the_ca_names_holds_up_one_certificate_and_no_other(hub, liar):
    acme(hub, "only", liar)
    liar.lie = "limited new"
    assert hub.cw("cert", "add", "a.example.org", "--issuer", "only").code == 6
    liar.lie = None
    hub.ok("cert", "add", "b.example.net", "--issuer", "only")
    assert hub.show("issuer", "only")["state"] == "ready" and liar.asked.count("new") == 2
    hub.move_clock(3600)
    assert "too many certificates for example.org" in hub.why("a.example.org") and version(hub, "a.example.org")["number"] == 0
    hub.move_clock(10900)
    wait.until(lambda: version(hub, "a.example.org")["number"] == 1, "it is issued", 30)
    assert liar.asked.count("new") == 3


def test_a_person_may_have_it_tried_now(hub, liar):
    acme(hub, "only", liar)
    liar.lie = "down new"
    hub.cw("cert", "add", WWW, "--issuer", "only")
    liar.lie = None
    hub.ok("cert", "retry", WWW)
    assert version(hub)["number"] == 1 and hub.show("issuer", "only")["state"] == "ready"


def test_a_published_limit_is_waited_for_and_other_domains_go_on(hub, liar):
    acme(hub, "only", liar, "--limit", "domain=2/7d", "--limit", "account=100/3h")
    for name in ("a.example.co.uk", "b.example.co.uk"):
        hub.ok("cert", "add", name, "--issuer", "only")
    hub.ok("cert", "add", "c.example.co.uk", "--issuer", "only", "--no-wait")
    hub.ok("cert", "add", "a.other.co.uk", "--issuer", "only")
    assert waits(hub, "c.example.co.uk") and liar.asked.count("new") == 3
    assert "the limit of only is reached: 2 certificates below example.co.uk in 7 days; not before" in hub.why("c.example.co.uk")
    assert "c.example.co.uk waits for issuer only" in hub.cw("status").out
    budget = {(b["kind"], b["what"]): b["used"] for b in hub.show("issuer", "only")["budget"]}
    assert budget == {("domain", "example.co.uk"): 2, ("domain", "other.co.uk"): 1, ("account", ""): 3}
    hub.ok("cert", "retry", "c.example.co.uk", "--no-wait")  # a person's impatience is no reason for the CA
    assert waits(hub, "c.example.co.uk")
    hub.ok("issuer", "edit", "only", "--limit", "domain=3/7d")
    wait.until(lambda: version(hub, "c.example.co.uk")["number"] == 1, "it goes on", 10)
    hub.ok("cert", "add", "d.example.co.uk", "--issuer", "only", "--no-wait")
    hub.move_clock(7 * 86400 + 60)
    wait.until(lambda: version(hub, "d.example.co.uk")["number"] == 1, "it is issued", 30)


def test_a_second_choice_is_looked_at_every_day(hub, liar):
    (hub.folder / "eab").write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA\n")
    acme(hub, "second", liar, "--staging", liar.directory, "--eab-kid", "kid-1", "--eab-key-file", hub.folder / "eab")
    hub.ok("cert", "add", WWW, "--issuer", "ca,second")
    wait.until(lambda: "standby_at" in hub.show("issuer", "second"), "it was looked at", 15)
    rehearsed = hub.show("issuer", "second")["rehearsed"]
    assert rehearsed["state"] == "blocked" and "certwright issuer rehearse second DOMAIN --eab-kid" in rehearsed["error"]
    assert "account" in liar.asked and "new" not in liar.asked and "account_url" in hub.show("issuer", "second")
    for day, lie, words in ((1, "down dir", "maintenance until noon"), (2, "other terms", "has new terms of service")):
        liar.lie = lie
        hub.move_clock(day * 86400)
        wait.until(lambda: words in hub.cw("status").out, f"the status says: {words}", 15)
        assert "issuer second stands by for another one and would not work now" in hub.cw("status").out
    hub.ok("issuer", "edit", "second", "--agree")
    wait.until(lambda: "second" not in hub.cw("status").out, "all is well", 15)


@pytest.mark.one_engine
def test_a_rehearsal_is_a_certificate_from_staging(hub, liar, pebble):
    acme(hub, "prod", liar)
    assert hub.cw("issuer", "rehearse", "prod", WWW).code == 2
    hub.ok("issuer", "edit", "prod", "--staging", pebble.directory)
    done = hub.ok("issuer", "rehearse", "prod", WWW, "--roots", pebble.all_roots, timeout=40)
    assert "version 1 is ready" in done.out and "prod-staging" in done.out and "new" not in liar.asked
    made = hub.show("cert", "prod-rehearsal")
    assert made["names"] == [WWW] and made["issuers"] == ["prod-staging"] and made["renewal"] == {"at_percent": 10}
    assert hub.show("issuer", "prod-staging")["challenge"]["via"] == "listener"


@pytest.mark.one_engine
def test_a_second_choice_is_rehearsed_every_day_by_itself(hub, liar, own_pebble):
    bad = "bad.example.org"
    pebble = own_pebble(dns=Dns(unknown=lambda name: name == bad))
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
    roots = hub.folder / "roots.pem"
    roots.write_text(Path(liar.roots).read_text() + Path(pebble.all_roots).read_text())
    hub.ok("issuer", "add", "prod", "--acme", liar.directory, "--agree", "--roots", roots, "--grant", "127.0.0.0/8", "--via", "listener",
           "--staging", pebble.directory)
    hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "ca,prod")
    passed = wait.until(lambda: (r := hub.show("issuer", "prod").get("rehearsed", {})).get("state") == "passed" and r, "it was rehearsed", 30)
    assert passed["names"] == [WWW] and passed["certificate"] == "prod-rehearsal" and passed["at"]
    assert version(hub, "prod-rehearsal")["issuer"] == "prod-staging" and "new" not in liar.asked
    # The next day it is another one's turn, and that fails.
    hub.ok("cert", "add", bad, "--issuer", "ca,prod")
    hub.move_clock(86400 + 600)
    failed = wait.until(lambda: (r := hub.show("issuer", "prod")["rehearsed"])["state"] == "failed" and r, "it was rehearsed again", 40)
    assert failed["names"] == [bad] and bad in failed["error"] and "prod-rehearsal failed" in hub.cw("status").out
    hub.ok("issuer", "edit", "prod", "--rehearsal", "off")
    wait.until(lambda: "rehearsed" not in hub.show("issuer", "prod") and "rehearsal" not in hub.cw("status").out, "it is over", 15)


@pytest.mark.one_engine
def test_a_campaign_is_rehearsed_at_staging_and_says_why_that_failed(hub, liar, own_pebble):
    bad = "bad.example.org"
    pebble = own_pebble(dns=Dns(unknown=lambda name: name == bad))
    roots = hub.folder / "roots.pem"
    roots.write_text(Path(liar.roots).read_text() + Path(pebble.all_roots).read_text())
    hub.ok("issuer", "add", "prod", "--acme", liar.directory, "--agree", "--roots", roots, "--grant", "127.0.0.0/8", "--via", "listener",
           "--staging", pebble.directory)
    for name in (WWW, bad):
        hub.ok("cert", "add", name)
        hub.ok("campaign", "add", f"move-{name}", name, "--issuer", "prod")
        hub.ok("campaign", "rehearse", f"move-{name}")

    def rehearsed(name):
        c = hub.unix("GET", f"/api/v1/campaigns/move-{name}").json()
        return c if c["state"] == "draft" and c.get("rehearsed_at") else None
    assert "rehearsal_error" not in wait.until(lambda: rehearsed(WWW), "it is rehearsed", 30)
    assert bad in wait.until(lambda: rehearsed(bad), "the other one is", 30)["rehearsal_error"]
    # Nothing of either is left, and the CA that is meant was asked for nothing.
    assert {c["name"]: c["issuers"] for c in hub.ok("cert", "list", "-o", "json").json()} == {WWW: ["ca"], bad: ["ca"]}
    assert version(hub)["number"] == 1 and "new" not in liar.asked


# --- one bad name of many

GOOD, BAD = [f"good{i}.example.org" for i in range(10)], [f"bad{i}.example.org" for i in range(10)]


@pytest.fixture(scope="module")
def picky(hub_maker, http_port):
    """A hub and a Pebble for which names that begin with bad do not exist."""
    where = folder()
    broken = multiprocessing.Value("b", True)  # the name server is a process of its own
    ca = Pebble(where, http_port, nonce_reject=0, dns=Dns(unknown=lambda name: broken.value and name.startswith("bad"))).start()
    hub = hub_maker()
    acme(hub, "picky", ca)
    yield hub, broken
    ca.close()
    shutil.rmtree(where)


def add_all(hub, broken, name, policy):
    broken.value = True
    hub.cw("cert", "add", *GOOD, *BAD, "--name", name, "--issuer", "picky", "--bad-name", policy, timeout=60)


def test_of_20_names_half_are_bad_and_nothing_is_issued(picky):
    hub, broken = picky
    add_all(hub, broken, "all", "fail")
    assert version(hub, "all")["number"] == 0 and "bad" in hub.why("all") and "next try" in hub.why("all")
    hub.ok("cert", "remove", "all")


def test_of_20_names_half_are_bad_and_are_left_out_until_the_next_renewal(picky):
    hub, broken = picky
    add_all(hub, broken, "some", "drop")
    wait.until(lambda: version(hub, "some")["number"] == 1, "it is issued", 40)
    names = hub.unix("GET", f"/api/v1/certificates/{version(hub, 'some')['fingerprint']}").json()["names"]
    assert sorted(names) == GOOD
    assert "without bad0.example.org and 9 more names" in hub.why("some") and "some" in hub.cw("status").out
    broken.value = False
    hub.ok("cert", "renew", "some", timeout=60)
    names = hub.unix("GET", f"/api/v1/certificates/{version(hub, 'some')['fingerprint']}").json()["names"]
    assert sorted(names) == sorted(GOOD + BAD) and "without" not in hub.why("some")
    hub.ok("cert", "remove", "some")


def test_of_20_names_half_are_bad_and_become_a_certificate_of_their_own(picky):
    hub, broken = picky
    add_all(hub, broken, "most", "split")
    wait.until(lambda: version(hub, "most")["number"] == 1, "it is issued", 40)
    assert sorted(hub.show("cert", "most")["names"]) == GOOD
    apart = [c["name"] for c in hub.unix("GET", "/api/v1/managed-certificates").json()["items"] if c["name"].startswith("bad")]
    assert sorted(n for c in apart for n in hub.show("cert", c)["names"]) == BAD
    assert "failed" in hub.why(apart[0])
    hub.ok("cert", "remove", "most", *apart)


@pytest.mark.soak
def test_a_name_that_leads_here_no_more_pauses_with_a_reason(picky):
    hub, broken = picky
    broken.value = True
    hub.cw("cert", "add", GOOD[0], BAD[0], "--name", "gone", "--issuer", "picky")
    for failures in range(2, 30):
        hub.move_clock(failures * 15 * 3600)
        wait.until(lambda: hub.show("cert", "gone")["failures"] >= failures or hub.show("cert", "gone")["paused"], "it fails again", 30)
        if hub.show("cert", "gone")["paused"]:
            break
    assert "bad0.example.org could not be validated" in hub.why("gone") and "for more than a week" in hub.why("gone")
    assert "certwright cert resume gone" in hub.cw("status").out
    broken.value = False
    hub.ok("cert", "resume", "gone")
    wait.until(lambda: version(hub, "gone")["number"] == 1, "it is issued", 30)


# --- changing an issuer

def test_another_way_to_prove_names_is_looked_at_before_and_told(hub, liar):
    acme(hub, "only", liar)
    hub.ok("cert", "add", WWW, "api.example.org", "--issuer", "only")
    words = f"Warning: 1 certificate could not be proved to it any more: {WWW} ({WWW}: no DNS provider answers for it; enter one: "
    done = hub.ok("issuer", "edit", "only", "--challenge", "dns-01", "--dry-run")
    assert words in done.out and "Nothing was changed." in done.out and hub.show("issuer", "only")["challenge"]["method"] == "auto"
    assert "Nothing speaks against it" in hub.ok("issuer", "edit", "only", "--challenge", "tls-alpn-01", "--dry-run").out
    assert hub.cw("issuer", "edit", "only", "--challenge", "dns-account-01", "--dry-run").code == 2
    assert words in hub.ok("issuer", "edit", "only", "--challenge", "dns-01").out
    assert hub.show("issuer", "only")["challenge"]["method"] == "dns-01"


def test_nothing_of_who_may_not_reaches_the_signer(hub):
    """What it would say of the key is not said."""
    body = {"name": "x", "kind": "acme", "directory_url": "https://ca.example/dir", "terms_agreed": True, "eab": {"kid": "k", "key": "!"}}
    assert "base64url" in hub.unix("POST", "/api/v1/issuers", body).text
    refused = hub.unix("POST", "/api/v1/issuers", {**body, "team": "nobodys"})
    assert refused.status_code in (400, 403, 404) and "base64url" not in refused.text


# --- presets

def test_cas_are_described_ready_made(make_hub):
    hub = make_hub()
    presets = {p["name"]: p for p in hub.ok("issuer", "presets", "-o", "json").json()}
    assert set(presets) == {p.stem for p in (ROOT / "issuers").glob("*.yaml")}
    assert {"letsencrypt", "zerossl", "google", "sslcom", "sectigo", "digicert", "globalsign"} <= set(presets)
    (hub.folder / "eab").write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA\n")
    for preset in presets.values():
        add = ["issuer", "add", preset["name"], "--preset", preset["name"], "--agree"]
        if preset["eab"] == "required":
            done = hub.cw(*add)
            assert done.code == 2 and preset["eab_how"] in done.err, done
            add += ["--eab-kid", "kid-1", "--eab-key-file", hub.folder / "eab"]
        hub.ok(*add)
        made = hub.show("issuer", preset["name"])
        assert made["directory_url"] == preset["directory_url"] and made.get("limits", []) == preset["limits"] and made["preset"] == preset["name"]
    done = hub.cw("issuer", "add", "x", "--preset", "../agent", "--agree")
    assert done.code == 2 and "no CA is described" in done.err
