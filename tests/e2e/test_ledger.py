"""The ledger of one certificate: who asked for it, who issued it, where it was proved; and a document that proves all of it elsewhere."""
import json

from lib import wait

SHOP = "shop.example.org"


def test_its_story_can_be_proved_without_a_hub(hub, tmp_path):
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem")
    hub.ok("cert", "add", SHOP, "--to", "out")
    hub.ok("cert", "renew", SHOP)
    hub.ok("cert", "add", "other.example.org")
    lines = json.loads(hub.ok("cert", "ledger", SHOP, "-o", "json").out)[::-1]
    steps = [(x["step"], x.get("version")) for x in lines]
    assert steps == [("requested", None), ("issued", 1), ("served", 1), ("requested", None), ("issued", 2), ("served", 2)], steps
    assert lines[0]["principal"] == "uid:0" and lines[1]["principal"].startswith(("agent:", "hub"))
    issued, shown = json.loads(lines[4]["detail"]), hub.show("cert", SHOP)["current_version"]
    assert issued["fingerprint"] == shown["fingerprint"] and issued["issuer"] and issued["serial"]
    served = json.loads(lines[5]["detail"])
    assert served["managed_certificate"] == hub.show("cert", SHOP)["id"] and "served" in served
    # As a document.
    def export():
        hub.ok("audit", "export", "--certificate", SHOP, "--out", tmp_path / "ledger.jsonl")
        return [json.loads(x) for x in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    document = wait.until(lambda: (lambda d: d if len(d) == 7 else None)(export()), "all of it is in a signed head", 10, every=0.3)
    assert [x["entry"]["action"] for x in document[1:]] == [x["action"] for x in lines]
    proved = hub.ok("audit", "verify", tmp_path / "ledger.jsonl")
    assert "6" in proved.out
    text = (tmp_path / "ledger.jsonl").read_text()
    (tmp_path / "ledger.jsonl").write_text(text.replace('"version":2', '"version":3', 1))
    assert hub.cw("audit", "verify", tmp_path / "ledger.jsonl").code != 0
    # Of one that is gone, by its id; of one that never was, nothing.
    ref = hub.show("cert", SHOP)["id"]
    hub.ok("cert", "remove", SHOP)
    assert json.loads(hub.ok("cert", "ledger", ref, "-o", "json").out)[0]["step"] == "removed"
    gone = hub.cw("cert", "ledger", SHOP)
    assert gone.code == 4 and "give its id" in gone.err
