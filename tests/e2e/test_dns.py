"""Challenges in DNS, as the agent answers them: with real servers (Knot, BIND) by RFC 2136, and with programs of the host."""
import base64
import json
import os
import shutil
import threading

import pytest
from conftest import ENGINE, _folder

from lib import wait
from lib.bind import Bind
from lib.knot import Knot, Secondary

OTHER = "somebody-else's"
SOAK = os.environ.get("CERTWRIGHT_SOAK")
once = pytest.mark.one_engine

CERTWRIGHT = """#!/bin/sh
read -r said
echo "$1 $said $(env | sort | tr '\\n' ' ')" >>{log}
case $1 in
test) echo "may do all"; exit 0 ;;
present) verb=zone-set ;;
*) verb=zone-unset ;;
esac
name=$(echo "$said" | sed 's/.*"name":"\\([^"]*\\)".*/\\1/') value=$(echo "$said" | sed 's/.*"value":"\\([^"]*\\)".*/\\1/')
{knotc} zone-begin by-program.example >/dev/null && {knotc} $verb by-program.example "$name." $([ $1 = present ] && echo 5) TXT "$value" &&
    {knotc} zone-commit by-program.example >/dev/null && echo "$verb done"
"""
LEGO = """#!/bin/sh
echo "$@ $(id -un)" >>{log}
{knotc} zone-begin by-lego.example >/dev/null
case $1 in
present) {knotc} zone-set by-lego.example "$2" 5 TXT "$3" ;;
cleanup) {knotc} zone-unset by-lego.example "$2" TXT "$3" ;;
esac
{knotc} zone-commit by-lego.example >/dev/null
"""
CERTBOT = """#!/bin/sh
echo "$0 $CERTBOT_DOMAIN $CERTBOT_VALIDATION $CERTBOT_REMAINING_CHALLENGES $CERTBOT_ALL_DOMAINS" >>{log}
{knotc} zone-begin by-certbot.example >/dev/null
{knotc} zone-set by-certbot.example "_acme-challenge.$CERTBOT_DOMAIN." 5 TXT "$CERTBOT_VALIDATION" >/dev/null && echo "id-4711"
echo "a meter of its progress" >&2
{knotc} zone-commit by-certbot.example >/dev/null
"""
CERTBOT_CLEANUP = """#!/bin/sh
echo "cleanup $CERTBOT_DOMAIN $CERTBOT_AUTH_OUTPUT" >>{log}
{knotc} zone-begin by-certbot.example >/dev/null
{knotc} zone-unset by-certbot.example "_acme-challenge.$CERTBOT_DOMAIN." TXT "$CERTBOT_VALIDATION"
{knotc} zone-commit by-certbot.example >/dev/null
"""
NOTHING = """#!/bin/sh
exit 0
"""
FAILS = """#!/bin/sh
echo "the account is locked" >&2
exit 7
"""


def value():
    return base64.urlsafe_b64encode(b"\0" + os.urandom(31)).decode().rstrip("=")


def refused(hub, name, v, *words):
    """A challenge that cannot be presented, and why: as the first try says it."""
    before = len(hub.life())
    made = hub.unix("POST", "/api/v1/challenges", {"name": name, "value": v}).json()
    said = wait.until(lambda: [line for line in hub.life()[before:].splitlines() if "job_failed" in line], f"the challenge for {name} fails")
    for word in words:
        assert word in said[0], said[0]
    hub.unix("DELETE", f"/api/v1/challenges/{made['id']}")


class World:
    """A primary, a secondary that lags and a BIND; programs; a hub whose agent may use all of them."""

    def __init__(self):
        self.folder = _folder()
        self.bind = Bind(self.folder, "_acme-challenge.delegated.example.org", "bind.example", "strict.example",
                         strict={"strict.example": "name _acme-challenge.strict.example TXT"})
        self.knot = Knot(self.folder, "example.org", "aliases.example.net", "lag.example", "by-program.example", "by-lego.example", "by-certbot.example")
        second = self.folder / "second"
        second.mkdir()
        self.second = Secondary(second, self.knot, "lag.example")
        self.knot.write_zone("example.org", "_acme-challenge.alias CNAME alias.aliases.example.net.", "_acme-challenge.far CNAME far.lag.example.",
                             "_acme-challenge.loop CNAME _acme-challenge.loop2", "_acme-challenge.loop2 CNAME _acme-challenge.loop", "*.every CNAME www",
                             "silent NS away", "away A 127.0.0.99", "_acme-challenge.delegated NS bind", f"bind A {self.bind.address}", f"_acme-challenge TXT \"{OTHER}\"")
        self.knot.write_zone("lag.example", "@ NS ns2", f"ns2 A {self.second.address}")

    def start(self, hub_maker):
        for server in (self.knot, self.bind, self.second):
            server.start()
        self.log = self.folder / "programs.log"
        self.log.touch()
        self.log.chmod(0o666)
        settings = self.knot.settings(self.folder / "tsig")
        settings["resolvers"].append(self.bind.address)
        for name, secret in (("bind-tsig", self.bind.secret), ("wrong-tsig", base64.b64encode(os.urandom(32)).decode())):
            (self.folder / name).write_text(secret + "\n")
            settings["credentials"][name] = {"file": str(self.folder / name), "hosts": [f"{self.knot.address}:53", f"{self.bind.address}:53"]}
        for name in settings["credentials"].values():
            os.chmod(name["file"], 0o600)
        settings["dns"] = {
            "rfc2136": {"zones": ["example.org", "aliases.example.net", "bind.example", "strict.example"], "publish_s": 20},
            "by-program": {"zones": ["by-program.example"], "program": [self.program("certwright", CERTWRIGHT)], "protocol": "certwright"},
            "by-lego": {"zones": ["by-lego.example"], "program": [self.program("lego", LEGO)], "protocol": "lego", "user": "nobody"},
            "by-certbot": {"zones": ["by-certbot.example"], "program": [self.program("certbot", CERTBOT)], "protocol": "certbot",
                           "cleanup": [self.program("certbot-cleanup", CERTBOT_CLEANUP)]},
            "nothing": {"zones": ["lag.example", "silent.example.org"], "program": [self.program("nothing", NOTHING)], "protocol": "lego", "publish_s": 1},
            "fails": {"zones": ["far.lag.example"], "program": [self.program("fails", FAILS)], "protocol": "lego"}}
        os.chmod(self.knot.folder, 0o755)
        os.chmod(self.knot.folder / "knot.sock", 0o777)
        self.hub = hub_maker(**settings)
        for name, zones, parameters in (("knot", ["example.org"], self.knot.parameters), ("bind", ["bind.example"], self.bind.parameters)):
            self.hub.ok("dns", "add", name, "--provider", "rfc2136", *[w for z in zones for w in ("--zone", z)], *parameters, "--no-test")

    def program(self, name, text):
        path = self.folder / name
        path.write_text(text.format(log=self.folder / "programs.log", knotc=f"/usr/sbin/knotc -s {self.knot.folder}/knot.sock"))
        path.chmod(0o755)
        return str(path)

    def close(self):
        for server in (self.second, self.knot, self.bind):
            server.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def world(hub_maker):
    w = World()
    try:
        w.start(hub_maker)
        yield w
    finally:
        w.close()


def test_apex_and_wildcard_at_once_keep_each_others_value_and_somebody_elses(world):
    values = [value(), value(), value()]
    threads = [threading.Thread(target=world.hub.ok, args=("challenge", "present", "example.org", v)) for v in values]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert world.knot.txt("_acme-challenge.example.org") == sorted([OTHER, *values])
    world.hub.ok("challenge", "clean", "example.org", values[0])
    assert world.knot.txt("_acme-challenge.example.org") == sorted([OTHER, *values[1:]])
    world.hub.ok("challenge", "clean", "example.org", values[1])
    world.hub.ok("challenge", "clean", "example.org", values[2])
    assert world.knot.txt("_acme-challenge.example.org") == [OTHER]


@once
def test_aliases_and_delegations_lead_to_the_zone_that_holds_the_record(world):
    hub, v = world.hub, value()
    hub.ok("challenge", "present", "alias.example.org", v)
    assert world.knot.txt("alias.aliases.example.net") == [v]
    hub.ok("challenge", "clean", "alias.example.org", v)
    assert world.knot.txt("alias.aliases.example.net") == []
    # An alias for every name does not hold for one that has a record.
    hub.ok("challenge", "present", "name.every.example.org", v)
    assert world.knot.txt("_acme-challenge.name.every.example.org") == [v]
    hub.ok("challenge", "clean", "name.every.example.org", v)
    # The zone below is BIND's: the other provider has no say there.
    refused(hub, "delegated.example.org", v, "_acme-challenge.delegated.example.org", "NOTAUTH: it is not the primary server of zone")


@once
def test_an_alias_that_leads_out_of_what_the_host_grants_is_refused_with_the_remedy(world):
    refused(world.hub, "far.example.org", value(), "is an alias of far.lag.example", "add its zone to dns in")
    assert world.second.txt("far.lag.example") == []
    refused(world.hub, "loop.example.org", value(), "or of itself")


@once
def test_bind_takes_updates_too(world):
    hub, v = world.hub, value()
    assert "may change _acme-challenge.bind.example" in hub.ok("dns", "test", "bind").out
    hub.ok("challenge", "present", "www.bind.example", v)
    assert world.bind.txt("_acme-challenge.www.bind.example") == [v]
    hub.ok("challenge", "clean", "www.bind.example", v)
    assert world.bind.txt("_acme-challenge.www.bind.example") == []
    # A key that may change one name alone, as BIND's update-policy says.
    hub.ok("dns", "add", "strict", "--provider", "rfc2136", "--zone", "strict.example", *world.bind.parameters)
    hub.ok("challenge", "present", "strict.example", v)
    hub.ok("challenge", "clean", "strict.example", v)
    refused(hub, "www.strict.example", v, "says REFUSED: allow TSIG key certwright to change _acme-challenge.www.strict.example in zone strict.example")


@once
@pytest.mark.parametrize("change, words", [
    ({"secret": "wrong-tsig"}, "BADSIG: its secret for TSIG key certwright is another one"),
    ({"key": "nobody"}, "BADKEY: it has no TSIG key nobody"),
    ({"secret": "not-there"}, "no credential is named not-there on this host"),
    ({"server": "127.0.0.1:1"}, "may not be used with 127.0.0.1:1"),
    ({"algorithm": "hmac-md5"}, "use hmac-sha256 or hmac-sha512"),
    ({"password": "x"}, "rfc2136 has no parameter password"),
])
def test_what_is_wrong_with_a_key_is_told_when_it_is_added(world, change, words):
    values = {"server": world.knot.address, "key": world.knot.key, "secret": "tsig", **change}
    done = world.hub.cw("dns", "add", "wrong", "--provider", "rfc2136", "--zone", "example.org", *[w for k, v in values.items() for w in ("--set", f"{k}={v}")])
    world.hub.ok("dns", "remove", "wrong")
    assert words in done.out + done.err, done


@once
def test_a_clock_that_is_wrong_is_told(world):
    world.hub.move_clock(900)
    done = world.hub.cw("dns", "test", "knot")
    world.hub.move_clock(0)
    assert "says BADTIME: its clock and this host's differ by 90" in done.out + done.err, done


@once
def test_every_server_of_the_zone_must_show_the_value(world):
    hub, v = world.hub, value()
    hub.ok("dns", "add", "lagging", "--provider", "nothing", "--zone", "lag.example", "--no-test")
    at, at2 = f"ns.lag.example ({world.knot.address}:53): it has", f"ns2.lag.example ({world.second.address}:53): it has no such record"
    # A program that says it was done, and was not; then one server has it, the other not yet.
    world.knot.put("lag.example", "_acme-challenge.late", "5", "TXT", OTHER)
    refused(hub, "late.lag.example", v, "not all servers of zone lag.example show it", f"{at} 1 other value", at2)
    world.knot.put("lag.example", "_acme-challenge.late", "5", "TXT", v)
    refused(hub, "late.lag.example", v, f"after 1 s: {at2}")
    world.second.control("-b", "zone-refresh", "lag.example")
    wait.until(lambda: world.second.txt("_acme-challenge.late.lag.example") == sorted([OTHER, v]), "the secondary has it")
    v2 = value()
    world.knot.put("lag.example", "_acme-challenge.later", "5", "TXT", v2)
    waiting = threading.Timer(0.3, world.second.control, args=("-b", "zone-refresh", "lag.example"))
    waiting.start()
    hub.ok("challenge", "present", "later.lag.example", v2)
    waiting.join()
    hub.ok("challenge", "clean", "later.lag.example", v2)
    hub.ok("dns", "add", "failing", "--provider", "fails", "--zone", "far.lag.example", "--no-test")
    refused(hub, "far.lag.example", value(), "the account is locked", "exit code 7")


@once
def test_where_the_servers_cannot_be_asked_there_is_a_wait_instead(world):
    world.hub.ok("dns", "add", "unseen", "--provider", "nothing", "--zone", "silent.example.org", "--no-test")
    v = value() # the program writes it nowhere: had somebody been asked, this would fail
    world.hub.ok("challenge", "present", "www.silent.example.org", v)
    world.hub.ok("challenge", "clean", "www.silent.example.org", v)


@once
def test_programs_are_asked_in_the_three_ways_that_are_in_use(world):
    hub = world.hub
    for name in ("by-program", "by-lego", "by-certbot"):
        hub.ok("dns", "add", name, "--provider", name, "--zone", f"{name}.example")
        v = value()
        world.log.write_text("")
        owner = f"_acme-challenge.www.{name}.example"
        hub.ok("challenge", "present", f"www.{name}.example", v)
        assert world.knot.txt(owner) == [v]
        hub.ok("challenge", "clean", f"www.{name}.example", v)
        assert world.knot.txt(owner) == []
        said = world.log.read_text()
        if name == "by-lego":
            assert said.splitlines() == [f"{verb} {owner}. {v} nobody" for verb in ("present", "cleanup")]
        if name == "by-certbot":
            first, second = said.splitlines()
            assert first.split()[1:] == [f"www.{name}.example", v, "0", f"www.{name}.example"] and second == f"cleanup www.{name}.example id-4711"
        if name == "by-program":
            lines = [line.split(" ", 1) for line in said.splitlines()]
            assert [line[0] for line in lines] == ["present", "clean"]
            body, end = json.JSONDecoder().raw_decode(lines[0][1])
            assert body == {"name": owner, "zone": f"{name}.example", "value": v, "domain": f"www.{name}.example"}
            assert sorted(w.split("=")[0] for w in lines[0][1][end:].split()) == ["LANG", "PATH", "PWD"]
    assert "may do all" in str(hub.show("dns", "by-program"))


@pytest.mark.parametrize("point", ["agent.dns_noted", "agent.dns_added", "agent.dns_seen"] if SOAK else ["agent.dns_added"])
def test_an_agent_killed_between_adding_and_telling_leaves_nothing(world, point):
    hub, v = world.hub, value()
    hub.restart(failpoint=f"agent:{point}=kill")
    hub.ok("challenge", "present", "killed.example.org", v)
    assert "role_died name=agent" in hub.life()
    assert world.knot.txt("_acme-challenge.killed.example.org") == [v]
    hub.ok("challenge", "clean", "killed.example.org", v)
    assert world.knot.txt("_acme-challenge.killed.example.org") == []
    assert list((hub.state / "agent" / "dns").iterdir()) == []


def test_what_nobody_asks_for_any_more_is_taken_away_after_a_day(world):
    hub, v = world.hub, value()
    hub.may_die = True
    hub.ok("challenge", "present", "old.example.org", v)
    note = next((hub.state / "agent" / "dns").iterdir())
    body = json.loads(note.read_text())
    note.write_text(json.dumps({**body, "put_at": body["put_at"] - 90000}))
    hub.restart()
    wait.until(lambda: world.knot.txt("_acme-challenge.old.example.org") == [], "the old value is gone")
    wait.until(lambda: not note.exists(), "its note is gone")
