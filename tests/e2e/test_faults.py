"""What goes wrong around the loop: a process that hangs, a full disk, a clock that jumps, a CA that is down, slow or lies.

Each story says what is served meanwhile, that nothing is lost or done twice, and that `certwright status` and `cert why` name the
cause in one line."""
import datetime
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lib import pki, wait
from lib.lying_ca import LyingCa

WWW = "www.example.org"
API = "api.example.org"
FULL = "disk is full|No space left on device"


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
    assert good, words


def well(hub):
    """Nothing is under way, and nobody is asked to look at anything."""
    hub.settled(WWW)
    wait.until(lambda: hub.ok("status", "-o", "json").json()["healthy"], "all is well", 10)
    assert "failed" not in hub.why()


# --- a process that hangs

def state_of_process(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def take_lease(hub):
    """Moves the clock until the hub takes a lease away; an exchange that comes in between makes it longer."""
    moved = 0

    def look():
        nonlocal moved
        moved += 61
        hub.move_clock(moved)
        return " lease_ran_out " in hub.text()
    wait.until(look, "the hub has taken the lease away", 15, 0.5)


@pytest.mark.parametrize("point", ["apply.key_made", "apply.install_one", "apply.committed"])
def test_a_lease_that_runs_out_while_apply_hangs_leads_to_nothing_twice(nginx, make_hub, point):
    old = pki.fingerprint(nginx.served())
    hub = make_hub(nginx=nginx, start=False).start(failpoint=f"apply:{point}=stop")
    hub.ok("target", "discover")
    apply = hub.pids()["apply"]
    try:
        hub.ok("cert", "add", WWW, "--to", WWW, "--no-wait")
        wait.until(lambda: state_of_process(apply) == "T", "apply hangs", 10)
        take_lease(hub)
        hub.ok("status")
        assert "; now: " in hub.why()
        if point != "apply.committed":
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
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},uid={owner.st_uid},gid={owner.st_gid},mode={owner.st_mode & 0o777:o}",
                               "tmpfs", str(folder)], check=False, stderr=subprocess.PIPE, text=True)
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
    done = hub.cw("cert", "renew", WWW)
    assert done.code != 0 and re.search(FULL, done.err), done
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


@pytest.mark.parametrize("point", ["hub:store.before_commit@14", "hub:store.before_commit@16", "signer:signer.journal_write@9",
                                   "signer:signer.journal_write@10"])
def test_a_disk_that_was_full_for_a_moment_is_not_noticed(nginx, make_hub, point):
    hub = make_hub(nginx=nginx, start=False).start(failpoint=f"{point}=disk_full")
    hub.ok("target", "discover")
    hub.cw("cert", "add", WWW, "--to", WWW)
    wait.until(lambda: hub.settled(WWW)["state"] != "working" and current(hub), "the loop completes", 20)
    assert f" failpoint name={point.split(':')[1].split('@')[0]} " in hub.text()
    well(hub)
    once(hub, nginx)


# --- a clock that jumps

def renew_at(hub):
    """Seconds from now until just after the renewal, by the real clock."""
    when = datetime.datetime.strptime(hub.show("cert", WWW)["renew_at"], "%Y-%m-%dT%H:%M:%SZ")
    return int((when - pki.now()).total_seconds()) + 60


def test_a_clock_that_jumps_forward_and_back_renews_once(nginx, make_hub):
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "--to", WWW)
    print(current(hub))
    ahead = renew_at(hub)
    hub.move_clock(ahead)
    wait.until(lambda: current(hub)["number"] == 2, "it is renewed by itself", 10)
    well(hub)
    second = current(hub)
    nginx.shows(second["fingerprint"])
    # Back: what was issued is from the future, and yet what was wished.
    hub.move_clock(0)
    print(hub.why(), hub.ok("status").out)
    hub.ok("cert", "retry", WWW)
    print(hub.why(), hub.ok("status").out)
    hub.restart()
    hub.ok("target", "discover")
    assert current(hub) == second and issued(hub) == 2
    nginx.shows(second["fingerprint"])
    # And forward again, to the same time and to the next renewal.
    hub.move_clock(ahead)
    hub.ok("target", "discover")
    well(hub)
    hub.move_clock(renew_at(hub))
    wait.until(lambda: current(hub)["number"] > 2, "it is renewed by itself", 10)
    well(hub)
    once(hub, nginx, 3)


@pytest.mark.parametrize("by", ["itself", "hand"])
def test_a_renewal_by_hand_that_failed_is_tried_again(nginx, make_hub, by):
    """What is there is still young: and yet a new one was asked for, and `cert why` has promised another try."""
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "--to", WWW)
    keys = hub.state / "agent" / "keys"
    mode = keys.stat().st_mode
    keys.chmod(0o700)
    aside = keys.rename(keys.with_name("keys.aside"))
    keys.write_text("no folder")
    try:
        assert hub.cw("cert", "renew", WWW, timeout=90).code != 0
    finally:
        keys.unlink()
        aside.rename(keys)
        keys.chmod(mode)
    told(hub, "keys")
    if by == "hand":
        hub.ok("cert", "retry", WWW)
    else:
        hub.move_clock(120)
        wait.until(lambda: current(hub)["number"] == 2, "it was tried again", 10)
    well(hub)
    once(hub, nginx, 2)


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
