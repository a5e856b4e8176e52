"""The inventory: what is issued is in it, is counted, and proves itself."""
import os
import sqlite3

import pytest

from lib import wait

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


def test_check_says_what_does_not_fit(make_hub):
    hub = make_hub()
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/out.pem")
    hub.ok("cert", "add", NAMES[0], "--to", "out")
    wait.until(lambda: check(hub).code == 0, "it fits together", 10)
    hub.stop()
    db = sqlite3.connect(hub.state / "hub/certwright.db")
    db.execute("UPDATE certificate SET findings = findings | 1, key_bits = 7")
    db.commit()
    db.close()
    done = check(hub)
    assert done.code != 0 and "restore the database from a backup" in done.err, done
    assert "certificate 1: key_bits is 7, and should be 256" in done.out and "certificate 1 has the finding 1 without a row" in done.out, done


if os.environ.get("CERTWRIGHT_TEST_DB") == "postgres":
    del test_check_says_what_does_not_fit  # the file is spoilt by hand


def test_check_names_the_file_that_is_not_there(hub, tmp_path):
    done = hub.cw("check", "--config", tmp_path / "hub.yaml")
    assert done.code != 0 and str(tmp_path / "hub.yaml") in done.err, done
