"""The second half of the DNS providers of dns/*.yaml, each against a server that checks every call and its signature (lib/dns_rest2.py).  None of them was ever
run against the real provider, which docs/DNS.md says.  The engine is driven without a hub: by the driver in tests/unit/agent/test_dns.c."""
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import dns_rest2, push
from lib.dns_rest2 import KINDS, NAME, OTHER, ZONE
from lib.hub import PROGRAM, ROOT

DRIVER = Path(PROGRAM).parent / "unit_agent_test_dns"
SOAK = os.environ.get("CERTWRIGHT_SOAK")
pytestmark = pytest.mark.one_engine
LIST = sorted(set(KINDS) - {"duckdns"})  # of duckdns nothing can be read
REFUSED = LIST if SOAK else ["hostinger", "inwx", "namecheap", "oci"]
TOP = {"hostinger", "cloudns", "infoblox", "namecom"}
SETS = {"huawei", "ultradns", "hostinger"}


class Driven:
    def __init__(self, kind):
        self.folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
        self.api = KINDS[kind](self.folder)
        credentials = {}
        for param, text in self.api.secrets.items():
            path = self.folder / param
            path.write_text(text + "\n")
            path.chmod(0o600)
            credentials[param] = {"file": str(path), "hosts": [f"127.0.0.1:{self.api.port}"], "roots": str(self.api.roots)}
        self.conf = self.folder / "agent.yaml"
        self.conf.write_text(json.dumps({"dns_dir": str(ROOT / "dns"), "networks": {"relay": ["127.0.0.0/8"]}, "credentials": credentials,
                                         "dns": {kind: {"zones": [ZONE]}}}))

    def all(self, *wishes):
        """At the same time: (verb, value), or (verb, value, name)."""
        lines = [{"verb": w[0], "provider": self.api.provider, "parameters": self.api.params(), "zone": ZONE, "name": w[2] if len(w) > 2 else NAME, "value": w[1]} for w in wishes]
        done = subprocess.run([str(DRIVER), str(self.conf)], input="".join(json.dumps(x) + "\n" for x in lines), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(x) for x in done.stdout.splitlines()]

    def one(self, *wish):
        [said] = self.all(wish)
        return said

    def good(self, *wish):
        said = self.one(*wish)
        assert not said["error"] and not self.api.wrong, (said["why"] or said, self.api.wrong)
        return said["what"]


@pytest.fixture
def driven():
    made = []

    def make(kind):
        made.append(Driven(kind))
        return made[-1]
    yield make
    for one in made:
        one.api.stop()
        shutil.rmtree(one.folder, ignore_errors=True)


def left(api):
    """What sessions were not ended."""
    return set() if isinstance(api, dns_rest2.BlueCat) else getattr(api, "sessions", set())


@pytest.mark.parametrize("kind", LIST)
def test_values_come_and_go_and_those_of_others_stay(driven, kind):
    d = driven(kind)
    api, untouched = d.api, d.api.at()
    assert d.good("test", "") == "accepted" and api.changes == 0
    assert d.good("add", "value-one") == "added" and api.texts() == sorted([OTHER, "value-one"])
    changes = api.changes
    assert d.good("add", "value-one") == "was there already" and api.changes == changes
    # A name and its wildcard are proved at once, with two values at one name.
    said = d.all(("add", "value_two"), ("add", "-value-three"))
    assert [s["error"] for s in said] == ["", ""] and not api.wrong, (said, api.wrong)
    assert api.texts() == sorted([OTHER, "value-one", "value_two", "-value-three"])
    said = d.all(("remove", "value-one"), ("remove", "value_two"))
    assert [s["error"] for s in said] == ["", ""] and not api.wrong, (said, api.wrong)
    assert d.good("remove", "value_two") == "was gone already"
    assert d.good("remove", "-value-three") == "taken away"
    assert sorted(r[1:] for r in api.at()) == sorted(r[1:] for r in untouched) and not left(api)
    if kind == "bluecat":
        assert api.deployed == api.texts()
    # The first one at a name, and the last.
    api.records = {k: r for k, r in api.records.items() if r[2] != OTHER}
    assert d.good("add", "value-four") == "added" and api.texts() == ["value-four"]
    assert d.good("remove", "value-four") == "taken away" and api.texts() == [] and len(api.at()) == len(untouched) - 1


@pytest.mark.parametrize("kind", LIST if SOAK else sorted({"namecheap", "infomaniak", "tencent", "bluecat"} & set(LIST)))
def test_the_apex_of_a_zone_that_was_delegated_for_this(driven, kind):
    d = driven(kind)
    d.api.put(ZONE, "TXT", OTHER)
    assert d.good("add", "value-one", ZONE) == "added" and d.api.texts(ZONE) == sorted([OTHER, "value-one"])
    assert d.good("remove", "value-one", ZONE) == "taken away" and d.api.texts(ZONE) == [OTHER] and d.api.texts() == [OTHER]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_is_told_and_loses_nothing(driven, kind):
    d = driven(kind)
    api, before = d.api, d.api.at()
    for status, error in ((500, "bad_answer"), (429, "rate_limited"), (403, "bad_answer")):
        api.before = [push.once(status, api.error("no, said the server"), {"Retry-After": "600"}, times=99)]
        said = d.one("add", "value-one")
        assert said["error"] and said["error"] == error, (kind, status, said)
        assert said["retry_after_s"] == (600 if status == 429 else 0)
    # Answers of another shape: never what would have been a change of what is there.
    for body in ({"surprise": 1}, b"<html>busy</html>", []):
        api.before = [lambda call: None if any(w in call.path for w in ("login", "auth", "session")) else push.once(200, body)(call)]
        said = d.one("remove", OTHER)
        # A list, or an object of records, at the top may be anything; and name.com leaves out the list of an empty zone.
        assert said["error"] == "bad_answer" or (kind in TOP and said["what"] == "was gone already"), (kind, body, said)
    api.before = []
    assert api.at() == before
    # A credential that is wrong.
    for param in api.secrets:
        if kind not in ("transip", "oci"):
            (d.folder / param).write_text("wrong\n")
    if kind in ("transip", "oci"):
        (d.folder / "key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    said = d.one("test", "")
    assert said["error"] and "wrong\"" not in said["why"], said
    assert api.at() == before and not left(api)


@pytest.mark.parametrize("kind", sorted(SETS) if SOAK else ["huawei"])
def test_ours_is_written_again_where_somebody_has_overwritten_the_set(driven, kind):
    d = driven(kind)
    api, done = d.api, []

    def overwrite(call):
        with api.lock:
            if "value-one" in api.texts() and not done:
                done.append(call)
                api.replace_set(NAME, [OTHER, "theirs"], 3600)
    api.before = [overwrite]
    assert d.good("add", "value-one") == "added"
    assert done and api.texts() == sorted([OTHER, "theirs", "value-one"])


@pytest.mark.parametrize("kind", ["namesilo", "duckdns", "cloudns", "porkbun", "inwx", "namecheap"] if SOAK else ["namesilo", "porkbun", "namecheap"])
def test_what_goes_wrong_on_the_way_shows_no_credential(driven, kind):
    """Some want it in the query or the body."""
    d = driven(kind)
    d.api.before = [lambda call: "drop"]
    said = d.one("add", "value-one")
    assert said["error"] in ("unreachable", "bad_answer") and not any(text in said["why"] for text in d.api.secrets.values()), said


@pytest.mark.parametrize("kind", sorted({"namesilo", "namecom", "tencent", "cloudns", "vultr"} & set(LIST)))
def test_the_first_record_of_a_zone_and_the_last(driven, kind):
    """Some have no list for none, or for one."""
    d = driven(kind)
    d.api.records.clear()
    assert d.good("add", "value-one") == "added" and d.good("add", "value-one") == "was there already"
    assert d.good("remove", "value-two") == "was gone already"
    assert d.good("remove", "value-one") == "taken away" and d.good("remove", "value-one") == "was gone already" and not d.api.records


def test_inwx_without_a_second_factor(driven):
    d = driven("inwx")
    d.api.secrets = {k: v for k, v in d.api.secrets.items() if k != "factor"}
    assert d.good("add", "value-one") == "added" and d.good("remove", "value-one") == "taken away" and not d.api.locked


def test_duck_dns_has_one_value_a_name(driven):
    d = driven("duckdns")
    assert d.good("test", "") == "accepted" and d.api.txt == ""
    assert d.good("add", "value-one") == "added" and d.api.txt == "value-one"
    assert d.good("remove", "value-one") == "taken away" and d.api.txt == ""
    granted = d.api.params()
    for other in ("other.example.org", "ww.example.org", "w.www.example.org"): # of the same account, which nobody granted
        d.api.params = lambda other=other: {**granted, "domain": other}
        d.api.calls.clear()
        said = d.one("add", "value-two")
        assert said["error"] == "not_granted" and f"change records of {other}" in said["why"] and not d.api.calls, said
    d.api.params = lambda: granted
    (d.folder / "token").write_text("wrong\n")
    said = d.one("add", "value-two")
    assert said["error"] and "KO" in said["why"] and d.api.txt == "", said


def test_a_redirect_does_not_tell_the_key_that_is_in_the_query(driven):
    d = driven("duckdns")
    [secret] = d.api.secrets.values()
    for to in (f"https://www.example.net/update?token={secret}", f"https://www.example.net/{secret}/update", f"https://www.example.net/#{secret}"):
        d.api.before = [push.once(302, b"", {"Location": to})]
        said = d.one("add", "value-one")
        assert said["error"] == "bad_answer" and "a redirect (302)" in said["why"] and secret not in said["why"], said


def test_a_value_with_spaces_is_a_value_of_all_that_take_it(driven):
    """dns-persist-01: "ca.example; accounturi=…"."""
    text = "ca.example; accounturi=https://ca.example/acct/1; policy=wildcard"
    for kind in ("vultr", "huawei", "alibaba", "cloudns"):
        d = driven(kind)
        assert d.good("add", text) == "added" and text in d.api.texts()
        assert d.good("remove", text) == "taken away" and d.api.texts() == [OTHER]


# --- Namecheap: all records of the zone are written at once

def others(rows):
    return [r for r in rows if not re.fullmatch("value-[0-9]", r[2])]


def test_a_whole_zone_is_written_with_all_records_of_others_as_they_were(driven):
    """Three names at once, one of them the apex with its wildcard: one after the other, though they are different names."""
    d = driven("namecheap")
    api, before = d.api, d.api.at()
    was = [[api.at_or(n), t, v, pref, str(ttl)] for _, n, t, v, ttl, pref in before]
    apex = "_acme-challenge." + ZONE
    said = d.all(("add", "value-1", apex), ("add", "value-2", apex), ("add", "value-3"), ("add", "value-4", "_acme-challenge.shop." + ZONE))
    assert [s["what"] for s in said] == ["added"] * 4 and not api.wrong, (said, api.wrong)
    assert [len(rows) for rows in api.written] == [len(was) + n for n in (1, 2, 3, 4)] and api.email == "MX"
    assert all(others(rows) == was for rows in api.written)
    assert sorted(r for r in api.written[-1] if r not in was) == sorted(
        [["_acme-challenge", "TXT", "value-1", "10", "60"], ["_acme-challenge", "TXT", "value-2", "10", "60"], ["_acme-challenge.www", "TXT", "value-3", "10", "60"], ["_acme-challenge.shop", "TXT", "value-4", "10", "60"]])
    said = d.all(("remove", "value-1", apex), ("remove", "value-2", apex), ("remove", "value-3"), ("remove", "value-4", "_acme-challenge.shop." + ZONE))
    assert [s["what"] for s in said] == ["taken away"] * 4 and api.written[-1] == was and api.email == "MX"
    assert all(others(rows) == was for rows in api.written)


ODD = {
    "an attribute that nobody knows": ('HostId="', 'Weight="5" HostId="'),
    "a record that is switched off": ('IsActive="true"', 'IsActive="false"'),
    "a record of dynamic DNS": ('IsDDNSEnabled="false"', 'IsDDNSEnabled="true"'),
    "a type that cannot be written": ('Type="CAA"', 'Type="SRV"'),
    "no preference": (' MXPref="10"', ""),
    "an empty address": ('Address="192.0.2.9"', 'Address=""'),
    "an attribute twice": ('HostId="', 'Name="x" HostId="'),
    "no quotes": ('Type="CAA"', "Type=CAA"),
    "a comment": ("<host ", "<!-- --><host "),
    "another element": ("<host ", "<hosts/><host "),
    "text between records": ("<host ", "more<host "),
    "a record with a content": (" />", "><Note/></host>"),
    "an entity that nobody knows": ("&amp;", "&ouml;"),
    "a number that is no character": ("&amp;", "&#xd800;"),
    "a tag in an address": ("&lt;c", "<c"),
    "cut off": ("</DomainDNSGetHostsResult>", ""),
    "another zone": (f'Domain="{ZONE}"', 'Domain="example.com"'),
    "other servers": ('IsUsingOurDNS="true"', 'IsUsingOurDNS="false"'),
    "no type of email": ('EmailType="MX" ', ""),
    "a type of email that nobody knows": ('EmailType="MX"', 'EmailType="PIGEON"'),
    "said twice": ("</CommandResponse>", f'<DomainDNSGetHostsResult Domain="{ZONE}" EmailType="MX" IsUsingOurDNS="true"/></CommandResponse>'),
    "no list": ("DomainDNSGetHostsResult", "DomainDNSOther"),
    "an error": ('Status="OK"', 'Status="ERROR"'),
}


def test_where_a_zone_is_told_in_an_unknown_form_nothing_of_it_is_written(driven):
    d = driven("namecheap")
    api, before = d.api, d.api.at()
    good = api.said(api.hosts())[1].decode()
    answers = []
    for why, (old, new) in ODD.items():
        assert old in good, why
        answers.append((why, good.replace(old, new, 1 if old not in ("DomainDNSGetHostsResult",) else -1)))
    answers.append(("no record", re.sub("<host [^>]*>", "", good)))
    answers.append(("more than can be", re.sub("(<host [^>]*>)", lambda m: m[1] * 100, good)))
    todo, seen = list(answers), []

    def odd(call):
        raise push.Refused(200, todo.pop(0)[1].encode())
    api.before = [odd]
    for first in range(0, len(answers), 8):
        n = len(answers[first:first + 8])
        seen += d.all(*([("add", "value-one"), ("remove", OTHER), ("test", "")] * 3)[:n])
    assert not todo and [s["error"] for s in seen] == ["bad_answer"] * len(answers), [s for s in seen if s["error"] != "bad_answer"]
    assert all(len(s["why"]) < 700 for s in seen) and any("could not be written back as it is" in s["why"] for s in seen)
    assert api.at() == before and not api.written and not api.wrong


def test_after_a_zone_was_written_all_of_it_is_compared(driven):
    d = driven("namecheap")
    api = d.api
    # Somebody adds a record right after: nothing is lost, and it is told.
    api.after = [lambda: len(api.written) == 1 and api.put("new." + ZONE, "A", "192.0.2.4")]
    said = d.one("add", "value-1")
    assert not said["error"] and said["what"].startswith("added; meanwhile") and "new" in [r[0].split(".")[0] for r in api.records.values()], said
    # Somebody writes the zone as it was before: ours is written again.
    before = dict(api.records)
    api.after = [lambda: len(api.written) == 2 and api.records.update() is None and (api.records.clear() or api.records.update(before))]
    said = d.one("add", "value-2")
    assert said["what"] == "added" and api.texts() == sorted([OTHER, "value-1", "value-2"]) and len(api.written) == 3, said
    # A record is dropped, one is changed, and the type of email: each is named.
    def damage():
        for key, r in list(api.records.items()):
            if r[1] == "NS":
                del api.records[key]
            if r[1] == "AAAA":
                r[3] = 1799
        api.email = "NONE"
    api.after = [damage]
    said = d.one("remove", "value-1")
    assert said["error"] == "bad_answer" and "sub NS" in said["why"] and "v6 AAAA" in said["why"] and "…" in said["why"], said


def test_a_zone_is_not_written_late_and_not_without_any_record(driven):
    d = driven("namecheap")
    api = d.api
    api.before = [lambda call: push.once(429, {"message": "later"}, {"Retry-After": "0"}, times=1)(call) if call.method == "POST" else None]
    posts = []
    api.before.insert(0, lambda call: posts.append(call) if call.method == "POST" else None)
    said = d.one("add", "value-one")
    assert said["error"] == "rate_limited" and len(posts) == 1 and not api.written, said
    api.before = []
    api.records = {}
    api.put(NAME, "TXT", "value-one")
    assert d.good("add", "value-one") == "was there already"
    said = d.one("remove", "value-one")
    assert said["error"] == "bad_answer" and "last record" in said["why"] and api.texts() == ["value-one"] and not api.written, said
