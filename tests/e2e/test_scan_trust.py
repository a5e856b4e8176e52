"""What an agent is believed: what it saw where it was told to look, and no more of it than there can be.  And what one team's scans and
lists say does not touch another's."""
import base64
import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from lib import hub as hubs, pki, wait

LIST = {"networks": ["127.0.64.0/18", "0.0.0.0/0"], "rate": 500}


@pytest.fixture(scope="module")
def hub(hub_maker, engine):
    hub = hub_maker()
    hub.engine = engine
    hub.agent_settings["scan"] = LIST
    hub.agent_settings["inventory"] = {"usual": False, "folders": []}
    hub.write_agent()
    hub.restart()
    root = sql(hub, "SELECT id FROM team")[0][0]
    hub.teams = {"root": root}
    for i, name in enumerate("ab"):
        hub.teams[name] = ident = root[:-1] + (str(i) if root[-1] not in "01" else "XY"[i])
        sql(hub, f"INSERT INTO team (id, parent_id, name, created_at, number) SELECT '{ident}', '{root}', '{name}', 1, MAX(number) + 1 FROM team")
        sql(hub, f"INSERT INTO team_within (team_id, ancestor_id) VALUES ('{ident}', '{ident}'), ('{ident}', '{root}')")
    return hub


def sql(hub, text):
    """Teams are not made by the API yet."""
    if hub.engine:
        return [line.split("|") for line in hub.engine.sql(text, hub.database).splitlines()]
    with contextlib.closing(sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=10)) as db, db:
        return db.execute(text).fetchall()


class Liar:
    """Speaks for the hub's own agent, with its credentials, while that one is halted."""

    def __init__(self, hub):
        self.hub, self.pid = hub, hub.pids()["agent"]
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.pid}/status"))
        self.uid, self.gid = int(status["Uid"].split()[0]), int(status["Gid"].split()[0])
        self.me = {"name": "host1", "version": "1", "platform": "x", "boot_id": "liar" + os.urandom(4).hex(), "sandbox": "x",
                   "capabilities": ["scan", "inventory"]}

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)

    def exchange(self, **more):
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            done = hubs.over_socket(self.hub.agent_socket, "POST", "/agent/v1/exchange",
                                    {"agent": self.me, "capacity": 4, "wait_s": 0, "recover": True, **more})
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        assert done.status_code == 200, done.text
        return done.json()

    def job(self, kind):
        self.held = wait.until(lambda: next((j for j in self.exchange()["jobs"] if j["kind"] == kind), None), f"a job {kind}", 10)
        return self.held

    def tell(self, **body):
        ref = {"id": self.held["id"], "fence": self.held["fence"]}
        return self.exchange(holding=[ref], progress=[{**ref, **body}])

    def batch(self, observations, certs=(), position=0, total=32, **more):
        return self.tell(scan={"scan": self.held["scan"]["scan"], "batch": os.urandom(8).hex(), "position": position, "total": total,
                               "certificates": [der(c) for c in certs], "observations": observations, **more})


def der(cert):
    return {"der": base64.b64encode(cert.public_bytes(Encoding.DER)).decode()}


def fingerprint(cert):
    return hashlib.sha256(cert.public_bytes(Encoding.DER)).hexdigest()


def saw(address, cert=None, port=9, **more):
    chain = {"state": "tls", "verified": True, "chains": [{"fingerprints": [fingerprint(cert)]}]} if cert else {"state": "closed"}
    return {"address": address, "port": port, "seen_at": int(time.time()), **chain, **more}


def endpoints(hub, kind="tls", team=None):
    more = f" AND t.id = '{hub.teams[team]}'" if team else ""
    return {(r[0], r[1]) for r in sql(hub, f"SELECT e.place, e.name FROM endpoint e JOIN team t ON t.number = e.team WHERE e.kind = '{kind}'{more}")}


def known(hub, cert):
    return hub.unix("GET", f"/api/v1/certificates/{fingerprint(cert)}").status_code == 200


def test_an_agent_tells_only_of_places_and_names_that_it_was_asked_for(hub):
    (true, _), (lie, _), (stray, _) = (pki.self_signed([f"{n}.example.org"]) for n in ("true", "lie", "stray"))
    with Liar(hub) as liar:
        hub.ok("scan", "127.0.64.0/28", "shop.example.org", "WWW.example.org@127.0.65.1", "--ports", "9", "--exclude", "127.0.64.7", "--as", "asked",
               "--no-wait", "--team", "b")
        liar.job("scan")
        liar.batch([saw("8.8.8.8", lie), saw("10.1.2.3", lie, port=22), saw("127.0.64.1", lie, port=22), saw("127.0.64.7", lie),
                    saw("127.0.64.16", lie), saw("127.0.64.2", lie, name="other.example.org"), saw("127.0.65.1", lie),
                    saw("169.254.169.254", lie, name="shop.example.org"), saw("::ffff:127.0.64.1", lie),
                    saw("127.0.64.3", true), saw("127.0.65.1", name="www.Example.org"), saw("9.9.9.9", name="shop.example.org."),
                    saw("", state="unresolved", name="shop.example.org", detail="gone"), saw("", state="unresolved", name="bad.example", detail="x")],
                   [true, lie, stray], total=18)
    assert endpoints(hub) == {("127.0.64.3:9", ""), ("127.0.65.1:9", "www.example.org"), ("9.9.9.9:9", "shop.example.org")}
    assert known(hub, true) and not known(hub, lie) and not known(hub, stray)
    assert not hub.ok("cert", "show", fingerprint(true), "-o", "json").json().get("verified"), "nobody asked for it to be verified"
    shown = hub.show("scan", "asked")
    assert sorted(shown["parts"][0]["remarks"]) == ["shop.example.org: no address: gone",
                                                    "what the agent told of places that it was not asked for was left out"], shown
    hub.ok("scan", "stop", "asked")


@pytest.mark.parametrize("what", ["more than there is", "beyond the end", "another total", "still"])
def test_a_part_ends_whose_agent_does_not(hub, what):
    name = what.replace(" ", "-")
    with Liar(hub) as liar:
        hub.ok("scan", "127.0.66.0/28", "--ports", "9,10", "--as", name, "--no-wait")
        liar.job("scan")
        liar.batch([saw("127.0.66.1")])
        before = sql(hub, "SELECT COUNT(*) FROM endpoint")
        if what == "more than there is":
            for _ in range(5):
                liar.batch([saw(f"127.0.66.{k % 16}") for k in range(2000)])
            why = "tells of more than 8320 endpoints: its part of the scan holds 32"
        elif what == "beyond the end":
            liar.batch([], position=33)
            why = "is at 33 of 32 endpoints"
        elif what == "another total":
            liar.batch([], total=1 << 40)
            why = "counts 1099511627776 endpoints in its part of the scan, and there are not so many"
        else:
            sql(hub, "UPDATE scan_part SET still = 3599 WHERE state = 'running'")
            liar.batch([], position=1)
            liar.batch([], position=2)
            assert hub.show("scan", name)["state"] == "running"
            sql(hub, "UPDATE scan_part SET still = 3600 WHERE state = 'running'")
            liar.batch([], position=2)
            why = "does not come on: 3600 batches in a row end at 2 of 32"
    s = hub.show("scan", name)
    assert s["state"] == "failed" and why in json.dumps(s), s
    assert int(sql(hub, "SELECT COUNT(*) FROM endpoint")[0][0]) <= int(before[0][0]) + 15


def test_an_agents_inventory_is_of_its_own_host_and_has_an_end(hub):
    (mine, _), (stray, _) = pki.self_signed(["mine.example.org"]), pki.self_signed(["stray.example.org"])
    with Liar(hub) as liar:
        liar.exchange()
        assert hub.unix("POST", "/api/v1/agents/host1/inventory").status_code in (200, 202)
        liar.job("inventory")
        file = {"kind": "file", "state": "ok"}
        liar.tell(inventory={"files": [{**file, "path": "x:/etc/a.pem", "fingerprints": [fingerprint(stray)]},
                                       {**file, "path": "/etc/a.pem", "fingerprints": [fingerprint(mine)]}],
                             "certificates": [der(mine), der(stray)]})
        assert endpoints(hub, "file") == {("host1:/etc/a.pem", "")}
        assert known(hub, mine) and not known(hub, stray)
        job = liar.held["id"]
        assert json.loads(sql(hub, f"SELECT payload FROM job WHERE id = '{job}'")[0][0]) == {"told": 2}
        sql(hub, f"UPDATE job SET payload = '{{\"told\":249999}}' WHERE id = '{job}'")
        liar.tell(inventory={"files": [{**file, "path": f"/etc/{i}.pem"} for i in range(2)], "certificates": []})
    done = next(j for j in hub.jobs() if j["id"] == job)
    assert done["state"] == "failed" and endpoints(hub, "file") == {("host1:/etc/a.pem", "")}, done


def test_a_list_of_one_team_leaves_anothers_as_it_is(hub, tmp_path):
    path = tmp_path / "places.csv"
    for team, owner in (("a", "ann"), ("b", "bob")):
        path.write_text(f"place,owner\nwww.example.org:443,{owner}\n")
        done = hub.ok("import", path, "--list", "inventory", "--team", team)
        assert "1 new" in done.out, done
    said = sql(hub, "SELECT t.name, e.options FROM endpoint e JOIN team t ON t.number = e.team WHERE e.place = 'inventory' AND e.name <> '' ORDER BY 1")
    assert [(r[0], json.loads(r[1])["owner"]) for r in said] == [("a", "ann"), ("b", "bob")], said


def test_the_schedule_takes_agents_of_the_scans_teams_only(hub):
    for name in ("named", "root-named"):
        hub.ok("scan", "127.0.68.0/30", "--ports", "9", "--agent", "host1", "--every", "1h", "--as", name)
    sql(hub, f"UPDATE scan SET team_id = '{hub.teams['a']}', scope = '{hub.teams['a']}' WHERE name = 'named'")
    sql(hub, "UPDATE timer SET due_at = 1 WHERE kind = 'scan'")
    hub.move_clock(1)
    wait.until(lambda: hub.show("scan", "root-named")["run"] == 2, "the root's begins again", 10)
    s = wait.until(lambda: (s := hub.show("scan", "named"))["state"] != "done" and s, "the team's cannot", 10)
    assert s["state"] == "failed" and s["run"] == 1 and "no agent is named host1" in s["error"], s


def test_all_of_ipv4_does_not_grant_loopback(hub):
    done = hub.cw("scan", "127.0.0.0/24", "--ports", "9")
    assert done.code == 3 and "no agent may scan 127.0.0.0/24" in done.err, done
    assert "done" in hub.ok("scan", "127.0.64.0/30", "--ports", "9").out
