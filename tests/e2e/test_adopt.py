"""Certificates that other ACME clients renew are taken over where they lie, and given back as they were."""
import os
import subprocess
import time
from concurrent import futures

import pytest

from lib import pki, process, wait

WWW = "www.example.org"


def run(argv, code=0, **env):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, **{k: str(v) for k, v in env.items()}})
    assert code is None or done.returncode == code, (argv, done.stdout, done.stderr)
    return done.stdout + done.stderr


def find(hub):
    """The agent looks, once it has told what it can."""
    wait.until(lambda: hub.cw("agent", "inventory", "host1").code == 0, "the agent has looked", 20)


def tree(folder):
    """All that is there: links, owners, modes, contents."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        seen[str(path.relative_to(folder))] = (what, st.st_uid, st.st_gid, None if path.is_symlink() else oct(st.st_mode))
    return seen


class Certbot:
    def __init__(self, folder, ca, web):
        self.etc, self.work, self.ca, self.web = folder / "letsencrypt", folder / "work", ca, web

    def certbot(self, *argv):
        return run(["certbot", *argv, "-n", "--config-dir", self.etc, "--work-dir", self.work, "--logs-dir", self.work, "--no-random-sleep-on-renew"]
                   if argv[0] == "renew" else
                   ["certbot", *argv, "-n", "--config-dir", self.etc, "--work-dir", self.work, "--logs-dir", self.work], REQUESTS_CA_BUNDLE=self.ca.roots)

    def issue(self, name):
        self.certbot("certonly", "--webroot", "-w", self.web, "--agree-tos", "--register-unsafely-without-email", "-d", name, "--server", self.ca.directory)
        conf = self.etc / "renewal" / f"{name}.conf"  # due at once, for Pebble's certificates last for years
        conf.write_text(conf.read_text().replace("# renew_before_expiry = 30 days", "renew_before_expiry = 9999 days"))
        assert "renew_before_expiry = 9999" in conf.read_text()
        return self.etc / "live" / name


@pytest.fixture
def site(nginx, make_hub, own_pebble):
    """An nginx that serves what certbot has made, and an agent beside it that may write there."""
    ca = own_pebble(nonce_reject=0)
    nginx.http = [f"location /.well-known/acme-challenge/ {{ root {nginx.webroot}; }} location / {{ return 301 https://$host$request_uri; }}"]
    nginx.write()
    nginx.reload()
    hub = make_hub(nginx=nginx, start=False)
    hub.certbot = Certbot(hub.folder, ca, nginx.webroot)
    live = hub.certbot.issue(WWW)
    nginx.block.cert, nginx.block.key = live / "fullchain.pem", live / "privkey.pem"
    nginx.write()
    nginx.reload()
    hub.agent_settings["inventory"] = {"usual": False, "folders": [str(hub.certbot.etc)]}
    hub.agent_settings["paths"].append(str(hub.certbot.etc))
    hub.write_agent()
    hub.start()
    hub.ca = ca
    hub.ok("issuer", "add", "pebble", "--acme", ca.directory, "--contact", "ops@example.org", "--agree", "--roots", ca.all_roots, "--grant", "127.0.0.0/8")
    find(hub)
    return hub


def test_certbots_lineage_is_taken_over_renewed_in_place_and_given_back(site, nginx):
    certbot, live = site.certbot, site.certbot.etc / "live" / WWW
    before, served = tree(certbot.etc), pki.fingerprint(nginx.served())
    dry = site.ok("adopt", "certbot", "--dry-run").out
    assert "+ autorenew = False" in dry and "nginx is reloaded" in dry and "issuer    pebble" in dry and "privkey1.pem" in dry, dry
    assert tree(certbot.etc) == before and not site.ok("cert", "list", "-o", "json").json()

    done = site.ok("adopt", "certbot", "--yes").out
    assert f"certwright cert release {WWW}" in done and "is used until" in done, done
    changed = {p for p, v in tree(certbot.etc).items() if v != before.get(p)}
    assert changed == {f"renewal/{WWW}.conf"}, changed
    cert = site.show("cert", WWW)
    assert cert["issuers"] == ["pebble"] and cert["names"] == [WWW] and not cert.get("current_version")
    assert [c["type"] for c in cert["conditions"] if c["status"]] == ["adopted"], cert["conditions"]
    assert pki.fingerprint(nginx.served()) == served and "adopted from certbot" in site.why(WWW)
    assert WWW not in site.ok("status").out and " adopted " in site.ok("cert", "list").out
    said = certbot.certbot("renew")
    assert not (certbot.etc / "archive" / WWW / "privkey2.pem").exists(), said
    assert site.cw("cert", "remove", WWW).code == 1  # nobody would renew it

    site.ok("cert", "renew", WWW)
    fingerprint = site.show("cert", WWW)["current_version"]["fingerprint"]
    nginx.shows(fingerprint)
    chain = pki.read_chain((live / "fullchain.pem").read_text())
    assert pki.fingerprint(chain[0]) == fingerprint == pki.fingerprint(pki.read_chain((live / "cert.pem").read_text())[0])
    assert pki.read_chain((live / "chain.pem").read_text()) == chain[1:]
    assert {p: v[3] for p, v in tree(certbot.etc).items()} == {p: v[3] for p, v in before.items()}  # links and modes are as they were
    assert not (certbot.etc / "archive" / WWW / "privkey2.pem").exists()

    done = site.ok("cert", "release", WWW).out
    assert "nginx has read its files again" in done and "is as it was" in done, done
    assert tree(certbot.etc) == before
    nginx.shows(served)
    assert not site.ok("cert", "list", "-o", "json").json()
    certbot.certbot("renew")
    assert (certbot.etc / "archive" / WWW / "privkey2.pem").exists()
    assert {"adoption.look", "adoption.adopt", "adoption.release"} <= {e["action"] for e in site.audit()}


# --- the others

LEGO, DEHYDRATED, UACME, ACME_SH, CADDY = (f"{n}.example.org" for n in ("lego", "dehydrated", "uacme", "acme-sh", "caddy"))


def lego(folder, ca, web):
    run(["lego", "--server", ca.directory, "--accept-tos", "--email", "ops@example.org", "--http", "--http.webroot", web, "--path", folder / "lego", "-d", LEGO,
         "--pem", "run"], LEGO_CA_CERTIFICATES=ca.roots)


def dehydrated(folder, ca, *argv):
    return run(["dehydrated", *argv, "-f", folder / "dehydrated" / "config"])


def dehydrated_issues(folder, ca, web):
    base = folder / "dehydrated"
    base.mkdir()
    (base / "config").write_text(f'CA="{ca.directory}"\nBASEDIR={base}\nWELLKNOWN="{web}/.well-known/acme-challenge"\nDOMAINS_TXT="${{BASEDIR}}/domains.txt"\n'
                                 f'CURL_OPTS="--cacert {ca.roots}"\nRENEW_DAYS=9999\nKEY_ALGO=prime256v1\nACCOUNT_KEYSIZE=2048\n')
    (base / "domains.txt").write_text(f"# ours\n{DEHYDRATED}")
    dehydrated(folder, ca, "--register", "--accept-terms")
    dehydrated(folder, ca, "-c")


def uacme(folder, ca, web):
    """Its TLS trusts the system's roots alone: for this process they are Pebble's."""
    for argv in ("-t EC -y new", f"-t EC issue {UACME}"):
        run(["unshare", *(["-r"] if os.geteuid() else []), "-m", "sh", "-c", f"mount --bind {ca.roots} /etc/ssl/certs/ca-certificates.crt; exec uacme -a {ca.directory} -c {folder}/uacme "
             f"-h /usr/share/uacme/uacme.sh {argv}"], UACME_CHALLENGE_PATH=web / ".well-known/acme-challenge")


def by_hand(folder, key_file, files, name):
    """A lineage as its client writes it, where that is no package of Debian's."""
    folder.mkdir(parents=True)
    cert, key = pki.self_signed([name], days=90)
    (folder / key_file).write_bytes(pki.key_pem(key))
    (folder / key_file).chmod(0o600)
    for file in files:
        (folder / file).write_bytes(pki.pem(cert))


def acme_sh(folder):
    base, out = folder / "acme.sh" / f"{ACME_SH}_ecc", folder / "served"
    by_hand(base, f"{ACME_SH}.key", [f"{ACME_SH}.cer", "fullchain.cer"], ACME_SH)
    by_hand(out, "site.key", ["site.pem"], ACME_SH)
    (base / f"{ACME_SH}.conf").write_text(f"Le_Domain='{ACME_SH}'\nLe_API='https://ca.example.org/dir'\nLe_RealKeyPath='{out}/site.key'\n"
                                          f"Le_RealFullChainPath='{out}/site.pem'\nLe_ReloadCmd='systemctl reload thing'\nLe_NextRenewTime='1700000000'\n")


def caddy(folder):
    base = folder / "caddy" / "certificates" / "acme-v02" / CADDY
    by_hand(base, f"{CADDY}.key", [f"{CADDY}.crt"], CADDY)
    (base / f"{CADDY}.json").write_text('{"sans": ["caddy.example.org"], "issuer_data": {"url": "https://ca.example.org/acme/cert/1"}}')


@pytest.fixture
def host(make_hub, own_pebble, http_port, tmp_path):
    ca, web = own_pebble(nonce_reject=0), tmp_path / "web"
    (web / ".well-known" / "acme-challenge").mkdir(parents=True)
    hub = make_hub(start=False)
    hub.host = hub.folder / "host"
    hub.host.mkdir()
    server = process.start(["/usr/bin/python3", "-u", "-m", "http.server", http_port, "--bind", "127.0.0.1", "-d", web], tmp_path / "web.log")
    try:
        wait.until(lambda: "Serving" in (tmp_path / "web.log").read_text(), "the web server is there")
        with futures.ThreadPoolExecutor() as both:
            for done in [both.submit(client, hub.host, ca, web) for client in (lego, dehydrated_issues, uacme)]:
                done.result()
    finally:
        server.kill()
        server.wait()
    acme_sh(hub.host)
    caddy(hub.host)
    hub.agent_settings["inventory"] = {"usual": False, "folders": [str(hub.host)]}
    hub.agent_settings["paths"].append(str(hub.host))
    hub.write_agent()
    hub.start()
    hub.ca = ca
    find(hub)
    return hub


def pair(key, fullchain):
    """The certificate of a key and its chain, which fit."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    chain = pki.read_chain(fullchain.read_text())
    assert load_pem_private_key(key.read_bytes(), None).public_key().public_numbers() == chain[0].public_key().public_numbers()
    return chain


@pytest.mark.one_engine
def test_every_client_is_taken_over_where_it_keeps_its_files_and_given_back(host):
    hub, folder = host, host.host
    before = tree(folder)
    # Nobody is moved to another CA by oversight.
    done = hub.cw("adopt", "lego", "--yes")
    assert done.code == 2 and "--issuer" in done.err, done
    # Nor to one that could not prove its names: nothing here answers HTTP.
    hub.ok("issuer", "add", "pebble", "--acme", hub.ca.directory, "--agree", "--roots", hub.ca.all_roots, "--grant", "127.0.0.0/8")
    done = hub.cw("adopt", "dehydrated", "--yes")
    assert done.code == 1 and "listener" in done.err and not hub.ok("target", "list", "-o", "json").json(), done
    shown = {}
    for a in hub.ok("adopt", "lego", "dehydrated", "uacme", "acme.sh", "caddy", "--dry-run", "-o", "json").json():
        shown[a["client"]] = a["plan"]
    assert {c: [f["content"] for f in p["files"]] for c, p in shown.items()} == {
        "lego": ["key", "fullchain", "chain", "combined"], "dehydrated": ["key", "leaf", "chain", "fullchain"], "uacme": ["key", "fullchain"],
        "acme.sh": ["key", "fullchain"], "caddy": ["key", "fullchain"]}
    assert {c for c, p in shown.items() if p.get("edits")} == {"dehydrated", "acme.sh"}
    assert {c for c, p in shown.items() if p.get("by_hand")} == {"lego", "uacme", "caddy"}
    assert "systemctl reload thing" in shown["acme.sh"]["notes"][0] and "Caddyfile" in shown["caddy"]["by_hand"][0]
    assert tree(folder) == before

    done = hub.ok("adopt", *shown, "--issuer", "ca", "--now", "--yes")
    for name in (LEGO, DEHYDRATED, UACME, ACME_SH, CADDY):
        hub.settled(name)
        assert [c["type"] for c in hub.show("cert", name)["conditions"] if c["status"]] == ["served"], name
    for key, fullchain, name in ((f"lego/certificates/{LEGO}.key", f"lego/certificates/{LEGO}.crt", LEGO), ("served/site.key", "served/site.pem", ACME_SH),
                                 (f"dehydrated/certs/{DEHYDRATED}/privkey.pem", f"dehydrated/certs/{DEHYDRATED}/fullchain.pem", DEHYDRATED),
                                 (f"uacme/private/{UACME}/key.pem", f"uacme/{UACME}/cert.pem", UACME),
                                 (f"caddy/certificates/acme-v02/{CADDY}/{CADDY}.key", f"caddy/certificates/acme-v02/{CADDY}/{CADDY}.crt", CADDY)):
        assert pki.fingerprint(pair(folder / key, folder / fullchain)[0]) == hub.show("cert", name)["current_version"]["fingerprint"]
    assert {p: v[1:] for p, v in tree(folder).items()} == {p: v[1:] for p, v in before.items()}  # owners and modes
    assert "Le_NextRenewTime='4102444800'" in (folder / "acme.sh" / f"{ACME_SH}_ecc" / f"{ACME_SH}.conf").read_text()
    assert DEHYDRATED not in dehydrated(folder, hub.ca, "-c")
    assert not hub.unix("GET", "/api/v1/findings?check=not_renewing").json()["items"]

    # What its owner adds meanwhile stays.
    with open(folder / "dehydrated" / "domains.txt", "a") as f:
        f.write("\nnew.example.org\n")
    done = hub.ok("cert", "release", LEGO, DEHYDRATED, UACME, ACME_SH, CADDY).out
    assert "switched on again" in done
    changed = {p for p, v in tree(folder).items() if v != before.get(p) and v[0] is not None}
    assert changed == {"dehydrated/domains.txt"} and (folder / "dehydrated" / "domains.txt").read_text() == f"# ours\n{DEHYDRATED}\nnew.example.org\n"


# --- what goes wrong

SHOP = "shop.example.org"


def certbot_files(base, name=SHOP):
    """As certbot lays them out."""
    live, archive = base / "live" / name, base / "archive" / name
    by_hand(archive, "privkey1.pem", ["cert1.pem", "fullchain1.pem"], name)
    live.mkdir(parents=True)
    for part in ("privkey", "cert", "fullchain"):
        (live / f"{part}.pem").symlink_to(f"../../archive/{name}/{part}1.pem")
    (base / "renewal").mkdir(exist_ok=True)
    (base / "renewal" / f"{name}.conf").write_text(f"version = 2.1.0\narchive_dir = {archive}\n\n[renewalparams]\nserver = https://ca.example.org/dir\n")
    return live


@pytest.fixture
def make_host(make_hub):
    """A hub beside one lineage; agent.yaml lets it be written but where `paths` says otherwise."""
    def make(failpoint=None, paths=None):
        hub = make_hub(start=False)
        hub.agent_settings["commands"]["thing-reload"] = {"run": ["/usr/bin/touch", str(hub.folder / "reloaded")]}
        hub.host = hub.folder / "host"
        hub.host.mkdir()
        certbot_files(hub.host)
        hub.agent_settings["inventory"] = {"usual": False, "folders": [str(hub.host)]}
        hub.agent_settings["paths"] += [str(hub.host)] if paths is None else paths
        hub.write_agent()
        hub.start(failpoint=failpoint)
        find(hub)
        return hub
    return make


POINTS = ["apply:apply.adopt_kept", "apply:apply.adopt_edit", "apply:apply.adopt_edited", "apply:apply.adopted", "agent:agent.adopt_before", "agent:agent.adopt_after",
          "apply:apply.release_begun", *(f"apply:apply.release_file@{n}" for n in (1, 2, 3)), "apply:apply.release_edit", "apply:apply.release_given",
          "apply:apply.released", "agent:agent.release_after"]
if not os.environ.get("CERTWRIGHT_SOAK"):
    POINTS = POINTS[1:2] + POINTS[5:6] + POINTS[8:9] + POINTS[11:12] if os.environ.get("CERTWRIGHT_TEST_DB") != "postgres" else POINTS[5:6]


@pytest.mark.parametrize("point", POINTS)
def test_kill_9_in_the_middle_leaves_nothing_by_half(make_host, point):
    hub = make_host(failpoint=f"{point}=kill")
    conf, before = hub.host / "renewal" / f"{SHOP}.conf", tree(hub.host)
    hub.ok("adopt", SHOP, "--issuer", "ca", "--now", "--yes")
    hub.settled(SHOP)
    assert conf.read_text().count("autorenew = False") == 1
    chain = pair(hub.host / "live" / SHOP / "privkey.pem", hub.host / "live" / SHOP / "fullchain.pem")
    assert pki.fingerprint(chain[0]) == hub.show("cert", SHOP)["current_version"]["fingerprint"]
    hub.ok("cert", "release", SHOP)
    assert f" failpoint name={point.split(':')[1].split('@')[0]} " in hub.text()
    assert tree(hub.host) == before
    record, = (hub.state / "agent" / "adoptions").iterdir()
    assert b"content" not in record.read_bytes()  # the key that was kept is gone


def test_what_stands_in_the_way_is_said_before_anything_is_changed(make_host):
    hub = make_host(paths=[])
    before = tree(hub.host)
    done = hub.cw("adopt", SHOP, "--dry-run")
    assert done.code == 3 and f'add "{hub.host}" to paths in' in done.err, done
    hub.agent_settings["paths"].append(str(hub.host))
    hub.write_agent()
    hub.restart()
    # A name that is taken, an issuer that is not there, and nobody to ask.
    assert hub.cw("adopt", SHOP, "--yes", "--issuer", "nobody").code == 2
    done = hub.cw("adopt", SHOP)
    assert done.code == 2 and "--dry-run" in done.err, done
    # What was seen is what is done: a file that changed meanwhile is looked at again first.
    seen = hub.ok("adopt", SHOP, "--dry-run", "-o", "json").json()[0]
    conf = hub.host / "renewal" / f"{SHOP}.conf"
    conf.write_text(conf.read_text() + "# mine\n")
    (hub.host / "archive" / SHOP / "cert1.pem").chmod(0o600)
    assert hub.unix("POST", f"/api/v1/adoptions/{seen['id']}/adopt", {"issuers": ["ca"]}).status_code == 202
    wait.until(lambda: hub.unix("GET", f"/api/v1/adoptions/{seen['id']}").json()["state"] == "failed", "it is refused")
    assert "autorenew" not in conf.read_text() and not hub.ok("cert", "list", "-o", "json").json() and hub.ok("target", "list", "-o", "json").json() == []
    # A folder that has become a link to elsewhere.
    (hub.host / "renewal").rename(hub.folder / "elsewhere")
    (hub.host / "renewal").symlink_to(hub.folder / "elsewhere")
    done = hub.cw("adopt", SHOP, "--dry-run")
    assert done.code == 3 and "elsewhere" in done.err, done
    assert {p for p, v in tree(hub.host).items() if v != before.get(p)} == {f"archive/{SHOP}/cert1.pem", "renewal"}


def test_what_fails_in_the_middle_is_undone_and_tried_again(make_host):
    hub = make_host(failpoint="apply:apply.adopt_edit=disk_full")
    conf, before = hub.host / "renewal" / f"{SHOP}.conf", tree(hub.host)
    seen = hub.ok("adopt", SHOP, "--dry-run", "-o", "json").json()[0]["id"]
    assert hub.unix("POST", f"/api/v1/adoptions/{seen}/adopt", {"issuers": ["ca"]}).status_code == 202
    wait.until(lambda: "job_failed" in hub.text(), "the disk is full")
    assert tree(hub.host) == before and not list((hub.state / "agent" / "adoptions").iterdir())
    done = hub.cw("cert", "resume", SHOP)
    assert done.code == 1 and "taken over" in done.err, done
    wait.until(lambda: hub.unix("GET", f"/api/v1/adoptions/{seen}").json()["state"] == "adopted", "it is taken over", 20)
    assert conf.read_text().count("autorenew = False") == 1
    hub.ok("cert", "release", SHOP)
    assert tree(hub.host) == before


@pytest.mark.one_engine
def test_a_host_whose_agent_does_not_call_is_said_at_once(make_hub, make_remote, tmp_path):
    hub = make_hub()
    files = tmp_path / "host"
    files.mkdir()
    certbot_files(files)
    web = make_remote(hub, "web1", inventory={"usual": False, "folders": [str(files)]}, paths=[str(files)])
    wait.until(lambda: hub.cw("agent", "inventory", "web1").code == 0, "the agent has looked", 20)
    hub.ok("adopt", "certbot", "--issuer", "ca", "--name", "shop", "--yes")
    certbot_files(files, "b.example.org")
    hub.ok("agent", "inventory", "web1")
    web.kill()
    hub.move_clock(130)
    began = time.monotonic()
    done = hub.cw("adopt", "b.example.org", "--issuer", "ca", "--yes")
    assert done.code == 7 and "agent web1 has not called since" in done.err and "systemctl start certwright-agent" in done.err, done
    done = hub.cw("cert", "release", "shop")
    assert done.code == 7 and "certwright agent remove web1 --force" in done.err, done
    assert time.monotonic() - began < 30, "nobody waits for what does not come"
    web.start()
    wait.until(lambda: hub.cw("cert", "release", "shop").code == 0, "given back once it calls", 30)


def test_the_newest_files_may_stay_when_the_renewal_goes_back(make_host):
    hub = make_host()
    live, before = hub.host / "live" / SHOP, tree(hub.host)
    print_ = pki.fingerprint(pki.read_chain((live / "cert.pem").read_text())[0])
    hub.ok("team", "add", "sales")
    hub.ok("cert", "assign", print_, "--team", "sales")
    assert hub.cw("adopt", SHOP, "--issuer", "ca", "--reload", "unknown", "--yes").code == 2
    hub.ok("adopt", "--where", f"name = {SHOP}", "--issuer", "ca", "--name", "shop", "--reload", "thing-reload", "--now", "--yes")
    hub.settled("shop")
    assert (hub.folder / "reloaded").exists() and hub.show("cert", "shop")["team"] == "sales"
    assert "shop is managed" in hub.ok("adopt", print_[:12], "--issuer", "ca", "--yes").out  # it is ours already
    now = pki.fingerprint(pki.read_chain((live / "cert.pem").read_text())[0])
    assert now != print_
    # A certificate that has ended is no good to anybody.
    hub.move_clock(100 * 86400)
    done = hub.cw("cert", "release", "shop")
    assert done.code == 1 and "--keep-files" in done.err, done
    hub.ok("cert", "release", "shop", "--keep-files")
    after = tree(hub.host)
    assert after[f"renewal/{SHOP}.conf"] == before[f"renewal/{SHOP}.conf"]
    assert pki.fingerprint(pki.read_chain((live / "cert.pem").read_text())[0]) != print_
    assert hub.cw("cert", "release", "shop").code == 4
    # And it can be taken over again.
    find(hub)
    hub.ok("adopt", "certbot", "--issuer", "ca", "--yes")
    assert hub.show("cert", SHOP)["names"] == [SHOP]
    hub.settled(SHOP)  # what certbot had has ended: it is renewed at once
    # An agent that lost its state cannot give back; nobody is kept from going on without it.
    for record in (hub.state / "agent" / "adoptions").iterdir():
        record.unlink()
    assert hub.cw("cert", "remove", SHOP).code == 1
    done = hub.cw("cert", "release", SHOP, "--keep-files")
    assert done.code == 4 and "keeps nothing" in done.err and hub.show("cert", SHOP), done
    hub.ok("cert", "remove", SHOP)


@pytest.mark.one_engine
def test_giving_back_is_whole_or_not_at_all(make_host):
    hub = make_host(failpoint="apply:apply.release_file@2=disk_full")
    hub.ok("adopt", SHOP, "--issuer", "ca", "--now", "--yes")
    hub.settled(SHOP)
    served = tree(hub.host)
    # A line that could not be put back is told before any file is.
    hub.agent_settings["paths"][-1:] = [str(hub.host / "live"), str(hub.host / "archive")]
    hub.write_agent()
    hub.restart()
    done = hub.cw("cert", "release", SHOP)
    assert done.code == 3 and "renewal" in done.err and tree(hub.host) == served, done
    hub.agent_settings["paths"].append(str(hub.host))
    hub.write_agent()
    hub.stop()
    hub.start(failpoint="apply:apply.release_file@2=disk_full")
    # The key was back already, its certificate not: both are again what they were.
    assert hub.unix("POST", f"/api/v1/managed-certificates/{SHOP}/release", {}).status_code == 202
    wait.until(lambda: "job_failed" in hub.life(), "the disk is full")
    assert tree(hub.host) == served
    wait.until(lambda: not hub.ok("cert", "list", "-o", "json").json(), "it is given back", 20)
    assert "autorenew" not in (hub.host / "renewal" / f"{SHOP}.conf").read_text() and tree(hub.host) != served


@pytest.mark.one_engine
def test_a_release_that_failed_does_not_decide_the_next_one(make_host):
    hub = make_host()
    hub.ok("adopt", SHOP, "--issuer", "ca", "--now", "--yes")
    hub.settled(SHOP)
    chain = (hub.host / "live" / SHOP / "fullchain.pem").read_bytes()
    hub.agent_settings["paths"][-1:] = [str(hub.host / "live"), str(hub.host / "archive")]
    hub.write_agent()
    hub.restart()
    assert hub.cw("cert", "release", SHOP).code == 3
    hub.agent_settings["paths"].append(str(hub.host))
    hub.write_agent()
    hub.restart()
    done = hub.ok("cert", "release", SHOP, "--keep-files").out
    assert "holds what it held" not in done and "has read" not in done, done  # and nobody was told to read anything
    assert (hub.host / "live" / SHOP / "fullchain.pem").read_bytes() == chain


@pytest.mark.one_engine
def test_a_hub_that_was_restored_still_gives_back_what_it_forgot(make_host):
    hub = make_host()
    before, backup = tree(hub.host / "renewal"), hub.folder / "backup"
    hub.stop()
    run(["cp", "-a", hub.state / "hub", backup])
    hub.start()
    hub.ok("adopt", SHOP, "--issuer", "ca", "--yes")
    hub.stop()
    run(["rm", "-r", hub.state / "hub"])
    run(["cp", "-a", backup, hub.state / "hub"])
    hub.start()
    find(hub)
    done = hub.ok("adopt", SHOP, "--issuer", "ca", "--yes").out
    assert "an earlier adoption" in done and tree(hub.host / "renewal") != before, done
    hub.ok("cert", "release", SHOP)
    assert tree(hub.host / "renewal") == before
    record, = (hub.state / "agent" / "adoptions").iterdir()
    assert b"content" not in record.read_bytes()


@pytest.mark.one_engine
def test_certbot_that_runs_is_waited_for_and_what_it_renewed_stays(make_host):
    import fcntl
    hub = make_host()
    conf, archive = hub.host / "renewal" / f"{SHOP}.conf", hub.host / "archive" / SHOP
    conf.write_text(conf.read_text() + "renew_hook = curl -H 'Authorization: Bearer s3cret' https://lb.example.org/reload\n")
    seen = hub.ok("adopt", SHOP, "--dry-run", "-o", "json").json()[0]
    assert "s3cret" not in str(seen) and f"curl ... (the rest, which may hold secrets, is in {conf})" in seen["plan"]["notes"][0], seen
    with open(hub.host / ".certbot.lock", "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        assert hub.unix("POST", f"/api/v1/adoptions/{seen['id']}/adopt", {"issuers": ["ca"]}).status_code == 202
        wait.until(lambda: "certbot is running" in hub.text(), "certbot is waited for")
        assert "autorenew" not in conf.read_text()
    wait.until(lambda: hub.unix("GET", f"/api/v1/adoptions/{seen['id']}").json()["state"] == "adopted", "it is taken over", 20)
    # certbot --force-renewal
    for part in ("privkey", "cert", "fullchain"):
        (archive / f"{part}2.pem").write_bytes((archive / f"{part}1.pem").read_bytes())
        (hub.host / "live" / SHOP / f"{part}.pem").unlink()
        (hub.host / "live" / SHOP / f"{part}.pem").symlink_to(f"../../archive/{SHOP}/{part}2.pem")
    done = hub.ok("cert", "release", SHOP).out
    assert "does not lead to" in done and "holds what it held" not in done and "autorenew" not in conf.read_text(), done
