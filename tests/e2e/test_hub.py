"""The hub as an installation: start, stop, restart, sign-in, its own certificate, an external root."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import requests
from cryptography import x509

from lib import hub as hubs
from lib import pki, wait

WWW = "www.example.org"
CERTS = "/api/v1/managed-certificates"
LOOK = ("cert", "issuer", "profile", "target", "token", "ca")


def picture(hub):
    """Everything that a restart must keep; the hub gets another certificate from the fleet CA at each start."""
    seen = {noun: hub.ok(noun, "list", "-o", "json").json() for noun in LOOK}
    for ca in seen["ca"]:
        if ca["name"] == "fleet":
            ca.pop("issued"), ca.pop("ceilings", None)
    return seen


def test_a_restart_keeps_everything(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    site.ok("cert", "renew", WWW)
    assert site.token
    before, audit, exported = picture(site), site.audit(), site.ok("cert", "export", WWW).out
    site.restart()
    assert picture(site) == before and site.audit() == audit
    assert site.ok("cert", "export", WWW).out == exported
    assert site.https("GET", CERTS).status_code == 200, "tokens stay good, and the fleet CA is the same"
    site.ok("cert", "rollback", WWW)
    site.ok("cert", "renew", WWW)
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])


def test_kill_9_of_everything_keeps_everything_acknowledged(site):
    site.ok("cert", "add", WWW, "--to", "nginx")
    before = picture(site)
    site.kill()
    site.start()
    assert picture(site) == before
    assert "is served" in site.why()


@pytest.mark.parametrize("role", hubs.ROLES)
def test_kill_9_of_any_role_is_survived_by_the_others(site, nginx, role):
    site.ok("cert", "add", WWW, "--to", "nginx")
    others = {k: v for k, v in site.pids().items() if k != role}
    site.kill_role(role)
    site.ok("cert", "renew", WWW)
    assert {k: v for k, v in site.pids().items() if k != role} == others
    assert site.show("cert", WWW)["current_version"]["number"] == 2
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])


def test_an_end_in_the_middle_of_a_deployment_loses_nothing(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx", "--no-wait")
    wait.until(lambda: "kind=deploy" in site.life(), "the deployment begins", 10, 0.002)
    site.restart()
    assert site.settled(WWW)["state"] == "done"
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])
    assert len(site.ok("cert", "versions", WWW, "-o", "json").json()) == 1


def test_a_failed_deployment_waits_for_its_time_over_a_restart_too(make_hub):
    hub = make_hub()
    hub.ok("target", "add", "nowhere", "--connector", "files", "--set", "fullchain=/nowhere/site.pem")
    assert hub.cw("cert", "add", WWW, "--to", "nowhere").code != 0
    due = re.search(r"next try \S+", hub.why()).group()
    hub.restart()
    time.sleep(1.5)  # the agent has called, and every timer that is due has fired
    assert due in hub.why() and len([j for j in hub.jobs() if j["kind"] == "deploy"]) == 1


def test_roles_run_as_users_of_their_own(hub):
    if os.geteuid() != 0:
        assert {os.stat(f"/proc/{p}").st_uid for p in hub.pids().values()} == {os.geteuid()}
        return
    uids = {}
    for name, pid in hub.pids().items():
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status", encoding="ascii").read().splitlines() if ":\t" in line)
        uids[name] = int(status["Uid"].split()[0])
        assert status["NoNewPrivs"] == "1", name
        assert name == "run" or status["Seccomp"] == "2", (name, status["Seccomp"])
    assert uids["apply"] == uids["run"] == 0
    mine = [uids[n] for n in ("hub", "signer", "agent", "relay", "probe")]
    assert all(u >= hubs.UID_BASE for u in mine) and len(set(mine)) == 5


def test_the_hub_opens_no_connection_but_to_its_database(hub):
    pid = hub.pids()["hub"]
    fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    inodes = {m.group(1) for m in (re.match(r"socket:\[(\d+)\]", f) for f in fds) if m}
    tcp = [line.split() for line in open(f"/proc/{pid}/net/tcp", encoding="ascii").read().splitlines()[1:]]
    ours = [row for row in tcp if row[9] in inodes]
    assert {row[3] for row in ours} <= {"0A"}, "only listeners"
    assert sorted(int(row[1].split(":")[1], 16) for row in ours) == sorted([hub.https_port, hub.agents_port, hub.status_port])


def test_a_hub_whose_signer_hangs_is_alive_but_not_ready(hub):
    hub.may_die = True
    pid = hub.pids()["signer"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert hub.status("/healthz").status_code == 200
        assert hub.status("/readyz").status_code == 503
        assert "signer" in hub.ok("status").out
    finally:
        os.kill(pid, signal.SIGCONT)
    wait.until(lambda: hub.status("/readyz").status_code == 200, "it is ready again", 10)


def test_nothing_of_the_state_can_be_read_by_others(hub):
    for folder, _, files in os.walk(hub.state):
        for name in files:
            mode = os.stat(os.path.join(folder, name)).st_mode
            assert not mode & 0o077, (folder, name, oct(mode))
    for path in (hub.etc / "kek", hub.etc / "kek.recovery"):
        assert pki.state_of(path)[3] == 0o600


def test_init_refuses_to_set_up_twice(hub):
    before = {p: p.read_bytes() for p in hub.etc.iterdir()}
    again = hub.cw("init", "--config-dir", hub.etc, "--state", hub.state, "--run-dir", hub.run)
    assert again.code == 1 and "there already" in again.err
    assert {p: p.read_bytes() for p in hub.etc.iterdir()} == before


def test_init_shows_the_recovery_key_once_and_keeps_it_nowhere(hub):
    key = re.search(r"^    ((?:[0-9A-Z]{4}-){8}[0-9A-Z]{4})$", hub.initial.out, re.M).group(1)
    for folder in (hub.etc, hub.state):
        for path in (p for p in folder.rglob("*") if p.is_file()):
            text = path.read_bytes()
            assert key.encode() not in text and key.replace("-", "").encode() not in text, path


# --- the one-time link

def link(hub):
    return re.search(r"https://\S+/sign-in\?code=(\S+)", hub.initial.out).group(1)


def test_the_sign_in_link_gives_a_token_once(hub):
    code = link(hub)
    page = hub.https("GET", f"/sign-in?code={code}", token=False)
    assert page.status_code == 200 and page.headers["Cache-Control"] == "no-store"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    used = hub.https("POST", "/sign-in", f"code={code}", form, token=False)
    token = re.search(r"<pre>([^<]+)", used.text).group(1)
    assert hub.https("GET", CERTS, token=token).status_code == 200
    assert hub.https("POST", "/sign-in", f"code={code}", form, token=False).status_code == 401
    assert [e for e in hub.audit() if e["action"] == "sign-in"]


def test_looking_at_the_sign_in_page_uses_nothing_up(hub):
    for _ in range(3):
        assert hub.https("GET", f"/sign-in?code={link(hub)}", token=False).status_code == 200
    assert hub.https("POST", "/sign-in", f"code={link(hub)}", token=False).status_code == 200


def test_a_wrong_sign_in_code_is_refused(hub):
    assert hub.https("POST", "/sign-in", f"code={'x' * 32}", token=False).status_code == 401
    assert hub.https("GET", "/sign-in?code=<script>", token=False).status_code == 400


def test_a_sign_in_link_is_over_after_a_day(hub):
    hub.move_clock(2 * 86400)
    assert hub.https("POST", "/sign-in", f"code={link(hub)}", token=False).status_code == 401


def test_an_expired_token_is_refused(hub):
    token = hub.unix("POST", "/api/v1/tokens", {"name": "brief", "lifetime_s": 60}).json()["token"]
    assert hub.https("GET", CERTS, token=token).status_code == 200
    hub.move_clock(61)
    assert hub.https("GET", CERTS, token=token).status_code == 401


# --- the hub's own certificate

def test_the_hubs_own_certificate_is_renewed_without_a_restart(hub):
    first, pids = pki.fingerprint(pki.served(hub.https_port, "localhost")), hub.pids()
    hub.move_clock(86400 + 60)
    wait.until(lambda: pki.fingerprint(pki.served(hub.https_port, "localhost")) != first, "another certificate is shown", 10)
    assert hub.pids() == pids


def test_a_certificate_from_files_is_swapped_without_a_restart(make_hub):
    hub = make_hub(start=False)
    folder, root = hub.folder / "tls", pki.Root()
    folder.mkdir()
    cert, key, roots = root.write(folder, ["localhost", "127.0.0.1"])
    if os.geteuid() == 0:
        os.chown(key, hubs.UID_BASE + 1, -1)
    key.chmod(0o600)
    yaml = hub.etc / "hub.yaml"
    yaml.write_text(yaml.read_text().replace("https:\n", f"https:\n  certificate: {cert}\n  key: {key}\n"))
    hub.start()
    assert requests.get(f"{hub.base}/healthz", verify=str(roots), timeout=5).status_code == 200
    first, pids = pki.fingerprint(pki.served(hub.https_port, "localhost")), hub.pids()
    new = folder / "new"
    new.mkdir()
    new_cert, new_key, _ = root.write(new, ["localhost", "127.0.0.1"])
    if os.geteuid() == 0:
        os.chown(new_key, hubs.UID_BASE + 1, -1)
    for a, b in ((new_key, key), (new_cert, cert)):
        os.replace(a, b)
    wait.until(lambda: pki.fingerprint(pki.served(hub.https_port, "localhost")) != first, "the new certificate is shown", 10)
    assert requests.get(f"{hub.base}/healthz", verify=str(roots), timeout=5).status_code == 200
    assert hub.pids() == pids


# --- an external root

def sign_ca(folder, csr, *, path_length=0, ca="TRUE"):
    """What an administrator of a root does with openssl."""
    run = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, capture_output=True)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", folder / "root.key", "-out", folder / "root.pem",
        "-days", "3650", "-subj", "/CN=Company root", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    (folder / "ext").write_text(f"basicConstraints=critical,CA:{ca}{f',pathlen:{path_length}' if ca == 'TRUE' else ''}\nkeyUsage=critical,keyCertSign,cRLSign\n"
                                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    run("x509", "-req", "-in", csr, "-CA", folder / "root.pem", "-CAkey", folder / "root.key", "-CAcreateserial", "-days", "1800", "-extfile", folder / "ext",
        "-out", folder / "issuing.pem")
    (folder / "chain.pem").write_bytes((folder / "issuing.pem").read_bytes() + (folder / "root.pem").read_bytes())
    return folder / "chain.pem"


def test_an_external_root_signs_the_ca_which_then_issues(nginx, make_hub, tmp_path):
    hub = make_hub("--external-root", nginx=nginx)
    hub.ok("target", "discover")
    assert hub.show("ca", "issuing")["state"] == "waiting"
    refused = hub.cw("cert", "add", "early.example.org")
    assert refused.code != 0 and "issuing" in refused.err + hub.why("early.example.org")
    hub.ok("ca", "export", "issuing", "--what", "csr", "--out", tmp_path / "ca.csr")
    request = x509.load_pem_x509_csr((tmp_path / "ca.csr").read_bytes())
    assert request.is_signature_valid
    hub.ok("ca", "import", "issuing", "--chain", sign_ca(tmp_path, tmp_path / "ca.csr"))
    assert hub.show("ca", "issuing")["state"] == "ready"
    hub.restart()
    hub.ok("cert", "add", WWW, "--to", WWW)
    nginx.shows(hub.show("cert", WWW)["current_version"]["fingerprint"])
    good, words = pki.trusted(nginx.https_port, tmp_path / "root.pem")
    assert good, words
    hub.ok("cert", "retry", "early.example.org")


def test_an_answer_for_another_key_is_refused(make_hub, tmp_path):
    hub = make_hub("--external-root")
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(tmp_path / "x.key"), "-out",
                    str(tmp_path / "x.csr"), "-subj", "/CN=Somebody"], check=True, capture_output=True)
    done = hub.cw("ca", "import", "issuing", "--chain", sign_ca(tmp_path, tmp_path / "x.csr"))
    assert done.code != 0 and "key" in done.err, done
    assert hub.show("ca", "issuing")["state"] == "waiting"


def test_an_answer_that_is_no_ca_is_refused(make_hub, tmp_path):
    hub = make_hub("--external-root")
    hub.ok("ca", "export", "issuing", "--what", "csr", "--out", tmp_path / "ca.csr")
    done = hub.cw("ca", "import", "issuing", "--chain", sign_ca(tmp_path, tmp_path / "ca.csr", ca="FALSE"))
    assert done.code != 0 and hub.show("ca", "issuing")["state"] == "waiting", done


def test_a_hub_whose_signer_has_lost_its_cas_does_not_make_others(make_hub):
    """New CAs under the old names would break every client with the next renewals."""
    hub = make_hub()
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/x.pem")
    hub.ok("cert", "add", "www.example.org", "--to", "out")
    kept = hub.state.parent / "kept"
    hub.stop()
    shutil.move(hub.state / "signer", kept)
    (hub.state / "signer").mkdir(mode=0o700)
    hub.start(ready=False)
    assert wait.until(lambda: hub.child.poll(), "it does not start", 15) == 1
    assert "the signer has no CA, but this installation had its own" in hub.text() and "backup" in hub.text()
    shutil.rmtree(hub.state / "signer")
    shutil.move(kept, hub.state / "signer")
    hub.start()
    assert "All is well" in hub.ok("status").out
    hub.ok("cert", "renew", "www.example.org")


def test_a_database_that_knows_nothing_of_what_was_issued_is_noticed(make_hub):
    hub = make_hub()
    if hub.conninfo:
        return # of another engine, whose copies are its own
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/x.pem")
    hub.ok("cert", "add", "www.example.org", "--to", "out")
    hub.stop()
    for path in (hub.state / "hub").glob("certwright.db*"):
        path.unlink()
    hub.start()
    assert "issued 1 certificates before this database was made" in hub.ok("status").out
