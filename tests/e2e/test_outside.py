"""URLs in certificates are anybody's: what they lead to, how often, and what of it is believed."""
import http.server
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID as AIA

from lib import pki, wait

KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]


class Stranger:
    """A server that somebody else has, and whose certificates lead back to it."""

    def __init__(self):
        stranger, self.hits = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                stranger.hits.append(self.path)
                body = stranger.answer(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def cert(self, subject, issuer, path, ca=True, key=0, signer=0):
        access = x509.AccessDescription(AIA.CA_ISSUERS, x509.UniformResourceIdentifier(self.url + path))
        return (x509.CertificateBuilder().subject_name(pki.name(subject)).issuer_name(pki.name(issuer)).public_key(KEYS[key].public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + 90 * pki.DAY)
                .add_extension(x509.BasicConstraints(ca, None), True).add_extension(x509.AuthorityInformationAccess([access]), False)
                .sign(KEYS[signer], hashes.SHA256()))

    def answer(self, path):
        kind, number = path[1:].split("-")
        number = int(number)
        if kind == "up":  # a chain without an end, each signed by the one above it
            return self.cert(f"up {number}", f"up {number + 1}", f"/up-{number + 1}").public_bytes(Encoding.DER)
        if kind == "more":  # none is the issuer, and each leads on
            many = [self.cert(f"c{i}", f"nobody {i}", f"/more-{i}") for i in range(number * 20, number * 20 + 19)]
            # This one has the issuer's name, and another key than the one that signed.
            return pkcs7.serialize_certificates([*many, self.cert("nobody 1", "nobody 2", "/more-2", key=1)], Encoding.DER)
        return b""


@pytest.fixture(scope="module")
def stranger():
    stranger = Stranger()
    yield stranger
    stranger.server.shutdown()
    stranger.server.server_close()


@pytest.fixture(scope="module")
def hub(hub_maker):
    return hub_maker()


def take(hub, *certificates):
    path = hub.folder / "list.pem"
    path.write_bytes(pki.pem(*certificates))
    hub.ok("import", path)


def known(hub):
    return {c["fingerprint"] for c in hub.unix("GET", "/api/v1/certificates?limit=100").json()["items"]}


def quiet(stranger):
    """Nobody asks any more."""
    n = -1
    while n != len(stranger.hits):
        n = len(stranger.hits)
        time.sleep(1.2)
    return n


def test_what_the_relay_reaches_for_others_is_not_reached_for_certificates(hub, stranger):
    """networks: relay grants 127.0.0.0/8 here."""
    take(hub, stranger.cert("leaf a", "up 900", "/up-900", ca=False))
    wait.until(lambda: "outside_failed" in hub.text(), "it was tried", 10)
    assert "127.0.0.1 is a loopback address" in hub.text()
    assert not stranger.hits
    hub.agent_settings["networks"]["outside"] = ["127.0.0.0/8"]
    hub.write_agent()
    hub.restart()


def test_only_the_issuer_that_is_missing_is_taken_and_a_chain_without_an_end_is_followed_so_far(hub, stranger):
    take(hub, stranger.cert("up 1", "up 1", "/none-0", key=1, signer=1))  # has the name, and is not the one
    before = known(hub)
    lost, endless = stranger.cert("leaf b", "nobody 1", "/more-1", ca=False), stranger.cert("leaf c", "up 1", "/up-1", ca=False)
    take(hub, lost, endless)
    wait.until(lambda: len(known(hub) - before) >= 10, "issuers came", 20)
    quiet(stranger)
    assert sorted(stranger.hits) == sorted(["/more-1"] + [f"/up-{i}" for i in range(1, 9)])
    assert len(known(hub) - before) == 2 + 8


def test_a_host_is_asked_so_often_an_hour_and_people_are_told(hub, stranger):
    hub.move_clock(3600 - int(time.time()) % 3600 + 60)  # an hour that begins now and does not end in the middle of the test
    take(hub, *[stranger.cert(f"leaf d{i}", f"none {i}", f"/none-{i}", ca=False) for i in range(80)])
    wait.until(lambda: "asking others at 127.0.0.1" in hub.cw("status").out, "people are told", 20)
    quiet(stranger)
    asked = [path for path in stranger.hits if path.startswith("/none-")]
    assert 0 < len(asked) <= 60 and len(set(asked)) == len(asked)
    hub.move_clock(0)
