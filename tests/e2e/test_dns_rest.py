"""DNS providers as data (dns/*.yaml), each against a server that checks every call (lib/dns_rest.py); PowerDNS against the real one.  The
engine is driven without a hub, by the unit test's own driver (tests/unit/agent/test_dns.c)."""
import ctypes
import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lib import dns_rest, process, wait
from lib.dns_rest import KINDS, NAME, RELATIVE, ZONE, Refused
from lib.hub import PROGRAM, ROOT
from lib.knot import _own_address
from lib.network import Host
from lib.pebble import Pebble
from lib.push import Api

DRIVER = Path(PROGRAM).parent / "unit_agent_test_dns"
V1, V2 = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "DGyRejmCefe7v4NfDGDKfA_-pXq0m5bUoO7ndL7Vq-0"
OTHERS = ["v=spf1 -all; a=b/c", "somebody else's"]
# Nothing here knows a database: one engine is enough.
# Each way of proving who asks, and each kind of answer, once; all of them with CERTWRIGHT_SOAK.
REFUSED = [k for k in KINDS if os.environ.get("CERTWRIGHT_SOAK") or k.provider in ("cloudflare", "route53", "ovh", "gandi", "akamai")]
TWO_WAYS = [dns_rest.Azure, dns_rest.Google, dns_rest.Route53] if os.environ.get("CERTWRIGHT_SOAK") else [dns_rest.Azure, dns_rest.Route53]
pytestmark = pytest.mark.one_engine


class Relay:
    """agent.yaml of a host that may change one zone with one provider.  `via` is put before the command."""
    via = ()

    def __init__(self, folder, provider, credentials, parameters, port, roots, dns_dir=ROOT / "dns", zones=(ZONE,)):
        self.provider, self.parameters, self.config = provider, parameters, folder / "agent.yaml"
        rows = {}
        for name, text in credentials.items():
            file = folder / name
            file.write_text(text + "\n")
            file.chmod(0o600)
            rows[name.replace("_", "-")] = {"file": str(file), "hosts": [f"127.0.0.1:{port}"], "roots": str(roots)}
        self.config.write_text(json.dumps({"name": "h", "state": str(folder), "dns_dir": str(dns_dir), "networks": {"relay": ["127.0.0.0/8"]},
                                           "dns": {provider: {"zones": list(zones)}}, "credentials": rows}))
        self.config.chmod(0o600)

    def run(self, *messages):
        """At once; what came of each."""
        lines = "".join(json.dumps({"provider": self.provider, "parameters": self.parameters, "zone": ZONE, **m}) + "\n" for m in messages)
        done = subprocess.run([*self.via, str(DRIVER), str(self.config)], input=lines, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(x) for x in done.stdout.splitlines()]

    def one(self, verb, value="", name=NAME, **more):
        return self.run({"verb": verb, "name": name, "value": value, **more})[0]

    def ok(self, verb, value="", **more):
        done = self.one(verb, value, **more)
        assert not done["error"], done["why"]
        return done["what"]


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make(folder):
    made = []

    def start(kind, **more):
        api = kind(folder)
        made.append(api)
        return api, Relay(folder, api.provider, api.secrets, api.parameters(), api.port, api.roots, **more)
    yield start
    for api in made:
        api.stop()


def kinds(of):
    return pytest.mark.parametrize("kind", of, ids=lambda k: k.provider)


@kinds(KINDS)
def test_a_value_comes_and_goes_and_others_stay(make, kind):
    api, relay = make(kind)
    assert relay.ok("add", V1) == "added" and api.plain() == [V1], api.wrong
    assert relay.ok("remove", V1) == "taken away" and api.plain() == [], "the last value takes the name with it"
    texts = [api.raw(x) for x in OTHERS] + (['"in two " "pieces"'] if api.quoted else [])
    for text in texts:
        api.put(text)
    before = api.plain()
    assert relay.ok("add", V1) == "added"
    changes = len([c for c in api.calls if c.method != "GET"])
    assert relay.ok("add", V1) == "was there already"
    assert len([c for c in api.calls if c.method not in ("GET",) and "token" not in c.path]) <= changes, "nothing is sent for it"
    # Apex and wildcard: the same name, at once.
    both = relay.run({"verb": "add", "name": NAME, "value": V1}, {"verb": "add", "name": NAME, "value": V2})
    assert [d["error"] for d in both] == ["", ""] and api.plain() == sorted([*before, V1, V2]), both
    both = relay.run({"verb": "remove", "name": NAME, "value": V1}, {"verb": "remove", "name": NAME, "value": V2})
    assert [d["error"] for d in both] == ["", ""] and api.plain() == before, both
    assert relay.ok("remove", V2) == "was gone already"
    assert sorted(api.texts()) == sorted(texts), "what others wrote stays as they wrote it"
    assert not api.wrong, api.wrong


@kinds(REFUSED)
def test_what_goes_wrong_is_said_and_changes_nothing(make, kind):
    api, relay = make(kind)
    for text in OTHERS:
        api.put(api.raw(text))
    before, sent = api.plain(), []

    def refusing(status, body, headers=None):
        def look(call):
            if "token" not in call.path and "time" not in call.path:
                sent.append(call)
                raise Refused(status, body, headers)
        return [look]
    good = dict(api.secrets)
    tried = relay.one("test")
    assert not tried["error"] and tried["what"], tried
    for status, body, headers, error, says in [
            (403, {"message": "no right to do this"}, None, "bad_answer", "was refused (403)"),
            (429, {"message": "slow down"}, {"Retry-After": 3600}, "rate_limited", "no time for us"),
            (500, b"<html>oops", None, "bad_answer", "status 500"),
            (302, b"", {"Location": "https://login.example.org/"}, "bad_answer", "redirect"),
            (200, {"something": "else"}, None, "bad_answer", ""), (200, b"no JSON", None, "bad_answer", ""), (200, b"null", None, "bad_answer", "")]:
        api.before = refusing(status, body, headers)
        done = relay.run(*({"verb": v, "name": NAME, "value": V1} for v in ("add", "remove")))
        for d in done:
            assert d["error"] == error and says in d["why"] and kind.provider in d["why"], (status, body, d)
            assert d["retry_after_s"] == (3600 if status == 429 else 0)
        assert all(c.method in ("GET", "HEAD") for c in sent), f"{sent}: nothing is changed on an answer like this"
    api.before = []
    api.disown()
    done = relay.one("test")
    assert done["error"] and all(text not in done["why"] for text in good.values()), done
    api.secrets = good
    assert api.plain() == before and not api.wrong, api.wrong


def test_a_credential_is_tried_and_its_end_is_told(make):
    api, relay = make(dns_rest.Cloudflare)
    done = relay.one("test")
    assert (done["error"], done["expires_at"], done["first_s"], done["most_s"]) == ("", 1925089445, 5, 120), done
    relay.parameters["account"] = "acc1"
    assert relay.ok("test") and api.calls[-1].path == "/client/v4/accounts/acc1/tokens/verify"
    api, relay = make(dns_rest.Ovh)
    done = relay.one("test")
    assert (done["error"], done["expires_at"], done["what"]) == ("", 1925085845, '[{"method":"GET","path":"/domain/zone/example.org/*"}]'), done


@pytest.mark.parametrize("kind", TWO_WAYS, ids=lambda k: k.provider)
def test_a_set_that_somebody_changes_meanwhile_is_not_overwritten(make, kind):
    api, relay = make(kind)
    api.put(api.raw("first"))
    left = ["second", "third"]

    def somebody(call):
        if call.method not in ("GET", "HEAD") and "token" not in call.path and left:
            api.sets[NAME][1].append(api.raw(left.pop(0)))
    api.before = [somebody]
    assert relay.ok("add", V1) == "added"
    assert api.plain() == sorted(["first", "second", "third", V1]) and not api.wrong


def test_what_another_host_overwrites_is_written_again(make):
    """An API without conditions: the other one read before we wrote, and writes what it knew."""
    api, relay = make(dns_rest.GoDaddy)
    lost = []

    def somebody(call):
        if call.method == "GET" and V1 in api.texts() and not lost:
            lost.append(call)
            api.sets[NAME][1][:] = ["theirs"]
    api.before = [somebody]
    assert relay.ok("add", V1) == "added" and lost
    assert api.plain() == sorted(["theirs", V1]) and not api.wrong


def test_route_53_private_zones_are_not_taken_for_public_ones(make):
    api, relay = make(dns_rest.Route53)
    api.private = True
    done = relay.one("add", V1)
    assert done["error"] == "bad_answer" and not api.sets, done
    relay.parameters["hosted_zone"] = "Z2"
    assert relay.ok("add", V1) == "added" and api.plain() == [V1] and not api.wrong


def test_lists_and_answers_have_an_end(make):
    """A provider gone mad: pages without end, answers without end."""
    api, relay = make(dns_rest.Linode)
    full, api.list = api.list, lambda call: (200, {"data": [], "page": 1, "pages": 10**9, "results": 0})
    done = relay.one("add", V1)
    assert done["error"] == "too_large" and "more than 100 pages" in done["why"] and len(api.asked()) == 101 and not api.records, done["why"]
    api.list, api.before = full, [lambda call: "endless"]
    done = relay.one("add", V1)
    assert done["error"] == "bad_answer" and "larger than allowed" in done["why"] and not api.records, done["why"]
    ovh, relay = make(dns_rest.Ovh)
    ovh.list = lambda call: (200, list(range(101)))
    done = relay.one("add", V1)
    assert done["error"] == "bad_answer" and "a list of at most 100" in done["why"] and not ovh.records, done


def test_acme_dns_keeps_the_two_newest(folder):
    api = dns_rest.AcmeDns(folder)
    try:
        zone = "auth.example.net"
        relay = Relay(folder, api.provider, api.secrets, api.parameters(), api.port, api.roots, zones=[zone])
        where = {"zone": zone, "name": f"{api.subdomain}.{zone}"}
        assert relay.ok("test", zone=zone, name="") == "accepted"
        done = relay.run(*({"verb": "add", "value": v, **where} for v in (V1, V2)))
        assert [d["error"] for d in done] == ["", ""] and sorted(api.values) == sorted([V1, V2])
        assert relay.ok("remove", V1, **where) and sorted(api.values) == sorted([V1, V2])
        assert not api.wrong, api.wrong
    finally:
        api.stop()


def test_a_credential_goes_only_where_it_is_bound_to(make, folder):
    api, relay = make(dns_rest.DigitalOcean)
    relay.parameters["server"] = f"https://localhost:{api.port}"
    done = relay.one("add", V1)
    assert done["error"] == "not_granted" and "may not be sent to localhost" in done["why"] and not api.calls
    assert relay.one("add", V1, name=f"{RELATIVE}.example.com", zone="example.com")["error"] == "not_granted"
    relay.provider = "gandi"
    assert "is not allowed on this host" in relay.one("add", V1)["why"]


# --- the metadata service of a virtual machine

def inside(host, make):
    """What `make` opens belongs to the host's namespace."""
    made = []

    def run():
        with open(f"/run/netns/{host.name}") as f:
            assert ctypes.CDLL(None).setns(f.fileno(), 0) == 0
        made.append(make())
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return made[0]


def metadata(api):
    class Service(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, answer = api.token(self)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Service)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def machine(folder):
    """A host of its own with the service's address, and the API beside it."""
    host = Host("vm")
    host.ip("address", "add", "169.254.169.254/32", "dev", "lo")
    api = inside(host, lambda: dns_rest.AzureIdentity(folder))
    service = inside(host, lambda: metadata(api))
    relay = Relay(folder, api.provider, api.secrets, api.parameters(), api.port, api.roots)
    relay.via = host.via
    yield api, relay
    for server in (service, api.server):
        server.shutdown()
        server.server_close()
    host.remove()


def test_azure_by_the_identity_of_the_machine(machine, folder):
    api, relay = machine
    done = relay.one("test")
    assert done["error"] == "not_granted" and "may not be sent to 169.254.169.254 port 80" in done["why"], "root says that it may be asked"
    config = json.loads(relay.config.read_text())
    config["credentials"]["identity"]["hosts"].append("169.254.169.254:80")
    relay.config.write_text(json.dumps(config))
    assert relay.ok("test") == "accepted"
    assert relay.ok("add", V1) == "added" and api.plain() == [V1]
    (folder / "identity").write_text("0-1\n") # assigned by the user
    assert relay.ok("remove", V1) == "taken away" and api.plain() == [] and not api.wrong
    api.calls.clear()
    (folder / "identity").write_text("0-1&resource=https://vault.azure.net\n")
    assert "holds the word system, or the client id" in relay.one("test")["why"] and not api.calls
    (folder / "identity").write_text("0-2\n")
    assert "Identity not found" in relay.one("test")["why"] and not api.calls
    relay.parameters["server"] = f"https://localhost:{api.port}"
    done = relay.one("test")
    assert done["error"] == "not_granted" and "may not be sent to localhost" in done["why"] and not api.calls


def test_every_description_is_read_and_is_in_the_manual(folder):
    text = (ROOT / "docs/DNS.md").read_text()
    files = sorted((ROOT / "dns").glob("*.yaml"))
    assert len(files) >= 18
    relay = Relay(folder, "", {}, {}, 1, "/nowhere")
    relay.config.write_text(json.dumps({**json.loads(relay.config.read_text()), "dns": {file.stem: {"zones": [ZONE]} for file in files}}))
    for first in range(0, len(files), 16):
        some = files[first:first + 16]
        for file, done in zip(some, relay.run(*({"verb": "test", "provider": file.stem} for file in some)), strict=True):
            assert done["error"] == "invalid" and "needs the parameter" in done["why"], (file, done)
            assert f"`{file.stem}`" in text, f"docs/DNS.md has no row for {file.stem}"


# --- PowerDNS

class Proxy(Api):
    """TLS before the API of a real PowerDNS."""

    def __init__(self, folder, port):
        super().__init__(folder)
        self.backend = f"http://127.0.0.1:{port}"

    def answer(self, call):
        query = f"?{call.raw_query}" if call.raw_query else ""
        headers = {k: v for k, v in call.headers.items() if k in ("x-api-key", "content-type")}
        request = urllib.request.Request(self.backend + call.raw_path + query, data=call.body or None, method=call.method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()


class PowerDns:
    key = "pdns-key-0123456789"

    def __init__(self, folder):
        self.folder, self.http, self.port, self.address = folder, wait.free_port(), wait.free_port(), _own_address()
        schema = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
        db = sqlite3.connect(folder / "pdns.db")
        db.executescript(schema.read_text())
        db.close()
        (folder / "pdns.conf").write_text(
            f"launch=gsqlite3\ngsqlite3-database={folder}/pdns.db\nlocal-address={self.address}:53,127.0.0.1:{self.port}\nsocket-dir={folder}\n"
            f"api=yes\napi-key={self.key}\nwebserver=yes\nwebserver-address=127.0.0.1\nwebserver-port={self.http}\nsetuid=\nsetgid=\n"
            "cache-ttl=0\nquery-cache-ttl=0\nzone-cache-refresh-interval=0\n")
        self.child = process.start(["/usr/sbin/pdns_server", f"--config-dir={folder}", "--daemon=no", "--guardian=no", "--disable-syslog"],
                                   folder / "pdns.log")
        wait.until(lambda: self.api("GET", "") is not None, "PowerDNS to answer")
        self.api("POST", "/zones", {"name": f"{ZONE}.", "kind": "Native", "nameservers": [f"ns1.{ZONE}."], "rrsets": [
            {"name": f"ns1.{ZONE}.", "type": "A", "ttl": 5, "records": [{"content": self.address, "disabled": False}]}]})

    def api(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}/api/v1/servers/localhost{path}", method=method,
                                         data=json.dumps(body).encode() if body else None, headers={"X-API-Key": self.key})
        try:
            return urllib.request.urlopen(request, timeout=10).read()
        except (ConnectionError, urllib.error.URLError) as e:
            assert not isinstance(e, urllib.error.HTTPError), e.read()
            return None

    def records(self):
        zone = json.loads(self.api("GET", f"/zones/{ZONE}."))
        return {r["content"]: r["disabled"] for s in zone["rrsets"] if s["name"] == f"{NAME}." and s["type"] == "TXT" for r in s["records"]}

    def stop(self):
        process.stop(self.child)


@pytest.fixture
def powerdns(folder):
    server = PowerDns(folder)
    proxy = Proxy(folder, server.http)
    yield server, Relay(folder, "powerdns", {"key": server.key}, {"server": proxy.url, "key": "key"}, proxy.port, proxy.roots)
    proxy.stop()
    server.stop()


def test_a_real_powerdns(powerdns):
    server, relay = powerdns
    assert relay.ok("test") == "accepted"
    assert relay.ok("add", V1) == "added" and server.records() == {f'"{V1}"': False}
    assert relay.ok("remove", V1) == "taken away" and server.records() == {}
    others = {'"in two " "pieces"': False, '"semi\\; \\"colon\\""': False, '"disabled"': True}
    server.api("PATCH", f"/zones/{ZONE}.", {"rrsets": [{"name": f"{NAME}.", "type": "TXT", "ttl": 77, "changetype": "REPLACE",
                                                       "records": [{"content": c, "disabled": d} for c, d in others.items()]}]})
    before = server.records()
    both = relay.run({"verb": "add", "name": NAME, "value": V1}, {"verb": "add", "name": NAME, "value": V2})
    assert [d["error"] for d in both] == ["", ""] and server.records() == {**before, f'"{V1}"': False, f'"{V2}"': False}, both
    assert relay.ok("add", V2) == "was there already"
    persist = "ca.example; accounturi=https://ca.example/acct/1; policy=wildcard"
    assert relay.ok("add", persist) == "added"
    for value in (V1, V2, persist):
        assert relay.ok("remove", value) == "taken away"
    assert server.records() == before
    (relay.config.parent / "key").write_text("another-key\n")
    done = relay.one("add", V1)
    assert done["error"] == "bad_answer" and "the credential key was refused (401)" in done["why"], done
    assert relay.one("add", V1, zone=NAME)["error"] == "bad_answer"


def test_a_wildcard_is_issued_through_a_real_powerdns(powerdns, make_hub, http_port, folder):
    """The whole way: hub, agent, the relay in its sandbox, PowerDNS's API and its answers, and a CA that asks it."""
    server, relay = powerdns
    pebble_folder = folder / "pebble"
    pebble_folder.mkdir()
    folder.chmod(0o755)
    ca = Pebble(pebble_folder, http_port, dns=server).start()
    hub = make_hub(start=False)
    config = json.loads(relay.config.read_text())
    hub.agent_settings.update(credentials=config["credentials"], dns=config["dns"], resolvers=[f"127.0.0.1:{server.port}"])
    hub.write_agent()
    hub.start()
    try:
        hub.ok("issuer", "add", "pebble", "--acme", ca.directory, "--agree", "--roots", ca.all_roots, "--grant", "127.0.0.0/8", "--challenge", "dns-01")
        sets = [w for k, v in relay.parameters.items() for w in ("--set", f"{k}={v}")]
        hub.ok("dns", "add", "pdns", "--provider", "powerdns", "--zone", ZONE, *sets)
        assert hub.show("dns", "pdns")["state"] == "good"
        hub.ok("cert", "add", f"*.{ZONE}", ZONE, "--name", "both", "--issuer", "pebble", timeout=60)
        assert hub.show("cert", "both")["current_version"]
        wait.until(lambda: server.records() == {}, "nothing is left behind")
    finally:
        ca.stop()
