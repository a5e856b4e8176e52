"""People sign in: invitations, passwords with a second factor, passkeys, recovery codes, sessions; and who tries without."""
import contextlib
import json
import re
import sqlite3
import statistics
import threading
import time

import pytest

from lib.people import COOKIE, DEVICE, PASSWORD, Authenticator, Browser, first_code

PROBLEM = "urn:certwright:problem:"


@pytest.fixture(scope="module")
def hub(hub_maker):
    hub = hub_maker()
    hub.anna = Browser(hub)
    hub.anna.accept(first_code(hub), "anna")
    hub.anna.app = hub.anna.enrol()
    return hub


def sql(hub, engine, text):
    if engine:
        return engine.sql(text, hub.database)
    with contextlib.closing(sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=10)) as db, db:
        return str(db.execute(text).fetchall())


def person(hub, name):
    """Somebody new, with an authenticator app, signed in."""
    hub.ok("user", "add", name)
    made = hub.unix("POST", f"/api/v1/users/{name}/invitation").json()
    b = Browser(hub)
    b.accept(made["code"])
    b.app = b.enrol()
    b.name = name
    return b


def test_the_first_link_makes_the_first_administrator(hub):
    b = hub.anna
    me = b.ok("GET", "/api/v1/me")
    assert me["name"] == "anna" and me["totp"] and me["password"]
    assert b.ask("GET", "/api/v1/status").status_code == 200
    assert b.ask("GET", "/api/v1/users").status_code == 200
    again = Browser(hub).ask("POST", "/api/v1/invitation", {"code": first_code(hub), "name": "eve", "password": PASSWORD})
    assert again.status_code == 401 and "the link was used" in again.text


def test_an_invitation_is_good_once_and_says_nothing_to_others(hub):
    link = hub.ok("user", "add", "bert").out.strip()
    assert link.startswith(f"https://localhost:{hub.https_port}/sign-in?code=")
    code = link.split("code=")[1]
    b = Browser(hub)
    for bad, word in [("short", "at least 12"), ("aaaaaaaaaaaaaaaaaaaaaa", "repeats"), ("bert12345678", "little more than the name")]:
        refused = b.ask("POST", "/api/v1/invitation", {"code": code, "password": bad})
        assert refused.status_code == 400 and word in refused.text, refused.text
    session = b.accept(code)
    assert session["state"] == "enrolment" and session["name"] == "bert"
    # Nothing but setting up a second factor
    for method, url in [("GET", "/api/v1/status"), ("GET", "/api/v1/me/sessions"), ("POST", "/api/v1/me/recovery-codes"), ("GET", "/api/v1/users"),
                        ("GET", "/api/v1/me/passkeys"), ("DELETE", "/api/v1/me/sessions")]:
        assert b.ask(method, url).status_code == 401, url
    assert b.ask("POST", "/api/v1/session/totp", {"code": "000000"}).status_code == 409
    assert Browser(hub).ask("POST", "/api/v1/invitation", {"code": code, "password": PASSWORD}).status_code == 401
    first = b.cookie()
    b.enrol()
    assert b.cookie() != first
    assert b.ask("GET", "/api/v1/me/sessions").status_code == 200
    assert b.ask("GET", "/api/v1/users").status_code == 403  # bert may do nothing yet
    # A new link ends the one before; none is given to who has a password.
    hub.ok("user", "add", "benno")
    old = hub.ok("user", "invite", "benno", "-o", "json").json()["code"]
    hub.ok("user", "invite", "benno")
    assert Browser(hub).ask("POST", "/api/v1/invitation", {"code": old, "password": PASSWORD}).status_code == 401
    assert "set a password already" in hub.cw("user", "invite", "bert").err


def test_a_password_and_then_a_code(hub):
    b = person(hub, "carl")
    b.forget()
    assert b.password("carl", PASSWORD + "!").status_code == 401
    said = b.password("carl").json()
    assert said["state"] == "second-factor" and said["methods"] == ["totp"]
    first = b.cookie()
    for method, url in [("GET", "/api/v1/status"), ("GET", "/api/v1/me"), ("POST", "/api/v1/me/totp"), ("DELETE", "/api/v1/me/totp"),
                        ("POST", "/api/v1/me/passkey-challenge"), ("POST", "/api/v1/me/password")]:
        assert b.ask(method, url, {"password": "x"} if url.endswith("password") else None).status_code == 401, url
    used = b.app.at(b.app.last)
    assert b.ask("POST", "/api/v1/session/totp", {"code": used}).status_code == 401  # taken when it was set up
    assert b.ok("POST", "/api/v1/session/totp", {"code": b.app.code()})["state"] == "done"
    assert b.cookie() != first and b.ask("GET", "/api/v1/me").json()["name"] == "carl"
    # The cookie of before is of nothing any more.
    old = Browser(hub)
    old.http.cookies.set(COOKIE, first, domain="localhost.local", secure=True)
    assert old.ask("GET", "/api/v1/session").status_code == 401
    # Cookies as browsers are told to keep them
    raw = Browser(hub).http
    answer = raw.post(f"{b.origin}/api/v1/session", json={"name": "carl", "password": PASSWORD})
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; Path=/; Secure; HttpOnly; SameSite=Strict", answer.headers["set-cookie"]), answer.headers
    assert answer.headers["cache-control"] == "no-store"
    b.ok("DELETE", "/api/v1/session")
    assert b.ask("GET", "/api/v1/session").status_code == 401


@pytest.mark.one_engine
def test_other_sites_cannot_use_the_cookie(hub):
    b = hub.anna
    body = {"name": "csrf"}
    assert b.ask("POST", "/api/v1/tokens", body, csrf=False).status_code == 403
    assert b.ask("POST", "/api/v1/tokens", body, origin=False).status_code == 403
    for origin in ["https://evil.example.org", "null", f"http://localhost:{hub.https_port}", "https://localhost", f"https://127.0.0.1:{hub.https_port}"]:
        assert b.ask("POST", "/api/v1/tokens", body, headers={"Origin": origin}).status_code == 403, origin
    other = Browser(hub)
    other.password("anna")
    assert b.ask("POST", "/api/v1/tokens", body, headers={"X-Certwright-CSRF": other.csrf}).status_code == 403
    assert b.ask("POST", "/api/v1/tokens", body, headers={"Host": "evil.example.org", "Origin": "https://evil.example.org",
                                                            "Cookie": f"{COOKIE}={b.cookie()}"}).status_code == 403
    # Nor sign somebody in as somebody else
    assert other.ask("POST", "/api/v1/session", {"name": "anna", "password": PASSWORD}, headers={"Origin": "https://evil.example.org"}).status_code == 403
    assert b.ask("POST", "/api/v1/tokens", body).status_code == 201
    hub.ok("token", "revoke", "csrf")
    # A bearer token needs neither, and is nobody.
    assert hub.https("GET", "/api/v1/me").status_code == 403


def test_sessions_end(hub):
    b = person(hub, "dora")
    second = Browser(hub)
    second.password("dora")
    hub.move_clock(60)  # a code each thirty seconds
    second.ok("POST", "/api/v1/session/totp", {"code": b.app.code()})
    listed = b.ok("GET", "/api/v1/me/sessions")["items"]
    assert len(listed) == 2 and [s["current"] for s in listed] == [False, True] and listed[0]["address"] == "127.0.0.1"
    # Somebody else's cannot be ended, nor seen.
    assert hub.anna.ask("DELETE", f"/api/v1/me/sessions/{listed[0]['id']}").status_code == 404
    b.ok("DELETE", f"/api/v1/me/sessions/{listed[0]['id']}")
    assert second.ask("GET", "/api/v1/me").status_code == 401 and b.ask("GET", "/api/v1/me").status_code == 200
    second.password("dora")
    b.ok("DELETE", "/api/v1/me/sessions")
    assert second.ask("GET", "/api/v1/session").status_code == 401
    # Disabled: at once, and signing in is as wrong a password is
    hub.ok("user", "disable", "dora")
    assert b.ask("GET", "/api/v1/me").status_code == 401
    disabled, unknown = second.password("dora"), second.password("nobody-at-all")
    assert disabled.status_code == unknown.status_code == 401 and disabled.json()["detail"] == unknown.json()["detail"]
    hub.ok("user", "enable", "dora")
    assert b.ask("GET", "/api/v1/me").status_code == 401  # what ended stays so
    hub.move_clock(0)


def test_factors_are_changed_by_who_is_there(hub):
    b = person(hub, "fred")
    codes = b.ok("POST", "/api/v1/me/recovery-codes")["codes"]
    assert len(set(codes)) == 10 and all(re.fullmatch(r"([0-9A-Z]{4}-){3}[0-9A-Z]{4}", c) for c in codes)
    # The password: the old one is asked for, and other sessions end.
    other = Browser(hub)
    other.password("fred")
    other.ok("POST", "/api/v1/session/recovery-code", {"code": codes[0].lower().replace("-", " ")})
    refused = b.ask("POST", "/api/v1/me/password", {"old": "not this one at all", "password": "eight loud badgers write"})
    assert refused.status_code == 400 and refused.json()["field"] == "/old"
    before = b.cookie()
    b.ok("POST", "/api/v1/me/password", {"old": PASSWORD, "password": "eight loud badgers write"})
    assert b.cookie() != before and other.ask("GET", "/api/v1/me").status_code == 401
    assert other.password("fred").status_code == 401
    assert other.password("fred", "eight loud badgers write").status_code == 200
    assert other.ask("POST", "/api/v1/session/recovery-code", {"code": codes[0]}).status_code == 401  # once
    other.ok("POST", "/api/v1/session/recovery-code", {"code": codes[1]})
    assert b.ok("GET", "/api/v1/me")["recovery_codes"] == 8
    new = b.ok("POST", "/api/v1/me/recovery-codes")["codes"]
    third = Browser(hub)
    third.password("fred", "eight loud badgers write")
    assert third.ask("POST", "/api/v1/session/recovery-code", {"code": codes[2]}).status_code == 401
    third.ok("POST", "/api/v1/session/recovery-code", {"code": new[0]})
    # The last second factor stays; after a quarter of an hour one has to show oneself again.
    assert b.ask("DELETE", "/api/v1/me/totp").status_code == 409
    hub.move_clock(1000)
    assert b.ask("POST", "/api/v1/me/recovery-codes").status_code == 403
    assert b.ask("POST", "/api/v1/session/confirm", {"password": PASSWORD}).status_code == 401
    b.ok("POST", "/api/v1/session/confirm", {"password": "eight loud badgers write"})
    b.ok("POST", "/api/v1/me/recovery-codes")
    hub.move_clock(0)
    actions = [(e["action"], e["principal"]) for e in hub.audit() if e["principal"] == "user:fred"]
    for action in ["password.create", "totp.create", "session.create", "recovery-codes.create", "password.update", "session.confirm"]:
        assert (action, "user:fred") in actions, (action, actions)
    signed_in = [e for e in hub.audit() if e["principal"] == "user:fred" and e["action"] in ("session.create", "session.confirm")]
    assert {json.loads(e["detail"])["by"] for e in signed_in} == {"totp", "recovery-code", "password"}
    assert {e["peer"] for e in signed_in} == {"127.0.0.1"}


@pytest.mark.one_engine
def test_nobody_gets_a_link_to_more_than_they_may(hub):
    hub.ok("role", "add", "helpdesk", "--permission", "user.create", "--permission", "user.read", "--permission", "status.read")
    b = person(hub, "hilde")
    hub.ok("user", "grant", "hilde", "--role", "helpdesk")
    assert b.ask("GET", "/api/v1/status").status_code == 200
    for name, role, status in [("helper", "helpdesk", 200), ("boss", "administrator", 403)]:
        hub.ok("user", "add", name, "--role", role)
        assert b.ask("POST", f"/api/v1/users/{name}/invitation").status_code == status, name
    code = b.ok("POST", "/api/v1/users", {"name": "late"}) and b.ok("POST", "/api/v1/users/late/invitation")["code"]
    hub.ok("user", "grant", "late", "--role", "administrator")
    assert Browser(hub).ask("POST", "/api/v1/invitation", {"code": code, "password": PASSWORD}).status_code == 401
    code = b.ok("POST", "/api/v1/users/helper/invitation")["code"]
    hub.ok("role", "edit", "helpdesk", "--permission", "user.create", "--permission", "user.read", "--permission", "audit.read")
    assert Browser(hub).ask("POST", "/api/v1/invitation", {"code": code, "password": PASSWORD}).status_code == 401
    assert b.ask("POST", "/api/v1/users/anna/reset").status_code in (403, 404)
    hub.ok("user", "add", "robot", "--service")
    assert b.ask("POST", "/api/v1/users/robot/invitation").status_code == 409
    assert Browser(hub).password("robot").status_code == 401


def test_root_lets_somebody_back_in(hub):
    b = person(hub, "gina")
    code = b.ok("POST", "/api/v1/me/recovery-codes")["codes"][0]
    refused = hub.anna.ask("POST", "/api/v1/users/gina/reset")
    assert refused.status_code in (403, 404)  # not over the network
    new = hub.ok("user", "reset", "gina").out.strip().split("code=")[1]
    assert b.ask("GET", "/api/v1/me").status_code == 401
    again = Browser(hub)
    assert again.password("gina").status_code == 401
    assert again.accept(new, password="nine green herons sing")["state"] == "enrolment"
    again.enrol()
    again.forget()
    again.password("gina", "nine green herons sing")
    assert again.ask("POST", "/api/v1/session/recovery-code", {"code": code}).status_code == 401


def test_who_fails_waits_and_the_owner_does_not(hub):
    owner = person(hub, "hans")
    owner.forget()
    stranger = Browser(hub, address="127.0.0.9")
    told = [stranger.password("hans", f"wrong wrong wrong {i}").status_code for i in range(14)]
    assert told[:10] == [401] * 10 and 429 in told[10:], told
    waits = stranger.password("hans")  # the right one is not looked at
    assert waits.status_code == 429 and 1 <= int(waits.headers["retry-after"]) <= 900
    # A name that nobody has is treated the same.
    assert [stranger.password("hansi", f"wrong {i}").status_code for i in range(10)] == [401] * 10
    assert 429 in [stranger.password("hansi", "wrong wrong wrong").status_code for _ in range(3)]
    # The owner's device is known, wherever they are; so is their address.
    owner.http.mount("https://", stranger.http.get_adapter("https://"))
    assert owner.password("hans").status_code == 200
    assert Browser(hub).password("hans").status_code == 200
    # Codes: five are free
    tries = [owner.ask("POST", "/api/v1/session/totp", {"code": "000000"}).status_code for _ in range(8)]
    assert tries[:5] == [401] * 5 and 429 in tries[5:], tries
    hub.move_clock(3000)
    assert stranger.password("hans").status_code == 200
    hub.move_clock(0)
    assert ("session.throttle", "user:hans") in [(e["action"], e["principal"]) for e in hub.audit()]


def test_a_hundred_guesses_at_once_are_no_way_around(hub):
    person(hub, "ines")
    tries, guard = [], threading.Lock()

    def guess(i):
        b = Browser(hub, address="127.0.0.77")
        for k in range(3):
            code = b.password("ines", f"guess number {i} {k}").status_code
            with guard:
                tries.append(code)
    threads = [threading.Thread(target=guess, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert tries.count(401) <= 14 and set(tries) <= {401, 429, 503}, tries
    assert hub.anna.ask("GET", "/api/v1/session").status_code == 200


def test_one_code_and_one_recovery_code_for_one_of_many_at_once(hub):
    b = person(hub, "jens")
    code = b.ok("POST", "/api/v1/me/recovery-codes")["codes"][0]
    hub.move_clock(60)
    for url, value_of in [("/api/v1/session/totp", b.app.code), ("/api/v1/session/recovery-code", lambda: code)]:
        rivals = [Browser(hub) for _ in range(4)]
        for r in rivals:
            assert r.password("jens").status_code == 200
        said, value = [], value_of()
        threads = [threading.Thread(target=lambda r=r: said.append(r.ask("POST", url, {"code": value}).status_code)) for r in rivals]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert said.count(200) == 1, said
    hub.move_clock(0)


@pytest.mark.one_engine
def test_the_time_taken_does_not_tell_who_is_there(hub):
    person(hub, "kurt")
    took = {"kurt": [], "nobody-there": []}
    for i in range(5):
        for name, spans in took.items():
            b = Browser(hub, address=f"127.0.1.{i + 1}")
            begin = time.perf_counter()
            assert b.password(name, "wrong wrong wrong").status_code == 401
            spans.append(time.perf_counter() - begin)
    there, not_there = (statistics.median(s) for s in took.values())
    assert 0.5 < there / not_there < 2, took


def test_passkeys(hub):
    b, key = person(hub, "lena"), Authenticator()
    wish = b.ok("POST", "/api/v1/me/passkey-challenge")
    assert wish["rp_id"] == "localhost" and wish["algorithms"] == [-7, -257] and wish["exclude"] == []
    assert b.ask("POST", "/api/v1/me/passkeys", key.make(wish, "https://evil.example.org")).status_code == 400
    # A challenge is somebody's, and good once.
    m = person(hub, "mara")
    assert m.ask("POST", "/api/v1/me/passkeys", key.make(wish, b.origin)).status_code == 400
    made = b.ok("POST", "/api/v1/me/passkeys", key.make(wish, b.origin, "yubi"))
    assert b.ask("POST", "/api/v1/me/passkeys", Authenticator().make(wish, b.origin)).status_code == 400
    twice = b.ask("POST", "/api/v1/me/passkeys", key.make(b.ok("POST", "/api/v1/me/passkey-challenge"), b.origin))
    assert twice.status_code == 409
    # A passkey alone signs in; it has to verify its user, and what it signed is good once.
    other = Browser(hub)
    question = other.ok("POST", "/api/v1/session/passkey-challenge")
    assert question["credentials"] == [] and question["user_verification"] == "required"
    assert other.ask("POST", "/api/v1/session/passkey", key.use(question, other.origin, flags=0x01)).status_code == 401
    answer = key.use(question, other.origin)
    assert other.ok("POST", "/api/v1/session/passkey", answer)["state"] == "done"
    assert other.ok("GET", "/api/v1/me")["name"] == "lena"
    assert Browser(hub).ask("POST", "/api/v1/session/passkey", answer).status_code == 401
    # As a second factor it is asked for by its id; somebody else's is none.
    other = Browser(hub)
    assert other.password("lena").json()["methods"] == ["totp", "passkey"]
    question = other.ok("POST", "/api/v1/session/passkey-challenge")
    assert [c["transports"] for c in question["credentials"]] == [["usb"]]
    assert other.ask("POST", "/api/v1/session/passkey", Authenticator().use(question, other.origin)).status_code == 401
    stranger = Browser(hub)
    assert stranger.password("mara").status_code == 200
    assert stranger.ask("POST", "/api/v1/session/passkey", key.use(stranger.ok("POST", "/api/v1/session/passkey-challenge"), b.origin)).status_code == 401
    assert other.ok("POST", "/api/v1/session/passkey", key.use(question, other.origin, flags=0x01))["state"] == "done"
    # A copy of the key counts from where it was copied.
    copy = Browser(hub)
    assert "copy" in copy.ask("POST", "/api/v1/session/passkey", key.use(copy.ok("POST", "/api/v1/session/passkey-challenge"), b.origin, count=1)).text
    assert ("passkey.copied", "user:lena") in [(e["action"], e["principal"]) for e in hub.audit()]
    # With a passkey the app may go; then the passkey stays.
    b.ok("DELETE", "/api/v1/me/totp")
    assert b.ask("DELETE", f"/api/v1/me/passkeys/{made['id']}").status_code == 409
    assert m.ask("DELETE", f"/api/v1/me/passkeys/{made['id']}").status_code == 404
    assert [p["name"] for p in b.ok("GET", "/api/v1/me/passkeys")["items"]] == ["yubi"]


def test_who_knows_the_password_alone_cannot_add_a_factor_beside_the_owners(hub):
    code = hub.ok("user", "add", "nora").out.strip().split("code=")[1]
    owner, thief = Browser(hub), Browser(hub)
    owner.accept(code)
    assert thief.password("nora").json()["state"] == "enrolment"
    wish = thief.ok("POST", "/api/v1/me/passkey-challenge")
    owner.enrol()
    assert thief.ask("POST", "/api/v1/me/passkeys", Authenticator().make(wish, thief.origin)).status_code == 401
    assert thief.ask("POST", "/api/v1/me/totp").status_code == 401


def test_a_hash_of_weaker_parameters_is_made_anew(hub, engine):
    b = person(hub, "paul")
    # Argon2's own example: 256 KiB, two passes, of the word "password"
    old = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
    where = "WHERE user_id = (SELECT id FROM user_account WHERE name = 'paul')"
    sql(hub, engine, f"UPDATE user_password SET hash = '{old}' {where}")
    assert b.password("paul").status_code == 401
    assert b.password("paul", "password").status_code == 200
    kept = sql(hub, engine, f"SELECT hash FROM user_password {where}")
    assert "m=19456,t=3,p=1" in str(kept), kept
    assert b.password("paul", "password").status_code == 200


def test_nothing_of_it_is_in_the_database_or_the_log(hub):
    b = person(hub, "olga")
    codes = b.ok("POST", "/api/v1/me/recovery-codes")["codes"]
    secrets = [PASSWORD, b.cookie(), b.cookie(DEVICE), b.csrf, codes[0], codes[0].replace("-", "")]
    files = [p for p in hub.state.rglob("*") if p.is_file()]
    for path in [hub.log, *files]:
        data = path.read_bytes()
        for secret in [*(s.encode() for s in secrets), b.app.key]:
            assert secret not in data, path


@pytest.mark.one_engine
def test_sessions_and_links_end_by_themselves(hub):
    code = hub.ok("user", "add", "egon", "-o", "json").json()["link"].split("code=")[1]
    b = person(hub, "emil")
    hub.move_clock(3590)
    assert b.ask("GET", "/api/v1/me").status_code == 200
    hub.move_clock(3590 + 3590)
    assert b.ask("GET", "/api/v1/me").status_code == 200  # it was used meanwhile
    hub.move_clock(3590 + 3590 + 3700)
    assert b.ask("GET", "/api/v1/me").status_code == 401
    hub.move_clock(0)
    b = person(hub, "erna")
    for n in range(1, 14):
        hub.move_clock(n * 3300)
        assert b.ask("GET", "/api/v1/me").status_code == 200, n
    hub.move_clock(12 * 3600 + 60)
    assert b.ask("GET", "/api/v1/me").status_code == 401
    hub.move_clock(7 * 86400 + 60)
    assert Browser(hub).ask("POST", "/api/v1/invitation", {"code": code, "password": PASSWORD}).status_code == 401
    hub.move_clock(0)
