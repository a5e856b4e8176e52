"""Backups: what is saved while everything goes on comes back on an empty machine, and whoever was away from it goes on."""
import json
import re
import shutil
import signal
import subprocess
import threading

import pytest
from cryptography import x509

from lib import wait
from lib.hub import PROGRAM
from lib.remote import token as join_token


def recovery_key(hub):
    """As init showed it."""
    return re.search(r"\n\n    ([0-9A-Z-]{44})\n", hub.initial.out).group(1)


def key_file(hub, text=None):
    path = hub.folder / "recovery-key"
    path.write_text((text or recovery_key(hub)) + "\n")
    path.chmod(0o600)
    return path


def in_parts(hub, name, n=2):
    """Files with the parts of the recovery key, each for somebody else; the whole key is typed, and nowhere shown."""
    done = hub.ok("recovery", "split", "--parts", n, "--config-dir", hub.etc, input=recovery_key(hub) + "\n")
    parts = re.findall(r"\n    ([0-9A-Z-]{54})\n", done.out)
    assert len(set(parts)) == n and recovery_key(hub) not in done.out + done.err, done
    files = [hub.folder / f"{name}-{i}" for i in range(n)]
    for f, part in zip(files, parts):
        f.write_text(part.lower() + "\n")
    return files


def restore(hub, file, *more, key=None, failpoint=None, **kw):
    env = {"CERTWRIGHT_FAILPOINT": failpoint} if failpoint else None
    return hub.cw("restore", file, "--config-dir", hub.etc, "--recovery-key-file", key or key_file(hub), *more, env=env, **kw)


def crl(hub):
    """(number, serials) of the issuing CA's list."""
    got = x509.load_der_x509_crl(hub.status("/crl/issuing.crl").content)
    return got.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number, {r.serial_number for r in got}


def serial(hub, name):
    return x509.load_pem_x509_certificate(hub.ok("cert", "export", name).out.encode()).serial_number


def revoked_at(hub, name):
    return hub.unix("GET", f"/api/v1/managed-certificates/{name}/versions").json()["items"][0].get("revoked_at")


def served(agent, name):
    return x509.load_pem_x509_certificate((agent.files / f"{name}.pem").read_bytes()).serial_number


def tree(*folders):
    """What is there, to see that nothing was changed."""
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for f in folders if f.exists() for p in sorted(f.rglob("*")) if p.is_file()}


def away(hub, engine):
    """The machine is lost: what is left is the file.  A new database of the same name waits, empty."""
    for path in (hub.etc, hub.state, hub.run):
        shutil.rmtree(path)
    if engine:
        engine.drop(hub.database)
        engine.sql(f"CREATE DATABASE {hub.database}")


def add(hub, agent, name):
    hub.ok("target", "add", f"{name}-files", *(["--agent", agent.name] if agent is not hub else []), "--connector", "files",
           "--set", f"fullchain={agent.files}/{name}.pem", "--set", f"key={agent.files}/{name}.key")
    hub.ok("cert", "add", f"{name}.example.org", "--name", name, "--to", f"{name}-files")


def restored(hub):
    """What the audit log says of the last restore; and that the log goes on: the signer signs what is in it."""
    entry = next(e for e in hub.audit() if e["action"] == "installation.restored")

    def signed():
        head = hub.ok("audit", "head", "-o", "json").json()
        return head.get("head") and head["head"]["size"] == head["entries"]
    wait.until(signed, "the audit log is signed to its end")
    problems = hub.ok("status", "-o", "json").json()["problems"]
    assert not [p for p in problems if p["object"] in ("audit", "signer", "database")], problems
    return json.loads(entry["detail"]) if isinstance(entry["detail"], str) else entry["detail"]


def test_an_installation_comes_back_on_an_empty_machine(make_hub, make_remote, engine, tmp_path):
    hub = make_hub()
    agent = make_remote(hub, "web1")
    key, file = key_file(hub), tmp_path / "one.cwbackup"
    for name in ("kept", "revoked"):
        add(hub, agent, name)
    gone = serial(hub, "revoked")
    hub.ok("cert", "pause", "revoked")
    hub.ok("cert", "revoke", "revoked", "--replace", "now", "--no-wait")
    wait.until(lambda: gone in crl(hub)[1], "the revocation is published")
    unused = join_token(hub, "unused")
    hub.token  # one that is good afterwards as well

    # Made while writes go on; it is whole, and nobody else may read it.
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            written.append(hub.unix("POST", "/api/v1/tokens", {"name": f"busy{len(written)}"}).status_code)
    busy = threading.Thread(target=write)
    busy.start()
    try:
        before = hub.unix("GET", "/api/v1/backups").json()["items"]
        assert hub.cw("backup", "--out", tmp_path / "no" / "folder").code == 4, "nothing is noted as made that is kept nowhere"
        assert hub.unix("GET", "/api/v1/backups").json()["items"] == before
        hub.ok("backup", "--out", file)
    finally:
        stop.set()
        busy.join()
    assert set(written) == {201} and file.stat().st_mode & 0o777 == 0o600
    assert b"kept.example.org" not in file.read_bytes()
    assert "every hash fits" in hub.ok("verify-backup", file, "--recovery-key-file", key).out
    assert [e["action"] for e in hub.audit() if e["action"].startswith("backup.")] == ["backup.made", "backup.create"]
    piped = subprocess.run([PROGRAM, "backup", "--out", "-"], env={"CERTWRIGHT_SOCKET": str(hub.admin)}, stdout=subprocess.PIPE, check=True).stdout
    assert piped[:8] == file.read_bytes()[:8] == b"CWBACKUP"

    # What happens after it is lost with the machine.
    hub.ok("cert", "renew", "kept")
    late, number = served(agent, "kept"), crl(hub)[0]
    assert late == serial(hub, "kept")
    told = restore(hub, file, "--preview")
    assert "Nothing was changed" in told.out and "fewer afterwards" in told.out and "It is whole" in told.out, told
    refused = restore(hub, file)
    assert refused.code != 0 and "a hub runs on" in refused.err, refused
    hub.stop()
    parts, others = in_parts(hub, "part"), in_parts(hub, "other")
    before = tree(hub.etc, hub.state / "signer")
    refused = restore(hub, file)
    assert refused.code != 0 and "--replace --name" in refused.err, refused
    assert tree(hub.etc, hub.state / "signer") == before
    away(hub, engine)

    # Whatever is wrong with file or key is said, and nothing is there afterwards.
    good, other = file.read_bytes(), make_hub(start=False)
    bad = tmp_path / "bad.cwbackup"
    middle = len(good) // 2
    for content, with_key, why in ((good, key_file(other), "another installation's"), (good[:-1], key, "cut off"), (good[:middle], key, "cut off"),
                                   (good + b"x", key, "behind its end"), (good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:], key, "damaged"),
                                   (good.replace(b'"Test"', b'"Best"', 1), key, "head of the file was changed"), (b"no backup", key, "is no backup of Certwright")):
        bad.write_bytes(content)
        done = restore(hub, bad, key=with_key)
        assert done.code not in (0, -signal.SIGSEGV) and why in done.err, (why, done)
        assert not hub.etc.exists() and not hub.state.exists(), why
    assert restore(hub, file, key=key_file(other, "7Q2M-typo")).code != 0

    # In parts: all of them are needed, of one split.
    shown = hub.ok("init", "--recovery-parts", 3, *(x for n in ("config-dir", "state", "run-dir") for x in (f"--{n}", tmp_path / n))).out
    assert len(re.findall(r"\n    ([0-9A-Z-]{54})\n", shown)) == 3 and not re.search(r"\n\n    ([0-9A-Z-]{44})\n", shown), shown
    (mistyped := hub.folder / "mistyped").write_text(re.sub(r"[0-9a-z]", lambda m: "a" if m[0] != "a" else "b", parts[1].read_text(), count=1))
    second = ("--recovery-key-file", parts[1])
    for more, why in (((), "part 2 of 2 of the recovery key is missing"), (("--recovery-key-file", parts[0]), "was there already"),
                      (("--recovery-key-file", others[1]), "another split"), (("--recovery-key-file", mistyped), "typing error"),
                      ((*second, *second), "one too many")):
        done = restore(hub, file, *more, key=parts[0])
        assert done.code != 0 and why in done.err and not hub.state.exists(), (why, done)

    # One that is killed on its way may be given again; until then no hub starts there.
    key_file(hub)
    for point in ("dropped",) if engine else ("unpacked", "signer_placed"):
        assert restore(hub, file, failpoint=f"restore.{point}=kill").code == -signal.SIGKILL, point
        assert (hub.state / "restore-unfinished").exists()
    if not engine:
        assert restore(hub, file, failpoint="restore.placed=kill").code == -signal.SIGKILL
        assert "run certwright restore again" in hub.cw("run", "hub", "--config", hub.etc / "hub.yaml").err
    done = restore(hub, file, "--recovery-key-file", parts[0], key=parts[1])
    assert done.code == 0 and "is back as it was" in done.out, done

    # The CA goes on, and so do the certificates and the agent; whoever asks for the CRL gets one that is newer than any before.
    hub.start()
    facts = restored(hub)
    assert facts["signer"] == "restored" and facts["epoch"] == 2, facts
    after = crl(hub)
    assert after[0] > number and gone in after[1]
    assert revoked_at(hub, "revoked")
    assert hub.https("GET", "/api/v1/status").status_code == 200
    wait.until(lambda: agent.shown()["state"] == "active" and "hub_reached" in agent.life(), "the agent is back")
    assert serial(hub, "kept") != late and served(agent, "kept") == late
    hub.ok("cert", "renew", "kept", timeout=90)
    assert served(agent, "kept") == serial(hub, "kept") != late
    assert make_remote(hub, "web2", join=False, start=False).join(unused).code != 0
    hub.ok("check", "--config", hub.etc / "hub.yaml")


def test_a_database_is_put_back_beside_a_newer_signer(make_hub, engine, tmp_path):
    hub = make_hub()
    key_file(hub)
    file = tmp_path / "db.cwbackup"
    for name in ("first", "second"):
        add(hub, hub, name)
    hub.ok("backup", "--out", file)
    add(hub, hub, "third")
    revoked, unknown = serial(hub, "second"), serial(hub, "third")
    hub.ok("cert", "pause", "second")
    hub.ok("cert", "revoke", "second", "--replace", "now", "--no-wait")
    wait.until(lambda: revoked in crl(hub)[1], "the revocation is published")
    number = crl(hub)[0]
    hub.stop()
    assert "--name \"Test\"" in restore(hub, file, "--replace", "--keep-signer").err
    done = restore(hub, file, "--replace", "--name", "Test", "--keep-signer", "--keep-config", "--unknown", "revoke")
    assert done.code == 0, done
    hub.start()
    # What the signer knows and the database did not: a certificate, which is revoked as was asked for, and a revocation.
    facts = restored(hub)
    assert facts["signer"] == "kept" and facts["unknown_certificates"] == 1 and facts["revocations"] == 1, facts
    assert int(facts["serials"][0], 16) == unknown
    after = crl(hub)
    assert after[0] > number and {revoked, unknown} <= after[1]
    assert revoked_at(hub, "second")
    found = hub.unix("GET", "/api/v1/certificates?limit=100").json()["items"]
    assert [c["revoked"] for c in found if "third.example.org" in json.dumps(c)] == [True], found
    hub.ok("cert", "renew", "first")
    hub.ok("check", "--config", hub.etc / "hub.yaml")


@pytest.mark.one_engine
def test_backups_on_schedule_are_kept_counted_and_missed(make_hub):
    hub = make_hub(start=False)
    folder, public = hub.folder / "backups", hub.etc / "recovery.pub"
    # An installation of an older release: it is made known to whom backups are encrypted.
    made_at_init = public.read_text()
    public.unlink()
    wrong = recovery_key(make_hub(start=False))
    assert hub.cw("init", "--backup-key", "--config-dir", hub.etc, input=wrong + "\n").code != 0 and not public.exists()
    assert "restart the hub" in hub.ok("init", "--backup-key", "--config-dir", hub.etc, input=recovery_key(hub) + "\n").out
    assert public.read_text() == made_at_init
    with open(hub.etc / "hub.yaml", "a") as f:
        f.write(f"backup: {{to: {folder}, every: 1h, keep: 2}}\n")
    hub.start()

    def files():
        return sorted(p.name for p in folder.glob("certwright-Test-*.cwbackup")) if folder.exists() else []

    def made():
        return len([e for e in hub.audit() if e["action"] == "backup.made"])
    wait.until(lambda: made() == 1 and len(files()) == 1, "the first backup is made at once")
    for n in (2, 3):
        hub.move_clock((n - 1) * 3700)
        wait.until(lambda: made() == n, f"backup {n} is made")
    assert len(files()) == 2 and "every hash fits" in hub.ok("verify-backup", folder / files()[-1], "--recovery-key-file", key_file(hub)).out
    at = int(re.search(r"^certwright_backup_last_success_timestamp_seconds (\d+)$", hub.unix("GET", "/metrics").text, re.M).group(1))
    assert at > 0
    # Nothing can be written any more: it is said why, and once it is older than it may be, that there is no new one.
    shutil.rmtree(folder)
    folder.write_text("no folder")
    hub.move_clock(4 * 3700)
    wait.until(lambda: any(e["action"] == "backup.failed" for e in hub.audit()), "it is told that one failed")
    assert "failed" in hub.ok("backup", "--list").out
    hub.move_clock(10 * 3700)
    wait.until(lambda: any(e["action"] == "backup.old" for e in hub.audit()), "it is told that the last one is old")
    assert any("last good backup" in p["text"] for p in hub.ok("status", "-o", "json").json()["problems"])
