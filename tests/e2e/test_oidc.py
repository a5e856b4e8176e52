"""Signing in at an OpenID provider: a real one from npm, and one that lies.  What a provider says of groups becomes what somebody may
do here; who they are is what it calls them (iss and sub), never a name or an address."""
import concurrent.futures
import contextlib
import json
import sqlite3
import struct
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlparse

import pytest

from lib import oidc, pki, wait
from lib.people import COOKIE, Browser, first_code

PROVIDER_COOKIE = "__Host-certwright-provider"


class World:
    def __init__(self, hub, real, liar):
        self.hub, self.real, self.liar = hub, real, liar


@pytest.fixture(scope="module")
def world(hub_maker):
    hub = hub_maker(start=False)
    folder = hub.folder / "providers"
    folder.mkdir(mode=0o755)
    root = pki.Root("Providers' root")
    real = oidc.Provider(folder, root, f"https://localhost:{hub.https_port}", ["corp"])
    liar = oidc.Liar(folder, root)
    real.knows(jane={"name": "Jane Doe", "preferred_username": "Jane@example.org", "email": "jane@example.org", "email_verified": True, "groups": ["pki", "all staff"]},
               john={"name": "John", "preferred_username": "john", "groups": ["all staff"]}, mole={"preferred_username": "mole", "groups": []})
    real.start()
    for name, port, text in (("corp-sso", real.port, real.secret), ("liar-sso", liar.port, "unused")):
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o600)
        hub.agent_settings.setdefault("credentials", {})[name] = {"file": str(folder / name), "hosts": [f"localhost:{port}"], "roots": str(real.roots)}
    (folder / "root.pem").chmod(0o644)
    hub.write_agent()
    hub.start()
    hub.ok("team", "add", "shop")
    yield World(hub, real, liar)
    real.stop()
    liar.stop()


def looked(hub, name):
    def seen():
        p = hub.show("identity-provider", name)
        assert not p.get("error"), p["error"]
        return p.get("looked_at")
    wait.until(seen, "the provider was looked at")


def page(browser, url):
    return browser.http.get(browser.origin + url if url.startswith("/") else url, allow_redirects=False, timeout=60)


def begin(browser, name):
    answer = page(browser, f"/sign-in/oidc/{name}")
    assert answer.status_code == 303, answer.text
    return answer


def sign_in(world, account, name="corp", hub_browser=None):
    """All of it, as a browser does it."""
    b = hub_browser or Browser(world.hub)
    return b, page(b, world.real.visit(begin(b, name).headers["location"], account))


def me(browser):
    return browser.ok("GET", "/api/v1/session")["name"]


def grants(hub, name):
    return sorted((g["role"], g["team"], g["source"]) for g in hub.unix("GET", f"/api/v1/users/{name}").json()["grants"])


def test_people_sign_in_at_a_real_provider_and_its_groups_are_what_they_may_do(world):
    hub, real = world.hub, world.real
    callback = hub.ok("identity-provider", "add", "corp", "--issuer", real.issuer, "--client", real.client, "--credential", "corp-sso", "--scope", "openid,profile,email,groups",
                      "--group-claim", "groups", "--group", "pki=operator@shop", "--group", "all staff=viewer", "--create-accounts", "--team", "shop").out.strip()
    assert callback == f"https://localhost:{hub.https_port}/sign-in/oidc/corp/callback"
    looked(hub, "corp")
    b = Browser(hub)
    assert b.ok("GET", "/api/v1/session/providers")["items"] == [{"name": "corp", "kind": "oidc", "sign_in": "/sign-in/oidc/corp"}]
    answer = begin(b, "corp")
    assert "SameSite=Lax" in answer.headers["set-cookie"] and "HttpOnly" in answer.headers["set-cookie"] and "Secure" in answer.headers["set-cookie"]
    asked = {k: v[0] for k, v in parse_qs(urlparse(answer.headers["location"]).query).items()}
    assert asked["code_challenge_method"] == "S256" and asked["redirect_uri"] == callback and len({asked["state"], asked["nonce"], b.cookie(PROVIDER_COOKIE)}) == 3
    back = real.visit(answer.headers["location"], "jane")
    # In another browser the answer is nothing; in the one that began it is good once.
    cold = page(Browser(hub), back)
    assert cold.status_code == 401 and "did not begin" in cold.text
    cookie = b.cookie(PROVIDER_COOKIE)
    done = page(b, back)
    assert done.status_code == 200 and "knows you as jane now" in done.text and done.headers["referrer-policy"] == "no-referrer"
    assert f"{COOKIE}=" in done.headers["set-cookie"] and "SameSite=Strict" in done.headers["set-cookie"] and not b.cookie(PROVIDER_COOKIE)
    assert me(b) == "jane" and b.ask("GET", "/api/v1/managed-certificates").status_code == 200
    assert grants(hub, "jane") == [("operator", "shop", "sso"), ("viewer", "everyone", "sso")]
    # What would outlive the account at the provider is not set up here.
    for url, body in (("/api/v1/me/totp", None), ("/api/v1/me/password", {"password": "seven quiet otters read maps"})):
        refused = b.ask("POST", url, body)
        assert refused.status_code == 409 and "its affair" in refused.text, refused.text
    again = Browser(hub)
    again.http.cookies.set(PROVIDER_COOKIE, cookie, domain="localhost.local", secure=True)
    used = page(again, back)
    assert used.status_code == 401 and "used already" in used.text and not again.cookie()
    made = hub.unix("GET", "/api/v1/users/jane").json()
    assert made["team"] == "shop" and made["display_name"] == "Jane Doe" and made["email"] == "jane@example.org"
    # The provider vouches for her address: rules write there without a code (here there is no channel of mail); to others they do not.
    hub.unix("POST", "/api/v1/rules", {"name": "tell", "spec": {"on": ["policy.update"], "steps": [{"notify": "jane@example.org"}]}})
    hub.unix("POST", "/api/v1/rules", {"name": "tell2", "spec": {"on": ["policy.update"], "steps": [{"notify": "joan@example.org"}]}})
    assert hub.unix("PUT", "/api/v1/policy", {"document": "version: 1\nrules: []\n"}).status_code == 200
    notes = wait.until(lambda: (lambda n: len(n) == 2 and n)({a["rule"]: a["note"] for a in hub.unix("GET", "/api/v1/alerts").json()["items"] if "note" in a}), "both say so", 10)
    assert notes["tell"].startswith("no channel sends mail to jane@") and "joan@example.org has not confirmed" in notes["tell2"], notes
    # Groups are followed at each sign-in; what was given by hand stays.
    hub.ok("user", "grant", "jane", "--role", "approver", "--team", "shop")
    real.knows(jane={**real.people["jane"], "groups": ["pki"], "name": "Somebody <b>else</b>"})
    sign_in(world, "jane")
    assert grants(hub, "jane") == [("approver", "shop", "local"), ("operator", "shop", "sso")]
    # Who is in no group that is let in gets no account; who says no at the provider, and a disabled account, are told so.
    for account, words in (("mole", "none of your groups there is let in"), ("nobody", "access_denied: the person said no")):
        refused = sign_in(world, account)
        assert refused[1].status_code == 401 and words in refused[1].text and not refused[0].cookie(), refused[1].text
    hub.ok("user", "disable", "jane")
    assert b.ask("GET", "/api/v1/session").status_code == 401 and "disabled" in sign_in(world, "jane")[1].text
    hub.ok("user", "enable", "jane")
    # An account of that name that somebody else has is not taken over; root binds it.
    hub.ok("user", "add", "john", "--team", "shop")
    refused = sign_in(world, "john")[1]
    assert refused.status_code == 401 and "--provider corp --subject &#39;john" in refused.text.replace("'", "&#39;")
    hub.ok("user", "bind", "john", "--provider", "corp", "--subject", "john")
    assert me(sign_in(world, "john")[0]) == "john"
    assert "already" in hub.cw("user", "invite", "john").err
    # The provider's keys change: the new one is asked for; the code and its verifier stay nowhere.
    real.start(oidc.Key("second"))
    hub.move_clock(120)
    assert me(sign_in(world, "john")[0]) == "john"
    assert grants(hub, "john") == [("viewer", "everyone", "sso")]
    hub.ok("user", "unbind", "john", "--provider", "corp", "--subject", "john")
    assert grants(hub, "john") == []
    hub.ok("identity-provider", "edit", "corp", "--disable")
    assert page(Browser(hub), "/sign-in/oidc/corp").status_code == 404
    hub.ok("identity-provider", "remove", "corp")
    assert grants(hub, "jane") == [("approver", "shop", "local")]


@pytest.mark.one_engine
def test_a_provider_that_lies_lets_nobody_in(world, engine):
    hub, liar = world.hub, world.liar
    anna = Browser(hub)
    anna.accept(first_code(hub), "anna")
    anna.enrol()
    hub.ok("identity-provider", "add", "liar", "--issuer", liar.issuer, "--client", liar.client, "--create-accounts")
    wait.until(lambda: hub.show("identity-provider", "liar").get("error"), "without the root it is not believed")
    (world.hub.folder / "none").touch()
    hub.ok("identity-provider", "edit", "liar", "--credential", "liar-sso")
    wait.until(lambda: not hub.show("identity-provider", "liar").get("error"), "with it, it is")
    other = oidc.Key("one")  # the same id, another key
    for words, how in [("signature", {"forge": "tampered"}), ("", {"forge": "none"}), ("", {"forge": "hs256"}), ("", {"forge": "hs256-kid"}), ("", {"forge": "jwk"}),
                       ("", {"key": other}), ("another application", {"aud": "somebody-else"}),
                       ("another application", {"azp": "x"}), ("another provider", {"iss": "https://evil.example.org"}), ("expired", {"exp": 1000}),
                       ("too old", {"clock": -3600, "exp": 4102444800}), ("not of this sign-in", {"nonce": "n"}), ("", {"sub": None}), ("control characters", {"sub": "a\x1b[2J"})]:
        b = Browser(hub)
        if "nonce" in how:
            location = begin(b, "liar").headers["location"]
            asked = {k: v[0] for k, v in parse_qs(urlparse(location).query).items()}
            url = liar.visit(location)
            code = parse_qs(urlparse(url).query)["code"][0]
            liar.codes[code]["token"] = liar.token(how["nonce"])
            assert asked["nonce"]
        else:
            url = liar.visit(begin(b, "liar").headers["location"], **how)
        answer = page(b, url)
        assert answer.status_code == 401 and words in answer.text and not b.cookie(), (how, answer.status_code, answer.text)
    # Answers that are of another provider (RFC 9207), of another sign-in, of nobody, or have no code
    for change, words in (({"iss": "https://evil.example.org"}, "another identity provider"), ({"iss": None}, "another identity provider"), ({"state": "x" * 43}, "not of the sign-in"),
                          ({"code": None}, "no code"), ({"code": "guessed"}, "gives no token")):
        b = Browser(hub)
        url = urlparse(liar.visit(begin(b, "liar").headers["location"]))
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        query.update(change)
        answer = page(b, f"{url.path}?{urlencode({k: v for k, v in query.items() if v is not None})}")
        assert answer.status_code == 401 and words in answer.text and not b.cookie(), (change, answer.text)
    # A state of one provider is not that of another one, with the same cookie.
    hub.ok("identity-provider", "add", "twin", "--issuer", liar.issuer, "--client", liar.client, "--credential", "liar-sso", "--create-accounts")
    looked(hub, "twin")
    b = Browser(hub)
    url = liar.visit(begin(b, "liar").headers["location"]).replace("/oidc/liar/", "/oidc/twin/")
    assert "not of the sign-in" in page(b, url).text
    # Names that are somebody's already, whatever address is said with them
    b = Browser(hub)
    answer = page(b, liar.visit(begin(b, "liar").headers["location"], preferred_username="anna", email="anna@example.org", email_verified=True))
    assert answer.status_code == 401 and "not bound to you" in answer.text and "--subject SUB" in answer.text and "friend" not in answer.text
    # The second factor is the provider's, where it is asked for.
    hub.ok("identity-provider", "edit", "liar", "--acr", "gold", "--amr", "mfa,hwk")
    for claims, good in (({}, False), ({"acr": "gold"}, False), ({"acr": "silver", "amr": ["mfa"]}, False), ({"acr": "gold", "amr": ["pwd", "mfa"]}, True)):
        b = Browser(hub)
        location = begin(b, "liar").headers["location"]
        assert parse_qs(urlparse(location).query)["acr_values"] == ["gold"]
        answer = page(b, liar.visit(location, **claims))
        assert (answer.status_code == 200) == good == bool(b.cookie()), (claims, answer.text)
    # Keys that are not known are asked for, but not each time.
    liar.keys = [oidc.Key("two")]
    hub.move_clock(200)
    before = liar.asked.count("/keys")
    for key in [None] + [oidc.Key(f"k{i}") for i in range(2)]:
        b = Browser(hub)
        answer = page(b, liar.visit(begin(b, "liar").headers["location"], key=key, clock=200, acr="gold", amr=["mfa"]))
        assert answer.status_code == (401 if key else 200), answer.text
    assert liar.asked.count("/keys") == before + 1
    # Nothing of a code is left, and what was refused is in the log.
    text = engine.sql("SELECT payload FROM job", hub.database) if engine else None
    if not engine:
        with contextlib.closing(sqlite3.connect(next((hub.state / "hub").glob("*.db")), timeout=10)) as db:
            text = str(db.execute("SELECT payload FROM job").fetchall())
    assert "code-" not in text and "verifier" not in text
    wait.until(lambda: "signature" in hub.ok("audit", "list", "--action", "session.refused", "-o", "json").out, "the log tells it")


@pytest.mark.one_engine
def test_a_provider_that_does_not_answer_keeps_nobody_else_waiting(world):
    hub, liar = world.hub, world.liar
    hub.ok("identity-provider", "add", "slow", "--issuer", liar.issuer, "--client", liar.client, "--credential", "liar-sso", "--create-accounts")
    looked(hub, "slow")
    shift = struct.unpack("<q", Path(hub.clock_file).read_bytes()[:8])[0]
    crowd, stranger = [Browser(hub) for _ in range(20)], Browser(hub, address="127.0.0.2")
    urls = [liar.visit(begin(b, "slow").headers["location"], preferred_username="crowd", sub="crowd", clock=shift) for b in [stranger, *crowd]]
    liar.gate.clear()
    try:
        with concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
            waits = [pool.submit(page, b, url) for b, url in zip([stranger, *crowd], urls)]
            # Of one address 16 are under way, the newest; and no more than four are asked for at once (below).
            wait.until(lambda: sum(w.done() for w in waits) == 4, "the oldest of the crowd go", 20)
            gone = [w.result() for w in waits if w.done()]
            assert all(a.status_code == 401 and "too many sign-ins from your address at once" in a.text for a in gone), [a.text for a in gone]
            wait.until(lambda: liar.most, "it is asked", 15)
            hub.ok("cert", "add", "meanwhile.example.org")
            assert not waits[0].done(), "who comes from elsewhere is not pushed out"
            liar.gate.set()
            answers = [w.result(60) for w in waits]
    finally:
        liar.gate.set()
    assert answers[0].status_code == 200 and [a.status_code for a in answers].count(200) == 17 and liar.most <= 4, [a.text for a in answers]


@pytest.mark.one_engine
def test_what_a_provider_may_give_is_held_by_who_enters_it(world):
    hub = world.hub
    hub.ok("role", "add", "officer", "--permission", "identity-provider.create,identity-provider.read,identity-provider.update,user.read,user.create,user.bind")
    hub.ok("user", "add", "otto", "--service", "--role", "officer")
    text = hub.unix("POST", "/api/v1/tokens", {"name": "otto", "user": "otto", "role": "officer"}).json()["token"]

    def ask(method, url, body=None):
        return hub.unix(method, url, body, headers={"Authorization": f"Bearer {text}"})
    body = {"name": "mine", "issuer": "https://idp.example.org", "client_id": "x", "group_claim": "g"}
    assert ask("POST", "/api/v1/identity-providers", {**body, "groups": [{"name": "me", "role": "administrator"}]}).status_code == 403
    assert ask("POST", "/api/v1/identity-providers", {**body, "issuer": "http://idp.example.org"}).status_code == 400
    assert ask("POST", "/api/v1/identity-providers", {**body, "scopes": ["profile"]}).status_code == 400
    assert ask("POST", "/api/v1/identity-providers", {**body, "groups": [{"name": "me", "role": "officer"}]}).status_code == 201
    assert hub.unix("PATCH", "/api/v1/identity-providers/mine", {"groups": [{"name": "a", "role": "administrator"}]}).status_code == 200
    assert ask("PATCH", "/api/v1/identity-providers/mine", {"group_claim": "nickname"}).status_code == 403
    # Binding is becoming: not of who may do more, nor of who signs in already.
    hub.ok("user", "add", "boss", "--role", "administrator")
    assert ask("POST", "/api/v1/users/boss/identities", {"provider": "mine", "subject": "otto"}).status_code == 403
    hub.ok("user", "add", "new")
    assert ask("POST", "/api/v1/users/new/identities", {"provider": "mine", "subject": "n"}).status_code == 201
    assert ask("POST", "/api/v1/users/new/identities", {"provider": "mine", "subject": "m"}).status_code == 403
    assert json.loads(hub.ok("user", "identities", "new", "-o", "json").out)[0]["subject"] == "n"
