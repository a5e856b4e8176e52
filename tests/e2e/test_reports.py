"""Reports: numbers that are kept, in every form."""
import csv
import datetime
import io
import json

import pytest

from lib import pki, wait

FORMS = ("text", "csv", "json", "html")


def rows(hub, name, table=0, **kw):
    argv = [w for k, v in kw.items() for w in (f"--{k}", v)]
    return json.loads(hub.ok("report", "show", name, "-o", "json", *argv).out)["tables"][table]["rows"]


@pytest.fixture(scope="module")
def world(hub_maker):
    hub = hub_maker()
    hub.ok("team", "add", "sales")
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem")
    hub.ok("cert", "add", "shop.example.org", "--to", "out")
    root = pki.Root()
    for n, days in ((1, 30), (2, 98), (3, 198), (4, 380), (5, 900)):
        (hub.folder / f"{n}.pem").write_bytes(pki.pem(root.issue([f"{n}.example.net"], days=days)[0]))
    hub.ok("import", *[hub.folder / f"{n}.pem" for n in range(1, 6)], "--team", "sales")
    wait.until(lambda: rows(hub, "inventory", team="sales")[0]["certificates"] == 5 and rows(hub, "inventory")[1]["certificates"] == 1,
               "the counters hold all of it", 20, every=0.2)
    return hub


def test_each_report_says_what_there_is(world):
    total, managed, older, unmanaged = rows(world, "inventory")
    assert older["certificates"] == 0 and managed["certificates"] == 1 and total["certificates"] == 1 + unmanaged["certificates"] and total["percent"] == 100.0
    steps = {r["days"]: r["certificates"] for r in rows(world, "lifetimes", team="sales")}
    assert steps == {"47": 1, "100": 1, "200": 1, "398": 1, "longer": 1}
    months = rows(world, "expiry", 1, team="sales")
    assert sum(r["certificates"] for r in months) == 5 and months[0]["month"] == datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m")
    today = rows(world, "trends")[-1]
    assert today["certificates"] == total["certificates"] and today["issued"] == 1 and today["deployed"] == 1 and today["managed"] == 1
    assert [r["certificates"] for r in rows(world, "owners") if r["team"] == "sales"] == [5]
    assert rows(world, "automation")[0]["managed"] == 1 and [r["percent"] for r in rows(world, "automation") if r["team"] == "sales"] == [0.0]
    assert [r["last_30_days"] for r in rows(world, "failures") if r["result"] == "issued"] == [1]
    assert {"ec-p256"} <= {r["key"] for r in rows(world, "crypto")}
    assert "not_managed" in {r["finding"] for r in rows(world, "automation", 1)}


def test_every_form_of_every_report_can_be_read(world):
    for name in json.loads(world.ok("report", "list", "-o", "json").out):
        for form in FORMS:
            out = world.folder / f"{name['name']}.{form}"
            world.ok("report", "show", name["name"], "--format", form, "--out", out)
            text = out.read_text()
            assert text and (form != "html" or text.rstrip().endswith("</html>") and "<script" not in text), (name, form)
            assert form != "csv" or all(len(r) < 9 for r in csv.reader(io.StringIO(text)))
    assert "no report nothing; there are inventory" in world.cw("report", "show", "nothing").err
    assert world.cw("report", "show", "inventory", "--format", "pdf").code == 2
    assert world.cw("report", "show", "inventory", "--team", "nobody").code in (2, 4)


def test_somebody_of_a_team_sees_its_numbers_alone(world):
    token = world.folder / "token"
    world.ok("token", "add", "seller", "--role", "viewer", "--team", "sales", "--out", token)
    over = ("--url", world.base, "--token-file", token, "--ca-file", world.fleet_roots)
    shown = json.loads(world.ok("report", "show", "inventory", "-o", "json", *over).out)
    assert shown["team"] == "sales" and shown["tables"][0]["rows"][0]["certificates"] == 5
    assert [r["team"] for r in json.loads(world.ok("report", "show", "owners", "-o", "json", *over).out)["tables"][0]["rows"]] == ["sales"]
    assert world.cw("report", "show", "owners", "--team", "everyone", *over).code in (2, 3, 4)
