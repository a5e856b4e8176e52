"""Asking the inventory, as people do: filters, collections, facets, exports, and what they say of certificates."""
import contextlib
import csv
import io
import json
import re
import sqlite3
import urllib.parse

import pytest
from cryptography.hazmat.primitives import hashes

from lib import pki, wait

NAMES = ["www.shop.example.org", "*.example.net", "mail.example.org"]


@pytest.fixture(scope="module")
def hub(shared_hub):
    for name in NAMES:
        shared_hub.ok("target", "add", f"t{NAMES.index(name)}", "--connector", "files", "--set",
                      f"fullchain={shared_hub.files}/{NAMES.index(name)}.pem")
        shared_hub.ok("cert", "add", name, "--to", f"t{NAMES.index(name)}", "--name", f"c{NAMES.index(name)}")
    return shared_hub


def found(hub, where, *more):
    got = hub.ok("cert", "list", "--found", "--where", where, "-o", "json", *more).json()
    return sorted(name for c in got for name in c["names"])


def fingerprint(hub, name):
    return hub.ok("cert", "list", "--where", f'name = "{name}"', "-o", "name").out.strip()


def test_certificates_are_found_by_name_word_date_and_kind(hub):
    assert set(NAMES) <= set(found(hub, ""))
    assert found(hub, "name under example.org") == ["mail.example.org", "www.shop.example.org"]
    assert found(hub, "name under shop.example.org or name = *.example.net") == ["*.example.net", "www.shop.example.org"]
    assert found(hub, "name ~ mail") == ["mail.example.org"]
    assert found(hub, "managed and wildcard and key = ec-p256 and expires > now") == ["*.example.net"]
    assert found(hub, "not managed and name under example.org") == []
    assert found(hub, "source = issued and not name under example.org and not name under example.net and name ~ www") == []
    assert found(hub, "name under example.org", "--sort", "-expires", "--limit", "1") in (["mail.example.org"], ["www.shop.example.org"])


def test_what_is_wrong_with_a_filter_is_pointed_at(hub):
    done = hub.cw("cert", "list", "--where", "expires < 30d and isuer.o = x")
    assert done.code == 2 and "column 19" in done.err and "did you mean issuer.o?" in done.err, done
    lines = done.err.splitlines()
    assert lines[0].strip() == "expires < 30d and isuer.o = x" and lines[1].index("^") == lines[0].index("isuer")
    answer = hub.https("GET", "/api/v1/certificates?where=name")
    assert answer.status_code == 400 and answer.json()["field"] == "/where"
    assert hub.https("GET", "/api/v1/certificates?cursor=eDEuMg").json()["field"] == "/cursor"
    assert "issuer.o" in hub.ok("cert", "list", "--fields").out


def test_pages_follow_each_other(hub):
    seen, url = [], "/api/v1/certificates?limit=1&sort=expires"
    while url:
        page = hub.https("GET", url).json()
        seen += [c["fingerprint"] for c in page["items"]]
        url = f"/api/v1/certificates?limit=1&sort=expires&cursor={page['next']}" if "next" in page else None
    assert len(seen) == len(set(seen)) and sorted(seen) == sorted(hub.ok("cert", "list", "--found", "-o", "name").out.split())


def test_every_view_is_exported_as_csv_lines_and_pem(hub):
    rows = list(csv.DictReader(io.StringIO(hub.ok("cert", "list", "--where", "name under example.org", "-o", "csv").out)))
    assert sorted(r["names"] for r in rows) == ["mail.example.org", "www.shop.example.org"]
    assert all(re.fullmatch(r"[0-9a-f]{64}", r["fingerprint"]) and r["managed"] == "yes" for r in rows)
    lines = [json.loads(line) for line in hub.ok("cert", "list", "--found", "-o", "jsonl").out.splitlines()]
    assert set(NAMES) <= {name for c in lines for name in c["names"]}
    pem = hub.ok("cert", "list", "--where", "name = mail.example.org", "-o", "pem").out
    assert pki.fingerprint(pki.read_chain(pem.encode())[0]) == fingerprint(hub, "mail.example.org")
    assert hub.ok("cert", "list", "--where", "name = nobody.example", "-o", "csv").out.splitlines()[0].startswith("fingerprint,")
    assert hub.ok("cert", "list", "--where", "name = nobody.example", "-o", "json").json() == []


def test_a_cell_that_a_spreadsheet_would_compute_is_a_text(hub):
    for text in ("=1+1", "+1", "@SUM(A1)", "-x"):
        hub.ok("collection", "add", "calc", "ca", "--description", text)
        rows = list(csv.DictReader(io.StringIO(hub.ok("collection", "list", "-o", "csv").out)))
        assert [r["description"] for r in rows if r["name"] == "calc"] == ["'" + text]
        hub.ok("collection", "remove", "calc")


def test_one_is_shown_by_the_first_digits_of_its_fingerprint(hub):
    whole = fingerprint(hub, "mail.example.org")
    one = hub.ok("cert", "show", whole[:12], "-o", "json").json()
    assert one["fingerprint"] == whole and one["names"] == ["mail.example.org"] and one["managed"] and "c2 version 1" in one["managed_by"]
    assert pki.read_chain(one["pem"].encode())[0].fingerprint(hashes.SHA1()).hex() == one["sha1"]
    colons = ":".join(whole[i:i + 2] for i in range(0, 64, 2)).upper()
    assert hub.ok("cert", "show", colons, "-o", "pem").out == one["pem"]
    assert hub.cw("cert", "show", "00000000").code == 4 or "no certificate" in hub.cw("cert", "show", "00000000").err


def test_tags_owner_and_note_are_kept_and_asked_for(hub):
    whole = fingerprint(hub, "www.shop.example.org")
    hub.ok("cert", "assign", whole[:10], "--tag", "red,pci", "--owner", "Shop Team", "--note", "ask before the sale")
    assert found(hub, 'tag = red and owner = "Shop Team"') == ["www.shop.example.org"]
    one = hub.ok("cert", "show", whole, "-o", "json").json()
    assert one["tags"] == ["pci", "red"] and one["note"] == "ask before the sale"
    hub.ok("cert", "assign", whole, "--untag", "red", "--owner", "")
    assert found(hub, "tag = red") == [] and found(hub, "tag = pci") == ["www.shop.example.org"]
    assert hub.cw("cert", "assign", whole, "--tag", "not a tag").code == 2
    assert any(e["action"] == "certificate.update" for e in hub.audit())


def test_a_collection_is_a_filter_with_a_name(hub):
    hub.ok("collection", "add", "shops", "name under shop.example.org or name under example.net")
    assert hub.cw("collection", "add", "shops", "ca").code != 0
    done = hub.cw("collection", "add", "broken", "name undr example.org")
    assert done.code == 2 and done.err.splitlines()[1].index("^") == done.err.splitlines()[0].index("undr"), done
    assert found(hub, "", "--collection", "shops") == ["*.example.net", "www.shop.example.org"]
    assert found(hub, "wildcard", "--collection", "shops") == ["*.example.net"]
    assert hub.cw("cert", "list", "--where", "ca) or (ca", "--collection", "shops").code == 2
    hub.ok("collection", "edit", "shops", "--where", "name under example.net", "--name", "nets")
    assert found(hub, "", "--collection", "nets") == ["*.example.net"]
    assert [c["name"] for c in hub.ok("collection", "list", "-o", "json").json()] == ["nets"]
    hub.ok("collection", "remove", "nets")
    assert hub.cw("cert", "list", "--collection", "nets").code != 0


def test_facets_count_what_passes(hub):
    facets = hub.ok("cert", "list", "--facets", "--where", "name under example.org", "-o", "json").json()
    assert facets["total"] == 2 and not facets["more"]
    assert hub.ok("cert", "list", "--facets", "--where", "name under example.org").out.startswith("2 certificates\n")
    counts = {f["name"]: {c["key"]: c["n"] for c in f["counts"]} for f in facets["facets"]}
    assert counts["managed"] == {"true": 2} and counts["key"] == {"ec-p256": 2} and sum(counts["issuer"].values()) == 2
    wait.until(lambda: "ec-p256" in hub.ok("cert", "list", "--facets").out, "counters are folded", every=0.2)


def test_findings_are_listed_and_accepted(hub):
    wild = fingerprint(hub, "*.example.net")
    checks = {f["check"] for f in hub.ok("cert", "show", wild, "-o", "json").json()["findings"]}
    assert "wildcard" in checks
    assert wild in hub.ok("finding", "list", "wildcard", "-o", "name").out.split()
    said = hub.ok("finding", "accept", "wildcard", wild[:16], "-o", "json").json()
    assert [(f["check"], f["fingerprint"], f["accepted"]) for f in said] == [("wildcard", wild, True)], said
    assert wild not in hub.ok("finding", "list", "wildcard", "-o", "name").out.split()
    rows = hub.ok("finding", "list", "wildcard", "--accepted", "-o", "json").json()
    assert [(r["fingerprint"], r["accepted"]) for r in rows if r["fingerprint"] == wild] == [(wild, True)]
    assert "is told of again" in hub.ok("finding", "accept", "wildcard", wild, "--undo").out
    assert wild in hub.ok("finding", "list", "wildcard", "-o", "name").out.split()
    assert hub.cw("finding", "accept", "nonsense", wild).code == 2
    assert hub.cw("finding", "accept", "expired", wild).code != 0
    assert hub.ok("endpoint", "list", "-o", "json").json() == [] and hub.cw("endpoint", "show", "4711").code != 0
    assert hub.cw("endpoint", "list", "--at", "10.0.0.1/8").code == 2


def test_other_teams_certificates_are_not_even_counted(hub, engine):
    def sql(text):
        if engine:
            return engine.sql(text, hub.database)
        with contextlib.closing(sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=10)) as db, db:
            return str(db.execute(text).fetchone() or "")

    for row in ("INSERT INTO team (id, parent_id, name, created_at, number) SELECT 'strangers', id, 'strangers', 1, number + 1 FROM team",
                "INSERT INTO team_within (team_id, ancestor_id) SELECT 'strangers', parent_id FROM team WHERE id = 'strangers'",
                "INSERT INTO team_within (team_id, ancestor_id) VALUES ('strangers', 'strangers')"):
        sql(row)
    theirs = hub.unix("POST", "/api/v1/tokens", {"name": "theirs", "team": "strangers"}).json()["token"]
    for where in ("", "?where=name+%3D+mail.example.org", "?where=finding+%3D+wildcard", "?where=expires+%3E+now"):
        page = hub.https("GET", f"/api/v1/certificates{where}", token=theirs).json()
        assert page == {"items": []}, where
        page = hub.https("GET", f"/api/v1/certificates{where}").json()
        assert page["items"] and page["looked_at"] > 0, where
    assert hub.https("GET", "/api/v1/endpoints", token=theirs).json() == {"items": []}
    assert hub.https("GET", "/api/v1/findings", token=theirs).json() == {"items": []}
    assert hub.https("GET", f"/api/v1/certificates/{fingerprint(hub, 'mail.example.org')}", token=theirs).status_code == 404


def test_no_filter_that_can_be_read_is_too_much(hub):
    for where in ('name = "a+b@example.org"', "name = a/b@c.example",
                  " or ".join(f"not endpoint under a{i}.b or subject ~ zz{i}" for i in range(32)),
                  " and ".join(f"(subject ~ q{i} or endpoint under x{i})" for i in range(28))):
        answer = hub.https("GET", f"/api/v1/certificates?where={urllib.parse.quote(where)}")
        assert answer.status_code == 200, (where, answer.text)
    long = " or ".join(["name = mail.example.org", *(f"name = host{i}.a-domain-with-quite-a-long-name-{i}.example.org" for i in range(60))])
    assert 3600 < len(long) < 4096
    assert found(hub, long) == ["mail.example.org"]  # from the command line, too
