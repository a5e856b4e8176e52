"""What goes wrong around the loop: a process that hangs, a full disk, a clock that jumps, a CA that is down, slow or lies.

Each story says what is served meanwhile, that nothing is lost or done twice, and that `certwright status` and `cert why` name the
cause in one line."""
import re

import pytest

from lib import pki, wait
from lib.lying_ca import LyingCa

WWW = "www.example.org"
API = "api.example.org"


def current(hub, name=WWW):
    return hub.show("cert", name)["current_version"]


def steps(hub, name=WWW):
    return hub.ok("cert", "steps", name).out


def told(hub, *words, name=WWW):
    """The sentence of `cert why` and the line of `certwright status` say so, in one line each."""
    why = hub.why(name)
    problems = [p["text"] for p in hub.ok("status", "-o", "json").json()["problems"]]
    mine = [p for p in problems if name in p]
    assert len(mine) == 1 and "\n" not in mine[0], problems
    assert why.count("\n") == 1 and "next try" in why, why
    for w in words:
        assert re.search(w, why), (w, why)
        assert re.search(w, mine[0]), (w, mine)
    return why


# --- a CA that lies

@pytest.fixture(scope="module")
def lied_to(hub_maker, nginx_maker, tmp_path_factory):
    """A hub with a certificate that the CA issued while it was still honest."""
    ca = LyingCa(tmp_path_factory.mktemp("ca"))
    nginx = nginx_maker()
    nginx.block.names.append(API)
    nginx.write()
    nginx.reload()
    hub = hub_maker(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("issuer", "add", "lying", "--acme", ca.directory, "--agree", "--roots", ca.roots, "--grant", "127.0.0.0/8")
    hub.ok("cert", "add", WWW, API, "--to", WWW, "--issuer", "lying", timeout=40)
    hub.clock = 0
    yield hub, nginx, ca
    ca.stop()


def left(hub, nginx):
    """All files that an attempt could leave behind."""
    agent = hub.state / "agent"
    return sorted(str(p) for p in [*(agent / "keys").iterdir(), *agent.rglob("*.tmp"), *nginx.certs.iterdir()])


def again(hub):
    return steps(hub).count("; again in ")


def ended(hub, tries):
    """Waits until nothing is under way; the waits between the tries within an attempt, of which there were `tries` before, pass at once."""
    def look():
        nonlocal tries
        events = hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=-1").json()
        if events["state"] != "working":
            return events
        if again(hub) > tries:
            tries = again(hub)
            hub.clock += 170
            hub.move_clock(hub.clock)
            hub.ok("target", "discover")  # a job that wakes the agent: its poll knows nothing of the clock
        return None
    return wait.until(look, "the attempt has ended", 20, 0.05)


# What it does wrong, and the words that must name it.
LIES = {
    "another key": "certificate is for another key than the one asked for",
    "names missing": f"certificate lacks the name {API}",
    "names added": "certificate has the name evil.example, which nobody asked for",
    "expired": "certificate has expired already",
    "foreign chain": "chain is broken: CN=Somebody else does not issue",
    "forged chain": "chain is broken: the signature of .* by CN=Lying root is wrong",
    "torn chain": "no chain of at most 10 certificates",
    "page cert": "the CA returned text/html, not a certificate chain",
    "page dir": "the CA's directory cannot be used",
    "endless cert": "the certificate's chain.*larger than allowed",
    "redirect new": "the CA refused an order .302",
    "metadata authorization": "http://169.254.169.254/.* is not at the host of its directory",
    "foreign certificate": "the certificate, https://127.0.0.1:.*/trap, is not at the host of its directory",
    "other names": "the CA's order is for other names",
    "down new": "maintenance until noon",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_of_the_ca_ends_in_a_failed_attempt(lied_to, lie):
    hub, nginx, ca = lied_to
    before, files, tries = current(hub), left(hub, nginx), again(hub)
    ca.lie = lie
    try:
        hub.ok("cert", "renew", WWW, "--no-wait")
        ended(hub, tries)
        told(hub, LIES[lie])
        assert current(hub) == before
        nginx.shows(before["fingerprint"])
        wait.until(lambda: left(hub, nginx) == files, "nothing of the attempt is left behind", 10)
        assert ca.trap.visits == 0
    finally:
        ca.lie = None
    hub.ok("cert", "renew", WWW, timeout=40)
    assert current(hub)["number"] == before["number"] + 1
    nginx.shows(current(hub)["fingerprint"])
