"""What is wished for as files: written, changed by hand, applied; and onto an empty hub."""
import json
import os

import yaml

SHOP = "shop.example.org"


def wish(hub, folder):
    return {p.stem: yaml.safe_load(p.read_text())[p.stem] for p in sorted(folder.iterdir()) if p.stem != "policy"}


def applied(hub, *argv):
    return hub.ok("apply", *argv).out.splitlines()


def test_a_hub_is_written_down_changed_and_made_again_elsewhere(make_hub):
    hub = make_hub()
    folder, out = hub.folder / "wish", hub.files / "shop.pem"
    hub.ok("team", "add", "sales")
    hub.ok("team", "add", "shops", "--parent", "sales")
    hub.ok("role", "add", "renewer", "--permission", "managed-certificate.read,managed-certificate.renew")
    hub.ok("profile", "add", "short", "--validity", "5d", "--key-kind", "ec-p384,ec-p256")
    hub.ok("collection", "add", "soon", "expires < 30d and not managed")
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={out}", "--description", "on: the shop's \"front\" #1")
    hub.ok("cert", "add", SHOP, "--profile", "short", "--renew-at", "50", "--issuer", "ca")
    (hub.folder / "rule.yaml").write_text("name: nobodys\nwhere: expires < 14d and not managed\nsteps:\n  - notify: team\n  - wait: 30m\nquiet: [\"Sat,Sun 00:00-24:00 UTC\"]\n")
    hub.ok("rule", "add", hub.folder / "rule.yaml")
    hub.ok("rule", "disable", "agent-silent")
    policy = "# Nobody may have these.\nversion: 1\nwildcards: allow\n"
    (hub.folder / "policy.yaml").write_text(policy)
    hub.ok("policy", "put", hub.folder / "policy.yaml")
    hub.ok("export", "--out", folder)
    assert (folder / "policy.yaml").read_text() == policy
    files = wish(hub, folder)
    assert [t["name"] for t in files["teams"]] == ["sales", "shops"] and files["teams"][1] == {"name": "shops", "team": "sales"} and files["teams"][0] == {"name": "sales"}
    assert [r["name"] for r in files["roles"]] == ["renewer"], "those that are built in are everywhere"
    rules = {r["name"]: r for r in files["rules"]}
    assert rules["agent-silent"] == {"name": "agent-silent", "enabled": False} and rules["rogue-found"] == {"name": "rogue-found"}
    assert rules["nobodys"]["spec"] == {"where": "expires < 14d and not managed", "steps": [{"notify": "team"}, {"wait": "30m"}],
                                         "quiet": ["Sat,Sun 00:00-24:00 UTC"]}
    assert files["certificates"] == [{"name": SHOP, "names": [SHOP], "profile": "short", "issuers": ["ca"],
                                      "key_kind": "ec-p384", "renewal": {"at_percent": 50}}]
    # What is as it is wished stays as it is.
    log = hub.ok("audit", "list", "-o", "json").out
    assert applied(hub, "-f", folder) == ["done: nothing to do"]
    assert hub.ok("audit", "list", "-o", "json").out == log
    # By hand: one changed, one new, one gone.
    files["certificates"][0]["targets"] = ["out"]
    files["certificates"].append({"name": "api", "names": ["api.example.org", "*.api.example.org"]})
    files["collections"] = []
    del rules["nobodys"]["spec"]["quiet"]
    for kind in ("certificates", "collections", "rules"):
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump({kind: files[kind]}))
    plan = ["+ certificate api", '      names: ["api.example.org","*.api.example.org"]', f"~ certificate {SHOP}", '      targets: [] -> ["out"]']
    lines = applied(hub, "-f", folder, "--dry-run")
    assert lines[0] == "~ rule nobodys" and "quiet" in lines[1].split(" -> ")[0] and "quiet" not in lines[1].split(" -> ")[1], lines
    assert lines[2:] == [*plan, "would be: 1 added, 2 changed, 0 removed"]
    assert hub.cw("cert", "show", "api").code == 4
    assert applied(hub, "-f", folder, "--dry-run", "--prune")[-2:] == ["- collection soon", "would be: 1 added, 2 changed, 1 removed"]
    refused = hub.cw("apply", "-f", folder, "--prune")
    assert refused.code == 2 and "--yes" in refused.err, refused
    done = json.loads(hub.ok("apply", "-f", folder, "--prune", "--yes", "-o", "json").out)
    assert [(d["act"], d["name"], d["result"]) for d in done] == [("change", "nobodys", "done"), ("add", "api", "done"), ("change", SHOP, "done"), ("remove", "soon", "done")]
    hub.settled(SHOP)
    assert out.exists() and hub.show("cert", "api")["names"] == ["api.example.org", "*.api.example.org"]
    assert applied(hub, "-f", folder, "--prune") == ["done: nothing to do"]
    # Elsewhere there is nothing of it yet.
    other = make_hub()
    hub.ok("export", "--out", folder)
    text = (folder / "targets.yaml").read_text().replace(str(hub.files), str(other.files))
    (folder / "targets.yaml").write_text(text)
    assert not (folder / "collections.yaml").exists(), "there is none any more"
    lines = applied(other, "-f", folder)
    assert lines[-1].startswith("done: 8 added, 2 changed"), "\n".join(lines)
    other.settled(SHOP)
    assert (other.files / "shop.pem").exists() and other.show("target", "out")["description"] == "on: the shop's \"front\" #1"
    assert other.ok("export").out.replace(str(other.files), str(hub.files)) == hub.ok("export").out


def test_what_is_wrong_in_a_file_is_said_with_its_line_and_nothing_is_done(hub):
    folder = hub.folder / "wrong"
    folder.mkdir()
    for text, said in [
        ("certificates:\n  - names: [a.example.org]\n", "wrong.yaml:2: a certificate needs a name"),
        ("certificates:\n  - name: a\n    names: [a.example.org]\n    nmaes: 1\n", "wrong.yaml:4: a certificate has no nmaes"),
        ("certs: []\n", "certs is no kind of object"),
        ("certificates: {}\n", "certificates is a list"),
        ("certificates: [\n", "wrong.yaml"),
        ("- a\n", "a map of lists"),
        ("issuers:\n  - {name: le, kind: acme, account_key: x}\n", "account_key of issuer le does not belong"),
        ("teams:\n  - name: a\n  - name: a\n", "team a is in"),
        ("profiles:\n  - {name: tls-server, usage: tls-client}\n", "usage of profile tls-server cannot be changed"),
    ]:
        (folder / "wrong.yaml").write_text(text)
        done = hub.cw("apply", "-f", folder)
        assert done.code and said in done.err, (text, done)
    assert "no file that ends with .yaml" in hub.cw("apply", "-f", hub.folder / "etc").err or os.listdir(hub.folder / "etc")
    assert hub.cw("apply", "-f", folder / "nothing").code == 4 and hub.cw("apply").code == 2
    # One that the hub refuses: what went before it is done, and the next run goes on from there.
    (folder / "wrong.yaml").write_text("teams:\n  - name: first\ncertificates:\n  - {name: bad, names: [a.example.org], profile: nothing}\n")
    done = hub.cw("apply", "-f", folder)
    assert done.code and "certificate bad" in done.err and "1 of 2 were done" in done.err, done
    (folder / "wrong.yaml").write_text("teams:\n  - name: first\ncertificates:\n  - {name: bad, names: [a.example.org]}\n")
    assert applied(hub, "-f", folder)[0] == "+ certificate bad"
