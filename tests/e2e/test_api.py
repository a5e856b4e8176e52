"""The REST API over HTTPS and the Unix socket, as a program sees it.  One hub for the whole file."""
import datetime
import http.client
import json
import re
import socket
import subprocess

import pytest
import requests

from lib import hub as hubs
from lib import pki, wait

CERTS = "/api/v1/managed-certificates"


@pytest.fixture
def hub(shared_hub):
    return shared_hub


def is_problem(answer, status, field=None):
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["title"] and body["type"]
    if field:
        assert body["field"] == field, body
    return body


# --- what is refused

@pytest.mark.parametrize("body, field", [
    ({"names": ["a.example.org"], "nmaes": 1}, "/nmaes"),
    ({"names": "a.example.org"}, "/names"),
    ({"names": ["a.example.org", 7]}, "/names/1"),
    ({"names": [""]}, "/names/0"),
    ({"names": ["a" * 254]}, "/names/0"),
    ({"names": [f"n{i}.example.org" for i in range(101)]}, "/names"),
    ({"names": ["a.example.org"], "reuse_key": "yes"}, "/reuse_key"),
    ({"names": ["a.example.org"], "reuse_key": None}, "/reuse_key"),
    ({"names": ["a.example.org"], "key_kind": "ec-p255"}, "/key_kind"),
    ({"names": ["a.example.org"], "renewal": {"at_percent": 9}}, "/renewal/at_percent"),
    ({"names": ["a.example.org"], "renewal": {"at_percent": 96}}, "/renewal/at_percent"),
    ({"names": ["a.example.org"], "renewal": {"at_percent": 50.5}}, "/renewal/at_percent"),
    ({"names": ["a.example.org"], "renewal": {"before_s": 1, "why": "x"}}, None),
    ({"names": ["a.example.org"], "common_name": "c" * 65}, "/common_name"),
    ({"names": ["a.example.org"], "name": "../x"}, "/name"),
    ({}, "/names"),
    ([], None),
    ("text", None),
])
def test_a_body_that_is_not_as_described_is_refused_with_the_field_named(hub, body, field):
    is_problem(hub.https("POST", CERTS, json.dumps(body)), 400, field)
    is_problem(hub.unix("POST", CERTS, json.dumps(body)), 400, field)


@pytest.mark.parametrize("text", [b"{", b'{"names":["a.example.org"],}', b'{"names":["a"],"names":["b"]}', b'{"names":["\xff"]}', b"\x00",
                                  b'{"names":["a\\u0000b"]}', b"[" * 5000, b'{"names":["a.example.org"]} {}'])
def test_a_body_that_is_no_json_is_refused(hub, text):
    is_problem(hub.https("POST", CERTS, text), 400)


@pytest.mark.parametrize("query, field", [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=1&limit=2", None), ("sort=name", "sort"),
                                          ("cursor=%21", None)])
def test_a_query_that_is_not_as_described_is_refused(hub, query, field):
    body = is_problem(hub.unix("GET", f"{CERTS}?{query}"), 400)
    assert field is None or field in body.get("field", "") + body["detail"], body


@pytest.mark.parametrize("name", ["", "-a.example.org", "a_b..example.org", "exa mple.org", "example.org/", "*.*.example.org", "http://example.org", "1.2.3"])
def test_what_is_no_name_is_refused(hub, name):
    is_problem(hub.unix("POST", CERTS, {"names": [name]}), 400)


def test_a_body_beyond_the_ceiling_is_refused(hub):
    """By what it says of itself: nobody waits for two million bytes to refuse them."""
    with socket.create_connection(("127.0.0.1", hub.https_port), timeout=10) as s, hub.tls().wrap_socket(s, server_hostname="localhost") as tls:
        tls.sendall(f"POST {CERTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hub.token}\r\nContent-Type: application/json\r\n"
                    "Content-Length: 2000000\r\n\r\n".encode())
        assert tls.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_another_media_type_is_refused(hub):
    is_problem(hub.https("POST", CERTS, "{}", {"Content-Type": "text/plain"}), 415)


def test_a_method_that_a_route_lacks_is_refused_with_those_it_has(hub):
    answer = hub.https("PUT", CERTS + "/x", "{}")
    is_problem(answer, 405)
    assert {m.strip() for m in answer.headers["Allow"].split(",")} == {"GET", "PATCH", "DELETE"}


def test_what_is_not_there_is_404_as_a_problem(hub):
    is_problem(hub.https("GET", "/api/v1/nothing"), 404)
    is_problem(hub.https("GET", f"{CERTS}/no-such"), 404)


def test_an_unknown_target_issuer_or_profile_is_named(hub):
    for field in ({"targets": ["nowhere"]}, {"issuers": ["nobody"]}, {"profile": "nothing"}):
        body = hub.unix("POST", CERTS, {"names": ["refs.example.org"], **field}).json()
        assert body["status"] in (400, 404, 409) and str(list(field.values())[0]).strip("[]'") in body["detail"], body
    assert hub.unix("GET", f"{CERTS}/refs.example.org").status_code == 404


# --- objects

def make(hub, name, headers=None, **more):
    answer = hub.unix("POST", CERTS, {"names": [name], **more}, headers)
    assert answer.status_code == 201, answer.text
    hub.settled(name)
    return answer


def test_an_object_is_found_by_id_and_by_name(hub):
    made = make(hub, "ref.example.org").json()
    for ref in (made["id"], "ref.example.org"):
        assert hub.https("GET", f"{CERTS}/{ref}").json()["id"] == made["id"]


def test_the_same_idempotency_key_makes_one_and_answers_the_same(hub):
    key = {"Idempotency-Key": "once-1"}
    first = hub.unix("POST", CERTS, {"names": ["once.example.org"]}, key)
    again = hub.unix("POST", CERTS, {"names": ["once.example.org"]}, key)
    assert (first.status_code, first.content) == (again.status_code, again.content) and first.status_code == 201
    hub.settled("once.example.org")
    assert len(hub.ok("cert", "attempts", "once.example.org", "-o", "json").json()) == 1


def test_a_request_whose_answer_was_lost_is_not_carried_out_twice(make_hub):
    """The hub is killed when the change has committed and its answer has not."""
    hub = make_hub()
    key = {"Idempotency-Key": "once-lost"}
    hub.stop()
    hub.start(failpoint="hub:api.changed=kill")
    with pytest.raises(OSError):
        hub.unix("POST", "/api/v1/profiles", {"name": "lost", "usage": "tls-server"}, key)
    wait.until(lambda: hub.cw("status").code != 7, "the hub is back", 10)
    again = hub.unix("POST", "/api/v1/profiles", {"name": "lost", "usage": "tls-server"}, key)
    assert again.status_code == 201 and again.json()["name"] == "lost" and again.headers["Idempotency-Replayed"] == "true"
    third = hub.unix("POST", "/api/v1/profiles", {"name": "lost", "usage": "tls-server"}, key)
    assert third.content == again.content
    is_problem(hub.unix("POST", "/api/v1/profiles", {"name": "lost", "usage": "tls-client"}, key), 409)


def test_an_idempotency_key_for_another_request_is_refused(hub):
    key = {"Idempotency-Key": "once-2"}
    assert hub.unix("POST", CERTS, {"names": ["once2.example.org"]}, key).status_code == 201
    is_problem(hub.unix("POST", CERTS, {"names": ["once3.example.org"]}, key), 409)
    assert hub.unix("GET", f"{CERTS}/once3.example.org").status_code == 404


def test_idempotency_keys_of_different_callers_are_different(hub):
    key = {"Idempotency-Key": "once-3"}
    assert hub.unix("POST", CERTS, {"names": ["mine.example.org"]}, key).status_code == 201
    assert hub.https("POST", CERTS, {"names": ["theirs.example.org"]}, key).status_code == 201


def test_a_change_with_an_old_etag_is_refused_and_changes_nothing(hub):
    hub.unix("POST", "/api/v1/profiles", {"name": "etag", "usage": "tls-server"})
    url = "/api/v1/profiles/etag"
    etag = hub.https("GET", url).headers["ETag"]
    changed = hub.https("PATCH", url, {"validity_s": 86400 * 30}, {"If-Match": etag})
    assert changed.status_code == 200 and changed.headers["ETag"] != etag
    is_problem(hub.https("PATCH", url, {"validity_s": 86400 * 10}, {"If-Match": etag}), 412)
    is_problem(hub.https("PATCH", url, {"validity_s": 86400 * 10}, {"If-Match": '"nonsense"'}), 412)
    assert hub.https("GET", url).json()["validity_s"] == 86400 * 30
    assert hub.https("PATCH", url, {"validity_s": 86400 * 20}, {"If-Match": changed.headers["ETag"]}).status_code == 200


def test_a_managed_certificate_has_an_etag_that_is_checked(hub):
    make(hub, "etag.example.org")
    url = f"{CERTS}/etag.example.org"
    old = hub.https("GET", url).headers["ETag"]
    assert hub.https("PATCH", url, {"reuse_key": True}, {"If-Match": old}).status_code == 200
    is_problem(hub.https("PATCH", url, {"reuse_key": False}, {"If-Match": old}), 412)


def test_a_patch_keeps_what_it_does_not_name_and_null_takes_away(hub):
    make(hub, "patch.example.org", common_name="patch.example.org", renewal={"at_percent": 50})
    url = f"{CERTS}/patch.example.org"
    answer = hub.https("PATCH", url, {"reuse_key": True})
    after = answer.json()
    assert answer.status_code == 200, answer.text
    assert after["common_name"] == "patch.example.org" and after["renewal"]["at_percent"] == 50 and after["reuse_key"] is True
    answer = hub.https("PATCH", url, {"common_name": None, "renewal": None})
    after = answer.json()
    assert answer.status_code == 200, answer.text
    assert "common_name" not in after and not after.get("renewal") and after["reuse_key"] is True
    hub.settled("patch.example.org")


def test_pages_show_everything_once_in_one_order(hub):
    for i in range(7):
        assert hub.unix("POST", "/api/v1/profiles", {"name": f"page-{i}", "usage": "tls-server"}).status_code == 201
    whole = [p["id"] for p in hub.https("GET", "/api/v1/profiles?limit=1000").json()["items"]]
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = hub.https("GET", "/api/v1/profiles?limit=3" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(page["items"]) <= 3
        seen += [p["id"] for p in page["items"]]
        cursor, pages = page.get("next"), pages + 1
    assert seen == whole and len(set(seen)) == len(seen) and pages >= 3


def test_pages_of_what_grows_go_from_new_to_old(hub):
    for i in range(3):
        make(hub, f"grow{i}.example.org")
    whole = [j["id"] for j in hub.unix("GET", "/api/v1/jobs?limit=1000").json()["items"]]
    page = hub.unix("GET", "/api/v1/jobs?limit=2").json()
    rest = hub.unix("GET", f"/api/v1/jobs?limit=1000&cursor={page['next']}").json()["items"]
    assert [j["id"] for j in page["items"]] + [j["id"] for j in rest] == whole
    assert whole == sorted(whole, reverse=True)


def test_a_long_poll_answers_when_something_happens(hub):
    make(hub, "poll.example.org")
    last = hub.unix("GET", f"{CERTS}/poll.example.org/events?after=-1").json()["last"]
    assert hub.unix("POST", f"{CERTS}/poll.example.org/renew").status_code == 200
    began = datetime.datetime.now()
    got = hub.unix("GET", f"{CERTS}/poll.example.org/events?after={last}&wait=20").json()
    assert got["items"] and got["items"][0]["seq"] > last
    assert (datetime.datetime.now() - began).total_seconds() < 15
    hub.settled("poll.example.org")


def test_the_description_is_served_and_names_every_route(hub):
    answer = hub.https("GET", "/api/openapi.json", token=False)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")
    description = answer.json()
    assert answer.headers["Content-Encoding"] == "gzip"  # requests says that it takes it
    plain = hub.https("GET", "/api/openapi.json", token=False, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers and plain.json() == description
    assert description["openapi"].startswith("3.1") and CERTS in description["paths"]
    lists = [p for p, methods in description["paths"].items() if p.startswith("/api/v1/") and "{" not in p and "get" in methods
             and methods["get"]["x-permission"] not in ("self", "public")]  # those are for people's sessions: test_sign_in.py
    assert len(lists) >= 9
    for path in lists:
        assert hub.https("GET", path).status_code == 200, path


def test_every_answer_names_its_request_and_is_not_cached(hub):
    answer = hub.https("GET", CERTS)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["Request-Id"]) and answer.headers["Cache-Control"] == "no-store"


def test_certificates_are_listed_and_downloaded(hub):
    make(hub, "down.example.org")
    fingerprint = hub.show("cert", "down.example.org")["current_version"]["fingerprint"]
    one = hub.https("GET", f"/api/v1/certificates/{fingerprint}").json()
    assert one["names"] == ["down.example.org"] and one["key_kind"] == "ec-p256"
    der = hub.https("GET", f"/api/v1/certificates/{fingerprint}/download?format=der").content
    pem = hub.https("GET", f"/api/v1/certificates/{fingerprint}/download").content
    import hashlib
    assert hashlib.sha256(der).hexdigest() == fingerprint and pki.fingerprint(pki.read_chain(pem)[0]) == fingerprint


# --- who may

def test_without_a_token_nothing_is_told(hub):
    for path in (CERTS, "/api/v1/status", "/api/v1/tokens", f"{CERTS}/no-such"):
        answer = hub.https("GET", path, token=False)
        is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", "bearer  ", "Bearer " + "x" * 5000])
def test_what_is_no_token_is_refused(hub, header):
    answer = hub.https("GET", CERTS, headers={"Authorization": header}, token=False)
    assert answer.status_code in (401, 431), answer.text


def test_a_token_works_until_it_is_revoked(hub):
    made = hub.unix("POST", "/api/v1/tokens", {"name": "short-lived"}).json()
    assert hub.https("GET", CERTS, token=made["token"]).status_code == 200
    assert hub.cw("token", "revoke", "short-lived").code == 0
    is_problem(hub.https("GET", CERTS, token=made["token"]), 401)


def test_the_text_of_a_token_is_shown_once(hub):
    made = hub.unix("POST", "/api/v1/tokens", {"name": "shown-once"}).json()
    assert "token" not in hub.unix("GET", f"/api/v1/tokens/{made['id']}").json()
    assert made["token"] not in hub.unix("GET", "/api/v1/tokens").text


def test_a_bad_token_on_the_admin_socket_is_not_better_than_none(hub):
    is_problem(hub.unix("GET", CERTS, headers={"Authorization": "Bearer wrong"}), 401)


def test_the_agents_socket_does_not_know_the_admin_api(hub):
    for path in (CERTS, "/api/v1/status", "/api/openapi.json"):
        assert hubs.over_socket(hub.agent_socket, "GET", path).status_code in (401, 403, 404), path


def test_the_admin_side_does_not_know_the_agents_api(hub):
    body = {"agent": {"name": "x", "version": "1", "platform": "x", "boot_id": "x", "sandbox": "x"}, "capacity": 1, "wait_s": 0}
    assert hub.unix("POST", "/agent/v1/exchange", body).status_code in (403, 404)
    assert hub.https("POST", "/agent/v1/exchange", body).status_code in (403, 404)


def test_another_user_is_no_agent_on_the_agents_socket(hub):
    """Root can open the socket, but is not the user that the agent runs as."""
    body = {"agent": {"name": "x", "version": "1", "platform": "x", "boot_id": "x", "sandbox": "x"}, "capacity": 1, "wait_s": 0}
    is_problem(hubs.over_socket(hub.agent_socket, "POST", "/agent/v1/exchange", body), 401)


def test_the_plain_listener_knows_nothing_but_what_is_published(hub):
    for path in (CERTS, "/api/v1/status", "/api/openapi.json", "/sign-in", "/crl/nothing.crl", "/ca/fleet.key"):
        assert hub.status(path).status_code in (400, 404), path
    assert requests.post(f"http://127.0.0.1:{hub.status_port}/crl/issuing.crl", timeout=5).status_code == 405


def test_the_hubs_certificate_is_of_the_fleet_ca_and_names_the_hub(hub):
    leaf = pki.served(hub.https_port, "localhost")
    fleet = pki.read_chain(hub.fleet_roots.read_bytes())[0]
    assert leaf.issuer == fleet.subject
    assert pki.dns_names(leaf) == ["localhost"] and pki.ip_names(leaf) == ["127.0.0.1"]
    good, words = pki.trusted(hub.https_port, hub.fleet_roots, host="localhost")
    assert good, words


def test_the_issuing_ca_is_no_way_to_the_hubs_identity(hub):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{hub.base}/healthz", verify=str(hub.roots("issuing")), timeout=5)


def test_old_tls_is_not_spoken(hub):
    for old in ("-tls1", "-tls1_1"):
        done = subprocess.run(["openssl", "s_client", old, "-cipher", "ALL:@SECLEVEL=0", "-connect", f"127.0.0.1:{hub.https_port}"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        assert done.returncode != 0 and b"Cipher is (NONE)" in done.stdout, done


# --- what was done

CHANGES = [
    ("POST", "/api/v1/profiles", {"name": "audited", "usage": "tls-server"}, "profile.create"),
    ("PATCH", "/api/v1/profiles/audited", {"validity_s": 86400}, "profile.update"),
    ("DELETE", "/api/v1/profiles/audited", None, "profile.delete"),
    ("POST", "/api/v1/issuers", {"name": "audited", "kind": "ca", "ca": "issuing"}, "issuer.create"),
    ("DELETE", "/api/v1/issuers/audited", None, "issuer.delete"),
    ("POST", "/api/v1/targets", {"name": "audited", "connector": "files", "parameters": {"fullchain": "/x/y"}}, "target.create"),
    ("PATCH", "/api/v1/targets/audited", {"description": "seen"}, "target.update"),
    ("DELETE", "/api/v1/targets/audited", None, "target.delete"),
    ("PATCH", "/api/v1/finding-rules", {"inner_names": []}, "finding.rule"),
    ("POST", "/api/v1/tokens", {"name": "audited"}, "token.create"),
    ("DELETE", "/api/v1/tokens/audited", None, "token.delete"),
    ("POST", CERTS, {"names": ["audited.example.org"]}, "managed-certificate.create"),
    ("PATCH", f"{CERTS}/audited.example.org", {"reuse_key": True}, "managed-certificate.update"),
    ("POST", f"{CERTS}/audited.example.org/pause", {"reason": "x"}, "managed-certificate.pause"),
    ("POST", f"{CERTS}/audited.example.org/resume", None, "managed-certificate.resume"),
    ("POST", f"{CERTS}/audited.example.org/renew", None, "managed-certificate.renew"),
    ("POST", f"{CERTS}/audited.example.org/revoke", {"version": 1}, "certificate.revoke"),
    ("DELETE", f"{CERTS}/audited.example.org", None, "managed-certificate.delete"),
]


def test_every_change_leaves_an_audit_entry_with_who_and_the_request(hub):
    for method, path, body, action in CHANGES:
        answer = hub.https(method, path, body)
        assert answer.status_code in (200, 201, 204), (method, path, answer.text)
        if path.startswith(CERTS) and method != "DELETE":
            hub.settled("audited.example.org")
        entries = [e for e in hub.audit() if e["request_id"] == answer.headers["Request-Id"]]
        assert [(e["action"], e["principal"]) for e in entries if e["action"] == action] == [(action, "token:tests")], (method, path, entries)


def test_what_was_refused_leaves_no_audit_entry_of_a_change(hub):
    answer = hub.https("POST", CERTS, {"names": ["bad name"]})
    assert answer.status_code == 400
    assert not [e for e in hub.audit() if e["request_id"] == answer.headers["Request-Id"]]


def test_reading_leaves_no_audit_entry(hub):
    before = hub.audit()
    hub.https("GET", CERTS)
    hub.https("GET", "/api/v1/status")
    assert hub.audit() == before


# --- health, and HTTP as it should not be

def test_health_and_readiness_are_told_to_anybody(hub):
    for path in ("/healthz", "/readyz"):
        for answer in (hub.status(path), hub.https("GET", path, token=False), hub.unix("GET", path)):
            assert answer.status_code == 200 and answer.text == "ok\n"


@pytest.mark.parametrize("raw", [
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
])
def test_a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed(hub, raw):
    with socket.create_connection(("127.0.0.1", hub.status_port), timeout=10) as s:
        s.sendall(raw)
        got = b""
        while True:
            part = s.recv(4096)
            if not part:
                break
            got += part
    assert got == b"" or re.match(rb"HTTP/1\.1 (400|501|505) ", got), got[:80]
    assert hub.status("/healthz").status_code == 200


def test_a_connection_serves_several_requests(hub):
    c = http.client.HTTPConnection("127.0.0.1", hub.status_port, timeout=5)
    sockets = set()
    for _ in range(3):
        c.request("GET", "/healthz")
        assert c.getresponse().read() == b"ok\n"
        sockets.add(c.sock.getsockname())
    c.close()
    assert len(sockets) == 1
    wait.until(lambda: hub.status("/readyz").status_code == 200, "the hub is well")
