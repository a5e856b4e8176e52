"""Many certificates at once while roles are killed at random: each ends with one certificate, one key, and its files installed.

`make soak` sets CERTWRIGHT_SOAK: more of them, and for longer."""
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from lib import wait
from lib.hub import ROLES

SOAK = bool(os.environ.get("CERTWRIGHT_SOAK"))
COUNT, SECONDS = (400, 60) if SOAK else (25, 4)


def insist(hub, method, url, body, key):
    """As a client with an Idempotency-Key does: the same request until it is answered."""
    def sent():
        try:
            answer = hub.unix(method, url, body, {"Idempotency-Key": key})
        except (OSError, requests.RequestException):
            return None
        return answer if answer.status_code < 500 else None
    answer = wait.until(sent, f"{method} {url} {key} is answered", 60)
    assert answer.status_code == 201, answer.text


def make(hub, i):
    path = hub.files / f"h{i}"
    insist(hub, "POST", "/api/v1/targets",
           {"name": f"t{i}", "connector": "files", "parameters": {"fullchain": f"{path}.pem", "key": f"{path}.key"}}, f"target-{i}")
    insist(hub, "POST", "/api/v1/managed-certificates", {"names": [f"h{i}.example.org"], "targets": [f"t{i}"]}, f"cert-{i}")


def test_random_kills_under_load_lose_nothing_and_repeat_nothing(make_hub):
    hub = make_hub()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance, until = random.Random(seed), time.monotonic() + SECONDS
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(make, hub, i) for i in range(COUNT)]
        while time.monotonic() < until:
            hub.kill_role(chance.choice(ROLES))
            time.sleep(chance.uniform(0.1, 0.6))
        for one in made:
            one.result()
    wait.until(lambda: len(list(hub.files.glob("*.pem"))) == COUNT, "all are installed", 180)
    wait.until(lambda: "All is well" in hub.ok("status").out, "all is well", 90)
    certs = hub.ok("cert", "list", "-o", "json").json()
    assert len(certs) == COUNT
    assert all(c["current_version"]["number"] == 1 for c in certs), "none was issued twice"
    assert hub.ok("ca", "show", "issuing", "-o", "json").json()["issued"] == COUNT
    assert len(list((hub.state / "agent" / "keys").glob("*.key"))) == COUNT
