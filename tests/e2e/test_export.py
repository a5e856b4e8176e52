"""Keys that people download: made and kept by the signer, handed out to who may, noted each time, and destroyed."""
import base64
import json
import os

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lib import formats, people, pki, wait
from test_secrets import of_key, of_text, unsealed

WWW = "www.example.org"
PATH = f"/api/v1/managed-certificates/{WWW}"
DAY = 86400


def kept(hub):
    """The keys for download on the signer's disk."""
    return sorted((hub.state / "signer" / "keys").glob("download.*.key"))


def token(hub, team, role):
    return hub.unix("POST", "/api/v1/tokens", {"name": f"{team}-{role}", "team": team, "role": role}).json()["token"]


def numbers(key_or_certificate):
    return key_or_certificate.public_key().public_numbers()


def pem(hub, name, *more):
    """Downloads it as PEM: (key, chain)."""
    out = hub.folder / "key.pem"
    hub.ok("cert", "export-key", name, "--format", "pem", "--out", out, *more)
    assert pki.state_of(out)[3] == 0o600
    return load_pem_private_key(out.read_bytes(), None), pki.read_chain(out.read_bytes())


def exports(hub, action="certificate.export-key"):
    """What the audit log says of them, the oldest first."""
    return [e for e in reversed(hub.audit()) if e["action"] == action]


def text_of_everything(hub, engine):
    """All files of the installation but what was downloaded, and the database."""
    parts = [p.read_bytes() for top in (hub.etc, hub.state, hub.run) for p in top.rglob("*") if p.is_file()]
    return b"\n".join(parts + [hub.text().encode()] + ([engine.dump(hub.database)] if engine else []))


def test_a_key_is_made_for_download_handed_out_in_each_form_and_goes_with_its_certificate(hub, engine):
    hub.ok("team", "add", "shop")
    hub.ok("team", "add", "press")
    plan = hub.ok("cert", "add", WWW, "--team", "shop", "--download", "--dry-run").out
    assert "the signer makes an ec-p256 key and keeps it, sealed, to be downloaded" in plan
    hub.ok("cert", "add", WWW, "--team", "shop", "--download")
    assert "version 1 is ready to be downloaded: certwright cert export-key " + WWW in hub.why()
    assert len(kept(hub)) == 1 and not list((hub.state / "agent" / "keys").glob("*.key"))
    assert hub.show("cert", WWW)["download"] is True
    chain = pki.read_chain(hub.ok("cert", "export", WWW).out.encode())

    store, words = hub.folder / "www.p12", hub.folder / "words"
    done = hub.cw("cert", "export-key", WWW, "--out", store)
    assert done.code == 2 and "--passphrase-file" in done.err and not store.exists(), "no passphrase into a pipe by chance"
    hub.ok("cert", "export-key", WWW, "--out", store, "--passphrase-file", words)
    assert [pki.state_of(p)[3] for p in (store, words)] == [0o600, 0o600] and len(words.read_text().strip()) == 20
    certs, key, info = formats.openssl_pkcs12(store, words)
    assert certs == chain and numbers(load_pem_private_key(key, None)) == numbers(chain[0])
    assert all(w in info for w in ("PBES2, PBKDF2, AES-256-CBC", "hmacWithSHA256", "MAC: sha256")), info
    java, java_words = hub.folder / "www.jks", hub.folder / "java-words"
    hub.ok("cert", "export-key", WWW, "--format", "jks", "--out", java, "--passphrase-file", java_words)
    assert formats.keytool_chain(java, java_words, "JKS") == (chain, WWW)
    assert words.read_text() != java_words.read_text()
    first, certs = pem(hub, WWW)
    assert certs == chain and numbers(first) == numbers(chain[0])
    assert [(json.loads(e["detail"]), e["object_id"]) for e in exports(hub)] == [
        ({"version": 1, "format": f}, hub.show("cert", WWW)["id"]) for f in ("pkcs12", "jks", "pem")]
    assert "the private key of version 1 is handed out to uid:" in hub.ok("cert", "steps", WWW).out

    # who may, over TLS; the answer is kept by nobody
    ask = {who: token(hub, *who) for who in (("shop", "viewer"), ("shop", "requester"), ("shop", "operator"), ("press", "operator"))}
    status = {who: hub.https("POST", PATH + "/export", {"format": "pem"}, token=t).status_code for who, t in ask.items()}
    assert status == {("shop", "viewer"): 403, ("shop", "requester"): 200, ("shop", "operator"): 200, ("press", "operator"): 404}
    answer = hub.https("POST", PATH + "/export", {"format": "pem", "version": 1}, token=ask["shop", "requester"], headers={"Idempotency-Key": "once"})
    assert answer.headers["Cache-Control"] == "no-store" and answer.json()["file"] == WWW + ".pem" and "passphrase" not in answer.json()
    assert numbers(load_pem_private_key(base64.b64decode(answer.json()["content"]), None)) == numbers(first)
    assert exports(hub)[-1]["principal"] == "token:shop-requester" and len(exports(hub)) == 6
    assert hub.https("POST", PATH + "/export", {"format": "der"}).status_code == 400
    assert hub.https("POST", PATH + "/export", {"version": 9}).status_code == 404
    forms = of_key(first) | of_text(words.read_text().strip()) | of_text(java_words.read_text().strip())
    everything = text_of_everything(hub, engine)
    assert not any(f in everything or f in everything.replace(b"\n", b"") for f in forms)
    kek = (hub.etc / "kek").read_bytes()
    assert numbers(unsealed(kek, kept(hub)[0])[1]) == numbers(first), "the search knows what to look for"

    # another version has another key; that before stays for a month
    hub.ok("cert", "renew", WWW)
    second, certs = pem(hub, WWW)
    assert numbers(second) != numbers(first) and numbers(certs[0]) == numbers(second) and len(kept(hub)) == 2
    assert numbers(pem(hub, WWW, "--version", "1")[0]) == numbers(first)
    hub.move_clock(31 * DAY)
    wait.until(lambda: len(kept(hub)) == 1, "the key of version 1 is destroyed")
    done = hub.cw("cert", "export-key", WWW, "--version", "1", "--format", "pem", "--out", store)
    assert done.code == 1 and "was destroyed (another version took its place a month ago)" in done.err
    assert numbers(pem(hub, WWW, "--forget-key")[0]) == numbers(second)
    wait.until(lambda: not kept(hub), "it is forgotten")
    assert "the key of version 2 was destroyed" in hub.why() and exports(hub, "certificate.forget-key")
    hub.ok("cert", "renew", WWW)
    assert len(kept(hub)) == 1
    hub.ok("cert", "remove", WWW)
    wait.until(lambda: not kept(hub), "it goes with its certificate")
    wait.until(lambda: "certificate.export-key" in [e["event"] for e in hub.unix("GET", "/api/v1/events?limit=1000").json()["items"]], "they are events")


@pytest.mark.one_engine
def test_a_key_that_is_elsewhere_is_not_had_and_one_for_download_is_given_to_no_target(hub):
    hub.ok("target", "add", "a", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
    hub.ok("target", "add", "b", "--connector", "files", "--set", f"fullchain={hub.files}/b.pem")
    hub.ok("cert", "add", WWW, "--to", "a")
    done = hub.cw("cert", "export-key", WWW, "--format", "pem", "--out", hub.folder / "x")
    assert done.code == 1 and "was not made for download" in done.err and not (hub.folder / "x").exists()
    done = hub.cw("cert", "edit", WWW, "--download", "on")
    assert done.code == 1 and "target a is given the key (key), which is for download alone" in done.err
    done = hub.cw("cert", "add", "x.example.org", "--download", "--key-agent", "host1")
    assert done.code == 2 and "made by the signer, not by an agent" in done.err
    # its target is given the chain alone; reuse keeps the key, and the way back makes another where it is served
    hub.ok("cert", "add", "d.example.org", "--download", "--reuse-key", "--to", "b", "--key-kind", "ec-p384")
    first = pem(hub, "d.example.org")[0]
    assert first.curve.name == "secp384r1" and numbers(pki.read_chain((hub.files / "b.pem").read_bytes())[0]) == numbers(first)
    hub.ok("cert", "renew", "d.example.org")
    assert numbers(pem(hub, "d.example.org")[0]) == numbers(first) and len(kept(hub)) == 2
    hub.ok("cert", "edit", "d.example.org", "--download", "off")
    assert numbers(pki.read_chain((hub.files / "b.pem").read_bytes())[0]) != numbers(first)
    done = hub.cw("cert", "export-key", "d.example.org", "--format", "pem", "--out", hub.folder / "x")
    assert done.code == 1 and "was not made for download" in done.err
    hub.ok("cert", "edit", "d.example.org", "--download", "on")
    assert numbers(pem(hub, "d.example.org")[0]) != numbers(first)
    # killed while it makes one, the signer has made one; an attempt that led to nothing leaves none
    hub.stop()
    hub.start(failpoint="signer:signer.key_written=kill")
    hub.ok("cert", "remove", "d.example.org")
    wait.until(lambda: not kept(hub), "they go with their certificate")
    hub.ok("cert", "add", "killed.example.org", "--download")
    assert numbers(pem(hub, "killed.example.org")[0]) and len(kept(hub)) == 1 and "name=signer.key_written action=kill" in hub.text()
    hub.ok("issuer", "add", "paper", "--manual")
    hub.ok("cert", "add", "paper.example.org", "--issuer", "paper", "--download")
    assert "BEGIN CERTIFICATE REQUEST" in hub.ok("cert", "csr", "paper.example.org").out and len(kept(hub)) == 2
    hub.ok("cert", "pause", "paper.example.org")
    wait.until(lambda: len(kept(hub)) == 1, "its attempt was given up")
    # a request of one's own needs none of it
    (hub.folder / "own.key").write_bytes(b"")
    os.chmod(hub.folder / "own.key", 0o600)
    formats.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", hub.folder / "own.key", "-out",
                hub.folder / "own.csr", "-subj", "/", "-addext", "subjectAltName=DNS:own.example.org")
    hub.ok("cert", "add", "own.example.org", "--csr", hub.folder / "own.csr")
    own = load_pem_private_key((hub.folder / "own.key").read_bytes(), None)
    assert "ready to be downloaded: certwright cert export own.example.org" in hub.why("own.example.org")
    hub.ok("cert", "renew", "own.example.org")
    assert numbers(pki.read_chain(hub.ok("cert", "export", "own.example.org").out.encode())[0]) == numbers(own)
    done = hub.cw("cert", "edit", "own.example.org", "--download", "on")
    assert done.code == 2 and "there is no key to download" in done.err


def test_a_download_that_policy_wants_approved_is_had_once_by_who_asked(hub):
    policy = hub.folder / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - {name: keys leave by two, for: [export], approve: {count: 1}}\n")
    hub.ok("policy", "put", policy)
    for name, role in (("anna", "requester"), ("ben", "requester"), ("carl", "approver")):
        hub.ok("user", "add", name)
        hub.ok("user", "grant", name, "--role", role)
    token = {n: hub.unix("POST", "/api/v1/tokens", {"name": n, "user": n}).json()["token"] for n in ("anna", "ben", "carl")}
    for name, text in token.items():
        (hub.folder / name).write_text(text)

    def take(name, **body):
        return hub.https("POST", PATH + "/export", {"format": "pem", **body}, token=token[name])
    hub.ok("cert", "add", WWW, "--download")
    assert take("carl").status_code == 403 and take("anna").status_code == 202 and not exports(hub)
    done = hub.cw("cert", "export-key", WWW, "--format", "pem", "--out", hub.folder / "x", env={"CERTWRIGHT_TOKEN_FILE": str(hub.folder / "anna")})
    assert done.code == 5 and "waits for approval by 1" in done.err and not (hub.folder / "x").exists()
    request, = hub.unix("GET", "/api/v1/requests").json()["items"]
    assert (request["kind"], request["state"]) == ("export", "waiting")
    hub.ok("request", "approve", request["id"], env={"CERTWRIGHT_TOKEN_FILE": str(hub.folder / "carl")})
    assert take("anna", format="jks").status_code == 202 and take("ben").status_code == 202, "approved was one form, for one person"
    assert not exports(hub), "approval alone hands nothing out"
    again = hub.unix("POST", "/api/v1/tokens", {"name": "anna-again", "user": "anna"}).json()["token"]
    assert hub.https("POST", PATH + "/export", {"format": "pem"}, token=again).status_code == 200 and len(exports(hub)) == 1
    assert take("anna").status_code == 202, "once"
    # approved and not fetched in time; forbidden meanwhile
    waiting = [r["id"] for r in hub.unix("GET", "/api/v1/requests").json()["items"] if r["state"] == "waiting"]
    assert len(waiting) == 3
    for id in waiting:
        hub.ok("request", "approve", id, env={"CERTWRIGHT_TOKEN_FILE": str(hub.folder / "carl")})
    policy.write_text("version: 1\nrules:\n  - {name: none, for: [export], forbid: no keys today}\n")
    hub.ok("policy", "put", policy)
    answer = take("ben")
    assert answer.status_code == 403 and "no keys today" in answer.text
    hub.ok("policy", "put", "--version", "1")
    assert take("ben").status_code == 200
    hub.move_clock(DAY + 60)
    assert take("anna").status_code == 202 and len(exports(hub)) == 2
    # in a browser only soon after its person has shown who they are
    browser = people.Browser(hub)
    browser.accept(hub.unix("POST", "/api/v1/users/anna/invitation").json()["code"])
    browser.enrol()
    assert browser.ask("POST", PATH + "/export", {"format": "pem"}).status_code == 202
    hub.move_clock(DAY + 60 + 15 * 60)
    answer = browser.ask("POST", PATH + "/export", {"format": "pem"})
    assert answer.status_code == 403 and "before a private key is handed out" in answer.text
