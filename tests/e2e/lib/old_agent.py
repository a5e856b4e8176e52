"""An agent of release 0.1.0, by its words: what it says and what it reads are that release's, whatever the API has learnt since.

The members below are FROZEN.  A member that came later is neither sent nor read here; where today's hub does not work with this agent, the
hub is wrong, for it may be upgraded before the agents of the hosts are.  What the agent does is real: its key, its requests, its files, its
handshakes.  When a release follows whose agent speaks otherwise, it gets a class of its own, and this one goes two releases later."""
import base64
import hashlib
import http.client
import json
import os
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RELEASE = "0.1.0"
KINDS = ["key", "present", "clean", "deploy", "verify", "discover", "undeploy", "forget_key", "order", "acme_revoke", "acme_info", "renewal_info"]
# What release 0.1.0 knows of each object that the hub sends it: those that must be there, and those that may.
KNOWN = {
    "reply": ({"agent_id", "epoch", "jobs", "dropped"}, set()),
    "job": ({"id", "kind", "lane", "fence", "lease_s"}, set(KINDS)),
    "key": ({"certificate", "attempt", "key_kind", "names"}, {"common_name", "reuse_attempt"}),
    "deploy": ({"deployment", "target", "target_name", "connector", "attempt", "version", "chain_pem", "names"},
               {"parameters", "roots_pem", "previous_fingerprint", "endpoints", "dry_run"}),
    "verify": ({"target", "names", "fingerprint"}, {"target_name", "connector", "parameters", "endpoints", "roots_pem"}),
    "forget_key": ({"attempt"}, set()),
    "endpoint": ({"address", "port", "name"}, set()),
}
CURVES = {"ec-p256": ec.SECP256R1, "ec-p384": ec.SECP384R1}


class Refused(Exception):
    """The hub answered something else than 200."""


class OldAgent:
    def __init__(self, hub, folder, name):
        self.hub, self.folder, self.name, self.files = hub, folder, name, folder / "files"
        self.files.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.boot_id, self.shift_s = os.urandom(8).hex(), 0
        self.pair, self.thread, self.ending, self.failed = folder / "fleet.pem", None, threading.Event(), None
        self.keys, self.results, self.holding, self.fences = {}, [], [], {}
        self.done, self.unknown, self.introduced, self.missed = [], set(), False, True
        self.serving = None

    # --- the hub

    def _post(self, path, body, shown=True):
        ctx = ssl.create_default_context(cafile=str(self.hub.fleet_roots))
        if shown:
            ctx.load_cert_chain(self.pair)
        c = http.client.HTTPSConnection("localhost", self.hub.agents_port, context=ctx, timeout=30)
        try:
            c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = c.getresponse()
            text = answer.read()
        finally:
            c.close()
        if answer.status != 200:
            raise Refused(f"{path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def join(self, token):
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
            x509.SubjectAlternativeName([x509.DNSName("agent.invalid")]), False).sign(self.key, hashes.SHA256())
        joined = self._post("/agent/v1/join", {
            "token": token, "name": self.name, "csr": base64.b64encode(csr.public_bytes(serialization.Encoding.DER)).decode(),
            "version": RELEASE, "platform": "linux"}, shown=False)
        self.pair.write_bytes(pem_of(self.key) + joined["certificate_pem"].encode())
        self.pair.chmod(0o600)
        return self

    def exchange(self, wait_s):
        me = {"name": self.name, "version": RELEASE, "platform": "linux", "capabilities": [*KINDS, "connector:files"], "boot_id": self.boot_id,
              "sandbox": "none", "now_s": int(time.time()) + self.shift_s}
        if not self.introduced:
            me["connectors"] = [{"name": "files", "files": [{"content": "fullchain", "parameter": "fullchain"}, {"content": "key", "parameter": "key"}]}]
            me["commands"] = []
        told = list(self.results)
        request = {"agent": me, "results": told, "progress": [], "holding": [{"id": r["id"], "fence": r["fence"]} for r in told], "capacity": 4,
                   "wait_s": 0 if told else wait_s}
        if self.missed:
            request["recover"] = True
        reply = self._known("reply", self._post("/agent/v1/exchange", request))
        self.results, self.introduced, self.missed = self.results[len(told):], True, False
        for job in reply["jobs"]:
            self.results.append(self._work(self._known("job", job)))

    def _known(self, what, given):
        """What the release reads of an object: what it does not know is skipped, and what it needs is there."""
        must, may = KNOWN[what]
        self.unknown |= {f"{what}.{name}" for name in given.keys() - must - may}
        assert must <= given.keys(), f"the hub does not tell {sorted(must - given.keys())} of {what}, which release {RELEASE} needs"
        return {k: v for k, v in given.items() if k in must | may}

    # --- life

    def start(self):
        self.ending.clear()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self):
        while not self.ending.is_set():
            try:
                self.exchange(wait_s=1)
            except (OSError, http.client.HTTPException):  # the hub is away
                self.missed = True
                time.sleep(0.1)
            except (Refused, AssertionError, KeyError) as e:
                self.failed = e
                return

    def stop(self):
        self.ending.set()
        if self.thread:
            self.thread.join(10)
        if self.serving:
            self.serving.close()
        if self.failed:
            raise AssertionError(f"the agent of release {RELEASE} gave up") from self.failed

    # --- jobs

    def _work(self, job):
        kind, result = job["kind"], {"id": job["id"], "fence": job["fence"], "ok": True, "steps": [{"at_ms": int(time.time() * 1000), "step": job["kind"]}]}
        try:
            assert job["fence"] > self.fences.get(job["lane"], -1), f"the fence of {job['lane']} did not rise"
            self.fences[job["lane"]] = job["fence"]
            if kind not in KINDS:
                raise LookupError(f"this agent does not know jobs of kind {kind}: upgrade it")
            body = getattr(self, f"_do_{kind}")(self._known(kind, job[kind]))
            if body is not None:
                result[kind] = body
        except (LookupError, OSError, AttributeError) as e:
            result.update(ok=False, error={"code": "unsupported", "text": str(e)})
        self.done.append((kind, result["ok"]))
        return result

    def _do_key(self, job):
        if job["attempt"] not in self.keys:
            key = ec.generate_private_key(CURVES[job["key_kind"]]())
            csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in job["names"]]), False).sign(key, hashes.SHA256())
            self.keys[job["attempt"]] = key, csr.public_bytes(serialization.Encoding.DER)
        key, csr = self.keys[job["attempt"]]
        spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {"csr": base64.b64encode(csr).decode(), "spki_sha256": hashlib.sha256(spki).hexdigest()}

    def _do_forget_key(self, job):
        self.keys.pop(job["attempt"], None)

    def _do_deploy(self, job):
        key, parameters, dry = self.keys[job["attempt"]][0], job["parameters"], job.get("dry_run", False)
        files = {parameters["fullchain"]: job["chain_pem"].encode(), parameters["key"]: pem_of(key)}
        for path, content in files.items() if not dry else ():
            with open(path + ".new", "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(content)
        for path in files if not dry else ():
            os.rename(path + ".new", path)
        served = self._seen(job)
        if not served:
            served = [{"address": "", "port": 0, "name": "", "verdict": "installed", "fingerprint": fingerprint(job["chain_pem"].encode())}]
        return {"served": served, "files": [{"path": p} for p in files], "commands": [], "rolled_back": False}

    def _do_verify(self, job):
        return {"served": self._seen(job, bytes.fromhex(job["fingerprint"]).hex())}

    def _seen(self, job, expected=None):
        """A handshake at each endpoint; one that shows the expected certificate, by the roots that came along, is served."""
        expected, served = expected or fingerprint(job["chain_pem"].encode()), []
        for end in (self._known("endpoint", e) for e in job.get("endpoints", [])):
            ctx = ssl.create_default_context(cadata=job["roots_pem"])
            with socket.create_connection((end["address"], end["port"]), timeout=5) as raw, ctx.wrap_socket(raw, server_hostname=end["name"]) as s:
                shown = hashlib.sha256(s.getpeercert(True)).hexdigest()
            served.append({**end, "verdict": "served" if shown == expected else "other", "fingerprint": shown})
        return served

    # --- the service on its host

    def serve(self, fullchain, key):
        """A TLS server that reads its files at each connection; returns its port."""
        self.serving = socket.create_server(("127.0.0.1", 0))

        def run():
            while True:
                try:
                    raw, _ = self.serving.accept()
                except OSError:
                    return
                try:
                    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    ctx.load_cert_chain(fullchain, key)
                    ctx.wrap_socket(raw, server_side=True).close()
                except OSError:
                    raw.close()
        threading.Thread(target=run, daemon=True).start()
        return self.serving.getsockname()[1]


def pem_of(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def fingerprint(chain):
    return x509.load_pem_x509_certificate(chain).fingerprint(hashes.SHA256()).hex()
