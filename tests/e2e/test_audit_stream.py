"""The audit log goes to a collector (rsyslog, lib/channels.py) as a stream: every entry, in the order of the log, whatever dies meanwhile."""
import json
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import wait
from lib.channels import Syslog


@pytest.fixture
def log():
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    server = Syslog(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


def streams(hub):
    return {s["name"]: s for s in hub.unix("GET", "/api/v1/audit-streams").json()["items"]}


def places(log, cef=False):
    """Of the entries that came, doubles left out, as they came."""
    return list(dict.fromkeys(int(re.search(r'place="(\d+)"', m["sd"])[1]) for m in log.messages() if m["app"] == "certwright" and ("CEF:0" in m["msg"]) == cef))


def entries(hub):
    return hub.unix("GET", "/api/v1/audit-export?limit=1000").json()["items"]


def whole(hub, log, **how):
    """All that there is has come; in its order, none left out."""
    n = len(entries(hub))
    return wait.until(lambda: (lambda p: len(p) >= n and p)(places(log, **how)), f"all {n} entries have come: {streams(hub)}", 20)


def test_every_entry_comes_in_order_whatever_dies(make_hub, log):
    hub = make_hub(start=False, channels={"siem": {"use": "syslog", "hosts": [f"127.0.0.1:{log.tls}"], "roots": str(log.roots)}})
    hub.start(failpoint="hub:audit.stream@2=kill")
    hub.ok("channel", "add", "siem", "--kind", "siem", "--set", f"server=tls://127.0.0.1:{log.tls}", "--unusual")
    hub.ok("team", "add", "blue")
    hub.ok("channel", "add", "blues", "--kind", "siem", "--team", "blue", "--set", f"server=tls://127.0.0.1:{log.tls}", "--unusual",
           "--agent", hub.unix("GET", "/api/v1/agents").json()["items"][0]["name"])
    hub.ok("audit", "stream", "add", "all", "--channel", "siem", "--from", "0")
    # The hub dies behind a batch that it has just made; what is noted meanwhile and after comes all the same.
    wait.until(lambda: places(log), "it has begun", 15)
    for i in range(5):
        hub.cw("team", "add", f"t{i}")
    wait.until(lambda: "role_died name=hub" in hub.life(), "the hub died", 15)
    wait.until(lambda: hub.cw("team", "add", "last").code == 0, "the hub is back", 15)
    got = whole(hub, log)
    assert got == list(range(len(got)))
    # Each is what the log says.
    said = {e["n"]: json.loads(e["entry"]) for e in entries(hub)}
    for m in log.messages():
        e = said[int(re.search(r'place="(\d+)"', m["sd"])[1])]
        assert f'action="{e["action"]}"' in m["sd"] and f'principal="{e["by"]}"' in m["sd"] and (not e["request"] or f'request="{e["request"]}"' in m["sd"]), m
        assert f'{e["action"]} {e["kind"]} {e["object"]} by {e["by"]}: {{' in m["msg"] and int(m["pri"]) // 8 == 16, m
    wait.until(lambda: streams(hub)["all"]["lag"] == 0, "nothing waits", 10)
    assert (streams(hub)["all"]["state"], streams(hub)["all"]["lost"]) == ("good", 0)
    assert 'certwright_audit_stream_lag_entries{stream="all"} 0' in hub.unix("GET", "/metrics").text
    # Whose channel is changed by somebody else would have the log of all.
    tokens = {role: hub.unix("POST", "/api/v1/tokens", {"name": f"{role}-{team}", "team": team, "role": role}).json()["token"] for role, team in (("administrator", "blue"), ("operator", "everyone"))}
    wish = {"name": "theirs", "channel": "blues"}
    assert hub.https("POST", "/api/v1/audit-streams", wish, token=tokens["administrator"]).status_code == 403
    assert hub.https("GET", "/api/v1/audit-streams", token=tokens["administrator"]).status_code == 403
    assert "audit_stream_lag_entries{" not in hub.https("GET", "/metrics", token=tokens["administrator"]).text
    refused = hub.unix("POST", "/api/v1/audit-streams", wish)
    assert refused.status_code == 400 and refused.json()["field"] == "/channel", refused.text
    assert hub.https("PATCH", "/api/v1/channels/siem", {"usual": True}, token=tokens["operator"]).status_code == 403
    assert hub.cw("channel", "remove", "siem").code != 0 and "certwright audit stream remove all" in hub.cw("channel", "remove", "siem").err
    hub.ok("audit", "stream", "remove", "all")
    hub.ok("channel", "remove", "siem")


@pytest.mark.one_engine
def test_one_that_does_not_get_through_keeps_no_other_waiting(make_hub, log):
    hub = make_hub(start=False, channels={"siem": {"use": "syslog", "hosts": [f"127.0.0.1:{log.tls}", "127.0.0.1:1"], "roots": str(log.roots)}})
    with open(hub.etc / "hub.yaml", "a") as f:
        f.write("audit:\n  keep_days: 30\n")
    hub.start()
    hub.ok("channel", "add", "bad", "--kind", "siem", "--set", "server=tls://127.0.0.1:1", "--unusual")
    hub.ok("channel", "add", "good", "--kind", "siem", "--set", f"server=tls://127.0.0.1:{log.tls}", "--unusual")
    hub.ok("audit", "stream", "add", "bad", "--channel", "bad", "--from", "0")
    hub.ok("audit", "stream", "add", "good", "--channel", "good", "--format", "cef", "--from", "0")
    got = whole(hub, log, cef=True)
    assert got == list(range(len(got)))
    bad = wait.until(lambda: (lambda s: s["failures"] and s)(streams(hub)["bad"]), "it has failed", 15)
    assert bad["state"] == "failing" and bad["place"] == 0 and bad["lag"] >= len(got) and bad["last_error"]["code"] == "unreachable", bad
    assert "bad" in hub.ok("audit", "stream", "list").out
    # What is kept no longer when its turn comes is lost to it, and said to be.
    hub.move_clock(40 * 86400)
    kept = wait.until(lambda: hub.unix("GET", "/api/v1/audit-export?limit=1").json()["kept_from"], "the old ones are gone", 20)
    hub.ok("channel", "edit", "bad", "--set", f"server=tls://127.0.0.1:{log.tls}")
    hub.move_clock(41 * 86400)
    wait.until(lambda: streams(hub)["bad"]["state"] == "good", "it is well again", 20)
    got = places(log)
    assert got == list(range(kept, kept + len(got))) and streams(hub)["bad"]["lost"] == kept >= len(range(bad["lag"])), (kept, got, bad)
