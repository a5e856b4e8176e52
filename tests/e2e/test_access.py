"""Who may do what: teams, roles, grants, tokens.  One hub for the whole file; what the routes ask for is read from the description of the
API, so that a new route is tried without anybody thinking of it."""
import concurrent.futures
import http.client
import json
import socket
from pathlib import Path

import pytest
import yaml

from lib import pki, wait

ROOT = Path(__file__).resolve().parents[2]
API = yaml.safe_load((ROOT / "openapi/certwright.yaml").read_text())
OPEN = {"public", "self", "agent.work"}  # what no role is asked for
ROLES = ["viewer", "requester", "approver", "operator", "auditor", "ca-officer", "administrator", "challenges"]
MARK = "zsales"  # in every name that the team of this name has
NOWHERE = "01m0000000000000000000000x"


def routes():
    """(method, path, operation) of each route that people use and a role is asked for."""
    for path, item in API["paths"].items():
        for method, op in item.items():
            if method != "parameters" and op["x-permission"] not in OPEN and "https" in op.get("x-listener", "admin|https"):
                yield method.upper(), path, op


def body_of(op):
    return "requestBody" in op


class Caller:
    """Somebody with a token, on one connection to the admin socket: what is asked there with a token is asked as its owner."""

    def __init__(self, hub, token):
        self.token = token
        self.c = http.client.HTTPConnection("hub", timeout=30)
        self.c.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.c.sock.settimeout(30)
        self.c.sock.connect(str(hub.admin))

    def __call__(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        self.c.request(method, path, body, headers)
        answer = self.c.getresponse()
        answer.text = answer.read().decode(errors="replace")
        return answer

    def json(self, path):
        answer = self("GET", path)
        assert answer.status == 200, (path, answer.status, answer.text)
        return json.loads(answer.text)


def must(answer, status=(200, 201, 202, 204)):
    status = status if isinstance(status, tuple) else (status,)
    code = answer.status_code if hasattr(answer, "status_code") else answer.status
    assert code in status, (code, answer.text)
    return json.loads(answer.text) if answer.text else None


class World:
    """A hub with three teams; `sales` has one of everything."""

    def __init__(self, hub, remote):
        self.hub, self.n = hub, 0
        for name, parent in (("shop", "everyone"), ("shop-eu", "shop"), ("press", "everyone"), (MARK, "everyone")):
            self.make("teams", {"name": name, "team": parent})
        self.sales(remote)

    def make(self, what, body):
        return must(self.hub.unix("POST", f"/api/v1/{what}", body), (200, 201))

    def try_make(self, what, body):
        answer = self.hub.unix("POST", f"/api/v1/{what}", body)
        return answer.json() if answer.status_code == 201 else None

    def token(self, team, role="administrator", **more):
        self.n += 1
        return self.make("tokens", {"name": f"t{self.n}", "team": team, "role": role, **more})["token"]

    def caller(self, team, role="administrator", **more):
        return Caller(self.hub, self.token(team, role, **more))

    def user(self, name, *grants, kind="service", team="everyone"):
        self.make("users", {"name": name, "kind": kind, "team": team})
        for role, where in grants:
            self.make(f"users/{name}/grants", {"role": role, "team": where})
        return name

    def sales(self, remote):
        """One of everything, in a team that others do not see."""
        hub, team = self.hub, {"team": MARK}
        join = self.make("join-tokens", {"name": f"{MARK}-join", **team})["token"]
        remote.join(join)
        agent = hub.show("agent", f"{MARK}-host")
        target = self.make("targets", {"name": f"{MARK}-target", "connector": "files", "parameters": {"fullchain": f"{hub.files}/{MARK}.pem"}, **team})
        cert = self.make("managed-certificates", {"names": [f"www.{MARK}.example"], "name": f"{MARK}-cert", "targets": [f"{MARK}-target"], **team})
        hub.settled(f"{MARK}-cert")
        found, _ = pki.self_signed([f"found.{MARK}.example"], days=3)
        self.make("imports", {"list": f"{MARK}-list", "rows": [{"row": "1", "der": der64(found), "place": f"found.{MARK}.example:443"}], **team})
        fingerprint = hub.show("cert", f"{MARK}-cert")["current_version"]["fingerprint"]
        attempt = hub.unix("GET", f"/api/v1/managed-certificates/{MARK}-cert/attempts").json()["items"][0]["id"]
        user = self.make("users", {"name": f"{MARK}-anna", "email": f"anna@{MARK}.example", **team})
        grant = self.make(f"users/{MARK}-anna/grants", {"role": "viewer", **team})["grants"][0]
        provider = self.make("dns-providers", {"name": f"{MARK}-dns", "provider": "rfc2136", "zones": [f"{MARK}.example"], "no_test": True, **team})
        dns_grant = self.make(f"dns-providers/{MARK}-dns/grants", {"under": f"a.{MARK}.example", **team})
        challenge = self.make("challenges", {"name": f"www.{MARK}.example", "value": "v" * 42 + "A", **team})
        deployment = hub.unix("GET", "/api/v1/deployments").json()["items"][0]["id"]
        issuer = self.make("issuers", {"name": f"{MARK}-ca", "kind": "ca", "ca": "issuing", **team})
        profile = self.make("profiles", {"name": f"{MARK}-profile", "usage": "tls-server", **team})
        collection = self.make("collections", {"name": f"{MARK}-collection", "filter": f"name ~ {MARK}", **team})
        token = self.make("tokens", {"name": f"{MARK}-token", **team})
        bulk = self.make("bulk", {"act": "tag", "name": f"{MARK}-bulk", "certificates": [fingerprint], "add_tags": ["x"], **team})
        campaign = self.make("campaigns", {"name": f"{MARK}-campaign", "certificates": [f"{MARK}-cert"], **team})
        preflight = must(hub.unix("POST", "/api/v1/managed-certificates/preflight", {"names": [f"pre.{MARK}.example"], **team}))
        endpoint = next(e["id"] for e in hub.unix("GET", "/api/v1/endpoints?limit=1000").json()["items"] if MARK in json.dumps(e))
        scan = wait.until(lambda: self.try_make("scans", {"name": f"{MARK}-scan", "spec": {"targets": ["127.0.71.0/30"], "ports": ["9"]}, **team}), "an agent scans", 10)
        jobs = hub.unix("GET", "/api/v1/jobs?limit=1000").json()["items"]
        role = self.make("roles", {"name": "reader", "permissions": ["certificate.read"]})
        # What the parameters of a path are, of this team; None: of all teams, or none of it can be made without more of a world.
        self.refs = {
            "issuers": issuer["id"], "profiles": profile["id"], "managed-certificates": cert["id"], "attempts": attempt,
            "certificates": fingerprint, "endpoints": str(endpoint), "collections": collection["id"], "targets": target["id"],
            "dns-providers": provider["id"], "agents": agent["id"], "join-tokens": f"{MARK}-join", "teams": MARK, "users": user["id"],
            "tokens": token["id"], "jobs": jobs[0]["id"], "preflights": preflight["id"] if "id" in preflight else NOWHERE,
            "roles": None, "cas": None, "ca-proposals": None, "identity-providers": None, "policy": None, "backups": None, "audit-streams": None, "scans": scan["id"], "challenges": challenge["id"], "deployments": deployment, "adoptions": NOWHERE, "bulk": bulk["id"], "campaigns": campaign["id"]}
        self.seconds = {"users": grant["id"], "dns-providers": dns_grant["grants"][0]["id"] if "grants" in dns_grant else NOWHERE, "scans": "stop"}
        self.refs["reports"] = None
        self.refs["report-schedules"] = self.make("report-schedules", {"name": f"{MARK}-weekly", "report": "expiry", "every_s": 604800, **team})["id"]
        self.refs["addresses"] = NOWHERE
        self.refs["channels"] = self.make("channels", {"name": f"{MARK}-channel", "kind": "webhook", "usual": False, **team})["id"]
        self.refs["notifications"] = must(hub.unix("POST", f"/api/v1/channels/{MARK}-channel/test"))["id"]
        self.refs["requests"] = self.make("requests", {"kind": "renew", "object": f"{MARK}-cert", "approval": True})["id"]
        self.refs["rules"] = self.make("rules", {"name": f"{MARK}-rule", "spec": {"where": "managed"}, **team})["id"]
        self.refs["alerts"] = wait.until(lambda: [a["id"] for a in hub.unix("GET", "/api/v1/alerts").json()["items"] if a["rule"] == f"{MARK}-rule"], "an alert", 10)[0]
        self.role = role
        self.ids = [v for v in self.refs.values() if v and v != NOWHERE and len(v) > 10 and v != jobs[0]["id"]] + [grant["id"]]


def der64(cert):
    import base64
    from cryptography.hazmat.primitives.serialization import Encoding
    return base64.b64encode(cert.public_bytes(Encoding.DER)).decode()


@pytest.fixture(scope="module")
def world(hub_maker, tmp_path_factory):
    from conftest import _folder
    from lib.remote import Remote
    hub = hub_maker(scan={"networks": ["127.0.71.0/30"], "ports": ["9"], "rate": 100})
    folder = _folder()
    yield World(hub, Remote(hub, folder, f"{MARK}-host"))
    import shutil
    shutil.rmtree(folder)


def path_of(world, template):
    """A path of something of the other team; None where there is no such thing."""
    parts, at = template.split("/"), 0
    noun = parts[3] if len(parts) > 3 else ""
    for i, part in enumerate(parts):
        if part.startswith("{"):
            at += 1
            value = world.refs[noun] if at == 1 else world.seconds[noun]
            if value is None:
                return None
            parts[i] = value
    return "/".join(parts)


# Bodies that get as far as the object.
BODIES = {"issuer_account_ask": {"verb": "update"}, "managed_take": {"chain_pem": "x"}, "dns_grant_create": {"under": f"a.{MARK}.example", "team": "shop"},
          "user_grant": {"role": "viewer"}, "user_bind": {"provider": "x", "subject": "x"}, "client_key_create": {"name": "x", "public_key": "x"}, "issuer_preflight": {"names": [f"a.{MARK}.example"]}, "managed_rollback": {"version": 1},
          "role_update": {"permissions": ["certificate.read"]}, "adoption_adopt": {}, "request_comment": {"comment": "x"}, "request_approve": {"hash": "00" * 32}, "alert_snooze": {"for_s": 60}}


# --- every route, every role

def test_each_route_lets_in_the_roles_that_have_its_permission_and_nobody_else(world):
    """Of things that are not there: who may gets something else than 403."""
    may = {r["name"]: set(r["permissions"]) for r in world.hub.unix("GET", "/api/v1/roles?limit=1000").json()["items"]}
    assert set(ROLES) <= set(may)
    wrong, asked = [], 0
    for role in ROLES:
        ask = world.caller("everyone", role)
        for method, path, op in routes():
            for name in ("{ref}", "{id}", "{name}", "{fingerprint}", "{verb}"):
                path = path.replace(name, "00000000deadbeef" if name == "{fingerprint}" else NOWHERE)
            answer = ask(method, path, {} if body_of(op) else None)
            asked += 1
            if (answer.status == 403) != (op["x-permission"] not in may[role]) or answer.status == 401:
                wrong.append((role, method, path, op["x-permission"], answer.status, answer.text[:200]))
    assert not wrong and asked > 800, wrong


def test_what_another_team_has_is_not_there(world):
    """For an administrator of a team beside it, whatever is asked; and it is there for one of its own."""
    ask, own = world.caller("shop"), world.caller(MARK)
    wrong, tried = [], 0
    for method, template, op in routes():
        path = path_of(world, template)
        if "{" not in template or path is None:
            continue
        answer = ask(method, path, BODIES.get(op["operationId"], {}) if body_of(op) else None)
        tried += 1
        if answer.status != 404 or MARK in answer.text.replace(path.rsplit("/", 1)[-1], "").replace(f'"{MARK}', ""):
            wrong.append((method, path, answer.status, answer.text[:300]))
        if method == "GET" and NOWHERE not in path and "jobs" not in path and own(method, path).status not in (200, 409):
            wrong.append(("own", method, path, own(method, path).text[:300]))
    assert not wrong and tried > 60, wrong


def test_lists_counts_and_status_tell_nothing_of_other_teams(world):
    """Nor do facets, searches and metrics: neither names nor ids."""
    ask, wrong = world.caller("shop"), []
    for method, path, op in routes():
        if method != "GET" or "{" in path:
            continue
        for query in ("", "?limit=1000", f"?where=name+~+{MARK}", "?team=" + MARK):
            answer = ask("GET", path + query)
            said = answer.text.replace(f"team={MARK}", "")
            if answer.status == 200 and (MARK in said or any(i in said for i in world.ids)):
                wrong.append((path + query, answer.text[:300]))
        for query in ("?team={}", "?where=team+%3D+{}", "?collection={}-collection", "?agent={}-host", "?at=found.{}.example", "?key={}"):
            answer, none = ask("GET", path + query.format(MARK)), ask("GET", path + query.format("nosuch"))
            if path != "/metrics" and not same(answer, none):
                wrong.append((path + query, answer.text[:300], none.text[:300]))
    assert not wrong, wrong
    facets = ask.json("/api/v1/certificates/facets")
    assert facets["total"] == 0 and ask.json("/api/v1/certificates/facets?where=expires+%3C+9999d")["total"] == 0, facets
    own = world.caller(MARK)
    wait.until(lambda: own.json("/api/v1/certificates/facets")["total"] >= 2, "its own are counted", 10)
    assert ask.json("/api/v1/certificates")["items"] == [] and ask.json("/api/v1/findings")["items"] == []


def same(answer, none):
    """Whether an answer about what another team has says as much as one about what is not there at all."""
    def said(text):
        return {k: v for k, v in json.loads(text).items() if k != "instance"} if text.startswith("{") else text
    return answer.status == none.status and said(answer.text.replace(MARK, "nosuch")) == said(none.text)


def test_what_a_request_names_of_other_teams_is_not_there_either(world):
    """A certificate, a scan or a token is not made by way of what somebody else has."""
    ask = world.caller("shop")
    for path, body, field in (
            ("managed-certificates", {"names": ["a.shop.example"], "issuers": [f"{MARK}-ca"]}, "/issuers/0"),
            ("managed-certificates", {"names": ["a.shop.example"], "profile": f"{MARK}-profile"}, "/profile"),
            ("managed-certificates", {"names": ["a.shop.example"], "targets": [f"{MARK}-target"]}, "/targets/0"),
            ("managed-certificates", {"names": ["a.shop.example"], "key_agent": f"{MARK}-host"}, "/key_agent"),
            ("managed-certificates", {"names": ["a.shop.example"], "team": MARK}, "/team"),
            ("managed-certificates/plan", {"names": ["a.shop.example"], "team": MARK}, "/team"),
            ("managed-certificates/preflight", {"names": ["a.shop.example"], "team": MARK}, "/team"),
            ("issuers", {"name": "x", "kind": "ca", "ca": "issuing", "team": MARK}, "/team"),
            ("profiles", {"name": "x", "usage": "tls-server", "team": MARK}, "/team"),
            ("collections", {"name": "x", "filter": "", "team": MARK}, "/team"),
            ("join-tokens", {"name": "x", "team": MARK}, "/team"),
            ("tokens", {"name": "x", "team": MARK}, "/team"),
            ("tokens", {"name": "x", "agent": f"{MARK}-host"}, "/agent"),
            ("tokens", {"name": "x", "user": f"{MARK}-anna"}, "/user"),
            ("users", {"name": "x", "team": MARK}, "/team"),
            ("teams", {"name": "x", "team": MARK}, "/team"),
            ("campaigns", {"name": "x", "where": "managed", "team": MARK}, "/team"),
            ("campaigns", {"name": "x", "where": "managed", "issuer": f"{MARK}-ca"}, "/issuer"),
            ("bulk", {"act": "renew", "certificates": [f"{MARK}-cert"]}, None),
            ("revocations", {"certificate": f"{MARK}-cert"}, None),
            ("imports", {"list": "x", "rows": [], "team": MARK}, "/team")):
        answer = ask("POST", f"/api/v1/{path}", body)
        assert answer.status in (400, 404) and json.loads(answer.text).get("field") == field, (path, body, answer.text)
        none = ask("POST", f"/api/v1/{path}", json.loads(json.dumps(body).replace(MARK, "nosuch")))
        assert same(answer, none), (path, answer.text, none.text)


def test_a_requester_of_a_team_below_has_a_certificate_of_the_ca_above(world):
    """With its profile and by the hub's agent; what the team above has is used, and not changed."""
    ask = world.caller("shop", "requester")
    made = ask("POST", "/api/v1/managed-certificates", {"names": ["own.shop.example"]})
    assert made.status == 201 and json.loads(made.text)["team"] == "shop", made.text
    world.hub.settled("own.shop.example")
    assert json.loads(ask("GET", "/api/v1/managed-certificates/own.shop.example").text)["current_version"]["number"] == 1
    assert "BEGIN CERTIFICATE" in ask("GET", "/api/v1/managed-certificates/own.shop.example/export").text
    assert "ca" in [i["name"] for i in ask.json("/api/v1/issuers")["items"]] and ask("DELETE", "/api/v1/managed-certificates/own.shop.example").status == 403
    officer = world.caller("shop", "ca-officer")
    # Our own CAs are of no team: one of these is not made to issue by whoever may make issuers in a team.
    for ca in ("issuing", "root", "fleet"):
        assert officer("POST", "/api/v1/issuers", {"name": f"my-{ca}", "kind": "ca", "ca": ca}).status == 403
    assert officer("POST", "/api/v1/issuers", {"name": "my-manual", "kind": "manual"}).status == 201
    assert officer("PATCH", "/api/v1/issuers/ca", {}).status == 404 and officer("DELETE", "/api/v1/profiles/tls-server").status == 404
    world.hub.ok("cert", "remove", "own.shop.example")


# --- what several grants come to

def test_somebody_with_several_teams_sees_them_as_one_and_says_where_something_is_made(world):
    world.user("several", ("viewer", "shop"), ("operator", "press"), ("viewer", "press"))
    ask = world.caller("everyone", "administrator", user="several")
    for team in ("shop", "press"):
        world.make("collections", {"name": f"of-{team}", "filter": f"name ~ {team}", "team": team})
    assert {c["name"] for c in ask.json("/api/v1/collections")["items"]} == {"of-shop", "of-press"}
    assert {t["name"] for t in ask.json("/api/v1/teams")["items"]} == {"shop", "shop-eu", "press"}
    assert ask("PATCH", "/api/v1/collections/of-shop", {"filter": ""}).status == 404  # sees it, and may change those of press alone
    assert ask("PATCH", "/api/v1/collections/of-press", {"filter": ""}).status == 200
    assert ask("POST", "/api/v1/collections", {"name": "mine", "filter": ""}).status == 201  # one team: that is it
    world.make("users/several/grants", {"role": "operator", "team": "shop"})
    answer = ask("POST", "/api/v1/collections", {"name": "ours", "filter": ""})
    assert answer.status == 400 and json.loads(answer.text)["field"] == "/team" and all(t in answer.text for t in ("shop", "shop-eu", "press")), answer.text
    assert ask("POST", "/api/v1/collections", {"name": "ours", "filter": "", "team": "shop-eu"}).status == 201
    for path in ("managed-certificates", "issuers", "profiles", "targets", "dns-providers", "join-tokens", "challenges", "scans", "imports", "managed-certificates/plan"):
        assert ask("POST", f"/api/v1/{path}", {"team": MARK}).status in (400, 403), path
    answer = ask("POST", "/api/v1/managed-certificates", {"names": ["s.example.org"]})
    assert answer.status == 400 and json.loads(answer.text)["field"] == "/team", answer.text
    # A team that is made, moved or taken out follows at once.
    world.make("teams", {"name": "shop-us", "team": "shop"})
    assert "shop-us" in [t["name"] for t in ask.json("/api/v1/teams")["items"]]
    must(world.hub.unix("PATCH", "/api/v1/teams/shop-us", {"parent": MARK}))
    assert "shop-us" not in [t["name"] for t in ask.json("/api/v1/teams")["items"]]
    must(world.hub.unix("PATCH", "/api/v1/teams/shop-us", {"parent": "press"}))
    assert "shop-us" in [t["name"] for t in ask.json("/api/v1/teams")["items"]]
    must(world.hub.unix("DELETE", "/api/v1/teams/shop-us"))
    assert {t["name"] for t in ask.json("/api/v1/teams")["items"]} == {"shop", "shop-eu", "press"}
    for name, parent in (("mid", "press"), ("leaf", "mid")):
        world.make("teams", {"name": name, "team": parent})
    world.make("users/several/grants", {"role": "viewer", "team": "leaf"})
    must(world.hub.unix("PATCH", "/api/v1/teams/mid", {"parent": MARK}))
    assert {t["name"] for t in ask.json("/api/v1/teams")["items"]} == {"shop", "shop-eu", "press", "leaf"}  # one below it has a grant of its own
    world.hub.ok("user", "revoke", "several", "--role", "viewer", "--team", "leaf")
    world.hub.ok("team", "remove", "leaf")
    world.hub.ok("team", "remove", "mid")
    # The inventory goes by teams in its own way.
    for team in ("shop", "press"):
        found, _ = pki.self_signed([f"{team}.several.example"])
        world.make("imports", {"list": f"l-{team}", "rows": [{"row": "1", "der": der64(found)}], "team": team})
    here = "?where=name+~+several"
    wait.until(lambda: ask.json("/api/v1/certificates/facets" + here)["total"] == 2, "both are counted", 10)
    assert sorted(c["names"][0] for c in ask.json("/api/v1/certificates" + here)["items"]) == ["press.several.example", "shop.several.example"]
    assert {c["names"][0].split(".")[1] for c in ask.json("/api/v1/certificates")["items"]} == {"several", "shop"}
    world.hub.ok("user", "revoke", "several", "--role", "operator", "--team", "shop")
    world.hub.ok("user", "revoke", "several", "--role", "viewer", "--team", "shop")
    assert [c["names"][0] for c in ask.json("/api/v1/certificates")["items"]] == ["press.several.example"]


def test_a_token_is_its_role_within_its_scopes_and_what_its_user_may(world):
    world.user("robot", ("operator", "shop"))
    wide = world.caller("everyone", "administrator", user="robot")
    assert wide("GET", "/api/v1/collections").status == 200 and wide("GET", "/api/v1/users").status == 403
    narrow = world.caller("shop-eu", "operator", user="robot", scopes=["certificate.read", "collection.read", "collection.create"])
    assert narrow("GET", "/api/v1/collections").status == 200 and narrow("GET", "/api/v1/targets").status == 403
    assert json.loads(narrow("POST", "/api/v1/collections", {"name": "eu", "filter": ""}).text)["team"] == "shop-eu"
    assert world.caller("press", "administrator", user="robot")("GET", "/api/v1/collections").status == 403  # nothing there
    for body, field in (({"scopes": ["certificate.reed"]}, "/scopes/0"), ({"scopes": ["target.update"]}, "/scopes/0"),
                        ({"scopes": ["audit.read"], "role": "viewer"}, "/scopes"), ({"role": "nobody"}, "/role"), ({"role": "sign-in-link"}, "/role")):
        answer = world.hub.unix("POST", "/api/v1/tokens", {"name": "x", **body})
        assert answer.status_code == 400 and answer.json()["field"] == field, (body, answer.text)
    # What is taken back is taken back at once; so is all of a disabled account.
    must(world.hub.unix("PATCH", "/api/v1/users/robot", {"state": "disabled"}))
    assert wide("GET", "/api/v1/collections").status == narrow("GET", "/api/v1/collections").status == 401
    must(world.hub.unix("PATCH", "/api/v1/users/robot", {"state": "active"}))
    assert wide("GET", "/api/v1/collections").status == 200
    world.hub.ok("user", "revoke", "robot", "--role", "operator")
    assert wide("GET", "/api/v1/collections").status == 403
    world.hub.ok("user", "remove", "robot")
    assert wide("GET", "/api/v1/collections").status == 401
    assert world.hub.cw("user", "show", "robot").code == 4
    world.hub.ok("user", "add", "robot", "--service")  # the name is free, and nothing of the old one comes back
    assert wide("GET", "/api/v1/collections").status == 401


# --- nobody gives what they do not hold

def test_nobody_grants_what_they_do_not_hold(world):
    world.make("roles", {"name": "granter", "permissions": ["user.read", "user.grant", "user.create", "user.update", "user.delete", "token.read", "token.create",
                                                           "certificate.read", "managed-certificate.read", "target.read", "status.read", "role.read"]})
    world.user("chief", ("granter", "shop"), team="shop")
    world.user("clerk", team="shop")
    ask = world.caller("everyone", "administrator", user="chief")

    def give(role, **more):
        return ask("POST", "/api/v1/users/clerk/grants", {"role": role, **more})
    answer = give("operator")
    assert answer.status == 403 and "nobody gives what they do not hold" in answer.text, answer.text
    assert give("administrator").status == 403 and give("granter", team="press").status == 400 and give("granter", team="everyone").status == 400
    assert give("granter", team="shop-eu").status == 201 and give("reader").status == 201
    assert give("reader").status == 409
    # Nor by a token, whoever's it is, nor by an account that may do more.
    for body in ({"role": "operator"}, {"role": "operator", "user": "clerk"}, {"role": "viewer"}, {"user": "clerk"}):
        assert ask("POST", "/api/v1/tokens", {"name": "more", **body}).status == 403, body
    made = json.loads(ask("POST", "/api/v1/tokens", {"name": "same", "role": "granter"}).text)
    assert world.hub.unix("GET", "/api/v1/tokens/same").json()["user"] == "chief"  # it ends with who made it
    assert Caller(world.hub, made["token"])("GET", "/api/v1/users").status == 200
    world.make("users/clerk/grants", {"role": "operator", "team": "press"})
    answer = ask("PATCH", "/api/v1/users/clerk", {"email": "chief@shop.example"})
    assert answer.status == 403 and "press" not in answer.text, answer.text
    assert ask("DELETE", "/api/v1/users/clerk").status == 403
    assert "press" not in ask("GET", "/api/v1/users/clerk").text  # what it may do elsewhere is not told
    # Somebody who is known by a grant alone is seen, but not changed.
    world.user("guest", ("viewer", "shop"))
    guest = ask.json("/api/v1/users/guest")
    assert "team" not in guest and [g["team"] for g in guest["grants"]] == ["shop"]
    assert ask("PATCH", "/api/v1/users/guest", {"state": "disabled"}).status == 404
    # In the name of a person nobody makes a token.
    world.user("person", kind="person", team="shop")
    assert ask("POST", "/api/v1/tokens", {"name": "as-person", "role": "granter", "user": "person"}).status == 403


def test_who_has_a_role_does_not_change_it(world):
    world.make("roles", {"name": "keeper", "permissions": ["role.read", "role.create", "role.update", "role.delete", "certificate.read"]})
    world.user("member", ("keeper", "everyone"))
    world.user("elsewhere", ("keeper", "shop"))
    ask = world.caller("everyone", "administrator", user="member")
    answer = ask("PATCH", "/api/v1/roles/keeper", {"permissions": ["role.read", "role.update"]})
    assert answer.status == 403 and "who has the role keeper does not change it" in answer.text, answer.text
    assert ask("DELETE", "/api/v1/roles/keeper").status == 403
    assert world.caller("everyone", "keeper")("PATCH", "/api/v1/roles/keeper", {"description": "x"}).status == 403
    # A role is made of what its maker holds, everywhere.
    answer = ask("POST", "/api/v1/roles", {"name": "wide", "permissions": ["certificate.read", "audit.read"]})
    assert answer.status == 403 and "audit.read" in answer.text, answer.text
    assert ask("POST", "/api/v1/roles", {"name": "narrow", "permissions": ["certificate.read"]}).status == 201
    assert ask("PATCH", "/api/v1/roles/narrow", {"permissions": ["certificate.read", "target.read"]}).status == 403
    assert world.caller("everyone", "administrator", user="elsewhere")("POST", "/api/v1/roles", {"name": "y", "permissions": ["role.read"]}).status == 403
    for body, field in (({"name": "z", "permissions": []}, "/permissions"), ({"name": "z", "permissions": ["issuer.update"]}, "/permissions/0"),
                        ({"name": "z", "permissions": ["x.y"]}, "/permissions/0"), ({"name": "sign-in-link", "permissions": ["role.read"]}, "/name")):
        answer = world.hub.unix("POST", "/api/v1/roles", body)
        assert answer.status_code == 400 and answer.json()["field"] == field, answer.text
    assert world.hub.unix("PATCH", "/api/v1/roles/viewer", {"permissions": ["role.read"]}).status_code == 409
    assert world.hub.unix("DELETE", "/api/v1/roles/keeper").status_code == 409  # somebody has it
    # What is put into a role holds at once for all who have it, and what is taken out no longer.
    reader = world.caller("everyone", "reader")
    assert reader("GET", "/api/v1/certificates").status == 200 and reader("GET", "/api/v1/targets").status == 403
    must(world.hub.unix("PATCH", "/api/v1/roles/reader", {"permissions": ["target.read"]}))
    assert reader("GET", "/api/v1/certificates").status == 403 and reader("GET", "/api/v1/targets").status == 200
    must(world.hub.unix("PATCH", "/api/v1/roles/reader", {"permissions": ["certificate.read"]}))


def test_the_last_administrator_stays_also_when_all_are_taken_at_once(world):
    hub, names = world.hub, [f"admin{i}" for i in range(8)]
    for name in names:
        world.user(name, ("administrator", "everyone"), kind="person")
    grants = {name: hub.unix("GET", f"/api/v1/users/{name}").json()["grants"][0]["id"] for name in names}
    ways = [lambda n: hub.unix("PATCH", f"/api/v1/users/{n}", {"state": "disabled"}), lambda n: hub.unix("DELETE", f"/api/v1/users/{n}"),
            lambda n: hub.unix("DELETE", f"/api/v1/users/{n}/grants/{grants[n]}")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: ways[i % 3](names[i]), range(8)))
    refused = [a for a in answers if a.status_code not in (200, 204)]
    assert len(refused) == 1 and refused[0].status_code == 409 and "last person" in refused[0].text, [(a.status_code, a.text) for a in answers]
    left = names[answers.index(refused[0])]
    world.user("admin-robot", ("administrator", "everyone"))  # a service is no help: it cannot sign in
    for way in ways:
        assert way(left).status_code == 409
    world.user("admin-next", ("administrator", "everyone"), kind="person")
    assert hub.unix("DELETE", f"/api/v1/users/{left}").status_code == 204


# --- teams

def test_teams_are_moved_with_all_below_them_and_go_when_they_are_empty(world):
    hub = world.hub
    for name, parent in (("a", "everyone"), ("b", "a"), ("c", "b"), ("d", "everyone")):
        hub.ok("team", "add", name, "--parent", parent)
    world.make("profiles", {"name": "in-c", "usage": "tls-server", "team": "c"})
    of_d, of_a = world.caller("d"), world.caller("a")
    assert of_d("GET", "/api/v1/profiles/in-c").status == 404 and of_a("GET", "/api/v1/profiles/in-c").status == 200
    assert hub.cw("team", "move", "a", "c").code == 2 and hub.cw("team", "move", "a", "a").code == 2 and hub.cw("team", "move", "everyone", "a").code == 1
    assert of_a("PATCH", "/api/v1/teams/b", {"parent": "d"}).status == 400  # it does not see where
    assert of_a("PATCH", "/api/v1/teams/a", {"parent": "b"}).status == 403  # nor may it move itself
    assert of_a("PATCH", "/api/v1/teams/c", {"parent": "a"}).status == 200 and of_a("PATCH", "/api/v1/teams/c", {"parent": "b"}).status == 200
    hub.ok("team", "move", "b", "d")
    assert of_d("GET", "/api/v1/profiles/in-c").status == 200 and of_a("GET", "/api/v1/profiles/in-c").status == 404
    hub.ok("team", "rename", "d", "dd")
    assert hub.show("team", "b")["parent"] == "dd" and hub.cw("team", "rename", "b", "a").code == 1
    done = hub.cw("team", "remove", "dd")
    assert done.code == 1 and "team b" in done.err and "token t" in done.err, done
    assert "profile in-c" in hub.cw("team", "remove", "c").err
    must(hub.unix("DELETE", "/api/v1/profiles/in-c"))
    hub.ok("team", "remove", "c")
    assert hub.cw("team", "show", "c").code == 4 and "team.delete" in [e["action"] for e in hub.audit()]
    assert hub.unix("POST", "/api/v1/collections", {"name": "late", "filter": "", "team": "c"}).json()["field"] == "/team"
    hub.ok("team", "add", "c", "--parent", "a")  # the name is free
    assert hub.cw("team", "remove", "everyone").code == 1
    hub.ok("team", "rename", "everyone", "all")
    hub.ok("team", "rename", "all", "everyone")


# --- the mistakes of others

def test_a_certificate_of_another_team_is_not_exported_revoked_or_replaced(world):
    """Each of these was a hole in a product of this kind: export without a look at whose it is; a copy of somebody's certificate brought in
    and revoked; one that says it replaces another."""
    ask, hub = world.caller("shop"), world.hub
    for path in ("export", "versions", "request"):
        assert ask("GET", f"/api/v1/managed-certificates/{MARK}-cert/{path}").status == 404
    fingerprint = world.refs["certificates"]
    assert ask("GET", f"/api/v1/certificates/{fingerprint}/download").status == 404
    # The same certificate, brought in by another team: it stays whose it is, and cannot be revoked by them.
    der = hub.https("GET", f"/api/v1/certificates/{fingerprint}/download?format=der").content
    import base64
    answer = ask("POST", "/api/v1/imports", {"list": "copy", "rows": [{"row": "1", "der": base64.b64encode(der).decode(), "owner": "us"}]})
    assert answer.status in (200, 400, 404), answer.text
    assert ask("POST", f"/api/v1/managed-certificates/{MARK}-cert/revoke", {}).status == 404
    assert ask("PATCH", f"/api/v1/certificates/{fingerprint}", {"team": "shop"}).status == 404
    assert ask("POST", "/api/v1/findings/accept", {"check": "expired", "fingerprint": fingerprint, "reason": "ours"}).status == 404
    assert hub.unix("GET", f"/api/v1/certificates/{fingerprint}").json().get("team") == MARK
    assert hub.show("cert", f"{MARK}-cert")["current_version"].get("revoked_at") is None
    # Nothing in a request names a certificate that is replaced.
    for field in ("replaces", "replaced_by", "rotation_of"):
        answer = ask("POST", "/api/v1/managed-certificates", {"names": ["r.shop.example"], field: [fingerprint]})
        assert answer.status == 400 and json.loads(answer.text)["field"] == f"/{field}"


def test_a_name_that_is_given_anew_does_not_get_the_answers_of_its_last_owner(world):
    """An answer that is kept for an Idempotency-Key is for who asked, not for who is called the same."""
    key, body = {"Idempotency-Key": "anew"}, {"name": "anew", "filter": ""}
    tokens = [world.make("tokens", {"name": "anew", "team": "shop"})["token"]]
    first = world.hub.https("POST", "/api/v1/collections", json.dumps(body), key, token=tokens[0])
    assert first.status_code == 201 and world.hub.https("POST", "/api/v1/collections", json.dumps(body), key, token=tokens[0]).headers["Idempotency-Replayed"] == "true"
    world.hub.ok("token", "revoke", "anew")
    tokens.append(world.make("tokens", {"name": "anew", "team": "press"})["token"])
    again = world.hub.https("POST", "/api/v1/collections", json.dumps(body), key, token=tokens[1])
    assert again.status_code == 409 and "Idempotency-Replayed" not in again.headers and first.json()["id"] not in again.text


def test_credentials_do_not_come_back(world):
    """What was given to be used is not given out: tokens, keys of accounts and of bindings."""
    hub = world.hub
    secret = "c2VjcmV0LW9mLWEtYmluZGluZy1ub2JvZHktc2Vlcw"
    made = world.make("issuers", {"name": "bound", "kind": "acme", "directory_url": "https://acme.invalid/directory", "terms_agreed": True, "eab": {"kid": "kid-1", "key": secret}})
    text = [json.dumps(made)] + [hub.unix("GET", f"/api/v1/{p}").text for p in ("issuers/bound", "issuers?limit=1000", "tokens?limit=1000", "join-tokens?limit=1000", "audit-entries?limit=1000")]
    token = world.token("shop")
    text.append(hub.unix("GET", "/api/v1/tokens?limit=1000").text)
    assert not [t for t in text if secret in t or "cwt_" in t or token in t or "cwj_" in t]


def test_users_are_shown_and_changed_by_the_command_line(world):
    hub = world.hub
    hub.ok("user", "add", "cli-user", "--display-name", "Cli User", "--email", "cli@example.org", "--team", "shop", "--role", "viewer")
    shown = hub.show("user", "cli-user")
    assert (shown["display_name"], shown["email"], shown["team"], shown["grants"][0]["role"], shown["grants"][0]["team"]) == ("Cli User", "cli@example.org", "shop", "viewer", "shop")
    hub.ok("user", "grant", "cli-user", "--role", "operator", "--team", "press")
    assert "viewer in shop, operator in press" in hub.ok("user", "list").out
    assert hub.cw("user", "revoke", "cli-user", "--role", "auditor").code == 4
    hub.ok("user", "disable", "cli-user")
    assert hub.show("user", "cli-user")["state"] == "disabled" and " disabled " in hub.ok("user", "list").out
    hub.ok("user", "enable", "cli-user")
    assert "ca-officer" in hub.ok("role", "list").out and "certificate.read" in hub.ok("role", "permissions").out.splitlines()
    hub.ok("role", "add", "look", "--permission", "certificate.read,target.read", "--description", "looks")
    hub.ok("role", "edit", "look", "--permission", "certificate.read")
    assert hub.show("role", "look")["permissions"] == ["certificate.read"]
    hub.ok("role", "remove", "look")
    hub.ok("token", "add", "cli-token", "--role", "operator", "--scope", "target.read", "--user", "cli-user", "--out", hub.folder / "cli-token")
    assert "cli-user" in hub.ok("token", "list").out
    told = [e for e in hub.audit() if e["action"].startswith(("user.", "role."))]
    assert {"user.create", "user.grant", "user.update", "role.create", "role.update", "role.delete"} <= {e["action"] for e in told}
