#!/usr/bin/python3
"""What stands in for PowerShell with iis.ps1 on a Windows host: checks every call strictly, and keeps the binding in a file.  It is
started as `fake_iis.py FOLDER ARGUMENTS…`; what was wrong is in FOLDER/wrong."""
import base64
import json
import subprocess
import sys
from pathlib import Path

PROGRAM = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", "C:/ProgramData/certwright/iis.ps1"]
WHERE = {"site": "Default Web Site", "name": "www.example.org", "address": "*", "port": "443"}
FIELDS = {"see": set(), "install": {"fingerprint", "pkcs12", "passphrase", "before"}, "undo": {"fingerprint", "before"}}
NOTHING = {"exists": "", "thumbprint": "", "store": "", "fingerprint": ""}


def openssl(*argv, data):
    return subprocess.run(["openssl", *argv], input=data, capture_output=True, check=True).stdout


def imported(folder, wish):
    """The certificate in the file, by its fingerprint: with AES, a MAC of SHA-256, and the key that belongs to it."""
    assert len(wish["passphrase"]) == 32 and wish["passphrase"].isalnum(), wish["passphrase"]
    used = folder / "passphrases"
    with open(used, "a+", encoding="ascii") as f:
        f.seek(0)
        assert wish["passphrase"] not in f.read().split(), "a passphrase is used once"
        f.write(wish["passphrase"] + "\n")
    pfx = base64.b64decode(wish["pkcs12"], validate=True)
    secret = folder / "secret"
    secret.write_text(wish["passphrase"])
    read = subprocess.run(["openssl", "pkcs12", "-info", "-nodes", "-passin", f"file:{secret}"], input=pfx, capture_output=True, check=True)
    info = read.stderr.decode()
    assert "MAC: sha256" in info and "AES-256-CBC" in info, info
    leaf = key = read.stdout # each takes the first that it understands, and the leaf comes first
    assert openssl("pkey", "-pubout", data=key) == openssl("x509", "-pubkey", "-noout", data=leaf), "the key is another's"
    der = openssl("x509", "-outform", "DER", data=leaf)
    sums = [subprocess.run([f"{n}sum"], input=der, capture_output=True, check=True).stdout.split()[0].decode() for n in ("sha256", "sha1")]
    return {"exists": "yes", "thumbprint": sums[1].upper(), "store": "My", "fingerprint": sums[0]}


def main(folder, argv):
    assert argv[:-1] == PROGRAM and argv[-1] in FIELDS, argv
    verb, text = argv[-1], sys.stdin.read()
    wish = json.loads(text)
    assert {k: wish.pop(k) for k in WHERE} == WHERE and set(wish) == FIELDS[verb], (verb, sorted(wish))
    kept = folder / "binding.json"
    state = json.loads(kept.read_text()) if kept.exists() else NOTHING
    with open(folder / "asked", "a", encoding="ascii") as f:
        f.write(verb + "\n")
    if verb == "install" and state["fingerprint"] != wish["fingerprint"]:
        assert set(wish["before"]) == {"exists", "thumbprint"}, wish["before"]
        if (folder / "edited").exists():
            (folder / "edited").rename(kept)
            state = json.loads(kept.read_text())
        if any(state[k] != v for k, v in wish["before"].items()):
            print("the binding was changed by somebody else meanwhile", file=sys.stderr)
            return 3
        state = imported(folder, wish)
        assert state["fingerprint"] == wish["fingerprint"]
    elif verb == "undo" and state["fingerprint"] == wish["fingerprint"]:
        assert set(wish["before"]) == {"exists", "thumbprint", "store"}, wish["before"]
        former = folder / f"former-{wish['before']['thumbprint']}"
        state = {**wish["before"], "fingerprint": former.read_text()} if former.exists() else NOTHING
    (folder / f"former-{state['thumbprint']}").write_text(state["fingerprint"])
    kept.write_text(json.dumps(state))
    if verb == "install" and (folder / "trouble").exists():
        print("the site does not start", file=sys.stderr)
        return 1
    print(json.dumps(state))
    return 0


if __name__ == "__main__":
    home = Path(sys.argv[1])
    try:
        code = main(home, sys.argv[2:])
    except Exception as e: # whatever it is, the test must see it
        (home / "wrong").write_text(f"{sys.argv[2:]}: {e!r}")
        raise
    sys.exit(code)
