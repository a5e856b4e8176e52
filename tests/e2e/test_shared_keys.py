"""One key on several hosts: made once, sealed to each of them, in clear nowhere else."""
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from test_secrets import memory, of_key

from lib import pki, wait

WWW = "www.example.org"


@pytest.fixture
def hub(make_hub):
    return make_hub(share_keys=True)


def target(hub, agent, name):
    where = agent.files if agent is not hub else hub.files
    hub.ok("target", "add", name, "--agent", agent.name if agent is not hub else "host1", "--connector", "files", "--set", f"fullchain={where}/{name}.pem",
           "--set", f"key={where}/{name}.key")


def key(agent, name):
    return load_pem_private_key((agent.files / f"{name}.key").read_bytes(), None)


def same(*keys):
    return len({k.public_key().public_numbers() for k in keys}) == 1


def sealed_jobs(hub):
    return [j for j in hub.jobs() if j["kind"] == "seal"]


def test_a_key_made_once_is_served_by_three_hosts_and_in_clear_nowhere_else(hub, make_remote, engine):
    first, second = make_remote(hub, "web1"), make_remote(hub, "web2")
    for agent, name in ((hub, "a"), (first, "b"), (second, "c")):
        target(hub, agent, name)
    hub.ok("cert", "add", WWW, "--to", "a", "--to", "b", "--to", "c")
    keys = key(hub, "a"), key(first, "b"), key(second, "c")
    assert same(*keys) and len(sealed_jobs(hub)) == 1, "one job for all hosts"
    forms, found = of_key(keys[0]), set()
    for agent in (hub, first, second):  # memory of those it passes by, every file but the key's own, the log
        for role, pid in agent.pids().items():
            text = memory(pid) if role in ("hub", "agent", "run") else b""
            assert not any(f in text for f in forms), role
        for path in (p for p in agent.folder.rglob("*") if p.is_file() and not p.is_symlink()):
            ours = path.parent.name in ("keys", "targets") or path.suffix == ".key"
            flat = path.read_bytes().replace(b"\n", b"")
            found |= {path.name} if any(f in flat for f in forms) else set()
            assert ours or path.name not in found, path
    assert {"a.key", "b.key", "c.key"} <= found, "the search finds what is there"
    if engine:
        assert not any(f in engine.dump(hub.database) for f in forms)
    for agent, mine in ((first, "web1"), (second, "web2")):
        stored = list((agent.state / "keys").glob("*"))
        assert len(stored) == 2 and not any(os.stat(p).st_mode & 0o077 for p in stored), mine
    # a renewal makes another key, and the third one after it lets the first go, on every host
    for _ in range(3):
        hub.ok("cert", "renew", WWW)
    assert same(key(hub, "a"), key(first, "b"), key(second, "c")) and not same(keys[0], key(hub, "a"))
    wait.until(lambda: len(list((first.state / "keys").glob("*.key"))) == 3, "the retired key is gone")


def test_a_target_added_later_gets_the_key_that_is_there(hub, make_remote):
    web = make_remote(hub, "web1")
    target(hub, hub, "a")
    target(hub, web, "b")
    hub.ok("cert", "add", WWW, "--to", "a")
    assert sealed_jobs(hub) == []
    hub.ok("cert", "edit", WWW, "--to", "a", "--to", "b")
    assert same(key(hub, "a"), key(web, "b")) and hub.show("cert", WWW)["current_version"]["number"] == 1
    web.restart()  # tells the same sealing key
    hub.ok("cert", "retry", WWW)
    assert len(sealed_jobs(hub)) == 1, "what is sealed is kept"
    first = key(web, "b")
    hub.ok("cert", "renew", WWW)
    assert not same(first, key(web, "b"))
    hub.ok("cert", "rollback", WWW)
    assert same(first, key(web, "b"), key(hub, "a"))


def test_a_host_that_tells_another_sealing_key_is_sealed_nothing_until_somebody_says_so(hub, make_remote):
    web = make_remote(hub, "web1")
    target(hub, hub, "a")
    target(hub, web, "b")
    hub.ok("cert", "add", WWW, "--to", "a", "--to", "b")
    web.stop()
    (web.state / "keys" / "seal.x25519").unlink()
    for path in (web.state / "keys").glob("*.key"):
        path.unlink()
    web.start()
    wait.until(lambda: "tells another sealing key than before" in hub.cw("status").out, "the status says so")
    assert "certwright agent approve web1" in hub.cw("status").out
    done = hub.cw("cert", "renew", WWW)
    assert done.code != 0 and "does not open" in hub.why()
    hub.ok("agent", "approve", "web1")
    hub.ok("cert", "retry", WWW)
    assert same(key(hub, "a"), key(web, "b"))
    assert "All is well" in hub.ok("status").out


def test_a_host_that_is_given_no_key_is_sealed_none(make_hub, make_remote):
    hub = make_hub()  # which does not grant share_keys
    web = make_remote(hub, "web1")
    wait.until(lambda: "hub_reached" in web.text(), "the hub knows what its connectors take")
    target(hub, hub, "a")
    hub.ok("target", "add", "A", "--agent", "web1", "--connector", "files", "--set", f"fullchain={web.files}/b.pem")  # the first in order
    hub.ok("cert", "add", WWW, "--to", "a", "--to", "A")
    assert pki.read_chain((web.files / "b.pem").read_bytes())[0].public_key().public_numbers() == key(hub, "a").public_key().public_numbers()
    assert sealed_jobs(hub) == [] and list((web.state / "keys").glob("*.key")) == []


def test_a_host_whose_maker_is_gone_is_told_what_to_do(hub, make_remote):
    maker, other = make_remote(hub, "web1"), make_remote(hub, "web2")
    target(hub, maker, "a")
    target(hub, other, "b")
    hub.ok("cert", "add", WWW, "--to", "a")
    maker.stop()
    hub.ok("agent", "remove", "web1", "--force")
    hub.cw("cert", "edit", WWW, "--to", "b")
    assert f"was removed, and is not on agent web2; make a new one with: certwright cert renew {WWW}" in hub.why()
    hub.ok("cert", "renew", WWW)
    chain = pki.read_chain((other.files / "b.pem").read_bytes())
    assert chain[0].public_key().public_numbers() == key(other, "b").public_key().public_numbers()


def test_a_kill_while_a_key_is_sealed_or_opened_loses_nothing(hub, make_remote):
    web = make_remote(hub, "web1", start=False)
    target(hub, hub, "a")
    hub.stop()
    hub.start(failpoint="agent:agent.sealed=kill")
    web.start(failpoint="apply:apply.key_opened=kill")
    wait.until(lambda: hub.cw("target", "add", "b", "--agent", "web1", "--connector", "files", "--set", f"key={web.files}/b.key").code == 0, "the target is there")
    hub.ok("cert", "add", WWW, "--to", "a", "--to", "b")
    assert same(key(hub, "a"), key(web, "b"))
    assert "failpoint" in hub.text() and "failpoint" in web.text()


def test_a_reused_key_is_the_same_everywhere_after_a_renewal(hub, make_remote):
    web = make_remote(hub, "web1")
    target(hub, web, "b")
    target(hub, hub, "a")
    hub.ok("cert", "add", WWW, "--to", "b", "--reuse-key")
    before = key(web, "b")
    hub.ok("cert", "edit", WWW, "--to", "a", "--to", "b")  # now another agent would be asked first
    hub.ok("cert", "renew", WWW)
    assert same(before, key(web, "b"), key(hub, "a"))


def test_a_host_that_does_not_grant_it_seals_its_keys_to_nobody(make_hub, make_remote):
    """Neither does one put another host's key in place."""
    hub = make_hub()
    web = make_remote(hub, "web1")
    target(hub, hub, "a")
    target(hub, web, "b")
    done = hub.cw("cert", "add", WWW, "--to", "a", "--to", "b")
    assert done.code == 3, done
    why = hub.why()
    assert "agent host1 could not seal its key" in why and "share_keys: true in " in why and f"then: certwright cert retry {WWW}" in why
    assert key(hub, "a") and not (web.files / "b.key").exists()
    hub.agent_settings["share_keys"] = True
    hub.write_agent()
    hub.restart()
    assert "keys made on other hosts may not be put here" in hub.cw("cert", "retry", WWW).err and not (web.files / "b.key").exists()
    web.agent_settings["share_keys"] = True
    web.write_agent()
    web.restart()
    hub.ok("cert", "retry", WWW)
    assert same(key(hub, "a"), key(web, "b"))


def request(path, key_made, *names):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    sans = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(sans, False).sign(key_made, hashes.SHA256())
    path.write_bytes(csr.public_bytes(Encoding.PEM))
    return path


def test_a_request_whose_key_is_elsewhere_gets_its_certificate_and_no_key_is_made(make_hub):
    hub = make_hub()
    mine = ec.generate_private_key(ec.SECP256R1())
    csr = request(hub.folder / "www.csr", mine, WWW, "alt.example.org")
    hub.ok("target", "add", "a", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem")
    hub.ok("target", "add", "b", "--connector", "files", "--set", f"fullchain={hub.files}/b.pem", "--set", f"key={hub.files}/b.key")
    done = hub.cw("cert", "add", WWW, "--csr", csr, "--to", "a")
    assert done.code == 2 and "other names" in done.err
    done = hub.cw("cert", "add", WWW, "alt.example.org", "--csr", csr, "--to", "b")
    assert done.code == 1 and "target b is given the key (key)" in done.err
    assert "none is made" in hub.ok("cert", "add", WWW, "alt.example.org", "--csr", csr, "--to", "a", "--dry-run").out
    hub.ok("cert", "add", WWW, "alt.example.org", "--csr", csr, "--to", "a")
    first = pki.read_chain((hub.files / "a.pem").read_bytes())[0]
    assert first.public_key().public_numbers() == mine.public_key().public_numbers()
    hub.ok("cert", "renew", WWW)
    second = pki.read_chain((hub.files / "a.pem").read_bytes())[0]
    assert second.serial_number != first.serial_number and second.public_key().public_numbers() == mine.public_key().public_numbers()
    shown = hub.show("cert", WWW)
    assert shown["key_elsewhere"] and shown["key_kind"] == "ec-p256"
    assert list((hub.state / "agent" / "keys").glob("*.key")) == [] and {j["kind"] for j in hub.jobs()} == {"sign", "deploy"}
    other = request(hub.folder / "other.csr", ec.generate_private_key(ec.SECP384R1()), WWW, "alt.example.org")
    hub.ok("cert", "edit", WWW, "--csr", other)
    assert pki.read_chain((hub.files / "a.pem").read_bytes())[0].public_key().curve.name == "secp384r1"
    done = hub.cw("cert", "edit", WWW, "--csr", hub.files / "a.pem")
    assert done.code == 2 and "holds no certificate request" in done.err
