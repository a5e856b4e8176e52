"""Scans at the hub: what an agent finds is in the inventory, batch by batch, whatever dies in between; agents share a scan, each within
its own list; what nobody may scan is refused."""
import json
import re
import signal
import subprocess

import pytest

from lib import pki, process, wait
from lib.hub import PROGRAM

HOSTS = ["127.0.70.1", "127.0.70.9", "127.0.71.200"]
LIST = {"networks": ["127.0.64.0/18"], "rate": 5000}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The same port on three addresses, each with a certificate of its own; the first has one for each kind of key."""
    folder, port, running = tmp_path_factory.mktemp("servers"), wait.free_port(), []
    for host in HOSTS:
        cert, key = pki.self_signed([f"scan{host.split('.')[3]}.example.org"])
        (folder / host).write_bytes(pki.pem(cert) + pki.key_pem(key))
        also = []
        if host == HOSTS[0]:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=rsa1.example.org", "-addext",
                            "subjectAltName=DNS:rsa1.example.org", "-keyout", folder / "rsa.key", "-out", folder / "rsa.pem"], check=True, capture_output=True)
            also = ["-dcert", folder / "rsa.pem", "-dkey", folder / "rsa.key"]
        running.append(process.start(["openssl", "s_server", "-quiet", "-accept", f"{host}:{port}", "-cert", folder / host, "-key", folder / host, *also],
                                     folder / "log"))
    for host in HOSTS:
        wait.until(lambda: subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}"], input=b"", capture_output=True).returncode == 0,
                   f"{host} answers")
    yield port
    for child in running:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def hub(hub_maker):
    hub = hub_maker()
    hub.agent_settings["scan"] = LIST
    hub.write_agent()
    return hub.restart()


def names(hub):
    return {n for c in hub.unix("GET", "/api/v1/certificates?where=source%3Dscan&limit=100").json()["items"] for n in c["names"]}


def scan(hub, name):
    return hub.show("scan", name)


def far(hub, name, least):
    return wait.until(lambda: (s := scan(hub, name))["done"] >= least and s, f"{name} has asked {least}", 30)


def ended(hub, name):
    return wait.until(lambda: (s := scan(hub, name))["state"] != "running" and s, f"{name} is at its end", 40, 0.1)


def test_what_a_scan_finds_is_in_the_inventory_and_a_list_says_whose_it_is(hub, servers, tmp_path):
    done = hub.ok("scan", "127.0.70.0/23", "nowhere.invalid", "--ports", servers, "--exclude", "127.0.70.9", "--as", "first")
    assert "first: done.  513 endpoints: 2 with a certificate" in done.out and "nowhere.invalid: no address" in done.out, done
    assert {"scan1.example.org", "rsa1.example.org", "scan200.example.org"} <= names(hub) and "scan9.example.org" not in names(hub)
    s = scan(hub, "first")
    assert (s["done"], s["total"], s["found"], s["new_certificates"], s["skipped"]) == (513, 513, 2, 3, 1), s
    seen = hub.unix("GET", f"/api/v1/endpoints?at=127.0.71.200:{servers}").json()["items"]
    assert [(e["result"], e["agent"]) for e in seen] == [("ok", "host1")], seen
    path = tmp_path / "owners.csv"
    path.write_text(f"place,owner\n127.0.71.200:{servers},ops\n127.0.71.200:1,nobody\n")
    hub.ok("import", path)
    assert hub.ok("cert", "show", seen[0]["fingerprint"], "-o", "json").json()["owner"] == "ops"
    done = hub.ok("scan", "start", "first")
    assert "2 with a certificate" in done.out and "0 certificates are new" in done.out, done
    assert "first  done" in hub.ok("scan", "list").out


def test_a_name_is_asked_for_and_details_are_kept_with_the_endpoint(hub, servers):
    hub.ok("scan", "127.0.70.1", "--ports", servers, "--name", "shop.example.org", "--details", "--verify", "--as", "named")
    seen = [e for e in hub.unix("GET", f"/api/v1/endpoints?at=127.0.70.1:{servers}").json()["items"] if e.get("name") == "shop.example.org"]
    assert [e["result"] for e in seen] == ["ok"], seen
    one = hub.unix("GET", f"/api/v1/endpoints/{seen[0]['id']}").json()
    assert {s["position"] for s in one["showed"]} == {0} and len(one["showed"]) == 2, one
    assert hub.ok("cert", "show", seen[0]["fingerprint"], "-o", "json").json()["verified"]
    options = json.loads(one["options"]) if isinstance(one["options"], str) else one["options"]
    assert options["verified"] and "TLSv1.3" in str(options["versions"]) and len(options["other"]) == 64, options


def test_what_no_agent_may_scan_is_refused_with_where_to_grant_it(hub, servers):
    done = hub.cw("scan", "10.0.0.0/16", "--ports", servers)
    assert done.code == 3 and "no agent may scan 10.0.0.0/16: add it to networks under scan in the agent.yaml" in done.err, done
    done = hub.cw("scan", "127.0.0.0/16", "--agent", "host1")
    assert done.code == 3 and "agent host1 may not scan 127.0.0.0/16: its agent.yaml permits 127.0.64.0/18" in done.err, done
    for wrong, why in (("10.0.0.1/8", "10.0.0.1/8 is no network"), ("a b", "a b is no network"), ("x@y", "x@y is no network")):
        done = hub.cw("scan", wrong)
        assert done.code == 2 and why in done.err, done
    for port in ("0", "70000", "9-1", "443/gopher", "https"):
        done = hub.cw("scan", "127.0.64.1", "--ports", port)
        assert done.code == 2 and port in done.err, done


def test_a_scan_is_paused_and_goes_on_where_it_was(hub):
    hub.ok("scan", "127.0.80.0/21", "--ports", "9", "--rate", "700", "--as", "halting", "--no-wait")
    far(hub, "halting", 300)
    hub.ok("scan", "pause", "halting")
    before = scan(hub, "halting")
    assert before["state"] == "paused" and before["done"] < 2048, before
    wait.until(lambda: not any(j["kind"] == "scan" and j["state"] == "leased" for j in hub.jobs()), "the agent has stopped")
    hub.ok("scan", "resume", "halting")
    assert scan(hub, "halting")["done"] >= before["done"]
    hub.ok("scan", "stop", "halting")
    s = scan(hub, "halting")
    assert s["state"] == "stopped" and s["done"] < s["total"] == 2048, s
    done = hub.cw("scan", "resume", "halting")
    assert done.code == 1 and "certwright scan start halting" in done.err, done
    hub.ok("scan", "remove", "halting")
    assert hub.cw("scan", "show", "halting").code == 4


def test_it_survives_the_death_of_the_agent_and_of_everything(hub, servers):
    hub.ok("scan", "127.0.64.0/21", "--ports", servers, "--rate", "700", "--as", "tough", "--no-wait")
    before = far(hub, "tough", 200)["done"]
    hub.kill_role("agent")
    after = far(hub, "tough", before + 1)["done"]
    hub.kill()
    hub.start()
    assert before < after <= scan(hub, "tough")["done"] < 2048
    s = ended(hub, "tough")
    assert (s["state"], s["done"], s["total"]) == ("done", 2048, 2048) and s["found"] >= 3, s
    assert {"scan1.example.org", "scan9.example.org", "scan200.example.org"} <= names(hub)


def test_a_batch_whose_answer_was_lost_counts_once(hub):
    hub.stop()
    hub.start(failpoint="hub:core.scan_took@2=kill")
    hub.ok("scan", "127.0.112.0/22", "--ports", "9", "--rate", "700", "--as", "once", "--no-wait")
    s = ended(hub, "once")
    assert " failpoint name=core.scan_took " in hub.text()
    assert (s["state"], s["done"], s["refused"]) == ("done", 1024, 1024), s


def test_ctrl_c_leaves_and_says_how_to_look_on(hub):
    child = subprocess.Popen([PROGRAM, "scan", "127.0.96.0/21", "--ports", "9", "--rate", "500", "--as", "left"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env={"CERTWRIGHT_SOCKET": str(hub.admin)})
    wait.until(lambda: hub.cw("scan", "show", "left").code == 0, "it has begun")
    far(hub, "left", 10)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=10)
    assert child.returncode == 130 and "certwright scan show left --follow" in err, err
    assert scan(hub, "left")["state"] == "running"
    hub.ok("scan", "stop", "left")


def test_several_agents_share_a_scan_and_a_schedule_begins_it_again(hub, make_remote, servers):
    make_remote(hub, "web1", scan={"networks": ["127.0.70.0/23"], "ports": [servers], "rate": 5000}, networks={"probe": ["127.0.0.0/8"]})
    wait.until(lambda: hub.cw("scan", "127.0.70.0/23", "--ports", servers, "--agent", "host1", "--agent", "web1", "--every", "1d", "--as",
                              "both").code == 0, "web1 has told what it permits", 10)
    s = scan(hub, "both")
    assert s["done"] == 512 and {p["agent"]: p["done"] for p in s["parts"]} == {"host1": 256, "web1": 256}, s
    assert s["run"] == 1 and "next_at" in s
    done = hub.ok("scan", "127.0.70.0/24", "--ports", servers, "--as", "nearest", "-o", "json").json()
    assert [p["agent"] for p in done["parts"]] == ["web1"], done
    hub.move_clock(86500)
    s = wait.until(lambda: (s := scan(hub, "both"))["run"] == 2 and s, "it is begun again", 20)
    assert ended(hub, "both")["state"] == "done"
    hub.move_clock(0)


def test_a_scheduled_scan_that_nobody_may_do_any_more_is_told_by_status(hub, servers):
    hub.ok("scan", "127.0.70.0/30", "--ports", servers, "--agent", "host1", "--every", "1h", "--as", "hourly")
    hub.agent_settings["scan"] = {**LIST, "networks": ["127.0.99.0/24"]}
    hub.write_agent()
    hub.restart()
    hub.move_clock(3700)
    wait.until(lambda: scan(hub, "hourly")["state"] == "failed", "it cannot begin", 20)
    said = hub.ok("status").out  # by the hub where the agent has told its new list, else by the agent
    assert re.search(r"scan hourly has failed: .*127\.0\.70\.0/30", said), said
    hub.move_clock(0)
    hub.ok("scan", "stop", "hourly")
    assert "hourly" not in hub.ok("status").out
