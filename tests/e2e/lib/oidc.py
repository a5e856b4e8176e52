"""OpenID providers: a real one (npm oidc-provider), and one that lies."""
import base64
import fcntl
import hashlib
import hmac
import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlparse

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lib import process, wait

HOME = Path(__file__).resolve().parents[1] / "oidc"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n):
    return b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))


def installed():
    """The packages of tests/e2e/oidc/package-lock.json; they are fetched from npm's registry once."""
    with open(HOME / "package-lock.json", "rb") as lock:  # several test runs at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (HOME / "node_modules/.package-lock.json").exists():
            return HOME
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HOME, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"npm ci in {HOME} failed: {done.stdout}{done.stderr}"
    return HOME


class Key:
    def __init__(self, kid):
        self.kid, self.key = kid, rsa.generate_private_key(65537, 2048)

    def public(self):
        n = self.key.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": number(n.n), "e": number(n.e)}

    def private(self):
        k = self.key.private_numbers()
        return {**self.public(), **{a: number(v) for a, v in (("d", k.d), ("p", k.p), ("q", k.q), ("dp", k.dmp1), ("dq", k.dmq1), ("qi", k.iqmp))}}

    def sign(self, text):
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def pem(self):
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Provider:
    """npm's oidc-provider, with clients that have a secret."""

    def __init__(self, folder, root, hub_origin, names):
        self.folder, self.port = folder, wait.free_port()
        self.issuer, self.client, self.secret = f"https://localhost:{self.port}", "certwright", "a client's secret & more: %41+="
        self.people, self.key, self.child = {}, Key("first"), None
        cert, key, self.roots = root.write(folder, ["localhost"], "provider")
        self.setup = {"issuer": self.issuer, "port": self.port, "cert": str(cert), "key": str(key), "people": str(folder / "people.json"),
                      "clients": [{"client_id": self.client, "client_secret": self.secret,
                                   "redirect_uris": [f"{hub_origin}/sign-in/oidc/{n}/callback" for n in names]}]}

    def start(self, key=None):
        """Starts it, with another key where one is given."""
        self.stop()
        self.key = key or self.key
        (self.folder / "people.json").write_text(json.dumps(self.people))
        self.setup["jwks"] = {"keys": [self.key.private()]}
        (self.folder / "setup.json").write_text(json.dumps(self.setup))
        log = self.folder / "provider.log"
        log.write_text("")
        self.child = process.start([shutil.which("node"), installed() / "provider.mjs", self.folder / "setup.json"], log)
        wait.until(lambda: "ready" in log.read_text() or self.child.poll() is not None, "the provider is ready", 20)
        assert self.child.poll() is None, log.read_text()
        return self

    def knows(self, **people):
        """Who is there, and what is said of them."""
        self.people.update(people)
        (self.folder / "people.json").write_text(json.dumps(self.people))

    def stop(self):
        if self.child:
            process.stop(self.child)
        self.child = None

    def visit(self, location, account):
        """A browser's way through the provider as `account`; returns the address that it is sent back to."""
        browser = requests.Session()
        browser.trust_env, browser.verify = False, str(self.roots)
        for _ in range(10):
            answer = browser.get(location, headers={"X-Account": account}, allow_redirects=False, timeout=30)
            assert answer.status_code in (302, 303), (location, answer.status_code, answer.text)
            location = requests.compat.urljoin(location, answer.headers["location"])
            if "/sign-in/oidc/" in location:
                return location
        raise AssertionError("the provider goes round in circles")


class Liar:
    """A provider whose tokens are what a test wants: `claims` and `forge` say how the next ones are wrong."""

    def __init__(self, folder, root):
        self.folder, self.port = folder, wait.free_port()
        self.issuer, self.client = f"https://localhost:{self.port}", "certwright"
        self.keys = [Key("one")]
        self.codes, self.asked = {}, []
        self.gate, self.waiting, self.most = threading.Event(), 0, 0  # codes are taken while the gate is open; so many waited at once
        self.gate.set()
        cert, key, self.roots = root.write(folder, ["localhost"], "liar")
        liar = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *a):
                pass

            def say(self, body, status=200):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                liar.asked.append(self.path)
                self.say({"keys": [k.public() for k in liar.keys]} if self.path == "/keys" else liar.configuration())

            def do_POST(self):
                liar.asked.append(self.path)
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                liar.waiting += 1
                liar.most = max(liar.most, liar.waiting)
                liar.gate.wait(30)
                liar.waiting -= 1
                code = liar.codes.pop(form["code"][0], None)
                assert "Authorization" not in self.headers and form["client_id"] == [liar.client] and form["client_secret"] == ["unused"]
                if code is None or b64(hashlib.sha256(form["code_verifier"][0].encode()).digest()) != code["challenge"]:
                    return self.say({"error": "invalid_grant"}, 400)
                return self.say({"access_token": "x", "token_type": "Bearer", "id_token": code["token"]})

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def configuration(self):
        return {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/auth", "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys", "token_endpoint_auth_methods_supported": ["client_secret_post"], "authorization_response_iss_parameter_supported": True}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def token(self, nonce, clock=0, forge=None, key=None, **claims):
        """An ID token; claims that are None are left out."""
        now = int(time.time()) + clock
        body = {"iss": self.issuer, "aud": self.client, "sub": "liar's friend", "exp": now + 300, "iat": now, "nonce": nonce, "preferred_username": "friend"}
        body.update(claims)
        key = key or self.keys[0]
        header = {"alg": "RS256", "kid": key.kid}
        if forge == "none":
            header = {"alg": "none"}
        elif forge in ("hs256", "hs256-kid"):
            header = {"alg": "HS256", **({"kid": key.kid} if forge == "hs256-kid" else {})}
        elif forge == "jwk":
            own = Key("own")
            header, key = {"alg": "RS256", "jwk": own.public()}, own
        text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps({k: v for k, v in body.items() if v is not None}).encode())}".encode()
        signature = {"none": b"", "hs256": hmac.new(key.pem(), text, hashlib.sha256).digest(),
                     "hs256-kid": hmac.new(key.pem(), text, hashlib.sha256).digest()}.get(forge) if forge in ("none", "hs256", "hs256-kid") else key.sign(text)
        if forge == "tampered":
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        return f"{text.decode()}.{b64(signature)}"

    def visit(self, location, **token):
        """What /auth would answer with."""
        asked = {k: v[0] for k, v in parse_qs(urlparse(location).query).items()}
        assert asked["code_challenge_method"] == "S256" and asked["response_type"] == "code"
        code = f"code-{len(self.codes)}-{time.time_ns()}"
        self.codes[code] = {"challenge": asked["code_challenge"], "token": self.token(asked["nonce"], **token)}
        return asked["redirect_uri"] + "?" + urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
