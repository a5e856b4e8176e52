"""What docs/SECRETS.md says is looked for: known secrets in the memory of each role, in every file, the database and the log."""
import base64
import os
import re
import shutil
import struct
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from lib import hub as hubs
from lib import people, pki, postgres, push
from lib.memory import memory
from lib.remote import ROLES as FAR_ROLES
from lib.remote import Remote
from lib.remote import token as remote_token

WWW = "www.example.org"
TABLE = hubs.ROOT / "docs" / "SECRETS.md"
MAGIC = b"CWSEAL\x01"

# Who may have it in memory; "parent" is the process that starts the others.
MAY_HOLD = {
    "key-encryption key": {"signer"},
    "recovery key": set(),
    "CA key": {"signer"},
    "audit log key": {"signer"},
    "ACME account key": {"signer"},
    "Key of an external account binding": set(),
    "host key": {"apply"},
    "key for download": set(),
    "passphrase of a download": set(),
    "sealing key": {"apply"},
    "hub TLS key, from files": {"hub"},
    "API token": {"hub"},
    "join token": {"hub"},
    "fleet agent key": set(),  # the role agent of the other host has it
    "appliance credential": {"relay"},
    "key store password": {"apply"},
    "sign-in code": {"hub"},
    "password": set(),
    "secret of an authenticator app": set(),
    "recovery code": set(),
    "session cookie, and the cookie of a device that is known": set(),
    "invitation": set(),
    "database password": {"hub", "parent"},
}
# Made at each start and nowhere kept: nothing to look for; and what everybody may see.
NOT_PLANTED = {"hub TLS key", "challenge answer", "part of the recovery key", "key of a backup", "configuration in a backup",
               "password that a directory knows", "key for live questions"}  # test_ldap looks for the last but one


def unsealed(kek, path):
    """Opens a sealed key of the signer's folder; the format is described in src/pki/seal.h."""
    class_, object_ = path.name[:-len(".key")].split(".", 1)
    text = path.read_bytes()
    assert text.startswith(MAGIC), path
    n = text[len(MAGIC)]
    ident, rest = text[len(MAGIC) + 1:len(MAGIC) + 1 + n], text[len(MAGIC) + 1 + n:]

    def counted(b):
        return struct.pack(">I", len(b)) + b

    def ad(purpose):
        return MAGIC + counted(purpose) + counted(class_.encode()) + counted(object_.encode()) + struct.pack(">Q", 1) + counted(ident)
    data_key = AESGCM(kek).decrypt(rest[:12], rest[12:60], ad(b"key"))
    return class_, load_der_private_key(AESGCM(data_key).decrypt(rest[60:72], rest[72:], ad(b"data")), None)


def of_bytes(raw):
    """The forms in which bytes lie about: as they are, reversed (numbers of OpenSSL), hexadecimal, base64."""
    forms = {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        forms.add(coded[4 if shift else 0:len(coded) - 4])
    return forms


def of_key(key):
    numbers = key.private_numbers()
    if hasattr(numbers, "private_value"):
        return of_bytes(numbers.private_value.to_bytes((key.curve.key_size + 7) // 8, "big"))
    return of_bytes(numbers.p.to_bytes((numbers.p.bit_length() + 7) // 8, "big")) | of_bytes(numbers.d.to_bytes((numbers.d.bit_length() + 7) // 8, "big"))


def of_text(text):
    return {text.encode(), text.encode().hex().encode(), base64.b64encode(text.encode()).rstrip(b"=")[:-1]}


class World:
    """A hub that has had something to do with a secret of every class."""

    def __init__(self, hub, nginx, pebble, vault, far, join_token):
        self.hub, self.nginx, self.far = hub, nginx, far
        fleet_key = load_pem_private_key((far.state / "fleet" / "key.pem").read_bytes(), None)
        self.kek = (hub.etc / "kek").read_bytes()
        assert len(self.kek) == 32
        recovery = re.search(r"^    ((?:[0-9A-Z]{4}-){8}[0-9A-Z]{4})$", hub.initial.out, re.M).group(1)
        code = re.search(r"sign-in\?code=(\S+)", hub.initial.out).group(1)
        used = hub.https("POST", "/sign-in", f"code={code}", token=False)
        signed_in = re.search(r"<pre>([^<]+)", used.text).group(1)
        token = hub.token
        assert hub.https("GET", "/api/v1/status").status_code == hub.https("GET", "/api/v1/status", token=signed_in).status_code == 200
        hub.ok("target", "discover")
        hub.ok("cert", "add", WWW, "--to", WWW)
        hub.ok("cert", "renew", WWW)
        hub.ok("issuer", "add", "pebble", "--acme", pebble.directory, "--agree", "--roots", pebble.all_roots, "--grant", "127.0.0.0/8", "--via", "webroot",
               "--webroot", nginx.webroot)
        binding = hub.folder / "binding"
        bound = base64.urlsafe_b64encode(b"binding-" + bytes(range(200, 224))).decode().rstrip("=")
        binding.write_text(bound + "\n")
        store = hub.files / "password"
        store.write_text("Zd7-key-store-password-Q4w\n")
        store.chmod(0o600)
        hub.ok("target", "add", "out", "--connector", "files", "--set", f"combined={hub.files}/both.pem", "--set", f"pkcs12={hub.files}/both.p12",
               "--set", f"jks={hub.files}/both.jks", "--set", f"password_file={store}")
        hub.ok("cert", "add", "acme.example.org", "--issuer", "pebble", "--to", "out", "--key-kind", "rsa-2048")
        hub.ok("issuer", "edit", "pebble", "--eab-kid", "kid-1", "--eab-key-file", binding)
        assert hub.cw("issuer", "account", "pebble", "renew").code != 0  # it is used, and Pebble does not know it
        binding.unlink()
        hub.ok("cert", "revoke", WWW)
        hub.ok("target", "add", "vault", "--connector", "vault", "--set", f"server={vault.url}", "--set", "token=vault", "--set", "secret=web")
        hub.ok("cert", "add", "vault.example.org", "--to", "vault", "--key-kind", "rsa-2048")
        hub.ok("cert", "renew", "vault.example.org")
        assert len(vault.secrets["web"]) == 2 and not vault.wrong
        hub.ok("user", "add", "pia")
        invitation = hub.unix("POST", "/api/v1/users/pia/invitation").json()["code"]
        pia, password = people.Browser(hub), "twelve slow geese cross it"
        pia.accept(invitation, password=password)
        app, first = pia.enrol(), pia.cookie()
        recovery_code = pia.ok("POST", "/api/v1/me/recovery-codes")["codes"]
        assert pia.password("pia", password).status_code == 200
        pia.ok("POST", "/api/v1/session/recovery-code", {"code": recovery_code[0]})
        assert pia.ask("GET", "/api/v1/me").status_code == 200
        hub.ok("cert", "add", "download.example.org", "--download", "--key-kind", "rsa-2048")
        taken = [hub.https("POST", "/api/v1/managed-certificates/download.example.org/export", {"format": f}).json() for f in ("pem", "pkcs12", "jks")]
        self.keys = [unsealed(self.kek, p) for p in sorted((hub.state / "signer").rglob("*.key"))]
        self.host_keys = [load_pem_private_key(p.read_bytes(), None) for p in (hub.state / "agent" / "keys").glob("*.key")]
        tls = load_pem_private_key((hub.folder / "tls" / "server.key").read_bytes(), None)
        self.secrets = {
            "key-encryption key": of_bytes(self.kek),
            "recovery key": of_text(recovery) | of_text(recovery.replace("-", "")),
            "CA key": set().union(*(of_key(k) for c, k in self.keys if c == "ca-key")),
            "audit log key": set().union(*(of_key(k) for c, k in self.keys if c == "audit-log")),
            "ACME account key": set().union(*(of_key(k) for c, k in self.keys if c == "acme-account")),
            "Key of an external account binding": of_text(bound) | of_bytes(b"binding-" + bytes(range(200, 224))),
            "host key": set().union(*(of_key(k) for k in self.host_keys)),
            "key for download": set().union(*(of_key(k) for c, k in self.keys if c == "download")),
            "passphrase of a download": of_text(taken[1]["passphrase"]) | of_text(taken[2]["passphrase"]),
            "sealing key": of_bytes((hub.state / "agent" / "keys" / "seal.x25519").read_bytes()),
            "hub TLS key, from files": of_key(tls),
            "appliance credential": of_text(vault.token),
            "key store password": of_text(store.read_text().strip()),
            "join token": of_text(join_token),
            "fleet agent key": of_key(fleet_key),
            "API token": of_text(token) | of_text(signed_in),
            "sign-in code": of_text(code),
            "database password": of_text(postgres.PASSWORD),
            "password": of_text(password),
            "secret of an authenticator app": of_bytes(app.key) | of_text(app.text),
            "recovery code": set().union(*(of_text(c) | of_text(c.replace("-", "")) for c in recovery_code[:2])),
            "session cookie, and the cookie of a device that is known": set().union(*(of_text(c) for c in (first, pia.cookie(), pia.cookie(people.DEVICE)))),
            "invitation": of_text(invitation),
        }

    def found(self, text):
        """The classes of which something is in the text; lines of PEM are put together."""
        flat = text.replace(b"\n", b"").replace(b"\\n", b"")
        return {name for name, forms in self.secrets.items() if any(f in text or f in flat for f in forms)}


@pytest.fixture(scope="module")
def world(module_hub, _pebble):
    hub, nginx, vault, far, join_token = module_hub
    return World(hub, nginx, _pebble, vault, far, join_token)


@pytest.fixture(scope="module")
def module_hub(engine, http_port, hub_maker, nginx_maker):
    nginx = nginx_maker()
    nginx.http = [f"root {nginx.webroot};"]
    nginx.write()
    nginx.reload()
    hub = hub_maker(nginx=nginx, start=False, rest_s=0)  # every hand is looked into
    folder, root = hub.folder / "tls", pki.Root()
    folder.mkdir()
    cert, key, roots = root.write(folder, ["localhost", "127.0.0.1"])
    if os.geteuid() == 0:
        os.chown(key, hubs.UID_BASE + 1, -1)
    key.chmod(0o600)
    yaml = hub.etc / "hub.yaml"
    yaml.write_text(yaml.read_text().replace("https:\n", f"https:\n  certificate: {cert}\n  key: {key}\n"))
    outside = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    outside.chmod(0o755)
    vault = push.Vault(outside, token="hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY-")
    (outside / "token").write_text(vault.token)
    (outside / "token").chmod(0o600)
    hub.agent_settings["connectors"].append("vault")
    hub.agent_settings["credentials"] = {"vault": {"file": str(outside / "token"), "hosts": [f"127.0.0.1:{vault.port}"], "roots": str(vault.roots)}}
    hub.write_agent()
    hub.start()
    hub._fleet = roots  # its HTTPS certificate is not of the fleet CA
    (outside / "far").mkdir()
    (outside / "far").chmod(0o755)
    far, join_token = Remote(hub, outside / "far", "far1", rest_s=0), remote_token(hub, "far")
    assert far.join(join_token).code == 0
    far.start()
    yield hub, nginx, vault, far, join_token
    far.stop()
    vault.stop()
    shutil.rmtree(outside)


def test_there_was_a_secret_of_every_class(world):
    assert all(world.secrets.values())
    assert sum(c == "ca-key" for c, _ in world.keys) == 3 and any(c == "acme-account" for c, _ in world.keys)
    assert len(world.host_keys) >= 3


def test_every_class_of_the_table_is_looked_for(world):
    rows = re.findall(r"^\| \*\*([^*]+)\*\*([^|]*)\|", TABLE.read_text(), re.M)
    names = {re.sub(r" \(.*", "", (a + b).strip()) for a, b in rows}
    assert names == set(MAY_HOLD) | NOT_PLANTED
    assert set(world.secrets) == set(MAY_HOLD)


@pytest.mark.parametrize("role", ["parent", *hubs.ROLES])
def test_a_role_holds_only_the_secrets_that_the_table_gives_it(world, role):
    pid = world.hub.child.pid if role == "parent" else world.hub.pids()[role]
    found = world.found(memory(pid))
    assert found <= {name for name, who in MAY_HOLD.items() if role in who}


@pytest.mark.parametrize("role", FAR_ROLES)
def test_a_role_on_another_host_holds_no_secret_but_its_own(world, role):
    assert world.found(memory(world.far.pids()[role])) == ({"fleet agent key"} if role == "agent" else set())


def test_the_search_finds_what_is_there(world):
    """Else the tests above would pass by looking nowhere."""
    assert {"key-encryption key", "CA key", "ACME account key"} <= world.found(memory(world.hub.pids()["signer"]))
    assert "hub TLS key, from files" in world.found(memory(world.hub.pids()["hub"]))


def places(world):
    """Each file of the installation, and of where it installs, with what may be in it."""
    hub = world.hub
    allowed = {hub.etc / "kek": {"key-encryption key"}, hub.folder / "tls" / "server.key": {"hub TLS key, from files"},
               hub.etc / "hub.yaml": {"database password"}, hub.files / "both.pem": {"host key"},
               hub.files / "password": {"key store password"}, world.nginx.block.key: {"host key"}}
    for top in (hub.folder, world.nginx.folder):
        for path in (p for p in top.rglob("*") if p.is_file() and not p.is_symlink()):
            if path == hub.state / "agent" / "keys" / "seal.x25519":
                yield path, {"sealing key"}
                continue
            ours = path.is_relative_to(hub.state / "agent" / "keys") or path.is_relative_to(hub.state / "agent" / "targets")
            yield path, allowed.get(path, {"host key"} if ours else set())
    for path in (p for p in world.far.folder.rglob("*") if p.is_file() and not p.is_symlink()):
        yield path, {"fleet agent key"} if path == world.far.state / "fleet" / "key.pem" else set()


def test_a_file_holds_only_the_secrets_that_the_table_gives_it(world):
    wrong, held = {}, set()
    for path, allowed in places(world):
        found = world.found(path.read_bytes())
        held |= found
        if not found <= allowed:
            wrong[str(path)] = found - allowed
    assert not wrong
    assert {"key-encryption key", "host key"} <= held, "the search finds what is there"


def test_files_with_a_secret_are_open_to_their_owner_alone(world):
    for path, allowed in places(world):
        if allowed and world.found(path.read_bytes()):
            assert not os.stat(path).st_mode & 0o077, (path, oct(os.stat(path).st_mode))


def test_the_database_holds_no_secret(world, engine):
    if engine:
        text = engine.dump(world.hub.database)
    else:
        text = b"".join(p.read_bytes() for p in (world.hub.state / "hub").glob("certwright.db*"))
    assert WWW.encode() in text
    assert world.found(text) == set()


def test_the_log_holds_no_secret(world):
    assert world.found(world.hub.text().encode()) == set()


def test_no_answer_of_the_api_holds_a_secret(world):
    hub = world.hub
    text = ""
    for path in [p for p, m in hub.unix("GET", "/api/openapi.json").json()["paths"].items() if "get" in m and "{" not in p]:
        text += hub.unix("GET", path).text
    for noun, name in (("cert", WWW), ("cert", "acme.example.org"), ("target", WWW), ("issuer", "pebble"), ("ca", "issuing"), ("agent", "host1")):
        text += hub.ok(noun, "show", name, "-o", "json").out
    for name in (WWW, "acme.example.org"):
        text += hub.ok("cert", "steps", name).out + hub.ok("cert", "export", name).out
    assert world.found(text.encode()) == set()


def test_no_other_user_can_look_into_a_role(world):
    for role, pid in world.hub.pids().items():
        if os.geteuid() == 0:
            assert os.stat(f"/proc/{pid}/maps").st_uid == 0, f"{role} can be dumped by its own user"


def test_the_sealed_keys_open_for_no_other_object(world):
    paths = sorted((world.hub.state / "signer").rglob("ca-key.*.key"))
    other = world.hub.folder / paths[1].name
    other.write_bytes(paths[0].read_bytes())
    with pytest.raises(Exception):
        unsealed(world.kek, other)
    other.unlink()
