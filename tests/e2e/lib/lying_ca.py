"""An ACME server (RFC 8555) that issues whatever it is asked for, and tells one lie where a test wants it to.

It asks for no challenge and looks at no signature: it stands for a CA whose answers somebody has in his hands."""
import base64
import http.server
import json
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from lib import pki, wait

METADATA = "http://169.254.169.254/latest/meta-data/"
ENDLESS_MAX = 64 << 20  # so that a client without a ceiling does not go on for ever


def _decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that hang up are what the tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        self.server.ca.answer(self, b"")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        payload = json.loads(body).get("payload", "")
        self.server.ca.answer(self, _decode(payload))


def _serve(handler, context):
    server = _Server(("127.0.0.1", wait.free_port()), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Trap:
    """A place where nobody should ever come; who comes is noted before any TLS."""

    def __init__(self):
        self.visits = 0
        trap = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle(self):
                trap.visits += 1
        self.server = _Server(("127.0.0.1", wait.free_port()), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/trap"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class LyingCa:
    """`lie` names what it does wrong from now on, None for nothing: "endless", "redirect", "page", "broken", "limited" or "down" and a resource ("dir",
    "new", "finalize", "cert"), "slow" for all of them, "pending" (a challenge that it never looks at), or one of the words that stand below where each is told.  While `hold` is
    cleared it answers no finalizing.  Of what it was asked, `asked` has the resources, `issued` the number of certificates."""

    def __init__(self, folder):
        self.root, self.other, self.namesake = pki.Root("Lying root"), pki.Root("Somebody else"), pki.Root("Lying root")
        self.cert, self.key, self.roots = self.root.write(folder, ["127.0.0.1"], "lying")
        self.lie, self.trap = None, Trap()
        self.orders, self.issued, self.lock = {}, 0, threading.Lock()
        self.asked, self.hold = [], threading.Event()
        self.hold.set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        self.server = _serve(_Handler, context)
        self.server.ca = self
        self.base = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.directory = f"{self.base}/dir"

    def stop(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self.trap.stop()

    # --- answers

    def answer(self, h, payload):
        what, _, number = h.path.lstrip("/").partition("/")
        with self.lock:
            self.asked.append(what)
        if self.lie == "slow":
            time.sleep(0.1)
        if self.lie == f"endless {what}":
            self._endless(h)
        elif self.lie == f"redirect {what}":
            self._send(h, 302, {}, {"Location": self.trap.url})
        elif self.lie == f"page {what}":
            self._send(h, 200, b"<html>Please log in</html>", {}, "text/html")
        elif self.lie == f"down {what}":
            self._send(h, 503, {"type": "urn:ietf:params:acme:error:serverInternal", "detail": "maintenance until noon"},
                       {"Retry-After": "7200"}, "application/problem+json")
        elif self.lie == f"limited {what}":
            self._send(h, 429, {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates for example.org"},
                       {"Retry-After": "10800"}, "application/problem+json")
        elif self.lie == f"broken {what}":
            self._send(h, 500, b"<html>Internal server error</html>", {}, "text/html")
        else:
            getattr(self, f"_{what}")(h, number, payload)

    def _send(self, h, status, body, headers=None, kind="application/json"):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        h.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(text), "Replay-Nonce": "bm9uY2U",
                            "Cache-Control": "no-store", **(headers or {})}.items():
            h.send_header(name, str(value))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(text)

    def _endless(self, h):
        h.send_response(200)
        h.send_header("Content-Type", "application/pem-certificate-chain")
        h.send_header("Connection", "close")
        h.end_headers()
        sent, part = 0, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * 1000
        while sent < ENDLESS_MAX:
            h.wfile.write(part)
            sent += len(part)

    def _dir(self, h, number, payload):
        self._send(h, 200, {"newNonce": f"{self.base}/nonce", "newAccount": f"{self.base}/account", "newOrder": f"{self.base}/new",
                            "revokeCert": f"{self.base}/revoke", "meta": {"termsOfService": f"{self.base}/terms{'-2' if self.lie == 'other terms' else ''}"},
                            **({"newNonce": METADATA} if self.lie == "metadata nonce" else {})})

    def _nonce(self, h, number, payload):
        self._send(h, 200, b"")

    def _account(self, h, number, payload):
        self._send(h, 201, {"status": "valid"}, {"Location": f"{self.base}/account/1"})

    def _order_text(self, number):
        order = self.orders[number]
        names = order["names"]
        if self.lie == "other names":
            names = ["evil.example"]
        text = {"status": "pending" if self.lie == "pending" else order["status"], "identifiers": [{"type": "dns", "value": n} for n in names],
                "authorizations": [f"{self.base}/authz/{number}"], "finalize": f"{self.base}/finalize/{number}"}
        if "chain" in order:
            text["certificate"] = f"{self.base}/cert/{number}"
        if self.lie == "metadata authorization":
            text.update(status="pending", authorizations=[METADATA])
        elif self.lie == "foreign finalize":
            text["finalize"] = self.trap.url
        elif self.lie == "foreign certificate" and "chain" in order:
            text["certificate"] = self.trap.url
        elif self.lie == "private certificate" and "chain" in order:
            text["certificate"] = "https://10.0.0.1/cert"
        return text

    def _new(self, h, number, payload):
        names = [i["value"] for i in json.loads(payload)["identifiers"]]
        with self.lock:
            number = str(len(self.orders) + 1)
            self.orders[number] = {"names": names, "status": "ready"}
        self._send(h, 201, self._order_text(number), {"Location": f"{self.base}/order/{number}"})

    def _order(self, h, number, payload):
        self._send(h, 200, self._order_text(number))

    def _authz(self, h, number, payload):
        name = self.orders[number]["names"][0]
        open_ = [{"type": "http-01", "url": f"{self.base}/challenge/{number}", "token": "dG9rZW4tb2YtdGhlLWx5aW5nLWNh", "status": "pending"}]
        pending = self.lie == "pending"
        self._send(h, 200, {"status": "pending" if pending else "valid", "identifier": {"type": "dns", "value": name}, "challenges": open_ if pending else []})

    def _challenge(self, h, number, payload):
        self._send(h, 200, {"type": "http-01", "url": f"{self.base}/challenge/{number}", "token": "dG9rZW4tb2YtdGhlLWx5aW5nLWNh", "status": "processing"})

    def _finalize(self, h, number, payload):
        self.hold.wait(60)
        csr = x509.load_der_x509_csr(_decode(json.loads(payload)["csr"]))
        order = self.orders[number]
        order["chain"], order["status"] = self._issue(csr, order["names"]), "valid"
        self.issued += 1
        self._send(h, 200, self._order_text(number), {"Location": f"{self.base}/order/{number}"})

    def _cert(self, h, number, payload):
        self._send(h, 200, self.orders[number]["chain"], {}, "application/pem-certificate-chain")

    def _revoke(self, h, number, payload):
        self._send(h, 200, b"")

    # --- certificates

    def _issue(self, csr, names):
        key, begin, days, more = csr.public_key(), pki.now() - pki.DAY, 90 * pki.DAY, []
        if self.lie == "another key":
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
        elif self.lie == "names missing":
            names = names[:-1]
        elif self.lie == "names added":
            names = [*names, "evil.example"]
        elif self.lie == "expired":
            begin, days = pki.now() - 30 * pki.DAY, 20 * pki.DAY
        cert = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.root.cert.subject).public_key(key)
                .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(begin + days)
                .add_extension(pki.san(names), critical=True)
                .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.key.public_key()), critical=False)
                .sign(self.root.key, hashes.SHA256()))
        if self.lie == "foreign chain":
            more = [self.other.cert]
        elif self.lie == "forged chain":
            more = [self.namesake.cert]
        elif self.lie == "long chain":
            more = [self.root.cert] * 50
        text = pki.pem(cert, *more)
        return text[:-100] if self.lie == "torn chain" else text
