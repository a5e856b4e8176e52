"""What goes wrong around the loop: a process that hangs, a full disk, a clock that jumps, a CA that is down, slow or lies.

Each story says what is served meanwhile, that nothing is lost or done twice, and that `certwright status` and `cert why` name the
cause in one line."""
import datetime
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from lib import pki, process, wait
from lib.lying_ca import LyingCa
from lib.nginx import Nginx

WWW = "www.example.org"
API = "api.example.org"
FULL = "disk (of .* )?is full|No space left on device"


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


def ahead(hub):
    return getattr(hub, "ahead", 0)


def advance(hub, seconds):
    """Moves the clock on from where this has moved it before."""
    hub.ahead = ahead(hub) + seconds
    hub.move_clock(hub.ahead)


def issued(hub):
    return hub.ok("ca", "show", "issuing", "-o", "json").json()["issued"]


def once(hub, nginx, versions=1):
    """What is served is what was issued last; nothing was issued twice, and each version has its one key."""
    cert = hub.show("cert", WWW)
    assert cert["current_version"]["number"] == versions and issued(hub) == versions
    assert len(hub.ok("cert", "versions", WWW, "-o", "json").json()) == versions
    assert len(list((hub.state / "agent" / "keys").glob("*.key"))) == versions
    nginx.shows(cert["current_version"]["fingerprint"])
    good, words = pki.trusted(nginx.https_port, hub.roots())
    assert good or (ahead(hub) and "not yet valid" in words), words


def well(hub):
    """Nothing is under way, and nobody is asked to look at anything."""
    hub.settled(WWW)
    # After a jump of years there is no backup of it, as status says.
    wait.until(lambda: all(p["object"] == "backup" for p in hub.ok("status", "-o", "json").json()["problems"]), "all is well", 10)
    assert "failed" not in hub.why()


def again(hub):
    return steps(hub).count("; again in ")


def ended(hub, tries):
    """Waits until nothing is under way; the waits between the tries within an attempt, of which there were `tries` before, pass at
    once."""
    def look():
        nonlocal tries
        events = hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=-1").json()
        if events["state"] != "working":
            return events
        if again(hub) > tries:
            tries = again(hub)
            advance(hub, 170)
            hub.ok("target", "discover")  # a job that wakes the agent: its poll knows nothing of the clock
        return None
    return wait.until(look, "the attempt has ended", 20, 0.05)


# --- a process that hangs

def take_lease(hub):
    """Moves the clock until the hub takes a lease away; an exchange that comes in between makes it longer."""
    def look():
        advance(hub, 61)
        return hub.text().count(" lease_ran_out ") > before
    before = hub.text().count(" lease_ran_out ")
    wait.until(look, "the hub has taken the lease away", 15, 0.5)


@pytest.mark.parametrize("point", ["apply.key_made", "apply.install_one", "apply.commit_begin"])
def test_a_lease_that_runs_out_while_apply_hangs_leads_to_nothing_twice(nginx, make_hub, point):
    old = pki.fingerprint(nginx.served())
    hub = make_hub(nginx=nginx, start=False).start(failpoint=f"apply:{point}=stop")
    hub.ok("target", "discover")
    apply = hub.pids()["apply"]
    try:
        hub.ok("cert", "add", WWW, "--to", WWW, "--no-wait")
        wait.until(lambda: process.state(apply) == "T", "apply hangs", 10)
        take_lease(hub)
        hub.ok("status")
        assert "; now: " in hub.why()
        if point == "apply.key_made":
            assert pki.fingerprint(nginx.served()) == old
    finally:
        os.kill(apply, signal.SIGCONT)
    wait.until(lambda: hub.settled(WWW)["state"] != "working" and current(hub), "the loop completes", 20)
    well(hub)
    once(hub, nginx)
    assert len(hub.ok("cert", "attempts", WWW, "-o", "json").json()) == 1


# --- a disk that is full

class SmallDisk:
    """A folder on a disk of its own, of which `fill` leaves nothing but a few pages."""

    def __init__(self, folder, size):
        aside = folder.with_name(folder.name + ".aside")
        folder.rename(aside)
        folder.mkdir()
        shutil.copystat(aside, folder)
        owner = aside.stat()
        options = f"size={size},uid={owner.st_uid},gid={owner.st_gid},mode={owner.st_mode & 0o777:o}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, stderr=subprocess.PIPE,
                              text=True)
        assert done.returncode == 0, f"a small disk needs root and the right to mount: {done.stderr}"
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        shutil.rmtree(aside)
        self.folder, self.ballast = folder, folder / "ballast"

    def fill(self, leave=0):
        page = os.sysconf("SC_PAGESIZE")
        with open(self.ballast, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(page))
            except OSError:
                pass
            f.truncate(max(f.tell() // page - leave, 0) * page)

    def free(self):
        self.ballast.unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def small_disk(make_hub):
    """`small_disk(folder, size, hub)`: a hub that lives on it ends before its disk does."""
    made = []

    def make(folder, size, hub=None):
        made.append((SmallDisk(folder, size), hub))
        return made[-1][0]
    yield make
    for disk, hub in made:
        try:
            if hub:
                hub.stop()
        finally:
            disk.close()


@pytest.mark.parametrize("leave", [0, 1])
def test_a_full_disk_at_the_target_changes_nothing_until_there_is_room(nginx, make_hub, small_disk, leave):
    """Without a page left, and with one: then the first of the two files can be written, and the second cannot."""
    disk = small_disk(nginx.certs, "128k")
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "--to", WWW)
    first, before, files = current(hub), [pki.state_of(p) for p in (nginx.block.cert, nginx.block.key)], list(nginx.certs.iterdir())
    disk.fill(leave)
    done = hub.cw("cert", "renew", WWW)
    assert done.code == 6, done
    told(hub, FULL)
    assert [pki.state_of(p) for p in (nginx.block.cert, nginx.block.key)] == before
    assert sorted(nginx.certs.iterdir()) == sorted([*files, disk.ballast]), "nothing of ours is left beside the files"
    nginx.shows(first["fingerprint"])
    disk.free()
    hub.ok("cert", "retry", WWW)
    well(hub)
    once(hub, nginx, 2)


def test_a_full_disk_at_the_hub_is_told_and_nothing_is_lost(nginx, make_hub, small_disk):
    """The folder of database, signer and agent; with PostgreSQL, whose disk has room, of the last two."""
    hub = make_hub(nginx=nginx, start=False)
    disk = small_disk(hub.state, "16m", hub)
    hub.start()
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "--to", WWW)
    first = current(hub)
    disk.fill()
    done = hub.cw("cert", "renew", WWW, "--no-wait")
    if done.code == 0:
        ended(hub, 0)
        told(hub, FULL)
    else:
        assert re.search(FULL, done.err), done
    problems = hub.ok("status", "-o", "json").json()["problems"]
    assert any(re.search(FULL, p["text"]) for p in problems), problems
    assert current(hub) == first
    nginx.shows(first["fingerprint"])
    disk.free()
    hub.ok("cert", "renew", WWW)
    well(hub)
    once(hub, nginx, 2)


@pytest.mark.parametrize("leave", [1, 40, 80])
def test_a_disk_at_the_hub_that_becomes_full_in_the_middle_is_gone_on_from_there(nginx, make_hub, small_disk, leave):
    hub = make_hub(nginx=nginx, start=False)
    disk = small_disk(hub.state, "16m", hub)
    hub.start()
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "--to", WWW)
    first = current(hub)
    disk.fill(leave)
    done = hub.cw("cert", "renew", WWW, "--no-wait")
    wait.until(lambda: done.code or re.search(FULL, hub.text()) or current(hub) != first, "it runs into the full disk", 10)
    assert pki.trusted(nginx.https_port, hub.roots())[0]
    disk.free()
    hub.settled(WWW, 20)
    hub.ok("cert", "renew", WWW)
    well(hub)
    once(hub, nginx, current(hub)["number"])


@pytest.mark.parametrize("point", [*(f"hub:store.before_commit@{n}" for n in (19, 21, 23, 26)), "signer:signer.journal_write@11",
                                   "signer:signer.journal_write@12"])
def test_a_disk_that_was_full_for_a_moment_is_not_noticed(nginx, make_hub, point):
    hub = make_hub(nginx=nginx, start=False).start(failpoint=f"{point}=disk_full")
    if hub.cw("target", "discover").code:  # the log is written on beside it: which write finds the disk full is not said
        hub.ok("target", "discover")
    if hub.cw("cert", "add", WWW, "--to", WWW).code and hub.cw("cert", "show", WWW).code == 4:
        hub.ok("cert", "add", WWW, "--to", WWW, "--no-wait")  # it was the wish itself that found the disk full
    wait.until(lambda: hub.settled(WWW)["state"] != "working" and current(hub), "the loop completes", 20)
    assert f" failpoint name={point.split(':')[1].split('@')[0]} " in hub.text()
    well(hub)
    once(hub, nginx)


# --- a clock that jumps

def to_renewal(hub):
    """Moves the clock just past the time of the next renewal; returns by how much."""
    when = datetime.datetime.strptime(hub.show("cert", WWW)["renew_at"], "%Y-%m-%dT%H:%M:%SZ")
    seconds = int((when - pki.now()).total_seconds()) + 60 - ahead(hub)
    advance(hub, seconds)
    return seconds


def test_a_clock_that_jumps_forward_and_back_renews_once(nginx, make_hub):
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "--to", WWW)
    jump = to_renewal(hub)
    wait.until(lambda: current(hub)["number"] == 2, "it is renewed by itself", 10)
    well(hub)
    second = current(hub)
    nginx.shows(second["fingerprint"])
    # Back: what was issued begins in the future, so nobody trusts it now.  It is made anew, once, also over a start.
    advance(hub, -jump)
    assert "valid only from" in hub.why()
    hub.ok("cert", "retry", WWW)
    third = current(hub)
    assert third["number"] == 3 and third["not_before"] < second["not_before"]
    nginx.shows(third["fingerprint"])
    hub.restart()
    hub.ok("target", "discover")
    assert current(hub) == third and issued(hub) == 3
    # And forward again: what is due then is renewed.
    to_renewal(hub)
    wait.until(lambda: current(hub)["number"] > 3, "it is renewed by itself", 10)
    well(hub)
    assert issued(hub) == 4


# --- a CA that lies

@pytest.fixture(scope="module")
def lied_to(hub_maker, tmp_path_factory):
    """A hub with a certificate that the CA issued while it was still honest.  Its nginx lives as long as the file, so it has a
    plain port of its own."""
    ca = LyingCa(tmp_path_factory.mktemp("ca"))
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    nginx = Nginx(folder, wait.free_port(), (WWW, API)).start()
    hub = hub_maker(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("issuer", "add", "lying", "--acme", ca.directory, "--agree", "--roots", ca.roots, "--grant", "127.0.0.0/8")
    hub.ok("cert", "add", WWW, API, "--to", WWW, "--issuer", "lying", timeout=40)
    yield hub, nginx, ca
    hub.stop()
    nginx.stop()
    shutil.rmtree(folder)
    ca.stop()


def left(hub, nginx):
    """All files that an attempt could leave behind."""
    agent = hub.state / "agent"
    return sorted(str(p) for p in [*(agent / "keys").iterdir(), *agent.rglob("*.tmp"), *nginx.certs.iterdir()])


# What it does wrong, and the words that must name it.
LIES = {
    "another key": "certificate is for another key than the one asked for",
    "names missing": f"certificate lacks the name {API}",
    "expired": "certificate has expired already",
    "foreign chain": "chain is broken: CN=Somebody else does not issue",
    "forged chain": "chain is broken: the signature of .* by CN=Lying root is wrong",
    "torn chain": "no chain of at most 10 certificates",
    "page cert": "the CA returned text/html, not a certificate chain",
    "endless cert": "the certificate's chain.*larger than allowed",
    "metadata authorization": "http://169.254.169.254/.* is not at the host of its directory",
    "foreign certificate": "the certificate, https://127.0.0.1:.*/trap, is not at the host of its directory",
    "down new": "maintenance until noon",
}


# Many tries within one attempt take their time: of the lies that are answered so, `make test` has one of each kind.
SOAK = {
    "names added": "certificate has the name evil.example, which nobody asked for",
    "other names": "the CA's order is for other names",
    "page dir": "the CA's directory cannot be used",
    "endless dir": "its directory.*larger than allowed",
    "redirect new": "the CA refused an order .302",
    "redirect dir": "the CA refused its directory .302",
    "metadata nonce": "http://169.254.169.254/.* is not at the host of its directory",
    "foreign finalize": "finalizing, https://127.0.0.1:.*/trap, is not at the host of its directory",
    "private certificate": "the certificate, https://10.0.0.1/cert, is not at the host of its directory",
    "long chain": "no chain of at most 10 certificates",
}
if os.environ.get("CERTWRIGHT_SOAK"):
    LIES.update(SOAK)
elif os.environ.get("CERTWRIGHT_TEST_DB") == "postgres":
    LIES = {k: LIES[k] for k in list(LIES)[::2]}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_of_the_ca_ends_in_a_failed_attempt(lied_to, lie):
    hub, nginx, ca = lied_to
    if lie.endswith((" dir", " nonce")):
        hub.restart()  # the relay remembers a directory and nonces that it has
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


@pytest.mark.parametrize("by", ["itself", "hand"])
def test_a_renewal_by_hand_that_failed_is_tried_again(lied_to, by):
    """What is there is still young; and yet a new one was asked for, and `cert why` has promised another try."""
    hub, nginx, ca = lied_to
    before, tries = current(hub), again(hub)
    ca.lie = "another key"
    hub.ok("cert", "renew", WWW, "--no-wait")
    ended(hub, tries)
    ca.lie = None
    if by == "hand":
        hub.ok("cert", "retry", WWW, timeout=40)
    else:
        advance(hub, 120)
        wait.until(lambda: current(hub)["number"] == before["number"] + 1, "it was tried again", 10)
    well(hub)
    nginx.shows(current(hub)["fingerprint"])


# --- a CA that is slow or down

def test_a_ca_that_is_slower_than_the_lease_is_asked_once(lied_to):
    hub, nginx, ca = lied_to
    before, orders, certificates = current(hub), len(ca.orders), ca.issued
    ca.asked.clear()
    ca.hold.clear()
    try:
        hub.ok("cert", "renew", WWW, "--no-wait")
        wait.until(lambda: "finalize" in ca.asked, "the CA has the request", 10)
        take_lease(hub)
        nginx.shows(before["fingerprint"])
        assert "; now: attempt" in hub.why()
    finally:
        ca.hold.set()
    wait.until(lambda: current(hub)["number"] == before["number"] + 1, "it goes on", 20)
    well(hub)
    assert (len(ca.orders), ca.issued) == (orders + 1, certificates + 1), ca.asked
    nginx.shows(current(hub)["fingerprint"])


def test_a_ca_whose_every_answer_is_slow_is_waited_for(lied_to):
    hub, nginx, ca = lied_to
    before, certificates = current(hub), ca.issued
    ca.lie = "slow"
    try:
        hub.ok("cert", "renew", WWW, timeout=40)
    finally:
        ca.lie = None
    assert current(hub)["number"] == before["number"] + 1 and ca.issued == certificates + 1
    nginx.shows(current(hub)["fingerprint"])


class Down:
    """What answers in place of a CA that does not run: a port that hangs up at once.  (To one that refuses, the relay goes back for
    half a minute before it gives up; test_acme.py has that.)"""

    def __init__(self, port):
        self.server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                self.server.accept()[0].close()
        except OSError:
            pass

    def stop(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def test_a_ca_that_is_down_leaves_the_old_certificate_served(nginx, make_hub, own_pebble):
    pebble = own_pebble()
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--agree", "--roots", pebble.all_roots, "--grant", "127.0.0.0/8")
    hub.ok("cert", "add", WWW, "--to", WWW, "--issuer", "pebble", timeout=40)
    first, files = current(hub), left(hub, nginx)
    pebble.stop()
    down = Down(pebble.port)
    try:
        hub.ok("cert", "renew", WWW, "--no-wait")
        ended(hub, 0)
    finally:
        down.stop()
    told(hub, f"asking the CA for its directory: https://127.0.0.1:{pebble.port}/dir: .*(SSL|reset|closed)")
    assert current(hub) == first
    nginx.shows(first["fingerprint"])
    wait.until(lambda: left(hub, nginx) == files, "nothing of the attempt is left behind", 10)
    pebble.start()
    hub.ok("cert", "renew", WWW, timeout=40)
    assert current(hub)["number"] == 2
    assert "failed" not in hub.why()  # but "untrusted": Pebble has another root after each start
    nginx.shows(current(hub)["fingerprint"])
