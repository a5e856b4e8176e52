"""Network scans by an agent: real servers of many kinds are found, whatever is spoken before TLS; what the agent's own list does not
grant is not asked; nothing is lost where answers are, or a process ends."""
import base64
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from lib import scanned, wait
from lib.taker import Taker

pytestmark = pytest.mark.one_engine


def place():
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def servers():
    if os.geteuid() != 0:
        pytest.skip("some of them start as root only")
    all_ = scanned.All(place())
    yield all_
    all_.stop()


@pytest.fixture(scope="module")
def taker():
    folder = place()
    one = Taker(folder, scan={"networks": ["127.0.0.0/8", "::1/128"], "rate": 5000})
    one.start()
    yield one
    one.close()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def fresh(taker):
    taker.batches, taker.results, taker.jobs, taker.lose, taker.away = [], {}, {}, 0, False
    yield


def told(taker):
    """The fingerprints of the certificates that were told."""
    return {hashlib.sha256(base64.b64decode(c["der"])).hexdigest() for b in taker.batches for c in b["certificates"]}


def test_real_servers_are_all_found(taker, servers):
    expected = servers.expected()
    taker.scan("real", [f"{scanned.NAME}@127.0.0.1"], sorted(expected), details=True, verify=True, timeout_ms=20000)
    result = taker.result("real", 60)
    assert result["ok"], result
    of = {p.split("/")[0]: type(getattr(server, "one", server)).__name__ for server in servers.servers for p in server.ports()}
    found, trouble = {}, []
    for o in taker.seen():
        port = f"{o['port']}/{o['starttls']}" if o.get("starttls") else str(o["port"])
        if o["state"] != "tls" or o["name"] != scanned.NAME or o["address"] != "127.0.0.1":
            trouble.append((of[str(o["port"])], o))
        found[port] = {chain["fingerprints"][0] for chain in o.get("chains", [])}
    assert not trouble, "\n".join(f"{who}: {o}" for who, o in trouble)
    assert found == expected
    assert set().union(*expected.values()) <= told(taker)
    by_kind = {}
    for o in taker.seen():
        by_kind.setdefault(of[str(o["port"])], []).append(o)
    [new], [old], [gnutls], [nginx] = by_kind["OpensslNew"], by_kind["Openssl"], by_kind["Gnutls"], by_kind["Nginx"]
    assert new["versions"] == ["TLSv1.3"] and new["groups"] == ["secp384r1"] and new["chains"][0]["group"] == "secp384r1"
    assert old["versions"] == ["TLSv1"] and old["asks_certificate"] and old["chains"][0]["version"] == "TLSv1"
    assert gnutls["versions"] == ["TLSv1.3"] and gnutls["groups"] == ["secp521r1"]
    assert nginx["versions"] == ["TLSv1.2", "TLSv1.3"] and nginx["alpn"] == "h2" and nginx["verified"]
    assert taker.batches[-1]["position"] == taker.batches[-1]["total"] == len(expected)


def test_only_what_the_agents_list_grants_is_asked(taker):
    for job, targets, ports in (("net", ["192.0.2.0/24"], ["443"]), ("wide", ["127.0.0.0/7"], ["443"])):
        taker.scan(job, targets, ports)
        result = taker.result(job)
        assert not result["ok"] and result["error"]["code"] in ("not_granted", "invalid"), result
    assert "agent.yaml" in taker.results["net"]["error"]["text"]
    taker.scan("name", ["192.0.2.1@127.0.0.1"], ["443"])
    assert taker.result("name")["error"]["code"] == "invalid"


def test_what_a_lost_answer_carried_comes_again_and_counts_once(taker):
    taker.lose = 2
    taker.scan("lost", ["127.0.9.0/24", "127.0.0.1"], ["9"])
    assert taker.result("lost")["ok"]
    assert taker.lose == 0
    assert sum(b["probed"] for b in taker.batches) == 257
    assert [o["state"] for o in taker.seen()] == ["refused"]  # the one that was asked for singly


def test_a_scan_goes_on_where_the_probe_and_the_agent_died(taker):
    taker.scan("died", ["127.0.16.0/21"], ["9"], rate=800)
    wait.until(lambda: taker.batches, "something is told", 10)
    os.kill(taker.pid("probe"), signal.SIGKILL)
    before = len(taker.batches)
    wait.until(lambda: len(taker.batches) > before, "the next probe goes on", 15)
    assert "role_died name=probe" in taker.text() or "role_ended name=probe" in taker.text() or taker.text().count("role_started name=probe") > 1
    taker.stop()
    position = taker.batches[-1]["position"]
    assert 0 < position < 2048
    taker.start()
    assert taker.result("died", 30)["ok"]
    assert taker.batches[-1]["position"] == 2048
    assert 2048 <= sum(b["probed"] for b in taker.batches) < 2048 + 1500


def test_a_scan_that_is_taken_back_ends(taker):
    taker.scan("back", ["127.0.64.0/18"], ["9"], rate=300)
    wait.until(lambda: taker.batches, "something is told", 10)
    with taker.changed:
        taker.drop = {"back"}
        taker.changed.notify_all()
    result = taker.result("back")
    assert not result["ok"] and result["error"]["code"] == "fenced"
    assert taker.batches[-1]["position"] < 16384
