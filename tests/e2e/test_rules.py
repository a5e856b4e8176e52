"""Rules open alerts, close them, and have people told: at once, later, all at once, again, or not at all.  What is told are rows of
notifications here; how they arrive is tests/e2e/test_channels.py."""
import datetime
import os
import time

import pytest

from lib import wait

A = "a.example.org"


def alerts(hub, state="not_closed", **more):
    query = "&".join(f"{k}={v}" for k, v in {"state": state, "limit": 1000, **more}.items())
    return hub.unix("GET", f"/api/v1/alerts?{query}").json()["items"]


def of(hub, rule, state="not_closed"):
    return [a for a in alerts(hub, state) if a["rule"] == rule]


def opened(hub, rule, n=1):
    return wait.until(lambda: len(of(hub, rule)) == n and of(hub, rule), f"{n} alerts of {rule}", 15)


def closed(hub, rule):
    return wait.until(lambda: not of(hub, rule) and of(hub, rule, "closed"), f"the alert of {rule} is closed", 15)


def told(hub, alert=None):
    """What was told, or is about to be."""
    items = hub.unix("GET", "/api/v1/notifications?limit=1000").json()["items"]
    return [n for n in sorted(items, key=lambda n: n["id"]) if alert in (None, n.get("alert"))]


def whats(hub, alert):
    return sorted((n["what"], n["channel"]) for n in told(hub, alert))


def look_past(hub):
    """The rules have seen all that happened until now: an alert of what happens last is there."""
    hub.n = getattr(hub, "n", 0) + 1
    name = f"mark{hub.n}.example.org"
    cert(hub, name)
    hub.ok("cert", "pause", name, "--reason", "mark")
    wait.until(lambda: [a for a in alerts(hub, object=name) if a["rule"] == "renewal-paused"], "the mark is seen", 15)


def cert(hub, name):
    hub.ok("cert", "add", name, "--no-wait")


def channel(hub, name, **more):
    """One that nothing is sent over: its agent has no such row."""
    answer = hub.unix("POST", "/api/v1/channels", {"name": name, "kind": "nothing", "parameters": {}, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def rule(hub, name, status=201, team=None, **spec):
    answer = hub.unix("POST", "/api/v1/rules", {"name": name, "spec": spec, **({"team": team} if team else {})})
    assert answer.status_code == status, answer.text
    return answer.json()


UP = """name: up
on: [managed-certificate.pause]
closes: [managed-certificate.resume]
steps:
  - notify: team
  - run: rule-note
    agent: host1
  - run: rule-other
    agent: host1
  - wait: 1h
  - notify: boss
  - wait: 1h
    unless: closed
  - notify: ops
"""
PAUSED = {"on": ["managed-certificate.pause"], "closes": ["managed-certificate.resume"]}


@pytest.fixture
def quiet(make_hub):
    """A hub with one managed certificate and a channel."""
    hub = make_hub(start=False)
    hub.agent_settings["commands"]["rule-note"] = ["/usr/bin/touch", str(hub.files / "noted")]
    hub.write_agent()
    hub.start()
    channel(hub, "ops")
    cert(hub, A)
    hub.settled(A)
    return hub


def test_what_fails_is_an_alert_without_any_configuration_and_closes_by_itself(site, nginx):
    site.ok("cert", "add", "www.example.org", "--to", "nginx")
    nginx.command("reload", "exit 1")
    assert site.cw("cert", "renew", "www.example.org").code != 0
    [alert] = opened(site, "served-wrong")
    assert (alert["object_kind"], alert["severity"], alert["state"]) == ("target", "error", "open"), alert
    assert "reload" in alert["why"], alert
    assert "1 open alert: certwright alert list" in site.cw("status").out
    assert alert["id"] in site.ok("alert", "list").out and told(site) == []
    nginx.command("reload", f"exec {nginx.real('reload')}")
    site.ok("cert", "retry", "www.example.org")
    [over] = closed(site, "served-wrong")
    assert over["id"] == alert["id"] and "by" not in over
    assert "alert list" not in site.cw("status").out
    names = {r["name"]: r for r in site.unix("GET", "/api/v1/rules").json()["items"]}
    assert names["renewal-failing"]["built_in"] and names["renewal-failing"]["enabled"] and not names["certificate-unowned"]["enabled"]
    assert site.cw("rule", "remove", "served-wrong").code != 0
    # What it would have done is known from the log, and nobody is told.
    tried = site.unix("POST", "/api/v1/rules/served-wrong/try", {}).json()
    assert [(a["object"], a["count"], "closed_at" in a) for a in tried["items"]] == [(alert["object"], alert["count"], True)], tried
    assert [s["what"] for s in tried["items"][0]["steps"]] == ["tell the team's channel", "tell the team's channel that it is over"]
    assert "1 alert of" in site.ok("rule", "try", "served-wrong", "--since", "1d").out


@pytest.mark.one_engine
def test_who_does_not_act_is_reminded_and_who_acts_stops_it(quiet):
    hub = quiet
    channel(hub, "boss", usual=False)
    hub.ok("rule", "disable", "renewal-paused")
    file = hub.folder / "up.yaml"
    file.write_text(UP)
    hub.ok("rule", "add", file)
    file.write_text(UP.replace("notify: boss", "notify: nobody"))
    refused = hub.cw("rule", "edit", "up", file)
    assert refused.code != 0 and "no channel named nobody" in refused.err, refused
    rule(hub, "taken", **PAUSED, steps=[{"notify": "team"}, {"wait": "1h"}, {"notify": "boss"}])
    hub.ok("cert", "pause", A, "--reason", "work")
    [alert], [taken] = opened(hub, "up"), opened(hub, "taken")
    hub.ok("alert", "ack", taken["id"])
    wait.until(lambda: whats(hub, alert["id"]) == [("opened", "ops")], "the team is told", 10)
    wait.until((hub.files / "noted").exists, "a program of the host was started", 10)
    failed = wait.until(lambda: [e for e in hub.audit() if e["action"] == "alert.action-failed"], "one that is not there is noted", 10)
    assert "rule-other" in str(failed), failed
    hub.move_clock(3700)
    wait.until(lambda: ("reminded", "boss") in whats(hub, alert["id"]), "the boss is told", 10)
    wait.until(lambda: "next_at" not in hub.unix("GET", f"/api/v1/alerts/{taken['id']}").json(), "its step came", 10)
    assert whats(hub, taken["id"]) == [("opened", "ops")], "of what somebody looks after nobody else is told"
    hub.ok("alert", "ack", alert["id"], "--reason", "I am at it")
    now = hub.unix("GET", f"/api/v1/alerts/{alert['id']}").json()
    assert (now["state"], now["by"], now["reason"]) == ("acknowledged", "uid:0", "I am at it"), now
    assert any(alert["id"] in line and " acknowledged " in line for line in hub.ok("alert", "list").out.splitlines()), "the list says so too"
    hub.move_clock(7400)
    wait.until(lambda: ("reminded", "ops") in whats(hub, alert["id"]), "this step is done all the same", 10)
    # A snooze ends, and its steps begin anew.
    hub.ok("alert", "reopen", alert["id"])
    hub.ok("alert", "snooze", alert["id"], "--for", "1d", "--reason", "tomorrow")
    assert len(told(hub, alert["id"])) == 3
    hub.move_clock(7400 + 86400 + 60)
    wait.until(lambda: whats(hub, alert["id"]).count(("reminded", "ops")) == 2, "the team is reminded", 10)
    hub.ok("cert", "resume", A)
    closed(hub, "up")
    assert [n["channel"] for n in told(hub, alert["id"]) if n["what"] == "resolved"].count("boss") == 1
    assert sorted(e["action"] for e in hub.audit() if e["principal"] == "uid:0" and e["action"].startswith("alert.")) == ["alert.acknowledge", "alert.acknowledge", "alert.reopen", "alert.snooze"]
    # What happens again is another alert.
    hub.ok("cert", "pause", A, "--reason", "work")
    assert opened(hub, "up")[0]["id"] != alert["id"]
    assert hub.cw("alert", "ack", alert["id"]).code != 0, "it is closed"


def test_quiet_hours_digests_and_ceilings_make_many_one(quiet):
    hub = quiet
    hub.ok("rule", "disable", "renewal-paused")
    start = 900 if time.gmtime().tm_min > 50 else 0  # what happens here happens within an hour
    hub.move_clock(start)
    now = time.gmtime(time.time() + start)
    window = f"{now.tm_hour:02}:00-{(now.tm_hour + 2) % 24:02}:00"
    rule(hub, "quiet", **PAUSED, quiet=[window])
    rule(hub, "loud", **PAUSED, quiet=[window], severity="critical")
    rule(hub, "many", on=PAUSED["on"], digest="1d")
    rule(hub, "few", on=PAUSED["on"], limit=2)
    names = [f"{c}.example.org" for c in "bcde"]
    for name in names:
        cert(hub, name)
    for name in names:
        hub.ok("cert", "pause", name, "--reason", "work")
    for each in ("quiet", "loud", "many", "few"):
        opened(hub, each, 4)
    by = {r: {a["id"] for a in of(hub, r)} for r in ("quiet", "loud", "many", "few")}

    def at_once(name):
        return [n for n in told(hub) if n.get("alert") in by[name]]
    wait.until(lambda: len(at_once("loud")) == 4 and len(at_once("few")) == 2, "those are told that are told at once", 10)
    assert not at_once("quiet") and not at_once("many")
    # One is over before anybody was told: nobody is, of either.
    hub.ok("cert", "resume", names[0])
    wait.until(lambda: len(of(hub, "quiet")) == 3, "it is closed", 10)
    hub.move_clock(start + 3 * 3600)

    def digests():
        return {n["subject"].split()[-1]: n for n in told(hub) if n["what"] == "digest"}
    wait.until(lambda: {"quiet", "few"} <= set(digests()), "what waited is told", 10)
    assert "3 alerts" in digests()["quiet"]["subject"] and names[0] not in digests()["quiet"]["text"]
    assert "2 alerts" in digests()["few"]["subject"] and names[1] in digests()["quiet"]["text"]
    hub.move_clock(start + 86400)
    wait.until(lambda: "many" in digests(), "the day's digest", 10)
    assert "4 alerts of rule many" in digests()["many"]["subject"]
    # However often it happens, it is one alert, and the team is told once.
    for _ in range(3):
        hub.ok("cert", "resume", names[1])
        hub.ok("cert", "pause", names[1], "--reason", "again")
    wait.until(lambda: [a["count"] for a in of(hub, "few") if a["object"] == names[1]] == [4], "it is counted", 10)
    assert len(of(hub, "few")) == 4


def test_a_crash_in_the_middle_loses_nothing_and_doubles_nothing(quiet):
    hub = quiet
    points = ["alert.matched", "alert.acted", *(["alert.waits", "alert.walked"] if os.environ.get("CERTWRIGHT_SOAK") else [])]
    hub.ok("rule", "disable", "renewal-paused")
    rule(hub, "act", **PAUSED, steps=[{"action": "tag", "tags": ["stopped"]}, {"notify": "team"}])
    for i in range(len(points)):
        cert(hub, f"k{i}.example.org")
    for i, point in enumerate(points):
        name = f"k{i}.example.org"
        hub.settled(name)
        hub.stop()
        hub.start(failpoint=f"hub:{point}=kill")
        hub.ok("cert", "pause", name, "--reason", "work")
        wait.until(lambda: "role_died name=hub" in hub.life(), f"{point} is passed", 15)
        wait.until(lambda: hub.cw("alert", "list").code == 0, "the hub is back", 15)
        wait.until(lambda: [a["count"] for a in of(hub, "act") if a["object"] == name] == [1], f"{point}: one alert", 15)
        alert = next(a for a in of(hub, "act") if a["object"] == name)
        wait.until(lambda: whats(hub, alert["id"]) == [("opened", "ops")], f"{point}: the team is told once", 15)
        found = hub.show("cert", name)["current_version"]["fingerprint"]
        assert hub.unix("GET", f"/api/v1/certificates/{found}").json()["tags"] == ["stopped"]
    assert len(of(hub, "act")) == len(points)
    assert [e["principal"] for e in hub.audit() if e["action"] == "alert.action"] == ["hub"] * len(points)
    assert len([e for e in hub.audit() if e["principal"] == "rule:act"]) == len(points)


@pytest.mark.one_engine
def test_conditions_hold_and_are_over_and_rules_do_no_more_than_who_made_them(quiet):
    hub = quiet
    rule(hub, "tagged", where="tag = watched", every="1h", severity="info")
    found = hub.show("cert", A)["current_version"]["fingerprint"]
    look_past(hub)
    assert of(hub, "tagged") == []
    hub.ok("cert", "assign", found, "--tag", "watched")
    hub.move_clock(3700)
    [alert] = opened(hub, "tagged")
    assert (alert["object_kind"], alert["object"], alert["severity"]) == ("certificate", A, "info"), alert
    hub.ok("cert", "assign", found, "--untag", "watched")
    hub.move_clock(7400)
    closed(hub, "tagged")
    # Nobody gives what they do not hold, and other teams see nothing of it.
    hub.ok("team", "add", "shop")
    hub.ok("role", "add", "ruler", "--permission", "rule.read", "--permission", "rule.create", "--permission", "alert.read")
    for team in ("shop", "everyone"):
        hub.ok("token", "add", f"t-{team}", "--role", "ruler" if team == "shop" else "viewer", "--team", team, "--out", hub.folder / team)

    def ask(team, method, path, body=None):
        return hub.https(method, path, body, token=(hub.folder / team).read_text().strip())
    spec = {"on": ["managed-certificate.pause"], "steps": [{"action": "resume"}]}
    refused = ask("shop", "POST", "/api/v1/rules", {"name": "mine", "spec": spec})
    assert refused.status_code == 403 and "managed-certificate.pause" in refused.text, refused.text
    assert ask("shop", "POST", "/api/v1/rules", {"name": "mine", "spec": {"on": ["managed-certificate.pause"]}}).status_code == 201
    hub.ok("cert", "pause", A, "--reason", "work")
    [paused] = [a for a in opened(hub, "renewal-paused", 2) if a["object"] == A]
    assert ask("shop", "GET", "/api/v1/alerts").json()["items"] == [] and of(hub, "mine") == []
    assert ask("shop", "GET", f"/api/v1/alerts/{paused['id']}").status_code == 404
    assert [a["id"] for a in ask("everyone", "GET", "/api/v1/alerts").json()["items"]].count(paused["id"]) == 1
    assert ask("everyone", "POST", f"/api/v1/alerts/{paused['id']}/close", {}).status_code == 403
    assert hub.cw("team", "remove", "shop").code != 0 and "rule mine" in hub.cw("team", "remove", "shop").err
    # Nobody renews what is paused: that is told before it is too late.
    ends = datetime.datetime.fromisoformat(hub.show("cert", A)["current_version"]["not_after"].replace("Z", "+00:00")).timestamp()
    hub.move_clock(int(ends - time.time()) - 2 * 86400)
    [late] = [a for a in wait.until(lambda: of(hub, "renewal-late"), "it is late", 15) if a["object"] == A]
    assert late["severity"] == "error" and "ends at" in late["why"], late


def storm(hub, entries, action, kind, object_id):
    """Entries of the log as a bad day writes them, all at once; the sequencer makes their hashes."""
    import contextlib
    import sqlite3
    with contextlib.closing(sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=20)) as db, db:
        team, = db.execute("SELECT id FROM team WHERE name = 'everyone'").fetchone()
        now, = db.execute("SELECT MAX(at) FROM audit").fetchone()
        db.executemany("INSERT INTO audit (at, principal, peer, action, object_kind, object_id, team_id, request_id, detail) "
                       "VALUES (?, 'hub', '', ?, ?, ?, ?, '', '{\"why\":\"it rains\"}')", [(now, action, kind, object_id, team)] * entries)


@pytest.mark.one_engine
def test_ten_thousand_failures_of_one_issuer_are_one_alert(quiet):
    if quiet.conninfo:
        return  # the entries are put into the file of SQLite
    hub = quiet
    issuer = hub.show("issuer", "ca")["id"]
    storm(hub, 10000, "issuer.failing", "issuer", issuer)
    [alert] = wait.until(lambda: [a for a in of(hub, "issuer-failing") if a["count"] == 10000], "all are counted", 60)
    assert (alert["object"], alert["why"], len(told(hub, alert["id"]))) == ("ca", "it rains", 1), alert
    storm(hub, 1, "issuer.healthy", "issuer", issuer)
    closed(hub, "issuer-failing")
    wait.until(lambda: whats(hub, alert["id"]) == [("opened", "ops"), ("resolved", "ops")], "it is told that it is over", 10)
    began = time.monotonic()
    tried = hub.unix("POST", "/api/v1/rules/issuer-failing/try", {}).json()
    assert tried["items"][0]["count"] + len(tried["items"]) > 9000 and time.monotonic() - began < 10, tried["events"]
