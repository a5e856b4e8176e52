"""Scans at the hub: what an agent finds is in the inventory, batch by batch, whatever dies in between; agents share a scan, each within
its own list; what nobody may scan is refused."""
import csv
import json
import re
import signal
import socketserver
import ssl
import subprocess
import threading

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
    hub.restart()
    wait.until(lambda: hub.cw("scan", "127.0.64.0", "--ports", "9", "--as", "first").code == 0, "the agent has told what it permits", 10)
    hub.ok("scan", "remove", "first")
    return hub


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
    assert f"{seen[0]['fingerprint'][:12]}: owner ops" in hub.ok("import", path, "--dry-run").out, "of which certificate"
    hub.ok("import", path)
    assert hub.ok("cert", "show", seen[0]["fingerprint"], "-o", "json").json()["owner"] == "ops"
    rows = list(csv.DictReader(hub.ok("cert", "list", "--where", "name = scan200.example.org", "-o", "csv").out.splitlines()))
    assert [r["owner"] for r in rows] == ["ops"], rows
    done = hub.ok("scan", "start", "first")
    assert "2 with a certificate" in done.out and "0 certificates are new" in done.out, done
    assert "first  done" in hub.ok("scan", "list").out


def test_what_was_found_in_the_wrong_network_is_forgotten(hub, servers):
    hub.ok("scan", "127.0.71.200", "127.0.70.1", "--ports", servers, "--as", "wrong")
    assert {"scan200.example.org", "scan1.example.org"} <= names(hub)
    assert "endpoints would go" in hub.ok("endpoint", "forget", "127.0.71.0/24", "--dry-run").out and "scan200.example.org" in names(hub)
    refused = hub.cw("endpoint", "forget", "127.0.71.0/24")
    assert refused.code == 2 and "--yes" in refused.err
    done = hub.ok("endpoint", "forget", "127.0.71.0/24", "--yes").out
    assert "and 1 certificates are gone" in done, done
    assert "scan200.example.org" not in names(hub) and {"scan1.example.org", "rsa1.example.org"} <= names(hub)
    assert not hub.unix("GET", f"/api/v1/endpoints?at=127.0.71.200:{servers}").json()["items"]
    assert hub.ok("endpoint", "forget", "127.0.71.0/24", "--yes").out.startswith("0 endpoints")
    entry = hub.ok("audit", "list", "--action", "endpoint.delete", "-o", "json").json()[0]
    assert json.loads(entry["detail"])["at"] == "127.0.71.0/24"
    # It can be found again.
    hub.ok("scan", "start", "wrong")
    assert "scan200.example.org" in names(hub)


def test_a_name_is_asked_for_and_details_are_kept_with_the_endpoint(hub, servers):
    hub.ok("scan", "127.0.70.1", "--ports", servers, "--name", "shop.example.org", "--details", "--verify", "--as", "named")
    seen = [e for e in hub.unix("GET", f"/api/v1/endpoints?at=127.0.70.1:{servers}").json()["items"] if e.get("name") == "shop.example.org"]
    assert [e["result"] for e in seen] == ["ok"], seen
    one = hub.unix("GET", f"/api/v1/endpoints/{seen[0]['id']}").json()
    assert {s["position"] for s in one["showed"]} == {0} and len(one["showed"]) == 2, one
    assert hub.ok("cert", "show", seen[0]["fingerprint"], "-o", "json").json()["verified"]
    options = json.loads(one["options"]) if isinstance(one["options"], str) else one["options"]
    assert options["verified"] and "TLSv1.3" in str(options["versions"]) and len(options["other"]) == 64, options
    # What a later scan does not ask stays.
    hub.ok("scan", "127.0.70.1", "--ports", servers, "--name", "shop.example.org", "--as", "plain")
    again = hub.unix("GET", f"/api/v1/endpoints/{seen[0]['id']}").json()
    assert json.loads(again["options"]) == options, again
    # Neither of the two is for that name.
    wait.until(lambda: {s["fingerprint"] for s in one["showed"]} <=
               {f["fingerprint"] for f in hub.ok("finding", "list", "name_mismatch", "-o", "json").json()}, "both are told", 10)


class PostQuantum(socketserver.BaseRequestHandler):
    """TLS 1.3 with X25519MLKEM768 alone: asks for a share of it who offers it (RFC 8446, 4.1.4), and refuses others."""
    RETRY = bytes.fromhex("160303003802000034 0303 cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c 00 1301 00 000c 002b00020304 0033000211ec")

    def handle(self):
        hello = self.request.recv(4096)
        self.request.sendall(self.RETRY if bytes.fromhex("002b0003020304") in hello and b"\x11\xec" in hello else bytes.fromhex("15030300020228"))


@pytest.mark.one_engine
def test_a_server_of_post_quantum_groups_alone_is_told_with_the_remedy(hub):
    if not ssl.OPENSSL_VERSION.startswith("OpenSSL 3.0"):
        pytest.skip("this OpenSSL reads it")
    with socketserver.ThreadingTCPServer(("127.0.70.77", 0), PostQuantum) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        done = hub.ok("scan", "127.0.70.77", "--ports", port, "--as", "pq")
        server.shutdown()
    assert "takes no key exchange but X25519MLKEM768, which OpenSSL 3.0." in done.out and "host has OpenSSL 3.5" in done.out, done
    seen = hub.unix("GET", f"/api/v1/endpoints?at=127.0.70.77:{port}").json()["items"]
    assert [(e["result"], "was not read" in e["error"]) for e in seen] == [("unread", True)], seen
    options = json.loads(hub.unix("GET", f"/api/v1/endpoints/{seen[0]['id']}").json()["options"])
    assert (options["versions"], options["groups"]) == (["TLSv1.3"], ["X25519MLKEM768"]), options


def test_what_no_agent_may_scan_is_refused_with_where_to_grant_it(hub, servers):
    done = hub.cw("scan", "10.0.0.0/16", "--ports", servers)
    assert done.code == 3 and "no agent may scan 10.0.0.0/16: add it to networks under scan in the agent.yaml" in done.err, done
    done = hub.cw("scan", "127.0.0.0/16", "--agent", "host1")
    assert done.code == 3 and "agent host1 may not scan 127.0.0.0/16: its agent.yaml permits 127.0.64.0/18" in done.err, done
    for wide in ("fd00::/64", "www.example.org@fd00::/80"):
        done = hub.cw("scan", wide)
        assert done.code == 2 and f"{wide} is too large: one scan asks at most 2^40 endpoints" in done.err, done
    for wrong, why in (("10.0.0.1/8", "10.0.0.1/8 is no network"), ("a b", "a b is no network"), ("x@y", "x@y is no network")):
        done = hub.cw("scan", wrong)
        assert done.code == 2 and why in done.err, done
    for port in ("0", "70000", "9-1", "443/gopher", "https"):
        done = hub.cw("scan", "127.0.64.1", "--ports", port)
        assert done.code == 2 and port in done.err, done


def test_a_scan_is_paused_and_goes_on_where_it_was(hub):
    hub.ok("scan", "127.0.80.0/21", "--ports", "9", "--rate", "700", "--as", "halting", "--no-wait")
    far(hub, "halting", 300)
    assert "halting is paused; it goes on after: certwright scan resume halting." in hub.ok("scan", "pause", "halting").out
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


def test_thousands_of_targets_and_long_names_are_listed(hub):
    """A list of addresses, as IPv6 has them, is long; a name with its network may be longer than a name."""
    long = ".".join(["a" * 60] * 4) + "@127.0.70.200"
    some = [f"127.0.{64 + i // 250}.{i % 250 + 1}" for i in range(3000)]
    hub.ok("scan", *some, long, "--ports", "9", "--as", "many")
    s = scan(hub, "many")
    assert s["done"] == 3001 and [p["targets"] for p in s["parts"]] == [3001], s
    assert [x["spec"]["targets"][-1] for x in hub.ok("scan", "list", "-o", "json").json() if x["name"] == "many"] == [long]


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


def test_a_scan_is_changed_and_the_run_under_way_goes_on_as_it_was(hub, servers):
    hub.ok("scan", "127.0.80.0/21", "--ports", "9", "--rate", "700", "--agent", "host1", "--as", "changed", "--no-wait")
    far(hub, "changed", 100)
    done = hub.ok("scan", "edit", "changed", "--target", "127.0.70.1,127.0.70.9", "--ports", servers, "--exclude", "127.0.70.9", "--every", "1h")
    assert "changed goes on as it was begun" in done.out, done
    hub.ok("scan", "pause", "changed")
    hub.ok("scan", "resume", "changed")
    s = ended(hub, "changed")
    assert (s["done"], s["refused"], s["spec"]["ports"]) == (2048, 2048, [str(servers)]) and "next_at" in s, s
    s = hub.ok("scan", "start", "changed", "-o", "json").json()
    assert (s["done"], s["found"], s["skipped"], s["run"]) == (2, 1, 1, 2), s
    hub.ok("scan", "edit", "changed", "--once", "--rate", "50", "--exclude", "")
    s = scan(hub, "changed")
    assert "next_at" not in s and s["spec"]["rate"] == 50 and not s["spec"].get("exclude"), s
    for wrong, code in ((["--target", "10.0.0.0/8"], 3), (["--agent", "nobody"], 4), (["--every", "10"], 2), (["--ports", "0"], 2), ([], 2)):
        assert hub.cw("scan", "edit", "changed", *wrong).code == code, wrong
    assert hub.cw("scan", "edit", "nothing", "--once").code == 4 and scan(hub, "changed")["spec"] == s["spec"]


def test_a_scan_of_names_without_an_address_alone_has_failed(hub):
    done = hub.cw("scan", "lists.invalid", "--ports", "443,8443", "--as", "mistyped")
    assert done.code == 3 and done.err.strip().endswith("mistyped: nothing was looked at: lists.invalid: no address"), done
    assert scan(hub, "mistyped")["state"] == "failed"


def test_a_part_whose_agent_is_gone_goes_to_another(hub, make_remote, servers):
    """Both permit it, the one that is nearer begins; the other one asks what is left."""
    gone = make_remote(hub, "gone", scan={"networks": ["127.0.70.0/24"], "ports": ["1-65535"], "rate": 5000}, networks={"probe": ["127.0.0.0/8"]})
    wait.until(lambda: hub.cw("scan", "127.0.70.0/24", "--ports", "9", "--rate", "120", "--as", "moving", "--no-wait").code == 0 and
               scan(hub, "moving")["parts"][0]["agent"] == "gone" or hub.cw("scan", "remove", "moving").code < 0, "it is asked for", 10)
    before = far(hub, "moving", 50)["done"]
    gone.kill()
    hub.move_clock(200)
    hub.ok("target", "discover", "--agent", "host1")  # it calls: that it is there is known
    hub.move_clock(261)
    wait.until(lambda: scan(hub, "moving")["parts"][0]["agent"] == "host1", "host1 goes on", 20)
    s = ended(hub, "moving")
    assert (s["state"], s["done"]) == ("done", 256) and s["refused"] <= 256 + 60 and before < 256, s
    # One that does not call is not chosen, though it is nearer.
    s = hub.ok("scan", "127.0.70.1", "--ports", servers, "--as", "chosen", "-o", "json").json()
    assert [p["agent"] for p in s["parts"]] == ["host1"], s
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
