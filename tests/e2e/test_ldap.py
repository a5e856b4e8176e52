"""Signing in at a directory: a real slapd.  Who somebody is is its entryUUID, what they may do follows its groups, and the password is shown to
it alone, by the hub's own agent."""
import os
import signal
import sqlite3
import threading

import pytest

from lib import pki, wait
from lib.directory import BINDER, BINDER_PASSWORD, SUFFIX, Directory
from lib.memory import memory
from lib.people import Browser

GOOD = "Wq7-walnuts-under-the-bridge-x5"


class World:
    def __init__(self, hub, directory, other):
        self.hub, self.directory, self.other = hub, directory, other


@pytest.fixture(scope="module")
def world(hub_maker):
    hub = hub_maker(start=False)
    folder = hub.folder / "directory"
    folder.mkdir(mode=0o755)
    directory = Directory(folder, pki.Root("Directory's root"))
    other = folder / "other.pem"
    other.write_bytes(pki.pem(pki.Root("Somebody else's root").cert))
    directory.start()
    directory.fill()
    secret = folder / "reader"
    secret.write_text(BINDER_PASSWORD + "\n")
    secret.chmod(0o600)
    hub.agent_settings.setdefault("credentials", {})["corp-ldap"] = {"file": str(secret), "hosts": [f"localhost:{directory.tls_port}", f"localhost:{directory.port}", "localhost:2"]}
    hub.write_agent()
    hub.start()
    hub.may_die = True
    hub.ok("team", "add", "shop")
    yield World(hub, directory, other)
    directory.stop()


def sign_in(hub, name, password=GOOD, provider="corp", browser=None):
    b = browser or Browser(hub)
    return b, b.ask("POST", "/api/v1/session/directory", {"provider": provider, "name": name, "password": password})


def grants(hub, name):
    return sorted((g["role"], g["team"], g["source"]) for g in hub.unix("GET", f"/api/v1/users/{name}").json()["grants"])


def add(world, name, *more, url=None, ca=None):
    return world.hub.cw("identity-provider", "add", name, "--kind", "ldap", "--server", url or world.directory.url, "--ca-file", str(ca or world.directory.roots), "--base", f"ou=people,{SUFFIX}",
                        "--bind", BINDER, "--credential", "corp-ldap", *more)


def failed(answer, *words):
    assert answer.status_code == 401 and all(w in answer.text for w in words or ("not how anybody signs in",)), answer.text


def test_people_sign_in_with_what_the_directory_knows_them_by(world):
    hub, ldap = world.hub, world.directory
    jane, mole = ldap.person("jane", GOOD, "Jane Doe"), ldap.person("mole", GOOD)
    pki_group = ldap.group("Pki, keepers".replace(",", "\\,"), jane)
    staff = ldap.group("staff", jane, ldap.person("john", GOOD))
    done = add(world, "corp", "--group", f"{pki_group}=operator@shop", "--group", f"CN=Staff, ou=groups,{SUFFIX}=viewer", "--group-attribute", "memberOf", "--create-accounts", "--team", "shop")
    assert done.code == 0, done
    said = hub.ok("identity-provider", "test", "corp", "--user", "jane").out
    assert jane in said and "operator in shop" in said and "viewer in everyone" in said and BINDER_PASSWORD not in said, said
    b = Browser(hub)
    assert b.ok("GET", "/api/v1/session/providers")["items"] == [{"name": "corp", "kind": "ldap", "sign_in": "/api/v1/session/directory"}]
    for name, password in (("jane", "wrong"), ("nobody", GOOD), ("*)(uid=*", GOOD), ("jane)(objectClass=*", GOOD), ("*", GOOD), ("jane", ""), ("jane\\00", GOOD)):
        refused = sign_in(hub, name, password)
        failed(refused[1])
        assert not refused[0].cookie(), name
    asked = []  # as much for who is not there
    for name in ("john", "nobody"):
        before = ldap.operations()
        failed(sign_in(hub, name, "wrong")[1])
        asked.append([now - then for now, then in zip(ldap.operations(), before)])
    assert asked[0] == asked[1] and len(asked[0]) == 2, asked
    b, answer = sign_in(hub, "Jane")
    assert answer.status_code == 200 and answer.json()["state"] == "enrolment", answer.text
    # The directory has asked for a password alone: a second factor is set up here, but nothing that would do without the directory.
    refused = b.ask("POST", "/api/v1/me/passkey-challenge"), b.ask("POST", "/api/v1/me/password", {"password": "seven quiet otters read maps"})
    assert refused[1].status_code in (401, 409), refused[1].text
    app = b.enrol()
    assert b.ask("POST", "/api/v1/me/password", {"password": "seven quiet otters read maps"}).status_code == 409
    assert grants(hub, "jane") == [("operator", "shop", "sso"), ("viewer", "everyone", "sso")]
    made = hub.unix("GET", "/api/v1/users/jane").json()
    assert made["team"] == "shop" and made["display_name"] == "Jane Doe" and made["email"] == "jane@example.org"
    subject = hub.unix("GET", "/api/v1/users/jane/identities").json()["items"][0]["subject"]
    assert len(subject) == 36 and subject.count("-") == 4, subject
    b, answer = sign_in(hub, "jane", browser=b)
    assert answer.json()["state"] == "second-factor" and answer.json()["methods"] == ["totp"], answer.text
    assert b.ok("POST", "/api/v1/session/totp", {"code": app.code()})["state"] == "done"
    # Groups are followed; who is in none that is let in gets no account.
    ldap.members(pki_group, mole)
    sign_in(hub, "jane")
    assert grants(hub, "jane") == [("viewer", "everyone", "sso")]
    ldap.members(staff, f"uid=john,ou=people,{SUFFIX}")
    sign_in(hub, "jane")
    assert grants(hub, "jane") == []
    ldap.members(pki_group, jane)
    failed(sign_in(hub, "mole")[1], "none of your groups")
    # A new name is the same person; a locked account is not let in, and the log says why.
    ldap.change(f"dn: {jane}\nchangetype: modrdn\nnewrdn: uid=jane.smith\ndeleteoldrdn: 1\n")
    failed(sign_in(hub, "jane")[1])
    assert sign_in(hub, "jane.smith")[1].json()["name"] == "jane"
    ldap.lock(f"uid=jane.smith,ou=people,{SUFFIX}")
    failed(sign_in(hub, "jane.smith")[1])
    wait.until(lambda: "directory_refused" in hub.text() and "locked" in hub.text().lower(), "the directory's words in the log")
    # Two entries that fit are nobody.
    ldap.person("twin", GOOD)
    ldap.change(f"dn: ou=more,ou=people,{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\nou: more\n\ndn: uid=twin,ou=more,ou=people,{SUFFIX}\nchangetype: add\n"
                f"objectClass: inetOrgPerson\nuid: twin\ncn: twin\nsn: twin\nuserPassword: {GOOD}\n")
    failed(sign_in(hub, "twin")[1])
    assert "more than one entry" in hub.cw("identity-provider", "test", "corp", "--user", "twin").err
    assert "more than one entry" in hub.text()


def test_a_directory_that_is_not_the_one_is_told_nothing(world):
    """StartTLS and ldaps with another CA, a host that agent.yaml does not name, and a server that is down."""
    hub, ldap = world.hub, world.directory
    for name, url in (("plain", ldap.plain_url), ("tls", ldap.url)):
        assert add(world, f"wrong-{name}", url=url, ca=world.other).code == 0
        said = hub.cw("identity-provider", "test", f"wrong-{name}")
        assert said.code != 0 and "certificate" in said.err, said
        answer = sign_in(hub, "john", provider=f"wrong-{name}")[1]
        assert answer.status_code in (502, 503) and "identity-provider test" in answer.text, answer.text
    assert add(world, "starttls", "--group-filter", "(member={dn})", "--group-base", f"ou=groups,{SUFFIX}", "--group", f"cn=staff,ou=groups,{SUFFIX}=viewer", "--create-accounts", "--second-factor", "directory",
               url=f"ldaps://localhost:2,{ldap.plain_url}").code == 0
    assert "viewer in everyone" in hub.ok("identity-provider", "test", "starttls", "--user", "john").out
    ldap.members(f"cn=staff,ou=groups,{SUFFIX}", ldap.person("vera", GOOD))
    vera, answer = sign_in(hub, "vera", provider="starttls")
    assert answer.json()["state"] == "done" and vera.ask("GET", "/api/v1/managed-certificates").status_code == 200, answer.text
    ldap.members(f"cn=staff,ou=groups,{SUFFIX}", f"uid=john,ou=people,{SUFFIX}")
    assert add(world, "elsewhere", url="ldaps://localhost:1").code == 0
    assert "may not be sent to localhost:1" in hub.cw("identity-provider", "test", "elsewhere").err
    assert "such as ldaps://" in add(world, "bad", url="http://localhost").err or "ldaps://" in add(world, "bad", url="http://localhost").err
    ldap.stop()
    answer = sign_in(hub, "john")[1]
    assert answer.status_code in (502, 503), answer.text
    assert "refused" in hub.show("identity-provider", "corp")["error"].lower()
    ldap.start()
    failed(sign_in(hub, "john", "wrong")[1])


def test_the_agent_dies_while_somebody_waits(world):
    """The sign-in ends with clear words, nothing is left of it, and the next one works."""
    hub = world.hub
    stopped = world.directory.process.pid
    os.kill(stopped, signal.SIGSTOP)
    try:
        said = []
        one = threading.Thread(target=lambda: said.append(sign_in(hub, "john")[1]))
        one.start()
        wait.until(lambda: connected(world.directory.tls_port), "the relay is connected")
        os.kill(hub.pids()["agent"], signal.SIGKILL)
        one.join()
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert said[0].status_code in (502, 503), said[0].text
    wait.until(lambda: sign_in(hub, "john")[1].status_code == 200, "john signs in")


def test_one_person_under_many_names_is_counted_as_one(world):
    """To a directory a name with more spaces is the same name: after twelve wrong passwords, however it is typed, all of them wait."""
    hub = world.hub
    world.directory.person("olga", GOOD)
    tries = [sign_in(hub, " " * i + "olga", f"wrong {i}")[1].status_code for i in range(16)]
    assert tries[:13] == [401] * 13 and 429 in tries[13:], tries
    assert sign_in(hub, "olga ")[1].status_code == 429, "the right one is not told from a wrong one"


def connected(port):
    with open("/proc/net/tcp") as t4, open("/proc/net/tcp6") as t6:
        return any(f":{port:04X} 01 " in " ".join(line.split()[2:4]) + " " for line in [*t4, *t6])


def test_the_password_is_kept_nowhere(world, engine):
    hub = world.hub
    if engine == "sqlite":
        dump = "\n".join(sqlite3.connect(hub.state / "hub" / "certwright.db").iterdump())
        assert GOOD not in dump and "jane" in dump
    for path in hub.folder.rglob("*"):
        if path.is_file() and not path.is_relative_to(world.directory.folder):
            assert GOOD.encode() not in path.read_bytes(), path
    assert GOOD not in hub.text()
    for role, pid in hub.pids().items():
        held = memory(pid)
        assert GOOD.encode() not in held, role
        assert BINDER_PASSWORD.encode() not in held, role
