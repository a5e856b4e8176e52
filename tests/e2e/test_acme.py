"""The ACME client against Pebble, which refuses one nonce in seven and takes its answers from a real nginx, a webroot or the
agent's own listener."""

import re
import signal
import time

import pytest

from lib import pki, wait

WWW = "www.example.org"


def issuer(hub, pebble, *more, roots=None, agree=True):
    return hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--contact", "ops@example.org", *(["--agree"] if agree else []),
                  "--roots", roots or pebble.all_roots, "--grant", "127.0.0.0/8", *more)


def add(site, *names, to=WWW, code=0, issuers="pebble"):
    done = site.cw("cert", "add", *names, "--to", to, "--issuer", issuers, timeout=40)
    assert done.code == code, done
    return done


def current(hub, name=WWW):
    return hub.show("cert", name)["current_version"]


def clean(nginx, conf):
    """The configuration is as its owner left it, and nothing of a challenge is answered any more."""
    wait.until(lambda: nginx.conf.read_bytes() == conf, "the token is out of the configuration", 20)
    assert nginx.get("/.well-known/acme-challenge/anything")[0] == 301


def test_nginx_answers_on_a_port_where_it_redirects_everything(site, nginx, pebble):
    issuer(site, pebble)
    conf = nginx.conf.read_bytes()
    done = add(site, WWW)
    nginx.shows(current(site)["fingerprint"])
    good, words = pki.trusted(nginx.https_port, pebble.all_roots)
    assert good, words
    assert "Pebble" in nginx.served().issuer.rfc4514_string()
    assert re.search(r"present .*server block", done.out) and "is served" in done.out
    clean(nginx, conf)


def test_nginx_answers_on_a_port_where_it_proxies_everything(site, nginx, pebble):
    dead = wait.free_port()
    nginx.http = [f"location / {{ proxy_pass http://127.0.0.1:{dead}; }}", f"server_name {WWW}; location ~ ^/ {{ return 403; }}"]
    nginx.write()
    nginx.reload()
    issuer(site, pebble)
    conf = nginx.conf.read_bytes()
    add(site, WWW)
    nginx.shows(current(site)["fingerprint"])
    wait.until(lambda: nginx.conf.read_bytes() == conf, "the token is out of the configuration", 20)
    assert nginx.get("/.well-known/acme-challenge/anything")[0] == 403


def test_nginx_answers_for_several_names(nginx, make_hub, pebble):
    nginx.block.names += ["api.example.org", "shop.example.org"]
    nginx.write()
    nginx.reload()
    site = make_hub(nginx=nginx)
    site.ok("target", "discover")
    issuer(site, pebble)
    conf = nginx.conf.read_bytes()
    add(site, WWW, "api.example.org", "shop.example.org")
    nginx.shows(current(site)["fingerprint"], "shop.example.org")
    assert pki.dns_names(nginx.served()) == ["api.example.org", "shop.example.org", WWW]
    clean(nginx, conf)


def test_the_webroot_of_a_web_server_answers(site, nginx, pebble):
    nginx.http = [f"root {nginx.webroot};"]
    nginx.write()
    nginx.reload()
    issuer(site, pebble, "--via", "webroot", "--webroot", nginx.webroot)
    add(site, WWW)
    nginx.shows(current(site)["fingerprint"])
    wait.until(lambda: not list(nginx.webroot.rglob("*")), "the token is taken away", 20)


def test_the_agents_own_listener_answers(hub, pebble):
    issuer(hub, pebble, "--via", "listener")
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
    add(hub, WWW, "api.example.org", to="out")
    leaf = pki.read_chain((hub.files / "a.pem").read_bytes())[0]
    assert pki.dns_names(leaf) == ["api.example.org", WWW] and "Pebble" in leaf.issuer.rfc4514_string()


def test_the_listener_is_open_only_while_a_challenge_is(hub, pebble):
    import socket
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", timeout=40)

    def closed():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", hub.http_port)) != 0
    wait.until(closed, "the listener is closed", 20)


@pytest.mark.parametrize("point", ["agent:agent.present_edited=kill", "agent:agent.present_reloaded=kill", "agent:agent.clean_edited=kill",
                                   "apply:apply.challenge_edited=kill"])
def test_the_token_is_taken_away_also_after_kill_9_in_the_middle(nginx, make_hub, pebble, point):
    conf = nginx.conf.read_bytes()
    site = make_hub(nginx=nginx, start=False)
    site.start(failpoint=point)
    site.ok("target", "discover")
    issuer(site, pebble)
    add(site, WWW)
    assert f" failpoint name={point.split(':')[1].split('=')[0]} " in site.text()
    nginx.shows(current(site)["fingerprint"])
    clean(nginx, conf)


@pytest.mark.parametrize("point", ["relay.after_new_account", "relay.after_new_order", "relay.after_challenge", "relay.before_finalize",
                                   "relay.after_finalize", "relay.after_download"])
def test_an_attempt_that_was_interrupted_at_the_ca_goes_on_and_finalizes_once(make_hub, pebble, point):
    hub = make_hub(start=False)
    hub.start(failpoint=f"relay:{point}=kill")
    issuer(hub, pebble, "--via", "listener")
    before = pebble.said("Issued certificate serial")
    done = hub.cw("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    assert done.code == 0, done
    assert f" failpoint name={point} " in hub.text()
    assert pebble.said("Issued certificate serial") == before + 1
    assert len(hub.ok("cert", "versions", WWW, "-o", "json").json()) == 1
    assert len(hub.ok("cert", "attempts", WWW, "-o", "json").json()) == 1


def test_renewal_through_acme_makes_another_version(site, nginx, pebble):
    issuer(site, pebble)
    add(site, WWW)
    first = current(site)
    site.ok("cert", "renew", WWW, timeout=40)
    assert current(site)["number"] == 2 and current(site)["fingerprint"] != first["fingerprint"]
    nginx.shows(current(site)["fingerprint"])


def test_a_revoked_certificate_is_revoked_at_the_ca(hub, pebble):
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    leaf = pki.read_chain(hub.ok("cert", "export", WWW).out)[0]
    assert not pebble.revoked(leaf.serial_number)
    hub.ok("cert", "revoke", WWW, timeout=40)
    wait.until(lambda: pebble.revoked(leaf.serial_number), "the CA has revoked it", 20)
    assert current(hub)["number"] == 2


def test_every_other_nonce_refused_is_no_failure(make_hub, own_pebble):
    pebble = own_pebble(nonce_reject=50)
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    assert current(hub)["number"] == 1


def test_a_slow_ca_is_waited_for(make_hub, own_pebble):
    pebble = own_pebble(sleep=2)
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "api.example.org", "--issuer", "pebble", timeout=40)
    assert current(hub)["number"] == 1


def told(hub, words, name=WWW):
    """Waits until the story of a certificate says so."""
    wait.until(lambda: re.search(words, hub.ok("cert", "steps", name).out + hub.why(name)), f"it is told: {words}", 25, 0.1)


def test_a_ca_that_is_down_is_told_and_asked_again(make_hub, own_pebble):
    pebble = own_pebble()
    pebble.stop()
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", "--no-wait")
    told(hub, rf"127.0.0.1:{pebble.port}.*Couldn't connect")
    assert re.search(r"is at: order; \d+ tr.* so far: .*Couldn't connect.*; again at ", hub.why())
    assert re.search(rf"{WWW}: order did not work yet .*Couldn't connect", hub.ok("status").out)
    pebble.start()
    hub.move_clock(300)
    wait.until(lambda: hub.show("cert", WWW).get("current_version"), "it was asked again by itself", 30)
    assert "All is well" in hub.ok("status").out


def test_a_ca_that_dies_in_the_middle_leaves_an_attempt_that_goes_on(make_hub, own_pebble):
    pebble = own_pebble(sleep=3)
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", "--no-wait")
    wait.until(lambda: "order made at the CA" in hub.ok("cert", "steps", WWW).out, "there is an order", 10)
    pebble.child.send_signal(signal.SIGSTOP)
    try:
        wait.until(lambda: hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=-1").json()["state"] == "working", "it waits", 5)
    finally:
        pebble.child.send_signal(signal.SIGCONT)
    wait.until(lambda: hub.show("cert", WWW).get("current_version"), "it goes on", 40)


def test_a_silent_ca_holds_up_neither_other_renewals_nor_the_end(make_hub, own_pebble):
    """It takes connections and says nothing: what waits for it keeps no worker of the host, and is given up when the hub ends."""
    pebble = own_pebble()
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/x.pem")
    pebble.child.send_signal(signal.SIGSTOP)
    try:
        for i in range(12): # more than the agent has workers
            hub.ok("cert", "add", f"m{i}.example.org", "--issuer", "pebble", "--no-wait")
        wait.until(lambda: sum(j["kind"] == "order" and j["state"] == "leased" for j in hub.jobs()) == 12, "all wait for the CA", 10)
        began = time.monotonic()
        hub.ok("cert", "add", "own.example.org", "--to", "out")
        assert time.monotonic() - began < 5
        began = time.monotonic()
        hub.stop()
        assert time.monotonic() - began < 8
    finally:
        pebble.child.send_signal(signal.SIGCONT)
    hub.start()
    wait.until(lambda: hub.show("cert", "m0.example.org").get("current_version"), "what was given up goes on", 30)


def test_a_challenge_that_fails_is_told_in_the_cas_own_words(site, nginx, pebble):
    """Pebble asks 127.0.0.1 at its port; nobody answers there for the listener of another port."""
    issuer(site, pebble, "--via", "webroot", "--webroot", nginx.webroot)
    done = add(site, WWW, code=6)
    why = site.why()
    assert re.search(r"the CA has ended the order: dns:www.example.org: connection: Get .*connection refused", why), why
    assert re.search(r"next try|paused", why), (why, done)
    assert not list(nginx.webroot.rglob("*")) or wait.until(lambda: not list(nginx.webroot.rglob("*")), "the token is taken away", 20)


def test_a_ca_is_not_entered_before_its_terms_are_agreed_to(hub, pebble):
    done = hub.cw("issuer", "add", "pebble", "--acme", pebble.directory, "--roots", pebble.all_roots)
    assert done.code == 2 and "terms" in done.err and "--agree " in done.err, done
    assert hub.cw("issuer", "show", "pebble").code == 4


def test_a_ca_in_a_private_network_is_reached_only_where_that_is_granted(make_hub, pebble):
    hub = make_hub(networks={"probe": ["127.0.0.0/8"], "relay": []})
    issuer(hub, pebble, "--via", "listener")
    done = hub.cw("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    assert done.code in (3, 6), done
    assert "127.0.0.1" in hub.why() and "not granted" in hub.why(), hub.why()


def test_a_ca_with_an_unknown_root_is_not_trusted(make_hub, pebble, tmp_path):
    other = tmp_path / "other.pem"
    other.write_bytes(pki.pem(pki.Root("Somebody else").cert))
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener", roots=other)
    hub.ok("cert", "add", WWW, "--issuer", "pebble", "--no-wait")
    told(hub, r"SSL certificate problem|not trusted|verif")
    assert not hub.show("cert", WWW).get("current_version")


def test_what_clients_would_not_trust_is_said_to_be_untrusted(site, nginx, pebble):
    issuer(site, pebble, roots=pebble.roots)
    site.cw("cert", "add", WWW, "--to", WWW, "--issuer", "pebble", timeout=40)
    nginx.shows(current(site)["fingerprint"])
    conditions = {c["type"]: c["status"] for c in site.show("cert", WWW)["conditions"]}
    assert conditions.get("untrusted") is True, conditions
    assert "trust" in site.why()


def test_the_second_issuer_is_asked_when_the_first_refuses(site, nginx, pebble):
    """The tokens of a webroot that nobody serves: Pebble is redirected to where nobody answers."""
    issuer(site, pebble, "--via", "webroot", "--webroot", nginx.webroot, "--failover-after", "2")
    add(site, WWW, code=6, issuers="pebble,ca")
    site.move_clock(120)
    wait.until(lambda: (site.show("cert", WWW).get("current_version") or {}).get("issuer") == "ca", "the other issuer issued", 30)
    site.settled(WWW)
    assert site.show("issuer", "pebble")["state"] == "ready"  # what it refused is no failure of its own
    nginx.shows(current(site)["fingerprint"])


def test_a_move_from_acme_to_the_own_ca_issues_anew(site, nginx, pebble):
    issuer(site, pebble)
    add(site, WWW)
    site.ok("cert", "edit", WWW, "--issuer", "ca")
    assert current(site)["issuer"] == "ca"
    nginx.shows(current(site)["fingerprint"])


def test_roots_are_certificates_and_nothing_else(hub, pebble, tmp_path):
    """They may be installed as a file, as root: what else stands in them must not get there."""
    (tmp_path / "evil").write_text("access_log /tmp/evil;\n")
    refused = hub.cw("issuer", "add", "pebble", "--acme", pebble.directory, "--agree", "--roots", tmp_path / "evil", "--grant", "127.0.0.0/8")
    assert refused.code == 2 and "certificates in PEM" in refused.err
    (tmp_path / "mixed").write_text("access_log /tmp/evil;\n" + pebble.all_roots.read_text())
    issuer(hub, pebble, "--via", "listener", roots=tmp_path / "mixed")
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/x.pem", "--set", f"root={hub.files}/root.pem")
    add(hub, WWW, to="out")
    text = (hub.files / "root.pem").read_text()
    assert text.startswith("-----BEGIN CERTIFICATE-----") and "access_log" not in text
