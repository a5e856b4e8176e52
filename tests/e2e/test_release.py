"""A hub that was upgraded before the agents of its hosts: an agent of the previous release works with it (lib/old_agent.py)."""
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import wait
from lib.old_agent import OldAgent, fingerprint
from lib.remote import token

WWW = "www.example.org"
DAY = 86400


@pytest.fixture
def make_old():
    made = []

    def make(hub, name):
        folder = Path(tempfile.mkdtemp(prefix="cw-e2e-"))
        made.append(OldAgent(hub, folder, name))
        return made[-1].join(token(hub, f"for-{name}")).start()
    yield make
    for one in made:
        shutil.rmtree(one.folder)
        one.stop()


def target(hub, agent, *more):
    where = agent.files
    hub.ok("target", "add", "old", "--agent", agent.name, "--connector", "files", "--set", f"fullchain={where}/site.pem", "--set", f"key={where}/site.key", *more)
    return where / "site.pem", where / "site.key"


def test_an_agent_of_the_previous_release_keeps_a_certificate(make_hub, make_old):
    """Key, deployment, renewal, the look from time to time, and a key that is forgotten: what the hub says beyond that does no harm."""
    hub = make_hub()
    old = make_old(hub, "old1")
    site, key = old.files / "site.pem", old.files / "site.key"
    port = old.serve(site, key)
    target(hub, old, "--endpoint", f"127.0.0.1:{port}/{WWW}")
    hub.ok("cert", "add", WWW, "--to", "old")
    first = fingerprint(site.read_bytes())
    hub.ok("cert", "renew", WWW)
    second = fingerprint(site.read_bytes())
    assert first != second and key.stat().st_mode & 0o777 == 0o600
    assert hub.show("agent", "old1")["version"] == "0.1.0"
    assert old.unknown == set()
    # STARTTLS came later.  That release does not see that it is asked for and shakes hands at once, which this server takes.
    hub.ok("target", "edit", "old", "--endpoint", f"smtp://127.0.0.1:{port}/{WWW}")
    for _ in range(2):
        hub.ok("cert", "renew", WWW)
    assert old.unknown, "the hub tells it more than it knows"
    wait.until(lambda: ("forget_key", True) in old.done, "a key that nothing needs is forgotten", 20)
    assert hub.ok("status", "-o", "json").json()["problems"] == []
    old.shift_s = DAY
    hub.move_clock(DAY)
    wait.until(lambda: ("verify", True) in old.done, "the hub has asked what is served", 20)
    assert all(ok for _, ok in old.done), old.done


def test_what_the_previous_release_cannot_do_is_said(make_hub, make_old):
    """A key made by the old agent is to be sealed to another host, which it never learnt: that ends, and names who must be upgraded."""
    hub = make_hub(share_keys=True)
    old = make_old(hub, "old1")
    target(hub, old)
    hub.ok("target", "add", "new", "--agent", "host1", "--connector", "files", "--set", f"fullchain={hub.files}/site.pem", "--set", f"key={hub.files}/site.key")
    hub.ok("cert", "add", WWW, "--to", "old")
    done = hub.cw("cert", "edit", WWW, "--to", "old", "--to", "new")
    assert done.code != 0 and "agent old1 (release 0.1.0) does not know jobs of kind seal: upgrade it" in hub.why(WWW), hub.why(WWW)
    assert (old.files / "site.pem").exists() and not (hub.files / "site.pem").exists()
    assert not any(j["state"] in ("ready", "leased") for j in hub.jobs() if j["kind"] == "seal"), hub.jobs()
    assert "seal" not in [kind for kind, _ in old.done], "it was not even asked"
