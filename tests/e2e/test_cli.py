"""The command line: its outputs, exit codes and words."""
import csv
import io
import json
import os
import re

import pytest

from lib import hub as hubs

WWW = "www.example.org"


@pytest.fixture(scope="module")
def hub(shared_hub):
    shared_hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={shared_hub.files}/out.pem")
    shared_hub.ok("cert", "add", WWW, "--to", "out")
    return shared_hub


def test_lists_come_as_a_table_json_csv_or_names(hub):
    table = hub.ok("cert", "list").out.splitlines()
    assert table[0].split()[:2] == ["NAME", "STATE"] and table[1].split()[:2] == [WWW, "served"]
    assert [c["name"] for c in hub.ok("cert", "list", "-o", "json").json()] == [WWW]
    rows = list(csv.DictReader(io.StringIO(hub.ok("cert", "list", "-o", "csv").out)))
    assert [(r["name"], r["state"], r["targets"]) for r in rows] == [(WWW, "served", "out")]
    assert hub.ok("cert", "list", "-o", "name").out == f"{WWW}\n"


@pytest.mark.parametrize("noun", ["cert", "issuer", "profile", "ca", "target", "agent", "job", "token", "audit"])
def test_every_list_speaks_json_csv_and_names(hub, noun):
    items = hub.ok(noun, "list", "-o", "json").json()
    assert isinstance(items, list)
    assert len(hub.ok(noun, "list", "-o", "name").out.split()) == len(items)
    assert len(list(csv.DictReader(io.StringIO(hub.ok(noun, "list", "-o", "csv").out)))) == len(items)


def test_cells_of_csv_cannot_break_out(hub):
    hub.ok("target", "add", "odd", "--connector", "files", "--set", f"leaf={hub.files}/o.pem", "--description", 'a "quoted", text; and more')
    rows = list(csv.DictReader(io.StringIO(hub.ok("target", "list", "-o", "csv").out)))
    assert [r["description"] for r in rows if r["name"] == "odd"] == ['a "quoted", text; and more']
    assert len(rows) == len(hub.ok("target", "list", "-o", "json").json())
    hub.ok("target", "remove", "odd")


def test_show_speaks_json_and_words(hub):
    assert hub.show("cert", WWW)["name"] == WWW
    assert re.search(rf"^name +{re.escape(WWW)}$", hub.ok("cert", "show", WWW).out, re.M)


def test_exit_code_2_is_for_what_cannot_be_understood(hub):
    for argv in (["cert", "ad"], ["crt", "add"], ["cert", "add"], ["cert", "add", WWW, "--nonsense"], ["cert", "add", WWW, "--timeout", "soon"],
                 ["cert", "list", "-o", "yaml"], ["cert", "add", "not a name"], ["run", "nothing"], ["cert", "show"]):
        done = hub.cw(*argv)
        assert done.code == 2, (argv, done)
        assert done.out == "" and done.err.startswith("certwright: ") and len(done.err.splitlines()) <= 2, (argv, done)


def test_what_the_hub_refuses_is_said_in_the_words_of_the_command_line(hub):
    for argv, words in ((["join-token", "add", "x", "--lifetime", "1s"], "--lifetime is 1s; it must be from 1m to 366d"),
                        (["join-token", "add", "x", "--uses", "0"], "--uses is 0; it must be from 1 to"),
                        (["cert", "add", WWW, "--wave", "0"], "--wave is 0; it must be from 1 to"),
                        (["target", "add", "x", "--connector", "files", "--endpoint", "gopher://a"], "gopher:// is not known; these are: smtp, imap, pop3, ftp, ldap, postgres, mysql, sieve, xmpp, nntp, rdp")):
        done = hub.cw(*argv)
        assert done.code == 2 and words in done.err, (argv, done)
    hub.ok("target", "add", "mx", "--connector", "files", "--set", f"fullchain={hub.files}/mx.pem", "--endpoint", "smtp://192.0.2.1,imap://[2001:db8::1],192.0.2.2,rdp://192.0.2.3")
    assert [e["port"] for e in hub.show("target", "mx")["endpoints"]] == [25, 143, 443, 3389]
    wrong = hub.unix("PATCH", "/api/v1/targets/mx", {"endpoints": [{"address": "192.0.2.1", "port": 25, "name": "a", "starttls": "gopher"}]})
    assert wrong.status_code == 400 and "/endpoints/0/starttls" in str(wrong.json()), wrong.json()
    hub.ok("target", "remove", "mx")


def test_exit_code_3_is_for_what_policy_refuses(hub):
    hub.ok("ca", "ceilings", "issuing", "--permit-dns", "example.org")
    done = hub.cw("cert", "add", "www.example.net")
    hub.ok("ca", "ceilings", "issuing", "--permit-dns", "any")
    hub.ok("cert", "remove", "www.example.net")
    assert done.code == 3 and "www.example.net" in done.err, done


def test_exit_code_4_is_for_what_is_not_there(hub):
    for argv in (["cert", "show", "no-such"], ["issuer", "remove", "no-such"], ["cert", "why", "no-such"], ["job", "show", "no-such"], ["ca", "show", "no-such"]):
        done = hub.cw(*argv)
        assert done.code == 4 and "no-such" in done.err, (argv, done)


def test_exit_code_6_is_for_what_failed_while_the_old_is_served(hub):
    (hub.files / "busy").mkdir()
    hub.ok("target", "add", "busy", "--connector", "files", "--set", f"leaf={hub.files}/busy")
    done = hub.cw("cert", "add", "busy.example.org", "--to", "busy")
    hub.ok("cert", "remove", "busy.example.org")
    hub.ok("target", "remove", "busy")
    assert done.code == 6 and "certwright cert why busy.example.org" in done.err, done


def test_exit_code_7_is_for_a_hub_that_is_not_there(hub):
    for env in ({"CERTWRIGHT_SOCKET": "/nowhere/admin.sock"}, {"CERTWRIGHT_URL": "https://127.0.0.1:1", "CERTWRIGHT_TOKEN_FILE": os.devnull}):
        done = hub.cw("status", env=env)
        assert done.code in (7, 2) and ("not reachable" in done.err or "token" in done.err), done
    assert hub.cw("status", "--socket", "/nowhere/admin.sock").code == 7


def test_failures_are_json_where_json_is_asked_for(hub):
    done = hub.cw("cert", "show", "no-such", "-o", "json")
    assert done.code == 4 and json.loads(done.out or done.err)["code"] == "not_found"


def test_the_command_line_works_over_https_with_a_token(hub, tmp_path):
    hub.ok("token", "add", "cli", "--out", tmp_path / "token")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    over = ("--url", hub.base, "--token-file", tmp_path / "token", "--ca-file", hub.fleet_roots)
    assert [c["name"] for c in hub.ok("cert", "list", "-o", "json", *over).json()] == [WWW]
    unknown = hub.cw("cert", "list", "--url", hub.base, "--token-file", tmp_path / "token")
    assert unknown.code == 7, "a hub whose root is not known is not trusted"
    (tmp_path / "token").write_text("wrong\n")
    refused = hub.cw("cert", "list", *over)
    assert refused.code == 3 and "token" in refused.err


def test_another_user_gets_nothing_on_the_admin_socket(hub):
    if os.geteuid() == 0:
        import subprocess
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", hubs.PROGRAM, "status", "--socket", str(hub.admin)],
                              capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 3 and "not for this user" in done.stderr, done
    assert hub.admin.stat().st_mode & 0o077 == 0


def test_status_is_one_sentence_when_all_is_well(hub):
    out = hub.ok("status").out
    assert out.startswith("All is well: ") and len(out.splitlines()) == 1


def test_why_is_one_sentence_with_what_comes_next(hub):
    out = hub.ok("cert", "why", WWW).out
    assert len(out.splitlines()) == 1 and re.search(r"is served \(version 1, until \S+\); next renewal \S+\.$", out)


def test_version_is_told_with_and_without_a_hub(hub):
    assert re.match(r"certwright \d+\.\d+", hub.ok("version").out)
    assert re.match(r"certwright \d+\.\d+", hub.ok("version", env={"CERTWRIGHT_SOCKET": "/nowhere"}).out)


@pytest.mark.one_engine
def test_help_describes_every_verb_of_every_noun(hub):
    main = hub.ok("help").out
    nouns = re.findall(r"certwright help ([\w-]+)", main)
    assert {"cert", "issuer", "target", "ca"} <= set(nouns)
    for noun in nouns:
        verbs = re.findall(rf"^  certwright {noun} ([a-z][\w-]*)", hub.ok("help", noun).out, re.M)
        assert verbs, noun
        for verb in verbs:
            assert f"certwright {noun} {verb}" in hub.ok("help", noun, verb).out
            assert hub.cw(noun, verb, "--help").code == 0


def test_the_shell_completes_nouns_verbs_options_and_names(hub):
    def offered(*words):
        return set(hub.ok("completion", "--", "bash", *words).out.split())
    assert "cert" in offered("ce") and "status" in offered("st")
    assert {"add", "renew"} <= offered("cert", "")
    assert "--to" in offered("cert", "add", "--t")
    assert "--ports" in offered("scan", "--p") and "--follow" in offered("scan", "show", "--f") and "pause" in offered("scan", "p")
    assert WWW in offered("cert", "show", "www")
    assert "out" in offered("cert", "add", "x.example.org", "--to", "o")


def test_waiting_ends_at_its_timeout_and_the_work_goes_on(make_hub):
    hub = make_hub(start=False)
    script = hub.files / "slow"
    script.write_text(f"#!/bin/sh\nwhile [ ! -e {hub.files}/go ]; do sleep 0.05; done\n")
    script.chmod(0o755)
    hub.agent_settings["commands"] = {"slow": [str(script)]}
    hub.write_agent()
    hub.start()
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"leaf={hub.files}/a.pem", "--set", "reload=slow")
    done = hub.cw("cert", "add", WWW, "--to", "out", "--timeout", "2s")
    assert done.code == 1 and "cert steps" in done.err, done
    (hub.files / "go").touch()
    assert hub.settled(WWW)["state"] == "done"


def test_steps_tell_the_whole_story_again(hub):
    steps = [s["step"] for s in hub.ok("cert", "steps", WWW, "-o", "json").json()]
    for wanted in ("added", "attempt", "key", "issued", "deploy", "install", "done"):
        assert wanted in steps, steps


def test_what_is_in_use_is_not_removed(hub):
    for argv in (["issuer", "remove", "ca"], ["target", "remove", "out"], ["profile", "remove", "tls-server"]):
        done = hub.cw(*argv)
        assert done.code == 1 and WWW in done.err, (argv, done)
        hub.ok(argv[0], "show", argv[2])


def test_a_control_character_gets_in_nowhere(hub):
    done = hub.cw("target", "add", "odd", "--connector", "files", "--set", f"leaf={hub.files}/o.pem", "--description", "two\nlines")
    assert done.code == 2 and "--description" in done.err
