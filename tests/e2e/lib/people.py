"""People at the hub: a browser's cookies, an authenticator app, and an authenticator that can also lie."""
import base64
import hashlib
import hmac
import json
import struct
import time
from urllib.parse import parse_qs, urlparse

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "seven quiet otters read maps"
COOKIE, DEVICE = "__Host-certwright", "__Host-certwright-device"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """What a browser does with cookies, Origin and the CSRF value; each has its own device cookie."""

    def __init__(self, hub, host="localhost", address=None):
        self.hub, self.origin = hub, f"https://{host}:{hub.https_port}"
        self.http = requests.Session()
        self.http.trust_env, self.http.verify = False, str(hub.fleet_roots)
        if address:  # come from another address of the loopback network
            self.http.mount("https://", _From(address))
        self.csrf = None

    def ask(self, method, url, body=None, headers=None, csrf=True, origin=True):
        headers = {**({"Origin": self.origin} if origin and method != "GET" else {}), **({"X-Certwright-CSRF": self.csrf} if csrf and self.csrf else {}),
                   **(headers or {})}
        answer = self.http.request(method, self.origin + url, headers=headers, timeout=30, allow_redirects=False, **({"json": body} if body is not None else {}))
        if answer.ok and answer.content:
            said = answer.json()
            said = said.get("session", said)
            self.csrf = said.get("csrf", self.csrf)
        return answer

    def ok(self, method, url, body=None):
        answer = self.ask(method, url, body)
        assert answer.ok, (method, url, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def cookie(self, name=COOKIE):
        return self.http.cookies.get(name)

    def password(self, name, password=PASSWORD):
        return self.ask("POST", "/api/v1/session", {"name": name, "password": password})

    def accept(self, code, name=None, password=PASSWORD):
        return self.ok("POST", "/api/v1/invitation", {"code": code, "password": password, **({"name": name} if name else {})})

    def enrol(self):
        """Sets up an authenticator app, and is signed in then."""
        app = App(self.ok("POST", "/api/v1/me/totp"), self.hub)
        assert self.ok("POST", "/api/v1/me/totp/confirm", {"code": app.code()})["state"] == "done"
        return app

    def forget(self):
        """Closes the browser: the device's cookie stays."""
        device = self.cookie(DEVICE)
        self.http.cookies.clear()
        if device:
            self.http.cookies.set(DEVICE, device, domain="localhost.local", secure=True)
        self.csrf = None


class _From(requests.adapters.HTTPAdapter):
    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *a, **kw):
        return super().init_poolmanager(*a, **kw, source_address=(self.address, 0))


class App:
    """An authenticator app.  Codes are good once, so each asks for the next one: a step later at most is taken."""

    def __init__(self, made, hub):
        uri = parse_qs(urlparse(made["uri"]).query)
        assert uri["secret"] == [made["secret"]]
        self.text = made["secret"]
        self.key, self.hub, self.last = base64.b32decode(made["secret"] + "=" * (-len(made["secret"]) % 8)), hub, 0

    def at(self, step):
        mac = hmac.new(self.key, struct.pack(">q", step), hashlib.sha1).digest()
        return f"{(struct.unpack('>I', mac[mac[-1] & 15:][:4])[0] & 0x7fffffff) % 1000000:06}"

    def oldest(self):
        """The oldest step that is taken, and still will be in a while."""
        return (int(time.time()) + struct.unpack("<q", self.hub.clock_file.read_bytes())[0] + 10) // 30 - 1

    def code(self):
        self.last = max(self.last + 1, self.oldest())
        return self.at(self.last)


class Authenticator:
    """A passkey in software: what it says can be made wrong."""

    def __init__(self):
        self.key, self.count = ec.generate_private_key(ec.SECP256R1()), 0
        self.id = hashlib.sha256(repr(id(self)).encode() + str(time.time_ns()).encode()).digest()[:16]

    def data(self, rp_id, flags, more=b""):
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count) + more

    def client_data(self, kind, challenge, origin):
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()

    def make(self, wish, origin, name="key"):
        n = self.key.public_key().public_numbers()
        cose = bytes.fromhex("a5010203262001215820") + n.x.to_bytes(32, "big") + bytes.fromhex("225820") + n.y.to_bytes(32, "big")
        data = self.data(wish["rp_id"], 0x45, bytes(16) + struct.pack(">H", len(self.id)) + self.id + cose)
        made = bytes.fromhex("a363666d74646e6f6e656761747453746d74a0686175746844617461") + b"\x58" + bytes([len(data)]) + data
        return {"name": name, "client_data": b64(self.client_data("webauthn.create", wish["challenge"], origin)), "attestation": b64(made), "transports": ["usb"]}

    def use(self, question, origin, flags=0x05, count=None):
        self.count = self.count + 1 if count is None else count
        data, client = self.data(question["rp_id"], flags), self.client_data("webauthn.get", question["challenge"], origin)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return {"credential": b64(self.id), "client_data": b64(client), "authenticator_data": b64(data), "signature": b64(signature)}


def first_code(hub):
    """The code of the link that `certwright init` printed."""
    return hub.initial.out.split("sign-in?code=")[1].split()[0]
