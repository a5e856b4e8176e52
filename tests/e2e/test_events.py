"""What happens is told as it happens: by pages, by a long poll, as server-sent events, and on the command line."""
import json
import signal
import subprocess
import threading
import time

import requests

from lib import wait
from lib.hub import PROGRAM

WWW = "www.example.org"


def events(hub, after=0, **more):
    query = "&".join(f"{k}={v}" for k, v in {"after": after, **more}.items())
    return hub.https("GET", f"/api/v1/events?{query}").json()


def told(hub, kind, after=0):
    """The events of a kind after a number; waits for one."""
    return wait.until(lambda: [e for e in events(hub, after)["items"] if e["event"] == kind], f"{kind} is told", 15)


def test_what_happens_is_told_in_order_to_who_asks_and_to_who_waits(site, nginx):
    start = events(site, -1)["last"]
    waiting = []
    asking = threading.Thread(target=lambda: waiting.append(events(site, start, wait=30)))
    asking.start()
    site.ok("cert", "add", WWW, "--to", "nginx")
    asking.join(20)
    assert waiting and waiting[0]["items"][0]["event"] == "managed-certificate.create", waiting
    served = told(site, "certificate.deployed", start)[0]
    target = site.unix("GET", "/api/v1/targets").json()["items"][0]
    assert (served["severity"], served["object_id"], served["object"]) == ("info", target["id"], target["name"]), served
    kinds = [e["event"] for e in events(site, start)["items"]]
    assert kinds == ["managed-certificate.create", "certificate.issued", "certificate.deployed"], kinds
    numbers = [e["number"] for e in events(site, start)["items"]]
    assert numbers == sorted(set(numbers)) and events(site, start, limit=1)["last"] == numbers[0]
    assert json.loads(served["detail"])["version"] == 1
    nginx.command("reload", "exit 1")
    assert site.cw("cert", "renew", WWW).code != 0
    failed = told(site, "deployment.failed", numbers[-1])[0]
    assert failed["severity"] == "error"
    out = site.ok("event", "list", "--after", start).out.splitlines()
    assert len(out) >= 5 and f"target {target['name']} does not serve the new certificate" in out[-1], out
    assert site.cw("event", "list", "--after", "x").code == 2


def test_a_browser_gets_them_as_server_sent_events_and_comes_again(site):
    def get(last=None, **more):
        with requests.Session() as s:
            s.trust_env, s.verify = False, str(site.fleet_roots)
            headers = {"Authorization": f"Bearer {site.token}", **({"Last-Event-ID": str(last)} if last is not None else {})}
            return s.get(site.base + "/api/v1/events/stream", params=more, headers=headers, timeout=40)
    first = get()
    assert first.headers["content-type"] == "text/event-stream" and "data:" not in first.text, "it begins now"
    last = int(first.text.split("id: ")[-1])
    said = []
    browser = threading.Thread(target=lambda: said.append(get(last).text))
    browser.start()
    time.sleep(0.3)
    site.ok("cert", "add", "a.example.org", "--no-wait")
    browser.join(20)
    lines = said[0].splitlines()
    data = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
    assert data["event"] == "managed-certificate.create" and f"id: {data['number']}" in lines, said
    assert get(0, after=5).text.count("data: ") >= 1, "the header is what counts"
    assert get("x").status_code == 400 and get(-2).status_code == 400
    assert site.https("GET", "/api/v1/events/stream", token=False).status_code == 401


def test_an_agent_that_stops_calling_is_told_once_and_once_when_it_is_back(make_hub, make_remote):
    hub = make_hub()
    web = make_remote(hub, "web1")
    web.kill()
    hub.move_clock(130)
    silent = told(hub, "agent.silent")
    assert [e["object"] for e in silent] == ["web1"] and silent[0]["severity"] == "error", silent
    time.sleep(6)
    assert len(told(hub, "agent.silent")) == 1
    web.start()
    back = told(hub, "agent.back")
    assert [e["object"] for e in back] == ["web1"]


def test_following_ends_with_ctrl_c(site):
    child = subprocess.Popen([PROGRAM, "event", "list", "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={"PATH": "/usr/bin:/bin", "CERTWRIGHT_SOCKET": str(site.admin)})
    time.sleep(0.5)
    site.ok("cert", "add", "b.example.org", "--no-wait")
    assert "managed-certificate b.example.org is managed" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    assert child.wait(5) in (130, -signal.SIGINT)
