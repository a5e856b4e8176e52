"""Findings that need others to be asked: an issuer that is missing is fetched (AIA), revocation is learnt from a real responder (OCSP)
and a list (CRL); what the settings of the hub believe and allow decides the rest."""
import datetime
import functools
import http.server
import re
import socket
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID as AIA

from lib import pki, process, wait

HOSTS = {"good": "127.0.72.1", "ocsp": "127.0.72.2", "crl": "127.0.72.3", "rogue": "127.0.72.4", "crl2": "127.0.72.6"}


class World:
    """A root that the hub is told of, and an issuing CA that it has to find by itself."""

    def __init__(self, folder):
        self.folder, self.web, self.responder = folder, wait.free_port(), wait.free_port()
        self.root, self.key = pki.Root("Findings root"), ec.generate_private_key(ec.SECP256R1())
        url = f"http://127.0.0.1:{self.web}"
        ski = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        self.issuing = self.sign(self.root.cert.subject, self.root.key, "Findings issuing", self.key.public_key(), [
            (x509.BasicConstraints(True, 0), True), (ski, False),
            (x509.KeyUsage(True, False, False, False, False, True, True, False, False), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.key.public_key()), False)])
        self.where = {"issuer": (AIA.CA_ISSUERS, f"{url}/issuing.crt"), "ocsp": (AIA.OCSP, f"http://127.0.0.1:{self.responder}")}
        self.crl = x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(f"{url}/issuing.crl")], None, None, None)])
        self.leaves = {name: self.leaf(name) for name in HOSTS}
        self.port = wait.free_port()

    def sign(self, issuer, key, subject, public, extensions):
        b = (x509.CertificateBuilder().subject_name(pki.name(subject)).issuer_name(issuer).public_key(public)
             .serial_number(x509.random_serial_number()).not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + 90 * pki.DAY))
        for extension, critical in extensions:
            b = b.add_extension(extension, critical=critical)
        return b.sign(key, hashes.SHA256())

    def leaf(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        told = [self.where["issuer"]] + ([] if name.startswith("crl") else [self.where["ocsp"]])
        access = x509.AuthorityInformationAccess([x509.AccessDescription(m, x509.UniformResourceIdentifier(u)) for m, u in told])
        cert = self.sign(self.issuing.subject, self.key, name, key.public_key(), [
            (pki.san([f"{name}.ours.org" if name == "rogue" else f"{name}.example.org"]), False), (access, False),
            (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)] + ([(self.crl, False)] if name.startswith("crl") else []))
        return cert, key

    def files(self):
        web = self.folder / "web"
        web.mkdir()
        (web / "issuing.crt").write_bytes(self.issuing.public_bytes(serialization.Encoding.DER))
        revoked = x509.RevokedCertificateBuilder().serial_number(self.leaves["crl"][0].serial_number).revocation_date(pki.now()).build()
        crl = (x509.CertificateRevocationListBuilder().issuer_name(self.issuing.subject).last_update(pki.now() - pki.DAY)
               .next_update(pki.now() + pki.DAY).add_extension(x509.CRLNumber(1), False)
               # One of several that the issuer divides its list into, as large CAs do.
               .add_extension(x509.IssuingDistributionPoint([x509.UniformResourceIdentifier(f"http://127.0.0.1:{self.web}/issuing.crl")], None,
                                                            True, False, None, False, False), True).add_extension(
                   x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
               .add_revoked_certificate(revoked).sign(self.key, hashes.SHA256()))
        (web / "issuing.crl").write_bytes(crl.public_bytes(serialization.Encoding.DER))
        (self.folder / "issuing.pem").write_bytes(pki.pem(self.issuing) + pki.key_pem(self.key))
        lines = []
        for name, (cert, key) in self.leaves.items():
            (self.folder / f"{name}.pem").write_bytes(pki.pem(cert) + pki.key_pem(key))
            at = (pki.now() + datetime.timedelta(days=90)).strftime("%y%m%d%H%M%SZ")
            state = f"R\t{at}\t{pki.now().strftime('%y%m%d%H%M%SZ')},keyCompromise" if name == "ocsp" else f"V\t{at}\t"
            serial = f"{cert.serial_number:X}"
            lines.append(f"{state}\t{serial.zfill(len(serial) + len(serial) % 2)}\tunknown\t/CN={name}\n")
        (self.folder / "index.txt").write_text("".join(lines))
        return web

    def start(self):
        self.fetched = fetched = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                fetched.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.web), functools.partial(Handler, directory=str(self.files())))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        pem = self.folder / "issuing.pem"
        self.running = [process.start(["openssl", "ocsp", "-port", self.responder, "-index", self.folder / "index.txt", "-CA", pem,
                                       "-rsigner", pem, "-nmin", "60", "-text"], self.folder / "ocsp.log")]
        for name, host in HOSTS.items():
            pem = self.folder / f"{name}.pem"
            self.running.append(process.start(["openssl", "s_server", "-quiet", "-accept", f"{host}:{self.port}", "-cert", pem, "-key", pem],
                                              self.folder / "log"))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for child in self.running:
            child.kill()
            child.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("findings"))
    world.start()
    yield world
    world.stop()


@pytest.fixture(scope="module")
def hub(hub_maker, world):
    hub = hub_maker()
    hub.agent_settings["networks"]["outside"] = ["127.0.0.0/8"]
    hub.agent_settings["scan"] = {"networks": ["127.0.72.0/24"], "rate": 1000}
    hub.write_agent()
    (hub.etc / "roots.pem").write_bytes(pki.pem(world.root.cert))
    with open(hub.etc / "hub.yaml", "a") as f:
        f.write(f"findings:\n  roots: {hub.etc}/roots.pem\n  domains: [ours.org]\n  issuers: [\"Somebody else\"]\n")
    return hub.restart()


def found(hub, check):
    items = hub.unix("GET", f"/api/v1/findings?check={check}&limit=100").json()["items"]
    return {f["fingerprint"]: f for f in items}


def listens(host, port):
    with socket.socket() as s:
        return s.connect_ex((host, port)) == 0


def fingerprints(world, *names):
    return {pki.fingerprint(world.leaves[n][0]) for n in names}


def test_an_issuer_is_fetched_and_revocation_is_learnt_from_responder_and_list(hub, world):
    wait.until(lambda: hub.cw("scan", "127.0.72.0/29", "--ports", world.port, "--as", "findings").code == 0, "the agent has told what it permits", 10)
    revoked = wait.until(lambda: len(f := found(hub, "revoked")) == 2 and f, "two are known to be revoked", 40)
    assert set(revoked) == fingerprints(world, "ocsp", "crl"), revoked
    assert {f["detail"] for f in revoked.values()} == {"keyCompromise", "unspecified"}, revoked
    # The issuing CA was served by nobody: it was fetched, and ends at the root of the settings.
    known = hub.unix("GET", f"/api/v1/certificates/{pki.fingerprint(world.issuing)}").json()
    assert "Findings issuing" in str(known), known
    wait.until(lambda: not set(found(hub, "unknown_issuer")) & fingerprints(world, *HOSTS), "their issuer is known", 10)
    assert set(found(hub, "rogue")) == fingerprints(world, "rogue")
    assert found(hub, "rogue").popitem()[1]["detail"] == "rogue.ours.org"
    assert fingerprints(world, "good", "rogue").isdisjoint(found(hub, "revoked"))
    incomplete = found(hub, "chain_incomplete")
    assert set(incomplete) == fingerprints(world, *HOSTS), incomplete
    assert incomplete[fingerprints(world, "good").pop()]["endpoint"].startswith(f"127.0.72.1:{world.port}"), incomplete
    assert fingerprints(world, *HOSTS) <= set(found(hub, "not_managed"))


def test_status_tells_of_errors_in_the_inventory_in_a_sentence_and_is_well(hub, world):
    told = wait.until(lambda: re.search(r"(\d+) findings? of severity error in the inventory, (?:most )?(\w+): certwright finding list",
                                        hub.cw("status").out), "the counters say so", 10)
    errors = {f["check"]: f["certificates"] for f in hub.ok("finding", "list", "-o", "json").json() if f["severity"] in ("error", "critical")}
    assert int(told[1]) == sum(errors.values()) > 0 and errors[told[2]] == max(errors.values()), (told, errors)


def test_findings_and_endpoints_are_written_as_the_certificates_that_they_name(hub, world):
    def prints(*argv):
        return [pki.fingerprint(c) for c in pki.read_chain(hub.ok(*argv, "-o", "pem").out)]
    one = prints("finding", "list", "revoked")
    assert one and sorted(one) == sorted({f["fingerprint"] for f in hub.ok("finding", "list", "revoked", "-o", "json").json()})
    assert set(one) < set(prints("finding", "list"))
    assert prints("endpoint", "list", "--at", HOSTS["good"]) == [hub.ok("endpoint", "list", "--at", HOSTS["good"], "-o", "json").json()[0]["fingerprint"]]
    assert hub.cw("target", "list", "-o", "pem").code == 2


def test_chains_and_what_was_said_of_revocation_are_shown(hub, world):
    known = hub.show("cert", pki.fingerprint(world.leaves["crl"][0]))
    assert [[c["subject"] for c in chain["certificates"]] for chain in known["chains"]] == [["CN=Findings issuing"]], known
    chain = known["chains"][0]
    assert (chain["trust"], chain["complete"], chain["verdict"], chain["root"]) == ("private", True, "trusted", "CN=Findings root"), chain
    said = known["revocation"]
    assert said["status"] == "revoked" and said["source"].endswith("/issuing.crl") and "error" not in said, said
    good = hub.show("cert", pki.fingerprint(world.leaves["good"][0]))
    assert good["revocation"]["status"] == "good" and str(world.responder) in good["revocation"]["source"], good
    wait.until(lambda: hub.show("cert", pki.fingerprint(world.leaves["crl2"][0])).get("revocation", {}).get("status") == "good",
               "the other one of the list", 10)
    assert world.fetched.count("/issuing.crl") == 1, world.fetched


def test_a_finding_is_accepted_for_a_while(hub, world):
    print_ = pki.fingerprint(world.leaves["rogue"][0])
    hub.ok("finding", "accept", "rogue", print_, "--reason", "moves next week", "--for", "1h")
    assert not found(hub, "rogue")
    listed = hub.unix("GET", "/api/v1/findings?check=rogue&accepted=true").json()["items"]
    assert [(f["reason"], f["accepted"]) for f in listed] == [("moves next week", True)] and "accepted_until" in listed[0], listed
    hub.move_clock(3700)
    assert set(found(hub, "rogue")) == {print_}


def test_which_checks_are_on_and_how_they_judge_is_set(hub, world):
    rogue = pki.fingerprint(world.leaves["rogue"][0])
    rules = hub.ok("finding", "rules", "-o", "json").json()
    assert rules["domains"] == ["ours.org"] and rules["changed_by"] == "hub", rules
    hub.ok("finding", "set", "rogue", "--off")
    assert not found(hub, "rogue") and "rogue" not in hub.show("cert", rogue)["findings"].__str__()
    assert rogue not in hub.ok("cert", "list", "--found", "--where", "finding = rogue", "-o", "name").out
    hub.ok("finding", "set", "rogue", "--on", "--severity", "warning")
    assert found(hub, "rogue")[rogue]["severity"] == "warning"
    assert rogue not in hub.ok("cert", "list", "--found", "--where", "severity = critical", "-o", "name").out
    hub.ok("finding", "set", "expiring", "--limit", "days=400", "--limit", "percent=100", "--issuer", "Some CA, Inc.", "--issuer", "Findings issuing")
    wait.until(lambda: rogue in found(hub, "expiring") and not found(hub, "rogue"), "they are looked at again", 20)
    assert "days=400 (60)" in hub.ok("finding", "rules").out
    wait.until(lambda: "400 days" in hub.ok("finding", "list").out, "they are counted", 10)
    for wrong in (["nonsense", "--off"], ["rogue", "--limit", "days=3"], ["expiring", "--limit", "days=0"], ["rogue"], ["--off"],
                  ["--domain", "not a domain"]):
        assert hub.cw("finding", "set", *wrong).code == 2, wrong
    hub.ok("finding", "set", "expiring", "rogue", "--usual", "--issuer", rules["issuers"][0])
    wait.until(lambda: rogue in found(hub, "rogue") and not found(hub, "expiring"), "as before", 20)
    assert len([a for a in hub.unix("GET", "/api/v1/audit-entries?limit=100").json()["items"] if a["action"] == "finding.rule"]) == 5


def test_what_was_placed_once_is_not_taken_for_a_rehearsal(hub):
    """Whoever takes its targets from a certificate and removes it has not taken the files from the host: that it ends is still told."""
    name = "left.example.org"
    hub.ok("target", "add", "left", "--connector", "files", "--set", f"combined={hub.files / 'left.pem'}")
    hub.ok("cert", "add", name, "--to", "left")
    left = hub.show("cert", name)["current_version"]["fingerprint"]
    hub.unix("PATCH", f"/api/v1/managed-certificates/{name}", {"targets": []})
    assert not hub.show("cert", name).get("targets") and (hub.files / "left.pem").exists()
    hub.ok("cert", "remove", name)
    assert left not in hub.ok("cert", "list", "--found", "--where", "superseded", "-o", "name").out
    wait.until(lambda: left in found(hub, "not_managed"), "it is told", 10)


def test_an_older_version_that_is_still_served_is_told_until_the_new_one_is(hub, world):
    """A program that reads its certificate only when it starts."""
    path, host = hub.files / "late.pem", "127.0.72.5"
    hub.ok("target", "add", "late", "--connector", "files", "--set", f"combined={path}")
    hub.ok("cert", "add", "late.example.org", "--to", "late")
    serve = ["openssl", "s_server", "-quiet", "-accept", f"{host}:{world.port}", "-cert", path, "-key", path, "-cert_chain", path]
    child = process.start(serve, world.folder / "log")
    try:
        wait.until(lambda: listens(host, world.port), "it is served", 10)
        first = hub.show("cert", "late.example.org")["current_version"]["fingerprint"]
        hub.ok("scan", host, "--ports", world.port, "--as", "late")
        assert first not in found(hub, "served_differs") and first not in found(hub, "not_managed")
        hub.ok("cert", "renew", "late.example.org")
        hub.ok("scan", "start", "late")
        told = wait.until(lambda: found(hub, "served_differs"), "the old one is told", 10)
        assert set(told) == {first} and told[first]["detail"] == "an older version of late.example.org", told
    finally:
        child.kill()
        child.wait()
    child = process.start(serve, world.folder / "log")
    try:
        wait.until(lambda: listens(host, world.port), "it is served", 10)
        hub.ok("scan", "start", "late")
        wait.until(lambda: not found(hub, "served_differs"), "the new one is served", 10)
        hub.ok("cert", "rollback", "late.example.org")
        hub.ok("scan", "start", "late")
        told = wait.until(lambda: found(hub, "served_differs"), "the newer one is told", 10)
        assert [t["detail"] for t in told.values()] == ["a version that late.example.org went back from"] and set(told) != {first}, told
        hub.ok("cert", "rollback", "late.example.org", "--to", "2")
        hub.ok("scan", "start", "late")
        wait.until(lambda: not found(hub, "served_differs"), "it is the current one again", 10)
        hub.ok("cert", "revoke", "late.example.org", "--version", "1", "--reason", "superseded")
        revoked = hub.ok("cert", "list", "--found", "--where", "revoked", "-o", "name").out.split()
        assert first in revoked and first not in found(hub, "revoked"), "nobody is harmed by what is served no more"
    finally:
        child.kill()
        child.wait()


def test_what_is_served_after_a_removal_is_not_managed(hub):
    """The newest version did not get there: the one before is served, and nobody renews it any more."""
    path, www = hub.files / "gone.pem", "gone.example.org"

    def passing(what):
        return set(hub.ok("cert", "list", "--found", "--where", f"{what} and name = {www}", "-o", "name").out.split())
    hub.ok("target", "add", "gone", "--connector", "files", "--set", f"combined={path}")
    hub.ok("cert", "add", www, "--to", "gone")
    first, text = passing("managed"), path.read_bytes()
    path.unlink()
    path.mkdir()
    assert hub.cw("cert", "renew", www, "--timeout", "20s").code == 6
    assert passing("superseded") == first
    newest = passing("managed")
    path.rmdir()
    path.write_bytes(text)
    hub.ok("cert", "remove", www)
    assert passing("not managed") == first | newest and not passing("superseded")


def test_other_rules_have_everything_looked_at_again(hub, world):
    hub.stop()
    text = (hub.etc / "hub.yaml").read_text()
    (hub.etc / "hub.yaml").write_text(text.replace("Somebody else", "findings issuing"))
    hub.start()
    wait.until(lambda: not found(hub, "rogue"), "its issuer is allowed now", 20)
    done = hub.cw("check", "--config", hub.etc / "hub.yaml", "--all")
    assert done.code == 0, done
