"""What is done to many certificates: bulk operations and campaigns in waves; revocation of what is served, and of a key."""
import shutil
import subprocess

import pytest

from lib import wait

NAMES = [f"c{i}.example.org" for i in range(4)]


POLICY = f"""version: 1
rules:
  - name: eyes
    when: {{names_under: [{NAMES[1]}]}}
    for: [renew]
    approve: {{count: 1}}
  - name: never
    when: {{names_under: [{NAMES[2]}]}}
    for: [renew, change]
    forbid: not now
"""


def make(hub, *names, **more):
    """Each is installed as a file, in a folder of its own."""
    for name in names:
        place = hub.files / name
        place.mkdir()
        target = {"name": name, "connector": "files", "parameters": {"combined": f"{place}/site.pem"}}
        assert hub.unix("POST", "/api/v1/targets", target).status_code == 201
        assert hub.unix("POST", "/api/v1/managed-certificates", {"names": [name], "targets": [name], **more}).status_code == 201
    for name in names:
        assert hub.settled(name)["state"] == "done"


def campaign(hub, name="new-keys", base="campaigns"):
    return hub.unix("GET", f"/api/v1/{base}/{name}").json()


def until_state(hub, state, name="new-keys", base="campaigns", seconds=40):
    def look():
        c = campaign(hub, name, base)
        return c if c["state"] == state else None
    return wait.until(look, f"{name} is {state}", seconds)


def versions(hub):
    return {c["name"]: c["current_version"]["number"] for c in hub.ok("cert", "list", "-o", "json").json()}


def told(hub, kind):
    return wait.until(lambda: [e for e in hub.https("GET", "/api/v1/events?after=0").json()["items"] if e["event"] == kind], kind, 15)


@pytest.fixture
def hub(make_hub):
    return make_hub()


def test_a_campaign_is_rehearsed_halts_at_its_canary_and_survives_kill_9(hub):
    make(hub, *NAMES)
    texts = {n: (hub.files / n / "site.pem").read_bytes() for n in NAMES}
    asked = ["campaign", "add", "new-keys", *NAMES, "--key-kind", "ec-p384", "--canary", "1", "--wave", "2"]
    out = hub.ok(*asked, "--dry-run").out
    assert "4 certificates: c0.example.org" in out and "at 4 targets" in out and "issuer ca: 4" in out, out
    assert hub.ok("campaign", "list", "-o", "json").json() == [] and hub.cw("campaign", "show", "new-keys").code == 4
    hub.ok(*asked)
    assert hub.cw("campaign", "resume", "new-keys").code == 1, "it has not begun"
    # A rehearsal issues, and deploys nothing.
    hub.ok("campaign", "rehearse", "new-keys")
    rehearsed = wait.until(lambda: (c := campaign(hub)) and c["state"] == "draft" and c.get("rehearsed_at") and c, "it is rehearsed", 20)
    assert "rehearsal_error" not in rehearsed and told(hub, "campaign.rehearsed")
    assert versions(hub) == dict.fromkeys(NAMES, 1), "and nothing of it is left"
    assert {n: (hub.files / n / "site.pem").read_bytes() for n in NAMES} == texts
    # The canary cannot be installed: the others stay as they are.
    shutil.rmtree(hub.files / NAMES[0])
    hub.ok("campaign", "start", "new-keys")
    halted = until_state(hub, "halted")
    assert "first wave failed" in halted["why"] and halted["counts"] == {"waiting": 3, "running": 0, "done": 0, "failed": 1}, halted
    assert [e["severity"] for e in told(hub, "campaign.halted")] == ["error"]
    assert versions(hub) == {**dict.fromkeys(NAMES, 1), NAMES[0]: 2}
    assert "campaign new-keys stopped: " in hub.cw("status").out, "status says so until somebody decides"
    wait.until(lambda: "new-keys" in hub.ok("alert", "list").out, "there is an alert of it")
    assert "now: resume, cancel" in hub.cw("campaign", "start", "new-keys").err
    assert NAMES[0] in hub.ok("campaign", "show", "new-keys").out
    # It goes on where it was, also after the hub was killed in the middle, and does nothing twice.
    (hub.files / NAMES[0]).mkdir()
    hub.ok("campaign", "resume", "new-keys")
    wait.until(lambda: campaign(hub)["counts"]["done"] >= 1, "the canary is served", 20)
    hub.kill()
    hub.start()
    done = until_state(hub, "done")
    assert done["counts"] == {"waiting": 0, "running": 0, "done": 4, "failed": 0} and len(done["by_wave"]) == 3, done
    assert versions(hub) == dict.fromkeys(NAMES, 2)
    for name in NAMES:
        text = (hub.files / name / "site.pem").read_text()
        shown = subprocess.run(["openssl", "x509", "-noout", "-text"], input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert "384 bit" in shown and text.encode() != texts[name]
    assert hub.ok("ca", "show", "issuing", "-o", "json").json()["issued"] == 4 + 1 + 4
    assert told(hub, "campaign.done") and hub.cw("campaign", "cancel", "new-keys").code == 1


def test_a_bulk_operation_is_shown_first_paced_and_done_with_the_rights_of_who_asked(hub):
    make(hub, *NAMES[:3])
    where = "name under example.org"
    out = hub.ok("cert", "bulk", "renew", "--where", where, "--dry-run").out
    assert "3 certificates" in out and versions(hub) == dict.fromkeys(NAMES[:3], 1), out
    assert hub.cw("cert", "bulk", "renew", "--where", where).code == 2, "nobody can be asked"
    assert "column 1" in hub.cw("cert", "bulk", "renew", "--where", "nonsense", "--yes").err
    assert hub.cw("cert", "bulk", "renew", "--yes").code == 2, "it is said of which"
    assert "3 of 3 done" in hub.ok("cert", "bulk", "renew", "--where", where, "--yes").out
    assert versions(hub) == dict.fromkeys(NAMES[:3], 2)
    # What fails says why; the others are done.
    hub.ok("cert", "bulk", "pause", NAMES[0], "--reason", "holidays", "--yes")
    done = hub.cw("cert", "bulk", "renew", *NAMES[:3], "--name", "again", "--yes")
    assert done.code == 1 and "2 of 3 done" in done.out and "holidays" in done.out, done
    assert versions(hub) == {NAMES[0]: 2, NAMES[1]: 3, NAMES[2]: 3}
    hub.ok("cert", "bulk", "tag", "--where", where, "--add-tag", "old", "--yes")
    assert len(hub.ok("cert", "list", "--where", "tag = old", "-o", "json").json()) >= 3
    # Slowly, stopped and gone on with; then who asked loses what it takes.
    token = hub.ok("token", "add", "robot", "--role", "operator", "-o", "json").json()["token"]
    made = hub.https("POST", "/api/v1/bulk", {"act": "renew", "name": "slow", "certificates": NAMES[1:3], "pace": 1}, token=token)
    assert made.status_code == 201 and made.json()["impact"]["lasts_s"] == 7200, made.text
    wait.until(lambda: campaign(hub, "slow", "bulk")["counts"]["done"] == 1, "the first is done", 20)
    assert hub.https("POST", "/api/v1/bulk/slow/pause", token=token).json()["state"] == "paused"
    hub.ok("token", "revoke", "robot")
    hub.ok("bulk", "resume", "slow")
    hub.move_clock(3700)
    halted = until_state(hub, "halted", "slow", "bulk")
    assert "token:robot asked for it, and may not do it any more" in halted["why"], halted
    assert halted["counts"] == {"waiting": 1, "running": 0, "done": 1, "failed": 0}
    hub.ok("bulk", "cancel", "slow")
    assert versions(hub) == {NAMES[0]: 2, NAMES[1]: 4, NAMES[2]: 3}
    # Policy holds for each of them.
    (hub.folder / "policy.yaml").write_text(POLICY)
    hub.ok("policy", "put", str(hub.folder / "policy.yaml"))
    said = hub.ok("cert", "bulk", "renew", *NAMES[1:3], "--dry-run", "-o", "json").json()
    assert said["judged"] == 2 and [(v["verdict"], v["rule"], v["certificates"], v["examples"]) for v in said["policy"]] == [
        ("approval", "eyes", 1, [NAMES[1]]), ("forbidden", "never", 1, [NAMES[2]])], said
    out = hub.ok("campaign", "add", "dry", *NAMES[1:3], "--key-kind", "ec-p384", "--dry-run").out
    assert f"policy: 1 is forbidden (never: not now): {NAMES[2]}\n" in out and "eyes" not in out, out
    hub.ok("cert", "bulk", "renew", *NAMES[1:3], "--name", "policed", "--yes", "--no-wait")
    wait.until(lambda: campaign(hub, "policed", "bulk")["counts"]["failed"] == 1, "one is forbidden", 20)
    first, second = hub.unix("GET", "/api/v1/bulk/policed/members").json()["items"]
    assert first["state"] == "running" and "waits for approval by 1" in first["why"], first
    assert second["state"] == "failed" and "rule never: not now" in second["why"], second
    hub.ok("request", "withdraw", first["why"].split()[-1])
    done = until_state(hub, "done", "policed", "bulk")
    assert done["counts"]["failed"] == 2 and "withdrawn" in hub.ok("bulk", "show", "policed").out, done
    hub.ok("campaign", "add", "barred", NAMES[2], "--key-kind", "ec-p384")
    hub.cw("campaign", "rehearse", "barred")
    barred = wait.until(lambda: campaign(hub, "barred").get("rehearsal_error"), "it is not rehearsed with the CA that is in use", 20)
    assert "policy forbids it (never: not now)" in barred, barred


def test_others_teams_have_no_part_in_it(hub):
    hub.ok("team", "add", "shop")
    hub.ok("team", "add", "press")
    for team in ("shop", "press"):
        hub.ok("cert", "add", f"{team}.example.org", "--team", team)
    token = {t: hub.ok("token", "add", t, "--role", "operator", "--team", t, "-o", "json").json()["token"] for t in ("shop", "press")}
    body = {"name": "mine", "where": "name under example.org"}
    made = hub.https("POST", "/api/v1/campaigns", body, token=token["shop"])
    assert made.status_code == 201 and made.json()["total"] == 1 and made.json()["impact"]["examples"] == ["shop.example.org"], made.text
    for path in ("campaigns/mine", "campaigns/mine/members"):
        assert hub.https("GET", f"/api/v1/{path}", token=token["press"]).status_code == 404
    assert hub.https("POST", "/api/v1/campaigns/mine/start", token=token["press"]).status_code == 404
    assert hub.https("GET", "/api/v1/campaigns", token=token["press"]).json()["items"] == []
    refused = hub.https("POST", "/api/v1/bulk", {"act": "renew", "certificates": ["shop.example.org"]}, token=token["press"])
    assert refused.status_code == 404, refused.text
    # Who may not renew has nobody else's renewals go on, though bulk operations are theirs to see and to stop.
    slow = {"act": "renew", "name": "slow", "certificates": ["shop.example.org"], "pace": 1}
    assert hub.https("POST", "/api/v1/bulk", slow, token=token["shop"]).status_code == 201
    officer = hub.ok("token", "add", "officer", "--role", "ca-officer", "--team", "shop", "-o", "json").json()["token"]
    assert hub.https("POST", "/api/v1/bulk/slow/pause", token=officer).json()["state"] == "paused"
    assert hub.https("POST", "/api/v1/bulk/slow/resume", token=officer).status_code == 403
    assert hub.https("POST", "/api/v1/bulk/slow/resume", token=token["shop"]).json()["state"] == "running"


def test_a_key_that_somebody_else_has_is_revoked_everywhere_and_used_no_more(hub):
    name = NAMES[0]
    make(hub, name, reuse_key=True)
    hub.ok("cert", "renew", name)
    place = hub.files / name / "site.pem"
    key = place.read_text()[place.read_text().index("-----BEGIN PRIVATE"):].split("-----END PRIVATE KEY-----")[0] + "-----END PRIVATE KEY-----\n"
    (hub.folder / "stolen.key").write_text(key)
    subprocess.run(["openssl", "req", "-x509", "-key", "stolen.key", "-subj", "/CN=elsewhere", "-days", "30", "-out", "other.pem"],
                   cwd=hub.folder, check=True, stderr=subprocess.DEVNULL)
    hub.ok("import", str(hub.folder / "other.pem"))
    shown = hub.ok("cert", "revoke", name, "--reason", "keyCompromise", "--dry-run", "-o", "json").json()
    assert sorted(i["act"] for i in shown) == ["none", "replace-now", "revoke"] and not any(i["done"] for i in shown), shown
    assert hub.show("cert", name)["current_version"]["number"] == 2
    hub.ok("cert", "revoke", name, "--reason", "keyCompromise")
    hub.settled(name)
    wait.until(lambda: hub.show("cert", name)["current_version"]["number"] == 3, "it is replaced", 20)
    wait.until(lambda: key not in place.read_text(), "with another key", 20)
    listed = hub.ok("cert", "versions", name, "-o", "json").json()
    assert {v["number"]: bool(v.get("revoked_at")) for v in listed} == {1: True, 2: True, 3: False}, listed
    # Nobody brings that key again.
    hub.ok("cert", "bulk", "remove", name, "--yes")
    subprocess.run(["openssl", "req", "-new", "-key", "stolen.key", "-subj", "/", "-addext", f"subjectAltName=DNS:{name}", "-out", "old.csr"],
                   cwd=hub.folder, check=True, stderr=subprocess.DEVNULL)
    done = hub.cw("cert", "add", name, "--csr", str(hub.folder / "old.csr"))
    assert done.code and "keyCompromise" in done.out + done.err, done
    # What is superseded is replaced first.
    hub.ok("cert", "revoke", "--help")
    other = NAMES[1]
    make(hub, other)
    before = hub.show("cert", other)["current_version"]["fingerprint"]
    assert [i["act"] for i in hub.ok("cert", "revoke", before[:16], "--reason", "superseded", "--dry-run", "-o", "json").json()] == ["replace-first"]
    hub.ok("cert", "revoke", other, "--reason", "superseded")
    def revoked():
        return {v["number"]: bool(v.get("revoked_at")) for v in hub.ok("cert", "versions", other, "-o", "json").json()}
    wait.until(lambda: revoked() == {1: True, 2: False}, "the old one is revoked once the new one is served", 20)
    steps = [s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{other}/events?after=0").json()["items"]]
    served, ended = (next(i for i, s in enumerate(steps) if t in s) for t in ("version 2 is served everywhere", "version 1 is revoked"))
    assert served < ended, steps
