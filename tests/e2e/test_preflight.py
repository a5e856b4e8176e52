"""Looking before ordering: what stands between names and a certificate is told in words, and no order is sent that would fail.  The DNS
is a real Knot that signs its zones, the CA a Pebble that asks it, and port 80 the real one, of an address of our own."""
import http.server
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import requests

from lib import pki, wait
from lib.knot import Knot, Secondary
from lib.pebble import Pebble

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 80 and port 53")
BROKEN = "example.net"


def folder():
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    path.chmod(0o755)
    return path


def address():
    return f"127.{random.randint(2, 60)}.{random.randint(1, 254)}.{random.randint(1, 254)}"


class Signed(Knot):
    """It signs what it serves."""

    def write(self):
        super().write()
        self.config.write_text(self.config.read_text().replace("    acl: updates\n", "    acl: updates\n    dnssec-signing: on\n"))

    def anchor(self, zone):
        """The DS record that its parent would have."""
        done = subprocess.run(["/usr/sbin/keymgr", "-c", self.config, zone, "ds"], stdout=subprocess.PIPE, text=True, check=True)
        name, words = next(line for line in done.stdout.splitlines() if line.split()[-2] == "2").split(" ", 1)
        return f"{name} IN {words}" if not words.startswith("IN") else f"{name} {words}"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A server that sends everybody on or knows nothing, by the name it is asked for.  Over TLS it has its answers from ours."""
    onward = {"moved": "http://new.example.org:8080", "secure": "https://secure.example.org", "onward": "http://good.example.org"}
    ours = None

    def do_GET(self):
        where, body = self.onward.get(self.headers["Host"].split(".")[0]), b""
        if isinstance(self.connection, ssl.SSLSocket):
            where, body = None, requests.get(f"http://{self.ours}{self.path}", timeout=5).content
        self.send_response(302 if where else 200 if body else 404)
        if where:
            self.send_header("Location", f"{where}{self.path}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def world(hub_maker):
    ours, theirs, nowhere, where = address(), address(), address(), [folder(), folder(), folder()]
    knot = Signed(where[0], "example.org", BROKEN, "org", "net")
    knot.write_zone("example.org", f"good A {ours}", f"also A {ours}", f"forbidden A {ours}", 'forbidden CAA 0 issue ";"', f"stays A {ours}", 'stays CAA 0 issue ";"', f"named A {ours}",
                    'named CAA 0 issue "ca.example"', 'none TXT "no address"', f"closed A {nowhere}", f"twice A {ours}",
                    f"moving A {ours}", f"killed A {ours}",
                    *[f"{n} A {theirs}" for n in ("moved", "secure", "onward", "other")], "twice AAAA ::1")
    knot.write_zone(BROKEN, f"www A {ours}")
    knot.start()
    second = Secondary(where[2], knot, "example.org", BROKEN, "org", "net").start()
    Elsewhere.ours = ours
    servers = [http.server.ThreadingHTTPServer((theirs, port), Elsewhere) for port in (80, 443)]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*pki.Root().write(where[1], ["another.example.org"], "tls")[:2])
    servers[1].socket = tls.wrap_socket(servers[1].socket, server_side=True)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ca = Pebble(where[1], 80, dns=knot).start()
    hub = hub_maker(start=False)
    wrong = re.sub(r"[0-9A-Fa-f]{8}$", "00000000", knot.anchor(BROKEN))
    hub.agent_settings.update(resolvers=[f"127.0.0.1:{knot.port}", second.address], http01={"address": ours, "port": 80},
                              tls_alpn={"address": ours, "port": 443},
                              trust_anchors=[knot.anchor("example.org"), wrong],
                              networks={"probe": ["127.0.0.0/8", "::1/128"], "relay": ["127.0.0.0/8"]})
    hub.write_agent()
    (hub.etc / "hub.yaml").write_text((hub.etc / "hub.yaml").read_text().replace("preflight: off\n", ""))
    hub.start()
    hub.ok("issuer", "add", "pebble", "--acme", ca.directory, "--agree", "--roots", ca.all_roots, "--grant", "127.0.0.0/8", "--via", "listener")
    hub.ca, hub.knot, hub.theirs, hub.nowhere, hub.second = ca, knot, theirs, nowhere, second
    yield hub
    for server in servers:
        server.shutdown()
        server.server_close()
    ca.stop()
    second.stop()
    knot.stop()
    for path in where:
        shutil.rmtree(path)


def orders(hub):
    return hub.ca.said("POST /order-plz")


def add(hub, name, *more):
    return hub.cw("cert", "add", name, "--issuer", "pebble", *more)


def listens(where):
    with socket.socket() as s:
        return s.connect_ex((where, 80)) == 0


def findings(hub, name):
    return [s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{name}/events?after=0").json()["items"] if s["step"] == "preflight"]


def test_what_is_in_the_way_is_told_for_each_name_and_nothing_is_ordered(world):
    names = ["good", "forbidden", "named", "none", "moved", "secure", "onward", "other", "closed", "twice"]
    before = orders(world)
    done = add(world, "good.example.org", *[f"{n}.example.org" for n in names[1:]], f"www.{BROKEN}", "--dry-run")
    assert done.code == 6, done
    said = {n: [line for line in done.out.splitlines() if f" {n}:" in line] for n in [f"{n}.example.org" for n in names] + [f"www.{BROKEN}"]}

    def has(name, verdict, *words):
        assert any(line.strip().startswith(verdict) and all(w in line for w in words) for line in said[name]), (name, verdict, words, done)
    for check in ("addresses", "caa", "dnssec", "port 80"):
        has("good.example.org", "ok", check)
    has("good.example.org", "ok", "the signatures hold")
    has("forbidden.example.org", "fail", "caa", "let no CA issue")
    has("named.example.org", "warn", "caa", "ca.example")
    has("none.example.org", "fail", "addresses", "no address in DNS")
    has("moved.example.org", "fail", "redirects", "http://new.example.org:8080", "80 and 443")
    has("secure.example.org", "ok", "redirects", "https://secure.example.org:443, the same name")
    has("secure.example.org", "ok", "port 80", ":443 answers with our token")
    has("onward.example.org", "warn", "redirects", "another host", "good.example.org")
    has("onward.example.org", "ok", "port 80", "answers with our token")
    has("other.example.org", "fail", "port 80", "status 404 instead of our token")
    has("closed.example.org", "fail", "port 80", "cannot be reached")
    has("twice.example.org", "fail", "port 80", "[::1]:80", "AAAA")
    has(f"www.{BROKEN}", "fail", "dnssec", "broken")
    assert orders(world) == before and world.cw("cert", "show", "good.example.org").code != 0
    assert world.unix("GET", "/api/v1/jobs?limit=1000").json()["items"][-1]["kind"] == "preflight"


def test_no_order_is_sent_for_a_name_that_caa_forbids(world):
    before = orders(world)
    done = add(world, "forbidden.example.org")
    assert done.code == 6 and "let no CA issue" in done.err and "--preflight warn" in done.err, done
    assert orders(world) == before
    assert "no order was sent" in world.why("forbidden.example.org")
    world.ok("cert", "edit", "forbidden.example.org", "--preflight", "warn", "--no-wait")
    world.cw("cert", "renew", "forbidden.example.org")
    wait.until(lambda: orders(world) > before, "it is ordered anyhow", 20)


def test_what_is_well_is_ordered_and_looked_at_once(world):
    done = add(world, "good.example.org", "also.example.org")
    assert done.code == 0, done
    told = findings(world, "good.example.org")
    for name in ("good", "also"):
        for check in ("addresses", "caa", "dnssec", "port 80"):
            assert any(t.startswith(f"ok: {name}.example.org: {check}: ") for t in told), told
    world.ok("cert", "renew", "good.example.org")
    assert findings(world, "good.example.org") == told, "a renewal of the same names is its own look"
    world.settled("forbidden.example.org")
    wait.until(lambda: not listens(world.agent_settings["http01"]["address"]), "nothing listens any more", 10)


def test_names_that_cannot_be_had_are_left_out_where_that_is_wished(world):
    done = add(world, "also.example.org", "none.example.org", "--name", "some", "--bad-name", "drop", "--no-wait")
    assert done.code == 0, done
    wait.until(lambda: "current_version" in world.show("cert", "some"), "the good name is issued", 30)
    assert "none.example.org (no address in DNS" in world.why("some"), "it was not the CA that said so"


def test_an_issuer_is_tested(world):
    world.ok("issuer", "edit", "pebble", "--limit", "domain=50/7d")
    done = world.ok("issuer", "test", "pebble", "--name", "good.example.org")
    for words in ("pebble: directory: https://", "pebble: account: ", "is valid", "good.example.org: port 80", "pebble: budget: "):
        assert words in done.out, done
    assert world.cw("issuer", "test", "ca").code == 2
    assert world.cw("issuer", "test", "pebble", "--name", "none.example.org").code == 6


def test_tls_alpn_is_asked_at_port_443(world):
    world.ok("issuer", "add", "alpn", "--acme", world.ca.directory, "--agree", "--roots", world.ca.all_roots, "--grant", "127.0.0.0/8", "--via", "listener",
             "--challenge", "tls-alpn-01")
    done = world.cw("issuer", "test", "alpn", "--name", "good.example.org", "--name", "other.example.org")
    assert done.code == 6 and "other.example.org: " in done.err and "does not speak acme-tls/1" in done.err, done
    assert re.search(r"ok +good\.example\.org: port 443: .*:443 speaks acme-tls/1", done.out) and "port 80" not in done.out, done


def test_each_issuer_of_the_list_is_looked_at_before_a_certificate_is_made(world):
    ca = ["--acme", world.ca.directory, "--agree", "--roots", world.ca.all_roots, "--grant", "127.0.0.0/8", "--via", "listener"]
    world.ok("issuer", "add", "spent", *ca, "--limit", "account=1/1d")
    world.ok("issuer", "add", "wrong", *ca, "--acme-profile", "no-such-profile")
    world.ok("cert", "add", "good.example.org", "--name", "spends", "--issuer", "spent")
    before = orders(world)
    done = world.ok("cert", "add", "good.example.org", "--issuer", "spent,wrong,pebble,ca", "--dry-run")
    which = done.out.split("Which issuer:")[1]
    assert re.search(r"spent +would not issue: a limit of the issuer is reached: ", which), done
    assert re.search(r"wrong +would not issue: it .*no-such-profile", which), done
    assert re.search(r"pebble +would be asked: spent would not issue: a limit", which) and re.search(r"ca +could be asked in its place", which), done
    assert len(re.findall(r"ok +good\.example\.org: caa: ", done.out)) == 1, "what all find is told once"
    shown = world.cw("cert", "add", "forbidden.example.org", "--issuer", "pebble,ca", "--dry-run", "-o", "json")
    assert shown.code == 0 and [i["role"] for i in shown.json()["issuers_in_order"]] == ["unfit", "asked"], shown
    assert "let no CA issue" in shown.json()["issuers_in_order"][0]["why"]
    done = world.cw("cert", "add", "forbidden.example.org", "--issuer", "pebble,wrong", "--dry-run")
    assert done.code == 6 and "would be asked" not in done.out, done
    assert orders(world) == before


def move(world, name, where):
    world.knot.control("zone-begin", "example.org")
    world.knot.control("zone-unset", "example.org", name, "A")
    world.knot.control("zone-set", "example.org", name, "5", "A", where)
    world.knot.control("zone-commit", "example.org")


def test_a_renewal_that_failed_is_looked_at_and_ordered_again_all_the_same(world):
    name = "moving.example.org"
    world.ok("cert", "add", name, "--issuer", "pebble")
    told = findings(world, name)
    world.ok("issuer", "account", "pebble", "renew")  # so that no authorization of before is good once more
    move(world, "moving", world.theirs)
    assert world.cw("cert", "renew", name).code != 0
    assert findings(world, name) == told
    before = orders(world)
    assert world.cw("cert", "retry", name).code != 0
    new = findings(world, name)[len(told):]
    assert any("resolvers do not agree" in t and "says 127." in t for t in new), "the secondary was not told yet"
    assert any(t.startswith(f"warn: {name}: port 80: ") and "status 404" in t for t in new), new
    world.second.control("zone-refresh", "example.org")
    wait.until(lambda: socket.inet_aton(world.theirs) in world.second.ask(name, 1)[1], "the secondary knows", 10)
    assert world.cw("cert", "retry", name).code != 0
    new = findings(world, name)[len(told) + len(new):]
    assert any(t.startswith(f"fail: {name}: port 80: ") and "status 404" in t for t in new) and "has issued for these names before" in new[-1], new
    assert orders(world) > before
    move(world, "moving", world.agent_settings["http01"]["address"])
    world.ok("cert", "retry", name)
    assert world.show("cert", name)["current_version"]["number"] == 2


@pytest.mark.one_engine
def test_a_second_choice_that_caa_forbids_is_told_before_it_is_needed(world):
    world.ok("cert", "add", "good.example.org", "stays.example.org", "--name", "spare", "--issuer", "ca,pebble")
    words = "issuer pebble stands by for spare and could not issue for it: stays.example.org: "
    wait.until(lambda: words in world.cw("status").out, "it is told", 20)
    assert "let no CA issue" in world.show("issuer", "pebble")["standby_names"][0]
    world.knot.control("zone-begin", "example.org")
    world.knot.control("zone-unset", "example.org", "stays", "CAA")
    world.knot.control("zone-commit", "example.org")
    world.second.control("zone-refresh", "example.org")
    world.move_clock(2 * 3600)
    wait.until(lambda: words not in world.cw("status").out, "it is looked at again within the hour", 20)
    world.ok("cert", "remove", "spare")
    world.move_clock(0)


def test_an_agent_that_may_not_look_holds_nothing_up(world, make_remote):
    make_remote(world, "web9", "--grant", "present,clean", http01={"address": world.nowhere, "port": 80})
    world.ok("issuer", "add", "far", "--acme", world.ca.directory, "--agree", "--roots", world.ca.all_roots, "--grant", "127.0.0.0/8", "--via", "listener",
             "--challenge-agent", "web9")
    done = world.cw("cert", "add", "closed.example.org", "--issuer", "far")
    assert done.code == 0, done
    told = findings(world, "closed.example.org")
    assert any(t.startswith("unknown: far: preflight: ") and "was not granted jobs of kind preflight" in t for t in told), told
    assert any(t.startswith("ok: closed.example.org: caa: ") for t in told), told


@pytest.mark.parametrize("point", ["agent:agent.preflight_presented", "probe:probe.preflight"])
def test_what_is_put_in_place_to_look_is_gone_after_kill_9(world, point):
    world.restart(failpoint=f"{point}=kill")
    done = add(world, "killed.example.org", "--name", point.split(":")[0])
    assert done.code == 0, done
    assert f" failpoint name={point.split(':')[1]} " in world.text()
    wait.until(lambda: not listens(world.agent_settings["http01"]["address"]), "nothing listens any more", 10)
    # What is noted of it goes after the listener: a crash between the two leaves nothing that listens.
    wait.until(lambda: not list((world.state / "agent" / "challenges").glob("*.json")), "nothing of it is kept", 10)
