"""The connector for files: what is written, with which owner and mode, and the commands around it."""
import grp
import os
import pwd

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lib import pki

WWW = "www.example.org"
pytestmark = pytest.mark.one_engine  # what the agent does on its host: the hub keeps the same rows of it
ROOT = os.geteuid() == 0


def target(hub, name="out", **parameters):
    sets = [w for k, v in parameters.items() for w in ("--set", f"{k}={v}")]
    hub.ok("target", "add", name, "--connector", "files", *sets)


def numbers(certificate_or_key):
    key = certificate_or_key.public_key()
    return key.public_numbers()


@pytest.mark.one_engine(False)
def test_every_form_of_file_holds_what_its_name_says(hub):
    forms = ("fullchain", "leaf", "chain", "root", "key", "combined")
    target(hub, **{f: f"{hub.files}/{f}.pem" for f in forms})
    hub.ok("cert", "add", WWW, "--to", "out")
    text = {f: (hub.files / f"{f}.pem").read_bytes() for f in forms}
    certs = {f: pki.read_chain(text[f]) for f in forms}
    leaf, chain, root = certs["leaf"], certs["chain"], certs["root"]
    assert len(leaf) == len(chain) == len(root) == 1
    assert certs["fullchain"] == leaf + chain and certs["combined"] == leaf + chain and certs["key"] == []
    assert root[0].issuer == root[0].subject == chain[0].issuer and leaf[0].issuer == chain[0].subject
    for form in ("key", "combined"):
        assert text[form].startswith(b"-----BEGIN PRIVATE KEY-----")
        assert numbers(load_pem_private_key(text[form].split(b"-----BEGIN CERTIFICATE")[0], None)) == numbers(leaf[0])
    assert all(b"PRIVATE KEY" not in text[f] for f in ("fullchain", "leaf", "chain", "root"))


def test_files_without_wishes_are_readable_and_keys_are_not(hub):
    target(hub, fullchain=hub.files / "a.pem", key=hub.files / "a.key", combined=hub.files / "a.both")
    hub.ok("cert", "add", WWW, "--to", "out")
    assert [pki.state_of(hub.files / f)[3] for f in ("a.pem", "a.key", "a.both")] == [0o644, 0o600, 0o600]


def test_owner_group_and_mode_are_as_wished(make_hub):
    owner, group = ("www-data", "daemon") if ROOT else (pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)
    hub = make_hub(users=[owner], groups=[group])
    target(hub, fullchain=hub.files / "a.pem", key=hub.files / "a.key", owner=owner, group=group, mode="0640", key_mode="0440")
    hub.ok("cert", "add", WWW, "--to", "out")
    uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    assert pki.state_of(hub.files / "a.pem")[1:] == (uid, gid, 0o640)
    assert pki.state_of(hub.files / "a.key")[1:] == (uid, gid, 0o440)
    hub.ok("cert", "renew", WWW)
    assert pki.state_of(hub.files / "a.key")[1:] == (uid, gid, 0o440)


def test_an_owner_that_the_host_does_not_grant_is_refused(hub):
    target(hub, fullchain=hub.files / "a.pem", owner="nobody")
    done = hub.cw("cert", "add", WWW, "--to", "out")
    assert done.code == 3 and "nobody" in hub.why()
    assert not (hub.files / "a.pem").exists()


def test_a_file_is_replaced_and_never_overwritten_in_place(hub):
    target(hub, fullchain=hub.files / "a.pem")
    hub.ok("cert", "add", WWW, "--to", "out")
    with open(hub.files / "a.pem", "rb") as still_open:
        inode, first = os.fstat(still_open.fileno()).st_ino, still_open.read()
        hub.ok("cert", "renew", WWW)
        assert os.stat(hub.files / "a.pem").st_ino != inode
        still_open.seek(0)
        assert still_open.read() == first
    assert (hub.files / "a.pem").read_bytes() != first
    assert sorted(os.listdir(hub.files)) == ["a.pem"]


def test_a_link_keeps_leading_where_it_led(hub):
    (hub.files / "real").mkdir()
    (hub.files / "real" / "a.pem").write_text("old\n")
    (hub.files / "a.pem").symlink_to("real/a.pem")
    target(hub, fullchain=hub.files / "a.pem")
    hub.ok("cert", "add", WWW, "--to", "out")
    assert os.readlink(hub.files / "a.pem") == "real/a.pem"
    assert len(pki.read_chain((hub.files / "real" / "a.pem").read_bytes())) == 2


def test_a_link_that_leads_out_of_what_is_granted_is_refused(hub):
    (hub.folder / "secret.pem").write_text("theirs\n")
    (hub.files / "a.pem").symlink_to(hub.folder / "secret.pem")
    target(hub, fullchain=hub.files / "a.pem")
    assert hub.cw("cert", "add", WWW, "--to", "out").code == 3
    assert (hub.folder / "secret.pem").read_text() == "theirs\n"


def script(hub, name, text):
    path = hub.files / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.fixture
def with_commands(make_hub):
    """A hub whose agent may run files/check and files/reload; what they do is written later."""
    hub = make_hub(start=False)
    hub.agent_settings["commands"] = {c: script(hub, c, "exit 0") for c in ("check", "reload")}
    hub.write_agent()
    return hub.start()


def test_check_and_reload_are_run_by_their_names_in_order(with_commands):
    hub = with_commands
    script(hub, "check", f"echo check >> {hub.files}/order")
    script(hub, "reload", f"test -s {hub.files}/a.pem && echo reload >> {hub.files}/order")
    target(hub, fullchain=hub.files / "a.pem", check="check", reload="reload")
    hub.ok("cert", "add", WWW, "--to", "out")
    assert (hub.files / "order").read_text().split()[-2:] == ["check", "reload"]


@pytest.mark.one_engine(False)
def test_a_check_that_fails_after_the_install_puts_the_old_file_back(with_commands):
    hub = with_commands
    (hub.files / "a.pem").write_text("old\n")
    (hub.files / "a.pem").chmod(0o604)
    before = pki.state_of(hub.files / "a.pem")
    script(hub, "check", f"grep -q old {hub.files}/a.pem || {{ echo 'this is not the file I know' >&2; exit 1; }}")
    target(hub, fullchain=hub.files / "a.pem", check="check")
    assert hub.cw("cert", "add", WWW, "--to", "out").code == 6
    assert pki.state_of(hub.files / "a.pem") == before
    assert "this is not the file I know" in hub.why()


def test_files_that_were_not_there_are_gone_again_after_a_roll_back(with_commands):
    hub = with_commands
    script(hub, "reload", "exit 1")
    target(hub, fullchain=hub.files / "a.pem", key=hub.files / "a.key", reload="reload")
    assert hub.cw("cert", "add", WWW, "--to", "out").code == 6
    assert sorted(os.listdir(hub.files)) == ["check", "reload"]


def test_a_command_gets_no_secret_and_no_descriptor_of_ours(with_commands):
    hub = with_commands
    script(hub, "reload", f"env > {hub.files}/env; ls -l /proc/self/fd > {hub.files}/fds")
    target(hub, fullchain=hub.files / "a.pem", reload="reload")
    hub.ok("cert", "add", WWW, "--to", "out")
    assert "CERTWRIGHT" not in (hub.files / "env").read_text()
    lines = [line for line in (hub.files / "fds").read_text().splitlines() if "->" in line]
    extra = [line for line in lines if int(line.split(" -> ")[0].split()[-1]) > 2 and "/proc/" not in line.split(" -> ")[1]]
    assert not extra, lines


def test_a_served_endpoint_of_files_is_proved_by_handshake(make_hub, nginx):
    hub = make_hub(start=False)
    hub.agent_settings["commands"] = {"reload": [str(nginx.bin / "reload")]}
    hub.agent_settings["paths"].append(str(nginx.certs))
    hub.write_agent()
    hub.start()
    hub.ok("target", "add", "web", "--connector", "files", "--set", f"fullchain={nginx.block.cert}", "--set", f"key={nginx.block.key}",
           "--set", "reload=reload", "--endpoint", f"127.0.0.1:{nginx.https_port}/{WWW}", "--names", WWW)
    hub.ok("cert", "add", WWW, "--to", "web")
    nginx.shows(hub.show("cert", WWW)["current_version"]["fingerprint"])
    served = hub.ok("cert", "deployments", WWW, "-o", "json").json()[0]["served"]
    assert [s["verdict"] for s in served] == ["served"]
