"""Lists that are brought in: every kind of file, CSV with owners and tags, what is wrong in one row does not stop the others, and the
same again changes nothing."""
import base64
import csv
import json
import os
import pty
import select
import signal
import socket
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from lib import pki
from lib.hub import PROGRAM

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM


@pytest.fixture(scope="module")
def hub(shared_hub):
    return shared_hub


def shown(hub, cert):
    return hub.ok("cert", "show", fingerprint(cert), "-o", "json").json()


def listed(hub, name):
    return [e for e in hub.unix("GET", "/api/v1/endpoints?limit=1000").json()["items"] if (e["kind"], e["place"]) == ("list", name)]


def fingerprint(cert):
    return cert.fingerprint(x509.base.hashes.SHA256()).hex()


def made(*names):
    return pki.self_signed(list(names))


def folder_of(path):
    """One certificate in each kind of file, and files in which there is none."""
    certs = {}

    def one(kind):
        certs[kind], key = made(f"{kind}.import.example")
        return certs[kind], key
    deep = path / "web" / "deep"
    deep.mkdir(parents=True)
    c, key = one("pem")
    second, _ = one("second")
    (path / "web/bundle.pem").write_bytes(b"words\n" + pki.key_pem(key) + pki.pem(c, second))
    c, key = one("trusted")
    (path / "one.pem").write_bytes(pki.pem(c))
    subprocess.run(["openssl", "x509", "-in", path / "one.pem", "-trustout", "-addtrust", "serverAuth", "-out", path / "trusted.pem"], check=True)
    (path / "one.pem").write_bytes(pki.key_pem(key))  # a key alone
    (deep / "x.der").write_bytes(one("der")[0].public_bytes(DER))
    (deep / "x.p7b").write_bytes(pkcs7.serialize_certificates([one("pkcs7")[0]], DER))
    (deep / "y.p7b").write_bytes(pkcs7.serialize_certificates([one("pkcs7pem")[0]], PEM))
    (path / "one.crt").write_bytes(one("jks")[0].public_bytes(DER))
    subprocess.run(["keytool", "-importcert", "-noprompt", "-storetype", "JKS", "-storepass", "another one", "-alias", "a", "-keystore",
                    path / "trust.jks", "-file", path / "one.crt"], check=True, stderr=subprocess.DEVNULL)
    (path / "one.crt").unlink()
    c, key = one("pkcs12")
    (path / "key.p12").write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, c, None, serialization.BestAvailableEncryption(b"open sesame")))
    (path / "notes.txt").write_text("nothing here\n")
    os.symlink(path, deep / "round")
    return certs


def test_a_folder_of_every_kind_of_file_is_in_the_inventory_once(hub, tmp_path):
    certs = folder_of(tmp_path)
    secret = tmp_path.parent / "passphrase"
    secret.write_text("open sesame\n")
    dry = hub.ok("import", tmp_path, "--password-file", secret, "--list", "old-server", "--dry-run")
    assert dry.out.count("+ ") == len(certs) and "CN=pkcs12.import.example" in dry.out and "Nothing was changed." in dry.out, dry
    assert hub.cw("cert", "show", fingerprint(certs["pem"])).code == 4
    done = hub.ok("import", tmp_path, "--password-file", secret, "--list", "old-server", "--owner", "web team", "--tags", "found,legacy")
    assert f"{len(certs)} rows: {len(certs)} new, 0 changed, 0 known already, 0 wrong." in done.out and "2 files hold no certificate." in done.out, done
    for kind, cert in certs.items():
        c = shown(hub, cert)
        assert c["names"] == [f"{kind}.import.example"] and c["source"] == "import" and c["owner"] == "web team" and c["tags"] == ["found", "legacy"], c
        assert [(e["place"], e["now"]) for e in c["seen"]] == [("old-server", True)], c
    again = hub.ok("import", tmp_path, "--password-file", secret, "--list", "old-server")
    assert f"0 new, 0 changed, {len(certs)} known already, 0 wrong." in again.out, again
    assert len(listed(hub, "old-server")) == 1


def test_pkcs7_of_many_certificates_is_taken_up_to_a_thousand(hub, tmp_path):
    many = [made(f"{i}.p7.import.example")[0] for i in range(25)]
    (tmp_path / "many.p7b").write_bytes(pkcs7.serialize_certificates(many, DER))
    assert "25 rows: 25 new" in hub.ok("import", tmp_path / "many.p7b").out
    (tmp_path / "more.p7b").write_bytes(pkcs7.serialize_certificates([many[0]] * 1001, DER))
    refused = hub.cw("import", tmp_path / "more.p7b")
    assert refused.code == 2 and "1001 certificates; it must have 1 to 1000" in refused.out + refused.err, refused


def test_a_passphrase_is_asked_for_and_a_wrong_one_is_said(hub, tmp_path):
    cert, key = made("asked.import.example")
    path = tmp_path / "asked.p12"
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, cert, None, serialization.BestAvailableEncryption(b"sesame")))
    done = hub.cw("import", path)  # the tests have no terminal
    assert done.code == 2 and "--password-file" in done.err and "1 of 1 rows could not be taken" in done.err, done
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PROGRAM, [PROGRAM, "import", str(path)], {"CERTWRIGHT_SOCKET": str(hub.admin)})
    said, answers = b"", [b"wrong\n", b"sesame\n"]
    while select.select([terminal], [], [], 20)[0]:
        try:
            said += os.read(terminal, 1000)
        except OSError:  # it has ended
            break
        if answers and said.count(b"Passphrase of ") == 3 - len(answers):
            os.write(terminal, answers.pop(0))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and b"1 new" in said and b"sesame" not in said, said
    assert shown(hub, cert)["names"] == ["asked.import.example"]


def test_csv_says_whose_certificates_are_and_bad_rows_do_not_stop_the_others(hub, tmp_path):
    a, b = made("a.csv.example")[0], made("b.csv.example")[0]
    path = tmp_path / "assets.csv"
    with open(path, "w", newline="") as f:
        w = csv.writer(f, delimiter=";")
        w.writerow(["Server", "Crt", "Responsible", "tags", "Notes"])
        w.writerow(["www.csv.example:443", pki.pem(a).decode(), "Ann \"A\" Lee", "shop, prod", "two\nlines; one"])
        w.writerow(["mail.csv.example", base64.b64encode(b.public_bytes(DER)[:-30]).decode(), "", "", ""])  # cut off
        w.writerow(["", "", "nobody", "", ""])
        w.writerow(["x", "%%%", "", "", ""])
        w.writerow(["y", pki.pem(b).decode(), "", "b@d", ""])
        w.writerow(["switch7.csv.example", "", "net team", "switch", ""])
    columns = ["--map", "certificate=crt,place=Server", "--map", "owner=Responsible"]
    done = hub.cw("import", path, *columns, "-o", "json")
    assert done.code == 2, done
    assert done.out, done
    out = done.json()
    assert (out["rows"], out["fresh"], out["wrong"]) == (6, 2, 4), out
    errors = [r["text"] for r in sorted(out["remarks"], key=lambda r: int(r["row"].rsplit(":", 1)[1]))]
    assert "no certificate" in errors[0] and "neither a certificate nor" in errors[1] and "neither PEM" in errors[2] and "b@d" in errors[3], errors
    c = shown(hub, a)
    assert (c["owner"], c["tags"], c["note"]) == ("Ann \"A\" Lee", ["prod", "shop"], "two\nlines; one"), c
    places = {e["name"]: e for e in listed(hub, "assets.csv")}
    assert places["www.csv.example:443"]["fingerprint"] == fingerprint(a) and "switch7.csv.example" in places, places

    path.write_text(f"fingerprint,owner,tags\n{fingerprint(a)},Bob,\n{fingerprint(a)},,new\n{'0' * 64},x,\n")
    dry = hub.cw("import", path, "--list", "fix", "--dry-run")
    assert "owner Ann \"A\" Lee → Bob" in dry.out and "tag new" in dry.out and "is not in the inventory" in dry.err, dry
    assert shown(hub, a)["owner"] == "Ann \"A\" Lee"
    hub.cw("import", path, "--list", "fix")
    c = shown(hub, a)
    assert (c["owner"], c["tags"]) == ("Bob", ["new", "prod", "shop"]), c
    done = hub.cw("import", path, "--list", "fix")
    assert "0 new, 0 changed, 2 known already, 1 wrong." in done.out, done
    path.write_text("a,b\n1,2\n")
    for more, why in (((), "say which column"), (("--map", "owner=z"), "has no column z"), (("--map", "color=a"), "a field is one of")):
        done = hub.cw("import", path, *more)
        assert done.code == 2 and why in done.err, done


def test_a_port_is_a_number_and_goes_with_its_place(hub, tmp_path):
    path = tmp_path / "ports.csv"
    path.write_text("place,port,owner\n2001:db8::7,8443,a\nports.csv.example,993,b\nx.csv.example,99999,c\ny.csv.example,x,d\n")
    done = hub.cw("import", "--as", "csv", path)
    assert done.code == 2 and done.err.count("the port is no number from 1 to 65535") == 2, done
    assert {"[2001:db8::7]:8443", "ports.csv.example:993"} == {e["name"] for e in listed(hub, "ports.csv")}


def test_many_rows_go_in_pieces(hub, tmp_path):
    certs = [made(f"m{i}.many.example")[0] for i in range(30)]
    path = tmp_path / "many.csv"
    with open(path, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["pem", "host"])
        for k in range(60):
            for i, c in enumerate(certs):
                w.writerow([pki.pem(c).decode(), f"h{k}-{i}.many.example"])
    done = hub.ok("import", path)
    assert "1800 rows: 30 new, 0 changed, 1770 known already, 0 wrong." in done.out, done
    assert hub.cw("check", "--config", hub.etc / "hub.yaml", "--all").code == 0


def test_the_api_takes_rows_and_tells_each_that_is_wrong(hub):
    cert, other = made("api.import.example")[0], made("other.import.example")[0]
    der = base64.b64encode(cert.public_bytes(DER)).decode()

    def put(rows, **more):
        return hub.unix("POST", "/api/v1/imports", {"list": "api", "rows": rows, **more})
    done = put([{"row": "1", "der": der}, {"row": "2", "der": der, "owner": "ops"}, {"row": "3"}, {"row": "4", "der": "MAA="},
                {"row": "5", "der": der, "fingerprint": fingerprint(other)}, {"row": "6", "fingerprint": "abcd"},
                {"row": "7", "der": der[:200]}]).json()
    assert (done["fresh"], done["changed"], done["known"], done["wrong"]) == (1, 1, 0, 5), done
    texts = {r["row"]: r["text"] for r in done["remarks"]}
    assert "neither a certificate nor a place" in texts["3"] and "no certificate" in texts["4"] and "another certificate's" in texts["5"], texts
    assert "64 digits" in texts["6"] and "no certificate" in texts["7"], texts
    assert put([{"row": str(i), "place": f"h{i}"} for i in range(1001)]).status_code == 400
    assert put([{"row": "1", "place": "x"}], team="nobody").status_code == 400
    assert put([{"row": "1", "der": "%%"}]).status_code == 400
    assert put([{"row": "1", "place": "x"}], list="").status_code == 400
    told = [json.loads(e["detail"]) for e in hub.audit() if e["action"] == "import.create"]
    assert [d for d in told if d["list"] == "api"] == [{"list": "api", "fresh": 1, "changed": 1}], told


def test_ctrl_c_says_how_far_it_came(tmp_path):
    """The hub takes its time: nobody answers here."""
    path = tmp_path / "one.pem"
    path.write_bytes(pki.pem(made("left.import.example")[0]))
    with socket.socket(socket.AF_UNIX) as hub:
        hub.bind(str(tmp_path / "s"))
        hub.listen()
        hub.settimeout(10)
        child = subprocess.Popen([PROGRAM, "import", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env={"CERTWRIGHT_SOCKET": str(tmp_path / "s")})
        try:
            asked, _ = hub.accept()
            asked.settimeout(10)
            assert b"/api/v1/imports" in asked.recv(4096)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=10)
        finally:
            child.kill()
    assert child.returncode == 130 and "0 rows, 0 new, were taken; the same again goes on." in err, err
