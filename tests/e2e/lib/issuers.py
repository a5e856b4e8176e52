"""Issuers that are no ACME CA and cannot run here: Vault's PKI engine, an EST server (RFC 7030), AD CS's web enrolment behind NTLM.  Each
checks every call strictly and signs with a real CA."""
import base64
import datetime
import hashlib
import hmac
import struct
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7

from lib import pki, push


class Signer:
    """A root and an intermediate that signs requests as they are."""

    def __init__(self):
        self.root_key, self.key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self._authority("Corp root", self.root_key.public_key())
        self.ca = self._authority("Corp issuing", self.key.public_key())
        self.issued, self.revoked = {}, []

    def _authority(self, name, public):
        now = pki.now()
        return (x509.CertificateBuilder().subject_name(pki.name(name)).issuer_name(pki.name("Corp root")).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=3000)).add_extension(x509.BasicConstraints(True, None), True)
                .sign(self.root_key, hashes.SHA256()))

    def sign(self, der_or_pem):
        text = der_or_pem if isinstance(der_or_pem, bytes) else der_or_pem.encode()
        csr = x509.load_pem_x509_csr(text) if text.startswith(b"-----") else x509.load_der_x509_csr(text)
        assert csr.is_signature_valid
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        leaf = self._leaf(csr, names)
        self.issued[leaf.serial_number] = leaf
        return leaf

    def _leaf(self, csr, names):
        now = pki.now()
        return (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(pki.name("Corp issuing")).public_key(csr.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=30)).add_extension(names, True)
                .add_extension(x509.BasicConstraints(False, None), True).sign(self.key, hashes.SHA256()))


def pem(*certs):
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certs)


def p7(*certs):
    return pkcs7.serialize_certificates(list(certs), serialization.Encoding.DER)


class VaultPki(push.Api):
    """POST /v1/pki/sign/ROLE and /revoke, as Vault 1.15's documentation describes them."""
    token = "hvs.test-of-the-pki-engine"

    def __init__(self, folder):
        super().__init__(folder)
        self.ca, self.allowed = Signer(), "example.org"

    def answer(self, call):
        self.expect(call.headers.get("x-vault-token") == self.token, f"{call}: token")
        self.expect(call.headers.get("x-vault-request") == "true", f"{call}: X-Vault-Request")
        if call.method == "GET" and call.path == "/v1/auth/token/lookup-self":
            return 200, {"data": {"ttl": 3600, "policies": ["pki"]}}
        self.expect(call.method == "POST" and call.headers.get("content-type") == "application/json", f"{call}")
        body = call.json()
        if call.path == "/v1/pki/sign/web":
            self.expect(set(body) <= {"csr", "common_name", "alt_names", "ip_sans", "ttl", "format"} and body["format"] == "pem", f"{call}: {body}")
            for name in [body["common_name"], *body["alt_names"].split(",")]:
                if not name.endswith(self.allowed):
                    raise push.Refused(400, {"errors": [f"common name {name} not allowed by this role"]})
            leaf = self.ca.sign(body["csr"])
            return 200, {"data": {"certificate": pem(leaf).strip(), "issuing_ca": pem(self.ca.ca).strip(),
                                  "ca_chain": [pem(self.ca.ca).strip(), pem(self.ca.root).strip()], "serial_number": "…"}}
        self.expect(call.path == "/v1/pki/revoke" and set(body) == {"serial_number"}, f"{call}")
        serial = int(body["serial_number"].replace(":", ""), 16)
        self.expect(serial in self.ca.issued, f"{call}: serial {serial:x}")
        self.ca.revoked.append(serial)
        return 200, {"data": {"revocation_time": 1}}


class Est(push.Api):
    """RFC 7030 sections 4.1 and 4.2; `hold`: how often a request is not decided yet (202), `again`: when to ask again."""
    token = "est secret with blanks"

    def __init__(self, folder):
        super().__init__(folder)
        self.ca, self.hold, self.again = Signer(), 0, 1

    def answer(self, call):
        self.expect(call.headers.get("authorization") == "Basic " + base64.b64encode(f"certwright:{self.token}".encode()).decode(), f"{call}: login")
        if call.path == "/.well-known/est/web/cacerts":
            self.expect(call.method == "GET", f"{call}")
            return 200, base64.encodebytes(p7(self.ca.ca, self.ca.root))
        self.expect(call.path == "/.well-known/est/web/simpleenroll" and call.method == "POST", f"{call}")
        self.expect(call.headers.get("content-type") == "application/pkcs10" and call.headers.get("content-transfer-encoding") == "base64", f"{call}: type")
        if self.hold:
            self.hold -= 1
            raise push.Refused(202, b"", {"Retry-After": str(self.again)})
        return 200, base64.encodebytes(p7(self.ca.sign(base64.b64decode(call.body))))


NT_HASH = bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")  # MD4 of "Password" in UTF-16 (MS-NLMP section 4.2.2.1.2)


class AdCs(push.Api):
    """certfnsh.asp and its neighbours in the words of Windows Server 2019's pages, behind NTLMv2 (MS-NLMP section 3.3.2)."""
    token = "Password"

    def __init__(self, folder):
        super().__init__(folder)
        self.ca, self.logged_in, self.manager, self.denied, self.requests = Signer(), set(), False, False, {}
        self.challenge = bytes.fromhex("0123456789abcdef")

    def take(self, handler, body):
        """NTLM is of the connection: asked for before anything else."""
        offered = handler.headers.get("Authorization", "")
        if handler.connection in self.logged_in and not offered:
            return super().take(handler, body)
        if not offered.startswith("NTLM "):
            return self._send(handler, 401, b"", {"WWW-Authenticate": "NTLM"})
        message = base64.b64decode(offered[5:])
        kind = struct.unpack("<I", message[8:12])[0]
        if kind == 1:
            return self._send(handler, 401, b"", {"WWW-Authenticate": "NTLM " + base64.b64encode(self._challenge()).decode()})
        if kind != 3 or not self._right(message):
            return self._send(handler, 401, b"", {"WWW-Authenticate": "NTLM"})
        self.logged_in.add(handler.connection)
        return super().take(handler, body)

    def _challenge(self):
        domain = "CORP".encode("utf-16-le")
        info = struct.pack("<HH", 2, len(domain)) + domain + struct.pack("<HH", 0, 0)
        flags = 0x00000001 | 0x00000200 | 0x00008000 | 0x00800000 | 0x00080000
        head = b"NTLMSSP\0" + struct.pack("<I", 2) + struct.pack("<HHI", len(domain), len(domain), 48) + struct.pack("<I", flags) + self.challenge
        return head + bytes(8) + struct.pack("<HHI", len(info), len(info), 48 + len(domain)) + domain + info

    def _right(self, m):
        def field(at):
            size, _, offset = struct.unpack("<HHI", m[at:at + 8])
            return m[offset:offset + size]
        answer, domain, user = field(20), field(28), field(36)
        text = user.decode("utf-16-le").upper() + domain.decode("utf-16-le")
        key = hmac.new(NT_HASH, text.encode("utf-16-le"), hashlib.md5).digest()
        proof, blob = answer[:16], answer[16:]
        return user.decode("utf-16-le") == "certwright" and hmac.compare_digest(proof, hmac.new(key, self.challenge + blob, hashlib.md5).digest())

    def page(self, text):
        return 200, ("<HTML><HEAD><TITLE>Microsoft Active Directory Certificate Services</TITLE></HEAD><BODY>" + text + "</BODY></HTML>").encode()

    def answer(self, call):
        if call.path == "/certsrv/certcarc.asp":
            return self.page("Download a CA Certificate")
        if call.path == "/certsrv/certfnsh.asp":
            form = dict(urllib.parse.parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True))
            self.expect(form["Mode"] == "newreq" and form["CertAttrib"] == "CertificateTemplate:WebServer" and form["SaveCert"] == "yes", f"{call}: {form}")
            number = str(len(self.requests) + 7)
            self.requests[number] = form["CertRequest"]
            if self.denied:
                return self.page('Your certificate request was denied. The disposition message is "Denied by Policy Module 0x80094800, WebServer"')
            if self.manager:
                return self.page(f"<P ID=locPageDesc>Your certificate request has been received. However, you must wait for an administrator. "
                                 f"Your Request Id is {number}. The disposition message is \"Taken Under Submission\".")
            return self.page(f'<A Href="certnew.cer?ReqID={number}&amp;Enc=b64">Download certificate</A>'.replace("&amp;", "&"))
        number = call.query["ReqID"]
        if call.path == "/certsrv/certckpn.asp":
            if self.manager:
                return self.page(f"still pending: {number}")
            return self.page(f'<A Href="certnew.cer?ReqID={number}&Enc=b64">Download certificate</A>')
        self.expect(call.path == "/certsrv/certnew.p7b" and call.query["Enc"] == "b64", f"{call}")
        body = base64.encodebytes(p7(self.ca.root, self.ca.ca, self.ca.sign(self.requests[number]))).decode()
        return 200, f"-----BEGIN CERTIFICATE-----\r\n{body}-----END CERTIFICATE-----\r\n".encode()
