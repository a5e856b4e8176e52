"""Hands without work rest: they end, and come back with the next thing to do."""
import os
import re
import signal

import pytest

from lib import pki, wait

pytestmark = pytest.mark.one_engine
WWW = "www.example.org"
HANDS = ("relay", "probe", "apply", "run")


def all_rest(host):
    wait.until(lambda: all(host.rests(h) for h in HANDS), "every hand rests", 10)
    assert not any(os.path.exists(f"/proc/{host.pids()[h]}") for h in HANDS)


def events(host, what):
    """The lines of the log that say so, by where they stand in it."""
    return [m.start() for m in re.finditer(what, host.life(), re.M)]


def served(hub):
    path = hub.files / "site.pem"
    return pki.fingerprint(pki.read_chain(path.read_text())[0])


def test_hands_rest_and_come_back_with_work(make_hub):
    hub = make_hub(rest_s=1)
    hub.ok("target", "add", "site", "--connector", "files", "--set", f"combined={hub.files}/site.pem")
    all_rest(hub)
    hub.ok("cert", "add", WWW, "--to", "site")
    first = served(hub)
    assert first == hub.show("cert", WWW)["current_version"]["fingerprint"]
    assert hub.rests("relay"), "nobody asked for it"
    all_rest(hub)
    os.kill(hub.pids()["agent"], signal.SIGKILL)  # who comes after it finds them
    hub.may_die = True
    hub.ok("cert", "renew", WWW)
    assert served(hub) not in (None, first)
    all_rest(hub)


def test_a_hand_that_rests_helps_the_agent_to_end_well(make_hub):
    """The end comes while a deployment waits, with hands that are needed to finish it."""
    hub = make_hub(rest_s=1)
    hub.ok("target", "add", "site", "--connector", "files", "--set", f"combined={hub.files}/site.pem")
    hub.ok("cert", "add", WWW, "--to", "site")
    first = served(hub)
    hub.stop()
    hub.start(failpoint="agent:agent.install_before=stop")
    hub.ok("cert", "renew", WWW, "--no-wait")
    all_rest(hub)
    os.kill(hub.child.pid, signal.SIGTERM)
    os.kill(hub.pids()["agent"], signal.SIGCONT)
    hub.child.wait(15)
    hub.stop()
    assert served(hub) != first, "finished, not cut short"


def test_the_probe_does_not_rest_while_a_challenge_is_open(make_hub, own_pebble):
    pebble = own_pebble(sleep=3)
    hub = make_hub(rest_s=1)
    hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--contact", "ops@example.org", "--agree", "--roots", pebble.all_roots,
           "--grant", "127.0.0.0/8", "--via", "listener")
    hub.ok("cert", "add", WWW, "api.example.org", "--issuer", "pebble", timeout=40)
    begun, cleaned = events(hub, "job_done .* kind=present$"), events(hub, "job_begin .* kind=clean$")
    assert begun and cleaned
    assert not [at for at in events(hub, "role_(rests|died) name=probe") if begun[0] < at < cleaned[0]]
