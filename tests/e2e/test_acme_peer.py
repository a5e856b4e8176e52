"""What Debian 12's Pebble does not have, against the small peer of lib/acme_peer.py: renewal information, profiles, several chains."""

import hashlib
import shutil
import socket
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from lib import pki, wait
from lib.acme_peer import AcmePeer, account_label, ari_id
from lib.knot import Knot
from test_acme import WWW, current

NAMES = ["--grant", "127.0.0.0/8", "--via", "listener"]
DAY = 86400


@pytest.fixture
def peer(http_port):
    folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    made = AcmePeer(folder, http_port, profiles={"classic": 90, "shortlived": 6})
    yield made
    made.stop()
    shutil.rmtree(folder)


def issuer(hub, peer, *more, name="peer"):
    hub.ok("issuer", "add", name, "--acme", peer.directory, "--agree", "--roots", peer.roots, *NAMES, *more)


def add(hub, name=WWW, *more, code=0):
    done = hub.cw("cert", "add", name, "--issuer", "peer", *more, timeout=40)
    assert done.code == code, done
    return done


def key_hash(cert):
    return hashlib.sha256(cert.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def test_the_cas_window_becomes_the_time_of_renewal_and_the_order_says_what_it_replaces(make_hub, peer):
    hub = make_hub()
    issuer(hub, peer)
    for name in (WWW, "api.example.org"):
        add(hub, name)
    first = peer.certs["1"]
    peer.window = (5 * DAY, 6 * DAY)
    hub.move_clock(3 * 3600)
    wait.until(lambda: peer.asked == 2, "both were asked about", 20)
    wait.until(lambda: "suggests to renew version 1" in hub.ok("cert", "steps", WWW).out, "it is told", 10)
    assert sum(j["kind"] == "renewal_info" for j in hub.jobs()) == 1  # one job for both
    assert "https://acme.example.com/docs/ari" in hub.ok("cert", "steps", WWW).out
    hub.move_clock(6 * DAY + 3600)
    wait.until(lambda: current(hub)["number"] == 2, "it was renewed in the window", 30)
    assert [o["replaces"] for o in peer.orders.values() if o["replaces"]].count(ari_id(first)) == 1
    # What was replaced is not named again, nor is anything of another account.
    hub.cw("cert", "rollback", WWW)
    hub.cw("cert", "resume", WWW)
    hub.ok("cert", "renew", WWW, timeout=40)
    assert [o["replaces"] for o in peer.orders.values()][-1] is None


def test_an_order_does_without_where_the_ca_says_already_replaced(make_hub, peer):
    hub = make_hub()
    issuer(hub, peer)
    add(hub)
    peer.refuse_replaces = True
    hub.ok("cert", "renew", WWW, timeout=40)
    orders = [(o["status"], bool(o["replaces"])) for o in peer.orders.values()]
    assert orders == [("valid", False), ("refused", True), ("valid", False)], orders
    assert current(hub)["number"] == 2


def test_profiles_and_chains_are_chosen(make_hub, peer):
    hub = make_hub()
    issuer(hub, peer, "--acme-profile", "classic")
    add(hub)
    assert peer.orders["1"]["profile"] == "classic"
    add(hub, "short.example.org", "--acme-profile", "shortlived", "--preferred-chain", "Peer root two")
    assert list(peer.orders.values())[-1]["profile"] == "shortlived"
    chain = pki.read_chain(hub.ok("cert", "export", "short.example.org").out)
    assert chain[1].issuer == peer.second.cert.subject and (chain[0].not_valid_after - chain[0].not_valid_before).days == 6
    spki = key_hash(peer.second.cert)
    hub.ok("issuer", "edit", "peer", "--preferred-chain", f"sha256:{spki}")
    hub.ok("cert", "renew", WWW, timeout=40)
    assert pki.read_chain(hub.ok("cert", "export", WWW).out)[1].issuer == peer.second.cert.subject
    done = add(hub, "tls.example.org", "--acme-profile", "tlsclient", "--no-wait")
    wait.until(lambda: 'no profile "tlsclient"; it offers classic, shortlived' in hub.why("tls.example.org"), "it is told", 20)
    assert done.code == 0 and len(peer.orders) == 3
    assert hub.cw("issuer", "edit", "peer", "--preferred-chain", "sha256:12").code == 2
    # Once the CA was asked it is known at once.
    assert hub.ok("issuer", "account", "peer", "-o", "json").json()["profiles"] == ["classic", "shortlived"]
    refused = add(hub, "other.example.org", "--acme-profile", "tlsclient", code=2)
    assert "it offers classic, shortlived" in refused.err


@pytest.fixture
def knot():
    folder = Path(tempfile.mkdtemp(prefix="cw-knot-", dir="/tmp"))
    server = Knot(folder, "example.org")
    yield server.start()
    server.stop()
    shutil.rmtree(folder)


PROGRAM = """#!/bin/sh
knotc="/usr/sbin/knotc -s {folder}/knot.sock"
$knotc zone-begin example.org >/dev/null
case $1 in
present) $knotc zone-set example.org "$2" 5 TXT "\\"$3\\"" ;;
cleanup) $knotc zone-unset example.org "$2" TXT "\\"$3\\"" ;;
esac
$knotc zone-commit example.org >/dev/null
"""


def test_drafts_prove_names_in_dns_and_a_record_that_persists_is_written_anew(make_hub, peer, knot):
    hub = make_hub(start=False)
    program = hub.folder / "program"  # TSIG looks at the clock, which is moved here
    program.write_text(PROGRAM.format(folder=knot.folder))
    program.chmod(0o755)
    hub.agent_settings.update(resolvers=[f"127.0.0.1:{knot.port}"],
                              dns={"by-program": {"zones": ["example.org"], "program": [str(program)], "protocol": "lego"}})
    hub.write_agent()
    hub.start()
    hub.ok("dns", "add", "knot", "--provider", "by-program", "--zone", "example.org")
    peer.types, peer.txt = ("dns-account-01", "dns-persist-01"), knot.txt
    refused = hub.cw("issuer", "add", "peer", "--acme", peer.directory, "--agree", "--roots", peer.roots, *NAMES, "--challenge", "dns-persist-01")
    assert refused.code == 2 and "--drafts" in refused.err
    issuer(hub, peer, "--challenge", "dns-account-01", "--drafts")
    add(hub)
    account = next(iter(peer.accounts))
    owner = f"{account_label(account)}._acme-challenge.{WWW}"
    wait.until(lambda: knot.txt(owner) == [], "the value is taken away again", 10)
    # A record for the name and those below it: it stays, and serves the next order too.
    hub.ok("issuer", "edit", "peer", "--challenge", "dns-persist-01")
    add(hub, "example.org", "*.example.org", "--name", "apex")
    record = knot.txt("_validation-persist.example.org")
    assert len(record) == 1 and record[0].startswith(f"authority.example; accounturi={account}; policy=wildcard; persistUntil="), record
    hub.ok("cert", "renew", "apex", timeout=40)
    assert knot.txt("_validation-persist.example.org") == record
    for name in (WWW, "apex"):
        hub.ok("cert", "pause", name)
    hub.move_clock(340 * DAY)
    wait.until(lambda: [j["state"] for j in hub.jobs() if j["kind"] == "dns_persist"] == ["done"], "it is written anew before it ends", 20)
    assert len(knot.txt("_validation-persist.example.org")) == 1 and knot.txt("_validation-persist.example.org") != record, "the old one is gone"
    # Where it cannot be, that is told first.
    program.write_text("#!/bin/sh\necho the account is locked >&2\nexit 7\n")
    hub.move_clock((340 + 352) * DAY)
    wait.until(lambda: "_validation-persist.example.org, which proves it to peer, ends in 12 days" in hub.ok("status").out, "it is told", 20)
    wait.until(lambda: "could not be written anew: " in hub.ok("status").out, "why is told", 30)


def shown(port, server_name, protocols):
    """What a TLS server shows to who asks for a name and protocols; None where it hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain, server_hostname=server_name) as tls:
            return pki.x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    except (ssl.SSLError, ConnectionError):
        return None


def test_tls_alpn_answers_cas_alone_and_again_after_a_restart(make_hub, peer, http_port):
    hub = make_hub(tls_alpn={"address": "127.0.0.1", "port": http_port})
    peer.types, peer.hold = ("tls-alpn-01",), True
    issuer(hub, peer, "--challenge", "tls-alpn-01")
    hub.ok("cert", "add", WWW, "--issuer", "peer", "--no-wait")
    wait.until(lambda: shown(http_port, WWW, ["acme-tls/1"]), "the challenge is answered", 10)
    assert shown(http_port, WWW, None) is None and shown(http_port, WWW, ["h2", "http/1.1"]) is None
    assert shown(http_port, "other.example.org", ["acme-tls/1"]) is None
    hub.restart()
    wait.until(lambda: shown(http_port, WWW, ["acme-tls/1"]), "it is answered again", 10)
    peer.hold = False
    wait.until(lambda: hub.show("cert", WWW).get("current_version"), "the name is proved", 30)
    with socket.socket() as s:
        wait.until(lambda: s.connect_ex(("127.0.0.1", http_port)) != 0, "the port is closed", 10)


def test_a_hundred_orders_wait_at_a_ca_at_once_and_hold_no_thread(make_hub, peer):
    hub = make_hub()
    issuer(hub, peer)
    peer.hold = True
    names = [f"h{i}.example.org" for i in range(110)]
    for name in names:
        assert hub.unix("POST", "/api/v1/managed-certificates", {"names": [name], "issuers": ["peer"]}).status_code == 201
    wait.until(lambda: sum("asked" in a for a in list(peer.authorizations.values())) == len(names), "the CA is at all of them", 60)
    assert all(o["status"] == "pending" for o in peer.orders.values()) and len(peer.orders) == len(names)
    threads = sum(len(list(Path(f"/proc/{hub.pids()[role]}/task").iterdir())) for role in ("agent", "relay"))
    assert threads < len(names), threads
    peer.hold = False
    wait.until(lambda: peer.orders and all(o["status"] == "valid" for o in list(peer.orders.values())), "all are issued", 60)
    assert len(peer.orders) == len(names)
