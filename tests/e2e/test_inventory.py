"""The inventory: what is issued is in it, is counted, and proves itself."""
import os
import sqlite3

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from lib import pki, wait

NAMES = ["www.example.org", "mail.example.org"]


@pytest.fixture(scope="module")
def hub(shared_hub):
    for name in NAMES:
        short = name.split(".")[0]
        shared_hub.ok("target", "add", short, "--connector", "files", "--set", f"fullchain={shared_hub.files}/{short}.pem")
        shared_hub.ok("cert", "add", name, "--to", short)
    return shared_hub


def check(hub, *more):
    return hub.cw("check", "--config", hub.etc / "hub.yaml", *more)


def test_what_is_issued_is_in_the_inventory_and_everything_follows_from_it(hub):
    done = check(hub, "--all")
    assert done.code == 0 and "2 certificates and all that follows from them fit together (terms of 2 looked up)" in done.out, done
    hub.ok("cert", "renew", NAMES[0])
    done = check(hub, "--all")
    assert done.code == 0 and done.out.startswith("3 certificates "), done


def test_a_certificate_of_the_inventory_is_shown_as_it_was_issued(hub):
    version = hub.show("cert", NAMES[1])["current_version"]
    served = (hub.files / "mail.pem").read_text().split("-----END CERTIFICATE-----")[0].split()
    shown = hub.unix("GET", f"/api/v1/certificates/{version['fingerprint']}").json()
    assert NAMES[1] in shown["names"]
    assert shown["pem"].split("-----END CERTIFICATE-----")[0].split() == served
    cert = x509.load_pem_x509_certificate(shown["pem"].encode())
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage).value
    assert shown["key_usage"] == [w for w, on in (("digitalSignature", usage.digital_signature), ("keyEncipherment", usage.key_encipherment)) if on]
    assert shown["extended_key_usage"] == ["serverAuth"] and "path_length" not in shown
    assert shown["subject_key_id"] == cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    assert shown["authority_key_id"] == cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier.hex()


def test_numbers_are_told_by_day(hub):
    def days(*more):
        return hub.ok("cert", "days", *more, "-o", "json").json()

    def folded(n, *more):
        return wait.until(lambda: (d := days(*more))["n"] == n and d, f"the counters say {n}", 10)

    before = len(hub.ok("cert", "list", "--found", "-o", "name").out.split())
    today = folded(before)["days"][-1]
    assert today["n"] == before and folded(2, "--of", "managed")["n"] == 2
    hub.move_clock(86400)
    hub.ok("cert", "renew", NAMES[1])
    told = folded(before + 1)["days"]
    assert [d["n"] for d in told][-2:] == [before, before + 1] and told[-2]["day"] == today["day"] < told[-1]["day"] and told[-1]["change"] == 1, told
    key = hub.ok("cert", "list", "--facets", "-o", "json").json()["facets"]
    issuer = next(f["counts"][0]["key"] for f in key if f["name"] == "issuer")
    assert days("--of", "issuer", "--key", issuer, "--team", "everyone")["n"] == before + 1
    assert days("--of", "finding", "--key", "expired") == {"n": 0, "days": []}
    asked = {w: len(hub.ok("cert", "list", "--found", "--where", w, "-o", "name").out.split()) for w in ("managed", "superseded", "not managed")}
    assert asked == {"managed": 2, "superseded": before - 1, "not managed": 0} and folded(before - 1, "--of", "superseded")
    for more in ([], ["--where", "name under example.org"]):
        facets = hub.ok("cert", "list", "--facets", *more, "-o", "json").json()["facets"]
        assert next({c["key"]: c["n"] for c in f["counts"]} for f in facets if f["name"] == "managed") == {"true": 2}, "older versions are neither"
    assert [d["n"] for d in days("--days", "1")["days"]] == [before + 1]
    hub.move_clock(0)
    for more, said in ((["--of", "finding", "--key", "nonsense"], "no check nonsense"), (["--of", "key"], "which key?"),
                       (["--of", "issuer", "--key", "CN=Nobody"], "no certificate has that issuer"), (["--of", "colour"], "not of colour")):
        done = hub.cw("cert", "days", *more)
        assert done.code == 2 and said in done.err, done


def test_check_says_what_does_not_fit(make_hub):
    hub = make_hub()
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/out.pem")
    hub.ok("cert", "add", NAMES[0], "--to", "out")
    wait.until(lambda: check(hub).code == 0, "it fits together", 10)
    hub.stop()
    db = sqlite3.connect(hub.state / "hub/certwright.db")
    db.execute("UPDATE certificate SET findings = findings | 1, key_bits = 7")
    db.execute("INSERT INTO certificate_tag VALUES ('lost', 4711)")
    db.execute("INSERT INTO certificate_note (certificate_id, owner, changed_by, changed_at) VALUES (4711, 'Nobody', 'uid:0', 1)")
    db.commit()
    db.close()
    done = check(hub)
    assert done.code != 0 and "restore the database from a backup" in done.err, done
    assert "certificate 1: key_bits is 7, and should be 256" in done.out and "certificate 1 has the finding 1 without a row" in done.out, done
    assert "1 tags of a certificate that is not there" in done.out and "1 notes of a certificate that is not there" in done.out, done
    told = check(hub, "-o", "json")
    assert told.code == done.code and told.json()["wrong"] == len(told.json()["what"]) == len(done.out.splitlines()), told


if os.environ.get("CERTWRIGHT_TEST_DB") == "postgres":
    del test_check_says_what_does_not_fit  # the file is spoilt by hand


def test_what_is_old_goes_slice_after_slice(make_hub, engine):
    """More than one slice: it does not wait ten minutes for the next.  A scan that is done goes after a year."""
    hub = make_hub()
    hub.agent_settings["scan"] = {"networks": ["127.0.64.0/18"]}
    hub.write_agent()
    hub.restart()
    for name in ("old", "new"):
        wait.until(lambda: hub.cw("scan", "127.0.64.1", "--ports", "9", "--as", name).code == 0, "the agent has told what it permits", 10)
    hub.stop()

    def sql(text):
        if engine:
            return engine.sql(text, hub.database)
        with sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=10) as db:
            return "\n".join("|".join(str(c) for c in r) for r in db.execute(text))

    number, text, blob = (("generate_series(1, 2500) n", "'t' || n", "decode(lpad(to_hex(n), 8, '0'), 'hex')") if engine else
                          ("(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2500) SELECT n FROM s)", "'t' || n", "CAST('t' || n AS BLOB)"))
    sql("INSERT INTO join_token (id, team_id, name, hash, uses, used, networks, name_pattern, granted, approval, created_at, expires_at) "
        f"SELECT {text}, (SELECT id FROM team WHERE parent_id IS NULL), {text}, {blob}, 1, 0, '[]', '', '[]', 0, 1, 2 FROM {number}")
    sql("UPDATE scan SET finished_at = 3 WHERE name = 'old'")
    sql("UPDATE timer SET due_at = 1 WHERE kind = 'retention'")
    hub.start()
    wait.until(lambda: sql("SELECT COUNT(*) FROM join_token WHERE expires_at = 2").strip() == "0", "all of them are gone", 20)
    assert [s["name"] for s in hub.ok("scan", "list", "-o", "json").json()] == ["new"]


def test_check_names_the_file_that_is_not_there(hub, tmp_path):
    done = hub.cw("check", "--config", tmp_path / "hub.yaml")
    assert done.code != 0 and str(tmp_path / "hub.yaml") in done.err, done


def test_what_is_packed_is_deployed_and_revoked_as_it_was_issued(hub, engine):
    """After the first dictionary, which the first thousand that come at once make, certificates are kept packed."""
    key = ec.generate_private_key(ec.SECP256R1())
    many = [(x509.CertificateBuilder().subject_name(pki.name(f"h{i}")).issuer_name(pki.name("Somebody")).public_key(key.public_key())
             .serial_number(i + 1).not_valid_before(pki.now()).not_valid_after(pki.now() + 90 * pki.DAY)
             .add_extension(pki.san([f"h{i}.example.net"]), critical=False).sign(key, hashes.SHA256())) for i in range(1200)]
    (hub.folder / "many.pem").write_bytes(pki.pem(*many))
    hub.ok("import", hub.folder / "many.pem")
    before = hub.show("cert", NAMES[1])["current_version"]["number"]
    hub.ok("cert", "renew", NAMES[1])
    now = hub.show("cert", NAMES[1])["current_version"]
    assert now["number"] == before + 1 and pki.fingerprint(pki.read_chain((hub.files / "mail.pem").read_text())[0]) == now["fingerprint"]
    packed = "SELECT d.dictionary FROM certificate_der d ORDER BY d.id DESC LIMIT 1"
    if engine:
        assert int(engine.sql(packed, hub.database)) > 0
    else:
        with sqlite3.connect(f"file:{hub.state}/hub/certwright.db?mode=ro", uri=True) as db:
            assert db.execute(packed).fetchone()[0] > 0
    hub.ok("cert", "revoke", NAMES[1], "--reason", "superseded")
    wait.until(lambda: hub.show("cert", NAMES[1])["current_version"]["number"] == before + 2, "it is replaced", 20)
