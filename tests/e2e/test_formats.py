"""DER and key stores under a password: read back by openssl and keytool, the password's file, renewals, roll-backs, access lists."""
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from lib import formats, pki

WWW = "www.example.org"
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files
STORES = ("pkcs12", "pkcs12_legacy", "jks")


def target(hub, name="out", **parameters):
    sets = [w for k, v in parameters.items() for w in ("--set", f"{k}={v}")]
    hub.ok("target", "add", name, "--connector", "files", *sets)


def numbers(certificate_or_key):
    return certificate_or_key.public_key().public_numbers()


def test_every_form_is_read_by_the_tools_of_others_and_the_same_key_makes_the_same_file(hub):
    at = {f: hub.files / f for f in ("fullchain", "leaf_der", "key_der", "pkcs12", "pkcs12_legacy")}
    password, ascii_password = formats.password_file(hub.files / "p1", "pässword ü\nsecond line\n"), formats.password_file(hub.files / "p2")
    java, again = ({f: hub.files / f"{f}.{end}" for f in STORES} for end in ("java", "again"))
    target(hub, **at, password_file=password)
    target(hub, "java", **java, password_file=ascii_password, alias="Web")  # Java takes no other passwords for PKCS #12
    target(hub, "again", **again, password_file=ascii_password, alias="Web")
    hub.ok("cert", "add", WWW, "--to", "out", "--to", "java", "--to", "again", "--key-kind", "rsa-2048")
    chain = pki.read_chain(at["fullchain"].read_bytes())
    assert formats.der(at["leaf_der"]) == chain[0]
    assert numbers(load_der_private_key(at["key_der"].read_bytes(), None)) == numbers(chain[0])
    protected = {"pkcs12": ["PBES2, PBKDF2, AES-256-CBC", "hmacWithSHA256", "MAC: sha256"],
                 "pkcs12_legacy": ["pbeWithSHA1And3-KeyTripleDES-CBC", "MAC: sha1"]}
    for form, wanted in protected.items():
        certs, key, info = formats.openssl_pkcs12(at[form], password)
        assert certs == chain and numbers(load_pem_private_key(key, None)) == numbers(chain[0])
        assert all(w in info for w in wanted), info
    assert formats.keytool_chain(java["jks"], ascii_password, "JKS") == (chain, "web")
    formats.keytool_convert(java["jks"], "JKS", hub.folder / "converted", "PKCS12", ascii_password)
    assert numbers(load_pem_private_key(formats.openssl_pkcs12(hub.folder / "converted", ascii_password)[1], None)) == numbers(chain[0])
    assert [pki.state_of(at[f])[3] for f in ("leaf_der", "key_der", "pkcs12", "pkcs12_legacy")] == [0o644, 0o600, 0o600, 0o600]
    assert [java[f].read_bytes() for f in STORES] == [again[f].read_bytes() for f in STORES], "else it could not say: it is there already"


def test_a_password_that_is_not_there_or_not_secret_is_refused(hub):
    rows = [(None, 0, "is not there"), ("", 0o600, "is empty"), ("\nsecond\n", 0o600, "is empty"), ("open\n", 0o644, "chmod 0600"),
            ("x" * 300, 0o600, "1 to 256 bytes"), ("x" * 2000, 0o600, "more than 1024 bytes")]
    for i, (text, mode, why) in enumerate(rows):
        if text is not None:
            formats.password_file(hub.files / f"password{i}", text, mode)
        target(hub, f"out{i}", pkcs12=hub.files / "a.p12", password_file=hub.files / f"password{i}")
        assert hub.cw("cert", "add", f"w{i}.example.org", "--to", f"out{i}").code != 0
        assert why in hub.why(f"w{i}.example.org"), (i, hub.why(f"w{i}.example.org"))
        assert not (hub.files / "a.p12").exists()


def test_a_password_outside_of_what_is_granted_is_refused(hub):
    formats.password_file(hub.folder / "password")
    target(hub, pkcs12=hub.files / "a.p12", password_file=hub.folder / "password")
    assert hub.cw("cert", "add", WWW, "--to", "out").code == 3
    assert "not below a path granted" in hub.why()


def acl(path):
    out = subprocess.run(["getfacl", "--omit-header", "--numeric", "--absolute-names", str(path)], stdout=subprocess.PIPE, check=True)
    return out.stdout.decode().split()


def test_access_lists_and_attributes_are_kept_over_renewals_and_roll_backs(make_hub):
    hub = make_hub(start=False)
    hub.agent_settings["commands"] = {"reload": ["/bin/true"], "wrong": ["/bin/false"]}
    hub.write_agent()
    hub.start()
    pem, key, plain = hub.files / "a.pem", hub.files / "a.key", hub.files / "plain.pem"
    pem.write_text("old\n")
    key.write_text("old\n")
    plain.write_text("old\n")
    for path, mode in ((pem, 0o644), (key, 0o600), (plain, 0o640)):
        path.chmod(mode)
    subprocess.run(["setfacl", "-m", "u:65534:r", str(pem), str(key)], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:65534:r", str(hub.files)], check=True)  # what the folder gives is not what the file had
    os.setxattr(pem, "user.owner", b"web team")
    before = [acl(p) for p in (pem, key, plain)]
    assert "user:65534:r--" in before[0] and "user:65534:r--" in before[1] and "user:65534:r--" not in before[2]
    target(hub, fullchain=pem, key=key, leaf=plain, reload="reload")
    hub.ok("cert", "add", WWW, "--to", "out")
    first = pem.read_bytes()
    assert first != b"old\n" and [acl(p) for p in (pem, key, plain)] == before
    hub.ok("target", "edit", "out", "--set", "reload=wrong")
    assert hub.cw("cert", "renew", WWW).code == 6
    assert pem.read_bytes() == first and [acl(p) for p in (pem, key, plain)] == before
    assert os.getxattr(pem, "user.owner") == b"web team"
