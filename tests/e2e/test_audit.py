"""The audit log proves itself: exports are verified without a hub, and nothing that was signed can be taken back."""
import base64
import hashlib
import json
import os
import shutil
import subprocess

import pytest

from lib import wait


def head(hub):
    return hub.unix("GET", "/api/v1/audit-head").json()


def signed(hub):
    """Waits until everything is in the log and signed."""
    def look():
        written, now = hub.audit()[0]["seq"], head(hub)
        places = {e["seq"] for e in hub.unix("GET", "/api/v1/audit-entries?limit=1000").json()["items"] if "place" in e}
        return now if now.get("head") and now["head"]["size"] == now["entries"] and written in places else None
    return wait.until(look, "all entries are signed")


def fill(hub, n, name="t"):
    for i in range(n):
        assert hub.unix("POST", "/api/v1/tokens", {"name": f"{name}{i}"}).status_code == 201
    return signed(hub)


def lines_of(hub, *more):
    return hub.ok("audit", "export", *more).out.splitlines()


def verify(hub, lines, *more):
    path = hub.folder / "export.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return hub.cw("audit", "verify", path, *more, env={"CERTWRIGHT_SOCKET": "/nowhere"})


@pytest.fixture(scope="module")
def filled(hub_maker):
    hub = hub_maker()
    fill(hub, 20)
    return hub


def test_an_export_is_proved_without_a_hub(filled):
    hub = filled
    now, lines = signed(hub), lines_of(hub)
    first = json.loads(lines[0])
    assert first["head"] == now["head"] and first["all"] and len(lines) == 1 + now["entries"]
    known = hashlib.sha256(base64.b64decode(now["head"]["key"])).hexdigest()
    assert known in hub.ok("audit", "head").out
    done = verify(hub, lines, "--key", known)
    assert done.code == 0 and f"{now['entries']} entries of a log of {now['entries']} are what was logged, none is missing." in done.out
    assert "another key" in verify(hub, lines, "--key", "0" * 64).err
    # Formatted anew by another program, it says the same.
    anew = [json.dumps({k: json.loads(line)[k] for k in sorted(json.loads(line))}, indent=None) for line in lines]
    assert anew[1] != lines[1] and verify(hub, anew).code == 0


def test_the_hashes_are_those_of_rfc_9162(filled):
    """Recomputed here, from the text of the entries alone; and the signature is over a checkpoint, by openssl's words too."""
    hub = filled
    lines = lines_of(hub)
    h = json.loads(lines[0])["head"]

    def mth(leaves):
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1
        while k * 2 < len(leaves):
            k *= 2
        return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()
    entries = [line[line.index(',"entry":') + 9:-1].encode() for line in lines[1:]]
    assert mth(entries) == base64.b64decode(h["root"])
    from datetime import datetime
    at = int(datetime.fromisoformat(h["at"].replace("Z", "+00:00")).timestamp())
    for name, data in (("key.der", base64.b64decode(h["key"])), ("signature", base64.b64decode(h["signature"])),
                       ("head", f"{h['log']}\n{h['size']}\n{h['root']}\ntime {at}\n".encode())):
        (hub.folder / name).write_bytes(data)
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key.der", "-keyform", "DER", "-signature", "signature", "head"],
                          cwd=hub.folder, capture_output=True, text=True, check=False)
    assert "Verified OK" in done.stdout, done


def test_what_was_done_to_an_export_is_named(filled):
    hub = filled
    lines = lines_of(hub)
    n = 7
    at = n + 1  # the first line is the head

    def said(changed):
        done = verify(hub, changed)
        assert done.code != 0, done
        return done.err
    other = lines[at].replace('"action":"token.create"', '"action":"token.delete"')
    assert other != lines[at]
    assert f"entry {n} was changed: line {at + 1} " in said([*lines[:at], other, *lines[at + 1:]])
    assert f"entry {n} was removed: line {at + 1} " in said(lines[:at] + lines[at + 1:])
    assert f"line {at + 2} was put in: an entry {n} was there before" in said(lines[:at + 1] + lines[at:])
    assert f"entry {n} is out of its place: it stands in line {at + 2} instead of line {at + 1}" in said(
        lines[:at] + [lines[at + 1], lines[at]] + lines[at + 2:])
    assert f"entry {len(lines) - 2} was removed, and all after it" in said(lines[:-1])
    # Renumbered as well, with the proofs of those they stand for.
    docs = [json.loads(line) for line in lines[1:]]

    def renumbered(entries):
        return [lines[0]] + [json.dumps({"n": i, "proof": docs[min(i, len(docs) - 1)]["proof"], "entry": e}) for i, e in enumerate(entries)]
    entries = [d["entry"] for d in docs]
    assert verify(hub, renumbered(entries)).code == 0
    assert f"entry {n} was removed, or changed: line {at + 1} " in said(renumbered(entries[:n] + entries[n + 1:]))
    assert f"line {at + 1} was put in" in said(renumbered(entries[:n] + [dict(entries[n], by="nobody")] + entries[n:]))
    assert f"entry {n} was changed" in said(renumbered(entries[:n] + [entries[n + 1], entries[n]] + entries[n + 2:]))
    assert "the head is not what was signed" in said([lines[0].replace(f'"size":{len(docs)}', f'"size":{len(docs) - 1}')] + lines[1:-1])
    assert "not that of an export" in said(["{}", *lines[1:]])


def test_entries_are_found_and_selected(filled):
    hub = filled
    token = hub.https("POST", "/api/v1/tokens", {"name": "from-afar"}).json()
    signed(hub)
    one = hub.ok("audit", "list", "--object", token["id"], "-o", "json").json()
    assert [(e["action"], e["principal"], e["peer"]) for e in one] == [("token.create", "token:tests", "127.0.0.1")]
    assert json.loads(one[0]["detail"])["after"]["name"] == "from-afar" and token["token"] not in json.dumps(one)
    owner = hub.ok("audit", "list", "--by", "uid:0", "--action", "token.create", "-o", "json", "--limit", "5").json()
    assert len(owner) == 5 and {e["peer"] for e in owner} == {"local"}
    assert [e["seq"] for e in owner] == sorted((e["seq"] for e in owner), reverse=True)
    assert hub.ok("audit", "list", "--since", "1h", "-o", "json").json()
    assert not hub.ok("audit", "list", "--until", "1h", "-o", "json").json()
    pages = hub.unix("GET", "/api/v1/audit-entries?limit=2&action=token.create").json()
    more = hub.unix("GET", f"/api/v1/audit-entries?limit=2&action=token.create&cursor={pages['next']}").json()
    assert len({e["seq"] for e in pages["items"] + more["items"]}) == 4
    selected = lines_of(hub, "--by", "token:tests")
    assert len(selected) == 2 and verify(hub, selected).code == 0 and "it is a selection" in verify(hub, selected).out
    cef = lines_of(hub, "--format", "cef", "--object", token["id"])
    assert len(cef) == 1 and cef[0].startswith("CEF:0|Certwright|Certwright|") and " src=127.0.0.1 " in cef[0] and " suser=token:tests " in cef[0]


def test_a_later_log_extends_an_earlier_one(filled):
    hub = filled
    old, file = lines_of(hub), hub.folder / "old.jsonl"
    file.write_text("\n".join(old) + "\n")
    (hub.folder / "head.json").write_text(hub.ok("audit", "head", "-o", "json").out)
    size = signed(hub)["entries"]
    fill(hub, 5, "later")
    new = lines_of(hub)
    assert f"The log extends that of {size} entries" in verify(hub, new, "--after", file).out
    assert f"extends that of {size}." in hub.ok("audit", "head", "--since", hub.folder / "head.json").out
    shutil.copy(hub.folder / "export.jsonl", hub.folder / "new.jsonl")
    assert "it is older, or does not extend it" in verify(hub, old, "--after", hub.folder / "new.jsonl").err
    part = lines_of(hub, "--from", "9")
    assert json.loads(part[1])["n"] == 9 and verify(hub, part).code == 0


def test_kill_9_of_the_hub_at_any_line_of_the_sequencer(make_hub):
    hub, before = make_hub(start=False), None
    for point in ("waits", "folded", "asked", "signed", "kept") if os.environ.get("CERTWRIGHT_SOAK") else ("folded", "signed"):
        hub.start(failpoint=f"hub:audit.{point}=kill")
        hub.cw("token", "add", point)
        wait.until(lambda: f" failpoint name=audit.{point} " in hub.text() and hub.life().count(" role_started name=hub ") > 1, "the hub died there", 15)
        wait.until(lambda: hub.cw("status").code == 0, "another one answers")
        signed(hub)
        lines = lines_of(hub)
        assert verify(hub, lines, *before or []).code == 0
        assert len(lines) - 1 == len(hub.audit()), "each entry once"
        shutil.copy(hub.folder / "export.jsonl", hub.folder / "before.jsonl")
        before = ["--after", hub.folder / "before.jsonl"]
        hub.stop()


class Copy:
    """The hub's database, as it was."""
    def __init__(self, hub, engine):
        self.hub, self.engine = hub, engine
        if engine:
            engine.sql(f"CREATE DATABASE {hub.database}_copy TEMPLATE {hub.database}")
        else:
            self.folder = hub.folder / "copy"
            shutil.copytree(hub.state / "hub", self.folder)

    def put_back(self):
        if self.engine:
            self.engine.drop(self.hub.database)
            self.engine.sql(f"ALTER DATABASE {self.hub.database}_copy RENAME TO {self.hub.database}")
            return
        for f in (self.hub.state / "hub").glob("certwright.db*"):
            f.unlink()
        for f in self.folder.glob("certwright.db*"):
            shutil.copy2(f, self.hub.state / "hub" / f.name)
            shutil.chown(self.hub.state / "hub" / f.name, (self.hub.state / "hub").stat().st_uid, (self.hub.state / "hub").stat().st_gid)


def test_a_database_put_back_to_an_older_copy_is_told_and_not_signed(make_hub, engine):
    hub = make_hub()
    fill(hub, 2)
    hub.stop()
    copy = Copy(hub, engine)
    hub.start()
    was = fill(hub, 9, "lost")
    hub.stop()
    copy.put_back()
    hub.start()
    told = lambda: hub.cw("status").out
    wait.until(lambda: "the audit log has fewer entries than the signer has signed" in told(), "it is told")
    assert head(hub)["head"]["size"] < was["entries"]
    for i in range(9):
        hub.unix("POST", "/api/v1/tokens", {"name": f"other{i}"})
    wait.until(lambda: "the audit log does not extend what the signer has signed" in told(), "another past is refused", 20)
    assert "does not extend" in head(hub)["trouble"] and "does not extend" in hub.ok("audit", "head").out
    assert verify(hub, lines_of(hub)).code == 0, "what was signed is still proved"
    assert "goes on from entry" in hub.ok("audit", "accept").out
    wait.until(lambda: "audit" not in told(), "all is well again", 20)
    signed(hub)
    assert verify(hub, lines_of(hub)).code == 0 and "audit.accept" in {e["action"] for e in hub.audit()}
    assert "nothing to accept" in hub.cw("audit", "accept").err


def test_entries_changed_in_the_database_are_named(make_hub, engine):
    hub = make_hub()
    fill(hub, 6)
    hub.stop()
    sql = "UPDATE audit SET principal = 'uid:99' WHERE leaf = 5"
    if engine:
        engine.sql(sql, hub.database)
    else:
        import sqlite3
        with sqlite3.connect(next((hub.state / "hub").glob("*.db"))) as db:
            db.execute(sql)
    hub.start()
    signed(hub)
    done = verify(hub, lines_of(hub))
    assert done.code != 0 and "entry 5 was changed" in done.err and "by uid:99" in done.err


def test_old_entries_go_and_their_hashes_stay(make_hub):
    hub = make_hub(start=False)
    with open(hub.etc / "hub.yaml", "a") as f:
        f.write("audit:\n  keep_days: 30\n")
    hub.start()
    before = fill(hub, 5)
    hub.stop()
    hub.move_clock(40 * 86400)
    hub.start()
    fill(hub, 2, "young")
    kept = wait.until(lambda: head(hub)["kept_from"], "the old ones are gone", 20)
    assert kept >= before["entries"]
    signed(hub)
    lines = lines_of(hub)
    assert json.loads(lines[1])["n"] == kept and verify(hub, lines).code == 0
    assert any(e["action"] == "audit.expire" and json.loads(e["detail"])["after"]["kept_from"] == kept for e in hub.audit())
