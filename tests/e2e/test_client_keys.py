"""Keys that programs show in TLS instead of a token: known by the hash of the public key, and by nothing else of a certificate."""
import json

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lib import pki
from lib.people import Browser, first_code


@pytest.fixture(scope="module")
def hub(hub_maker):
    hub = hub_maker(start=False)
    settings = hub.etc / "hub.yaml"
    text = settings.read_text()
    assert "https:" in text
    settings.write_text(text.replace("https: {", "https: {client_keys: true, ") if "https: {" in text else text.replace("https:\n", "https:\n  client_keys: true\n"))
    return hub.start()


def certificate(folder, stem, issuer, key=None, name="robot", days=30):
    """A client certificate of a CA, as files."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    cert = (x509.CertificateBuilder().subject_name(pki.name(name)).issuer_name(issuer.cert.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(pki.now() - 40 * pki.DAY).not_valid_after(pki.now() + days * pki.DAY)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False).sign(issuer.key, hashes.SHA256()))
    (folder / f"{stem}.pem").write_bytes(pki.pem(cert))
    (folder / f"{stem}.key").write_bytes(pki.key_pem(key))
    return str(folder / f"{stem}.pem"), str(folder / f"{stem}.key")


def ask(hub, pair, method="GET", path="/api/v1/managed-certificates", **more):
    with requests.Session() as s:
        s.trust_env = False
        return s.request(method, f"https://localhost:{hub.https_port}{path}", cert=pair, verify=str(hub.fleet_roots), timeout=30, **more)


def test_an_enrolled_key_is_a_token_and_nothing_else_of_a_certificate_counts(hub, tmp_path):
    ca = pki.Root("Company CA")
    key = ec.generate_private_key(ec.SECP256R1())
    robot = certificate(tmp_path, "robot", ca, key)
    assert ask(hub, robot).status_code == 401  # its CA is nobody's here
    hub.ok("user", "add", "robot", "--service", "--role", "operator")
    hub.ok("client-key", "add", "robot", "first", "--certificate", robot[0], "--role", "operator", "--scope", "managed-certificate.read,managed-certificate.create", "--lifetime", "30d")
    assert ask(hub, robot).status_code == 200
    # Its scopes are a token's, and so is what it made.
    assert ask(hub, robot, path="/api/v1/targets").status_code == 403
    made = ask(hub, robot, "POST", json={"names": ["www.example.org"], "name": "by-key"})
    assert made.status_code == 201, made.text
    assert "token:first" in hub.ok("audit", "list", "--action", "managed-certificate.create", "-o", "json").out
    # Another key with the same name from the same CA is nobody; the same key in any other certificate, an ended one too, is the robot.
    twin = certificate(tmp_path, "twin", ca)
    refused = ask(hub, twin)
    assert refused.status_code == 401 and "not enrolled" in refused.text
    other = certificate(tmp_path, "other", pki.Root("Another CA"), key, name="somebody", days=-1)
    assert ask(hub, other).status_code == 200
    # A token that is shown as well is who asks; a browser's requests are not taken, whatever page has sent them.
    assert ask(hub, robot, headers={"Authorization": "Bearer cwt_wrong"}).status_code == 401
    for headers in ({"Origin": f"https://localhost:{hub.https_port}"}, {"Sec-Fetch-Site": "cross-site"}):
        assert ask(hub, robot, headers=headers).status_code == 401
    # The command line shows one too.
    url = ["--url", f"https://localhost:{hub.https_port}", "--ca-file", hub.fleet_roots]
    assert "by-key" in hub.cw("cert", "list", *url, "--client-cert", robot[0], "--client-key", robot[1]).out
    assert hub.cw("cert", "list", *url, "--client-cert", twin[0], "--client-key", twin[1]).code == 3
    assert hub.cw("cert", "list", *url, "--client-cert", twin[0]).code == 2
    # One key is one account's, and weak ones are nobody's.
    hub.ok("user", "add", "second", "--service", "--role", "operator")
    assert "enrolled already" in hub.cw("client-key", "add", "second", "mine", "--certificate", other[0], "--role", "operator").err
    weak = certificate(tmp_path, "weak", ca, rsa.generate_private_key(65537, 1024))
    assert "RSA of 2048" in hub.cw("client-key", "add", "second", "weak", "--certificate", weak[0], "--role", "operator").err
    assert hub.cw("client-key", "add", "second", "junk", "--public-key", robot[1], "--role", "operator").code == 2
    listed = json.loads(hub.ok("client-key", "list", "robot", "-o", "json").out)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_key().public_bytes(pki.serialization.Encoding.DER, pki.serialization.PublicFormat.SubjectPublicKeyInfo))
    assert listed[0]["spki_sha256"] == digest.finalize().hex() and listed[0]["used_at"]
    # Good as long as its account is, and until it is taken back.
    hub.ok("user", "disable", "robot")
    assert ask(hub, robot).status_code == 401
    hub.ok("user", "enable", "robot")
    assert ask(hub, robot).status_code == 200
    hub.ok("client-key", "remove", "robot", "first")
    assert ask(hub, robot).status_code == 401
    hub.ok("client-key", "add", "robot", "again", "--certificate", robot[0], "--role", "operator", "--lifetime", "1h")
    assert ask(hub, robot).status_code == 200
    hub.move_clock(3700)
    assert ask(hub, robot).status_code == 401
    # People go on as before, with or without a certificate.
    anna = Browser(hub)
    anna.accept(first_code(hub), "anna")
    anna.enrol()
    anna.http.cert = twin
    assert anna.ok("GET", "/api/v1/session")["name"] == "anna"
    assert hub.https("GET", "/api/v1/managed-certificates").status_code == 200


@pytest.mark.one_engine
def test_a_hub_that_does_not_ask_says_so(make_hub, tmp_path):
    hub = make_hub()
    robot = certificate(tmp_path, "robot", pki.Root("Company CA"))
    hub.ok("user", "add", "robot", "--service", "--role", "operator")
    assert "client_keys: true" in hub.cw("client-key", "add", "robot", "first", "--certificate", robot[0], "--role", "operator").err
    assert ask(hub, robot).status_code == 401
