"""ACME orders beside lego and certbot: the same names, the same CA, the same challenge (http-01 answered by an own listener), one client
after another.  The CAs are Pebble and Caddy's acme_server.

lego and certbot order one certificate a process, as their users' timers do."""
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from lib import hub as hubs
from lib import wait
from lib.caddy_ca import CaddyCa
from lib.pebble import Pebble

CADDY_ADDRESS = "127.0.121.1"  # where Caddy finds the names, at port 80


def _children(command, names, env):
    """Runs `command(name)` for each; seconds, CPU seconds, and the largest of the processes in MiB."""
    began, used, largest = time.monotonic(), 0.0, 0
    for name in names:
        child = subprocess.Popen([str(a) for a in command(name)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 env={**os.environ, **env})
        words = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, words.decode(errors="replace")
        used += usage.ru_utime + usage.ru_stime
        largest = max(largest, usage.ru_maxrss / 1024)
    return time.monotonic() - began, used, largest


def lego(ca, folder, names):
    def command(name):
        return ["lego", "--server", ca.directory, "--accept-tos", "--email", "ops@example.org", "--path", folder, "--domains", name, "--http",
                "--http.port", f"{ca.http_address}:{ca.http_port}", "run"]
    return _children(command, names, {"LEGO_CA_CERTIFICATES": str(ca.roots)})


def certbot(ca, folder, names):
    def command(name):
        return ["certbot", "certonly", "--non-interactive", "--agree-tos", "--email", "ops@example.org", "--server", ca.directory, "--standalone",
                "--http-01-address", ca.http_address, "--http-01-port", ca.http_port, "--config-dir", folder / "etc", "--work-dir", folder / "work",
                "--logs-dir", folder / "log", "-d", name]
    return _children(command, names, {"REQUESTS_CA_BUNDLE": str(ca.roots)})


def certwright(ca, folder, names, measure, shares=None):
    """`shares` is given the CPU seconds of each role."""
    hub = hubs.Hub(folder, http_port=ca.http_port)
    hub.agent_settings["http01"]["address"] = ca.http_address
    hub.init()
    hub.start()
    hub.ok("issuer", "add", "acme", "--acme", ca.directory, "--contact", "ops@example.org", "--agree", "--roots", ca.all_roots, "--grant", "127.0.0.0/8",
           "--via", "listener")

    def one(name):
        target = {"name": name, "connector": "files", "parameters": {"fullchain": f"{hub.files}/{name}.pem", "key": f"{hub.files}/{name}.key"}}
        assert hub.unix("POST", "/api/v1/targets", target).status_code == 201
        made = hub.unix("POST", "/api/v1/managed-certificates", {"names": [name], "issuers": ["acme"], "targets": [name]})
        assert made.status_code == 201, made.text

    peak, ended = [0.0], threading.Event()

    def watch():
        while not ended.wait(0.5):
            peak[0] = max(peak[0], measure.pss(measure.everyone(hub)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        before, began = measure.cpu(measure.everyone(hub)), time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, names))
        wait.until(lambda: len(list(hub.files.glob("*.pem"))) >= len(names), "all are installed", 60 + len(names) // 2, 0.1)
        wall, used = time.monotonic() - began, measure.cpu(measure.everyone(hub)) - before
        if shares is not None:
            shares.update({name: measure.cpu([pid]) for name, pid in hub.pids().items()})
    finally:
        ended.set()
        watcher.join()
        hub.stop()
    return wall, used, peak[0]


def beside(row, measure, folder, ca, what, names):
    """Each client's figures at one CA: all names by us, fewer by lego and certbot, whose runs may take seconds each."""
    shares, ours = {}, None
    for who, run, which in (("Certwright", lambda n: certwright(ca, folder(), n, measure, shares), names),
                            ("lego", lambda n: lego(ca, folder(), n), names[:max(len(names) // 20, 5)]),
                            ("certbot", lambda n: certbot(ca, folder(), n), names[:max(len(names) // 50, 5)])):
        wall, used, memory = run(which)
        each = used / len(which) * 1000
        ours = ours or each
        row(f"{len(which):,} orders at {what} by {who}", f"{len(which) / wall * 60:,.0f} a minute",
            f"CPU {used:.1f} s, {each:.1f} ms a certificate ({each / ours:.2g} × ours), memory {memory:.0f} MiB")
        if who == "Certwright":
            row("  of that, by role (ms, start included)", "",
                ", ".join(f"{n} {s / len(names) * 1000:.2f}" for n, s in sorted(shares.items(), key=lambda x: -x[1])))


def pebble(row, measure, folder, names):
    """Pebble 2.4 can stop answering for good when many ask at once (a lock it takes twice); then once more with another."""
    for last in (False, False, True):
        port = wait.free_port()
        ca = Pebble(folder(), port, nonce_reject=0)
        ca.http_address, ca.http_port = "127.0.0.1", port
        ca.start()
        try:
            beside(row, measure, folder, ca, "Pebble", names)
            return
        except AssertionError:
            if last:
                raise
            row("Pebble no longer answered; once more", "")
        finally:
            ca.close()


def caddy(row, measure, folder, names):
    """In root's hands alone: port 80, and a mount namespace that says where the names are."""
    if os.geteuid() != 0:
        return
    ca = CaddyCa(folder(), CADDY_ADDRESS, names)
    ca.http_address, ca.http_port = CADDY_ADDRESS, 80
    ca.start()
    try:
        beside(row, measure, folder, ca, "Caddy", names)
    finally:
        ca.stop()


def orders(row, measure, folder, count):
    names = [f"h{i}.example.org" for i in range(count)]
    pebble(row, measure, folder, names)
    caddy(row, measure, folder, names)
