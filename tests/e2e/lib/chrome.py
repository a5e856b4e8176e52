"""Chromium without a window, with a virtual authenticator: asked by WebDriver (W3C), which chromedriver speaks."""
import base64
import hashlib
import shutil
import ssl
import tempfile

import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from lib import process, wait


class Chrome:
    """`hub`: whose certificate it trusts, by its key: an exception for errors of TLS would take passkeys away."""

    def __init__(self, hub):
        self.folder = tempfile.mkdtemp(prefix="cw-chrome-", dir="/tmp")
        self.port = wait.free_port()
        self.child = process.start(["chromedriver", f"--port={self.port}"], hub.folder / "chromedriver.log", {"HOME": self.folder})
        self.base, self.session = f"http://127.0.0.1:{self.port}", None
        try:
            wait.until(self._ready, "chromedriver is ready", 20)
            pem = ssl.get_server_certificate(("localhost", hub.https_port))
            key = load_der_x509_certificate(ssl.PEM_cert_to_DER_cert(pem)).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                         "--disable-background-networking", "--no-proxy-server", f"--user-data-dir={self.folder}/data", f"--ignore-certificate-errors-spki-list={pin}"]
            options = {"browserName": "chrome", "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": arguments}, "timeouts": {"script": 20000}}
            self.session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]
        except BaseException:
            self.stop()
            raise

    def _ready(self):
        try:
            return requests.get(f"{self.base}/status", timeout=2).json()["value"]["ready"]
        except requests.RequestException:
            return False

    def _call(self, method, path, body=None):
        with requests.Session() as s:
            s.trust_env = False
            answer = s.request(method, self.base + path, **({"json": body} if body is not None else {}), timeout=60)
        said = answer.json()["value"]
        assert answer.status_code == 200, said
        return said

    def ask(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def authenticator(self, **more):
        """A virtual authenticator with resident keys that verifies its user."""
        return self.ask("POST", "/webauthn/authenticator", {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                                                            "isUserConsenting": True, "isUserVerified": True, **more})

    def run(self, script, *args):
        """The result of an async function's body, in the page."""
        done = self.ask("POST", "/execute/async", {"script": "const done = arguments[arguments.length - 1], args = arguments;"
                                                   f"(async () => {{ {script} }})().then(v => done({{ok: v}}), e => done({{error: String(e)}}))", "args": list(args)})
        assert "error" not in done, done
        return done.get("ok")

    def stop(self):
        if self.session:
            self.ask("DELETE", "")
            self.session = None
        process.stop(self.child)
        shutil.rmtree(self.folder, ignore_errors=True)
