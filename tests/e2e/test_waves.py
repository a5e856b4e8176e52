"""Roll-outs in waves: a canary first, the rest once it is proved; what fails halts and goes back."""
import os

import pytest

from lib import pki, wait

WWW = "www.example.org"


def targets(hub, *names, folder=True):
    for name in names:
        if folder:
            (hub.files / name).mkdir()
        hub.ok("target", "add", name, "--connector", "files", "--set", f"fullchain={hub.files}/{name}/tls.pem", "--set",
               f"key={hub.files}/{name}/tls.key")


def add(hub, names, *more):
    return hub.cw("cert", "add", WWW, *(w for n in names for w in ("--to", n)), *more)


def serial(hub, name):
    path = hub.files / name / "tls.pem"
    return pki.read_chain(path.read_bytes())[0].serial_number if path.exists() else None


def waves(hub):
    return [(w["state"], w["targets"]) for w in hub.show("cert", WWW).get("waves", [])]


def condition(hub, kind):
    return next((c for c in hub.show("cert", WWW)["conditions"] if c["type"] == kind), None)


def order(hub):
    """Targets in the order in which they were deployed to, newest version."""
    items = hub.unix("GET", f"/api/v1/deployments?managed_certificate={WWW}&limit=100").json()["items"]
    newest = max(d["version"] for d in items)
    return [d["target"] for d in sorted(items, key=lambda d: d["id"]) if d["version"] == newest]


def test_a_canary_is_first_where_there_are_more_than_three_targets(hub):
    names = ["d", "a", "b", "c"]  # the first one named is the canary
    targets(hub, *names)
    planned = hub.ok("cert", "add", WWW, *(w for n in names for w in ("--to", n)), "--dry-run").out
    assert "1: d; the next one once it is proved" in planned and "2: a, b, c\n" in planned
    assert add(hub, names).code == 0
    assert waves(hub) == [("proved", ["d"]), ("proved", ["a", "b", "c"])]
    assert order(hub)[0] == "d" and len({serial(hub, n) for n in names}) == 1
    all_of_them = condition(hub, "served_by_all")
    assert all_of_them["status"] and all_of_them["reason"] == "4 of 4 targets have version 1"


def test_up_to_three_targets_are_served_at_once_unless_waves_are_wished(hub):
    targets(hub, "a", "b", "c")
    assert add(hub, ["a", "b", "c"]).code == 0
    assert waves(hub) == []
    hub.ok("cert", "edit", WWW, "--canary", "1", "--wave", "34%")
    hub.ok("cert", "renew", WWW)
    assert waves(hub) == [("proved", ["a"]), ("proved", ["b", "c"])]
    assert hub.show("cert", WWW)["rollout"] == {"canary": 1, "wave_percent": 34}
    hub.ok("cert", "edit", WWW, "--wave", "1")
    assert hub.show("cert", WWW)["rollout"] == {"canary": 1, "wave": 1}, "what is not named stays"
    hub.ok("cert", "edit", WWW, "--canary", "0")
    hub.ok("cert", "renew", WWW)
    assert waves(hub) == [("proved", ["a"]), ("proved", ["b"]), ("proved", ["c"])]
    done = hub.cw("cert", "edit", WWW, "--wave", "many")
    assert done.code == 2 and "--wave is a number of targets" in done.err


def test_a_canary_that_fails_leaves_the_others_untouched(hub):
    targets(hub, "a", "b", "c", "d")
    assert add(hub, ["a", "b", "c", "d"]).code == 0
    before = {n: serial(hub, n) for n in "abcd"}
    (hub.files / "a").rename(hub.files / "away")
    done = hub.cw("cert", "renew", WWW)
    assert done.code != 0
    assert [serial(hub, n) for n in "bcd"] == [before[n] for n in "bcd"] and order(hub) == ["a"]
    halted = condition(hub, "halted")
    assert "stopped in wave 1 (a:" in halted["reason"] and f"certwright cert retry {WWW}" in halted["reason"]
    assert condition(hub, "served_by_all")["reason"] == "0 of 4 targets have version 2"
    assert waves(hub) == [("halted", ["a"]), ("waiting", ["b", "c", "d"])]
    assert "stopped in wave 1" in hub.why() and WWW in hub.ok("status").out
    (hub.files / "away").rename(hub.files / "a")
    hub.ok("cert", "retry", WWW)
    assert {serial(hub, n) for n in "abcd"}.isdisjoint(before.values())
    assert condition(hub, "halted") is None and hub.show("cert", WWW)["failures"] == 0
    assert "All is well" in hub.ok("status").out


def test_what_fails_in_a_later_wave_takes_the_earlier_ones_back(hub):
    targets(hub, "a", "b", "c", "d")
    assert add(hub, ["a", "b", "c", "d"], "--wave", "1").code == 0
    before = {n: serial(hub, n) for n in "abcd"}
    (hub.files / "c").rename(hub.files / "away")
    assert hub.cw("cert", "renew", WWW).code != 0
    hub.settled(WWW)
    assert {n: serial(hub, n) for n in "abd"} == {n: before[n] for n in "abd"}
    steps = hub.ok("cert", "steps", WWW).out
    assert "stops in wave 3; 2 targets that had it go back: c:" in steps
    states = [s for s, _ in waves(hub)]
    assert states == ["proved", "proved", "halted", "waiting"]
    (hub.files / "away").rename(hub.files / "c")
    hub.move_clock(7200)  # the next try begins by itself, with the canary
    wait.until(lambda: len({serial(hub, n) for n in "abcd"} - set(before.values())) == 1 and serial(hub, "d") != before["d"],
               "all have the new version", 20)
    hub.settled(WWW)
    assert [s for s, _ in waves(hub)] == ["proved"] * 4 and condition(hub, "served_by_all")["status"]


def test_a_pause_between_waves_is_kept_over_a_kill_of_everything(hub):
    targets(hub, "a", "b")
    assert add(hub, ["a", "b"], "--canary", "1", "--wave-pause", "1h", "--no-wait").code == 0
    wait.until(lambda: "is proved; the next one begins at" in ((condition(hub, "deploying") or {}).get("reason") or ""), "the first wave is proved")
    assert serial(hub, "a") and not serial(hub, "b")
    hub.kill()
    hub.start()
    hub.ok("cert", "pause", WWW)
    hub.move_clock(2 * 3600)
    wait.until(lambda: hub.unix("GET", "/api/v1/status").status_code == 200, "the hub answers")
    assert not serial(hub, "b")
    hub.ok("cert", "resume", WWW)
    wait.until(lambda: serial(hub, "b") == serial(hub, "a"), "the second wave is there")
    hub.settled(WWW)
    assert [s for s, _ in waves(hub)] == ["proved", "proved"]


@pytest.mark.parametrize("point", ["agent:agent.install_after=kill", "hub:store.after_commit@9=kill"])
def test_a_kill_in_the_middle_of_a_wave_loses_no_target(make_hub, point):
    hub = make_hub()
    targets(hub, "a", "b", "c", "d")
    assert add(hub, ["a", "b", "c", "d"]).code == 0
    first = serial(hub, "a")
    hub.stop()
    hub.start(failpoint=point)
    hub.cw("cert", "renew", WWW)
    wait.until(lambda: len({serial(hub, n) for n in "abcd"} - {first}) == 1 and serial(hub, "d") != first, "all have the new version", 30)
    hub.settled(WWW)
    assert condition(hub, "served_by_all")["status"]


def test_a_target_taken_away_in_the_middle_of_a_wave_holds_nothing_up(make_hub, make_remote):
    hub = make_hub(share_keys=True)
    web = make_remote(hub, "web1")
    targets(hub, "a", "b", "c")
    hub.ok("target", "add", "far", "--agent", "web1", "--connector", "files", "--set", f"fullchain={web.files}/far.pem")
    web.stop()
    assert add(hub, ["far", "a", "b", "c"], "--no-wait").code == 0
    wait.until(lambda: waves(hub) == [("running", ["far"]), ("waiting", ["a", "b", "c"])], "the canary is on its way")
    hub.ok("cert", "edit", WWW, "--to", "a", "--to", "b", "--to", "c")
    hub.settled(WWW)
    assert len({serial(hub, n) for n in "abc"}) == 1 and serial(hub, "a") and condition(hub, "served_by_all")["status"]
    assert order(hub)[:2] == ["far", "a"], "another canary took its place"
    assert not (web.files / "far.pem").exists()


def test_a_canary_that_clients_trust_less_than_before_is_taken_back(site, nginx, pebble):
    hub = site
    nginx.http = [f"root {nginx.webroot};"]
    nginx.write()
    nginx.reload()
    targets(hub, "a")
    hub.ok("cert", "add", WWW, "--to", WWW, "--to", "a", "--canary", "1")
    before = serial(hub, "a")
    assert pki.served(nginx.https_port).serial_number == before
    hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--agree", "--roots", pebble.roots, "--grant", "127.0.0.0/8",
           "--via", "webroot", "--webroot", nginx.webroot)
    done = hub.cw("cert", "edit", WWW, "--issuer", "pebble")
    assert done.code == 6, done
    wait.until(lambda: pki.served(nginx.https_port).serial_number == before, "what was trusted is served again", 20)
    assert serial(hub, "a") == before and "clients do not trust it" in condition(hub, "halted")["reason"]


KILLS = [f"hub:store.after_commit@{n}" for n in range(1, 36)] + [
    f"agent:agent.{p}@{n}" for p in ("install_before", "install_after", "commit_before", "commit_after", "job_end") for n in range(1, 7)]


@pytest.mark.parametrize("fails", [None, "c"])
@pytest.mark.parametrize("point", KILLS if os.environ.get("CERTWRIGHT_SOAK") else ["hub:store.after_commit@14", "agent:agent.install_after@2"])
def test_a_kill_at_any_point_of_a_roll_out_ends_as_it_should(make_hub, point, fails):
    hub = make_hub()
    targets(hub, "a", "b", "c", "d")
    assert add(hub, ["a", "b", "c", "d"], "--wave", "1").code == 0
    before = {n: serial(hub, n) for n in "abcd"}
    hub.stop()
    if fails:
        (hub.files / fails).rename(hub.files / "away")
    hub.start(failpoint=f"{point}=kill")
    hub.cw("cert", "renew", WWW)
    if not fails:
        wait.until(lambda: len({serial(hub, n) for n in "abcd"} - set(before.values())) == 1 and serial(hub, "d") != before["d"], "all have it", 30)
        hub.settled(WWW)
        assert condition(hub, "served_by_all")["status"]
        return
    wait.until(lambda: condition(hub, "halted"), "it is halted", 30)
    wait.until(lambda: all(serial(hub, n) == before[n] for n in "abd"), "all are back", 30)
    hub.settled(WWW)
    (hub.files / "away").rename(hub.files / fails)
    hub.ok("cert", "retry", WWW)
    assert len({serial(hub, n) for n in "abcd"}) == 1 and condition(hub, "served_by_all")["status"]
