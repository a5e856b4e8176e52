"""Targets over SSH, with the real sshd and a real nginx behind it: deployed, renewed, put back; IIS as far as it can be tested without
Windows: what is asked of its PowerShell."""
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import fake_iis, nginx, pki, sshd, wait
from lib.hub import ROOT

WWW = "www.example.org"
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files
FORMER = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


class Site:
    def __init__(self, hub, host, web):
        self.hub, self.host, self.web = hub, host, web

    def target(self, connector="ssh-nginx", endpoint=True, name="site", **changes):
        values = {"host": "127.0.0.1", "port": self.host.port, "host_key": sshd.fingerprint(f"{self.host.host_key}.pub"), "login": "web-key",
                  **({"certificate_file": self.web.block.cert, "key_file": self.web.block.key} if connector == "ssh-nginx" else {}), **changes}
        sets = [x for k, v in values.items() if v is not None for x in ("--set", f"{k}={v}")]
        more = ["--endpoint", f"127.0.0.1:{self.web.https_port}"] if endpoint else []
        self.hub.ok("target", "add", name, "--connector", connector, *sets, *more)
        return self

    def add(self):
        return self.hub.cw("cert", "add", WWW, "--to", "site", timeout=90)

    def served(self):
        self.web.settled()
        return pki.fingerprint(self.web.served())

    def current(self):
        return (self.hub.show("cert", WWW).get("current_version") or {}).get("fingerprint")

    def files(self):
        return self.web.block.cert.read_bytes(), self.web.block.key.read_bytes()

    def leftovers(self):
        return sorted(p.name for p in self.web.certs.iterdir() if ".certwright-new" in p.name or ".previous-of" in p.name)


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def host(folder):
    one = sshd.Sshd(folder).start()
    yield one
    one.stop()


@pytest.fixture
def web(folder, host, http_port):
    (folder / "nginx").mkdir()
    one = nginx.Nginx(folder / "nginx", http_port).start()
    host.command("nginx", f'exec {nginx.PROGRAM} -c {one.conf} -p {one.folder} "$@"')
    yield one
    one.stop()


@pytest.fixture
def make_site(make_hub, host, web):
    def make(**start):
        hub = make_hub(start=False)
        hub.agent_settings["connectors"] += ["ssh-nginx", "ssh-files", "iis"]
        hub.agent_settings["credentials"] = {"web-key": {"file": str(host.key), "hosts": [f"127.0.0.1:{host.port}"],
                                                         "host_keys": [sshd.fingerprint(f"{host.host_key}.pub"), FORMER],
                                                         "paths": [str(web.certs), str(host.folder / "leaf.pem"), str(host.small)]}}
        hub.agent_settings["prove_s"] = 2
        hub.write_agent()
        hub.start(**start)
        return Site(hub, host, web)
    return make


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.mark.one_engine(False)
def test_nginx_over_ssh_is_deployed_and_renewed(site):
    before = site.target().served()
    done = site.add()
    assert done.code == 0, done
    first = site.current()
    assert site.served() == first != before
    site.hub.ok("cert", "renew", WWW)
    assert site.served() == site.current() != first
    assert site.web.block.key.stat().st_mode & 0o777 == 0o600, "as its owner had it"
    assert Path(f"{site.web.block.cert}.previous").exists()
    assert "PRIVATE KEY" not in site.host.log.read_text() + site.hub.text()


def test_a_configuration_that_is_broken_changes_nothing(site):
    site.target()
    assert site.add().code == 0
    files, first = site.files(), site.served()
    good = site.web.conf.read_text()
    site.web.conf.write_text(good + "no such directive {\n")
    done = site.hub.cw("cert", "renew", WWW)
    assert done.code in (1, 6) and "no such directive" in done.err + done.out or "unknown directive" in done.err, done
    assert site.files() == files and site.served() == first
    site.web.conf.write_text(good)


def test_what_was_there_is_back_when_nginx_refuses_it(site):
    site.target()
    assert site.add().code == 0
    files, first = site.files(), site.served()
    once = site.host.folder / "once" # the first look is at what was there
    site.host.command("nginx", f'if [ "$1" = -t ]; then [ -e {once} ] && echo it will not do >&2 && exit 1; touch {once}; fi\n'
                               f'exec {nginx.PROGRAM} -c {site.web.conf} -p {site.web.folder} "$@"')
    done = site.hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "it will not do" in done.err, done
    assert site.files() == files and site.served() == first and not site.leftovers()


def test_what_was_there_is_back_when_the_handshake_does_not_show_it(site):
    site.target()
    assert site.add().code == 0
    files, first = site.files(), site.served()
    site.host.command("nginx", f'[ "$1" = -s ] && exit 0\nexec {nginx.PROGRAM} -c {site.web.conf} -p {site.web.folder} "$@"')
    done = site.hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "shows another certificate" in done.err, done
    assert site.files() == files and site.served() == first and not site.leftovers()


def test_a_host_that_is_not_the_one_gets_nothing(site):
    """Each time: what is wrong, and what the message must say."""
    before, pinned = site.files(), sshd.fingerprint(f"{site.host.host_key}.pub")

    def refused(number, *words, logins=0, **changes):
        site.target(name=f"site{number}", **changes)
        done = site.hub.cw("cert", "add", f"{number}.{WWW}", "--to", f"site{number}", timeout=90)
        assert done.code in (1, 3, 6, 7) and all(w in done.err for w in words), done
        assert site.files() == before and site.host.logins() == logins
    refused(1, "may not be sent to localhost", host="localhost")
    refused(2, "may not touch /etc/motd", certificate_file="/etc/motd", logins=1)
    refused(5, "none of the host_keys", host_key="SHA256:" + "A" * 43, logins=1)
    (site.host.folder / "authorized_keys").write_text("")
    refused(3, "authorized_keys", logins=1)
    site.host.new_host_key()
    refused(4, pinned, sshd.fingerprint(f"{site.host.host_key}.pub"), "nothing was sent", logins=1, host_key=f"{pinned} {FORMER}", key_file=f"{site.web.block.key}.2")
    assert "'peer_identity'" in str(site.hub.jobs())


def test_a_password_is_sent_only_where_this_host_itself_knows_who_that_is(make_hub, folder):
    """A host that is not the one would have it; the hub's word for a key is not enough.  It is looked at before anything is connected to."""
    hub, port = make_hub(start=False), wait.free_port()
    text = (ROOT / "connectors/ssh-files.yaml").read_text().replace("connector: ssh-files", "connector: ssh-pw")
    (folder / "ssh-pw.yaml").write_text(text.replace('{family: ssh-key, key: "{login}"}', '{family: ssh-password, password: "{login}"}'))
    (folder / "password").write_text("correct horse battery staple")
    (folder / "password").chmod(0o600)
    row = {"file": str(folder / "password"), "hosts": [f"127.0.0.1:{port}"], "paths": [str(folder)]}
    pin = "SHA256:" + "A" * 43
    hub.agent_settings.update(connectors_dir=str(folder), connectors=["ssh-pw"], credentials={"free": row, "known": {**row, "host_keys": [pin]}})
    hub.write_agent()
    hub.start()
    for login, words in (("free", "a password is sent over SSH only to hosts whose keys this host knows itself"), ("known", "Connection refused")):
        hub.ok("target", "add", login, "--connector", "ssh-pw", "--set", "host=127.0.0.1", "--set", f"port={port}", "--set", f"host_key={pin}", "--set",
               f"login={login}", "--set", f"fullchain_file={folder}/site.pem")
        done = hub.cw("cert", "add", f"{login}.example.org", "--to", login)
        assert done.code != 0 and words in done.err, done


def test_files_of_a_service_and_a_full_disk(site):
    """systemd does not run here: what stands in for systemctl has nginx do what systemd would."""
    asked = site.host.folder / "asked"
    site.host.command("systemctl", f'echo "$*" >> {asked}\n[ "$1" = reload ] || exit 0\nexec {nginx.PROGRAM} -c {site.web.conf} -p {site.web.folder} -s reload')
    site.target("ssh-files", fullchain_file=site.web.block.cert, key_file=site.web.block.key, leaf_file=site.host.folder / "leaf.pem",
                combined_file=site.host.small / "all.pem", service="nginx.service", key_mode="0640")
    assert site.add().code == 0
    first = site.current()
    assert site.served() == first and pki.fingerprint(pki.read_chain((site.host.folder / "leaf.pem").read_bytes())[0]) == first
    assert asked.read_text().split("\n")[:2] == ["is-active nginx.service", "reload nginx.service"]
    assert site.web.block.key.stat().st_mode & 0o777 == 0o640
    files = site.files()
    inside = f"/proc/{site.host.child.pid}/root{site.host.small}"
    Path(inside, "filler").write_bytes(b"x" * 40000)
    with open(f"{inside}/more", "wb", buffering=0) as f: # the rest
        try:
            while f.write(b"x" * 512):
                pass
        except OSError:
            pass
    done = site.hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "disk is full" in done.err, done
    assert site.files() == files and site.served() == first and not site.leftovers()


def test_a_value_that_is_more_than_one_word_is_refused(site):
    site.target("ssh-files", fullchain_file=site.web.block.cert, key_file=site.web.block.key, endpoint=False)
    done = site.hub.cw("target", "edit", "site", "--set", "service=x;touch /tmp/pwned")
    assert done.code != 0 or site.add().code in (2, 6)
    assert not Path("/tmp/pwned").exists()


# The notes of the two files, the key, the certificate: the fourth is when the host has a key without its certificate.
POINTS = ["relay.sftp_write_before_rename@4"]
if os.environ.get("CERTWRIGHT_SOAK"):
    POINTS += ["relay.sftp_keep_before_note", "relay.sftp_write_before_rename@2", "relay.sftp_write_before_rename@3", "relay.push_installed"]


@pytest.mark.parametrize("point", POINTS)
def test_the_deployment_completes_after_kill_9(make_site, point):
    site = make_site(failpoint=f"relay:{point}=kill").target()
    site.add()
    wait.until(lambda: site.current() is not None and site.served() == site.current(), "the new certificate is served", 40)
    site.hub.settled(WWW)
    assert f" failpoint name={point.split('@')[0]} " in site.hub.text()
    assert not [x for x in site.leftovers() if "certwright-new" in x]


def test_the_undoing_completes_after_kill_9(make_site):
    site = make_site(failpoint="relay:relay.sftp_restore_before_note=kill").target()
    files, before = site.files(), site.served()
    site.host.command("nginx", f'[ "$1" = -s ] && exit 0\nexec {nginx.PROGRAM} -c {site.web.conf} -p {site.web.folder} "$@"')
    site.add()
    wait.until(lambda: " failpoint name=relay.sftp_restore_before_note " in site.hub.text(), "it was killed", 30)
    wait.until(lambda: site.files() == files and not site.leftovers(), "what was there is back", 30)
    site.hub.settled(WWW)
    assert site.files() == files and site.served() == before


# --- IIS

class Iis:
    def __init__(self, host):
        self.host, self.folder = host, host.folder / "iis"
        self.folder.mkdir()
        host.command("powershell", f'exec /usr/bin/python3 {Path(fake_iis.__file__)} {self.folder} "$@"')

    def binding(self):
        return json.loads((self.folder / "binding.json").read_text())

    def right(self):
        return not (self.folder / "wrong").exists() or (self.folder / "wrong").read_text()


@pytest.fixture
def iis(site):
    one = Iis(site.host)
    site.target("iis", endpoint=False, user="root", binding=WWW)
    return one


def test_a_binding_of_iis_is_changed_and_put_back(site, iis):
    # Somebody changes it between our look and our change: it is looked at again.
    (iis.folder / "edited").write_text(json.dumps({"exists": "yes", "thumbprint": "AB", "store": "My", "fingerprint": "cd" * 32}))
    done = site.add()
    assert done.code == 0, done
    first = site.current()
    assert iis.right() is True and iis.binding()["fingerprint"] == first
    assert (iis.folder / "asked").read_text().split().count("install") == 2
    (iis.folder / "trouble").touch() # it ends with an error after it has changed the binding
    done = site.hub.cw("cert", "renew", WWW)
    assert done.code == 6 and "the site does not start" in done.err, done
    assert iis.right() is True and iis.binding()["fingerprint"] == first
    assert (iis.folder / "asked").read_text().split().count("undo") == 1
    assert "pkcs12" not in site.hub.text() and not set((iis.folder / "passphrases").read_text().split()) & set(site.hub.text().split())


# The database has no part in what happens on a host: on the second engine two of them are enough.
if os.environ.get("CERTWRIGHT_TEST_DB") == "postgres" and not os.environ.get("CERTWRIGHT_SOAK"):
    del (test_a_configuration_that_is_broken_changes_nothing, test_what_was_there_is_back_when_the_handshake_does_not_show_it,
         test_a_host_that_is_not_the_one_gets_nothing, test_files_of_a_service_and_a_full_disk, test_a_value_that_is_more_than_one_word_is_refused,
         test_the_deployment_completes_after_kill_9, test_the_undoing_completes_after_kill_9, test_a_binding_of_iis_is_changed_and_put_back)
