"""Certificates that lie on a host: found where services and other ACME clients have them, with how each client renews them, and nothing
that lies in the way stops it."""
import json
import os
import subprocess
import time
from concurrent import futures

import pytest
from cryptography.hazmat.primitives import serialization

from lib import formats, pki, process, wait

DAY = 86400
NAMES = ("one.example.org", "two.example.org")


def run(argv, **env):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, **{k: str(v) for k, v in env.items()}})
    assert done.returncode == 0, (argv, done.stdout, done.stderr)


def certbot(folder, ca, web, name):
    run(["certbot", "certonly", "-n", "--webroot", "-w", web, "--agree-tos", "--register-unsafely-without-email", "-d", name, "--server", ca.directory,
         "--config-dir", folder / "letsencrypt", "--work-dir", folder / "work", "--logs-dir", folder / "work"],
        REQUESTS_CA_BUNDLE=ca.roots)


def lego(folder, ca, web, name):
    run(["lego", "--server", ca.directory, "--accept-tos", "--email", "ops@example.org", "--http", "--http.webroot", web, "--path",
         folder / "lego", "-d", name, "run"], LEGO_CA_CERTIFICATES=ca.roots)


def site(folder, name, common):
    cert, key = pki.self_signed([common])
    (folder / name).write_bytes(pki.key_pem(key) + pki.pem(cert))
    return cert, key


def in_the_way(folder):
    """What somebody may leave in a folder, on purpose or not."""
    folder.mkdir()
    os.mkfifo(folder / "pipe.pem")
    (folder / "loop").symlink_to(folder)
    (folder / "itself.pem").symlink_to("itself.pem")
    (folder / "out.pem").symlink_to("/etc/passwd")
    with open(folder / "huge.pem", "wb") as f:
        f.truncate(1 << 40)
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    (folder / "README").write_text("no certificate")
    (folder / os.fsdecode(b"not\xffutf8.pem")).write_text("x")


@pytest.fixture
def bare(make_hub):
    hub = make_hub(start=False)
    hub.host = hub.folder / "host"
    hub.host.mkdir()
    site(hub.host, "plain.pem", "plain.example.org")
    hub.agent_settings["inventory"] = {"usual": False, "folders": [str(hub.host)]}
    hub.write_agent()
    return hub


@pytest.fixture
def host(bare, own_pebble, http_port):
    hub, folder = bare, bare.host
    ca = own_pebble(nonce_reject=0)  # a refused nonce is too much for Debian's certbot
    password = formats.password_file(hub.folder / "password")
    web = hub.folder / "web"
    web.mkdir()
    server = process.start(["/usr/bin/python3", "-u", "-m", "http.server", http_port, "--bind", "127.0.0.1", "-d", web], hub.folder / "web.log")
    try:
        wait.until(lambda: "Serving" in (hub.folder / "web.log").read_text(), "the web server is there")
        # Each client takes seconds, most of them asleep.
        with futures.ThreadPoolExecutor() as both:
            java = both.submit(formats.run, "keytool", "-genkeypair", "-storetype", "JKS", "-keystore", folder / "store.jks", "-keyalg", "EC",
                               "-storepass:file", password, "-keypass:file", password, "-dname", "CN=java.example.org")
            for done in [java, *(both.submit(client, folder, ca, web, name) for client, name in zip((certbot, lego), NAMES))]:
                done.result()
    finally:
        server.kill()
        server.wait()
    in_the_way(folder / "hostile")
    cert, key = site(hub.files, "served.pem", "served.example.org")
    (hub.folder / "haproxy.cfg").write_text(f"frontend tls\n  bind 127.0.0.1:8451 ssl crt {hub.files}/served.pem\n  bind :1 ssl crt /etc/elsewhere/x.pem\n")
    (folder / "store.p12").write_bytes(pki_pkcs12(cert, key))
    (folder / "other.p12").write_bytes(pki_pkcs12(cert, key))
    hub.agent_settings["connectors"].append("haproxy")
    hub.agent_settings["commands"]["haproxy-dump"] = {"read": [str(hub.folder / "haproxy.cfg")]}
    hub.agent_settings["inventory"]["stores"] = [{"file": str(folder / f"store.{kind}"), "passphrase": str(password)} for kind in ("p12", "jks")]
    hub.write_agent()
    return hub.start()


def pki_pkcs12(cert, key):
    return serialization.pkcs12.serialize_key_and_certificates(b"x", key, cert, None, serialization.BestAvailableEncryption(b"correct horse"))


def places(hub):
    """What was found: path -> (state, options, the endpoint)."""
    items = hub.unix("GET", "/api/v1/endpoints?limit=1000").json()["items"]
    found = {}
    for e in items:
        if e["kind"] in ("file", "store"):
            shown = hub.unix("GET", f"/api/v1/endpoints/{e['id']}").json()
            found[e["place"].split(":", 1)[1]] = (e["result"], json.loads(shown["options"]), shown)
    return found


def test_what_lies_on_a_host_is_in_the_inventory_with_who_renews_it(host):
    hub, folder = host, host.host
    done = hub.ok("agent", "inventory", "host1")
    assert str(folder / "plain.pem") in done.out, done
    found = places(hub)
    assert {e["place"].split(":")[1] for e in hub.ok("endpoint", "list", "--at", "host1", "-o", "json").json()} == set(found)
    of_host = hub.ok("cert", "list", "--where", "endpoint = host1", "-o", "name").out.split()
    assert of_host and of_host == hub.ok("cert", "list", "--where", "endpoint under host1", "-o", "name").out.split()
    # One place a lineage: not its archive, not the parts beside it.
    live = str(folder / "letsencrypt/live" / NAMES[0] / "fullchain.pem")
    assert [p for p in found if "letsencrypt" in p] == [live], found.keys()
    assert [p for p in found if "/lego/" in p] == [str(folder / "lego/certificates" / f"{NAMES[1]}.crt")]
    state, options, shown = found[live]
    ends = pki.read_chain(open(live).read())[0].not_valid_after
    assert state == "ok" and options["renewal"]["client"] == "certbot" and options["renewal"]["name"] == NAMES[0]
    assert options["renewal"]["settings"] == str(folder / "letsencrypt/renewal" / f"{NAMES[0]}.conf") and not options["renewal"].get("off")
    assert time.time() < options["renewal"]["renew_at"] < ends.timestamp() and shown["showed"]
    _, options, _ = found[str(folder / "lego/certificates" / f"{NAMES[1]}.crt")]
    assert options["renewal"]["client"] == "lego" and options["renewal"]["name"] == NAMES[1] and "127.0.0.1" in options["renewal"]["ca"]
    # Services and key stores.
    state, options, _ = found[str(hub.files / "served.pem")]
    assert state == "ok" and options["service"] == "haproxy"
    assert found["/etc/elsewhere/x.pem"][0] in ("gone", "not_granted")
    assert found[str(folder / "store.p12")][0] == "ok" and found[str(folder / "store.p12")][1]["format"] == "pkcs12"
    assert found[str(folder / "store.jks")][0] == "ok" and found[str(folder / "store.jks")][1]["format"] == "jks"
    assert found[str(folder / "other.p12")][0] == "locked"
    # What lies in the way is told or passed over.
    hostile = {p.rsplit("/", 1)[1]: v[0] for p, v in found.items() if "/hostile/" in p}
    assert hostile == {"huge.pem": "too_large", "broken.pem": "bad_file", "itself.pem": "unreadable"}, hostile
    names = {n for c in hub.unix("GET", "/api/v1/certificates?where=source%3Dhost&limit=100").json()["items"] for n in c["names"]}
    assert {*NAMES, "plain.example.org", "served.example.org"} <= names
    # No key has left the host.
    assert "PRIVATE" not in json.dumps([v[2] for v in found.values()])

    # A renewal that is switched off is seen the next time; nothing else is there twice.
    conf = folder / "letsencrypt/renewal" / f"{NAMES[0]}.conf"
    conf.write_text(conf.read_text().replace("[renewalparams]", "[renewalparams]\nautorenew = False"))
    hub.ok("agent", "inventory", "host1")
    again = places(hub)
    assert again.keys() == found.keys() and again[live][1]["renewal"]["off"] is True
    wait.until(lambda: len(hub.ok("finding", "list", "not_renewing", "-o", "name").out.split()) == 1, "it is a finding", 10)


def test_agents_look_daily_by_themselves(bare):
    hub = bare.start()
    done = lambda: [j for j in hub.jobs() if j["kind"] == "inventory" and j["state"] == "done"]
    assert not hub.jobs()
    hub.move_clock(700)  # the sweep that finds the agent; then its own time
    time.sleep(2)
    hub.move_clock(5000)
    wait.until(done, "the agent has looked", 15)
    assert str(hub.host / "plain.pem") in places(hub)
    hub.move_clock(5000 + DAY + 1000)
    wait.until(lambda: len(done()) == 2, "it has looked again a day later", 15)
