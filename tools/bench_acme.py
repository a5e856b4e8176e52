"""ACME orders beside lego and certbot: the same names, the same CA, the same challenge (http-01 answered by an own listener), one client
after another, each with a CA that was started for it.  The CAs are Pebble and Caddy's acme_server.

lego and certbot order one certificate a process, as their users' timers do, several side by side: lego pauses for seconds between its
looks.  Each of these has a folder, an account and an address of its own.  BENCH_OTHERS says how many of the names they order (all)."""
import multiprocessing
import os
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from lib import dns
from lib import hub as hubs
from lib import wait
from lib.caddy_ca import CaddyCa
from lib.pebble import Pebble
from lib.process import end_with_parent

SIDES = {"Certwright": 1, "lego": 48, "certbot": 4}
CHILD_S = 180   # a client that waits for longer is ended
STALLED_S = 20  # so long nothing new: the CA no longer answers


def address(number, sides):
    """Where the CA finds name number so and so."""
    return f"127.0.121.{1 + number % sides}"


class Places:
    """The name server of Pebble: h12.example.org is where client 12 % sides listens."""

    def __init__(self, sides):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("127.0.0.1", 0))
            self.port = bound.getsockname()[1]
            self.child = multiprocessing.get_context("fork").Process(target=self._serve, args=(bound, sides), daemon=True)
            self.child.start()

    @staticmethod
    def _serve(bound, sides):
        end_with_parent()
        while True:
            query, peer = bound.recvfrom(4096)
            label = query[13:13 + query[12]].decode() if len(query) > 13 else ""
            reply = dns.answer(query, address(int(label[1:]), sides)) if label[1:].isdigit() else None
            if reply:
                bound.sendto(reply, peer)

    def stop(self):
        self.child.terminate()
        self.child.join()


def _children(command, names, env, sides):
    """Runs `command(name, side)` for each; seconds, CPU seconds, and the largest of the processes in MiB."""
    began, done, lock = time.monotonic(), [0.0, 0.0], threading.Lock()

    def one(name, side):
        child = subprocess.Popen([str(a) for a in command(name, side)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 env={**os.environ, **env})
        end = threading.Timer(CHILD_S, child.kill)
        end.start()
        words = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        end.cancel()
        child.stderr.close()
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, words.decode(errors="replace")
        with lock:
            done[0] += usage.ru_utime + usage.ru_stime
            done[1] = max(done[1], usage.ru_maxrss / 1024)

    def side_of(side):
        for name in names[side::sides]:
            one(name, side)

    with ThreadPoolExecutor(sides) as pool:
        list(pool.map(side_of, range(sides)))
    return time.monotonic() - began, *done


def lego(ca, folder, names, sides):
    def command(name, side):
        return ["lego", "--server", ca.directory, "--accept-tos", "--email", "ops@example.org", "--path", folder / str(side), "--domains", name, "--http",
                "--http.port", f"{address(side, sides)}:{ca.http_port}", "run"]
    return _children(command, names, {"LEGO_CA_CERTIFICATES": str(ca.roots)}, sides)


def certbot(ca, folder, names, sides):
    def command(name, side):
        own = folder / str(side)
        return ["certbot", "certonly", "--non-interactive", "--agree-tos", "--email", "ops@example.org", "--server", ca.directory, "--standalone",
                "--http-01-address", address(side, sides), "--http-01-port", ca.http_port, "--config-dir", own / "etc", "--work-dir", own / "work",
                "--logs-dir", own / "log", "-d", name]
    return _children(command, names, {"REQUESTS_CA_BUNDLE": str(ca.roots)}, sides)


def _all_there(folder, count):
    """Waits while more come; AssertionError where no more do."""
    seen, since = 0, time.monotonic()
    while seen < count:
        time.sleep(0.1)
        n = len(list(folder.glob("*.pem")))
        if n > seen:
            seen, since = n, time.monotonic()
        assert time.monotonic() < since + STALLED_S, f"{seen} of {count} are installed, and no more come"


def certwright(ca, folder, names, measure, shares=None):
    """`shares` is given the CPU seconds of each role."""
    hub = hubs.Hub(folder, http_port=ca.http_port)
    hub.agent_settings["http01"]["address"] = address(0, 1)
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
        _all_there(hub.files, len(names))
        wall, used = time.monotonic() - began, measure.cpu(measure.everyone(hub)) - before
        if shares is not None:
            shares.update({name: measure.cpu([pid]) for name, pid in hub.pids().items()})
    finally:
        ended.set()
        watcher.join()
        hub.stop()
    return wall, used, peak[0]


def _at_pebble(folder, who, names, run):
    """Pebble 2.4 can stop answering for good when many ask at once (a lock it takes twice, and another waits in between): seldom where it
    does one thing at a time, and then it is done once more with another."""
    for last in (False, False, True):
        port = wait.free_port()
        ca = Pebble(folder(), port, nonce_reject=0, dns=Places(SIDES[who]))
        ca.http_port = port
        ca.env["GOMAXPROCS"] = "1"
        ca.start()
        try:
            return run(ca)
        except AssertionError:
            if last:
                raise
        finally:
            ca.close()


def _at_caddy(folder, who, names, run):
    place = folder()
    ca = CaddyCa(place, address(0, 1), [])
    ca.http_port = 80
    (place / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{address(i, SIDES[who])} {n}\n" for i, n in enumerate(names)))
    ca.start()
    try:
        return run(ca)
    finally:
        ca.stop()


def beside(row, measure, folder, what, at, names):
    """Each client's figures at one CA."""
    shares, ours = {}, None
    others = names[:int(os.environ.get("BENCH_OTHERS", len(names)))]
    for who, run, which in (("Certwright", lambda ca, n: certwright(ca, folder(), n, measure, shares), names),
                            ("lego", lambda ca, n: lego(ca, folder(), n, SIDES["lego"]), others),
                            ("certbot", lambda ca, n: certbot(ca, folder(), n, SIDES["certbot"]), others)):
        wall, used, memory = at(folder, who, which, lambda ca, run=run, which=which: run(ca, which))
        each = used / len(which) * 1000
        ours = ours or each
        row(f"{len(which):,} orders at {what} by {who}", f"{len(which) / wall * 60:,.0f} a minute",
            f"CPU {used:.1f} s, {each:.1f} ms a certificate ({each / ours:.2g} × ours), memory {memory:.0f} MiB" +
            (f" of each of {SIDES[who]}" if SIDES[who] > 1 else ""))
        if who == "Certwright":
            row("  of that, by role (ms, start included)", "",
                ", ".join(f"{n} {s / len(names) * 1000:.2f}" for n, s in sorted(shares.items(), key=lambda x: -x[1])))


def pebble(row, measure, folder, names):
    beside(row, measure, folder, "Pebble", _at_pebble, names)


def caddy(row, measure, folder, names):
    """In root's hands alone: port 80, and a mount namespace that says where the names are."""
    if os.geteuid() == 0:
        beside(row, measure, folder, "Caddy", _at_caddy, names)


def orders(row, measure, folder, count):
    names = [f"h{i}.example.org" for i in range(count)]
    pebble(row, measure, folder, names)
    caddy(row, measure, folder, names)
