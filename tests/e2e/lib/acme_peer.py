"""A small ACME server (RFC 8555) for what Debian 12's Pebble does not have: renewal information (RFC 9773) with alreadyReplaced,
profiles (draft-ietf-acme-profiles), several chains, dns-account-01 and dns-persist-01 (drafts).

Every request's JWS is checked with real cryptography (ES256, RS256), its nonce and URL too; challenges are looked at in real DNS, or at
port `http_port`.  The directory, RenewalInfo and problem documents have the form of the RFC's examples."""
import base64
import datetime
import hashlib
import http.client
import http.server
import json
import secrets
import socket
import ssl
import threading

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from lib import pki, wait

ERROR = "urn:ietf:params:acme:error:"


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Problem(Exception):
    def __init__(self, kind, detail, status=400):
        super().__init__(detail)
        self.kind, self.detail, self.status = kind, detail, status


def key_of(jwk):
    number = lambda name: int.from_bytes(unb64(jwk[name]), "big")  # noqa: E731
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
    return ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1()).public_key()


def thumbprint(jwk):
    members = ("e", "kty", "n") if jwk["kty"] == "RSA" else ("crv", "kty", "x", "y")
    return b64(hashlib.sha256(json.dumps({m: jwk[m] for m in members}, separators=(",", ":")).encode()).digest())


def verify(key, body):
    signed, signature = f"{body['protected']}.{body['payload']}".encode(), unb64(body["signature"])
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            half = len(signature) // 2
            der = utils.encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Problem("malformed", "the signature is wrong") from None


def account_label(url):
    """The label of dns-account-01 (draft-ietf-acme-dns-account-label)."""
    return "_" + base64.b32encode(hashlib.sha256(url.encode()).digest()[:10]).decode().lower()


def ari_id(cert):
    """RFC 9773 section 4.1."""
    serial = cert.serial_number
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    return f"{b64(aki)}.{b64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        self.server.peer.handle(self, None)

    do_HEAD = do_GET

    def do_POST(self):
        self.server.peer.handle(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class AcmePeer:
    """`window`: (start, end) in seconds from now that renewal information answers for every certificate; `retry_after` with it.
    `profiles`: {name: days}.  `txt`: a function that gives the TXT values of a name.  `refuse_replaces`: answers alreadyReplaced to
    every order that names one.  `hold`: challenges are not looked at.  `same`: orders for one name
    have one token while it is pending.  `orders` has what was asked for; `asked` how often renewal information was."""

    def __init__(self, folder, http_port=None, types=("http-01",), txt=None, profiles=None):
        self.root, self.second = pki.Root("Peer root one"), pki.Root("Peer root two")
        cert, key, self.roots = self.root.write(folder, ["127.0.0.1"], "peer")
        self.roots.write_bytes(pki.pem(self.root.cert, self.second.cert))
        self._intermediates()
        self.http_port, self.types, self.txt, self.profiles = http_port, types, txt, profiles
        self.window, self.retry_after, self.refuse_replaces = (40 * 86400, 50 * 86400), 21600, False
        self.accounts, self.orders, self.authorizations, self.certs, self.replaced = {}, {}, {}, {}, set()
        self.hold, self.same, self.nonces, self.asked, self.lock = False, False, set(), 0, threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = _Server(("127.0.0.1", wait.free_port()), _Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.peer = self
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.base = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.directory = f"{self.base}/directory"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def _intermediates(self):
        """One issuing key, with a certificate of each root."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ski = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        self.above = [
            (x509.CertificateBuilder().subject_name(pki.name("Peer intermediate")).issuer_name(r.cert.subject).public_key(self.key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + 1000 * pki.DAY)
             .add_extension(x509.BasicConstraints(True, 0), critical=True).add_extension(self.ski, critical=False)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(r.key.public_key()), critical=False)
             .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True).sign(r.key, hashes.SHA256()))
            for r in (self.root, self.second)]

    # --- HTTP

    def handle(self, h, body):
        what, _, rest = h.path.lstrip("/").partition("/")
        try:
            with self.lock:
                if body is None:
                    status, answer, headers = getattr(self, f"get_{what.replace('-', '_')}", self._nothing)(rest)
                else:
                    status, answer, headers = self._signed(what.replace("-", "_"), rest, h.path, body)
        except Problem as p:
            status, answer, headers = p.status, {"type": ERROR + p.kind, "detail": p.detail}, {"Content-Type": "application/problem+json"}
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        nonce = secrets.token_urlsafe(16)
        self.nonces.add(nonce)
        h.send_response(status)
        for name, value in [("Content-Type", "application/json")] * ("Content-Type" not in headers) + \
                [("Content-Length", len(text)), ("Replay-Nonce", nonce), ("Cache-Control", "no-store")]:
            h.send_header(name, str(value))
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                h.send_header(name, str(one))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(text)

    def _nothing(self, rest):
        raise Problem("malformed", "no such resource", 404)

    def _signed(self, what, rest, path, body):
        jws = json.loads(body)
        header = json.loads(unb64(jws["protected"]))
        if header["nonce"] not in self.nonces:
            raise Problem("badNonce", "the nonce is not good")
        self.nonces.discard(header["nonce"])
        if header["url"] != self.base + path:
            raise Problem("unauthorized", "the URL is another one", 401)
        account = None
        if what == "new_account":
            verify(key_of(header["jwk"]), jws)
        else:
            account = self.accounts.get(header["kid"])
            if account is None:
                raise Problem("accountDoesNotExist", "no such account")
            verify(key_of(account["jwk"]), jws)
        payload = json.loads(unb64(jws["payload"])) if jws["payload"] else None
        return getattr(self, f"post_{what}", self._nothing_posted)(rest, account, payload, header)

    def _nothing_posted(self, rest, account, payload, header):
        raise Problem("malformed", "no such resource", 404)

    # --- resources

    def get_directory(self, rest):
        meta = {"termsOfService": f"{self.base}/terms", "website": "https://www.example.com/"}
        if self.profiles:
            meta["profiles"] = {name: f"{self.base}/docs/{name}" for name in self.profiles}
        return 200, {"newNonce": f"{self.base}/new-nonce", "newAccount": f"{self.base}/new-account", "newOrder": f"{self.base}/new-order",
                     "revokeCert": f"{self.base}/revoke-cert", "keyChange": f"{self.base}/key-change", "renewalInfo": f"{self.base}/renewal-info",
                     "meta": meta}, {}

    def get_new_nonce(self, rest):
        return 204, "", {}

    def get_renewal_info(self, ident):
        self.asked += 1
        if ident not in {ari_id(c) for c in self.certs.values()}:
            raise Problem("malformed", "no such certificate", 404)
        start, end = (datetime.datetime.utcnow() + datetime.timedelta(seconds=s) for s in self.window)
        return 200, {"suggestedWindow": {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "end": end.strftime("%Y-%m-%dT%H:%M:%SZ")},
                     "explanationURL": "https://acme.example.com/docs/ari"}, {"Retry-After": self.retry_after}

    def post_new_account(self, rest, account, payload, header):
        mark = thumbprint(header["jwk"])
        there = next((u for u, a in self.accounts.items() if thumbprint(a["jwk"]) == mark), None)
        if there is None and payload.get("onlyReturnExisting"):
            raise Problem("accountDoesNotExist", "no account has this key")
        url = there or f"{self.base}/account/{len(self.accounts) + 1}"
        if there is None:
            self.accounts[url] = {"jwk": header["jwk"], "contact": payload.get("contact", [])}
        return 200 if there else 201, {"status": "valid", "contact": self.accounts[url]["contact"]}, {"Location": url}

    def post_account(self, rest, account, payload, header):
        return 200, {"status": "valid", "contact": account["contact"]}, {}

    def _order_text(self, number):
        o = self.orders[number]
        for a in o["authorizations"]:
            self._look(self.authorizations[a])
        states = [self.authorizations[a]["status"] for a in o["authorizations"]]
        if o["status"] == "pending" and all(s == "valid" for s in states):
            o["status"] = "ready"
        elif "invalid" in states:
            o["status"] = "invalid"
        text = {"status": o["status"], "identifiers": o["identifiers"], "finalize": f"{self.base}/finalize/{number}",
                "authorizations": [f"{self.base}/authz/{a}" for a in o["authorizations"]]}
        for member in ("profile", "replaces"):
            if o.get(member):
                text[member] = o[member]
        if o["status"] == "valid":
            text["certificate"] = f"{self.base}/cert/{number}"
        return text

    def post_new_order(self, rest, account, payload, header):
        profile, replaces = payload.get("profile"), payload.get("replaces")
        if profile and profile not in (self.profiles or {}):
            raise Problem("invalidProfile", f"no profile {profile}")
        number = str(len(self.orders) + 1)
        self.orders[number] = {"status": "refused", "identifiers": payload["identifiers"], "profile": profile, "replaces": replaces,
                               "account": header["kid"], "authorizations": []}
        if replaces and (self.refuse_replaces or replaces in self.replaced):
            raise Problem("alreadyReplaced", f"{replaces} has been replaced", 409)
        if replaces and replaces not in {ari_id(c) for c in self.certs.values()}:
            raise Problem("malformed", "replaces names no certificate of ours")
        for i, ident in enumerate(payload["identifiers"]):
            key, value = f"{number}-{i}", ident["value"]
            self.authorizations[key] = {"status": "pending", "identifier": {"type": ident["type"], "value": value.removeprefix("*.")},
                                        "wildcard": value.startswith("*."), "account": header["kid"], "token": self._token(value)}
            self.orders[number]["authorizations"].append(key)
        self.orders[number]["status"] = "pending"
        return 201, self._order_text(number), {"Location": f"{self.base}/order/{number}"}

    def _token(self, name):
        pending = [a["token"] for a in self.authorizations.values() if a["status"] == "pending" and a["identifier"]["value"] == name]
        return pending[0] if self.same and pending else secrets.token_urlsafe(24)

    def post_order(self, number, account, payload, header):
        return 200, self._order_text(number), {}

    def _challenge(self, key, kind):
        a = self.authorizations[key]
        text = {"type": kind, "url": f"{self.base}/chall/{key}/{kind}", "status": a["status"]}
        if kind == "dns-persist-01":
            text["issuer-domain-names"] = ["authority.example"]
        else:
            text["token"] = a["token"]
        if a["status"] == "invalid":
            text["error"] = {"type": ERROR + "unauthorized", "detail": a["why"]}
        return text

    def post_authz(self, key, account, payload, header):
        a = self.authorizations[key]
        self._look(a)
        return 200, {"status": a["status"], "identifier": a["identifier"], **({"wildcard": True} if a["wildcard"] else {}),
                     "challenges": [self._challenge(key, t) for t in self.types]}, {}

    def post_chall(self, rest, account, payload, header):
        key, kind = rest.split("/")
        a = self.authorizations[key]
        a["asked"] = (kind, f"{a['token']}.{thumbprint(account['jwk'])}", header["kid"])
        self._look(a)
        return 200, self._challenge(key, kind), {}

    def _look(self, a):
        """Checks what a client has said is ready, unless the test holds it back."""
        if a["status"] != "pending" or "asked" not in a or self.hold:
            return
        kind, proof, account = a["asked"]
        try:
            getattr(self, "_check_" + kind.replace("-", "_"))(a, proof, account)
            a["status"] = "valid"
        except (Problem, OSError) as p:
            a["status"], a["why"] = "invalid", str(p)

    def _check_tls_alpn_01(self, a, proof, account):
        """RFC 8737 section 3."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["acme-tls/1"])
        name = a["identifier"]["value"]
        with socket.create_connection(("127.0.0.1", self.http_port), timeout=5) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
            cert = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
            spoken = tls.selected_alpn_protocol()
        extension = cert.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        right = b"\x04\x20" + hashlib.sha256(proof.encode()).digest()
        if spoken != "acme-tls/1" or not extension.critical or extension.value.value != right or pki.dns_names(cert) != [name]:
            raise Problem("unauthorized", "the certificate is not the one for this challenge")

    def _check_http_01(self, a, proof, account):
        c = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        c.request("GET", f"/.well-known/acme-challenge/{a['token']}", headers={"Host": a["identifier"]["value"]})
        said = c.getresponse().read().decode()
        if said != proof:
            raise Problem("unauthorized", f"the answer is {said[:80]}")

    def _find(self, name, wanted):
        seen = self.txt(name)
        if not any(wanted(v) for v in seen):
            raise Problem("unauthorized", f"{name} has {seen}")

    def _check_dns_01(self, a, proof, account):
        self._find(f"_acme-challenge.{a['identifier']['value']}", lambda v: v == b64(hashlib.sha256(proof.encode()).digest()))

    def _check_dns_account_01(self, a, proof, account):
        self._find(f"{account_label(account)}._acme-challenge.{a['identifier']['value']}", lambda v: v == b64(hashlib.sha256(proof.encode()).digest()))

    def _check_dns_persist_01(self, a, proof, account):
        def good(value):
            issuer, *parts = [p.strip() for p in value.split(";")]
            said = dict(p.split("=", 1) for p in parts)
            until = int(said.get("persistUntil", "9999999999"))
            return issuer == "authority.example" and said.get("accounturi") == account and (said.get("policy") == "wildcard" or not a["wildcard"]) and \
                until > datetime.datetime.now().timestamp()
        self._find(f"_validation-persist.{a['identifier']['value']}", good)

    def post_finalize(self, number, account, payload, header):
        o = self.orders[number]
        self._order_text(number)
        if o["status"] != "ready":
            raise Problem("orderNotReady", f"the order is {o['status']}", 403)
        csr = x509.load_der_x509_csr(unb64(payload["csr"]))
        days = (self.profiles or {}).get(o["profile"], 90)
        self.certs[number] = (
            x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.above[0].subject).public_key(csr.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(pki.now() - pki.DAY / 24).not_valid_after(pki.now() + days * pki.DAY)
            .add_extension(pki.san([i["value"] for i in o["identifiers"]]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self.ski), critical=False).sign(self.key, hashes.SHA256()))
        if o["replaces"]:
            self.replaced.add(o["replaces"])
        o["status"] = "valid"
        return 200, self._order_text(number), {"Location": f"{self.base}/order/{number}"}

    def _chain(self, number, which):
        links = [f'<{self.base}/cert/{number}/{i}>;rel="alternate"' for i in (0, 1) if i != which]
        return 200, pki.pem(self.certs[number], self.above[which]).decode(), {"Content-Type": "application/pem-certificate-chain", "Link": links}

    def post_cert(self, rest, account, payload, header):
        number, _, which = rest.partition("/")
        return self._chain(number, int(which or 0))

    def post_revoke_cert(self, rest, account, payload, header):
        return 200, {}, {}
